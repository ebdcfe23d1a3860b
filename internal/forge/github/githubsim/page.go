package githubsim

import (
	"bytes"
	"cmp"
	_ "embed"
	"hash/fnv"
	"html/template"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed page.html
var pageText string

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"markdown": renderMarkdown,
	"hue": func(login string) uint32 {
		sum := fnv.New32()
		_, _ = sum.Write([]byte(login)) // a hash takes everything
		return sum.Sum32() % 360
	},
	"initial": func(login string) string { return strings.ToUpper(login[:1]) },
	"short":   func(sha string) string { return sha[:min(7, len(sha))] },
	"when":    func(at time.Time) string { return at.UTC().Format("2 Jan 2006, 15:04 UTC") },
	"deref":   deref,
	"emoji": func(content string) string {
		return map[string]string{
			"+1": "👍", "-1": "👎", "laugh": "😄", "confused": "😕", "heart": "❤️", "hooray": "🎉", "rocket": "🚀", "eyes": "👀",
		}[content]
	},
}).Parse(pageText))

// servePage answers what people look at; false is a page that does not exist.
func (s *Sim) servePage(w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	name, data := s.page(strings.Split(strings.Trim(r.URL.Path, "/"), "/"))
	var out bytes.Buffer
	var err error
	if name != "" {
		err = pages.ExecuteTemplate(&out, name, data)
	}
	s.mu.Unlock()
	if name == "" {
		return false
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return true
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'")
	_, _ = w.Write(out.Bytes()) // whoever went away needs no answer
	return true
}

// page finds the template of a path, and what to show.
func (s *Sim) page(path []string) (string, any) {
	if len(path) == 1 && path[0] == "" {
		return "index", s.indexPage()
	}
	if len(path) < 2 || len(path) > 4 {
		return "", nil
	}
	r := s.repo(path[0], path[1])
	switch {
	case r == nil:
		return "", nil
	case len(path) == 2, len(path) == 3 && path[2] == "pulls":
		return "pulls", listPage{Name: r.fullName(), Pulls: pullLines(r)}
	case len(path) == 3 && path[2] == "issues":
		return "issues", issuesPage(r)
	case len(path) == 4 && path[2] == "issues":
		if i := r.issue(number(path[3], 0)); i != nil {
			return "issue", issueOf(r, i)
		}
	case len(path) == 4 && path[2] == "commit":
		if page := commitPageOf(r, path[3]); page != nil {
			return "commit", page
		}
	case len(path) == 4 && path[2] == "pull":
		if p := r.pull(number(path[3], 0)); p != nil {
			return "pull", s.pullPage(p)
		}
	}
	return "", nil
}

type indexEntry struct {
	Name        string
	Private     bool
	Open, Total int
}

func (s *Sim) indexPage() []indexEntry {
	entries := []indexEntry{}
	for _, r := range s.repoOrder {
		open := 0
		for _, p := range r.pulls {
			if p.closed == nil {
				open++
			}
		}
		entries = append(entries, indexEntry{r.fullName(), r.private, open, len(r.pulls)})
	}
	return entries
}

type listPage struct {
	Name  string
	Pulls []pullLine
}

// pullLine is a pull request in a list, and the head of its own page.
type pullLine struct {
	Number                    int
	Title, State, Author      string
	Created                   time.Time
	Comments                  int
	Labels                    []string
	From, Into, Repo, HeadSHA string
}

func pullLines(r *repository) []pullLine {
	var lines []pullLine
	for _, p := range slices.Backward(r.pulls) {
		lines = append(lines, lineOf(p))
	}
	return lines
}

func lineOf(p *pull) pullLine {
	state := p.state()
	switch {
	case p.merged != nil:
		state = "merged"
	case p.draft && p.closed == nil:
		state = "draft"
	}
	line := pullLine{
		Number: p.number, Title: p.title, State: state, Author: p.author.login, Created: p.created,
		Comments: len(p.repo.conversation(p)), From: p.head.ref, Into: p.baseRef, Repo: p.repo.fullName(), HeadSHA: p.head.sha,
	}
	if p.head.repo != p.repo {
		line.From = p.head.repo.owner.login + ":" + p.head.ref
	}
	for _, l := range p.labels {
		line.Labels = append(line.Labels, l.name)
	}
	return line
}

type pullPage struct {
	pullLine
	Entries     []entry
	Commits     []commitLine
	Checks      []checkEntry
	Statuses    []statusEntry
	Deployments []deploymentEntry
	Files       []fileDiff
	Added       int
	Deleted     int
}

// entry is one thing in the conversation.
type entry struct {
	ID        string
	Kind      string // comment, review or event
	Author    string
	Bot       bool
	At        time.Time
	order     int64 // among what was said in the same second
	Edited    bool
	Says      string // what a review or an event was
	State     string // of a review
	Body      string
	Reactions []reactionCount
}

type reactionCount struct {
	Content string
	Count   int
}

type commitLine struct{ SHA, Title, Author string }

type checkEntry struct {
	Name, State           string
	Title, Summary, Text  string
	Details               string
	ExternalID            string
	Annotations           []annotation
	Actions               []checkAction
	HasOutput, HasDetails bool
}

type statusEntry struct{ Context, State, Description, Target string }

type deploymentEntry struct {
	Environment, Repo, SHA, State string
	Statuses                      []statusEntry
}

func (s *Sim) pullPage(p *pull) pullPage {
	page := pullPage{pullLine: lineOf(p), Entries: conversationPage(p)}
	r := p.repo
	commits, _ := r.git.log("--reverse", p.baseSHA+".."+p.head.sha) // a page without them is better than none
	for _, c := range commits {
		title, _, _ := strings.Cut(c.message, "\n")
		page.Commits = append(page.Commits, commitLine{c.sha, title, c.author})
	}
	page.Checks = checksOf(r, p.head.sha)
	latest, _ := r.latest(p.head.sha)
	for _, st := range latest {
		page.Statuses = append(page.Statuses, statusEntry{st.context, st.state, deref(st.description), deref(st.targetURL)})
	}
	page.Deployments = deploymentsOf(r, p.head.sha, p.mergeSHA)
	size := p.measure()
	page.Added, page.Deleted = size.added, size.deleted
	page.Files = diffOf(r.git, p.baseSHA+"..."+p.head.sha)
	return page
}

// checksOf are the newest runs of a commit, one of each name.
func checksOf(r *repository, sha string) []checkEntry {
	var found []checkEntry
	seen := map[string]bool{}
	for _, k := range slices.Backward(r.checks) {
		if k.head == sha && !seen[k.name] {
			seen[k.name] = true
			found = append(found, checkOf(k))
		}
	}
	return found
}

// deploymentsOf are those of some commits, the newest first.
func deploymentsOf(r *repository, shas ...string) []deploymentEntry {
	var found []deploymentEntry
	for _, d := range slices.Backward(r.deployments) {
		if !slices.Contains(shas, d.sha) {
			continue
		}
		made := deploymentEntry{Environment: d.environment, Repo: r.fullName(), SHA: d.sha, State: "pending"}
		for _, st := range d.statuses {
			made.State = st.state
			made.Statuses = append(made.Statuses, statusEntry{State: st.state, Description: st.description, Target: st.logURL})
		}
		found = append(found, made)
	}
	return found
}

// checkOf says of a run that is not completed what its status is, and of one that
// is its conclusion.
func checkOf(k *checkRun) checkEntry {
	state := k.status
	if k.conclusion != nil {
		state = *k.conclusion
	}
	return checkEntry{
		Name: k.name, State: state, Title: deref(k.title), Summary: deref(k.summary), Text: deref(k.text), Details: k.detailsURL,
		ExternalID: k.externalID, Annotations: k.annotations, Actions: k.actions, HasOutput: k.summary != nil, HasDetails: k.detailsURL != "",
	}
}

// conversationPage puts what was said and what happened in the order of time.
func conversationPage(p *pull) []entry {
	body := deref(p.body)
	if body == "" {
		body = "*No description.*"
	}
	entries := []entry{{ID: "description", Kind: "comment", Author: p.author.login, Bot: p.author.kind == "Bot", At: p.created, order: p.id, Body: body}}
	for _, k := range p.repo.conversation(p) {
		entries = append(entries, entry{
			ID: "issuecomment-" + strconv.FormatInt(k.id, 10), Kind: "comment", Author: k.author.login, Bot: k.author.kind == "Bot",
			At: k.created, order: k.id, Edited: k.edited, Body: k.body, Reactions: countReactions(k),
		})
	}
	for _, v := range p.reviews {
		says := map[string]string{"APPROVED": "approved", "CHANGES_REQUESTED": "requested changes to", "COMMENTED": "reviewed"}[v.state]
		if says == "" {
			continue
		}
		entries = append(entries, entry{
			ID: "pullrequestreview-" + strconv.FormatInt(v.id, 10), Kind: "review", Author: v.author.login, Bot: v.author.kind == "Bot",
			At: v.submitted, order: v.id, Says: says + " " + v.commit[:7], State: strings.ToLower(v.state), Body: v.body,
		})
	}
	if p.merged != nil {
		says := "merged " + p.mergeSHA[:7] + " into " + p.baseRef
		entries = append(entries, entry{Kind: "event", Author: p.mergedBy.login, At: *p.merged, order: math.MaxInt64, Says: says, State: "merged"})
	} else if p.closed != nil {
		entries = append(entries, entry{Kind: "event", At: *p.closed, order: math.MaxInt64, Says: "The pull request was closed", State: "closed"})
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.order, b.order))
	})
	return entries
}

