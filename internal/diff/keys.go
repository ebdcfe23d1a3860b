package diff

import (
	"fmt"
	"slices"
)

// listKeys are, by the name of a field, the fields that tell the items of its
// list apart, as the Kubernetes API defines them for its own types; custom
// resources that embed pod templates follow. Lists whose order means something,
// such as initContainers, env (a variable can use those before it) and hostAliases,
// are not here although they have keys: there a move is a change.
var listKeys = map[string][][]string{
	"containers":                {{"name"}},
	"ephemeralContainers":       {{"name"}},
	"volumes":                   {{"name"}},
	"volumeMounts":              {{"mountPath"}},
	"volumeDevices":             {{"devicePath"}},
	"ports":                     {{"containerPort", "protocol"}, {"port", "protocol"}},
	"imagePullSecrets":          {{"name"}},
	"secrets":                   {{"name"}},
	"topologySpreadConstraints": {{"topologyKey", "whenUnsatisfiable"}},
	"conditions":                {{"type"}},
}

// defaults are the values the API gives key fields that are left out.
var defaults = map[string]string{"protocol": "TCP"}

// align returns old with the items of its keyed lists in the order that new has
// them in, so that what only moved is not a change. Neither is changed.
func align(old, new any, field string) any {
	switch old := old.(type) {
	case map[string]any:
		if new, same := new.(map[string]any); same {
			aligned := make(map[string]any, len(old))
			for name, value := range old {
				aligned[name] = align(value, new[name], name)
			}
			return aligned
		}
	case []any:
		if new, same := new.([]any); same {
			return alignList(old, new, field)
		}
	}
	return old
}

// alignList pairs items by key where the list has keys, else by position.
func alignList(old, new []any, field string) []any {
	for _, keys := range listKeys[field] {
		before, keyed := keysOf(old, keys)
		after, alsoKeyed := keysOf(new, keys)
		if keyed && alsoKeyed {
			return reorder(old, new, before, after)
		}
	}
	aligned := slices.Clone(old)
	for i := range min(len(old), len(new)) {
		aligned[i] = align(old[i], new[i], "")
	}
	return aligned
}

// reorder puts the items that are in both lists into the order that new has
// them in; items that are gone keep their places.
func reorder(old, new []any, before, after []string) []any {
	position := make(map[string]int, len(before))
	for i, key := range before {
		position[key] = i
	}
	var kept []any
	stays := make(map[string]bool, len(after))
	for i, key := range after {
		if was, exists := position[key]; exists {
			kept = append(kept, align(old[was], new[i], ""))
			stays[key] = true
		}
	}
	result := make([]any, len(old))
	for i, key := range before {
		if stays[key] {
			result[i], kept = kept[0], kept[1:]
		} else {
			result[i] = old[i]
		}
	}
	return result
}

// keysOf returns the key of each item. It reports false if an item has no key
// or shares it: then the list is no keyed list.
func keysOf(items []any, fields []string) ([]string, bool) {
	keys := make([]string, len(items))
	seen := make(map[string]bool, len(items))
	for i, item := range items {
		object, isMap := item.(map[string]any)
		if !isMap {
			return nil, false
		}
		for _, field := range fields {
			value, given := object[field]
			if !given {
				value, given = defaults[field], defaults[field] != ""
			}
			if !given {
				return nil, false
			}
			keys[i] += fmt.Sprintf("%q ", fmt.Sprint(value))
		}
		if seen[keys[i]] {
			return nil, false
		}
		seen[keys[i]] = true
	}
	return keys, true
}
