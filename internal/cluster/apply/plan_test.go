package apply_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/cluster/clustertest"
	"github.com/davitops/davit/internal/plan"
)

// TestPlanWritesNothing reads the API server's own log of what it was asked. It runs
// alone, so that every request in it is the plan's.
func TestPlanWritesNothing(t *testing.T) {
	namespace := "writes-nothing"
	if result := applyOf(t, namespace, app(namespace)); result.State != "done" {
		t.Fatalf("the apply ended %s: %+v", result.State, result.Outcomes)
	}
	applied := playground.Requests(t, 1, plan.Manager)
	if !slices.ContainsFunc(applied, clustertest.Request.Writes) {
		t.Fatal("an apply wrote nothing: the log does not tell what this test asks")
	}
	changed := app(namespace, "web:1.0.0", "web:2.0.0", "name: web\n", "name: other\n", "{colour: blue}", "{colour: red, size: big}") + `
---
apiVersion: v1
kind: ConfigMap
metadata: {name: new, namespace: ` + namespace + `}
`
	p := planOf(t, connect(t, ""), namespace, changed)
	requests := playground.Requests(t, 1, plan.Manager)[len(applied):]
	dry := 0
	for _, r := range requests {
		if r.Writes() {
			t.Errorf("a plan sent %s %s", r.Verb, r.URI)
		}
		if strings.Contains(r.URI, "dryRun=All") {
			dry++
		}
	}
	if want := p.Count()[plan.Update] + p.Count()[plan.Create] + p.Count()[plan.NoOp]; dry != want {
		t.Errorf("%d dry runs for %d objects that are desired", dry, want)
	}
}

// TestAfterIsKubectls compares what a plan says an object will be with what kubectl
// says, for objects that are there and objects that are not.
func TestAfterIsKubectls(t *testing.T) {
	t.Parallel()
	namespace := "kubectls"
	applyOf(t, namespace, app(namespace))
	changed := app(namespace, "web:1.0.0", "web:2.0.0", `value: "1"`, `value: "2"`, "port: 80,", "port: 81,",
		"{colour: blue}", "{size: big}", "hunter2hunter2", "hunter3hunter3", "minAvailable: 1", "maxUnavailable: 1") + `
---
apiVersion: v1
kind: ConfigMap
metadata: {name: new, namespace: ` + namespace + `}
data: {a: b}
---
apiVersion: batch/v1
kind: Job
metadata: {name: new, namespace: ` + namespace + `}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: "registry.example/a:1"}]}}}
`
	objects := clustertest.Objects(t, changed)
	facts, err := connect(t, "").Observe(t.Context(), cluster.Question{Owner: owner(namespace), Objects: objects, Scope: plan.Everything})
	if err != nil {
		t.Fatal(err)
	}
	differ := 0
	for _, o := range facts.Desired {
		if o.Refused != nil {
			t.Fatalf("%s is refused: %s", o.Ref, o.Refused.Message)
		}
		want := playground.Kubectl(t, string(o.JSON), "apply", "--server-side", "--dry-run=server", "--field-manager="+plan.Manager, "--show-managed-fields", "-o", "json", "-f", "-")
		if diff := cmp.Diff(clustertest.Settled(t, []byte(want)), clustertest.Settled(t, o.After)); diff != "" {
			t.Errorf("%s will be another object than kubectl says (-kubectl +davit):\n%s", o.Ref, diff)
		}
		if o.Live == nil || !bytes.Equal(o.Live, o.After) {
			differ++
		}
	}
	if differ < 6 {
		t.Errorf("only %d objects differ; the comparison compares little", differ)
	}
}

