package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/davitops/davit/internal/gitops"
)

// Class is what applying does to one object.
type Class string

// The classes.
const (
	Create   Class = "create"
	Update   Class = "update"
	Delete   Class = "delete"
	NoOp     Class = "no-op"
	Adopt    Class = "adopt"    // it is there, and nobody's so far
	Conflict Class = "conflict" // fields that somebody else manages are taken over
	Forget   Class = "forget"   // it is gone, or no longer ours, and only leaves the inventory
	Blocked  Class = "blocked"  // it may not be touched
	Invalid  Class = "invalid"  // the cluster would refuse it
)

// Writes reports whether applying an object of this class writes it.
func (c Class) Writes() bool {
	return c == Create || c == Update || c == Adopt || c == Conflict
}

// Stops reports whether an object of this class keeps the target from being applied.
func (c Class) Stops() bool { return c == Blocked || c == Invalid }

// Plan is what applying a target would do.
type Plan struct {
	Owner     Owner
	Unmanaged bool     // there is no inventory yet, and so nothing is deleted
	Hidden    bool     // there may be one, and what is deleted is not known
	Changes   []Change // of every object, no-ops included, sorted by object
	// Digest names the effects: equal digests, equal effects. It is hexadecimal.
	Digest string
}

// Change is what happens to one object. Reason says, in a sentence that is not
// masked yet, why it is blocked, invalid or forgotten, or what an update is about that
// changes no value.
type Change struct {
	Ref      gitops.ObjectRef
	Rendered gitops.ObjectRef // of a desired object, as it was rendered
	Class    Class
	Reason   string
	Risks    []Risk
	Effects  []Effect
	// Explained are those of the effects that git explains.
	Explained []Effect
	// Before and After are canonical JSON of the object as it is and as it will be,
	// in the fields that applying decides; they are not masked and must not be shown.
	Before, After json.RawMessage
	Others        int // fields that change besides, by defaults or webhooks
	TakenFrom     []Taken
	Warnings      []string
	Send          json.RawMessage // what is applied; nil if nothing is
	Live          Entry           // the object in the cluster; no UID if there is none
	Ran           bool            // it is a Job that has run and is gone; Live is what it was
}

// Question is what a plan is made of. Key makes the hashes of values in effects:
// whoever has it could guess values from a digest.
type Question struct {
	Owner Owner
	Facts Facts
	Scope Scope
	Key   []byte
	// Removed says that the target is no longer in the repository. Without it, a
	// target that has become empty deletes nothing: more often than not that is a
	// mistake.
	Removed bool
	History *History // nil: nothing is explained by git
}

// Make makes a plan. An error is a server's answer that makes no sense.
func Make(q Question) (Plan, error) {
	p := Plan{Owner: q.Owner, Unmanaged: q.Facts.Inventory == nil && !q.Facts.Hidden, Hidden: q.Facts.Hidden}
	live := map[string]bool{} // the desired objects' UIDs
	for _, o := range q.Facts.Desired {
		c, err := q.desired(o)
		if err != nil {
			return Plan{}, fmt.Errorf("plan %s: %w", o.Ref, err)
		}
		if c.Live.UID != "" && live[c.Live.UID] {
			c = Change{Ref: c.Ref, Rendered: c.Rendered, Live: c.Live, Class: Invalid, Reason: "it is there twice: once under another name of its kind"}
		}
		live[c.Live.UID] = true
		p.Changes = append(p.Changes, c)
	}
	for _, o := range q.Facts.Former {
		c, err := q.former(o, live)
		if err != nil {
			return Plan{}, fmt.Errorf("plan %s: %w", o.Ref, err)
		}
		p.Changes = append(p.Changes, c)
	}
	if err := keepFounds(p.Changes); err != nil {
		return Plan{}, err
	}
	slices.SortStableFunc(p.Changes, func(a, b Change) int { return a.Ref.Compare(b.Ref) })
	p.Digest = digest(p.Effects())
	return p, nil
}

// keepFounds blocks the deletion of a namespace, or of the definition of a kind, that
// objects which stay are in: they would go with it.
func keepFounds(changes []Change) error {
	within := map[gitops.ObjectRef]int{}
	for _, c := range changes {
		if c.Class != Delete && c.Class != Forget {
			within[gitops.ObjectRef{Namespace: c.Ref.Namespace}]++
			within[gitops.ObjectRef{Group: c.Ref.Group, Kind: c.Ref.Kind}]++
		}
	}
	for i := range changes {
		c := &changes[i]
		place, founds, err := founded(*c)
		if err != nil {
			return err
		}
		if stay := within[place]; c.Class == Delete && founds && stay > 0 {
			c.Class, c.Effects, c.Risks = Blocked, nil, nil
			c.Reason = fmt.Sprintf("objects of this target (%d) would go with it; remove them first, or keep it", stay)
		}
	}
	return nil
}

