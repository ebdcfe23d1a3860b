package verdict

import (
	"fmt"
	"slices"
	"time"

	"github.com/davitops/davit/internal/gitops"
)

// Question is what a verdict rests on. Workloads are all of a target's, changed or not.
type Question struct {
	Changed []gitops.ObjectRef // what was written, and what runs by it
	Before  []Workload         // before anything was written
	Settled []Workload         // when everything was written, and ready
	Now     []Workload
	At      time.Time // of Now
	Until   time.Time // the end of the watch
}

// Ending is what a verdict comes to; the empty one means that it is too early.
type Ending string

// The endings.
const (
	Pending      Ending = ""
	Healthy      Ending = "healthy"
	Degraded     Ending = "degraded"     // and the change is to blame
	Inconclusive Ending = "inconclusive" // something is wrong, and other things with it that nobody changed
)

// Verdict is what became of a deployment, with the evidence.
type Verdict struct {
	Ending   Ending
	Troubles []Trouble
	Why      string // a sentence, where the troubles alone don't say it
}

// Judge looks at a deployment while it is watched, and at its end.
func Judge(q Question) Verdict {
	var blamed, others []Trouble
	var bystanders []Workload
	over, lasting := !q.At.Before(q.Until), !q.At.Before(q.Until.Add(recovering))
	unready := false
	for _, w := range q.Now {
		was, known := find(q.Before, w.Ref)
		settled, came := find(q.Settled, w.Ref)
		if known && was.unwell(q.At) && (!came || settled.unwell(q.At)) {
			continue // as it was
		}
		troubles := w.since(settled, q.At, lasting)
		unready = unready || len(troubles) == 0 && w.Ready < w.Wanted
		if q.changed(w.Ref) {
			blamed = append(blamed, troubles...)
			continue
		}
		if bystanders = append(bystanders, w); len(troubles) > 0 {
			others = append(others, troubles[0])
		}
	}
	switch {
	case len(blamed) > 0 && incident(len(others), len(bystanders)):
		return Verdict{Ending: Inconclusive, Troubles: slices.Concat(blamed, others), Why: fmt.Sprintf(
			"%d of %d workloads that this change does not touch fail too, so it may not be to blame", len(others), len(bystanders))}
	case len(blamed) > 0:
		return Verdict{Ending: Degraded, Troubles: blamed}
	case !over || unready && !lasting:
		return Verdict{}
	case len(others) > 0:
		return Verdict{Ending: Inconclusive, Troubles: others, Why: "what this change does not touch fails, and did not before"}
	}
	return Verdict{Ending: Healthy}
}

// recovering is how long pods that are not ready at the end of the watch have to become so: a
// pod may be moved, or a replica added, at any time.
const recovering = time.Minute

// incident reports whether so much fails that nobody changed that the cause is probably a
// common one: a node, a registry, a network. One alone may fail because of what was
// changed.
func incident(failing, all int) bool { return failing >= 2 && 2*failing >= all }

func (q Question) changed(ref gitops.ObjectRef) bool {
	return slices.ContainsFunc(q.Changed, func(c gitops.ObjectRef) bool { return c.Identity() == ref.Identity() })
}

func find(workloads []Workload, ref gitops.ObjectRef) (Workload, bool) {
	at := slices.IndexFunc(workloads, func(w Workload) bool { return w.Ref.Identity() == ref.Identity() })
	if at < 0 {
		return Workload{}, false
	}
	return workloads[at], true
}

// unwell reports whether a workload was not as it should be. One that was not there was
// not unwell.
func (w Workload) unwell(now time.Time) bool {
	return w.State != Absent && (w.State == Failing || w.Ready < w.Wanted || slices.ContainsFunc(w.Troubles(now), final))
}

func final(t Trouble) bool { return t.Final }

// since are the final troubles that a workload has, and what became worse since it had
// settled. In the end every pod must be ready.
func (w Workload) since(settled Workload, now time.Time, over bool) []Trouble {
	troubles := slices.DeleteFunc(w.Troubles(now), func(t Trouble) bool { return !final(t) })
	if len(troubles) > 0 {
		return troubles
	}
	for _, pod := range w.Pods {
		for _, c := range pod.Containers {
			before, known := settled.restarts(pod.Name, c.Name)
			if more := c.Restarts - before; known && more >= w.patience() {
				return []Trouble{{Ref: w.Ref, Pod: pod.Name, Container: c.Name, Reason: "Restarts",
					Message: fmt.Sprintf("it was restarted %d times while it was watched", more), Final: true}}
			}
		}
	}
	switch {
	case w.State == Absent && settled.State == Current && w.Ref.Kind == "Job": // it ended, and removed itself
	case w.State == Absent && settled.State != Absent && settled.State != "":
		return []Trouble{{Ref: w.Ref, Reason: "Deleted", Message: "somebody deleted it", Final: true}}
	case over && w.Ready < w.Wanted:
		return []Trouble{{Ref: w.Ref, Pod: w.worst(), Reason: "NotReady", Message: fmt.Sprintf("%d of %d pods are ready", w.Ready, w.Wanted), Final: true}}
	}
	return nil
}

// restarts are those that a container had, if that is known: not all pods of a workload
// are told of. One that was not there had none.
func (w Workload) restarts(pod, container string) (n int, known bool) {
	for _, p := range w.Pods {
		for _, c := range p.Containers {
			if p.Name == pod && c.Name == container {
				return c.Restarts, true
			}
		}
	}
	return 0, len(w.Pods) >= w.Wanted
}

// worst is the pod that is the least well, if any is not.
func (w Workload) worst() string {
	if len(w.Pods) == 0 || w.Pods[0].Ready {
		return ""
	}
	return w.Pods[0].Name
}
