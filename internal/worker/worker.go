// Package worker runs work on hostile input in a process that has no files and
// no network: the program starts itself again, locks that process up, and
// answers its questions about the repository over one socket. A job is bytes in
// and bytes out, plus the list of paths the answer was made from.
//
// The package has two sides. The parent holds a [Pool] of workers, serves files
// to them from a [Files], limits them, and says how one died. The worker side is
// [Program.Main], which a hidden command calls.
//
// It never renders or judges anything itself, never lets a worker name what the
// parent did not serve, never uses a worker for a second domain, and never
// derives a class of failure from the text of a message.
package worker

import (
	"errors"
	"log/slog"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/davitops/davit/internal/tree"
)

// The facts that cross the socket are those of a tree.
type (
	// Kind says what is at a path.
	Kind = tree.Kind
	// Fact is what the parent says is at a path; its ID stays with the parent.
	Fact = tree.Fact
	// Entry is one name in a directory.
	Entry = tree.Name
	// Files answers what is in a tree. The parent's tree implements it, and in the
	// worker the other end of the socket does. An error means that the tree could
	// not be read, which ends the job.
	Files = tree.Files
)

// The kinds under the names this package uses; Refused is there and not served.
const (
	Absent  = tree.Absent
	Dir     = tree.Dir
	File    = tree.File
	Outside = tree.Outside
	Refused = tree.TooLarge
	kinds   = tree.TooLarge + 1
)

// Handler does one kind of job in the worker. The payload it returns goes to the
// parent; an error becomes a JobError there. To say that the process must not be
// used again, return ErrDirty itself, which leaves the payload valid, or join it
// to the error.
type Handler func(files Files, payload []byte) ([]byte, error)

// Job is one piece of work.
type Job struct {
	Kind    string // which Handler
	Payload []byte
	Files   Files    // nil: there are none
	Domain  string   // trust domain and repository: workers are not shared across domains
	Hints   []string // paths whose present facts, content included, are sent along
}

// Use is a path that a job's answer depends on.
type Use struct {
	Path    string
	Listed  bool // the names in it were read
	Content bool // its bytes were read
}

// Questions are what a later look at the same tree must answer alike for the job
// to have the same result.
func (r Result) Questions() []tree.Use {
	questions := make([]tree.Use, 0, len(r.Used))
	for _, u := range r.Used {
		questions = append(questions, tree.Use{Path: u.Path})
		if u.Listed {
			questions = append(questions, tree.Use{Path: u.Path, Listed: true})
		}
	}
	return questions
}

// Result is what a job returned.
type Result struct {
	Payload  []byte
	Used     []Use  // sorted by path, each path once; none that the parent did not serve
	Warnings string // what the worker printed, up to 16 KiB; may hold content, so it is for logs
	Peak     uint64 // bytes resident at most in the worker's life so far; 0 if unknown
}

// Limits bound one job or one worker. A zero field means its default.
type Limits struct {
	Wall     time.Duration // one job, the time to serve its files included
	CPU      time.Duration // a worker's life; it is retired before a job could hit this
	Heap     int64         // bytes of heap objects at which a worker ends itself
	Data     int64         // bytes of writable memory that the kernel grants beyond the start's
	Resident int64         // bytes resident at which the parent kills, sampled every 10 ms
	Output   int64         // bytes of one job's result
	Served   int64         // bytes sent to one job
	Requests int           // questions of one job
	Jobs     int           // jobs in a worker's life
	Age      time.Duration // a worker's life
}

// DefaultLimits returns limits that legitimate repositories stay far below. The
// order matters: the runtime collects from 256 MiB on, so Heap must be above
// that, or garbage alone would end a worker, and Data above Heap.
func DefaultLimits() Limits {
	const mib = 1 << 20
	return Limits{
		Wall: 30 * time.Second, CPU: 10 * time.Minute,
		Heap: 512 * mib, Data: 768 * mib, Resident: 1024 * mib,
		Output: 64 * mib, Served: 256 * mib, Requests: 100_000,
		Jobs: 1000, Age: time.Hour,
	}
}

