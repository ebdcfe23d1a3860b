package forgetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
)

// Cases on what is read.
var facts = []claim{
	{"the repository is among those that Davit is installed on, once", false, func(s scene) {
		all, err := s.Forge().Repositories(s.ctx())
		count := 0
		for _, r := range all {
			if r == s.Repo() {
				count++
			}
		}
		if err != nil || count != 1 || !slices.IsSortedFunc(all, func(a, b gitops.Repo) int { return strings.Compare(a.Path, b.Path) }) {
			s.Errorf("the repositories are %v, %v", all, err)
		}
	}},
	{"a repository has its default branch, and is for everybody to read or not", false, func(s scene) {
		r, err := s.Forge().Repository(s.ctx(), s.Repo())
		p := s.read(s.Open(Opening{Author: "alice"}))
		if want := (forge.Repository{Repo: s.Repo(), Default: p.Default, Private: p.Private}); err != nil || r != want {
			s.Errorf("it is %+v, %v, want %+v", r, err, want)
		}
	}},
	{"an open pull request has its facts, and a push moves its head", false, func(s scene) {
		n := s.Open(Opening{Author: "alice", Title: "Raise the limits ⚓"})
		p := s.read(n)
		if p.Repo != s.Repo() || p.Number != n || p.Title != "Raise the limits ⚓" || p.State != gitops.Open || p.Draft || p.Private || p.Merge != "" {
			s.Errorf("it is %+v", p)
		}
		if p.Author != s.Person("alice") || p.URL == "" || p.Updated.IsZero() || p.FromFork() {
			s.Errorf("it is %+v", p)
		}
		if p.Head.Branch == "" || p.Base.Branch == "" || p.Default != p.Base.Branch || p.Head.Commit == p.Base.Commit || p.Base.Repo != s.Repo() {
			s.Errorf("it is of %+v and %+v", p.Head, p.Base)
		}
		commit := s.Push(n)
		if moved := s.read(n); moved.Head.Commit != commit || moved.Head.Branch != p.Head.Branch || moved.Base != p.Base {
			s.Errorf("after a push it is of %+v and %+v", moved.Head, moved.Base)
		}
	}},
	{"a draft is one", false, func(s scene) {
		if p := s.read(s.Open(Opening{Author: "alice", Draft: true})); !p.Draft || p.State != gitops.Open {
			s.Errorf("it is %+v", p)
		}
	}},
	{"a merged pull request has the commit that merging it made", false, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		commit := s.Merge(n)
		if p := s.read(n); p.State != gitops.Merged || p.Merge != commit || p.Merge == p.Head.Commit {
			s.Errorf("it is %+v, want the merge %s", p, commit)
		}
	}},
	{"a closed pull request has no merge", false, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		s.Close(n)
		if p := s.read(n); p.State != gitops.Closed || p.Merge != "" {
			s.Errorf("it is %+v", p)
		}
	}},
	{"a pull request from a fork has its head there", false, func(s scene) {
		p := s.read(s.Open(Opening{Author: "mallory", Fork: true}))
		if !p.FromFork() || p.Head.Repo.Path == "" || p.Head.Repo.Forge != s.Repo().Forge || p.Base.Repo != s.Repo() || p.Author.Login != "mallory" {
			s.Errorf("it is %+v", p)
		}
	}},
	{"the list has the open pull requests alone, as they are one by one", false, func(s scene) {
		var want []gitops.PullRequest
		closed, merged := s.Open(Opening{Author: "alice"}), s.Open(Opening{Author: "alice"})
		for _, o := range []Opening{{Author: "alice"}, {Author: "alice", Draft: true}, {Author: "mallory", Fork: true}} {
			want = append(want, s.read(s.Open(o)))
		}
		s.Close(closed)
		s.Merge(merged)
		for range 2 {
			got, err := s.Forge().PullRequests(s.ctx(), s.Repo())
			for i := range got { // the merge moved the base branch
				got[i].Base.Commit, want[min(i, 2)].Base.Commit = "", ""
				got[i].Updated, want[min(i, 2)].Updated = time.Time{}, time.Time{}
			}
			if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
				s.Fatalf("the list is\n%+v, %v, want\n%+v", got, err, want)
			}
		}
	}},
	{"a branch is at what was pushed to it last, or merged into it", false, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		p := s.read(n)
		s.holdTip(p.Head.Branch, p.Head.Commit)
		s.holdTip(p.Head.Branch, s.Push(n))
		s.holdTip(p.Base.Branch, s.Merge(n))
		again := s.Merge(s.Open(Opening{Author: "alice"}))
		s.holdTip(p.Base.Branch, again)
	}},
	{"git has an URL, and a user and a password beside it", false, func(s scene) {
		source, err := s.Forge().Source(s.ctx(), s.Repo())
		if err != nil || source.URL == "" || source.User == "" || source.Password == "" || strings.Contains(source.URL, source.Password) {
			s.Errorf("the source is %q, %v", source.URL, err)
		}
	}},
	{"git pushes to the URL that it fetches from, with another password", false, func(s scene) {
		for range 2 {
			source, err := s.Forge().Source(s.ctx(), s.Repo())
			to, errTo := s.Forge().Destination(s.ctx(), s.Repo())
			if err != nil || errTo != nil || to.URL != source.URL || to.User == "" || to.Password == "" || to.Password == source.Password || strings.Contains(to.URL, to.Password) {
				s.Errorf("the destination is %q, %v, %v", to.URL, err, errTo)
			}
		}
	}},
}

