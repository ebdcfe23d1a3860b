package git

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// blobs writes each content as an object and returns the ids.
func blobs(t testing.TB, dir string, contents ...string) []string {
	t.Helper()
	ids := make([]string, len(contents))
	for i, content := range contents {
		ids[i] = gitWith(t, dir, content, "hash-object", "-w", "--stdin")
	}
	return ids
}

func wantRead(t testing.TB, r *Repository, id, want string) {
	t.Helper()
	if data, err := r.Read(t.Context(), id); err != nil || string(data) != want {
		t.Errorf("read %.40q, %v, want %.40q", data, err, want)
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	dir := repository(t)
	ids := blobs(t, dir, "a\n", "", "no end\x00\xff\n\n", strings.Repeat("x", 1<<20))
	r := open(t, dir)
	for range 2 { // from git, then from the cache
		wantRead(t, r, ids[0], "a\n")
		wantRead(t, r, ids[1], "")
		wantRead(t, r, ids[2], "no end\x00\xff\n\n")
		wantRead(t, r, ids[3], strings.Repeat("x", 1<<20))
	}
}

func TestReadKeepsInStep(t *testing.T) {
	t.Parallel()
	dir := repository(t)
	ids := blobs(t, dir, "a\n", "b\n", "c\n", "d\n", strings.Repeat("large\n", MaxBlob/6+1))
	r := open(t, dir)
	wantRead(t, r, ids[0], "a\n")
	if _, err := r.Read(t.Context(), strings.Repeat("0", 40)); !errors.Is(err, ErrNoObject) {
		t.Errorf("a missing object: %v, want ErrNoObject", err)
	}
	wantRead(t, r, ids[1], "b\n")
	if data, err := r.Read(t.Context(), ids[4]); !errors.Is(err, ErrTooLarge) || data != nil {
		t.Errorf("a large object: %d bytes, %v, want ErrTooLarge", len(data), err)
	}
	wantRead(t, r, ids[2], "c\n")
	for _, no := range []string{
		"", "HEAD", "a", ids[3][:10], ids[3] + "\n" + ids[3], strings.ToUpper(ids[3]), ids[3] + " ", "HEAD:" + ids[3], "--help", strings.Repeat("g", 40), "../../etc/passwd",
	} {
		if _, err := r.Read(t.Context(), no); !errors.Is(err, ErrNoObject) {
			t.Errorf("%q: %v, want ErrNoObject", no, err)
		}
	}
	wantRead(t, r, ids[3], "d\n")
}

func TestReadRestartsAGitThatDied(t *testing.T) {
	t.Parallel()
	dir := repository(t)
	ids := blobs(t, dir, "a", "b", "c")
	r := open(t, dir)
	wantRead(t, r, ids[0], "a")
	if err := r.objects.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.objects.cmd.Process.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(t.Context(), ids[1]); err == nil {
		t.Error("a read of a dead git has no error")
	}
	wantRead(t, r, ids[1], "b")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Read(ctx, ids[2]); !errors.Is(err, context.Canceled) {
		t.Errorf("a read without time: %v, want context.Canceled", err)
	}
	wantRead(t, r, ids[2], "c")
}

func TestReadEndsWithItsContext(t *testing.T) {
	t.Parallel()
	dir := repository(t)
	id := blobs(t, dir, "a")[0]
	r := open(t, dir)
	command := r.objects.command
	ctx, cancel := context.WithCancel(t.Context())
	r.objects.command = func() *exec.Cmd {
		// It reads to the end before it answers, and the end never comes.
		go cancel()
		return exec.Command("git", "hash-object", "--stdin")
	}
	if _, err := r.Read(ctx, id); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	r.objects.command = command
	wantRead(t, r, id, "a")
}

func TestReadAfterClose(t *testing.T) {
	t.Parallel()
	dir := repository(t)
	id := blobs(t, dir, "a")[0]
	r, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	wantRead(t, r, id, "a")
	closed(t, r)
	if _, err := r.Read(t.Context(), id); !errors.Is(err, errClosed) || r.objects.cmd != nil {
		t.Errorf("got %v, want that the repository is closed", err)
	}
	closed(t, r)
}

func TestReadConcurrently(t *testing.T) {
	t.Parallel()
	dir := repository(t)
	contents := make([]string, 50)
	for i := range contents {
		contents[i] = strings.Repeat(fmt.Sprintf("%d\n", i), i*100)
	}
	ids := blobs(t, dir, contents...)
	r := open(t, dir)
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range ids {
				at := (i*7 + worker*3) % len(ids)
				wantRead(t, r, ids[at], contents[at])
			}
			if _, err := r.Read(t.Context(), strings.Repeat("0", 40)); !errors.Is(err, ErrNoObject) {
				t.Errorf("a missing object: %v, want ErrNoObject", err)
			}
		})
	}
	group.Wait()
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	var o objects
	for i := range 200 {
		o.keep(fmt.Sprint(i), make([]byte, 1<<20))
		held := 0
		for _, data := range o.cache {
			held += len(data) + entryBytes
		}
		if held != o.held || held > cacheBytes || len(o.cache) == 0 {
			t.Fatalf("after %d MiB the cache holds %d bytes and counts %d, of %d", i+1, held, o.held, cacheBytes)
		}
	}
	o.keep("large", make([]byte, MaxBlob))
	if o.held > cacheBytes {
		t.Errorf("the largest blob made the cache hold %d bytes", o.held)
	}
	for i := range 2 * cacheBytes / entryBytes {
		o.keep(fmt.Sprint(i), nil)
	}
	if len(o.cache) > cacheBytes/entryBytes {
		t.Errorf("the cache holds %d empty files, more than %d", len(o.cache), cacheBytes/entryBytes)
	}
}
