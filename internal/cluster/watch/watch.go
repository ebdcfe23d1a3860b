// Package watch waits for objects of a cluster to come to what was asked of them, or
// to be gone. It watches, and looks again only at what is in trouble; what an object's
// status means is computed by health. An object has failed too as soon as the pods of its
// newest revision are in trouble that, as verdict has it, waiting does not end.
//
// It writes nothing, and it judges no deployment: an object that fails is reported,
// and what that means is for others.
package watch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/cluster/health"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/plan"
	"github.com/davitops/davit/internal/verdict"
)

// Expectation is one object and what is waited for: that it is as it was asked to
// be, at this generation or a later one, or that it is gone.
type Expectation struct {
	plan.Entry
	Generation int64
	Gone       bool
	// Last is the object as it was last seen, if it was: it may be gone before it is
	// watched.
	Last *unstructured.Unstructured
}

// Status is where one object stands.
type Status struct {
	Ref     gitops.ObjectRef
	State   verdict.State // Current, InProgress or Failing
	Message string        // why, for people; not masked
}

// Watcher waits for objects of one target.
type Watcher struct {
	Cluster *cluster.Connection
	Owner   plan.Owner
	// Changed, if not nil, is told each status that is new.
	Changed func(Status)
	// Now is the time that pods are judged at; nil means time.Now.
	Now func() time.Time
}

// company is how long others are waited for once an object has failed: what fails for the
// same reason is told together, and what needs the failed one never comes up.
const company = 15 * time.Second

// Wait returns when every object is where it was expected, or failed, a while after the
// first has failed, or when ctx ends; what is not there by then is InProgress. The
// statuses are in the order of what is expected. The error is the cluster's, if it
// forbids to watch, or can't be watched when ctx ends.
func (w Watcher) Wait(ctx context.Context, expected []Expectation) ([]Status, error) {
	outer := ctx
	ctx, cancel := context.WithCancel(ctx)
	r := room{
		watcher: w, expected: expected, current: make([]Status, len(expected)), seen: make([]bool, len(expected)), open: len(expected),
		settled: make(chan struct{}), failed: make(chan struct{}), forbidden: make(chan struct{}),
		doubts: map[int]context.CancelFunc{}, faults: map[gitops.ObjectRef]error{},
	}
	for i, e := range expected {
		r.current[i] = Status{Ref: e.Ref, State: verdict.InProgress, Message: "nothing is known yet"}
	}
	defer r.running.Wait()
	defer cancel()
	for place, there := range byPlace(expected) {
		if err := r.watch(ctx, place, there); err != nil {
			return r.statuses(), err
		}
	}
	if len(expected) == 0 {
		return nil, nil
	}
	return r.wait(outer)
}

