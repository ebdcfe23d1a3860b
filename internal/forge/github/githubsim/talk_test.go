package githubsim

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func issuePath(n int) string { return fmt.Sprintf("%s/issues/%d", gitops, n) }

// The limit is in characters (forges.md A.6).
func TestCommentLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	_, n := w.pull("more")
	comments := issuePath(n) + "/comments"
	made := w.must(http.StatusCreated, "bot", "POST", comments, object{"body": strings.Repeat("é", maxComment)})
	for _, method := range []struct{ method, path string }{{"POST", comments}, {"PATCH", fmt.Sprintf("%s/issues/comments/%d", gitops, made.id())}} {
		got := w.must(http.StatusUnprocessableEntity, "bot", method.method, method.path, object{"body": strings.Repeat("é", maxComment+1)})
		if !strings.Contains(fmt.Sprint(got.body), "Body is too long (maximum is 65536 characters)") {
			t.Errorf("%s: GitHub says %v", method.method, got.body)
		}
	}
	w.must(http.StatusUnprocessableEntity, "bot", "POST", comments, object{"body": ""})
}

func TestComments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	_, n := w.pull("more")
	comments := issuePath(n) + "/comments"
	made := w.must(http.StatusCreated, "bot", "POST", comments, object{"body": "first"})
	one := fmt.Sprintf("%s/issues/comments/%d", gitops, made.id())
	theirs := w.must(http.StatusCreated, "mallory", "POST", comments, object{"body": "second"})
	two := fmt.Sprintf("%s/issues/comments/%d", gitops, theirs.id())
	if made.text("user.login") != "davit[bot]" || made.text("user.type") != "Bot" || made.text("performed_via_github_app.slug") != "davit" {
		t.Errorf("the App's comment is by %v", made.body["user"])
	}
	w.must(http.StatusForbidden, "mallory", "PATCH", one, object{"body": "mine"})
	w.must(http.StatusForbidden, "mallory", "DELETE", one, nil)
	w.must(http.StatusOK, "mallory", "PATCH", two, object{"body": "changed"})
	w.must(http.StatusOK, "alice", "PATCH", two, object{"body": "moderated"})
	w.must(http.StatusOK, "alice", "PATCH", two, object{"body": "moderated"}) // nothing changes
	w.must(http.StatusNoContent, "mallory", "DELETE", two, nil)
	w.must(http.StatusNotFound, "mallory", "DELETE", two, nil)
	w.must(http.StatusUnprocessableEntity, "mallory", "POST", one+"/reactions", object{"content": "+2"})
	w.expected = append(w.expected, "reactions: request body has an error") // the description knows it, too
	if got := w.must(http.StatusOK, "bot", "GET", comments, nil); len(got.list) != 1 || got.list[0]["body"] != "first" {
		t.Errorf("what is left: %v", got.list)
	}
	var got []string
	for _, h := range w.heard() {
		got = append(got, fmt.Sprint(h.action, " ", at(h.body, "comment.body"), " ", at(h.body, "changes.body.from"), " by ", at(h.body, "sender.login")))
		if at(h.body, "issue.pull_request.url") == nil {
			t.Error("a comment on a pull request does not say that it is one (forges.md A.4)")
		}
	}
	wantStrings(t, "events", got, "created first <nil> by davit[bot]", "created second <nil> by mallory", "edited changed second by mallory",
		"edited moderated changed by alice", "deleted moderated <nil> by mallory")
}

// A webhook can't see who is a member, and the API can (forges.md 0.7).
func TestAssociation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	_, n := w.pull("more")
	for who, want := range map[string][2]string{"bob": {"MEMBER", "NONE"}, "alice": {"COLLABORATOR", "COLLABORATOR"}, "carol": {"MEMBER", "NONE"}} {
		made := w.must(http.StatusCreated, who, "POST", issuePath(n)+"/comments", object{"body": "a"})
		heard := w.heard()
		if got := [2]string{made.text("author_association"), fmt.Sprint(at(heard[0].body, "comment.author_association"))}; got != want {
			t.Errorf("%s: %q, want %q", who, got, want)
		}
	}
}

