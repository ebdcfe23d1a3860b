package githubsim

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The views turn state into GitHub's JSON. Every field that the description
// requires is there; many say the least they may.

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func stampOf(t *time.Time) any {
	if t == nil {
		return nil
	}
	return stamp(*t)
}

func nodeID(kind string, id int64) string {
	return base64.RawStdEncoding.EncodeToString(fmt.Appendf(nil, "%s:%d", kind, id))
}

// api is the URL of something in the API, html of its page.
func (s *Sim) apiURL(format string, args ...any) string {
	return s.baseURL + enterprise + fmt.Sprintf(format, args...)
}

func (s *Sim) htmlURL(format string, args ...any) string {
	return s.baseURL + fmt.Sprintf(format, args...)
}

func (s *Sim) userView(a *account) object {
	url := s.apiURL("/users/%s", strings.ReplaceAll(strings.ReplaceAll(a.login, "[", "%5B"), "]", "%5D"))
	view := object{
		"login": a.login, "id": a.id, "node_id": nodeID(a.kind, a.id), "type": a.kind, "site_admin": false,
		"user_view_type": "public", "gravatar_id": "",
		"avatar_url": s.htmlURL("/avatars/u/%d", a.id), "html_url": s.htmlURL("/%s", strings.TrimSuffix(a.login, "[bot]")), "url": url,
	}
	for field, path := range map[string]string{
		"followers_url": "/followers", "following_url": "/following{/other_user}", "gists_url": "/gists{/gist_id}",
		"starred_url": "/starred{/owner}{/repo}", "subscriptions_url": "/subscriptions", "organizations_url": "/orgs",
		"repos_url": "/repos", "events_url": "/events{/privacy}", "received_events_url": "/received_events",
	} {
		view[field] = url + path
	}
	return view
}

// publicUser is a person's own page in the API.
func (s *Sim) publicUser(a *account) object {
	view := s.userView(a)
	for field, value := range (object{
		"name": nil, "company": nil, "blog": "", "location": nil, "email": nil, "hireable": nil, "bio": nil,
		"public_repos": 0, "public_gists": 0, "followers": 0, "following": 0,
		"created_at": stamp(a.created), "updated_at": stamp(a.created),
	}) {
		view[field] = value
	}
	if a.name != "" {
		view["name"] = a.name
	}
	return view
}

func (s *Sim) organizationView(a *account) object {
	url := s.apiURL("/orgs/%s", a.login)
	return object{
		"login": a.login, "id": a.id, "node_id": nodeID("Organization", a.id), "url": url, "description": a.name,
		"repos_url": url + "/repos", "events_url": url + "/events", "hooks_url": url + "/hooks", "issues_url": url + "/issues",
		"members_url": url + "/members{/member}", "public_members_url": url + "/public_members{/member}",
		"avatar_url": s.htmlURL("/avatars/u/%d", a.id),
	}
}

// repositoryPaths are the URLs of a repository that only their templates tell
// apart.
var repositoryPaths = strings.Fields(`
archive:/{archive_format}{/ref} assignees:{/user} blobs:git/blobs{/sha} branches:{/branch} collaborators:{/collaborator}
comments:{/number} commits:{/sha} compare:/{base}...{head} contents:/{+path} contributors: deployments: downloads: events:
forks: git_commits:git/commits{/sha} git_refs:git/refs{/sha} git_tags:git/tags{/sha} hooks: issue_comment:issues/comments{/number}
issue_events:issues/events{/number} issues:{/number} keys:{/key_id} labels:{/name} languages: merges: milestones:{/number}
notifications:{?since,all,participating} pulls:{/number} releases:{/id} stargazers: statuses:statuses/{sha} subscribers:
subscription: tags: teams: trees:git/trees{/sha}`)

