package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Limits on one file of YAML. The largest files that real repositories render
// (bundles of CRDs) are some megabytes of a few thousand documents, and expand
// to a few hundred nodes through their aliases.
const (
	MaxFileBytes = 32 << 20
	maxExpansion = 1 << 20 // nodes after all aliases are expanded
	maxDepth     = 500
)

// Guard reports what makes a file of YAML unsafe or impossible to read, before
// any renderer sees it: bytes that are not text, aliases that expand without
// bound and nesting without end. It costs one pass over the bytes unless the
// file has something to count.
func Guard(file string, data []byte) *Problem {
	if len(data) > MaxFileBytes {
		return &Problem{Code: TooLarge, File: file, Line: 1,
			Message: fmt.Sprintf("the file is larger than %d MiB; split it", MaxFileBytes>>20)}
	}
	if at := firstNonText(data); at >= 0 {
		return &Problem{Code: Encoding, File: file, Line: lineOf(data, at),
			Message: "the file is not UTF-8 text; save it as UTF-8"}
	}
	if problem := guardNodes(data, 0); problem != nil {
		return problem.At(file)
	}
	return nil
}

// firstNonText returns the offset of the first byte that is not UTF-8 or is a
// NUL, or -1.
func firstNonText(data []byte) int {
	if utf8.Valid(data) {
		return bytes.IndexByte(data, 0)
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == 0 || r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return -1
}

func lineOf(data []byte, offset int) int {
	return 1 + bytes.Count(data[:offset], []byte("\n"))
}

// maxInline is how many levels of YAML inside a YAML string are followed: an
// inline patch is one, an inline generator with an inline patch is two.
const maxInline = 2

// guardNodes parses only what might expand or nest; a file that does neither is
// left to its renderer. A file that is not YAML at all is no concern of this
// function: whoever reads it says so.
func guardNodes(data []byte, level int) *Problem {
	aliases := hasAnchorAndAlias(data)
	if !aliases && !mayNest(data) {
		return nil
	}
	if line := tooManyBrackets(data); line > 0 {
		return deep(line)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var document yaml.Node
		if err := decoder.Decode(&document); err != nil {
			return nil
		}
		count := expansion{sizes: map[*yaml.Node]int{}, level: level}
		if _, problem := count.size(&document, 0); problem != nil {
			return problem
		}
	}
}

// hasAnchorAndAlias reports whether the bytes could hold both an anchor and an
// alias; most files hold neither.
func hasAnchorAndAlias(data []byte) bool {
	return hasToken(data, '&') && hasToken(data, '*')
}

// hasToken reports whether the indicator stands where a YAML token can begin
// and is followed by a name.
func hasToken(data []byte, indicator byte) bool {
	for at := 0; ; at++ {
		next := bytes.IndexByte(data[at:], indicator)
		if next < 0 {
			return false
		}
		at += next
		begins := at == 0 || bytes.IndexByte([]byte(" \t\n\r[{,:-?"), data[at-1]) >= 0
		named := at+1 < len(data) && bytes.IndexByte([]byte(" \t\n\r*&"), data[at+1]) < 0
		if begins && named {
			return true
		}
	}
}

// mayNest reports whether the bytes could nest deeper than maxDepth: through
// brackets, or through a line that is indented that far or opens that many
// sequences.
func mayNest(data []byte) bool {
	open := bytes.Count(data, []byte("[")) + bytes.Count(data, []byte("{"))
	if open > maxDepth {
		return true
	}
	return bytes.Contains(data, bytes.Repeat([]byte(" "), maxDepth)) ||
		bytes.Count(data, []byte("- - ")) > maxDepth/2 || bytes.Count(data, []byte("? ? ")) > maxDepth/2
}

// maxBrackets is where the parser itself gives up, slowly.
const maxBrackets = 10_000

// tooManyBrackets returns the line at which more brackets are open than any
// parser accepts, or 0. It knows no quotes: text that unbalanced is refused too.
func tooManyBrackets(data []byte) int {
	open := 0
	for i, c := range data {
		switch c {
		case '[', '{':
			if open++; open > maxBrackets {
				return lineOf(data, i)
			}
		case ']', '}':
			open = max(0, open-1)
		}
	}
	return 0
}

func deep(line int) *Problem {
	return &Problem{Code: Depth, Line: line,
		Message: fmt.Sprintf("the YAML is nested more than %d levels deep; flatten it", maxDepth)}
}

// counting marks a node whose size is being counted: an alias to it is endless.
const counting = -1

// expansion counts how many nodes a document has once its aliases are expanded,
// each anchor once.
type expansion struct {
	sizes map[*yaml.Node]int
	level int
}

func (e *expansion) size(n *yaml.Node, depth int) (int, *Problem) {
	if depth > maxDepth {
		return 0, deep(n.Line)
	}
	if size, known := e.sizes[n]; known {
		if size == counting {
			return 0, bomb(n.Line)
		}
		return size, nil
	}
	if n.Kind == yaml.AliasNode {
		if n.Alias == nil {
			return 1, nil
		}
		return e.checked(n, n.Alias, depth)
	}
	e.sizes[n] = counting
	total := 1
	for _, child := range n.Content {
		size, problem := e.size(child, depth+1)
		if problem != nil {
			return 0, problem
		}
		if total += size; total > maxExpansion {
			return 0, bomb(child.Line)
		}
	}
	e.sizes[n] = total
	if n.Kind == yaml.ScalarNode && e.level < maxInline && bytes.IndexByte([]byte(n.Value), '\n') >= 0 {
		if problem := guardNodes([]byte(n.Value), e.level+1); problem != nil {
			problem.Line += n.Line
			return 0, problem
		}
	}
	return total, nil
}

func (e *expansion) checked(alias, target *yaml.Node, depth int) (int, *Problem) {
	size, problem := e.size(target, depth)
	if problem == nil && size > maxExpansion {
		problem = bomb(alias.Line)
	}
	return size, problem
}

func bomb(line int) *Problem {
	return &Problem{Code: Expansion, Line: line,
		Message: fmt.Sprintf("aliases expand to more than %d nodes; write the values out, or generate them", maxExpansion)}
}

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
			return &Problem{Code: Syntax, File: file, Line: syntaxLine(err), Message: "this is not valid YAML", Detail: err.Error()}
		}
		if key, line := duplicateKey(&document); line > 0 {
			return &Problem{Code: DuplicateKey, File: file, Line: line,
				Message: fmt.Sprintf("the key %s is given twice in one mapping; keep one of them", Quote(key))}
		}
	}
}

var lineInText = regexp.MustCompile(`line (\d+)`)

// syntaxLine is the line at which the parser stopped. It says so in its text
// alone; without one, the file's first line stands for it.
func syntaxLine(err error) int {
	if found := lineInText.FindStringSubmatch(err.Error()); found != nil {
		line, _ := strconv.Atoi(found[1])
		return max(1, line)
	}
	return 1
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
