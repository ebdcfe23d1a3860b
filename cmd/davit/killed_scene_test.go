package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/forge/github/githubsim"
	"github.com/davitops/davit/internal/gitops"
)

// scenery is everything that one run of the loop is played in. The cluster is shared; the
// namespace and the repository have a name of their own.
type scenery struct {
	t       *testing.T
	ctx     context.Context
	name    string
	dir     string
	clone   string // where people change things
	cluster *cluster.Connection
	sim     *githubsim.Sim
	forge   string // its URL
	davit   *watched
}

// sceneries counts them: a test can be repeated in one process, and with one cluster.
var sceneries atomic.Int64

// longestScene is how long a run may take.
const longestScene = 2 * time.Minute

const killedSeed = `
app: {slug: davit, name: Davit}
users: [{login: alice}, {login: bob}]
organisations: [{login: acme, members: {alice: owner}}]
repositories:
- name: acme/%s
  private: true
  collaborators: {bob: write}
  files:
    .davit.yaml: |
      version: 1
      health: {window: 1s}
    README.md: The shop
installations: [{account: acme, repositories: all}]
`

const killedConfig = `
listen: {webhook: "%[1]s:8080", admin: "%[1]s:9090"}
data_dir: data
sweep: 1s
clusters: [{name: cluster-1, kubeconfig: "%[2]s", context: cluster-1}]
repositories: [{match: "github:acme/%[3]s", clusters: [cluster-1], namespaces: ["%[3]s"]}]
`

// newScenery starts a forge, and a Davit that is killed at a number; 0 means never.
func newScenery(t *testing.T, connection *cluster.Connection, kubeconfig string, number int) *scenery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), longestScene)
	t.Cleanup(cancel)
	serial := sceneries.Add(1)
	s := &scenery{t: t, ctx: ctx, name: fmt.Sprintf("kill-%d-%d", serial, number), dir: t.TempDir(), cluster: connection}
	s.clone = filepath.Join(s.dir, "clone")
	s.startForge()
	// Every address that begins with 127 is this machine. At one that nobody else has,
	// the same ports are free again after a kill.
	pid := os.Getpid()
	host := fmt.Sprintf("127.%d.%d.%d", 1+pid>>8%254, pid%256, 1+serial%254)
	s.sim.SetWebhookURL("http://" + host + ":8080/webhook/github")
	s.write("davit.yaml", fmt.Sprintf(killedConfig, host, kubeconfig, s.name)+fmt.Sprintf(forges, s.forge))
	namespace := map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": s.name}}
	_, err := s.objects(gitops.ObjectRef{Version: "v1", Kind: "Namespace"}).Create(ctx, &unstructured.Unstructured{Object: namespace}, metav1.CreateOptions{})
	s.check(err)
	program, err := killable()
	s.check(err)
	s.davit = watch(program, s.dir, "http://"+host+":9090", number)
	t.Cleanup(s.end)
	return s
}

func (s *scenery) startForge() {
	s.t.Helper()
	key, err := appKey()
	s.check(err)
	d, err := description()
	s.check(err)
	seed, err := asManifest(fmt.Sprintf(killedSeed, s.name))
	s.check(err)
	s.write("app.pem", string(key))
	s.write("webhook.secret", hookSecret)
	s.write(filepath.Join("forge", "seed.yaml"), seed)
	// Davit gives a delivery 15 seconds before it asks for it again. By the clock of this
	// forge they are over at once.
	slow := func() time.Time { return time.Now().Add(-20 * time.Second) }
	s.sim, err = githubsim.New(githubsim.Options{Dir: filepath.Join(s.dir, "forge"), AppID: 7, AppKey: key, WebhookSecret: hookSecret, Description: d, Now: slow})
	s.check(err)
	s.t.Cleanup(func() {
		if err := s.sim.Close(); err != nil {
			s.t.Errorf("close the forge: %v", err)
		}
	})
	s.forge, err = s.sim.Start("127.0.0.1:0")
	s.check(err)
}

