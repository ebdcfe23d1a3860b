package worker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// loop connects a client to a server in one process and counts the trips.
type loop struct {
	s     *server
	trips int
	reply bytes.Reader
}

func (l *loop) Write(frame []byte) (int, error) {
	l.trips++
	op, body, err := readFrame(bytes.NewReader(frame), func(byte) int64 { return maxRequest })
	if err != nil {
		return 0, err
	}
	reply, err := l.s.answer(op, body)
	if err != nil {
		return 0, err
	}
	l.reply.Reset(reply)
	return len(frame), nil
}

func (l *loop) Read(b []byte) (int, error) { return l.reply.Read(b) }

// talk runs a script as a job over the protocol.
func talk(t *testing.T, files Files, script_ string, hints ...string) (out string, used []Use, l *loop) {
	t.Helper()
	l = &loop{s: newServer(files, DefaultLimits())}
	frame, err := l.s.job(Job{Kind: "script", Payload: []byte(script_), Hints: hints})
	if err != nil {
		t.Fatal(err)
	}
	_, body, err := readFrame(bytes.NewReader(frame), only(opJob, maxFromParent))
	if err != nil {
		t.Fatal(err)
	}
	j, err := parseJob(body)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(l, l, func(err error) { t.Fatal(err) })
	c.learn(j.know)
	b, err := script(c, j.payload)
	if err != nil {
		t.Fatal(err)
	}
	used = sortedUses(c.used)
	if err := l.s.verify(used); err != nil {
		t.Fatalf("honest use refused: %v", err)
	}
	return string(b), used, l
}

var sample = contents{
	"app/kustomization.yaml": "resources: [deploy.yaml, ../base]",
	"app/deploy.yaml":        "kind: Deployment",
	"app/empty.yaml":         "",
	"app/large.yaml":         strings.Repeat("x", prefetchFile+1),
	"app/notes.txt":          "text",
	"app/link.yaml":          "-> base/kustomization.yaml",
	"app/out":                "-> ../../etc/passwd",
	"base/kustomization.yml": "resources: []",
	"linked":                 "-> base",
}

func TestAnswersOverTheProtocolAreTheTrees(t *testing.T) {
	const lines = `
look app
read app/kustomization.yaml
look app/kustomization.yaml
read app/empty.yaml
look app/empty.yaml
read app/large.yaml
read app/notes.txt
read app/link.yaml
look app/out
read app/missing
look app/missing/below
read ./app/../base/kustomization.yml
look linked
read linked/kustomization.yml
read linked/none.yaml
list app
list linked
list .
list app/notes.txt
list nowhere
list ..
look ../outside
look /absolute
`
	want, err := script(cleaned{sample}, []byte(strings.TrimSpace(lines)))
	if err != nil {
		t.Fatal(err)
	}
	for name, hints := range map[string][]string{"no hints": nil, "hints": {"app/empty.yaml", "app/missing", "app", "linked"}} {
		if got, _, _ := talk(t, sample, strings.TrimSpace(lines), hints...); got != string(want) {
			t.Errorf("%s: over the protocol:\n%s\nfrom the tree:\n%s", name, got, want)
		}
	}
}

// cleaned answers as the client does for paths and kinds that a tree is not asked.
type cleaned struct{ contents }

func (c cleaned) Look(p string, content bool) (Fact, error) {
	p = cleanPath(p)
	if !validPath(p) {
		return Fact{Path: p, Kind: Outside}, nil
	}
	return c.contents.Look(p, content)
}

func (c cleaned) List(p string) ([]Entry, error) {
	if f, _ := c.Look(p, false); f.Kind != Dir {
		return nil, nil
	}
	return c.contents.List(p)
}

func cleanPath(p string) string {
	if strings.HasPrefix(p, "./app/../") {
		return strings.TrimPrefix(p, "./app/../")
	}
	return p
}

func TestEmptyIsNotMissing(t *testing.T) {
	l := &loop{s: newServer(sample, DefaultLimits())}
	c := newClient(l, l, func(err error) { t.Fatal(err) })
	for range 2 { // the second answer is a remembered one
		empty, err := c.Look("app/empty.yaml", true)
		if err != nil || !empty.Has || len(empty.Data) != 0 {
			t.Errorf("an empty file: %+v, %v", empty, err)
		}
		unread, err := c.Look("app/empty.yaml", false)
		if err != nil || unread.Has || unread.Kind != File {
			t.Errorf("an empty file without content: %+v, %v", unread, err)
		}
	}
	if large, err := c.Look("app/large.yaml", false); err != nil || large.Has {
		t.Errorf("content that was not asked for: %+v, %v", large, err)
	}
	if large, err := c.Look("app/large.yaml", true); err != nil || len(large.Data) != prefetchFile+1 {
		t.Errorf("content that was left out and then asked for: %d bytes, %v", len(large.Data), err)
	}
	if missing, err := c.Look("app/none.yaml", true); err != nil || missing.Kind != Absent || missing.Has {
		t.Errorf("a missing file: %+v, %v", missing, err)
	}
	for _, none := range []string{"nowhere", "app/notes.txt"} {
		if names, err := c.List(none); len(names) != 0 || err != nil {
			t.Errorf("list %s: %v, %v", none, names, err)
		}
	}
}

