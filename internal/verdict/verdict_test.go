package verdict

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/davitops/davit/internal/gitops"
)

var (
	noon    = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	web     = gitops.ObjectRef{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: "web"}
	api     = gitops.ObjectRef{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: "api"}
	migrate = gitops.ObjectRef{Group: "batch", Version: "v1", Kind: "Job", Namespace: "shop", Name: "migrate"}
	db      = gitops.ObjectRef{Group: "apps", Version: "v1", Kind: "StatefulSet", Namespace: "shop", Name: "db"}
)

func well(ref gitops.ObjectRef) Workload {
	return Workload{Ref: ref, State: Current, Wanted: 1, Ready: 1, Pods: []Pod{{Name: ref.Name + "-1", Ready: true, Created: noon, Containers: []Container{{Name: "main", Ready: true}}}}}
}

// with is a workload whose one container is as given.
func with(ref gitops.ObjectRef, c Container) Workload {
	c.Name = "main"
	return Workload{Ref: ref, State: InProgress, Wanted: 1, Pods: []Pod{{Name: ref.Name + "-1", Created: noon, Containers: []Container{c}}}}
}

func crashing(ref gitops.ObjectRef) Workload {
	return with(ref, Container{Waiting: "CrashLoopBackOff", Restarts: 3, Ended: "Error", ExitCode: 1})
}

