// Package githubsim is a stateful, strict simulator of GitHub for tests and
// demos: an App, its installations, repositories that real git clones and pushes
// to, pull requests, comments, checks, and signed webhooks. It keeps its state in
// memory, answers what it does not know with 501, and never talks to GitHub or to
// anything but the one webhook address it is given. It tells the App of pushes, pull
// requests, their reviews and comments, and checks, and of nothing else.
//
// A seed, DIR/seed.yaml, says what is there at the beginning:
//
//	app: {slug: davit, name: Davit, owner: acme}  # permissions and events: as usual
//	users:
//	  - {login: alice, name: Alice}
//	  - {login: mallory}
//	  - {login: "helper[bot]", type: Bot}
//	organisations:
//	  - login: acme
//	    members: {alice: owner}                   # owner or member
//	    teams: {platform: [alice]}
//	repositories:
//	  - name: acme/gitops
//	    private: true
//	    default_branch: main
//	    collaborators: {mallory: read, acme/platform: write}
//	    files: {apps/shop.yaml: "replicas: 2\n"}  # or from: DIR, from that of the seed
//	  - {name: mallory/gitops, fork_of: acme/gitops}
//	installations:
//	  - {account: acme, repositories: [acme/gitops]}  # or all; suspended: true
//
// A person's credential is user-LOGIN, for the API and for git. The App has a JWT,
// and gets tokens for its installations as it does from GitHub.
//
// For tests in other processes there are controls: GET, POST and DELETE
// /_sim/faults (see Fault), POST /_sim/release, /_sim/ping, /_sim/draft and
// /_sim/click, and GET /_sim/idle, /_sim/requests, /_sim/deliveries and
// /_sim/violations; each is a method of Sim as well.
package githubsim

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/davitops/davit/internal/forge/openapi"
)

// Options say what a simulator is made of.
type Options struct {
	Dir           string // has seed.yaml; the repositories are made anew below it
	AppID         int64
	AppKey        []byte // the App's RSA private key, PEM
	WebhookURL    string // empty: nothing is sent, and every delivery fails
	WebhookSecret string
	Description   *openapi.Description // nil: nothing is checked
	Log           *slog.Logger         // nil: none
	Now           func() time.Time     // nil: time.Now
	HookTimeout   time.Duration        // 0: GitHub's 10 seconds
}

// Sim is a running simulator. Its methods may be called at the same time.
type Sim struct {
	options Options
	key     *rsa.PublicKey
	git     gitProgram
	handler http.Handler

	mu         sync.Mutex // guards everything below, and what it points to
	baseURL    string
	lastID     int64
	requestID  int64
	hookURL    string
	app        app
	accounts   map[string]*account    // by login in lower case
	repos      map[string]*repository // by full name in lower case
	repoOrder  []*repository
	installed  []*installation
	tokens     map[string]*token
	budgets    map[string]*budget
	requests   map[string]int
	violations []string
	faults     []*Fault

	closed bool
	busy   sync.WaitGroup // requests that are being answered

	hooks  *hooks
	server *http.Server
	served chan struct{}
}

// New reads the seed and makes its repositories. Close ends what it starts.
func New(options Options) (*Sim, error) {
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.HookTimeout == 0 {
		options.HookTimeout = 10 * time.Second
	}
	key, err := publicKey(options.AppKey)
	if err != nil {
		return nil, err
	}
	program, err := findGit()
	if err != nil {
		return nil, err
	}
	planted, err := readSeed(filepath.Join(options.Dir, "seed.yaml"))
	if err != nil {
		return nil, err
	}
	if options.Dir, err = filepath.Abs(options.Dir); err != nil { // git runs elsewhere
		return nil, err
	}
	s := &Sim{
		options: options, key: key, git: program, hookURL: options.WebhookURL, lastID: 1000,
		accounts: map[string]*account{}, repos: map[string]*repository{}, tokens: map[string]*token{},
		budgets: map[string]*budget{}, requests: map[string]int{},
	}
	if err := s.clear(); err != nil {
		return nil, err
	}
	if err := s.plant(planted); err != nil {
		return nil, fmt.Errorf("plant the seed: %w", err)
	}
	s.handler = s.routes()
	s.hooks = newHooks(options)
	return s, nil
}

