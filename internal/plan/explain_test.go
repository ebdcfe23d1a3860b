package plan

import (
	"strings"
	"testing"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
	"sigs.k8s.io/yaml"

	"github.com/davitops/davit/internal/manifest"
)

// rendered are YAML documents as a renderer hands them over.
func rendered(t *testing.T, texts ...string) []manifest.Object {
	t.Helper()
	var objects []manifest.Object
	for _, text := range texts {
		data, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		object, err := manifest.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, object)
	}
	return objects
}

// TestExplained says which effects need not have been shown, because git shows them: one
// row for each sentence of that rule.
func TestExplained(t *testing.T) {
	t.Parallel()
	const other = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: shop}, data: {a: '0'}}"
	gone := Observation{Desired: Desired{Ref: wanted(t).Ref}, UID: "1", Live: live(t)}
	gone.Ref.Name = "c"
	for _, row := range []struct {
		name    string
		history *History
		set     func(o *Observation) // of what is desired
		former  bool                 // it is not desired any more
		want    bool
	}{
		{name: "git changes the field", history: &History{Was: rendered(t, other)}, set: func(o *Observation) { o.Live, o.After = live(t, `"1"}`, `"0"}`), live(t) }, want: true},
		{name: "git changes it, and somebody changed it, too", history: &History{Was: rendered(t, other)}, set: func(o *Observation) { o.Live, o.After = live(t, `"1"}`, `"9"}`), live(t) }, want: true},
		{name: "only somebody changed it", history: &History{Was: rendered(t, config)}, set: func(o *Observation) { o.Live, o.After = live(t, `"1"}`, `"9"}`), live(t) }},
		{name: "git adds the object", history: &History{}, set: func(o *Observation) { o.After = o.JSON }, want: true},
		{name: "somebody deleted the object", history: &History{Was: rendered(t, config)}, set: func(o *Observation) { o.After = o.JSON }},
		{name: "somebody deleted the object that git changes", history: &History{Was: rendered(t, other)}, set: func(o *Observation) { o.After = o.JSON }},
		{name: "somebody else's object is adopted", history: &History{}, set: func(o *Observation) {
			o.Live, o.After = live(t, `"labels": {"davit.dev/target": "KEY"}, "annotations": {"davit.dev/owner": "OWNER"},`, ""), live(t)
		}},
		{name: "somebody else's field is taken", history: &History{Was: rendered(t, other)}, set: func(o *Observation) {
			o.Live, o.After = live(t, `"1"}`, `"0"}`), live(t)
			o.Contested = []Contested{{Manager: "kubectl", Field: ".data.a"}}
		}},
		{name: "git takes the object away", history: &History{Was: rendered(t, config)}, former: true},
		{name: "a revert takes the object away", history: &History{Was: rendered(t, config), Deletes: true}, former: true, want: true},
		{name: "a revert, and the object leaves its namespace to others", history: &History{Was: rendered(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}"), Deletes: true}, former: true, want: true},
		{name: "a revert, and the object never was in git", history: &History{Deletes: true}, former: true},
		{name: "a number stays the same in git", history: &History{Was: rendered(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: shop}, data: {a: 1}}")}, set: func(o *Observation) {
			o.JSON = []byte(strings.Replace(string(o.JSON), `"a":"1"`, `"a":1`, 1))
			o.Live, o.After = live(t, `"1"}`, `9}`), live(t, `"1"}`, `1}`)
		}},
		{name: "nothing is known of git", set: func(o *Observation) { o.After = o.JSON }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			q := Question{History: row.history, Facts: Facts{Inventory: &Inventory{}}}
			if row.former {
				q.Facts.Former, q.Removed = []Observation{gone}, true
				q.Facts.Former[0].Ref.Kind = "ConfigMap"
			} else {
				o := wanted(t)
				row.set(&o)
				q.Facts.Desired = []Observation{o}
			}
			p := made(t, q)
			if len(p.Effects()) == 0 {
				t.Fatalf("it does nothing: %+v", p.Changes)
			}
			if uncovered := p.Uncovered(nil); (len(uncovered) == 0) != row.want {
				t.Errorf("of %v not covered are %v", p.Effects(), uncovered)
			}
			if uncovered := p.Uncovered(p.Effects()); len(uncovered) > 0 {
				t.Errorf("what was shown is not covered: %v", uncovered)
			}
		})
	}
}

// TestExplainedInLists finds the same field where rendered objects leave out what servers
// fill in.
func TestExplainedInLists(t *testing.T) {
	t.Parallel()
	object, err := decode([]byte(`{"spec": {"ports": [{"port": 80}, {"port": 443, "protocol": "UDP"}], "args": ["a", "b"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	port := func(number int, protocol string) fieldpath.Path {
		return fieldpath.MakePathOrDie("spec", "ports", fieldpath.KeyByFields("port", number, "protocol", protocol), "port")
	}
	for _, row := range []struct {
		path fieldpath.Path
		want any
	}{
		{port(80, "TCP"), int64(80)},
		{port(443, "TCP"), nil},
		{port(443, "UDP"), int64(443)},
		{port(1, "TCP"), nil},
		{fieldpath.MakePathOrDie("spec", "none", "at", "all"), nil},
		{fieldpath.MakePathOrDie("spec", "args", value.NewValueInterface("b")), "b"},
	} {
		if got := held(object, row.path); got != row.want {
			t.Errorf("%s holds %v, want %v", row.path, got, row.want)
		}
	}
}
