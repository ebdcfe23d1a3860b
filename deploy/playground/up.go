package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"
)

// startLimit is how long the clusters have to become ready.
const startLimit = 60 * time.Second

// settings are what `playground up` was asked for.
type settings struct {
	dir             string
	clusters, nodes int
	untilStdinEnds  bool
}

// up is `playground up`; it returns the exit code.
func up(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parseSettings(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "playground up: %v\n%s", err, usageText)
		return exitUsage
	}
	if s.untilStdinEnds {
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		go func() {
			defer stop()
			_, _ = io.Copy(io.Discard, os.Stdin)
		}()
	}
	err = s.run(ctx, stdout, stderr)
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(stderr, "playground up:", err)
		return exitFailed
	}
	return 0
}

func parseSettings(args []string, stderr io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("playground up", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the caller prints the error
	flags.StringVar(&s.dir, "dir", "", "where the kubeconfig, logs and data go: an empty or new directory, or one of an earlier start")
	flags.IntVar(&s.clusters, "clusters", 1, "how many clusters to start")
	flags.IntVar(&s.nodes, "nodes", 1, "how many nodes each cluster has")
	flags.BoolVar(&s.untilStdinEnds, "until-stdin-ends", false, "stop when the standard input ends, as it does when a parent that holds it open dies")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(stderr, usageText)
			flags.SetOutput(stderr)
			flags.PrintDefaults()
		}
		return s, err
	}
	switch {
	case flags.NArg() > 0:
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case s.dir == "":
		return s, errors.New("--dir is missing")
	case s.clusters < 1:
		return s, fmt.Errorf("--clusters %d: at least 1 is needed", s.clusters)
	case s.nodes < 1:
		return s, fmt.Errorf("--nodes %d: at least 1 is needed", s.nodes)
	}
	dir, err := filepath.Abs(s.dir)
	if err != nil {
		return s, fmt.Errorf("--dir: %w", err)
	}
	s.dir = dir
	return s, nil
}

// run starts the clusters, says so, and returns when the context ends or a
// component does; by then everything is stopped.
func (s settings) run(ctx context.Context, stdout, stderr io.Writer) error {
	release, err := claim(s.dir)
	if err != nil {
		return err
	}
	defer release()
	if err := logLibraries(filepath.Join(s.dir, "up.log")); err != nil {
		return err
	}
	alive, parent, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("making the pipe that components watch: %w", err)
	}
	defer alive.Close()
	defer parent.Close()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	died := make(chan *process, s.clusters*len(components)) // never blocks
	clusters := s.plan(alive, died, logger(stderr))
	defer func() {
		for _, c := range clusters {
			c.stop()
		}
	}()
	go func() {
		select {
		case p := <-died:
			cancel(fmt.Errorf("%s ended by itself: %v%s", p.name, p.err, p.tail()))
		case <-ctx.Done():
		}
	}()
	if err := s.start(ctx, clusters); err != nil {
		return err
	}
	fmt.Fprintln(stdout, "ready")
	<-ctx.Done()
	return context.Cause(ctx)
}

func (s settings) plan(alive *os.File, died chan<- *process, progress func(string, ...any)) []*cluster {
	clusters := make([]*cluster, s.clusters)
	for i := range clusters {
		name := fmt.Sprintf("%s%d", clusterPrefix, i+1)
		clusters[i] = &cluster{
			name: name, dir: filepath.Join(s.dir, name), nodes: s.nodes,
			alive: alive, died: died, progress: progress,
		}
	}
	return clusters
}

func (s settings) start(ctx context.Context, clusters []*cluster) error {
	limited, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for _, c := range clusters {
		if err := c.prepare(); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	if err := writeKubeconfig(filepath.Join(s.dir, kubeconfigName), userAdmin, clusters...); err != nil {
		return err
	}
	group, starting := errgroup.WithContext(limited)
	for _, c := range clusters {
		group.Go(func() error { return c.start(starting) })
	}
	err := group.Wait()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case limited.Err() != nil:
		return fmt.Errorf("not ready after %s: %w", startLimit, err)
	}
	return err
}

// logLibraries sends what Kubernetes' client says of its connections to a file.
func logLibraries(name string) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("opening this program's own log: %w", err)
	}
	klog.SetSlogLogger(slog.New(slog.NewTextHandler(file, nil)))
	return nil
}

// logger prints progress with the time since now.
func logger(w io.Writer) func(string, ...any) {
	var mutex sync.Mutex
	began := time.Now()
	return func(format string, args ...any) {
		mutex.Lock()
		defer mutex.Unlock()
		fmt.Fprintf(w, "%5.1fs %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
}
