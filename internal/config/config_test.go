package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/davitops/davit/internal/authority"
	"github.com/davitops/davit/internal/manifest"
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
	if len(archive.Files) < 40 || len(archive.Files)%2 != 0 {
		t.Fatalf("the archive has %d files", len(archive.Files))
	}
	for i := 0; i < len(archive.Files); i += 2 {
		file, want := archive.Files[i], archive.Files[i+1]
		if want.Name != file.Name+".txt" {
			t.Fatalf("%s comes after %s", want.Name, file.Name)
		}
		c, problems := Parse(File, file.Data)
		var got strings.Builder
		for _, p := range problems {
			got.WriteString(p.Error() + "\n")
		}
		if d := cmp.Diff(string(want.Data), got.String()); d != "" {
			t.Errorf("%s (-want +got):\n%s", file.Name, d)
		}
		if d := cmp.Diff(Config{}, c); d != "" {
			t.Errorf("%s: a wrong file counts (-want +got):\n%s", file.Name, d)
		}
	}
}

const good = `
repositories:
- match: ["github:acme/gitops", "gitlab:acme/*/*"]
  clusters: [staging, prod-eu]
  namespaces: [shop, "shop-*", 1]
  as: system:serviceaccount:davit:acme-gitops
- match: github:acme/platform
  clusters: prod-eu
  namespaces: "*"
  cluster_scoped: true
  as: jane@acme.example
- match: github:acme/*
  live_diff: never
clusters:
- {name: staging, kubeconfig: staging.kubeconfig, context: staging, kubernetes: "1.36"}
- {name: prod-eu, kubeconfig: /run/../etc/prod, kubernetes: 1.30, exec: true}
- {name: prod-us, kubeconfig: ../prod, context: us}
- {name: prod-ap, kubeconfig: ../prod, context: ap, kubernetes: v1.35.2, exec: false}
- {name: "1"}
listen: {admin: ":9091"}
database: sqlite://db/davit.db
sweep: 30s
forges:
- {name: github, kind: github, app_id: 7, private_key_file: app.pem, webhook_secret_file: /run/secret}
- {name: ghes, kind: github, url: "https://git.acme.example", api_url: "https://git.acme.example/api/v3", app_id: "8", private_key_file: a, webhook_secret_file: b}
`

var want = Config{
	Server: Server{
		Webhook: "127.0.0.1:8080", Admin: ":9091", Database: "/srv/davit/db/davit.db",
		Data: "/var/lib/davit", Sweep: 30 * time.Second,
	},
	Forges: []Forge{
		{Name: "github", Kind: "github", URL: "https://github.com", AppID: 7, PrivateKeyFile: "/srv/davit/app.pem", WebhookSecretFile: "/run/secret"},
		{Name: "ghes", Kind: "github", URL: "https://git.acme.example", APIURL: "https://git.acme.example/api/v3", AppID: 8,
			PrivateKeyFile: "/srv/davit/a", WebhookSecretFile: "/srv/davit/b"},
	},
	Clusters: []Cluster{
		{Name: "staging", Kubeconfig: "/srv/davit/staging.kubeconfig", Context: "staging", Kubernetes: "1.36"},
		{Name: "prod-eu", Kubeconfig: "/etc/prod", Kubernetes: "1.30", Exec: true},
		{Name: "prod-us", Kubeconfig: "/srv/prod", Context: "us"},
		{Name: "prod-ap", Kubeconfig: "/srv/prod", Context: "ap", Kubernetes: "1.35"},
		{Name: "1"},
	},
	Rules: authority.Rules{
		{
			Match: []string{"github:acme/gitops", "gitlab:acme/*/*"}, Clusters: []string{"staging", "prod-eu"},
			Namespaces: []string{"shop", "shop-*", "1"}, As: "system:serviceaccount:davit:acme-gitops",
		},
		{Match: []string{"github:acme/platform"}, Clusters: []string{"prod-eu"}, Namespaces: []string{"*"}, ClusterScoped: true, As: "jane@acme.example"},
		{Match: []string{"github:acme/*"}, LiveDiff: authority.Never},
	},
}

