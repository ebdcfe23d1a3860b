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
	"strings"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivermigrate"
)

// ErrTaken is what Run answers while another process works on the same database.
var ErrTaken = errors.New("another davit works on this database")

// ErrLost is what Run answers when it can't be known any longer that no other process
// works on the same database.
var ErrLost = errors.New("the connection that keeps others from working on this database has ended")

// Options are how a store works.
type Options struct {
	Log *slog.Logger
	Now func() time.Time
	// Committing, if not nil, is told of each commit before it is made.
	Committing func()
}

// Store is an open database. Its methods may be called concurrently.
type Store struct {
	Options
	dialect dialect
	write   *sql.DB
	read    *sql.DB // may be the same
	driver  *driver
	insert  *river.Client[*sql.Tx] // adds steps, and works on none
}

// dialect is what differs between the databases that a ledger can be on. The statements
// are the same.
type dialect interface {
	fmt.Stringer // where the ledger is, for people: without a password
	open(ctx context.Context) (write, read *sql.DB, err error)
	queue(write *sql.DB) riverdriver.Driver[*sql.Tx]
	// spell puts the database's own words into statements of the schema.
	spell(schema string) string
	// migration keeps other processes from changing the tables until it is freed, and
	// hold makes this the one process that works. They answer errHeld if another is.
	migration(ctx context.Context) (free func(), err error)
	hold(ctx context.Context) (hold, error)
	// explain adds to an error of opening what to do about it.
	explain(err error) error
	// passing reports whether a transaction ended for a reason that is not its own, so
	// that it may be tried again at once.
	passing(err error) bool
}

var errHeld = errors.New("another davit holds its lock")

// settling is how long one waits for another to bring the tables up to date.
const settling = time.Minute

// hold keeps other processes from working.
type hold struct {
	lost <-chan error // tells why it has ended by itself; nil where it can't
	free func()
}

// Open opens the database at an address, and makes its tables or brings them up to date.
// What begins with postgres:// or postgresql:// is a PostgreSQL database, anything else is
// the file of a SQLite database, which is made if there is none. Close it.
func Open(ctx context.Context, address string, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{Options: o, dialect: sqlite{address}}
	if strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://") {
		d, err := newPostgres(address)
		if err != nil {
			return nil, fmt.Errorf("read the address of the database: %w", err)
		}
		s.dialect = d
	}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the database %s: %w", s.dialect, s.dialect.explain(err)), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) (err error) {
	if s.write, s.read, err = s.dialect.open(ctx); err != nil {
		return err
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	s.driver = &driver{Driver: s.dialect.queue(s.write), nudges: make(chan string, 16)}
	s.insert, err = river.NewClient[*sql.Tx](s.driver, &river.Config{Logger: s.quiet()})
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
	free, err := s.dialect.migration(ctx)
	if err != nil {
		return fmt.Errorf("begin to bring the tables up to date: %w", err)
	}
	defer free()
	migrator, err := rivermigrate.New[*sql.Tx](s.dialect.queue(s.write), &rivermigrate.Config{Logger: s.quiet()})
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
		if err := s.transact(ctx, func(tx *sql.Tx) error { return s.migrateOne(ctx, tx, name) }); err != nil {
			return fmt.Errorf("bring the tables up to date with %s: %w", name, err)
		}
	}
	return nil
}

func (s *Store) migrateOne(ctx context.Context, tx *sql.Tx, name string) error {
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
	_, err = tx.ExecContext(ctx, s.dialect.spell(string(statements)))
	return err
}

// conflicts is how often what could not be committed because of others is tried anew
// at once.
const conflicts = 5

// transact runs do in a transaction, which is committed if it returns no error. It may
// do so several times.
func (s *Store) transact(ctx context.Context, do func(*sql.Tx) error) (err error) {
	for range conflicts {
		if err = s.transactOnce(ctx, do); err == nil || !s.dialect.passing(err) {
			break
		}
	}
	return err
}

func (s *Store) transactOnce(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	if s.Committing != nil {
		s.Committing()
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
// database: SQLite can tell nobody, and where PostgreSQL could there is nobody else to be
// told, since one process works. What another one adds is found within a second.
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

// SupportsListenNotify says that nothing has to be told to the database.
func (d *driver) SupportsListenNotify() bool { return false }

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
