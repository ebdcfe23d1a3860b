package github

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/davitops/davit/internal/gitops"
)

// maxWritten bounds what is remembered of our own writes.
const maxWritten = 10_000

// artefact names something that Davit writes: a comment on a pull request, a check run
// of a commit.
type artefact struct{ kind, repo, on, key string }

// way is how one kind of artefact is written. find returns 0 if it is not there.
type way struct {
	find   func() (int64, error)
	edit   func(id int64) error
	create func() (int64, error)
}

// leave is the edit of what people may have changed: once it is there, it is theirs.
func leave(int64) error { return nil }

// errNothing ends what has nothing to do: what was dropped before it was there.
var errNothing = errors.New("there is nothing to be dropped")

// write writes something in a repository, and returns its id.
func (g *GitHub) write(ctx context.Context, repo gitops.Repo, doing string, do func(site) (int64, error)) (string, error) {
	var id int64
	err := g.on(ctx, repo, doing, func(s site) (err error) {
		id, err = do(s)
		return err
	})
	switch {
	case errors.Is(err, errNothing):
		return "", nil
	case err != nil:
		return "", err
	}
	return strconv.FormatInt(id, 10), nil
}

// save edits an artefact where it is, and creates it where it is not. What this
// process wrote itself it need not look for, and GitHub's lists may be some seconds
// behind; an id from elsewhere could be anything's, and GitHub lets an App edit other
// people's comments.
func (g *GitHub) save(a artefact, by way) (int64, error) {
	if id := g.remembered(a); id != 0 {
		if err := by.edit(id); status(err) != http.StatusNotFound { // else somebody deleted it
			return id, err
		}
	}
	id, err := by.find()
	if err != nil {
		return 0, err
	}
	if id != 0 {
		err = by.edit(id)
	}
	if id == 0 || status(err) == http.StatusNotFound { // a list may still have what was deleted
		if id, err = by.create(); err == nil && id == 0 {
			err = errNoID
		}
	}
	if err != nil {
		return 0, err
	}
	g.remember(a, id)
	return id, nil
}

func (g *GitHub) remembered(a artefact) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.written[a]
}

// remember keeps an id. At its bound, everything else is found by its key again.
func (g *GitHub) remember(a artefact, id int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.written) >= maxWritten {
		clear(g.written)
	}
	g.written[a] = id
}
