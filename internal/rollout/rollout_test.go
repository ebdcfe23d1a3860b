package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/davitops/davit/internal/command"
	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/plan"
	"github.com/davitops/davit/internal/report"
	"github.com/davitops/davit/internal/target"
	"github.com/davitops/davit/internal/verdict"
)

var repo = gitops.Repo{Forge: "github", Path: "acme/gitops"}

// world is a ledger in memory: what is decided is committed to it, and its steps wait.
type world struct {
	t        *testing.T
	now      time.Time
	branch   ledger.Branch
	rollouts []ledger.Rollout
	deployed map[string]ledger.Deployed
	shown    map[string]ledger.Shown
	effects  map[string]ledger.Effect
	steps    []ledger.Step
	config   target.Config
}

func begun(t *testing.T, config string) *world {
	c, problems := target.ParseConfig(".davit.yaml", []byte("version: 1\n"+config))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	w := &world{
		t: t, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), config: c,
		deployed: map[string]ledger.Deployed{}, shown: map[string]ledger.Shown{}, effects: map[string]ledger.Effect{},
	}
	w.commit(First(ledger.Branch{Repo: repo}, "main", commit(0)))
	return w
}

func commit(n int) string { return fmt.Sprintf("c0ffee0%033x", n) }

func (w *world) commit(b ledger.Batch) {
	w.t.Helper()
	for _, row := range b.Branches {
		if row.Version != w.branch.Version {
			w.t.Fatalf("the branch is at version %d, not %d", w.branch.Version, row.Version)
		}
		row.Version++
		w.branch = row
	}
	for _, r := range b.Rollouts {
		at := slices.IndexFunc(w.rollouts, func(o ledger.Rollout) bool { return o.ID() == r.ID() })
		if at < 0 {
			w.rollouts = append(w.rollouts, r)
			at = len(w.rollouts) - 1
		} else if w.rollouts[at].Version != r.Version {
			w.t.Fatalf("%s is at version %d, not %d", r.ID(), w.rollouts[at].Version, r.Version)
		}
		r.Version++
		w.rollouts[at] = r
	}
	for _, d := range b.Deployed {
		w.deployed[d.Target] = d
	}
	for _, s := range b.Shown {
		w.shown[s.Key] = s
	}
	for _, e := range b.Effects {
		w.effects[e.Key] = e
	}
	w.steps = append(w.steps, b.Steps...)
}

func (w *world) live() []ledger.Rollout {
	live := slices.DeleteFunc(slices.Clone(w.rollouts), func(r ledger.Rollout) bool { return !r.Live() })
	slices.SortFunc(live, func(a, b ledger.Rollout) int { return cmp.Compare(a.Number, b.Number) })
	return live
}

// merge merges a pull request of the number n, which changes some targets: "apps/web" of
// staging is "staging/web"; a minus before it removes it.
func (w *world) merge(n int, names ...string) {
	w.t.Helper()
	w.open(Opening{Pulls: []gitops.PullRequest{{
		Repo: repo, Number: n, Title: "Release", State: gitops.Merged, URL: "https://forge.acme.example/pull", Merge: commit(n),
		Head: gitops.Revision{Repo: repo, Branch: fmt.Sprint("release-", n), Commit: commit(100 + n)},
	}}}, n, names...)
}

func (w *world) open(o Opening, n int, names ...string) {
	w.t.Helper()
	for _, name := range names {
		name, removed := strings.CutPrefix(name, "-")
		environment, app, _ := strings.Cut(name, "/")
		o.Affected = append(o.Affected, Affected{
			Target: gitops.Target{Path: "apps/" + app + "/overlays/" + environment, Environment: environment}, Cluster: "cluster-1", Removed: removed,
		})
	}
	o.Branch, o.Name, o.Tip, o.Config, o.Shows = w.branch, "main", commit(n), w.config, true
	o.Exact = !o.Exact // a test says where it is not so
	o.Live, o.Deployed, o.Now = w.live(), w.deployed, w.now
	w.commit(Open(o))
	w.run()
}

