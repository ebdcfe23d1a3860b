package review

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/davitops/davit/internal/command"
	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/rollout"
)

// Asked is a comment in which somebody asks for something, and the facts that decide
// whether they get it.
type Asked struct {
	Event    gitops.Event // of the comment
	PR       gitops.PullRequest
	Commands []command.Command
	Mistakes []string
	MayWrite bool             // whoever wrote it, as the forge said just now
	Live     []ledger.Rollout // of the repository
	Deployed map[string]ledger.Deployed
	Now      time.Time
}

// Answer does what a comment asks for, or says in one line why not.
func Answer(row ledger.Pull, a Asked) ledger.Batch {
	asked := ledger.Command{
		Forge: a.PR.Repo.Forge, Comment: a.Event.Comment, Pull: a.PR.Name(), Actor: a.Event.Actor, Text: said(a.Commands), At: a.Now,
	}
	if !a.MayWrite {
		asked.Refused = "no write permission"
		// One answer is enough for everything that somebody tries.
		body := refusal(a.Event.Actor) + "\n"
		return ledger.Batch{Commands: []ledger.Command{asked},
			Effects: []ledger.Effect{commentEffect(row, "refusal-"+a.Event.Actor.ID, body)}}
	}
	var b ledger.Batch
	lines := slices.Clone(a.Mistakes)
	if len(a.Mistakes) == 0 {
		b, lines, asked.Refused = run(row, a)
	}
	emoji := forge.Eyes
	if len(a.Mistakes) > 0 {
		asked.Refused, emoji = "not understood", forge.Confused
		lines = append(lines, "", command.Usage())
	}
	b.Commands = []ledger.Command{asked}
	b.Effects = append(b.Effects, ledger.Effect{Key: "reaction/" + a.PR.Repo.Forge + "/" + a.Event.Comment, Forge: a.PR.Repo.Forge,
		Reaction: &forge.Reaction{Repo: a.PR.Repo, Number: a.PR.Number, Comment: a.Event.Comment, Emoji: emoji}})
	if len(lines) > 0 {
		b.Effects = append(b.Effects, commentEffect(row, "answer-"+a.Event.Comment, strings.Join(lines, "\n")+"\n"))
	}
	return b
}

func refusal(who gitops.Actor) string {
	return person(who) + " needs write permission for this repository to give Davit commands; somebody who has it can."
}

// Remark does what a comment on a commit asks for: only what is about its rollout.
func Remark(a Asked) ledger.Batch {
	asked := ledger.Command{Forge: a.Event.Repo.Forge, Comment: a.Event.Comment, Pull: a.Event.Commit, Actor: a.Event.Actor, Text: said(a.Commands), At: a.Now}
	lines, key := slices.Clone(a.Mistakes), "answer-"+a.Event.Comment
	var more goings
	switch {
	case !a.MayWrite:
		asked.Refused, lines, key = "no write permission", []string{refusal(a.Event.Actor)}, "refusal-"+a.Event.Actor.ID
	case len(lines) > 0:
		asked.Refused = "not understood"
	default:
		for _, c := range a.Commands {
			if c.Name != command.Apply && c.Name != command.Retry {
				lines, asked.Refused = append(lines, fmt.Sprintf("`/%s` is for pull requests.", c.Name)), "not for commits"
				continue
			}
			var said []string
			said, asked.Refused = more.add(&a, c)
			lines = append(lines, said...)
		}
	}
	b := more.Batch
	b.Commands = []ledger.Command{asked}
	if len(lines) > 0 {
		b.Effects = append(b.Effects, ledger.Effect{Key: "comment/" + a.Event.Repo.String() + "@" + a.Event.Commit + "/" + key, Forge: a.Event.Repo.Forge,
			Comment: &forge.Comment{Repo: a.Event.Repo, Commit: a.Event.Commit, Key: key, Body: strings.Join(lines, "\n") + "\n"}})
	}
	return b
}

// run does the commands of somebody who may give them, and returns what is answered, and
// why something was not done.
func run(row ledger.Pull, a Asked) (b ledger.Batch, lines []string, refused string) {
	review, help := false, false
	var more goings
	for _, c := range a.Commands {
		switch c.Name {
		case command.Help:
			help = true
		case command.OkToTest:
			if a.PR.Head.Commit != c.Commit {
				lines = append(lines, fmt.Sprintf("The head is `%s` now, not `%s`; look at what is new before you let Davit.", short(a.PR.Head.Commit), short(c.Commit)))
				refused = "another head"
				continue
			}
			row.Trusted, review = a.PR.Head.Commit, true
		case command.Plan:
			review = true
		case command.Apply, command.Retry:
			var said []string
			if said, refused = more.add(&a, c); len(said) > 0 {
				lines = append(lines, said...)
			}
		}
	}
	switch {
	case !review:
	case a.PR.State != gitops.Open:
		lines, refused = append(lines, fmt.Sprintf("This pull request is %s, so there is nothing to plan.", a.PR.State)), "not open"
	case untrusted(row, a.PR):
		lines, refused = append(lines, fmt.Sprintf("This pull request comes from a fork. Look at what it changes, and then let Davit: `/ok-to-test %s`", a.PR.Head.Commit)), "untrusted"
	default:
		b = Again(row, a.PR)
	}
	b.Rollouts, b.Steps, b.Effects = more.Rollouts, append(b.Steps, more.Steps...), append(b.Effects, more.Effects...)
	if help {
		lines = append(lines, command.Usage())
	}
	return b, lines, refused
}

// written is when the comment was.
func (a Asked) written() time.Time {
	if a.Event.Written.IsZero() {
		return a.Now
	}
	return a.Event.Written
}

// goings are the rollouts that go on because somebody said so.
type goings struct{ ledger.Batch }

// add has rollouts go on as a command says, after those before it in the comment.
func (g *goings) add(a *Asked, c command.Command) (lines []string, refused string) {
	if a.Event.Commit == "" && a.PR.State != gitops.Merged {
		return []string{fmt.Sprintf("`/%s` is for pull requests that are merged: what this one changes goes out then.", c.Name)}, "not merged"
	}
	b, lines, refused := rollout.Answer(rollout.Asked{
		Command: c, By: a.Event.Actor.Login, At: a.written(), Live: a.Live, Deployed: a.Deployed, Pull: a.PR.Number, Commit: a.Event.Commit, Now: a.Now,
	})
	for _, r := range b.Rollouts {
		same := func(other ledger.Rollout) bool { return other.ID() == r.ID() }
		g.Rollouts = append(slices.DeleteFunc(g.Rollouts, same), r)
		a.Live = slices.Clone(a.Live)
		a.Live[slices.IndexFunc(a.Live, same)] = r
	}
	g.Steps, g.Effects = append(g.Steps, b.Steps...), append(g.Effects, b.Effects...)
	return lines, refused
}

func said(commands []command.Command) string {
	var texts []string
	for _, c := range commands {
		texts = append(texts, c.String())
	}
	return strings.Join(texts, "\n")
}

var login = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// person is somebody's login as inert Markdown, which mentions nobody.
func person(a gitops.Actor) string {
	if !login.MatchString(a.Login) {
		return "Whoever wrote this"
	}
	return "`" + a.Login + "`"
}