func publicKey(text []byte) (*rsa.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the App's key is not PEM; make one with `openssl genrsa -out app.pem 2048`")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return &key.PublicKey, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read the App's key: %w", err)
	}
	key, is := parsed.(*rsa.PrivateKey)
	if !is {
		return nil, errors.New("the App's key is not an RSA key; make one with `openssl genrsa -out app.pem 2048`")
	}
	return &key.PublicKey, nil
}

// clear makes an empty place for the repositories: a new one, or that of an earlier
// run, which a file in it tells from somebody's own.
func (s *Sim) clear() error {
	ours := filepath.Join(s.reposDir(), ".githubsim")
	if _, err := os.Stat(s.reposDir()); err == nil {
		if _, err := os.Stat(ours); err != nil {
			return fmt.Errorf("clear the repositories of an earlier run: %s is not githubsim's; name another directory", s.reposDir())
		}
	}
	if err := os.RemoveAll(s.reposDir()); err != nil {
		return fmt.Errorf("clear the repositories of an earlier run: %w", err)
	}
	if err := os.MkdirAll(s.reposDir(), 0o755); err != nil {
		return fmt.Errorf("make a place for the repositories: %w", err)
	}
	return os.WriteFile(ours, nil, 0o644)
}

func (s *Sim) reposDir() string { return filepath.Join(s.options.Dir, "repos") }

// Handler serves the API at / and /api/v3, git at /OWNER/REPO.git, pages for
// people at /OWNER/REPO/pull/N, /OWNER/REPO/issues/N and /OWNER/REPO/commit/SHA, and the
// simulator's own controls at /_sim.
func (s *Sim) Handler() http.Handler { return s.handler }

// Start listens on an address and serves until Close; the result is the base of
// every URL.
func (s *Sim) Start(address string) (string, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "", fmt.Errorf("listen for clients: %w", err)
	}
	s.SetBaseURL("http://" + listener.Addr().String())
	s.server = &http.Server{Handler: s.handler, ReadHeaderTimeout: 10 * time.Second}
	s.served = make(chan struct{})
	go func() {
		defer close(s.served)
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.options.Log.Error("serve", "error", err)
		}
	}()
	return s.BaseURL(), nil
}

// Close ends the server and the sending of webhooks, and waits for both: at most
// as long as a webhook may take. Whoever asks later is told 503.
func (s *Sim) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	var err error
	if s.server != nil {
		err = s.server.Close()
		<-s.served
	}
	s.busy.Wait()
	s.hooks.close()
	return err
}

// BaseURL is what every URL in an answer begins with: what Start said, what
// SetBaseURL was given, or the host that the first request asked for.
func (s *Sim) BaseURL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.baseURL
}

// SetBaseURL says what URLs begin with, for a simulator behind another server.
func (s *Sim) SetBaseURL(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.baseURL = url
}

// SetWebhookURL changes where webhooks go from now on.
func (s *Sim) SetWebhookURL(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hookURL = url
}

// Violations are what clients asked for that the simulator does not have, and
// what did not keep to the description.
func (s *Sim) Violations() []string {
	s.mu.Lock()
	all := append([]string{}, s.violations...)
	s.mu.Unlock()
	if s.options.Description != nil {
		all = append(all, s.options.Description.Violations()...)
	}
	return all
}

// Requests says how often each operation was asked for, whatever was answered.
func (s *Sim) Requests() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := make(map[string]int, len(s.requests))
	for operation, count := range s.requests {
		counts[operation] = count
	}
	return counts
}

func (s *Sim) now() time.Time { return s.options.Now().UTC().Truncate(time.Second) }

func (s *Sim) id() int64 {
	s.lastID++
	return s.lastID
}
