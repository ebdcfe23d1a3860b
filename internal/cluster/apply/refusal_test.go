package apply_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/davitops/davit/internal/plan"
)

// TestMalformed holds that an object that does not fit its type is itself at fault, in
// whatever way, and is not tried again and again: there may be hundreds of them.
func TestMalformed(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "malformed")
	pod := func(spec string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: NAME, namespace: NS}\nspec: {containers: [{name: a, image: a" + spec + "}]}\n"
	}
	bodies := []string{
		pod(", resources: {limits: {memory: lots}}"), pod(", resources: {limits: {memory: 1Q}}"), pod(", resources: {limits: {cpu: [1]}}"),
		pod(", ports: [{containerPort: http}]"), pod(", ports: [{containerPort: 99999999999}]"), pod(", env: [{name: A, value: 1}]"), pod(", env: [{name: A}, {name: A}]"),
		pod(", imag: b"), pod(", command: a"), pod("}, {name: a, image: b"), pod(", lifecycle: 1"),
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME, namespace: NS}\nbinaryData: {a: '!'}\n",
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME, namespace: NS}\ndata: {a: 1}\n",
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME, namespace: NS}\ndata: {'a b': '1'}\n",
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME, namespace: NS}\nimmutable: 'yes'\n",
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME, namespace: NS, finalizers: a}\n",
		"apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: NAME, namespace: NS}\nspec: {schedule: 1}\n",
		"apiVersion: v1\nkind: Service\nmetadata: {name: NAME, namespace: NS}\nspec: {ports: [{port: 80}, {port: 80}]}\n",
		"apiVersion: v1\nkind: Service\nmetadata: {name: NAME, namespace: NS}\nspec: {ports: [{port: 80, targetPort: {a: b}}]}\n",
		"apiVersion: v1\nkind: LimitRange\nmetadata: {name: NAME, namespace: NS}\nspec: {limits: [{type: Pod, max: {cpu: '1 core'}}]}\n",
		"apiVersion: v1\nkind: Event\nmetadata: {name: NAME, namespace: NS}\nfirstTimestamp: yesterday\n",
		"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: NAME}\nspec: {group: [a]}\n",
	}
	var objects []string
	for i, body := range bodies {
		objects = append(objects, strings.NewReplacer("NAME", fmt.Sprintf("malformed-%d", i), "NS", ns).Replace(body))
	}
	begun := time.Now()
	p := planOf(t, connect(t, ""), ns, strings.Join(objects, "---\n"))
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the plan took %s", took)
	}
	for _, c := range p.Changes {
		if c.Class != plan.Invalid || c.Reason == "" {
			t.Errorf("%s is %s: %s", c.Ref, c.Class, c.Reason)
		}
	}
	if len(p.Changes) != len(bodies) {
		t.Errorf("there are %d changes of %d objects", len(p.Changes), len(bodies))
	}
}

// TestDeadWebhook plans through a cluster that can't rehearse ConfigMaps: after the first
// ones nobody is patient any more, but with other kinds.
func TestDeadWebhook(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "dead-webhook")
	var dead, late atomic.Int64
	c := through(t, func(r *http.Request) fault {
		switch {
		case r.Method == http.MethodPatch && strings.Contains(r.URL.Path, "/configmaps/"):
			dead.Add(1)
			return fault{code: 500}
		case r.Method == http.MethodPatch && late.Add(1) == 1:
			return fault{code: 500}
		}
		return fault{}
	})
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprintf("c%d", i))
	}
	account := "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: last, namespace: " + ns + "}\n"
	p := planOf(t, c, ns, configs(ns, names...)+account)
	if count := p.Count(); count[plan.Blocked] != 40 || count[plan.Create] != 1 {
		t.Errorf("it is planned as %v", count)
	}
	const parallel, attempts = 8, 4
	if got := dead.Load(); got > parallel*attempts+40-parallel {
		t.Errorf("%d dry runs were sent for 40 objects", got)
	}
}
