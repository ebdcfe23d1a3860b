package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/plan"
	"github.com/davitops/davit/internal/report"
	"github.com/davitops/davit/internal/verdict"
)

// Ending is how an attempt to apply a target ended.
type Ending string

// The endings.
const (
	Done        Ending = "done"        // everything is as planned, and ready
	Refused     Ending = "refused"     // for what an object is; or it can't be rendered
	Unready     Ending = "unready"     // something that was written does not come up
	Late        Ending = "late"        // something is not ready in time, and nobody knows why
	Uncovered   Ending = "uncovered"   // it would do what nobody was shown
	Blocked     Ending = "blocked"     // the rules, or somebody else's marks, forbid it
	Unavailable Ending = "unavailable" // the cluster can't be worked with
)

// Order is what to apply of a target.
type Order struct {
	Target   gitops.Target
	Objects  []manifest.Object
	Removed  bool
	Revision string // the commit that Objects were rendered from
	Shown    []plan.Effect
	History  *plan.History // nil: only what was shown counts
}

// Attempt is what became of carrying out an order. Texts are the cluster's, and not masked.
type Attempt struct {
	Ending Ending
	Why    string
	Plan   plan.Plan // as far as it was made
}

// Applied is an attempt as it is kept. Texts are masked.
type Applied struct {
	Ending   Ending
	Why      string // a sentence; empty for Done
	Troubles []verdict.Trouble
	Begun    bool               // something was written, in this attempt or one before
	Changed  []gitops.ObjectRef // of Done and Unready: what was written, and what runs by it
	Settled  []verdict.Workload // of the same: how it is now
	Plan     *Planned           // of Uncovered
}

// Planned is a plan that waits for somebody, as it is told, and what may be applied once
// they say so.
type Planned struct {
	Told    report.Target
	Effects []plan.Effect
	Digest  string
}

// Begun notes how a target was before anything is applied to it.
func Begun(f Facts, name string, before []verdict.Workload) ledger.Batch {
	c, i := f.change(name)
	d := c.at(i)
	d.Before = before
	if before == nil {
		d.Before = []verdict.Workload{}
	}
	c.next(i, ledger.Deploy)
	return c.batch()
}

func (f Facts) change(name string) (*change, int) {
	return begin(f.Rollout, f.Live, f.Now), f.Rollout.Find(name)
}

// After says what follows from an attempt to apply a target.
func After(f Facts, name string, a Applied) ledger.Batch {
	c, i := f.change(name)
	d := c.at(i)
	if a.Begun {
		d.Begun, c.dirty[0] = true, true
		c.rest.Deployed = []ledger.Deployed{{Repo: f.Rollout.Repo, Target: name, Commit: f.Rollout.Commit, Healthy: d.From, At: f.Now}}
	}
	switch a.Ending {
	case Done:
		d.Changed, d.Settled, d.Until = a.Changed, a.Settled, f.Now.Add(d.Window)
		c.set(0, i, ledger.Verifying, "")
		c.next(i, ledger.Deploy)
	case Refused:
		d.Troubles, d.Refused = a.Troubles, true
		c.fail(i, ledger.Failed, a.Why)
	case Unready:
		d.Changed, d.Settled = a.Changed, a.Settled
		c.unready(i, a)
	case Late:
		d.Resume = true
		c.stop(i, ledger.TimedOut, a.Why)
	case Blocked, Unavailable:
		d.Resume = true
		c.stop(i, ledger.Failed, a.Why)
	case Uncovered:
		d.Approved = time.Time{}
		key := f.Rollout.Key(name)
		see(d, ledger.Seen{Key: key, Head: f.Rollout.Commit, Question: true})
		c.rest.Shown = []ledger.Shown{{Key: key, Head: f.Rollout.Commit, At: f.Now, Targets: map[string][]plan.Effect{name: a.Plan.Effects}}}
		c.set(0, i, ledger.NeedsApproval, fmt.Sprintf("applying it would do what nobody was shown; /apply %s goes on", name))
		c.rest.Effects = append(c.rest.Effects, asking(f.Rollout, *a.Plan)...)
	}
	c.advance()
	return c.batch()
}

// unready tells a change that does not come up from one that meets what was broken before,
// or what breaks everything.
func (c *change) unready(i int, a Applied) {
	d := c.at(i)
	v := verdict.Judge(verdict.Question{Changed: a.Changed, Before: d.Before, Settled: a.Settled, Now: a.Settled, At: c.now, Until: c.now})
	switch v.Ending {
	case verdict.Degraded:
		d.Troubles = explained(v.Troubles, a.Troubles)
		c.fail(i, ledger.Degraded, a.Why)
	case verdict.Inconclusive:
		d.Troubles, d.Resume = explained(v.Troubles, a.Troubles), true
		c.stop(i, ledger.Inconclusive, v.Why)
	default:
		d.Troubles, d.Resume = a.Troubles, true
		c.stop(i, ledger.Inconclusive, "it was not well before, so this change may not be to blame: "+a.Why)
	}
}

// explained are troubles in the words of others that are the same; those are fit to be
// shown. What has no such words is told without any.
func explained(troubles, others []verdict.Trouble) []verdict.Trouble {
	troubles = slices.Clone(troubles)
	for i, t := range troubles {
		troubles[i] = t.Stripped()
		for _, o := range others {
			if o.Ref == t.Ref && o.Container == t.Container && o.Reason == t.Reason {
				troubles[i] = o
			}
		}
	}
	return troubles
}

