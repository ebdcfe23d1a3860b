package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/davitops/davit/internal/plan"
)

// Live is what applying a target would do to its cluster: Unplanned says why that is
// not known, or the rest is what it is.
type Live struct {
	// Digest names the effects: two plans with one digest do the same. It is good on
	// the installation that made it.
	Digest    string         `json:"digest,omitempty"`
	Classes   map[string]int `json:"classes,omitempty"` // how many objects are of each class, those that stay the same included
	Unmanaged bool           `json:"unmanaged,omitempty"`
	Hidden    bool           `json:"hidden,omitempty"` // what was deployed may not be read, so deletions are not known
	Unplanned *Unplanned     `json:"unplanned,omitempty"`

	Effects []plan.Effect `json:"-"` // that Digest names
}

// Unplanned is why there is no plan. Code is no-cluster, elsewhere or unavailable;
// only the last is a failure.
type Unplanned struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Hide leaves of what happens in a cluster only what happens to which object: for
// repositories that everybody may read.
func (t *Target) Hide() {
	t.Changes = slices.Clone(t.Changes)
	for i, c := range t.Changes {
		if c.Planned != nil {
			t.Changes[i].Planned = &Planned{Class: c.Class, Risks: c.Risks, Alone: c.Alone}
		}
	}
}

// Planned is what happens to one object in its cluster.
type Planned struct {
	Class    string   `json:"class"`
	Risks    []string `json:"risks"`
	Reason   string   `json:"reason,omitempty"`   // why it is of its class, where the diff does not say it
	Live     string   `json:"live"`               // as Diff, between the cluster and what it will hold
	Takes    []string `json:"takes,omitempty"`    // "field from manager", of fields that others manage
	Others   int      `json:"others,omitempty"`   // fields that defaults and webhooks change besides
	Warnings []string `json:"warnings,omitempty"` // what the API server said
	// Same says that the cluster changes just as git does, so that one of the two diffs
	// tells both; Alone that nobody has looked at git.
	Same  bool `json:"-"`
	Alone bool `json:"-"`
}

// fails reports whether a cluster could not be asked, or would refuse an object.
func (l *Live) fails() bool {
	return l != nil && (l.Unplanned != nil && l.Unplanned.Code == "unavailable" || l.Classes["invalid"] > 0)
}

// blocks reports whether an object may not be applied.
func (l *Live) blocks() bool { return l != nil && l.Classes["blocked"] > 0 }

// changes reports whether the cluster would change.
func (l *Live) changes() bool {
	return l != nil && slices.ContainsFunc(verbs, func(v verb) bool { return l.Classes[v.class] > 0 })
}

// verb is a class, and what is said of how many objects are of it.
type verb struct{ class, words string }

// verbs are the classes that are worth a word, the worst first.
var verbs = []verb{
	{"invalid", "invalid"}, {"blocked", "blocked"}, {"delete", "to delete"}, {"conflict", "to take over"},
	{"adopt", "to adopt"}, {"update", "to update"}, {"create", "to create"},
}

// String says what happens in a cluster: "1 to update, 2 to create".
func (l *Live) String() string {
	switch {
	case l == nil:
		return ""
	case l.Unplanned != nil && l.Unplanned.Code != "unavailable":
		return "not planned"
	case l.Unplanned != nil:
		return "can't be planned"
	}
	if text := counted(l.Classes); text != "" {
		return text
	}
	return "no change"
}

func counted(classes map[string]int) string {
	var parts []string
	for _, v := range verbs {
		if count := classes[v.class]; count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count, v.words))
		}
	}
	return strings.Join(parts, ", ")
}

// live sums up the clusters of a preview; it is empty if none was asked.
func (p Preview) live() string {
	classes, asked, failed := map[string]int{}, 0, 0
	for _, t := range p.Targets {
		if t.Live == nil {
			continue
		}
		if t.Unplanned == nil {
			asked++
		} else if t.Live.fails() {
			failed++
		}
		for class, count := range t.Classes {
			classes[class] += count
		}
	}
	var parts []string
	if asked > 0 {
		text := counted(classes)
		if text == "" {
			text = "no change"
		}
		parts = append(parts, "in the cluster "+text)
	}
	if failed > 0 {
		parts = append(parts, number(failed, "target")+" can't be planned")
	}
	return strings.Join(parts, " · ")
}

// line is what the details of a target say of its cluster.
func (l *Live) line() string {
	switch {
	case l == nil:
		return ""
	case l.Unplanned != nil && l.fails():
		return "\n⚠️ " + escape(sentence(l.Unplanned.Message)) + "\n"
	case l.Unplanned != nil:
		return "\n" + escape(sentence(l.Unplanned.Message)) + "\n"
	}
	line := l.state()
	if l.Hidden {
		line = "⚠️ " + line
	}
	if l.Digest != "" && l.approvable() {
		line = strings.TrimSpace(line + " Plan " + code(l.name()) + ".")
	}
	if line == "" {
		return ""
	}
	return "\n" + line + "\n"
}