// TestClasses plans one object against one state of a cluster, a row each.
func TestClasses(t *testing.T) {
	t.Parallel()
	const config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: NS}\ndata: {a: \"1\"}\n"
	rows := []struct {
		name    string
		applied string // by Davit, before
		kubectl string // applied by kubectl, before, as another manager
		desired string
		want    []string
		reason  string // a part of the first one's
	}{
		{name: "create", desired: config, want: []string{"create ConfigMap NS/c"}},
		{name: "update", applied: config, desired: strings.Replace(config, `"1"`, `"2"`, 1), want: []string{"update ConfigMap NS/c"}},
		{name: "field-goes", applied: config, desired: strings.Replace(config, "data: {a: \"1\"}", "", 1), want: []string{"update ConfigMap NS/c"}},
		{name: "no-op", applied: config, desired: config, want: []string{"no-op ConfigMap NS/c"}},
		{name: "foreign-field", applied: config, kubectl: strings.Replace(config, `{a: "1"}`, `{b: "1"}`, 1), desired: config, want: []string{"no-op ConfigMap NS/c"}},
		{name: "delete", applied: config, desired: strings.Replace(config, "name: c", "name: d", 1), want: []string{"delete ConfigMap NS/c", "create ConfigMap NS/d"}},
		{name: "empty", applied: config, desired: "", want: []string{"blocked ConfigMap NS/c"}, reason: "has become empty"},
		{name: "adopt", kubectl: config, desired: config, want: []string{"adopt ConfigMap NS/c"}},
		{name: "adopt-other", kubectl: config, desired: strings.Replace(config, `"1"`, `"2"`, 1), want: []string{"adopt ConfigMap NS/c takes-over"}},
		{
			name: "conflict", applied: config, kubectl: strings.Replace(config, `"1"`, `"3"`, 1), desired: config,
			want: []string{"conflict ConfigMap NS/c takes-over"},
		},
		{
			name: "unknown-kind", desired: "apiVersion: acme.example/v1\nkind: Sail\nmetadata: {name: s, namespace: NS}\n",
			want: []string{"invalid acme.example/Sail NS/s"}, reason: "serves no kind Sail in acme.example/v1",
		},
		{
			name: "unknown-field", desired: strings.Replace(config, "\ndata:", "\ndat:", 1),
			want: []string{"invalid ConfigMap NS/c"}, reason: "dat",
		},
		{
			name: "immutable", applied: deployment, desired: strings.ReplaceAll(deployment, "app: web", "app: other"),
			want: []string{"invalid apps/Deployment NS/web"}, reason: "immutable",
		},
		{
			name: "no-namespace", desired: strings.Replace(config, "NS", "NS-missing", 1),
			want: []string{"invalid ConfigMap NS-missing/c"}, reason: "there is no namespace",
		},
		{
			name: "new-namespace", desired: strings.Replace(config, "NS", "NS-new", 1) + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: NS-new}\n",
			want: []string{"create Namespace NS-new", "create ConfigMap NS-new/c unverified"},
		},
		{
			name:    "new-kind",
			desired: definition("sails", "Sail") + "---\napiVersion: acme.example/v1\nkind: Sail\nmetadata: {name: s, namespace: NS}\nspec: {area: 3}\n",
			want:    []string{"create apiextensions.k8s.io/CustomResourceDefinition sails.acme.example", "create acme.example/Sail NS/s unverified"},
		},
		{name: "system", desired: strings.Replace(config, "NS", "davit-system", 1), want: []string{"blocked ConfigMap davit-system/c"}, reason: "Davit's own"},
		{name: "twice", desired: config + "---\n" + strings.Replace(config, ", namespace: NS", "", 1) + "---\n" + strings.Replace(config, "NS", "default", 1),
			want: []string{"create ConfigMap default/c", "invalid ConfigMap default/c", "create ConfigMap NS/c"}, reason: ""},
		{
			name: "restarts", applied: deployment, desired: strings.Replace(deployment, "web:1", "web:2", 1),
			want: []string{"update apps/Deployment NS/web restarts-pods"},
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			namespace := "zz-" + row.name // sorts after default
			playground.Kubectl(t, "", "create", "namespace", namespace)
			in := func(text string) string { return strings.ReplaceAll(text, "NS", namespace) }
			if row.applied != "" {
				applyOf(t, row.name, in(row.applied))
			}
			if row.kubectl != "" {
				playground.Kubectl(t, in(row.kubectl), "apply", "--server-side", "--force-conflicts", "-f", "-")
			}
			p := planOf(t, connect(t, ""), row.name, in(row.desired))
			var want []string
			for _, line := range row.want {
				want = append(want, in(line))
			}
			if diff := cmp.Diff(want, classes(p)); diff != "" {
				t.Fatalf("(-want +got):\n%s%+v", diff, p.Changes)
			}
			if len(p.Changes) > 0 && !strings.Contains(p.Changes[0].Reason, row.reason) {
				t.Errorf("the reason is %q, without %q", p.Changes[0].Reason, row.reason)
			}
		})
	}
}

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NS}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "registry.example/web:1"}]}
`

// definition defines a kind of the group acme.example.
func definition(plural, kind string) string {
	return fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]s.acme.example}
spec:
  group: acme.example
  names: {plural: %[1]s, singular: %[3]s, kind: %[2]s}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {area: {type: integer}}}}}}
`, plural, kind, strings.ToLower(kind))
}

