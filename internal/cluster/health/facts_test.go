package health

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/davitops/davit/internal/verdict"
)

// object reads an object as an API server writes it.
func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(data); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

func objects(t *testing.T, texts ...string) []unstructured.Unstructured {
	t.Helper()
	var list []unstructured.Unstructured
	for _, text := range texts {
		list = append(list, *object(t, text))
	}
	return list
}

// TestStateOf holds the exceptions from kstatus, and one or two of its rules.
func TestStateOf(t *testing.T) {
	t.Parallel()
	const (
		deployment = "{apiVersion: apps/v1, kind: Deployment, metadata: {generation: 2}, spec: {replicas: 1, progressDeadlineSeconds: 600%s}, status: {observedGeneration: 2%s}}"
		job        = "{apiVersion: batch/v1, kind: Job, metadata: {generation: 1}, spec: {%s}, status: {startTime: '2026-01-01T00:00:00Z', active: 1%s}}"
		pod        = "{apiVersion: v1, kind: Pod, metadata: {creationTimestamp: '2026-01-01T00:00:00Z'}, status: {phase: %s%s}}"
		claim      = "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {}, spec: {}, status: {phase: %s%s}}"
		replicaSet = "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {}, spec: {replicas: 1%s}, status: {%s}}"
		quota      = `{type: ReplicaFailure, status: 'True', reason: FailedCreate, message: 'pods "web-x" is forbidden: exceeded quota'}`
		ready      = ", replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1, conditions: [{type: Available, status: 'True'}, {type: Progressing, status: 'True', reason: NewReplicaSetAvailable}]"
		looping    = ", containerStatuses: [{name: a, restartCount: 1, state: {waiting: {reason: CrashLoopBackOff}}}]"
	)
	for _, row := range []struct {
		name, kind, spec, status string
		want                     verdict.State
		saying                   string
	}{
		{"deployment", deployment, "", ready, verdict.Current, "available"},
		{"deployment that rolls out", deployment, "", ", replicas: 1", verdict.InProgress, "Updated: 0/1"},
		{"deployment that is paused", deployment, ", paused: true", "", verdict.Current, "paused"},
		{"deployment without progress", deployment, "", ", conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded}]", verdict.Failing, "Progress deadline exceeded"},
		{"deployment without quota", deployment, "", ", conditions: [" + quota + "]", verdict.InProgress, `Replicas: 0/1: pods "web-x" is forbidden: exceeded quota`},
		{
			"deployment without quota for long", deployment, "", ", conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded}, " + quota + "]",
			verdict.Failing, `exceeded: pods "web-x" is forbidden`,
		},
		{"replica set without quota", replicaSet, "", "conditions: [" + quota + "]", verdict.InProgress, "exceeded quota"},
		{"job that runs", job, "", "", verdict.InProgress, "runs"},
		{"job that is suspended", job, "suspend: true", "", verdict.Current, "suspended"},
		{"job that is done", job, "", ", succeeded: 1, conditions: [{type: Complete, status: 'True'}]", verdict.Current, "Completed"},
		{"job that has failed", job, "", ", failed: 1, conditions: [{type: Failed, status: 'True'}]", verdict.Failing, "Failed"},
		{"job that has not failed", job, "", ", conditions: [{type: Failed, status: 'False'}]", verdict.InProgress, "runs"},
		{"pod that has failed", pod, "Failed", ", message: 'The node was low on resource: memory.'", verdict.Failing, "low on resource"},
		{"pod that crashed once", pod, "Running", looping, verdict.InProgress, "CrashLoop"},
		{"pod that no node takes", pod, "Pending", ", conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable}]", verdict.InProgress, "scheduled"},
		{"pod that is ready", pod, "Running", ", conditions: [{type: Ready, status: 'True'}]", verdict.Current, "Ready"},
		{"claim that nobody uses", claim, "Pending", "", verdict.Current, "not bound yet"},
		{"claim that lost its volume", claim, "Lost", "", verdict.InProgress, "Lost"},
		{"anything", "{apiVersion: acme.example/v1, kind: Sail, metadata: {}%s%s}", "", "", verdict.Current, ""},
		{"anything that is not ready", "{apiVersion: acme.example/v1, kind: Sail, metadata: {}%s, status: {%s}}", "", "conditions: [{type: Ready, status: 'False', message: no wind}]", verdict.InProgress, "no wind"},
	} {
		t.Run(strings.ReplaceAll(row.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			if state, message := StateOf(object(t, fmt.Sprintf(row.kind, row.spec, row.status))); state != row.want || !strings.Contains(message, row.saying) {
				t.Errorf("it is %s: %s", state, message)
			}
		})
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]int{
		"{apiVersion: apps/v1, kind: Deployment, spec: {}}":                                                                               {1, 0},
		"{apiVersion: apps/v1, kind: StatefulSet, spec: {replicas: 3}, status: {readyReplicas: 2}}":                                       {3, 2},
		"{apiVersion: apps/v1, kind: ReplicaSet, spec: {replicas: 0}, status: {replicas: 0}}":                                             {0, 0},
		"{apiVersion: apps/v1, kind: DaemonSet, status: {desiredNumberScheduled: 4, numberReady: 3}}":                                     {4, 3},
		"{apiVersion: batch/v1, kind: Job, spec: {parallelism: 2, completions: 5}, status: {succeeded: 1, ready: 2}}":                     {2, 2},
		"{apiVersion: batch/v1, kind: Job, spec: {parallelism: 2, completions: 5}, status: {succeeded: 4, ready: 1}}":                     {1, 1},
		"{apiVersion: batch/v1, kind: Job, spec: {parallelism: 3}, status: {succeeded: 1, ready: 2}}":                                     {2, 2},
		"{apiVersion: batch/v1, kind: Job, spec: {parallelism: 1, suspend: true}}":                                                        {0, 0},
		"{apiVersion: batch/v1, kind: Job, spec: {parallelism: 1}, status: {failed: 1, conditions: [{type: Failed, status: 'True'}]}}":    {0, 0},
		"{apiVersion: v1, kind: Pod, status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}}":                              {1, 1},
		"{apiVersion: v1, kind: Pod, status: {phase: Succeeded, conditions: [{type: Ready, status: 'False', reason: PodCompleted}]}}":     {1, 1},
		"{apiVersion: v1, kind: Pod, status: {phase: Running, conditions: [{type: Ready, status: 'False', reason: ContainersNotReady}]}}": {1, 0},
	} {
		if wanted, ready := counts(object(t, text)); [2]int{wanted, ready} != want {
			t.Errorf("%s: %d of %d are ready", text, ready, wanted)
		}
	}
}