func (r *room) wait(ctx context.Context) ([]Status, error) {
	failed, enough := r.failed, (<-chan time.Time)(nil)
	for {
		select {
		case <-r.settled:
			return r.statuses(), nil
		case <-failed:
			failed, enough = nil, time.After(company)
		case <-enough:
			return r.statuses(), nil
		case <-r.forbidden:
			return r.statuses(), r.fault()
		case <-ctx.Done():
			return r.statuses(), r.fault()
		}
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
	failed   chan struct{} // closed when something has failed

	forbidden chan struct{} // closed when a watch is forbidden

	mu       sync.Mutex
	seen     []bool // which objects the watch has shown: of these it shows the end too
	current  []Status
	open     int
	doubts   map[int]context.CancelFunc // ends doubting a workload that is in progress
	failing  bool                       // failed is closed
	faults   map[gitops.ObjectRef]error // by place: why it can't be watched at the moment
	hopeless bool                       // forbidden is closed
}

// watch starts the watch of one place.
func (r *room) watch(ctx context.Context, place gitops.ObjectRef, there []int) error {
	objects, served, err := r.watcher.Cluster.Objects(ctx, place)
	if err != nil {
		return err
	}
	if !served {
		r.vanished(there)
		return nil
	}
	heard := func(ctx context.Context, err error) { r.heard(ctx, place, there, err) }
	ours := metav1.ListOptions{LabelSelector: plan.TargetLabel + "=" + r.watcher.Owner.Key()}
	informer := cache.NewSharedIndexInformer(listing(objects, ours, heard), &unstructured.Unstructured{}, 0, nil)
	quiet := func(context.Context, *cache.Reflector, error) {} // heard is told
	if err := informer.SetWatchErrorHandlerWithContext(quiet); err != nil {
		return fmt.Errorf("watch %s: %w", place.Kind, err)
	}
	byName := map[string]int{}
	for _, i := range there {
		byName[r.expected[i].Ref.Name] = i
	}
	registration, err := informer.AddEventHandler(r.handler(ctx, byName))
	if err != nil {
		return fmt.Errorf("watch %s: %w", place.Kind, err)
	}
	r.running.Go(func() { informer.RunWithContext(ctx) })
	r.running.Go(func() {
		if !cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
			return
		}
		for name, i := range byName {
			if _, found, _ := informer.GetStore().GetByKey(key(place.Namespace, name)); !found {
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

// listing is how the objects that are selected are listed and watched. heard is told how
// each request went.
func listing(objects dynamic.ResourceInterface, selected metav1.ListOptions, heard func(context.Context, error)) *cache.ListWatch {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector, o.FieldSelector = selected.LabelSelector, selected.FieldSelector
			o.ResourceVersion, o.ResourceVersionMatch = "", "" // no older list than what was written
			list, err := objects.List(ctx, o)
			heard(ctx, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
			o.LabelSelector, o.FieldSelector = selected.LabelSelector, selected.FieldSelector
			events, err := objects.Watch(ctx, o)
			heard(ctx, err)
			return events, err
		},
	}
}

// heard takes in how a request went. What is forbidden stays so; anything else may
// pass, and is tried again.
func (r *room) heard(ctx context.Context, place gitops.ObjectRef, there []int, err error) {
	if ctx.Err() != nil {
		return
	}
	if apierrors.IsNotFound(err) {
		r.vanished(there)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		delete(r.faults, place)
		return
	}
	before := r.hopeless
	r.faults[place] = r.watcher.Cluster.Fault(ctx, "watch objects of kind "+place.Kind, err)
	r.hopeless = r.hopeless || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err)
	if r.hopeless && !before {
		close(r.forbidden)
	}
}

// vanished takes in that a kind is not served any more, and so none of its objects is.
func (r *room) vanished(there []int) {
	for _, i := range there {
		if r.expected[i].Gone {
			r.set(i, verdict.Current, "it is gone")
		}
	}
}

func (r *room) handler(ctx context.Context, byName map[string]int) cache.ResourceEventHandler {
	seen := func(v any) {
		object, is := v.(*unstructured.Unstructured)
		if !is {
			return
		}
		if i, wanted := byName[object.GetName()]; wanted {
			r.saw(ctx, i, object)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    seen,
		UpdateFunc: func(_, now any) { seen(now) },
		DeleteFunc: func(last any) {
			unknown, missed := last.(cache.DeletedFinalStateUnknown)
			if missed {
				last = unknown.Obj
			}
			object, is := last.(*unstructured.Unstructured)
			if !is {
				return
			}
			if i, wanted := byName[object.GetName()]; wanted {
				r.removed(i, object, !missed)
			}
		},
	}
}

// saw takes in one state of an object.
func (r *room) saw(ctx context.Context, i int, object *unstructured.Unstructured) {
	r.mu.Lock()
	r.seen[i] = true
	r.mu.Unlock()
	e := r.expected[i]
	same := e.UID == "" || string(object.GetUID()) == e.UID
	switch {
	case e.Gone && !same:
		r.set(i, verdict.Current, "it is gone")
	case e.Gone:
		r.set(i, verdict.InProgress, "it is being deleted"+waitingFor(object))
	case !same || object.GetGeneration() < e.Generation:
		// An older state than the one that is waited for.
	default:
		state, message := health.StateOf(object)
		r.set(i, state, message)
		r.doubt(ctx, i, object)
	}
}

// removed takes in that an object was deleted. final says that this is its last state.
func (r *room) removed(i int, last *unstructured.Unstructured, final bool) {
	switch e := r.expected[i]; {
	case e.Gone:
		r.set(i, verdict.Current, "it is gone")
	case e.UID != "" && last != nil && string(last.GetUID()) != e.UID:
	case finished(last, final):
		r.set(i, verdict.Current, "it is finished, and removed")
	default:
		r.set(i, verdict.Failing, "somebody deleted it, or took its label "+plan.TargetLabel+" off")
	}
}

// absent takes in that there is no such object. One that was there before the watch
// began was deleted since; any other is yet to come.
func (r *room) absent(i int) {
	r.mu.Lock()
	seen := r.seen[i]
	r.mu.Unlock()
	if seen {
		return // it was deleted just now, which the watch tells with its last state
	}
	if e := r.expected[i]; e.Gone || e.UID != "" {
		r.removed(i, e.Last, false)
	}
}

// set keeps a status, the last one that settles it for good.
func (r *room) set(i int, state verdict.State, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.current[i]
	if was.State != verdict.InProgress || was.State == state && was.Message == message {
		return
	}
	r.current[i] = Status{Ref: was.Ref, State: state, Message: message}
	if r.watcher.Changed != nil {
		r.watcher.Changed(r.current[i])
	}
	if state == verdict.InProgress {
		return
	}
	if sure, doubted := r.doubts[i]; doubted {
		sure()
	}
	if state == verdict.Failing && !r.failing {
		r.failing = true
		close(r.failed)
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

// fault is why some of the objects can't be watched.
func (r *room) fault() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(slices.Collect(maps.Values(r.faults))...)
}
