package githubsim

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func pullPath(n int) string { return fmt.Sprintf("%s/pulls/%d", gitops, n) }

// rest fetches what the base repository has at a ref.
func (c clone) remote(ref string) string {
	c.w.t.Helper()
	sha, _, _ := strings.Cut(c.git("ls-remote", "origin", ref), "\t")
	return sha
}

// What GitHub refuses to open.
func TestOpening(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c, _ := w.pull("more")
	c.push("main:same")
	c.git("checkout", "--quiet", "main")
	c.commit("other", "b", "b")
	c.push("other")
	for name, test := range map[string]struct {
		who  string
		body object
		want int
		says string
	}{
		"one is open already":   {"alice", object{"title": "a", "head": "more", "base": "main"}, 422, "A pull request already exists for acme:more."},
		"nothing between":       {"alice", object{"title": "a", "head": "same", "base": "main"}, 422, "No commits between main and same"},
		"no such head":          {"alice", object{"title": "a", "head": "none", "base": "main"}, 422, "head"},
		"no such base":          {"alice", object{"title": "a", "head": "more", "base": "none"}, 422, "base"},
		"no such fork":          {"alice", object{"title": "a", "head": "bob:more", "base": "main"}, 422, "head"},
		"by whom it is not":     {"mallory", object{"title": "a", "head": "other", "base": "main"}, 403, ""},
		"no title":              {"alice", object{"title": "", "head": "other", "base": "main"}, 422, "title"},
		"another base for more": {"alice", object{"title": "a", "head": "more", "base": "same"}, 201, ""},
		"owner and branch":      {"alice", object{"title": "a", "head": "acme:other", "base": "main"}, 201, ""},
	} {
		got := w.do(test.who, "POST", gitops+"/pulls", test.body)
		if got.status != test.want || !strings.Contains(fmt.Sprint(got.body), test.says) {
			t.Errorf("%s: %d %v, want %d with %q", name, got.status, got.body, test.want, test.says)
		}
	}
	if n := c.remote("refs/pull/4/head"); n != "" {
		t.Error("a pull request that was refused left a ref")
	}
}

// Null at first, then what a real merge says (forges.md A.10).
func TestMergeable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c, n := w.pull("more")
	states := func() []string {
		t.Helper()
		var got []string
		for range 2 {
			seen := w.must(http.StatusOK, "bot", "GET", pullPath(n), nil)
			got = append(got, fmt.Sprint(seen.at("mergeable")), seen.text("mergeable_state"))
		}
		return got
	}
	wantStrings(t, "at first", states(), "<nil>", "unknown", "true", "clean")
	if c.remote(fmt.Sprintf("refs/pull/%d/merge", n)) == "" {
		t.Error("there is no test merge to fetch")
	}
	c.git("checkout", "--quiet", "main")
	c.commit("main", "apps/shop/values.yaml", "replicas: 9\nimage: shop:1\n")
	c.push("main")
	wantStrings(t, "with a conflict", states(), "<nil>", "unknown", "false", "dirty")
	got := w.must(http.StatusMethodNotAllowed, "alice", "PUT", pullPath(n)+"/merge", object{})
	if got.text("message") != "Pull Request is not mergeable" {
		t.Errorf("GitHub says %q", got.text("message"))
	}
	c.git("checkout", "--quiet", "more")
	c.git("merge", "--quiet", "-s", "ours", "main")
	c.push("more")
	wantStrings(t, "without it", states(), "<nil>", "unknown", "true", "clean")
}

