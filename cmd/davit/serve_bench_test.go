package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/davitops/davit/internal/forge/github/githubsim"
)

// round is how many pull requests are opened to one Davit. The forge's limits let so many
// be commented on without a pause, which would be measured otherwise.
const round = 5

// BenchmarkPullRequest measures how long it takes from a pull request that is opened to the
// comment on it, and the processor's time that the whole of Davit takes for one, against
// "kubectl kustomize" of both sides of every target in it.
func BenchmarkPullRequest(b *testing.B) {
	hub := newHub(b)
	nothing, _ := hub.serve(b, 0)
	theirs := hub.kustomize(b)
	var latencies []time.Duration
	var ours time.Duration
	for b.Loop() {
		for range 4 {
			took, waits := hub.serve(b, round)
			ours += took - nothing
			latencies = append(latencies, waits...)
		}
	}
	slices.Sort(latencies)
	perPull := ours / time.Duration(len(latencies))
	b.ReportMetric(milliseconds(latencies[len(latencies)/2]), "p50-ms")
	b.ReportMetric(milliseconds(latencies[len(latencies)*95/100]), "p95-ms")
	b.ReportMetric(milliseconds(perPull), "davit-cpu-ms/pr")
	b.ReportMetric(milliseconds(theirs), "kubectl-cpu-ms/pr")
	b.ReportMetric(float64(perPull)/float64(theirs), "x-of-kubectl")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// hub is a forge with a repository, in a directory.
type hub struct {
	dir, clone string
	sim        *githubsim.Sim
	url        string
	branches   int
}

func newHub(b *testing.B) *hub {
	b.Helper()
	h := &hub{dir: b.TempDir()}
	check := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	key, err := appKey()
	check(err)
	archive, err := txtar.ParseFile(filepath.Join(root, "testdata", "samples", "release.txtar"))
	check(err)
	seed := "app: {slug: davit, name: Davit, permissions: {metadata: read, contents: read, pull_requests: write, checks: write}, events: [pull_request]}\n" +
		"users: [{login: bob}]\norganisations: [{login: acme}]\ninstallations: [{account: acme, repositories: all}]\n" +
		"repositories:\n- {name: acme/gitops, private: true, collaborators: {bob: write}, files: {README.md: The shop}}\n"
	check(os.WriteFile(filepath.Join(h.dir, "seed.yaml"), []byte(seed), 0o600))
	check(os.WriteFile(filepath.Join(h.dir, "app.pem"), key, 0o600))
	check(os.WriteFile(filepath.Join(h.dir, "webhook.secret"), []byte(hookSecret), 0o600))
	h.sim, err = githubsim.New(githubsim.Options{Dir: h.dir, AppID: 7, AppKey: key, WebhookSecret: hookSecret})
	check(err)
	h.url, err = h.sim.Start("127.0.0.1:0")
	check(err)
	b.Cleanup(func() { _ = h.sim.Close() })
	check(os.WriteFile(filepath.Join(h.dir, "davit.yaml"), fmt.Appendf([]byte("sweep: 30m\n"), forges, h.url), 0o600))
	h.clone = filepath.Join(h.dir, "clone")
	git(b, h.dir, "clone", "--quiet", strings.Replace(h.url, "://", "://bob:user-bob@", 1)+"/acme/gitops.git", h.clone)
	for _, side := range []string{"base", "head"} {
		for _, f := range archive.Files {
			if name, is := cutSide(f.Name, side); is {
				check(writeOrDelete(filepath.Join(h.clone, name), f.Data))
			}
		}
		git(b, h.clone, "add", "--all")
		git(b, h.clone, "commit", "--quiet", "-m", side)
		if side == "base" {
			git(b, h.clone, "push", "--quiet", "origin", "HEAD:main")
		}
	}
	return h
}

// serve runs a Davit of its own for some pull requests, which are opened one after the
// other. It returns the processor's time that it took, workers included, and how long each
// waited for its comment.
func (h *hub) serve(b *testing.B, pulls int) (took time.Duration, waits []time.Duration) {
	b.Helper()
	cmd := exec.Command(program, "serve", "--config", "davit.yaml", "--log-format", "text", "--set", "listen.webhook=127.0.0.1:0",
		"--set", "listen.admin=127.0.0.1:0", "--set", "data_dir="+b.TempDir())
	cmd.Dir = h.dir
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	ready, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatalf("it does not serve: %v, %v", err, cmd.Wait())
	}
	h.sim.SetWebhookURL(strings.Fields(ready)[2] + "/github")
	for range pulls {
		waits = append(waits, h.open(b))
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), waits
}

// open opens another pull request with the same changes, and waits for its comment.
func (h *hub) open(b *testing.B) time.Duration {
	b.Helper()
	h.branches++
	branch := fmt.Sprint("release-", h.branches)
	git(b, h.clone, "commit", "--quiet", "--allow-empty", "-m", branch)
	git(b, h.clone, "push", "--quiet", "origin", "HEAD:"+branch)
	var opened struct{ Number int }
	tick := time.NewTicker(10 * time.Millisecond) // the forge limits how often somebody may ask
	defer tick.Stop()
	began := time.Now()
	h.ask(b, "POST", "/repos/acme/gitops/pulls", map[string]any{"title": branch, "head": branch, "base": "main"}, &opened)
	for range tick.C {
		var comments []struct{ Body string }
		h.ask(b, "GET", fmt.Sprintf("/repos/acme/gitops/issues/%d/comments", opened.Number), nil, &comments)
		if len(comments) > 0 {
			return time.Since(began)
		}
		if time.Since(began) > time.Minute {
			break
		}
	}
	b.Fatal("there is no comment after a minute")
	return 0
}

func (h *hub) ask(b *testing.B, method, path string, body, into any) {
	b.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		b.Fatal(err)
	}
	request, err := http.NewRequestWithContext(b.Context(), method, h.url+path, bytes.NewReader(data))
	if err != nil {
		b.Fatal(err)
	}
	request.Header.Set("Authorization", "token user-bob")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil || response.StatusCode >= 300 {
		b.Fatalf("%s %s: %s, %v", method, path, response.Status, err)
	}
}

// kustomize is the processor's time that kubectl takes to render both sides of the targets.
func (h *hub) kustomize(b *testing.B) (took time.Duration) {
	b.Helper()
	kubectl := playground(b)
	for _, side := range []string{"origin/main", "HEAD"} {
		dir := filepath.Join(b.TempDir(), "side")
		git(b, h.clone, "worktree", "add", "--quiet", "--detach", dir, side)
		for _, overlay := range []string{"staging", "production"} {
			cmd := exec.Command(kubectl, "kubectl", "kustomize", filepath.Join(dir, "apps", "web", "overlays", overlay))
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Fatalf("kubectl kustomize: %v: %s", err, out)
			}
			took += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		}
	}
	return took
}