// Watched says what follows from a look at a target that is watched. A verdict that is too
// early changes nothing.
func Watched(f Facts, name string, v verdict.Verdict) ledger.Batch {
	if v.Ending == verdict.Pending {
		return ledger.Batch{}
	}
	c, i := f.change(name)
	d := c.at(i)
	d.Troubles = v.Troubles
	switch v.Ending {
	case verdict.Healthy:
		c.set(0, i, ledger.Healthy, "")
		c.rest.Deployed = []ledger.Deployed{{Repo: f.Rollout.Repo, Target: name, Commit: f.Rollout.Commit, Healthy: f.Rollout.Commit, At: f.Now}}
		c.older(name, func(rollout, n int, older *ledger.Deployment) {
			if older.State == ledger.Reverting && c.rollouts[rollout].ID() == f.Rollout.Undoes {
				c.set(rollout, n, ledger.Reverted, "")
			}
			older.Past, c.dirty[rollout] = true, true
		})
	case verdict.Degraded:
		c.fail(i, ledger.Degraded, v.Why)
	case verdict.Inconclusive:
		d.Resume = true
		c.stop(i, ledger.Inconclusive, v.Why)
	}
	c.advance()
	return c.batch()
}

// stop ends a deployment that is not well, and that nobody reverts for them.
func (c *change) stop(i int, state ledger.DeploymentState, why string) { c.set(0, i, state, why) }

// fail ends a deployment that the change is to blame for, and has it reverted. A revert
// that fails is not reverted: what was there before it failed, too.
func (c *change) fail(i int, state ledger.DeploymentState, why string) {
	c.set(0, i, state, why)
	if c.reverts() {
		c.next(i, ledger.Revert)
	}
}

// Reversal is the commit that undoes a deployment.
type Reversal struct {
	Branch, Commit string
	To             string   // the commit that the files are of again
	Files          []string // that it changes
	Wider          bool     // more than the rollout's own pull requests is undone
	Shared         []string // other targets that read them
	Conflicts      []string // files that changed since, so that there is no such commit
	Nothing        bool     // the branch has what it would bring already
	Forbidden      bool     // the forge lets nobody here make the branch
}

// Undo has the pull request opened that undoes a deployment, or an issue where there can be
// none.
func Undo(f Facts, name string, r Reversal) ledger.Batch {
	c, i := f.change(name)
	d := c.at(i)
	switch {
	case d.Past: // something newer is going out
		return ledger.Batch{}
	case r.Nothing:
		d.Revert.None, c.dirty[0] = "The branch has been changed back already.", true
	case r.Forbidden:
		d.Revert.None, c.dirty[0] = "The forge does not let Davit push the branch of a revert, so somebody has to revert it.", true
	case len(r.Conflicts) > 0:
		d.Revert.None, c.dirty[0] = "It can't be reverted by itself, because later commits changed the same files; there is an issue about it.", true
		c.rest.Effects = append(c.rest.Effects, ledger.Effect{Key: "issue/" + f.Rollout.Key(name), Forge: f.Rollout.Repo.Forge, Issue: &forge.Issue{
			Repo: f.Rollout.Repo, Key: "revert-" + keyed(f.Rollout.Key(name)), Title: titleOf(f.Rollout, name, r), Body: reversal(f.Rollout, *d, r).Markdown(report.MaxComment),
		}})
	default:
		d.Revert = ledger.Reversion{Branch: r.Branch, Commit: r.Commit}
		c.set(0, i, ledger.Reverting, d.Why)
		c.rest.Effects = append(c.rest.Effects, ledger.Effect{Key: ProposalKey(f.Rollout, name), Forge: f.Rollout.Repo.Forge, Proposal: &forge.Proposal{
			Repo: f.Rollout.Repo, Branch: r.Branch, Base: f.Rollout.Branch, Title: titleOf(f.Rollout, name, r),
			Body: reversal(f.Rollout, *d, r).Markdown(report.MaxComment), Draft: f.Rollout.Draft,
		}})
	}
	return c.batch()
}

// ProposalKey is the key of the effect that opens a revert.
func ProposalKey(r ledger.Rollout, target string) string { return "revert/" + r.Key(target) }

// branches is how the names of the branches of ours begin.
const branches = "davit/revert-"

// RevertBranch is the branch of ours on which some files are brought back to a commit. Targets
// of a rollout that fail because of the same files share it, and its pull request.
func RevertBranch(r ledger.Rollout, to string, paths []string) string {
	return fmt.Sprintf("%s%s-%s", branches, short(r.Commit), keyed(strings.Join(append([]string{r.ID(), to}, paths...), "\x00")))
}

// IsRevert reports whether a branch may be one of ours.
func IsRevert(branch string) bool { return strings.HasPrefix(branch, branches) }

// RevertMessage is what the commit says that undoes a deployment.
func RevertMessage(r ledger.Rollout, to string, wider bool) string {
	return fmt.Sprintf("%s\n\nThis brings files back to what they were at %s,\nbecause what reads them failed at %s.\n",
		titleOf(r, "", Reversal{To: to, Wider: wider}), to, r.Commit)
}

// Proposed is the rollout of which an effect opens a revert. It reports false for other
// effects.
func Proposed(key string) (id string, is bool) {
	rest, is := strings.CutPrefix(key, "revert/")
	id, _, _ = strings.Cut(rest, " ")
	return id, is
}
