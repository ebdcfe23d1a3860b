// Package telemetry is what an operator sees of a running Davit: its log, its metrics,
// and whether it is well. It holds numbers and names of kinds; never a name that a pull
// request could choose, and never a secret.
package telemetry

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are Davit's numbers. Its methods may be called concurrently.
type Metrics struct {
	registry   *prometheus.Registry
	deliveries *prometheus.CounterVec
	steps      *prometheus.HistogramVec
	requests   *prometheus.HistogramVec
	remaining  *prometheus.GaugeVec
	waiting    *prometheus.GaugeVec
}

// New returns metrics of a version of Davit.
func New(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "davit_deliveries_total", Help: "Deliveries of forges, by the answer they got.",
		}, []string{"forge", "event", "status"}),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "davit_step_duration_seconds", Help: "How long steps took, by kind and how they ended.",
			Buckets: []float64{.005, .02, .1, .5, 1, 2, 5, 10, 30, 60, 300},
		}, []string{"step", "result"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "davit_forge_request_duration_seconds", Help: "How long requests to forges took, each attempt by itself.",
			Buckets: []float64{.02, .1, .5, 1, 2, 5, 10},
		}, []string{"forge", "method", "status"}),
		remaining: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "davit_forge_requests_remaining", Help: "Requests that a forge lets Davit make before its limit is reached, as of its last answer.",
		}, []string{"forge"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "davit_steps_waiting", Help: "Steps that are not done yet, by kind.",
		}, []string{"step"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "davit_build_info", Help: "1, with the version of Davit.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	m.registry.MustRegister(build, m.deliveries, m.steps, m.requests, m.remaining, m.waiting,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// events are the kinds of deliveries that have a number of their own. A kind is no part of
// what is signed, so it could be anything.
var events = []string{"", "ping", "pull_request", "pull_request_review", "issue_comment", "push", "check_run", "check_suite",
	"installation", "installation_repositories", "repository"}

// Delivery counts a delivery.
func (m *Metrics) Delivery(forge, event string, status int) {
	if !slices.Contains(events, event) {
		event = "other"
	}
	m.deliveries.WithLabelValues(forge, event, strconv.Itoa(status)).Inc()
}

// Step measures a step that ended now.
func (m *Metrics) Step(kind, result string, took time.Duration) {
	m.steps.WithLabelValues(kind, result).Observe(took.Seconds())
}

// Transport measures the requests of a forge's provider.
func (m *Metrics) Transport(forge string, next http.RoundTripper) http.RoundTripper {
	return transport{m, forge, next}
}

type transport struct {
	metrics *Metrics
	forge   string
	next    http.RoundTripper
}

// RoundTrip passes a request on.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	response, err := t.next.RoundTrip(r)
	status := "none"
	if err == nil {
		status = strconv.Itoa(response.StatusCode)
		if left, err := strconv.Atoi(response.Header.Get("X-RateLimit-Remaining")); err == nil {
			t.metrics.remaining.WithLabelValues(t.forge).Set(float64(left))
		}
	}
	t.metrics.requests.WithLabelValues(t.forge, r.Method, status).Observe(time.Since(began).Seconds())
	return response, err
}

// Health is what Davit says of itself.
type Health struct {
	Ready   func(context.Context) error                   // why it can't do its work, if it can't
	Waiting func(context.Context) (map[string]int, error) // the steps that are not done, by kind
}

// patience is how long a question about health may take.
const patience = 5 * time.Second

// Admin answers at /healthz, as long as it runs, at /readyz, if it can do its work, and
// at /metrics.
func (m *Metrics) Admin(h Health) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		if err := h.Ready(ctx); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	numbers := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		// Without an answer the numbers are missing, not old.
		m.waiting.Reset()
		if counts, err := h.Waiting(ctx); err == nil {
			for kind, n := range counts {
				m.waiting.WithLabelValues(kind).Set(float64(n))
			}
		}
		numbers.ServeHTTP(w, r)
	})
	return mux
}
