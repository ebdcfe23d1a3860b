package bot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/davitops/davit/internal/command"
	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/review"
)

// hear finds out what a delivery hints at, and asks the forge what is so.
func (b *Bot) hear(ctx context.Context, key string) (ledger.Batch, error) {
	d, err := b.Ledger.Delivery(ctx, key)
	if errors.Is(err, ledger.ErrNotFound) {
		return ledger.Batch{}, &ledger.Hopeless{Err: err}
	}
	if err != nil {
		return ledger.Batch{}, err
	}
	f, err := b.forge(d.Forge)
	if err != nil {
		return ledger.Batch{}, err
	}
	event, err := f.Event(d.Event, d.Body)
	if err != nil {
		b.Log.Error("a delivery can't be read; davit replay tries again", "delivery", d.ID, "event", d.Event, "error", err)
		return ledger.Batch{Heard: []ledger.Heard{{Key: key, State: ledger.Broken, Error: err.Error()}}}, nil
	}
	event.Repo.Forge = d.Forge // also of those that are about no single repository
	batch, err := b.event(ctx, f, event)
	if later, wait := waited(err, d.Received, b.Now()); wait {
		return ledger.Batch{}, later
	}
	heard := ledger.Heard{Key: key, State: ledger.Done}
	switch class := forge.ClassOf(err); {
	case err == nil:
	case class == forge.Gone && b.Now().Sub(d.Received) < appearing:
		return ledger.Batch{}, fmt.Errorf("%w: %w", errBehind, err)
	case class == forge.Gone:
		batch = ledger.Batch{} // it went away since, and nothing is left to do
	case class == forge.Refused, class == forge.Forbidden:
		b.Log.Error("a delivery leads nowhere; davit replay tries again", "delivery", d.ID, "event", d.Event, "error", err)
		batch, heard = ledger.Batch{}, ledger.Heard{Key: key, State: ledger.Broken, Error: err.Error()}
	default:
		return ledger.Batch{}, told(err)
	}
	batch.Heard = []ledger.Heard{heard}
	return batch, nil
}

func (b *Bot) event(ctx context.Context, f forge.Forge, e gitops.Event) (ledger.Batch, error) {
	switch e.Kind {
	case gitops.Changed:
		return b.changed(ctx, f, e)
	case gitops.Commented:
		return b.commented(ctx, f, e)
	case gitops.Pushed:
		return b.pushed(ctx, e)
	case gitops.Connected:
		step := ledger.Step{Kind: ledger.Inspect, Key: e.Repo.Forge}
		if e.Repo.Path != "" {
			step = ledger.Step{Kind: ledger.List, Key: e.Repo.String()}
		}
		// The turn makes it one of its own: another that is going on may not have seen it.
		step.Turn = b.Now().UnixMilli()
		return ledger.Batch{Steps: []ledger.Step{step}}, nil
	}
	return ledger.Batch{}, nil
}

// appearing is how long something may not be there that a forge has told of already.
const appearing = time.Minute

// believed is how old what is remembered must be for an older answer to be believed. A
// forge's replicas are behind by seconds; one that was set back stays so.
const believed = 10 * time.Minute

// errBehind is what is tried again when a forge sends an event before it answers by it.
var errBehind = errors.New("the forge does not answer by its own event yet")

func (b *Bot) changed(ctx context.Context, f forge.Forge, e gitops.Event) (ledger.Batch, error) {
	row, pr, err := b.facts(ctx, f, e.Repo, e.Number)
	if err != nil {
		return ledger.Batch{}, err
	}
	if pr.Updated.Before(e.Updated) {
		return ledger.Batch{}, fmt.Errorf("look at %s: %w", pr.Name(), errBehind)
	}
	return review.Look(row, pr), nil
}

// facts are what is remembered of a pull request, and what the forge says of it now,
// which is not older. The row is read before the forge is asked: what somebody else
// learns meanwhile makes what follows a conflict, and never goes back to what was.
func (b *Bot) facts(ctx context.Context, f forge.Forge, repo gitops.Repo, number int) (row ledger.Pull, pr gitops.PullRequest, err error) {
	if row, err = b.Ledger.Pull(ctx, gitops.PullRequest{Repo: repo, Number: number}.Name()); err != nil {
		return row, pr, err
	}
	if pr, err = f.PullRequest(ctx, repo, number); err != nil {
		return row, pr, err
	}
	if pr.Repo != repo {
		return b.facts(ctx, f, pr.Repo, number) // it has another name by now, and its row has, too
	}
	if pr.Updated.Before(row.Updated) && b.Now().Sub(row.Updated) < believed {
		err = fmt.Errorf("look at %s: %w", pr.Name(), errBehind)
	}
	return row, pr, err
}

