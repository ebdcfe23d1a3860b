package config

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/davitops/davit/internal/authority"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/settings"
)

func readRules(r *settings.Reader, n *yaml.Node, clusters []string) authority.Rules {
	var rules authority.Rules
	for _, item := range r.Items(n, maxListed,
		"repositories must be a list of rules, for example \"- {match: github:acme/gitops, clusters: [staging], namespaces: [shop]}\"",
		"rules are limited to %d; replace some by one with a pattern such as github:acme/*") {
		rules = append(rules, readRule(r, item, clusters, rules))
	}
	return rules
}

// readRule reads one rule. It must name clusters that there are, and repositories
// that no rule before it has taken already.
func readRule(r *settings.Reader, n *yaml.Node, clusters []string, before authority.Rules) authority.Rule {
	var rule authority.Rule
	match := n.Kind != yaml.MappingNode // of another kind, that is the fault
	r.Fields(n, "a rule", "match: github:acme/gitops", settings.Fields{
		"match": func(n *yaml.Node) {
			match = true
			rule.Match = readMatch(r, n, before)
		},
		"clusters":       func(n *yaml.Node) { rule.Clusters = readNames(r, n, clusters) },
		"namespaces":     func(n *yaml.Node) { rule.Namespaces = readNamespaces(r, n) },
		"cluster_scoped": func(n *yaml.Node) { rule.ClusterScoped = r.Flag(n, "cluster_scoped") },
		"as":             func(n *yaml.Node) { rule.As = readUser(r, n) },
		"live_diff":      func(n *yaml.Node) { rule.LiveDiff = readLiveDiff(r, n) },
	})
	if !match {
		r.Fault(n, "a rule needs to say which repositories it is for, for example \"match: github:acme/gitops\"")
	}
	return rule
}

func readMatch(r *settings.Reader, n *yaml.Node, before authority.Rules) []string {
	var patterns []string
	for _, item := range oneOrMore(r, n, "match must name repositories, for example [\"github:acme/gitops\", \"github:acme/web-*\"]") {
		pattern := r.Text(item, "a repository", "github:acme/gitops")
		if pattern == "" {
			continue
		}
		if err := authority.CheckPattern(pattern); err != nil {
			r.Fault(item, "%s names no repository: %s", manifest.Quote(pattern), err)
		} else if hiding := before.Hiding(pattern); hiding != "" {
			r.Fault(item, "this rule never counts for %s: the first match wins, which is %s in a rule above; move this rule up, or remove the pattern",
				manifest.Quote(pattern), manifest.Quote(hiding))
		}
		patterns = append(patterns, pattern)
	}
	return patterns
}

func readNames(r *settings.Reader, n *yaml.Node, clusters []string) []string {
	var names []string
	for _, item := range oneOrMore(r, n, "clusters must name clusters, for example [staging, production]; without the field, repositories are only previewed") {
		name := r.Label(item, "a cluster's name")
		switch {
		case name == "":
			continue
		case slices.Contains(names, name):
			r.Fault(item, "cluster %s is listed twice; keep one", manifest.Quote(name))
		case !slices.Contains(clusters, name):
			r.Fault(item, "there is no cluster %s; %s", manifest.Quote(name), settings.Suggest(name, clusters, "define it under clusters, or name one that is defined there"))
		}
		names = append(names, name)
	}
	return names
}

var namespacePattern = regexp.MustCompile(`^[-a-z0-9]*\*[-a-z0-9*]*$`)

func readNamespaces(r *settings.Reader, n *yaml.Node) []string {
	var namespaces []string
	for _, item := range oneOrMore(r, n, "namespaces must name namespaces, for example [shop, \"shop-*\"], or be \"*\" for all; without the field, there are none") {
		if item.Kind != yaml.ScalarNode || !namespacePattern.MatchString(item.Value) {
			r.Label(item, "a namespace, if it is no pattern such as \"shop-*\",")
		}
		namespaces = append(namespaces, item.Value)
	}
	return namespaces
}

// oneOrMore takes a single item for a list of it.
func oneOrMore(r *settings.Reader, n *yaml.Node, otherwise string) []*yaml.Node {
	if n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" {
		return []*yaml.Node{n}
	}
	return r.Items(n, maxInARule, otherwise, "a rule is limited to %d of them; use patterns, or make several rules")
}

const serviceAccount = "system:serviceaccount:"

// serviceAccountName is checked because a service account that is spelt wrongly is,
// to Kubernetes, one more user, who may do nothing.
var serviceAccountName = regexp.MustCompile(`^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$`)

// readUser refuses Kubernetes' own users: to act as one is to have rights that no
// rule gave.
func readUser(r *settings.Reader, n *yaml.Node) string {
	user := r.Text(n, "as", serviceAccount+"davit:acme-gitops")
	if names, is := strings.CutPrefix(user, serviceAccount); is {
		namespace, name, _ := strings.Cut(names, ":")
		if !settings.IsLabel(namespace) || !serviceAccountName.MatchString(name) {
			r.Fault(n, "as is a service account by its beginning, but not of the form %sNAMESPACE:NAME", serviceAccount)
		}
		return user
	}
	switch {
	case strings.HasPrefix(user, "system:"):
		r.Fault(n, "as must not be %s: users and groups that begin with \"system:\" are Kubernetes' own; name a user, or a service account by %sNAMESPACE:NAME", manifest.Quote(user), serviceAccount)
	case strings.TrimSpace(user) != user || strings.ContainsFunc(user, unicode.IsControl):
		r.Fault(n, "as must be the name of a Kubernetes user, without spaces around it or control characters in it, not %s", manifest.Quote(user))
	}
	return user
}

func readLiveDiff(r *settings.Reader, n *yaml.Node) authority.LiveDiff {
	choice := authority.LiveDiff(n.Value)
	if n.Kind != yaml.ScalarNode || !slices.Contains([]authority.LiveDiff{authority.Auto, authority.Always, authority.Never}, choice) {
		r.Fault(n, "live_diff must be auto, always or never")
	}
	return choice
}
