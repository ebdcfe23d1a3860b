package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Merged is what merging one commit into another gives.
type Merged struct {
	Tree string // the merged tree; with conflicts, the tree of the commit that was to be merged
	// Conflicts are the files that both sides changed in ways that do not go
	// together, or directories that they renamed so. Unrelated says that the
	// commits share no history at all.
	Conflicts []string
	Unrelated bool
}

// Merge merges the commit head into the commit base, without a work tree.
func (r *Repository) Merge(ctx context.Context, base, head string) (Merged, error) {
	tree, err := r.treeOf(ctx, head)
	if err != nil {
		return Merged{}, err
	}
	_, err = r.run(ctx, r.dir, "merge-base", "--end-of-options", base, head)
	switch {
	case err != nil && exitCode(err) == 1:
		return Merged{Tree: tree, Unrelated: true}, nil
	case err != nil:
		return Merged{}, fmt.Errorf("find where %s and %s part: %w", base, head, err)
	}
	merged, conflicts, err := r.mergeTrees(ctx, base, head)
	if err != nil {
		return Merged{}, fmt.Errorf("merge %s into %s: %w", head, base, err)
	}
	if len(conflicts) > 0 {
		return Merged{Tree: tree, Conflicts: conflicts}, nil
	}
	return Merged{Tree: merged}, nil
}

// mergeTrees merges two commits, into a tree or into at least one conflict.
func (r *Repository) mergeTrees(ctx context.Context, ours, theirs string) (tree string, conflicts []string, err error) {
	out, err := r.run(ctx, r.dir, "merge-tree", "--write-tree", "-z", "--name-only", "--end-of-options", ours, theirs)
	fields := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	switch {
	case err == nil:
		return fields[0], nil, nil
	case exitCode(err) != 1:
		return "", nil, err
	}
	for _, name := range conflictsIn(fields[1:]) {
		conflicts = append(conflicts, original(name, ours, theirs))
	}
	if len(conflicts) == 0 {
		return "", nil, fmt.Errorf("it is not clean, and git names no conflict: %w", err)
	}
	slices.Sort(conflicts)
	return "", slices.Compact(conflicts), nil
}

// conflictsIn takes the conflicts out of what git says of a merge: files in conflict,
// an empty field, and messages, each of them the number of its paths, these, its kind
// and its text. A conflict of renamed directories may be in no file: then the paths
// of the messages are all there is.
func conflictsIn(fields []string) []string {
	switch end := slices.Index(fields, ""); {
	case end < 0:
		return fields
	case end > 0:
		return fields[:end]
	}
	var named []string
	for rest := fields[1:]; len(rest) > 0; {
		count, err := strconv.Atoi(rest[0])
		if err != nil || count < 0 || len(rest) < count+3 {
			break
		}
		if strings.HasPrefix(rest[count+1], "CONFLICT") {
			named = append(named, rest[1:count+1]...)
		}
		rest = rest[count+3:]
	}
	return named
}

// original is a file's own name. Where a file is in the way of a directory, git calls
// it after the commit that it is from.
func original(name string, commits ...string) string {
	for _, commit := range commits {
		if isID(commit) {
			name, _, _ = strings.Cut(name, "~"+commit)
		}
	}
	return name
}

func (r *Repository) treeOf(ctx context.Context, commit string) (string, error) {
	out, err := r.run(ctx, r.dir, "rev-parse", "--verify", "--quiet", "--end-of-options", commit+"^{tree}")
	if err != nil {
		return "", fmt.Errorf("find the tree of %s: %w", commit, err)
	}
	return strings.TrimSpace(out), nil
}

// HasWorkTree reports whether files are checked out.
func (r *Repository) HasWorkTree() bool { return r.top != "" }

// WorkTree returns a commit of the work tree as it is: changes that are not
// committed, and new files that are not ignored, count. Where there are none it
// is the commit that is checked out, and changed is false. The repository and
// its index stay as they are.
func (r *Repository) WorkTree(ctx context.Context) (commit string, changed bool, err error) {
	head, err := r.Resolve(ctx, "HEAD")
	if err != nil || !r.HasWorkTree() {
		return head, false, err
	}
	tree, err := r.treeOfWorkTree(ctx)
	if err != nil {
		return "", false, fmt.Errorf("read the work tree: %w", err)
	}
	committed, err := r.treeOf(ctx, head)
	if err != nil || committed == tree {
		return head, false, err
	}
	out, err := r.run(ctx, r.dir, "commit-tree", tree, "-p", head, "-m", "work tree")
	if err != nil {
		return "", false, fmt.Errorf("read the work tree: %w", err)
	}
	return strings.TrimSpace(out), true, nil
}

// treeOfWorkTree adds the work tree to a copy of the index, which saves reading
// every file that the index knows to be as it was.
func (r *Repository) treeOfWorkTree(ctx context.Context) (string, error) {
	dir, err := os.MkdirTemp(r.scratch, "index-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	index := filepath.Join(dir, "index")
	if err := copyIndex(filepath.Join(r.dir, "index"), index); err != nil {
		return "", err
	}
	inWorkTree := r.with("GIT_INDEX_FILE="+index, "GIT_WORK_TREE="+r.top)
	if _, err := inWorkTree.run(ctx, r.top, "add", "--all"); err != nil {
		return "", err
	}
	out, err := inWorkTree.run(ctx, r.top, "write-tree")
	return strings.TrimSpace(out), err
}

// copyIndex copies an index, or nothing if there is none. The copy is as old as
// the index: a file that changed after it was written, within the same tick of
// the clock, is looked into only because the index is not younger than the file.
func copyIndex(from, to string) error {
	info, err := os.Stat(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		return err
	}
	return os.Chtimes(to, info.ModTime(), info.ModTime())
}
