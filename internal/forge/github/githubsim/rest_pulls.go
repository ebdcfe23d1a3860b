package githubsim

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

func (c *call) listPulls() (answer, error) {
	query := c.r.URL.Query()
	wanted := query.Get("state")
	if wanted == "" {
		wanted = "open"
	}
	var found []*pull
	for _, p := range slices.Backward(c.repo.pulls) {
		head := p.head.repo.owner.login + ":" + p.head.ref
		if (wanted == "all" || wanted == p.state()) &&
			(query.Get("base") == "" || query.Get("base") == p.baseRef) && (query.Get("head") == "" || query.Get("head") == head) {
			found = append(found, p)
		}
	}
	direction := query.Get("direction")
	if query.Get("sort") == "updated" {
		slices.SortStableFunc(found, func(a, b *pull) int { return b.updated.Compare(a.updated) })
	}
	if direction == "asc" {
		slices.Reverse(found)
	}
	views := []object{}
	for _, p := range page(c, found) {
		views = append(views, c.pullView(p, false))
	}
	return ok(views)
}

// getPull answers null for mergeable once after every change of the head or the
// base, and has made a real test merge by the next time (forges.md A.10).
func (c *call) getPull() (answer, error) {
	p, err := c.pull()
	if err != nil {
		return answer{}, err
	}
	base := c.repo.refs["refs/heads/"+p.baseRef]
	switch {
	case p.closed != nil:
	case p.tested.base != base || p.tested.head != p.head.sha:
		p.tested = testMerge{base: base, head: p.head.sha}
	case !p.tested.known:
		if err := c.testMerge(p); err != nil {
			return answer{}, err
		}
	}
	return ok(c.fullPull(p, false))
}

// testMerge merges head into base and keeps the result at refs/pull/N/merge.
func (s *Sim) testMerge(p *pull) error {
	tree, clean, err := p.repo.git.mergeTree(p.tested.base, p.head.sha)
	if err != nil {
		return err
	}
	p.tested.known, p.tested.clean, p.mergeSHA = true, clean, ""
	if !clean {
		return nil
	}
	message := "Merge " + p.head.sha + " into " + p.tested.base
	p.mergeSHA, err = p.repo.git.commitTree(tree, message, s.signatures(p.author), p.tested.base, p.head.sha)
	if err != nil {
		return err
	}
	_, err = p.repo.git.run("update-ref", p.ref("merge"), p.mergeSHA)
	return err
}

// pullRequest is what may be said of a pull request, new or not.
type pullRequest struct {
	Title    *string `json:"title"`
	Body     *string `json:"body"`
	Head     string  `json:"head"`
	HeadRepo string  `json:"head_repo"`
	Base     *string `json:"base"`
	State    *string `json:"state"`
	Draft    bool    `json:"draft"`
	Modify   *bool   `json:"maintainer_can_modify"`
}

func (c *call) createPull() (answer, error) {
	var asked pullRequest
	if err := c.read(&asked); err != nil {
		return answer{}, err
	}
	if asked.Title == nil || *asked.Title == "" {
		return answer{}, invalid("PullRequest", "title", "title is missing")
	}
	if err := fits(*asked.Title, asked.Body); err != nil {
		return answer{}, err
	}
	head, err := c.headOf(asked)
	if err != nil {
		return answer{}, err
	}
	base := ""
	if asked.Base != nil {
		base = *asked.Base
	}
	baseSHA := c.repo.refs["refs/heads/"+base]
	if baseSHA == "" {
		return answer{}, invalid("PullRequest", "base", "base is not a branch")
	}
	if !atLeast(c.role(c.actor.user, head.repo), "write") && c.actor.token == nil {
		return answer{}, problem(http.StatusForbidden, "Must have write access to the head repository.")
	}
	p := &pull{
		repo: c.repo, author: c.actor.user, title: *asked.Title, body: asked.Body, draft: asked.Draft,
		head: head, baseRef: base, baseSHA: baseSHA, created: c.now(), updated: c.now(),
		modify: head.repo != c.repo && (asked.Modify == nil || *asked.Modify),
	}
	if err := c.open(p); err != nil {
		return answer{}, err
	}
	c.header.Set("Location", c.apiURL("/repos/%s/pulls/%d", c.repo.fullName(), p.number))
	return created(c.fullPull(p, false))
}

