package git

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		open  func(t *testing.T, dir string) string // what to open in a repository at dir
		top   func(dir string) string               // its work tree; nil if it has none
		moved string                                // what the repository's directory is called
	}{
		{name: "the top", open: func(_ *testing.T, dir string) string { return dir }, top: func(dir string) string { return dir }},
		{
			name: "a subdirectory", open: func(_ *testing.T, dir string) string { return filepath.Join(dir, "sub", "deeper") },
			top: func(dir string) string { return dir },
		},
		{name: "a bare repository", open: func(t *testing.T, dir string) string {
			git(t, dir, "clone", "--quiet", "--bare", dir, "bare.git")
			return filepath.Join(dir, "bare.git")
		}},
		{name: "the git directory itself", open: func(_ *testing.T, dir string) string { return filepath.Join(dir, ".git") }},
		{
			name: "a linked worktree", open: func(t *testing.T, dir string) string {
				git(t, dir, "worktree", "add", "--quiet", "linked", "-b", "other")
				return filepath.Join(dir, "linked", "sub")
			},
			top: func(dir string) string { return filepath.Join(dir, "linked") },
		},
		{
			name: "a clone that borrows objects", open: func(t *testing.T, dir string) string {
				git(t, dir, "clone", "--quiet", "--shared", dir, "shared")
				return filepath.Join(dir, "shared")
			},
			top: func(dir string) string { return filepath.Join(dir, "shared") },
		},
		{name: "a path with spaces, colons, quotes and a line feed", moved: " a: \"b\" 'c'\\n\n ", open: func(_ *testing.T, dir string) string { return dir }, top: func(dir string) string { return dir }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := repository(t, "sub/deeper/a.txt", "content")
			if test.moved != "" {
				moved := filepath.Join(t.TempDir(), test.moved)
				if err := os.Rename(dir, moved); err != nil {
					t.Fatal(err)
				}
				dir = moved
			}
			r := open(t, test.open(t, dir))
			if test.top == nil && r.HasWorkTree() {
				t.Errorf("the work tree is %q, want none", r.top)
			}
			if test.top != nil && r.top != test.top(dir) {
				t.Errorf("the work tree is %q, want %q", r.top, test.top(dir))
			}
			files, err := r.Tree(t.Context(), "HEAD")
			if err != nil {
				t.Fatal(err)
			}
			if fact, err := files.Look("sub/deeper/a.txt", true); err != nil || string(fact.Data) != "content" {
				t.Errorf("the file holds %q (%v)", fact.Data, err)
			}
			// What is written must be readable too: it lies beside the repository.
			if r.HasWorkTree() {
				write(t, filepath.Join(r.top, "new.txt"), "new")
				if _, changed, err := r.WorkTree(t.Context()); err != nil || !changed {
					t.Errorf("a new file changed the work tree: %t, %v", changed, err)
				}
			}
		})
	}
}

