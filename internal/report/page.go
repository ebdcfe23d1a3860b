package report

import (
	"fmt"
	"slices"
	"strings"
)

const (
	// reserve is how many bytes are kept for the sentence that says what is left out.
	reserve = 200
	// maxLines is how many notes, or errors, are shown.
	maxLines = 20
	// maxRows is how many targets the table lists; the JSON has them all.
	maxRows = 100
)

// page is a text that never outgrows its limit: what does not fit is left out
// whole, and counted.
type page struct {
	text  strings.Builder
	limit int // bytes
	left  int
}

func (p *page) add(piece string) bool {
	if p.text.Len()+len(piece) > p.limit {
		return false
	}
	p.text.WriteString(piece)
	return true
}

// list adds the first of many lines, and says how many more there are.
func (p *page) list(lines []string, noun string, show func(string) string) {
	for i, line := range lines {
		if i == maxLines {
			p.add(fmt.Sprintf("\n… and %s\n", number(len(lines)-i, "more "+noun)))
			return
		}
		if !p.add(show(line)) {
			p.left++
		}
	}
}

// table lists the targets, in at most half of what is left of the page.
func (p *page) table(targets []Target) {
	const room = 60 // for the row that says how many more there are
	whole := p.limit
	p.limit -= (p.limit - p.text.Len()) / 2
	defer func() { p.limit = whole }()
	live := slices.ContainsFunc(targets, func(t Target) bool { return t.Live != nil })
	head := "\n| Target | Environment | Objects | Policy |\n| --- | --- | --- | --- |\n"
	if live {
		head = "\n| Target | Environment | Objects | Cluster | Policy |\n| --- | --- | --- | --- | --- |\n"
	}
	if len(targets) == 0 || !p.add(head) {
		return
	}
	p.limit -= room
	for i, t := range targets {
		if i < maxRows && p.add(row(t, live)) {
			continue
		}
		p.limit += room
		p.add(fmt.Sprintf("| … and %s | | | |\n", number(len(targets)-i, "more target")))
		return
	}
}

// group adds what fits of a section.
func (p *page) group(s section) {
	opened := false
	for _, piece := range s.pieces {
		need := len(piece) + len(s.shut)
		if !opened {
			need += len(s.open)
		}
		if p.text.Len()+need > p.limit {
			p.left++
			continue
		}
		if !opened {
			p.text.WriteString(s.open)
			opened = true
		}
		p.text.WriteString(piece)
	}
	if opened {
		p.text.WriteString(s.shut)
	}
}

// end is the page, with what was left out of it.
func (p *page) end() string {
	if p.left > 0 {
		fmt.Fprintf(&p.text, "\n%s left out for length; `davit preview` shows everything.\n", number(p.left, "part"))
	}
	return p.text.String()
}