func (w *world) facts(id string) Facts {
	at := slices.IndexFunc(w.rollouts, func(r ledger.Rollout) bool { return r.ID() == id })
	if at < 0 {
		w.t.Fatalf("there is no rollout %s", id)
	}
	return Facts{Rollout: w.rollouts[at], Live: w.live(), Deployed: w.deployed, Now: w.now}
}

// run does the steps that are due and need nothing of the world, and keeps the others.
func (w *world) run() {
	w.t.Helper()
	for round := 0; ; round++ {
		if round > 100 {
			w.t.Fatalf("there is no end of steps: %v", w.steps)
		}
		at := slices.IndexFunc(w.steps, func(s ledger.Step) bool { return s.Kind == ledger.Advance && !s.At.After(w.now) })
		if at < 0 {
			return
		}
		step := w.steps[at]
		w.steps = slices.Delete(w.steps, at, at+1)
		w.commit(Advance(w.facts(step.Key)))
	}
}

// deploy takes the next step of a target's deployment, which must wait for it.
func (w *world) deploy(name string, do func(f Facts, target string) ledger.Batch) {
	w.t.Helper()
	full := path(name)
	for i := len(w.steps) - 1; i >= 0; i-- {
		id, of, _ := strings.Cut(w.steps[i].Key, " ")
		if w.steps[i].Kind != ledger.Deploy || of != full {
			continue
		}
		f := w.facts(id)
		d := f.Rollout.Targets[f.Rollout.Find(full)]
		if d.Turn != w.steps[i].Turn {
			continue
		}
		w.steps = slices.Delete(w.steps, i, i+1)
		w.commit(do(f, full))
		w.run()
		return
	}
	w.t.Fatalf("no step waits for %s: %v", name, w.steps)
}

func path(name string) string {
	environment, app, _ := strings.Cut(name, "/")
	return "apps/" + app + "/overlays/" + environment
}

// applied takes a target through an attempt that ends in some way.
func (w *world) applied(name string, a Applied) {
	w.t.Helper()
	a.Begun = a.Ending != Uncovered && a.Ending != Blocked
	w.deploy(name, func(f Facts, t string) ledger.Batch { return Begun(f, t, nil) })
	w.deploy(name, func(f Facts, t string) ledger.Batch { return After(f, t, a) })
}

func (w *world) watched(name string, v verdict.Verdict) {
	w.t.Helper()
	w.deploy(name, func(f Facts, t string) ledger.Batch { return Watched(f, t, v) })
}

func (w *world) healthy(names ...string) {
	w.t.Helper()
	for _, name := range names {
		w.applied(name, Applied{Ending: Done})
		w.watched(name, verdict.Verdict{Ending: verdict.Healthy})
	}
}

var sick = []verdict.Trouble{{Ref: gitops.ObjectRef{Group: "apps", Kind: "Deployment", Name: "web"}, Container: "web", Reason: "ImagePullBackOff", Final: true}}

func (w *world) degraded(name string) {
	w.t.Helper()
	w.applied(name, Applied{Ending: Done})
	w.watched(name, verdict.Verdict{Ending: verdict.Degraded, Troubles: sick})
}

// undone takes the step that opens a revert.
func (w *world) undone(name string, r Reversal) {
	w.t.Helper()
	at := slices.IndexFunc(w.steps, func(s ledger.Step) bool { return s.Kind == ledger.Revert && strings.HasSuffix(s.Key, " "+path(name)) })
	if at < 0 {
		w.t.Fatalf("nothing reverts %s: %v", name, w.steps)
	}
	id, _, _ := strings.Cut(w.steps[at].Key, " ")
	w.steps = slices.Delete(w.steps, at, at+1)
	w.commit(Undo(w.facts(id), path(name), r))
	w.run()
}

