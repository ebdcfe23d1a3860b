package manifest

import "bytes"

// shape is what one pass over the bytes of a file tells about its YAML without
// parsing it. Every count errs on the high side, whatever quotes, comments and
// text blocks make of the bytes: what is small here is small once it is parsed.
type shape struct {
	anchor, alias bool // both can stand in the bytes, as themselves or escaped in quotes
	brackets      int  // that open, in the document that has most
	indent        int  // levels that the deepest line can be at, brackets aside
	values        int  // indicators before a value, in the document that has most
	valuesLine    int  // of the first one over maxValues
	documents     int
	handles       int // %TAG directives; the parser compares each with all before it
}

// shapeOf measures the bytes of a file.
func shapeOf(data []byte) shape {
	s := shape{documents: 1}
	values, brackets := 0, 0 // in this document
	number := 1              // of the line, as editors count
	begins := true
	var l line
	for i, c := range data {
		next := byte('\n') // the end of the file ends a token as the end of a line does
		if i+1 < len(data) {
			next = data[i+1]
		}
		if begins && isDocumentMark(data[i:]) {
			values, brackets = 0, 0
			s.documents++
		}
		if begins = endsLine(data, i); begins {
			l = line{}
		}
		if c == '\n' {
			number++
		}
		s.indent = max(s.indent, l.add(c, next))
		if c == '[' || c == '{' {
			brackets++
			s.brackets = max(s.brackets, brackets)
		}
		if precedesValue(c, next) {
			values++
			if s.values = max(s.values, values); s.valuesLine == 0 && values > maxValues {
				s.valuesLine = number
			}
		}
		s.note(data, i)
	}
	return s
}

// note counts what a byte alone, or with those beside it, can be.
func (s *shape) note(data []byte, i int) {
	switch data[i] {
	case '&':
		s.anchor = s.anchor || beginsName(data, i)
	case '*':
		s.alias = s.alias || beginsName(data, i)
	case '\\':
		if isEscapedIndicator(data[i+1:]) {
			s.anchor, s.alias = true, true
		}
	case '%':
		if bytes.HasPrefix(data[i:], []byte("%TAG")) {
			s.handles++
		}
	}
}

// precedesValue reports whether the byte can be an indicator, after which comes
// at most one key and one value.
func precedesValue(c, next byte) bool {
	switch c {
	case '[', '{', ',', ':':
		return true
	case '-', '?':
		return isBlank(next)
	}
	return false
}

// line counts how deep one line can nest: two levels for each space of the
// longest run of spaces, since a sequence may stand where its mapping does, and
// one for each indicator that opens a block on the same line.
type line struct{ spaces, longest, indicators int }

func (l *line) add(c, next byte) int {
	switch c {
	case ' ':
		l.spaces++
		l.longest = max(l.longest, l.spaces)
	case '-', '?', ':':
		if isBlank(next) {
			l.indicators++
		}
		l.spaces = 0
	default:
		l.spaces = 0
	}
	return 2*l.longest + l.indicators
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// endsLine reports whether the byte is the last one of a line break. YAML 1.1
// knows three that are more than a byte: NEL, LS and PS.
func endsLine(data []byte, i int) bool {
	switch data[i] {
	case '\n', '\r':
		return true
	case 0x85:
		return i > 0 && data[i-1] == 0xC2
	case 0xA8, 0xA9:
		return i > 1 && data[i-1] == 0x80 && data[i-2] == 0xE2
	}
	return false
}

// isDocumentMark reports whether the line that begins here ends a document. No
// text can hold such a line: YAML forbids it even inside quotes.
func isDocumentMark(line []byte) bool {
	marks := bytes.HasPrefix(line, []byte("---")) || bytes.HasPrefix(line, []byte("..."))
	return marks && (len(line) == 3 || isBlank(line[3]))
}

// beginsName reports whether the indicator at i can begin an anchor or alias: a
// name follows it, and it is not inside a word.
func beginsName(data []byte, i int) bool {
	if i+1 == len(data) || !isNameByte(data[i+1]) {
		return false
	}
	return i == 0 || data[i-1] >= 0x80 || bytes.IndexByte([]byte(" \t\n\r[{,:-?"), data[i-1]) >= 0
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// isEscapedIndicator reports whether a quoted text writes "&" or "*" as an escape
// here: what is YAML inside of that text has the indicator itself.
func isEscapedIndicator(after []byte) bool {
	for _, prefix := range []string{"x", "u00", "U000000"} {
		if rest, is := bytes.CutPrefix(after, []byte(prefix)); is && len(rest) >= 2 {
			return rest[0] == '2' && (rest[1] == '6' || rest[1] == 'a' || rest[1] == 'A')
		}
	}
	return false
}
