package worker

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Exit codes of a worker. The parent classifies a death by them, by the signal,
// and by what it did itself.
const (
	exitUsage    = 64 // started by hand
	exitSandbox  = 70
	exitProtocol = 71
	exitMemory   = 74
	exitPanic    = 75
)

const (
	// socketFD is where the parent puts the socket.
	socketFD = 3
	// maxStack ends a runaway recursion, in bytes, before the memory limits do.
	maxStack = 64 << 20
	// heapPeriod is how often the heap is measured during a job.
	heapPeriod = 5 * time.Millisecond
	// idleBefore is how long a worker waits before it gives memory back.
	idleBefore = 200 * time.Millisecond
	// endOfJob on stderr tells the parent that it has read all that a job printed.
	endOfJob = 0
)

// Program is what a worker process can do. Warm, if set, runs inside the sandbox
// before the first job, to parse what every job needs.
type Program struct {
	Handlers map[string]Handler
	Warm     func() error
}

// Main serves jobs until the parent closes the socket, and returns the exit code.
// It takes the whole process over: environment, limits, network, system calls.
func (p Program) Main() int {
	os.Clearenv()
	time.Local = time.UTC
	log.SetFlags(0)
	debug.SetMaxStack(maxStack)
	refuseHTTP()
	conn, err := socket()
	if err != nil {
		return fail(exitUsage, fmt.Errorf("take the socket (this command is started by davit itself): %w", err))
	}
	s := &session{Program: p, conn: conn, r: bufio.NewReaderSize(conn, maxRequest)}
	_, body, err := readFrame(s.r, only(opSetup, maxRequest))
	if err == nil {
		s.setup, err = parseSetup(body)
	}
	if err == nil && s.setup.version != protocolVersion {
		err = fmt.Errorf("protocol %d, not %d", s.setup.version, protocolVersion)
	}
	if err != nil {
		return fail(exitProtocol, fmt.Errorf("read the setup: %w", err))
	}
	layers, err := confine(s.setup)
	if err != nil {
		return fail(exitSandbox, err)
	}
	if err := s.send(hello{protocolVersion, layers}.frame()); err != nil {
		return fail(exitProtocol, err)
	}
	if p.Warm != nil {
		if err := p.Warm(); err != nil {
			return fail(exitPanic, fmt.Errorf("warm up: %w", err))
		}
	}
	return s.serve()
}

func fail(code int, err error) int {
	fmt.Fprintln(os.Stderr, "render worker:", err)
	return code
}

// socket opens the descriptor before the filter forbids what that takes.
func socket() (net.Conn, error) {
	f := os.NewFile(socketFD, "parent")
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return conn, nil
}

// session is the worker's end of one socket.
type session struct {
	Program
	conn  net.Conn
	r     *bufio.Reader
	setup setup
}

func (s *session) send(frame []byte, err error) error {
	if err == nil {
		_, err = s.conn.Write(frame)
	}
	if err != nil {
		return fmt.Errorf("send to the parent: %w", err)
	}
	return nil
}

// serve does one job after the other.
func (s *session) serve() int {
	for {
		if err := s.await(); errors.Is(err, io.EOF) {
			return 0
		} else if err != nil {
			return fail(exitProtocol, err)
		}
		_, body, err := readFrame(s.r, only(opJob, maxFromParent))
		if err != nil {
			return fail(exitProtocol, fmt.Errorf("read a job: %w", err))
		}
		j, err := parseJob(body)
		if err != nil {
			return fail(exitProtocol, fmt.Errorf("read a job: %w", err))
		}
		out := s.run(j)
		// Nothing can be done about a parent that no longer reads stderr.
		_, _ = os.Stderr.Write([]byte{endOfJob})
		if err := s.send(out.frame()); err != nil {
			return fail(exitProtocol, err)
		}
	}
}

// await waits for the next job and gives memory back to the system when it does
// not come at once.
func (s *session) await() error {
	if err := s.conn.SetReadDeadline(time.Now().Add(idleBefore)); err != nil {
		return fmt.Errorf("wait for a job: %w", err)
	}
	_, err := s.r.Peek(1)
	if err2 := s.conn.SetReadDeadline(time.Time{}); err2 != nil {
		return fmt.Errorf("wait for a job: %w", err2)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		debug.FreeOSMemory()
		_, err = s.r.Peek(1)
	}
	return err
}

// run does one job under the memory watch.
func (s *session) run(j job) done {
	h, ok := s.Handlers[j.kind]
	if !ok {
		return done{failed: true, message: fmt.Sprintf("no handler for jobs of kind %q", j.kind)}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go watchHeap(s.setup.heap, stop, stopped)
	defer func() {
		close(stop)
		<-stopped
		// A panic has an exit code of its own, so that what is left for the
		// runtime's code are its own fatal errors.
		if v := recover(); v != nil {
			fmt.Fprintf(os.Stderr, "panic: %v\n%s", v, debug.Stack())
			os.Exit(exitPanic)
		}
	}()
	resetRefusals()
	c := newClient(s.r, s.conn, func(err error) { os.Exit(fail(exitProtocol, err)) })
	for _, f := range j.know.facts {
		c.facts[f.Path] = f
	}
	c.learn(knowledge{complete: j.know.complete})
	payload, err := h(c, j.payload)
	return s.finish(c, payload, err)
}

// finish turns what a handler returned into the message that says it.
func (s *session) finish(c *client, payload []byte, err error) done {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := done{used: sortedUses(c.used), dirty: errors.Is(err, ErrDirty)}
	const longestMessage = 64 << 10
	if err != nil && err != ErrDirty { //nolint:errorlint // the bare value alone leaves the payload valid
		d.failed, d.message = true, err.Error()
		if len(d.message) > longestMessage {
			d.message = d.message[:longestMessage]
		}
		return d
	}
	if uint64(len(payload)) > s.setup.output {
		d.tooBig, d.used = true, nil
		return d
	}
	d.payload = payload
	return d
}

// watchHeap ends the process when it holds more than limit bytes of objects. The
// exit code is the message: there may be no memory left for another.
func watchHeap(limit uint64, stop, stopped chan struct{}) {
	defer close(stopped)
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	t := time.NewTicker(heapPeriod)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
			if metrics.Read(sample); sample[0].Value.Uint64() > limit {
				os.Exit(exitMemory)
			}
		}
	}
}
