package gitops

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Actor is somebody who acts on a forge. An ID is for good there; a login can be
// given to somebody else.
type Actor struct {
	ID, Login string
	Bot       bool
}

// Revision is a branch and the commit that it is at. Repo differs from the pull
// request's own in a fork, and is empty if that is gone.
type Revision struct {
	Repo           Repo
	Branch, Commit string
}

// State is where a pull request is in its life.
type State string

// The states.
const (
	Open   State = "open"
	Merged State = "merged"
	Closed State = "closed" // and not merged
)

// PullRequest is a pull request as its forge tells it; merge requests are pull
// requests, too. Repo and Number name it, the rest are facts of one moment.
type PullRequest struct {
	Repo    Repo
	Number  int
	URL     string // of the page that people read
	Title   string
	State   State
	Draft   bool
	Author  Actor
	Head    Revision
	Base    Revision  // Commit is what the forge says, which may be older than the branch's tip
	Merge   string    // the commit that merging it made on the base branch; empty unless State is Merged
	Private bool      // the repository is not for everybody to read
	Default string    // the repository's default branch
	Updated time.Time // when any of this changed last
}

// Name prints "github:acme/gitops#12".
func (p PullRequest) Name() string { return p.Repo.String() + "#" + strconv.Itoa(p.Number) }

// ParsePullRequest reads what Name prints.
func ParsePullRequest(name string) (PullRequest, error) {
	at := strings.LastIndexByte(name, '#')
	if at < 0 {
		return PullRequest{}, fmt.Errorf("read the pull request %q: it has no number", name)
	}
	repo, valid := ParseRepo(name[:at])
	number, err := strconv.Atoi(name[at+1:])
	if !valid || err != nil || number < 1 {
		return PullRequest{}, fmt.Errorf("read the pull request %q: it is not written like github:acme/gitops#12", name)
	}
	return PullRequest{Repo: repo, Number: number}, nil
}

// FromFork reports whether what is to be merged comes from another repository, to
// which other people may write.
func (p PullRequest) FromFork() bool { return p.Head.Repo != p.Repo }

// EventKind is what happened.
type EventKind string

// The kinds. Whatever else happens on a forge is the empty kind.
const (
	Changed   EventKind = "changed"   // a pull request: opened, pushed to, edited, closed
	Commented EventKind = "commented" // somebody wrote a new comment on a pull request, or on a commit
	Pushed    EventKind = "pushed"    // a branch moved
	Connected EventKind = "connected" // repositories came under our care, or left it
)

// Event is what a delivery hints at. Only the comment is taken from it, as it was
// written then; everything else is a reason to ask anew.
type Event struct {
	Kind    EventKind
	Repo    Repo
	Number  int // of the pull request, of Changed and Commented; 0 if it is on a commit
	Actor   Actor
	Branch  string    // of Pushed
	Commit  string    // that the branch is at, of Pushed; empty if it is gone. That is commented on
	Comment string    // its ID, of Commented
	Text    string    // what the comment says
	Written time.Time // when the comment was; zero if that is not known
	Updated time.Time // the pull request's own, of Changed; zero if unknown
}