func TestOpenNothing(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	for _, dir := range []string{t.TempDir(), file} {
		if r, err := Open(t.Context(), dir); !errors.Is(err, ErrNoRepository) || r != nil {
			t.Errorf("open %s: %v, %v, want ErrNoRepository", dir, r, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, repository(t)); !errors.Is(err, context.Canceled) || errors.Is(err, ErrNoRepository) {
		t.Errorf("open without time: %v, want context.Canceled", err)
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	dir := repository(t, "a", "1")
	first := git(t, dir, "rev-parse", "HEAD")
	git(t, dir, "tag", "-a", "v1", "-m", "annotated")
	second := commit(t, dir, "a", "2")
	git(t, dir, "branch", "feature/x")
	git(t, dir, "update-ref", "refs/pull/7/head", first)
	git(t, dir, "update-ref", "refs/heads/-x", first)
	r := open(t, dir)
	for _, test := range []struct{ revision, want string }{
		{"main", second}, {"HEAD", second}, {"HEAD~1", first}, {"HEAD^", first}, {"feature/x", second}, {"refs/heads/feature/x", second},
		{"v1", first}, {"v1^{}", first}, {first, first}, {first[:10], first}, {"refs/pull/7/head", first},
		{"-x", first}, // the branch of that name

		{"", ""}, {" ", ""}, {"nothing", ""}, {"--all", ""}, {"--git-dir", ""}, {"-h", ""}, {"--", ""}, {"--end-of-options", ""}, {"--help", ""},
		{"^main", ""}, {"main..feature/x", ""}, {"main v1", ""}, {"HEAD:a", ""}, {"HEAD^{tree}", ""}, {"main\nmain", ""}, {"main\x00", ""},
		{"0000000000000000000000000000000000000000", ""}, {"deadbeef", ""}, {"$(id)", ""}, {"`id`", ""}, {"main;id", ""}, {"\xff", ""},
	} {
		got, err := r.Resolve(t.Context(), test.revision)
		switch {
		case test.want == "" && (!errors.Is(err, ErrUnknownRevision) || got != ""):
			t.Errorf("%q: got %q, %v, want ErrUnknownRevision", test.revision, got, err)
		case test.want != "" && (err != nil || got != test.want):
			t.Errorf("%q: got %q, %v, want %s", test.revision, got, err, test.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Resolve(ctx, "main"); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnknownRevision) {
		t.Errorf("without time: %v, want context.Canceled", err)
	}
}

func TestDefaultBranch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		setup [][]string
		want  string // empty: there is none
	}{
		{name: "main", want: "main"},
		{name: "master", setup: [][]string{{"branch", "-m", "master"}}, want: "master"},
		{name: "main before master", setup: [][]string{{"branch", "master"}}, want: "main"},
		{name: "what origin says", setup: [][]string{
			{"update-ref", "refs/remotes/origin/trunk", "HEAD"}, {"symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk"},
		}, want: "origin/trunk"},
		{name: "origin names a branch that is gone", setup: [][]string{{"symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/gone"}}, want: "main"},
		{name: "a tag of the same name", setup: [][]string{{"tag", "main", "HEAD~1"}}, want: "heads/main"},
		{name: "none", setup: [][]string{{"branch", "-m", "topic"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := repository(t, "a", "1")
			head := commit(t, dir, "a", "2")
			for _, args := range test.setup {
				git(t, dir, args...)
			}
			r := open(t, dir)
			got, err := r.DefaultBranch(t.Context())
			if got != test.want || (err != nil) != (test.want == "") {
				t.Fatalf("got %q, %v, want %q", got, err, test.want)
			}
			if test.want == "" {
				if !errors.Is(err, ErrUnknownRevision) {
					t.Errorf("got %v, want ErrUnknownRevision", err)
				}
				return
			}
			if id, err := r.Resolve(t.Context(), got); err != nil || id != head {
				t.Errorf("%q resolves to %q (%v), want the branch's commit %s", got, id, err, head)
			}
		})
	}
}

func TestReplacedObjectsAreIgnored(t *testing.T) {
	t.Parallel()
	dir := repository(t, "a", "true")
	blob := git(t, dir, "rev-parse", "HEAD:a")
	git(t, dir, "replace", blob, gitWith(t, dir, "false", "hash-object", "-w", "--stdin"))
	if got := git(t, dir, "cat-file", "blob", blob); got != "false" {
		t.Fatalf("git itself reads %q: nothing is replaced", got)
	}
	r := open(t, dir)
	if data, err := r.Read(t.Context(), blob); err != nil || string(data) != "true" {
		t.Errorf("read %q, %v", data, err)
	}
	head := git(t, dir, "rev-parse", "HEAD")
	git(t, dir, "replace", head, commit(t, dir, "a", "other"))
	files, err := r.Tree(t.Context(), head)
	if err != nil {
		t.Fatal(err)
	}
	if fact, err := files.Look("a", false); err != nil || fact.ID != blob {
		t.Errorf("the commit holds %s (%v), want %s", fact.ID, err, blob)
	}
}

func TestSHA256(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	git(t, dir, "init", "--quiet", "--object-format=sha256", "--initial-branch=main")
	base := commit(t, dir, "a", "1", "b", "1")
	git(t, dir, "checkout", "--quiet", "-b", "topic")
	commit(t, dir, "b", "2")
	git(t, dir, "checkout", "--quiet", "main")
	commit(t, dir, "a", "2")
	write(t, filepath.Join(dir, "a"), "3")
	r := open(t, dir)
	if id, err := r.Resolve(t.Context(), "HEAD~1"); err != nil || id != base || len(id) != sha256Length {
		t.Errorf("resolved %q, %v, want %s", id, err, base)
	}
	work, changed, err := r.WorkTree(t.Context())
	if err != nil || !changed {
		t.Fatalf("the work tree: %t, %v", changed, err)
	}
	merged, err := r.Merge(t.Context(), work, "topic")
	if err != nil || len(merged.Conflicts) > 0 || merged.Unrelated {
		t.Fatalf("merged to %+v, %v", merged, err)
	}
	wantFiles(t, r, merged.Tree, "a", "3", "b", "2")
}
