package review

import (
	"strings"
	"testing"
	"time"

	"github.com/davitops/davit/internal/command"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
)

// TestRolloutCommands: what waits goes on for whoever may say so, on the pull request that
// was merged with it, or on the commit that was pushed.
func TestRolloutCommands(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	repo := gitops.Repo{Forge: "github", Path: "acme/gitops"}
	pr := gitops.PullRequest{Repo: repo, Number: 7, State: gitops.Merged}
	waiting := func(number int64, pulls ...gitops.PullRequest) ledger.Rollout {
		return ledger.Rollout{Repo: repo, Commit: "c0ffee", Number: number, Version: 1, Pulls: pulls, Targets: []ledger.Deployment{
			{Target: gitops.Target{Path: "apps/web"}, Place: "staging", State: ledger.Held, Since: now.Add(-time.Minute)},
			{Target: gitops.Target{Path: "apps/api"}, Place: "staging", State: ledger.Held, Since: now.Add(-time.Minute)},
		}}
	}
	apply := func(targets ...string) command.Command { return command.Command{Name: command.Apply, Targets: targets} }
	for _, row := range []struct {
		name     string
		asked    Asked
		commit   bool
		released []string // targets
		says     string
		refused  string
	}{
		{name: "all that waits", asked: Asked{Commands: []command.Command{apply()}, MayWrite: true}, released: []string{"apps/web", "apps/api"}},
		{name: "two commands", asked: Asked{Commands: []command.Command{apply("apps/web"), apply("apps/api")}, MayWrite: true}, released: []string{"apps/web", "apps/api"}},
		{name: "one of them", asked: Asked{Commands: []command.Command{apply("apps/api")}, MayWrite: true}, released: []string{"apps/api"}},
		{name: "by somebody", asked: Asked{Commands: []command.Command{apply()}}, says: "needs write permission", refused: "no write permission"},
		{name: "nobody's target", asked: Asked{Commands: []command.Command{apply("@acme/all")}, MayWrite: true}, says: "`@acme/all`", refused: "nothing to apply"},
		{name: "not merged", asked: Asked{PR: gitops.PullRequest{Repo: repo, Number: 7, State: gitops.Open}, Commands: []command.Command{apply()}, MayWrite: true}, says: "pull requests that are merged", refused: "not merged"},
		{name: "on another one", asked: Asked{PR: gitops.PullRequest{Repo: repo, Number: 8, State: gitops.Merged}, Commands: []command.Command{apply()}, MayWrite: true}, says: "Nothing of this", refused: "nothing to apply"},
		{name: "on the commit", commit: true, asked: Asked{Commands: []command.Command{apply()}, MayWrite: true}, released: []string{"apps/web", "apps/api"}},
		{name: "on the commit, by somebody", commit: true, asked: Asked{Commands: []command.Command{apply()}}, says: "needs write permission", refused: "no write permission"},
		{name: "on the commit, for a pull request", commit: true, asked: Asked{Commands: []command.Command{{Name: command.Plan}}, MayWrite: true}, says: "is for pull requests", refused: "not for commits"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			a := row.asked
			a.Now, a.Event = now, gitops.Event{Repo: repo, Number: 7, Comment: "1", Actor: gitops.Actor{ID: "5", Login: "bob"}, Written: now}
			if a.PR.Number == 0 {
				a.PR = pr
			}
			a.Live = []ledger.Rollout{waiting(1, pr)}
			var b ledger.Batch
			if row.commit {
				a.Event.Number, a.Event.Commit = 0, "c0ffee"
				b = Remark(a)
			} else {
				b = Answer(ledger.Pull{PullRequest: a.PR}, a)
			}
			var released []string
			for _, r := range b.Rollouts {
				for _, d := range r.Targets {
					if d.State == ledger.Queued && d.Approver == "bob" {
						released = append(released, d.Target.Name())
					}
				}
			}
			if len(b.Rollouts) > 1 || strings.Join(released, " ") != strings.Join(row.released, " ") {
				t.Errorf("released are %q in %d rows", released, len(b.Rollouts))
			}
			if b.Commands[0].Refused != row.refused {
				t.Errorf("it is refused for %q", b.Commands[0].Refused)
			}
			var said string
			for _, e := range b.Effects {
				if e.Comment != nil && !strings.Contains(e.Key, "/rollout") {
					said += e.Comment.Body
				}
			}
			if !strings.Contains(said, row.says) || row.says == "" && said != "" {
				t.Errorf("it is answered %q", said)
			}
		})
	}
}
