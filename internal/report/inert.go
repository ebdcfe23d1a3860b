package report

import (
	"strings"
	"unicode"
)

// joiner has no width. Put into a word, it keeps a forge from seeing a mention, a
// reference or a link in it.
const joiner = "\u2060"

// escape makes text from elsewhere mean nothing but itself in Markdown, also
// inside a table: no formatting, no HTML, no links, nobody mentioned.
func escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '@' || r == '#':
			b.WriteString(string(r) + joiner)
		case strings.ContainsRune("\\`*_{}[]<>|~&", r):
			b.WriteString("\\" + string(r))
		case r == '\n' || r == '\r' || r == '\t':
			b.WriteByte(' ')
		case isHarmful(r):
			b.WriteRune(unicode.ReplacementChar)
		default:
			b.WriteRune(r)
		}
	}
	return strings.NewReplacer("://", ":"+joiner+"//", "www.", "www"+joiner+".").Replace(b.String())
}

// isHarmful reports whether a character could change how others are shown.
func isHarmful(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
}

// visible replaces the characters of a text that could change how others are
// shown; line feeds and tabs stay.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && isHarmful(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// code puts text into a code span that it can't end. A bar would end a table's
// cell even there.
func code(text string) string {
	text = strings.NewReplacer("\n", " ", "|", "¦").Replace(visible(text))
	fence := strings.Repeat("`", longestRun(text, '`')+1)
	if strings.HasPrefix(text, "`") || strings.HasSuffix(text, "`") {
		text = " " + text + " "
	}
	return fence + text + fence
}

// fenceFor returns a fence that the text can't end.
func fenceFor(text string) string {
	return strings.Repeat("`", max(3, longestRun(text, '`')+1))
}

func longestRun(text string, of byte) int {
	longest, run := 0, 0
	for i := range len(text) {
		if text[i] != of {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}
