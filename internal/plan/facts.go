package plan

import (
	"encoding/json"

	"github.com/davitops/davit/internal/gitops"
)

// Inventory is what Davit has deployed of one target to one cluster.
type Inventory struct{ Objects []Entry }

// Entry is one object of an inventory. UID is empty if a deployment wrote the
// entry before the object and then ended; the mark on the object decides then.
type Entry struct {
	// Ran is, of a Job that removes itself, the hash of what was sent: a Job of that
	// hash has run, and is not run again because it is gone.
	Ran string
	Ref gitops.ObjectRef
	UID string
	// Version is the resource version that was looked at. It is of a moment, and no
	// inventory keeps it.
	Version string
}

// Facts are what a cluster holds of a target, and what it answers.
type Facts struct {
	// Inventory is nil if there is none: the target is not managed yet.
	Inventory *Inventory
	// Hidden says that whoever asked may not read the inventory, so that it is not
	// known what is to be deleted. Nobody who may not read it can apply anything.
	Hidden  bool
	Desired []Observation
	// Former are the objects of the inventory that are no longer desired.
	Former []Observation
}

// Observation is one object as a cluster has it. Live and After are what a server
// sent, with everything in it; they must not be shown.
type Observation struct {
	Desired                 // for a former object only Ref
	UID     string          // as the inventory has it
	Live    json.RawMessage // nil: there is none
	After   json.RawMessage // what a dry run made of it; nil: there was no dry run, or it was refused
	// Contested are the fields that another manager owns and that applying takes
	// over; After is what comes of taking them.
	Contested []Contested
	Refused   *Refusal
	Warnings  []string // what the server said besides
}

// Contested is a field that somebody else manages and that applying takes over.
type Contested struct{ Manager, Field string }

// Refusal is why a server would not take an object. Message is the server's, fit to
// be shown once it is masked.
type Refusal struct {
	Class   RefusalClass
	Message string
}

// RefusalClass is the class of a Refusal.
type RefusalClass string

// The classes of refusals.
const (
	Rejected  RefusalClass = "rejected"  // the object itself is at fault
	Forbidden RefusalClass = "forbidden" // the identity that plans may not do it, or an admission policy forbids it
	Absent    RefusalClass = "absent"    // the namespace it would be in does not exist
	Busy      RefusalClass = "busy"      // the cluster is at fault: a webhook that doesn't answer, a server error
)
