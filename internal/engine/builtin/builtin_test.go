package builtin

import (
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/davitops/davit/internal/policy"
)

// documents reads the objects of a file of testdata as JSON.
func documents(t testing.TB, file string) []json.RawMessage {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("read the samples: %v", err)
	}
	var all []json.RawMessage
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		raw, err := yaml.YAMLToJSON([]byte(document))
		if err != nil {
			t.Fatalf("decode a sample of %s: %v", file, err)
		}
		all = append(all, raw)
	}
	return all
}

// one is a single change.
func one(before, after json.RawMessage) iter.Seq2[json.RawMessage, json.RawMessage] {
	return func(yield func(before, after json.RawMessage) bool) { yield(before, after) }
}

// judged returns everything held against an object that is created, and then
// deleted.
func judged(t testing.TB, kubernetes string, raw json.RawMessage) []policy.Finding {
	t.Helper()
	_, created, err := Engine{}.Judge(kubernetes, one(nil, raw))
	if err != nil {
		t.Fatalf("judge: %v", err)
	}
	before, deleted, err := Engine{}.Judge(kubernetes, one(raw, nil))
	if err != nil {
		t.Fatalf("judge: %v", err)
	}
	if diff := cmp.Diff(created, before); diff != "" {
		t.Errorf("an object is judged differently before and after (-after +before):\n%s", diff)
	}
	return append(created, deleted...)
}

