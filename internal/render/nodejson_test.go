package render

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/davitops/davit/internal/manifest"
)

// edges are values, some with more fields behind them, at which conversions of YAML differ. own says that Davit
// converts them itself; the others it must leave to kustomize.
var edges = []struct {
	value string
	own   bool
	fails bool // kustomize has no JSON for it
}{
	{"yes", true, false}, {"No", true, false}, {"on", true, false}, {"y", true, false}, {`"yes"`, true, false},
	{"true", true, false}, {"True", false, false}, {"TRUE", false, false}, {"~", true, false}, {"null", true, false}, {"", false, false}, {"{a}", false, false}, {"!!null x", false, true}, {"!!null ''", false, false}, {"Null", false, false},
	{"0", true, false}, {"-1", true, false}, {"0777", false, false}, {"0o17", false, false}, {"0x1f", false, false}, {"0b101", false, false}, {"1_000", false, false}, {"+1", false, false}, {"-0", false, false},
	{"999999999999999999", true, false}, {"9223372036854775807", false, false}, {"18446744073709551615", false, false}, {"18446744073709551616", false, false}, {strings.Repeat("9", 100), false, false},
	{"1.0", false, false}, {"1e3", false, false}, {"1e21", false, false}, {"1e-7", false, false}, {"1.5", false, false}, {".5", false, false}, {"-0.0", false, false}, {"1e400", true, false},
	{".inf", false, true}, {"-.INF", false, true}, {".nan", false, true},
	{"2001-12-14", false, false}, {"2001-12-14t21:59:43.10-05:00", false, false}, {`"2001-12-14"`, true, false}, {"12:30:45", true, false}, {"190:20:30", true, false},
	{"!!binary aGVsbG8=", false, false}, {"!!binary '*'", false, true}, {"!!str 5", true, false}, {"!!int '5'", true, false}, {"!!float 5", false, false}, {"!custom x", false, false}, {"!!bool 'true'", true, false},
	{"{b: 1, a: 2, 'A': 3, '': 4, 'é': 5}", true, false}, {"{}", true, false}, {"[]", true, false}, {"[[], {}, [{}], ~]", true, false},
	{"{8080: a}", false, true}, {"{null: a}", false, true}, {"{~: a}", false, true}, {"{true: a}", false, true}, {"{1.5: a}", false, true}, {"{'8080': a}", true, false}, {"{? [a] : b}", false, true},
	{"a\n8080: b", false, false}, {"a\nnull: b", false, false}, {"a\n~: b", false, false}, {"a\ntrue: b", false, false}, {"a\n1.5: b", false, false},
	{"{a: 1, a: 2}", false, true}, {"{<<: {b: 1}, a: 2}", false, false}, {"{'<<': 1}", true, false}, {"[&x {a: 1}, {<<: *x, b: 2}]", false, false},
	{"[&x {a: [1]}, *x, *x]", true, false}, {"[&x yes, *x]", true, false},
	{`"\u2028\u2029\0\a\t\n\r\e\x7f\x85\ufeff"`, true, false}, {`"<a>&b\"\\/"`, true, false}, {`"\U0001F600é"`, true, false}, {"|\n    a\n    b\n", true, false}, {">-\n    a\n    b\n", true, false}, {">\n    a\n     b\n", false, false}, {"a # comment", true, false},
	{"' lead and trail '", true, false}, {"\"a\\tb\"", true, false}, {"=", true, false}, {"'='", true, false}, {"'<<'", true, false},
}

// TestAppendJSON compares the conversion with kustomize's own, byte for byte.
func TestAppendJSON(t *testing.T) {
	t.Parallel()
	for _, edge := range edges {
		t.Run(edge.value, func(t *testing.T) {
			t.Parallel()
			node, err := yaml.Parse("value: " + edge.value + "\n")
			if err != nil {
				t.Fatal(err)
			}
			own, err := checkJSON(t, node)
			if own != edge.own || (err != nil) != edge.fails {
				t.Errorf("converted by Davit: %t, want %t; kustomize's error: %v, wanted: %t", own, edge.own, err, edge.fails)
			}
		})
	}
}

// checkJSON compares the two conversions of a node, and returns whether Davit's
// own did it, and kustomize's error.
func checkJSON(t *testing.T, node *yaml.RNode) (own bool, failed error) {
	t.Helper()
	got, err := appendJSON(nil, node.YNode())
	if err != nil && !errors.Is(err, errUncommon) {
		t.Fatalf("appendJSON: %v", err)
	}
	own = err == nil
	want, failed := node.MarshalJSON()
	switch {
	case own && failed != nil:
		t.Errorf("appendJSON = %s, but kustomize fails: %v", got, failed)
	case own && !bytes.Equal(got, want):
		t.Errorf("appendJSON = %s, kustomize says %s", got, want)
	}
	return own, failed
}

// TestAppendJSONSamples compares the conversions on every object of the samples.
func TestAppendJSONSamples(t *testing.T) {
	t.Parallel()
	objects, own := 0, 0
	for _, files := range samples(t) {
		for name, content := range files {
			if !strings.HasSuffix(name, ".yaml") || manifest.CheckYAML(name, []byte(content)) != nil {
				continue
			}
			for document := range strings.SplitSeq(content, "\n---\n") {
				node, err := yaml.Parse(document)
				if err != nil || node.IsNilOrEmpty() || node.YNode().Kind != yaml.MappingNode {
					continue
				}
				objects++
				if did, _ := checkJSON(t, node); did {
					own++
				}
			}
		}
	}
	if objects < 50 || own < objects*9/10 {
		t.Errorf("%d objects, %d of them converted by Davit; the rest is too much", objects, own)
	}
}

func FuzzAppendJSON(f *testing.F) {
	for _, edge := range edges {
		f.Add("value: " + edge.value + "\n")
	}
	f.Add("a: &a {b: *a}\n")
	f.Add("? a\n: b\nc:\n- d\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 || manifest.Guard("f.yaml", []byte(text)) != nil {
			return
		}
		node, err := yaml.Parse(text)
		// An object is a mapping; of other documents MarshalJSON makes no sense.
		if err != nil || node.YNode() == nil || node.YNode().Kind != yaml.MappingNode {
			return
		}
		checkJSON(t, node)
	})
}
