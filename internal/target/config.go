package target

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
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

// Limits on a .davit.yaml. Discovery tries every pattern on every directory, and
// makes a target for each cluster; a pull request may propose any configuration.
const (
	maxConfig   = 256 << 10 // bytes
	maxListed   = 1000      // environments, and targets
	maxClusters = 100       // in an environment
	maxProblems = 50        // reported
)

// ParseConfig reads a .davit.yaml strictly and reports everything that is wrong
// with it at once. With any problem the Config is of no use.
func ParseConfig(file string, data []byte) (Config, []manifest.Problem) {
	p := parser{file: file}
	if len(data) > maxConfig {
		p.fault(&yaml.Node{}, "the file is larger than %d KiB; replace lists of targets by patterns", maxConfig>>10)
		return Config{}, p.problems
	}
	if problem := manifest.CheckYAML(file, data); problem != nil {
		return Config{}, []manifest.Problem{*problem}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	if err := decoder.Decode(&document); err != nil || len(document.Content) == 0 {
		p.fault(&yaml.Node{}, "the file is empty; begin it with \"version: 1\", or remove it")
		return Config{}, p.problems
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		p.fault(&second, "the file holds more than one document; keep one")
	}
	if alias := firstAlias(&document); alias != nil {
		p.fault(alias, "the alias *%s is not followed here; write the value out", alias.Value)
		return Config{}, p.problems
	}
	config := p.config(document.Content[0])
	slices.SortStableFunc(p.problems, func(a, b manifest.Problem) int { return cmp.Compare(a.Line, b.Line) })
	return config, p.problems
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

// parser turns nodes into a Config and collects what is wrong with them.
type parser struct {
	file     string
	problems []manifest.Problem
}

func (p *parser) fault(at *yaml.Node, format string, args ...any) {
	if len(p.problems) == maxProblems {
		return
	}
	p.problems = append(p.problems, manifest.Problem{
		Code: manifest.Invalid, File: p.file, Line: max(1, at.Line), Message: fmt.Sprintf(format, args...),
	})
}

func (p *parser) config(root *yaml.Node) Config {
	var c Config
	version := false
	p.fields(root, "the file", "version: 1", map[string]func(*yaml.Node){
		"version": func(n *yaml.Node) {
			version = true
			if n.Value != "1" {
				p.fault(n, "version %s is not known; this Davit reads version 1", manifest.Quote(n.Value))
			}
		},
		"branch":       func(n *yaml.Node) { c.branch = p.text(n, "branch", "main") },
		"environments": func(n *yaml.Node) { c.environments = p.environments(n) },
		"targets":      func(n *yaml.Node) { c.targets = p.targets(n) },
	})
	if !version && root.Kind == yaml.MappingNode {
		p.fault(root, "version is missing; add \"version: 1\"")
	}
	return c
}

func (p *parser) environments(n *yaml.Node) []Environment {
	if n.Kind != yaml.MappingNode {
		p.fault(n, "environments must map names to settings, for example \"staging: {cluster: staging}\"")
		return nil
	}
	if len(n.Content)/2 > maxListed {
		p.fault(n, "environments are limited to %d; remove some", maxListed)
		return nil
	}
	var environments []Environment
	for key, value := range manifest.Pairs(n) {
		e := Environment{Name: p.label(key, "an environment's name")}
		var one, many *yaml.Node
		p.fields(value, "environment "+manifest.Quote(e.Name), "cluster: staging", map[string]func(*yaml.Node){
			"cluster":  func(n *yaml.Node) { one = n },
			"clusters": func(n *yaml.Node) { many = n },
		})
		switch {
		case one != nil && many != nil:
			p.fault(many, "give either cluster or clusters, not both")
		case one != nil:
			e.Clusters = []string{p.label(one, "a cluster's name")}
		case many != nil:
			e.Clusters = p.clusters(many)
		}
		environments = append(environments, e)
	}
	return environments
}

func (p *parser) clusters(n *yaml.Node) []string {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		p.fault(n, "clusters must be a list of names, for example [eu, us]")
		return nil
	}
	if len(n.Content) > maxClusters {
		p.fault(n, "clusters are limited to %d in an environment; make several environments", maxClusters)
		return nil
	}
	var clusters []string
	for _, item := range n.Content {
		name := p.label(item, "a cluster's name")
		if name != "" && slices.Contains(clusters, name) {
			p.fault(item, "cluster %s is listed twice; keep one", manifest.Quote(name))
		}
		clusters = append(clusters, name)
	}
	return clusters
}

func (p *parser) targets(n *yaml.Node) []pattern {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		p.fault(n, "targets must be a list, for example \"- path: apps/{app}/overlays/{environment}\"; without the field, conventions find them")
		return nil
	}
	if len(n.Content) > maxListed {
		p.fault(n, "targets are limited to %d; replace some by a pattern such as apps/{app}", maxListed)
		return nil
	}
	var patterns []pattern
	for _, item := range n.Content {
		given := item.Kind != yaml.MappingNode // of another kind, that is the fault
		p.fields(item, "a target", "path: apps/{app}", map[string]func(*yaml.Node){
			"path": func(n *yaml.Node) {
				given = true
				text := p.text(n, "path", "apps/{app}")
				if text == "" {
					return
				}
				parsed, err := parsePattern(text)
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
func (p *parser) fields(n *yaml.Node, what, example string, readers map[string]func(*yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		p.fault(n, "%s must be a mapping of fields, for example \"%s\"", what, example)
		return
	}
	for key, value := range manifest.Pairs(n) {
		if read, known := readers[key.Value]; known {
			read(value)
			continue
		}
		p.fault(key, "%s has no field %s; %s", what, manifest.Quote(key.Value), suggest(key.Value, slices.Sorted(maps.Keys(readers))))
	}
}

// text returns a text, or nothing and a fault.
func (p *parser) text(n *yaml.Node, what, example string) string {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" || n.Value == "" {
		p.fault(n, "%s must be a text that is not empty, for example %s", what, example)
		return ""
	}
	return n.Value
}

// label returns a DNS label, or nothing and a fault. A number can be one, but
// null and true are what YAML makes of words that were meant as names.
func (p *parser) label(n *yaml.Node, what string) string {
	isName := n.Kind == yaml.ScalarNode && (n.ShortTag() == "!!str" || n.ShortTag() == "!!int")
	switch {
	case isName && dnsLabel.MatchString(n.Value):
		return n.Value
	case n.Kind != yaml.ScalarNode || n.Value == "":
		p.fault(n, "%s must be a DNS label (lower-case letters, digits and '-')", what)
	case !isName:
		p.fault(n, "%s must be a DNS label (lower-case letters, digits and '-'), which %s is only in quotes", what, manifest.Quote(n.Value))
	default:
		p.fault(n, "%s must be a DNS label (lower-case letters, digits and '-'), not %s", what, manifest.Quote(n.Value))
	}
	return ""
}

// suggest names the field that was probably meant, or all there are.
func suggest(given string, names []string) string {
	const near = 2
	for _, name := range names {
		if len(given) <= len(name)+near && distance(given, name) <= near {
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
