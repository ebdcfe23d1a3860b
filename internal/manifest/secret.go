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
	names map[string]string
}

// Mask replaces, in place, what a decoded Secret must not show: all values but
// its identity, its type and its metadata, and in the metadata any text that
// repeats a value. A field with a misspelled name is masked like the one it was
// meant to be.
func (m *Masker) Mask(secret map[string]any) {
	var values []string
	for _, field := range sortedKeys(secret) {
		switch field {
		case "apiVersion", "kind", "type", "metadata", "immutable":
			continue
		}
		entries, isMap := secret[field].(map[string]any)
		if !isMap {
			secret[field] = m.name(fmt.Sprint(secret[field]))
			continue
		}
		masked := make(map[string]any, len(entries))
		for _, key := range sortedKeys(entries) {
			value := plainText(field, entries[key])
			values = append(values, value, fmt.Sprint(entries[key]))
			masked[m.key(key)] = m.name(value)
		}
		secret[field] = masked
	}
	if metadata, given := secret["metadata"]; given {
		secret["metadata"] = m.scrub(metadata, values, true)
	}
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

func (m *Masker) name(value string) string {
	if m.names == nil {
		m.names = map[string]string{}
	}
	name, known := m.names[value]
	if !known {
		name = fmt.Sprintf("secret %d", len(m.names)+1)
		m.names[value] = name
	}
	return name
}

// lastApplied is where kubectl keeps a whole copy of the object.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// minRepeated is the length from which a text that repeats a value is taken for
// a copy of it: shorter values are words that stand in names.
const minRepeated = 6

// scrub masks what repeats one of the values. What an object is called stays.
func (m *Masker) scrub(v any, values []string, metadata bool) any {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range sortedKeys(v) {
			child := v[key]
			switch {
			case metadata && (key == "name" || key == "namespace"):
			case key == lastApplied:
				v[key] = m.name(fmt.Sprint(child))
			default:
				v[key] = m.scrub(child, values, false)
			}
		}
	case []any:
		for i, child := range v {
			v[i] = m.scrub(child, values, false)
		}
	case string:
		for _, value := range values {
			if len(value) >= minRepeated && strings.Contains(v, value) {
				return m.name(v)
			}
		}
	}
	return v
}
