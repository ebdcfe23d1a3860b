package githubsim

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// numbers are those of a list of issues or pull requests.
func (r reply) numbers() string {
	var all []any
	for _, p := range r.list {
		all = append(all, p["number"])
	}
	return fmt.Sprint(all...)
}

// Whichever way a pull request is merged, each commit that it put on the base is
// associated with it, and so are those of its branch.
func TestPullsOfCommit(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"merge", "squash", "rebase", "push"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, usualSeed)
			c, n := w.pull("more")
			own := []string{c.git("rev-parse", "HEAD"), c.commit("more", "new.yaml", "a: 1\n")}
			c.push("more")
			c.git("checkout", "--quiet", "main")
			first := c.git("rev-parse", "HEAD")
			if method == "push" {
				c.push("more:main")
			} else {
				before := c.commit("main", "beside", "b\n")
				c.push("main")
				w.must(http.StatusOK, "alice", "PUT", pullPath(n)+"/merge", object{"merge_method": method})
				first = before
			}
			c.git("fetch", "--quiet", "origin")
			after := c.git("commit-tree", "-p", "origin/main", "-m", "pushed", "origin/main^{tree}")
			c.push(after + ":refs/heads/main")
			of := func(sha string) string {
				return w.must(http.StatusOK, "bot", "GET", gitops+"/commits/"+sha+"/pulls", nil).numbers()
			}
			for _, sha := range append(own, strings.Fields(c.git("rev-list", first+".."+after+"^"))...) {
				if got := of(sha); got != fmt.Sprint(n) {
					t.Errorf("%s of %s is of %q, want %d", c.git("log", "-1", "--format=%s", sha), method, got, n)
				}
			}
			for _, sha := range []string{first, after} {
				if got := of(sha); got != "" {
					t.Errorf("%s, which was pushed, is of %q", c.git("log", "-1", "--format=%s", sha), got)
				}
			}
		})
	}
}

// A commit that is not on the default branch has open pull requests, too, and no closed
// ones; one that is there has none of them.
func TestPullsOfOpenCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c, n := w.pull("more")
	head := c.git("rev-parse", "HEAD")
	path := gitops + "/commits/" + head + "/pulls"
	if got := w.must(http.StatusOK, "bot", "GET", path, nil); got.numbers() != fmt.Sprint(n) || got.list[0]["merged_at"] != nil {
		t.Errorf("an open one's head is of %q", got.numbers())
	}
	if got := w.must(http.StatusOK, "bot", "GET", gitops+"/commits/"+c.git("rev-parse", "main")+"/pulls", nil).numbers(); got != "" {
		t.Errorf("what it is based on is of %q", got)
	}
	w.must(http.StatusOK, "alice", "PATCH", pullPath(n), object{"state": "closed"})
	if got := w.must(http.StatusOK, "bot", "GET", path, nil).numbers(); got != "" {
		t.Errorf("a closed one's head is of %q", got)
	}
	w.must(http.StatusUnprocessableEntity, "bot", "GET", gitops+"/commits/"+zero+"/pulls", nil)
}

// Comments on commits are the contents' to GitHub: its table of what Apps may do wants
// contents:read to write one, and contents:write to edit it.
func TestRemarks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c := w.clone("alice", "acme/gitops")
	head := c.git("rev-parse", "HEAD")
	path := gitops + "/commits/" + head + "/comments"
	said := w.must(http.StatusCreated, "bot", "POST", path, object{"body": "One."})
	theirs := w.must(http.StatusCreated, "mallory", "POST", path, object{"body": "Two."})
	one := func(made reply) string { return fmt.Sprintf("%s/comments/%d", gitops, made.id()) }
	w.must(http.StatusOK, "bot", "PATCH", one(said), object{"body": "Three."})
	w.must(http.StatusOK, "bot", "PATCH", one(theirs), object{"body": "Four."}) // GitHub lets an App edit anybody's
	w.must(http.StatusForbidden, "mallory", "PATCH", one(said), object{"body": "Mine."})
	w.must(http.StatusOK, "alice", "PATCH", one(said), object{"body": "Five."})
	got := w.must(http.StatusOK, "bot", "GET", path, nil)
	if len(got.list) != 2 || got.list[0]["body"] != "Five." || got.list[1]["body"] != "Four." || at(got.list[0], "user.login") != "davit[bot]" || got.list[0]["commit_id"] != head {
		t.Errorf("the comments are %v", got.list)
	}
	w.must(http.StatusUnprocessableEntity, "bot", "POST", path, object{"body": strings.Repeat("⚓", maxComment+1)})
	w.must(http.StatusUnprocessableEntity, "bot", "POST", path, object{"body": ""})
	w.must(http.StatusUnprocessableEntity, "bot", "POST", gitops+"/commits/"+zero+"/comments", object{"body": "x"})
	w.must(http.StatusNotFound, "bot", "PATCH", gitops+"/comments/1", object{"body": "x"})
	reads := w.token(object{"permissions": object{"contents": "read"}}).text("token")
	w.must(http.StatusCreated, reads, "POST", path, object{"body": "Reading is enough to write one,"})
	w.must(http.StatusForbidden, reads, "PATCH", one(said), object{"body": "and not to edit it."})
	wantStrings(t, "events", w.events())
}

