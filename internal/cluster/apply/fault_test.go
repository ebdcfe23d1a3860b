package apply_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/cluster/apply"
	"github.com/davitops/davit/internal/cluster/clustertest"
	"github.com/davitops/davit/internal/cluster/watch"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/plan"
	"github.com/davitops/davit/internal/verdict"
)

// fault is what happens to one request on its way to the API server. The zero value is
// nothing.
type fault struct {
	code  int           // it is answered so, and goes no further
	retry string        // with this Retry-After
	cut   bool          // the connection is cut
	lost  bool          // it is carried out, and its answer is lost
	delay time.Duration // it arrives late
	lasts time.Duration // its answer is cut off after that
}

// through opens a connection by way of a proxy that does to each request what a rule
// says.
func through(t *testing.T, rule func(*http.Request) fault) *cluster.Connection {
	t.Helper()
	good, err := os.ReadFile(playground.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(regexpCA.FindString(string(good)), "certificate-authority-data: "))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	server, err := url.Parse(regexpServer.FindString(string(good)))
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(server) },
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true},
		FlushInterval: -1, // watches
		ErrorLog:      log.New(io.Discard, "", 0),
	}
	proxy := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := rule(r)
		if f.lasts > 0 {
			ctx, cancel := context.WithTimeout(r.Context(), f.lasts)
			defer cancel()
			r = r.WithContext(ctx)
		}
		if f.delay > 0 {
			select {
			case <-time.After(f.delay):
			case <-r.Context().Done():
			}
		}
		switch {
		case f.lost:
			forward.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case f.cut:
			panic(http.ErrAbortHandler)
		case f.code != 0:
			if f.retry != "" {
				w.Header().Set("Retry-After", f.retry)
			}
			http.Error(w, "{}", f.code)
		default:
			forward.ServeHTTP(w, r)
		}
	}))
	proxy.Config.ErrorLog = log.New(io.Discard, "", 0)
	proxy.EnableHTTP2 = true
	proxy.StartTLS()
	t.Cleanup(proxy.CloseClientConnections)
	own := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw}))
	text := regexpCA.ReplaceAllLiteralString(regexpServer.ReplaceAllLiteralString(string(good), proxy.URL), "certificate-authority-data: "+own)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Connect(cluster.Options{Name: "cluster-1", Kubeconfig: file, Context: "cluster-1"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestFaults applies through a bad connection: what passes is waited out, and the
// cluster is in the end what it would have been.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fault{
		"unavailable":  {code: 503},
		"later":        {code: 429, retry: "1"},
		"broken":       {code: 500},
		"no gateway":   {code: 502},
		"slow gateway": {code: 504},
		"cut":          {cut: true},
		"lost":         {lost: true},
		"slow":         {delay: 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := namespace(t, "faults-"+strings.ReplaceAll(name, " ", "-"))
			done(t, ns, configs(ns, "goes", "changes=1", "stays=1"))
			var requests, faults atomic.Int64
			c := through(t, func(r *http.Request) fault {
				watches := strings.Contains(r.URL.RawQuery, "watch=") // a watch has no end that could be lost
				if watches && f.lost || requests.Add(1)%4 != 1 {
					return fault{}
				}
				faults.Add(1)
				return f
			})
			objects := configs(ns, "changes=2", "stays=1", "comes=3") + "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: first, namespace: " + ns + "}\n"
			r, err := attempt(t, applier(c), ns, objects)
			wants(t, r, err, apply.Done, "ready ServiceAccount "+ns+"/first", "ready ConfigMap "+ns+"/changes", "ready ConfigMap "+ns+"/comes", "deleted ConfigMap "+ns+"/goes")
			if diff := cmp.Diff([]string{"changes=2", "comes=3", "stays=1"}, found(t, ns)); diff != "" {
				t.Errorf("the cluster (-want +got):\n%s", diff)
			}
			if faults.Load() < 6 {
				t.Errorf("only %d requests met a fault", faults.Load())
			}
		})
	}
}

