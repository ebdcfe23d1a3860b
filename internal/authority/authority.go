// Package authority says who may do what, and what is missing: so far, what the
// operator's rules let a repository do. The same function answers for a comment, a
// button, the API and a page.
//
// It is pure, and it never asks anybody: facts come in, an answer or the reason
// against it goes out. What no rule allows is refused.
package authority

import (
	"fmt"
	"slices"
	"strings"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/plan"
)

// Rule says what some repositories may do.
type Rule struct {
	Match         []string // patterns that CheckPattern accepts
	Clusters      []string // names; without any, the repositories are only previewed
	Namespaces    []string // names, or patterns such as "shop-*"
	ClusterScoped bool     // objects that are in no namespace, Namespaces among them
	As            string   // Kubernetes user to act as; empty for the one Davit connects as
	LiveDiff      LiveDiff // whose pull requests show what clusters hold
}

// LiveDiff says where pull requests may show what clusters hold.
type LiveDiff string

// Where they may.
const (
	Auto   LiveDiff = "auto" // in private repositories; also the empty one
	Always LiveDiff = "always"
	Never  LiveDiff = "never"
)

// Shows reports whether a pull request may show what clusters hold; if not, why says
// what would change that, unless nothing would. branch is the one that is deployed.
func (r Rules) Shows(pr gitops.PullRequest, branch string) (may bool, why string) {
	rule, pattern := r.find(pr.Repo)
	switch {
	case len(rule.Clusters) == 0:
		return true, "" // nothing will be: Place tells what is missing, target by target
	case pr.FromFork():
		return false, "This pull request comes from a fork, so no cluster was asked."
	case pr.Base.Branch != branch:
		return false, fmt.Sprintf("Only %s is deployed, so no cluster was asked.", branch)
	case rule.LiveDiff == Never:
		return false, ""
	case !r.Reveals(pr.Repo, pr.Private):
		return false, fmt.Sprintf("Everybody may read this repository, so no cluster was asked; the operator can set \"live_diff: always\" in the rule for %s in davit.yaml.", pattern)
	}
	return true, ""
}

// Reveals reports whether what clusters say may be shown in a repository.
func (r Rules) Reveals(repo gitops.Repo, private bool) bool {
	rule, _ := r.find(repo)
	return rule.LiveDiff == Always || rule.LiveDiff != Never && private
}

// Rules are the operator's, in order: the first that matches a repository is the
// only one that counts. A repository that none matches is previewed, no more.
type Rules []Rule

// Grant is what a repository may do in one cluster, and as whom.
type Grant struct {
	Scope plan.Scope
	As    string
}

// Grant returns what a repository may do in a cluster. If it may do nothing there,
// the refusal says why, and what would change that, in a sentence.
func (r Rules) Grant(repo gitops.Repo, cluster string) (grant Grant, refusal string) {
	rule, pattern := r.find(repo)
	switch {
	case len(rule.Clusters) == 0:
		return Grant{}, onlyPreviewed(repo, pattern)
	case !slices.Contains(rule.Clusters, cluster):
		return Grant{}, barred(cluster, rule.Clusters, pattern)
	}
	return Grant{
		Scope: plan.Scope{Namespaces: slices.Clone(rule.Namespaces), ClusterScoped: rule.ClusterScoped},
		As:    rule.As,
	}, ""
}

// Place returns the cluster that a target of a repository is in, of those the
// operator has: the one that the target names, else the one of its environment's
// name, else the only one that the repository may use. Without such a one, or if
// the repository may not use it, the refusal says why, and what would change that.
//
// It never takes a next best cluster: what is meant for production, and may not go
// there, must not land in staging.
func (r Rules) Place(repo gitops.Repo, t gitops.Target, clusters []string) (cluster, refusal string) {
	rule, pattern := r.find(repo)
	switch {
	case len(rule.Clusters) == 0:
		return "", onlyPreviewed(repo, pattern)
	case t.Cluster != "":
		cluster = t.Cluster
	case t.Environment != "" && slices.Contains(clusters, t.Environment):
		cluster = t.Environment
	case len(rule.Clusters) == 1:
		cluster = rule.Clusters[0]
	default:
		return "", undecided(t, rule.Clusters)
	}
	switch {
	case !slices.Contains(clusters, cluster):
		return "", unknown(cluster, rule.Clusters, pattern)
	case !slices.Contains(rule.Clusters, cluster):
		return "", barred(cluster, rule.Clusters, pattern)
	}
	return cluster, ""
}

// The refusals are read by who reads the pull request, so they name no cluster that
// the repository may not use, but for the one it asked for.

func onlyPreviewed(repo gitops.Repo, pattern string) string {
	if pattern == "" {
		return fmt.Sprintf("the operator has no rule for this repository, so it is previewed and never applied; the operator can add one with \"match: %s\" under repositories in davit.yaml", repo)
	}
	return fmt.Sprintf("the operator's rule for this repository names no cluster, so it is previewed and never applied; the operator can add clusters to the rule for %s in davit.yaml", pattern)
}

func barred(cluster string, may []string, pattern string) string {
	return fmt.Sprintf("this repository may not use the cluster %s (it may: %s); the operator can add it to clusters in the rule for %s in davit.yaml",
		cluster, strings.Join(may, ", "), pattern)
}

func unknown(cluster string, may []string, pattern string) string {
	return fmt.Sprintf("the operator has no cluster %s (this repository may use: %s); name one of these, or the operator can add it under clusters, and to the rule for %s, in davit.yaml",
		cluster, strings.Join(may, ", "), pattern)
}

func undecided(t gitops.Target, may []string) string {
	if t.Environment == "" {
		return fmt.Sprintf("nothing says which cluster this target is in (this repository may use: %s); move it into a directory such as clusters/%s, or capture {cluster} or {environment} in its path under targets in .davit.yaml",
			strings.Join(may, ", "), may[0])
	}
	return fmt.Sprintf("nothing says which cluster the environment %s is in (this repository may use: %s); name it under environments in .davit.yaml, for example \"%s: {cluster: %s}\"",
		t.Environment, strings.Join(may, ", "), t.Environment, may[0])
}
