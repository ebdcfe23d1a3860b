package render

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/tree"
	"github.com/davitops/davit/internal/worker"
)

const (
	workerArg = "test-worker"
	// unretired is Handle in a worker that goes on after a build with a schema of
	// its own.
	unretired = "unretired"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == workerArg {
		os.Exit(worker.Program{Warm: Warm, Handlers: map[string]worker.Handler{
			Job: Handle,
			unretired: func(files worker.Files, payload []byte) ([]byte, error) {
				out, err := Handle(files, payload)
				if errors.Is(err, worker.ErrDirty) {
					err = nil
				}
				return out, err
			},
		}}.Main())
	}
	os.Exit(m.Run())
}

// oneWorker is a pool in which every job runs in the same process, if that is not
// retired.
func oneWorker(t *testing.T) *worker.Pool {
	t.Helper()
	pool, err := worker.NewPool(worker.Options{Command: []string{"/proc/self/exe", workerArg}, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	return pool
}

// as runs every job as one of another kind.
type as struct {
	Runner
	kind string
}

func (r as) Run(ctx context.Context, job worker.Job) (worker.Result, error) {
	job.Kind = r.kind
	return r.Runner.Run(ctx, job)
}

func kustomization(path string) gitops.Target {
	return gitops.Target{Path: path, Renderer: gitops.Kustomize}
}

// repository has a target of each renderer, a link, files that are read as they
// are, and a build whose schema merges containers by image.
var repository = memory{
	"app/kustomization.yaml":    "resources: [a.yaml, ../base, ../link/c.yaml]\npatches: [{path: p.yaml}]\nconfigMapGenerator:\n- {name: files, files: [app.txt]}\n",
	"app/a.yaml":                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: {spec: {containers: [{name: web, image: nginx}, {name: log, image: log}]}}}\n",
	"app/p.yaml":                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: {spec: {containers: [{name: web, env: [{name: A, value: b}]}]}}}\n",
	"app/app.txt":               "text",
	"app/readme.md":             "text",
	"base/kustomization.yml":    "resources: [b.yaml]\n",
	"base/b.yaml":               strings.ReplaceAll(configMap, "a}", "b}"),
	"shared/c.yaml":             strings.ReplaceAll(configMap, "a}", "c}"),
	"other/c.yaml":              strings.ReplaceAll(configMap, "a}", "other}"),
	"link":                      "-> shared",
	"plain/a.yaml":              configMap,
	"plain/b.yml":               "---\n" + strings.ReplaceAll(configMap, "a}", "b}"),
	"plain/notes.txt":           "text",
	"plain/below/c.yaml":        configMap,
	"schema/kustomization.yaml": "resources: [a.yaml]\nopenapi: {path: schema.json}\n",
	"schema/a.yaml":             configMap,
	"schema/schema.json": `{"definitions": {"Deployment": {"type": "object", "x-kubernetes-group-version-kind": [{"group": "apps", "version": "v1", "kind": "Deployment"}],
		"properties": {"spec": {"properties": {"template": {"properties": {"spec": {"properties": {
		"containers": {"type": "array", "items": {"type": "object"}, "x-kubernetes-patch-merge-key": "image", "x-kubernetes-patch-strategy": "merge"}}}}}}}}}}}`,
	"odd/kustomization.yaml": "resources: [a.yaml]\nopenapi: {path: schema.json}\npatches: [{patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: b}}'}]\n",
	"odd/a.yaml":             configMap,
	"odd/schema.json":        `[]`,
}

func render(t *testing.T, runner Runner, files tree.Files, target gitops.Target, hints ...string) (manifest.Rendering, tree.Record) {
	t.Helper()
	rendering, record, err := Client{Runner: runner, Domain: "test"}.Render(t.Context(), files, target, hints)
	if err != nil {
		t.Fatal(err)
	}
	return rendering, record
}

// TestSchemaDoesNotStay builds with a schema of its own between two builds of a
// target whose lists are merged by the built-in one.
func TestSchemaDoesNotStay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		kind  string
		stays bool
	}{{"retired", Job, false}, {"positive control", unretired, true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			runner := as{oneWorker(t), c.kind}
			before, _ := render(t, runner, repository, kustomization("app"))
			if before.Problem != nil || !bytes.Contains(before.Objects[0].JSON, []byte(`"image":"log"`)) {
				t.Fatalf("the clean build: %+v", before)
			}
			with, record := render(t, runner, repository, kustomization("schema"))
			if with.Problem != nil || len(with.Objects) != 1 || len(record) == 0 {
				t.Fatalf("the build with a schema: %+v", with)
			}
			after, _ := render(t, runner, repository, kustomization("app"))
			if same := cmp.Equal(before, after); same == c.stays {
				t.Errorf("the build after it is the same: %t\n%s", same, after.Objects[0].JSON)
			}
		})
	}
}

