package webhook

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/ledger"
)

// verifier accepts what is signed "good".
type verifier struct{}

func (verifier) Verify(header func(string) string, _ []byte) (string, string, error) {
	if header("X-Hub-Signature-256") != "good" {
		return "", "", errors.New("the signature does not match")
	}
	return header("X-GitHub-Delivery"), header("X-GitHub-Event"), nil
}

// inbox keeps deliveries in memory, unless it is full.
type inbox struct {
	mu   sync.Mutex
	kept []ledger.Delivery
	full bool
}

func (i *inbox) Receive(_ context.Context, d ledger.Delivery) (bool, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.full {
		return false, errors.New("disk full: /var/lib/davit/davit.db")
	}
	for _, k := range i.kept {
		if k.Key() == d.Key() {
			return false, nil
		}
	}
	i.kept = append(i.kept, d)
	return true, nil
}

// endless is a body that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestDeliveries(t *testing.T) {
	t.Parallel()
	const json = `{"action": "opened"}`
	signed := map[string]string{"X-Hub-Signature-256": "good", "X-GitHub-Delivery": "guid", "X-GitHub-Event": "pull_request", "Authorization": "Bearer secret"}
	for _, test := range []struct {
		name, method, path string
		header             map[string]string
		body               io.Reader
		full               bool
		status, kept       int
		answer             string
	}{
		{"one", "POST", "/webhook/github", signed, strings.NewReader(json), false, 202, 1, "received\n"},
		{"of a kind nobody knows", "POST", "/webhook/github", map[string]string{"X-Hub-Signature-256": "good", "X-GitHub-Delivery": "g", "X-GitHub-Event": "sub_issues"},
			strings.NewReader("{}"), false, 202, 1, "received\n"},
		{"that is no JSON", "POST", "/webhook/github", signed, strings.NewReader("\x00\xff"), false, 202, 1, "received\n"},
		{"without a signature", "POST", "/webhook/github", nil, strings.NewReader(json), false, 401, 0, "the delivery is not one that this forge has signed\n"},
		{"with a wrong one", "POST", "/webhook/github", map[string]string{"X-Hub-Signature-256": "bad"}, strings.NewReader(json), false, 401, 0, "the delivery is not one that this forge has signed\n"},
		{"for another forge", "POST", "/webhook/gitlab", signed, strings.NewReader(json), false, 404, 0, "there is no such forge\n"},
		{"as large as can be", "POST", "/webhook/github", signed, bytes.NewReader(make([]byte, MaxBody)), false, 202, 1, "received\n"},
		{"too large", "POST", "/webhook/github", signed, bytes.NewReader(make([]byte, MaxBody+1)), false, 413, 0, "the delivery is too large\n"},
		{"without end", "POST", "/webhook/github", signed, endless{}, false, 413, 0, "the delivery is too large\n"},
		{"by another method", "GET", "/webhook/github", signed, nil, false, 405, 0, "Method Not Allowed\n"},
		{"that can't be stored", "POST", "/webhook/github", signed, strings.NewReader(json), true, 500, 0, "the delivery can't be stored\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			box := &inbox{full: test.full}
			var seen []int
			h := &Handler{Forges: map[string]Verifier{"github": verifier{}}, Inbox: box, Log: slog.New(slog.NewTextHandler(&log, nil)),
				Observe: func(_, _ string, status int) { seen = append(seen, status) }}
			mux := http.NewServeMux()
			mux.Handle("POST /webhook/{forge}", h)
			request := httptest.NewRequest(test.method, test.path, test.body)
			for name, value := range test.header {
				request.Header.Set(name, value)
			}
			recorder := httptest.NewRecorder()
			mux.ServeHTTP(recorder, request)
			if recorder.Code != test.status || recorder.Body.String() != test.answer || len(box.kept) != test.kept {
				t.Errorf("%d %q, and %d are kept; want %d %q and %d", recorder.Code, recorder.Body, len(box.kept), test.status, test.answer, test.kept)
			}
			if known := test.status != 404 && test.status != 405; known && cmp.Diff([]int{test.status}, seen) != "" {
				t.Errorf("observed: %v", seen)
			}
			if strings.Contains(log.String(), "good") || strings.Contains(log.String(), "secret") {
				t.Errorf("the log holds what proves who sent it: %s", &log)
			}
			for _, d := range box.kept {
				for name, value := range d.Header {
					if name == "Authorization" || strings.Contains(name, "Signature") || value == "good" {
						t.Errorf("%s is kept", name)
					}
				}
			}
		})
	}
}

func TestDeliveryThatIsHereAlready(t *testing.T) {
	t.Parallel()
	h := &Handler{Forges: map[string]Verifier{"github": verifier{}}, Inbox: &inbox{}, Log: slog.New(slog.DiscardHandler)}
	for _, want := range []string{"received\n", "received before\n"} {
		request := httptest.NewRequest("POST", "/", strings.NewReader("{}"))
		request.SetPathValue("forge", "github")
		request.Header.Set("X-Hub-Signature-256", "good")
		recorder := httptest.NewRecorder()
		h.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusAccepted || recorder.Body.String() != want {
			t.Errorf("%d %q, want %q", recorder.Code, recorder.Body, want)
		}
	}
}

// slow is a body that is large and does not end before it is told to.
type slow struct {
	sent int
	end  chan struct{}
}

func (s *slow) Read(p []byte) (int, error) {
	if s.sent <= small {
		s.sent += len(p)
		return len(p), nil
	}
	<-s.end
	return 0, io.EOF
}

// TestFewLargeBodiesAtATime: strangers who send large bodies can't fill the memory, nor
// keep out what is small.
func TestFewLargeBodiesAtATime(t *testing.T) {
	t.Parallel()
	h := &Handler{Forges: map[string]Verifier{"github": verifier{}}, Inbox: &inbox{}, Log: slog.New(slog.DiscardHandler)}
	send := func(ctx context.Context, body io.Reader) int {
		request := httptest.NewRequestWithContext(ctx, "POST", "/", body)
		request.SetPathValue("forge", "github")
		request.Header.Set("X-Hub-Signature-256", "good")
		recorder := httptest.NewRecorder()
		h.ServeHTTP(recorder, request)
		return recorder.Code
	}
	end := make(chan struct{})
	var group sync.WaitGroup
	for range manyLarge {
		group.Go(func() { send(t.Context(), &slow{end: end}) })
	}
	for len(h.slots()) < manyLarge {
		runtime.Gosched()
	}
	if code := send(t.Context(), strings.NewReader("{}")); code != http.StatusAccepted {
		t.Errorf("a small one: %d", code)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code := send(ctx, bytes.NewReader(make([]byte, 2*small))); code != http.StatusBadRequest {
		t.Errorf("one large one too many: %d", code)
	}
	close(end)
	group.Wait()
	if code := send(t.Context(), bytes.NewReader(make([]byte, 2*small))); code != http.StatusAccepted {
		t.Errorf("a large one after them: %d", code)
	}
}
