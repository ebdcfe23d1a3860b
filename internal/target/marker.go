package target

import (
	"bytes"
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"

	syaml "sigs.k8s.io/yaml"

	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/tree"
)

// Marker is what one file says about where targets are. It depends on the
// file's name and content alone, so it can be kept by object id.
type Marker struct {
	component bool     // a kustomization that only others can use
	builds    []string // what a kustomization builds upon: resources, bases, components
	mentions  []string // every text of it, since any could be a path
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
	if IsKustomization(file) {
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

// kustomization is what discovery reads of one. It is decoded as kustomize
// decodes its own, so that no spelling means one thing here and another there:
// through JSON, where aliases and merge keys are resolved, by field names of any
// case, the last one winning.
type kustomization struct {
	Kind         string            `json:"kind"`
	APIVersion   string            `json:"apiVersion"`
	Resources    []string          `json:"resources"`
	Bases        []string          `json:"bases"`
	Components   []string          `json:"components"`
	Generators   []json.RawMessage `json:"generators"`
	Transformers []json.RawMessage `json:"transformers"`
	Validators   []json.RawMessage `json:"validators"`
}

func (m *Marker) readKustomization(data []byte) {
	converted, err := syaml.YAMLToJSON(data)
	var k kustomization
	var all any
	if err != nil || json.Unmarshal(converted, &k) != nil || json.Unmarshal(converted, &all) != nil {
		return // whoever builds it says why it can't be
	}
	if group, _, _ := strings.Cut(k.APIVersion, "/"); group == "kustomize.toolkit.fluxcd.io" && len(k.Resources)+len(k.Bases)+len(k.Components) == 0 {
		return // another tool's object in a file of this name
	}
	m.read, m.claims = true, false
	m.component = k.Kind == "Component"
	m.plugins = len(k.Generators)+len(k.Transformers)+len(k.Validators) > 0
	m.builds = slices.Concat(k.Resources, k.Bases, k.Components)
	m.mention(all)
}

// mention collects every text that could be a path, keys included, whole and, as
// generators have it, behind "key=".
func (m *Marker) mention(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			m.mention(key)
			m.mention(v[key])
		}
	case []any:
		for _, item := range v {
			m.mention(item)
		}
	case string:
		m.mentions = append(m.mentions, v)
		if _, behind, keyed := strings.Cut(v, "="); keyed {
			m.mentions = append(m.mentions, behind)
		}
	}
}

// maxPath is the longest path in bytes that git and Linux allow.
const maxPath = 4096

// within returns the path that a kustomization in a directory means by a name;
// false if no file of the repository can have it.
func within(directory, name string) (string, bool) {
	joined := path.Join(directory, name)
	inside := name != "" && !path.IsAbs(name) && len(joined) <= maxPath && !strings.Contains(joined, "\x00") &&
		joined != ".." && !strings.HasPrefix(joined, "../")
	return joined, inside
}
