// Package ledger is what Davit remembers and what it will do next, as values: a step
// is worked by gathering facts and deciding, and what it decided is one Batch, which
// is committed whole or not at all.
//
// It knows no database. It holds nothing that could not be read by the operator: no
// value of a Secret, no token.
package ledger

import (
	"errors"
	"fmt"
	"time"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
)

// ErrConflict is what committing a Batch answers that was decided on a row as it is no
// longer. Whoever decided must read the row again.
var ErrConflict = errors.New("a row has changed since it was read")

// ErrNotFound is what reading a row answers that there is none of.
var ErrNotFound = errors.New("no such row")

// Batch is everything that one step decided.
type Batch struct {
	Pulls     []Pull      // each must still be at the version it was read at
	Branches  []Branch    // the same
	Rollouts  []Rollout   // the same
	Deployed  []Deployed  // replace what is there
	Shown     []Shown     // the same
	Journal   []Note      // are added
	Commands  []Command   // one that is there already makes the whole Batch a conflict
	Effects   []Effect    // replace what is not delivered yet under the same key
	Delivered []Delivered // effects that were
	Heard     []Heard     // deliveries that were
	Steps     []Step      // one that waits already is not added again
}

// Kind is what a step does.
type Kind string

// The kinds, and what their Key names.
const (
	Hear      Kind = "hear"      // a delivery: find out what it hints at
	Look      Kind = "look"      // a pull request: whether it has changed
	Review    Kind = "review"    // a pull request: say what it would do
	Deliver   Kind = "deliver"   // an effect: write it to the forge
	Redeliver Kind = "redeliver" // a forge: ask for the deliveries that were lost
	Inspect   Kind = "inspect"   // a forge: list its repositories
	List      Kind = "list"      // a repository: look at all its open pull requests
	Roll      Kind = "roll"      // a repository: open a rollout of what came onto its deployed branch
	Advance   Kind = "advance"   // a rollout: start what may start
	Deploy    Kind = "deploy"    // a rollout's target, "ROLLOUT TARGET": take it one step further
	Revert    Kind = "revert"    // the same: open the pull request that undoes it
	Tidy      Kind = "tidy"      // nothing: forget what is old, and take up what was given up
)

// Step is something to be done. Steps of the same kind, key and turn are one.
type Step struct {
	Kind  Kind
	Key   string
	Turn  int64     // of a pull request that is reviewed, or of a target that is deployed
	At    time.Time // not before this; zero means now
	Idle  bool      // nobody waits for it, so it comes after what somebody does
	Cause string    // the id of the delivery that it goes back to, for the log
}

// String is for logs.
func (s Step) String() string {
	if s.Turn > 0 {
		return fmt.Sprintf("%s %s turn %d", s.Kind, s.Key, s.Turn)
	}
	return fmt.Sprintf("%s %s", s.Kind, s.Key)
}

// Later is the answer of a step that can't be done yet. It counts as no failure.
type Later struct {
	Until time.Time
	Err   error
}

func (l *Later) Error() string {
	return fmt.Sprintf("not before %s: %v", l.Until.Format(time.RFC3339), l.Err)
}

// Unwrap returns the reason.
func (l *Later) Unwrap() error { return l.Err }

// Hopeless is the answer of a step that can never be done.
type Hopeless struct{ Err error }

func (h *Hopeless) Error() string { return h.Err.Error() }

// Unwrap returns the reason.
func (h *Hopeless) Unwrap() error { return h.Err }

// Pull is what is remembered of a pull request.
type Pull struct {
	gitops.PullRequest        // as it was looked at last
	Version            int64  // of the row; 0 of one that is not there yet
	Trusted            string // the head that somebody let Davit look at; of a fork's

	// Reviews are counted in turns: Turn is the last that was asked for, Done the last
	// that ended. Quiet says that nobody waits for the last one, because only the base
	// branch moved; Wants names the commit that it moved to meanwhile, and Moved is the
	// last time that it led to a review.
	Turn, Done int64
	Quiet      bool
	Wants      string
	Moved      time.Time

	// A commit has one check as long as its annotations stay the same: they can be added
	// to, never changed. Attempt counts the checks of the head, Annotated names what the
	// last of them was annotated with.
	Attempt   int
	Annotated string

	// What the last review found.
	Tip       string    // commit of the base branch
	Digest    string    // of all that it said but for commits
	Reviewed  time.Time // when it ended
	Commented bool      // it, or one before, had something to say
}

// Command is something that somebody asked for in a comment. It is kept for good: one
// comment is one command, whatever is delivered how often.
type Command struct {
	Forge   string
	Comment string // its ID; unique on the forge
	Pull    string // name of the pull request
	Actor   gitops.Actor
	Text    string
	Refused string // why nothing was done; empty if something was
	At      time.Time
}

// Effect is something to be written to a forge. Exactly one of its artefacts is set. What
// is written under one key is one artefact: a later effect replaces an earlier one.
type Effect struct {
	Key   string
	Forge string
	// Turn is whose review it is of. One that is as before but of another turn is written
	// again: somebody asked for it, and what is there may have been changed.
	Turn       int64             `json:",omitempty"`
	Comment    *forge.Comment    `json:",omitempty"`
	Check      *forge.Check      `json:",omitempty"`
	Reaction   *forge.Reaction   `json:",omitempty"`
	Deployment *forge.Deployment `json:",omitempty"`
	Proposal   *forge.Proposal   `json:",omitempty"`
	Issue      *forge.Issue      `json:",omitempty"`

	// What the store knows about it.
	Version  int64     // counts what was to be written
	Written  int64     // the version that is
	Artefact string    // the ID of what was written, once it is known
	Refused  string    // why it never will be; empty if that is not so
	Changed  time.Time // when it was decided
}

// Delivered says that a version of an effect was written.
type Delivered struct {
	Key      string
	Version  int64
	Artefact string
	// Refused says why it never will be, if it was not.
	Refused string
}

// Delivery is what a forge has sent, as it was sent.
type Delivery struct {
	ID       string // given by the forge; unique on it
	Forge    string
	Event    string
	Header   map[string]string // what might matter of it
	Body     []byte
	Received time.Time
	State    DeliveryState
	Error    string // of a broken one
}

// Key names a delivery among those of all forges.
func (d Delivery) Key() string { return d.Forge + "/" + d.ID }

// DeliveryState is how far a delivery has come.
type DeliveryState string

// The states.
const (
	Waiting DeliveryState = "waiting"
	Done    DeliveryState = "done"
	Broken  DeliveryState = "broken" // it can't be read; "davit replay" tries again
)

// Heard says what became of a delivery.
type Heard struct {
	Key   string
	State DeliveryState
	Error string
}