func TestReactions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	_, n := w.pull("more")
	made := w.must(http.StatusCreated, "alice", "POST", issuePath(n)+"/comments", object{"body": "/apply"})
	reactions := fmt.Sprintf("%s/issues/comments/%d/reactions", gitops, made.id())
	first := w.must(http.StatusCreated, "bot", "POST", reactions, object{"content": "eyes"})
	if again := w.must(http.StatusOK, "bot", "POST", reactions, object{"content": "eyes"}); again.id() != first.id() {
		t.Error("the same reaction has two ids (forges.md A.6)")
	}
	w.must(http.StatusCreated, "bob", "POST", reactions, object{"content": "eyes"})
	if got := w.must(http.StatusOK, "bot", "GET", issuePath(n)+"/comments", nil); at(got.list[0], "reactions.eyes") != 2.0 {
		t.Errorf("reactions: %v", got.list[0]["reactions"])
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	_, n := w.pull("more")
	w.must(http.StatusOK, "alice", "POST", issuePath(n)+"/labels", object{"labels": []any{"big", object{"name": "red"}}})
	got := w.must(http.StatusOK, "bot", "POST", issuePath(n)+"/labels", []string{"red", "new"})
	var names []string
	for _, l := range got.list {
		names = append(names, fmt.Sprint(l["name"]))
	}
	wantStrings(t, "labels", names, "big", "red", "new")
	wantStrings(t, "events", w.events(), "pull_request labeled", "pull_request labeled", "pull_request labeled")
}

// Check runs (forges.md A.5).
func TestCheckLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c, _ := w.pull("more")
	head := c.git("rev-parse", "HEAD")
	note := func(count int) []object {
		notes := make([]object, count)
		for i := range notes {
			notes[i] = object{"path": "a", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m"}
		}
		return notes
	}
	out := func(name string, value any) object {
		output := object{"title": "t", "summary": "s"}
		output[name] = value
		return object{"name": "davit", "head_sha": head, "output": output}
	}
	long := strings.Repeat("x", 21)
	for name, test := range map[string]struct {
		body      object
		want      int
		says      string
		described bool // the description has the limit as well
	}{
		"as much summary as fits": {out("summary", strings.Repeat("é", maxOutput)), 201, "", false},
		"too much summary":        {out("summary", strings.Repeat("é", maxOutput+1)), 422, "Only 65535 characters are allowed; 65536 were supplied", true},
		"too much text":           {out("text", strings.Repeat("é", maxOutput+1)), 422, "Only 65535 characters", true},
		"fifty annotations":       {out("annotations", note(50)), 201, "", false},
		"more than fifty":         {out("annotations", note(51)), 422, "annotations", true},
		"no such commit":          {object{"name": "davit", "head_sha": zero}, 422, "No commit found for SHA", false},
		"part of a commit's name": {object{"name": "davit", "head_sha": head[:10]}, 422, "No commit found for SHA", false},
		"no name":                 {object{"name": "", "head_sha": head}, 422, "name", false},
		"completed, but how":      {object{"name": "davit", "head_sha": head, "status": "completed"}, 422, "conclusion", false},
		"four actions":            {object{"name": "davit", "head_sha": head, "actions": []object{action("a"), action("b"), action("c"), action("d")}}, 422, "actions", true},
		"a long identifier":       {object{"name": "davit", "head_sha": head, "actions": []object{action(long)}}, 422, "action", true},
	} {
		if test.described {
			w.expected = append(w.expected, "request POST /repos/{owner}/{repo}/check-runs")
		}
		got := w.do("bot", "POST", gitops+"/check-runs", test.body)
		if got.status != test.want || !strings.Contains(fmt.Sprint(got.body), test.says) {
			t.Errorf("%s: %d %.300v, want %d with %q", name, got.status, got.body, test.want, test.says)
		}
	}
}

