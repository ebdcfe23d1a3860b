package github_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	api "github.com/google/go-github/v62/github"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/forge/forgetest"
	"github.com/davitops/davit/internal/forge/github/githubsim"
	"github.com/davitops/davit/internal/gitops"
)

// TestRepository holds how a repository's facts are read, by its name now.
func TestRepository(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]forge.Repository{
		`{"full_name": "acme/gitops", "default_branch": "trunk", "private": true}`: {Repo: gitopsRepo, Default: "trunk", Private: true},
		`{"full_name": "acme/fleet", "default_branch": "main", "private": false}`:  {Repo: gitops.Repo{Forge: "github", Path: "acme/fleet"}, Default: "main"},
		`{"full_name": "../app", "default_branch": "main"}`:                        {Repo: gitopsRepo, Default: "main"},
		`{"full_name": "acme/gitops"}`:                                             {},
		`{}`:                                                                       {},
	} {
		h := newHub(t)
		h.on(calls["Repository"].asks, says(200, body))
		got, err := h.provider().Repository(t.Context(), gitopsRepo)
		if class := classOf(t, err); got != want || (class == forge.Unavailable) != (want.Default == "") {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
}

// TestMerged holds that whichever way a pull request is merged, each commit that it put
// on its base has it, and that open ones are left out.
func TestMerged(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"merge", "squash", "rebase"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			n := s.Open(forgetest.Opening{Author: "alice"})
			own := []string{s.pull(n).GetHead().GetSHA(), s.Push(n)}
			before := s.git(s.work, "commit-tree", "-p", "main", "-m", "Beside", "main^{tree}")
			s.git(s.work, "push", "--quiet", s.remote("alice", "acme/gitops"), before+":refs/heads/main")
			_, _, err := s.as("carol").PullRequests.Merge(t.Context(), "acme", "gitops", n, "", &api.PullRequestOptions{MergeMethod: method})
			s.must(err)
			s.git(s.work, "fetch", "--quiet", "origin", "+refs/heads/main:refs/merged")
			merged := strings.Fields(s.git(s.work, "rev-list", before+"..refs/merged"))
			if want := map[string]int{"merge": 3, "squash": 1, "rebase": 2}[method]; len(merged) != want {
				t.Fatalf("main has %d more commits, want %d", len(merged), want)
			}
			for _, commit := range append(merged, own...) {
				found, err := s.forge.Merged(t.Context(), s.Repo(), commit)
				if err != nil || len(found) != 1 || found[0].Number != n || found[0].Merge != merged[0] {
					t.Errorf("%s was merged by %+v, %v", commit, found, err)
				}
			}
			if found, err := s.forge.Merged(t.Context(), s.Repo(), before); err != nil || len(found) > 0 {
				t.Errorf("what was pushed was merged by %+v, %v", found, err)
			}
		})
	}
	h := newHub(t)
	const base = `"base": {"ref": "main", "repo": {"full_name": "acme/gitops"}}`
	h.on(calls["Merged"].asks, says(200, `[{"number": 1, "state": "open", `+base+`}, {"number": 2, "state": "closed", "merged_at": null, `+base+`},
		{"number": 3, "state": "closed", "merged_at": "2026-01-02T03:04:05Z", "merge_commit_sha": "`+aCommit+`", `+base+`}]`))
	found, err := h.provider().Merged(t.Context(), gitopsRepo, aCommit)
	if err != nil || len(found) != 1 || found[0].Number != 3 || found[0].Merge != aCommit {
		t.Errorf("it was merged by %+v, %v", found, err)
	}
}

