package rollout

import (
	"fmt"
	"slices"
	"time"

	"github.com/davitops/davit/internal/ledger"
)

// Facts are what is remembered of a repository's rollouts.
type Facts struct {
	Rollout  ledger.Rollout   // the one that is looked at
	Live     []ledger.Rollout // all of the repository, the oldest first
	Deployed map[string]ledger.Deployed
	Numbers  map[string]int // of the pull requests of reverts, by target
	GivenUp  bool           // steps may be missing that were given up
	Now      time.Time
}

// NoNumber stands for the number of a pull request that the forge does not take.
const NoNumber = -1

// Advance starts what may start, and says of the rest what it waits for.
func Advance(f Facts) ledger.Batch {
	c := begin(f.Rollout, f.Live, f.Now)
	for i := range c.rollouts[0].Targets {
		d := c.at(i)
		switch number := f.Numbers[d.Target.Name()]; {
		case number == NoNumber && d.State == ledger.Reverting && d.Revert.None == "":
			d.Revert.None, c.dirty[0] = fmt.Sprintf("The forge does not take the pull request of the branch %s; maybe somebody has opened one.", d.Revert.Branch), true
		case number > 0 && d.Revert.Number != number:
			d.Revert.Number, c.dirty[0] = number, true
		}
		if f.GivenUp {
			c.resume(i)
		}
		if d.State != ledger.Queued {
			continue
		}
		why, until, _ := c.waits(*d, f.Deployed)
		switch {
		case why != "":
			c.set(0, i, ledger.Queued, why)
			if !until.IsZero() {
				c.rest.Steps = append(c.rest.Steps, ledger.Step{Kind: ledger.Advance, Key: f.Rollout.ID(), Turn: until.Unix(), At: until})
			}
		case d.Undoing || !d.Approved.IsZero():
			c.start(i, f.Deployed)
		case d.Removed:
			c.set(0, i, ledger.Held, fmt.Sprintf("its directory is gone; /apply %s deletes what was deployed from it", d.Target.Name()))
		case d.OnCommand:
			c.set(0, i, ledger.Held, "waits for /apply")
		default:
			c.start(i, f.Deployed)
		}
	}
	return c.batch()
}

// resume adds the step that a deployment waits for; one that is there is not added again.
func (c *change) resume(i int) {
	d := c.at(i)
	kind := ledger.Deploy
	switch {
	case d.State == ledger.Applying, d.State == ledger.Verifying:
	case (d.State == ledger.Degraded || d.State == ledger.Failed) && !d.Resume && !d.Past && d.Revert == (ledger.Reversion{}) && c.reverts():
		kind = ledger.Revert
	default:
		return
	}
	c.rest.Steps = append(c.rest.Steps, ledger.Step{Kind: kind, Key: c.rollouts[0].Key(d.Target.Name()), Turn: d.Turn})
}

// reverts reports whether what fails of the rollout is reverted.
func (c *change) reverts() bool { return c.rollouts[0].Undoes == "" && !c.rollouts[0].Manual }

// start begins a deployment.
func (c *change) start(i int, deployed map[string]ledger.Deployed) {
	d := c.at(i)
	was := deployed[d.Target.Name()]
	if d.Resume, d.Troubles = false, nil; !d.Begun {
		d.From, d.Was = was.Healthy, was.Commit
	}
	c.set(0, i, ledger.Applying, "")
	c.retire(d.Target.Name())
	c.next(i, ledger.Deploy)
}

// waits says what a deployment waits for, and until when, if that is known. It is empty if
// it may start. stuck says that nothing will end the wait by itself.
func (c *change) waits(d ledger.Deployment, deployed map[string]ledger.Deployed) (why string, until time.Time, stuck bool) {
	c.others(d.Target.Name(), func(rollout, _ int, other *ledger.Deployment) {
		if other.State == ledger.Applying {
			why = fmt.Sprintf("waits for %s, which is being applied", short(c.rollouts[rollout].Commit))
		}
	})
	if why != "" || d.Undoing || d.Skips {
		return why, until, false
	}
	for _, environment := range d.After {
		if why, until, stuck = c.first(environment, d, deployed); why != "" {
			return why, until, stuck
		}
	}
	return "", time.Time{}, false
}

// first says what keeps an environment that comes before a deployment from having been
// healthy for long enough. One that the rollout does not touch holds nothing up, unless it
// is not well.
func (c *change) first(environment string, d ledger.Deployment, deployed map[string]ledger.Deployed) (why string, until time.Time, stuck bool) {
	touched := false
	for _, other := range c.rollouts[0].Targets {
		if other.Target.Environment != environment {
			continue
		}
		touched = true
		since, healthy := wellSince(other, deployed[other.Target.Name()])
		rested := since.Add(d.Soak)
		switch {
		case !healthy:
			return fmt.Sprintf("waits for %s: %s is %s", environment, other.Target.Name(), other.State), time.Time{}, ended(other.State) || other.Over()
		case rested.After(c.now) && rested.After(until):
			until = rested
		}
	}
	if !until.IsZero() {
		return fmt.Sprintf("waits until %s has been healthy for %s", environment, d.Soak), until, false
	}
	if touched {
		return "", time.Time{}, false
	}
	for _, r := range c.rollouts[1:] {
		at := slices.IndexFunc(r.Targets, func(other ledger.Deployment) bool {
			return other.Target.Environment == environment && !other.Over() && ended(other.State)
		})
		if at >= 0 {
			return fmt.Sprintf("waits for %s: %s is %s", environment, r.Targets[at].Target.Name(), r.Targets[at].State), time.Time{}, true
		}
	}
	return "", time.Time{}, false
}

// wellSince is since when a target has been healthy with a deployment, or with the newer one
// that took its place before it came to an end. One that failed does not count as well
// because of what came after it.
func wellSince(d ledger.Deployment, now ledger.Deployed) (since time.Time, healthy bool) {
	switch d.State {
	case ledger.Healthy:
		return d.Since, true
	case ledger.Superseded:
		return now.At, now.Healthy != "" && now.Healthy == now.Commit
	}
	return time.Time{}, false
}

// ended reports whether a deployment has come to an end that is not a good one.
func ended(s ledger.DeploymentState) bool {
	switch s {
	case ledger.Degraded, ledger.Failed, ledger.TimedOut, ledger.Inconclusive, ledger.Reverting:
		return true
	}
	return false
}
