package githubsim

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" // the old header has it, and receivers must not trust it
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// delivery is one attempt to send a webhook.
type delivery struct {
	id           int64
	guid         string // of the event: a redelivery has the same
	event        string
	action       string
	installation *int64
	repository   *int64
	target       int64
	url          string
	body         []byte
	redelivery   bool
	unlisted     bool

	due      time.Time // zero: held until it is released
	sent     time.Time
	duration time.Duration
	code     int
	status   string
}

// hooks sends webhooks one after another and remembers every attempt. GitHub never
// sends one again by itself (forges.md A.3).
type hooks struct {
	secret []byte
	client *http.Client
	now    func() time.Time
	stop   chan struct{}
	done   chan struct{}

	mu      sync.Mutex
	queue   []*delivery
	swapped []*delivery // waiting for another to go first
	past    []*delivery // oldest first
	sending bool
	changed chan struct{} // closed and replaced at every change
}

func newHooks(options Options) *hooks {
	h := &hooks{
		secret: []byte(options.WebhookSecret), now: options.Now, stop: make(chan struct{}), done: make(chan struct{}),
		changed: make(chan struct{}),
		client: &http.Client{
			Timeout:       options.HookTimeout,
			Transport:     &http.Transport{DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	go h.run()
	return h
}

func (h *hooks) close() {
	close(h.stop)
	<-h.done
}

func guid() string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", raw[:4], raw[4:6], raw[6:8], raw[8:10], raw[10:])
}

// changes tells everybody who waits; it is called with hooks locked.
func (h *hooks) changes() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// add queues a webhook, or does with it what a fault wants; id numbers a second
// attempt.
func (h *hooks) add(d *delivery, fault *Fault, id func() int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer h.changes()
	d.due = time.Now()
	kind := ""
	if fault != nil {
		kind = fault.Webhook
	}
	switch kind {
	case "lost":
		d.unlisted = fault.Unlisted
		d.sent, d.status = h.now(), "timed out"
		h.past = append(h.past, d)
		return
	case "late":
		d.due = time.Time{}
		if fault.Delay > 0 {
			d.due = time.Now().Add(time.Duration(fault.Delay))
		}
		h.queue = append(h.queue, d)
		return
	case "reordered":
		h.swapped = append(h.swapped, d)
		return
	case "doubled":
		again := *d
		again.id = id()
		h.queue = append(h.queue, d, &again)
	default:
		h.queue = append(h.queue, d)
	}
	h.queue, h.swapped = append(h.queue, h.swapped...), nil
}

// release sends everything that is held.
func (h *hooks) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.queue, h.swapped = append(h.queue, h.swapped...), nil
	for _, d := range h.queue {
		if d.due.IsZero() || d.due.After(time.Now()) {
			d.due = time.Now()
		}
	}
	h.changes()
}

// next takes the first webhook that is due; without one it says when to look again
// and what happens before that.
func (h *hooks) next() (*delivery, time.Duration, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	wait := time.Hour
	for i, d := range h.queue {
		if d.due.IsZero() {
			continue
		}
		if left := time.Until(d.due); left > 0 {
			wait = min(wait, left)
			continue
		}
		h.queue = slices.Delete(h.queue, i, i+1)
		h.sending = true
		return d, 0, nil
	}
	return nil, wait, h.changed
}

func (h *hooks) run() {
	defer close(h.done)
	for {
		d, wait, changed := h.next()
		if d == nil {
			timer := time.NewTimer(wait)
			select {
			case <-h.stop:
				timer.Stop()
				return
			case <-changed:
			case <-timer.C:
			}
			timer.Stop()
			continue
		}
		started := time.Now()
		code, status := h.post(d)
		h.mu.Lock()
		d.sent, d.duration, d.code, d.status = h.now(), time.Since(started), code, status
		h.past = append(h.past, d)
		h.sending = false
		h.changes()
		h.mu.Unlock()
	}
}

func sign(algorithm func() hash.Hash, secret, body []byte) string {
	mac := hmac.New(algorithm, secret)
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// post sends one webhook with GitHub's headers (forges.md A.3).
func (h *hooks) post(d *delivery) (code int, status string) {
	request, err := http.NewRequest(http.MethodPost, d.url, bytes.NewReader(d.body))
	if err != nil || d.url == "" {
		return 0, "the hook has no address"
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "*/*", "User-Agent": "GitHub-Hookshot/simulated",
		"X-GitHub-Event": d.event, "X-GitHub-Delivery": d.guid,
		"X-GitHub-Hook-ID":                       strconv.FormatInt(d.target, 10),
		"X-GitHub-Hook-Installation-Target-ID":   strconv.FormatInt(d.target, 10),
		"X-GitHub-Hook-Installation-Target-Type": "integration",
	} {
		request.Header.Set(name, value)
	}
	if len(h.secret) > 0 {
		request.Header.Set("X-Hub-Signature-256", "sha256="+sign(sha256.New, h.secret, d.body))
		request.Header.Set("X-Hub-Signature", "sha1="+sign(sha1.New, h.secret, d.body))
	}
	response, err := h.client.Do(request)
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return 0, "timed out"
	case err != nil:
		return 0, "could not connect"
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20)) // the answer's text is not kept
	if response.StatusCode/100 != 2 {
		return response.StatusCode, fmt.Sprintf("Invalid HTTP Response: %d", response.StatusCode)
	}
	return response.StatusCode, "OK"
}

