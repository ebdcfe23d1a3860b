// Package render turns a target's files into Kubernetes objects. It has two
// sides: Handle runs in a worker, a process without files and network, and
// Client asks a worker from outside.
//
// It never opens a file, never fetches and never runs a program: what a render
// wants from elsewhere is a problem that names the file, the line and the
// remedy. Nothing it says of a failure holds a value of a Secret.
//
// kustomize's load restriction to the kustomization's own directory is off: the
// tree of files that a worker can ask for is the restriction, so overlays may
// share files across directories, as they may with Flux.
package render

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/target"
	"github.com/davitops/davit/internal/tree"
	"github.com/davitops/davit/internal/worker"
)

// Job is the kind of job that Handle does.
const Job = "render"

// request is what is sent to a worker.
type request struct {
	Renderer gitops.Renderer `json:"renderer"`
	Path     string          `json:"path"`
}

// answer is the first line of what comes back; each object is one more line.
type answer struct {
	Problem *manifest.Problem `json:"problem,omitempty"`
	Detail  string            `json:"detail,omitempty"`
	Origins []manifest.Origin `json:"origins"`
}

// renderers is all there are. A renderer returns objects or a *manifest.Problem.
var renderers = map[gitops.Renderer]func(files tree.Files, directory string) ([]manifest.Object, error){
	gitops.Kustomize: kustomize,
	gitops.Plain:     plain,
}

// Handle does one render in a worker.
func Handle(files worker.Files, payload []byte) ([]byte, error) {
	var job request
	if err := json.Unmarshal(payload, &job); err != nil {
		return nil, fmt.Errorf("read the render job: %w", err)
	}
	renderer, known := renderers[job.Renderer]
	if !known {
		return nil, fmt.Errorf("no renderer %q", job.Renderer)
	}
	objects, err := renderer(files, job.Path)
	var problem *manifest.Problem
	if err != nil && !errors.As(err, &problem) {
		return nil, err
	}
	encoded, err := encode(objects, problem)
	if err != nil {
		return nil, err
	}
	return encoded, schemaState()
}

func encode(objects []manifest.Object, problem *manifest.Problem) ([]byte, error) {
	head := answer{Problem: problem, Origins: make([]manifest.Origin, len(objects))}
	if problem != nil {
		head.Detail = problem.Detail
	}
	for i, o := range objects {
		head.Origins[i] = o.Origin
	}
	first, err := json.Marshal(head)
	if err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	out := bytes.NewBuffer(first)
	for _, o := range objects {
		out.WriteByte('\n')
		out.Write(o.JSON)
	}
	return out.Bytes(), nil
}

func decode(payload []byte) (manifest.Rendering, error) {
	lines := bytes.Split(payload, []byte("\n"))
	var head answer
	if err := json.Unmarshal(lines[0], &head); err != nil {
		return manifest.Rendering{}, fmt.Errorf("read the answer of a render: %w", err)
	}
	lines = lines[1:]
	if len(lines) != len(head.Origins) {
		return manifest.Rendering{}, fmt.Errorf("read the answer of a render: %d objects, %d origins", len(lines), len(head.Origins))
	}
	if head.Problem != nil {
		head.Problem.Detail = head.Detail
	}
	rendering := manifest.Rendering{Problem: head.Problem, Objects: make([]manifest.Object, len(lines))}
	for i, line := range lines {
		object, err := manifest.Decode(line)
		if err != nil {
			return manifest.Rendering{}, fmt.Errorf("read the answer of a render: %w", err)
		}
		object.Origin = head.Origins[i]
		rendering.Objects[i] = object
	}
	return rendering, nil
}

// Runner runs a job in a worker.
type Runner interface {
	Run(ctx context.Context, job worker.Job) (worker.Result, error)
}

// Client renders in workers. Domain names who is trusted with what: workers are
// not shared between domains.
type Client struct {
	Runner Runner
	Domain string
}

// Render renders a target and returns what it read of files. hints are paths
// that it probably reads; they save questions. What is wrong with the target,
// or what the target did to its worker, is the rendering's Problem; an error is
// the fault of neither.
func (c Client) Render(ctx context.Context, files tree.Files, t gitops.Target, hints []string) (manifest.Rendering, tree.Record, error) {
	payload, err := json.Marshal(request{Renderer: t.Renderer, Path: t.Path})
	if err != nil {
		return manifest.Rendering{}, nil, fmt.Errorf("encode the render job: %w", err)
	}
	result, err := c.Runner.Run(ctx, worker.Job{Kind: Job, Payload: payload, Files: files, Domain: c.Domain, Hints: hints})
	var death *worker.Death
	if errors.As(err, &death) && !death.Idle {
		problem := fatal(death)
		problem.File, problem.Line = mainFile(files, t), 1
		return manifest.Rendering{Problem: problem}, nil, nil
	}
	if err != nil {
		return manifest.Rendering{}, nil, fmt.Errorf("render %s: %w", t.Path, err)
	}
	rendering, err := decode(result.Payload)
	if err != nil {
		return manifest.Rendering{}, nil, err
	}
	record, err := tree.Observe(files, result.Questions())
	return rendering, record, err
}

// fatal says in a sentence what a target did to its worker. The worker's last
// words are not repeated: they may quote anything that it read.
func fatal(death *worker.Death) *manifest.Problem {
	problem := map[worker.Class]manifest.Problem{
		worker.Timeout:  {Code: manifest.Timeout, Message: "rendering took too long and was stopped; look for a build that grows with every object"},
		worker.Memory:   {Code: manifest.Memory, Message: "rendering needed more memory than a render may have; look for values that multiply"},
		worker.Limit:    {Code: manifest.TooLarge, Message: "rendering read or wrote more than a render may"},
		worker.Sandbox:  {Code: manifest.Sandbox, Message: "rendering did something that its sandbox forbids"},
		worker.Protocol: {Code: manifest.Protocol, Message: "the renderer answered nonsense and was stopped"},
	}
	if p, known := problem[death.Class]; known {
		return &p
	}
	return &manifest.Problem{Code: manifest.Crash, Message: "the renderer crashed on this target"}
}

// mainFile is the file to blame when no other is: the kustomization, or the
// directory itself.
func mainFile(files tree.Files, t gitops.Target) string {
	if t.Renderer == gitops.Kustomize {
		for _, file := range target.Kustomizations(t.Path) {
			if fact, err := files.Look(file, false); err == nil && fact.Kind == tree.File {
				return file
			}
		}
	}
	return t.Path
}
