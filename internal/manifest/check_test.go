package manifest

import (
	"strings"
	"testing"
)

func TestCheckYAML(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, data string
		code       Code // empty: nothing is wrong
		line       int
	}{
		{name: "nothing"},
		{name: "comments", data: "# nothing\n---\n# more\n"},
		{name: "an object", data: object},

		{name: "a bracket that is not closed", data: "a: 1\nb: [1\nc: 2\n", code: Syntax, line: 2},
		{name: "a brace that is not closed", data: "a: 1\nb: {x: 1\n", code: Syntax, line: 2},
		{name: "a quote that is not closed", data: "a: 1\nb: \"x\nc: 2\nd: 3\n", code: Syntax, line: 2},
		{name: "a quote that is not closed, long before the end", data: "a: 1\nb: 'x\n" + strings.Repeat("c: 2\n", 5000), code: Syntax, line: 2},
		{name: "a sequence after a mapping", data: "a: 1\n- b\n", code: Syntax, line: 2},
		{name: "a sequence after a long mapping", data: strings.Repeat("a:\n  b: 1\n", 300) + "- c\n", code: Syntax, line: 601},
		{name: "a tab", data: "a: 1\nb: 2\n\tc: 2\n", code: Syntax, line: 3},
		{name: "a mapping in a mapping's value", data: "a: 1\nb: 2\n c: 3\n", code: Syntax, line: 3},
		{name: "an alias to nothing", data: "a: 1\nb: *x\n", code: Syntax, line: 2},
		{name: "a control character", data: "a: 1\nb: \x01\n", code: Syntax, line: 2},
		{name: "only a bracket", data: "]", code: Syntax, line: 1},
		{name: "in the second document", data: object + "---\nb: 1\n]\n", code: Syntax, line: 6},
		{name: "deep in the second document", data: object + "---\na:\n  b:\n    c: 1\n   d: 2\n", code: Syntax, line: 8},
		{name: "after CRLF", data: "a: 1\r\nb: 1\r\nc\r\nd: 1\r\n", code: Syntax, line: 3},
		{name: "after a byte order mark", data: "\ufeffa: 1\nb: [\n", code: Syntax, line: 2},
		{name: "after a flow of several lines", data: "a: [1,\n  2,\n  3]\nb: 1\n- c\n", code: Syntax, line: 5},

		{name: "a key twice", data: "a: 1\nb: 2\na: 3\n", code: DuplicateKey, line: 3},
		{name: "a key twice, once quoted", data: "1: 1\n\"1\": 2\n", code: DuplicateKey, line: 2},
		{name: "a key twice in a flow in a sequence", data: "- a\n- {b: 1,\n   b: 2}\n", code: DuplicateKey, line: 3},
		{name: "a key twice in the second document, after CRLF and a mark", data: "\ufeffa: 1\r\n---\r\na: 1\r\na: 2\r\n", code: DuplicateKey, line: 4},
		{name: "the first of two faults", data: "a: 1\na: 2\n---\n]\n", code: DuplicateKey, line: 2},
		{name: "two merges", data: "x: &x {a: 1}\ny: &y {b: 1}\nz:\n  <<: *x\n  <<: *y\n"},
		{name: "a key in a mapping and in the one it holds", data: "a:\n  a:\n    a: 1\n"},
		{name: "keys that are mappings", data: "? {a: 1}\n: 1\n? {a: 1}\n: 2\n"},

		{name: "what Guard refuses", data: lolly(7, ""), code: Expansion, line: 6},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			wantProblem(t, CheckYAML("dir/f.yaml", []byte(test.data)), test.code, test.line)
		})
	}
}

func TestMessagesQuoteNoContent(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"a: *canary\n", "a: \"canary\\q\"\n", "canary: [\n", "a: 1\n\tcanary\n", "canary: 1\nb: canary: 2\n"} {
		problem := CheckYAML("f", []byte(data))
		if problem == nil {
			t.Errorf("%q: no problem", data)
			continue
		}
		if strings.Contains(problem.Error(), "canary") {
			t.Errorf("%q: the message repeats it: %s", data, problem)
		}
	}
}

// TestLongFilesKeepTheParsersLine pins that the search for a line, which parses
// again and again, ends at a size.
func TestLongFilesKeepTheParsersLine(t *testing.T) {
	t.Parallel()
	data := "a: " + strings.Repeat("a", maxSearched) + "\nb: 2\nc: @\n"
	wantProblem(t, CheckYAML("dir/f.yaml", []byte(data)), Syntax, 3)
	if line := unreadableLine([]byte(data)); line != 0 {
		t.Errorf("line %d was searched for in %d bytes", line, len(data))
	}
}
