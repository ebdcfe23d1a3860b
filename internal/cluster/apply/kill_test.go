package apply_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/cluster/apply"
)

// childEnv makes the test program apply one job, and kill itself at a step.
const childEnv = "DAVIT_TEST_APPLY"

// order is what a child is told to do.
type order struct {
	Kubeconfig string
	Job        apply.Job
	KillAt     int64 // the note at which the child dies; 0 means never
}

// deadly is a journal whose process dies at one of its notes.
type deadly struct {
	killAt int64
	notes  atomic.Int64
}

func (d *deadly) Note(context.Context, apply.Step) error {
	if d.notes.Add(1) == d.killAt {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return nil
}

func child() int {
	var o order
	if err := json.Unmarshal([]byte(os.Getenv(childEnv)), &o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	c, err := cluster.Connect(cluster.Options{Name: "cluster-1", Kubeconfig: o.Kubeconfig, Context: "cluster-1"})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	j := &deadly{killAt: o.KillAt}
	result, err := apply.Applier{Cluster: c, Journal: j, Holder: "the child"}.Run(context.Background(), o.Job)
	if err != nil || result.State != apply.Done {
		fmt.Fprintln(os.Stderr, result.State, err, result.Outcomes)
		return 1
	}
	fmt.Print(j.notes.Load())
	return 0
}

// run applies a job in a process of its own. It returns how many notes the journal
// got, or -1 if the process was killed.
func (o order) run(t *testing.T) int64 {
	t.Helper()
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(data))
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err = cmd.Run()
	if status, is := cmd.ProcessState.Sys().(syscall.WaitStatus); is && status.Signal() == syscall.SIGKILL && o.KillAt > 0 {
		return -1
	}
	var notes int64
	if _, scanned := fmt.Sscan(out.String(), &notes); err != nil || scanned != nil {
		t.Fatalf("the process that applies ended with %v: %s", err, said.String())
	}
	return notes
}

// earlier and later are two versions of a target, between which an object changes,
// one comes and one goes.
const earlier = `
apiVersion: v1
kind: Namespace
metadata: {name: NAME}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: changes, namespace: NAME}
data: {a: "1", b: "1"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: goes, namespace: NAME}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NAME}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "registry.example/web:1"}]}
`

var later = strings.NewReplacer(`{a: "1", b: "1"}`, `{a: "2"}`, "name: goes", "name: comes", "web:1", "web:2").Replace(earlier)

// TestKilled kills an apply before and after each thing it does, runs it again, and
// compares with an apply that nobody disturbed.
func TestKilled(t *testing.T) {
	t.Parallel()
	notes, want := killedAt(t, 0)
	t.Logf("an apply has %d steps to be killed at", notes)
	if notes < 14 {
		t.Errorf("only %d steps; the journal misses some", notes)
	}
	for n := range notes {
		t.Run(fmt.Sprint(n+1), func(t *testing.T) {
			t.Parallel()
			_, got := killedAt(t, n+1)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("killed at step %d and run again, the cluster is another (-undisturbed +killed):\n%s", n+1, diff)
			}
		})
	}
}

// killedAt deploys the first version, then the second, killed at a step and run
// again. It returns how many notes the undisturbed second one makes, and what the
// cluster holds in the end.
func killedAt(t *testing.T, n int64) (notes int64, state string) {
	t.Helper()
	name := fmt.Sprintf("killed-%d", n)
	if result := applyOf(t, name, strings.ReplaceAll(earlier, "NAME", name)); result.State != apply.Done {
		t.Fatalf("the first version ended %s: %+v", result.State, result.Outcomes)
	}
	objects := strings.ReplaceAll(later, "NAME", name)
	c := connect(t, "")
	o := order{Kubeconfig: playground.Kubeconfig, KillAt: n, Job: jobOf(t, name, objects, planOf(t, c, name, objects))}
	if notes = o.run(t); n > 0 {
		if notes != -1 {
			t.Fatalf("the process was not killed at step %d", n)
		}
		o.KillAt = 0
		o.run(t)
	}
	record, err := c.Inventory(t.Context(), owner(name))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "holder %q, settled %v\n", record.Holder, record.Settled)
	for _, e := range record.Entries() {
		fmt.Fprintln(&b, "inventory", e.Ref, e.UID != "")
	}
	b.WriteString(playground.Kubectl(t, "", "get", "configmaps,deployments", "-n", name, "-o",
		`go-template={{range .items}}{{.kind}} {{.metadata.name}} {{.data}} {{with .spec}}{{(index .template.spec.containers 0).image}}{{end}}{{"\n"}}{{end}}`))
	return notes, strings.ReplaceAll(b.String(), name, "NAME")
}