// state is what is to be known of what was deployed before; it is empty if nothing is.
func (l *Live) state() string {
	switch {
	case l.Hidden:
		return "What was deployed can't be read, so deletions are not shown: there is no right to get ConfigMaps in davit-system."
	case l.Unmanaged:
		return "Davit has not deployed this yet, so nothing is deleted."
	}
	return ""
}

// approvable reports whether a plan does anything, and can be applied.
func (l *Live) approvable() bool { return l.changes() && !l.blocks() && l.Classes["invalid"] == 0 }

// sentence is what an error says, as a sentence.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// untold reports whether a change is told with another one, or is none for people.
func (c Change) untold() bool {
	nothing := !c.inGit() && (c.Class == "no-op" || c.Class == "forget")
	return c.Replaced && (c.Planned == nil || c.Class == "delete" || c.Class == "forget" || c.Class == "no-op") || nothing
}

// inGit reports whether the object differs between the two revisions, and not only
// in the cluster.
func (c Change) inGit() bool { return c.Planned == nil || c.shownDiff() != "" }

// name is as much of a digest as people compare.
func (l *Live) name() string { return l.Digest[:min(12, len(l.Digest))] }

// marks are the risks, behind a title.
func (c Change) marks() string {
	if c.Planned == nil || len(c.Risks) == 0 {
		return ""
	}
	return " · " + strings.Join(c.Risks, ", ")
}

// remarks are sentences about what happens to an object in its cluster.
func (c Change) remarks() []string {
	var lines []string
	if c.Reason != "" {
		lines = append(lines, c.Reason)
	}
	for _, take := range c.Takes {
		lines = append(lines, "takes "+take)
	}
	switch {
	case c.Class == "no-op" && c.Reason != "":
	case c.Class == "no-op" && c.Action == "create":
		lines = append(lines, "the cluster has it already")
	case c.Class == "no-op":
		lines = append(lines, "applying it changes nothing in the cluster")
	case c.inGit() || c.Live == "" || c.Alone:
	case c.Class == "create":
		lines = append(lines, "not by this change: the cluster does not have it")
	case c.Class == "delete":
		lines = append(lines, "not by this change: it is in the cluster, and in the repository no longer")
	default:
		lines = append(lines, "not by this change: the cluster has it otherwise")
	}
	if c.Others > 0 {
		lines = append(lines, number(c.Others, "more field")+" set by defaults or webhooks")
	}
	for _, warning := range c.Warnings {
		lines = append(lines, "the API server warns: "+warning)
	}
	return lines
}

// differsLive reports whether what happens in the cluster is not what the change
// does in git. An object under another hash is told as what became of the old one.
func (c Change) differsLive() bool {
	return c.Live != "" && !c.Same && (c.Renamed == "" || c.Class != "create")
}

// planned is what follows the title of a change in Markdown.
func (c Change) planned() string {
	var b strings.Builder
	if len(c.Risks) > 0 {
		b.WriteString(" · " + escape(strings.Join(c.Risks, ", ")))
	}
	b.WriteString("\n")
	for i, remark := range c.remarks() {
		if i == 0 {
			b.WriteString("\n")
		}
		b.WriteString("- " + escape(remark) + "\n")
	}
	if diff := c.shownDiff(); diff != "" {
		b.WriteString(fenced(diff))
		if c.differsLive() {
			b.WriteString("<details><summary>in the cluster</summary>\n\n" + fenced(c.Live) + "\n</details>\n")
		}
	} else if c.Live != "" {
		b.WriteString(fenced(c.Live))
	}
	return b.String()
}

func (w *writer) live(l *Live) {
	switch {
	case l == nil:
	case l.Unplanned != nil && l.fails():
		w.line(yellow, "  %s", Inline(l.Unplanned.Message))
	case l.Unplanned != nil:
		w.line(dim, "  %s", Inline(l.Unplanned.Message))
	case l.Hidden:
		w.line(yellow, "  %s", l.state())
	case l.Unmanaged:
		w.line(dim, "  %s", l.state())
	}
	if l != nil && l.Unplanned == nil && l.approvable() {
		w.line(dim, "  plan %s", l.name())
	}
}

func (w *writer) planned(c Change) {
	style := dim
	if c.Class == "invalid" || c.Class == "blocked" {
		style = red
	}
	for _, remark := range c.remarks() {
		w.line(style, "    %s", Inline(remark))
	}
	if diff := c.shownDiff(); diff != "" {
		w.diff(diff)
		if c.differsLive() {
			w.line(dim, "    in the cluster:")
			w.diff(c.Live)
		}
		return
	}
	w.diff(c.Live)
}