// end leaves nothing running, and tells of what went wrong.
func (s *scenery) end() {
	s.davit.end()
	if s.t.Failed() {
		steps := s.steps()
		s.t.Logf("the last of %d steps:\n%s\nthe end of the log:\n%s", len(steps), lastLines(strings.Join(steps, "\n"), 12), lastLines(s.davit.log.String(), 60))
	}
}

func lastLines(text string, count int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-count):], "\n")
}

func (s *scenery) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *scenery) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	s.check(os.MkdirAll(filepath.Dir(path), 0o755))
	s.check(os.WriteFile(path, []byte(text), 0o600))
}

// read returns what is in a file, if there is one.
func (s *scenery) read(name string) []byte {
	data, _ := os.ReadFile(filepath.Join(s.dir, name))
	return data
}

// steps are what Davit came by until it was killed, in their order.
func (s *scenery) steps() (steps []string) {
	for line := range strings.Lines(string(s.read(stepsBefore))) {
		_, step, _ := strings.Cut(strings.TrimSpace(line), " ")
		steps = append(steps, step)
	}
	return steps
}

// objects are those of one kind, in the namespace of the ref.
func (s *scenery) objects(ref gitops.ObjectRef) dynamic.ResourceInterface {
	s.t.Helper()
	objects, served, err := s.cluster.Objects(s.ctx, ref)
	if err == nil && !served {
		err = errors.New("the cluster does not serve " + ref.Kind)
	}
	s.check(err)
	return objects
}

// until waits for something; holds returns what is missing yet.
func (s *scenery) until(what string, holds func() string) {
	s.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := holds()
		if missing == "" {
			return
		}
		select {
		case <-tick.C:
		case <-s.davit.ended:
			s.t.Fatalf("%s: Davit has ended by itself: %v", what, s.davit.err)
		case <-s.ctx.Done():
			s.t.Fatalf("%s: not within %s: %s", what, longestScene, missing)
		}
	}
}

// settle waits until the forge has sent everything, has sent again what was lost, and
// Davit has nothing left to do.
func (s *scenery) settle() {
	s.t.Helper()
	made, quiet := -1, 0
	s.until("everything is done", func() string {
		s.check(s.sim.Idle(s.ctx))
		before := made
		made = len(s.read(stepsBefore)) + len(s.read(stepsAfter))
		missing := s.lost()
		if made != before {
			missing = "it is at work" // and is not asked, which takes time, too
		}
		if missing == "" {
			missing = s.davit.waiting(s.ctx)
		}
		if quiet++; missing != "" {
			quiet = 0
		}
		if quiet < 3 {
			return "not for long enough; before: " + missing
		}
		return ""
	})
}

// lost names a delivery that never arrived.
func (s *scenery) lost() string {
	arrived := map[string]bool{}
	all := s.sim.Deliveries()
	for _, d := range all {
		arrived[d.GUID] = arrived[d.GUID] || d.StatusCode/100 == 2
	}
	for _, d := range all {
		if !arrived[d.GUID] {
			return fmt.Sprintf("the delivery %s %s did not arrive: %s", d.Event, d.Action, d.Status)
		}
	}
	return ""
}

// play plays the loop, and returns what is there in the end.
func (s *scenery) play() picture {
	s.t.Helper()
	s.settle()
	s.change("first", map[string]string{"web": fmt.Sprintf(webAt, s.name, "1.0.0"), "welcome": fmt.Sprintf(configOf, "welcome", s.name)})
	s.open("first")
	s.said(1, "in the cluster 2 to create")
	s.merge(1, "squash")
	s.said(1, "is healthy")

	s.change("second", map[string]string{"web": fmt.Sprintf(webAt, s.name, "fail-pull"), "welcome": "(deleted)", "farewell": fmt.Sprintf(configOf, "farewell", s.name)})
	s.open("second")
	s.said(2, "in the cluster 1 to delete, 1 to update, 1 to create")
	s.merge(2, "merge")
	s.said(2, "is not well after")

	s.said(3, "in the cluster 1 to delete, 1 to update")
	s.merge(3, "squash")
	s.said(3, "is healthy")
	s.said(2, "failed, and was reverted")
	for again := true; again; {
		s.settle()
		s.blameless()
		again = s.stop()
	}
	return s.picture()
}

