package manifest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// lolly returns levels of anchors, each a list of ten aliases to the one before.
func lolly(levels int, indent string) string {
	var b strings.Builder
	b.WriteString(indent + "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < levels; i++ {
		alias := fmt.Sprintf("*a%d", i-1)
		fmt.Fprintf(&b, "%sa%d: &a%d [%s]\n", indent, i, i, strings.TrimSuffix(strings.Repeat(alias+", ", 10), ", "))
	}
	return b.String()
}

// chain returns lines of anchors, each one level deeper than the one before.
func chain(lines int) string {
	var b strings.Builder
	b.WriteString("a0: &a0 {x: 1}\n")
	for i := 1; i < lines; i++ {
		fmt.Fprintf(&b, "a%d: &a%d {x: *a%d}\n", i, i, i-1)
	}
	return b.String()
}

const object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"

func TestGuard(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, data string
		code       Code // empty: nothing is wrong
		line       int
	}{
		{name: "nothing"},
		{name: "an object", data: object},
		{name: "text that is no YAML is left to whoever reads it", data: "a: [\n"},
		{name: "line ends of Windows, a byte order mark and several documents", data: "\ufeff" + strings.ReplaceAll(object+"---\n"+object, "\n", "\r\n")},

		{name: "a byte that is no text", data: "a: 1\nb: \xff\n", code: Encoding, line: 2},
		{name: "a NUL, after CRLF and in the second document", data: "a: 1\r\n---\r\nb: \x00\r\n", code: Encoding, line: 3},
		{name: "UTF-16", data: "\xff\xfea\x00", code: Encoding, line: 1},
		{name: "U+FFFD itself is text", data: "a: \ufffd\n"},

		{name: "six levels of ten aliases", data: lolly(6, ""), code: Expansion, line: 6},
		{name: "four levels of ten aliases", data: lolly(4, "")},
		{name: "in the second document", data: object + "---\n" + lolly(7, ""), code: Expansion, line: 10},
		{name: "after CRLF", data: strings.ReplaceAll(object+lolly(7, ""), "\n", "\r\n"), code: Expansion, line: 9},
		{name: "after a byte order mark", data: "\ufeff" + lolly(7, ""), code: Expansion, line: 6},
		{name: "in a text block", data: "patch: |\n" + lolly(7, "  "), code: Expansion, line: 7},
		{name: "in a text block in a text block", data: "a:\n  patch: |\n    patch: |\n" + lolly(7, "      "), code: Expansion, line: 9},
		{name: "in a quoted text of one line", data: `patch: '{a0: &a0 [x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x], a1: &a1 [*a0,*a0,*a0,*a0,*a0,*a0,*a0,*a0,*a0,*a0,*a0,*a0,*a0,*a0,*a0,*a0], ` +
			`a2: &a2 [*a1,*a1,*a1,*a1,*a1,*a1,*a1,*a1,*a1,*a1,*a1,*a1,*a1,*a1,*a1,*a1], a3: &a3 [*a2,*a2,*a2,*a2,*a2,*a2,*a2,*a2,*a2,*a2,*a2,*a2,*a2,*a2,*a2,*a2], ` +
			`a4: &a4 [*a3,*a3,*a3,*a3,*a3,*a3,*a3,*a3,*a3,*a3,*a3,*a3,*a3,*a3,*a3,*a3], a5: [*a4,*a4,*a4,*a4,*a4,*a4,*a4,*a4,*a4,*a4,*a4,*a4,*a4,*a4,*a4,*a4]}'` + "\n", code: Expansion, line: 2},
		{name: "in a quoted text that escapes its indicators", data: `patch: "` +
			strings.NewReplacer("&", `\x26`, "*", `\u002a`, "\n", `\n`).Replace(lolly(7, "")) + "\"\n", code: Expansion, line: 7},
		{name: "an alias inside what it is an alias of", data: "a: 1\nb: &b\n  c:\n  - *b\n", code: Expansion, line: 4},
		{name: "the whole document inside itself, after a byte order mark", data: "\ufeff&a [*a]\n", code: Expansion, line: 1},
		{name: "two anchors, each in the other", data: "a: &a\n  b: &b\n    c: *a\n  d: *b\n", code: Expansion, line: 3},
		{name: "anchors after a line separator", data: "{" + strings.NewReplacer("\n", ",", ": &", ":\u2028&").Replace(lolly(7, "")) + "}\n", code: Expansion, line: 7},

		{name: "5,000 brackets", data: "a: 1\nb: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), code: Depth, line: 2},
		{name: "brackets that quoted ones seem to close", data: strings.Repeat(`["]", `, 600) + strings.Repeat("]", 600), code: Depth, line: 1},
		{name: "more brackets than a parser takes", data: "a: 1\nb: " + strings.Repeat("[", 20_000), code: Depth, line: 2},
		{name: "braces", data: strings.Repeat("{a: ", 600) + strings.Repeat("}", 600), code: Depth, line: 1},
		{name: "sequences on one line", data: "a: 1\n---\n" + strings.Repeat("- ", 600) + "x\n", code: Depth, line: 3},
		{name: "sequences on one line, further apart", data: strings.Repeat("-  ", 600) + "x\n", code: Depth, line: 1},
		{name: "sequences and complex keys by turns", data: strings.Repeat("- ? ", 300) + "x\n", code: Depth, line: 1},
		{name: "mappings by indentation", data: mappings(600), code: Depth, line: 500},
		{name: "two levels for each space", data: stairs(400), code: Depth, line: 501},
		{name: "sequences of brackets", data: strings.Repeat("- ", 300) + strings.Repeat("[", 300) + strings.Repeat("]", 300), code: Depth, line: 1},
		{name: "in a text block", data: "patch: |\n  a: " + strings.Repeat("[", 600) + strings.Repeat("]", 600) + "\n", code: Depth, line: 2},
		{name: "through aliases", data: chain(600), code: Depth, line: 499},
		{name: "400 levels", data: mappings(400)},
		{name: "500 brackets side by side", data: "a: [" + strings.Repeat("[], ", 2000) + "]\n"},
		{name: "a text of nothing but brackets", data: "a: |\n  " + strings.Repeat("[", 5000) + "\n"},

		{name: "anchors as people use them", data: `
x-defaults: &defaults {cpu: 100m, memory: 64Mi}
containers:
- name: a
  resources: {requests: *defaults, limits: *defaults}
- name: b
  resources: &b
    <<: *defaults
    requests: *defaults
- {name: c, resources: *b}
`},
		{name: "indicators in words", data: "a: a&b * c && d **bold** R&D\nb: '*.example.com & more'\n"},
		{name: "a program in a text block", data: "main.c: |\n  int f(int *a, char &b) { return *a & b; }\n  /* *x &y */\n"},

		{name: "a document of more values than memory should hold", data: "a: 1\n---\na:\n- [" + strings.Repeat("1,", maxValues) + "]\n", code: TooLarge, line: 4},
		{name: "as many values in several documents", data: strings.Repeat("---\na: ["+strings.Repeat("1,", maxValues/4)+"]\n", 5)},
		{name: "a document mark inside a line hides no values", data: "a: [" + strings.Repeat("1,", maxValues/2) + "'è--- ', " + strings.Repeat("1,", maxValues/2+1) + "]\n", code: TooLarge, line: 1},
		{name: "more documents than anybody writes", data: strings.Repeat("---\n", maxDocuments+1), code: TooLarge, line: 1},
		{name: "directives that are each compared with all", data: strings.Repeat("%TAG !a! b\n", maxHandles+1) + "--- a\n", code: TooLarge, line: 1},
		{name: "a file too large", data: strings.Repeat("a", MaxFileBytes+1), code: TooLarge, line: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			wantProblem(t, Guard("dir/f.yaml", []byte(test.data)), test.code, test.line)
		})
	}
}

