package githubsim

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// A webhook's headers (forges.md A.3).
func TestHookHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	w.sim.Ping()
	if err := w.sim.Install("acme"); err != nil {
		t.Fatal(err)
	}
	if err := w.sim.Install("bob"); err == nil {
		t.Error("bob has an installation")
	}
	heard := w.heard()
	if len(heard) != 2 || heard[0].event != "ping" || heard[1].event != "installation" || heard[1].action != "created" {
		t.Fatalf("heard %v", heard)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "X-GitHub-Event": "ping", "X-GitHub-Hook-ID": fmt.Sprint(appID),
		"X-GitHub-Hook-Installation-Target-Type": "integration", "X-GitHub-Hook-Installation-Target-ID": fmt.Sprint(appID),
	} {
		if got := heard[0].header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if !strings.HasPrefix(heard[0].header.Get("User-Agent"), "GitHub-Hookshot/") || len(heard[0].guid) != 36 || heard[0].guid == heard[1].guid {
		t.Errorf("User-Agent %q, GUIDs %q and %q", heard[0].header.Get("User-Agent"), heard[0].guid, heard[1].guid)
	}
	if !strings.HasPrefix(heard[0].header.Get("X-Hub-Signature"), "sha1=") {
		t.Error("the old signature is not there")
	}
}

// Only what the App asked for is sent.
func TestEventsOfTheApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, strings.Replace(usualSeed, "name: Davit}", "name: Davit, events: [pull_request]}", 1))
	_, n := w.pull("more")
	w.must(http.StatusCreated, "alice", "POST", issuePath(n)+"/comments", object{"body": "a"})
	wantStrings(t, "events", w.events())
}

func TestDeliveries(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed, func(o *Options) { o.HookTimeout = 300 * time.Millisecond })
	_, n := w.pull("more")
	hang := make(chan struct{})
	defer close(hang)
	w.mu.Lock()
	w.answer = func(h hook) int {
		switch at(h.body, "comment.body") {
		case "bad":
			return http.StatusInternalServerError
		case "slow":
			<-hang
		}
		return http.StatusOK
	}
	w.mu.Unlock()
	for _, body := range []string{"good", "bad", "slow"} {
		w.must(http.StatusCreated, "alice", "POST", issuePath(n)+"/comments", object{"body": body})
	}
	w.heard()
	var got []string
	path := "/app/hook/deliveries?per_page=2"
	var newest []object
	for path != "" {
		page := w.must(http.StatusOK, "app", "GET", path, nil)
		newest = append(newest, page.list...)
		path = next(page)
	}
	for _, d := range newest[:3] {
		got = append(got, fmt.Sprint(d["event"], " ", d["action"], " ", d["status"], " ", d["status_code"], " ", d["redelivery"]))
	}
	wantStrings(t, "deliveries", got, "issue_comment created timed out 0 false",
		"issue_comment created Invalid HTTP Response: 500 500 false", "issue_comment created OK 200 false")
	if len(newest) != 5 {
		t.Errorf("%d deliveries, want a push, an opened and three comments", len(newest))
	}
	if calls := w.sim.Deliveries(); len(calls) != 5 {
		t.Errorf("%d attempts: GitHub sends nothing again by itself (forges.md A.3)", len(calls))
	}

	w.mu.Lock()
	w.answer = nil
	w.mu.Unlock()
	w.must(http.StatusAccepted, "app", "POST", fmt.Sprintf("/app/hook/deliveries/%.0f/attempts", newest[1]["id"]), nil)
	w.must(http.StatusNotFound, "app", "POST", "/app/hook/deliveries/1/attempts", nil)
	heard := w.heard()
	if len(heard) != 1 || heard[0].guid != newest[1]["guid"] || at(heard[0].body, "comment.body") != "bad" {
		t.Errorf("what was sent again: %v (forges.md A.3)", heard)
	}
	last := w.must(http.StatusOK, "app", "GET", "/app/hook/deliveries?per_page=1", nil).list[0]
	if last["guid"] != newest[1]["guid"] || last["redelivery"] != true || last["status"] != "OK" || last["id"] == newest[1]["id"] {
		t.Errorf("the attempt is listed as %v", last)
	}
	w.must(http.StatusUnprocessableEntity, "app", "GET", "/app/hook/deliveries?cursor=none", nil)
}

// next is the path of the next page, or empty.
func next(r reply) string {
	for link := range strings.SplitSeq(r.header.Get("Link"), ", ") {
		if url, is := strings.CutSuffix(link, `>; rel="next"`); is {
			_, path, _ := strings.Cut(strings.TrimPrefix(url, "<http://"), "/")
			return "/" + path
		}
	}
	return ""
}

func TestPaging(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	_, n := w.pull("more")
	comments := issuePath(n) + "/comments"
	for i := range 7 {
		w.must(http.StatusCreated, "alice", "POST", comments, object{"body": fmt.Sprint(i)})
	}
	for _, prefix := range []string{"", "/api/v3"} {
		var seen []string
		pages := 0
		for path := prefix + comments + "?per_page=3"; path != ""; pages++ {
			if !strings.HasPrefix(path, prefix) {
				t.Fatalf("the next page is at %s", path)
			}
			page := w.must(http.StatusOK, "bot", "GET", path, nil)
			for _, entry := range page.list {
				seen = append(seen, fmt.Sprint(entry["body"]))
			}
			path = next(page)
		}
		wantStrings(t, "comments", seen, "0", "1", "2", "3", "4", "5", "6")
		if pages != 3 {
			t.Errorf("%d pages", pages)
		}
	}
	if got := w.must(http.StatusOK, "bot", "GET", comments+"?page=9", nil); len(got.list) != 0 || next(got) != "" {
		t.Errorf("a page behind the last has %d", len(got.list))
	}
}