// TestOddSchema gives a schema of another shape, on which kustomize panics.
func TestOddSchema(t *testing.T) {
	t.Parallel()
	got, _ := render(t, oneWorker(t), repository, kustomization("odd"))
	if got.Problem == nil || got.Problem.Code != manifest.Invalid || got.Problem.File != "odd/schema.json" {
		t.Errorf("got %+v", got.Problem)
	}
}

// TestHintsChangeNothing renders with all sorts of hints.
func TestHintsChangeNothing(t *testing.T) {
	t.Parallel()
	pool := oneWorker(t)
	broken := repository.with(memory{"base/b.yaml": "kind: [\n"})
	for _, target := range []gitops.Target{kustomization("app"), {Path: "plain", Renderer: gitops.Plain}, kustomization("none")} {
		for _, files := range []memory{repository, broken} {
			want, record := render(t, pool, files, target)
			random := rand.New(rand.NewPCG(1, 2))
			paths := append(record.Paths(), "no/such", "../out", "/etc/passwd", "", ".", "link", "link/c.yaml", "shared/c.yaml", "app/readme.md", "a\x00b", "app/", "app//a.yaml")
			for range 30 {
				random.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
				hints := paths[:random.IntN(len(paths)+1)]
				got, gotRecord := render(t, pool, files, target, hints...)
				if d := cmp.Diff(want, got); d != "" {
					t.Fatalf("%s with hints %q (-without +with):\n%s", target.Path, hints, d)
				}
				if d := cmp.Diff(record, gotRecord); d != "" {
					t.Fatalf("%s: the record with hints %q (-without +with):\n%s", target.Path, hints, d)
				}
			}
		}
	}
}

// TestRecord edits the repository and asks the record what that touches.
func TestRecord(t *testing.T) {
	t.Parallel()
	plain := gitops.Target{Path: "plain", Renderer: gitops.Plain}
	for _, c := range []struct {
		name   string
		target gitops.Target
		edit   memory
		want   []string
	}{
		{"nothing", kustomization("app"), memory{}, nil},
		{"a resource", kustomization("app"), memory{"app/a.yaml": configMap}, []string{"app/a.yaml"}},
		{"a resource is gone", kustomization("app"), memory{"app/a.yaml": deleted}, []string{"app/a.yaml"}},
		{"a patch", kustomization("app"), memory{"app/p.yaml": "{}\n"}, []string{"app/p.yaml"}},
		{"a generator's file", kustomization("app"), memory{"app/app.txt": "other"}, []string{"app/app.txt"}},
		{"a file nobody reads", kustomization("app"), memory{"app/readme.md": "other", "new": "x"}, nil},
		{"a new file beside", kustomization("app"), memory{"app/more.yaml": configMap}, nil},
		{"where a miss was", kustomization("app"), memory{"app/kustomization.yml": "resources: []\n"}, []string{"app/kustomization.yml"}},
		{"where another miss was", kustomization("app"), memory{"base/Kustomization": "resources: []\n"}, []string{"base/Kustomization"}},
		{"a base", kustomization("app"), memory{"base/b.yaml": configMap}, []string{"base/b.yaml"}},
		{"a base is gone", kustomization("app"), memory{"base/b.yaml": deleted, "base/kustomization.yml": deleted}, []string{"base", "base/b.yaml", "base/kustomization.yml"}},
		{"a file becomes a directory", kustomization("app"), memory{"app/a.yaml": deleted, "app/a.yaml/kustomization.yaml": "namePrefix: x-\n"}, []string{"app/a.yaml"}},
		{"a directory becomes a file", kustomization("app"), memory{"base/b.yaml": deleted, "base/kustomization.yml": deleted, "base": configMap}, []string{"base", "base/b.yaml", "base/kustomization.yml"}},
		{"a link leads elsewhere", kustomization("app"), memory{"link": "-> other"}, []string{"link/c.yaml"}},
		{"a link becomes a directory", kustomization("app"), memory{"link": deleted, "link/c.yaml": configMap}, []string{"link/c.yaml"}},
		{"behind the link", kustomization("app"), memory{"shared/c.yaml": configMap}, []string{"link/c.yaml"}},
		{"what no link leads to", kustomization("app"), memory{"other/c.yaml": configMap}, nil},
		{"a plain file", plain, memory{"plain/a.yaml": strings.ReplaceAll(configMap, "a}", "z}")}, []string{"plain/a.yaml"}},
		{"a new plain file", plain, memory{"plain/z.yaml": strings.ReplaceAll(configMap, "a}", "z}")}, []string{"plain"}},
		{"a plain file is gone", plain, memory{"plain/b.yml": deleted}, []string{"plain", "plain/b.yml"}},
		{"a plain file becomes a link", plain, memory{"plain/b.yml": "-> ../shared/c.yaml"}, []string{"plain/b.yml"}},
		{"text beside plain files", plain, memory{"plain/notes.txt": "other"}, nil},
		{"below plain files", plain, memory{"plain/below/c.yaml": "other"}, nil},
		{"a broken build", kustomization("none"), memory{"none/kustomization.yaml": "namePrefix: x-\n"}, []string{"none", "none/kustomization.yaml"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			pool := oneWorker(t)
			before, record := render(t, pool, repository, c.target)
			edited := repository.with(c.edit)
			changed, err := record.Changed(edited)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, changed); d != "" {
				t.Errorf("changed (-want +got):\n%s", d)
			}
			after, _ := render(t, pool, edited, c.target)
			if !cmp.Equal(before, after) && len(changed) == 0 {
				t.Errorf("the render differs, and the record does not say so:\n%s", cmp.Diff(before, after))
			}
		})
	}
}

