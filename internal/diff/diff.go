// Package diff says what changed between two objects, or two sets of them, in a
// form that may be shown: keyed, so that a list item that only moved is no
// change of its neighbours, and masked, so that no value of a Secret is in it.
//
// It is pure, and it judges nothing: whether a change is dangerous is for others.
package diff

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aymanbagabas/go-udiff"
	"sigs.k8s.io/yaml"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
)

// Action is what happens to an object.
type Action string

// The actions.
const (
	Create Action = "create"
	Update Action = "update"
	Delete Action = "delete"
)

// Change is one object that differs. Ref is the object's name after the change,
// or, deleted, before. Before and After are canonical JSON, nil where the object
// is not; they are not masked and must not be shown. Text is the unified hunks
// of the masked YAML.
type Change struct {
	Action        Action
	Ref           gitops.ObjectRef
	Before, After json.RawMessage
	Text          string
	// Succeeds is the name, on a created object, of the deleted object that it
	// stands in for: one generated from other content, under another hash.
	// SuccessorText is the diff between the two.
	Succeeds      *gitops.ObjectRef
	SuccessorText string
	// Succeeded says of a deleted object that a created one stands in for it.
	Succeeded bool
}

// Sets compares the objects of one target at two revisions by identity: a new
// version of the same API is an update. Changes are sorted by object. masker
// names the values of Secrets, and must be one for a whole report.
func Sets(before, after []manifest.Object, masker *manifest.Masker) ([]Change, error) {
	old := map[gitops.ObjectRef][]manifest.Object{}
	for _, o := range before {
		old[o.Ref.Identity()] = append(old[o.Ref.Identity()], o)
	}
	var changes []Change
	for _, o := range after {
		id := o.Ref.Identity()
		change := Change{Action: Create, Ref: o.Ref, After: o.JSON}
		if twins := old[id]; len(twins) > 0 {
			change.Action, change.Before = Update, twins[0].JSON
			old[id] = twins[1:]
		}
		if !bytes.Equal(change.Before, change.After) {
			changes = append(changes, change)
		}
	}
	for _, o := range before {
		if twins := old[o.Ref.Identity()]; len(twins) > 0 {
			changes = append(changes, Change{Action: Delete, Ref: twins[0].Ref, Before: twins[0].JSON})
			old[o.Ref.Identity()] = twins[1:]
		}
	}
	slices.SortStableFunc(changes, func(a, b Change) int { return a.Ref.Compare(b.Ref) })
	return changes, describe(changes, masker)
}

func describe(changes []Change, masker *manifest.Masker) error {
	for i := range changes {
		c := &changes[i]
		var err error
		if c.Text, err = Text(c.Ref, c.Before, c.After, masker); err != nil {
			return fmt.Errorf("compare %s: %w", c.Ref, err)
		}
	}
	gone := predecessors(changes)
	for i := range changes {
		c := &changes[i]
		candidates := gone[generated(c.Ref)]
		if c.Action != Create || len(candidates) != 1 || candidates[0].Succeeded {
			continue
		}
		predecessor := candidates[0]
		var err error
		if c.SuccessorText, err = Text(c.Ref, predecessor.Before, c.After, masker); err != nil {
			return fmt.Errorf("compare %s: %w", c.Ref, err)
		}
		ref := predecessor.Ref
		c.Succeeds, predecessor.Succeeded = &ref, true
	}
	return nil
}

// predecessors are the deleted objects with generated names, by what they were
// generated as. Only where there is one is it told which one a new one succeeds.
func predecessors(changes []Change) map[gitops.ObjectRef][]*Change {
	gone := map[gitops.ObjectRef][]*Change{}
	for i, c := range changes {
		if as := generated(c.Ref); c.Action == Delete && as.Name != "" {
			gone[as] = append(gone[as], &changes[i])
		}
	}
	return gone
}

// generated is an object's identity without the hash of generated content; it has
// no name if there is no hash.
func generated(ref gitops.ObjectRef) gitops.ObjectRef {
	stem, _ := contentHash(ref.Name)
	ref = ref.Identity()
	ref.Name = stem
	return ref
}

// hashAlphabet is what kustomize writes hashes of content in, ten characters
// long: hexadecimal digits, some of them replaced so that they spell no words.
const hashAlphabet = "245678bcdfghkmt9"

func contentHash(name string) (stem string, hashed bool) {
	at := strings.LastIndexByte(name, '-')
	if at < 1 || len(name)-at-1 != 10 || strings.Trim(name[at+1:], hashAlphabet) != "" {
		return "", false
	}
	return name[:at], true
}

// contextLines is how many unchanged lines stand around a change.
const contextLines = 3

// Text returns the unified hunks between two states of one object as masked
// YAML; an empty state is nil.
func Text(ref gitops.ObjectRef, before, after json.RawMessage, masker *manifest.Masker) (string, error) {
	old, err := decode(ref, before, masker)
	if err != nil {
		return "", err
	}
	new, err := decode(ref, after, masker)
	if err != nil {
		return "", err
	}
	text, err := hunks(align(old, new, ""), new)
	if err == nil && text == "" {
		// Nothing differs but the order of keyed items; the order is the change then.
		text, err = hunks(old, new)
	}
	return text, err
}

func decode(ref gitops.ObjectRef, data json.RawMessage, masker *manifest.Masker) (any, error) {
	if data == nil {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		return nil, fmt.Errorf("decode the object: %w", err)
	}
	if manifest.IsSecret(ref) {
		masker.Mask(object)
		return object, nil
	}
	return masker.Copies(object), nil
}

func hunks(old, new any) (string, error) {
	before, err := print(old)
	if err != nil {
		return "", err
	}
	after, err := print(new)
	if err != nil {
		return "", err
	}
	edits := udiff.Lines(before, after)
	text, err := udiff.ToUnified("", "", before, edits, contextLines)
	if err != nil {
		return "", fmt.Errorf("compare lines: %w", err)
	}
	_, text, _ = strings.Cut(text, "\n") // the two lines that would name files
	_, text, _ = strings.Cut(text, "\n")
	return text, nil
}

func print(object any) (string, error) {
	if object == nil {
		return "", nil
	}
	data, err := json.Marshal(object)
	if err != nil {
		return "", fmt.Errorf("encode the object: %w", err)
	}
	text, err := yaml.JSONToYAML(data)
	if err != nil {
		return "", fmt.Errorf("print the object: %w", err)
	}
	return string(text), nil
}
