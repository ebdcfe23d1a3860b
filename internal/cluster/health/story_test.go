package health_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/cluster/health"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/plan"
	"github.com/davitops/davit/internal/verdict"
)

// varies is what differs from one run of a test to the next.
var varies = cmp.Options{
	cmpopts.IgnoreFields(verdict.Workload{}, "Ref", "Message"), cmpopts.IgnoreFields(verdict.Pod{}, "Name", "Created", "Unschedulable"),
	cmpopts.IgnoreFields(verdict.Container{}, "Message"),
}

// current reports whether a workload is as it should be.
func current(w verdict.Workload) bool { return w.State == verdict.Current }

// final reports whether a workload is in trouble that does not pass.
func final(w verdict.Workload) bool {
	return slices.ContainsFunc(w.Troubles(time.Now().Add(time.Hour)), func(t verdict.Trouble) bool { return t.Final })
}

// restarted reports whether a container of the first pod waits after so many restarts.
func restarted(times int) func(verdict.Workload) bool {
	return func(w verdict.Workload) bool {
		return len(w.Pods) > 0 && w.Pods[0].Containers[0].Restarts == times && w.Pods[0].Containers[0].Waiting != ""
	}
}

// TestLook looks at workloads of every kind, whatever becomes of them.
func TestLook(t *testing.T) {
	t.Parallel()
	running := func(tag string) verdict.Pod {
		return verdict.Pod{Ready: true, Phase: "Running", Containers: []verdict.Container{{Name: "web", Image: "registry.example/web:" + tag, Ready: true}}}
	}
	failing := func(phase string, c verdict.Container) verdict.Pod {
		c.Name, c.Image = "web", "registry.example/web:"+c.Image
		return verdict.Pod{Phase: phase, Containers: []verdict.Container{c}}
	}
	crashed := failing("Running", verdict.Container{Image: "fail-crash", Restarts: 3, Waiting: "CrashLoopBackOff", Ended: "Error", ExitCode: 1})
	two := func(p verdict.Pod) []verdict.Pod { return []verdict.Pod{p, p} }
	for _, row := range []struct {
		name, object string
		until        func(verdict.Workload) bool
		want         verdict.Workload
	}{
		{"well", web("1"), current, verdict.Workload{State: verdict.Current, Wanted: 2, Ready: 2, Pods: two(running("1"))}},
		{"slow", web("fail-slow"), current, verdict.Workload{State: verdict.Current, Wanted: 2, Ready: 2, Pods: two(running("fail-slow"))}},
		{"none", strings.Replace(web("1"), "replicas: 2", "replicas: 0", 1), current, verdict.Workload{State: verdict.Current}},
		{"crash", of("StatefulSet", web("fail-crash")), restarted(3), verdict.Workload{State: verdict.InProgress, Wanted: 2, Pods: []verdict.Pod{crashed}}},
		{
			"memory", of("DaemonSet", web("fail-oom")), restarted(3), verdict.Workload{State: verdict.InProgress, Wanted: 1, Pods: []verdict.Pod{
				failing("Running", verdict.Container{Image: "fail-oom", Restarts: 3, Waiting: "CrashLoopBackOff", Ended: "OOMKilled", ExitCode: 137}),
			}},
		},
		{
			"pull", web("fail-pull"), func(w verdict.Workload) bool {
				return len(w.Pods) == 2 && !slices.ContainsFunc(w.Pods, func(p verdict.Pod) bool { return p.Containers[0].Waiting != "ImagePullBackOff" })
			}, verdict.Workload{State: verdict.InProgress, Wanted: 2, Pods: two(failing("Pending", verdict.Container{Image: "fail-pull", Waiting: "ImagePullBackOff"}))},
		},
		{
			"unready", of("ReplicaSet", web("fail-unready")), func(w verdict.Workload) bool { return len(w.Pods) == 2 && w.Pods[1].Phase == "Running" },
			verdict.Workload{State: verdict.InProgress, Wanted: 2, Pods: two(failing("Running", verdict.Container{Image: "fail-unready"}))},
		},
		{
			"pending", of("Pod", web("fail-pending")), final,
			verdict.Workload{State: verdict.InProgress, Wanted: 1, Pods: []verdict.Pod{failing("Pending", verdict.Container{Image: "fail-pending"})}},
		},
		{"crash of a pod", of("Pod", web("fail-crash")), restarted(3), verdict.Workload{State: verdict.InProgress, Wanted: 1, Pods: []verdict.Pod{crashed}}},
		{"job", of("Job", web("1")), current, verdict.Workload{State: verdict.Current, Pods: []verdict.Pod{
			{Ready: true, Phase: "Succeeded", Containers: []verdict.Container{{Name: "web", Image: "registry.example/web:1", Ended: "Completed"}}},
		}}}, // a kubelet would take its readiness away
		{
			"job that fails", of("Job", web("fail-crash")), final, verdict.Workload{State: verdict.Failing, Pods: []verdict.Pod{
				failing("Failed", verdict.Container{Image: "fail-crash", Ended: "Error", ExitCode: 1}),
			}},
		},
	} {
		t.Run(strings.ReplaceAll(row.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			c := connect(t, "")
			w := await(t, c, deploy(t, namespace(t), row.object), row.until)
			if diff := cmp.Diff(row.want, w, varies); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, p := range w.Pods {
				if p.Created.IsZero() || p.Name == "" || (p.Unschedulable != "") != (row.name == "pending") {
					t.Errorf("the pod is %+v", p)
				}
			}
		})
	}
}

