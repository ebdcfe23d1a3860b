package github_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/forge/github"
	"github.com/davitops/davit/internal/gitops"
)

var gitopsRepo = gitops.Repo{Forge: "github", Path: "acme/gitops"}

// hub is a network with one API host, answered by functions: no sockets, so that it
// works with a clock that is not the world's.
type hub struct {
	t       testing.TB
	mu      sync.Mutex
	asked   []request
	answers map[string]func(request) reply // "GET /app", with the host before the path if it is another
	minted  int
	log     bytes.Buffer
}

type request struct {
	what, query, body string
	header            http.Header
}

type reply struct {
	status int
	body   string
	header map[string]string
	err    error
	slow   io.Reader // the body, instead
}

func newHub(t testing.TB) *hub {
	h := &hub{t: t}
	h.answers = map[string]func(request) reply{
		"GET /repos/acme/gitops/installation":     says(200, `{"id": 7}`),
		"POST /app/installations/7/access_tokens": h.mint,
		"GET /app":              says(200, `{"id": 4711, "slug": "davit"}`),
		"GET /users/davit[bot]": says(200, `{"id": 99, "login": "davit[bot]", "type": "Bot"}`),
	}
	for _, list := range []string{"issues/1/comments", "commits/" + aCommit + "/comments", "commits/" + aCommit + "/pulls", "deployments", "pulls", "issues"} {
		h.on("GET /repos/acme/gitops/"+list, says(200, `[]`))
	}
	return h
}

func says(status int, body string) func(request) reply {
	return func(request) reply { return reply{status: status, body: body} }
}

// inTurn answers with one after the other, and then with the last.
func inTurn(replies ...reply) func(request) reply {
	next := 0
	return func(request) reply {
		r := replies[min(next, len(replies)-1)]
		next++
		return r
	}
}

func (h *hub) mint(request) reply {
	h.minted++
	return reply{status: 201, body: fmt.Sprintf(`{"token": "ghs_CANARY.token.%d", "expires_at": %q}`, h.minted, time.Now().Add(time.Hour).Format(time.RFC3339))}
}

func (h *hub) RoundTrip(r *http.Request) (*http.Response, error) {
	asked := request{what: r.Method + " " + r.URL.Path, query: r.URL.RawQuery, header: r.Header.Clone()}
	if r.URL.Scheme != "https" || r.URL.Host != "api.github.com" {
		asked.what = r.Method + " " + r.URL.Scheme + "://" + r.URL.Host + r.URL.Path
	}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body.Close()
		asked.body = string(body)
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, asked)
	answer, known := h.answers[asked.what]
	if !known {
		answer = says(404, `{"message": "Not Found"}`)
	}
	given := answer(asked)
	if given.err != nil {
		return nil, given.err
	}
	resp := &http.Response{
		StatusCode: given.status, Status: fmt.Sprint(given.status, " ", http.StatusText(given.status)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(given.body)), ContentLength: -1, Request: r,
	}
	if given.slow != nil {
		resp.Body = io.NopCloser(given.slow)
	}
	for name, value := range given.header {
		resp.Header.Set(name, value)
	}
	return resp, nil
}

// on sets an answer.
func (h *hub) on(what string, answer func(request) reply) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers[what] = answer
}

// count is how often something was asked.
func (h *hub) count(what string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, r := range h.asked {
		if r.what == what {
			n++
		}
	}
	return n
}

// last is the last request of a kind.
func (h *hub) last(what string) request {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := len(h.asked) - 1; i >= 0; i-- {
		if h.asked[i].what == what {
			return h.asked[i]
		}
	}
	h.t.Fatalf("nobody asked %s", what)
	return request{}
}

