package github_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/forge/github"
	"github.com/davitops/davit/internal/gitops"
)

// TestPullRequest holds how GitHub's facts are read where they are odd: a fork that is
// gone, a test merge that is no merge, an author who is gone (forges.md A.10, A.12).
func TestPullRequest(t *testing.T) {
	t.Parallel()
	const base = `"base": {"ref": "main", "sha": "b", "repo": {"full_name": "acme/gitops", "private": true, "default_branch": "trunk"}}`
	want := gitops.PullRequest{
		Repo: gitopsRepo, Number: 1, State: gitops.Open, Private: true, Default: "trunk", Updated: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Base: gitops.Revision{Repo: gitopsRepo, Branch: "main", Commit: "b"},
		Head: gitops.Revision{Repo: gitopsRepo, Branch: "change", Commit: "h"},
	}
	for what, c := range map[string]struct {
		body   string
		change func(*gitops.PullRequest)
	}{
		"a fork that is gone": {`"state": "open", "head": {"ref": "change", "sha": "h", "repo": null}`, func(p *gitops.PullRequest) {
			p.Head.Repo = gitops.Repo{}
		}},
		"a fork": {`"state": "open", "head": {"ref": "change", "sha": "h", "repo": {"full_name": "mallory/gitops"}}`, func(p *gitops.PullRequest) {
			p.Head.Repo.Path = "mallory/gitops"
		}},
		"a test merge": {`"state": "open", "merge_commit_sha": "test", "merged": false, "head": {"ref": "change", "sha": "h", "repo": {"full_name": "acme/gitops"}}`, nil},
		"a test merge of a closed one": {`"state": "closed", "merge_commit_sha": "test", "merged_at": null, "head": {"ref": "change", "sha": "h", "repo": {"full_name": "acme/gitops"}}`, func(p *gitops.PullRequest) {
			p.State = gitops.Closed
		}},
		"a merge": {`"state": "closed", "merge_commit_sha": "m", "merged": true, "merged_at": "2026-01-02T03:04:05Z", "head": {"ref": "change", "sha": "h", "repo": {"full_name": "acme/gitops"}}`, func(p *gitops.PullRequest) {
			p.State, p.Merge = gitops.Merged, "m"
		}},
		"a bot's": {`"state": "open", "draft": true, "title": "Bump", "html_url": "https://github.com/acme/gitops/pull/1", "user": {"id": 12345678901, "login": "renovate[bot]", "type": "Bot"}, "head": {"ref": "change", "sha": "h", "repo": {"full_name": "acme/gitops"}}`, func(p *gitops.PullRequest) {
			p.Draft, p.Title, p.URL = true, "Bump", "https://github.com/acme/gitops/pull/1"
			p.Author = gitops.Actor{ID: "12345678901", Login: "renovate[bot]", Bot: true}
		}},
		"nobody's": {`"state": "open", "user": null, "head": {"ref": "change", "sha": "h", "repo": {"full_name": "acme/gitops"}}`, nil},
	} {
		h := newHub(t)
		body := `{"number": 1, "updated_at": "2026-01-02T04:04:05+01:00", ` + base + `, ` + c.body + `}`
		h.on("GET /repos/acme/gitops/pulls/1", says(200, body))
		h.on("GET /repos/acme/gitops/pulls", says(200, `[`+body+`]`))
		want := want
		if c.change != nil {
			c.change(&want)
		}
		g := h.provider()
		one, err := g.PullRequest(t.Context(), gitopsRepo, 1)
		if diff := cmp.Diff(want, one); err != nil || diff != "" {
			t.Errorf("%s: %v, (-want +got)\n%s", what, err, diff)
		}
		all, err := g.PullRequests(t.Context(), gitopsRepo)
		if diff := cmp.Diff([]gitops.PullRequest{want}, all); err != nil || diff != "" {
			t.Errorf("%s, in the list: %v, (-want +got)\n%s", what, err, diff)
		}
	}
}

