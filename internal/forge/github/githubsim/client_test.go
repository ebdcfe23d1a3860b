package githubsim

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-github/v62/github"
)

// clients are GitHub's own way to be asked, at a prefix of the API.
func (w *world) clients(prefix string) (app, bot *github.Client) {
	w.t.Helper()
	apps, err := ghinstallation.NewAppsTransport(http.DefaultTransport, appID, keyPEM())
	if err != nil {
		w.t.Fatal(err)
	}
	apps.BaseURL = w.url + prefix
	installed := ghinstallation.NewFromAppsTransport(apps, w.installation())
	installed.BaseURL = w.url + prefix
	base, err := url.Parse(w.url + prefix + "/")
	if err != nil {
		w.t.Fatal(err)
	}
	app, bot = github.NewClient(&http.Client{Transport: apps}), github.NewClient(&http.Client{Transport: installed})
	app.BaseURL, bot.BaseURL = base, base
	return app, bot
}

// The library that programs ask GitHub with takes what the simulator answers.
func TestLibrary(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "/api/v3"} {
		t.Run("at "+prefix, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, usualSeed)
			c, n := w.pull("more")
			head := c.git("rev-parse", "HEAD")
			app, bot := w.clients(prefix)
			ctx := t.Context()
			check := func(what string, err error) {
				t.Helper()
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			installation, _, err := app.Apps.FindRepositoryInstallation(ctx, "acme", "gitops")
			check("find the installation", err)
			if installation.GetID() != w.installation() || installation.GetPermissions().GetChecks() != "write" {
				t.Errorf("the installation: %v", installation)
			}
			repos, _, err := bot.Apps.ListRepos(ctx, nil)
			check("list repositories", err)
			if repos.GetTotalCount() != 2 {
				t.Errorf("%d repositories", repos.GetTotalCount())
			}
			pull, _, err := bot.PullRequests.Get(ctx, "acme", "gitops", n)
			check("get the pull request", err)
			if pull.GetHead().GetSHA() != head || pull.Mergeable != nil || pull.GetUser().GetLogin() != "alice" || pull.GetChangedFiles() != 1 {
				t.Errorf("the pull request: %v", pull)
			}
			comment, _, err := bot.Issues.CreateComment(ctx, "acme", "gitops", n, &github.IssueComment{Body: github.String("a")})
			check("comment", err)
			_, _, err = bot.Reactions.CreateIssueCommentReaction(ctx, "acme", "gitops", comment.GetID(), "eyes")
			check("react", err)
			_, _, err = bot.Issues.AddLabelsToIssue(ctx, "acme", "gitops", n, []string{"big"})
			check("label", err)
			run, _, err := bot.Checks.CreateCheckRun(ctx, "acme", "gitops", github.CreateCheckRunOptions{
				Name: "davit", HeadSHA: head, Status: github.String("in_progress"), ExternalID: github.String(fmt.Sprint(n)),
				Output: &github.CheckRunOutput{Title: github.String("t"), Summary: github.String("s")},
			})
			check("create a check run", err)
			_, _, err = bot.Checks.UpdateCheckRun(ctx, "acme", "gitops", run.GetID(), github.UpdateCheckRunOptions{
				Name: "davit", Conclusion: github.String("success"),
				Actions: []*github.CheckRunAction{{Label: "Apply", Description: "Apply it", Identifier: "apply"}},
			})
			check("complete it", err)
			runs, _, err := bot.Checks.ListCheckRunsForRef(ctx, "acme", "gitops", head, &github.ListCheckRunsOptions{CheckName: github.String("davit")})
			check("list check runs", err)
			if runs.GetTotal() != 1 || runs.CheckRuns[0].GetConclusion() != "success" {
				t.Errorf("check runs: %v", runs)
			}
			level, _, err := bot.Repositories.GetPermissionLevel(ctx, "acme", "gitops", "bob")
			check("permission", err)
			if level.GetPermission() != "write" || level.GetUser().GetRoleName() != "maintain" {
				t.Errorf("bob's permission: %v", level)
			}
			_, _, err = bot.Repositories.CreateDeployment(ctx, "acme", "gitops", &github.DeploymentRequest{
				Ref: github.String(head), AutoMerge: github.Bool(false), RequiredContexts: &[]string{},
			})
			check("deploy", err)
			deliveries, response, err := app.Apps.ListHookDeliveries(ctx, &github.ListCursorOptions{PerPage: 1})
			check("list deliveries", err)
			if len(deliveries) != 1 || response.Cursor == "" {
				t.Fatalf("%d deliveries, cursor %q", len(deliveries), response.Cursor)
			}
			_, _, err = app.Apps.RedeliverHookDelivery(ctx, deliveries[0].GetID())
			var accepted *github.AcceptedError
			if err != nil && !errors.As(err, &accepted) {
				t.Errorf("redeliver: %v", err)
			}
			if user, _, err := bot.Users.Get(ctx, "davit[bot]"); err != nil || user.GetType() != "Bot" {
				t.Errorf("the bot: %v, %v", user, err)
			}
			for _, h := range w.heard() {
				text, err := encode(h.body)
				check("encode", err)
				if _, err := github.ParseWebHook(h.event, text); err != nil {
					t.Errorf("%s %s: %v", h.event, h.action, err)
				}
			}
		})
	}
}

// The library knows the limits for what they are, as 403 (forges.md 0.4).
func TestLibraryKnowsLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	_, bot := w.clients("")
	w.fault(Fault{Path: "/repos/*/*", Limit: "secondary", RetryAfter: 3})
	_, _, err := bot.Repositories.Get(t.Context(), "acme", "gitops")
	var secondary *github.AbuseRateLimitError
	if !errors.As(err, &secondary) || secondary.RetryAfter.Seconds() != 3 {
		t.Errorf("a secondary limit: %v", err)
	}
	_, bot = w.clients("")
	w.fault(Fault{Path: "/repos/*/*", Limit: "primary"})
	_, _, err = bot.Repositories.Get(t.Context(), "acme", "gitops")
	var primary *github.RateLimitError
	if !errors.As(err, &primary) || primary.Rate.Remaining != 0 {
		t.Errorf("a primary limit: %v", err)
	}
}