func (s scene) read(number int) gitops.PullRequest {
	s.Helper()
	p, err := s.Forge().PullRequest(s.ctx(), s.Repo(), number)
	if err != nil {
		s.Fatalf("read the pull request: %v", err)
	}
	return p
}

// holdTip reads twice: what is remembered is asked for again.
func (s scene) holdTip(branch, want string) {
	s.Helper()
	for range 2 {
		if commit, err := s.Forge().Tip(s.ctx(), s.Repo(), branch); err != nil || commit != want {
			s.Errorf("%s is at %q, %v, want %s", branch, commit, err, want)
		}
	}
}

// Cases on who may write.
var permissions = []claim{
	{"whoever may write or more, may write, and nobody else", false, func(s scene) {
		for login, want := range map[string]bool{"mallory": false, "bob": false, "alice": true, "carol": true} {
			if may, err := s.Forge().MayWrite(s.ctx(), s.Repo(), s.Person(login)); err != nil || may != want {
				s.Errorf("%s: %v, %v", login, may, err)
			}
		}
	}},
	{"a login that is somebody else's now gives nothing to whom it was", false, func(s scene) {
		former := gitops.Actor{ID: s.Person("bob").ID, Login: "alice"}
		if may, err := s.Forge().MayWrite(s.ctx(), s.Repo(), former); err != nil || may {
			s.Errorf("%v, %v", may, err)
		}
		if may, err := s.Forge().MayWrite(s.ctx(), s.Repo(), s.Person("alice")); err != nil || !may {
			s.Errorf("whose it is now: %v, %v", may, err)
		}
	}},
	{"somebody who is nobody may not write", false, func(s scene) {
		for _, who := range []gitops.Actor{{ID: "999999999", Login: "ghost"}, {ID: "", Login: "ghost"}} {
			if may, err := s.Forge().MayWrite(s.ctx(), s.Repo(), who); err != nil || may {
				s.Errorf("%v: %v, %v", who, may, err)
			}
		}
	}},
}

