package worker

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_X86_64
	// otherABI is where the numbers of the x32 ABI begin: the same calls again,
	// which the list would not recognise.
	otherABI = 0x40000000
	// archSetFS gives a new thread its local storage.
	archSetFS = 0x1002
)

// archCalls are allowed with this first argument only.
var archCalls = []struct{ nr, arg0 uint32 }{{unix.SYS_ARCH_PRCTL, archSetFS}}