func (s *Sim) repoView(r *repository) object {
	url, html := s.apiURL("/repos/%s", r.fullName()), s.htmlURL("/%s", r.fullName())
	open := 0 // pull requests are issues, too
	for _, p := range r.pulls {
		if p.closed == nil {
			open++
		}
	}
	for _, i := range r.issues {
		if i.closed == nil {
			open++
		}
	}
	visibility := "public"
	if r.private {
		visibility = "private"
	}
	view := object{
		"id": r.id, "node_id": nodeID("Repository", r.id), "name": r.name, "full_name": r.fullName(), "owner": s.userView(r.owner),
		"private": r.private, "visibility": visibility, "html_url": html, "url": url, "description": nil, "fork": r.parent != nil,
		"created_at": stamp(r.created), "updated_at": stamp(r.pushed), "pushed_at": stamp(r.pushed), "homepage": nil,
		"git_url": strings.Replace(html, "http", "git", 1) + ".git", "ssh_url": "git@localhost:" + r.fullName() + ".git",
		"clone_url": html + ".git", "svn_url": html, "mirror_url": nil, "language": nil, "license": nil, "size": 0,
		"stargazers_count": 0, "watchers_count": 0, "watchers": 0, "forks_count": 0, "forks": 0, "network_count": 0,
		"subscribers_count": 0, "open_issues_count": open, "open_issues": open, "default_branch": r.defaultBranch,
		"has_issues": true, "has_projects": false, "has_downloads": true, "has_wiki": false, "has_pages": false,
		"has_discussions": false, "archived": false, "disabled": false, "allow_forking": true, "is_template": false,
		"web_commit_signoff_required": false, "topics": []string{}, "custom_properties": object{},
	}
	for _, entry := range repositoryPaths {
		name, path, _ := strings.Cut(entry, ":")
		if path == "" || strings.ContainsAny(path[:1], "{/") {
			path = strings.TrimSuffix(name, "_url") + path
		}
		view[name+"_url"] = url + "/" + path
	}
	return view
}

// fullRepo is a repository with what is said of it alone.
func (s *Sim) fullRepo(r *repository, a actor) object {
	view := s.repoView(r)
	role := "read"
	if a.token == nil && a.user != nil {
		role = s.role(a.user, r)
	}
	view["permissions"] = permissions(role)
	view["allow_squash_merge"], view["allow_merge_commit"], view["allow_rebase_merge"] = true, true, true
	if r.parent != nil {
		view["parent"], view["source"] = s.repoView(r.parent), s.repoView(r.parent)
	}
	return view
}

func permissions(role string) object {
	return object{
		"pull": atLeast(role, "read"), "triage": atLeast(role, "triage"), "push": atLeast(role, "write"),
		"maintain": atLeast(role, "maintain"), "admin": atLeast(role, "admin"),
	}
}

// appView is the App, as JSON says who did something.
func (s *Sim) appView() object {
	return object{
		"id": s.app.id, "slug": s.app.slug, "node_id": nodeID("Integration", s.app.id), "client_id": fmt.Sprintf("Iv1.%016d", s.app.id),
		"owner": s.userView(s.app.owner), "name": s.app.name, "description": nil, "external_url": s.htmlURL("/apps/%s", s.app.slug),
		"html_url": s.htmlURL("/apps/%s", s.app.slug), "created_at": stamp(s.app.created), "updated_at": stamp(s.app.created),
		"permissions": s.app.permissions, "events": s.app.events,
	}
}

func (s *Sim) installationView(i *installation) object {
	selection, kind := "selected", "User"
	if i.all {
		selection = "all"
	}
	if i.account.kind == "Organization" {
		kind = "Organization"
	}
	var suspendedBy any
	if i.suspended != nil {
		suspendedBy = s.userView(s.app.owner)
	}
	return object{
		"id": i.id, "account": s.userView(i.account), "repository_selection": selection,
		"access_tokens_url": s.apiURL("/app/installations/%d/access_tokens", i.id), "repositories_url": s.apiURL("/installation/repositories"),
		"html_url": s.htmlURL("/settings/installations/%d", i.id), "app_id": s.app.id, "app_slug": s.app.slug,
		"target_id": i.account.id, "target_type": kind, "permissions": i.permissions, "events": s.app.events,
		"created_at": stamp(i.created), "updated_at": stamp(i.created), "single_file_name": nil,
		"has_multiple_single_files": false, "single_file_paths": []string{},
		"suspended_by": suspendedBy, "suspended_at": stampOf(i.suspended),
	}
}

func (s *Sim) labelView(r *repository, l *label) object {
	return object{
		"id": l.id, "node_id": nodeID("Label", l.id), "url": s.apiURL("/repos/%s/labels/%s", r.fullName(), l.name),
		"name": l.name, "color": l.color, "default": false, "description": nil,
	}
}

