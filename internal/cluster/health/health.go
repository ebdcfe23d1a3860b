// Package health looks at the objects of a cluster that run pods, and at the pods of their
// newest revision, and fills the facts of verdict with what is there; of what is wrong it
// asks for events and logs.
//
// It judges nothing, writes nothing and masks nothing: all texts are a cluster's own, and
// may hold what no pull request may show. A pod counts for the object that controls it,
// by UID, and never for its labels alone.
package health

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/verdict"
)

// parallel is how many workloads are looked at at a time.
const parallel = 8

// RunsPods reports whether objects of a kind run pods, and stay with them: a CronJob only
// makes Jobs.
func RunsPods(ref gitops.ObjectRef) bool {
	switch (schema.GroupKind{Group: ref.Group, Kind: ref.Kind}).String() {
	case aDeployment, aStatefulSet, aDaemonSet, aReplicaSet, aJob, aPod:
		return true
	}
	return false
}

// Look looks at those of some objects that run pods. They are sorted, and each comes once.
// Who may not read pods, or what tells the newest of them, sees none. The error wraps a
// *cluster.Error if it is the cluster's.
func Look(ctx context.Context, c *cluster.Connection, refs []gitops.ObjectRef) ([]verdict.Workload, error) {
	refs = slices.DeleteFunc(slices.Clone(refs), func(ref gitops.ObjectRef) bool { return !RunsPods(ref) })
	slices.SortFunc(refs, gitops.ObjectRef.Compare)
	refs = slices.CompactFunc(refs, func(a, b gitops.ObjectRef) bool { return a.Identity() == b.Identity() })
	workloads := make([]verdict.Workload, len(refs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, ref := range refs {
		group.Go(func() (err error) {
			if workloads[i], err = look(ctx, c, ref); err != nil {
				return fmt.Errorf("look at %s: %w", ref, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return workloads, nil
}

func look(ctx context.Context, c *cluster.Connection, ref gitops.ObjectRef) (verdict.Workload, error) {
	object, err := c.Read(ctx, ref)
	if err != nil {
		return verdict.Workload{}, err
	}
	if object == nil {
		return verdict.Workload{Ref: ref, State: verdict.Absent}, nil
	}
	w := verdict.Workload{Ref: ref}
	w.State, w.Message = StateOf(object)
	w.Wanted, w.Ready = counts(object)
	if w.Pods, err = podsOf(ctx, c, object); forbidden(err) {
		err = nil
	}
	return w, err
}

func forbidden(err error) bool {
	var fault *cluster.Error
	return errors.As(err, &fault) && fault.Class == cluster.Forbidden
}

// counts are how many pods an object wants, and how many of its pods are ready, by its
// status. A Job that has come to its end wants none.
func counts(object *unstructured.Unstructured) (wanted, ready int) {
	switch kindOf(object) {
	case aDaemonSet:
		return number(object, 0, "status", "desiredNumberScheduled"), number(object, 0, "status", "numberReady")
	case aJob:
		if over(object) || suspended(object) {
			return 0, 0
		}
		atOnce := number(object, 1, "spec", "parallelism")
		left := number(object, atOnce, "spec", "completions") - number(object, 0, "status", "succeeded")
		return max(0, min(atOnce, left)), number(object, 0, "status", "ready")
	case aPod:
		if ready, _ := Condition(object, "Ready"); ready || text(object, "status", "phase") == "Succeeded" {
			return 1, 1
		}
		return 1, 0
	}
	return number(object, 1, "spec", "replicas"), number(object, 0, "status", "readyReplicas")
}
