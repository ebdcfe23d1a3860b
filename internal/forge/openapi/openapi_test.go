package openapi

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
)

const file = "../../../testdata/openapi/github.json"

var loaded = sync.OnceValues(func() (*Description, error) { return Load(file) })

func load(t *testing.T) *Description {
	t.Helper()
	d, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	return d.Blank()
}

const (
	comments = "/repos/acme/gitops/issues/1/comments"
	runs     = "/repos/acme/gitops/check-runs"
	token    = `{"token":"ghs_1","expires_at":"2026-01-01T00:00:00Z"}`
)

// Each way not to keep to the description is found, and what keeps to it is not.
func TestExchanges(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method, path, asks string
		status             int
		answers            string
		want               string // part of the one violation; empty: none
	}{
		"clean":                             {"POST", "/app/installations/1/access_tokens", `{"permissions":{"checks":"write"}}`, 201, token, ""},
		"clean with prefix":                 {"POST", "/api/v3/app/installations/1/access_tokens", `{}`, 201, token, ""},
		"clean with a slash in a name":      {"GET", "/repos/acme/gitops/commits/a%2Fb/check-runs", ``, 200, `{"total_count":0,"check_runs":[]}`, ""},
		"null where nothing need be said":   {"POST", "/app/installations/1/access_tokens", `null`, 201, token, ""},
		"null where something must be":      {"POST", comments, `null`, 401, `{}`, "not nullable"},
		"an error that is not described":    {"POST", comments, `{"body":"a"}`, 401, `{"message":"Bad credentials"}`, ""},
		"unknown operation":                 {"GET", "/repos/acme/gitops/teapots", ``, 200, `{}`, "no such operation"},
		"unknown method":                    {"DELETE", "/app", ``, 200, `{}`, "no such operation"},
		"prefix that was not named":         {"GET", "/api/v4/app", ``, 200, `{}`, "no such operation"},
		"request without a required field":  {"POST", comments, `{}`, 401, `{}`, `"body" is missing`},
		"request without a body":            {"POST", comments, ``, 401, `{}`, "request body"},
		"request with a wrong type":         {"POST", comments, `{"body":1}`, 401, `{}`, "/body"},
		"request with a wrong enum":         {"POST", "/app/installations/1/access_tokens", `{"permissions":{"checks":"own"}}`, 401, `{}`, "/permissions/checks"},
		"request with a long label":         {"POST", runs, `{"name":"a","head_sha":"b","actions":[{"label":"` + strings.Repeat("x", 21) + `","description":"c","identifier":"d"}]}`, 401, `{}`, "maximum string length is 20"},
		"request with a wrong parameter":    {"GET", "/repos/acme/gitops/pulls?state=ajar", ``, 401, `{}`, "state"},
		"response without a required field": {"POST", "/app/installations/1/access_tokens", `{}`, 201, `{"token":"ghs_1"}`, `"expires_at" is missing`},
		"response with a wrong enum":        {"POST", "/app/installations/1/access_tokens", `{}`, 201, strings.Replace(token, "{", `{"repository_selection":"most",`, 1), "/repository_selection"},
		"response with null":                {"POST", "/app/installations/1/access_tokens", `{}`, 201, `{"token":null,"expires_at":"2026-01-01T00:00:00Z"}`, "not nullable"},
		"response with a wrong time":        {"POST", "/app/installations/1/access_tokens", `{}`, 201, `{"token":"a","expires_at":1767225600}`, "/expires_at"},
		"response that is no JSON":          {"POST", "/app/installations/1/access_tokens", `{}`, 201, `{`, "unexpected EOF"},
		"success that is not described":     {"POST", "/app/installations/1/access_tokens", `{}`, 200, token, "status is not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := load(t)
			handler := d.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if text, err := io.ReadAll(r.Body); err != nil || string(text) != test.asks {
					t.Errorf("the request arrived as %q, %v", text, err)
				}
				w.Header().Set("Content-Type", "application/json; charset=utf-8")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.answers)
			}), "/api/v3")
			asked := httptest.NewRequestWithContext(t.Context(), test.method, test.path, strings.NewReader(test.asks))
			got := httptest.NewRecorder()
			handler.ServeHTTP(got, asked)
			if got.Code != test.status || got.Body.String() != test.answers {
				t.Errorf("answered %d %q, want %d %q", got.Code, got.Body, test.status, test.answers)
			}
			found := d.Violations()
			if test.want == "" && len(found) > 0 || test.want != "" && (len(found) != 1 || !strings.Contains(found[0], test.want)) {
				t.Errorf("violations: %q, want %q", found, test.want)
			}
		})
	}
}

