package githubsim

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A mistake names its file, its line and what to write instead.
func TestSeedMistakes(t *testing.T) {
	t.Parallel()
	begin := "app: {slug: davit}\nusers: [{login: alice}]\n"
	for name, test := range map[string]struct {
		seed string
		line int
		want string
	}{
		"nothing":               {"", 0, "no slug"},
		"unknown field":         {begin + "colour: red\n", 0, "line 3: field colour not found"},
		"no owner":              {"app: {slug: davit}\n", 0, "nobody owns the App"},
		"a login of two words":  {"app: {slug: davit}\nusers:\n  - {login: alice b}\n", 3, "letters, digits and dashes"},
		"twice":                 {"app: {slug: davit}\nusers:\n  - {login: alice}\n  - {login: Alice}\n", 4, "say each once"},
		"a type":                {"app: {slug: davit}\nusers:\n  - {login: alice, type: Cat}\n", 3, "User or Bot"},
		"a member who is none":  {begin + "organisations:\n  - login: acme\n    members: {bob: owner}\n", 5, "add it to users"},
		"a role of a member":    {begin + "organisations:\n  - login: acme\n    members: {alice: queen}\n", 5, "owner or member"},
		"a team of strangers":   {begin + "organisations:\n  - login: acme\n    teams: {a: [alice]}\n", 5, "add it to members"},
		"a repository's name":   {begin + "repositories:\n  - {name: gitops}\n", 4, "OWNER/NAME"},
		"a repository twice":    {begin + "repositories:\n  - {name: alice/a}\n  - {name: alice/A}\n", 5, "say each once"},
		"a collaborator":        {begin + "repositories:\n  - name: alice/a\n    collaborators: {bob: read}\n", 5, "add it to users"},
		"a collaborator's role": {begin + "repositories:\n  - name: alice/a\n    collaborators: {alice: king}\n", 5, "read, triage, write, maintain, admin"},
		"a fork of nothing":     {begin + "repositories:\n  - {name: alice/a, fork_of: alice/b}\n", 4, "name a repository above it"},
		"files from nowhere":    {begin + "repositories:\n  - {name: alice/a, from: nowhere}\n", 4, "name a directory"},
		"an installation":       {begin + "installations:\n  - {account: bob}\n", 4, "add it to users"},
		"of what is not there":  {begin + "installations:\n  - {account: alice, repositories: [alice/a]}\n", 4, "in full"},
		"of a word":             {begin + "installations:\n  - {account: alice, repositories: some}\n", 0, "repositories: all"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "seed.yaml"), []byte(test.seed), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := New(Options{Dir: dir, AppID: appID, AppKey: keyPEM()})
			var mistake *SeedError
			if !errors.As(err, &mistake) || mistake.Line != test.line || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "seed.yaml") {
				t.Errorf("got %v, want line %d with %q", err, test.line, test.want)
			}
		})
	}
}

func TestNewSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{string(keyPEM()): "there is no such file", "": "openssl genrsa"} {
		if _, err := New(Options{Dir: t.TempDir(), AppID: 1, AppKey: []byte(key)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// The same seed has the same numbers and the same commits, and what an earlier run
// pushed is gone.
func TestSeedIsStable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "shop", "apps"), 0o755); err != nil {
		t.Fatal(err)
	}
	seed := strings.Replace(usualSeed, "{name: acme/public, files: {README.md: \"for all\\n\"}}", "{name: acme/public, default_branch: trunk, from: shop}", 1)
	for file, text := range map[string]string{"seed.yaml": seed, "shop/apps/a.yaml": "a: 1\n", "shop/b": "b\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var before string
	for range 2 {
		w := newWorld(t, seed, func(o *Options) { o.Dir = dir })
		repo := w.must(http.StatusOK, "alice", "GET", gitops, nil)
		branch := w.must(http.StatusOK, "alice", "GET", "/repos/acme/public/branches/trunk", nil)
		now := strings.Join([]string{repo.text("node_id"), branch.text("commit.sha")}, " ")
		if before != "" && now != before {
			t.Errorf("now %s, before %s", now, before)
		}
		before = now
		c := w.clone("carol", "acme/public")
		if files := c.git("ls-files"); files != "apps/a.yaml\nb" {
			t.Errorf("files: %q", files)
		}
		c.commit("trunk", "c", "c\n")
		c.push("trunk")
	}
}

// What is not the simulator's is not cleared.
func TestRepositoriesOfSomebody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mine := filepath.Join(dir, "repos", "mine")
	if err := os.MkdirAll(mine, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "seed.yaml"), []byte(usualSeed), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Dir: dir, AppID: 1, AppKey: keyPEM()}); err == nil || !strings.Contains(err.Error(), "name another directory") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
}

func TestBotsOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, strings.Replace(usualSeed, "users:\n", "users:\n  - {login: \"helper[bot]\", type: Bot}\n", 1))
	_, n := w.pull("more")
	w.must(http.StatusNotFound, "helper[bot]", "POST", issuePath(n)+"/comments", object{"body": "a"})
	w.must(http.StatusUnauthorized, "davit[bot]", "GET", gitops, nil)
	if got := w.must(http.StatusOK, "bot", "GET", "/users/helper%5Bbot%5D", nil); got.text("type") != "Bot" {
		t.Errorf("a bot is a %s", got.text("type"))
	}
}
