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
)

// Asked is a comment in which somebody asks for something, and the facts that decide
// whether they get it.
type Asked struct {
	Event    gitops.Event // of the comment
	PR       gitops.PullRequest
	Commands []command.Command
	Mistakes []string
	MayWrite bool // whoever wrote it, as the forge said just now
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
		body := fmt.Sprintf("%s needs write permission for this repository to give Davit commands; somebody who has it can.\n", person(a.Event.Actor))
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

// run does the commands of somebody who may give them, and returns what is answered, and
// why something was not done.
func run(row ledger.Pull, a Asked) (b ledger.Batch, lines []string, refused string) {
	review, help := false, false
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
	if help {
		lines = append(lines, command.Usage())
	}
	return b, lines, refused
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
