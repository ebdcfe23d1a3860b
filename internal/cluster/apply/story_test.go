package apply_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/cluster/apply"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/plan"
)

// hook is a journal that does something at each step.
type hook func(s apply.Step) error

func (h hook) Note(_ context.Context, s apply.Step) error { return h(s) }

// before runs something once, when an object is about to be written or deleted.
func before(name string, do func()) hook {
	return func(s apply.Step) error {
		if s.Object.Name == name && !s.Done {
			do()
		}
		return nil
	}
}

// told are the outcomes of a job, as "state object".
func told(r apply.Result) []string {
	var lines []string
	for _, o := range r.Outcomes {
		lines = append(lines, string(o.State)+" "+o.Ref.String())
	}
	slices.Sort(lines)
	return lines
}

// wants fails the test unless a job ended so.
func wants(t *testing.T, r apply.Result, err error, state apply.State, outcomes ...string) {
	t.Helper()
	if err != nil {
		t.Fatalf("the job ended with %v: %+v", err, r.Outcomes)
	}
	slices.Sort(outcomes)
	if diff := cmp.Diff(outcomes, told(r)); r.State != state || diff != "" {
		t.Fatalf("the job ended %s, not %s; outcomes (-want +got):\n%s%+v", r.State, state, diff, r.Outcomes)
	}
}

// attempt plans a target and runs an applier on what the plan shows.
func attempt(t *testing.T, a apply.Applier, name, objects string) (apply.Result, error) {
	t.Helper()
	return a.Run(t.Context(), jobOf(t, name, objects, planOf(t, a.Cluster, name, objects)))
}

func done(t *testing.T, name, objects string) {
	t.Helper()
	if r := applyOf(t, name, objects); r.State != apply.Done {
		t.Fatalf("the job ended %s: %+v", r.State, r.Outcomes)
	}
}

// configs are ConfigMaps of a namespace; "name" or "name=value".
func configs(namespace string, names ...string) string {
	var documents []string
	for _, name := range names {
		name, value, _ := strings.Cut(name, "=")
		documents = append(documents, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s}\ndata: {a: %q}\n", name, namespace, value))
	}
	return strings.Join(documents, "---\n")
}

func configMaps(t testing.TB, namespace string) dynamic.ResourceInterface {
	t.Helper()
	objects, _, err := connect(t, "").Objects(t.Context(), gitops.ObjectRef{Version: "v1", Kind: "ConfigMap", Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// found are the ConfigMaps of a namespace, as "name=value", besides the one of every
// namespace.
func found(t testing.TB, namespace string) []string {
	t.Helper()
	list, err := configMaps(t, namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, o := range list.Items {
		if value, _, _ := unstructured.NestedString(o.Object, "data", "a"); o.GetName() != "kube-root-ca.crt" {
			names = append(names, o.GetName()+"="+value)
		}
	}
	slices.Sort(names)
	return names
}

// patch changes a ConfigMap as somebody else does.
func patch(t testing.TB, namespace, name, with string) {
	t.Helper()
	if _, err := configMaps(t, namespace).Patch(t.Context(), name, types.MergePatchType, []byte(with), metav1.PatchOptions{FieldManager: "somebody"}); err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, namespace, name string) {
	t.Helper()
	if err := configMaps(t, namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func create(t testing.TB, namespace, name string) {
	t.Helper()
	object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"b": "somebody's"}}}
	object.SetName(name)
	if _, err := configMaps(t, namespace).Create(t.Context(), object, metav1.CreateOptions{FieldManager: "somebody"}); err != nil {
		t.Fatal(err)
	}
}

// inventory is what is written down as deployed, by name.
func inventory(t testing.TB, name string) []string {
	t.Helper()
	record, err := connect(t, "").Inventory(t.Context(), owner(name))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range record.Entries() {
		names = append(names, e.Ref.Name)
	}
	slices.Sort(names)
	return names
}

func namespace(t testing.TB, name string) string {
	t.Helper()
	playground.Kubectl(t, "", "create", "namespace", name)
	return name
}

// TestPruneOnlyOurs holds that of what is desired no longer, only objects that are
// those that were deployed are deleted.
func TestPruneOnlyOurs(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "prune-ours")
	done(t, "prune-ours-other", configs(ns, "others"))
	done(t, "prune-ours", configs(ns, "stays", "goes", "made-anew", "annotation-off", "label-off", "helms", "gone", "late"))
	remove(t, ns, "made-anew")
	create(t, ns, "made-anew")
	remove(t, ns, "gone")
	patch(t, ns, "annotation-off", `{"metadata":{"annotations":{"davit.dev/owner":null}}}`)
	patch(t, ns, "label-off", `{"metadata":{"labels":{"davit.dev/target":null}}}`)
	patch(t, ns, "helms", `{"metadata":{"annotations":{"meta.helm.sh/release-name":"x"}}}`)
	a := applier(connect(t, ""))
	a.Journal = before("late", func() {
		remove(t, ns, "late")
		create(t, ns, "late")
	})
	r, err := attempt(t, a, "prune-ours", configs(ns, "stays"))
	wants(t, r, err, apply.Done, "deleted ConfigMap prune-ours/goes", "deleted ConfigMap prune-ours/late") // the one that was ours
	if diff := cmp.Diff([]string{"annotation-off=", "helms=", "label-off=", "late=", "made-anew=", "others=", "stays="}, found(t, ns)); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"stays"}, inventory(t, "prune-ours")); diff != "" {
		t.Errorf("the inventory (-want +got):\n%s", diff)
	}
}