func TestTroubles(t *testing.T) {
	t.Parallel()
	pod := func(p Pod) Workload {
		p.Name, p.Created = "web-1", noon
		return Workload{Ref: web, State: InProgress, Pods: []Pod{p}}
	}
	for _, test := range []struct {
		name string
		w    Workload
		at   time.Duration
		want []string // "reason final"
	}{
		{"a container that runs", well(web), 0, nil},
		{"an image that does not come", with(web, Container{Waiting: "ImagePullBackOff"}), 0, []string{"ImagePullBackOff true"}},
		{"an image that did not come at first", with(web, Container{Waiting: "ErrImagePull"}), 0, []string{"ErrImagePull false"}},
		{"a name that is no image", with(web, Container{Waiting: "InvalidImageName"}), 0, []string{"InvalidImageName true"}},
		{"a container that is being made", with(web, Container{Waiting: "ContainerCreating"}), 0, nil},
		{"a container that can't be made yet", with(web, Container{Waiting: "CreateContainerConfigError", Message: `secret "x" not found`}), 0, []string{"CreateContainerConfigError false"}},
		{"a container that can't be made", with(web, Container{Waiting: "CreateContainerConfigError", Message: `secret "x" not found`}), time.Minute + 1, []string{"CreateContainerConfigError true"}},
		{"the first crash", with(web, Container{Waiting: "CrashLoopBackOff", Restarts: 1}), 0, []string{"CrashLoopBackOff false"}},
		{"the second", with(web, Container{Waiting: "CrashLoopBackOff", Restarts: 2}), 0, []string{"CrashLoopBackOff true"}},
		{"memory, once", with(web, Container{Ended: "OOMKilled", Restarts: 1}), 0, []string{"OOMKilled false"}},
		{"memory, again and again", with(web, Container{Waiting: "CrashLoopBackOff", Ended: "OOMKilled", Restarts: 2}), 0, []string{"OOMKilled true"}},
		{"memory, long ago", with(web, Container{Ready: true, Ended: "OOMKilled", Restarts: 5}), 0, nil},
		{"no node yet", pod(Pod{Unschedulable: "0/3 nodes are available"}), 3 * time.Minute, []string{"Unschedulable false"}},
		{"no node for long", pod(Pod{Unschedulable: "0/3 nodes are available"}), 3*time.Minute + 1, []string{"Unschedulable true"}},
		{"its own status", Workload{Ref: web, State: Failing, Message: "exceeded its progress deadline"}, 0, []string{"Failed true"}},
		{"several pods, of which one is worse", Workload{Ref: web, Pods: []Pod{
			with(web, Container{Waiting: "CrashLoopBackOff", Restarts: 1}).Pods[0], crashing(web).Pods[0], with(web, Container{Waiting: "CrashLoopBackOff", Restarts: 1}).Pods[0],
		}}, 0, []string{"CrashLoopBackOff true"}},
		{"many pods alike", Workload{Ref: web, State: Failing, Pods: []Pod{crashing(web).Pods[0], crashing(web).Pods[0]}}, 0, []string{"CrashLoopBackOff true", "Failed true"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, trouble := range test.w.Troubles(noon.Add(test.at)) {
				got = append(got, fmt.Sprint(trouble.Reason, " ", trouble.Final))
				if trouble.Ref != web {
					t.Errorf("it is of %s", trouble.Ref)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// TestJob holds that a Job itself says when its containers have ended too often.
func TestJob(t *testing.T) {
	t.Parallel()
	job := gitops.ObjectRef{Group: "batch", Version: "v1", Kind: "Job", Namespace: "shop", Name: "migrate"}
	for _, c := range []Container{{Waiting: "CrashLoopBackOff", Restarts: 5}, {Ended: "OOMKilled", Restarts: 5}} {
		if got := with(job, c).Troubles(noon); len(got) != 1 || got[0].Final {
			t.Errorf("%+v", got)
		}
	}
	if got := with(job, Container{Waiting: "ImagePullBackOff"}).Troubles(noon); len(got) != 1 || !got[0].Final {
		t.Errorf("%+v", got)
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	unready := func(ref gitops.ObjectRef) Workload { w := well(ref); w.Ready, w.Pods[0].Ready = 0, false; return w }
	restarted := func(ref gitops.ObjectRef, n int) Workload {
		w := well(ref)
		w.Pods[0].Containers[0].Restarts = n
		return w
	}
	part := well(web)
	part.Wanted, part.Pods[0].Name = 20, "web-another"
	all := []Workload{well(web), well(api), well(db)}
	changed := []gitops.ObjectRef{web}
	for _, test := range []struct {
		name string
		q    Question
		over bool
		want Ending
		of   []gitops.ObjectRef // the troubles
	}{
		{"too early", Question{Changed: changed, Before: all, Settled: all, Now: all}, false, Pending, nil},
		{"well at the end", Question{Changed: changed, Before: all, Settled: all, Now: all}, true, Healthy, nil},
		{"nothing runs pods", Question{}, true, Healthy, nil},
		{"what changed crashes", Question{Changed: changed, Before: all, Settled: all, Now: []Workload{crashing(web), well(api), well(db)}}, false, Degraded, []gitops.ObjectRef{web}},
		{"what is new crashes", Question{Changed: changed, Before: all[1:], Settled: all, Now: []Workload{crashing(web), well(api)}}, false, Degraded, []gitops.ObjectRef{web}},
		{"it crashed before, and never came up", Question{Changed: changed, Before: []Workload{crashing(web)}, Settled: []Workload{crashing(web)}, Now: []Workload{crashing(web)}}, true, Healthy, nil},
		{"it crashed before, came up, and crashes again", Question{Changed: changed, Before: []Workload{crashing(web)}, Settled: all, Now: []Workload{crashing(web)}}, true, Degraded, []gitops.ObjectRef{web}},
		{"it was not ready before, and never was", Question{Changed: changed, Before: []Workload{unready(web)}, Settled: []Workload{unready(web)}, Now: []Workload{unready(web)}}, true, Healthy, nil},
		{"something else crashes", Question{Changed: changed, Before: all, Settled: all, Now: []Workload{well(web), crashing(api), well(db)}}, true, Inconclusive, []gitops.ObjectRef{api}},
		{"something else crashes, for now", Question{Changed: changed, Before: all, Settled: all, Now: []Workload{well(web), crashing(api), well(db)}}, false, Pending, nil},
		{"a job that removed itself", Question{Changed: []gitops.ObjectRef{migrate}, Settled: []Workload{{Ref: migrate, State: Current}}, Now: []Workload{{Ref: migrate, State: Absent}}}, true, Healthy, nil},
		{"not ready just now", Question{Changed: changed, Before: all, Settled: all, Now: []Workload{unready(web)}, At: noon.Add(time.Minute - 1)}, true, Pending, nil},
		{"it and one other", Question{Changed: changed, Before: all, Settled: all, Now: []Workload{crashing(web), crashing(api), well(db)}}, false, Degraded, []gitops.ObjectRef{web}},
		{"it and all others", Question{Changed: changed, Before: all, Settled: all, Now: []Workload{crashing(web), crashing(api), crashing(db)}}, false, Inconclusive, []gitops.ObjectRef{web, api, db}},
		{"not ready for a moment", Question{Changed: changed, Before: all, Settled: all, Now: []Workload{unready(web)}}, false, Pending, nil},
		{"not ready for long", Question{Changed: changed, Before: all, Settled: all, Now: []Workload{unready(web)}, At: noon.Add(time.Minute)}, true, Degraded, []gitops.ObjectRef{web}},
		{"one restart", Question{Changed: changed, Before: all, Settled: all, Now: []Workload{restarted(web, 1)}}, true, Healthy, nil},
		{"restarts while it is watched", Question{Changed: changed, Before: all, Settled: all, Now: []Workload{restarted(web, 2)}}, false, Degraded, []gitops.ObjectRef{web}},
		{"restarts from before", Question{Changed: changed, Before: all, Settled: []Workload{restarted(web, 2)}, Now: []Workload{restarted(web, 3)}}, true, Healthy, nil},
		{"restarts of a pod that was not told of", Question{Changed: changed, Before: all, Settled: []Workload{part}, Now: []Workload{restarted(web, 3)}}, true, Healthy, nil},
		{"somebody deletes it", Question{Changed: changed, Before: all, Settled: all, Now: []Workload{{Ref: web, State: Absent}}}, false, Degraded, []gitops.ObjectRef{web}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.q.Until = noon.Add(time.Minute); test.q.At.IsZero() {
				test.q.At = noon
			}
			if test.over {
				test.q.Until = noon
			}
			got := Judge(test.q)
			var of []gitops.ObjectRef
			for _, trouble := range got.Troubles {
				of = append(of, trouble.Ref)
			}
			if got.Ending != test.want || !slices.Equal(of, test.of) {
				t.Errorf("%q of %v, want %q of %v", got.Ending, of, test.want, test.of)
			}
			if (got.Ending == Inconclusive) != (got.Why != "") {
				t.Errorf("why: %q", got.Why)
			}
		})
	}
}

func TestBareSaysNothing(t *testing.T) {
	t.Parallel()
	w := Workload{Ref: web, Message: "secret", Pods: []Pod{{Name: "web-1", Unschedulable: "secret", Containers: []Container{{Name: "main", Waiting: "CrashLoopBackOff", Message: "secret"}}}}}
	bare := w.Bare()
	if text := fmt.Sprint(bare); slices.Contains([]string{bare.Message, bare.Pods[0].Unschedulable, bare.Pods[0].Containers[0].Message}, "secret") {
		t.Error(text)
	}
	if w.Pods[0].Containers[0].Message != "secret" || !bare.unwell(noon.Add(time.Hour)) {
		t.Error("the workload itself is another one now, or nothing is left to compare with")
	}
}
