package main_test

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
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/davitops/davit/internal/forge/github/githubsim"
	"github.com/davitops/davit/internal/forge/openapi"
)

// hookSecret signs the deliveries of the stories.
const hookSecret = "the secret of the stories"

// appKey is the App's key, of all stories.
var appKey = sync.OnceValues(func() ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), nil
})

// description is what GitHub says of its own API.
var description = sync.OnceValues(func() (*openapi.Description, error) {
	return openapi.Load(filepath.Join(root, "testdata", "openapi", "github.json"))
})

// TestBotScript plays the stories of testdata/bot: what people do on a forge, and what
// the bot answers there. The forge is a simulator, and each exchange with it is held to
// the forge's own description; the clusters are real.
func TestBotScript(t *testing.T) {
	t.Parallel()
	p := startClusters(t)
	var mu sync.Mutex
	exchanges := map[string]int{}
	t.Run("stories", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir:           filepath.Join(root, "testdata", "bot"),
			UpdateScripts: os.Getenv("UPDATE") != "",
			Setup: func(env *testscript.Env) error {
				env.Setenv("KUBECONFIG", p.Kubeconfig)
				s := &scene{work: env.WorkDir, kubeconfig: p.Kubeconfig}
				env.Values[sceneKey{}] = s
				env.Defer(func() {
					s.end(t)
					mu.Lock()
					defer mu.Unlock()
					for name, n := range s.requests() {
						exchanges[name] += n
					}
				})
				return setupScript(env)
			},
			Cmds: map[string]func(*testscript.TestScript, bool, []string){
				"status": scriptStatus, "kubectl": scriptKubectl(p), "dead": scriptDead,
				"forge": onScene((*scene).forge), "serve": onScene((*scene).serve), "as": onScene((*scene).as),
				"comment": onScene((*scene).comment), "check": onScene((*scene).check), "settle": onScene((*scene).settle),
				"fault": onScene((*scene).fault), "post": onScene((*scene).post), "rows": onScene((*scene).rows),
				"said": onScene((*scene).said), "get": onScene((*scene).get), "nowhere": onScene((*scene).nowhere),
				"delivery": onScene((*scene).delivery), "pull": onScene((*scene).pull), "deployment": onScene((*scene).deployment),
				"remark": onScene((*scene).remark),
			},
		})
	})
	for _, name := range slices.Sorted(maps.Keys(exchanges)) {
		t.Logf("%5d %s", exchanges[name], name)
	}
}

type sceneKey struct{}

// lines is what a program says while it runs.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// scene is one story's forge, and the bot that serves it.
type scene struct {
	work, kubeconfig string
	sim              *githubsim.Sim
	url              string // of the forge

	bot          *exec.Cmd
	log          *lines // of all bots of the story
	hooks, admin string // addresses of the bot
	exited       chan error
	commit       map[string]string // by branch, what was pushed last
}

// onScene makes a method of the scene a command of the stories.
func onScene(do func(*scene, *testscript.TestScript, bool, []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		do(ts.Value(sceneKey{}).(*scene), ts, neg, args)
	}
}

func (s *scene) requests() map[string]int {
	if s.sim == nil {
		return nil
	}
	return s.sim.Requests()
}

// end stops everything, and holds what was said to the forge to its description.
func (s *scene) end(t *testing.T) {
	if s.bot != nil {
		_ = s.stop(syscall.SIGTERM)
	}
	if s.sim == nil {
		return
	}
	if err := s.sim.Close(); err != nil {
		t.Errorf("close the forge: %v", err)
	}
	for _, v := range s.sim.Violations() {
		t.Errorf("%s: %s", filepath.Base(s.work), v)
	}
}

// forge is the command "forge": it starts a forge as seed.yaml says.
func (s *scene) forge(ts *testscript.TestScript, _ bool, _ []string) {
	key, err := appKey()
	ts.Check(err)
	d, err := description()
	ts.Check(err)
	dir := filepath.Join(s.work, "forge")
	ts.Check(os.MkdirAll(dir, 0o755))
	seed, err := asManifest(ts.ReadFile("seed.yaml"))
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(dir, "seed.yaml"), []byte(seed), 0o644))
	s.sim, err = githubsim.New(githubsim.Options{Dir: dir, AppID: 7, AppKey: key, WebhookSecret: hookSecret, Description: d})
	ts.Check(err)
	s.url, err = s.sim.Start("127.0.0.1:0")
	ts.Check(err)
	s.log, s.commit = &lines{}, map[string]string{}
	ts.Setenv("FORGE", s.url)
	ts.Check(os.WriteFile(filepath.Join(s.work, "app.pem"), key, 0o600))
	ts.Check(os.WriteFile(filepath.Join(s.work, "webhook.secret"), []byte(hookSecret+"\n"), 0o600))
}

