package report

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/policy"
)

const (
	baseCommit = "0123456789abcdef0123456789abcdef01234567"
	headCommit = "fedcba9876543210fedcba9876543210fedcba98"
)

func target(name string, status Status) Target {
	return Target{Name: name, Path: name, Renderer: "kustomize", Status: status, Why: []string{}, Changes: []Change{}, Findings: []policy.Finding{}}
}

func change(action, kind, name, diff string) Change {
	return Change{Action: action, Group: "apps", Version: "v1", Kind: kind, Namespace: "shop", Name: name, Object: "apps/" + kind + " shop/" + name, Diff: diff}
}

func finding(severity policy.Severity, state policy.State, name string) policy.Finding {
	return policy.Finding{Rule: "image-tag", Engine: "builtin", Severity: severity, State: state, Message: "the image has no tag",
		Object: gitops.ObjectRef{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: name}, File: "apps/web/deployment.yaml", Line: 12}
}

const diffText = "@@ -1,3 +1,3 @@\n kind: Deployment\n-  replicas: 1\n+  replicas: 2\n"

// rich has one of everything.
func rich() Preview {
	web := target("apps/web/production@eu", Changed)
	web.Path, web.Environment, web.Cluster, web.Claimant = "apps/web/production", "production", "eu", "argocd/web"
	web.Why = []string{"apps/web/deployment.yaml", "b", "c", "d", "e", "f", "g"}
	web.Changes = []Change{
		change("create", "Job", "migrate", "@@ -0,0 +1 @@\n+kind: Job\n"),
		change("update", "Deployment", "web", diffText),
		change("delete", "Service", "old", "@@ -1 +0,0 @@\n-kind: Service\n"),
		{Action: "create", Version: "v1", Kind: "Secret", Name: "token-b", Object: "Secret token-b", Diff: "+a: secret 2\n", Renamed: "token-a", RenamedDiff: "-a: secret 1\n+a: secret 2\n"},
		{Action: "delete", Version: "v1", Kind: "Secret", Name: "token-a", Object: "Secret token-a", Diff: "-a: secret 1\n", Replaced: true},
	}
	web.Findings = []policy.Finding{
		finding(policy.Error, policy.New, "web"), finding(policy.Warning, policy.New, "web"), finding(policy.Info, policy.New, "web"),
		finding(policy.Error, policy.Fixed, "old"), finding(policy.Error, policy.Existing, "old"), finding(policy.Error, policy.Existing, "older"),
	}
	us := web
	us.Name, us.Cluster, us.Why = "apps/web/production@us", "us", []string{"z"}
	broken := target("apps/broken", Failed)
	broken.Error = &Error{Problem: manifest.Problem{Code: manifest.Missing, Message: "resources names \"x.yaml\", which is not in the repository", File: "apps/broken/kustomization.yaml", Line: 3, Detail: "for the log"}, State: policy.New}
	stays := target("apps/stays", Failed)
	stays.Error = &Error{Problem: manifest.Problem{Code: manifest.Timeout, Message: "rendering took too long"}, State: policy.Existing}
	unjudged := target("apps/unjudged", Changed)
	unjudged.Changes = []Change{change("update", "Deployment", "b", diffText)}
	unjudged.Findings = []policy.Finding{{Rule: "not-judged", Engine: "davit", Severity: policy.Error, State: policy.New, Object: gitops.ObjectRef{Kind: "Target", Name: "apps/unjudged"}, Message: "could not be judged"}}
	added, removed, same := target("apps/added", Added), target("apps/removed", Removed), target("apps/same", Unchanged)
	added.Changes = []Change{change("create", "Deployment", "a", "@@ -0,0 +1 @@\n+kind: Deployment\n")}
	added.Environment, added.Cluster = "staging", "staging"
	removed.Changes = []Change{change("delete", "Deployment", "r", "@@ -1 +0,0 @@\n-kind: Deployment\n")}
	removed.Cluster, removed.Renderer = "eu", "plain"
	same.Why = []string{"apps/same/readme.yaml"}
	return Preview{
		Version: 1, Base: baseCommit, Head: headCommit, Uncommitted: true,
		Targets: []Target{added, broken, removed, same, stays, unjudged, web, us},
		Errors: []Error{
			{Problem: manifest.Problem{Code: manifest.Invalid, Message: "the file has no field \"x\"", File: ".davit.yaml", Line: 2}, State: policy.New},
			{Problem: manifest.Problem{Code: manifest.Syntax, Message: "this is not valid YAML", File: ".davit.yaml"}, State: policy.Existing},
		},
		Notes: []string{"This changes .davit.yaml, which takes effect after the merge.", "Another note."},
		Stats: Stats{Targets: 20, Affected: 8, Rendered: 15, Cached: 12, Ms: 345},
	}
}

