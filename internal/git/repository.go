// Package git works on repositories through the git program: commits as entries
// plus Read, the merge of two commits, a work tree as if it were committed, bare
// mirrors of remote repositories, complete in branches and tags, commits that undo
// others, and branches that are pushed.
//
// It never changes a repository it did not make itself, except that Push adds a
// branch to one, and never moves a branch: what a merge, an undoing or a work tree
// needs written goes into a scratch directory of objects. It runs git with argument
// vectors only, an environment of its own and no hooks, and never follows a name out
// of a manifest.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ErrUnknownRevision is what a name that is no commit of the repository answers.
var ErrUnknownRevision = errors.New("unknown revision")

// ErrNoRepository is what a directory outside of any repository answers.
var ErrNoRepository = errors.New("not a git repository")

// Repository is one repository on this machine. Close it: it holds a process
// and a scratch directory. Its methods may be called concurrently.
type Repository struct {
	program string            // the git program
	dir     string            // the git directory
	top     string            // the work tree, or empty
	env     []string          // of every git that runs here
	hide    *strings.Replacer // takes out of errors what nobody may read; nil takes out nothing
	scratch string
	objects *objects
	release func() // what Close does besides, or nil
}

// Open opens the repository that dir is in.
func Open(ctx context.Context, dir string) (*Repository, error) {
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("find the git program: %w", err)
	}
	r := &Repository{program: program, env: localEnvironment()}
	out, err := r.run(ctx, dir, "rev-parse", "--is-bare-repository", "--absolute-git-dir")
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("open %s: %w", dir, ctx.Err())
		}
		return nil, fmt.Errorf("open %s: %w: %w", dir, ErrNoRepository, err)
	}
	bare, gitDir, _ := strings.Cut(out, "\n")
	r.dir = strings.TrimSuffix(gitDir, "\n")
	if bare == "false" {
		// Inside of the git directory itself there is no work tree either.
		if out, err = r.run(ctx, dir, "rev-parse", "--show-toplevel"); err == nil {
			r.top = strings.TrimSuffix(out, "\n")
		}
	}
	store, err := r.run(ctx, dir, "rev-parse", "--path-format=absolute", "--git-path", "objects")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	if err := r.useScratch(strings.TrimSuffix(store, "\n")); err != nil {
		return nil, err
	}
	return r, nil
}

// useScratch makes every object that git writes from here on land in a
// directory of its own, which goes with Close.
func (r *Repository) useScratch(store string) error {
	scratch, err := os.MkdirTemp("", "davit-git-")
	if err != nil {
		return fmt.Errorf("make a scratch directory: %w", err)
	}
	r.scratch = scratch
	if err := os.Mkdir(filepath.Join(scratch, "objects"), 0o700); err != nil {
		return errors.Join(fmt.Errorf("make a scratch directory: %w", err), os.RemoveAll(scratch))
	}
	r.env = append(r.env, "GIT_DIR="+r.dir,
		"GIT_OBJECT_DIRECTORY="+filepath.Join(scratch, "objects"), "GIT_ALTERNATE_OBJECT_DIRECTORIES="+quoteAlternate(store))
	r.objects = &objects{command: func() *exec.Cmd {
		return r.prepare(exec.Command(r.program, vector("cat-file", "--batch")...), r.scratch)
	}}
	return nil
}