// TestDestination holds that a token that writes is for one repository's contents, is
// asked for each time, and is never given out to fetch with; and that what was not
// granted is forbidden (forges.md A.2).
func TestDestination(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	g := h.provider()
	type wants struct {
		Repositories []string          `json:"repositories"`
		Permissions  map[string]string `json:"permissions"`
	}
	for i, c := range []struct {
		get    func() (forge.Source, error)
		minted int
		level  string
	}{
		{func() (forge.Source, error) { return g.Source(t.Context(), gitopsRepo) }, 1, "read"},
		{func() (forge.Source, error) { return g.Destination(t.Context(), gitopsRepo) }, 2, "write"},
		{func() (forge.Source, error) { return g.Destination(t.Context(), gitopsRepo) }, 3, "write"},
		{func() (forge.Source, error) { return g.Source(t.Context(), gitopsRepo) }, 1, "write"},
	} {
		got, err := c.get()
		want := forge.Source{URL: "https://github.com/acme/gitops.git", User: "x-access-token", Password: fmt.Sprintf("ghs_CANARY.token.%d", c.minted)}
		if err != nil || got != want {
			t.Errorf("%d. it is %+v, %v", i, got, err)
		}
		asked := fields[wants](t, h.last("POST /app/installations/7/access_tokens"))
		if diff := cmp.Diff(wants{[]string{"gitops"}, map[string]string{"contents": c.level}}, asked); diff != "" {
			t.Errorf("%d. the last token is asked for with (-want +got)\n%s", i, diff)
		}
	}
	h.on("POST /app/installations/7/access_tokens", says(422, `{"message": "The permissions requested are not granted to this installation."}`))
	if source, err := g.Destination(t.Context(), gitopsRepo); classOf(t, err) != forge.Forbidden || source != (forge.Source{}) {
		t.Errorf("it is %v, %v", source, err)
	}
}

// TestOnCommit holds that comments on a commit are found as those on a pull request are,
// and never among them.
func TestOnCommit(t *testing.T) {
	t.Parallel()
	const list, mark = "GET /repos/acme/gitops/commits/" + aCommit + "/comments", `\n\n<!-- davit:review -->`
	for what, c := range map[string]struct {
		hint, comments string
		edited         int
	}{
		"none":                        {"5", ``, 0},
		"ours":                        {"", `{"id": 2, "user": {"id": 99}, "body": "x` + mark + `"}`, 2},
		"theirs":                      {"1", `{"id": 1, "user": {"id": 5}, "body": "x` + mark + `"}`, 0},
		"nobody's":                    {"1", `{"id": 1, "user": null, "body": "x` + mark + `"}`, 0},
		"of another key":              {"1", `{"id": 1, "user": {"id": 99}, "body": "x\n\n<!-- davit:other -->"}`, 0},
		"three times":                 {"", `{"id": 4, "user": {"id": 99}, "body": "x` + mark + `"}, {"id": 3, "user": {"id": 99}, "body": "x` + mark + `"}`, 3},
		"a hint without its marker":   {"4", `{"id": 4, "user": {"id": 99}, "body": "x"}, {"id": 3, "user": {"id": 99}, "body": "x` + mark + `"}`, 4},
		"on the pull request of this": {"7", ``, 0},
	} {
		h := newHub(t)
		h.on(list, says(200, "["+c.comments+"]"))
		h.on("GET /repos/acme/gitops/issues/1/comments", says(200, `[{"id": 7, "user": {"id": 99}, "body": "x`+mark+`"}]`))
		h.on(calls["SaveComment on a commit"].asks, says(201, `{"id": 88}`))
		edit := fmt.Sprintf("PATCH /repos/acme/gitops/comments/%d", c.edited)
		h.on(edit, says(200, `{}`))
		id, err := h.provider().SaveComment(t.Context(), forge.Comment{Repo: gitopsRepo, Commit: aCommit, Key: "review", ID: c.hint, Body: "new"})
		if want := map[bool]string{true: "88", false: fmt.Sprint(c.edited)}[c.edited == 0]; err != nil || id != want {
			t.Errorf("%s: saved as %s, want %s, %v", what, id, want, err)
		}
		sent := h.last(map[bool]string{true: calls["SaveComment on a commit"].asks, false: edit}[c.edited == 0])
		if body := fields[map[string]string](t, sent); len(body) != 1 || body["body"] != "new\n\n<!-- davit:review -->" {
			t.Errorf("%s: sent as %v", what, body)
		}
	}
}

