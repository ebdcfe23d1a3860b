package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/davitops/davit/internal/ledger"
)

// Commit commits a batch, whole or not at all. It answers ledger.ErrConflict if a row
// is no longer as it was read.
func (s *Store) Commit(ctx context.Context, b ledger.Batch) error {
	return s.commit(ctx, b, nil)
}

// commit commits a batch together with what also does in the same transaction.
func (s *Store) commit(ctx context.Context, b ledger.Batch, also func(*sql.Tx) error) error {
	var changed []string // queues
	err := s.transact(ctx, func(tx *sql.Tx) (err error) {
		w := writer{tx: tx, store: s}
		for _, write := range []func(context.Context, ledger.Batch) error{
			w.commands, w.pulls, w.branches, w.rollouts, w.deployed, w.shown, w.journal, w.effects, w.delivered, w.heard,
		} {
			if err := write(ctx, b); err != nil {
				return err
			}
		}
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
		}
		changed, err = s.add(ctx, tx, append(w.steps, b.Steps...))
		return err
	})
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	s.driver.nudge(changed...)
	return nil
}

// writer writes the rows of one batch.
type writer struct {
	tx    *sql.Tx
	store *Store
	steps []ledger.Step // that the rows ask for
}

// exec returns how many rows a statement changed.
func (w *writer) exec(ctx context.Context, statement string, args ...any) (int64, error) {
	result, err := w.tx.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (w *writer) commands(ctx context.Context, b ledger.Batch) error {
	for _, c := range b.Commands {
		data, err := json.Marshal(c)
		if err != nil {
			return err
		}
		n, err := w.exec(ctx, "INSERT INTO commands (forge, comment, pull, at, data) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
			c.Forge, c.Comment, c.Pull, c.At.UnixMilli(), string(data))
		if err != nil {
			return fmt.Errorf("write the command of the comment %s: %w", c.Comment, err)
		}
		if n == 0 {
			return fmt.Errorf("write the command of the comment %s: %w", c.Comment, ledger.ErrConflict)
		}
	}
	return nil
}

// versioned are the statements that write a row which must still be at the version it
// was read at. That is the last argument of update.
type versioned struct{ insert, update string }

// put writes a row, of which name is for people.
func (w *writer) put(ctx context.Context, name string, read int64, v versioned, args ...any) error {
	statement := v.insert
	if read > 0 {
		statement, args = v.update, append(args, read)
	}
	n, err := w.exec(ctx, statement, args...)
	if err == nil && n == 0 {
		err = ledger.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

var pullRow = versioned{
	insert: "INSERT INTO pulls (name, repo, state, data, version) VALUES ($1, $2, $3, $4, 1) ON CONFLICT DO NOTHING",
	update: "UPDATE pulls SET repo = $2, state = $3, data = $4, version = version + 1 WHERE name = $1 AND version = $5",
}

func (w *writer) pulls(ctx context.Context, b ledger.Batch) error {
	for _, p := range b.Pulls {
		read := p.Version
		p.Version++
		data, err := json.Marshal(p)
		if err != nil {
			return err
		}
		if err := w.put(ctx, p.Name(), read, pullRow, p.Name(), p.Repo.String(), string(p.State), string(data)); err != nil {
			return err
		}
	}
	return nil
}

// effects writes what is to be delivered. What is as it was already is no new version.
// Like steps, they are written in one order everywhere: transactions that wait for each
// other's rows would end each other.
func (w *writer) effects(ctx context.Context, b ledger.Batch) error {
	for _, e := range slices.SortedStableFunc(slices.Values(b.Effects), func(a, b ledger.Effect) int { return strings.Compare(a.Key, b.Key) }) {
		e.Version, e.Written, e.Artefact, e.Refused, e.Changed = 0, 0, "", "", time.Time{} // they have columns of their own
		data, err := json.Marshal(e)
		if err != nil {
			return err
		}
		n, err := w.exec(ctx, `INSERT INTO effects (key, version, changed, data) VALUES ($1, 1, $2, $3)
			ON CONFLICT (key) DO UPDATE SET version = effects.version + 1, changed = $2, data = $3, refused = ''
			WHERE effects.data <> $3 OR effects.refused <> ''`, e.Key, w.store.Now().UnixMilli(), string(data))
		if err != nil {
			return fmt.Errorf("write the effect %s: %w", e.Key, err)
		}
		if n > 0 {
			w.steps = append(w.steps, ledger.Step{Kind: ledger.Deliver, Key: e.Key, Cause: cause(ctx)})
		}
	}
	return nil
}

// delivered notes what was written, and asks for what was decided meanwhile.
func (w *writer) delivered(ctx context.Context, b ledger.Batch) error {
	for _, d := range b.Delivered {
		if _, err := w.exec(ctx, `UPDATE effects SET written = $2, artefact = CASE WHEN $3 = '' THEN artefact ELSE $3 END, refused = $4
			WHERE key = $1 AND written < $2`, d.Key, d.Version, d.Artefact, legible(d.Refused)); err != nil {
			return fmt.Errorf("write the effect %s: %w", d.Key, err)
		}
		var behind bool
		err := w.tx.QueryRowContext(ctx, "SELECT written < version FROM effects WHERE key = $1", d.Key).Scan(&behind)
		if err != nil {
			return fmt.Errorf("read the effect %s: %w", d.Key, err)
		}
		if behind {
			w.steps = append(w.steps, ledger.Step{Kind: ledger.Deliver, Key: d.Key, Cause: cause(ctx)})
		}
	}
	return nil
}

func (w *writer) heard(ctx context.Context, b ledger.Batch) error {
	for _, h := range b.Heard {
		if _, err := w.exec(ctx, "UPDATE deliveries SET state = $2, error = $3 WHERE key = $1", h.Key, string(h.State), legible(h.Error)); err != nil {
			return fmt.Errorf("write the delivery %s: %w", h.Key, err)
		}
	}
	return nil
}
