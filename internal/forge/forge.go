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

	// Repositories are all that Davit is installed on.
	Repositories(ctx context.Context) ([]gitops.Repo, error)

	// PullRequest returns the facts about one pull request. Its Repo is the repository
	// by its name now, which after a rename is not the one that was asked for.
	PullRequest(ctx context.Context, repo gitops.Repo, number int) (gitops.PullRequest, error)

	// PullRequests are the open ones of a repository.
	PullRequests(ctx context.Context, repo gitops.Repo) ([]gitops.PullRequest, error)

	// Tip is the commit that a branch is at, as the forge says now.
	Tip(ctx context.Context, repo gitops.Repo, branch string) (commit string, err error)

	// MayWrite reports whether somebody may push to a repository, as the forge says
	// when it is asked: never by what an event claims.
	MayWrite(ctx context.Context, repo gitops.Repo, who gitops.Actor) (bool, error)

	// Source is where and how git fetches a repository. It is good for minutes.
	Source(ctx context.Context, repo gitops.Repo) (Source, error)

	// SaveComment makes a comment of ours hold a body, and returns its id. It edits the
	// comment that has the key, or else writes a new one. Comments of other people
	// are left alone, whatever they hold.
	SaveComment(ctx context.Context, c Comment) (id string, err error)

	// SaveCheck makes a check of a commit be as given, and returns its id.
	SaveCheck(ctx context.Context, c Check) (id string, err error)

	// React adds a reaction to somebody's comment.
	React(ctx context.Context, r Reaction) error

	// Redeliver asks the forge to send the deliveries again that did not arrive since
	// a time, and returns how many it asked for.
	Redeliver(ctx context.Context, since time.Time) (int, error)
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

// Source is a repository as git fetches it. User and Password are for its host
// alone, and must not be written anywhere.
type Source struct{ URL, User, Password string }

// Comment is a comment of ours on a pull request.
type Comment struct {
	Repo   gitops.Repo
	Number int
	Key    string // names it among our comments on the pull request; letters, digits and -
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
