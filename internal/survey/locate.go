package survey

import (
	"bytes"
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/policy"
	"github.com/davitops/davit/internal/target"
	"github.com/davitops/davit/internal/tree"
)

// locator finds the line that an object was written at.
type locator struct {
	question  Question
	directory *directory
	headers   map[string][]manifest.Header // by object id
}

// locate gives a finding its file and line: of the document whose kind and name
// come closest to the object's, in a file that changed if there are several. What
// head no longer has is looked for in base.
func (l *locator) locate(f *policy.Finding) {
	sides := []revision{{l.question.Head, l.directory.head}, {l.question.Base, l.directory.base}}
	if f.State == policy.Fixed {
		slices.Reverse(sides)
	}
	for _, r := range sides {
		if r.side == nil || f.File != "" {
			continue
		}
		f.File, f.Line = l.find(r, f.Object, f.Subject)
	}
	for _, r := range sides {
		if r.side != nil && f.File == "" {
			f.File, f.Line = generator(r, l.directory.path, f.Object.Name)
		}
	}
}

// revision is a directory's side and the files it was rendered from.
type revision struct {
	files Tree
	side  *side
}

// source is a document that an object may have been made of.
type source struct {
	file     string
	line     int
	likeness int  // of its name to the object's
	steps    int  // how much of the field it holds
	changed  bool // the change touches its file
}

// better reports whether s is more probably where a field was written than t.
func (s source) better(t source) bool {
	for _, order := range [...]int{cmp.Compare(s.likeness, t.likeness), cmp.Compare(s.steps, t.steps)} {
		if order != 0 {
			return order > 0
		}
	}
	return s.changed && !t.changed
}

// find looks for a field of an object among what its side read. The base that
// holds an object and the patches on it have its name alike; the one with most of
// the field is where it was written.
func (l *locator) find(r revision, ref gitops.ObjectRef, field string) (file string, line int) {
	if file, line = written(r.side.rendering.Objects, ref); file != "" {
		line, _ = l.field(r, file, line, field)
		return file, line
	}
	var best source
	for _, candidate := range r.side.record.Paths() {
		for _, h := range l.read(r.files, candidate) {
			s := source{file: candidate, likeness: likenessTo(h, ref), changed: slices.Contains(l.directory.why, candidate)}
			if s.likeness == 0 || s.likeness < best.likeness {
				continue
			}
			if s.line, s.steps = l.field(r, candidate, h.Line, field); s.better(best) {
				best = s
			}
		}
	}
	return best.file, best.line
}

func (l *locator) field(r revision, file string, line int, field string) (int, int) {
	fact, err := r.files.Look(file, true)
	if err != nil || field == "" || manifest.Guard(file, fact.Data) != nil {
		return line, 0
	}
	return manifest.Locate(fact.Data, line, field)
}

// written is where the renderer itself says an object came from.
func written(objects []manifest.Object, ref gitops.ObjectRef) (string, int) {
	for _, o := range objects {
		if o.Ref == ref {
			return o.Origin.File, o.Origin.Line
		}
	}
	return "", 0
}

// likenessTo is how close a document comes to being the source of an object,
// whose name may have got a prefix or a suffix on the way: 0 is not at all.
func likenessTo(h manifest.Header, ref gitops.ObjectRef) int {
	switch {
	case h.Kind != ref.Kind || h.Name == "" || h.Namespace != "" && ref.Namespace != "" && h.Namespace != ref.Namespace:
		return 0
	case h.Name == ref.Name:
		return 2
	case strings.HasPrefix(ref.Name, h.Name) || strings.HasSuffix(ref.Name, h.Name):
		return 1
	}
	return 0
}

func (l *locator) read(files Tree, file string) []manifest.Header {
	if ext := path.Ext(file); ext != ".yaml" && ext != ".yml" || target.IsKustomization(file) {
		return nil
	}
	fact, err := files.Look(file, true)
	if err != nil || fact.Kind != tree.File {
		return nil
	}
	if headers, known := l.headers[fact.ID]; known {
		return headers
	}
	var headers []manifest.Header
	if manifest.Guard(file, fact.Data) == nil {
		headers, _ = manifest.Headers(file, fact.Data)
	}
	if l.headers == nil {
		l.headers = map[string][]manifest.Header{}
	}
	l.headers[fact.ID] = headers
	return headers
}

// generator is the line of a kustomization that names the generator of an
// object, or else the first line of the directory's own, or of any.
func generator(r revision, directory, name string) (string, int) {
	first := ""
	for _, file := range r.side.record.Paths() {
		if !target.IsKustomization(file) {
			continue
		}
		fact, err := r.files.Look(file, true)
		if err != nil || fact.Kind != tree.File {
			continue
		}
		if first == "" || path.Dir(file) == directory {
			first = file
		}
		if line := lineNaming(fact.Data, name); line > 0 {
			return file, line
		}
	}
	if first == "" {
		return "", 0
	}
	return first, 1
}

// lineNaming is the first line that gives a name which the object's begins with.
func lineNaming(kustomization []byte, name string) int {
	number := 0
	for line := range bytes.Lines(kustomization) {
		number++
		_, value, found := bytes.Cut(line, []byte("name: "))
		stem := strings.Trim(string(value), "\"' \r\n")
		if found && stem != "" && strings.HasPrefix(name, stem) {
			return number
		}
	}
	return 0
}
