package main

import (
	"net/url"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestLogs(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	ended := func(code int32, reason string) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, StartedAt: at}}
	}
	waiting := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
	}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at}}
	for _, c := range []struct {
		name        string
		state, last corev1.ContainerState
		options     string
		want        string // how the log ends, or the error
	}{
		{"running", running, corev1.ContainerState{}, "", "listening on :8080\n"},
		{"crashed", waiting("CrashLoopBackOff"), ended(1, "Error"), "", "/src/main.go:42 +0x1d\n"},
		{"out of memory, before", waiting("CrashLoopBackOff"), ended(137, "OOMKilled"), "previous=true", "fatal: out of memory\n"},
		{"job", ended(0, "Completed"), corev1.ContainerState{}, "tailLines=1", "listening on :8080\n"},
		{"timestamps", running, corev1.ContainerState{}, "tailLines=1&timestamps=true", "2026-01-02T03:04:05Z listening on :8080\n"},
		{"limit", running, corev1.ContainerState{}, "tailLines=1&limitBytes=4", "list"},
		{"no image", waiting("ImagePullBackOff"), corev1.ContainerState{}, "", `container "app" in pod "p" is waiting to start: trying and failing to pull image`},
		{"starting", waiting("ContainerCreating"), corev1.ContainerState{}, "", `container "app" in pod "p" is waiting to start: ContainerCreating`},
		{"never died", running, corev1.ContainerState{}, "previous=true", `previous terminated container "app" in pod "p" not found`},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}}
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", State: c.state, LastTerminationState: c.last}}
			options, err := url.ParseQuery(c.options)
			if err != nil {
				t.Fatal(err)
			}
			status := statusOf(pod, "app")
			end, err := lastEnd(pod, status, options.Get("previous") == "true")
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				got = logText(status, end, options)
			}
			if !strings.HasSuffix(got, c.want) {
				t.Errorf("got %q, want it to end in %q", got, c.want)
			}
		})
	}
}
