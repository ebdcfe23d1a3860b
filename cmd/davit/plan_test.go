package main

import (
	"testing"

	"github.com/davitops/davit/internal/gitops"
)

// TestRepoOf reads what a remote's address says of a repository's name.
func TestRepoOf(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"git@github.com:acme/gitops.git":              "github:acme/gitops",
		"https://github.com/acme/gitops":              "github:acme/gitops",
		"https://user:token@github.com/acme/x.git/":   "github:acme/x",
		"ssh://git@github.com:22/acme/gitops.git":     "github:acme/gitops",
		"https://gitlab.com/acme/platform/gitops.git": "gitlab:acme/platform/gitops",
		"git@git.acme.example:team/gitops.git":        "git.acme.example:team/gitops",
		"https://git.acme.example:8443/team/gitops":   "git.acme.example:team/gitops",
		"/srv/git/gitops.git":                         "",
		"../gitops":                                   "",
		"file:///srv/git/gitops.git":                  "",
		"":                                            "",
		"https://github.com/":                         "",
		`C:\work\gitops`:                              "",
	} {
		repo, known := repoOf(remote)
		if !known {
			repo = gitops.Repo{}
		}
		if got := repo.String(); known && got != want || known != (want != "") {
			t.Errorf("%s is %q (known: %t), not %q", remote, got, known, want)
		}
	}
}

// TestKeyFile keeps the key where only its user writes, or nowhere.
func TestKeyFile(t *testing.T) {
	for _, row := range []struct{ state, home, want string }{
		{"/state", "/home/me", "/state/davit/key"},
		{"", "/home/me", "/home/me/.local/state/davit/key"},
		{"relative", "/home/me", "/home/me/.local/state/davit/key"},
		{"", "", ""},
	} {
		t.Setenv("HOME", row.home)
		got, err := keyFile(terminal{env: func(string) string { return row.state }})
		if got != row.want || (err != nil) != (row.want == "") {
			t.Errorf("state %q, home %q: %q, %v", row.state, row.home, got, err)
		}
	}
}
