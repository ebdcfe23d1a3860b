package fake

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
)

// Davit is who our comments are by.
var Davit = gitops.Actor{ID: "1", Login: "davit[bot]", Bot: true}

// Comment is a comment on a pull request. Key is of ours alone.
type Comment struct {
	ID     string
	Author gitops.Actor
	Key    string
	Body   string
}

// Add makes a repository that git fetches from an URL.
func (f *Forge) Add(path, clone string, private bool) gitops.Repo {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.repos[path] = &repo{
		private: private, clone: clone, branches: map[string]string{}, roles: map[string]string{}, reactions: map[string][]forge.Emoji{},
	}
	return gitops.Repo{Forge: f.options.Name, Path: path}
}

// Suspend takes all that Davit may do in a repository away, or gives it back.
func (f *Forge) Suspend(r gitops.Repo, suspended bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.repos[r.Path].suspended = suspended
}

// Person is who has a login.
func (f *Forge) Person(login string) gitops.Actor {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.person(login)
}

func (f *Forge) person(login string) gitops.Actor {
	if _, known := f.people[login]; !known {
		f.people[login] = gitops.Actor{ID: strconv.Itoa(1000 + len(f.people)), Login: login}
	}
	return f.people[login]
}

// Permit gives somebody a role: read, write, admin; none takes it away.
func (f *Forge) Permit(r gitops.Repo, login, role string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.person(login)
	f.must(r).roles[login] = role
}

// must is for the methods of people, who only act on what is there.
func (f *Forge) must(r gitops.Repo) *repo {
	in, err := f.repo(r)
	if err != nil {
		panic(err)
	}
	return in
}

// Open opens a pull request with the given title, author, draft, head and base; a head
// without a repository is of the same one, and the default branch is main if none is
// given. Its branches are at its commits, the base only if it is nowhere yet. It returns
// its number.
func (f *Forge) Open(p gitops.PullRequest) int {
	f.mu.Lock()
	in := f.must(p.Repo)
	p.Number = len(in.pulls) + 1
	p.URL = fmt.Sprintf("https://forge.acme.example/%s/pull/%d", p.Repo.Path, p.Number)
	p.State, p.Private, p.Updated = gitops.Open, in.private, f.options.Now().UTC()
	p.Base.Repo, p.Default = p.Repo, cmp.Or(p.Default, "main")
	if p.Head.Repo == (gitops.Repo{}) {
		p.Head.Repo = p.Repo
	}
	in.branches[p.Base.Branch] = cmp.Or(in.branches[p.Base.Branch], p.Base.Commit)
	if !p.FromFork() {
		in.branches[p.Head.Branch] = p.Head.Commit
	}
	in.pulls = append(in.pulls, &p)
	f.mu.Unlock()
	f.Deliver(gitops.Event{Kind: gitops.Changed, Repo: p.Repo, Number: p.Number, Actor: p.Author, Updated: p.Updated})
	return p.Number
}

// Change changes a pull request: its title, its draft, its commits, its state.
func (f *Forge) Change(r gitops.Repo, number int, who gitops.Actor, change func(*gitops.PullRequest)) {
	f.mu.Lock()
	p := f.must(r).pulls[number-1]
	change(p)
	p.Updated = f.options.Now().UTC()
	updated := p.Updated
	f.mu.Unlock()
	f.Deliver(gitops.Event{Kind: gitops.Changed, Repo: r, Number: number, Actor: who, Updated: updated})
}

// Push pushes a commit to a pull request.
func (f *Forge) Push(r gitops.Repo, number int, commit string) {
	f.Change(r, number, gitops.Actor{}, func(p *gitops.PullRequest) {
		if p.Head.Commit = commit; !p.FromFork() {
			f.must(r).branches[p.Head.Branch] = commit
		}
	})
}

// Close closes a pull request without merging it.
func (f *Forge) Close(r gitops.Repo, number int) {
	f.Change(r, number, gitops.Actor{}, func(p *gitops.PullRequest) { p.State = gitops.Closed })
}

// Merge merges a pull request, which makes a commit on its base branch.
func (f *Forge) Merge(r gitops.Repo, number int, commit string) {
	var branch string
	f.Change(r, number, gitops.Actor{}, func(p *gitops.PullRequest) {
		p.State, p.Merge, branch = gitops.Merged, commit, p.Base.Branch
	})
	f.Move(r, branch, commit)
}

// Put puts a branch at a commit, and tells nobody. A branch at no commit is gone.
func (f *Forge) Put(r gitops.Repo, branch, commit string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.must(r).branches[branch] = commit
}

// Move puts a branch at a commit, and tells so.
func (f *Forge) Move(r gitops.Repo, branch, commit string) {
	f.Put(r, branch, commit)
	f.Deliver(gitops.Event{Kind: gitops.Pushed, Repo: r, Branch: branch, Commit: commit})
}

// Comment writes a comment as somebody, and returns its id.
func (f *Forge) Comment(r gitops.Repo, number int, login, body string) string {
	f.mu.Lock()
	in := f.must(r)
	c := &comment{Comment{ID: f.id(), Author: f.person(login), Body: body}, number}
	in.comments = append(in.comments, c)
	f.mu.Unlock()
	f.Deliver(gitops.Event{Kind: gitops.Commented, Repo: r, Number: number, Actor: c.Author, Comment: c.ID, Text: body})
	return c.ID
}

// EditComment changes what anybody's comment says.
func (f *Forge) EditComment(r gitops.Repo, id, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.must(r).comments {
		if c.ID == id {
			c.Body = body
		}
	}
}

// DeleteComment deletes anybody's comment.
func (f *Forge) DeleteComment(r gitops.Repo, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in := f.must(r)
	in.comments = slices.DeleteFunc(in.comments, func(c *comment) bool { return c.ID == id })
}

// Comments are those on a pull request, the oldest first.
func (f *Forge) Comments(r gitops.Repo, number int) []Comment {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []Comment
	for _, c := range f.must(r).comments {
		if c.number == number {
			found = append(found, c.Comment)
		}
	}
	return found
}

// Checks are those of a commit, the oldest first.
func (f *Forge) Checks(r gitops.Repo, commit string) []forge.Check {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []forge.Check
	for _, c := range f.must(r).checks {
		if c.Commit == commit {
			copied := *c
			copied.Annotations = slices.Clone(c.Annotations)
			found = append(found, copied)
		}
	}
	return found
}

// Reactions are ours to a comment.
func (f *Forge) Reactions(r gitops.Repo, comment string) []forge.Emoji {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.must(r).reactions[comment])
}
