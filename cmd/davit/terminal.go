package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
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

// redraw is how often a line of progress is written anew.
const redraw = 100 * time.Millisecond

// progress is a line on the terminal that counts, for work that takes longer
// than patience. Where no terminal is, it is silent.
type progress struct {
	mu     sync.Mutex
	out    io.Writer // nil: silent
	what   string
	began  time.Time
	drawn  time.Time
	active bool
}

func (t terminal) progress(what string) *progress {
	p := &progress{what: what, began: time.Now()}
	if isTerminal(t.err) {
		p.out = t.err
	}
	return p
}

// report may be called from any goroutine.
func (p *progress) report(done, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.out == nil || now.Sub(p.began) < patience || now.Sub(p.drawn) < redraw {
		return
	}
	p.drawn, p.active = now, true
	fmt.Fprintf(p.out, "\r\x1b[K%s %d/%d", p.what, done, total)
}

func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.active {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
