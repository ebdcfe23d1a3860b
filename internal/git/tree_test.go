package git

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/tree"
)

// wantFiles checks the content of files, given by name and content, and that
// there are no others.
func wantFiles(t testing.TB, r *Repository, id string, files ...string) {
	t.Helper()
	got, err := r.Tree(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var names, want []string
	for _, e := range got.Entries() {
		names = append(names, e.Path)
	}
	for i := 0; i+1 < len(files); i += 2 {
		want = append(want, files[i])
		if fact, err := got.Look(files[i], true); err != nil || string(fact.Data) != files[i+1] {
			t.Errorf("%q holds %q (%s, %v), want %q", files[i], fact.Data, fact.Kind, err, files[i+1])
		}
	}
	slices.Sort(names)
	slices.Sort(want)
	if d := cmp.Diff(want, names); d != "" {
		t.Errorf("files of %s (-want +got):\n%s", id, d)
	}
}

// entry is one line of a tree that git would not make of files.
type entry struct{ mode, id, name string }

// treeOf writes a tree as git writes it to disk, whatever its names are.
func treeOf(t testing.TB, dir string, entries ...entry) string {
	t.Helper()
	var raw strings.Builder
	for _, e := range entries {
		id, err := hex.DecodeString(e.id)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&raw, "%s %s\x00%s", e.mode, e.name, id)
	}
	return gitWith(t, dir, raw.String(), "hash-object", "-t", "tree", "-w", "--literally", "--stdin")
}

