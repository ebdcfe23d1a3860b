//go:build e2e

package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCorpus does what TestExact does on real histories, where a copy of them is
// present: 30 changes of each, spread evenly.
func TestCorpus(t *testing.T) {
	corpus := os.Getenv("DAVIT_CORPUS")
	if corpus == "" {
		corpus = filepath.Join(root, "..", "shared", "corpus")
	}
	bundles, err := filepath.Glob(filepath.Join(corpus, "*.bundle"))
	if err != nil {
		t.Fatal(err)
	}
	if len(bundles) == 0 {
		t.Skipf("no histories in %s (DAVIT_CORPUS names another place); the samples are compared all the same", corpus)
	}
	for _, bundle := range bundles {
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
				objects += oracle.check(t, head+"^", head)
			}
			t.Logf("%d changes, %d objects that differ, all as kubectl has them", changes, objects)
			if objects == 0 {
				t.Error("nothing differed in any change; the comparison compares nothing")
			}
		})
	}
}