// is holds the deployments to what is wanted: "1 staging/web healthy".
func (w *world) is(want ...string) {
	w.t.Helper()
	var got []string
	for _, r := range w.rollouts {
		for _, d := range r.Targets {
			app := strings.TrimPrefix(d.Target.Path, "apps/")
			app, _, _ = strings.Cut(app, "/")
			got = append(got, fmt.Sprintf("%d %s/%s %s", r.Number, d.Target.Environment, app, d.State))
		}
	}
	if !slices.Equal(got, want) {
		w.t.Fatalf("got  %q\nwant %q", got, want)
	}
}

// says holds a comment to texts that must be in it.
func (w *world) says(key string, texts ...string) {
	w.t.Helper()
	e, is := w.effects[key]
	if !is || e.Comment == nil {
		w.t.Fatalf("there is no comment %s", key)
	}
	for _, text := range texts {
		if !strings.Contains(e.Comment.Body, text) {
			w.t.Errorf("it does not say %q:\n%s", text, e.Comment.Body)
		}
	}
}

func (w *world) ask(n int, name command.Name, targets ...string) (lines []string, refused string) {
	w.t.Helper()
	b, lines, refused := Answer(Asked{
		Command: command.Command{Name: name, Targets: targets}, By: "alice", At: w.now, Live: w.live(), Deployed: w.deployed, Pull: n, Now: w.now,
	})
	w.commit(b)
	w.run()
	return lines, refused
}

func TestInstallingAppliesNothing(t *testing.T) {
	t.Parallel()
	w := begun(t, "")
	w.is()
	w.merge(1) // which changes no target
	w.is()
	if w.branch.Commit != commit(1) || len(w.effects) > 0 {
		t.Errorf("the branch is at %s, and %v is said", w.branch.Commit, w.effects)
	}
}

func TestMergeAppliedHealthy(t *testing.T) {
	t.Parallel()
	w := begun(t, "")
	w.merge(1, "staging/web")
	w.is("1 staging/web applying")
	w.says("comment/github:acme/gitops#1/rollout", "Rolling out c0ffee0", "`apps/web/overlays/staging`", "🚀 applying")
	w.applied("staging/web", Applied{Ending: Done})
	w.is("1 staging/web verifying")
	d := w.rollouts[0].Targets[0]
	if want := w.now.Add(target.DefaultWindow); !d.Until.Equal(want) || w.deployed[path("staging/web")].Commit != commit(1) || w.deployed[path("staging/web")].Healthy != "" {
		t.Errorf("watched until %s, %+v", d.Until, w.deployed)
	}
	w.watched("staging/web", verdict.Verdict{Ending: verdict.Healthy})
	w.is("1 staging/web healthy")
	if w.deployed[path("staging/web")].Healthy != commit(1) || len(w.live()) > 0 {
		t.Errorf("%+v is live with %+v", w.live(), w.deployed)
	}
	w.says("comment/github:acme/gitops#1/rollout", "✅", "is healthy")
	e := w.effects["deployment/"+w.rollouts[0].ID()+"/staging"]
	if e.Deployment == nil || e.Deployment.Progress != forge.DeploymentDone || e.Deployment.Commit != commit(1) {
		t.Errorf("the deployment is %+v", e.Deployment)
	}
}

