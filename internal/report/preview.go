// Package report turns what Davit found out into what people and programs read:
// Markdown inside a forge's limits, text for a terminal, JSON by a contract.
//
// It is pure. It decides nothing, and it never sees a value of a Secret: what it
// gets is masked. Text from manifests is inert in everything it writes.
package report

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/policy"
)

// Preview is what a change does to everything a repository deploys, and the
// contract that "davit preview -o json" prints: fields are added to it, never
// changed.
type Preview struct {
	Version int    `json:"version"` // of the contract: 1
	Base    string `json:"base"`    // full commit ids
	Head    string `json:"head"`
	// Uncommitted says that head includes changes that are in no commit yet.
	Uncommitted bool     `json:"uncommitted,omitempty"`
	Targets     []Target `json:"targets"` // what was rendered at head, or is gone, by name
	// Errors are what is wrong with the repository as a whole.
	Errors []Error  `json:"errors,omitempty"`
	Notes  []string `json:"notes,omitempty"` // sentences
	Stats  Stats    `json:"stats"`
}

// Stats counts the work. Targets are all of both revisions, Affected those whose
// inputs differ, Rendered the renders that were done and Cached those that were
// saved.
type Stats struct {
	Targets  int   `json:"targets"`
	Affected int   `json:"affected"`
	Rendered int   `json:"rendered"`
	Cached   int   `json:"cached"`
	Ms       int64 `json:"ms"`
}

// Status is what a change does to one target.
type Status string

// The statuses.
const (
	Changed   Status = "changed"
	Unchanged Status = "unchanged" // its inputs changed, its objects did not
	Added     Status = "added"
	Removed   Status = "removed"
	Failed    Status = "error"
)

// Target is one target of a Preview.
type Target struct {
	Name        string           `json:"name"`
	Path        string           `json:"path"`
	Claimant    string           `json:"claimant"`
	Renderer    string           `json:"renderer"`
	Environment string           `json:"environment"`
	Cluster     string           `json:"cluster"`
	Status      Status           `json:"status"`
	Error       *Error           `json:"error,omitempty"`
	Why         []string         `json:"why"` // the paths it reads that changed
	Changes     []Change         `json:"changes"`
	Findings    []policy.Finding `json:"findings"`
	*Live                        // nil if no cluster was asked
}

// Error is a problem and whether the change brought it.
type Error struct {
	manifest.Problem
	State policy.State `json:"state"` // new or existing
}

