package builtin

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/davitops/davit/internal/manifest"
)

// plainSecret names the keys of a Secret that hold a clear value. No hit ever
// holds a piece of one.
func plainSecret(o *object) []hit {
	if !o.is("", "Secret") {
		return nil
	}
	generic := o.at("metadata", "annotations").has("avp.kubernetes.io/path")
	var hits []hit
	for _, field := range [...]string{"data", "stringData"} {
		values := o.at(field)
		for _, key := range slices.Sorted(maps.Keys(values)) {
			if protected(field, values[key], generic) {
				continue
			}
			hits = append(hits, hit{
				subject: fmt.Sprintf("%s[%s]", field, plain(key)),
				what:    fmt.Sprintf("the key %s under %s holds a clear value", shownKey(key), field),
			})
		}
	}
	return hits
}

// shownKey is a key in words. What can't be a key may be a value that got there by
// mistake.
func shownKey(key string) string {
	if manifest.IsSecretKey(key) {
		return manifest.Quote(key)
	}
	return "(not a valid one)"
}

// protected reports whether a value tells nothing. A value that the API would
// refuse, such as a number, is a value all the same. In data, the encoded text
// may be protected as it stands (SOPS encrypts the YAML) or once decoded (a
// generator encodes what it finds).
func protected(field string, value any, generic bool) bool {
	text, isText := value.(string)
	switch {
	case value == nil:
		return true
	case !isText:
		return false
	case harmless(text, generic):
		return true
	case field != "data":
		return false
	}
	decoded, err := base64.StdEncoding.DecodeString(text)
	return err == nil && harmless(string(decoded), generic)
}

func harmless(text string, generic bool) bool {
	return strings.TrimSpace(text) == "" || encrypted(text) || placeholder(text) ||
		generic && anyPlaceholder.MatchString(text) || public(text)
}

// sopsValue is one value that SOPS, or eyaml, encrypted.
var sopsValue = regexp.MustCompile(`^ENC\[[A-Z0-9_]+,[^\s\[\]]*\]$`)

// encrypted reports whether SOPS encrypted the value, or the file it holds.
func encrypted(text string) bool {
	if sopsValue.MatchString(strings.TrimSpace(text)) {
		return true
	}
	return strings.Contains(text, "ENC[AES256_GCM,") && strings.Contains(text, "sops")
}

// The placeholders that something fills in after the manifest left git: Flux's
// substitution (a default would be a value), argocd-vault-plugin's inline paths,
// references of vals and of Bank-Vaults.
var (
	substituted    = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*(:?[=-])?\}|<path:[^<>]+>`)
	reference      = regexp.MustCompile(`^(ref\+[a-z0-9]+://|>?>?vault:)\S+#\S+$`)
	anyPlaceholder = regexp.MustCompile(`^<[^<>]+>$`) // argocd-vault-plugin's, where an annotation says the path
)

// placeholder reports whether the text, of one line, is filled in later. What
// stands around a placeholder, as in a URL, is taken for part of it; a whole
// file that mentions a variable is not.
func placeholder(text string) bool {
	text = strings.TrimSpace(text)
	if strings.Contains(text, "\n") {
		return false
	}
	return substituted.MatchString(text) || reference.MatchString(text)
}

// public reports whether the text is certificates or public keys and nothing
// else.
func public(text string) bool {
	rest := strings.TrimSpace(text)
	if rest == "" {
		return false
	}
	for rest != "" {
		if !strings.HasPrefix(rest, "-----BEGIN ") {
			return false
		}
		block, after := pem.Decode([]byte(rest))
		if block == nil || block.Type != "CERTIFICATE" && block.Type != "PUBLIC KEY" {
			return false
		}
		rest = strings.TrimSpace(string(after))
	}
	return true
}
