// Package watch waits for objects of a cluster to come to what was asked of them, or
// to be gone. It watches and never polls; what an object's status means is computed
// by the rules of kstatus, with the exceptions in state.go.
//
// It writes nothing, and it judges no deployment: an object that fails is reported,
// and what that means is for others.
package watch

import (
	"context"
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/plan"
)

// Expectation is one object and what is waited for: that it is as it was asked to
// be, at this generation or a later one, or that it is gone.
type Expectation struct {
	plan.Entry
	Generation int64
	Gone       bool
}

// Status is where one object stands.
type Status struct {
	Ref     gitops.ObjectRef
	State   State
	Message string // why, for people; not masked
}

// Watcher waits for objects of one target.
type Watcher struct {
	Cluster *cluster.Connection
	Owner   plan.Owner
	// Changed, if not nil, is told each status that is new.
	Changed func(Status)
}

// Wait returns when every object is where it was expected, or failed, or when ctx
// ends; what is not there by then is InProgress. The error is the cluster's, if it
// let nobody watch.
func (w Watcher) Wait(ctx context.Context, expected []Expectation) ([]Status, error) {
	outer := ctx
	ctx, cancel := context.WithCancel(ctx)
	r := room{watcher: w, expected: expected, current: make([]Status, len(expected)), settled: make(chan struct{}), open: len(expected)}
	for i, e := range expected {
		r.current[i] = Status{Ref: e.Ref, State: InProgress, Message: "nothing is known yet"}
	}
	defer r.running.Wait()
	defer cancel()
	for _, places := range byPlace(expected) {
		if err := r.watch(ctx, places); err != nil {
			return r.statuses(), err
		}
	}
	if len(expected) == 0 {
		return nil, nil
	}
	select {
	case <-r.settled:
		return r.statuses(), nil
	case <-outer.Done():
		return r.statuses(), r.refused()
	}
}

// byPlace sorts what is expected by kind and namespace, which one watch covers.
func byPlace(expected []Expectation) map[gitops.ObjectRef][]int {
	places := map[gitops.ObjectRef][]int{}
	for i, e := range expected {
		place := e.Ref
		place.Name = ""
		places[place] = append(places[place], i)
	}
	return places
}

// room is one wait: what is expected, and what is known so far.
type room struct {
	watcher  Watcher
	expected []Expectation
	running  sync.WaitGroup
	settled  chan struct{} // closed when nothing is open

	mu      sync.Mutex
	current []Status
	open    int
	denied  error // why a watch can't be had
}

// watch starts the watch of one place.
func (r *room) watch(ctx context.Context, at []int) error {
	ref := r.expected[at[0]].Ref
	objects, served, err := r.watcher.Cluster.Objects(ctx, ref)
	if err != nil {
		return err
	}
	if !served {
		for _, i := range at {
			r.absent(i)
		}
		return nil
	}
	informer := cache.NewSharedIndexInformer(listing(objects, r.watcher.Owner), &unstructured.Unstructured{}, 0, nil)
	if err := informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) {
		r.deny(r.watcher.Cluster.Fault(ctx, "watch "+ref.Kind, err))
	}); err != nil {
		return fmt.Errorf("watch %s: %w", ref.Kind, err)
	}
	byName := map[string]int{}
	for _, i := range at {
		byName[r.expected[i].Ref.Name] = i
	}
	registration, err := informer.AddEventHandler(r.handler(byName))
	if err != nil {
		return fmt.Errorf("watch %s: %w", ref.Kind, err)
	}
	r.running.Go(func() { informer.RunWithContext(ctx) })
	r.running.Go(func() {
		if !cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
			return
		}
		for name, i := range byName {
			if _, there, _ := informer.GetStore().GetByKey(key(ref.Namespace, name)); !there {
				r.absent(i)
			}
		}
	})
	return nil
}

func key(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}

// listing is how the objects of one target are listed and watched.
func listing(objects dynamic.ResourceInterface, owner plan.Owner) *cache.ListWatch {
	selector := plan.TargetLabel + "=" + owner.Key()
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = selector
			return objects.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
			o.LabelSelector = selector
			return objects.Watch(ctx, o)
		},
	}
}

func (r *room) handler(byName map[string]int) cache.ResourceEventHandler {
	seen := func(v any) {
		object, is := v.(*unstructured.Unstructured)
		if !is {
			return
		}
		if i, wanted := byName[object.GetName()]; wanted {
			r.saw(i, object)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    seen,
		UpdateFunc: func(_, now any) { seen(now) },
		DeleteFunc: func(last any) {
			if unknown, is := last.(cache.DeletedFinalStateUnknown); is {
				last = unknown.Obj
			}
			object, is := last.(*unstructured.Unstructured)
			if !is {
				return
			}
			if i, wanted := byName[object.GetName()]; wanted {
				r.removed(i, object)
			}
		},
	}
}

// saw takes in one state of an object.
func (r *room) saw(i int, object *unstructured.Unstructured) {
	e := r.expected[i]
	same := e.UID == "" || string(object.GetUID()) == e.UID
	switch {
	case e.Gone && !same:
		r.set(i, Current, "it is gone")
	case e.Gone:
		r.set(i, InProgress, "it is being deleted"+waitingFor(object))
	case !same || object.GetGeneration() < e.Generation:
		// An older state than the one that is waited for.
	default:
		state, message := stateOf(object)
		r.set(i, state, message)
	}
}

// removed takes in that an object was deleted.
func (r *room) removed(i int, last *unstructured.Unstructured) {
	switch e := r.expected[i]; {
	case e.Gone:
		r.set(i, Current, "it is gone")
	case e.UID != "" && string(last.GetUID()) != e.UID:
	case finished(last):
		r.set(i, Current, "it is finished, and removed")
	default:
		r.set(i, Failed, "somebody deleted it")
	}
}

// absent takes in that there is no such object. One that is expected may be yet to
// come: a list can be older than what was written.
func (r *room) absent(i int) {
	if r.expected[i].Gone {
		r.set(i, Current, "it is gone")
	}
}

// set keeps a status, the last one that settles it for good.
func (r *room) set(i int, state State, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.current[i]
	if was.State != InProgress || was.State == state && was.Message == message {
		return
	}
	r.current[i] = Status{Ref: was.Ref, State: state, Message: message}
	if r.watcher.Changed != nil {
		r.watcher.Changed(r.current[i])
	}
	if state == InProgress {
		return
	}
	if r.open--; r.open == 0 {
		close(r.settled)
	}
}

func (r *room) statuses() []Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Status(nil), r.current...)
}

func (r *room) deny(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.denied = err
}

func (r *room) refused() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.denied
}
