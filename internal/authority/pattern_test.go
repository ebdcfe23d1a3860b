package authority

import (
	"strings"
	"testing"

	"github.com/davitops/davit/internal/gitops"
)

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, repo string
		want          bool
	}{
		{"github:acme/gitops", "github:acme/gitops", true},
		{"github:acme/gitops", "github:acme/gitops2", false},
		{"github:acme/gitops", "github:acme/gitop", false},
		{"github:acme/git.ps", "github:acme/gitops", false},

		{"github:acme/*", "github:acme/gitops", true},
		{"github:acme/*", "github:acme/.github", true},
		{"github:acme/web-*", "github:acme/web-shop", true},
		{"github:acme/web-*", "github:acme/shop-web-a", false},
		{"github:acme/*-web-*", "github:acme/shop-web-a", true},
		{"github:acme/*", "github:acme2/gitops", false},
		{"github:*/gitops", "github:acme/gitops", true},

		{"gitlab:acme/*", "gitlab:acme/team/gitops", false}, // * within one segment
		{"gitlab:acme/*/*", "gitlab:acme/team/gitops", true},
		{"gitlab:acme/*/*", "gitlab:acme/gitops", false},
		{"gitlab:acme/*/gitops", "gitlab:acme/gitops", false},

		{"github:acme/GitOps", "github:ACME/gitops", true}, // letters of the path in either case
		{"github:ACME/*", "github:acme/gitops", true},
		{"github:acme/k", "github:acme/\u212a", false}, // but only those of ASCII: K, of kelvin
		{"github:acme/s", "github:acme/\u017f", false},
		{"github:acme/gitops", "GitHub:acme/gitops", false}, // a forge is what the operator calls it

		{"github:acme/gitops", "gitlab:acme/gitops", false},
		{"*:acme/gitops", "github:acme/gitops", false}, // refused patterns match nothing
		{"*/gitops", "github:acme/gitops", false},
		{"github:*", "github:acme", false},
		{"github:acme/**", "github:acme/gitops", false},
		{"github:acme/?", "github:acme/a", false},
		{"github:acme/[a-z]", "github:acme/a", false},
		{"", ":", false},
	} {
		r, _ := gitops.ParseRepo(test.repo)
		if got := matches(test.pattern, r); got != test.want {
			t.Errorf("%s matches %s: %v, want %v", test.pattern, test.repo, got, test.want)
		}
	}
}

func TestCheckPattern(t *testing.T) {
	t.Parallel()
	const form, stars = "a pattern is the forge's name", `"**" has no meaning`
	for _, test := range []struct{ pattern, want string }{
		{"github:acme/gitops", ""},
		{"github:acme/*", ""},
		{"my-gitea:*/*", ""},
		{"gitlab:acme/team/.x_y+z", ""},
		{"sourcehut:~acme/gitops", ""},
		{"", form},
		{"acme/gitops", form},
		{"github:", form},
		{":acme/gitops", form},
		{"github:acme", form},
		{"github:*", form},
		{"*", form},
		{"*:acme/gitops", form},
		{"git*:acme/gitops", form},
		{"GitHub:acme/gitops", form},
		{"github:acme/", form},
		{"github:/acme/gitops", form},
		{"github:acme//gitops", form},
		{"github: acme/gitops", form},
		{"github:acme/git ops", form},
		{"github:acme/gitops\n", form},
		{"github:acme/gitóps", form},
		{"https://github.com/acme/gitops", form},
		{"github:acme/[a-z]*", form},
		{"github:acme/web?", form},
		{`github:acme/\*`, form},
		{"gitlab:acme/**", stars},
		{"gitlab:acme/**/gitops", stars},
	} {
		got := ""
		if err := CheckPattern(test.pattern); err != nil {
			got = err.Error()
		}
		if (got == "") != (test.want == "") || !strings.HasPrefix(got, test.want) {
			t.Errorf("%q: %q, want %q", test.pattern, got, test.want)
		}
	}
}

func TestHiding(t *testing.T) {
	t.Parallel()
	rules := Rules{{Match: []string{"github:acme/web-*", "github:acme/shop"}}, {Match: []string{"gitlab:*/shop"}}}
	for _, test := range []struct{ pattern, want string }{
		{"github:acme/web-a", "github:acme/web-*"},
		{"github:acme/web-*", "github:acme/web-*"},
		{"github:acme/web-*-x", "github:acme/web-*"},
		{"github:ACME/Shop", "github:acme/shop"},
		{"gitlab:acme/shop", "gitlab:*/shop"},
		{"gitlab:*/shop", "gitlab:*/shop"},
		{"github:acme/web*", ""},
		{"github:acme/*-x", ""},
		{"github:acme/*", ""},
		{"gitlab:*/*", ""},
		{"gitlab:acme/a/shop", ""},
		{"gitea:acme/shop", ""},
	} {
		if got := rules.Hiding(test.pattern); got != test.want {
			t.Errorf("%s is hidden by %q, want %q", test.pattern, got, test.want)
		}
	}
}

// FuzzHiding holds what makes Hiding exact: a pattern that hides another one matches
// whatever that one does.
func FuzzHiding(f *testing.F) {
	f.Add("acme/*", "acme/web-*", "acme/web-a")
	f.Add("a*b/*", "a*b/*", "aXb/c")
	f.Add("*/*", "a/b", "A/b")
	f.Add("a/*-*", "a/*-b-*", "a/--b-")
	f.Fuzz(func(t *testing.T, wide, narrow, path string) {
		r := gitops.Repo{Forge: "github", Path: path}
		hiding := Rules{{Match: []string{"github:" + wide}}}.Hiding("github:" + narrow)
		if hiding != "" && matches("github:"+narrow, r) && !matches(hiding, r) {
			t.Errorf("%q hides %q, and does not match %q", wide, narrow, path)
		}
	})
}
