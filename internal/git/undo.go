package git

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/davitops/davit/internal/tree"
)

// Between returns the commits that brought a branch from before to after: the first
// parents of after, and itself, that before does not have, oldest first. Of more than
// most it returns the newest, and all is false. It asks nothing of how the two are
// related, so that a push by force has its commits too.
func (r *Repository) Between(ctx context.Context, before, after string, most int) (commits []string, all bool, err error) {
	ends, err := r.resolveAll(ctx, before, after)
	if err != nil {
		return nil, false, err
	}
	most = max(most, 0)
	out, err := r.run(ctx, r.dir, "rev-list", "--first-parent", "--reverse", "--max-count="+strconv.Itoa(most+1), "--end-of-options", ends[1], "^"+ends[0])
	if err != nil {
		return nil, false, fmt.Errorf("list the commits from %s to %s: %w", before, after, err)
	}
	commits = strings.Fields(out)
	return commits[max(len(commits)-most, 0):], len(commits) <= most, nil
}

func (r *Repository) resolveAll(ctx context.Context, revisions ...string) ([]string, error) {
	ids := make([]string, len(revisions))
	for i, revision := range revisions {
		var err error
		if ids[i], err = r.Resolve(ctx, revision); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// Undoing is what to undo: what a branch did to some files on its way from Before to
// After, in the branch as it is at Tip.
type Undoing struct {
	Before, After, Tip string // commits
	// Paths are files, links or submodules of Before, After or both. Where a file of
	// one takes the place of a directory of the other, it takes the place of all of it.
	Paths   []string
	Message string
	At      time.Time // of the commit, in whole seconds
}

// Undone is a commit on top of the tip that undoes, or why there is none.
type Undone struct {
	Commit    string
	Files     []string // that Commit changes, sorted
	Conflicts []string // files or directories, sorted, that the branch changed since in ways that undoing does not go together with; then there is no Commit
	Nothing   bool     // the tip has nothing of it any more
}

// Undo makes a commit that can be pushed as long as the repository is open. Of the
// same input it makes the same commit, byte for byte.
//
// It is what merging into the tip gives of a commit on top of After with the files as
// they are at Before. After counts as where the tip comes from even if the branch
// was rewritten since: of what that took from the branch, nothing comes back.
func (r *Repository) Undo(ctx context.Context, undoing Undoing) (Undone, error) {
	undone, err := r.undo(ctx, undoing)
	if err != nil {
		return Undone{}, fmt.Errorf("undo %s to %s in %s: %w", undoing.Before, undoing.After, undoing.Tip, err)
	}
	return undone, nil
}

func (r *Repository) undo(ctx context.Context, undoing Undoing) (Undone, error) {
	ids, err := r.resolveAll(ctx, undoing.Before, undoing.After, undoing.Tip)
	if err != nil {
		return Undone{}, err
	}
	before, after, tip := ids[0], ids[1], ids[2]
	back, err := r.treeWithFilesOf(ctx, after, before, undoing.Paths)
	if err != nil {
		return Undone{}, err
	}
	theirs, err := r.commit(ctx, back, after, "undo")
	if err != nil {
		return Undone{}, err
	}
	ours, err := r.commit(ctx, tip+"^{tree}", after, "tip")
	if err != nil {
		return Undone{}, err
	}
	merged, conflicts, err := r.mergeTrees(ctx, ours, theirs)
	if err != nil || len(conflicts) > 0 {
		return Undone{Conflicts: conflicts}, err
	}
	files, err := r.changed(ctx, tip, merged)
	if err != nil || len(files) == 0 {
		return Undone{Nothing: true}, err
	}
	id, err := r.signedBy("davit[bot]", undoing.At).commit(ctx, merged, tip, undoing.Message)
	return Undone{Commit: id, Files: files}, err
}

// treeWithFilesOf returns the tree of a commit with some files as another commit has
// them.
func (r *Repository) treeWithFilesOf(ctx context.Context, commit, other string, paths []string) (string, error) {
	now, err := r.Tree(ctx, commit)
	if err != nil {
		return "", err
	}
	then, err := r.Tree(ctx, other)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(r.scratch, "index-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	indexed := r.with("GIT_INDEX_FILE=" + filepath.Join(dir, "index"))
	if _, err := indexed.run(ctx, r.dir, "read-tree", "--end-of-options", commit); err != nil {
		return "", err
	}
	if _, err := indexed.feed(ctx, replacing(now, then, paths), "update-index", "-z", "--index-info"); err != nil {
		return "", err
	}
	out, err := indexed.run(ctx, r.dir, "write-tree")
	return strings.TrimSpace(out), err
}

// replacing tells git update-index what replaces files of one tree by those of
// another. A file that is added clears its place of a directory, and its way of files.
func replacing(now, then *Tree, paths []string) string {
	var lines strings.Builder
	add := func(e tree.Entry) { fmt.Fprintf(&lines, "%o %s\t%s\x00", uint32(e.Mode), e.ID, e.Path) }
	for _, path := range paths {
		old, isOld := then.files[path]
		gone, isGone := now.files[path]
		switch {
		case isOld:
			add(old)
		case isGone:
			fmt.Fprintf(&lines, "0 %s\t%s\x00", strings.Repeat("0", len(gone.ID)), path)
			then.below(path, add)
		}
	}
	return lines.String()
}

// below yields the entries in a directory, of any depth.
func (t *Tree) below(directory string, yield func(tree.Entry)) {
	if _, is := t.directories[directory]; !is {
		return
	}
	for _, e := range t.entries {
		if strings.HasPrefix(e.Path, directory+"/") {
			yield(e)
		}
	}
}

// changed are the files that differ between two commits or trees, sorted.
func (r *Repository) changed(ctx context.Context, from, to string) ([]string, error) {
	// A submodule differs even if .gitmodules asks for not looking at it.
	out, err := r.run(ctx, r.dir, "diff-tree", "-r", "-z", "--name-only", "--no-renames", "--ignore-submodules=none", "--end-of-options", from, to)
	if err != nil || out == "" {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(out, "\x00"), "\x00"), nil
}

// signedBy is the repository as a git sees it whose commits have an author and a time.
func (r *Repository) signedBy(name string, at time.Time) *Repository {
	date := fmt.Sprintf("@%d +0000", at.Unix())
	return r.with("GIT_AUTHOR_NAME="+name, "GIT_COMMITTER_NAME="+name, "GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date)
}

// commit makes a commit of a tree.
func (r *Repository) commit(ctx context.Context, tree, parent, message string) (string, error) {
	out, err := r.feed(ctx, message, "commit-tree", "-p", parent, "-F", "-", tree)
	return strings.TrimSpace(out), err
}
