package fake

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
)

// SaveComment edits the comment of ours that has the key, or adds one.
func (f *Forge) SaveComment(ctx context.Context, c forge.Comment) (id string, err error) {
	doing := "comment on " + gitops.PullRequest{Repo: c.Repo, Number: c.Number}.Name()
	if c.Commit != "" {
		doing = "comment on a commit of " + c.Repo.String()
	}
	err = f.call(ctx, "SaveComment", doing, func() error {
		in, err := f.repo(c.Repo)
		switch {
		case err == nil && c.Commit == "":
			_, _, err = f.pull(c.Repo, c.Number)
		case err == nil && c.Number != 0:
			err = errRefused
		}
		if err != nil {
			return err
		}
		on := place{c.Number, c.Commit}
		for _, known := range in.comments {
			if known.on == on && known.Author == Davit && known.Key == c.Key {
				known.Body, id = c.Body, known.ID
				return nil
			}
		}
		id = f.id()
		in.comments = append(in.comments, &comment{Comment{ID: id, Author: Davit, Key: c.Key, Body: c.Body}, on})
		return nil
	})
	return id, err
}

// SaveCheck edits the check that has the key, or adds one. Annotations are only added.
func (f *Forge) SaveCheck(ctx context.Context, c forge.Check) (id string, err error) {
	err = f.call(ctx, "SaveCheck", "save the check "+c.Name+" in "+c.Repo.String(), func() error {
		in, err := f.repo(c.Repo)
		if err != nil {
			return err
		}
		c.Annotations = slices.Clone(c.Annotations)
		for _, known := range in.checks {
			if known.Commit == c.Commit && known.Name == c.Name && known.Key == c.Key {
				id = known.ID
				had := known.Annotations
				*known = c
				known.ID, known.Annotations = id, append(had, c.Annotations[min(len(had), len(c.Annotations)):]...)
				return nil
			}
		}
		if c.Conclusion == forge.Dropped {
			return nil
		}
		id = f.id()
		c.ID = id
		in.checks = append(in.checks, &c)
		return nil
	})
	return id, err
}

// React adds a reaction, once.
func (f *Forge) React(ctx context.Context, r forge.Reaction) error {
	doing := "react to a comment on " + gitops.PullRequest{Repo: r.Repo, Number: r.Number}.Name()
	return f.call(ctx, "React", doing, func() error {
		in, err := f.repo(r.Repo)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(in.comments, func(c *comment) bool { return c.ID == r.Comment }) {
			return fmt.Errorf("there is no comment %s", r.Comment)
		}
		if !slices.Contains(in.reactions[r.Comment], r.Emoji) {
			in.reactions[r.Comment] = append(in.reactions[r.Comment], r.Emoji)
		}
		return nil
	})
}

// SaveDeployment adds what is new to the deployment that has the key, or adds one. One
// that is done takes the place of those of the environment that were.
func (f *Forge) SaveDeployment(ctx context.Context, d forge.Deployment) (id string, err error) {
	err = f.call(ctx, "SaveDeployment", "save a deployment in "+d.Repo.String(), func() error {
		in, err := f.repo(d.Repo)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(in.deploys, func(known *Deployment) bool {
			return known.Commit == d.Commit && known.Environment == d.Environment && known.Key == d.Key
		})
		switch {
		case at < 0 && d.Progress == forge.DeploymentOver:
			return nil
		case at < 0:
			at = len(in.deploys)
			in.deploys = append(in.deploys, &Deployment{ID: f.id(), Commit: d.Commit, Environment: d.Environment, Key: d.Key})
		}
		known, status := in.deploys[at], Status{d.Progress, d.Description, d.URL}
		if id = known.ID; known.says(status) {
			return nil
		}
		known.Said = append(known.Said, status)
		for _, other := range in.deploys {
			last := other.Said[len(other.Said)-1]
			if d.Progress == forge.DeploymentDone && other != known && other.Environment == d.Environment && last.Progress == forge.DeploymentDone {
				other.Said = append(other.Said, Status{forge.DeploymentOver, last.Description, last.URL})
			}
		}
		return nil
	})
	return id, err
}

// Propose opens a pull request of a branch that is at another commit than its base.
func (f *Forge) Propose(ctx context.Context, p forge.Proposal) (number string, err error) {
	var opened *gitops.PullRequest
	err = f.call(ctx, "Propose", "open a pull request in "+p.Repo.String(), func() error {
		in, err := f.repo(p.Repo)
		if err != nil {
			return err
		}
		for _, known := range in.pulls {
			if known.Head.Branch != p.Branch || known.FromFork() {
				continue
			}
			if known.Author == Davit {
				number = strconv.Itoa(known.Number)
				return nil
			}
			if known.State == gitops.Open && known.Base.Branch == p.Base {
				return errRefused
			}
		}
		head, base := in.branches[p.Branch], in.branches[p.Base]
		if head == "" || base == "" || head == base {
			return errRefused
		}
		opened = f.open(in, gitops.PullRequest{
			Repo: p.Repo, Title: p.Title, Draft: p.Draft, Author: Davit,
			Head: gitops.Revision{Branch: p.Branch, Commit: head}, Base: gitops.Revision{Branch: p.Base, Commit: base},
		})
		number, in.bodies[p.Branch] = strconv.Itoa(opened.Number), p.Body
		return nil
	})
	if opened != nil {
		f.Deliver(gitops.Event{Kind: gitops.Changed, Repo: p.Repo, Number: opened.Number, Actor: Davit, Updated: opened.Updated})
	}
	return number, err
}

// SaveIssue adds an issue, if none of ours has the key.
func (f *Forge) SaveIssue(ctx context.Context, i forge.Issue) (number string, err error) {
	err = f.call(ctx, "SaveIssue", "open an issue in "+i.Repo.String(), func() error {
		in, err := f.repo(i.Repo)
		if err != nil {
			return err
		}
		for _, known := range in.issues {
			if known.Author == Davit && known.Key == i.Key {
				number = known.Number
				return nil
			}
		}
		number = f.id()
		in.issues = append(in.issues, &Issue{Number: number, Author: Davit, Key: i.Key, Title: i.Title, Body: i.Body})
		return nil
	})
	return number, err
}
