package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Roles of the test binary as a parent.
const (
	parentArg  = "test-parent"
	layersArg  = "test-layers"
	refusedArg = "test-layers-refused"
)

// startedFiles runs a function when the job looks.
type startedFiles func()

func (f startedFiles) Look(p string, _ bool) (Fact, error) { f(); return Fact{Path: p}, nil }
func (startedFiles) List(string) ([]Entry, error)          { return nil, nil }

// holdBusyWorker prints its worker's process id when the worker is in an endless
// loop, and stays.
func holdBusyWorker() int {
	p, err := NewPool(Options{Command: []string{"/proc/self/exe", workerArg}})
	if err != nil {
		return fail(1, err)
	}
	defer p.Close()
	ctx := context.Background()
	w, err := p.take(ctx, "", true)
	if err != nil {
		return fail(1, err)
	}
	started := startedFiles(func() { fmt.Println(w.cmd.Process.Pid) })
	_, _, err = w.converse(Job{Kind: "busy", Files: started}, p.opts.Limits)
	return fail(1, err)
}

// printLayers prints what a worker of this process has around it.
func printLayers() int {
	p, err := NewPool(Options{Command: []string{"/proc/self/exe", workerArg}})
	if err != nil {
		return fail(1, err)
	}
	defer p.Close()
	l, err := p.Layers(context.Background())
	if err != nil {
		return fail(1, err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(l); err != nil {
		return fail(1, err)
	}
	return 0
}

// printLayersRefused does the same where the system permits no namespaces.
func printLayersRefused() int {
	if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
		return fail(1, err)
	}
	return printLayers()
}

func TestNoWorkerOutlivesItsParent(t *testing.T) {
	cmd := exec.Command("/proc/self/exe", parentArg)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var pid int
	if _, err := fmt.Fscanln(out, &pid); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	must(t, err)
	defer unix.Close(fd)
	killed := time.Now()
	must(t, cmd.Process.Kill())
	if state, _ := cmd.Process.Wait(); state.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
		t.Fatalf("the parent ended with %v", state)
	}
	const patience = 5000 // milliseconds
	n, err := pollRetry(fd, patience)
	if err != nil || n != 1 {
		t.Fatalf("the worker runs on without its parent: %d, %v", n, err)
	}
	t.Logf("the worker ended %v after its parent was killed", time.Since(killed))
}

// pollRetry waits for a process, over interruptions by signals.
func pollRetry(fd, milliseconds int) (int, error) {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, milliseconds)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// layersOf runs this binary with the role and attributes and returns what it
// says about its worker.
func layersOf(t *testing.T, role string, attr *syscall.SysProcAttr) Layers {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", role)
	cmd.SysProcAttr = attr
	cmd.Dir = "/"
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", role, err, errs.String())
	}
	var l Layers
	must(t, json.Unmarshal(out, &l))
	return l
}

// abi is the kernel's Landlock version. A machine without it must fail here and
// not pass with one wall less.
func abi(t *testing.T) int {
	t.Helper()
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 || v < 1 {
		t.Fatalf("this kernel has no Landlock (%v): one of the walls cannot be tested", errno)
	}
	return int(v)
}

func TestAllLayersStand(t *testing.T) {
	want := Layers{Seccomp: true, Landlock: abi(t), Namespaces: true, PID: pidNamespace != 0, UID: nobody, Limits: true}
	l, err := newPool(t, Options{}).Layers(context.Background())
	must(t, err)
	if l != want {
		t.Errorf("as this user: %+v, want %+v", l, want)
	}
	asNobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if l := layersOf(t, layersArg, asNobody); l != want {
		t.Errorf("started by nobody: %+v, want %+v", l, want)
	}
}

func TestLessIsolationWhereNamespacesAreRefused(t *testing.T) {
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: nobody, HostID: nobody, Size: 1}}
	got := layersOf(t, refusedArg, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER,
		UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true})
	want := Layers{Seccomp: true, Landlock: abi(t), UID: nobody, Limits: true}
	if got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}

func TestStartThatNeverWorksLowersNothing(t *testing.T) {
	p := newPool(t, Options{Command: []string{"/etc/passwd"}})
	if _, err := p.Layers(context.Background()); err == nil || !strings.Contains(err.Error(), "start worker: ") {
		t.Fatalf("got %v", err)
	}
	if p.level != namespaced || p.live != 0 {
		t.Fatalf("level %v, %d workers", p.level, p.live)
	}
}

// leaked is a descriptor that every child would get, as if this program had been
// started with it. TestMain opens it.
var leaked int

