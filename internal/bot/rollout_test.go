package bot

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/forge/fake"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/plan"
	"github.com/davitops/davit/internal/rollout"
	"github.com/davitops/davit/internal/store"
	"github.com/davitops/davit/internal/survey"
	"github.com/davitops/davit/internal/verdict"
)

// Open makes the git of the tests a copy of itself.
func (g *git) Open(context.Context, gitops.Repo, forge.Source) (Copy, error) { return g, nil }

func (g *git) Local(context.Context, gitops.Repo) (Copy, error) { return g, nil }

func (g *git) Close() error { return nil }

func (g *git) Merge(_ context.Context, _, head string) (survey.Tree, error) {
	return windowed(head), nil
}

func (g *git) Deploys(context.Context, string, string) (branch, tip string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return "main", g.tip, nil
}

func (g *git) Has(_ context.Context, commit string) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return commit == g.tip || slices.Contains(g.past, commit), nil
}

// windowed is a commit in which targets are watched for a moment only.
func windowed(commit string) files {
	f := colour(commit)
	f[".davit.yaml"] = "version: 1\nhealth: {window: 1s}\n"
	return f
}

func (g *git) Tree(_ context.Context, commit string) (survey.Tree, error) {
	return windowed(commit), nil
}

func (g *git) Between(_ context.Context, before, after string) (commits []string, all bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	line := append(slices.Clone(g.past), g.tip)
	return line[slices.Index(line, before)+1 : slices.Index(line, after)+1], true, nil
}

func (g *git) Undo(_ context.Context, u Undoing) (rollout.Reversal, error) {
	return rollout.Reversal{Commit: u.Before + "~undoes-" + u.After, Files: u.Paths}, nil
}

func (g *git) Push(_ context.Context, _ forge.Source, branch, commit string) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if there, is := g.made[branch]; is {
		return there, nil
	}
	g.made[branch] = commit
	g.push(branch, commit)
	return commit, nil
}

// site is a cluster in memory, with one Deployment that runs the colour that was applied
// last.
type site struct {
	refusal string

	mu      sync.Mutex
	colours []string // that were applied
	sick    string   // which colour does not work
	away    bool
	unseen  bool // the next apply would do what nobody was shown
	applies int
}

func (s *site) Place(gitops.Target) (cluster, refusal string) { return "cluster-1", s.refusal }

func (s *site) Look(context.Context, gitops.Target) ([]verdict.Workload, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return nil, &plan.Problem{Code: plan.Unavailable, Message: "the cluster can't be reached"}
	}
	if len(s.colours) == 0 {
		return nil, nil
	}
	w := verdict.Workload{Ref: deployed, State: verdict.Current, Wanted: 1, Ready: 1}
	if s.colours[len(s.colours)-1] == s.sick {
		w.State, w.Ready = verdict.Failing, 0
	}
	return []verdict.Workload{w}, nil
}

// deployed is what the objects of the tests are about.
var deployed = gitops.ObjectRef{Version: "v1", Kind: "ConfigMap", Name: "web"}

func (s *site) Explain(_ context.Context, _ gitops.Target, t []verdict.Trouble) []verdict.Trouble {
	return t
}

