package git

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWorkTree(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(t *testing.T, dir string)
		files  []string // nil: nothing changed
	}{
		{name: "clean", change: func(*testing.T, string) {}},
		{
			name: "modified", change: func(t *testing.T, dir string) { write(t, filepath.Join(dir, "a"), "2") },
			files: []string{"a", "2", "dir/b", "1", ".gitignore", "*.log\n"},
		},
		{
			name: "touched, not modified", change: func(t *testing.T, dir string) {
				if err := os.Chtimes(filepath.Join(dir, "a"), time.Unix(1e9, 0), time.Unix(1e9, 0)); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			name: "untracked", change: func(t *testing.T, dir string) { write(t, filepath.Join(dir, "new/line\nfeed"), "new") },
			files: []string{"a", "1", "dir/b", "1", ".gitignore", "*.log\n", "new/line\nfeed", "new"},
		},
		{name: "ignored", change: func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "dir/a.log"), "ignored")
			write(t, filepath.Join(dir, ".git/info/exclude"), "*.tmp\n")
			write(t, filepath.Join(dir, "a.tmp"), "ignored")
		}},
		{
			name: "deleted", change: func(t *testing.T, dir string) {
				if err := os.RemoveAll(filepath.Join(dir, "dir")); err != nil {
					t.Fatal(err)
				}
			},
			files: []string{"a", "1", ".gitignore", "*.log\n"},
		},
		{
			name: "staged", change: func(t *testing.T, dir string) {
				write(t, filepath.Join(dir, "a"), "2")
				git(t, dir, "add", "a")
			},
			files: []string{"a", "2", "dir/b", "1", ".gitignore", "*.log\n"},
		},
		{
			name: "staged, then modified again", change: func(t *testing.T, dir string) {
				write(t, filepath.Join(dir, "a"), "2")
				git(t, dir, "add", "a")
				write(t, filepath.Join(dir, "a"), "3")
			},
			files: []string{"a", "3", "dir/b", "1", ".gitignore", "*.log\n"},
		},
		{name: "staged, then put back", change: func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "a"), "2")
			git(t, dir, "add", "a")
			write(t, filepath.Join(dir, "a"), "1")
		}},
		{
			name: "removed from the index alone", change: func(t *testing.T, dir string) { git(t, dir, "rm", "--quiet", "--cached", "a") },
		},
		{
			name: "unmerged", change: func(t *testing.T, dir string) {
				git(t, dir, "checkout", "--quiet", "-b", "topic")
				commit(t, dir, "a", "ours\n")
				git(t, dir, "checkout", "--quiet", "main")
				commit(t, dir, "a", "theirs\n")
				merged, err := open(t, dir).Merge(t.Context(), "main", "topic")
				if err != nil || len(merged.Conflicts) != 1 {
					t.Fatalf("no conflict: %+v, %v", merged, err)
				}
				git(t, dir, "read-tree", "-m", "main~1", "main", "topic")
				write(t, filepath.Join(dir, "a"), "<<<<<<<\n")
			},
			files: []string{"a", "<<<<<<<\n", "dir/b", "1", ".gitignore", "*.log\n"},
		},
		{
			name: "no index", change: func(t *testing.T, dir string) {
				if err := os.Remove(filepath.Join(dir, ".git/index")); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			name: "an index in two parts", change: func(t *testing.T, dir string) {
				git(t, dir, "config", "core.splitIndex", "true")
				git(t, dir, "update-index", "--split-index")
				write(t, filepath.Join(dir, "a"), "2")
			},
			files: []string{"a", "2", "dir/b", "1", ".gitignore", "*.log\n"},
		},
		{
			name: "an index that git would divide in two", change: func(t *testing.T, dir string) {
				git(t, dir, "config", "core.splitIndex", "true")
				write(t, filepath.Join(dir, "a"), "2")
			},
			files: []string{"a", "2", "dir/b", "1", ".gitignore", "*.log\n"},
		},
		{
			name: "a sparse checkout", change: func(t *testing.T, dir string) {
				git(t, dir, "sparse-checkout", "set", "--no-cone", "/a", "/.gitignore")
				write(t, filepath.Join(dir, "a"), "2")
			},
			files: []string{"a", "2", "dir/b", "1", ".gitignore", "*.log\n"},
		},
		{
			name: "line ends that git would warn of", change: func(t *testing.T, dir string) {
				git(t, dir, "config", "core.autocrlf", "input")
				git(t, dir, "config", "core.safecrlf", "true")
				write(t, filepath.Join(dir, "a"), "2\r\n")
			},
			files: []string{"a", "2\n", "dir/b", "1", ".gitignore", "*.log\n"},
		},
		{
			name: "another repository inside", change: func(t *testing.T, dir string) {
				inner := filepath.Join(dir, "inner")
				write(t, filepath.Join(inner, "x"), "x")
				git(t, inner, "init", "--quiet")
				commit(t, inner)
			},
			files: []string{"a", "1", "dir/b", "1", ".gitignore", "*.log\n", "inner", ""},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := repository(t, "a", "1", "dir/b", "1", ".gitignore", "*.log\n")
			test.change(t, dir)
			before := snapshot(t, dir)
			r := open(t, dir)
			for range 2 { // the second finds what the first wrote beside the repository
				id, changed, err := r.WorkTree(t.Context())
				if err != nil || changed != (test.files != nil) {
					t.Fatalf("changed is %t, %v, want %t", changed, err, test.files != nil)
				}
				head, err := r.Resolve(t.Context(), "HEAD")
				if err != nil {
					t.Fatal(err)
				}
				if !changed && id != head {
					t.Errorf("got %s, want HEAD, %s", id, head)
				}
				if changed {
					wantFiles(t, r, id, test.files...)
					if parent, err := r.Resolve(t.Context(), id+"^"); err != nil || parent != head {
						t.Errorf("the parent is %s, %v, want HEAD, %s", parent, err, head)
					}
				}
			}
			if d := cmp.Diff(before, snapshot(t, dir)); d != "" {
				t.Errorf("the repository changed (-before +after):\n%s", d)
			}
		})
	}
}

