package worker

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// plainCalls need no look at their arguments. The hot ones come first, since the
// kernel walks the list from the top.
var plainCalls = []uint32{
	unix.SYS_FUTEX, unix.SYS_READ, unix.SYS_WRITE, unix.SYS_EPOLL_PWAIT, unix.SYS_NANOSLEEP,
	unix.SYS_SCHED_YIELD, unix.SYS_MADVISE, unix.SYS_MUNMAP, unix.SYS_RT_SIGRETURN,
	unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGACTION, unix.SYS_SIGALTSTACK, unix.SYS_GETPID, unix.SYS_GETTID,
	unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_GETTIMEOFDAY, unix.SYS_MINCORE,
	unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_CREATE1, unix.SYS_EVENTFD2, unix.SYS_CLOSE, unix.SYS_PREAD64,
	unix.SYS_GETRANDOM, unix.SYS_SCHED_GETAFFINITY, unix.SYS_RSEQ, unix.SYS_SET_ROBUST_LIST,
	unix.SYS_RESTART_SYSCALL, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
}

// threadFlags are the clone flags of a thread, as the Go runtime and C libraries
// start one. CLONE_THREAD itself is required apart.
const threadFlags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD |
	unix.CLONE_SYSVSEM | unix.CLONE_SETTLS | unix.CLONE_PARENT_SETTID | unix.CLONE_CHILD_CLEARTID |
	unix.CLONE_CHILD_SETTID | unix.CLONE_DETACHED

// prSetVMA is the prctl that names a mapping, which the runtime does.
const prSetVMA = 0x53564d41

// Offsets in struct seccomp_data; an argument's low half comes first on both
// little-endian architectures there is a table for.
const (
	offNR   = 0
	offArch = 4
	offArg0 = 16
	offArg2 = offArg0 + 2*8
)

// program is a filter under construction.
type program []unix.SockFilter

func (p *program) load(off uint32) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: off})
}

func (p *program) and(mask uint32) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: mask})
}

func (p *program) ret(action uint32) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action})
}

// unless runs the next n instructions only if the test holds.
func (p *program) unless(test uint16, k uint32, n uint8) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_JMP | test | unix.BPF_K, K: k, Jf: n})
}

// when is a call that is allowed if its argument at off passes test against k.
func (p *program) when(nr, off uint32, test uint16, k, otherwise uint32) {
	const body = 4
	p.unless(unix.BPF_JEQ, nr, body)
	p.load(off)
	p.unless(test, k, 1)
	p.ret(unix.SECCOMP_RET_ALLOW)
	p.ret(otherwise)
}

// withoutExec is a call whose protection argument must not ask for execution.
func (p *program) withoutExec(nr, denied uint32) {
	const body = 4
	p.unless(unix.BPF_JEQ, nr, body)
	p.load(offArg2)
	p.unless(unix.BPF_JSET, unix.PROT_EXEC, 1)
	p.ret(denied)
	p.ret(unix.SECCOMP_RET_ALLOW)
}

// threads allows clone for a thread and nothing else: no process, no namespace.
func (p *program) threads(denied uint32) {
	const body = 6
	p.unless(unix.BPF_JEQ, unix.SYS_CLONE, body)
	p.load(offArg0)
	p.unless(unix.BPF_JSET, unix.CLONE_THREAD, 3)
	p.and(^uint32(threadFlags))
	p.unless(unix.BPF_JEQ, 0, 1)
	p.ret(unix.SECCOMP_RET_ALLOW)
	p.ret(denied)
}

// filter is the allow list. denied is what happens to everything that is not on it.
func filter(pid, denied uint32) program {
	var p program
	p.load(offArch)
	p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: auditArch, Jt: 1})
	p.ret(unix.SECCOMP_RET_KILL_PROCESS)
	p.load(offNR)
	if otherABI != 0 {
		p.unless(unix.BPF_JGE, otherABI, 1)
		p.ret(unix.SECCOMP_RET_KILL_PROCESS)
	}
	for _, nr := range plainCalls {
		p.unless(unix.BPF_JEQ, nr, 1)
		p.ret(unix.SECCOMP_RET_ALLOW)
	}
	p.withoutExec(unix.SYS_MMAP, denied)
	p.withoutExec(unix.SYS_MPROTECT, denied)
	p.threads(denied)
	// C libraries fall back to clone, whose flags a filter can see.
	p.unless(unix.BPF_JEQ, unix.SYS_CLONE3, 1)
	p.ret(unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS))
	// The runtime preempts its own threads with signals.
	p.when(unix.SYS_TGKILL, offArg0, unix.BPF_JEQ, pid, denied)
	p.when(unix.SYS_PRCTL, offArg0, unix.BPF_JEQ, prSetVMA, unix.SECCOMP_RET_ERRNO|uint32(unix.EINVAL))
	for _, c := range archCalls {
		p.when(c.nr, offArg0, unix.BPF_JEQ, c.arg0, denied)
	}
	p.ret(denied)
	return p
}

// installFilter puts the filter on every thread. With kill, a forbidden call ends
// the process; else it fails with EPERM.
func installFilter(kill bool) error {
	denied := uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.EPERM)
	if kill {
		denied = unix.SECCOMP_RET_KILL_PROCESS
	}
	p := filter(uint32(unix.Getpid()), denied)
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	// The no-new-privileges bit is of one thread; the filter carries it to the others.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(p)
	if errno != 0 {
		return fmt.Errorf("install the system call filter: %w", errno)
	}
	if thread != 0 {
		return fmt.Errorf("install the system call filter: thread %d could not take it", thread)
	}
	return nil
}
