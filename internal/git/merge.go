package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Merged is what merging one commit into another gives.
type Merged struct {
	Tree string // the merged tree; with conflicts, the tree of the commit that was to be merged
	// Conflicts are the files that both sides changed in ways that do not go
	// together. Unrelated says that the commits share no history at all.
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
	out, err := r.run(ctx, r.dir, "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", "--end-of-options", base, head)
	fields := strings.Split(strings.TrimRight(out, "\x00"), "\x00")
	switch {
	case err == nil:
		return Merged{Tree: fields[0]}, nil
	case exitCode(err) == 1:
		return Merged{Tree: tree, Conflicts: fields[1:]}, nil
	}
	return Merged{}, fmt.Errorf("merge %s into %s: %w", head, base, err)
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
	inWorkTree := *r
	inWorkTree.env = append(r.env[:len(r.env):len(r.env)], "GIT_INDEX_FILE="+index, "GIT_WORK_TREE="+r.top)
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
