package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// lockName is the file that says a directory is the playground's, and that is
// locked while it is in use.
const lockName = ".playground"

// claim takes a directory for this process and empties it of what an earlier
// start left. The lock ends with the process, however that goes. A directory
// with anything else in it is refused: emptying it could destroy work.
func claim(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the directory: %w", err)
	}
	name := filepath.Join(dir, lockName)
	if _, err := os.Stat(name); err != nil && len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty and not the playground's: give an empty or new directory", dir)
	}
	lock, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s is in use by another playground: stop it, or give another directory", dir)
		}
		return nil, fmt.Errorf("locking %s: %w", name, err)
	}
	for _, entry := range entries {
		if entry.Name() != kubeconfigName && !strings.HasPrefix(entry.Name(), clusterPrefix) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			_ = lock.Close()
			return nil, fmt.Errorf("removing what an earlier start left: %w", err)
		}
	}
	return func() { _ = lock.Close() }, nil
}
