package bot

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/report"
	"github.com/davitops/davit/internal/review"
	"github.com/davitops/davit/internal/rollout"
	"github.com/davitops/davit/internal/survey"
)

// review looks at a pull request, unless something newer took the step's place.
func (b *Bot) review(ctx context.Context, step ledger.Step, last bool) (ledger.Batch, error) {
	row, current, err := b.current(ctx, step)
	if err != nil || !current {
		return ledger.Batch{}, err
	}
	f, err := b.forge(row.Repo.Forge)
	if err != nil {
		return ledger.Batch{}, err
	}
	// What is shown, and to whom, rests on facts: it may be public by now.
	row, pr, err := b.facts(ctx, f, row.Repo, row.Number)
	if err != nil {
		return b.failed(ctx, step, last, told(err))
	}
	if next := review.Look(row, pr); pr.State != gitops.Open || len(next.Pulls) > 0 && next.Pulls[0].Turn != row.Turn {
		return next, nil
	}
	preview, first, err := b.preview(ctx, f, step, pr)
	if errors.Is(err, errSuperseded) {
		return ledger.Batch{}, nil
	}
	if err != nil {
		return b.failed(ctx, step, last, err)
	}
	// What is shown now may be applied once it is merged, so it must not have been meanwhile.
	if row, pr, err = b.facts(ctx, f, row.Repo, row.Number); err != nil {
		return b.failed(ctx, step, last, told(err))
	}
	if pr.State != gitops.Open {
		return review.Look(row, pr), nil
	}
	if !isCurrent(row, step) { // it may have moved on while that took its time
		return ledger.Batch{}, nil
	}
	batch := review.Decide(review.Facts{Row: row, Preview: preview, Now: b.Now()})
	batch.Branches = first
	return batch, nil
}

// failed tells of trouble of Davit's own, once trying again is of no use.
func (b *Bot) failed(ctx context.Context, step ledger.Step, last bool, err error) (ledger.Batch, error) {
	var later *ledger.Later
	if errors.As(err, &later) || !last && !hopeless(err) {
		return ledger.Batch{}, err
	}
	row, current, read := b.current(ctx, step)
	if read != nil || !current {
		return ledger.Batch{}, read
	}
	reference := step.Cause
	if reference == "" { // nothing was delivered that it goes back to
		reference = step.String()
	}
	b.Log.Error("a pull request could not be looked at", "step", step.String(), "delivery", step.Cause, "error", err)
	return review.Decide(review.Facts{Row: row, Problem: problem(err), Reference: reference, Now: b.Now()}), nil
}

// current returns a pull request's row, and whether a step is still the last review that
// was asked for.
func (b *Bot) current(ctx context.Context, step ledger.Step) (ledger.Pull, bool, error) {
	row, err := b.Ledger.Pull(ctx, step.Key)
	return row, isCurrent(row, step), err
}

func isCurrent(row ledger.Pull, step ledger.Step) bool {
	return row.Turn == step.Turn && row.Done < row.Turn && row.State == gitops.Open
}

// problem is an error in words that a pull request may show.
func problem(err error) string {
	var e *forge.Error
	if errors.As(err, &e) {
		return fmt.Sprintf("The forge did not let Davit %s (%s)", e.Doing, e.Class)
	}
	return "Davit has a problem of its own"
}

func hopeless(err error) bool {
	var h *ledger.Hopeless
	return errors.As(err, &h)
}

// errSuperseded is why a review stops whose result nobody waits for.
var errSuperseded = errors.New("something newer took its place")

// preview also returns the row of the branch that is deployed, if this is the first that is
// seen of it: what is merged from now on goes out.
func (b *Bot) preview(ctx context.Context, f forge.Forge, step ledger.Step, pr gitops.PullRequest) (p report.Preview, first []ledger.Branch, err error) {
	source, err := f.Source(ctx, pr.Repo)
	if err != nil {
		return p, nil, told(err)
	}
	fetching, fetched := context.WithTimeout(ctx, longestFetch)
	defer fetched()
	sides, err := b.Mirrors.Compare(fetching, pr, source)
	if err != nil {
		return p, nil, err
	}
	defer func() {
		if err := sides.Close(); err != nil {
			b.Log.Warn("a mirror does not close", "repo", pr.Repo, "error", err)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, longestSurvey)
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	surveyor, why := b.Surveyor, ""
	if surveyor.Planner, why = b.Clusters.Planner(pr, sides.Branch); why != "" {
		sides.Notes = append(sides.Notes, why)
	}
	preview, err := surveyor.Run(ctx, survey.Question{Base: sides.Base, Head: sides.Head, Progress: b.watch(ctx, step, stop)})
	if cause := context.Cause(ctx); errors.Is(cause, errSuperseded) {
		return p, nil, cause
	}
	if err != nil {
		return p, nil, err
	}
	preview.Base, preview.Head = sides.Tip, pr.Head.Commit
	preview.Notes = append(sides.Notes, preview.Notes...)
	if pr.Base.Branch == sides.Branch {
		row, err := b.Ledger.Branch(ctx, pr.Repo)
		if err != nil {
			return p, nil, err
		}
		if row.Version == 0 {
			row.Repo = pr.Repo
			first = rollout.First(row, sides.Branch, sides.Tip).Branches
		}
	}
	return preview, first, nil
}

// How long looking at a pull request may take. Together it is less than what the step has,
// so that there is time left to say that it took too long. The first fetch of a large
// repository takes long; one that stands still ends by itself.
const (
	longestFetch  = 45 * time.Minute
	longestSurvey = 10 * time.Minute
)

// glance is how often a review that is going on looks whether it is still wanted.
const glance = time.Second

// watch stops a review once something newer took its place. A row that can't be read
// stops nothing.
func (b *Bot) watch(ctx context.Context, step ledger.Step, stop context.CancelCauseFunc) func(survey.Phase, int, int) {
	var mu sync.Mutex
	next := b.Now().Add(glance)
	return func(survey.Phase, int, int) {
		mu.Lock()
		defer mu.Unlock()
		if now := b.Now(); now.Before(next) {
			return
		} else {
			next = now.Add(glance)
		}
		if _, current, err := b.current(ctx, step); err == nil && !current {
			stop(errSuperseded)
		}
	}
}
