package survey

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/davitops/davit/internal/report"
)

// story is one file of testdata: base/ and head/ are the two trees, where head
// has base's files too unless it says "(deleted)", and want is what comes out. A
// line "path: X" of the comment is the question's path.
type story struct {
	base, head memory
	path       string
}

func readStory(archive *txtar.Archive) story {
	s := story{base: memory{}, head: memory{}}
	for line := range strings.Lines(string(archive.Comment)) {
		if path, is := strings.CutPrefix(line, "path: "); is {
			s.path = strings.TrimSpace(path)
		}
	}
	for _, f := range archive.Files {
		if name, is := strings.CutPrefix(f.Name, "base/"); is {
			s.base[name], s.head[name] = string(f.Data), string(f.Data)
		}
	}
	for _, f := range archive.Files {
		name, is := strings.CutPrefix(f.Name, "head/")
		if is && string(f.Data) == "(deleted)\n" {
			delete(s.head, name)
		} else if is {
			s.head[name] = string(f.Data)
		}
	}
	return s
}

// told is what a survey said and what it asked for.
type told struct {
	preview  report.Preview
	rendered []string
	judged   [][]string
	progress [][2]int
}

func (s story) run(t *testing.T, parallel int) told {
	t.Helper()
	var out told
	var mu sync.Mutex
	renders, judges := &renderer{}, &judge{}
	preview, err := Surveyor{Renderer: renders, Judge: judges, Parallel: parallel}.Run(t.Context(), Question{
		Base: s.base, Head: s.head, Path: s.path,
		Progress: func(_ Phase, done, total int) {
			mu.Lock()
			defer mu.Unlock()
			out.progress = append(out.progress, [2]int{done, total})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	preview.Stats.Ms = 0
	out.preview, out.rendered, out.judged = preview, renders.calls, judges.judged
	slices.Sort(out.rendered)
	return out
}

// TestStories runs every file of testdata; UPDATE=1 writes what comes out.
func TestStories(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := readStory(archive)
			first := s.run(t, 1)
			checkWant(t, file, archive, show(first))
			text, err := first.preview.JSON()
			if err != nil {
				t.Fatal(err)
			}
			for _, parallel := range []int{0, 2, 7, 50} {
				again := s.run(t, parallel)
				if other, _ := again.preview.JSON(); other != text {
					t.Errorf("with %d at a time (-one +%d):\n%s", parallel, parallel, cmp.Diff(text, other))
				}
				checkProgress(t, again.progress)
			}
		})
	}
}

func checkWant(t *testing.T, file string, archive *txtar.Archive, got string) {
	t.Helper()
	at := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
	if at < 0 {
		t.Fatal("the file has no want")
	}
	if os.Getenv("UPDATE") != "" {
		archive.Files[at].Data = []byte(got)
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(string(archive.Files[at].Data), got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// checkProgress checks that every step up to the total was told once.
func checkProgress(t *testing.T, progress [][2]int) {
	t.Helper()
	slices.SortFunc(progress, func(a, b [2]int) int { return a[0] - b[0] })
	for i, p := range progress {
		if p != [2]int{i + 1, len(progress)} {
			t.Errorf("progress %v", progress)
			return
		}
	}
}

func show(o told) string {
	var b strings.Builder
	s := o.preview.Stats
	fmt.Fprintf(&b, "%d targets, %d affected, %d renders (%s), %d cached, exit %d\n", s.Targets, s.Affected, s.Rendered, strings.Join(o.rendered, " "), s.Cached, o.preview.ExitCode())
	for _, e := range o.preview.Errors {
		fmt.Fprintf(&b, "error, %s: %s (%s:%d)\n", e.State, e.Code, e.File, e.Line)
	}
	for _, n := range o.preview.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	for _, t := range o.preview.Targets {
		fmt.Fprintf(&b, "%s [%s, %s, %q on %q] %s because of %q\n", t.Name, t.Path, t.Renderer, t.Environment, t.Cluster, t.Status, t.Why)
		if t.Error != nil {
			fmt.Fprintf(&b, "  error, %s: %s (%s:%d)\n", t.Error.State, t.Error.Code, t.Error.File, t.Error.Line)
		}
		for _, c := range t.Changes {
			fmt.Fprintf(&b, "  %s %s", c.Action, c.Object)
			if c.Renamed != "" {
				fmt.Fprintf(&b, ", until now %s", c.Renamed)
			}
			if c.Replaced {
				b.WriteString(", replaced")
			}
			b.WriteString("\n")
			for line := range strings.Lines(c.RenamedDiff) {
				if strings.HasPrefix(line, "+") || strings.HasPrefix(line, "-") {
					b.WriteString("    " + line)
				}
			}
		}
		for _, f := range t.Findings {
			fmt.Fprintf(&b, "  %s %s %s/%s: %s: %s (%s:%d)\n", f.State, f.Severity, f.Engine, f.Rule, f.Object, f.Message, f.File, f.Line)
		}
	}
	for _, names := range o.judged {
		fmt.Fprintf(&b, "judged: %s\n", strings.Join(names, "; "))
	}
	return b.String()
}

// TestHints shows that head is rendered with what base read as hints.
func TestHints(t *testing.T) {
	t.Parallel()
	base := memory{"app/kustomization.yaml": "resources: [a.yaml]\n", "app/a.yaml": object("a", "")}
	head := memory{"app/kustomization.yaml": "resources: [a.yaml]\n", "app/a.yaml": object("b", "")}
	r := &renderer{}
	if _, err := (Surveyor{Renderer: r, Judge: &judge{}}).Run(t.Context(), Question{Base: base, Head: head}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"app/a.yaml", "app/kustomization.yaml"}, r.hints["app"]); d != "" {
		t.Errorf("hints (-want +got):\n%s", d)
	}
}

func object(name, data string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {" + data + "}\n"
}

// TestFaults shows that what is no fault of the change is no part of the answer.
func TestFaults(t *testing.T) {
	t.Parallel()
	errStore := errors.New("no judge")
	base := memory{"app/a.yaml": object("a", "")}
	for name, c := range map[string]struct {
		head  memory
		judge error
		want  error
	}{
		"renderer": {memory{"app/a.yaml": object("a", "a: '@unreadable'")}, nil, errUnreadable},
		"judge":    {memory{"app/a.yaml": object("b", "")}, errStore, errStore},
	} {
		_, err := Surveyor{Renderer: &renderer{}, Judge: &judge{err: c.judge}}.Run(t.Context(), Question{Base: base, Head: c.head})
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), "app") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
