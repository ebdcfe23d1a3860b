package watch

import (
	"cmp"
	"context"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/cache"

	"github.com/davitops/davit/internal/cluster/health"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/verdict"
)

// A workload whose pods are in trouble is looked at when one of them changes, though not
// at once after the last look, and after a time besides: some trouble becomes final when
// nothing changes.
const (
	lookGap   = 500 * time.Millisecond
	lookAgain = 5 * time.Second
)

// doubt watches the pods of a workload from when it is first seen in progress until it is
// settled.
func (r *room) doubt(ctx context.Context, i int, object *unstructured.Unstructured) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ref := r.expected[i].Ref
	if r.doubts[i] != nil || r.current[i].State != verdict.InProgress || !health.RunsPods(ref) {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	r.doubts[i] = cancel
	troubled := make(chan struct{}, 1)
	r.running.Go(func() { r.watchPods(ctx, object, troubled) })
	r.running.Go(func() { r.decide(ctx, i, troubled) })
}

// decide fails a workload once trouble of its newest revision is final. What can't be seen
// is no evidence.
func (r *room) decide(ctx context.Context, i int, troubled <-chan struct{}) {
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-troubled:
		case <-again:
		}
		workloads, err := health.Look(ctx, r.watcher.Cluster, []gitops.ObjectRef{r.expected[i].Ref})
		if err == nil && len(workloads) == 1 {
			if t, final := r.final(workloads[0]); final {
				r.set(i, verdict.Failing, said(t))
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookGap):
		}
		again = time.After(lookAgain - lookGap)
	}
}

// final is the worst trouble of a workload that waiting does not end, if there is one.
func (r *room) final(w verdict.Workload) (verdict.Trouble, bool) {
	troubles := w.Troubles(r.now())
	at := slices.IndexFunc(troubles, func(t verdict.Trouble) bool { return t.Final })
	if at < 0 {
		return verdict.Trouble{}, false
	}
	return troubles[at], true
}

func (r *room) now() time.Time {
	if r.watcher.Now == nil {
		return time.Now()
	}
	return r.watcher.Now()
}

// said is a trouble, for people.
func said(t verdict.Trouble) string {
	message := cmp.Or(t.Message, "no reason is given")
	switch {
	case t.Container != "":
		return "container " + t.Container + " of pod " + t.Pod + ": " + t.Reason + ": " + message
	case t.Pod != "":
		return "pod " + t.Pod + ": " + t.Reason + ": " + message
	}
	return message
}

// watchPods tells of each change of a pod, of whichever revision, that is in trouble. It
// ends with ctx, or if pods may not be watched.
func (r *room) watchPods(ctx context.Context, object *unstructured.Unstructured, troubled chan<- struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	selected, err := health.Selecting(object)
	if err != nil {
		return
	}
	pods, _, err := r.watcher.Cluster.Objects(ctx, gitops.ObjectRef{Version: "v1", Kind: "Pod", Namespace: object.GetNamespace()})
	if err != nil {
		return
	}
	heard := func(_ context.Context, err error) {
		if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
			cancel()
		}
	}
	seen := sink(func(pod *unstructured.Unstructured) {
		told, err := health.PodOf(pod)
		if err != nil || len(verdict.Workload{Pods: []verdict.Pod{told}}.Troubles(r.now())) == 0 {
			return
		}
		select {
		case troubled <- struct{}{}:
		default: // it will be looked at anyway
		}
	})
	cache.NewReflectorWithOptions(listing(pods, selected, heard), &unstructured.Unstructured{}, seen, cache.ReflectorOptions{}).RunWithContext(ctx)
}

// sink is a store that keeps nothing, and hands on every object that is or becomes so.
type sink func(*unstructured.Unstructured)

func (s sink) Add(object any) error {
	if object, is := object.(*unstructured.Unstructured); is {
		s(object)
	}
	return nil
}

func (s sink) Update(object any) error { return s.Add(object) }

func (s sink) Replace(objects []any, _ string) error {
	for _, object := range objects {
		_ = s.Add(object)
	}
	return nil
}

func (s sink) Delete(any) error { return nil }

func (s sink) Resync() error { return nil }
