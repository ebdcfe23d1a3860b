package git

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// mirrored is a mirror of a repository as it is now.
func mirrored(t testing.TB, remote string) *Repository {
	t.Helper()
	r := mirror(t, filepath.Join(t.TempDir(), "mirror"))
	fetch(t, r, remote)
	return r
}

// names are the files that differ between two commits, as git shows them.
func names(t testing.TB, dir, from, to string) []string {
	t.Helper()
	out := git(t, dir, "diff", "-z", "--name-only", "--no-renames", from, to)
	return slices.DeleteFunc(strings.Split(out, "\x00"), func(s string) bool { return s == "" })
}

// day is when everything in the tests was undone.
var day = time.Unix(1772597167, 0)

const lines = "1\n2\n3\n4\n5\n6\n7\n8\n9\n"

// TestUndoLikeRevert compares with what git itself reverts, for every way in which a
// pull request comes into a branch.
func TestUndoLikeRevert(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		name   string
		into   [][]string // how topic comes into main
		revert []string   // how git takes it back; before and after are tags
	}{
		{"a merge", [][]string{{"merge", "--quiet", "--no-ff", "-m", "merge", "topic"}}, []string{"-m", "1", "after"}},
		{"a squash", [][]string{{"merge", "--quiet", "--squash", "topic"}, {"commit", "--quiet", "-m", "squash"}}, []string{"after"}},
		{"a rebase", [][]string{
			{"rebase", "--quiet", "main", "topic"}, {"checkout", "--quiet", "main"}, {"merge", "--quiet", "--ff-only", "topic"},
		}, []string{"before..after"}},
		{"a push", [][]string{{"cherry-pick", "main..topic"}}, []string{"before..after"}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			remote := repository(t, "app/a", lines, "app/gone", "gone\n", "app/old", "a file\nof some\nlines\n", "other", "1\n")
			git(t, remote, "checkout", "--quiet", "-b", "topic")
			commit(t, remote, "app/a", strings.Replace(lines, "2\n", "two\n", 1), "app/added", "added\n")
			git(t, remote, "rm", "--quiet", "app/gone")
			git(t, remote, "mv", "app/old", "app/new")
			commit(t, remote, "app/a", strings.NewReplacer("2\n", "zwei\n", "3\n", "drei\n").Replace(lines))
			git(t, remote, "checkout", "--quiet", "main")
			commit(t, remote, "other", "2\n", "third", "3\n")
			git(t, remote, "tag", "before")
			for _, args := range kind.into {
				git(t, remote, args...)
			}
			git(t, remote, "tag", "after")
			for _, later := range []struct {
				name  string
				files []string
			}{
				{name: "nothing"},
				{"another file", []string{"other", "4\n", "app/more", "more\n"}},
				{"other lines", []string{"app/a", strings.NewReplacer("2\n", "zwei\n", "3\n", "drei\n", "9\n", "neun\n").Replace(lines)}},
				{"the renamed file", []string{"app/new", "a file\nof some\nlines\nand more\n"}},
			} {
				git(t, remote, "checkout", "--quiet", "-B", "main", "after")
				if later.files != nil {
					commit(t, remote, later.files...)
				}
				r := mirrored(t, remote)
				tip := git(t, remote, "rev-parse", "main")
				git(t, remote, "checkout", "--quiet", "-B", "expected")
				git(t, remote, append([]string{"revert", "--no-edit"}, kind.revert...)...)
				undone, err := r.Undo(t.Context(), Undoing{Before: "before", After: "after", Tip: tip, Paths: names(t, remote, "before", "after"), Message: "Undo", At: day})
				if err != nil || undone.Commit == "" {
					t.Fatalf("%s after: %+v, %v", later.name, undone, err)
				}
				if d := cmp.Diff(Undone{Commit: undone.Commit, Files: names(t, remote, tip, "expected")}, undone); d != "" {
					t.Errorf("%s after (-want +got):\n%s", later.name, d)
				}
				if got, err := r.treeOf(t.Context(), undone.Commit); err != nil || got != git(t, remote, "rev-parse", "expected^{tree}") {
					t.Errorf("%s after: %v, and the tree is %s, not as git reverts it", later.name, err, got)
				}
			}
		})
	}
}

