package github_test

import (
	"crypto/hmac"
	"crypto/sha1" // what GitHub sends beside the signature, and nobody may believe
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
)

// TestVerify holds what of a delivery is believed (forges.md A.3).
func TestVerify(t *testing.T) {
	t.Parallel()
	body := []byte(`{"action": "opened"}`)
	_, good := (*stage)(nil).Signature(secret, body)
	_, other := (*stage)(nil).Signature(otherSecret, body)
	_, bad := (*stage)(nil).Signature("", body)
	old := hmac.New(sha1.New, []byte(secret))
	old.Write(body)
	sha1Header := "sha1=" + hex.EncodeToString(old.Sum(nil))
	with := func(change map[string]string) map[string]string {
		h := map[string]string{"X-Hub-Signature-256": good, "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958", "X-GitHub-Event": "pull_request"}
		for name, value := range change {
			h[name] = value
		}
		return h
	}
	g := newHub(t).provider()
	for what, c := range map[string]struct {
		header map[string]string
		class  forge.Class
		says   string
	}{
		"signed":                   {with(nil), "", ""},
		"signed with the other":    {with(map[string]string{"X-Hub-Signature-256": other}), "", ""},
		"in upper case":            {with(map[string]string{"X-Hub-Signature-256": "sha256=" + strings.ToUpper(good[7:])}), "", ""},
		"unsigned":                 {with(map[string]string{"X-Hub-Signature-256": ""}), forge.Forbidden, "it is not signed with SHA-256"},
		"signed with SHA-1":        {with(map[string]string{"X-Hub-Signature-256": "", "X-Hub-Signature": sha1Header}), forge.Forbidden, "it is not signed with SHA-256"},
		"SHA-1 in the wrong place": {with(map[string]string{"X-Hub-Signature-256": sha1Header}), forge.Forbidden, "the signature is not written like one"},
		"signed with nothing":      {with(map[string]string{"X-Hub-Signature-256": bad}), forge.Forbidden, "the signature does not match"},
		"empty":                    {with(map[string]string{"X-Hub-Signature-256": "sha256="}), forge.Forbidden, "the signature is not written like one"},
		"without a prefix":         {with(map[string]string{"X-Hub-Signature-256": good[7:]}), forge.Forbidden, "the signature is not written like one"},
		"too long":                 {with(map[string]string{"X-Hub-Signature-256": good + "00"}), forge.Forbidden, "the signature is not written like one"},
		"no id":                    {with(map[string]string{"X-GitHub-Delivery": ""}), forge.Refused, "it has no id"},
		"an odd id":                {with(map[string]string{"X-GitHub-Delivery": "a/../b"}), forge.Refused, "it has no id"},
		"a long id":                {with(map[string]string{"X-GitHub-Delivery": strings.Repeat("a", 65)}), forge.Refused, "it has no id"},
		"no event":                 {with(map[string]string{"X-GitHub-Event": ""}), forge.Refused, "it does not say what happened"},
		"an odd event":             {with(map[string]string{"X-GitHub-Event": "Push\n"}), forge.Refused, "it does not say what happened"},
	} {
		id, event, err := g.Verify(func(name string) string { return c.header[name] }, body)
		if got := classOf(t, err); got != c.class {
			t.Errorf("%s: the class is %q, want %q", what, got, c.class)
		}
		if err == nil && (id != c.header["X-GitHub-Delivery"] || event != "pull_request") {
			t.Errorf("%s: it is %q, %q", what, id, event)
		}
		if err != nil && (id != "" || event != "" || err.(*forge.Error).Err.Error() != c.says || strings.Contains(err.Error(), good[7:20])) {
			t.Errorf("%s: %q, %q, %v", what, id, event, err)
		}
	}
	if _, _, err := g.Verify(func(name string) string { return with(nil)[name] }, append(body, ' ')); classOf(t, err) != forge.Forbidden {
		t.Errorf("another body: %v", err)
	}
}