// planned has one of everything that a cluster can answer.
func planned() Preview {
	live := func(digest string, classes map[string]int) *Live {
		return &Live{Digest: strings.Repeat(digest, 64), Classes: classes}
	}
	with := func(c Change, p Planned) Change {
		if p.Risks == nil {
			p.Risks = []string{}
		}
		c.Planned = &p
		return c
	}
	const alike, otherwise = "@@ -4,3 +4,3 @@\n spec:\n-  replicas: 1\n+  replicas: 2\n", "@@ -1,3 +1,3 @@\n kind: Deployment\n-  replicas: 5\n+  replicas: 2\n"
	web := target("apps/web", Changed)
	web.Cluster, web.Why = "eu", []string{"apps/web/deployment.yaml"}
	web.Live = live("a", map[string]int{"update": 2, "create": 1, "no-op": 5, "delete": 1, "forget": 1})
	web.Changes = []Change{
		with(change("update", "Deployment", "alike", diffText), Planned{Class: "update", Live: alike, Same: true, Risks: []string{"restarts-pods"}}),
		with(change("update", "Deployment", "scaled", diffText), Planned{Class: "update", Live: otherwise, Others: 2, Warnings: []string{"would violate PodSecurity \"restricted:latest\""}}),
		with(change("create", "Job", "there", "@@ -0,0 +1 @@\n+kind: Job\n"), Planned{Class: "no-op"}),
		with(change("create", "Service", "new", ""), Planned{Class: "create", Live: "@@ -0,0 +1 @@\n+kind: Service\n"}),
		with(change("delete", "Service", "old", "@@ -1 +0,0 @@\n-kind: Service\n"), Planned{Class: "delete", Live: "@@ -1,2 +0,0 @@\n-kind: Service\n", Same: true, Risks: []string{"traffic"}}),
		with(change("delete", "Service", "stays", "@@ -1 +0,0 @@\n-kind: Service\n"), Planned{Class: "no-op", Reason: "Davit did not deploy it, so it is not deleted"}),
		with(change("delete", "Service", "gone", ""), Planned{Class: "forget", Reason: "it is gone already"}),
		with(Change{Action: "create", Version: "v1", Kind: "Secret", Name: "token-b", Object: "Secret token-b", Diff: "+a: secret 2\n", Renamed: "token-a", RenamedDiff: "-a: secret 1\n+a: secret 2\n"}, Planned{Class: "create", Live: "+a: secret 2\n"}),
		with(Change{Action: "delete", Version: "v1", Kind: "Secret", Name: "token-a", Object: "Secret token-a", Diff: "-a: secret 1\n", Replaced: true}, Planned{Class: "delete", Live: "-a: secret 1\n"}),
	}
	stopped := target("apps/stopped", Changed)
	stopped.Live = live("b", map[string]int{"invalid": 1, "blocked": 1, "conflict": 1, "adopt": 1})
	stopped.Unmanaged = true
	stopped.Changes = []Change{
		with(change("update", "Deployment", "taken", ""), Planned{Class: "conflict", Live: otherwise, Takes: []string{".spec.replicas from kubectl-scale"}, Risks: []string{"takes-over"}}),
		with(change("update", "Deployment", "adopted", diffText), Planned{Class: "adopt", Live: otherwise}),
		with(change("update", "Deployment", "foreign", diffText), Planned{Class: "blocked", Reason: "it belongs to Argo CD (annotation argocd.argoproj.io/tracking-id: x)"}),
		with(change("create", "Deployment", "wrong", "@@ -0,0 +1 @@\n+kind: Deployment\n"), Planned{Class: "invalid", Reason: "spec.replicas: Invalid value: -1"}),
	}
	unreachable, elsewhere := target("apps/unreachable", Changed), target("apps/elsewhere", Changed)
	unreachable.Changes = []Change{change("update", "Deployment", "u", diffText)}
	unreachable.Live = &Live{Unplanned: &Unplanned{Code: "unavailable", Message: "the cluster eu can't be reached: the connection is refused"}}
	elsewhere.Changes = []Change{change("update", "Deployment", "e", diffText)}
	elsewhere.Live = &Live{Unplanned: &Unplanned{Code: "elsewhere", Message: "it goes to the cluster us, and was not compared with eu"}}
	same := target("apps/same", Unchanged)
	same.Live = live("c", map[string]int{"no-op": 3})
	hidden := target("apps/hidden", Changed)
	hidden.Live = live("d", map[string]int{"update": 1})
	hidden.Hidden = true
	hidden.Changes = []Change{with(change("update", "Deployment", "h", diffText), Planned{Class: "update", Live: alike, Same: true})}
	return Preview{
		Version: 1, Base: baseCommit, Head: headCommit, Targets: []Target{elsewhere, same, stopped, unreachable, web, hidden},
		Stats: Stats{Targets: 20, Affected: 4, Rendered: 9, Cached: 3, Ms: 99},
	}
}

