// Package bot is what Davit does on its own: each file is one thing that it does, which
// gathers facts, asks one function of the core, and hands back one Batch.
//
// It decides nothing about a pull request and writes nothing itself, but for the one
// step that delivers what was decided. It opens no connection, database or process:
// everything is handed in.
package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/survey"
)

// Bot works on steps.
type Bot struct {
	Ledger   Ledger
	Forges   map[string]forge.Forge // by what the operator calls them
	Mirrors  Mirrors
	Clusters Clusters
	Surveyor survey.Surveyor // without a planner
	Log      *slog.Logger
	Now      func() time.Time
}

// Ledger is what Davit remembers.
type Ledger interface {
	Pulls
	Rollouts
	Delivery(ctx context.Context, key string) (ledger.Delivery, error)
	Effect(ctx context.Context, key string) (ledger.Effect, error)
}

// Pulls are the rows about pull requests.
type Pulls interface {
	// Pull returns a row at version 0 for what is not known yet.
	Pull(ctx context.Context, name string) (ledger.Pull, error)
	OpenPulls(ctx context.Context, repo gitops.Repo) ([]ledger.Pull, error)
	// Asked reports whether a comment was taken for a command before.
	Asked(ctx context.Context, forge, comment string) (bool, error)
}

// Mirrors are local copies of repositories.
type Mirrors interface {
	// Compare brings the copy of a repository up to date and returns the two sides of a
	// pull request. The caller closes them.
	Compare(ctx context.Context, pr gitops.PullRequest, from forge.Source) (Sides, error)
	// Open brings the copy of a repository up to date. The caller closes it.
	Open(ctx context.Context, repo gitops.Repo, from forge.Source) (Copy, error)
	// Local opens the copy as it is.
	Local(ctx context.Context, repo gitops.Repo) (Copy, error)
}

// Sides are the two revisions that a pull request is about.
type Sides struct {
	Tip        string      // commit that the base branch is at
	Base, Head survey.Tree // Head is what Base becomes when the pull request is merged
	Branch     string      // that is deployed; a pull request into another one changes no cluster
	Notes      []string    // what is unusual about them
	Close      func() error
}

// Clusters are what repositories may deploy to.
type Clusters interface {
	// Planner returns who asks the clusters about a pull request. It is nil where they are
	// not to be asked, and why says so unless that goes without saying.
	Planner(pr gitops.PullRequest, branch string) (planner survey.Planner, why string)
	// Deployer returns who deploys to the clusters of a repository.
	Deployer(repo gitops.Repo) Deployer
	// Shows reports whether what clusters say may be shown in a repository.
	Shows(repo gitops.Repo, private bool) bool
}

// Do does one step.
func (b *Bot) Do(ctx context.Context, step ledger.Step, last bool) (ledger.Batch, error) {
	switch step.Kind {
	case ledger.Hear:
		return b.hear(ctx, step.Key)
	case ledger.Look:
		return b.look(ctx, step.Key)
	case ledger.Review:
		return b.review(ctx, step, last)
	case ledger.Deliver:
		return b.deliver(ctx, step.Key)
	case ledger.Redeliver:
		return b.redeliver(ctx, step)
	case ledger.Inspect:
		return b.inspect(ctx, step.Key)
	case ledger.List:
		return b.list(ctx, step.Key)
	case ledger.Roll:
		return b.roll(ctx, step)
	case ledger.Advance:
		return b.advance(ctx, step)
	case ledger.Deploy:
		return b.deploy(ctx, step)
	case ledger.Revert:
		return b.revert(ctx, step)
	}
	return ledger.Batch{}, &ledger.Hopeless{Err: fmt.Errorf("there is no step %q", step.Kind)}
}

// forge returns the forge of a name. One that the operator has taken away is gone.
func (b *Bot) forge(name string) (forge.Forge, error) {
	f, known := b.Forges[name]
	if !known {
		return nil, &ledger.Hopeless{Err: fmt.Errorf("there is no forge %q in the configuration", name)}
	}
	return f, nil
}

// told is an error of a forge in the ledger's words: when to try again, if ever.
func told(err error) error {
	if err == nil {
		return nil
	}
	var e *forge.Error
	switch forge.ClassOf(err) {
	case forge.Limited:
		if errors.As(err, &e) {
			return &ledger.Later{Until: e.Until, Err: err}
		}
	case forge.Gone, forge.Forbidden, forge.Refused:
		return &ledger.Hopeless{Err: err}
	}
	return err
}

// Rights come and go: an installation is suspended and taken up again, a permission is
// asked for and granted, a clock is wrong. So what nothing else would do again is tried now
// and then while it is forbidden, for a day.
const (
	settling  = 10 * time.Minute
	forbidden = 24 * time.Hour
)

// waited is when something forbidden is tried again that began at a time, if ever.
func waited(err error, began, now time.Time) (later error, wait bool) {
	if forge.ClassOf(err) != forge.Forbidden || now.Sub(began) > forbidden {
		return nil, false
	}
	return &ledger.Later{Until: now.Add(settling), Err: err}, true
}
