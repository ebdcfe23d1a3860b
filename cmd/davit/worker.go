package main

import (
	"github.com/davitops/davit/internal/engine"
	"github.com/davitops/davit/internal/render"
	"github.com/davitops/davit/internal/worker"
)

// workerCommand is how the program starts itself as a worker. Nobody types it.
const workerCommand = "render-worker"

// renderWorker is the whole life of a worker process.
func renderWorker() int {
	return worker.Program{
		Handlers: map[string]worker.Handler{
			render.Job: render.Handle,
			engine.Job: engine.Judge,
		},
		Warm: render.Warm,
	}.Main()
}
