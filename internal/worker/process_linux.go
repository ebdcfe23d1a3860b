package worker

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// environment is all that a worker gets. It has a small live heap, so collecting
// by growth would never stop: it collects near a fixed size instead, on one
// processor. No PATH, so nothing is looked up; UTC, so no zone file is read.
var environment = []string{"GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=256MiB", "GOTRACEBACK=none", "TZ=UTC"}

const (
	// startTime is how long a worker may take to put its sandbox up.
	startTime = 20 * time.Second
	// exitGrace is how long a worker that closed its socket may take to end
	// before it is killed; its exit code is the better witness.
	exitGrace = time.Second
)

// isolation is how much a worker's process is set apart at its start, from the
// most to the least.
type isolation uint8

const (
	namespaced isolation = iota // own namespaces, as nobody
	asNobody                    // no namespaces; root gives its rights up
	plain                       // as the parent's user, which is not root unless even that is forbidden
	isolations
)

// String names the level for the log.
func (i isolation) String() string {
	return [...]string{"namespaces", "nobody", "plain"}[i]
}

// attributes are those of a new process at one level. The death signal holds for
// the thread that forks, which is why one thread starts all workers.
func (i isolation) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	uid, gid := os.Geteuid(), os.Getegid()
	switch {
	case i == namespaced:
		a.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC |
			syscall.CLONE_NEWUTS | syscall.CLONE_NEWNS | pidNamespace
		if uid == 0 {
			// Only root may map another user than itself.
			uid, gid = nobody, nobody
			a.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
			a.GidMappingsEnableSetgroups = true
		}
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: uid, Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: gid, Size: 1}}
	case i == asNobody && uid == 0:
		a.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	return a
}

// notPermitted reports whether a start failed because of what the system allows,
// so that a lower level may succeed. Anything else, such as too many processes,
// says nothing about the level.
func notPermitted(err error) bool {
	for _, e := range [...]error{unix.EPERM, unix.EACCES, unix.EINVAL, unix.ENOSYS, unix.ENOSPC, unix.EUSERS} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// process is one worker. It is used by one goroutine at a time, except kill.
type process struct {
	cmd    *exec.Cmd
	conn   *net.UnixConn
	r      *bufio.Reader
	stderr *tail
	statm  *os.File // kept open: it stays with the process even if its id is used again
	status *os.File
	layers Layers
	gone   chan struct{} // closed when the process was reaped
	born   time.Time

	domain string
	bound  bool // a job of domain was run
	jobs   int
	busy   time.Duration
	peak   uint64 // highest sampled resident size, bytes

	mu     sync.Mutex
	killed *Death // why the parent killed it
	dead   bool   // reaped
}

// newProcess starts a worker at one level and sends its setup. start runs a
// function on the thread that starts workers.
func newProcess(command []string, level isolation, m setup, start func(func())) (*process, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "worker"), os.NewFile(uintptr(fds[1]), "parent")
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err = errors.Join(err, ours.Close()); err != nil {
		return nil, fmt.Errorf("use the socket: %w", err)
	}
	p := &process{conn: conn.(*net.UnixConn), stderr: newTail(), gone: make(chan struct{}), born: time.Now()}
	p.r = bufio.NewReaderSize(p.conn, maxRequest)
	p.cmd = exec.Command(command[0], command[1:]...)
	p.cmd.Env = slices.Concat(environment, buildEnvironment)
	p.cmd.Dir = "/"
	p.cmd.Stderr = p.stderr
	p.cmd.ExtraFiles = []*os.File{theirs}
	p.cmd.SysProcAttr = level.attributes()
	p.cmd.WaitDelay = exitGrace
	start(func() { err = p.cmd.Start() })
	if err != nil {
		return nil, errors.Join(err, p.conn.Close())
	}
	go p.reap()
	if err := p.open(m); err != nil {
		p.kill(&Death{Class: Crash, Detail: err.Error()})
		p.close()
		return nil, err
	}
	return p, nil
}