func TestMerging(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]struct{ parents, commits int }{
		"merge": {2, 3}, "squash": {1, 1}, "rebase": {1, 2},
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, usualSeed)
			c, n := w.pull("more")
			head := c.commit("more", "new.yaml", "a: 1\n")
			c.push("more")
			c.git("checkout", "--quiet", "main")
			base := c.commit("main", "beside", "b\n")
			c.push("main")
			w.heard()
			got := w.must(http.StatusConflict, "alice", "PUT", pullPath(n)+"/merge", object{"merge_method": method, "sha": base})
			if !strings.Contains(got.text("message"), "Head branch was modified") {
				t.Errorf("GitHub says %q (forges.md A.10)", got.text("message"))
			}
			got = w.must(http.StatusOK, "alice", "PUT", pullPath(n)+"/merge", object{"merge_method": method, "sha": head})
			heard := w.heard()
			wantStrings(t, "events", []string{heard[0].event + " " + heard[0].action, heard[1].event}, "pull_request closed", "push")
			if at(heard[0].body, "pull_request.merged") != true || at(heard[0].body, "pull_request.merge_commit_sha") != got.text("sha") {
				t.Errorf("the event does not say what was merged")
			}
			if at(heard[1].body, "after") != got.text("sha") || at(heard[1].body, "before") != base {
				t.Errorf("the push is from %v to %v", at(heard[1].body, "before"), at(heard[1].body, "after"))
			}
			seen := w.must(http.StatusOK, "bot", "GET", pullPath(n), nil)
			if seen.at("merged") != true || seen.text("state") != "closed" || seen.text("merge_commit_sha") != got.text("sha") || seen.text("merged_by.login") != "alice" {
				t.Errorf("merged %v, state %s, by %s", seen.at("merged"), seen.text("state"), seen.text("merged_by.login"))
			}
			c.git("fetch", "--quiet", "origin")
			if parents := len(strings.Fields(c.git("log", "-1", "--format=%P", "origin/main"))); parents != want.parents {
				t.Errorf("the last commit has %d parents, want %d", parents, want.parents)
			}
			if commits := c.git("rev-list", "--count", base+"..origin/main"); commits != fmt.Sprint(want.commits) {
				t.Errorf("main has %s more commits, want %d", commits, want.commits)
			}
			if files := c.git("ls-tree", "-r", "--name-only", "origin/main"); files != "README.md\napps/shop/values.yaml\nbeside\nnew.yaml" {
				t.Errorf("main has %q", files)
			}
			w.must(http.StatusMethodNotAllowed, "alice", "PUT", pullPath(n)+"/merge", object{})
		})
	}
}

func TestMergingWhatCannotBeReplayed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c, n := w.pull("more")
	c.git("checkout", "--quiet", "main")
	c.commit("main", "beside", "b\n")
	c.push("main")
	c.git("checkout", "--quiet", "more")
	c.git("merge", "--quiet", "main")
	c.push("more")
	w.must(http.StatusMethodNotAllowed, "alice", "PUT", pullPath(n)+"/merge", object{"merge_method": "rebase"})
	w.must(http.StatusOK, "alice", "PUT", pullPath(n)+"/merge", object{"merge_method": "merge"})
}

// base.sha is where the base was when the pull request was opened or pushed to.
func TestBaseOfAPullRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c, n := w.pull("more")
	first := w.must(http.StatusOK, "bot", "GET", pullPath(n), nil).text("base.sha")
	c.git("checkout", "--quiet", "main")
	moved := c.commit("main", "beside", "b\n")
	c.push("main")
	if seen := w.must(http.StatusOK, "bot", "GET", pullPath(n), nil).text("base.sha"); seen != first {
		t.Errorf("base.sha followed its branch to %s", seen)
	}
	c.commit("more", "c", "c\n")
	c.push("more")
	if seen := w.must(http.StatusOK, "bot", "GET", pullPath(n), nil).text("base.sha"); seen != moved {
		t.Errorf("base.sha is %s after a push, want %s", seen, moved)
	}
}

// A pull request whose head somebody pushes to its base is merged.
func TestMergedByPush(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c, n := w.pull("more")
	c.push("more:main")
	wantStrings(t, "events", w.events(), "push", "pull_request closed")
	if seen := w.must(http.StatusOK, "bot", "GET", pullPath(n), nil); seen.at("merged") != true {
		t.Error("it is not merged")
	}
}

