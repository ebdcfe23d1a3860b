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

// Comment is a comment on a pull request or a commit. Key is of ours alone.
type Comment struct {
	ID     string
	Author gitops.Actor
	Key    string
	Body   string
}

// Deployment is a deployment with what was said of it, the oldest first.
type Deployment struct {
	ID          string
	Commit      string
	Environment string
	Key         string
	Said        []Status
}

// Status is what is said of a deployment at a time.
type Status struct {
	Progress    forge.Progress
	Description string
	URL         string
}

// says reports whether a status is the newest, or was before another deployment took this
// one's place.
func (d *Deployment) says(s Status) bool {
	for _, said := range slices.Backward(d.Said) {
		if said == s {
			return true
		}
		if said.Progress != forge.DeploymentOver {
			break
		}
	}
	return false
}

// Issue is an issue. Key is of ours alone.
type Issue struct {
	Number string
	Author gitops.Actor
	Key    string
	Title  string
	Body   string
	Closed bool
}

// defaultBranch is every repository's.
const defaultBranch = "main"

// Add makes a repository that git fetches from an URL.
func (f *Forge) Add(path, clone string, private bool) gitops.Repo {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.repos[path] = &repo{
		private: private, clone: clone, branches: map[string]string{}, bodies: map[string]string{}, roles: map[string]string{},
		reactions: map[string][]forge.Emoji{},
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
	opened := f.open(in, p)
	in.branches[p.Base.Branch] = cmp.Or(in.branches[p.Base.Branch], p.Base.Commit)
	if !opened.FromFork() {
		in.branches[p.Head.Branch] = p.Head.Commit
	}
	f.mu.Unlock()
	f.Deliver(gitops.Event{Kind: gitops.Changed, Repo: p.Repo, Number: opened.Number, Actor: p.Author, Updated: opened.Updated})
	return opened.Number
}

// open numbers a pull request and completes what it says. f.mu is held.
func (f *Forge) open(in *repo, p gitops.PullRequest) *gitops.PullRequest {
	p.Number = len(in.pulls) + 1
	p.URL = fmt.Sprintf("https://forge.acme.example/%s/pull/%d", p.Repo.Path, p.Number)
	p.State, p.Private, p.Updated = gitops.Open, in.private, f.options.Now().UTC()
	p.Base.Repo, p.Default = p.Repo, cmp.Or(p.Default, defaultBranch)
	if p.Head.Repo == (gitops.Repo{}) {
		p.Head.Repo = p.Repo
	}
	in.pulls = append(in.pulls, &p)
	return &p
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
	c := &comment{Comment{ID: f.id(), Author: f.person(login), Body: body}, place{number: number}}
	in.comments = append(in.comments, c)
	f.mu.Unlock()
	f.Deliver(gitops.Event{Kind: gitops.Commented, Repo: r, Number: number, Actor: c.Author, Comment: c.ID, Text: body, Written: f.options.Now().UTC()})
	return c.ID
}

// CommentCommit writes a comment on a commit as somebody, and returns its id.
func (f *Forge) CommentCommit(r gitops.Repo, commit, login, body string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	in := f.must(r)
	c := &comment{Comment{ID: f.id(), Author: f.person(login), Body: body}, place{commit: commit}}
	in.comments = append(in.comments, c)
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
	return f.commentsOn(r, place{number: number})
}

// CommitComments are those on a commit, the oldest first.
func (f *Forge) CommitComments(r gitops.Repo, commit string) []Comment {
	return f.commentsOn(r, place{commit: commit})
}

func (f *Forge) commentsOn(r gitops.Repo, on place) []Comment {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []Comment
	for _, c := range f.must(r).comments {
		if c.on == on {
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

// Deployments are those of a commit, the oldest first.
func (f *Forge) Deployments(r gitops.Repo, commit string) []Deployment {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []Deployment
	for _, d := range f.must(r).deploys {
		if d.Commit == commit {
			copied := *d
			copied.Said = slices.Clone(d.Said)
			found = append(found, copied)
		}
	}
	return found
}

// Proposals are the pull requests that we opened, as they are now.
func (f *Forge) Proposals(r gitops.Repo) []forge.Proposal {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []forge.Proposal
	in := f.must(r)
	for _, p := range in.pulls {
		if p.Author == Davit {
			found = append(found, forge.Proposal{
				Repo: r, Branch: p.Head.Branch, Base: p.Base.Branch, Title: p.Title, Body: in.bodies[p.Head.Branch], Draft: p.Draft,
			})
		}
	}
	return found
}

// Issues are all, the oldest first.
func (f *Forge) Issues(r gitops.Repo) []Issue {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []Issue
	for _, i := range f.must(r).issues {
		found = append(found, *i)
	}
	return found
}

// OpenIssue opens an issue as somebody.
func (f *Forge) OpenIssue(r gitops.Repo, login, title, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in := f.must(r)
	in.issues = append(in.issues, &Issue{Number: f.id(), Author: f.person(login), Title: title, Body: body})
}

// CloseIssue closes anybody's issue.
func (f *Forge) CloseIssue(r gitops.Repo, number string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, i := range f.must(r).issues {
		i.Closed = i.Closed || i.Number == number
	}
}