// A page has a hundred at most, and thirty when nothing is said.
func TestPageSize(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]int{"": 30, "?per_page=200": 100, "?per_page=0": 1, "?per_page=7&page=22": 3, "?per_page=x&page=-1": 30} {
		asked := httptest.NewRequestWithContext(t.Context(), "GET", "/a"+query, nil)
		c := &call{Sim: &Sim{}, r: asked, header: http.Header{}}
		if got := len(page(c, make([]int, 150))); got != want {
			t.Errorf("%q: %d, want %d", query, got, want)
		}
	}
}

// An answer that the client has is 304, and free (forges.md A.7).
func TestETag(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	_, n := w.pull("more")
	ask := func(tag string) reply {
		t.Helper()
		return w.request("GET", gitops+"/pulls?state=open", w.authorization("bot"), http.Header{"If-None-Match": {tag}}, nil)
	}
	first := ask("")
	tag := first.header.Get("ETag")
	second := ask(tag)
	if tag == "" || second.status != http.StatusNotModified || second.body != nil || second.list != nil {
		t.Errorf("with %s: %d", tag, second.status)
	}
	if second.header.Get("X-RateLimit-Remaining") != first.header.Get("X-RateLimit-Remaining") {
		t.Error("a 304 is not free")
	}
	w.must(http.StatusOK, "alice", "PATCH", pullPath(n), object{"title": "Fewer"})
	if third := ask(tag); third.status != http.StatusOK || third.header.Get("ETag") == tag || third.header.Get("X-RateLimit-Remaining") == first.header.Get("X-RateLimit-Remaining") {
		t.Errorf("after a change: %d", third.status)
	}
}

// The primary limit is counted for each installation (forges.md A.7).
func TestPrimaryLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	got := w.must(http.StatusOK, "bot", "GET", gitops, nil)
	if got.header.Get("X-RateLimit-Limit") != "5000" || got.header.Get("X-RateLimit-Remaining") != "4999" || got.header.Get("X-GitHub-Request-Id") == "" {
		t.Errorf("headers: %v", got.header)
	}
	w.sim.mu.Lock()
	for _, b := range w.sim.budgets {
		b.used = hourBudget
	}
	w.sim.mu.Unlock()
	got = w.must(http.StatusForbidden, "bot", "GET", gitops, nil)
	if got.header.Get("X-RateLimit-Remaining") != "0" || got.header.Get("X-RateLimit-Reset") == "" {
		t.Errorf("headers: %v", got.header)
	}
	w.must(http.StatusOK, "alice", "GET", gitops, nil)
}

// The simulator has what the list of operations names, no less and no more.
func TestOperationsAreTheList(t *testing.T) {
	t.Parallel()
	list, err := os.ReadFile("../../../../testdata/openapi/github.operations")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for line := range strings.Lines(string(list)) {
		if method, _, _ := strings.Cut(line, " "); !slices.Contains([]string{"#", "WEBHOOK"}, method) {
			want = append(want, strings.TrimSpace(line))
		}
	}
	for _, op := range operations {
		got = append(got, op.name())
	}
	slices.Sort(want)
	slices.Sort(got)
	wantStrings(t, "operations", got, want...)
}

func TestUnknownOperation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	w.expected = []string{"githubsim has no operation GET /repos/acme/gitops/teams", "githubsim has no operation POST /graphql"}
	got := w.must(http.StatusNotImplemented, "bot", "GET", "/api/v3"+gitops+"/teams", nil)
	if got.text("message") != w.expected[0] {
		t.Errorf("says %q", got.text("message"))
	}
	w.must(http.StatusNotImplemented, "bot", "POST", "/graphql", object{})
	wantStrings(t, "violations", w.sim.Violations(), w.expected...)
}

// What is late by a time comes by itself.
func TestLateByATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	_, n := w.pull("more")
	arrived := make(chan string, 1)
	w.mu.Lock()
	w.answer = func(h hook) int {
		arrived <- h.event
		return http.StatusOK
	}
	w.mu.Unlock()
	w.fault(Fault{Webhook: "late", Delay: Duration(20 * time.Millisecond)})
	w.must(http.StatusCreated, "alice", "POST", issuePath(n)+"/comments", object{"body": "a"})
	select {
	case event := <-arrived:
		if event != "issue_comment" {
			t.Errorf("%s arrived", event)
		}
	case <-time.After(10 * time.Second):
		t.Error("it never arrived")
	}
}

// What is larger than 25 MB is not sent, and nothing says so (forges.md A.3).
func TestTooLargeToSend(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	w.sim.mu.Lock()
	w.sim.dispatch("push", nil, object{"ref": strings.Repeat("a", maxBody)}, &delivery{})
	w.sim.mu.Unlock()
	wantStrings(t, "events", w.events())
	if got := w.sim.Deliveries(); len(got) != 0 {
		t.Errorf("%d deliveries", len(got))
	}
}
