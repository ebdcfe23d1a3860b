package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/davitops/davit/internal/cluster/apply"
	"github.com/davitops/davit/internal/cluster/health"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/plan"
	"github.com/davitops/davit/internal/rollout"
	"github.com/davitops/davit/internal/verdict"
)

// Place returns the cluster that a target goes to, or why it goes to none.
func (f *Fleet) Place(t gitops.Target) (cluster, refusal string) {
	name, problem := f.place(t)
	if problem != nil {
		return "", problem.Message
	}
	_, refusal = f.grant(name)
	return name, refusal
}

// Look returns the workloads of what is deployed of a target. Its error may wrap a
// *plan.Problem.
func (f *Fleet) Look(ctx context.Context, t gitops.Target) ([]verdict.Workload, error) {
	at, err := f.site(t)
	if err != nil {
		return nil, err
	}
	record, err := at.connection.Inventory(ctx, plan.OwnerOf(f.repo, t))
	if err != nil {
		return nil, unavailable(err)
	}
	var refs []gitops.ObjectRef
	for _, e := range record.Entries() {
		refs = append(refs, e.Ref)
	}
	workloads, err := health.Look(ctx, at.connection, refs)
	return workloads, unavailable(err)
}

// Explain adds what the cluster of a target has to say of troubles. It is not masked.
func (f *Fleet) Explain(ctx context.Context, t gitops.Target, troubles []verdict.Trouble) []verdict.Trouble {
	at, err := f.site(t)
	if err != nil {
		return troubles
	}
	return health.Explain(ctx, at.connection, troubles)
}

// Apply carries out an order, within the operator's rules. Its error may wrap a
// *plan.Problem, which says why the cluster can't be worked with, or be a *ledger.Later:
// somebody else is at work. Carried out again after any other error, it goes on.
func (f *Fleet) Apply(ctx context.Context, o rollout.Order, note func(context.Context, ledger.Note) error) (rollout.Attempt, error) {
	at, err := f.site(o.Target)
	if err != nil {
		return rollout.Attempt{}, err
	}
	applier := apply.Applier{Cluster: at.connection, Holder: f.Holder, Wait: f.Wait, Journal: &journal{note: note, masker: manifest.MaskerOf(o.Objects)}}
	result, err := applier.Run(ctx, apply.Job{
		Owner: plan.OwnerOf(f.repo, o.Target), Objects: o.Objects, Removed: o.Removed, Revision: o.Revision,
		Shown: o.Shown, History: o.History, Key: f.key, Scope: at.scope,
	})
	var uncovered *apply.Uncovered
	var stopped *apply.Stopped
	var held *apply.Held
	switch {
	case errors.As(err, &uncovered):
		return rollout.Attempt{Ending: rollout.Uncovered, Plan: uncovered.Plan}, nil
	case errors.As(err, &stopped):
		return rollout.Attempt{Ending: ending(*stopped), Plan: stopped.Plan, Why: reasons(*stopped)}, nil
	case errors.As(err, &held):
		return rollout.Attempt{}, &ledger.Later{Until: held.Until, Err: err}
	case err != nil:
		return rollout.Attempt{Plan: result.Plan}, unavailable(err)
	}
	return attempt(result), nil
}

// ending is how an order ended with objects that can't be applied: what the change itself
// is at fault for weighs more.
func ending(s apply.Stopped) rollout.Ending {
	for _, c := range s.Changes {
		if c.Class == plan.Invalid {
			return rollout.Refused
		}
	}
	return rollout.Blocked
}

// maxReasons is how many objects are named in a sentence.
const maxReasons = 3

func reasons(s apply.Stopped) string {
	var parts []string
	for _, c := range s.Changes[:min(len(s.Changes), maxReasons)] {
		parts = append(parts, fmt.Sprintf("%s is %s: %s", c.Ref, c.Class, c.Reason))
	}
	return join(parts, len(s.Changes))
}

func join(parts []string, all int) string {
	text := strings.Join(parts, "; ")
	if more := all - len(parts); more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// attempt is a result in words for people.
func attempt(r apply.Result) rollout.Attempt {
	a := rollout.Attempt{Ending: rollout.Done, Plan: r.Plan}
	switch r.State {
	case apply.Done:
	case apply.Interrupted:
		a.Ending, a.Why = rollout.Unavailable, told(r, apply.Failing)
	case apply.TimedOut:
		a.Ending, a.Why = rollout.Late, told(r, apply.NotReady, apply.Deleting)
	case apply.Failed:
		if a.Ending, a.Why = rollout.Refused, told(r, apply.Refused); a.Why == "" {
			a.Ending, a.Why = rollout.Unready, told(r, apply.NotReady)
		}
	}
	return a
}

// told says what became of the objects that are in one of some states.
func told(r apply.Result, states ...apply.ObjectState) string {
	var parts []string
	all := 0
	for _, o := range r.Outcomes {
		for _, state := range states {
			if o.State != state {
				continue
			}
			if all++; len(parts) < maxReasons {
				parts = append(parts, fmt.Sprintf("%s is %s: %s", o.Ref, o.State, o.Message))
			}
		}
	}
	return join(parts, all)
}

// journal keeps the steps of an apply as notes.
type journal struct {
	note func(context.Context, ledger.Note) error

	mu     sync.Mutex
	masker *manifest.Masker
}

// Note implements apply.Journal.
func (j *journal) Note(ctx context.Context, s apply.Step) error {
	j.mu.Lock()
	said := j.masker.Said(s.Error)
	j.mu.Unlock()
	return j.note(ctx, ledger.Note{
		Action: string(s.Action), Object: s.Object, UID: s.UID, Fence: s.Fence, Done: s.Done, Version: s.Version, Error: said,
	})
}
