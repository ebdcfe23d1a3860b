package report

import (
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"

	"github.com/davitops/davit/internal/policy"
)

// MaxComment is how many characters the smallest forge takes in one comment,
// less a margin for what is put around a report.
const MaxComment = 64_000

// Markdown is the preview as a comment of at most limit bytes. What does not fit
// is left out whole, object by object, the least dangerous first, and said.
func (p Preview) Markdown(limit int) string {
	head := p.markdownHead()
	var sections []section
	for _, group := range groups(p.ordered()) {
		sections = append(sections, group.sections()...)
	}
	return assemble(head, sections, limit)
}

// ordered are the targets worth showing, the most dangerous first.
func (p Preview) ordered() []Target {
	targets := slices.Clone(p.Targets)
	slices.SortStableFunc(targets, func(a, b Target) int { return cmp.Compare(a.danger(), b.danger()) })
	return targets
}

func (p Preview) markdownHead() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s %s\n\n", p.badge(), p.summary())
	fmt.Fprintf(&b, "`%s` → `%s`", short(p.Base), short(p.Head))
	if p.Uncommitted {
		b.WriteString(" with uncommitted changes")
	}
	fmt.Fprintf(&b, " · %d of %s affected\n", p.Stats.Affected, number(p.Stats.Targets, "target"))
	for _, note := range p.Notes {
		fmt.Fprintf(&b, "\n> %s\n", escape(note))
	}
	for _, e := range p.Errors {
		fmt.Fprintf(&b, "\n%s\n", errorLine(e))
	}
	p.markdownTable(&b)
	return b.String()
}

// badge is the verdict at a glance.
func (p Preview) badge() string {
	switch p.ExitCode() {
	case ExitBroken, ExitBlocked:
		return "❌"
	}
	for _, t := range p.Targets {
		if t.Status != Unchanged {
			return "✅"
		}
	}
	return "⚪"
}

