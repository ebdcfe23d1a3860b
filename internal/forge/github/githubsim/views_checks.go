package githubsim

func (s *Sim) checkView(r *repository, c *checkRun) object {
	url := s.apiURL("/repos/%s/check-runs/%d", r.fullName(), c.id)
	html := s.htmlURL("/%s/runs/%d", r.fullName(), c.id)
	return object{
		"id": c.id, "node_id": nodeID("CheckRun", c.id), "head_sha": c.head, "external_id": c.externalID, "url": url,
		"html_url": html, "details_url": or(c.detailsURL, html), "status": c.status, "conclusion": c.conclusion,
		"started_at": stampOf(c.started), "completed_at": stampOf(c.completed), "name": c.name,
		"check_suite": object{"id": c.suite}, "app": s.appView(), "pull_requests": s.checkPulls(r, c.head),
		"output": object{
			"title": c.title, "summary": c.summary, "text": c.text, "annotations_count": len(c.annotations), "annotations_url": url + "/annotations",
		},
	}
}

// checkPulls are the open pull requests of a commit; those of forks are not among
// them (forges.md A.4).
func (s *Sim) checkPulls(r *repository, sha string) []object {
	views := []object{}
	for _, p := range r.pulls {
		if p.closed != nil || p.head.sha != sha || p.head.repo != r {
			continue
		}
		repo := object{"id": r.id, "url": s.apiURL("/repos/%s", r.fullName()), "name": r.name}
		views = append(views, object{
			"id": p.id, "number": p.number, "url": s.apiURL("/repos/%s/pulls/%d", r.fullName(), p.number),
			"head": object{"ref": p.head.ref, "sha": p.head.sha, "repo": repo},
			"base": object{"ref": p.baseRef, "sha": p.baseSHA, "repo": repo},
		})
	}
	return views
}

// hookCheck is a check run as a webhook has it: with its suite in full.
func (s *Sim) hookCheck(r *repository, c *checkRun) object {
	view := s.checkView(r, c)
	view["check_suite"] = object{
		"id": c.suite, "node_id": nodeID("CheckSuite", c.suite), "head_branch": nil, "head_sha": c.head, "status": c.status,
		"conclusion": c.conclusion, "url": s.apiURL("/repos/%s/check-suites/%d", r.fullName(), c.suite), "before": zero, "after": c.head,
		"pull_requests": s.checkPulls(r, c.head), "app": s.appView(), "created_at": stampOf(c.started), "updated_at": stampOf(c.started),
	}
	return view
}

func (s *Sim) statusView(r *repository, st *status) object {
	return object{
		"id": st.id, "node_id": nodeID("StatusContext", st.id), "url": s.apiURL("/repos/%s/statuses/%s", r.fullName(), st.sha),
		"avatar_url": s.htmlURL("/avatars/u/%d", st.creator.id), "state": st.state, "description": st.description,
		"target_url": st.targetURL, "context": st.context, "created_at": stamp(st.created), "updated_at": stamp(st.created),
	}
}

func (s *Sim) deploymentView(r *repository, d *deployment) object {
	url := s.apiURL("/repos/%s/deployments/%d", r.fullName(), d.id)
	return object{
		"id": d.id, "node_id": nodeID("Deployment", d.id), "url": url, "sha": d.sha, "ref": d.ref, "task": d.task, "payload": d.payload,
		"original_environment": d.environment, "environment": d.environment, "description": d.description,
		"creator": s.userView(d.creator), "created_at": stamp(d.created), "updated_at": stamp(d.updated),
		"statuses_url": url + "/statuses", "repository_url": s.apiURL("/repos/%s", r.fullName()),
		"transient_environment": d.transient, "production_environment": d.production, "performed_via_github_app": s.by(d.byApp),
	}
}

func (s *Sim) by(app bool) any {
	if app {
		return s.appView()
	}
	return nil
}

func (s *Sim) deploymentStatusView(r *repository, d *deployment, st *deploymentStatus) object {
	url := s.apiURL("/repos/%s/deployments/%d", r.fullName(), d.id)
	return object{
		"id": st.id, "node_id": nodeID("DeploymentStatus", st.id), "url": s.apiURL("/repos/%s/deployments/%d/statuses/%d", r.fullName(), d.id, st.id),
		"state": st.state, "creator": s.userView(st.creator), "description": st.description, "environment": st.environment,
		"target_url": st.logURL, "log_url": st.logURL, "environment_url": st.environmentURL,
		"created_at": stamp(st.created), "updated_at": stamp(st.created),
		"deployment_url": url, "repository_url": s.apiURL("/repos/%s", r.fullName()), "performed_via_github_app": s.by(st.byApp),
	}
}
