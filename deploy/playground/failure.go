package main

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// How a container fails. A pod asks for it with the label, for all its
// containers, or with the tag fail-… of a container's image, for that one.
const (
	failLabel = "davit.dev/fail"

	failCrash   = "crash"   // exits with 1, again and again
	failOOM     = "oom"     // is killed for its memory, again and again
	failPull    = "pull"    // has an image that isn't there
	failUnready = "unready" // runs but is never ready
	failSlow    = "slow"    // is ready only after slowStart
	failPending = "pending" // fits on no node; see pendingPlugin

	slowStart = 10 * time.Second
	// failQuery is failureOf, for all containers of a pod, in kwok's language.
	failQuery = `(.metadata.labels["` + failLabel + `"] | values | select(. != "")) // (.spec.containers[].image | capture(":fail-(?<kind>[a-z]+)(@|$)").kind)`
)

// neverReady are the ways to fail that a pod never becomes ready with.
var neverReady = []string{failCrash, failOOM, failPull, failUnready}

var failTag = regexp.MustCompile(`:fail-([a-z]+)(@|$)`)

// failureOf says how a container is to fail; "" if it isn't.
func failureOf(p *corev1.Pod, image string) string {
	if kind := p.Labels[failLabel]; kind != "" {
		return kind
	}
	if match := failTag.FindStringSubmatch(image); match != nil {
		return match[1]
	}
	return ""
}

// failsAs says whether any container of the pod is to fail in one of the ways.
func failsAs(p *corev1.Pod, ways ...string) bool {
	return slices.ContainsFunc(p.Spec.Containers, func(c corev1.Container) bool {
		return slices.Contains(ways, failureOf(p, c.Image))
	})
}

// warning is an event about a container.
type warning struct{ reason, message string }

// change is what a kubelet would report next of a failing pod.
type change struct {
	after    time.Duration // since the present status
	status   corev1.PodStatus
	warnings []warning
}

// nextChange says what comes after the pod's present status; nil if nothing
// does, or if the pod isn't one that a node was told to fail.
func nextChange(p *corev1.Pod, now metav1.Time) *change {
	if p.Spec.NodeName == "" || p.DeletionTimestamp != nil || !failsAs(p, append(neverReady, failSlow)...) {
		return nil
	}
	if p.Status.StartTime == nil {
		return &change{status: firstStatus(p, now)}
	}
	next := change{status: *p.Status.DeepCopy()}
	changed := false
	for i, was := range p.Status.ContainerStatuses {
		is, after, warn := nextState(p, was, now)
		if is == nil {
			continue
		}
		next.status.ContainerStatuses[i] = *is
		next.after, changed = max(next.after, after), true
		if warn != nil {
			next.warnings = append(next.warnings, *warn)
		}
	}
	if !changed {
		return nil
	}
	conclude(&next.status)
	return &next
}

// nextState is the state of one container after its present one; nil if it
// stays in it.
func nextState(p *corev1.Pod, was corev1.ContainerStatus, now metav1.Time) (is *corev1.ContainerStatus, after time.Duration, warn *warning) {
	if was.State.Waiting == nil {
		return nil, 0, nil
	}
	is = was.DeepCopy()
	kind, reason := failureOf(p, was.Image), was.State.Waiting.Reason
	switch {
	case kind == failCrash || kind == failOOM:
		warn = die(p, is, kind, now)
		return is, restartDelay(was.RestartCount), warn
	case kind == failPull && reason == "ErrImagePull":
		backOff := fmt.Sprintf("Back-off pulling image %q", was.Image)
		is.State.Waiting = &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: backOff + ": ErrImagePull: " + was.State.Waiting.Message}
		return is, time.Second, &warning{"BackOff", backOff}
	case kind == failPull && reason == "ImagePullBackOff":
		return nil, 0, nil
	case kind == failPull:
		message := fmt.Sprintf("failed to pull and unpack image %q: failed to resolve reference %q: %s: not found", was.Image, was.Image, was.Image)
		is.State.Waiting = &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: message}
		return is, 0, &warning{"Failed", fmt.Sprintf("Failed to pull image %q: %s", was.Image, message)}
	case p.Spec.RestartPolicy == corev1.RestartPolicyNever && kind == "":
		is.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: now, FinishedAt: now}}
		return is, 0, nil
	}
	is.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}
	is.Started, is.Ready = new(true), kind != failUnready
	if kind == failSlow {
		after = slowStart
	}
	if !is.Ready {
		warn = &warning{"Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"}
	}
	return is, after, warn
}

// restartDelay is how long a container lives that died so many times. A kubelet
// waits 10 s after the first restart and then ever longer; the first ones are
// quick here, for those who wait for the second.
func restartDelay(restarts int32) time.Duration {
	switch {
	case restarts == 0:
		return 300 * time.Millisecond
	case restarts < 3:
		return 2 * time.Second
	}
	return 10 * time.Second
}

// die lets a container end, and wait for its next start if it may have one.
func die(p *corev1.Pod, c *corev1.ContainerStatus, kind string, now metav1.Time) *warning {
	death := &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", StartedAt: now, FinishedAt: now}
	if kind == failOOM {
		death.ExitCode, death.Reason = 137, "OOMKilled"
	}
	c.Started = new(false)
	if p.Spec.RestartPolicy == corev1.RestartPolicyNever {
		c.State = corev1.ContainerState{Terminated: death}
		return nil
	}
	c.RestartCount++
	// A kubelet's wait: from 10 s to 5 min, twice as long each time.
	backOff := min(10*time.Second<<min(c.RestartCount-1, 8), 5*time.Minute)
	name := fmt.Sprintf("%s_%s(%s)", p.Name, p.Namespace, p.UID)
	c.LastTerminationState = corev1.ContainerState{Terminated: death}
	c.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
		Reason: "CrashLoopBackOff", Message: fmt.Sprintf("back-off %s restarting failed container=%s pod=%s", backOff, c.Name, name),
	}}
	return &warning{"BackOff", fmt.Sprintf("Back-off restarting failed container %s in pod %s", c.Name, name)}
}
