package cluster

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/plan"
)

var (
	config = gitops.ObjectRef{Version: "v1", Kind: "ConfigMap", Namespace: "shop", Name: "c"}
	secret = gitops.ObjectRef{Version: "v1", Kind: "Secret", Namespace: "shop", Name: "s"}
)

// TestRecord holds that a record is read as it was written.
func TestRecord(t *testing.T) {
	t.Parallel()
	many := &plan.Inventory{}
	for i := range 2000 {
		many.Objects = append(many.Objects, plan.Entry{UID: fmt.Sprint(i), Ref: gitops.ObjectRef{
			Group: "acme.example", Version: "v1", Kind: "Sail", Namespace: "shop", Name: fmt.Sprintf("sail-%d", i),
		}})
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)
	for name, r := range map[string]Record{
		"nothing was deployed":    {Holder: "me", Fence: 1, Renewed: now},
		"nothing is deployed":     {Deployed: &plan.Inventory{Objects: []plan.Entry{}}, Revision: "c0ffee", Settled: true, Removed: true, Fence: 2, Renewed: now},
		"an object without a UID": {Deployed: &plan.Inventory{Objects: []plan.Entry{{Ref: config}, {Ref: secret, UID: "u"}}}, Fence: 3, Renewed: now},
		"many objects":            {Deployed: many, Fence: 1 << 40, Renewed: now},
	} {
		object, err := encodeRecord(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := decodeRecord(object)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(r, got, cmpopts.IgnoreUnexported(Record{})); diff != "" {
			t.Errorf("%s (-written +read):\n%s", name, diff)
		}
		if data, err := object.MarshalJSON(); err != nil || len(data) > 100<<10 {
			t.Errorf("%s: it takes %d bytes, %v", name, len(data), err)
		}
	}
}

// TestRefusals sorts an API server's answers by whose fault they are. What it says of a
// Secret is never repeated.
func TestRefusals(t *testing.T) {
	t.Parallel()
	const value = "hunter2hunter2hunter2"
	maps := schema.GroupResource{Resource: "configmaps"}
	kind := schema.GroupKind{Kind: "ConfigMap"}
	invalid := apierrors.NewInvalid(kind, "c", field.ErrorList{field.Invalid(field.NewPath("data").Key("a"), value, "is bad"), field.Required(field.NewPath("type"), value)})
	plain := func(message string) error { // what an API server makes of an error that is no Status
		return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: 500, Message: message}}
	}
	const failed = "failed" // an API server's word
	for _, row := range []struct {
		name string
		err  error
		want plan.RefusalClass
	}{
		{"invalid", invalid, plan.Rejected},
		{"bad request", apierrors.NewBadRequest(value), plan.Rejected},
		{"no type", plain(failed + " to create typed patch object (shop/c; /v1, Kind=ConfigMap): .data.a: expected string, got " + value), plan.Rejected},
		{"no quantity", plain(failed + " to convert new object (shop/c; /v1, Kind=Pod) to proper version: quantities must match " + value), plan.Rejected},
		{"conversion", plain(failed + " to convert new object (shop/c; a/v1, Kind=A) to proper version: conversion webhook for a/v2, Kind=A failed: " + value), plan.Busy},
		{"live object", plain(failed + " to create typed live object (shop/c; /v1, Kind=ConfigMap): " + value), plan.Busy},
		{"slow storage", plain("etcdserver: request timed out"), plan.Busy},
		{"full storage", plain("etcdserver: mvcc: database space exceeded"), plan.Busy},
		{"no storage", plain("rpc error: code = Unavailable desc = transport is closing"), plan.Busy},
		{"gave up", plain("context canceled"), plan.Busy},
		{"too large", apierrors.NewRequestEntityTooLargeError(value), plan.Rejected},
		{"forbidden", apierrors.NewForbidden(maps, "c", errors.New(value)), plan.Forbidden},
		{"no namespace", apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "shop"), plan.Absent},
		{"webhook", apierrors.NewInternalError(errors.New(value)), plan.Busy},
		{"busy", apierrors.NewTooManyRequests(value, 1), plan.Busy},
		{"conflict", apierrors.NewConflict(maps, "c", errors.New(value)), plan.Busy},
		{"a proxy's 404", apierrors.NewGenericServerResponse(404, "patch", maps, "c", value, 0, true), plan.Busy},
		{"a proxy's 403", apierrors.NewGenericServerResponse(403, "patch", maps, "c", value, 0, true), plan.Busy},
		{"a proxy's 413", apierrors.NewGenericServerResponse(413, "patch", maps, "c", value, 0, true), plan.Rejected},
		{"a proxy's 502", apierrors.NewGenericServerResponse(502, "patch", maps, "c", value, 0, true), plan.Busy},
	} {
		c := &Connection{name: "staging"}
		for _, ref := range []gitops.ObjectRef{config, secret} {
			got, err := c.Refuse(t.Context(), ref, row.err)
			if err != nil || got.Class != row.want || got.Message == "" {
				t.Fatalf("%s: %+v, %v", row.name, got, err)
			}
			if busy := got.Class == plan.Busy; passing(row.err) && !busy || busy && strings.HasSuffix(row.name, "storage") && !passing(row.err) {
				t.Errorf("%s: to be tried again: %t", row.name, passing(row.err))
			}
			if ref == secret && strings.Contains(got.Message, "hunter") {
				t.Errorf("%s: the message tells a value: %s", row.name, got.Message)
			}
		}
	}
	for name, err := range map[string]error{"credentials": apierrors.NewUnauthorized("no"), "connection": errors.New("read: connection reset")} {
		var fault *Error
		if refusal, err := (&Connection{}).Refuse(t.Context(), config, err); !errors.As(err, &fault) {
			t.Errorf("%s: it is a refusal of one object: %+v, %v", name, refusal, err)
		}
	}
}

