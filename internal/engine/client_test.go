package engine

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/davitops/davit/internal/diff"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/worker"
)

// ended is a Runner whose jobs all end in one way.
type ended struct {
	result worker.Result
	err    error
}

func (e ended) Run(context.Context, worker.Job) (worker.Result, error) { return e.result, e.err }

// TestClientEnds shows which ends are the objects' doing, and that what a worker
// printed is not repeated.
func TestClientEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		code manifest.Code // empty: nobody's doing
	}{
		"timeout":  {&worker.Death{Class: worker.Timeout, Detail: "canary"}, manifest.Timeout},
		"memory":   {&worker.Death{Class: worker.Memory, Detail: "canary"}, manifest.Memory},
		"crash":    {&worker.Death{Class: worker.Crash, Detail: "canary"}, manifest.Crash},
		"protocol": {&worker.Death{Class: worker.Protocol, Detail: "canary"}, manifest.Protocol},
		"sandbox":  {&worker.Death{Class: worker.Sandbox, Detail: "canary"}, manifest.Sandbox},
		"limit":    {&worker.Death{Class: worker.Limit, Detail: "canary"}, manifest.TooLarge},
		"error":    {&worker.JobError{Message: "an engine's panic"}, manifest.Crash},
		"closed":   {worker.ErrClosed, ""},
		"stopped":  {context.Canceled, ""},
	} {
		_, _, err := Client{Runner: ended{err: c.err}}.Judge(t.Context(), "", []diff.Change{{}})
		var problem *manifest.Problem
		var code manifest.Code
		if errors.As(err, &problem) {
			code = problem.Code
			if problem.Message == "" || strings.Contains(problem.Message+problem.Detail, "canary") {
				t.Errorf("%s: %+v", name, problem)
			}
		}
		if !errors.Is(err, c.err) || code != c.code {
			t.Errorf("%s: %v, code %q, want %q", name, err, code, c.code)
		}
		if died := errors.As(err, new(*worker.Death)); died != errors.Is(err, ErrDied) {
			t.Errorf("%s: died: %t: %v", name, died, err)
		}
	}
	if _, _, err := (Client{Runner: ended{result: worker.Result{Payload: []byte("nonsense")}}}).Judge(t.Context(), "", nil); err == nil {
		t.Error("nonsense was read")
	}
}
