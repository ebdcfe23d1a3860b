package apply_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/cluster/apply"
	"github.com/davitops/davit/internal/cluster/clustertest"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/plan"
)

var playground clustertest.Playground

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(child())
	}
	os.Exit(clustertest.Main(m, &playground, 1))
}

// connect opens a connection as somebody; empty is the administrator.
func connect(t testing.TB, as string) *cluster.Connection {
	t.Helper()
	c, err := cluster.Connect(cluster.Options{Name: "cluster-1", Kubeconfig: playground.Kubeconfig, Context: "cluster-1", As: as})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func owner(name string) plan.Owner {
	return plan.Owner{Repo: gitops.Repo{Forge: "github", Path: "acme/gitops"}, Path: "apps/" + name}
}

// journal keeps steps in memory.
type journal struct {
	mu    sync.Mutex
	steps []apply.Step
}

func (j *journal) Note(_ context.Context, s apply.Step) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.steps = append(j.steps, s)
	return nil
}

// key is what effects are hashed with.
var key = []byte("a key")

// planOf plans a target.
func planOf(t testing.TB, c *cluster.Connection, name, objects string) plan.Plan {
	t.Helper()
	return planScoped(t, c, name, objects, plan.Everything)
}

func planScoped(t testing.TB, c *cluster.Connection, name, objects string, scope plan.Scope) plan.Plan {
	t.Helper()
	facts, err := c.Observe(t.Context(), cluster.Question{Owner: owner(name), Objects: clustertest.Objects(t, objects), Scope: scope})
	if err != nil {
		t.Fatalf("observe %s: %v", name, err)
	}
	p, err := plan.Make(plan.Question{Owner: owner(name), Facts: facts, Scope: scope, Key: key})
	if err != nil {
		t.Fatalf("plan %s: %v", name, err)
	}
	return p
}

// applyOf plans a target and applies what the plan shows.
func applyOf(t testing.TB, name, objects string) apply.Result {
	t.Helper()
	c := connect(t, "")
	p := planOf(t, c, name, objects)
	result, err := applier(c).Run(t.Context(), jobOf(t, name, objects, p))
	if err != nil {
		t.Fatalf("apply %s: %v", name, err)
	}
	return result
}

func applier(c *cluster.Connection) apply.Applier {
	return apply.Applier{Cluster: c, Journal: &journal{}, Holder: "the tests"}
}

func jobOf(t testing.TB, name, objects string, shown plan.Plan) apply.Job {
	t.Helper()
	return apply.Job{
		Owner: owner(name), Objects: clustertest.Objects(t, objects), Scope: plan.Everything,
		Revision: "c0ffee", Shown: shown.Effects(), Key: key,
	}
}

// classes are a plan's changes, as "class object".
func classes(p plan.Plan) []string {
	var lines []string
	for _, c := range p.Changes {
		line := string(c.Class) + " " + c.Ref.String()
		for _, r := range c.Risks {
			line += " " + string(r)
		}
		lines = append(lines, line)
	}
	return lines
}

var (
	regexpServer = regexp.MustCompile(`https://127\.0\.0\.1:\d+`)
	regexpCA     = regexp.MustCompile(`certificate-authority-data: \S+`)
	regexpToken  = regexp.MustCompile(`token: \S+`)
)

// anotherCA is the certificate, in base64, of an authority that signed nothing here.
var anotherCA = makeCA()

func makeCA() string {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
