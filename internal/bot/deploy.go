package bot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/plan"
	"github.com/davitops/davit/internal/report"
	"github.com/davitops/davit/internal/rollout"
	"github.com/davitops/davit/internal/survey"
	"github.com/davitops/davit/internal/tree"
	"github.com/davitops/davit/internal/verdict"
)

// Deployer is the clusters of one repository, as it may use them. An error that wraps a
// *plan.Problem says why a cluster can't be worked with, in words for people.
type Deployer interface {
	// Place returns the cluster that a target goes to, or why it goes to none.
	Place(t gitops.Target) (cluster, refusal string)
	// Look returns the workloads of what is deployed of a target.
	Look(ctx context.Context, t gitops.Target) ([]verdict.Workload, error)
	// Explain adds what the cluster has to say of troubles, as far as it may be read.
	Explain(ctx context.Context, t gitops.Target, troubles []verdict.Trouble) []verdict.Trouble
	// Apply carries out an order, and has note keep each thing before and after it is done.
	Apply(ctx context.Context, o rollout.Order, note func(context.Context, ledger.Note) error) (rollout.Attempt, error)
}

// deploy takes a target one step further: it looks how it is, applies it, and watches it.
func (b *Bot) deploy(ctx context.Context, step ledger.Step) (ledger.Batch, error) {
	facts, d, current, err := b.deployment(ctx, step)
	if err != nil || !current {
		return ledger.Batch{}, err
	}
	switch {
	case d.State == ledger.Applying && d.Before == nil:
		return b.baseline(ctx, facts, d)
	case d.State == ledger.Applying:
		return b.apply(ctx, facts, d)
	case d.State == ledger.Verifying:
		return b.verify(ctx, facts, d)
	}
	return ledger.Batch{}, nil
}

func (b *Bot) baseline(ctx context.Context, facts rollout.Facts, d ledger.Deployment) (ledger.Batch, error) {
	before, err := b.Clusters.Deployer(facts.Rollout.Repo).Look(ctx, d.Target)
	if err != nil {
		return b.unavailable(facts, d, err)
	}
	return rollout.Begun(facts, d.Target.Name(), remembered(before)), nil
}

// remembered are workloads as they are kept.
func remembered(workloads []verdict.Workload) []verdict.Workload {
	all := make([]verdict.Workload, len(workloads))
	for i, w := range workloads {
		all[i] = w.Bare()
	}
	return all
}

// How long a cluster may be away until people are told, and how often it is asked.
const (
	away  = 10 * time.Minute
	again = 5 * time.Second
)

// unavailable waits for a cluster that can't be worked with, and gives up after some time.
func (b *Bot) unavailable(facts rollout.Facts, d ledger.Deployment, err error) (ledger.Batch, error) {
	var problem *plan.Problem
	if !errors.As(err, &problem) {
		return ledger.Batch{}, err
	}
	if now := b.Now(); problem.Code == plan.Unavailable && now.Sub(d.Since) < away {
		return ledger.Batch{}, &ledger.Later{Until: now.Add(again), Err: err}
	}
	b.Log.Error("a target can't be deployed", "rollout", facts.Rollout.ID(), "target", d.Target.Name(), "error", problem.Err)
	return rollout.After(facts, d.Target.Name(), rollout.Applied{Ending: rollout.Unavailable, Why: problem.Message}), nil
}

// apply renders a target and applies it.
func (b *Bot) apply(ctx context.Context, facts rollout.Facts, d ledger.Deployment) (ledger.Batch, error) {
	r, name := facts.Rollout, d.Target.Name()
	order, problem, err := b.order(ctx, r, d)
	if err != nil {
		return ledger.Batch{}, err
	}
	if problem != nil && exhausted(problem.Code) && b.Now().Sub(d.Since) < away {
		return ledger.Batch{}, fmt.Errorf("render %s: %w", name, problem) // a busy machine, more often than not
	}
	if problem != nil {
		facts.Now = b.Now()
		return rollout.After(facts, name, rollout.Applied{Ending: rollout.Refused, Why: problem.Error()}), nil
	}
	if order.Shown, err = b.shown(ctx, d); err != nil {
		return ledger.Batch{}, err
	}
	deployer := b.Clusters.Deployer(r.Repo)
	attempt, err := deployer.Apply(ctx, order, b.journal(r.ID(), name))
	if err != nil {
		return b.unavailable(facts, d, err)
	}
	if now := b.Now(); attempt.Ending == rollout.Unavailable && now.Sub(d.Since) < away {
		return ledger.Batch{}, &ledger.Later{Until: now.Add(again), Err: errors.New("the cluster does not do what it is asked for")}
	}
	e := effort{Bot: b, rollout: r, deployment: d, deployer: deployer, order: order}
	applied, err := e.outcome(ctx, attempt)
	if err != nil {
		return b.unavailable(facts, d, err)
	}
	// Much may have happened meanwhile.
	now, _, current, err := b.deployment(ctx, ledger.Step{Key: r.Key(name), Turn: d.Turn})
	if err != nil || !current {
		return ledger.Batch{}, err
	}
	return rollout.After(now, name, applied), nil
}

