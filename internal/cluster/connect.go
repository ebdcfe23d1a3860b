// Package cluster is the connection to a Kubernetes API server: it alone opens one.
// Observe gathers what a plan is made of, every read and every dry run; the
// inventories that say what was deployed are read and written here.
//
// It judges nothing, and it never takes a cluster that doesn't answer for one that
// is empty. Objects are read and written as the identity that the operator gave a
// repository, inventories as Davit itself.
package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	client "k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/klog/v2"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
)

// Options say which cluster to connect to, and as whom.
type Options struct {
	Name       string // of the cluster, for people
	Kubeconfig string // a file; empty: see Ambient
	Context    string // empty: the one the file calls current
	// Ambient, without a Kubeconfig, means what kubectl would use. Otherwise it is
	// the cluster that Davit runs in.
	Ambient bool
	// Exec allows programs that the kubeconfig names to be run for credentials.
	Exec bool
	As   string // the user to impersonate for objects; empty: nobody
	// Wrap, if not nil, is put around what connects.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// Connection is one cluster as seen by one identity. It is safe for use by several
// goroutines.
type Connection struct {
	name      string
	namespace string // of objects that name none
	own       dynamic.Interface
	objects   dynamic.Interface
	logs      rest.Interface // as whom objects are read
	discovery discovery
}

const (
	requestTimeout = 30 * time.Second // of one request that is not a watch
	dialTimeout    = 10 * time.Second
)

// quiet keeps what client-go says to nobody in particular off the terminal: all of it
// is in the errors it returns, or hands to its callers, too.
var quiet = sync.OnceFunc(func() { klog.SetSlogLogger(slog.New(slog.DiscardHandler)) })

// Connect makes a connection. Nothing is sent yet.
func Connect(o Options) (*Connection, error) {
	quiet()
	config, namespace, err := o.load()
	if err != nil {
		return nil, &Error{Class: Misconfigured, Cluster: o.Name, Message: "has a kubeconfig that can't be used: " + err.Error(), err: err}
	}
	if o.Wrap != nil {
		config.Wrap(o.Wrap)
	}
	config.QPS = -1 // the server limits by priority and fairness
	config.UserAgent = "davit"
	config.Dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	config.WarningHandlerWithContext = collect{}
	c := &Connection{name: o.Name, namespace: namespace}
	bounded := rest.CopyConfig(config)
	bounded.Timeout = requestTimeout
	if c.discovery.client, err = client.NewDiscoveryClientForConfig(bounded); err != nil {
		return nil, fmt.Errorf("connect to cluster %s: %w", o.Name, err)
	}
	if c.own, err = dynamic.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("connect to cluster %s: %w", o.Name, err)
	}
	config = rest.CopyConfig(config)
	if o.As != "" { // otherwise whom the kubeconfig itself acts as
		config.Impersonate = rest.ImpersonationConfig{UserName: o.As}
	}
	if c.objects, err = dynamic.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("connect to cluster %s as %s: %w", o.Name, o.As, err)
	}
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	if c.logs, err = rest.UnversionedRESTClientFor(config); err != nil {
		return nil, fmt.Errorf("connect to cluster %s as %s: %w", o.Name, o.As, err)
	}
	return c, nil
}

// ContextName is the name of the context that options choose, in a kubeconfig.
func ContextName(o Options) (string, error) {
	loading := o.loading()
	config, err := loading.RawConfig()
	if err != nil {
		return "", fmt.Errorf("read the kubeconfig: %w", err)
	}
	name := cmp.Or(o.Context, config.CurrentContext)
	chosen := config.Contexts[name]
	if chosen == nil {
		return "", noContext(name, config, loading.ConfigAccess().GetLoadingPrecedence())
	}
	for _, part := range []struct {
		what, name string
		known      bool
	}{
		{"cluster", chosen.Cluster, config.Clusters[chosen.Cluster] != nil},
		{"user", chosen.AuthInfo, chosen.AuthInfo == "" || config.AuthInfos[chosen.AuthInfo] != nil},
	} {
		switch {
		case !part.known && part.name == "":
			return "", fmt.Errorf("the context %s of the kubeconfig names no %s", name, part.what)
		case !part.known:
			return "", fmt.Errorf("the context %s of the kubeconfig names the %s %s, which the kubeconfig does not have", name, part.what, part.name)
		}
	}
	return name, nil
}

