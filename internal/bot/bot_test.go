package bot

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/davitops/davit/internal/diff"
	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/forge/fake"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/policy"
	"github.com/davitops/davit/internal/store"
	"github.com/davitops/davit/internal/survey"
	"github.com/davitops/davit/internal/tree"
)

// files are the files of a revision.
type files map[string]string

func (f files) Entries() []tree.Entry {
	var entries []tree.Entry
	for _, name := range slices.Sorted(maps.Keys(f)) {
		entries = append(entries, tree.Entry{Path: name, Mode: tree.ModeFile, ID: hex.EncodeToString([]byte(f[name]))})
	}
	return entries
}

func (f files) Look(name string, content bool) (tree.Fact, error) {
	fact := tree.Fact{Path: name, Real: name}
	if data, is := f[name]; is {
		fact.Kind, fact.ID = tree.File, hex.EncodeToString([]byte(data))
		if content {
			fact.Has, fact.Data = true, []byte(data)
		}
	} else if names, _ := f.List(name); len(names) > 0 {
		fact.Kind = tree.Dir
	}
	return fact, nil
}

func (f files) List(directory string) ([]tree.Name, error) {
	var names []tree.Name
	for _, name := range slices.Sorted(maps.Keys(f)) {
		rest, in := strings.CutPrefix("./"+name, strings.TrimSuffix("./"+directory, "/.")+"/")
		if !in {
			continue
		}
		first, _, deeper := strings.Cut(rest, "/")
		n := tree.Name{Name: first, Kind: tree.File}
		if deeper {
			n.Kind = tree.Dir
		}
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names, nil
}

// git is a repository whose commits are named by what they hold: "red" is a commit in
// which everything is red.
type git struct {
	mu    sync.Mutex
	tip   string
	past  []string          // where the branch was, the oldest first
	made  map[string]string // branches that were pushed, and where they are
	push  func(branch, commit string)
	err   error
	begun chan struct{} // told when a comparison begins, and
	leave chan struct{} // asked before it goes on, if not nil
}

// colour are the files of a commit; what stands behind a tilde tells commits of the same
// files apart.
func colour(commit string) files {
	commit, _, _ = strings.Cut(commit, "~")
	return files{"apps/web/web.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {colour: " + commit + "}\n"}
}

func (g *git) Compare(ctx context.Context, pr gitops.PullRequest, _ forge.Source) (Sides, error) {
	g.mu.Lock()
	tip, err := g.tip, g.err
	g.mu.Unlock()
	if g.begun != nil {
		g.begun <- struct{}{}
		<-g.leave
	}
	return Sides{Tip: tip, Base: colour(tip), Head: colour(pr.Head.Commit), Branch: "main", Close: func() error { return nil }}, err
}

// plain renders a directory as it is.
type plain struct{}

func (plain) Render(_ context.Context, f tree.Files, t gitops.Target, _ []string) (manifest.Rendering, tree.Record, error) {
	name := path.Join(t.Path, "web.yaml")
	fact, err := f.Look(name, true)
	if err != nil {
		return manifest.Rendering{}, nil, err
	}
	data, err := yaml.YAMLToJSON(fact.Data)
	if err != nil {
		return manifest.Rendering{}, nil, err
	}
	object, err := manifest.Decode(data)
	if err != nil {
		return manifest.Rendering{}, nil, err
	}
	record, err := tree.Observe(f, []tree.Use{{Path: t.Path, Listed: true}, {Path: name}})
	return manifest.Rendering{Objects: []manifest.Object{object}}, record, err
}

func (plain) Judge(context.Context, string, []diff.Change) (base, head []policy.Finding, err error) {
	return nil, nil, nil
}

// none are no clusters.
type none struct{}

func (none) Planner(gitops.PullRequest, string) (survey.Planner, string) { return nil, "" }
func (none) Deployer(gitops.Repo) Deployer                               { return &site{refusal: "there is no cluster"} }
func (none) Shows(gitops.Repo, bool) bool                                { return true }

// world is a bot, its database and its forge.
type world struct {
	t     *testing.T
	forge *fake.Forge
	repo  gitops.Repo
	git   *git
	db    *store.Store
	bot   *Bot
	lose  func() bool // whether the next delivery is lost

	arrived []string // deliveries, by id
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "davit.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, db: db, git: &git{tip: "red"}, lose: func() bool { return false }}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	w.forge = fake.New(fake.Options{Name: "github", Secrets: []string{"s"}, Receive: w.receive})
	w.repo = w.forge.Add("acme/gitops", "https://forge.example/acme/gitops", true)
	w.forge.Permit(w.repo, "alice", "write")
	w.bot = &Bot{
		Ledger: db, Forges: map[string]forge.Forge{"github": w.forge}, Mirrors: w.git, Clusters: none{}, Now: time.Now,
		Surveyor: survey.Surveyor{Renderer: plain{}, Judge: plain{}, Parallel: 1}, Log: slog.New(slog.DiscardHandler),
	}
	return w
}

// receive is what the webhook does with a delivery.
func (w *world) receive(header func(string) string, body []byte) bool {
	if w.lose() {
		return false
	}
	id, event, err := w.forge.Verify(header, body)
	if err != nil {
		w.t.Errorf("verify: %v", err)
		return false
	}
	if _, err := w.db.Receive(context.WithoutCancel(w.t.Context()), ledger.Delivery{ID: id, Forge: "github", Event: event, Body: body}); err != nil {
		w.t.Errorf("receive: %v", err)
		return false
	}
	w.arrived = append(w.arrived, id)
	return true
}

// run works until the test ends; what work returns is what the bot would.
func (w *world) run(around func(store.Work) store.Work) {
	w.t.Helper()
	work := store.Work(w.bot.Do)
	if around != nil {
		work = around(work)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.db.Run(ctx, work) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
}

func (w *world) open(commit string) int {
	return w.forge.Open(gitops.PullRequest{Repo: w.repo, Title: "Paint", Author: w.forge.Person("alice"),
		Head: gitops.Revision{Branch: "paint", Commit: commit}, Base: gitops.Revision{Branch: "main", Commit: "red"}})
}

// settle waits until nothing is left to do.
func (w *world) settle() {
	w.t.Helper()
	w.until(func() bool {
		left, err := w.db.Waiting(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		return len(left) == 0
	})
}

// lookThrough has the bot look through the repository, as it does once an hour.
func (w *world) lookThrough() {
	w.t.Helper()
	if err := w.db.Commit(w.t.Context(), ledger.Batch{Steps: []ledger.Step{{Kind: ledger.List, Key: w.repo.String()}}}); err != nil {
		w.t.Fatal(err)
	}
	w.settle()
}

func (w *world) until(holds func() bool) {
	w.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			left, _ := w.db.Waiting(w.t.Context())
			w.t.Fatalf("nothing happened for a minute; left: %v", left)
		}
	}
}

// shows checks that a pull request has one comment of Davit's, about a colour, and that
// the last check of its head has passed.
func (w *world) shows(number int, commit string) {
	w.t.Helper()
	var ours []fake.Comment
	for _, c := range w.forge.Comments(w.repo, number) {
		if c.Key == "review" {
			ours = append(ours, c)
		}
	}
	if len(ours) != 1 || !strings.Contains(ours[0].Body, "+  colour: "+commit) {
		w.t.Errorf("#%d, want one comment on %s: %+v", number, commit, ours)
	}
	checks := w.forge.Checks(w.repo, commit)
	if len(checks) == 0 || checks[len(checks)-1].Conclusion != forge.Success {
		w.t.Errorf("#%d: the checks of %s are %+v", number, commit, checks)
	}
	for _, c := range checks {
		if c.Conclusion == forge.Running {
			w.t.Errorf("#%d: the check %s runs for ever", number, c.Key)
		}
	}
}

func TestOpenedAndPushed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(nil)
	n := w.open("blue")
	w.settle()
	w.shows(n, "blue")
	w.forge.Push(w.repo, n, "green")
	w.settle()
	w.shows(n, "green")
	if writes := w.forge.Calls("SaveComment"); writes != 2 {
		t.Errorf("the comment was written %d times", writes)
	}
}

