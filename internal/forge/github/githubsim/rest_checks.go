package githubsim

import (
	"fmt"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"
)

// Limits of check runs, in characters where text is meant (forges.md A.5).
const (
	maxOutput      = 65535
	maxAnnotations = 50
	maxActions     = 3
	maxIdentifier  = 20
	maxDescription = 40
)

// checkRequest is what may be said of a check run, new or not.
type checkRequest struct {
	Name        *string       `json:"name"`
	HeadSHA     string        `json:"head_sha"`
	DetailsURL  *string       `json:"details_url"`
	ExternalID  *string       `json:"external_id"`
	Status      *string       `json:"status"`
	Conclusion  *string       `json:"conclusion"`
	StartedAt   *time.Time    `json:"started_at"`
	CompletedAt *time.Time    `json:"completed_at"`
	Output      *checkOutput  `json:"output"`
	Actions     []checkAction `json:"actions"`
}

type checkOutput struct {
	Title       *string      `json:"title"`
	Summary     *string      `json:"summary"`
	Text        *string      `json:"text"`
	Annotations []annotation `json:"annotations"`
}

// limit says what is too long or too many.
func (asked *checkRequest) limit() error {
	if out := asked.Output; out != nil {
		for field, text := range map[string]*string{"summary": out.Summary, "text": out.Text} {
			if text != nil && utf8.RuneCountInString(*text) > maxOutput {
				return invalid("CheckRun", field, fmt.Sprintf("Only %d characters are allowed; %d were supplied.", maxOutput, utf8.RuneCountInString(*text)))
			}
		}
		if out.Summary == nil {
			return problem(http.StatusUnprocessableEntity, "Invalid request.\n\nFor 'properties/output', \"summary\" wasn't supplied.")
		}
		if len(out.Annotations) > maxAnnotations {
			return invalid("CheckRun", "annotations", fmt.Sprintf("Only %d annotations are allowed; %d were supplied.", maxAnnotations, len(out.Annotations)))
		}
	}
	if len(asked.Actions) > maxActions {
		return invalid("CheckRun", "actions", fmt.Sprintf("Only %d actions are allowed; %d were supplied.", maxActions, len(asked.Actions)))
	}
	for _, action := range asked.Actions {
		if utf8.RuneCountInString(action.Label) > maxIdentifier || utf8.RuneCountInString(action.Identifier) > maxIdentifier ||
			utf8.RuneCountInString(action.Description) > maxDescription {
			return invalid("CheckRun", "actions", "an action is longer than GitHub shows")
		}
	}
	return nil
}

func (c *call) createCheck() (answer, error) {
	var asked checkRequest
	if err := c.read(&asked); err != nil {
		return answer{}, err
	}
	if asked.Name == nil || *asked.Name == "" {
		return answer{}, invalid("CheckRun", "name", "name is missing")
	}
	sha := c.repo.git.commit(asked.HeadSHA)
	if sha == "" || sha != asked.HeadSHA {
		return answer{}, problem(http.StatusUnprocessableEntity, "No commit found for SHA: "+asked.HeadSHA)
	}
	if c.repo.suites[sha] == 0 {
		c.repo.suites[sha] = c.id()
	}
	at := c.now()
	made := &checkRun{id: c.id(), suite: c.repo.suites[sha], head: sha, status: "queued", started: &at}
	if err := c.change(made, &asked); err != nil {
		return answer{}, err
	}
	c.repo.checks = append(c.repo.checks, made)
	c.checkEvent("created", made, c.actor.user, nil)
	if made.status == "completed" {
		c.checkEvent("completed", made, c.actor.user, nil)
	}
	return created(c.checkView(c.repo, made))
}

func (c *call) check() (*checkRun, error) { return c.repo.check(c.number("check_run_id")) }

func (r *repository) check(id int) (*checkRun, error) {
	at := slices.IndexFunc(r.checks, func(k *checkRun) bool { return int(k.id) == id })
	if at < 0 {
		return nil, notFound()
	}
	return r.checks[at], nil
}

