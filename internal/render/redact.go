package render

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"path"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/target"
)

// redact strikes out of a renderer's text every value that one of the files it
// read could mean to be secret. It errs on the side of striking out: what can't
// be read as YAML, and patches that don't say what they patch, count as secret.
func redact(read map[string][]byte, text string) string {
	r := redactor{read: read, eraser: newEraser(text)}
	for file, content := range read {
		r.file(file, content)
	}
	return r.eraser.String()
}

type redactor struct {
	read   map[string][]byte
	eraser *eraser
}

func (r *redactor) file(file string, content []byte) {
	err := eachDocument(content, func(root *yaml.Node) {
		if target.IsKustomization(file) && manifest.Guard(file, content) == nil {
			r.kustomization(path.Dir(file), plainly(root))
		}
		r.visit(root)
	})
	if err != nil && mentionsSecret(string(content)) {
		r.words(string(content))
	}
}

func eachDocument(content []byte, visit func(root *yaml.Node)) error {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(document.Content) > 0 {
			visit(document.Content[0])
		}
	}
}

func mentionsSecret(text string) bool { return strings.Contains(strings.ToLower(text), "secret") }

// visit takes the Secrets among a node and what is in it.
func (r *redactor) visit(n *yaml.Node) {
	if isSecretive(n) {
		r.secret(n)
		return
	}
	for _, child := range n.Content {
		r.visit(child)
	}
}

// isSecretive reports whether a node is a Secret, what generates or changes one,
// or the operations of a JSON patch, which don't say what they change.
func isSecretive(n *yaml.Node) bool {
	if n.Kind == yaml.SequenceNode {
		for _, item := range n.Content {
			if field(item, "op") != nil {
				return true
			}
		}
	}
	kind, version := field(n, "kind"), field(n, "apiVersion")
	return kind != nil && mentionsSecret(kind.Value) || version != nil && version.Value == "builtin"
}

// field is the value of a mapping's field, or nil. kustomize takes fields in any
// case.
func field(n *yaml.Node, name string) *yaml.Node {
	for key, value := range manifest.Pairs(n) {
		if strings.EqualFold(key.Value, name) {
			return value
		}
	}
	return nil
}

func (r *redactor) kustomization(directory string, root *yaml.Node) {
	for key, value := range manifest.Pairs(root) {
		switch key.Value {
		case "secretGenerator":
			r.secret(value)
		case "patches", "patchesJson6902":
			for _, patch := range value.Content {
				r.patch(directory, patch)
			}
		case "patchesStrategicMerge", "generators", "transformers", "validators":
			for _, item := range value.Content {
				if isInline(item.Value) {
					r.embedded(item.Value)
				}
			}
		case "replacements":
			for _, item := range value.Content {
				if literal := field(item, "sourceValue"); literal != nil {
					r.secret(literal)
				}
			}
		}
	}
}

// patch takes the values of one item of patches, in place or in a file.
func (r *redactor) patch(directory string, item *yaml.Node) {
	var texts []string
	for key, value := range manifest.Pairs(item) {
		switch strings.ToLower(key.Value) {
		case "patch":
			texts = append(texts, value.Value)
		case "path":
			texts = append(texts, string(r.read[path.Join(directory, value.Value)]))
		}
	}
	kind := ""
	if given := field(field(item, "target"), "kind"); given != nil {
		kind = given.Value
	}
	for _, text := range texts {
		switch {
		case mentionsSecret(kind) || kind != "" && !plainKind.MatchString(kind):
			r.whole(text)
		case kind == "" || mentionsSecret(text):
			r.embedded(text)
		}
	}
}

// plainKind is a kind that is no pattern.
var plainKind = regexp.MustCompile(`^[A-Za-z0-9]+$`)

// embedded takes the Secrets of YAML that stands in a string. A document that
// does not say what it is counts as one.
func (r *redactor) embedded(text string) {
	err := eachDocument([]byte(text), func(root *yaml.Node) {
		if field(root, "kind") == nil {
			r.secret(root)
			return
		}
		r.visit(root)
	})
	if err != nil {
		r.words(text)
	}
}

