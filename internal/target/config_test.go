package target

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/davitops/davit/internal/settings"
)

// TestWrongConfigs runs testdata/config.txtar: each file is wrong, and the one
// after it, of its name and ".txt", says why.
func TestWrongConfigs(t *testing.T) {
	t.Parallel()
	archive, err := txtar.ParseFile("testdata/config.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(archive.Files) < 60 || len(archive.Files)%2 != 0 {
		t.Fatalf("the archive has %d files", len(archive.Files))
	}
	for i := 0; i < len(archive.Files); i += 2 {
		file, want := archive.Files[i], archive.Files[i+1]
		if want.Name != file.Name+".txt" {
			t.Fatalf("%s comes after %s", want.Name, file.Name)
		}
		var got strings.Builder
		_, problems := ParseConfig(ConfigFile, file.Data)
		for _, p := range problems {
			got.WriteString(p.Error() + "\n")
		}
		if d := cmp.Diff(string(want.Data), got.String()); d != "" {
			t.Errorf("%s (-want +got):\n%s", file.Name, d)
		}
	}
}

func TestParseConfig(t *testing.T) {
	t.Parallel()
	c := valid(t, `
# a comment
version: 1
branch: trunk
environments:
  staging: {cluster: staging}
  production: {clusters: [prod-eu, "1"]}
  dev: {}
targets:
- path: apps/{app}/overlays/{environment}
- path: .
- path: ..hidden/x
`)
	want := []Environment{{Name: "staging", Clusters: []string{"staging"}}, {Name: "production", Clusters: []string{"prod-eu", "1"}}, {Name: "dev"}}
	if d := cmp.Diff(want, c.Environments()); d != "" {
		t.Errorf("environments (-want +got):\n%s", d)
	}
	if c.Branch() != "trunk" || len(c.targets) != 3 {
		t.Errorf("got the branch %q and %d targets, want trunk and 3", c.Branch(), len(c.targets))
	}
	if minimal := valid(t, "version: 1"); minimal.Branch() != "" || minimal.Environments() != nil || minimal.targets != nil {
		t.Errorf("nothing but a version is %+v, want nothing", minimal)
	}
}

// TestHostileConfigs feeds configurations that cost more than their size.
func TestHostileConfigs(t *testing.T) {
	t.Parallel()
	numbered := func(format string, count int) string {
		var b strings.Builder
		for i := range count {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for _, test := range []struct{ name, data, want string }{
		{"too large", "version: 1\n#" + strings.Repeat("x", 256<<10), ".davit.yaml:1: the file is larger than 256 KiB"},
		{"a bomb", "version: 1\na: &a [x,x,x,x,x,x,x,x,x,x]\n" + numbered("b%[1]d: &b%[1]d [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n", 1) +
			"c: &c [*b0,*b0,*b0,*b0,*b0,*b0,*b0,*b0,*b0,*b0]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n", ".davit.yaml:7: the YAML has more than"},
		{"an alias to itself", "version: 1\nenvironments: &e {a: *e}\n", ".davit.yaml:2: the YAML has more than"},
		{"brackets", "version: 1\nenvironments: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), ".davit.yaml:2: the YAML is nested"},
		{"clusters without end", "version: 1\nenvironments:\n  a: {clusters: [" + numbered("c%d,", maxClusters+1) + "]}\n", ".davit.yaml:3: clusters are limited to 100"},
		{"environments without end", "version: 1\nenvironments:\n" + numbered("  e%d: {}\n", maxListed+1), ".davit.yaml:3: environments are limited to 1000"},
		{"targets without end", "version: 1\ntargets:\n" + numbered("- path: a%d\n", maxListed+1), ".davit.yaml:3: targets are limited to 1000"},
		{"a long unknown field", "version: 1\n? " + strings.Repeat("x", 100_000) + "\n: 1\n", `.davit.yaml:2: the file has no field "xxx`},
	} {
		_, problems := ParseConfig(ConfigFile, []byte(test.data))
		if len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), test.want) || len(problems[0].Message) > 500 {
			t.Errorf("%s: %.300v, want one problem, %s", test.name, problems, test.want)
		}
	}
	if _, problems := ParseConfig(ConfigFile, []byte("version: 1\n"+numbered("f%d: 1\n", 1000))); len(problems) != 50 {
		t.Errorf("a thousand faults are %d problems, want the first 50", len(problems))
	}
}

func FuzzParseConfig(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/config.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		f.Add(file.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		config, problems := ParseConfig(ConfigFile, data)
		for _, p := range problems {
			if p.File != ConfigFile || p.Line < 1 || p.Line > len(data)+1 || p.Code == "" || len(p.Message) < 10 || strings.ContainsAny(p.Message, "\n\x00\x1b") || !utf8.ValidString(p.Message) {
				t.Errorf("problem %+v", p)
			}
		}
		if len(problems) > 0 {
			return
		}
		for _, e := range config.Environments() {
			if !settings.IsLabel(e.Name) || len(e.Clusters) > maxClusters {
				t.Errorf("environment %+v", e)
			}
		}
	})
}