func TestWorkTreeOfALinkedOneAndOfNone(t *testing.T) {
	t.Parallel()
	dir := repository(t, "a", "1")
	linked := filepath.Join(t.TempDir(), "linked")
	git(t, dir, "worktree", "add", "--quiet", linked, "-b", "other")
	write(t, filepath.Join(linked, "a"), "2")
	r := open(t, linked)
	if id, changed, err := r.WorkTree(t.Context()); err != nil || !changed {
		t.Errorf("the linked work tree: %t, %v, want it changed", changed, err)
	} else {
		wantFiles(t, r, id, "a", "2")
	}
	if _, changed, err := open(t, dir).WorkTree(t.Context()); err != nil || changed {
		t.Errorf("the main work tree: %t, %v, want it clean", changed, err)
	}
	bare := filepath.Join(t.TempDir(), "bare")
	git(t, dir, "clone", "--quiet", "--bare", dir, bare)
	if id, changed, err := open(t, bare).WorkTree(t.Context()); err != nil || changed || id != git(t, dir, "rev-parse", "HEAD") {
		t.Errorf("a bare repository: %s, %t, %v, want HEAD", id, changed, err)
	}
}

// TestWorkTreeSeesAChangeWithinATick changes a file in the same tick of the clock
// in which the index was written, to content of the same size: only the index's
// own age tells git to look.
func TestWorkTreeSeesAChangeWithinATick(t *testing.T) {
	t.Parallel()
	dir := repository(t, "a", "replicas: 1\n")
	git(t, dir, "config", "core.trustctime", "false") // which a test can't set
	tick := time.Unix(1e9, 0)
	at := func(name string) {
		if err := os.Chtimes(filepath.Join(dir, name), tick, tick); err != nil {
			t.Fatal(err)
		}
	}
	at("a")
	git(t, dir, "update-index", "--refresh")
	write(t, filepath.Join(dir, "a"), "replicas: 2\n")
	at("a")
	at(".git/index")
	r := open(t, dir)
	id, changed, err := r.WorkTree(t.Context())
	if err != nil || !changed {
		t.Fatalf("changed is %t, %v, want true", changed, err)
	}
	wantFiles(t, r, id, "a", "replicas: 2\n")
}

func TestWorkTreeConcurrently(t *testing.T) {
	t.Parallel()
	dir := repository(t, "a", "1")
	write(t, filepath.Join(dir, "a"), "2")
	r := open(t, dir)
	var group sync.WaitGroup
	ids := make([]string, 8)
	for i := range ids {
		group.Go(func() {
			id, changed, err := r.WorkTree(t.Context())
			if ids[i] = id; err != nil || !changed {
				t.Errorf("changed is %t, %v, want true", changed, err)
			}
		})
	}
	group.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("got the commits %s and %s, want one", ids[0], id)
		}
	}
}

// TestNoProgramRuns gives git every program that a repository's own settings can
// name for what is done here, each a trap that leaves a mark.
func TestNoProgramRuns(t *testing.T) {
	t.Parallel()
	dir := repository(t, "a", "1")
	mark := filepath.Join(t.TempDir(), "mark")
	trap := filepath.Join(t.TempDir(), "trap")
	write(t, trap, "#!/bin/sh\necho \"$0 $*\" >> "+mark+"\n")
	if err := os.Chmod(trap, 0o755); err != nil {
		t.Fatal(err)
	}
	hooks := strings.Fields("post-index-change pre-commit post-commit reference-transaction post-checkout fsmonitor-watchman pre-auto-gc prepare-commit-msg commit-msg post-rewrite pre-merge-commit post-merge")
	for _, hook := range hooks {
		if err := os.MkdirAll(filepath.Join(dir, ".git/hooks"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(trap, filepath.Join(dir, ".git/hooks", hook)); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "core.askPass", "gpg.program", "credential.helper", "diff.external", "core.gitProxy"} {
		git(t, dir, "config", key, trap)
	}
	git(t, dir, "config", "commit.gpgSign", "true")
	git(t, dir, "config", "pager.ls-tree", trap)
	git(t, dir, "config", "alias.ls-tree", "!"+trap)

	// The traps work: git itself runs one.
	git(t, dir, "-c", "core.fsmonitor=", "update-index", "--force-write-index")
	if _, err := os.Stat(mark); err != nil {
		t.Fatalf("git runs no trap: %v", err)
	}
	if err := os.Remove(mark); err != nil {
		t.Fatal(err)
	}

	write(t, filepath.Join(dir, "a"), "2")
	r := open(t, dir)
	id, _, err := r.WorkTree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	merged, err := r.Merge(t.Context(), "main", id)
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, r, merged.Tree, "a", "2")
	if _, err := r.DefaultBranch(t.Context()); err != nil {
		t.Error(err)
	}
	if ran, err := os.ReadFile(mark); !os.IsNotExist(err) {
		t.Errorf("programs ran (%v):\n%s", err, ran)
	}
}
