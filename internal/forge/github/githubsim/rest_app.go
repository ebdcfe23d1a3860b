package githubsim

import (
	"net/http"
	"slices"
	"strings"
)

func (c *call) getApp() (answer, error) {
	view := c.appView()
	view["installations_count"] = len(c.installed)
	return ok(view)
}

func (c *call) listInstallations() (answer, error) {
	views := []object{}
	for _, i := range page(c, c.installed) {
		views = append(views, c.installationView(i))
	}
	return ok(views)
}

func (c *call) getInstallation() (answer, error) {
	i := c.installation(c.repo)
	if i == nil {
		return answer{}, notFound()
	}
	return ok(c.installationView(i))
}

// tokenRequest is what a token is to be good for; nothing said is everything.
type tokenRequest struct {
	Repositories  []string          `json:"repositories"`
	RepositoryIDs []int64           `json:"repository_ids"`
	Permissions   map[string]string `json:"permissions"`
}

func (c *call) createToken() (answer, error) {
	at := slices.IndexFunc(c.installed, func(i *installation) bool { return int(i.id) == c.number("installation_id") })
	if at < 0 {
		return answer{}, notFound()
	}
	i := c.installed[at]
	if i.suspended != nil {
		return answer{}, problem(http.StatusForbidden, "This installation has been suspended")
	}
	var asked tokenRequest
	if err := c.read(&asked); err != nil {
		return answer{}, err
	}
	issued := &token{installation: i, permissions: i.permissions, expires: c.now().Add(tokenLife)}
	if asked.Permissions != nil {
		issued.permissions = map[string]string{"metadata": "read"}
	}
	for name, level := range asked.Permissions {
		if !granted(i.permissions, name+":"+level) {
			return answer{}, problem(http.StatusUnprocessableEntity, "The permissions requested are not granted to this installation.")
		}
		issued.permissions[name] = level
	}
	var err error
	if issued.repos, err = c.chosen(i, asked); err != nil {
		return answer{}, err
	}
	secret := c.newToken()
	c.tokens[secret] = issued
	view := object{"token": secret, "expires_at": stamp(issued.expires), "permissions": issued.permissions, "repository_selection": "all"}
	if !i.all || issued.repos != nil {
		view["repository_selection"] = "selected"
	}
	if issued.repos != nil {
		views := []object{}
		for _, r := range issued.repos {
			views = append(views, c.fullRepo(r, c.actor))
		}
		view["repositories"] = views
	}
	return created(view)
}

// chosen are the repositories a token is asked for; nil is all.
func (c *call) chosen(i *installation, asked tokenRequest) ([]*repository, error) {
	var chosen []*repository
	reach := c.reach(i)
	find := func(is func(*repository) bool) error {
		at := slices.IndexFunc(reach, is)
		if at < 0 {
			return problem(http.StatusUnprocessableEntity, "There is at least one repository that does not exist or is not accessible to the parent installation.")
		}
		chosen = append(chosen, reach[at])
		return nil
	}
	for _, name := range asked.Repositories {
		if err := find(func(r *repository) bool { return strings.EqualFold(r.name, name) }); err != nil {
			return nil, err
		}
	}
	for _, id := range asked.RepositoryIDs {
		if err := find(func(r *repository) bool { return r.id == id }); err != nil {
			return nil, err
		}
	}
	return chosen, nil
}

func (c *call) listReachable() (answer, error) {
	reach := c.reach(c.actor.token.installation)
	if c.actor.token.repos != nil {
		reach = c.actor.token.repos
	}
	views := []object{}
	for _, r := range page(c, reach) {
		views = append(views, c.fullRepo(r, c.actor))
	}
	selection := "selected"
	if c.actor.token.installation.all && c.actor.token.repos == nil {
		selection = "all"
	}
	return ok(object{"total_count": len(reach), "repository_selection": selection, "repositories": views})
}
