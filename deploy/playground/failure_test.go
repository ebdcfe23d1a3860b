package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kwok/pkg/utils/expression"
)

// TestNextChange follows pods through what a kubelet reports of them.
func TestNextChange(t *testing.T) {
	always, never := corev1.RestartPolicyAlways, corev1.RestartPolicyNever
	creating := "0s Pending app=ContainerCreating/0"
	for _, c := range []struct {
		name    string
		label   string
		images  []string
		restart corev1.RestartPolicy
		want    []string // at most so many changes are followed
	}{
		{"crash", "", []string{"r/app:fail-crash"}, always, []string{
			creating,
			"300ms Running app=CrashLoopBackOff/1 last=1/Error: BackOff",
			"2s Running app=CrashLoopBackOff/2 last=1/Error: BackOff",
			"2s Running app=CrashLoopBackOff/3 last=1/Error: BackOff",
			"10s Running app=CrashLoopBackOff/4 last=1/Error: BackOff",
		}},
		{"oom beside a healthy container", "", []string{"r/app:fail-oom", "r/side:1"}, always, []string{
			creating + " side=ContainerCreating/0",
			"300ms Running app=CrashLoopBackOff/1 last=137/OOMKilled side=running/0 ready: BackOff",
		}},
		{"by label, for all containers", "unready", []string{"r/app:1", "r/side:1"}, always, []string{
			creating + " side=ContainerCreating/0",
			"0s Running app=running/0 side=running/0: Unhealthy Unhealthy",
			"end",
		}},
		{"pull, with a digest", "", []string{"r/app:fail-pull@sha256:00"}, always, []string{
			creating,
			"0s Pending app=ErrImagePull/0: Failed",
			"1s Pending app=ImagePullBackOff/0: BackOff",
			"end",
		}},
		{"slow", "slow", []string{"r/app:1"}, always, []string{creating, "10s Running app=running/0 ready", "end"}},
		{"crash of a job", "", []string{"r/app:fail-crash", "r/side:1"}, never, []string{
			creating + " side=ContainerCreating/0",
			"300ms Failed app=exited 1/0 side=exited 0/0",
			"end",
		}},
		{"healthy", "", []string{"r/fail-crash:1"}, always, []string{"end"}},
		{"pending", "pending", []string{"r/app:1"}, always, []string{"end"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns", UID: "u", Labels: map[string]string{failLabel: c.label}},
				Spec:       corev1.PodSpec{NodeName: "node-1", RestartPolicy: c.restart},
			}
			for i, image := range c.images {
				pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: []string{"app", "side"}[i], Image: image})
			}
			got := follow(pod, len(c.want))
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(c.want, "\n  "))
			}
		})
	}
}

// follow describes so many changes of a pod, or all if they are fewer.
func follow(pod *corev1.Pod, most int) []string {
	var seen []string
	for len(seen) < most {
		next := nextChange(pod, metav1.Now())
		seen = append(seen, describe(next))
		if next == nil {
			break
		}
		pod.Status = next.status
	}
	return seen
}

func describe(next *change) string {
	if next == nil {
		return "end"
	}
	text := fmt.Sprintf("%s %s", next.after, next.status.Phase)
	for _, c := range next.status.ContainerStatuses {
		text += fmt.Sprintf(" %s=%s/%d", c.Name, state(c.State), c.RestartCount)
		if last := c.LastTerminationState.Terminated; last != nil {
			text += fmt.Sprintf(" last=%d/%s", last.ExitCode, last.Reason)
		}
		if c.Ready {
			text += " ready"
		}
	}
	for i, w := range next.warnings {
		text += []string{": ", " "}[min(i, 1)] + w.reason
	}
	return text
}

func state(s corev1.ContainerState) string {
	switch {
	case s.Waiting != nil:
		return s.Waiting.Reason
	case s.Terminated != nil:
		return fmt.Sprintf("exited %d", s.Terminated.ExitCode)
	}
	return "running"
}

// TestConclude says what the conditions say of readiness.
func TestConclude(t *testing.T) {
	now := metav1.NewTime(time.Unix(0, 0))
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}
	for _, c := range []struct {
		name       string
		containers []corev1.ContainerStatus
		want       string
	}{
		{"all ready", []corev1.ContainerStatus{{Name: "a", State: running, Ready: true}}, "Running True  "},
		{"some not", []corev1.ContainerStatus{{Name: "a", State: running}, {Name: "b", State: running, Ready: true}, {Name: "c", State: running}},
			"Running False ContainersNotReady containers with unready status: [a c]"},
		{"over", []corev1.ContainerStatus{{Name: "a", State: ended}}, "Failed False PodFailed "},
	} {
		t.Run(c.name, func(t *testing.T) {
			status := corev1.PodStatus{ContainerStatuses: c.containers}
			conclude(&status)
			for _, condition := range status.Conditions {
				if condition.Type != corev1.PodReady && condition.Type != corev1.ContainersReady {
					continue
				}
				got := fmt.Sprintf("%s %s %s %s", status.Phase, condition.Status, condition.Reason, condition.Message)
				if got != c.want {
					t.Errorf("%s: got %q, want %q", condition.Type, got, c.want)
				}
			}
		})
	}
}

// TestFailQuery says that kwok is told of a pod's failures what Go code is.
func TestFailQuery(t *testing.T) {
	query, err := expression.NewQuery(failQuery)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		labels map[string]string
		images []string
		want   []string
	}{
		{"no labels", nil, []string{"app:1"}, nil},
		{"label", map[string]string{failLabel: "oom"}, []string{"app:fail-crash"}, []string{"oom"}},
		{"empty label", map[string]string{failLabel: ""}, []string{"app:fail-crash"}, []string{"crash"}},
		{"other label", map[string]string{"app": "x"}, []string{"app:fail-crash@sha256:00", "b:fail-pull", "c:1"}, []string{"crash", "pull"}},
		{"no tag", nil, []string{"app:fail-", "host:5000/fail-crash", "app:1-fail-crash", "app:fail-crash-2"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: c.labels}}
			var inGo []string
			for _, image := range c.images {
				pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Image: image})
				if kind := failureOf(pod, image); kind != "" {
					inGo = append(inGo, kind)
				}
			}
			found, err := query.Execute(t.Context(), pod)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(found); got != fmt.Sprint(c.want) || !slices.Equal(inGo, c.want) {
				t.Errorf("kwok finds %s and Go %v, want %v", got, inGo, c.want)
			}
		})
	}
}
