package manifest

import (
	"bytes"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Document is one document of a file, kept as it was written, so that the lines of
// its fields can be found.
type Document struct {
	Header
	root *yaml.Node
}

// Documents returns the documents of a file that are not empty, up to the first
// that can't be read. The file must have passed Guard.
func Documents(data []byte) []Document {
	var documents []Document
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var document yaml.Node
		if err := decoder.Decode(&document); err != nil {
			return documents
		}
		if header, empty := headerOf(&document); !empty {
			documents = append(documents, Document{Header: header, root: document.Content[0]})
		}
	}
}

// Find looks for a field given as policies name it: spec.containers[name=web].image.
// It returns the line of as much of it as is there, and how many steps of it that
// is; the document's own line and 0 if it is nothing.
func (d Document) Find(field string) (line, steps int) {
	line, node := d.Line, d.root
	for _, step := range fieldSteps(field) {
		found, at := follow(node, step)
		if found == nil {
			return line, steps
		}
		node, line = found, at
		steps++
	}
	return line, steps
}

// fieldSteps splits a field into names and, in brackets, keys of items.
func fieldSteps(field string) []string {
	var steps []string
	for field != "" {
		switch end := strings.IndexAny(field, ".["); {
		case field[0] == '[':
			closing := strings.IndexByte(field, ']')
			if closing < 0 {
				return steps
			}
			steps, field = append(steps, field[:closing]), field[closing+1:]
		case end < 0:
			return append(steps, field)
		case end == 0:
			field = field[1:]
		default:
			steps, field = append(steps, field[:end]), field[end:]
		}
	}
	return steps
}

// follow takes one step and returns what is there and its line.
func follow(n *yaml.Node, step string) (*yaml.Node, int) {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	inBrackets, isItem := strings.CutPrefix(step, "[")
	name, value, keyed := strings.Cut(inBrackets, "=")
	switch {
	case n.Kind == yaml.MappingNode:
		for key, v := range Pairs(n) {
			if key.Value == inBrackets {
				return v, key.Line
			}
		}
	case n.Kind == yaml.SequenceNode && keyed:
		for _, item := range n.Content {
			if v, _ := follow(item, name); item.Kind == yaml.MappingNode && v != nil && v.Value == value {
				return item, item.Line
			}
		}
	case n.Kind == yaml.SequenceNode && isItem:
		if at, err := strconv.Atoi(inBrackets); err == nil && at >= 0 && at < len(n.Content) {
			return n.Content[at], n.Content[at].Line
		}
	}
	return nil, 0
}