func TestDegradedIsRevertedOnce(t *testing.T) {
	t.Parallel()
	w := begun(t, "")
	w.merge(1, "staging/web")
	w.healthy("staging/web")
	w.merge(2, "staging/web")
	w.degraded("staging/web")
	w.is("1 staging/web healthy", "2 staging/web degraded")
	w.says("comment/github:acme/gitops#2/failure-c0ffee0", "is not well after", "ImagePullBackOff")
	r := w.rollouts[1]
	w.undone("staging/web", Reversal{Branch: RevertBranch(r, commit(1), nil), Commit: commit(200), To: commit(1), Files: []string{"apps/web/base/web.yaml"}, Shared: []string{"apps/web/overlays/production"}})
	w.is("1 staging/web healthy", "2 staging/web reverting")
	p := w.effects[ProposalKey(r, path("staging/web"))].Proposal
	if p == nil || p.Base != "main" || p.Title != `Revert "Release"` {
		t.Fatalf("the revert is %+v", p)
	}
	for _, text := range []string{"#2", "ImagePullBackOff", "`apps/web/base/web.yaml`", "`apps/web/overlays/production`"} {
		if !strings.Contains(p.Body, text) {
			t.Errorf("the revert does not say %s:\n%s", text, p.Body)
		}
	}
	f := w.facts(r.ID())
	f.Numbers = map[string]int{path("staging/web"): 3}
	w.commit(Advance(f))
	w.says("comment/github:acme/gitops#2/failure-c0ffee0", "**#3** reverts it")

	// Merged as it is, it deploys at once and ends the story; what fails then is not reverted.
	w.open(Opening{Pulls: []gitops.PullRequest{{Repo: repo, Number: 3, Head: gitops.Revision{Repo: repo, Branch: p.Branch, Commit: commit(200)}}}}, 3, "staging/web")
	w.is("1 staging/web healthy", "2 staging/web reverting", "3 staging/web applying")
	if w.rollouts[2].Undoes != r.ID() {
		t.Errorf("it undoes %q", w.rollouts[2].Undoes)
	}
	w.healthy("staging/web")
	w.is("1 staging/web healthy", "2 staging/web reverted", "3 staging/web healthy")
	if len(w.live()) > 0 {
		t.Errorf("%v", w.live())
	}
}

func TestRevertsAreNotReverted(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		config string
		change func(*Opening)
		undoes bool
	}{
		{"as it was made", "", func(*Opening) {}, true},
		{"with another commit", "", func(o *Opening) { o.Pulls[0].Head.Commit = commit(201) }, false},
		{"of a fork", "", func(o *Opening) { o.Pulls[0].Head.Repo.Path = "mallory/gitops" }, false},
		{"together with another", "", func(o *Opening) { o.Pulls = append(o.Pulls, gitops.PullRequest{Repo: repo, Number: 9}) }, false},
		{"together with a push", "", func(o *Opening) { o.Pushed = true }, false},
		{"with something else in its merge", "", func(o *Opening) { o.Exact = true }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := begun(t, "environments: {production: {apply: on-command}}")
			w.merge(1, "production/web")
			w.ask(1, command.Apply)
			w.degraded("production/web")
			r := w.rollouts[0]
			branch := RevertBranch(r, commit(0), nil)
			w.undone("production/web", Reversal{Branch: branch, Commit: commit(200)})
			o := Opening{Pulls: []gitops.PullRequest{{Repo: repo, Number: 3, Head: gitops.Revision{Repo: repo, Branch: branch, Commit: commit(200)}}}}
			test.change(&o)
			w.open(o, 3, "production/web")
			if !test.undoes {
				w.is("1 production/web reverting", "2 production/web held")
				return
			}
			w.is("1 production/web reverting", "2 production/web applying")
			w.degraded("production/web")
			w.is("1 production/web reverting", "2 production/web degraded")
			if slices.ContainsFunc(w.steps, func(s ledger.Step) bool { return s.Kind == ledger.Revert }) {
				t.Error("a revert is reverted")
			}
			w.says("comment/github:acme/gitops#3/failure-c0ffee0", "a revert is not reverted")
		})
	}
}

