package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/verdict"
)

// Rollout is how far a commit has come, for the comment that is edited as it goes on.
type Rollout struct {
	Commit, Branch string
	Reverts        bool // it undoes what failed
	Targets        []Deployment
}

// Deployment is one target of a rollout. State is one of ledger's words.
type Deployment struct {
	Target, Place, State string
	Why                  string // a sentence; it is masked, and not inert
	Revert               int    // number of the pull request that undoes it; 0 if there is none
	Approver             string // who said /apply
}

// signsOf are the states at a glance, the most urgent first.
var signsOf = []struct{ state, sign string }{
	{"failed", "❌"}, {"degraded", "❌"}, {"reverting", "⏪"}, {"timed-out", "⚠️"}, {"inconclusive", "⚠️"},
	{"needs-approval", "✋"}, {"held", "✋"}, {"applying", "🚀"}, {"verifying", "🔎"}, {"queued", "⏳"},
	{"reverted", "⏪"}, {"superseded", "⚪"}, {"healthy", "✅"},
}

func signOf(state string) string {
	for _, s := range signsOf {
		if s.state == state {
			return s.sign
		}
	}
	return ""
}

// worst is the most urgent state of a rollout.
func (r Rollout) worst() string {
	for _, s := range signsOf {
		if slices.ContainsFunc(r.Targets, func(d Deployment) bool { return d.State == s.state }) {
			return s.state
		}
	}
	return ""
}

// Headline is the rollout in one line of plain text.
func (r Rollout) Headline() string {
	commit := short(r.Commit)
	switch r.worst() {
	case "failed", "degraded":
		return commit + " failed"
	case "timed-out":
		return commit + " was not ready in time"
	case "inconclusive":
		return commit + " is deployed, and something is wrong"
	case "reverting":
		return commit + " failed, and is to be reverted"
	case "reverted":
		return commit + " failed, and was reverted"
	case "needs-approval", "held":
		return commit + " waits for somebody"
	case "applying", "queued":
		return "Rolling out " + commit
	case "verifying":
		return "Watching " + commit
	case "superseded":
		return "Something newer took the place of " + commit
	}
	return commit + " is healthy"
}

// Markdown is the rollout as a comment of at most limit bytes.
func (r Rollout) Markdown(limit int) string {
	p := page{limit: limit - reserve}
	p.add(fmt.Sprintf("### %s %s\n", signOf(r.worst()), escape(r.Headline())))
	if r.Reverts {
		p.add("\nThis undoes what failed, so it goes out at once wherever that was.\n")
	}
	p.add("\n| Target | Environment | State |\n| --- | --- | --- |\n")
	for i, d := range r.Targets {
		if i == maxRows || !p.add(d.row()) {
			p.left += len(r.Targets) - i
			break
		}
	}
	if slices.ContainsFunc(r.Targets, func(d Deployment) bool { return d.State == "held" || d.State == "needs-approval" }) {
		p.add("\n`/apply` applies what waits, `/apply TARGET` or `/apply ENVIRONMENT` a part of it.\n")
	}
	return p.end()
}

func (d Deployment) row() string {
	state := signOf(d.State) + " " + d.State
	if d.Why != "" {
		state += ": " + escape(d.Why)
	}
	if d.Approver != "" && d.State != "held" && d.State != "needs-approval" {
		state += ", as " + code(d.Approver) + " said"
	}
	if d.Revert > 0 {
		state += fmt.Sprintf(" (#%d)", d.Revert)
	}
	return fmt.Sprintf("| %s | %s | %s |\n", code(d.Target), cell(d.Place), state)
}

// Misconfigured says, in at most limit bytes, that a commit does not go out because
// .davit.yaml is wrong.
func Misconfigured(commit string, problems []manifest.Problem, limit int) string {
	p := page{limit: limit - reserve}
	p.add(fmt.Sprintf("### ❌ %s is not rolled out\n\n`.davit.yaml` is wrong, so nobody knows how. Once it is mended, everything since goes out together.\n\n", code(short(commit))))
	var lines []string
	for _, problem := range problems {
		lines = append(lines, errorLine(Error{Problem: problem}))
	}
	p.list(lines, "error", func(line string) string { return line + "\n" })
	return p.end()
}

