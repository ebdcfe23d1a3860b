package github

import (
	"context"

	"github.com/google/go-github/v62/github"

	"github.com/davitops/davit/internal/forge"
)

// SaveIssue opens an issue that ends with the key's marker, unless the App has opened
// one before.
func (g *GitHub) SaveIssue(ctx context.Context, i forge.Issue) (string, error) {
	doing := "open an issue in " + i.Repo.String()
	body, why := mark(i.Body, i.Key)
	if why != "" {
		return "", refused(doing, why)
	}
	title := line(i.Title, maxHeading)
	if title == "" {
		return "", refused(doing, "it has no title")
	}
	return g.write(ctx, i.Repo, doing, func(s site) (int64, error) {
		return g.save(artefact{"issue", i.Repo.Path, "", i.Key}, way{
			find: func() (int64, error) { return g.findIssue(ctx, s, i) },
			edit: leave,
			create: func() (int64, error) {
				made, _, err := s.Issues.Create(ctx, s.owner, s.name, &github.IssueRequest{Title: &title, Body: &body})
				return int64(made.GetNumber()), err
			},
		})
	})
}

// findIssue looks through what the App has opened, which to GitHub is issues and pull
// requests alike. Of several with the key, which only a race can have made, the oldest is
// it.
func (g *GitHub) findIssue(ctx context.Context, s site, i forge.Issue) (int64, error) {
	bot, err := g.self(ctx, s)
	if err != nil {
		return 0, err
	}
	all, err := pages(func(page github.ListOptions) ([]*github.Issue, *github.Response, error) {
		return s.Issues.ListByRepo(ctx, s.owner, s.name, &github.IssueListByRepoOptions{
			State: "all", Creator: bot.Login, Direction: "asc", ListOptions: page,
		})
	})
	var oldest int64
	for _, found := range all {
		if found.IsPullRequest() || found.GetUser().GetID() != bot.ID || marked(found.GetBody()) != i.Key {
			continue
		}
		if number := int64(found.GetNumber()); oldest == 0 || number < oldest {
			oldest = number
		}
	}
	return oldest, err
}