func (h *hub) provider(change ...func(*github.Options)) *github.GitHub {
	h.t.Helper()
	o := github.Options{
		Name: "github", URL: "https://github.com", AppID: appID, Key: appKey(), Secrets: [][]byte{[]byte(secret), []byte(otherSecret)},
		Transport: h, Spacing: -1, Log: slog.New(slog.NewJSONHandler(&h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&o)
	}
	g, err := github.New(o)
	if err != nil {
		h.t.Fatalf("prepare the provider: %v", err)
	}
	return g
}

// calls are all that go to the network, each with a request that it makes.
var calls = map[string]struct {
	asks string
	do   func(*testing.T, *github.GitHub) error
}{
	"Repositories": {"GET /app/installations", func(t *testing.T, g *github.GitHub) error {
		_, err := g.Repositories(t.Context())
		return err
	}},
	"Repository": {"GET /repos/acme/gitops", func(t *testing.T, g *github.GitHub) error {
		_, err := g.Repository(t.Context(), gitopsRepo)
		return err
	}},
	"PullRequest": {"GET /repos/acme/gitops/pulls/1", func(t *testing.T, g *github.GitHub) error {
		_, err := g.PullRequest(t.Context(), gitopsRepo, 1)
		return err
	}},
	"PullRequests": {"GET /repos/acme/gitops/pulls", func(t *testing.T, g *github.GitHub) error {
		_, err := g.PullRequests(t.Context(), gitopsRepo)
		return err
	}},
	"Merged": {"GET /repos/acme/gitops/commits/" + aCommit + "/pulls", func(t *testing.T, g *github.GitHub) error {
		_, err := g.Merged(t.Context(), gitopsRepo, aCommit)
		return err
	}},
	"Tip": {"GET /repos/acme/gitops/branches/main", func(t *testing.T, g *github.GitHub) error {
		_, err := g.Tip(t.Context(), gitopsRepo, "main")
		return err
	}},
	"MayWrite": {"GET /repos/acme/gitops/collaborators/alice/permission", func(t *testing.T, g *github.GitHub) error {
		_, err := g.MayWrite(t.Context(), gitopsRepo, gitops.Actor{ID: "1", Login: "alice"})
		return err
	}},
	"Source": {"POST /app/installations/7/access_tokens", func(t *testing.T, g *github.GitHub) error {
		_, err := g.Source(t.Context(), gitopsRepo)
		return err
	}},
	"Destination": {"POST /app/installations/7/access_tokens", func(t *testing.T, g *github.GitHub) error {
		_, err := g.Destination(t.Context(), gitopsRepo)
		return err
	}},
	"SaveComment": {"POST /repos/acme/gitops/issues/1/comments", func(t *testing.T, g *github.GitHub) error {
		_, err := g.SaveComment(t.Context(), forge.Comment{Repo: gitopsRepo, Number: 1, Key: "review", Body: "body"})
		return err
	}},
	"SaveComment on a commit": {"POST /repos/acme/gitops/commits/" + aCommit + "/comments", func(t *testing.T, g *github.GitHub) error {
		_, err := g.SaveComment(t.Context(), forge.Comment{Repo: gitopsRepo, Commit: aCommit, Key: "review", Body: "body"})
		return err
	}},
	"SaveDeployment": {"POST /repos/acme/gitops/deployments", func(t *testing.T, g *github.GitHub) error {
		_, err := g.SaveDeployment(t.Context(), aDeployment())
		return err
	}},
	"Propose": {"POST /repos/acme/gitops/pulls", func(t *testing.T, g *github.GitHub) error {
		_, err := g.Propose(t.Context(), aProposal())
		return err
	}},
	"SaveIssue": {"POST /repos/acme/gitops/issues", func(t *testing.T, g *github.GitHub) error {
		_, err := g.SaveIssue(t.Context(), anIssue())
		return err
	}},
	"SaveCheck": {"POST /repos/acme/gitops/check-runs", func(t *testing.T, g *github.GitHub) error {
		_, err := g.SaveCheck(t.Context(), aCheck())
		return err
	}},
	"React": {"POST /repos/acme/gitops/issues/comments/5/reactions", func(t *testing.T, g *github.GitHub) error {
		return g.React(t.Context(), forge.Reaction{Repo: gitopsRepo, Number: 1, Comment: "5", Emoji: forge.Eyes})
	}},
	"Redeliver": {"GET /app/hook/deliveries", func(t *testing.T, g *github.GitHub) error {
		_, err := g.Redeliver(t.Context(), time.Now().Add(-time.Hour))
		return err
	}},
}

const aCommit = "0123456789abcdef0123456789abcdef01234567"

func aCheck() forge.Check {
	return forge.Check{Repo: gitopsRepo, Commit: aCommit, Name: "davit", Key: "run-1", Title: "title", Summary: "summary"}
}

func aDeployment() forge.Deployment {
	return forge.Deployment{Repo: gitopsRepo, Commit: aCommit, Environment: "prod", Key: "rollout-1", Progress: forge.DeploymentRunning, Description: "1 of 2", URL: "https://davit.acme.example/1"}
}

func aProposal() forge.Proposal {
	return forge.Proposal{Repo: gitopsRepo, Branch: "davit/revert-1", Base: "main", Title: "Revert", Body: "body", Draft: true}
}

func anIssue() forge.Issue {
	return forge.Issue{Repo: gitopsRepo, Key: "drift-1", Title: "Drift", Body: "body"}
}

// noChecks answers that a commit has none.
func (h *hub) noChecks() {
	h.on("GET /repos/acme/gitops/commits/"+aCommit+"/check-runs", says(200, `{"total_count": 0, "check_runs": []}`))
}

// fields reads a request's body.
func fields[T any](t *testing.T, r request) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		t.Fatalf("read the body of %s: %v", r.what, err)
	}
	return v
}

// classOf is the class of an error, or "" of none; an error that is no *forge.Error is
// a mistake.
func classOf(t *testing.T, err error) forge.Class {
	t.Helper()
	if err == nil {
		return ""
	}
	e, is := err.(*forge.Error)
	if !is || e.Doing == "" || e.Err == nil {
		t.Fatalf("%v is a %T that does not say enough", err, err)
	}
	return cmp.Or(e.Class, "none")
}
