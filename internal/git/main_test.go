package git

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain gives git a home without configuration, and checks at the end that no
// test left a scratch directory behind.
func TestMain(m *testing.M) {
	os.Exit(isolated(m))
}

func isolated(m *testing.M) int {
	dir, err := os.MkdirTemp("", "git-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "make a directory for the tests:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for name, value := range map[string]string{"HOME": filepath.Join(dir, "home"), "XDG_CONFIG_HOME": "", "TMPDIR": dir, "GIT_CONFIG_NOSYSTEM": "1"} {
		if err := os.Setenv(name, value); err != nil {
			fmt.Fprintln(os.Stderr, "set the environment:", err)
			return 1
		}
	}
	code := m.Run()
	left, err := filepath.Glob(filepath.Join(dir, "davit-git-*"))
	if err != nil || len(left) > 0 {
		fmt.Fprintln(os.Stderr, "scratch directories are left:", left, err)
		return 1
	}
	return code
}

// git runs git in a directory and returns what it printed, without the last line
// feed.
func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	return gitWith(t, dir, "", args...)
}

func gitWith(t testing.TB, dir, input string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "protocol.file.allow=always"}, args...)...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(input)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("git %s: %v\n%s%s", strings.Join(args, " "), err, &out, &said)
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// repository makes one with a commit of the files given by name and content.
func repository(t testing.TB, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	git(t, dir, "init", "--quiet", "--initial-branch=main")
	commit(t, dir, files...)
	return dir
}

// commit writes files, by name and content, commits everything and returns the
// commit's id.
func commit(t testing.TB, dir string, files ...string) string {
	t.Helper()
	for i := 0; i+1 < len(files); i += 2 {
		write(t, filepath.Join(dir, files[i]), files[i+1])
	}
	git(t, dir, "add", "--all", "--force")
	git(t, dir, "commit", "--quiet", "--allow-empty", "-m", "c")
	return git(t, dir, "rev-parse", "HEAD")
}

func write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dir string) *Repository {
	t.Helper()
	r, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, r) })
	return r
}

func closed(t testing.TB, r *Repository) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if _, err := os.Stat(r.scratch); !os.IsNotExist(err) {
		t.Errorf("the scratch directory is there after Close: %v", err)
	}
}
