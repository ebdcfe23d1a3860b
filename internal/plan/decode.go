package plan

import (
	"encoding/json"
	"errors"
	"fmt"

	kjson "sigs.k8s.io/json"
)

// decode reads an object with integers as int64, which is how the ownership of
// fields spells the keys of items.
func decode(data json.RawMessage) (map[string]any, error) {
	if data == nil {
		return nil, nil
	}
	var object map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, &object); err != nil {
		return nil, fmt.Errorf("decode an object: %w", err)
	}
	if object == nil {
		return nil, errors.New("decode an object: it is null")
	}
	return object, nil
}

// encode writes canonical JSON.
func encode(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode a value that was decoded from JSON: %v", err))
	}
	return data
}

// at follows fields of nested mappings; nil where there is none.
func at(object map[string]any, fields ...string) map[string]any {
	for _, field := range fields {
		object, _ = object[field].(map[string]any)
	}
	return object
}

// entry is a field's mapping, made if it is not there.
func entry(object map[string]any, field string) map[string]any {
	child, is := object[field].(map[string]any)
	if !is {
		child = map[string]any{}
		object[field] = child
	}
	return child
}

func text(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}
