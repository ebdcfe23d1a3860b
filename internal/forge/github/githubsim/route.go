package githubsim

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Who may ask for an operation.
const (
	anyone = iota // a person or an installation
	theApp        // a JWT
	aToken        // an installation alone
)

const (
	maxBody    = 25 << 20 // of requests, and of webhooks (forges.md A.3), in bytes
	hourBudget = 5000     // of requests (forges.md A.7)
)

// operation is one line of the table of what the simulator has.
type operation struct {
	method, path string
	who          int
	needs        []string // permissions, one of which an installation must have
	role         string   // what a person must have
	do           func(*call) (answer, error)
}

func (op *operation) name() string { return op.method + " " + op.path }

// call is one request, with the state locked.
type call struct {
	*Sim
	r      *http.Request
	op     *operation
	actor  actor
	params map[string]string
	repo   *repository
	prefix string
	body   []byte
	header http.Header
}

// answer is what goes back; a nil body is no body.
type answer struct {
	status int
	body   any
}

func ok(body any) (answer, error)      { return answer{http.StatusOK, body}, nil }
func created(body any) (answer, error) { return answer{http.StatusCreated, body}, nil }

// object is JSON.
type object = map[string]any

// refusal is an answer that says no.
type refusal struct {
	Status  int
	Message string
	Errors  []object
}

func (p *refusal) Error() string { return fmt.Sprintf("%d %s", p.Status, p.Message) }

func problem(status int, message string) error { return &refusal{Status: status, Message: message} }

func notFound() error { return problem(http.StatusNotFound, "Not Found") }

// invalid is GitHub's way to say that a field is wrong.
func invalid(resource, field, message string) error {
	detail := object{"resource": resource, "code": "custom", "field": field, "message": message}
	return &refusal{Status: http.StatusUnprocessableEntity, Message: "Validation Failed", Errors: []object{detail}}
}

// lacks is for a part of an operation that the simulator does not have: nothing that
// GitHub does is answered with a lie.
func (c *call) lacks(what string) error {
	message := "githubsim has no " + what
	c.violations = append(c.violations, message)
	return problem(http.StatusNotImplemented, message)
}

// match finds the operation of a path, and the values of its names.
func match(method, path string) (*operation, map[string]string) {
	asked := strings.Split(strings.Trim(path, "/"), "/")
	for i := range operations {
		op := &operations[i]
		if op.method != method {
			continue
		}
		if params, is := matchPath(op.path, asked); is {
			return op, params
		}
	}
	return nil, nil
}

func matchPath(pattern string, asked []string) (map[string]string, bool) {
	wanted := strings.Split(strings.Trim(pattern, "/"), "/")
	if len(wanted) != len(asked) {
		return nil, false
	}
	params := map[string]string{}
	for i, want := range wanted {
		value, err := url.PathUnescape(asked[i])
		switch {
		case err != nil || value == "":
			return nil, false
		case strings.HasPrefix(want, "{"):
			params[strings.Trim(want, "{}")] = value
		case want != value:
			return nil, false
		}
	}
	return params, true
}

const enterprise = "/api/v3"

// apiPath takes the prefix of the API off a path.
func apiPath(r *http.Request) (path, prefix string) {
	path = r.URL.EscapedPath()
	if rest, is := strings.CutPrefix(path, enterprise); is && strings.HasPrefix(rest, "/") {
		return rest, enterprise
	}
	return path, ""
}

// api answers the REST API: counted, with its faults, and held to the description.
func (s *Sim) api() http.Handler {
	var inner http.Handler = http.HandlerFunc(s.serveAPI)
	if s.options.Description != nil {
		inner = s.options.Description.Handler(inner, enterprise)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, _ := apiPath(r)
		op, _ := match(r.Method, path)
		if op == nil {
			s.unknown(w, r.Method+" "+path)
			return
		}
		s.mu.Lock()
		s.requests[op.name()]++
		fault := s.takeFault(r.Method, path)
		s.mu.Unlock()
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if fault == nil {
			inner.ServeHTTP(w, r)
			return
		}
		s.serveFault(w, r, fault, inner)
	})
}

func (s *Sim) unknown(w http.ResponseWriter, what string) {
	message := "githubsim has no operation " + what
	s.mu.Lock()
	s.violations = append(s.violations, message)
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	writeJSON(w, http.StatusNotImplemented, object{"message": message})
}

func (s *Sim) serveAPI(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "the request's body ended early", http.StatusBadRequest)
		return
	}
	path, prefix := apiPath(r)
	op, params := match(r.Method, path)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requestID++
	c := &call{Sim: s, r: r, op: op, params: params, prefix: prefix, body: body, header: w.Header()}
	c.header.Set("X-GitHub-Request-Id", fmt.Sprintf("%04X:%06X", 0xDA17, s.requestID))
	c.header.Set("X-GitHub-Media-Type", "github.v3; format=json")
	given, err := c.answer()
	if err != nil {
		given = c.refusal(err)
	}
	c.write(w, given)
}

