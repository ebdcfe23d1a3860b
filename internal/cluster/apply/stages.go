package apply

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/dynamic"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/cluster/watch"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/plan"
	"github.com/davitops/davit/internal/verdict"
)

// union writes down everything that may be in the cluster from now on: whatever
// happens next, what is not desired in the end can be found and pruned.
func (r *run) union(ctx context.Context) error {
	return r.note(ctx, Step{Action: ActInventory}, func() (string, error) {
		return "", r.lease.save(ctx, func(record *cluster.Record) {
			r.resumed = record.Deployed != nil && !record.Settled
			record.Deployed = &plan.Inventory{Objects: r.present(func(c plan.Change) bool { return c.Class != plan.Forget })}
			record.Revision, record.Settled, record.Removed = r.job.Revision, false, r.job.Removed
		})
	})
}

// present are the entries of the plan's objects that pass.
func (r *run) present(passes func(plan.Change) bool) []plan.Entry {
	entries := []plan.Entry{}
	for _, c := range r.plan.Changes {
		if !passes(c) {
			continue
		}
		e := c.Live
		if w, written := r.written[c.Ref]; written {
			e = w.Entry
			e.Ran = c.Live.Ran
		}
		entries = append(entries, e)
	}
	return entries
}

// stages applies what is to be written, and waits for it.
func (r *run) stages(ctx context.Context) (State, error) {
	stages := r.plan.Stages()
	for i, stage := range stages {
		if err := each(ctx, stage, r.apply); err != nil {
			return "", err
		}
		state := r.refused(stage)
		if state == Done && len(stages) > i+1 {
			var err error
			if state, err = r.await(ctx, stage, founds); err != nil {
				return "", err
			}
		}
		if state != Done {
			r.skip(stages[i+1:])
			return state, nil
		}
	}
	return r.await(ctx, r.plan.Changes, r.awaited)
}

// apply writes one object. Only errors that are not the object's end the stage.
func (r *run) apply(ctx context.Context, c plan.Change) error {
	return r.note(ctx, Step{Action: ActApply, Object: c.Ref, UID: c.Live.UID}, func() (string, error) {
		objects, err := r.served(ctx, c.Ref)
		if err != nil {
			return "", err
		}
		if objects == nil {
			r.set(Outcome{Ref: c.Ref, Class: c.Class, State: Refused, Message: "the cluster does not serve its kind"})
			return "", nil
		}
		written, err := r.write(ctx, objects, c)
		if written == nil {
			return "", err
		}
		r.set(Outcome{Ref: c.Ref, Class: c.Class, State: Applied})
		r.mu.Lock()
		defer r.mu.Unlock()
		r.written[c.Ref] = watch.Expectation{
			Entry: plan.Entry{Ref: c.Ref, UID: string(written.GetUID())}, Generation: written.GetGeneration(), Last: written,
		}
		return written.GetResourceVersion(), nil
	})
}

// refuse keeps that the cluster did not take an object; an error that would meet
// every object is returned.
func (r *run) refuse(ctx context.Context, c plan.Change, err error) error {
	refusal, err := r.Cluster.Refuse(ctx, c.Ref, err)
	if err != nil {
		return err
	}
	o := Outcome{Ref: c.Ref, Class: c.Class, State: Refused, Message: refusal.Message}
	if refusal.Class == plan.Busy {
		o.State = Failing
	}
	r.set(o)
	return nil
}

// settling is how long a kind that was just defined may take to be served, and
// how often that is looked at.
const (
	settling   = 30 * time.Second
	settlingBy = 200 * time.Millisecond
)

// served finds where an object's kind is served; one that the plan itself defines
// may need a moment. It is nil if that does not come.
func (r *run) served(ctx context.Context, ref gitops.ObjectRef) (dynamic.ResourceInterface, error) {
	deadline := time.Now().Add(settling)
	for {
		served, err := r.Cluster.Serves(ctx, ref)
		if err != nil {
			return nil, err
		}
		if served {
			objects, _, err := r.Cluster.Objects(ctx, ref)
			return objects, err
		}
		if time.Now().After(deadline) {
			return nil, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(settlingBy):
		}
		r.Cluster.Rediscover()
	}
}

// refused is the job's state after a stage: what is wrong with an object weighs more
// than what is wrong with the cluster.
func (r *run) refused(stage []plan.Change) State {
	state := Done
	for _, c := range stage {
		switch r.outcomes[c.Ref].State {
		case Refused:
			return Failed
		case Failing:
			state = Interrupted
		}
	}
	return state
}

func (r *run) skip(stages [][]plan.Change) {
	for _, stage := range stages {
		for _, c := range stage {
			r.set(Outcome{Ref: c.Ref, Class: c.Class, State: Skipped, Message: "not tried, because something before it failed"})
		}
	}
}

// founds reports whether objects of later stages can't even be written before this
// one is ready.
func founds(c plan.Change) bool {
	return c.Ref.Kind == "Namespace" && c.Ref.Group == "" || c.Ref.Kind == "CustomResourceDefinition"
}

