package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
)

// postgres is a ledger on a PostgreSQL server, from release 12. No pooler that gives a
// session another connection may stand between: locks are the connection's.
type postgres struct{ config *pgx.ConnConfig }

// errAddress is all that is said of an address that can't be read: what is wrong with it
// may be a part of a password.
var errAddress = errors.New("it is not written like postgres://USER:PASSWORD@HOST:PORT/DATABASE; " +
	"signs such as / ? # % @ in a password are written as %2F %3F %23 %25 %40")

// connections is how many this process has to the server at most, besides one for locks.
const connections = 16

func newPostgres(address string) (postgres, error) {
	_, rest, _ := strings.Cut(address, "://")
	// Of a password that is not escaped, the rest would be taken for the database.
	end := strings.IndexAny(rest, "/?#")
	if _, err := url.Parse(address); err != nil || end >= 0 && strings.Contains(rest[end:], "@") {
		return postgres{}, errAddress
	}
	config, err := pgx.ParseConfig(address)
	if err != nil {
		// The error itself would repeat the address.
		return postgres{}, cmp.Or(errors.Unwrap(err), errAddress)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	config.RuntimeParams["application_name"] = cmp.Or(config.RuntimeParams["application_name"], "davit")
	return postgres{config}, nil
}

// String is the address without the password, and without its options.
func (d postgres) String() string {
	c := d.config
	return fmt.Sprintf("postgres://%s@%s:%d/%s", c.User, c.Host, c.Port, cmp.Or(c.Database, c.User))
}

// open returns one pool: readers and writers don't wait for each other.
func (d postgres) open(ctx context.Context) (write, read *sql.DB, err error) {
	db := stdlib.OpenDB(*d.config)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db, db, db.PingContext(ctx)
}

func (postgres) queue(db *sql.DB) riverdriver.Driver[*sql.Tx] { return riverdatabasesql.New(db) }

func (postgres) spell(schema string) string {
	return strings.NewReplacer("BYTES", "BYTEA", "NUMBERED", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY").Replace(schema)
}

// Advisory locks of the database, by what they are for. The numbers spell "davit".
const (
	migrating = 0x6461766974_01
	working   = 0x6461766974_02
)

// notice is how long whoever comes after a process that was killed waits for the server
// to notice that.
const notice = 2 * time.Second

func (d postgres) migration(ctx context.Context) (free func(), err error) {
	conn, err := d.lock(ctx, migrating, settling)
	if err != nil {
		return nil, err
	}
	return func() { d.close(ctx, conn) }, nil
}

// hold takes a lock that ends with its connection, and watches that.
func (d postgres) hold(ctx context.Context) (hold, error) {
	conn, err := d.lock(ctx, working, notice)
	if err != nil {
		return hold{}, err
	}
	watched, cancel := context.WithCancel(context.WithoutCancel(ctx))
	lost := make(chan error, 1)
	var watcher sync.WaitGroup
	watcher.Go(func() { lost <- watch(watched, conn) })
	return hold{lost: lost, free: func() {
		cancel()
		watcher.Wait()
		d.close(ctx, conn)
	}}, nil
}

// How often the holder of a lock asks whether the server is there, and how long it waits
// for the answer. If the net is cut, it stops before the server gives the lock away.
const (
	pulse  = 2 * time.Second
	answer = 5 * time.Second
)

// departed makes the server take a silent holder of a lock for gone after 25 seconds.
var departed = map[string]string{
	"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3", // seconds
	"tcp_user_timeout": "25000", // milliseconds
}

// lock takes an advisory lock on a connection of its own, for which it waits a while.
func (d postgres) lock(ctx context.Context, key int64, patience time.Duration) (*pgx.Conn, error) {
	config := d.config.Copy()
	for name, value := range departed {
		config.RuntimeParams[name] = value
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := acquire(ctx, conn, key, patience); err != nil {
		d.close(ctx, conn)
		return nil, err
	}
	return conn, nil
}

// acquire asks again and again: a query that waits would hold up the server's own
// housekeeping.
func acquire(ctx context.Context, conn *pgx.Conn, key int64, patience time.Duration) error {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	late := time.After(patience)
	for {
		var taken bool
		if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", key).Scan(&taken); err != nil || taken {
			return err
		}
		select {
		case <-again.C:
		case <-late:
			return errHeld
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watch returns nil when ctx is done, and an error when the connection has ended.
func watch(ctx context.Context, conn *pgx.Conn) error {
	next := time.NewTicker(pulse)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
			if err := ping(ctx, conn); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

func ping(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	return conn.Ping(ctx)
}

// close ends a connection, and with it its lock.
func (postgres) close(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answer)
	defer cancel()
	_ = conn.Close(ctx)
}

// remedies are what to do, by the class of a server's error.
var remedies = map[string]string{
	"28000": "check the user, and that the server's pg_hba.conf lets it in from here",
	"28P01": "check the user and the password",
	"3D000": "make it, with CREATE DATABASE, for Davit alone",
	"42501": "let the user make tables: make it the owner of the database",
	"53300": "raise the server's max_connections: Davit needs up to 17",
	"57P03": "try again when the server has started",
}

// explain adds what to do to an error of opening a database.
func (postgres) explain(err error) error {
	remedy := remedies[code(err)]
	var connecting *pgconn.ConnectError
	if errors.As(err, &connecting) {
		// Who connects whereto is said already.
		err = fmt.Errorf("connect: %w", errors.Unwrap(connecting))
		remedy = cmp.Or(remedy, "check the address, that the server runs, and that it can be reached from here")
	}
	if remedy == "" {
		return err
	}
	return fmt.Errorf("%w; %s", err, remedy)
}

// passing reports whether a transaction lost against another one that it could not wait
// for, and may succeed if it is tried again: it was a deadlock, or could not be serialized.
func (postgres) passing(err error) bool {
	class := code(err)
	return class == "40P01" || class == "40001"
}

// code is the class of a server's error; empty if the error is none.
func code(err error) string {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return said.Code
	}
	return ""
}
