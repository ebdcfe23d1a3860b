package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/report"
	"github.com/davitops/davit/internal/store"
)

func replayCommand(t terminal) *cobra.Command {
	var f serverFlags
	cmd := &cobra.Command{
		Use:   "replay DELIVERY",
		Short: "Read a stored delivery again",
		Long: `Read a stored delivery again, as if it had arrived now: after an upgrade that can read
what the version before could not, or to see in the log what becomes of it. DELIVERY is
the id that the forge gave it, which stands in the log and on the forge's own page; with
several forges it may have to be FORGE/ID.

The server reads it; if none runs, the next one that does. A command in a comment is done
once, however often its delivery is read.`,
		Example: `  davit replay --config davit.yaml 72d3162e-cc78-11e3-81ab-4c9367dc0958`,
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return replay(cmd.Context(), t, f, args[0]) },
	}
	f.register(cmd)
	return cmd
}

func replay(ctx context.Context, t terminal, f serverFlags, name string) (err error) {
	c, err := f.load(t)
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, c.DatabaseAddress(), store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	keys := []string{name}
	if !strings.Contains(name, "/") {
		if keys, err = db.Find(ctx, name); err != nil {
			return err
		}
	}
	switch len(keys) {
	case 0:
		return usage("there is no delivery %s in %s; they are kept for a week", name, c.DatabaseName())
	case 1:
	default:
		return usage("several forges have sent a delivery %s; name one of %s", name, strings.Join(keys, ", "))
	}
	d, err := db.Delivery(ctx, keys[0])
	if errors.Is(err, ledger.ErrNotFound) {
		return usage("there is no delivery %s in %s; they are kept for a week", name, c.DatabaseName())
	}
	if err != nil {
		return exit{code: report.ExitUsage, err: err}
	}
	err = db.Commit(ctx, ledger.Batch{
		Heard: []ledger.Heard{{Key: d.Key(), State: ledger.Waiting}},
		Steps: []ledger.Step{{Kind: ledger.Hear, Key: d.Key(), Cause: d.ID}},
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s is read again: %s, received %s\n", d.Key(), d.Event, d.Received.Format(time.RFC3339))
	return nil
}
