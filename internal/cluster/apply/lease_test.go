package apply_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/cluster/apply"
	"github.com/davitops/davit/internal/plan"
)

// TestLease lets several installations work on one target: one at a time, and whoever
// lost the lease writes nothing more.
func TestLease(t *testing.T) {
	t.Parallel()
	t.Run("held", func(t *testing.T) {
		t.Parallel()
		ns := namespace(t, "lease-held")
		c := connect(t, "")
		job := jobOf(t, ns, configs(ns, "c=1"), planOf(t, c, ns, configs(ns, "c=1")))
		var second error
		first := apply.Applier{Cluster: c, Holder: "first", Journal: before("c", func() {
			_, second = apply.Applier{Cluster: connect(t, ""), Holder: "second", Journal: &journal{}}.Run(t.Context(), job)
		})}
		if r, err := first.Run(t.Context(), job); err != nil || r.State != apply.Done {
			t.Fatalf("the first ended %s, %v", r.State, err)
		}
		var held *apply.Held
		if !errors.As(second, &held) || held.Holder != "first" || time.Until(held.Until) > apply.DefaultLease || time.Until(held.Until) < apply.DefaultLease/2 {
			t.Errorf("the second ended with %v", second)
		}
		record, err := c.Inventory(t.Context(), owner(ns))
		if err != nil || record.Holder != "" || record.Fence != 1 || !record.Settled {
			t.Errorf("the record is %+v, %v", record, err)
		}
	})
	for name, second := range map[string]string{"expired": "second", "taken up": "first"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := namespace(t, "lease-"+strings.ReplaceAll(name, " ", "-"))
			c := connect(t, "")
			// Holder first is killed, as far as the record goes.
			job := jobOf(t, ns, configs(ns, "c=1"), planOf(t, c, ns, configs(ns, "c=1")))
			record, err := c.Inventory(t.Context(), owner(ns))
			if err != nil {
				t.Fatal(err)
			}
			record.Holder, record.Fence, record.Renewed = "first", 7, time.Now()
			if name == "expired" {
				record.Renewed = time.Now().Add(-2 * apply.DefaultLease)
			}
			if _, err = c.Save(t.Context(), record); err != nil {
				t.Fatal(err)
			}
			steps := &journal{}
			r, err := apply.Applier{Cluster: c, Holder: second, Journal: steps}.Run(t.Context(), job)
			wants(t, r, err, apply.Done, "ready ConfigMap "+ns+"/c")
			for _, s := range steps.steps {
				if s.Fence != 8 {
					t.Errorf("a step has the fence %d", s.Fence)
				}
			}
		})
	}
}

// waiting is a journal that holds up the step at one object until its job has ended.
type waiting struct {
	t    *testing.T
	name string
	do   func()
}

func (w waiting) Note(ctx context.Context, s apply.Step) error {
	if s.Object.Name != w.name || s.Done {
		return nil
	}
	w.do()
	select {
	case <-ctx.Done():
	case <-time.After(20 * time.Second):
		w.t.Error("the job does not learn that it has lost its lease")
	}
	return nil
}

// TestLeaseLost holds up a job in its journal until another one has taken its lease and
// done the work. It ends with ErrLost, and writes nothing after that.
func TestLeaseLost(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, second string
		cut          bool // the first can't renew its lease, and so does not see that it is lost
	}{
		{name: "seen", second: "first"}, // a killed one's, as far as the second knows
		{name: "expired", second: "second", cut: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			ns := namespace(t, "lease-lost-"+row.name)
			var cut atomic.Bool
			c := through(t, func(r *http.Request) fault {
				if cut.Load() && strings.Contains(r.URL.Path, plan.System) {
					return fault{code: http.StatusServiceUnavailable}
				}
				return fault{}
			})
			objects := configs(ns, "c=1") + "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: early, namespace: " + ns + "}\n"
			job := jobOf(t, ns, objects, planOf(t, c, ns, objects))
			first := apply.Applier{Cluster: c, Holder: "first", Lease: 4 * time.Second, Journal: waiting{t, "c", func() {
				cut.Store(row.cut)
				second := apply.Applier{Cluster: connect(t, ""), Holder: row.second, Lease: 4 * time.Second, Journal: &journal{}}
				r, err := attempt(t, second, ns, configs(ns, "c=2"))
				var held *apply.Held
				if row.cut && errors.As(err, &held) {
					<-time.After(time.Until(held.Until))
					r, err = attempt(t, second, ns, configs(ns, "c=2"))
				}
				if err != nil || r.State != apply.Done || row.cut && held == nil {
					t.Errorf("the second ended %s, %v", r.State, err)
				}
			}}}
			r, err := first.Run(t.Context(), job)
			if !errors.Is(err, cluster.ErrLost) || r.State == apply.Done {
				t.Errorf("the first ended %s, %v: %+v", r.State, err, r.Outcomes)
			}
			if diff := cmp.Diff([]string{"c=2"}, found(t, ns)); diff != "" {
				t.Errorf("the cluster (-want +got):\n%s", diff)
			}
			record, err := connect(t, "").Inventory(t.Context(), owner(ns))
			if err != nil || record.Fence != 2 || record.Holder != "" || !record.Settled {
				t.Errorf("the record is %+v, %v", record, err)
			}
		})
	}
}
