//go:build !linux

package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// ErrUnsupported says that this system has none of the walls a worker needs.
var ErrUnsupported = errors.New("rendering what is not trusted needs Linux")

// Program is what a worker process can do.
type Program struct {
	Handlers map[string]Handler
	Warm     func() error
}

// Main refuses.
func (Program) Main() int {
	fmt.Fprintln(os.Stderr, "render worker:", ErrUnsupported)
	return 70
}

// Pool cannot be made here.
type Pool struct{}

// NewPool refuses.
func NewPool(Options) (*Pool, error) { return nil, ErrUnsupported }

// Run refuses.
func (*Pool) Run(context.Context, Job) (Result, error) { return Result{}, ErrUnsupported }

// Layers refuses.
func (*Pool) Layers(context.Context) (Layers, error) { return Layers{}, ErrUnsupported }

// Close has nothing to close.
func (*Pool) Close() error { return nil }
