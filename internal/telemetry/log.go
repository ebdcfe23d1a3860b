package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"regexp"
)

// Formats are the forms a log can have.
const (
	Text = "text"
	JSON = "json"
)

// Log writes lines in a form. What looks like a credential is taken out of them: none
// should ever get there, and one that does must not stay.
func Log(to io.Writer, form string, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr { return scrub(a) }}
	if form == JSON {
		return slog.New(slog.NewJSONHandler(to, options))
	}
	return slog.New(slog.NewTextHandler(to, options))
}

// credential is what tokens and keys of forges look like. Their length is no part of it:
// GitHub's have had several.
var credential = regexp.MustCompile(`gh[a-z]_[A-Za-z0-9._-]{16,}|github_pat_[A-Za-z0-9_]{16,}|glpat-[A-Za-z0-9._-]{16,}|` +
	`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}|-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END|$)|` +
	`(?i:(?:basic|bearer|token) )[A-Za-z0-9+/=._-]{20,}`)

func scrub(a slog.Attr) slog.Attr {
	var text string
	switch a.Value.Kind() {
	case slog.KindString:
		text = a.Value.String()
	case slog.KindAny:
		switch v := a.Value.Any().(type) {
		case error:
			text = v.Error()
		case fmt.Stringer:
			text = v.String()
		default:
			return a
		}
	default:
		return a
	}
	return slog.String(a.Key, credential.ReplaceAllString(text, "[credential]"))
}
