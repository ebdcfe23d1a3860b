package cluster

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/plan"
)

// Record is what a cluster keeps of one target: what was deployed, and who is at
// work on it. It is a ConfigMap in the namespace plan.System. Its resource version
// guards it, so that of two writers one learns that it lost.
type Record struct {
	Owner    plan.Owner
	Deployed *plan.Inventory // nil: nothing was ever deployed
	Revision string          // the commit that was deployed last, or is being deployed
	Settled  bool            // the deployment of Revision came to its end
	Removed  bool            // Revision deletes the target
	Holder   string          // who is at work; empty: nobody
	Fence    int64           // grows by one each time the work changes hands
	Renewed  time.Time       // when the holder last said that it is at work, by its clock
	version  string          // empty: there is no record yet
	uid      string          // of the ConfigMap, as it was read or written
}

// Exists reports whether there was a record when it was read.
func (r Record) Exists() bool { return r.version != "" }

// Unchanged reports whether nobody wrote a record since it was read as another.
func (r Record) Unchanged(since Record) bool { return r.version == since.version }

// Entries are the objects of the inventory, if there is one.
func (r Record) Entries() []plan.Entry {
	if r.Deployed == nil {
		return nil
	}
	return r.Deployed.Objects
}

// Errors of whoever wrote a record, and is not its holder any more.
var (
	ErrLost    = errors.New("another Davit has taken over this target")                         // somebody wrote it in between
	ErrDeleted = errors.New("the inventory of this target was deleted meanwhile; run it again") // and nobody else holds it
)

var (
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
)

func (c *Connection) records() dynamic.ResourceInterface {
	return c.own.Resource(configMaps).Namespace(plan.System)
}

func recordName(owner plan.Owner) string { return "inventory-" + owner.Key() }

// Inventory reads the record of a target. There may be none; that is no error.
func (c *Connection) Inventory(ctx context.Context, owner plan.Owner) (Record, error) {
	var object *unstructured.Unstructured
	err := patiently(ctx, func(ctx context.Context) (err error) {
		object, err = c.records().Get(ctx, recordName(owner), metav1.GetOptions{})
		return err
	})
	if apierrors.IsNotFound(err) && isVerdict(err) {
		return Record{Owner: owner}, nil
	}
	if err != nil {
		return Record{}, c.recordFault(ctx, "read what was deployed", "get", err)
	}
	record, err := decodeRecord(object)
	if err != nil {
		return Record{}, &Error{Class: Broken, Cluster: c.name, err: err, Message: fmt.Sprintf(
			"holds a ConfigMap %s/%s, which says what was deployed, that can't be read; repair it, or delete it and nothing will be pruned", plan.System, object.GetName())}
	}
	record.Owner = owner
	return record, nil
}

// Confirm returns nil if a record's holder holds it still, and ErrLost or ErrDeleted
// otherwise. A record that was deleted and made anew is another one, whatever it says.
func (c *Connection) Confirm(ctx context.Context, r Record) error {
	now, err := c.Inventory(ctx, r.Owner)
	switch {
	case err != nil:
		return err
	case !now.Exists():
		return ErrDeleted
	case now.uid != r.uid || now.Holder != r.Holder || now.Fence != r.Fence:
		return ErrLost
	}
	return nil
}

// Save writes a record. It returns ErrLost if it is not the one that was read, and
// ErrDeleted if it is gone.
func (c *Connection) Save(ctx context.Context, r Record) (Record, error) {
	object, err := encodeRecord(r)
	if err != nil {
		return r, err
	}
	var written *unstructured.Unstructured
	write := func(ctx context.Context) (err error) {
		if r.version == "" {
			written, err = c.records().Create(ctx, object, metav1.CreateOptions{FieldManager: plan.Manager})
		} else {
			written, err = c.records().Update(ctx, object, metav1.UpdateOptions{FieldManager: plan.Manager})
		}
		return err
	}
	err = patiently(ctx, write)
	if apierrors.IsNotFound(err) && r.version == "" {
		if err = c.makeSystem(ctx); err == nil {
			err = patiently(ctx, write)
		}
	}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		written, err = c.lostAnswer(ctx, object, err)
	}
	switch {
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return r, ErrLost
	case apierrors.IsNotFound(err) && isVerdict(err):
		return r, ErrDeleted
	case err != nil:
		return r, c.recordFault(ctx, "write what is deployed", "create and update", err)
	}
	r.version, r.uid = written.GetResourceVersion(), string(written.GetUID())
	return r, nil
}

