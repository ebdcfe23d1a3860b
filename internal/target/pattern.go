package target

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/settings"
)

// pattern is a path whose segments are names or captures.
type pattern []segment

type segment struct {
	text    string // a name, or what is captured
	capture bool
}

var capture = regexp.MustCompile(`^\{([a-z][a-z0-9_]*)\}$`)

func parsePattern(text string) (pattern, error) {
	if path.IsAbs(text) || path.Clean(text) != text || text == ".." || strings.HasPrefix(text, "../") {
		return nil, fmt.Errorf("the path %s must be relative to the repository's root, without \"..\", \"./\" or a slash at the end", manifest.Quote(text))
	}
	var segments pattern
	seen := map[string]bool{}
	for part := range strings.SplitSeq(text, "/") {
		if !strings.ContainsAny(part, "{}*?[") {
			segments = append(segments, segment{text: part})
			continue
		}
		found := capture.FindStringSubmatch(part)
		if found == nil {
			return nil, fmt.Errorf("the segment %s is neither a name nor a whole capture such as {app}", manifest.Quote(part))
		}
		if seen[found[1]] {
			return nil, fmt.Errorf("the capture {%s} is used twice; give one of them another name", found[1])
		}
		seen[found[1]] = true
		segments = append(segments, segment{text: found[1], capture: true})
	}
	return segments, nil
}

// match makes targets of the directories that the configured patterns name; the
// first pattern that fits a directory wins.
func (c Config) match(directories map[string]gitops.Renderer) Found {
	var found Found
	for directory, renderer := range directories {
		for _, pattern := range c.targets {
			captures, fits := pattern.captures(directory)
			if !fits {
				continue
			}
			if bad := badCapture(captures); bad != "" {
				found.Notes = append(found.Notes, fmt.Sprintf(
					"%s is no target: %s, which its name gives for {%s}, is not a DNS label", manifest.Quote(directory), manifest.Quote(captures[bad]), bad))
				break
			}
			environment, cluster := c.placeOf(directory)
			t := gitops.Target{Path: directory, Renderer: renderer,
				Environment: cmp.Or(captures["environment"], environment), Cluster: captures["cluster"]}
			if e := c.environment(t.Environment); t.Cluster == "" && (e == nil || len(e.Clusters) == 0) {
				t.Cluster = cluster
			}
			found.Targets = append(found.Targets, c.perCluster(t)...)
			break
		}
	}
	slices.Sort(found.Notes)
	found.Targets = sorted(found.Targets)
	return found
}

func (p pattern) captures(directory string) (map[string]string, bool) {
	if strings.Count(directory, "/")+1 != len(p) {
		return nil, false
	}
	captures := map[string]string{}
	for i, name := range strings.Split(directory, "/") {
		if p[i].capture {
			captures[p[i].text] = name
		} else if p[i].text != name {
			return nil, false
		}
	}
	return captures, true
}

func badCapture(captures map[string]string) string {
	var bad []string
	for name, value := range captures {
		if !settings.IsLabel(value) {
			bad = append(bad, name)
		}
	}
	if len(bad) == 0 {
		return ""
	}
	return slices.Min(bad)
}
