package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/plan"
)

// served is what a cluster serves.
type served struct {
	kinds     plan.Kinds
	resources map[gitops.ObjectRef]schema.GroupVersionResource // by plan.KindOf, and, for a kind's preferred version, without version
	broken    map[string]bool                                  // groups whose own server does not answer
	asked     time.Time
}

// freshFor is how long what a cluster serves is taken for true: kinds come and go,
// and a connection lives long.
const freshFor = 30 * time.Second

// stale reports whether the cluster has to be asked again, for the sake of some
// objects: a kind that it did not serve may have come.
func (s *served) stale(objects []manifest.Object) bool {
	return time.Since(s.asked) > freshFor || slices.ContainsFunc(objects, func(o manifest.Object) bool { return !s.exactly(o.Ref) })
}

// resource finds where a kind is served; without a version, in the preferred one.
// A version that is served no longer is the preferred one too: an object outlives
// the version that it was deployed in.
func (s *served) resource(ref gitops.ObjectRef) (schema.GroupVersionResource, bool) {
	key := plan.KindOf(ref)
	if resource, known := s.resources[key]; known {
		return resource, true
	}
	resource, known := s.resources[key.Identity()]
	return resource, known
}

// exactly reports whether a kind is served in this very version.
func (s *served) exactly(ref gitops.ObjectRef) bool {
	_, known := s.kinds[plan.KindOf(ref)]
	return known
}

// serves asks the cluster what it serves, once until Rediscover.
func (c *Connection) serves(ctx context.Context) (*served, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kinds != nil {
		return c.kinds, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var lists []*metav1.APIResourceList
	broken := map[string]bool{}
	err := patiently(ctx, func(context.Context) (err error) {
		_, lists, err = c.discovery.ServerGroupsAndResources()
		var partly *discovery.ErrGroupDiscoveryFailed
		if !errors.As(err, &partly) {
			return err
		}
		for group := range partly.Groups {
			broken[group.Group] = true
		}
		return nil
	})
	if err != nil {
		return nil, c.Fault(ctx, "say what it serves", err)
	}
	s, err := readServed(lists)
	if err != nil {
		return nil, fmt.Errorf("read what cluster %s serves: %w", c.name, err)
	}
	if !s.exactly(gitops.ObjectRef{Version: "v1", Kind: "Namespace"}) {
		return nil, &Error{Class: Broken, Cluster: c.name, Message: "does not answer as a Kubernetes API server; is its address right?"}
	}
	s.broken, s.asked = broken, time.Now()
	c.kinds = s
	return s, nil
}

func readServed(lists []*metav1.APIResourceList) (*served, error) {
	s := &served{kinds: plan.Kinds{}, resources: map[gitops.ObjectRef]schema.GroupVersionResource{}}
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, r := range list.APIResources {
			if strings.Contains(r.Name, "/") {
				continue // a subresource
			}
			kind := gitops.ObjectRef{Group: version.Group, Version: version.Version, Kind: r.Kind}
			s.kinds[kind] = r.Namespaced
			s.resources[kind] = version.WithResource(r.Name)
			if _, known := s.resources[kind.Identity()]; !known {
				s.resources[kind.Identity()] = version.WithResource(r.Name) // groups list the preferred version first
			}
		}
	}
	return s, nil
}

// Rediscover forgets what the cluster serves: a kind was defined, or taken away.
func (c *Connection) Rediscover() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kinds = nil
}