// asManifest gives the App of a seed what app-manifest/github.json asks for, and no more,
// so that the stories prove that it is enough.
func asManifest(seed string) (string, error) {
	data, err := os.ReadFile(filepath.Join(root, "app-manifest", "github.json"))
	if err != nil {
		return "", err
	}
	var manifest struct {
		Permissions json.RawMessage `json:"default_permissions"`
		Events      json.RawMessage `json:"default_events"`
	}
	if err := json.Unmarshal(data, &manifest); err != nil {
		return "", err
	}
	const app = "app: {slug: davit, name: Davit"
	if !strings.Contains(seed, app+"}") {
		return "", fmt.Errorf("the seed does not say %s}", app)
	}
	return strings.Replace(seed, app, fmt.Sprintf("%s, permissions: %s, events: %s", app, manifest.Permissions, manifest.Events), 1), nil
}

// forges is the end of every story's davit.yaml.
const forges = `
forges:
- {name: github, kind: github, url: "%s", app_id: 7, private_key_file: app.pem, webhook_secret_file: webhook.secret}
`

// serve is the command "serve [FLAGS…]", which starts the bot, or "serve stop" or "serve
// kill".
func (s *scene) serve(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) > 0 && args[0] == "stop" {
		ts.Check(s.stop(syscall.SIGTERM))
		return
	}
	if len(args) > 0 && args[0] == "kill" {
		_ = s.stop(syscall.SIGKILL)
		return
	}
	text := strings.ReplaceAll(ts.ReadFile("davit.yaml"), "$KUBECONFIG", ts.Getenv("KUBECONFIG"))
	ts.Check(os.WriteFile(filepath.Join(s.work, "serve.yaml"), fmt.Appendf([]byte(text), forges, s.url), 0o644))
	all := append([]string{"serve", "--config", "serve.yaml", "--log-format", "text", "-v", "--set", "listen.webhook=127.0.0.1:0",
		"--set", "listen.admin=127.0.0.1:0", "--set", "data_dir=data"}, args...)
	s.bot = exec.Command(program, all...)
	s.bot.Dir = s.work
	out, err := s.bot.StdoutPipe()
	ts.Check(err)
	s.bot.Stderr = s.log
	ts.Check(s.bot.Start())
	ready, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = s.bot.Wait()
		ts.Fatalf("the bot does not serve: %s", s.log)
	}
	fields := strings.Fields(ready)
	s.hooks, s.admin = fields[2]+"/github", fields[4]
	s.sim.SetWebhookURL(s.hooks)
	ts.Setenv("HOOKS", s.hooks)
	ts.Setenv("ADMIN", s.admin)
	bot, exited := s.bot, make(chan error, 1)
	s.exited = exited
	go func() { exited <- bot.Wait() }()
}

func (s *scene) stop(signal syscall.Signal) error {
	bot := s.bot
	s.bot = nil
	if err := bot.Process.Signal(signal); err != nil {
		return err
	}
	select {
	case err := <-s.exited:
		return err
	case <-time.After(30 * time.Second):
		return errors.Join(errors.New("the bot does not stop"), bot.Process.Kill())
	}
}

// until waits for something to hold, which found says or what is wrong yet.
func until(ts *testscript.TestScript, found func() (bool, string)) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		holds, otherwise := found()
		if holds {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("after a minute: %s", otherwise)
		}
	}
}

var waitingSteps = regexp.MustCompile(`davit_steps_waiting\{step="([a-z]+)"\} ([1-9]\d*)`)

// settle is the command "settle": it waits until the forge has sent what is due and the
// bot has done what that led to.
func (s *scene) settle(ts *testscript.TestScript, _ bool, _ []string) {
	quiet := 0
	until(ts, func() (bool, string) {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		ts.Check(s.sim.Idle(ctx))
		_, metrics := s.fetch(ts, s.admin+"/metrics")
		left := waitingSteps.FindString(metrics)
		if left != "" {
			quiet = 0
		}
		quiet++
		return quiet > 2, left
	})
}

func (s *scene) fetch(ts *testscript.TestScript, url string) (status int, body string) {
	response, err := http.Get(url)
	ts.Check(err)
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	ts.Check(err)
	return response.StatusCode, string(data)
}

// get is the command "get URL": it prints the status and the body.
func (s *scene) get(ts *testscript.TestScript, _ bool, args []string) {
	status, body := s.fetch(ts, args[0])
	fmt.Fprintf(ts.Stdout(), "%d\n%s", status, body)
}

// api asks the forge as somebody.
func (s *scene) api(ts *testscript.TestScript, login, method, path string, body any) map[string]any {
	var answer map[string]any
	ts.Check(json.Unmarshal(s.ask(ts, login, method, path, body), &answer))
	return answer
}

func (s *scene) list(ts *testscript.TestScript, path string) []map[string]any {
	var answer []map[string]any
	ts.Check(json.Unmarshal(s.ask(ts, "alice", "GET", path, nil), &answer))
	return answer
}

func (s *scene) ask(ts *testscript.TestScript, login, method, path string, body any) []byte {
	data, err := json.Marshal(body)
	ts.Check(err)
	if body == nil {
		data = nil
	}
	request, err := http.NewRequest(method, s.url+path, bytes.NewReader(data))
	ts.Check(err)
	request.Header.Set("Authorization", "token user-"+login)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	ts.Check(err)
	if response.StatusCode >= 300 {
		ts.Fatalf("%s %s as %s: %s: %s", method, path, login, response.Status, answer)
	}
	return answer
}
