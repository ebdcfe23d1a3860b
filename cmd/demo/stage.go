package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// programs are the parts of the story.
type programs struct{ davit, forge, playground string }

// stage is everything that runs for the story.
type stage struct {
	programs
	transcript string // a directory; empty for none

	dir    string
	began  time.Time
	url    string // of the forge
	hooks  string // address that it delivers to
	admin  string // address of Davit's
	revert int    // number of the pull request

	mu        sync.Mutex
	processes []*process
}

// process is a program that runs until its standard input ends, or it is told to stop.
type process struct {
	cmd  *exec.Cmd
	in   io.Closer
	gone chan error
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

func (s *stage) kubeconfig() string { return s.path("playground/kubeconfig") }

// say tells something, and when it is of the story itself also at which second.
func (s *stage) say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// step says what has happened, and when.
func (s *stage) step(format string, args ...any) {
	fmt.Printf("  %4.0fs  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

func (s *stage) write(name, text string) error {
	if s.transcript == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(s.transcript, name), []byte(text), 0o644)
}

// begin starts two clusters, a forge and Davit.
func (s *stage) begin(ctx context.Context) (err error) {
	s.began = time.Now()
	if s.dir, err = os.MkdirTemp("", "davit-demo-"); err != nil {
		return err
	}
	s.say("Two clusters, a forge and Davit start on this machine")
	if err := s.files(); err != nil {
		return err
	}
	if s.hooks, err = free(); err != nil {
		return err
	}
	clusters := make(chan error, 1)
	go func() {
		_, err := s.start(ctx, s.playground, []string{"up", "--dir", s.path("playground"), "--clusters", "2", "--until-stdin-ends"}, "ready")
		clusters <- err
	}()
	forge, forgeErr := s.start(ctx, s.forge, []string{"--data", s.dir, "--app-id", "7", "--app-key", "app.pem", "--webhook-secret-file", "webhook.secret", "--until-stdin-ends",
		"--webhook-url", "http://" + s.hooks + "/webhook/github"}, "ready ")
	if err := errors.Join(forgeErr, <-clusters); err != nil {
		return err
	}
	s.url = strings.TrimSpace(strings.TrimPrefix(forge, "ready "))
	for _, cluster := range []string{"cluster-1", "cluster-2"} {
		if _, err := s.kubectl(ctx, cluster, "create", "namespace", "shop"); err != nil {
			return err
		}
	}
	s.step("clusters: staging and production, Kubernetes' own control plane")
	s.step("forge:    %s/acme/shop/pulls, a simulated GitHub", s.url)
	return s.serve(ctx)
}

// free is an address on this machine that nobody listens at: the forge and Davit have to
// know of each other before either runs.
func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (s *stage) serve(ctx context.Context) error {
	if err := os.WriteFile(s.path("davit.yaml"), fmt.Appendf(nil, operators, s.url, s.kubeconfig(), s.hooks), 0o600); err != nil {
		return err
	}
	ready, err := s.start(ctx, s.davit, []string{"serve", "--config", "davit.yaml", "--log-format", "text"}, "ready ")
	if err != nil {
		return err
	}
	s.admin = strings.Fields(ready)[4] // ready webhook URL admin URL
	s.step("Davit:    davit serve --config davit.yaml")
	return nil
}

// files are what the programs read.
func (s *stage) files() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	data, err := os.ReadFile("app-manifest/github.json")
	if err != nil {
		return fmt.Errorf("read what the App may do: %w; run the demo from the repository's root", err)
	}
	var manifest struct {
		Permissions json.RawMessage `json:"default_permissions"`
		Events      json.RawMessage `json:"default_events"`
	}
	if err := json.Unmarshal(data, &manifest); err != nil {
		return err
	}
	before := indented(fmt.Sprintf(deployment, "0.9.0"), "      ")
	for name, content := range map[string][]byte{
		"app.pem":        pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
		"webhook.secret": []byte(rand.Text() + "\n"),
		"seed.yaml":      fmt.Appendf(nil, seed, compact(manifest.Permissions), compact(manifest.Events), before),
	} {
		if err := os.WriteFile(s.path(name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// compact writes JSON on one line.
func compact(data json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, data) != nil {
		return string(data)
	}
	return b.String()
}

// start runs a program until the story ends, and returns the line by which it says that it
// is ready.
func (s *stage) start(ctx context.Context, program string, args []string, ready string) (string, error) {
	path, err := filepath.Abs(program)
	if err != nil {
		return "", err
	}
	name := filepath.Base(path)
	log, err := os.Create(s.path(name + ".log"))
	if err != nil {
		return "", err
	}
	p := &process{cmd: exec.Command(path, args...), gone: make(chan error, 1)}
	p.cmd.Dir, p.cmd.Stderr = s.dir, log
	// An interrupt is for the demo, which ends them in order; killed, it takes them with it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		p.in, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		return "", fmt.Errorf("start %s: %w", name, err)
	}
	said := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), ready) {
				said <- lines.Text()
			}
		}
		p.gone <- p.cmd.Wait()
	}()
	s.mu.Lock()
	s.processes = append(s.processes, p)
	s.mu.Unlock()
	select {
	case line := <-said:
		return line, nil
	case err := <-p.gone:
		p.gone <- err
		return "", fmt.Errorf("%s ended: %v; its log: %s", name, err, tail(s.path(name+".log")))
	case <-ctx.Done():
		return "", fmt.Errorf("%s does not become ready: %w; its log: %s", name, context.Cause(ctx), tail(s.path(name+".log")))
	}
}

// end stops what runs, the last first, and removes what it left.
func (s *stage) end() error {
	var errs []error
	for _, p := range slices.Backward(s.processes) {
		_ = p.in.Close()
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.gone:
		case <-time.After(20 * time.Second):
			errs = append(errs, fmt.Errorf("%s did not stop, and was killed", filepath.Base(p.cmd.Path)), p.cmd.Process.Kill())
		}
	}
	if s.dir == "" {
		return errors.Join(errs...)
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// lastWords is the end of Davit's log, for a story that went wrong.
func (s *stage) lastWords() error {
	return fmt.Errorf("the end of Davit's log:\n%s", tail(s.path("davit.log")))
}

// maxTail is how much of a log is shown, in bytes.
const maxTail = 4000

func tail(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-maxTail):])
}

func (s *stage) kubectl(ctx context.Context, cluster string, args ...string) (string, error) {
	args = append([]string{"kubectl", "--kubeconfig", s.kubeconfig(), "--context", cluster}, args...)
	out, err := exec.CommandContext(ctx, s.playground, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args[5:], " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
