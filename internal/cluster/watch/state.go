package watch

import (
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// State is where an object stands.
type State string

// The states.
const (
	InProgress State = "in progress"
	Current    State = "current"
	Failed     State = "failed"
)

// stateOf computes an object's state by kstatus, which takes a Job that runs, and a
// Pod that has failed, for done, and waits for ever for a Deployment that is paused and
// for a volume that nobody uses yet.
func stateOf(object *unstructured.Unstructured) (State, string) {
	switch kind := object.GroupVersionKind().GroupKind().String(); kind {
	case "Job.batch":
		if state, message := jobState(object); state != "" {
			return state, message
		}
	case "Pod":
		if phase, _, _ := unstructured.NestedString(object.Object, "status", "phase"); phase == "Failed" {
			message, _, _ := unstructured.NestedString(object.Object, "status", "message")
			return Failed, "the pod has failed: " + message
		}
	case "PersistentVolumeClaim":
		if phase, _, _ := unstructured.NestedString(object.Object, "status", "phase"); phase == "Pending" {
			return Current, "it is not bound yet; many are only when a pod uses them, which waits for it then"
		}
	case "Deployment.apps":
		if paused, _, _ := unstructured.NestedBool(object.Object, "spec", "paused"); paused {
			return Current, "it is paused; nothing rolls out"
		}
	}
	result, err := status.Compute(object)
	if err != nil {
		return InProgress, "its status can't be read: " + err.Error()
	}
	switch result.Status {
	case status.CurrentStatus:
		return Current, result.Message
	case status.FailedStatus:
		return Failed, result.Message
	case status.NotFoundStatus, status.InProgressStatus, status.TerminatingStatus, status.UnknownStatus:
	}
	return InProgress, result.Message
}

// jobState is a Job's state by its conditions. It is empty if kstatus says it well.
func jobState(job *unstructured.Unstructured) (State, string) {
	if suspended, _, _ := unstructured.NestedBool(job.Object, "spec", "suspend"); suspended {
		return Current, "it is suspended"
	}
	for _, condition := range []string{"Failed", "Complete"} {
		if holds(job, condition) {
			return "", ""
		}
	}
	return InProgress, "the job runs"
}

func holds(object *unstructured.Unstructured, condition string) bool {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, c := range conditions {
		if c, is := c.(map[string]any); is && c["type"] == condition && c["status"] == "True" {
			return true
		}
	}
	return false
}

// finished reports whether an object that was deleted had done what it was for: Jobs
// are removed some time after they end. final says that the object is as it was when it
// was deleted, and not as it was some time before.
func finished(last *unstructured.Unstructured, final bool) bool {
	if last == nil || last.GroupVersionKind().GroupKind().String() != "Job.batch" {
		return false
	}
	_, expires, _ := unstructured.NestedInt64(last.Object, "spec", "ttlSecondsAfterFinished")
	return holds(last, "Complete") || !final && expires && !holds(last, "Failed")
}

// waitingFor names what holds up a deletion.
func waitingFor(object *unstructured.Unstructured) string {
	if len(object.GetFinalizers()) == 0 {
		return ""
	}
	return ", and waits for " + strings.Join(object.GetFinalizers(), ", ")
}
