package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/davitops/davit/internal/gitops"
)

// live is a ConfigMap as a cluster has it: with our marks and our field a, unless a
// replacement says otherwise.
func live(t *testing.T, replace ...string) json.RawMessage {
	t.Helper()
	text := strings.NewReplacer(replace...).Replace(`{
		"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"},
		"metadata": {
			"name": "c", "namespace": "shop", "uid": "1",
			"labels": {"davit.dev/target": "KEY"}, "annotations": {"davit.dev/owner": "OWNER"},
			"managedFields": [{"manager": "davit", "operation": "Apply", "fieldsV1": {
				"f:data": {"f:a": {}}, "f:metadata": {"f:labels": {"f:davit.dev/target": {}}, "f:annotations": {"f:davit.dev/owner": {}}}
			}}]
		}
	}`)
	text = strings.NewReplacer("KEY", web.Key(), "OWNER", web.String()).Replace(text)
	if !json.Valid([]byte(text)) {
		t.Fatalf("the test's object is none: %s", text)
	}
	return json.RawMessage(text)
}

const config = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: shop}, data: {a: '1'}}"

// wanted is the ConfigMap as it is desired.
func wanted(t *testing.T) Observation {
	t.Helper()
	return Observation{Desired: prepared(t, config)[0]}
}