// idle reports whether nothing that is due is left to send.
func (h *hooks) idle() (bool, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	due := slices.ContainsFunc(h.queue, func(d *delivery) bool { return !d.due.IsZero() && time.Until(d.due) <= 0 })
	return !due && !h.sending, h.changed
}

// Idle waits until every webhook that is due has been sent. Those that a fault
// holds are not due.
func (s *Sim) Idle(ctx context.Context) error {
	for {
		idle, changed := s.hooks.idle()
		if idle {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for webhooks to be sent: %w", ctx.Err())
		}
	}
}

// Release sends every webhook that a fault holds.
func (s *Sim) Release() { s.hooks.release() }

// Delivery is one attempt to send a webhook, as a test asks for it.
type Delivery struct {
	ID         int64  `json:"id"`
	GUID       string `json:"guid"`
	Event      string `json:"event"`
	Action     string `json:"action"`
	Status     string `json:"status"`
	StatusCode int    `json:"status_code"`
	Redelivery bool   `json:"redelivery"`
	Listed     bool   `json:"listed"`
	Body       []byte `json:"-"`
}

// Deliveries are all attempts, oldest first, those that GitHub would not list too.
func (s *Sim) Deliveries() []Delivery {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	all := []Delivery{}
	for _, d := range s.hooks.past {
		all = append(all, Delivery{d.id, d.guid, d.event, d.action, d.status, d.code, d.redelivery, !d.unlisted, d.body})
	}
	return all
}

func (h *hooks) listed() []*delivery {
	h.mu.Lock()
	defer h.mu.Unlock()
	var newest []*delivery
	for _, d := range slices.Backward(h.past) {
		if !d.unlisted {
			newest = append(newest, d)
		}
	}
	return newest
}

// listDeliveries goes back in time by cursor, not by page.
func (c *call) listDeliveries() (answer, error) {
	query := c.r.URL.Query()
	size := min(max(number(query.Get("per_page"), 30), 1), 100)
	all := c.hooks.listed()
	if text := query.Get("cursor"); text != "" {
		at := slices.IndexFunc(all, func(d *delivery) bool { return "v1_"+strconv.FormatInt(d.id, 10) == text })
		if at < 0 {
			return answer{}, problem(http.StatusUnprocessableEntity, "cursor is not valid")
		}
		all = all[at:]
	}
	if len(all) > size {
		query.Set("cursor", "v1_"+strconv.FormatInt(all[size].id, 10))
		c.header.Set("Link", c.link(query, "next"))
		all = all[:size]
	}
	views := []object{}
	for _, d := range all {
		var action any
		if d.action != "" {
			action = d.action
		}
		views = append(views, object{
			"id": d.id, "guid": d.guid, "delivered_at": stamp(d.sent), "redelivery": d.redelivery, "duration": d.duration.Seconds(),
			"status": d.status, "status_code": d.code, "event": d.event, "action": action, "installation_id": d.installation,
			"repository_id": d.repository, "throttled_at": nil,
		})
	}
	return ok(views)
}

// redeliver sends an event again with the same GUID (forges.md A.3).
func (c *call) redeliver() (answer, error) {
	all := c.hooks.listed()
	at := slices.IndexFunc(all, func(d *delivery) bool { return int(d.id) == c.number("delivery_id") })
	if at < 0 {
		return answer{}, notFound()
	}
	old := all[at]
	again := &delivery{
		id: c.id(), guid: old.guid, event: old.event, action: old.action, installation: old.installation, repository: old.repository,
		target: old.target, url: c.hookURL, body: old.body, redelivery: true,
	}
	c.hooks.add(again, nil, c.id)
	return answer{http.StatusAccepted, object{}}, nil
}