// TestMayWrite holds how GitHub's answer is read (forges.md A.10): maintain and roles of
// an organisation's own come as write, triage as read.
func TestMayWrite(t *testing.T) {
	t.Parallel()
	const what = "GET /repos/acme/gitops/collaborators/alice/permission"
	alice := gitops.Actor{ID: "5", Login: "alice"}
	for body, want := range map[string]bool{
		`{"permission": "admin", "role_name": "admin", "user": {"id": 5}}`:                                  true,
		`{"permission": "write", "role_name": "maintain", "user": {"id": 5}}`:                               true,
		`{"permission": "write", "role_name": "deployer", "user": {"id": 5}}`:                               true,
		`{"permission": "read", "role_name": "deployer", "user": {"id": 5, "permissions": {"push": true}}}`: true,
		`{"permission": "read", "role_name": "triage", "user": {"id": 5, "permissions": {"push": false}}}`:  false,
		`{"permission": "none", "role_name": "", "user": {"id": 5}}`:                                        false,
		`{"permission": "write", "role_name": "write", "user": {"id": 6}}`:                                  false,
		`{"permission": "write", "role_name": "write", "user": null}`:                                       false,
		`{}`: false,
	} {
		h := newHub(t)
		h.on(what, says(200, body))
		if may, err := h.provider().MayWrite(t.Context(), gitopsRepo, alice); err != nil || may != want {
			t.Errorf("%s: %v, %v", body, may, err)
		}
	}
	for status, want := range map[int]forge.Class{404: "", 403: forge.Forbidden, 500: forge.Unavailable} {
		h := newHub(t)
		h.on(what, says(status, ""))
		if may, err := h.provider().MayWrite(t.Context(), gitopsRepo, alice); may || classOf(t, err) != want {
			t.Errorf("%d: %v, %v", status, may, err)
		}
	}
	h := newHub(t)
	for _, login := range []string{"", "../../../user", "a/b", "a?b", "a b", "a\n", "[bot]", strings.Repeat("a", 101)} {
		if may, err := h.provider().MayWrite(t.Context(), gitopsRepo, gitops.Actor{ID: "5", Login: login}); may || classOf(t, err) != forge.Refused {
			t.Errorf("%q: %v, %v", login, may, err)
		}
	}
	if len(h.asked) > 0 {
		t.Errorf("%v was asked", h.asked[0])
	}
}

// TestTip holds that a branch's name is one part of an URL, whatever it has, and that
// only a commit is taken for one.
func TestTip(t *testing.T) {
	t.Parallel()
	s := open(t)
	for i, branch := range []string{"feature/x", "a/b/c", "100%", "50%2Fx", "a+b", "a#b", "a&b=c", "ümläut-⚓", "v1.2", "HEAD"} {
		want := s.commit(branch, "main", false)
		if commit, err := s.forge.Tip(t.Context(), s.Repo(), branch); err != nil || commit != want {
			t.Errorf("%d. %q is at %q, %v, want %s", i, branch, commit, err, want)
		}
	}
	for body, want := range map[string]forge.Class{
		`{"commit": {"sha": "` + aCommit + `"}}`: "", `{"commit": {"sha": "main"}}`: forge.Unavailable, `{"commit": null}`: forge.Unavailable, `{}`: forge.Unavailable,
	} {
		h := newHub(t)
		h.on(calls["Tip"].asks, says(200, body))
		commit, err := h.provider().Tip(t.Context(), gitopsRepo, "main")
		if classOf(t, err) != want || (commit == aCommit) != (want == "") {
			t.Errorf("%s: %q, %v", body, commit, err)
		}
	}
	h := newHub(t)
	for _, branch := range []string{"", ".", "..", "a/../b", "../pulls/1", "a\nb", "a\x00b"} {
		if commit, err := h.provider().Tip(t.Context(), gitopsRepo, branch); commit != "" || classOf(t, err) != forge.Refused {
			t.Errorf("%q: %q, %v", branch, commit, err)
		}
	}
	if len(h.asked) > 0 {
		t.Errorf("%v was asked", h.asked[0])
	}
}

