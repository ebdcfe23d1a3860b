// Command demo plays the story of two releases on real parts: a Kubernetes control plane on
// this machine, a simulated GitHub, and Davit itself as it is run anywhere. It says in plain
// lines what happens, and leaves nothing running. It is for people to watch; what it shows
// is tested elsewhere.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

// limit is how long the story may take: it is told in less than half of that.
const limit = 4 * time.Minute

func run(ctx context.Context) (err error) {
	var p programs
	flag.StringVar(&p.davit, "davit", "bin/davit", "the `program`")
	flag.StringVar(&p.forge, "githubsim", "bin/githubsim", "the `program`")
	flag.StringVar(&p.playground, "playground", os.Getenv("DAVIT_PLAYGROUND"), "the `program` that \"make playground\" builds")
	keep := flag.Bool("keep", false, "leave everything up until it is interrupted")
	transcript := flag.String("transcript", "", "a `directory` for the comments as they were written")
	flag.Parse()
	s := &stage{programs: p, transcript: *transcript}
	defer func() { err = errors.Join(err, s.end()) }()
	telling, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := s.begin(telling); err != nil {
		return err
	}
	if err := s.play(telling); err != nil {
		return errors.Join(err, s.lastWords())
	}
	if *keep {
		s.stay()
		<-ctx.Done()
	}
	return nil
}
