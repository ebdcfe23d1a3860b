package fake_test

import (
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/forge/fake"
	"github.com/davitops/davit/internal/forge/forgetest"
	"github.com/davitops/davit/internal/gitops"
)

// TestContract holds the fake to the contract, as a provider.
func TestContract(t *testing.T) {
	t.Parallel()
	forgetest.Run(t, func(t *testing.T) forgetest.Stage { return open(t) })
}

// first is where the default branch is at the beginning.
const first = "00000000000000000000000000000000000000ff"

type stage struct {
	*testing.T
	forge           *fake.Forge
	repo, suspended gitops.Repo
	fork            gitops.Repo

	mu        sync.Mutex
	later     time.Duration
	deaf      bool
	delivered []forgetest.Delivery
	commits   int
}

func open(t *testing.T) *stage {
	s := &stage{T: t}
	s.forge = fake.New(fake.Options{Secrets: []string{"one secret", "other secret"}, Now: s.now, Receive: s.receive})
	s.repo = s.forge.Add("acme/gitops", "file:///nowhere", false)
	s.suspended = s.forge.Add("former/gitops", "file:///nowhere", false)
	s.forge.Suspend(s.suspended, true)
	s.forge.Put(s.repo, "main", first)
	s.fork = gitops.Repo{Forge: s.repo.Forge, Path: "mallory/gitops"}
	for login, role := range map[string]string{"alice": "write", "bob": "read", "carol": "admin", "mallory": "none"} {
		s.forge.Permit(s.repo, login, role)
	}
	return s
}

func (s *stage) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.later)
}

func (s *stage) receive(header func(string) string, body []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deaf {
		return false
	}
	d := forgetest.Delivery{Header: map[string]string{}, Body: body}
	for _, name := range []string{fake.HeaderID, fake.HeaderEvent, fake.HeaderSignature} {
		d.Header[name] = header(name)
	}
	s.delivered = append(s.delivered, d)
	return true
}

func (s *stage) Forge() forge.Forge                     { return s.forge }
func (s *stage) Restart()                               {}
func (s *stage) Repo() gitops.Repo                      { return s.repo }
func (s *stage) Suspended() gitops.Repo                 { return s.suspended }
func (s *stage) Person(login string) gitops.Actor       { return s.forge.Person(login) }
func (s *stage) Close(number int)                       { s.forge.Close(s.repo, number) }
func (s *stage) EditComment(id, body string)            { s.forge.EditComment(s.repo, id, body) }
func (s *stage) DeleteComment(id string)                { s.forge.DeleteComment(s.repo, id) }
func (s *stage) Checks(commit string) []forge.Check     { return s.forge.Checks(s.repo, commit) }
func (s *stage) Reactions(comment string) []forge.Emoji { return s.forge.Reactions(s.repo, comment) }
func (s *stage) CloseIssue(number string)               { s.forge.CloseIssue(s.repo, number) }
func (s *stage) Proposals() []forge.Proposal            { return s.forge.Proposals(s.repo) }
func (s *stage) Secrets() (one, other string)           { return "one secret", "other secret" }

func (s *stage) commit() string {
	s.commits++
	return fmt.Sprintf("%040x", s.commits)
}

func (s *stage) Open(o forgetest.Opening) int {
	p := gitops.PullRequest{
		Repo: s.repo, Title: o.Title, Author: s.Person(o.Author), Draft: o.Draft,
		Head: gitops.Revision{Branch: "change", Commit: s.commit()}, Base: gitops.Revision{Branch: "main", Commit: first},
	}
	if o.Fork {
		p.Head.Repo = s.fork
	}
	return s.forge.Open(p)
}

func (s *stage) Push(number int) string {
	commit := s.commit()
	s.forge.Push(s.repo, number, commit)
	return commit
}

func (s *stage) Merge(number int) string {
	commit := s.commit()
	s.forge.Merge(s.repo, number, commit)
	return commit
}

func (s *stage) Comment(login string, number int, body string) string {
	return s.forge.Comment(s.repo, number, login, body)
}

func (s *stage) CommentCommit(login, commit, body string) string {
	return s.forge.CommentCommit(s.repo, commit, login, body)
}

func (s *stage) OpenIssue(login, title, body string) { s.forge.OpenIssue(s.repo, login, title, body) }

func (s *stage) PushBranch(name string) string {
	commit := s.commit()
	s.forge.Put(s.repo, name, commit)
	s.forge.Deliver(gitops.Event{Kind: gitops.Pushed, Repo: s.repo, Branch: name, Commit: commit, Actor: fake.Davit})
	return commit
}

