package render

import (
	"github.com/davitops/davit/internal/tree"
	"github.com/davitops/davit/internal/worker"
)

type toTree struct{ worker.Files }

func (t toTree) Look(p string, c bool) (tree.Fact, error) {
	f, err := t.Files.Look(p, c)
	return tree.Fact{Path: f.Path, Kind: tree.Kind(f.Kind), Real: f.Real, Has: f.Has, Data: f.Data}, err
}
func (t toTree) List(p string) ([]tree.Name, error) {
	l, err := t.Files.List(p)
	var out []tree.Name
	for _, e := range l {
		out = append(out, tree.Name{Name: e.Name, Kind: tree.Kind(e.Kind)})
	}
	return out, err
}

type toWorker struct{ tree.Files }

func (t toWorker) Look(p string, c bool) (worker.Fact, error) {
	f, err := t.Files.Look(p, c)
	return worker.Fact{Path: f.Path, Kind: worker.Kind(f.Kind), Real: f.Real, Has: f.Has, Data: f.Data}, err
}
func (t toWorker) List(p string) ([]worker.Entry, error) {
	l, err := t.Files.List(p)
	var out []worker.Entry
	for _, e := range l {
		out = append(out, worker.Entry{Name: e.Name, Kind: worker.Kind(e.Kind)})
	}
	return out, err
}
func uses(u []worker.Use) []tree.Use {
	var out []tree.Use
	for _, x := range u {
		out = append(out, tree.Use{Path: x.Path, Listed: x.Listed})
	}
	return out
}
