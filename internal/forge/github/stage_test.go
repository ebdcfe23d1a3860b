package github_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	api "github.com/google/go-github/v62/github"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/forge/forgetest"
	"github.com/davitops/davit/internal/forge/github"
	"github.com/davitops/davit/internal/forge/github/githubsim"
	"github.com/davitops/davit/internal/forge/openapi"
	"github.com/davitops/davit/internal/gitops"
)

const (
	appID       = 4711
	secret      = "one secret"
	otherSecret = "other secret"
	seed        = `
app: {slug: davit, name: Davit, owner: acme, permissions: %s, events: %s}
users:
- {login: alice}
- {login: bob}
- {login: carol}
- {login: mallory}
organisations:
- {login: acme, members: {carol: owner}}
- {login: former, members: {carol: owner}}
repositories:
- name: acme/gitops
  collaborators: {alice: write, bob: read}
  files: {README.md: "The fleet.\n"}
- {name: mallory/gitops, fork_of: acme/gitops}
- name: former/gitops
  files: {README.md: "The former fleet.\n"}
installations:
- {account: acme, repositories: all}
- {account: former, repositories: all, suspended: true}
`
)

var appKey = sync.OnceValue(func() []byte {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
})

// description is GitHub's own, to which every exchange of every stage is held.
var description = sync.OnceValues(func() (*openapi.Description, error) {
	return openapi.Load("../../../testdata/openapi/github.json")
})

func TestMain(m *testing.M) {
	code := m.Run()
	if d, err := description(); err == nil {
		all := 0
		for _, what := range slices.Sorted(maps.Keys(d.Counts())) {
			fmt.Printf("held to GitHub's description: %6d  %s\n", d.Counts()[what], what)
			all += d.Counts()[what]
		}
		fmt.Printf("held to GitHub's description: %6d  in all\n", all)
	}
	os.Exit(code)
}

// TestContract holds the provider to the contract, on a simulator of GitHub.
func TestContract(t *testing.T) {
	t.Parallel()
	forgetest.Run(t, func(t *testing.T) forgetest.Stage { return open(t) })
}

// stage is a simulator with people who act through its REST interface and git.
type stage struct {
	*testing.T
	sim     *githubsim.Sim
	url     string
	work    string // alice's clone, which has no files
	forge   *github.GitHub
	options github.Options

	mu        sync.Mutex
	later     time.Duration
	deaf      bool
	delivered []forgetest.Delivery
	writes    []write
	unchanged int // answers of 304
	branches  int
}

// write is a request that was done, for what GitHub does not let anybody read again.
type write struct {
	path   string
	status int
	body   struct {
		Name    string `json:"name"`
		Head    string `json:"head_sha"`
		Key     string `json:"external_id"`
		Content string `json:"content"`
		Output  struct {
			Annotations []struct {
				Path    string      `json:"path"`
				Line    int         `json:"start_line"`
				Level   forge.Level `json:"annotation_level"`
				Title   string      `json:"title"`
				Message string      `json:"message"`
			} `json:"annotations"`
		} `json:"output"`
	}
}

func open(t *testing.T) *stage {
	t.Helper()
	s := &stage{T: t}
	dir := t.TempDir()
	s.must(os.WriteFile(filepath.Join(dir, "seed.yaml"), asManifest(t), 0o600))
	held, err := description()
	s.must(err)
	hook := httptest.NewServer(http.HandlerFunc(s.receive))
	t.Cleanup(hook.Close)
	s.sim, err = githubsim.New(githubsim.Options{
		Dir: dir, AppID: appID, AppKey: appKey(), WebhookURL: hook.URL, WebhookSecret: secret, Description: held,
	})
	s.must(err)
	server := httptest.NewServer(s.watch(s.sim.Handler()))
	s.url = server.URL
	s.sim.SetBaseURL(server.URL)
	t.Cleanup(func() {
		server.Close()
		s.must(s.sim.Close())
		for _, violation := range s.sim.Violations() {
			t.Errorf("against the description: %s", violation)
		}
	})
	s.work = filepath.Join(dir, "work")
	s.git(dir, "clone", "--quiet", "--bare", s.remote("alice", "acme/gitops"), s.work)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	s.options = github.Options{
		Name: "github", URL: s.url, AppID: appID, Key: appKey(), Secrets: [][]byte{[]byte(secret), []byte(otherSecret)},
		Transport: transport, Log: slog.New(slog.DiscardHandler), Spacing: -1, Now: s.now,
	}
	s.Restart()
	return s
}

