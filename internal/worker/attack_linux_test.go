package worker

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	attackArg = "test-attack"
	victimArg = "test-victim"
)

// scene is what an attack aims at.
type scene struct {
	Name     string
	Dir      string // writable by everyone, with a file "file" in it
	Pid      int    // a process that is not the worker's
	Addr     uint64 // of eight bytes in it
	Port     int    // TCP on loopback
	UDP      int    // UDP on loopback
	Unix     string // a listening socket's path
	Abstract string // a listening abstract socket's name
}

// attack is one thing a worker must not be able to do. landlock and namespaces
// say that the layer alone stops it, from that ABI version on.
type attack struct {
	name       string
	do         func(s scene) error
	want       syscall.Errno // in the full sandbox; zero: EPERM
	landlock   int
	namespaces bool
	optional   bool // kernels may be built without what it uses
	survives   bool // even in kill mode it only fails: libraries may try it
}

func denied(errno syscall.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}

func call(nr uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	_, _, errno := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	return denied(errno)
}

// reached takes the kernel's own refusal of the arguments for success: the call
// got as far as them.
func reached(err error, refusal syscall.Errno) error {
	if errors.Is(err, refusal) {
		return nil
	}
	return err
}

// use opens and closes what an attack got.
func use(fd int, err error) error {
	if err == nil {
		err = unix.Close(fd)
	}
	return err
}

func socketTo(domain, typ, proto int, to unix.Sockaddr) error {
	fd, err := unix.Socket(domain, typ, proto)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Connect(fd, to)
}

func loopback(port int) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
}

func readFile(p string) error {
	_, err := os.ReadFile(p)
	return err
}

func proc(s scene, name string) string { return "/proc/" + strconv.Itoa(s.Pid) + "/" + name }

var fileAttacks = []attack{
	{name: "read a file", landlock: 1, do: func(scene) error { return readFile("/etc/passwd") }},
	{name: "list the root", landlock: 1, do: func(scene) error { _, err := os.ReadDir("/"); return err }},
	{name: "read own environment", landlock: 1, do: func(scene) error { return readFile("/proc/self/environ") }},
	{name: "read another's environment", landlock: 1, namespaces: true, do: func(s scene) error { return readFile(proc(s, "environ")) }},
	{name: "read another's memory by file", landlock: 1, namespaces: true, do: func(s scene) error {
		f, err := os.Open(proc(s, "mem"))
		if err != nil {
			return err
		}
		_, err = f.ReadAt(make([]byte, 8), int64(s.Addr))
		return errors.Join(err, f.Close())
	}},
	{name: "stat", do: func(scene) error { _, err := os.Stat("/etc/passwd"); return err }},
	{name: "readlink", do: func(scene) error { _, err := os.Readlink("/proc/self/exe"); return err }},
	{name: "access", do: func(scene) error { return unix.Access("/etc/passwd", unix.F_OK) }},
	{name: "create", landlock: 1, do: func(s scene) error { return os.WriteFile(s.Dir+"/new", nil, 0o600) }},
	{name: "write", landlock: 1, do: func(s scene) error { return os.WriteFile(s.Dir+"/file", []byte("x"), 0) }},
	{name: "truncate", landlock: 3, do: func(s scene) error { return os.Truncate(s.Dir+"/file", 0) }},
	{name: "unlink", landlock: 1, do: func(s scene) error { return unix.Unlink(s.Dir + "/file") }},
	{name: "mkdir", landlock: 1, do: func(s scene) error { return os.Mkdir(s.Dir+"/new", 0o700) }},
	{name: "symlink", landlock: 1, do: func(s scene) error { return os.Symlink("file", s.Dir+"/new") }},
	{name: "link", landlock: 1, do: func(s scene) error { return os.Link(s.Dir+"/file", s.Dir+"/new") }},
	{name: "rename", landlock: 1, do: func(s scene) error { return os.Rename(s.Dir+"/file", s.Dir+"/new") }},
	{name: "chmod", do: func(s scene) error { return os.Chmod(s.Dir+"/file", 0o777) }},
	{name: "chdir", do: func(s scene) error { return os.Chdir(s.Dir) }},
	{name: "mount", landlock: 1, namespaces: true, do: func(s scene) error {
		if err := unix.Mount("none", s.Dir, "tmpfs", 0, ""); err != nil {
			return err
		}
		return unix.Unmount(s.Dir, 0)
	}},
	{name: "inotify", do: func(scene) error { return use(unix.InotifyInit1(unix.IN_CLOEXEC)) }},
	{name: "duplicate a descriptor", do: func(scene) error { return use(unix.Dup(2)) }},
	{name: "fcntl", do: func(scene) error { _, err := unix.FcntlInt(2, unix.F_GETFL, 0); return err }},
	{name: "ioctl", do: func(scene) error { _, err := unix.IoctlGetInt(2, unix.TIOCINQ); return err }},
	{name: "pass a descriptor", do: func(scene) error {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fds[0])
		defer unix.Close(fds[1])
		return unix.Sendmsg(fds[0], []byte("x"), unix.UnixRights(2), nil, 0)
	}},
}