// state is files by name: content, or "mode content", or "160000 id".
type state map[string]string

// committed replaces everything that is checked out and commits it.
func (s state) committed(t testing.TB, dir string) string {
	t.Helper()
	git(t, dir, "rm", "-r", "--quiet", "--force", "--ignore-unmatch", ".")
	for name, content := range s {
		mode, rest, _ := strings.Cut(content, " ")
		file := filepath.Join(dir, name)
		switch mode {
		case "120000":
			write(t, file, "")
			remove(t, file)
			if err := os.Symlink(rest, file); err != nil {
				t.Fatal(err)
			}
		case "100755":
			write(t, file, rest)
			if err := os.Chmod(file, 0o755); err != nil {
				t.Fatal(err)
			}
		case "160000":
		default:
			write(t, file, content)
		}
	}
	git(t, dir, "add", "--all", "--force")
	for name, content := range s {
		if id, is := strings.CutPrefix(content, "160000 "); is {
			git(t, dir, "update-index", "--add", "--cacheinfo", "160000,"+id+","+name)
		}
	}
	git(t, dir, "commit", "--quiet", "--allow-empty", "-m", "state")
	return git(t, dir, "rev-parse", "HEAD")
}

var (
	submodule1 = "160000 " + strings.Repeat("1", 40)
	submodule2 = "160000 " + strings.Repeat("2", 40)
)

// undoTest is one history of three commits. Without a tip it ends with after.
type undoTest struct {
	name               string
	before, after, tip state
	paths              []string
	want               state    // nil if the tip stays as it is
	files              []string // that differ between tip and want
	conflicts          []string
}

