package render

import (
	"bytes"
	"fmt"
	"path"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/tree"
)

// diagnose says why a build failed, in Davit's words, at a file and a line.
// kustomize says it in nested prose that names neither, and that may quote any
// value it read. So the kustomizations are read once more, in the order of the
// build, for the first thing that no build survives; only if there is none is
// kustomize quoted, with every value that could be secret struck out.
func diagnose(source *fileSystem, directory string, cause error) error {
	d := diagnosis{source: source, building: map[string]bool{}, done: map[string]bool{}}
	if problem := d.directory(directory, nil); problem != nil {
		return problem
	}
	if source.failed != nil {
		return source.failed
	}
	text := redact(source.read, cause.Error())
	return &manifest.Problem{
		Code: manifest.RenderFailed, File: mainFile(source.files, gitops.Target{Path: directory, Renderer: gitops.Kustomize}), Line: 1,
		Message: "kustomize: " + lastWords(text), Detail: text,
	}
}

// maxWords is how much of kustomize's own text a message quotes.
const maxWords = 400

// lastWords is the end of an error's text: each layer puts its own in front, so
// the reason stands last.
func lastWords(text string) string {
	text = strings.ReplaceAll(strings.Join(strings.Fields(text), " "), mount+"/", "")
	if runes := []rune(text); len(runes) > maxWords {
		text = "…" + string(runes[len(runes)-maxWords:])
	}
	return text
}

// diagnosis walks kustomizations as a build would.
type diagnosis struct {
	source   *fileSystem
	building map[string]bool // the directories that lead to here
	done     map[string]bool
}

// reference is one string of a kustomization that names a file or directory.
type reference struct {
	file  string // the kustomization
	field string
	node  *yaml.Node
}

func (r reference) problem(code manifest.Code, format string, args ...any) *manifest.Problem {
	return &manifest.Problem{Code: code, File: r.file, Line: r.node.Line,
		Message: fmt.Sprintf("%s names %s, ", r.field, manifest.Quote(r.node.Value)) + fmt.Sprintf(format, args...)}
}

// directory diagnoses the kustomization of one directory; from is what led
// there, nil for the target itself.
func (d *diagnosis) directory(directory string, from *reference) *manifest.Problem {
	var file string
	var content []byte
	for _, name := range kustomizationNames {
		candidate := path.Join(directory, name)
		fact, err := d.source.files.Look(candidate, true)
		if err != nil || fact.Kind == tree.Absent || fact.Kind == tree.Dir {
			continue
		}
		if fact.Kind != tree.File {
			return absence(fact.Kind, candidate, 1, "this file")
		}
		if file != "" {
			return &manifest.Problem{Code: manifest.Invalid, File: candidate, Line: 1,
				Message: fmt.Sprintf("the directory has %s too; keep one of the two", path.Base(file))}
		}
		file, content = candidate, fact.Data
	}
	if file == "" && from != nil {
		return from.problem(manifest.Missing, "a directory without a kustomization; add one, or name its files")
	}
	if file == "" {
		return &manifest.Problem{Code: manifest.Missing, File: directory, Line: 1, Message: "there is no kustomization in this directory"}
	}
	d.building[directory] = true
	defer delete(d.building, directory)
	d.done[directory] = true
	return d.kustomization(file, content)
}

func (d *diagnosis) kustomization(file string, content []byte) *manifest.Problem {
	if problem := manifest.CheckYAML(file, content); problem != nil {
		return problem
	}
	d.source.read[file] = content
	var document yaml.Node
	invalid := &manifest.Problem{Code: manifest.Invalid, File: file, Line: 1, Message: "a kustomization must be a mapping of fields; this is none"}
	if err := yaml.NewDecoder(bytes.NewReader(content)).Decode(&document); err != nil || len(document.Content) == 0 {
		return invalid
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return invalid
	}
	for key, value := range manifest.Pairs(root) {
		if problem := d.field(file, key, value); problem != nil {
			return problem
		}
	}
	return nil
}

