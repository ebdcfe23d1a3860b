package survey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/plan"
)

// planner is a cluster in which each object is of the class that its data says, by
// default a no-op, and holds "was" where it is now something else. The cluster "down"
// does not answer, "hidden" says nothing of what was deployed, and asking "lost" is an
// error.
type planner struct {
	mu    sync.Mutex
	asked []string
}

func (p *planner) Plan(_ context.Context, t gitops.Target, objects []manifest.Object, removed bool) (plan.Plan, error) {
	p.mu.Lock()
	p.asked = append(p.asked, fmt.Sprintf("%s: %d objects, removed: %t", t.Name(), len(objects), removed))
	p.mu.Unlock()
	switch t.Cluster {
	case "down":
		return plan.Plan{}, fmt.Errorf("connect: %w", &plan.Problem{Code: plan.Unavailable, Message: "the cluster down can't be reached"})
	case "hidden":
		return plan.Plan{Digest: strings.Repeat("d", 64), Hidden: true}, nil
	case "lost":
		return plan.Plan{}, errLost
	}
	made := plan.Plan{Digest: strings.Repeat("d", 64)}
	if removed {
		gone := gitops.ObjectRef{Version: "v1", Kind: "ConfigMap", Namespace: "filled-in", Name: "gone"}
		made.Changes = []plan.Change{{Ref: gone, Class: plan.Delete, Live: plan.Entry{UID: "u"}, Before: json.RawMessage(`{"was":"there"}`)}}
	}
	for _, o := range objects {
		var object struct{ Data, StringData map[string]string }
		if err := json.Unmarshal(o.JSON, &object); err != nil {
			return plan.Plan{}, err
		}
		c := plan.Change{Ref: o.Ref, Rendered: o.Ref, Class: plan.NoOp, Live: plan.Entry{UID: "u"}, Warnings: []string{"beware of " + object.Data["class"]}}
		if c.Ref.Namespace == "" {
			c.Ref.Namespace = "filled-in"
		}
		if class := object.Data["class"]; class != "" {
			c.Class, c.Reason, c.Risks = plan.Class(class), "for "+object.Data["reason"], []plan.Risk{plan.Traffic}
			c.Before, c.After = json.RawMessage(`{"was":"there"}`), o.JSON
			if manifest.IsSecret(o.Ref) {
				c.Before = json.RawMessage(`{"stringData":{"a":"` + liveSecret + `"}}`)
			}
			c.TakenFrom = []plan.Taken{{Manager: "m", Fields: []string{".a", ".b"}}}
		}
		made.Changes = append(made.Changes, c)
	}
	return made, nil
}

func (p *planner) Kubernetes(_ context.Context, t gitops.Target) string {
	return map[string]string{"old": "1.9", "new": "1.30"}[t.Cluster]
}

// TestKubernetes judges by the most advanced of the clusters that a directory goes to.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	d := &directory{head: &side{}}
	for _, cluster := range []string{"old", "unknown", "new"} {
		d.head.targets = append(d.head.targets, gitops.Target{Path: "apps", Cluster: cluster, Shared: true})
	}
	s := Surveyor{Planner: &planner{}}
	if got := s.kubernetes(t.Context(), Question{}, d); got != "1.30" {
		t.Errorf("it is judged by %q", got)
	}
	d.plans = map[string]planned{"apps@new": {problem: &plan.Problem{Code: plan.Unavailable}}}
	if got := s.kubernetes(t.Context(), Question{}, d); got != "1.9" {
		t.Errorf("a cluster that does not answer is asked again: %q", got)
	}
	if got := s.kubernetes(t.Context(), Question{Kubernetes: "1.28"}, d); got != "1.28" {
		t.Errorf("what was asked for is not taken: %q", got)
	}
}

const liveSecret = "Kx7Qm2Vt9Zr4Ws6Ld1Hf8Bn3"

var errLost = errors.New("the disk is full")

// cm is a ConfigMap with the given data.
func cm(name, data string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {" + data + "}\n"
}

func surveyed(t *testing.T, base, head memory, all bool) (lines []string, asked []string, err error) {
	t.Helper()
	p := &planner{}
	preview, err := Surveyor{Renderer: &renderer{}, Judge: &judge{}, Planner: p, Parallel: 2}.Run(t.Context(), Question{Base: base, Head: head, All: all})
	for _, target := range preview.Targets {
		line := fmt.Sprintf("%s %s", target.Name, target.Status)
		switch {
		case target.Live == nil:
		case target.Unplanned != nil:
			line += " " + target.Unplanned.Code + ": " + target.Unplanned.Message
		default:
			line += fmt.Sprintf(" %v", target.Classes)
		}
		lines = append(lines, line)
		for _, c := range target.Changes {
			line := "  " + c.Action + " " + c.Object
			if c.Planned != nil {
				line += fmt.Sprintf(": %s %v, git %t, live %t, %q %v %v", c.Class, c.Risks, c.Diff != "", c.Live != "", c.Reason, c.Takes, c.Warnings)
			}
			lines = append(lines, line)
		}
	}
	text, _ := preview.JSON()
	if strings.Contains(text, liveSecret) {
		t.Errorf("what the cluster holds in a Secret is shown:\n%s", text)
	}
	slices.Sort(p.asked)
	return lines, p.asked, err
}

