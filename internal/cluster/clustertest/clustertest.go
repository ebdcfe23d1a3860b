// Package clustertest gives tests a real Kubernetes: it runs the playground that
// deploy/playground builds, once for each package of tests that asks for it. It
// fails, with the remedy, where there is no playground; it never skips.
package clustertest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/davitops/davit/internal/manifest"
)

// Playground is a running playground.
type Playground struct {
	Program    string // the playground itself, whose first argument may be kubectl
	Kubeconfig string // contexts cluster-1, cluster-2, …
	dir        string
	process    *exec.Cmd
	alive      io.Closer // what the playground watches: it ends with whoever started it
}

// Program is the path of the playground, or an error that says how to get it.
func Program() (string, error) {
	path := os.Getenv("DAVIT_PLAYGROUND")
	if path == "" {
		return "", errors.New(`DAVIT_PLAYGROUND is not set: run the tests with "make test", or set it to what "make playground" prints`)
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf(`there is no playground at DAVIT_PLAYGROUND: %w; build it with "make playground"`, err)
	}
	return path, nil
}

// Main runs a package's tests with a playground of so many clusters, and returns the
// code to exit with. It is for TestMain.
func Main(m *testing.M, p *Playground, clusters int) int {
	started, err := Start(clusters)
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the playground:", err)
		return 1
	}
	defer started.Stop()
	*p = *started
	// Tests wait for a cluster most of the time, so that more of them can run at once
	// than there are processors. The flag of the command line is read later, and wins.
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, "run more tests at once:", err)
		return 1
	}
	return m.Run()
}

// Start runs a playground until Stop.
func Start(clusters int) (*Playground, error) {
	program, err := Program()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "davit-playground-")
	if err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	p := &Playground{Program: program, dir: dir, Kubeconfig: filepath.Join(dir, "kubeconfig")}
	p.process = exec.Command(program, "up", "--dir", dir, "--clusters", fmt.Sprint(clusters), "--until-stdin-ends")
	p.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for the tests, which stop it
	var said bytes.Buffer
	p.process.Stderr = &said
	out, err := p.process.StdoutPipe()
	if err == nil {
		p.alive, err = p.process.StdinPipe()
	}
	if err == nil {
		err = p.process.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == "ready" {
			return p, nil
		}
	}
	err = p.process.Wait()
	return nil, errors.Join(fmt.Errorf("it did not become ready: %w\n%s", err, said.String()), os.RemoveAll(dir))
}

// Stop ends the playground and removes what it left.
func (p *Playground) Stop() {
	_ = p.alive.Close()
	_ = p.process.Wait()
	_ = os.RemoveAll(p.dir)
}

// Kubectl runs kubectl, with input, and returns what it printed; it fails the test
// if kubectl does.
func (p *Playground) Kubectl(t testing.TB, input string, args ...string) string {
	t.Helper()
	out, err := p.TryKubectl(t.Context(), input, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// TryKubectl runs kubectl, with input, and returns what it printed.
func (p *Playground) TryKubectl(ctx context.Context, input string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, p.Program, append([]string{"kubectl", "--kubeconfig", p.Kubeconfig}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, said.String())
	}
	return out.String(), nil
}

// Request is one request that an API server has answered, as its audit log has it.
type Request struct {
	Verb   string `json:"verb"`
	URI    string `json:"requestURI"`
	Stage  string `json:"stage"`
	Agent  string `json:"userAgent"`
	Status struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	User struct {
		Name string `json:"username"`
	} `json:"user"`
	Impersonated *struct {
		Name string `json:"username"`
	} `json:"impersonatedUser"`
}

// Writes reports whether the request could have changed something that stays.
func (r Request) Writes() bool {
	reads := r.Verb == "get" || r.Verb == "list" || r.Verb == "watch"
	return !reads && !strings.Contains(r.URI, "dryRun=All")
}

// Requests are those that a cluster has answered to one user agent so far.
func (p *Playground) Requests(t testing.TB, cluster int, agent string) []Request {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(p.dir, fmt.Sprintf("cluster-%d", cluster), "audit.log"))
	if err != nil {
		t.Fatalf("read the audit log: %v", err)
	}
	var requests []Request
	for line := range bytes.Lines(data) {
		var r Request
		if err := json.Unmarshal(line, &r); err != nil {
			continue // the line is being written
		}
		if r.Stage == "ResponseComplete" && strings.HasPrefix(r.Agent, agent) {
			requests = append(requests, r)
		}
	}
	return requests
}

// Objects reads YAML documents as a renderer would hand them over.
func Objects(t testing.TB, text string) []manifest.Object {
	t.Helper()
	objects, err := ReadObjects(text)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// ReadObjects reads YAML documents as a renderer would hand them over.
func ReadObjects(text string) ([]manifest.Object, error) {
	var objects []manifest.Object
	for _, document := range strings.Split(text, "\n---\n") {
		if strings.TrimSpace(document) == "" {
			continue
		}
		data, err := yaml.YAMLToJSON([]byte(document))
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", document, err)
		}
		var tree any
		if err := json.Unmarshal(data, &tree); err != nil {
			return nil, fmt.Errorf("read %q: %w", document, err)
		}
		if data, err = json.Marshal(tree); err != nil {
			return nil, fmt.Errorf("read %q: %w", document, err)
		}
		object, err := manifest.Decode(data)
		if err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// controllerUID is drawn by lot for a Job that is only rehearsed.
var controllerUID = regexp.MustCompile(`controller-uid":"[-0-9a-f]+"`)

// Settled is an object without what differs from one dry run to the next: times, and
// what is drawn by lot for an object that is only rehearsed.
func Settled(t testing.TB, data []byte) any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatal(err)
	}
	metadata, _ := object["metadata"].(map[string]any)
	if metadata["resourceVersion"] == nil {
		delete(metadata, "uid")
		delete(metadata, "creationTimestamp")
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		object = nil
		if err := json.Unmarshal(controllerUID.ReplaceAll(text, []byte(`controller-uid":"x"`)), &object); err != nil {
			t.Fatal(err)
		}
		metadata, _ = object["metadata"].(map[string]any)
	}
	fields, _ := metadata["managedFields"].([]any)
	for _, f := range fields {
		if f, is := f.(map[string]any); is {
			delete(f, "time")
		}
	}
	return object
}