func TestClosing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c, n := w.pull("more")
	w.must(http.StatusOK, "alice", "PATCH", pullPath(n), object{"state": "closed"})
	w.must(http.StatusOK, "alice", "PATCH", pullPath(n), object{"state": "open"})
	wantStrings(t, "events", w.events(), "pull_request closed", "pull_request reopened")
	c.push(":more")
	wantStrings(t, "events when the head is deleted", w.events(), "push", "pull_request closed")
	w.must(http.StatusUnprocessableEntity, "alice", "PATCH", pullPath(n), object{"state": "open"})
	if got := w.must(http.StatusOK, "bot", "GET", gitops+"/pulls", nil); len(got.list) != 0 {
		t.Errorf("%d are open", len(got.list))
	}
	if got := w.must(http.StatusOK, "bot", "GET", gitops+"/pulls?state=all&head=acme:more", nil); len(got.list) != 1 {
		t.Errorf("%d are there in all", len(got.list))
	}
}

func TestEditing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c, n := w.pull("more")
	c.push("main:release")
	w.heard()
	w.must(http.StatusOK, "alice", "PATCH", pullPath(n), object{"title": "Fewer", "body": "Two."})
	w.must(http.StatusOK, "alice", "PATCH", pullPath(n), object{"base": "release"})
	w.must(http.StatusOK, "alice", "PATCH", pullPath(n), object{"base": "release"}) // nothing changes
	w.must(http.StatusUnprocessableEntity, "alice", "PATCH", pullPath(n), object{"base": "none"})
	heard := w.heard()
	if len(heard) != 2 || at(heard[0].body, "changes.title.from") != "More shops" || at(heard[0].body, "changes.body.from") != "Three." ||
		at(heard[1].body, "changes.base.ref.from") != "main" || at(heard[1].body, "pull_request.base.ref") != "release" {
		t.Errorf("the events: %v", heard)
	}
	if err := w.sim.SetDraft("acme/gitops", n, true, "alice"); err != nil {
		t.Fatal(err)
	}
	w.must(http.StatusMethodNotAllowed, "alice", "PUT", pullPath(n)+"/merge", object{})
	if err := w.sim.SetDraft("acme/gitops", n, false, "alice"); err != nil {
		t.Fatal(err)
	}
	wantStrings(t, "events", w.events(), "pull_request converted_to_draft", "pull_request ready_for_review")
	if err := w.sim.SetDraft("acme/gitops", 99, false, "alice"); err == nil {
		t.Error("a draft of nothing")
	}
}

// The head of a fork is in the base repository, and nobody needs the fork
// (forges.md A.12).
func TestFork(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c := w.clone("mallory", "mallory/gitops")
	head := c.commit("evil", "a", "a\n")
	c.push("evil")
	wantStrings(t, "events of a repository without the App", w.events())
	made := w.must(http.StatusCreated, "mallory", "POST", gitops+"/pulls", object{"title": "a", "head": "mallory:evil", "base": "main"})
	n := int(made.at("number").(float64))
	if made.text("head.repo.full_name") != "mallory/gitops" || made.text("head.label") != "mallory:evil" || made.at("maintainer_can_modify") != true {
		t.Errorf("the head: %v", made.at("head.label"))
	}
	base := w.clone("bob", "acme/gitops")
	base.git("fetch", "--quiet", "origin", fmt.Sprintf("refs/pull/%d/head", n))
	if got := base.git("rev-parse", "FETCH_HEAD"); got != head {
		t.Errorf("the base repository has %s", got)
	}
	base.git("fetch", "--quiet", "--depth=1", "--filter=blob:none", "origin", head) // forges.md A.13
	second := c.commit("evil", "a", "b\n")
	c.push("evil")
	wantStrings(t, "events", w.events(), "pull_request opened", "pull_request synchronize")
	if got := base.remote(fmt.Sprintf("refs/pull/%d/head", n)); got != second {
		t.Errorf("the base repository still has %s", got)
	}
	run := w.must(http.StatusCreated, "bot", "POST", gitops+"/check-runs", object{"name": "davit", "head_sha": second})
	if pulls, is := run.at("pull_requests").([]any); !is || len(pulls) != 0 {
		t.Errorf("a check run of a fork names %v (forges.md A.5)", pulls)
	}
	w.must(http.StatusForbidden, "mallory", "PUT", pullPath(n)+"/merge", object{})
	w.must(http.StatusOK, "alice", "PUT", pullPath(n)+"/merge", object{"sha": second})
}