// dead is a Runner whose worker dies.
type dead struct{ err error }

func (d dead) Run(context.Context, worker.Job) (worker.Result, error) { return worker.Result{}, d.err }

func TestDeaths(t *testing.T) {
	t.Parallel()
	for class, code := range map[worker.Class]manifest.Code{
		worker.Timeout: manifest.Timeout, worker.Memory: manifest.Memory, worker.Crash: manifest.Crash, worker.Protocol: manifest.Protocol,
		worker.Sandbox: manifest.Sandbox, worker.Limit: manifest.TooLarge, "of tomorrow": manifest.Crash,
	} {
		for target, file := range map[gitops.Target]string{
			kustomization("app"): "app/kustomization.yaml", kustomization("base"): "base/kustomization.yml", kustomization("none"): "none",
			{Path: "plain", Renderer: gitops.Plain}: "plain",
		} {
			got, record := render(t, dead{&worker.Death{Class: class, Detail: "goroutine 1: " + canary}}, repository, target)
			if p := got.Problem; p == nil || p.Code != code || p.File != file || p.Line != 1 || p.Message == "" || p.Detail != "" {
				t.Errorf("%s of %s: %+v", class, target.Path, p)
			}
			if record != nil || got.Objects != nil {
				t.Errorf("%s of %s: something was rendered", class, target.Path)
			}
		}
	}
	if _, _, err := (Client{Runner: dead{worker.ErrClosed}}).Render(t.Context(), repository, kustomization("app"), nil); !errors.Is(err, worker.ErrClosed) {
		t.Errorf("a closed pool: %v", err)
	}
}

// TestHandle asks for what no client asks for.
func TestHandle(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{"", "null", "{}", `{"renderer":"helm","path":"app"}`, `{"renderer":7}`} {
		if out, err := Handle(repository, []byte(payload)); err == nil {
			t.Errorf("%q: answered %s", payload, out)
		}
	}
	if _, err := Handle(brokenTree{repository, "app/a.yaml"}, []byte(`{"renderer":"kustomize","path":"app"}`)); !errors.Is(err, errBroken) {
		t.Errorf("a broken tree: %v", err)
	}
}

// FuzzDecode gives the parent answers of a worker that can't be trusted.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "null", `{"origins":[]}`, `{"origins":[{"File":"a","Line":1}]}` + "\n" + `{"kind":"A"}`, `{"origins":[{}]}` + "\n[]", `{"problem":{"code":"crash","message":"x"},"detail":"y","origins":[]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		rendering, err := decode(payload)
		if err != nil {
			return
		}
		if slices.ContainsFunc(rendering.Objects, func(o manifest.Object) bool { return bytes.Contains(o.JSON, []byte("\n")) }) {
			t.Fatal("an object of two lines")
		}
		again, err := encode(rendering.Objects, rendering.Problem)
		if err != nil {
			t.Fatal(err)
		}
		if decoded, err := decode(again); err != nil || !cmp.Equal(decoded, rendering) {
			t.Fatalf("encoded and decoded again: %v\n%s", err, cmp.Diff(rendering, decoded))
		}
	})
}
