package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/davitops/davit/internal/ledger"
)

// database is one of those that a ledger can be on.
type database struct {
	name  string
	place func(testing.TB) string // makes an empty one, and returns its address
}

var databases = []database{
	{"sqlite", func(t testing.TB) string { return filepath.Join(t.TempDir(), "da vit?#.db") }},
	{"postgres", func(t testing.TB) string { return postgresql.place(t) }},
}

// everywhere runs a test on each of the databases, at the same time as other tests.
func everywhere(t *testing.T, test func(*testing.T, database)) {
	t.Helper()
	t.Parallel()
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			test(t, d)
		})
	}
}

func (d database) fresh(t testing.TB) *Store {
	t.Helper()
	return open(t, d.place(t))
}

func open(t testing.TB, address string) *Store {
	t.Helper()
	s, err := Open(t.Context(), address, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// postgresql is the server of all tests.
var postgresql server

// TestMain runs the victim of TestKilled where it is asked to.
func TestMain(m *testing.M) {
	if address := os.Getenv("DAVIT_STORE_VICTIM"); address != "" {
		if err := victim(context.Background(), address); err != nil {
			fmt.Println(err)
		}
		return
	}
	postgresql.err = postgresql.start(context.Background())
	code := m.Run()
	if err := postgresql.stop(); err != nil {
		fmt.Println("stop PostgreSQL:", err)
		code = 1
	}
	os.Exit(code)
}

// server is a PostgreSQL server in a directory of its own, which listens on a socket there.
type server struct {
	dir  string
	cmd  *exec.Cmd
	err  error         // of starting it
	done chan struct{} // closed when it has ended
	made atomic.Int64
}

// address returns the address of a database, for a user who begins with "user" and may
// go on with a password.
func (s *server) address(login, name string) string {
	return fmt.Sprintf("postgres://%s@/%s?host=%s", login, name, s.dir)
}

// place makes a database.
func (s *server) place(t testing.TB) string {
	t.Helper()
	name := fmt.Sprint("davit", s.made.Add(1))
	s.exec(t, "CREATE DATABASE "+name)
	return s.address("davit", name)
}

// exec does a statement as the one who may do everything.
func (s *server) exec(t testing.TB, statement string) {
	t.Helper()
	if s.err != nil {
		t.Fatal(s.err)
	}
	conn, err := pgx.Connect(t.Context(), s.address("davit", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// admission lets everybody in, and asks only one for a password.
const admission = "local all secured scram-sha-256\nlocal all all trust\n"

// people are the users besides the one who may do everything.
const people = "CREATE ROLE guest LOGIN; CREATE ROLE asleep NOLOGIN; CREATE ROLE secured LOGIN SUPERUSER PASSWORD 's3cret/#'"

func (s *server) start(ctx context.Context) (err error) {
	bin, err := programs()
	if err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "davit-postgres-"); err != nil {
		return err
	}
	attributes := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT} // ends it, and all that belongs to it, at once
	if os.Getuid() == 0 {
		if attributes.Credential, err = unprivileged(s.dir); err != nil {
			return err
		}
	}
	data := filepath.Join(s.dir, "data")
	initdb := s.command(filepath.Join(bin, "initdb"), attributes, "-D", data, "--username=davit", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("make a PostgreSQL server: %w\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(admission), 0o600); err != nil {
		return err
	}
	s.cmd = s.command(filepath.Join(bin, "postgres"), attributes, "-D", data, "-k", s.dir, "-c", "listen_addresses=", "-c", "max_connections=400",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "deadlock_timeout=20ms")
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.launch(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	return s.await(ctx)
}

func (s *server) command(program string, attributes *syscall.SysProcAttr, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = s.dir, []string{"LC_ALL=C", "TZ=UTC"}, attributes
	return cmd
}

// launch starts the server on a thread that lives as long as it does: it is the
// thread's end that ends the server.
func (s *server) launch() error {
	started := make(chan error)
	s.done = make(chan struct{})
	go func() {
		defer close(s.done)
		runtime.LockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			_ = s.cmd.Wait() // its log says more
		}
	}()
	return <-started
}

// await returns when the server answers, and knows people.
func (s *server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.address("davit", "postgres"))
		if err == nil {
			_, err := conn.Exec(ctx, people)
			return errors.Join(err, conn.Close(ctx))
		}
		select {
		case <-again.C:
		case <-s.done:
			said, err := os.ReadFile(filepath.Join(s.dir, "log"))
			return errors.Join(fmt.Errorf("PostgreSQL has ended:\n%s", said), err)
		case <-ctx.Done():
			return fmt.Errorf("wait for PostgreSQL: %w", err)
		}
	}
}

func (s *server) stop() error {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGQUIT) // it may have ended
		<-s.done
	}
	return os.RemoveAll(s.dir)
}

// programs returns the directory of the newest PostgreSQL that Debian has installed.
func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", errors.Join(errors.New("there is no PostgreSQL in /usr/lib/postgresql: run make setup"), err)
	}
	release := func(program string) int {
		number, _ := strconv.Atoi(strings.Split(program, "/")[4])
		return number
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return release(a) - release(b) })
	return filepath.Dir(newest), nil
}

// unprivileged gives a directory to a user who is not root, since PostgreSQL does not
// run as root.
func unprivileged(dir string) (*syscall.Credential, error) {
	found, err := user.Lookup("postgres")
	if err != nil {
		found, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(found.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(found.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, int(uid), int(gid))
}

// victim says that it works on a step, and never ends it.
func victim(ctx context.Context, address string) error {
	s, err := Open(ctx, address, Options{})
	if err != nil {
		return err
	}
	return s.Run(ctx, func(ctx context.Context, step ledger.Step, _ bool) (ledger.Batch, error) {
		fmt.Println("working")
		<-ctx.Done()
		return ledger.Batch{}, ctx.Err()
	})
}