func made(t *testing.T, q Question) Plan {
	t.Helper()
	if q.Owner == (Owner{}) {
		q.Owner = web
	}
	if q.Scope.Namespaces == nil {
		q.Scope = Everything
	}
	q.Key = []byte("key")
	p, err := Make(q)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestDesired decides on one object that is to be.
func TestDesired(t *testing.T) {
	t.Parallel()
	other := Owner{Repo: web.Repo, Path: "apps/other"}
	unowned := []string{`"labels": {"davit.dev/target": "KEY"}, "annotations": {"davit.dev/owner": "OWNER"},`, ""}
	stamped := func(mark string) []string {
		return []string{`"annotations": {"davit.dev/owner": "OWNER"}`, `"annotations": {"davit.dev/owner": "OWNER", ` + mark + `}`}
	}
	controlled := func(name string) []string {
		return []string{`"uid": "1",`, `"uid": "1", "ownerReferences": [{"uid": "x", "kind": "Ship", "name": "` + name + `", "controller": true}],`}
	}
	for _, row := range []struct {
		name    string
		set     func(o *Observation)
		scope   Scope
		brings  bool // the set has the Namespace shop
		want    Class
		reason  string
		effects []string
		risks   []Risk
		others  int
	}{
		{name: "nothing is there", set: func(o *Observation) { o.After = o.JSON }, want: Create, effects: []string{"create "}},
		{name: "nothing can be asked", set: func(o *Observation) { o.Pending = true }, want: Create, effects: []string{"create "}, risks: []Risk{Unverified}},
		{name: "the same is there", set: func(o *Observation) { o.Live, o.After = live(t), live(t) }, want: NoOp},
		{name: "another value", set: func(o *Observation) { o.Live, o.After = live(t, `"1"}`, `"2"}`), live(t) }, want: Update, effects: []string{"update .data.a"}},
		{
			name: "somebody else's field", set: func(o *Observation) {
				o.Live, o.After = live(t), live(t, `"a": "1"`, `"a": "1", "b": "2"`)
			}, want: NoOp, others: 1,
		},
		{
			name: "somebody else's field besides ours", set: func(o *Observation) {
				o.Live, o.After = live(t), live(t, `"a": "1"`, `"a": "2", "b": "2"`)
			}, want: Update, others: 1, effects: []string{"update .data.a"},
		},
		{
			name: "our mark is gone", set: func(o *Observation) { o.Live, o.After = live(t, unowned...), live(t) }, want: Adopt,
			effects: []string{"adopt ", `adopt .metadata.annotations["davit.dev/owner"]`, `adopt .metadata.labels["davit.dev/target"]`},
		},
		{
			name: "our label is gone", set: func(o *Observation) { o.Live, o.After = live(t, `"labels": {"davit.dev/target": "KEY"},`, ""), live(t) }, want: Update,
			effects: []string{`update .metadata.labels["davit.dev/target"]`}, reason: "Davit's marks are put back",
		},
		{
			name: "a field becomes ours too", set: func(o *Observation) {
				o.Live, o.After = live(t, `"a": "1"`, `"a": "1", "b": "2"`), live(t, `"a": "1"`, `"a": "1", "b": "2"`, `"f:a": {}`, `"f:a": {}, "f:b": {}`)
			}, want: Update, effects: []string{"update .data.b"}, reason: "no value changes, only whose it is: .data.b becomes Davit's too",
		},
		{
			name: "a field that others have too is given up", set: func(o *Observation) {
				o.Live, o.After = live(t, `"a": "1"`, `"a": "1", "b": "2"`, `"f:a": {}`, `"f:a": {}, "f:b": {}`), live(t, `"a": "1"`, `"a": "1", "b": "2"`)
			}, want: Update, effects: []string{"update .data.b"}, reason: ".data.b is given up",
		},
		{
			name: "a field becomes ours, and another changes", set: func(o *Observation) {
				o.Live, o.After = live(t, `"a": "1"`, `"a": "1", "b": "2"`), live(t, `"a": "1"`, `"a": "3", "b": "2"`, `"f:a": {}`, `"f:a": {}, "f:b": {}`)
			}, want: Update, effects: []string{"update .data.a", "update .data.b"},
		},
		{
			name: "a field is contested", set: func(o *Observation) {
				o.Live, o.After = live(t, `"1"}`, `"2"}`), live(t)
				o.Contested = []Contested{{"kubectl", ".data.a"}}
			}, want: Conflict, effects: []string{"conflict .data.a", "conflict .data.a"}, risks: []Risk{TakesOver},
		},
		{
			name: "a contested field is adopted", set: func(o *Observation) {
				o.Live, o.After = live(t, append(unowned, `"1"}`, `"2"}`)...), live(t)
				o.Contested = []Contested{{"kubectl", ".data.a"}}
			}, want: Adopt, risks: []Risk{TakesOver},
			effects: []string{"adopt ", "adopt .data.a", "adopt .data.a", `adopt .metadata.annotations["davit.dev/owner"]`, `adopt .metadata.labels["davit.dev/target"]`},
		},
		{
			name: "another version, brought along", set: func(o *Observation) { o.Live, o.Pending = live(t), true }, want: Update,
			effects: []string{"update "}, risks: []Risk{Unverified},
		},
		{
			name: "another version of nobody's, brought along", set: func(o *Observation) { o.Live, o.Pending = live(t, unowned...), true }, want: Adopt,
			effects: []string{"adopt "}, risks: []Risk{Unverified},
		},
		{name: "another target's", set: func(o *Observation) { o.Live = live(t, "OWNER", other.String()) }, want: Blocked, reason: "it belongs to github:acme/gitops//apps/other"},
		{name: "Argo CD's", set: func(o *Observation) { o.Live = live(t, stamped(`"argocd.argoproj.io/tracking-id": "x"`)...) }, want: Blocked, reason: "it belongs to Argo CD (annotation argocd.argoproj.io/tracking-id: x)"},
		{
			name: "Argo CD's mark, by our own manifest", set: func(o *Observation) {
				o.Live = live(t, append(stamped(`"argocd.argoproj.io/tracking-id": "x"`), `"f:davit.dev/owner": {}`, `"f:davit.dev/owner": {}, "f:argocd.argoproj.io/tracking-id": {}`)...)
				o.After = live(t)
			}, want: Update, effects: []string{`update .metadata.annotations["argocd.argoproj.io/tracking-id"]`},
		},
		{name: "a controller's", set: func(o *Observation) { o.Live = live(t, controlled("ark")...) }, want: Blocked, reason: "it belongs to Ship ark, which controls it"},
		{
			name: "a controller's, by our own manifest", set: func(o *Observation) {
				o.Live = live(t, append(controlled("ark"), `"f:labels"`, `"f:ownerReferences": {"k:{\"uid\":\"x\"}": {}}, "f:labels"`)...)
				o.After = o.Live
			}, want: NoOp,
		},
		{
			name: "being deleted", set: func(o *Observation) {
				o.Live = live(t, `"uid": "1"`, `"uid": "1", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b", "c"]`)
			}, want: Blocked, reason: "it is being deleted (it waits for a/b, c); it can be applied once it is gone",
		},
		{name: "a problem", set: func(o *Observation) { o.Problem = "it has no name" }, want: Invalid, reason: "it has no name"},
		{name: "out of scope", set: func(o *Observation) { o.After = o.JSON }, scope: Scope{Namespaces: []string{"web"}}, want: Blocked, reason: "may not deploy into the namespace shop"},
		{name: "rejected", set: func(o *Observation) { o.Refused = &Refusal{Rejected, "a is wrong"} }, want: Invalid, reason: "a is wrong"},
		{name: "forbidden", set: func(o *Observation) { o.Refused = &Refusal{Forbidden, "no"} }, want: Blocked, reason: "no"},
		{name: "busy", set: func(o *Observation) { o.Refused = &Refusal{Busy, "later"} }, want: Blocked, reason: "later"},
		{name: "no namespace", set: func(o *Observation) { o.Refused = &Refusal{Absent, "x"} }, want: Invalid, reason: "there is no namespace shop; add a Namespace object, or create it"},
		{
			name: "a namespace that comes along", set: func(o *Observation) { o.Refused = &Refusal{Absent, "x"} }, brings: true, want: Create,
			effects: []string{"create "}, risks: []Risk{Unverified},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			o := wanted(t)
			row.set(&o)
			facts := Facts{Desired: []Observation{o}}
			if row.brings {
				namespace := prepared(t, "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")[0]
				facts.Desired = append(facts.Desired, Observation{Desired: namespace, After: namespace.JSON})
			}
			changes := made(t, Question{Facts: facts, Scope: row.scope}).Changes
			c := changes[len(changes)-1]
			if c.Class != row.want || !strings.Contains(c.Reason, row.reason) || (c.Reason == "") != (row.reason == "") {
				t.Fatalf("it is %s: %q", c.Class, c.Reason)
			}
			if c.Class.Stops() == (c.Send != nil) && c.Class != NoOp {
				t.Errorf("%s, and this is sent: %s", c.Class, c.Send)
			}
			var effects []string
			for _, e := range c.Effects {
				effects = append(effects, string(e.Class)+" "+e.Field)
			}
			slices.Sort(effects)
			if diff := cmp.Diff(row.effects, effects); diff != "" {
				t.Errorf("effects (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(row.risks, c.Risks); diff != "" || c.Others != row.others {
				t.Errorf("%d others, not %d; risks (-want +got):\n%s", c.Others, row.others, diff)
			}
			if both := string(c.Before) + string(c.After); strings.Contains(both, "davit.dev") || strings.Contains(both, "managedFields") || strings.Contains(both, `"uid"`) {
				t.Errorf("this would be shown: %s", both)
			}
		})
	}
}

// TestFormer decides on one object of the inventory that is desired no longer.
func TestFormer(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		live    json.RawMessage
		uid     string // in the inventory
		refused *Refusal
		scope   Scope
		empty   bool // nothing is desired
		removed bool
		kind    string // ConfigMap by default
		want    Class
		reason  string
	}{
		{name: "a claim that is not desired", live: live(t), uid: "1", kind: "PersistentVolumeClaim", want: Delete},
		{name: "a claim of a target that is removed", live: live(t), uid: "1", kind: "PersistentVolumeClaim", empty: true, removed: true, want: Forget, reason: "it holds data, and stays"},
		{name: "there and ours", live: live(t), uid: "1", want: Delete},
		{name: "there and ours, written down before it was made", live: live(t), want: Delete},
		{name: "gone", uid: "1", want: Forget, reason: "gone already"},
		{name: "another object of that name", live: live(t), uid: "2", want: Forget, reason: "no longer the object that was deployed"},
		{name: "without the annotation", live: live(t, `"davit.dev/owner": "OWNER"`, ""), uid: "1", want: Forget, reason: "no longer the object"},
		{name: "without the label", live: live(t, `"davit.dev/target": "KEY"`, ""), uid: "1", want: Forget, reason: "no longer the object"},
		{name: "never written, and somebody else's", live: live(t, `"davit.dev/owner": "OWNER"`, ""), want: Forget, reason: "no longer the object"},
		{name: "another target's", live: live(t, "OWNER", "github:acme/gitops//apps/other"), uid: "1", want: Forget, reason: "no longer the object"},
		{name: "Helm's by now", live: live(t, `"davit.dev/owner": "OWNER"`, `"davit.dev/owner": "OWNER", "meta.helm.sh/release-name": "x"`), uid: "1", want: Forget, reason: "it belongs to Helm (annotation meta.helm.sh/release-name: x) by now"},
		{name: "the same object by another name of its kind", live: live(t, `"uid": "1"`, `"uid": "9"`), uid: "9", want: Forget, reason: "the same object under another name"},
		{name: "out of scope", live: live(t), uid: "1", scope: Scope{Namespaces: []string{"web"}, ClusterScoped: true}, want: Blocked, reason: "may not deploy into the namespace shop"},
		{name: "can't be read", refused: &Refusal{Busy, "later"}, uid: "1", want: Blocked, reason: "later"},
		{name: "the target is empty", live: live(t), uid: "1", empty: true, want: Blocked, reason: "has become empty"},
		{name: "the target is removed", live: live(t), uid: "1", empty: true, removed: true, want: Delete},
		{name: "the target is empty, and so is the cluster", uid: "1", empty: true, want: Forget, reason: "gone already"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			ref := gitops.ObjectRef{Version: "v1", Kind: kindOr(row.kind, "ConfigMap"), Namespace: "shop", Name: "c"}
			facts := Facts{
				Inventory: &Inventory{Objects: []Entry{{Ref: ref, UID: row.uid}}},
				Former:    []Observation{{Desired: Desired{Ref: ref}, UID: row.uid, Live: row.live, Refused: row.refused}},
			}
			if !row.empty {
				ref := gitops.ObjectRef{Version: "v1", Kind: "Namespace", Name: "stays"}
				stays := live(t, `"uid": "1"`, `"uid": "9"`)
				facts.Desired = []Observation{{Desired: Desired{Ref: ref, JSON: stays}, Live: stays, After: stays}}
			}
			changes := made(t, Question{Facts: facts, Scope: row.scope, Removed: row.removed}).Changes
			c := changes[len(changes)-1]
			if c.Class != row.want || !strings.Contains(c.Reason, row.reason) || (c.Reason == "") != (row.reason == "") {
				t.Fatalf("it is %s: %q", c.Class, c.Reason)
			}
			if c.Class == Delete && (len(c.Effects) != 1 || c.Live.UID != "1" || c.Before == nil || c.After != nil) {
				t.Errorf("it is deleted as %+v", c)
			}
			if c.Class != Delete && len(c.Effects) > 0 {
				t.Errorf("%s has effects", c.Class)
			}
		})
	}
}