// TestOwners holds that an object with another owner's marks is blocked, whoever
// the owner is.
func TestOwners(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, metadata, by string }{
		{"argo-annotation", `annotations: {argocd.argoproj.io/tracking-id: "x:v1/ConfigMap:a/b"}`, "Argo CD"},
		{"argo-label", `labels: {argocd.argoproj.io/instance: x}`, "Argo CD"},
		{"flux", `labels: {kustomize.toolkit.fluxcd.io/name: x}`, "Flux"},
		{"flux-helm", `labels: {helm.toolkit.fluxcd.io/name: x}`, "Flux"},
		{"helm", `annotations: {meta.helm.sh/release-name: x}`, "Helm"},
		{"kapp", `labels: {kapp.k14s.io/app: x}`, "kapp"},
		{"davit", `annotations: {davit.dev/owner: "github:acme/gitops//apps/other"}`, "github:acme/gitops//apps/other"},
		{"controlled", `ownerReferences: [{apiVersion: v1, kind: Node, name: node-1, uid: NODE, controller: true}]`, "Node node-1"},
	}
	node := playground.Kubectl(t, "", "get", "node", "node-1", "-o", "jsonpath={.metadata.uid}")
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			namespace := "owned-" + row.name
			playground.Kubectl(t, "", "create", "namespace", namespace)
			object := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: " + namespace + "METADATA}\n"
			playground.Kubectl(t, strings.Replace(object, "METADATA", ", "+strings.Replace(row.metadata, "NODE", node, 1), 1), "create", "-f", "-")
			p := planOf(t, connect(t, ""), row.name, strings.Replace(object, "METADATA", "", 1))
			if p.Changes[0].Class != plan.Blocked || !strings.Contains(p.Changes[0].Reason, row.by) {
				t.Errorf("it is %s: %q", p.Changes[0].Class, p.Changes[0].Reason)
			}
		})
	}
}

// TestUnreachable holds that a cluster that can't be worked with is one clear
// sentence, without its address, and never an empty cluster.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(playground.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	server := regexpServer.FindString(string(good))
	rows := []struct {
		name, kubeconfig, context string
		class                     cluster.Class
		says                      string
	}{
		{"refused", strings.ReplaceAll(string(good), server, "https://"+closed), "cluster-1", cluster.Unreachable, "the connection is refused"},
		{"unknown host", strings.ReplaceAll(string(good), server, "https://nobody.invalid"), "cluster-1", cluster.Unreachable, "its name is not known"},
		{"another certificate", string(regexpCA.ReplaceAll(good, []byte("certificate-authority-data: "+anotherCA))), "cluster-1", cluster.Unreachable, "its certificate is not the one expected"},
		{"wrong token", string(regexpToken.ReplaceAll(good, []byte("token: wrong"))), "cluster-1", cluster.Unauthorized, "does not accept Davit's credentials"},
		{"no such context", string(good), "cluster-9", cluster.Misconfigured, "cluster-9"},
		{"exec", string(regexpToken.ReplaceAll(good, []byte("exec: {apiVersion: client.authentication.k8s.io/v1, command: touch, args: [/tmp/x], interactiveMode: Never}"))), "cluster-1", cluster.Misconfigured, "runs a program"},
		{"no file", "", "cluster-1", cluster.Misconfigured, "no such file"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "kubeconfig")
			if row.kubeconfig != "" {
				if err := os.WriteFile(file, []byte(row.kubeconfig), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c, err := cluster.Connect(cluster.Options{Name: "staging", Kubeconfig: file, Context: row.context})
			if err == nil {
				_, err = c.Observe(t.Context(), cluster.Question{Owner: owner("x"), Scope: plan.Everything})
			}
			var fault *cluster.Error
			if !errors.As(err, &fault) || fault.Class != row.class || !strings.Contains(fault.Message, row.says) {
				t.Fatalf("the error is %v", err)
			}
			if host := strings.TrimPrefix(closed, "https://"); strings.Contains(fault.Error(), host) || strings.Contains(fault.Error(), "127.0.0.1") || strings.Contains(fault.Error(), "\n") {
				t.Errorf("the sentence is none for a pull request: %s", fault)
			}
		})
	}
}

