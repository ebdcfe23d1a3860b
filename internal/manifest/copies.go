package manifest

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// Learn remembers the values of a Secret that nothing else would spell by chance,
// so that Text and Copies can mask them wherever they were copied to: by a
// replacement, into an environment variable, into a command line. data is the
// object's JSON.
func (m *Masker) Learn(data json.RawMessage) {
	var secret map[string]any
	if json.Unmarshal(data, &secret) != nil {
		return // it is not shown either, then
	}
	for _, field := range sortedKeys(secret) {
		if shown(field) {
			continue
		}
		for _, text := range textsIn(secret[field]) {
			plain := plainText(field, text)
			m.learn(plain)
			m.learnAll(plain)
			for word := range strings.FieldsFuncSeq(plain, endsWord) {
				m.learn(word)
			}
		}
	}
}

// MaskerOf knows the Secrets among some objects.
func MaskerOf(objects []Object) *Masker {
	m := &Masker{}
	for _, o := range objects {
		if IsSecret(o.Ref) {
			m.Learn(o.JSON)
		}
	}
	return m
}

// maxCopies bounds the work of looking for copies, which is that of every text
// times every value. No repository that is meant to be read holds so many keys.
const maxCopies = 500

func (m *Masker) learn(value string) {
	c := copied{value: value, encoded: base64.StdEncoding.EncodeToString([]byte(value))}
	if at, known := slices.BinarySearchFunc(m.copies, c, longerFirst); distinctive(value) && !known && len(m.copies) < maxCopies {
		m.copies = slices.Insert(m.copies, at, c)
	}
}

// minSaid is the length in bytes from which a value is looked for in what programs say,
// where a name that is masked by chance does no harm.
const minSaid = 4

// learnAll learns a value line by line, and of a line that gives a name a value, as files of
// settings do, that value, too.
func (m *Masker) learnAll(value string) {
	for line := range strings.Lines(value) {
		line = strings.TrimSpace(line)
		m.learnOne(line)
		if _, after, found := strings.Cut(line, "="); found {
			m.learnOne(strings.Trim(after, " \"'"))
		}
		if _, after, found := strings.Cut(line, ": "); found {
			m.learnOne(strings.Trim(after, " \"'"))
		}
		for _, address := range addresses.FindAllStringSubmatch(line, -1) {
			m.learnOne(address[1])
		}
	}
}

// addresses are those with a password in them.
var addresses = regexp.MustCompile(`://[^/\s:@]*:([^/\s@]+)@`)

func (m *Masker) learnOne(part string) {
	c := copied{value: part, encoded: base64.StdEncoding.EncodeToString([]byte(part))}
	if at, known := slices.BinarySearchFunc(m.all, c, longerFirst); len(part) >= minSaid && !known {
		m.all = slices.Insert(m.all, at, c)
	}
}

// Said masks what a program or a cluster says: every value that was learned, however
// common. There may be Secrets that nobody here has read; their values are not known.
func (m *Masker) Said(text string) string {
	if len(m.all) > maxCopies {
		return "(not shown: there are too many Secrets to look for their values in it)"
	}
	for _, c := range m.all {
		for _, form := range [...]string{c.value, c.encoded} {
			if strings.Contains(text, form) {
				text = strings.ReplaceAll(text, form, m.name(c.value))
			}
		}
	}
	return text
}

// copied is a value to look for, in its two forms.
type copied struct{ value, encoded string }

// longerFirst is the order to replace values in, or what is left of a long one
// would stay.
func longerFirst(a, b copied) int {
	return cmp.Or(cmp.Compare(len(b.value), len(a.value)), strings.Compare(a.value, b.value))
}

var (
	hexKey    = regexp.MustCompile(`^[0-9a-fA-F]{32,}$`)
	upper     = regexp.MustCompile(`[A-Z]`)
	lower     = regexp.MustCompile(`[a-z]`)
	digit     = regexp.MustCompile(`[0-9]`)
	separator = regexp.MustCompile(`\s`)
)

// minDistinctive is the length in bytes from which a mixture of letters and
// digits is taken for a key rather than for a name.
const minDistinctive = 16

// distinctive reports whether a value can only be a key or a token. Names of
// hosts, users and databases stand in Secrets too, and have to be shown elsewhere.
func distinctive(value string) bool {
	if len(value) < minDistinctive || separator.MatchString(value) {
		return false
	}
	return hexKey.MatchString(value) || upper.MatchString(value) && lower.MatchString(value) && digit.MatchString(value)
}

// Text masks what it repeats of the values that were learned. A value has its
// name from when it is first met, so that names tell nothing of how values compare.
func (m *Masker) Text(text string) string {
	if len(text) < minDistinctive {
		return text
	}
	for _, c := range m.copies {
		for _, form := range [...]string{c.value, c.encoded} {
			if strings.Contains(text, form) {
				text = strings.ReplaceAll(text, form, m.name(c.value))
			}
		}
	}
	return text
}

// Copies masks, in place, what a decoded object that is no Secret must not show:
// Secrets inside it, as templates and lists hold them, and what it repeats of the
// values that were learned. It returns the object.
func (m *Masker) Copies(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if v["kind"] == "Secret" && v["apiVersion"] == "v1" {
			m.Mask(v)
			return v
		}
		for _, key := range sortedKeys(v) {
			v[key] = m.Copies(v[key])
		}
	case []any:
		for i := range v {
			v[i] = m.Copies(v[i])
		}
	case string:
		return m.Text(v)
	}
	return v
}