const ping = `{"zen":"Calm.","hook_id":1,"hook":{"type":"App","id":1,"name":"web","active":true,"events":[],"config":{},` +
	`"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}}`

func TestWebhook(t *testing.T) {
	t.Parallel()
	d := load(t)
	if err := d.Webhook("ping", "", []byte(ping)); err != nil || len(d.Violations()) > 0 {
		t.Errorf("a clean ping: %v", err)
	}
	for name, test := range map[string]struct{ event, action, body, want string }{
		"no required field": {"ping", "", strings.Replace(ping, `"active":true,`, "", 1), `"active" is missing`},
		"wrong enum":        {"ping", "", strings.Replace(ping, `"web"`, `"net"`, 1), "/hook/name"},
		"empty":             {"issue_comment", "created", `{}`, `"comment" is missing`},
		"unknown action":    {"issue_comment", "whispered", `{}`, "no schema webhook-issue-comment-whispered"},
		"no JSON":           {"push", "", `[`, "not JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := load(t)
			err := d.Webhook(test.event, test.action, []byte(test.body))
			if found := d.Violations(); err == nil || !strings.Contains(err.Error(), test.want) || len(found) != 1 || !strings.Contains(found[0], test.want) {
				t.Errorf("got %v and violations %q, want %q", err, found, test.want)
			}
		})
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	d := load(t)
	handler := d.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	for range 3 {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/app", nil))
	}
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/teapots", nil))
	_ = d.Webhook("ping", "", []byte(ping)) // counted, whatever it is
	want := map[string]int{"request GET /app": 3, "response 401 GET /app": 3, "webhook ping": 1}
	if got := d.Counts(); !maps.Equal(got, want) {
		t.Errorf("counts: %v, want %v", got, want)
	}
}

// What curl says of a body is not believed, and neither is nothing at all.
func TestBodyWithoutItsType(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]int{"": 0, "application/json": 0, "application/x-www-form-urlencoded": 0, "text/plain": 1} {
		d := load(t)
		handler := d.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
		asked := httptest.NewRequestWithContext(t.Context(), "POST", comments, strings.NewReader(`{"body":"a"}`))
		asked.Header.Set("Content-Type", kind)
		handler.ServeHTTP(httptest.NewRecorder(), asked)
		if found := d.Violations(); len(found) != want {
			t.Errorf("%q: %q, want %d", kind, found, want)
		}
	}
}

// The description has everything that the list names.
func TestOperations(t *testing.T) {
	t.Parallel()
	list, err := os.ReadFile("../../../testdata/openapi/github.operations")
	if err != nil {
		t.Fatal(err)
	}
	d := load(t)
	silent := d.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	operations := 0
	for line := range strings.Lines(string(list)) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#":
		case words[0] == "WEBHOOK":
			name := strings.ReplaceAll("webhook-"+strings.Join(words[1:], "-"), "_", "-")
			if d.schemas[name] == nil {
				t.Errorf("there is no %s", name)
			}
		default:
			operations++
			path := strings.NewReplacer("{", "", "}", "").Replace(words[1])
			silent.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), words[0], path, nil))
		}
	}
	for _, violation := range d.Violations() {
		if strings.Contains(violation, "no such operation") {
			t.Error(violation)
		}
	}
	if operations < 30 {
		t.Errorf("the list has %d operations", operations)
	}
}

func TestLoadSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"absent.json", "openapi_test.go"} {
		if _, err := Load(name); err == nil || !strings.HasPrefix(err.Error(), "read the OpenAPI description") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
