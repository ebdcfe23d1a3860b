package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	modernc "modernc.org/sqlite" // the driver "sqlite"
)

// sqlite is a ledger in a file.
type sqlite struct{ file string }

// String is the file's path.
func (d sqlite) String() string { return d.file }

// open returns two pools. The one that writes has one connection, as SQLite has one
// writer.
func (d sqlite) open(context.Context) (write, read *sql.DB, err error) {
	if err := private(d.file); err != nil {
		return nil, nil, err
	}
	if write, err = sql.Open("sqlite", source(d.file, "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)")); err != nil {
		return nil, nil, err
	}
	write.SetMaxOpenConns(1)
	if read, err = sql.Open("sqlite", source(d.file, "query_only(ON)")); err != nil {
		return write, nil, err
	}
	read.SetMaxOpenConns(max(4, runtime.NumCPU()))
	return write, read, nil
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

func (sqlite) queue(write *sql.DB) riverdriver.Driver[*sql.Tx] { return riversqlite.New(write) }

func (sqlite) spell(schema string) string {
	return strings.NewReplacer("BYTES", "BLOB", "NUMBERED", "INTEGER PRIMARY KEY").Replace(schema)
}

func (d sqlite) migration(ctx context.Context) (free func(), err error) {
	return lock(ctx, d.file+".opening", settling)
}

func (d sqlite) hold(ctx context.Context) (hold, error) {
	free, err := lock(ctx, d.file+".lock", 0)
	return hold{free: free}, err
}

// busy is SQLITE_BUSY.
const busy = 5

// lock takes a lock that SQLite itself keeps, so that it ends with the process, and not
// before.
func lock(ctx context.Context, file string, patience time.Duration) (free func(), err error) {
	if err := private(file); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", fmt.Sprintf("%s?_txlock=exclusive&_pragma=busy_timeout(%d)", address(file), patience.Milliseconds()))
	if err != nil {
		return nil, err
	}
	tx, err := db.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		var said *modernc.Error
		if errors.As(err, &said) && said.Code() == busy {
			err = errHeld
		}
		return nil, errors.Join(err, db.Close())
	}
	return func() { _, _ = tx.Rollback(), db.Close() }, nil
}

// explain adds nothing: SQLite's errors name what is wrong with the file.
func (sqlite) explain(err error) error { return err }

// passing is never so: there is one writer at a time, and whoever waits for it waits at
// the beginning.
func (sqlite) passing(error) bool { return false }
