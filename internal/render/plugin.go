package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
	syaml "sigs.k8s.io/yaml"

	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/tree"
)

// plugin diagnoses an item of generators, transformers or validators: YAML that
// stands there, a file, or a directory that is built.
func (d *diagnosis) plugin(r reference) *manifest.Problem {
	if strings.Contains(r.node.Value, "\n") {
		return pluginIn(r.file, r.node.Line, []byte(r.node.Value))
	}
	fact, problem := d.find(r, r.node.Value)
	switch {
	case problem != nil:
		return problem
	case fact.Kind == tree.Dir:
		return d.base(r, fact)
	}
	if problem := d.objects(fact); problem != nil {
		return problem
	}
	return pluginIn(fact.Path, 0, fact.Data)
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
