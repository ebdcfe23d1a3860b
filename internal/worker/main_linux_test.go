package worker

import (
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// workerArg makes the test binary a worker.
const workerArg = "test-worker"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case workerArg:
			os.Exit(Program{Handlers: testHandlers(), Warm: func() error { warmed = true; return nil }}.Main())
		case attackArg:
			os.Exit(attackUnconfined(os.Args[2]))
		case victimArg:
			os.Exit(beVictim())
		case parentArg:
			os.Exit(holdBusyWorker())
		case layersArg:
			os.Exit(printLayers())
		case refusedArg:
			os.Exit(printLayersRefused())
		}
		if code, ok := misbehave(os.Args[1]); ok {
			os.Exit(code)
		}
	}
	fd, err := unix.Open("/dev/zero", unix.O_RDONLY, 0)
	if err != nil {
		panic(err)
	}
	leaked = fd
	os.Exit(m.Run())
}

// tree is a Files over a map of paths to contents. A value that begins with
// "-> " is a link to that path, which is taken from the root.
type contents map[string]string

func (t contents) resolve(p string) string {
	for range 40 {
		target, ok := strings.CutPrefix(t[p], "-> ")
		if !ok {
			if dir := path.Dir(p); p != "." {
				if real := t.resolve(dir); real != dir {
					p = join(real, path.Base(p))
					continue
				}
			}
			return p
		}
		p = target
	}
	return p
}

func (t contents) Look(p string, content bool) (Fact, error) {
	real := t.resolve(p)
	if !validPath(real) {
		return Fact{Path: p, Kind: Outside}, nil
	}
	if data, ok := t[real]; ok {
		f := Fact{Path: p, Kind: File, Real: real}
		if content {
			f.Has, f.Data = true, []byte(data)
		}
		return f, nil
	}
	if len(t.names(real)) > 0 {
		return Fact{Path: p, Kind: Dir, Real: real}, nil
	}
	return Fact{Path: p}, nil
}

func (t contents) names(dir string) []string {
	var out []string
	for p := range t {
		rest, ok := strings.CutPrefix(p, dir+"/")
		if dir == "." {
			rest, ok = p, true
		}
		if ok {
			name, _, _ := strings.Cut(rest, "/")
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (t contents) List(p string) ([]Entry, error) {
	var out []Entry
	for _, n := range t.names(t.resolve(p)) {
		f, err := t.Look(join(p, n), false)
		if err != nil {
			return nil, err
		}
		out = append(out, Entry{Name: n, Kind: f.Kind})
	}
	return out, nil
}

// newPool is a pool of this test binary, closed with the test.
func newPool(t testing.TB, o Options) *Pool {
	t.Helper()
	if o.Command == nil {
		o.Command = []string{"/proc/self/exe", workerArg}
	}
	p, err := NewPool(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}
