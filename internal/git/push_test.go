package git

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// pushed is a bare repository to push to, a mirror of it, and two commits in the
// mirror alone.
type pushed struct {
	*Repository
	remote, one, two string
}

func toPush(t testing.TB) pushed {
	t.Helper()
	work := repository(t, "a", "1", "b", "1")
	before := git(t, work, "rev-parse", "HEAD")
	after := commit(t, work, "a", "2", "b", "2")
	p := pushed{remote: filepath.Join(t.TempDir(), "remote.git")}
	git(t, "/", "clone", "--quiet", "--bare", work, p.remote)
	git(t, p.remote, "config", "http.receivePack", "true")
	p.Repository = mirrored(t, p.remote)
	for path, id := range map[string]*string{"a": &p.one, "b": &p.two} {
		undone, err := p.Undo(t.Context(), Undoing{Before: before, After: after, Tip: after, Paths: []string{path}, Message: "m", At: day})
		if err != nil || undone.Commit == "" {
			t.Fatalf("%+v, %v", undone, err)
		}
		*id = undone.Commit
	}
	return p
}

// hook is a program that the remote runs.
func (p pushed) hook(t testing.TB, name, script string) {
	t.Helper()
	file := filepath.Join(p.remote, "hooks", name)
	write(t, file, "#!/bin/sh\n"+script)
	if err := os.Chmod(file, 0o755); err != nil {
		t.Fatal(err)
	}
}

func (p pushed) source() Source { return Source{URL: "file://" + p.remote} }

// hold checks where a push leaves the branch, and that the remote is at one with it.
func (p pushed) hold(t testing.TB, branch, commit, want string) {
	t.Helper()
	there, err := p.Push(t.Context(), p.source(), branch, commit)
	if err != nil || there != want {
		t.Errorf("%s is at %q, %v, want %s", branch, there, err, want)
	}
	if at := refs(t, p.remote)["refs/heads/"+branch]; at != want {
		t.Errorf("%s is at %q at the remote, want %s", branch, at, want)
	}
}

func TestPush(t *testing.T) {
	t.Parallel()
	p := toPush(t)
	want := refs(t, p.remote)
	kept := snapshot(t, p.dir)
	p.hold(t, "davit/undo-1", p.one, p.one)
	p.hold(t, "davit/undo-1", p.one, p.one)
	p.hold(t, "davit/undo-1", p.two, p.one)
	p.hold(t, "davit/undo-2", p.two, p.two)
	main := want["refs/heads/main"]
	p.hold(t, "main", p.one, main) // although it could be moved forward
	p.hold(t, "again", main, main)
	git(t, p.remote, "update-ref", "refs/early/refs/heads/davit/undo-3", main) // which ls-remote shows as well
	p.hold(t, "davit/undo-3", p.one, p.one)
	p.hold(t, "davit/undo-3", p.two, p.one)
	want["refs/heads/davit/undo-1"], want["refs/heads/davit/undo-2"], want["refs/heads/again"] = p.one, p.two, main
	want["refs/heads/davit/undo-3"], want["refs/early/refs/heads/davit/undo-3"] = p.one, main
	if d := cmp.Diff(want, refs(t, p.remote)); d != "" {
		t.Errorf("the remote's refs (-want +got):\n%s", d)
	}
	if d := cmp.Diff(kept, snapshot(t, p.dir)); d != "" {
		t.Errorf("the mirror changed (-before +after):\n%s", d)
	}
	git(t, p.remote, "fsck", "--strict", "--connectivity-only", "davit/undo-1", "davit/undo-2")
	wantFiles(t, open(t, p.remote), "davit/undo-1", "a", "1", "b", "2")
	elsewhere := commit(t, repository(t), "c", "3")
	if _, err := p.Push(t.Context(), p.source(), "c", elsewhere); !errors.Is(err, ErrUnknownRevision) {
		t.Errorf("a commit that is not here: %v, want ErrUnknownRevision", err)
	}
}

func TestPushThatIsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		setup func(p pushed)
		say   string // what the error tells, of what the server said
	}{
		{"by a hook for all", func(p pushed) { p.hook(t, "pre-receive", "echo 'not on a Friday' >&2; exit 1") }, "not on a Friday"},
		{"by a hook for one", func(p pushed) { p.hook(t, "update", "echo not \"$1\" >&2; exit 1") }, "not refs/heads/x/y"},
		{"by a name that has no room", func(p pushed) { git(t, p.remote, "branch", "x", "main") }, "refs/heads/x"},
		{"by a setting", func(p pushed) { git(t, p.remote, "config", "receive.hideRefs", "refs/heads/x") }, "hidden"},
	} {
		p := toPush(t)
		test.setup(p)
		want := refs(t, p.remote)
		for range 2 {
			there, err := p.Push(t.Context(), p.source(), "x/y", p.one)
			if !errors.Is(err, ErrRefused) || there != "" || !strings.Contains(err.Error(), test.say) {
				t.Errorf("%s: %q, %v, want ErrRefused that says %q", test.name, there, err, test.say)
			}
		}
		if d := cmp.Diff(want, refs(t, p.remote)); d != "" {
			t.Errorf("%s: the remote's refs (-want +got):\n%s", test.name, d)
		}
	}
}

// TestPushThatIsCutOff kills the remote's side of a push before and after it made the
// branch, and lets somebody else make it in between.
func TestPushThatIsCutOff(t *testing.T) {
	t.Parallel()
	p := toPush(t)
	p.hook(t, "pre-receive", "kill -9 $PPID")
	if there, err := p.Push(t.Context(), p.source(), "x", p.one); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("cut off before: %q, %v, want an error that is worth another try", there, err)
	}
	p.hook(t, "pre-receive", "exit 0")
	p.hold(t, "x", p.one, p.one)
	p.hook(t, "post-receive", "kill -9 $PPID")
	p.hold(t, "y", p.one, p.one)
	remove(t, filepath.Join(p.remote, "hooks/post-receive"))
	main := refs(t, p.remote)["refs/heads/main"]
	p.hook(t, "pre-receive", "exec env -i PATH=\"$PATH\" git update-ref refs/heads/z "+main)
	p.hold(t, "z", p.one, main)
}