// TestCut holds that a message is never cut within a word: half of a value could not be
// masked any more.
func TestCut(t *testing.T) {
	t.Parallel()
	const value = "hunter2hunter2hunter2"
	for length := maxSaid - 2*len(value); length < maxSaid+2; length++ {
		message := strings.Repeat("a ", length/2) + strings.Repeat("b", length%2) + " " + value + " is bad, because of this and that, and because of something else"
		got := (&Connection{}).said(config, metav1.Status{Message: message})
		if strings.Contains(strings.ReplaceAll(got, value, ""), "hunter") || len(got) > maxSaid+len("…") || len(got) < maxSaid-2*len(value) {
			t.Errorf("%d: it is cut to %q", length, got[max(0, len(got)-40):])
		}
	}
	if got := cut(strings.Repeat("x", maxSaid+1)); got != "…" {
		t.Errorf("one long word is cut to %q", got)
	}
}

// TestAddresses holds that a refusal for the cluster's own trouble names no server, and
// that what an object holds is repeated as it is.
func TestAddresses(t *testing.T) {
	t.Parallel()
	const internal = `failed calling webhook "a.b": Post "https://hook.corp.internal:443/check?timeout=5s": `
	for message, want := range map[string]string{
		internal + "dial tcp 10.96.0.12:443: connect: connection refused":               `failed calling webhook "a.b": Post "…": dial tcp …: connect: connection refused`,
		internal + "dial tcp: lookup hook.corp.internal on 10.96.0.10:53: no such host": `failed calling webhook "a.b": Post "…": dial tcp: … on …: no such host`,
		internal + "dial tcp [fd00:10::a]:443: i/o timeout":                             `failed calling webhook "a.b": Post "…": dial tcp …: i/o timeout`,
		`etcdserver: request timed out, of 2 in a[0] at 12:30:01, version v1.36.4`:      `etcdserver: request timed out, of 2 in a[0] at 12:30:01, version v1.36.4`,
	} {
		got, err := (&Connection{}).Refuse(t.Context(), config, apierrors.NewInternalError(errors.New(message)))
		if want := "Internal error occurred: " + want; err != nil || got.Message != want {
			t.Errorf("it is told as %q, not %q; %v", got.Message, want, err)
		}
	}
	const link = "see https://policies.example/images"
	got, err := (&Connection{}).Refuse(t.Context(), config, apierrors.NewBadRequest(link))
	if err != nil || got.Message != link {
		t.Errorf("a verdict is told as %q, %v", got.Message, err)
	}
}
