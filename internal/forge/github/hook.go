package github

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
)

var (
	deliveryIDs = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	eventNames  = regexp.MustCompile(`^[a-z_]{1,64}$`)
)

// Verify holds a delivery to its SHA-256 signature. The older SHA-1 one is no
// signature. The id and the kind are not signed; they only look like ones.
func (g *GitHub) Verify(header func(name string) string, body []byte) (id, event string, err error) {
	const doing = "verify a delivery"
	if why := g.signed(header("X-Hub-Signature-256"), body); why != "" {
		return "", "", &forge.Error{Class: forge.Forbidden, Doing: doing, Err: errors.New(why)}
	}
	id, event = header("X-GitHub-Delivery"), header("X-GitHub-Event")
	if !deliveryIDs.MatchString(id) {
		return "", "", refused(doing, "it has no id")
	}
	if !eventNames.MatchString(event) {
		return "", "", refused(doing, "it does not say what happened")
	}
	return id, event, nil
}

// signed says what is wrong with a signature.
func (g *GitHub) signed(signature string, body []byte) string {
	if signature == "" {
		return "it is not signed with SHA-256"
	}
	text, prefixed := strings.CutPrefix(signature, "sha256=")
	given, err := hex.DecodeString(text)
	if !prefixed || err != nil || len(given) != sha256.Size {
		return "the signature is not written like one"
	}
	for _, secret := range g.secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write(body)
		if hmac.Equal(given, mac.Sum(nil)) {
			return ""
		}
	}
	return "the signature does not match"
}

type account struct {
	ID    int64  `json:"id"`
	Login string `json:"login"`
	Type  string `json:"type"`
}

func (a account) actor() gitops.Actor {
	if a.ID == 0 {
		return gitops.Actor{}
	}
	return gitops.Actor{ID: strconv.FormatInt(a.ID, 10), Login: a.Login, Bot: a.Type == "Bot"}
}

// payload is what is read of a delivery, whatever it is about.
type payload struct {
	Action     string  `json:"action"`
	Sender     account `json:"sender"`
	Repository struct {
		FullName string `json:"full_name"`
	} `json:"repository"`
	PullRequest struct {
		Number  int       `json:"number"`
		Updated time.Time `json:"updated_at"`
	} `json:"pull_request"`
	Issue struct {
		Number      int       `json:"number"`
		PullRequest *struct{} `json:"pull_request"`
	} `json:"issue"`
	Comment struct {
		ID      int64     `json:"id"`
		Body    string    `json:"body"`
		Commit  string    `json:"commit_id"` // of a comment on one
		Created time.Time `json:"created_at"`
	} `json:"comment"`
	Ref     string `json:"ref"`
	After   string `json:"after"`
	Deleted bool   `json:"deleted"`
}

// changes are the actions on a pull request after which it has to be looked at again.
var changes = map[string]bool{
	"opened": true, "reopened": true, "synchronize": true, "edited": true, "closed": true,
	"ready_for_review": true, "converted_to_draft": true,
}

// Event reads a delivery. What is of no kind of ours is not even read.
func (g *GitHub) Event(event string, body []byte) (gitops.Event, error) {
	read, known := map[string]func(payload, *gitops.Event) error{
		"pull_request": changed, "issue_comment": commented, "commit_comment": remarked, "push": pushed,
		"installation": connected, "installation_repositories": connected, "repository": connected,
	}[event]
	if !known {
		return gitops.Event{}, nil
	}
	doing := "read a delivery of the kind " + event
	var p *payload
	if err := json.Unmarshal(body, &p); err != nil {
		return gitops.Event{}, &forge.Error{Class: forge.Refused, Doing: doing, Err: err}
	}
	if p == nil {
		return gitops.Event{}, refused(doing, "it is null")
	}
	e := gitops.Event{Actor: p.Sender.actor(), Repo: gitops.Repo{Forge: g.name, Path: p.Repository.FullName}}
	if err := read(*p, &e); err != nil {
		return gitops.Event{}, &forge.Error{Class: forge.Refused, Doing: doing, Err: err}
	}
	if e.Kind == "" {
		return gitops.Event{}, nil
	}
	if e.Repo.Path == "" && e.Kind == gitops.Connected { // it is about several
		e.Repo = gitops.Repo{}
	} else if !validPath(e.Repo.Path) {
		return gitops.Event{}, refused(doing, "it names no repository")
	}
	return e, nil
}

func changed(p payload, e *gitops.Event) error {
	if !changes[p.Action] {
		return nil
	}
	e.Kind, e.Number, e.Updated = gitops.Changed, p.PullRequest.Number, p.PullRequest.Updated.UTC()
	return numbered(e.Number)
}

// commented reads new comments alone: what an edited one says now, somebody else may
// have made it say.
func commented(p payload, e *gitops.Event) error {
	if p.Action != "created" || p.Issue.PullRequest == nil {
		return nil
	}
	e.Number = p.Issue.Number
	return errors.Join(p.said(e), numbered(e.Number))
}

// remarked reads comments on commits. GitHub numbers them apart from others.
func remarked(p payload, e *gitops.Event) error {
	if p.Action != "created" {
		return nil
	}
	if e.Commit = p.Comment.Commit; !commits.MatchString(e.Commit) {
		return errors.New("it names no commit")
	}
	err := p.said(e)
	e.Comment = "commit-" + e.Comment
	return err
}

func (p payload) said(e *gitops.Event) error {
	if p.Comment.ID <= 0 || p.Sender.ID <= 0 {
		return errors.New("the comment has no id, or nobody wrote it")
	}
	e.Kind, e.Text, e.Comment = gitops.Commented, p.Comment.Body, strconv.FormatInt(p.Comment.ID, 10)
	e.Written = p.Comment.Created.UTC()
	return nil
}

func pushed(p payload, e *gitops.Event) error {
	branch, is := strings.CutPrefix(p.Ref, "refs/heads/")
	if p.Ref == "" || is && branch == "" {
		return errors.New("it names no ref")
	}
	if !is { // a tag
		return nil
	}
	e.Kind, e.Branch = gitops.Pushed, branch
	if p.Deleted {
		return nil
	}
	if e.Commit = p.After; !commits.MatchString(e.Commit) {
		return errors.New("it does not say where the branch is")
	}
	return nil
}

func connected(_ payload, e *gitops.Event) error {
	e.Kind = gitops.Connected
	return nil
}

func numbered(number int) error {
	if number < 1 {
		return errors.New("it names no pull request")
	}
	return nil
}
