package rollout

import (
	"encoding/json"
	"slices"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
)

// Touched are the objects that were written, and those that run by them: what reads a
// ConfigMap, a Secret, a claim or an account that was written fails because of it.
func Touched(objects []manifest.Object, written []gitops.ObjectRef) []gitops.ObjectRef {
	touched := slices.Clone(written)
	for _, o := range objects {
		var object any
		if json.Unmarshal(o.JSON, &object) != nil || slices.ContainsFunc(touched, same(o.Ref)) {
			continue
		}
		if slices.ContainsFunc(uses(object), func(used gitops.ObjectRef) bool {
			used.Namespace = o.Ref.Namespace
			return slices.ContainsFunc(written, same(used))
		}) {
			touched = append(touched, o.Ref)
		}
	}
	return touched
}

// same reports whether another reference is to the same object; a manifest may leave the
// namespace to whoever applies it.
func same(ref gitops.ObjectRef) func(gitops.ObjectRef) bool {
	return func(other gitops.ObjectRef) bool {
		if ref.Namespace == "" {
			other.Namespace = ""
		}
		return ref.Identity() == other.Identity()
	}
}

// references are the fields of a pod by which it uses other objects, each with the kind and
// the field below it that holds the name.
var references = map[string]struct{ kind, field string }{
	"configMapRef": {"ConfigMap", "name"}, "configMapKeyRef": {"ConfigMap", "name"}, "configMap": {"ConfigMap", "name"},
	"secretRef": {"Secret", "name"}, "secretKeyRef": {"Secret", "name"}, "secret": {"Secret", "secretName"},
	"persistentVolumeClaim": {"PersistentVolumeClaim", "claimName"},
}

// uses are the objects that a value names in such fields, wherever they are in it.
func uses(v any) (used []gitops.ObjectRef) {
	switch v := v.(type) {
	case []any:
		for _, child := range v {
			used = append(used, uses(child)...)
		}
	case map[string]any:
		for field, child := range v {
			below, _ := child.(map[string]any)
			if name, is := below[references[field].field].(string); is && references[field].kind != "" {
				used = append(used, gitops.ObjectRef{Kind: references[field].kind, Name: name})
			}
			if name, is := child.(string); is && field == "serviceAccountName" {
				used = append(used, gitops.ObjectRef{Kind: "ServiceAccount", Name: name})
			}
			used = append(used, uses(child)...)
		}
	}
	return used
}