// TestExplain asks why workloads are in trouble.
func TestExplain(t *testing.T) {
	t.Parallel()
	running := []string{"starting", "reading the configuration", "listening on :8080"}
	for _, row := range []struct {
		name, object string
		until        func(verdict.Workload) bool
		event        string   // part of one
		log          []string // its last lines
	}{
		{"crash", web("fail-crash"), final, "BackOff: Back-off restarting failed container web in pod web-", []string{"goroutine 1 [running]:", "main.main()", "\t/src/main.go:42 +0x1d"}},
		{"memory", web("fail-oom"), final, "BackOff: Back-off restarting failed container web", []string{"loading the catalogue: 1024 MiB", "fatal: out of memory"}},
		{"pull", web("fail-pull"), final, "registry.example/web:fail-pull: not found", nil},
		{"pending", web("fail-pending"), final, "FailedScheduling: 0/1 nodes are available: 1 Insufficient memory.", nil},
		{"job", of("Job", web("fail-crash")), final, "BackoffLimitExceeded: Job has reached the specified backoff limit", []string{"main.main()", "\t/src/main.go:42 +0x1d"}},
		{"unready", web("fail-unready"), func(w verdict.Workload) bool { return len(w.Pods) > 0 && w.Pods[0].Phase == "Running" }, "Unhealthy: Readiness probe failed: ", running},
		{"kept from it", strings.Replace(web("1"), "{containers", "{hostNetwork: true, containers", 1), func(w verdict.Workload) bool {
			return strings.Contains(w.Message, `is forbidden: violates PodSecurity "baseline`)
		}, `FailedCreate: Error creating: pods "web-`, nil},
	} {
		t.Run(strings.ReplaceAll(row.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			c := connect(t, "")
			ref := deploy(t, namespace(t, "pod-security.kubernetes.io/enforce=baseline"), row.object)
			w := await(t, c, ref, row.until)
			troubles := w.Troubles(time.Now())
			if len(troubles) == 0 {
				troubles = []verdict.Trouble{{Ref: ref, Reason: "NotReady"}}
			}
			explained := explain(t, c, troubles[0], func(t verdict.Trouble) bool {
				return slices.ContainsFunc(t.Events, func(line string) bool { return strings.Contains(line, row.event) })
			})
			if got := explained.Log[max(0, len(explained.Log)-len(row.log)):]; !slices.Equal(got, row.log) || len(row.log) == 0 && len(explained.Log) > 0 {
				t.Errorf("the log is %q", explained.Log)
			}
			explained.Events, explained.Log = nil, nil
			if diff := cmp.Diff(troubles[0], explained); diff != "" {
				t.Errorf("it became another trouble (-was +is):\n%s", diff)
			}
		})
	}
}

// explain explains a trouble until it is explained well: events are written after what
// they tell of.
func explain(t *testing.T, c *cluster.Connection, trouble verdict.Trouble, well func(verdict.Trouble) bool) verdict.Trouble {
	t.Helper()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	limit := time.After(30 * time.Second)
	for {
		explained := health.Explain(t.Context(), c, []verdict.Trouble{trouble})
		if well(explained[0]) {
			return explained[0]
		}
		select {
		case <-ticker.C:
		case <-limit:
			t.Fatalf("it is explained as %+v", explained[0])
		}
	}
}

// TestFew holds that only the first troubles are explained, and that what is not there is
// no error.
func TestFew(t *testing.T) {
	t.Parallel()
	c := connect(t, "")
	ref := deploy(t, namespace(t), web("fail-crash"))
	w := await(t, c, ref, final)
	trouble := w.Troubles(time.Now())[0]
	gone, other := trouble, trouble
	gone.Pod = "web-gone"
	other.Ref.Namespace, other.Pod = "nowhere", ""
	explain(t, c, trouble, func(t verdict.Trouble) bool { return len(t.Events) > 0 })
	var explained []bool
	for _, x := range health.Explain(t.Context(), c, []verdict.Trouble{trouble, gone, other, trouble}) {
		explained = append(explained, len(x.Events) > 0 && len(x.Log) > 0)
	}
	if diff := cmp.Diff([]bool{true, false, false, false}, explained); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if x := health.Explain(t.Context(), c, nil); len(x) > 0 {
		t.Errorf("no trouble is explained as %v", x)
	}
}

