// Package target finds what a repository deploys: from the names of its files
// and the content of a few of them, by convention and by the repository's own
// .davit.yaml.
//
// It is pure: entries and decoded marker files in, targets out. It never renders
// anything, and never asks whether what it found can be rendered.
package target

import (
	"path"
	"slices"
	"strings"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/tree"
)

// Found is what Discover found: targets sorted by name, and sentences about
// directories that look like targets and are none. Spoiled are directories of
// YAML that are no targets only because a document in them is no Kubernetes
// object, or can't be read.
type Found struct {
	Targets []gitops.Target
	Notes   []string
	Spoiled []string
}

// Markers returns the entries whose content Discover wants to know: every
// kustomization, and the YAML files of directories that could be deployed as
// they are.
func Markers(entries []tree.Entry) []tree.Entry {
	tops := landmarks(entries)
	var wanted []tree.Entry
	for _, e := range entries {
		if e.Mode == tree.ModeLink || e.Mode == tree.ModeSubmodule || hidden(e.Path) {
			continue
		}
		if IsKustomization(e.Path) || isYAML(e.Path) && !tops.near(path.Dir(e.Path)) {
			wanted = append(wanted, e)
		}
	}
	return wanted
}

// Discover finds the targets of one revision. markers holds the decoded content
// of what Markers asked for.
func Discover(entries []tree.Entry, markers map[MarkerKey]Marker, config Config) Found {
	d := discovery{
		kustomizations: map[string]bool{}, builds: map[string][]string{}, plain: map[string]contents{}, mentioned: map[string]bool{},
	}
	for _, e := range Markers(entries) {
		d.add(e, markers[KeyOf(e)])
	}
	for _, e := range entries {
		// Where a link leads is for the renderer to say; its name is a kustomization's.
		if e.Mode == tree.ModeLink && IsKustomization(e.Path) && !hidden(e.Path) {
			d.kustomizations[path.Dir(e.Path)] = true
		}
	}
	directories := map[string]gitops.Renderer{}
	var spoiled []string
	for directory, has := range d.plain {
		switch {
		case d.mentioned[directory]:
		case has.deployable && !has.other:
			directories[directory] = gitops.Plain
		case has.other || has.broken:
			spoiled = append(spoiled, directory)
		}
	}
	found := d.choose(directories, config)
	slices.Sort(spoiled)
	found.Spoiled = spoiled
	return found
}

// choose adds the kustomizations to the plain directories and makes targets of
// what the configuration, or else convention, says are some.
func (d *discovery) choose(directories map[string]gitops.Renderer, config Config) Found {
	if len(config.targets) > 0 {
		for directory := range d.kustomizations {
			directories[directory] = gitops.Kustomize
		}
		return config.match(directories)
	}
	for _, directory := range d.roots() {
		directories[directory] = gitops.Kustomize
	}
	return config.byConvention(directories)
}

// roots are the kustomizations, Components aside, that no other one builds upon.
// Where what builds upon one is deployed by nobody itself, a Component without
// users or a circle, the one is a root all the same: nothing that can be deployed
// is lost.
func (d *discovery) roots() []string {
	var roots []string
	reached := map[string]bool{}
	for open := d.unreached(reached); len(open) > 0; open = d.unreached(reached) {
		named := map[string]bool{}
		for _, directory := range open {
			for _, below := range d.builds[directory] {
				d.reach(below, named)
			}
		}
		first := slices.DeleteFunc(slices.Clone(open), func(directory string) bool { return named[directory] })
		if len(first) == 0 {
			first = open[:1]
		}
		for _, root := range first {
			roots = append(roots, root)
			d.reach(root, reached)
		}
	}
	return roots
}

// unreached are the kustomizations that are no Components and not reached, sorted.
func (d *discovery) unreached(reached map[string]bool) []string {
	var open []string
	for directory, deployable := range d.kustomizations {
		if deployable && !reached[directory] {
			open = append(open, directory)
		}
	}
	slices.Sort(open)
	return open
}

func (d *discovery) reach(directory string, reached map[string]bool) {
	if reached[directory] {
		return
	}
	reached[directory] = true
	for _, below := range d.builds[directory] {
		d.reach(below, reached)
	}
}

