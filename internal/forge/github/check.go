package github

import (
	"context"
	"regexp"

	"github.com/google/go-github/v62/github"

	"github.com/davitops/davit/internal/forge"
)

// GitHub's limits for a check run.
const (
	maxAnnotations = 50       // in one request
	maxSummary     = 65535    // characters
	maxTitle       = 255      // characters, of a run and of an annotation
	maxMessage     = 64 << 10 // bytes
)

var commits = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// SaveCheck edits the check run that has the key as its external id, or creates one.
// Annotations are only ever appended by GitHub, so what it already has is not sent
// again.
func (g *GitHub) SaveCheck(ctx context.Context, c forge.Check) (string, error) {
	doing := "save the check " + c.Name + " in " + c.Repo.String()
	if !commits.MatchString(c.Commit) || c.Key == "" || c.Name == "" {
		return "", refused(doing, "it has no commit, no key or no name")
	}
	state, conclusion, known := outcome(c.Conclusion)
	if !known {
		return "", refused(doing, "that is no conclusion")
	}
	run := github.UpdateCheckRunOptions{Name: c.Name, ExternalID: &c.Key, Status: &state, Conclusion: conclusion}
	if c.URL != "" {
		run.DetailsURL = &c.URL
	}
	return g.write(ctx, c.Repo, doing, func(s site) (int64, error) { return g.saveCheck(ctx, s, c, run) })
}

// outcome is a conclusion in GitHub's words. One that waits is no neutral, because
// neutral passes.
func outcome(c forge.Conclusion) (state string, conclusion *string, known bool) {
	words, known := map[forge.Conclusion]string{
		forge.Success: "success", forge.Failure: "failure", forge.Waiting: "action_required", forge.Dropped: "cancelled",
	}[c]
	if c == forge.Running {
		return "in_progress", nil, true
	}
	return "completed", &words, known
}

// saveCheck first makes the run say how things are, of which the answer tells how many
// annotations it has, and then sends those that it lacks. A hint is not needed: an id
// that this process does not know of is found by the key.
func (g *GitHub) saveCheck(ctx context.Context, s site, c forge.Check, run github.UpdateCheckRunOptions) (int64, error) {
	var sent int
	id, err := g.save(artefact{"check", c.Repo.Path, c.Commit + " " + c.Name, c.Key}, way{
		find: func() (int64, error) { return g.findCheck(ctx, s, c) },
		edit: func(id int64) error {
			run.Output = output(c, nil)
			saved, _, err := s.Checks.UpdateCheckRun(whole(ctx), s.owner, s.name, id, run)
			sent = saved.GetOutput().GetAnnotationsCount()
			return err
		},
		create: func() (int64, error) {
			if c.Conclusion == forge.Dropped {
				return 0, errNothing
			}
			sent = min(maxAnnotations, len(c.Annotations))
			made, _, err := s.Checks.CreateCheckRun(ctx, s.owner, s.name, github.CreateCheckRunOptions{
				Name: run.Name, HeadSHA: c.Commit, ExternalID: run.ExternalID, DetailsURL: run.DetailsURL,
				Status: run.Status, Conclusion: run.Conclusion, Output: output(c, c.Annotations[:sent]),
			})
			return made.GetID(), err
		},
	})
	if err != nil {
		return 0, err
	}
	// Unlike the rest of a run, an annotation that is sent twice is there twice.
	for sent < len(c.Annotations) {
		end := min(sent+maxAnnotations, len(c.Annotations))
		run.Output = output(c, c.Annotations[sent:end])
		if _, _, err := s.Checks.UpdateCheckRun(ctx, s.owner, s.name, id, run); err != nil {
			return 0, err
		}
		sent = end
	}
	return id, nil
}

// findCheck looks through the commit's runs of the name. Of several with the key,
// which only a race can have made, people see the newest.
func (g *GitHub) findCheck(ctx context.Context, s site, c forge.Check) (int64, error) {
	all, err := pages(func(page github.ListOptions) ([]*github.CheckRun, *github.Response, error) {
		list, resp, err := s.Checks.ListCheckRunsForRef(ctx, s.owner, s.name, c.Commit, &github.ListCheckRunsOptions{
			CheckName: &c.Name, Filter: github.String("all"), AppID: &g.appID, ListOptions: page,
		})
		if err != nil {
			return nil, resp, err
		}
		return list.CheckRuns, resp, nil
	})
	var newest int64
	for _, run := range all {
		if run.GetExternalID() == c.Key && run.GetName() == c.Name && run.GetApp().GetID() == g.appID {
			newest = max(newest, run.GetID())
		}
	}
	return newest, err
}

// output is what a run shows, within GitHub's limits.
func output(c forge.Check, annotations []forge.Annotation) *github.CheckRunOutput {
	title := c.Title
	if title == "" {
		title = c.Name
	}
	shown := &github.CheckRunOutput{
		Title: github.String(characters(title, maxTitle)), Summary: github.String(characters(c.Summary, maxSummary)),
	}
	for _, a := range annotations {
		line := max(a.Line, 1)
		remark := &github.CheckRunAnnotation{
			Path: github.String(a.Path), StartLine: &line, EndLine: &line, AnnotationLevel: github.String(string(a.Level)),
			Message: github.String(octets(a.Message, maxMessage)),
		}
		if a.Title != "" {
			remark.Title = github.String(characters(a.Title, maxTitle))
		}
		shown.Annotations = append(shown.Annotations, remark)
	}
	return shown
}