// open sends the setup and opens the files that tell the process's memory.
func (p *process) open(m setup) error {
	dir := "/proc/" + strconv.Itoa(p.cmd.Process.Pid)
	var err error
	if p.statm, err = os.Open(dir + "/statm"); err != nil {
		return fmt.Errorf("watch its memory: %w", err)
	}
	if p.status, err = os.Open(dir + "/status"); err != nil {
		return fmt.Errorf("watch its memory: %w", err)
	}
	// A worker that dies at once is judged by its end, not by this write.
	_ = p.send(m.frame())
	return nil
}

// reap waits for the process; close waits for reap.
func (p *process) reap() {
	_ = p.cmd.Wait() // the state says it better
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	close(p.gone)
}

// kill ends the process for a reason. The first reason stands, and none does
// that comes after the end.
func (p *process) kill(why *Death) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return
	}
	if p.killed == nil {
		p.killed = why
	}
	_ = p.cmd.Process.Kill() // fails only if it ended by itself
}

// doomed reports whether the parent has decided to end the process.
func (p *process) doomed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.killed != nil || p.dead
}

// close ends the process, waits until it is gone and frees what it took.
func (p *process) close() {
	p.kill(&Death{Class: Crash, Detail: "it was retired"})
	<-p.gone
	for _, c := range []io.Closer{p.conn, p.statm, p.status} {
		if f, ok := c.(*os.File); ok && f == nil {
			continue
		}
		_ = c.Close() // nothing was buffered
	}
}

func (p *process) send(frame []byte, err error) error {
	if err == nil {
		_, err = p.conn.Write(frame)
	}
	return err
}

// hello waits until the sandbox stands.
func (p *process) hello() error {
	_, body, err := readFrame(p.r, only(opHello, maxRequest))
	if err != nil {
		return err
	}
	m, err := parseHello(body)
	if err == nil && m.version != protocolVersion {
		err = fmt.Errorf("protocol %d, not %d: %w", m.version, protocolVersion, errMalformed)
	}
	p.layers = m.layers
	return err
}

// memory is what is resident now, in bytes; 0 once the process ended.
func (p *process) memory() uint64 {
	var buf [256]byte
	n, err := p.statm.ReadAt(buf[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0
	}
	s, err := parseStatm(buf[:n])
	if err != nil {
		return 0
	}
	return s.resident
}

// highWater is the most that was ever resident, as the kernel counts it, in
// bytes. The child's rusage cannot be used: it begins at the parent's own size.
func (p *process) highWater() uint64 {
	var buf [4096]byte
	n, err := p.status.ReadAt(buf[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0
	}
	_, rest, found := bytes.Cut(buf[:n], []byte("\nVmHWM:"))
	line, _, _ := bytes.Cut(rest, []byte("kB"))
	kib, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 10, 64)
	if !found || err != nil {
		return 0
	}
	return kib << 10
}

// tail keeps the first bytes a worker prints during a job and drops the rest, so
// that a worker that prints for ever neither blocks nor fills memory.
type tail struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	ended chan struct{} // closed at the mark that ends a job's output
	open  bool
}

// maxStderr is what is kept of one job's output, in bytes.
const maxStderr = 16 << 10

func newTail() *tail {
	t := &tail{}
	t.begin()
	return t
}

// begin forgets what was printed before.
func (t *tail) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Reset()
	t.ended, t.open = make(chan struct{}), true
}

// Write takes what the worker printed.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(b)
	if n > 0 && b[n-1] == endOfJob {
		b = b[:n-1]
		if t.open {
			t.open = false
			close(t.ended)
		}
	}
	if room := maxStderr - t.buf.Len(); len(b) > room {
		b = b[:room]
	}
	t.buf.Write(b)
	return n, nil
}

// text is what was kept so far.
func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// whole waits shortly for the mark and returns what was kept.
func (t *tail) whole() string {
	const late = 100 * time.Millisecond
	t.mu.Lock()
	ended := t.ended
	t.mu.Unlock()
	select {
	case <-ended:
	case <-time.After(late):
	}
	return t.text()
}
