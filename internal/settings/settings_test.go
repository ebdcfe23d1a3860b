package settings

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/davitops/davit/internal/manifest"
)

// settingsOf reads a file of one field of each kind and prints what it read, or
// what is wrong.
func settingsOf(data string) string {
	var read []string
	problems := Read("x.yaml", []byte(data), "text: a", func(r *Reader, root *yaml.Node) {
		r.Fields(root, "the file", "text: a", Fields{
			"text":  func(n *yaml.Node) { read = append(read, r.Text(n, "text", "a")) },
			"label": func(n *yaml.Node) { read = append(read, r.Label(n, "a label")) },
			"flag": func(n *yaml.Node) {
				if r.Flag(n, "flag") {
					read = append(read, "yes")
				} else {
					read = append(read, "no")
				}
			},
			"items": func(n *yaml.Node) {
				for _, item := range r.Items(n, 2, "items must be a list", "items are limited to %d") {
					read = append(read, item.Value)
				}
			},
		})
	})
	if len(problems) == 0 {
		return strings.Join(read, " ")
	}
	var faults []string
	for _, p := range problems {
		faults = append(faults, p.Error())
	}
	return strings.Join(faults, "\n")
}

func TestRead(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, data, want string }{
		{"everything, in the file's order", "text: a\nlabel: b\nflag: true\nitems: [c, d]", "a b yes c d"},
		{"another order", "items: [c]\nflag: false\ntext: 'true'", "c no true"},
		{"a number is a label", "label: 1", "1"},
		{"flags in capitals", "flag: TRUE", "yes"},

		{"nothing", "", `x.yaml:1: the file is empty; begin it with "text: a", or remove it`},
		{"no mapping", "[]", `x.yaml:1: the file must be a mapping of fields, for example "text: a"`},
		{"no YAML", "text: [", "x.yaml:1: this is not valid YAML; look for wrong indentation, a tab or a missing quote or bracket here"},
		{"a key twice", "text: a\ntext: b", `x.yaml:2: the key "text" is given twice in one mapping; keep one of them`},
		{"two documents", "text: a\n---\ntext: b", "x.yaml:2: the file holds more than one document; keep one"},
		{"an alias", "text: &a b\nlabel: *a", "x.yaml:2: the alias *a is not followed here; write the value out"},
		{"a merge", "text: a\n<<: {label: b}", `x.yaml:2: the file has no field "<<"; it has: flag, items, label, text`},
		{"a field that is near", "flga: true", `x.yaml:1: the file has no field "flga"; did you mean "flag"?`},
		{"a field that is not", "colour: red", `x.yaml:1: the file has no field "colour"; it has: flag, items, label, text`},
		{"an empty text", "text: ''", "x.yaml:1: text must be a text that is not empty, for example a"},
		{"a text that is a number", "text: 1", "x.yaml:1: text must be a text that is not empty, for example a"},
		{"a text that is a list", "text: [a]", "x.yaml:1: text must be a text that is not empty, for example a"},
		{"a word for a flag", "flag: yes", "x.yaml:1: flag must be true or false"},
		{"a text for a flag", "flag: 'true'", "x.yaml:1: flag must be true or false"},
		{"no list", "items: a", "x.yaml:1: items must be a list"},
		{"an empty list", "items: []", "x.yaml:1: items must be a list"},
		{"too long a list", "items: [a, b, c]", "x.yaml:1: items are limited to 2"},
		{"a word that YAML knows", "label: null", `x.yaml:1: a label must be a DNS label (lower-case letters, digits and '-'), which "null" is only in quotes`},
		{"a long label", "label: " + strings.Repeat("a", 64), `x.yaml:1: a label must be a DNS label (lower-case letters, digits and '-'), not "` + strings.Repeat("a", 64) + `"`},
		{"every fault, by line", "items:\n- a\n- b\n- c\nflag: 1\n'': 1\nlabel: A", strings.Join([]string{
			"x.yaml:2: items are limited to 2", "x.yaml:5: flag must be true or false",
			`x.yaml:6: the file has no field ""; it has: flag, items, label, text`,
			`x.yaml:7: a label must be a DNS label (lower-case letters, digits and '-'), not "A"`,
		}, "\n")},
	} {
		if d := cmp.Diff(test.want, settingsOf(test.data)); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, d)
		}
	}
}

// TestFaultsAreInvalid holds the class: a fault here is never one of the YAML's.
func TestFaultsAreInvalid(t *testing.T) {
	t.Parallel()
	got := Read("x.yaml", []byte("a: 1"), "b: 1", func(r *Reader, root *yaml.Node) {
		r.Fault(&yaml.Node{}, "a node of nowhere is on the first line; %s", "move it")
	})
	want := []manifest.Problem{{Code: manifest.Invalid, File: "x.yaml", Line: 1, Message: "a node of nowhere is on the first line; move it"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	if got := settingsOf("text: a\n#" + strings.Repeat("x", maxBytes)); got != "x.yaml:1: the file is larger than 256 KiB; replace lists by patterns" {
		t.Errorf("a large file is %s", got)
	}
	var many strings.Builder
	for i := range 2 * maxProblems {
		many.WriteString(strings.Repeat("x", i+1) + ": 1\n")
	}
	if got := strings.Count(settingsOf(many.String()), "\n") + 1; got != maxProblems {
		t.Errorf("%d faults are reported, want %d", got, maxProblems)
	}
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	names := []string{"as", "prod-eu", "prod-us", "staging"}
	for _, test := range []struct{ given, want string }{
		{"stagin", `did you mean "staging"?`},
		{"Staging", `did you mean "staging"?`},
		{"stgaing", `did you mean "staging"?`},
		{"prod-us1", `did you mean "prod-us"?`},
		{"prod-xs", `did you mean "prod-us"?`},
		{"a", `did you mean "as"?`},
		{"ab", `did you mean "as"?`},
		{"xy", "no"},
		{"", "no"},
		{"stage", "no"},
		{strings.Repeat("staging", 10_000), "no"},
	} {
		if got := Suggest(test.given, names, "no"); got != test.want {
			t.Errorf("%.20q: %s, want %s", test.given, got, test.want)
		}
	}
}
