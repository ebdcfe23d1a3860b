package githubsim

import (
	"fmt"
	"strings"
)

func (s *Sim) sideView(r *repository, ref, sha string) object {
	return object{"label": r.owner.login + ":" + ref, "ref": ref, "sha": sha, "user": s.userView(r.owner), "repo": s.repoView(r)}
}

// pullView is a pull request as a list has it.
func (s *Sim) pullView(p *pull, hook bool) object {
	r := p.repo
	url, issue := s.apiURL("/repos/%s/pulls/%d", r.fullName(), p.number), s.apiURL("/repos/%s/issues/%d", r.fullName(), p.number)
	html, statuses := s.htmlURL("/%s/pull/%d", r.fullName(), p.number), s.apiURL("/repos/%s/statuses/%s", r.fullName(), p.head.sha)
	links := object{}
	for name, href := range map[string]string{
		"self": url, "html": html, "issue": issue, "comments": issue + "/comments", "review_comments": url + "/comments",
		"review_comment": s.apiURL("/repos/%s/pulls/comments{/number}", r.fullName()), "commits": url + "/commits", "statuses": statuses,
	} {
		links[name] = object{"href": href}
	}
	var sha any
	if p.mergeSHA != "" {
		sha = p.mergeSHA
	}
	return object{
		"id": p.id, "node_id": nodeID("PullRequest", p.id), "number": p.number, "url": url, "html_url": html,
		"diff_url": html + ".diff", "patch_url": html + ".patch", "issue_url": issue, "commits_url": url + "/commits",
		"review_comments_url": url + "/comments", "review_comment_url": s.apiURL("/repos/%s/pulls/comments{/number}", r.fullName()),
		"comments_url": issue + "/comments", "statuses_url": statuses, "_links": links,
		"state": p.state(), "locked": false, "active_lock_reason": nil, "title": p.title, "body": p.body, "user": s.userView(p.author),
		"labels": s.labelViews(r, p.labels), "milestone": nil, "assignee": nil, "assignees": []object{},
		"requested_reviewers": []object{}, "requested_teams": []object{}, "draft": p.draft, "auto_merge": nil,
		"created_at": stamp(p.created), "updated_at": stamp(p.updated), "closed_at": stampOf(p.closed), "merged_at": stampOf(p.merged),
		"merge_commit_sha": sha, "author_association": s.association(p.author, r, hook),
		"head": s.sideView(p.head.repo, p.head.ref, p.head.sha), "base": s.sideView(r, p.baseRef, p.baseSHA),
	}
}

// fullPull is a pull request as it is asked for alone, and as webhooks have it.
func (s *Sim) fullPull(p *pull, hook bool) object {
	view := s.pullView(p, hook)
	size := p.measure()
	mergeable, state := p.mergeable()
	var mergedBy any
	if p.mergedBy != nil {
		mergedBy = s.userView(p.mergedBy)
	}
	for field, value := range (object{
		"merged": p.merged != nil, "mergeable": mergeable, "rebaseable": mergeable, "mergeable_state": state, "merged_by": mergedBy,
		"comments": len(p.repo.conversation(p)), "review_comments": 0, "maintainer_can_modify": p.modify,
		"commits": size.commits, "additions": size.added, "deletions": size.deleted, "changed_files": size.files,
	}) {
		view[field] = value
	}
	return view
}

// mergeable is null until the test merge has been made (forges.md A.10).
func (p *pull) mergeable() (mergeable any, state string) {
	switch {
	case p.merged != nil || !p.tested.known:
		return nil, "unknown"
	case !p.tested.clean:
		return false, "dirty"
	case p.draft:
		return true, "draft"
	}
	return true, "clean"
}

// measure counts commits, and lines and files between where a branch left its base
// and its head; again only when one of them has moved.
func (p *pull) measure() changeSize {
	if p.size.base == p.baseSHA && p.size.head == p.head.sha {
		return p.size
	}
	size := changeSize{base: p.baseSHA, head: p.head.sha, commits: p.repo.git.count(p.baseSHA, p.head.sha)}
	out, err := p.repo.git.run("diff", "--numstat", p.baseSHA+"..."+p.head.sha)
	if err != nil {
		return size // without a common ancestor there is nothing to count
	}
	for line := range strings.Lines(out) {
		var added, deleted int
		_, _ = fmt.Sscanf(line, "%d\t%d", &added, &deleted) // a binary file has dashes
		size.added, size.deleted, size.files = size.added+added, size.deleted+deleted, size.files+1
	}
	p.size = size
	return size
}