func TestEndings(t *testing.T) {
	t.Parallel()
	unwell := []verdict.Workload{{Ref: sick[0].Ref, State: verdict.Failing, Wanted: 1}}
	for _, test := range []struct {
		name    string
		applied Applied
		before  []verdict.Workload
		want    ledger.DeploymentState
		reverts bool
		resumes bool
		begun   bool // it counts as deployed
	}{
		{"refused by the cluster", Applied{Ending: Refused, Why: "spec.x: invalid", Begun: true}, nil, ledger.Failed, true, false, true},
		{"can't be rendered", Applied{Ending: Refused, Why: "web.yaml:1: no YAML"}, nil, ledger.Failed, true, false, false},
		{"does not come up", Applied{Ending: Unready, Begun: true, Changed: []gitops.ObjectRef{sick[0].Ref}, Settled: unwell}, nil, ledger.Degraded, true, false, true},
		{"did not come up before either", Applied{Ending: Unready, Begun: true, Changed: []gitops.ObjectRef{sick[0].Ref}, Settled: unwell}, unwell, ledger.Inconclusive, false, true, true},
		{"not ready in time", Applied{Ending: Late, Why: "web is not ready", Begun: true}, nil, ledger.TimedOut, false, true, true},
		{"blocked", Applied{Ending: Blocked, Why: "it belongs to Argo CD"}, nil, ledger.Failed, false, true, false},
		{"no cluster", Applied{Ending: Unavailable, Why: "the cluster can't be reached"}, nil, ledger.Failed, false, true, false},
		{"the cluster goes away", Applied{Ending: Unavailable, Why: "the cluster can't be reached", Begun: true}, nil, ledger.Failed, false, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := begun(t, "")
			w.merge(1, "staging/web")
			w.deploy("staging/web", func(f Facts, t string) ledger.Batch { return Begun(f, t, test.before) })
			w.deploy("staging/web", func(f Facts, t string) ledger.Batch { return After(f, t, test.applied) })
			w.is("1 staging/web " + string(test.want))
			d := w.rollouts[0].Targets[0]
			reverts := slices.ContainsFunc(w.steps, func(s ledger.Step) bool { return s.Kind == ledger.Revert })
			if reverts != test.reverts || d.Resume != test.resumes || (w.deployed[path("staging/web")].Commit != "") != test.begun {
				t.Errorf("reverts %v, resumes %v, deployed %v", reverts, d.Resume, w.deployed)
			}
			if lines, _ := w.ask(1, command.Retry); test.resumes != (len(lines) == 0) {
				t.Errorf("/retry answers %q", lines)
			}
			if test.resumes {
				w.is("1 staging/web applying")
				w.healthy("staging/web")
			}
		})
	}
}

func TestWaves(t *testing.T) {
	t.Parallel()
	const config = "environments: {staging: {}, production: {after: [staging], soak: 10m}}"
	w := begun(t, config)
	w.merge(1, "staging/web", "staging/api", "production/web")
	w.is("1 staging/web applying", "1 staging/api applying", "1 production/web queued")
	w.healthy("staging/web")
	w.is("1 staging/web healthy", "1 staging/api applying", "1 production/web queued")
	w.healthy("staging/api")
	w.says("comment/github:acme/gitops#1/rollout", "waits until staging has been healthy for 10m0s")
	w.is("1 staging/web healthy", "1 staging/api healthy", "1 production/web queued")
	w.now = w.now.Add(10 * time.Minute)
	w.run()
	w.is("1 staging/web healthy", "1 staging/api healthy", "1 production/web applying")
	w.healthy("production/web")

	// What fails first stops what comes later, and not what goes beside it.
	w.merge(2, "staging/web", "staging/api", "production/web")
	w.degraded("staging/web")
	w.healthy("staging/api")
	w.is("1 staging/web healthy", "1 staging/api healthy", "1 production/web healthy",
		"2 staging/web degraded", "2 staging/api healthy", "2 production/web queued")
	w.says("comment/github:acme/gitops#2/rollout", "waits for staging: apps/web/overlays/staging is degraded")

	// An environment that a rollout does not touch holds nothing up, unless it is not well.
	w.merge(3, "production/api")
	w.is("1 staging/web healthy", "1 staging/api healthy", "1 production/web healthy",
		"2 staging/web degraded", "2 staging/api healthy", "2 production/web queued", "3 production/api queued")
	w.merge(4, "staging/web")
	w.healthy("staging/web")
	w.now = w.now.Add(10 * time.Minute)
	w.run()
	w.is("1 staging/web healthy", "1 staging/api healthy", "1 production/web healthy",
		"2 staging/web degraded", "2 staging/api healthy", "2 production/web queued", "3 production/api applying", "4 staging/web healthy")
}