// TestAnyWeather: whatever of deliveries, answers and steps is lost, doubled or late, in
// the end each pull request has one comment, about what it is now.
func TestAnyWeather(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 0))
			var mu sync.Mutex
			draw := func(n int) int {
				mu.Lock()
				defer mu.Unlock()
				return random.IntN(n)
			}
			chance := func(n int) bool { return draw(n) == 0 }
			w := newWorld(t)
			w.lose = func() bool { return chance(4) }
			quiet := make(chan struct{}) // closed once the weather is fine
			stormy := func() bool {
				select {
				case <-quiet:
					return false
				default:
					return chance(4)
				}
			}
			// A step whose result is lost is a Davit that was killed before it committed.
			w.run(func(work store.Work) store.Work {
				return func(ctx context.Context, step ledger.Step, last bool) (ledger.Batch, error) {
					batch, err := work(ctx, step, last)
					if stormy() {
						return ledger.Batch{}, &ledger.Later{Until: time.Now(), Err: errors.New("killed")}
					}
					return batch, err
				}
			})
			numbers := []int{w.open("blue"), w.open("green"), w.open("black")}
			last := map[int]string{numbers[0]: "blue", numbers[1]: "green", numbers[2]: "black"}
			for i := range 12 {
				n := numbers[draw(len(numbers))]
				last[n] = fmt.Sprintf("colour%d", i)
				switch draw(4) {
				case 0:
					w.forge.Fail(fake.Fault{Call: "SaveComment", Class: forge.Unavailable, Done: true})
				case 1:
					w.forge.Fail(fake.Fault{Call: "SaveCheck", Class: forge.Unavailable, Done: true})
				case 2:
					w.forge.Fail(fake.Fault{Call: "PullRequest", Class: forge.Limited, Until: time.Now().Add(5 * time.Millisecond)})
				}
				w.forge.Push(w.repo, n, last[n])
			}
			close(quiet)
			// The sweep finds what no delivery told.
			if err := w.db.Commit(t.Context(), ledger.Batch{Steps: []ledger.Step{{Kind: ledger.Inspect, Key: "github"}}}); err != nil {
				t.Fatal(err)
			}
			w.settle()
			for n, commit := range last {
				w.shows(n, commit)
			}
		})
	}
}

