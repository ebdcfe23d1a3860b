package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/cluster/clustertest"
	"github.com/davitops/davit/internal/config"
	"github.com/davitops/davit/internal/fleet"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/report"
	"github.com/davitops/davit/internal/rollout"
)

// clusters starts two real clusters, for the tests that need one, once; stopClusters
// stops them.
var clusters = sync.OnceValues(func() (*clustertest.Playground, error) { return clustertest.Start(2) })

var (
	started       atomic.Bool
	digestField   = regexp.MustCompile(`"digest": "([0-9a-f]+)"`)
	serverAddress = regexp.MustCompile(`https://127\.0\.0\.1:\d+`)
)

func startClusters(t testing.TB) *clustertest.Playground {
	t.Helper()
	started.Store(true)
	p, err := clusters()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func stopClusters() {
	if !started.Load() {
		return
	}
	if p, err := clusters(); err == nil {
		p.Stop()
	}
}

// TestPlanScript plays the stories of testdata/plan: what a person types who has a
// cluster, and what davit answers.
func TestPlanScript(t *testing.T) {
	t.Parallel()
	p := startClusters(t)
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join(root, "testdata", "plan"),
		UpdateScripts: os.Getenv("UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("KUBECONFIG", p.Kubeconfig)
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, ".state"))
			return setupScript(env)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"sample":  scriptSample,
			"status":  scriptStatus,
			"kubectl": scriptKubectl(p),
			"dead":    scriptDead,
			"digest":  scriptDigest,
			"deploy":  scriptDeploy,
		},
	})
}

// scriptKubectl is the command "kubectl ARGS…" against the first cluster. A dash for
// a file is what the last command printed.
func scriptKubectl(p *clustertest.Playground) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		err := ts.Exec(p.Program, append([]string{"kubectl"}, args...)...)
		if (err != nil) != neg {
			ts.Fatalf("kubectl %s: %v", strings.Join(args, " "), err)
		}
	}
}

