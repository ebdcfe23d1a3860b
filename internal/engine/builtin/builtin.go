// Package builtin is the engine that needs no policy files: checks of single
// objects and of deletions that most clusters want, named as kube-linter names
// them where it has one. It sees objects as JSON of any shape, reads nothing
// else and never repeats a value of a Secret; what it quotes of a manifest is
// short and escaped.
package builtin

import (
	"encoding/json"
	"fmt"
	"iter"

	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/policy"
)

//go:generate go test -run ^TestTable$ -update .

// Rule is what a check is called and what to do about its findings.
type Rule struct {
	ID          string
	Severity    policy.Severity
	Description string // one line, of what is wrong
	Remedy      string // one line, an imperative
}

// check is a rule and how to find what breaks it: in one object, or in an
// object's deletion.
type check struct {
	Rule
	object  func(*object) []hit
	deleted func(*object) []hit
}

// hit is one place that breaks a rule.
type hit struct {
	subject string // as in policy.Finding
	what    string // half a sentence
	remedy  string // the other half, where the rule's own does not fit
}

// checks is the catalogue, errors first.
var checks = []check{
	{Rule: Rule{"privileged-container", policy.Error, "A container runs privileged",
		"remove securityContext.privileged and add only the capabilities it needs"}, object: privileged},
	{Rule: Rule{"wildcard-in-rules", policy.Error, "A Role or ClusterRole grants every verb or every resource",
		"list what it needs"}, object: wildcards},
	{Rule: Rule{"deletes-data", policy.Error, "A volume claim, namespace or custom resource definition is deleted, and data with it",
		"keep it, or save its data first"}, deleted: deletesData},
	{Rule: Rule{"plain-secret", policy.Error, "A Secret holds a clear value",
		"encrypt it (SOPS, Sealed Secrets) or refer to a secret store, and replace the value, because git keeps it"}, object: plainSecret},
	{Rule: Rule{"removed-api", policy.Error, "The cluster's version no longer serves the object's apiVersion",
		"use the apiVersion that replaces it"}, object: removedAPI},
	{Rule: Rule{"deprecated-api", policy.Warning, "The object's apiVersion is deprecated",
		"use the apiVersion that replaces it"}, object: deprecatedAPI},
	{Rule: Rule{"latest-tag", policy.Warning, "An image has the tag latest or none, so what runs changes without a commit",
		"name a version or a digest"}, object: latestTag},
	{Rule: Rule{"unset-resources", policy.Warning, "A container sets no CPU or memory request, or no memory limit",
		"set what is missing under resources"}, object: unsetResources},
	{Rule: Rule{"no-readiness-probe", policy.Warning, "A container has ports and no readiness probe, so it gets traffic before it can answer",
		"add a readinessProbe"}, object: noReadinessProbe},
	{Rule: Rule{"run-as-non-root", policy.Warning, "A container may run as root",
		"set securityContext.runAsNonRoot to true and runAsUser, if at all, above 0"}, object: runAsRoot},
	{Rule: Rule{"host-access", policy.Warning, "A pod uses its node's network, processes or files",
		"remove it, unless the pod is an agent of its node"}, object: hostAccess},
}

// Rules returns the catalogue, errors first.
func Rules() []Rule {
	rules := make([]Rule, len(checks))
	for i, c := range checks {
		rules[i] = c.Rule
	}
	return rules
}

// Engine judges with every rule of the catalogue.
type Engine struct{}

// Name returns "builtin".
func (Engine) Name() string { return "builtin" }

// Judge holds each object against the checks, one by one. It fails only on a
// version of Kubernetes that is none; JSON that is no object breaks no rule.
func (Engine) Judge(kubernetes string, changes iter.Seq2[json.RawMessage, json.RawMessage]) (base, head []policy.Finding, err error) {
	release, err := parseRelease(kubernetes)
	if err != nil {
		return nil, nil, fmt.Errorf("parse the cluster's version %s: %w", manifest.Quote(kubernetes), err)
	}
	for before, after := range changes {
		was, is := decode(before, release), decode(after, release)
		base = append(base, was.findings(check.objectHits)...)
		head = append(head, is.findings(check.objectHits)...)
		if after == nil {
			head = append(head, was.findings(check.deletedHits)...)
		}
	}
	return base, head, nil
}

func (c check) objectHits(o *object) []hit {
	if c.object == nil {
		return nil
	}
	return c.object(o)
}

func (c check) deletedHits(o *object) []hit {
	if c.deleted == nil {
		return nil
	}
	return c.deleted(o)
}

// findings applies one side of every check. A nil object has none.
func (o *object) findings(side func(check, *object) []hit) []policy.Finding {
	if o == nil {
		return nil
	}
	var findings []policy.Finding
	for _, c := range checks {
		for _, h := range bounded(side(c, o)) {
			remedy := h.remedy
			if remedy == "" {
				remedy = c.Remedy
			}
			findings = append(findings, policy.Finding{
				Rule: c.ID, Engine: Engine{}.Name(), Severity: c.Severity,
				Object: o.ref, Subject: h.subject, Message: h.what + "; " + remedy,
			})
		}
	}
	return findings
}

// maxHits is how often one rule speaks of one object. No object that a cluster
// accepts for a purpose comes near it.
const maxHits = 100

// bounded replaces what is over maxHits by one hit that says so.
func bounded(hits []hit) []hit {
	if len(hits) <= maxHits {
		return hits
	}
	more := fmt.Sprintf("%d more places of the object break the rule", len(hits)-maxHits)
	return append(hits[:maxHits:maxHits], hit{what: more})
}
