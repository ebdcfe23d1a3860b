package report

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/davitops/davit/internal/policy"
)

// Text is the preview for a terminal, complete, in colour if that is wanted.
func (p Preview) Text(colour bool) string {
	w := writer{colour: colour}
	uncommitted := ""
	if p.Uncommitted {
		uncommitted = " with uncommitted changes"
	}
	w.line(bold, "%s", p.Headline())
	w.line(dim, "%s → %s%s · %d of %s affected · %d ms", short(p.Base), short(p.Head), uncommitted,
		p.Stats.Affected, number(p.Stats.Targets, "target"), p.Stats.Ms)
	for _, note := range p.Notes {
		w.line(yellow, "note: %s", Inline(note))
	}
	for _, e := range p.Errors {
		w.problem(e)
	}
	w.table(p.ordered())
	for _, t := range p.ordered() {
		w.target(t)
	}
	return w.String()
}

const (
	reset  = "\x1b[0m"
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
)

// styles are the colours of what happens to an object.
var styles = map[string]string{
	"create": green, "update": cyan, "delete": red, "adopt": yellow, "conflict": yellow, "blocked": red, "invalid": red,
}

type writer struct {
	strings.Builder
	colour bool
}

func (w *writer) line(style, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if w.colour && style != "" {
		text = style + text + reset
	}
	w.WriteString(text + "\n")
}

func (w *writer) problem(e Error) {
	suffix, style := "", red
	if e.State == policy.Existing {
		suffix, style = ", on the base branch too", yellow
	}
	if e.File != "" {
		w.line(style, "%s: %s%s", position(e.File, e.Line), Inline(e.Message), suffix)
		return
	}
	w.line(style, "%s%s", Inline(e.Message), suffix)
}

func (w *writer) table(targets []Target) {
	if len(targets) == 0 {
		return
	}
	w.WriteString("\n")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	live, heading := slices.ContainsFunc(targets, func(t Target) bool { return t.Live != nil }), ""
	if live {
		heading = "CLUSTER\t"
	}
	fmt.Fprintf(table, "TARGET\tENVIRONMENT\tOBJECTS\t%sPOLICY\n", heading)
	for _, t := range targets {
		cluster := ""
		if live {
			cluster = orDash(t.Live.String()) + "\t"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s%s\n", Inline(t.Name), orDash(place(t)), outcome(t), cluster, orDash(tallyOf(t.Findings).String()))
	}
	_ = table.Flush()
}

func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return Inline(text)
}

func (w *writer) target(t Target) {
	if t.Error == nil && len(dangerousFirst(t.Changes)) == 0 && len(t.Findings) == 0 && (t.Live == nil || t.Unplanned == nil) {
		return
	}
	w.WriteString("\n")
	w.line(bold, "%s", Inline(t.Name))
	for i, file := range t.Why {
		if i == maxReasons {
			w.line(dim, "  and %d more", len(t.Why)-i)
			break
		}
		w.line(dim, "  because of %s", Inline(file))
	}
	if t.Error != nil {
		w.WriteString("  ")
		w.problem(*t.Error)
	}
	w.live(t.Live)
	for _, f := range t.Findings {
		if f.State != policy.Existing {
			w.finding(f)
		}
	}
	if existing := tallyOf(t.Findings).existing; existing > 0 {
		w.line(dim, "  %s that the base branch has too", number(existing, "finding"))
	}
	for _, c := range dangerousFirst(t.Changes) {
		w.change(c)
	}
}

func (w *writer) finding(f policy.Finding) {
	style := map[policy.Severity]string{policy.Error: red, policy.Warning: yellow, policy.Info: cyan}[f.Severity]
	if f.State == policy.Fixed {
		style = green
	}
	where := ""
	if f.File != "" {
		where = " (" + position(f.File, f.Line) + ")"
	}
	w.line(style, "  %s %s %s: %s: %s%s", f.State, f.Severity, Inline(f.Rule), Inline(f.Object.String()), Inline(f.Message), where)
}

func (w *writer) change(c Change) {
	until := ""
	if c.Renamed != "" {
		until = ", until now " + Inline(c.Renamed)
	}
	w.line(styles[c.effect()], "  %s %s%s%s", c.effect(), Inline(c.Object), until, c.marks())
	if c.Planned == nil {
		w.diff(c.shownDiff())
		return
	}
	w.planned(c)
}

func (w *writer) diff(text string) {
	for line := range strings.Lines(text) {
		line = visible(strings.TrimSuffix(line, "\n"))
		style := ""
		switch {
		case strings.HasPrefix(line, "+"):
			style = green
		case strings.HasPrefix(line, "-"):
			style = red
		case strings.HasPrefix(line, "@@"):
			style = dim
		}
		w.line(style, "    %s", line)
	}
}