// TestSupersededWhileItIsLookedAt: what was pushed over is not said any longer, and its
// check does not run for ever.
func TestSupersededWhileItIsLookedAt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.git.begun, w.git.leave = make(chan struct{}), make(chan struct{})
	w.run(nil)
	n := w.open("blue")
	<-w.git.begun
	w.forge.Push(w.repo, n, "green")
	<-w.git.begun // the second one begins while the first goes on
	w.git.leave <- struct{}{}
	w.git.leave <- struct{}{}
	w.settle()
	w.shows(n, "green")
	if writes := w.forge.Calls("SaveComment"); writes != 1 {
		t.Errorf("the comment was written %d times", writes)
	}
	for _, c := range w.forge.Checks(w.repo, "blue") {
		if c.Conclusion != forge.Dropped {
			t.Errorf("the check of what was pushed over is %+v", c)
		}
	}
}

// TestDavitsOwnTrouble is told as such, without detail, and mended by itself.
func TestDavitsOwnTrouble(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.git.err = errors.New("open /var/lib/davit/mirrors: no space left")
	w.run(func(work store.Work) store.Work {
		return func(ctx context.Context, step ledger.Step, _ bool) (ledger.Batch, error) {
			return work(ctx, step, true) // every attempt is the last one
		}
	})
	n := w.open("blue")
	w.settle()
	checks := w.forge.Checks(w.repo, "blue")
	if len(checks) != 1 || checks[0].Conclusion != forge.Failure || !strings.Contains(checks[0].Summary, "Davit has a problem of its own") ||
		strings.Contains(checks[0].Summary, "/var/lib") || len(w.forge.Comments(w.repo, n)) > 0 {
		t.Errorf("checks %+v, comments %+v", checks, w.forge.Comments(w.repo, n))
	}
	w.git.mu.Lock()
	w.git.err = nil
	w.git.mu.Unlock()
	w.lookThrough()
	w.shows(n, "blue")
}

