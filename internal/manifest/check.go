package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// CheckYAML reports the first thing wrong with the YAML of a file: text that
// does not parse, or a mapping that names a key twice. The message never quotes
// the file's content beyond the name of a key.
func CheckYAML(file string, data []byte) *Problem {
	if problem := Guard(file, data); problem != nil {
		return problem
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			problem := syntax(file, err)
			if line := unreadableLine(data); line > 0 {
				problem.Line = line
			}
			return problem
		}
		if key, line := duplicateKey(&document); line > 0 {
			return &Problem{Code: DuplicateKey, File: file, Line: line,
				Message: fmt.Sprintf("the key %s is given twice in one mapping; keep one of them", Quote(key))}
		}
	}
}

// syntax is the problem of text that does not parse. Its line is where the
// parser says it stopped; that may be one too few, or where the mapping began.
func syntax(file string, err error) *Problem {
	return &Problem{Code: Syntax, File: file, Line: saidLine(err), Detail: err.Error(),
		Message: "this is not valid YAML; look for wrong indentation, a tab or a missing quote or bracket here"}
}

var lineInText = regexp.MustCompile(`line (\d+)`)

// saidLine is the line that a parser's error names. It says so in its text alone;
// without one, the file's first line stands for it.
func saidLine(err error) int {
	if found := lineInText.FindStringSubmatch(err.Error()); found != nil {
		line, _ := strconv.Atoi(found[1])
		return max(1, line)
	}
	return 1
}

// Limits on the search for the line of an error, which parses again and again.
const (
	maxSearched = 256 << 10 // bytes
	nearLines   = 16
)

// unreadableLine returns the line after the longest run of lines that can be
// read: where what is wrong begins. It returns 0 if the file is too large to
// search.
func unreadableLine(data []byte) int {
	if len(data) > maxSearched {
		return 0
	}
	source := &lineReader{data: data}
	if readable(source) {
		return 0
	}
	data = data[:source.at]
	ends := lineEnds(data)
	readableTo := func(lines int) bool { return lines == 0 || readable(bytes.NewReader(data[:ends[lines-1]])) }
	bad := len(ends) // lines of which the last is at fault, or an earlier one that is not closed
	for range nearLines {
		if readableTo(bad - 1) {
			return bad
		}
		bad--
	}
	for good := 0; good+1 < bad; {
		if middle := (good + bad) / 2; readableTo(middle) {
			good = middle
		} else {
			bad = middle
		}
	}
	return bad
}

// readable reports whether a stream is YAML to its end.
func readable(source io.Reader) bool {
	decoder := yaml.NewDecoder(source)
	for {
		var document yaml.Node
		if err := decoder.Decode(&document); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// lineReader gives a line at a time, so that what was not needed to find an error
// is not read.
type lineReader struct {
	data []byte
	at   int
}

func (r *lineReader) Read(into []byte) (int, error) {
	if r.at == len(r.data) {
		return 0, io.EOF
	}
	line := r.data[r.at:]
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line = line[:end+1]
	}
	n := copy(into, line)
	r.at += n
	return n, nil
}

// lineEnds are the offsets after each line.
func lineEnds(data []byte) []int {
	var ends []int
	at := 0
	for line := range bytes.Lines(data) {
		at += len(line)
		ends = append(ends, at)
	}
	return ends
}

func duplicateKey(n *yaml.Node) (string, int) {
	if n.Kind == yaml.MappingNode {
		seen := make(map[string]bool, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
				continue
			}
			if seen[key.Value] {
				return key.Value, key.Line
			}
			seen[key.Value] = true
		}
	}
	for _, child := range n.Content {
		if key, line := duplicateKey(child); line > 0 {
			return key, line
		}
	}
	return "", 0
}