// TestPlanContract holds the JSON of plans to its schema, for clusters that answer
// and one that does not, and reads in the API server's own log that nothing was
// written; nothing is ever deployed to the second cluster.
func TestPlanContract(t *testing.T) {
	t.Parallel()
	p := startClusters(t)
	schema, err := jsonschema.UnmarshalJSON(strings.NewReader(report.PreviewSchema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("plan.json", schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("plan.json")
	if err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(t.TempDir(), "kubeconfig")
	text, err := os.ReadFile(p.Kubeconfig)
	if err == nil {
		err = os.WriteFile(dead, []byte(serverAddress.ReplaceAllString(string(text), "https://127.0.0.1:1")), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"shop", "infrastructure", "fleet", "odd", "release"} {
		dir := sample(t, filepath.Join(root, "testdata", "samples", name+".txtar"))
		for _, kubeconfig := range []string{p.Kubeconfig, dead} {
			r := davitWith(t, []string{"XDG_STATE_HOME=" + t.TempDir()}, "plan", "-C", dir, "--base", "main", "--head", "change",
				"--kubeconfig", kubeconfig, "--context", fmt.Sprintf("cluster-%d", 1+i%2), "--all", "-o", "json")
			value, err := jsonschema.UnmarshalJSON(strings.NewReader(r.stdout))
			if err != nil {
				t.Fatalf("%s: exit %d, and no JSON: %v\n%s%s", name, r.code, err, r.stdout, r.stderr)
			}
			if err := compiled.Validate(value); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			checkPlanned(t, name, r.stdout, kubeconfig == dead)
		}
	}
	rehearsed := 0
	for _, r := range p.Requests(t, 2, "davit") {
		if r.Writes() {
			t.Errorf("a plan sent %s %s", r.Verb, r.URI)
		}
		if strings.Contains(r.URI, "dryRun=All") {
			rehearsed++
		}
	}
	if rehearsed == 0 {
		t.Error("no plan asked for a dry run; the log of the API server tells nothing")
	}
}

// checkPlanned looks for what the contract promises of a plan, and a schema can't.
func checkPlanned(t *testing.T, name, text string, dead bool) {
	t.Helper()
	var p struct {
		Targets []struct {
			Name, Status, Digest string
			Unplanned            *struct{ Code string }
			Changes              []struct {
				Name, Class string
				Risks       *[]string
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Targets) == 0 {
		t.Errorf("%s: there is no target", name)
	}
	for _, target := range p.Targets {
		switch {
		case target.Status == "error":
		case dead && (target.Unplanned == nil || target.Unplanned.Code == "elsewhere"):
		case target.Unplanned != nil:
			if dead != (target.Unplanned.Code == "unavailable") {
				t.Errorf("%s: %s is not planned: %s", name, target.Name, target.Unplanned.Code)
			}
		case target.Digest == "":
			t.Errorf("%s: %s has no digest", name, target.Name)
		default:
			for _, c := range target.Changes {
				if c.Class == "" || c.Risks == nil {
					t.Errorf("%s: %s has a change of %s without class or risks", name, target.Name, c.Name)
				}
			}
		}
	}
}

// scriptDead is the command "dead FILE": it writes a kubeconfig whose clusters are
// where nobody listens.
func scriptDead(ts *testscript.TestScript, _ bool, args []string) {
	text, err := os.ReadFile(ts.Getenv("KUBECONFIG"))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), serverAddress.ReplaceAll(text, []byte("https://127.0.0.1:1")), 0o600))
}

// scriptDigest is the command "digest FILE FILE same|other": it compares the digests
// of two plans in JSON.
func scriptDigest(ts *testscript.TestScript, _ bool, args []string) {
	var digests [2]string
	for i, name := range args[:2] {
		found := digestField.FindStringSubmatch(ts.ReadFile(name))
		if found == nil {
			ts.Fatalf("%s has no digest", name)
		}
		digests[i] = found[1]
	}
	if same := digests[0] == digests[1]; same != (args[2] == "same") {
		ts.Fatalf("the digests are %s and %s", digests[0], digests[1])
	}
}

// scriptDeploy is the command "deploy [--config FILE] REPOSITORY DIRECTORY [FILE]": it
// applies the YAML files of a directory, or the one that is named, as a rollout
// would: what a plan has shown, through the operator's rules.
func scriptDeploy(ts *testscript.TestScript, neg bool, args []string) {
	err := deploy(ts, args)
	if err != nil {
		fmt.Fprintln(ts.Stderr(), err)
	}
	if (err != nil) != neg {
		ts.Fatalf("deploy: %v", err)
	}
}

func deploy(ts *testscript.TestScript, args []string) error {
	key := []byte("a key of the test")
	clusters := func(repo gitops.Repo) (*fleet.Fleet, error) {
		options := cluster.Options{Name: "cluster-1", Kubeconfig: ts.Getenv("KUBECONFIG"), Context: "cluster-1"}
		return fleet.Alone(options, repo, key), nil
	}
	if args[0] == "--config" {
		file := ts.MkAbs(args[1])
		clusters = func(repo gitops.Repo) (*fleet.Fleet, error) {
			operators, err := config.Load(file)
			return fleet.Of(operators, repo, key), err
		}
		args = args[2:]
	}
	repo, valid := gitops.ParseRepo(args[0])
	if !valid {
		return fmt.Errorf("%s is no repository", args[0])
	}
	f, err := clusters(repo)
	if err != nil {
		return err
	}
	target := gitops.Target{Path: args[1]}
	if rest, named := strings.CutPrefix(args[1], "clusters/"); named {
		target.Cluster, _, _ = strings.Cut(rest, "/")
	}
	objects, err := objectsIn(ts, args[1:])
	if err != nil {
		return err
	}
	ctx := context.Background()
	shown, err := f.Plan(ctx, target, objects, false)
	if err != nil {
		return err
	}
	f.Holder = "the test"
	result, err := f.Apply(ctx, rollout.Order{Target: target, Objects: objects, Revision: "HEAD", Shown: shown.Effects()}, forget)
	if err == nil && result.Ending != rollout.Done {
		err = fmt.Errorf("the deployment ended %s: %s", result.Ending, result.Why)
	}
	return err
}

// objectsIn reads the YAML files of a directory, or the last of the arguments.
func objectsIn(ts *testscript.TestScript, args []string) ([]manifest.Object, error) {
	files := []string{ts.MkAbs(args[len(args)-1])}
	if len(args) == 1 {
		var err error
		if files, err = filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*.yaml")); err != nil {
			return nil, err
		}
	}
	var objects []manifest.Object
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		read, err := clustertest.ReadObjects(string(text))
		if err != nil {
			return nil, err
		}
		objects = append(objects, read...)
	}
	return objects, nil
}

// forget keeps a journal that nobody reads.
func forget(context.Context, ledger.Note) error { return nil }