// Cases on errors.
var failures = []claim{
	{"a limit is an error with the time when it ends", false, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		until := time.Now().Add(90 * time.Second).Truncate(time.Second)
		s.Limit(until)
		_, err := s.Forge().PullRequest(s.ctx(), s.Repo(), n)
		s.class(err, forge.Limited)
		if e := err.(*forge.Error); e.Until.Sub(until).Abs() > 2*time.Second {
			s.Errorf("it ends at %s, want %s", e.Until, until)
		}
	}},
	{"what is not there is gone", false, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		_, err := s.Forge().PullRequest(s.ctx(), s.Repo(), n+1000)
		s.class(err, forge.Gone)
		nowhere := gitops.Repo{Forge: s.Repo().Forge, Path: "acme/nothing"}
		_, err = s.Forge().Tip(s.ctx(), s.Repo(), "nothing/of-this-name")
		s.class(err, forge.Gone)
		_, err = s.Forge().SaveComment(s.ctx(), forge.Comment{Repo: s.Repo(), Number: n + 1000, Key: "review", Body: "body"})
		s.class(err, forge.Gone)
		for _, err := range s.everything(nowhere) {
			s.class(err, forge.Gone)
		}
		if s.read(n).Number != n {
			s.Error("what is there is gone, too")
		}
	}},
	{"without its permissions, nothing is read or written", false, func(s scene) {
		for _, err := range s.everything(s.Suspended()) {
			s.class(err, forge.Forbidden)
		}
		if all, err := s.Forge().Repositories(s.ctx()); err != nil || slices.Contains(all, s.Suspended()) {
			s.Errorf("the repositories are %v, %v", all, err)
		}
	}},
	{"a call that nobody waits for any more ends", false, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		ctx, cancel := context.WithCancel(s.ctx())
		cancel()
		_, err := s.Forge().PullRequest(ctx, s.Repo(), n)
		s.class(err, forge.Unavailable)
	}},
	{"calls at the same time do not disturb each other", false, func(s scene) {
		numbers := []int{s.Open(Opening{Author: "alice"}), s.Open(Opening{Author: "alice"}), s.Open(Opening{Author: "alice"})}
		var all sync.WaitGroup
		for _, n := range numbers {
			for range 3 {
				all.Go(func() {
					if p, err := s.Forge().PullRequest(s.ctx(), s.Repo(), n); err != nil || p.Number != n {
						s.Errorf("read %d: %d, %v", n, p.Number, err)
					}
				})
			}
			all.Go(func() {
				if _, err := s.Forge().SaveComment(s.ctx(), forge.Comment{Repo: s.Repo(), Number: n, Key: "review", Body: fmt.Sprint("of ", n)}); err != nil {
					s.Errorf("comment on %d: %v", n, err)
				}
			})
		}
		all.Wait()
		for _, n := range numbers {
			s.holdComments(n, fmt.Sprint("of ", n))
		}
	}},
}

// everything is what becomes of all that is asked of a repository and written to it.
func (s scene) everything(repo gitops.Repo) []error {
	f, commit := s.Forge(), fmt.Sprintf("%040d", 1)
	_, repository := f.Repository(s.ctx(), repo)
	_, pull := f.PullRequest(s.ctx(), repo, 1)
	_, pulls := f.PullRequests(s.ctx(), repo)
	_, merged := f.Merged(s.ctx(), repo, commit)
	_, tip := f.Tip(s.ctx(), repo, "main")
	_, source := f.Source(s.ctx(), repo)
	_, destination := f.Destination(s.ctx(), repo)
	_, comment := f.SaveComment(s.ctx(), forge.Comment{Repo: repo, Number: 1, Key: "review", Body: "body"})
	_, remark := f.SaveComment(s.ctx(), forge.Comment{Repo: repo, Commit: commit, Key: "review", Body: "body"})
	_, check := f.SaveCheck(s.ctx(), forge.Check{Repo: repo, Commit: commit, Name: "davit", Key: "run-1"})
	_, deployment := f.SaveDeployment(s.ctx(), forge.Deployment{Repo: repo, Commit: commit, Environment: "prod", Key: "rollout-1", Progress: forge.DeploymentQueued})
	_, proposal := f.Propose(s.ctx(), forge.Proposal{Repo: repo, Branch: "davit/revert-1", Base: "main", Title: "Revert"})
	_, issue := f.SaveIssue(s.ctx(), forge.Issue{Repo: repo, Key: "drift-1", Title: "Drift"})
	return []error{repository, pull, pulls, merged, tip, source, destination, comment, remark, check, deployment, proposal, issue}
}
