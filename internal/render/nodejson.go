package render

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// errUncommon says that a node holds something rare that only kustomize's own,
// much slower conversion gets right in the same way.
var errUncommon = errors.New("uncommon node")

// appendJSON appends the canonical JSON of a node: keys sorted, no white space.
// It gives byte for byte what kustomize's Resource.MarshalJSON gives, in a
// sixteenth of the time, or errUncommon.
func appendJSON(out []byte, n *yaml.Node) ([]byte, error) {
	switch n.Kind {
	case yaml.DocumentNode:
		if len(n.Content) != 1 {
			return nil, errUncommon
		}
		return appendJSON(out, n.Content[0])
	case yaml.AliasNode:
		return appendJSON(out, n.Alias)
	case yaml.MappingNode:
		return appendMapping(out, n)
	case yaml.SequenceNode:
		out = append(out, '[')
		for i, item := range n.Content {
			if i > 0 {
				out = append(out, ',')
			}
			var err error
			if out, err = appendJSON(out, item); err != nil {
				return nil, err
			}
		}
		return append(out, ']'), nil
	case yaml.ScalarNode:
		return appendScalar(out, n)
	}
	return nil, errUncommon
}

func appendMapping(out []byte, n *yaml.Node) ([]byte, error) {
	order := make([]int, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Kind != yaml.ScalarNode || n.Content[i].ShortTag() != "!!str" {
			return nil, errUncommon
		}
		order = append(order, i)
	}
	slices.SortFunc(order, func(a, b int) int {
		switch ka, kb := n.Content[a].Value, n.Content[b].Value; {
		case ka < kb:
			return -1
		case ka > kb:
			return 1
		}
		return 0
	})
	out = append(out, '{')
	for i, at := range order {
		if i > 0 {
			if n.Content[at].Value == n.Content[order[i-1]].Value {
				return nil, errUncommon
			}
			out = append(out, ',')
		}
		var err error
		if out, err = appendString(out, n.Content[at].Value); err != nil {
			return nil, err
		}
		out = append(out, ':')
		if out, err = appendJSON(out, n.Content[at+1]); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

func appendScalar(out []byte, n *yaml.Node) ([]byte, error) {
	switch n.ShortTag() {
	case "!!str":
		// kustomize prints a node before it reads it, and printing folded text can
		// change it.
		if n.Style&yaml.FoldedStyle != 0 && strings.Contains(strings.TrimSuffix(n.Value, "\n"), "\n") {
			return nil, errUncommon
		}
		return appendString(out, n.Value)
	case "!!null":
		// Where nothing is written, kustomize's answer depends on where that is.
		if n.Value == "null" || n.Value == "~" {
			return append(out, "null"...), nil
		}
	case "!!bool":
		if n.Value == "true" || n.Value == "false" {
			return append(out, n.Value...), nil
		}
	case "!!int":
		if isPlainInteger(n.Value) {
			return append(out, n.Value...), nil
		}
	}
	return nil, errUncommon
}

// appendString escapes as encoding/json does, which all other JSON here comes from.
func appendString(out []byte, s string) ([]byte, error) {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || c >= 0x7f {
			quoted, err := json.Marshal(s)
			return append(out, quoted...), err
		}
	}
	out = append(out, '"')
	out = append(out, s...)
	return append(out, '"'), nil
}

// isPlainInteger reports whether a number is written as JSON would write it, and
// small enough that no conversion rounds it.
func isPlainInteger(s string) bool {
	if len(s) > 18 || s == "-0" {
		return false
	}
	v, err := strconv.ParseInt(s, 10, 64)
	return err == nil && strconv.FormatInt(v, 10) == s
}