// TestDeploy holds what a deployment is made with (forges.md A.11): it merges nothing and
// waits for nothing; and what its statuses say.
func TestDeploy(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.on(calls["SaveDeployment"].asks, says(201, `{"id": 8}`))
	h.on("POST /repos/acme/gitops/deployments/8/statuses", says(201, `{"id": 9}`))
	d := aDeployment()
	d.Description = strings.Repeat("über ", 60)
	id, err := h.provider().SaveDeployment(t.Context(), d)
	if err != nil || id != "8" {
		t.Errorf("saved as %s, %v", id, err)
	}
	made := fields[map[string]any](t, h.last(calls["SaveDeployment"].asks))
	if diff := cmp.Diff(map[string]any{
		"ref": aCommit, "environment": "prod", "auto_merge": false, "required_contexts": []any{}, "payload": map[string]any{"davit": "rollout-1"},
	}, made); diff != "" {
		t.Errorf("it is made with (-want +got)\n%s", diff)
	}
	said := fields[map[string]any](t, h.last("POST /repos/acme/gitops/deployments/8/statuses"))
	description, _ := said["description"].(string)
	if n := utf8.RuneCountInString(description); n > 140 || n < 130 || !strings.HasSuffix(description, "über…") {
		t.Errorf("it says %q, of %d characters", description, n)
	}
	delete(said, "description")
	if diff := cmp.Diff(map[string]any{"state": "in_progress", "log_url": d.URL}, said); diff != "" {
		t.Errorf("it says (-want +got)\n%s", diff)
	}
	for progress, want := range map[forge.Progress]string{
		forge.DeploymentQueued: "queued", forge.DeploymentWaiting: "pending", forge.DeploymentRunning: "in_progress", forge.DeploymentDone: "success",
		forge.DeploymentFailed: "failure", forge.DeploymentUnclear: "error",
	} {
		d := aDeployment()
		d.Progress = progress
		if _, err := h.provider().SaveDeployment(t.Context(), d); err != nil {
			t.Errorf("%s: %v", progress, err)
		}
		if said := fields[map[string]any](t, h.last("POST /repos/acme/gitops/deployments/8/statuses")); said["state"] != want {
			t.Errorf("%s is %v, want %s", progress, said["state"], want)
		}
	}
}

// TestFindDeployment holds which deployment is found: the newest of ours that has the key,
// the commit and the environment.
func TestFindDeployment(t *testing.T) {
	t.Parallel()
	made := func(id, by int, environment, payload string) string {
		return fmt.Sprintf(`{"id": %d, "sha": %q, "environment": %q, "creator": {"id": %d}, "payload": %s}`, id, aCommit, environment, by, payload)
	}
	h := newHub(t)
	h.on("GET /repos/acme/gitops/deployments", says(200, "["+strings.Join([]string{
		made(12, 5, "prod", `{"davit": "rollout-1"}`), made(11, 99, "stage", `{"davit": "rollout-1"}`), made(10, 99, "prod", `{"davit": "rollout-2"}`),
		made(9, 99, "prod", `"{\"davit\": \"rollout-1\"}"`), made(8, 99, "prod", `{"davit": "rollout-1"}`), made(13, 99, "prod", `"rollout-1"`),
		made(14, 99, "prod", `""`), made(15, 99, "prod", `null`), made(16, 99, "prod", `{"davit": 1}`), made(17, 99, "prod", `{}`), `{"id": 18, "creator": null}`,
	}, ",")+"]"))
	h.on("GET /repos/acme/gitops/deployments/9/statuses", says(200, `[
		{"id": 1, "state": "in_progress", "description": "1 of 2", "log_url": "https://davit.acme.example/1"},
		{"id": 2, "state": "queued", "description": null, "log_url": ""}]`))
	h.on("POST /repos/acme/gitops/deployments/9/statuses", says(201, `{"id": 3}`))
	g := h.provider()
	for range 2 { // the second is known, and not looked for
		if id, err := g.SaveDeployment(t.Context(), aDeployment()); err != nil || id != "9" {
			t.Errorf("saved as %s, %v", id, err)
		}
	}
	if h.count("POST /repos/acme/gitops/deployments/9/statuses") != 2 || h.count("GET /repos/acme/gitops/deployments") != 1 {
		t.Errorf("asked %v", h.asked)
	}
	for _, part := range []string{"sha=" + aCommit, "environment=prod", "per_page=100"} {
		if query := h.last("GET /repos/acme/gitops/deployments").query; !strings.Contains(query, part) {
			t.Errorf("it is asked with %s, without %s", query, part)
		}
	}
}

