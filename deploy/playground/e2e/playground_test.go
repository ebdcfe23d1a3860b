//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// limit is how long anything may take that is waited for.
const limit = 30 * time.Second

// playground is a running `playground up`.
type playground struct {
	dir    string
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr *bytes.Buffer
}

func binary(t *testing.T) string {
	t.Helper()
	name := os.Getenv("DAVIT_PLAYGROUND")
	if name == "" {
		t.Fatal("DAVIT_PLAYGROUND is not set to the built program: run: make playground")
	}
	return name
}

// up starts a playground and returns when it is ready. It is stopped at the
// test's end, if the test hasn't.
func up(t *testing.T, args ...string) *playground {
	t.Helper()
	p := &playground{dir: filepath.Join(t.TempDir(), "playground"), stderr: &bytes.Buffer{}}
	p.cmd = exec.Command(binary(t), append([]string{"up", "--dir", p.dir}, args...)...)
	p.cmd.Stderr = p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err == nil {
		p.stdin, err = p.cmd.StdinPipe()
	}
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = p.cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if line != "ready\n" {
		_ = p.cmd.Wait()
		t.Fatalf("got %q (%v) instead of ready:\n%s", line, err, p.stderr)
	}
	t.Logf("ready after %s", time.Since(began).Round(100*time.Millisecond))
	return p
}

// end waits for the program's end and returns its exit code.
func (p *playground) end(t *testing.T) int {
	t.Helper()
	timer := time.AfterFunc(limit, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	_ = p.cmd.Wait() // the exit code says it all
	return p.cmd.ProcessState.ExitCode()
}

// kubectl runs kubectl with some standard input and returns what it prints, on
// both streams.
func (p *playground) kubectl(t *testing.T, input string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t), append([]string{"kubectl", "--kubeconfig", filepath.Join(p.dir, "kubeconfig")}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must is kubectl, without an error.
func (p *playground) must(t *testing.T, input string, args ...string) string {
	t.Helper()
	out, err := p.kubectl(t, input, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// refused is kubectl that must fail, and say so.
func (p *playground) refused(t *testing.T, want, input string, args ...string) {
	t.Helper()
	out, err := p.kubectl(t, input, args...)
	if err == nil || !strings.Contains(out, want) {
		t.Errorf("kubectl %s: got %v and %q, want an error that says %q", strings.Join(args, " "), err, out, want)
	}
}

// await returns when what a JSON path finds of an object matches: a condition is
// {path}=pattern.
func (p *playground) await(t *testing.T, object, condition string) {
	t.Helper()
	path, pattern, _ := strings.Cut(condition, "}=")
	match := regexp.MustCompile("^" + pattern + "$")
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		got := p.must(t, "", "get", object, "--output=jsonpath="+path+"}")
		if match.MatchString(got) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %s} is %q, want %s", object, path, got, pattern)
		case <-ticker.C:
		}
	}
}

// processes are the components that run in the playground's directory.
func (p *playground) processes(t *testing.T) map[string]int {
	t.Helper()
	found := map[string]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		cwd, err := os.Readlink(filepath.Join("/proc", entry.Name(), "cwd"))
		if err != nil || !strings.HasPrefix(cwd, p.dir) {
			continue // it is over, or another's
		}
		line, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if words := bytes.Split(line, []byte{0}); err == nil && len(words) > 1 {
			found[filepath.Base(cwd)+": "+string(words[1])] = pid
		}
	}
	return found
}

// awaitNone returns when no component is left.
func (p *playground) awaitNone(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		left := p.processes(t)
		if len(left) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("still there: %v", left)
		case <-ticker.C:
		}
	}
}

func TestClusters(t *testing.T) {
	p := up(t, "--clusters", "2", "--nodes", "2")
	info, err := os.Stat(filepath.Join(p.dir, "kubeconfig"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the kubeconfig: %v, %v", info.Mode(), err)
	}
	if got := p.must(t, "", "config", "current-context"); got != "cluster-1\n" {
		t.Errorf("the current context is %q", got)
	}
	if got := len(p.processes(t)); got != 10 {
		t.Errorf("%d components, want 10", got)
	}
	for _, name := range []string{"cluster-1", "cluster-2"} {
		got := p.must(t, "", "--context", name, "get", "nodes", "-o", `jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}`)
		if got != "node-1=True node-2=True " {
			t.Errorf("%s: nodes %q", name, got)
		}
		p.must(t, "", "--context", name, "create", "deployment", "web", "--image=registry.example/web:1", "--replicas=3")
		p.must(t, "", "--context", name, "wait", "deployment/web", "--for=condition=Available", "--timeout=20s")
	}
	second := exec.Command(binary(t), "up", "--dir", p.dir)
	out, err := second.CombinedOutput()
	if second.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "in use by another playground") {
		t.Errorf("a second start in the same directory: %v, %s", err, out)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t); code != 0 {
		t.Errorf("exit %d after SIGTERM, want 0:\n%s", code, p.stderr)
	}
	if left := p.processes(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestKilled(t *testing.T) {
	p := up(t)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.end(t)
	p.awaitNone(t)
}

// TestStdinEnds holds that a playground can be tied to whoever started it, even if
// they are killed: their end of a pipe goes with them.
func TestStdinEnds(t *testing.T) {
	p := up(t, "--until-stdin-ends")
	if err := p.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.stderr)
	}
	p.awaitNone(t)
}

func TestComponentDies(t *testing.T) {
	p := up(t)
	if err := syscall.Kill(p.processes(t)["cluster-1: kube-scheduler"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t); code != 1 {
		t.Errorf("exit %d, want 1", code)
	}
	for _, want := range []string{"cluster-1: kube-scheduler ended by itself: signal: killed", "kube-scheduler.log"} {
		if !strings.Contains(p.stderr.String(), want) {
			t.Errorf("%q is not in:\n%s", want, p.stderr)
		}
	}
	if left := p.processes(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestStoppedWhileStarting(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "playground")
	cmd := exec.Command(binary(t), "up", "--dir", dir)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stderr).ReadString('\n') // of progress
	if err != nil || !strings.Contains(line, "the API server is ready") {
		t.Errorf("progress %q, %v", line, err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after an interrupt: %v", err)
	}
	if left := (&playground{dir: dir}).processes(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"down"}, {"up"}, {"up", "--nodes"}} {
		out, err := exec.Command(binary(t), args...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.Contains(string(out), "usage: playground up") {
			t.Errorf("%q: %v, %s", args, err, out)
		}
	}
	out, err := exec.Command(binary(t), "kubectl", "version", "--client").Output()
	if err != nil || !strings.HasPrefix(string(out), "Client Version: v1.36.3\n") {
		t.Errorf("kubectl version: %v, %s", err, out)
	}
}
