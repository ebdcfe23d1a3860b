// Package fleet is the clusters that one repository may use, as the operator's rules
// say: it finds the cluster of a target, connects as the identity that the rules
// give the repository, and plans and applies there within its scope.
//
// It is the one way from a target to a cluster, so that no rule can be gone around.
// It decides nothing itself: where and as whom is for authority, what for plan.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/davitops/davit/internal/authority"
	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/config"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/plan"
)

// Fleet is safe for use by several goroutines.
type Fleet struct {
	Holder string        // who applies: the installation's name
	Wait   time.Duration // for objects to become ready; zero means the default
	// Wrap, if not nil, is put around what connects to clusters.
	Wrap func(http.RoundTripper) http.RoundTripper

	repo     gitops.Repo
	key      []byte
	place    func(gitops.Target) (name string, problem *plan.Problem)
	grant    func(name string) (authority.Grant, string)
	clusters map[string]cluster.Options
	versions map[string]string // of clusters, as the operator says

	mu          sync.Mutex
	connections map[string]*cluster.Connection
}

// Of is the clusters of an operator's configuration as a repository may use them. key
// is what values in effects are hashed with.
func Of(c config.Config, repo gitops.Repo, key []byte) *Fleet {
	f := &Fleet{
		repo: repo, key: key, clusters: map[string]cluster.Options{}, versions: map[string]string{},
		connections: map[string]*cluster.Connection{},
	}
	for _, k := range c.Clusters {
		f.versions[k.Name] = k.Kubernetes
		f.clusters[k.Name] = cluster.Options{Name: k.Name, Kubeconfig: k.Kubeconfig, Context: k.Context, Exec: k.Exec}
	}
	f.place = func(t gitops.Target) (string, *plan.Problem) {
		name, refusal := c.Rules.Place(repo, t, c.ClusterNames())
		if refusal != "" {
			return "", &plan.Problem{Code: plan.Unplaced, Message: refusal}
		}
		return name, nil
	}
	f.grant = func(name string) (authority.Grant, string) { return c.Rules.Grant(repo, name) }
	return f
}

// Alone is one cluster, for somebody who may do there what the cluster lets them: no
// rule of an operator stands between. Targets that name another cluster are left out.
func Alone(o cluster.Options, repo gitops.Repo, key []byte) *Fleet {
	return &Fleet{
		repo: repo, key: key,
		clusters:    map[string]cluster.Options{o.Name: o},
		connections: map[string]*cluster.Connection{},
		grant: func(string) (authority.Grant, string) {
			return authority.Grant{Scope: plan.Everything, As: o.As}, ""
		},
		place: func(t gitops.Target) (string, *plan.Problem) {
			if t.Cluster != "" && t.Cluster != o.Name {
				return "", &plan.Problem{Code: plan.Elsewhere, Message: fmt.Sprintf("it goes to the cluster %s, and was not compared with %s; if they are one, say so with --cluster %s", t.Cluster, o.Name, t.Cluster)}
			}
			return o.Name, nil
		},
	}
}

// site is where and how one target is deployed.
type site struct {
	connection *cluster.Connection
	scope      plan.Scope
}

// site finds a target's cluster and connects to it. Its error is a *plan.Problem.
func (f *Fleet) site(t gitops.Target) (site, error) {
	name, problem := f.place(t)
	if problem != nil {
		return site{}, problem
	}
	grant, refusal := f.grant(name)
	if refusal != "" {
		return site{}, &plan.Problem{Code: plan.Unplaced, Message: refusal}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	connection, known := f.connections[name]
	if !known {
		options := f.clusters[name]
		options.As, options.Wrap = grant.As, f.Wrap
		var err error
		if connection, err = cluster.Connect(options); err != nil {
			return site{}, unavailable(err)
		}
		f.connections[name] = connection
	}
	return site{connection: connection, scope: grant.Scope}, nil
}

// unavailable makes of a cluster's error a *plan.Problem; other errors stay.
func unavailable(err error) error {
	var fault *cluster.Error
	if errors.As(err, &fault) {
		return &plan.Problem{Code: plan.Unavailable, Message: fault.Error(), Err: err}
	}
	return err
}

// Kubernetes is the version of a target's cluster, "1.36": what the operator says, or
// else what the cluster does. It is empty if neither says it.
func (f *Fleet) Kubernetes(ctx context.Context, t gitops.Target) string {
	name, problem := f.place(t)
	if problem != nil {
		return ""
	}
	if version := f.versions[name]; version != "" {
		return version
	}
	at, err := f.site(t)
	if err != nil {
		return ""
	}
	return at.connection.Kubernetes(ctx)
}

// Plan says what applying a target's objects would do to its cluster. It writes
// nothing. An error that wraps a *plan.Problem is one that a pull request is told.
func (f *Fleet) Plan(ctx context.Context, t gitops.Target, objects []manifest.Object, removed bool) (plan.Plan, error) {
	at, err := f.site(t)
	if err != nil {
		return plan.Plan{}, err
	}
	owner := plan.OwnerOf(f.repo, t)
	facts, err := at.connection.Observe(ctx, cluster.Question{Owner: owner, Objects: objects, Scope: at.scope})
	if err != nil {
		return plan.Plan{}, unavailable(err)
	}
	return plan.Make(plan.Question{Owner: owner, Facts: facts, Scope: at.scope, Key: f.key, Removed: removed})
}
