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
	plain := apierrors.NewInternalError(errors.New(value))
	plain.ErrStatus.Reason = metav1.StatusReasonUnknown
	for _, row := range []struct {
		name string
		err  error
		want plan.RefusalClass
	}{
		{"invalid", invalid, plan.Rejected},
		{"bad request", apierrors.NewBadRequest(value), plan.Rejected},
		{"no type", plain, plan.Rejected},
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
