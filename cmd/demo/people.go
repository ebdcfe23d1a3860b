package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const repository = "/repos/acme/shop"

func (s *stage) page(number int) string { return fmt.Sprintf("%s/acme/shop/pull/%d", s.url, number) }

// ask asks the forge as bob.
func (s *stage) ask(ctx context.Context, method, path string, body, answer any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if body == nil {
		data = nil
	}
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "token user-bob")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if data, err = io.ReadAll(response.Body); err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, data)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(data, answer)
}

// open pushes another deployment to a branch and opens its pull request, as bob.
func (s *stage) open(ctx context.Context, branch, title, content string) (number int, err error) {
	clone := s.path("clone-" + branch)
	git := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "user.name=bob", "-c", "user.email=bob@localhost", "-c", "commit.gpgsign=false"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w: %s", args[0], err, out)
		}
		return nil
	}
	address := strings.Replace(s.url, "://", "://bob:user-bob@", 1) + "/acme/shop.git"
	if err := git("clone", "--quiet", address, clone); err != nil {
		return 0, err
	}
	if err := os.WriteFile(filepath.Join(clone, "apps/web/base/deployment.yaml"), []byte(content), 0o644); err != nil {
		return 0, err
	}
	if err := errors.Join(git("-C", clone, "commit", "--quiet", "--all", "-m", title), git("-C", clone, "push", "--quiet", "origin", "HEAD:"+branch)); err != nil {
		return 0, err
	}
	var opened struct{ Number int }
	err = s.ask(ctx, http.MethodPost, repository+"/pulls", map[string]any{"title": title, "head": branch, "base": "main"}, &opened)
	return opened.Number, err
}

func (s *stage) merge(ctx context.Context, number int) error {
	err := s.ask(ctx, http.MethodPut, fmt.Sprintf("%s/pulls/%d/merge", repository, number), map[string]any{"merge_method": "squash"}, nil)
	s.step("bob merges #%d", number)
	return err
}

// until asks again and again until it finds what it looks for.
func (s *stage) until(ctx context.Context, what string, found func() (bool, error)) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		is, err := found()
		if err != nil || is {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// comment waits for Davit's comment with a key, and a text in it, and returns it.
func (s *stage) comment(ctx context.Context, number int, key, text string) (body string, err error) {
	err = s.until(ctx, "a comment of Davit's", func() (bool, error) {
		var comments []struct{ Body string }
		if err := s.ask(ctx, http.MethodGet, fmt.Sprintf("%s/issues/%d/comments", repository, number), nil, &comments); err != nil {
			return false, err
		}
		for _, c := range comments {
			at := strings.LastIndex(c.Body, "<!-- davit:"+key)
			if at >= 0 && strings.Contains(c.Body, text) {
				body = strings.TrimSpace(c.Body[:at])
				return true, nil
			}
		}
		return false, nil
	})
	return body, err
}

// opened waits for a pull request with a title, and returns its number.
func (s *stage) opened(ctx context.Context, title string) (number int, err error) {
	err = s.until(ctx, "a pull request of Davit's", func() (bool, error) {
		var pulls []struct {
			Number int
			Title  string
		}
		if err := s.ask(ctx, http.MethodGet, repository+"/pulls", nil, &pulls); err != nil {
			return false, err
		}
		for _, p := range pulls {
			if strings.HasPrefix(p.Title, title) {
				number = p.Number
			}
		}
		return number > 0, nil
	})
	return number, err
}

// deployed waits until the newest deployment to an environment ends, tells how it goes, and
// is an error unless it ends as it should.
func (s *stage) deployed(ctx context.Context, environment, end string) error {
	told := ""
	return s.until(ctx, "the deployment to "+environment, func() (bool, error) {
		state, said, err := s.deployment(ctx, environment)
		if err != nil || state == "" {
			return false, err
		}
		if said != told {
			told = said
			s.step("%-10s %s", environment, said)
		}
		switch state {
		case end:
			return true, nil
		case "success", "failure", "error":
			return false, fmt.Errorf("the deployment to %s ended in %s: %s", environment, state, said)
		}
		return false, nil
	})
}

func (s *stage) deployment(ctx context.Context, environment string) (state, said string, err error) {
	var all []struct {
		ID  int64
		SHA string
	}
	var tip struct{ Commit struct{ SHA string } }
	if err := s.ask(ctx, http.MethodGet, repository+"/branches/main", nil, &tip); err != nil {
		return "", "", err
	}
	err = s.ask(ctx, http.MethodGet, repository+"/deployments?environment="+environment, nil, &all)
	if err != nil || len(all) == 0 || all[0].SHA != tip.Commit.SHA {
		return "", "", err
	}
	var statuses []struct{ State, Description string }
	err = s.ask(ctx, http.MethodGet, fmt.Sprintf("%s/deployments/%d/statuses", repository, all[0].ID), nil, &statuses)
	if err != nil || len(statuses) == 0 {
		return "", "", err
	}
	said, _, _ = strings.Cut(statuses[0].Description, ":")
	return statuses[0].State, said, nil
}

// runs tells what runs in the clusters.
func (s *stage) runs(ctx context.Context) error {
	for i, environment := range []string{"staging", "production"} {
		image, err := s.kubectl(ctx, fmt.Sprint("cluster-", i+1), "get", "deployment", "web", "-n", "shop", "-o",
			"jsonpath={.spec.template.spec.containers[0].image}, {.status.readyReplicas} ready")
		if err != nil {
			return err
		}
		s.step("%-10s runs %s", environment, image)
	}
	return nil
}
