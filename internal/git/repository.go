// Package git reads repositories through the git program: commits as entries
// plus Read, the merge of two commits, a work tree as if it were committed, and
// complete bare mirrors of remote repositories.
//
// It never changes a repository it did not make itself: what a merge or a work
// tree needs written goes into a scratch directory of objects. It runs git with
// argument vectors only, an environment of its own and no hooks, and never
// follows a name out of a manifest.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	program string   // the git program
	dir     string   // the git directory
	top     string   // the work tree, or empty
	env     []string // of every git that runs here
	scratch string
	objects *objects
}

// Open opens the repository that dir is in.
func Open(ctx context.Context, dir string) (*Repository, error) {
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("find the git program: %w", err)
	}
	r := &Repository{program: program, env: localEnvironment()}
	out, err := r.run(ctx, dir, "rev-parse", "--absolute-git-dir", "--git-path", "objects", "--is-bare-repository")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w: %w", dir, ErrNoRepository, err)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 3 {
		return nil, fmt.Errorf("open %s: git answered %q", dir, out)
	}
	r.dir = lines[0]
	if lines[2] == "false" {
		if out, err = r.run(ctx, dir, "rev-parse", "--show-toplevel"); err == nil {
			r.top = strings.TrimSpace(out)
		}
	}
	store := lines[1]
	if !filepath.IsAbs(store) {
		if store, err = filepath.Abs(filepath.Join(dir, store)); err != nil {
			return nil, fmt.Errorf("open %s: %w", dir, err)
		}
	}
	return r, r.useScratch(store)
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
		return fmt.Errorf("make a scratch directory: %w", err)
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
// programs.
func vector(args ...string) []string {
	fixed := []string{"-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "-c", "gc.auto=0", "--no-pager"}
	return append(fixed, args...)
}

func (r *Repository) prepare(cmd *exec.Cmd, dir string) *exec.Cmd {
	cmd.Dir, cmd.Env = dir, r.env
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// run returns what git prints. Its error wraps *exec.ExitError, for the code,
// and holds what git said.
func (r *Repository) run(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := r.prepare(exec.CommandContext(ctx, r.program, vector(args...)...), dir)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return out.String(), fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(said.String()))
	}
	return out.String(), nil
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
	out, err := r.run(ctx, r.dir, "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}")
	if err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", fmt.Errorf("resolve %q: %w", revision, ErrUnknownRevision)
	}
	return strings.TrimSpace(out), nil
}

// DefaultBranch names the branch that pull requests usually go into: what the
// remote "origin" says, else main, else master.
func (r *Repository) DefaultBranch(ctx context.Context) (string, error) {
	if out, err := r.run(ctx, r.dir, "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"); err == nil {
		return strings.TrimSpace(out), nil
	}
	for _, name := range []string{"main", "master"} {
		if _, err := r.Resolve(ctx, "refs/heads/"+name); err == nil {
			return name, nil
		}
	}
	return "", fmt.Errorf("find the default branch: %w: no origin/HEAD, main or master", ErrUnknownRevision)
}
