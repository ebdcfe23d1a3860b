package command

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	t.Parallel()
	const (
		sha     = "0123456789abcdef0123456789abcdef01234567"
		useless = "`/ok-to-test` needs the commit that you have looked at, with all its digits."
	)
	for _, test := range []struct {
		name, comment string
		want          []string
		mistakes      []string
	}{
		{"one", "/plan", []string{"/plan"}, nil},
		{"in any case, with spaces", "  /PLAN  \r\n", []string{"/plan"}, nil},
		{"after words", "Let us see.\n/plan\nThanks!", []string{"/plan"}, nil},
		{"several", "/plan\n\n/help", []string{"/plan", "/help"}, nil},
		{"with a commit", "/ok-to-test " + strings.ToUpper(sha), []string{"/ok-to-test " + sha}, nil},
		{"in words", "davit plan", []string{"/plan"}, nil},
		{"in words, several", "Davit plan\n\ndavit help\n", []string{"/plan", "/help"}, nil},

		{"nothing", "", nil, nil},
		{"prose", "I like /plan and davit plan", nil, nil},
		{"prose that begins like one", "davit plan shows what I meant\nand then some", nil, nil},
		{"prose with a command in words", "Shall we?\ndavit plan", nil, nil},
		{"somebody else's", "/lgtm\n/deploy staging\n/planet", nil, nil},
		{"a path", "/etc/passwd is read", nil, nil},
		{"only a slash", "/\n/ plan", nil, nil},
		{"only a name", "davit", nil, nil},
		{"quoted", "> /plan\nand more\n", nil, nil},
		{"lazily quoted", "> so they said\n/plan", nil, nil},
		{"in a fence", "```\n/plan\n```", nil, nil},
		{"in a fence of waves", "~~~ sh\n/plan\n~~~", nil, nil},
		{"in a fence that never ends", "```\n/plan", nil, nil},
		{"in a longer fence", "````\n```\n/plan\n````", nil, nil},
		{"indented as code", "    /plan", nil, nil},
		{"in a list", "- /plan\n", nil, nil},
		{"hidden", "<!--\n/plan\n-->", nil, nil},
		{"hidden in a line", "look <!-- \n/plan\n--> here", nil, nil},
		{"in details", "<details>\n/plan\n</details>", nil, nil},
		{"in code over two lines", "it is `x\n/plan` now", nil, nil},
		{"in a link", "see [this\n/plan](http://example.com)", nil, nil},
		{"in a link's address, which is not shown", "[x]: a '\n/plan\n'", nil, nil},
		{"as a link's address", "[x]:\n/plan", nil, nil},
		{"in a link's name", "[x\n/plan\n]: a", nil, nil},
		{"between tags in a line", "x <code>\n/plan\n</code>", nil, nil},
		{"after a tag in a line", "a <b>bold</b> word\n/plan", nil, nil},
		{"after a tag in another paragraph", "a <b>bold</b> word\n\n/plan", []string{"/plan"}, nil},
		{"in a table", "a | b\n--- | ---\n/plan | x", nil, nil},
		{"above a table", "/plan\n\na | b\n--- | ---\nc | d", []string{"/plan"}, nil},
		{"in a novel", strings.Repeat("word ", 4000) + "\n\n/plan", nil, nil},
		{"a heading", "# /plan", nil, nil},
		{"after what hides nothing", "<!-- a note -->\n\n/plan", []string{"/plan"}, nil},

		{"too much", "/plan apps/web", nil, []string{"`/plan` takes nothing after it."}},
		{"without a commit", "/ok-to-test", nil, []string{useless}},
		{"with a branch", "/ok-to-test main", nil, []string{useless}},
		{"with the beginning of a commit", "/ok-to-test 0123456", nil, []string{useless}},
		{"unknown in words", "davit rocks", nil, nil},
		{"one right, one wrong", "/plan\n/help me", []string{"/plan"}, []string{"`/help` takes nothing after it."}},
		{"without end", strings.Repeat("/plan\n", 11), strings.Split(strings.Repeat("/plan,", 9)+"/plan", ","),
			[]string{"A comment may hold 10 commands; the rest is not read."}},
	} {
		commands, mistakes := Parse(test.comment)
		var got []string
		for _, c := range commands {
			got = append(got, c.String())
		}
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("%s: commands (-want +got):\n%s", test.name, d)
		}
		if d := cmp.Diff(test.mistakes, mistakes); d != "" {
			t.Errorf("%s: mistakes (-want +got):\n%s", test.name, d)
		}
	}
}

// TestUsage: what the help shows is what is understood.
func TestUsage(t *testing.T) {
	t.Parallel()
	for _, e := range entries {
		if !strings.Contains(Usage(), e.usage) {
			t.Errorf("the help lacks %s", e.usage)
		}
		commands, mistakes := Parse(strings.ReplaceAll(e.usage, "COMMIT", strings.Repeat("0a", 20)))
		if len(commands) != 1 || commands[0].Name != e.name || len(mistakes) > 0 {
			t.Errorf("%s is read as %v, %v", e.usage, commands, mistakes)
		}
	}
	if commands, _ := Parse(Usage()); len(commands) > 0 {
		t.Errorf("the help itself is a command: %v", commands)
	}
}

// BenchmarkHugeComment reads what anybody may write, as large as a forge takes it.
func BenchmarkHugeComment(b *testing.B) {
	for _, line := range []string{"a\n", "`x\n", "/x\n", "davit x\n", "[a](\n/x\n"} {
		comment := strings.Repeat(line, 64<<10/len(line))
		b.Run(strings.ReplaceAll(line, "\n", "_"), func(b *testing.B) {
			for b.Loop() {
				Parse(comment)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"/plan", "> /plan", "```\n/plan", "davit help\n", "- a\n\n  /plan", "[a]: /plan\n/plan"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, comment string) {
		commands, mistakes := Parse(comment)
		if len(commands)+len(mistakes) > maxCommands+1 {
			t.Errorf("%d commands and %d mistakes", len(commands), len(mistakes))
		}
		for _, m := range mistakes {
			if strings.ContainsAny(m, "\n@<") {
				t.Errorf("a mistake repeats what was said: %q", m)
			}
		}
	})
}
