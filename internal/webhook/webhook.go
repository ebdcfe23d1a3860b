// Package webhook is where forges tell what happened: it bounds a delivery, has its
// signature verified, stores it as it is, and answers. It never reads what a delivery
// says, so that one that could not be understood can be read again by a later version.
package webhook

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/davitops/davit/internal/ledger"
)

// MaxBody is the largest delivery in bytes. GitHub sends none that is larger.
const MaxBody = 25 << 20

// Anybody can send a body, and it must be read before it is known who did. So only a few
// large ones are read at a time. Those that are small, as nearly all are, wait for nobody:
// who sends nothing, or little, keeps out no other.
const (
	small     = 256 << 10
	manyLarge = 8
)

// Verifier knows a forge's signature.
type Verifier interface {
	// Verify returns what a signed delivery is called, and of what kind it is.
	Verify(header func(name string) string, body []byte) (id, event string, err error)
}

// Inbox keeps deliveries.
type Inbox interface {
	// Receive reports false for one that is there already.
	Receive(ctx context.Context, d ledger.Delivery) (fresh bool, err error)
}

// Handler takes deliveries at POST /webhook/NAME.
type Handler struct {
	Forges map[string]Verifier // by what the operator calls them
	Inbox  Inbox
	Log    *slog.Logger
	// Observe, if not nil, is told of each delivery and its answer. event is empty for one
	// that nobody has signed.
	Observe func(forge, event string, status int)

	once  sync.Once
	large chan struct{} // holds one for each large body that is being read
}

func (h *Handler) slots() chan struct{} {
	h.once.Do(func() { h.large = make(chan struct{}, manyLarge) })
	return h.large
}

// read returns a body that is not too large. It counts as being read until done.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) (body []byte, done func(), err error) {
	bounded := http.MaxBytesReader(w, r.Body, MaxBody)
	head, err := io.ReadAll(io.LimitReader(bounded, small))
	if err != nil || len(head) < small {
		return head, func() {}, err
	}
	select {
	case h.slots() <- struct{}{}:
	case <-r.Context().Done():
		return nil, func() {}, r.Context().Err()
	}
	rest, err := io.ReadAll(bounded)
	return append(head, rest...), func() { <-h.slots() }, err
}

// kept are the headers that are stored: what tells deliveries apart, and nothing that
// proves who sent them.
var kept = []string{"Content-Type", "User-Agent", "X-GitHub-Event", "X-GitHub-Delivery", "X-GitHub-Hook-ID",
	"X-GitHub-Hook-Installation-Target-ID", "X-GitHub-Hook-Installation-Target-Type"}

// ServeHTTP answers 202 to what is stored, whatever it is; 401 to what is not signed, 413
// to what is too large, and 500 if it can't be stored, so that it counts as lost.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("forge")
	forge, known := h.Forges[name]
	if !known {
		http.Error(w, "there is no such forge", http.StatusNotFound)
		return
	}
	event, status, answer := h.take(w, r, name, forge)
	if h.Observe != nil {
		h.Observe(name, event, status)
	}
	if status == http.StatusAccepted {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer+"\n")
		return
	}
	http.Error(w, answer, status)
}

func (h *Handler) take(w http.ResponseWriter, r *http.Request, name string, forge Verifier) (event string, status int, answer string) {
	body, done, err := h.read(w, r)
	defer done()
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		h.Log.Warn("a delivery is too large", "forge", name, "limit", large.Limit)
		return "", http.StatusRequestEntityTooLarge, "the delivery is too large"
	case err != nil:
		return "", http.StatusBadRequest, "the delivery did not arrive whole"
	}
	id, event, err := forge.Verify(r.Header.Get, body)
	if err != nil {
		h.Log.Warn("a delivery is not accepted", "forge", name, "from", r.RemoteAddr, "error", err)
		return "", http.StatusUnauthorized, "the delivery is not one that this forge has signed"
	}
	d := ledger.Delivery{ID: id, Forge: name, Event: event, Header: map[string]string{}, Body: body}
	for _, header := range kept {
		if value := r.Header.Get(header); value != "" {
			d.Header[header] = value
		}
	}
	fresh, err := h.Inbox.Receive(r.Context(), d)
	if err != nil {
		h.Log.Error("a delivery can't be stored", "forge", name, "delivery", id, "error", err)
		return event, http.StatusInternalServerError, "the delivery can't be stored"
	}
	if !fresh {
		h.Log.Info("a delivery is here already", "forge", name, "delivery", id, "event", event)
		return event, http.StatusAccepted, "received before"
	}
	h.Log.Info("a delivery arrived", "forge", name, "delivery", id, "event", event, "bytes", len(body))
	return event, http.StatusAccepted, "received"
}

// Limits on those who deliver: a forge waits 10 seconds for an answer.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
)

// Server returns a server that bounds who talks to it, for a handler.
func Server(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}
