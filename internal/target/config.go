package target

import (
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/settings"
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
	window       time.Duration
	reverts      Reverts
}

// Environment is a named set of clusters that are deployed alike.
type Environment struct {
	Name      string
	Clusters  []string
	OnCommand bool          // after a merge, somebody has to say so
	After     []string      // the environments that come first
	Soak      time.Duration // how long they must have been healthy
}

// Reverts says what is done when a deployment fails.
type Reverts struct{ Never, Draft bool }

// DefaultWindow is how long a deployment is watched after everything is ready.
const DefaultWindow = 10 * time.Minute

// Branch is the branch that deploys; empty means the default branch.
func (c Config) Branch() string { return c.branch }

// Environments are the configured environments, in the order of the file.
func (c Config) Environments() []Environment { return slices.Clone(c.environments) }

// Environment returns what is configured for an environment: nothing, if it is known by
// convention alone.
func (c Config) Environment(name string) Environment {
	if e := c.environment(name); e != nil {
		return *e
	}
	return Environment{Name: name}
}

// Window is how long a deployment is watched after everything is ready.
func (c Config) Window() time.Duration {
	if c.window == 0 {
		return DefaultWindow
	}
	return c.window
}

// Reverts says what is done when a deployment fails.
func (c Config) Reverts() Reverts { return c.reverts }

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
	maxListed   = 1000 // environments, and targets
	maxClusters = 100  // in an environment
)

// ParseConfig reads a .davit.yaml strictly and reports everything that is wrong
// with it at once. With any problem the Config is of no use.
func ParseConfig(file string, data []byte) (Config, []manifest.Problem) {
	const begin = "version: 1"
	var c Config
	problems := settings.Read(file, data, begin, func(r *settings.Reader, root *yaml.Node) {
		version := false
		r.Fields(root, "the file", begin, settings.Fields{
			"version": func(n *yaml.Node) {
				version = true
				if n.Value != "1" {
					r.Fault(n, "version %s is not known; this Davit reads version 1", manifest.Quote(n.Value))
				}
			},
			"branch":       func(n *yaml.Node) { c.branch = r.Text(n, "branch", "main") },
			"environments": func(n *yaml.Node) { c.environments = readEnvironments(r, n) },
			"targets":      func(n *yaml.Node) { c.targets = readTargets(r, n) },
			"health":       func(n *yaml.Node) { c.window = readWindow(r, n) },
			"revert":       func(n *yaml.Node) { c.reverts = readReverts(r, n) },
		})
		if !version && root.Kind == yaml.MappingNode {
			r.Fault(root, "version is missing; add \"version: 1\"")
		}
	})
	return c, problems
}

func readEnvironments(r *settings.Reader, n *yaml.Node) []Environment {
	if n.Kind != yaml.MappingNode {
		r.Fault(n, "environments must map names to settings, for example \"staging: {cluster: staging}\"")
		return nil
	}
	if len(n.Content)/2 > maxListed {
		r.Fault(n, "environments are limited to %d; remove some", maxListed)
		return nil
	}
	var environments []Environment
	for key, value := range manifest.Pairs(n) {
		e := Environment{Name: r.Label(key, "an environment's name")}
		var one, many *yaml.Node
		r.Fields(value, "environment "+manifest.Quote(e.Name), "cluster: staging", settings.Fields{
			"cluster":  func(n *yaml.Node) { one = n },
			"clusters": func(n *yaml.Node) { many = n },
			"apply":    func(n *yaml.Node) { e.OnCommand = readApply(r, n) },
			"after":    func(n *yaml.Node) { e.After = readAfter(r, n) },
			"soak":     func(n *yaml.Node) { e.Soak = r.Duration(n, "soak", 0, maxSoak) },
		})
		switch {
		case one != nil && many != nil:
			r.Fault(many, "give either cluster or clusters, not both")
		case one != nil:
			e.Clusters = []string{r.Label(one, "a cluster's name")}
		case many != nil:
			e.Clusters = readClusters(r, many)
		}
		environments = append(environments, e)
	}
	if circle := circleOf(environments); circle != "" {
		r.Fault(n, "the environment %s comes after itself; remove an \"after\" of the circle", manifest.Quote(circle))
	}
	return environments
}