// founded is the namespace, or the kind, of the objects that can't be without an object.
func founded(c Change) (gitops.ObjectRef, bool, error) {
	switch groupKind(c.Ref) {
	case "Namespace":
		return gitops.ObjectRef{Namespace: c.Ref.Name}, true, nil
	case "apiextensions.k8s.io/CustomResourceDefinition":
		definition, err := decode(c.Before)
		spec := at(definition, "spec")
		return gitops.ObjectRef{Group: text(spec["group"]), Kind: text(at(spec, "names")["kind"])}, true, err
	}
	return gitops.ObjectRef{}, false, nil
}

// desired decides on an object that is to be.
func (q Question) desired(o Observation) (Change, error) {
	c := Change{Ref: o.Ref, Rendered: o.Rendered, Warnings: o.Warnings}
	live, err := decode(o.Live)
	if err != nil {
		return c, err
	}
	c.Live = Entry{Ref: o.Ref, UID: text(at(live, "metadata")["uid"]), Version: text(at(live, "metadata")["resourceVersion"])}
	desired, err := decode(o.JSON)
	if err != nil {
		return c, err
	}
	c.Live.Ran = runHash(o.Ref, desired, o.JSON)
	if c.Class, c.Reason, err = q.stopped(o, live); c.Class != "" || err != nil {
		return c, err
	}
	if live == nil && c.Live.Ran != "" {
		if e := q.known(o.Ref); e.UID != "" && e.Ran == c.Live.Ran {
			c.Class, c.Reason, c.Ran, c.Live = NoOp, "it has run, and removed itself", true, e
			return c, nil
		}
	}
	c.Send = o.JSON
	if live == nil {
		return q.create(c, o, desired), nil
	}
	after, err := decode(o.After)
	switch {
	case err != nil:
		return c, err
	case after == nil && o.Pending:
		return q.upgrade(c, o, live, desired), nil
	case after == nil:
		return c, errors.New("the object is there, and nothing is known of what becomes of it")
	}
	return q.update(c, o, states{live: live, after: after, desired: desired})
}

// runHash is what tells one run of a Job that removes itself from another; it is empty
// for everything else.
func runHash(ref gitops.ObjectRef, desired map[string]any, sent []byte) string {
	if groupKind(ref) != "batch/Job" || at(desired, "spec")["ttlSecondsAfterFinished"] == nil {
		return ""
	}
	sum := sha256.Sum256(sent)
	return hex.EncodeToString(sum[:])
}

// known is the inventory's entry of an object, if there is one.
func (q Question) known(ref gitops.ObjectRef) Entry {
	if q.Facts.Inventory != nil {
		for _, e := range q.Facts.Inventory.Objects {
			if e.Ref.Identity() == ref.Identity() {
				return e
			}
		}
	}
	return Entry{}
}

// stopped says why an object can't be applied.
func (q Question) stopped(o Observation, live map[string]any) (Class, string, error) {
	if o.Problem != "" {
		return Invalid, o.Problem, nil
	}
	if refusal := q.Scope.Refusal(o.Ref); refusal != "" {
		return Blocked, refusal, nil
	}
	if live != nil {
		if claimed, err := q.Owner.claimed(live); claimed != "" || err != nil {
			return Blocked, "it belongs to " + claimed, err
		}
		if at(live, "metadata")["deletionTimestamp"] != nil {
			return Blocked, "it is being deleted" + waitingFor(live) + "; it can be applied once it is gone", nil
		}
	}
	if o.Refused == nil || o.Refused.Class == Absent && q.brings(o.Ref.Namespace) {
		return "", "", nil
	}
	switch o.Refused.Class {
	case Absent:
		return Invalid, fmt.Sprintf("there is no namespace %s; add a Namespace object, or create it", o.Ref.Namespace), nil
	case Rejected:
		return Invalid, o.Refused.Message, nil
	}
	return Blocked, o.Refused.Message, nil
}

// waitingFor names what holds up a deletion.
func waitingFor(live map[string]any) string {
	finalizers, _ := at(live, "metadata")["finalizers"].([]any)
	if len(finalizers) == 0 {
		return ""
	}
	names := make([]string, len(finalizers))
	for i, f := range finalizers {
		names[i] = text(f)
	}
	return " (it waits for " + strings.Join(names, ", ") + ")"
}

// brings reports whether the plan itself creates a namespace.
func (q Question) brings(namespace string) bool {
	return slices.ContainsFunc(q.Facts.Desired, func(o Observation) bool {
		return o.Ref.Group == "" && o.Ref.Kind == "Namespace" && o.Ref.Name == namespace
	})
}

func (q Question) create(c Change, o Observation, desired map[string]any) Change {
	c.Class = Create
	c.Effects = []Effect{q.effect(c, "", o.JSON)}
	c.Explained = q.History.explains(q, c, o, desired, nil)
	unmark(desired)
	c.After = encode(desired)
	c.Risks = risksOf(c, nil)
	if o.After == nil {
		c.Risks = append(c.Risks, Unverified)
	}
	return c
}

