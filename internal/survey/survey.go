// Package survey says what a change does to everything a repository deploys: it
// finds the targets of two revisions, renders those whose inputs differ, compares
// what came out and has it judged. The bot, the command line and CI use it alike.
//
// It knows no forge, no database and no process: trees, renderer and judge are
// handed in. It never reports one side's failure as the other side's deletions.
package survey

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/davitops/davit/internal/diff"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/plan"
	"github.com/davitops/davit/internal/policy"
	"github.com/davitops/davit/internal/report"
	"github.com/davitops/davit/internal/target"
	"github.com/davitops/davit/internal/tree"
)

// Tree is the files of one revision.
type Tree interface {
	tree.Files
	Entries() []tree.Entry
}

// Renderer turns a target's files into objects and says what it read. hints are
// paths that it probably reads.
type Renderer interface {
	Render(ctx context.Context, files tree.Files, t gitops.Target, hints []string) (manifest.Rendering, tree.Record, error)
}

// Judge finds what is wrong with the objects of changes, on either side. An error
// that wraps a *manifest.Problem is the objects' doing: they are not judged then,
// and the survey says so and goes on.
type Judge interface {
	Judge(ctx context.Context, kubernetes string, changes []diff.Change) (base, head []policy.Finding, err error)
}

// Planner asks a target's cluster what applying objects would do. removed says that
// the target is gone and has no objects. An error that wraps a *plan.Problem is told
// of the target, and the survey goes on.
type Planner interface {
	Plan(ctx context.Context, t gitops.Target, objects []manifest.Object, removed bool) (plan.Plan, error)
	// Kubernetes is the version of a target's cluster, "1.36"; empty if nobody knows.
	Kubernetes(ctx context.Context, t gitops.Target) string
}

// Surveyor does surveys.
type Surveyor struct {
	Renderer Renderer
	Judge    Judge
	Planner  Planner // nil: no cluster is asked
	Parallel int     // renders at a time
}

// Question is what a survey is about. Base and Head are trees; Head is what Base
// becomes when the change is merged.
type Question struct {
	Base, Head Tree
	Path       string // only targets at or below it; empty or "." means all
	Kubernetes string // version of the clusters, "1.36"; empty: the planner is asked
	All        bool   // targets that the change does not affect too
	// Progress, if not nil, is called after each directory that is rendered, and after
	// each target that is planned, from any goroutine.
	Progress func(phase Phase, done, total int)
}

// Phase is what a survey is at.
type Phase string

// The phases.
const (
	Rendering Phase = "rendering"
	Planning  Phase = "planning"
)

// Run answers a question. The answer's commits and notes about them are the
// caller's to fill in. An error is nothing the change could have caused.
func (s Surveyor) Run(ctx context.Context, q Question) (report.Preview, error) {
	begin := time.Now()
	found, err := discover(q)
	if err != nil {
		return report.Preview{}, err
	}
	work := directories(found.base.Targets, found.head.Targets, q.Path)
	if err := passOver(q, found.markers, work); err != nil {
		return report.Preview{}, err
	}
	if err := s.render(ctx, q, work); err != nil {
		return report.Preview{}, err
	}
	if err := s.plan(ctx, q, work); err != nil {
		return report.Preview{}, err
	}
	preview := report.Preview{Version: 1, Targets: []report.Target{}, Errors: found.errors, Notes: found.notes}
	if stray, err := strays(q, found.markers, work); err != nil {
		return report.Preview{}, err
	} else if stray != "" {
		preview.Notes = append(preview.Notes, stray)
	}
	masker := learn(q, work)
	live := masker.Apart()
	for _, d := range work {
		preview.Stats.Targets += len(d.targets())
		preview.Stats.Rendered += d.renders()
		if !d.affected {
			preview.Stats.Cached++
		}
		if !d.affected && !q.All {
			continue
		}
		if d.base != nil && d.head != nil && d.base.rendering.Problem != nil && d.head.rendering.Problem == nil {
			preview.Notes = append(preview.Notes, fmt.Sprintf("%s can't be rendered on the base branch, so everything in it is shown as new.", d.path))
		}
		told, err := s.tell(ctx, q, d, maskers{masker, live})
		if err != nil {
			return report.Preview{}, err
		}
		if d.affected {
			preview.Stats.Affected += len(told)
		}
		preview.Targets = append(preview.Targets, told...)
	}
	slices.SortFunc(preview.Targets, func(a, b report.Target) int { return strings.Compare(a.Name, b.Name) })
	preview.Stats.Ms = time.Since(begin).Milliseconds()
	return preview, nil
}

// learn makes the masker of a report: it knows every Secret of what is told
// before anything is.
func learn(q Question, work []*directory) *manifest.Masker {
	var masker manifest.Masker
	for _, d := range work {
		if !d.affected && !q.All {
			continue
		}
		for _, s := range []*side{d.base, d.head} {
			if s == nil {
				continue
			}
			for _, o := range s.rendering.Objects {
				if manifest.IsSecret(o.Ref) {
					masker.Learn(o.JSON)
				}
			}
		}
		for _, p := range d.plans {
			p.learn(&masker)
		}
	}
	return &masker
}

