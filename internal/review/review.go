// Package review decides what Davit says of a pull request, and what follows from what
// people say there: facts in, one Batch of the ledger out.
//
// It is pure. It writes nothing itself, asks nobody, and knows no forge: what is to be
// written is a value with a key. It looks only at facts that were read anew; what an
// event claims decides nothing.
package review

import (
	"fmt"
	"time"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
)

// CheckName is what the check is called; branch protection names it.
const CheckName = "davit"

// Look says what follows from a pull request being as it is: a new review if something
// changed that the last one rests on, and the end of one that is going on if the pull
// request is.
func Look(row ledger.Pull, pr gitops.PullRequest) ledger.Batch {
	before := row.PullRequest
	open := pr.State == gitops.Open
	switch {
	case !Differs(row, pr):
		return ledger.Batch{}
	case row.Version == 0 && !open:
		return ledger.Batch{} // it ended before anybody here knew of it
	case open && (row.Version == 0 || before.State != gitops.Open || restsOn(before) != restsOn(pr) || troubled(row)):
		return Again(row, pr)
	}
	var b ledger.Batch
	if !open && before.State == gitops.Open {
		b = supersede(row)
		row.Done = row.Turn
	}
	if pr.State == gitops.Merged && before.State != gitops.Merged {
		b.Steps = append(b.Steps, ledger.Step{Kind: ledger.Roll, Key: pr.Repo.String(), Turn: pr.Updated.UnixMilli()})
	}
	row.PullRequest = pr
	b.Pulls = []ledger.Pull{row}
	return b
}

// restsOn are the facts that a review rests on.
func restsOn(pr gitops.PullRequest) [4]any {
	return [4]any{pr.Head, pr.Base.Repo, pr.Base.Branch, pr.Private}
}

// Again asks for a review of a pull request that is open, instead of one that is going
// on.
func Again(row ledger.Pull, pr gitops.PullRequest) ledger.Batch {
	var b ledger.Batch
	if pr.Head.Commit != row.Head.Commit {
		b = supersede(row)
		row.Attempt, row.Annotated = row.Attempt+1, "" // no number comes twice: a branch can be set back
	}
	row.PullRequest, row.Quiet, row.Wants = pr, false, ""
	row.Turn++
	check := check(row)
	if untrusted(row, pr) {
		row.Done = row.Turn
		check.Conclusion = forge.Waiting
		check.Title = "Nobody has let Davit look at this commit of a fork yet"
		check.Summary = fmt.Sprintf("This pull request comes from another repository. Somebody with write permission can look at what it changes and then comment `/ok-to-test %s`.", pr.Head.Commit)
	} else {
		check.Title = "Davit is looking at " + short(pr.Head.Commit)
		b.Steps = []ledger.Step{{Kind: ledger.Review, Key: row.Name(), Turn: row.Turn}}
	}
	b.Effects = append(b.Effects, checkEffect(row, check))
	b.Pulls = []ledger.Pull{row}
	return b
}

// untrusted reports whether people without write permission could have made a pull
// request's content, and nobody with it has looked at it.
func untrusted(row ledger.Pull, pr gitops.PullRequest) bool {
	return pr.FromFork() && row.Trusted != pr.Head.Commit
}

// supersede ends the check of a review that is going on: whoever looks at the old commit
// must not see it wait for ever.
func supersede(row ledger.Pull) ledger.Batch {
	if row.Done >= row.Turn || row.Quiet {
		return ledger.Batch{}
	}
	return ledger.Batch{Effects: []ledger.Effect{dropped(row)}}
}

// dropped ends the check of a row's head because of another one.
func dropped(row ledger.Pull) ledger.Effect {
	c := check(row)
	c.Conclusion, c.Title = forge.Dropped, "Something newer took its place"
	return checkEffect(row, c)
}

// Moved says what follows from the branch moving to a commit that a pull request would
// be merged into: another review, of which people hear only if it finds something else.
func Moved(row ledger.Pull, commit string, now time.Time) ledger.Batch {
	switch {
	case row.Tip == commit || row.Done < row.Turn && row.Wants == commit || untrusted(row, row.PullRequest):
		return ledger.Batch{}
	case row.Done < row.Turn: // the one that is going on may have begun before
		row.Wants = commit
		return ledger.Batch{Pulls: []ledger.Pull{row}}
	}
	return quietly(row, now)
}

// pause is the least time between two reviews that nobody asked for.
const pause = time.Minute

func quietly(row ledger.Pull, now time.Time) ledger.Batch {
	row.Turn++
	step := ledger.Step{Kind: ledger.Review, Key: row.Name(), Turn: row.Turn, Idle: true}
	if at := row.Moved.Add(pause); at.After(now) && at.Before(now.Add(2*pause)) { // else a clock was set
		step.At, now = at, at
	}
	row.Quiet, row.Wants, row.Moved = true, "", now
	return ledger.Batch{Pulls: []ledger.Pull{row}, Steps: []ledger.Step{step}}
}

// check is the check of a row's head, which is going on. However often a commit is looked
// at, it is one artefact, written by one step at a time: were each turn's its own, a late
// one would be the newest that people see.
func check(row ledger.Pull) forge.Check {
	return forge.Check{
		Repo: row.Repo, Commit: row.Head.Commit, Name: CheckName,
		Key: fmt.Sprintf("%d/%s/%d", row.Number, short(row.Head.Commit), row.Attempt),
	}
}

func checkEffect(row ledger.Pull, c forge.Check) ledger.Effect {
	return ledger.Effect{Key: fmt.Sprintf("check/%s/%s/%d", row.Name(), c.Commit, row.Attempt), Forge: row.Repo.Forge, Turn: row.Turn, Check: &c}
}

func commentEffect(row ledger.Pull, key, body string) ledger.Effect {
	return ledger.Effect{Key: "comment/" + row.Name() + "/" + key, Forge: row.Repo.Forge,
		Comment: &forge.Comment{Repo: row.Repo, Number: row.Number, Key: key, Body: body}}
}

func short(commit string) string { return commit[:min(7, len(commit))] }

// Differs reports whether anything about a pull request is not as it is remembered.
func Differs(row ledger.Pull, pr gitops.PullRequest) bool {
	before := row.PullRequest
	same := before.Updated.Equal(pr.Updated)
	before.Updated = pr.Updated
	return row.Version == 0 || !same || before != pr || troubled(row)
}

// troubled reports whether the last review ended because Davit could not do its work.
func troubled(row ledger.Pull) bool {
	return row.State == gitops.Open && row.Done == row.Turn && row.Digest == "" && !untrusted(row, row.PullRequest)
}
