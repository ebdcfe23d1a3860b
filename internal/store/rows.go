package store

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
)

// Receive stores a delivery, and the step that hears it. It reports false for one that
// was stored before, under its id or with the same body; if that could not be read,
// it is heard again.
func (s *Store) Receive(ctx context.Context, d ledger.Delivery) (fresh bool, err error) {
	header, err := json.Marshal(d.Header)
	if err != nil {
		return false, err
	}
	sum := sha256.Sum256(d.Body)
	digest := hex.EncodeToString(sum[:])
	err = s.transact(ctx, func(tx *sql.Tx) error {
		w := writer{tx: tx, store: s}
		n, err := w.exec(ctx, `INSERT INTO deliveries (key, forge, id, event, header, body, digest, received, state)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`,
			d.Key(), d.Forge, d.ID, d.Event, string(header), compress(d.Body), digest, s.Now().UnixMilli(), string(ledger.Waiting))
		if err != nil {
			return err
		}
		if fresh = n > 0; fresh {
			return w.hear(ctx, d.Key(), d.ID)
		}
		return w.hearBroken(ctx, d, digest)
	})
	if err != nil {
		return false, fmt.Errorf("store the delivery %s: %w", d.Key(), err)
	}
	s.driver.nudge(habits[ledger.Hear].queue)
	return fresh, nil
}

func (w *writer) hearBroken(ctx context.Context, d ledger.Delivery, digest string) error {
	keys, err := column(ctx, w.tx, `UPDATE deliveries SET state = $1 WHERE state = $2 AND (key = $3 OR forge = $4 AND digest = $5) RETURNING key`,
		string(ledger.Waiting), string(ledger.Broken), d.Key(), d.Forge, digest)
	for _, key := range keys {
		err = errors.Join(err, w.hear(ctx, key, d.ID))
	}
	return err
}

func (w *writer) hear(ctx context.Context, key, id string) error {
	_, err := w.store.add(ctx, w.tx, []ledger.Step{{Kind: ledger.Hear, Key: key, Cause: id}})
	return err
}

func compress(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b) // writing to memory does not fail
	_, _ = z.Write(data)
	_ = z.Close()
	return b.Bytes()
}

func expand(data []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// Delivery returns a delivery by its key.
func (s *Store) Delivery(ctx context.Context, key string) (ledger.Delivery, error) {
	var d ledger.Delivery
	var header string
	var body []byte
	var received int64
	err := s.read.QueryRowContext(ctx, "SELECT forge, id, event, header, body, received, state, error FROM deliveries WHERE key = $1", key).
		Scan(&d.Forge, &d.ID, &d.Event, &header, &body, &received, &d.State, &d.Error)
	if err != nil {
		return d, fmt.Errorf("read the delivery %s: %w", key, missing(err))
	}
	d.Received = time.UnixMilli(received)
	if err := json.Unmarshal([]byte(header), &d.Header); err != nil {
		return d, fmt.Errorf("read the delivery %s: %w", key, err)
	}
	if d.Body, err = expand(body); err != nil {
		return d, fmt.Errorf("read the delivery %s: %w", key, err)
	}
	return d, nil
}

// Find returns the keys of the deliveries that a forge gave an id; forges may give the
// same.
func (s *Store) Find(ctx context.Context, id string) ([]string, error) {
	keys, err := column(ctx, s.read, "SELECT key FROM deliveries WHERE id = $1 ORDER BY key", id)
	if err != nil {
		return nil, fmt.Errorf("find the delivery %s: %w", id, err)
	}
	return keys, nil
}

// missing is a database's "no rows" in our words.
func missing(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ledger.ErrNotFound
	}
	return err
}

// asker is a database, or a transaction.
type asker interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// column returns the texts of a query's one column.
func column(ctx context.Context, db asker, query string, args ...any) (texts []string, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, rows.Err()
}

// Pull returns what is remembered of a pull request: nothing but its name, at version
// 0, if it is not known yet.
func (s *Store) Pull(ctx context.Context, name string) (ledger.Pull, error) {
	pr, err := gitops.ParsePullRequest(name)
	if err != nil {
		return ledger.Pull{}, err
	}
	var data string
	err = s.read.QueryRowContext(ctx, "SELECT data FROM pulls WHERE name = $1", name).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return ledger.Pull{PullRequest: pr}, nil
	}
	if err != nil {
		return ledger.Pull{}, fmt.Errorf("read %s: %w", name, err)
	}
	return decode[ledger.Pull](name, data)
}

// OpenPulls returns the pull requests of a repository that are remembered as open.
func (s *Store) OpenPulls(ctx context.Context, repo gitops.Repo) ([]ledger.Pull, error) {
	pulls, err := values[ledger.Pull](ctx, s.read, "SELECT data FROM pulls WHERE repo = $1 AND state = $2 ORDER BY name", repo.String(), string(gitops.Open))
	if err != nil {
		return nil, fmt.Errorf("read the pull requests of %s: %w", repo, err)
	}
	return pulls, nil
}

// values returns the rows of a query's one column, which is data.
func values[T any](ctx context.Context, db asker, query string, args ...any) ([]T, error) {
	texts, err := column(ctx, db, query, args...)
	if err != nil {
		return nil, err
	}
	var rows []T
	for _, text := range texts {
		var row T
		if err := json.Unmarshal([]byte(text), &row); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func decode[T any](name, data string) (T, error) {
	var row T
	if err := json.Unmarshal([]byte(data), &row); err != nil {
		return row, fmt.Errorf("read %s: %w", name, err)
	}
	return row, nil
}

// Asked reports whether a comment was taken for a command before.
func (s *Store) Asked(ctx context.Context, forge, comment string) (bool, error) {
	var found bool
	err := s.read.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM commands WHERE forge = $1 AND comment = $2)", forge, comment).Scan(&found)
	if err != nil {
		return false, fmt.Errorf("read the command of the comment %s: %w", comment, err)
	}
	return found, nil
}

// Effect returns an effect by its key.
func (s *Store) Effect(ctx context.Context, key string) (ledger.Effect, error) {
	var data, artefact, refused string
	var version, written, changed int64
	err := s.read.QueryRowContext(ctx, "SELECT version, written, artefact, refused, changed, data FROM effects WHERE key = $1", key).
		Scan(&version, &written, &artefact, &refused, &changed, &data)
	if err != nil {
		return ledger.Effect{}, fmt.Errorf("read the effect %s: %w", key, missing(err))
	}
	e, err := decode[ledger.Effect](key, data)
	e.Version, e.Written, e.Artefact, e.Refused, e.Changed = version, written, artefact, refused, time.UnixMilli(changed)
	return e, err
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if _, err := column(ctx, s.read, "SELECT name FROM davit_schema"); err != nil {
		return fmt.Errorf("ask the database: %w", err)
	}
	return nil
}

// Waiting counts the steps that are not done, by kind.
func (s *Store) Waiting(ctx context.Context) (map[ledger.Kind]int, error) {
	kinds, err := column(ctx, s.read, `SELECT args->>'step' FROM river_job WHERE state IN ('available', 'pending', 'retryable', 'running', 'scheduled')`)
	if err != nil {
		return nil, fmt.Errorf("count the steps: %w", err)
	}
	counts := map[ledger.Kind]int{}
	for _, kind := range kinds {
		counts[ledger.Kind(kind)]++
	}
	return counts, nil
}