var netAttacks = []attack{
	{name: "tcp connect", landlock: 4, namespaces: true, do: func(s scene) error {
		return socketTo(unix.AF_INET, unix.SOCK_STREAM, 0, loopback(s.Port))
	}},
	{name: "tcp listen", landlock: 4, do: func(scene) error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Bind(fd, loopback(0)); err != nil {
			return err
		}
		return unix.Listen(fd, 1)
	}},
	{name: "multipath tcp", namespaces: true, optional: true, do: func(s scene) error {
		return socketTo(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP, loopback(s.Port))
	}},
	{name: "udp", namespaces: true, do: func(s scene) error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, []byte("x"), 0, loopback(s.UDP))
	}},
	{name: "raw packets", namespaces: true, do: func(scene) error {
		return use(unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0))
	}, optional: true},
	{name: "netlink", do: func(scene) error {
		return use(unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE))
	}},
	{name: "vsock", optional: true, do: func(scene) error {
		return use(unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))
	}},
	{name: "unix socket by path", landlock: 9, do: func(s scene) error {
		return socketTo(unix.AF_UNIX, unix.SOCK_STREAM, 0, &unix.SockaddrUnix{Name: s.Unix})
	}},
	{name: "abstract unix socket", landlock: 6, namespaces: true, do: func(s scene) error {
		return socketTo(unix.AF_UNIX, unix.SOCK_STREAM, 0, &unix.SockaddrUnix{Name: "@" + s.Abstract})
	}},
	{name: "io_uring", optional: true, do: func(scene) error {
		var params [120]byte
		fd, _, errno := unix.RawSyscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
		return use(int(fd), denied(errno))
	}},
}

