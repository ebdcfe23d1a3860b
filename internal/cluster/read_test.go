package cluster

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLog reads the log of a container, of which a server may send more than is wanted.
func TestLog(t *testing.T) {
	t.Parallel()
	const line = "password=hunter2hunter2\n"
	endless := strings.Repeat(line, maxLog/len(line)+2)
	for _, row := range []struct {
		name, sent, want string
	}{
		{"nothing", "", ""},
		{"lines", line + line, line + line},
		{"no end of the last line", line + "half", line + "half"},
		{"too much", endless, endless[:maxLog/len(line)*len(line)]},
		{"too much of one line", strings.Repeat("x", 2*maxLog), ""},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			const want = "/api/v1/namespaces/shop/pods/web-a/log?container=web&limitBytes=1048576&previous=true&tailLines=20"
			if r.URL.String() != want || r.Header.Get("Impersonate-User") != "alice" {
				t.Errorf("%s is asked for, as %q", r.URL, r.Header.Get("Impersonate-User"))
			}
			_, _ = io.WriteString(w, row.sent) // which is cut off
		}))
		got, err := connectTo(t, server.URL).Log(t.Context(), Run{Namespace: "shop", Pod: "web-a", Container: "web", Previous: true}, 20)
		server.Close()
		if diff := cmp.Diff(row.want, string(got)); diff != "" || err != nil {
			t.Errorf("%s: %d bytes are read, %v", row.name, len(got), err)
		}
	}
}

// TestNoLog holds that an answer that is none is an error of the cluster's.
func TestNoLog(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]Class{http.StatusForbidden: Broken, http.StatusBadRequest: Broken, http.StatusUnauthorized: Unauthorized} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", code) }))
		text, err := connectTo(t, server.URL).Log(t.Context(), Run{Namespace: "shop", Pod: "web-a", Container: "web"}, 20)
		server.Close()
		var fault *Error
		if !errors.As(err, &fault) || fault.Class != want || len(text) > 0 {
			t.Errorf("HTTP %d: it is %q, %v", code, text, err)
		}
	}
}

// connectTo connects to a server as somebody else.
func connectTo(t *testing.T, url string) *Connection {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: %q}}], contexts: [{name: c, context: {cluster: c}}]}`, url)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Connect(Options{Name: "staging", Kubeconfig: file, As: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
