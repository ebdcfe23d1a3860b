package git

import (
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// served is a repository behind HTTP, with what its clients sent as passwords.
func served(t *testing.T, dir string) (*httptest.Server, func() []string) {
	t.Helper()
	var mu sync.Mutex
	var seen []string
	handler := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(git(t, dir, "--exec-path")), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + filepath.Dir(dir), "GIT_HTTP_EXPORT_ALL=1"},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, given := r.BasicAuth()
		mu.Lock()
		if given {
			seen = append(seen, user+":"+password)
		}
		mu.Unlock()
		if !given || password != canary {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

const canary = "canary-4f1c9d"

func TestFetchWithAPassword(t *testing.T) {
	t.Parallel()
	remote := repository(t, "a", "1")
	server, seen := served(t, remote)
	url := server.URL + "/" + filepath.Base(remote) + "/.git"
	r := mirror(t, filepath.Join(t.TempDir(), "mirror"))

	for _, password := range []string{"", "wrong-" + canary} {
		err := r.Fetch(t.Context(), Source{URL: url, User: "x-access-token", Password: password})
		if err == nil || strings.Contains(fmt.Sprintf("%+v", err), canary) {
			t.Errorf("with the password %q: %v", password, err)
		}
	}
	if err := r.Fetch(t.Context(), Source{URL: url, User: "x-access-token", Password: canary}); err != nil {
		t.Fatal(err)
	}
	if all := seen(); all[len(all)-1] != "x-access-token:"+canary {
		t.Errorf("it was asked by %q", all)
	}
	kept := 0
	err := filepath.WalkDir(r.dir, func(name string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		kept++
		data, err := os.ReadFile(name)
		if strings.Contains(string(data), canary) {
			t.Errorf("%s holds the password", name)
		}
		return err
	})
	if err != nil || kept == 0 {
		t.Errorf("%d files, %v", kept, err)
	}
}

// TestFetchKeepsThePasswordAtItsHost: a host that is asked for a repository can't have
// the password sent elsewhere, not even to another port.
func TestFetchKeepsThePasswordAtItsHost(t *testing.T) {
	t.Parallel()
	remote := repository(t, "a", "1")
	elsewhere, seen := served(t, remote)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		redirects := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.RequestURI(), status)
		}))
		t.Cleanup(redirects.Close)
		r := mirror(t, filepath.Join(t.TempDir(), "mirror"))
		err := r.Fetch(t.Context(), Source{URL: redirects.URL + "/" + filepath.Base(remote) + "/.git", User: "x-access-token", Password: canary})
		if err == nil {
			t.Errorf("%d was followed", status)
		}
	}
	if all := seen(); len(all) > 0 {
		t.Errorf("the other host was told %q", all)
	}
}

// TestFetchGivesUp holds that git is told to leave a server that sends next to nothing:
// to wait for it would take a minute.
func TestFetchGivesUp(t *testing.T) {
	t.Parallel()
	for _, from := range []Source{{URL: "https://forge.acme.example/x.git"}, {URL: "https://forge.acme.example/x.git", User: "x", Password: canary}} {
		environment, err := from.environment()
		if err != nil {
			t.Fatal(err)
		}
		for setting, want := range map[string]string{"http.lowSpeedLimit": "1000", "http.lowSpeedTime": "60", "http.followRedirects": "false"} {
			command := exec.CommandContext(t.Context(), "git", "config", "--get", setting)
			command.Env = append(mirrorEnvironment(), environment...)
			if got, err := command.Output(); err != nil || strings.TrimSpace(string(got)) != want {
				t.Errorf("%s is %q, %v, want %s", setting, got, err, want)
			}
		}
	}
}

func TestFetchesWaitForEachOther(t *testing.T) {
	t.Parallel()
	remote := repository(t, "a", "1")
	dir := filepath.Join(t.TempDir(), "mirror")
	for i := range 20 {
		git(t, remote, "branch", fmt.Sprint("branch-", i))
	}
	var wait sync.WaitGroup
	for range 8 {
		r := mirror(t, dir)
		wait.Go(func() {
			if err := r.Fetch(t.Context(), Source{URL: remote}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}
