package githubsim

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The App's own credential (forges.md A.8).
func TestJWT(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	with := func(name string, value any) object {
		said := claims(now)
		said[name] = value
		return said
	}
	for name, test := range map[string]struct {
		credential string
		want       int
	}{
		"good":               {jwt(t, key(), claims(now)), http.StatusOK},
		"id in quotes":       {jwt(t, key(), with("iss", fmt.Sprint(appID))), http.StatusOK},
		"another App":        {jwt(t, key(), with("iss", 1)), http.StatusUnauthorized},
		"another key":        {jwt(t, stranger, claims(now)), http.StatusUnauthorized},
		"from the future":    {jwt(t, key(), with("iat", now.Add(time.Minute).Unix())), http.StatusUnauthorized},
		"expired":            {jwt(t, key(), with("exp", now.Add(-time.Second).Unix())), http.StatusUnauthorized},
		"lives too long":     {jwt(t, key(), with("exp", now.Add(11*time.Minute).Unix())), http.StatusUnauthorized},
		"no time at all":     {jwt(t, key(), object{"iss": appID}), http.StatusUnauthorized},
		"not a JWT":          {"nothing", http.StatusUnauthorized},
		"a person":           {"user-alice", http.StatusUnauthorized},
		"an installation":    {strings.TrimPrefix(w.authorization("bot"), "token "), http.StatusUnauthorized},
		"signature of three": {jwt(t, key(), claims(now)) + "x", http.StatusUnauthorized},
	} {
		if got := w.request("GET", "/app", "Bearer "+test.credential, nil, nil); got.status != test.want {
			t.Errorf("%s: %d %v, want %d", name, got.status, got.body, test.want)
		}
	}
	if got := w.do("", "GET", "/app", nil); got.status != http.StatusUnauthorized {
		t.Errorf("nobody: %d", got.status)
	}
	if got := w.do("app", "GET", gitops+"/pulls", nil); got.status != http.StatusForbidden {
		t.Errorf("the App where an installation is wanted: %d", got.status)
	}
}

func (w *world) token(body any) reply {
	w.t.Helper()
	return w.do("app", "POST", fmt.Sprintf("/app/installations/%d/access_tokens", w.installation()), body)
}

func TestTokenIsLongAndLivesAnHour(t *testing.T) {
	t.Parallel()
	var late atomic.Int64
	w := newWorld(t, usualSeed, func(o *Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
	})
	got := w.token(nil)
	token := got.text("token")
	if len(token) < 480 || !strings.HasPrefix(token, fmt.Sprintf("ghs_%d_", appID)) || strings.Count(token, ".") != 2 {
		t.Errorf("the token is %d characters, %.20s… (forges.md 0.6)", len(token), token)
	}
	w.must(http.StatusOK, token, "GET", "/installation/repositories", nil)
	late.Store(int64(59 * time.Minute))
	w.must(http.StatusOK, token, "GET", "/installation/repositories", nil)
	late.Store(int64(60 * time.Minute))
	w.must(http.StatusUnauthorized, token, "GET", "/installation/repositories", nil)
	if _, err := git("", "ls-remote", strings.Replace(w.url, "http://", "http://x-access-token:"+token+"@", 1)+"/acme/gitops.git"); err == nil {
		t.Error("git takes an expired token")
	}
}

