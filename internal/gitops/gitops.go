// Package gitops holds the nouns that every room shares: what is deployed and
// what an object is called. It imports nothing of ours, knows no forge, no
// cluster and no file, and decides nothing; a fact's own type lives in the room
// that decides on it.
package gitops

import "strings"

// Repo names one repository: Forge is what the operator calls the forge that holds
// it, and Path where it is there, such as "acme/gitops".
type Repo struct{ Forge, Path string }

// String prints "github:acme/gitops".
func (r Repo) String() string { return r.Forge + ":" + r.Path }

// ParseRepo reads what String prints. It reports false if a part is missing.
func ParseRepo(text string) (Repo, bool) {
	forge, path, found := strings.Cut(text, ":")
	return Repo{Forge: forge, Path: path}, found && forge != "" && path != ""
}

// ObjectRef names one Kubernetes object. Group is empty for the core API;
// Namespace is empty for cluster-scoped objects and for objects that leave it
// to whoever applies them.
type ObjectRef struct {
	Group, Version, Kind, Namespace, Name string
}

// Identity is the reference without its version: the same object served under
// another version of its API is still the same object.
func (r ObjectRef) Identity() ObjectRef {
	r.Version = ""
	return r
}

// String prints "group/Kind namespace/name", leaving out what is empty.
func (r ObjectRef) String() string {
	var b strings.Builder
	if r.Group != "" {
		b.WriteString(r.Group + "/")
	}
	b.WriteString(r.Kind + " ")
	if r.Namespace != "" {
		b.WriteString(r.Namespace + "/")
	}
	b.WriteString(r.Name)
	return b.String()
}

// Compare orders references by namespace, kind, name, group and version, which
// is the order people look for an object in.
func (r ObjectRef) Compare(o ObjectRef) int {
	for _, pair := range [...][2]string{
		{r.Namespace, o.Namespace}, {r.Kind, o.Kind}, {r.Name, o.Name}, {r.Group, o.Group}, {r.Version, o.Version},
	} {
		if c := strings.Compare(pair[0], pair[1]); c != 0 {
			return c
		}
	}
	return 0
}

// Renderer names what turns a target's directory into objects.
type Renderer string

// The renderers there are.
const (
	Kustomize Renderer = "kustomize"
	Plain     Renderer = "plain" // a directory of YAML documents, each a Kubernetes object
)

// Target is one directory that is deployed as a unit. Path is slash-separated
// and relative to the repository's root, which is ".". Claimant is empty where
// nothing but the directory itself asks for the deployment. Environment and
// Cluster are empty where neither the path nor the configuration says them.
type Target struct {
	Path, Claimant, Cluster, Environment string
	Renderer                             Renderer
	// Shared says that other targets have the same path, so that the path alone
	// is not a name.
	Shared bool
}

// Name is the target's path, with #claimant and @cluster only where several
// targets share the path.
func (t Target) Name() string {
	name := t.Path
	if !t.Shared {
		return name
	}
	if t.Claimant != "" {
		name += "#" + t.Claimant
	}
	if t.Cluster != "" {
		name += "@" + t.Cluster
	}
	return name
}