// TestPlans tells what clusters say together with what git says.
func TestPlans(t *testing.T) {
	t.Parallel()
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {class: update, reason: " + liveSecret + "}\n"
	base := memory{
		"apps/changes/a.yaml":       cm("both", "a: b") + "---\n" + cm("git", "a: b") + "---\n" + cm("live", "class: update"),
		"apps/changes/b.yaml":       cm("gone", "a: b"),
		"apps/removed/a.yaml":       cm("gone", ""),
		"apps/same/a.yaml":          cm("same", "class: update"),
		"apps/broken/a.yaml":        cm("x", ""),
		"clusters/down/apps/a.yaml": cm("x", ""),
		"clusters/hidden/a/a.yaml":  cm("goes", "") + "---\n" + cm("stays", ""),
	}
	head := memory{
		"apps/changes/a.yaml":       cm("both", "class: blocked, reason: fun") + "---\n" + cm("git", "a: c") + "---\n" + cm("live", "class: update"),
		"apps/same/a.yaml":          cm("same", "class: update"),
		"apps/broken/a.yaml":        "@broken",
		"apps/new/a.yaml":           secret,
		"clusters/down/apps/a.yaml": cm("x", "a: b"),
		"clusters/hidden/a/a.yaml":  cm("stays", ""),
	}
	want := []string{
		`apps/broken error`,
		`apps/changes changed map[blocked:1 no-op:1 update:1]`,
		`  update ConfigMap both: blocked [traffic], git true, live true, "for fun" [.a, .b from m] [beware of blocked]`,
		`  update ConfigMap git: no-op [], git true, live false, "" [] [beware of ]`,
		`  delete ConfigMap gone: no-op [], git true, live false, "Davit did not deploy it, so it is not deleted" [] []`,
		`  update ConfigMap filled-in/live: update [traffic], git false, live true, "for " [.a, .b from m] [beware of update]`,
		`apps/new added map[update:1]`,
		`  create Secret s: update [traffic], git true, live true, "for live secret 1" [.a, .b from m] [beware of update]`,
		`apps/removed removed map[delete:1]`,
		`  delete ConfigMap gone: delete [], git true, live true, "" [] []`,
		`clusters/down/apps changed unavailable: the cluster down can't be reached`,
		`  update ConfigMap x`,
		`clusters/hidden/a changed map[]`,
		`  delete ConfigMap goes`,
	}
	lines, asked, err := surveyed(t, base, head, false)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantAsked := []string{
		"apps/changes: 3 objects, removed: false", "apps/new: 1 objects, removed: false",
		"apps/removed: 0 objects, removed: true", "clusters/down/apps: 1 objects, removed: false",
		"clusters/hidden/a: 1 objects, removed: false",
	}
	if diff := cmp.Diff(wantAsked, asked); diff != "" {
		t.Errorf("what the clusters were asked (-want +got):\n%s", diff)
	}
}

// TestPlanNamespaces tells objects apart that differ only in whether they name their
// namespace.
func TestPlanNamespaces(t *testing.T) {
	t.Parallel()
	named := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: shop}\ndata: {class: %s}\n"
	base := memory{"apps/a/a.yaml": fmt.Sprintf(named, "x") + "---\n" + cm("c", "class: x")}
	head := memory{"apps/a/a.yaml": fmt.Sprintf(named, "create") + "---\n" + cm("c", "class: blocked")}
	lines, _, err := surveyed(t, base, head, false)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`apps/a changed map[blocked:1 create:1]`,
		`  update ConfigMap c: blocked [traffic], git true, live true, "for " [.a, .b from m] [beware of blocked]`,
		`  update ConfigMap shop/c: create [traffic], git true, live true, "for " [.a, .b from m] [beware of create]`,
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestPlanAll asks about what the change does not touch, too.
func TestPlanAll(t *testing.T) {
	t.Parallel()
	base := memory{"apps/a/a.yaml": cm("a", "class: update"), "apps/b/b.yaml": cm("b", ""), "apps/c/c.yaml": "@broken\n" + cm("c", "")}
	head := memory{"apps/a/a.yaml": base["apps/a/a.yaml"], "apps/b/b.yaml": cm("b", "a: b"), "apps/c/c.yaml": base["apps/c/c.yaml"]}
	lines, _, err := surveyed(t, base, head, true)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`apps/a unchanged map[update:1]`,
		`  update ConfigMap filled-in/a: update [traffic], git false, live true, "for " [.a, .b from m] [beware of update]`,
		`apps/b changed map[no-op:1]`,
		`  update ConfigMap b: no-op [], git true, live false, "" [] [beware of ]`,
		`apps/c error`,
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestPlanError ends a survey with what is nobody's answer.
func TestPlanError(t *testing.T) {
	t.Parallel()
	base, head := memory{"clusters/lost/a.yaml": cm("a", "")}, memory{"clusters/lost/a.yaml": cm("a", "a: b")}
	if _, _, err := surveyed(t, base, head, false); !errors.Is(err, errLost) {
		t.Errorf("the error is %v", err)
	}
}