// TestStatusLost holds that a status that GitHub took, and did not answer for, is not
// said again, by this provider or by another.
func TestStatusLost(t *testing.T) {
	t.Parallel()
	s := open(t)
	for i, restart := range []bool{false, true} {
		d := forge.Deployment{Repo: s.Repo(), Commit: s.PushBranch(fmt.Sprint("davit/", i)), Environment: "prod", Key: "rollout-1", Progress: forge.DeploymentRunning}
		s.fault(githubsim.Fault{Method: "POST", Path: "/repos/acme/gitops/deployments/*/statuses", AfterWrite: true})
		if _, err := s.forge.SaveDeployment(t.Context(), d); classOf(t, err) != forge.Unavailable {
			t.Errorf("the answer was lost: %v", err)
		}
		if restart {
			s.Restart()
		}
		_, err := s.forge.SaveDeployment(t.Context(), d)
		s.must(err)
		if got := s.Deployments(d.Commit); len(got) != 1 || len(got[0].Said) != 1 {
			t.Errorf("there are %+v", got)
		}
	}
}

// TestPropose holds what becomes of GitHub's refusals: a draft is opened undrafted where
// there are none, what is there by now is found, and anything else is refused.
func TestPropose(t *testing.T) {
	t.Parallel()
	const list = "GET /repos/acme/gitops/pulls"
	ask := calls["Propose"].asks
	no, yes := reply{status: 422, body: `{"message": "Validation Failed"}`}, reply{status: 201, body: `{"number": 12}`}
	empty, there := reply{status: 200, body: `[]`}, reply{status: 200, body: `[{"number": 11, "user": {"id": 99}, "head": {"ref": "davit/revert-1", "repo": {"id": 5}}, "base": {"repo": {"id": 5}}}]`}
	for what, c := range map[string]struct {
		draft  bool
		lists  []reply
		asks   []reply
		asked  int
		drafts string
		number string
		class  forge.Class
	}{
		"a draft":                     {true, []reply{empty}, []reply{yes}, 1, "[true]", "12", ""},
		"no draft":                    {false, []reply{empty}, []reply{yes}, 1, "[false]", "12", ""},
		"where no drafts are":         {true, []reply{empty}, []reply{no, yes}, 2, "[true false]", "12", ""},
		"no commits between":          {true, []reply{empty}, []reply{no}, 2, "[true false]", "", forge.Refused},
		"no commits, no draft":        {false, []reply{empty}, []reply{no}, 1, "[false]", "", forge.Refused},
		"there":                       {true, []reply{there}, nil, 0, "[]", "11", ""},
		"there by now":                {false, []reply{empty, there}, []reply{no}, 1, "[false]", "11", ""},
		"nobody knows whether by now": {false, []reply{empty, {status: 500}}, []reply{no}, 1, "[false]", "", forge.Refused},
		"no answer":                   {true, []reply{empty}, []reply{{status: 502}}, 1, "[true]", "", forge.Unavailable},
		"an answer without a number":  {true, []reply{empty}, []reply{{status: 201, body: `{}`}}, 1, "[true]", "", forge.Unavailable},
	} {
		h := newHub(t)
		h.on(list, inTurn(c.lists...))
		if c.asks != nil {
			h.on(ask, inTurn(c.asks...))
		}
		p := aProposal()
		p.Draft = c.draft
		number, err := h.provider().Propose(t.Context(), p)
		if number != c.number || classOf(t, err) != c.class || h.count(ask) != c.asked {
			t.Errorf("%s: #%s, %v, asked %d times", what, number, err, h.count(ask))
		}
		drafts := []any{}
		for _, r := range h.asked {
			if r.what == ask {
				sent := fields[map[string]any](t, r)
				drafts = append(drafts, sent["draft"])
				delete(sent, "draft")
				if diff := cmp.Diff(map[string]any{"title": "Revert", "head": "davit/revert-1", "base": "main", "body": "body"}, sent); diff != "" {
					t.Errorf("%s: it is asked with (-want +got)\n%s", what, diff)
				}
			}
		}
		if fmt.Sprint(drafts) != c.drafts {
			t.Errorf("%s: drafts %v, want %s", what, drafts, c.drafts)
		}
		if query, err := url.ParseQuery(h.last(list).query); err != nil || query.Get("state") != "all" || query.Get("head") != "acme:davit/revert-1" {
			t.Errorf("%s: it is looked for with %v", what, query)
		}
	}
}

