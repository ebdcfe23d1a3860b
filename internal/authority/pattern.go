package authority

import (
	"errors"
	"path"
	"regexp"
	"strings"

	"github.com/davitops/davit/internal/gitops"
)

// A pattern is a repository as gitops.Repo prints it, "github:acme/gitops", in whose
// path * stands for any text without a slash.
//
// The forge has no wildcards: a name belongs to its owner on one forge, and to
// anybody on the next. Letters of the path match in either case, because GitHub,
// GitLab and Gitea let a repository be called in any, and give no two the same name
// but for it. That is the safe side as well: were case to count, a rule that holds
// a repository back would be passed over for how it is spelt, and a wider one below
// it would win. Only ASCII letters have two cases here, as in names on forges: a
// sign that merely looks like a letter, or folds to one, matches nothing.
var patternForm = regexp.MustCompile(`^[a-z0-9][-a-z0-9]*:[-A-Za-z0-9._~+*]+(/[-A-Za-z0-9._~+*]+)+$`)

// CheckPattern says what is wrong with a pattern, if anything, and what to write
// instead. One that it refuses matches nothing.
func CheckPattern(pattern string) error {
	switch {
	case strings.Contains(pattern, "**"):
		return errors.New("\"**\" has no meaning: * stands for any text without a slash; give one pattern for each depth, for example gitlab:acme/* and gitlab:acme/*/*")
	case !patternForm.MatchString(pattern):
		return errors.New("a pattern is the forge's name, a colon and the repository's path, for example github:acme/gitops, or github:acme/* for all of acme's")
	}
	return nil
}

// Hiding returns the pattern, if there is one, that matches every repository the
// given pattern could: a rule for that one, after these rules, would never count.
//
// The pattern is matched as if it were a repository. That is exact: where it has a
// *, only a * of the other can match, and that matches whatever might stand there.
func (r Rules) Hiding(pattern string) string {
	repo, _ := gitops.ParseRepo(pattern)
	_, hiding := r.find(repo)
	return hiding
}

// find returns the first rule that matches a repository and the pattern by which it
// does, or the rule that allows nothing.
func (r Rules) find(repo gitops.Repo) (Rule, string) {
	for _, rule := range r {
		for _, pattern := range rule.Match {
			if matches(pattern, repo) {
				return rule, pattern
			}
		}
	}
	return Rule{}, ""
}

func matches(pattern string, repo gitops.Repo) bool {
	of, _ := gitops.ParseRepo(pattern)
	matched, err := path.Match(lower(of.Path), lower(repo.Path))
	return err == nil && matched && of.Forge == repo.Forge && CheckPattern(pattern) == nil
}

func lower(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}
