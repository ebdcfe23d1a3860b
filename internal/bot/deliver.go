package bot

import (
	"context"
	"errors"
	"fmt"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/rollout"
)

// deliver makes a forge hold what was decided. Done twice, it is there once: the key is
// in what is written.
func (b *Bot) deliver(ctx context.Context, key string) (ledger.Batch, error) {
	e, err := b.Ledger.Effect(ctx, key)
	if errors.Is(err, ledger.ErrNotFound) {
		return ledger.Batch{}, &ledger.Hopeless{Err: err}
	}
	if err != nil {
		return ledger.Batch{}, err
	}
	if e.Written >= e.Version {
		return ledger.Batch{}, nil
	}
	f, err := b.forge(e.Forge)
	if err != nil {
		return ledger.Batch{}, err
	}
	done := ledger.Delivered{Key: key, Version: e.Version}
	done.Artefact, err = write(ctx, f, e)
	if e.Check != nil && forge.ClassOf(err) == forge.Refused {
		b.Log.Error("the forge does not take a check; it is written without remarks", "effect", key, "error", err)
		done.Artefact, err = write(ctx, f, bare(e))
	}
	if later, wait := waited(err, e.Changed, b.Now()); wait {
		return ledger.Batch{}, later
	}
	switch class := forge.ClassOf(err); {
	case err == nil:
	case class == forge.Gone, class == forge.Refused, class == forge.Forbidden:
		b.Log.Error("the forge does not take what Davit has to say", "effect", key, "error", err)
		done.Refused = string(class)
	default:
		return ledger.Batch{}, told(err)
	}
	batch := ledger.Batch{Delivered: []ledger.Delivered{done}}
	if id, is := rollout.Proposed(key); is { // whose number is known now
		batch.Steps = []ledger.Step{{Kind: ledger.Advance, Key: id, Turn: done.Version}}
	}
	return batch, nil
}

// bare is a check with nothing in it that a forge could find wrong: one that does not end
// holds up a pull request.
func bare(e ledger.Effect) ledger.Effect {
	c := *e.Check
	c.Annotations, c.Summary = nil, ""
	e.Check = &c
	return e
}

func write(ctx context.Context, f forge.Forge, e ledger.Effect) (artefact string, err error) {
	switch {
	case e.Comment != nil:
		c := *e.Comment
		c.ID = e.Artefact
		return f.SaveComment(ctx, c)
	case e.Check != nil:
		c := *e.Check
		c.ID = e.Artefact
		return f.SaveCheck(ctx, c)
	case e.Reaction != nil:
		return "", f.React(ctx, *e.Reaction)
	case e.Deployment != nil:
		d := *e.Deployment
		d.ID = e.Artefact
		return f.SaveDeployment(ctx, d)
	case e.Proposal != nil:
		return f.Propose(ctx, *e.Proposal)
	case e.Issue != nil:
		return f.SaveIssue(ctx, *e.Issue)
	}
	return "", &ledger.Hopeless{Err: fmt.Errorf("the effect %s says nothing to be written", e.Key)}
}
