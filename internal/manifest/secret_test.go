package manifest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/gitops"
)

const canary = "zQ7vW2kX9pL4mN8rT3yB6hJ1"

func decodeJSON(t testing.TB, text string) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		t.Fatalf("decode %s: %v", text, err)
	}
	return object
}

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func TestMask(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, secret, want string }{
		{"no values", `{"kind":"Secret","metadata":{"name":"a"},"type":"Opaque"}`, `{"kind":"Secret","metadata":{"name":"a"},"type":"Opaque"}`},
		{
			"a value has one name in data and in stringData",
			`{"data":{"a":"` + encoded("hunter2") + `","b":"` + encoded("other") + `"},"stringData":{"c":"hunter2"}}`,
			`{"data":{"a":"secret 1","b":"secret 2"},"stringData":{"c":"secret 1"}}`,
		},
		{"base64 of several lines", `{"data":{"a":"aHVu\ndGVy\nMg==\n","b":"aHVudGVyMg=="}}`, `{"data":{"a":"secret 1","b":"secret 1"}}`},
		{"data that is no base64", `{"data":{"a":"hunter2!"}}`, `{"data":{"a":"secret 1"}}`},
		{"values that are no texts", `{"data":{"a":5,"b":true,"c":["x"],"d":{"e":"x"}}}`, `{"data":{"a":"secret 1","b":"secret 2","c":"secret 3","d":"secret 4"}}`},
		{"a value that is null is none", `{"data":{"a":null},"stringData":null}`, `{"data":{"a":null},"stringData":null}`},
		{"data that is a list or a text", `{"data":["hunter2"],"stringData":"hunter2"}`, `{"data":"secret 1","stringData":"secret 2"}`},
		{"a field with a misspelled name", `{"stringdata":{"a":"hunter2"},"Data":"hunter2"}`, `{"Data":"secret 1","stringdata":{"a":"secret 1"}}`},
		{"a key that can't be one may be a value", `{"stringData":{"password: hunter2":""}}`, `{"stringData":{"secret 1":"secret 2"}}`},
		{
			"the copy that kubectl keeps",
			`{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}","team":"shop"},"name":"a"}}`,
			`{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"secret 1","team":"shop"},"name":"a"}}`,
		},
		{
			"copies of a value in the metadata",
			`{"metadata":{"annotations":{"a":"is hunter2","b":"is ` + encoded("hunter2") + `","c":"hunter"},"labels":{"l":"hunter2"},"name":"hunter2","namespace":"hunter2"},"stringData":{"p":"hunter2"}}`,
			`{"metadata":{"annotations":{"a":"secret 2","b":"secret 3","c":"hunter"},"labels":{"l":"secret 1"},"name":"hunter2","namespace":"hunter2"},"stringData":{"p":"secret 1"}}`,
		},
		{"a value and its copy without the line's end", `{"metadata":{"labels":{"l":"hunter2"}},"data":{"p":"` + encoded("hunter2\n") + `"}}`, `{"data":{"p":"secret 1"},"metadata":{"labels":{"l":"secret 2"}}}`},
		{"short values are words", `{"metadata":{"labels":{"app":"shop"}},"stringData":{"user":"shop"}}`, `{"metadata":{"labels":{"app":"shop"}},"stringData":{"user":"secret 1"}}`},
		{"what is no value stays", `{"apiVersion":"v1","immutable":true,"kind":"Secret","metadata":{"generation":3,"uid":null}}`, `{"apiVersion":"v1","immutable":true,"kind":"Secret","metadata":{"generation":3,"uid":null}}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := decodeJSON(t, test.secret)
			new(Masker).Mask(got)
			if d := cmp.Diff(decodeJSON(t, test.want), got); d != "" {
				t.Errorf("masked (-want +got):\n%s", d)
			}
		})
	}
}

func TestNamesHoldAcrossAReport(t *testing.T) {
	t.Parallel()
	var m Masker
	before := decodeJSON(t, `{"data":{"a":"`+encoded("one")+`","b":"`+encoded("two")+`"}}`)
	after := decodeJSON(t, `{"stringData":{"a":"two","b":"three"}}`)
	m.Mask(before)
	m.Mask(after)
	if d := cmp.Diff(decodeJSON(t, `{"data":{"a":"secret 1","b":"secret 2"}}`), before); d != "" {
		t.Errorf("before (-want +got):\n%s", d)
	}
	if d := cmp.Diff(decodeJSON(t, `{"stringData":{"a":"secret 2","b":"secret 3"}}`), after); d != "" {
		t.Errorf("after (-want +got):\n%s", d)
	}
}

// TestNumberingIsDeterministic masks one Secret of many keys again and again: Go
// walks a map in another order each time.
func TestNumberingIsDeterministic(t *testing.T) {
	t.Parallel()
	entries := map[string]string{}
	for i := range 50 {
		entries[fmt.Sprintf("key-%d", i)] = fmt.Sprintf("a value, the %dth", i)
	}
	text, err := json.Marshal(map[string]any{"stringData": entries, "metadata": map[string]any{"annotations": maps.Clone(entries)}})
	if err != nil {
		t.Fatal(err)
	}
	first := decodeJSON(t, string(text))
	new(Masker).Mask(first)
	for range 20 {
		again := decodeJSON(t, string(text))
		new(Masker).Mask(again)
		if d := cmp.Diff(first, again); d != "" {
			t.Fatalf("another numbering (-first +again):\n%s", d)
		}
	}
}

// positions are all the places of a Secret that can hold a value; ? is where the
// canary goes.
var positions = []string{
	`{"data":{"a":"?"}}`, `{"stringData":{"a":"?"}}`, `{"data":"?"}`, `{"stringData":["?"]}`, `{"data":{"a":["?"]}}`, `{"data":{"a":{"b":{"c":"?"}}}}`,
	`{"data":{"a":{"?":1}}}`, `{"stringData":{"url: ?":1}}`, `{"data":[{"?":null}]}`, `{"spec":{"template":{"data":{"a":"?"}}}}`, `{"stringdata":{"a":"?"}}`, `{"password: ?":1}`,
	`{"status":"?"}`, `{"items":[{"stringData":{"a":"?"}}]}`,
	`{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"data\":{\"a\":\"?\"}}"}}}`,
	`{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":{"data":"?"}}}}`,
}

