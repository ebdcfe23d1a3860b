package githubsim

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/davitops/davit/internal/forge/openapi"
)

const appID = 4711

// secret signs the webhooks of the tests.
const secret = "it's a secret"

var key = sync.OnceValue(func() *rsa.PrivateKey {
	made, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return made
})

var loaded = sync.OnceValues(func() (*openapi.Description, error) {
	return openapi.Load("../../../../testdata/openapi/github.json")
})

func keyPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key())})
}

const usualSeed = `
app: {slug: davit, name: Davit}
users:
  - {login: alice, name: Alice}
  - {login: bob}
  - {login: carol}
  - {login: mallory}
organisations:
  - login: acme
    members: {carol: owner, bob: member}
    teams: {platform: [bob]}
repositories:
  - name: acme/gitops
    private: true
    collaborators: {alice: write, mallory: read, acme/platform: maintain}
    files:
      README.md: "# The shop\n"
      apps/shop/values.yaml: "replicas: 2\nimage: shop:1\n"
  - {name: acme/public, files: {README.md: "for all\n"}}
  - {name: acme/secret, private: true, files: {README.md: "for few\n"}}
  - {name: mallory/gitops, fork_of: acme/gitops, private: true}
installations:
  - {account: acme, repositories: [acme/gitops, acme/public]}
`

// hook is one webhook that arrived.
type hook struct {
	event, action, guid string
	header              http.Header
	body                object
}

// world is a simulator with somebody who listens to it.
type world struct {
	t    *testing.T
	sim  *Sim
	url  string
	once sync.Once
	bot  string // a token of the first installation

	mu       sync.Mutex
	hooks    []hook
	answer   func(hook) int // of the listener; nil is 200
	expected []string       // violations that a test is about
}

// total is what all tests together had checked.
var total = struct {
	sync.Mutex
	counts map[string]int
}{counts: map[string]int{}}

func TestMain(m *testing.M) {
	code := m.Run()
	if len(total.counts) > 0 {
		sum := 0
		for _, what := range slices.Sorted(maps.Keys(total.counts)) {
			fmt.Printf("checked %5d  %s\n", total.counts[what], what)
			sum += total.counts[what]
		}
		fmt.Printf("checked %5d  in all\n", sum)
	}
	os.Exit(code)
}

func newWorld(t *testing.T, seed string, change ...func(*Options)) *world {
	t.Helper()
	w := &world{t: t}
	listener := httptest.NewServer(http.HandlerFunc(w.hear))
	t.Cleanup(listener.Close)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "seed.yaml"), []byte(seed), 0o644); err != nil {
		t.Fatal(err)
	}
	description, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	description = description.Blank()
	options := Options{
		Dir: dir, AppID: appID, AppKey: keyPEM(), WebhookURL: listener.URL, WebhookSecret: secret, Description: description,
	}
	for _, with := range change {
		with(&options)
	}
	if w.sim, err = New(options); err != nil {
		t.Fatal(err)
	}
	if w.url, err = w.sim.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.sim.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		var wrong []string
		for _, violation := range w.sim.Violations() {
			if !slices.ContainsFunc(w.expected, func(part string) bool { return strings.Contains(violation, part) }) {
				wrong = append(wrong, violation)
			}
		}
		if len(wrong) > 0 {
			t.Errorf("violations:\n%s", strings.Join(wrong, "\n"))
		}
		total.Lock()
		defer total.Unlock()
		for what, count := range description.Counts() {
			total.counts[what] += count
		}
	})
	return w
}

func (w *world) hear(writer http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(text)
	if err != nil || r.Header.Get("X-Hub-Signature-256") != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
		w.t.Errorf("a webhook is not signed (forges.md A.3): %v", err)
	}
	got := hook{event: r.Header.Get("X-GitHub-Event"), guid: r.Header.Get("X-GitHub-Delivery"), header: r.Header}
	if err := json.Unmarshal(text, &got.body); err != nil {
		w.t.Errorf("a webhook is not JSON: %v", err)
	}
	got.action, _ = got.body["action"].(string)
	w.mu.Lock()
	w.hooks = append(w.hooks, got)
	answer := w.answer
	w.mu.Unlock()
	if answer != nil {
		writer.WriteHeader(answer(got))
	}
}

