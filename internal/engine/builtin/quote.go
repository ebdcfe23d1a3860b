package builtin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/davitops/davit/internal/manifest"
)

// keyed names the item of a list in a subject by the value of its key, or by its
// index where it has none.
func keyed(list, key, value string, index int) string {
	if value == "" {
		return fmt.Sprintf("%s[%d]", list, index)
	}
	return fmt.Sprintf("%s[%s=%s]", list, key, plain(value))
}

// title names the item of a list in a message, as keyed does in a subject.
func title(what, name string, index int) string {
	if name == "" {
		return fmt.Sprintf("%s number %d", what, index+1)
	}
	return what + " " + manifest.Quote(name)
}

// plain leaves a text as it is where it is short and nothing in it could be
// mistaken for the subject's own punctuation, and quotes it otherwise.
func plain(text string) string {
	quoted := manifest.Quote(text)
	if quoted == `"`+text+`"` && !strings.ContainsAny(text, "[]=, ") {
		return text
	}
	return quoted
}

// set names a list of which the order does not matter.
func set(items []string) string {
	if len(items) == 0 {
		return "none"
	}
	items = slices.Sorted(slices.Values(items))
	return plain(strings.Join(slices.Compact(items), "+"))
}