// deliveries are samples of what GitHub sends, with what is read of them.
var deliveries = map[string]struct {
	event, body string
	want        gitops.Event
	refused     bool
}{
	"a comment": {"issue_comment", `{"action": "created", "issue": {"number": 12, "pull_request": {"url": "x"}}, "comment": {"id": 34, "body": "/plan\r\n"}, "repository": {"full_name": "acme/gitops"}, "sender": {"id": 5, "login": "alice", "type": "User"}}`,
		gitops.Event{Kind: gitops.Commented, Repo: gitopsRepo, Number: 12, Actor: gitops.Actor{ID: "5", Login: "alice"}, Comment: "34", Text: "/plan\r\n"}, false},
	"a bot's comment": {"issue_comment", `{"action": "created", "issue": {"number": 12, "pull_request": {}}, "comment": {"id": 34, "body": null}, "repository": {"full_name": "acme/gitops"}, "sender": {"id": 99, "login": "davit[bot]", "type": "Bot"}}`,
		gitops.Event{Kind: gitops.Commented, Repo: gitopsRepo, Number: 12, Actor: gitops.Actor{ID: "99", Login: "davit[bot]", Bot: true}, Comment: "34"}, false},
	"a comment on an issue": {"issue_comment", `{"action": "created", "issue": {"number": 12}, "comment": {"id": 34, "body": "/plan"}, "repository": {"full_name": "acme/gitops"}, "sender": {"id": 5}}`, gitops.Event{}, false},
	"an issue that is none": {"issue_comment", `{"action": "created", "issue": {"number": 12, "pull_request": null}, "comment": {"id": 34}, "repository": {"full_name": "acme/gitops"}, "sender": {"id": 5}}`, gitops.Event{}, false},
	"an edited comment":     {"issue_comment", `{"action": "edited", "issue": {"number": 12, "pull_request": {}}, "comment": {"id": 34, "body": "/apply"}, "repository": {"full_name": "acme/gitops"}, "sender": {"id": 5}}`, gitops.Event{}, false},
	"a deleted comment":     {"issue_comment", `{"action": "deleted", "issue": {"number": 12, "pull_request": {}}, "comment": {"id": 34}, "repository": {"full_name": "acme/gitops"}, "sender": {"id": 5}}`, gitops.Event{}, false},
	"nobody's comment":      {"issue_comment", `{"action": "created", "issue": {"number": 12, "pull_request": {}}, "comment": {"id": 34}, "repository": {"full_name": "acme/gitops"}}`, gitops.Event{}, true},
	"a comment without id":  {"issue_comment", `{"action": "created", "issue": {"number": 12, "pull_request": {}}, "comment": {"body": "/plan"}, "repository": {"full_name": "acme/gitops"}, "sender": {"id": 5}}`, gitops.Event{}, true},
	"a comment on nothing":  {"issue_comment", `{"action": "created", "issue": {"pull_request": {}}, "comment": {"id": 34}, "repository": {"full_name": "acme/gitops"}, "sender": {"id": 5}}`, gitops.Event{}, true},

	"a push": {"push", `{"ref": "refs/heads/feature/a", "before": "` + strings.Repeat("1", 40) + `", "after": "` + aCommit + `", "repository": {"full_name": "acme/gitops"}, "sender": {"id": 5, "login": "alice", "type": "User"}}`,
		gitops.Event{Kind: gitops.Pushed, Repo: gitopsRepo, Branch: "feature/a", Commit: aCommit, Actor: gitops.Actor{ID: "5", Login: "alice"}}, false},
	"a new branch of ours": {"push", `{"ref": "refs/heads/davit/revert-1", "created": true, "deleted": false, "before": "` + strings.Repeat("0", 40) + `", "after": "` + aCommit + `", "repository": {"full_name": "acme/gitops"}, "sender": {"id": 99, "login": "davit[bot]", "type": "Bot"}}`,
		gitops.Event{Kind: gitops.Pushed, Repo: gitopsRepo, Branch: "davit/revert-1", Commit: aCommit, Actor: gitops.Actor{ID: "99", Login: "davit[bot]", Bot: true}}, false},
	"a deleted branch": {"push", `{"ref": "refs/heads/main", "deleted": true, "after": "` + strings.Repeat("0", 40) + `", "repository": {"full_name": "acme/gitops"}}`, gitops.Event{Kind: gitops.Pushed, Repo: gitopsRepo, Branch: "main"}, false},
	"a tag":            {"push", `{"ref": "refs/tags/main", "after": "` + aCommit + `", "repository": {"full_name": "acme/gitops"}}`, gitops.Event{}, false},
	"a deleted tag":    {"push", `{"ref": "refs/tags/main", "deleted": true, "repository": {"full_name": "acme/gitops"}}`, gitops.Event{}, false},
	"a note":           {"push", `{"ref": "refs/notes/commits", "after": "` + aCommit + `", "repository": {"full_name": "acme/gitops"}}`, gitops.Event{}, false},
	"a push to where":  {"push", `{"ref": "refs/heads/main", "repository": {"full_name": "acme/gitops"}}`, gitops.Event{}, true},
	"a push to a name": {"push", `{"ref": "refs/heads/main", "after": "HEAD", "repository": {"full_name": "acme/gitops"}}`, gitops.Event{}, true},
	"no ref":           {"push", `{"repository": {"full_name": "acme/gitops"}}`, gitops.Event{}, true},
	"an empty branch":  {"push", `{"ref": "refs/heads/", "repository": {"full_name": "acme/gitops"}}`, gitops.Event{}, true},

	"an installation":        {"installation", `{"action": "created", "repositories": [{"full_name": "acme/gitops"}], "sender": {"id": 5, "login": "alice"}}`, gitops.Event{Kind: gitops.Connected, Actor: gitops.Actor{ID: "5", Login: "alice"}}, false},
	"more repositories":      {"installation_repositories", `{"action": "added"}`, gitops.Event{Kind: gitops.Connected}, false},
	"a renamed repository":   {"repository", `{"action": "renamed", "repository": {"full_name": "acme/gitops"}}`, gitops.Event{Kind: gitops.Connected, Repo: gitopsRepo}, false},
	"another event":          {"star", `{"action": "created"`, gitops.Event{}, false},
	"an event of the future": {"merge_queue_entry", ``, gitops.Event{}, false},

	"no repository":          {"pull_request", `{"action": "opened", "pull_request": {"number": 12}}`, gitops.Event{}, true},
	"an odd repository":      {"pull_request", `{"action": "opened", "pull_request": {"number": 12}, "repository": {"full_name": "acme/../x"}}`, gitops.Event{}, true},
	"a repository of dots":   {"push", `{"ref": "refs/heads/main", "repository": {"full_name": "acme/.."}}`, gitops.Event{}, true},
	"no number":              {"pull_request", `{"action": "opened", "pull_request": {}, "repository": {"full_name": "acme/gitops"}}`, gitops.Event{}, true},
	"a negative number":      {"pull_request", `{"action": "opened", "pull_request": {"number": -1}, "repository": {"full_name": "acme/gitops"}}`, gitops.Event{}, true},
	"a number that is text":  {"pull_request", `{"action": "opened", "pull_request": {"number": "12"}, "repository": {"full_name": "acme/gitops"}}`, gitops.Event{}, true},
	"a number that is huge":  {"pull_request", `{"action": "opened", "pull_request": {"number": 1e99}, "repository": {"full_name": "acme/gitops"}}`, gitops.Event{}, true},
	"a time that is none":    {"pull_request", `{"action": "opened", "pull_request": {"number": 12, "updated_at": "soon"}, "repository": {"full_name": "acme/gitops"}}`, gitops.Event{}, true},
	"a list":                 {"pull_request", `[]`, gitops.Event{}, true},
	"nothing":                {"pull_request", ``, gitops.Event{}, true},
	"more after it":          {"push", `{"ref": "refs/heads/main", "repository": {"full_name": "acme/gitops"}} {}`, gitops.Event{}, true},
	"no object":              {"installation", `7`, gitops.Event{}, true},
	"null, which is nothing": {"installation", `null`, gitops.Event{}, true},
}

