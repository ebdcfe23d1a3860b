package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/davitops/davit/internal/diff"
	"github.com/davitops/davit/internal/policy"
	"github.com/davitops/davit/internal/worker"
)

// Job is the kind of job that Judge does.
const Job = "judge"

// Judge does one job in a worker. Engines ask for no files.
func Judge(_ worker.Files, payload []byte) ([]byte, error) { return Handle(payload) }

// Runner runs a job in a worker.
type Runner interface {
	Run(ctx context.Context, job worker.Job) (worker.Result, error)
}

// Client has changes judged in workers. Domain names who is trusted with what:
// workers are not shared between domains.
type Client struct {
	Runner Runner
	Domain string
}

// ErrDied is what objects that kill the engines answer. What they would have
// found is not known, so nothing may be said to be clean.
var ErrDied = errors.New("the policy engines did not survive these objects")

// Judge returns what the engines find wrong with the objects before and after.
func (c Client) Judge(ctx context.Context, kubernetes string, changes []diff.Change) (base, head []policy.Finding, err error) {
	request := Request{Kubernetes: kubernetes, Changes: make([]Change, len(changes))}
	for i, change := range changes {
		request.Changes[i] = Change{Before: change.Before, After: change.After}
	}
	payload, err := Encode(request)
	if err != nil {
		return nil, nil, err
	}
	result, err := c.Runner.Run(ctx, worker.Job{Kind: Job, Payload: payload, Domain: c.Domain})
	var death *worker.Death
	if errors.As(err, &death) {
		return nil, nil, fmt.Errorf("judge %d objects: %w: %w", len(changes), ErrDied, death)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("judge %d objects: %w", len(changes), err)
	}
	response, err := Decode(result.Payload)
	return response.Base, response.Head, err
}
