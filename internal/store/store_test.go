package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
)

// run works on a store's steps until the test ends.
func run(t testing.TB, s *Store, work Work) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, work) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// patience is how long something may take on a machine that has much else to do.
const patience = 2 * time.Minute

func wait[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("nothing happened for %s", patience)
		panic("unreachable")
	}
}

func commit(t testing.TB, s *Store, b ledger.Batch) {
	t.Helper()
	if err := s.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func counts(t testing.TB, s *Store) map[ledger.Kind]int {
	t.Helper()
	got, err := s.Waiting(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func pull(number int) ledger.Pull {
	return ledger.Pull{PullRequest: gitops.PullRequest{Repo: gitops.Repo{Forge: "github", Path: "acme/gitops"}, Number: number, State: gitops.Open, Title: "Release"}}
}

func comment(body string) ledger.Effect {
	return ledger.Effect{Key: "comment/1", Forge: "github", Comment: &forge.Comment{Key: "review", Body: body}}
}

func TestRowsComeBackAsTheyWereWritten(t *testing.T) {
	everywhere(t, func(t *testing.T, in database) {
		s := in.fresh(t)
		p := pull(1)
		commit(t, s, ledger.Batch{Pulls: []ledger.Pull{p, pull(2)}, Effects: []ledger.Effect{comment("hello")},
			Commands: []ledger.Command{{Forge: "github", Comment: "7", Pull: p.Name(), Text: "/plan"}}})
		got, err := s.Pull(t.Context(), p.Name())
		if p.Version = 1; err != nil || cmp.Diff(p, got) != "" {
			t.Errorf("%v (-want +got):\n%s", err, cmp.Diff(p, got))
		}
		e, err := s.Effect(t.Context(), "comment/1")
		want := comment("hello")
		if want.Version, want.Changed = 1, e.Changed; err != nil || e.Changed.IsZero() || cmp.Diff(want, e) != "" {
			t.Errorf("%v (-want +got):\n%s", err, cmp.Diff(want, e))
		}
		asked, err := s.Asked(t.Context(), "github", "7")
		if other, err2 := s.Asked(t.Context(), "gitlab", "7"); !asked || other || err != nil || err2 != nil {
			t.Errorf("asked: %v, %v, %v, %v", asked, other, err, err2)
		}
		open, err := s.OpenPulls(t.Context(), p.Repo)
		if err != nil || len(open) != 2 {
			t.Errorf("open: %v, %v", open, err)
		}
		if unknown, err := s.Pull(t.Context(), "github:acme/gitops#9"); err != nil || unknown.Version != 0 || unknown.Number != 9 {
			t.Errorf("an unknown pull request is %+v, %v", unknown, err)
		}
		if _, err := s.Effect(t.Context(), "no"); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("an unknown effect: %v", err)
		}
	})
}

func TestBatchIsCommittedWholeOrNotAtAll(t *testing.T) {
	everywhere(t, func(t *testing.T, in database) {
		p, moved := pull(1), pull(1)
		moved.Version = 1
		command := ledger.Command{Forge: "github", Comment: "7"}
		s := in.fresh(t)
		commit(t, s, ledger.Batch{Pulls: []ledger.Pull{p}, Commands: []ledger.Command{command}})
		for _, test := range []struct {
			name  string
			batch ledger.Batch
		}{
			{"the row is not there any longer as it was read", ledger.Batch{Pulls: []ledger.Pull{{PullRequest: p.PullRequest, Version: 7}}}},
			{"the row is there, which it was not", ledger.Batch{Pulls: []ledger.Pull{p}}},
			{"the comment was a command before", ledger.Batch{Commands: []ledger.Command{command}}},
			{"another row of the batch", ledger.Batch{Pulls: []ledger.Pull{moved, p}}},
		} {
			t.Run(test.name, func(t *testing.T) {
				test.batch.Effects = []ledger.Effect{comment("hello")}
				test.batch.Steps = []ledger.Step{{Kind: ledger.Look, Key: p.Name()}}
				if err := s.Commit(t.Context(), test.batch); !errors.Is(err, ledger.ErrConflict) {
					t.Fatalf("commit: %v", err)
				}
				if got := counts(t, s); len(got) > 0 {
					t.Errorf("steps: %v", got)
				}
				if got, err := s.Pull(t.Context(), p.Name()); err != nil || got.Version != 1 {
					t.Errorf("the row is %+v, %v", got, err)
				}
			})
		}
	})
}

func TestStepsAreDone(t *testing.T) {
	everywhere(t, func(t *testing.T, in database) {
		s := in.fresh(t)
		done := make(chan ledger.Step, 10)
		tries := map[string]int{}
		var mu sync.Mutex
		run(t, s, func(ctx context.Context, step ledger.Step, _ bool) (ledger.Batch, error) {
			mu.Lock()
			tries[step.Key]++
			try := tries[step.Key]
			mu.Unlock()
			switch {
			case step.Key == "flaky" && try < 2:
				return ledger.Batch{}, errors.New("the network is down")
			case step.Key == "early" && try < 2:
				return ledger.Batch{}, &ledger.Later{Until: time.Now().Add(100 * time.Millisecond), Err: errors.New("a limit")}
			case step.Key == "hopeless":
				done <- step
				return ledger.Batch{}, &ledger.Hopeless{Err: errors.New("it is gone")}
			case step.Key == "contended" && try < 3:
				return ledger.Batch{Pulls: []ledger.Pull{{PullRequest: pull(1).PullRequest, Version: 3}}}, nil
			case step.Key == "first":
				done <- step
				return ledger.Batch{Steps: []ledger.Step{{Kind: ledger.Look, Key: "next"}}}, nil
			}
			done <- step
			return ledger.Batch{}, nil
		})
		for _, key := range []string{"flaky", "early", "hopeless", "contended", "first"} {
			commit(t, s, ledger.Batch{Steps: []ledger.Step{{Kind: ledger.Hear, Key: key, Cause: "guid"}}})
		}
		got := map[string]string{}
		for range 6 {
			step := wait(t, done)
			got[step.Key] = step.Cause
		}
		// What follows from a step goes back to the same delivery.
		want := map[string]string{"flaky": "guid", "early": "guid", "hopeless": "guid", "contended": "guid", "first": "guid", "next": "guid"}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		mu.Lock()
		defer mu.Unlock()
		if d := cmp.Diff(map[string]int{"flaky": 2, "early": 2, "hopeless": 1, "contended": 3, "first": 1, "next": 1}, tries); d != "" {
			t.Errorf("tries (-want +got):\n%s", d)
		}
	})
}

// TestIdleStepsComeLast: what somebody waits for overtakes what nobody does.
func TestIdleStepsComeLast(t *testing.T) {
	everywhere(t, func(t *testing.T, in database) {
		s := in.fresh(t)
		var b ledger.Batch
		for i := range 20 {
			b.Steps = append(b.Steps, ledger.Step{Kind: ledger.Review, Key: fmt.Sprint("idle", i), Idle: true})
		}
		commit(t, s, b)
		commit(t, s, ledger.Batch{Steps: []ledger.Step{{Kind: ledger.Review, Key: "awaited"}}})
		begun := make(chan string)
		run(t, s, func(_ context.Context, step ledger.Step, _ bool) (ledger.Batch, error) {
			begun <- step.Key
			return ledger.Batch{}, nil
		})
		at := 0
		for i := range 21 {
			if wait(t, begun) == "awaited" {
				at = i
			}
		}
		if most := max(2, runtime.NumCPU()); at >= most {
			t.Errorf("what somebody waits for begins after %d others", at)
		}
	})
}

// TestEffectDecidedWhileItsLikeIsWritten: what is decided while an earlier version is on
// its way is written after it, never at the same time and never not at all.
func TestEffectDecidedWhileItsLikeIsWritten(t *testing.T) {
	everywhere(t, func(t *testing.T, in database) {
		s := in.fresh(t)
		begun, proceed, written := make(chan string), make(chan struct{}), make(chan string, 10)
		run(t, s, func(ctx context.Context, step ledger.Step, _ bool) (ledger.Batch, error) {
			e, err := s.Effect(ctx, step.Key)
			if err != nil {
				return ledger.Batch{}, err
			}
			begun <- e.Comment.Body
			<-proceed
			written <- e.Comment.Body
			return ledger.Batch{Delivered: []ledger.Delivered{{Key: e.Key, Version: e.Version, Artefact: "42"}}}, nil
		})
		commit(t, s, ledger.Batch{Effects: []ledger.Effect{comment("one")}})
		wait(t, begun)
		commit(t, s, ledger.Batch{Effects: []ledger.Effect{comment("two")}})
		commit(t, s, ledger.Batch{Effects: []ledger.Effect{comment("three")}})
		if got := counts(t, s)[ledger.Deliver]; got != 1 {
			t.Errorf("%d steps write one effect", got)
		}
		proceed <- struct{}{}
		if next := wait(t, begun); next != "three" {
			t.Errorf("after one comes %s", next)
		}
		proceed <- struct{}{}
		if first, second := wait(t, written), wait(t, written); first != "one" || second != "three" {
			t.Errorf("written: %s, %s", first, second)
		}
		until(t, func() bool { return len(counts(t, s)) == 0 })
		commit(t, s, ledger.Batch{Effects: []ledger.Effect{comment("three")}})
		if e, err := s.Effect(t.Context(), "comment/1"); err != nil || e.Version != 3 || e.Written != 3 || e.Artefact != "42" || len(counts(t, s)) > 0 {
			t.Errorf("what is as it was is written again: %+v, %v, %v", e, err, counts(t, s))
		}
	})
}

// until waits for something that no channel tells.
func until(t testing.TB, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("nothing happened for %s", patience)
		}
	}
}

func TestDeliveryIsStoredOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, in database) {
		s := in.fresh(t)
		first := ledger.Delivery{ID: "a", Forge: "github", Event: "push", Header: map[string]string{"X": "y"}, Body: []byte(`{"n": 1}`)}
		another := func(change func(*ledger.Delivery)) ledger.Delivery {
			d := first
			change(&d)
			return d
		}
		for _, test := range []struct {
			name  string
			d     ledger.Delivery
			fresh bool
		}{
			{"new", first, true},
			{"the same", first, false},
			{"the same id with another body", another(func(d *ledger.Delivery) { d.Body = []byte("{}") }), false},
			{"a replay under another id", another(func(d *ledger.Delivery) { d.ID = "b" }), false},
			{"another body", another(func(d *ledger.Delivery) { d.ID, d.Body = "c", []byte("{}") }), true},
			{"another forge", another(func(d *ledger.Delivery) { d.Forge = "ghes" }), true},
		} {
			if got, err := s.Receive(t.Context(), test.d); err != nil || got != test.fresh {
				t.Errorf("%s: %v, %v", test.name, got, err)
			}
		}
		if got := counts(t, s)[ledger.Hear]; got != 3 {
			t.Errorf("%d steps", got)
		}
		got, err := s.Delivery(t.Context(), "github/a")
		if err != nil || string(got.Body) != `{"n": 1}` || got.Header["X"] != "y" || got.State != ledger.Waiting {
			t.Errorf("%+v, %v", got, err)
		}
		if keys, err := s.Find(t.Context(), "a"); err != nil || cmp.Diff([]string{"ghes/a", "github/a"}, keys) != "" {
			t.Errorf("%v, %v", keys, err)
		}
	})
}

