package engine

import (
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/policy"
)

const (
	claim = `{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"data","namespace":"shop"}}`
	role  = `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"all"},"rules":[{"apiGroups":["apps"],"resources":["*"],"verbs":["get"]}]}`
)

// TestHandle sends a request there and back.
func TestHandle(t *testing.T) {
	payload, err := Encode(Request{Kubernetes: "1.36", Changes: []Change{
		{Before: json.RawMessage(claim)},
		{Before: json.RawMessage(role), After: json.RawMessage(role)},
		{After: json.RawMessage("null")},
		{},
	}})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := Handle(payload)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(answer)
	if err != nil {
		t.Fatal(err)
	}
	wildcard := policy.Finding{
		Rule: "wildcard-in-rules", Engine: "builtin", Severity: policy.Error,
		Object:  gitops.ObjectRef{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "Role", Name: "all"},
		Subject: "rules[apiGroups=apps,resources=*].resources",
		Message: `a rule covers every resource of the API groups "apps"; list what it needs`,
	}
	deleted := policy.Finding{
		Rule: "deletes-data", Engine: "builtin", Severity: policy.Error,
		Object:  gitops.ObjectRef{Version: "v1", Kind: "PersistentVolumeClaim", Namespace: "shop", Name: "data"},
		Message: "deleting the claim releases its volume, and what is stored on it may go with it; keep it, or save its data first",
	}
	want := Response{Base: []policy.Finding{wildcard}, Head: []policy.Finding{deleted, wildcard}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
}

func TestHandleRefuses(t *testing.T) {
	for _, test := range []struct{ payload, want string }{
		{``, "decode judge request: "},
		{`[]`, "decode judge request: "},
		{`{"changes":7}`, "decode judge request: "},
		{`{"kubernetes":"new"}`, `judge with engine builtin: parse the cluster's version "new": `},
	} {
		answer, err := Handle([]byte(test.payload))
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %s…", test.payload, err, test.want)
		}
		if answer != nil {
			t.Errorf("%s: an answer beside an error", test.payload)
		}
	}
}

// odd is an engine that does what it is told.
type odd func() ([]policy.Finding, error)

func (odd) Name() string { return "odd" }

func (o odd) Judge(string, iter.Seq2[json.RawMessage, json.RawMessage]) (base, head []policy.Finding, err error) {
	findings, err := o()
	return findings, nil, err
}

// TestPanic proves that an engine's panic ends as an error, which says where and
// repeats nothing that could be an object's.
func TestPanic(t *testing.T) {
	none := []int(nil)
	for name, test := range map[string]struct {
		engine odd
		want   string
	}{
		"index":  {func() ([]policy.Finding, error) { return nil, errors.New(string(rune(none[len(name(none))]))) }, "index out of range [0] with length 0 in "},
		"text":   {func() ([]policy.Finding, error) { panic("canary") }, "panic with a string in "},
		"error":  {func() ([]policy.Finding, error) { panic(errors.New("canary")) }, "panic with a *errors.errorString in "},
		"simple": {func() ([]policy.Finding, error) { return nil, errors.New("no policy") }, "no policy"},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := handle([]byte(`{}`), []Engine{test.engine})
			if answer != nil || err == nil {
				t.Fatalf("answer %s, error %v", answer, err)
			}
			if text := err.Error(); !strings.HasPrefix(text, "judge with engine odd: ") || !strings.Contains(text, test.want) || strings.Contains(text, "canary") {
				t.Errorf("error %q, want …%s…", text, test.want)
			}
			if strings.Contains(test.want, " in ") && !strings.Contains(err.Error(), "engine.TestPanic") {
				t.Errorf("error %q does not say where", err)
			}
		})
	}
}

func name[T any](list []T) string { return strings.Repeat("x", len(list)) }

// TestEveryEngineSigns proves that findings carry the name of the engine in the
// registry, whatever it calls itself.
func TestEveryEngineSigns(t *testing.T) {
	answer, err := handle([]byte(`{}`), []Engine{odd(func() ([]policy.Finding, error) {
		return []policy.Finding{{Rule: "r", Engine: "builtin", Severity: policy.Info, State: policy.New}}, nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(answer)
	if err != nil {
		t.Fatal(err)
	}
	want := Response{Base: []policy.Finding{{Rule: "r", Engine: "odd", Severity: policy.Info}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
	seen := map[string]bool{}
	for _, e := range engines {
		if seen[e.Name()] || e.Name() == "" {
			t.Errorf("engine %q is registered twice, or has no name", e.Name())
		}
		seen[e.Name()] = true
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, answer := range []string{
		``, `7`, `{"base":{}}`, `{"base":[{}]}`,
		`{"head":[{"rule":"r","engine":"e","severity":"fatal"}]}`,
		`{"head":[{"rule":"r","severity":"error"}]}`,
		`{"head":[{"engine":"e","severity":"error"}]}`,
	} {
		if got, err := Decode([]byte(answer)); err == nil || !strings.HasPrefix(err.Error(), "decode judge response: ") {
			t.Errorf("%s: %v and error %v", answer, got, err)
		}
	}
}

func FuzzHandle(f *testing.F) {
	f.Add([]byte(`{"kubernetes":"1.30","changes":[{"before":` + claim + `},{"before":null,"after":` + role + `}]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		answer, err := Handle(payload)
		if err != nil {
			return
		}
		if _, err := Decode(answer); err != nil {
			t.Errorf("the parent cannot read the answer: %v", err)
		}
	})
}