const (
	ownedBy = "ownerReferences: [{apiVersion: apps/v1, kind: %s, name: web, uid: %s, controller: %t}]"
	selects = "selector: {matchLabels: {app: web}}"
)

// owned are the owner references of what a workload controls, or only knows.
func owned(kind, uid string, controls bool) string { return fmt.Sprintf(ownedBy, kind, uid, controls) }

// TestNewestOf finds the newest revision among what is left of others.
func TestNewestOf(t *testing.T) {
	t.Parallel()
	deployment := func(generation int, annotations string) string {
		return fmt.Sprintf("{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, uid: d, generation: %d, annotations: {%s}}, spec: {%s}, status: {observedGeneration: 2}}", generation, annotations, selects)
	}
	replicaSet := func(uid, number, owner string) string {
		return fmt.Sprintf("{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-%s, uid: %s, labels: {app: web, pod-template-hash: h%s}, annotations: {deployment.kubernetes.io/revision: %q}, %s}}",
			uid, uid, uid, number, owner)
	}
	controllerRevision := func(hash string, number int, owner string) string {
		return fmt.Sprintf("{apiVersion: apps/v1, kind: ControllerRevision, metadata: {name: web-%s, labels: {app: web, controller-revision-hash: %s}, %s}, revision: %d}", hash, hash, owner, number)
	}
	daemonSet := "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: web, uid: d, generation: 3, annotations: {deprecated.daemonset.template.generation: '3'}}, status: {observedGeneration: %d}}"
	ours, others, orphaned := owned("Deployment", "d", true), owned("Deployment", "e", true), owned("Deployment", "d", false)
	second := "deployment.kubernetes.io/revision: '2'"
	sets := []string{replicaSet("a", "1", ours), replicaSet("b", "2", others), replicaSet("c", "2", orphaned), replicaSet("e", "2", ours), replicaSet("f", "10", others)}
	for _, row := range []struct {
		name, workload string
		revisions      []string
		want           *revision
	}{
		{"deployment", deployment(2, second), sets, &revision{owner: "e", by: map[string]string{"pod-template-hash": "he"}}},
		{"deployment whose controller is behind", deployment(3, second), sets, nil},
		{"deployment that nothing was made of yet", deployment(2, ""), sets, nil},
		{"deployment whose set is gone", deployment(2, second), sets[:3], nil},
		{
			"set without a number", deployment(2, ""),
			[]string{"{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-a, uid: a, " + ours + "}}"}, nil,
		},
		{"daemon set", fmt.Sprintf(daemonSet, 3), []string{ // which was changed, and changed back
			controllerRevision("old", 3, owned("DaemonSet", "d", true)), controllerRevision("new", 2, owned("DaemonSet", "d", true)), controllerRevision("other", 10, owned("DaemonSet", "e", true)),
		}, &revision{owner: "d", by: map[string]string{"controller-revision-hash": "old"}}},
		{"daemon set whose controller is behind", fmt.Sprintf(daemonSet, 2), []string{controllerRevision("old", 3, owned("DaemonSet", "d", true))}, nil},
		{"daemon set that nothing was made of yet", fmt.Sprintf(daemonSet, 3), nil, nil},
		{
			"stateful set", "{apiVersion: apps/v1, kind: StatefulSet, metadata: {uid: s, generation: 2}, status: {observedGeneration: 2, currentRevision: web-1, updateRevision: web-2}}", nil,
			&revision{owner: "s", by: map[string]string{"controller-revision-hash": "web-2"}},
		},
		{"stateful set whose controller is behind", "{apiVersion: apps/v1, kind: StatefulSet, metadata: {uid: s, generation: 3}, status: {observedGeneration: 2, updateRevision: web-2}}", nil, nil},
		{"stateful set that was just made", "{apiVersion: apps/v1, kind: StatefulSet, metadata: {uid: s, generation: 1}, status: {replicas: 0}}", nil, nil},
		{"replica set", "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {uid: r, generation: 2}, status: {observedGeneration: 1}}", nil, &revision{owner: "r"}},
		{"job", "{apiVersion: batch/v1, kind: Job, metadata: {uid: j, generation: 1}}", nil, &revision{owner: "j"}},
	} {
		t.Run(strings.ReplaceAll(row.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			got, known := newestOf(object(t, row.workload), objects(t, row.revisions...))
			if !known && row.want == nil {
				return
			}
			if diff := cmp.Diff(row.want, &got, cmp.AllowUnexported(revision{})); diff != "" {
				t.Errorf("known: %t (-want +got):\n%s", known, diff)
			}
		})
	}
}

