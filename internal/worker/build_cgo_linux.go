//go:build linux && cgo

package worker

// pidNamespace is left out of builds with cgo: there Landlock finds the threads it
// must cover in /proc/<own pid>/task, and in a process namespace that directory
// belongs to another process. The other walls deny what this one would.
const pidNamespace = 0

// buildEnvironment keeps the C library from counting processors in a file when
// many threads allocate.
var buildEnvironment = []string{"MALLOC_ARENA_MAX=1"}
