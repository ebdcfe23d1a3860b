package health

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/verdict"
)

// maxPods is how many pods are told of one workload.
const maxPods = 5

// revisionNumber is the annotation by which a Deployment and its ReplicaSets number what
// they were made from.
const revisionNumber = "deployment.kubernetes.io/revision"

// revision is what the pods of one revision of a workload have in common.
type revision struct {
	owner types.UID         // what controls them
	by    map[string]string // the labels that tell them from others of the workload
}

// podsOf are the pods of a workload's newest revision.
func podsOf(ctx context.Context, c *cluster.Connection, object *unstructured.Unstructured) ([]verdict.Pod, error) {
	if kindOf(object) == aPod {
		pod, err := PodOf(object)
		return []verdict.Pod{pod}, err
	}
	revisions, err := revisionsOf(ctx, c, object)
	if err != nil {
		return nil, err
	}
	newest, known := newestOf(object, revisions)
	if !known {
		return nil, nil
	}
	options, err := selecting(object, newest.by)
	if err != nil {
		return nil, err
	}
	list, err := c.List(ctx, gitops.ObjectRef{Version: "v1", Kind: aPod, Namespace: object.GetNamespace()}, options)
	if err != nil {
		return nil, err
	}
	return tell(list, newest.owner, kindOf(object) == aJob)
}

// revisionsOf are the objects that keep a workload's revisions, if its kind has such.
func revisionsOf(ctx context.Context, c *cluster.Connection, object *unstructured.Unstructured) ([]unstructured.Unstructured, error) {
	place := gitops.ObjectRef{Group: "apps", Version: "v1", Namespace: object.GetNamespace()}
	switch kindOf(object) {
	case aDeployment:
		place.Kind = "ReplicaSet"
	case aDaemonSet:
		place.Kind = "ControllerRevision"
	default:
		return nil, nil
	}
	options, err := Selecting(object)
	if err != nil {
		return nil, err
	}
	return c.List(ctx, place, options)
}

// newestOf is the newest revision of a workload. There is none as long as its controller
// has not taken up what was asked of it last.
//
// A DaemonSet's is that of its last ControllerRevision, which its controller goes by. The
// generation of its template, which pods are labelled with too, is another one after each
// return to an earlier template, whose pods are kept.
func newestOf(object *unstructured.Unstructured, revisions []unstructured.Unstructured) (revision, bool) {
	kind := kindOf(object)
	switch kind {
	case aDeployment, aStatefulSet, aDaemonSet:
		if int64(number(object, 0, "status", "observedGeneration")) < object.GetGeneration() {
			return revision{}, false
		}
	}
	own := slices.DeleteFunc(slices.Clone(revisions), func(r unstructured.Unstructured) bool { return !controlled(&r, object.GetUID()) })
	switch kind {
	case aDeployment:
		at := slices.IndexFunc(own, func(r unstructured.Unstructured) bool {
			number := object.GetAnnotations()[revisionNumber]
			return number != "" && r.GetAnnotations()[revisionNumber] == number
		})
		if at < 0 {
			return revision{}, false
		}
		return revision{owner: own[at].GetUID(), by: labelled(&own[at], appsv1.DefaultDeploymentUniqueLabelKey)}, true
	case aDaemonSet:
		if len(own) == 0 {
			return revision{}, false
		}
		last := slices.MaxFunc(own, func(a, b unstructured.Unstructured) int {
			return cmp.Compare(number(&a, 0, "revision"), number(&b, 0, "revision"))
		})
		return revision{owner: object.GetUID(), by: labelled(&last, appsv1.ControllerRevisionHashLabelKey)}, true
	case aStatefulSet:
		name := text(object, "status", "updateRevision")
		return revision{owner: object.GetUID(), by: map[string]string{appsv1.ControllerRevisionHashLabelKey: name}}, name != ""
	}
	return revision{owner: object.GetUID()}, true
}

func controlled(object *unstructured.Unstructured, by types.UID) bool {
	owner := metav1.GetControllerOf(object)
	return owner != nil && owner.UID == by
}

// labelled is one label of an object.
func labelled(object *unstructured.Unstructured, key string) map[string]string {
	return map[string]string{key: object.GetLabels()[key]}
}

// Selecting are the options that list and watch the pods of a workload, of every revision.
// There may be pods of others among them.
func Selecting(object *unstructured.Unstructured) (metav1.ListOptions, error) {
	if kindOf(object) == aPod {
		return metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", object.GetName()).String()}, nil
	}
	return selecting(object, nil)
}