// TestRules judges the samples of each rule: what is called bad breaks it, what
// is called good does not, and the golden file has the words.
func TestRules(t *testing.T) {
	for _, rule := range Rules() {
		t.Run(rule.ID, func(t *testing.T) {
			var got strings.Builder
			for _, raw := range documents(t, filepath.Join("testdata", rule.ID+".yaml")) {
				broken := 0
				for _, f := range judged(t, "", raw) {
					if f.Rule != rule.ID {
						continue
					}
					broken++
					fmt.Fprintf(&got, "%s %s %s\n\t%s\n", f.Severity, f.Object, f.Subject, f.Message)
				}
				name := decode(raw, release{}).ref.Name
				if bad := strings.HasPrefix(name, "bad-"); bad != (broken > 0) {
					t.Errorf("%s breaks the rule %d times", name, broken)
				}
			}
			golden(t, filepath.Join("testdata", rule.ID+".golden"), got.String())
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatalf("write the golden file: %v", err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("read the golden file: %v", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestCatalogue(t *testing.T) {
	seen := map[string]bool{}
	worst := policy.Error
	for _, rule := range Rules() {
		if seen[rule.ID] {
			t.Errorf("%s is there twice", rule.ID)
		}
		seen[rule.ID] = true
		for _, line := range []string{rule.ID, rule.Description, rule.Remedy} {
			if line == "" || strings.ContainsAny(line, "\n") || strings.HasSuffix(line, ".") {
				t.Errorf("%s: %q is no line of the catalogue", rule.ID, line)
			}
		}
		if !rule.Severity.Valid() || worst == policy.Warning && rule.Severity == policy.Error {
			t.Errorf("%s: severity %q in the wrong place", rule.ID, rule.Severity)
		}
		worst = rule.Severity
	}
}

func TestAPIs(t *testing.T) {
	object := func(apiVersion, kind string) json.RawMessage {
		return json.RawMessage(fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":"x"}}`, apiVersion, kind))
	}
	ingress := object("extensions/v1beta1", "Ingress")
	flow := object("flowcontrol.apiserver.k8s.io/v1beta1", "FlowSchema")
	for _, test := range []struct {
		kubernetes string
		raw        json.RawMessage
		want       string // rule: message, or nothing
	}{
		{"1.13", ingress, ""},
		{"1.14", ingress, "deprecated-api: extensions/v1beta1 Ingress is deprecated since Kubernetes 1.14 and not served from 1.22 on; use networking.k8s.io/v1 Ingress"},
		{"v1.21.5-gke.100+a", ingress, "deprecated-api: extensions/v1beta1 Ingress is deprecated since Kubernetes 1.14 and not served from 1.22 on; use networking.k8s.io/v1 Ingress"},
		{"1.22", ingress, "removed-api: extensions/v1beta1 Ingress is not served since Kubernetes 1.22; use networking.k8s.io/v1 Ingress"},
		{"1.99", ingress, "removed-api: extensions/v1beta1 Ingress is not served since Kubernetes 1.22; use networking.k8s.io/v1 Ingress"},
		{"", ingress, "removed-api: extensions/v1beta1 Ingress is not served since Kubernetes 1.22; use networking.k8s.io/v1 Ingress (1.36 is assumed; --kubernetes names the cluster's version)"},
		{"1.27", flow, "removed-api: flowcontrol.apiserver.k8s.io/v1beta1 FlowSchema is not served since Kubernetes 1.26; use flowcontrol.apiserver.k8s.io/v1beta3 FlowSchema"},
		{"1.32", flow, "removed-api: flowcontrol.apiserver.k8s.io/v1beta1 FlowSchema is not served since Kubernetes 1.26; use flowcontrol.apiserver.k8s.io/v1 FlowSchema"},
		{"1.32", object("v1", "Endpoints"), ""},
		{"1.33", object("v1", "Endpoints"), "deprecated-api: v1 Endpoints is deprecated since Kubernetes 1.33; use discovery.k8s.io/v1 EndpointSlice"},
		{"1.22", object("apiextensions.k8s.io/v1beta1", "CustomResourceDefinition"), "removed-api: apiextensions.k8s.io/v1beta1 CustomResourceDefinition is not served since Kubernetes 1.22; use apiextensions.k8s.io/v1 CustomResourceDefinition"},
		{"1.16", object("cert-manager.io/v1beta1", "Issuer"), "deprecated-api: cert-manager.io/v1beta1 Issuer is an outdated version of its API; use cert-manager.io/v1"},
		{"1.36", object("external-secrets.io/v1alpha1", "PushSecret"), ""},
	} {
		_, findings, err := Engine{}.Judge(test.kubernetes, one(nil, test.raw))
		if err != nil {
			t.Errorf("judge for %q: %v", test.kubernetes, err)
		}
		var got []string
		for _, f := range findings {
			got = append(got, f.Rule+": "+f.Message)
		}
		if diff := cmp.Diff(test.want, strings.Join(got, "\n")); diff != "" {
			t.Errorf("%s for %q (-want +got):\n%s", test.raw, test.kubernetes, diff)
		}
	}
	for _, version := range []string{"1", "2.0", "latest", "1.x", "1.1000", " 1.36", "1.36\n", "1.36;"} {
		if _, _, err := (Engine{}).Judge(version, one(nil, ingress)); err == nil {
			t.Errorf("%q passes for a version", version)
		}
	}
}

// TestDelta follows findings through a change: what moves stays the same, what
// is added is new, and a deletion is new though nothing is left to judge.
func TestDelta(t *testing.T) {
	workload := func(containers string) json.RawMessage {
		return json.RawMessage(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"template":{"spec":{"containers":[` + containers + `]}}}}`)
	}
	const bad, good = `{"name":"a","securityContext":{"privileged":true}}`, `{"name":"b"}`
	claim := json.RawMessage(`{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"data"}}`)
	for _, test := range []struct {
		name          string
		before, after json.RawMessage
		rule          string
		want          policy.State
		blocks        bool
	}{
		{"created", nil, workload(bad), "privileged-container", policy.New, true},
		{"moved in its list", workload(bad + "," + good), workload(good + "," + bad), "privileged-container", policy.Existing, false},
		{"fixed", workload(bad), workload(good), "privileged-container", policy.Fixed, false},
		{"deleted", workload(bad), nil, "privileged-container", policy.Fixed, false},
		{"deleted claim", claim, nil, "deletes-data", policy.New, true},
	} {
		base, head, err := Engine{}.Judge("1.36", one(test.before, test.after))
		if err != nil {
			t.Fatalf("%s: judge: %v", test.name, err)
		}
		delta := policy.Delta(base, head)
		var got []policy.State
		for _, f := range delta {
			if f.Rule == test.rule {
				got = append(got, f.State)
			}
		}
		if diff := cmp.Diff([]policy.State{test.want}, got); diff != "" {
			t.Errorf("%s: states of %s (-want +got):\n%s", test.name, test.rule, diff)
		}
		if got := policy.Blocks(delta); got != test.blocks {
			t.Errorf("%s: blocks = %t, want %t", test.name, got, test.blocks)
		}
	}
}

// TestSecretValues proves that no value of a Secret is in any finding: each
// holds the word canary, clear or encoded.
func TestSecretValues(t *testing.T) {
	canaries := []string{"canary", "Y2FuYXJ5", "NhbmFye", "31415926535", "hunter2"}
	for _, raw := range documents(t, "testdata/plain-secret.yaml") {
		for _, f := range judged(t, "", raw) {
			told, err := json.Marshal(struct {
				policy.Finding
				All string
			}{f, fmt.Sprintf("%+v", f)})
			if err != nil {
				t.Fatalf("encode a finding: %v", err)
			}
			for _, canary := range canaries {
				if strings.Contains(string(told), canary) {
					t.Errorf("a finding holds %q: %s", canary, told)
				}
			}
		}
	}
}

// TestShapes judges objects of shapes that no API accepts.
func TestShapes(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, raw := range []string{
		``, `null`, `[]`, `"text"`, `7`, `true`, `{}`, `{"kind":[]}`, `{"kind":"Secret"}`, `{`,
		`{"apiVersion":"v1","kind":"Secret","data":"x","stringData":[1]}`,
		`{"apiVersion":"v1","kind":"Secret","stringData":{"a":1e999999}}`,
		`{"apiVersion":"v1","kind":"Pod"}`, `{"apiVersion":"v1","kind":"Pod","spec":[]}`,
		`{"apiVersion":"v1","kind":"Pod","spec":{"containers":{"a":1},"volumes":"x","securityContext":7}}`,
		`{"apiVersion":"v1","kind":"Pod","spec":{"containers":[null,1,"a",[],{"name":{},"image":[],"ports":7,"resources":[],"securityContext":"x"}]}}`,
		`{"apiVersion":"v1","kind":"Pod","spec":{"securityContext":{"runAsUser":99999999999999999999},"containers":[{}]}}`,
		`{"apiVersion":"v1","kind":"Pod","metadata":[],"spec":{"containers":[` + strings.Repeat(`{},`, 100_000) + `{}]}}`,
		`{"apiVersion":"apps/v1","kind":"Deployment","spec":{"template":{"spec":{"containers":[{"name":"` + long + `","image":"` + long + `"}]}}}}`,
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","rules":[null,{"verbs":"*"},{"verbs":["*",1,null],"resources":{"*":1}}]}`,
		`{"a":` + strings.Repeat(`[`, 9_000) + strings.Repeat(`]`, 9_000) + `}`,
		`{"a":` + strings.Repeat(`[`, 20_000) + strings.Repeat(`]`, 20_000) + `}`,
	} {
		checkBounds(t, judged(t, "1.36", json.RawMessage(raw)))
	}
}

// checkBounds holds what is true of every finding of any object.
func checkBounds(t *testing.T, findings []policy.Finding) {
	t.Helper()
	if most := len(checks) * (maxHits + 1) * 2; len(findings) > most {
		t.Errorf("%d findings about one object, want at most %d", len(findings), most)
	}
	for _, f := range findings {
		for _, text := range []string{f.Subject, f.Message} {
			// No text quotes more than four times, each time 100 runes of up to ten
			// when escaped.
			if utf8.RuneCountInString(text) > 4*10*101+400 {
				t.Errorf("%s says %d runes", f.Rule, utf8.RuneCountInString(text))
			}
			if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }) {
				t.Errorf("%s says what cannot be shown: %q", f.Rule, text)
			}
		}
		if f.Rule == "" || f.Message == "" || !f.Severity.Valid() || f.State != "" {
			t.Errorf("incomplete finding %+v", f)
		}
	}
}

func FuzzJudge(f *testing.F) {
	for _, rule := range Rules() {
		for _, raw := range documents(f, filepath.Join("testdata", rule.ID+".yaml")) {
			f.Add([]byte(raw))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		checkBounds(t, judged(t, "", raw))
	})
}

func BenchmarkJudge(b *testing.B) {
	raw := documents(b, "testdata/unset-resources.yaml")[0]
	for b.Loop() {
		if _, _, err := (Engine{}).Judge("1.36", one(nil, raw)); err != nil {
			b.Fatal(err)
		}
	}
}
