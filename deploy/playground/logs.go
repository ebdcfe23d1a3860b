package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What containers log.
const (
	logRunning = `starting
reading the configuration
listening on :8080
`
	logCrash = `starting
reading the configuration
connecting to db:5432
panic: dial tcp: lookup db: no such host

goroutine 1 [running]:
main.main()
	/src/main.go:42 +0x1d
`
	logOOM = `starting
reading the configuration
loading the catalogue: 512 MiB
loading the catalogue: 1024 MiB
fatal: out of memory
`
)

// handler serves the part of a kubelet's API that `kubectl logs` needs.
func (k *kubelet) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", k.serveLog)
	return mux
}

func (k *kubelet) serveLog(w http.ResponseWriter, r *http.Request) {
	namespace, name := r.PathValue("namespace"), r.PathValue("pod")
	pod, err := k.client.CoreV1().Pods(namespace).Get(r.Context(), name, metav1.GetOptions{})
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	options := r.URL.Query()
	c := statusOf(pod, r.PathValue("container"))
	ended, err := lastEnd(pod, c, options.Get("previous") == "true")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, _ = io.WriteString(w, logText(c, ended, options)) // whoever hung up doesn't care
	if options.Get("follow") == "true" && ended == nil {
		_ = http.NewResponseController(w).Flush()
		k.awaitDeletion(r.Context(), namespace, name)
	}
}

// statusOf returns an empty status for a container that has none yet.
func statusOf(pod *corev1.Pod, container string) corev1.ContainerStatus {
	for _, c := range append(pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses...) {
		if c.Name == container {
			return c
		}
	}
	return corev1.ContainerStatus{Name: container, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}}
}

// lastEnd says how the run whose log is asked for ended; nil if it hasn't. It is
// an error if there was no such run.
func lastEnd(pod *corev1.Pod, c corev1.ContainerStatus, previous bool) (*corev1.ContainerStateTerminated, error) {
	last := c.LastTerminationState.Terminated
	switch {
	case previous && last == nil:
		return nil, fmt.Errorf("previous terminated container %q in pod %q not found", c.Name, pod.Name)
	case previous:
		return last, nil
	case c.State.Terminated != nil:
		return c.State.Terminated, nil
	case c.State.Waiting != nil && last == nil:
		why := c.State.Waiting.Reason
		if why == "ErrImagePull" || why == "ImagePullBackOff" {
			why = "trying and failing to pull image"
		}
		return nil, fmt.Errorf("container %q in pod %q is waiting to start: %s", c.Name, pod.Name, why)
	case c.State.Waiting != nil:
		return last, nil
	}
	return nil, nil
}

// logText is what the container's run wrote, as far as the options of a log
// request ask for it.
func logText(c corev1.ContainerStatus, ended *corev1.ContainerStateTerminated, options url.Values) string {
	text, began := logRunning, time.Now()
	switch {
	case ended == nil && c.State.Running != nil:
		began = c.State.Running.StartedAt.Time
	case ended != nil && ended.Reason == "OOMKilled":
		text, began = logOOM, ended.StartedAt.Time
	case ended != nil && ended.ExitCode != 0:
		text, began = logCrash, ended.StartedAt.Time
	}
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	if n, err := strconv.Atoi(options.Get("tailLines")); err == nil && n >= 0 && n < len(lines) {
		lines = lines[len(lines)-n:]
	}
	if options.Get("timestamps") == "true" {
		for i := range lines {
			lines[i] = began.UTC().Format(time.RFC3339Nano) + " " + lines[i]
		}
	}
	text = strings.Join(lines, "") + "\n"
	if n, err := strconv.Atoi(options.Get("limitBytes")); err == nil && n >= 0 && n < len(text) {
		text = text[:n]
	}
	return text
}

// awaitDeletion returns when a pod is gone, or nobody wants to know any more.
func (k *kubelet) awaitDeletion(ctx context.Context, namespace, name string) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if _, err := k.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{}); err != nil {
				return
			}
		}
	}
}
