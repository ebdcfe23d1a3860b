package apply

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/plan"
)

// rounds are how often an object is looked at again because it changed before it was
// written. Controllers write statuses all the time; nobody else comes first so often.
const rounds = 5

// moved keeps that an object was left alone, because it is not what was planned.
func (r *run) moved(c plan.Change, how string) {
	r.set(Outcome{Ref: c.Ref, Class: c.Class, State: Failing, Message: how + "; plan again"})
}

// What is said of an object that was left alone.
const (
	changed = "it changed since it was planned"
	moving  = "it keeps changing"
)

// write applies an object over the version that was planned, or over a later one that
// makes no difference. It returns nothing if the object did not come to be written, which
// is kept; only errors that are not the object's are returned.
func (r *run) write(ctx context.Context, objects dynamic.ResourceInterface, c plan.Change) (*unstructured.Unstructured, error) {
	for range rounds {
		w := cluster.Write{Over: c.Live, New: c.Live.UID == "", Force: len(c.TakenFrom) > 0}
		written, err := cluster.Apply(ctx, objects, plan.Desired{Ref: c.Ref, JSON: c.Send}, w)
		switch {
		case err == nil:
			return written, nil
		case !cluster.Stale(err):
			return nil, r.refuse(ctx, c, err)
		}
		now, o, err := r.again(ctx, c)
		if now == nil || err != nil {
			return nil, err
		}
		if c = *now; c.Ran {
			r.set(Outcome{Ref: c.Ref, Class: c.Class, State: Ready, Message: c.Reason})
			return nil, nil
		}
		if c.Class == plan.NoOp { // the answer to a write of ours was lost
			live := &unstructured.Unstructured{}
			if err := live.UnmarshalJSON(o.Live); err != nil {
				return nil, fmt.Errorf("read what was written: %w", err)
			}
			return live, nil
		}
	}
	r.moved(c, moving)
	return nil, nil
}

// remove deletes an object in the version that was planned, or in a later one that makes
// no difference. One that is gone, or another by now, is none of ours any more. It reports
// false if the object did not come to be deleted, as write does.
func (r *run) remove(ctx context.Context, objects dynamic.ResourceInterface, c plan.Change) (bool, error) {
	for range rounds {
		err := cluster.Delete(ctx, objects, c.Live)
		switch {
		case err == nil:
			return true, nil
		case !cluster.Stale(err):
			return false, r.refuse(ctx, c, err)
		}
		now, _, err := r.again(ctx, c)
		switch {
		case now == nil || err != nil:
			return false, err
		case now.Live.UID != c.Live.UID:
			return true, nil
		case now.Class == plan.Forget:
			r.moved(c, changed+": "+now.Reason)
			return false, nil
		}
		c = *now
	}
	r.moved(c, moving)
	return false, nil
}

// again plans one object again that changed since it was planned. It is gone on with only
// under the same lease, and only if nothing comes of it that was not shown; otherwise there
// is no change, and that is kept.
func (r *run) again(ctx context.Context, c plan.Change) (*plan.Change, plan.Observation, error) {
	if err := r.lease.confirm(ctx); err != nil {
		return nil, plan.Observation{}, err
	}
	facts := r.facts
	facts.Desired, facts.Former = slices.Clone(facts.Desired), slices.Clone(facts.Former)
	var o *plan.Observation
	for _, list := range [][]plan.Observation{facts.Desired, facts.Former} {
		if i := slices.IndexFunc(list, func(o plan.Observation) bool { return o.Ref == c.Ref }); i >= 0 {
			o = &list[i]
		}
	}
	// An object whose kind the plan brings was shown as a whole, and stays so. One that is
	// new is not: it may be there by now, as it was to be.
	o.Pending = o.Pending && c.Live.UID != ""
	var err error
	if *o, err = r.Cluster.Again(ctx, *o, r.job.Scope); err != nil {
		return nil, *o, err
	}
	p, err := plan.Make(r.question(facts))
	if err != nil {
		return nil, *o, err
	}
	now := p.Changes[slices.IndexFunc(p.Changes, func(now plan.Change) bool { return now.Ref == c.Ref })]
	switch {
	case now.Class.Stops():
		r.moved(c, changed+": "+now.Reason)
		return nil, *o, nil
	case len(plan.Plan{Changes: []plan.Change{now}}.Uncovered(r.job.Shown)) > 0:
		r.moved(c, changed+", and applying it would do what was not shown")
		return nil, *o, nil
	}
	return &now, *o, nil
}
