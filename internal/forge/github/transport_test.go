package github_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/forge/github"
	"github.com/davitops/davit/internal/gitops"
)

// TestRedirects holds that no redirect takes a JWT or a token to another host, port or
// scheme, and that nothing is asked there at all; the libraries alone do both
// (forges.md, finding 2).
func TestRedirects(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for name, call := range calls {
			for _, from := range []string{call.asks, "GET /repos/acme/gitops/installation", "POST /app/installations/7/access_tokens"} {
				for _, to := range []string{"https://mallory.example", "http://api.github.com", "https://api.github.com:8443", "https://api.github.com.mallory.example"} {
					h := newHub(t)
					h.noChecks()
					h.on(from, func(request) reply {
						return reply{status: status, header: map[string]string{"Location": to + "/stolen"}}
					})
					err := call.do(t, h.provider())
					for _, r := range h.asked {
						if strings.Contains(r.what, "stolen") {
							t.Errorf("%s: %d of %s to %s is followed, with %q", name, status, from, to, r.header.Get("Authorization"))
						}
					}
					if h.count(from) > 0 && err == nil {
						t.Errorf("%s: %d of %s to %s is no error", name, status, from, to)
					}
				}
			}
		}
	}
}

// TestRedirectsReal is the attack over real sockets: both libraries would hand over
// what they hold.
func TestRedirectsReal(t *testing.T) {
	t.Parallel()
	var stolen atomic.Int64
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		stolen.Add(1)
		t.Errorf("the thief got %q of %s", r.Header.Get("Authorization"), r.URL)
	}))
	defer thief.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/installation"):
			fmt.Fprint(w, `{"id": 7}`)
		case strings.HasSuffix(r.URL.Path, "/access_tokens"):
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"token": "ghs_CANARY", "expires_at": %q}`, time.Now().Add(time.Hour).Format(time.RFC3339))
		default:
			http.Redirect(w, r, thief.URL+"/stolen", http.StatusFound)
		}
	}))
	defer server.Close()
	g := newHub(t).provider(func(o *github.Options) { o.URL, o.Transport = server.URL, &http.Transport{DisableKeepAlives: true} })
	for _, name := range []string{"Repositories", "PullRequest"} { // the one with the JWT, the other with a token
		if got := classOf(t, calls[name].do(t, g)); got != forge.Refused {
			t.Errorf("%s: the class is %q", name, got)
		}
	}
	if stolen.Load() > 0 {
		t.Errorf("%d requests reached the thief", stolen.Load())
	}
}

// TestRenamed holds that a redirect within the API, as of a renamed repository, is
// followed, and that the pull request then has the new name.
func TestRenamed(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.on("GET /repos/acme/gitops/pulls/1", func(request) reply {
		return reply{status: 301, header: map[string]string{"Location": "https://API.github.com:443/repositories/5/pulls/1"}}
	})
	h.on("GET https://API.github.com:443/repositories/5/pulls/1", says(200, `{"number": 1, "state": "open", "base": {"ref": "main", "repo": {"full_name": "acme/fleet"}}}`))
	p, err := h.provider().PullRequest(t.Context(), gitopsRepo, 1)
	if err != nil || p.Repo.Path != "acme/fleet" || p.Base.Repo != p.Repo {
		t.Errorf("it is %+v, %v", p, err)
	}
	if got := h.asked[len(h.asked)-1].header.Get("Authorization"); got != "token ghs_CANARY.token.1" {
		t.Errorf("it is asked with %q", got)
	}
	h.on("GET /repos/acme/gitops/branches/old", func(request) reply {
		return reply{status: 301, header: map[string]string{"Location": "https://api.github.com/repositories/5/branches/new%2Fname"}}
	})
	h.on("GET /repositories/5/branches/new/name", says(200, `{"name": "new/name", "commit": {"sha": "`+aCommit+`"}}`))
	if commit, err := h.provider().Tip(t.Context(), gitopsRepo, "old"); err != nil || commit != aCommit {
		t.Errorf("a renamed branch is at %q, %v", commit, err)
	}
	h.on(calls["SaveComment"].asks, func(request) reply {
		return reply{status: 307, header: map[string]string{"Location": "https://api.github.com/repositories/5/issues/1/comments"}}
	})
	h.on("POST /repositories/5/issues/1/comments", says(201, `{"id": 5}`))
	if err := calls["SaveComment"].do(t, h.provider()); err != nil {
		t.Errorf("comment: %v", err)
	}
	if body := fields[map[string]string](t, h.last("POST /repositories/5/issues/1/comments"))["body"]; body != "body\n\n<!-- davit:review -->" {
		t.Errorf("the comment is sent on as %q", body)
	}
}

// TestLimits holds how GitHub's limits are read (forges.md A.7): as 403 and as 429,
// each until when it says, or for a minute.
func TestLimits(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	reset := func(at time.Duration) string { return fmt.Sprint(now.Add(at).Unix()) }
	secondary := `{"message": "You have exceeded a secondary rate limit.", "documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api"}`
	for name, c := range map[string]struct {
		header map[string]string
		body   string
		class  [2]forge.Class // of 403, of 429
		wait   time.Duration
	}{
		"retry-after":             {map[string]string{"Retry-After": "30"}, "", both(forge.Limited), 30 * time.Second},
		"retry-after, a date":     {map[string]string{"Retry-After": now.Add(90 * time.Second).Format(http.TimeFormat)}, "", both(forge.Limited), 90 * time.Second},
		"retry-after, nought":     {map[string]string{"Retry-After": "0"}, "", both(forge.Limited), time.Second},
		"retry-after, a year":     {map[string]string{"Retry-After": "31536000"}, "", both(forge.Limited), time.Hour},
		"retry-after comes first": {map[string]string{"Retry-After": "30", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset(20 * time.Minute)}, "", both(forge.Limited), 30 * time.Second},
		"nothing remains":         {map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset(20 * time.Minute)}, "", both(forge.Limited), 20 * time.Minute},
		"a reset that is over":    {map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset(-time.Minute)}, "", both(forge.Limited), time.Second},
		"a secondary limit":       {map[string]string{"X-RateLimit-Remaining": "4000", "X-RateLimit-Reset": reset(20 * time.Minute)}, secondary, both(forge.Limited), time.Minute},
		"words alone":             {nil, `{"message": "API rate limit exceeded for installation."}`, both(forge.Limited), time.Minute},
		"a permission":            {map[string]string{"X-RateLimit-Remaining": "4000"}, `{"message": "Resource not accessible by integration"}`, [2]forge.Class{forge.Forbidden, forge.Limited}, time.Minute},
		"noise":                   {map[string]string{"Retry-After": "soon"}, `<html>`, [2]forge.Class{forge.Forbidden, forge.Limited}, time.Minute},
	} {
		for i, status := range []int{403, 429} {
			h := newHub(t)
			h.on(calls["PullRequest"].asks, func(request) reply { return reply{status: status, body: c.body, header: c.header} })
			err := calls["PullRequest"].do(t, h.provider(func(o *github.Options) { o.Now = func() time.Time { return now } }))
			if got := classOf(t, err); got != c.class[i] {
				t.Errorf("%s, %d: the class is %q, want %q", name, status, got, c.class[i])
			}
			if until := err.(*forge.Error).Until; c.class[i] == forge.Limited && !until.Equal(now.Add(c.wait)) {
				t.Errorf("%s, %d: until %s, want %s", name, status, until, now.Add(c.wait))
			}
			if n := h.count(calls["PullRequest"].asks); n != 1 {
				t.Errorf("%s, %d: it was asked %d times", name, status, n)
			}
		}
	}
}

func both(c forge.Class) [2]forge.Class { return [2]forge.Class{c, c} }

// TestAfterLimit holds that nothing is asked until a limit is over, of that
// installation alone; and that a limit without an end lasts longer each time.
func TestAfterLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		h.on("GET /repos/other/gitops/installation", says(200, `{"id": 8}`))
		h.on("POST /app/installations/8/access_tokens", h.mint)
		h.on("GET /repos/other/gitops/pulls/1", says(200, `{"number": 1}`))
		what := calls["PullRequest"].asks
		h.on(what, says(429, ""))
		g := h.provider()
		for i, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
			for _, name := range []string{"PullRequest", "PullRequests", "SaveComment", "React", "MayWrite"} {
				err := calls[name].do(t, g)
				if left := time.Until(err.(*forge.Error).Until); classOf(t, err) != forge.Limited || left != want {
					t.Errorf("limit %d, %s: %v, for %s", i, name, err, left)
				}
			}
			if _, err := g.PullRequest(t.Context(), gitops.Repo{Forge: "github", Path: "other/gitops"}, 1); err != nil {
				t.Errorf("limit %d: of another installation: %v", i, err)
			}
			if h.count(what) != i+1 || h.count("POST "+calls["React"].asks) > 0 {
				t.Errorf("limit %d: it was asked %d times", i, h.count(what))
			}
			<-time.After(want)
		}
		h.on(what, says(200, `{"number": 1}`))
		if err := calls["PullRequest"].do(t, g); err != nil {
			t.Errorf("after the limits: %v", err)
		}
		h.on(what, says(429, ""))
		if err := calls["PullRequest"].do(t, g); time.Until(err.(*forge.Error).Until) != time.Minute {
			t.Errorf("after a success: %v", err)
		}
	})
}

// TestOneBook holds that the last request of a budget is no limit yet: go-github's own
// book would not even ask again, by its own clock (forges.md A.7).
func TestOneBook(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	what := calls["PullRequest"].asks
	h.on(what, func(request) reply {
		return reply{status: 200, body: `{"number": 1}`, header: map[string]string{
			"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": fmt.Sprint(time.Now().Add(time.Hour).Unix()),
		}}
	})
	g := h.provider()
	for range 2 {
		if err := calls["PullRequest"].do(t, g); err != nil {
			t.Errorf("read: %v", err)
		}
	}
	if h.count(what) != 2 {
		t.Errorf("it was asked %d times", h.count(what))
	}
}

// TestTokenLimit holds that a limit on getting tokens is one.
func TestTokenLimit(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.on("POST /app/installations/7/access_tokens", func(request) reply {
		return reply{status: 403, header: map[string]string{"Retry-After": "30"}}
	})
	for _, name := range []string{"PullRequest", "Source"} {
		if got := classOf(t, calls[name].do(t, h.provider())); got != forge.Limited {
			t.Errorf("%s: the class is %q", name, got)
		}
	}
}

// TestRetries counts what is asked again: what reads, and edits that say all; never
// what creates or adds (forges.md, finding 5).
func TestRetries(t *testing.T) {
	t.Parallel()
	const (
		read    = "GET /repos/acme/gitops/pulls/1"
		post    = "POST /repos/acme/gitops/issues/1/comments"
		edit    = "PATCH /repos/acme/gitops/issues/comments/5"
		check   = "POST /repos/acme/gitops/check-runs"
		state   = "PATCH /repos/acme/gitops/check-runs/6"
		react   = "POST /repos/acme/gitops/issues/comments/5/reactions"
		attempt = "POST /app/hook/deliveries/1/attempts"

		remark   = "POST /repos/acme/gitops/commits/" + aCommit + "/comments"
		deploy   = "POST /repos/acme/gitops/deployments"
		deployed = "POST /repos/acme/gitops/deployments/8/statuses"
		propose  = "POST /repos/acme/gitops/pulls"
		open     = "POST /repos/acme/gitops/issues"
	)
	broken := errors.New("connection reset by peer")
	bad := reply{status: 502, body: "<html>"}
	for name, c := range map[string]struct {
		call, what string
		replies    []reply
		asked      int
		class      forge.Class
	}{
		"reading, 502 twice":            {"PullRequest", read, []reply{bad, bad, {status: 200, body: `{"number": 1}`}}, 3, ""},
		"reading, 502 for good":         {"PullRequest", read, []reply{bad}, 3, forge.Unavailable},
		"reading, no connection twice":  {"PullRequest", read, []reply{{err: broken}, {err: broken}, {status: 200, body: `{}`}}, 3, ""},
		"reading, no connection":        {"PullRequest", read, []reply{{err: broken}}, 3, forge.Unavailable},
		"reading, half an answer once":  {"PullRequest", read, []reply{{status: 200, slow: halves{}}, {status: 200, body: `{}`}}, 2, ""},
		"reading, no JSON":              {"PullRequest", read, []reply{{status: 200, body: "<html>"}}, 1, forge.Unavailable},
		"reading, 503 with retry-after": {"PullRequest", read, []reply{{status: 503, header: map[string]string{"Retry-After": "3600"}}}, 1, forge.Unavailable},
		"reading, 501":                  {"PullRequest", read, []reply{{status: 501}}, 1, forge.Unavailable},
		"reading, 404":                  {"PullRequest", read, []reply{{status: 404}}, 1, forge.Gone},
		"reading, 410":                  {"PullRequest", read, []reply{{status: 410}}, 1, forge.Gone},
		"reading, 408":                  {"PullRequest", read, []reply{{status: 408}}, 1, forge.Unavailable},
		"commenting, 502":               {"SaveComment", post, []reply{bad}, 1, forge.Unavailable},
		"commenting, no connection":     {"SaveComment", post, []reply{{err: broken}}, 1, forge.Unavailable},
		"commenting, 422":               {"SaveComment", post, []reply{{status: 422, body: `{"message": "Validation Failed"}`}}, 1, forge.Refused},
		"commenting, 403":               {"SaveComment", post, []reply{{status: 403, body: `{"message": "Resource not accessible by integration"}`}}, 1, forge.Forbidden},
		"editing, 502 twice":            {"edit", edit, []reply{bad, bad, {status: 200, body: `{"id": 5}`}}, 3, ""},
		"editing, 502 for good":         {"edit", edit, []reply{bad}, 3, forge.Unavailable},
		"a new check, 502":              {"SaveCheck", check, []reply{bad}, 1, forge.Unavailable},
		"annotating, 502":               {"annotate", state, []reply{bad}, 1, forge.Unavailable},
		"reacting, 500":                 {"React", react, []reply{{status: 500}}, 1, forge.Unavailable},
		"redelivering, 500":             {"Redeliver", attempt, []reply{{status: 500}}, 1, forge.Unavailable},
		"on a commit, 502":              {"SaveComment on a commit", remark, []reply{bad}, 1, forge.Unavailable},
		"deploying, 502":                {"SaveDeployment", deploy, []reply{bad}, 1, forge.Unavailable},
		"deploying, 409":                {"SaveDeployment", deploy, []reply{{status: 409}}, 1, forge.Refused},
		"saying so, 502":                {"SaveDeployment", deployed, []reply{bad}, 1, forge.Unavailable},
		"proposing, 502":                {"Propose", propose, []reply{bad}, 1, forge.Unavailable},
		"proposing, no connection":      {"Propose", propose, []reply{{err: broken}}, 1, forge.Unavailable},
		"proposing, 403":                {"Propose", propose, []reply{{status: 403, body: `{"message": "Resource not accessible by integration"}`}}, 1, forge.Forbidden},
		"opening an issue, 502":         {"SaveIssue", open, []reply{bad}, 1, forge.Unavailable},
		"opening an issue, 410":         {"SaveIssue", open, []reply{{status: 410}}, 1, forge.Gone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHub(t)
				h.noChecks()
				h.on("GET /app/hook/deliveries", says(200, fmt.Sprintf(`[{"id": 1, "guid": "a", "status_code": 500, "delivered_at": %q}]`, time.Now().Add(-2*time.Minute).Format(time.RFC3339))))
				h.on(check, says(201, `{"id": 6}`))
				h.on(deploy, says(201, `{"id": 8}`))
				call, long := calls[c.call].do, aCheck()
				switch c.call {
				case "edit":
					h.on("GET /repos/acme/gitops/issues/1/comments", says(200, `[{"id": 5, "user": {"id": 99}, "body": "old\n\n<!-- davit:review -->"}]`))
					call = calls["SaveComment"].do
				case "annotate":
					long.Annotations = make([]forge.Annotation, 60)
					call = func(t *testing.T, g *github.GitHub) error {
						_, err := g.SaveCheck(t.Context(), long)
						return err
					}
				}
				h.on(c.what, inTurn(c.replies...))
				began := time.Now()
				if got := classOf(t, call(t, h.provider())); got != c.class {
					t.Errorf("the class is %q, want %q", got, c.class)
				}
				if n := h.count(c.what); n != c.asked {
					t.Errorf("it was asked %d times, want %d", n, c.asked)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

// halves is an answer that ends early.
type halves struct{}

func (halves) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestTimeout holds that an answer that does not come, or does not end, is given up,
// and not asked for again.
func TestTimeout(t *testing.T) {
	t.Parallel()
	for _, half := range []bool{false, true} {
		var asked atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			if half {
				fmt.Fprint(w, `{"id"`)
				w.(http.Flusher).Flush()
			}
			<-r.Context().Done()
		}))
		defer server.Close()
		g := newHub(t).provider(func(o *github.Options) {
			o.URL, o.Transport, o.Timeout = server.URL, &http.Transport{DisableKeepAlives: true}, 2*time.Second
		})
		if got := classOf(t, calls["PullRequest"].do(t, g)); got != forge.Unavailable || asked.Load() != 1 {
			t.Errorf("the class is %q after %d requests", got, asked.Load())
		}
	}
}

// endless is an answer without an end.
type endless struct{ read *atomic.Int64 }

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read.Add(int64(len(p)))
	return len(p), nil
}

// TestHugeAnswer holds that an answer is read up to a bound, once.
func TestHugeAnswer(t *testing.T) {
	t.Parallel()
	h, read := newHub(t), &atomic.Int64{}
	h.on(calls["PullRequest"].asks, func(request) reply { return reply{status: 200, slow: endless{read}} })
	if got := classOf(t, calls["PullRequest"].do(t, h.provider())); got != forge.Unavailable || h.count(calls["PullRequest"].asks) != 1 {
		t.Errorf("the class is %q after %d requests", got, h.count(calls["PullRequest"].asks))
	}
	if read.Load() > 70<<20 {
		t.Errorf("%d bytes were read", read.Load())
	}
}

// TestFreshToken holds that a token that is not taken any more is replaced once, with
// the request sent again in full, and that the next such answer is the last.
func TestFreshToken(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	what := calls["SaveComment"].asks
	h.on(what, func(r request) reply {
		if r.header.Get("Authorization") != "token ghs_CANARY.token.2" {
			return reply{status: 401, body: `{"message": "Bad credentials"}`}
		}
		return reply{status: 201, body: `{"id": 5}`}
	})
	if err := calls["SaveComment"].do(t, h.provider()); err != nil || h.count(what) != 2 {
		t.Fatalf("%v after %d requests", err, h.count(what))
	}
	if body := fields[map[string]string](t, h.last(what))["body"]; body != "body\n\n<!-- davit:review -->" {
		t.Errorf("it is sent again as %q", body)
	}
	if body := h.last("POST /app/installations/7/access_tokens").body; strings.TrimSpace(body) != "{}" {
		t.Errorf("the token is asked for with %q", body) // the library alone sends null
	}
	h = newHub(t)
	h.on(what, says(401, `{"message": "Bad credentials"}`))
	if got := classOf(t, calls["SaveComment"].do(t, h.provider())); got != forge.Forbidden || h.count(what) != 2 || h.minted != 2 {
		t.Errorf("the class is %q after %d requests and %d tokens", got, h.count(what), h.minted)
	}
}

// TestInstallations holds what becomes of an installation that goes, is suspended or
// moves: an error of its class, and another look the next time.
func TestInstallations(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	g := h.provider()
	what := calls["PullRequest"].asks
	h.on(what, says(200, `{"number": 1}`))
	read := func() forge.Class { return classOf(t, calls["PullRequest"].do(t, g)) }
	if got := read() + read(); got != "" || h.count("GET /repos/acme/gitops/installation") != 1 {
		t.Errorf("the class is %q, it was looked up %d times", got, h.count("GET /repos/acme/gitops/installation"))
	}
	h.on(what, says(404, "")) // as it is to an installation that has it no more
	if got := read(); got != forge.Gone {
		t.Errorf("the class is %q", got)
	}
	h.on("GET /repos/acme/gitops/installation", says(200, `{"id": 8}`))
	h.on("POST /app/installations/8/access_tokens", h.mint)
	h.on(what, says(200, `{"number": 1}`))
	if got := read(); got != "" || h.last(what).header.Get("Authorization") != "token ghs_CANARY.token.2" {
		t.Errorf("the class is %q, asked with %q", got, h.last(what).header.Get("Authorization"))
	}
	for status, want := range map[int]forge.Class{404: forge.Gone, 403: forge.Forbidden, 401: forge.Forbidden, 500: forge.Unavailable} {
		h := newHub(t)
		h.on("POST /app/installations/7/access_tokens", says(status, `{"message": "no"}`))
		for _, name := range []string{"PullRequest", "SaveComment", "Source"} {
			if got := classOf(t, calls[name].do(t, h.provider())); got != want {
				t.Errorf("%s: %d for a token: the class is %q, want %q", name, status, got, want)
			}
		}
	}
	h = newHub(t)
	h.on("GET /repos/acme/gitops/installation", says(200, `{"id": 7, "suspended_at": "2026-01-02T03:04:05Z"}`))
	for _, name := range []string{"PullRequest", "SaveComment", "Source"} {
		if got := classOf(t, calls[name].do(t, h.provider())); got != forge.Forbidden || h.minted > 0 {
			t.Errorf("%s: suspended: the class is %q", name, got)
		}
	}
}

// TestSecrets holds that no error and no log has a token, a JWT or the key, whatever
// goes wrong.
func TestSecrets(t *testing.T) {
	t.Parallel()
	for _, bad := range []reply{
		{status: 401, body: `{"message": "Bad credentials"}`}, {status: 403}, {status: 404}, {status: 422, body: `{"message": "no", "errors": [{"code": "custom"}]}`},
		{status: 429}, {status: 500}, {status: 200, body: `{"token": 5, "id": "text"}`}, {status: 200, body: `{"token": ""}`}, {status: 200, body: `[`}, {err: errors.New("reset")},
		{status: 302, header: map[string]string{"Location": "https://mallory.example/"}}, {status: 302}, {status: 302, header: map[string]string{"Location": ":"}},
	} {
		for name, call := range calls {
			for _, from := range []string{call.asks, "GET /repos/acme/gitops/installation", "POST /app/installations/7/access_tokens"} {
				synctest.Test(t, func(t *testing.T) {
					h := newHub(t)
					h.noChecks()
					h.on(from, func(request) reply { return bad })
					said := h.log.String()
					if err := call.do(t, h.provider()); err != nil {
						said += err.Error() + fmt.Sprintf("%+v %#v", err, errors.Unwrap(err))
					}
					if found := tokens.FindString(said); found != "" || strings.Contains(said, "CANARY") || strings.Contains(said, "PRIVATE KEY") || strings.Contains(said, secret) {
						t.Errorf("%s, %v of %s: %q is in %s", name, bad, from, found, said)
					}
				})
			}
		}
	}
}

// TestPace holds that an installation creates one thing a second, that a few after a
// pause do not wait, and that nothing else does.
func TestPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		h.on(calls["React"].asks, says(201, `{"id": 1}`))
		h.on(calls["PullRequest"].asks, says(200, `{"number": 1}`))
		g := h.provider(func(o *github.Options) { o.Spacing = 0 })
		began := time.Now()
		do := func(name string, want time.Duration) {
			t.Helper()
			if err := calls[name].do(t, g); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(began); took != want {
				t.Errorf("%s is done after %s, want %s", name, took, want)
			}
		}
		for range 20 {
			do("React", 0)
		}
		do("PullRequest", 0)
		do("React", time.Second)
		do("React", 2*time.Second)
		<-time.After(10 * time.Second)
		for range 10 {
			do("React", 12*time.Second)
		}
		do("React", 13*time.Second)

		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := g.React(ctx, forge.Reaction{Repo: gitopsRepo, Number: 1, Comment: "5", Emoji: forge.Eyes})
		if classOf(t, err) != forge.Unavailable || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 13*time.Second+100*time.Millisecond {
			t.Errorf("waiting with a deadline: %v after %s", err, time.Since(began))
		}
	})
}

// react reacts in a repository of an organisation.
func react(ctx context.Context, g *github.GitHub, owner string) error {
	repo := gitops.Repo{Forge: "github", Path: owner + "/gitops"}
	return g.React(ctx, forge.Reaction{Repo: repo, Number: 1, Comment: "5", Emoji: forge.Eyes})
}

// TestLine holds that few callers of an installation wait for it to create something,
// and that any other is told at once when its turn is likely. Reads and other
// installations go on.
func TestLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		h.on(calls["React"].asks, says(201, `{"id": 1}`))
		h.on(calls["PullRequest"].asks, says(200, `{"number": 1}`))
		h.on("GET /repos/others/gitops/installation", says(200, `{"id": 8}`))
		h.on("POST /app/installations/8/access_tokens", h.mint)
		h.on("POST /repos/others/gitops/issues/comments/5/reactions", says(201, `{"id": 1}`))
		g := h.provider(func(o *github.Options) { o.Spacing = 0 })
		for range 20 { // what needs no pause
			if err := react(t.Context(), g, "acme"); err != nil {
				t.Fatalf("react: %v", err)
			}
		}
		began := time.Now()
		var all sync.WaitGroup
		done, refused := make(chan time.Duration, 40), make(chan error, 40)
		for range 40 {
			all.Go(func() {
				if err := react(t.Context(), g, "acme"); err != nil {
					refused <- err
					return
				}
				done <- time.Since(began)
			})
		}
		synctest.Wait()
		if len(refused) != 36 {
			t.Errorf("%d are refused at once, want 36", len(refused))
		}
		for range len(refused) {
			err := <-refused
			if classOf(t, err) != forge.Limited || !err.(*forge.Error).Until.Equal(began.Add(5*time.Second)) {
				t.Errorf("one that is refused: %v, want to wait for 5s", err)
			}
		}
		if err := errors.Join(calls["PullRequest"].do(t, g), react(t.Context(), g, "others")); err != nil || time.Since(began) > 0 {
			t.Errorf("besides: %v after %s", err, time.Since(began))
		}
		all.Wait()
		for i := range len(done) {
			if took := <-done; took != time.Duration(i+1)*time.Second {
				t.Errorf("the %d. in line is done after %s", i+1, took)
			}
		}
		<-time.After(time.Second)
		if err := react(t.Context(), g, "acme"); err != nil || time.Since(began) != 5*time.Second {
			t.Errorf("one that comes back: %v after %s", err, time.Since(began))
		}
	})
}

// TestLineIsLeft holds that whoever gives up waiting has no place any more.
func TestLineIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		h.on(calls["React"].asks, says(201, `{"id": 1}`))
		g := h.provider(func(o *github.Options) { o.Spacing = time.Hour })
		for range 20 {
			if err := react(t.Context(), g, "acme"); err != nil {
				t.Fatalf("react: %v", err)
			}
		}
		for range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					if err := react(ctx, g, "acme"); !errors.Is(err, context.Canceled) {
						t.Errorf("react: %v", err)
					}
				})
			}
			synctest.Wait()
			if got := classOf(t, react(t.Context(), g, "acme")); got != forge.Limited {
				t.Errorf("behind four, the class is %q", got)
			}
			cancel()
			all.Wait()
			if err := react(t.Context(), g, "acme"); err != nil {
				t.Errorf("after they have left: %v", err)
			}
		}
	})
}

// TestOneWriteAtATime holds that no two writes of an installation overlap, and that
// those of two do.
func TestOneWriteAtATime(t *testing.T) {
	t.Parallel()
	var now, most, other atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/installation"):
			fmt.Fprintf(w, `{"id": %d}`, 7+len(strings.Split(r.URL.Path, "/")[4])) // by the length of the owner
		case strings.HasSuffix(r.URL.Path, "/access_tokens"):
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"token": "ghs_CANARY", "expires_at": %q}`, time.Now().Add(time.Hour).Format(time.RFC3339))
		default:
			if strings.Contains(r.URL.Path, "/others/") {
				other.Add(1)
			} else {
				most.Store(max(most.Load(), now.Add(1)))
				defer now.Add(-1)
			}
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"id": 1}`)
		}
	}))
	defer server.Close()
	g := newHub(t).provider(func(o *github.Options) { o.URL, o.Transport = server.URL, &http.Transport{DisableKeepAlives: true} })
	var all sync.WaitGroup
	for range 5 {
		for range 4 { // as many as may be in line
			for _, owner := range []string{"acme", "others"} {
				all.Go(func() {
					if err := react(t.Context(), g, owner); err != nil {
						t.Errorf("react: %v", err)
					}
				})
			}
		}
		all.Wait()
	}
	if most.Load() != 1 || other.Load() != 20 {
		t.Errorf("%d at a time, %d of the other", most.Load(), other.Load())
	}
}

// TestETag holds that what did not change is asked for by its tag and costs nothing,
// per installation; and that nothing else is remembered.
func TestETag(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	pages := map[string]string{
		"page=2": `[{"number": 2, "state": "open"}]`,
		"":       `[{"number": 1, "state": "open"}]`,
	}
	listed := func(r request) reply {
		page := ""
		if strings.Contains(r.query, "&page=2") {
			page = "page=2"
		}
		tag := fmt.Sprintf(`"%x"`, pages[page])
		given := reply{status: 200, body: pages[page], header: map[string]string{"Etag": tag}}
		if r.header.Get("If-None-Match") == tag {
			return reply{status: 304, header: map[string]string{"Etag": tag}}
		}
		if page == "" {
			given.header["Link"] = `<https://api.github.com/repositories/5/pulls?page=2>; rel="next"`
		}
		return given
	}
	h.on("GET /repos/acme/gitops/pulls", listed)
	g := h.provider()
	list := func() string {
		t.Helper()
		open, err := g.PullRequests(t.Context(), gitopsRepo)
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		text := ""
		for _, p := range open {
			text += fmt.Sprint(p.Number, " ", p.Title, ";")
		}
		return text
	}
	for range 3 {
		if got := list(); got != "1 ;2 ;" {
			t.Errorf("the list is %q", got)
		}
	}
	if tag := h.last("GET /repos/acme/gitops/pulls").header.Get("If-None-Match"); tag == "" {
		t.Error("it is asked for without a tag")
	}
	pages["page=2"] = `[{"number": 2, "state": "open", "title": "new"}]`
	if got := list(); got != "1 ;2 new;" {
		t.Errorf("after a change the list is %q", got)
	}
	h.on("GET /repos/acme/gitops/pulls", says(404, ""))
	if _, err := g.PullRequests(t.Context(), gitopsRepo); classOf(t, err) != forge.Gone {
		t.Errorf("a repository that moved: %v", err)
	}
	h.on("GET /repos/acme/gitops/installation", says(200, `{"id": 8}`))
	h.on("POST /app/installations/8/access_tokens", h.mint)
	h.on("GET /repos/acme/gitops/pulls", listed)
	if got := list(); got != "1 ;2 new;" || h.last("GET /repos/acme/gitops/pulls").header.Get("If-None-Match") != "" {
		t.Errorf("another installation has the list %q", got)
	}
	what := "GET /repos/acme/gitops/collaborators/alice/permission"
	h.on(what, func(request) reply {
		return reply{status: 200, body: `{"permission": "write", "user": {"id": 1}}`, header: map[string]string{"Etag": `"x"`}}
	})
	for range 2 {
		if may, err := g.MayWrite(t.Context(), gitopsRepo, gitops.Actor{ID: "1", Login: "alice"}); err != nil || !may || h.last(what).header.Get("If-None-Match") != "" {
			t.Errorf("a permission: %v, %v, asked for with %q", may, err, h.last(what).header.Get("If-None-Match"))
		}
	}
}

