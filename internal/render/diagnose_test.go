package render

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/tree"
)

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"

// cases reads a txtar of several trees: the first segment of a path is the name
// of its tree.
func cases(t *testing.T, file string) map[string]memory {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	trees := map[string]memory{}
	for _, f := range archive.Files {
		name, file, _ := strings.Cut(f.Name, "/")
		if trees[name] == nil {
			trees[name] = memory{}
		}
		data := string(f.Data)
		if strings.HasPrefix(data, "-> ") {
			data = strings.TrimSpace(data)
		}
		trees[name][file] = data
	}
	return trees
}

// TestDiagnose breaks kustomizations, each in one way, and compares what Davit
// says with testdata/diagnose.want; UPDATE=1 writes it anew. The target is app.
func TestDiagnose(t *testing.T) {
	t.Parallel()
	broken := cases(t, "testdata/diagnose.txtar")
	var got strings.Builder
	for _, name := range slices.Sorted(maps.Keys(broken)) {
		_, err := kustomize(broken[name], "app")
		var problem *manifest.Problem
		if !errors.As(err, &problem) {
			t.Errorf("%s: rendered, or no problem: %v", name, err)
			continue
		}
		fmt.Fprintf(&got, "%s\n%s", name, show(problem))
	}
	compareGolden(t, "testdata/diagnose.want", got.String())
}

// show prints a problem; its message only if it is one of this package.
func show(p *manifest.Problem) string {
	switch p.Code {
	case manifest.Encoding, manifest.Syntax, manifest.DuplicateKey, manifest.Expansion, manifest.Depth:
		return fmt.Sprintf("  %s %s:%d\n", p.Code, p.File, p.Line)
	}
	return fmt.Sprintf("  %s %v\n", p.Code, p)
}

func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

// TestDiagnoseNothing diagnoses what kustomize accepts: there is nothing to find.
func TestDiagnoseNothing(t *testing.T) {
	t.Parallel()
	for name, files := range cases(t, "testdata/accepted.txtar") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkHealthy(t, files, "app")
		})
	}
	accepted := 0
	for sample, files := range samples(t) {
		for file := range files {
			directory := filepath.Dir(file)
			if filepath.Base(file) != "kustomization.yaml" || rawError(files, directory) != nil {
				continue
			}
			accepted++
			t.Run(sample+"/"+directory, func(t *testing.T) {
				t.Parallel()
				checkHealthy(t, files, directory)
			})
		}
	}
	if accepted < 20 {
		t.Errorf("kustomize accepts only %d directories of the samples", accepted)
	}
}

func checkHealthy(t *testing.T, files memory, directory string) {
	t.Helper()
	source := &fileSystem{files: files, read: map[string][]byte{}}
	if _, err := build(source, directory); err != nil {
		t.Fatalf("kustomize does not accept it: %v", err)
	}
	d := diagnosis{source: source, building: map[string]bool{}, done: map[string]bool{}}
	if problem := d.directory(directory, nil); problem != nil {
		t.Errorf("diagnosed as %s: %v", problem.Code, problem)
	}
}

// rawError is what kustomize itself says.
func rawError(files memory, directory string) error {
	_, err := build(&fileSystem{files: files, read: map[string][]byte{}}, directory)
	return err
}

// samples are the two sides of each sample repository.
func samples(t *testing.T) map[string]memory {
	t.Helper()
	found, err := filepath.Glob("../../testdata/samples/*.txtar")
	if err != nil || len(found) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	all := map[string]memory{}
	for _, file := range found {
		sides := cases(t, file)
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		for _, side := range sides {
			for path, content := range side {
				if link, is := strings.CutPrefix(content, "link: "); is {
					side[path] = "-> " + strings.TrimSpace(link)
				} else if strings.TrimSpace(content) == deleted {
					side[path] = deleted
				}
			}
		}
		all[name+"-base"] = sides["base"]
		all[name+"-head"] = sides["base"].with(sides["head"])
	}
	return all
}

// brokenTree has no answer for one path.
type brokenTree struct {
	memory
	at string
}

var errBroken = errors.New("the store is gone")

func (b brokenTree) Look(name string, content bool) (tree.Fact, error) {
	if name == b.at {
		return tree.Fact{}, errBroken
	}
	return b.memory.Look(name, content)
}

// TestBrokenTree shows that a tree which can't be read is never told as a fault of
// what it holds.
func TestBrokenTree(t *testing.T) {
	t.Parallel()
	files := memory{
		"app/kustomization.yaml": "resources: [a.yaml, ../base]\ncomponents: [../more]\n", "app/a.yaml": "kind: Nonsense\n",
		"base/kustomization.yaml": "resources: [b.yaml]\n", "base/b.yaml": configMap,
		"more/kustomization.yaml": "kind: Component\n",
	}
	for _, at := range []string{"app", "app/kustomization.yaml", "app/kustomization.yml", "app/a.yaml"} {
		_, err := kustomize(brokenTree{files, at}, "app")
		var problem *manifest.Problem
		if !errors.Is(err, errBroken) || errors.As(err, &problem) {
			t.Errorf("without %s: %v", at, err)
		}
	}
	if _, err := plain(brokenTree{memory{"app/a.yaml": configMap}, "app/a.yaml"}, "app"); !errors.Is(err, errBroken) {
		t.Errorf("plain: %v", err)
	}
}
