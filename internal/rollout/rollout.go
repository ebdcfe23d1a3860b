// Package rollout decides how a commit goes out to the targets that it affects: what
// starts when, what waits for whom, and what follows from how it went.
//
// It is a state machine over the whole value: a rollout, and what is known, come in, and
// one Batch goes out. It applies nothing itself, asks nobody, and never starts what nobody
// has seen: what git shows by a merge, or a comment by a plan.
package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/report"
	"github.com/davitops/davit/internal/target"
)

// Opening is what is known when a branch that is deployed has moved.
type Opening struct {
	Branch     ledger.Branch
	Repository forge.Repository
	Name       string // of the branch
	Tip        string // where it is now
	Config     target.Config
	Shows      bool                 // what clusters say may be shown
	Pulls      []gitops.PullRequest // that were merged on the way, and nothing else
	Pushed     bool                 // there are commits of no pull request, too
	Exact      bool                 // the branch holds what merging them makes, and nothing else
	Affected   []Affected
	Live       []ledger.Rollout // of the repository, the oldest first
	Deployed   map[string]ledger.Deployed
	Now        time.Time
}

// Affected is a target that is not the same any more.
type Affected struct {
	Target  gitops.Target
	Cluster string // where it goes
	Removed bool
}

// First is what follows from a branch that was never looked at before: it is remembered,
// and nothing goes out. Installing Davit applies nothing.
func First(b ledger.Branch, name, tip string) ledger.Batch {
	b.Name, b.Commit = name, tip
	return ledger.Batch{Branches: []ledger.Branch{b}}
}

// Open opens a rollout of what came onto a branch.
func Open(o Opening) ledger.Batch {
	branch := o.Branch
	branch.Name, branch.Commit = o.Name, o.Tip
	r := ledger.Rollout{
		Repo: o.Branch.Repo, Branch: o.Name, Commit: o.Tip, Number: branch.Rollouts + 1, Before: o.Branch.Commit,
		Opened: o.Now, Shows: o.Shows, Pulls: o.Pulls, Undoes: o.undoes(),
		Draft: o.Config.Reverts().Draft, Manual: o.Config.Reverts().Never,
	}
	var gone []string // targets that never came to be deployed
	for _, a := range o.Affected {
		if a.Removed && !o.there(a.Target.Name()) {
			gone = append(gone, a.Target.Name())
			continue
		}
		r.Targets = append(r.Targets, o.deployment(a))
	}
	c := begin(r, o.Live, o.Now)
	for i := range r.Targets {
		c.replace(i)
	}
	for _, name := range gone {
		c.retire(name)
	}
	if len(r.Targets) == 0 {
		b := c.only(1)
		b.Branches = []ledger.Branch{branch}
		return b
	}
	branch.Rollouts++
	b := c.batch()
	b.Branches = []ledger.Branch{branch}
	b.Steps = append(b.Steps, ledger.Step{Kind: ledger.Advance, Key: r.ID(), Turn: o.Now.UnixMilli()})
	return b
}

// Misconfigured says that nothing goes out because the branch says wrongly how. It is looked
// at again when it moves; what came meanwhile goes out then.
func Misconfigured(o Opening, problems []manifest.Problem) ledger.Batch {
	r := ledger.Rollout{Repo: o.Branch.Repo, Commit: o.Tip, Pulls: o.Pulls}
	return ledger.Batch{Effects: comments(r, "misconfigured-"+short(o.Tip), report.Misconfigured(o.Tip, problems, report.MaxComment))}
}

// there reports whether something of a target may be in its cluster.
func (o Opening) there(name string) bool {
	if _, known := o.Deployed[name]; known {
		return true
	}
	return slices.ContainsFunc(o.Live, func(r ledger.Rollout) bool {
		i := r.Find(name)
		return i >= 0 && (r.Targets[i].Begun || r.Targets[i].State == ledger.Applying)
	})
}

func (o Opening) deployment(a Affected) ledger.Deployment {
	environment := o.Config.Environment(a.Target.Environment)
	d := ledger.Deployment{
		Target: a.Target, Place: cmp.Or(a.Target.Environment, a.Cluster), Removed: a.Removed,
		OnCommand: environment.OnCommand, After: environment.After, Soak: environment.Soak, Window: o.Config.Window(),
		State: ledger.Queued, Since: o.Now, Turn: 1,
	}
	for _, pr := range o.Pulls {
		d.Seen = append(d.Seen, ledger.Seen{Key: pr.Name(), Head: pr.Head.Commit})
	}
	if r, is := o.undone(); is {
		i := r.Find(a.Target.Name())
		d.Undoing = i >= 0 && r.Targets[i].Begun && o.Deployed[a.Target.Name()].Commit == r.Commit
	}
	return d
}

// undone is the rollout that a merge reverts: it is of a pull request of ours alone, as we
// made it.
func (o Opening) undone() (ledger.Rollout, bool) {
	if len(o.Pulls) != 1 || o.Pushed || !o.Exact {
		return ledger.Rollout{}, false
	}
	head := o.Pulls[0].Head
	for _, r := range o.Live {
		for _, d := range r.Targets {
			if !d.Over() && d.Revert.Commit != "" && head.Repo == r.Repo && d.Revert.Branch == head.Branch && d.Revert.Commit == head.Commit {
				return r, true
			}
		}
	}
	return ledger.Rollout{}, false
}

