package apply_test

import (
	"strings"
	"testing"
	"time"

	"github.com/davitops/davit/internal/cluster/apply"
)

// TestFailsFast deploys an image that is not there over one that works: the job does not
// wait for what will not come, and nothing is pruned.
func TestFailsFast(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "fails-fast")
	web := strings.NewReplacer("NS", ns, "replicas: 0", "replicas: 1").Replace(deployment) + "---\n"
	done(t, ns, web+configs(ns, "goes"))
	a := applier(connect(t, ""))
	a.Wait = 10 * time.Minute // more than the tests have
	broken := strings.Replace(web, "web:1", "web:fail-pull", 1)
	r, err := attempt(t, a, ns, broken)
	wants(t, r, err, apply.Failed, "not ready apps/Deployment "+ns+"/web", "kept ConfigMap "+ns+"/goes")
	for _, o := range r.Outcomes {
		if o.State == apply.NotReady && (!strings.HasPrefix(o.Message, "container web of pod web-") || !strings.Contains(o.Message, "ImagePull")) {
			t.Errorf("the reason is %q", o.Message)
		}
	}
	// What was written is written still, and the next run says the same of it.
	r, err = attempt(t, a, ns, broken)
	wants(t, r, err, apply.Failed, "not ready apps/Deployment "+ns+"/web", "kept ConfigMap "+ns+"/goes")
}
