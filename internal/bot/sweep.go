package bot

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/review"
)

// How far back lost deliveries are asked for: a little at each sweep, since a busy forge
// has long lists, and all that forges keep when everything is looked through. What is
// older is found by looking at the pull requests themselves.
const (
	recently = time.Hour
	kept     = 3 * 24 * time.Hour
)

// deep is the turn of the step that asks for all that forges keep.
const deep = 1

// redeliver has a forge send again what did not arrive.
func (b *Bot) redeliver(ctx context.Context, step ledger.Step) (ledger.Batch, error) {
	f, err := b.forge(step.Key)
	if err != nil {
		return ledger.Batch{}, err
	}
	back := recently
	if step.Turn == deep {
		back = kept
	}
	count, err := f.Redeliver(ctx, b.Now().Add(-back))
	if count > 0 {
		b.Log.Info("deliveries that were lost are sent again", "forge", step.Key, "count", count)
	}
	return ledger.Batch{}, told(err)
}

// spread is over how long the repositories of a forge are looked through.
const spread = 10 * time.Minute

// inspect looks through everything on a forge: what was delivered and lost, and all
// repositories. The first few are at once, so that a small installation is up to date as
// soon as it runs.
func (b *Bot) inspect(ctx context.Context, name string) (ledger.Batch, error) {
	f, err := b.forge(name)
	if err != nil {
		return ledger.Batch{}, err
	}
	repos, err := f.Repositories(ctx)
	if err != nil {
		return ledger.Batch{}, told(err)
	}
	batch := ledger.Batch{Steps: []ledger.Step{{Kind: ledger.Redeliver, Key: name, Turn: deep}}}
	for i, repo := range repos {
		step := ledger.Step{Kind: ledger.List, Key: repo.String()}
		if i >= 20 {
			step.At = b.Now().Add(jitter(repo.String(), spread))
		}
		batch.Steps = append(batch.Steps, step)
	}
	return batch, nil
}

// jitter spreads names over a time, each to the same place every time.
func jitter(name string, over time.Duration) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return time.Duration(uint64(h.Sum32()) * uint64(over) >> 32)
}

// list looks at all open pull requests of a repository, and at those that are not open
// any longer.
func (b *Bot) list(ctx context.Context, name string) (ledger.Batch, error) {
	repo, valid := gitops.ParseRepo(name)
	if !valid {
		return ledger.Batch{}, &ledger.Hopeless{Err: fmt.Errorf("%q is no repository", name)}
	}
	f, err := b.forge(repo.Forge)
	if err != nil {
		return ledger.Batch{}, err
	}
	rows, err := b.Ledger.OpenPulls(ctx, repo)
	if err != nil {
		return ledger.Batch{}, err
	}
	known := map[string]ledger.Pull{}
	for _, row := range rows {
		known[row.Name()] = row
	}
	prs, err := f.PullRequests(ctx, repo)
	if err != nil {
		return ledger.Batch{}, told(err)
	}
	batch := ledger.Batch{Steps: []ledger.Step{{Kind: ledger.Roll, Key: repo.String(), Idle: true}}}
	for _, pr := range prs {
		row, open := known[pr.Name()]
		delete(known, pr.Name())
		switch {
		case !open || review.Differs(row, pr):
			batch.Steps = append(batch.Steps, ledger.Step{Kind: ledger.Look, Key: pr.Name()})
		case row.Done < row.Turn: // its step waits, unless it was given up
			batch.Steps = append(batch.Steps, ledger.Step{Kind: ledger.Review, Key: row.Name(), Turn: row.Turn, Idle: row.Quiet})
		}
	}
	for gone := range known {
		batch.Steps = append(batch.Steps, ledger.Step{Kind: ledger.Look, Key: gone})
	}
	for _, row := range b.moved(ctx, f, repo, rows) {
		batch.Steps = append(batch.Steps, ledger.Step{Kind: ledger.Look, Key: row.Name()})
	}
	return batch, nil
}

// moved are the pull requests into branches that have moved, for what no delivery has
// told. A branch that can't be asked for is none.
func (b *Bot) moved(ctx context.Context, f forge.Forge, repo gitops.Repo, rows []ledger.Pull) (moved []ledger.Pull) {
	tips := map[string]string{}
	for _, row := range rows {
		tip, known := tips[row.Base.Branch]
		if !known {
			var err error
			if tip, err = f.Tip(ctx, repo, row.Base.Branch); err != nil {
				b.Log.Warn("a branch can't be looked at", "repository", repo.String(), "error", err)
			}
			tips[row.Base.Branch] = tip
		}
		if tip != "" && tip != row.Tip && row.Done == row.Turn {
			moved = append(moved, row)
		}
	}
	return moved
}