func TestOneObjectTwice(t *testing.T) {
	t.Parallel()
	one, two := wanted(t), wanted(t)
	one.Live, one.After, two.Live, two.After = live(t), live(t), live(t), live(t)
	two.Ref.Group = "acme.example"
	if got := made(t, Question{Facts: Facts{Desired: []Observation{one, two}}}).Count(); got[Invalid] != 1 || got[NoOp] != 1 {
		t.Errorf("an object that is desired under two groups is %v", got)
	}
}

// TestJobThatRan holds that a Job is not run again because it is gone, but is if it is
// another one, or was never made.
func TestJobThatRan(t *testing.T) {
	t.Parallel()
	const job = "{apiVersion: batch/v1, kind: Job, metadata: {name: j, namespace: shop}, spec: {ttlSecondsAfterFinished: 1, template: %s}}"
	plan := func(text string, inventory ...Entry) Change {
		d := prepared(t, text)[0]
		return made(t, Question{Facts: Facts{Inventory: &Inventory{Objects: inventory}, Desired: []Observation{{Desired: d, After: d.JSON}}}}).Changes[0]
	}
	first, other := fmt.Sprintf(job, "a"), fmt.Sprintf(job, "b")
	ran := plan(first).Live
	if ran.Ran == "" || plan(first).Class != Create {
		t.Fatal("a Job that was never made is not created")
	}
	ran.UID = "1"
	if c := plan(first, ran); c.Class != NoOp || c.Reason == "" || c.Send != nil || len(c.Effects) > 0 {
		t.Errorf("a Job that ran and is gone is to be %s: %s", c.Class, c.Reason)
	}
	if c := plan(other, ran); c.Class != Create {
		t.Errorf("another Job of that name is to be %s", c.Class)
	}
	ran.UID = ""
	if c := plan(first, ran); c.Class != Create {
		t.Errorf("a Job that was written down and never made is to be %s", c.Class)
	}
	if c := plan(strings.Replace(first, "ttlSecondsAfterFinished: 1, ", "", 1)); c.Live.Ran != "" {
		t.Error("a Job that stays is known by its run")
	}
}