// open numbers a pull request when there is something between its head and its
// base and no other is open for the two.
func (c *call) open(p *pull) error {
	for _, other := range c.repo.pulls {
		if other.closed == nil && other.head.repo == p.head.repo && other.head.ref == p.head.ref && other.baseRef == p.baseRef {
			return invalid("PullRequest", "head", "A pull request already exists for "+p.head.repo.owner.login+":"+p.head.ref+".")
		}
	}
	p.number = c.repo.lastNumber + 1
	if err := c.take(p); err != nil {
		return err
	}
	if c.repo.git.count(p.baseSHA, p.head.sha) == 0 {
		_, err := c.repo.git.run("update-ref", "-d", p.ref("head"))
		if err != nil {
			return err
		}
		return invalid("PullRequest", "head", "No commits between "+p.baseRef+" and "+p.head.ref)
	}
	p.id, c.repo.lastNumber = c.id(), p.number
	c.repo.pulls = append(c.repo.pulls, p)
	c.pullEvent("opened", p, c.actor.user, nil)
	return nil
}

// headOf finds the branch a pull request is for: "branch", "owner:branch".
func (c *call) headOf(asked pullRequest) (side, error) {
	owner, ref, other := strings.Cut(asked.Head, ":")
	r := c.repo
	if !other {
		ref = asked.Head
	} else if !strings.EqualFold(owner, c.repo.owner.login) {
		at := slices.IndexFunc(c.repoOrder, func(fork *repository) bool {
			return fork.parent == c.repo && strings.EqualFold(fork.owner.login, owner)
		})
		if at < 0 {
			return side{}, invalid("PullRequest", "head", "head is not a fork's branch")
		}
		r = c.repoOrder[at]
	}
	sha := r.refs["refs/heads/"+ref]
	if sha == "" {
		return side{}, invalid("PullRequest", "head", "head is not a branch")
	}
	return side{repo: r, ref: ref, sha: sha}, nil
}

func (c *call) editPull() (answer, error) {
	p, err := c.pull()
	if err != nil {
		return answer{}, err
	}
	if c.actor.token == nil && p.author != c.actor.user && !atLeast(c.role(c.actor.user, c.repo), "triage") {
		return answer{}, problem(http.StatusForbidden, "Must have write access to the repository.")
	}
	var asked pullRequest
	if err := c.read(&asked); err != nil {
		return answer{}, err
	}
	changes := object{}
	if asked.Title != nil && *asked.Title != p.title {
		changes["title"] = object{"from": p.title}
		p.title = *asked.Title
	}
	if asked.Body != nil && (p.body == nil || *asked.Body != *p.body) {
		changes["body"] = object{"from": deref(p.body)}
		p.body = asked.Body
	}
	if asked.Base != nil && *asked.Base != p.baseRef {
		if err := c.rebase(p, *asked.Base, changes); err != nil {
			return answer{}, err
		}
	}
	if len(changes) > 0 {
		p.updated = c.now()
		c.pullEvent("edited", p, c.actor.user, object{"changes": changes})
	}
	if asked.State != nil && *asked.State != p.state() {
		if err := c.setState(p, *asked.State); err != nil {
			return answer{}, err
		}
	}
	return ok(c.fullPull(p, false))
}

