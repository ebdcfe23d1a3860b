package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"github.com/davitops/davit/internal/bot"
	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/git"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/rollout"
	"github.com/davitops/davit/internal/survey"
	"github.com/davitops/davit/internal/target"
	"github.com/davitops/davit/internal/tree"
)

// mirrors are the bot's copies of repositories, in a directory.
type mirrors struct{ dir string }

// Compare implements bot.Mirrors.
func (m mirrors) Compare(ctx context.Context, pr gitops.PullRequest, from forge.Source) (bot.Sides, error) {
	repository, err := m.mirror(ctx, pr.Repo)
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

func (m mirrors) mirror(ctx context.Context, repo gitops.Repo) (*git.Repository, error) {
	// Escaped, a path is one name: no repository can be called into another's place.
	return git.Mirror(ctx, filepath.Join(m.dir, repo.Forge, url.PathEscape(repo.Path)+".git"))
}

// Open implements bot.Mirrors.
func (m mirrors) Open(ctx context.Context, repo gitops.Repo, from forge.Source) (bot.Copy, error) {
	repository, err := m.mirror(ctx, repo)
	if err != nil {
		return nil, err
	}
	if err := fetch(ctx, repository, git.Source{URL: from.URL, User: from.User, Password: from.Password}); err != nil {
		return nil, errors.Join(err, repository.Close())
	}
	return local{repository}, nil
}

// Local implements bot.Mirrors.
func (m mirrors) Local(ctx context.Context, repo gitops.Repo) (bot.Copy, error) {
	repository, err := m.mirror(ctx, repo)
	if err != nil {
		return nil, err
	}
	return local{repository}, nil
}

// fetch brings a mirror up to date. Others must not wait for one large repository.
func fetch(ctx context.Context, repository *git.Repository, from git.Source) error {
	passing("git fetch")
	err := repository.Fetch(ctx, from)
	if errors.Is(err, git.ErrBusy) {
		return &ledger.Later{Until: time.Now().Add(10 * time.Second), Err: err}
	}
	return err
}

func compareIn(ctx context.Context, repository *git.Repository, pr gitops.PullRequest, from git.Source) (bot.Sides, error) {
	if err := fetch(ctx, repository, from); err != nil {
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
	branch, err := deploying(ctx, repository, pr.Default, "")
	return bot.Sides{Tip: tip, Base: base, Head: tree, Branch: branch, Notes: sides{merged: merged}.notes()}, err
}

// deploying is the branch that is deployed: the default one, or that which the
// configuration on the default one says. No other branch can say it of itself. While the
// configuration is wrong, it is the one that is known, if there is one.
func deploying(ctx context.Context, repository *git.Repository, standard, known string) (string, error) {
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
	if fact.Kind != tree.File {
		return standard, nil
	}
	// What is wrong with the file is told by the survey.
	c, problems := target.ParseConfig(target.ConfigFile, fact.Data)
	if len(problems) > 0 {
		return cmp.Or(known, c.Branch(), standard), nil
	}
	return cmp.Or(c.Branch(), standard), nil
}

// local is a mirror as the bot works with it.
type local struct{ *git.Repository }

// Deploys implements bot.Copy.
func (l local) Deploys(ctx context.Context, standard, known string) (branch, tip string, err error) {
	if branch, err = deploying(ctx, l.Repository, standard, known); err != nil {
		return "", "", err
	}
	if tip, err = l.Resolve(ctx, "refs/heads/"+branch); errors.Is(err, git.ErrUnknownRevision) {
		return branch, "", nil
	}
	return branch, tip, err
}

// Has implements bot.Copy.
func (l local) Has(ctx context.Context, commit string) (bool, error) {
	_, err := l.Resolve(ctx, commit)
	if errors.Is(err, git.ErrUnknownRevision) {
		return false, nil
	}
	return err == nil, err
}

// Tree implements bot.Copy.
func (l local) Tree(ctx context.Context, commit string) (survey.Tree, error) {
	return l.Repository.Tree(ctx, commit)
}

// Merge implements bot.Copy.
func (l local) Merge(ctx context.Context, base, head string) (survey.Tree, error) {
	merged, err := l.Repository.Merge(ctx, base, head)
	if err != nil || len(merged.Conflicts) > 0 || merged.Unrelated {
		return nil, err
	}
	return l.Repository.Tree(ctx, merged.Tree)
}

// maxBetween is how many commits of one push the forge is asked about.
const maxBetween = 100

// Between implements bot.Copy.
func (l local) Between(ctx context.Context, before, after string) (commits []string, all bool, err error) {
	return l.Repository.Between(ctx, before, after, maxBetween)
}

// Undo implements bot.Copy. Where the branch is there already, because this was done
// before, the commit is the one that was made then: it is made on the same parent.
func (l local) Undo(ctx context.Context, u bot.Undoing) (rollout.Reversal, error) {
	for _, tip := range []string{"refs/heads/" + u.As + "~1", "refs/heads/" + u.Branch} {
		commit, err := l.Resolve(ctx, tip)
		if errors.Is(err, git.ErrUnknownRevision) {
			continue
		}
		if err != nil {
			return rollout.Reversal{}, err
		}
		undone, err := l.Repository.Undo(ctx, git.Undoing{Before: u.Before, After: u.After, Tip: commit, Paths: u.Paths, Message: u.Message, At: u.At})
		if err != nil {
			return rollout.Reversal{}, err
		}
		made, err := l.Resolve(ctx, "refs/heads/"+u.As)
		if err == nil && made == undone.Commit || tip == "refs/heads/"+u.Branch {
			return rollout.Reversal{Commit: undone.Commit, Files: undone.Files, Conflicts: undone.Conflicts, Nothing: undone.Nothing}, nil
		}
	}
	return rollout.Reversal{}, fmt.Errorf("revert on %s: %w", u.Branch, git.ErrUnknownRevision)
}

// Push implements bot.Copy.
func (l local) Push(ctx context.Context, to forge.Source, branch, commit string) (there string, err error) {
	passing("git push")
	there, err = l.Repository.Push(ctx, git.Source{URL: to.URL, User: to.User, Password: to.Password}, branch, commit)
	if errors.Is(err, git.ErrRefused) {
		return "", &ledger.Hopeless{Err: err}
	}
	return there, err
}
