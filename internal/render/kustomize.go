package render

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/openapi"

	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/target"
	"github.com/davitops/davit/internal/tree"
	"github.com/davitops/davit/internal/worker"
)

// Warm makes a fresh worker pay for kustomize's schema before its first job.
func Warm() error {
	in := filesys.MakeFsInMemory()
	_ = in.WriteFile("kustomization.yaml", []byte("resources: [d.yaml]\npatches: [{patch: '{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {replicas: 2}}'}]\n"))
	_ = in.WriteFile("d.yaml", []byte("{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}\n"))
	_, err := krusty.MakeKustomizer(options()).Run(in, ".")
	return err
}

func options() *krusty.Options {
	o := krusty.MakeDefaultOptions()
	o.LoadRestrictions = types.LoadRestrictionsNone
	o.PluginConfig = types.DisabledPluginConfig()
	return o
}

// builtinSchema is the schema's version before any build has had its say.
var builtinSchema = openapi.GetSchemaVersion()

// schemaState is worker.ErrDirty after a build that brought a schema of its own:
// kustomize keeps it, and would merge the next build's lists by it.
func schemaState() error {
	if openapi.GetSchemaVersion() != builtinSchema {
		return worker.ErrDirty
	}
	return nil
}

// kustomize builds the kustomization in a directory.
func kustomize(files tree.Files, directory string) ([]manifest.Object, error) {
	source := &fileSystem{files: files, read: map[string][]byte{}}
	objects, err := build(source, directory)
	switch {
	case source.failed != nil:
		return nil, source.failed
	case source.problem != nil:
		return nil, source.redacted(source.problem)
	case err != nil:
		return nil, diagnose(source, directory, err)
	}
	return objects, nil
}

var errPanic = errors.New("kustomize gave up on an input it did not expect")

func build(source *fileSystem, directory string) (objects []manifest.Object, err error) {
	defer func() {
		if recover() != nil {
			objects, err = nil, errPanic
		}
	}()
	built, err := krusty.MakeKustomizer(options()).Run(source, inside(directory))
	if err != nil {
		return nil, err
	}
	for _, r := range built.Resources() {
		data, err := marshal(r)
		if err != nil {
			return nil, err
		}
		object, err := manifest.Decode(data)
		if err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
	return objects, nil
}

func marshal(r *resource.Resource) ([]byte, error) {
	data, err := appendJSON(nil, r.YNode())
	if errors.Is(err, errUncommon) {
		return r.MarshalJSON()
	}
	return data, err
}

// mount is where the repository's root stands in the file system that kustomize
// sees. It is not "/", so that a path which climbs out of the repository is seen
// to, instead of ending at the root; and nobody can guess it, so that none climbs
// in again. No result holds it.
var mount = "/" + rand.Text()

func inside(name string) string { return path.Join(mount, name) }

// outside turns a path of kustomize's into one of the repository's; false means
// that it left the repository.
func outside(name string) (string, bool) {
	name = path.Clean(name)
	if name == mount {
		return ".", true
	}
	return strings.CutPrefix(name, mount+"/")
}

// fileSystem is the repository as kustomize sees it: it can read files and
// resolve paths, which is all a build does.
type fileSystem struct {
	files   tree.Files
	read    map[string][]byte // by path, the content of every file read
	problem *manifest.Problem // the first file that was too dangerous to hand on
	failed  error             // the first question that had no answer
}

func (f *fileSystem) look(name string, content bool) (tree.Fact, error) {
	relative, within := outside(name)
	if !within {
		return tree.Fact{Path: name, Kind: tree.Outside}, nil
	}
	fact, err := f.files.Look(relative, content)
	if err != nil && f.failed == nil {
		f.failed = err
	}
	return fact, err
}

// ReadFile implements filesys.FileSystem.
func (f *fileSystem) ReadFile(name string) ([]byte, error) {
	fact, err := f.look(name, true)
	if err != nil {
		return nil, err
	}
	if fact.Kind != tree.File {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	if problem := guard(fact.Path, fact.Data); problem != nil {
		if problem.Code == manifest.Syntax {
			f.read[fact.Path] = fact.Data
		}
		if f.problem == nil {
			f.problem = problem
		}
		return nil, problem
	}
	f.read[fact.Path] = fact.Data
	return fact.Data, nil
}

// redacted is a problem without what its parser may have quoted.
func (f *fileSystem) redacted(problem *manifest.Problem) *manifest.Problem {
	clean := *problem
	if clean.Detail != "" {
		clean.Detail = redact(f.read, clean.Detail)
	}
	return &clean
}

// guard is manifest.Guard for what may be read as YAML. Files of other names
// may hold any bytes, as content of a generated ConfigMap, but no bombs. Of a
// kustomization's field that is given twice kustomize would silently use one.
func guard(file string, data []byte) *manifest.Problem {
	if target.IsKustomization(file) {
		return manifest.CheckYAML(file, data)
	}
	problem := manifest.Guard(file, data)
	if problem != nil && problem.Code == manifest.Encoding && !namesYAML(file) {
		return nil
	}
	return problem
}

func namesYAML(file string) bool {
	switch path.Ext(file) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

// CleanedAbs implements filesys.FileSystem. What it returns has no links in it,
// since relative paths go on from there.
func (f *fileSystem) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	fact, err := f.look(name, false)
	if err != nil {
		return "", "", err
	}
	switch fact.Kind {
	case tree.Dir:
		return filesys.ConfirmedDir(inside(fact.Real)), "", nil
	case tree.File:
		real := inside(fact.Real)
		return filesys.ConfirmedDir(path.Dir(real)), path.Base(real), nil
	}
	return "", "", &fs.PathError{Op: "find", Path: name, Err: fs.ErrNotExist}
}

// Exists implements filesys.FileSystem.
func (f *fileSystem) Exists(name string) bool {
	fact, err := f.look(name, false)
	return err == nil && (fact.Kind == tree.Dir || fact.Kind == tree.File)
}

// IsDir implements filesys.FileSystem.
func (f *fileSystem) IsDir(name string) bool {
	fact, err := f.look(name, false)
	return err == nil && fact.Kind == tree.Dir
}

// errNotServed is what a build is told that wants more than to read.
var errNotServed = errors.New("a render reads files, and nothing else")

// The rest of filesys.FileSystem is for commands that edit kustomizations.

func (f *fileSystem) Create(string) (filesys.File, error)  { return nil, errNotServed }
func (f *fileSystem) Mkdir(string) error                   { return errNotServed }
func (f *fileSystem) MkdirAll(string) error                { return errNotServed }
func (f *fileSystem) RemoveAll(string) error               { return errNotServed }
func (f *fileSystem) Open(string) (filesys.File, error)    { return nil, errNotServed }
func (f *fileSystem) ReadDir(string) ([]string, error)     { return nil, errNotServed }
func (f *fileSystem) Glob(string) ([]string, error)        { return nil, errNotServed }
func (f *fileSystem) WriteFile(string, []byte) error       { return errNotServed }
func (f *fileSystem) Walk(string, filepath.WalkFunc) error { return errNotServed }
