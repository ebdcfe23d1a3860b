//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func pod(name, label, image string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {davit.dev/fail: %q}}
spec: {containers: [{name: app, image: %q}]}
---`, name, label, image)
}

// TestFailures asks for each way to fail twice, by the label and by the image.
func TestFailures(t *testing.T) {
	p := up(t)
	const container = "{.status.containerStatuses[0]"
	wants := []struct {
		kind       string
		conditions []string // what jsonpath finds of it, and how that matches
	}{
		{"slow", []string{container + ".state.waiting.reason}=ContainerCreating", container + ".ready}=true"}},
		{"crash", []string{
			container + ".restartCount}=[2-9]", container + ".restartCount}=[3-9]", container + ".restartCount}=[4-9]",
			container + ".state.waiting.reason}=CrashLoopBackOff",
			container + ".lastState.terminated.reason}=Error", container + ".lastState.terminated.exitCode}=1",
			`{.status.conditions[?(@.type=="Ready")].reason}=ContainersNotReady`, "{.status.phase}=Running",
		}},
		{"oom", []string{
			container + ".restartCount}=[2-9]", container + ".state.waiting.reason}=CrashLoopBackOff",
			container + ".lastState.terminated.reason}=OOMKilled", container + ".lastState.terminated.exitCode}=137",
		}},
		{"pull", []string{
			container + ".state.waiting.reason}=ImagePullBackOff", container + ".state.waiting.message}=.*registry.example/app.*",
			"{.status.phase}=Pending",
		}},
		{"unready", []string{container + ".started}=true", container + ".ready}=false", "{.status.phase}=Running"}},
		{"pending", []string{`{.status.conditions[?(@.type=="PodScheduled")].reason}=Unschedulable`, "{.status.phase}=Pending"}},
	}
	manifest := pod("fine", "", "registry.example/app:1")
	for _, want := range wants {
		manifest += pod(want.kind+"-label", want.kind, "registry.example/app:1") + pod(want.kind+"-image", "", "registry.example/app:fail-"+want.kind)
	}
	p.must(t, manifest, "apply", "--filename=-")
	p.must(t, "", "wait", "pod/fine", "--for=condition=Ready", "--timeout=5s")
	for _, want := range wants {
		t.Run(want.kind, func(t *testing.T) {
			for _, condition := range want.conditions {
				p.await(t, "pod/"+want.kind+"-label", condition)
				p.await(t, "pod/"+want.kind+"-image", condition)
			}
		})
	}
	t.Run("logs", p.testLogs)
	t.Run("events", func(t *testing.T) {
		for _, want := range []string{"BackOff crash-image", "BackOff pull-image", "Failed pull-image", "Unhealthy unready-image", "FailedScheduling pending-image"} {
			reason, object, _ := strings.Cut(want, " ")
			p.must(t, "", "wait", "event", "--for=jsonpath={.type}=Warning", "--timeout=10s",
				"--field-selector=reason="+reason+",involvedObject.name="+object)
		}
	})
}

func (p *playground) testLogs(t *testing.T) {
	for name, want := range map[string]string{"crash-image": "panic: ", "oom-image": "fatal: out of memory", "fine": "listening on :8080"} {
		if log := p.must(t, "", "logs", name); !strings.Contains(log, want) {
			t.Errorf("the log of %s: %q", name, log)
		}
	}
	if log := p.must(t, "", "logs", "--previous", "--tail=1", "oom-image"); log != "fatal: out of memory\n" {
		t.Errorf("the end of the previous log: %q", log)
	}
	p.refused(t, "trying and failing to pull image", "", "logs", "pull-image")
}

// TestWorkloads says that what a release consists of becomes ready.
func TestWorkloads(t *testing.T) {
	p := up(t)
	p.must(t, `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, image: "registry.example/db:1"}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: app, image: "registry.example/app:1"}]}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: broken}
spec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: app, image: "registry.example/app:fail-crash"}]}}}
`, "apply", "--filename=-")
	p.must(t, "", "rollout", "status", "statefulset/db", "--timeout=20s")
	p.must(t, "", "wait", "job/migrate", "--for=condition=Complete", "--timeout=20s")
	p.must(t, "", "wait", "job/broken", "--for=condition=Failed", "--timeout=20s")
	p.must(t, "", "delete", "statefulset/db", "job/migrate", "job/broken", "persistentvolumeclaim/data-db-0", "persistentvolumeclaim/data-db-1", "--timeout=20s")
	p.must(t, "", "wait", "pod,persistentvolume", "--all", "--for=delete", "--timeout=20s")
}

// TestServer says that the API server does what a real one does.
func TestServer(t *testing.T) {
	p := up(t)
	audit := filepath.Join(p.dir, "cluster-1", "audit.log")

	p.must(t, "", "create", "namespace", "shop")
	p.must(t, "", "create", "configmap", "c", "--dry-run=server", "--namespace=shop")
	p.refused(t, `User "eve" cannot list resource "secrets"`, "", "get", "secrets", "--as=eve")
	data, err := os.ReadFile(audit)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"requestURI":"/api/v1/namespaces/shop/configmaps?dryRun=All`, `"verb":"create","user":{"username":"admin"`,
		`"impersonatedUser":{"username":"eve"`,
	} {
		if !strings.Contains(string(data), want) {
			t.Errorf("%s is not in the audit log", want)
		}
	}
	if strings.Contains(string(data), "RequestReceived") {
		t.Error("the audit log has requests that were not answered yet")
	}

	p.must(t, "", "label", "namespace", "shop", "pod-security.kubernetes.io/enforce=restricted")
	p.refused(t, "violates PodSecurity", pod("p", "", "registry.example/app:1"), "apply", "--namespace=shop", "--filename=-")

	config := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '%d'}\n"
	p.must(t, fmt.Sprintf(config, 1), "apply", "--server-side", "--field-manager=one", "--filename=-")
	p.refused(t, `conflict with "one": .data.a`, fmt.Sprintf(config, 2), "apply", "--server-side", "--field-manager=two", "--filename=-")

	p.must(t, policy, "apply", "--filename=-")
	p.must(t, "", "wait", "crd/widgets.example.com", "--for=condition=Established", "--timeout=20s")
	p.must(t, "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n", "apply", "--filename=-")
	p.must(t, "", "wait", "validatingadmissionpolicy/no-z", "--for=jsonpath={.status.observedGeneration}=1", "--timeout=20s")

	if token := p.must(t, "", "create", "token", "default"); strings.Count(token, ".") != 2 {
		t.Errorf("a service account's token: %q", token)
	}
}

const policy = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-z}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  validations: [{expression: "object.metadata.name != 'z'", message: z is not a name}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-z}
spec: {policyName: no-z, validationActions: [Deny]}
`