func (c *call) editCheck() (answer, error) {
	k, err := c.check()
	if err != nil {
		return answer{}, err
	}
	var asked checkRequest
	if err := c.read(&asked); err != nil {
		return answer{}, err
	}
	before := k.status
	if err := c.change(k, &asked); err != nil {
		return answer{}, err
	}
	if k.status == "completed" && before != "completed" {
		c.checkEvent("completed", k, c.actor.user, nil)
	}
	return ok(c.checkView(c.repo, k))
}

// change applies a request to a run, whole or not at all. Annotations are added to
// those that are there; a conclusion implies completed; a run that is completed
// may be opened again (forges.md A.5).
func (c *call) change(k *checkRun, asked *checkRequest) error {
	if err := asked.limit(); err != nil {
		return err
	}
	status, conclusion := k.status, k.conclusion
	if asked.Status != nil {
		status = *asked.Status
		if status != "completed" {
			conclusion = nil
		}
	}
	if asked.Conclusion != nil {
		status, conclusion = "completed", asked.Conclusion
	}
	if status == "completed" && conclusion == nil {
		return problem(http.StatusUnprocessableEntity, "Invalid request.\n\nMissing required key \"conclusion\".")
	}
	k.status, k.conclusion = status, conclusion
	set(&k.name, asked.Name)
	set(&k.externalID, asked.ExternalID)
	set(&k.detailsURL, asked.DetailsURL)
	if asked.StartedAt != nil {
		k.started = asked.StartedAt
	}
	switch {
	case status != "completed":
		k.completed = nil
	case asked.CompletedAt != nil:
		k.completed = asked.CompletedAt
	case k.completed == nil:
		at := c.now()
		k.completed = &at
	}
	if out := asked.Output; out != nil {
		k.title, k.summary, k.text = out.Title, out.Summary, out.Text
		k.annotations = append(k.annotations, out.Annotations...)
	}
	if asked.Actions != nil {
		k.actions = asked.Actions
	}
	return nil
}

func set(field *string, value *string) {
	if value != nil {
		*field = *value
	}
}

// checkEvent goes to the App that owns the run alone (forges.md A.4): this one.
func (s *Sim) checkEvent(action string, k *checkRun, sender *account, more object) {
	r := s.repoOf(k)
	body := object{"action": action, "check_run": s.hookCheck(r, k)}
	for field, value := range more {
		body[field] = value
	}
	s.emit(r, sender, "check_run", body)
}

// listChecks lists the runs of a commit; unless all are asked for, only the latest
// of each name.
func (c *call) listChecks() (answer, error) {
	sha := c.repo.git.commit(c.params["ref"])
	if sha == "" {
		return answer{}, problem(http.StatusUnprocessableEntity, "No commit found for SHA: "+c.params["ref"])
	}
	query := c.r.URL.Query()
	var found []*checkRun
	seen := map[string]bool{}
	for _, k := range slices.Backward(c.repo.checks) {
		wanted := k.head == sha &&
			(query.Get("check_name") == "" || query.Get("check_name") == k.name) &&
			(query.Get("status") == "" || query.Get("status") == k.status) &&
			(query.Get("app_id") == "" || number(query.Get("app_id"), -1) == int(c.app.id))
		if wanted && (query.Get("filter") == "all" || !seen[k.name]) {
			found = append(found, k)
			seen[k.name] = true
		}
	}
	views := []object{}
	for _, k := range page(c, found) {
		views = append(views, c.checkView(c.repo, k))
	}
	return ok(object{"total_count": len(found), "check_runs": views})
}

func (s *Sim) repoOf(k *checkRun) *repository {
	at := slices.IndexFunc(s.repoOrder, func(r *repository) bool { return r.suites[k.head] == k.suite })
	return s.repoOrder[at]
}
