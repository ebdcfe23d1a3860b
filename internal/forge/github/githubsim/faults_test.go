package githubsim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func (w *world) fault(f Fault) {
	w.t.Helper()
	if err := w.sim.AddFault(f); err != nil {
		w.t.Fatal(err)
	}
}

// Every way the API goes wrong on purpose. The first request has the fault; the
// second does not.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault  Fault
		status int // 0: the connection ends without an answer
		header map[string]string
		says   string
		wrote  bool // the first request did its work
	}{
		"a status":           {Fault{Status: 502}, 502, nil, "Bad Gateway", false},
		"a status, any way":  {Fault{Method: "post", Status: 500}, 500, nil, "", false},
		"nothing":            {Fault{Timeout: Duration(time.Millisecond)}, 0, nil, "", false},
		"late and wrong":     {Fault{Timeout: Duration(time.Millisecond), Status: 504}, 504, nil, "", false},
		"a secondary limit":  {Fault{Limit: "secondary", RetryAfter: 7}, 403, map[string]string{"Retry-After": "7"}, "secondary rate limit", false},
		"without a time":     {Fault{Limit: "secondary", As: 429}, 429, map[string]string{"Retry-After": ""}, "secondary rate limit", false},
		"a primary limit":    {Fault{Limit: "primary"}, 403, map[string]string{"X-RateLimit-Remaining": "0"}, "API rate limit exceeded", false},
		"a primary as 429":   {Fault{Limit: "primary", As: 429, RetryAfter: 3}, 429, map[string]string{"X-RateLimit-Remaining": "0", "Retry-After": ""}, "", false},
		"done, then cut off": {Fault{AfterWrite: true}, 0, nil, "", true},
		"done, then 502":     {Fault{AfterWrite: true, Status: 502}, 502, nil, "", true},
		"done, then nothing": {Fault{AfterWrite: true, Timeout: Duration(time.Millisecond)}, 0, nil, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, usualSeed)
			_, n := w.pull("more")
			test.fault.Path = "/repos/*/*/issues/*/comments"
			if test.fault.Method == "" {
				test.fault.Method = "POST"
			}
			w.fault(test.fault)
			comments := issuePath(n) + "/comments"
			w.must(http.StatusOK, "bot", "GET", comments, nil)
			got := w.do("bot", "POST", "/api/v3"+comments, object{"body": "a"})
			if got.status != test.status || !strings.Contains(fmt.Sprint(got.body), test.says) {
				t.Errorf("%d %v, want %d with %q", got.status, got.body, test.status, test.says)
			}
			for header, want := range test.header {
				if got.header.Get(header) != want {
					t.Errorf("%s: %q, want %q", header, got.header.Get(header), want)
				}
			}
			if test.fault.Limit == "primary" && got.header.Get("X-RateLimit-Reset") == "" {
				t.Error("a primary limit does not say when it ends (forges.md A.7)")
			}
			wrote := len(w.must(http.StatusOK, "bot", "GET", comments, nil).list)
			if (wrote == 1) != test.wrote || len(w.events()) != wrote {
				t.Errorf("%d comments are there", wrote)
			}
			w.must(http.StatusCreated, "bot", "POST", comments, object{"body": "b"})
			if left := w.sim.Faults(); len(left) != 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// Every way webhooks go wrong on purpose.
func TestWebhookFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault    Fault
		before   []string // bodies of the comments that arrive by themselves
		after    []string // those that arrive after a release
		listed   int
		failures int
	}{
		"lost":             {Fault{Webhook: "lost"}, []string{"2", "3"}, nil, 3, 1},
		"lost twice":       {Fault{Webhook: "lost", Times: 2}, []string{"3"}, nil, 3, 2},
		"lost for good":    {Fault{Webhook: "lost", Unlisted: true}, []string{"2", "3"}, nil, 2, 0},
		"late":             {Fault{Webhook: "late"}, []string{"2", "3"}, []string{"1"}, 3, 0},
		"late by an hour":  {Fault{Webhook: "late", Delay: Duration(time.Hour)}, []string{"2", "3"}, []string{"1"}, 3, 0},
		"doubled":          {Fault{Webhook: "doubled"}, []string{"1", "1", "2", "3"}, nil, 4, 0},
		"reordered":        {Fault{Webhook: "reordered"}, []string{"2", "1", "3"}, nil, 3, 0},
		"of another event": {Fault{Webhook: "lost", Event: "push"}, []string{"1", "2", "3"}, nil, 3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, usualSeed)
			_, n := w.pull("more")
			w.fault(test.fault)
			for i := range 3 {
				w.must(http.StatusCreated, "alice", "POST", issuePath(n)+"/comments", object{"body": fmt.Sprint(i + 1)})
			}
			bodies := func() (got []string) {
				for _, h := range w.heard() {
					got = append(got, fmt.Sprint(at(h.body, "comment.body")))
				}
				return got
			}
			wantStrings(t, "arrived", bodies(), test.before...)
			w.sim.Release()
			wantStrings(t, "arrived after the release", bodies(), test.after...)
			listed, failures := 0, 0
			guids := map[any]int{}
			for _, d := range w.must(http.StatusOK, "app", "GET", "/app/hook/deliveries?per_page=100", nil).list {
				if d["event"] == "issue_comment" {
					listed++
					guids[d["guid"]]++
					if d["status"] != "OK" {
						failures++
					}
				}
			}
			if listed != test.listed || failures != test.failures {
				t.Errorf("%d are listed, %d of them failed; want %d and %d", listed, failures, test.listed, test.failures)
			}
			if test.fault.Webhook == "doubled" && len(guids) != 3 {
				t.Errorf("the doubled one has two GUIDs: %v", guids)
			}
		})
	}
}

