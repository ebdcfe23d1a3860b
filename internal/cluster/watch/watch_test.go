package watch_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/cluster/clustertest"
	"github.com/davitops/davit/internal/cluster/watch"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/plan"
	"github.com/davitops/davit/internal/verdict"
)

var playground clustertest.Playground

func TestMain(m *testing.M) { os.Exit(clustertest.Main(m, &playground, 1)) }

var owner = plan.Owner{Repo: gitops.Repo{Forge: "github", Path: "acme/gitops"}, Path: "apps/web"}

func connect(t testing.TB, as string) *cluster.Connection {
	t.Helper()
	c, err := cluster.Connect(cluster.Options{Name: "cluster-1", Kubeconfig: playground.Kubeconfig, Context: "cluster-1", As: as})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// place is one object in a namespace of its own, and where it is read and written.
type place struct {
	dynamic.ResourceInterface
	name string
	made *unstructured.Unstructured
}

// deploy makes an object with the owner's label, in a new namespace.
func deploy(t *testing.T, object string) place {
	t.Helper()
	namespace := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	playground.Kubectl(t, "", "create", "namespace", namespace)
	o := clustertest.Objects(t, object)[0]
	o.Ref.Namespace = namespace
	objects, _, err := connect(t, "").Objects(t.Context(), o.Ref)
	if err != nil {
		t.Fatal(err)
	}
	body := &unstructured.Unstructured{}
	if err := body.UnmarshalJSON(o.JSON); err != nil {
		t.Fatal(err)
	}
	body.SetLabels(map[string]string{plan.TargetLabel: owner.Key()})
	made, err := objects.Create(t.Context(), body, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return place{ResourceInterface: objects, name: o.Ref.Name, made: made}
}

func (p place) expectation() watch.Expectation {
	kind := p.made.GroupVersionKind()
	ref := gitops.ObjectRef{Group: kind.Group, Version: kind.Version, Kind: kind.Kind, Namespace: p.made.GetNamespace(), Name: p.name}
	return watch.Expectation{Entry: plan.Entry{Ref: ref, UID: string(p.made.GetUID())}, Generation: p.made.GetGeneration(), Last: p.made}
}

func (p place) gone() watch.Expectation {
	e := p.expectation()
	e.Gone = true
	return e
}

func (p place) remove(t *testing.T) {
	t.Helper()
	background := metav1.DeletePropagationBackground
	if err := p.Delete(t.Context(), p.name, metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		t.Error(err)
	}
}

func (p place) patch(t *testing.T, with string, subresource ...string) {
	t.Helper()
	if _, err := p.Patch(t.Context(), p.name, types.MergePatchType, []byte(with), metav1.PatchOptions{}, subresource...); err != nil {
		t.Error(err)
	}
}

// wait waits for one expectation. act is run when the object was first seen, or at once
// if nothing is ever seen of it.
func wait(t *testing.T, limit time.Duration, e watch.Expectation, act func()) watch.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	seen := make(chan struct{}, 1)
	w := watch.Watcher{Cluster: connect(t, ""), Owner: owner, Changed: func(watch.Status) {
		select {
		case seen <- struct{}{}:
		default:
		}
	}}
	if act != nil {
		finished := make(chan struct{})
		defer func() { <-finished }()
		go func() {
			defer close(finished)
			select {
			case <-seen:
				act()
			case <-ctx.Done():
				t.Error("nothing was ever seen of it")
			}
		}()
	}
	statuses, err := w.Wait(ctx, []watch.Expectation{e})
	if err != nil {
		t.Fatal(err)
	}
	return statuses[0]
}

const (
	config     = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}"
	deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, davit.dev/fail: ""}}
    spec: {containers: [{name: web, image: "registry.example/web:1"}]}
`
	job = `
apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {davit.dev/fail: ""}}
    spec: {restartPolicy: Never, containers: [{name: a, image: "registry.example/a:1"}]}
