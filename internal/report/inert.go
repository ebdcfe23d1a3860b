package report

import (
	"fmt"
	"regexp"
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
	for _, r := range strings.TrimSpace(Inline(text)) {
		switch {
		case strings.ContainsRune("@#!$%", r):
			b.WriteString(string(r) + joiner)
		case strings.ContainsRune("~&", r):
			b.WriteString("\\" + string(r) + joiner)
		case strings.ContainsRune("\\`*_{}[]<>|", r):
			b.WriteString("\\" + string(r))
		default:
			b.WriteRune(r)
		}
	}
	escaped := linkBegin.ReplaceAllString(b.String(), "$1"+joiner+"$2")
	return blockBegin.ReplaceAllString(escaped, "$1\\$2")
}

var (
	// linkBegin is where forges begin to see a link without any brackets, or a
	// reference to an issue.
	linkBegin = regexp.MustCompile(`(?i)(:|www|(?:^|[^a-z0-9])gh)(//|\.|-)`)
	// blockBegin would begin a list, a rule or a heading at the start of a line.
	blockBegin = regexp.MustCompile(`^(\d*)([-+=.)])`)
)

// isHarmful reports whether a character could change how others are shown, or
// can't be seen at all.
func isHarmful(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
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

// maxInline is how many characters of a name or a sentence are shown. Longer ones
// are meant to be a nuisance; the JSON has them whole.
const maxInline = 500

// Inline is text that a stranger may have written, for where it is shown as it is: on one
// line, cut to a bound, and with nothing in it that changes how other text is shown.
func Inline(text string) string { return cut(text, maxInline) }

// Plain is Inline for where a forge reads text without Markdown, as in titles and messages
// of commits: nobody is mentioned, and nothing is closed by it.
func Plain(text string) string {
	return strings.NewReplacer("@", "@"+joiner, "#", "#"+joiner, "://", ":"+joiner+"//").Replace(Inline(text))
}

func cut(text string, most int) string {
	count := 0
	for at := range text {
		if count++; count > most {
			text = text[:at] + "…"
			break
		}
	}
	return oneLine.Replace(visible(text))
}

var oneLine = strings.NewReplacer("\n", " ", "\t", " ")

// code puts text into a code span that it can't end. A bar would end a table's
// cell even there.
func code(text string) string {
	text = strings.ReplaceAll(Inline(text), "|", "¦")
	fence := strings.Repeat("`", longestRun(text, '`')+1)
	if text == "" || strings.HasPrefix(text, "`") || strings.HasSuffix(text, "`") {
		text = " " + text + " "
	}
	return fence + text + fence
}

// position is a file and its line.
func position(file string, line int) string {
	file = cut(file, maxInline/2) // so that the line is seen with any file
	if line > 0 {
		return fmt.Sprintf("%s:%d", file, line)
	}
	return file
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
