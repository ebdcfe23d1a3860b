package review

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/command"
	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/policy"
	"github.com/davitops/davit/internal/report"
)

var (
	repo = gitops.Repo{Forge: "github", Path: "acme/gitops"}
	now  = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
)

const (
	headA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	headB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	tip1  = "1111111111111111111111111111111111111111"
	tip2  = "2222222222222222222222222222222222222222"
)

func pr(change ...func(*gitops.PullRequest)) gitops.PullRequest {
	p := gitops.PullRequest{
		Repo: repo, Number: 7, State: gitops.Open, Title: "Release", Private: true, Default: "main",
		Head: gitops.Revision{Repo: repo, Branch: "release", Commit: headA},
		Base: gitops.Revision{Repo: repo, Branch: "main", Commit: tip1}, Updated: now,
	}
	for _, c := range change {
		c(&p)
	}
	return p
}

func pushed(p *gitops.PullRequest) { p.Head.Commit, p.Updated = headB, now.Add(time.Minute) }
func forked(p *gitops.PullRequest) {
	p.Head.Repo = gitops.Repo{Forge: "github", Path: "mallory/gitops"}
}
func closed(p *gitops.PullRequest) { p.State = gitops.Closed }

// reviewed is the row of a pull request whose review has ended, reviewing of one where it
// has not.
func reviewed(p gitops.PullRequest) ledger.Pull {
	return ledger.Pull{PullRequest: p, Version: 3, Turn: 1, Done: 1, Tip: tip1, Digest: "d", Reviewed: now, Commented: true}
}

func reviewing(p gitops.PullRequest) ledger.Pull {
	return ledger.Pull{PullRequest: p, Version: 2, Turn: 1}
}

// story is a batch in a few words, a line for each thing.
func story(b ledger.Batch) string {
	var s strings.Builder
	for _, c := range b.Commands {
		fmt.Fprintf(&s, "command %q by %s", c.Text, c.Actor.Login)
		if c.Refused != "" {
			fmt.Fprintf(&s, ", refused: %s", c.Refused)
		}
		s.WriteString("\n")
	}
	for _, p := range b.Pulls {
		fmt.Fprintf(&s, "row %s %s at %.2s, turn %d, done %d", p.Name(), p.State, p.Head.Commit, p.Turn, p.Done)
		if p.Quiet {
			s.WriteString(", quiet")
		}
		if p.Wants != "" {
			fmt.Fprintf(&s, ", wants %.2s", p.Wants)
		}
		s.WriteString("\n")
	}
	for _, e := range b.Effects {
		switch {
		case e.Check != nil:
			fmt.Fprintf(&s, "check %s at %.2s: %s, %s, %d annotations\n", e.Check.Key, e.Check.Commit, e.Check.Conclusion, e.Check.Title, len(e.Check.Annotations))
		case e.Comment != nil:
			fmt.Fprintf(&s, "comment %s: %s\n", e.Comment.Key, strings.SplitN(e.Comment.Body, "\n", 2)[0])
		case e.Reaction != nil:
			fmt.Fprintf(&s, "reaction %s\n", e.Reaction.Emoji)
		}
	}
	for _, step := range b.Steps {
		fmt.Fprintf(&s, "step %s", step)
		if step.Idle {
			s.WriteString(", idle")
		}
		if !step.At.IsZero() {
			fmt.Fprintf(&s, " in %s", step.At.Sub(now))
		}
		s.WriteString("\n")
	}
	return s.String()
}