// awaited reports whether the job waits for an object to be ready: for what it wrote,
// and after a job that did not come to its end for everything, since that one may
// have written it.
func (r *run) awaited(c plan.Change) bool {
	return c.Class.Writes() || r.resumed && c.Class == plan.NoOp && !c.Ran
}

// await waits for those of some changes that pass to be ready.
func (r *run) await(ctx context.Context, changes []plan.Change, passes func(plan.Change) bool) (State, error) {
	var expected []watch.Expectation
	var classes []plan.Class
	for _, c := range changes {
		if !passes(c) {
			continue
		}
		e, written := r.written[c.Ref]
		if !written {
			e = watch.Expectation{Entry: c.Live}
		}
		expected, classes = append(expected, e), append(classes, c.Class)
	}
	if len(expected) == 0 {
		return Done, nil
	}
	statuses, err := r.watch(ctx, expected)
	if err != nil {
		return "", err
	}
	state := Done
	for i, s := range statuses {
		o := Outcome{Ref: s.Ref, Class: classes[i], State: Ready, Message: s.Message}
		switch s.State {
		case verdict.Current:
		case verdict.Failing:
			o.State, state = NotReady, Failed
		default:
			o.State = NotReady
			if state == Done {
				state = TimedOut
			}
		}
		r.set(o)
	}
	return state, nil
}

// watch waits as long as objects may take.
func (r *run) watch(ctx context.Context, expected []watch.Expectation) ([]watch.Status, error) {
	wait := r.Wait
	if wait == 0 {
		wait = DefaultWait
	}
	bounded, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var statuses []watch.Status
	err := r.note(ctx, Step{Action: ActWait}, func() (string, error) {
		var err error
		statuses, err = watch.Watcher{Cluster: r.Cluster, Owner: r.job.Owner}.Wait(bounded, expected)
		return "", err
	})
	if err == nil {
		err = ctx.Err()
	}
	return statuses, err
}

// keep says of what was to be deleted that it was not.
func (r *run) keep(stages [][]plan.Change) {
	for _, stage := range stages {
		for _, c := range stage {
			r.set(Outcome{Ref: c.Ref, Class: c.Class, State: Kept, Message: "not deleted, because something before it failed"})
		}
	}
}

// prune deletes what is no longer desired. What hangs may need what would be deleted
// after it, so that nothing more is.
func (r *run) prune(ctx context.Context) (State, error) {
	stages := r.plan.Prunes()
	for i, stage := range stages {
		if err := each(ctx, stage, r.delete); err != nil {
			return "", err
		}
		state, err := r.awaitGone(ctx, stage)
		if err != nil {
			return "", err
		}
		if refused := r.refused(stage); refused != Done {
			state = refused
		}
		if state != Done {
			r.keep(stages[i+1:])
			return state, nil
		}
	}
	return Done, nil
}

// awaitGone waits for the objects of a stage that are being deleted to be gone.
func (r *run) awaitGone(ctx context.Context, stage []plan.Change) (State, error) {
	var expected []watch.Expectation
	for _, c := range stage {
		if r.outcomes[c.Ref].State == Deleting {
			expected = append(expected, watch.Expectation{Entry: c.Live, Gone: true})
		}
	}
	if len(expected) == 0 {
		return Done, nil
	}
	statuses, err := r.watch(ctx, expected)
	if err != nil {
		return "", err
	}
	state := Done
	for _, s := range statuses {
		o := Outcome{Ref: s.Ref, Class: plan.Delete, State: Deleting, Message: s.Message}
		if s.State == verdict.Current {
			o.State, r.gone[s.Ref] = Deleted, true
		} else {
			state = TimedOut
		}
		r.set(o)
	}
	return state, nil
}

// delete deletes one object, if it still is the one that was planned.
func (r *run) delete(ctx context.Context, c plan.Change) error {
	return r.note(ctx, Step{Action: ActDelete, Object: c.Ref, UID: c.Live.UID}, func() (string, error) {
		objects, served, err := r.Cluster.Objects(ctx, c.Ref)
		if err != nil {
			return "", err
		}
		if served {
			if asked, err := r.remove(ctx, objects, c); !asked {
				return "", err
			}
		}
		r.set(Outcome{Ref: c.Ref, Class: c.Class, State: Deleting})
		return "", nil
	})
}

// conclude writes the inventory of what exists now. It is settled even if a deletion
// hangs: that object stays in it, and is deleted by the next job.
func (r *run) conclude(ctx context.Context) error {
	return r.note(ctx, Step{Action: ActInventory}, func() (string, error) {
		err := r.lease.save(ctx, func(record *cluster.Record) {
			record.Settled = true
			record.Deployed = &plan.Inventory{Objects: r.present(func(c plan.Change) bool {
				return c.Class != plan.Forget && !r.gone[c.Ref]
			})}
		})
		if err != nil {
			err = fmt.Errorf("write down what is deployed: %w", err)
		}
		return "", err
	})
}
