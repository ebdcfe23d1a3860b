package manifest

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/davitops/davit/internal/gitops"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, json string
		want       gitops.ObjectRef
		wrong      bool
	}{
		{
			name: "a group", json: `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"shop"}}`,
			want: gitops.ObjectRef{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: "web"},
		},
		{name: "the core", json: `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"}}`, want: gitops.ObjectRef{Version: "v1", Kind: "Secret", Name: "s"}},
		{name: "no metadata", json: `{"apiVersion":"v1","kind":"Secret"}`, want: gitops.ObjectRef{Version: "v1", Kind: "Secret"}},
		{name: "metadata of null", json: `{"apiVersion":"v1","kind":"Secret","metadata":null}`, want: gitops.ObjectRef{Version: "v1", Kind: "Secret"}},
		{name: "nothing", json: `{}`},
		// An API server ignores these fields, and so does what decides whether
		// an object is a Secret. The last two begin with KELVIN SIGN and end with
		// LONG S, which fold to the letters they look like.
		{name: "kind in capitals", json: `{"apiVersion":"v1","kind":"Secret","KIND":"ConfigMap"}`, want: gitops.ObjectRef{Version: "v1", Kind: "Secret"}},
		{name: "kind with a capital", json: `{"Kind":"ConfigMap","apiVersion":"v1","kind":"Secret"}`, want: gitops.ObjectRef{Version: "v1", Kind: "Secret"}},
		{name: "kind in letters that fold", json: `{"apiVersion":"v1","kind":"Secret","` + "\u212a" + `ind":"ConfigMap"}`, want: gitops.ObjectRef{Version: "v1", Kind: "Secret"}},
		{
			name: "version in letters that fold", json: `{"apiVersion":"v1","apiVer` + "\u017f" + `ion":"example.com/v1","kind":"Secret","metadata":{"name":"a","Name":"b"}}`,
			want: gitops.ObjectRef{Version: "v1", Kind: "Secret", Name: "a"},
		},

		{name: "no JSON", json: `{`, wrong: true},
		{name: "a list", json: `[]`, wrong: true},
		{name: "a kind that is a number", json: `{"apiVersion":"v1","kind":5}`, wrong: true},
		{name: "metadata that is text", json: `{"apiVersion":"v1","kind":"A","metadata":"x"}`, wrong: true},
		{name: "a name that is a list", json: `{"apiVersion":"v1","kind":"A","metadata":{"name":["x"]}}`, wrong: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := Decode([]byte(test.json))
			switch {
			case (err != nil) != test.wrong:
				t.Errorf("error %v, want one: %t", err, test.wrong)
			case err == nil && got.Ref != test.want:
				t.Errorf("got %+v, want %+v", got.Ref, test.want)
			case err == nil && string(got.JSON) != test.json:
				t.Errorf("JSON is %s, want it as it was", got.JSON)
			}
		})
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{"", `""`},
		{"web", `"web"`},
		{"a \"b\" \\c", `"a \"b\" \\c"`},
		{"two\nlines\t\x1b[31m", `"two\nlines\t\x1b[31m"`},
		{"gr\u00fc\u00dfe \u4e16\u754c", `"grüße 世界"`},
		{"\u202egnp.exe\u200b", `"\u202egnp.exe\u200b"`},
		{"not \xff text", `"not ? text"`},
		{strings.Repeat("ü", maxQuoted), `"` + strings.Repeat("ü", maxQuoted) + `"`},
		{strings.Repeat("ü", maxQuoted+1), `"` + strings.Repeat("ü", maxQuoted) + `…"`},
		{strings.Repeat("\xff", maxQuoted+1), `"` + strings.Repeat("?", maxQuoted) + `…"`},
	} {
		if got := Quote(test.text); got != test.want {
			t.Errorf("Quote(%q) = %s, want %s", test.text, got, test.want)
		}
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("a\x00\xff\u202e")
	f.Fuzz(func(t *testing.T, text string) {
		got := Quote(text)
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\n\r\x00\x1b\u202e\u2028") || len(got) < 2 || len(got) > 12*(maxQuoted+2) {
			t.Errorf("Quote(%q) = %q", text, got)
		}
	})
}

func TestProblem(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		problem Problem
		want    string
	}{
		{Problem{Message: "m", File: "f", Line: 3}, "f:3: m"},
		{Problem{Message: "m", File: "f"}, "f: m"},
		{Problem{Message: "m", Line: 3}, "m"},
	} {
		if got := test.problem.Error(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
	at := &Problem{Code: Depth, Line: 3}
	if moved := at.At("g"); moved.File != "g" || moved.Line != 3 || at.File != "" {
		t.Errorf("At made %+v of %+v, want a copy", moved, at)
	}
}
