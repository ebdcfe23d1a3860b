package report

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/policy"
)

// hostile puts a text wherever a text from elsewhere can stand.
func hostile(evil string) Preview {
	t := Target{Name: evil, Path: evil, Claimant: evil, Renderer: "plain", Environment: evil, Cluster: evil + "2", Status: Changed, Why: []string{evil}}
	c := Change{Action: "update", Group: evil, Version: evil, Kind: evil, Namespace: evil, Name: evil, Object: evil, Diff: "@@ -1 +1 @@\n-" + evil + "\n+" + evil}
	renamed := c
	renamed.Renamed, renamed.RenamedDiff = evil, evil
	t.Changes = []Change{c, renamed}
	t.Findings = []policy.Finding{{Rule: evil, Engine: evil, Severity: policy.Error, State: policy.New, Message: evil, File: evil, Line: 1,
		Object: gitops.ObjectRef{Group: evil, Kind: evil, Namespace: evil, Name: evil}}}
	problem := Error{Problem: manifest.Problem{Code: manifest.Invalid, Message: evil, File: evil, Line: 7}, State: policy.New}
	failed := Target{Name: evil + "3", Path: evil, Renderer: "plain", Status: Failed, Error: &problem, Why: []string{}, Changes: []Change{}, Findings: []policy.Finding{}}
	return Preview{Version: 1, Base: baseCommit, Head: headCommit, Targets: []Target{t, failed}, Errors: []Error{problem}, Notes: []string{evil}}
}

var attacks = []string{
	"plain", "", " ", "`", "``", "```", "a```b", "````\n````", "\n```\n", "\n\n```diff\n+x", "~~~", "\n~~~~\n", "`a` ``b``", "\\`", "\\",
	"</details>", "</summary></details><details open>", "\n\n</details>\n\n# owned", "<img src=x onerror=alert(1)>", "<!-- x", "-->", "<![CDATA[", "<?php", "<script>", "&lt;b&gt;", "&#64;acme",
	"@acme/sre", "@everyone", "a@b.example", "#1", "acme/gitops#1", "GH-1", "gh-12", "!1", "%1", "$1", "~bug", "&1",
	"[x](https://evil.example)", "![x](https://evil.example/x.png)", "[x][1]\n\n[1]: https://evil.example", "<https://evil.example>", "https://evil.example", "HTTP://evil.example", "www.evil.example", "WWW.evil.example", "ftp://evil.example", "mailto:a@b.example", "[^1]", "[ ] x",
	"a|b", "|", "\\|", "| a | b |\n| - | - |", "a\n| b |", "\n\n# heading", "# heading", "- item", "+ item", "* item", "1. item", "1) item", "> quote", "---", "===", "\n===\n", "\n---\n", "    code", "\tcode", "**bold**", "_it_", "~~gone~~", ":tada:",
	"a\rb", "\r\n\r\n# x", "\r```\r", "\u2028# x", "\u2029", "\x00", "\x1b[31mred", "\u202egnirts", "\u2066x\u2069", "\u200bx", "\ufeff", "\U000e0041", "\xff\xfe", strings.Repeat("`", 70), strings.Repeat("[", 3000), strings.Repeat("> ", 300), strings.Repeat("é", 1200),
}

// TestInert renders hostile text as a forge would and looks for what is there
// besides text.
func TestInert(t *testing.T) {
	t.Parallel()
	for _, evil := range attacks {
		for _, around := range []string{"%s", "a %s b", "\n%s\n", "a\n\n%s\n\nb", "`%s", "%[1]s%[1]s"} {
			checkInert(t, hostile(fmt.Sprintf(around, evil)))
		}
	}
}

func FuzzInert(f *testing.F) {
	for _, evil := range attacks {
		f.Add(evil)
	}
	f.Fuzz(func(t *testing.T, evil string) { checkInert(t, hostile(evil)) })
}

