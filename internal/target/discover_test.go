package target

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/tree"
)

// TestDiscover runs testdata/discover: each file's comment says what it shows;
// its files are a repository, and "want" is what is found in it.
func TestDiscover(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/discover/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("found %d samples, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want string
			var repository []txtar.File
			var config Config
			for _, f := range archive.Files {
				switch f.Name {
				case "want":
					want = string(f.Data)
				case ConfigFile:
					config = valid(t, string(f.Data))
				default:
					repository = append(repository, f)
				}
			}
			if d := cmp.Diff(want, printed(discover(repository, config))); d != "" {
				t.Errorf("found (-want +got):\n%s", d)
			}
		})
	}
}

func valid(t testing.TB, config string) Config {
	t.Helper()
	c, problems := ParseConfig(ConfigFile, []byte(config))
	for _, p := range problems {
		t.Error(p.Error())
	}
	return c
}

// discover finds the targets of files. One whose content begins with "-> " is a
// link, and "(submodule)" is one.
func discover(files []txtar.File, config Config) Found {
	var entries []tree.Entry
	for i, f := range files {
		e := tree.Entry{Path: f.Name, Mode: tree.ModeFile, ID: fmt.Sprintf("%040d", i)}
		switch {
		case strings.HasPrefix(string(f.Data), "-> "):
			e.Mode = tree.ModeLink
		case strings.HasPrefix(string(f.Data), "(submodule)"):
			e.Mode = tree.ModeSubmodule
		}
		entries = append(entries, e)
	}
	markers := map[MarkerKey]Marker{}
	for _, e := range Markers(entries) {
		for _, f := range files {
			if f.Name == e.Path {
				markers[KeyOf(e)] = DecodeMarker(f.Name, f.Data)
			}
		}
	}
	return Discover(entries, markers, config)
}

