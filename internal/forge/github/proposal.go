package github

import (
	"context"
	"net/http"

	"github.com/google/go-github/v62/github"

	"github.com/davitops/davit/internal/forge"
)

// maxHeading is GitHub's limit for the title of a pull request or an issue, in
// characters.
const maxHeading = 256

// Propose opens a pull request between two branches of a repository, unless the App has
// opened one before. GitHub itself lets no second one be open.
func (g *GitHub) Propose(ctx context.Context, p forge.Proposal) (string, error) {
	doing := "open a pull request in " + p.Repo.String()
	if p.Title = line(p.Title, maxHeading); p.Title == "" || !validBranch(p.Branch) || !validBranch(p.Base) {
		return "", refused(doing, "it has no title, or is not between two branches")
	}
	return g.write(ctx, p.Repo, doing, func(s site) (int64, error) {
		find := func() (int64, error) { return g.findProposal(ctx, s, p) }
		return g.save(artefact{"proposal", p.Repo.Path, "", p.Branch}, way{find: find, edit: leave, create: func() (int64, error) {
			number, err := propose(ctx, s, p)
			if status(err) == http.StatusUnprocessableEntity { // it may be there by now: a list may be behind
				if known, found := find(); known != 0 && found == nil {
					return known, nil
				}
			}
			return number, err
		}})
	})
}

// propose asks without a draft if it may not be one: GitHub has none in private
// repositories of some plans, and no other sign than the status.
func propose(ctx context.Context, s site, p forge.Proposal) (int64, error) {
	asked := &github.NewPullRequest{Title: &p.Title, Head: &p.Branch, Base: &p.Base, Body: &p.Body, Draft: &p.Draft}
	made, _, err := s.PullRequests.Create(ctx, s.owner, s.name, asked)
	if p.Draft && status(err) == http.StatusUnprocessableEntity {
		asked.Draft = github.Bool(false)
		made, _, err = s.PullRequests.Create(ctx, s.owner, s.name, asked)
	}
	return int64(made.GetNumber()), err
}

// findProposal looks through the pull requests of the branch, whatever became of them.
// An owner's other repositories may have a branch of the name, too.
func (g *GitHub) findProposal(ctx context.Context, s site, p forge.Proposal) (int64, error) {
	bot, err := g.self(ctx, s)
	if err != nil {
		return 0, err
	}
	all, err := pages(func(page github.ListOptions) ([]*github.PullRequest, *github.Response, error) {
		return s.PullRequests.List(ctx, s.owner, s.name, &github.PullRequestListOptions{
			State: "all", Head: s.owner + ":" + p.Branch, ListOptions: page,
		})
	})
	var oldest int64
	for _, found := range all {
		head, base := found.GetHead(), found.GetBase()
		if found.GetUser().GetID() != bot.ID || head.GetRef() != p.Branch || head.GetRepo().GetID() != base.GetRepo().GetID() {
			continue
		}
		if number := int64(found.GetNumber()); oldest == 0 || number < oldest {
			oldest = number
		}
	}
	return oldest, err
}
