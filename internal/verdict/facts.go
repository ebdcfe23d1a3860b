// Package verdict says what became of a deployment: healthy, failed, timed out, or that
// nobody can tell; with the evidence, and whether the change is to blame.
//
// It is pure: what a cluster shows of objects and pods are values that others gather, and
// the time is one of them. It never blames a change for what was so before it.
package verdict

import (
	"slices"
	"time"

	"github.com/davitops/davit/internal/gitops"
)

// State is where an object stands, by what its own status says.
type State string

// The states.
const (
	Current    State = "current"
	InProgress State = "in progress"
	Failing    State = "failing"
	Absent     State = "absent" // there is no such object
)

// Workload is an object that runs pods, as it was looked at. Texts are a cluster's own,
// and masked.
type Workload struct {
	Ref     gitops.ObjectRef `json:"ref"`
	State   State            `json:"state"`
	Message string           `json:"message,omitempty"` // why, as its status says
	Wanted  int              `json:"wanted"`            // pods
	Ready   int              `json:"ready"`
	Pods    []Pod            `json:"pods,omitempty"` // of its newest revision; those that are not well come first
}

// Bare is a workload without what its cluster says in words: as much as is compared later.
func (w Workload) Bare() Workload {
	w.Message = ""
	w.Pods = slices.Clone(w.Pods)
	for i := range w.Pods {
		pod := &w.Pods[i]
		if pod.Unschedulable != "" {
			pod.Unschedulable = "no node takes it"
		}
		pod.Containers = slices.Clone(pod.Containers)
		for j := range pod.Containers {
			pod.Containers[j].Message = ""
		}
	}
	return w
}

// Stripped is a trouble without what the cluster says in words, for where that must not be
// shown.
func (t Trouble) Stripped() Trouble {
	return Trouble{Ref: t.Ref, Container: t.Container, Reason: t.Reason, Final: t.Final}
}

// Pod is one pod of a workload's newest revision.
type Pod struct {
	Name          string      `json:"name"`
	Ready         bool        `json:"ready"`
	Phase         string      `json:"phase,omitempty"`
	Unschedulable string      `json:"unschedulable,omitempty"` // why no node takes it; empty if one does
	Created       time.Time   `json:"created"`
	Containers    []Container `json:"containers,omitempty"` // those that begin a pod are among them
}

// Container is one container of a pod.
type Container struct {
	Name     string `json:"name"`
	Image    string `json:"image,omitempty"`
	Ready    bool   `json:"ready"`
	Restarts int    `json:"restarts,omitempty"`
	Waiting  string `json:"waiting,omitempty"` // the reason it does not run: "ImagePullBackOff"
	Message  string `json:"message,omitempty"` // of that
	Ended    string `json:"ended,omitempty"`   // the reason it ended for last: "OOMKilled", "Error"
	ExitCode int    `json:"exitCode,omitempty"`
}

// Trouble is one thing that is wrong, as evidence. Events and Log are filled in by whoever
// asks the cluster for them, newest last, and are masked.
type Trouble struct {
	Ref       gitops.ObjectRef `json:"ref"`
	Pod       string           `json:"pod,omitempty"`
	Container string           `json:"container,omitempty"`
	Reason    string           `json:"reason"` // one word of the cluster's: "ImagePullBackOff"
	Message   string           `json:"message,omitempty"`
	// Final says that waiting will not help, so that nobody has to wait for a deadline.
	Final  bool     `json:"final,omitempty"`
	Events []string `json:"events,omitempty"`
	Log    []string `json:"log,omitempty"`
}
