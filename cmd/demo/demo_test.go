//go:build e2e

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/cluster/clustertest"
)

// TestDemo plays the demo as people do: it tells the story to its end, leaves nothing
// behind, and says what README shows of it. With UPDATE=1 README is written anew.
func TestDemo(t *testing.T) {
	playground, err := clustertest.Program()
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	bin, transcript, temporary := t.TempDir(), t.TempDir(), t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", bin+"/", "./cmd/davit", "./cmd/githubsim", "./cmd/demo")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	demo := exec.CommandContext(t.Context(), filepath.Join(bin, "demo"), "-davit", filepath.Join(bin, "davit"), "-githubsim", filepath.Join(bin, "githubsim"),
		"-playground", playground, "-transcript", transcript)
	demo.Dir, demo.Env = root, append(os.Environ(), "TMPDIR="+temporary)
	out, err := demo.CombinedOutput()
	if err != nil {
		t.Fatalf("the demo: %v\n%s", err, out)
	}
	for _, page := range []string{"/pull/1", "/pull/2", "/pull/3"} {
		if !regexp.MustCompile(`http://127\.0\.0\.1:\d+/acme/shop` + page + `\n`).Match(out) {
			t.Errorf("it names no page %s:\n%s", page, out)
		}
	}
	for _, line := range []string{"production runs registry.example/web:1.0.0, 3 ready", "The end."} {
		if !strings.Contains(string(out), line) {
			t.Errorf("it does not say %q:\n%s", line, out)
		}
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
	for _, process := range processes(t) {
		if strings.Contains(process, temporary) || strings.Contains(process, bin) {
			t.Errorf("it leaves %q running", process)
		}
	}
	shown, err := os.ReadFile(filepath.Join(transcript, "failure.md"))
	if err != nil {
		t.Fatal(err)
	}
	inReadme(t, filepath.Join(root, "README.md"), strings.TrimSpace(string(shown)))
}

// processes are the command lines of everything that runs.
func processes(t *testing.T) (lines []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Fatalf("nothing runs: %v", err)
	}
	for _, file := range files {
		data, _ := os.ReadFile(file) // it may have ended
		lines = append(lines, strings.ReplaceAll(string(data), "\x00", " "))
	}
	return lines
}

// drawn is what is another one each time: commits, and names of pods.
var drawn = regexp.MustCompile("`[0-9a-f]{7}`" + `|web-[0-9a-z]+-[0-9a-z]+|[0-9a-f]{8}-[-0-9a-f]{27}|\(\d+ times\)|restarted \d+ times`)

func inReadme(t *testing.T, readme, want string) {
	t.Helper()
	data, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- as make demo produced it; a test keeps it true -->\n\n", "\n\n<!-- end of the demo's comment -->"
	before, rest, found := strings.Cut(string(data), begin)
	is, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatal("README.md shows no comment of the demo")
	}
	same := cmp.Diff(drawn.ReplaceAllString(want, "x"), drawn.ReplaceAllString(is, "x"))
	switch {
	case same == "":
	case os.Getenv("UPDATE") != "":
		if err := os.WriteFile(readme, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("README.md is not true any more; run the test with UPDATE=1 (-demo +README):\n%s", same)
	}
}
