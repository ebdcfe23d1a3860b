package rollout

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/report"
)

// maxPulls is on how many of the pull requests of a rollout something is said.
const maxPulls = 10

// told is what is said of a rollout: a comment that is edited as it goes on, deployments
// as the forge shows them, and, once something is wrong, a comment of its own, which people
// are notified of.
func told(r ledger.Rollout) []ledger.Effect {
	var effects []ledger.Effect
	if len(r.Pulls) > 0 || slices.ContainsFunc(r.Targets, func(d ledger.Deployment) bool { return d.State == ledger.Held }) {
		effects = append(effects, comments(r, "rollout", state(r).Markdown(report.MaxComment))...)
	}
	effects = append(effects, deployments(r)...)
	if failure := failures(r); len(failure.Targets) > 0 {
		effects = append(effects, comments(r, "failure-"+short(r.Commit), failure.Markdown(report.MaxComment))...)
	}
	return effects
}

// comments are a comment on the pull requests of a rollout, or, if it has none, on its
// commit.
func comments(r ledger.Rollout, key, body string) (effects []ledger.Effect) {
	for _, pr := range r.Pulls[:min(len(r.Pulls), maxPulls)] {
		effects = append(effects, ledger.Effect{Key: "comment/" + pr.Name() + "/" + key, Forge: r.Repo.Forge,
			Comment: &forge.Comment{Repo: r.Repo, Number: pr.Number, Key: key, Body: body}})
	}
	if len(r.Pulls) == 0 {
		effects = append(effects, ledger.Effect{Key: "comment/" + r.Repo.String() + "@" + r.Commit + "/" + key, Forge: r.Repo.Forge,
			Comment: &forge.Comment{Repo: r.Repo, Commit: r.Commit, Key: key, Body: body}})
	}
	return effects
}

// asking is the comment that shows a plan that nobody has seen. Each plan has one of its
// own, so that people are notified.
func asking(r ledger.Rollout, p Planned) []ledger.Effect {
	body := report.Approval{Commit: r.Commit, Target: p.Told, Command: commandFor(p.Told.Name)}.Markdown(report.MaxComment)
	return comments(r, "approval-"+keyed(p.Told.Name+" "+p.Digest), body)
}

// commandFor is the command that applies a target. One with blanks in its name can't be
// named.
func commandFor(target string) string {
	if strings.ContainsAny(target, " \t") {
		return "/apply"
	}
	return "/apply " + target
}

// keyed is a short name, of letters and digits, for something that may have any.
func keyed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}

// state is a rollout as it is told.
func state(r ledger.Rollout) report.Rollout {
	told := report.Rollout{Commit: r.Commit, Branch: r.Branch, Reverts: r.Undoes != ""}
	for _, d := range r.Targets {
		told.Targets = append(told.Targets, deployment(d))
	}
	return told
}

func deployment(d ledger.Deployment) report.Deployment {
	told := report.Deployment{
		Target: d.Target.Name(), Place: d.Place, State: string(d.State), Why: d.Why, Revert: d.Revert.Number, Approver: d.Approver,
	}
	if len(d.Troubles) > 0 { // which say more, where there is room for it
		told.Why = d.Troubles[0].Reason
	}
	return told
}

func failures(r ledger.Rollout) report.Failure {
	told := report.Failure{Commit: r.Commit, Reverts: r.Undoes != "", Manual: r.Manual, Hidden: !r.Shows}
	for _, d := range r.Targets {
		if wrong(d) {
			told.Targets = append(told.Targets, failed(d))
		}
	}
	return told
}

// wrong reports whether a deployment has ended badly; that it was undone since does not
// make it unsaid.
func wrong(d ledger.Deployment) bool {
	return ended(d.State) || d.State == ledger.Reverted
}

