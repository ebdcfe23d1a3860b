package survey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/davitops/davit/internal/diff"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/plan"
	"github.com/davitops/davit/internal/report"
)

// planned is what a cluster said of one target: a plan, or why there is none.
type planned struct {
	plan    plan.Plan
	problem *plan.Problem
}

// errand is one target that a cluster is asked about.
type errand struct {
	directory *directory
	target    gitops.Target
	objects   []manifest.Object
	removed   bool
}

// plan asks the clusters about every target that is told, several at a time.
func (s Surveyor) plan(ctx context.Context, q Question, work []*directory) error {
	if s.Planner == nil {
		return nil
	}
	todo := errands(q, work)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, s.Parallel))
	var mu sync.Mutex
	done := 0
	for _, e := range todo {
		group.Go(func() error {
			p, err := s.ask(ctx, e)
			if err != nil {
				return fmt.Errorf("plan %s: %w", e.target.Name(), err)
			}
			mu.Lock()
			defer mu.Unlock()
			e.directory.plans[e.target.Name()] = p
			if done++; q.Progress != nil {
				q.Progress(Planning, done, len(todo))
			}
			return nil
		})
	}
	return group.Wait()
}

// errands are the targets to ask about. What can't be rendered is none: nobody knows
// what it would deploy.
func errands(q Question, work []*directory) []errand {
	var todo []errand
	for _, d := range work {
		if !d.affected && !q.All {
			continue
		}
		d.plans = map[string]planned{}
		for name, t := range d.targets() {
			e := errand{directory: d, target: t, removed: !isOn(d.head, name)}
			if !e.removed {
				if d.head.rendering.Problem != nil {
					continue
				}
				e.objects = d.head.rendering.Objects
			}
			todo = append(todo, e)
		}
	}
	return todo
}

func (s Surveyor) ask(ctx context.Context, e errand) (planned, error) {
	p, err := s.Planner.Plan(ctx, e.target, e.objects, e.removed)
	var problem *plan.Problem
	if errors.As(err, &problem) {
		return planned{problem: problem}, nil
	}
	return planned{plan: p}, err
}

// learn teaches a masker the Secrets that a cluster holds.
func (p planned) learn(masker *manifest.Masker) {
	for _, c := range p.plan.Changes {
		if manifest.IsSecret(c.Ref) {
			masker.Learn(c.Before)
			masker.Learn(c.After)
		}
	}
}

// tell adds to what is told of a target what happens to it in its cluster.
func (p planned) tell(t *outcome, masker *manifest.Masker) error {
	if p.problem != nil {
		t.Live = &report.Live{Unplanned: &report.Unplanned{Code: string(p.problem.Code), Message: p.problem.Message}}
		return nil
	}
	t.Live = &report.Live{Digest: p.plan.Digest, Unmanaged: p.plan.Unmanaged, Hidden: p.plan.Hidden, Classes: map[string]int{}, Effects: p.plan.Effects()}
	for class, count := range p.plan.Count() {
		t.Classes[string(class)] = count
	}
	t.Changes = slices.Clone(t.Changes)
	for _, c := range p.plan.Changes {
		at := slices.IndexFunc(t.Changes, func(told report.Change) bool { return told.Planned == nil && isSame(told, c) })
		if at < 0 && c.Class == plan.NoOp {
			continue
		}
		live, err := described(c, masker)
		if err != nil {
			return err
		}
		if at < 0 {
			t.Changes = append(t.Changes, report.Change{
				Action: action(c), Group: c.Ref.Group, Version: c.Ref.Version, Kind: c.Ref.Kind,
				Namespace: c.Ref.Namespace, Name: c.Ref.Name, Object: c.Ref.String(), Planned: live,
			})
			continue
		}
		git := diff.States{Before: t.changes[at].Before, After: t.changes[at].After}
		if live.Same, err = diff.Same(git, diff.States{Before: c.Before, After: c.After}); err != nil {
			return fmt.Errorf("compare what happens to %s: %w", c.Ref, err)
		}
		t.Changes[at].Planned = live
	}
	for i := range t.Changes {
		if t.Changes[i].Planned == nil && !p.plan.Hidden {
			t.Changes[i].Planned = &report.Planned{
				Class: string(plan.NoOp), Risks: []string{}, Reason: "Davit did not deploy it, so it is not deleted",
			}
		}
	}
	return nil
}

// isSame reports whether a change in git is of an object of a cluster. One that git
// deletes was rendered before, and maybe without the namespace that it has.
func isSame(told report.Change, c plan.Change) bool {
	ref := c.Rendered
	if ref == (gitops.ObjectRef{}) {
		ref = c.Ref
		if told.Namespace == "" {
			ref.Namespace = ""
		}
	}
	return told.Group == ref.Group && told.Kind == ref.Kind && told.Namespace == ref.Namespace && told.Name == ref.Name
}

// action is the change's action as far as an object of a cluster goes.
func action(c plan.Change) string {
	switch {
	case c.Class == plan.Delete || c.Class == plan.Forget:
		return string(diff.Delete)
	case c.Live.UID == "":
		return string(diff.Create)
	}
	return string(diff.Update)
}

// described is a planned change as it may be shown.
func described(c plan.Change, masker *manifest.Masker) (*report.Planned, error) {
	told := &report.Planned{Class: string(c.Class), Risks: []string{}, Reason: masker.Text(c.Reason), Others: c.Others}
	for _, r := range c.Risks {
		told.Risks = append(told.Risks, string(r))
	}
	for _, taken := range c.TakenFrom {
		told.Takes = append(told.Takes, strings.Join(taken.Fields, ", ")+" from "+taken.Manager)
	}
	for _, w := range c.Warnings {
		told.Warnings = append(told.Warnings, masker.Text(w))
	}
	if c.Before == nil && c.After == nil {
		return told, nil
	}
	var err error
	if told.Live, err = diff.Text(c.Ref, c.Before, c.After, masker); err != nil {
		return nil, fmt.Errorf("compare %s with the cluster: %w", c.Ref, err)
	}
	return told, nil
}