// TestEvent holds what is read of a delivery.
func TestEvent(t *testing.T) {
	t.Parallel()
	g := newHub(t).provider()
	for what, c := range deliveries {
		got, err := g.Event(c.event, []byte(c.body))
		if diff := cmp.Diff(c.want, got); diff != "" || (err != nil) != c.refused || err != nil && classOf(t, err) != forge.Refused {
			t.Errorf("%s: %v, (-want +got)\n%s", what, err, diff)
		}
	}
	changed := map[string]bool{
		"opened": true, "reopened": true, "synchronize": true, "edited": true, "closed": true, "ready_for_review": true, "converted_to_draft": true,
		"labeled": false, "assigned": false, "review_requested": false, "locked": false, "enqueued": false, "of the future": false, "": false,
	}
	for action, is := range changed {
		got, err := g.Event("pull_request", fmt.Appendf(nil, `{"action": %q, "number": 12, "pull_request": {"number": 12, "updated_at": "2026-01-02T04:04:05+01:00"}, "repository": {"full_name": "acme/gitops"}, "sender": {"id": 5, "login": "alice", "type": "User"}}`, action))
		want := gitops.Event{}
		if is {
			want = gitops.Event{
				Kind: gitops.Changed, Repo: gitopsRepo, Number: 12, Actor: gitops.Actor{ID: "5", Login: "alice"},
				Updated: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
			}
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v, (-want +got)\n%s", action, err, diff)
		}
	}
}

// FuzzEvent holds that whatever is delivered is an event with names that can be used,
// or none, or an error; never a panic.
func FuzzEvent(f *testing.F) {
	for _, c := range deliveries {
		f.Add(c.event, []byte(c.body))
	}
	g := newHub(f).provider()
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		e, err := g.Event(event, body)
		if err != nil {
			if classOf(t, err) != forge.Refused || e != (gitops.Event{}) {
				t.Errorf("%+v, %v", e, err)
			}
			return
		}
		switch e.Kind {
		case "":
			if e != (gitops.Event{}) {
				t.Errorf("an event of no kind: %+v", e)
			}
		case gitops.Changed, gitops.Commented:
			p, err := gitops.ParsePullRequest(gitops.PullRequest{Repo: e.Repo, Number: e.Number}.Name())
			if err != nil || p.Repo != e.Repo || strings.Count(e.Repo.Path, "/") != 1 || strings.Contains(e.Repo.Path, "..") && strings.HasSuffix(e.Repo.Path, "/..") {
				t.Errorf("%+v, %v", e, err)
			}
			if e.Kind == gitops.Commented && (e.Comment == "" || e.Actor.ID == "") {
				t.Errorf("%+v", e)
			}
		case gitops.Pushed:
			if e.Branch == "" || e.Repo.Path == "" || e.Commit != "" && strings.Trim(e.Commit, "0123456789abcdef") != "" {
				t.Errorf("%+v", e)
			}
		case gitops.Connected:
		default:
			t.Errorf("%+v", e)
		}
	})
}