// copies are places that may repeat a value of data.
var copies = []string{
	`{"data":{"p":"?"},"metadata":{"annotations":{"note":"it is ? now"}}}`, `{"data":{"p":"?"},"metadata":{"labels":{"?":"x"}}}`,
	`{"data":{"p":"?"},"metadata":{"managedFields":[{"f:data":{"f:?":{}}}]}}`, `{"data":{"p":"?"},"type":"?"}`, `{"data":{"p":"?"},"immutable":"?"}`,
	`{"data":{"p":"?"},"metadata":"?"}`, `{"data":{"p":"?"},"metadata":{"ownerReferences":[{"name":"?"}]}}`, `{"data":{"p":["?"]},"metadata":{"generateName":"?-"}}`,
}

func TestNoCanarySurvives(t *testing.T) {
	t.Parallel()
	forms := map[string]string{"plain": canary, "base64": encoded(canary), "base64 with a line's end": encoded(canary + "\n"), "inside a text": "user=a&password=" + canary + ";"}
	for _, position := range slices.Concat(positions, copies) {
		for form, value := range forms {
			secret := decodeJSON(t, strings.ReplaceAll(position, "?", value))
			new(Masker).Mask(secret)
			wantNoCanary(t, position+" "+form, secret)
		}
	}
	for _, at := range copies {
		// The value in data, and a copy in another form.
		for _, form := range []string{canary, encoded(canary), "is " + canary + "!"} {
			for _, value := range []string{encoded(canary), encoded(canary + "\n"), encoded("password=" + canary + "\n")} {
				secret := decodeJSON(t, strings.ReplaceAll(strings.Replace(at, "?", value, 1), "?", form))
				new(Masker).Mask(secret)
				wantNoCanary(t, at+" "+form+" "+value, secret)
			}
		}
	}
}

