// Package command reads what somebody asks of Davit in a comment. It is text in and
// commands out, or a sentence that teaches the grammar; it knows nobody's rights, and
// it never takes quoted text or code for a command.
package command

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// Name is what is asked for.
type Name string

// The commands there are.
const (
	Plan     Name = "plan"
	Apply    Name = "apply"
	Retry    Name = "retry"
	OkToTest Name = "ok-to-test"
	Help     Name = "help"
)

// Command is one command of a comment.
type Command struct {
	Name    Name
	Commit  string   // of OkToTest: all of it, since who can push can also make another that begins alike
	Targets []string // of Apply and Retry: names of targets or environments; none is all
}

// String is the command as people write it.
func (c Command) String() string {
	return strings.TrimSpace("/" + string(c.Name) + " " + c.Commit + strings.Join(c.Targets, " "))
}

// entry is a command's line of the help.
type entry struct {
	name  Name
	usage string
	does  string
}

var entries = []entry{
	{Plan, "/plan", "looks at the pull request again, and at the clusters as they are now"},
	{Apply, "/apply [TARGET or ENVIRONMENT …]", "after the merge: applies what waits for it, as it was shown"},
	{Retry, "/retry [TARGET or ENVIRONMENT …]", "tries again what a cluster kept from being applied, or what was not ready in time"},
	{OkToTest, "/ok-to-test COMMIT", "lets Davit look at a pull request from a fork, as it is at that commit"},
	{Help, "/help", "shows this"},
}

// Usage is the grammar, as Markdown.
func Usage() string {
	var b strings.Builder
	b.WriteString("| command | what it does |\n| --- | --- |\n")
	for _, e := range entries {
		fmt.Fprintf(&b, "| `%s` | %s |\n", e.usage, e.does)
	}
	b.WriteString("\nA command stands at the beginning of a line. Where something else listens to `/`, `davit plan` is the same as `/plan`, in a comment of commands alone.\n")
	return b.String()
}

// maxComment is the longest comment that is read, in bytes. Nested deeply enough, a long
// one takes its time, and anybody may write it.
const maxComment = 16 << 10

// maxCommands is how many commands of one comment are read.
const maxCommands = 10

// Parse reads the commands of a comment, and says what is wrong with those that can't be
// understood. A command that Davit does not have is somebody else's, or prose.
func Parse(comment string) (commands []Command, mistakes []string) {
	if len(comment) > maxComment || !worthReading.MatchString(comment) {
		return nil, nil
	}
	lines := spoken(comment)
	wordy := len(lines) > 0 // nothing but lines that begin with "davit"
	for _, line := range lines {
		wordy = wordy && word.MatchString(line)
	}
	for _, line := range lines {
		fields := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "/"):
			fields[0] = fields[0][1:]
		case wordy && len(fields) > 1:
			fields = fields[1:]
		default:
			continue
		}
		c, mistake, known := read(fields)
		if len(commands)+len(mistakes) >= maxCommands {
			return commands, append(mistakes, fmt.Sprintf("A comment may hold %d commands; the rest is not read.", maxCommands))
		}
		switch {
		case mistake != "":
			mistakes = append(mistakes, mistake)
		case known:
			commands = append(commands, c)
		}
	}
	return commands, mistakes
}

var (
	word   = regexp.MustCompile(`(?i)^davit(\s|$)`)
	commit = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

	// worthReading is what holds a command, perhaps. Most comments are read no further.
	worthReading = regexp.MustCompile(`(?im)^[ \t]*(/[a-z]|davit[ \t])`)
)

// read reads one command, and reports whether it is one of ours.
func read(fields []string) (c Command, mistake string, known bool) {
	c.Name = Name(strings.ToLower(fields[0]))
	rest := fields[1:]
	switch c.Name {
	case Plan, Help:
		if len(rest) > 0 {
			return c, fmt.Sprintf("`/%s` takes nothing after it.", c.Name), true
		}
	case OkToTest:
		if len(rest) != 1 || !commit.MatchString(strings.ToLower(rest[0])) {
			return c, "`/ok-to-test` needs the commit that you have looked at, with all its digits.", true
		}
		c.Commit = strings.ToLower(rest[0])
	case Apply, Retry:
		c.Targets = rest
	default:
		return c, "", false
	}
	return c, "", true
}

// spoken are the lines that somebody says themselves: no code, quotes, lists or tables,
// and nothing that is not shown.
func spoken(comment string) []string {
	source := []byte(comment)
	document := parser.NewParser(
		parser.WithBlockParsers(parser.DefaultBlockParsers()...), parser.WithInlineParsers(parser.DefaultInlineParsers()...),
		parser.WithParagraphTransformers(parser.DefaultParagraphTransformers()...),
		parser.WithParagraphTransformers(util.Prioritized(extension.NewTableParagraphTransformer(), 200)),
	).Parse(text.NewReader(source))
	var lines []string
	for block := document.FirstChild(); block != nil; block = block.NextSibling() {
		paragraph, is := block.(*ast.Paragraph)
		if !is {
			continue
		}
		starts := plain(paragraph)
		for _, segment := range paragraph.Lines().Sliced(0, paragraph.Lines().Len()) {
			if starts[segment.Start] {
				lines = append(lines, strings.TrimSpace(string(segment.Value(source))))
			}
		}
	}
	return lines
}

// plain returns where text begins in a paragraph that is neither in code nor in a link,
// and not behind a tag of HTML, which may hold all that follows. A line begins a text of
// its own.
func plain(paragraph *ast.Paragraph) map[int]bool {
	starts := map[int]bool{}
	for inline := paragraph.FirstChild(); inline != nil; inline = inline.NextSibling() {
		switch inline := inline.(type) {
		case *ast.Text:
			starts[inline.Segment.Start] = true
		case *ast.RawHTML:
			return starts
		}
	}
	return starts
}
