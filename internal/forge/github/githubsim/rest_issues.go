package githubsim

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"unicode/utf8"
)

// maxTitle is of an issue and of a pull request, in characters.
const maxTitle = 256

// fits says what is too long of an issue, which to GitHub a pull request is as well.
func fits(title string, body *string) error {
	if utf8.RuneCountInString(title) > maxTitle {
		return invalid("Issue", "title", fmt.Sprintf("title is too long (maximum is %d characters)", maxTitle))
	}
	if utf8.RuneCountInString(deref(body)) > maxComment {
		return invalid("Issue", "body", fmt.Sprintf("body is too long (maximum is %d characters)", maxComment))
	}
	return nil
}

// listed is a line of the list of issues.
type listed struct {
	number int
	author *account
	state  string
	view   object
}

// listIssues lists the pull requests among them, as GitHub does.
func (c *call) listIssues() (answer, error) {
	var all []listed
	for _, i := range c.repo.issues {
		all = append(all, listed{i.number, i.author, i.state(), c.plainIssueView(c.repo, i)})
	}
	for _, p := range c.repo.pulls {
		all = append(all, listed{p.number, p.author, p.state(), c.issueView(p)})
	}
	query := c.r.URL.Query()
	state, creator := or(query.Get("state"), "open"), c.account(query.Get("creator"))
	if creator == nil && query.Has("creator") {
		return answer{}, invalid("Issue", "creator", "creator is nobody")
	}
	all = slices.DeleteFunc(all, func(i listed) bool {
		return state != "all" && state != i.state || creator != nil && creator != i.author
	})
	slices.SortFunc(all, func(a, b listed) int {
		if query.Get("direction") == "asc" {
			return cmp.Compare(a.number, b.number)
		}
		return cmp.Compare(b.number, a.number)
	})
	views := []object{}
	for _, i := range page(c, all) {
		views = append(views, i.view)
	}
	return ok(views)
}

// issueRequest is what may be said of an issue, new or not.
type issueRequest struct {
	Title *string `json:"title"`
	Body  *string `json:"body"`
	State *string `json:"state"`
}

func (c *call) createIssue() (answer, error) {
	var asked issueRequest
	if err := c.read(&asked); err != nil {
		return answer{}, err
	}
	title := deref(asked.Title)
	if title == "" {
		return answer{}, invalid("Issue", "title", "title is missing")
	}
	if err := fits(title, asked.Body); err != nil {
		return answer{}, err
	}
	c.repo.lastNumber++
	made := &issue{
		id: c.id(), number: c.repo.lastNumber, author: c.actor.user, byApp: c.actor.token != nil, title: title, body: asked.Body,
		created: c.now(), updated: c.now(),
	}
	c.repo.issues = append(c.repo.issues, made)
	c.header.Set("Location", c.apiURL("/repos/%s/issues/%d", c.repo.fullName(), made.number))
	return created(c.plainIssueView(c.repo, made))
}

func (c *call) editIssue() (answer, error) {
	i := c.repo.issue(c.number("issue_number"))
	switch {
	case i == nil && c.repo.pull(c.number("issue_number")) != nil:
		return answer{}, c.lacks("edit of a pull request as an issue")
	case i == nil:
		return answer{}, notFound()
	}
	if err := c.mayEdit(i.author); err != nil {
		return answer{}, err
	}
	var asked issueRequest
	if err := c.read(&asked); err != nil {
		return answer{}, err
	}
	if err := fits(deref(asked.Title), asked.Body); err != nil {
		return answer{}, err
	}
	if state := deref(asked.State); !slices.Contains([]string{"", "open", "closed"}, state) {
		return answer{}, problem(http.StatusUnprocessableEntity, "state is not included in the list")
	}
	set(&i.title, asked.Title)
	if asked.Body != nil {
		i.body = asked.Body
	}
	i.updated = c.now()
	switch at := c.now(); deref(asked.State) {
	case "open":
		i.closed = nil
	case "closed":
		i.closed = &at
	}
	return ok(c.plainIssueView(c.repo, i))
}