func empty() Preview {
	return Preview{Version: 1, Base: baseCommit, Head: baseCommit, Targets: []Target{}, Stats: Stats{Targets: 3, Rendered: 3, Cached: 3}}
}

func onlyErrors() Preview {
	p := empty()
	p.Targets = rich().Targets[1:2]
	p.Errors = rich().Errors
	return p
}

// TestGolden compares every form of some previews with files of testdata; UPDATE=1
// writes them anew.
func TestGolden(t *testing.T) {
	t.Parallel()
	many := empty()
	for i := range 500 {
		m := target(fmt.Sprintf("apps/app-%03d", i), Changed)
		m.Changes = []Change{change("update", "Deployment", fmt.Sprintf("app-%d", i%7), strings.Replace(diffText, "2", fmt.Sprint(i%9), 1))}
		many.Targets = append(many.Targets, m)
	}
	for name, p := range map[string]Preview{"rich": rich(), "empty": empty(), "errors": onlyErrors(), "planned": planned()} {
		text, err := p.JSON()
		if err != nil {
			t.Fatal(err)
		}
		checkGolden(t, name+".json", text)
		checkGolden(t, name+".md", p.Markdown(MaxComment))
		checkGolden(t, name+".txt", p.Text(false))
	}
	checkGolden(t, "many.md", many.Markdown(MaxComment))
	checkGolden(t, "rich-colour.txt", rich().Text(true))
	checkGolden(t, "rich-short.md", rich().Markdown(1500))
}

func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	file := "testdata/" + name
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	with := func(states ...policy.State) Preview {
		p := empty()
		for _, s := range states {
			broken := target("a", Failed)
			broken.Error = &Error{Problem: manifest.Problem{Code: manifest.Crash, Message: "x"}, State: s}
			p.Targets = append(p.Targets, broken)
		}
		return p
	}
	found := func(p Preview, findings ...policy.Finding) Preview {
		judged := target("b", Changed)
		judged.Findings = findings
		p.Targets = append(p.Targets, judged)
		return p
	}
	general := func(state policy.State) Preview {
		p := empty()
		p.Errors = []Error{{Problem: manifest.Problem{Code: manifest.Invalid, Message: "x"}, State: state}}
		return p
	}
	live := func(l *Live) Preview {
		p := empty()
		p.Targets = []Target{target("a", Changed)}
		p.Targets[0].Live = l
		return p
	}
	for name, c := range map[string]struct {
		preview Preview
		want    int
	}{
		"planned":                 {live(&Live{Classes: map[string]int{"create": 1, "delete": 1, "conflict": 1, "adopt": 1}}), ExitClean},
		"blocked":                 {live(&Live{Classes: map[string]int{"blocked": 1}}), ExitBlocked},
		"invalid":                 {live(&Live{Classes: map[string]int{"blocked": 1, "invalid": 1}}), ExitBroken},
		"not reached":             {live(&Live{Unplanned: &Unplanned{Code: "unavailable"}}), ExitBroken},
		"not asked":               {live(&Live{Unplanned: &Unplanned{Code: "elsewhere"}}), ExitClean},
		"without a cluster":       {live(&Live{Unplanned: &Unplanned{Code: "no-cluster"}}), ExitClean},
		"nothing":                 {empty(), ExitClean},
		"everything":              {rich(), ExitBroken},
		"new failure":             {with(policy.New), ExitBroken},
		"existing failure":        {with(policy.Existing), ExitClean},
		"both":                    {with(policy.Existing, policy.New), ExitBroken},
		"new error":               {found(empty(), finding(policy.Error, policy.New, "a")), ExitBlocked},
		"existing error":          {found(empty(), finding(policy.Error, policy.Existing, "a")), ExitClean},
		"fixed error":             {found(empty(), finding(policy.Error, policy.Fixed, "a")), ExitClean},
		"new warning":             {found(empty(), finding(policy.Warning, policy.New, "a")), ExitClean},
		"failure beats finding":   {found(with(policy.New), finding(policy.Error, policy.New, "a")), ExitBroken},
		"finding beside existing": {found(with(policy.Existing), finding(policy.Error, policy.New, "a")), ExitBlocked},
		"configuration":           {general(policy.New), ExitBroken},
		"old configuration":       {general(policy.Existing), ExitClean},
	} {
		if got := c.preview.ExitCode(); got != c.want {
			t.Errorf("%s: exit %d, want %d", name, got, c.want)
		}
	}
}

