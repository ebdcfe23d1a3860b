package main

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"github.com/davitops/davit/internal/bot"
	"github.com/davitops/davit/internal/config"
	"github.com/davitops/davit/internal/fleet"
	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/git"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/survey"
	"github.com/davitops/davit/internal/target"
)

// mirrors are the bot's copies of repositories, in a directory.
type mirrors struct{ dir string }

// Compare implements bot.Mirrors.
func (m mirrors) Compare(ctx context.Context, pr gitops.PullRequest, from forge.Source) (bot.Sides, error) {
	// Escaped, a path is one name: no repository can be called into another's place.
	dir := filepath.Join(m.dir, pr.Repo.Forge, url.PathEscape(pr.Repo.Path)+".git")
	repository, err := git.Mirror(ctx, dir)
	if err != nil {
		return bot.Sides{}, err
	}
	s, err := compareIn(ctx, repository, pr, git.Source{URL: from.URL, User: from.User, Password: from.Password, Pull: pr.Number})
	if err != nil {
		return bot.Sides{}, errors.Join(err, repository.Close())
	}
	s.Close = repository.Close
	return s, nil
}

func compareIn(ctx context.Context, repository *git.Repository, pr gitops.PullRequest, from git.Source) (bot.Sides, error) {
	err := repository.Fetch(ctx, from)
	if errors.Is(err, git.ErrBusy) { // others must not wait for one large repository
		return bot.Sides{}, &ledger.Later{Until: time.Now().Add(10 * time.Second), Err: err}
	}
	if err != nil {
		return bot.Sides{}, err
	}
	tip, err := repository.Resolve(ctx, "refs/heads/"+pr.Base.Branch)
	if err != nil {
		return bot.Sides{}, err
	}
	head, err := repository.Resolve(ctx, pr.Head.Commit)
	if err != nil {
		return bot.Sides{}, err
	}
	merged, err := repository.Merge(ctx, tip, head)
	if err != nil {
		return bot.Sides{}, err
	}
	base, err := repository.Tree(ctx, tip)
	if err != nil {
		return bot.Sides{}, err
	}
	tree, err := repository.Tree(ctx, merged.Tree)
	if err != nil {
		return bot.Sides{}, err
	}
	branch, err := deploying(ctx, repository, pr.Default)
	return bot.Sides{Tip: tip, Base: base, Head: tree, Branch: branch, Notes: sides{merged: merged}.notes()}, err
}

// deploying is the branch that is deployed: the default one, or that which the
// configuration on the default one says. No other branch can say it of itself.
func deploying(ctx context.Context, repository *git.Repository, standard string) (string, error) {
	tip, err := repository.Resolve(ctx, "refs/heads/"+standard)
	if errors.Is(err, git.ErrUnknownRevision) {
		return standard, nil // a repository can have a default branch that is not there
	}
	if err != nil {
		return "", err
	}
	files, err := repository.Tree(ctx, tip)
	if err != nil {
		return "", err
	}
	fact, err := files.Look(target.ConfigFile, true)
	if err != nil {
		return "", err
	}
	// What is wrong with the file is told by the survey.
	if c, _ := target.ParseConfig(target.ConfigFile, fact.Data); c.Branch() != "" {
		return c.Branch(), nil
	}
	return standard, nil
}

// clusters are the operator's, as each repository may use them.
type clusters struct {
	config config.Config
	key    []byte

	mu     sync.Mutex
	fleets map[gitops.Repo]*fleet.Fleet
}

// Planner implements bot.Clusters.
func (c *clusters) Planner(pr gitops.PullRequest, branch string) (survey.Planner, string) {
	may, why := c.config.Rules.Shows(pr, branch)
	if !may {
		return nil, why
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f, known := c.fleets[pr.Repo]
	if !known {
		f = fleet.Of(c.config, pr.Repo, c.key)
		c.fleets[pr.Repo] = f
	}
	return f, ""
}
