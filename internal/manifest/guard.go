package manifest

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Limits on one file of YAML. The largest files that real repositories render
// (bundles of CRDs) are some megabytes of a few thousand documents, and expand
// to a few hundred nodes through their aliases; the largest documents (schemas of
// all of Kubernetes) have some 300,000 values. A parsed value takes some 300 bytes.
const (
	MaxFileBytes = 32 << 20
	maxValues    = 1 << 20 // in one document, as counted by shapeOf
	maxDocuments = 100_000
	maxExpansion = 1 << 20 // nodes after all aliases are expanded
	maxDepth     = 500     // levels, aliases expanded
	maxHandles   = 1000    // %TAG directives
)

// Guard reports what makes a file of YAML unsafe or impossible to read, before
// any renderer sees it: bytes that are not text, aliases that expand without
// bound, nesting without end, and more values than memory should hold. It costs
// two passes over the bytes unless the file has something to count.
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
	s := shapeOf(data)
	if problem := s.problem(); problem != nil {
		return problem
	}
	if !(s.anchor && s.alias) && s.brackets+s.indent <= maxDepth {
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
		count := expansion{known: map[*yaml.Node]extent{}, level: level}
		if _, problem := count.of(&document, 0); problem != nil {
			return problem
		}
	}
}

// problem is what is too much before anything is parsed.
func (s shape) problem() *Problem {
	switch {
	case s.values > maxValues:
		return &Problem{Code: TooLarge, Line: s.valuesLine, Message: fmt.Sprintf("one document has more than %d values; split it", maxValues)}
	case s.documents > maxDocuments:
		return &Problem{Code: TooLarge, Line: 1, Message: fmt.Sprintf("the file has more than %d documents; split it", maxDocuments)}
	case s.handles > maxHandles:
		return &Problem{Code: TooLarge, Line: 1, Message: fmt.Sprintf("the file has more than %d %%TAG directives; remove them", maxHandles)}
	}
	return nil
}

// maxBrackets is where the parser itself gives up.
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

// extent is how large a node is once its aliases are expanded.
type extent struct {
	nodes  int
	levels int // below it
}

// measuring is the extent of a node that is being measured: an alias to it is
// endless.
var measuring = extent{nodes: -1}

// expansion measures a document once its aliases are expanded, each node once.
type expansion struct {
	known map[*yaml.Node]extent
	level int // of YAML inside strings of YAML
}

func (e *expansion) of(n *yaml.Node, depth int) (extent, *Problem) {
	line := n.Line
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	x, known := e.known[n]
	switch {
	case x == measuring:
		return x, bomb(line)
	case depth+x.levels > maxDepth:
		return x, deep(line)
	case known:
		return x, nil
	}
	e.known[n] = measuring
	x.nodes = 1
	for _, child := range n.Content {
		below, problem := e.of(child, depth+1)
		if problem != nil {
			return x, problem
		}
		if x.nodes += below.nodes; x.nodes > maxExpansion {
			return x, bomb(child.Line)
		}
		x.levels = max(x.levels, below.levels+1)
	}
	e.known[n] = x
	if n.Kind == yaml.ScalarNode && e.level < maxInline {
		if problem := guardNodes([]byte(n.Value), e.level+1); problem != nil {
			problem.Line += line
			return x, problem
		}
	}
	return x, nil
}

func bomb(line int) *Problem {
	return &Problem{Code: Expansion, Line: line,
		Message: fmt.Sprintf("the YAML has more than %d values once its aliases are expanded; use fewer aliases, or generate the values", maxExpansion)}
}
