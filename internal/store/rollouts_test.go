package store

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/plan"
)

var repo = pull(1).Repo

// rollout is one of a commit in which these pull requests were merged, and which is
// live until it is healthy.
func rollout(commit string, state ledger.DeploymentState, pulls ...int) ledger.Rollout {
	r := ledger.Rollout{Repo: repo, Branch: "main", Commit: commit, Opened: time.Date(2026, 1, 2, 3, 4, 5, 6789, time.UTC),
		Targets: []ledger.Deployment{{Target: gitops.Target{Path: "shop"}, Place: "prod", State: state, Soak: time.Minute}}}
	for _, number := range pulls {
		r.Pulls = append(r.Pulls, pull(number).PullRequest)
	}
	return r
}

// effects are what a large plan shows.
func effects(count int) (all []plan.Effect) {
	for i := range count {
		all = append(all, plan.Effect{
			Object: gitops.ObjectRef{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: fmt.Sprint("web-", i/30)}, Class: "update",
			Field: fmt.Sprintf(".spec.template.spec.containers[name=%q].env[name=%q].value", "web", strconv.Itoa(i)), Hash: strings.Repeat("0123456789abcdef", 4),
		})
	}
	return all
}

// noted is the rollout of all notes.
var noted = rollout("c1", "").ID()

func note(target string, number int64) ledger.Note {
	return ledger.Note{Rollout: noted, Target: target, At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Action: "apply",
		Object: gitops.ObjectRef{Kind: "Service", Namespace: "shop", Name: "web"}, Fence: number}
}

// same takes the answer of a reader, and compares it with what is wanted.
func same[T any](t testing.TB, want T) func(T, error) {
	return func(got T, err error) {
		t.Helper()
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%v (-want +got):\n%s", err, d)
		}
	}
}

func TestRolloutsComeBackAsTheyWereWritten(t *testing.T) {
	everywhere(t, func(t *testing.T, in database) {
		s := in.fresh(t)
		ctx := t.Context()
		if unknown, err := s.Branch(ctx, repo); err != nil || cmp.Diff(ledger.Branch{Repo: repo}, unknown) != "" {
			t.Errorf("an unknown branch is %+v, %v", unknown, err)
		}
		if _, err := s.Rollout(ctx, rollout("no", "").ID()); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("an unknown rollout: %v", err)
		}
		branch, r := ledger.Branch{Repo: repo, Name: "main", Commit: "c1"}, rollout("c1", ledger.Queued, 1, 2)
		shop, cart := ledger.Deployed{Repo: repo, Target: "shop", Commit: "c1", At: r.Opened}, ledger.Deployed{Repo: repo, Target: "cart", Commit: "c0"}
		shown := ledger.Shown{Key: "github:acme/gitops#1", Head: "c0", At: r.Opened, Targets: map[string][]plan.Effect{"shop": effects(1000)}}
		commit(t, s, ledger.Batch{
			Branches: []ledger.Branch{branch}, Rollouts: []ledger.Rollout{r}, Shown: []ledger.Shown{{Key: shown.Key, Head: "old"}, shown},
			Deployed: []ledger.Deployed{{Repo: repo, Target: "shop", Commit: "old"}, cart, shop, {Repo: gitops.Repo{Forge: "github", Path: "acme/other"}, Target: "shop"}},
			Journal:  []ledger.Note{note("shop", 1), note("cart", 2), note("shop", 3)},
		})
		branch.Version, r.Version = 1, 1
		for range 2 {
			same(t, branch)(s.Branch(ctx, repo))
			same(t, r)(s.Rollout(ctx, r.ID()))
			branch.Commit, r.Targets[0].State = "c2", ledger.Applying
			commit(t, s, ledger.Batch{Branches: []ledger.Branch{branch}, Rollouts: []ledger.Rollout{r}})
			branch.Version, r.Version = branch.Version+1, r.Version+1
		}
		same(t, map[string]ledger.Deployed{"shop": shop, "cart": cart})(s.Deployed(ctx, repo))
		same(t, []ledger.Shown{shown})(s.Shown(ctx, []string{"no", shown.Key}))
		same(t, []ledger.Note{note("shop", 1), note("shop", 3)})(s.Journal(ctx, r.ID(), "shop"))
	})
}