func TestWorkerHoldsOnlyItsDescriptors(t *testing.T) {
	p := newPool(t, Options{})
	w, err := p.take(context.Background(), "", true)
	must(t, err)
	defer p.put(w, true)
	dir := "/proc/" + strconv.Itoa(w.cmd.Process.Pid) + "/fd"
	fds, err := os.ReadDir(dir)
	must(t, err)
	for _, fd := range fds {
		to, err := os.Readlink(dir + "/" + fd.Name())
		must(t, err)
		switch {
		case to == "/dev/null", strings.HasPrefix(to, "socket:"), strings.HasPrefix(to, "anon_inode:[event"):
		case strings.HasPrefix(to, "pipe:") && fd.Name() == "2":
		case strings.Contains(to, "/cpu.cfs_") || strings.HasSuffix(to, "/cpu.max"): // the runtime's, read-only
		default:
			t.Errorf("descriptor %s is %s", fd.Name(), to)
		}
	}
	if flags, err := unix.FcntlInt(uintptr(leaked), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("an inherited descriptor still goes to children: %d, %v", flags, err)
	}
}

// fake is a worker that stands outside every wall and keeps no rule.
type fake struct{ conn net.Conn }

func (f fake) send(frame []byte, err error) {
	if err == nil {
		_, err = f.conn.Write(frame)
	}
	if err != nil {
		os.Exit(fail(1, err))
	}
}

func (f fake) read(op byte) {
	if _, _, err := readFrame(f.conn, only(op, maxFromParent)); err != nil {
		os.Exit(fail(1, err))
	}
}

// misbehave is what the fakes do after they took a job, by name.
var misbehaviour = map[string]func(f fake){
	"flood": func(f fake) { // asks and never listens
		for {
			f.send(question{path: "big"}.frame(opList))
			f.send(question{path: "big/file", content: true}.frame(opLook))
		}
	},
	"ask for ever": func(f fake) {
		for {
			f.send(question{path: "big"}.frame(opLook))
			f.read(opAnswer)
		}
	},
	"unknown op":        func(f fake) { f.send(newFrame(77, 0).frame()) },
	"parent's op":       func(f fake) { f.send(newFrame(opAnswer, 0).frame()) },
	"second hello":      func(f fake) { f.send(hello{version: protocolVersion}.frame()) },
	"huge question":     func(f fake) { f.send(question{path: strings.Repeat("a", maxRequest)}.frame(opLook)) },
	"claims a gigabyte": func(f fake) { f.send([]byte{0x40, 0, 0, 0, opLook}, nil) },
	"huge result":       func(f fake) { f.send([]byte{0x7f, 0xff, 0xff, 0xff, opDone}, nil) },
	"escaping path":     func(f fake) { f.send(question{path: "../etc/passwd"}.frame(opLook)) },
	"absolute path":     func(f fake) { f.send(question{path: "/etc/passwd"}.frame(opLook)) },
	"garbage":           func(f fake) { f.send([]byte{0, 0, 0, 2, opDone, 0xff, 0xff}, nil) },
	"invents a path":    func(f fake) { f.send(done{used: []Use{{Path: "never/asked"}}}.frame()) },
	"invents content":   func(f fake) { lie(f, Use{Path: "big/file", Content: true}) },
	"invents a listing": func(f fake) { lie(f, Use{Path: "big/file", Listed: true}) },
	"names one twice":   func(f fake) { lie(f, Use{Path: "big/file"}, Use{Path: "big/file"}) },
	"closes and stays":  func(f fake) { f.conn.Close(); hang() },
	"half a frame":      func(f fake) { f.send([]byte{0, 0, 0, 9, opLook, 1}, nil) },
}

// hang stays for ever without being a deadlock in the runtime's eyes.
func hang() {
	for {
		_, _ = unix.Select(0, nil, nil, nil, nil)
	}
}

// lie looks at big/file without content and claims more.
func lie(f fake, used ...Use) {
	f.send(question{path: "big/file"}.frame(opLook))
	f.read(opAnswer)
	f.send(done{used: used}.frame())
}

// misbehave plays the fake of that name.
func misbehave(how string) (int, bool) {
	do := misbehaviour[how]
	if do == nil && how != "stall" && how != "no filter" && how != "no hello" {
		return 0, false
	}
	conn, err := socket()
	if err != nil {
		return fail(1, err), true
	}
	f := fake{conn}
	f.read(opSetup)
	if how == "no hello" {
		f.read(opJob)
	}
	f.send(hello{version: protocolVersion, layers: Layers{Seccomp: how != "no filter"}}.frame())
	if how == "stall" {
		hang() // never reads its job
	}
	f.read(opJob)
	if do != nil {
		do(f)
	}
	if how != "half a frame" {
		f.read(opJob) // until the parent ends it
	}
	return 0, true
}
