package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/davitops/davit/internal/cluster/clustertest"
	"github.com/davitops/davit/internal/report"
)

// program is the davit under test: the real one, built once without the race
// detector, because it is what users run and because its workers must be measured
// as they are.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "davit-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "make a directory for the program:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "davit")
	build := exec.Command("go", "build", "-trimpath", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build davit: %v\n%s", err, out)
		return 1
	}
	defer stopClusters()
	return m.Run()
}

// TestSources reads what the program is built from. Go keeps a test's result while
// the files that the test opened stay the same, and would not know otherwise that
// these tests depend on more than they import.
func TestSources(t *testing.T) {
	t.Parallel()
	read := 0
	for _, dir := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") {
				return err
			}
			read++
			_, err = os.ReadFile(path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if read < 50 {
		t.Errorf("only %d source files were found", read)
	}
}

// root is the repository's top.
var root = filepath.Join("..", "..")

// playground is the path of the program that holds kubectl.
func playground(t testing.TB) string {
	t.Helper()
	path, err := clustertest.Program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// result is how a program ended.
type result struct {
	stdout, stderr string
	code           int
	state          *os.ProcessState
}

// davit runs the program.
func davit(t testing.TB, args ...string) result {
	t.Helper()
	return execute(t, exec.CommandContext(t.Context(), program, args...))
}

// davitWith runs the program with more in its environment.
func davitWith(t testing.TB, env []string, args ...string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), env...)
	return execute(t, cmd)
}

func execute(t testing.TB, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %s: %v", filepath.Base(cmd.Path), err)
	}
	return result{stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode(), state: cmd.ProcessState}
}

// previewOf runs a preview and reads its JSON.
func previewOf(t testing.TB, args ...string) (report.Preview, result) {
	t.Helper()
	r := davit(t, append([]string{"preview", "-o", "json"}, args...)...)
	var p report.Preview
	if err := json.Unmarshal([]byte(r.stdout), &jsonPreview{&p}); err != nil {
		t.Fatalf("davit preview printed no JSON (exit %d): %v\n%s%s", r.code, err, r.stdout, r.stderr)
	}
	return p, r
}

// jsonPreview reads a preview without its findings' objects, which are written
// for people.
type jsonPreview struct{ *report.Preview }

func (p *jsonPreview) UnmarshalJSON(data []byte) error {
	type plain report.Preview
	return json.Unmarshal(stripFindings(data), (*plain)(p.Preview))
}

func stripFindings(data []byte) []byte {
	var tree map[string]any
	if err := json.Unmarshal(data, &tree); err != nil {
		return data
	}
	targets, _ := tree["targets"].([]any)
	for _, t := range targets {
		if fields, is := t.(map[string]any); is {
			delete(fields, "findings")
		}
	}
	stripped, err := json.Marshal(tree)
	if err != nil {
		return data
	}
	return stripped
}

// git runs git in a repository and returns what it printed.
func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), "git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// sample makes a repository of a txtar: the files under base/ are committed on
// main, those under head/ are committed on top, on the branch change. A file of
// head/ that says "(deleted)" is deleted.
func sample(t testing.TB, file string) string {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return repositoryOf(t, archive)
}

func repositoryOf(t testing.TB, archive *txtar.Archive) string {
	t.Helper()
	dir := t.TempDir()
	git(t, dir, "init", "--quiet", "--initial-branch=main")
	for _, side := range []string{"base", "head"} {
		for _, f := range archive.Files {
			if name, is := cutSide(f.Name, side); is {
				if err := writeOrDelete(filepath.Join(dir, name), f.Data); err != nil {
					t.Fatal(err)
				}
			}
		}
		git(t, dir, "add", "--all")
		git(t, dir, "commit", "--quiet", "--allow-empty", "-m", side)
		if side == "base" {
			git(t, dir, "checkout", "--quiet", "-b", "change")
		}
	}
	return dir
}

// cutSide returns the path of a sample's file in the repository, if it is one of
// that side.
func cutSide(name, side string) (string, bool) { return strings.CutPrefix(name, side+"/") }

// writeOrDelete puts a sample's file into place. "(deleted)" deletes it, and
// "link: TARGET" makes it a link.
func writeOrDelete(path string, data []byte) error {
	text := strings.TrimSpace(string(data))
	if text == "(deleted)" {
		return os.Remove(path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if link, is := strings.CutPrefix(text, "link: "); is {
		return os.Symlink(link, path)
	}
	return os.WriteFile(path, data, 0o644)
}
