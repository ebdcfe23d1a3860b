package target

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/tree"
)

// memory is files by path, as a revision has them. One whose content begins with
// "-> " is a link to another file.
type memory map[string]string

func (m memory) Look(name string, content bool) (tree.Fact, error) {
	fact := tree.Fact{Path: name, Real: name}
	if name == ".." || strings.HasPrefix(name, "../") || path.IsAbs(name) {
		return tree.Fact{Path: name, Kind: tree.Outside}, nil
	}
	if data, is := m[name]; is {
		if link, isLink := strings.CutPrefix(data, "-> "); isLink {
			fact.Real = path.Join(path.Dir(name), link)
			data = m[fact.Real]
		}
		fact.Kind, fact.ID = tree.File, fmt.Sprintf("%x", data)
		if content {
			fact.Has, fact.Data = true, []byte(data)
		}
		return fact, nil
	}
	for file := range m {
		if name == "." || strings.HasPrefix(file, name+"/") {
			fact.Kind = tree.Dir
			return fact, nil
		}
	}
	return tree.Fact{Path: name}, nil
}

func (m memory) List(name string) ([]tree.Name, error) {
	var names []tree.Name
	for file := range m {
		if below, is := strings.CutPrefix(file, name+"/"); is {
			first, _, deeper := strings.Cut(below, "/")
			kind := tree.File
			if deeper {
				kind = tree.Dir
			}
			if n := (tree.Name{Name: first, Kind: kind}); !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	slices.SortFunc(names, func(a, b tree.Name) int { return strings.Compare(a.Name, b.Name) })
	return names, nil
}

func reach(t *testing.T, files memory, directory string, renderer gitops.Renderer) (Reach, bool) {
	t.Helper()
	markers := map[MarkerKey]Marker{}
	for name, data := range files {
		fact, err := files.Look(name, false)
		if err != nil {
			t.Fatal(err)
		}
		markers[KeyOf(tree.Entry{Path: name, ID: fact.ID})] = DecodeMarker(name, []byte(data))
	}
	r, known, err := ReachOf(gitops.Target{Path: directory, Renderer: renderer}, files, markers)
	if err != nil {
		t.Fatal(err)
	}
	return r, known
}

func TestReach(t *testing.T) {
	t.Parallel()
	files := memory{
		"app/kustomization.yaml":    "resources: [../base, cm.yaml, soon.yaml]\nconfigMapGenerator:\n- name: a\n  files: [key=../shared/conf]\n  envs: [.env]\n",
		"app/cm.yaml":               "a: 1\n",
		"base/kustomization.yml":    "resources: [deep/a.yaml]\ncomponents: [../component]\n",
		"base/deep/a.yaml":          "a: 1\n",
		"component/Kustomization":   "patches: [{path: p.yaml}]\n",
		"component/p.yaml":          "a: 1\n",
		"shared/conf":               "x\n",
		"other/kustomization.yaml":  "resources: []\n",
		"plain/a.yaml":              "a: 1\n",
		"plain/sub/b.yaml":          "a: 1\n",
		"aliases/kustomization.yml": "x: [&f f.yaml, &k key=g.yaml]\nresources: [*f]\nfiles: *k\n",
	}
	for _, test := range []struct {
		directory string
		renderer  gitops.Renderer
		touched   []string
		untouched []string
	}{
		{
			directory: "app", renderer: gitops.Kustomize,
			touched: []string{
				"app/kustomization.yaml", "app/kustomization.yml", "app/Kustomization", "app/cm.yaml", "app/soon.yaml", "base/kustomization.yml", "base/Kustomization",
				"base/deep/a.yaml", "component/Kustomization", "component/p.yaml", "shared/conf", "app/.env", "app", "base", "base/deep", "shared",
			},
			untouched: []string{"app/README.md", "app/sub/x.yaml", "other/kustomization.yaml", "plain/a.yaml", "shared/other", "base/deep/b.yaml", ".davit.yaml"},
		},
		{
			directory: "plain", renderer: gitops.Plain,
			touched:   []string{"plain/a.yaml", "plain/new.yaml", "plain/README.md", "plain/kustomization.yaml", "plain"},
			untouched: []string{"plain/sub/b.yaml", "app/cm.yaml", "plain2"},
		},
		{directory: "aliases", renderer: gitops.Kustomize, touched: []string{"aliases/f.yaml", "aliases/g.yaml"}, untouched: []string{"aliases/h.yaml"}},
	} {
		r, known := reach(t, files, test.directory, test.renderer)
		if !known {
			t.Errorf("%s: its reach can't be told", test.directory)
		}
		for _, name := range test.touched {
			if !r.Touches(name) {
				t.Errorf("%s: a change of %s is missed", test.directory, name)
			}
		}
		for _, name := range test.untouched {
			if r.Touches(name) {
				t.Errorf("%s: %s has nothing to do with it", test.directory, name)
			}
		}
	}
}

func TestReachThatCantBeTold(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]memory{
		"plugins":                {"app/kustomization.yaml": "generators: [g.yaml]\n"},
		"plugins of a base":      {"app/kustomization.yaml": "resources: [../base]\n", "base/kustomization.yaml": "transformers: [t.yaml]\n"},
		"a broken kustomization": {"app/kustomization.yaml": "resources: [\n"},
		"a link":                 {"app/kustomization.yaml": "resources: [a.yaml]\n", "app/a.yaml": "-> ../b.yaml", "b.yaml": "a: 1\n"},
		"a linked kustomization": {"app/kustomization.yaml": "-> ../b.yaml", "b.yaml": "resources: []\n"},
	} {
		if _, known := reach(t, files, "app", gitops.Kustomize); known {
			t.Errorf("%s: the reach is told from names alone", name)
		}
	}
	climbs, known := reach(t, memory{"app/kustomization.yaml": "resources: [../../outside, ../app]\n"}, "app", gitops.Kustomize)
	if !known {
		t.Error("a path that leaves the repository makes the reach unknown")
	}
	var has []string
	for _, name := range []string{"app", "outside", "../outside", "app/kustomization.yaml"} {
		if climbs.Has(name) {
			has = append(has, name)
		}
	}
	if d := cmp.Diff([]string{"app", "app/kustomization.yaml"}, has); d != "" {
		t.Errorf("asked about (-want +got):\n%s", d)
	}
}
