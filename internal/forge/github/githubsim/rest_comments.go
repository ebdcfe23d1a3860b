package githubsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"
)

// maxComment is in characters, not bytes (forges.md A.6).
const maxComment = 65536

// pull is the pull request that the path names.
func (c *call) pull() (*pull, error) {
	name := "pull_number"
	if _, issue := c.params["issue_number"]; issue {
		name = "issue_number"
	}
	p := c.repo.pull(c.number(name))
	switch {
	case p != nil:
		return p, nil
	case name == "issue_number" && c.repo.issue(c.number(name)) != nil:
		return nil, c.lacks("conversation on an issue that is no pull request")
	}
	return nil, notFound()
}

func (c *call) listComments() (answer, error) {
	p, err := c.pull()
	if err != nil {
		return answer{}, err
	}
	found := c.repo.conversation(p)
	if text := c.r.URL.Query().Get("since"); text != "" {
		since, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return answer{}, problem(http.StatusUnprocessableEntity, "since is not a time")
		}
		found = slices.DeleteFunc(found, func(k *comment) bool { return k.updated.Before(since) })
	}
	views := []object{}
	for _, k := range page(c, found) {
		views = append(views, c.commentView(k, false))
	}
	return ok(views)
}

// commentBody reads the one field that a comment has, whatever it is a comment on.
func (c *call) commentBody(resource string) (string, error) {
	var asked struct{ Body *string }
	if err := c.read(&asked); err != nil {
		return "", err
	}
	if asked.Body == nil || *asked.Body == "" {
		return "", invalid(resource, "body", "body cannot be blank")
	}
	if utf8.RuneCountInString(*asked.Body) > maxComment {
		return "", invalid(resource, "body", fmt.Sprintf("Body is too long (maximum is %d characters)", maxComment))
	}
	return *asked.Body, nil
}

func (c *call) createComment() (answer, error) {
	p, err := c.pull()
	if err != nil {
		return answer{}, err
	}
	body, err := c.commentBody("IssueComment")
	if err != nil {
		return answer{}, err
	}
	made := &comment{id: c.id(), pull: p, author: c.actor.user, byApp: c.actor.token != nil, body: body, created: c.now(), updated: c.now()}
	c.repo.comments = append(c.repo.comments, made)
	p.updated = c.now()
	c.commentEvent("created", made, nil)
	c.header.Set("Location", c.apiURL("/repos/%s/issues/comments/%d", c.repo.fullName(), made.id))
	return created(c.commentView(made, false))
}

func (c *call) comment() (*comment, error) {
	id := c.number("comment_id")
	at := slices.IndexFunc(c.repo.comments, func(k *comment) bool { return int(k.id) == id })
	if at < 0 {
		return nil, notFound()
	}
	return c.repo.comments[at], nil
}

// own is a comment that the actor may change: their own, or any for who may write.
func (c *call) own() (*comment, error) {
	k, err := c.comment()
	if err != nil {
		return nil, err
	}
	return k, c.mayEdit(k.author)
}

// mayEdit says what stands in the way of changing what somebody wrote: a person their
// own, who may write to the repository anybody's, and an App anybody's.
func (c *call) mayEdit(author *account) error {
	if c.actor.token == nil && author != c.actor.user && !atLeast(c.role(c.actor.user, c.repo), "write") {
		return problem(http.StatusForbidden, "Must have admin rights to Repository.")
	}
	return nil
}

func (c *call) editComment() (answer, error) {
	k, err := c.own()
	if err != nil {
		return answer{}, err
	}
	body, err := c.commentBody("IssueComment")
	if err != nil {
		return answer{}, err
	}
	from := k.body
	k.body, k.edited, k.updated, k.pull.updated = body, true, c.now(), c.now()
	if from != body {
		c.commentEvent("edited", k, object{"body": object{"from": from}})
	}
	return ok(c.commentView(k, false))
}

func (c *call) deleteComment() (answer, error) {
	k, err := c.own()
	if err != nil {
		return answer{}, err
	}
	c.repo.comments = slices.DeleteFunc(c.repo.comments, func(other *comment) bool { return other == k })
	k.pull.updated = c.now()
	c.commentEvent("deleted", k, nil)
	return answer{status: http.StatusNoContent}, nil
}

func (c *call) commentEvent(action string, k *comment, changes object) {
	body := object{"action": action, "comment": c.commentView(k, true), "issue": c.issueView(k.pull)}
	if changes != nil {
		body["changes"] = changes
	}
	c.emit(c.repo, c.actor.user, "issue_comment", body)
}

// react answers 200 when the reaction was there, and 201 when it is new
// (forges.md A.6).
func (c *call) react() (answer, error) {
	k, err := c.comment()
	if err != nil {
		return answer{}, err
	}
	var asked struct{ Content string }
	if err := c.read(&asked); err != nil {
		return answer{}, err
	}
	if !slices.Contains(contents, asked.Content) {
		return answer{}, invalid("Reaction", "content", "content is not a reaction")
	}
	for _, given := range k.reactions {
		if given.user == c.actor.user && given.content == asked.Content {
			return ok(c.reactionView(given))
		}
	}
	given := &reaction{id: c.id(), user: c.actor.user, content: asked.Content, created: c.now()}
	k.reactions = append(k.reactions, given)
	return created(c.reactionView(given))
}

func (c *call) addLabels() (answer, error) {
	p, err := c.pull()
	if err != nil {
		return answer{}, err
	}
	names, err := c.labelNames()
	if err != nil {
		return answer{}, err
	}
	for _, name := range names {
		l := c.label(name)
		if slices.Contains(p.labels, l) {
			continue
		}
		p.labels, p.updated = append(p.labels, l), c.now()
		c.pullEvent("labeled", p, c.actor.user, object{"label": c.labelView(c.repo, l)})
	}
	return ok(c.labelViews(c.repo, p.labels))
}

// labelNames reads a list of names, alone or as labels.
func (c *call) labelNames() ([]string, error) {
	var names []string
	if c.read(&names) == nil {
		return names, nil
	}
	var asked struct{ Labels []labelName }
	if err := c.read(&asked); err != nil {
		return nil, err
	}
	for _, name := range asked.Labels {
		names = append(names, string(name))
	}
	return names, nil
}

// labelName is a label as a request names it: "big" or {"name": "big"}.
type labelName string

// UnmarshalJSON reads both.
func (n *labelName) UnmarshalJSON(text []byte) error {
	var long struct{ Name string }
	if json.Unmarshal(text, &long) == nil {
		*n = labelName(long.Name)
		return nil
	}
	return json.Unmarshal(text, (*string)(n))
}

// label finds a label of the repository, or makes it.
func (c *call) label(name string) *label {
	for _, l := range c.repo.labels {
		if l.name == name {
			return l
		}
	}
	made := &label{id: c.id(), name: name, color: "ededed"}
	c.repo.labels = append(c.repo.labels, made)
	return made
}
