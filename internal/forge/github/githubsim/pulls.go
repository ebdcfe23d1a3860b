package githubsim

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// ref is where the base repository keeps what belongs to a pull request.
func (p *pull) ref(name string) string { return fmt.Sprintf("refs/pull/%d/%s", p.number, name) }

// take makes the head of a pull request reachable in the base repository, where
// even a fork's commits are (forges.md A.12).
func (s *Sim) take(p *pull) error {
	_, err := p.repo.git.run("fetch", "--quiet", "--no-tags", p.head.repo.git.dir, "+"+p.head.sha+":"+p.ref("head"))
	return err
}

func (s *Sim) pullEvent(action string, p *pull, sender *account, more object) {
	body := object{"action": action, "number": p.number, "pull_request": s.fullPull(p, true)}
	for field, value := range more {
		body[field] = value
	}
	s.emit(p.repo, sender, "pull_request", body)
}

// mergeRequest is how and from where to merge.
type mergeRequest struct {
	SHA     string  `json:"sha"`
	Method  string  `json:"merge_method"`
	Title   *string `json:"commit_title"`
	Message *string `json:"commit_message"`
}

// mergePull answers 405 for what can't be merged, and 409 when the head is not the
// one asked for (forges.md A.10).
func (c *call) mergePull() (answer, error) {
	p, err := c.pull()
	if err != nil {
		return answer{}, err
	}
	asked := mergeRequest{Method: "merge"}
	if err := c.read(&asked); err != nil {
		return answer{}, err
	}
	base := c.repo.refs["refs/heads/"+p.baseRef]
	switch {
	case p.closed != nil:
		return answer{}, problem(http.StatusMethodNotAllowed, "Pull Request is not mergeable")
	case p.draft:
		return answer{}, problem(http.StatusMethodNotAllowed, "Pull Request is still a draft")
	case asked.SHA != "" && asked.SHA != p.head.sha:
		return answer{}, problem(http.StatusConflict, "Head branch was modified. Review and try the merge again.")
	}
	merged, err := c.merge(p, base, asked)
	if err != nil {
		return answer{}, err
	}
	if _, err := c.repo.git.run("update-ref", "refs/heads/"+p.baseRef, merged, base); err != nil {
		return answer{}, problem(http.StatusConflict, "Base branch was modified. Review and try the merge again.")
	}
	c.setMerged(p, merged, span{base, merged}, c.actor.user)
	if err := c.sync(c.repo, c.actor.user); err != nil {
		return answer{}, err
	}
	return ok(object{"sha": merged, "merged": true, "message": "Pull Request successfully merged"})
}

func (s *Sim) setMerged(p *pull, sha string, brought span, by *account) {
	at := s.now()
	p.merged, p.closed, p.updated, p.mergedBy, p.mergeSHA, p.brought = &at, &at, at, by, sha, brought
	s.pullEvent("closed", p, by, nil)
}

// merge makes the commit, or commits, that a method of merging makes.
func (c *call) merge(p *pull, base string, asked mergeRequest) (string, error) {
	tree, clean, err := c.repo.git.mergeTree(base, p.head.sha)
	if err != nil {
		return "", err
	}
	if !clean {
		return "", problem(http.StatusMethodNotAllowed, "Pull Request is not mergeable")
	}
	switch asked.Method {
	case "merge":
		title := fmt.Sprintf("Merge pull request #%d from %s/%s", p.number, p.head.repo.owner.login, p.head.ref)
		return c.repo.git.commitTree(tree, mergeMessage(asked, title, p.title), c.signatures(c.actor.user), base, p.head.sha)
	case "squash":
		title := fmt.Sprintf("%s (#%d)", p.title, p.number)
		return c.repo.git.commitTree(tree, mergeMessage(asked, title, ""), c.signatures(p.author), base)
	case "rebase":
		return c.replay(p, base)
	}
	return "", invalid("PullRequest", "merge_method", "merge_method is not included in the list")
}

func mergeMessage(asked mergeRequest, title, message string) string {
	set(&title, asked.Title)
	set(&message, asked.Message)
	return strings.TrimSpace(title + "\n\n" + message)
}

// replay makes each commit of a pull request anew on its base. Every one is merged
// with a commit that has the tree so far and the original's parent, so that the
// original's own change is all that is merged.
func (c *call) replay(p *pull, base string) (string, error) {
	commits, err := c.repo.git.log("--reverse", base+".."+p.head.sha)
	if err != nil {
		return "", err
	}
	tip := base
	for _, original := range commits {
		if len(original.parents) != 1 {
			return "", problem(http.StatusMethodNotAllowed, "This branch can't be rebased")
		}
		ours := c.signatures(c.actor.user)
		onto, err := c.repo.git.commitTree(tip+"^{tree}", "onto", ours, original.parents[0])
		if err != nil {
			return "", err
		}
		tree, clean, err := c.repo.git.mergeTree(onto, original.sha)
		if err != nil {
			return "", err
		}
		if !clean {
			return "", problem(http.StatusMethodNotAllowed, "This branch can't be rebased due to conflicts")
		}
		who := append([]string{
			"GIT_AUTHOR_NAME=" + original.author, "GIT_AUTHOR_EMAIL=" + original.authorMail, "GIT_AUTHOR_DATE=" + original.authored,
		}, signature("COMMITTER", "GitHub", "noreply@localhost", c.now())...)
		if tip, err = c.repo.git.commitTree(tree, original.message, who, tip); err != nil {
			return "", err
		}
	}
	return tip, nil
}