// TestInventoryLost holds that without an inventory nothing is pruned, and that one
// that can't be read is never taken for none.
func TestInventoryLost(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "inventory-lost")
	done(t, ns, configs(ns, "stays", "goes"))
	name := "inventory-" + owner(ns).Key()
	good, err := configMaps(t, plan.System).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for what, damage := range map[string]string{
		"no list":           `{"binaryData":null}`,
		"an empty list":     `{"binaryData":{"objects.json.gz":""}}`,
		"no gzip":           `{"binaryData":{"objects.json.gz":"aGVsbG8="}}`,
		"an older list":     `{"data":{"objects":"1"}}`,
		"no number of them": `{"data":{"objects":null}}`,
		"no fence":          `{"data":{"fence":null}}`,
		"no time":           `{"data":{"renewed":"yesterday"}}`,
		"nothing":           `{"data":null}`,
	} {
		patch(t, plan.System, name, damage)
		c := connect(t, "")
		_, err := c.Observe(t.Context(), cluster.Question{Owner: owner(ns), Scope: plan.Everything})
		var fault *cluster.Error
		if !errors.As(err, &fault) || fault.Class != cluster.Broken || !strings.Contains(fault.Message, name) {
			t.Errorf("%s: a plan ends with %v", what, err)
		}
		if _, err := applier(c).Run(t.Context(), apply.Job{Owner: owner(ns)}); !errors.As(err, &fault) {
			t.Errorf("%s: an apply ends with %v", what, err)
		}
		restored := good.DeepCopy()
		restored.SetResourceVersion("")
		if _, err := configMaps(t, plan.System).Update(t.Context(), restored, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	remove(t, plan.System, name)
	if p := planOf(t, connect(t, ""), ns, configs(ns, "stays")); !p.Unmanaged || p.Count()[plan.NoOp] != 1 || len(p.Changes) != 1 {
		t.Errorf("without an inventory, the plan is %v", classes(p))
	}
	done(t, ns, configs(ns, "stays"))
	if diff := cmp.Diff([]string{"goes=", "stays="}, found(t, ns)); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
}

// TestRefused lets a quota refuse an object that a dry run, alone, passed: what comes
// later is not tried, nothing is pruned, and the next run goes on.
func TestRefused(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "refused")
	done(t, ns, configs(ns, "goes"))
	playground.Kubectl(t, "", "create", "quota", "one", "-n", ns, "--hard=secrets=1")
	playground.Kubectl(t, "", "wait", "quota/one", "-n", ns, "--for=jsonpath={.status.hard.secrets}=1")
	objects := strings.ReplaceAll(`
apiVersion: v1
kind: Secret
metadata: {name: one, namespace: NS}
---
apiVersion: v1
kind: Secret
metadata: {name: two, namespace: NS}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: later, namespace: NS}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
`, "NS", ns)
	steps := &journal{}
	a := applier(connect(t, ""))
	a.Journal = steps
	r, err := attempt(t, a, ns, objects)
	if err != nil || r.State != apply.Failed {
		t.Fatalf("the job ended %s, %v: %+v", r.State, err, r.Outcomes)
	}
	states := map[apply.ObjectState]int{}
	for _, o := range r.Outcomes {
		states[o.State]++
	}
	if diff := cmp.Diff(map[apply.ObjectState]int{apply.Applied: 1, apply.Refused: 1, apply.Skipped: 1, apply.Kept: 1}, states); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s%+v", diff, r.Outcomes)
	}
	if !slices.ContainsFunc(steps.steps, func(s apply.Step) bool { return s.Done && s.Error != "" }) {
		t.Error("the journal does not tell that anything was refused")
	}
	if diff := cmp.Diff([]string{"goes="}, found(t, ns)); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
	playground.Kubectl(t, "", "delete", "quota", "one", "-n", ns)
	playground.Kubectl(t, "", "wait", "quota/one", "-n", ns, "--for=delete")
	r, err = attempt(t, applier(connect(t, "")), ns, objects)
	if err != nil || r.State != apply.Done || len(found(t, ns)) > 0 {
		t.Errorf("the next job ended %s, %v: %+v", r.State, err, r.Outcomes)
	}
}

