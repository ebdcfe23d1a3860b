package target

import (
	"slices"
	"strings"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/settings"
)

// environmentWords are the names of directories that name an environment
// wherever they stand in a path.
var environmentWords = []string{
	"dev", "development", "test", "testing", "qa", "uat", "staging", "stage", "preprod", "pre-production",
	"prod", "production", "sandbox", "demo",
}

// environmentParents are the directories whose children are environments.
var environmentParents = []string{"overlays", "environments", "envs", "env"}

// byConvention makes targets of directories whose environment and cluster are
// what their paths say.
func (c Config) byConvention(directories map[string]gitops.Renderer) Found {
	var targets []gitops.Target
	for directory, renderer := range directories {
		environment, cluster := c.placeOf(directory)
		targets = append(targets, c.perCluster(gitops.Target{
			Path: directory, Renderer: renderer, Environment: environment, Cluster: cluster,
		})...)
	}
	return Found{Targets: sorted(targets)}
}

// placeOf reads environment and cluster out of a path. The deepest segment that
// says something wins: a path narrows down from left to right.
func (c Config) placeOf(directory string) (environment, cluster string) {
	segments := strings.Split(directory, "/")
	for i, segment := range segments {
		if !settings.IsLabel(segment) {
			continue
		}
		parent := ""
		if i > 0 {
			parent = segments[i-1]
		}
		if parent == "clusters" {
			cluster = segment
		}
		if slices.Contains(environmentParents, parent) || slices.Contains(environmentWords, segment) || c.environment(segment) != nil {
			environment = segment
		}
	}
	return environment, cluster
}

// perCluster gives a target the clusters that its environment has, one target
// each, unless its path names one.
func (c Config) perCluster(t gitops.Target) []gitops.Target {
	environment := c.environment(t.Environment)
	if t.Cluster != "" || environment == nil || len(environment.Clusters) == 0 {
		return []gitops.Target{t}
	}
	var targets []gitops.Target
	for _, cluster := range environment.Clusters {
		t.Cluster = cluster
		targets = append(targets, t)
	}
	return targets
}