var undoTests = []undoTest{
	{name: "the tip is what failed", before: state{"a": "1", "b": "1"}, after: state{"a": "2", "b": "1"}, paths: []string{"a"}, want: state{"a": "1", "b": "1"}, files: []string{"a"}},
	{
		name: "outside of the paths", before: state{"a": "1", "b": "1", "gone": "1", "c": "1"}, after: state{"a": "2", "b": "2", "new": "1", "c": "2"}, tip: state{"a": "2", "b": "2", "new": "1", "c": "3"},
		paths: []string{"a"}, want: state{"a": "1", "b": "2", "new": "1", "c": "3"}, files: []string{"a"},
	},
	{
		name: "other lines", before: state{"a": lines}, after: state{"a": "one" + lines}, tip: state{"a": "one" + lines + "ten\n"},
		paths: []string{"a"}, want: state{"a": lines + "ten\n"}, files: []string{"a"},
	},
	{
		name: "the same lines", before: state{"a": "1", "d/b": "1", "c": "1"}, after: state{"a": "2", "d/b": "2", "c": "2"}, tip: state{"a": "3", "d/b": "3", "c": "2"},
		paths: []string{"a", "d/b", "c"}, conflicts: []string{"a", "d/b"},
	},
	{name: "the file is gone", before: state{"a": "1", "b": "1"}, after: state{"a": "2", "b": "1"}, tip: state{"b": "1"}, paths: []string{"a"}, conflicts: []string{"a"}},
	{name: "already undone", before: state{"a": "1", "b": "1"}, after: state{"a": "2", "new": "1"}, tip: state{"a": "1", "b": "1", "c": "1"}, paths: []string{"a", "b", "new"}},
	{
		name: "half undone", before: state{"a": "1", "b": "1"}, after: state{"a": "2", "b": "2"}, tip: state{"a": "1", "b": "2"},
		paths: []string{"a", "b"}, want: state{"a": "1", "b": "1"}, files: []string{"b"},
	},
	{name: "nothing to undo", before: state{"a": "1", "b": "1"}, after: state{"a": "1", "b": "2"}, paths: []string{"a", "none", "../a", "", "/", ".", "b\x00", "a/"}},
	{name: "no paths", before: state{"a": "1"}, after: state{"a": "2"}},
	{name: "directories", before: state{"a/b": "1", "c/d": "1", "f": "1"}, after: state{"a/b": "2", "f": "1", "e/f": "1"}, paths: []string{"a", "c", "e"}},
	{name: "added", before: state{"a": "1"}, after: state{"a": "1", "d/e/new": "1"}, paths: []string{"d/e/new"}, want: state{"a": "1"}, files: []string{"d/e/new"}},
	{name: "deleted", before: state{"a": "1", "d/e/gone": "1"}, after: state{"a": "1"}, paths: []string{"d/e/gone"}, want: state{"a": "1", "d/e/gone": "1"}, files: []string{"d/e/gone"}},
	{
		name: "all", before: state{}, after: state{"a": "1", "d/b": "1"}, paths: []string{"a", "d/b"}, want: state{}, files: []string{"a", "d/b"},
	},
	{
		name: "renamed", before: state{"old": lines}, after: state{"d/new": lines}, tip: state{"d/new": lines + "ten\n"},
		paths: []string{"old", "d/new"}, want: state{"old": lines + "ten\n"}, files: []string{"d/new", "old"},
	},
	{name: "renamed, and one name is meant", before: state{"old": lines}, after: state{"new": lines, "b": "1"}, paths: []string{"new"}, want: state{"b": "1"}, files: []string{"new"}},
	{
		name: "renamed since", before: state{"a": lines}, after: state{"a": "0\n" + lines}, tip: state{"b": "0\n" + lines},
		paths: []string{"a"}, want: state{"b": lines}, files: []string{"b"},
	},
	{
		name: "a directory that was renamed to two since", before: state{"d/a": "a" + lines, "d/b": "b" + lines, "d/c": "c\n"}, after: state{"d/a": "a" + lines, "d/b": "b" + lines},
		tip: state{"e/a": "a" + lines, "f/b": "b" + lines}, paths: []string{"d/c"}, conflicts: []string{"d"},
	},
	{name: "made executable", before: state{"a": "x"}, after: state{"a": "100755 x"}, paths: []string{"a"}, want: state{"a": "x"}, files: []string{"a"}},
	{name: "no more executable", before: state{"a": "100755 x"}, after: state{"a": "y"}, paths: []string{"a"}, want: state{"a": "100755 x"}, files: []string{"a"}},
	{
		name: "links", before: state{"l": "120000 a", "to": "120000 x", "from": "x", "d": "120000 e", "e/f": "1"}, after: state{"l": "120000 b", "to": "x", "from": "120000 ../..", "d/f": "1", "e/f": "1"},
		paths: []string{"l", "to", "from", "d"}, want: state{"l": "120000 a", "to": "120000 x", "from": "x", "d": "120000 e", "e/f": "1"}, files: []string{"d", "d/f", "from", "l", "to"},
	},
	{
		name: "submodules", before: state{"a": "1", "moved": submodule1, "gone": submodule1, "left": submodule1, "file": submodule1, "dir": submodule1, "d/was": "1"},
		after: state{"a": "1", "moved": submodule2, "new": submodule1, "left": submodule2, "file": "1", "dir/f": "1", "d": submodule1, ".gitmodules": "[submodule \"moved\"]\n\tpath = moved\n\tignore = all\n"},
		paths: []string{"moved", "gone", "new", "file", "dir", "d"},
		want:  state{"a": "1", "moved": submodule1, "gone": submodule1, "left": submodule2, "file": submodule1, "dir": submodule1, "d/was": "1", ".gitmodules": "[submodule \"moved\"]\n\tpath = moved\n\tignore = all\n"},
		files: []string{"d", "d/was", "dir", "dir/f", "file", "gone", "moved", "new"},
	},
	{
		name: "a file was a directory", before: state{"a/b/c": "1", "a/d": "1", "a-b": "1", "a.b": "1"}, after: state{"a": "2", "a-b": "2", "a.b": "1"},
		paths: []string{"a", "a-b"}, want: state{"a/b/c": "1", "a/d": "1", "a-b": "1", "a.b": "1"}, files: []string{"a", "a-b", "a/b/c", "a/d"},
	},
	{
		name: "a file was a directory, of which one file is meant", before: state{"a/b": "1", "a/c": "1"}, after: state{"a": "2"},
		paths: []string{"a/c"}, want: state{"a/c": "1"}, files: []string{"a", "a/c"},
	},
	{
		name: "a directory was a file", before: state{"a": "1"}, after: state{"a/b/c": "2", "a/d": "2"},
		paths: []string{"a"}, want: state{"a": "1"}, files: []string{"a", "a/b/c", "a/d"},
	},
	{
		name: "a directory was a file, and one of its files is meant", before: state{"a": "1"}, after: state{"a/b": "2", "a/d": "2"},
		paths: []string{"a/b"}, want: state{"a/d": "2"}, files: []string{"a/b"},
	},
	{
		name: "a directory was a file, and all are meant", before: state{"a": "1", "b/c": "1"}, after: state{"a/b": "2", "a/d": "2", "b": "2"},
		paths: []string{"a/d", "b/c", "a", "b", "a/b", "a"}, want: state{"a": "1", "b/c": "1"}, files: []string{"a", "a/b", "a/d", "b", "b/c"},
	},
	{
		name: "a directory was a file, and has one more since", before: state{"a": "1"}, after: state{"a/b": "2"}, tip: state{"a/b": "2", "a/new": "3"},
		paths: []string{"a", "a/b"}, conflicts: []string{"a"},
	},
	{name: "a link that is a file since", before: state{"a": "1", "l": "120000 a"}, after: state{"a": "1"}, tip: state{"a": "1", "l": "1"}, paths: []string{"l"}, conflicts: []string{"l"}},
	{
		name:   "names",
		before: state{" a b ": "1", "\"q\" 'r' \\s": "1", "line\nfeed\n": "1", "-x": "1", "--index-info": "1", "gr\u00fc\u00dfe/\u00fc": "1", "\xff\xfe": "1", "tab\t": "1", ":(top)*": "1", "*": "1", "kept": "1"},
		after:  state{"gr\u00fc\u00dfe/new\n": "2", "-x": "2", "\xff\xfe": "2", ":(top)*": "2", "*": "2", "kept": "2", "100644 a\tb": "2"},
		paths:  []string{" a b ", "\"q\" 'r' \\s", "line\nfeed\n", "-x", "--index-info", "gr\u00fc\u00dfe/\u00fc", "gr\u00fc\u00dfe/new\n", "\xff\xfe", "tab\t", ":(top)*", "*", "100644 a\tb"},
		want:   state{" a b ": "1", "\"q\" 'r' \\s": "1", "line\nfeed\n": "1", "-x": "1", "--index-info": "1", "gr\u00fc\u00dfe/\u00fc": "1", "\xff\xfe": "1", "tab\t": "1", ":(top)*": "1", "*": "1", "kept": "2"},
		files:  []string{" a b ", "\"q\" 'r' \\s", "*", "--index-info", "-x", "100644 a\tb", ":(top)*", "gr\u00fc\u00dfe/new\n", "gr\u00fc\u00dfe/\u00fc", "line\nfeed\n", "tab\t", "\xff\xfe"},
	},
}

