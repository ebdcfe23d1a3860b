package github_test

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/forge/forgetest"
	"github.com/davitops/davit/internal/forge/github/githubsim"
)

// TestAnnotationsLost holds that annotations that GitHub took, and did not answer for,
// are not sent again, by this provider or by another (forges.md A.5).
func TestAnnotationsLost(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, restart := range []bool{false, true} {
		p, err := s.forge.PullRequest(t.Context(), s.Repo(), s.Open(forgetest.Opening{Author: "alice"}))
		s.must(err)
		c := forge.Check{Repo: s.Repo(), Commit: p.Head.Commit, Name: "davit", Key: "run-1", Conclusion: forge.Failure}
		for i := range 130 {
			c.Annotations = append(c.Annotations, forge.Annotation{Path: "a", Line: i + 1, Level: forge.Warning, Message: fmt.Sprint(i)})
		}
		s.fault(githubsim.Fault{Method: "PATCH", Path: "/repos/acme/gitops/check-runs/*", AfterWrite: true})
		if _, err := s.forge.SaveCheck(t.Context(), c); classOf(t, err) != forge.Unavailable { // 100 are there
			t.Errorf("the answer was lost: %v", err)
		}
		if restart {
			s.Restart()
		}
		_, err = s.forge.SaveCheck(t.Context(), c)
		s.must(err)
		if got := s.Checks(c.Commit); len(got) != 1 || len(got[0].Annotations) != 130 || fmt.Sprint(got[0].Annotations) != fmt.Sprint(c.Annotations) {
			t.Errorf("there are %d checks with %d annotations", len(got), len(got[0].Annotations))
		}
	}
}

// TestLimitKinds holds that every kind of limit, at any step, is one with an end.
func TestLimitKinds(t *testing.T) {
	t.Parallel()
	s := open(t)
	n := s.Open(forgetest.Opening{Author: "alice"})
	for _, kind := range []string{"primary", "secondary"} {
		for _, as := range []int{403, 429} {
			for _, after := range []int{0, 30} {
				for _, at := range []string{"/repos/acme/gitops/pulls/*", "/repos/acme/gitops/installation", "/app/installations/*/access_tokens"} {
					s.Restart()
					s.fault(githubsim.Fault{Path: at, Limit: kind, As: as, RetryAfter: after})
					_, err := s.forge.PullRequest(t.Context(), s.Repo(), n)
					if classOf(t, err) != forge.Limited {
						t.Errorf("%s as %d at %s: %v", kind, as, at, err)
						continue
					}
					want := time.Minute
					if after > 0 {
						want = 30 * time.Second
					}
					if left := time.Until(err.(*forge.Error).Until); left < want-5*time.Second || left > want+time.Second {
						t.Errorf("%s as %d at %s: for %s, want %s", kind, as, at, left, want)
					}
				}
			}
		}
	}
}

// TestFetch holds that git fetches with what Source gives, and can do nothing else with
// it.
func TestFetch(t *testing.T) {
	t.Parallel()
	s := open(t)
	n := s.Open(forgetest.Opening{Author: "mallory", Fork: true})
	source, err := s.forge.Source(t.Context(), s.Repo())
	s.must(err)
	u, err := url.Parse(source.URL)
	s.must(err)
	u.User = url.UserPassword(source.User, source.Password)
	clone := filepath.Join(t.TempDir(), "clone")
	s.git(".", "clone", "--quiet", u.String(), clone)
	s.git(clone, "fetch", "--quiet", "origin", fmt.Sprintf("refs/pull/%d/head", n))
	push := exec.CommandContext(t.Context(), "git", "push", "origin", "HEAD:refs/heads/stolen")
	push.Dir, push.Env = clone, append(os.Environ(), "GIT_TERMINAL_PROMPT=0")
	if out, err := push.CombinedOutput(); err == nil {
		t.Errorf("the token pushes: %s", out)
	}
}

// TestUnchanged holds that a sweep over what did not change costs nothing of the
// budget (forges.md A.7).
func TestUnchanged(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.Open(forgetest.Opening{Author: "alice"})
	for range 3 {
		open, err := s.forge.PullRequests(t.Context(), s.Repo())
		if err != nil || len(open) != 1 {
			t.Errorf("%d are open, %v", len(open), err)
		}
	}
	if s.free() != 2 {
		t.Errorf("%d answers were free", s.free())
	}
}