// strange is a commit of entries with strange names, links of all kinds and a
// submodule.
func strange(t testing.TB) (*Repository, *Tree) {
	t.Helper()
	dir := repository(t, "dir/file", "in dir", "dir/sub/deep", "deep", "a file", "spaces", "line\nfeed", "feed", "\"quotes\" 'and' \\backslash", "quoted",
		"\xff\xfe.yaml", "bytes", "tab\there", "tab", "gr\u00fc\u00dfe", "umlaut", "-x", "option", "run.sh", "#!/bin/true", "empty", "")
	if err := os.Chmod(filepath.Join(dir, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("dir/../", 600) + "dir/file"
	for name, target := range map[string]string{
		"link":         "dir/file",
		"to-dir":       "dir",
		"to-top":       ".",
		"dir/up":       "../a file",
		"dir/sub/upup": "../../to-dir/file",
		"absolute":     "/etc/passwd",
		"escape":       "../outside",
		"dir/escape":   "../../outside",
		"climb":        "dir/../../outside",
		"back":         "dir/../link",
		"loop-a":       "loop-b",
		"loop-b":       "loop-a",
		"self":         "self",
		"self-in":      "self-in/x",
		"dangling":     "nothing",
		"through-file": "empty/x",
		"middle":       "to-dir/sub",
		"to-module":    "module",
		"past-module":  "module/../empty",
		"feed\nlink":   "line\nfeed",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxHops + 1 {
		if err := os.Symlink(fmt.Sprintf("hop-%d", i), filepath.Join(dir, fmt.Sprintf("hop-%d", i+1))); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "hop-0"), "end")
	id := commit(t, dir)
	git(t, dir, "update-index", "--add", "--cacheinfo", "160000,"+id+",module")
	git(t, dir, "update-index", "--add", "--cacheinfo", "120000,"+gitWith(t, dir, long, "hash-object", "-w", "--stdin")+",long-link")
	git(t, dir, "update-index", "--add", "--cacheinfo", "120000,"+gitWith(t, dir, "", "hash-object", "-w", "--stdin")+",empty-link")
	git(t, dir, "update-index", "--add", "--cacheinfo", "120000,"+gitWith(t, dir, strings.Repeat("a", MaxBlob+1), "hash-object", "-w", "--stdin")+",huge-link")
	git(t, dir, "update-index", "--add", "--cacheinfo", "100644,"+gitWith(t, dir, strings.Repeat("a", MaxBlob+1), "hash-object", "-w", "--stdin")+",huge")
	git(t, dir, "commit", "--quiet", "-m", "more")
	r := open(t, dir)
	files, err := r.Tree(t.Context(), "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	return r, files
}

func TestLook(t *testing.T) {
	t.Parallel()
	_, files := strange(t)
	for _, test := range []struct {
		path string
		kind tree.Kind
		real string
		data string // of a file
	}{
		{".", tree.Dir, ".", ""},
		{"dir", tree.Dir, "dir", ""},
		{"dir/file", tree.File, "dir/file", "in dir"},
		{"empty", tree.File, "empty", ""},
		{"run.sh", tree.File, "run.sh", "#!/bin/true"},
		{"a file", tree.File, "a file", "spaces"},
		{"line\nfeed", tree.File, "line\nfeed", "feed"},
		{"\"quotes\" 'and' \\backslash", tree.File, "\"quotes\" 'and' \\backslash", "quoted"},
		{"\xff\xfe.yaml", tree.File, "\xff\xfe.yaml", "bytes"},
		{"tab\there", tree.File, "tab\there", "tab"},
		{"gr\u00fc\u00dfe", tree.File, "gr\u00fc\u00dfe", "umlaut"},
		{"-x", tree.File, "-x", "option"},

		{"nothing", tree.Absent, "", ""},
		{"dir/nothing", tree.Absent, "", ""},
		{"empty/x", tree.Absent, "", ""},
		{"DIR", tree.Absent, "", ""},
		{"..", tree.Outside, "", ""},
		{"../dir/file", tree.Outside, "", ""},
		{"/etc/passwd", tree.Outside, "", ""},
		{"dir/../../x", tree.Outside, "", ""},

		{"link", tree.File, "dir/file", "in dir"},
		{"dir/up", tree.File, "a file", "spaces"},
		{"dir/sub/upup", tree.File, "dir/file", "in dir"},
		{"back", tree.File, "dir/file", "in dir"},
		{"feed\nlink", tree.File, "line\nfeed", "feed"},
		{"to-dir", tree.Dir, "dir", ""},
		{"to-top", tree.Dir, ".", ""},
		{"to-dir/file", tree.File, "dir/file", "in dir"},
		{"to-top/to-dir/sub/deep", tree.File, "dir/sub/deep", "deep"},
		{"middle/deep", tree.File, "dir/sub/deep", "deep"},
		{"absolute", tree.Outside, "", ""},
		{"absolute/x", tree.Outside, "", ""},
		{"escape", tree.Outside, "", ""},
		{"dir/escape", tree.Outside, "", ""},
		{"climb", tree.Outside, "", ""},
		{"loop-a", tree.Outside, "", ""},
		{"self", tree.Outside, "", ""},
		{"self-in", tree.Outside, "", ""},
		{"dangling", tree.Absent, "", ""},
		{"dangling/x", tree.Absent, "", ""},
		{"through-file", tree.Absent, "", ""},
		{fmt.Sprintf("hop-%d", maxHops), tree.File, "hop-0", "end"},
		{fmt.Sprintf("hop-%d", maxHops+1), tree.Outside, "", ""},
		{"long-link", tree.Outside, "", ""},
		{"huge-link", tree.Outside, "", ""},
		{"empty-link", tree.Absent, "", ""},

		{"module", tree.Dir, "module", ""},
		{"module/x", tree.Absent, "", ""},
		{"to-module", tree.Dir, "module", ""},
		{"past-module", tree.File, "empty", ""},
	} {
		for _, content := range []bool{false, true} {
			got, err := files.Look(test.path, content)
			if err != nil {
				t.Errorf("%.40q: %v", test.path, err)
				continue
			}
			want := tree.Fact{Path: test.path, Kind: test.kind, Real: test.real, ID: files.files[test.real].ID}
			if test.kind != tree.File {
				want.ID = ""
			} else if content {
				want.Has, want.Data = true, []byte(test.data)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%.40q, content %t (-want +got):\n%s", test.path, content, d)
			}
		}
	}
	for content, kind := range map[bool]tree.Kind{false: tree.File, true: tree.TooLarge} {
		if got, err := files.Look("huge", content); err != nil || got.Kind != kind || got.Has || got.Data != nil || got.ID == "" {
			t.Errorf("a huge file, content %t: %+v, %v, want it %s", content, got, err, kind)
		}
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	_, files := strange(t)
	inDir := []tree.Name{{Name: "escape", Kind: tree.Outside}, {Name: "file", Kind: tree.File}, {Name: "sub", Kind: tree.Dir}, {Name: "up", Kind: tree.File}}
	inSub := []tree.Name{{Name: "deep", Kind: tree.File}, {Name: "upup", Kind: tree.File}}
	for name, want := range map[string][]tree.Name{
		"dir": inDir, "to-dir": inDir, "to-top/dir": inDir, "dir/sub": inSub, "middle": inSub, "to-dir/sub": inSub,
		"module": {}, "to-module": {}, "empty": nil, "link": nil, "nothing": nil, "loop-a": nil, "absolute": nil, "escape": nil, "..": nil, "/": nil, "/etc": nil, "empty-link": nil,
	} {
		got, err := files.List(name)
		if err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("names in %q (-want +got):\n%s", name, d)
		}
	}
	top, err := files.List(".")
	if err != nil || !slices.IsSortedFunc(top, func(a, b tree.Name) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("the names at the top are not sorted, or %v", err)
	}
	kinds := map[string]tree.Kind{}
	for _, n := range top {
		kinds[n.Name] = n.Kind
	}
	for name, want := range map[string]tree.Kind{
		"dir": tree.Dir, "link": tree.File, "to-dir": tree.Dir, "absolute": tree.Outside, "loop-a": tree.Outside, "dangling": tree.Absent,
		"module": tree.Dir, "line\nfeed": tree.File, "\xff\xfe.yaml": tree.File, "huge": tree.File, "huge-link": tree.Outside,
	} {
		if got, listed := kinds[name]; got != want || !listed {
			t.Errorf("%q is listed %t as %s, want %s", name, listed, got, want)
		}
	}
}

func TestEntries(t *testing.T) {
	t.Parallel()
	r, files := strange(t)
	want := map[string]tree.Mode{
		"dir/file": tree.ModeFile, "run.sh": tree.ModeExecutable, "link": tree.ModeLink, "module": tree.ModeSubmodule, "line\nfeed": tree.ModeFile, "\xff\xfe.yaml": tree.ModeFile,
	}
	for _, e := range files.Entries() {
		if mode, checked := want[e.Path]; checked && (mode != e.Mode || !isID(e.ID)) {
			t.Errorf("%q has the mode %o and the id %q, want %o", e.Path, e.Mode, e.ID, mode)
		}
		delete(want, e.Path)
	}
	for name := range want {
		t.Errorf("%q is no entry", name)
	}
	for _, id := range []string{"nothing", "", "--help", "HEAD:empty"} {
		if _, err := r.Tree(t.Context(), id); err == nil {
			t.Errorf("the tree %q exists", id)
		}
	}
	empty, err := r.Tree(t.Context(), gitWith(t, r.top, "", "hash-object", "-t", "tree", "-w", "--stdin"))
	if err != nil || len(empty.Entries()) != 0 {
		t.Fatalf("the empty tree: %v, %v", empty, err)
	}
	if fact, err := empty.Look(".", false); err != nil || fact.Kind != tree.Dir {
		t.Errorf("the top of the empty tree is %s, %v", fact.Kind, err)
	}
}

// TestMalformedTrees reads trees that only a hostile git writes: a server that
// checks nothing passes them on.
func TestMalformedTrees(t *testing.T) {
	t.Parallel()
	dir := repository(t)
	id := blobs(t, dir, "content")[0]
	inner := treeOf(t, dir, entry{mode: "100644", name: "x", id: id})
	for _, test := range []struct {
		name    string
		entries []entry
		want    []string // paths
	}{
		{"names that climb", []entry{{mode: "100644", name: ".", id: id}, {mode: "100644", name: "..", id: id}, {mode: "40000", name: "..", id: inner}, {mode: "100644", name: "a", id: id}}, []string{"a"}},
		{"names with slashes", []entry{{mode: "100644", name: "../../a", id: id}, {mode: "100644", name: "/etc/passwd", id: id}, {mode: "100644", name: "a//b", id: id}, {mode: "100644", name: "c/", id: id}}, nil},
		{"no name", []entry{{mode: "40000", name: "", id: inner}, {mode: "100644", name: "a", id: id}}, []string{"a"}},
		{"one name twice", []entry{{mode: "100644", name: "a", id: id}, {mode: "100644", name: "a", id: id}, {mode: "40000", name: "a", id: inner}}, []string{"a", "a", "a/x"}},
		{"an unusual mode", []entry{{mode: "100664", name: "a", id: id}}, []string{"a"}},
	} {
		r := open(t, dir)
		files, err := r.Tree(t.Context(), treeOf(t, dir, test.entries...))
		if err != nil {
			continue // git itself refused it
		}
		var got []string
		for _, e := range files.Entries() {
			got = append(got, e.Path)
			if e.Mode != tree.ModeFile {
				t.Errorf("%s: %q has the mode %o", test.name, e.Path, e.Mode)
			}
			if fact, err := files.Look(e.Path, true); err != nil || string(fact.Data) != "content" {
				t.Errorf("%s: %q holds %q, %v", test.name, e.Path, fact.Data, err)
			}
		}
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, d)
		}
		names, err := files.List(".")
		if err != nil || len(names) > 1 {
			t.Errorf("%s: lists %v, %v, want one name at most", test.name, names, err)
		}
	}
}
