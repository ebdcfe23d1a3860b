package bot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/ledger"
	"github.com/davitops/davit/internal/rollout"
	"github.com/davitops/davit/internal/survey"
)

// Rollouts are the rows about what goes out.
type Rollouts interface {
	// Branch returns a row at version 0 for a repository that was never looked at.
	Branch(ctx context.Context, repo gitops.Repo) (ledger.Branch, error)
	Rollout(ctx context.Context, id string) (ledger.Rollout, error)
	LiveRollouts(ctx context.Context, repo gitops.Repo) ([]ledger.Rollout, error)
	Deployed(ctx context.Context, repo gitops.Repo) (map[string]ledger.Deployed, error)
	Shown(ctx context.Context, keys []string) ([]ledger.Shown, error)
	Journal(ctx context.Context, rollout, target string) ([]ledger.Note, error)
	// Commit is for the journal alone: it is kept before and after each thing that is done.
	Commit(ctx context.Context, b ledger.Batch) error
}

// Copy is a local copy of a repository, up to date when it was opened.
type Copy interface {
	// Deploys is the branch that is deployed, and where it is; it is nowhere if there is none.
	// Where nobody can read which it is, it is the one that was known.
	Deploys(ctx context.Context, standard, known string) (branch, tip string, err error)
	// Has reports whether a commit is there still.
	Has(ctx context.Context, commit string) (bool, error)
	Tree(ctx context.Context, commit string) (survey.Tree, error)
	// Merge returns what merging a commit into another makes; nil if they conflict.
	Merge(ctx context.Context, base, head string) (survey.Tree, error)
	// Between are the commits that came onto a branch between two of its commits; all is
	// false if there are more than anybody asks about.
	Between(ctx context.Context, before, after string) (commits []string, all bool, err error)
	Undo(ctx context.Context, u Undoing) (rollout.Reversal, error)
	// Push makes a branch, and returns where it is: somebody may have made it before.
	Push(ctx context.Context, to forge.Source, branch, commit string) (there string, err error)
	Close() error
}

// Undoing is what to undo on a branch: the files of Before come back in the place of those
// of After.
type Undoing struct {
	Before, After, Branch string
	Paths                 []string
	As                    string // the branch of ours that the commit is for
	Message               string
	At                    time.Time // for the commit: done twice, it is the same one
}

// roll opens a rollout of what came onto the deployed branch of a repository.
func (b *Bot) roll(ctx context.Context, step ledger.Step) (ledger.Batch, error) {
	name := step.Key
	repo, valid := gitops.ParseRepo(name)
	if !valid {
		return ledger.Batch{}, &ledger.Hopeless{Err: fmt.Errorf("%q is no repository", name)}
	}
	row, err := b.Ledger.Branch(ctx, repo)
	if err != nil {
		return ledger.Batch{}, err
	}
	f, local, repository, err := b.open(ctx, repo)
	if err != nil {
		return ledger.Batch{}, err
	}
	defer b.closes(local)
	branch, tip, err := local.Deploys(ctx, repository.Default, row.Name)
	if err != nil || tip == "" || row.Name == branch && row.Commit == tip {
		return ledger.Batch{}, err
	}
	row.Repo = repo
	known := row.Version > 0 && row.Name == branch
	if known {
		if known, err = local.Has(ctx, row.Commit); err != nil {
			return ledger.Batch{}, err
		}
	}
	if !known {
		if row.Version > 0 {
			b.Log.Warn("another branch is deployed from now on, or its history is another one; nothing goes out", "repository", name, "branch", branch, "commit", tip, "before", row.Commit)
		}
		return rollout.First(row, branch, tip), nil
	}
	return b.opening(ctx, f, local, time.UnixMilli(step.Turn), rollout.Opening{Branch: row, Repository: repository, Name: branch, Tip: tip, Now: b.Now()})
}

