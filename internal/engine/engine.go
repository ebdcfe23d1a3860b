// Package engine judges the objects a change touches, before and after it, with
// every policy engine there is. The engines run inside the sandboxed worker,
// bytes in, bytes out: they open no file and no connection, and none of their
// panics gets out. The package compares nothing and decides nothing about a
// finding; that is for the policy room.
package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strings"

	"github.com/davitops/davit/internal/engine/builtin"
	"github.com/davitops/davit/internal/policy"
)

// Engine is one way to judge objects. It speaks of nothing that belongs to this
// package, so that an engine need not know who calls it.
type Engine interface {
	// Name is what its findings are filed under. It never changes: fingerprints
	// hold it.
	Name() string
	// Judge returns what it holds against the objects before and after the
	// changes, which may be read several times and must not be altered. One side
	// of a change is nil where the object is created or deleted. What it holds
	// against a change itself is head's, so that it is always new. An error says
	// nothing of an object's content.
	Judge(kubernetes string, changes iter.Seq2[json.RawMessage, json.RawMessage]) (base, head []policy.Finding, err error)
}

// engines is the registry: one line per engine.
var engines = []Engine{
	builtin.Engine{},
}

// Handle answers one encoded Request with one encoded Response.
func Handle(payload []byte) ([]byte, error) {
	return handle(payload, engines)
}

func handle(payload []byte, engines []Engine) ([]byte, error) {
	request, err := decodeRequest(payload)
	if err != nil {
		return nil, err
	}
	var response Response
	for _, e := range engines {
		base, head, err := judge(e, request)
		if err != nil {
			return nil, fmt.Errorf("judge with engine %s: %w", e.Name(), err)
		}
		response.Base = append(response.Base, signed(e, base)...)
		response.Head = append(response.Head, signed(e, head)...)
	}
	return encodeResponse(response)
}

// judge runs one engine and turns its panic into an error.
func judge(e Engine, request Request) (base, head []policy.Finding, err error) {
	defer func() {
		if value := recover(); value != nil {
			base, head, err = nil, nil, panicked(value)
		}
	}()
	return e.Judge(request.Kubernetes, request.pairs())
}

// panicked says where an engine panicked. Only the runtime's own words are
// repeated: any other value could hold a piece of an object.
func panicked(value any) error {
	what := fmt.Sprintf("panic with a %T", value)
	var own runtime.Error
	if err, ok := value.(error); ok && errors.As(err, &own) {
		what = own.Error()
	}
	return fmt.Errorf("%s in %s", what, panicSite())
}

// panicSite names the function and line that panicked, as seen from a deferred
// function of the same goroutine.
func panicSite() string {
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	inPanic := false
	for {
		frame, more := frames.Next()
		ofRuntime := strings.HasPrefix(frame.Function, "runtime.")
		if inPanic && !ofRuntime {
			return fmt.Sprintf("%s (line %d)", frame.Function, frame.Line)
		}
		inPanic = inPanic || ofRuntime
		if !more {
			return "an unknown function"
		}
	}
}

// signed files the findings under the engine's name.
func signed(e Engine, findings []policy.Finding) []policy.Finding {
	for i := range findings {
		findings[i].Engine = e.Name()
	}
	return findings
}
