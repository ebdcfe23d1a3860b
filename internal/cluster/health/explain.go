package health

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/verdict"
)

const (
	maxExplained = 3
	maxEvents    = 5    // of one trouble
	maxLines     = 20   // of one log
	maxLine      = 2000 // bytes; who masks it cuts it further
	// explaining is how long one trouble may take to be explained.
	explaining = 10 * time.Second
)

// Explain asks the cluster for the last warnings about the first few of some troubles, and
// for the last that their containers wrote. A trouble that names no pod is explained by the
// worst one of the workload. What can't be had, for whatever reason, stays empty.
//
// Nothing is masked. Lines are cut after a word, so that a value without spaces is in them
// in full or not at all.
func Explain(ctx context.Context, c *cluster.Connection, troubles []verdict.Trouble) []verdict.Trouble {
	explained := slices.Clone(troubles)
	var running sync.WaitGroup
	for i := range explained[:min(len(explained), maxExplained)] {
		running.Go(func() {
			bounded, cancel := context.WithTimeout(ctx, explaining)
			defer cancel()
			explain(bounded, c, &explained[i])
		})
	}
	running.Wait()
	return explained
}

func explain(ctx context.Context, c *cluster.Connection, t *verdict.Trouble) {
	var about []types.UID
	name, container := t.Pod, t.Container
	if name == "" {
		about, name, container = concerned(ctx, c, t.Ref)
	}
	if name != "" {
		pod, err := c.Read(ctx, gitops.ObjectRef{Version: "v1", Kind: aPod, Namespace: t.Ref.Namespace, Name: name})
		if err == nil && pod != nil {
			about = append(about, pod.GetUID())
			t.Log = logOf(ctx, c, pod, container)
		}
	}
	t.Events = warnings(ctx, c, t.Ref.Namespace, about)
}

// concerned are the objects, besides pods, that warnings about a workload are of, and that
// pod, and container, of its newest revision that is the least well, if one is not. A
// Deployment has its ReplicaSet make its pods, and that is warned about what keeps it.
func concerned(ctx context.Context, c *cluster.Connection, ref gitops.ObjectRef) (about []types.UID, pod, container string) {
	object, err := c.Read(ctx, ref)
	if err != nil || object == nil {
		return nil, "", ""
	}
	about = append(about, object.GetUID())
	if revisions, err := revisionsOf(ctx, c, object); err == nil && kindOf(object) == aDeployment {
		if newest, known := newestOf(object, revisions); known {
			about = append(about, newest.owner)
		}
	}
	pods, err := podsOf(ctx, c, object)
	if err != nil || len(pods) == 0 || well(pods[0]) {
		return about, "", ""
	}
	for _, c := range pods[0].Containers {
		if !c.Ready {
			return about, pods[0].Name, c.Name
		}
	}
	return about, pods[0].Name, ""
}

// warnings are the last about some objects, newest last.
func warnings(ctx context.Context, c *cluster.Connection, namespace string, about []types.UID) []string {
	slices.Sort(about)
	var events []corev1.Event
	for _, uid := range slices.Compact(about) {
		events = append(events, warningsAbout(ctx, c, namespace, uid)...)
	}
	slices.SortStableFunc(events, func(a, b corev1.Event) int { return lastSeen(a).Compare(lastSeen(b)) })
	var lines []string
	for _, e := range events[max(0, len(events)-maxEvents):] {
		lines = append(lines, lineOf(e))
	}
	return lines
}

// warningsAbout are the warnings about one object, and about no other that has its name.
func warningsAbout(ctx context.Context, c *cluster.Connection, namespace string, uid types.UID) []corev1.Event {
	list, err := c.List(ctx, gitops.ObjectRef{Version: "v1", Kind: "Event", Namespace: namespace}, metav1.ListOptions{
		FieldSelector: fields.Set{"involvedObject.uid": string(uid), "type": corev1.EventTypeWarning}.String(),
	})
	if err != nil {
		return nil
	}
	var events []corev1.Event
	for _, object := range list {
		var e corev1.Event
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &e); err == nil {
			events = append(events, e)
		}
	}
	return events
}

// lastSeen is when an event happened last. Which of the fields says so depends on who
// wrote it.
func lastSeen(e corev1.Event) time.Time {
	seen := e.LastTimestamp.Time
	if e.Series != nil && e.Series.LastObservedTime.After(seen) {
		seen = e.Series.LastObservedTime.Time
	}
	for _, otherwise := range []time.Time{e.EventTime.Time, e.CreationTimestamp.Time} {
		if seen.IsZero() {
			seen = otherwise
		}
	}
	return seen
}

func lineOf(e corev1.Event) string {
	times, often := int(e.Count), ""
	if e.Series != nil {
		times = max(times, int(e.Series.Count))
	}
	if times > 1 {
		often = fmt.Sprintf(" (%d times)", times)
	}
	return cut(cmp.Or(e.Reason, "Warning")+": "+newlines.Replace(strings.TrimSpace(e.Message)), maxLine-len(often)) + often
}

var newlines = strings.NewReplacer("\r\n", " ", "\n", " ")

// logOf are the last lines that a container wrote before it ended, or if it has not ended
// since it was last ready, those of the run that there is.
func logOf(ctx context.Context, c *cluster.Connection, object *unstructured.Unstructured, container string) []string {
	pod, err := podIn(object)
	if err != nil {
		return nil
	}
	s, known := statusesOf(pod)[container]
	began := s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil
	if !known || !began {
		return nil // a log would only say so
	}
	text, err := c.Log(ctx, cluster.Run{Namespace: pod.Namespace, Pod: pod.Name, Container: container, Previous: telling(s)}, maxLines)
	if err != nil {
		return nil
	}
	lines := strings.Split(strings.TrimRight(string(text), "\r\n"), "\n")
	for i := range lines {
		lines[i] = cut(strings.TrimRight(lines[i], "\r"), maxLine)
	}
	if len(lines) == 1 && lines[0] == "" {
		return nil
	}
	return lines[max(0, len(lines)-maxLines):]
}

// telling reports whether the run before the last is the one that says why a container
// does not run: one that waits is to a kubelet a run of its own, and so is one that was
// begun again. A run that has ended, and was not begun again, is the last.
func telling(s corev1.ContainerStatus) bool {
	return s.State.Terminated == nil && s.LastTerminationState.Terminated != nil && !s.Ready
}

// cut shortens a line to so many bytes, after a word: half a value could no longer be
// masked.
func cut(line string, most int) string {
	const more = "…"
	line = strings.ToValidUTF8(line, "?")
	if len(line) <= most {
		return line
	}
	end := strings.LastIndexAny(line[:most-len(more)+1], " \t")
	return strings.TrimRight(line[:max(0, end)], " \t") + more
}