// TestGoesAway lets a cluster go away after each of a job's writes: the error says that
// it can't be reached, nothing is taken for gone, and the next job ends where an
// undisturbed one does.
func TestGoesAway(t *testing.T) {
	t.Parallel()
	for after := range int64(5) {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			t.Parallel()
			ns := namespace(t, fmt.Sprintf("goes-away-%d", after))
			done(t, ns, configs(ns, "goes", "changes=1"))
			objects := configs(ns, "changes=2", "comes=3")
			var writes atomic.Int64
			var away atomic.Bool
			c := through(t, func(r *http.Request) fault {
				write := r.Method != http.MethodGet && !strings.Contains(r.URL.RawQuery, "dryRun")
				if away.Load() || write && writes.Add(1) > after {
					away.Store(true)
					return fault{cut: true}
				}
				return fault{}
			})
			p := planOf(t, c, ns, objects)
			a := applier(c)
			a.Wait = 2 * time.Second
			r, err := a.Run(t.Context(), jobOf(t, ns, objects, p))
			var known *cluster.Error
			if !errors.As(err, &known) || known.Class != cluster.Unreachable || r.State == apply.Done {
				t.Fatalf("the job ended %s, %v: %+v", r.State, err, r.Outcomes)
			}
			if _, err := c.Observe(t.Context(), cluster.Question{Owner: owner(ns)}); !errors.As(err, &known) {
				t.Errorf("a cluster that is away is planned for: %v", err)
			}
			r, err = attempt(t, applier(connect(t, "")), ns, objects)
			if err != nil || r.State != apply.Done {
				t.Fatalf("the next job ended %s, %v: %+v", r.State, err, r.Outcomes)
			}
			if diff := cmp.Diff([]string{"changes=2", "comes=3"}, found(t, ns)); diff != "" {
				t.Errorf("the cluster (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"changes", "comes"}, inventory(t, ns)); diff != "" {
				t.Errorf("the inventory (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNoCluster holds that whatever answers in a cluster's place is never taken for a
// cluster that is empty.
func TestNoCluster(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "no-cluster")
	done(t, ns, configs(ns, "goes", "stays"))
	for _, row := range []struct {
		name string
		rule func(*http.Request) fault
		says string // the error; empty: the plan is stopped
	}{
		{"404 everywhere", func(*http.Request) fault { return fault{code: 404} }, "does not answer as a Kubernetes API server"},
		{"{} everywhere", func(*http.Request) fault { return fault{code: 200} }, "does not answer as a Kubernetes API server"},
		{"403 everywhere", func(*http.Request) fault { return fault{code: 403} }, "can't say what it serves"},
		{"403 for inventories", func(r *http.Request) fault {
			if strings.Contains(r.URL.Path, "davit-system") {
				return fault{code: 403}
			}
			return fault{}
		}, "can't read what was deployed"},
		{"404 for objects", func(r *http.Request) fault {
			if strings.Contains(r.URL.Path, "/"+ns+"/") {
				return fault{code: 404}
			}
			return fault{}
		}, ""},
		{"404 for inventories", func(r *http.Request) fault {
			if strings.Contains(r.URL.Path, "davit-system") {
				return fault{code: 404}
			}
			return fault{}
		}, "can't read what was deployed"},
	} {
		c := through(t, row.rule)
		facts, err := c.Observe(t.Context(), cluster.Question{Owner: owner(ns), Objects: clustertest.Objects(t, configs(ns, "stays")), Scope: plan.Everything})
		if row.says != "" {
			if err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("%s: it ends with %v", row.name, err)
			}
			continue
		}
		p, planned := plan.Make(plan.Question{Owner: owner(ns), Facts: facts, Scope: plan.Everything})
		if err != nil || planned != nil || p.Count()[plan.Blocked] != 2 {
			t.Errorf("%s: it is planned as %v, %v", row.name, classes(p), errors.Join(err, planned))
		}
	}
}

// TestWatchCut waits for an object to be gone through a connection that does not let a
// watch live, and lets the object go while nobody watches.
func TestWatchCut(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fault{
		"cut": {cut: true}, "expired": {code: http.StatusGone}, "broken": {code: 500}, "cut off": {lasts: 50 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := namespace(t, "watch-"+strings.ReplaceAll(name, " ", "-"))
			done(t, ns, configs(ns, "held"))
			patch(t, ns, "held", `{"metadata":{"finalizers":["acme.example/hold"]}}`)
			record, err := connect(t, "").Inventory(t.Context(), owner(ns))
			if err != nil {
				t.Fatal(err)
			}
			remove(t, ns, "held")
			var watches atomic.Int64
			c := through(t, func(r *http.Request) fault {
				if !strings.Contains(r.URL.RawQuery, "watch=") {
					return fault{}
				}
				switch watches.Add(1) {
				case 1:
					return fault{lasts: 300 * time.Millisecond}
				case 2:
					patch(t, ns, "held", `{"metadata":{"finalizers":null}}`)
					return f
				}
				return fault{}
			})
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			statuses, err := watch.Watcher{Cluster: c, Owner: owner(ns)}.Wait(ctx, []watch.Expectation{{Entry: record.Entries()[0], Gone: true}})
			if err != nil || statuses[0].State != verdict.Current {
				t.Errorf("it ends with %v, %v", statuses, err)
			}
			if watches.Load() < 2 {
				t.Errorf("only %d watches were begun", watches.Load())
			}
		})
	}
}

// TestWatchAway holds that a cluster that can't be watched when the time is over is an
// error, and that one that could be by then is none.
func TestWatchAway(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "watch-away")
	done(t, ns, configs(ns, "held"))
	patch(t, ns, "held", `{"metadata":{"finalizers":["acme.example/hold"]}}`)
	remove(t, ns, "held")
	record, err := connect(t, "").Inventory(t.Context(), owner(ns))
	if err != nil {
		t.Fatal(err)
	}
	for name, until := range map[string]int64{"for good": 1 << 30, "for a while": 4} {
		var requests atomic.Int64
		c := through(t, func(r *http.Request) fault {
			return fault{cut: strings.Contains(r.URL.Path, ns) && requests.Add(1) < until}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
		statuses, err := watch.Watcher{Cluster: c, Owner: owner(ns)}.Wait(ctx, []watch.Expectation{{Entry: record.Entries()[0], Gone: true}})
		cancel()
		var known *cluster.Error
		if away := until > 1000; errors.As(err, &known) != away || statuses[0].State != verdict.InProgress {
			t.Errorf("away %s, it ends with %v, %v", name, statuses, err)
		}
	}
}

// TestKubeconfigImpersonates holds that who a kubeconfig acts as is not dropped where
// the operator names nobody else.
func TestKubeconfigImpersonates(t *testing.T) {
	t.Parallel()
	good, err := os.ReadFile(playground.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, regexpToken.ReplaceAll(good, []byte("$0\n    as: somebody-humble")), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Connect(cluster.Options{Name: "cluster-1", Kubeconfig: file, Context: "cluster-1"})
	if err != nil {
		t.Fatal(err)
	}
	objects, _, err := c.Objects(t.Context(), gitops.ObjectRef{Version: "v1", Kind: "ConfigMap", Namespace: "default"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := objects.Get(t.Context(), "c", metav1.GetOptions{}); err == nil || !strings.Contains(err.Error(), "somebody-humble") {
		t.Errorf("it is read as somebody else: %v", err)
	}
}
