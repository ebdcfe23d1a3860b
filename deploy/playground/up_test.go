package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestUsage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{}, exitUsage, "--dir is missing"},
		{[]string{"--dir", "x", "y"}, exitUsage, `unexpected argument "y"`},
		{[]string{"--dir", "x", "--clusters", "0"}, exitUsage, "--clusters 0: at least 1 is needed"},
		{[]string{"--dir", "x", "--nodes=-1"}, exitUsage, "--nodes -1: at least 1 is needed"},
		{[]string{"--dir", "x", "--nodes", "many"}, exitUsage, `invalid value "many"`},
		{[]string{"--speed", "9"}, exitUsage, "flag provided but not defined: -speed"},
		{[]string{"--help"}, 0, "usage: playground up --dir DIR"},
		{[]string{"--dir", file}, exitFailed, "making the directory"},
		{[]string{"--dir", filepath.Dir(file)}, exitFailed, "is not empty and not the playground's"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := up(t.Context(), c.args, &stdout, &stderr); code != c.code {
				t.Errorf("exit %d, want %d", code, c.code)
			}
			if !strings.Contains(stderr.String(), c.want) || stdout.Len() > 0 {
				t.Errorf("stdout %q, stderr %q; want only %q", stdout.String(), stderr.String(), c.want)
			}
		})
	}
}

func TestClaim(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	release, err := claim(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := claim(dir); err == nil || !strings.Contains(err.Error(), "in use by another playground") {
		t.Errorf("the second claim says %v", err)
	}
	left := filepath.Join(dir, "cluster-1", "etcd", "data")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	release()
	release, err = claim(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if _, err := os.Stat(filepath.Join(dir, "cluster-1")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("data of an earlier start is still there: %v", err)
	}
}

// TestAwait says what is told of a cluster that doesn't become ready.
func TestAwait(t *testing.T) {
	log := filepath.Join(t.TempDir(), "kwok.log")
	if err := os.WriteFile(log, []byte(strings.Repeat("chatter\n", 50)+"the reason\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &cluster{processes: map[string]*process{"kwok": {name: "cluster-1: kwok", log: log}}}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := c.await(ctx, "kwok", func(context.Context) error { return errors.New("node-1 is not ready") })
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"cluster-1: kwok: node-1 is not ready", log, "the reason"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "chatter"); n != tailLines-1 {
		t.Errorf("%d lines of chatter, want %d", n, tailLines-1)
	}
}
