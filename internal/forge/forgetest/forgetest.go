// Package forgetest is the contract of package forge as behaviour: a suite that every
// provider passes, on the forge itself or on something that behaves like it. It says
// nothing about how a provider talks to its forge, and a product never imports it.
package forgetest

import (
	"context"
	"testing"
	"time"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
)

// Stage is a forge with one repository under the care of a provider, and the people
// who act there. Its methods end the test if something is wrong with the stage.
type Stage interface {
	// Forge is the provider under test.
	Forge() forge.Forge
	// Restart makes Forge another provider for the same forge, which remembers nothing.
	Restart()
	// Repo is for everybody to read. carol may administer it, alice write to it, and
	// bob read it; to mallory, who has a fork of it, it gives nothing.
	Repo() gitops.Repo
	// Suspended is a repository whose owner has suspended Davit.
	Suspended() gitops.Repo
	Person(login string) gitops.Actor

	Open(Opening) (number int)
	Push(number int) (commit string)  // another commit to the pull request's branch
	Merge(number int) (commit string) // which is on the base branch then
	Close(number int)
	Comment(login string, number int, body string) (id string)
	EditComment(id, body string) // as somebody who may
	DeleteComment(id string)     // the same
	CommentCommit(login, commit, body string) (id string)
	OpenIssue(login, title, body string)
	CloseIssue(number string) // as somebody who may

	// PushBranch pushes a commit of its own to a new branch, as Davit and as Destination
	// lets it.
	PushBranch(name string) (commit string)

	// What is there, the oldest first.
	Comments(number int) []Comment
	CommitComments(commit string) []Comment
	Checks(commit string) []forge.Check
	Reactions(comment string) []forge.Emoji
	Deployments(commit string) []Deployment
	Proposals() []forge.Proposal // pull requests of Davit's
	Issues() []Issue

	LoseAnswer()           // of the next thing to be made: it is, and nobody hears of it
	Limit(until time.Time) // answers the next reading of a pull request

	Later(time.Duration)          // moves the provider's clock
	Deaf(bool)                    // deliveries are refused
	Deliveries() []Delivery       // that arrived, after all that are under way have
	Secrets() (one, other string) // both are good
	Signature(secret string, body []byte) (header, value string)
}

// Opening is a pull request to be opened.
type Opening struct {
	Author, Title string
	Draft, Fork   bool
}

// Comment is a comment as it is on the forge, with whatever a provider adds to its end.
type Comment struct{ ID, Login, Body string }

// Deployment is a deployment as it is on the forge, with all that was said of it.
type Deployment struct {
	forge.Deployment
	Said []forge.Progress
}

// Issue is an issue as it is on the forge, with whatever a provider adds to its end.
type Issue struct {
	Number, Title, Body string
	Ours, Closed        bool
}

// Delivery is what a forge sent.
type Delivery struct {
	Header map[string]string
	Body   []byte
}

func (d Delivery) header(name string) string { return d.Header[name] }

// scene is a stage with a test around it.
type scene struct {
	Stage
	*testing.T
	restarts bool
}

func (s scene) ctx() context.Context { return s.T.Context() }

// step is where a provider may be replaced by one that remembers nothing.
func (s scene) step() {
	if s.restarts {
		s.Restart()
	}
}

// claim is one sentence of the contract. One with steps is to hold with restarts, too.
type claim struct {
	says  string
	steps bool
	holds func(scene)
}

// Run runs the suite. open makes a stage of its own for each case.
func Run(t *testing.T, open func(t *testing.T) Stage) {
	t.Helper()
	for _, group := range []struct {
		name   string
		claims []claim
	}{
		{"comments", comments}, {"comments on commits", commitComments}, {"checks", checks}, {"reactions", reactions},
		{"deployments", deployments}, {"proposals", proposals}, {"issues", issues}, {"facts", facts}, {"merges", merges},
		{"permissions", permissions}, {"deliveries", deliveries}, {"errors", failures},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range group.claims {
				t.Run(c.says, func(t *testing.T) {
					t.Parallel()
					c.holds(scene{open(t), t, false})
				})
				if c.steps {
					t.Run(c.says+", after restarts", func(t *testing.T) {
						t.Parallel()
						c.holds(scene{open(t), t, true})
					})
				}
			}
		})
	}
}

// class ends the test unless an error is of a class and says what was being done.
func (s scene) class(err error, want forge.Class) {
	s.Helper()
	if err == nil || forge.ClassOf(err) != want {
		s.Fatalf("the error is of the class %q (%v), want %q", forge.ClassOf(err), err, want)
	}
	if e, is := err.(*forge.Error); !is || e.Doing == "" {
		s.Fatalf("%v is a %T that does not say what was being done", err, err)
	}
}