// selecting are the options that list what a workload selects, and has some labels besides.
func selecting(object *unstructured.Unstructured, besides map[string]string) (metav1.ListOptions, error) {
	var wanted metav1.LabelSelector
	written, _, err := unstructured.NestedMap(object.Object, "spec", "selector")
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(written, &wanted)
	}
	var selector labels.Selector
	if err == nil {
		selector, err = metav1.LabelSelectorAsSelector(&wanted)
	}
	if err != nil {
		return metav1.ListOptions{}, fmt.Errorf("read the selector of %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	if selector.Empty() { // no API allows it; it would list the pods of everything
		return metav1.ListOptions{}, fmt.Errorf("%s %s selects no pods of its own", object.GetKind(), object.GetName())
	}
	more, _ := labels.Set(besides).AsSelectorPreValidated().Requirements()
	return metav1.ListOptions{LabelSelector: selector.Add(more...).String()}, nil
}

// tell are the facts of those pods that an owner controls, not too many of them: first
// those in the worst trouble, and of those that are well the ones that were restarted most.
// Pods that are on their way out are nobody's any more, and one that has ended was
// replaced, unless it is a Job's.
func tell(list []unstructured.Unstructured, owner types.UID, job bool) ([]verdict.Pod, error) {
	var pods []verdict.Pod
	for _, object := range list {
		phase := corev1.PodPhase(text(&object, "status", "phase"))
		ended := phase == corev1.PodFailed || phase == corev1.PodSucceeded
		if !controlled(&object, owner) || object.GetDeletionTimestamp() != nil || ended && !job {
			continue
		}
		pod, err := PodOf(&object)
		if err != nil {
			return nil, err
		}
		pods = append(pods, pod)
	}
	now := time.Now()
	slices.SortFunc(pods, func(a, b verdict.Pod) int {
		return cmp.Or(cmp.Compare(rank(a, now), rank(b, now)), cmp.Compare(restarts(b), restarts(a)), cmp.Compare(a.Name, b.Name))
	})
	return pods[:min(len(pods), maxPods)], nil
}

// rank puts the pods first that verdict finds the most telling.
func rank(p verdict.Pod, now time.Time) int {
	troubles := verdict.Workload{Pods: []verdict.Pod{p}}.Troubles(now)
	switch {
	case len(troubles) > 0 && troubles[0].Final:
		return 0
	case len(troubles) > 0:
		return 1
	case !well(p):
		return 2
	}
	return 3
}

// well reports whether a pod does what it is for, or did.
func well(p verdict.Pod) bool { return p.Ready || p.Phase == string(corev1.PodSucceeded) }

func restarts(p verdict.Pod) int {
	total := 0
	for _, c := range p.Containers {
		total += c.Restarts
	}
	return total
}

// PodOf are the facts of a pod.
func PodOf(object *unstructured.Unstructured) (verdict.Pod, error) {
	pod, err := podIn(object)
	if err != nil {
		return verdict.Pod{}, err
	}
	told := verdict.Pod{Name: pod.Name, Phase: string(pod.Status.Phase), Created: pod.CreationTimestamp.Time}
	for _, c := range pod.Status.Conditions {
		switch {
		case c.Type == corev1.PodReady:
			told.Ready = c.Status == corev1.ConditionTrue
		case c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable:
			told.Unschedulable = cmp.Or(c.Message, c.Reason)
		}
	}
	statuses := statusesOf(pod)
	for _, spec := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		told.Containers = append(told.Containers, containerOf(spec, statuses[spec.Name]))
	}
	return told, nil
}

func podIn(object *unstructured.Unstructured) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, pod); err != nil {
		return nil, fmt.Errorf("read pod %s: %w", object.GetName(), err)
	}
	return pod, nil
}

// statusesOf are those of the containers of a pod, by name.
func statusesOf(pod *corev1.Pod) map[string]corev1.ContainerStatus {
	statuses := map[string]corev1.ContainerStatus{}
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		statuses[s.Name] = s
	}
	return statuses
}

func containerOf(spec corev1.Container, s corev1.ContainerStatus) verdict.Container {
	told := verdict.Container{Name: spec.Name, Image: spec.Image, Ready: s.Ready, Restarts: int(s.RestartCount)}
	if waiting := s.State.Waiting; waiting != nil {
		told.Waiting, told.Message = waiting.Reason, waiting.Message
	}
	if ended := cmp.Or(s.State.Terminated, s.LastTerminationState.Terminated); ended != nil {
		told.Ended, told.ExitCode = ended.Reason, int(ended.ExitCode)
	}
	return told
}
