package plan

import (
	"slices"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// patched is an object with the given fields as they will be. What is in no field
// stays as it is. The object is not changed.
func patched(object map[string]any, fields []field) map[string]any {
	var result any = object
	for _, f := range fields {
		result = put(result, f.path, f.after)
	}
	root, _ := result.(map[string]any)
	return root
}

// put returns a copy of a value in which one field has another value. Mappings and
// lists on the way to it are made if they are not there.
func put(in any, path fieldpath.Path, v any) any {
	if len(path) == 0 {
		return v
	}
	if e := path[0]; e.FieldName != nil {
		return putField(in, *e.FieldName, path[1:], v)
	}
	return putItem(in, path, v)
}

func putField(in any, name string, rest fieldpath.Path, v any) any {
	result := map[string]any{}
	if object, is := in.(map[string]any); is {
		for key, value := range object {
			result[key] = value
		}
	}
	child := any(absent{})
	if was, given := result[name]; given {
		child = was
	}
	child = put(child, rest, v)
	if _, gone := child.(absent); gone {
		delete(result, name)
	} else {
		result[name] = child
	}
	return result
}

func putItem(in any, path fieldpath.Path, v any) any {
	list, _ := in.([]any)
	list = slices.Clone(list)
	position := slices.IndexFunc(list, func(item any) bool { return isItem(item, path[0]) })
	item := newItem(path)
	if position >= 0 {
		item = list[position]
	}
	item = put(item, path[1:], v)
	_, gone := item.(absent)
	switch {
	case gone && position >= 0:
		list = slices.Delete(list, position, position+1)
	case position >= 0:
		list[position] = item
	case !gone:
		list = append(list, item)
	}
	return list
}

// newItem is what a field of an item that is not there yet is put into: the keys, by
// which the item's other fields find it.
func newItem(path fieldpath.Path) any {
	if path[0].Key == nil || len(path) == 1 {
		return absent{}
	}
	item := map[string]any{}
	for _, key := range *path[0].Key {
		item[key.Name] = key.Value.Unstructured()
	}
	return item
}

// isItem reports whether an item of a list is the one that a path names.
func isItem(item any, e fieldpath.PathElement) bool {
	below := fieldpath.NewSet(fieldpath.Path{e})
	p, known := itemsOf([]any{item}, below)
	return known && p.elements[0].Equals(e)
}