// Change is one object of a target that differs: between the two revisions, or, if a
// cluster was asked, between the head and the cluster.
type Change struct {
	Action    string `json:"action"` // create, update, delete; of what only the cluster has otherwise, what happens to it there
	Group     string `json:"group"`
	Version   string `json:"version"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Diff      string `json:"diff"` // unified hunks of masked YAML; empty if the revisions agree
	*Planned         // nil if no cluster was asked, or it could not answer

	// Object is the name as people read it. Renamed is, on an object generated
	// under the hash of its content, the name it had with other content; Diff then
	// is for programs and RenamedDiff, between the two, for people. Replaced says
	// of a deleted object that it is told together with the one it became.
	Object      string `json:"-"`
	Renamed     string `json:"-"`
	RenamedDiff string `json:"-"`
	Replaced    bool   `json:"-"`
}

//go:embed preview.schema.json
var previewSchema string

// PreviewSchema is the JSON Schema of the contract.
func PreviewSchema() string { return previewSchema }

// Exit codes of a preview, and of a plan.
const (
	ExitClean   = 0
	ExitBlocked = 1 // a new finding of severity error, or an object that may not be applied
	ExitBroken  = 2 // something fails at head that did not fail at base, can't be planned or would be refused
	ExitUsage   = 3 // flags or revisions that are none
)

// ExitCode is what a preview means to a script.
func (p Preview) ExitCode() int {
	code := ExitClean
	for _, e := range p.Errors {
		if e.State == policy.New {
			return ExitBroken
		}
	}
	for _, t := range p.Targets {
		if t.Error != nil && t.Error.State == policy.New {
			return ExitBroken
		}
		if t.Live.fails() {
			return ExitBroken
		}
		if policy.Blocks(t.Findings) || t.Live.blocks() {
			code = ExitBlocked
		}
	}
	return code
}

// Undecided reports whether nothing is known to be wrong, but for clusters that could
// not be asked.
func (p Preview) Undecided() bool {
	answered := p
	answered.Targets = slices.Clone(p.Targets)
	for i := range answered.Targets {
		if l := answered.Targets[i].Live; l != nil && l.Unplanned != nil {
			answered.Targets[i].Live = nil
		}
	}
	return p.ExitCode() == ExitBroken && answered.ExitCode() == ExitClean
}

// JSON is the contract, indented, with a line feed.
func (p Preview) JSON() (string, error) {
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encode the preview: %w", err)
	}
	return string(data) + "\n", nil
}

// counts are the changes of a target as people count them: an object that only
// got another hash in its name is updated.
type counts struct{ create, update, delete int }

func (t Target) counts() counts {
	var c counts
	for _, change := range t.Changes {
		switch {
		case change.Replaced, !change.inGit():
		case change.Renamed != "" || change.Action == "update":
			c.update++
		case change.Action == "create":
			c.create++
		case change.Action == "delete":
			c.delete++
		}
	}
	return c
}

func (c counts) total() int { return c.create + c.update + c.delete }

func (c counts) plus(d counts) counts {
	return counts{c.create + d.create, c.update + d.update, c.delete + d.delete}
}

// String prints "+1 ~2 −3", without what is zero.
func (c counts) String() string {
	var parts []string
	for _, part := range []struct {
		sign  string
		count int
	}{{"+", c.create}, {"~", c.update}, {"−", c.delete}} {
		if part.count > 0 {
			parts = append(parts, fmt.Sprintf("%s%d", part.sign, part.count))
		}
	}
	return strings.Join(parts, " ")
}

// tally counts findings as a table shows them.
type tally struct{ errors, warnings, infos, existing, fixed int }

func tallyOf(findings []policy.Finding) tally {
	var t tally
	for _, f := range findings {
		switch {
		case f.State == policy.Fixed:
			t.fixed++
		case f.State == policy.Existing:
			t.existing++
		case f.Severity == policy.Error:
			t.errors++
		case f.Severity == policy.Warning:
			t.warnings++
		default:
			t.infos++
		}
	}
	return t
}

func (t tally) plus(u tally) tally {
	return tally{t.errors + u.errors, t.warnings + u.warnings, t.infos + u.infos, t.existing + u.existing, t.fixed + u.fixed}
}

// String prints "1 new error, 2 new warnings, 1 existing", or nothing.
func (t tally) String() string {
	var parts []string
	add := func(count int, what string) {
		if count > 0 {
			parts = append(parts, what)
		}
	}
	add(t.errors, number(t.errors, "new error"))
	add(t.warnings, number(t.warnings, "new warning"))
	add(t.infos, number(t.infos, "new remark"))
	add(t.existing, fmt.Sprintf("%d existing", t.existing))
	add(t.fixed, fmt.Sprintf("%d fixed", t.fixed))
	return strings.Join(parts, ", ")
}

// number prints "1 target" or "2 targets".
func number(count int, noun string) string {
	if count == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", count, noun)
}

func short(commit string) string {
	if len(commit) > 7 {
		return commit[:7]
	}
	return commit
}

// Headline is the whole preview in one line, as plain text.
func (p Preview) Headline() string {
	var changed, failed int
	var objects counts
	var findings tally
	for _, t := range p.Targets {
		objects, findings = objects.plus(t.counts()), findings.plus(tallyOf(t.Findings))
		switch {
		case t.Error != nil:
			failed++
		case t.Status != Unchanged:
			changed++
		}
	}
	parts := []string{"nothing changes"}
	if changed > 0 {
		parts[0] = fmt.Sprintf("%s changed (%s)", number(changed, "target"), objects)
		if objects.total() == 0 {
			parts[0] = number(changed, "target") + " changed, no objects"
		}
	}
	if failed > 0 {
		parts = append(parts, number(failed, "target")+" can't be rendered")
		if changed == 0 {
			parts = parts[1:]
		}
	}
	if text := p.live(); text != "" {
		parts = append(parts, text)
	}
	if text := findings.String(); text != "" {
		parts = append(parts, text)
	}
	return strings.Join(parts, " · ")
}

// danger orders targets: what fails first, then what policy stops, then what
// deletes, then the rest; each by name.
func (t Target) danger() int {
	findings := tallyOf(t.Findings)
	switch {
	case t.Error != nil && t.Error.State == policy.New, t.Live.fails():
		return 0
	case findings.errors > 0, t.Live.blocks():
		return 1
	case t.Status == Removed || t.counts().delete > 0:
		return 2
	case t.Error != nil:
		return 3
	case t.Status == Unchanged && !t.Live.changes():
		return 6
	case findings.warnings > 0:
		return 4
	}
	return 5
}
