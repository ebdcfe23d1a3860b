package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
)

var branchRow = versioned{
	insert: "INSERT INTO branches (repo, data, version) VALUES ($1, $2, 1) ON CONFLICT DO NOTHING",
	update: "UPDATE branches SET data = $2, version = version + 1 WHERE repo = $1 AND version = $3",
}

func (w *writer) branches(ctx context.Context, b ledger.Batch) error {
	for _, branch := range b.Branches {
		read := branch.Version
		branch.Version++
		data, err := json.Marshal(branch)
		if err != nil {
			return err
		}
		repo := branch.Repo.String()
		if err := w.put(ctx, "the branch of "+repo, read, branchRow, repo, string(data)); err != nil {
			return err
		}
	}
	return nil
}

// Branch returns the branch of a repository that is deployed: nothing but the
// repository, at version 0, if it is not known yet.
func (s *Store) Branch(ctx context.Context, repo gitops.Repo) (ledger.Branch, error) {
	var data string
	err := s.read.QueryRowContext(ctx, "SELECT data FROM branches WHERE repo = $1", repo.String()).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return ledger.Branch{Repo: repo}, nil
	}
	if err != nil {
		return ledger.Branch{}, fmt.Errorf("read the branch of %s: %w", repo, err)
	}
	return decode[ledger.Branch]("the branch of "+repo.String(), data)
}

var rolloutRow = versioned{
	insert: "INSERT INTO rollouts (id, repo, live, changed, data, version) VALUES ($1, $2, $3, $4, $5, 1) ON CONFLICT DO NOTHING",
	update: "UPDATE rollouts SET repo = $2, live = $3, changed = $4, data = $5, version = version + 1 WHERE id = $1 AND version = $6",
}

func (w *writer) rollouts(ctx context.Context, b ledger.Batch) error {
	for _, r := range b.Rollouts {
		read := r.Version
		r.Version++
		data, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if err := w.put(ctx, "the rollout "+r.ID(), read, rolloutRow,
			r.ID(), r.Repo.String(), r.Live(), w.store.Now().UnixMilli(), string(data)); err != nil {
			return err
		}
	}
	return nil
}

// Rollout returns a rollout by its ID.
func (s *Store) Rollout(ctx context.Context, id string) (ledger.Rollout, error) {
	var data string
	err := s.read.QueryRowContext(ctx, "SELECT data FROM rollouts WHERE id = $1", id).Scan(&data)
	if err != nil {
		return ledger.Rollout{}, fmt.Errorf("read the rollout %s: %w", id, missing(err))
	}
	return decode[ledger.Rollout]("the rollout "+id, data)
}

// LiveRollouts returns the rollouts of a repository of which something can still become,
// the oldest first.
func (s *Store) LiveRollouts(ctx context.Context, repo gitops.Repo) ([]ledger.Rollout, error) {
	live, err := values[ledger.Rollout](ctx, s.read, "SELECT data FROM rollouts WHERE repo = $1 AND live", repo.String())
	if err != nil {
		return nil, fmt.Errorf("read the rollouts of %s: %w", repo, err)
	}
	// Databases sort texts in orders of their own.
	slices.SortFunc(live, func(a, b ledger.Rollout) int {
		if c := a.Opened.Compare(b.Opened); c != 0 {
			return c
		}
		return strings.Compare(a.ID(), b.ID())
	})
	return live, nil
}

func (w *writer) deployed(ctx context.Context, b ledger.Batch) error {
	for _, d := range b.Deployed {
		data, err := json.Marshal(d)
		if err != nil {
			return err
		}
		if _, err := w.exec(ctx, `INSERT INTO deployed (repo, target, data) VALUES ($1, $2, $3)
			ON CONFLICT (repo, target) DO UPDATE SET data = $3`, d.Repo.String(), d.Target, string(data)); err != nil {
			return fmt.Errorf("write what is deployed of %s in %s: %w", d.Target, d.Repo, err)
		}
	}
	return nil
}

// Deployed returns what was deployed of a repository's targets, by their names.
func (s *Store) Deployed(ctx context.Context, repo gitops.Repo) (map[string]ledger.Deployed, error) {
	all, err := values[ledger.Deployed](ctx, s.read, "SELECT data FROM deployed WHERE repo = $1", repo.String())
	if err != nil {
		return nil, fmt.Errorf("read what is deployed of %s: %w", repo, err)
	}
	byTarget := make(map[string]ledger.Deployed, len(all))
	for _, d := range all {
		byTarget[d.Target] = d
	}
	return byTarget, nil
}

func (w *writer) shown(ctx context.Context, b ledger.Batch) error {
	for _, shown := range b.Shown {
		data, err := json.Marshal(shown)
		if err != nil {
			return err
		}
		if _, err := w.exec(ctx, `INSERT INTO shown (key, changed, data) VALUES ($1, $2, $3)
			ON CONFLICT (key) DO UPDATE SET changed = $2, data = $3`, shown.Key, w.store.Now().UnixMilli(), compress(data)); err != nil {
			return fmt.Errorf("write what was shown of %s: %w", shown.Key, err)
		}
	}
	return nil
}

// Shown returns what was shown under keys, in their order; nothing for one under which
// nothing was.
func (s *Store) Shown(ctx context.Context, keys []string) ([]ledger.Shown, error) {
	var all []ledger.Shown
	for _, key := range keys {
		shown, err := s.shown(ctx, key)
		if errors.Is(err, ledger.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read what was shown of %s: %w", key, err)
		}
		all = append(all, shown)
	}
	return all, nil
}

func (s *Store) shown(ctx context.Context, key string) (shown ledger.Shown, err error) {
	var packed []byte
	if err := s.read.QueryRowContext(ctx, "SELECT data FROM shown WHERE key = $1", key).Scan(&packed); err != nil {
		return shown, missing(err)
	}
	data, err := expand(packed)
	if err != nil {
		return shown, err
	}
	err = json.Unmarshal(data, &shown)
	return shown, err
}

func (w *writer) journal(ctx context.Context, b ledger.Batch) error {
	for _, note := range b.Journal {
		data, err := json.Marshal(note)
		if err != nil {
			return err
		}
		if _, err := w.exec(ctx, "INSERT INTO journal (rollout, target, written, data) VALUES ($1, $2, $3, $4)",
			note.Rollout, note.Target, w.store.Now().UnixMilli(), string(data)); err != nil {
			return fmt.Errorf("write the journal of %s in %s: %w", note.Target, note.Rollout, err)
		}
	}
	return nil
}

// Journal returns the notes of a rollout's target, in the order in which they were
// written.
func (s *Store) Journal(ctx context.Context, rollout, target string) ([]ledger.Note, error) {
	notes, err := values[ledger.Note](ctx, s.read, "SELECT data FROM journal WHERE rollout = $1 AND target = $2 ORDER BY number", rollout, target)
	if err != nil {
		return nil, fmt.Errorf("read the journal of %s in %s: %w", target, rollout, err)
	}
	return notes, nil
}