func TestNewerCommits(t *testing.T) {
	t.Parallel()
	w := begun(t, "environments: {production: {apply: on-command}}")
	w.merge(1, "staging/web", "production/web")
	w.is("1 staging/web applying", "1 production/web held")
	// What waits is replaced, and what was shown of it counts still; what is being applied is not.
	w.merge(2, "staging/web", "production/web")
	w.is("1 staging/web applying", "1 production/web superseded", "2 staging/web queued", "2 production/web held")
	var seen []string
	for _, s := range w.rollouts[1].Targets[1].Seen {
		seen = append(seen, s.Key)
	}
	if want := []string{"github:acme/gitops#2", "github:acme/gitops#1"}; !slices.Equal(seen, want) {
		t.Errorf("shown were %q, want %q", seen, want)
	}
	w.applied("staging/web", Applied{Ending: Done})
	w.is("1 staging/web superseded", "1 production/web superseded", "2 staging/web applying", "2 production/web held")
	if lines, _ := w.ask(1, command.Apply); len(lines) != 1 {
		t.Errorf("/apply on the older one answers %q", lines)
	}
	w.healthy("staging/web")
	if got := w.rollouts[1].Targets[0]; got.Was != commit(1) || got.From != "" {
		t.Errorf("it was at %s before, and healthy at %q", got.Was, got.From)
	}
	w.ask(2, command.Apply, "production")
	w.is("1 staging/web superseded", "1 production/web superseded", "2 staging/web healthy", "2 production/web applying")
}

func TestUncoveredWaits(t *testing.T) {
	t.Parallel()
	w := begun(t, "")
	w.merge(1, "staging/web")
	effects := []plan.Effect{{Object: sick[0].Ref, Class: plan.Delete, Hash: "h"}}
	w.applied("staging/web", Applied{Ending: Uncovered, Plan: &Planned{Digest: "d", Effects: effects, Told: report.Target{
		Name: path("staging/web"), Live: &report.Live{Digest: "0123456789", Classes: map[string]int{"delete": 1}},
	}}})
	w.is("1 staging/web needs-approval")
	var asked string
	for key, e := range w.effects {
		if strings.Contains(key, "/approval-") {
			asked = e.Comment.Body
		}
	}
	if !strings.Contains(asked, "`/apply apps/web/overlays/staging`") || !strings.Contains(asked, "1 to delete") {
		t.Errorf("it is asked:\n%s", asked)
	}
	if lines, refused := w.ask(1, command.Apply, "nowhere"); len(lines) != 1 || refused == "" {
		t.Errorf("/apply nowhere answers %q", lines)
	}
	w.is("1 staging/web needs-approval")
	w.ask(1, command.Apply, path("staging/web"))
	w.is("1 staging/web applying")
	d := w.rollouts[0].Targets[0]
	key := w.rollouts[0].Key(path("staging/web"))
	if d.Approver != "alice" || !slices.Contains(d.Seen, ledger.Seen{Key: key, Head: commit(1), Question: true}) || len(w.shown[key].Targets[path("staging/web")]) != 1 {
		t.Errorf("%+v, %v", d, w.shown)
	}
	w.healthy("staging/web")
}

func TestRemovedWaits(t *testing.T) {
	t.Parallel()
	w := begun(t, "")
	w.merge(1, "-staging/web") // which nobody ever deployed
	w.is()
	w.merge(2, "staging/web")
	w.healthy("staging/web")
	w.merge(3, "-staging/web")
	w.is("1 staging/web healthy", "2 staging/web held")
	w.says("comment/github:acme/gitops#3/rollout", "its directory is gone")
	w.ask(3, command.Apply)
	w.is("1 staging/web healthy", "2 staging/web applying")
}

func TestDirectPushIsToldOnItsCommit(t *testing.T) {
	t.Parallel()
	w := begun(t, "revert: {open: false}")
	w.open(Opening{Pushed: true}, 1, "staging/web")
	w.degraded("staging/web")
	e := w.effects["comment/github:acme/gitops@"+commit(1)+"/failure-c0ffee0"]
	if e.Comment == nil || e.Comment.Commit != commit(1) || e.Comment.Number != 0 || !strings.Contains(e.Comment.Body, "Reverts are switched off") {
		t.Errorf("%+v", e.Comment)
	}
	for _, s := range w.steps {
		if s.Kind == ledger.Revert {
			t.Error("it is reverted")
		}
	}
}