func TestLiveRollouts(t *testing.T) {
	everywhere(t, func(t *testing.T, in database) {
		s := in.fresh(t)
		second, first, also, over := rollout("b", ledger.Held, 1), rollout("c", ledger.Failed, 2, 3), rollout("B", ledger.Queued, 1), rollout("d", ledger.Healthy, 1)
		first.Opened = first.Opened.Add(-time.Nanosecond)
		elsewhere := rollout("b", ledger.Held, 1)
		elsewhere.Repo.Path = "acme/other"
		commit(t, s, ledger.Batch{Rollouts: []ledger.Rollout{second, first, also, over, elsewhere}})
		ids := func(rollouts []ledger.Rollout, err error) (string, error) {
			var commits []string
			for _, r := range rollouts {
				commits = append(commits, r.Commit)
			}
			return strings.Join(commits, " "), err
		}
		same(t, "c B b")(ids(s.LiveRollouts(t.Context(), repo)))
		second.Version, second.Targets[0].State = 1, ledger.Superseded
		over.Version, over.Targets[0].State = 1, ledger.Reverting
		commit(t, s, ledger.Batch{Rollouts: []ledger.Rollout{second, over}})
		same(t, "c B d")(ids(s.LiveRollouts(t.Context(), repo)))
	})
}

func TestRowsOfRolloutsConflict(t *testing.T) {
	everywhere(t, func(t *testing.T, in database) {
		s := in.fresh(t)
		branch, r := ledger.Branch{Repo: repo, Name: "main"}, rollout("c1", ledger.Queued)
		commit(t, s, ledger.Batch{Branches: []ledger.Branch{branch}, Rollouts: []ledger.Rollout{r}})
		later, ahead := branch, rollout("c1", ledger.Queued)
		later.Version, ahead.Version = 2, 7
		unknown := rollout("c2", ledger.Queued)
		unknown.Version = 1
		for name, b := range map[string]ledger.Batch{
			"a branch that is there":         {Branches: []ledger.Branch{branch}},
			"a branch of another version":    {Branches: []ledger.Branch{later}},
			"a rollout that is there":        {Rollouts: []ledger.Rollout{r}},
			"a rollout of another version":   {Rollouts: []ledger.Rollout{ahead}},
			"a rollout that is not there":    {Rollouts: []ledger.Rollout{unknown}},
			"a rollout that is there by now": {Rollouts: []ledger.Rollout{rollout("c2", ledger.Queued), rollout("c2", ledger.Queued)}},
		} {
			b.Journal, b.Deployed, b.Shown = []ledger.Note{note("shop", 1)}, []ledger.Deployed{{Repo: repo, Target: "shop"}}, []ledger.Shown{{Key: "shop"}}
			if err := s.Commit(t.Context(), b); !errors.Is(err, ledger.ErrConflict) {
				t.Errorf("%s: %v", name, err)
			}
		}
		same(t, []ledger.Note(nil))(s.Journal(t.Context(), r.ID(), "shop"))
		same(t, map[string]ledger.Deployed{})(s.Deployed(t.Context(), repo))
		same(t, []ledger.Shown(nil))(s.Shown(t.Context(), []string{"shop"}))
	})
}

