package worker

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_AARCH64
	otherABI  = 0 // 64-bit processes have one set of numbers
)

// archCalls is empty: threads get their storage from clone itself.
var archCalls []struct{ nr, arg0 uint32 }