// Failure is what went wrong in a rollout, for a comment of its own.
type Failure struct {
	Commit  string
	Reverts bool // the rollout was a revert itself
	Manual  bool // the repository wants no reverts
	Hidden  bool // what clusters say may not be shown here
	Targets []Sick
}

// Sick is a deployment that ended badly, with the evidence.
type Sick struct {
	Deployment
	From      string // the commit that was healthy before; empty if there was none
	Resumable bool   // /retry goes on
	Unapplied bool   // it was refused
	NoRevert  string // why there is no revert, in a sentence; empty if that is not known, or there is one
	Troubles  []verdict.Trouble
}

// Markdown is the failure as a comment of at most limit bytes.
func (f Failure) Markdown(limit int) string {
	p := page{limit: limit - reserve}
	names := make([]string, len(f.Targets))
	for i, t := range f.Targets {
		names[i] = code(t.Target)
	}
	p.add(fmt.Sprintf("### %s after %s\n", f.headline(summarize(names)), code(short(f.Commit))))
	for _, t := range f.Targets {
		if !p.add(t.markdown(f.Hidden)) {
			p.left++
			continue
		}
		for _, trouble := range t.Troubles {
			if !p.add(evidence(trouble)) {
				p.left++
			}
		}
		p.add("\n" + t.follows(f) + "\n")
	}
	return p.end()
}

// headline says which targets are not well, or were not: once all is reverted it is told as
// what was.
func (f Failure) headline(names string) string {
	over := !slices.ContainsFunc(f.Targets, func(t Sick) bool { return t.State != "reverted" })
	switch {
	case over && len(f.Targets) > 1:
		return "⏪ " + names + " were not well"
	case over:
		return "⏪ " + names + " was not well"
	case len(f.Targets) > 1:
		return "❌ " + names + " are not well"
	}
	return "❌ " + names + " is not well"
}

func (t Sick) markdown(hidden bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s", code(t.Target))
	if t.Place != "" {
		fmt.Fprintf(&b, " in %s", escape(t.Place))
	}
	b.WriteString(" " + t.said())
	if t.Why != "" {
		b.WriteString(": " + escape(t.Why))
	}
	b.WriteString(".\n")
	if hidden {
		b.WriteString("\nEverybody may read this repository, so what the cluster says of it is not shown.\n")
	}
	return b.String()
}

// said is what a state says of a target, after its name.
func (t Sick) said() string {
	switch {
	case t.Unapplied, t.State == "failed":
		return "could not be applied"
	case t.State == "timed-out":
		return "was not ready in time"
	case t.State == "inconclusive":
		return "is not well, and the change may not be to blame"
	}
	return "was applied, and does not work"
}

// follows says what happens next.
func (t Sick) follows(f Failure) string {
	before := ""
	if t.From != "" {
		before = fmt.Sprintf(" %s was healthy before.", code(short(t.From)))
	}
	switch {
	case t.State == "reverted":
		return "It was reverted, and is healthy again."
	case t.Revert > 0:
		return fmt.Sprintf("⏪ **#%d** reverts it; merging that pull request as it is deploys it at once.%s", t.Revert, before)
	case t.NoRevert != "":
		return escape(t.NoRevert) + before
	case t.State == "inconclusive":
		return "Nothing is reverted: look at it, and revert it if it is to blame, or `/retry`." + before
	case t.Resumable:
		return "Nothing is reverted. `/retry` tries it again." + before
	case f.Reverts:
		return "This was a revert, and a revert is not reverted." + before
	case f.Manual:
		return "Reverts are switched off in `.davit.yaml`." + before
	}
	return "⏪ A pull request that reverts it is being opened." + before
}