func (s *stage) Deployments(commit string) []forgetest.Deployment {
	var found []forgetest.Deployment
	for _, d := range s.forge.Deployments(s.repo, commit) {
		made := forgetest.Deployment{Deployment: forge.Deployment{Commit: d.Commit, Environment: d.Environment, Key: d.Key, ID: d.ID}}
		for _, said := range d.Said {
			made.Progress, made.Description, made.URL = said.Progress, said.Description, said.URL
			made.Said = append(made.Said, said.Progress)
		}
		found = append(found, made)
	}
	return found
}

func (s *stage) Issues() []forgetest.Issue {
	var found []forgetest.Issue
	for _, i := range s.forge.Issues(s.repo) {
		found = append(found, forgetest.Issue{Number: i.Number, Title: i.Title, Body: i.Body, Ours: i.Author == fake.Davit, Closed: i.Closed})
	}
	return found
}

func (s *stage) Comments(number int) []forgetest.Comment {
	return shown(s.forge.Comments(s.repo, number))
}

func (s *stage) CommitComments(commit string) []forgetest.Comment {
	return shown(s.forge.CommitComments(s.repo, commit))
}

func shown(all []fake.Comment) []forgetest.Comment {
	var found []forgetest.Comment
	for _, c := range all {
		found = append(found, forgetest.Comment{ID: c.ID, Login: c.Author.Login, Body: c.Body})
	}
	return found
}

func (s *stage) LoseAnswer() {
	// Whichever is called first.
	s.forge.Fail(fake.Fault{Class: forge.Unavailable, Done: true})
}

func (s *stage) Limit(until time.Time) {
	s.forge.Fail(fake.Fault{Call: "PullRequest", Class: forge.Limited, Until: until})
}

func (s *stage) Later(by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.later += by
}

func (s *stage) Deaf(deaf bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deaf = deaf
}

func (s *stage) Deliveries() []forgetest.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	copied := make([]forgetest.Delivery, len(s.delivered))
	for i, d := range s.delivered {
		copied[i] = forgetest.Delivery{Header: maps.Clone(d.Header), Body: d.Body}
	}
	return copied
}

func (s *stage) Signature(secret string, body []byte) (header, value string) {
	return fake.HeaderSignature, fake.Sign(secret, body)
}

// TestBranches holds that a branch is where a test says, told or not.
func TestBranches(t *testing.T) {
	t.Parallel()
	s := open(t)
	heard := len(s.Deliveries())
	hold := func(want string, class forge.Class, deliveries int) {
		t.Helper()
		commit, err := s.forge.Tip(t.Context(), s.repo, "main")
		if commit != want || err != nil && forge.ClassOf(err) != class || err == nil && class != "" {
			t.Errorf("it is at %q, %v, want %q", commit, err, want)
		}
		if got := len(s.Deliveries()) - heard; got != deliveries {
			t.Errorf("%d deliveries, want %d", got, deliveries)
		}
	}
	s.forge.Put(s.repo, "main", "")
	hold("", forge.Gone, 0)
	s.forge.Put(s.repo, "main", "one")
	hold("one", "", 0)
	s.forge.Move(s.repo, "main", "two")
	hold("two", "", 1)
	s.forge.Open(gitops.PullRequest{Repo: s.repo, Base: gitops.Revision{Branch: "main", Commit: "one"}})
	hold("two", "", 2)
	s.forge.Move(s.repo, "main", "")
	hold("", forge.Gone, 3)
}

// TestFaults holds that calls fail as a test says, as often as it says, and with the
// work done or not.
func TestFaults(t *testing.T) {
	t.Parallel()
	s := open(t)
	n := s.Open(forgetest.Opening{Author: "alice"})
	save := func() error {
		_, err := s.forge.SaveComment(t.Context(), forge.Comment{Repo: s.repo, Number: n, Key: "review", Body: "body"})
		return err
	}
	s.forge.Fail(fake.Fault{Call: "SaveComment", Times: 2, Class: forge.Unavailable})
	s.forge.Fail(fake.Fault{Call: "SaveComment", Class: forge.Refused, Done: true})
	if _, err := s.forge.PullRequest(t.Context(), s.repo, n); err != nil {
		t.Errorf("another call fails as well: %v", err)
	}
	for i, want := range []struct {
		class    forge.Class
		comments int
	}{{forge.Unavailable, 0}, {forge.Unavailable, 0}, {forge.Refused, 1}} {
		if err := save(); forge.ClassOf(err) != want.class || len(s.Comments(n)) != want.comments {
			t.Errorf("call %d: %v, %d comments", i, err, len(s.Comments(n)))
		}
	}
	if err := save(); err != nil || len(s.Comments(n)) != 1 || s.forge.Calls("SaveComment") != 4 {
		t.Errorf("after the faults: %v, %d comments, %d calls", err, len(s.Comments(n)), s.forge.Calls("SaveComment"))
	}
}
