package survey

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/davitops/davit/internal/diff"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/plan"
	"github.com/davitops/davit/internal/report"
	"github.com/davitops/davit/internal/target"
)

// Affected is a target of which two revisions do not have the same objects.
type Affected struct {
	Target  gitops.Target
	Removed bool // the later revision does not have it
}

// Deployed is what the later of two revisions deploys otherwise.
type Deployed struct {
	Config   target.Config // as the later one has it
	Problems []manifest.Problem
	Affected []Affected
}

// Affected finds the targets that differ between two revisions of a branch that is
// deployed, or go to another cluster: what they left in the old one stays there. With a
// problem in the later one's configuration nothing is known. A target that can't be rendered is affected if its files are.
func (s Surveyor) Affected(ctx context.Context, q Question) (Deployed, error) {
	later, err := readConfig(q.Head)
	if err != nil || len(later.problems) > 0 {
		return Deployed{Problems: later.problems}, err
	}
	before, err := readConfig(q.Base)
	if err != nil {
		return Deployed{}, err
	}
	if len(before.problems) > 0 {
		before = later // nobody knows what it was meant to say
	}
	found, err := discoverBy(q, before.config, later.config)
	if err != nil {
		return Deployed{}, err
	}
	work := directories(found.base.Targets, found.head.Targets, q.Path)
	if err := passOver(q, found.markers, work); err != nil {
		return Deployed{}, err
	}
	if err := s.render(ctx, q, work); err != nil {
		return Deployed{}, err
	}
	d := Deployed{Config: later.config}
	for _, directory := range work {
		same, err := directory.same()
		if err != nil {
			return Deployed{}, fmt.Errorf("survey %s: %w", directory.path, err)
		}
		for name, t := range directory.targets() {
			removed := !isOn(directory.head, name)
			if directory.affected && !same || removed || !isOn(directory.base, name) || moved(directory, name) {
				d.Affected = append(d.Affected, Affected{Target: t, Removed: removed})
			}
		}
	}
	slices.SortFunc(d.Affected, func(a, b Affected) int { return strings.Compare(a.Target.Name(), b.Target.Name()) })
	return d, nil
}

// discoverBy finds the targets of both revisions, each by a configuration.
func discoverBy(q Question, base, head target.Config) (found, error) {
	f := found{markers: map[target.MarkerKey]target.Marker{}}
	for _, t := range []Tree{q.Base, q.Head} {
		if err := readMarkers(t, f.markers); err != nil {
			return f, err
		}
	}
	f.base = target.Discover(q.Base.Entries(), f.markers, base)
	f.head = target.Discover(q.Head.Entries(), f.markers, head)
	keepSpoiled(f.base, &f.head)
	return f, nil
}

// moved reports whether a target of both sides goes to another cluster on the later one.
func moved(d *directory, name string) bool {
	find := func(s *side) gitops.Target {
		return s.targets[slices.IndexFunc(s.targets, func(t gitops.Target) bool { return t.Name() == name })]
	}
	return find(d.base).Cluster != find(d.head).Cluster
}

// same reports whether a directory renders to the same objects on both sides.
func (d *directory) same() (bool, error) {
	if d.base == nil || d.head == nil || d.base.rendering.Problem != nil || d.head.rendering.Problem != nil {
		return false, nil
	}
	changes, err := diff.Sets(d.base.rendering.Objects, d.head.rendering.Objects, &manifest.Masker{})
	return len(changes) == 0, err
}

// Masker knows the Secrets among some objects, and those that a plan has found.
func Masker(objects []manifest.Object, p plan.Plan) *manifest.Masker {
	masker := manifest.MaskerOf(objects)
	planned{plan: p}.learn(masker)
	return masker.Apart()
}

// Told is a plan as people are told it, without what git says.
func Told(t gitops.Target, p plan.Plan, masker *manifest.Masker) (report.Target, error) {
	o := outcome{Target: report.Target{
		Name: t.Name(), Path: t.Path, Claimant: t.Claimant, Renderer: string(t.Renderer), Environment: t.Environment, Cluster: t.Cluster,
		Status: report.Changed, Why: []string{}, Changes: []report.Change{},
	}}
	err := planned{plan: p}.tell(&o, masker)
	for i := range o.Changes {
		o.Changes[i].Planned.Alone = true
	}
	return o.Target, err
}

// Changed are the paths of files at which two revisions differ.
func Changed(base, head Tree) []string {
	changed := changedPaths(base.Entries(), head.Entries())
	slices.Sort(changed)
	return changed
}

// Readers are the names of the targets that could read one of some files.
func (s Surveyor) Readers(files Tree, paths []string) ([]string, error) {
	config, err := readConfig(files)
	if err != nil {
		return nil, err
	}
	found, err := discoverBy(Question{Base: files, Head: files}, config.config, config.config)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, t := range found.head.Targets {
		reach, known, err := target.ReachOf(t, files, found.markers)
		if err != nil {
			return nil, fmt.Errorf("survey %s: %w", t.Name(), err)
		}
		if !known || slices.ContainsFunc(paths, reach.Touches) {
			names = append(names, t.Name())
		}
	}
	return names, nil
}
