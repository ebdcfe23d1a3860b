package survey

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/yaml"

	"github.com/davitops/davit/internal/diff"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/policy"
	"github.com/davitops/davit/internal/tree"
)

// memory is a tree of files by path.
type memory map[string]string

// tooLarge is the content of a file that a tree does not hand out.
const tooLarge = "(too large)\n"

func (m memory) Entries() []tree.Entry {
	var entries []tree.Entry
	for _, name := range slices.Sorted(maps.Keys(m)) {
		entries = append(entries, tree.Entry{Path: name, Mode: tree.ModeFile, ID: idOf(m[name])})
	}
	return entries
}

func idOf(content string) string {
	hash := sha256.Sum256([]byte(content))
	return hex.EncodeToString(hash[:10])
}

func (m memory) Look(name string, content bool) (tree.Fact, error) {
	fact := tree.Fact{Path: name, Real: name}
	data, isFile := m[name]
	names, _ := m.List(name)
	switch {
	case isFile && data == tooLarge && content:
		fact.Kind, fact.ID = tree.TooLarge, idOf(data)
	case isFile:
		fact.Kind, fact.ID = tree.File, idOf(data)
		if content {
			fact.Has, fact.Data = true, []byte(data)
		}
	case len(names) > 0 || name == ".":
		fact.Kind = tree.Dir
	}
	return fact, nil
}

func (m memory) List(directory string) ([]tree.Name, error) {
	kinds := map[string]tree.Kind{}
	for file := range m {
		rest, in := strings.CutPrefix(file, directory+"/")
		if directory == "." {
			rest, in = file, true
		}
		if name, _, below := strings.Cut(rest, "/"); in && below {
			kinds[name] = tree.Dir
		} else if in {
			kinds[name] = tree.File
		}
	}
	var names []tree.Name
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		names = append(names, tree.Name{Name: name, Kind: kinds[name]})
	}
	return names, nil
}

// renderer renders a directory of files as they are: those that a kustomization
// names, or all of a directory without one. "@broken" anywhere in a file is a
// problem there, "@dies" kills the worker and "@unreadable" is nobody's fault.
type renderer struct {
	mu    sync.Mutex
	calls []string // the paths rendered
	hints map[string][]string
}

var named = regexp.MustCompile(`[\w./-]+\.yaml`)

func (r *renderer) Render(_ context.Context, files tree.Files, t gitops.Target, hints []string) (manifest.Rendering, tree.Record, error) {
	r.mu.Lock()
	r.calls = append(r.calls, t.Path)
	if r.hints == nil {
		r.hints = map[string][]string{}
	}
	if hints != nil {
		r.hints[t.Path] = hints
	}
	r.mu.Unlock()
	var uses []tree.Use
	var paths []string
	if t.Renderer == gitops.Kustomize {
		file := path.Join(t.Path, "kustomization.yaml")
		uses = append(uses, tree.Use{Path: file})
		fact, _ := files.Look(file, true)
		for _, name := range named.FindAllString(string(fact.Data), -1) {
			paths = append(paths, path.Join(t.Path, name))
		}
	} else {
		uses = append(uses, tree.Use{Path: t.Path, Listed: true})
		names, _ := files.List(t.Path)
		for _, n := range names {
			paths = append(paths, path.Join(t.Path, n.Name))
		}
	}
	var rendering manifest.Rendering
	for _, file := range paths {
		uses = append(uses, tree.Use{Path: file})
		fact, _ := files.Look(file, true)
		objects, problem, err := read(file, fact)
		if errors.Is(err, errDies) {
			return manifest.Rendering{Problem: problem}, nil, nil
		}
		if err != nil {
			return manifest.Rendering{}, nil, err
		}
		if rendering.Objects = append(rendering.Objects, objects...); problem != nil {
			rendering = manifest.Rendering{Problem: problem}
			break
		}
	}
	if t.Renderer == gitops.Kustomize {
		for i := range rendering.Objects {
			rendering.Objects[i].Origin = manifest.Origin{}
		}
	}
	record, err := tree.Observe(files, uses)
	return rendering, record, err
}

var (
	errDies       = errors.New("the worker died")
	errUnreadable = errors.New("the store is gone")
)

func read(file string, fact tree.Fact) ([]manifest.Object, *manifest.Problem, error) {
	switch {
	case fact.Kind != tree.File:
		return nil, &manifest.Problem{Code: manifest.Missing, Message: "not there: " + fact.Kind.String(), File: file, Line: 1}, nil
	case bytes.Contains(fact.Data, []byte("@broken")):
		return nil, &manifest.Problem{Code: manifest.Syntax, Message: "broken", File: file, Line: 1}, nil
	case bytes.Contains(fact.Data, []byte("@dies")):
		return nil, &manifest.Problem{Code: manifest.Memory, Message: "too much", File: file, Line: 1}, errDies
	case bytes.Contains(fact.Data, []byte("@unreadable")):
		return nil, nil, errUnreadable
	}
	headers, problem := manifest.Headers(file, fact.Data)
	if problem != nil {
		return nil, problem, nil
	}
	var objects []manifest.Object
	for document := range strings.SplitSeq(string(fact.Data), "---\n") {
		data, err := yaml.YAMLToJSON([]byte(document))
		if err != nil {
			return nil, &manifest.Problem{Code: manifest.Syntax, Message: "no YAML", File: file, Line: 1}, nil
		}
		if string(data) == "null" {
			continue
		}
		object, err := manifest.Decode(data)
		if err != nil || object.Ref.Kind == "" {
			return nil, &manifest.Problem{Code: manifest.NotAnObject, Message: "no object", File: file, Line: 1}, nil
		}
		object.Origin = manifest.Origin{File: file, Line: headers[len(objects)].Line}
		objects = append(objects, object)
	}
	return objects, nil, nil
}

// judge holds "bad: severity" in an object's data against it. An object whose
// data has "kills" kills the judge.
type judge struct {
	mu     sync.Mutex
	judged [][]string
	err    error
}

func (j *judge) Judge(_ context.Context, kubernetes string, changes []diff.Change) (base, head []policy.Finding, err error) {
	var names []string
	for _, c := range changes {
		names = append(names, fmt.Sprintf("%s (before: %t, after: %t)", c.Ref, c.Before != nil, c.After != nil))
		before, killsBefore := held(c.Before)
		after, killsAfter := held(c.After)
		base, head = append(base, before...), append(head, after...)
		if killsBefore || killsAfter {
			err = fmt.Errorf("judge: %w", &manifest.Problem{Code: manifest.Crash, Message: "the engines crashed"})
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.judged = append(j.judged, names)
	return base, head, errors.Join(err, j.err)
}

func held(data json.RawMessage) ([]policy.Finding, bool) {
	if data == nil {
		return nil, false
	}
	var object struct{ Data, StringData map[string]string }
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, false
	}
	o, err := manifest.Decode(data)
	if err != nil {
		return nil, false
	}
	_, kills := object.Data["kills"]
	severity := object.Data["bad"] + object.StringData["bad"]
	if severity == "" {
		return nil, kills
	}
	return []policy.Finding{{Rule: "bad", Engine: "fake", Severity: policy.Severity(severity), Object: o.Ref, Subject: "data.bad", Message: "it is bad"}}, kills
}
