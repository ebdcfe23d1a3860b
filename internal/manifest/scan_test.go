package manifest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHeaders(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, data string
		want       []Header
	}{
		{name: "nothing"},
		{name: "comments and empty documents", data: "# a\n---\n---\n# b\n---\nnull\n"},
		{
			name: "an object", data: "# c\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  namespace: shop\n  name: web\n",
			want: []Header{{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web", Line: 3}},
		},
		{
			name: "a stream, with CRLF and a mark", data: "\ufeff" + strings.ReplaceAll(object+"---\n"+object, "\n", "\r\n"),
			want: []Header{{APIVersion: "v1", Kind: "ConfigMap", Name: "a", Line: 2}, {APIVersion: "v1", Kind: "ConfigMap", Name: "a", Line: 6}},
		},
		{
			name: "JSON", data: "{\"apiVersion\": \"v1\",\n\"kind\": \"Secret\",\n\"metadata\": {\"name\": \"s\"}}",
			want: []Header{{APIVersion: "v1", Kind: "Secret", Name: "s", Line: 2}},
		},
		{name: "a document that is no mapping", data: "- a\n---\nb\n", want: []Header{{Line: 1}, {Line: 3}}},
		{
			name: "aliases are what they stand for", data: "x: [&k Secret, &m {name: &n s}]\napiVersion: v1\nkind: *k\nmetadata: *m\n",
			want: []Header{{APIVersion: "v1", Kind: "Secret", Name: "s", Line: 3}},
		},
		{name: "values of a wrong kind", data: "apiVersion: [v1]\nkind: {a: b}\nmetadata: text\n", want: []Header{{Line: 2}}},
		{name: "fields by another case are others", data: "Kind: Secret\nkind: List\napiVersion: v1\n", want: []Header{{APIVersion: "v1", Kind: "List", Line: 2}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, problem := Headers("f", []byte(test.data))
			if problem != nil {
				t.Fatal(problem)
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Errorf("headers (-want +got):\n%s", d)
			}
		})
	}
	if _, problem := Headers("dir/f.yaml", []byte(object+"---\n]\n")); problem == nil || problem.Code != Syntax || problem.File != "dir/f.yaml" {
		t.Errorf("of a broken second document: %v, want a syntax problem", problem)
	}
}

func TestIsObject(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		header Header
		want   bool
	}{
		{Header{APIVersion: "v1", Kind: "Pod", Name: "a"}, true},
		{Header{APIVersion: "v1", Kind: "List"}, true},
		{Header{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBindingList"}, true},
		{Header{APIVersion: "v1", Kind: "Pod"}, false},
		{Header{Kind: "Pod", Name: "a"}, false},
		{Header{APIVersion: "v1", Name: "a"}, false},
		{Header{}, false},
	} {
		if got := test.header.IsObject(); got != test.want {
			t.Errorf("%+v is an object: %t, want %t", test.header, got, test.want)
		}
	}
}