func TestPushesAtOnce(t *testing.T) {
	t.Parallel()
	p := toPush(t)
	var group sync.WaitGroup
	there := make([]string, 8)
	for i := range there {
		group.Go(func() {
			var err error
			if there[i], err = p.Push(t.Context(), p.source(), "x", []string{p.one, p.two}[i%2]); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, at := range there {
		if want := refs(t, p.remote)["refs/heads/x"]; at != want {
			t.Errorf("it was left at %q, and is at %q", at, want)
		}
	}
}

func TestPushToNowhere(t *testing.T) {
	t.Parallel()
	p := toPush(t)
	mark := filepath.Join(t.TempDir(), "mark")
	for _, url := range []string{
		"file://" + p.remote + "-none", "http://127.0.0.1:1/x", "", "ext::touch " + mark, "ssh://-oProxyCommand=touch " + mark + "/x", "git@localhost:x", "git://localhost:1/x",
		"--receive-pack=touch " + mark, "--exec=touch " + mark,
	} {
		if there, err := p.Push(t.Context(), Source{URL: url}, "x", p.one); err == nil || errors.Is(err, ErrRefused) || there != "" {
			t.Errorf("%q: %q, %v, want an error that is worth another try", url, there, err)
		}
	}
	if _, err := os.Stat(mark); !os.IsNotExist(err) {
		t.Errorf("a URL ran a program: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Push(ctx, p.source(), "x", p.one); !errors.Is(err, context.Canceled) || errors.Is(err, ErrRefused) {
		t.Errorf("without time: %v, want context.Canceled", err)
	}
}

func TestPushNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"x", "davit/undo-7", "a/b/c", "v1.2_3-x", "_", "0", strings.Repeat("x", maxBranch)} {
		if git(t, "/", "check-ref-format", "refs/heads/"+name); !isPlain(name) {
			t.Errorf("%q is refused", name)
		}
	}
	p := toPush(t)
	for _, name := range []string{ // some of which git would push
		"", "-x", "--delete", "a/-x", "HEAD", "@", "a..b", "..", ".", "a.", "a./b", ".a", "a/.b", "a.lock", "a.lock/b", "/a", "a/", "a//b", "a b", "a\n", "a\nb", "a\x00", "a:b", ":a", "+a", "^a", "~a", "a~1", "a?", "a*", "a[b", "a\\b", "a@{1}",
		"\u00fc", "\xff", strings.Repeat("0", 40), strings.Repeat("x", maxBranch+1),
	} {
		if there, err := p.Push(t.Context(), p.source(), name, p.one); err == nil || errors.Is(err, ErrRefused) || there != "" || isPlain(name) {
			t.Errorf("%q: %q, %v, want an error", name, there, err)
		}
	}
	if all := refs(t, p.remote); len(all) != 1 {
		t.Errorf("the remote's refs are %v", all)
	}
}

// behind is a server in front of another one, which can answer in its place.
func behind(t *testing.T, server *httptest.Server, instead func(w http.ResponseWriter, r *http.Request) bool) *httptest.Server {
	t.Helper()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !instead(w, r) {
			server.Config.Handler.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(front.Close)
	return front
}

// arguments are those of every process on this machine.
func arguments(t testing.TB) string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Errorf("no processes are to be seen: %v", err)
	}
	var all strings.Builder
	for _, file := range files {
		line, _ := os.ReadFile(file) // of a process that may be gone by now
		all.Write(line)
	}
	return all.String()
}

func TestPushWithAPassword(t *testing.T) {
	t.Parallel()
	p := toPush(t)
	const user = "x-access-token"
	secrets := []string{canary, base64.StdEncoding.EncodeToString([]byte(user + ":" + canary)), base64.StdEncoding.EncodeToString([]byte(user + ":wrong-" + canary))}
	clean := func(text, where string) {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s hold the password", where)
			}
		}
	}
	behindLogin, seen := served(t, p.remote)
	var asked atomic.Int64
	server := behind(t, behindLogin, func(_ http.ResponseWriter, r *http.Request) bool {
		all := arguments(t)
		if asked.Add(1); !strings.Contains(all, r.Host) {
			t.Error("git's own arguments are not to be seen")
		}
		clean(all, "arguments")
		return false
	})
	push := func(branch, password string) (string, error) {
		there, err := p.Push(t.Context(), Source{URL: server.URL + "/remote.git", User: user, Password: password}, branch, p.one)
		clean(fmt.Sprintf("%+v", err), "errors")
		return there, err
	}
	for _, password := range []string{"", "wrong-" + canary} { // one that ran out is as wrong
		if there, err := push("x", password); err == nil || errors.Is(err, ErrRefused) || there != "" {
			t.Errorf("with the password %q: %q, %v", password, there, err)
		}
	}
	for range 2 {
		if there, err := push("x", canary); err != nil || there != p.one {
			t.Errorf("it is at %q, %v, want %s", there, err, p.one)
		}
	}
	if all := seen(); asked.Load() == 0 || all[len(all)-1] != user+":"+canary {
		t.Errorf("%d requests, by %q", asked.Load(), all)
	}
	p.hook(t, "pre-receive", "echo 'you are' "+strings.Join(secrets[:2], " ")+" >&2; exit 1") // a server that tells
	if there, err := push("y", canary); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "you are") || there != "" {
		t.Errorf("a hook: %q, %v, want ErrRefused", there, err)
	}
	git(t, p.remote, "fsck", "--strict", "--connectivity-only", "x")
}

func TestPushThatHTTPRefuses(t *testing.T) {
	t.Parallel()
	p := toPush(t)
	login, _ := served(t, p.remote)
	for _, test := range []struct {
		status  int
		refused bool
	}{
		{http.StatusMovedPermanently, false}, {http.StatusTemporaryRedirect, false}, {http.StatusUnauthorized, false}, {http.StatusRequestTimeout, false},
		{http.StatusTooEarly, false}, {http.StatusTooManyRequests, false}, {http.StatusInternalServerError, false}, {http.StatusServiceUnavailable, false},
		{http.StatusForbidden, true}, {http.StatusNotFound, true}, {http.StatusRequestEntityTooLarge, true}, {http.StatusUnprocessableEntity, true},
	} {
		for _, when := range []struct {
			name string
			is   func(r *http.Request) bool
		}{
			{"anything", func(*http.Request) bool { return true }},
			{"pushing", func(r *http.Request) bool { return strings.Contains(r.URL.String(), "git-receive-pack") }},
			{"the end of a push", func(r *http.Request) bool { return r.Method == http.MethodPost }},
		} {
			server := behind(t, login, func(w http.ResponseWriter, r *http.Request) bool {
				if !when.is(r) {
					return false
				}
				w.Header().Set("Location", login.URL+r.URL.RequestURI())
				w.WriteHeader(test.status)
				return true
			})
			there, err := p.Push(t.Context(), Source{URL: server.URL + "/remote.git", User: "x", Password: canary}, "x", p.one)
			if err == nil || errors.Is(err, ErrRefused) != test.refused || there != "" {
				t.Errorf("%d for %s: %q, %v, want that it is refused: %t", test.status, when.name, there, err, test.refused)
			}
		}
	}
	if all := refs(t, p.remote); len(all) != 1 {
		t.Errorf("the remote's refs are %v", all)
	}
}

