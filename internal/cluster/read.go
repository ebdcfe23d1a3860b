package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davitops/davit/internal/gitops"
)

// Read reads one object. It is nil if there is none, or if its kind is not served.
func (c *Connection) Read(ctx context.Context, ref gitops.ObjectRef) (*unstructured.Unstructured, error) {
	objects, served, err := c.Objects(ctx, ref)
	if err != nil || !served {
		return nil, err
	}
	var object *unstructured.Unstructured
	err = patiently(ctx, func(ctx context.Context) (err error) {
		object, err = objects.Get(ctx, ref.Name, metav1.GetOptions{})
		return err
	})
	switch {
	case apierrors.IsNotFound(err) && isVerdict(err):
		return nil, nil
	case err != nil:
		return nil, c.Fault(ctx, "read "+ref.String(), err)
	}
	return object, nil
}

// List reads the objects of the kind and the namespace of a ref, whatever its name, that
// the options select. There are none if the kind is not served.
func (c *Connection) List(ctx context.Context, place gitops.ObjectRef, o metav1.ListOptions) ([]unstructured.Unstructured, error) {
	objects, served, err := c.Objects(ctx, place)
	if err != nil || !served {
		return nil, err
	}
	var list *unstructured.UnstructuredList
	err = patiently(ctx, func(ctx context.Context) (err error) {
		list, err = objects.List(ctx, o)
		return err
	})
	if err != nil {
		return nil, c.Fault(ctx, "list objects of kind "+place.Kind, err)
	}
	return list.Items, nil
}

// Run is one run of a container.
type Run struct {
	Namespace, Pod, Container string
	Previous                  bool // the one before the last
}

// maxLog bounds what is read of a log, in bytes.
const maxLog = 1 << 20

// Log reads the last lines of what a run of a container wrote, as the identity that reads
// objects. It is asked for once, and holds what was written, whatever that is.
func (c *Connection) Log(ctx context.Context, r Run, lines int) ([]byte, error) {
	doing := fmt.Sprintf("read the log of pod %s/%s", r.Namespace, r.Pod)
	stream, err := c.logs.Get().AbsPath("/api/v1/namespaces", r.Namespace, "pods", r.Pod, "log").
		Param("container", r.Container).Param("previous", strconv.FormatBool(r.Previous)).
		Param("tailLines", strconv.Itoa(lines)).Param("limitBytes", strconv.Itoa(maxLog)).Stream(ctx)
	if err != nil {
		return nil, c.Fault(ctx, doing, err)
	}
	text, err := io.ReadAll(io.LimitReader(stream, maxLog))
	if closed := stream.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, c.Fault(ctx, doing, err)
	}
	if len(text) == maxLog {
		text = text[:bytes.LastIndexByte(text, '\n')+1] // no half of a line: it may hold half of a value
	}
	return text, nil
}