// TestFinalizer deletes an object that something holds: it stays in the inventory, what
// it may need stays too, and the next job deletes both.
func TestFinalizer(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "finalizer")
	account := "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: needed, namespace: finalizer}\n"
	done(t, ns, configs(ns, "stays", "held")+"---\n"+account)
	patch(t, ns, "held", `{"metadata":{"finalizers":["acme.example/hold"]}}`)
	a := applier(connect(t, ""))
	a.Wait = time.Second
	r, err := attempt(t, a, ns, configs(ns, "stays"))
	wants(t, r, err, apply.TimedOut, "deleting ConfigMap finalizer/held", "kept ServiceAccount finalizer/needed")
	if !strings.Contains(r.Outcomes[0].Message, "acme.example/hold") {
		t.Errorf("it is told as %q", r.Outcomes[0].Message)
	}
	if diff := cmp.Diff([]string{"held", "needed", "stays"}, inventory(t, ns)); diff != "" {
		t.Errorf("the inventory (-want +got):\n%s", diff)
	}
	// Wanted again, it has to be waited for.
	if p := planOf(t, connect(t, ""), ns, configs(ns, "stays", "held")); len(p.Stopping()) != 1 || !strings.Contains(p.Stopping()[0].Reason, "acme.example/hold") {
		t.Errorf("an object that is being deleted is planned as %v", classes(p))
	}
	patch(t, ns, "held", `{"metadata":{"finalizers":null}}`)
	r, err = attempt(t, applier(connect(t, "")), ns, configs(ns, "stays"))
	wants(t, r, err, apply.Done, "deleted ServiceAccount finalizer/needed")
	if diff := cmp.Diff([]string{"stays"}, inventory(t, ns)); diff != "" {
		t.Errorf("the inventory (-want +got):\n%s", diff)
	}
}

// writes is how many requests to write objects of a namespace Davit has sent so far.
func writes(t testing.TB, namespace string) int {
	t.Helper()
	count := 0
	for _, q := range playground.Requests(t, 1, plan.Manager) {
		if q.Writes() && strings.Contains(q.URI, "/"+namespace+"/") && strings.Contains(q.URI, "fieldManager="+plan.Manager) {
			count++
		}
	}
	return count
}

