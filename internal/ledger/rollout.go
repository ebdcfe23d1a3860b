package ledger

import (
	"fmt"
	"slices"
	"time"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/plan"
	"github.com/davitops/davit/internal/verdict"
)

// Branch is a repository's branch that is deployed, and the commit up to which its
// changes have gone into rollouts.
type Branch struct {
	Repo     gitops.Repo
	Name     string
	Commit   string
	Rollouts int64 // how many there were
	Version  int64 // of the row; 0 of one that is not there yet
}

// Rollout is one commit of a branch that is deployed going out to the targets that it
// affects.
type Rollout struct {
	Repo    gitops.Repo
	Branch  string
	Commit  string
	Number  int64  // among those of the repository, from 1: a branch can come back to a commit
	Before  string // where the branch was
	Version int64  // of the row; 0 of one that is not there yet
	Opened  time.Time
	Shows   bool                 // what clusters say may be shown in the repository
	Pulls   []gitops.PullRequest // that were merged with it
	Undoes  string               // of an unmodified pull request of ours: the ID of the rollout that it reverts
	Draft   bool                 // open reverts as drafts
	Manual  bool                 // open no reverts
	Targets []Deployment
}

// ID names a rollout: "github:acme/gitops@COMMIT.7".
func (r Rollout) ID() string { return fmt.Sprintf("%s@%s.%d", r.Repo, r.Commit, r.Number) }

// Key names the deployment of a target in a rollout.
func (r Rollout) Key(target string) string { return r.ID() + " " + target }

// Brought reports whether a pull request was merged with it.
func (r Rollout) Brought(pull int) bool {
	return slices.ContainsFunc(r.Pulls, func(p gitops.PullRequest) bool { return p.Number == pull })
}

// Find returns where the deployment of a target is, or -1.
func (r Rollout) Find(target string) int {
	return slices.IndexFunc(r.Targets, func(d Deployment) bool { return d.Target.Name() == target })
}

// Live reports whether anything can still become of a rollout.
func (r Rollout) Live() bool {
	return slices.ContainsFunc(r.Targets, func(d Deployment) bool { return !d.Over() })
}

// DeploymentState is where a target's deployment stands.
type DeploymentState string

// The states.
const (
	Queued        DeploymentState = "queued"
	Held          DeploymentState = "held"           // for somebody's /apply
	NeedsApproval DeploymentState = "needs-approval" // of effects that nobody saw
	Applying      DeploymentState = "applying"
	Verifying     DeploymentState = "verifying" // applied and ready, and watched
	Healthy       DeploymentState = "healthy"
	Degraded      DeploymentState = "degraded"     // it was applied, and is not well
	Failed        DeploymentState = "failed"       // it was not, or not wholly, applied
	TimedOut      DeploymentState = "timed-out"    // it is not ready, and nobody knows why
	Inconclusive  DeploymentState = "inconclusive" // something is wrong that the change may not be to blame for
	Superseded    DeploymentState = "superseded"   // a newer commit took its place
	Reverting     DeploymentState = "reverting"    // there is a revert for people to merge
	Reverted      DeploymentState = "reverted"
)

// Deployment is one target of a rollout.
type Deployment struct {
	Target  gitops.Target
	Place   string // what people call where it goes: the environment, else the cluster
	Removed bool   // the commit has no such target any more
	Undoing bool   // the rollout undoes what was done here: nothing holds it up
	// As .davit.yaml says at the commit.
	OnCommand bool
	After     []string      // environments that come first
	Soak      time.Duration // how long they must have been healthy
	Window    time.Duration // how long it is watched

	State DeploymentState
	Since time.Time
	Why   string // a sentence, for people; masked
	Turn  int64  // counts its steps
	Past  bool   // a newer commit's deployment of the target has begun

	From  string // the last commit that was healthy here; empty if none was
	Was   string // the last that was deployed, whatever came of it
	Begun bool   // something was written
	Seen  []Seen // what was shown of it

	Approved time.Time // when somebody said /apply last
	Skips    bool      // and that it waits for no environment
	Approver string

	Before   []verdict.Workload // how it was before anything was applied
	Settled  []verdict.Workload // how it was when the watch began
	Changed  []gitops.ObjectRef // what was written
	Until    time.Time          // the end of the watch
	Refused  bool               // it was not applied, for what it is
	Resume   bool               // it ended for a reason of the cluster's: /retry goes on
	Troubles []verdict.Trouble
	Revert   Reversion
}

// Seen names what was shown of a deployment: it counts if it was of this commit. A question
// counts only once somebody has answered it.
type Seen struct {
	Key, Head string
	Question  bool
}

// Reversion is the pull request that undoes a deployment, or why there is none.
type Reversion struct {
	Branch string // of ours; empty if there is none
	Commit string // that it was opened with
	Number int    // once it is known
	None   string // why there is none, in a sentence
}

// Over reports whether nothing can become of a deployment any more.
func (d Deployment) Over() bool {
	switch d.State {
	case Healthy, Superseded, Reverted:
		return true
	}
	return d.Past
}

// Deployed is what was deployed of one target.
type Deployed struct {
	Repo    gitops.Repo
	Target  string // its name
	Commit  string // the last that was begun, whatever came of it
	Healthy string // the last that was found healthy; empty if none was
	At      time.Time
}

// Shown is what people were shown of a plan, so that it may be applied.
type Shown struct {
	Key     string // a pull request's name, or that of a rollout's deployment
	Head    string // the commit that it was planned for
	At      time.Time
	Targets map[string][]plan.Effect // by the target's name
}

// Note is a line of the journal of an apply: what is about to be done, or was.
type Note struct {
	Rollout, Target string
	At              time.Time
	Action          string
	Object          gitops.ObjectRef // zero for inventories
	UID             string
	Fence           int64
	Done            bool
	Version         string
	Error           string // for the log; masked
}
