// Package store is the ledger on SQL: rows, effects and steps, in one database that
// survives a kill at any moment. Steps are jobs of River.
//
// Nobody outside sees SQL, River or a transaction: Commit is the one way to write, and
// what a step decides is committed together with the step's own end, so that no
// step is half done. It decides nothing.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// ErrTaken is what Run answers while another process works on the same database.
var ErrTaken = errors.New("another davit works on this database")

// Options are how a store works.
type Options struct {
	Log *slog.Logger
	Now func() time.Time
}

// Store is an open database. Its methods may be called concurrently.
type Store struct {
	Options
	file   string
	write  *sql.DB // one connection, as SQLite has one writer
	read   *sql.DB
	driver *driver
	insert *river.Client[*sql.Tx] // adds steps, and works on none
}

// Open opens the SQLite database in a file, and makes it or brings it up to date.
// Close it.
func Open(ctx context.Context, file string, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{Options: o, file: file}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the database %s: %w", file, err), s.Close())
	}
	return s, nil
}

// source is how a file is opened: each write waits for others at its beginning, where
// it can, and not in its middle, where it could not.
func source(file string, pragmas ...string) string {
	query := "?_txlock=immediate"
	for _, pragma := range append([]string{"busy_timeout(10000)"}, pragmas...) {
		query += "&_pragma=" + pragma
	}
	return address(file) + query
}

// address writes a path as a part of an address.
func address(path string) string {
	return "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(filepath.ToSlash(path))
}

func (s *Store) open(ctx context.Context) (err error) {
	if err := private(s.file); err != nil {
		return err
	}
	if s.write, err = sql.Open("sqlite", source(s.file, "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)")); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if err := s.migrate(ctx); err != nil {
		return err
	}
	if s.read, err = sql.Open("sqlite", source(s.file, "query_only(ON)")); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(max(4, runtime.NumCPU()))
	s.driver = &driver{Driver: riversqlite.New(s.write), nudges: make(chan string, 16)}
	s.insert, err = river.NewClient[*sql.Tx](s.driver, &river.Config{Logger: s.quiet()})
	return err
}

// private makes a database that only its owner reads; SQLite makes its other files alike.
// One that is there is not opened for that: closing it would drop the locks that SQLite
// has on it in this process.
func private(file string) error {
	made, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		return made.Close()
	}
	info, statErr := os.Stat(file)
	if !errors.Is(err, fs.ErrExist) || statErr != nil || info.Mode().Perm()&0o077 == 0 {
		return errors.Join(ignoreExist(err), statErr)
	}
	return os.Chmod(file, 0o600)
}

func ignoreExist(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// Close closes the database.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// quiet is River's log: what is routine there is nothing that an operator must read.
func (s *Store) quiet() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(above{s.Log.Handler()})
}

// above passes on warnings and what is worse.
type above struct{ slog.Handler }

func (a above) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

//go:embed schema/*.sql
var schema embed.FS

// migrate runs River's migrations and then ours that have not run, each in a
// transaction of its own, in the order of their names.
func (s *Store) migrate(ctx context.Context) error {
	migrator, err := rivermigrate.New[*sql.Tx](riversqlite.New(s.write), &rivermigrate.Config{Logger: s.quiet()})
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("bring the queue's tables up to date: %w", err)
	}
	if _, err := s.write.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS davit_schema (name TEXT PRIMARY KEY)"); err != nil {
		return err
	}
	files, err := fs.Glob(schema, "schema/*.sql")
	if err != nil {
		return err
	}
	for _, name := range files {
		if err := s.transact(ctx, func(tx *sql.Tx) error { return migrateOne(ctx, tx, name) }); err != nil {
			return fmt.Errorf("bring the tables up to date with %s: %w", name, err)
		}
	}
	return nil
}

func migrateOne(ctx context.Context, tx *sql.Tx, name string) error {
	added, err := tx.ExecContext(ctx, "INSERT INTO davit_schema (name) VALUES ($1) ON CONFLICT DO NOTHING", name)
	if err != nil {
		return err
	}
	if n, err := added.RowsAffected(); err != nil || n == 0 {
		return err
	}
	statements, err := schema.ReadFile(name)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, string(statements))
	return err
}

// transact runs do in a transaction, which is committed if it returns no error.
func (s *Store) transact(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

// ignoreDone passes over a transaction that has ended by itself, as one does whose
// context has.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// driver tells River of new steps at once, in this process, without asking the
// database: SQLite can tell nobody.
type driver struct {
	riverdriver.Driver[*sql.Tx]
	nudges chan string // names of queues
}

// nudge says that a queue has new steps. Where nobody listens, or many are to be told
// already, it does nothing: queues are looked into once a second, too.
func (d *driver) nudge(queues ...string) {
	for _, queue := range queues {
		select {
		case d.nudges <- queue:
		default:
		}
	}
}

// SupportsListener says that GetListener works.
func (d *driver) SupportsListener() bool { return true }

// GetListener returns what River waits at for nudges.
func (d *driver) GetListener(*riverdriver.GetListenenerParams) riverdriver.Listener {
	return listener{d.nudges}
}

type listener struct{ nudges chan string }

func (listener) Close(context.Context) error            { return nil }
func (listener) Connect(context.Context) error          { return nil }
func (listener) Listen(context.Context, string) error   { return nil }
func (listener) Ping(context.Context) error             { return nil }
func (listener) Schema() string                         { return "" }
func (listener) SetAfterConnectExec(string)             {}
func (listener) Unlisten(context.Context, string) error { return nil }

// WaitForNotification returns when a queue has new steps.
func (l listener) WaitForNotification(ctx context.Context) (*riverdriver.Notification, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case queue := <-l.nudges:
		return &riverdriver.Notification{Topic: "river_insert", Payload: `{"queue":"` + queue + `"}`}, nil
	}
}
