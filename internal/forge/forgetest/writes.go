package forgetest

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/davitops/davit/internal/forge"
)

// Cases on comments.
var comments = []claim{
	{"a comment saved twice is one, with what was saved last", true, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		id := s.save(n, "first")
		s.step()
		if again := s.save(n, "second"); again != id {
			s.Errorf("saved again as %s, was %s", again, id)
		}
		s.holdComments(n, "second")
	}},
	{"comments of several keys, and of several pull requests, are apart", true, func(s scene) {
		one, two := s.Open(Opening{Author: "alice"}), s.Open(Opening{Author: "alice"})
		for _, body := range []string{"draft", "final"} {
			for n, key := range map[int]string{one: "review", two: "review"} {
				s.saved(forge.Comment{Repo: s.Repo(), Number: n, Key: key, Body: fmt.Sprint(body, " ", n)})
				s.step()
			}
			s.saved(forge.Comment{Repo: s.Repo(), Number: one, Key: "rollout-1", Body: body + " rollout"})
			s.step()
		}
		s.holdComments(two, fmt.Sprint("final ", two))
		s.holdComments(one, fmt.Sprint("final ", one), "final rollout")
	}},
	{"the id of the comment as a hint leads to it", true, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		id := s.save(n, "first")
		s.step()
		s.saved(forge.Comment{Repo: s.Repo(), Number: n, Key: "review", ID: id, Body: "second"})
		s.holdComments(n, "second")
	}},
	{"the id of somebody else's comment as a hint leaves that alone", true, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		theirs := s.Comment("bob", n, "bob's own words")
		for _, body := range []string{"first", "second"} {
			s.step()
			s.saved(forge.Comment{Repo: s.Repo(), Number: n, Key: "review", ID: theirs, Body: body})
		}
		s.holdComments(n, "bob's own words", "second")
	}},
	{"the id of our comment of another key as a hint leaves that alone", true, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		other := s.saved(forge.Comment{Repo: s.Repo(), Number: n, Key: "rollout-1", Body: "the rollout"})
		s.step()
		s.saved(forge.Comment{Repo: s.Repo(), Number: n, Key: "review", ID: other, Body: "the review"})
		s.holdComments(n, "the rollout", "the review")
	}},
	{"an id that nothing has, or that is none, as a hint makes no difference", true, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		for i, hint := range []string{"999999999", "", "none", "-1"} {
			s.step()
			s.saved(forge.Comment{Repo: s.Repo(), Number: n, Key: "review", ID: hint, Body: fmt.Sprint("body ", i)})
		}
		s.holdComments(n, "body 3")
	}},
	{"a comment that somebody deleted is written anew", true, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		id := s.save(n, "first")
		s.DeleteComment(id)
		s.step()
		if again := s.saved(forge.Comment{Repo: s.Repo(), Number: n, Key: "review", ID: id, Body: "second"}); again == id {
			s.Errorf("saved as %s, which was deleted", again)
		}
		s.holdComments(n, "second")
	}},
	{"a comment that somebody edited, marks and all, is ours again", true, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		id := s.save(n, "first")
		s.EditComment(id, "not what Davit wrote")
		s.step()
		s.saved(forge.Comment{Repo: s.Repo(), Number: n, Key: "review", ID: id, Body: "second"})
		s.holdComments(n, "second")
	}},
	{"a comment whose answer was lost is found", true, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		s.saved(forge.Comment{Repo: s.Repo(), Number: n, Key: "other", Body: "another"})
		s.LoseAnswer()
		_, err := s.Forge().SaveComment(s.ctx(), forge.Comment{Repo: s.Repo(), Number: n, Key: "review", Body: "first"})
		s.class(err, forge.Unavailable)
		s.step()
		s.save(n, "second")
		s.holdComments(n, "another", "second")
	}},
	{"a comment of somebody else is theirs, whatever it holds", true, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		s.save(n, "ours")
		copied := s.Comments(n)[0].Body
		s.Comment("mallory", n, copied)
		s.EditComment(s.Comment("bob", n, "a question"), copied)
		s.step()
		s.save(n, "ours again")
		s.holdComments(n, "ours again", copied, copied)
	}},
	{"a body that quotes the end of another comment of ours is no such comment", true, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		s.saved(forge.Comment{Repo: s.Repo(), Number: n, Key: "other", Body: "another"})
		quote := s.Comments(n)[0].Body
		for range 2 {
			s.step()
			s.save(n, quote)
		}
		s.saved(forge.Comment{Repo: s.Repo(), Number: n, Key: "other", Body: "another one"})
		s.holdComments(n, "another one", quote)
	}},
	{"a comment of 64,000 characters of any script is saved whole", false, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		long := strings.Repeat("⚓ñß", 64_000/3) + "."
		if utf8.RuneCountInString(long) != 64_000 {
			s.Fatalf("it has %d characters", utf8.RuneCountInString(long))
		}
		s.save(n, long)
		s.save(n, long)
		s.holdComments(n, long)
	}},
	{"a comment is found behind hundreds of others", true, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		want := []string{"first"}
		for i := range 120 {
			want = append(want, fmt.Sprint("remark ", i))
			s.Comment("bob", n, want[i+1])
		}
		s.save(n, "first")
		want = append(want[1:], "second")
		s.step()
		s.save(n, "second")
		s.holdComments(n, want...)
	}},
}