func (s *site) Apply(ctx context.Context, o rollout.Order, note func(context.Context, ledger.Note) error) (rollout.Attempt, error) {
	if err := note(ctx, ledger.Note{Action: "apply", Object: deployed}); err != nil {
		return rollout.Attempt{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applies++
	effect := plan.Effect{Object: deployed, Class: plan.Delete}
	if s.unseen && !slices.Contains(o.Shown, effect) {
		return rollout.Attempt{Ending: rollout.Uncovered, Plan: plan.Plan{Digest: "0123456789", Changes: []plan.Change{
			{Ref: deployed, Class: plan.Delete, Effects: []plan.Effect{effect}, Before: []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"web"}}`)},
		}}}, nil
	}
	text := string(o.Objects[0].JSON)
	_, text, _ = strings.Cut(text, `"colour":"`)
	text, _, _ = strings.Cut(text, `"`)
	if len(s.colours) == 0 || s.colours[len(s.colours)-1] != text {
		s.colours = append(s.colours, text)
	}
	if s.sick == text {
		return rollout.Attempt{Ending: rollout.Unready, Why: "it does not come up"}, nil
	}
	return rollout.Attempt{Ending: rollout.Done}, nil
}

func (s *site) Planner(gitops.PullRequest, string) (survey.Planner, string) { return nil, "" }
func (s *site) Deployer(gitops.Repo) Deployer                               { return s }
func (s *site) Shows(gitops.Repo, bool) bool                                { return true }

func (s *site) ran() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.colours, " ")
}

// newSite makes the clusters of a world one that can be deployed to.
func (w *world) newSite() *site {
	s := &site{}
	w.bot.Clusters = s
	w.git.made = map[string]string{}
	w.git.push = func(branch, commit string) { w.forge.Put(w.repo, branch, commit) }
	return s
}

// merge merges a pull request as a commit.
func (w *world) merge(number int, commit string) {
	w.git.mu.Lock()
	w.git.past, w.git.tip = append(w.git.past, w.git.tip), commit
	w.git.mu.Unlock()
	w.forge.Merge(w.repo, number, commit)
}

func (w *world) says(number int, key, text string) bool {
	for _, c := range w.forge.Comments(w.repo, number) {
		if strings.HasPrefix(c.Key, key) && strings.Contains(c.Body, text) {
			return true
		}
	}
	return false
}

// reverts are the pull requests that Davit has opened.
func (w *world) reverts() (numbers []int) {
	open, err := w.forge.PullRequests(w.t.Context(), w.repo)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, pr := range open {
		if strings.HasPrefix(pr.Head.Branch, "davit/revert-") {
			numbers = append(numbers, pr.Number)
		}
	}
	return numbers
}

// lookAtAll has the bot look through everything, as it does when it starts.
func (w *world) lookAtAll() {
	w.t.Helper()
	if err := w.db.Commit(w.t.Context(), ledger.Batch{Steps: []ledger.Step{{Kind: ledger.Roll, Key: w.repo.String()}}}); err != nil {
		w.t.Fatal(err)
	}
	w.settle()
}

func TestMergedIsDeployed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.newSite()
	w.run(nil)
	w.lookAtAll()
	n := w.open("blue")
	w.settle()
	w.merge(n, "blue")
	w.until(func() bool { return w.says(n, "rollout", "is healthy") })
	w.settle()
	if got := s.ran(); got != "blue" {
		t.Errorf("%s was applied", got)
	}
}

func TestFailedIsReverted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.newSite()
	s.sick = "blue"
	w.run(nil)
	w.lookAtAll()
	first := w.open("green")
	w.settle()
	w.merge(first, "green")
	w.until(func() bool { return w.says(first, "rollout", "is healthy") })
	n := w.open("blue")
	w.settle()
	w.merge(n, "blue")
	w.until(func() bool { return len(w.reverts()) == 1 })
	w.settle()
	revert := w.reverts()[0]
	if !w.says(n, "failure", fmt.Sprintf("**#%d** reverts it", revert)) {
		t.Errorf("it is said: %+v", w.forge.Comments(w.repo, n))
	}
	pr, err := w.forge.PullRequest(t.Context(), w.repo, revert)
	if err != nil || w.git.made[pr.Head.Branch] != "green~undoes-blue" {
		t.Fatalf("%+v, %v: %v", pr, w.git.made, err)
	}
	w.merge(revert, "green~again")
	w.until(func() bool { return w.says(n, "failure", "It was reverted, and is healthy again") })
	w.settle()
	if got := s.ran(); got != "green blue green" {
		t.Errorf("%s was applied", got)
	}
}

func TestUnseenWaitsForSomebody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.newSite()
	s.unseen = true
	w.run(nil)
	w.lookAtAll()
	n := w.open("blue")
	w.settle()
	w.merge(n, "blue")
	w.until(func() bool { return w.says(n, "approval", "/apply apps/web") })
	w.settle()
	if got := s.ran(); got != "" {
		t.Fatalf("%s was applied", got)
	}
	w.forge.Comment(w.repo, n, "mallory", "/apply")
	w.settle()
	if got := s.ran(); got != "" || !w.says(n, "refusal", "write permission") {
		t.Fatalf("%s was applied, and it is said: %+v", got, w.forge.Comments(w.repo, n))
	}
	w.forge.Comment(w.repo, n, "alice", "/apply")
	w.until(func() bool { return w.says(n, "rollout", "is healthy") })
	if got := s.ran(); got != "blue" {
		t.Errorf("%s was applied", got)
	}
}

