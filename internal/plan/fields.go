package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// field is one field that differs between what a cluster holds and what a dry run
// made of it. A side that has no such field is absent.
type field struct {
	path          fieldpath.Path
	before, after any
	ours          bool // Davit owns it, or owned it
	// order is, for a list whose items come in another order, the order they come in;
	// before and after are of no use then.
	order []fieldpath.PathElement
}

// absent stands for a field that is not there, which null is not.
type absent struct{}

// fieldsOf compares two states of one object field by field. What managedFields say
// on either side tells which lists have keys and what is one field only: the server
// wrote them by the schema, whatever the kind.
func fieldsOf(live, after map[string]any) ([]field, error) {
	all, ours, err := owned(live, after)
	if err != nil {
		return nil, err
	}
	w := walk{}
	w.compare(nil, node{all: all, ours: ours}, clean(live), clean(after))
	return w.fields, nil
}

// owned are the fields of an object's states that somebody owns, and those that Davit
// owns.
func owned(states ...map[string]any) (all, ours *fieldpath.Set, err error) {
	all, ours = fieldpath.NewSet(), fieldpath.NewSet()
	for _, object := range states {
		entries, _ := at(object, "metadata")["managedFields"].([]any)
		for _, e := range entries {
			entry, _ := e.(map[string]any)
			set := fieldpath.NewSet()
			if err := set.FromJSON(bytes.NewReader(encode(entry["fieldsV1"]))); err != nil {
				return nil, nil, fmt.Errorf("read who owns the fields: %w", err)
			}
			all = all.Union(set)
			if entry["manager"] == Manager && entry["operation"] == "Apply" {
				ours = ours.Union(set)
			}
		}
	}
	return all, ours, nil
}

// move is a field whose value stays, and that becomes Davit's or is no longer.
type move struct {
	field, to string
	path      fieldpath.Path
}

// What becomes of a field that only changes hands.
const (
	taken    = "becomes Davit's too"
	released = "is given up"
)

// movesOf are the fields that change hands between two states of an object, without
// those whose value changes: that is told already.
func movesOf(live, after map[string]any, changed []field) ([]move, error) {
	_, before, err := owned(live)
	if err != nil {
		return nil, err
	}
	_, now, err := owned(after)
	if err != nil {
		return nil, err
	}
	var moves []move
	for _, side := range []struct {
		set *fieldpath.Set
		to  string
	}{{now.Difference(before), taken}, {before.Difference(now), released}} {
		side.set.Leaves().Iterate(func(path fieldpath.Path) {
			if !slices.ContainsFunc(changed, func(f field) bool { return f.holds(path) }) {
				moves = append(moves, move{field: spelled(path), to: side.to, path: path.Copy()})
			}
		})
	}
	return moves, nil
}

// holds reports whether a path is at or below the field, or above it.
func (f field) holds(path fieldpath.Path) bool {
	length := min(len(f.path), len(path))
	return f.path[:length].Equals(path[:length])
}

// plainName is a name of a field that can stand in a path as it is.
var plainName = regexp.MustCompile(`^[-_A-Za-z0-9]+$`)

// spelled is a path as text. A name with other signs in it is quoted: no two fields
// may be spelled alike, or one that was shown would cover one that was not.
func spelled(path fieldpath.Path) string {
	var b strings.Builder
	for _, e := range path {
		if e.FieldName != nil && !plainName.MatchString(*e.FieldName) {
			fmt.Fprintf(&b, "[%q]", *e.FieldName)
			continue
		}
		b.WriteString(e.String())
	}
	return b.String()
}

// clean is an object without what servers write on their own, which is no effect of
// applying anything. The object is not changed.
func clean(object map[string]any) map[string]any {
	object = maps.Clone(object)
	delete(object, "status")
	metadata := maps.Clone(at(object, "metadata"))
	for _, name := range serverFields {
		delete(metadata, name)
	}
	if annotations := maps.Clone(at(metadata, "annotations")); annotations[lastApplied] != nil {
		if delete(annotations, lastApplied); len(annotations) > 0 {
			metadata["annotations"] = annotations
		} else {
			delete(metadata, "annotations")
		}
	}
	object["metadata"] = metadata
	return object
}

// node is what is known of the ownership of one field: all owners' and ours.
type node struct {
	all, ours *fieldpath.Set // what is below the field
	owned     bool           // the field itself is ours
}

func (n node) child(e fieldpath.PathElement) node {
	return node{all: n.all.WithPrefix(e), ours: n.ours.WithPrefix(e), owned: n.ours.Members.Has(e)}
}

// walk collects the fields that differ.
type walk struct{ fields []field }