// directory is one source directory, rendered once for all targets it is the
// source of.
type directory struct {
	path       string
	base, head *side
	touched    []string // the changed paths that rendering it could read
	untouched  bool     // there are none, for certain
	affected   bool
	why        []string           // the paths it reads that differ
	plans      map[string]planned // by the target's name; nil if no cluster is asked
}

// side is a directory at one revision.
type side struct {
	targets   []gitops.Target
	rendering manifest.Rendering
	record    tree.Record // nil if not rendered, or if the worker died
	rendered  bool
}

func directories(base, head []gitops.Target, below string) []*directory {
	byPath := map[string]*directory{}
	place := func(t gitops.Target) *directory {
		d, known := byPath[t.Path]
		if !known {
			d = &directory{path: t.Path}
			byPath[t.Path] = d
		}
		return d
	}
	add := func(s **side, t gitops.Target) {
		if *s == nil {
			*s = &side{}
		}
		(*s).targets = append((*s).targets, t)
	}
	for _, t := range base {
		if isBelow(t.Path, below) {
			add(&place(t).base, t)
		}
	}
	for _, t := range head {
		if isBelow(t.Path, below) {
			add(&place(t).head, t)
		}
	}
	return slices.SortedFunc(maps.Values(byPath), func(a, b *directory) int { return strings.Compare(a.path, b.path) })
}

func isBelow(directory, top string) bool {
	return top == "" || top == "." || directory == top || strings.HasPrefix(directory, top+"/")
}

// targets are those of both sides, by name.
func (d *directory) targets() map[string]gitops.Target {
	all := map[string]gitops.Target{}
	for _, s := range []*side{d.base, d.head} {
		if s != nil {
			for _, t := range s.targets {
				all[t.Name()] = t
			}
		}
	}
	return all
}

func (d *directory) renders() int {
	count := 0
	for _, s := range []*side{d.base, d.head} {
		if s != nil && s.rendered {
			count++
		}
	}
	return count
}

// render renders what has to be rendered, several directories at a time.
func (s Surveyor) render(ctx context.Context, q Question, work []*directory) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, s.Parallel))
	var done atomic.Int64
	for _, d := range work {
		group.Go(func() error {
			if err := s.renderBoth(ctx, q, d); err != nil {
				return fmt.Errorf("survey %s: %w", d.path, err)
			}
			if q.Progress != nil {
				q.Progress(Rendering, int(done.Add(1)), len(work))
			}
			return nil
		})
	}
	return group.Wait()
}

// renderBoth renders base, and head if what base read differs there.
func (s Surveyor) renderBoth(ctx context.Context, q Question, d *directory) error {
	if d.untouched && !q.All {
		return nil
	}
	if d.base != nil {
		if err := s.renderSide(ctx, q.Base, d.base, nil); err != nil {
			return err
		}
	}
	if d.head == nil {
		d.affected = true
		return nil
	}
	var hints []string
	if d.base != nil && d.base.targets[0].Renderer == d.head.targets[0].Renderer && d.base.record != nil {
		var err error
		if d.why, err = d.base.record.Changed(q.Head); err != nil {
			return err
		}
		failing := d.base.rendering.Problem != nil
		if len(d.why) == 0 && failing {
			// What a failed render did not come to read may have changed: that it can't
			// be compared has to be said.
			d.why = d.touched
		}
		if len(d.why) == 0 && sameTargets(d.base.targets, d.head.targets) {
			d.head.rendering = d.base.rendering
			return nil
		}
		hints = d.base.record.Paths()
	}
	d.affected = true
	return s.renderSide(ctx, q.Head, d.head, hints)
}

// passOver marks the directories that the change can't affect, so that the cost
// is that of the change and not of the repository.
func passOver(q Question, markers map[target.MarkerKey]target.Marker, work []*directory) error {
	changed := changedPaths(q.Base.Entries(), q.Head.Entries())
	for _, d := range work {
		if d.base == nil || d.head == nil || !sameTargets(d.base.targets, d.head.targets) {
			continue
		}
		reach, known, err := target.ReachOf(d.base.targets[0], q.Base, markers)
		if err != nil {
			return fmt.Errorf("survey %s: %w", d.path, err)
		}
		for _, c := range changed {
			if reach.Touches(c) {
				d.touched = append(d.touched, c)
			}
		}
		d.untouched = known && len(d.touched) == 0
	}
	return nil
}

// changedPaths are the paths at which two revisions have different entries.
func changedPaths(base, head []tree.Entry) []string {
	was := make(map[string]tree.Entry, len(base))
	for _, e := range base {
		was[e.Path] = e
	}
	var changed []string
	for _, e := range head {
		if was[e.Path] != e {
			changed = append(changed, e.Path)
		}
		delete(was, e.Path)
	}
	for gone := range was {
		changed = append(changed, gone)
	}
	return changed
}

func sameTargets(a, b []gitops.Target) bool {
	return slices.EqualFunc(a, b, func(a, b gitops.Target) bool { return a.Name() == b.Name() && a.Renderer == b.Renderer })
}

func (s Surveyor) renderSide(ctx context.Context, files Tree, side *side, hints []string) error {
	var err error
	side.rendering, side.record, err = s.Renderer.Render(ctx, files, side.targets[0], hints)
	side.rendered = err == nil
	return err
}
