package cluster

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

const kubeconfig = `
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: SERVER}}]
users: [{name: u, user: {token: t}}]
contexts:
- {name: good, context: {cluster: c, user: u}}
- {name: anonymous, context: {cluster: c}}
- {name: no-cluster, context: {user: u}}
- {name: other-cluster, context: {cluster: d, user: u}}
- {name: other-user, context: {cluster: c, user: v}}
`

// write makes a kubeconfig for a server.
func write(t *testing.T, server string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(kubeconfig, "SERVER", server)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func dial(t *testing.T, server string) *Connection {
	t.Helper()
	c, err := Connect(Options{Name: "staging", Kubeconfig: write(t, server), Context: "good"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSilent asks a server that takes connections and says nothing, as a survey does: for
// many targets at once. It is waited for once.
func TestSilent(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var mu sync.Mutex
	var taken []net.Conn // kept, or a connection that nobody holds is closed
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			taken = append(taken, conn)
			mu.Unlock()
		}
	}()
	c := dial(t, "https://"+listener.Addr().String())
	begun := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := c.Observe(ctx, Question{}); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 3*time.Second {
		t.Errorf("given up, it ends with %v after %s", err, time.Since(begun))
	}
	var group errgroup.Group
	for range 12 {
		group.Go(func() error {
			var fault *Error
			if _, err := c.Observe(t.Context(), Question{}); !errors.As(err, &fault) || fault.Class != Unreachable || !strings.Contains(fault.Message, "in time") {
				t.Errorf("it ends with %v", err)
			}
			return nil
		})
	}
	_ = group.Wait()
	again := time.Now()
	if _, err := c.Observe(t.Context(), Question{}); err == nil || time.Since(again) > time.Second {
		t.Errorf("asked once more, it ends with %v after %s", err, time.Since(again))
	}
	if took := time.Since(begun); took > dialTimeout+5*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestForgotten holds that what was asked before a kind was defined is not kept after.
func TestForgotten(t *testing.T) {
	t.Parallel()
	var d discovery
	_, round, _ := d.known()
	d.forget(nil)
	d.keep(round, &served{}, nil)
	if s, _, _ := d.known(); s != nil {
		t.Error("an answer that is out of date is kept")
	}
	_, round, _ = d.known()
	now := &served{}
	d.keep(round, now, nil)
	d.forget(&served{}) // somebody saw an older state
	if s, _, _ := d.known(); s != now {
		t.Error("a new answer is forgotten for an old one")
	}
	d.forget(now)
	_, round, _ = d.known()
	d.keep(round, nil, &Error{})
	if _, _, err := d.known(); err == nil {
		t.Error("a failure is forgotten")
	}
	d.failed = d.failed.Add(-failedFor)
	if _, _, err := d.known(); err != nil {
		t.Error("a failure is kept for ever")
	}
}

// TestNoAPIServer asks web servers that are none.
func TestNoAPIServer(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"404":  http.NotFound,
		"page": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) },
	} {
		server := httptest.NewServer(answer)
		t.Cleanup(server.Close)
		_, err := dial(t, server.URL).Observe(t.Context(), Question{})
		if err == nil || !strings.Contains(err.Error(), "does not answer as a Kubernetes API server; is its address right?") {
			t.Errorf("%s: it ends with %v", name, err)
		}
	}
}

// TestContexts holds that what is wrong with a kubeconfig is said in a person's words.
func TestContexts(t *testing.T) {
	t.Parallel()
	file := write(t, "https://127.0.0.1:1")
	missing := filepath.Join(t.TempDir(), "missing")
	for _, row := range []struct{ file, context, says string }{
		{file, "good", ""},
		{file, "anonymous", ""},
		{file, "", "names no current context"},
		{file, "bad", "has no context bad; it has: anonymous, good"},
		{file, "no-cluster", "the context no-cluster of the kubeconfig names no cluster"},
		{file, "other-cluster", "the context other-cluster of the kubeconfig names the cluster d, which the kubeconfig does not have"},
		{file, "other-user", "the context other-user of the kubeconfig names the user v, which the kubeconfig does not have"},
		{missing, "good", missing},
	} {
		_, named := ContextName(Options{Kubeconfig: row.file, Context: row.context})
		_, connected := Connect(Options{Kubeconfig: row.file, Context: row.context})
		for _, err := range []error{named, connected} {
			if (err == nil) != (row.says == "") || err != nil && (!strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), "KUBERNETES_MASTER")) {
				t.Errorf("the context %q of %s: %v", row.context, row.file, err)
			}
		}
	}
}

// TestNoKubeconfig holds that a file that the environment names, and that is missing, is
// told by its name.
func TestNoKubeconfig(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	t.Setenv("KUBECONFIG", missing)
	for _, name := range []string{"", "good"} {
		_, named := ContextName(Options{Ambient: true, Context: name})
		_, connected := Connect(Options{Ambient: true, Context: name})
		for _, err := range []error{named, connected} {
			if err == nil || !strings.Contains(err.Error(), "there is no kubeconfig "+missing) {
				t.Errorf("the context %q: %v", name, err)
			}
		}
	}
}
