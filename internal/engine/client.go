package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/davitops/davit/internal/diff"
	"github.com/davitops/davit/internal/manifest"
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

// Judge returns what the engines find wrong with the objects before and after. An
// error that wraps a *manifest.Problem is what the objects did to the engines; any
// other is no fault of theirs.
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
	var failed *worker.JobError
	switch {
	case errors.As(err, &death) && !death.Idle:
		return nil, nil, fmt.Errorf("judge %d objects: %w: %w: %w", len(changes), ErrDied, death, unjudged(death.Class))
	case errors.As(err, &failed):
		return nil, nil, fmt.Errorf("judge %d objects: %w: %w", len(changes), failed, unjudged(worker.Crash))
	case err != nil:
		return nil, nil, fmt.Errorf("judge %d objects: %w", len(changes), err)
	}
	response, err := Decode(result.Payload)
	return response.Base, response.Head, err
}

// unjudged says what objects did to the engines. What the worker printed, and
// what an engine gave as its error, may quote them and is not repeated.
func unjudged(class worker.Class) *manifest.Problem {
	problem := map[worker.Class]manifest.Problem{
		worker.Timeout:  {Code: manifest.Timeout, Message: "the policy engines took too long and were stopped"},
		worker.Memory:   {Code: manifest.Memory, Message: "the policy engines needed more memory than they may have"},
		worker.Limit:    {Code: manifest.TooLarge, Message: "the policy engines had more to read or to say than they may"},
		worker.Sandbox:  {Code: manifest.Sandbox, Message: "the policy engines did something that their sandbox forbids"},
		worker.Protocol: {Code: manifest.Protocol, Message: "the policy engines answered nonsense and were stopped"},
	}
	if p, known := problem[class]; known {
		return &p
	}
	return &manifest.Problem{Code: manifest.Crash, Message: "the policy engines crashed on these objects"}
}
