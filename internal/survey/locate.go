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
	documents map[string][]manifest.Document // by object id, each file read once
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
		for _, d := range l.read(r.files, file) {
			if d.Line == line {
				line, _ = d.Find(field)
				break
			}
		}
		return file, line
	}
	var best source
	for _, candidate := range r.side.record.Paths() {
		for _, d := range l.read(r.files, candidate) {
			s := source{file: candidate, likeness: likenessTo(d.Header, ref)}
			if s.likeness == 0 || s.likeness < best.likeness {
				continue
			}
			s.changed = slices.Contains(l.directory.why, candidate)
			if s.line, s.steps = d.Find(field); s.better(best) {
				best = s
			}
		}
	}
	return best.file, best.line
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

// maxLocated is the largest file in bytes in which lines are looked for. The nodes
// of a file take many times its size.
const maxLocated = 2 << 20

func (l *locator) read(files Tree, file string) []manifest.Document {
	if ext := path.Ext(file); ext != ".yaml" && ext != ".yml" || target.IsKustomization(file) {
		return nil
	}
	fact, err := files.Look(file, true)
	if err != nil || fact.Kind != tree.File {
		return nil
	}
	documents, known := l.documents[fact.ID]
	if known {
		return documents
	}
	if len(fact.Data) <= maxLocated && manifest.Guard(file, fact.Data) == nil {
		documents = manifest.Documents(fact.Data)
	}
	if l.documents == nil {
		l.documents = map[string][]manifest.Document{}
	}
	l.documents[fact.ID] = documents
	return documents
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