func TestParse(t *testing.T) {
	t.Parallel()
	got, problems := Parse("/srv/davit/davit.yaml", []byte(good))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if c, found := got.Cluster("prod-us"); !found || c.Context != "us" {
		t.Errorf("prod-us is %+v, %v", c, found)
	}
	if c, found := got.Cluster("prod"); found {
		t.Errorf("prod is %+v", c)
	}
	if d := cmp.Diff([]string{"staging", "prod-eu", "prod-us", "prod-ap", "1"}, got.ClusterNames()); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, File)
	if _, err := Load(file); !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "read the operator's configuration: ") {
		t.Errorf("without a file: %v", err)
	}
	for _, test := range []struct {
		data, want string
		clusters   []Cluster
	}{
		{"clusters:\n- {name: a, kubeconfig: a}\n", "", []Cluster{{Name: "a", Kubeconfig: filepath.Join(dir, "a")}}},
		{"clusters:\n- {}\nother: 1\n", file + ":2: a cluster needs a name, for example \"name: staging\"\n" +
			file + ":3: the file has no field \"other\"; it has: clusters, data_dir, database, forges, listen, repositories, sweep", nil},
	} {
		if err := os.WriteFile(file, []byte(test.data), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(file)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if problem := (*manifest.Problem)(nil); test.want != "" && (!errors.As(err, &problem) || problem.Code != manifest.Invalid) {
			t.Errorf("%v is no invalid file", err)
		}
		if d := cmp.Diff(test.clusters, c.Clusters); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	environment := map[string]string{"DAVIT_LISTEN_ADMIN": "127.0.0.1:0", "DAVIT_DATA_DIR": "data", "DAVIT_SWEEP": "", "DAVIT_OTHER": "x"}
	s := defaults()
	if err := s.Environment(func(name string) string { return environment[name] }); err != nil {
		t.Fatal(err)
	}
	if err := s.Set("sweep", "5s"); err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.Admin, want.Data, want.Sweep = "127.0.0.1:0", "data", 5*time.Second
	if d := cmp.Diff(want, s); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got := s.DatabaseAddress(); got != "data/davit.db" {
		t.Errorf("the database is %s", got)
	}
	if err := s.Set("database", "postgres://davit:hunter2@db.acme.example/davit"); err != nil || s.DatabaseDir() != "" || strings.Contains(s.DatabaseName(), "hunter2") {
		t.Errorf("the database is %s in %q, %v", s.DatabaseName(), s.DatabaseDir(), err)
	}
	for key, want := range map[string]string{
		"sweep":  "sweep must be a duration from 1s to 30m0s, for example 2m",
		"listen": `there is no setting "listen"; there are: data_dir, database, listen.admin, listen.webhook, sweep`,
		"sweeep": `there is no setting "sweeep"; did you mean "sweep"?`,
	} {
		if err := s.Set(key, "often"); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", key, err, want)
		}
	}
	environment["DAVIT_SWEEP"] = "often"
	err := s.Environment(func(name string) string { return environment[name] })
	if err == nil || !strings.HasPrefix(err.Error(), "read DAVIT_SWEEP from the environment: sweep must be") {
		t.Error(err)
	}
}