// TestMeanwhile lets somebody else write between what was shown and what is applied:
// before the job, and in its midst. Their work is never overwritten unseen.
func TestMeanwhile(t *testing.T) {
	t.Parallel()
	taken := `{"data":{"a":"somebody's"}}`
	for _, row := range []struct {
		name     string
		deployed string // before, by value
		early    func(ns string)
		late     func(ns string)
		state    apply.State // empty: Uncovered
		want     string      // of the ConfigMap c in the end
		saying   string
	}{
		{name: "drift", deployed: "c=1", early: func(ns string) { patch(t, ns, "c", taken) }, want: "c=somebody's"},
		{name: "deleted", deployed: "c=1", early: func(ns string) { remove(t, ns, "c") }},
		{name: "made", early: func(ns string) { create(t, ns, "c") }, want: "c="},
		{name: "late drift", deployed: "c=1", late: func(ns string) { patch(t, ns, "c", taken) }, state: apply.Interrupted, want: "c=somebody's", saying: `conflict with "somebody"`},
		{name: "deleted late", deployed: "c=1", late: func(ns string) { remove(t, ns, "c") }, state: apply.Interrupted, saying: "it changed since it was planned"},
		{name: "made late", late: func(ns string) { create(t, ns, "c") }, state: apply.Interrupted, want: "c=", saying: "it changed since it was planned"},
		{name: "marked late", deployed: "c=1", late: func(ns string) { patch(t, ns, "c", `{"metadata":{"labels":{"x":"y"}}}`) }, state: apply.Done, want: "c=2"},
		{name: "nothing", deployed: "c=1", state: apply.Done, want: "c=2"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			ns := namespace(t, "meanwhile-"+strings.ReplaceAll(row.name, " ", "-"))
			if row.deployed != "" {
				done(t, ns, configs(ns, row.deployed))
			}
			c := connect(t, "")
			job := jobOf(t, ns, configs(ns, "c=2"), planOf(t, c, ns, configs(ns, "c=2")))
			if row.early != nil {
				row.early(ns)
			}
			a := applier(c)
			if row.late != nil {
				a.Journal = before("c", func() { row.late(ns) })
			}
			written := writes(t, ns)
			r, err := a.Run(t.Context(), job)
			var uncovered *apply.Uncovered
			switch {
			case row.state == "" && !errors.As(err, &uncovered):
				t.Errorf("the job ended %s, %v: %+v", r.State, err, r.Outcomes)
			case row.state != "" && (err != nil || r.State != row.state || !strings.Contains(r.Outcomes[0].Message, row.saying)):
				t.Errorf("the job ended %s, %v: %+v", r.State, err, r.Outcomes)
			}
			if got := writes(t, ns); row.state == "" && got != written {
				t.Errorf("it sent %d requests that write", got-written)
			}
			if record, err := c.Inventory(t.Context(), owner(ns)); err != nil || record.Exists() != (row.deployed != "" || row.state != "") {
				t.Errorf("there is a record: %t, %v", record.Exists(), err)
			}
			if got := strings.Join(found(t, ns), " "); got != row.want {
				t.Errorf("the cluster holds %q, not %q", got, row.want)
			}
		})
	}
}

// TestShownConflict holds that a field that somebody else manages is taken over where
// that was shown.
func TestShownConflict(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "shown-conflict")
	done(t, ns, configs(ns, "c=1"))
	patch(t, ns, "c", `{"data":{"a":"somebody's","b":"theirs"}}`)
	p := planOf(t, connect(t, ""), ns, configs(ns, "c=2"))
	if diff := cmp.Diff([]plan.Taken{{Manager: "somebody", Fields: []string{".data.a"}}}, p.Changes[0].TakenFrom); diff != "" {
		t.Errorf("what is taken over (-want +got):\n%s", diff)
	}
	r, err := attempt(t, applier(connect(t, "")), ns, configs(ns, "c=2"))
	wants(t, r, err, apply.Done, "ready ConfigMap shown-conflict/c")
	if got := playground.Kubectl(t, "", "get", "configmap", "c", "-n", ns, "-o", "jsonpath={.data}"); got != `{"a":"2","b":"theirs"}` {
		t.Errorf("it holds %s", got)
	}
}

