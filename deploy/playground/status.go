package main

import (
	"fmt"
	"hash/fnv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// firstStatus is a pod's status when its node has seen it: nothing runs yet,
// but the init containers are done.
func firstStatus(p *corev1.Pod, now metav1.Time) corev1.PodStatus {
	status := *p.Status.DeepCopy()
	status.StartTime = &now
	status.HostIP, status.HostIPs = loopback, []corev1.HostIP{{IP: loopback}}
	status.PodIP = podIP(p)
	status.PodIPs = []corev1.PodIP{{IP: status.PodIP}}
	status.InitContainerStatuses, status.ContainerStatuses = nil, nil
	for _, c := range p.Spec.InitContainers {
		state := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: now, FinishedAt: now}}
		sidecar := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		if sidecar {
			state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}
		}
		status.InitContainerStatuses = append(status.InitContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, State: state, Ready: true, Started: &sidecar,
		})
	}
	for _, c := range p.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, Started: new(false),
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}},
		})
	}
	conclude(&status)
	return status
}

// podIP is an address made from the pod's identity. Nobody can connect to it,
// so it doesn't matter that two pods may have the same.
func podIP(p *corev1.Pod) string {
	if p.Spec.HostNetwork {
		return loopback
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(p.UID))
	sum := hash.Sum(nil)
	return fmt.Sprintf("10.64.%d.%d", sum[0], sum[1])
}

// conclude sets the phase and the conditions that follow from the states of the
// containers.
func conclude(status *corev1.PodStatus) {
	status.Phase = phaseOf(status.ContainerStatuses)
	ready, reason, message := corev1.ConditionFalse, "", ""
	waiting := unready(status.ContainerStatuses)
	switch {
	case status.Phase == corev1.PodFailed:
		reason = "PodFailed"
	case len(waiting) > 0:
		reason, message = "ContainersNotReady", fmt.Sprintf("containers with unready status: %v", waiting)
	default:
		ready = corev1.ConditionTrue
	}
	for _, condition := range []corev1.PodCondition{
		{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue},
		{Type: corev1.PodInitialized, Status: corev1.ConditionTrue},
		{Type: corev1.PodReady, Status: ready, Reason: reason, Message: message},
		{Type: corev1.ContainersReady, Status: ready, Reason: reason, Message: message},
	} {
		podutil.UpdatePodCondition(status, &condition)
	}
}

func phaseOf(containers []corev1.ContainerStatus) corev1.PodPhase {
	over := 0
	for _, c := range containers {
		if c.State.Waiting != nil && c.LastTerminationState.Terminated == nil {
			return corev1.PodPending // it never started
		}
		if c.State.Terminated != nil {
			over++
		}
	}
	if over == len(containers) {
		return corev1.PodFailed
	}
	return corev1.PodRunning
}

func unready(containers []corev1.ContainerStatus) []string {
	var names []string
	for _, c := range containers {
		if !c.Ready {
			names = append(names, c.Name)
		}
	}
	return names
}
