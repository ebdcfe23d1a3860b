package worker

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// testHandlers is what the test binary does as a worker.
func testHandlers() map[string]Handler {
	return map[string]Handler{
		"echo":   func(_ Files, b []byte) ([]byte, error) { return b, nil },
		"script": script,
		"attack": attackHandler,
		"error":  func(_ Files, b []byte) ([]byte, error) { return nil, errors.New(string(b)) },
		"dirty":  func(_ Files, b []byte) ([]byte, error) { return b, ErrDirty },
		"soiled": func(_ Files, b []byte) ([]byte, error) { return nil, errors.Join(errors.New(string(b)), ErrDirty) },
		"count":  func(Files, []byte) ([]byte, error) { jobs++; return strconv.AppendInt(nil, int64(jobs), 10), nil },
		"print":  func(_ Files, b []byte) ([]byte, error) { _, err := os.Stderr.Write(b); return nil, err },
		"size": func(_ Files, b []byte) ([]byte, error) {
			n, err := strconv.Atoi(string(b))
			return make([]byte, n), err
		},
		"busy": busy,
		"lookdie": func(files Files, _ []byte) ([]byte, error) {
			_, err := files.Look("a", false)
			panic(err)
		},
		"die":    die,
		"grow":   grow,
		"hold":   hold,
		"normal": normal,
		"http":   getURL,
	}
}

// warmed is set by the warm-up of this process.
var warmed bool

// jobs counts the "count" jobs of this process; it tells workers apart where their
// process ids are all 1.
var jobs int

// script runs lines "look P", "read P" and "list P" and prints what they found.
func script(files Files, payload []byte) ([]byte, error) {
	var out bytes.Buffer
	for line := range strings.Lines(string(payload)) {
		verb, p, _ := strings.Cut(strings.TrimSpace(line), " ")
		if verb == "list" {
			entries, err := files.List(p)
			fmt.Fprintf(&out, "list %s: %v %v\n", p, entries, err)
			continue
		}
		f, err := files.Look(p, verb == "read")
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&out, "%s %s: %v real=%s has=%v %q\n", verb, p, f.Kind, f.Real, f.Has, f.Data)
	}
	return out.Bytes(), nil
}

func busy(files Files, _ []byte) ([]byte, error) {
	if _, err := files.Look("started", false); err != nil {
		return nil, err
	}
	for n := 0; ; n++ {
		if n < 0 {
			return nil, nil
		}
	}
}

// die ends the worker in the way the payload names.
func die(_ Files, how []byte) ([]byte, error) {
	switch string(how) {
	case "panic":
		panic("a panic with manifest content")
	case "panic elsewhere":
		go func() { panic("not in the handler") }()
		select {}
	case "nil":
		var p *int
		*p = 1
	case "stack":
		return nil, recurse(1)
	case "fatal":
		log.Fatal("a library gives up")
	case "exit":
		os.Exit(0)
	case "x32":
		// The same call by its number in the other ABI.
		return nil, call(otherABI | unix.SYS_GETPID)
	case "abort":
		// The signal goes to the process itself, which is all the filter lets through.
		return nil, unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGABRT)
	}
	return nil, fmt.Errorf("no such end: %s", how)
}

func recurse(n int) error {
	var a [1024]byte
	a[n%len(a)] = 1
	//lint:ignore SA5007 the end of the stack is what is tested
	if err := recurse(n + 1); err != nil {
		return fmt.Errorf("%d: %w", a[0], err)
	}
	return nil
}

// sink keeps what was allocated.
var sink [][]byte

// grow takes memory without end, in the way the payload names.
func grow(_ Files, how []byte) ([]byte, error) {
	switch string(how) {
	case "objects": // what the runtime counts
		for {
			sink = append(sink, make([]byte, 1024))
		}
	case "doubling": // from under one limit to over the next in a single step
		for n := 1 << 20; ; n *= 2 {
			b := make([]byte, n)
			touch(b)
			sink = [][]byte{b}
		}
	case "mapped": // what only the kernel counts
		for {
			b, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
			if err != nil {
				return []byte(err.Error()), nil
			}
			touch(b)
			sink = append(sink, b)
		}
	}
	return nil, fmt.Errorf("no such growth: %s", how)
}

func touch(b []byte) {
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
}

// hold takes the payload's number of MiB and returns.
func hold(_ Files, payload []byte) ([]byte, error) {
	n, err := strconv.Atoi(string(payload))
	b := make([]byte, n<<20)
	touch(b)
	runtime.KeepAlive(b)
	return nil, err
}

// normal does what honest libraries do in passing, none of which may meet the
// filter in kill mode.
func normal(files Files, payload []byte) ([]byte, error) {
	if !warmed {
		return nil, errors.New("the warm-up did not run")
	}
	log.Print("a line")
	if _, err := exec.LookPath("git"); !errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("look for git: %w", err)
	}
	if os.Getenv("PATH") != "" || len(os.Environ()) > 0 {
		return nil, errors.New("there is an environment")
	}
	if z := time.Now().Location(); z != time.UTC && z.String() != "UTC" {
		return nil, fmt.Errorf("the time zone is %v", z)
	}
	out := make(chan int)
	for i := range 32 {
		go func() {
			b := make([]byte, i<<16)
			touch(b)
			runtime.LockOSThread()
			out <- len(b)
		}()
	}
	for range 32 {
		<-out
	}
	t := time.NewTimer(time.Millisecond)
	<-t.C
	debug.FreeOSMemory()
	_, err := http.Get("https://example.com/base?token=1")
	if !errors.Is(err, ErrNoNetwork) {
		return nil, fmt.Errorf("get a URL: %w", err)
	}
	return script(files, payload)
}

func getURL(_ Files, payload []byte) ([]byte, error) {
	for url := range strings.FieldsSeq(string(payload)) {
		resp, err := http.Get(url)
		if err == nil {
			resp.Body.Close()
			return nil, errors.New("there is a network")
		}
		clone := http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
		if resp, err = clone.Get(url); err == nil {
			resp.Body.Close()
			return nil, errors.New("a copy of the transport has a network")
		}
	}
	return []byte(strings.Join(Refusals(), "\n")), nil
}
