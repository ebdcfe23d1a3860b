package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func get(t *testing.T, handler http.Handler, path string) (int, string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest("GET", path, nil))
	return recorder.Code, recorder.Body.String()
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	m := New("1.2.3")
	m.Delivery("github", "push", 202)
	m.Delivery("github", "made_up_1", 202)
	m.Delivery("github", "made_up_2", 202)
	m.Step("review", "done", 1500*time.Millisecond)
	forge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-RateLimit-Remaining", "4711")
		w.WriteHeader(http.StatusNotModified)
	}))
	defer forge.Close()
	client := http.Client{Transport: m.Transport("github", http.DefaultTransport)}
	response, err := client.Get(forge.URL + "/repos/acme/secret-project")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if _, err := client.Get("http://127.0.0.1:1/"); err == nil {
		t.Fatal("port 1 answers")
	}
	var down error
	counts := map[string]int{"deliver": 3}
	admin := m.Admin(Health{
		Ready:   func(context.Context) error { return down },
		Waiting: func(context.Context) (map[string]int, error) { return counts, down },
	})
	if code, body := get(t, admin, "/readyz"); code != 200 || body != "ok\n" {
		t.Errorf("ready: %d %q", code, body)
	}
	_, metrics := get(t, admin, "/metrics")
	for _, want := range []string{
		`davit_build_info{version="1.2.3"} 1`,
		`davit_deliveries_total{event="push",forge="github",status="202"} 1`,
		`davit_deliveries_total{event="other",forge="github",status="202"} 2`,
		`davit_step_duration_seconds_count{result="done",step="review"} 1`,
		`davit_steps_waiting{step="deliver"} 3`,
		`davit_forge_request_duration_seconds_count{forge="github",method="GET",status="304"} 1`,
		`davit_forge_request_duration_seconds_count{forge="github",method="GET",status="none"} 1`,
		`davit_forge_requests_remaining{forge="github"} 4711`,
		`process_resident_memory_bytes `, `go_goroutines `,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("there is no %s", want)
		}
	}
	if strings.Contains(metrics, "secret-project") {
		t.Error("a repository's name is a label")
	}
	down = errors.New("the database is locked")
	if code, body := get(t, admin, "/readyz"); code != 503 || body != "not ready: the database is locked\n" {
		t.Errorf("not ready: %d %q", code, body)
	}
	if code, _ := get(t, admin, "/healthz"); code != 200 {
		t.Errorf("healthy: %d", code)
	}
	if _, metrics := get(t, admin, "/metrics"); strings.Contains(metrics, "davit_steps_waiting{") {
		t.Error("what could not be counted is still shown")
	}
}

// TestLog: a credential that gets into the log by mistake is not in it.
func TestLog(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{
		"ghs_" + strings.Repeat("A1", 18), "ghs_123456_eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIxIn0.c2lnbmF0dXJl-x_y", "github_pat_" + strings.Repeat("B2", 30),
		"glpat-" + strings.Repeat("c", 20), "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIxMjMifQ.c2lnbmF0dXJlIGhlcmU",
		"-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\nabc\n-----END RSA PRIVATE KEY-----",
	} {
		for _, form := range []string{Text, JSON} {
			var out bytes.Buffer
			log := Log(&out, form, slog.LevelInfo)
			log.Info("asked "+secret, "text", "token "+secret+" was refused", "error", fmt.Errorf("ask: %w", errors.New(secret)), "status", 401)
			log.With("bound", secret).WithGroup("g").Warn("again", slog.Group("h", "deep", secret))
			log.Debug("not " + secret)
			body := secret[len(secret)/2:]
			if strings.Contains(out.String(), secret) || strings.Contains(out.String(), strings.ReplaceAll(body, "\n", `\n`)) {
				t.Errorf("%s: %s", form, &out)
			}
			if !strings.Contains(out.String(), "was refused") || !strings.Contains(out.String(), "401") || strings.Contains(out.String(), "not [") {
				t.Errorf("%s: too much is gone: %s", form, &out)
			}
		}
	}
	var out bytes.Buffer
	Log(&out, JSON, slog.LevelInfo).Info("a delivery arrived", "delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958", "commit", strings.Repeat("0a", 20))
	var line map[string]any
	if err := json.NewDecoder(io.Reader(&out)).Decode(&line); err != nil || line["delivery"] != "72d3162e-cc78-11e3-81ab-4c9367dc0958" || line["commit"] != strings.Repeat("0a", 20) {
		t.Errorf("%v, %v", line, err)
	}
}
