package manifest

import "fmt"

// Code is the class of a Problem. The set is closed: callers switch on it and
// never on the text of an error.
type Code string

// The classes, by where the fault lies: in the text of a file, in what a file
// asks for, in what came out, or in the limits a worker runs under.
const (
	Encoding     Code = "encoding"      // not UTF-8, or control characters YAML forbids
	Syntax       Code = "syntax"        // not YAML
	DuplicateKey Code = "duplicate-key" // one mapping names a key twice
	Expansion    Code = "expansion"     // aliases that expand without bound
	Depth        Code = "depth"         // nested too deeply
	TooLarge     Code = "too-large"     // a file, a number of objects or an output over its limit

	Invalid       Code = "invalid"          // well-formed, but not what its place asks for
	Missing       Code = "missing"          // a path that is not in the tree
	Outside       Code = "outside"          // a path or link that leaves the repository
	RemoteRefused Code = "remote-refused"   // something that would have to be fetched
	HelmRefused   Code = "helm-refused"     // a chart inside a kustomization
	PluginRefused Code = "plugin-refused"   // an exec, container or Starlark plugin
	Cycle         Code = "cycle"            // a kustomization that reaches itself
	NotAnObject   Code = "not-an-object"    // a document that is no Kubernetes object
	DuplicateID   Code = "duplicate-object" // two objects of one identity in one target
	RenderFailed  Code = "render-failed"    // the renderer's own reason, none of the above

	Timeout  Code = "timeout"  // the worker's wall clock ran out
	Memory   Code = "memory"   // the worker's memory ran out
	Crash    Code = "crash"    // the worker died
	Protocol Code = "protocol" // the worker said what a worker must not say
	Sandbox  Code = "sandbox"  // the worker did what its sandbox forbids
)

// Problem is why something could not be read or rendered, in words that are
// safe to show to anyone who can read the repository: no value of a Secret is
// ever in it. File is relative to the repository's root and Line counts from 1;
// both are zero only where no file is to blame. Detail is for the log alone.
type Problem struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Detail  string `json:"-"`
}

// Error prints "file:line: message".
func (p *Problem) Error() string {
	switch {
	case p.File != "" && p.Line > 0:
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Message)
	case p.File != "":
		return p.File + ": " + p.Message
	}
	return p.Message
}

// At returns the problem as one of the given file, which it did not know.
func (p *Problem) At(file string) *Problem {
	q := *p
	q.File = file
	return &q
}
