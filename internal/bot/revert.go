package bot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/rollout"
	"github.com/davitops/davit/internal/survey"
	"github.com/davitops/davit/internal/tree"
)

// revert makes the commit that undoes a deployment, and has its pull request opened.
func (b *Bot) revert(ctx context.Context, step ledger.Step) (ledger.Batch, error) {
	facts, d, current, err := b.deployment(ctx, step)
	if err != nil || !current || d.Past {
		return ledger.Batch{}, err
	}
	r := facts.Rollout
	f, local, _, err := b.open(ctx, r.Repo)
	if err != nil {
		return ledger.Batch{}, err
	}
	defer b.closes(local)
	u := Undoing{Before: d.From, After: r.Commit, Branch: r.Branch, At: r.Opened}
	if has, err := b.had(ctx, local, u.Before); err != nil || !has {
		u.Before = r.Before // it never was healthy here
		if err != nil {
			return ledger.Batch{}, err
		}
	}
	var shared []string
	if u.Paths, shared, err = b.reads(ctx, local, u, d); err != nil {
		return ledger.Batch{}, err
	}
	more, err := wider(ctx, local, u, r.Before)
	if err != nil {
		return ledger.Batch{}, err
	}
	u.As, u.Message = rollout.RevertBranch(r, u.Before, u.Paths), rollout.RevertMessage(r, u.Before, more)
	reversal, err := local.Undo(ctx, u)
	if err != nil {
		return ledger.Batch{}, err
	}
	reversal.Shared, reversal.To, reversal.Wider = shared, u.Before, more
	if reversal.Commit != "" {
		to, err := f.Destination(ctx, r.Repo)
		if forge.ClassOf(err) == forge.Forbidden {
			b.Log.Error("nobody lets Davit push", "rollout", r.ID(), "error", err)
			return rollout.Undo(facts, d.Target.Name(), rollout.Reversal{Forbidden: true}), nil
		}
		if err != nil {
			return ledger.Batch{}, patient(err)
		}
		there, err := local.Push(ctx, to, u.As, reversal.Commit)
		if hopeless(err) {
			b.Log.Error("the branch of a revert can't be pushed", "rollout", r.ID(), "branch", u.As, "error", err)
			return rollout.Undo(facts, d.Target.Name(), rollout.Reversal{Forbidden: true}), nil
		}
		if err != nil {
			return ledger.Batch{}, err
		}
		if there != reversal.Commit { // somebody was there before, or went on from it
			b.Log.Warn("the branch of a revert is another one", "rollout", r.ID(), "branch", u.As, "commit", there)
			reversal.Commit = ""
		}
		reversal.Branch = u.As
	}
	return rollout.Undo(facts, d.Target.Name(), reversal), nil
}

// wider reports whether what is undone came in part before a rollout.
func wider(ctx context.Context, local Copy, u Undoing, before string) (bool, error) {
	if has, err := local.Has(ctx, before); err != nil || !has {
		return true, err
	}
	from, err := local.Tree(ctx, u.Before)
	if err != nil {
		return false, err
	}
	to, err := local.Tree(ctx, before)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(survey.Changed(from, to), func(path string) bool { return slices.Contains(u.Paths, path) }), nil
}

func (b *Bot) had(ctx context.Context, local Copy, commit string) (bool, error) {
	if commit == "" {
		return false, nil
	}
	return local.Has(ctx, commit)
}

// reads are the files that a target reads at either of two commits, and that differ; and the
// other targets that read some of them.
func (b *Bot) reads(ctx context.Context, local Copy, u Undoing, d ledger.Deployment) (paths, shared []string, err error) {
	before, err := local.Tree(ctx, u.Before)
	if err != nil {
		return nil, nil, err
	}
	after, err := local.Tree(ctx, u.After)
	if err != nil {
		return nil, nil, err
	}
	changed := survey.Changed(before, after)
	read := func(files survey.Tree, other survey.Tree) error {
		if there, err := files.Look(d.Target.Path, false); err != nil || there.Kind != tree.Dir {
			return err
		}
		_, record, err := b.Surveyor.Renderer.Render(ctx, files, d.Target, nil)
		if err != nil {
			return err
		}
		differ, err := record.Changed(other)
		if err != nil {
			return err
		}
		for _, path := range changed {
			if slices.Contains(differ, path) {
				paths = append(paths, path)
			}
		}
		return nil
	}
	if err := errors.Join(read(before, after), read(after, before)); err != nil {
		return nil, nil, fmt.Errorf("find what %s reads: %w", d.Target.Name(), err)
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	shared, err = b.Surveyor.Readers(after, paths)
	return paths, slices.DeleteFunc(shared, func(name string) bool { return name == d.Target.Name() }), err
}
