package github

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"github.com/google/go-github/v62/github"

	"github.com/davitops/davit/internal/forge"
)

// maxStatus is GitHub's limit for what a deployment's status says, in characters.
const maxStatus = 140

// states are how far deployments have come, in GitHub's words.
var states = map[forge.Progress]string{
	forge.DeploymentQueued: "queued", forge.DeploymentWaiting: "pending", forge.DeploymentRunning: "in_progress",
	forge.DeploymentDone: "success", forge.DeploymentFailed: "failure", forge.DeploymentUnclear: "error", forge.DeploymentOver: "inactive",
}

// deploymentPayload is what a deployment carries for whoever made it.
type deploymentPayload struct {
	Key string `json:"davit"`
}

// SaveDeployment adds a status to the deployment that has the key in its payload and is
// by the App, or creates it. GitHub itself makes the earlier ones of the environment
// inactive when one succeeds, which is what its page of environments lives by.
func (g *GitHub) SaveDeployment(ctx context.Context, d forge.Deployment) (string, error) {
	doing := "save a deployment in " + d.Repo.String()
	state, known := states[d.Progress]
	switch {
	case !known:
		return "", refused(doing, "that is no state of a deployment")
	case !commits.MatchString(d.Commit) || d.Environment == "" || d.Key == "":
		return "", refused(doing, "it has no commit, no environment or no key")
	}
	says := &github.DeploymentStatusRequest{State: &state, Description: github.String(line(d.Description, maxStatus))}
	if d.URL != "" {
		says.LogURL = &d.URL
	}
	return g.write(ctx, d.Repo, doing, func(s site) (int64, error) { return g.saveDeployment(ctx, s, d, says) })
}

func (g *GitHub) saveDeployment(ctx context.Context, s site, d forge.Deployment, says *github.DeploymentStatusRequest) (int64, error) {
	silent := false // it does not say this yet
	id, err := g.save(artefact{"deployment", d.Repo.Path, d.Commit + " " + d.Environment, d.Key}, way{
		find: func() (int64, error) { return g.findDeployment(ctx, s, d) },
		edit: func(id int64) (err error) {
			silent, err = unsaid(ctx, s, id, says)
			return err
		},
		create: func() (int64, error) {
			if d.Progress == forge.DeploymentOver {
				return 0, errNothing
			}
			silent = true
			made, _, err := s.Repositories.CreateDeployment(ctx, s.owner, s.name, &github.DeploymentRequest{
				Ref: &d.Commit, Environment: &d.Environment, Payload: deploymentPayload{d.Key},
				// Left to itself, GitHub merges the default branch into what it is to deploy, and
				// demands every check of it.
				AutoMerge: github.Bool(false), RequiredContexts: &[]string{},
			})
			return made.GetID(), err
		},
	})
	if err != nil || !silent {
		return id, err
	}
	_, _, err = s.Repositories.CreateDeploymentStatus(ctx, s.owner, s.name, id, says)
	return id, err
}

// findDeployment looks through the deployments of the commit to the environment. Of
// several with the key, which only a race can have made, people see the newest.
func (g *GitHub) findDeployment(ctx context.Context, s site, d forge.Deployment) (int64, error) {
	bot, err := g.self(ctx, s)
	if err != nil {
		return 0, err
	}
	all, err := pages(func(page github.ListOptions) ([]*github.Deployment, *github.Response, error) {
		return s.Repositories.ListDeployments(ctx, s.owner, s.name, &github.DeploymentsListOptions{
			SHA: d.Commit, Environment: d.Environment, ListOptions: page,
		})
	})
	var newest int64
	for _, made := range all {
		if made.GetSHA() == d.Commit && made.GetEnvironment() == d.Environment && made.GetCreator().GetID() == bot.ID && keyOf(made) == d.Key {
			newest = max(newest, made.GetID())
		}
	}
	return newest, err
}

// keyOf reads a payload, which GitHub lets be an object or text.
func keyOf(d *github.Deployment) string {
	content := []byte(d.Payload)
	var text string
	if json.Unmarshal(content, &text) == nil {
		content = []byte(text)
	}
	var p deploymentPayload
	if json.Unmarshal(content, &p) != nil {
		return "" // it is somebody else's
	}
	return p.Key
}

// unsaid reports whether a deployment does not say something yet. GitHub adds a status
// that is inactive when another deployment takes the place of one that succeeded: to say
// again that it succeeded would take the place back.
func unsaid(ctx context.Context, s site, id int64, says *github.DeploymentStatusRequest) (bool, error) {
	all, err := pages(func(page github.ListOptions) ([]*github.DeploymentStatus, *github.Response, error) {
		return s.Repositories.ListDeploymentStatuses(ctx, s.owner, s.name, id, &page)
	})
	slices.SortFunc(all, func(a, b *github.DeploymentStatus) int { return cmp.Compare(b.GetID(), a.GetID()) })
	for _, said := range all {
		if said.GetState() == says.GetState() && said.GetDescription() == says.GetDescription() && said.GetLogURL() == says.GetLogURL() {
			return false, err
		}
		if said.GetState() != states[forge.DeploymentOver] {
			break
		}
	}
	return true, err
}
