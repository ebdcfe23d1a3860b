package diff

import (
	"encoding/json"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestSame compares a change in git with one in a cluster, which holds more.
func TestSame(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name                      string
		base, head, live, planned string // YAML; empty: there is no object
		want                      bool
	}{
		{"the same value", "{a: 1}", "{a: 2}", "{a: 1, b: 1}", "{a: 2, b: 1}", true},
		{"from another value", "{a: 1}", "{a: 2}", "{a: 3}", "{a: 2}", false},
		{"another value", "{a: 1}", "{a: 2}", "{a: 1}", "{a: 3}", false},
		{"more in the cluster", "{a: 1}", "{a: 2}", "{a: 1, b: 1}", "{a: 2, b: 2}", false},
		{"less in the cluster", "{a: 1, b: 1}", "{a: 2, b: 2}", "{a: 1, b: 2}", "{a: 2, b: 2}", false},
		{"a field goes from both", "{a: 1, b: 1}", "{a: 1}", "{a: 1, b: 1, c: 1}", "{a: 1, c: 1}", true},
		{"a field stays in the cluster", "{a: 1, b: 1}", "{a: 1}", "{a: 1, b: 1}", "{a: 1, b: 1}", false},
		{"it goes", "{a: 1}", "", "{a: 2, b: 1}", "", true},
		{"it goes from git alone", "{a: 1}", "", "{a: 1}", "{a: 1}", false},
		{"it comes", "", "{a: 1}", "", "{a: 1}", true},
		{"it comes, in a namespace", "", "{a: 1, metadata: {name: x}}", "", "{a: 1, metadata: {name: x, namespace: y}}", true},
		{"it comes, in another namespace", "", "{metadata: {namespace: x}}", "", "{metadata: {namespace: y}}", false},
		{"it comes only to the cluster", "{a: 1}", "{a: 2}", "", "{a: 2, b: 1}", false},
		{
			"lines that are spelt alike", "{env: [{name: A, value: off}, {name: B, value: on}]}", "{env: [{name: A, value: on}, {name: B, value: on}]}",
			"{env: [{name: A, value: on}, {name: B, value: off}]}", "{env: [{name: A, value: on}, {name: B, value: on}]}", false,
		},
		{
			"an item among others", "{env: [{name: A, value: off}]}", "{env: [{name: A, value: on}]}",
			"{env: [{name: Z, value: z}, {name: A, value: off}]}", "{env: [{name: Z, value: z}, {name: A, value: on}]}", true,
		},
		{
			"another order", "{env: [{name: A}, {name: B}]}", "{env: [{name: B}, {name: A}]}",
			"{env: [{name: A}, {name: B}]}", "{env: [{name: A}, {name: B}]}", false,
		},
		{"a list without keys", "{args: [a]}", "{args: [b]}", "{args: [a]}", "{args: [b]}", true},
		{"a list without keys, with more", "{args: [a]}", "{args: [b]}", "{args: [a, c]}", "{args: [b, c]}", false},
		{"a name with a dot", `{"a.b": 1}`, `{"a.b": 2}`, "{a: {b: 1}}", "{a: {b: 2}}", false},
		{"an empty map", "{}", "{a: {}}", "{}", "{a: {}}", true},
	}
	for _, row := range rows {
		state := func(text string) json.RawMessage {
			if text == "" {
				return nil
			}
			data, err := yaml.YAMLToJSON([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
		got, err := Same(States{state(row.base), state(row.head)}, States{state(row.live), state(row.planned)})
		if err != nil || got != row.want {
			t.Errorf("%s: %t, %v", row.name, got, err)
		}
	}
}
