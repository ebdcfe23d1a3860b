package render

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davitops/davit/internal/manifest"
)

// struck stands for a value in a message that may not be shown.
const struck = "***"

// redact strikes out of a renderer's text every value that one of the files it
// read could mean to be secret. It errs on the side of striking out: the values
// of a file that mentions Secrets and can't be read as YAML are all of its words.
func redact(read map[string][]byte, text string) string {
	r := redactor{read: read, values: map[string]bool{}}
	for file, content := range read {
		r.file(file, content)
	}
	values := make([]string, 0, len(r.values))
	for value := range r.values {
		values = append(values, value)
	}
	// The longest first, or what is left of a long value would stay.
	slices.SortFunc(values, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	for _, value := range values {
		text = strings.ReplaceAll(text, value, struck)
	}
	return text
}

// minValue is the shortest value that is struck out; shorter ones are parts of
// ordinary words, and are no secret to speak of.
const minValue = 4

type redactor struct {
	read   map[string][]byte
	values map[string]bool
}

func (r *redactor) file(file string, content []byte) {
	if !mentionsSecret(content) {
		return
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				r.words(string(content))
			}
			return
		}
		if len(document.Content) > 0 {
			r.document(file, document.Content[0])
		}
	}
}

func mentionsSecret(content []byte) bool {
	return bytes.Contains(content, []byte("ecret"))
}

// document takes the values of a Secret, of a patch, and of what generates a
// Secret; a kustomization's other strings are names.
func (r *redactor) document(file string, root *yaml.Node) {
	kustomization := false
	for key, value := range manifest.Pairs(root) {
		switch key.Value {
		case "secretGenerator":
			kustomization = true
			r.generator(path.Dir(file), value)
		case "patches", "patchesStrategicMerge", "patchesJson6902", "generators", "transformers":
			kustomization = true
			r.inline(value)
		}
	}
	if !kustomization {
		r.scalars(root, "")
	}
}

// generator takes the literals of secretGenerator and the files it reads.
func (r *redactor) generator(directory string, n *yaml.Node) {
	for _, item := range n.Content {
		for key, value := range manifest.Pairs(item) {
			for _, scalar := range append(value.Content, value) {
				if scalar.Kind != yaml.ScalarNode {
					continue
				}
				name, after, keyed := strings.Cut(scalar.Value, "=")
				if keyed {
					name = after
				}
				switch key.Value {
				case "literals":
					r.value(scalar.Value)
					r.value(name)
				case "files", "envs", "env":
					content := string(r.read[path.Join(directory, name)])
					r.value(content)
					r.words(content)
				}
			}
		}
	}
}

// inline takes the values of YAML inside the strings of YAML.
func (r *redactor) inline(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && mentionsSecret([]byte(n.Value)) || n.Kind == yaml.MappingNode && targetsSecret(n) {
		r.scalars(n, "")
	}
	for _, child := range n.Content {
		r.inline(child)
	}
}

func targetsSecret(patch *yaml.Node) bool {
	for key, value := range manifest.Pairs(patch) {
		if key.Value == "target" {
			for k, v := range manifest.Pairs(value) {
				if k.Value == "kind" && v.Value == "Secret" {
					return true
				}
			}
		}
	}
	return false
}

// nameFields hold what an object is called, which a message must be able to say.
var nameFields = map[string]bool{"apiVersion": true, "kind": true, "name": true, "namespace": true, "type": true, "path": true, "op": true}

// scalars takes every scalar below a node but the names of things.
func (r *redactor) scalars(n *yaml.Node, field string) {
	switch {
	case n.Kind == yaml.MappingNode:
		for key, value := range manifest.Pairs(n) {
			r.scalars(value, key.Value)
		}
	case n.Kind == yaml.ScalarNode && !nameFields[field]:
		r.value(n.Value)
		if field == "patch" || strings.Contains(n.Value, "\n") {
			r.words(n.Value)
		}
	default:
		for _, child := range n.Content {
			r.scalars(child, field)
		}
	}
}

// value takes a value in every form in which a message might repeat it: whole,
// as parsers cut it short, line by line, and to and from base64.
func (r *redactor) value(value string) {
	r.add(value)
	if len(value) > 10 {
		r.add(value[:7] + "...")
	}
	for line := range strings.Lines(value) {
		r.add(strings.TrimSpace(line))
	}
	r.add(base64.StdEncoding.EncodeToString([]byte(value)))
	if decoded, err := base64.StdEncoding.DecodeString(value); err == nil {
		r.add(string(decoded))
	}
}

// words takes every word of a text that is no name of a field.
func (r *redactor) words(text string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if _, after, keyed := strings.Cut(line, ": "); keyed {
			line = after
		} else if _, after, keyed := strings.Cut(line, "="); keyed {
			line = after
		}
		r.value(strings.Trim(line, `"' `))
		for word := range strings.FieldsSeq(line) {
			r.value(strings.Trim(word, `"',[]{}`))
		}
	}
}

func (r *redactor) add(value string) {
	if len(value) >= minValue {
		r.values[value] = true
	}
}