const (
	webAt = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: %s}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "registry.example/web:%s"}
`
	configOf = `apiVersion: v1
kind: ConfigMap
metadata: {name: %s, namespace: %s}
data: {shop: open}
`
)

// change pushes a branch of bob's.
func (s *scenery) change(branch string, files map[string]string) {
	s.t.Helper()
	if _, err := os.Stat(s.clone); err != nil {
		git(s.t, s.dir, "clone", "--quiet", strings.Replace(s.forge, "://", "://bob:user-bob@", 1)+"/acme/"+s.name+".git", s.clone)
	}
	git(s.t, s.clone, "fetch", "--quiet", "origin", "main")
	git(s.t, s.clone, "checkout", "--quiet", "-b", branch, "FETCH_HEAD")
	for name, text := range files {
		s.check(writeOrDelete(filepath.Join(s.clone, "apps", "web", name+".yaml"), []byte(text)))
	}
	git(s.t, s.clone, "add", "--all")
	git(s.t, s.clone, "commit", "--quiet", "-m", "Change "+branch)
	git(s.t, s.clone, "push", "--quiet", "origin", branch)
}

func (s *scenery) open(branch string) {
	s.t.Helper()
	s.api("POST", "/pulls", map[string]any{"title": "Change " + branch, "head": branch, "base": "main", "body": "As discussed."}, nil)
	s.settle()
}

func (s *scenery) merge(number int, method string) {
	s.t.Helper()
	s.api("PUT", fmt.Sprintf("/pulls/%d/merge", number), map[string]any{"merge_method": method}, nil)
	s.settle()
}

// said looks for something in what Davit says on a pull request.
func (s *scenery) said(number int, pattern string) {
	s.t.Helper()
	var all []string
	for _, c := range s.comments(number) {
		all = append(all, c.Body)
	}
	if text := strings.Join(all, "\n----\n"); !regexp.MustCompile(pattern).MatchString(text) {
		s.t.Fatalf("nobody says %q on #%d:\n%s", pattern, number, text)
	}
}

// api asks the forge as bob, below the repository.
func (s *scenery) api(method, path string, body, into any) {
	s.t.Helper()
	data, err := json.Marshal(body)
	s.check(err)
	if body == nil {
		data = nil
	}
	request, err := http.NewRequestWithContext(s.ctx, method, s.forge+"/repos/acme/"+s.name+path, bytes.NewReader(data))
	s.check(err)
	request.Header.Set("Authorization", "token user-bob")
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	s.check(err)
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	s.check(err)
	if response.StatusCode >= 300 {
		s.t.Fatalf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	if into != nil {
		s.check(json.Unmarshal(answer, into))
	}
}

// blameless checks that nothing was said that must not be.
func (s *scenery) blameless() {
	s.t.Helper()
	for _, v := range s.sim.Violations() {
		s.t.Error(v)
	}
	for line := range strings.Lines(s.davit.log.String()) {
		if strings.Contains(line, "panic") || strings.Contains(line, "level=ERROR") {
			s.t.Errorf("Davit says: %s", line)
		}
	}
}

// stop stops Davit in peace. It reports true if that is when it was killed, so that it
// runs again.
func (s *scenery) stop() (again bool) {
	s.t.Helper()
	before := s.davit.killed()
	s.davit.signal(syscall.SIGTERM)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.davit.ended:
			s.check(s.davit.err)
			return false
		case <-tick.C:
			if s.davit.killed() != before {
				return true
			}
		case <-s.ctx.Done():
			s.t.Fatal("Davit does not stop")
		}
	}
}
