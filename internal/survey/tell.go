package survey

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/davitops/davit/internal/diff"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/policy"
	"github.com/davitops/davit/internal/report"
)

// maskers mask what git holds, and what clusters hold.
type maskers struct{ git, live *manifest.Masker }

// tell says what happens in each target of an affected directory.
func (s Surveyor) tell(ctx context.Context, q Question, d *directory, mask maskers) ([]report.Target, error) {
	outcomes := map[[2]bool]outcome{} // by which sides the target is on
	var told []report.Target
	for _, name := range slices.Sorted(maps.Keys(d.targets())) {
		t := d.targets()[name]
		sides := [2]bool{isOn(d.base, name), isOn(d.head, name)}
		o, known := outcomes[sides]
		if !known {
			var err error
			if o, err = s.outcome(ctx, q, d, sides, mask.git); err != nil {
				return nil, fmt.Errorf("survey %s: %w", d.path, err)
			}
			outcomes[sides] = o
		}
		o.Name, o.Path, o.Claimant = t.Name(), t.Path, t.Claimant
		o.Renderer, o.Environment, o.Cluster = string(t.Renderer), t.Environment, t.Cluster
		if p, asked := d.plans[name]; asked {
			if err := p.tell(&o, mask.live); err != nil {
				return nil, fmt.Errorf("survey %s: %w", d.path, err)
			}
		}
		told = append(told, o.Target)
	}
	return told, nil
}

func isOn(s *side, name string) bool {
	return s != nil && slices.ContainsFunc(s.targets, func(t gitops.Target) bool { return t.Name() == name })
}

// outcome is what happens in a target: as it is told, and the changes as they are, in
// the same order.
type outcome struct {
	report.Target
	changes []diff.Change
}

// outcome compares a directory's two sides; sides says which of them count.
func (s Surveyor) outcome(ctx context.Context, q Question, d *directory, sides [2]bool, masker *manifest.Masker) (outcome, error) {
	t := outcome{Target: report.Target{Why: slices.Clone(d.why), Changes: []report.Change{}, Findings: []policy.Finding{}}}
	if t.Why == nil {
		t.Why = []string{}
	}
	base, head := &side{}, &side{}
	if sides[0] {
		base = d.base
	}
	if sides[1] {
		head = d.head
	}
	if t.Error = failure(base, head); t.Error != nil {
		t.Status = report.Failed
		return t, nil
	}
	if base.rendering.Problem != nil {
		// What base deploys is not known, so neither is what changes.
		base = &side{}
	}
	changes, err := diff.Sets(base.rendering.Objects, head.rendering.Objects, masker)
	if err != nil {
		return t, err
	}
	t.changes, t.Status = changes, status(sides, len(changes))
	for _, c := range changes {
		t.Changes = append(t.Changes, shown(c))
	}
	findings, err := s.judge(ctx, q, d, changes)
	if err != nil {
		return t, err
	}
	find := locator{question: q, directory: d}
	for i := range findings {
		find.locate(&findings[i])
		findings[i].Message = masker.Text(findings[i].Message)
	}
	t.Findings = append(t.Findings, findings...)
	return t, nil
}

// failure is a head that can't be rendered. It existed if base couldn't be either,
// whatever the reason: the change broke nothing then that worked.
func failure(base, head *side) *report.Error {
	problem := head.rendering.Problem
	if problem == nil {
		return nil
	}
	state := policy.New
	if was := base.rendering.Problem; was != nil {
		state = policy.Existing
	}
	return &report.Error{Problem: *problem, State: state}
}

func status(sides [2]bool, changes int) report.Status {
	switch {
	case !sides[0]:
		return report.Added
	case !sides[1]:
		return report.Removed
	case changes == 0:
		return report.Unchanged
	}
	return report.Changed
}

func shown(c diff.Change) report.Change {
	told := report.Change{
		Action: string(c.Action), Group: c.Ref.Group, Version: c.Ref.Version, Kind: c.Ref.Kind,
		Namespace: c.Ref.Namespace, Name: c.Ref.Name, Diff: c.Text,
		Object: c.Ref.String(), Replaced: c.Succeeded,
	}
	if c.Succeeds != nil {
		told.Renamed, told.RenamedDiff = c.Succeeds.Name, c.SuccessorText
	}
	return told
}

// judge has the changes judged and keeps what the change made of the findings.
// An object that only got another hash in its name is judged as one object.
func (s Surveyor) judge(ctx context.Context, q Question, d *directory, changes []diff.Change) ([]policy.Finding, error) {
	predecessors := map[gitops.ObjectRef]diff.Change{}
	for _, c := range changes {
		if c.Succeeded {
			predecessors[c.Ref] = c
		}
	}
	successors := map[gitops.ObjectRef]gitops.ObjectRef{}
	var judged []diff.Change
	for _, c := range changes {
		if c.Succeeded {
			continue
		}
		if c.Succeeds != nil {
			c.Before = predecessors[*c.Succeeds].Before
			successors[c.Succeeds.Identity()] = c.Ref
		}
		judged = append(judged, c)
	}
	if len(judged) == 0 {
		return nil, nil
	}
	base, head, err := s.Judge.Judge(ctx, s.kubernetes(ctx, q, d), judged)
	var problem *manifest.Problem
	if errors.As(err, &problem) {
		return []policy.Finding{notJudged(d, len(judged), problem)}, nil
	}
	if err != nil {
		return nil, err
	}
	for i, f := range base {
		if successor, renamed := successors[f.Object.Identity()]; renamed {
			base[i].Object = successor
		}
	}
	return policy.Delta(base, head), nil
}

// kubernetes is the version to judge a directory by: of the clusters that its targets go
// to, the one that is most advanced, since it serves the least of what is old.
func (s Surveyor) kubernetes(ctx context.Context, q Question, d *directory) string {
	if q.Kubernetes != "" || s.Planner == nil {
		return q.Kubernetes
	}
	latest, newest := "", -1
	for name, t := range d.targets() {
		if d.plans[name].problem != nil {
			continue // it does not go anywhere, or nobody answers there
		}
		version := s.Planner.Kubernetes(ctx, t)
		_, minor, _ := strings.Cut(version, ".")
		if number, err := strconv.Atoi(minor); err == nil && number > newest {
			latest, newest = version, number
		}
	}
	return latest
}

// notJudged stands for all the findings that a judge could not come to.
func notJudged(d *directory, objects int, problem *manifest.Problem) policy.Finding {
	return policy.Finding{
		Rule: "not-judged", Engine: "davit", Severity: policy.Error, State: policy.New,
		Object: gitops.ObjectRef{Kind: "Target", Name: d.path},
		Message: fmt.Sprintf("%s; the objects that change here (%d) could not be judged, and nothing may be taken for clean",
			problem.Message, objects),
	}
}
