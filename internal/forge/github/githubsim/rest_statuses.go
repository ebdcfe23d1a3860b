package githubsim

import (
	"net/http"
	"slices"
	"time"
	"unicode/utf8"
)

// maxSaid is how long the description of a status may be, in characters.
const maxSaid = 140

func (c *call) createStatus() (answer, error) {
	var asked struct {
		State       string  `json:"state"`
		Context     *string `json:"context"`
		Description *string `json:"description"`
		TargetURL   *string `json:"target_url"`
	}
	if err := c.read(&asked); err != nil {
		return answer{}, err
	}
	sha := c.repo.git.commit(c.params["sha"])
	switch {
	case sha == "" || sha != c.params["sha"]:
		return answer{}, problem(http.StatusUnprocessableEntity, "No commit found for SHA: "+c.params["sha"])
	case !slices.Contains([]string{"error", "failure", "pending", "success"}, asked.State):
		return answer{}, invalid("Status", "state", "state is not included in the list")
	case asked.Description != nil && utf8.RuneCountInString(*asked.Description) > maxSaid:
		return answer{}, invalid("Status", "description", "description is too long (maximum is 140 characters)")
	}
	made := &status{
		id: c.id(), sha: sha, creator: c.actor.user, state: asked.State, context: "default",
		description: asked.Description, targetURL: asked.TargetURL, created: c.now(),
	}
	set(&made.context, asked.Context)
	c.repo.statuses = append(c.repo.statuses, made)
	view := c.statusView(c.repo, made)
	view["creator"] = c.userView(made.creator)
	return created(view)
}

// latest are the newest statuses of a commit, one for each context, and what they
// come to.
func (r *repository) latest(sha string) (latest []*status, state string) {
	seen := map[string]bool{}
	state = "success"
	for _, st := range r.statusesOf(sha) {
		if seen[st.context] {
			continue
		}
		seen[st.context] = true
		latest = append(latest, st)
		switch {
		case st.state == "error" || st.state == "failure":
			state = "failure"
		case st.state == "pending" && state == "success":
			state = "pending"
		}
	}
	if len(latest) == 0 {
		state = "pending"
	}
	return latest, state
}

func (c *call) combinedStatus() (answer, error) {
	sha := c.repo.git.commit(c.params["ref"])
	if sha == "" {
		return answer{}, notFound()
	}
	latest, state := c.repo.latest(sha)
	views := []object{}
	for _, st := range page(c, latest) {
		views = append(views, c.statusView(c.repo, st))
	}
	url := c.apiURL("/repos/%s/commits/%s", c.repo.fullName(), sha)
	return ok(object{
		"state": state, "sha": sha, "total_count": len(latest), "statuses": views, "repository": c.repoView(c.repo),
		"commit_url": url, "url": url + "/status",
	})
}

// deploymentRequest has the defaults that surprise: GitHub merges the default
// branch and demands every status unless told not to (forges.md A.11).
type deploymentRequest struct {
	Ref         string    `json:"ref"`
	Task        string    `json:"task"`
	AutoMerge   *bool     `json:"auto_merge"`
	Contexts    *[]string `json:"required_contexts"`
	Payload     any       `json:"payload"`
	Environment string    `json:"environment"`
	Description *string   `json:"description"`
	Transient   bool      `json:"transient_environment"`
	Production  *bool     `json:"production_environment"`
}

func (c *call) createDeployment() (answer, error) {
	asked := deploymentRequest{Task: "deploy", Environment: "production", Payload: object{}}
	if err := c.read(&asked); err != nil {
		return answer{}, err
	}
	sha := c.repo.git.commit(asked.Ref)
	if sha == "" {
		return answer{}, problem(http.StatusUnprocessableEntity, "No ref found for: "+asked.Ref)
	}
	if asked.AutoMerge == nil || *asked.AutoMerge {
		if done, given, err := c.autoMerge(asked.Ref, sha); done || err != nil {
			return given, err
		}
	}
	if !c.passing(sha, asked.Contexts) {
		return answer{}, problem(http.StatusConflict, "Conflict: Commit status checks failed for "+asked.Ref+".")
	}
	made := &deployment{
		id: c.id(), sha: sha, ref: asked.Ref, task: asked.Task, environment: asked.Environment, description: asked.Description,
		payload: asked.Payload, transient: asked.Transient, production: asked.Environment == "production",
		creator: c.actor.user, byApp: c.actor.token != nil, created: c.now(), updated: c.now(),
	}
	if asked.Production != nil {
		made.production = *asked.Production
	}
	c.repo.deployments = append(c.repo.deployments, made)
	return created(c.deploymentView(c.repo, made))
}

