package git

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/davitops/davit/internal/tree"
)

// Tree is the files of one commit or tree. It implements tree.Files. Its
// methods may be called concurrently.
type Tree struct {
	ctx         context.Context // of the work the tree was opened for: a renderer's questions have none of their own
	repository  *Repository
	entries     []tree.Entry
	files       map[string]tree.Entry
	directories map[string][]string // names in each directory, sorted; "." is the root
}

// Tree reads the entries of a commit or tree. The tree's own reads end with ctx.
func (r *Repository) Tree(ctx context.Context, id string) (*Tree, error) {
	out, err := r.run(ctx, r.dir, "ls-tree", "-r", "-z", "--full-tree", "--end-of-options", id)
	if err != nil {
		return nil, fmt.Errorf("list the files of %s: %w", id, err)
	}
	t := &Tree{ctx: ctx, repository: r, files: map[string]tree.Entry{}, directories: map[string][]string{".": nil}}
	for line := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		if line == "" {
			continue
		}
		meta, name, _ := strings.Cut(line, "\t")
		fields := strings.Fields(meta)
		if len(fields) != 3 {
			return nil, fmt.Errorf("list the files of %s: unexpected line %q", id, line)
		}
		mode, err := strconv.ParseUint(fields[0], 8, 32)
		if err != nil {
			return nil, fmt.Errorf("list the files of %s: %w", id, err)
		}
		if path.Clean(name) != name || name == "." || leaves(name) {
			continue // a name such as "..", which git itself refuses to check out
		}
		entry := tree.Entry{Path: name, Mode: tree.Mode(mode), ID: fields[2]}
		t.entries = append(t.entries, entry)
		t.files[name] = entry
		t.addName(name)
	}
	for name, names := range t.directories {
		slices.Sort(names)
		t.directories[name] = slices.Compact(names) // a tree can name an entry twice
	}
	return t, nil
}

func (t *Tree) addName(name string) {
	for name != "." {
		parent := path.Dir(name)
		_, known := t.directories[parent]
		t.directories[parent] = append(t.directories[parent], path.Base(name))
		if known {
			return
		}
		name = parent
	}
}

// Entries are all files, links and submodules, in git's order.
func (t *Tree) Entries() []tree.Entry { return t.entries }

// maxHops is how many links one path may follow.
const maxHops = 40

// Look implements tree.Files. Links are followed inside the tree; one that
// leaves it, or never ends, is tree.Outside.
func (t *Tree) Look(name string, content bool) (tree.Fact, error) {
	fact := tree.Fact{Path: name}
	real, kind, err := t.resolve(name)
	if err != nil {
		return fact, err
	}
	fact.Kind, fact.Real = kind, real
	if kind != tree.File {
		return fact, nil
	}
	fact.ID = t.files[real].ID
	if !content {
		return fact, nil
	}
	fact.Data, err = t.repository.Read(t.ctx, fact.ID)
	if errors.Is(err, ErrTooLarge) {
		fact.Kind = tree.TooLarge
		return fact, nil
	}
	fact.Has = err == nil
	return fact, err
}

// List implements tree.Files.
func (t *Tree) List(name string) ([]tree.Name, error) {
	real, kind, err := t.resolve(name)
	if err != nil || kind != tree.Dir {
		return nil, err
	}
	names := make([]tree.Name, 0, len(t.directories[real]))
	for _, n := range t.directories[real] {
		_, kind, err := t.resolve(path.Join(real, n))
		if err != nil {
			return nil, err
		}
		names = append(names, tree.Name{Name: n, Kind: kind})
	}
	return names, nil
}

// resolve follows the links of a path, segment by segment.
func (t *Tree) resolve(name string) (real string, kind tree.Kind, err error) {
	if leaves(name) {
		return "", tree.Outside, nil
	}
	pending := segments(name)
	real = "."
	for hops := 0; len(pending) > 0; {
		next := path.Join(real, pending[0])
		pending = pending[1:]
		entry, isFile := t.files[next]
		_, isDir := t.directories[next]
		switch {
		case leaves(next):
			return "", tree.Outside, nil
		case isFile && entry.Mode == tree.ModeLink:
			if hops++; hops > maxHops {
				return "", tree.Outside, nil
			}
			onward, kind, err := t.readLink(entry.ID)
			if err != nil || kind != tree.File {
				return "", kind, err
			}
			pending = append(onward, pending...)
		case isFile && entry.Mode != tree.ModeSubmodule && len(pending) == 0:
			return next, tree.File, nil
		case isDir || isFile && entry.Mode == tree.ModeSubmodule:
			real = next
		default:
			return "", tree.Absent, nil
		}
	}
	return real, tree.Dir, nil
}

// maxLink is the longest target of a link in bytes that Linux would follow.
const maxLink = 4096

// readLink returns where a link leads, as segments, and the kind File if it may
// be followed.
func (t *Tree) readLink(id string) ([]string, tree.Kind, error) {
	target, err := t.repository.Read(t.ctx, id)
	switch {
	case errors.Is(err, ErrTooLarge) || len(target) > maxLink:
		return nil, tree.Outside, nil
	case err != nil:
		return nil, tree.Absent, err
	case len(target) == 0:
		return nil, tree.Absent, nil
	case path.IsAbs(string(target)):
		return nil, tree.Outside, nil
	}
	return segments(string(target)), tree.File, nil
}

func leaves(name string) bool {
	return name == ".." || strings.HasPrefix(name, "../") || path.IsAbs(name)
}

func segments(name string) []string {
	return slices.DeleteFunc(strings.Split(name, "/"), func(s string) bool { return s == "" || s == "." })
}
