package health

import (
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davitops/davit/internal/verdict"
)

// The kinds that are told apart here.
const (
	aDeployment  = "Deployment.apps"
	aStatefulSet = "StatefulSet.apps"
	aDaemonSet   = "DaemonSet.apps"
	aReplicaSet  = "ReplicaSet.apps"
	aJob         = "Job.batch"
	aPod         = "Pod"
	aClaim       = "PersistentVolumeClaim"
)

func kindOf(object *unstructured.Unstructured) string {
	return object.GroupVersionKind().GroupKind().String()
}

// StateOf is where an object stands, and why. It is computed by kstatus, which takes a Job
// that runs, and a Pod that has failed, for done, waits for ever for a Deployment that is
// paused and for a volume that nobody uses yet, and gives up a Pod at its first crash.
func StateOf(object *unstructured.Unstructured) (verdict.State, string) {
	kind := kindOf(object)
	switch kind {
	case aJob:
		if state, message := jobState(object); state != "" {
			return state, message
		}
	case aPod:
		if text(object, "status", "phase") == "Failed" {
			return verdict.Failing, "the pod has failed: " + text(object, "status", "message")
		}
	case aClaim:
		if text(object, "status", "phase") == "Pending" {
			return verdict.Current, "it is not bound yet; many are only when a pod uses them, which waits for it then"
		}
	case aDeployment:
		if paused, _, _ := unstructured.NestedBool(object.Object, "spec", "paused"); paused {
			return verdict.Current, "it is paused; nothing rolls out"
		}
	}
	result, err := status.Compute(object)
	if err != nil {
		return verdict.InProgress, "its status can't be read: " + err.Error()
	}
	if result.Status == status.CurrentStatus {
		return verdict.Current, result.Message
	}
	if creating, why := Condition(object, "ReplicaFailure"); creating {
		result.Message += ": " + why
	}
	if result.Status == status.FailedStatus && kind != aPod { // which may yet be well: see verdict.Workload.Troubles
		return verdict.Failing, result.Message
	}
	return verdict.InProgress, result.Message
}

// jobState is a Job's state by its conditions. It is empty if kstatus says it well.
func jobState(job *unstructured.Unstructured) (verdict.State, string) {
	if suspended(job) {
		return verdict.Current, "it is suspended"
	}
	if over(job) {
		return "", ""
	}
	return verdict.InProgress, "the job runs"
}

func suspended(job *unstructured.Unstructured) bool {
	is, _, _ := unstructured.NestedBool(job.Object, "spec", "suspend")
	return is
}

// over reports whether a Job has come to its end, whichever.
func over(job *unstructured.Unstructured) bool {
	complete, _ := Condition(job, "Complete")
	failed, _ := Condition(job, "Failed")
	return complete || failed
}

// Condition reports whether an object's status says that a condition holds, and how.
func Condition(object *unstructured.Unstructured, name string) (holds bool, message string) {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, c := range conditions {
		if c, is := c.(map[string]any); is && c["type"] == name && c["status"] == "True" {
			message, _ = c["message"].(string)
			return true, message
		}
	}
	return false, ""
}

// text is a field of an object, empty if it has none.
func text(object *unstructured.Unstructured, path ...string) string {
	value, _, _ := unstructured.NestedString(object.Object, path...)
	return value
}

// number is a field of an object, or what it means that there is none.
func number(object *unstructured.Unstructured, missing int, path ...string) int {
	if value, found, err := unstructured.NestedInt64(object.Object, path...); found && err == nil {
		return int(value)
	}
	return missing
}
