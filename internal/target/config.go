package target

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davitops/davit/internal/manifest"
)

// ConfigFile is where a repository says how it is deployed. It is optional, and
// read from the base branch only.
const ConfigFile = ".davit.yaml"

// Config is a repository's valid .davit.yaml. The zero value is a repository
// without one.
type Config struct {
	branch       string
	environments []Environment
	targets      []pattern
}

// Environment is a named set of clusters that are deployed alike.
type Environment struct {
	Name     string
	Clusters []string
}

// Branch is the branch that deploys; empty means the default branch.
func (c Config) Branch() string { return c.branch }

// Environments are the configured environments, in the order of the file.
func (c Config) Environments() []Environment { return slices.Clone(c.environments) }

func (c Config) environment(name string) *Environment {
	for i, e := range c.environments {
		if e.Name == name {
			return &c.environments[i]
		}
	}
	return nil
}

// ParseConfig reads a .davit.yaml strictly and reports everything that is wrong
// with it at once. With any problem the Config is of no use.
func ParseConfig(file string, data []byte) (Config, []manifest.Problem) {
	if problem := manifest.CheckYAML(file, data); problem != nil {
		return Config{}, []manifest.Problem{*problem}
	}
	p := parser{file: file}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	if err := decoder.Decode(&document); err != nil || len(document.Content) == 0 {
		p.fault(&yaml.Node{Line: 1}, "the file is empty; begin it with \"version: 1\", or remove it")
		return Config{}, p.problems
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		p.fault(&second, "the file holds more than one document; keep one")
	}
	config := p.config(document.Content[0])
	slices.SortStableFunc(p.problems, func(a, b manifest.Problem) int { return cmp.Compare(a.Line, b.Line) })
	return config, p.problems
}

// parser turns nodes into a Config and collects what is wrong with them.
type parser struct {
	file     string
	problems []manifest.Problem
}

func (p *parser) fault(at *yaml.Node, format string, args ...any) {
	p.problems = append(p.problems, manifest.Problem{
		Code: manifest.Invalid, File: p.file, Line: max(1, at.Line), Message: fmt.Sprintf(format, args...),
	})
}

func (p *parser) config(root *yaml.Node) Config {
	var c Config
	version := false
	p.fields(root, "the file", map[string]func(*yaml.Node){
		"version": func(n *yaml.Node) {
			version = true
			if n.Value != "1" {
				p.fault(n, "version %s is not known; this Davit reads version 1", manifest.Quote(n.Value))
			}
		},
		"branch":       func(n *yaml.Node) { c.branch = p.text(n, "branch") },
		"environments": func(n *yaml.Node) { c.environments = p.environments(n) },
		"targets":      func(n *yaml.Node) { c.targets = p.targets(n) },
	})
	if !version && root.Kind == yaml.MappingNode {
		p.fault(root, "version is missing; add \"version: 1\"")
	}
	return c
}

func (p *parser) environments(n *yaml.Node) []Environment {
	var environments []Environment
	if n.Kind != yaml.MappingNode {
		p.fault(n, "environments must map names to settings, for example \"staging: {cluster: staging}\"")
		return nil
	}
	for key, value := range manifest.Pairs(n) {
		e := Environment{Name: p.label(key, "an environment's name")}
		one := false
		p.fields(value, "environment "+manifest.Quote(e.Name), map[string]func(*yaml.Node){
			"cluster": func(n *yaml.Node) {
				one = true
				e.Clusters = append(e.Clusters, p.label(n, "a cluster's name"))
			},
			"clusters": func(n *yaml.Node) {
				if one {
					p.fault(n, "give either cluster or clusters, not both")
				}
				if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
					p.fault(n, "clusters must be a list of names, for example [eu, us]")
				}
				for _, item := range n.Content {
					name := p.label(item, "a cluster's name")
					if slices.Contains(e.Clusters, name) {
						p.fault(item, "cluster %s is listed twice", manifest.Quote(name))
					}
					e.Clusters = append(e.Clusters, name)
				}
			},
		})
		environments = append(environments, e)
	}
	return environments
}

func (p *parser) targets(n *yaml.Node) []pattern {
	var patterns []pattern
	if n.Kind != yaml.SequenceNode {
		p.fault(n, "targets must be a list, for example \"- path: apps/{app}/overlays/{environment}\"")
		return nil
	}
	for _, item := range n.Content {
		given := false
		p.fields(item, "a target", map[string]func(*yaml.Node){
			"path": func(n *yaml.Node) {
				given = true
				parsed, err := parsePattern(p.text(n, "path"))
				if err != nil {
					p.fault(n, "%s", err)
				}
				patterns = append(patterns, parsed)
			},
		})
		if !given {
			p.fault(item, "a target needs a path, for example \"path: apps/{app}\"")
		}
	}
	return patterns
}

// fields hands the value of each field to its reader and reports the fields
// that have none.
func (p *parser) fields(n *yaml.Node, what string, readers map[string]func(*yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		p.fault(n, "%s must be a mapping of fields", what)
		return
	}
	for key, value := range manifest.Pairs(n) {
		if read, known := readers[key.Value]; known {
			read(value)
			continue
		}
		names := make([]string, 0, len(readers))
		for name := range readers {
			names = append(names, name)
		}
		slices.Sort(names)
		p.fault(key, "%s has no field %s; %s", what, manifest.Quote(key.Value), suggest(key.Value, names))
	}
}

func (p *parser) text(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" || n.Value == "" {
		p.fault(n, "%s must be a text that is not empty", what)
	}
	return n.Value
}

func (p *parser) label(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode || !dnsLabel.MatchString(n.Value) {
		p.fault(n, "%s must be a DNS label (lower-case letters, digits and '-'), not %s", what, manifest.Quote(n.Value))
	}
	return n.Value
}

// suggest names the field that was probably meant, or all there are.
func suggest(given string, names []string) string {
	for _, name := range names {
		if distance(given, name) <= 2 {
			return "did you mean " + manifest.Quote(name) + "?"
		}
	}
	return "it has: " + strings.Join(names, ", ")
}

// distance is the number of single-character edits between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			edit := diagonal
			if a[i] != b[j] {
				edit = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], edit
		}
	}
	return row[len(b)]
}