// heard waits for webhooks and takes them, as "event action" with some fields.
func (w *world) heard() []hook {
	w.t.Helper()
	if err := w.sim.Idle(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	got := w.hooks
	w.hooks = nil
	return got
}

// events waits for webhooks and takes their names.
func (w *world) events() []string {
	w.t.Helper()
	names := []string{}
	for _, h := range w.heard() {
		names = append(names, strings.TrimSpace(h.event+" "+h.action))
	}
	return names
}

func wantStrings(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// claims of a JWT that GitHub takes.
func claims(now time.Time) object {
	return object{"iss": appID, "iat": now.Add(-30 * time.Second).Unix(), "exp": now.Add(2 * time.Minute).Unix()}
}

func jwt(t *testing.T, signer *rsa.PrivateKey, said object) string {
	t.Helper()
	part := func(value any) string {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	text := part(object{"alg": "RS256", "typ": "JWT"}) + "." + part(said)
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, signer, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   object
	list   []object
}

// authorization of "app", of "bot" (a token of the first installation), or of a
// person.
func (w *world) authorization(who string) string {
	switch who {
	case "":
		return ""
	case "app":
		return "Bearer " + jwt(w.t, key(), claims(time.Now()))
	case "bot":
		w.once.Do(func() {
			made := w.do("app", "POST", fmt.Sprintf("/app/installations/%d/access_tokens", w.installation()), nil)
			w.bot = made.text("token")
		})
		return "token " + w.bot
	}
	if strings.HasPrefix(who, "ghs_") {
		return "token " + who
	}
	return "token user-" + who
}

func (w *world) installation() int64 {
	w.sim.mu.Lock()
	defer w.sim.mu.Unlock()
	return w.sim.installed[0].id
}

// request asks for something; it reports that nothing came back as status 0.
func (w *world) request(method, path, authorization string, header http.Header, body any) reply {
	w.t.Helper()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			w.t.Fatal(err)
		}
	}
	asked, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, bytes.NewReader(text))
	if err != nil {
		w.t.Fatal(err)
	}
	maps.Copy(asked.Header, header)
	if authorization != "" {
		asked.Header.Set("Authorization", authorization)
	}
	answered, err := http.DefaultTransport.RoundTrip(asked)
	if err != nil {
		return reply{}
	}
	defer answered.Body.Close()
	got := reply{status: answered.StatusCode, header: answered.Header}
	read, err := io.ReadAll(answered.Body)
	if err != nil {
		return reply{}
	}
	if json.Unmarshal(read, &got.body) != nil {
		_ = json.Unmarshal(read, &got.list) // no JSON at all is seen by who needs some
	}
	return got
}

func (w *world) do(who, method, path string, body any) reply {
	w.t.Helper()
	return w.request(method, path, w.authorization(who), nil, body)
}

// must asks for something and demands a status.
func (w *world) must(status int, who, method, path string, body any) reply {
	w.t.Helper()
	got := w.do(who, method, path, body)
	if got.status != status {
		w.t.Fatalf("%s %s as %s: got %d %v, want %d", method, path, who, got.status, got.body, status)
	}
	return got
}

// at reads a field by its path: "head.sha".
func (r reply) at(path string) any { return at(r.body, path) }

func at(from any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		inside, is := from.(object)
		if !is {
			return nil
		}
		from = inside[name]
	}
	return from
}

func (r reply) text(path string) string {
	text, _ := r.at(path).(string)
	return text
}

func (r reply) id() int64 {
	n, _ := r.at("id").(float64)
	return int64(n)
}

// clone is a working copy of somebody's.
type clone struct {
	w   *world
	dir string
}

func (w *world) remote(who, repo string) string {
	return strings.Replace(w.url, "http://", "http://"+who+":user-"+who+"@", 1) + "/" + repo + ".git"
}

func (w *world) clone(who, repo string) clone {
	w.t.Helper()
	c := clone{w, filepath.Join(w.t.TempDir(), "work")}
	if out, err := git("", "clone", "--quiet", w.remote(who, repo), c.dir); err != nil {
		w.t.Fatalf("clone %s as %s: %v: %s", repo, who, err, out)
	}
	return c
}

func git(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(gitEnv(),
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@localhost", "GIT_COMMITTER_NAME=C", "GIT_COMMITTER_EMAIL=c@localhost")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (c clone) git(args ...string) string {
	c.w.t.Helper()
	out, err := git(c.dir, args...)
	if err != nil {
		c.w.t.Fatalf("git %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

// commit writes a file on a branch, which is made when it is not there, and says
// the commit's name.
func (c clone) commit(branch, file, content string) string {
	c.w.t.Helper()
	if _, err := git(c.dir, "checkout", "--quiet", branch); err != nil {
		c.git("checkout", "--quiet", "-b", branch)
	}
	name := filepath.Join(c.dir, file)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		c.w.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		c.w.t.Fatal(err)
	}
	c.git("add", "--all")
	c.git("commit", "--quiet", "-m", "Change "+file)
	return c.git("rev-parse", "HEAD")
}

func (c clone) push(refs ...string) { c.git(append([]string{"push", "--quiet", "origin"}, refs...)...) }

const gitops = "/repos/acme/gitops"

// pull opens a pull request of alice's from a branch with one change, and forgets
// the webhooks of it.
func (w *world) pull(branch string) (clone, int) {
	w.t.Helper()
	c := w.clone("alice", "acme/gitops")
	c.commit(branch, "apps/shop/values.yaml", "replicas: 3\nimage: shop:1\n")
	c.push(branch)
	made := w.must(http.StatusCreated, "alice", "POST", gitops+"/pulls", object{"title": "More shops", "head": branch, "base": "main", "body": "Three."})
	w.heard()
	return c, int(made.at("number").(float64))
}