// TestTwice holds that applying twice writes once, and that the second run of a target
// with a kind of its own and a new namespace needs nothing more.
func TestTwice(t *testing.T) {
	t.Parallel()
	objects := definition("buoys", "Buoy") + `---
apiVersion: acme.example/v1
kind: Buoy
metadata: {name: b, namespace: once-more}
spec: {area: 3}
---
apiVersion: v1
kind: Namespace
metadata: {name: once-more}
` + "---\n" + configs("once-more", "c=1")
	versions := func() string {
		return playground.Kubectl(t, "", "get", "namespace/once-more", "customresourcedefinition/buoys.acme.example", "-o", "jsonpath={.items[*].metadata.managedFields[?(@.manager=='davit')].time}") +
			playground.Kubectl(t, "", "get", "buoys,configmaps", "-n", "once-more", "-o", "jsonpath={.items[*].metadata.resourceVersion}")
	}
	r, err := attempt(t, applier(connect(t, "")), "once-more", objects)
	wants(t, r, err, apply.Done, "ready apiextensions.k8s.io/CustomResourceDefinition buoys.acme.example", "ready acme.example/Buoy once-more/b", "ready Namespace once-more", "ready ConfigMap once-more/c")
	once := versions()
	r, err = attempt(t, applier(connect(t, "")), "once-more", objects)
	wants(t, r, err, apply.Done)
	if diff := cmp.Diff(once, versions()); diff != "" || once == "" {
		t.Errorf("the second run wrote (-once +twice):\n%s", diff)
	}
	// The kind gets a version, and the object is written in it, in one go.
	upgraded := strings.NewReplacer("  - name: v1\n    served: true\n    storage: true\n", "  - {name: v1, served: true, storage: false, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}\n  - name: v2\n    served: true\n    storage: true\n",
		"acme.example/v1\nkind: Buoy", "acme.example/v2\nkind: Buoy", "area: 3", "area: 4").Replace(objects)
	c := connect(t, "")
	p := planOf(t, c, "once-more", upgraded)
	if want := "update acme.example/Buoy once-more/b unverified"; !slices.Contains(classes(p), want) {
		t.Errorf("a new version of a kind is planned as %v", classes(p))
	}
	r, err = applier(c).Run(t.Context(), jobOf(t, "once-more", upgraded, p))
	wants(t, r, err, apply.Done, "ready apiextensions.k8s.io/CustomResourceDefinition buoys.acme.example", "ready acme.example/Buoy once-more/b")
	if p := planOf(t, c, "once-more", upgraded); p.Count()[plan.NoOp] != len(p.Changes) {
		t.Errorf("then it is planned as %v", classes(p))
	}
}

// TestRemoved holds that a target that is removed is deleted, and its record with it,
// and that an empty one is not.
func TestRemoved(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "removed")
	done(t, ns, configs(ns, "a", "b"))
	c := connect(t, "")
	job := apply.Job{Owner: owner(ns), Scope: plan.Everything, Key: key, Revision: "dead"}
	var stopped *apply.Stopped
	if _, err := applier(c).Run(t.Context(), job); !errors.As(err, &stopped) || len(stopped.Changes) != 2 {
		t.Fatalf("a target that is empty ends with %v", err)
	}
	facts, err := c.Observe(t.Context(), cluster.Question{Owner: owner(ns), Scope: plan.Everything})
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Make(plan.Question{Owner: owner(ns), Facts: facts, Scope: plan.Everything, Key: key, Removed: true})
	if err != nil {
		t.Fatal(err)
	}
	job.Removed, job.Shown = true, p.Effects()
	r, err := applier(c).Run(t.Context(), job)
	wants(t, r, err, apply.Done, "deleted ConfigMap removed/a", "deleted ConfigMap removed/b")
	if got := found(t, ns); len(got) > 0 {
		t.Errorf("%v are left", got)
	}
	if _, err := configMaps(t, plan.System).Get(t.Context(), "inventory-"+owner(ns).Key(), metav1.GetOptions{}); err == nil {
		t.Error("the record is left")
	}
}

