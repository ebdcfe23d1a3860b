package plan

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// shape is the schema of one field, as servers know it and plan does not.
type shape struct {
	kind   string // scalar, map, atomic map, atomic list, set or keyed
	names  []string
	fields map[string]*shape // of a map, or of the items of a keyed list
	keys   []string
}

func newShape(r *rand.Rand, depth int) *shape {
	kinds := []string{"map", "keyed", "scalar", "atomic map", "atomic list", "set"}
	if depth == 0 {
		kinds = kinds[2:]
	}
	s := &shape{kind: kinds[r.IntN(len(kinds))], fields: map[string]*shape{}}
	if s.kind != "map" && s.kind != "keyed" {
		return s
	}
	if s.kind == "keyed" {
		s.keys = [][]string{{"name"}, {"port", "protocol"}}[r.IntN(2)]
	}
	for _, name := range []string{"aim", "b.c/d", "spec", "zeal"}[:1+r.IntN(4)] {
		s.names = append(s.names, name)
		s.fields[name] = newShape(r, depth-1)
	}
	return s
}

// value draws a value of the shape.
func (s *shape) value(r *rand.Rand) any {
	switch s.kind {
	case "scalar":
		return []any{"a", "b", int64(1), int64(2), true, nil}[r.IntN(6)]
	case "atomic map":
		return map[string]any{"x": r.IntN(2), "y": []any{r.IntN(2)}}
	case "atomic list":
		return []any{map[string]any{"name": "a", "v": r.IntN(2)}, map[string]any{"name": "a", "v": r.IntN(2)}, r.IntN(2)}[r.IntN(3):]
	case "set":
		set := []any{"a", "b", "c", int64(7)}
		r.Shuffle(len(set), func(i, j int) { set[i], set[j] = set[j], set[i] })
		return set[r.IntN(len(set)):]
	case "keyed":
		items := []any{}
		for _, i := range r.Perm(4)[:r.IntN(4)] {
			item := s.mapping(r)
			for _, key := range s.keys {
				item[key] = map[string]any{"name": fmt.Sprint(i), "port": int64(80 + i/2), "protocol": []string{"TCP", "UDP"}[i%2]}[key]
			}
			items = append(items, item)
		}
		return items
	}
	return s.mapping(r)
}

func (s *shape) mapping(r *rand.Rand) map[string]any {
	m := map[string]any{}
	for _, name := range s.names {
		if r.IntN(3) > 0 {
			m[name] = s.fields[name].value(r)
		}
	}
	return m
}

// own inserts the fields of a value as a server would write them for who applied it.
func (s *shape) own(set *fieldpath.Set, path fieldpath.Path, v any) {
	switch {
	case s.kind == "map" && len(v.(map[string]any)) > 0:
		for name, child := range v.(map[string]any) {
			s.fields[name].own(set, append(path.Copy(), fieldpath.FieldNameElement(name)), child)
		}
	case s.kind == "set" && len(v.([]any)) > 0:
		for _, item := range v.([]any) {
			set.Insert(append(path.Copy(), fieldpath.ValueElement(value.NewValueInterface(item))))
		}
	case s.kind == "keyed" && len(v.([]any)) > 0:
		for _, item := range v.([]any) {
			item := item.(map[string]any)
			var key []any
			for _, name := range s.keys {
				key = append(key, name, item[name])
			}
			at := append(path.Copy(), fieldpath.KeyElementByFields(key...))
			set.Insert(at)
			for name, child := range item {
				below := append(at.Copy(), fieldpath.FieldNameElement(name))
				if slices.Contains(s.keys, name) {
					set.Insert(below)
					continue
				}
				s.fields[name].own(set, below, child)
			}
		}
	default:
		set.Insert(path)
	}
}

// object is a value as a server would send it, owned by Davit.
func (s *shape) object(t *testing.T, v any) map[string]any {
	t.Helper()
	set := fieldpath.NewSet()
	s.own(set, fieldpath.Path{fieldpath.FieldNameElement("spec")}, v)
	fields, err := set.ToJSON()
	if err != nil {
		t.Fatal(err)
	}
	object, err := decode(encode(map[string]any{
		"spec": v,
		"metadata": map[string]any{"name": "o", "managedFields": []any{
			map[string]any{"manager": Manager, "operation": "Apply", "fieldsV1": json.RawMessage(fields)},
		}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// TestPatchedIsAfter draws two states of an object and holds that the fields that
// differ between them, put into the one, make the other: nothing is lost between
// what a dry run says and what is shown.
func TestPatchedIsAfter(t *testing.T) {
	t.Parallel()
	differ := 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 0))
		s := newShape(r, 3)
		live, after := s.object(t, s.value(r)), s.object(t, s.value(r))
		fields, err := fieldsOf(live, after)
		if err != nil {
			t.Fatal(err)
		}
		spellings := map[string]bool{}
		for _, f := range fields {
			if spellings[f.spelled()] {
				t.Errorf("seed %d: two fields are spelled %s", seed, f.spelled())
			}
			spellings[f.spelled()] = true
		}
		differ += len(fields)
		got, want := patched(clean(live), fields), clean(after)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d: the object that is shown is another one (-want +got):\n%s\nlive: %s\nafter: %s", seed, diff, encode(clean(live)), encode(clean(after)))
		}
	}
	if differ < 5000 {
		t.Errorf("only %d fields differed; the test draws too little", differ)
	}
}