// kustomizationFields are the fields kustomize knows.
var kustomizationFields = func() map[string]bool {
	fields := map[string]bool{"apiVersion": true, "kind": true}
	for f := range reflect.TypeFor[types.Kustomization]().Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			fields[name] = true
		}
	}
	return fields
}()

func (d *diagnosis) field(file string, key, value *yaml.Node) *manifest.Problem {
	at := reference{file: file, field: key.Value, node: value}
	switch key.Value {
	case "helmCharts", "helmChartInflationGenerator", "helmGlobals":
		return &manifest.Problem{Code: manifest.HelmRefused, File: file, Line: key.Line,
			Message: fmt.Sprintf("%s needs a Helm chart, which Davit does not render here; commit the rendered chart and name it in resources", key.Value)}
	case "resources", "bases":
		return d.each(at, d.resource)
	case "components":
		return d.each(at, d.component)
	case "generators", "transformers", "validators":
		return d.each(at, d.plugin)
	case "crds", "configurations":
		return d.each(at, d.plainFile)
	case "patchesStrategicMerge":
		return d.each(at, d.fileUnlessInline)
	case "openapi":
		return d.members(at, "path", d.schema)
	case "patches", "patchesJson6902", "replacements":
		return d.eachMember(at, "path", d.plainFile)
	case "configMapGenerator", "secretGenerator":
		for _, member := range []string{"files", "envs", "env"} {
			if problem := d.eachMember(at, member, d.keyedFile); problem != nil {
				return problem
			}
		}
		return nil
	}
	if !kustomizationFields[key.Value] {
		return &manifest.Problem{Code: manifest.Invalid, File: file, Line: key.Line,
			Message: fmt.Sprintf("a kustomization has no field %s", manifest.Quote(key.Value))}
	}
	return nil
}

// each diagnoses a scalar, or the scalars of a list.
func (d *diagnosis) each(at reference, check func(reference) *manifest.Problem) *manifest.Problem {
	nodes := at.node.Content
	if at.node.Kind == yaml.ScalarNode {
		nodes = []*yaml.Node{at.node}
	}
	for _, node := range nodes {
		if node.Kind != yaml.ScalarNode || node.Value == "" {
			continue
		}
		if problem := check(reference{file: at.file, field: at.field, node: node}); problem != nil {
			return problem
		}
	}
	return nil
}

func (d *diagnosis) members(at reference, member string, check func(reference) *manifest.Problem) *manifest.Problem {
	for key, value := range manifest.Pairs(at.node) {
		if key.Value != member {
			continue
		}
		if problem := d.each(reference{file: at.file, field: at.field + "." + member, node: value}, check); problem != nil {
			return problem
		}
	}
	return nil
}

func (d *diagnosis) eachMember(at reference, member string, check func(reference) *manifest.Problem) *manifest.Problem {
	for _, item := range at.node.Content {
		if problem := d.members(reference{file: at.file, field: at.field, node: item}, member, check); problem != nil {
			return problem
		}
	}
	return nil
}

// find resolves a reference; a problem says why there is nothing to go on with.
func (d *diagnosis) find(r reference, name string) (tree.Fact, *manifest.Problem) {
	if isRemote(name) {
		return tree.Fact{}, r.problem(manifest.RemoteRefused, "which would have to be fetched; commit it to this repository and name its path")
	}
	if path.IsAbs(name) {
		return tree.Fact{}, r.problem(manifest.Outside, "which is outside the repository; use a path inside it")
	}
	fact, err := d.source.look(inside(path.Join(path.Dir(r.file), name)), true)
	if err != nil {
		return fact, nil
	}
	switch fact.Kind {
	case tree.Absent:
		return fact, r.problem(manifest.Missing, "which is not in the repository")
	case tree.Outside:
		return fact, r.problem(manifest.Outside, "which is outside the repository; use a path inside it")
	case tree.TooLarge:
		return fact, r.problem(manifest.TooLarge, "a file that is too large to read")
	}
	return fact, nil
}