// TestCancelled ends a job in its midst: the lease is given back, and the next job ends
// where an undisturbed one does.
func TestCancelled(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "cancelled")
	done(t, ns, configs(ns, "goes", "changes=1"))
	objects := configs(ns, "changes=2", "comes") + "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: first, namespace: cancelled}\n"
	c := connect(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a := applier(c)
	a.Journal = before("changes", cancel)
	r, err := a.Run(ctx, jobOf(t, ns, objects, planOf(t, c, ns, objects)))
	if !errors.Is(err, context.Canceled) || r.State == apply.Done {
		t.Fatalf("the job ended %s, %v", r.State, err)
	}
	record, err := c.Inventory(t.Context(), owner(ns))
	if err != nil || record.Holder != "" || record.Settled || len(record.Entries()) != 4 {
		t.Errorf("the record is %+v, %v", record, err)
	}
	r, err = attempt(t, applier(c), ns, objects)
	if err != nil || r.State != apply.Done {
		t.Fatalf("the next job ended %s, %v: %+v", r.State, err, r.Outcomes)
	}
	if diff := cmp.Diff([]string{"changes=2", "comes="}, found(t, ns)); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
}

// TestNotReady deploys what does not come up: nothing is pruned.
func TestNotReady(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, object string
		state        apply.State
		want         string
	}{
		{"slow", strings.Replace(deployment, "replicas: 0", "replicas: 1", 1), apply.TimedOut, "not ready apps/Deployment not-ready-slow/web"},
		{"job", `
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, namespace: NS}
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {davit.dev/fail: crash}}
    spec: {restartPolicy: Never, containers: [{name: a, image: "registry.example/a:1"}]}
`, apply.Failed, "not ready batch/Job not-ready-job/migrate"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			ns := namespace(t, "not-ready-"+row.name)
			done(t, ns, configs(ns, "goes"))
			object := strings.NewReplacer("NS", ns, "metadata: {labels: {app: web}}", "metadata: {labels: {app: web, davit.dev/fail: unready}}").Replace(row.object)
			a := applier(connect(t, ""))
			if a.Wait = 30 * time.Second; row.state == apply.TimedOut {
				a.Wait = 2 * time.Second
			}
			r, err := attempt(t, a, ns, object)
			wants(t, r, err, row.state, row.want, "kept ConfigMap "+ns+"/goes")
			// The next run writes nothing, and still does not take it for done.
			a.Wait = time.Second
			r, err = attempt(t, a, ns, object)
			wants(t, r, err, row.state, row.want, "kept ConfigMap "+ns+"/goes")
			if diff := cmp.Diff([]string{"goes="}, found(t, ns)); diff != "" {
				t.Errorf("what is left (-want +got):\n%s", diff)
			}
		})
	}
}

// TestImpersonation reads the audit log: objects are written as the repository's
// identity, inventories as Davit itself.
func TestImpersonation(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "impersonation")
	const user = "system:serviceaccount:davit:impersonation"
	playground.Kubectl(t, "", "create", "rolebinding", "edit", "-n", ns, "--clusterrole=edit", "--serviceaccount=davit:impersonation")
	r, err := attempt(t, applier(connect(t, user)), ns, configs(ns, "a", "b"))
	wants(t, r, err, apply.Done, "ready ConfigMap impersonation/a", "ready ConfigMap impersonation/b")
	r, err = attempt(t, applier(connect(t, user)), ns, configs(ns, "a"))
	wants(t, r, err, apply.Done, "deleted ConfigMap impersonation/b")
	objects, records := 0, 0
	for _, q := range playground.Requests(t, 1, plan.Manager) {
		switch {
		case strings.Contains(q.URI, "/"+ns+"/") && strings.Contains(q.URI, "/configmaps"):
			if objects++; q.Impersonated == nil && !strings.Contains(q.URI, "/configmaps?") || q.Impersonated != nil && q.Impersonated.Name != user {
				t.Errorf("not as %s: %s %s", user, q.Verb, q.URI)
			}
		case strings.Contains(q.URI, owner(ns).Key()) && strings.Contains(q.URI, plan.System):
			if records++; q.Impersonated != nil {
				t.Errorf("as %s: %s %s", q.Impersonated.Name, q.Verb, q.URI)
			}
		}
	}
	if objects < 6 || records < 6 {
		t.Errorf("only %d requests for objects and %d for records were seen", objects, records)
	}
}