// quoteAlternate writes a path as git reads it from its environment, where a
// colon would end it.
func quoteAlternate(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`
}

// Close ends the repository's process and removes its scratch directory.
func (r *Repository) Close() error {
	err := r.objects.close()
	if r.release != nil {
		r.release()
	}
	return errors.Join(err, os.RemoveAll(r.scratch))
}

// baseEnvironment is what every git gets: no replaced objects, since everything
// that is kept by object id relies on an id meaning one content, no locks for
// looking, no prompts, and no words of other languages.
func baseEnvironment() []string {
	return []string{
		"GIT_NO_REPLACE_OBJECTS=1", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_AUTHOR_NAME=davit", "GIT_AUTHOR_EMAIL=davit@localhost", "GIT_AUTHOR_DATE=@0 +0000",
		"GIT_COMMITTER_NAME=davit", "GIT_COMMITTER_EMAIL=davit@localhost", "GIT_COMMITTER_DATE=@0 +0000",
	}
}

// localEnvironment is for repositories of the user who runs this: their own git
// configuration holds, so that their filters and their trusted directories do.
func localEnvironment() []string {
	return append(baseEnvironment(), "HOME="+os.Getenv("HOME"), "PATH="+os.Getenv("PATH"), "XDG_CONFIG_HOME="+os.Getenv("XDG_CONFIG_HOME"))
}

// vector puts a git command after the options that keep git from running other
// programs, from writing beside the index it was given, and from refusing files
// for the sake of whoever commits them.
func vector(args ...string) []string {
	fixed := []string{"-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.splitIndex=false", "-c", "core.safecrlf=false", "-c", "gc.auto=0", "--no-pager"}
	return append(fixed, args...)
}

func (r *Repository) prepare(cmd *exec.Cmd, dir string) *exec.Cmd {
	cmd.Dir, cmd.Env = dir, r.env
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// with is the repository as a git sees it that has more in its environment.
func (r *Repository) with(environment ...string) *Repository {
	with := *r
	with.env = slices.Concat(r.env, environment)
	return &with
}

// run returns what git prints. Its error wraps *exec.ExitError, for the code,
// and holds what git said.
func (r *Repository) run(ctx context.Context, dir string, args ...string) (string, error) {
	return r.runWith(ctx, dir, func(*exec.Cmd) {}, args...)
}

// feed is run for a git that reads input.
func (r *Repository) feed(ctx context.Context, input string, args ...string) (string, error) {
	return r.runWith(ctx, r.dir, func(cmd *exec.Cmd) { cmd.Stdin = strings.NewReader(input) }, args...)
}

// runWith is run for a command that is changed before it starts.
func (r *Repository) runWith(ctx context.Context, dir string, change func(*exec.Cmd), args ...string) (string, error) {
	cmd := r.prepare(exec.CommandContext(ctx, r.program, vector(args...)...), dir)
	change(cmd)
	// Interrupted, git removes its locks and unfinished files; killed, it can't.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return out.String(), fmt.Errorf("git %s: %w: %s", args[0], err, r.hidden(strings.TrimSpace(said.String())))
	}
	return out.String(), nil
}

// hidden is a text that a server may have had a hand in, as errors can repeat it.
func (r *Repository) hidden(text string) string {
	if r.hide == nil {
		return text
	}
	return r.hide.Replace(text)
}

func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

// Resolve returns the commit a revision names. A name that is none is
// ErrUnknownRevision.
func (r *Repository) Resolve(ctx context.Context, revision string) (string, error) {
	unknown := fmt.Errorf("resolve %q: %w", revision, ErrUnknownRevision)
	if strings.ContainsRune(revision, 0) {
		return "", unknown
	}
	out, err := r.run(ctx, r.dir, "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}")
	id := strings.TrimSuffix(out, "\n")
	switch {
	case exitCode(err) > 0:
		return "", unknown
	case err != nil:
		return "", fmt.Errorf("resolve %q: %w", revision, err)
	case !isID(id): // "^main" is a set of commits
		return "", unknown
	}
	return id, nil
}

// Name is what the repository's directory is called, without ".git".
func (r *Repository) Name() string {
	top := r.top
	if top == "" {
		top = strings.TrimSuffix(r.dir, "/.git")
	}
	return strings.TrimSuffix(filepath.Base(top), ".git")
}

// Remote is the address of the remote "origin", or empty if there is none.
func (r *Repository) Remote(ctx context.Context) (string, error) {
	out, err := r.run(ctx, r.dir, "config", "--get", "remote.origin.url")
	if exitCode(err) == 1 {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find the remote: %w", err)
	}
	return strings.TrimSuffix(out, "\n"), nil
}

// DefaultBranch names the branch that pull requests usually go into: what the
// remote "origin" says, else main, else master. Where a tag has the same name,
// the branch is named so that it can't be mistaken.
func (r *Repository) DefaultBranch(ctx context.Context) (string, error) {
	candidates := []string{"refs/heads/main", "refs/heads/master"}
	if out, err := r.run(ctx, r.dir, "symbolic-ref", "--quiet", "refs/remotes/origin/HEAD"); err == nil {
		candidates = append([]string{strings.TrimSuffix(out, "\n")}, candidates...)
	}
	for _, ref := range candidates {
		_, err := r.Resolve(ctx, ref)
		if errors.Is(err, ErrUnknownRevision) {
			continue // origin/HEAD can name a branch that is gone
		}
		if err != nil {
			return "", err
		}
		name, err := r.run(ctx, r.dir, "rev-parse", "--abbrev-ref=strict", "--verify", "--end-of-options", ref)
		if err != nil {
			return "", fmt.Errorf("find the default branch: %w", err)
		}
		return strings.TrimSuffix(name, "\n"), nil
	}
	return "", fmt.Errorf("find the default branch: %w: no origin/HEAD, main or master", ErrUnknownRevision)
}
