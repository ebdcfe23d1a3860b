package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/davitops/davit/internal/gitops"
)

// System is the namespace that holds what Davit knows about a cluster, inventories
// above all. No repository may deploy into it: who can write an inventory can have
// anything deleted.
const System = "davit-system"

// Scope is what one repository may touch in one cluster. The zero value is nothing.
type Scope struct {
	Namespaces    []string // names, or patterns such as "shop-*"
	ClusterScoped bool     // objects that are in no namespace, Namespaces among them
}

// Everything is the scope of somebody who answers for the whole cluster.
var Everything = Scope{Namespaces: []string{"*"}, ClusterScoped: true}

// within reports whether objects of a namespace are in scope, which a Namespace object
// is in no more than they.
func (s Scope) within(namespace string) bool {
	return slices.ContainsFunc(s.Namespaces, func(pattern string) bool { return matches(pattern, namespace) })
}

// Refusal says why an object is out of scope, and what the operator would have to
// change, in a sentence; it is empty if the object is in it. The reference's
// namespace is the one the object will be in, empty for none.
func (s Scope) Refusal(ref gitops.ObjectRef) string {
	isNamespace := ref.Group == "" && ref.Kind == "Namespace"
	switch {
	case ref.Namespace == System || isNamespace && ref.Name == System:
		return fmt.Sprintf("the namespace %s is Davit's own, and nothing is deployed into it", System)
	case ref.Namespace == "" && !s.ClusterScoped:
		return fmt.Sprintf("this repository may not deploy objects that are in no namespace, such as a %s; the operator can set cluster_scoped for it", ref.Kind)
	case isNamespace && !s.within(ref.Name):
		return fmt.Sprintf("this repository may not deploy the namespace %s (it may: %s); the operator can add it to namespaces", ref.Name, listed(s.Namespaces))
	case ref.Namespace != "" && !s.within(ref.Namespace):
		return fmt.Sprintf("this repository may not deploy into the namespace %s (it may: %s); the operator can add it to namespaces", ref.Namespace, listed(s.Namespaces))
	}
	return ""
}

func matches(pattern, name string) bool {
	matched, err := path.Match(pattern, name)
	return err == nil && matched
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
