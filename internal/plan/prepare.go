package plan

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
)

// Desired is one object as it is sent to a cluster: marked, in its namespace, and
// without what only a server may say. Problem, if not empty, is why it can't be sent.
type Desired struct {
	Ref     gitops.ObjectRef
	JSON    json.RawMessage
	Problem string
	// Pending says that the object's kind is defined by the same plan, so that the
	// cluster can't be asked about it yet.
	Pending bool
}

// Kinds are the kinds that a cluster serves, by reference without namespace and
// name; the value says whether their objects are in namespaces.
type Kinds map[gitops.ObjectRef]bool

// KindOf is the key of an object's kind in Kinds.
func KindOf(ref gitops.ObjectRef) gitops.ObjectRef {
	return gitops.ObjectRef{Group: ref.Group, Version: ref.Version, Kind: ref.Kind}
}

// Preparation is what is needed to know of a cluster before objects can be sent.
type Preparation struct {
	Owner     Owner
	Kinds     Kinds
	Namespace string // of objects that name none
}

// Prepare makes rendered objects ready to be sent.
func Prepare(objects []manifest.Object, p Preparation) ([]Desired, error) {
	own := definitions(objects)
	seen := map[gitops.ObjectRef]bool{}
	var desired []Desired
	for _, o := range objects {
		object, err := decode(o.JSON)
		if err != nil {
			return nil, fmt.Errorf("prepare %s: %w", o.Ref, err)
		}
		d := Desired{Ref: o.Ref}
		namespaced, served := p.Kinds[KindOf(o.Ref)]
		if !served {
			namespaced, served = own[KindOf(o.Ref)]
			d.Pending = served
		}
		switch {
		case !namespaced && served:
			d.Ref.Namespace = ""
		case namespaced && d.Ref.Namespace == "":
			d.Ref.Namespace = p.Namespace
		}
		switch {
		case !served:
			d.Problem = fmt.Sprintf("the cluster serves no kind %s in %s; install what defines it first", o.Ref.Kind, apiVersion(o.Ref))
		case o.Ref.Name == "":
			d.Problem = "it has no metadata.name; generateName can't be applied, only created"
		case seen[d.Ref.Identity()]:
			d.Problem = "it is there twice: one names the namespace that the other leaves to the cluster"
		}
		seen[d.Ref.Identity()] = true
		strip(object, d.Ref)
		p.Owner.mark(object)
		d.JSON = encode(object)
		desired = append(desired, d)
	}
	return desired, nil
}

func apiVersion(ref gitops.ObjectRef) string {
	if ref.Group == "" {
		return ref.Version
	}
	return ref.Group + "/" + ref.Version
}

// definitions are the kinds that custom resource definitions among the objects
// define.
func definitions(objects []manifest.Object) Kinds {
	kinds := Kinds{}
	for _, o := range objects {
		if o.Ref.Group != "apiextensions.k8s.io" || o.Ref.Kind != "CustomResourceDefinition" {
			continue
		}
		definition, err := decode(o.JSON)
		if err != nil {
			continue // it is told where it is prepared itself
		}
		spec := at(definition, "spec")
		versions, _ := spec["versions"].([]any)
		for _, v := range versions {
			version, _ := v.(map[string]any)
			if version["served"] == true {
				kinds[gitops.ObjectRef{
					Group: text(spec["group"]), Version: text(version["name"]), Kind: text(at(spec, "names")["kind"]),
				}] = spec["scope"] == "Namespaced"
			}
		}
	}
	return kinds
}

// serverFields are the fields of metadata that a server writes. A manifest that
// holds them was copied from a cluster; sent, they would be refused or, worse, taken.
var serverFields = []string{"creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "managedFields", "resourceVersion", "selfLink", "uid"}

// lastApplied is where kubectl keeps a whole copy of an object.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// strip takes out what only a server writes, and puts the rest into the form in
// which a server keeps it.
func strip(object map[string]any, ref gitops.ObjectRef) {
	metadata := entry(object, "metadata")
	for _, field := range serverFields {
		delete(metadata, field)
	}
	delete(at(metadata, "annotations"), lastApplied)
	delete(object, "status")
	if delete(metadata, "namespace"); ref.Namespace != "" {
		metadata["namespace"] = ref.Namespace
	}
	if manifest.IsSecret(ref) {
		fold(object)
	}
}

// fold writes a Secret's stringData into data: a server does so too, but keeps the
// one who sent it as the owner of the field that is gone.
func fold(secret map[string]any) {
	plain, is := secret["stringData"].(map[string]any)
	if !is {
		return
	}
	for key, value := range plain {
		if value, isText := value.(string); isText {
			entry(secret, "data")[key] = base64.StdEncoding.EncodeToString([]byte(value))
			delete(plain, key)
		}
	}
	if len(plain) == 0 {
		delete(secret, "stringData")
	}
}