func deref(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// rebase points a pull request to another base.
func (c *call) rebase(p *pull, base string, changes object) error {
	sha := c.repo.refs["refs/heads/"+base]
	if sha == "" || p.closed != nil {
		return invalid("PullRequest", "base", "base is not a branch")
	}
	if c.repo.git.count(sha, p.head.sha) == 0 {
		return invalid("PullRequest", "base", "No commits between "+base+" and "+p.head.ref)
	}
	changes["base"] = object{"ref": object{"from": p.baseRef}, "sha": object{"from": p.baseSHA}}
	p.baseRef, p.baseSHA, p.tested, p.mergeSHA = base, sha, testMerge{}, ""
	return nil
}

func (c *call) setState(p *pull, state string) error {
	switch state {
	case "closed":
		c.closePull(p, c.actor.user)
		return nil
	case "open":
		sha := p.head.repo.refs["refs/heads/"+p.head.ref]
		if p.merged != nil || sha == "" {
			return invalid("PullRequest", "state", "state cannot be changed. The pull request cannot be reopened.")
		}
		p.closed, p.updated, p.tested, p.mergeSHA = nil, c.now(), testMerge{}, ""
		p.baseSHA, p.head.sha = c.repo.refs["refs/heads/"+p.baseRef], sha
		if err := c.take(p); err != nil {
			return err
		}
		c.pullEvent("reopened", p, c.actor.user, nil)
		return nil
	}
	return invalid("PullRequest", "state", "state is not included in the list")
}

func (s *Sim) closePull(p *pull, by *account) {
	var at time.Time = s.now()
	p.closed, p.updated, p.mergeSHA = &at, at, ""
	s.pullEvent("closed", p, by, nil)
}

func (c *call) listReviews() (answer, error) {
	p, err := c.pull()
	if err != nil {
		return answer{}, err
	}
	views := []object{}
	for _, v := range page(c, p.reviews) {
		if v.state != "PENDING" || v.author == c.actor.user {
			views = append(views, c.reviewView(p, v, false))
		}
	}
	return ok(views)
}

// createReview binds a review to a commit: the one it names, or the head
// (forges.md A.4).
func (c *call) createReview() (answer, error) {
	p, err := c.pull()
	if err != nil {
		return answer{}, err
	}
	var asked struct {
		CommitID string `json:"commit_id"`
		Body     string `json:"body"`
		Event    string `json:"event"`
	}
	if err := c.read(&asked); err != nil {
		return answer{}, err
	}
	state, known := map[string]string{"": "PENDING", "APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}[asked.Event]
	switch {
	case !known:
		return answer{}, problem(http.StatusUnprocessableEntity, "event is not included in the list")
	case asked.Event == "APPROVE" && p.author == c.actor.user:
		return answer{}, &refusal{Status: http.StatusUnprocessableEntity, Message: "Unprocessable Entity: Can not approve your own pull request"}
	case asked.Event == "REQUEST_CHANGES" && p.author == c.actor.user:
		return answer{}, &refusal{Status: http.StatusUnprocessableEntity, Message: "Unprocessable Entity: Can not request changes on your own pull request"}
	case asked.Body == "" && (asked.Event == "COMMENT" || asked.Event == "REQUEST_CHANGES"):
		return answer{}, problem(http.StatusUnprocessableEntity, "Body is missing")
	}
	commit := p.head.sha
	if asked.CommitID != "" {
		if commit = c.repo.git.commit(asked.CommitID); commit == "" {
			return answer{}, problem(http.StatusUnprocessableEntity, "commit_id is not part of the pull request")
		}
	}
	made := &review{id: c.id(), author: c.actor.user, body: asked.Body, state: state, commit: commit, submitted: c.now()}
	p.reviews, p.updated = append(p.reviews, made), c.now()
	if state != "PENDING" {
		c.emit(c.repo, c.actor.user, "pull_request_review", object{
			"action": "submitted", "review": c.reviewView(p, made, true), "pull_request": c.pullView(p, true),
		})
	}
	return ok(c.reviewView(p, made, false))
}