// TestNames holds that nothing that is not written like a repository, a commit, a key
// or an id becomes a part of an URL.
func TestNames(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	g := h.provider()
	for _, repo := range []gitops.Repo{
		{Forge: "other", Path: "acme/gitops"}, {Forge: "github", Path: "acme"}, {Forge: "github", Path: "acme/.."}, {Forge: "github", Path: "acme/."},
		{Forge: "github", Path: "../app"}, {Forge: "github", Path: "acme/gitops/pulls"}, {Forge: "github", Path: "acme/git ops"}, {Forge: "github", Path: "acme/git%2fops"},
		{Forge: "github", Path: "acme/gitops?x"}, {Forge: "github", Path: "acme/gitops\n"}, {},
	} {
		if _, err := g.PullRequest(t.Context(), repo, 1); classOf(t, err) != forge.Refused {
			t.Errorf("%q: %v", repo, err)
		}
		if source, err := g.Source(t.Context(), repo); classOf(t, err) != forge.Refused || source != (forge.Source{}) {
			t.Errorf("%q: %v, %v", repo, source, err)
		}
	}
	for _, key := range []string{"", "a b", "-->", "a\n", "ü", strings.Repeat("a", 101)} {
		if _, err := g.SaveComment(t.Context(), forge.Comment{Repo: gitopsRepo, Number: 1, Key: key, Body: "body"}); classOf(t, err) != forge.Refused {
			t.Errorf("the key %q: %v", key, err)
		}
	}
	for _, c := range []forge.Comment{{Commit: "main", Key: "review"}, {Commit: aCommit[:39], Key: "review"}, {Commit: aCommit, Number: 1, Key: "review"}, {Commit: aCommit, Key: ""}} {
		if c.Repo = gitopsRepo; classOf(t, saveComment(t, g, c)) != forge.Refused {
			t.Errorf("%+v is not refused", c)
		}
	}
	for _, c := range []func(*forge.Deployment){
		func(d *forge.Deployment) { d.Commit = "main" }, func(d *forge.Deployment) { d.Commit = "" }, func(d *forge.Deployment) { d.Environment = "" },
		func(d *forge.Deployment) { d.Key = "" }, func(d *forge.Deployment) { d.Progress = "" }, func(d *forge.Deployment) { d.Progress = "success" },
	} {
		d := aDeployment()
		c(&d)
		if _, err := g.SaveDeployment(t.Context(), d); classOf(t, err) != forge.Refused {
			t.Errorf("%+v: %v", d, err)
		}
	}
	for _, c := range []func(*forge.Proposal){
		func(p *forge.Proposal) { p.Branch = "" }, func(p *forge.Proposal) { p.Branch = "mallory:main" }, func(p *forge.Proposal) { p.Base = "" },
		func(p *forge.Proposal) { p.Base = "a\nb" }, func(p *forge.Proposal) { p.Title = " \n" },
	} {
		p := aProposal()
		c(&p)
		if _, err := g.Propose(t.Context(), p); classOf(t, err) != forge.Refused {
			t.Errorf("%+v: %v", p, err)
		}
	}
	for _, c := range []func(*forge.Issue){
		func(i *forge.Issue) { i.Key = "" }, func(i *forge.Issue) { i.Key = "-->" }, func(i *forge.Issue) { i.Title = "\t" }, func(i *forge.Issue) { i.Body = strings.Repeat("⚓", 65536) },
	} {
		i := anIssue()
		c(&i)
		if _, err := g.SaveIssue(t.Context(), i); classOf(t, err) != forge.Refused {
			t.Errorf("%.100v: %v", i, err)
		}
	}
	for _, commit := range []string{"", "main", "../../app", aCommit[:39]} {
		if _, err := g.Merged(t.Context(), gitopsRepo, commit); classOf(t, err) != forge.Refused {
			t.Errorf("%q: %v", commit, err)
		}
	}
	for _, c := range []func(*forge.Check){
		func(c *forge.Check) { c.Commit = "main" }, func(c *forge.Check) { c.Commit = "" }, func(c *forge.Check) { c.Key = "" },
		func(c *forge.Check) { c.Name = "" }, func(c *forge.Check) { c.Conclusion = "neutral" },
	} {
		check := aCheck()
		c(&check)
		if _, err := g.SaveCheck(t.Context(), check); classOf(t, err) != forge.Refused {
			t.Errorf("%+v: %v", check, err)
		}
	}
	for _, r := range []forge.Reaction{{Comment: "", Emoji: forge.Eyes}, {Comment: "../1", Emoji: forge.Eyes}, {Comment: "-1", Emoji: forge.Eyes}, {Comment: "1", Emoji: "+1"}} {
		r.Repo = gitopsRepo
		if err := g.React(t.Context(), r); classOf(t, err) != forge.Refused {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if len(h.asked) > 0 {
		t.Errorf("%v was asked", h.asked[0])
	}
}

func saveComment(t *testing.T, g *github.GitHub, c forge.Comment) error {
	_, err := g.SaveComment(t.Context(), c)
	return err
}

// TestSource holds that git's token reads one repository and nothing else, and is given
// again until five minutes before its end.
func TestSource(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	later := time.Duration(0)
	g := h.provider(func(o *github.Options) { o.Now = func() time.Time { return time.Now().Add(later) } })
	for _, c := range []struct {
		later  time.Duration
		minted int
	}{{0, 1}, {54 * time.Minute, 1}, {56 * time.Minute, 2}} {
		later = c.later
		source, err := g.Source(t.Context(), gitopsRepo)
		want := forge.Source{URL: "https://github.com/acme/gitops.git", User: "x-access-token", Password: fmt.Sprintf("ghs_CANARY.token.%d", c.minted)}
		if err != nil || source != want {
			t.Errorf("after %s: %+v, %v", c.later, source, err)
		}
	}
	type wants struct {
		Repositories []string          `json:"repositories"`
		Permissions  map[string]string `json:"permissions"`
	}
	got := fields[wants](t, h.last("POST /app/installations/7/access_tokens"))
	if diff := cmp.Diff(wants{[]string{"gitops"}, map[string]string{"contents": "read"}}, got); diff != "" {
		t.Errorf("the token is asked for with (-want +got)\n%s", diff)
	}
}

// TestBodies holds that a comment is sent up to GitHub's limit with its marker as the
// last line, and not at all beyond it (forges.md A.6).
func TestBodies(t *testing.T) {
	t.Parallel()
	const marker = "\n\n<!-- davit:review -->"
	for body, class := range map[string]forge.Class{
		strings.Repeat("⚓", 65536-len(marker)):   "",
		strings.Repeat("⚓", 65536-len(marker)+1): forge.Refused,
		"":                             "",
		"text\n\n\r\n":                 "",
		"text <!-- davit:other -->":    "",
		"text\n<!-- davit:other -->\n": "",
		"```\n<!-- davit:other -->":    "",
	} {
		h := newHub(t)
		h.on(calls["SaveComment"].asks, says(201, `{"id": 5}`))
		id, err := h.provider().SaveComment(t.Context(), forge.Comment{Repo: gitopsRepo, Number: 1, Key: "review", Body: body})
		if got := classOf(t, err); got != class {
			t.Errorf("%.40q: the class is %q", body, got)
		}
		if class != "" {
			if id != "" || h.count(calls["SaveComment"].asks) > 0 {
				t.Errorf("%.40q is sent", body)
			}
			continue
		}
		sent := fields[map[string]string](t, h.last(calls["SaveComment"].asks))["body"]
		if sent != strings.TrimRight(body, "\r\n")+marker || id != "5" {
			t.Errorf("%.40q is sent as %.80q", body, sent)
		}
	}
}

// TestFind holds which comment is found: ours, with the marker last, the oldest; or the
// hint, if no other key has it.
func TestFind(t *testing.T) {
	t.Parallel()
	const ours, theirs = 99, 5
	comment := func(id, by int, body string) string {
		return fmt.Sprintf(`{"id": %d, "user": {"id": %d}, "body": %q}`, id, by, body)
	}
	const mark = "\n\n<!-- davit:review -->"
	for what, c := range map[string]struct {
		hint     string
		comments []string
		edited   int // 0: a new one
	}{
		"none":                         {"", nil, 0},
		"ours":                         {"", []string{comment(1, theirs, "x"), comment(2, ours, "x"+mark)}, 2},
		"ours, as a browser saved it":  {"", []string{comment(2, ours, "x\r\n\r\n<!-- davit:review -->\r\n")}, 2},
		"theirs":                       {"", []string{comment(1, theirs, "x"+mark)}, 0},
		"nobody's":                     {"", []string{`{"id": 1, "user": null, "body": "x\n\n<!-- davit:review -->"}`}, 0},
		"of another key":               {"", []string{comment(1, ours, "x\n\n<!-- davit:review-2 -->")}, 0},
		"a quotation":                  {"", []string{comment(1, ours, "x"+mark+"\nmore"), comment(2, ours, "x"+mark+"\n\n<!-- davit:other -->")}, 0},
		"in a line with more":          {"", []string{comment(1, ours, "see <!-- davit:review -->")}, 0},
		"three times":                  {"", []string{comment(3, ours, "x"+mark), comment(2, ours, "x"+mark), comment(4, ours, "x"+mark)}, 2},
		"twice, with a hint":           {"3", []string{comment(2, ours, "x"+mark), comment(3, ours, "x"+mark)}, 3},
		"a hint without its marker":    {"3", []string{comment(3, ours, "edited")}, 3},
		"a hint that is theirs":        {"1", []string{comment(1, theirs, "x"), comment(2, ours, "x"+mark)}, 2},
		"a hint that is another key's": {"1", []string{comment(1, ours, "x\n\n<!-- davit:other -->")}, 0},
		"a hint of somewhere else":     {"77", []string{comment(2, ours, "x"+mark)}, 2},
	} {
		h := newHub(t)
		h.on("GET /repos/acme/gitops/issues/1/comments", says(200, "["+strings.Join(c.comments, ",")+"]"))
		h.on(calls["SaveComment"].asks, says(201, `{"id": 88}`))
		edit := fmt.Sprintf("PATCH /repos/acme/gitops/issues/comments/%d", c.edited)
		h.on(edit, says(200, `{}`))
		id, err := h.provider().SaveComment(t.Context(), forge.Comment{Repo: gitopsRepo, Number: 1, Key: "review", ID: c.hint, Body: "new"})
		if want := map[bool]string{true: "88", false: fmt.Sprint(c.edited)}[c.edited == 0]; err != nil || id != want {
			t.Errorf("%s: saved as %s, want %s, %v", what, id, want, err)
		}
		for _, r := range h.asked {
			if strings.HasPrefix(r.what, "PATCH") && r.what != edit {
				t.Errorf("%s: asked %s", what, r.what)
			}
		}
		if created := h.count(calls["SaveComment"].asks); (created == 1) != (c.edited == 0) || (h.count(edit) == 1) != (c.edited != 0) {
			t.Errorf("%s: %d new ones and %d edits", what, created, h.count(edit))
		}
	}
}

// TestKnown holds that what a provider wrote itself is edited without a look, that it
// asks who it is but once, and that a list that still has what was deleted misleads
// nobody.
func TestKnown(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.on(calls["SaveComment"].asks, says(201, `{"id": 5}`))
	h.on("PATCH /repos/acme/gitops/issues/comments/5", says(200, `{}`))
	g := h.provider()
	for range 3 {
		if err := calls["SaveComment"].do(t, g); err != nil {
			t.Fatalf("save: %v", err)
		}
	}
	const list = "GET /repos/acme/gitops/issues/1/comments"
	if h.count(list) != 1 || h.count(calls["SaveComment"].asks) != 1 || h.count("PATCH /repos/acme/gitops/issues/comments/5") != 2 {
		t.Errorf("asked %v", h.asked)
	}
	h.on("PATCH /repos/acme/gitops/issues/comments/5", says(404, ""))
	h.on(list, says(200, `[{"id": 5, "user": {"id": 99}, "body": "x\n\n<!-- davit:review -->"}]`))
	h.on(calls["SaveComment"].asks, says(201, `{"id": 6}`))
	id, err := g.SaveComment(t.Context(), forge.Comment{Repo: gitopsRepo, Number: 1, Key: "review", ID: "5", Body: "new"})
	if err != nil || id != "6" || h.count(calls["SaveComment"].asks) != 2 || h.count("GET /app") != 1 {
		t.Errorf("saved as %s, %v", id, err)
	}
	h.on("PATCH /repos/acme/gitops/issues/comments/6", says(404, ""))
	h.on(list, says(404, ""))
	if got := classOf(t, calls["SaveComment"].do(t, g)); got != forge.Gone || h.count(calls["SaveComment"].asks) != 2 {
		t.Errorf("the class is %q", got)
	}
}

// TestNoID holds that an answer without an id is an error, and stands for nothing: not
// for the App, and not for whoever is nobody.
func TestNoID(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"GET /repos/acme/gitops/installation", "GET /users/davit[bot]", calls["SaveComment"].asks} {
		h := newHub(t)
		h.on("GET /repos/acme/gitops/issues/1/comments", says(200, `[{"id": 1, "user": null, "body": "x\n\n<!-- davit:review -->"}]`))
		h.on(calls["SaveComment"].asks, says(201, `{"id": 5}`))
		h.on(what, says(200, `{}`))
		if got := classOf(t, calls["SaveComment"].do(t, h.provider())); got != forge.Unavailable {
			t.Errorf("%s: the class is %q", what, got)
		}
		if n := h.count("PATCH /repos/acme/gitops/issues/comments/1"); n > 0 {
			t.Errorf("%s: somebody else's comment is edited", what)
		}
	}
}

// TestCheckLimits holds that a check is cut to what GitHub takes, between characters
// (forges.md A.5).
func TestCheckLimits(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.noChecks()
	h.on(calls["SaveCheck"].asks, says(201, `{"id": 6}`))
	c := aCheck()
	c.Title, c.Summary = strings.Repeat("⚓", 300), strings.Repeat("⚓", 70_000)
	c.Annotations = []forge.Annotation{{Path: "a", Level: forge.Fault, Title: strings.Repeat("⚓", 300), Message: strings.Repeat("⚓", 30_000)}}
	g := h.provider()
	if _, err := g.SaveCheck(t.Context(), c); err != nil {
		t.Fatalf("save: %v", err)
	}
	type run struct {
		Name       string `json:"name"`
		Head       string `json:"head_sha"`
		Key        string `json:"external_id"`
		Status     string `json:"status"`
		Conclusion *string
		Output     struct {
			Title       string           `json:"title"`
			Summary     string           `json:"summary"`
			Annotations []map[string]any `json:"annotations"`
		} `json:"output"`
	}
	got := fields[run](t, h.last(calls["SaveCheck"].asks))
	if got.Name != "davit" || got.Head != aCommit || got.Key != "run-1" || got.Status != "in_progress" || got.Conclusion != nil {
		t.Errorf("it is %+.300v", got)
	}
	a := got.Output.Annotations[0]
	for what, c := range map[string]struct{ got, want int }{
		"title": {utf8.RuneCountInString(got.Output.Title), 255}, "summary": {utf8.RuneCountInString(got.Output.Summary), 65535},
		"an annotation's title": {utf8.RuneCountInString(a["title"].(string)), 255}, "its message": {len(a["message"].(string)), 65535},
		"its line": {int(a["start_line"].(float64)), 1},
	} {
		if c.got != c.want {
			t.Errorf("the %s is of %d, want %d", what, c.got, c.want)
		}
	}
	for _, text := range []string{got.Output.Title, got.Output.Summary, a["title"].(string), a["message"].(string)} {
		if strings.Trim(text, "⚓") != "" {
			t.Errorf("a character is cut in two: %q", strings.Trim(text, "⚓"))
		}
	}
	c = aCheck()
	c.Title = ""
	if _, err := h.provider().SaveCheck(t.Context(), c); err != nil || fields[run](t, h.last(calls["SaveCheck"].asks)).Output.Title != "davit" {
		t.Errorf("without a title: %v", err)
	}
}

// TestFindCheck holds which run is found: the newest that has the key, the name and the
// App.
func TestFindCheck(t *testing.T) {
	t.Parallel()
	run := func(id int, key, name string, app int) string {
		return fmt.Sprintf(`{"id": %d, "external_id": %q, "name": %q, "app": {"id": %d}}`, id, key, name, app)
	}
	h := newHub(t)
	list := "GET /repos/acme/gitops/commits/" + aCommit + "/check-runs"
	h.on(list, says(200, `{"total_count": 6, "check_runs": [`+strings.Join([]string{
		run(9, "run-2", "davit", appID), run(8, "run-1", "other", appID), run(7, "run-1", "davit", 1),
		run(5, "run-1", "davit", appID), run(6, "run-1", "davit", appID), run(4, "run-1", "davit", appID), `{"id": 10, "external_id": null, "name": "davit", "app": null}`,
	}, ",")+`]}`))
	h.on("PATCH /repos/acme/gitops/check-runs/6", says(200, `{"id": 6}`))
	id, err := h.provider().SaveCheck(t.Context(), aCheck())
	if err != nil || id != "6" {
		t.Errorf("saved as %s, %v", id, err)
	}
	for _, part := range []string{"check_name=davit", "filter=all", "app_id=4711", "per_page=100"} {
		if query := h.last(list).query; !strings.Contains(query, part) {
			t.Errorf("it is asked with %s, without %s", query, part)
		}
	}
}

// TestRedeliver holds what is asked for again: each delivery that no attempt brought
// home, once, unless one may be under way or it was tried for long; and nothing before
// the time.
func TestRedeliver(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	attempt := func(id int, guid string, ago time.Duration, status int) string {
		return fmt.Sprintf(`{"id": %d, "guid": %q, "delivered_at": %q, "status_code": %d, "status": "x"}`, id, guid, now.Add(-ago).Format(time.RFC3339), status)
	}
	h := newHub(t)
	pages := map[string][]string{
		"": {
			attempt(20, "under-way", 10*time.Second, 500), attempt(19, "lost", 2*time.Minute, 0), attempt(18, "arrived", 3*time.Minute, 202),
			attempt(17, "arrived-at-last", 4*time.Minute, 200), attempt(16, "tried-again", 4*time.Minute, 500),
		},
		"next": {
			attempt(16, "arrived-at-last", 5*time.Minute, 500), attempt(15, "lost", 3*time.Minute, 500), attempt(14, "tried-again", 9*time.Minute, 502),
			attempt(13, "refused", 8*time.Minute, 404), attempt(12, "redirected", 9*time.Minute, 302),
		},
		"end": {attempt(11, "old", time.Hour, 500), attempt(10, "older", 2*time.Hour, 500)},
	}
	h.on("GET /app/hook/deliveries", func(r request) reply {
		page, next := "", "next"
		if strings.Contains(r.query, "cursor=next") {
			page, next = "next", "end"
		} else if strings.Contains(r.query, "cursor=end") {
			page, next = "end", "beyond"
		}
		return reply{status: 200, body: "[" + strings.Join(pages[page], ",") + "]", header: map[string]string{
			"Link": `<https://api.github.com/app/hook/deliveries?per_page=100&cursor=` + next + `>; rel="next"`,
		}}
	})
	for id, status := range map[int]int{19: 202, 13: 422, 12: 202} {
		h.on(fmt.Sprintf("POST /app/hook/deliveries/%d/attempts", id), says(status, `{}`))
	}
	g := h.provider(func(o *github.Options) { o.Now = func() time.Time { return now } })
	count, err := g.Redeliver(t.Context(), now.Add(-30*time.Minute))
	if err != nil || count != 2 || h.count("GET /app/hook/deliveries") != 3 {
		t.Errorf("%d are asked for, %v, after %d pages", count, err, h.count("GET /app/hook/deliveries"))
	}
	var asked []string
	for _, r := range h.asked {
		if strings.HasPrefix(r.what, "POST") {
			asked = append(asked, r.what)
		}
	}
	want := []string{"POST /app/hook/deliveries/12/attempts", "POST /app/hook/deliveries/13/attempts", "POST /app/hook/deliveries/19/attempts"}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	h.on("POST /app/hook/deliveries/13/attempts", says(500, ""))
	if count, err := g.Redeliver(t.Context(), now.Add(-30*time.Minute)); count != 1 || classOf(t, err) != forge.Unavailable {
		t.Errorf("%d are asked for, %v", count, err)
	}
}

// TestRepositories holds that every installation is asked, apart from those that are
// suspended or go meanwhile, and that what was listed needs no other look.
func TestRepositories(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.on("GET /app/installations", says(200, `[{"id": 7}, {"id": 8, "suspended_at": "2026-01-02T03:04:05Z"}, {"id": 9}, {"id": 10}]`))
	h.on("POST /app/installations/9/access_tokens", says(404, ""))
	h.on("POST /app/installations/10/access_tokens", func(request) reply {
		return reply{status: 201, body: fmt.Sprintf(`{"token": "ghs_CANARY.ten", "expires_at": %q}`, time.Now().Add(time.Hour).Format(time.RFC3339))}
	})
	h.on("GET /installation/repositories", func(r request) reply {
		if r.header.Get("Authorization") == "token ghs_CANARY.ten" {
			return reply{status: 200, body: `{"repositories": [{"full_name": "beta/fleet"}, {"full_name": "../odd"}]}`}
		}
		return reply{status: 200, body: `{"repositories": [{"full_name": "zeta/fleet"}, {"full_name": "acme/gitops"}]}`}
	})
	h.on("GET /repos/acme/gitops/pulls/1", says(200, `{"number": 1}`))
	g := h.provider()
	got, err := g.Repositories(t.Context())
	want := []gitops.Repo{gitopsRepo, {Forge: "github", Path: "beta/fleet"}, {Forge: "github", Path: "zeta/fleet"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" || h.count("POST /app/installations/8/access_tokens") > 0 {
		t.Errorf("%v, (-want +got)\n%s", err, diff)
	}
	if err := calls["PullRequest"].do(t, g); err != nil || h.count("GET /repos/acme/gitops/installation") > 0 {
		t.Errorf("it is looked up again, %v", err)
	}
	h.on("GET /installation/repositories", says(500, ""))
	if _, err := h.provider().Repositories(t.Context()); classOf(t, err) != forge.Unavailable {
		t.Errorf("half a list is a list: %v", err)
	}
	endless := func(r request) reply {
		return reply{status: 200, body: `[]`, header: map[string]string{"Link": `<https://api.github.com/app/installations?page=2>; rel="next"`}}
	}
	h.on("GET /app/installations", endless)
	if _, err := h.provider().Repositories(t.Context()); classOf(t, err) != forge.Unavailable {
		t.Errorf("a list without an end is one: %v", err)
	}
}