// autoMerge merges the default branch into one that lacks some of it; then there
// is no deployment, only 202.
func (c *call) autoMerge(branch, sha string) (done bool, given answer, err error) {
	base := c.repo.refs["refs/heads/"+c.repo.defaultBranch]
	if c.repo.refs["refs/heads/"+branch] != sha || base == "" || c.repo.git.contains(sha, base) {
		return false, answer{}, nil
	}
	tree, clean, err := c.repo.git.mergeTree(sha, base)
	if err != nil {
		return true, answer{}, err
	}
	if !clean {
		return true, answer{}, problem(http.StatusConflict, "Conflict merging "+c.repo.defaultBranch+" into "+branch+".")
	}
	message := "Merge branch '" + c.repo.defaultBranch + "' into " + branch
	merged, err := c.repo.git.commitTree(tree, message, c.signatures(c.actor.user), sha, base)
	if err != nil {
		return true, answer{}, err
	}
	if err := c.move(c.repo, branch, sha, merged, c.actor.user); err != nil {
		return true, answer{}, err
	}
	return true, answer{http.StatusAccepted, object{"message": "Auto-merged " + c.repo.defaultBranch + " into " + branch + " on deployment."}}, nil
}

// passing reports whether the contexts that a deployment demands succeeded: nil
// demands all there are, an empty list none.
func (c *call) passing(sha string, contexts *[]string) bool {
	results := map[string]bool{}
	latest, _ := c.repo.latest(sha)
	for _, st := range latest {
		results[st.context] = st.state == "success"
	}
	for _, k := range c.repo.checks {
		if k.head == sha {
			results[k.name] = k.conclusion != nil && slices.Contains([]string{"success", "neutral", "skipped"}, *k.conclusion)
		}
	}
	if contexts != nil {
		return !slices.ContainsFunc(*contexts, func(name string) bool { return !results[name] })
	}
	for _, good := range results {
		if !good {
			return false
		}
	}
	return true
}

func (c *call) listDeployments() (answer, error) {
	query := c.r.URL.Query()
	var found []*deployment
	for _, d := range slices.Backward(c.repo.deployments) {
		is := func(name, value string) bool { return query.Get(name) == "" || query.Get(name) == value }
		if is("sha", d.sha) && is("ref", d.ref) && is("task", d.task) && is("environment", d.environment) {
			found = append(found, d)
		}
	}
	views := []object{}
	for _, d := range page(c, found) {
		views = append(views, c.deploymentView(c.repo, d))
	}
	return ok(views)
}

func (c *call) deployment() (*deployment, error) {
	id := c.number("deployment_id")
	at := slices.IndexFunc(c.repo.deployments, func(d *deployment) bool { return int(d.id) == id })
	if at < 0 {
		return nil, notFound()
	}
	return c.repo.deployments[at], nil
}

func (c *call) listDeploymentStatuses() (answer, error) {
	d, err := c.deployment()
	if err != nil {
		return answer{}, err
	}
	newest := slices.Clone(d.statuses)
	slices.Reverse(newest)
	views := []object{}
	for _, st := range page(c, newest) {
		views = append(views, c.deploymentStatusView(c.repo, d, st))
	}
	return ok(views)
}

var deploymentStates = []string{"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}

func (c *call) createDeploymentStatus() (answer, error) {
	d, err := c.deployment()
	if err != nil {
		return answer{}, err
	}
	var asked struct {
		State          string `json:"state"`
		Description    string `json:"description"`
		LogURL         string `json:"log_url"`
		TargetURL      string `json:"target_url"`
		Environment    string `json:"environment"`
		EnvironmentURL string `json:"environment_url"`
		AutoInactive   *bool  `json:"auto_inactive"`
	}
	if err := c.read(&asked); err != nil {
		return answer{}, err
	}
	switch {
	case !slices.Contains(deploymentStates, asked.State):
		return answer{}, invalid("DeploymentStatus", "state", "state is not included in the list")
	case utf8.RuneCountInString(asked.Description) > maxSaid:
		return answer{}, invalid("DeploymentStatus", "description", "description is too long (maximum is 140 characters)")
	}
	if asked.Environment != "" {
		d.environment = asked.Environment
	}
	made := &deploymentStatus{
		id: c.id(), state: asked.State, creator: c.actor.user, byApp: c.actor.token != nil, description: asked.Description,
		logURL: asked.LogURL, environmentURL: asked.EnvironmentURL, environment: d.environment, created: c.now(),
	}
	if made.logURL == "" {
		made.logURL = asked.TargetURL
	}
	if asked.State == "success" && (asked.AutoInactive == nil || *asked.AutoInactive) {
		c.retire(d)
	}
	d.statuses, d.updated = append(d.statuses, made), c.now()
	return created(c.deploymentStatusView(c.repo, d, made))
}

// retire makes the earlier deployments of an environment inactive.
func (c *call) retire(newest *deployment) {
	for _, d := range c.repo.deployments {
		last := len(d.statuses) - 1
		if d == newest || d.environment != newest.environment || d.transient || last < 0 || d.statuses[last].state != "success" {
			continue
		}
		made := *d.statuses[last]
		made.id, made.state, made.created = c.id(), "inactive", c.now()
		d.statuses = append(d.statuses, &made)
	}
}

// signatures say that somebody wrote a commit and that GitHub made it.
func (s *Sim) signatures(author *account) []string {
	var at time.Time = s.now()
	mail := author.login + "@users.noreply.localhost"
	return append(signature("AUTHOR", author.login, mail, at), signature("COMMITTER", "GitHub", "noreply@localhost", at)...)
}