func (b *Bot) journal(id, target string) func(context.Context, ledger.Note) error {
	return func(ctx context.Context, n ledger.Note) error {
		n.Rollout, n.Target, n.At = id, target, b.Now()
		return b.Ledger.Commit(ctx, ledger.Batch{Journal: []ledger.Note{n}})
	}
}

// order is what to apply of a target, or why it can't be rendered.
func (b *Bot) order(ctx context.Context, r ledger.Rollout, d ledger.Deployment) (rollout.Order, *manifest.Problem, error) {
	o := rollout.Order{Target: d.Target, Removed: d.Removed, Revision: r.Commit}
	local, err := b.at(ctx, r.Repo, r.Commit)
	if err != nil {
		return o, nil, err
	}
	defer b.closes(local)
	if !d.Removed {
		rendering, _, err := b.render(ctx, local, r.Commit, d.Target)
		if err != nil || rendering.Problem != nil {
			return o, rendering.Problem, err
		}
		o.Objects = rendering.Objects
	}
	if !d.OnCommand || d.Undoing {
		o.History, err = b.history(ctx, local, r, d)
	}
	return o, nil, err
}

func (b *Bot) render(ctx context.Context, local Copy, commit string, t gitops.Target) (manifest.Rendering, tree.Record, error) {
	files, err := local.Tree(ctx, commit)
	if err != nil {
		return manifest.Rendering{}, nil, err
	}
	return b.Surveyor.Renderer.Render(ctx, files, t, nil)
}

// history is what git says of a target since it was deployed last, or, if it never was,
// since before the rollout. What can't be rendered explains nothing.
func (b *Bot) history(ctx context.Context, local Copy, r ledger.Rollout, d ledger.Deployment) (*plan.History, error) {
	since := d.Was
	if since == "" {
		since = r.Before
	}
	has, err := local.Has(ctx, since)
	if err != nil || !has {
		return nil, err
	}
	files, err := local.Tree(ctx, since)
	if err != nil {
		return nil, err
	}
	h := &plan.History{Deletes: d.Undoing}
	if there, err := files.Look(d.Target.Path, false); err != nil || there.Kind != tree.Dir {
		return h, err // it is new
	}
	rendering, _, err := b.Surveyor.Renderer.Render(ctx, files, d.Target, nil)
	if err != nil || rendering.Problem != nil {
		return nil, err
	}
	h.Was = rendering.Objects
	return h, nil
}

// shown are the effects that people were shown of a target, and went on.
func (b *Bot) shown(ctx context.Context, d ledger.Deployment) ([]plan.Effect, error) {
	var keys []string
	for _, seen := range d.Seen {
		keys = append(keys, seen.Key)
	}
	rows, err := b.Ledger.Shown(ctx, keys)
	if err != nil {
		return nil, err
	}
	var effects []plan.Effect
	for _, row := range rows {
		if counts(row, d) {
			effects = append(effects, row.Targets[d.Target.Name()]...)
		}
	}
	return effects, nil
}

// counts reports whether what was shown was so of this deployment, and in time: before
// somebody said /apply, where somebody had to. What a pull request showed was so while it was
// open.
func counts(row ledger.Shown, d ledger.Deployment) bool {
	at := slices.IndexFunc(d.Seen, func(s ledger.Seen) bool { return s.Key == row.Key && s.Head == row.Head })
	switch {
	case at < 0:
		return false
	case d.Seen[at].Question:
		return !d.Approved.IsZero() && !row.At.After(d.Approved)
	}
	return true
}

// exhausted reports whether a render ended because it took more than it may, which may be
// otherwise at another time.
func exhausted(code manifest.Code) bool {
	return slices.Contains([]manifest.Code{manifest.Timeout, manifest.Memory, manifest.Crash, manifest.Protocol}, code)
}

