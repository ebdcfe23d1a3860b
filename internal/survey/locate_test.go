package survey

import (
	"fmt"
	"testing"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/policy"
	"github.com/davitops/davit/internal/tree"
)

// TestLocate looks for objects whose names got prefixes and hashes on the way, or
// that no document holds.
func TestLocate(t *testing.T) {
	t.Parallel()
	files := memory{
		"app/kustomization.yaml":   "resources: [a.yaml, ../base]\nnamePrefix: x-\nconfigMapGenerator:\n- literals: [a=b]\n  name: \"generated\"\n",
		"app/a.yaml":               object("web", "") + "---\n" + object("website", ""),
		"app/patch.yaml":           "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata:\n  bad: x\n",
		"base/kustomization.yaml":  "resources: [b.yaml]\n",
		"base/b.yaml":              "kind: Service\napiVersion: v1\nmetadata: {name: web, namespace: one}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: two}\n",
		"base/broken.yaml":         "kind: [\n",
		"base/notes.txt":           object("other", ""),
		"aside/kustomization.yaml": "namePrefix: x-\n",
	}
	var uses []tree.Use
	for name := range files {
		uses = append(uses, tree.Use{Path: name})
	}
	record, err := tree.Observe(files, append(uses, tree.Use{Path: "app/missing.yaml"}))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind, namespace, name, field string
		want                         string
	}{
		{"ConfigMap", "", "x-web", "", "app/a.yaml:2"},
		{"ConfigMap", "", "x-web", "data.bad", "app/patch.yaml:5"},
		{"ConfigMap", "", "website", "", "app/a.yaml:7"},
		{"Service", "one", "web", "", "base/b.yaml:1"},
		{"Service", "two", "web", "", "base/b.yaml:6"},
		{"Service", "", "web-suffix", "", "base/b.yaml:1"},
		{"ConfigMap", "", "generated-2488bdfcgk", "", "app/kustomization.yaml:5"},
		{"ConfigMap", "", "other", "", "app/kustomization.yaml:1"},
		{"Deployment", "", "web", "", "app/kustomization.yaml:1"},
	} {
		d := &directory{path: "app", head: &side{record: record}}
		l := locator{question: Question{Head: files}, directory: d}
		f := policy.Finding{Object: gitops.ObjectRef{Kind: c.kind, Namespace: c.namespace, Name: c.name}, Subject: c.field}
		l.locate(&f)
		if got := fmt.Sprintf("%s:%d", f.File, f.Line); got != c.want {
			t.Errorf("%s %s/%s %s is at %s, want %s", c.kind, c.namespace, c.name, c.field, got, c.want)
		}
	}
	// A renderer that knows is believed.
	ref := gitops.ObjectRef{Kind: "ConfigMap", Name: "web"}
	d := &directory{path: "app", head: &side{record: record, rendering: manifest.Rendering{Objects: []manifest.Object{{Ref: ref, Origin: manifest.Origin{File: "app/patch.yaml", Line: 2}}}}}}
	f := policy.Finding{Object: ref}
	l := locator{question: Question{Head: files}, directory: d}
	if l.locate(&f); f.File != "app/patch.yaml" || f.Line != 2 {
		t.Errorf("the renderer's own origin became %s:%d", f.File, f.Line)
	}
}