// TestRefusedWrites are given up, told in the log, and hold up nothing else.
func TestRefusedWrites(t *testing.T) {
	t.Parallel()
	for _, class := range []forge.Class{forge.Gone, forge.Forbidden, forge.Refused} {
		w := newWorld(t)
		if class == forge.Forbidden { // what was forbidden for a day stays so
			w.bot.Now = func() time.Time { return time.Now().Add(25 * time.Hour) }
		}
		w.run(nil)
		w.forge.Fail(fake.Fault{Call: "SaveComment", Class: class})
		n := w.open("blue")
		w.settle()
		// What is forbidden is taken up when a store begins to work, too, at a time of its own.
		if got := len(w.forge.Comments(w.repo, n)); got != 0 && class != forge.Forbidden {
			t.Errorf("%s: %d comments", class, got)
		}
		w.forge.Push(w.repo, n, "green")
		w.settle()
		w.shows(n, "green")
	}
}

// TestForbiddenForAWhile: rights may come back, so nothing is given up at once.
func TestForbiddenForAWhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(nil)
	w.forge.Fail(fake.Fault{Call: "SaveComment", Class: forge.Forbidden})
	w.open("blue")
	w.until(func() bool {
		left, err := w.db.Waiting(t.Context())
		return err == nil && w.forge.Calls("SaveComment") == 1 && len(left) == 1 && left[ledger.Deliver] == 1
	})
}

// TestCheckThatIsRefused ends even so: one that runs for ever holds up a pull request.
func TestCheckThatIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(func(work store.Work) store.Work {
		return func(ctx context.Context, step ledger.Step, last bool) (ledger.Batch, error) {
			if step.Kind == ledger.Review { // its check is what is refused
				w.forge.Fail(fake.Fault{Call: "SaveCheck", Class: forge.Refused})
			}
			return work(ctx, step, last)
		}
	})
	n := w.open("blue")
	w.settle()
	w.shows(n, "blue")
}

// TestNotThereYet: what a forge tells of before it is there is waited for.
func TestNotThereYet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.forge.Fail(fake.Fault{Call: "PullRequest", Class: forge.Gone})
	w.run(nil)
	n := w.open("blue")
	w.settle()
	w.shows(n, "blue")
}

// TestGone: what is no longer there when it is asked for leads to nothing.
func TestGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.bot.Now = func() time.Time { return time.Now().Add(2 * time.Minute) } // it has had its time to appear
	w.forge.Fail(fake.Fault{Call: "PullRequest", Class: forge.Gone})
	w.run(nil)
	w.open("blue")
	w.settle()
	if writes := w.forge.Calls("SaveComment") + w.forge.Calls("SaveCheck"); writes != 0 {
		t.Errorf("%d writes", writes)
	}
	for _, id := range w.arrived {
		if d, err := w.db.Delivery(t.Context(), "github/"+id); err != nil || d.State != ledger.Done {
			t.Errorf("the delivery is %s, %v", d.State, err)
		}
	}
	if len(w.arrived) == 0 {
		t.Error("nothing was delivered")
	}
}

// behind is a forge whose answers are older than its events for a while.
type behind struct {
	*fake.Forge
	mu    sync.Mutex
	stale []gitops.PullRequest
}

func (b *behind) PullRequest(ctx context.Context, repo gitops.Repo, number int) (gitops.PullRequest, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.stale) > 0 {
		pr := b.stale[0]
		b.stale = b.stale[1:]
		return pr, nil
	}
	return b.Forge.PullRequest(ctx, repo, number)
}

// TestForgeBehindItsOwnEvents: what a forge tells first and answers later is waited for.
func TestForgeBehindItsOwnEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	slow := &behind{Forge: w.forge}
	w.bot.Forges["github"] = slow
	w.run(nil)
	n := w.open("blue")
	w.settle()
	before, err := w.forge.PullRequest(t.Context(), w.repo, n)
	if err != nil {
		t.Fatal(err)
	}
	slow.mu.Lock()
	slow.stale = []gitops.PullRequest{before}
	slow.mu.Unlock()
	w.forge.Push(w.repo, n, "green")
	w.settle()
	w.shows(n, "green")
}