// withDefaults fills the fields that were left zero.
func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	fill(&l.Wall, d.Wall)
	fill(&l.CPU, d.CPU)
	fill(&l.Heap, d.Heap)
	fill(&l.Data, d.Data)
	fill(&l.Resident, d.Resident)
	fill(&l.Output, d.Output)
	fill(&l.Served, d.Served)
	fill(&l.Requests, d.Requests)
	fill(&l.Jobs, d.Jobs)
	fill(&l.Age, d.Age)
	return l
}

func fill[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Options configure a Pool.
type Options struct {
	Command      []string     // how to start a worker; default: this program with "render-worker"
	Workers      int          // at most; started when needed; default: one per CPU
	Limits       Limits       // zero fields take their defaults
	Log          *slog.Logger // default: discard
	KillOnDenied bool         // for tests: a forbidden system call kills instead of failing with EPERM

	skip layerSet // for tests: layers left out, so that each can be seen alone
}

// Layers says which walls stand around a worker, as the worker found them
// after it had put them up.
type Layers struct {
	Seccomp    bool // the system call filter; without it no job is run
	Landlock   int  // the kernel's ABI version; 0: the kernel has none
	Namespaces bool // own user, network, IPC, UTS and mount namespaces
	PID        bool // own process namespace
	UID        int  // as the worker sees it; 65534 where it could be given away
	Limits     bool // rlimits
}

// Class says how a worker died.
type Class string

// The classes there are.
const (
	Timeout  Class = "timeout"  // the wall or CPU limit
	Memory   Class = "memory"   // any of the memory limits, or the kernel's own
	Crash    Class = "crash"    // a panic, a fatal error of the runtime, an exit
	Protocol Class = "protocol" // it sent what it must not send
	Sandbox  Class = "sandbox"  // a wall could not be put up, or a forbidden call was made
	Limit    Class = "limit"    // too many questions, too many bytes served, too long a result
)

// Death is a job that its worker did not survive. Detail may quote what the
// worker printed, and with that the repository: it is for a redacted log only.
type Death struct {
	Class  Class
	Detail string
	// Idle says that the worker died before it was given the job, which is then
	// not to blame, and Detail holds nothing of the repository.
	Idle bool
}

// Error names the class, and the detail where it can be shown.
func (d *Death) Error() string {
	if d.Idle {
		return string(d.Class) + " before the first job: " + d.Detail
	}
	return "worker died: " + string(d.Class)
}

// JobError is the error that a Handler returned.
type JobError struct{ Message string }

// Error is the handler's message.
func (e *JobError) Error() string { return e.Message }

var (
	// ErrDirty says that the process must not be used for another job.
	ErrDirty = errors.New("worker is dirty")
	// ErrClosed says that the pool was closed.
	ErrClosed = errors.New("worker pool is closed")
	// ErrNoNetwork is what every HTTP request in a worker fails with.
	ErrNoNetwork = errors.New("a worker has no network")
)

// layerSet is a set of layers to leave out.
type layerSet uint8

const (
	noSeccomp layerSet = 1 << iota
	noLandlock
	noNamespaces
	noLimits
)

// validPath reports whether p is in the form that the two sides exchange: clean,
// relative, not leaving the root, and of a length that git and Linux allow.
func validPath(p string) bool {
	const longest = 4096
	return p != "" && len(p) <= longest && path.Clean(p) == p && p[0] != '/' &&
		p != ".." && !strings.HasPrefix(p, "../") && strings.IndexByte(p, 0) < 0
}

// join is path.Join for a valid directory and a bare name, without cleaning.
func join(dir, name string) string {
	if dir == "." {
		return name
	}
	return dir + "/" + name
}

// sortedUses turns what was collected into the form of Result.Used.
func sortedUses(m map[string]Use) []Use {
	out := make([]Use, 0, len(m))
	for _, u := range m {
		out = append(out, u)
	}
	slices.SortFunc(out, func(a, b Use) int { return strings.Compare(a.Path, b.Path) })
	return out
}
