package github_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	api "github.com/google/go-github/v62/github"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/forge/forgetest"
)

// all reads a list of the stage's to its end.
func all[T any](s *stage, page func(api.ListOptions) ([]T, *api.Response, error)) []T {
	s.Helper()
	var found []T
	for options := (api.ListOptions{Page: 1, PerPage: 100}); options.Page != 0; {
		some, answer, err := page(options)
		s.must(err)
		found, options.Page = append(found, some...), answer.NextPage
	}
	return found
}

func (s *stage) CommentCommit(login, commit, body string) string {
	c, _, err := s.as(login).Repositories.CreateComment(s.Context(), "acme", "gitops", commit, &api.RepositoryComment{Body: &body})
	s.must(err)
	return strconv.FormatInt(c.GetID(), 10)
}

func (s *stage) CommitComments(commit string) []forgetest.Comment {
	var found []forgetest.Comment
	for _, c := range all(s, func(page api.ListOptions) ([]*api.RepositoryComment, *api.Response, error) {
		return s.as("carol").Repositories.ListCommitComments(s.Context(), "acme", "gitops", commit, &page)
	}) {
		found = append(found, forgetest.Comment{ID: strconv.FormatInt(c.GetID(), 10), Login: c.GetUser().GetLogin(), Body: c.GetBody()})
	}
	return found
}

func (s *stage) OpenIssue(login, title, body string) {
	_, _, err := s.as(login).Issues.Create(s.Context(), "acme", "gitops", &api.IssueRequest{Title: &title, Body: &body})
	s.must(err)
}

func (s *stage) CloseIssue(number string) {
	_, _, err := s.as("carol").Issues.Edit(s.Context(), "acme", "gitops", int(s.id(number)), &api.IssueRequest{State: api.String("closed")})
	s.must(err)
}

func (s *stage) Issues() []forgetest.Issue {
	var found []forgetest.Issue
	for _, i := range all(s, func(page api.ListOptions) ([]*api.Issue, *api.Response, error) {
		return s.as("carol").Issues.ListByRepo(s.Context(), "acme", "gitops", &api.IssueListByRepoOptions{State: "all", Direction: "asc", ListOptions: page})
	}) {
		if !i.IsPullRequest() {
			found = append(found, forgetest.Issue{
				Number: fmt.Sprint(i.GetNumber()), Title: i.GetTitle(), Body: i.GetBody(),
				Ours: i.GetUser().GetLogin() == "davit[bot]", Closed: i.GetState() == "closed",
			})
		}
	}
	return found
}

// destination is where git pushes with what Destination gives.
func (s *stage) destination() string {
	to, err := s.forge.Destination(s.Context(), s.Repo())
	s.must(err)
	u, err := url.Parse(to.URL)
	s.must(err)
	u.User = url.UserPassword(to.User, to.Password)
	return u.String()
}

func (s *stage) PushBranch(name string) string {
	made := s.git(s.work, "commit-tree", "-p", "main", "-m", "Of "+name, "main^{tree}")
	s.git(s.work, "push", "--quiet", s.destination(), made+":refs/heads/"+name)
	return made
}

func (s *stage) Proposals() []forge.Proposal {
	var found []forge.Proposal
	for _, p := range all(s, func(page api.ListOptions) ([]*api.PullRequest, *api.Response, error) {
		return s.as("carol").PullRequests.List(s.Context(), "acme", "gitops", &api.PullRequestListOptions{State: "all", Direction: "asc", ListOptions: page})
	}) {
		if p.GetUser().GetLogin() == "davit[bot]" {
			found = append(found, forge.Proposal{
				Branch: p.GetHead().GetRef(), Base: p.GetBase().GetRef(), Title: p.GetTitle(), Body: p.GetBody(), Draft: p.GetDraft(),
			})
		}
	}
	return found
}

var progresses = map[string]forge.Progress{
	"queued": forge.DeploymentQueued, "pending": forge.DeploymentWaiting, "in_progress": forge.DeploymentRunning, "success": forge.DeploymentDone,
	"failure": forge.DeploymentFailed, "error": forge.DeploymentUnclear, "inactive": forge.DeploymentOver,
}

func (s *stage) Deployments(commit string) []forgetest.Deployment {
	var found []forgetest.Deployment
	carol := s.as("carol").Repositories
	for _, d := range slices.Backward(all(s, func(page api.ListOptions) ([]*api.Deployment, *api.Response, error) {
		return carol.ListDeployments(s.Context(), "acme", "gitops", &api.DeploymentsListOptions{SHA: commit, ListOptions: page})
	})) {
		var payload map[string]string
		s.must(json.Unmarshal(d.Payload, &payload))
		made := forgetest.Deployment{Deployment: forge.Deployment{
			Commit: d.GetSHA(), Environment: d.GetEnvironment(), Key: payload["davit"], ID: strconv.FormatInt(d.GetID(), 10),
		}}
		for _, st := range slices.Backward(all(s, func(page api.ListOptions) ([]*api.DeploymentStatus, *api.Response, error) {
			return carol.ListDeploymentStatuses(s.Context(), "acme", "gitops", d.GetID(), &page)
		})) {
			made.Progress, made.Description, made.URL = progresses[st.GetState()], st.GetDescription(), st.GetLogURL()
			made.Said = append(made.Said, made.Progress)
		}
		found = append(found, made)
	}
	return found
}
