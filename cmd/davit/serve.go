package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/davitops/davit/internal/bot"
	"github.com/davitops/davit/internal/config"
	"github.com/davitops/davit/internal/engine"
	"github.com/davitops/davit/internal/fleet"
	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/forge/github"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/render"
	"github.com/davitops/davit/internal/report"
	"github.com/davitops/davit/internal/store"
	"github.com/davitops/davit/internal/survey"
	"github.com/davitops/davit/internal/telemetry"
	"github.com/davitops/davit/internal/webhook"
	"github.com/davitops/davit/internal/worker"
)

// serverFlags are what every command needs that works with the server's database.
type serverFlags struct {
	config    string
	set       []string
	logFormat string
	verbose   bool
}

func serveCommand(t terminal) *cobra.Command {
	var f serverFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the bot",
		Long: `Run the bot: take deliveries of the forges, and say on every pull request what it
would change.

Settings of the file can be replaced by the environment (DAVIT_LISTEN_ADMIN is
listen.admin) and by --set, which wins.

It prints "ready" and its addresses on one line when it serves. It stops on SIGINT and
SIGTERM, and what it was doing then is done when it runs again.`,
		Example: `  davit serve --config davit.yaml
  davit serve --config davit.yaml --set listen.webhook=:8080 --set sweep=30s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), t, f) },
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.logFormat, "log-format", "", "text or json (default: text on a terminal, else json)")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "log every step")
	return cmd
}

func (f *serverFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.config, "config", config.File, "the operator's file")
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "replace a setting of the file, for example sweep=30s")
}

// load reads the configuration, with what the environment and flags say instead.
func (f *serverFlags) load(t terminal) (config.Config, error) {
	c, err := config.Load(f.config)
	if err != nil {
		return c, exit{code: report.ExitUsage, err: err}
	}
	if err := c.Environment(t.env); err != nil {
		return c, exit{code: report.ExitUsage, err: err}
	}
	for _, setting := range f.set {
		key, value, found := strings.Cut(setting, "=")
		if !found {
			return c, usage("--set %s is no setting, such as sweep=30s", setting)
		}
		if err := c.Set(key, value); err != nil {
			return c, usage("--set %s: %w", setting, err)
		}
	}
	return c, nil
}

func (f *serverFlags) log(t terminal) (*slog.Logger, error) {
	format, level := f.logFormat, slog.LevelInfo
	switch format {
	case telemetry.Text, telemetry.JSON:
	case "":
		if format = telemetry.JSON; isTerminal(t.err) {
			format = telemetry.Text
		}
	default:
		return nil, usage("--log-format %s is not known; use text or json", format)
	}
	if f.verbose {
		level = slog.LevelDebug
	}
	return telemetry.Log(t.err, format, level), nil
}

func serve(ctx context.Context, t terminal, f serverFlags) error {
	c, err := f.load(t)
	if err != nil {
		return err
	}
	log, err := f.log(t)
	if err != nil {
		return err
	}
	if len(c.Forges) == 0 {
		return usage("%s names no forge, so there is nobody to serve; add one under forges", f.config)
	}
	metrics := telemetry.New(version)
	forges, err := openForges(c, metrics, log)
	if err != nil {
		return exit{code: report.ExitUsage, err: err}
	}
	for _, dir := range []string{c.Data, filepath.Join(c.Data, "mirrors"), c.DatabaseDir()} {
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make a place for Davit's data: %w", err)
		}
	}
	key, err := config.Key(filepath.Join(c.Data, "key"))
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, c.DatabaseAddress(), store.Options{Log: log, Committing: func() { passing("commit") }})
	if err != nil {
		return err
	}
	pool, err := worker.NewPool(worker.Options{})
	if err != nil {
		return errors.Join(fmt.Errorf("start workers: %w", err), db.Close())
	}
	s := server{config: c, forges: forges, db: db, pool: pool, metrics: metrics, log: log, key: key}
	return errors.Join(s.run(ctx, t), pool.Close(), db.Close())
}

// openForges makes the clients of all forges.
func openForges(c config.Config, metrics *telemetry.Metrics, log *slog.Logger) (map[string]forge.Forge, error) {
	forges := map[string]forge.Forge{}
	for _, f := range c.Forges {
		key, err := f.PrivateKey()
		if err != nil {
			return nil, err
		}
		secrets, err := f.WebhookSecrets()
		if err != nil {
			return nil, err
		}
		client, err := github.New(github.Options{
			Name: f.Name, URL: f.URL, APIURL: f.APIURL, AppID: f.AppID, Key: key, Secrets: secrets,
			Transport: metrics.Transport(f.Name, passes{http.DefaultTransport, f.Name}), Log: log,
		})
		if err != nil {
			return nil, fmt.Errorf("open the forge %s: %w", f.Name, err)
		}
		forges[f.Name] = client
	}
	return forges, nil
}

// server is a bot with everything that it works with.
type server struct {
	config  config.Config
	forges  map[string]forge.Forge
	db      *store.Store
	pool    *worker.Pool
	metrics *telemetry.Metrics
	log     *slog.Logger
	key     []byte
}

// relist is how often all open pull requests are looked at, for what no delivery has
// told.
const relist = time.Hour

func (s server) run(asked context.Context, t terminal) error {
	hooks, err := net.Listen("tcp", s.config.Webhook)
	if err != nil {
		return fmt.Errorf("listen for deliveries: %w; listen.webhook in davit.yaml says where", err)
	}
	admin, err := net.Listen("tcp", s.config.Admin)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for the operator: %w; listen.admin in davit.yaml says where", err), hooks.Close())
	}
	group, ctx := errgroup.WithContext(asked)
	group.Go(func() error { return serveHTTP(ctx, hooks, s.webhooks(), s.log) })
	group.Go(func() error { return serveHTTP(ctx, admin, s.admin(), s.log) })
	var periodic []store.Periodic
	for name := range s.forges {
		periodic = append(periodic,
			store.Periodic{Step: ledger.Step{Kind: ledger.Redeliver, Key: name}, Every: s.config.Sweep},
			store.Periodic{Step: ledger.Step{Kind: ledger.Inspect, Key: name}, Every: relist})
	}
	group.Go(func() error { return s.db.Run(ctx, s.work(), periodic...) })
	s.log.Info("davit serves", "version", version, "webhook", hooks.Addr().String(), "admin", admin.Addr().String(), "database", s.config.DatabaseName())
	fmt.Fprintf(t.out, "ready webhook http://%s/webhook admin http://%s\n", hooks.Addr(), admin.Addr())
	err = group.Wait()
	if asked.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // it was told to stop, if only while it began
	}
	return err
}

// serveHTTP serves until ctx is done, and lets requests end that were begun.
func serveHTTP(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	server := webhook.Server(handler, log)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := server.Shutdown(patient)
	<-ended
	return err
}

func (s server) webhooks() http.Handler {
	verifiers := map[string]webhook.Verifier{}
	for name, f := range s.forges {
		verifiers[name] = f
	}
	mux := http.NewServeMux()
	mux.Handle("POST /webhook/{forge}", &webhook.Handler{Forges: verifiers, Inbox: s.db, Log: s.log, Observe: s.metrics.Delivery})
	return mux
}

func (s server) admin() http.Handler {
	return s.metrics.Admin(telemetry.Health{
		Ready: s.db.Ping,
		Waiting: func(ctx context.Context) (map[string]int, error) {
			counts, err := s.db.Waiting(ctx)
			named := map[string]int{}
			for kind, n := range counts {
				named[string(kind)] = n
			}
			return named, err
		},
	})
}

// work is what is done with steps: the bot's work, measured and logged.
func (s server) work() store.Work {
	b := bot.Bot{
		Ledger: s.db, Forges: s.forges, Log: s.log, Now: time.Now,
		Mirrors:  mirrors{dir: filepath.Join(s.config.Data, "mirrors")},
		Clusters: &clusters{config: s.config, key: s.key, fleets: map[gitops.Repo]*fleet.Fleet{}},
		Surveyor: survey.Surveyor{
			Renderer: render.Client{Runner: s.pool, Domain: "pull-requests"},
			Judge:    engine.Client{Runner: s.pool, Domain: "pull-requests"},
			Parallel: runtime.NumCPU(),
		},
	}
	return func(ctx context.Context, step ledger.Step, last bool) (ledger.Batch, error) {
		began := time.Now()
		batch, err := b.Do(ctx, step, last)
		took := time.Since(began)
		result := outcome(err)
		s.metrics.Step(string(step.Kind), result, took)
		level := slog.LevelDebug
		switch {
		case result == "failed" || result == "hopeless":
			level = slog.LevelWarn
		case step.Kind == ledger.Review || step.Kind == ledger.Deliver:
			level = slog.LevelInfo
		}
		attributes := []any{"step", step.String(), "delivery", step.Cause, "result", result, "ms", took.Milliseconds()}
		if err != nil {
			attributes = append(attributes, "error", err)
		}
		s.log.Log(ctx, level, "worked", attributes...)
		return batch, err
	}
}

func outcome(err error) string {
	var later *ledger.Later
	var hopeless *ledger.Hopeless
	switch {
	case err == nil:
		return "done"
	case errors.As(err, &later):
		return "later"
	case errors.Is(err, context.Canceled): // Davit stops, and does it when it runs again
		return "stopped"
	case errors.As(err, &hopeless):
		return "hopeless"
	}
	return "failed"
}