// asManifest gives the App of the seed what the one that operators make has, and no more.
func asManifest(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("../../../app-manifest/github.json")
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Permissions json.RawMessage `json:"default_permissions"`
		Events      json.RawMessage `json:"default_events"`
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	return fmt.Appendf(nil, seed, strings.Join(strings.Fields(string(manifest.Permissions)), " "), manifest.Events)
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatalf("on the stage: %v", err)
	}
}

func (s *stage) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.later)
}

// watch remembers the writes that are done, with those whose answer is lost.
func (s *stage) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			s.Errorf("read a request: %v", err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := &statusWriter{ResponseWriter: w}
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			switch did := (write{path: r.URL.Path, status: answer.status}); {
			case did.status == http.StatusNotModified:
				s.unchanged++
			case r.Method != http.MethodGet && did.status < 300:
				_ = json.Unmarshal(body, &did.body) // what is no JSON is git's
				s.writes = append(s.writes, did)
			}
		}()
		next.ServeHTTP(answer, r)
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (s *stage) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.Errorf("read a delivery: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deaf {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	d := forgetest.Delivery{Header: map[string]string{}, Body: body}
	for name := range r.Header {
		d.Header[name] = r.Header.Get(name)
		if name == "X-Github-Event" || name == "X-Github-Delivery" {
			d.Header[strings.Replace(name, "Github", "GitHub", 1)] = r.Header.Get(name)
		}
	}
	s.delivered = append(s.delivered, d)
}

func (s *stage) remote(login, path string) string {
	u, err := url.Parse(s.url)
	s.must(err)
	u.User = url.UserPassword("x", "user-"+login)
	return u.JoinPath(path + ".git").String()
}

func (s *stage) git(dir string, arguments ...string) string {
	s.Helper()
	command := exec.CommandContext(s.Context(), "git", arguments...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=alice", "GIT_AUTHOR_EMAIL=alice@acme.example", "GIT_COMMITTER_NAME=alice", "GIT_COMMITTER_EMAIL=alice@acme.example")
	out, err := command.CombinedOutput()
	if err != nil {
		s.Fatalf("git %v: %v\n%s", arguments, err, out)
	}
	return strings.TrimSpace(string(out))
}

// as is a client of a person.
func (s *stage) as(login string) *api.Client {
	c := api.NewClient(&http.Client{Transport: person(login)})
	base, err := url.Parse(s.url + "/api/v3/")
	s.must(err)
	c.BaseURL = base
	return c
}

type person string

func (p person) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "token user-"+string(p))
	return http.DefaultTransport.RoundTrip(r)
}

func (s *stage) Forge() forge.Forge { return s.forge }

func (s *stage) Restart() {
	made, err := github.New(s.options)
	s.must(err)
	s.forge = made
}

func (s *stage) Repo() gitops.Repo      { return gitops.Repo{Forge: "github", Path: "acme/gitops"} }
func (s *stage) Suspended() gitops.Repo { return gitops.Repo{Forge: "github", Path: "former/gitops"} }

func (s *stage) Person(login string) gitops.Actor {
	u, _, err := s.as("carol").Users.Get(s.Context(), login)
	s.must(err)
	return gitops.Actor{ID: strconv.FormatInt(u.GetID(), 10), Login: u.GetLogin()}
}