// One that was lost can be asked for again.
func TestLostIsRedelivered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	_, n := w.pull("more")
	w.fault(Fault{Webhook: "lost", Event: "issue_comment"})
	w.must(http.StatusCreated, "alice", "POST", issuePath(n)+"/comments", object{"body": "a"})
	wantStrings(t, "events", w.events())
	lost := w.must(http.StatusOK, "app", "GET", "/app/hook/deliveries?per_page=1", nil).list[0]
	if lost["status_code"] != 0.0 {
		t.Errorf("it is listed as %v", lost)
	}
	w.must(http.StatusAccepted, "app", "POST", fmt.Sprintf("/app/hook/deliveries/%.0f/attempts", lost["id"]), nil)
	if heard := w.heard(); len(heard) != 1 || heard[0].guid != lost["guid"] {
		t.Errorf("heard %v", heard)
	}
}

// Two writers at once, a merge among them, see one order of things.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c, n := w.pull("more")
	const writers = 8
	done := make(chan int, writers)
	for i := range writers {
		go func() {
			done <- w.do("bot", "POST", issuePath(n)+"/comments", object{"body": fmt.Sprint(i)}).status
		}()
	}
	merged := make(chan int, 2)
	for range 2 {
		go func() { merged <- w.do("alice", "PUT", pullPath(n)+"/merge", object{}).status }()
	}
	c.commit("beside", "z", "z\n")
	c.push("beside")
	for range writers {
		if status := <-done; status != http.StatusCreated {
			t.Errorf("a comment: %d", status)
		}
	}
	got := []int{<-merged, <-merged}
	slices.Sort(got)
	if !slices.Equal(got, []int{http.StatusOK, http.StatusMethodNotAllowed}) {
		t.Errorf("two merges: %v", got)
	}
	counts := map[string]int{}
	for _, name := range w.events() {
		counts[name]++
	}
	if counts["issue_comment created"] != writers || counts["pull_request closed"] != 1 || counts["push"] != 2 {
		t.Errorf("events: %v", counts)
	}
}

func TestFaultsThatAreNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	for body, want := range map[string]string{
		`{}`:                                       "either a path or a webhook",
		`{"path":"/app"}`:                          "needs status",
		`{"path":"/app","status":200}`:             "from 400 to 599",
		`{"path":"/app","limit":"tertiary"}`:       "neither primary nor secondary",
		`{"path":"/app","status":500,"as":429}`:    "belong to a limit",
		`{"path":"/app","limit":"primary","as":1}`: "403 or 429",
		`{"path":"/app","status":500,"event":"a"}`: "belong to webhooks",
		`{"path":"/app","timeout":3}`:              "such as",
		`{"path":"/app","status":500,"times":-1}`:  "from 1",
		`{"path":"[","status":500}`:                "syntax error",
		`{"webhook":"eaten"}`:                      "none of lost",
		`{"webhook":"late","unlisted":true}`:       "only a lost",
		`{"webhook":"lost","status":500}`:          "alone",
		`{"webhook":"lost","colour":"red"}`:        "colour",
	} {
		asked, err := http.Post(w.url+"/_sim/faults", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		text := make([]byte, 500)
		count, _ := asked.Body.Read(text) // a short answer comes whole
		_ = asked.Body.Close()
		if asked.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(string(text[:count]), want) {
			t.Errorf("%s: %d %s, want %q", body, asked.StatusCode, text[:count], want)
		}
	}
	if left := w.sim.Faults(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// The controls are there for other processes, too.
func TestControls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c, n := w.pull("more")
	w.must(http.StatusNoContent, "", "POST", "/_sim/faults", object{"webhook": "late", "event": "issue_comment"})
	w.must(http.StatusNoContent, "", "POST", "/_sim/faults", object{"method": "GET", "path": "/app", "status": 500, "times": 2, "timeout": "1ms"})
	if got := w.must(http.StatusOK, "", "GET", "/_sim/faults", nil); len(got.list) != 2 || got.list[1]["times"] != 2.0 || got.list[1]["timeout"] != "1ms" {
		t.Errorf("faults: %v", got.list)
	}
	w.must(http.StatusInternalServerError, "app", "GET", "/app", nil)
	w.must(http.StatusCreated, "alice", "POST", issuePath(n)+"/comments", object{"body": "a"})
	w.must(http.StatusNoContent, "", "GET", "/_sim/idle?timeout=5s", nil)
	wantStrings(t, "events", w.events())
	w.must(http.StatusNoContent, "", "POST", "/_sim/release", nil)
	w.must(http.StatusNoContent, "", "GET", "/_sim/idle", nil)
	w.must(http.StatusNoContent, "", "DELETE", "/_sim/faults", nil)
	w.must(http.StatusOK, "app", "GET", "/app", nil)
	w.must(http.StatusNoContent, "", "POST", "/_sim/draft", object{"repository": "acme/gitops", "number": n, "draft": true, "as": "alice"})
	run := w.must(http.StatusCreated, "bot", "POST", gitops+"/check-runs", object{"name": "davit", "head_sha": c.git("rev-parse", "HEAD"), "actions": []object{action("apply")}})
	w.must(http.StatusNoContent, "", "POST", "/_sim/click", object{"check_run": run.id(), "identifier": "apply", "as": "alice"})
	w.must(http.StatusUnprocessableEntity, "", "POST", "/_sim/click", object{"check_run": 1, "as": "alice"})
	w.must(http.StatusNoContent, "", "POST", "/_sim/ping", nil)
	wantStrings(t, "events", w.events(), "issue_comment created", "pull_request converted_to_draft", "check_run created", "check_run requested_action", "ping")
	if got := w.must(http.StatusOK, "", "GET", "/_sim/requests", nil); got.body["GET /app"] != 2.0 || got.body["POST /repos/{owner}/{repo}/pulls"] != 1.0 {
		t.Errorf("requests: %v", got.body)
	}
	if got := w.must(http.StatusOK, "", "GET", "/_sim/deliveries", nil); len(got.list) != 7 || got.list[0]["event"] != "push" || got.list[0]["listed"] != true {
		t.Errorf("deliveries: %v", got.list)
	}
	if got := w.must(http.StatusOK, "", "GET", "/_sim/violations", nil); len(got.list) != 0 {
		t.Errorf("violations: %v", got.list)
	}
	w.must(http.StatusUnprocessableEntity, "", "GET", "/_sim/idle?timeout=soon", nil)
}
