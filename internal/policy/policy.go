// Package policy says what findings mean for a change: which are new, which
// were there before, which are gone, and whether the change may go on. It is
// values only; it knows no engine, judges no object and never reads a message
// to tell two findings apart.
package policy

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/davitops/davit/internal/gitops"
)

// Severity is how bad a finding is. The set is closed.
type Severity string

// The severities, worst first.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Info    Severity = "info"
)

// severities is the set, worst first.
var severities = []Severity{Error, Warning, Info}

// Valid reports whether the severity is one of the set.
func (s Severity) Valid() bool { return slices.Contains(severities, s) }

// rank is 0 for the worst; what is not of the set comes last.
func (s Severity) rank() int {
	if at := slices.Index(severities, s); at >= 0 {
		return at
	}
	return len(severities)
}

// State is what a change does to a finding. It is empty until Delta decides it.
type State string

// The states.
const (
	New      State = "new"      // head has it, base does not, or base has it less severe
	Existing State = "existing" // both have it
	Fixed    State = "fixed"    // base has it, head does not
)

// Finding is one thing that one rule of one engine holds against one object.
type Finding struct {
	Rule     string           `json:"rule"`
	Engine   string           `json:"engine"`
	Severity Severity         `json:"severity"`
	State    State            `json:"state,omitempty"`
	Object   gitops.ObjectRef `json:"object"`
	// Subject is where in the object, with list items named by key, as in
	// spec.template.spec.containers[name=web].image: a moved item is the same
	// finding. It is empty where the object as a whole is meant.
	Subject string `json:"subject,omitempty"`
	Message string `json:"message"`
	// File is relative to the repository's root and Line counts from 1; both are
	// zero where no file is known.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

// MarshalJSON prints the finding as other programs read it: the object in one
// string, the subject left out. It cannot be read back.
func (f Finding) MarshalJSON() ([]byte, error) {
	type fields Finding
	return json.Marshal(struct {
		fields
		Object  string   `json:"object"`
		Subject struct{} `json:"subject,omitzero"` // shadows the field, prints nothing
	}{fields: fields(f), Object: f.Object.String()})
}

// Fingerprint is what makes two findings of two revisions the same one. It is
// comparable.
type Fingerprint struct {
	Rule, Engine string
	Object       gitops.ObjectRef // without its version
	Subject      string
}

// Fingerprint returns the finding's fingerprint. Wording, severity and place in
// a file are no part of it.
func (f Finding) Fingerprint() Fingerprint {
	return Fingerprint{Rule: f.Rule, Engine: f.Engine, Object: f.Object.Identity(), Subject: f.Subject}
}

// Compare orders findings as people want to read them: the worst first, then by
// object, rule and subject. Only identical findings compare equal.
func (f Finding) Compare(g Finding) int {
	return cmp.Or(
		cmp.Compare(f.Severity.rank(), g.Severity.rank()),
		f.Object.Compare(g.Object),
		cmp.Compare(f.Rule, g.Rule),
		cmp.Compare(f.Subject, g.Subject),
		cmp.Compare(f.Engine, g.Engine),
		cmp.Compare(f.Message, g.Message),
		cmp.Compare(f.File, g.File),
		cmp.Compare(f.Line, g.Line),
		cmp.Compare(f.Severity, g.Severity), // of those outside the set
		cmp.Compare(f.State, g.State),       // last: Delta orders by the rest before it knows any
	)
}

// Blocks reports whether the findings stop a change: one of them is an error
// and new. What was there before, and what is only a warning, never does.
func Blocks(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool {
		return f.Severity == Error && f.State == New
	})
}