func TestConflictingRevertIsAnIssue(t *testing.T) {
	t.Parallel()
	w := begun(t, "")
	w.merge(1, "staging/web")
	w.degraded("staging/web")
	w.undone("staging/web", Reversal{To: commit(0), Conflicts: []string{"apps/web/base/web.yaml"}})
	w.is("1 staging/web degraded")
	for _, e := range w.effects {
		if e.Proposal != nil {
			t.Errorf("a pull request is opened: %+v", e.Proposal)
		}
		if e.Issue != nil && strings.Contains(e.Issue.Body, "`apps/web/base/web.yaml`") {
			return
		}
	}
	t.Error("there is no issue that names the file")
}

func TestQuestionsAreNotInherited(t *testing.T) {
	t.Parallel()
	w := begun(t, "")
	w.merge(1, "staging/web")
	w.applied("staging/web", Applied{Ending: Uncovered, Plan: &Planned{Digest: "d", Told: report.Target{Name: path("staging/web"), Live: &report.Live{}}}})
	w.merge(2, "staging/web")
	for _, seen := range w.rollouts[1].Targets[0].Seen {
		if strings.Contains(seen.Key, "@") {
			t.Errorf("the question %s counts, which nobody answered", seen.Key)
		}
	}
	if len(w.rollouts[1].Targets[0].Seen) != 2 {
		t.Errorf("shown were %v", w.rollouts[1].Targets[0].Seen)
	}
}

func TestRevertsReleaseNothingElse(t *testing.T) {
	t.Parallel()
	w := begun(t, "environments: {production: {apply: on-command, after: [staging]}}")
	w.merge(1, "staging/web", "production/web")
	w.healthy("staging/web")
	w.ask(1, command.Apply)
	w.healthy("production/web")
	w.merge(2, "staging/web", "production/web")
	w.degraded("staging/web")
	r := w.rollouts[1]
	branch := RevertBranch(r, commit(1), nil)
	w.undone("staging/web", Reversal{Branch: branch, Commit: commit(200)})
	w.open(Opening{Pulls: []gitops.PullRequest{{Repo: repo, Number: 3, Head: gitops.Revision{Repo: repo, Branch: branch, Commit: commit(200)}}}}, 3, "staging/web", "production/web")
	w.healthy("staging/web")
	w.is("1 staging/web healthy", "1 production/web healthy", "2 staging/web reverted", "2 production/web superseded",
		"3 staging/web healthy", "3 production/web held")
}

func TestRevertsOfProductionGoAtOnce(t *testing.T) {
	t.Parallel()
	w := begun(t, "environments: {production: {after: [staging], soak: 1h}}")
	w.merge(1, "staging/web", "production/web")
	w.healthy("staging/web")
	w.now = w.now.Add(time.Hour)
	w.run()
	w.degraded("production/web")
	branch := RevertBranch(w.rollouts[0], commit(0), nil)
	w.undone("production/web", Reversal{Branch: branch, Commit: commit(200)})
	w.open(Opening{Pulls: []gitops.PullRequest{{Repo: repo, Number: 3, Head: gitops.Revision{Repo: repo, Branch: branch, Commit: commit(200)}}}}, 3, "staging/web", "production/web")
	w.is("1 staging/web healthy", "1 production/web reverting", "2 staging/web applying", "2 production/web applying")
}

func TestRetryOfWhatIsPast(t *testing.T) {
	t.Parallel()
	w := begun(t, "environments: {production: {apply: on-command}}")
	w.merge(1, "staging/web", "production/web")
	w.applied("staging/web", Applied{Ending: Late})
	w.merge(2, "staging/web")
	w.healthy("staging/web")
	if lines, _ := w.ask(1, command.Retry); len(lines) != 1 {
		t.Errorf("/retry of an older commit answers %q", lines)
	}
	w.is("1 staging/web timed-out", "1 production/web held", "2 staging/web healthy")
}