func action(identifier string) object {
	return object{"label": "Apply", "description": "Apply it", "identifier": identifier}
}

func TestChecks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c, n := w.pull("more")
	head := c.git("rev-parse", "HEAD")
	note := object{"path": "a", "start_line": 1, "end_line": 1, "annotation_level": "failure", "message": "m"}
	made := w.must(http.StatusCreated, "bot", "POST", gitops+"/check-runs", object{
		"name": "davit", "head_sha": head, "external_id": "7", "actions": []object{action("apply")},
		"output": object{"title": "t", "summary": "s", "annotations": []object{note}},
	})
	if made.text("status") != "queued" || made.at("conclusion") != nil || at(made.at("pull_requests").([]any)[0], "number") != float64(n) {
		t.Errorf("a new run: %v", made.body)
	}
	run := fmt.Sprintf("%s/check-runs/%d", gitops, made.id())
	got := w.must(http.StatusOK, "bot", "PATCH", run, object{"conclusion": "failure", "output": object{"title": "t", "summary": "s2", "annotations": []object{note, note}}})
	if got.text("status") != "completed" || got.at("completed_at") == nil || got.at("output.annotations_count") != 3.0 || got.text("external_id") != "7" {
		t.Errorf("a conclusion implies completed, and annotations add up: %v", got.body)
	}
	got = w.must(http.StatusOK, "bot", "PATCH", run, object{"status": "in_progress"})
	if got.at("conclusion") != nil || got.at("completed_at") != nil {
		t.Errorf("a run that was opened again: %v", got.body)
	}
	w.must(http.StatusOK, "bot", "PATCH", run, object{"conclusion": "neutral"})
	w.must(http.StatusNotFound, "bot", "PATCH", gitops+"/check-runs/1", object{"conclusion": "neutral"})
	second := w.must(http.StatusCreated, "bot", "POST", gitops+"/check-runs", object{"name": "davit", "head_sha": head, "conclusion": "success"})
	w.must(http.StatusCreated, "bot", "POST", gitops+"/check-runs", object{"name": "other", "head_sha": head})
	for query, want := range map[string]float64{
		"": 2, "?filter=all": 3, "?check_name=davit": 1, "?check_name=davit&filter=all": 2, "?status=queued": 1, "?check_name=none": 0,
		fmt.Sprintf("?app_id=%d", appID): 2, "?app_id=1": 0,
	} {
		list := w.must(http.StatusOK, "bot", "GET", gitops+"/commits/"+head+"/check-runs"+query, nil)
		if list.at("total_count") != want {
			t.Errorf("%q: %v, want %v", query, list.at("total_count"), want)
		}
		if query == "?check_name=davit" && at(list.at("check_runs").([]any)[0], "id") != float64(second.id()) {
			t.Error("the latest is not the latest")
		}
	}
	w.heard()
	if err := w.sim.Click(made.id(), "apply", "alice"); err != nil {
		t.Fatal(err)
	}
	if err := w.sim.Click(made.id(), "", "alice"); err != nil {
		t.Fatal(err)
	}
	heard := w.heard()
	if len(heard) != 2 || heard[0].action != "requested_action" || at(heard[0].body, "requested_action.identifier") != "apply" ||
		at(heard[0].body, "check_run.head_sha") != head || heard[1].action != "rerequested" {
		t.Errorf("two clicks: %v (forges.md A.4)", heard)
	}
	for _, wrong := range [][2]string{{"apply", "mallory"}, {"other", "alice"}, {"apply", "nobody"}} {
		if err := w.sim.Click(made.id(), wrong[0], wrong[1]); err == nil {
			t.Errorf("%q may click", wrong)
		}
	}
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c, _ := w.pull("more")
	head := c.git("rev-parse", "HEAD")
	statuses := gitops + "/statuses/" + head
	for _, test := range []struct{ context, state, want string }{
		{"", "", "pending"}, {"a", "success", "success"}, {"b", "pending", "pending"}, {"b", "error", "failure"}, {"b", "success", "success"},
	} {
		if test.state != "" {
			w.must(http.StatusCreated, "alice", "POST", statuses, object{"state": test.state, "context": test.context})
		}
		if got := w.must(http.StatusOK, "bot", "GET", gitops+"/commits/"+head+"/status", nil); got.text("state") != test.want {
			t.Errorf("after %s of %s: %s, want %s", test.state, test.context, got.text("state"), test.want)
		}
	}
	w.must(http.StatusUnprocessableEntity, "alice", "POST", statuses, object{"state": "success", "description": strings.Repeat("x", 141)})
	w.must(http.StatusUnprocessableEntity, "alice", "POST", gitops+"/statuses/"+zero, object{"state": "success"})
}

