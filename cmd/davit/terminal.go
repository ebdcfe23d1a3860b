package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/davitops/davit/internal/survey"
)

// isTerminal reports whether a person reads what is written to w.
func isTerminal(w io.Writer) bool {
	f, isFile := w.(*os.File)
	return isFile && term.IsTerminal(int(f.Fd()))
}

// colour decides by the flag; by default a terminal gets colours, unless NO_COLOR
// is set or the terminal is a dumb one.
func (t terminal) colour(flag string) bool {
	switch flag {
	case "always":
		return true
	case "never":
		return false
	}
	return isTerminal(t.out) && t.env("NO_COLOR") == "" && t.env("TERM") != "dumb"
}

// patience is how long work goes on before it is worth a line.
const patience = time.Second

// redraw is how often the line is written anew.
const redraw = 200 * time.Millisecond

// progress is a line on the terminal that counts, for work that takes longer
// than patience. Where no terminal is, it is silent.
type progress struct {
	mu          sync.Mutex
	out         io.Writer // nil: silent
	what        string
	began       time.Time
	done, total int
	drawn       bool
	timer       *time.Timer
}

func (t terminal) progress() *progress {
	p := &progress{what: "reading", began: time.Now()}
	p.mu.Lock()
	defer p.mu.Unlock()
	if isTerminal(t.err) {
		p.out = t.err
		p.timer = time.AfterFunc(patience, p.draw)
	}
	return p
}

// report may be called from any goroutine.
func (p *progress) report(phase survey.Phase, done, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.what != string(phase) {
		p.what, p.done = string(phase), 0
	}
	p.done, p.total = max(done, p.done), total
}

// draw writes the line and comes back.
func (p *progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == nil {
		return
	}
	count := ""
	if p.total > 0 {
		count = fmt.Sprintf(" %d of %d", p.done, p.total)
	}
	fmt.Fprintf(p.out, "\r\x1b[K%s%s, %d s", p.what, count, int(time.Since(p.began).Seconds()))
	p.drawn = true
	p.timer.Reset(redraw)
}

// end takes the line away.
func (p *progress) end() {
	if p.timer == nil {
		return
	}
	p.timer.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
	p.out = nil
}
