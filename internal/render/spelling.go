package render

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davitops/davit/internal/manifest"
)

// plainly returns a kustomization's nodes as kustomize understands them, however
// they are spelt: aliases and merge keys resolved, binary text decoded, top-level
// fields in the case that kustomize documents. Lines stay those of the file. The
// file must have passed manifest.Guard, which bounds what aliases expand to.
func plainly(root *yaml.Node) *yaml.Node {
	plain := resolved(root)
	for key := range manifest.Pairs(plain) {
		for field := range kustomizationFields {
			if strings.EqualFold(field, key.Value) {
				key.Value = field
			}
		}
	}
	return plain
}

func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return resolved(n.Alias)
	}
	plain := *n
	plain.Content = nil
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!binary" {
		var text string
		if n.Decode(&text) == nil {
			plain.Value, plain.Tag = text, "!!str"
		}
	}
	if n.Kind != yaml.MappingNode {
		for _, child := range n.Content {
			plain.Content = append(plain.Content, resolved(child))
		}
		return &plain
	}
	for key, value := range manifest.Pairs(n) {
		if key.ShortTag() != "!!merge" {
			plain.Content = append(plain.Content, resolved(key), resolved(value))
			continue
		}
		merged := resolved(value)
		if merged.Kind == yaml.MappingNode {
			plain.Content = append(plain.Content, merged.Content...)
		}
		for _, one := range merged.Content {
			if merged.Kind == yaml.SequenceNode && one.Kind == yaml.MappingNode {
				plain.Content = append(plain.Content, one.Content...)
			}
		}
	}
	return &plain
}