// look is changed without an event, and sees whether the base branch has moved.
func (b *Bot) look(ctx context.Context, name string) (ledger.Batch, error) {
	pr, err := gitops.ParsePullRequest(name)
	if err != nil {
		return ledger.Batch{}, &ledger.Hopeless{Err: err}
	}
	f, err := b.forge(pr.Repo.Forge)
	if err != nil {
		return ledger.Batch{}, err
	}
	row, pr, err := b.facts(ctx, f, pr.Repo, pr.Number)
	if err != nil {
		return ledger.Batch{}, told(err)
	}
	if review.Differs(row, pr) {
		return review.Look(row, pr), nil
	}
	if pr.State != gitops.Open {
		return ledger.Batch{}, nil // it was closed, or merged, since somebody asked for this
	}
	tip, err := f.Tip(ctx, pr.Repo, pr.Base.Branch)
	if err != nil {
		return ledger.Batch{}, told(err)
	}
	return review.Moved(row, tip, b.Now()), nil
}

func (b *Bot) commented(ctx context.Context, f forge.Forge, e gitops.Event) (ledger.Batch, error) {
	commands, mistakes := command.Parse(e.Text)
	if e.Actor.Bot || len(commands)+len(mistakes) == 0 {
		return ledger.Batch{}, nil
	}
	if asked, err := b.Ledger.Asked(ctx, e.Repo.Forge, e.Comment); asked || err != nil {
		return ledger.Batch{}, err
	}
	if e.Number == 0 {
		return b.remarked(ctx, f, review.Asked{Event: e, Commands: commands, Mistakes: mistakes, Now: b.Now()})
	}
	row, pr, err := b.facts(ctx, f, e.Repo, e.Number)
	if err != nil {
		return ledger.Batch{}, err
	}
	mayWrite, err := f.MayWrite(ctx, pr.Repo, e.Actor)
	if err != nil {
		return ledger.Batch{}, err
	}
	live, err := b.Ledger.LiveRollouts(ctx, pr.Repo)
	if err != nil {
		return ledger.Batch{}, err
	}
	deployed, err := b.Ledger.Deployed(ctx, pr.Repo)
	if err != nil {
		return ledger.Batch{}, err
	}
	return review.Answer(row, review.Asked{
		Event: e, PR: pr, Commands: commands, Mistakes: mistakes, MayWrite: mayWrite, Live: live, Deployed: deployed, Now: b.Now(),
	}), nil
}

// remarked is commented of a commit. One that nothing goes out of is none of ours.
func (b *Bot) remarked(ctx context.Context, f forge.Forge, a review.Asked) (ledger.Batch, error) {
	var err error
	if a.Live, err = b.Ledger.LiveRollouts(ctx, a.Event.Repo); err != nil {
		return ledger.Batch{}, err
	}
	if !slices.ContainsFunc(a.Live, func(r ledger.Rollout) bool { return r.Commit == a.Event.Commit }) {
		return ledger.Batch{}, nil
	}
	if a.Deployed, err = b.Ledger.Deployed(ctx, a.Event.Repo); err != nil {
		return ledger.Batch{}, err
	}
	if a.MayWrite, err = f.MayWrite(ctx, a.Event.Repo, a.Event.Actor); err != nil {
		return ledger.Batch{}, err
	}
	return review.Remark(a), nil
}

// pushed looks again at the pull requests into a branch that has moved, and rolls out what
// came onto it if it is the one that is deployed.
func (b *Bot) pushed(ctx context.Context, e gitops.Event) (ledger.Batch, error) {
	rows, err := b.Ledger.OpenPulls(ctx, e.Repo)
	if err != nil {
		return ledger.Batch{}, err
	}
	var batch ledger.Batch
	for _, row := range rows {
		if row.Base.Branch == e.Branch && e.Commit != "" {
			next := review.Moved(row, e.Commit, b.Now())
			batch.Pulls, batch.Steps = append(batch.Pulls, next.Pulls...), append(batch.Steps, next.Steps...)
		}
	}
	branch, err := b.Ledger.Branch(ctx, e.Repo)
	if err != nil {
		return ledger.Batch{}, err
	}
	if branch.Version == 0 || branch.Name == e.Branch {
		batch.Steps = append(batch.Steps, ledger.Step{Kind: ledger.Roll, Key: e.Repo.String(), Turn: b.Now().UnixMilli()})
	}
	return batch, nil
}
