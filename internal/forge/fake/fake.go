// Package fake is a forge in memory, for tests of whatever uses one. It keeps the
// contract as forge/forgetest tells it; people act on it through the methods of
// people.go, and it fails where a test says so. It has no git, no network and no
// rights but those of pushing, and no product ever runs on it.
package fake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
)

var _ forge.Forge = (*Forge)(nil)

// Options are what a test says about its forge.
type Options struct {
	Name    string           // of the forge; "" is "fake"
	Secrets []string         // of its deliveries
	Now     func() time.Time // nil is time.Now
	// Receive takes a delivery and reports whether it arrived; nil takes none. It is
	// called by whatever made the event, one at a time.
	Receive func(header func(name string) string, body []byte) bool
}

// Forge is a forge in memory. It may be used concurrently.
type Forge struct {
	options Options
	sending sync.Mutex // held while Receive runs

	mu         sync.Mutex
	last       int // id that was given
	repos      map[string]*repo
	people     map[string]gitops.Actor // by login
	faults     []Fault
	calls      map[string]int
	deliveries []*delivery
}

type repo struct {
	private   bool
	suspended bool
	clone     string
	branches  map[string]string     // where they are
	pulls     []*gitops.PullRequest // by number, from 1
	comments  []*comment
	checks    []*forge.Check
	deploys   []*Deployment
	issues    []*Issue
	bodies    map[string]string // of the pull requests that we opened, by branch
	roles     map[string]string // by login
	reactions map[string][]forge.Emoji
}

type comment struct {
	Comment
	on place
}

// place is where comments are: a pull request or a commit.
type place struct {
	number int
	commit string
}

// Fault is how a forge fails.
type Fault struct {
	Call  string // the method's name; "" is any
	Times int    // 0 is once
	Class forge.Class
	Until time.Time // of Limited
	Done  bool      // what was asked is done, and only the answer is lost
}

// New returns a forge without repositories.
func New(o Options) *Forge {
	if o.Name == "" {
		o.Name = "fake"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Forge{options: o, repos: map[string]*repo{}, people: map[string]gitops.Actor{}, calls: map[string]int{}}
}

// Fail makes the next calls fail.
func (f *Forge) Fail(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fault.Times = max(fault.Times, 1)
	f.faults = append(f.faults, fault)
}

// Calls is how often a method was called.
func (f *Forge) Calls(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

// call does what a method does, as a test wants it to go.
func (f *Forge) call(ctx context.Context, method, doing string, do func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[method]++
	if err := ctx.Err(); err != nil {
		return &forge.Error{Class: forge.Unavailable, Doing: doing, Err: err}
	}
	at := slices.IndexFunc(f.faults, func(x Fault) bool { return x.Call == "" || x.Call == method })
	if at < 0 {
		return failed(doing, do())
	}
	fault := f.faults[at]
	if f.faults[at].Times--; f.faults[at].Times == 0 {
		f.faults = slices.Delete(f.faults, at, at+1)
	}
	if fault.Done {
		if err := do(); err != nil {
			return failed(doing, err)
		}
	}
	return &forge.Error{Class: fault.Class, Doing: doing, Until: fault.Until, Err: errors.New("a test wants it to go wrong")}
}

var (
	errSuspended = errors.New("the repository's owner has suspended Davit")
	errRefused   = errors.New("that is nothing that a forge would do")
)

func failed(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errSuspended):
		return &forge.Error{Class: forge.Forbidden, Doing: doing, Err: err}
	case errors.Is(err, errRefused):
		return &forge.Error{Class: forge.Refused, Doing: doing, Err: err}
	default:
		return &forge.Error{Class: forge.Gone, Doing: doing, Err: err}
	}
}

func (f *Forge) repo(r gitops.Repo) (*repo, error) {
	found := f.repos[r.Path]
	switch {
	case found == nil || r.Forge != f.options.Name:
		return nil, fmt.Errorf("there is no repository %s", r)
	case found.suspended:
		return nil, errSuspended
	default:
		return found, nil
	}
}

func (f *Forge) pull(r gitops.Repo, number int) (*repo, *gitops.PullRequest, error) {
	in, err := f.repo(r)
	if err != nil {
		return nil, nil, err
	}
	if number < 1 || number > len(in.pulls) {
		return nil, nil, fmt.Errorf("there is no pull request %s#%d", r, number)
	}
	return in, in.pulls[number-1], nil
}

