// Package forge is the contract between Davit and whatever hosts pull requests. A
// provider is a room below this one and a line where the operator's forges are opened;
// forge/forgetest is the suite that says in behaviour what is written here.
//
// A forge offers no create that could be repeated safely, so everything that Davit
// writes has a key, which lives in the artefact itself, and writing is: find by key,
// then create or edit. A provider decides nothing and keeps nothing that it could
// not ask for again.
package forge

import (
	"context"
	"time"

	"github.com/davitops/davit/internal/gitops"
)

// Forge is one forge, with all installations of Davit on it. Its methods may be
// called concurrently; a caller must not write one artefact twice at a time. Their
// errors are *Error.
type Forge interface {
	Hook
	Facts
	Writer

	// Redeliver asks the forge to send the deliveries again that did not arrive since
	// a time, and returns how many it asked for.
	Redeliver(ctx context.Context, since time.Time) (int, error)
}

// Facts is the part of a forge that is asked.
type Facts interface {
	// Repositories are all that Davit is installed on.
	Repositories(ctx context.Context) ([]gitops.Repo, error)

	// Repository returns the facts about one. Its Repo is the repository by its name now.
	Repository(ctx context.Context, repo gitops.Repo) (Repository, error)

	// PullRequest returns the facts about one pull request. Its Repo is the repository
	// by its name now, which after a rename is not the one that was asked for.
	PullRequest(ctx context.Context, repo gitops.Repo, number int) (gitops.PullRequest, error)

	// PullRequests are the open ones of a repository.
	PullRequests(ctx context.Context, repo gitops.Repo) ([]gitops.PullRequest, error)

	// Merged are the pull requests by whose merge a commit came onto its branch, whichever
	// way it was merged: none if it was pushed.
	Merged(ctx context.Context, repo gitops.Repo, commit string) ([]gitops.PullRequest, error)

	// Tip is the commit that a branch is at, as the forge says now.
	Tip(ctx context.Context, repo gitops.Repo, branch string) (commit string, err error)

	// MayWrite reports whether somebody may push to a repository, as the forge says
	// when it is asked: never by what an event claims.
	MayWrite(ctx context.Context, repo gitops.Repo, who gitops.Actor) (bool, error)

	// Source is where and how git fetches a repository. It is good for minutes.
	Source(ctx context.Context, repo gitops.Repo) (Source, error)

	// Destination is where and how git pushes to a repository. It is good for minutes, and
	// asked for anew each time.
	Destination(ctx context.Context, repo gitops.Repo) (Source, error)
}

// Writer is the part of a forge that is written to. Each of its methods finds what has
// the key before it makes anything, and returns the id of the artefact.
type Writer interface {
	// SaveComment makes a comment of ours hold a body, and returns its id. It edits the
	// comment that has the key, or else writes a new one. Comments of other people
	// are left alone, whatever they hold.
	SaveComment(ctx context.Context, c Comment) (id string, err error)

	// SaveCheck makes a check of a commit be as given, and returns its id.
	SaveCheck(ctx context.Context, c Check) (id string, err error)

	// React adds a reaction to somebody's comment.
	React(ctx context.Context, r Reaction) error

	// SaveDeployment makes a deployment of a commit be in a state. What its newest status
	// says already is not said again, and neither is what it said before another took its
	// place.
	SaveDeployment(ctx context.Context, d Deployment) (id string, err error)

	// Propose opens the pull request of a branch of ours that is pushed, and returns its
	// number. One of ours that is there, whatever became of it, is left as it is: people
	// may have changed it. One from which nothing would be merged is Refused.
	Propose(ctx context.Context, p Proposal) (number string, err error)

	// SaveIssue opens an issue, and returns its number. One of ours that is there, open or
	// closed, is left as it is.
	SaveIssue(ctx context.Context, i Issue) (number string, err error)
}