func TestBrokenDeliveryIsHeardAgain(t *testing.T) {
	everywhere(t, func(t *testing.T, in database) {
		s := in.fresh(t)
		d := ledger.Delivery{ID: "a", Forge: "github", Event: "push", Body: []byte("{}")}
		heard := make(chan string, 10)
		run(t, s, func(_ context.Context, step ledger.Step, _ bool) (ledger.Batch, error) {
			heard <- step.Key
			return ledger.Batch{Heard: []ledger.Heard{{Key: step.Key, State: ledger.Broken, Error: "it is no event"}}}, nil
		})
		for range 3 {
			if _, err := s.Receive(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			wait(t, heard)
			until(t, func() bool {
				got, err := s.Delivery(t.Context(), "github/a")
				return err == nil && got.State == ledger.Broken && len(counts(t, s)) == 0
			})
		}
	})
}

// TestTidy: what is done with is forgotten after its time, and nothing that is not.
func TestTidy(t *testing.T) {
	everywhere(t, func(t *testing.T, in database) {
		s := in.fresh(t)
		now := time.Now()
		s.Now = func() time.Time { return now }
		for _, id := range []string{"heard", "waiting"} {
			if _, err := s.Receive(t.Context(), ledger.Delivery{ID: id, Forge: "github", Body: []byte(id)}); err != nil {
				t.Fatal(err)
			}
		}
		written, not := comment("a"), comment("b")
		not.Key = "comment/2"
		commit(t, s, ledger.Batch{Effects: []ledger.Effect{written, not}})
		commit(t, s, ledger.Batch{Heard: []ledger.Heard{{Key: "github/heard", State: ledger.Done}}, Delivered: []ledger.Delivered{{Key: written.Key, Version: 1}}})
		left := func() (names []string) {
			t.Helper()
			if err := s.Tidy(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{"heard", "waiting"} {
				if _, err := s.Delivery(t.Context(), "github/"+id); err == nil {
					names = append(names, id)
				}
			}
			for _, key := range []string{written.Key, not.Key} {
				if _, err := s.Effect(t.Context(), key); err == nil {
					names = append(names, key)
				}
			}
			return names
		}
		for _, step := range []struct {
			after time.Duration
			want  []string
		}{
			{6 * 24 * time.Hour, []string{"heard", "waiting", "comment/1", "comment/2"}},
			{2 * 24 * time.Hour, []string{"comment/1", "comment/2"}},
			{60 * 24 * time.Hour, []string{"comment/2"}},
		} {
			now = now.Add(step.after)
			if d := cmp.Diff(step.want, left()); d != "" {
				t.Errorf("after another %s (-want +got):\n%s", step.after, d)
			}
		}
	})
}

func TestOnlyOneWorksOnADatabase(t *testing.T) {
	everywhere(t, func(t *testing.T, in database) {
		place := in.place(t)
		s, other := open(t, place), open(t, place)
		begun := make(chan struct{}, 1)
		run(t, s, func(context.Context, ledger.Step, bool) (ledger.Batch, error) {
			begun <- struct{}{}
			return ledger.Batch{}, nil
		})
		commit(t, s, ledger.Batch{Steps: []ledger.Step{{Kind: ledger.Look, Key: "x"}}})
		wait(t, begun)
		if err := other.Run(t.Context(), nil); !errors.Is(err, ErrTaken) {
			t.Errorf("a second one: %v", err)
		}
		// Others may add to it: a command line tool does.
		commit(t, other, ledger.Batch{Steps: []ledger.Step{{Kind: ledger.Look, Key: "y"}}})
		wait(t, begun)
	})
}

func TestKilled(t *testing.T) {
	everywhere(t, func(t *testing.T, in database) {
		place := in.place(t)
		s := open(t, place)
		commit(t, s, ledger.Batch{Steps: []ledger.Step{{Kind: ledger.Look, Key: "x"}}})
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "DAVIT_STORE_VICTIM="+place)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said := make([]byte, 100)
		if n, err := out.Read(said); !strings.HasPrefix(string(said[:n]), "working") {
			t.Fatalf("it says %q, %v", said[:n], err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		held, err := s.take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// Nor does the queue wait for the one who is gone to lead it.
		if left, err := column(t.Context(), s.read, "SELECT leader_id FROM river_leader"); err != nil || len(left) > 0 {
			t.Errorf("the queue is led by %v, %v", left, err)
		}
		held.free()
		done := make(chan struct{}, 1)
		began := time.Now()
		run(t, s, func(context.Context, ledger.Step, bool) (ledger.Batch, error) {
			done <- struct{}{}
			return ledger.Batch{}, nil
		})
		wait(t, done)
		t.Logf("done %s after the start", time.Since(began).Round(time.Millisecond))
	})
}

func TestPeriodic(t *testing.T) {
	everywhere(t, func(t *testing.T, in database) {
		s := in.fresh(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan ledger.Step, 10)
		ended := make(chan error, 1)
		go func() {
			ended <- s.Run(ctx, func(_ context.Context, step ledger.Step, _ bool) (ledger.Batch, error) {
				done <- step
				return ledger.Batch{}, nil
			}, Periodic{Step: ledger.Step{Kind: ledger.Redeliver, Key: "github"}, Every: time.Second})
		}()
		for range 2 { // and the store's own steps are not seen
			if step := wait(t, done); step.Kind != ledger.Redeliver || step.Key != "github" {
				t.Errorf("%v", step)
			}
		}
		cancel()
		if err := wait(t, ended); err != nil {
			t.Error(err)
		}
	})
}

// TestGivenUpDeliveryIsHeard: a delivery whose step has used up its attempts is not lost.
func TestGivenUpDeliveryIsHeard(t *testing.T) {
	everywhere(t, func(t *testing.T, in database) {
		s := in.fresh(t)
		heard := make(chan string, 10)
		run(t, s, func(_ context.Context, step ledger.Step, _ bool) (ledger.Batch, error) {
			if step.Kind == ledger.Hear {
				heard <- step.Key + " " + step.Cause
			}
			return ledger.Batch{}, &ledger.Hopeless{Err: errors.New("the forge is down")}
		})
		if _, err := s.Receive(t.Context(), ledger.Delivery{ID: "a", Forge: "github", Body: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
		wait(t, heard)
		until(t, func() bool { return counts(t, s)[ledger.Hear] == 0 })
		if err := s.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		if again := wait(t, heard); again != "github/a a" {
			t.Errorf("heard: %s", again)
		}
	})
}

// TestGivenUpEffectIsWritten: nor is what was to be written, and what was forbidden is
// tried again; what can never be is not.
func TestGivenUpEffectIsWritten(t *testing.T) {
	everywhere(t, func(t *testing.T, in database) {
		s := in.fresh(t)
		var mu sync.Mutex
		begun := map[string]int{}
		times := func(key string) int {
			mu.Lock()
			defer mu.Unlock()
			return begun[key]
		}
		run(t, s, func(_ context.Context, step ledger.Step, _ bool) (ledger.Batch, error) {
			mu.Lock()
			defer mu.Unlock()
			begun[step.Key]++
			d := ledger.Delivered{Key: step.Key, Version: 1}
			switch first := begun[step.Key] == 1; {
			case step.Key == "lost" && first:
				return ledger.Batch{}, &ledger.Hopeless{Err: errors.New("the attempts are used up")}
			case step.Key == "forbidden" && first, step.Key == "gone":
				d.Refused = step.Key
			}
			return ledger.Batch{Delivered: []ledger.Delivered{d}}, nil
		})
		keys := []string{"lost", "forbidden", "gone", "written"}
		var b ledger.Batch
		for _, key := range keys {
			e := comment(key)
			e.Key = key
			b.Effects = append(b.Effects, e)
		}
		commit(t, s, b)
		idle := func() bool { return counts(t, s)[ledger.Deliver] == 0 }
		until(t, func() bool { return times("lost")*times("forbidden")*times("gone")*times("written") > 0 && idle() })
		// It is done once when a store begins to work, too, at a time of its own.
		if err := s.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		until(t, func() bool { return times("lost") > 1 && times("forbidden") > 1 && idle() })
		for _, key := range keys {
			want := map[string]int{"lost": 2, "forbidden": 2, "gone": 1, "written": 1}[key]
			if e, err := s.Effect(t.Context(), key); err != nil || e.Written != 1 || times(key) != want {
				t.Errorf("%s: begun %d times, %+v, %v", key, times(key), e, err)
			}
		}
	})
}

// TestOpenedAtTheSameTime: those who find an empty database make its tables one after
// the other.
func TestOpenedAtTheSameTime(t *testing.T) {
	everywhere(t, func(t *testing.T, in database) {
		place := in.place(t)
		errs := make(chan error, 5)
		for range cap(errs) {
			go func() {
				s, err := Open(t.Context(), place, Options{})
				if err == nil {
					err = s.Close()
				}
				errs <- err
			}()
		}
		for range cap(errs) {
			if err := wait(t, errs); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestOnlyItsOwnerReads: deliveries and diffs are not for every user of a machine.
func TestOnlyItsOwnerReads(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "davit.db")
	commit(t, open(t, file), ledger.Batch{Pulls: []ledger.Pull{pull(1)}})
	files, err := filepath.Glob(file + "*")
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
}

// BenchmarkPickup measures the time from a commit to the begin of its step.
func BenchmarkPickup(b *testing.B) {
	for _, in := range databases {
		b.Run(in.name, func(b *testing.B) {
			s := in.fresh(b)
			begun := make(chan struct{}, 1)
			run(b, s, func(context.Context, ledger.Step, bool) (ledger.Batch, error) {
				begun <- struct{}{}
				return ledger.Batch{}, nil
			})
			i := 0
			for b.Loop() {
				i++
				commit(b, s, ledger.Batch{Steps: []ledger.Step{{Kind: ledger.Look, Key: fmt.Sprint(i)}}})
				wait(b, begun)
			}
		})
	}
}
