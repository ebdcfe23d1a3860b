package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/davitops/davit/internal/config"
	"github.com/davitops/davit/internal/engine"
	"github.com/davitops/davit/internal/git"
	"github.com/davitops/davit/internal/render"
	"github.com/davitops/davit/internal/report"
	"github.com/davitops/davit/internal/survey"
	"github.com/davitops/davit/internal/target"
	"github.com/davitops/davit/internal/worker"
)

// previewFlags are what a preview is asked for.
type previewFlags struct {
	directory, base, head, path, output, kubernetes, colour string
	schema, all                                             bool
}

func previewCommand(t terminal) *cobra.Command {
	var f previewFlags
	cmd := &cobra.Command{
		Use:   "preview",
		Short: "Show what a branch would change in everything the repository deploys",
		Long: `Show what a branch would change in everything the repository deploys: the
difference of the rendered objects, and what policies say of them. It needs no
server and no cluster.

The base side is the tip of --base. The head side is that tip with --head merged
into it. Without --head, the work tree counts, changes that are not committed
and files that are new included.

Exits 0 if all is well, 1 if a new policy finding is an error, 2 if something can
no longer be rendered, and 3 for flags or revisions that are none.`,
		Example: `  davit preview
  davit preview --base origin/main --head HEAD -o markdown
  davit preview --path apps/web -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return preview(cmd.Context(), t, f) },
	}
	f.register(cmd.Flags())
	return cmd
}

// register declares the flags that every comparison has.
func (f *previewFlags) register(flags *pflag.FlagSet) {
	flags.StringVarP(&f.directory, "directory", "C", ".", "the repository, or a directory in it")
	flags.StringVar(&f.base, "base", "", "revision to compare with (default: the default branch)")
	flags.StringVar(&f.head, "head", "", "revision to merge into base (default: the work tree)")
	flags.StringVar(&f.path, "path", "", "only targets at or below this path of the repository")
	flags.StringVarP(&f.output, "output", "o", "text", "text, markdown or json")
	flags.StringVar(&f.kubernetes, "kubernetes", "", "version of the clusters, for example 1.36")
	flags.StringVar(&f.colour, "color", "auto", "auto, always or never")
	flags.BoolVar(&f.schema, "schema", false, "print the JSON Schema of -o json, and nothing else")
}

// check reports flags that make no sense, and puts the rest into one form.
func (f *previewFlags) check() error {
	switch f.output {
	case "text", "markdown", "json":
	default:
		return usage("-o %s is not known; use text, markdown or json", f.output)
	}
	switch f.colour {
	case "auto", "always", "never":
	default:
		return usage("--color %s is not known; use auto, always or never", f.colour)
	}
	if f.kubernetes != "" {
		version, known := config.KubernetesVersion(f.kubernetes)
		if !known {
			return usage("--kubernetes %s is no version of Kubernetes, such as 1.36", f.kubernetes)
		}
		f.kubernetes = version
	}
	if f.path = path.Clean(filepath.ToSlash(f.path)); path.IsAbs(f.path) || strings.HasPrefix(f.path, "..") {
		return usage("--path must be relative to the repository's root")
	}
	return nil
}

func preview(ctx context.Context, t terminal, f previewFlags) error {
	if f.schema {
		fmt.Fprint(t.out, report.PreviewSchema())
		return nil
	}
	if err := f.check(); err != nil {
		return err
	}
	repository, err := openRepository(ctx, f.directory)
	if err != nil {
		return err
	}
	defer func() { _ = repository.Close() }()
	return compareAndPrint(ctx, t, repository, f, nil)
}

// compareAndPrint says what a branch changes, in clusters too if there is a planner.
func compareAndPrint(ctx context.Context, t terminal, repository *git.Repository, f previewFlags, planner survey.Planner) error {
	result, err := compare(ctx, t, repository, f, planner)
	if errors.Is(err, git.ErrUnknownRevision) {
		return exit{code: report.ExitUsage, err: err}
	}
	if err != nil {
		return err
	}
	return print(t, result, f)
}

func print(t terminal, result report.Preview, f previewFlags) error {
	switch f.output {
	case "json":
		text, err := result.JSON()
		if err != nil {
			return err
		}
		fmt.Fprint(t.out, text)
	case "markdown":
		fmt.Fprint(t.out, result.Markdown(report.MaxComment))
	default:
		fmt.Fprint(t.out, result.Text(t.colour(f.colour)))
	}
	if code := result.ExitCode(); code != report.ExitClean {
		return exit{code: code}
	}
	return nil
}

// sides are the two revisions of a preview.
type sides struct {
	base, head  string // commits
	uncommitted bool
	merged      git.Merged
}

func resolve(ctx context.Context, repository *git.Repository, f previewFlags) (sides, error) {
	var s sides
	var err error
	if f.base == "" {
		if f.base, err = defaultBase(ctx, repository); err != nil {
			return s, fmt.Errorf("%w; name one with --base", err)
		}
	}
	if s.base, err = repository.Resolve(ctx, f.base); err != nil {
		return s, err
	}
	head := f.head
	if head == "" {
		head = "HEAD"
	}
	if s.head, err = repository.Resolve(ctx, head); err != nil {
		return s, err
	}
	commit := s.head
	if f.head == "" && repository.HasWorkTree() {
		if commit, s.uncommitted, err = repository.WorkTree(ctx); err != nil {
			return s, err
		}
	}
	s.merged, err = repository.Merge(ctx, s.base, commit)
	return s, err
}

// defaultBase is the branch that deploys, as the configuration that is checked out
// names it, or else the repository's default branch.
func defaultBase(ctx context.Context, repository *git.Repository) (string, error) {
	head, err := repository.Resolve(ctx, "HEAD")
	if err != nil {
		return "", fmt.Errorf("find what is checked out: %w: there is no commit yet", err)
	}
	files, err := repository.Tree(ctx, head)
	if err != nil {
		return "", err
	}
	fact, err := files.Look(target.ConfigFile, true)
	if err != nil {
		return "", err
	}
	config, _ := target.ParseConfig(target.ConfigFile, fact.Data)
	for _, name := range []string{"refs/remotes/origin/" + config.Branch(), "refs/heads/" + config.Branch()} {
		if _, err := repository.Resolve(ctx, name); err == nil && config.Branch() != "" {
			return name, nil
		}
	}
	return repository.DefaultBranch(ctx)
}

// notes say what is unusual about the two revisions.
func (s sides) notes() []string {
	switch {
	case s.merged.Unrelated:
		return []string{"The two revisions share no history; they are compared as they are."}
	case len(s.merged.Conflicts) > 0:
		return []string{fmt.Sprintf("The head does not merge into the base without conflicts (%s); they are compared as they are.",
			strings.Join(s.merged.Conflicts, ", "))}
	}
	return nil
}

func compare(ctx context.Context, t terminal, repository *git.Repository, f previewFlags, planner survey.Planner) (report.Preview, error) {
	progress := t.progress()
	defer progress.end()
	s, err := resolve(ctx, repository, f)
	if err != nil {
		return report.Preview{}, err
	}
	base, err := repository.Tree(ctx, s.base)
	if err != nil {
		return report.Preview{}, err
	}
	head, err := repository.Tree(ctx, s.merged.Tree)
	if err != nil {
		return report.Preview{}, err
	}
	pool, err := worker.NewPool(worker.Options{})
	if err != nil {
		return report.Preview{}, fmt.Errorf("start workers: %w", err)
	}
	defer func() { _ = pool.Close() }()
	surveyor := survey.Surveyor{
		Renderer: render.Client{Runner: pool, Domain: "local"},
		Judge:    engine.Client{Runner: pool, Domain: "local"},
		Planner:  planner,
		Parallel: runtime.NumCPU(),
	}
	result, err := surveyor.Run(ctx, survey.Question{
		Base: base, Head: head, Path: f.path, Kubernetes: f.kubernetes, All: f.all, Progress: progress.report,
	})
	if err != nil {
		return report.Preview{}, err
	}
	if f.path != "." && result.Stats.Targets == 0 {
		return report.Preview{}, usage("there is no target at or below %s, which --path names from the repository's root", f.path)
	}
	result.Base, result.Head, result.Uncommitted = s.base, s.head, s.uncommitted
	result.Notes = append(s.notes(), result.Notes...)
	return result, nil
}
