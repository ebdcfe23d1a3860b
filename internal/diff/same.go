package diff

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// States are an object before and after something happens to it, as canonical JSON;
// nil where it is not.
type States struct{ Before, After json.RawMessage }

// Same reports whether two things that happen to one object do the same: bring the same
// fields from the same values to the same others, and take the same away, whatever else
// the object holds. Where a value comes from matters: that the cluster holds another one
// than git is worth knowing. A namespace that only one of them names is no difference. When in doubt they are not
// the same.
func Same(a, b States) (bool, error) {
	if a.After == nil && b.After == nil {
		return true, nil // to be deleted is to be deleted
	}
	first, err := a.outcome()
	if err != nil {
		return false, err
	}
	second, err := b.outcome()
	if err != nil {
		return false, err
	}
	const namespace = `."metadata"."namespace"`
	if first[namespace] == "" || second[namespace] == "" {
		delete(first, namespace)
		delete(second, namespace)
	}
	return maps.Equal(first, second), nil
}

// gone stands for the value of a field that is taken away.
const gone = "gone"

// outcome is what the fields that change were and are afterwards, by path.
func (s States) outcome() (map[string]string, error) {
	before, after := map[string]string{}, map[string]string{}
	for _, side := range []struct {
		data json.RawMessage
		into map[string]string
	}{{s.Before, before}, {s.After, after}} {
		if side.data == nil {
			continue
		}
		decoder := json.NewDecoder(bytes.NewReader(side.data))
		decoder.UseNumber()
		var object any
		if err := decoder.Decode(&object); err != nil {
			return nil, fmt.Errorf("decode the object: %w", err)
		}
		leaves(object, "", "", side.into)
	}
	for path, value := range before {
		now, stays := after[path]
		switch {
		case !stays:
			after[path] = value + " → " + gone
		case now == value:
			delete(after, path)
		default:
			after[path] = value + " → " + now
		}
	}
	return after, nil
}

// leaves puts every field that has no fields of its own into a table. Items of lists are
// named by their keys, or else a list is one field; in which order they come is a field.
func leaves(v any, path, field string, into map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		if len(v) > 0 {
			for name, child := range v {
				leaves(child, fmt.Sprintf("%s.%q", path, name), name, into)
			}
			return
		}
	case []any:
		if keys, keyed := namesOf(v, field); keyed && len(v) > 0 {
			for i, item := range v {
				leaves(item, path+"["+keys[i]+"]", "", into)
			}
			into[path+"[order]"] = strings.Join(keys, ",")
			return
		}
	}
	data, err := json.Marshal(v)
	if err != nil {
		data = fmt.Append(nil, v) // decoded JSON always encodes
	}
	into[path] = string(data)
}

// namesOf are the keys of a list's items: those that the API defines, or their names.
func namesOf(items []any, field string) ([]string, bool) {
	for _, fields := range append(slices.Clone(listKeys[field]), []string{"name"}) {
		if keys, keyed := keysOf(items, fields); keyed {
			return keys, true
		}
	}
	return nil, false
}
