package githubsim

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"strings"
)

// maxPush is the largest push, in bytes.
const maxPush = 256 << 20

// serveGit lets git's own program speak its protocol, once who asks is known and
// may do what they ask for.
func (s *Sim) serveGit(w http.ResponseWriter, r *http.Request, owner, name, inside string) {
	service := r.URL.Query().Get("service")
	push := inside == "git-receive-pack" || inside == "info/refs" && service == "git-receive-pack"
	fetch := inside == "git-upload-pack" || inside == "info/refs" && service == "git-upload-pack"
	if !push && !fetch {
		http.Error(w, "githubsim speaks git's smart protocol alone", http.StatusForbidden)
		return
	}
	s.mu.Lock()
	found, by, err := s.gitMay(r, owner, name, push)
	s.mu.Unlock()
	if said := asRefusal(err); said != nil {
		if said.Status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
		}
		http.Error(w, said.Message, said.Status)
		return
	}
	// CGI wants to know how long a body is.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPush))
	if err != nil {
		http.Error(w, "the request is too large or ended early", http.StatusRequestEntityTooLarge)
		return
	}
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	backend := s.backend(r, found)
	if inside != "git-receive-pack" {
		backend.ServeHTTP(w, r)
		return
	}
	s.servePush(w, r, backend, func() error { return s.sync(found, by) })
}

// servePush holds the answer back until what follows from the push has happened,
// so that whoever pushed finds it done.
func (s *Sim) servePush(w http.ResponseWriter, r *http.Request, backend http.Handler, then func() error) {
	held := &heldAnswer{header: http.Header{}, status: http.StatusOK}
	backend.ServeHTTP(held, r)
	s.mu.Lock()
	err := then()
	if err != nil {
		s.violations = append(s.violations, "follow a push: "+err.Error())
	}
	s.mu.Unlock()
	for name, values := range held.header {
		w.Header()[name] = values
	}
	w.WriteHeader(held.status)
	_, _ = w.Write(held.body.Bytes()) // whoever went away needs no answer
}

// heldAnswer is an answer that is not sent yet.
type heldAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *heldAnswer) Header() http.Header            { return h.header }
func (h *heldAnswer) WriteHeader(status int)         { h.status = status }
func (h *heldAnswer) Write(text []byte) (int, error) { return h.body.Write(text) }

func (s *Sim) backend(r *http.Request, found *repository) *cgi.Handler {
	root, _, _ := strings.Cut(r.URL.Path, ".git/")
	return &cgi.Handler{
		Path: s.git.backend,
		Root: root + ".git",
		Env: append(gitEnv(),
			"GIT_PROJECT_ROOT="+found.git.dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=someone",
			"GIT_PROTOCOL="+r.Header.Get("Git-Protocol"),
		),
		Stderr: io.Discard,
	}
}

// gitMay says which repository is meant and who asks, or what GitHub answers when
// they may not: 401 to ask for a name, 404 for what they can't see, 403 for what
// they can't change.
func (s *Sim) gitMay(r *http.Request, owner, name string, push bool) (*repository, *account, error) {
	found := s.repo(owner, name)
	if r.Header.Get("Authorization") == "" {
		if found != nil && !found.private && !push {
			return found, nil, nil
		}
		return nil, nil, problem(http.StatusUnauthorized, "Authentication required")
	}
	who, err := s.authenticate(r)
	switch {
	case err != nil:
		return nil, nil, problem(http.StatusUnauthorized, "Invalid username or password.")
	case who.isApp:
		return nil, nil, problem(http.StatusUnauthorized, "Invalid username or password.")
	case found == nil:
		return nil, nil, problem(http.StatusNotFound, "Repository not found.")
	}
	op := &operation{method: http.MethodGet, needs: readCode, role: "read"}
	if push {
		op = &operation{method: http.MethodPost, needs: writeCode, role: "write"}
	}
	err = s.may(who, found, op)
	if said := asRefusal(err); said != nil {
		if said.Status == http.StatusNotFound {
			return nil, nil, problem(http.StatusNotFound, "Repository not found.")
		}
		return nil, nil, problem(http.StatusForbidden, fmt.Sprintf("Permission to %s.git denied to %s.", found.fullName(), strings.ToLower(who.user.login)))
	}
	return found, who.user, nil
}
