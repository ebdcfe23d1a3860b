package worker

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

const (
	// prefetchFile is the largest manifest that is sent unasked, in bytes; few
	// manifests are larger, and those that are may never be read.
	prefetchFile = 64 << 10
	// prefetchDir bounds the content sent unasked for one directory, in bytes.
	prefetchDir = 4 << 20
	// prefetchEntries is the longest directory that is sent unasked.
	prefetchEntries = 2000
)

// server answers one job's questions and remembers what it told, because only
// that may come back as used. It belongs to one goroutine.
type server struct {
	files    Files
	lim      Limits
	requests int
	served   int64           // bytes of frames
	unasked  int64           // bytes of content among them that no question was for
	told     map[string]bool // path -> its content was told too, or it has none
	whole    map[string]bool // directories told with all their entries
}

func newServer(files Files, lim Limits) *server {
	if files == nil {
		files = noFiles{}
	}
	return &server{files: files, lim: lim, told: map[string]bool{}, whole: map[string]bool{}}
}

// job is the first frame: the work and the facts that will probably be asked for.
func (s *server) job(j Job) ([]byte, error) {
	m := job{kind: j.Kind, payload: j.Payload}
	for _, p := range j.Hints {
		if _, twice := s.told[p]; twice || !validPath(p) {
			continue
		}
		f, err := s.look(p, true)
		if err != nil {
			return nil, err
		}
		if int64(len(f.Data)) > s.spare() {
			continue
		}
		s.unasked += int64(len(f.Data))
		s.tell(f)
		m.know.facts = append(m.know.facts, f)
	}
	return s.count(m.frame())
}

// spare is how much may still be sent unasked: half of the limit, the rest is
// for questions.
func (s *server) spare() int64 { return s.lim.Served/2 - s.unasked }

// look asks the tree and holds it to its contract.
func (s *server) look(p string, content bool) (Fact, error) {
	f, err := s.files.Look(p, content)
	if err != nil {
		return Fact{}, fmt.Errorf("serve %q to a worker: %w", p, err)
	}
	if f.Kind >= kinds || content && f.Kind == File && !f.Has {
		return Fact{}, fmt.Errorf("serve %q to a worker: the tree answered a %s without content", p, f.Kind)
	}
	f.Path = p
	if f.Has = f.Has && f.Kind == File; !f.Has {
		f.Data = nil
	}
	if f.Real == "" && f.Kind != Absent && f.Kind != Outside {
		f.Real = p
	}
	return f, nil
}

// answer is the reply to one question.
func (s *server) answer(op byte, body []byte) ([]byte, error) {
	if s.requests++; s.requests > s.lim.Requests {
		return nil, &Death{Class: Limit, Detail: fmt.Sprintf("it asked more than %d times", s.lim.Requests)}
	}
	q, err := parseQuestion(body)
	if err != nil {
		return nil, &Death{Class: Protocol, Detail: fmt.Sprintf("op %d: %v", op, err)}
	}
	var m answer
	if m.fact, err = s.look(q.path, q.content && op == opLook); err != nil {
		return nil, err
	}
	s.tell(m.fact)
	switch {
	case op == opList && m.fact.Kind == Dir:
		err = s.addDir(&m.know, m.fact, true)
	case m.fact.Kind == Dir:
		err = s.addDir(&m.know, m.fact, false)
	case isKustomization(q.path):
		err = s.addDirOf(&m.know, q.path)
	}
	if err != nil {
		return nil, err
	}
	return s.count(m.frame())
}

// isKustomization reports whether a build that reads this file will go on to
// read its neighbours.
func isKustomization(p string) bool {
	switch path.Base(p) {
	case "kustomization.yaml", "kustomization.yml", "Kustomization":
		return true
	}
	return false
}

func (s *server) addDirOf(k *knowledge, p string) error {
	dir := path.Dir(p)
	if s.whole[dir] {
		return nil
	}
	f, err := s.look(dir, false)
	if err != nil || f.Kind != Dir {
		return err
	}
	s.tell(f)
	k.facts = append(k.facts, f)
	return s.addDir(k, f, false)
}

// addDir adds a directory's names and its manifests. Without must, it leaves out
// what was sent already and what is so large that it would hardly pay.
func (s *server) addDir(k *knowledge, dir Fact, must bool) error {
	if s.whole[dir.Path] && !must {
		return nil
	}
	entries, err := s.files.List(dir.Path)
	if err != nil {
		return fmt.Errorf("serve the listing of %q to a worker: %w", dir.Path, err)
	}
	if !must && (len(entries) > prefetchEntries || s.spare() <= 0) {
		return nil
	}
	entries = slices.Clone(entries)
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	budget := int64(prefetchDir)
	for i, e := range entries {
		p := join(dir.Path, e.Name)
		if !validPath(p) || strings.Contains(e.Name, "/") {
			return fmt.Errorf("serve the listing of %q to a worker: invalid name %q", dir.Path, e.Name)
		}
		f, err := s.look(p, e.Kind == File && isManifest(e.Name) && budget > 0 && s.spare() > 0)
		if err != nil {
			return err
		}
		if len(f.Data) > prefetchFile || s.told[p] {
			f.Has, f.Data = false, nil
		}
		entries[i].Kind = f.Kind
		if f.Has || f.Real != join(dir.Real, e.Name) {
			budget -= int64(len(f.Data))
			s.unasked += int64(len(f.Data))
			s.tell(f)
			k.facts = append(k.facts, f)
		}
	}
	k.complete = append(k.complete, listing{dir: dir.Path, real: dir.Real, entries: entries})
	s.whole[dir.Path] = true
	return nil
}

func isManifest(name string) bool {
	return strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}

// tell remembers that a fact went out.
func (s *server) tell(f Fact) { s.told[f.Path] = s.told[f.Path] || f.Has }

// count charges a frame to the job.
func (s *server) count(frame []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	if s.served += int64(len(frame)); s.served > s.lim.Served {
		return nil, &Death{Class: Limit, Detail: fmt.Sprintf("it was sent more than %d bytes", s.lim.Served)}
	}
	return frame, nil
}

// verify holds what the worker says it used against what it was told: it can
// leave out, never invent.
func (s *server) verify(used []Use) error {
	for i, u := range used {
		if i > 0 && used[i-1].Path >= u.Path {
			return &Death{Class: Protocol, Detail: fmt.Sprintf("used paths out of order at %q", u.Path)}
		}
		content, told := s.told[u.Path]
		ok := told || u.Path != "." && s.whole[path.Dir(u.Path)]
		if !ok || u.Content && !content || u.Listed && !s.whole[u.Path] {
			return &Death{Class: Protocol, Detail: fmt.Sprintf("%q was used and never sent", u.Path)}
		}
	}
	return nil
}

// maxDoneExtra is what a result frame may have beyond its payload, in bytes:
// the message and the used paths.
const maxDoneExtra = 32 << 20

// overOutput names the one violation that is a matter of size, not of form.
func overOutput(op byte, err error) error {
	if op == opDone && errors.Is(err, errTooBig) {
		return &Death{Class: Limit, Detail: err.Error()}
	}
	return err
}

// isDeath reports whether an error is the worker's doing.
func isDeath(err error) bool {
	var d *Death
	return errors.As(err, &d)
}

// noFiles is the tree of a job that has none.
type noFiles struct{}

// Look finds nothing.
func (noFiles) Look(p string, _ bool) (Fact, error) { return Fact{Path: p}, nil }

// List finds nothing.
func (noFiles) List(string) ([]Entry, error) { return nil, nil }