// TestNewest changes workloads, and holds that only pods of the newest revision are told.
func TestNewest(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"Deployment", "StatefulSet", "DaemonSet"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c, namespace := connect(t, ""), namespace(t)
			ref := deploy(t, namespace, of(kind, web("1")))
			await(t, c, ref, current)
			for _, tag := range []string{"2", "1", "fail-unready"} { // back and forth: an old revision becomes the newest again
				deploy(t, namespace, of(kind, web(tag)))
				is := current
				if tag == "fail-unready" {
					is = func(w verdict.Workload) bool { return len(w.Pods) > 0 && w.Pods[0].Phase == "Running" }
				}
				w := await(t, c, ref, is)
				for _, p := range w.Pods {
					if p.Containers[0].Image != "registry.example/web:"+tag {
						t.Errorf("after the change to %s, a pod of the newest revision is %+v", tag, p)
					}
				}
				if want := map[string]int{"Deployment": 2, "StatefulSet": 2, "DaemonSet": 1}[kind]; tag != "fail-unready" && len(w.Pods) != want {
					t.Errorf("after the change to %s there are %d pods", tag, len(w.Pods))
				}
			}
		})
	}
}

// TestOthers holds that a pod counts for nobody but its controller, and objects that run
// none are not told of.
func TestOthers(t *testing.T) {
	t.Parallel()
	c, namespace := connect(t, ""), namespace(t)
	ref := deploy(t, namespace, web("1"))
	await(t, c, ref, current)
	hash := strings.TrimPrefix(strings.TrimSpace(playground.Kubectl(t, "", "get", "replicaset", "-n", namespace, "-o", "name")), "replicaset.apps/web-")
	uid := playground.Kubectl(t, "", "get", "configmap", "kube-root-ca.crt", "-n", namespace, "-o", "jsonpath={.metadata.uid}")
	pod := deploy(t, namespace, strings.Replace(of("Pod", web("fail-pull")), "{name: web}", `
  name: alike
  labels: {app: web, pod-template-hash: "`+hash+`"}
  ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: kube-root-ca.crt, controller: true, uid: `+uid+`}]`, 1))
	await(t, c, pod, final)
	w := await(t, c, ref, current)
	if len(w.Pods) != 2 || final(w) {
		t.Errorf("it is %+v", w)
	}
	absent, config := ref, gitops.ObjectRef{Version: "v1", Kind: "ConfigMap", Namespace: namespace, Name: "kube-root-ca.crt"}
	absent.Name = "absent"
	cron := gitops.ObjectRef{Group: "batch", Version: "v1", Kind: "CronJob", Namespace: namespace, Name: "c"}
	found, err := health.Look(t.Context(), c, []gitops.ObjectRef{pod, ref, config, absent, cron, ref})
	var got []string
	for _, w := range found {
		got = append(got, w.Ref.Kind+" "+w.Ref.Name+" "+string(w.State))
	}
	if diff := cmp.Diff([]string{"Deployment absent absent", "Deployment web current", "Pod alike in progress"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestIdentity reads the audit log: a cluster is looked at as the repository's identity,
// and what that may not see is not told.
func TestIdentity(t *testing.T) {
	t.Parallel()
	namespace := namespace(t)
	admin, viewer, blind := connect(t, ""), namespace+"-viewer", namespace+"-blind"
	ref := deploy(t, namespace, web("fail-crash"))
	w := await(t, admin, ref, final)
	playground.Kubectl(t, "", "create", "rolebinding", "view", "-n", namespace, "--clusterrole=view", "--user="+viewer)
	playground.Kubectl(t, "", "create", "role", "deployments", "-n", namespace, "--verb=get", "--resource=deployments.apps")
	playground.Kubectl(t, "", "create", "rolebinding", "deployments", "-n", namespace, "--role=deployments", "--user="+blind)
	x := explain(t, connect(t, viewer), w.Troubles(time.Now())[0], func(t verdict.Trouble) bool { return len(t.Events) > 0 })
	if len(x.Log) == 0 {
		t.Error("it may read the log, and does not")
	}
	seen := await(t, connect(t, blind), ref, func(verdict.Workload) bool { return true })
	if seen.State != verdict.InProgress || seen.Wanted != 2 || len(seen.Pods) > 0 {
		t.Errorf("who may not see pods sees %+v", seen)
	}
	if x := health.Explain(t.Context(), connect(t, blind), w.Troubles(time.Now())); len(x[0].Events) > 0 || len(x[0].Log) > 0 {
		t.Errorf("who may not see pods is told %+v", x[0])
	}
	var fault *cluster.Error
	if _, err := health.Look(t.Context(), connect(t, namespace+"-nobody"), []gitops.ObjectRef{ref}); !errors.As(err, &fault) || fault.Class != cluster.Forbidden {
		t.Errorf("who may see nothing is told %v", err)
	}
	logs := 0
	for _, q := range playground.Requests(t, 1, plan.Manager) {
		if !strings.Contains(q.URI, "/"+namespace+"/") {
			continue
		}
		if strings.Contains(q.URI, "/log?") && q.Impersonated != nil && q.Impersonated.Name == viewer && q.Status.Code == 200 {
			logs++
		}
		if q.Writes() {
			t.Errorf("it writes: %s %s", q.Verb, q.URI)
		}
	}
	if logs == 0 {
		t.Error("no log was read as the repository's identity")
	}
}