// TestFindProposal holds that a pull request of the branch is ours if the App opened it,
// in this repository; the oldest, whatever became of it.
func TestFindProposal(t *testing.T) {
	t.Parallel()
	pull := func(number, by int, ref, head string) string {
		return fmt.Sprintf(`{"number": %d, "state": "closed", "user": {"id": %d}, "head": {"ref": %q, "repo": %s}, "base": {"repo": {"id": 5}}}`, number, by, ref, head)
	}
	const here, fork = `{"id": 5}`, `{"id": 6}`
	h := newHub(t)
	h.on("GET /repos/acme/gitops/pulls", says(200, "["+strings.Join([]string{
		pull(9, 99, "davit/revert-1", here), pull(8, 99, "davit/revert-1", here), pull(4, 99, "davit/revert", here), pull(3, 99, "davit/revert-1", "null"),
		pull(2, 99, "davit/revert-1", fork), pull(1, 5, "davit/revert-1", here),
	}, ",")+"]"))
	g := h.provider()
	for range 2 {
		if number, err := g.Propose(t.Context(), aProposal()); err != nil || number != "8" {
			t.Errorf("it is #%s, %v", number, err)
		}
	}
	if h.count("GET /repos/acme/gitops/pulls") != 1 {
		t.Errorf("it is looked for %d times", h.count("GET /repos/acme/gitops/pulls"))
	}
}

// TestTitles holds that a title is one line that GitHub takes, for a pull request and for
// an issue.
func TestTitles(t *testing.T) {
	t.Parallel()
	for title, want := range map[string]string{
		" one\r\n two\tthree ":   "one two three",
		strings.Repeat("⚓", 256): strings.Repeat("⚓", 256),
		strings.Repeat("⚓", 257): strings.Repeat("⚓", 255) + "…",
	} {
		h := newHub(t)
		h.on(calls["Propose"].asks, says(201, `{"number": 1}`))
		h.on(calls["SaveIssue"].asks, says(201, `{"number": 2}`))
		p, i := aProposal(), anIssue()
		p.Title, i.Title = title, title
		_, err := h.provider().Propose(t.Context(), p)
		_, errIssue := h.provider().SaveIssue(t.Context(), i)
		if err != nil || errIssue != nil {
			t.Errorf("%.40q: %v, %v", title, err, errIssue)
		}
		for _, name := range []string{"Propose", "SaveIssue"} {
			if got := fields[map[string]any](t, h.last(calls[name].asks))["title"]; got != want {
				t.Errorf("%s %.40q: the title is %q", name, title, got)
			}
		}
	}
}

