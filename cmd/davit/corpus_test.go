//go:build e2e

package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	davitgit "github.com/davitops/davit/internal/git"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/render"
	"github.com/davitops/davit/internal/target"
	"github.com/davitops/davit/internal/worker"
)

// corpus are the real histories that are present, as git bundles.
func corpus(t *testing.T) []string {
	t.Helper()
	place := os.Getenv("DAVIT_CORPUS")
	if place == "" {
		place = filepath.Join(root, "..", "shared", "corpus")
	}
	bundles, err := filepath.Glob(filepath.Join(place, "*.bundle"))
	if err != nil {
		t.Fatal(err)
	}
	if len(bundles) == 0 {
		t.Skipf("no histories in %s (DAVIT_CORPUS names another place); the samples are compared all the same", place)
	}
	return bundles
}

// TestCorpus does what TestExact does on real histories, where a copy of them is
// present: 30 changes of each, spread evenly.
func TestCorpus(t *testing.T) {
	for _, bundle := range corpus(t) {
		t.Run(strings.TrimSuffix(filepath.Base(bundle), ".bundle"), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "repository")
			git(t, ".", "clone", "--quiet", "--branch", "main", bundle, dir)
			commits := strings.Fields(git(t, dir, "rev-list", "--first-parent", "--no-merges", "HEAD"))
			commits = commits[:len(commits)-1] // the first has nothing to be compared with
			const changes = 30
			oracle := newOracle(t, dir)
			objects := 0
			for i := range changes {
				head := commits[i*(len(commits)-1)/(changes-1)]
				differed, _ := oracle.check(t, head+"^", head)
				objects += differed
			}
			t.Logf("%d changes, %d objects that differ, all as kubectl has them", changes, objects)
			if objects == 0 {
				t.Error("nothing differed in any change; the comparison compares nothing")
			}
		})
	}
}

// TestReach checks, on real histories, that nothing is passed over which a render
// reads: all that every target asks about is in the reach found from names alone.
func TestReach(t *testing.T) {
	for _, bundle := range corpus(t) {
		t.Run(strings.TrimSuffix(filepath.Base(bundle), ".bundle"), func(t *testing.T) {
			dir, repository, renderer := history(t, bundle)
			commits := strings.Fields(git(t, dir, "rev-list", "--first-parent", "HEAD"))
			checked := 0
			for i := 0; i < len(commits); i += 50 {
				checked += checkReach(t, repository, renderer, commits[i])
			}
			if t.Logf("%d questions, all within reach", checked); checked == 0 {
				t.Error("nothing was checked")
			}
		})
	}
}

// history clones a bundle, and gives what renders it.
func history(t *testing.T, bundle string) (string, *davitgit.Repository, render.Client) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repository")
	git(t, ".", "clone", "--quiet", "--branch", "main", bundle, dir)
	repository, err := davitgit.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = repository.Close() })
	pool, err := worker.NewPool(worker.Options{Command: []string{program, "render-worker"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	return dir, repository, render.Client{Runner: pool, Domain: "test"}
}

// discovered are the targets of a commit, and what they were found by.
func discovered(t *testing.T, repository *davitgit.Repository, commit string) (*davitgit.Tree, map[target.MarkerKey]target.Marker, []gitops.Target) {
	t.Helper()
	files, err := repository.Tree(t.Context(), commit)
	if err != nil {
		t.Fatal(err)
	}
	markers := map[target.MarkerKey]target.Marker{}
	for _, e := range target.Markers(files.Entries()) {
		data, err := repository.Read(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		markers[target.KeyOf(e)] = target.DecodeMarker(e.Path, data)
	}
	return files, markers, target.Discover(files.Entries(), markers, target.Config{}).Targets
}

func checkReach(t *testing.T, repository *davitgit.Repository, renderer render.Client, commit string) int {
	t.Helper()
	files, markers, targets := discovered(t, repository, commit)
	checked := 0
	for _, found := range targets {
		reach, known, err := target.ReachOf(found, files, markers)
		if err != nil || !known {
			t.Logf("%s: %s: the reach is not known from names: %v", commit[:7], found.Path, err)
			continue
		}
		_, record, err := renderer.Render(t.Context(), files, found, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, asked := range record.Paths() {
			if checked++; !reach.Has(asked) {
				t.Errorf("%s: %s asks about %s, which is out of its reach", commit[:7], found.Path, asked)
			}
		}
	}
	return checked
}
