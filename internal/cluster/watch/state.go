package watch

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davitops/davit/internal/cluster/health"
)

// finished reports whether an object that was deleted had done what it was for: Jobs
// are removed some time after they end. final says that the object is as it was when it
// was deleted, and not as it was some time before.
func finished(last *unstructured.Unstructured, final bool) bool {
	if last == nil || last.GroupVersionKind().GroupKind().String() != "Job.batch" {
		return false
	}
	_, expires, _ := unstructured.NestedInt64(last.Object, "spec", "ttlSecondsAfterFinished")
	complete, _ := health.Condition(last, "Complete")
	failed, _ := health.Condition(last, "Failed")
	return complete || !final && expires && !failed
}

// waitingFor names what holds up a deletion.
func waitingFor(object *unstructured.Unstructured) string {
	if len(object.GetFinalizers()) == 0 {
		return ""
	}
	return ", and waits for " + strings.Join(object.GetFinalizers(), ", ")
}