func (f *Forge) id() string {
	f.last++
	return strconv.Itoa(f.last)
}

// Repositories are all that are not suspended.
func (f *Forge) Repositories(ctx context.Context) (all []gitops.Repo, err error) {
	err = f.call(ctx, "Repositories", "list the repositories", func() error {
		for path, in := range f.repos {
			if !in.suspended {
				all = append(all, gitops.Repo{Forge: f.options.Name, Path: path})
			}
		}
		slices.SortFunc(all, func(a, b gitops.Repo) int { return strings.Compare(a.Path, b.Path) })
		return nil
	})
	return all, err
}

// Repository returns the facts about one. Its default branch is main.
func (f *Forge) Repository(ctx context.Context, r gitops.Repo) (found forge.Repository, err error) {
	err = f.call(ctx, "Repository", "read the repository "+r.String(), func() error {
		in, err := f.repo(r)
		if err == nil {
			found = forge.Repository{Repo: r, Default: defaultBranch, Private: in.private}
		}
		return err
	})
	return found, err
}

// PullRequest returns one as it is now.
func (f *Forge) PullRequest(ctx context.Context, r gitops.Repo, number int) (found gitops.PullRequest, err error) {
	doing := "read the pull request " + gitops.PullRequest{Repo: r, Number: number}.Name()
	err = f.call(ctx, "PullRequest", doing, func() error {
		_, p, err := f.pull(r, number)
		if err == nil {
			found = *p
		}
		return err
	})
	return found, err
}

// PullRequests are the open ones, the oldest first.
func (f *Forge) PullRequests(ctx context.Context, r gitops.Repo) (open []gitops.PullRequest, err error) {
	err = f.call(ctx, "PullRequests", "list the open pull requests of "+r.String(), func() error {
		in, err := f.repo(r)
		if err != nil {
			return err
		}
		for _, p := range in.pulls {
			if p.State == gitops.Open {
				open = append(open, *p)
			}
		}
		return nil
	})
	return open, err
}

// Merged are those whose merge made the commit, or whose own last commit it is.
func (f *Forge) Merged(ctx context.Context, r gitops.Repo, commit string) (merged []gitops.PullRequest, err error) {
	err = f.call(ctx, "Merged", "read how a commit came into "+r.String(), func() error {
		in, err := f.repo(r)
		if err != nil {
			return err
		}
		for _, p := range in.pulls {
			if p.State == gitops.Merged && (p.Merge == commit || p.Head.Commit == commit) {
				merged = append(merged, *p)
			}
		}
		return nil
	})
	return merged, err
}

// Tip is where a test has put the branch.
func (f *Forge) Tip(ctx context.Context, r gitops.Repo, branch string) (commit string, err error) {
	err = f.call(ctx, "Tip", "read where a branch of "+r.String()+" is", func() error {
		in, err := f.repo(r)
		if err != nil {
			return err
		}
		if commit = in.branches[branch]; commit == "" {
			return fmt.Errorf("there is no branch %q", branch)
		}
		return nil
	})
	return commit, err
}

// MayWrite goes by who has the login now.
func (f *Forge) MayWrite(ctx context.Context, r gitops.Repo, who gitops.Actor) (may bool, err error) {
	err = f.call(ctx, "MayWrite", "read the permission of "+who.Login+" in "+r.String(), func() error {
		in, err := f.repo(r)
		if err != nil {
			return err
		}
		role := in.roles[who.Login]
		may = f.people[who.Login].ID == who.ID && (role == "write" || role == "admin")
		return nil
	})
	return may, err
}

// Source is what the repository was added with.
func (f *Forge) Source(ctx context.Context, r gitops.Repo) (source forge.Source, err error) {
	err = f.call(ctx, "Source", "get a token to fetch "+r.String(), func() error {
		in, err := f.repo(r)
		if err == nil {
			source = forge.Source{URL: in.clone, User: "fake", Password: "password"}
		}
		return err
	})
	return source, err
}

// Destination is where the repository was added from, with another password.
func (f *Forge) Destination(ctx context.Context, r gitops.Repo) (source forge.Source, err error) {
	err = f.call(ctx, "Destination", "get a token to push to "+r.String(), func() error {
		in, err := f.repo(r)
		if err == nil {
			source = forge.Source{URL: in.clone, User: "fake", Password: "password to push"}
		}
		return err
	})
	return source, err
}
