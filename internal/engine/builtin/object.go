package builtin

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/davitops/davit/internal/gitops"
)

// object is one object to be judged.
type object struct {
	fields
	ref     gitops.ObjectRef
	release release
	pods    []pod
}

// decode returns nil for what is no JSON object.
func decode(raw json.RawMessage, r release) *object {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber() // a number too large for a float would be quoted in an error
	var root map[string]any
	if len(raw) == 0 || decoder.Decode(&root) != nil || root == nil {
		return nil
	}
	o := &object{fields: root, release: r}
	group, version := splitAPIVersion(o.text("apiVersion"))
	metadata := o.at("metadata")
	o.ref = gitops.ObjectRef{
		Group: group, Version: version, Kind: o.text("kind"),
		Namespace: metadata.text("namespace"), Name: metadata.text("name"),
	}
	o.pods = podsOf(o)
	return o
}

// is reports whether the object is of the group and kind, in any version.
func (o *object) is(group, kind string) bool {
	return o.ref.Group == group && o.ref.Kind == kind
}

// splitAPIVersion splits "group/version"; the core group is empty.
func splitAPIVersion(apiVersion string) (group, version string) {
	if group, version, found := strings.Cut(apiVersion, "/"); found {
		return group, version
	}
	return "", apiVersion
}

// fields is a mapping of a manifest. Every method answers with a zero value
// where the shape is not what it asks for, and a nil mapping is empty.
type fields map[string]any

// at follows keys through mappings.
func (f fields) at(keys ...string) fields {
	for _, key := range keys {
		f = asFields(f[key])
	}
	return f
}

func (f fields) list(key string) []any {
	list, _ := f[key].([]any)
	return list
}

func (f fields) text(key string) string {
	text, _ := f[key].(string)
	return text
}

// truth reports whether the value is true, and whether it is a boolean at all.
func (f fields) truth(key string) (value, set bool) {
	value, set = f[key].(bool)
	return value, set
}

// integer returns a whole number, and whether the value is one.
func (f fields) integer(key string) (int64, bool) {
	number, _ := f[key].(json.Number)
	value, err := strconv.ParseInt(number.String(), 10, 64)
	return value, err == nil
}

// has reports whether there is a value that is not null.
func (f fields) has(key string) bool { return f[key] != nil }

func asFields(value any) fields {
	mapping, _ := value.(map[string]any)
	return mapping
}

// texts returns the strings of a list.
func texts(list []any) []string {
	var all []string
	for _, item := range list {
		if text, ok := item.(string); ok {
			all = append(all, text)
		}
	}
	return all
}
