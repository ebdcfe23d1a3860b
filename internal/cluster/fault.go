package cluster

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/plan"
)

// Class is the class of an Error.
type Class string

// The classes: all are the cluster's, or the operator's, and none the change's.
const (
	Unreachable   Class = "unreachable"   // nobody answers, or not the one expected
	Unauthorized  Class = "unauthorized"  // it does not accept who we are
	Forbidden     Class = "forbidden"     // it gives us no right to what we need
	Broken        Class = "broken"        // it answers that it can't
	Misconfigured Class = "misconfigured" // what should say how to reach it does not
)

// Error is why a cluster can't be worked with. Message is, after the cluster's name, one
// sentence for a pull request, without addresses; what is wrapped is for the log.
type Error struct {
	Class   Class
	Cluster string
	Message string
	err     error
}

func (e *Error) Error() string { return fmt.Sprintf("the cluster %s %s", e.Cluster, e.Message) }

func (e *Error) Unwrap() error { return e.err }

// Fault is the Error for what a request ended in while doing something.
func (c *Connection) Fault(ctx context.Context, doing string, err error) error {
	var known *Error
	if errors.As(err, &known) {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s of cluster %s: %w", doing, c.name, ctx.Err())
	}
	e := &Error{Cluster: c.name, err: fmt.Errorf("%s: %w", doing, err)}
	var status apierrors.APIStatus
	switch {
	case apierrors.IsUnauthorized(err):
		e.Class, e.Message = Unauthorized, "does not accept Davit's credentials; renew them"
	case apierrors.IsForbidden(err) && isVerdict(err):
		e.Class, e.Message = Forbidden, "gives Davit no right to "+doing
	case errors.As(err, &status):
		e.Class, e.Message = Broken, fmt.Sprintf("can't %s (HTTP %d); try again later", doing, status.Status().Code)
	default:
		e.Class, e.Message = Unreachable, "can't be reached: "+reason(err)
	}
	return e
}

// What may be over soon of what reason says.
const (
	refused   = "the connection is refused"
	breaksOff = "the connection breaks off"
)

// reason says why a connection did not come about, without its address: a pull
// request may be public, and clusters are not.
func reason(err error) string {
	var dns *net.DNSError
	var timeout net.Error
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var expired x509.CertificateInvalidError
	switch {
	case errors.As(err, &dns):
		return "its name is not known"
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "it does not answer in time"
	case errors.As(err, &authority), errors.As(err, &host), errors.As(err, &expired):
		return "its certificate is not the one expected"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to it"
	}
	return breaksOff
}

// Refuse tells a refusal of one object, which the object or its surroundings caused,
// from an error that would meet every object; that one is returned as an error.
func (c *Connection) Refuse(ctx context.Context, ref gitops.ObjectRef, err error) (*plan.Refusal, error) {
	var known *Error
	var answer apierrors.APIStatus
	if errors.As(err, &known) || !errors.As(err, &answer) || apierrors.IsUnauthorized(err) || ctx.Err() != nil {
		return nil, c.Fault(ctx, "ask about "+ref.String(), err)
	}
	status := answer.Status()
	refusal := &plan.Refusal{Class: refusalClass(err, status), Message: c.said(ref, status)}
	if refusal.Class == plan.Busy {
		refusal.Message = addresses.ReplaceAllString(refusal.Message, "…")
	}
	return refusal, nil
}

// addresses are those of servers that the cluster itself did not reach: they are nobody's
// business. What it says of an object holds no other addresses than the object does, and
// is left as it is: a part of a value could not be masked any more.
var addresses = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"']+|\blookup \S+|\b\d+(\.\d+){3}(:\d+)?\b|\[[0-9A-Fa-f]*:[0-9A-Fa-f:]+\](:\d+)?`)

func refusalClass(err error, status metav1.Status) plan.RefusalClass {
	isNamespace := status.Details != nil && status.Details.Kind == "namespaces"
	switch {
	case apierrors.IsNotFound(err) && isNamespace:
		return plan.Absent
	case apierrors.IsRequestEntityTooLargeError(err):
		return plan.Rejected
	case !isVerdict(err):
		return plan.Busy
	case apierrors.IsForbidden(err):
		return plan.Forbidden
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err),
		apierrors.IsUnsupportedMediaType(err):
		return plan.Rejected
	case status.Code == 500 && misfits(status.Message):
		return plan.Rejected
	}
	return plan.Busy
}

// misfits reports whether a message says that an object does not fit its type: an unknown
// field, a key twice, bad base64, a quantity that is none. An API server answers that with
// a plain 500, as it does for all that is not meant to happen (a database that is full,
// or does not answer), and so this is the one place where a text has to decide. These are
// the beginnings that k8s.io/apimachinery/pkg/util/managedfields gives to what is wrong
// with an applied object; what it says of live objects begins otherwise. A custom resource
// is converted by a server of its own, which may be away.
func misfits(message string) bool {
	what, begins := strings.CutPrefix(message, "failed to")
	return begins && !strings.Contains(message, "conversion webhook for ") && slices.ContainsFunc([]string{
		" create typed patch object (", " convert new object (", " convert new typed object (", " convert to unversioned (",
	}, func(prefix string) bool { return strings.HasPrefix(what, prefix) })
}

// isVerdict reports whether an API server itself gave an answer. A 404 or a 403 of
// whatever else stands in between says nothing of an object.
func isVerdict(err error) bool {
	return !apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// maxSaid is how many bytes of a server's message are repeated.
const maxSaid = 600

// said is what a server said of an object. What it says of a Secret may hold a
// value, so only the names of fields are repeated.
func (c *Connection) said(ref gitops.ObjectRef, status metav1.Status) string {
	if !manifest.IsSecret(ref) {
		message := strings.ToValidUTF8(status.Message, "?")
		if len(message) > maxSaid {
			message = cut(message)
		}
		return message
	}
	message := fmt.Sprintf("the cluster refuses this Secret (HTTP %d); its answer is not shown, for it may hold a value", status.Code)
	var fields []string
	if status.Details != nil {
		for _, cause := range status.Details.Causes {
			if cause.Field != "" && manifest.IsSecretKey(cause.Field) {
				fields = append(fields, cause.Field)
			}
		}
	}
	if len(fields) > 0 {
		message += ": see " + strings.Join(fields, ", ")
	}
	return message
}

// cut shortens a message after a word: half a value could no longer be masked.
func cut(message string) string {
	end := strings.LastIndexAny(message[:maxSaid+1], " \t\n")
	return message[:max(0, end)] + "…"
}