// commit pushes a commit to a branch of acme/gitops, or of the fork.
func (s *stage) commit(branch, parent string, fork bool) string {
	made := s.git(s.work, "commit-tree", "-p", parent, "-m", "Change "+branch, "main^{tree}")
	to := s.remote("alice", "acme/gitops")
	if fork {
		to = s.remote("mallory", "mallory/gitops")
	}
	s.git(s.work, "push", "--quiet", to, made+":refs/heads/"+branch)
	return made
}

func (s *stage) Open(o forgetest.Opening) int {
	s.branches++
	branch := fmt.Sprintf("change/%d", s.branches)
	s.commit(branch, "main", o.Fork)
	head, title := branch, o.Title
	if o.Fork {
		head = "mallory:" + branch
	}
	if title == "" {
		title = "Change something"
	}
	p, _, err := s.as(o.Author).PullRequests.Create(s.Context(), "acme", "gitops", &api.NewPullRequest{
		Title: &title, Head: &head, Base: api.String("main"), Draft: &o.Draft,
	})
	s.must(err)
	return p.GetNumber()
}

func (s *stage) pull(number int) *api.PullRequest {
	p, _, err := s.as("carol").PullRequests.Get(s.Context(), "acme", "gitops", number)
	s.must(err)
	return p
}

func (s *stage) Push(number int) string {
	p := s.pull(number)
	return s.commit(p.GetHead().GetRef(), p.GetHead().GetSHA(), false)
}

func (s *stage) Merge(number int) string {
	merged, _, err := s.as("carol").PullRequests.Merge(s.Context(), "acme", "gitops", number, "", nil)
	s.must(err)
	return merged.GetSHA()
}

func (s *stage) Close(number int) {
	_, _, err := s.as("carol").PullRequests.Edit(s.Context(), "acme", "gitops", number, &api.PullRequest{State: api.String("closed")})
	s.must(err)
}

func (s *stage) Comment(login string, number int, body string) string {
	c, _, err := s.as(login).Issues.CreateComment(s.Context(), "acme", "gitops", number, &api.IssueComment{Body: &body})
	s.must(err)
	return strconv.FormatInt(c.GetID(), 10)
}

func (s *stage) id(text string) int64 {
	id, err := strconv.ParseInt(text, 10, 64)
	s.must(err)
	return id
}

func (s *stage) EditComment(id, body string) {
	_, _, err := s.as("carol").Issues.EditComment(s.Context(), "acme", "gitops", s.id(id), &api.IssueComment{Body: &body})
	s.must(err)
}

func (s *stage) DeleteComment(id string) {
	_, err := s.as("carol").Issues.DeleteComment(s.Context(), "acme", "gitops", s.id(id))
	s.must(err)
}

func (s *stage) Comments(number int) []forgetest.Comment {
	var found []forgetest.Comment
	for page := 1; page != 0; {
		some, answer, err := s.as("carol").Issues.ListComments(s.Context(), "acme", "gitops", number, &api.IssueListCommentsOptions{
			ListOptions: api.ListOptions{Page: page, PerPage: 100},
		})
		s.must(err)
		for _, c := range some {
			found = append(found, forgetest.Comment{ID: strconv.FormatInt(c.GetID(), 10), Login: c.GetUser().GetLogin(), Body: c.GetBody()})
		}
		page = answer.NextPage
	}
	return found
}

var outcomes = map[string]forge.Conclusion{"": forge.Running, "success": forge.Success, "failure": forge.Failure, "action_required": forge.Waiting, "cancelled": forge.Dropped}