// TestSchema validates the contract by the schema that davit publishes.
func TestSchema(t *testing.T) {
	t.Parallel()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(PreviewSchema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("preview.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("preview.json")
	if err != nil {
		t.Fatal(err)
	}
	validate := func(p Preview) error {
		text, err := p.JSON()
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		checkDescribed(t, document, document, value, "preview")
		return schema.Validate(value)
	}
	for name, p := range map[string]Preview{"rich": rich(), "empty": empty(), "errors": onlyErrors(), "planned": planned(), "hostile": hostile("</details>\x00\xff")} {
		if err := validate(p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, spoil := range map[string]func(*Preview){
		"no targets": func(p *Preview) { p.Targets = nil }, "version": func(p *Preview) { p.Version = 2 }, "commit": func(p *Preview) { p.Base = "main" },
		"status": func(p *Preview) { p.Targets[0].Status = "odd" }, "state": func(p *Preview) { p.Errors[0].State = policy.Fixed },
		"why": func(p *Preview) { p.Targets[0].Why = nil }, "action": func(p *Preview) { p.Targets[0].Changes[0].Action = "odd" },
		"class":    func(p *Preview) { p.Targets = planned().Targets; p.Targets[4].Changes[0].Class = "odd" },
		"risk":     func(p *Preview) { p.Targets = planned().Targets; p.Targets[4].Changes[0].Risks = []string{"odd"} },
		"risks":    func(p *Preview) { p.Targets = planned().Targets; p.Targets[4].Changes[0].Risks = nil },
		"classes":  func(p *Preview) { p.Targets = planned().Targets; p.Targets[4].Classes = map[string]int{"odd": 1} },
		"digest":   func(p *Preview) { p.Targets = planned().Targets; p.Targets[4].Digest = "x" },
		"severity": func(p *Preview) { p.Targets[6].Findings[0].Severity = "odd" },
	} {
		p := rich()
		if spoil(&p); validate(p) == nil {
			t.Errorf("%s: the schema takes what is wrong", name)
		}
	}
}

// checkDescribed checks that the schema names every field that is printed.
func checkDescribed(t *testing.T, root, schema, value any, at string) {
	t.Helper()
	s := schema.(map[string]any)
	if ref, is := s["$ref"].(string); is {
		s = root.(map[string]any)["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
	}
	switch v := value.(type) {
	case map[string]any:
		if s["propertyNames"] != nil {
			return // the schema itself says which names there are
		}
		fields, _ := s["properties"].(map[string]any)
		for name, child := range v {
			if fields[name] == nil {
				t.Errorf("the schema does not describe %s.%s", at, name)
				continue
			}
			checkDescribed(t, root, fields[name], child, at+"."+name)
		}
	case []any:
		for _, child := range v {
			checkDescribed(t, root, s["items"], child, at)
		}
	}
}

// TestJSONHidesDetail shows that what is for the log alone is not printed.
func TestJSONHidesDetail(t *testing.T) {
	t.Parallel()
	p := rich()
	text, err := p.JSON()
	if err != nil || !json.Valid([]byte(text)) || !strings.HasSuffix(text, "}\n") {
		t.Fatalf("no JSON: %v", err)
	}
	for _, form := range []string{text, p.Markdown(MaxComment), p.Text(false)} {
		if strings.Contains(form, "for the log") {
			t.Errorf("the detail is shown:\n%s", form)
		}
	}
}