// TestSelecting holds that the pods of a workload are asked for, and never those of all.
func TestSelecting(t *testing.T) {
	t.Parallel()
	const kind = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {%s}}"
	for spec, want := range map[string]string{
		selects: "app=web",
		"selector: {matchLabels: {b: x, a: 'y'}, matchExpressions: [{key: c, operator: In, values: [one, two]}, {key: d, operator: DoesNotExist}]}": "a=y,b=x,c in (one,two),!d",
		"selector: {}": "", "": "", "selector: {matchExpressions: [{key: c, operator: Like}]}": "", "selector: web": "",
	} {
		options, err := Selecting(object(t, fmt.Sprintf(kind, spec)))
		if options.LabelSelector != want || (err == nil) != (want != "") {
			t.Errorf("%s: it selects %q, %v", spec, options.LabelSelector, err)
		}
	}
	options, err := selecting(object(t, fmt.Sprintf(kind, selects)), map[string]string{"pod-template-hash": "h"})
	if options.LabelSelector != "app=web,pod-template-hash=h" || err != nil {
		t.Errorf("of one revision it selects %q, %v", options.LabelSelector, err)
	}
	options, err = Selecting(object(t, "{apiVersion: v1, kind: Pod, metadata: {name: web}}"))
	if diff := cmp.Diff(metav1.ListOptions{FieldSelector: "metadata.name=web"}, options); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestPodOf reads a pod as a kubelet writes it.