func (c *call) answer() (answer, error) {
	who, err := c.authenticate(c.r)
	if err != nil {
		return answer{}, err
	}
	c.actor = who
	switch {
	case c.op.who == theApp && !who.isApp:
		return answer{}, problem(http.StatusUnauthorized, "A JSON web token could not be decoded")
	case c.op.who == aToken && who.token == nil:
		return answer{}, problem(http.StatusForbidden, "You must authenticate with an installation access token in order to list repositories for an installation.")
	case c.op.who != theApp && who.isApp:
		return answer{}, problem(http.StatusForbidden, "Resource not accessible by integration")
	}
	if err := c.spend(); err != nil {
		return answer{}, err
	}
	if owner, is := c.params["owner"]; is {
		c.repo = c.Sim.repo(owner, c.params["repo"])
		if c.repo == nil {
			return answer{}, notFound()
		}
		if err := c.may(who, c.repo, c.op); err != nil {
			return answer{}, err
		}
	}
	return c.op.do(c)
}

// refusal turns what went wrong into an answer.
func (c *call) refusal(err error) answer {
	said := asRefusal(err)
	if said == nil {
		c.options.Log.Error("answer", "operation", c.op.name(), "error", err)
		c.violations = append(c.violations, "answer "+c.op.name()+": "+err.Error())
		return answer{http.StatusInternalServerError, object{"message": "Server Error"}}
	}
	body := object{"message": said.Message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(said.Status)}
	if said.Errors != nil {
		body["errors"] = said.Errors
	}
	return answer{said.Status, body}
}

// write sends an answer, or 304 when the client has it already.
func (c *call) write(w http.ResponseWriter, given answer) {
	if given.body == nil {
		w.WriteHeader(given.status)
		return
	}
	text, err := encode(given.body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if c.r.Method == http.MethodGet && given.status == http.StatusOK {
		tag := fmt.Sprintf(`W/"%x"`, sha256.Sum256(append(text, w.Header().Get("Link")...)))
		w.Header().Set("ETag", tag)
		w.Header().Set("Cache-Control", "private, max-age=60, s-maxage=60")
		w.Header().Set("Vary", "Accept, Authorization, Cookie, X-GitHub-OTP")
		if sameTag(c.r.Header.Get("If-None-Match"), tag) {
			c.refund()
			w.Header().Del("Content-Type")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	w.WriteHeader(given.status)
	_, _ = w.Write(text) // whoever went away needs no answer
}

func sameTag(asked, tag string) bool {
	for candidate := range strings.SplitSeq(asked, ",") {
		if strings.TrimPrefix(strings.TrimSpace(candidate), "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}

func encode(body any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(body)
	return out.Bytes(), err
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := encode(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text) // whoever went away needs no answer
}

// budget is what is left of an hour's requests.
type budget struct {
	used  int
	reset time.Time
}

// spend takes one request off the budget of whoever asks.
func (c *call) spend() error {
	b := c.budgets[c.actor.key()]
	if b == nil || !c.now().Before(b.reset) {
		b = &budget{reset: c.now().Add(time.Hour)}
		c.budgets[c.actor.key()] = b
	}
	b.used = min(b.used+1, hourBudget+1)
	c.limits(b)
	if b.used > hourBudget {
		return problem(http.StatusForbidden, "API rate limit exceeded for "+c.actor.key()+".")
	}
	return nil
}

// refund gives it back: an answer of 304 is free (forges.md A.7).
func (c *call) refund() {
	b := c.budgets[c.actor.key()]
	b.used--
	c.limits(b)
}

func (c *call) limits(b *budget) {
	c.header.Set("X-RateLimit-Limit", strconv.Itoa(hourBudget))
	c.header.Set("X-RateLimit-Remaining", strconv.Itoa(max(0, hourBudget-b.used)))
	c.header.Set("X-RateLimit-Used", strconv.Itoa(min(b.used, hourBudget)))
	c.header.Set("X-RateLimit-Reset", strconv.FormatInt(b.reset.Unix(), 10))
	c.header.Set("X-RateLimit-Resource", "core")
}

// read decodes the body of a request; what has the wrong type is GitHub's 422.
func (c *call) read(into any) error {
	if len(bytes.TrimSpace(c.body)) == 0 {
		return nil
	}
	if !json.Valid(c.body) {
		return problem(http.StatusBadRequest, "Problems parsing JSON")
	}
	if err := json.Unmarshal(c.body, into); err != nil {
		return problem(http.StatusUnprocessableEntity, "Invalid request.\n\n"+err.Error())
	}
	return nil
}

// page cuts a list and says in Link where the rest is.
func page[T any](c *call, all []T) []T {
	query := c.r.URL.Query()
	size := number(query.Get("per_page"), 30)
	size = min(max(size, 1), 100)
	at := max(number(query.Get("page"), 1), 1)
	last := max((len(all)+size-1)/size, 1)
	var links []string
	link := func(rel string, to int) {
		query.Set("page", strconv.Itoa(to))
		links = append(links, c.link(query, rel))
	}
	if at > 1 {
		link("prev", min(at-1, last))
	}
	if at < last {
		link("next", at+1)
		link("last", last)
	}
	if at > 1 {
		link("first", 1)
	}
	if len(links) > 0 {
		c.header.Set("Link", strings.Join(links, ", "))
	}
	from := min((at-1)*size, len(all))
	return all[from:min(from+size, len(all))]
}

func (c *call) link(query url.Values, rel string) string {
	return fmt.Sprintf(`<%s%s?%s>; rel=%q`, c.baseURL, c.r.URL.EscapedPath(), query.Encode(), rel)
}

func number(text string, otherwise int) int {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return otherwise
}

func (c *call) number(name string) int { return number(c.params[name], 0) }