// TestFounds holds that neither a namespace nor the definition of a kind is deleted
// while objects of the target are in it.
func TestFounds(t *testing.T) {
	t.Parallel()
	definition := gitops.ObjectRef{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition", Name: "sails.acme.example"}
	namespace := gitops.ObjectRef{Version: "v1", Kind: "Namespace", Name: "shop"}
	definitionLive := live(t, `"kind": "ConfigMap", "data": {"a": "1"}`, `"kind": "CustomResourceDefinition", "spec": {"group": "acme.example", "names": {"kind": "Sail"}}`)
	for _, row := range []struct {
		name   string
		former gitops.ObjectRef
		live   json.RawMessage
		stays  gitops.ObjectRef
		want   Class
	}{
		{"a namespace with an object", namespace, live(t), gitops.ObjectRef{Version: "v1", Kind: "ConfigMap", Namespace: "shop", Name: "c"}, Blocked},
		{"a namespace, and an object of another", namespace, live(t), gitops.ObjectRef{Version: "v1", Kind: "ConfigMap", Namespace: "web", Name: "c"}, Delete},
		{"a kind with an object", definition, definitionLive, gitops.ObjectRef{Group: "acme.example", Version: "v1", Kind: "Sail", Namespace: "web", Name: "s"}, Blocked},
		{"a kind, and an object of another", definition, definitionLive, gitops.ObjectRef{Group: "acme.example", Version: "v1", Kind: "Mast", Namespace: "web", Name: "m"}, Delete},
	} {
		stays := live(t, `"uid": "1"`, `"uid": "9"`)
		facts := Facts{
			Inventory: &Inventory{Objects: []Entry{{Ref: row.former, UID: "1"}}},
			Former:    []Observation{{Desired: Desired{Ref: row.former}, UID: "1", Live: row.live}},
			Desired:   []Observation{{Desired: Desired{Ref: row.stays, JSON: stays}, Live: stays, After: stays}},
		}
		for _, c := range made(t, Question{Facts: facts}).Changes {
			if c.Ref == row.former && (c.Class != row.want || c.Class == Blocked && (len(c.Effects) > 0 || !strings.Contains(c.Reason, "would go with it"))) {
				t.Errorf("%s: it is %s: %q", row.name, c.Class, c.Reason)
			}
		}
	}
}

func TestMakeRefusesNonsense(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(o *Observation){
		"a live object that is none":   func(o *Observation) { o.Live = json.RawMessage("{") },
		"a dry run that made nothing":  func(o *Observation) { o.Live, o.After = live(t), json.RawMessage("null") },
		"no dry run":                   func(o *Observation) { o.Live = live(t) },
		"ownership that can't be read": func(o *Observation) { o.Live, o.After = live(t, `"f:a": {}`, `"k:{": {}`), live(t) },
	} {
		o := wanted(t)
		set(&o)
		if p, err := Make(Question{Owner: web, Scope: Everything, Facts: Facts{Desired: []Observation{o}}}); err == nil || !strings.Contains(err.Error(), "plan ConfigMap shop/c") {
			t.Errorf("%s makes %s: %v", name, p.Changes[0].Class, err)
		}
	}
}

// TestRisks lists, for a kind and a field that changes, what may hurt.
func TestRisks(t *testing.T) {
	t.Parallel()
	deployment, service := gitops.ObjectRef{Group: "apps", Kind: "Deployment"}, gitops.ObjectRef{Kind: "Service"}
	for _, row := range []struct {
		ref   gitops.ObjectRef
		class Class
		path  []any
		want  []Risk
	}{
		{deployment, Update, []any{"spec", "template", "spec", "nodeName"}, []Risk{RestartsPods}},
		{deployment, Update, []any{"spec"}, []Risk{RestartsPods}},
		{deployment, Update, []any{"spec", "replicas"}, nil},
		{gitops.ObjectRef{Group: "acme.example", Kind: "Deployment"}, Update, []any{"spec", "template"}, nil},
		{service, Update, []any{"spec", "selector"}, []Risk{Traffic}},
		{service, Conflict, []any{"spec", "ports", map[string]any{}}, []Risk{Traffic}},
		{service, Update, []any{"spec", "type"}, nil},
		{service, Delete, nil, []Risk{Traffic}},
		{gitops.ObjectRef{Kind: "Namespace"}, Delete, nil, []Risk{DataLoss}},
		{gitops.ObjectRef{Kind: "PersistentVolumeClaim"}, Delete, nil, []Risk{DataLoss}},
		{gitops.ObjectRef{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}, Delete, nil, []Risk{DataLoss}},
		{gitops.ObjectRef{Kind: "PersistentVolumeClaim"}, Create, nil, nil},
		{gitops.ObjectRef{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}, Create, nil, []Risk{Privilege}},
		{gitops.ObjectRef{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}, Update, []any{"rules"}, []Risk{Privilege}},
		{gitops.ObjectRef{Group: "rbac.authorization.k8s.io", Kind: "Role"}, Delete, nil, nil},
	} {
		var fields []field
		if row.path != nil {
			fields = []field{{path: pathOf(row.path)}}
		}
		if diff := cmp.Diff(row.want, risksOf(Change{Ref: row.ref, Class: row.class}, fields)); diff != "" {
			t.Errorf("%s %s %v (-want +got):\n%s", row.class, row.ref, row.path, diff)
		}
	}
}

func pathOf(names []any) fieldpath.Path {
	var path fieldpath.Path
	for _, name := range names {
		if name, is := name.(string); is {
			path = append(path, fieldpath.FieldNameElement(name))
			continue
		}
		path = append(path, fieldpath.KeyElementByFields("port", int64(80)))
	}
	return path
}

// TestOrder holds that what is needed is applied before what needs it, and deleted
// after it.
func TestOrder(t *testing.T) {
	t.Parallel()
	groups := []string{
		"Namespace", "apiextensions.k8s.io/CustomResourceDefinition", "storage.k8s.io/StorageClass", "ServiceAccount rbac.authorization.k8s.io/ClusterRole",
		"rbac.authorization.k8s.io/RoleBinding", "ConfigMap Secret Service", "acme.example/Namespace apps/Deployment Pod", "networking.k8s.io/Ingress",
		"admissionregistration.k8s.io/ValidatingWebhookConfiguration",
	}
	var p Plan
	for _, group := range slices.Backward(groups) {
		for _, kind := range slices.Backward(strings.Fields(group)) {
			ref := gitops.ObjectRef{Kind: kind}
			if group, name, found := strings.Cut(kind, "/"); found {
				ref = gitops.ObjectRef{Group: group, Kind: name}
			}
			for _, class := range []Class{Invalid, Blocked, Delete, Conflict, Adopt, Update, Create, Forget, NoOp} {
				p.Changes = append(p.Changes, Change{Ref: ref, Class: class})
			}
		}
	}
	told := func(stages [][]Change) (lines []string) {
		for _, stage := range stages {
			var kinds []string
			for _, c := range stage {
				kinds = append(kinds, strings.TrimSpace(c.Ref.String()))
			}
			slices.Sort(kinds)
			lines = append(lines, strings.Join(slices.Compact(kinds), " "))
			if per := len(stage) / len(slices.Compact(kinds)); per < 1 {
				t.Errorf("a stage is empty")
			}
		}
		return lines
	}
	for i, group := range groups {
		kinds := strings.Fields(group)
		slices.Sort(kinds)
		groups[i] = strings.Join(kinds, " ")
	}
	if diff := cmp.Diff(groups, told(p.Stages())); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
	slices.Reverse(groups)
	if diff := cmp.Diff(groups, told(p.Prunes())); diff != "" {
		t.Errorf("deleted (-want +got):\n%s", diff)
	}
	for _, stage := range p.Stages() {
		for _, c := range stage {
			if !slices.Contains([]Class{Create, Update, Adopt, Conflict}, c.Class) {
				t.Errorf("%s is applied", c.Class)
			}
		}
	}
	for _, c := range p.Stopping() {
		if c.Class != Blocked && c.Class != Invalid {
			t.Errorf("%s stops", c.Class)
		}
	}
}

// TestDigest holds that a digest is of the effects, whatever order they came in, and
// of nothing else.
func TestDigest(t *testing.T) {
	t.Parallel()
	observe := func(name, value string) Observation {
		d := prepared(t, fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, namespace: shop}, data: {a: '%s'}}", name, value))[0]
		return Observation{Desired: d, Live: live(t, `"c"`, `"`+name+`"`, `"uid": "1"`, `"uid": "`+name+`"`), After: live(t, `"c"`, `"`+name+`"`, `"uid": "1"`, `"uid": "`+name+`"`, `"1"}`, `"`+value+`"}`)}
	}
	plan := func(key string, observations ...Observation) Plan {
		p, err := Make(Question{Owner: web, Scope: Everything, Key: []byte(key), Facts: Facts{Desired: observations}})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := plan("k", observe("c", "2"), observe("d", "3"))
	stale := observe("c", "2")
	stale.Live = live(t, `"1"}`, `"7"}`, `"uid": "1"`, `"uid": "c", "resourceVersion": "17"`)
	for _, row := range []struct {
		name      string
		plan      Plan
		same      bool
		uncovered int
	}{
		{"made again", plan("k", observe("c", "2"), observe("d", "3")), true, 0},
		{"in another order", plan("k", observe("d", "3"), observe("c", "2")), true, 0},
		{"with a no-op besides", plan("k", observe("c", "2"), observe("d", "3"), observe("e", "1")), true, 0},
		{"from another value", plan("k", stale, observe("d", "3")), true, 0},
		{"to another value", plan("k", observe("c", "2"), observe("d", "4")), false, 1},
		{"of another object", plan("k", observe("c", "2"), observe("e", "3")), false, 1},
		{"with values exchanged", plan("k", observe("c", "3"), observe("d", "2")), false, 2},
		{"with another key", plan("l", observe("c", "2"), observe("d", "3")), false, 2},
		{"of less", plan("k", observe("c", "2")), false, 0},
	} {
		if (row.plan.Digest == first.Digest) != row.same {
			t.Errorf("a plan %s has the digest %s, and the first has %s", row.name, row.plan.Digest, first.Digest)
		}
		if got := len(row.plan.Uncovered(first.Effects())); got != row.uncovered {
			t.Errorf("%d effects of a plan %s are uncovered, not %d", got, row.name, row.uncovered)
		}
	}
	for _, e := range first.Effects() {
		if e.Object.Version != "" || len(e.Hash) != 64 {
			t.Errorf("an effect is %+v", e)
		}
	}
}

func kindOr(kind, otherwise string) string {
	if kind == "" {
		return otherwise
	}
	return kind
}
