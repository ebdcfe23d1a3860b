package github

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/go-github/v62/github"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
)

// tokenRest is how long a token for git is good for at least when it is given out.
const tokenRest = 5 * time.Minute

// logins is how GitHub writes those of people, of companies' people and of apps.
var logins = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}(\[bot\])?$`)

// Repository returns the facts about one.
func (g *GitHub) Repository(ctx context.Context, repo gitops.Repo) (forge.Repository, error) {
	found := forge.Repository{Repo: repo}
	err := g.on(ctx, repo, "read the repository "+repo.String(), func(s site) error {
		r, _, err := s.Repositories.Get(cacheable(ctx), s.owner, s.name)
		if err != nil {
			return err
		}
		if r.GetDefaultBranch() == "" {
			return errNoID
		}
		found.Repo, found.Default, found.Private = renamed(repo, r), r.GetDefaultBranch(), r.GetPrivate()
		return nil
	})
	if err != nil {
		return forge.Repository{}, err
	}
	return found, nil
}

// renamed is a repository by the path that GitHub writes, which is another than was asked
// for if that was renamed.
func renamed(repo gitops.Repo, r *github.Repository) gitops.Repo {
	if path := r.GetFullName(); validPath(path) {
		repo.Path = path
	}
	return repo
}

// PullRequest returns the facts about one pull request.
func (g *GitHub) PullRequest(ctx context.Context, repo gitops.Repo, number int) (gitops.PullRequest, error) {
	var found gitops.PullRequest
	doing := "read the pull request " + gitops.PullRequest{Repo: repo, Number: number}.Name()
	err := g.on(ctx, repo, doing, func(s site) error {
		p, _, err := s.PullRequests.Get(cacheable(ctx), s.owner, s.name, number)
		if err == nil {
			found = g.pullRequest(p, repo)
		}
		return err
	})
	return found, err
}

// PullRequests are the open ones of a repository, the oldest first: what is opened
// while they are read comes last, and moves none over a page's end.
func (g *GitHub) PullRequests(ctx context.Context, repo gitops.Repo) ([]gitops.PullRequest, error) {
	var found []gitops.PullRequest
	err := g.on(ctx, repo, "list the open pull requests of "+repo.String(), func(s site) error {
		open, err := pages(func(page github.ListOptions) ([]*github.PullRequest, *github.Response, error) {
			return s.PullRequests.List(cacheable(ctx), s.owner, s.name, &github.PullRequestListOptions{
				State: "open", Sort: "created", Direction: "asc", ListOptions: page,
			})
		})
		for _, p := range open {
			found = append(found, g.pullRequest(p, repo))
		}
		return err
	})
	return found, err
}

// Merged asks which pull requests a commit is associated with. GitHub names the one that
// brought it to the default branch, and also open ones if it is on another.
func (g *GitHub) Merged(ctx context.Context, repo gitops.Repo, commit string) ([]gitops.PullRequest, error) {
	doing := "read how a commit came into " + repo.String()
	if !commits.MatchString(commit) {
		return nil, refused(doing, "that is no commit")
	}
	var merged []gitops.PullRequest
	err := g.on(ctx, repo, doing, func(s site) error {
		all, err := pages(func(page github.ListOptions) ([]*github.PullRequest, *github.Response, error) {
			return s.PullRequests.ListPullRequestsWithCommit(ctx, s.owner, s.name, commit, &page)
		})
		for _, p := range all {
			if p := g.pullRequest(p, repo); p.State == gitops.Merged {
				merged = append(merged, p)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return merged, nil
}

// pullRequest reads one.
func (g *GitHub) pullRequest(p *github.PullRequest, repo gitops.Repo) gitops.PullRequest {
	base := p.GetBase()
	repo = renamed(repo, base.GetRepo())
	found := gitops.PullRequest{
		Repo: repo, Number: p.GetNumber(), URL: p.GetHTMLURL(), Title: p.GetTitle(),
		State: gitops.Open, Draft: p.GetDraft(), Author: actor(p.GetUser()),
		Head:    gitops.Revision{Branch: p.GetHead().GetRef(), Commit: p.GetHead().GetSHA()},
		Base:    gitops.Revision{Repo: repo, Branch: base.GetRef(), Commit: base.GetSHA()},
		Private: base.GetRepo().GetPrivate(), Default: base.GetRepo().GetDefaultBranch(), Updated: p.GetUpdatedAt().Time.UTC(),
	}
	if path := p.GetHead().GetRepo().GetFullName(); path != "" { // null when the fork is gone
		found.Head.Repo = gitops.Repo{Forge: g.name, Path: path}
	}
	switch {
	case p.MergedAt != nil || p.GetMerged():
		found.State, found.Merge = gitops.Merged, p.GetMergeCommitSHA()
	case p.GetState() == "closed": // its merge_commit_sha is that of a test merge
		found.State = gitops.Closed
	}
	return found
}

func actor(u *github.User) gitops.Actor {
	return account{ID: u.GetID(), Login: u.GetLogin(), Type: u.GetType()}.actor()
}

// validBranch tells what may be the name of a branch from what can be none: "..", which
// would be another path, and "a:b", which is another's branch.
func validBranch(name string) bool {
	return name != "" && name != "." && !strings.Contains(name, "..") && !strings.Contains(name, ":") && !strings.ContainsFunc(name, unicode.IsControl)
}

// Tip asks GitHub, which redirects from the former name of a branch that was renamed.
func (g *GitHub) Tip(ctx context.Context, repo gitops.Repo, branch string) (commit string, err error) {
	doing := "read where a branch of " + repo.String() + " is" // its name is anybody's text
	if !validBranch(branch) {
		return "", refused(doing, "that is no name of a branch")
	}
	err = g.on(ctx, repo, doing, func(s site) error {
		// The library's GetBranch has no error that tells the status.
		req, err := s.NewRequest(http.MethodGet, fmt.Sprintf("repos/%s/%s/branches/%s", s.owner, s.name, url.PathEscape(branch)), nil)
		if err != nil {
			return err
		}
		var found github.Branch
		if _, err := s.Do(cacheable(ctx), req, &found); err != nil {
			return err
		}
		if commit = found.GetCommit().GetSHA(); !commits.MatchString(commit) {
			commit = ""
			return errNoID
		}
		return nil
	})
	return commit, err
}

// MayWrite asks GitHub, whose answer names the account that has the login now.
func (g *GitHub) MayWrite(ctx context.Context, repo gitops.Repo, who gitops.Actor) (bool, error) {
	if !logins.MatchString(who.Login) {
		return false, refused("read somebody's permission in "+repo.String(), "that is no login")
	}
	doing := "read the permission of " + who.Login + " in " + repo.String()
	var may bool
	err := g.on(ctx, repo, doing, func(s site) error {
		level, _, err := s.Repositories.GetPermissionLevel(ctx, s.owner, s.name, url.PathEscape(who.Login))
		if status(err) == http.StatusNotFound { // nobody has the login, or the repository moved
			g.forget(repo.Path)
			return nil
		}
		if err != nil {
			return err
		}
		role := level.GetPermission() // maintain is write to it
		may = strconv.FormatInt(level.GetUser().GetID(), 10) == who.ID && (role == "write" || role == "admin" || level.GetUser().GetPermissions()["push"])
		return nil
	})
	return may, err
}

// Source is git over HTTPS, with a token that reads this one repository and nothing
// else.
func (g *GitHub) Source(ctx context.Context, repo gitops.Repo) (forge.Source, error) {
	return g.reach(ctx, repo, "get a token to fetch "+repo.String(), func(s site) (string, error) {
		g.mu.Lock()
		token := g.tokens[repo.Path]
		g.mu.Unlock()
		if token == nil || token.GetExpiresAt().Sub(g.now()) < tokenRest {
			var err error
			if token, err = g.token(ctx, s, "read"); err != nil {
				return "", err
			}
			g.mu.Lock()
			g.tokens[repo.Path] = token
			g.mu.Unlock()
		}
		return token.GetToken(), nil
	})
}

// Destination is as Source, with a token that may write. It is kept nowhere.
func (g *GitHub) Destination(ctx context.Context, repo gitops.Repo) (forge.Source, error) {
	return g.reach(ctx, repo, "get a token to push to "+repo.String(), func(s site) (string, error) {
		token, err := g.token(ctx, s, "write")
		return token.GetToken(), err
	})
}

func (g *GitHub) reach(ctx context.Context, repo gitops.Repo, doing string, token func(site) (string, error)) (forge.Source, error) {
	source := forge.Source{URL: g.web.JoinPath(repo.Path).String() + ".git", User: "x-access-token"}
	err := g.on(ctx, repo, doing, func(s site) (err error) {
		source.Password, err = token(s)
		return err
	})
	if err != nil {
		return forge.Source{}, err
	}
	return source, nil
}

// token mints one for the contents of one repository.
func (g *GitHub) token(ctx context.Context, s site, level string) (*github.InstallationToken, error) {
	token, _, err := g.app.Apps.CreateInstallationToken(ctx, s.installation, &github.InstallationTokenOptions{
		Repositories: []string{s.name},
		Permissions:  &github.InstallationPermissions{Contents: &level},
	})
	switch {
	case status(err) == http.StatusUnprocessableEntity: // its owner has not granted it
		return nil, &refusal{http.StatusForbidden, "the installation does not grant this for its contents"}
	case err != nil:
		return nil, err
	case token.GetToken() == "":
		return nil, errNoID
	}
	return token, nil
}