// TestScope holds that what a repository may not touch is blocked and not even read,
// and that objects are planned as the identity it was given.
func TestScope(t *testing.T) {
	t.Parallel()
	const objects = `
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: scope-other}
stringData: {a: b}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c, namespace: scope-mine}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c, namespace: scope-unbound}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: scope}
rules: []
`
	for _, namespace := range []string{"scope-mine", "scope-other", "scope-unbound"} {
		playground.Kubectl(t, "", "create", "namespace", namespace)
	}
	const user = "system:serviceaccount:davit:scope"
	playground.Kubectl(t, "", "create", "rolebinding", "scope", "-n", "scope-mine", "--clusterrole=edit", "--serviceaccount=davit:scope")
	c := connect(t, user)
	p := planScoped(t, c, "scope", objects, plan.Scope{Namespaces: []string{"scope-mine", "scope-un*"}})
	want := []string{
		"blocked rbac.authorization.k8s.io/ClusterRole scope", "create ConfigMap scope-mine/c",
		"blocked Secret scope-other/s", "blocked ConfigMap scope-unbound/c",
	}
	if diff := cmp.Diff(want, classes(p)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if reason := p.Changes[3].Reason; !strings.Contains(reason, "cannot get") || !strings.Contains(reason, user) {
		t.Errorf("what the identity may not do is told as %q", reason)
	}
	asUser := 0
	for _, r := range playground.Requests(t, 1, plan.Manager) {
		if strings.Contains(r.URI, "/scope-other/") || strings.Contains(r.URI, "clusterroles/scope") {
			t.Errorf("out of scope, and asked for: %s %s", r.Verb, r.URI)
		}
		if strings.Contains(r.URI, "/scope-mine/") || strings.Contains(r.URI, "/scope-unbound/") {
			asUser++
			if r.Impersonated == nil || r.Impersonated.Name != user {
				t.Errorf("not as %s: %s %s", user, r.Verb, r.URI)
			}
		}
	}
	if asUser < 3 {
		t.Errorf("only %d requests were seen", asUser)
	}
}

// TestDigest holds that a digest is of effects alone: the same for the same plan
// made twice, another for another value, key or object.
func TestDigest(t *testing.T) {
	t.Parallel()
	namespace := "digest"
	applyOf(t, namespace, app(namespace))
	c := connect(t, "")
	changed := app(namespace, "{colour: blue}", "{colour: red}")
	first, again := planOf(t, c, namespace, changed), planOf(t, c, namespace, changed)
	other := planOf(t, c, namespace, app(namespace, "{colour: blue}", "{colour: green}"))
	if first.Digest != again.Digest {
		t.Error("two plans of the same have two digests")
	}
	if first.Digest == other.Digest {
		t.Error("another value has the same digest")
	}
	if want := []string{`.data.colour`}; !slices.Equal(fieldsOf(first), want) {
		t.Errorf("the effects are on %q, not %q", fieldsOf(first), want)
	}
	shown := first.Effects()
	if uncovered := again.Uncovered(shown); len(uncovered) > 0 {
		t.Errorf("a plan does not cover itself: %v", uncovered)
	}
	if uncovered := other.Uncovered(shown); len(uncovered) != 1 {
		t.Errorf("what nobody saw is taken for shown: %v", uncovered)
	}
}

func fieldsOf(p plan.Plan) []string {
	var fields []string
	for _, e := range p.Effects() {
		fields = append(fields, e.Field)
	}
	return fields
}

// TestHiddenInventory plans as somebody who may work in one namespace and not read
// what Davit deployed: what is to be deleted is not known then, and that is said. They
// can apply nothing.
func TestHiddenInventory(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "hidden")
	playground.Kubectl(t, "", "create", "rolebinding", "edit", "-n", ns, "--clusterrole=edit", "--user=engineer")
	done(t, ns, configs(ns, "goes", "stays"))
	engineer := connectAs(t, "engineer")
	p := planOf(t, engineer, ns, configs(ns, "stays"))
	if diff := cmp.Diff([]string{"no-op ConfigMap hidden/stays"}, classes(p)); diff != "" || !p.Hidden || p.Unmanaged {
		t.Errorf("hidden: %t, unmanaged: %t (-want +got):\n%s", p.Hidden, p.Unmanaged, diff)
	}
	_, err := applier(engineer).Run(t.Context(), jobOf(t, ns, configs(ns, "stays"), p))
	var fault *cluster.Error
	if !errors.As(err, &fault) || fault.Class != cluster.Forbidden || !strings.Contains(fault.Message, "needs get on ConfigMaps in davit-system") {
		t.Errorf("the apply ended with %v", err)
	}
}

// connectAs connects as somebody in all that is asked, which an impersonation in the
// kubeconfig does.
func connectAs(t *testing.T, user string) *cluster.Connection {
	t.Helper()
	good, err := os.ReadFile(playground.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := regexpToken.ReplaceAllString(string(good), "$0\n    as: "+user)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Connect(cluster.Options{Name: "cluster-1", Kubeconfig: file, Context: "cluster-1"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
