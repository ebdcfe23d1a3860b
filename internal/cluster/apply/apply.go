// Package apply makes a cluster what a plan says. It plans anew, compares with what
// was shown, writes the union of old and new inventory before it touches anything,
// applies in the order in which objects need each other, waits, and prunes last.
//
// It never does what was not shown, and never prunes after anything went wrong. A lease
// on the inventory, with a number that grows with each holder, keeps others away; an
// object is written only in the version that was planned, and one that changed since is
// looked at again under the same lease, and left alone unless that makes no difference.
// Two processes of one installation are the one case it does not rule out: for a quarter
// of a lease, the elder may still write what the younger left as it was. Killed at any
// point, a job is simply run again; what is done already is then a no-op.
//
// Fields that kubectl wrote before a target was adopted are taken over only where
// the manifests name them; what kubectl alone had set stays.
package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/cluster/watch"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/plan"
)

// Job is what to apply, and what was shown of it.
type Job struct {
	Owner    plan.Owner
	Objects  []manifest.Object
	Scope    plan.Scope
	Removed  bool   // the target is gone from the repository: everything is deleted
	Revision string // the commit that Objects were rendered from
	// Shown are the effects that were approved, and Key is what they were hashed
	// with. Fewer effects than shown is fine, and so are those that History explains.
	Shown   []plan.Effect
	Key     []byte
	History *plan.History
}

// Step is one thing that is about to be done, or done, for the record.
type Step struct {
	Action Action           `json:"action"`
	Object gitops.ObjectRef `json:"object"` // zero for inventories
	UID    string           `json:"uid,omitempty"`
	Fence  int64            `json:"fence"`
	Done   bool             `json:"done"`            // false: it is about to be done
	Error  string           `json:"error,omitempty"` // why it was not, for the log
	// Version is the object's resource version after a write.
	Version string `json:"version,omitempty"`
}

// Action is what a step does.
type Action string

// The actions.
const (
	ActInventory Action = "inventory"
	ActApply     Action = "apply"
	ActDelete    Action = "delete"
	ActWait      Action = "wait"
)

// Journal keeps steps. It is called before and after each of them, from several
// goroutines; an error ends the job before the step is done.
type Journal interface {
	Note(ctx context.Context, s Step) error
}

// Applier applies targets to one cluster.
type Applier struct {
	Cluster *cluster.Connection
	Journal Journal
	// Holder names the installation. A job that finds the lease in the hands of its
	// own installation takes it up: that one was killed.
	Holder string
	Wait   time.Duration // for objects to become ready; zero means DefaultWait
	Lease  time.Duration // how long a lease is good; zero means DefaultLease, which all installations share
	// Progress, if not nil, is told of each object that got somewhere.
	Progress func(Outcome)
}

// DefaultWait is how long objects have to become ready.
const DefaultWait = 5 * time.Minute

// Result is what became of a job.
type Result struct {
	Plan     plan.Plan
	Outcomes []Outcome // of every object of the plan that was not left alone
	State    State
}

// State is how a job ended.
type State string

// The states of a job.
const (
	Done     State = "done"      // everything is as planned, and ready
	Failed   State = "failed"    // an object was refused, or does not come up; what came after was not done
	TimedOut State = "timed out" // something is not ready, or not gone, in time; what came after was not done
	// Interrupted says that the cluster was at fault, and the change was not: run again.
	Interrupted State = "interrupted"
)

// Outcome is what became of one object. Message is for people, and not masked.
type Outcome struct {
	Ref     gitops.ObjectRef
	Class   plan.Class
	State   ObjectState
	Message string
}

// ObjectState is where an object ended.
type ObjectState string

// The states of objects.
const (
	Applied  ObjectState = "applied"
	Ready    ObjectState = "ready"
	NotReady ObjectState = "not ready"
	Refused  ObjectState = "refused" // by the cluster, for what the object is
	Failing  ObjectState = "failing" // the cluster could not
	Skipped  ObjectState = "skipped" // something it may need failed
	Deleted  ObjectState = "deleted"
	Deleting ObjectState = "deleting" // it hangs on something; it stays in the inventory
	Kept     ObjectState = "kept"     // to be deleted, and not, because something failed
)

// Uncovered is the error of a job whose effects were not all shown. Nothing but the
// lease was written.
type Uncovered struct {
	Plan    plan.Plan
	Effects []plan.Effect
}

func (e *Uncovered) Error() string {
	return fmt.Sprintf("the cluster has changed: %d effects were not shown, the first on %s", len(e.Effects), e.Effects[0].Object)
}

// Stopped is the error of a job with objects that can't be applied. Nothing but the
// lease was written.
type Stopped struct {
	Plan    plan.Plan
	Changes []plan.Change
}

func (e *Stopped) Error() string {
	return fmt.Sprintf("%d objects can't be applied, the first is %s: %s", len(e.Changes), e.Changes[0].Ref, e.Changes[0].Reason)
}

