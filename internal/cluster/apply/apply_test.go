package apply_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/cluster/apply"
	"github.com/davitops/davit/internal/plan"
)

// app is a small application in a namespace of its own.
func app(namespace string, replace ...string) string {
	return strings.NewReplacer(append(replace, "NAMESPACE", namespace)...).Replace(`
apiVersion: v1
kind: Namespace
metadata: {name: NAMESPACE}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: NAMESPACE}
---
apiVersion: v1
kind: Secret
metadata: {name: web, namespace: NAMESPACE}
stringData: {password: hunter2hunter2}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web, namespace: NAMESPACE}
data: {colour: blue}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NAMESPACE}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NAMESPACE, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers:
      - name: web
        image: registry.example/web:1.0.0
        ports: [{containerPort: 8080}]
        env: [{name: A, value: "1"}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: NAMESPACE}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
`)
}

func TestApplyThenPlanIsNoOp(t *testing.T) {
	t.Parallel()
	c := connect(t, "")
	first := planOf(t, c, "then-plan", app("then-plan"))
	if !first.Unmanaged {
		t.Error("a target that was never applied is said to be managed")
	}
	result := applyOf(t, "then-plan", app("then-plan"))
	if result.State != apply.Done {
		t.Fatalf("the apply ended %s: %+v", result.State, result.Outcomes)
	}
	for _, o := range result.Outcomes {
		if o.State != apply.Ready {
			t.Errorf("%s is %s: %s", o.Ref, o.State, o.Message)
		}
	}
	second := planOf(t, c, "then-plan", app("then-plan"))
	if got := second.Count(); got[plan.NoOp] != len(second.Changes) || second.Unmanaged {
		t.Errorf("the plan after an apply is not all no-op:\n%s", strings.Join(classes(second), "\n"))
	}
	if len(second.Effects()) != 0 {
		t.Errorf("a plan of no-ops has effects: %v", second.Effects())
	}
	if diff := cmp.Diff(7, len(second.Changes)); diff != "" {
		t.Error(diff)
	}
}