func TestUndo(t *testing.T) {
	t.Parallel()
	for _, test := range undoTests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			remote := repository(t)
			before, after := test.before.committed(t, remote), test.after.committed(t, remote)
			tip := after
			if test.tip != nil {
				tip = test.tip.committed(t, remote)
			}
			wanted := ""
			for _, r := range []*Repository{open(t, remote), mirrored(t, remote)} {
				kept := snapshot(t, r.dir)
				undone, err := r.Undo(t.Context(), Undoing{Before: before, After: after, Tip: tip, Paths: test.paths, Message: "m", At: day})
				if err != nil {
					t.Fatal(err)
				}
				want := Undone{Commit: undone.Commit, Files: test.files, Conflicts: test.conflicts, Nothing: test.want == nil && test.conflicts == nil}
				if d := cmp.Diff(want, undone); d != "" {
					t.Errorf("(-want +got):\n%s", d)
				}
				if (undone.Commit == "") != (test.want == nil) {
					t.Errorf("the commit is %q", undone.Commit)
				}
				if d := cmp.Diff(kept, snapshot(t, r.dir)); d != "" {
					t.Errorf("the repository changed (-before +after):\n%s", d)
				}
				if test.want == nil {
					continue
				}
				if wanted == "" {
					wanted = git(t, remote, "rev-parse", test.want.committed(t, remote)+"^{tree}")
				}
				if tree, err := r.treeOf(t.Context(), undone.Commit); err != nil || tree != wanted {
					t.Errorf("%v, and the tree is %s, want %s", err, tree, wanted)
				}
			}
		})
	}
}

