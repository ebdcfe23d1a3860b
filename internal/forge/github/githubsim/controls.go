package githubsim

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// routes puts the parts behind one handler.
func (s *Sim) routes() http.Handler {
	api, controls := s.api(), s.controls()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.enter(r) {
			http.Error(w, "githubsim has ended", http.StatusServiceUnavailable)
			return
		}
		defer s.busy.Done()
		first, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		name, inside, _ := strings.Cut(rest, "/")
		switch {
		case first == "_sim":
			controls.ServeHTTP(w, r)
		case first == "api" || first == "repos" || first == "app" || first == "users" || first == "installation":
			api.ServeHTTP(w, r)
		case strings.HasSuffix(name, ".git"):
			s.serveGit(w, r, first, strings.TrimSuffix(name, ".git"), inside)
		case r.Method == http.MethodGet && s.servePage(w, r):
		case r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html"), first == "favicon.ico":
			http.NotFound(w, r) // a person followed a link that leads nowhere here
		default:
			api.ServeHTTP(w, r)
		}
	})
}

// enter counts a request that is to be answered; false is after Close.
func (s *Sim) enter(r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.baseURL == "" {
		s.baseURL = "http://" + r.Host
	}
	s.busy.Add(1)
	return true
}

// controls are the simulator's own operations, for tests in other processes.
func (s *Sim) controls() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_sim/faults", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.Faults()) })
	mux.HandleFunc("DELETE /_sim/faults", func(w http.ResponseWriter, _ *http.Request) {
		s.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /_sim/faults", func(w http.ResponseWriter, r *http.Request) {
		var f Fault
		done(w, strict(r, &f), func() error { return s.AddFault(f) })
	})
	mux.HandleFunc("POST /_sim/release", func(w http.ResponseWriter, _ *http.Request) {
		s.Release()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /_sim/ping", func(w http.ResponseWriter, _ *http.Request) {
		s.Ping()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /_sim/draft", func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Repository string `json:"repository"`
			Number     int    `json:"number"`
			Draft      bool   `json:"draft"`
			As         string `json:"as"`
		}
		done(w, strict(r, &asked), func() error { return s.SetDraft(asked.Repository, asked.Number, asked.Draft, asked.As) })
	})
	mux.HandleFunc("POST /_sim/click", func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			CheckRun   int64  `json:"check_run"`
			Identifier string `json:"identifier"`
			As         string `json:"as"`
		}
		done(w, strict(r, &asked), func() error { return s.Click(asked.CheckRun, asked.Identifier, asked.As) })
	})
	mux.HandleFunc("GET /_sim/requests", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.Requests()) })
	mux.HandleFunc("GET /_sim/violations", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.Violations()) })
	mux.HandleFunc("GET /_sim/deliveries", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.Deliveries()) })
	mux.HandleFunc("GET /_sim/idle", s.serveIdle)
	return mux
}

// strict reads JSON that has no field unknown.
func strict(r *http.Request, into any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<20))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

// done answers 204, or 422 with what is wrong.
func done(w http.ResponseWriter, err error, do func() error) {
	if err == nil {
		err = do()
	}
	if err != nil {
		writeJSON(w, http.StatusUnprocessableEntity, object{"message": err.Error()})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// serveIdle answers 204 when all is sent, and 504 when that takes too long: ten
// seconds, or what ?timeout= says.
func (s *Sim) serveIdle(w http.ResponseWriter, r *http.Request) {
	limit := 10 * time.Second
	if text := r.URL.Query().Get("timeout"); text != "" {
		parsed, err := time.ParseDuration(text)
		if err != nil {
			writeJSON(w, http.StatusUnprocessableEntity, object{"message": "timeout is a time such as 5s"})
			return
		}
		limit = parsed
	}
	ctx, cancel := context.WithTimeout(r.Context(), limit)
	defer cancel()
	if err := s.Idle(ctx); err != nil {
		writeJSON(w, http.StatusGatewayTimeout, object{"message": err.Error()})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
