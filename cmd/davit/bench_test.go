package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
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

// BenchmarkMonorepo measures what a change of one application costs in a
// repository of 1,200 targets, against a change of all of them.
func BenchmarkMonorepo(b *testing.B) {
	dir := monorepo(b, 400)
	var one, all time.Duration
	for b.Loop() {
		one += processor(davit(b, "preview", "-C", dir, "--base", "main", "--head", "one", "-o", "json").state)
		all += processor(davit(b, "preview", "-C", dir, "--base", "main", "--head", "all", "-o", "json").state)
	}
	b.ReportMetric(float64(one.Milliseconds())/float64(b.N), "one-cpu-ms/op")
	b.ReportMetric(float64(all.Milliseconds())/float64(b.N), "all-cpu-ms/op")
	b.ReportMetric(float64(one)/float64(all), "x-of-all")
}

// monorepo makes a repository of applications with three overlays each. The branch
// one changes the first application, the branch all changes every one.
func monorepo(b *testing.B, applications int) string {
	archive := &txtar.Archive{}
	add := func(name, content string) {
		archive.Files = append(archive.Files, txtar.File{Name: name, Data: []byte(content)})
	}
	deployment := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: web, image: 'web:%d'}]}}}\n"
	for i := range applications {
		app := fmt.Sprintf("apps/a%d/", i)
		add("base/"+app+"base/kustomization.yaml", "resources: [deployment.yaml]\n")
		add("base/"+app+"base/deployment.yaml", fmt.Sprintf(deployment, 1))
		add("head/"+app+"base/deployment.yaml", fmt.Sprintf(deployment, 2))
		for _, environment := range []string{"dev", "staging", "production"} {
			add("base/"+app+"overlays/"+environment+"/kustomization.yaml", "namespace: "+environment+"\nresources: [../../base]\n")
		}
	}
	dir := repositoryOf(b, archive)
	git(b, dir, "branch", "--move", "all")
	git(b, dir, "checkout", "--quiet", "-b", "one", "main")
	git(b, dir, "checkout", "--quiet", "all", "--", "apps/a0")
	git(b, dir, "commit", "--quiet", "-m", "one")
	return dir
}

// processor is the processor time of a program and of all it waited for.
func processor(state *os.ProcessState) time.Duration { return state.UserTime() + state.SystemTime() }
