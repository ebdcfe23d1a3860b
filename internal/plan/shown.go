package plan

import (
	"cmp"
	"slices"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// patched is an object with the given fields as they will be. What is in no field
// stays as it is. The object is not changed.
func patched(object map[string]any, fields []field) map[string]any {
	var result any = object
	for _, f := range fields {
		result = change(result, f.path, func(was any) any {
			if f.order != nil {
				return ordered(was, f.order)
			}
			return f.after
		})
	}
	root, _ := result.(map[string]any)
	return root
}

// change returns a copy of a value in which one field has another value. Mappings and
// lists on the way to it are made if they are not there.
func change(in any, path fieldpath.Path, to func(any) any) any {
	if len(path) == 0 {
		return to(in)
	}
	if e := path[0]; e.FieldName != nil {
		return changeField(in, *e.FieldName, path[1:], to)
	}
	return changeItem(in, path, to)
}

func changeField(in any, name string, rest fieldpath.Path, to func(any) any) any {
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
	child = change(child, rest, to)
	if _, gone := child.(absent); gone {
		delete(result, name)
	} else {
		result[name] = child
	}
	return result
}

func changeItem(in any, path fieldpath.Path, to func(any) any) any {
	list, _ := in.([]any)
	list = slices.Clone(list)
	position := slices.IndexFunc(list, func(item any) bool { return isItem(item, path[0]) })
	item := newItem(path)
	if position >= 0 {
		item = list[position]
	}
	item = change(item, path[1:], to)
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

// ordered is a list with its items in another order. Items that the order does not
// name, which are not Davit's to add or to take away, stay behind the one they follow.
func ordered(in any, order []fieldpath.PathElement) any {
	list, is := in.([]any)
	if !is {
		return in
	}
	rank := func(item any) int {
		return slices.IndexFunc(order, func(e fieldpath.PathElement) bool { return isItem(item, e) })
	}
	type ranked struct {
		rank int
		item any
	}
	items := make([]ranked, len(list))
	for i, item := range list {
		items[i] = ranked{rank(item), item}
		if items[i].rank < 0 && i > 0 {
			items[i].rank = items[i-1].rank
		}
	}
	slices.SortStableFunc(items, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	result := make([]any, len(items))
	for i := range items {
		result[i] = items[i].item
	}
	return result
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
