// Command githubsim serves a simulated GitHub for tests and demos: real git, real
// webhooks, and nothing that leaves the machine unless it is told to. It is wiring
// alone; what it simulates is in internal/forge/github/githubsim.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/davitops/davit/internal/forge/github/githubsim"
	"github.com/davitops/davit/internal/forge/openapi"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "githubsim: %v\n", err)
		os.Exit(1)
	}
}

// settings are what the command line says.
type settings struct {
	listen, data, key, hook, secret, openapi string
	app                                      int64
	stdin                                    bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	said, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	options, err := said.options(stderr)
	if err != nil {
		return err
	}
	sim, err := githubsim.New(options)
	if err != nil {
		return err
	}
	url, err := sim.Start(said.listen)
	if err != nil {
		return errors.Join(err, sim.Close())
	}
	fmt.Fprintf(stdout, "ready %s\n", url)
	if said.stdin {
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		go func() { // ends with the process at the latest: a read can't be called off
			defer stop()
			_, _ = io.Copy(io.Discard, os.Stdin)
		}()
	}
	<-ctx.Done()
	return sim.Close()
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var said settings
	flags := flag.NewFlagSet("githubsim", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&said.listen, "listen", "127.0.0.1:0", "the `address` to serve at")
	flags.StringVar(&said.data, "data", "", "the `directory` with seed.yaml; repositories are made anew in it")
	flags.Int64Var(&said.app, "app-id", 0, "the `number` of the App")
	flags.StringVar(&said.key, "app-key", "", "the `file` with the App's private key")
	flags.StringVar(&said.hook, "webhook-url", "", "the `URL` that webhooks go to")
	flags.StringVar(&said.secret, "webhook-secret-file", "", "the `file` with the secret that signs webhooks")
	flags.StringVar(&said.openapi, "openapi", "", "a `file` with GitHub's OpenAPI description, to hold every exchange to")
	flags.BoolVar(&said.stdin, "until-stdin-ends", false, "end when the standard input does")
	if err := flags.Parse(args); err != nil {
		return settings{}, err
	}
	switch {
	case flags.NArg() > 0:
		return settings{}, fmt.Errorf("there is an argument, %q, and githubsim takes flags alone", flags.Arg(0))
	case said.data == "":
		return settings{}, errors.New("--data is missing: name a directory with a seed.yaml")
	case said.app <= 0:
		return settings{}, errors.New("--app-id is missing: any number will do, if the App's own settings have the same")
	case said.key == "":
		return settings{}, errors.New("--app-key is missing: make a key with `openssl genrsa -out app.pem 2048` and name it")
	case said.hook != "" && said.secret == "":
		return settings{}, errors.New("--webhook-secret-file is missing: webhooks are always signed")
	}
	return said, nil
}

func (said settings) options(stderr io.Writer) (githubsim.Options, error) {
	options := githubsim.Options{
		Dir: said.data, AppID: said.app, WebhookURL: said.hook, Log: slog.New(slog.NewTextHandler(stderr, nil)),
	}
	var err error
	options.AppKey, err = os.ReadFile(said.key)
	if errors.Is(err, fs.ErrNotExist) {
		return options, fmt.Errorf("there is no key at %s: make one with `openssl genrsa -out %s 2048`", said.key, said.key)
	}
	if err != nil {
		return options, fmt.Errorf("read the App's key: %w", err)
	}
	if said.secret != "" {
		secret, err := os.ReadFile(said.secret)
		if err != nil {
			return options, fmt.Errorf("read the webhook's secret: %w", err)
		}
		options.WebhookSecret = strings.TrimSpace(string(secret))
		if options.WebhookSecret == "" {
			return options, fmt.Errorf("%s is empty: write a secret into it, as `openssl rand -hex 32` makes", said.secret)
		}
	}
	if said.openapi != "" {
		options.Description, err = openapi.Load(said.openapi)
	}
	return options, err
}