func wantNoCanary(t *testing.T, what string, secret map[string]any) {
	t.Helper()
	text, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{canary, encoded(canary)[:28]} {
		if strings.Contains(string(text), form) {
			t.Errorf("%s: %s survives in %s", what, form, text)
		}
	}
}

func FuzzMask(f *testing.F) {
	for _, position := range slices.Concat(positions, copies) {
		f.Add([]byte(position))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var secret map[string]any
		if strings.Contains(string(data), canary) || json.Unmarshal(data, &secret) != nil || secret == nil {
			return
		}
		secret["stringData"] = map[string]any{"canary": canary, "more": secret["stringData"]}
		metadata, _ := secret["metadata"].(map[string]any)
		if metadata == nil {
			metadata = map[string]any{}
		}
		secret["metadata"] = metadata
		metadata["annotations"] = map[string]any{"plain": canary, "encoded": encoded(canary), canary: metadata["annotations"]}
		new(Masker).Mask(secret)
		wantNoCanary(t, string(data), secret)
	})
}

func TestIsSecret(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		ref  gitops.ObjectRef
		want bool
	}{
		{gitops.ObjectRef{Version: "v1", Kind: "Secret"}, true},
		{gitops.ObjectRef{Version: "v2", Kind: "Secret"}, true},
		{gitops.ObjectRef{Group: "example.com", Version: "v1", Kind: "Secret"}, false},
		{gitops.ObjectRef{Version: "v1", Kind: "ConfigMap"}, false},
	} {
		if got := IsSecret(test.ref); got != test.want {
			t.Errorf("%s is a Secret: %t, want %t", test.ref, got, test.want)
		}
	}
}

// TestApart holds that nothing a cluster holds can be guessed by writing it into
// another key, or another Secret, and comparing names.
func TestApart(t *testing.T) {
	t.Parallel()
	secret := func(name string, data map[string]any) map[string]any {
		return map[string]any{"kind": "Secret", "metadata": map[string]any{"namespace": "shop", "name": name}, "stringData": data}
	}
	var git Masker
	live := git.Apart()
	held, again := secret("db", map[string]any{"pin": "483920"}), secret("db", map[string]any{"pin": "483920", "guess": "483920"})
	guesses := secret("mine", map[string]any{"pin": "483920"})
	inGit := secret("mine", map[string]any{"pin": "483920"})
	for _, s := range []map[string]any{held, again, guesses} {
		live.Mask(s)
	}
	git.Mask(inGit)
	value := func(s map[string]any, key string) any { return s["stringData"].(map[string]any)[key] }
	if value(held, "pin") != "live secret 1" || value(again, "pin") != value(held, "pin") {
		t.Errorf("a value that stays is %v and then %v", value(held, "pin"), value(again, "pin"))
	}
	for _, guess := range []any{value(again, "guess"), value(guesses, "pin"), value(inGit, "pin")} {
		if guess == value(held, "pin") {
			t.Errorf("a guess has the name of what was guessed: %v", guess)
		}
	}
}

// TestSaid masks what programs repeat of Secrets, common values and parts of settings among
// them.
func TestSaid(t *testing.T) {
	t.Parallel()
	var m Masker
	m.Learn([]byte(`{"kind": "Secret", "stringData": {"a": "hunter2", "b": "user: bob\npassword: swordfish", "c": "TOKEN=\"letmein\"", "d": "postgres://app:opensesame@db/x", "e": "abc"}}`))
	for _, text := range []string{"hunter2", "swordfish", "letmein", "opensesame", "aHVudGVyMg=="} {
		if got := m.Said("it said " + text + " aloud"); strings.Contains(got, text) || !strings.Contains(got, "secret ") {
			t.Errorf("%q is told as %q", text, got)
		}
	}
	for _, text := range []string{"connecting to db as app with a password", "abc"} {
		if got := m.Said(text); got != text {
			t.Errorf("%q is told as %q", text, got)
		}
	}
}
