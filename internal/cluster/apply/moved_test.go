package apply_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/cluster/apply"
)

// TestForced lets somebody take a field just before it is written, while another one is
// taken over, as it was shown: force is for that one alone.
func TestForced(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "forced")
	object := func(a, b string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: %s}\ndata: {a: %q, b: %q}\n", ns, a, b)
	}
	done(t, ns, object("1", "1"))
	patch(t, ns, "c", `{"data":{"a":"theirs"}}`)
	a := applier(connect(t, ""))
	a.Journal = before("c", func() { patch(t, ns, "c", `{"data":{"b":"theirs"}}`) })
	r, err := attempt(t, a, ns, object("2", "2"))
	wants(t, r, err, apply.Interrupted, "failing ConfigMap forced/c")
	if got := playground.Kubectl(t, "", "get", "configmap", "c", "-n", ns, "-o", "jsonpath={.data}"); got != `{"a":"theirs","b":"theirs"}` {
		t.Errorf("it holds %s", got)
	}
	if !strings.Contains(r.Outcomes[0].Message, "it changed since it was planned") {
		t.Errorf("it is told as %q", r.Outcomes[0].Message)
	}
}

// TestKeepsChanging lets somebody come first each time that an object is written, or is
// deleted: a few times is fine.
func TestKeepsChanging(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		objects []string
		times   int
		state   apply.State
		want    []string
	}{
		{"writes", []string{"c=2"}, 3, apply.Done, []string{"c=2"}},
		{"writes-forever", []string{"c=2"}, 1000, apply.Interrupted, []string{"c=1"}},
		{"deletes", []string{"d=1"}, 3, apply.Done, []string{"d=1"}},
		{"deletes-forever", []string{"d=1"}, 1000, apply.Interrupted, []string{"c=1", "d=1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			ns := namespace(t, "keeps-changing-"+row.name)
			done(t, ns, configs(ns, "c=1"))
			came := 0
			c := through(t, func(r *http.Request) fault {
				write := r.Method != http.MethodGet && !strings.Contains(r.URL.RawQuery, "dryRun") && strings.HasSuffix(r.URL.Path, "/configmaps/c")
				if write && came < row.times {
					came++
					patch(t, ns, "c", `{"metadata":{"labels":{"x":"`+strings.Repeat("y", came)+`"}}}`)
				}
				return fault{}
			})
			r, err := attempt(t, applier(c), ns, configs(ns, row.objects...))
			if err != nil || r.State != row.state {
				t.Fatalf("it ended %s, %v: %+v", r.State, err, r.Outcomes)
			}
			if diff := cmp.Diff(row.want, found(t, ns)); diff != "" {
				t.Errorf("the cluster (-want +got):\n%s", diff)
			}
			for _, o := range r.Outcomes {
				if o.State == apply.Failing && !strings.Contains(o.Message, "it keeps changing") {
					t.Errorf("it is told as %q", o.Message)
				}
			}
		})
	}
}

// TestKeptLate lets somebody take Davit's mark off an object that is about to be deleted:
// they want it to stay.
func TestKeptLate(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "kept-late")
	done(t, ns, configs(ns, "goes=1", "stays=1"))
	a := applier(connect(t, ""))
	a.Journal = before("goes", func() { patch(t, ns, "goes", `{"metadata":{"annotations":{"davit.dev/owner":null}}}`) })
	r, err := attempt(t, a, ns, configs(ns, "stays=1"))
	wants(t, r, err, apply.Interrupted, "failing ConfigMap kept-late/goes")
	r, err = attempt(t, applier(connect(t, "")), ns, configs(ns, "stays=1"))
	wants(t, r, err, apply.Done)
	if diff := cmp.Diff([]string{"goes=1", "stays=1"}, found(t, ns)); diff != "" {
		t.Errorf("the cluster (-want +got):\n%s", diff)
	}
}