// TestTidyRollouts: what is done with is forgotten after its time, and a live rollout
// goes on whatever became of its steps.
func TestTidyRollouts(t *testing.T) {
	everywhere(t, func(t *testing.T, in database) {
		s := in.fresh(t)
		now := time.Now()
		s.Now = func() time.Time { return now }
		live, over := rollout("live", ledger.Verifying), rollout("over", ledger.Healthy)
		commit(t, s, ledger.Batch{Rollouts: []ledger.Rollout{live, over}, Shown: []ledger.Shown{{Key: "shown"}}, Journal: []ledger.Note{note("shop", 1)}})
		for _, step := range []struct {
			after time.Duration
			want  string
		}{
			{29 * 24 * time.Hour, "live over shown note"},
			{2 * 24 * time.Hour, "live over shown"},
			{58 * 24 * time.Hour, "live over shown"},
			{2 * 24 * time.Hour, "live"},
		} {
			now = now.Add(step.after)
			if err := s.Tidy(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(kept(t, s), " "); got != step.want {
				t.Errorf("after another %s there are: %s", step.after, got)
			}
		}
		if d := cmp.Diff(map[ledger.Kind]int{ledger.Advance: 1}, counts(t, s)); d != "" {
			t.Errorf("steps (-want +got):\n%s", d)
		}
		begun := make(chan ledger.Step, 10)
		run(t, s, func(_ context.Context, step ledger.Step, _ bool) (ledger.Batch, error) {
			begun <- step
			return ledger.Batch{}, &ledger.Hopeless{Err: errors.New("the attempts are used up")}
		})
		for range 2 {
			if step := wait(t, begun); step.Kind != ledger.Advance || step.Key != live.ID() {
				t.Errorf("a live rollout is taken up by %s", step)
			}
			until(t, func() bool { return len(counts(t, s)) == 0 })
			if err := s.Tidy(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// kept names what is there of TestTidyRollouts.
func kept(t testing.TB, s *Store) (names []string) {
	t.Helper()
	for _, commit := range []string{"live", "over"} {
		if _, err := s.Rollout(t.Context(), rollout(commit, "").ID()); err == nil {
			names = append(names, commit)
		}
	}
	if shown, err := s.Shown(t.Context(), []string{"shown"}); err != nil || len(shown) > 0 {
		names = append(names, "shown")
	}
	if notes, err := s.Journal(t.Context(), noted, "shop"); err != nil || len(notes) > 0 {
		names = append(names, "note")
	}
	return names
}

// TestJournalIsWrittenWhileAStepRuns: by several goroutines at once, and it stays whatever
// becomes of the step.
func TestJournalIsWrittenWhileAStepRuns(t *testing.T) {
	const writers, notes = 6, 5
	everywhere(t, func(t *testing.T, in database) {
		s := in.fresh(t)
		run(t, s, func(ctx context.Context, step ledger.Step, _ bool) (ledger.Batch, error) {
			var group sync.WaitGroup
			errs := make([]error, writers)
			for i := range writers {
				group.Go(func() {
					for n := range int64(notes) {
						errs[i] = errors.Join(errs[i], s.Commit(ctx, ledger.Batch{Journal: []ledger.Note{note(fmt.Sprint(step.Key, i%2), n*writers+int64(i))}}))
					}
				})
			}
			group.Wait()
			return ledger.Batch{Journal: []ledger.Note{note(step.Key, 0)}}, &ledger.Hopeless{Err: errors.Join(append(errs, errors.New("it is not well"))...)}
		})
		commit(t, s, ledger.Batch{Steps: []ledger.Step{{Kind: ledger.Deploy, Key: "x"}, {Kind: ledger.Deploy, Key: "y"}}})
		until(t, func() bool { return len(counts(t, s)) == 0 })
		for _, target := range []string{"x0", "x1", "y0", "y1"} {
			written, err := s.Journal(t.Context(), noted, target)
			if err != nil || len(written) != notes*writers/2 {
				t.Fatalf("%s: %d notes, %v", target, len(written), err)
			}
			last := map[int64]int64{}
			for _, n := range written {
				by, number := n.Fence%writers, n.Fence/writers
				if number != last[by] {
					t.Fatalf("%s: of the writer %d comes the note %d in the place of %d", target, by, number, last[by])
				}
				last[by]++
			}
		}
		same(t, []ledger.Note(nil))(s.Journal(t.Context(), noted, "x"))
	})
}

// TestContendedRows: batches that touch the same rows in different orders don't end each
// other.
func TestContendedRows(t *testing.T) {
	const writers, batches, rows = 4, 4, 4
	everywhere(t, func(t *testing.T, in database) {
		s := in.fresh(t)
		errs := make(chan error, writers)
		for i := range writers {
			go func() {
				var err error
				for n := range batches {
					var b ledger.Batch
					for j := range rows {
						e := comment(fmt.Sprint(i, n))
						if e.Key = fmt.Sprint(j); i%2 == 0 {
							e.Key = fmt.Sprint(rows - 1 - j)
						}
						b.Effects = append(b.Effects, e)
						b.Steps = append(b.Steps, ledger.Step{Kind: ledger.Look, Key: e.Key})
					}
					err = errors.Join(err, s.Commit(t.Context(), b))
				}
				errs <- err
			}()
		}
		for range writers {
			if err := wait(t, errs); err != nil {
				t.Error(err)
			}
		}
		if d := cmp.Diff(map[ledger.Kind]int{ledger.Deliver: rows, ledger.Look: rows}, counts(t, s)); d != "" {
			t.Errorf("steps (-want +got):\n%s", d)
		}
	})
}

// TestAnyErrorCanBeKept: what others say is in errors, and may be no text.
func TestAnyErrorCanBeKept(t *testing.T) {
	everywhere(t, func(t *testing.T, in database) {
		s := in.fresh(t)
		begun := make(chan string, 10)
		tries := map[string]int{}
		var mu sync.Mutex
		run(t, s, func(_ context.Context, step ledger.Step, _ bool) (ledger.Batch, error) {
			mu.Lock()
			defer mu.Unlock()
			tries[step.Key]++
			begun <- step.Key
			err := errors.New("it says \x00 \xff")
			switch {
			case step.Key == "hopeless":
				return ledger.Batch{}, &ledger.Hopeless{Err: err}
			case step.Kind == ledger.Deliver:
				return ledger.Batch{Delivered: []ledger.Delivered{{Key: step.Key, Version: 1, Refused: err.Error()}}}, nil
			case step.Kind == ledger.Hear:
				return ledger.Batch{Heard: []ledger.Heard{{Key: step.Key, State: ledger.Broken, Error: err.Error()}}}, nil
			case tries[step.Key] == 1:
				return ledger.Batch{}, err
			}
			return ledger.Batch{}, nil
		})
		if _, err := s.Receive(t.Context(), ledger.Delivery{ID: "a", Forge: "github", Body: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
		commit(t, s, ledger.Batch{Effects: []ledger.Effect{comment("x")}, Steps: []ledger.Step{{Kind: ledger.Look, Key: "flaky"}, {Kind: ledger.Look, Key: "hopeless"}}})
		for range 5 {
			wait(t, begun)
		}
		until(t, func() bool { return len(counts(t, s)) == 0 })
		if d, err := s.Delivery(t.Context(), "github/a"); err != nil || d.Error != "it says \uFFFD \uFFFD" {
			t.Errorf("%q, %v", d.Error, err)
		}
	})
}

// TestEveryKindHasAHabit: a step without one would be done in River's own way.
func TestEveryKindHasAHabit(t *testing.T) {
	t.Parallel()
	parsed, err := parser.ParseFile(token.NewFileSet(), "../ledger/ledger.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	kinds := 0
	ast.Inspect(parsed, func(n ast.Node) bool {
		value, is := n.(*ast.ValueSpec)
		if !is {
			return true
		}
		if of, is := value.Type.(*ast.Ident); !is || of.Name != "Kind" {
			return true
		}
		kinds++
		text, err := strconv.Unquote(value.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		habit, is := habits[ledger.Kind(text)]
		if !is || habit.timeout == 0 || habit.attempts == 0 || queues[habit.queue].MaxWorkers == 0 {
			t.Errorf("the habit of %s is %+v", text, habit)
		}
		return true
	})
	if kinds != len(habits) || kinds < 12 {
		t.Errorf("there are %d kinds and %d habits", kinds, len(habits))
	}
}

// BenchmarkJournal measures how many notes are written in a second, by as many as apply
// at the same time.
func BenchmarkJournal(b *testing.B) {
	for _, in := range databases {
		for _, writers := range []int{1, 8} {
			b.Run(fmt.Sprint(in.name, "/", writers), func(b *testing.B) {
				s := in.fresh(b)
				var group sync.WaitGroup
				left := make(chan struct{})
				for range writers {
					group.Go(func() {
						for range left {
							commit(b, s, ledger.Batch{Journal: []ledger.Note{note("shop", 1)}})
						}
					})
				}
				for b.Loop() {
					left <- struct{}{}
				}
				close(left)
				group.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "notes/s")
			})
		}
	}
}