func countReactions(k *comment) []reactionCount {
	var counts []reactionCount
	for _, content := range contents {
		count := 0
		for _, given := range k.reactions {
			if given.content == content {
				count++
			}
		}
		if count > 0 {
			counts = append(counts, reactionCount{content, count})
		}
	}
	return counts
}

// fileDiff is what a pull request changes in one file.
type fileDiff struct {
	Name           string
	Added, Deleted int
	Lines          []diffLine
	Cut            bool
}

type diffLine struct{ Class, Text string }

// maxShown is how many lines of one file a page shows.
const maxShown = 1000

func diffOf(git bare, between ...string) []fileDiff {
	out, _ := git.run(append([]string{"diff", "--no-color", "--no-ext-diff"}, between...)...) // a page without it is better than none
	var files []fileDiff
	for _, part := range strings.Split("\n"+out, "\ndiff --git ")[1:] {
		head, hunks, _ := strings.Cut(part, "\n@@")
		_, name, _ := strings.Cut(strings.SplitN(head, "\n", 2)[0], " b/")
		file := fileDiff{Name: name}
		if hunks == "" {
			file.Lines = append(file.Lines, diffLine{"hunk", "Nothing to show: a binary file, or only its name or its mode."})
		} else {
			file.take("@@" + strings.TrimSuffix(hunks, "\n"))
		}
		files = append(files, file)
	}
	return files
}

func (f *fileDiff) take(hunks string) {
	for line := range strings.SplitSeq(hunks, "\n") {
		class := diffClass(line)
		switch class {
		case "add":
			f.Added++
		case "del":
			f.Deleted++
		}
		if len(f.Lines) < maxShown {
			f.Lines = append(f.Lines, diffLine{class, line})
		} else {
			f.Cut = true
		}
	}
}
