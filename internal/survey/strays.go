package survey

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/target"
	"github.com/davitops/davit/internal/tree"
)

// maxStrays is how many files a note names.
const maxStrays = 5

// strays says which changed files look like Kubernetes objects and belong to no
// target, so that a change which nobody shows is not taken for none. It is empty
// where there are none, and where only a part of the repository was asked about.
func strays(q Question, markers map[target.MarkerKey]target.Marker, work []*directory) (string, error) {
	if q.Path != "" && q.Path != "." {
		return "", nil
	}
	var left []string
	for _, file := range changedPaths(q.Base.Entries(), q.Head.Entries()) {
		if isObjectFile(q, file) {
			left = append(left, file)
		}
	}
	for _, d := range work {
		for _, r := range []revision{{q.Base, d.base}, {q.Head, d.head}} {
			if r.side == nil || d.untouched || len(left) == 0 {
				continue
			}
			reach, _, err := target.ReachOf(r.side.targets[0], r.files, markers)
			if err != nil {
				return "", fmt.Errorf("survey %s: %w", d.path, err)
			}
			read := r.side.record.Paths()
			left = slices.DeleteFunc(left, func(file string) bool {
				_, asked := slices.BinarySearch(read, file)
				return asked || reach.Touches(file)
			})
		}
	}
	if len(left) == 0 {
		return "", nil
	}
	slices.Sort(left)
	names := make([]string, 0, maxStrays)
	for _, file := range left[:min(len(left), maxStrays)] {
		names = append(names, manifest.Quote(file))
	}
	more := ""
	if len(left) > maxStrays {
		more = fmt.Sprintf(" and %d more", len(left)-maxStrays)
	}
	return fmt.Sprintf("Changed files that look like Kubernetes objects are in no target, so what becomes of them is not shown: %s%s.",
		strings.Join(names, ", "), more), nil
}

// isObjectFile reports whether a file says in its text that it holds Kubernetes
// objects. Hidden directories are other tools'.
func isObjectFile(q Question, file string) bool {
	switch strings.ToLower(path.Ext(file)) {
	case ".yaml", ".yml", ".json":
	default:
		return false
	}
	if strings.HasPrefix(file, ".") || strings.Contains(file, "/.") {
		return false
	}
	for _, files := range []Tree{q.Head, q.Base} {
		fact, err := files.Look(file, true)
		if err == nil && fact.Kind == tree.File {
			return bytes.Contains(fact.Data, []byte("apiVersion")) && bytes.Contains(fact.Data, []byte("kind"))
		}
	}
	return false
}
