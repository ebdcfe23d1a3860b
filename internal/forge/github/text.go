package github

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// characters is as many of a text's characters as fit.
func characters(text string, most int) string {
	for at := range text {
		if most == 0 {
			return text[:at]
		}
		most--
	}
	return text
}

// octets is as many of a text's characters as fit into so many bytes.
func octets(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// line is a text as one line of plain words, as many as fit; … stands for the others. It
// is the same for what it returns, so that what is read again can be held against it.
func line(text string, most int) string {
	words := strings.FieldsFunc(strings.ToValidUTF8(text, "\uFFFD"), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
	text = strings.Join(words, " ")
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	short := characters(text, most-1)
	if at := strings.LastIndexByte(short, ' '); at > 0 && text[len(short)] != ' ' {
		short = short[:at]
	}
	return strings.TrimRight(short, " ") + "…"
}