func TestGit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c, n := w.pull("more")
	at := func(credential, repo string) string {
		return strings.Replace(w.url, "http://", "http://"+credential, 1) + "/" + repo + ".git"
	}
	bot := w.token(object{"permissions": object{"contents": "read"}}).text("token")
	writes := w.token(object{"permissions": object{"contents": "write"}}).text("token")
	for name, test := range map[string]struct {
		args []string
		fine bool
	}{
		"the App reads":                      {[]string{"ls-remote", at("x-access-token:"+bot+"@", "acme/gitops")}, true},
		"anybody reads what is public":       {[]string{"ls-remote", at("", "acme/public")}, true},
		"not what is private":                {[]string{"ls-remote", at("", "acme/gitops")}, false},
		"the App is not everywhere":          {[]string{"ls-remote", at("x-access-token:"+bot+"@", "acme/secret")}, false},
		"a stranger":                         {[]string{"ls-remote", at("mallory:user-mallory@", "acme/secret")}, false},
		"a wrong password":                   {[]string{"ls-remote", at("alice:alice@", "acme/gitops")}, false},
		"no such repository":                 {[]string{"ls-remote", at("alice:user-alice@", "acme/none")}, false},
		"who reads pushes nothing":           {[]string{"push", at("x-access-token:"+bot+"@", "acme/gitops"), "HEAD:refs/heads/bot"}, false},
		"the App pushes, if it may write":    {[]string{"push", at("x-access-token:"+writes+"@", "acme/gitops"), "HEAD:refs/heads/bot"}, true},
		"a reader pushes nothing":            {[]string{"push", at("mallory:user-mallory@", "acme/gitops"), "HEAD:refs/heads/mallory"}, false},
		"nobody pushes to pull requests":     {[]string{"push", "origin", fmt.Sprintf("+main:refs/pull/%d/head", n)}, false},
		"nor makes one":                      {[]string{"push", "origin", "main:refs/pull/99/head"}, false},
		"nobody pushes to what is not there": {[]string{"push", at("", "acme/public"), "HEAD:refs/heads/x"}, false},
		"a writer pushes":                    {[]string{"push", at("alice:user-alice@", "acme/gitops"), "HEAD:refs/heads/fine"}, true},
	} {
		if out, err := git(c.dir, append([]string{"-c", "credential.helper="}, test.args...)...); (err == nil) != test.fine {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

// What git sends in pieces, because it is large, arrives whole.
func TestLargePush(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c := w.clone("alice", "acme/gitops")
	noise := make([]byte, 3<<20)
	_, _ = rand.Read(noise) // never fails
	head := c.commit("large", "noise", string(noise))
	c.push("large")
	other := w.clone("bob", "acme/gitops")
	if got := other.git("rev-parse", "origin/large"); got != head {
		t.Errorf("large is at %s, want %s", got, head)
	}
}

// More than three tags in one push are told to nobody (forges.md A.3).
func TestTags(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c := w.clone("alice", "acme/gitops")
	for _, tag := range []string{"v1", "v2", "v3", "v4", "v5", "v6", "v7"} {
		c.git("tag", tag)
	}
	c.push("v1", "v2", "v3")
	heard := w.heard()
	if len(heard) != 3 || heard[0].body["ref"] != "refs/tags/v1" || heard[0].body["created"] != true {
		t.Errorf("three tags: %d events", len(heard))
	}
	c.push("v4", "v5", "v6", "v7")
	wantStrings(t, "events of four tags", w.events())
}

func TestPushEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c := w.clone("alice", "acme/gitops")
	before := c.git("rev-parse", "main")
	c.commit("main", "new", "1\n")
	after := c.commit("main", "README.md", "2\n")
	c.push("main")
	c.git("reset", "--quiet", "--hard", before)
	c.push("--force", "main")
	c.push("main:feature/x")
	c.push(":feature/x")
	heard := w.heard()
	if len(heard) != 4 {
		t.Fatalf("%d events", len(heard))
	}
	commits, _ := heard[0].body["commits"].([]any)
	if heard[0].body["before"] != before || heard[0].body["after"] != after || heard[0].body["forced"] != false || len(commits) != 2 ||
		fmt.Sprint(at(commits[0], "added")) != "[new]" || fmt.Sprint(at(commits[1], "modified")) != "[README.md]" {
		t.Errorf("a push of two: %v", heard[0].body)
	}
	if heard[1].body["forced"] != true {
		t.Error("a forced push does not say so")
	}
	if heard[2].body["created"] != true || heard[2].body["ref"] != "refs/heads/feature/x" || heard[3].body["deleted"] != true || heard[3].body["after"] != zero {
		t.Error("a branch that comes and goes does not say so")
	}
	if sender := at(heard[0].body, "sender.login"); sender != "alice" || at(heard[0].body, "organization.login") != "acme" || at(heard[0].body, "installation.id") == nil {
		t.Errorf("the event is by %v", sender)
	}
}

func TestSlashesInBranches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c, n := w.pull("feature/x")
	if got := w.must(http.StatusOK, "bot", "GET", gitops+"/branches/feature%2Fx", nil); got.text("commit.sha") != c.git("rev-parse", "HEAD") {
		t.Errorf("the branch is at %s", got.text("commit.sha"))
	}
	w.must(http.StatusOK, "bot", "GET", gitops+"/commits/feature%2Fx/check-runs", nil)
	w.must(http.StatusOK, "bot", "GET", gitops+"/commits/heads%2Ffeature%2Fx/status", nil)
	w.must(http.StatusUnprocessableEntity, "bot", "GET", gitops+"/commits/none/check-runs", nil)
	w.must(http.StatusOK, "bot", "GET", pullPath(n), nil)
}

