//go:build e2e

package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/cluster/apply"
	"github.com/davitops/davit/internal/cluster/clustertest"
	"github.com/davitops/davit/internal/fleet"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/plan"
)

// unserved are kinds whose objects make an API server ask a service that does not run
// in a playground: every request after them would fail.
var unserved = []string{"admissionregistration.k8s.io", "apiregistration.k8s.io"}

// TestCorpusOnCluster deploys what real repositories hold, where a copy of them is
// present: what each object will be is what kubectl says it will be, and once it is
// applied there is nothing left to do.
func TestCorpusOnCluster(t *testing.T) {
	for _, bundle := range corpus(t) {
		t.Run(strings.TrimSuffix(filepath.Base(bundle), ".bundle"), func(t *testing.T) {
			p, err := clustertest.Start(1)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Stop()
			repo := gitops.Repo{Forge: "test", Path: "corpus"}
			connection, err := cluster.Connect(cluster.Options{Name: "cluster-1", Kubeconfig: p.Kubeconfig})
			if err != nil {
				t.Fatal(err)
			}
			c := corpusCluster{
				playground: p, repo: repo, connection: connection,
				fleet: fleet.Alone(cluster.Options{Name: "cluster-1", Kubeconfig: p.Kubeconfig}, repo, []byte("key")),
			}
			targets := deployable(t, bundle)
			// Kinds come first, in targets of their own or with others.
			slices.SortStableFunc(targets, func(a, b renderedTarget) int { return b.definitions() - a.definitions() })
			for _, r := range targets {
				c.deploy(t, r)
			}
			t.Logf("%d targets: %d objects compared with kubectl, %d targets applied and planned again, %d objects no-op",
				len(targets), c.compared, c.applied, c.settled)
			if c.compared < 50 || c.settled < 50 {
				t.Error("that is too little to show anything")
			}
		})
	}
}

type renderedTarget struct {
	gitops.Target
	objects []manifest.Object
}

func (r renderedTarget) definitions() int {
	count := 0
	for _, o := range r.objects {
		if o.Ref.Kind == "CustomResourceDefinition" {
			count++
		}
	}
	return count
}

// deployable are the targets of a history's last commit that render.
func deployable(t *testing.T, bundle string) []renderedTarget {
	t.Helper()
	dir, repository, renderer := history(t, bundle)
	files, _, all := discovered(t, repository, git(t, dir, "rev-parse", "HEAD"))
	var targets []renderedTarget
	for _, found := range all {
		rendering, _, err := renderer.Render(t.Context(), files, found, nil)
		if err != nil {
			t.Fatal(err)
		}
		found.Cluster = "cluster-1" // wherever it is meant for
		if rendering.Problem == nil {
			targets = append(targets, renderedTarget{Target: found, objects: slices.DeleteFunc(rendering.Objects, func(o manifest.Object) bool {
				return slices.Contains(unserved, o.Ref.Group)
			})})
		}
	}
	return targets
}

type corpusCluster struct {
	playground                 *clustertest.Playground
	repo                       gitops.Repo
	connection                 *cluster.Connection
	fleet                      *fleet.Fleet
	compared, applied, settled int
}

