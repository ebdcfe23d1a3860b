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

// Decode reads an object's identity from its canonical JSON.
func Decode(data []byte) (Object, error) {
	var head struct {
		APIVersion string
		Kind       string
		Metadata   struct{ Namespace, Name string }
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return Object{}, fmt.Errorf("read an object's identity: %w", err)
	}
	ref := gitops.ObjectRef{Version: head.APIVersion, Kind: head.Kind, Namespace: head.Metadata.Namespace, Name: head.Metadata.Name}
	if group, version, found := strings.Cut(head.APIVersion, "/"); found {
		ref.Group, ref.Version = group, version
	}
	return Object{Ref: ref, JSON: data}, nil
}

// maxQuoted is how many characters of somebody's text a message repeats.
const maxQuoted = 100

// Quote prints text from a manifest so that it can stand in a sentence: in
// quotes, control characters escaped, cut to a bound.
func Quote(text string) string {
	runes := []rune(text)
	if len(runes) > maxQuoted {
		text = string(runes[:maxQuoted]) + "…"
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
	Objects  []Object
	Problem  *Problem
	Warnings []string // the renderer's own words, safe to show
}