func (s *Sim) labelViews(r *repository, labels []*label) []object {
	views := make([]object, 0, len(labels))
	for _, l := range labels {
		views = append(views, s.labelView(r, l))
	}
	return views
}

// contents are what a comment may be reacted with, as GitHub orders them.
var contents = []string{"+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"}

func (s *Sim) commentView(c *comment, hook bool) object {
	r, html := c.pull.repo, s.htmlURL("/%s/pull/%d", c.pull.repo.fullName(), c.pull.number)
	url := s.apiURL("/repos/%s/issues/comments/%d", r.fullName(), c.id)
	return object{
		"id": c.id, "node_id": nodeID("IssueComment", c.id), "url": url, "html_url": fmt.Sprintf("%s#issuecomment-%d", html, c.id),
		"issue_url": s.apiURL("/repos/%s/issues/%d", r.fullName(), c.pull.number), "user": s.userView(c.author), "body": c.body,
		"created_at": stamp(c.created), "updated_at": stamp(c.updated), "author_association": s.association(c.author, r, hook),
		"reactions": reactionCounts(url, c.reactions), "performed_via_github_app": s.by(c.byApp),
	}
}

// remarkView is a comment on a commit as a whole: it has no line.
func (s *Sim) remarkView(r *repository, k *remark) object {
	url, html := s.apiURL("/repos/%s/comments/%d", r.fullName(), k.id), s.htmlURL("/%s/commit/%s", r.fullName(), k.sha)
	return object{
		"id": k.id, "node_id": nodeID("CommitComment", k.id), "url": url, "html_url": fmt.Sprintf("%s#commitcomment-%d", html, k.id),
		"user": s.userView(k.author), "body": k.body, "commit_id": k.sha, "path": nil, "position": nil, "line": nil,
		"created_at": stamp(k.created), "updated_at": stamp(k.updated), "author_association": s.association(k.author, r, false),
		"reactions": reactionCounts(url, nil),
	}
}

// reactionCounts says of every reaction how often it was given to what has the URL.
func reactionCounts(url string, all []*reaction) object {
	counts := object{"url": url + "/reactions", "total_count": len(all)}
	for _, content := range contents {
		count := 0
		for _, given := range all {
			if given.content == content {
				count++
			}
		}
		counts[content] = count
	}
	return counts
}

// association is GitHub's word for what an author is to a repository. A webhook
// can't see who belongs to an organisation in private (forges.md 0.7).
func (s *Sim) association(who *account, r *repository, hook bool) string {
	if who == r.owner {
		return "OWNER"
	}
	if r.owner.members[who.login] != "" && !hook {
		return "MEMBER"
	}
	for name := range r.collaborators {
		if strings.EqualFold(name, who.login) {
			return "COLLABORATOR"
		}
	}
	if slices.ContainsFunc(r.pulls, func(p *pull) bool { return p.author == who && p.merged != nil }) {
		return "CONTRIBUTOR"
	}
	return "NONE"
}

func (s *Sim) reactionView(given *reaction) object {
	return object{
		"id": given.id, "node_id": nodeID("Reaction", given.id), "user": s.userView(given.user),
		"content": given.content, "created_at": stamp(given.created),
	}
}

func (s *Sim) reviewView(p *pull, v *review, hook bool) object {
	state := v.state
	if hook {
		state = strings.ToLower(state) // forges.md A.4
	}
	html := s.htmlURL("/%s/pull/%d#pullrequestreview-%d", p.repo.fullName(), p.number, v.id)
	url := s.apiURL("/repos/%s/pulls/%d", p.repo.fullName(), p.number)
	view := object{
		"id": v.id, "node_id": nodeID("PullRequestReview", v.id), "user": s.userView(v.author), "body": v.body, "state": state,
		"html_url": html, "pull_request_url": url, "commit_id": v.commit, "submitted_at": stamp(v.submitted),
		"author_association": s.association(v.author, p.repo, hook),
		"_links":             object{"html": object{"href": html}, "pull_request": object{"href": url}},
	}
	if hook && v.body == "" {
		view["body"] = nil
	}
	return view
}