// TestOptions holds what New refuses, without a word of the key.
func TestOptions(t *testing.T) {
	t.Parallel()
	good := github.Options{Name: "github", URL: "https://github.com", AppID: 1, Key: appKey(), Secrets: [][]byte{[]byte("s")}, Transport: newHub(t)}
	if _, err := github.New(good); err != nil {
		t.Fatalf("without anything that can be left out: %v", err)
	}
	for what, change := range map[string]func(*github.Options){
		"no name":         func(o *github.Options) { o.Name = "" },
		"no app":          func(o *github.Options) { o.AppID = 0 },
		"no transport":    func(o *github.Options) { o.Transport = nil },
		"no secret":       func(o *github.Options) { o.Secrets = nil },
		"an empty secret": func(o *github.Options) { o.Secrets = [][]byte{[]byte("s"), {}} },
		"no key":          func(o *github.Options) { o.Key = nil },
		"a key that is none": func(o *github.Options) {
			o.Key = []byte("-----BEGIN RSA PRIVATE KEY-----\nCANARY\n-----END RSA PRIVATE KEY-----\n")
		},
		"no URL":         func(o *github.Options) { o.URL = "" },
		"no scheme":      func(o *github.Options) { o.URL = "github.com" },
		"another scheme": func(o *github.Options) { o.URL = "file:///etc" },
		"a password":     func(o *github.Options) { o.APIURL = "https://user:CANARY@github.com" },
		"a query":        func(o *github.Options) { o.URL = "https://github.com?x=CANARY" },
	} {
		o := good
		change(&o)
		if _, err := github.New(o); err == nil || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestAddresses holds where the API and git are (forges.md A.14).
func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ url, api, asked, source string }{
		{"https://github.com", "", "GET /repos/acme/gitops/installation", "https://github.com/acme/gitops.git"},
		{"https://github.com/", "", "GET /repos/acme/gitops/installation", "https://github.com/acme/gitops.git"},
		{"https://git.acme.example", "", "GET https://git.acme.example/api/v3/repos/acme/gitops/installation", "https://git.acme.example/acme/gitops.git"},
		{"https://acme.ghe.example", "https://api.acme.ghe.example/", "GET https://api.acme.ghe.example/repos/acme/gitops/installation", "https://acme.ghe.example/acme/gitops.git"},
	} {
		h := newHub(t)
		prefix := strings.TrimSuffix(c.asked, "/repos/acme/gitops/installation")
		h.on(c.asked, says(200, `{"id": 7}`))
		h.on("POST"+strings.TrimPrefix(prefix, "GET")+"/app/installations/7/access_tokens", h.mint)
		h.on(prefix+"/repos/acme/gitops/pulls/1", says(200, `{"number": 1}`))
		if prefix == "GET " {
			h.on("POST /app/installations/7/access_tokens", h.mint)
		}
		g := h.provider(func(o *github.Options) { o.URL, o.APIURL, o.Log = c.url, c.api, slog.New(slog.DiscardHandler) })
		if err := calls["PullRequest"].do(t, g); err != nil {
			t.Errorf("%s: %v of %v", c.url, err, h.asked)
		}
		if source, err := g.Source(t.Context(), gitopsRepo); err != nil || source.URL != c.source || source.User != "x-access-token" {
			t.Errorf("%s: git has %q, %v", c.url, source.URL, err)
		}
	}
}