// lostAnswer returns the record that is there if it is the one that was to be written:
// then it was, and only the answer was lost. Otherwise it returns the error.
func (c *Connection) lostAnswer(ctx context.Context, wanted *unstructured.Unstructured, conflict error) (*unstructured.Unstructured, error) {
	var found *unstructured.Unstructured
	err := patiently(ctx, func(ctx context.Context) (err error) {
		found, err = c.records().Get(ctx, wanted.GetName(), metav1.GetOptions{})
		return err
	})
	if err != nil || !reflect.DeepEqual(found.Object["data"], wanted.Object["data"]) || !reflect.DeepEqual(found.Object["binaryData"], wanted.Object["binaryData"]) {
		return nil, conflict
	}
	return found, nil
}

// Drop deletes the record of a target that is no more, or that never was. The next one
// begins with the first fence again. That harms nobody: fences are compared within one
// record only, see Confirm, and a version is never used twice, so that no write of an
// older holder fits the new record.
func (c *Connection) Drop(ctx context.Context, r Record) error {
	err := patiently(ctx, func(ctx context.Context) error {
		return c.records().Delete(ctx, recordName(r.Owner), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &r.version}})
	})
	switch {
	case apierrors.IsConflict(err):
		return ErrLost
	case err != nil && !apierrors.IsNotFound(err):
		return c.recordFault(ctx, "delete an empty inventory", "delete", err)
	}
	return nil
}

// recordFault is the Fault for what a request for a record ended in. Who may not make it
// is told what is missing.
func (c *Connection) recordFault(ctx context.Context, doing, verbs string, err error) error {
	var fault *Error
	if errors.As(err, &fault) { // of the namespace
		return err
	}
	err = c.Fault(ctx, doing, err)
	if errors.As(err, &fault) && fault.Class == Forbidden {
		fault.Message += fmt.Sprintf("; it needs %s on ConfigMaps in %s", verbs, plan.System)
	}
	return err
}

func (c *Connection) makeSystem(ctx context.Context) error {
	system := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": plan.System},
	}}
	err := patiently(ctx, func(ctx context.Context) error {
		_, err := c.own.Resource(namespaces).Create(ctx, system, metav1.CreateOptions{FieldManager: plan.Manager})
		return err
	})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return c.Fault(ctx, "create the namespace "+plan.System, err)
	}
	return nil
}