func (p Preview) markdownTable(b *strings.Builder) {
	targets := p.ordered()
	if len(targets) == 0 {
		return
	}
	b.WriteString("\n| Target | Environment | Objects | Policy |\n| --- | --- | --- | --- |\n")
	for i, t := range targets {
		if i == maxRows {
			fmt.Fprintf(b, "| … and %s | | | |\n", number(len(targets)-i, "more target"))
			break
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", code(t.Name), cell(place(t)), outcome(t), cell(tallyOf(t.Findings).String()))
	}
}

// maxRows is how many targets the table lists; the JSON has them all.
const maxRows = 100

// place is where a target is deployed: "production on eu", or what of it is known.
func place(t Target) string {
	if t.Cluster == "" || t.Cluster == t.Environment {
		return t.Environment
	}
	return strings.TrimSpace(t.Environment + " on " + t.Cluster)
}

func cell(text string) string {
	if text == "" {
		return "–"
	}
	return escape(text)
}

// outcome is what happens to a target, in a few words.
func outcome(t Target) string {
	c := t.counts()
	switch {
	case t.Error != nil && t.Error.State == policy.New:
		return "**can't be rendered**"
	case t.Error != nil:
		return "can't be rendered, as before"
	case t.Status == Added:
		return strings.TrimSpace("new " + c.String())
	case t.Status == Removed:
		return strings.TrimSpace("removed " + c.String())
	case c.total() == 0:
		return "no change"
	}
	return c.String()
}

// group is targets in which exactly the same happens, told once.
type group struct {
	Target
	names []string
}

func groups(targets []Target) []group {
	var list []group
	index := map[string]int{}
	for _, t := range targets {
		key := likeness(t)
		if at, known := index[key]; known && key != "" {
			list[at].names = append(list[at].names, t.Name)
			continue
		}
		index[key] = len(list)
		list = append(list, group{Target: t, names: []string{t.Name}})
	}
	return list
}

// likeness is equal for two targets in which exactly the same happens; it is
// empty where there is nothing to tell twice.
func likeness(t Target) string {
	if t.Error != nil || len(t.Changes) == 0 {
		return ""
	}
	var b strings.Builder
	for _, c := range t.Changes {
		fmt.Fprintf(&b, "%s %s %s\x00%s\x00", c.Action, c.Object, c.Version, c.Diff)
	}
	for _, f := range t.Findings {
		fmt.Fprintf(&b, "%s %s %s %s %s\x00", f.State, f.Severity, f.Rule, f.Object, f.Message)
	}
	return b.String()
}

// section is a piece of the report that is shown whole or not at all. Sections
// of one group stand in one pair of open and shut.
type section struct {
	open, body, shut string
}

func (g group) sections() []section {
	if g.Error == nil && len(g.Changes) == 0 && len(g.Findings) == 0 {
		return nil
	}
	title := make([]string, len(g.names))
	for i, name := range g.names {
		title[i] = "<code>" + html.EscapeString(name) + "</code>"
	}
	open := fmt.Sprintf("\n<details%s><summary>%s · %s</summary>\n\n%s", openIf(g.danger() < 2), summarize(title), strings.ReplaceAll(outcome(g.Target), "**", ""), g.reasons())
	shut := "\n</details>\n"
	var bodies []string
	if g.Error != nil {
		bodies = append(bodies, errorLine(*g.Error)+"\n")
	}
	if findings := findingsList(g.Findings); findings != "" {
		bodies = append(bodies, findings)
	}
	for _, c := range dangerousFirst(g.Changes) {
		bodies = append(bodies, c.markdown())
	}
	sections := make([]section, len(bodies))
	for i, body := range bodies {
		sections[i] = section{open: open, body: body, shut: shut}
	}
	return sections
}

func openIf(open bool) string {
	if open {
		return " open"
	}
	return ""
}

// maxNames is how many names of alike targets a heading has.
const maxNames = 6

func summarize(names []string) string {
	if len(names) > maxNames {
		return strings.Join(names[:maxNames], ", ") + fmt.Sprintf(" and %d more", len(names)-maxNames)
	}
	return strings.Join(names, ", ")
}

// maxReasons is how many changed files a target's details name.
const maxReasons = 5

func (g group) reasons() string {
	if len(g.Why) == 0 {
		return ""
	}
	shown := g.Why[:min(len(g.Why), maxReasons)]
	names := make([]string, len(shown))
	for i, name := range shown {
		names[i] = code(name)
	}
	text := "Because of " + strings.Join(names, ", ")
	if more := len(g.Why) - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text + ".\n"
}

func errorLine(e Error) string {
	line := "❌ "
	if e.State == policy.Existing {
		line = "⚠️ "
	}
	line += escape(e.Message)
	if e.File != "" {
		line += " (" + code(position(e.File, e.Line)) + ")"
	}
	if e.State == policy.Existing {
		line += ", on the base branch too"
	}
	return line
}

func position(file string, line int) string {
	if line > 0 {
		return fmt.Sprintf("%s:%d", file, line)
	}
	return file
}

func findingsList(findings []policy.Finding) string {
	var b strings.Builder
	for _, f := range findings {
		if f.State == policy.Existing {
			continue
		}
		fmt.Fprintf(&b, "- %s %s %s: %s", mark(f), code(f.Rule), code(f.Object.String()), escape(f.Message))
		if f.File != "" {
			fmt.Fprintf(&b, " (%s)", code(position(f.File, f.Line)))
		}
		b.WriteString("\n")
	}
	if existing := tallyOf(findings).existing; existing > 0 {
		fmt.Fprintf(&b, "- %s that the base branch has too\n", number(existing, "finding"))
	}
	if b.Len() == 0 {
		return ""
	}
	return "\n" + b.String()
}

func mark(f policy.Finding) string {
	switch {
	case f.State == policy.Fixed:
		return "✅ fixed"
	case f.Severity == policy.Error:
		return "❌ **error**"
	case f.Severity == policy.Warning:
		return "⚠️ warning"
	}
	return "ℹ️ info"
}

// dangerousFirst leaves out what is told with another change, and puts deletes
// before all else.
func dangerousFirst(changes []Change) []Change {
	shown := slices.DeleteFunc(slices.Clone(changes), func(c Change) bool { return c.Replaced })
	order := map[string]int{"delete": 0, "update": 1, "create": 2}
	slices.SortStableFunc(shown, func(a, b Change) int {
		return cmp.Compare(order[a.effect()], order[b.effect()])
	})
	return shown
}

// effect is the action as people see it.
func (c Change) effect() string {
	if c.Renamed != "" {
		return "update"
	}
	return c.Action
}

func (c Change) shownDiff() string {
	if c.Renamed != "" {
		return c.RenamedDiff
	}
	return c.Diff
}

func (c Change) markdown() string {
	title := fmt.Sprintf("\n**%s** %s", c.effect(), code(c.Object))
	if c.Renamed != "" {
		title += fmt.Sprintf(", until now %s", code(c.Renamed))
	}
	diff := c.shownDiff()
	fence := fenceFor(diff)
	return title + "\n" + fence + "diff\n" + diff + fence + "\n"
}

// assemble puts head and sections together as far as the limit goes.
func assemble(head string, sections []section, limit int) string {
	const reserve = 200 // for the sentence that says what is left out
	var b strings.Builder
	b.WriteString(head)
	open, left := "", 0
	shut := ""
	for _, s := range sections {
		need := len(s.body) + len(s.shut)
		if s.open != open {
			need += len(s.open) + len(shut)
		}
		if b.Len()+need > limit-reserve {
			left++
			continue
		}
		if s.open != open {
			b.WriteString(shut)
			b.WriteString(s.open)
			open, shut = s.open, s.shut
		}
		b.WriteString(s.body)
	}
	b.WriteString(shut)
	if left > 0 {
		fmt.Fprintf(&b, "\n%s left out for length; `davit preview` shows everything.\n", number(left, "part"))
	}
	return b.String()
}