func checkStory(t *testing.T, name, want string, got ledger.Batch) {
	t.Helper()
	if d := cmp.Diff(strings.TrimLeft(want, "\n"), story(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

func TestLook(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		row  ledger.Pull
		pr   gitops.PullRequest
		want string
	}{
		{"a new pull request", ledger.Pull{PullRequest: gitops.PullRequest{Repo: repo, Number: 7}}, pr(), `
row github:acme/gitops#7 open at aa, turn 1, done 0
check 7/aaaaaaa/1 at aa: , Davit is looking at aaaaaaa, 0 annotations
step review github:acme/gitops#7 turn 1
`},
		{"seen again", reviewed(pr()), pr(), ""},
		{"seen again while it is reviewed", reviewing(pr()), pr(), ""},
		{"another title", reviewed(pr()), pr(func(p *gitops.PullRequest) { p.Title = "Release 2" }), `
row github:acme/gitops#7 open at aa, turn 1, done 1
`},
		{"pushed to", reviewed(pr()), pr(pushed), `
row github:acme/gitops#7 open at bb, turn 2, done 1
check 7/bbbbbbb/1 at bb: , Davit is looking at bbbbbbb, 0 annotations
step review github:acme/gitops#7 turn 2
`},
		{"pushed to while it is reviewed", reviewing(pr()), pr(pushed), `
row github:acme/gitops#7 open at bb, turn 2, done 0
check 7/aaaaaaa/0 at aa: dropped, Something newer took its place, 0 annotations
check 7/bbbbbbb/1 at bb: , Davit is looking at bbbbbbb, 0 annotations
step review github:acme/gitops#7 turn 2
`},
		{"into another branch", reviewed(pr()), pr(func(p *gitops.PullRequest) { p.Base.Branch = "stable" }), `
row github:acme/gitops#7 open at aa, turn 2, done 1
check 7/aaaaaaa/0 at aa: , Davit is looking at aaaaaaa, 0 annotations
step review github:acme/gitops#7 turn 2
`},
		{"the repository becomes public", reviewed(pr()), pr(func(p *gitops.PullRequest) { p.Private = false }), `
row github:acme/gitops#7 open at aa, turn 2, done 1
check 7/aaaaaaa/0 at aa: , Davit is looking at aaaaaaa, 0 annotations
step review github:acme/gitops#7 turn 2
`},
		{"closed", reviewed(pr()), pr(closed), `
row github:acme/gitops#7 closed at aa, turn 1, done 1
`},
		{"closed while it is reviewed", reviewing(pr()), pr(closed), `
row github:acme/gitops#7 closed at aa, turn 1, done 1
check 7/aaaaaaa/0 at aa: dropped, Something newer took its place, 0 annotations
`},
		{"opened again", reviewed(pr(closed)), pr(), `
row github:acme/gitops#7 open at aa, turn 2, done 1
check 7/aaaaaaa/0 at aa: , Davit is looking at aaaaaaa, 0 annotations
step review github:acme/gitops#7 turn 2
`},
		{"closed before anybody knew", ledger.Pull{PullRequest: gitops.PullRequest{Repo: repo, Number: 7}}, pr(closed), ""},
		{"from a fork", ledger.Pull{PullRequest: gitops.PullRequest{Repo: repo, Number: 7}}, pr(forked), `
row github:acme/gitops#7 open at aa, turn 1, done 1
check 7/aaaaaaa/1 at aa: waiting, Nobody has let Davit look at this commit of a fork yet, 0 annotations
`},
		{"from a fork that is gone", ledger.Pull{PullRequest: gitops.PullRequest{Repo: repo, Number: 7}}, pr(func(p *gitops.PullRequest) { p.Head.Repo = gitops.Repo{} }), `
row github:acme/gitops#7 open at aa, turn 1, done 1
check 7/aaaaaaa/1 at aa: waiting, Nobody has let Davit look at this commit of a fork yet, 0 annotations
`},
		{"a push to a fork whose last head was trusted", func() ledger.Pull { r := reviewed(pr(forked)); r.Trusted = headA; return r }(), pr(forked, pushed), `
row github:acme/gitops#7 open at bb, turn 2, done 2
check 7/bbbbbbb/1 at bb: waiting, Nobody has let Davit look at this commit of a fork yet, 0 annotations
`},
		{"the last review was Davit's own trouble", func() ledger.Pull { r := reviewed(pr()); r.Digest = ""; return r }(), pr(), `
row github:acme/gitops#7 open at aa, turn 2, done 1
check 7/aaaaaaa/0 at aa: , Davit is looking at aaaaaaa, 0 annotations
step review github:acme/gitops#7 turn 2
`},
	} {
		checkStory(t, test.name, test.want, Look(test.row, test.pr))
	}
}

func TestMoved(t *testing.T) {
	t.Parallel()
	fork := reviewed(pr(forked))
	for _, test := range []struct {
		name   string
		row    ledger.Pull
		commit string
		after  time.Duration
		want   string
	}{
		{"to what was looked at", reviewed(pr()), tip1, time.Hour, ""},
		{"long after", reviewed(pr()), tip2, time.Hour, `
row github:acme/gitops#7 open at aa, turn 2, done 1, quiet
step review github:acme/gitops#7 turn 2, idle
`},
		{"soon after it moved before", func() ledger.Pull { r := reviewed(pr()); r.Moved = now; return r }(), tip2, 20 * time.Second, `
row github:acme/gitops#7 open at aa, turn 2, done 1, quiet
step review github:acme/gitops#7 turn 2, idle in 1m0s
`},
		{"meanwhile", reviewing(pr()), tip2, time.Hour, `
row github:acme/gitops#7 open at aa, turn 1, done 0, wants 22
`},
		{"meanwhile, to what it wants already", func() ledger.Pull { r := reviewing(pr()); r.Wants = tip2; return r }(), tip2, time.Hour, ""},
		{"under a fork nobody has looked at", fork, tip2, time.Hour, ""},
	} {
		checkStory(t, test.name, test.want, Moved(test.row, test.commit, now.Add(test.after)))
	}
}

func preview(change ...func(*report.Preview)) report.Preview {
	p := report.Preview{
		Version: 1, Base: tip1, Head: headA, Stats: report.Stats{Targets: 3, Affected: 1},
		Targets: []report.Target{{
			Name: "apps/web", Path: "apps/web", Status: report.Changed, Why: []string{"apps/web/a.yaml"},
			Changes: []report.Change{{Action: "update", Kind: "ConfigMap", Name: "web", Object: "ConfigMap web", Diff: "@@ -1 +1 @@\n-a\n+b\n"}},
		}},
	}
	for _, c := range change {
		c(&p)
	}
	return p
}

func unreachable(p *report.Preview) {
	p.Targets[0].Live = &report.Live{Unplanned: &report.Unplanned{Code: "unavailable", Message: "the cluster staging does not answer"}}
}

func finding(p *report.Preview) {
	f := policy.Finding{Rule: "privileged-container", Severity: policy.Error, State: policy.New, Message: "it is", File: "apps/web/a.yaml", Line: 3}
	old := f
	old.State, old.Line = policy.Existing, 9
	p.Targets[0].Findings = []policy.Finding{f, old}
	p.Targets = append(p.Targets, p.Targets[0]) // two targets, one file
}

func broken(p *report.Preview) {
	p.Targets[0] = report.Target{Name: "apps/web", Path: "apps/web", Status: report.Failed, Error: &report.Error{
		State: policy.New, Problem: manifest.Problem{Code: manifest.Invalid, File: "apps/web/a.yaml", Line: 3, Message: "this is not valid YAML"}}}
}

func nothing(p *report.Preview) { p.Targets, p.Stats = nil, report.Stats{Targets: 3} }

func TestDecide(t *testing.T) {
	t.Parallel()
	quiet := func(row ledger.Pull, digest string) ledger.Pull {
		row.Quiet, row.Digest, row.Turn, row.Commented = true, digest, 2, true
		return row
	}
	annotated := func(by string, attempt int) ledger.Pull {
		row := reviewing(pr())
		row.Annotated, row.Attempt, row.Turn = by, attempt, 3
		return row
	}
	wants := reviewing(pr())
	wants.Wants = tip2
	seen := reviewing(pr())
	seen.Wants = tip1
	for _, test := range []struct {
		name  string
		facts Facts
		want  string
	}{
		{"a change", Facts{Row: reviewing(pr()), Preview: preview()}, `
row github:acme/gitops#7 open at aa, turn 1, done 1
comment review: ### ✅ 1 target changed (~` + "\u2060" + `1)
check 7/aaaaaaa/0 at aa: success, 1 target changed (~1), 0 annotations
`},
		{"a finding", Facts{Row: reviewing(pr()), Preview: preview(finding)}, `
row github:acme/gitops#7 open at aa, turn 1, done 1
comment review: ### ❌ 2 targets changed (~` + "\u2060" + `2) · 2 new errors, 2 existing
check 7/aaaaaaa/0 at aa: failure, 2 targets changed (~2) · 2 new errors, 2 existing, 1 annotations
`},
		{"the same finding again", Facts{Row: annotated(digest(annotations(preview(finding))), 4), Preview: preview(finding)}, `
row github:acme/gitops#7 open at aa, turn 3, done 3
comment review: ### ❌ 2 targets changed (~` + "\u2060" + `2) · 2 new errors, 2 existing
check 7/aaaaaaa/4 at aa: failure, 2 targets changed (~2) · 2 new errors, 2 existing, 1 annotations
`},
		{"another finding on the same commit", Facts{Row: annotated("others", 4), Preview: preview(finding)}, `
row github:acme/gitops#7 open at aa, turn 3, done 3
comment review: ### ❌ 2 targets changed (~` + "\u2060" + `2) · 2 new errors, 2 existing
check 7/aaaaaaa/4 at aa: dropped, Something newer took its place, 0 annotations
check 7/aaaaaaa/5 at aa: failure, 2 targets changed (~2) · 2 new errors, 2 existing, 1 annotations
`},
		{"no finding any longer on the same commit", Facts{Row: annotated("others", 4), Preview: preview()}, `
row github:acme/gitops#7 open at aa, turn 3, done 3
comment review: ### ✅ 1 target changed (~` + "\u2060" + `1)
check 7/aaaaaaa/4 at aa: dropped, Something newer took its place, 0 annotations
check 7/aaaaaaa/5 at aa: success, 1 target changed (~1), 0 annotations
`},
		{"YAML that is none", Facts{Row: reviewing(pr()), Preview: preview(broken)}, `
row github:acme/gitops#7 open at aa, turn 1, done 1
comment review: ### ❌ 1 target can't be rendered
check 7/aaaaaaa/0 at aa: failure, 1 target can't be rendered, 1 annotations
`},
		{"a cluster that does not answer", Facts{Row: reviewing(pr()), Preview: preview(unreachable)}, `
row github:acme/gitops#7 open at aa, turn 1, done 1
comment review: ### ❌ 1 target changed (~` + "\u2060" + `1) · 1 target can't be planned
check 7/aaaaaaa/0 at aa: waiting, 1 target changed (~1) · 1 target can't be planned, 0 annotations
`},
		{"nothing", Facts{Row: reviewing(pr()), Preview: preview(nothing)}, `
row github:acme/gitops#7 open at aa, turn 1, done 1
check 7/aaaaaaa/0 at aa: success, nothing changes, 0 annotations
`},
		{"nothing any longer", Facts{Row: reviewed(pr()), Preview: preview(nothing)}, `
row github:acme/gitops#7 open at aa, turn 1, done 1
comment review: ### ⚪ nothing changes
check 7/aaaaaaa/0 at aa: success, nothing changes, 0 annotations
`},
		{"trouble", Facts{Row: reviewing(pr()), Problem: "Davit has a problem of its own", Reference: "guid"}, `
row github:acme/gitops#7 open at aa, turn 1, done 1
check 7/aaaaaaa/0 at aa: failure, Davit could not look at aaaaaaa, 0 annotations
`},
		{"trouble where there was a comment", Facts{Row: reviewed(pr()), Problem: "Davit has a problem of its own", Reference: "guid"}, `
row github:acme/gitops#7 open at aa, turn 1, done 1
comment review: ### ⚠️ Davit could not look at aaaaaaa
check 7/aaaaaaa/0 at aa: failure, Davit could not look at aaaaaaa, 0 annotations
`},
		{"the base moved, and nothing is different", Facts{Row: quiet(reviewed(pr()), gist(preview())),
			Preview: preview(func(p *report.Preview) { p.Base, p.Stats.Ms = tip2, 7 })}, `
row github:acme/gitops#7 open at aa, turn 2, done 2, quiet
`},
		{"the base moved, and something is", Facts{Row: quiet(reviewed(pr()), gist(preview())), Preview: preview(finding)}, `
row github:acme/gitops#7 open at aa, turn 2, done 2, quiet
comment review: ### ❌ 2 targets changed (~` + "\u2060" + `2) · 2 new errors, 2 existing
check 7/aaaaaaa/0 at aa: failure, 2 targets changed (~2) · 2 new errors, 2 existing, 1 annotations
`},
		{"the base moved, and there is trouble", Facts{Row: quiet(reviewed(pr()), "d"), Problem: "Davit has a problem of its own"}, `
row github:acme/gitops#7 open at aa, turn 2, done 2, quiet
`},
		{"the base moved meanwhile", Facts{Row: wants, Preview: preview()}, `
row github:acme/gitops#7 open at aa, turn 2, done 1, quiet
comment review: ### ✅ 1 target changed (~` + "\u2060" + `1)
check 7/aaaaaaa/0 at aa: success, 1 target changed (~1), 0 annotations
step review github:acme/gitops#7 turn 2, idle
`},
		{"the base moved meanwhile to what was seen", Facts{Row: seen, Preview: preview()}, `
row github:acme/gitops#7 open at aa, turn 1, done 1
comment review: ### ✅ 1 target changed (~` + "\u2060" + `1)
check 7/aaaaaaa/0 at aa: success, 1 target changed (~1), 0 annotations
`},
	} {
		test.facts.Now = now
		checkStory(t, test.name, test.want, Decide(test.facts))
	}
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	alice := gitops.Actor{ID: "1", Login: "alice"}
	mallory := gitops.Actor{ID: "66", Login: "mallory"}
	odd := gitops.Actor{ID: "67", Login: "a`b\n@all"}
	for _, test := range []struct {
		name, text string
		row        ledger.Pull
		pr         gitops.PullRequest
		who        gitops.Actor
		want       string
	}{
		{"plan", "/plan", reviewed(pr()), pr(), alice, `
command "/plan" by alice
row github:acme/gitops#7 open at aa, turn 2, done 1
check 7/aaaaaaa/0 at aa: , Davit is looking at aaaaaaa, 0 annotations
reaction eyes
step review github:acme/gitops#7 turn 2
`},
		{"plan of what was pushed meanwhile", "/plan", reviewed(pr()), pr(pushed), alice, `
command "/plan" by alice
row github:acme/gitops#7 open at bb, turn 2, done 1
check 7/bbbbbbb/1 at bb: , Davit is looking at bbbbbbb, 0 annotations
reaction eyes
step review github:acme/gitops#7 turn 2
`},
		{"plan of a closed one", "/plan", reviewed(pr(closed)), pr(closed), alice, `
command "/plan" by alice, refused: not open
reaction eyes
comment answer-c9: This pull request is closed, so there is nothing to plan.
`},
		{"help", "/help", reviewed(pr()), pr(), alice, `
command "/help" by alice
reaction eyes
comment answer-c9: | command | what it does |
`},
		{"no right to", "/plan\n/help", reviewed(pr()), pr(), mallory, `
command "/plan\n/help" by mallory, refused: no write permission
comment refusal-66: ` + "`mallory`" + ` needs write permission for this repository to give Davit commands; somebody who has it can.
`},
		{"no right to, with an odd name", "/plan", reviewed(pr()), pr(), odd, `
command "/plan" by a` + "`b\n@all" + `, refused: no write permission
comment refusal-67: Whoever wrote this needs write permission for this repository to give Davit commands; somebody who has it can.
`},
		{"a mistake", "/plan\n/help me", reviewed(pr()), pr(), alice, `
command "/plan" by alice, refused: not understood
reaction confused
comment answer-c9: ` + "`/help` takes nothing after it." + `
`},
		{"trust in a fork's head", "/ok-to-test " + headA, reviewed(pr(forked)), pr(forked), alice, `
command "/ok-to-test ` + headA + `" by alice
row github:acme/gitops#7 open at aa, turn 2, done 1
check 7/aaaaaaa/0 at aa: , Davit is looking at aaaaaaa, 0 annotations
reaction eyes
step review github:acme/gitops#7 turn 2
`},
		{"trust in a head that was pushed over", "/ok-to-test " + headA, reviewed(pr(forked)), pr(forked, pushed), alice, `
command "/ok-to-test ` + headA + `" by alice, refused: another head
reaction eyes
comment answer-c9: The head is ` + "`bbbbbbb` now, not `aaaaaaa`" + `; look at what is new before you let Davit.
`},
		{"plan of a fork nobody trusts", "/plan", reviewed(pr(forked)), pr(forked), alice, `
command "/plan" by alice, refused: untrusted
reaction eyes
comment answer-c9: This pull request comes from a fork. Look at what it changes, and then let Davit: ` + "`/ok-to-test " + headA + "`" + `
`},
	} {
		commands, mistakes := command.Parse(test.text)
		got := Answer(test.row, Asked{
			Event: gitops.Event{Comment: "c9", Actor: test.who}, PR: test.pr, Commands: commands, Mistakes: mistakes, MayWrite: test.who == alice, Now: now,
		})
		checkStory(t, test.name, test.want, got)
		for _, e := range got.Effects {
			if e.Comment != nil && strings.Contains(e.Comment.Body, "@") {
				t.Errorf("%s: somebody is mentioned: %s", test.name, e.Comment.Body)
			}
		}
	}
}

// TestAnnotations: what the change is to blame for, where it is, once.
func TestAnnotations(t *testing.T) {
	t.Parallel()
	got := annotations(preview(finding))
	want := []forge.Annotation{{Path: "apps/web/a.yaml", Line: 3, Level: forge.Fault, Title: "privileged-container", Message: " : it is"}}
	want[0].Message = gitops.ObjectRef{}.String() + ": it is"
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	hostile := preview(finding)
	hostile.Targets[0].Findings[0].Message = "it is\n\u202egnihton\u2066" + strings.Repeat("x", 1000)
	if got := annotations(hostile)[0].Message; strings.ContainsAny(got, "\n\u202e\u2066") || len(got) > 600 {
		t.Errorf("text of a stranger is shown as it is: %q", got)
	}
	many := preview()
	for i := range 300 {
		many.Targets[0].Findings = append(many.Targets[0].Findings, policy.Finding{Rule: "r", Severity: policy.Info, State: policy.New, File: "a", Line: i})
	}
	if got := annotations(many); len(got) != maxAnnotations || got[0].Level != forge.Notice {
		t.Errorf("%d annotations, the first %+v", len(got), got[0])
	}
}
