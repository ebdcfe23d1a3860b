package github

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/go-github/v62/github"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
)

// maxBody is GitHub's limit for a comment and for an issue, in characters, with the
// marker.
const maxBody = 65536

var (
	keys    = regexp.MustCompile(`^[A-Za-z0-9-]{1,100}$`)
	markers = regexp.MustCompile(`^<!-- davit:([A-Za-z0-9-]{1,100}) -->$`)
)

// SaveComment edits the comment that ends with the key's marker and is by the App, or
// writes one.
func (g *GitHub) SaveComment(ctx context.Context, c forge.Comment) (string, error) {
	doing, on := "comment on "+gitops.PullRequest{Repo: c.Repo, Number: c.Number}.Name(), fmt.Sprint(c.Number)
	if c.Commit != "" {
		doing, on = "comment on a commit of "+c.Repo.String(), c.Commit
	}
	if c.Commit != "" && (c.Number != 0 || !commits.MatchString(c.Commit)) {
		return "", refused(doing, "it is for a pull request and a commit, or for what is none")
	}
	body, why := mark(c.Body, c.Key)
	if why != "" {
		return "", refused(doing, why)
	}
	return g.write(ctx, c.Repo, doing, func(s site) (int64, error) {
		list, by := onPullRequest(ctx, s, c.Number, body)
		if c.Commit != "" {
			list, by = onCommit(ctx, s, c.Commit, body)
		}
		by.find = func() (int64, error) { return g.findComment(ctx, s, c, list) }
		return g.save(artefact{"comment", c.Repo.Path, on, c.Key}, by)
	})
}

// mark ends a body with the key's marker, or says why it cannot. The marker is the last
// line because people read the first ones in e-mails.
func mark(body, key string) (marked, why string) {
	if !keys.MatchString(key) {
		return "", "the key is not of letters, digits and dashes"
	}
	marked = strings.TrimRight(body, " \r\n") + "\n\n<!-- davit:" + key + " -->"
	if n := utf8.RuneCountInString(marked); n > maxBody {
		return "", fmt.Sprintf("it is %d characters long, and %d are too many", n, maxBody+1)
	}
	return marked, ""
}

// remark is a comment of either sort.
type remark struct {
	id, author int64
	body       string
}

// onPullRequest lists and writes comments among people's.
func onPullRequest(ctx context.Context, s site, number int, body string) (list func() ([]remark, error), by way) {
	content := &github.IssueComment{Body: &body}
	list = func() ([]remark, error) {
		all, err := pages(func(page github.ListOptions) ([]*github.IssueComment, *github.Response, error) {
			return s.Issues.ListComments(ctx, s.owner, s.name, number, &github.IssueListCommentsOptions{ListOptions: page})
		})
		var found []remark
		for _, c := range all {
			found = append(found, remark{c.GetID(), c.GetUser().GetID(), c.GetBody()})
		}
		return found, err
	}
	by.edit = func(id int64) error {
		_, _, err := s.Issues.EditComment(whole(ctx), s.owner, s.name, id, content)
		return err
	}
	by.create = func() (int64, error) {
		made, _, err := s.Issues.CreateComment(ctx, s.owner, s.name, number, content)
		return made.GetID(), err
	}
	return list, by
}

// onCommit lists and writes comments on a commit as a whole, which have endpoints of
// their own.
func onCommit(ctx context.Context, s site, commit, body string) (list func() ([]remark, error), by way) {
	content := &github.RepositoryComment{Body: &body}
	list = func() ([]remark, error) {
		all, err := pages(func(page github.ListOptions) ([]*github.RepositoryComment, *github.Response, error) {
			return s.Repositories.ListCommitComments(ctx, s.owner, s.name, commit, &page)
		})
		var found []remark
		for _, c := range all {
			found = append(found, remark{c.GetID(), c.GetUser().GetID(), c.GetBody()})
		}
		return found, err
	}
	by.edit = func(id int64) error {
		_, _, err := s.Repositories.UpdateComment(whole(ctx), s.owner, s.name, id, content)
		return err
	}
	by.create = func() (int64, error) {
		made, _, err := s.Repositories.CreateComment(ctx, s.owner, s.name, commit, content)
		return made.GetID(), err
	}
	return list, by
}

// findComment looks through the comments of a place. A hint is believed if it is a
// comment of ours there that no other key claims: somebody may have edited the marker
// away. Of several, which only a race can have made, the oldest is it.
func (g *GitHub) findComment(ctx context.Context, s site, c forge.Comment, list func() ([]remark, error)) (int64, error) {
	bot, err := g.self(ctx, s)
	if err != nil {
		return 0, err
	}
	all, err := list()
	if err != nil {
		return 0, err
	}
	var oldest int64
	for _, comment := range all {
		if comment.author != bot.ID {
			continue
		}
		key := marked(comment.body)
		if strconv.FormatInt(comment.id, 10) == c.ID && (key == c.Key || key == "") {
			return comment.id, nil
		}
		if key != c.Key {
			continue
		}
		if oldest != 0 {
			g.log.WarnContext(ctx, "a comment is there twice", "repository", c.Repo.String(),
				"pull_request", c.Number, "commit", c.Commit, "comment", max(comment.id, oldest))
		}
		if oldest == 0 || comment.id < oldest {
			oldest = comment.id
		}
	}
	return oldest, nil
}

// marked returns the key in a body's last line. A marker further up is somebody's text.
func marked(body string) string {
	body = strings.TrimRight(body, " \r\n")
	if found := markers.FindStringSubmatch(body[strings.LastIndexByte(body, '\n')+1:]); found != nil {
		return found[1]
	}
	return ""
}

// self is the user that all that the App writes is by.
func (g *GitHub) self(ctx context.Context, s site) (account, error) {
	g.mu.Lock()
	bot := g.bot
	g.mu.Unlock()
	if bot.ID != 0 {
		return bot, nil
	}
	app, _, err := g.app.Apps.Get(ctx, "")
	if err != nil {
		return account{}, err
	}
	user, _, err := s.Users.Get(ctx, url.PathEscape(app.GetSlug()+"[bot]"))
	if err != nil {
		return account{}, err
	}
	bot = account{ID: user.GetID(), Login: user.GetLogin()}
	if bot.ID == 0 || bot.Login == "" {
		return account{}, errNoID
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bot = bot
	return bot, nil
}

// React adds a reaction, once: GitHub answers a second time that it is there.
func (g *GitHub) React(ctx context.Context, r forge.Reaction) error {
	doing := "react to a comment on " + gitops.PullRequest{Repo: r.Repo, Number: r.Number}.Name()
	id, err := strconv.ParseInt(r.Comment, 10, 64)
	if err != nil || id <= 0 {
		return refused(doing, "the comment's id is no number")
	}
	if r.Emoji != forge.Eyes && r.Emoji != forge.Confused {
		return refused(doing, "that is no emoji of ours")
	}
	return g.on(ctx, r.Repo, doing, func(s site) error {
		_, _, err := s.Reactions.CreateIssueCommentReaction(ctx, s.owner, s.name, id, string(r.Emoji))
		return err
	})
}
