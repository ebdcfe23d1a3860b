package manifest

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/davitops/davit/internal/gitops"
)

// IsSecret reports whether an object's values must never be shown.
func IsSecret(ref gitops.ObjectRef) bool {
	return ref.Group == "" && ref.Kind == "Secret"
}

// Masker replaces the values of Secrets by names that say only which of them are
// equal: "secret 1", "secret 2". A name is good for one report: nothing in it is
// derived from the value. The zero value is ready.
type Masker struct {
	names  map[string]string
	copies []copied // what Learn learned and nothing spells by chance, the longest first
	all    []copied // what Learn learned, the longest first
	apart  bool     // see Apart
	object string   // the Secret that is being masked, if apart
}

// Apart is a masker for what a cluster holds. It knows what this one has learned, and
// its names are of their own: "live secret 1". Two have the same name only if they are
// the values of one key of one Secret. Else a pull request could guess what a cluster
// holds, and read from the numbers which of its guesses is right.
func (m *Masker) Apart() *Masker {
	return &Masker{copies: m.copies, all: m.all, apart: true}
}

// Mask replaces, in place, what a decoded Secret must not show: all values but
// its identity, its type and its metadata, and in those any text that repeats a
// value. A field with a misspelled name is masked like the one it was meant to be.
// What the object is called stays.
func (m *Masker) Mask(secret map[string]any) {
	copies := valuesOf(secret)
	if metadata, is := secret["metadata"].(map[string]any); is {
		m.object = fmt.Sprintf("%v/%v", metadata["namespace"], metadata["name"])
	}
	for _, field := range sortedKeys(secret) {
		if !shown(field) {
			masked := m.entries(field, secret[field])
			delete(secret, field)
			secret[m.key(field)] = masked
		}
	}
	for _, field := range [...]string{"immutable", "metadata", "type"} {
		if v, given := secret[field]; given {
			secret[field] = m.scrub(v, copies, field == "metadata")
		}
	}
}

// shown reports whether a field of a Secret holds no values.
func shown(field string) bool {
	return slices.Contains([]string{"apiVersion", "kind", "metadata", "type", "immutable"}, field)
}

// entries masks the values of a field; their keys are names.
func (m *Masker) entries(field string, v any) any {
	entries, isMap := v.(map[string]any)
	switch {
	case v == nil:
		return nil
	case !isMap:
		return m.name(fmt.Sprint(v))
	}
	masked := make(map[string]any, len(entries))
	for _, key := range sortedKeys(entries) {
		name := m.key(key)
		if masked[name] = entries[key]; entries[key] != nil {
			masked[name] = m.value(key, plainText(field, entries[key]))
		}
	}
	return masked
}

var secretKey = regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)

// IsSecretKey reports whether a text can be a key of a Secret. What can't be one
// got there by mistake, such as a line of a file of values, and may be a value.
func IsSecretKey(text string) bool { return secretKey.MatchString(text) }

func (m *Masker) key(key string) string {
	if IsSecretKey(key) {
		return key
	}
	return m.name(key)
}

func sortedKeys(entries map[string]any) []string {
	keys := make([]string, 0, len(entries))
	for key := range entries {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// plainText is the value that an entry stands for, so that it has the same name
// in data and in stringData.
func plainText(field string, value any) string {
	text, isText := value.(string)
	if !isText {
		return fmt.Sprint(value)
	}
	if field == "data" {
		if decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text)); err == nil {
			return string(decoded)
		}
	}
	return text
}

// value names the value of a key of the Secret that is being masked.
func (m *Masker) value(key, value string) string {
	if m.apart {
		value = m.object + "\x00" + key + "\x00" + value
	}
	return m.name(value)
}

func (m *Masker) name(value string) string {
	if m.names == nil {
		m.names = map[string]string{}
	}
	name, known := m.names[value]
	if !known {
		name = fmt.Sprintf("secret %d", len(m.names)+1)
		if m.apart {
			name = "live " + name
		}
		m.names[value] = name
	}
	return name
}

// valuesOf are the texts that must be found nowhere else in a Secret: its values
// as they are written, as they are meant, their long words, and all as base64.
func valuesOf(secret map[string]any) []string {
	var values []string
	add := func(text string, atLeast int) {
		for _, form := range []string{text, strings.TrimSpace(text)} {
			if len(form) >= atLeast {
				values = append(values, form, base64.StdEncoding.EncodeToString([]byte(form)), base64.RawURLEncoding.EncodeToString([]byte(form)))
			}
		}
	}
	for _, field := range sortedKeys(secret) {
		if shown(field) {
			continue
		}
		for _, text := range textsIn(secret[field]) {
			plain := plainText(field, text)
			add(text, minRepeated)
			add(plain, minRepeated)
			for word := range strings.FieldsFuncSeq(plain, endsWord) {
				add(word, minPart)
			}
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// endsWord reports whether a character stands in none of the alphabets that keys
// and tokens are written in.
func endsWord(r rune) bool {
	return r < 0x80 && strings.IndexByte("+/-_.", byte(r)) < 0 && !isNameByte(byte(r))
}

// textsIn are the scalars in a value, as texts, and the keys that may be values.
func textsIn(v any) []string {
	var texts []string
	switch v := v.(type) {
	case nil:
	case map[string]any:
		for _, key := range sortedKeys(v) {
			if !IsSecretKey(key) {
				texts = append(texts, key)
			}
			texts = append(texts, textsIn(v[key])...)
		}
	case []any:
		for _, child := range v {
			texts = append(texts, textsIn(child)...)
		}
	default:
		texts = append(texts, fmt.Sprint(v))
	}
	return texts
}

// lastApplied is where kubectl keeps a whole copy of the object.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// Lengths in bytes from which a text is taken for a copy of a value, or of a part
// of one: what is shorter is a word that stands in names too.
const (
	minRepeated = 6
	minPart     = 16
)

// repeats reports whether a text holds one of the values, or is a part of one.
func repeats(text string, values []string) bool {
	return slices.ContainsFunc(values, func(value string) bool {
		return strings.Contains(text, value) || len(text) >= minPart && strings.Contains(value, text)
	})
}

// scrub masks what repeats one of the values, keys included if they are long
// enough to be no word. What an object is called stays.
func (m *Masker) scrub(v any, values []string, metadata bool) any {
	switch v := v.(type) {
	case map[string]any:
		long := slices.DeleteFunc(slices.Clone(values), func(value string) bool { return len(value) < minPart })
		for _, key := range sortedKeys(v) {
			child := v[key]
			switch {
			case metadata && (key == "name" || key == "namespace"):
				continue
			case key == lastApplied:
				child = m.name(fmt.Sprint(child))
			default:
				child = m.scrub(child, values, false)
			}
			if key != lastApplied && repeats(key, long) {
				delete(v, key)
				key = m.name(key)
			}
			v[key] = child
		}
	case []any:
		for i, child := range v {
			v[i] = m.scrub(child, values, false)
		}
	case nil, bool:
	default:
		if text := fmt.Sprint(v); repeats(text, values) {
			return m.name(text)
		}
	}
	return v
}