func (s scene) saved(c forge.Comment) string {
	s.Helper()
	id, err := s.Forge().SaveComment(s.ctx(), c)
	if err != nil || id == "" {
		s.Fatalf("save a comment: %q, %v", id, err)
	}
	return id
}

// save saves the comment of the key "review".
func (s scene) save(number int, body string) string {
	s.Helper()
	return s.saved(forge.Comment{Repo: s.Repo(), Number: number, Key: "review", Body: body})
}

// holdComments ends the test unless these are all, in this order, by how they begin.
func (s scene) holdComments(number int, bodies ...string) {
	s.Helper()
	s.holdBodies(s.Comments(number), bodies)
}

func (s scene) holdBodies(got []Comment, bodies []string) {
	s.Helper()
	if len(got) != len(bodies) {
		s.Fatalf("there are %d comments, want %d: %.200v", len(got), len(bodies), got)
	}
	for i, want := range bodies {
		if !strings.HasPrefix(got[i].Body, want) {
			s.Errorf("comment %d is %.100q, want %.100q", i, got[i].Body, want)
		}
	}
}

// Cases on checks.
var checks = []claim{
	{"a check saved twice is one, from running to concluded and back", true, func(s scene) {
		c := s.check()
		for _, conclusion := range []forge.Conclusion{forge.Running, forge.Running, forge.Waiting, forge.Failure, forge.Running, forge.Success, forge.Dropped} {
			c.Conclusion, c.Summary = conclusion, "It is "+string(conclusion)+"."
			s.holdChecks(c.Commit, s.saveCheck(c))
			s.step()
		}
	}},
	{"a check that is dropped before it is there is not made", true, func(s scene) {
		c := s.check()
		c.Conclusion = forge.Dropped
		if id, err := s.Forge().SaveCheck(s.ctx(), c); id != "" || err != nil {
			s.Errorf("it is %q, %v", id, err)
		}
		s.holdChecks(c.Commit)
	}},
	{"the id of the check as a hint leads to it, and a wrong one to nothing else", true, func(s scene) {
		first := s.saveCheck(s.check())
		other := first
		other.Name = "policy"
		other = s.saveCheck(other)
		for _, hint := range []string{first.ID, other.ID, "999999999", "", "none"} {
			s.step()
			again := first
			again.ID, again.Summary = hint, "With the hint "+hint+"."
			first = s.saveCheck(again)
		}
		s.holdChecks(first.Commit, first, other)
	}},
	{"a new key is a new run, and the old one stays as it was", true, func(s scene) {
		first := s.check()
		first.Conclusion = forge.Failure
		first = s.saveCheck(first)
		s.step()
		second := first
		second.Key, second.ID, second.Conclusion = "run-2", "", forge.Running
		second = s.saveCheck(second)
		if second.ID == first.ID {
			s.Errorf("both are %s", first.ID)
		}
		s.holdChecks(first.Commit, first, second)
	}},
	{"checks of two commits are apart", false, func(s scene) {
		one, two := s.saveCheck(s.check()), s.saveCheck(s.check())
		s.holdChecks(one.Commit, one)
		s.holdChecks(two.Commit, two)
	}},
	{"a check whose answer was lost is found", true, func(s scene) {
		c := s.check()
		s.LoseAnswer()
		_, err := s.Forge().SaveCheck(s.ctx(), c)
		s.class(err, forge.Unavailable)
		s.step()
		s.holdChecks(c.Commit, s.saveCheck(c))
	}},
	{"120 annotations, sent twice, are 120", true, func(s scene) {
		c := s.check()
		c.Annotations = remarks(120)
		c.Conclusion = forge.Failure
		for range 2 {
			s.saveCheck(c)
			s.step()
		}
		s.holdChecks(c.Commit, s.saveCheck(c))
	}},
	{"annotations that a running check lacks are added when it ends", true, func(s scene) {
		c := s.check()
		for _, count := range []int{0, 30, 50, 51, 100, 100} {
			c.Annotations = remarks(count)
			s.saveCheck(c)
			s.step()
		}
		c.Conclusion = forge.Failure
		s.holdChecks(c.Commit, s.saveCheck(c))
	}},
	{"annotations whose answer was lost are not sent again", true, func(s scene) {
		c := s.check()
		c.Annotations = remarks(70)
		s.LoseAnswer()
		_, err := s.Forge().SaveCheck(s.ctx(), c)
		s.class(err, forge.Unavailable)
		s.step()
		s.holdChecks(c.Commit, s.saveCheck(c))
	}},
}

