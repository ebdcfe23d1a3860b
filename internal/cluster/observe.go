package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
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
		c.Rediscover()
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
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, list := range [][]plan.Observation{facts.Desired, facts.Former} {
		for i := range list {
			o := &list[i]
			group.Go(func() error {
				if err := c.observe(inner, s, o, q.Scope); err != nil {
					return fmt.Errorf("look at %s: %w", o.Ref, err)
				}
				return nil
			})
		}
	}
	return facts, group.Wait()
}

// observe fills in what the cluster says of one object.
func (c *Connection) observe(ctx context.Context, s *served, o *plan.Observation, scope plan.Scope) error {
	resource, known := s.resource(o.Ref)
	if s.broken[o.Ref.Group] && !s.exactly(o.Ref) {
		o.Problem = ""
		o.Refused = &plan.Refusal{Class: plan.Busy, Message: fmt.Sprintf("the server of the API group %s does not answer", o.Ref.Group)}
		return nil
	}
	if !known || o.Problem != "" || scope.Refusal(o.Ref) != "" {
		return nil
	}
	objects := dynamic.ResourceInterface(c.objects.Resource(resource))
	if o.Ref.Namespace != "" {
		objects = c.objects.Resource(resource).Namespace(o.Ref.Namespace)
	}
	var live *unstructured.Unstructured
	err := patiently(ctx, func(ctx context.Context) (err error) {
		live, err = objects.Get(ctx, o.Ref.Name, metav1.GetOptions{})
		return err
	})
	switch {
	case apierrors.IsNotFound(err) && isVerdict(err):
	case err != nil:
		o.Refused, err = c.Refuse(ctx, o.Ref, err)
		return err
	default:
		if o.Live, err = json.Marshal(live); err != nil {
			return fmt.Errorf("keep the live object: %w", err)
		}
	}
	if o.JSON == nil || o.Pending {
		return nil // there is nothing to rehearse, or nothing yet to rehearse it in
	}
	return c.rehearse(ctx, objects, o)
}

// rehearse makes the dry run of an object.
func (c *Connection) rehearse(ctx context.Context, objects dynamic.ResourceInterface, o *plan.Observation) error {
	ctx, warnings := gather(ctx)
	after, err := Apply(ctx, objects, o.Desired, Write{DryRun: true})
	if o.Contested = contested(err); len(o.Contested) > 0 {
		after, err = Apply(ctx, objects, o.Desired, Write{DryRun: true, Force: true})
	}
	if err != nil {
		o.Refused, err = c.Refuse(ctx, o.Ref, err)
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

// Write says how an object is applied.
type Write struct {
	DryRun bool
	Force  bool   // take over what other managers own
	UID    string // the object must still be this one
	New    bool   // there must be no such object yet
}

// Apply applies one object on the server's side. It is tried again while the server
// says that it is busy: applying twice is applying once.
func Apply(ctx context.Context, objects dynamic.ResourceInterface, d plan.Desired, w Write) (*unstructured.Unstructured, error) {
	body := d.JSON
	var err error
	switch {
	case w.UID != "":
		body, err = with(body, "uid", w.UID)
	case w.New:
		// No object has this version: one that is there is a conflict, and one that is
		// not is made.
		body, err = with(body, "resourceVersion", "1")
	}
	if err != nil {
		return nil, err
	}
	options := metav1.PatchOptions{FieldManager: plan.Manager, Force: &w.Force, FieldValidation: metav1.FieldValidationStrict}
	if w.DryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	var result *unstructured.Unstructured
	err = patiently(ctx, func(ctx context.Context) (err error) {
		result, err = objects.Patch(ctx, d.Ref.Name, types.ApplyPatchType, body, options)
		return err
	})
	if w.New && apierrors.IsConflict(err) {
		if uid := made(ctx, objects, d); uid != "" {
			return Apply(ctx, objects, d, Write{UID: uid})
		}
	}
	return result, err
}

// made is the UID of an object that was to be new and is there, if it is Davit's for the
// same owner: then it is that an answer was lost, and not that somebody came first.
func made(ctx context.Context, objects dynamic.ResourceInterface, d plan.Desired) string {
	var live *unstructured.Unstructured
	err := patiently(ctx, func(ctx context.Context) (err error) {
		live, err = objects.Get(ctx, d.Ref.Name, metav1.GetOptions{})
		return err
	})
	desired := unstructured.Unstructured{}
	if err != nil || desired.UnmarshalJSON(d.JSON) != nil || live.GetDeletionTimestamp() != nil {
		return ""
	}
	if live.GetAnnotations()[plan.OwnerAnnotation] != desired.GetAnnotations()[plan.OwnerAnnotation] {
		return ""
	}
	return string(live.GetUID())
}

// Delete deletes one object if it is still this one. That it is gone, or another one
// has its name by now, is no error: ours is gone.
func Delete(ctx context.Context, objects dynamic.ResourceInterface, e plan.Entry) error {
	uid, background := types.UID(e.UID), metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &background}
	err := patiently(ctx, func(ctx context.Context) error { return objects.Delete(ctx, e.Ref.Name, options) })
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) && isVerdict(err) {
		return nil
	}
	return err
}

// with returns an object with one more field in its metadata.
func with(body json.RawMessage, field, text string) (json.RawMessage, error) {
	var object, metadata map[string]json.RawMessage
	err := json.Unmarshal(body, &object)
	if err == nil {
		err = json.Unmarshal(object["metadata"], &metadata)
	}
	if err != nil {
		return nil, fmt.Errorf("name the object that is meant: %w", err)
	}
	metadata[field] = json.RawMessage(strconv.Quote(text))
	if object["metadata"], err = json.Marshal(metadata); err != nil {
		return nil, fmt.Errorf("name the object that is meant: %w", err)
	}
	return json.Marshal(object)
}

// attempts are how often a request is made while the server is busy, or cuts it off,
// and pause how long the first wait is; each is twice the one before.
const (
	attempts = 4
	pause    = 250 * time.Millisecond
)

// patiently makes a request, and makes it again while the server is busy. Each
// attempt has a deadline of its own.
func patiently(ctx context.Context, request func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		bounded, cancel := context.WithTimeout(ctx, requestTimeout)
		err := request(bounded)
		cancel()
		if err == nil || attempt == attempts || !passing(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause << (attempt - 1)):
		}
	}
}

// passing reports whether an error may be over soon. Of a request that was cut off nobody
// knows whether it was carried out, so that only what can be done twice is retried.
func passing(err error) bool {
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) {
		why := reason(err)
		return why == refused || why == breaksOff
	}
	return apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err)
}
