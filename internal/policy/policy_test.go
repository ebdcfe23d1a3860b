package policy

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/gitops"
)

func deployment(name string) gitops.ObjectRef {
	return gitops.ObjectRef{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: name}
}

// with returns a finding that differs from the usual one.
func with(changes ...func(*Finding)) Finding {
	f := Finding{Rule: "latest-tag", Engine: "builtin", Severity: Error, Object: deployment("web"),
		Subject: "spec.containers[name=web].image", Message: "no tag", File: "web.yaml", Line: 7}
	for _, change := range changes {
		change(&f)
	}
	return f
}

func state(s State) func(*Finding)       { return func(f *Finding) { f.State = s } }
func severity(s Severity) func(*Finding) { return func(f *Finding) { f.Severity = s } }
func message(m string) func(*Finding)    { return func(f *Finding) { f.Message = m } }
func subject(s string) func(*Finding)    { return func(f *Finding) { f.Subject = s } }
func object(name string) func(*Finding)  { return func(f *Finding) { f.Object = deployment(name) } }
func rule(r string) func(*Finding)       { return func(f *Finding) { f.Rule = r } }
func engine(e string) func(*Finding)     { return func(f *Finding) { f.Engine = e } }
func line(n int) func(*Finding)          { return func(f *Finding) { f.Line = n } }
func version(v string) func(*Finding)    { return func(f *Finding) { f.Object.Version = v } }

func TestDelta(t *testing.T) {
	for _, test := range []struct {
		name       string
		base, head []Finding
		want       []Finding
		blocks     bool
	}{
		{name: "nothing", want: []Finding{}},
		{
			name: "new", head: []Finding{with()},
			want: []Finding{with(state(New))}, blocks: true,
		},
		{
			name: "a new warning", head: []Finding{with(severity(Warning))},
			want: []Finding{with(severity(Warning), state(New))},
		},
		{
			name: "fixed", base: []Finding{with()},
			want: []Finding{with(state(Fixed))},
		},
		{
			name: "existing, as head tells it",
			base: []Finding{with(message("old words"), line(3), version("v1beta1"))}, head: []Finding{with()},
			want: []Finding{with(state(Existing))},
		},
		{
			name: "states that came with the findings",
			base: []Finding{with(state(New))}, head: []Finding{with(state(Fixed))},
			want: []Finding{with(state(Existing))},
		},
		{
			name: "another subject",
			base: []Finding{with()}, head: []Finding{with(subject("spec.containers[name=api].image"))},
			want: []Finding{with(subject("spec.containers[name=api].image"), state(New)), with(state(Fixed))}, blocks: true,
		},
		{
			name: "another engine's rule of that name",
			base: []Finding{with()}, head: []Finding{with(engine("rego"))},
			want: []Finding{with(state(Fixed)), with(engine("rego"), state(New))}, blocks: true,
		},
		{
			name: "one more at the same place",
			base: []Finding{with()}, head: []Finding{with(), with(message("and another"))},
			want: []Finding{with(message("and another"), state(New)), with(state(Existing))}, blocks: true,
		},
		{
			name: "one less at the same place",
			base: []Finding{with(), with()}, head: []Finding{with()},
			want: []Finding{with(state(Existing)), with(state(Fixed))},
		},
		{
			name: "more severe is new, and nothing is fixed",
			base: []Finding{with(severity(Warning))}, head: []Finding{with()},
			want: []Finding{with(state(New))}, blocks: true,
		},
		{
			name: "less severe is existing",
			base: []Finding{with()}, head: []Finding{with(severity(Warning))},
			want: []Finding{with(severity(Warning), state(Existing))},
		},
		{
			name: "the severities are paired before anything rises",
			base: []Finding{with(severity(Warning)), with()}, head: []Finding{with(), with(severity(Warning))},
			want: []Finding{with(state(Existing)), with(severity(Warning), state(Existing))},
		},
		{
			name: "one of two rises",
			base: []Finding{with(severity(Warning)), with()}, head: []Finding{with(), with()},
			want: []Finding{with(state(Existing)), with(state(New))}, blocks: true,
		},
		{
			name: "the worse of two is fixed",
			base: []Finding{with(), with(severity(Info))}, head: []Finding{with(severity(Info))},
			want: []Finding{with(state(Fixed)), with(severity(Info), state(Existing))},
		},
		{
			name: "the order: severity, object, rule, subject",
			head: []Finding{
				with(severity(Info)), with(severity(Warning)),
				with(object("b")), with(object("a"), rule("z")), with(object("a"), rule("y"), subject("n")), with(object("a"), rule("y"), subject("m")),
			},
			want: []Finding{
				with(object("a"), rule("y"), subject("m"), state(New)), with(object("a"), rule("y"), subject("n"), state(New)),
				with(object("a"), rule("z"), state(New)), with(object("b"), state(New)),
				with(severity(Warning), state(New)), with(severity(Info), state(New)),
			}, blocks: true,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Delta(test.base, test.head)
			if diff := cmp.Diff(test.want, got, cmp.Comparer(func(a, b Finding) bool { return a == b })); diff != "" {
				t.Errorf("delta (-want +got):\n%s", diff)
			}
			if blocks := Blocks(got); blocks != test.blocks {
				t.Errorf("blocks = %t, want %t", blocks, test.blocks)
			}
		})
	}
}

// TestDeltaIsOfMultisets checks, on findings at random, what holds for any: the
// order of the arguments doesn't matter, every finding of head is told once, and
// every one of base either is paired with one or is fixed.
func TestDeltaIsOfMultisets(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	draw := func() []Finding {
		findings := make([]Finding, random.IntN(8))
		for i := range findings {
			findings[i] = with(severity(severities[random.IntN(3)]), message([]string{"a", "b"}[random.IntN(2)]),
				subject([]string{"x", "y"}[random.IntN(2)]), line(random.IntN(3)))
		}
		return findings
	}
	for range 2000 {
		base, head := draw(), draw()
		want := Delta(base, head)
		count := map[State]int{}
		for _, f := range want {
			count[f.State]++
		}
		if count[New]+count[Existing] != len(head) || count[Existing]+count[Fixed] > len(base) {
			t.Fatalf("%d of base and %d of head give %v", len(base), len(head), count)
		}
		if same := Delta(head, head); Blocks(same) || len(same) != len(head) {
			t.Fatalf("a revision differs from itself: %+v", same)
		}
		shuffle := func(f []Finding) []Finding {
			f = slices.Clone(f)
			random.Shuffle(len(f), func(i, j int) { f[i], f[j] = f[j], f[i] })
			return f
		}
		if got := Delta(shuffle(base), shuffle(head)); !slices.Equal(got, want) {
			t.Fatalf("the order of the arguments matters: %+v, then %+v", want, got)
		}
	}
}

func TestMarshalJSON(t *testing.T) {
	for _, test := range []struct {
		finding Finding
		want    string
	}{
		{with(state(New)), `{"rule":"latest-tag","engine":"builtin","severity":"error","state":"new","message":"no tag","file":"web.yaml","line":7,"object":"apps/Deployment shop/web"}`},
		{Finding{Rule: "r", Engine: "e", Severity: Info, Object: gitops.ObjectRef{Kind: "Node", Name: "n"}},
			`{"rule":"r","engine":"e","severity":"info","message":"","object":"Node n"}`},
	} {
		got, err := json.Marshal(test.finding)
		if err != nil {
			t.Fatalf("encode: %v", err)
		}
		if string(got) != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}
