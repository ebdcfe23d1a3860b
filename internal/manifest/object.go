package manifest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/davitops/davit/internal/gitops"
)

// Object is one rendered Kubernetes object. JSON is canonical: keys sorted, no
// white space, so that equal objects are equal bytes.
type Object struct {
	Ref    gitops.ObjectRef
	JSON   json.RawMessage
	Origin Origin
}

// Origin is where in the repository an object was written down, if the renderer
// knows; a kustomization's objects come from several files, and theirs is empty.
type Origin struct {
	File string
	Line int
}

// Decode reads an object's identity from its canonical JSON. Names of fields are
// read as an API server reads them, letter by letter: encoding/json would take
// "Kind" for "kind", and a Secret for whatever that says.
func Decode(data []byte) (Object, error) {
	var object, metadata map[string]json.RawMessage
	err := json.Unmarshal(data, &object)
	if err == nil && object["metadata"] != nil {
		err = json.Unmarshal(object["metadata"], &metadata)
	}
	if err != nil {
		return Object{}, fmt.Errorf("read an object's identity: %w", err)
	}
	var apiVersion string
	ref := gitops.ObjectRef{}
	for _, field := range []struct {
		of   map[string]json.RawMessage
		name string
		into *string
	}{
		{object, "apiVersion", &apiVersion}, {object, "kind", &ref.Kind},
		{metadata, "namespace", &ref.Namespace}, {metadata, "name", &ref.Name},
	} {
		if value := field.of[field.name]; value != nil {
			if err := json.Unmarshal(value, field.into); err != nil {
				return Object{}, fmt.Errorf("read an object's %s: %w", field.name, err)
			}
		}
	}
	ref.Version = apiVersion
	if group, version, found := strings.Cut(apiVersion, "/"); found {
		ref.Group, ref.Version = group, version
	}
	return Object{Ref: ref, JSON: data}, nil
}

// maxQuoted is how many characters of somebody's text a message repeats.
const maxQuoted = 100

// Quote prints text from a manifest so that it can stand in a sentence: in
// quotes, control characters escaped, cut to a bound.
func Quote(text string) string {
	characters := 0
	for at := range text {
		if characters++; characters > maxQuoted {
			text = text[:at] + "…"
			break
		}
	}
	return strconv.QuoteToGraphic(strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, text))
}

// Rendering is what became of one target at one revision: its objects, or the
// one problem that kept it from having any. Both empty is a target that renders
// to nothing.
type Rendering struct {
	Objects []Object
	Problem *Problem
}
