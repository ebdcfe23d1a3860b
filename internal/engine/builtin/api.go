package builtin

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// release is a minor version of Kubernetes 1.
type release struct {
	minor   int
	assumed bool // nobody said it
}

var releasePattern = regexp.MustCompile(`^v?1\.([0-9]{1,3})(\.[0-9]+)?([-+][0-9A-Za-z.+-]*)?$`)

var errNoRelease = errors.New("want MAJOR.MINOR, such as 1.36")

// parseRelease reads the minor of "1.36" and of what clusters say of themselves,
// "v1.36.2-gke.1". Nothing stands for the newest release the table knows.
func parseRelease(version string) (release, error) {
	if version == "" {
		return release{minor: newestMinor, assumed: true}, nil
	}
	match := releasePattern.FindStringSubmatch(version)
	if match == nil {
		return release{}, errNoRelease
	}
	minor, err := strconv.Atoi(match[1])
	return release{minor: minor}, err
}

// life is when a kind of an API is deprecated and when no longer served, as
// minors of Kubernetes 1.
type life struct {
	deprecated, removed int    // removed is 0 where no end is in sight
	replacement         string // "group/version Kind", or empty
}

// over reports whether the release no longer serves the kind.
func (l life) over(r release) bool { return l.removed > 0 && r.minor >= l.removed }

// lifeOf looks a kind up by "group/version Kind".
func lifeOf(kind string) (life, bool) {
	l, known := apis[kind]
	if !known {
		l, known = formerAPIs[kind]
	}
	return l, known
}

func (o *object) kind() string { return o.text("apiVersion") + " " + o.ref.Kind }

func removedAPI(o *object) []hit {
	l, known := lifeOf(o.kind())
	if !known || !l.over(o.release) {
		return nil
	}
	return []hit{{
		subject: "apiVersion",
		what:    fmt.Sprintf("%s is not served since Kubernetes 1.%d", o.kind(), l.removed),
		remedy:  l.remedy(o) + o.release.caveat(),
	}}
}

func deprecatedAPI(o *object) []hit {
	l, known := lifeOf(o.kind())
	if !known {
		return superseded(o)
	}
	if o.release.minor < l.deprecated || l.over(o.release) {
		return nil
	}
	what := fmt.Sprintf("%s is deprecated since Kubernetes 1.%d", o.kind(), l.deprecated)
	if l.removed > 0 {
		what += fmt.Sprintf(" and not served from 1.%d on", l.removed)
	}
	return []hit{{subject: "apiVersion", what: what, remedy: l.remedy(o) + o.release.caveat()}}
}

// remedy names what to use instead, passing over replacements that the cluster
// no longer serves either.
func (l life) remedy(o *object) string {
	if advice := otherwise[o.kind()]; advice != "" {
		return advice
	}
	replacement := l.replacement
	for range maxReplacements {
		next, known := lifeOf(replacement)
		if !known || !next.over(o.release) || next.replacement == "" {
			break
		}
		replacement = next.replacement
	}
	switch {
	case replacement != "":
		return "use " + replacement
	case l.over(o.release):
		return "remove the object, for nothing replaces it"
	}
	return "watch for its successor, for nothing replaces it yet"
}

// maxReplacements is more than any chain of replacements has links.
const maxReplacements = 4

// caveat says how to judge by another release than the assumed one.
func (r release) caveat() string {
	if !r.assumed {
		return ""
	}
	return fmt.Sprintf(" (1.%d is assumed; --kubernetes names the cluster's version)", r.minor)
}

// superseded answers for custom resources, whose versions follow their own
// releases and not the cluster's.
func superseded(o *object) []hit {
	replacement, known := supersededAPIs[o.kind()]
	if !known {
		replacement, known = supersededAPIs[o.text("apiVersion")]
	}
	if !known {
		return nil
	}
	return []hit{{
		subject: "apiVersion",
		what:    fmt.Sprintf("%s %s is an outdated version of its API", o.text("apiVersion"), plain(o.ref.Kind)),
		remedy:  "use " + replacement,
	}}
}