func wantProblem(t *testing.T, got *Problem, code Code, line int) {
	t.Helper()
	switch {
	case got == nil && code == "":
	case got == nil:
		t.Errorf("got no problem, want %s in line %d", code, line)
	case code == "":
		t.Errorf("got %s (%s), want no problem", got.Code, got)
	case got.Code != code || got.File != "dir/f.yaml" || got.Line != line || got.Message == "":
		t.Errorf("got %s at %s, want %s at line %d", got.Code, got, code, line)
	}
}

func mappings(levels int) string {
	var b strings.Builder
	for i := range levels {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// stairs nests a sequence in a mapping at each column.
func stairs(levels int) string {
	var b strings.Builder
	for i := range levels {
		b.WriteString(strings.Repeat(" ", i) + "a:\n" + strings.Repeat(" ", i) + "-\n")
	}
	return b.String()
}

// bundle is what operators ship: thousands of documents of some kilobytes.
func bundle(size int) []byte {
	one := "---\n" + object + "data:\n" + "  key: a value of usual length, with a [bracket] and \"quotes\"\n"
	for i := range 40 {
		one += fmt.Sprintf("  key-%d:\n    type: string\n    description: 'The & sign, or *, in words; e.g. 10:30 - 11:00?'\n", i)
	}
	return bytes.Repeat([]byte(one), size/len(one))
}

func TestHonestBundlesPassWithoutBeingParsed(t *testing.T) {
	data := bundle(16 << 20)
	var problem *Problem
	if allocations := testing.AllocsPerRun(1, func() { problem = Guard("f", data) }); allocations > 4 {
		t.Errorf("Guard allocated %v times, as if it parsed", allocations)
	}
	if problem != nil {
		t.Error(problem)
	}
}

// TestMeasuringIsLinear counts the nodes that are measured: each of them once,
// however often aliases repeat it.
func TestMeasuringIsLinear(t *testing.T) {
	t.Parallel()
	for _, levels := range []int{3, 4, 5} {
		var document yaml.Node
		if err := yaml.Unmarshal([]byte(lolly(levels, "")), &document); err != nil {
			t.Fatal(err)
		}
		e := expansion{known: map[*yaml.Node]extent{}}
		x, problem := e.of(&document, 0)
		if problem != nil {
			t.Fatal(problem)
		}
		// The document, its mapping, for each level a key and a sequence, and ten scalars.
		if got, want := len(e.known), 2+2*levels+10; got != want {
			t.Errorf("%d levels: measured %d nodes, want %d", levels, got, want)
		}
		if want := expanded(&document); x.nodes != want {
			t.Errorf("%d levels: expands to %d nodes, measured %d", levels, want, x.nodes)
		}
	}
}

func expanded(n *yaml.Node) int {
	if n.Alias != nil {
		return expanded(n.Alias)
	}
	total := 1
	for _, child := range n.Content {
		total += expanded(child)
	}
	return total
}

// TestShapeErrsOnTheHighSide holds the counts against what the parser finds.
func TestShapeErrsOnTheHighSide(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		object, lolly(4, ""), mappings(100), stairs(100), strings.Repeat("- ", 40) + "x",
		"{a, b, c, \"d\":1, ? e : f}", "[a, {b: c}, [? d]]", "? a\n: ? b\n  : - c\n    - d\n", "a:\u0085 b:\u2028  c: 1\u2029", "a:\r b:\r  - c\r",
	} {
		s := shapeOf([]byte(data))
		var document yaml.Node
		if err := yaml.Unmarshal([]byte(data), &document); err != nil {
			t.Errorf("%q: %v", data, err)
			continue
		}
		nodes, levels := sizeOf(&document)
		if nodes > 3*s.values+2 {
			t.Errorf("%q: %d nodes, but only %d values counted", data, nodes, s.values)
		}
		if levels > s.brackets+s.indent+2 {
			t.Errorf("%q: %d levels, but only %d brackets and %d of indentation counted", data, levels, s.brackets, s.indent)
		}
	}
}

func sizeOf(n *yaml.Node) (nodes, levels int) {
	nodes = 1
	for _, child := range n.Content {
		n, l := sizeOf(child)
		nodes, levels = nodes+n, max(levels, l+1)
	}
	return nodes, levels
}