// TestUndoIsTheSameEverywhere has one input in two mirrors.
func TestUndoIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	remote := repository(t, "a", "1", "b", "1")
	before := git(t, remote, "rev-parse", "HEAD")
	after := commit(t, remote, "a", "2", "b", "2", "c", "2")
	tip := commit(t, remote, "d", "3")
	message := "\n\n  -Gr\u00fc\u00dfe\n# no comment\n\n\"$(id)\"\n--\n\n" + strings.Repeat("x", 1<<18) + "\n"
	at := time.Date(2026, 3, 4, 5, 6, 7, 8, time.FixedZone("", 3600))
	first, err := mirrored(t, remote).Undo(t.Context(), Undoing{Before: before, After: after, Tip: tip, Paths: []string{"a", "b", "c"}, Message: message, At: at})
	if err != nil {
		t.Fatal(err)
	}
	r := mirrored(t, remote)
	for range 2 {
		again, err := r.Undo(t.Context(), Undoing{Before: "main~2", After: after, Tip: "main", Paths: []string{"c", "a", "b", "a"}, Message: message, At: at.UTC().Truncate(time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(first, again); d != "" {
			t.Errorf("(-first +again):\n%s", d)
		}
	}
	raw, err := r.Read(t.Context(), first.Commit)
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, r, first.Commit, "a", "1", "b", "1", "d", "3")
	tree := git(t, remote, "rev-parse", state{"a": "1", "b": "1", "d": "3"}.committed(t, remote)+"^{tree}")
	want := "tree " + tree + "\nparent " + tip + "\nauthor davit[bot] <davit@localhost> 1772597167 +0000\ncommitter davit[bot] <davit@localhost> 1772597167 +0000\n\n" + message
	if d := cmp.Diff(want, string(raw)); d != "" {
		t.Errorf("the commit (-want +got):\n%s", d)
	}
}

// TestUndoAfterAPushByForce: what the push took from the branch does not come back.
func TestUndoAfterAPushByForce(t *testing.T) {
	t.Parallel()
	remote := repository(t, "a", "1", "b", "1")
	before := git(t, remote, "rev-parse", "HEAD")
	after := commit(t, remote, "a", "2", "b", "2", "new", "2")
	git(t, remote, "branch", "kept") // so that the mirror has it
	git(t, remote, "reset", "--quiet", "--hard", before)
	taken := commit(t, remote, "c", "3")
	git(t, remote, "checkout", "--quiet", "--orphan", "other")
	again := commit(t, remote, "a", "2")
	r := mirrored(t, remote)
	for tip, want := range map[string]Undone{taken: {Nothing: true}, again: {Files: []string{"a"}}} {
		got, err := r.Undo(t.Context(), Undoing{Before: before, After: after, Tip: tip, Paths: []string{"a", "new"}, At: day})
		if err != nil {
			t.Fatal(err)
		}
		if want.Commit = got.Commit; (got.Commit == "") != want.Nothing {
			t.Errorf("the commit is %q", got.Commit)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if got.Commit != "" {
			wantFiles(t, r, got.Commit, "a", "1", "b", "1", "c", "3")
		}
	}
}

func TestUndoOfSHA256(t *testing.T) {
	t.Parallel()
	remote := t.TempDir()
	git(t, remote, "init", "--quiet", "--object-format=sha256", "--initial-branch=main")
	before := commit(t, remote, "a", "1")
	after := commit(t, remote, "a", "2", "b", "2")
	r := mirrored(t, remote)
	undone, err := r.Undo(t.Context(), Undoing{Before: before, After: after, Tip: after, Paths: []string{"a", "b"}, At: day})
	if err != nil || len(undone.Commit) != sha256Length {
		t.Fatalf("%+v, %v", undone, err)
	}
	wantFiles(t, r, undone.Commit, "a", "1")
}

func TestUndoOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	r := mirrored(t, repository(t, "a", "1"))
	for _, no := range []string{"", "none", strings.Repeat("0", 40), "--all", "^main", "main:a"} {
		for _, undoing := range []Undoing{{no, "main", "main", nil, "", time.Time{}}, {"main", no, "main", nil, "", time.Time{}}, {"main", "main", no, nil, "", time.Time{}}} {
			if undone, err := r.Undo(t.Context(), undoing); !errors.Is(err, ErrUnknownRevision) {
				t.Errorf("%+v: %+v, %v, want ErrUnknownRevision", undoing, undone, err)
			}
		}
		for _, ends := range [][2]string{{no, "main"}, {"main", no}} {
			if commits, _, err := r.Between(t.Context(), ends[0], ends[1], 1); !errors.Is(err, ErrUnknownRevision) {
				t.Errorf("%q: %q, %v, want ErrUnknownRevision", ends, commits, err)
			}
		}
	}
}

func TestBetween(t *testing.T) {
	t.Parallel()
	remote := repository(t, "a", "0")
	tag := func(name string) { git(t, remote, "tag", name) }
	tag("root")
	for _, name := range []string{"one", "two"} {
		commit(t, remote, "a", name)
		tag(name)
	}
	git(t, remote, "checkout", "--quiet", "-b", "topic", "one")
	for _, name := range []string{"topic-one", "topic-two"} {
		commit(t, remote, "b", name)
		tag(name)
	}
	git(t, remote, "checkout", "--quiet", "main")
	git(t, remote, "merge", "--quiet", "--no-ff", "-m", "merge", "topic")
	tag("merge")
	commit(t, remote, "a", "last")
	tag("last")
	git(t, remote, "checkout", "--quiet", "topic")
	commit(t, remote, "b", "three")
	tag("topic-three")
	r := mirrored(t, remote)
	for _, test := range []struct {
		before, after string
		most          int
		want          []string
		cut           bool
	}{
		{before: "root", after: "last", most: 9, want: []string{"one", "two", "merge", "last"}},
		{before: "root", after: "last", most: 4, want: []string{"one", "two", "merge", "last"}},
		{before: "root", after: "last", most: 3, want: []string{"two", "merge", "last"}, cut: true},
		{before: "root", after: "last", most: 1, want: []string{"last"}, cut: true},
		{before: "root", after: "last", most: 0, cut: true},
		{before: "root", after: "last", most: -1, cut: true},
		{before: "last", after: "last", most: 0},
		{before: "two", after: "merge", most: 9, want: []string{"merge"}},
		{before: "topic-two", after: "merge", most: 9, want: []string{"two", "merge"}},
		{before: "merge", after: "topic-three", most: 9, want: []string{"topic-three"}}, // what is there by a second parent is there
		{before: "last", after: "two", most: 9},                                         // a push by force that takes back
		{before: "two", after: "topic-two", most: 9, want: []string{"topic-one", "topic-two"}},
	} {
		var want []string
		for _, name := range test.want {
			want = append(want, git(t, remote, "rev-parse", name))
		}
		got, all, err := r.Between(t.Context(), test.before, test.after, test.most)
		if err != nil || !slices.Equal(got, want) || all == test.cut {
			t.Errorf("the %d newest from %s to %s: %q, %t, %v, want %q", test.most, test.before, test.after, got, all, err, want)
		}
	}
}
