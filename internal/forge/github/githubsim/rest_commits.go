package githubsim

import (
	"net/http"
	"slices"
)

// commit is the commit that the path names, in full.
func (c *call) commit() (string, error) {
	name := c.params["commit_sha"]
	if sha := c.repo.git.commit(name); sha != "" && sha == name {
		return sha, nil
	}
	return "", problem(http.StatusUnprocessableEntity, "No commit found for SHA: "+name)
}

// listPullsOfCommit lists the merged pull request that brought a commit, and of one that
// is not on the default branch also those, merged or open, that it is a part of: so a
// squashed branch's own commits have the pull request, as the one that squashing made.
func (c *call) listPullsOfCommit() (answer, error) {
	sha, err := c.commit()
	if err != nil {
		return answer{}, err
	}
	git, refs := c.repo.git, c.repo.refs
	onDefault := git.contains(refs["refs/heads/"+c.repo.defaultBranch], sha)
	var found []*pull
	for _, p := range c.repo.pulls {
		is := p.brought.contains(sha, git)
		switch {
		case is || onDefault:
		case p.merged != nil:
			is = span{p.brought.from, p.head.sha}.contains(sha, git)
		case p.closed == nil:
			is = span{refs["refs/heads/"+p.baseRef], p.head.sha}.contains(sha, git)
		}
		if is {
			found = append(found, p)
		}
	}
	views := []object{}
	for _, p := range page(c, found) {
		views = append(views, c.pullView(p, false))
	}
	return ok(views)
}

func (c *call) listRemarks() (answer, error) {
	sha, err := c.commit()
	if err != nil {
		return answer{}, err
	}
	views := []object{}
	for _, k := range page(c, c.repo.remarksOn(sha)) {
		views = append(views, c.remarkView(c.repo, k))
	}
	return ok(views)
}

func (c *call) createRemark() (answer, error) {
	sha, err := c.commit()
	if err != nil {
		return answer{}, err
	}
	body, err := c.commentBody("CommitComment")
	if err != nil {
		return answer{}, err
	}
	made := &remark{id: c.id(), sha: sha, author: c.actor.user, body: body, created: c.now(), updated: c.now()}
	c.repo.remarks = append(c.repo.remarks, made)
	c.header.Set("Location", c.apiURL("/repos/%s/comments/%d", c.repo.fullName(), made.id))
	c.emit(c.repo, c.actor.user, "commit_comment", object{"action": "created", "comment": c.remarkView(c.repo, made)})
	return created(c.remarkView(c.repo, made))
}

func (c *call) editRemark() (answer, error) {
	at := slices.IndexFunc(c.repo.remarks, func(k *remark) bool { return int(k.id) == c.number("comment_id") })
	if at < 0 {
		return answer{}, notFound()
	}
	k := c.repo.remarks[at]
	if err := c.mayEdit(k.author); err != nil {
		return answer{}, err
	}
	body, err := c.commentBody("CommitComment")
	if err != nil {
		return answer{}, err
	}
	k.body, k.updated = body, c.now()
	return ok(c.remarkView(c.repo, k))
}