func remarks(count int) []forge.Annotation {
	var all []forge.Annotation
	for i := range count {
		all = append(all, forge.Annotation{
			Path: "apps/shop/deployment.yaml", Line: i + 1, Level: []forge.Level{forge.Notice, forge.Warning, forge.Fault}[i%3],
			Title: fmt.Sprint("Remark ", i), Message: fmt.Sprintf("Line %d — says “nothing”.", i+1),
		})
	}
	return all
}

// check is one of a new pull request's head.
func (s scene) check() forge.Check {
	s.Helper()
	n := s.Open(Opening{Author: "alice"})
	p, err := s.Forge().PullRequest(s.ctx(), s.Repo(), n)
	if err != nil {
		s.Fatalf("read the pull request: %v", err)
	}
	return forge.Check{
		Repo: s.Repo(), Commit: p.Head.Commit, Name: "davit", Key: "run-1", Title: "2 targets change", Summary: "**2** targets ⚓",
		URL: "https://davit.acme.example/runs/1",
	}
}

func (s scene) saveCheck(c forge.Check) forge.Check {
	s.Helper()
	id, err := s.Forge().SaveCheck(s.ctx(), c)
	if err != nil || id == "" {
		s.Fatalf("save a check: %q, %v", id, err)
	}
	c.ID = id
	return c
}

// holdChecks ends the test unless these are all of a commit, in this order.
func (s scene) holdChecks(commit string, want ...forge.Check) {
	s.Helper()
	got := s.Checks(commit)
	if len(got) != len(want) {
		s.Fatalf("there are %d checks, want %d: %+v", len(got), len(want), got)
	}
	for i := range want {
		g, w := got[i], want[i]
		if len(g.Annotations) != len(w.Annotations) {
			s.Fatalf("check %d has %d annotations, want %d", i, len(g.Annotations), len(w.Annotations))
		}
		for j := range w.Annotations {
			if g.Annotations[j] != w.Annotations[j] {
				s.Errorf("annotation %d is %+v, want %+v", j, g.Annotations[j], w.Annotations[j])
			}
		}
		g.Annotations, w.Annotations, g.Repo = nil, nil, w.Repo
		if fmt.Sprintf("%+v", g) != fmt.Sprintf("%+v", w) {
			s.Errorf("check %d is\n%+v, want\n%+v", i, g, w)
		}
	}
}

// Cases on reactions.
var reactions = []claim{
	{"a reaction twice is one, and another is another", true, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		id := s.Comment("alice", n, "/plan")
		for _, emoji := range []forge.Emoji{forge.Eyes, forge.Eyes, forge.Confused} {
			if err := s.Forge().React(s.ctx(), forge.Reaction{Repo: s.Repo(), Number: n, Comment: id, Emoji: emoji}); err != nil {
				s.Fatalf("react: %v", err)
			}
			s.step()
		}
		if got := fmt.Sprint(s.Reactions(id)); got != "[eyes confused]" {
			s.Errorf("the reactions are %s", got)
		}
	}},
	{"a reaction to a comment that is gone is an error of the class gone", false, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		id := s.Comment("alice", n, "/plan")
		s.DeleteComment(id)
		s.class(s.Forge().React(s.ctx(), forge.Reaction{Repo: s.Repo(), Number: n, Comment: id, Emoji: forge.Eyes}), forge.Gone)
	}},
}