// TestPushAnswers is of what a server says of a branch once it has the commits.
func TestPushAnswers(t *testing.T) {
	t.Parallel()
	p := toPush(t)
	login, _ := served(t, p.remote)
	packet := func(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }
	for _, test := range []struct {
		say     string
		refused bool
		want    string // in the error
	}{
		{packet("unpack ok\n") + packet("ng refs/heads/x the rules are strict, "+canary+"\n"), true, "(the rules are strict, ***)"},
		{packet("unpack the disk is full\n") + packet("ng refs/heads/x unpacker error\n"), true, "(unpacker error)"},
		{packet("unpack ok\n"), false, ""},
		{packet("unpack ok\n") + packet("ok refs/heads/y\n"), false, ""},
		{"", false, ""},
		{"no protocol", false, ""},
	} {
		server := behind(t, login, func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
				return false
			}
			w.Header().Set("Content-Type", "application/x-git-receive-pack-result")
			_, _ = io.WriteString(w, packet("\x01"+test.say+"0000")+"0000")
			return true
		})
		there, err := p.Push(t.Context(), Source{URL: server.URL + "/remote.git", User: "x", Password: canary}, "x", p.one)
		if err == nil || there != "" || errors.Is(err, ErrRefused) != test.refused {
			t.Fatalf("%q: %q, %v, want that it is refused: %t", test.say, there, err, test.refused)
		}
		if said := err.Error(); !strings.Contains(said, test.want) || strings.Contains(said, canary) {
			t.Errorf("%q: %v", test.say, err)
		}
	}
}

func TestPushThatIsGivenUp(t *testing.T) {
	t.Parallel()
	p := toPush(t)
	login, _ := served(t, p.remote)
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan struct{})
	server := behind(t, login, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			cancel()
			<-returned
		}
		return r.Method == http.MethodPost
	})
	there, err := p.Push(ctx, Source{URL: server.URL + "/remote.git", User: "x", Password: canary}, "x", p.one)
	close(returned)
	if !errors.Is(err, context.Canceled) || there != "" {
		t.Errorf("%q, %v, want context.Canceled", there, err)
	}
	p.hold(t, "x", p.one, p.one)
}

// TestPushWhoseHookStays: git's end is not that of everything that can write where git
// did.
func TestPushWhoseHookStays(t *testing.T) {
	t.Parallel()
	p := toPush(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	run := func(args ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", args, err, out)
		}
	}
	run("mkfifo", fifo)
	p.hook(t, "post-receive", "cat "+fifo+" </dev/null >/dev/null 2>&1 &")
	p.hold(t, "x", p.one, p.one)
	run("cp", "/dev/null", fifo) // waits for who reads it, and lets the hook end
}

// TestPushFollowsNoRedirect: neither to another host, which could ask for the
// password, nor at its own.
func TestPushFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	p := toPush(t)
	elsewhere, seen := served(t, p.remote)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		for _, to := range []string{elsewhere.URL, ""} {
			server := behind(t, elsewhere, func(w http.ResponseWriter, r *http.Request) bool {
				path, old := strings.CutPrefix(r.URL.RequestURI(), "/old")
				if old {
					http.Redirect(w, r, to+path, status)
				}
				return old
			})
			there, err := p.Push(t.Context(), Source{URL: server.URL + "/old/remote.git", User: "x", Password: canary}, "x", p.one)
			if err == nil || errors.Is(err, ErrRefused) {
				t.Errorf("%d to %q was followed: %q, %v", status, to, there, err)
			}
		}
	}
	if all := seen(); len(all) > 0 {
		t.Errorf("the other place was told %q", all)
	}
}
