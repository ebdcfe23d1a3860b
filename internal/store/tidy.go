package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/ledger"
)

// How long what is done with is kept: deliveries as long as forges send them again, and
// a little more; effects, rollouts and what was shown so long that somebody can look what
// was done. What is written again after that is found by its key on the forge.
const (
	keptDeliveries = 7 * 24 * time.Hour
	keptEffects    = 30 * 24 * time.Hour
	keptNotes      = 30 * 24 * time.Hour
	keptRollouts   = 90 * 24 * time.Hour
	keptShown      = 90 * 24 * time.Hour
)

// Tidy forgets what is old, and takes up what was given up: an outage may have lasted
// longer than a step's attempts, and what was forbidden may be granted by now.
func (s *Store) Tidy(ctx context.Context) error {
	var changed []string
	err := s.transact(ctx, func(tx *sql.Tx) (err error) {
		w := writer{tx: tx, store: s}
		for _, do := range []func(context.Context) error{w.takeUpEffects, w.forget, w.takeUpDeliveries, w.takeUpRollouts} {
			if err := do(ctx); err != nil {
				return err
			}
		}
		changed, err = s.add(ctx, tx, w.steps)
		return err
	})
	if err != nil {
		return fmt.Errorf("tidy: %w", err)
	}
	s.driver.nudge(changed...)
	return nil
}

func (w *writer) forget(ctx context.Context) error {
	for _, old := range []struct {
		what, statement string
		kept            time.Duration
	}{
		{"deliveries", "DELETE FROM deliveries WHERE received < $1", keptDeliveries},
		{"effects", "DELETE FROM effects WHERE changed < $1 AND written >= version", keptEffects},
		{"notes of the journal", "DELETE FROM journal WHERE written < $1", keptNotes},
		{"rollouts", "DELETE FROM rollouts WHERE NOT live AND changed < $1", keptRollouts},
		{"plans that were shown", "DELETE FROM shown WHERE changed < $1", keptShown},
	} {
		if _, err := w.exec(ctx, old.statement, w.store.Now().Add(-old.kept).UnixMilli()); err != nil {
			return fmt.Errorf("forget old %s: %w", old.what, err)
		}
	}
	return nil
}

func (w *writer) takeUpDeliveries(ctx context.Context) error {
	keys, err := column(ctx, w.tx, "SELECT key FROM deliveries WHERE state = $1 ORDER BY received", string(ledger.Waiting))
	if err != nil {
		return fmt.Errorf("find deliveries that wait: %w", err)
	}
	for _, key := range keys {
		w.steps = append(w.steps, ledger.Step{Kind: ledger.Hear, Key: key, Cause: key[strings.IndexByte(key, '/')+1:]})
	}
	return nil
}

func (w *writer) takeUpEffects(ctx context.Context) error {
	keys, err := column(ctx, w.tx, "UPDATE effects SET written = version - 1, refused = '' WHERE written < version OR refused = $1 RETURNING key", string(forge.Forbidden))
	if err != nil {
		return fmt.Errorf("find effects that are not written: %w", err)
	}
	for _, key := range keys {
		w.steps = append(w.steps, ledger.Step{Kind: ledger.Deliver, Key: key})
	}
	return nil
}

func (w *writer) takeUpRollouts(ctx context.Context) error {
	ids, err := column(ctx, w.tx, "SELECT id FROM rollouts WHERE live ORDER BY id")
	if err != nil {
		return fmt.Errorf("find rollouts that are live: %w", err)
	}
	for _, id := range ids {
		w.steps = append(w.steps, ledger.Step{Kind: ledger.Advance, Key: id})
	}
	return nil
}
