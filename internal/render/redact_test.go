package render

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/tools/txtar"

	"github.com/davitops/davit/internal/manifest"
)

// canary is the value of a Secret. Each ${CANARY} of testdata/secrets.txtar is
// replaced by it, ${BASE64} by its base64, ${LINES} by many lines of it.
const canary = "zQ7vW2kX9pL4mN8rT3yB6hJ1"

// leaks is as many characters of the canary as nothing may repeat in a row.
const leaks = gramLength

// TestRedaction makes kustomize fail in every way that was found to make it quote
// what it read. Each file of the testdata is one repository whose target is app.
func TestRedaction(t *testing.T) {
	t.Parallel()
	attacks := attacksIn(t, "testdata/secrets.txtar")
	quoted := 0
	for name, files := range attacks {
		if err := rawError(files, "app"); err != nil && leaked(err.Error()) != "" {
			quoted++
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, render := range []func(memory) error{
				func(m memory) error { _, err := kustomize(m, "app"); return err },
				func(m memory) error { _, err := plain(m, "app"); return err },
			} {
				checkSilent(t, files, render)
			}
			if _, err := kustomize(files, "app"); err == nil {
				t.Error("the attack renders; it attacks nothing")
			}
		})
	}
	// The positive control: without redaction most attacks would show the value.
	if quoted < 20 {
		t.Errorf("kustomize quotes the value in %d of %d attacks only; they prove little", quoted, len(attacks))
	}
}

func attacksIn(t *testing.T, file string) map[string]memory {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Repeat(canary+"\n", 3)
	fill := strings.NewReplacer("${CANARY}", canary, "${BASE64}", base64.StdEncoding.EncodeToString([]byte(canary)),
		"${LINES}", strings.ReplaceAll(lines, "\n", "\n      "), "${BYTE}", "\xff")
	attacks := map[string]memory{}
	for _, f := range archive.Files {
		name, file, _ := strings.Cut(f.Name, "/")
		if attacks[name] == nil {
			attacks[name] = memory{}
		}
		attacks[name]["app/"+file] = fill.Replace(string(f.Data))
	}
	return attacks
}

func checkSilent(t *testing.T, files memory, render func(memory) error) {
	t.Helper()
	err := render(files)
	if err == nil {
		return
	}
	var problem *manifest.Problem
	if !errors.As(err, &problem) {
		t.Fatalf("no problem, but %v", err)
	}
	for what, text := range map[string]string{"message": problem.Message, "detail": problem.Detail} {
		if piece := leaked(text); piece != "" {
			t.Errorf("the %s holds %q of the value:\n%s", what, piece, text)
		}
		if !utf8.ValidString(text) {
			t.Errorf("the %s is no text: %q", what, text)
		}
	}
	if problem.Message == "" || problem.File == "" || problem.Line == 0 {
		t.Errorf("the problem says too little: %+v", problem)
	}
}

// leaked returns a piece of the canary that a text holds, in any form looked for.
func leaked(text string) string {
	flat := strings.Join(strings.Fields(text), "")
	for _, secret := range []string{canary, base64.StdEncoding.EncodeToString([]byte(canary)), strings.Trim(strings.Join(strings.Fields(fmt.Sprint([]byte(canary))), ""), "[]")} {
		for i := range len(secret) - leaks {
			if piece := secret[i : i+leaks]; strings.Contains(text, piece) || strings.Contains(flat, secret[i:min(len(secret), i+2*leaks)]) {
				return piece
			}
		}
	}
	return ""
}

// TestRedactKeeps shows that a message keeps its meaning.
func TestRedactKeeps(t *testing.T) {
	t.Parallel()
	read := map[string][]byte{
		"app/kustomization.yaml": []byte("resources: [secret.yaml]\npatches:\n- target: {kind: Deployment}\n  patch: '[{op: replace, path: /spec/image, value: registry/frontend}]'\n"),
		"app/secret.yaml":        []byte("apiVersion: v1\nkind: Secret\nmetadata: {name: credentials, labels: {app: checkout}}\nstringData:\n  config: |\n    kind: Kustomization\n    resources: [a]\n    metadata: {}\n  name: hunter22\n  pin: '1234'\n"),
		"app/web.yaml":           []byte("kind: Deployment\nmetadata: {name: frontend}\nspec: {env: [{valueFrom: {secretKeyRef: {name: credentials}}}]}\n"),
	}
	for text, want := range map[string]string{
		"accumulating resources: no matches for Id Secret.v1.[noGrp]/credentials.[noNs]": "accumulating resources: no matches for Id Secret.v1.[noGrp]/credentials.[noNs]",
		"missing metadata in frontend of checkout":                                       "missing metadata in frontend of checkout",
		"cannot unmarshal hunter22 into int":                                             "cannot unmarshal *** into int",
		"cannot unmarshal \\\"hun\\nter2...":                                             "cannot unmarshal \\\"***...",
		"aHVudGVyMjI=":                                                                   "***=",
		"the pin is 1234 or 12":                                                          "the pin is *** or 12",
		"[104 117 110 116 101 114] and line 12 3":                                        "[***] and line 12 3",
	} {
		if got := redact(read, text); got != want {
			t.Errorf("redact(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestLastWords(t *testing.T) {
	t.Parallel()
	if got := lastWords("a\n  b " + mount + "/app/x"); got != "a b app/x" {
		t.Errorf("got %q", got)
	}
	if got := lastWords(strings.Repeat("ä", 1000)); got != "…"+strings.Repeat("ä", maxWords) {
		t.Errorf("a long text became %d bytes", len(got))
	}
}

// FuzzRedact checks that no value of a Secret survives, however it is quoted.
func FuzzRedact(f *testing.F) {
	f.Add("hunter2hunter2", 0)
	f.Add("pa\"ss\nword\\tab\x00é", 1)
	f.Add("\\n\\u0041\\xff0123456789", 2)
	f.Fuzz(func(t *testing.T, value string, quotes int) {
		secret, err := yamlString(value)
		if err != nil || len(value) < minValue {
			return
		}
		text := value
		for range min(max(quotes, 0), 3) {
			text = fmt.Sprintf("%q", text)
		}
		read := map[string][]byte{"s.yaml": []byte("kind: Secret\nstringData: {a: " + secret + "}\n")}
		left := skeletonOf(redact(read, "trouble with "+text))
		held := map[gram]bool{}
		for i, letters := 0, skeletonOf(value); i+gramLength <= len(letters); i++ {
			held[gramAt(letters, i)] = true
		}
		for _, word := range prose {
			letters := skeletonOf(word)
			for i := 0; i+gramLength <= len(letters); i++ {
				delete(held, gramAt(letters, i))
			}
		}
		for i := 0; i+gramLength <= len(left); i++ {
			if held[gramAt(left, i)] {
				t.Fatalf("%q survived in %q", value, redact(read, "trouble with "+text))
			}
		}
	})
}

// yamlString writes a string as YAML would, in quotes.
func yamlString(value string) (string, error) {
	if !utf8.ValidString(value) {
		return "", errors.New("no text")
	}
	data, err := json.Marshal(value)
	return string(data), err
}