// TestFindIssue holds that an issue is found by its marker among what the App has opened,
// which pull requests are as well.
func TestFindIssue(t *testing.T) {
	t.Parallel()
	const mark = `\n\n<!-- davit:drift-1 -->`
	const list = "GET /repos/acme/gitops/issues"
	ask := calls["SaveIssue"].asks
	for what, c := range map[string]struct{ issues, number string }{
		"none":           {``, "12"},
		"ours":           {`{"number": 3, "user": {"id": 99}, "body": "x` + mark + `"}`, "3"},
		"closed":         {`{"number": 3, "state": "closed", "user": {"id": 99}, "body": "x` + mark + `"}`, "3"},
		"twice":          {`{"number": 4, "user": {"id": 99}, "body": "x` + mark + `"}, {"number": 3, "user": {"id": 99}, "body": "y` + mark + `"}`, "3"},
		"theirs":         {`{"number": 3, "user": {"id": 5}, "body": "x` + mark + `"}`, "12"},
		"nobody's":       {`{"number": 3, "user": null, "body": "x` + mark + `"}`, "12"},
		"of another key": {`{"number": 3, "user": {"id": 99}, "body": "x\n\n<!-- davit:drift-11 -->"}`, "12"},
		"quoted":         {`{"number": 3, "user": {"id": 99}, "body": "x` + mark + `\n\n<!-- davit:drift-2 -->"}`, "12"},
		"a pull request": {`{"number": 3, "user": {"id": 99}, "body": "x` + mark + `", "pull_request": {"url": "x"}}`, "12"},
		"without a body": {`{"number": 3, "user": {"id": 99}, "body": null}`, "12"},
	} {
		h := newHub(t)
		h.on(list, says(200, "["+c.issues+"]"))
		h.on(ask, says(201, `{"number": 12}`))
		g := h.provider()
		for range 2 {
			if number, err := g.SaveIssue(t.Context(), anIssue()); err != nil || number != c.number {
				t.Errorf("%s: it is #%s, want #%s, %v", what, number, c.number, err)
			}
		}
		if h.count(list) != 1 || (h.count(ask) == 1) != (c.number == "12") {
			t.Errorf("%s: %d are opened after %d looks", what, h.count(ask), h.count(list))
		}
		if query, err := url.ParseQuery(h.last(list).query); err != nil || query.Get("state") != "all" || query.Get("creator") != "davit[bot]" {
			t.Errorf("%s: it is looked for with %v", what, query)
		}
		if c.number == "12" {
			if diff := cmp.Diff(map[string]any{"title": "Drift", "body": "body\n\n<!-- davit:drift-1 -->"}, fields[map[string]any](t, h.last(ask))); diff != "" {
				t.Errorf("%s: it is asked with (-want +got)\n%s", what, diff)
			}
		}
	}
}

// TestPushes holds what pushes are read as: a branch that comes, moves and goes, and no
// tag ever.
func TestPushes(t *testing.T) {
	t.Parallel()
	s := open(t)
	to := s.remote("alice", "acme/gitops")
	s.git(s.work, "push", "--quiet", to, "main:refs/heads/feature/x", "main:refs/tags/feature/x")
	moved := s.commit("feature/x", "main", false)
	s.git(s.work, "push", "--quiet", to, "--delete", "refs/heads/feature/x", "refs/tags/feature/x")
	first := s.git(s.work, "rev-parse", "main")
	alice := s.Person("alice")
	var got []gitops.Event
	for _, d := range s.Deliveries() {
		e, err := s.forge.Event(d.Header["X-GitHub-Event"], d.Body)
		s.must(err)
		if e.Kind != "" {
			got = append(got, e)
		}
	}
	pushed := func(commit string) gitops.Event {
		return gitops.Event{Kind: gitops.Pushed, Repo: s.Repo(), Branch: "feature/x", Commit: commit, Actor: alice}
	}
	if diff := cmp.Diff([]gitops.Event{pushed(first), pushed(moved), pushed("")}, got); diff != "" {
		t.Errorf("the pushes are (-want +got)\n%s", diff)
	}
}

// TestWriteToken holds that the token of Destination writes to its repository's contents,
// and to nothing else.
func TestWriteToken(t *testing.T) {
	t.Parallel()
	s := open(t)
	to, err := s.forge.Destination(t.Context(), s.Repo())
	s.must(err)
	holder := api.NewClient(nil).WithAuthToken(to.Password)
	holder.BaseURL = s.as("carol").BaseURL
	_, answer, err := holder.Issues.Create(t.Context(), "acme", "gitops", &api.IssueRequest{Title: api.String("x")})
	if err == nil || answer.StatusCode != http.StatusForbidden {
		t.Errorf("it opens an issue: %v", err)
	}
	repos, _, err := holder.Apps.ListRepos(t.Context(), nil)
	if err != nil || repos.GetTotalCount() != 1 || repos.Repositories[0].GetFullName() != "acme/gitops" {
		t.Errorf("it reaches %v, %v", repos, err)
	}
}
