//go:build linux && !cgo

package worker

import "syscall"

// pidNamespace hides all other processes from a worker.
const pidNamespace = syscall.CLONE_NEWPID

// buildEnvironment is what builds without a C library need besides: nothing.
var buildEnvironment []string