// discovery collects what the markers say about directories.
type discovery struct {
	kustomizations map[string]bool     // directories with one; false for a Component
	builds         map[string][]string // the directories each builds upon
	plain          map[string]contents // directories of YAML
	mentioned      map[string]bool     // directories of files that a kustomization mentions
}

func (d *discovery) add(e tree.Entry, marker Marker) {
	directory := path.Dir(e.Path)
	if IsKustomization(e.Path) && !marker.claims {
		d.kustomizations[directory] = d.kustomizations[directory] || !marker.component
		for _, reference := range marker.builds {
			if named, inside := within(directory, reference); inside && named != directory {
				d.builds[directory] = append(d.builds[directory], named)
			}
		}
		for _, reference := range marker.mentions {
			if named, inside := within(directory, reference); inside && isYAML(named) {
				d.mentioned[path.Dir(named)] = true
			}
		}
		return
	}
	has := d.plain[directory]
	has.deployable = has.deployable || marker.deployable
	has.other = has.other || marker.other
	has.broken = has.broken || marker.broken
	d.plain[directory] = has
}

// contents is what the documents of one directory are, or of one file.
type contents struct {
	deployable bool // one at least is an object that this directory deploys
	other      bool // one at least is no Kubernetes object
	broken     bool // one at least can't be read; who renders the directory says why
}

// near is where plain directories can't be: in, above or below a directory with
// a kustomization or a chart.
type near struct{ at, above map[string]bool }

func landmarks(entries []tree.Entry) near {
	n := near{at: map[string]bool{}, above: map[string]bool{}}
	for _, e := range entries {
		if !IsKustomization(e.Path) && path.Base(e.Path) != "Chart.yaml" || hidden(e.Path) {
			continue
		}
		directory := path.Dir(e.Path)
		n.at[directory] = true
		for up := path.Dir(directory); !n.above[up]; up = path.Dir(up) {
			n.above[up] = true
		}
	}
	return n
}

func (n near) near(directory string) bool {
	if n.above[directory] {
		return true
	}
	for up := directory; ; up = path.Dir(up) {
		if n.at[up] {
			return true
		}
		if up == path.Dir(up) {
			return false
		}
	}
}

// kustomizationNames are the files kustomize looks for in a directory.
var kustomizationNames = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// Kustomizations are the paths at which a directory can have a kustomization.
func Kustomizations(directory string) []string {
	var files []string
	for _, name := range kustomizationNames {
		files = append(files, path.Join(directory, name))
	}
	return files
}

// IsKustomization reports whether a file has one of the names kustomize looks for.
func IsKustomization(file string) bool {
	return slices.Contains(kustomizationNames, path.Base(file))
}

func isYAML(file string) bool {
	return strings.HasSuffix(file, ".yaml") || strings.HasSuffix(file, ".yml")
}

// hidden reports whether a path lies in a directory that holds no deployments:
// one whose name begins with a dot, or one of policies. Files whose name begins
// with a dot are configuration.
func hidden(file string) bool {
	for segment := range strings.SplitSeq(file, "/") {
		if strings.HasPrefix(segment, ".") {
			return true
		}
	}
	return strings.HasPrefix(file, "policies/")
}

// sorted orders targets by name and marks those that share a path.
func sorted(targets []gitops.Target) []gitops.Target {
	count := map[string]int{}
	for _, t := range targets {
		count[t.Path]++
	}
	for i := range targets {
		targets[i].Shared = count[targets[i].Path] > 1
	}
	slices.SortFunc(targets, func(a, b gitops.Target) int { return strings.Compare(a.Name(), b.Name()) })
	return targets
}

// claims reports whether the object is one by which another deployer says which
// directories it deploys. A directory of nothing else deploys nothing itself.
func claims(h manifest.Header) bool {
	group, _, _ := strings.Cut(h.APIVersion, "/")
	switch group {
	case "argoproj.io":
		return h.Kind == "Application" || h.Kind == "ApplicationSet"
	case "kustomize.toolkit.fluxcd.io":
		return h.Kind == "Kustomization"
	}
	return false
}
