package worker

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/landlock-lsm/go-landlock/landlock"
	llsys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// nobody is the user and group a worker becomes where its parent may choose.
const nobody = 65534

// confine puts up every wall and says which of them stand. The order is forced:
// rlimits and Landlock need system calls that the filter then forbids.
func confine(m setup) (Layers, error) {
	l := Layers{UID: os.Getuid(), PID: os.Getpid() == 1}
	var err error
	if l.Namespaces, err = ownUserNamespace(); err != nil {
		return l, err
	}
	if m.skip&noLimits == 0 {
		if err = setRlimits(m); err != nil {
			return l, err
		}
		l.Limits = true
	}
	if m.skip&noLandlock == 0 {
		if l.Landlock, err = restrictFiles(); err != nil {
			return l, err
		}
	}
	if m.skip&noSeccomp == 0 {
		if err = installFilter(m.kill); err != nil {
			return l, err
		}
		l.Seccomp = true
	}
	return l, nil
}

// ownUserNamespace reports whether this process runs in a user namespace that
// holds the one user its parent mapped.
func ownUserNamespace() (bool, error) {
	b, err := os.ReadFile("/proc/self/uid_map")
	if errors.Is(err, os.ErrNotExist) {
		return false, nil // a kernel without user namespaces
	}
	if err != nil {
		return false, fmt.Errorf("read the user map: %w", err)
	}
	f := bytes.Fields(b)
	return len(f) == 3 && string(f[0]) == strconv.Itoa(nobody) && string(f[2]) == "1", nil
}

// setRlimits bounds what the kernel grants from here on.
func setRlimits(m setup) error {
	mapped, err := writableMemory()
	if err != nil {
		return err
	}
	const openFiles = 16
	for _, l := range [...]struct {
		name     string
		resource int
		most     uint64
	}{
		// What is mapped already counts, and a build with the race detector maps
		// terabytes at start, so the limit is on growth. RLIMIT_AS is of no use:
		// the runtime reserves address space that it never touches.
		{"data", unix.RLIMIT_DATA, mapped + m.data},
		{"cpu", unix.RLIMIT_CPU, m.cpu},
		{"file size", unix.RLIMIT_FSIZE, 0},
		{"core size", unix.RLIMIT_CORE, 0},
		{"open files", unix.RLIMIT_NOFILE, openFiles},
	} {
		// Soft and hard alike: the runtime ignores the signal of the soft CPU limit. Who
		// started davit may have set a lower one, which can't be raised.
		var now unix.Rlimit
		if err := unix.Getrlimit(l.resource, &now); err != nil {
			return fmt.Errorf("limit %s: %w", l.name, err)
		}
		most := min(l.most, now.Max)
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("limit %s: %w", l.name, err)
		}
	}
	return nil
}

// writableMemory is what RLIMIT_DATA counts, in bytes, now.
func writableMemory() (uint64, error) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, fmt.Errorf("read the memory in use: %w", err)
	}
	s, err := parseStatm(b)
	return s.data, err
}

// statm is the part of /proc/<pid>/statm that is of use, in bytes.
type statm struct{ resident, data uint64 }

func parseStatm(b []byte) (statm, error) {
	const resident, data, fields = 1, 5, 7
	f := bytes.Fields(b)
	if len(f) != fields {
		return statm{}, fmt.Errorf("read statm: %d fields", len(f))
	}
	r, err1 := strconv.ParseUint(string(f[resident]), 10, 64)
	d, err2 := strconv.ParseUint(string(f[data]), 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return statm{}, fmt.Errorf("read statm: %w", err)
	}
	page := uint64(os.Getpagesize())
	return statm{resident: r * page, data: d * page}, nil
}

// restrictFiles gives Landlock no rule at all: no path may be opened, no TCP port
// used, no process outside signalled. It returns the kernel's ABI version, after
// trying that the wall is really there, because a best-effort ruleset succeeds
// silently on a kernel without Landlock.
func restrictFiles() (int, error) {
	abi, err := llsys.LandlockGetABIVersion()
	if err != nil || abi < 1 {
		return 0, nil
	}
	if err := landlock.V11.BestEffort().Restrict(); err != nil {
		return 0, fmt.Errorf("restrict files: %w", err)
	}
	fd, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = errors.New("the root directory is still readable")
		return 0, errors.Join(fmt.Errorf("restrict files: %w", err), unix.Close(fd))
	}
	if !errors.Is(err, unix.EACCES) {
		return 0, fmt.Errorf("try the file restriction: %w", err)
	}
	return abi, nil
}
