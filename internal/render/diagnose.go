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
	"github.com/davitops/davit/internal/target"
	"github.com/davitops/davit/internal/tree"
)

// diagnose says why a build failed, in Davit's words, at a file and a line.
// kustomize says it in nested prose that names neither, and that may quote any
// value it read. So the kustomizations are read once more, in the order of the
// build, for the first thing that no build survives; only if there is none is
// kustomize quoted, with every value that could be secret struck out.
func diagnose(source *fileSystem, directory string, cause error) error {
	d := diagnosis{source: source, building: map[string]bool{}, done: map[string]bool{}}
	problem := d.directory(directory, nil)
	if source.failed != nil {
		return source.failed
	}
	if problem != nil {
		return source.redacted(problem)
	}
	text := address.ReplaceAllString(redact(source.read, cause.Error()), "…")
	return &manifest.Problem{
		Code: manifest.RenderFailed, File: mainFile(source.files, gitops.Target{Path: directory, Renderer: gitops.Kustomize}), Line: 1,
		Message: "kustomize: " + lastWords(text), Detail: text,
	}
}

// address is a place in memory, which kustomize prints of what it generates from
// and which is another one each time.
var address = regexp.MustCompile(`0x[0-9a-f]{6,}`)

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
	plugins  bool // what is built here configures plugins
}

// reference is one string of a kustomization that names a file or directory.
type reference struct {
	file  string // the kustomization
	field string
	node  *yaml.Node
}

func (r reference) problem(code manifest.Code, reason string) *manifest.Problem {
	named := manifest.Quote(r.node.Value)
	if strings.HasPrefix(r.field, "secretGenerator") {
		named = "a file" // who mistakes files for literals wrote a value here
	}
	return &manifest.Problem{Code: code, File: r.file, Line: r.node.Line, Message: r.field + " names " + named + ", " + reason}
}

// directory diagnoses the kustomization of one directory; from is what led
// there, nil for the target itself.
func (d *diagnosis) directory(directory string, from *reference) *manifest.Problem {
	var file string
	var content []byte
	for _, candidate := range target.Kustomizations(directory) {
		fact, err := d.source.look(inside(candidate), true)
		if err != nil || fact.Kind == tree.Absent || fact.Kind == tree.Dir {
			continue
		}
		if fact.Kind != tree.File {
			return absence(fact.Kind, candidate)
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
	return d.kustomization(file, content, from)
}

func (d *diagnosis) kustomization(file string, content []byte, from *reference) *manifest.Problem {
	d.source.read[file] = content
	if problem := manifest.CheckYAML(file, content); problem != nil {
		return problem
	}
	var document yaml.Node
	invalid := &manifest.Problem{Code: manifest.Invalid, File: file, Line: 1, Message: "a kustomization must be a mapping of fields; this is none"}
	if err := yaml.NewDecoder(bytes.NewReader(content)).Decode(&document); err != nil || len(document.Content) == 0 {
		return invalid
	}
	root := plainly(document.Content[0])
	if root.Kind != yaml.MappingNode {
		return invalid
	}
	if problem := misplaced(root, from); problem != nil {
		return problem
	}
	for key, value := range manifest.Pairs(root) {
		problem := d.field(file, key, value)
		if helmFields[key.Value] && wantsChart(root) {
			problem = &manifest.Problem{Code: manifest.HelmRefused, File: file, Line: key.Line,
				Message: fmt.Sprintf("%s needs a Helm chart, which Davit does not render here; commit the rendered chart and name it in resources", key.Value)}
		}
		if problem != nil {
			return problem
		}
	}
	return nil
}

// misplaced reports a component that is used as a base, or a base as a component.
func misplaced(root *yaml.Node, from *reference) *manifest.Problem {
	if from == nil {
		return nil
	}
	kind := field(root, "kind")
	isComponent := kind != nil && kind.Value == types.ComponentKind
	switch {
	case isComponent && from.field != "components":
		return from.problem(manifest.Invalid, "a component; name it in components")
	case !isComponent && from.field == "components":
		return from.problem(manifest.Invalid, "which is no component; name it in resources, or give it kind: Component")
	}
	return nil
}

var helmFields = map[string]bool{"helmCharts": true, "helmChartInflationGenerator": true, "helmGlobals": true}

// wantsChart reports whether a kustomization names a chart; settings for charts
// alone change nothing.
func wantsChart(root *yaml.Node) bool {
	for _, name := range []string{"helmCharts", "helmChartInflationGenerator"} {
		if charts := field(root, name); charts != nil && len(charts.Content) > 0 {
			return true
		}
	}
	return false
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
	if path.IsAbs(name) {
		return tree.Fact{}, r.problem(manifest.Outside, "which is outside the repository; use a path inside it")
	}
	fact, err := d.source.look(inside(path.Join(path.Dir(r.file), name)), true)
	if err != nil {
		return fact, nil
	}
	if isRemote(name, fact.Kind) {
		return fact, r.problem(manifest.RemoteRefused, "which would have to be fetched; commit it to this repository and name its path")
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
	case fact.Kind == tree.Dir:
		return d.base(r, fact)
	}
	problem = d.objects(fact)
	if problem == nil && d.plugins {
		problem = pluginIn(fact.Path, 0, fact.Data)
	}
	return problem
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
	return d.file(r, r.node.Value, true)
}

// file diagnoses a reference to a file. A key that is given twice is not looked
// at: in a patch kustomize takes it.
func (d *diagnosis) file(r reference, name string, isYAML bool) *manifest.Problem {
	fact, problem := d.find(r, name)
	if problem == nil && fact.Kind == tree.Dir {
		problem = r.problem(manifest.Invalid, "a directory; name its files")
	}
	if problem == nil && isYAML {
		_, problem = manifest.Headers(fact.Path, fact.Data)
	}
	return problem
}

func (d *diagnosis) fileUnlessInline(r reference) *manifest.Problem {
	if isInline(r.node.Value) {
		return nil
	}
	return d.plainFile(r)
}

// isInline reports whether a string is YAML itself where it could be a path.
func isInline(text string) bool { return strings.ContainsAny(text, "\n{") }

func (d *diagnosis) keyedFile(r reference) *manifest.Problem {
	name := r.node.Value
	if _, after, keyed := strings.Cut(name, "="); keyed {
		name = after
	}
	return d.file(r, name, false)
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

// isRemote reports whether a string is one that kustomize would fetch: a URL, one
// of the short forms of a git repository, or what looks like one and is nothing
// else in the repository.
func isRemote(name string, there tree.Kind) bool {
	return remoteFile.MatchString(name) || remoteRepository.MatchString(name) && there != tree.File ||
		likeRepository.MatchString(name) && there != tree.File && there != tree.Dir
}

var (
	remoteFile       = regexp.MustCompile(`(?i)^https?://`)
	remoteRepository = regexp.MustCompile(`(?i)^(git::|[a-z][a-z0-9+.-]*://|[^/\s]+@[^/\s]+[:/]|(www\.)?github\.com[/:])`)
	likeRepository   = regexp.MustCompile(`(?i)\?(.*&)?(ref|version)=|\.git(/|\?|$)`)
)
