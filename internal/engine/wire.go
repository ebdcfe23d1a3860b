package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/davitops/davit/internal/policy"
)

// Request is what the parent asks of the worker.
type Request struct {
	// Kubernetes is the cluster's version, "1.36", or empty where it is not known.
	Kubernetes string   `json:"kubernetes,omitempty"`
	Changes    []Change `json:"changes"`
}

// Change is one object before and after, as JSON. Before is nil where the
// object is created, After where it is deleted.
type Change struct {
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// pairs yields the two sides of each change, nil for a side that is not there.
func (r Request) pairs() iter.Seq2[json.RawMessage, json.RawMessage] {
	return func(yield func(before, after json.RawMessage) bool) {
		for _, c := range r.Changes {
			if !yield(present(c.Before), present(c.After)) {
				return
			}
		}
	}
}

// present returns nil for JSON's null, which is how other encoders write a side
// that is not there.
func present(raw json.RawMessage) json.RawMessage {
	if string(raw) == "null" {
		return nil
	}
	return raw
}

// Response is what the engines hold against the objects on either side. No
// finding has a state: policy.Delta decides it.
type Response struct {
	Base, Head []policy.Finding
}

// finding has the fields of policy.Finding and none of its methods, so that it
// is written with its object in parts and its subject, and can be read back.
type finding policy.Finding

// response is a Response on its way.
type response struct {
	Base []finding `json:"base"`
	Head []finding `json:"head"`
}

// Encode is for the parent: the payload of a job that Handle answers.
func Encode(r Request) ([]byte, error) {
	payload, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode judge request: %w", err)
	}
	return payload, nil
}

// Decode is for the parent: the answer of Handle. It trusts the worker with
// nothing but the text: a finding without a rule or an engine, or with a
// severity that does not exist, is an error, and states are dropped.
func Decode(answer []byte) (Response, error) {
	var wire response
	if err := json.Unmarshal(answer, &wire); err != nil {
		return Response{}, fmt.Errorf("decode judge response: %w", err)
	}
	base, err := checked(wire.Base)
	if err != nil {
		return Response{}, fmt.Errorf("decode judge response: base: %w", err)
	}
	head, err := checked(wire.Head)
	if err != nil {
		return Response{}, fmt.Errorf("decode judge response: head: %w", err)
	}
	return Response{Base: base, Head: head}, nil
}

func checked(wire []finding) ([]policy.Finding, error) {
	var findings []policy.Finding
	for i, f := range wire {
		if f.Rule == "" || f.Engine == "" || !f.Severity.Valid() {
			return nil, fmt.Errorf("finding %d: %w", i, errMalformed)
		}
		f.State = ""
		findings = append(findings, policy.Finding(f))
	}
	return findings, nil
}

var errMalformed = errors.New("it names no rule, no engine or no known severity")

func decodeRequest(payload []byte) (Request, error) {
	var request Request
	if err := json.Unmarshal(payload, &request); err != nil {
		return Request{}, fmt.Errorf("decode judge request: %w", err)
	}
	return request, nil
}

func encodeResponse(r Response) ([]byte, error) {
	answer, err := json.Marshal(response{Base: unchecked(r.Base), Head: unchecked(r.Head)})
	if err != nil {
		return nil, fmt.Errorf("encode judge response: %w", err)
	}
	return answer, nil
}

func unchecked(findings []policy.Finding) []finding {
	wire := make([]finding, len(findings))
	for i, f := range findings {
		wire[i] = finding(f)
	}
	return wire
}