func (d *diagnosis) resource(r reference) *manifest.Problem {
	fact, problem := d.find(r, r.node.Value)
	switch {
	case problem != nil:
		return problem
	case fact.Kind == tree.File:
		return d.objects(fact)
	}
	return d.base(r, fact)
}

func (d *diagnosis) component(r reference) *manifest.Problem {
	fact, problem := d.find(r, r.node.Value)
	switch {
	case problem != nil:
		return problem
	case fact.Kind == tree.File:
		return r.problem(manifest.Invalid, "a file; a component is a directory")
	}
	return d.base(r, fact)
}

func (d *diagnosis) base(r reference, fact tree.Fact) *manifest.Problem {
	for building := range d.building {
		if building == fact.Real || fact.Real == "." || strings.HasPrefix(building, fact.Real+"/") {
			return r.problem(manifest.Cycle, "which is, or contains, a directory that is being built; a base must not reach itself")
		}
	}
	if d.done[fact.Real] {
		return nil
	}
	return d.directory(fact.Real, &r)
}

// objects diagnoses a file that must hold Kubernetes objects.
func (d *diagnosis) objects(fact tree.Fact) *manifest.Problem {
	if problem := manifest.CheckYAML(fact.Path, fact.Data); problem != nil {
		return problem
	}
	if bytes.HasPrefix(fact.Data, []byte("version https://git-lfs.github.com/spec/")) {
		return &manifest.Problem{Code: manifest.NotAnObject, File: fact.Path, Line: 1,
			Message: "this is a Git LFS pointer, which Davit does not follow; commit the file itself"}
	}
	headers, problem := manifest.Headers(fact.Path, fact.Data)
	if problem != nil {
		return problem
	}
	for _, h := range headers {
		if h.Kind == "" || h.Name == "" && !strings.HasSuffix(h.Kind, "List") {
			return &manifest.Problem{Code: manifest.NotAnObject, File: fact.Path, Line: h.Line,
				Message: "this is not a Kubernetes object: it needs apiVersion, kind and metadata.name"}
		}
	}
	return nil
}

func (d *diagnosis) plainFile(r reference) *manifest.Problem {
	fact, problem := d.find(r, r.node.Value)
	if problem == nil && fact.Kind == tree.File {
		problem = manifest.CheckYAML(fact.Path, fact.Data)
	}
	return problem
}

func (d *diagnosis) fileUnlessInline(r reference) *manifest.Problem {
	if strings.ContainsAny(r.node.Value, "\n{") {
		return nil
	}
	return d.plainFile(r)
}

func (d *diagnosis) keyedFile(r reference) *manifest.Problem {
	name := r.node.Value
	if _, after, keyed := strings.Cut(name, "="); keyed {
		name = after
	}
	_, problem := d.find(r, name)
	return problem
}

func (d *diagnosis) schema(r reference) *manifest.Problem {
	fact, problem := d.find(r, r.node.Value)
	if problem != nil {
		return problem
	}
	if problem := manifest.CheckYAML(fact.Path, fact.Data); problem != nil {
		return problem
	}
	if !isSchema(fact.Data) {
		return &manifest.Problem{Code: manifest.Invalid, File: fact.Path, Line: 1,
			Message: "this is no OpenAPI schema: it needs \"definitions\", a mapping of names to schemas"}
	}
	return nil
}

// isRemote reports whether a string is one that kustomize would fetch: a URL, or
// one of the short forms of a git repository.
func isRemote(name string) bool {
	return remote.MatchString(name)
}

var remote = regexp.MustCompile(`(?i)^(git::|[a-z][a-z0-9+.-]*://|[^/\s]+@[^/\s]+[:/]|(www\.)?github\.com[/:])|\?(.*&)?(ref|version)=|\.git(/|\?|$)`)
