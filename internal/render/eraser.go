package render

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// struck stands for a value in a message that may not be shown.
const struck = "***"

const (
	// minValue is the shortest value, in bytes, that is struck out; shorter ones
	// are parts of ordinary words, and are no secret to speak of.
	minValue = 4
	// gramLength is how many letters and digits in a row, equal to those of a value,
	// make a piece of the text a piece of the value. It must be less than the seven
	// characters to which YAML parsers shorten what they quote.
	gramLength = 6
	// maxText is how many bytes of an error are worth keeping; what is in front of
	// them says no more than that the rest went wrong.
	maxText = 64 << 10
)

type gram [gramLength]rune

// eraser strikes values out of a text. It compares letters and digits alone, a
// few at a time, so that it finds a value that was quoted, escaped, indented,
// wrapped or cut short on its way into the text.
type eraser struct {
	text     string
	hidden   []bool         // by byte of text
	skeleton []letter       // of text
	grams    map[gram][]int // where in the skeleton
}

// letter is a letter or digit of a text and where it stands.
type letter struct {
	rune       rune
	begin, end int
}

func newEraser(text string) *eraser {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[len(text)-maxText:], "")
	}
	e := &eraser{text: text, hidden: make([]bool, len(text)), skeleton: skeletonOf(text), grams: map[gram][]int{}}
	for i := range len(e.skeleton) - gramLength + 1 {
		g := gramAt(e.skeleton, i)
		e.grams[g] = append(e.grams[g], i)
	}
	for _, at := range byteList.FindAllStringIndex(text, -1) {
		e.hide(at[0], at[1])
	}
	return e
}

// byteList is how fmt prints bytes that were meant to be text.
var byteList = regexp.MustCompile(`\b\d{1,3}( \d{1,3}){3,}\b`)

// escapes are what may stand in quoted text for a character that is no letter,
// quoted any number of times.
var escapes = regexp.MustCompile(`\\+(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[abfnrtv])?`)

// skeletonOf drops everything from a text but its letters and digits. A value and
// the same value in quotes have the same skeleton.
func skeletonOf(text string) []letter {
	var letters []letter
	take := func(begin, end int) {
		for i, r := range text[begin:end] {
			if r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
				letters = append(letters, letter{r, begin + i, begin + i + utf8.RuneLen(r)})
			}
		}
	}
	begin := 0
	for _, at := range escapes.FindAllStringIndex(text, -1) {
		take(begin, at[0])
		begin = at[1]
	}
	take(begin, len(text))
	return letters
}

func gramAt(letters []letter, at int) gram {
	var g gram
	for i := range g {
		g[i] = letters[at+i].rune
	}
	return g
}

func (e *eraser) hide(begin, end int) {
	for i := begin; i < end; i++ {
		e.hidden[i] = true
	}
}

// strike strikes out every piece of a value.
func (e *eraser) strike(value string) {
	if len(value) < minValue {
		return
	}
	letters := skeletonOf(value)
	if len(letters) < gramLength {
		e.strikeExact(value)
		return
	}
	for i := range len(letters) - gramLength + 1 {
		for _, at := range e.grams[gramAt(letters, i)] {
			e.hide(e.skeleton[at].begin, e.skeleton[at+gramLength-1].end)
		}
	}
}

// strikeExact strikes out a value of too few letters to be known by them.
func (e *eraser) strikeExact(value string) {
	for from := 0; ; {
		at := strings.Index(e.text[from:], value)
		if at < 0 {
			return
		}
		e.hide(from+at, from+at+len(value))
		from += at + 1
	}
}

// prose are words of kustomize's own sentences, and of YAML of every kind. They
// stay: a Secret that holds a manifest would take all meaning from a message.
var prose = []string{
	"accumulating", "accumulation", "resources", "resource", "kustomization", "apiVersion", "metadata", "namespace",
	"annotations", "stringData", "secretGenerator", "configuring", "transformer", "generator", "builtin", "strategic",
	"target", "failed", "matches", "invalid", "unmarshal", "registered", "replacement", "expected", "configuration",
}

// String is what is left of the text.
func (e *eraser) String() string {
	var b strings.Builder
	begin := 0
	for at := 0; at <= len(e.text); at++ {
		if at < len(e.text) && isWordByte(e.text[at]) {
			continue
		}
		e.write(&b, begin, at)
		if at < len(e.text) {
			e.write(&b, at, at+1)
		}
		begin = at + 1
	}
	text := b.String()
	for strings.Contains(text, struck+struck) {
		text = strings.ReplaceAll(text, struck+struck, struck)
	}
	return strings.ToValidUTF8(text, string(utf8.RuneError))
}

func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// write writes a word, or what stands between two.
func (e *eraser) write(b *strings.Builder, begin, end int) {
	if slices.Contains(prose, e.text[begin:end]) {
		b.WriteString(e.text[begin:end])
		return
	}
	for i := begin; i < end; i++ {
		if !e.hidden[i] {
			b.WriteByte(e.text[i])
		} else if i == begin || !e.hidden[i-1] {
			b.WriteString(struck)
		}
	}
}