// printed is a line for each target: its name, renderer, environment and cluster;
// then the notes, and what is spoiled.
func printed(f Found) string {
	var b strings.Builder
	for _, t := range f.Targets {
		fmt.Fprintf(&b, "%s %s", t.Name(), t.Renderer)
		if t.Environment != "" {
			b.WriteString(" environment=" + t.Environment)
		}
		if t.Cluster != "" {
			b.WriteString(" cluster=" + t.Cluster)
		}
		b.WriteString("\n")
	}
	for _, n := range f.Notes {
		b.WriteString("note: " + n + "\n")
	}
	for _, s := range f.Spoiled {
		b.WriteString("spoiled: " + s + "\n")
	}
	return b.String()
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	config := valid(t, "version: 1\nenvironments:\n  canary: {cluster: c}\n  fleet: {clusters: [b, a]}\n")
	for path, want := range map[string]string{
		".":                                   "",
		"apps/web":                            "",
		"apps/staging/web":                    "environment=staging",
		"apps/production":                     "environment=production",
		"infrastructure/prod":                 "environment=prod",
		"apps/web/overlays/eu-1":              "environment=eu-1",
		"envs/blue/web":                       "environment=blue",
		"environments/green":                  "environment=green",
		"apps/web/overlays":                   "",
		"clusters/prod-eu/apps":               "cluster=prod-eu",
		"clusters":                            "",
		"clusters/Prod_EU":                    "",
		"clusters/prod-eu/overlays/dev":       "environment=dev cluster=prod-eu",
		"staging/apps/web/overlays/prod":      "environment=prod",
		"clusters/a/clusters/b":               "cluster=b",
		"apps/production-like":                "",
		"apps/Production":                     "",
		"apps/web/canary":                     "environment=canary cluster=c",
		"clusters/other/canary":               "environment=canary cluster=other",
		"apps/web/fleet":                      "environment=fleet cluster=a; environment=fleet cluster=b",
		"clusters/other/fleet":                "environment=fleet cluster=other",
		"overlays/" + strings.Repeat("a", 64): "",
	} {
		var got []string
		for _, target := range config.byConvention(map[string]gitops.Renderer{path: gitops.Plain}).Targets {
			place := ""
			if target.Environment != "" {
				place = "environment=" + target.Environment
			}
			if target.Cluster != "" {
				place += " cluster=" + target.Cluster
			}
			got = append(got, strings.TrimSpace(place))
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

// TestLargeAndBrokenMarkers reads files too large, or too hostile, to be text of a
// test.
func TestLargeAndBrokenMarkers(t *testing.T) {
	t.Parallel()
	object := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	large := strings.Repeat("# a comment\n", maxMarker/12+1)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for i := range 7 {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%s,", strings.TrimPrefix(fmt.Sprint(i-1), "-1")), 10), ","))
	}
	for _, test := range []struct{ name, file, data, want string }{
		{"objects", "app/large.yaml", object + large, "app plain\n"},
		{"large, and no objects: whoever renders it says so", "app/values.yaml", "a: 1\n" + large, "app plain\n"},
		{"a large kustomization", "app/kustomization.yaml", "resources: []\n" + large, "app kustomize\n"},
		{"a bomb that looks like an object", "app/a.yaml", object + bomb, "app plain\n"},
		{"a bomb that does not", "app/a.yaml", bomb, "spoiled: app\n"},
		{"a bomb of a kustomization", "app/kustomization.yaml", bomb, "app kustomize\n"},
		{"bytes", "app/a.yaml", "\xff\xfe\x00", "spoiled: app\n"},
		{"bytes of a kustomization", "app/Kustomization", "\xff\xfe\x00", "app kustomize\n"},
		{"nested too deeply", "app/a.yaml", object + "data: " + strings.Repeat("[", 1000), "app plain\n"},
		{"nothing", "app/a.yaml", "", ""},
		{"an empty kustomization", "app/kustomization.yaml", "", "app kustomize\n"},
	} {
		if got := printed(discover([]txtar.File{{Name: test.file, Data: []byte(test.data)}}, Config{})); got != test.want {
			t.Errorf("%s: found %q, want %q", test.name, got, test.want)
		}
	}
}

// TestMarkersAreKeptByContent pins what MarkerKey says: one content under the
// names of two kinds is two markers, under two names of one kind it is one.
func TestMarkersAreKeptByContent(t *testing.T) {
	t.Parallel()
	key := func(path string) MarkerKey { return KeyOf(tree.Entry{Path: path, ID: "1"}) }
	if key("a/kustomization.yaml") != key("b/Kustomization") || key("a/x.yaml") != key("b/y.yml") || key("a/x.yaml") == key("a/kustomization.yaml") {
		t.Error("keys do not follow content and kind")
	}
}

func FuzzDiscover(f *testing.F) {
	for _, seed := range []string{"resources: [../base, ./a.yaml, 'x=y.yaml']\nkind: Component\n", "apiVersion: v1\nkind: List\n", "a: &a [*a]", "\xff", "x: &x {kind: Component}\n<<: *x\n", "resources: *r\n"} {
		f.Add("app", []byte(seed))
	}
	f.Add("", []byte("resources: [../base]\n")) // a path that no tree should have: /kustomization.yaml
	f.Add("..", []byte(""))
	f.Fuzz(func(t *testing.T, directory string, data []byte) {
		files := []txtar.File{{Name: "kustomization.yaml", Data: data}, {Name: directory + "/kustomization.yaml", Data: data}, {Name: directory + "/a.yaml", Data: data}, {Name: "plain/b.yaml", Data: data}}
		for _, config := range []Config{{}, {targets: []pattern{{{text: "app", capture: true}}}}} {
			for _, target := range discover(files, config).Targets {
				if target.Path == "" || target.Name() == "" || target.Renderer == "" {
					t.Errorf("a target without a path or renderer: %+v", target)
				}
			}
		}
	})
}