var processAttacks = []attack{
	{name: "fork and exec", do: func(scene) error {
		pid, err := syscall.ForkExec("/bin/true", []string{"true"}, &syscall.ProcAttr{})
		if err == nil {
			_, err = syscall.Wait4(pid, nil, 0, nil)
		}
		return err
	}},
	{name: "exec", landlock: 1, do: func(scene) error { return syscall.Exec("/bin/true", []string{"true"}, nil) }},
	{name: "exec from memory", landlock: 1, do: func(scene) error {
		fd, err := unix.MemfdCreate("x", 0)
		if err != nil {
			return err
		}
		if _, err := unix.Write(fd, []byte("#!/bin/true\n")); err != nil {
			return err
		}
		return syscall.Exec("/proc/self/fd/"+strconv.Itoa(fd), []string{"x"}, nil)
	}},
	{name: "fork", do: func(scene) error {
		pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if pid == 0 && errno == 0 {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
		return denied(errno)
	}},
	{name: "clone3", want: unix.ENOSYS, survives: true, do: func(scene) error {
		args := [8]uint64{4: uint64(unix.SIGCHLD)}
		pid, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
		if pid == 0 && errno == 0 {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
		return denied(errno)
	}},
	{name: "thread in a namespace", do: func(scene) error {
		// Without a stack and shared memory no thread can start, so the kernel's own
		// answer is EINVAL; the sandbox must not let it come to that.
		return reached(call(unix.SYS_CLONE, unix.CLONE_THREAD|unix.CLONE_NEWUTS), unix.EINVAL)
	}},
	{name: "executable memory", do: func(scene) error {
		b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			return err
		}
		return unix.Munmap(b)
	}},
	{name: "make memory executable", do: func(scene) error {
		b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			return err
		}
		return errors.Join(unix.Mprotect(b, unix.PROT_READ|unix.PROT_EXEC), unix.Munmap(b))
	}},
	{name: "signal", landlock: 6, namespaces: true, do: func(s scene) error { return unix.Kill(s.Pid, unix.SIGCONT) }},
	{name: "signal a thread", landlock: 6, namespaces: true, do: func(s scene) error { return unix.Tgkill(s.Pid, s.Pid, unix.SIGCONT) }},
	{name: "ptrace", landlock: 1, namespaces: true, do: func(s scene) error {
		if err := unix.PtraceSeize(s.Pid); err != nil {
			return err
		}
		// Ending detaches.
		return nil
	}},
	{name: "read another's memory", landlock: 1, namespaces: true, do: func(s scene) error {
		b := make([]byte, 8)
		local := []unix.Iovec{{Base: &b[0], Len: 8}}
		_, err := unix.ProcessVMReadv(s.Pid, local, []unix.RemoteIovec{{Base: uintptr(s.Addr), Len: 8}}, 0)
		return err
	}},
	{name: "pidfd", namespaces: true, do: func(s scene) error { return use(unix.PidfdOpen(s.Pid, 0)) }},
	{name: "limits of another", namespaces: true, do: func(s scene) error {
		return unix.Prlimit(s.Pid, unix.RLIMIT_CORE, nil, &unix.Rlimit{})
	}},
	{name: "affinity of another", namespaces: true, do: func(s scene) error {
		var set unix.CPUSet
		if err := unix.SchedGetaffinity(0, &set); err != nil {
			return err
		}
		return unix.SchedSetaffinity(s.Pid, &set)
	}},
	{name: "priority of another", namespaces: true, do: func(s scene) error { return unix.Setpriority(unix.PRIO_PROCESS, s.Pid, 1) }},
	{name: "own limits", do: func(scene) error { return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) }},
	{name: "unshare", do: func(scene) error { return unix.Unshare(unix.CLONE_FS) }},
	{name: "new user namespace", do: func(scene) error {
		// A process with threads gets EINVAL from the kernel itself.
		return reached(unix.Unshare(unix.CLONE_NEWUSER), unix.EINVAL)
	}},
	{name: "change user", do: func(scene) error { return call(unix.SYS_SETUID, uintptr(os.Getuid())) }},
	{name: "prctl", want: unix.EINVAL, survives: true, do: func(scene) error {
		return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
	}},
	{name: "personality", do: func(scene) error { return call(unix.SYS_PERSONALITY, 0xffffffff) }},
	{name: "userfaultfd", optional: true, do: func(scene) error {
		fd, _, errno := unix.RawSyscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC, 0, 0)
		return use(int(fd), denied(errno))
	}},
	{name: "keyring", optional: true, do: func(scene) error {
		_, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_PROCESS_KEYRING, true)
		return err
	}},
	{name: "shared memory", optional: true, do: func(scene) error {
		id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, unix.IPC_CREAT|0o600)
		if err == nil {
			_, err = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
		}
		return err
	}},
	{name: "remap memory", do: func(scene) error {
		b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			return err
		}
		return call(unix.SYS_MREMAP, uintptr(unsafe.Pointer(&b[0])), 4096, 8192, unix.MREMAP_MAYMOVE)
	}},
	{name: "bpf", optional: true, do: func(scene) error { return reached(call(unix.SYS_BPF, 0, 0, 0), unix.EINVAL) }},
	{name: "perf", optional: true, do: func(scene) error { return reached(call(unix.SYS_PERF_EVENT_OPEN, 0, 0, 0, 0, 0), unix.EFAULT) }},
	{name: "host name", do: func(scene) error {
		n, err := os.Hostname()
		if err != nil {
			return err
		}
		return unix.Sethostname([]byte(n))
	}},
}

var attacks = slices.Concat(fileAttacks, netAttacks, processAttacks)

// perform runs the attack a scene names.
func perform(s scene) error {
	for _, a := range attacks {
		if a.name == s.Name {
			return a.do(s)
		}
	}
	return fmt.Errorf("no attack %q", s.Name)
}