func (s *stage) Checks(commit string) []forge.Check {
	list, _, err := s.as("carol").Checks.ListCheckRunsForRef(s.Context(), "acme", "gitops", commit, &api.ListCheckRunsOptions{Filter: api.String("all")})
	s.must(err)
	var found []forge.Check
	for _, run := range list.CheckRuns {
		c := forge.Check{
			Commit: run.GetHeadSHA(), Name: run.GetName(), Key: run.GetExternalID(), ID: strconv.FormatInt(run.GetID(), 10),
			Conclusion: outcomes[run.GetConclusion()], URL: run.GetDetailsURL(),
			Title: run.GetOutput().GetTitle(), Summary: run.GetOutput().GetSummary(), Annotations: s.annotations(run),
		}
		if running := run.GetStatus() == "in_progress"; running != (c.Conclusion == forge.Running) {
			s.Errorf("the run %s is %s and %q", c.ID, run.GetStatus(), run.GetConclusion())
		}
		if len(c.Annotations) != run.GetOutput().GetAnnotationsCount() {
			s.Errorf("the run %s has %d annotations, and was sent %d", c.ID, run.GetOutput().GetAnnotationsCount(), len(c.Annotations))
		}
		found = append(found, c)
	}
	slices.SortFunc(found, func(a, b forge.Check) int { return int(s.id(a.ID) - s.id(b.ID)) })
	return found
}

func (s *stage) annotations(run *api.CheckRun) []forge.Annotation {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []forge.Annotation
	for _, w := range s.writes {
		made := strings.HasSuffix(w.path, "/check-runs") && w.body.Name == run.GetName() && w.body.Key == run.GetExternalID() && w.body.Head == run.GetHeadSHA()
		if !made && !strings.HasSuffix(w.path, fmt.Sprintf("/check-runs/%d", run.GetID())) {
			continue
		}
		for _, a := range w.body.Output.Annotations {
			found = append(found, forge.Annotation{Path: a.Path, Line: a.Line, Level: a.Level, Title: a.Title, Message: a.Message})
		}
	}
	return found
}

func (s *stage) Reactions(comment string) []forge.Emoji {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []forge.Emoji
	for _, w := range s.writes {
		if strings.HasSuffix(w.path, "/comments/"+comment+"/reactions") && w.status == http.StatusCreated {
			found = append(found, forge.Emoji(w.body.Content))
		}
	}
	return found
}

// free is how often the answer was that nothing changed.
func (s *stage) free() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unchanged
}

func (s *stage) fault(f githubsim.Fault) {
	s.Helper()
	s.must(s.sim.AddFault(f))
}

func (s *stage) LoseAnswer() {
	// Whichever comes first.
	for _, path := range []string{"issues/*/comments", "commits/*/comments", "check-runs", "deployments", "pulls", "issues"} {
		s.fault(githubsim.Fault{Method: "POST", Path: "/repos/acme/gitops/" + path, AfterWrite: true})
	}
}

func (s *stage) Limit(until time.Time) {
	after := int(time.Until(until).Round(time.Second).Seconds())
	s.fault(githubsim.Fault{Method: "GET", Path: "/repos/acme/gitops/pulls/*", Limit: "secondary", RetryAfter: after})
}

func (s *stage) Later(by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.later += by
}

func (s *stage) Deaf(deaf bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deaf = deaf
}

func (s *stage) Deliveries() []forgetest.Delivery {
	s.must(s.sim.Idle(s.Context()))
	s.mu.Lock()
	defer s.mu.Unlock()
	copied := make([]forgetest.Delivery, len(s.delivered))
	for i, d := range s.delivered {
		copied[i] = forgetest.Delivery{Header: maps.Clone(d.Header), Body: d.Body}
	}
	return copied
}

func (s *stage) Secrets() (one, other string) { return secret, otherSecret }

func (s *stage) Signature(secret string, body []byte) (header, value string) {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "X-Hub-Signature-256", "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// tokens are how GitHub's credentials look, old, new and JWT.
var tokens = regexp.MustCompile(`gh[a-z]_[A-Za-z0-9._-]+|eyJ[A-Za-z0-9._-]+`)