// evidence is one trouble, with what the cluster and the program said.
func evidence(t verdict.Trouble) string {
	var b strings.Builder
	what := code(t.Ref.String())
	if t.Container != "" {
		what += ", container " + code(t.Container)
	}
	if t.Pod != "" {
		what += ", pod " + code(t.Pod)
	}
	fmt.Fprintf(&b, "\n- %s: **%s**", what, escape(t.Reason))
	if t.Message != "" {
		b.WriteString(": " + escape(t.Message))
	}
	b.WriteString("\n")
	for _, event := range t.Events {
		b.WriteString("  - " + escape(event) + "\n")
	}
	if len(t.Log) > 0 {
		b.WriteString("\n<details open><summary>the last lines of its log</summary>\n\n" + quoted(strings.Join(t.Log, "\n")) + "\n</details>\n")
	}
	return b.String()
}

// quoted is a text in a fence that nothing in it can close.
func quoted(text string) string {
	text = visible(text)
	fence := fenceFor(text)
	return fence + "text\n" + strings.TrimSuffix(text, "\n") + "\n" + fence + "\n"
}

// Approval is a plan that nobody has seen, and the command by which it goes on.
type Approval struct {
	Commit  string
	Target  Target
	Command string
}

// Markdown is the question as a comment of at most limit bytes.
func (a Approval) Markdown(limit int) string {
	p := page{limit: limit - reserve}
	p.add(fmt.Sprintf("### ✋ %s waits for approval\n\nApplying %s would do more than was shown before the merge: %s.\n",
		code(a.Target.Name), code(short(a.Commit)), cell(a.Target.Live.String())))
	p.add("\nComment " + code(a.Command) + " if this is what you want.\n")
	g := group{Target: a.Target, names: []string{a.Target.Name}}
	s := g.section()
	s.open, s.shut = "", ""
	p.group(s)
	return p.end()
}

// Reversal is the pull request that undoes a deployment, or the issue that says why there
// is none.
type Reversal struct {
	Sick
	Ours      bool   // the pull request is as we made it
	Commit    string // that failed
	To        string // whose files it brings back
	Pulls     []int  // that were merged with it
	Files     []string
	Shared    []string // other targets that read them
	Conflicts []string
	Hidden    bool
}

// Markdown is the body of the pull request, of at most limit bytes.
func (r Reversal) Markdown(limit int) string {
	p := page{limit: limit - reserve}
	var came []string
	for _, number := range r.Pulls {
		came = append(came, fmt.Sprintf("#%d", number))
	}
	p.add(fmt.Sprintf("%s at %s", code(r.Target), code(short(r.Commit))))
	if len(came) > 0 {
		p.add(" (" + strings.Join(came, ", ") + ")")
	}
	p.add(" " + r.said() + ".\n")
	switch {
	case len(r.Conflicts) == 0 && r.Ours:
		p.add(fmt.Sprintf("\nThis brings the files that it reads back to %s. Merged as it is, it is deployed at once; with another commit on it, it is a pull request like any other.\n", code(short(r.To))))
	case len(r.Conflicts) == 0:
		p.add(fmt.Sprintf("\nThis is to bring the files that it reads back to %s; somebody else has put commits on the branch.\n", code(short(r.To))))
	default:
		p.add(fmt.Sprintf("\nIts files can't be brought back to %s, because later commits changed them, too. Somebody has to decide:\n", code(short(r.To))))
	}
	p.list(r.Conflicts, "file", func(name string) string { return "- " + code(name) + "\n" })
	if len(r.Files) > 0 {
		p.add("\n| File |\n| --- |\n")
		p.list(r.Files, "file", func(name string) string { return "| " + code(name) + " |\n" })
	}
	if len(r.Shared) > 0 {
		p.add("\nOther targets read some of them, and change with it:\n\n")
		p.list(r.Shared, "target", func(name string) string { return "- " + code(name) + "\n" })
	}
	p.add("\n#### Evidence\n")
	if r.Why != "" {
		p.add("\n" + escape(sentence(r.Why)) + "\n")
	}
	for _, trouble := range r.Troubles {
		if !p.add(evidence(trouble)) {
			p.left++
		}
	}
	p.add("\nIt can't bring back what is not in git: data that was deleted or migrated, and Jobs that have run.\n")
	return p.end()
}