func TestGoneBeforeItWasDeployed(t *testing.T) {
	t.Parallel()
	w := begun(t, "environments: {production: {apply: on-command}}")
	w.merge(1, "production/web", "staging/bad")
	w.applied("staging/bad", Applied{Ending: Blocked, Why: "the rules"})
	w.merge(2, "-production/web", "-staging/bad")
	w.is("1 production/web superseded", "1 staging/bad failed")
	if len(w.live()) > 0 {
		t.Errorf("it is live still: %+v", w.live())
	}
	if lines, _ := w.ask(1, command.Apply); len(lines) != 1 {
		t.Errorf("/apply answers %q", lines)
	}
}

func TestGoneWhileItIsApplied(t *testing.T) {
	t.Parallel()
	w := begun(t, "")
	w.merge(1, "staging/web")
	w.merge(2, "-staging/web")
	w.is("1 staging/web applying", "2 staging/web queued")
	w.applied("staging/web", Applied{Ending: Done})
	w.is("1 staging/web verifying", "2 staging/web held")
}

func TestProductionFollowsWhatTookStagingsPlace(t *testing.T) {
	t.Parallel()
	w := begun(t, "environments: {production: {after: [staging]}}")
	w.merge(1, "staging/web", "production/web")
	w.applied("staging/web", Applied{Ending: Done})
	w.merge(2, "staging/web")
	w.is("1 staging/web superseded", "1 production/web queued", "2 staging/web applying")
	w.healthy("staging/web")
	w.is("1 staging/web superseded", "1 production/web applying", "2 staging/web healthy")
}

func TestApplyOverWhatIsStuck(t *testing.T) {
	t.Parallel()
	w := begun(t, "environments: {production: {after: [staging]}}")
	w.merge(1, "staging/web", "production/web")
	if _, refused := w.ask(1, command.Apply, "production"); refused == "" {
		t.Error("an environment that comes first is skipped while it is being applied")
	}
	w.degraded("staging/web")
	w.ask(1, command.Apply) // which names nothing
	w.is("1 staging/web degraded", "1 production/web queued")
	w.ask(1, command.Apply, "production")
	w.is("1 staging/web degraded", "1 production/web applying")
}

func TestApplyIsOfWhatWasAskedBefore(t *testing.T) {
	t.Parallel()
	w := begun(t, "environments: {production: {apply: on-command}}")
	w.merge(1, "production/web")
	_, lines, _ := Answer(Asked{Command: command.Command{Name: command.Apply}, By: "alice", At: w.now.Add(-time.Minute), Live: w.live(), Pull: 1, Now: w.now})
	if len(lines) != 1 || !strings.Contains(lines[0], "when you wrote that") {
		t.Errorf("a comment of before is answered %q", lines)
	}
	w.is("1 production/web held")
}

func TestNothingIsRevertedThatIsPast(t *testing.T) {
	t.Parallel()
	w := begun(t, "")
	w.merge(1, "staging/web")
	w.degraded("staging/web")
	w.merge(2, "staging/web")
	w.undone("staging/web", Reversal{Branch: "davit/revert-x", Commit: commit(200)})
	w.is("1 staging/web degraded", "2 staging/web applying")
}

func TestGivenUpStepsComeBack(t *testing.T) {
	t.Parallel()
	w := begun(t, "")
	w.merge(1, "staging/web", "staging/api")
	w.degraded("staging/api")
	w.steps = nil // all were given up
	f := w.facts(w.rollouts[0].ID())
	f.GivenUp = true
	w.commit(Advance(f))
	var kinds []ledger.Kind
	for _, s := range w.steps {
		kinds = append(kinds, s.Kind)
	}
	if !slices.Equal(kinds, []ledger.Kind{ledger.Deploy, ledger.Revert}) {
		t.Fatalf("what waits is %v", w.steps)
	}
	w.healthy("staging/web")
}
