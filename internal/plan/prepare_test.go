package plan

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
)

var (
	web   = Owner{Repo: gitops.Repo{Forge: "github", Path: "acme/gitops"}, Path: "apps/web"}
	kinds = Kinds{
		{Version: "v1", Kind: "ConfigMap"}: true, {Version: "v1", Kind: "Secret"}: true, {Version: "v1", Kind: "Namespace"}: false,
		{Group: "batch", Version: "v1", Kind: "Job"}: true,
		{Version: "v1", Kind: "Service"}:             true, {Group: "apps", Version: "v1", Kind: "Deployment"}: true,
		{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}: false,
		{Group: "acme.example", Version: "v1", Kind: "Sail"}:                             false,
	}
)

// prepared prepares YAML or JSON documents for a cluster whose default namespace is
// "fallback".
func prepared(t *testing.T, documents ...string) []Desired {
	t.Helper()
	var objects []manifest.Object
	for _, document := range documents {
		data := json.RawMessage(document)
		if !strings.HasPrefix(document, `{"`) {
			var err error
			if data, err = yaml.YAMLToJSON([]byte(document)); err != nil {
				t.Fatal(err)
			}
		}
		object, err := manifest.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, object)
	}
	desired, err := Prepare(objects, Preparation{Owner: web, Kinds: kinds, Namespace: "fallback"})
	if err != nil {
		t.Fatal(err)
	}
	return desired
}

