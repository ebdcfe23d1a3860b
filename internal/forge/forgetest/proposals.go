package forgetest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
)

// Cases on pull requests of ours.
var proposals = []claim{
	{"a branch proposed twice has one pull request, as it was proposed first", true, func(s scene) {
		p := s.proposal("davit/revert-1")
		number := s.proposed(p)
		s.step()
		again := p
		again.Title, again.Body, again.Draft = "Another title", "Another body.", true
		if got := s.proposed(again); got != number {
			s.Errorf("it is #%d, was #%d", got, number)
		}
		s.holdProposals(p)
		found := s.read(number)
		if found.State != gitops.Open || found.Head.Branch != p.Branch || found.Base.Branch != p.Base || found.FromFork() || !found.Author.Bot || found.Title != p.Title {
			s.Errorf("it is %+v", found)
		}
	}},
	{"a proposal is left as it is, whatever became of it", true, func(s scene) {
		closed, merged := s.proposal("davit/revert-1"), s.proposal("davit/revert-2")
		one, two := s.proposed(closed), s.proposed(merged)
		s.Close(one)
		s.Merge(two)
		for range 2 {
			s.step()
			if again, more := s.proposed(closed), s.proposed(merged); again != one || more != two {
				s.Errorf("they are #%d and #%d, were #%d and #%d", again, more, one, two)
			}
		}
		s.holdProposals(closed, merged)
	}},
	{"proposals of several branches are apart, and drafts are drafts", true, func(s scene) {
		one, two := s.proposal("davit/revert-1"), s.proposal("davit/revert-1b")
		two.Draft = true
		for range 2 {
			n, m := s.proposed(one), s.proposed(two)
			if s.read(n).Draft || !s.read(m).Draft {
				s.Errorf("#%d and #%d are drafts: %v, %v", n, m, s.read(n).Draft, s.read(m).Draft)
			}
			s.step()
		}
		s.holdProposals(one, two)
	}},
	{"a proposal whose answer was lost is found", true, func(s scene) {
		p := s.proposal("davit/revert-1")
		s.LoseAnswer()
		_, err := s.Forge().Propose(s.ctx(), p)
		s.class(err, forge.Unavailable)
		s.step()
		s.proposed(p)
		s.holdProposals(p)
	}},
	{"somebody else's pull request of a branch is not ours", true, func(s scene) {
		theirs := s.Open(Opening{Author: "alice"})
		p := s.proposal("davit/revert-1")
		p.Branch = s.read(theirs).Head.Branch
		_, err := s.Forge().Propose(s.ctx(), p)
		s.class(err, forge.Refused)
		s.holdProposals()
		s.Close(theirs)
		s.step()
		if ours := s.proposed(p); ours == theirs {
			s.Errorf("ours is #%d, which is alice's", ours)
		}
		s.holdProposals(p)
	}},
	{"a branch that has nothing to be merged, or is not there, is refused", false, func(s scene) {
		p := s.proposal("davit/revert-1")
		for _, branch := range []string{p.Base, "nothing/of-this-name"} {
			p.Branch = branch
			_, err := s.Forge().Propose(s.ctx(), p)
			s.class(err, forge.Refused)
		}
		s.holdProposals()
	}},
}

// proposal is one of a branch that is pushed.
func (s scene) proposal(branch string) forge.Proposal {
	s.Helper()
	s.PushBranch(branch)
	r, err := s.Forge().Repository(s.ctx(), s.Repo())
	if err != nil {
		s.Fatalf("read the repository: %v", err)
	}
	return forge.Proposal{
		Repo: s.Repo(), Branch: branch, Base: r.Default, Title: "Revert “Raise the limits ⚓”", Body: "Of **" + branch + "**.\n\n```\n# as it is\n```",
	}
}

func (s scene) proposed(p forge.Proposal) int {
	s.Helper()
	text, err := s.Forge().Propose(s.ctx(), p)
	number, wrong := strconv.Atoi(text)
	if err != nil || wrong != nil {
		s.Fatalf("propose: %q, %v", text, err)
	}
	return number
}

// holdProposals ends the test unless these are all pull requests of ours, in this order.
func (s scene) holdProposals(want ...forge.Proposal) {
	s.Helper()
	got := s.Proposals()
	for i := range got {
		got[i].Repo = s.Repo()
	}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		s.Fatalf("the proposals are\n%+v, want\n%+v", got, want)
	}
}