// Run does a job. Errors, besides Uncovered, Stopped and Held, are ErrExpired, or those
// of a cluster or a journal, and the job can be run again. Of a cluster, ErrLost and
// ErrDeleted say what became of the lease.
func (a Applier) Run(asked context.Context, j Job) (Result, error) {
	lease, ctx, err := a.acquire(asked, j.Owner)
	if err != nil {
		return Result{}, err
	}
	run := &run{
		Applier: a, job: j, lease: lease,
		outcomes: map[gitops.ObjectRef]Outcome{}, gone: map[gitops.ObjectRef]bool{}, written: map[gitops.ObjectRef]watch.Expectation{},
	}
	result, err := run.do(ctx)
	if errors.Is(err, context.Canceled) && asked.Err() == nil {
		err = cmp.Or(context.Cause(ctx), err) // which says how the lease was lost
	}
	if released := lease.release(context.WithoutCancel(ctx)); err == nil {
		err = released
	}
	return result, err
}

// run is one job under way.
type run struct {
	Applier
	job     Job
	lease   *lease
	facts   plan.Facts // what the plan was made of
	plan    plan.Plan
	resumed bool // the last job of the target did not come to its end

	mu       sync.Mutex
	outcomes map[gitops.ObjectRef]Outcome
	gone     map[gitops.ObjectRef]bool // what was deleted, and is no more
	written  map[gitops.ObjectRef]watch.Expectation
}

func (r *run) do(ctx context.Context) (Result, error) {
	var err error
	r.facts, err = r.Cluster.Observe(ctx, cluster.Question{Owner: r.job.Owner, Objects: r.job.Objects, Scope: r.job.Scope})
	if err != nil {
		return Result{}, err
	}
	if r.plan, err = plan.Make(r.question(r.facts)); err != nil {
		return Result{}, err
	}
	if stopping := r.plan.Stopping(); len(stopping) > 0 {
		return Result{Plan: r.plan}, &Stopped{Plan: r.plan, Changes: stopping}
	}
	if uncovered := r.plan.Uncovered(r.job.Shown); len(uncovered) > 0 {
		return Result{Plan: r.plan}, &Uncovered{Plan: r.plan, Effects: uncovered}
	}
	if err := r.union(ctx); err != nil {
		return Result{Plan: r.plan}, err
	}
	state, err := r.stages(ctx)
	if err != nil {
		return r.result(Interrupted), err
	}
	if state != Done {
		r.keep(r.plan.Prunes())
		return r.result(state), nil
	}
	state, err = r.prune(ctx)
	if err == nil {
		err = r.conclude(ctx)
	}
	if err != nil {
		return r.result(Interrupted), err
	}
	return r.result(state), nil
}

// question is what a plan of the job is made of.
func (r *run) question(facts plan.Facts) plan.Question {
	return plan.Question{Owner: r.job.Owner, Facts: facts, Scope: r.job.Scope, Key: r.job.Key, Removed: r.job.Removed, History: r.job.History}
}

// note keeps the two steps around something that is done.
func (r *run) note(ctx context.Context, s Step, do func() (version string, err error)) error {
	if err := r.lease.check(); err != nil {
		return err
	}
	s.Fence = r.lease.fence
	if err := r.Journal.Note(ctx, s); err != nil {
		return fmt.Errorf("keep what is about to be done: %w", err)
	}
	version, err := "", r.lease.check() // a journal may take its time
	if err == nil {
		version, err = do()
	}
	s.Done, s.Version, s.Error = true, version, r.refusal(s.Object)
	if err != nil {
		s.Error = err.Error()
	}
	// What was done has to be kept even if the job is being cancelled.
	if kept := r.Journal.Note(context.WithoutCancel(ctx), s); kept != nil {
		return errors.Join(err, fmt.Errorf("keep what was done: %w", kept))
	}
	return err
}

// refusal is why the cluster did not do what was asked of it for an object.
func (r *run) refusal(ref gitops.ObjectRef) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o := r.outcomes[ref]; o.State == Refused || o.State == Failing {
		return o.Message
	}
	return ""
}

// set keeps what became of an object.
func (r *run) set(o Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcomes[o.Ref] = o
	if r.Progress != nil {
		r.Progress(o)
	}
}

func (r *run) result(state State) Result {
	result := Result{Plan: r.plan, State: state}
	for _, c := range r.plan.Changes {
		if o, any := r.outcomes[c.Ref]; any {
			result.Outcomes = append(result.Outcomes, o)
		}
	}
	return result
}

// each does something with the changes of a stage, several at a time.
func each(ctx context.Context, changes []plan.Change, do func(context.Context, plan.Change) error) error {
	const parallel = 8
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, c := range changes {
		group.Go(func() error { return do(ctx, c) })
	}
	return group.Wait()
}