// open brings the copy of a repository up to date.
func (b *Bot) open(ctx context.Context, repo gitops.Repo) (forge.Forge, Copy, forge.Repository, error) {
	f, err := b.forge(repo.Forge)
	if err != nil {
		return nil, nil, forge.Repository{}, err
	}
	repository, err := f.Repository(ctx, repo)
	if err != nil {
		return nil, nil, repository, patient(err)
	}
	source, err := f.Source(ctx, repo)
	if err != nil {
		return nil, nil, repository, patient(err)
	}
	local, err := b.Mirrors.Open(ctx, repo, source)
	return f, local, repository, err
}

// patient is an error of a forge as a rollout takes it: what it forbids or does not find may
// be back soon, and nothing that goes out is given up.
func patient(err error) error {
	if forge.ClassOf(err) == forge.Limited {
		return told(err)
	}
	return err
}

// at opens the copy of a repository where it has a commit, and brings it up to date only if
// it does not.
func (b *Bot) at(ctx context.Context, repo gitops.Repo, commit string) (Copy, error) {
	local, err := b.Mirrors.Local(ctx, repo)
	if err != nil {
		return nil, err
	}
	has, err := local.Has(ctx, commit)
	if err == nil && has {
		return local, nil
	}
	b.closes(local)
	if err != nil {
		return nil, err
	}
	_, local, _, err = b.open(ctx, repo)
	return local, err
}

func (b *Bot) closes(local Copy) {
	if err := local.Close(); err != nil {
		b.Log.Warn("a mirror does not close", "error", err)
	}
}

// opening gathers what a rollout is opened with.
func (b *Bot) opening(ctx context.Context, f forge.Forge, local Copy, asked time.Time, o rollout.Opening) (ledger.Batch, error) {
	repo := o.Branch.Repo
	before, err := local.Tree(ctx, o.Branch.Commit)
	if err != nil {
		return ledger.Batch{}, err
	}
	after, err := local.Tree(ctx, o.Tip)
	if err != nil {
		return ledger.Batch{}, err
	}
	found, err := b.Surveyor.Affected(ctx, survey.Question{Base: before, Head: after})
	if err != nil {
		return ledger.Batch{}, err
	}
	if o.Pulls, o.Pushed, err = b.merged(ctx, f, local, o); err != nil {
		return ledger.Batch{}, err
	}
	if o.Pushed {
		if err := b.lagging(ctx, o, asked); err != nil {
			return ledger.Batch{}, err
		}
	}
	if len(o.Pulls) == 1 && !o.Pushed && rollout.IsRevert(o.Pulls[0].Head.Branch) {
		made, err := local.Merge(ctx, o.Branch.Commit, o.Pulls[0].Head.Commit)
		if err != nil {
			return ledger.Batch{}, err
		}
		o.Exact = made != nil && len(survey.Changed(made, after)) == 0
	}
	if len(found.Problems) > 0 {
		return rollout.Misconfigured(o, found.Problems), nil
	}
	deployer := b.Clusters.Deployer(repo)
	for _, a := range found.Affected {
		cluster, refusal := deployer.Place(a.Target)
		if refusal != "" {
			b.Log.Debug("a target is not deployed", "repository", repo.String(), "target", a.Target.Name(), "why", refusal)
			continue
		}
		o.Affected = append(o.Affected, rollout.Affected{Target: a.Target, Cluster: cluster, Removed: a.Removed})
	}
	o.Config, o.Shows = found.Config, b.Clusters.Shows(repo, o.Repository.Private)
	if o.Live, err = b.Ledger.LiveRollouts(ctx, repo); err != nil {
		return ledger.Batch{}, err
	}
	if o.Deployed, err = b.Ledger.Deployed(ctx, repo); err != nil {
		return ledger.Batch{}, err
	}
	return rollout.Open(o), nil
}

