package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/plan"
)

// Question asks what a cluster has of one target.
type Question struct {
	Owner   plan.Owner
	Objects []manifest.Object // what it is to have
	Scope   plan.Scope        // what is out of it is not even read
}

// parallel is how many objects are asked about at a time: more gains nothing, since
// a dry run costs the server as much as a write.
const parallel = 8

// Observe asks the cluster about every object of a target, and writes nothing. The
// error wraps an *Error if it is the cluster's.
func (c *Connection) Observe(ctx context.Context, q Question) (plan.Facts, error) {
	s, err := c.serves(ctx)
	if err == nil && s.stale(q.Objects) {
		c.discovery.forget(s)
		s, err = c.serves(ctx)
	}
	if err != nil {
		return plan.Facts{}, err
	}
	record, err := c.Inventory(ctx, q.Owner)
	var fault *Error
	hidden := errors.As(err, &fault) && fault.Class == Forbidden
	if err != nil && !hidden {
		return plan.Facts{}, err
	}
	desired, err := plan.Prepare(q.Objects, plan.Preparation{Owner: q.Owner, Kinds: s.kinds, Namespace: c.namespace})
	if err != nil {
		return plan.Facts{}, err
	}
	facts := plan.Facts{Inventory: record.Deployed, Hidden: hidden}
	wanted := map[gitops.ObjectRef]bool{}
	for _, d := range desired {
		wanted[d.Ref.Identity()] = true
		facts.Desired = append(facts.Desired, plan.Observation{Desired: d})
	}
	for _, e := range record.Entries() {
		if !wanted[e.Ref.Identity()] {
			facts.Former = append(facts.Former, plan.Observation{Desired: plan.Desired{Ref: e.Ref}, UID: e.UID})
		}
	}
	l := look{Connection: c, served: s, scope: q.Scope}
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, list := range [][]plan.Observation{facts.Desired, facts.Former} {
		for i := range list {
			o := &list[i]
			group.Go(func() error {
				if err := l.observe(inner, o); err != nil {
					return fmt.Errorf("look at %s: %w", o.Ref, err)
				}
				return nil
			})
		}
	}
	return facts, group.Wait()
}

// Again asks the cluster about one object again, of which it gave an observation.
func (c *Connection) Again(ctx context.Context, was plan.Observation, scope plan.Scope) (plan.Observation, error) {
	o := plan.Observation{Desired: was.Desired, UID: was.UID}
	s, err := c.serves(ctx)
	if err != nil {
		return o, err
	}
	l := look{Connection: c, served: s, scope: scope}
	if err := l.observe(ctx, &o); err != nil {
		return o, fmt.Errorf("look at %s again: %w", o.Ref, err)
	}
	return o, nil
}

// look is one Observe.
type look struct {
	*Connection
	served *served
	scope  plan.Scope
	// tired are the kinds of which an object met a busy cluster however often it was
	// tried. A webhook that is away is away for all of them, and each attempt takes as
	// long as the cluster waits for it: others of the kind are tried once.
	tired sync.Map
}

func (l *look) observe(ctx context.Context, o *plan.Observation) error {
	kind := plan.KindOf(o.Ref)
	tries := attempts
	if _, tired := l.tired.Load(kind); tired {
		tries = 1
	}
	err := l.ask(ctx, o, tries)
	if o.Refused != nil && o.Refused.Class == plan.Busy {
		l.tired.Store(kind, true)
	}
	return err
}

// ask fills in what the cluster says of one object.
func (l *look) ask(ctx context.Context, o *plan.Observation, tries int) error {
	resource, known := l.served.resource(o.Ref)
	if l.served.broken[o.Ref.Group] && !l.served.exactly(o.Ref) {
		o.Problem = ""
		o.Refused = &plan.Refusal{Class: plan.Busy, Message: fmt.Sprintf("the server of the API group %s does not answer", o.Ref.Group)}
		return nil
	}
	if !known || o.Problem != "" || l.scope.Refusal(o.Ref) != "" {
		return nil
	}
	objects := dynamic.ResourceInterface(l.objects.Resource(resource))
	if o.Ref.Namespace != "" {
		objects = l.objects.Resource(resource).Namespace(o.Ref.Namespace)
	}
	var live *unstructured.Unstructured
	err := trying(ctx, tries, func(ctx context.Context) (err error) {
		live, err = objects.Get(ctx, o.Ref.Name, metav1.GetOptions{})
		return err
	})
	switch {
	case apierrors.IsNotFound(err) && isVerdict(err):
	case err != nil:
		if o.Refused, err = l.Refuse(ctx, o.Ref, err); err == nil && o.Refused.Class == plan.Rejected {
			o.Refused.Class = plan.Busy // nothing was sent that could be at fault
		}
		return err
	default:
		if o.Live, err = json.Marshal(live); err != nil {
			return fmt.Errorf("keep the live object: %w", err)
		}
	}
	if o.JSON == nil || o.Pending {
		return nil // there is nothing to rehearse, or nothing yet to rehearse it in
	}
	return l.rehearse(ctx, objects, o, tries)
}

// rehearse makes the dry run of an object.
func (l *look) rehearse(ctx context.Context, objects dynamic.ResourceInterface, o *plan.Observation, tries int) error {
	ctx, warnings := gather(ctx)
	after, err := Apply(ctx, objects, o.Desired, Write{DryRun: true, tries: tries})
	if o.Contested = contested(err); len(o.Contested) > 0 {
		after, err = Apply(ctx, objects, o.Desired, Write{DryRun: true, Force: true, tries: tries})
	}
	if err != nil {
		o.Refused, err = l.Refuse(ctx, o.Ref, err)
		return err
	}
	o.Warnings = warnings.of(o.Ref)
	if o.After, err = json.Marshal(after); err != nil {
		return fmt.Errorf("keep what a dry run made: %w", err)
	}
	return nil
}

// contested are the fields over which an apply was refused.
func contested(err error) []plan.Contested {
	var answer apierrors.APIStatus
	if !apierrors.IsConflict(err) || !errors.As(err, &answer) || answer.Status().Details == nil {
		return nil
	}
	var fields []plan.Contested
	for _, cause := range answer.Status().Details.Causes {
		if cause.Type == metav1.CauseTypeFieldManagerConflict {
			fields = append(fields, plan.Contested{Manager: managerIn(cause.Message), Field: cause.Field})
		}
	}
	return fields
}

// managerIn is the manager that the message of a conflict quotes; the API has no
// field for it.
func managerIn(message string) string {
	var manager string
	if _, err := fmt.Sscanf(message, "conflict with %q", &manager); err != nil {
		return "another manager"
	}
	return manager
}
