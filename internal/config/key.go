package config

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// keySize is the size of a key in bytes.
const keySize = 32

// Key reads the key of an installation, with which values are hashed that nobody must
// be able to guess from the hash. Where there is none yet, one is made.
func Key(file string) ([]byte, error) {
	for {
		key, err := os.ReadFile(file)
		switch {
		case err == nil && len(key) != keySize:
			return nil, fmt.Errorf("read the key %s: it has %d bytes and not %d; delete it, and digests made with it are worth nothing", file, len(key), keySize)
		case err == nil:
			return key, nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("read the key: %w", err)
		}
		if err := makeKey(file); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("make the key: %w", err)
		}
	}
}

// makeKey writes a key that is either there whole or not at all, and never over one
// that somebody else has just made.
func makeKey(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	key := make([]byte, keySize)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(file), ".key-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(draft.Name()) }()
	_, err = draft.Write(key)
	if err = errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	return os.Link(draft.Name(), file)
}
