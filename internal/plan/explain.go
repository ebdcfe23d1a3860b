package plan

import (
	"reflect"
	"slices"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
)

// History is what git says of how a target came to be what it is: merging that was the
// approval of what it shows, and so of effects on the same objects and fields.
type History struct {
	Was []manifest.Object // as the revision that was deployed last has them
	// Deletes says that objects which git takes away may be deleted without having been
	// shown: the merge was of an unmodified revert of what brought them.
	Deletes bool
}

// explains returns those of a desired object's effects that git explains. Only what is
// created or updated is: that something is adopted, or taken from somebody, git doesn't say.
func (h *History) explains(q Question, c Change, o Observation, desired map[string]any, paths map[string]fieldpath.Path) []Effect {
	if h == nil || c.Class != Create && c.Class != Update {
		return nil
	}
	was, known := h.object(c.Rendered)
	if c.Class == Create {
		if known {
			return nil // it was deployed, and somebody deleted it
		}
		return c.Effects
	}
	if !known {
		return nil
	}
	var explained []Effect
	for _, e := range c.Effects {
		if path, single := paths[e.Field]; single && !reflect.DeepEqual(held(was, path), held(desired, path)) {
			explained = append(explained, e)
		}
	}
	return explained
}

// takesAway reports whether git explains that an object is deleted.
func (h *History) takesAway(ref gitops.ObjectRef) bool {
	if h == nil || !h.Deletes {
		return false
	}
	return slices.ContainsFunc(h.Was, func(o manifest.Object) bool {
		was, is := o.Ref.Identity(), ref.Identity()
		if was.Namespace == "" {
			is.Namespace = ""
		}
		return was == is
	})
}

// object finds an object by what it was rendered as.
func (h *History) object(ref gitops.ObjectRef) (map[string]any, bool) {
	for _, o := range h.Was {
		if o.Ref.Identity() == ref.Identity() {
			object, err := decode(o.JSON) // as the other side is: numbers come in several types
			return object, err == nil
		}
	}
	return nil, false
}

// held is what a rendered object has at a path that a server knows: there, the keys of
// items may be left out that have a default.
func held(in any, path fieldpath.Path) any {
	for _, e := range path {
		switch {
		case e.FieldName != nil:
			object, is := in.(map[string]any)
			if in = object[*e.FieldName]; !is {
				return nil
			}
		default:
			list, _ := in.([]any)
			at := slices.IndexFunc(list, func(item any) bool { return isItem(item, e) || resembles(item, e) })
			if at < 0 {
				return nil
			}
			in = list[at]
		}
	}
	return in
}

// resembles reports whether an item has some of the keys of a path element, and none
// otherwise.
func resembles(item any, e fieldpath.PathElement) bool {
	object, is := item.(map[string]any)
	if !is || e.Key == nil {
		return false
	}
	found := false
	for _, key := range *e.Key {
		has, given := object[key.Name]
		if given && !sameText(has, key.Value.Unstructured()) {
			return false
		}
		found = found || given
	}
	return found
}

// sameText compares two scalars as JSON: numbers come in several types.
func sameText(a, b any) bool { return string(encode(a)) == string(encode(b)) }