// Reviews carry the commit that was looked at (forges.md A.4); their state is in
// capitals here, and not in webhooks.
func TestReviews(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c, n := w.pull("more")
	first := c.git("rev-parse", "HEAD")
	w.must(http.StatusOK, "bob", "POST", pullPath(n)+"/reviews", object{"event": "APPROVE"})
	second := c.commit("more", "a", "a\n")
	c.push("more")
	w.must(http.StatusOK, "carol", "POST", pullPath(n)+"/reviews", object{"event": "REQUEST_CHANGES", "body": "No.", "commit_id": first})
	w.must(http.StatusOK, "carol", "POST", pullPath(n)+"/reviews", object{"event": "COMMENT", "body": "Hm."})
	w.must(http.StatusOK, "bob", "POST", pullPath(n)+"/reviews", object{"body": "not sent yet"})
	var got []string
	for _, v := range w.must(http.StatusOK, "bot", "GET", pullPath(n)+"/reviews", nil).list {
		got = append(got, fmt.Sprint(at(v, "user.login"), " ", v["state"], " ", v["commit_id"]))
	}
	wantStrings(t, "reviews", got, "bob APPROVED "+first, "carol CHANGES_REQUESTED "+first, "carol COMMENTED "+second)
	var states []string
	for _, h := range w.heard() {
		if h.event == "pull_request_review" {
			states = append(states, fmt.Sprint(at(h.body, "review.state")))
		}
	}
	if !slices.Equal(states, []string{"approved", "changes_requested", "commented"}) {
		t.Errorf("in webhooks: %q", states)
	}
}
