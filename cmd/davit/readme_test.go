package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/command"
	"github.com/davitops/davit/internal/engine/builtin"
)

var commitID = regexp.MustCompile("`[0-9a-f]{7}`")

// TestReadme holds README to what the program really says. With UPDATE=1 it
// writes it anew.
func TestReadme(t *testing.T) {
	t.Parallel()
	dir := sample(t, filepath.Join(root, "testdata", "samples", "release.txtar"))
	comment := davit(t, "preview", "-C", dir, "--base", "main", "--head", "change", "-o", "markdown").stdout
	ids := []string{"`3f0c2a1`", "`9b41d7e`"}
	comment = commitID.ReplaceAllStringFunc(comment, func(string) string {
		id := ids[0]
		ids = append(ids[1:], id)
		return id
	})
	var rules strings.Builder
	rules.WriteString("| rule | severity | what it finds |\n| --- | --- | --- |\n")
	for _, r := range builtin.Rules() {
		fmt.Fprintf(&rules, "| `%s` | %s | %s |\n", r.ID, r.Severity, r.Description)
	}
	path := filepath.Join(root, "README.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := between(t, string(data), "<!-- preview of testdata/samples/release.txtar; a test keeps it true -->\n", "<!-- end of preview -->", comment)
	want = between(t, want, "<!-- the rules; a test keeps them true -->\n", "<!-- end of the rules -->", rules.String())
	commands, _, _ := strings.Cut(command.Usage(), "\n\n")
	want = between(t, want, "<!-- the commands; a test keeps them true -->\n", "<!-- end of the commands -->", commands+"\n")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(want, string(data)); d != "" {
		t.Errorf("README.md is not true any more; run the test with UPDATE=1 (-is +says):\n%s", d)
	}
}

// between replaces what stands between two marks.
func between(t *testing.T, text, begin, end, with string) string {
	t.Helper()
	before, rest, found := strings.Cut(text, begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("README.md has no %q", begin)
	}
	return before + begin + "\n" + with + "\n" + end + after
}