func (w *walk) compare(path fieldpath.Path, n node, before, after any) {
	if reflect.DeepEqual(before, after) {
		return
	}
	_, gone := after.(absent)
	if !gone && !n.all.Empty() && w.descend(path, n, before, after) {
		return
	}
	w.fields = append(w.fields, field{path: path.Copy(), before: before, after: after, ours: n.owned || !n.ours.Empty()})
}

// descend compares the parts of a field, if it has parts that are fields of their
// own on both sides; an absent side has none of them.
func (w *walk) descend(path fieldpath.Path, n node, before, after any) bool {
	old, okOld := partsOf(before, n.all)
	new, okNew := partsOf(after, n.all)
	if !okOld || !okNew {
		return false
	}
	found := len(w.fields)
	for _, e := range union(old, new) {
		w.compare(append(path, e), n.child(e), old.get(e), new.get(e))
	}
	if order := new.elements; isList(after) && !sameOrder(settled(old, new), order) {
		w.fields = append(w.fields, field{path: path.Copy(), order: order, ours: n.owned || !n.ours.Empty()})
	}
	return len(w.fields) > found
}

// settled is the order that parts are in if nothing is said about it: what was there
// stays where it is, and what is new follows.
func settled(old, new parts) []fieldpath.PathElement {
	var order []fieldpath.PathElement
	for _, e := range slices.Concat(old.elements, union(parts{}, new)) {
		if slices.ContainsFunc(new.elements, e.Equals) && !slices.ContainsFunc(order, e.Equals) {
			order = append(order, e)
		}
	}
	return order
}

func isList(v any) bool {
	_, is := v.([]any)
	return is
}

func sameOrder(a, b []fieldpath.PathElement) bool {
	return slices.EqualFunc(a, b, fieldpath.PathElement.Equals)
}

// spelled is a field as effects name it.
func (f field) spelled() string {
	if f.order != nil {
		return spelled(f.path) + "[order]" // no name is spelled so: it would be in quotes
	}
	return spelled(f.path)
}

// value is what the field will hold, as canonical JSON; nil if it goes.
func (f field) value() json.RawMessage {
	if f.order != nil {
		return []byte(fieldpath.Path(f.order).String())
	}
	if _, gone := f.after.(absent); gone {
		return nil
	}
	return encode(f.after)
}

// parts are the fields, or the items, of one value.
type parts struct {
	elements []fieldpath.PathElement
	values   []any
}

func (p parts) get(e fieldpath.PathElement) any {
	for i := range p.elements {
		if p.elements[i].Equals(e) {
			return p.values[i]
		}
	}
	return absent{}
}

func union(a, b parts) []fieldpath.PathElement {
	all := slices.Concat(a.elements, b.elements)
	slices.SortFunc(all, fieldpath.PathElement.Compare)
	return slices.CompactFunc(all, fieldpath.PathElement.Equals)
}

// partsOf takes a value apart. It reports false if the value is one field: a
// scalar, a list without keys, or a list in which a key is missing or there twice.
func partsOf(v any, below *fieldpath.Set) (parts, bool) {
	switch v := v.(type) {
	case absent:
		return parts{}, true
	case map[string]any:
		var p parts
		for _, name := range slices.Sorted(maps.Keys(v)) {
			p.elements, p.values = append(p.elements, fieldpath.FieldNameElement(name)), append(p.values, v[name])
		}
		return p, true
	case []any:
		return itemsOf(v, below)
	}
	return parts{}, false
}

func itemsOf(list []any, below *fieldpath.Set) (parts, bool) {
	keys, isSet := keysBelow(below)
	p := parts{values: list}
	for _, item := range list {
		var e fieldpath.PathElement
		object, isMap := item.(map[string]any)
		switch {
		case isSet && !isMap:
			e = fieldpath.ValueElement(value.NewValueInterface(item))
		case len(keys) > 0 && isMap:
			var fields []any
			for _, key := range keys {
				if object[key] == nil {
					return parts{}, false
				}
				fields = append(fields, key, object[key])
			}
			e = fieldpath.KeyElementByFields(fields...)
		default:
			return parts{}, false
		}
		if slices.ContainsFunc(p.elements, e.Equals) {
			return parts{}, false
		}
		p.elements = append(p.elements, e)
	}
	return p, true
}

// keysBelow are the fields that tell the items of a list apart, or that the list is
// a set of scalars.
func keysBelow(below *fieldpath.Set) (keys []string, isSet bool) {
	read := func(e fieldpath.PathElement) {
		if e.Key != nil && keys == nil {
			for _, f := range *e.Key {
				keys = append(keys, f.Name)
			}
		}
		isSet = isSet || e.Value != nil
	}
	below.Members.Iterate(read)
	below.Children.Iterate(read)
	return keys, isSet
}
