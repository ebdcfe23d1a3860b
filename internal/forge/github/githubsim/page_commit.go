package githubsim

import (
	"slices"
	"strconv"
	"strings"
)

type issuesList struct {
	Name   string
	Issues []issuePage
}

func issuesPage(r *repository) issuesList {
	page := issuesList{Name: r.fullName()}
	for _, i := range slices.Backward(r.issues) {
		page.Issues = append(page.Issues, issueOf(r, i))
	}
	return page
}

// issuePage is an issue that is no pull request.
type issuePage struct {
	Number                     int
	Repo, Title, State, Author string
	Entry                      entry
}

func issueOf(r *repository, i *issue) issuePage {
	return issuePage{
		Number: i.number, Repo: r.fullName(), Title: i.title, State: i.state(), Author: i.author.login,
		Entry: entry{Kind: "comment", Author: i.author.login, Bot: i.author.kind == "Bot", At: i.created, Body: deref(i.body)},
	}
}

// commitPage is a commit with what was said about it.
type commitPage struct {
	Repo, SHA, Title, Text, Author string
	Pulls                          []int // by whose merge it came
	Entries                        []entry
	Checks                         []checkEntry
	Deployments                    []deploymentEntry
	Files                          []fileDiff
}

// commitPageOf is nil for what is no commit.
func commitPageOf(r *repository, name string) *commitPage {
	sha := r.git.commit(name)
	if sha == "" {
		return nil
	}
	found, err := r.git.log("--max-count=1", sha)
	if err != nil || len(found) == 0 {
		return nil
	}
	title, text, _ := strings.Cut(found[0].message, "\n")
	page := &commitPage{
		Repo: r.fullName(), SHA: sha, Title: title, Text: strings.TrimSpace(text), Author: found[0].author,
		Checks: checksOf(r, sha), Deployments: deploymentsOf(r, sha),
	}
	if parents := found[0].parents; len(parents) > 0 {
		page.Files = diffOf(r.git, parents[0], sha)
	}
	for _, p := range r.pulls {
		if p.brought.contains(sha, r.git) {
			page.Pulls = append(page.Pulls, p.number)
		}
	}
	for _, k := range r.remarksOn(sha) {
		page.Entries = append(page.Entries, entry{
			ID: "commitcomment-" + strconv.FormatInt(k.id, 10), Kind: "comment", Author: k.author.login, Bot: k.author.kind == "Bot",
			At: k.created, Edited: k.updated.After(k.created), Body: k.body,
		})
	}
	return page
}