// noContext says why a kubeconfig, read from some files, has no such context.
func noContext(name string, config api.Config, files []string) error {
	missing := func(file string) bool {
		_, err := os.Stat(file)
		return errors.Is(err, fs.ErrNotExist)
	}
	switch {
	case !slices.ContainsFunc(files, func(file string) bool { return !missing(file) }):
		return fmt.Errorf("there is no kubeconfig %s", strings.Join(files, ", nor "))
	case name == "":
		return errors.New("the kubeconfig names no current context; name one with --context")
	}
	return fmt.Errorf("the kubeconfig has no context %s; it has: %s", name, strings.Join(slices.Sorted(maps.Keys(config.Contexts)), ", "))
}

func (o Options) loading() clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	if o.Kubeconfig != "" {
		rules = &clientcmd.ClientConfigLoadingRules{ExplicitPath: o.Kubeconfig}
	}
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.Context})
}

func (o Options) load() (*rest.Config, string, error) {
	if o.Kubeconfig == "" && !o.Ambient {
		config, err := rest.InClusterConfig()
		return config, "default", err
	}
	loaded := o.loading()
	config, err := loaded.ClientConfig()
	// What client-go says of a kubeconfig is for programmers, and it makes nobody of a user
	// that is not there. Without a kubeconfig it may know the cluster that it runs in.
	if raw, _ := loaded.RawConfig(); err != nil || !api.IsConfigEmpty(&raw) {
		if _, why := ContextName(o); why != nil {
			err = why
		}
	}
	if err != nil {
		return nil, "", err
	}
	if (config.ExecProvider != nil || config.AuthProvider != nil) && !o.Exec {
		return nil, "", fmt.Errorf("it runs a program for its credentials; use a token or a certificate, or set exec: true for this cluster")
	}
	namespace, _, err := loaded.Namespace()
	return config, namespace, err
}

// Name is what the cluster is called.
func (c *Connection) Name() string { return c.name }

// Objects is where objects of a kind are read and written, with the identity of the
// connection. It reports false if the cluster serves no such kind. A version that is
// not served is read and deleted in another; to write, see Serves.
func (c *Connection) Objects(ctx context.Context, ref gitops.ObjectRef) (dynamic.ResourceInterface, bool, error) {
	s, err := c.serves(ctx)
	if err != nil {
		return nil, false, err
	}
	resource, known := s.resource(ref)
	if !known {
		return nil, false, nil
	}
	if ref.Namespace == "" {
		return c.objects.Resource(resource), true, nil
	}
	return c.objects.Resource(resource).Namespace(ref.Namespace), true, nil
}

// Serves reports whether the cluster serves a kind in the very version that is asked for.
func (c *Connection) Serves(ctx context.Context, ref gitops.ObjectRef) (bool, error) {
	s, err := c.serves(ctx)
	return err == nil && s.exactly(ref), err
}

// collect hands the warnings of a server to whoever asked for them by gather.
type collect struct{}

type gathered struct {
	mu    sync.Mutex
	texts []string
}

type gatherKey struct{}

func (collect) HandleWarningHeaderWithContext(ctx context.Context, code int, _, text string) {
	const miscellaneous = 299 // the only code that API servers use
	g, wanted := ctx.Value(gatherKey{}).(*gathered)
	if !wanted || code != miscellaneous || text == "" {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.texts = append(g.texts, text)
}

// gather returns a context in which warnings are kept.
func gather(ctx context.Context) (context.Context, *gathered) {
	g := &gathered{}
	return context.WithValue(ctx, gatherKey{}, g), g
}

// of are the warnings of one object, sorted. What is said of a Secret may hold a value.
func (g *gathered) of(ref gitops.ObjectRef) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.texts) > 0 && manifest.IsSecret(ref) {
		return []string{"the cluster warns of this Secret; its warning is not shown, for it may hold a value"}
	}
	return slices.Compact(slices.Sorted(slices.Values(g.texts)))
}