// upgrade is an update to a version of a kind that the same plan brings. There is no
// dry run of it, so that the effect is the whole object.
func (q Question) upgrade(c Change, o Observation, live, desired map[string]any) Change {
	c.Class = Update
	if !q.Owner.owns(live) {
		c.Class = Adopt
	}
	c.Effects = []Effect{q.effect(c, "", o.JSON)}
	before := clean(live)
	unmark(before)
	unmark(desired)
	c.Before, c.After = encode(before), encode(desired)
	c.Risks = append(risksOf(c, nil), Unverified)
	return c
}

// states are an object's: as the cluster has it, as it will, and as it is sent.
type states struct{ live, after, desired map[string]any }

func (q Question) update(c Change, o Observation, s states) (Change, error) {
	live, after := s.live, s.after
	fields, err := fieldsOf(live, after)
	if err != nil {
		return c, err
	}
	var ours []field
	for _, f := range fields {
		if f.ours {
			ours = append(ours, f)
		}
	}
	moves, err := movesOf(live, after, ours)
	if err != nil {
		return c, err
	}
	c.Others = len(fields) - len(ours)
	c.TakenFrom = byManager(o.Contested)
	switch {
	case !q.Owner.owns(live):
		c.Class = Adopt
		c.Effects = []Effect{q.effect(c, "", o.JSON)}
	case len(o.Contested) > 0:
		c.Class = Conflict
	case len(ours)+len(moves) > 0:
		c.Class = Update
	default:
		c.Class, c.Send = NoOp, nil
		return c, nil
	}
	paths := map[string]fieldpath.Path{}
	for _, f := range ours {
		paths[f.spelled()] = f.path
		c.Effects = append(c.Effects, q.effect(c, f.spelled(), f.value()))
	}
	for _, m := range moves {
		paths[m.field] = m.path
		c.Effects = append(c.Effects, q.effect(c, m.field, []byte(m.to)))
	}
	c.Explained = q.History.explains(q, c, o, s.desired, paths)
	for _, conflict := range o.Contested {
		c.Effects = append(c.Effects, q.effect(c, conflict.Field, []byte("taken from "+conflict.Manager)))
	}
	before := clean(live)
	now := patched(before, ours)
	unmark(before)
	unmark(now)
	c.Before, c.After = encode(before), encode(now)
	if c.Class == Update && bytes.Equal(c.Before, c.After) {
		c.Reason = withoutValues(moves)
	}
	c.Risks = risksOf(c, ours)
	return c, nil
}

// withoutValues says what an update does that changes no value that is shown.
func withoutValues(moves []move) string {
	if len(moves) == 0 {
		return "Davit's marks are put back"
	}
	var parts []string
	for _, m := range moves {
		parts = append(parts, m.field+" "+m.to)
	}
	return "no value changes, only whose it is: " + strings.Join(parts, ", ")
}

// former decides on an object that is in the inventory and no longer desired.
func (q Question) former(o Observation, desired map[string]bool) (Change, error) {
	c := Change{Ref: o.Ref}
	live, err := decode(o.Live)
	if err != nil {
		return c, err
	}
	c.Live = Entry{Ref: o.Ref, UID: text(at(live, "metadata")["uid"]), Version: text(at(live, "metadata")["resourceVersion"])}
	switch {
	case q.Scope.Refusal(o.Ref) != "":
		c.Class, c.Reason = Blocked, q.Scope.Refusal(o.Ref)
		return c, nil
	case o.Refused != nil:
		c.Class, c.Reason = Blocked, o.Refused.Message
		return c, nil
	}
	reason, err := q.leaves(o, live, desired)
	switch {
	case err != nil:
		return c, err
	case reason != "":
		c.Class, c.Reason = Forget, reason
		return c, nil
	case len(q.Facts.Desired) == 0 && !q.Removed:
		c.Class, c.Reason = Blocked, "the target has become empty, which is more often a mistake than a wish; remove its directory to delete everything"
		return c, nil
	}
	c.Class = Delete
	c.Effects = []Effect{q.effect(c, "", []byte(c.Live.UID))}
	if q.History.takesAway(c.Ref) {
		c.Explained = c.Effects
	}
	before := clean(live)
	unmark(before)
	c.Before = encode(before)
	c.Risks = risksOf(c, nil)
	return c, nil
}

// leaves says why a former object only leaves the inventory; it is empty if the object
// is to be deleted.
func (q Question) leaves(o Observation, live map[string]any, desired map[string]bool) (string, error) {
	uid := text(at(live, "metadata")["uid"])
	switch {
	case live == nil:
		return "it is gone already", nil
	case desired[uid]:
		return "it is the same object under another name of its kind", nil
	case o.UID != "" && o.UID != uid || !q.Owner.mayDelete(live):
		return "it is no longer the object that was deployed", nil
	}
	claimed, err := q.Owner.claimed(live)
	switch {
	case err != nil:
		return "", err
	case claimed != "":
		return "it belongs to " + claimed + " by now", nil
	case q.Removed && holdsData(o.Ref):
		return "it holds data, and stays when its target is removed; delete it by hand if nobody needs it", nil
	}
	return "", nil
}