func TestIssues(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	_, pull := w.pull("more")
	issues := gitops + "/issues"
	ours := w.must(http.StatusCreated, "bot", "POST", issues, object{"title": "Drift", "body": "It drifts."})
	theirs := w.must(http.StatusCreated, "mallory", "POST", issues, object{"title": "Drift", "body": "It drifts."})
	if ours.at("number") != float64(pull+1) || theirs.at("number") != float64(pull+2) || ours.at("performed_via_github_app.slug") != "davit" {
		t.Errorf("they are #%v and #%v", ours.at("number"), theirs.at("number"))
	}
	one := fmt.Sprintf("%s/%v", issues, ours.at("number"))
	w.must(http.StatusForbidden, "mallory", "PATCH", one, object{"state": "closed"})
	closed := w.must(http.StatusOK, "alice", "PATCH", one, object{"state": "closed"})
	if closed.text("state") != "closed" || closed.at("closed_at") == nil {
		t.Errorf("it is %v", closed.body)
	}
	for query, want := range map[string]string{
		"": "3 1", "?state=all": "3 2 1", "?state=closed": "2", "?state=all&direction=asc": "1 2 3",
		"?state=all&creator=davit%5Bbot%5D": "2", "?creator=davit%5Bbot%5D": "", "?creator=alice": "1", "?state=all&per_page=1&page=2": "2",
	} {
		got := w.must(http.StatusOK, "bot", "GET", issues+query, nil)
		if got.numbers() != want {
			t.Errorf("%q: %s, want %s", query, got.numbers(), want)
		}
		for _, i := range got.list {
			if (i["pull_request"] != nil) != (i["number"] == float64(pull)) {
				t.Errorf("%v is a pull request: %v", i["number"], i["pull_request"])
			}
		}
	}
	w.must(http.StatusUnprocessableEntity, "bot", "GET", issues+"?creator=nobody", nil)
	w.must(http.StatusUnprocessableEntity, "bot", "POST", issues, object{"title": strings.Repeat("⚓", maxTitle+1)})
	w.must(http.StatusUnprocessableEntity, "bot", "POST", issues, object{"title": ""})
	w.must(http.StatusUnprocessableEntity, "bot", "POST", issues, object{"title": "x", "body": strings.Repeat("⚓", maxComment+1)})
	w.must(http.StatusNotFound, "bot", "PATCH", issues+"/99", object{"state": "closed"})
	reads := w.token(object{"permissions": object{"issues": "read", "pull_requests": "write"}}).text("token")
	w.must(http.StatusForbidden, reads, "POST", issues, object{"title": "x"})
	if got := w.must(http.StatusOK, "bot", "GET", gitops, nil); got.at("open_issues_count") != 2.0 {
		t.Errorf("%v are open", got.at("open_issues_count"))
	}
	w.expected = []string{"githubsim has no conversation", "githubsim has no edit"}
	w.must(http.StatusNotImplemented, "bot", "POST", one+"/comments", object{"body": "x"})
	w.must(http.StatusNotImplemented, "bot", "PATCH", fmt.Sprintf("%s/%d", issues, pull), object{"state": "closed"})
}

// What the App pushes and opens is told as its bot's.
func TestOfTheApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c := w.clone("alice", "acme/gitops")
	c.commit("davit/revert-1", "README.md", "as it was\n")
	token := w.token(object{"repositories": []string{"gitops"}, "permissions": object{"contents": "write"}}).text("token")
	c.git("push", "--quiet", strings.Replace(w.url, "http://", "http://x-access-token:"+token+"@", 1)+"/acme/gitops.git", "davit/revert-1")
	asked := object{"title": "Revert", "head": "davit/revert-1", "base": "main", "draft": true}
	made := w.must(http.StatusCreated, "bot", "POST", gitops+"/pulls", asked)
	if made.at("draft") != true || made.text("user.login") != "davit[bot]" || made.text("user.type") != "Bot" {
		t.Errorf("it is by %s, a draft: %v", made.text("user.login"), made.at("draft"))
	}
	heard := w.heard()
	if len(heard) != 2 || heard[0].event != "push" || heard[1].event != "pull_request" {
		t.Fatalf("%d events", len(heard))
	}
	for _, h := range heard {
		if at(h.body, "sender.login") != "davit[bot]" || at(h.body, "sender.type") != "Bot" {
			t.Errorf("the %s is by %v", h.event, at(h.body, "sender.login"))
		}
	}
	w.must(http.StatusUnprocessableEntity, "bot", "POST", gitops+"/pulls", asked)
	asked["title"] = strings.Repeat("⚓", maxTitle+1)
	w.must(http.StatusUnprocessableEntity, "bot", "POST", gitops+"/pulls", asked)
}
