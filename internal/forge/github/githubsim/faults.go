package githubsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault is one thing that goes wrong on purpose, a number of times: for the API
// when it has a path, for webhooks when it has a webhook.
type Fault struct {
	Method     string   `json:"method,omitempty"` // empty: every method
	Path       string   `json:"path,omitempty"`   // without /api/v3; * stands for one segment
	Status     int      `json:"status,omitempty"`
	Timeout    Duration `json:"timeout,omitempty"` // wait so long, then hang up
	Limit      string   `json:"limit,omitempty"`   // primary or secondary
	As         int      `json:"as,omitempty"`      // 403 or 429
	RetryAfter int      `json:"retry_after,omitempty"`
	AfterWrite bool     `json:"after_write,omitempty"` // do it, then lose the answer

	Webhook  string   `json:"webhook,omitempty"` // lost, late, doubled or reordered
	Event    string   `json:"event,omitempty"`   // empty: every event; "push", or "issue_comment"
	Delay    Duration `json:"delay,omitempty"`
	Unlisted bool     `json:"unlisted,omitempty"`

	Times int `json:"times,omitempty"` // how often it is left to happen; 0 is 1
}

// Duration is a time in JSON as Go writes it: "3s".
type Duration time.Duration

// UnmarshalJSON reads "3s".
func (d *Duration) UnmarshalJSON(text []byte) error {
	var said string
	if err := json.Unmarshal(text, &said); err != nil {
		return fmt.Errorf("a time is a string such as \"3s\": %w", err)
	}
	parsed, err := time.ParseDuration(said)
	*d = Duration(parsed)
	return err
}

// MarshalJSON writes "3s".
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

func (f *Fault) check() error {
	forAPI := f.Path != ""
	switch {
	case forAPI == (f.Webhook != ""):
		return errors.New("a fault has either a path or a webhook")
	case forAPI && (f.Event != "" || f.Delay != 0 || f.Unlisted):
		return errors.New("event, delay and unlisted belong to webhooks")
	case !forAPI && (f.Method != "" || f.Status != 0 || f.Timeout != 0 || f.Limit != "" || f.AfterWrite || f.As != 0 || f.RetryAfter != 0):
		return errors.New("a webhook has event, times, delay and unlisted alone")
	case !forAPI && !slices.Contains([]string{"lost", "late", "doubled", "reordered"}, f.Webhook):
		return fmt.Errorf("%q is none of lost, late, doubled, reordered", f.Webhook)
	case f.Unlisted && f.Webhook != "lost":
		return errors.New("only a lost webhook is unlisted")
	case f.Limit != "" && f.Limit != "primary" && f.Limit != "secondary":
		return fmt.Errorf("%q is neither primary nor secondary", f.Limit)
	case (f.As != 0 || f.RetryAfter != 0) && f.Limit == "":
		return errors.New("as and retry_after belong to a limit")
	case f.As != 0 && f.As != http.StatusForbidden && f.As != http.StatusTooManyRequests:
		return errors.New("as is 403 or 429")
	case f.Status != 0 && (f.Status < 400 || f.Status > 599):
		return errors.New("status is from 400 to 599")
	case forAPI && f.Status == 0 && f.Timeout == 0 && f.Limit == "" && !f.AfterWrite:
		return errors.New("a path needs status, timeout, limit or after_write")
	case f.Times < 0:
		return errors.New("times is how often, from 1")
	}
	_, err := path.Match(f.Path, "")
	return err
}

// AddFault adds one; those that were there before come first.
func (s *Sim) AddFault(f Fault) error {
	if err := f.check(); err != nil {
		return fmt.Errorf("add a fault: %w", err)
	}
	f.Times = max(f.Times, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
	return nil
}

// Faults are those that are left.
func (s *Sim) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := []Fault{}
	for _, f := range s.faults {
		left = append(left, *f)
	}
	return left
}

// ClearFaults drops all that are left.
func (s *Sim) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// spendFault uses up one fault that is wanted, once; called with the state locked.
func (s *Sim) spendFault(wanted func(*Fault) bool) *Fault {
	at := slices.IndexFunc(s.faults, wanted)
	if at < 0 {
		return nil
	}
	found := *s.faults[at]
	if s.faults[at].Times--; s.faults[at].Times == 0 {
		s.faults = slices.Delete(s.faults, at, at+1)
	}
	return &found
}

func (s *Sim) takeFault(method, asked string) *Fault {
	return s.spendFault(func(f *Fault) bool {
		is, err := path.Match(f.Path, asked)
		return f.Path != "" && err == nil && is && (f.Method == "" || strings.EqualFold(f.Method, method))
	})
}

func (s *Sim) takeWebhookFault(event string) *Fault {
	return s.spendFault(func(f *Fault) bool { return f.Webhook != "" && (f.Event == "" || f.Event == event) })
}

// serveFault answers as a fault wants. What the description would say of the
// answer does not matter: it is wrong on purpose.
func (s *Sim) serveFault(w http.ResponseWriter, r *http.Request, f *Fault, inner http.Handler) {
	if f.AfterWrite {
		inner.ServeHTTP(&heldAnswer{header: http.Header{}}, r)
	}
	if f.Timeout > 0 {
		timer := time.NewTimer(time.Duration(f.Timeout))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		}
	}
	switch {
	case f.Limit != "":
		s.serveLimit(w, f)
	case f.Status != 0:
		writeJSON(w, f.Status, object{"message": http.StatusText(f.Status)})
	default:
		panic(http.ErrAbortHandler) // hangs up
	}
}

// serveLimit is GitHub's way to say "too much": a primary limit has no requests
// left until a time, a secondary one may say how long to wait (forges.md A.7).
func (s *Sim) serveLimit(w http.ResponseWriter, f *Fault) {
	status := f.As
	if status == 0 {
		status = http.StatusForbidden
	}
	body := object{
		"message":           "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
		"documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits",
	}
	if f.Limit == "primary" {
		wait := time.Duration(f.RetryAfter) * time.Second
		if wait == 0 {
			wait = time.Minute
		}
		body["message"] = "API rate limit exceeded for installation."
		body["documentation_url"] = "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api"
		w.Header().Set("X-RateLimit-Limit", strconv.Itoa(hourBudget))
		w.Header().Set("X-RateLimit-Remaining", "0")
		w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(s.now().Add(wait).Unix(), 10))
	} else if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	writeJSON(w, status, body)
}