// stored is an entry as a record keeps it.
type stored struct {
	Group     string `json:"group,omitempty"`
	Version   string `json:"version"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	UID       string `json:"uid,omitempty"`
	Ran       string `json:"ran,omitempty"`
}

// The fields of a record. The objects are one compressed field: a field for each
// would cost more in bookkeeping than it holds.
const (
	fieldObjects  = "objects.json.gz"
	fieldCount    = "objects" // how many there are: a list that is lost is not one that never was
	fieldRevision = "revision"
	fieldSettled  = "settled"
	fieldRemoved  = "removed"
	fieldHolder   = "holder"
	fieldFence    = "fence"
	fieldRenewed  = "renewed"
)

func encodeRecord(r Record) (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"data": map[string]any{
			fieldRevision: r.Revision, fieldHolder: r.Holder,
			fieldSettled: strconv.FormatBool(r.Settled), fieldRemoved: strconv.FormatBool(r.Removed),
			fieldFence: strconv.FormatInt(r.Fence, 10), fieldRenewed: r.Renewed.UTC().Format(time.RFC3339Nano),
		},
	}}
	object.SetNamespace(plan.System)
	object.SetName(recordName(r.Owner))
	object.SetResourceVersion(r.version)
	object.SetLabels(map[string]string{"app.kubernetes.io/managed-by": plan.Manager, plan.TargetLabel: r.Owner.Key()})
	object.SetAnnotations(map[string]string{plan.OwnerAnnotation: r.Owner.String()})
	if r.Deployed == nil {
		return object, nil
	}
	data, _ := object.Object["data"].(map[string]any)
	data[fieldCount] = strconv.Itoa(len(r.Deployed.Objects))
	entries := make([]stored, len(r.Deployed.Objects))
	for i, e := range r.Deployed.Objects {
		entries[i] = stored{e.Ref.Group, e.Ref.Version, e.Ref.Kind, e.Ref.Namespace, e.Ref.Name, e.UID, e.Ran}
	}
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if err := json.NewEncoder(zip).Encode(entries); err != nil {
		return nil, fmt.Errorf("encode an inventory: %w", err)
	}
	if err := zip.Close(); err != nil {
		return nil, fmt.Errorf("encode an inventory: %w", err)
	}
	object.Object["binaryData"] = map[string]any{fieldObjects: base64.StdEncoding.EncodeToString(packed.Bytes())}
	return object, nil
}

func decodeRecord(object *unstructured.Unstructured) (Record, error) {
	r := Record{version: object.GetResourceVersion(), uid: string(object.GetUID())}
	data, _, err := unstructured.NestedStringMap(object.Object, "data")
	if err != nil {
		return r, fmt.Errorf("read the fields: %w", err)
	}
	r.Revision, r.Holder = data[fieldRevision], data[fieldHolder]
	r.Settled, r.Removed = data[fieldSettled] == "true", data[fieldRemoved] == "true"
	if r.Fence, err = strconv.ParseInt(data[fieldFence], 10, 64); err != nil {
		return r, fmt.Errorf("read %s: %w", fieldFence, err)
	}
	if r.Renewed, err = time.Parse(time.RFC3339Nano, data[fieldRenewed]); err != nil {
		return r, fmt.Errorf("read %s: %w", fieldRenewed, err)
	}
	packed, found, err := unstructured.NestedString(object.Object, "binaryData", fieldObjects)
	if _, counted := data[fieldCount]; err != nil || !found && !counted {
		return r, err
	}
	entries, err := unpack(packed)
	if err != nil {
		return r, fmt.Errorf("read %s: %w", fieldObjects, err)
	}
	if count := strconv.Itoa(len(entries)); count != data[fieldCount] {
		return r, fmt.Errorf("read %s: it lists %s objects, not %q", fieldObjects, count, data[fieldCount])
	}
	r.Deployed = &plan.Inventory{Objects: make([]plan.Entry, len(entries))}
	for i, e := range entries {
		r.Deployed.Objects[i] = plan.Entry{UID: e.UID, Ran: e.Ran, Ref: gitops.ObjectRef{
			Group: e.Group, Version: e.Version, Kind: e.Kind, Namespace: e.Namespace, Name: e.Name,
		}}
	}
	return r, nil
}

// maxInventory bounds what is unpacked, in bytes: some hundred thousand objects.
const maxInventory = 32 << 20

func unpack(packed string) ([]stored, error) {
	data, err := base64.StdEncoding.DecodeString(packed)
	if err != nil {
		return nil, err
	}
	zip, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	list, err := io.ReadAll(io.LimitReader(zip, maxInventory)) // to its end, where the checksum is
	if err != nil {
		return nil, err
	}
	var entries []stored
	if err := json.Unmarshal(list, &entries); err != nil {
		return nil, err
	}
	return entries, nil
}
