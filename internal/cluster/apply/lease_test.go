package apply_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
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
			r, err := apply.Applier{Cluster: c, Holder: second, Lease: time.Second, Journal: steps}.Run(t.Context(), job)
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
			want := cluster.ErrLost
			if row.cut { // it does not know of the other one
				want = apply.ErrExpired
			}
			if !errors.Is(err, want) || r.State == apply.Done {
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

// TestSkewedClocks holds that a lease is only taken from whoever does not renew it,
// whatever the clocks of the two say.
func TestSkewedClocks(t *testing.T) {
	t.Parallel()
	const lease = 2 * time.Second
	for name, skew := range map[string]time.Duration{"a bit ahead": 2 * time.Minute, "ahead": time.Hour, "behind": -time.Hour} {
		for _, alive := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s %t", name, alive), func(t *testing.T) {
				t.Parallel()
				ns := namespace(t, fmt.Sprintf("skewed-%s-%t", strings.ReplaceAll(name, " ", "-"), alive))
				c := connect(t, "")
				job := jobOf(t, ns, configs(ns, "c=1"), planOf(t, c, ns, configs(ns, "c=1")))
				first := func(record cluster.Record) cluster.Record {
					record.Holder, record.Fence, record.Renewed = "first", 7, time.Now().Add(skew)
					record, err := c.Save(t.Context(), record)
					if err != nil {
						t.Error(err)
					}
					return record
				}
				record, err := c.Inventory(t.Context(), owner(ns))
				if err != nil {
					t.Fatal(err)
				}
				record = first(record)
				var renewing sync.WaitGroup
				ended := make(chan struct{})
				if alive {
					renewing.Go(func() {
						for tick := time.Tick(lease / 4); ; {
							select {
							case <-ended:
								return
							case <-tick:
								record = first(record)
							}
						}
					})
				}
				r, err := apply.Applier{Cluster: c, Holder: "second", Lease: lease, Journal: &journal{}}.Run(t.Context(), job)
				close(ended)
				renewing.Wait()
				var held *apply.Held
				switch {
				case alive && (!errors.As(err, &held) || held.Holder != "first" || time.Until(held.Until) > lease):
					t.Errorf("it ended %s, %v", r.State, err)
				case !alive && (err != nil || r.State != apply.Done):
					t.Errorf("it ended %s, %v", r.State, err)
				}
			})
		}
	}
}

// TestStuck holds up a job in its journal, for shorter than it would learn by itself,
// while another one of the same holder does the work. What the first one then sends
// is stale, and writes nothing.
func TestStuck(t *testing.T) {
	t.Parallel()
	for name, deployed := range map[string][]string{"changes": {"c=0", "d=0"}, "new": {"d=0"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := namespace(t, "stuck-"+name)
			done(t, ns, configs(ns, deployed...))
			c := connect(t, "")
			job := jobOf(t, ns, configs(ns, "c=1", "d=0"), planOf(t, c, ns, configs(ns, "c=1", "d=0")))
			first := applier(c)
			first.Journal = before("c", func() { done(t, ns, configs(ns, "c=2", "d=2")) })
			r, err := first.Run(t.Context(), job)
			if !errors.Is(err, cluster.ErrLost) || r.State != apply.Interrupted {
				t.Errorf("the first ended %s, %v: %+v", r.State, err, r.Outcomes)
			}
			if diff := cmp.Diff([]string{"c=2", "d=2"}, found(t, ns)); diff != "" {
				t.Errorf("the cluster (-want +got):\n%s", diff)
			}
			record, err := c.Inventory(t.Context(), owner(ns))
			if err != nil || record.Fence != 3 || record.Holder != "" || !record.Settled {
				t.Errorf("the record is %+v, %v", record, err)
			}
		})
	}
}

// TestRecordDeleted deletes the record of a target in the midst of a job, which ends; and
// one that is made anew is not taken for the old one.
func TestRecordDeleted(t *testing.T) {
	t.Parallel()
	for _, anew := range []bool{false, true} {
		t.Run(fmt.Sprint(anew), func(t *testing.T) {
			t.Parallel()
			ns := namespace(t, fmt.Sprintf("record-deleted-%t", anew))
			done(t, ns, configs(ns, "c=0"))
			c := connect(t, "")
			job := jobOf(t, ns, configs(ns, "c=1"), planOf(t, c, ns, configs(ns, "c=1")))
			a := applier(c)
			want := cluster.ErrDeleted
			a.Journal = before("c", func() {
				record, err := c.Inventory(t.Context(), owner(ns))
				if err != nil {
					t.Error(err)
				}
				remove(t, plan.System, "inventory-"+owner(ns).Key())
				patch(t, ns, "c", `{"metadata":{"labels":{"x":"y"}}}`) // so that the job asks
				if anew {
					want = cluster.ErrLost
					again := cluster.Record{Owner: record.Owner, Holder: record.Holder, Fence: record.Fence, Renewed: record.Renewed}
					if _, err := c.Save(t.Context(), again); err != nil {
						t.Error(err)
					}
				}
			})
			if r, err := a.Run(t.Context(), job); !errors.Is(err, want) || r.State != apply.Interrupted {
				t.Errorf("it ended %s, %v: %+v", r.State, err, r.Outcomes)
			}
			if diff := cmp.Diff([]string{"c=0"}, found(t, ns)); diff != "" {
				t.Errorf("the cluster (-want +got):\n%s", diff)
			}
		})
	}
}
