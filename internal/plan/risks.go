package plan

import (
	"slices"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/davitops/davit/internal/gitops"
)

// Risk is what may hurt although everything goes as planned.
type Risk string

// The risks.
const (
	RestartsPods Risk = "restarts-pods"
	DataLoss     Risk = "data-loss"
	Traffic      Risk = "traffic"    // a Service sends its traffic elsewhere
	Privilege    Risk = "privilege"  // who may do what in the cluster changes
	TakesOver    Risk = "takes-over" // somebody else manages a field that is set
	Unverified   Risk = "unverified" // the cluster could not be asked
)

// kindsWithData are the kinds whose deletion deletes more than the object.
var kindsWithData = []string{
	"PersistentVolumeClaim", "PersistentVolume", "Namespace", "apiextensions.k8s.io/CustomResourceDefinition",
}

// podRunners are the kinds that replace their pods when the template changes.
var podRunners = []string{"apps/Deployment", "apps/StatefulSet", "apps/DaemonSet"}

var rbac = []string{
	"rbac.authorization.k8s.io/Role", "rbac.authorization.k8s.io/RoleBinding",
	"rbac.authorization.k8s.io/ClusterRole", "rbac.authorization.k8s.io/ClusterRoleBinding",
}

// holdsData reports whether deleting an object deletes more than the object.
func holdsData(ref gitops.ObjectRef) bool { return slices.Contains(kindsWithData, groupKind(ref)) }

// groupKind is a kind as these lists spell it.
func groupKind(ref gitops.ObjectRef) string {
	if ref.Group == "" {
		return ref.Kind
	}
	return ref.Group + "/" + ref.Kind
}

// risksOf are the risks of a change of the given fields.
func risksOf(c Change, fields []field) []Risk {
	kind := groupKind(c.Ref)
	var risks []Risk
	add := func(risk Risk, is bool) {
		if is {
			risks = append(risks, risk)
		}
	}
	add(RestartsPods, slices.Contains(podRunners, kind) && touches(fields, "spec", "template"))
	add(DataLoss, c.Class == Delete && holdsData(c.Ref))
	add(Traffic, kind == "Service" && (c.Class == Delete || touches(fields, "spec", "selector") || touches(fields, "spec", "ports")))
	add(Privilege, c.Class != Delete && slices.Contains(rbac, kind))
	add(TakesOver, len(c.TakenFrom) > 0)
	return risks
}

// touches reports whether one of the fields is at or below a path, or holds it.
func touches(fields []field, path ...any) bool {
	want := fieldpath.MakePathOrDie(path...)
	return slices.ContainsFunc(fields, func(f field) bool {
		length := min(len(want), len(f.path))
		return f.path[:length].Equals(want[:length])
	})
}
