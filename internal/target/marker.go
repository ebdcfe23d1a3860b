package target

import (
	"bytes"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/tree"
)

// Marker is what one file says about where targets are. It depends on the
// file's name and content alone, so it can be kept by object id.
type Marker struct {
	component bool     // a kustomization that only others can use
	builds    []string // what a kustomization builds upon: resources, bases, components
	mentions  []string // every string of it that could be a path
	read      bool     // a kustomization that could be read
	plugins   bool     // a kustomization with plugins, which may read what their own files name
	claims    bool     // it holds nothing but objects by which other deployers claim directories
	contents
}

// MarkerKey is what a Marker depends on: the content, and whether the file is a
// kustomization by its name.
type MarkerKey struct {
	id            string
	kustomization bool
}

// KeyOf is the key of an entry's marker.
func KeyOf(e tree.Entry) MarkerKey {
	return MarkerKey{id: e.ID, kustomization: IsKustomization(e.Path)}
}

// maxMarker is the largest file that is read to find targets. A larger
// kustomization is a target by its name; a larger file of objects is taken for
// one, since only bundles of generated objects are that large.
const maxMarker = 1 << 20

// DecodeMarker reads one marker file. A file that can't be read marks what its
// name says: whoever renders it reports why.
func DecodeMarker(file string, data []byte) Marker {
	if len(data) > maxMarker {
		return UnreadMarker(file)
	}
	if manifest.Guard(file, data) != nil {
		return Marker{contents: broken(data)}
	}
	marker := Marker{}
	headers, problem := manifest.Headers(file, data)
	if problem != nil {
		marker.contents = broken(data)
	}
	for _, h := range headers {
		marker.other = marker.other || !h.IsObject()
		marker.deployable = marker.deployable || h.IsObject() && !claims(h)
	}
	marker.claims = len(headers) > 0 && !marker.other && !marker.deployable && !marker.broken
	if IsKustomization(file) && !marker.claims {
		marker.readKustomization(data)
	}
	return marker
}

// broken is what a file that can't be read is taken for: a deployable object if
// it looks like one, so that its fault is told instead of passed over. Templates
// of other tools look like objects too, but for their braces.
func broken(data []byte) contents {
	looks := topLevel(data, "apiVersion:") && topLevel(data, "kind:") && !bytes.Contains(data, []byte("{{"))
	return contents{broken: true, deployable: looks}
}

func topLevel(data []byte, key string) bool {
	return bytes.HasPrefix(data, []byte(key)) || bytes.Contains(data, []byte("\n"+key))
}

// UnreadMarker is what a file that is too large to be read is taken for.
func UnreadMarker(file string) Marker {
	if IsKustomization(file) {
		return Marker{contents: contents{broken: true}}
	}
	return Marker{contents: contents{deployable: true}}
}

func (m *Marker) readKustomization(data []byte) {
	var document yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&document); err != nil || len(document.Content) == 0 {
		return
	}
	m.read = true
	for key, value := range manifest.Pairs(document.Content[0]) {
		switch key.Value {
		case "generators", "transformers", "validators":
			m.plugins = true
		case "kind":
			m.component = followed(value).Value == "Component"
		case "resources", "bases", "components":
			for _, item := range followed(value).Content {
				if name := followed(item).Value; isPath(name) {
					m.builds = append(m.builds, name)
				}
			}
		}
		m.mention(value)
	}
}

// followed is what an alias stands for, and any other node itself.
func followed(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// mention collects the scalars that could be a path, whole and, as generators
// have it, behind "key=".
func (m *Marker) mention(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		_, behind, _ := strings.Cut(n.Value, "=")
		for _, name := range []string{n.Value, behind} {
			if couldBePath(name) {
				m.mentions = append(m.mentions, name)
			}
		}
		return
	}
	for _, child := range n.Content {
		m.mention(child)
	}
}

// maxPath is the longest path in bytes that git and Linux allow.
const maxPath = 4096

func couldBePath(s string) bool {
	return s != "" && len(s) <= maxPath && !strings.ContainsAny(s, "\n\x00") && !path.IsAbs(s)
}

// isPath reports whether a string names a path rather than something remote.
func isPath(s string) bool { return couldBePath(s) && !strings.Contains(s, "://") }