// A token is good for what it was asked for and no more (forges.md A.8).
func TestTokenScope(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	_, n := w.pull("more")
	comments := fmt.Sprintf("%s/issues/%d/comments", gitops, n)
	said := object{"body": "a"}
	whole := w.token(nil).text("token")
	reads := w.token(object{"permissions": object{"contents": "read", "pull_requests": "read"}}).text("token")
	other := w.token(object{"repositories": []string{"public"}}).text("token")
	for name, test := range map[string]struct {
		token, method, path string
		body                any
		want                int
	}{
		"all may comment":                  {whole, "POST", comments, said, http.StatusCreated},
		"reading may not merge":            {reads, "PUT", fmt.Sprintf("%s/pulls/%d/merge", gitops, n), object{}, http.StatusForbidden},
		"reading may read":                 {reads, "GET", comments, nil, http.StatusOK},
		"reading may not comment":          {reads, "POST", comments, said, http.StatusForbidden},
		"reading has no checks":            {reads, "GET", gitops + "/commits/main/check-runs", nil, http.StatusForbidden},
		"another repository is not there":  {other, "GET", gitops, nil, http.StatusNotFound},
		"not installed, private":           {whole, "GET", "/repos/acme/secret", nil, http.StatusNotFound},
		"its own":                          {other, "GET", "/repos/acme/public", nil, http.StatusOK},
		"unknown repository":               {whole, "GET", "/repos/acme/nothing", nil, http.StatusNotFound},
		"unknown token":                    {"ghs_1", "GET", gitops, nil, http.StatusUnauthorized},
		"a person lists no installation":   {"alice", "GET", "/installation/repositories", nil, http.StatusForbidden},
		"permission is metadata":           {reads, "GET", gitops + "/collaborators/bob/permission", nil, http.StatusOK},
		"a token of a token":               {whole, "POST", fmt.Sprintf("/app/installations/%d/access_tokens", w.installation()), object{}, http.StatusUnauthorized},
		"what was not granted":             {"app", "POST", fmt.Sprintf("/app/installations/%d/access_tokens", w.installation()), object{"permissions": object{"members": "write"}}, http.StatusUnprocessableEntity},
		"a repository it was not given":    {"app", "POST", fmt.Sprintf("/app/installations/%d/access_tokens", w.installation()), object{"repositories": []string{"secret"}}, http.StatusUnprocessableEntity},
		"an id it was not given":           {"app", "POST", fmt.Sprintf("/app/installations/%d/access_tokens", w.installation()), object{"repository_ids": []int{1}}, http.StatusUnprocessableEntity},
		"an installation that is not here": {"app", "POST", "/app/installations/1/access_tokens", object{}, http.StatusNotFound},
		"none on this repository":          {"app", "GET", "/repos/acme/secret/installation", nil, http.StatusNotFound},
	} {
		if got := w.do(test.token, test.method, test.path, test.body); got.status != test.want {
			t.Errorf("%s: %d %v, want %d", name, got.status, got.body, test.want)
		}
	}
	if got := w.do(other, "GET", "/installation/repositories", nil); got.at("total_count") != 1.0 || got.text("repository_selection") != "selected" {
		t.Errorf("the repositories of a token for one: %v", got.body)
	}
}

func TestSuspended(t *testing.T) {
	t.Parallel()
	w := newWorld(t, strings.Replace(usualSeed, "acme/public]}", "acme/public], suspended: true}", 1))
	if got := w.token(nil); got.status != http.StatusForbidden {
		t.Errorf("a token of a suspended installation: %d (forges.md A.8)", got.status)
	}
	if got := w.must(http.StatusOK, "app", "GET", "/app/installations", nil); got.list[0]["suspended_at"] == nil {
		t.Error("the installation does not say that it is suspended")
	}
	c := w.clone("alice", "acme/gitops")
	c.commit("main", "a", "b")
	c.push("main")
	wantStrings(t, "events", w.events())
}

func TestSeveralInstallations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed+"  - {account: mallory, repositories: all, permissions: {metadata: read, contents: read}}\n")
	got := w.must(http.StatusOK, "app", "GET", "/app/installations?per_page=1", nil)
	if len(got.list) != 1 || !strings.Contains(got.header.Get("Link"), `page=2`) {
		t.Fatalf("the first page: %d and Link %q", len(got.list), got.header.Get("Link"))
	}
	got = w.must(http.StatusOK, "app", "GET", "/app/installations?per_page=1&page=2", nil)
	made := w.must(http.StatusCreated, "app", "POST", fmt.Sprintf("/app/installations/%.0f/access_tokens", got.list[0]["id"]), nil)
	if repos := w.must(http.StatusOK, made.text("token"), "GET", "/installation/repositories", nil); repos.at("total_count") != 1.0 {
		t.Errorf("the repositories of mallory's: %v", repos.body)
	}
	w.must(http.StatusNotFound, made.text("token"), "GET", gitops, nil)
	w.must(http.StatusForbidden, made.text("token"), "GET", "/repos/mallory/gitops/pulls", nil) // it was granted contents alone
	w.must(http.StatusOK, made.text("token"), "GET", "/repos/mallory/gitops/branches/main", nil)
}