// renamed is a forge where a repository was renamed: it answers to the old name with the
// new one.
type renamed struct {
	*fake.Forge
	old, new gitops.Repo
}

func (r renamed) PullRequest(ctx context.Context, repo gitops.Repo, number int) (gitops.PullRequest, error) {
	if repo == r.old {
		repo = r.new
	}
	return r.Forge.PullRequest(ctx, repo, number)
}

// TestRenamed: what is told under a repository's old name is about the repository.
func TestRenamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := gitops.Repo{Forge: "github", Path: "acme/before"}
	w.bot.Forges["github"] = renamed{w.forge, old, w.repo}
	w.run(nil)
	n := w.open("blue")
	w.settle()
	for range 2 {
		w.forge.Deliver(gitops.Event{Kind: gitops.Changed, Repo: old, Number: n})
		w.forge.Deliver(gitops.Event{Kind: gitops.Commented, Repo: old, Number: n, Comment: "7", Text: "/plan", Actor: w.forge.Person("alice")})
		w.settle()
	}
	w.shows(n, "blue")
	if row, err := w.db.Pull(t.Context(), gitops.PullRequest{Repo: w.repo, Number: n}.Name()); err != nil || row.Turn != 2 {
		t.Errorf("%+v, %v", row, err)
	}
}

// TestUntoldMoveOfTheBase is found by the next look at the repository.
func TestUntoldMoveOfTheBase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.forge.Put(w.repo, "main", "red")
	w.run(nil)
	n := w.open("blue")
	w.settle()
	w.git.mu.Lock()
	w.git.tip = "white"
	w.git.mu.Unlock()
	w.forge.Put(w.repo, "main", "white")
	for range 2 {
		w.lookThrough()
	}
	if c := w.forge.Comments(w.repo, n)[0].Body; !strings.Contains(c, "-  colour: white") {
		t.Errorf("the comment still speaks of the old base: %s", c)
	}
	w.shows(n, "blue")
	if row, err := w.db.Pull(t.Context(), gitops.PullRequest{Repo: w.repo, Number: n}.Name()); err != nil || row.Turn != 2 {
		t.Errorf("it is looked at %d times, %v", row.Turn, err)
	}
}

// TestMoveOfTheBaseOfWhatEnded: a pull request that was merged meanwhile is not looked at
// again because its base has moved, most of all by its own merge.
func TestMoveOfTheBaseOfWhatEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.forge.Put(w.repo, "main", "red")
	w.run(nil)
	n := w.open("blue")
	w.settle()
	w.forge.Merge(w.repo, n, "blue")
	w.settle()
	name := gitops.PullRequest{Repo: w.repo, Number: n}.Name()
	if err := w.db.Commit(t.Context(), ledger.Batch{Steps: []ledger.Step{{Kind: ledger.Look, Key: name}}}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if row, err := w.db.Pull(t.Context(), name); err != nil || row.State != gitops.Merged || row.Done < row.Turn {
		t.Errorf("a review waits: %+v, %v", row, err)
	}
}

// asked are clusters that remember of whom they were asked.
type asked struct {
	none
	mu  sync.Mutex
	prs []gitops.PullRequest
}

func (a *asked) Planner(pr gitops.PullRequest, _ string) (survey.Planner, string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.prs = append(a.prs, pr)
	return nil, ""
}

// TestPublicByNow: a repository that is made public before a review begins is looked at as
// a public one, whether or not anybody told that it is.
func TestPublicByNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	whom := &asked{}
	w.bot.Clusters = whom
	once := sync.OnceFunc(func() {
		w.lose = func() bool { return true }
		w.forge.Change(w.repo, 1, w.forge.Person("alice"), func(p *gitops.PullRequest) { p.Private = false })
	})
	w.run(func(work store.Work) store.Work {
		return func(ctx context.Context, step ledger.Step, last bool) (ledger.Batch, error) {
			if step.Kind == ledger.Review {
				once()
			}
			return work(ctx, step, last)
		}
	})
	n := w.open("blue")
	w.settle()
	w.shows(n, "blue")
	for _, pr := range whom.prs {
		if pr.Private {
			t.Errorf("a cluster is asked for what everybody reads: %+v", pr)
		}
	}
	if len(whom.prs) == 0 {
		t.Error("nobody was asked")
	}
}

