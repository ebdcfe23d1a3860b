package worker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
)

// client is the Files of a running job in the worker. It remembers every answer
// until the job ends and is thrown away with it, so that nothing one job saw can
// reach the next.
type client struct {
	mu    sync.Mutex // a handler may look from several goroutines
	r     io.Reader
	w     io.Writer
	facts map[string]Fact
	dirs  map[string]listing
	used  map[string]Use
	fatal func(error) // ends the process: the stream is out of step
}

func newClient(r io.Reader, w io.Writer, fatal func(error)) *client {
	return &client{r: r, w: w, fatal: fatal,
		facts: map[string]Fact{}, dirs: map[string]listing{}, used: map[string]Use{}}
}

// Look answers from what the parent sent so far, or asks.
func (c *client) Look(name string, content bool) (Fact, error) {
	p := path.Clean(name)
	if !validPath(p) {
		return Fact{Path: p, Kind: Outside}, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f, known := c.known(p)
	if !known || content && f.Kind == File && !f.Has {
		a := c.ask(opLook, question{path: p, content: content})
		if f = a.fact; content && f.Kind == File && !f.Has {
			c.fatal(fmt.Errorf("content of %q was asked for and not sent: %w", p, errMalformed))
		}
	}
	c.note(Use{Path: p, Content: content && f.Has})
	if !content {
		f.Has, f.Data = false, nil
	}
	f.Data = bytes.Clone(f.Data)
	return f, nil
}

// List answers from a directory the parent sent whole, or asks. What is no
// directory has no entries.
func (c *client) List(name string) ([]Entry, error) {
	p := path.Clean(name)
	if !validPath(p) {
		return nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l, whole := c.dirs[p]
	if !whole {
		f, known := c.known(p)
		if !known || f.Kind == Dir {
			f = c.ask(opList, question{path: p}).fact
		}
		if f.Kind != Dir {
			c.note(Use{Path: p})
			return nil, nil
		}
		if l, whole = c.dirs[p]; !whole {
			c.fatal(fmt.Errorf("listing of %q was asked for and not sent: %w", p, errMalformed))
		}
	}
	c.note(Use{Path: p, Listed: true})
	return slices.Clone(l.entries), nil
}

// known answers without a question: from a fact, or because the directory above
// was sent whole.
func (c *client) known(p string) (Fact, bool) {
	if f, ok := c.facts[p]; ok {
		return f, true
	}
	if p == "." {
		return Fact{}, false
	}
	dir, name := path.Split(p)
	l, ok := c.dirs[path.Clean(dir)]
	if !ok {
		return Fact{}, false
	}
	i, found := slices.BinarySearchFunc(l.entries, name, func(e Entry, n string) int { return strings.Compare(e.Name, n) })
	if !found {
		return Fact{Path: p}, true
	}
	return Fact{Path: p, Kind: l.entries[i].Kind, Real: join(l.real, name)}, true
}

func (c *client) note(u Use) {
	old := c.used[u.Path]
	c.used[u.Path] = Use{Path: u.Path, Listed: u.Listed || old.Listed, Content: u.Content || old.Content}
}

// ask makes the one trip to the parent. It ends the process when the parent is
// gone or out of step, since no answer could be right after that.
func (c *client) ask(op byte, q question) answer {
	b, err := q.frame(op)
	if err == nil {
		_, err = c.w.Write(b)
	}
	if err != nil {
		c.fatal(fmt.Errorf("ask about %q: %w", q.path, err))
	}
	_, body, err := readFrame(c.r, only(opAnswer, maxFromParent))
	if err != nil {
		c.fatal(fmt.Errorf("read the answer about %q: %w", q.path, err))
	}
	a, err := parseAnswer(body)
	if err == nil && a.fact.Path != q.path {
		err = errors.New("it is about another path")
	}
	if err != nil {
		c.fatal(fmt.Errorf("read the answer about %q: %w", q.path, err))
	}
	c.learn(a.know)
	c.facts[q.path] = a.fact
	return a
}

// learn keeps what came along. A fact without content does not displace one with.
func (c *client) learn(k knowledge) {
	for _, f := range k.facts {
		if old := c.facts[f.Path]; f.Has || !old.Has {
			c.facts[f.Path] = f
		}
	}
	for _, l := range k.complete {
		c.dirs[l.dir] = l
	}
}

// only is a limit for readFrame that lets one op through.
func only(op byte, most int64) func(byte) int64 {
	return func(got byte) int64 {
		if got == op {
			return most
		}
		return -1
	}
}
