package plan

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
)

// Desired is one object as it is sent to a cluster: marked, in its namespace, and
// without what only a server may say. Problem, if not empty, is why it can't be sent.
type Desired struct {
	Ref      gitops.ObjectRef
	Rendered gitops.ObjectRef // as it was rendered, where the namespace may be left out
	JSON     json.RawMessage
	Problem  string
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
		d := Desired{Ref: o.Ref, Rendered: o.Ref}
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
		case seen[d.Ref.Identity()]:
			d.Problem = "it is there twice: one names the namespace that the other leaves to the cluster"
		default:
			d.Problem = malformed(object, d.Ref)
		}
		seen[d.Ref.Identity()] = true
		if d.Problem == "" {
			strip(object, d.Ref)
			p.Owner.mark(object)
			d.JSON = encode(object)
		}
		desired = append(desired, d)
	}
	return desired, nil
}

// malformed says what is wrong with an object that can't be sent as it is meant: a
// server would not say it, or not without repeating values.
func malformed(object map[string]any, ref gitops.ObjectRef) string {
	switch {
	case ref.Name == "":
		return "it has no metadata.name; generateName can't be applied, only created"
	case !isSegment(ref.Name):
		return fmt.Sprintf("its name can't be %s", manifest.Quote(ref.Name))
	case ref.Namespace != "" && !isSegment(ref.Namespace):
		return fmt.Sprintf("its namespace can't be %s", manifest.Quote(ref.Namespace))
	}
	for _, field := range []string{"labels", "annotations"} {
		v := at(object, "metadata")[field]
		if _, is := v.(map[string]any); v != nil && !is {
			return fmt.Sprintf("its metadata.%s is no mapping", field)
		}
	}
	if manifest.IsSecret(ref) {
		return malformedSecret(object)
	}
	return ""
}

// isSegment reports whether a text can be one segment of the path under which an
// object is served.
func isSegment(text string) bool {
	return text != "." && text != ".." && !strings.ContainsAny(text, "/%")
}

// malformedSecret says which of a Secret's values is none, and never what it is. A
// server would refuse it too, but its answer can't be shown.
func malformedSecret(secret map[string]any) string {
	for _, field := range []string{"data", "stringData"} {
		values, is := secret[field].(map[string]any)
		if !is && secret[field] != nil {
			return fmt.Sprintf("its %s is no mapping", field)
		}
		for _, key := range slices.Sorted(maps.Keys(values)) {
			name := "a key of its " + field
			if manifest.IsSecretKey(key) {
				name = field + "." + key
			}
			value, isText := values[key].(string)
			if !isText && values[key] != nil {
				return fmt.Sprintf("%s is no text; quote it", name)
			}
			if _, err := base64.StdEncoding.DecodeString(value); field == "data" && err != nil {
				return fmt.Sprintf("%s is not base64; write it under stringData", name)
			}
		}
	}
	return ""
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
	if object["aggregationRule"] != nil && ref.Group == "rbac.authorization.k8s.io" {
		delete(object, "rules") // a controller writes them; whoever sent some would fight it
	}
}

// fold writes a Secret's stringData into data: a server does so too, but keeps the
// one who sent it as the owner of the field that is gone.
func fold(secret map[string]any) {
	for key, value := range at(secret, "stringData") {
		entry(secret, "data")[key] = base64.StdEncoding.EncodeToString([]byte(text(value)))
	}
	delete(secret, "stringData")
}