// Limits on times: what is longer is a mistake, and a rollout waits that long.
const (
	maxSoak   = 7 * 24 * time.Hour
	minWindow = time.Second
	maxWindow = 24 * time.Hour
)

func readApply(r *settings.Reader, n *yaml.Node) (onCommand bool) {
	switch mode := r.Text(n, "apply", "on-merge"); mode {
	case "", "on-merge":
	case "on-command":
		return true
	default:
		r.Fault(n, "apply must be on-merge or on-command, not %s", manifest.Quote(mode))
	}
	return false
}

func readAfter(r *settings.Reader, n *yaml.Node) []string {
	var names []string
	for _, item := range r.Items(n, maxListed, "after must be a list of environments, for example [staging]", "after is limited to %d environments") {
		names = append(names, r.Label(item, "an environment's name"))
	}
	return names
}

// circleOf is an environment that waits for itself, if there is one.
func circleOf(environments []Environment) string {
	after := map[string][]string{}
	for _, e := range environments {
		after[e.Name] = e.After
	}
	const walking, walked = 1, 2
	state := map[string]int{}
	var walk func(name string) bool
	walk = func(name string) bool {
		if state[name] != 0 {
			return state[name] == walking
		}
		state[name] = walking
		circle := slices.ContainsFunc(after[name], walk)
		state[name] = walked
		return circle
	}
	for _, e := range environments {
		if walk(e.Name) {
			return e.Name
		}
	}
	return ""
}

func readWindow(r *settings.Reader, n *yaml.Node) (window time.Duration) {
	r.Fields(n, "health", "window: 10m", settings.Fields{
		"window": func(n *yaml.Node) { window = r.Duration(n, "window", minWindow, maxWindow) },
	})
	return window
}

func readReverts(r *settings.Reader, n *yaml.Node) (reverts Reverts) {
	r.Fields(n, "revert", "open: true", settings.Fields{
		"open":  func(n *yaml.Node) { reverts.Never = !r.Flag(n, "open") },
		"draft": func(n *yaml.Node) { reverts.Draft = r.Flag(n, "draft") },
	})
	return reverts
}

func readClusters(r *settings.Reader, n *yaml.Node) []string {
	var clusters []string
	for _, item := range r.Items(n, maxClusters,
		"clusters must be a list of names, for example [eu, us]",
		"clusters are limited to %d in an environment; make several environments") {
		name := r.Label(item, "a cluster's name")
		if name != "" && slices.Contains(clusters, name) {
			r.Fault(item, "cluster %s is listed twice; keep one", manifest.Quote(name))
		}
		clusters = append(clusters, name)
	}
	return clusters
}

func readTargets(r *settings.Reader, n *yaml.Node) []pattern {
	var patterns []pattern
	for _, item := range r.Items(n, maxListed,
		"targets must be a list, for example \"- path: apps/{app}/overlays/{environment}\"; without the field, conventions find them",
		"targets are limited to %d; replace some by a pattern such as apps/{app}") {
		given := item.Kind != yaml.MappingNode // of another kind, that is the fault
		r.Fields(item, "a target", "path: apps/{app}", settings.Fields{
			"path": func(n *yaml.Node) {
				given = true
				text := r.Text(n, "path", "apps/{app}")
				if text == "" {
					return
				}
				parsed, err := parsePattern(text)
				if err != nil {
					r.Fault(n, "%s", err)
				}
				patterns = append(patterns, parsed)
			},
		})
		if !given {
			r.Fault(item, "a target needs a path, for example \"path: apps/{app}\"")
		}
	}
	return patterns
}
