package forgetest

import (
	"fmt"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
)

// Cases on comments on commits.
var commitComments = []claim{
	{"a comment on a commit saved twice is one, with what was saved last", true, func(s scene) {
		c := s.onCommit(s.PushBranch("davit/one"))
		id := s.saved(c)
		s.step()
		c.Body = "second"
		if again := s.saved(c); again != id {
			s.Errorf("saved again as %s, was %s", again, id)
		}
		s.holdCommitComments(c.Commit, "second")
	}},
	{"comments of several keys, on commits and on the pull request of one, are apart", true, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		one, two := s.read(n).Head.Commit, s.PushBranch("davit/two")
		for _, body := range []string{"draft", "final"} {
			for _, c := range []forge.Comment{
				{Number: n, Key: "rollout-1", Body: body + " of the pull request"}, {Commit: one, Key: "rollout-1", Body: body + " of one"},
				{Commit: one, Key: "rollout-2", Body: body + " of one, too"}, {Commit: two, Key: "rollout-1", Body: body + " of two"},
			} {
				c.Repo = s.Repo()
				s.saved(c)
				s.step()
			}
		}
		s.holdComments(n, "final of the pull request")
		s.holdCommitComments(one, "final of one", "final of one, too")
		s.holdCommitComments(two, "final of two")
	}},
	{"a comment on a commit of somebody else is theirs, whatever it holds and the hint says", true, func(s scene) {
		c := s.onCommit(s.PushBranch("davit/one"))
		ours := s.saved(c)
		copied := s.CommitComments(c.Commit)[0].Body
		theirs := s.CommentCommit("mallory", c.Commit, copied)
		other := c
		other.Key, other.Body = "rollout-2", "the other"
		otherID := s.saved(other)
		for i, hint := range []string{theirs, otherID, ours, "999999999", "none", ""} {
			s.step()
			c.ID, c.Body = hint, fmt.Sprint("body ", i)
			s.saved(c)
		}
		s.holdCommitComments(c.Commit, "body 5", copied, "the other")
	}},
	{"a comment on a commit whose answer was lost is found", true, func(s scene) {
		c := s.onCommit(s.PushBranch("davit/one"))
		s.LoseAnswer()
		_, err := s.Forge().SaveComment(s.ctx(), c)
		s.class(err, forge.Unavailable)
		s.step()
		c.Body = "second"
		s.saved(c)
		s.holdCommitComments(c.Commit, "second")
	}},
	{"a comment is on a pull request or on a commit", false, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		c := s.onCommit(s.read(n).Head.Commit)
		c.Number = n
		_, err := s.Forge().SaveComment(s.ctx(), c)
		s.class(err, forge.Refused)
		s.holdComments(n)
		s.holdCommitComments(c.Commit)
	}},
}

func (s scene) onCommit(commit string) forge.Comment {
	return forge.Comment{Repo: s.Repo(), Commit: commit, Key: "rollout-1", Body: "first"}
}

func (s scene) holdCommitComments(commit string, bodies ...string) {
	s.Helper()
	s.holdBodies(s.CommitComments(commit), bodies)
}

// Cases on how commits came.
var merges = []claim{
	{"a commit that was merged has its pull request, and one that was pushed has none", false, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		open := s.Open(Opening{Author: "alice"})
		closed := s.Open(Opening{Author: "alice"})
		s.Close(closed)
		head := s.read(n).Head.Commit
		s.holdMerged(head, 0)
		merge := s.Merge(n)
		s.holdMerged(merge, n)
		s.holdMerged(head, n)
		s.holdMerged(s.Merge(s.Open(Opening{Author: "mallory", Fork: true})), closed+1)
		for _, commit := range []string{s.read(open).Head.Commit, s.read(closed).Head.Commit, s.read(open).Base.Commit, s.PushBranch("davit/one")} {
			s.holdMerged(commit, 0)
		}
	}},
}

// holdMerged ends the test unless a commit was merged by one pull request, or by none.
func (s scene) holdMerged(commit string, number int) {
	s.Helper()
	found, err := s.Forge().Merged(s.ctx(), s.Repo(), commit)
	if number == 0 {
		if err != nil || len(found) > 0 {
			s.Fatalf("%s was merged by %v, %v", commit, found, err)
		}
		return
	}
	if err != nil || len(found) != 1 {
		s.Fatalf("%s was merged by %v, %v", commit, found, err)
	}
	p, want := found[0], s.read(number)
	if p.Number != number || p.State != gitops.Merged || p.Merge != want.Merge || p.Repo != s.Repo() || p.Author != want.Author || p.Base.Branch != want.Base.Branch {
		s.Errorf("%s was merged by %+v, want %+v", commit, p, want)
	}
}