// deploy plans a target, compares, applies what can be applied, and plans again.
func (c *corpusCluster) deploy(t *testing.T, r renderedTarget) {
	t.Helper()
	ctx := t.Context()
	c.makeNamespaces(t, r)
	facts, err := c.connection.Observe(ctx, cluster.Question{Owner: plan.OwnerOf(c.repo, r.Target), Objects: r.objects, Scope: plan.Everything})
	if err != nil {
		t.Fatalf("%s: %v", r.Path, err)
	}
	c.compare(t, r, facts)
	shown, err := c.fleet.Plan(ctx, r.Target, r.objects, false)
	if err != nil {
		t.Fatalf("%s: %v", r.Path, err)
	}
	// What another target has deployed already, or the cluster would refuse, stays out.
	stopped := map[gitops.ObjectRef]bool{}
	for _, change := range shown.Stopping() {
		stopped[change.Ref.Identity()] = true
	}
	objects := slices.DeleteFunc(slices.Clone(r.objects), func(o manifest.Object) bool {
		inDefault := o.Ref.Identity()
		inDefault.Namespace = "default"
		cluster := o.Ref.Identity()
		cluster.Namespace = ""
		return stopped[o.Ref.Identity()] || stopped[inDefault] || stopped[cluster]
	})
	if len(objects) == 0 {
		return
	}
	if shown, err = c.fleet.Plan(ctx, r.Target, objects, false); err != nil {
		t.Fatalf("%s: %v", r.Path, err)
	}
	// Much of it never becomes ready without its controllers, which is not asked here.
	wait := time.Second
	if r.definitions() > 0 {
		wait = 20 * time.Second
	}
	result, err := apply.Applier{Cluster: c.connection, Holder: "the test", Journal: forgetful{}, Wait: wait}.Run(ctx, apply.Job{
		Owner: plan.OwnerOf(c.repo, r.Target), Objects: objects, Revision: "HEAD", Shown: shown.Effects(), Key: []byte("key"), Scope: plan.Everything,
	})
	var stops *apply.Stopped
	if errors.As(err, &stops) {
		t.Errorf("%s: what stays stops too: %v", r.Path, err)
		return
	}
	if err != nil {
		t.Fatalf("%s: %v", r.Path, err)
	}
	for _, o := range result.Outcomes {
		if o.State == apply.Refused || o.State == apply.Failing || o.State == apply.Skipped {
			t.Errorf("%s: %s was planned as %s, and is %s: %s", r.Path, o.Ref, o.Class, o.State, o.Message)
		}
	}
	c.applied++
	again, err := c.fleet.Plan(ctx, r.Target, objects, false)
	if err != nil {
		t.Fatalf("%s: %v", r.Path, err)
	}
	for _, change := range again.Changes {
		if c.settled++; change.Class != plan.NoOp {
			t.Errorf("%s: once applied, %s is to be %s: %s", r.Path, change.Ref, change.Class, change.Reason)
			for _, e := range change.Effects {
				t.Log(e.Field)
			}
		}
	}
}

// makeNamespaces makes the namespaces that a target takes for granted.
func (c *corpusCluster) makeNamespaces(t *testing.T, r renderedTarget) {
	t.Helper()
	var list strings.Builder
	seen := map[string]bool{"": true}
	for _, o := range r.objects {
		if !seen[o.Ref.Namespace] {
			list.WriteString("---\napiVersion: v1\nkind: Namespace\nmetadata: {name: " + o.Ref.Namespace + "}\n")
		}
		seen[o.Ref.Namespace] = true
	}
	if list.Len() > 0 {
		c.playground.Kubectl(t, list.String(), "apply", "--server-side", "--field-manager=somebody", "-f", "-")
	}
}

// compare holds what a plan says objects will be against what kubectl says.
func (c *corpusCluster) compare(t *testing.T, r renderedTarget, facts plan.Facts) {
	t.Helper()
	var asked []plan.Observation
	list := map[string]any{"apiVersion": "v1", "kind": "List"}
	var items []json.RawMessage
	for _, o := range facts.Desired {
		if o.After != nil {
			asked, items = append(asked, o), append(items, o.JSON)
		}
	}
	if len(asked) == 0 {
		return
	}
	list["items"] = items
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.playground.TryKubectl(context.WithoutCancel(t.Context()), string(text), "apply", "--server-side", "--dry-run=server", "--force-conflicts",
		"--field-manager="+plan.Manager, "--show-managed-fields", "-o", "json", "-f", "-")
	if err != nil {
		t.Errorf("%s: kubectl refuses what the plan takes: %v", r.Path, err)
		return
	}
	var printed struct{ Items []json.RawMessage }
	if err := json.Unmarshal([]byte(out), &printed); err != nil {
		t.Fatal(err)
	}
	if len(asked) == 1 {
		printed.Items = []json.RawMessage{[]byte(out)}
	}
	if len(printed.Items) != len(asked) {
		t.Fatalf("%s: kubectl printed %d objects of %d", r.Path, len(printed.Items), len(asked))
	}
	for i, o := range asked {
		c.compared++
		if diff := cmp.Diff(clustertest.Settled(t, printed.Items[i]), clustertest.Settled(t, o.After)); diff != "" {
			t.Errorf("%s: %s will be another object than kubectl says (-kubectl +davit):\n%s", r.Path, o.Ref, diff)
		}
	}
}

// forgetful is a journal that nobody reads.
type forgetful struct{}

func (forgetful) Note(context.Context, apply.Step) error { return nil }
