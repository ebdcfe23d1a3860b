package githubsim

import (
	"bytes"
	"html/template"
	"regexp"
	"strings"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/util"
)

// markdown renders as GitHub does: its own flavour, raw HTML as far as the policy
// lets it, and line breaks in comments as they were written.
var markdown = goldmark.New(
	goldmark.WithExtensions(
		extension.Linkify, extension.Strikethrough, extension.TaskList,
		extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute)),
	),
	goldmark.WithRendererOptions(
		html.WithUnsafe(), html.WithHardWraps(),
		renderer.WithNodeRenderers(util.Prioritized(diffFences{}, 100)),
	),
)

// policy is what is left of anybody's HTML: no scripts, no styles, and no images
// from elsewhere.
var policy = func() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements(
		"h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "blockquote", "pre", "ul", "ol", "li", "table", "thead", "tbody", "tr",
		"th", "td", "strong", "b", "em", "i", "del", "s", "code", "kbd", "sub", "sup", "samp", "var", "ins", "q", "div", "span",
		"details", "summary", "dl", "dt", "dd",
	)
	p.AllowAttrs("open").OnElements("details")
	p.AllowAttrs("align").Matching(regexp.MustCompile(`^(left|right|center)$`)).OnElements("th", "td", "p", "div")
	p.AllowAttrs("start").Matching(bluemonday.Integer).OnElements("ol")
	p.AllowAttrs("class").Matching(regexp.MustCompile(`^(add|del|hunk|language-[a-z0-9]+)$`)).OnElements("span", "code")
	p.AllowAttrs("type").Matching(regexp.MustCompile(`^checkbox$`)).OnElements("input")
	p.AllowAttrs("checked", "disabled").OnElements("input")
	p.AllowAttrs("href").OnElements("a")
	p.AllowAttrs("src").Matching(regexp.MustCompile(`^/[^/]`)).OnElements("img")
	p.AllowAttrs("alt").OnElements("img")
	p.AllowStandardURLs()
	p.AllowRelativeURLs(true)
	p.RequireNoFollowOnLinks(true)
	return p
}()

// renderMarkdown is safe to put into a page.
func renderMarkdown(text string) template.HTML {
	var out bytes.Buffer
	if err := markdown.Convert([]byte(text), &out); err != nil {
		return template.HTML(template.HTMLEscapeString(text))
	}
	return template.HTML(policy.SanitizeBytes(out.Bytes()))
}

// diffFences colours the lines of fences that say they are a diff.
type diffFences struct{}

func (diffFences) RegisterFuncs(register renderer.NodeRendererFuncRegisterer) {
	register.Register(ast.KindFencedCodeBlock, renderFence)
}

func renderFence(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	fence, _ := node.(*ast.FencedCodeBlock)
	language := strings.ToLower(string(fence.Language(source)))
	_, _ = w.WriteString(`<pre><code class="language-` + template.HTMLEscapeString(or(language, "text")) + `">`)
	for i := range fence.Lines().Len() {
		segment := fence.Lines().At(i)
		line := string(segment.Value(source))
		if class := diffClass(line); language == "diff" && class != "" {
			_, _ = w.WriteString(`<span class="` + class + `">` + template.HTMLEscapeString(line) + `</span>`)
			continue
		}
		_, _ = w.WriteString(template.HTMLEscapeString(line))
	}
	_, _ = w.WriteString("</code></pre>\n")
	return ast.WalkSkipChildren, nil
}

func diffClass(line string) string {
	switch {
	case strings.HasPrefix(line, "@@"):
		return "hunk"
	case strings.HasPrefix(line, "+"):
		return "add"
	case strings.HasPrefix(line, "-"):
		return "del"
	}
	return ""
}