// move points a branch to another commit, as long as it still is where it was.
func (s *Sim) move(r *repository, branch, from, to string, by *account) error {
	if _, err := r.git.run("update-ref", "refs/heads/"+branch, to, from); err != nil {
		return err
	}
	return s.sync(r, by)
}

// refChange is one branch or tag that was pushed; before or after may be empty.
type refChange struct{ name, before, after string }

// maxTags is how many tags one push may have before GitHub says nothing of them
// (forges.md A.3).
const maxTags = 3

// sync looks at the branches and tags of a repository and does what follows from
// every one that moved since it last looked.
func (s *Sim) sync(r *repository, by *account) error {
	found, err := r.git.refs()
	if err != nil {
		return err
	}
	changes, tags := changedRefs(r.refs, found)
	before := r.refs
	r.refs = found
	if len(changes) > 0 {
		r.pushed = s.now()
	}
	for _, change := range changes {
		branch, isBranch := strings.CutPrefix(change.name, "refs/heads/")
		if isBranch || tags <= maxTags {
			if err := s.pushEvent(r, by, change, before); err != nil {
				return err
			}
		}
		if isBranch {
			if err := s.branchMoved(r, by, branch, change); err != nil {
				return err
			}
		}
	}
	return nil
}

func changedRefs(before, after map[string]string) (changes []refChange, tags int) {
	for name, sha := range after {
		if before[name] != sha {
			changes = append(changes, refChange{name, before[name], sha})
		}
	}
	for name, sha := range before {
		if after[name] == "" {
			changes = append(changes, refChange{name, sha, ""})
		}
	}
	slices.SortFunc(changes, func(a, b refChange) int { return cmp.Compare(a.name, b.name) })
	for _, change := range changes {
		if strings.HasPrefix(change.name, "refs/tags/") {
			tags++
		}
	}
	return changes, tags
}

// branchMoved brings the pull requests of a branch up to date: those that come
// from it, and those that go to it.
func (s *Sim) branchMoved(r *repository, by *account, branch string, change refChange) error {
	for _, base := range s.repoOrder {
		for _, p := range base.pulls {
			if p.closed != nil {
				continue
			}
			if p.head.repo == r && p.head.ref == branch {
				if err := s.headMoved(p, by, change); err != nil {
					return err
				}
			}
			if p.closed == nil && p.repo == r && p.baseRef == branch {
				s.baseMoved(p, by, change)
			}
		}
	}
	return nil
}

func (s *Sim) headMoved(p *pull, by *account, change refChange) error {
	if change.after == "" {
		s.closePull(p, by)
		return nil
	}
	p.head.sha, p.baseSHA = change.after, p.repo.refs["refs/heads/"+p.baseRef]
	p.updated, p.tested, p.mergeSHA = s.now(), testMerge{}, ""
	if err := s.take(p); err != nil {
		return err
	}
	s.pullEvent("synchronize", p, by, object{"before": change.before, "after": change.after})
	if p.baseSHA != "" && p.repo.git.count(p.baseSHA, p.head.sha) == 0 {
		s.closePull(p, by)
	}
	return nil
}

// baseMoved closes a pull request whose base is gone, and knows one as merged whose
// head was pushed to its base.
func (s *Sim) baseMoved(p *pull, by *account, change refChange) {
	switch {
	case change.after == "":
		s.closePull(p, by)
	case p.repo.git.contains(change.after, p.head.sha):
		s.setMerged(p, change.after, span{change.before, p.head.sha}, by)
	}
}

// SetDraft makes a pull request a draft or ready for review, which GitHub has no
// REST operation for.
func (s *Sim) SetDraft(fullName string, number int, draft bool, login string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	owner, name, _ := strings.Cut(fullName, "/")
	r, who := s.repo(owner, name), s.account(login)
	if r == nil || r.pull(number) == nil || who == nil {
		return fmt.Errorf("set the draft of %s#%d as %s: there is no such pull request or person", fullName, number, login)
	}
	p := r.pull(number)
	if p.draft == draft {
		return nil
	}
	p.draft, p.updated = draft, s.now()
	action := "ready_for_review"
	if draft {
		action = "converted_to_draft"
	}
	s.pullEvent(action, p, who, nil)
	return nil
}
