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
	out := page{limit: limit - reserve}
	title := p.title()
	if !out.add(title) {
		return strings.ToValidUTF8(title[:max(0, min(limit, len(title)))], "")
	}
	out.list(p.Notes, "note", func(note string) string { return "\n> " + escape(note) + "\n" })
	var problems []string
	for _, e := range p.Errors {
		problems = append(problems, "\n"+errorLine(e)+"\n")
	}
	out.list(problems, "error", func(line string) string { return line })
	out.table(p.ordered())
	for _, group := range groups(p.ordered()) {
		out.group(group.section())
	}
	return out.end()
}

// ordered are the targets worth showing, the most dangerous first.
func (p Preview) ordered() []Target {
	targets := slices.Clone(p.Targets)
	slices.SortStableFunc(targets, func(a, b Target) int { return cmp.Compare(a.danger(), b.danger()) })
	return targets
}

func (p Preview) title() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s %s\n\n", p.badge(), signs(p.Headline()))
	fmt.Fprintf(&b, "%s → %s", code(short(p.Base)), code(short(p.Head)))
	if p.Uncommitted {
		b.WriteString(" with uncommitted changes")
	}
	fmt.Fprintf(&b, " · %d of %s affected\n", p.Stats.Affected, number(p.Stats.Targets, "target"))
	return b.String()
}

// badge is the verdict at a glance. What could not be looked at is never green.
func (p Preview) badge() string {
	switch p.ExitCode() {
	case ExitBroken, ExitBlocked:
		return "❌"
	}
	badge := "⚪"
	for _, t := range p.Targets {
		if t.Error != nil {
			return "⚠️"
		}
		if t.Status != Unchanged {
			badge = "✅"
		}
	}
	if len(p.Errors) > 0 {
		return "⚠️"
	}
	return badge
}

// row is a target's line of the table; live says that the table has a column for
// what happens in the clusters.
func row(t Target, live bool) string {
	objects := signs(outcome(t))
	if t.Error != nil && t.Error.State == policy.New {
		objects = "**" + objects + "**"
	}
	if live {
		objects += " | " + cell(t.Live.String())
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", code(t.Name), cell(place(t)), objects, cell(tallyOf(t.Findings).String()))
}

// signs keeps a forge from taking the sign of a count, as in "~2", for the
// reference of a label.
func signs(text string) string { return strings.ReplaceAll(text, "~", "~"+joiner) }

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
		return "can't be rendered"
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
			alike := &list[at]
			alike.names = append(alike.names, t.Name)
			alike.Why = slices.Compact(slices.Sorted(slices.Values(slices.Concat(alike.Why, t.Why))))
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
	if t.Error != nil || len(t.Changes) == 0 || t.Live != nil {
		return "" // no two targets are alike in their clusters
	}
	var b strings.Builder
	add := func(texts ...string) {
		for _, text := range texts {
			fmt.Fprintf(&b, "%d:", len(text))
			b.WriteString(text)
		}
	}
	add(string(t.Status))
	for _, c := range t.Changes {
		add(c.Action, c.Object, c.Version, c.Diff, c.Renamed, c.RenamedDiff)
	}
	for _, f := range t.Findings {
		add(string(f.State), string(f.Severity), f.Rule, f.Object.String(), f.Message, position(f.File, f.Line))
	}
	return b.String()
}

// section is what is told of one group: pieces, each shown whole or not at all, in
// one pair of open and shut.
type section struct {
	open, shut string
	pieces     []string
}

func (g group) section() section {
	if g.Error == nil && len(g.Changes) == 0 && len(g.Findings) == 0 {
		return section{}
	}
	title := make([]string, len(g.names))
	for i, name := range g.names {
		title[i] = "<code>" + html.EscapeString(Inline(name)) + "</code>"
	}
	s := section{shut: "\n</details>\n"}
	s.open = fmt.Sprintf("\n<details%s><summary>%s · %s</summary>\n\n%s", openIf(g.danger() < 2), summarize(title), signs(outcome(g.Target)), g.reasons())
	if g.Error != nil {
		line := errorLine(*g.Error) + "\n"
		if len(g.Why) > 0 {
			line = "\n" + line
		}
		s.pieces = append(s.pieces, line)
	}
	if line := g.Live.line(); line != "" {
		s.pieces = append(s.pieces, line)
	}
	s.pieces = append(s.pieces, findingLines(g.Findings)...)
	for _, c := range dangerousFirst(g.Changes) {
		s.pieces = append(s.pieces, c.markdown())
	}
	return s
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

// findingLines are the items of a list, the first with an empty line before it.
func findingLines(findings []policy.Finding) []string {
	var lines []string
	for _, f := range findings {
		if f.State == policy.Existing {
			continue
		}
		line := fmt.Sprintf("- %s %s %s: %s", mark(f), code(f.Rule), code(f.Object.String()), escape(f.Message))
		if f.File != "" {
			line += " (" + code(position(f.File, f.Line)) + ")"
		}
		lines = append(lines, line+"\n")
	}
	if existing := tallyOf(findings).existing; existing > 0 {
		lines = append(lines, fmt.Sprintf("- %s that the base branch has too\n", number(existing, "finding")))
	}
	if len(lines) > 0 {
		lines[0] = "\n" + lines[0]
	}
	return lines
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
	shown := slices.DeleteFunc(slices.Clone(changes), Change.untold)
	order := []string{"invalid", "blocked", "delete", "conflict", "adopt", "update", "create"}
	slices.SortStableFunc(shown, func(a, b Change) int {
		return cmp.Compare(slices.Index(order, a.effect()), slices.Index(order, b.effect()))
	})
	return shown
}

// effect is what happens as people see it: to the object in the cluster, where that
// is known and anything does; else to the object in git.
func (c Change) effect() string {
	switch {
	case c.Planned != nil && c.Class != "no-op" && c.Class != "forget" && !c.Replaced && (c.Renamed == "" || c.Class != "create"):
		return c.Class
	case c.Renamed != "":
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
	title := fmt.Sprintf("\n%s**%s** %s", c.sign(), c.effect(), code(c.Object))
	if c.Renamed != "" {
		title += fmt.Sprintf(", until now %s", code(c.Renamed))
	}
	if c.Planned == nil {
		return title + "\n" + fenced(c.shownDiff())
	}
	return title + c.planned()
}

// sign stands before what can't be applied.
func (c Change) sign() string {
	if effect := c.effect(); effect == "blocked" || effect == "invalid" {
		return "❌ "
	}
	return ""
}

// fenced is a diff in a fence that nothing in it can close.
func fenced(diff string) string {
	diff = visible(diff)
	if !strings.HasSuffix(diff, "\n") {
		diff += "\n"
	}
	fence := fenceFor(diff)
	return fence + "diff\n" + diff + fence + "\n"
}
