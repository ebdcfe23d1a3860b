package diff_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/davitops/davit/internal/diff"
	"github.com/davitops/davit/internal/manifest"
)

// TestSets runs every file of testdata: before.yaml and after.yaml hold the
// objects, want what Davit says of them.
func TestSets(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sections := map[string][]byte{}
			for _, f := range archive.Files {
				sections[f.Name] = f.Data
			}
			before, after := objects(t, sections["before.yaml"]), objects(t, sections["after.yaml"])
			var masker manifest.Masker
			for _, o := range append(before, after...) {
				if manifest.IsSecret(o.Ref) {
					masker.Learn(o.JSON)
				}
			}
			changes, err := diff.Sets(before, after, &masker)
			if err != nil {
				t.Fatal(err)
			}
			got := show(changes)
			if os.Getenv("UPDATE") != "" {
				for i, f := range archive.Files {
					if f.Name == "want" {
						archive.Files[i].Data = []byte(got)
					}
				}
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(sections["want"]), got); d != "" {
				t.Errorf("changes (-want +got):\n%s", d)
			}
		})
	}
}

func show(changes []diff.Change) string {
	var b strings.Builder
	for _, c := range changes {
		b.WriteString(string(c.Action) + " " + c.Ref.String())
		if c.Succeeds != nil {
			b.WriteString(", which succeeds " + c.Succeeds.Name)
		}
		b.WriteString("\n")
		if c.Succeeds != nil {
			b.WriteString(c.SuccessorText)
		} else if !c.Succeeded {
			b.WriteString(c.Text)
		}
	}
	return b.String()
}

func objects(t *testing.T, documents []byte) []manifest.Object {
	t.Helper()
	var list []manifest.Object
	for _, document := range strings.Split(string(documents), "\n---\n") {
		var value any
		if err := yaml.Unmarshal([]byte(document), &value); err != nil {
			t.Fatal(err)
		}
		if value == nil {
			continue
		}
		data, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		object, err := manifest.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, object)
	}
	return list
}
