package builtin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/davitops/davit/internal/manifest"
)

// wildcards leaves out aggregated roles: the cluster writes their rules itself.
func wildcards(o *object) []hit {
	const group = "rbac.authorization.k8s.io"
	if !o.is(group, "Role") && !o.is(group, "ClusterRole") || o.has("aggregationRule") {
		return nil
	}
	var hits []hit
	for _, item := range o.list("rules") {
		s := scopeOf(asFields(item))
		if slices.Contains(s.verbs, "*") {
			hits = append(hits, hit{subject: s.subject() + ".verbs", what: "the rule for " + s.String() + " grants every verb"})
		}
		if slices.Contains(s.resources, "*") {
			hits = append(hits, hit{subject: s.subject() + ".resources", what: "a rule covers " + s.String()})
		}
	}
	return hits
}

// scope is what a rule of a role covers and grants.
type scope struct {
	groups, resources, urls, verbs []string
}

func scopeOf(rule fields) scope {
	return scope{
		groups: texts(rule.list("apiGroups")), resources: texts(rule.list("resources")),
		urls: texts(rule.list("nonResourceURLs")), verbs: texts(rule.list("verbs")),
	}
}

// subject names the rule, which has no name of its own, by what it covers and
// not by what it grants: its place in the role may change and its verbs may
// shrink.
func (s scope) subject() string {
	if len(s.resources) == 0 && len(s.urls) > 0 {
		return fmt.Sprintf("rules[nonResourceURLs=%s]", set(s.urls))
	}
	return fmt.Sprintf("rules[apiGroups=%s,resources=%s]", set(s.groups), set(s.resources))
}

// String says what the rule covers, as a sentence would.
func (s scope) String() string {
	switch {
	case len(s.resources) == 0 && len(s.urls) > 0:
		return "the URLs " + listed(s.urls)
	case !slices.Contains(s.resources, "*"):
		return listed(s.resources)
	case slices.Contains(s.groups, "*"):
		return "every resource of every API group"
	case slices.Equal(s.groups, []string{""}):
		return "every resource of the core API group"
	}
	return "every resource of the API groups " + listed(s.groups)
}

func listed(items []string) string { return manifest.Quote(strings.Join(items, ", ")) }