func TestPrefetchSavesTrips(t *testing.T) {
	const build = "read app/kustomization.yaml\nread app/kustomization.yml\nread app/Kustomization\nread app/deploy.yaml\nread app/empty.yaml\nlist app\n"
	for _, c := range []struct {
		name, script string
		hints        []string
		trips        int
	}{
		{"a kustomization brings its directory", build, nil, 1},
		{"a missing one too", "read app/Kustomization\n" + build, nil, 1},
		{"a directory brings its manifests", "look app\n" + build, nil, 1},
		{"a known trace needs no trip", "read app/kustomization.yaml\nread app/kustomization.yml\nlook app\nread app/large.yaml", []string{"app", "app/kustomization.yaml", "app/kustomization.yml", "app/large.yaml"}, 0},
		{"a hint without content", "read app/large.yaml\nread app/large.yaml\nread app/large.yaml", nil, 1},
	} {
		if _, _, l := talk(t, sample, c.script, c.hints...); l.trips != c.trips {
			t.Errorf("%s: %d trips, want %d", c.name, l.trips, c.trips)
		}
	}
}

func TestUsedIsWhatWasConsulted(t *testing.T) {
	_, used, _ := talk(t, sample, "read app/kustomization.yaml\nlook app/deploy.yaml\nread app/none.yaml\nlist base\nlist base/none\nread app", "app/empty.yaml", "linked")
	want := []Use{{Path: "app"}, {Path: "app/deploy.yaml"}, {Path: "app/kustomization.yaml", Content: true},
		{Path: "app/none.yaml"}, {Path: "base", Listed: true}, {Path: "base/none"}}
	if !slices.Equal(used, want) {
		t.Errorf("used %+v, want %+v", used, want)
	}
}

func TestLargeDirectoriesAreNotSentUnasked(t *testing.T) {
	files := contents{}
	for i := range prefetchEntries + 1 {
		files[fmt.Sprintf("d/%d.yaml", i)] = "x"
	}
	l := &loop{s: newServer(files, DefaultLimits())}
	c := newClient(l, l, func(err error) { t.Fatal(err) })
	if _, err := c.Look("d", false); err != nil || len(c.dirs) > 0 {
		t.Fatalf("looked at: %d listings came, %v", len(c.dirs), err)
	}
	if got, err := c.List("d"); err != nil || len(got) != prefetchEntries+1 {
		t.Fatalf("asked for: %d entries, %v", len(got), err)
	}
}

// FuzzParentReads feeds the parent's end: frames and what is in them. Whatever
// is accepted must survive being written and read again.
func FuzzParentReads(f *testing.F) {
	seed := func(frame []byte, err error) {
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame)
	}
	seed(hello{1, Layers{Seccomp: true, Landlock: 7, UID: nobodyID}}.frame())
	seed(question{"a/b", true}.frame(opLook))
	seed(question{".", false}.frame(opList))
	seed(done{failed: true, message: "m", used: []Use{{"a", true, false}}, payload: []byte("p")}.frame())
	f.Fuzz(func(t *testing.T, b []byte) {
		op, body, err := readFrame(bytes.NewReader(b), func(byte) int64 { return maxRequest })
		if err != nil {
			return
		}
		switch op {
		case opHello:
			again(t, body, parseHello, hello.frame)
		case opLook, opList:
			again(t, body, parseQuestion, func(q question) ([]byte, error) { return q.frame(op) })
			s := newServer(sample, DefaultLimits())
			if _, err := s.answer(op, body); err != nil && !isDeath(err) {
				t.Fatal(err)
			}
		case opDone:
			again(t, body, parseDone, done.frame)
			if d, err := parseDone(body); err == nil && len(d.used) > 0 && newServer(sample, DefaultLimits()).verify(d.used) == nil {
				t.Fatal("used what was never sent")
			}
		}
	})
}

// FuzzWorkerReads feeds the worker's end.
func FuzzWorkerReads(f *testing.F) {
	know := knowledge{facts: []Fact{{Path: "a", Kind: File, Real: "b", Has: true, Data: []byte{}}, {Path: "c"}},
		complete: []listing{{dir: ".", real: ".", entries: []Entry{{Name: "a", Kind: File}}}}}
	for _, make := range []func() ([]byte, error){
		setup{version: 1, heap: 2, data: 3, cpu: 4, output: 5, kill: true}.frame,
		job{kind: "k", payload: []byte("p"), know: know}.frame,
		answer{fact: Fact{Path: "d", Kind: Dir, Real: "d"}, know: know}.frame,
	} {
		b, err := make()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		op, body, err := readFrame(bytes.NewReader(b), func(byte) int64 { return maxRequest })
		if err != nil {
			return
		}
		switch op {
		case opSetup:
			again(t, body, parseSetup, setup.frame)
		case opJob:
			again(t, body, parseJob, job.frame)
		case opAnswer:
			again(t, body, parseAnswer, answer.frame)
		}
	})
}

const nobodyID = 65534

// again writes an accepted message and reads it back.
func again[M any](t *testing.T, body []byte, parse func([]byte) (M, error), frame func(M) ([]byte, error)) {
	t.Helper()
	m, err := parse(body)
	if err != nil {
		return
	}
	b, err := frame(m)
	if err != nil {
		t.Fatal(err)
	}
	m2, err := parse(b[headerSize:])
	if err != nil || !reflect.DeepEqual(m, m2) {
		t.Fatalf("%+v came back as %+v, %v", m, m2, err)
	}
}

func TestFramesAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		frame string
		want  error
	}{
		"too long":       {"\x00\x01\x00\x01\x11", errTooBig},
		"unexpected op":  {"\x00\x00\x00\x00\x99", errMalformed},
		"cut in header":  {"\x00\x00", io.ErrUnexpectedEOF},
		"cut in body":    {"\x00\x00\x00\x05\x11ab", io.ErrUnexpectedEOF},
		"ends between":   {"", io.EOF},
		"claims and cut": {"\x00\x01\x00\x00\x11ab", io.ErrUnexpectedEOF},
	} {
		_, _, err := readFrame(strings.NewReader(c.frame), only(opLook, maxRequest))
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
