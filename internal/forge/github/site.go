package github

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-github/v62/github"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
)

// perPage is the most that GitHub gives at once; maxPages is where a list that has no
// end is left.
const (
	perPage  = 100
	maxPages = 1000
)

// paths is how GitHub writes "owner/name". Nothing else becomes a part of an URL.
var paths = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}/[A-Za-z0-9._-]{1,100}$`)

func validPath(path string) bool {
	_, name, _ := strings.Cut(path, "/")
	return paths.MatchString(path) && name != "." && name != ".."
}

// site is a repository, with a client that may work on it.
type site struct {
	*github.Client
	owner, name  string
	installation int64
}

// on does something in a repository. If it turns out that the installation is not what
// it was, it is looked up anew the next time.
func (g *GitHub) on(ctx context.Context, repo gitops.Repo, doing string, do func(site) error) error {
	if repo.Forge != g.name || !validPath(repo.Path) {
		return refused(doing, "the repository is not written like "+g.name+":acme/gitops")
	}
	s, err := g.site(ctx, repo.Path)
	if err == nil {
		err = do(s)
	}
	if c := status(err); c == http.StatusUnauthorized || c == http.StatusNotFound {
		g.forget(repo.Path)
	}
	return failed(doing, err)
}

func (g *GitHub) site(ctx context.Context, path string) (site, error) {
	owner, name, _ := strings.Cut(path, "/")
	g.mu.Lock()
	id := g.homes[path]
	g.mu.Unlock()
	if id == 0 {
		found, _, err := g.app.Apps.FindRepositoryInstallation(ctx, owner, name)
		if err != nil {
			return site{}, err
		}
		if found.SuspendedAt != nil {
			return site{}, &refusal{http.StatusForbidden, "the installation is suspended"}
		}
		if id = found.GetID(); id == 0 {
			return site{}, errNoID
		}
		g.settle(path, id)
	}
	return site{Client: g.installation(id), owner: owner, name: name, installation: id}, nil
}

func (g *GitHub) settle(path string, installation int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.homes[path] = installation
}

func (g *GitHub) forget(path string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.homes, path)
	delete(g.tokens, path)
}

// installation returns the one client of an installation: limits and turns are its own.
func (g *GitHub) installation(id int64) *github.Client {
	g.mu.Lock()
	defer g.mu.Unlock()
	c, known := g.installations[id]
	if !known {
		c = g.client(id)
		g.installations[id] = c
	}
	return c
}

// Repositories are all that the App is installed on, by path. Suspended installations
// have none, and neither has one that goes while it is asked.
func (g *GitHub) Repositories(ctx context.Context) ([]gitops.Repo, error) {
	const doing = "list the repositories of the app"
	all, err := pages(func(page github.ListOptions) ([]*github.Installation, *github.Response, error) {
		return g.app.Apps.ListInstallations(ctx, &page)
	})
	if err != nil {
		return nil, failed(doing, err)
	}
	var repos []gitops.Repo
	for _, i := range all {
		if i.SuspendedAt != nil {
			continue
		}
		found, err := pages(func(page github.ListOptions) ([]*github.Repository, *github.Response, error) {
			list, resp, err := g.installation(i.GetID()).Apps.ListRepos(ctx, &page)
			if err != nil {
				return nil, resp, err
			}
			return list.Repositories, resp, nil
		})
		err = failed(doing, err)
		if err != nil && forge.ClassOf(err) != forge.Gone && forge.ClassOf(err) != forge.Forbidden {
			return nil, err
		}
		for _, r := range found {
			if path := r.GetFullName(); err == nil && validPath(path) {
				g.settle(path, i.GetID())
				repos = append(repos, gitops.Repo{Forge: g.name, Path: path})
			}
		}
	}
	slices.SortFunc(repos, func(a, b gitops.Repo) int { return strings.Compare(a.Path, b.Path) })
	return slices.Compact(repos), nil
}

// pages reads a list to its end.
func pages[T any](page func(github.ListOptions) ([]T, *github.Response, error)) ([]T, error) {
	options := github.ListOptions{PerPage: perPage}
	var all []T
	for range maxPages {
		some, resp, err := page(options)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if options.Page = resp.NextPage; options.Page == 0 {
			return all, nil
		}
	}
	return nil, errEndless // half a list would be taken for a whole one
}
