package watch_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/davitops/davit/internal/cluster/watch"
	"github.com/davitops/davit/internal/plan"
	"github.com/davitops/davit/internal/verdict"
)

// patient is how long these tests would wait: longer than they have.
const patient = 10 * time.Minute

// tagged is the deployment with another image, and with as much time as patient.
func tagged(tag string) string {
	return strings.NewReplacer("web:1", "web:"+tag, "spec:\n  selector", "spec:\n  progressDeadlineSeconds: 600\n  selector").Replace(deployment)
}

// patiently waits for one object, as somebody whose clock is so.
func patiently(t *testing.T, now func() time.Time, e watch.Expectation) watch.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	statuses, err := watch.Watcher{Cluster: connect(t, ""), Owner: owner, Now: now}.Wait(ctx, []watch.Expectation{e})
	if err != nil || ctx.Err() != nil {
		t.Fatalf("it ends with %v, %v", statuses, err)
	}
	return statuses[0]
}

// retag changes the image of a deployment, and what is waited for.
func (p *place) retag(t *testing.T, tag string) {
	t.Helper()
	patch := `{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"registry.example/web:` + tag + `"}]}}}}`
	var err error
	if p.made, err = p.Patch(t.Context(), p.name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestFailsFast waits for what will not come up.
func TestFailsFast(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	late := func() time.Time { return time.Now().Add(2 * time.Minute) }
	later := func() time.Time { // nothing of a pod changes then
		if time.Since(begun) < 5*time.Second {
			return time.Now()
		}
		return late()
	}
	daemon := strings.NewReplacer("kind: Deployment", "kind: DaemonSet", "web:1", "web:fail-crash").Replace(deployment)
	pod := "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: web, image: 'registry.example/web:fail-crash'}]}}"
	for _, row := range []struct {
		name, object string
		now          func() time.Time
		saying       []string
	}{
		{"pull", tagged("fail-pull"), nil, []string{"container web of pod web-", "ImagePull", "registry.example/web:fail-pull"}},
		{"crash", tagged("fail-crash"), nil, []string{"container web of pod web-", "CrashLoopBackOff: it ended with exit code 1, and was restarted"}},
		{"memory", tagged("fail-oom"), nil, []string{"container web of pod web-", ": OOMKilled: ", ", and was restarted"}},
		{"stateful", strings.Replace(stateful, "web:1", "web:fail-crash", 1), nil, []string{"container web of pod web-0: CrashLoopBackOff: "}},
		{"daemon", daemon, nil, []string{"container web of pod web-", ": CrashLoopBackOff: "}},
		{"pod", pod, nil, []string{"container web of pod web: CrashLoopBackOff: "}},
		{"placing", tagged("fail-pending"), late, []string{"pod web-", ": Unschedulable: 0/", "Insufficient memory"}},
		{"placing-later", tagged("fail-pending"), later, []string{"pod web-", ": Unschedulable: 0/"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := patiently(t, row.now, deploy(t, row.object).expectation())
			if s.State != verdict.Failing {
				t.Errorf("it is %s: %s", s.State, s.Message)
			}
			for _, part := range row.saying {
				if !strings.Contains(s.Message, part) {
					t.Errorf("%q is not in %q", part, s.Message)
				}
			}
		})
	}
}

// TestNewestRevision holds that pods of an older revision are no evidence.
func TestNewestRevision(t *testing.T) {
	t.Parallel()
	p := deploy(t, tagged("fail-crash"))
	if s := patiently(t, nil, p.expectation()); s.State != verdict.Failing {
		t.Fatalf("it is %s: %s", s.State, s.Message)
	}
	p.retag(t, "fail-slow") // the pod that crashes stays until the new one is ready
	if s := patiently(t, nil, p.expectation()); s.State != verdict.Current {
		t.Fatalf("what crashed before is held against it: it is %s: %s", s.State, s.Message)
	}
	p.retag(t, "fail-pull") // and now the pod that is well stays
	if s := patiently(t, nil, p.expectation()); s.State != verdict.Failing || !strings.Contains(s.Message, "ImagePull") {
		t.Errorf("it is %s: %s", s.State, s.Message)
	}
}

// TestPodsForbidden holds that who may not see pods waits without them.
func TestPodsForbidden(t *testing.T) {
	t.Parallel()
	p := deploy(t, tagged("fail-pull"))
	namespace := p.made.GetNamespace()
	playground.Kubectl(t, "", "create", "role", "deployments", "-n", namespace, "--verb=get,list,watch", "--resource=deployments.apps")
	playground.Kubectl(t, "", "create", "rolebinding", "deployments", "-n", namespace, "--role=deployments", "--user="+namespace)
	refused := func() (n int) {
		for _, q := range playground.Requests(t, 1, plan.Manager) {
			if strings.Contains(q.URI, "/"+namespace+"/pods?") && q.Status.Code == 403 {
				n++
			}
		}
		return n
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		for ticker := time.NewTicker(100 * time.Millisecond); refused() == 0 && ctx.Err() == nil; {
			<-ticker.C
		}
		time.AfterFunc(3*time.Second, cancel) // what may be tried again is, by then
	}()
	statuses, err := watch.Watcher{Cluster: connect(t, namespace), Owner: owner}.Wait(ctx, []watch.Expectation{p.expectation()})
	<-asked
	if err != nil || statuses[0].State != verdict.InProgress {
		t.Errorf("it ends with %v, %v", statuses, err)
	}
	if n := refused(); n != 1 {
		t.Errorf("it asked %d times for pods that it may not see", n)
	}
}

// TestCompany holds that others are not waited for to the end when one has failed.
func TestCompany(t *testing.T) {
	t.Parallel()
	var expected []watch.Expectation
	for i, object := range []string{slow(deployment), tagged("fail-pull"), config} {
		t.Run(strconv.Itoa(i), func(t *testing.T) { expected = append(expected, deploy(t, object).expectation()) })
	}
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	statuses, err := watch.Watcher{Cluster: connect(t, ""), Owner: owner}.Wait(ctx, expected)
	var got []verdict.State
	for _, s := range statuses {
		got = append(got, s.State)
	}
	if diff := cmp.Diff([]verdict.State{verdict.InProgress, verdict.Failing, verdict.Current}, got); diff != "" || err != nil || ctx.Err() != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
