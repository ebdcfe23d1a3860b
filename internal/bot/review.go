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
	"github.com/davitops/davit/internal/survey"
)

// review looks at a pull request, unless something newer took the step's place.
func (b *Bot) review(ctx context.Context, step ledger.Step, last bool) (ledger.Batch, error) {
	row, current, err := b.current(ctx, step)
	if err != nil || !current {
		return ledger.Batch{}, err
	}
	preview, err := b.preview(ctx, step, row.PullRequest)
	if errors.Is(err, errSuperseded) {
		return ledger.Batch{}, nil
	}
	var later *ledger.Later
	if err != nil && (errors.As(err, &later) || !last && !hopeless(err)) {
		return ledger.Batch{}, err
	}
	// The row may have moved on while that took its time.
	if row, current, err2 := b.current(ctx, step); err2 != nil || !current {
		return ledger.Batch{}, err2
	} else if err == nil {
		return review.Decide(review.Facts{Row: row, Preview: preview, Now: b.Now()}), nil
	} else {
		b.Log.Error("a pull request could not be looked at", "pull", row.Name(), "delivery", step.Cause, "error", err)
		return review.Decide(review.Facts{Row: row, Problem: problem(err), Reference: step.Cause, Now: b.Now()}), nil
	}
}

// current returns a pull request's row, and whether a step is still the last review that
// was asked for.
func (b *Bot) current(ctx context.Context, step ledger.Step) (ledger.Pull, bool, error) {
	row, err := b.Ledger.Pull(ctx, step.Key)
	return row, row.Turn == step.Turn && row.Done < row.Turn && row.State == gitops.Open, err
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

func (b *Bot) preview(ctx context.Context, step ledger.Step, pr gitops.PullRequest) (report.Preview, error) {
	f, err := b.forge(pr.Repo.Forge)
	if err != nil {
		return report.Preview{}, err
	}
	source, err := f.Source(ctx, pr.Repo)
	if err != nil {
		return report.Preview{}, told(err)
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	sides, err := b.Mirrors.Compare(ctx, pr, source)
	if err != nil {
		return report.Preview{}, err
	}
	defer func() {
		if err := sides.Close(); err != nil {
			b.Log.Warn("a mirror does not close", "repo", pr.Repo, "error", err)
		}
	}()
	surveyor := b.Surveyor
	planner, why := b.Clusters.Planner(pr, sides.Branch)
	if surveyor.Planner = planner; why != "" {
		sides.Notes = append(sides.Notes, why)
	}
	preview, err := surveyor.Run(ctx, survey.Question{Base: sides.Base, Head: sides.Head, Progress: b.watch(ctx, step, stop)})
	if cause := context.Cause(ctx); errors.Is(cause, errSuperseded) {
		return report.Preview{}, cause
	}
	if err != nil {
		return report.Preview{}, err
	}
	preview.Base, preview.Head = sides.Tip, pr.Head.Commit
	preview.Notes = append(sides.Notes, preview.Notes...)
	return preview, nil
}

// longest is how long looking at a pull request may take. It is less than what the step
// has, so that there is time left to say that it took too long.
const longest = 10 * time.Minute

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