// TestShownOfTheHead: what a plan showed of the last head is done once that is merged; what
// it showed of another one is not.
func TestShownOfTheHead(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, head, want string
	}{
		{"of the head", "blue", "blue"},
		{"of another head", "green", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.newSite()
			s.unseen = true
			w.run(nil)
			w.lookAtAll()
			n := w.open("blue")
			w.settle()
			shown := ledger.Shown{
				Key: gitops.PullRequest{Repo: w.repo, Number: n}.Name(), Head: row.head, At: time.Now(),
				Targets: map[string][]plan.Effect{"apps/web": {{Object: deployed, Class: plan.Delete}}},
			}
			if err := w.db.Commit(t.Context(), ledger.Batch{Shown: []ledger.Shown{shown}}); err != nil {
				t.Fatal(err)
			}
			w.merge(n, "blue")
			w.until(func() bool { return w.says(n, "approval", "/apply apps/web") || w.says(n, "rollout", "is healthy") })
			if got := s.ran(); got != row.want {
				t.Errorf("%q was applied, want %q", got, row.want)
			}
		})
	}
}

// TestForbiddenForAMoment: a forge that says no once does not end a rollout.
func TestForbiddenForAMoment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.newSite()
	s.sick = "blue"
	w.run(nil)
	w.lookAtAll()
	n := w.open("blue")
	w.settle()
	for _, call := range []string{"Repository", "Merged", "Destination"} {
		w.forge.Fail(fake.Fault{Call: call, Class: forge.Refused})
	}
	w.merge(n, "blue")
	w.until(func() bool { return len(w.reverts()) == 1 })
}

func TestClusterAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.newSite()
	s.away = true
	var mu sync.Mutex
	var ahead time.Duration
	w.bot.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(ahead) }
	// Waiting for a cluster takes no time here, and makes it pass.
	w.run(func(work store.Work) store.Work {
		return func(ctx context.Context, step ledger.Step, last bool) (ledger.Batch, error) {
			batch, err := work(ctx, step, last)
			var later *ledger.Later
			if errors.As(err, &later) {
				mu.Lock()
				ahead += time.Minute
				mu.Unlock()
				later.Until = time.Now()
			}
			return batch, err
		}
	})
	w.lookAtAll()
	n := w.open("blue")
	w.settle()
	w.merge(n, "blue")
	w.until(func() bool {
		return w.says(n, "failure", "the cluster can't be reached") && w.says(n, "failure", "/retry")
	})
	w.settle()
	if len(w.reverts()) > 0 {
		t.Error("the change is reverted, which is not to blame")
	}
	s.mu.Lock()
	s.away = false
	s.mu.Unlock()
	w.forge.Comment(w.repo, n, "alice", "/retry")
	w.until(func() bool { return w.says(n, "rollout", "is healthy") })
}

// TestRolloutsInAnyWeather: whatever of deliveries, answers and steps is lost, doubled or
// late, what is merged last is what runs in the end, and what failed has one revert.
func TestRolloutsInAnyWeather(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 1))
			var mu sync.Mutex
			draw := func(n int) int {
				mu.Lock()
				defer mu.Unlock()
				return random.IntN(n)
			}
			w := newWorld(t)
			s := w.newSite()
			s.sick = "black"
			w.lose = func() bool { return draw(4) == 0 }
			quiet := make(chan struct{})
			w.run(func(work store.Work) store.Work {
				return func(ctx context.Context, step ledger.Step, last bool) (ledger.Batch, error) {
					batch, err := work(ctx, step, last)
					select {
					case <-quiet:
					default:
						if draw(4) == 0 {
							return ledger.Batch{}, &ledger.Later{Until: time.Now(), Err: errors.New("killed")}
						}
					}
					return batch, err
				}
			})
			w.lookAtAll()
			for i, commit := range []string{"blue", "green", "black"} {
				n := w.open(commit)
				if draw(2) == 0 {
					w.settle()
				}
				for _, call := range []string{"SaveComment", "SaveDeployment", "Propose"} {
					if draw(2) == 0 {
						w.forge.Fail(fake.Fault{Call: call, Class: forge.Unavailable, Done: true})
					}
				}
				w.merge(n, commit)
				if i == 1 {
					w.lookAtAll()
				}
			}
			close(quiet)
			w.lose = func() bool { return false }
			w.lookAtAll()
			if got := s.ran(); !strings.HasSuffix(got, "black") || len(w.reverts()) != 1 {
				t.Errorf("%s was applied, and reverts are %v", got, w.reverts())
			}
			for _, c := range w.forge.Comments(w.repo, 3) {
				if strings.HasPrefix(c.Key, "failure") && strings.Contains(c.Body, "reverts it") {
					return
				}
			}
			t.Errorf("it is said: %+v", w.forge.Comments(w.repo, 3))
		})
	}
}
