package git

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
)

// MaxBlob is the size in bytes over which a file's content is not read.
const MaxBlob = 64 << 20

// Errors of Read.
var (
	ErrNoObject = errors.New("no such object")
	ErrTooLarge = errors.New("larger than Davit reads")
)

// cacheBytes is how much content of objects is kept. Within one pull request
// the same files are read again and again: for base and head, for every target
// that shares a base. entryBytes is about what keeping one costs besides.
const (
	cacheBytes = 64 << 20
	entryBytes = 256
)

// errClosed is what a read of a closed repository answers.
var errClosed = errors.New("the repository is closed")

// objects reads objects by id through one long-lived git, started when it is
// first needed.
type objects struct {
	command func() *exec.Cmd

	mu    sync.Mutex
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	cache map[string][]byte
	held  int // bytes in cache
	ended bool
}

// Read returns the content of an object by its id. The caller must not change it.
func (r *Repository) Read(ctx context.Context, id string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !isID(id) {
		return nil, fmt.Errorf("read object %q: %w", id, ErrNoObject)
	}
	data, err := r.objects.read(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read object %s: %w", id, err)
	}
	return data, nil
}

// sha256Length is that of an object id in hexadecimal digits.
const sha256Length = 64

// isID reports whether s is a whole object id, of SHA-1 or SHA-256. Anything
// else could be read as a name, and a name can hold a line feed.
func isID(s string) bool {
	return (len(s) == 40 || len(s) == sha256Length) && strings.Trim(s, "0123456789abcdef") == ""
}

func (o *objects) read(ctx context.Context, id string) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return nil, errClosed
	}
	if data, kept := o.cache[id]; kept {
		return data, nil
	}
	if o.cmd == nil {
		if err := o.start(); err != nil {
			return nil, err
		}
	}
	process := o.cmd.Process
	finished := context.AfterFunc(ctx, func() { _ = process.Kill() })
	data, err := o.ask(id)
	cancelled := !finished()
	if cancelled || err != nil && !errors.Is(err, ErrNoObject) && !errors.Is(err, ErrTooLarge) {
		_ = o.stop() // the stream is out of step; the next read begins a new one
	}
	if cancelled {
		return nil, ctx.Err()
	}
	if err == nil {
		o.keep(id, data)
	}
	return data, err
}

// keep puts content into the cache; a cache that is full begins anew.
func (o *objects) keep(id string, data []byte) {
	size := len(data) + entryBytes
	if o.cache == nil || o.held+size > cacheBytes {
		o.cache, o.held = map[string][]byte{}, 0
	}
	if size <= cacheBytes {
		o.cache[id] = data
		o.held += size
	}
}

func (o *objects) start() error {
	cmd := o.command()
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start git cat-file: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start git cat-file: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start git cat-file: %w", err)
	}
	o.cmd, o.in, o.out = cmd, in, bufio.NewReaderSize(out, 64<<10)
	return nil
}

// ask sends one id and reads "<id> <type> <size>", the content and a line feed;
// or "<id> missing", which has no content.
func (o *objects) ask(id string) ([]byte, error) {
	if _, err := io.WriteString(o.in, id+"\n"); err != nil {
		return nil, fmt.Errorf("ask git cat-file: %w", err)
	}
	header, err := o.out.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("read from git cat-file: %w", err)
	}
	fields := strings.Fields(header)
	if len(fields) == 2 && fields[1] == "missing" {
		return nil, ErrNoObject
	}
	if len(fields) != 3 {
		return nil, fmt.Errorf("read from git cat-file: unexpected header %q", header)
	}
	size, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read from git cat-file: %w", err)
	}
	if size > MaxBlob {
		if _, err := io.CopyN(io.Discard, o.out, size+1); err != nil {
			return nil, fmt.Errorf("read from git cat-file: %w", err)
		}
		return nil, ErrTooLarge
	}
	data := make([]byte, size+1)
	if _, err := io.ReadFull(o.out, data); err != nil {
		return nil, fmt.Errorf("read from git cat-file: %w", err)
	}
	return data[:size], nil
}

func (o *objects) stop() error {
	if o.cmd == nil {
		return nil
	}
	cmd := o.cmd
	o.cmd = nil
	_ = o.in.Close()
	_, _ = io.Copy(io.Discard, o.out)
	return cmd.Wait()
}

// restart forgets everything, so that the next read begins a git of its own.
func (o *objects) restart() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cache, o.held = nil, 0
	return o.stop()
}

func (o *objects) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cache, o.ended = nil, true
	return o.stop()
}