func (o Opening) undoes() string {
	if r, is := o.undone(); is {
		return r.ID()
	}
	return ""
}

// change is what is being decided: rollouts of one repository, of which the first is the
// one that is looked at.
type change struct {
	now      time.Time
	rollouts []ledger.Rollout
	dirty    []bool
	rest     ledger.Batch // what is decided besides
}

// begin begins a change. The rows that come in are not touched.
func begin(r ledger.Rollout, others []ledger.Rollout, now time.Time) *change {
	c := &change{now: now, rollouts: []ledger.Rollout{r}}
	for _, other := range others {
		if other.ID() != r.ID() {
			c.rollouts = append(c.rollouts, other)
		}
	}
	for i := range c.rollouts {
		c.rollouts[i].Targets = slices.Clone(c.rollouts[i].Targets)
	}
	c.dirty = make([]bool, len(c.rollouts))
	c.dirty[0] = r.Version == 0
	return c
}

// at is the deployment of a target in the rollout that is looked at.
func (c *change) at(i int) *ledger.Deployment { return &c.rollouts[0].Targets[i] }

// set puts a deployment into a state.
func (c *change) set(rollout, i int, state ledger.DeploymentState, why string) {
	d := &c.rollouts[rollout].Targets[i]
	if d.State == state && d.Why == why {
		return
	}
	if d.State != state {
		d.State, d.Since = state, c.now
	}
	d.Why = why
	c.dirty[rollout] = true
}

// next takes a deployment one step further.
func (c *change) next(i int, kind ledger.Kind) {
	d := c.at(i)
	d.Turn++
	c.dirty[0] = true
	c.rest.Steps = append(c.rest.Steps, ledger.Step{Kind: kind, Key: c.rollouts[0].Key(d.Target.Name()), Turn: d.Turn})
}

// others are the deployments of a target in other rollouts that something can still become
// of.
func (c *change) others(name string, each func(rollout, i int, d *ledger.Deployment)) {
	for n := 1; n < len(c.rollouts); n++ {
		if i := c.rollouts[n].Find(name); i >= 0 && !c.rollouts[n].Targets[i].Over() {
			each(n, i, &c.rollouts[n].Targets[i])
		}
	}
}

// older are those others that are of an older commit.
func (c *change) older(name string, each func(rollout, i int, d *ledger.Deployment)) {
	c.others(name, func(rollout, i int, d *ledger.Deployment) {
		if c.rollouts[rollout].Number < c.rollouts[0].Number {
			each(rollout, i, d)
		}
	})
}

// replace has a new deployment take the place of those that have not begun. What was shown
// of them was approved, too.
func (c *change) replace(i int) {
	d := c.at(i)
	c.older(d.Target.Name(), func(rollout, n int, older *ledger.Deployment) {
		switch older.State {
		case ledger.Queued, ledger.Held, ledger.NeedsApproval:
			for _, seen := range older.Seen {
				if !seen.Question { // which nobody answered
					see(d, seen)
				}
			}
			c.set(rollout, n, ledger.Superseded, c.newer())
		}
	})
}

// see adds something to what was shown of a deployment.
func see(d *ledger.Deployment, seen ledger.Seen) {
	if !slices.Contains(d.Seen, seen) {
		d.Seen = append(slices.Clone(d.Seen), seen)
	}
}

// retire ends the older deployments of a target whose new one begins, or that is gone.
func (c *change) retire(name string) {
	c.older(name, func(rollout, n int, older *ledger.Deployment) {
		switch older.State {
		case ledger.Queued, ledger.Held, ledger.NeedsApproval, ledger.Verifying:
			c.set(rollout, n, ledger.Superseded, c.newer())
		case ledger.Degraded, ledger.Failed, ledger.TimedOut, ledger.Inconclusive:
			older.Past = true
			c.dirty[rollout] = true
		}
	})
}

func (c *change) newer() string {
	return fmt.Sprintf("%s took its place", short(c.rollouts[0].Commit))
}

// advance has every rollout looked at that may go on now. The turn makes each step one of
// its own: another that is going on may have decided on how things were before.
func (c *change) advance() {
	for _, r := range c.rollouts {
		c.rest.Steps = append(c.rest.Steps, ledger.Step{Kind: ledger.Advance, Key: r.ID(), Turn: c.now.UnixMilli()})
	}
}

// batch is what was decided, and what is said of it.
func (c *change) batch() ledger.Batch { return c.only(0) }

// only is what was decided of the rollouts from one on.
func (c *change) only(from int) ledger.Batch {
	b := c.rest
	for i, r := range c.rollouts {
		if i >= from && c.dirty[i] {
			b.Rollouts = append(b.Rollouts, r)
			b.Effects = append(b.Effects, told(r)...)
		}
	}
	return b
}

func short(commit string) string { return commit[:min(7, len(commit))] }
