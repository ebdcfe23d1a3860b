package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/davitops/davit/internal/ledger"
)

// TestAddressIsExplained: what to do is said, and never a password.
func TestAddressIsExplained(t *testing.T) {
	t.Parallel()
	place := postgresql.place(t)
	name := place[strings.Index(place, "@/")+2 : strings.IndexByte(place, '?')]
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, address, want string }{
		{"nobody listens", "postgres://davit:s3cret@" + nobody + "/davit?sslmode=disable", "check the address, that the server runs"},
		{"there is no socket", "postgresql://davit:s3cret@/davit?host=/s/no", "check the address, that the server runs"},
		{"no such host", "postgres://davit:s3cret@host.invalid/davit", "check the address, that the server runs"},
		{"no such database", postgresql.address("davit:s3cret", "no"), "CREATE DATABASE"},
		{"no such user", postgresql.address("mallory:s3cret", name), "check the user"},
		{"a user who may not log in", postgresql.address("asleep:s3cret", name), "check the user"},
		{"another password", postgresql.address("secured:s3cret", name), "check the user and the password"},
		{"no password", postgresql.address("secured", name), "check the user and the password"},
		{"a user who may not make tables", postgresql.address("guest:s3cret", name), "make it the owner"},
		{"a password in the options", postgresql.address("secured", name) + "&password=s3cret", "check the user and the password"},
		{"an option", "postgres://davit:s3cret@localhost/davit?sslmode=often", "sslmode is invalid"},
		{"an option of a password", "postgres://davit@localhost/davit?sslmode=often&password=s3cret", "sslmode is invalid"},
		{"a slash in the password", "postgres://davit:1s3cret/x@localhost/davit", "%2F"},
		{"a number and a slash in the password", "postgres://davit:12/s3cret@localhost/davit", "%2F"},
		{"a question mark in the password", "postgres://davit:12?s3cret@localhost/davit", "%3F"},
		{"a number sign in the password", "postgres://davit:12#s3cret@localhost/davit", "%23"},
		{"an at and a slash in the password", "postgres://davit@x:12/s3cret@localhost/davit", "%2F"},
		{"a percent sign in the password", "postgres://davit:%s3cret@localhost/davit", "%25"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, err := Open(t.Context(), test.address, Options{})
			if err == nil {
				t.Fatal("it can be opened", s.Close())
			}
			if text := err.Error(); !strings.Contains(text, test.want) || strings.Contains(text, "s3cret") {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("the password", func(t *testing.T) {
		t.Parallel()
		commit(t, open(t, postgresql.address("secured:s3cret%2F%23", name)), ledger.Batch{Pulls: []ledger.Pull{pull(1)}})
	})
}

// log is what was logged. River goes on to log when Run has given up.
type log struct {
	sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(line []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.text.Write(line)
}

func (l *log) String() string {
	l.Lock()
	defer l.Unlock()
	return l.text.String()
}

// TestPasswordIsNotLogged: nor is it said by a store that works, or can't any longer.
func TestPasswordIsNotLogged(t *testing.T) {
	t.Parallel()
	var logged log
	place := strings.Replace(postgresql.place(t), "davit@", "davit:s3cret@", 1)
	s, err := Open(t.Context(), place, Options{Log: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- s.Run(t.Context(), func(ctx context.Context, _ ledger.Step, _ bool) (ledger.Batch, error) {
			begun <- struct{}{}
			<-ctx.Done()
			return ledger.Batch{}, ctx.Err()
		})
	}()
	commit(t, s, ledger.Batch{Steps: []ledger.Step{{Kind: ledger.Look, Key: "x"}}})
	wait(t, begun)
	postgresql.exec(t, fmt.Sprintf("ALTER DATABASE %s ALLOW_CONNECTIONS false", s.dialect.(postgres).config.Database))
	terminate(t, s, "true")
	err = wait(t, ended)
	if !errors.Is(err, ErrLost) || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "postgres://davit@") {
		t.Errorf("run: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if text := logged.String(); text == "" || strings.Contains(text, "s3cret") {
		t.Errorf("the log says: %s", text)
	}
}

// terminate ends the connections to a store's database for which a condition holds.
func terminate(t testing.TB, s *Store, condition string) {
	t.Helper()
	postgresql.exec(t, fmt.Sprintf("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s' AND %s", s.dialect.(postgres).config.Database, condition))
}

// TestLockIsLost: who can't know any longer that nobody else works stops, and another one
// goes on.
func TestLockIsLost(t *testing.T) {
	t.Parallel()
	place := postgresql.place(t)
	s, other := open(t, place), open(t, place)
	begun, told := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- s.Run(t.Context(), func(ctx context.Context, _ ledger.Step, _ bool) (ledger.Batch, error) {
			begun <- struct{}{}
			<-ctx.Done()
			close(told)
			return ledger.Batch{}, ctx.Err()
		})
	}()
	commit(t, s, ledger.Batch{Steps: []ledger.Step{{Kind: ledger.Look, Key: "x"}}})
	wait(t, begun)
	terminate(t, s, "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')")
	if err := wait(t, ended); !errors.Is(err, ErrLost) {
		t.Errorf("run: %v", err)
	}
	wait(t, told)
	done := make(chan struct{}, 1)
	run(t, other, func(context.Context, ledger.Step, bool) (ledger.Batch, error) {
		done <- struct{}{}
		return ledger.Batch{}, nil
	})
	wait(t, done)
}

// TestLostAgainstAnother: a transaction that a server has ended for another one's sake
// is tried again, and no other one is.
func TestLostAgainstAnother(t *testing.T) {
	t.Parallel()
	s := open(t, postgresql.place(t))
	for class, want := range map[string]int{"40P01": conflicts, "40001": conflicts, "23505": 1} {
		tries := 0
		err := s.transact(t.Context(), func(*sql.Tx) error {
			tries++
			return fmt.Errorf("write: %w", &pgconn.PgError{Code: class})
		})
		if err == nil || tries != want {
			t.Errorf("%s: tried %d times, %v", class, tries, err)
		}
	}
	tries := 0
	err := s.transact(t.Context(), func(tx *sql.Tx) error {
		if tries++; tries == 1 {
			return &pgconn.PgError{Code: "40P01"}
		}
		_, err := tx.ExecContext(t.Context(), "INSERT INTO davit_schema (name) VALUES ('x')")
		return err
	})
	if err != nil || tries != 2 {
		t.Errorf("tried %d times, %v", tries, err)
	}
}
