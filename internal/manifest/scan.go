package manifest

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Header is what a document says it is, and the line it says so at.
type Header struct {
	APIVersion, Kind, Namespace, Name string
	Line                              int // of "kind:", counted from 1
}

// IsObject reports whether the document claims to be a Kubernetes object. A
// List has no name of its own.
func (h Header) IsObject() bool {
	return h.APIVersion != "" && h.Kind != "" && (h.Name != "" || strings.HasSuffix(h.Kind, "List"))
}

// Headers returns the header of every document of a file that is not empty,
// in order. The file must have passed Guard.
func Headers(file string, data []byte) ([]Header, *Problem) {
	var headers []Header
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return headers, nil
		}
		if err != nil {
			return nil, syntax(file, err)
		}
		if header, empty := headerOf(&document); !empty {
			headers = append(headers, header)
		}
	}
}

func headerOf(document *yaml.Node) (header Header, empty bool) {
	if len(document.Content) == 0 || document.Content[0].ShortTag() == "!!null" {
		return header, true
	}
	root := document.Content[0]
	header.Line = root.Line
	for key, value := range Pairs(root) {
		switch key.Value {
		case "apiVersion":
			header.APIVersion = followed(value).Value
		case "kind":
			header.Kind, header.Line = followed(value).Value, key.Line
		case "metadata":
			for k, v := range Pairs(followed(value)) {
				switch k.Value {
				case "name":
					header.Name = followed(v).Value
				case "namespace":
					header.Namespace = followed(v).Value
				}
			}
		}
	}
	return header, false
}

// followed is what an alias stands for, and any other node itself.
func followed(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// Pairs yields the keys and values of a mapping; of anything else, nothing.
func Pairs(n *yaml.Node) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if n == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}
