package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkPreview measures a whole preview, from the command to its output, in
// processor time of davit and its workers, against what it replaces: kubectl
// kustomize of both sides of every target the change affects. Both are measured
// in the same run, so their ratio holds on a noisy machine too.
func BenchmarkPreview(b *testing.B) {
	for _, name := range []string{"shop", "fleet"} {
		b.Run(name, func(b *testing.B) {
			dir := sample(b, filepath.Join(root, "testdata", "samples", name+".txtar"))
			preview, _ := previewOf(b, "-C", dir, "--base", "main", "--head", "change")
			o := oracle{kubectl: playground(b), repository: dir, trees: b.TempDir()}
			before, after := o.checkout(b, "main"), o.checkout(b, "change")
			var ours, theirs time.Duration
			for b.Loop() {
				r := davit(b, "preview", "-C", dir, "--base", "main", "--head", "change", "-o", "json")
				ours += processor(r.state)
				for _, target := range preview.Targets {
					for _, tree := range []string{before, after} {
						place := filepath.Join(tree, target.Path)
						if _, err := os.Stat(place); err == nil {
							theirs += processor(execute(b, exec.Command(o.kubectl, "kubectl", "kustomize", "--load-restrictor", "LoadRestrictionsNone", place)).state)
						}
					}
				}
			}
			b.ReportMetric(float64(ours.Milliseconds())/float64(b.N), "davit-cpu-ms/op")
			b.ReportMetric(float64(theirs.Milliseconds())/float64(b.N), "kubectl-cpu-ms/op")
			b.ReportMetric(float64(ours)/float64(theirs), "x-of-kubectl")
		})
	}
}

// processor is the processor time of a program and of all it waited for.
func processor(state *os.ProcessState) time.Duration { return state.UserTime() + state.SystemTime() }