// TestSecrets deploys Secrets, good and malformed, and holds that no value of theirs is
// in anything that is told, written down or logged.
func TestSecrets(t *testing.T) {
	t.Parallel()
	const value = "qX7vR2mK9sT4wZ8nB3hL" // six characters in a row of it are too many
	encoded := "cVg3dlIybUs5c1Q0d1o4bkIzaEw="
	for i, body := range []string{
		"stringData: {a: VALUE}", "data: {a: ENCODED}", "data: {a: VALUE!}", "data: {a: [VALUE]}", "stringData: {a: {b: VALUE}}", "stringData: VALUE",
		"data: [VALUE]", "strngData: {a: VALUE}", "stringData: {a: b}\nVALUE: c", "type: VALUE\nstringData: {a: b}", "immutable: VALUE", "stringData: {'VALUE VALUE': 1}",
		"type: kubernetes.io/tls\nstringData: {tls.crt: VALUE, tls.key: VALUE}", "type: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: VALUE}",
		"data: {a: null}\nstringData: {b: null}",
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			ns := fmt.Sprintf("secrets-%d", i)
			namespace(t, ns)
			object := fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: %s}\n", ns) + strings.NewReplacer("VALUE", value, "ENCODED", encoded).Replace(body) + "\n"
			steps := &journal{}
			a := applier(connect(t, ""))
			a.Journal = steps
			p := planOf(t, a.Cluster, ns, object)
			r, err := a.Run(t.Context(), jobOf(t, ns, object, p))
			var told strings.Builder
			for _, c := range append(p.Changes, r.Plan.Changes...) {
				fmt.Fprintln(&told, c.Class, c.Reason, c.Warnings, c.Risks, c.TakenFrom, c.Effects)
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				fmt.Fprintln(&told, e)
			}
			fmt.Fprintln(&told, r.Outcomes, p.Digest)
			if err := json.NewEncoder(&told).Encode(steps.steps); err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{value, encoded} {
				for at := range len(secret) - 6 {
					if part := secret[at : at+6]; strings.Contains(told.String(), part) {
						t.Fatalf("%q tells %q of its value:\n%s", body, part, told.String())
					}
				}
			}
			if p.Changes[0].Class == plan.Create {
				if again := planOf(t, a.Cluster, ns, object); err != nil || again.Count()[plan.NoOp] != 1 {
					t.Errorf("applied, it is planned as %v; the apply ended with %v", classes(again), err)
				}
			} else if p.Changes[0].Class != plan.Invalid || p.Changes[0].Reason == "" {
				t.Errorf("it is %s: %s", p.Changes[0].Class, p.Changes[0].Reason)
			}
		})
	}
}

// TestJobRunsOnce holds that a Job that removes itself once it has run is not run again
// by the next apply.
func TestJobRunsOnce(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "job-once")
	job := strings.ReplaceAll(`
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, namespace: NS}
spec:
  ttlSecondsAfterFinished: 0
  template: {spec: {restartPolicy: Never, containers: [{name: a, image: "registry.example/a:1"}]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c, namespace: NS}
`, "NS", ns)
	done(t, ns, job)
	playground.Kubectl(t, "", "wait", "--for=delete", "job/migrate", "-n", ns, "--timeout=30s")
	for range 2 { // what the inventory knows of it lasts
		p := planOf(t, connect(t, ""), ns, job)
		if diff := cmp.Diff([]string{"no-op ConfigMap job-once/c", "no-op batch/Job job-once/migrate"}, classes(p)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		done(t, ns, job)
	}
	p := planOf(t, connect(t, ""), ns, strings.Replace(job, "a:1", "a:2", 1))
	if diff := cmp.Diff([]string{"no-op ConfigMap job-once/c", "create batch/Job job-once/migrate"}, classes(p)); diff != "" {
		t.Errorf("another Job of that name (-want +got):\n%s", diff)
	}
}