// TestForkThatIsPushedWhileItWaits: what somebody let Davit look at is one commit, and no
// other is looked at in its place, whether or not anybody told of it.
func TestForkThatIsPushedWhileItWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, evil := strings.Repeat("a", 40), strings.Repeat("e", 40)
	push := sync.OnceFunc(func() {
		w.lose = func() bool { return true }
		w.forge.Push(w.repo, 1, evil)
	})
	w.run(func(work store.Work) store.Work {
		return func(ctx context.Context, step ledger.Step, last bool) (ledger.Batch, error) {
			if step.Kind == ledger.Review {
				push()
			}
			return work(ctx, step, last)
		}
	})
	n := w.forge.Open(gitops.PullRequest{Repo: w.repo, Author: w.forge.Person("mallory"), Base: gitops.Revision{Branch: "main", Commit: "red"},
		Head: gitops.Revision{Repo: gitops.Repo{Forge: "github", Path: "mallory/gitops"}, Branch: "paint", Commit: good}})
	w.settle()
	w.forge.Comment(w.repo, n, "alice", "/ok-to-test "+good)
	w.settle()
	for _, c := range w.forge.Comments(w.repo, n) {
		if strings.Contains(c.Body, evil) {
			t.Errorf("what nobody has looked at is shown: %s", c.Body)
		}
	}
	for _, commit := range []string{good, evil} {
		for _, c := range w.forge.Checks(w.repo, commit) {
			if c.Conclusion == forge.Success {
				t.Errorf("the check of %.7s is %+v", commit, c)
			}
		}
	}
}

// TestForbiddenReview is told, and done again once it is allowed.
func TestForbiddenReview(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(nil)
	w.forge.Fail(fake.Fault{Call: "Source", Class: forge.Forbidden})
	n := w.open("blue")
	w.settle()
	checks := w.forge.Checks(w.repo, "blue")
	if len(checks) != 1 || checks[0].Conclusion != forge.Failure || !strings.Contains(checks[0].Summary, "The forge did not let Davit") {
		t.Errorf("%+v", checks)
	}
	w.lookThrough()
	w.shows(n, "blue")
}

// TestGivenUpReview is done again by the next look at the repository.
func TestGivenUpReview(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var given sync.Once
	w.run(func(work store.Work) store.Work {
		return func(ctx context.Context, step ledger.Step, last bool) (ledger.Batch, error) {
			dead := false
			if step.Kind == ledger.Review {
				given.Do(func() { dead = true })
			}
			if dead { // as one that has used up its attempts, and could not even say so
				return ledger.Batch{}, &ledger.Hopeless{Err: errors.New("the database is gone")}
			}
			return work(ctx, step, last)
		}
	})
	n := w.open("blue")
	w.settle()
	w.lookThrough()
	w.shows(n, "blue")
}

// TestQuietBase: the base branch moves, and people hear of it only if it matters.
func TestQuietBase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(nil)
	n := w.open("blue")
	w.settle()
	before := w.forge.Calls("SaveComment") + w.forge.Calls("SaveCheck")
	w.forge.Move(w.repo, "main", "red") // to where it was when it was looked at
	w.settle()
	if after := w.forge.Calls("SaveComment") + w.forge.Calls("SaveCheck"); after != before {
		t.Errorf("%d more writes", after-before)
	}
	w.git.mu.Lock()
	w.git.tip = "white"
	w.git.mu.Unlock()
	w.forge.Move(w.repo, "main", "white")
	w.settle()
	w.shows(n, "blue")
	if c := w.forge.Comments(w.repo, n)[0].Body; !strings.Contains(c, "-  colour: white") {
		t.Errorf("the comment still speaks of the old base: %s", c)
	}
}
