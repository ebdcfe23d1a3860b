package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// quiet is for how long nothing is asked after a limit that names no end; it
	// doubles each time. GitHub asks for a minute at least.
	quiet = time.Minute
	// longest is the length of GitHub's windows. No limit is believed to last longer.
	longest = time.Hour
)

// limit says: too much, too fast. It is an answer of GitHub's, or our own to a write
// that would have to wait for long.
type limit struct {
	until time.Time
	open  bool // the answer names no end
}

func (l *limit) Error() string {
	return fmt.Sprintf("too much is asked of the forge; wait until %s", l.until.UTC().Format(time.RFC3339))
}

// limitOf tells a limit from other answers and when it ends: as retry-after says, or
// when the budget that is used up is filled again.
func limitOf(resp *http.Response, body []byte, now time.Time) (*limit, bool) {
	if resp.StatusCode != http.StatusForbidden && resp.StatusCode != http.StatusTooManyRequests {
		return nil, false
	}
	if until, is := retryAfter(resp.Header, now); is {
		return &limit{until: clamp(until, now)}, true
	}
	if resp.Header.Get("X-Ratelimit-Remaining") == "0" {
		if reset, err := strconv.ParseInt(resp.Header.Get("X-Ratelimit-Reset"), 10, 64); err == nil {
			return &limit{until: clamp(time.Unix(reset, 0), now)}, true
		}
	}
	if resp.StatusCode == http.StatusTooManyRequests || saysLimit(body) {
		return &limit{until: now.Add(quiet), open: true}, true
	}
	return nil, false
}

// retryAfter reads the header, which is seconds or a date.
func retryAfter(h http.Header, now time.Time) (time.Time, bool) {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return now.Add(time.Duration(seconds) * time.Second), true
	}
	date, err := http.ParseTime(text)
	return date, err == nil
}

// clamp keeps a limit's end between the next second and the end of the window, however
// wrong a clock is.
func clamp(until, now time.Time) time.Time {
	if least := now.Add(time.Second); until.Before(least) {
		return least
	}
	if most := now.Add(longest); until.After(most) {
		return most
	}
	return until
}

// saysLimit reports whether the body of a 403 is about a limit. GitHub documents that
// its message says so, and names no other sign.
func saysLimit(body []byte) bool {
	var said struct {
		Message string `json:"message"`
		More    string `json:"documentation_url"`
	}
	if json.Unmarshal(body, &said) != nil {
		return false
	}
	return strings.Contains(said.More, "rate-limits") || strings.Contains(strings.ToLower(said.Message), "rate limit")
}

// governor is the outermost transport of one installation. Limits are its own: after
// one, it answers without going to the network until the limit ends. It lets one write
// through at a time, and creations at a pace. Few callers may wait for that, because
// they are workers that all installations share.
type governor struct {
	next    http.RoundTripper
	spacing time.Duration
	now     func() time.Time
	line    chan struct{} // holds waiters: who writes or waits for it
	turn    chan struct{} // holds one: whose turn it is to write

	mu    sync.Mutex
	until time.Time
	open  int       // limits without an end, in a row
	paid  time.Time // until when the pace is used up by what was created
}

// burst is how many creations need no pause between them, so that somebody who has just
// opened a pull request does not wait for the pace. With one a second besides they are
// the 80 that GitHub allows in a minute.
const burst = 20

// waiters is how many callers may write or wait for their turn at a time.
const waiters = 4

func newGovernor(next http.RoundTripper, spacing time.Duration, now func() time.Time) *governor {
	return &governor{next: next, spacing: spacing, now: now, line: make(chan struct{}, waiters), turn: make(chan struct{}, 1)}
}

func (g *governor) RoundTrip(req *http.Request) (*http.Response, error) {
	release, err := g.admit(req)
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	defer release()
	resp, err := g.next.RoundTrip(req)
	if err = g.learn(err); err != nil {
		return nil, err
	}
	for name := range resp.Header {
		// go-github keeps a book of its own on these, by the wall clock.
		if strings.HasPrefix(name, "X-Ratelimit-") {
			resp.Header.Del(name)
		}
	}
	return resp, nil
}

// admit waits for a request's turn, if the line is not full.
func (g *governor) admit(req *http.Request) (release func(), err error) {
	if err := g.limited(); err != nil {
		return nil, err
	}
	if req.Method == http.MethodGet || req.Method == http.MethodHead {
		return func() {}, nil
	}
	select {
	case g.line <- struct{}{}:
	default:
		return nil, g.full()
	}
	ctx := req.Context()
	select {
	case g.turn <- struct{}{}:
	case <-ctx.Done():
		<-g.line
		return nil, ctx.Err()
	}
	release = func() { <-g.turn; <-g.line }
	if req.Method == http.MethodPost {
		err = g.pause(ctx)
	}
	if err == nil {
		err = g.limited()
	}
	if err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// full is the limit of a write behind a full line: until when those in it are likely to
// have had their turns. It holds for nothing else.
func (g *governor) full() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	return &limit{until: clamp(now.Add(g.backlog(now)+waiters*g.spacing), now)}
}

// backlog is how long the next creation has to wait for the pace; it is negative by what
// is saved up. A clock that was set back must not stop everything. g.mu is held.
func (g *governor) backlog(now time.Time) time.Duration {
	return min(g.paid.Sub(now.Add((burst-1)*g.spacing)), g.spacing)
}

// pause waits until a creation is within the pace: one for each spacing, of which a
// burst may be saved up.
func (g *governor) pause(ctx context.Context) error {
	if g.spacing <= 0 {
		return nil
	}
	g.mu.Lock()
	wait := g.backlog(g.now())
	g.mu.Unlock()
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if g.paid.Before(now) || g.paid.After(now.Add(burst*g.spacing)) {
		g.paid = now
	}
	g.paid = g.paid.Add(g.spacing)
	return nil
}

// limited returns the limit that still holds.
func (g *governor) limited() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.now().Before(g.until) {
		return &limit{until: g.until}
	}
	return nil
}

// learn remembers a limit, and returns the error as the caller is to see it.
func (g *governor) learn(err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var l *limit
	if !errors.As(err, &l) {
		if err == nil {
			g.open = 0
		}
		return err
	}
	if l.open {
		l = &limit{until: clamp(g.now().Add(quiet<<min(g.open, 6)), g.now())}
		g.open++
	}
	if l.until.After(g.until) {
		g.until = l.until
	}
	return &limit{until: g.until}
}
