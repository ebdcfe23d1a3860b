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

// maxBody is GitHub's limit for a comment, in characters, with the marker.
const maxBody = 65536

var (
	keys    = regexp.MustCompile(`^[A-Za-z0-9-]{1,100}$`)
	markers = regexp.MustCompile(`^<!-- davit:([A-Za-z0-9-]{1,100}) -->$`)
)

// SaveComment edits the comment that ends with the key's marker and is by the App, or
// writes one. The marker is the last line because people read the first ones in
// e-mails.
func (g *GitHub) SaveComment(ctx context.Context, c forge.Comment) (string, error) {
	doing := "comment on " + gitops.PullRequest{Repo: c.Repo, Number: c.Number}.Name()
	body := strings.TrimRight(c.Body, " \r\n") + "\n\n<!-- davit:" + c.Key + " -->"
	if !keys.MatchString(c.Key) {
		return "", refused(doing, "the key is not of letters, digits and dashes")
	}
	if n := utf8.RuneCountInString(body); n > maxBody {
		return "", refused(doing, fmt.Sprintf("it is %d characters long, and %d are too many", n, maxBody+1))
	}
	var id int64
	err := g.on(ctx, c.Repo, doing, func(s site) (err error) {
		id, err = g.saveComment(ctx, s, c, body)
		return err
	})
	if err != nil {
		return "", err
	}
	return strconv.FormatInt(id, 10), nil
}

func (g *GitHub) saveComment(ctx context.Context, s site, c forge.Comment, body string) (int64, error) {
	content := &github.IssueComment{Body: &body}
	return g.save(artefact{c.Repo.Path, fmt.Sprint(c.Number), c.Key}, way{
		find: func() (int64, error) { return g.findComment(ctx, s, c) },
		edit: func(id int64) error {
			_, _, err := s.Issues.EditComment(whole(ctx), s.owner, s.name, id, content)
			return err
		},
		create: func() (int64, error) {
			made, _, err := s.Issues.CreateComment(ctx, s.owner, s.name, c.Number, content)
			return made.GetID(), err
		},
	})
}

// findComment looks through a pull request's comments. A hint is believed if it is a
// comment of ours there that no other key claims: somebody may have edited the marker
// away. Of several, which only a race can have made, the oldest is it.
func (g *GitHub) findComment(ctx context.Context, s site, c forge.Comment) (int64, error) {
	bot, err := g.botID(ctx, s)
	if err != nil {
		return 0, err
	}
	all, err := pages(func(page github.ListOptions) ([]*github.IssueComment, *github.Response, error) {
		return s.Issues.ListComments(ctx, s.owner, s.name, c.Number, &github.IssueListCommentsOptions{ListOptions: page})
	})
	if err != nil {
		return 0, err
	}
	var oldest int64
	for _, comment := range all {
		if comment.GetUser().GetID() != bot {
			continue
		}
		id, key := comment.GetID(), marked(comment.GetBody())
		if strconv.FormatInt(id, 10) == c.ID && (key == c.Key || key == "") {
			return id, nil
		}
		if key != c.Key {
			continue
		}
		if oldest != 0 {
			g.log.WarnContext(ctx, "a comment is there twice", "pull_request", c.Number, "repository", c.Repo.String(), "comment", max(id, oldest))
		}
		if oldest == 0 || id < oldest {
			oldest = id
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

// botID is the user that the App's comments are by.
func (g *GitHub) botID(ctx context.Context, s site) (int64, error) {
	g.mu.Lock()
	id := g.bot
	g.mu.Unlock()
	if id != 0 {
		return id, nil
	}
	app, _, err := g.app.Apps.Get(ctx, "")
	if err != nil {
		return 0, err
	}
	user, _, err := s.Users.Get(ctx, url.PathEscape(app.GetSlug()+"[bot]"))
	if err != nil {
		return 0, err
	}
	if user.GetID() == 0 {
		return 0, errNoID
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bot = user.GetID()
	return g.bot, nil
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