// merged are the pull requests by which a branch came to where it is, and whether anything
// came by none.
func (b *Bot) merged(ctx context.Context, f forge.Forge, local Copy, o rollout.Opening) (pulls []gitops.PullRequest, pushed bool, err error) {
	commits, all, err := local.Between(ctx, o.Branch.Commit, o.Tip)
	if err != nil {
		return nil, false, err
	}
	known := map[int]bool{}
	for _, commit := range commits {
		by, err := f.Merged(ctx, o.Branch.Repo, commit)
		if err != nil {
			return nil, false, patient(err)
		}
		came := false
		for _, pr := range by {
			if pr.Base.Branch != o.Name {
				continue
			}
			if came = true; !known[pr.Number] {
				known[pr.Number] = true
				pulls = append(pulls, pr)
			}
		}
		pushed = pushed || !came
	}
	return pulls, pushed || !all, nil
}

// lag is how long a forge may need to say which pull request a commit came by.
const lag = 10 * time.Second

// lagging waits a moment where a commit seems to have come by no pull request, while there
// is one that it may have come by.
func (b *Bot) lagging(ctx context.Context, o rollout.Opening, asked time.Time) error {
	if b.Now().Sub(asked) > lag {
		return nil
	}
	open, err := b.Ledger.OpenPulls(ctx, o.Branch.Repo)
	if err != nil {
		return err
	}
	for _, row := range open {
		if row.Base.Branch == o.Name && !slices.ContainsFunc(o.Pulls, func(pr gitops.PullRequest) bool { return pr.Number == row.Number }) {
			return &ledger.Later{Until: b.Now().Add(2 * time.Second), Err: errBehind}
		}
	}
	return nil
}

// facts of a rollout.
func (b *Bot) rollout(ctx context.Context, id string) (rollout.Facts, error) {
	r, err := b.Ledger.Rollout(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) {
		return rollout.Facts{}, &ledger.Hopeless{Err: err}
	}
	if err != nil {
		return rollout.Facts{}, err
	}
	facts := rollout.Facts{Rollout: r, Now: b.Now()}
	if facts.Live, err = b.Ledger.LiveRollouts(ctx, r.Repo); err != nil {
		return facts, err
	}
	facts.Deployed, err = b.Ledger.Deployed(ctx, r.Repo)
	return facts, err
}

// advance starts what may start of a rollout.
func (b *Bot) advance(ctx context.Context, step ledger.Step) (ledger.Batch, error) {
	facts, err := b.rollout(ctx, step.Key)
	if err != nil {
		return ledger.Batch{}, err
	}
	facts.GivenUp = step.Turn == 0 // it is the ledger's own, which looks after what was given up
	if facts.Numbers, err = b.numbers(ctx, facts.Rollout); err != nil {
		return ledger.Batch{}, err
	}
	return rollout.Advance(facts), nil
}

// numbers are those of the pull requests that revert the targets of a rollout.
func (b *Bot) numbers(ctx context.Context, r ledger.Rollout) (map[string]int, error) {
	numbers := map[string]int{}
	for _, d := range r.Targets {
		if d.Revert.Branch == "" || d.Revert.Number > 0 {
			continue
		}
		name := d.Target.Name()
		e, err := b.Ledger.Effect(ctx, rollout.ProposalKey(r, name))
		if errors.Is(err, ledger.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if number, err := strconv.Atoi(e.Artefact); err == nil {
			numbers[name] = number
		} else if e.Refused != "" {
			numbers[name] = rollout.NoNumber
		}
	}
	return numbers, nil
}

// deployment returns the facts of the rollout that a step is about, and its target. It
// reports false for a step that something newer took the place of.
func (b *Bot) deployment(ctx context.Context, step ledger.Step) (facts rollout.Facts, d ledger.Deployment, current bool, err error) {
	id, name, _ := strings.Cut(step.Key, " ")
	if facts, err = b.rollout(ctx, id); err != nil {
		return facts, d, false, err
	}
	at := facts.Rollout.Find(name)
	if at < 0 {
		return facts, d, false, &ledger.Hopeless{Err: fmt.Errorf("the rollout %s has no target %s", id, name)}
	}
	d = facts.Rollout.Targets[at]
	return facts, d, d.Turn == step.Turn, nil
}