// What persons may do (forges.md A.10 of permissions, E.7 of their use).
func TestPersons(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c, n := w.pull("more")
	pull, issue := fmt.Sprintf("%s/pulls/%d", gitops, n), fmt.Sprintf("%s/issues/%d", gitops, n)
	head := c.git("rev-parse", "HEAD")
	if got := w.request("GET", gitops, "Bearer user-alice", nil, nil); got.status != http.StatusOK || got.at("permissions.push") != true {
		t.Errorf("alice as a bearer: %d %v", got.status, got.at("permissions"))
	}
	for name, test := range map[string]struct {
		who, method, path string
		body              any
		want              int
	}{
		"a stranger sees no private repository": {"mallory", "GET", "/repos/acme/secret", nil, http.StatusNotFound},
		"a member reads":                        {"bob", "GET", "/repos/acme/secret", nil, http.StatusOK},
		"an owner reads":                        {"carol", "GET", "/repos/acme/secret", nil, http.StatusOK},
		"who is nobody":                         {"nobody", "GET", gitops, nil, http.StatusUnauthorized},
		"an organisation":                       {"acme", "GET", gitops, nil, http.StatusUnauthorized},
		"a reader comments":                     {"mallory", "POST", issue + "/comments", object{"body": "a"}, http.StatusCreated},
		"a reader labels nothing":               {"mallory", "POST", issue + "/labels", object{"labels": []string{"a"}}, http.StatusForbidden},
		"a reader merges nothing":               {"mallory", "PUT", pull + "/merge", object{}, http.StatusForbidden},
		"a reader retitles nothing":             {"mallory", "PATCH", pull, object{"title": "a"}, http.StatusForbidden},
		"a reader sets no status":               {"mallory", "POST", gitops + "/statuses/" + head, object{"state": "success"}, http.StatusForbidden},
		"a reader asks for nobody's permission": {"mallory", "GET", gitops + "/collaborators/bob/permission", nil, http.StatusForbidden},
		"only an App writes checks":             {"carol", "POST", gitops + "/check-runs", object{"name": "a", "head_sha": head}, http.StatusForbidden},
		"the author approves nothing":           {"alice", "POST", pull + "/reviews", object{"event": "APPROVE"}, http.StatusUnprocessableEntity},
		"the author demands nothing":            {"alice", "POST", pull + "/reviews", object{"event": "REQUEST_CHANGES", "body": "a"}, http.StatusUnprocessableEntity},
		"a review that says nothing":            {"bob", "POST", pull + "/reviews", object{"event": "COMMENT"}, http.StatusUnprocessableEntity},
		"a reader reviews":                      {"mallory", "POST", pull + "/reviews", object{"event": "APPROVE"}, http.StatusOK},
		"no such user":                          {"bot", "GET", "/users/nobody", nil, http.StatusNotFound},
		"no such pull request":                  {"alice", "GET", gitops + "/pulls/99", nil, http.StatusNotFound},
		"no such branch":                        {"alice", "GET", gitops + "/branches/none", nil, http.StatusNotFound},
	} {
		if got := w.do(test.who, test.method, test.path, test.body); got.status != test.want {
			t.Errorf("%s: %d %v, want %d", name, got.status, got.body, test.want)
		}
	}
}

func TestPermission(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	for _, test := range []struct{ repo, login, permission, role string }{
		{gitops, "carol", "admin", "admin"}, {gitops, "alice", "write", "write"}, {gitops, "mallory", "read", "read"},
		{gitops, "bob", "write", "maintain"}, // by the team
		{"/repos/acme/public", "mallory", "read", "read"}, {"/repos/acme/public", "bob", "read", "read"},
	} {
		got := w.must(http.StatusOK, "bot", "GET", test.repo+"/collaborators/"+test.login+"/permission", nil)
		if got.text("permission") != test.permission || got.text("role_name") != test.role || got.at("user.permissions.push") != (test.permission != "read") {
			t.Errorf("%s in %s: %v, want %s and %s", test.login, test.repo, got.body, test.permission, test.role)
		}
	}
	got := w.must(http.StatusOK, "carol", "GET", "/repos/acme/secret/collaborators/mallory/permission", nil)
	if got.text("permission") != "none" {
		t.Errorf("a stranger's permission is %v", got.body)
	}
	w.must(http.StatusNotFound, "bot", "GET", gitops+"/collaborators/nobody/permission", nil)
}
