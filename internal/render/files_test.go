package render

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/davitops/davit/internal/tree"
)

// memory is a tree of files by path. A content that begins with "-> " is a link.
type memory map[string]string

// deleted is the content of a file that a change deletes.
const deleted = "(deleted)"

func (m memory) with(changes memory) memory {
	all := maps.Clone(m)
	for name, content := range changes {
		if content == deleted {
			delete(all, name)
			continue
		}
		all[name] = content
	}
	return all
}

// resolve follows links, segment by segment.
func (m memory) resolve(name string) (string, tree.Kind) {
	pending, real := strings.Split(path.Clean(name), "/"), "."
	if path.IsAbs(name) {
		return "", tree.Outside
	}
	for hops := 0; len(pending) > 0; {
		next := path.Join(real, pending[0])
		pending = pending[1:]
		content, isFile := m[next]
		to, isLink := strings.CutPrefix(content, "-> ")
		switch {
		case next == ".." || strings.HasPrefix(next, "../"):
			return "", tree.Outside
		case isFile && isLink:
			if hops++; hops > 40 || path.IsAbs(to) {
				return "", tree.Outside
			}
			pending = append(strings.Split(to, "/"), pending...)
		case isFile && len(pending) == 0:
			return next, tree.File
		case !isFile && (next == "." || len(m.names(next)) > 0):
			real = next
		default:
			return "", tree.Absent
		}
	}
	return real, tree.Dir
}

func (m memory) names(directory string) []string {
	names := map[string]bool{}
	for file := range m {
		if rest, in := strings.CutPrefix("./"+file, path.Join(".", directory)+"/"); directory == "." && in {
			name, _, _ := strings.Cut(rest, "/")
			names[name] = true
		} else if rest, in := strings.CutPrefix(file, directory+"/"); in {
			name, _, _ := strings.Cut(rest, "/")
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// tooLarge is what a file says that the tree does not hand out.
const tooLarge = "(too large)"

func (m memory) Look(name string, content bool) (tree.Fact, error) {
	fact := tree.Fact{Path: name}
	fact.Real, fact.Kind = m.resolve(name)
	if fact.Kind != tree.File {
		return fact, nil
	}
	data := m[fact.Real]
	hash := sha256.Sum256([]byte(data))
	fact.ID = hex.EncodeToString(hash[:10])
	if strings.TrimSpace(data) == tooLarge {
		fact.Kind = tree.TooLarge
		return fact, nil
	}
	if content {
		fact.Has, fact.Data = true, []byte(data)
	}
	return fact, nil
}

func (m memory) List(name string) ([]tree.Name, error) {
	real, kind := m.resolve(name)
	if kind != tree.Dir {
		return nil, nil
	}
	var list []tree.Name
	for _, n := range m.names(real) {
		_, kind := m.resolve(path.Join(real, n))
		list = append(list, tree.Name{Name: n, Kind: kind})
	}
	return list, nil
}

func TestMemory(t *testing.T) {
	t.Parallel()
	files := memory{"a/b": "1", "link": "-> a", "out": "-> ../x", "loop": "-> loop", "a/up": "-> ../a/b"}
	for name, want := range map[string]tree.Kind{
		".": tree.Dir, "a": tree.Dir, "a/b": tree.File, "link/b": tree.File, "link": tree.Dir, "a/up": tree.File,
		"out": tree.Outside, "loop": tree.Outside, "../x": tree.Outside, "a/b/c": tree.Absent, "no": tree.Absent,
	} {
		if fact, _ := files.Look(name, true); fact.Kind != want || fact.Kind == tree.File && fact.Real != "a/b" {
			t.Errorf("%s is %v at %q, want %v", name, fact.Kind, fact.Real, want)
		}
	}
	if names, _ := files.List("."); len(names) != 4 {
		t.Errorf("the root holds %v", names)
	}
}
