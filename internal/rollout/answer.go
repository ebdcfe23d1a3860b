package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/davitops/davit/internal/command"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/report"
)

// Asked is what somebody who may asks of the rollouts of a pull request that is merged, or
// of a commit that was pushed.
type Asked struct {
	Command  command.Command // Apply or Retry
	By       string          // login
	At       time.Time       // of the comment: only what was asked before counts
	Live     []ledger.Rollout
	Deployed map[string]ledger.Deployed
	Pull     int    // number
	Commit   string // that was pushed, instead of a number
	Now      time.Time
}

func (a Asked) about(r ledger.Rollout) bool {
	if a.Commit != "" {
		return r.Commit == a.Commit
	}
	return r.Brought(a.Pull)
}

// Answer does what is asked for. Lines say what was not done, and why; refused is a word of
// that for the record.
func Answer(a Asked) (b ledger.Batch, lines []string, refused string) {
	named := map[string]bool{}
	started := 0
	for _, r := range a.Live {
		if !a.about(r) {
			continue
		}
		c := begin(r, a.Live, a.Now)
		for i := range c.rollouts[0].Targets {
			d := c.at(i)
			if !a.means(*d, named) {
				continue
			}
			if line := a.ask(c, i); line != "" {
				lines = append(lines, line)
				continue
			}
			if d.State == ledger.Queued {
				started++
			}
		}
		if c.dirty[0] {
			c.rest.Steps = append(c.rest.Steps, ledger.Step{Kind: ledger.Advance, Key: r.ID(), Turn: a.Now.UnixMilli()})
		}
		next := c.batch()
		b.Rollouts, b.Steps = append(b.Rollouts, next.Rollouts...), append(b.Steps, next.Steps...)
		b.Effects = append(b.Effects, next.Effects...)
	}
	for _, name := range a.Command.Targets {
		if !named[name] {
			lines = append(lines, fmt.Sprintf("No rollout of this has a target or an environment %s.", code(name)))
		}
	}
	if started == 0 && len(lines) == 0 {
		lines = append(lines, a.nothing())
	}
	if started == 0 {
		refused = "nothing to " + string(a.Command.Name)
	}
	return b, lines, refused
}

func (a Asked) nothing() string {
	if a.Command.Name == command.Retry {
		return "Nothing of this waits to be tried again."
	}
	return "Nothing of this waits to be applied."
}

// means reports whether a deployment is asked about: by its name, by its environment, or
// because nothing is named.
func (a Asked) means(d ledger.Deployment, named map[string]bool) bool {
	if len(a.Command.Targets) == 0 {
		return true
	}
	found := false
	for _, name := range a.Command.Targets {
		if name == d.Target.Name() || name == d.Place {
			named[name], found = true, true
		}
	}
	return found
}

// ask has a deployment go on, or says why it can't.
func (a Asked) ask(c *change, i int) string {
	d := c.at(i)
	name := d.Target.Name()
	apply := slices.Contains([]ledger.DeploymentState{ledger.Held, ledger.NeedsApproval}, d.State) || a.stuck(c, *d)
	retry := d.Resume && !d.Past && slices.Contains([]ledger.DeploymentState{ledger.Failed, ledger.TimedOut, ledger.Inconclusive}, d.State)
	switch {
	case a.Command.Name == command.Apply && !apply, a.Command.Name == command.Retry && !retry:
		if len(a.Command.Targets) > 0 {
			return fmt.Sprintf("%s is %s, so there is nothing to %s.", code(name), d.State, a.Command.Name)
		}
		return ""
	case c.overtaken(name):
		return fmt.Sprintf("A newer commit is rolled out to %s.", code(name))
	case apply && a.At.Before(d.Since.Truncate(time.Second)): // forges know no less
		return fmt.Sprintf("%s waits for something else than when you wrote that; look at it, and say it again.", code(name))
	}
	if apply {
		d.Approved, d.Approver, d.Before = a.Now, a.By, nil // it may have waited for long
		d.Skips = d.Skips || d.State == ledger.Queued
	}
	c.dirty[0] = true
	c.set(0, i, ledger.Queued, "")
	return ""
}

// stuck reports whether a deployment that is named waits for an environment that nothing
// will mend by itself.
func (a Asked) stuck(c *change, d ledger.Deployment) bool {
	if d.State != ledger.Queued || len(a.Command.Targets) == 0 {
		return false
	}
	_, _, stuck := c.waits(d, a.Deployed)
	return stuck
}

// overtaken reports whether a newer rollout has the target, too.
func (c *change) overtaken(name string) bool {
	newer := false
	c.others(name, func(rollout, _ int, _ *ledger.Deployment) {
		newer = newer || c.rollouts[rollout].Number > c.rollouts[0].Number
	})
	return newer
}

// code is a text as inert Markdown.
func code(text string) string { return "`" + strings.ReplaceAll(report.Inline(text), "`", "'") + "`" }
