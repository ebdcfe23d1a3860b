package target

import (
	"fmt"
	"path"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/tree"
)

// Reach is every path that rendering a directory could ask about, found without
// rendering it. It errs on the side of more: each string of a kustomization that
// could be a path counts as one. So a change that touches nothing of it changes
// nothing of the render; a change that does may or may not.
type Reach struct {
	paths map[string]bool // asked about, whether or not they exist
	above map[string]bool // the directories those paths lie in
	lists map[string]bool // directories whose names are asked for
}

// Touches reports whether the render could notice that the entry at a path came,
// went or changed.
func (r Reach) Touches(changed string) bool {
	return r.paths[changed] || r.above[changed] || r.lists[path.Dir(changed)]
}

// Has reports whether the render may ask about a path.
func (r Reach) Has(name string) bool {
	return r.paths[name] || r.above[name] || r.lists[name]
}

// ReachOf returns a directory's reach in files, whose markers are given. It
// reports false where the reach can't be told from names alone: links, plugins
// with files of their own, and kustomizations that can't be read.
func ReachOf(t gitops.Target, files tree.Files, markers map[MarkerKey]Marker) (Reach, bool, error) {
	w := walk{
		files: files, markers: markers, seen: map[string]bool{},
		reach: Reach{paths: map[string]bool{}, above: map[string]bool{}, lists: map[string]bool{}}, known: true,
	}
	err := w.kustomization(t.Path)
	if t.Renderer == gitops.Plain {
		err = w.plain(t.Path)
	}
	return w.reach, w.known && err == nil, err
}

type walk struct {
	files   tree.Files
	markers map[MarkerKey]Marker
	seen    map[string]bool // directories walked
	reach   Reach
	known   bool
}

// look adds a path to the reach and says what is there.
func (w *walk) look(name string) (tree.Fact, error) {
	w.reach.paths[name] = true
	for up := path.Dir(name); !w.reach.above[up]; up = path.Dir(up) {
		w.reach.above[up] = true
	}
	fact, err := w.files.Look(name, false)
	if err != nil {
		return fact, fmt.Errorf("find what %s reads: %w", name, err)
	}
	if fact.Kind == tree.Outside || fact.Real != "" && fact.Real != name {
		w.known = false
	}
	return fact, nil
}

func (w *walk) plain(directory string) error {
	names, err := w.files.List(directory)
	if err != nil {
		return fmt.Errorf("find what %s reads: %w", directory, err)
	}
	for _, n := range names {
		if _, err := w.look(path.Join(directory, n.Name)); err != nil {
			return err
		}
	}
	w.reach.lists[directory] = true
	return nil
}

func (w *walk) kustomization(directory string) error {
	if w.seen[directory] {
		return nil
	}
	w.seen[directory] = true
	for _, file := range Kustomizations(directory) {
		fact, err := w.look(file)
		if err != nil {
			return err
		}
		if fact.Kind != tree.File {
			continue
		}
		marker, decoded := w.markers[MarkerKey{id: fact.ID, kustomization: true}]
		if !decoded || !marker.read || marker.plugins {
			w.known = false
			return nil
		}
		for _, mention := range marker.mentions {
			if name, inside := within(directory, mention); inside {
				if err := w.mention(name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (w *walk) mention(name string) error {
	fact, err := w.look(name)
	if err != nil || fact.Kind == tree.File {
		return err
	}
	return w.kustomization(name)
}