func TestPodOf(t *testing.T) {
	t.Parallel()
	got, err := PodOf(object(t, `
apiVersion: v1
kind: Pod
metadata: {name: web-a, creationTimestamp: "2026-01-02T03:04:05Z"}
spec:
  initContainers: [{name: migrate, image: "registry.example/migrate:1"}]
  containers: [{name: web, image: "registry.example/web:1"}, {name: side, image: "registry.example/side:1"}, {name: new, image: "registry.example/new:1"}]
status:
  phase: Running
  conditions: [{type: Ready, status: "False"}, {type: PodScheduled, status: "True"}]
  initContainerStatuses:
  - {name: migrate, image: "sha256:00", ready: true, restartCount: 0, state: {terminated: {exitCode: 0, reason: Completed}}}
  containerStatuses:
  - {name: side, ready: true, restartCount: 0, state: {running: {startedAt: "2026-01-02T03:04:06Z"}}}
  - name: web
    ready: false
    restartCount: 4
    state: {waiting: {reason: CrashLoopBackOff, message: back-off 40s}}
    lastState: {terminated: {exitCode: 137, reason: OOMKilled}}
`))
	want := verdict.Pod{Name: "web-a", Phase: "Running", Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Containers: []verdict.Container{
		{Name: "migrate", Image: "registry.example/migrate:1", Ready: true, Ended: "Completed"},
		{Name: "web", Image: "registry.example/web:1", Restarts: 4, Waiting: "CrashLoopBackOff", Message: "back-off 40s", Ended: "OOMKilled", ExitCode: 137},
		{Name: "side", Image: "registry.example/side:1", Ready: true},
		{Name: "new", Image: "registry.example/new:1"},
	}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	got, err = PodOf(object(t, `{apiVersion: v1, kind: Pod, metadata: {name: p}, status: {phase: Pending, conditions: [{type: PodScheduled, status: "False", reason: Unschedulable, message: 0/3 nodes}]}}`))
	if diff := cmp.Diff(verdict.Pod{Name: "p", Phase: "Pending", Unschedulable: "0/3 nodes"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestTell holds which pods of many are told, and in which order.
func TestTell(t *testing.T) {
	t.Parallel()
	pod := func(name, owner, more, status string) string {
		return fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: %s, %s%s}, spec: {containers: [{name: a}]}, status: {%s}}", name, owned("ReplicaSet", owner, true), more, status)
	}
	well := func(restarts int) string {
		return fmt.Sprintf("phase: Running, conditions: [{type: Ready, status: 'True'}], containerStatuses: [{name: a, ready: true, restartCount: %d}]", restarts)
	}
	const (
		creating = "phase: Pending, containerStatuses: [{name: a, state: {waiting: {reason: ContainerCreating}}}]"
		crashed  = "phase: Running, containerStatuses: [{name: a, restartCount: 1, state: {waiting: {reason: CrashLoopBackOff}}}]"
		pulling  = "phase: Pending, containerStatuses: [{name: a, state: {waiting: {reason: ImagePullBackOff}}}]"
	)
	list := objects(t,
		pod("well-b", "r", "", well(0)), pod("well-a", "r", "", well(0)), pod("well-restarted", "r", "", well(3)), pod("creating", "r", "", creating),
		pod("crashed", "r", "", crashed), pod("pulling", "r", "", pulling), pod("others", "s", "", pulling),
		pod("leaving", "r", ", deletionTimestamp: '2026-01-02T03:04:05Z'", pulling), pod("evicted", "r", "", "phase: Failed"), pod("done", "r", "", "phase: Succeeded"),
		"{apiVersion: v1, kind: Pod, metadata: {name: nobodys}, status: {"+pulling+"}}",
		"{apiVersion: v1, kind: Pod, metadata: {name: known, "+owned("ReplicaSet", "r", false)+"}, status: {"+pulling+"}}",
	)
	for job, want := range map[bool][]string{
		false: {"pulling", "crashed", "creating", "well-restarted", "well-a"},
		true:  {"pulling", "crashed", "creating", "evicted", "well-restarted"},
	} {
		pods, err := tell(list, "r", job)
		var got []string
		for _, p := range pods {
			got = append(got, p.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("of a job: %t, %v (-want +got):\n%s", job, err, diff)
		}
	}
}

// TestEvents holds when an event was seen last, and how it is told, whoever wrote it.
func TestEvents(t *testing.T) {
	t.Parallel()
	at := func(second int) time.Time { return time.Date(2026, 1, 2, 3, 4, second, 0, time.UTC) }
	for _, row := range []struct {
		event corev1.Event
		seen  int
		line  string
	}{
		{corev1.Event{Reason: "BackOff", Message: "Back-off", Count: 4, LastTimestamp: metav1.NewTime(at(5)), EventTime: metav1.NewMicroTime(at(1))}, 5, "BackOff: Back-off (4 times)"},
		{corev1.Event{Reason: "FailedScheduling", Message: "0/1 nodes", EventTime: metav1.NewMicroTime(at(6))}, 6, "FailedScheduling: 0/1 nodes"},
		{corev1.Event{
			Reason: "FailedScheduling", Message: "0/1 nodes", EventTime: metav1.NewMicroTime(at(1)), Series: &corev1.EventSeries{Count: 3, LastObservedTime: metav1.NewMicroTime(at(7))},
		}, 7, "FailedScheduling: 0/1 nodes (3 times)"},
		{corev1.Event{Message: "two\nlines\r\n", Count: 1, ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(at(8))}}, 8, "Warning: two lines"},
		{corev1.Event{Reason: "Failed", Message: strings.Repeat("a word ", maxLine), Count: 10}, -1, cut("Failed: "+strings.TrimSpace(strings.Repeat("a word ", maxLine)), maxLine-len(" (10 times)")) + " (10 times)"},
	} {
		if line := lineOf(row.event); line != row.line || len(line) > maxLine {
			t.Errorf("it is told, in %d bytes, as %q, not %q", len(line), line, row.line)
		}
		if seen := lastSeen(row.event); row.seen >= 0 && !seen.Equal(at(row.seen)) {
			t.Errorf("%s was seen at %s", row.line, seen)
		}
	}
}

// TestCut holds that a line is never cut within a word, or a letter.
func TestCut(t *testing.T) {
	t.Parallel()
	const value, most = "hunter2hünter2", 300
	for length := most - 2*len(value); length < most+2; length++ {
		line := strings.Repeat("a ", length/2) + strings.Repeat("b", length%2) + " " + value + " is what it is, whatever else may be said of it"
		got := cut(line, most)
		if strings.Contains(strings.ReplaceAll(got, value, ""), "hunter") || len(got) > most || len(got) < most-2*len(value) {
			t.Errorf("%d: it is cut to %q", length, got[max(0, len(got)-40):])
		}
	}
	for line, want := range map[string]string{
		strings.Repeat("x", most):        strings.Repeat("x", most),
		strings.Repeat("x", most+1):      "…",
		"half a letter: \xc3":            "half a letter: ?",
		strings.Repeat("ü ", most):       strings.Repeat("ü ", 98) + "ü…",
		"\x1b[31mred\x1b[0m and\ttabbed": "\x1b[31mred\x1b[0m and\ttabbed",
	} {
		if got := cut(line, most); got != want {
			t.Errorf("%q is cut to %q", line, got)
		}
	}
}

// TestTelling holds which run of a container tells why it does not run.
func TestTelling(t *testing.T) {
	t.Parallel()
	ended, waits, runs := &corev1.ContainerStateTerminated{}, &corev1.ContainerStateWaiting{}, &corev1.ContainerStateRunning{}
	for name, row := range map[string]struct {
		status   corev1.ContainerStatus
		previous bool
	}{
		"waits":         {corev1.ContainerStatus{State: corev1.ContainerState{Waiting: waits}, LastTerminationState: corev1.ContainerState{Terminated: ended}}, true},
		"begun again":   {corev1.ContainerStatus{State: corev1.ContainerState{Running: runs}, LastTerminationState: corev1.ContainerState{Terminated: ended}}, true},
		"well again":    {corev1.ContainerStatus{State: corev1.ContainerState{Running: runs}, LastTerminationState: corev1.ContainerState{Terminated: ended}, Ready: true}, false},
		"ended":         {corev1.ContainerStatus{State: corev1.ContainerState{Terminated: ended}}, false},
		"ended again":   {corev1.ContainerStatus{State: corev1.ContainerState{Terminated: ended}, LastTerminationState: corev1.ContainerState{Terminated: ended}}, false},
		"runs":          {corev1.ContainerStatus{State: corev1.ContainerState{Running: runs}}, false},
		"never started": {corev1.ContainerStatus{State: corev1.ContainerState{Waiting: waits}}, false},
	} {
		if got := telling(row.status); got != row.previous {
			t.Errorf("%s: the previous run: %t", name, got)
		}
	}
}
