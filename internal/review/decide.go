package review

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/plan"
	"github.com/davitops/davit/internal/policy"
	"github.com/davitops/davit/internal/report"
)

// Facts are what was found out about a pull request.
type Facts struct {
	Row     ledger.Pull
	Preview report.Preview
	Now     time.Time
	// Problem says why there is no preview, in words for people; Reference is where the
	// log has more. The trouble is Davit's own then, not the author's.
	Problem, Reference string
}

// footer says how old a comment is, since clusters go on changing, and how to get a newer
// one.
func footer(now time.Time) string {
	return "\n<sub>As of " + now.UTC().Format("2006-01-02 15:04 MST") + " · `/plan` looks again · `/help` says what else can be asked for</sub>\n"
}

// Decide says what is said of a pull request. Where nobody waits for it and it is what
// was said before, nothing is.
func Decide(f Facts) ledger.Batch {
	row := f.Row
	row.Done, row.Reviewed = row.Turn, f.Now
	check, body := check(row), ""
	switch {
	case f.Problem != "" && row.Quiet: // what was said still holds for what it was said of
		row.Tip, row.Wants = "", "" // so that the next look at the branch asks again
		return ledger.Batch{Pulls: []ledger.Pull{row}}
	case f.Problem != "":
		row.Digest = ""
		body = f.trouble(&check)
	default:
		row.Tip, row.Digest = f.Preview.Base, gist(f.Preview)
		conclude(&check, f.Preview)
		end := footer(f.Now)
		body = f.Preview.Markdown(report.MaxComment-len(end)) + end
	}
	var b ledger.Batch
	if same := row.Digest != "" && row.Digest == f.Row.Digest; !row.Quiet || !same {
		if row.Commented = row.Commented || f.Problem == "" && worthAComment(f.Preview); row.Commented {
			e := commentEffect(row, "review", body)
			e.Turn = row.Turn
			b.Effects = append(b.Effects, e)
			b.Shown = []ledger.Shown{{Key: row.Name(), Head: row.Head.Commit, At: f.Now, Targets: effects(f.Preview)}}
		}
		b.Effects = append(b.Effects, conclusion(&row, check)...)
	}
	if row.Wants != "" && row.Wants != row.Tip {
		next := quietly(row, f.Now)
		b.Pulls, b.Steps = next.Pulls, next.Steps
		return b
	}
	row.Wants = ""
	b.Pulls = []ledger.Pull{row}
	return b
}

// effects are those that a preview shows, by target. What somebody merges then may be
// applied.
func effects(p report.Preview) map[string][]plan.Effect {
	shown := map[string][]plan.Effect{}
	for _, t := range p.Targets {
		if t.Live != nil && len(t.Effects) > 0 {
			shown[t.Name] = t.Effects
		}
	}
	return shown
}

// conclusion ends the check of a row's head. If that is annotated already, and with
// something else, another check takes its place.
func conclusion(row *ledger.Pull, c forge.Check) (effects []ledger.Effect) {
	annotated := digest(c.Annotations)
	if row.Annotated != "" && row.Annotated != annotated {
		effects = append(effects, dropped(*row))
		row.Attempt++
		c.Key = check(*row).Key
	}
	if row.Annotated = annotated; len(c.Annotations) == 0 {
		row.Annotated = ""
	}
	return append(effects, checkEffect(*row, c))
}

// trouble tells that Davit itself could not do its work.
func (f Facts) trouble(check *forge.Check) (comment string) {
	check.Conclusion, check.Title = forge.Failure, "Davit could not look at "+short(check.Commit)
	check.Summary = fmt.Sprintf("%s. This is no fault of the pull request. The next push, or `/plan`, tries again; Davit's log has more under `%s`.\n", f.Problem, f.Reference)
	return "### ⚠️ " + check.Title + "\n\n" + check.Summary
}

// gist is what a preview says, without the commits it says it of.
func gist(p report.Preview) string {
	p.Base, p.Head, p.Stats = "", "", report.Stats{}
	return digest(p)
}

// digest names a value that is made for JSON; the empty name is equal to none.
func digest(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// worthAComment reports whether there is something to say. A pull request that touches
// no target is told so by its check alone.
func worthAComment(p report.Preview) bool { return p.Stats.Affected > 0 || len(p.Errors) > 0 }

// maxSummary is how much of the report a check shows, in bytes. Forges take 65,535.
const maxSummary = 60_000

// conclude ends a check with what a preview says.
func conclude(check *forge.Check, p report.Preview) {
	switch {
	case p.ExitCode() == report.ExitClean:
		check.Conclusion = forge.Success
	case p.Undecided():
		check.Conclusion = forge.Waiting
	default:
		check.Conclusion = forge.Failure
	}
	check.Title = p.Headline()
	check.Summary = p.Markdown(maxSummary)
	check.Annotations = annotations(p)
}

// maxAnnotations is how many lines are annotated; more are noise, and cost a request for
// every 50.
const maxAnnotations = 100

// annotations are the remarks at lines that the change is to blame for, each once: two
// targets often share a file.
func annotations(p report.Preview) []forge.Annotation {
	var all []forge.Annotation
	seen := map[forge.Annotation]bool{}
	add := func(a forge.Annotation) {
		if a.Line = max(1, a.Line); a.Path != "" && !seen[a] && len(all) < maxAnnotations {
			seen[a] = true
			a.Title, a.Message = report.Inline(a.Title), report.Inline(a.Message)
			all = append(all, a)
		}
	}
	for _, e := range p.Errors {
		if e.State == policy.New {
			add(forge.Annotation{Path: e.File, Line: e.Line, Level: forge.Fault, Title: string(e.Code), Message: e.Message})
		}
	}
	for _, t := range p.Targets {
		if t.Error != nil && t.Error.State == policy.New {
			add(forge.Annotation{Path: t.Error.File, Line: t.Error.Line, Level: forge.Fault, Title: string(t.Error.Code), Message: t.Error.Message})
		}
		for _, f := range t.Findings {
			if f.State == policy.New {
				add(forge.Annotation{Path: f.File, Line: f.Line, Level: level(f.Severity), Title: f.Rule, Message: f.Object.String() + ": " + f.Message})
			}
		}
	}
	return all
}

func level(s policy.Severity) forge.Level {
	switch s {
	case policy.Error:
		return forge.Fault
	case policy.Warning:
		return forge.Warning
	}
	return forge.Notice
}
