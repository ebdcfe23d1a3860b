package github

import (
	"strings"
	"testing"
)

// TestLine holds that a text becomes one line of as many words as fit, and that a line
// stays as it is.
func TestLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                    "",
		" \n\t ":              "",
		"one two":             "one two",
		"a\r\n  b\x00c\u00a0": "a b c",
		"0123456789":          "0123456789",
		"0123456789a":         "012345678…",
		"0123 56789a":         "0123…",
		"012345678 a":         "012345678…",
		"01234567 9a":         "01234567…",
		"⚓⚓⚓⚓⚓⚓⚓⚓⚓⚓":          "⚓⚓⚓⚓⚓⚓⚓⚓⚓⚓",
		"⚓⚓⚓⚓⚓ ⚓⚓⚓⚓⚓":         "⚓⚓⚓⚓⚓…",
		"a\xffb":              "a\uFFFDb",
	} {
		if got := line(text, 10); got != want || line(got, 10) != got || strings.ContainsAny(got, "\n\r\t") {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
