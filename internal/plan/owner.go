package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/davitops/davit/internal/gitops"
)

// Manager is the name under which Davit owns fields. There is one for everything it
// applies: managers of their own for each target would fight over shared objects.
const Manager = "davit"

// The marks on every object that Davit applies. The label is for selectors, and so
// short; the annotation says the same to people.
const (
	TargetLabel     = "davit.dev/target"
	OwnerAnnotation = "davit.dev/owner"
)

// Owner is the one target that an object belongs to: where in which repository it is
// written, and who claims that directory.
type Owner struct {
	Repo           gitops.Repo
	Path, Claimant string
}

// OwnerOf is the owner of what a target deploys. A repository is one however its name
// is spelt: forges don't tell names apart by case, and neither do the operator's rules.
func OwnerOf(repo gitops.Repo, t gitops.Target) Owner {
	repo.Path = strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, repo.Path)
	return Owner{Repo: repo, Path: t.Path, Claimant: t.Claimant}
}

// String prints "github:acme/gitops//apps/web#claimant".
func (o Owner) String() string {
	text := o.Repo.String() + "//" + o.Path
	if o.Claimant != "" {
		text += "#" + o.Claimant
	}
	return text
}

// Key is the owner as a label's value or a part of a name: 20 hexadecimal digits.
func (o Owner) Key() string {
	sum := sha256.Sum256([]byte(o.String()))
	return hex.EncodeToString(sum[:10])
}

// mark writes the marks into an object.
func (o Owner) mark(object map[string]any) {
	entry(entry(object, "metadata"), "labels")[TargetLabel] = o.Key()
	entry(entry(object, "metadata"), "annotations")[OwnerAnnotation] = o.String()
}

// unmark takes the marks off, and what is empty then.
func unmark(object map[string]any) {
	metadata := at(object, "metadata")
	for field, mark := range map[string]string{"labels": TargetLabel, "annotations": OwnerAnnotation} {
		if marks := at(metadata, field); marks != nil {
			if delete(marks, mark); len(marks) == 0 {
				delete(metadata, field)
			}
		}
	}
}

// owns reports whether an object of a cluster has this owner's mark.
func (o Owner) owns(live map[string]any) bool {
	return text(at(live, "metadata", "annotations")[OwnerAnnotation]) == o.String()
}

// mayDelete reports whether an object has both marks. Whoever took one off wants the
// object to stay, and without the label nothing could be seen of its end.
func (o Owner) mayDelete(live map[string]any) bool {
	return o.owns(live) && text(at(live, "metadata", "labels")[TargetLabel]) == o.Key()
}

// stamps are the marks by which others say that an object is theirs.
var stamps = []struct{ field, key, by string }{
	{"annotations", "argocd.argoproj.io/tracking-id", "Argo CD"},
	{"labels", "argocd.argoproj.io/instance", "Argo CD"},
	{"labels", "kustomize.toolkit.fluxcd.io/name", "Flux"},
	{"labels", "helm.toolkit.fluxcd.io/name", "Flux"},
	{"annotations", "meta.helm.sh/release-name", "Helm"},
	{"annotations", "config.k8s.io/owning-inventory", "an inventory of cli-utils"},
	{"annotations", "configsync.gke.io/resource-id", "Config Sync"},
	{"labels", "kapp.k14s.io/app", "kapp"},
	{"labels", "applyset.kubernetes.io/part-of", "an ApplySet"},
	{"annotations", "objectset.rio.cattle.io/id", "Fleet or k3s"},
}

// claimed says who else an object of a cluster belongs to, for a sentence; it is
// empty if there is nobody. What Davit itself wrote into our object, because a manifest
// says so, is nobody's mark.
func (o Owner) claimed(live map[string]any) (string, error) {
	metadata := at(live, "metadata")
	ours := fieldpath.NewSet()
	if o.owns(live) {
		var err error
		if _, ours, err = owned(live); err != nil {
			return "", err
		}
	} else if owner := text(at(metadata, "annotations")[OwnerAnnotation]); owner != "" {
		return owner, nil
	}
	for _, s := range stamps {
		value := at(metadata, s.field)[s.key]
		if value != nil && !ours.Has(fieldpath.MakePathOrDie("metadata", s.field, s.key)) {
			return fmt.Sprintf("%s (%s %s: %s)", s.by, strings.TrimSuffix(s.field, "s"), s.key, text(value)), nil
		}
	}
	references, _ := metadata["ownerReferences"].([]any)
	for _, r := range references {
		reference, _ := r.(map[string]any)
		key := fieldpath.KeyByFields("uid", reference["uid"])
		if reference["controller"] == true && !ours.Has(fieldpath.MakePathOrDie("metadata", "ownerReferences", key)) {
			return fmt.Sprintf("%s %s, which controls it", text(reference["kind"]), text(reference["name"])), nil
		}
	}
	return "", nil
}