// Deployments (forges.md A.11).
func TestDeployments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c, _ := w.pull("more")
	head := c.git("rev-parse", "HEAD")
	deployments := gitops + "/deployments"
	plain := func(more object) object {
		body := object{"ref": head, "auto_merge": false, "required_contexts": []string{}, "environment": "prod"}
		for name, value := range more {
			body[name] = value
		}
		return body
	}
	w.must(http.StatusCreated, "alice", "POST", gitops+"/statuses/"+head, object{"state": "failure", "context": "ci"})
	w.must(http.StatusConflict, "bot", "POST", deployments, object{"ref": head, "auto_merge": false})
	w.must(http.StatusConflict, "bot", "POST", deployments, plain(object{"required_contexts": []string{"none"}}))
	w.must(http.StatusUnprocessableEntity, "bot", "POST", deployments, plain(object{"ref": "none"}))
	first := w.must(http.StatusCreated, "bot", "POST", deployments, plain(nil))
	second := w.must(http.StatusCreated, "bot", "POST", deployments, plain(object{"payload": object{"plan": "1"}, "description": "d"}))
	state := func(made reply, body object) {
		t.Helper()
		w.must(http.StatusCreated, "bot", "POST", fmt.Sprintf("%s/%d/statuses", deployments, made.id()), body)
	}
	state(first, object{"state": "in_progress", "log_url": "https://davit.localhost/1"})
	state(first, object{"state": "success"})
	state(second, object{"state": "success"})
	got := w.must(http.StatusOK, "bot", "GET", fmt.Sprintf("%s/%d/statuses", deployments, first.id()), nil)
	var states []string
	for _, st := range got.list {
		states = append(states, fmt.Sprint(st["state"]))
	}
	wantStrings(t, "a deployment that another took the place of", states, "inactive", "success", "in_progress")
	for query, want := range map[string]int{"": 2, "?environment=prod": 2, "?environment=stage": 0, "?sha=" + head: 2, "?ref=none": 0} {
		if got := w.must(http.StatusOK, "bot", "GET", deployments+query, nil); len(got.list) != want {
			t.Errorf("%q: %d, want %d", query, len(got.list), want)
		}
	}
	w.must(http.StatusUnprocessableEntity, "bot", "POST", fmt.Sprintf("%s/%d/statuses", deployments, first.id()), object{"state": "success", "description": strings.Repeat("x", 141)})
	w.must(http.StatusNotFound, "bot", "GET", deployments+"/1/statuses", nil)
}

// Without auto_merge: false a deployment may be a merge (forges.md A.11).
func TestDeploymentMerges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c, _ := w.pull("more")
	c.git("checkout", "--quiet", "main")
	base := c.commit("main", "beside", "b\n")
	c.push("main")
	w.heard()
	w.must(http.StatusAccepted, "alice", "POST", gitops+"/deployments", object{"ref": "more"})
	wantStrings(t, "events", w.events(), "push", "pull_request synchronize")
	c.git("fetch", "--quiet", "origin")
	c.git("merge-base", "--is-ancestor", base, "origin/more")
	w.must(http.StatusCreated, "alice", "POST", gitops+"/deployments", object{"ref": "more"})
}