// whole takes all of a text that is known to be about a Secret.
func (r *redactor) whole(text string) {
	if err := eachDocument([]byte(text), r.secret); err != nil {
		r.words(text)
	}
}

// secret takes every scalar of a Secret, of a patch for one or of a generator's
// configuration, but what things are called, which a message must be able to say.
func (r *redactor) secret(root *yaml.Node) {
	if root.Kind == yaml.SequenceNode {
		for _, item := range root.Content {
			r.secret(item)
		}
		return
	}
	if root.Kind != yaml.MappingNode {
		r.scalars(root)
		return
	}
	r.comments(root)
	for key, value := range manifest.Pairs(root) {
		r.comments(key)
		switch key.Value {
		case "apiVersion", "kind", "type", "name", "namespace", "op", "path", "from", "behavior", "options", "target", "targets":
			if value.Kind == yaml.AliasNode {
				r.scalars(value)
			}
		case "metadata":
			r.metadata(value)
		case "files", "envs", "env":
			r.sources(value)
			r.scalars(value)
		case "items":
			r.secret(value)
		default:
			r.scalars(value)
		}
	}
}

func (r *redactor) metadata(n *yaml.Node) {
	for key, value := range manifest.Pairs(n) {
		switch key.Value {
		case "name", "namespace", "labels":
		default:
			r.scalars(value)
		}
	}
}

// sources takes the files that a generator of Secrets reads. A path is looked
// for at the end of those that were read: it may be relative to the kustomization
// that uses the generator instead of to the file that it stands in.
func (r *redactor) sources(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		name := n.Value
		if _, after, keyed := strings.Cut(name, "="); keyed {
			name = after
		}
		name = strings.TrimLeft(path.Clean("/"+name), "/")
		for file, content := range r.read {
			if file == name || strings.HasSuffix(file, "/"+name) || path.Base(file) == path.Base(name) {
				r.value(string(content))
				r.words(string(content))
			}
		}
	}
	for _, child := range n.Content {
		r.sources(child)
	}
}

// scalars takes every scalar below a node, the comments included.
func (r *redactor) scalars(n *yaml.Node) {
	r.comments(n)
	switch n.Kind {
	case yaml.AliasNode:
		r.scalars(n.Alias)
	case yaml.ScalarNode:
		r.value(n.Value)
		if strings.ContainsAny(n.Value, "\n=") {
			r.words(n.Value)
		}
	case yaml.MappingNode:
		for key, value := range manifest.Pairs(n) {
			if key.Kind != yaml.ScalarNode {
				r.scalars(key)
			}
			r.comments(key)
			r.scalars(value)
		}
	default:
		for _, child := range n.Content {
			r.scalars(child)
		}
	}
}

func (r *redactor) comments(n *yaml.Node) {
	for _, comment := range []string{n.HeadComment, n.LineComment, n.FootComment} {
		if comment != "" {
			r.words(comment)
		}
	}
}

// value takes a value in every form in which a message might repeat it: as it
// stands, line by line, and to and from base64.
func (r *redactor) value(value string) {
	r.eraser.strike(value)
	for line := range strings.Lines(value) {
		r.eraser.strike(strings.TrimSpace(line))
	}
	r.eraser.strike(base64.StdEncoding.EncodeToString([]byte(value)))
	if decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(value), "")); err == nil {
		r.eraser.strike(string(decoded))
	}
}

// words takes every line and every word of a text that is no field's name.
func (r *redactor) words(text string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		r.value(line)
		for _, separator := range []string{": ", "="} {
			if name, after, keyed := strings.Cut(line, separator); keyed {
				r.value(after)
				r.value(strings.Trim(after, `"' `))
				if !strings.Contains(name, " ") {
					line = after
				}
			}
		}
		for word := range strings.FieldsSeq(line) {
			r.value(strings.Trim(word, `"',[]{}`))
		}
	}
}