// Hook is the half of a forge that reads its deliveries. It needs no network.
type Hook interface {
	// Verify returns the id and the kind of a delivery that the forge has signed.
	// header returns the value of a header. The error is of the class Forbidden if the
	// signature is bad, and Refused if the id or the kind is not written like one. It
	// says what is wrong with the delivery, and never what would be right.
	Verify(header func(name string) string, body []byte) (id, event string, err error)

	// Event reads a delivery. One that is nothing to Davit is an event of the empty
	// kind and no error.
	Event(event string, body []byte) (gitops.Event, error)
}

// Repository is what a forge says of a repository.
type Repository struct {
	gitops.Repo
	Default string // branch
	Private bool   // it is not for everybody to read
}

// Source is a repository as git reaches it. User and Password are for its host
// alone, and must not be written anywhere.
type Source struct{ URL, User, Password string }

// Comment is a comment of ours on a pull request, or on a commit that came by none.
type Comment struct {
	Repo   gitops.Repo
	Number int    // of the pull request; 0 on a commit
	Commit string `json:",omitempty"` // 40 or 64 digits; empty on a pull request
	Key    string // names it among our comments there; letters, digits and -
	ID     string // where it was found before: a hint, which may be wrong or empty
	Body   string // Markdown
}

// Conclusion is how a check ended; the empty one means that it is still going on.
type Conclusion string

// The conclusions.
const (
	Running Conclusion = ""
	Success Conclusion = "success"
	Failure Conclusion = "failure"
	Waiting Conclusion = "waiting" // for somebody to do something; it does not pass
	Dropped Conclusion = "dropped" // a newer one took its place; it ends a check that is there, and makes none
)

// Level is how bad an annotation is.
type Level string

// The levels.
const (
	Notice  Level = "notice"
	Warning Level = "warning"
	Fault   Level = "failure"
)

// Annotation is a remark at a line of a file at the check's commit.
type Annotation struct {
	Path    string
	Line    int // from 1
	Level   Level
	Title   string
	Message string
}

// Check is the state of a commit, as its pull request shows it.
type Check struct {
	Repo       gitops.Repo
	Commit     string
	Name       string
	Key        string // names one run of it: its annotations can be added to, never changed
	ID         string // where it was found before: a hint
	Conclusion Conclusion
	Title      string
	Summary    string // Markdown
	URL        string // of more; may be empty
	// Annotations that do not fit into one request are sent in several.
	Annotations []Annotation
}

// Emoji is what a reaction looks like.
type Emoji string

// The emojis.
const (
	Eyes     Emoji = "eyes"     // seen, and being worked on
	Confused Emoji = "confused" // not understood
)

// Reaction is a reaction to a comment.
type Reaction struct {
	Repo    gitops.Repo
	Number  int
	Comment string // its ID
	Emoji   Emoji
}

// Progress is how far a deployment has come.
type Progress string

// The states of deployments.
const (
	DeploymentQueued  Progress = "queued"
	DeploymentWaiting Progress = "waiting" // for somebody to do something
	DeploymentRunning Progress = "running"
	DeploymentDone    Progress = "done" // earlier ones of the environment that were done are over
	DeploymentFailed  Progress = "failed"
	DeploymentUnclear Progress = "unclear"  // nobody knows whether it is well
	DeploymentOver    Progress = "inactive" // another took its place; it ends one that is there, and makes none
)

// Deployment is a commit in an environment, as the forge shows it.
type Deployment struct {
	Repo        gitops.Repo
	Commit      string
	Environment string
	Key         string // names it among those of the commit and the environment
	ID          string // where it was found before: a hint
	Progress    Progress
	Description string // plain text; what is too long for the forge is cut
	URL         string // of more; may be empty
}

// Proposal is a pull request of ours.
type Proposal struct {
	Repo   gitops.Repo
	Branch string // of ours, and the key: there is one pull request for it, ever
	Base   string // branch
	Title  string
	Body   string // Markdown
	Draft  bool   // if the forge has drafts there
}

// Issue is an issue of ours.
type Issue struct {
	Repo  gitops.Repo
	Key   string // letters, digits and -
	Title string
	Body  string // Markdown
}