// verify looks at a target that is watched.
func (b *Bot) verify(ctx context.Context, facts rollout.Facts, d ledger.Deployment) (ledger.Batch, error) {
	r := facts.Rollout
	deployer := b.Clusters.Deployer(r.Repo)
	now := b.Now()
	later := func(err error) error {
		return &ledger.Later{Until: earlier(now.Add(pause(d.Window)), d.Until, now), Err: err}
	}
	workloads, err := deployer.Look(ctx, d.Target)
	var problem *plan.Problem
	switch {
	case errors.As(err, &problem) && now.Sub(d.Until) < away:
		return ledger.Batch{}, later(err)
	case errors.As(err, &problem):
		return rollout.Watched(facts, d.Target.Name(), verdict.Verdict{Ending: verdict.Inconclusive, Why: problem.Message}), nil
	case err != nil:
		return ledger.Batch{}, err
	}
	v := verdict.Judge(verdict.Question{Changed: d.Changed, Before: d.Before, Settled: d.Settled, Now: workloads, At: now, Until: d.Until})
	if v.Ending == verdict.Pending {
		return ledger.Batch{}, later(errWatching)
	}
	if len(v.Troubles) > 0 {
		order, problem, err := b.order(ctx, r, d)
		if err != nil {
			return ledger.Batch{}, err
		}
		e := effort{Bot: b, rollout: r, deployment: d, deployer: deployer, order: order}
		e.rollout.Shows = r.Shows && problem == nil // else nobody knows what must not be shown
		v.Troubles = e.evidence(ctx, v.Troubles, survey.Masker(order.Objects, plan.Plan{}))
	}
	return rollout.Watched(facts, d.Target.Name(), v), nil
}

// errWatching is why a target that is watched is looked at again.
var errWatching = errors.New("it is watched for some time")

// pause is the time between two looks at a target that is watched.
func pause(window time.Duration) time.Duration {
	return min(max(window/10, 500*time.Millisecond), 15*time.Second)
}

// earlier is the earlier of two times, of which the second counts if it is still to come.
func earlier(a, b, now time.Time) time.Time {
	if b.After(now) && b.Before(a) {
		return b
	}
	return a
}

// effort is one attempt to apply a target, and what is known of it.
type effort struct {
	*Bot
	rollout    ledger.Rollout
	deployment ledger.Deployment
	deployer   Deployer
	order      rollout.Order
}

// outcome is an attempt as it is kept: with nothing in it that must not be shown.
func (e effort) outcome(ctx context.Context, a rollout.Attempt) (rollout.Applied, error) {
	masker := survey.Masker(e.order.Objects, a.Plan)
	applied := rollout.Applied{Ending: a.Ending, Why: e.said(masker, a.Why)}
	if a.Ending == rollout.Uncovered {
		told, err := survey.Told(e.order.Target, a.Plan, masker)
		if err != nil {
			return applied, err
		}
		if !e.rollout.Shows {
			told.Hide()
		}
		applied.Plan = &rollout.Planned{Told: told, Effects: a.Plan.Effects(), Digest: a.Plan.Digest}
	}
	notes, err := e.Ledger.Journal(ctx, e.rollout.ID(), e.order.Target.Name())
	if applied.Begun = len(notes) > 0; err != nil || a.Ending != rollout.Done && a.Ending != rollout.Unready {
		return applied, err
	}
	workloads, err := e.deployer.Look(ctx, e.order.Target)
	if err != nil {
		return applied, err
	}
	if applied.Settled = remembered(workloads); a.Ending == rollout.Unready {
		var troubles []verdict.Trouble
		for _, w := range workloads {
			troubles = append(troubles, w.Troubles(e.Now())...)
		}
		applied.Troubles = e.evidence(ctx, troubles, masker)
	}
	applied.Changed = rollout.Touched(e.order.Objects, written(notes))
	return applied, nil
}

// written are the objects that a rollout has written, in this attempt or one before.
func written(notes []ledger.Note) (refs []gitops.ObjectRef) {
	for _, n := range notes {
		if n.Action == noteApply && !slices.Contains(refs, n.Object) {
			refs = append(refs, n.Object)
		}
	}
	return refs
}

// noteApply is the action of a note about an object that is written.
const noteApply = "apply"

// evidence are troubles with all that may be shown of them.
func (e effort) evidence(ctx context.Context, troubles []verdict.Trouble, masker *manifest.Masker) []verdict.Trouble {
	troubles = e.deployer.Explain(ctx, e.order.Target, troubles)
	kept := make([]verdict.Trouble, len(troubles))
	for i, t := range troubles {
		if !e.rollout.Shows {
			kept[i] = t.Stripped()
			continue
		}
		t.Message = masker.Said(t.Message)
		t.Events, t.Log = mask(t.Events, masker), mask(t.Log, masker)
		kept[i] = t
	}
	return kept
}

func mask(lines []string, masker *manifest.Masker) []string {
	var masked []string
	for _, line := range lines {
		masked = append(masked, report.Inline(masker.Said(line))) // cut after it is masked
	}
	return masked
}

// said is a sentence of the cluster's as it may be shown.
func (e effort) said(masker *manifest.Masker, why string) string {
	if why != "" && !e.rollout.Shows {
		return "what the cluster says is not shown, because everybody may read this repository"
	}
	return masker.Said(why)
}
