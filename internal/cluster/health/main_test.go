package health_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/cluster/clustertest"
	"github.com/davitops/davit/internal/cluster/health"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/verdict"
)

var playground clustertest.Playground

func TestMain(m *testing.M) { os.Exit(clustertest.Main(m, &playground, 1)) }

func connect(t testing.TB, as string) *cluster.Connection {
	t.Helper()
	c, err := cluster.Connect(cluster.Options{Name: "cluster-1", Kubeconfig: playground.Kubeconfig, Context: "cluster-1", As: as})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// namespace makes a namespace of the test's own, with some labels.
func namespace(t testing.TB, labels ...string) string {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	playground.Kubectl(t, "", "create", "namespace", name)
	if len(labels) > 0 {
		playground.Kubectl(t, "", append([]string{"label", "namespace", name}, labels...)...)
	}
	return name
}

// deploy applies one object, and returns what it is called.
func deploy(t testing.TB, namespace, object string) gitops.ObjectRef {
	t.Helper()
	playground.Kubectl(t, object, "apply", "--namespace", namespace, "--filename=-")
	ref := clustertest.Objects(t, object)[0].Ref
	ref.Namespace = namespace
	return ref
}

// await looks at a workload until it is as it should be.
func await(t testing.TB, c *cluster.Connection, ref gitops.ObjectRef, is func(verdict.Workload) bool) verdict.Workload {
	t.Helper()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	limit := time.After(time.Minute)
	for {
		found, err := health.Look(t.Context(), c, []gitops.ObjectRef{ref})
		if err != nil || len(found) != 1 {
			t.Fatalf("it is %+v, %v", found, err)
		}
		if is(found[0]) {
			return found[0]
		}
		select {
		case <-ticker.C:
		case <-limit:
			t.Fatalf("it stays %+v", found[0])
		}
	}
}

// web is a deployment with an image of this tag.
func web(tag string) string {
	return `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "registry.example/web:` + tag + `"}]}
`
}

// of changes what web is.
func of(kind, object string) string {
	replace := []string{"kind: Deployment", "kind: " + kind}
	switch kind {
	case "StatefulSet":
		replace = append(replace, "  replicas: 2", "  replicas: 2\n  serviceName: web")
	case "DaemonSet":
		replace = append(replace, "  replicas: 2\n", "")
	case "Job":
		replace = append(replace, "apps/v1", "batch/v1", "  replicas: 2\n  selector: {matchLabels: {app: web}}\n", "  backoffLimit: 0\n", "spec: {containers", "spec: {restartPolicy: Never, containers")
	case "Pod":
		return strings.NewReplacer("apps/v1", "v1", "kind: Deployment", "kind: Pod").Replace(object[:strings.Index(object, "spec:")]) + object[strings.LastIndex(object, "spec:"):]
	}
	return strings.NewReplacer(replace...).Replace(object)
}
