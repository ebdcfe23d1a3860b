package main_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/cluster/clustertest"
	"github.com/davitops/davit/internal/fleet"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/rollout"
)

// many is a target of many Deployments without pods, at a version.
func many(namespace string, version int) string {
	const objects = 500
	var b strings.Builder
	for i := range objects {
		fmt.Fprintf(&b, `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-%d, namespace: %s, labels: {app: web-%[1]d}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web-%[1]d}}
  template:
    metadata: {labels: {app: web-%[1]d}}
    spec:
      containers:
      - {name: web, image: "registry.example/web:%[3]d", ports: [{containerPort: 8080}], env: [{name: A, value: b}]}
`, i, namespace, version)
	}
	return b.String()
}

// BenchmarkPlan measures a plan of 500 objects, all of which change, by the clock,
// against "kubectl diff --server-side" of the same objects on the same cluster.
func BenchmarkPlan(b *testing.B) {
	p := startClusters(b)
	p.Kubectl(b, "", "create", "namespace", "bench-plan")
	p.Kubectl(b, many("bench-plan", 1), "apply", "--server-side", "--field-manager=davit", "--validate=false", "-f", "-")
	dir := repositoryOf(b, &txtar.Archive{Files: []txtar.File{
		{Name: "base/apps/web/web.yaml", Data: []byte(many("bench-plan", 1))},
		{Name: "head/apps/web/web.yaml", Data: []byte(many("bench-plan", 2))},
	}})
	file := filepath.Join(b.TempDir(), "objects.yaml")
	if err := os.WriteFile(file, []byte(many("bench-plan", 2)), 0o644); err != nil {
		b.Fatal(err)
	}
	var ours, theirs time.Duration
	for b.Loop() {
		began := time.Now()
		r := davitWith(b, []string{"XDG_STATE_HOME=" + b.TempDir()}, "plan", "-C", dir, "--base", "main", "--kubeconfig", p.Kubeconfig, "-o", "json")
		ours += time.Since(began)
		if count := strings.Count(r.stdout, `"class": "adopt"`); count != 500 {
			b.Fatalf("%d objects are planned: %s", count, r.stderr)
		}
		began = time.Now()
		cmd := exec.CommandContext(b.Context(), p.Program, "kubectl", "--kubeconfig", p.Kubeconfig, "diff", "--server-side", "--field-manager=davit", "-f", file)
		out, err := cmd.Output()
		theirs += time.Since(began)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || len(out) == 0 {
			b.Fatalf("kubectl diff: %v", err)
		}
	}
	reportRatio(b, ours, theirs)
}

// BenchmarkApply measures an apply of 500 objects, all of which change, its own
// plan and its waiting included, by the clock, against "kubectl apply --server-side".
func BenchmarkApply(b *testing.B) {
	p := startClusters(b)
	for _, namespace := range []string{"bench-apply", "bench-kubectl"} {
		p.Kubectl(b, "", "create", "namespace", namespace)
	}
	f := fleet.Alone(cluster.Options{Name: "cluster-1", Kubeconfig: p.Kubeconfig}, gitops.Repo{Forge: "test", Path: "bench"}, []byte("key"))
	version := 0
	var ours, theirs time.Duration
	for b.Loop() {
		version++
		ours += deployMany(b, f, clustertest.Objects(b, many("bench-apply", version)))
		text := many("bench-kubectl", version)
		began := time.Now()
		p.Kubectl(b, text, "apply", "--server-side", "--validate=false", "-f", "-")
		theirs += time.Since(began)
	}
	reportRatio(b, ours, theirs)
}

// deployMany returns how long an apply takes of what a plan has shown before.
func deployMany(b *testing.B, f *fleet.Fleet, objects []manifest.Object) time.Duration {
	b.Helper()
	target := gitops.Target{Path: "many"}
	shown, err := f.Plan(b.Context(), target, objects, false)
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	f.Holder = "the benchmark"
	result, err := f.Apply(b.Context(), rollout.Order{Target: target, Objects: objects, Revision: "HEAD", Shown: shown.Effects()}, forget)
	if err != nil || result.Ending != rollout.Done {
		b.Fatalf("%s: %s, %v", result.Ending, result.Why, err)
	}
	return time.Since(began)
}

func reportRatio(b *testing.B, ours, theirs time.Duration) {
	b.Helper()
	b.ReportMetric(float64(ours.Milliseconds())/float64(b.N), "davit-ms/op")
	b.ReportMetric(float64(theirs.Milliseconds())/float64(b.N), "kubectl-ms/op")
	b.ReportMetric(float64(ours)/float64(theirs), "x-of-kubectl")
}