func TestWebhookSecrets(t *testing.T) {
	t.Parallel()
	f := Forge{Name: "github", WebhookSecretFile: filepath.Join(t.TempDir(), "secret")}
	for _, test := range []struct {
		data string
		want []string
	}{{"one\n", []string{"one"}}, {"one", []string{"one"}}, {"\n one \n\ntwo\n", []string{"one", "two"}}, {" \n", nil}} {
		if err := os.WriteFile(f.WebhookSecretFile, []byte(test.data), 0o600); err != nil {
			t.Fatal(err)
		}
		secrets, err := f.WebhookSecrets()
		var got []string
		for _, s := range secrets {
			got = append(got, string(s))
		}
		if d := cmp.Diff(test.want, got); d != "" || (err != nil) != (test.want == nil) {
			t.Errorf("%q: %v (-want +got):\n%s", test.data, err, d)
		}
	}
	if got := fmt.Sprintf("%v %+v %#v %s", Secret("x"), Secret("x"), Secret("x"), Secret("x")); strings.Contains(got, "x") {
		t.Errorf("a secret prints itself: %s", got)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	numbered := func(format string, count int) string {
		var b strings.Builder
		for i := range count {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for _, test := range []struct{ name, data, want string }{
		{"clusters without end", "clusters: [" + numbered("{name: c%d},", maxListed+1) + "]", "davit.yaml:1: clusters are limited to 1000"},
		{"rules without end", "repositories: [" + numbered("{match: a:b/c%d},", maxListed+1) + "]", "davit.yaml:1: rules are limited to 1000"},
		{"patterns without end", "repositories:\n- match: [" + numbered("a:b/c%d,", maxInARule+1) + "]", "davit.yaml:2: a rule is limited to 100 of them"},
		{"clusters of a rule without end", "repositories:\n- {match: a:b/c, clusters: [" + numbered("c%d,", maxInARule+1) + "]}", "davit.yaml:2: a rule is limited to 100 of them"},
		{"namespaces without end", "repositories:\n- {match: a:b/c, namespaces: [" + numbered("c%d,", maxInARule+1) + "]}", "davit.yaml:2: a rule is limited to 100 of them"},
		{"a long pattern", "repositories:\n- match: " + strings.Repeat("x", 100_000), `davit.yaml:2: "xxx`},
		{"a long user", "repositories:\n- {match: a:b/c, as: 'system:" + strings.Repeat("x", 100_000) + "'}", `davit.yaml:2: as must not be "system:xxx`},
	} {
		_, problems := Parse(File, []byte(test.data))
		if len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), test.want) || len(problems[0].Message) > 500 {
			t.Errorf("%s: %.300v, want one problem, %s", test.name, problems, test.want)
		}
	}
}

func TestKubernetesVersion(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ given, want string }{
		{"1.36", "1.36"}, {"v1.36", "1.36"}, {"1.36.2", "1.36"}, {"v1.9.11", "1.9"},
		{"", ""}, {"1", ""}, {"2.0", ""}, {"1.36-gke", ""}, {"latest", ""}, {"1.36\n", ""}, {"1.3600", ""},
	} {
		if got, known := KubernetesVersion(test.given); got != test.want || known != (test.want != "") {
			t.Errorf("%q is %q, %v, want %q", test.given, got, known, test.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/config.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		f.Add(file.Data)
	}
	f.Add([]byte(good))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, problems := Parse(File, data)
		for _, p := range problems {
			if p.File != File || p.Line < 1 || p.Line > len(data)+1 || p.Code == "" || len(p.Message) < 10 || strings.ContainsAny(p.Message, "\n\x00\x1b") || !utf8.ValidString(p.Message) {
				t.Errorf("problem %+v", p)
			}
		}
		for _, k := range c.Clusters {
			if !settings.IsLabel(k.Name) || k.Kubeconfig == "" && (k.Exec || k.Context != "") {
				t.Errorf("cluster %+v", k)
			}
		}
		for _, rule := range c.Rules {
			if len(rule.Match) == 0 || strings.HasPrefix(rule.As, "system:") && !strings.HasPrefix(rule.As, serviceAccount) {
				t.Errorf("rule %+v", rule)
			}
			for _, name := range rule.Clusters {
				if _, defined := c.Cluster(name); !defined {
					t.Errorf("rule %+v: there is no cluster %s", rule, name)
				}
			}
		}
	})
}