`
)

var (
	stateful = strings.NewReplacer("kind: Deployment", "kind: StatefulSet", "spec:\n  selector", "spec:\n  serviceName: web\n  selector").Replace(deployment)
	slow     = strings.NewReplacer(`davit.dev/fail: ""`, "davit.dev/fail: unready").Replace
	failing  = strings.NewReplacer(`davit.dev/fail: ""`, "davit.dev/fail: crash").Replace
)

// never is a Job that no node takes, and so runs until somebody ends it.
var never = strings.Replace(job, "restartPolicy: Never", "nodeSelector: {none: such}, restartPolicy: Never", 1)

// TestWait waits for one object a row, and lets something happen to it meanwhile.
func TestWait(t *testing.T) {
	t.Parallel()
	const long, short = 60 * time.Second, 1500 * time.Millisecond
	for _, row := range []struct {
		name, object string
		limit        time.Duration
		act          func(t *testing.T, p place) // once it was seen
		want         verdict.State
		saying       string
	}{
		{"config", config, long, nil, verdict.Current, ""},
		{"deployment", deployment, long, nil, verdict.Current, ""},
		{"deployment that is not ready", slow(deployment), short, nil, verdict.InProgress, "0/1"},
		{"deployment that is paused", strings.Replace(slow(deployment), "spec:\n", "spec:\n  paused: true\n", 1), long, nil, verdict.Current, "paused"},
		{
			"deployment that is paused then", slow(deployment), long,
			func(t *testing.T, p place) { p.patch(t, `{"spec":{"paused":true}}`) }, verdict.Current, "paused",
		},
		{"stateful set", stateful, long, nil, verdict.Current, ""},
		{"job", job, long, nil, verdict.Current, ""},
		{"job that fails", failing(job), long, nil, verdict.Failing, "Failed"},
		{"job that runs", never, short, nil, verdict.InProgress, "runs"},
		{"job that is suspended", strings.Replace(never, "spec:\n", "spec:\n  suspend: true\n", 1), long, nil, verdict.Current, "suspended"},
		{"job that vanishes", strings.Replace(job, "spec:\n", "spec:\n  ttlSecondsAfterFinished: 0\n", 1), long, nil, verdict.Current, ""},
		{
			"job that somebody deletes", strings.Replace(never, "spec:\n", "spec:\n  ttlSecondsAfterFinished: 0\n", 1), long,
			func(t *testing.T, p place) { p.remove(t) }, verdict.Failing, "somebody deleted it",
		},
		{"deployment that somebody deletes", slow(deployment), long, func(t *testing.T, p place) { p.remove(t) }, verdict.Failing, "somebody deleted it"},
		{
			"deployment that somebody makes anew", slow(deployment), long, func(t *testing.T, p place) {
				p.remove(t)
				anew := p.made.DeepCopy()
				anew.SetResourceVersion("")
				if _, err := p.Create(t.Context(), anew, metav1.CreateOptions{}); err != nil {
					t.Error(err)
				}
			}, verdict.Failing, "somebody deleted it",
		},
		{"deployment without its label", slow(deployment), long, func(t *testing.T, p place) {
			p.patch(t, `{"metadata":{"labels":{"davit.dev/target":null}}}`)
		}, verdict.Failing, "took its label"},
		{"volume that nobody uses", "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: v}, spec: {storageClassName: none, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}", long, nil, verdict.Current, "not bound yet"},
	} {
		t.Run(strings.ReplaceAll(row.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			p := deploy(t, row.object)
			var act func()
			if row.act != nil {
				act = func() { row.act(t, p) }
			}
			if s := wait(t, row.limit, p.expectation(), act); s.State != row.want || !strings.Contains(s.Message, row.saying) {
				t.Errorf("it is %s: %s", s.State, s.Message)
			}
		})
	}
}

// TestGone waits for objects to be gone.
func TestGone(t *testing.T) {
	t.Parallel()
	held := "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, finalizers: [acme.example/hold]}}"
	for _, row := range []struct {
		name, object string
		remove       bool // before it is watched
		anew         bool // and made again
		act          func(t *testing.T, p place)
		want         verdict.State
		saying       string
	}{
		{name: "gone already", object: config, remove: true, want: verdict.Current, saying: "gone"},
		{name: "another of its name", object: config, remove: true, anew: true, want: verdict.Current, saying: "gone"},
		{name: "going", object: held, remove: true, act: func(t *testing.T, p place) { p.patch(t, `{"metadata":{"finalizers":null}}`) }, want: verdict.Current, saying: "gone"},
		{name: "held", object: held, remove: true, want: verdict.InProgress, saying: "waits for acme.example/hold"},
		{name: "there", object: config, act: func(t *testing.T, p place) { p.remove(t) }, want: verdict.Current, saying: "gone"},
	} {
		t.Run(strings.ReplaceAll(row.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			p := deploy(t, row.object)
			if row.remove {
				p.remove(t)
			}
			if row.anew {
				anew := p.made.DeepCopy()
				anew.SetResourceVersion("")
				if _, err := p.Create(t.Context(), anew, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			limit := 30 * time.Second
			if row.want == verdict.InProgress {
				limit = time.Second
			}
			var act func()
			if row.act != nil {
				act = func() { row.act(t, p) }
			}
			if s := wait(t, limit, p.gone(), act); s.State != row.want || !strings.Contains(s.Message, row.saying) {
				t.Errorf("it is %s: %s", s.State, s.Message)
			}
		})
	}
}

// TestGoneBefore waits for objects that were deleted before they were watched.
func TestGoneBefore(t *testing.T) {
	t.Parallel()
	expires := strings.Replace(never, "spec:\n", "spec:\n  ttlSecondsAfterFinished: 0\n", 1)
	for name, row := range map[string]struct {
		object string
		want   verdict.State
	}{"config": {config, verdict.Failing}, "job": {never, verdict.Failing}, "job-that-expires": {expires, verdict.Current}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := deploy(t, row.object)
			p.remove(t)
			if s := wait(t, 30*time.Second, p.expectation(), nil); s.State != row.want {
				t.Errorf("it is %s: %s", s.State, s.Message)
			}
		})
	}
}

// TestGeneration holds that a state from before what is waited for settles nothing.
func TestGeneration(t *testing.T) {
	t.Parallel()
	p := deploy(t, strings.Replace(slow(deployment), "spec:\n", "spec:\n  paused: true\n", 1))
	e := p.expectation()
	e.Generation++
	if s := wait(t, time.Second, e, nil); s.State != verdict.InProgress {
		t.Errorf("a state of an earlier generation is taken for %s: %s", s.State, s.Message)
	}
	p.patch(t, `{"spec":{"replicas":2}}`)
	if s := wait(t, 30*time.Second, e, nil); s.State != verdict.Current {
		t.Errorf("it is %s: %s", s.State, s.Message)
	}
}

// TestForbidden holds that who may not watch learns it at once.
func TestForbidden(t *testing.T) {
	t.Parallel()
	p := deploy(t, config)
	statuses, err := watch.Watcher{Cluster: connect(t, "nobody"), Owner: owner}.Wait(t.Context(), []watch.Expectation{p.expectation()})
	var fault *cluster.Error
	if !errors.As(err, &fault) || fault.Class != cluster.Forbidden || !strings.Contains(fault.Message, "watch objects of kind ConfigMap") {
		t.Errorf("it ends with %v", err)
	}
	if len(statuses) != 1 || statuses[0].State != verdict.InProgress {
		t.Errorf("the statuses are %v", statuses)
	}
}

func TestNothingToWaitFor(t *testing.T) {
	t.Parallel()
	if statuses, err := (watch.Watcher{Cluster: connect(t, ""), Owner: owner}).Wait(t.Context(), nil); err != nil || len(statuses) > 0 {
		t.Errorf("it ends with %v, %v", statuses, err)
	}
	unknown := watch.Expectation{Entry: plan.Entry{Ref: gitops.ObjectRef{Group: "acme.example", Version: "v1", Kind: "Sail", Name: "s"}}, Gone: true}
	if s := wait(t, 30*time.Second, unknown, nil); s.State != verdict.Current {
		t.Errorf("an object of a kind that is not served is %s", s.State)
	}
}

// TestSeveral waits for objects of several kinds, of which one fails.
func TestSeveral(t *testing.T) {
	t.Parallel()
	var expected []watch.Expectation
	for i, object := range []string{config, deployment, failing(job)} {
		t.Run(fmt.Sprint(i), func(t *testing.T) { expected = append(expected, deploy(t, object).expectation()) })
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	statuses, err := watch.Watcher{Cluster: connect(t, ""), Owner: owner}.Wait(ctx, expected)
	var got []verdict.State
	for _, s := range statuses {
		got = append(got, s.State)
	}
	if diff := cmp.Diff([]verdict.State{verdict.Current, verdict.Current, verdict.Failing}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