// TestPrepare prepares one object a row; want is what is sent, without the marks.
func TestPrepare(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, object, ref, want, problem string }{
		{
			name: "the namespace is the connection's", object: "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}",
			ref: "ConfigMap fallback/c", want: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"fallback"}}`,
		},
		{
			name: "a namespace stays", object: "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: shop}, data: {a: b}}",
			ref: "ConfigMap shop/c", want: `{"apiVersion":"v1","data":{"a":"b"},"kind":"ConfigMap","metadata":{"name":"c","namespace":"shop"}}`,
		},
		{
			name: "what is in no namespace names none", object: "{apiVersion: v1, kind: Namespace, metadata: {name: shop, namespace: shop}}",
			ref: "Namespace shop", want: `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}`,
		},
		{
			name: "what a server writes is left out", ref: "ConfigMap shop/c",
			object: `{apiVersion: v1, kind: ConfigMap, status: {a: b}, metadata: {name: c, namespace: shop, uid: u, resourceVersion: "1", generation: 1, selfLink: x,
			  creationTimestamp: null, deletionTimestamp: "2020-01-01T00:00:00Z", deletionGracePeriodSeconds: 1, managedFields: [{manager: davit, operation: Apply}],
			  annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}"}}}`,
			want: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"shop"}}`,
		},
		{
			name: "a Secret's stringData is its data", ref: "Secret shop/s",
			object: "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: shop}, data: {a: YQ==, b: YQ==}, stringData: {b: b, c: ''}}",
			want:   `{"apiVersion":"v1","data":{"a":"YQ==","b":"Yg==","c":""},"kind":"Secret","metadata":{"name":"s","namespace":"shop"}}`,
		},
		{
			name: "integers stay what they are", ref: "ConfigMap shop/c",
			object: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"shop"},"x":[9223372036854775807,-9223372036854775808,1.5]}`,
			want:   `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"shop"},"x":[9223372036854775807,-9223372036854775808,1.5]}`,
		},
		{name: "no such kind", object: "{apiVersion: acme.example/v2, kind: Sail, metadata: {name: s}}", ref: "acme.example/Sail s", problem: "the cluster serves no kind Sail in acme.example/v2; install what defines it first"},
		{name: "a list", object: "{apiVersion: v1, kind: List, items: []}", ref: "List ", problem: "the cluster serves no kind List in v1; install what defines it first"},
		{name: "no name", object: "{apiVersion: v1, kind: ConfigMap, metadata: {generateName: c}}", ref: "ConfigMap fallback/", problem: "it has no metadata.name; generateName can't be applied, only created"},
		{name: "a name that is a path", object: "{apiVersion: v1, kind: ConfigMap, metadata: {name: a/../../b}}", ref: "ConfigMap fallback/a/../../b", problem: `its name can't be "a/../../b"`},
		{name: "a namespace that is a path", object: "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: x/../davit-system}}", ref: "ConfigMap x/../davit-system/a", problem: `its namespace can't be "x/../davit-system"`},
		{name: "a namespace that is up", object: "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: ..}}", ref: "ConfigMap ../a", problem: `its namespace can't be ".."`},
		{name: "a name in percent", object: "{apiVersion: v1, kind: ConfigMap, metadata: {name: a%2fb}}", ref: "ConfigMap fallback/a%2fb", problem: `its name can't be "a%2fb"`},
		{name: "labels that are a list", object: "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, labels: [a]}}", ref: "ConfigMap fallback/c", problem: "its metadata.labels is no mapping"},
		{name: "annotations that are a text", object: "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, annotations: a}}", ref: "ConfigMap fallback/c", problem: "its metadata.annotations is no mapping"},
		{name: "a Secret's number", object: "{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {port: 5432}}", ref: "Secret fallback/s", problem: "stringData.port is no text; quote it"},
		{name: "a Secret's plain text", object: "{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {a: 's3cr3t!'}}", ref: "Secret fallback/s", problem: "data.a is not base64; write it under stringData"},
		{name: "a Secret's value for a key", object: "{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {'hunter2: hunter3': 1}}", ref: "Secret fallback/s", problem: "a key of its stringData is no text; quote it"},
		{name: "a Secret's data that is a text", object: "{apiVersion: v1, kind: Secret, metadata: {name: s}, data: hunter2, stringData: {a: b}}", ref: "Secret fallback/s", problem: "its data is no mapping"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			d := prepared(t, row.object)[0]
			if d.Ref.String() != row.ref || d.Problem != row.problem {
				t.Fatalf("it is %q, with the problem %q", d.Ref, d.Problem)
			}
			var got string
			if d.JSON != nil {
				object, err := decode(d.JSON)
				if err != nil {
					t.Fatal(err)
				}
				if !web.mayDelete(object) {
					t.Errorf("it is not marked: %s", d.JSON)
				}
				unmark(object)
				got = string(encode(object))
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestPrepareSet prepares several objects that have to do with each other.
func TestPrepareSet(t *testing.T) {
	t.Parallel()
	const definition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: masts.acme.example}
spec: {group: acme.example, scope: %, names: {kind: Mast}, versions: [{name: v1, served: true}, {name: v2, served: false}]}
`
	type row struct {
		Ref     string
		Pending bool
		Problem bool
	}
	var got []row
	for _, documents := range [][]string{
		{strings.Replace(definition, "%", "Namespaced", 1), "{apiVersion: acme.example/v1, kind: Mast, metadata: {name: m}}", "{apiVersion: acme.example/v2, kind: Mast, metadata: {name: m}}"},
		{strings.Replace(definition, "%", "Cluster", 1), "{apiVersion: acme.example/v1, kind: Mast, metadata: {name: m, namespace: shop}}"},
		// What is served already is what it is, whatever a manifest says that it defines.
		{strings.NewReplacer("%", "Namespaced", "Mast", "Sail").Replace(definition), "{apiVersion: acme.example/v1, kind: Sail, metadata: {name: s, namespace: shop}}"},
		{"{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}", "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: fallback}}", "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: shop}}"},
	} {
		for _, d := range prepared(t, documents...) {
			got = append(got, row{d.Ref.String(), d.Pending, d.Problem != ""})
		}
	}
	want := []row{
		{Ref: "apiextensions.k8s.io/CustomResourceDefinition masts.acme.example"}, {Ref: "acme.example/Mast fallback/m", Pending: true}, {Ref: "acme.example/Mast m", Problem: true},
		{Ref: "apiextensions.k8s.io/CustomResourceDefinition masts.acme.example"}, {Ref: "acme.example/Mast m", Pending: true},
		{Ref: "apiextensions.k8s.io/CustomResourceDefinition masts.acme.example"}, {Ref: "acme.example/Sail s"},
		{Ref: "ConfigMap fallback/c"}, {Ref: "ConfigMap fallback/c", Problem: true}, {Ref: "ConfigMap shop/c"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestAttacks prepares and plans manifests by which somebody tries to get at what is
// not theirs. refusal is a part of what a repository that may deploy into shop is told;
// where it is empty, the object is sent, and holds and lacks some text.
func TestAttacks(t *testing.T) {
	t.Parallel()
	other := Owner{Repo: web.Repo, Path: "apps/other"}
	marks := `"labels":{"davit.dev/target":"` + other.Key() + `"},"annotations":{"davit.dev/owner":"` + other.String() + `"}`
	for _, row := range []struct{ name, object, refusal, holds, lacks string }{
		{name: "another target's marks", object: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"shop",` + marks + `}}`, holds: web.Key(), lacks: other.Key()},
		{name: "another target's owner", object: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"shop",` + marks + `}}`, holds: web.String(), lacks: "apps/other"},
		{name: "managed fields", object: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"shop","managedFields":[{"manager":"kubectl"}]}}`, lacks: "kubectl"},
		{name: "a uid", object: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"shop","uid":"u-u-i-d"}}`, lacks: "u-u-i-d"},
		{name: "an object in Davit's namespace", object: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"davit-system"}}`, refusal: "Davit's own"},
		{name: "Davit's namespace itself", object: `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"davit-system"}}`, refusal: "Davit's own"},
		{name: "Davit's namespace, in a namespace", object: `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"davit-system","namespace":"shop"}}`, refusal: "Davit's own"},
		{name: "Davit's namespace, in a group with no name", object: `{"apiVersion":"/v1","kind":"Namespace","metadata":{"name":"davit-system","namespace":"shop"}}`, refusal: "Davit's own"},
		{name: "Davit's namespace, by a way around", object: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"shop/../davit-system"}}`, refusal: "its namespace can't be"},
		{name: "Davit's namespace, by a name", object: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"../../davit-system/configmaps/c","namespace":"shop"}}`, refusal: "its name can't be"},
		{name: "Davit's namespace, in capitals", object: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"Davit-System"}}`, refusal: "may not deploy into the namespace Davit-System"},
		{name: "Davit's namespace, and a space", object: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"davit-system "}}`, refusal: "may not deploy into the namespace"},
		{name: "Davit's namespace, as the second of two", object: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"shop","namespace":"davit-system"}}`, refusal: "Davit's own"},
		{name: "metadata twice", object: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"shop"},"metadata":{"name":"c","namespace":"davit-system"}}`, refusal: "Davit's own"},
		{name: "metadata in capitals", object: `{"apiVersion":"v1","kind":"ConfigMap","Metadata":{"name":"c","namespace":"davit-system"},"metadata":{"name":"c","namespace":"shop"}}`, holds: `"metadata":{"annotations":{"davit.dev/owner"`},
		{name: "a namespace in capitals", object: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"Namespace":"davit-system","name":"c","namespace":"shop"}}`, holds: `"namespace":"shop"`},
		{name: "no namespace at all", object: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}`, refusal: "may not deploy into the namespace fallback"},
		{name: "a pattern for a namespace", object: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"*"}}`, refusal: "may not deploy into the namespace *"},
		{name: "in no namespace", object: `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"mine"}}`, refusal: "may not deploy objects that are in no namespace"},
		{name: "a cluster's object, in a namespace", object: `{"apiVersion":"acme.example/v1","kind":"Sail","metadata":{"name":"s","namespace":"shop"}}`, refusal: "may not deploy objects that are in no namespace"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			d := prepared(t, row.object)[0]
			p, err := Make(Question{Owner: web, Scope: Scope{Namespaces: []string{"shop"}}, Facts: Facts{Desired: []Observation{{Desired: d, After: d.JSON}}}})
			if err != nil {
				t.Fatal(err)
			}
			c := p.Changes[0]
			if stops := row.refusal != ""; c.Class.Stops() != stops || !strings.Contains(c.Reason, row.refusal) || stops && c.Send != nil {
				t.Fatalf("it is %s: %q", c.Class, c.Reason)
			}
			if row.holds != "" && !strings.Contains(string(c.Send), row.holds) || row.lacks != "" && strings.Contains(string(c.Send), row.lacks) {
				t.Errorf("it is sent as %s", c.Send)
			}
		})
	}
}

func TestPrepareRefusesNull(t *testing.T) {
	t.Parallel()
	ref := gitops.ObjectRef{Version: "v1", Kind: "ConfigMap", Name: "c"}
	for _, data := range []string{"null", "[]", "1", "{"} {
		if _, err := Prepare([]manifest.Object{{Ref: ref, JSON: json.RawMessage(data)}}, Preparation{Owner: web, Kinds: kinds}); err == nil || !strings.Contains(err.Error(), "prepare ConfigMap c") {
			t.Errorf("%s is prepared: %v", data, err)
		}
	}
}

func TestOwner(t *testing.T) {
	t.Parallel()
	repo := web.Repo
	owners := map[Owner]string{
		{Repo: repo, Path: "apps/web"}:                                              "github:acme/gitops//apps/web",
		{Repo: repo, Path: "apps/web", Claimant: "argocd/web"}:                      "github:acme/gitops//apps/web#argocd/web",
		{Repo: repo, Path: "."}:                                                     "github:acme/gitops//.",
		{Repo: gitops.Repo{Forge: "gitlab", Path: "acme/gitops"}, Path: "apps/web"}: "gitlab:acme/gitops//apps/web",
	}
	keys := map[string]bool{}
	for owner, want := range owners {
		if owner.String() != want {
			t.Errorf("%+v is %q", owner, owner)
		}
		keys[owner.Key()] = true
		if len(owner.Key()) != 20 || strings.Trim(owner.Key(), "0123456789abcdef") != "" {
			t.Errorf("the key of %s is %q", owner, owner.Key())
		}
	}
	if len(keys) != len(owners) {
		t.Errorf("%d owners have %d keys", len(owners), len(keys))
	}
	// Inventories in clusters are found by this key: it may never change.
	if got := web.Key(); got != "b53750bdec1f76049050" {
		t.Errorf("the key of %s has become %s", web, got)
	}
	target := gitops.Target{Path: "apps/web", Claimant: "x", Cluster: "prod", Environment: "production", Shared: true}
	if diff := cmp.Diff(Owner{Repo: repo, Path: "apps/web", Claimant: "x"}, OwnerOf(repo, target)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	repo.Path = "Acme/GitOps"
	if diff := cmp.Diff(Owner{Repo: gitops.Repo{Forge: repo.Forge, Path: "acme/gitops"}, Path: "apps/web", Claimant: "x"}, OwnerOf(repo, target)); diff != "" {
		t.Errorf("spelt otherwise, it is another repository (-want +got):\n%s", diff)
	}
}

func TestScope(t *testing.T) {
	t.Parallel()
	config := func(namespace string) gitops.ObjectRef {
		return gitops.ObjectRef{Version: "v1", Kind: "ConfigMap", Namespace: namespace, Name: "c"}
	}
	role := gitops.ObjectRef{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRole", Name: "r"}
	for _, row := range []struct {
		name  string
		scope Scope
		ref   gitops.ObjectRef
		want  string // a part of the refusal; empty: there is none
	}{
		{"nothing", Scope{}, config("shop"), "(it may: none)"},
		{"nothing, in no namespace", Scope{}, role, "cluster_scoped"},
		{"a name", Scope{Namespaces: []string{"a", "shop"}}, config("shop"), ""},
		{"another name", Scope{Namespaces: []string{"a", "shop"}}, config("shop-2"), "the namespace shop-2 (it may: a, shop)"},
		{"a pattern", Scope{Namespaces: []string{"shop-*"}}, config("shop-2"), ""},
		{"a pattern is of whole names", Scope{Namespaces: []string{"shop-*"}}, config("my-shop-2"), "may not deploy"},
		{"a broken pattern", Scope{Namespaces: []string{"[shop"}}, config("shop"), "may not deploy"},
		{"namespaces are not the cluster", Scope{Namespaces: []string{"*"}}, role, "cluster_scoped"},
		{"the cluster is no namespace", Scope{ClusterScoped: true}, config("shop"), "may not deploy into"},
		{"a namespace itself", Scope{Namespaces: []string{"shop-*"}, ClusterScoped: true}, gitops.ObjectRef{Version: "v1", Kind: "Namespace", Name: "shop-2"}, ""},
		{"another's namespace itself", Scope{Namespaces: []string{"shop-*"}, ClusterScoped: true}, gitops.ObjectRef{Version: "v1", Kind: "Namespace", Name: "payments"}, "may not deploy the namespace payments"},
		{"everything", Everything, role, ""},
		{"everything but Davit's", Everything, config(System), "Davit's own"},
		{"everything but Davit's namespace", Everything, gitops.ObjectRef{Version: "v1", Kind: "Namespace", Name: System}, "Davit's own"},
		{"another kind of that name", Everything, gitops.ObjectRef{Group: "acme.example", Version: "v1", Kind: "Namespace", Name: System}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := row.scope.Refusal(row.ref); (got == "") != (row.want == "") || !strings.Contains(got, row.want) {
				t.Errorf("it says %q", got)
			}
		})
	}
}