// TestInertFinds is the positive control: the same check finds what is not inert.
func TestInertFinds(t *testing.T) {
	t.Parallel()
	for _, evil := range []string{"[x](https://evil.example)", "https://evil.example", "<img src=x>", "\n<script>\n", "\n# x\n", "<details>", "</details>", "\n```\nopen", "@acme", "\n- [ ] x", "**b**", "\u202e"} {
		if inertFault("### title\n\n"+evil+"\n") == "" {
			t.Errorf("%q passes", evil)
		}
	}
}

func checkInert(t *testing.T, p Preview) {
	t.Helper()
	if fault := inertFault(p.Markdown(MaxComment)); fault != "" {
		t.Errorf("%q: %s:\n%s", p.Notes[0], fault, p.Markdown(MaxComment))
	}
	for r := range strings.SplitSeq(p.Text(false), "") {
		if r != "\n" && r != "\t" && strings.ContainsFunc(r, isHarmful) {
			t.Errorf("%q: the text holds %q", p.Notes[0], r)
		}
	}
}

// ownHTML is all the HTML that a report has.
var ownHTML = regexp.MustCompile(`^(<details( open)?><summary>(<code>[^<>]*</code>(, )?)+( and \d+ more)? · [^<>]*</summary>|</details>)\n?$`)

// mention is what a forge takes for a person, an issue or a label, but for the
// counts of a report.
var mention = regexp.MustCompile(`[@#!$%&][A-Za-z0-9"]|~[A-Za-z"]|(?i)\bgh-\d`)

func inertFault(markdown string) string {
	source := []byte(markdown)
	document := goldmark.New(goldmark.WithExtensions(extension.GFM, extension.Footnote)).Parser().Parse(text.NewReader(source))
	fault, open := "", 0
	_ = ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			if open += detailsIn(n, source); open < 0 || open > 1 {
				fault = "details are nested or closed twice"
			}
			if f := nodeFault(n, source); f != "" {
				fault = f
			}
		}
		return ast.WalkContinue, nil
	})
	switch {
	case fault != "":
		return fault
	case open != 0:
		return "a details is not closed"
	case strings.ContainsFunc(markdown, func(r rune) bool { return r != '\n' && r != '\t' && string(r) != joiner && isHarmful(r) }):
		return "a character that changes others, or can't be seen"
	}
	return ""
}

func detailsIn(n ast.Node, source []byte) int {
	if n.Kind() != ast.KindHTMLBlock {
		return 0
	}
	lines := linesOf(n, source)
	return strings.Count(lines, "<details") - strings.Count(lines, "</details")
}

func linesOf(n ast.Node, source []byte) string { return string(n.Lines().Value(source)) }

// nodeFault is what is wrong with one node of a report.
func nodeFault(n ast.Node, source []byte) string {
	switch n := n.(type) {
	case *ast.HTMLBlock:
		if !ownHTML.MatchString(linesOf(n, source)) || n.HasClosure() {
			return "HTML of another: " + linesOf(n, source)
		}
	case *ast.Heading:
		if n.Level != 3 || n.PreviousSibling() != nil {
			return "a heading"
		}
	case *ast.FencedCodeBlock:
		if string(n.Language(source)) != "diff" {
			return "a fence of another"
		}
		end := n.Lines().At(n.Lines().Len() - 1).Stop
		if rest := string(source[end:]); !strings.HasPrefix(strings.TrimLeft(rest, "`"), "\n") || !strings.HasPrefix(rest, "```") {
			return "a fence that is not closed"
		}
	case *ast.Emphasis:
		if n.Level != 2 {
			return "emphasis"
		}
		if own := string(n.FirstChild().(*ast.Text).Segment.Value(source)); own != "update" && own != "can't be rendered" && own != "error" && own != "delete" && own != "create" {
			return "emphasis of " + own
		}
	case *ast.Text:
		if n.Parent().Kind() != ast.KindCodeSpan && mention.Match(n.Segment.Value(source)) {
			return "a mention in " + string(n.Segment.Value(source))
		}
	case *ast.List:
		if n.Marker != '-' {
			return "a list"
		}
	case *ast.Document, *ast.Paragraph, *ast.TextBlock, *ast.CodeSpan, *ast.ListItem, *ast.Blockquote, *ast.String,
		*extast.Table, *extast.TableHeader, *extast.TableRow, *extast.TableCell:
	default:
		return "a " + n.Kind().String()
	}
	return ""
}

