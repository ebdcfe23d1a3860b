package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/davitops/davit/internal/plan"
)

// Write says how an object is applied.
type Write struct {
	DryRun bool
	Force  bool // take over what other managers own
	// Over is the object that is written over: it must still be this one, in this
	// version. Without a UID it may be any.
	Over  plan.Entry
	New   bool // there must be no such object yet
	tries int  // zero means attempts
}

// Apply applies one object on the server's side. It is tried again while the server
// says that it is busy. If an answer is lost then, what is written is there, and it is
// Stale to write it again: look at the object before.
func Apply(ctx context.Context, objects dynamic.ResourceInterface, d plan.Desired, w Write) (*unstructured.Unstructured, error) {
	body := d.JSON
	var err error
	switch {
	case w.Over.UID != "":
		body, err = with(body, map[string]string{"uid": w.Over.UID, "resourceVersion": w.Over.Version})
	case w.New:
		// No object has this version: one that is there is a conflict, and one that is
		// not is made.
		body, err = with(body, map[string]string{"resourceVersion": "1"})
	}
	if err != nil {
		return nil, err
	}
	options := metav1.PatchOptions{FieldManager: plan.Manager, Force: &w.Force, FieldValidation: metav1.FieldValidationStrict}
	if w.DryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	var result *unstructured.Unstructured
	err = trying(ctx, cmp.Or(w.tries, attempts), func(ctx context.Context) (err error) {
		result, err = objects.Patch(ctx, d.Ref.Name, types.ApplyPatchType, body, options)
		return err
	})
	return result, err
}

// Stale reports whether an object was not written, or deleted, because it is not there
// in the version that was looked at.
func Stale(err error) bool {
	return apierrors.IsConflict(err) && len(contested(err)) == 0
}

// Delete deletes one object if it is still this one, in this version; otherwise it is
// Stale. That it is gone is no error.
func Delete(ctx context.Context, objects dynamic.ResourceInterface, e plan.Entry) error {
	uid, background := types.UID(e.UID), metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &e.Version}, PropagationPolicy: &background}
	err := patiently(ctx, func(ctx context.Context) error { return objects.Delete(ctx, e.Ref.Name, options) })
	if apierrors.IsNotFound(err) && isVerdict(err) {
		return nil
	}
	return err
}

// with returns an object with more fields in its metadata.
func with(body json.RawMessage, fields map[string]string) (json.RawMessage, error) {
	var object, metadata map[string]json.RawMessage
	err := json.Unmarshal(body, &object)
	if err == nil {
		err = json.Unmarshal(object["metadata"], &metadata)
	}
	if err != nil {
		return nil, fmt.Errorf("name the object that is meant: %w", err)
	}
	for field, text := range fields {
		metadata[field] = json.RawMessage(strconv.Quote(text))
	}
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

// patiently makes a request, and makes it again while the server is busy.
func patiently(ctx context.Context, request func(context.Context) error) error {
	return trying(ctx, attempts, request)
}

// trying makes a request up to so many times while the server is busy. Each attempt has
// a deadline of its own.
func trying(ctx context.Context, times int, request func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		bounded, cancel := context.WithTimeout(ctx, requestTimeout)
		err := request(bounded)
		cancel()
		if err == nil || attempt == times || !passing(err) {
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
	if refusalClass(err, answer.Status()) == plan.Rejected {
		return false // to the API an object that does not fit its type is an internal error too
	}
	return apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err)
}
