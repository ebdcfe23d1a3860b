package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	client "k8s.io/client-go/discovery"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/plan"
)

// served is what a cluster serves.
type served struct {
	kinds     plan.Kinds
	resources map[gitops.ObjectRef]schema.GroupVersionResource // by plan.KindOf, and, for a kind's preferred version, without version
	broken    map[string]bool                                  // groups whose own server does not answer
	version   string                                           // of Kubernetes, "1.36"; empty if it does not say
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

// failedFor is how long it is taken for true that a cluster does not answer: a survey
// asks for hundreds of targets, and all of them get the one answer.
const failedFor = 5 * time.Second

// discovery is what is known of what a cluster serves.
type discovery struct {
	client  client.DiscoveryInterface
	asking  singleflight.Group
	mu      sync.Mutex // never held while anything is asked of the cluster
	current *served    // nil until asked for
	round   int        // grows with each forgetting: an answer to what was asked before is out of date
	failure *Error     // why there was no answer
	failed  time.Time
}

// known is what need not be asked again.
func (d *discovery) known() (*served, int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failure != nil && time.Since(d.failed) < failedFor {
		return nil, d.round, d.failure
	}
	return d.current, d.round, nil
}

// keep remembers an answer.
func (d *discovery) keep(round int, s *served, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if round == d.round {
		d.current, d.failure, d.failed = s, nil, time.Now()
		errors.As(err, &d.failure)
	}
}

// forget makes the next one who asks ask the cluster. With a state, it does so only if
// that is still what is known: somebody else may have asked meanwhile.
func (d *discovery) forget(s *served) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s == nil || s == d.current {
		d.current, d.failure = nil, nil
		d.round++
	}
}

// serves asks the cluster what it serves, once until Rediscover. Of several who want to
// know, one asks and the others wait, each as long as its context lets it.
func (c *Connection) serves(ctx context.Context) (*served, error) {
	s, round, err := c.discovery.known()
	if s != nil || err != nil {
		return s, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// The one who asks may give up before the others do, and the client takes no context:
	// each of its requests has an end of its own.
	answer := c.discovery.asking.DoChan(strconv.Itoa(round), func() (any, error) {
		s, err := c.discover(context.WithoutCancel(ctx))
		c.discovery.keep(round, s, err)
		return s, err
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case a := <-answer:
		s, _ := a.Val.(*served)
		return s, a.Err
	}
}

func (c *Connection) discover(ctx context.Context) (*served, error) {
	var lists []*metav1.APIResourceList
	broken := map[string]bool{}
	err := patiently(ctx, func(context.Context) (err error) {
		_, lists, err = c.discovery.client.ServerGroupsAndResources()
		var partly *client.ErrGroupDiscoveryFailed
		if !errors.As(err, &partly) {
			return err
		}
		for group := range partly.Groups {
			broken[group.Group] = true
		}
		return nil
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, c.Fault(ctx, "say what it serves", err)
	}
	s, err := readServed(lists)
	if err != nil {
		return nil, fmt.Errorf("read what cluster %s serves: %w", c.name, err)
	}
	if !s.exactly(gitops.ObjectRef{Version: "v1", Kind: "Namespace"}) { // any web server may answer, with 404 too
		return nil, &Error{Class: Broken, Cluster: c.name, Message: "does not answer as a Kubernetes API server; is its address right?"}
	}
	if version, err := c.discovery.client.ServerVersion(); err == nil {
		s.version = version.Major + "." + strings.TrimRight(version.Minor, "+")
	}
	s.broken, s.asked = broken, time.Now()
	return s, nil
}

// Kubernetes is the cluster's version, "1.36", or empty if it does not answer.
func (c *Connection) Kubernetes(ctx context.Context) string {
	s, err := c.serves(ctx)
	if err != nil {
		return ""
	}
	return s.version
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
func (c *Connection) Rediscover() { c.discovery.forget(nil) }
