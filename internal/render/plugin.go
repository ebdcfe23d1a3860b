package render

import (
	"bytes"
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v3"
	syaml "sigs.k8s.io/yaml"

	"github.com/davitops/davit/internal/manifest"
)

// plugin diagnoses an item of generators, transformers or validators: YAML that
// stands there, a file, or a directory that is built.
func (d *diagnosis) plugin(r reference) *manifest.Problem {
	if isInline(r.node.Value) {
		before := 0 // of the lines that stand in front of the first one of the text
		if r.node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
			before = 1
		}
		return pluginIn(r.file, r.node.Line-before, []byte(r.node.Value))
	}
	was := d.plugins
	d.plugins = true
	defer func() { d.plugins = was }()
	return d.resource(r)
}

// pluginIn finds the first plugin that would have to be run. Lines of data count
// from the line offset of file.
func pluginIn(file string, offset int, data []byte) *manifest.Problem {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var document yaml.Node
		if err := decoder.Decode(&document); err != nil {
			return nil
		}
		if len(document.Content) == 0 {
			continue
		}
		if problem := pluginProblem(document.Content[0]); problem != nil {
			problem.File, problem.Line = file, offset+problem.Line
			return problem
		}
	}
}

func pluginProblem(config *yaml.Node) *manifest.Problem {
	fields := map[string]*yaml.Node{}
	for key, value := range manifest.Pairs(config) {
		fields[key.Value] = value
	}
	version, kind := fields["apiVersion"], fields["kind"]
	if version == nil || kind == nil {
		return nil
	}
	if version.Value == "builtin" && kind.Value == "HelmChartInflationGenerator" {
		return &manifest.Problem{Code: manifest.HelmRefused, Line: kind.Line,
			Message: "this needs a Helm chart, which Davit does not render here; commit the rendered chart and name it in resources"}
	}
	if version.Value != "builtin" {
		return &manifest.Problem{Code: manifest.PluginRefused, Line: kind.Line,
			Message: fmt.Sprintf("the plugin %s is a program, and Davit runs none; commit what it generates, or use a built-in one", manifest.Quote(kind.Value))}
	}
	return nil
}

// isSchema reports whether a file of JSON or YAML has the shape of an OpenAPI
// document that kustomize can merge by.
func isSchema(data []byte) bool {
	converted, err := syaml.YAMLToJSON(data)
	if err != nil {
		return false
	}
	var schema struct {
		Definitions map[string]map[string]any `json:"definitions"`
	}
	return json.Unmarshal(converted, &schema) == nil && len(schema.Definitions) > 0
}