func failed(d ledger.Deployment) report.Sick {
	told := report.Sick{Deployment: deployment(d), From: d.From, Resumable: d.Resume, Troubles: d.Troubles, Unapplied: d.Refused, NoRevert: d.Revert.None}
	if len(d.Troubles) > 0 && d.State != ledger.Inconclusive {
		told.Why = ""
	} else {
		told.Why = d.Why
	}
	return told
}

func reversal(r ledger.Rollout, d ledger.Deployment, how Reversal) report.Reversal {
	told := report.Reversal{Sick: failed(d), Ours: how.Commit != "", Commit: r.Commit, To: how.To, Files: how.Files, Shared: how.Shared, Conflicts: how.Conflicts, Hidden: !r.Shows}
	told.State = string(d.State)
	for _, pr := range r.Pulls[:min(len(r.Pulls), maxPulls)] {
		told.Pulls = append(told.Pulls, pr.Number)
	}
	return told
}

// titleOf is the title of a revert, as forges write theirs.
func titleOf(r ledger.Rollout, target string, how Reversal) string {
	if len(how.Conflicts) > 0 {
		return fmt.Sprintf("%s failed at %s and can't be reverted by itself", report.Plain(target), short(r.Commit))
	}
	if len(r.Pulls) == 1 && !how.Wider {
		return fmt.Sprintf("Revert \"%s\"", report.Plain(r.Pulls[0].Title))
	}
	return fmt.Sprintf("Revert %s to %s", short(r.Commit), short(how.To))
}

// progress is how far the deployments of an environment have come, the worst of them first.
var progress = []struct {
	of     []ledger.DeploymentState
	is     forge.Progress
	saying string
}{
	{[]ledger.DeploymentState{ledger.Degraded, ledger.Failed, ledger.TimedOut, ledger.Reverting, ledger.Reverted}, forge.DeploymentFailed, "failed"},
	{[]ledger.DeploymentState{ledger.Inconclusive}, forge.DeploymentUnclear, "inconclusive"},
	{[]ledger.DeploymentState{ledger.NeedsApproval, ledger.Held}, forge.DeploymentWaiting, "waits for /apply"},
	{[]ledger.DeploymentState{ledger.Applying}, forge.DeploymentRunning, "applying"},
	{[]ledger.DeploymentState{ledger.Verifying}, forge.DeploymentRunning, "verifying"},
	{[]ledger.DeploymentState{ledger.Queued}, forge.DeploymentQueued, "queued"},
	{[]ledger.DeploymentState{ledger.Healthy}, forge.DeploymentDone, "healthy"},
	{[]ledger.DeploymentState{ledger.Superseded}, forge.DeploymentOver, "superseded"},
}

// deployments are one for each place that the rollout goes to.
func deployments(r ledger.Rollout) (effects []ledger.Effect) {
	places := map[string][]ledger.Deployment{}
	var order []string
	for _, d := range r.Targets {
		if _, known := places[d.Place]; !known {
			order = append(order, d.Place)
		}
		places[d.Place] = append(places[d.Place], d)
	}
	for _, place := range order {
		is, saying := sum(places[place])
		effects = append(effects, ledger.Effect{Key: "deployment/" + r.ID() + "/" + place, Forge: r.Repo.Forge, Deployment: &forge.Deployment{
			Repo: r.Repo, Commit: r.Commit, Environment: place, Key: fmt.Sprintf("%s.%d", short(r.Commit), r.Number), Progress: is, Description: saying, URL: url(r.Pulls),
		}})
	}
	return effects
}

func sum(all []ledger.Deployment) (forge.Progress, string) {
	for _, p := range progress {
		var names []string
		for _, d := range all {
			if slices.Contains(p.of, d.State) {
				names = append(names, d.Target.Name())
			}
		}
		if len(names) > 0 {
			return p.is, fmt.Sprintf("%s: %s", p.saying, strings.Join(names, ", "))
		}
	}
	return forge.DeploymentQueued, ""
}

// url is where more is said of a rollout.
func url(pulls []gitops.PullRequest) string {
	if len(pulls) == 0 {
		return ""
	}
	return pulls[0].URL
}