// Cases on issues.
var issues = []claim{
	{"an issue saved twice is one, as it was saved first, open or closed", true, func(s scene) {
		i := s.anIssue("drift-1")
		number := s.saveIssue(i)
		for _, change := range []func(){func() {}, func() { s.CloseIssue(number) }, func() {}} {
			change()
			s.step()
			i.Title, i.Body = "Another title", "Another body."
			if again := s.saveIssue(i); again != number {
				s.Errorf("it is #%s, was #%s", again, number)
			}
		}
		s.holdIssues("drift-1")
		if got := s.Issues()[0]; !got.Closed || got.Number != number {
			s.Errorf("it is %+v", got)
		}
	}},
	{"issues of several keys are apart", true, func(s scene) {
		for range 2 {
			for _, key := range []string{"drift-1", "drift-11", "drift"} {
				s.saveIssue(s.anIssue(key))
				s.step()
			}
		}
		s.holdIssues("drift-1", "drift-11", "drift")
	}},
	{"an issue of somebody else is theirs, whatever it holds", true, func(s scene) {
		number := s.saveIssue(s.anIssue("drift-1"))
		ours := s.Issues()[0]
		s.OpenIssue("mallory", ours.Title, ours.Body)
		s.OpenIssue("mallory", ours.Title, strings.ReplaceAll(ours.Body, "drift-1", "drift-2"))
		s.step()
		if again := s.saveIssue(s.anIssue("drift-1")); again != number {
			s.Errorf("it is #%s, was #%s", again, number)
		}
		s.saveIssue(s.anIssue("drift-2"))
		s.holdIssues("drift-1", "drift-2")
	}},
	{"an issue that quotes the end of another is another", true, func(s scene) {
		s.saveIssue(s.anIssue("drift-1"))
		quote := s.anIssue("drift-2")
		quote.Body += "\n" + s.Issues()[0].Body
		for range 2 {
			s.step()
			s.saveIssue(quote)
		}
		s.saveIssue(s.anIssue("drift-1"))
		s.holdIssues("drift-1", "drift-2")
	}},
	{"a pull request of ours is no issue, whatever it holds", true, func(s scene) {
		s.saveIssue(s.anIssue("drift-1"))
		p := s.proposal("davit/revert-1")
		p.Body = strings.ReplaceAll(s.Issues()[0].Body, "drift-1", "drift-2")
		s.proposed(p)
		s.step()
		s.saveIssue(s.anIssue("drift-2"))
		s.holdIssues("drift-1", "drift-2")
	}},
	{"an issue whose answer was lost is found", true, func(s scene) {
		s.LoseAnswer()
		_, err := s.Forge().SaveIssue(s.ctx(), s.anIssue("drift-1"))
		s.class(err, forge.Unavailable)
		s.step()
		s.saveIssue(s.anIssue("drift-1"))
		s.holdIssues("drift-1")
	}},
}

func (s scene) anIssue(key string) forge.Issue {
	return forge.Issue{Repo: s.Repo(), Key: key, Title: "The cluster prod ⚓ is not as main says: " + key, Body: "**2** objects differ: " + key + "."}
}

func (s scene) saveIssue(i forge.Issue) (number string) {
	s.Helper()
	number, err := s.Forge().SaveIssue(s.ctx(), i)
	if err != nil || number == "" {
		s.Fatalf("save an issue: %q, %v", number, err)
	}
	return number
}

// holdIssues ends the test unless these are all issues of ours, by their keys and as they
// were saved first.
func (s scene) holdIssues(keys ...string) {
	s.Helper()
	var got []Issue
	for _, i := range s.Issues() {
		if i.Ours {
			got = append(got, i)
		}
	}
	if len(got) != len(keys) {
		s.Fatalf("there are %d issues, want %d: %+v", len(got), len(keys), got)
	}
	for n, key := range keys {
		want := s.anIssue(key)
		if got[n].Title != want.Title || !strings.HasPrefix(got[n].Body, want.Body) {
			s.Errorf("issue %d is %+v, want %+v", n, got[n], want)
		}
	}
}