// TestTable shows that no name adds a cell.
func TestTable(t *testing.T) {
	t.Parallel()
	for _, evil := range attacks {
		source := []byte(hostile(evil).Markdown(MaxComment))
		document := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
		rows := 0
		_ = ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
			if n.Kind() == extast.KindTableRow && entering {
				rows++
			}
			return ast.WalkContinue, nil
		})
		if rows != 2 {
			t.Errorf("%q: the table has %d rows", evil, rows)
		}
		head, _, _ := strings.Cut(string(source), "<details")
		for line := range strings.Lines(head) {
			if strings.HasPrefix(line, "| ") && strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") != 5 {
				t.Errorf("%q: a row of other cells: %s", evil, line)
			}
		}
	}
}

// TestLimit cuts reports of every size at limits of every size.
func TestLimit(t *testing.T) {
	t.Parallel()
	previews := map[string]Preview{"rich": rich(), "empty": empty(), "huge texts": hostile(strings.Repeat("`@</details>|\n", 20_000)), "fences": hostile(strings.Repeat("`", 1<<19))}
	crowded := rich()
	for i := range 10_000 {
		crowded.Notes = append(crowded.Notes, fmt.Sprintf("note %d", i))
		crowded.Errors = append(crowded.Errors, Error{Problem: manifest.Problem{Code: manifest.Invalid, Message: fmt.Sprintf("error %d", i)}, State: policy.New})
		crowded.Targets[6].Findings = append(crowded.Targets[6].Findings, finding(policy.Error, policy.New, fmt.Sprint("web", i)))
	}
	previews["crowded"] = crowded
	long := hostile(strings.Repeat("long ", 1000))
	for range 100 {
		long.Targets = append(long.Targets, long.Targets[0])
		long.Notes, long.Errors = append(long.Notes, long.Notes[0]), append(long.Errors, long.Errors[0])
	}
	previews["long"] = long
	for name, p := range previews {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := p.Markdown(1 << 30)
			for _, limit := range []int{-1, 0, 10, 300, 500, 900, 1500, 5000, MaxComment} {
				got := p.Markdown(limit)
				if len(got) > max(0, limit) {
					t.Errorf("limit %d: %d bytes", limit, len(got))
				}
				if limit < 500 {
					continue
				}
				if fault := inertFault(got); fault != "" {
					t.Errorf("limit %d: %s:\n%.3000s", limit, fault, got)
				}
				if got != all && !strings.Contains(got, "left out for length") && !strings.Contains(got, " more ") {
					t.Errorf("limit %d: something is missing, and nothing says so", limit)
				}
			}
		})
	}
}

func TestEscapeReadable(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"resources names \"a.yaml\", which is not there": "resources names \"a.yaml\", which is not there",
		"high-level: 100% of $5, 1.5 - fine!":            "high-level: 100%\u2060 of $\u20605, 1.5 - fine!\u2060",
		"- x":                                            "\\- x", "12. x": "12\\. x", "a_b*c": "a\\_b\\*c", "GH-7 www.x": "GH\u2060-7 www\u2060.x", "a\n  b": "a   b",
	} {
		if got := escape(given); got != want {
			t.Errorf("escape(%q) = %q, want %q", given, got, want)
		}
	}
	if got := code(strings.Repeat("a", 2*maxInline)); len([]rune(got)) != maxInline+3 {
		t.Errorf("a long name became %d characters", len([]rune(got)))
	}
	if !unicode.Is(unicode.Cf, []rune(joiner)[0]) {
		t.Error("the joiner can be seen")
	}
}