// issueView is the issue that every pull request is as well.
func (s *Sim) issueView(p *pull) object {
	r := p.repo
	html, pulls := s.htmlURL("/%s/pull/%d", r.fullName(), p.number), s.apiURL("/repos/%s/pulls/%d", r.fullName(), p.number)
	view := s.issueFields(r, p.number, p.author)
	for field, value := range (object{
		"id": p.id + 1<<32, "node_id": nodeID("Issue", p.id), "html_url": html, "title": p.title, "body": p.body,
		"labels": s.labelViews(r, p.labels), "state": p.state(), "comments": len(r.conversation(p)), "draft": p.draft,
		"created_at": stamp(p.created), "updated_at": stamp(p.updated), "closed_at": stampOf(p.closed),
		"pull_request": object{
			"url": pulls, "html_url": html, "diff_url": html + ".diff", "patch_url": html + ".patch", "merged_at": stampOf(p.merged),
		},
	}) {
		view[field] = value
	}
	return view
}

// plainIssueView is an issue that is no pull request.
func (s *Sim) plainIssueView(r *repository, i *issue) object {
	view := s.issueFields(r, i.number, i.author)
	for field, value := range (object{
		"id": i.id, "node_id": nodeID("Issue", i.id), "html_url": s.htmlURL("/%s/issues/%d", r.fullName(), i.number),
		"title": i.title, "body": i.body, "labels": []object{}, "state": i.state(), "comments": 0,
		"created_at": stamp(i.created), "updated_at": stamp(i.updated), "closed_at": stampOf(i.closed), "closed_by": nil,
		"performed_via_github_app": s.by(i.byApp),
	}) {
		view[field] = value
	}
	return view
}

// issueFields are what issues and pull requests have in common where they are listed
// together.
func (s *Sim) issueFields(r *repository, number int, author *account) object {
	url := s.apiURL("/repos/%s/issues/%d", r.fullName(), number)
	return object{
		"number": number, "url": url, "repository_url": s.apiURL("/repos/%s", r.fullName()), "labels_url": url + "/labels{/name}",
		"comments_url": url + "/comments", "events_url": url + "/events", "timeline_url": url + "/timeline", "user": s.userView(author),
		"state_reason": nil, "locked": false, "active_lock_reason": nil, "assignee": nil, "assignees": []object{}, "milestone": nil,
		"author_association": s.association(author, r, true), "performed_via_github_app": nil, "reactions": reactionCounts(url, nil),
	}
}

func (s *Sim) commitView(r *repository, c commitInfo) object {
	url, html := s.apiURL("/repos/%s/commits/%s", r.fullName(), c.sha), s.htmlURL("/%s/commit/%s", r.fullName(), c.sha)
	parents := []object{}
	for _, parent := range c.parents {
		parents = append(parents, object{"sha": parent, "url": s.apiURL("/repos/%s/commits/%s", r.fullName(), parent), "html_url": s.htmlURL("/%s/commit/%s", r.fullName(), parent)})
	}
	return object{
		"sha": c.sha, "node_id": "C_" + c.sha, "url": url, "html_url": html, "comments_url": url + "/comments",
		"author": nil, "committer": nil, "parents": parents,
		"commit": object{
			"author":    object{"name": c.author, "email": c.authorMail, "date": c.authored},
			"committer": object{"name": c.committer, "email": c.committerMail, "date": c.commit},
			"message":   c.message, "tree": object{"sha": c.tree, "url": s.apiURL("/repos/%s/git/trees/%s", r.fullName(), c.tree)},
			"url": s.apiURL("/repos/%s/git/commits/%s", r.fullName(), c.sha), "comment_count": 0,
			"verification": object{"verified": false, "reason": "unsigned", "signature": nil, "payload": nil, "verified_at": nil},
		},
	}
}
