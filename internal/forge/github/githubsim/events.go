package githubsim

import (
	"fmt"
	"slices"
	"strings"
)

// emit sends a webhook about a repository to the App, when an installation of it
// has the repository and the App asked for the event.
func (s *Sim) emit(r *repository, sender *account, event string, body object) {
	i := s.installation(r)
	if i == nil || i.suspended != nil || !slices.Contains(s.app.events, event) {
		return
	}
	body["repository"] = s.repoView(r)
	body["installation"] = object{"id": i.id, "node_id": nodeID("Integration", i.id)}
	if r.owner.kind == "Organization" {
		body["organization"] = s.organizationView(r.owner)
	}
	s.dispatch(event, sender, body, &delivery{installation: &i.id, repository: &r.id})
}

// dispatch finishes a webhook, holds it to the description, and gives it to the
// sender, with the fault that waits for it.
func (s *Sim) dispatch(event string, sender *account, body object, d *delivery) {
	if sender != nil {
		body["sender"] = s.userView(sender)
	}
	d.id, d.guid, d.event, d.url = s.id(), guid(), event, s.hookURL
	d.target = s.app.id
	d.action, _ = body["action"].(string)
	text, err := encode(body)
	if err != nil {
		s.violations = append(s.violations, fmt.Sprintf("write the webhook %s %s: %v", event, d.action, err))
		return
	}
	if len(text) > maxBody {
		return // forges.md A.3
	}
	d.body = text
	if s.options.Description != nil {
		_ = s.options.Description.Webhook(event, d.action, text) // recorded there
	}
	s.hooks.add(d, s.takeWebhookFault(event), s.id)
}

// Ping sends the App a ping, as GitHub does when a hook is made.
func (s *Sim) Ping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := stamp(s.app.created)
	hook := object{
		"type": "App", "id": s.app.id, "name": "web", "active": true, "events": s.app.events, "app_id": s.app.id,
		"config":     object{"content_type": "json", "insecure_ssl": "0", "secret": "********", "url": s.hookURL},
		"created_at": at, "updated_at": at, "deliveries_url": s.apiURL("/app/hook/deliveries"),
	}
	s.dispatch("ping", nil, object{"zen": "Keep it logically awesome.", "hook_id": s.app.id, "hook": hook}, &delivery{})
}

// Install tells the App of its installation on an account, as when somebody has
// just clicked; the seed's installations are there without it.
func (s *Sim) Install(login string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	owner := s.account(login)
	at := slices.IndexFunc(s.installed, func(i *installation) bool { return i.account == owner })
	if owner == nil || at < 0 {
		return fmt.Errorf("tell of the installation on %q: the seed has none", login)
	}
	i := s.installed[at]
	repos := []object{}
	for _, r := range s.reach(i) {
		repos = append(repos, object{
			"id": r.id, "node_id": nodeID("Repository", r.id), "name": r.name, "full_name": r.fullName(), "private": r.private,
		})
	}
	body := object{"action": "created", "installation": s.installationView(i), "repositories": repos, "requester": nil}
	s.dispatch("installation", owner, body, &delivery{installation: &i.id})
	return nil
}

// Click asks for an action of a check run, as a person does with its button; an
// empty identifier asks for the whole run again.
func (s *Sim) Click(checkRun int64, identifier, login string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	who := s.account(login)
	for _, r := range s.repoOrder {
		k, err := r.check(int(checkRun))
		if err != nil || who == nil {
			continue
		}
		if !atLeast(s.role(who, r), "write") {
			return fmt.Errorf("click in check run %d: %s may not write to %s", checkRun, login, r.fullName())
		}
		if identifier == "" {
			s.checkEvent("rerequested", k, who, nil)
			return nil
		}
		if !slices.ContainsFunc(k.actions, func(a checkAction) bool { return a.Identifier == identifier }) {
			return fmt.Errorf("click in check run %d: it has no action %q", checkRun, identifier)
		}
		s.checkEvent("requested_action", k, who, object{"requested_action": object{"identifier": identifier}})
		return nil
	}
	return fmt.Errorf("click in check run %d as %s: there is no such run or person", checkRun, login)
}

// pushEvent tells of a branch or a tag that moved.
func (s *Sim) pushEvent(r *repository, by *account, change refChange, before map[string]string) error {
	from, to := change.before, change.after
	body := object{
		"ref": change.name, "before": or(from, zero), "after": or(to, zero), "created": from == "", "deleted": to == "",
		"forced": from != "" && to != "" && !r.git.contains(to, from), "base_ref": nil,
		"compare": s.htmlURL("/%s/compare/%.12s...%.12s", r.fullName(), or(from, zero), or(to, zero)),
		"pusher":  object{"name": by.login, "email": by.login + "@users.noreply.localhost"}, "commits": []object{}, "head_commit": nil,
	}
	if to != "" {
		commits, err := s.pushed(r, change, before)
		if err != nil {
			return err
		}
		body["commits"] = commits
		tip, err := r.git.log("--max-count=1", to)
		if err != nil {
			return err
		}
		if len(tip) == 1 {
			body["head_commit"] = s.pushedCommit(r, tip[0])
		}
	}
	s.emit(r, by, "push", body)
	return nil
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// pushed are the commits that a push brought, oldest first.
func (s *Sim) pushed(r *repository, change refChange, before map[string]string) ([]object, error) {
	revisions := []string{"--reverse", change.after}
	if change.before != "" {
		revisions = append(revisions, "^"+change.before)
	} else {
		for _, sha := range before {
			revisions = append(revisions, "^"+sha)
		}
	}
	commits, err := r.git.log(revisions...)
	if err != nil {
		return nil, err
	}
	views := []object{}
	for _, c := range commits {
		views = append(views, s.pushedCommit(r, c))
	}
	return views, nil
}

func (s *Sim) pushedCommit(r *repository, c commitInfo) object {
	files := map[byte][]string{'A': {}, 'M': {}, 'D': {}}
	out, _ := r.git.run("diff-tree", "--root", "--no-commit-id", "--no-renames", "--name-status", "-r", "-z", c.sha)
	fields := strings.Split(out, "\x00")
	for i := 0; i+1 < len(fields); i += 2 {
		kind := fields[i][0]
		if kind != 'A' && kind != 'D' {
			kind = 'M'
		}
		files[kind] = append(files[kind], fields[i+1])
	}
	return object{
		"id": c.sha, "tree_id": c.tree, "distinct": true, "message": c.message, "timestamp": c.commit,
		"url":       s.htmlURL("/%s/commit/%s", r.fullName(), c.sha),
		"author":    object{"name": c.author, "email": c.authorMail},
		"committer": object{"name": c.committer, "email": c.committerMail},
		"added":     files['A'], "removed": files['D'], "modified": files['M'],
	}
}
