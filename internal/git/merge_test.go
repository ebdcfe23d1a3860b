package git

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMerge(t *testing.T) {
	t.Parallel()
	dir := repository(t, "a", "1\n2\n3\n", "b", "1\n", "dir/c", "1\n")
	root := git(t, dir, "rev-parse", "HEAD")
	branch := func(name string, files ...string) string {
		git(t, dir, "checkout", "--quiet", "-b", name, root)
		return commit(t, dir, files...)
	}
	a := branch("a", "a", "one\n2\n3\n")
	b := branch("b", "b", "two\n", "new\nname", "new")
	end := branch("end", "a", "1\n2\nthree\n")
	conflict := branch("conflict", "a", "uno\n2\n3\n", "dir/c", "uno\n")
	both := branch("both", "a", "one\n2\n3\n", "dir/c", "two\n", "b", "zwei\n")
	git(t, dir, "checkout", "--quiet", "-b", "deleted", root)
	git(t, dir, "rm", "--quiet", "a")
	deleted := commit(t, dir)
	git(t, dir, "checkout", "--quiet", "--orphan", "unrelated")
	git(t, dir, "rm", "--quiet", "-rf", ".")
	unrelated := commit(t, dir, "other", "x")
	git(t, dir, "checkout", "--quiet", "-B", "main", a)
	r := open(t, dir)
	for _, test := range []struct {
		name, base, head string
		conflicts        []string
		unrelated        bool
		files            []string
	}{
		{name: "fast forward", base: root, head: a, files: []string{"a", "one\n2\n3\n", "b", "1\n", "dir/c", "1\n"}},
		{name: "base is ahead of head", base: a, head: root, files: []string{"a", "one\n2\n3\n", "b", "1\n", "dir/c", "1\n"}},
		{name: "the same commit", base: a, head: a, files: []string{"a", "one\n2\n3\n", "b", "1\n", "dir/c", "1\n"}},
		{name: "two files", base: a, head: b, files: []string{"a", "one\n2\n3\n", "b", "two\n", "dir/c", "1\n", "new\nname", "new"}},
		{name: "two places of a file", base: a, head: end, files: []string{"a", "one\n2\nthree\n", "b", "1\n", "dir/c", "1\n"}},
		{
			name: "a conflict", base: a, head: conflict, conflicts: []string{"a"},
			files: []string{"a", "uno\n2\n3\n", "b", "1\n", "dir/c", "uno\n"},
		},
		{
			name: "two conflicts", base: both, head: conflict, conflicts: []string{"a", "dir/c"},
			files: []string{"a", "uno\n2\n3\n", "b", "1\n", "dir/c", "uno\n"},
		},
		{name: "a file that one side deleted", base: a, head: deleted, conflicts: []string{"a"}, files: []string{"b", "1\n", "dir/c", "1\n"}},
		{name: "unrelated", base: a, head: unrelated, unrelated: true, files: []string{"other", "x"}},
		{name: "names instead of ids", base: "a", head: "refs/heads/b", files: []string{"a", "one\n2\n3\n", "b", "two\n", "dir/c", "1\n", "new\nname", "new"}},
	} {
		got, err := r.Merge(t.Context(), test.base, test.head)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if d := cmp.Diff(Merged{Tree: got.Tree, Conflicts: test.conflicts, Unrelated: test.unrelated}, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, d)
		}
		wantFiles(t, r, got.Tree, test.files...)
	}
	for _, pair := range [][2]string{{"nothing", a}, {a, "nothing"}, {"--all", a}, {a, "--all"}, {"", ""}} {
		if got, err := r.Merge(t.Context(), pair[0], pair[1]); err == nil {
			t.Errorf("%q merges into %q: %+v", pair[1], pair[0], got)
		}
	}
}

// TestMergeOfDirectories is of conflicts that git reports in no file, or in one of a name
// that it made up.
func TestMergeOfDirectories(t *testing.T) {
	t.Parallel()
	dir := repository(t, "both", lines, "d/a", "a"+lines, "d/b", "b"+lines, "e/x", "x")
	root := git(t, dir, "rev-parse", "HEAD")
	branch := func(remove string, files ...string) string {
		git(t, dir, "checkout", "--quiet", "--detach", root)
		git(t, dir, "rm", "--quiet", "-r", remove)
		return commit(t, dir, files...)
	}
	split := branch("d", "f/a", "a"+lines, "g/b", "b"+lines, "both", "0\n"+lines)
	added := branch("e", "d/new", "new", "both", lines+"10\n")
	file := branch("e", "e", "file")
	inside := branch("e/x", "e/y", "y")
	r := open(t, dir)
	for _, test := range []struct{ base, head, want string }{{split, added, "d"}, {added, split, "d"}, {inside, file, "e"}, {file, inside, "e"}} {
		got, err := r.Merge(t.Context(), test.base, test.head)
		if d := cmp.Diff([]string{test.want}, got.Conflicts); d != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, d)
		}
	}
}

// TestMergeWritesNothing checks the promise of the package for a real merge,
// whose tree is new.
func TestMergeWritesNothing(t *testing.T) {
	t.Parallel()
	dir := repository(t, "a", "1", "b", "1")
	git(t, dir, "checkout", "--quiet", "-b", "topic")
	commit(t, dir, "a", "2")
	git(t, dir, "checkout", "--quiet", "main")
	commit(t, dir, "b", "2")
	before := snapshot(t, filepath.Join(dir, ".git"))
	r := open(t, dir)
	merged, err := r.Merge(t.Context(), "main", "topic")
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, r, merged.Tree, "a", "2", "b", "2")
	if d := cmp.Diff(before, snapshot(t, filepath.Join(dir, ".git"))); d != "" {
		t.Errorf("the repository changed (-before +after):\n%s", d)
	}
}

// snapshot is every file below a directory, with its mode and content. Of an object
// that would be written again, git renews the time, so that no cleaning takes it.
func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() {
			files[name] = info.Mode().String()
			return err
		}
		data, err := os.ReadFile(name)
		files[name] = info.Mode().String() + " " + string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
