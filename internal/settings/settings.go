// Package settings reads configuration files of YAML strictly: every field must be
// known and every value of the right kind, and all that is wrong is said at once,
// with line and remedy. A repository's file and the operator's are read alike.
//
// It knows how to read, and never what a file is about: the fields, their meaning
// and their defaults are the caller's. It opens no file and follows no alias.
package settings

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/davitops/davit/internal/manifest"
)

// Limits on any file: a pull request may propose one.
const (
	maxBytes    = 256 << 10
	maxProblems = 50 // reported
)

// Reader reads the nodes of one file and collects what is wrong with them.
type Reader struct {
	file     string
	problems []manifest.Problem
}

// Read hands the root of a file's only document to a function and returns what is
// wrong with the file, sorted by line. The function is not called if the file can't
// be read at all. begin is what such a file could begin with, to show to somebody
// whose file is empty.
func Read(file string, data []byte, begin string, read func(r *Reader, root *yaml.Node)) []manifest.Problem {
	r := &Reader{file: file}
	if len(data) > maxBytes {
		r.Fault(&yaml.Node{}, "the file is larger than %d KiB; replace lists by patterns", maxBytes>>10)
		return r.problems
	}
	if problem := manifest.CheckYAML(file, data); problem != nil {
		return []manifest.Problem{*problem}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	if err := decoder.Decode(&document); err != nil || len(document.Content) == 0 {
		r.Fault(&yaml.Node{}, "the file is empty; begin it with \"%s\", or remove it", begin)
		return r.problems
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		r.Fault(&second, "the file holds more than one document; keep one")
	}
	if alias := firstAlias(&document); alias != nil {
		r.Fault(alias, "the alias *%s is not followed here; write the value out", alias.Value)
		return r.problems
	}
	read(r, document.Content[0])
	slices.SortStableFunc(r.problems, func(a, b manifest.Problem) int { return cmp.Compare(a.Line, b.Line) })
	return r.problems
}

func firstAlias(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n
	}
	for _, child := range n.Content {
		if alias := firstAlias(child); alias != nil {
			return alias
		}
	}
	return nil
}

// Fault notes what is wrong at a node, in a sentence that ends with the remedy.
func (r *Reader) Fault(at *yaml.Node, format string, args ...any) {
	if len(r.problems) == maxProblems {
		return
	}
	r.problems = append(r.problems, manifest.Problem{
		Code: manifest.Invalid, File: r.file, Line: max(1, at.Line), Message: fmt.Sprintf(format, args...),
	})
}

// Fields are the fields of a mapping, each with the function that reads its value.
type Fields map[string]func(*yaml.Node)

// Fields reads the fields of a mapping, in the file's order, and faults those that
// are not known.
func (r *Reader) Fields(n *yaml.Node, what, example string, fields Fields) {
	if n.Kind != yaml.MappingNode {
		r.Fault(n, "%s must be a mapping of fields, for example \"%s\"", what, example)
		return
	}
	for key, value := range manifest.Pairs(n) {
		if read, known := fields[key.Value]; known {
			read(value)
			continue
		}
		names := slices.Sorted(maps.Keys(fields))
		r.Fault(key, "%s has no field %s; %s", what, manifest.Quote(key.Value), Suggest(key.Value, names, "it has: "+strings.Join(names, ", ")))
	}
}

// Items returns the items of a list, or nothing and a fault: otherwise, if it is no
// list or an empty one, or tooMany, whose %d is what it may have at most.
func (r *Reader) Items(n *yaml.Node, most int, otherwise, tooMany string) []*yaml.Node {
	switch {
	case n.Kind != yaml.SequenceNode || len(n.Content) == 0:
		r.Fault(n, "%s", otherwise)
		return nil
	case len(n.Content) > most:
		r.Fault(n, tooMany, most)
		return nil
	}
	return n.Content
}

// Text returns a text, or nothing and a fault.
func (r *Reader) Text(n *yaml.Node, what, example string) string {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" || n.Value == "" {
		r.Fault(n, "%s must be a text that is not empty, for example %s", what, example)
		return ""
	}
	return n.Value
}

// Flag returns true or false, or false and a fault. Unlike YAML 1.1 it takes no
// "yes" and no "on".
func (r *Reader) Flag(n *yaml.Node, what string) bool {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
		r.Fault(n, "%s must be true or false", what)
		return false
	}
	return strings.EqualFold(n.Value, "true")
}

// Duration returns a length of time, or zero and a fault.
func (r *Reader) Duration(n *yaml.Node, what string, least, most time.Duration) time.Duration {
	d, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || d < least || d > most {
		r.Fault(n, "%s must be a duration from %s to %s, for example 10m", what, least, most)
		return 0
	}
	return d
}

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// IsLabel reports whether a name is a DNS label, as those of clusters, environments
// and namespaces are.
func IsLabel(name string) bool { return dnsLabel.MatchString(name) }

// Label returns a DNS label, or nothing and a fault. A number can be one, but null
// and true are what YAML makes of words that were meant as names.
func (r *Reader) Label(n *yaml.Node, what string) string {
	isName := n.Kind == yaml.ScalarNode && (n.ShortTag() == "!!str" || n.ShortTag() == "!!int")
	switch {
	case isName && IsLabel(n.Value):
		return n.Value
	case n.Kind != yaml.ScalarNode || n.Value == "":
		r.Fault(n, "%s must be a DNS label (lower-case letters, digits and '-')", what)
	case !isName:
		r.Fault(n, "%s must be a DNS label (lower-case letters, digits and '-'), which %s is only in quotes", what, manifest.Quote(n.Value))
	default:
		r.Fault(n, "%s must be a DNS label (lower-case letters, digits and '-'), not %s", what, manifest.Quote(n.Value))
	}
	return ""
}
