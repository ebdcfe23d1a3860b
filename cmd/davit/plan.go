package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/config"
	"github.com/davitops/davit/internal/fleet"
	"github.com/davitops/davit/internal/git"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/report"
)

// planFlags are what a plan is asked for, besides what a preview is.
type planFlags struct {
	previewFlags
	context, kubeconfig, cluster, as, config, repository string
}

func planCommand(t terminal) *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what a branch would change in everything the repository deploys, and in the cluster",
		Long: `Show what a branch would change in everything the repository deploys, as preview
does, and what applying it would do to a live cluster. Nothing is written: the API
server is asked by dry runs.

The cluster is the one of --context, in the kubeconfig that kubectl would use. With
--config, an operator's davit.yaml says which clusters there are, and what this
repository may do there, and as whom.

Exits 0 if all is well, 1 if a new policy finding is an error or an object may not be
applied, 2 if something can no longer be rendered, can't be planned, or would be
refused by the cluster, and 3 for flags or revisions that are none.`,
		Example: `  davit plan --context staging
  davit plan --context staging --path apps/web --all
  davit plan --config davit.yaml --base origin/main --head HEAD -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPlan(cmd.Context(), t, f) },
	}
	f.register(cmd.Flags())
	flags := cmd.Flags()
	flags.StringVar(&f.context, "context", "", "context of the kubeconfig (default: its current one)")
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig (default: what kubectl would use)")
	flags.StringVar(&f.cluster, "cluster", "", "what the repository calls this cluster (default: the context's name)")
	flags.StringVar(&f.as, "as", "", "Kubernetes user to act as")
	flags.StringVar(&f.config, "config", "", "an operator's davit.yaml, instead of --context")
	flags.StringVar(&f.repository, "repository", "", `what Davit calls this repository, such as "github:acme/gitops" (default: by its remote "origin")`)
	flags.BoolVar(&f.all, "all", false, "plan all targets, not only those that the branch affects")
	return cmd
}

func runPlan(ctx context.Context, t terminal, f planFlags) error {
	if f.schema {
		fmt.Fprint(t.out, report.PreviewSchema())
		return nil
	}
	if err := f.check(); err != nil {
		return err
	}
	if f.config != "" && f.context+f.kubeconfig+f.cluster+f.as != "" {
		return usage("--config says which clusters there are and as whom to act; leave out --context, --kubeconfig, --cluster and --as")
	}
	repository, err := openRepository(ctx, f.directory)
	if err != nil {
		return err
	}
	defer func() { _ = repository.Close() }()
	clusters, err := f.fleet(ctx, t, repository)
	if err != nil {
		return err
	}
	return compareAndPrint(ctx, t, repository, f.previewFlags, clusters)
}

// fleet is the clusters that the flags name.
func (f planFlags) fleet(ctx context.Context, t terminal, repository *git.Repository) (*fleet.Fleet, error) {
	repo, err := f.repo(ctx, repository)
	if err != nil {
		return nil, err
	}
	file, err := keyFile(t)
	if err != nil {
		return nil, err
	}
	key, err := config.Key(file)
	if err != nil {
		return nil, err
	}
	if f.config != "" {
		operators, err := config.Load(f.config)
		if err != nil {
			return nil, exit{code: report.ExitUsage, err: err}
		}
		return fleet.Of(operators, repo, key), nil
	}
	options := cluster.Options{Kubeconfig: f.kubeconfig, Context: f.context, As: f.as, Ambient: true, Exec: true}
	if options.Name, err = cluster.ContextName(options); err != nil {
		return nil, exit{code: report.ExitUsage, err: err}
	}
	if f.cluster != "" {
		options.Name = f.cluster
	}
	return fleet.Alone(options, repo, key), nil
}

// repo is what the repository is called: it decides which inventory is this
// repository's, and which of the operator's rules hold.
func (f planFlags) repo(ctx context.Context, repository *git.Repository) (gitops.Repo, error) {
	if f.repository != "" {
		repo, valid := gitops.ParseRepo(f.repository)
		if !valid {
			return repo, usage(`--repository %s is no name of a repository, such as "github:acme/gitops"`, f.repository)
		}
		return repo, nil
	}
	remote, err := repository.Remote(ctx)
	if err != nil {
		return gitops.Repo{}, err
	}
	if repo, known := repoOf(remote); known {
		return repo, nil
	}
	if f.config != "" {
		return gitops.Repo{}, usage(`the rules of --config are for repositories, and the remote "origin" does not tell which one this is; name it with --repository`)
	}
	return gitops.Repo{Forge: "local", Path: repository.Name()}, nil
}

// repoOf is the repository that a remote's address names: git@github.com:acme/x.git
// and https://github.com/acme/x are both github:acme/x. Of hosts that are not the
// forges' own, the forge is the host's name.
func repoOf(remote string) (gitops.Repo, bool) {
	host, path, found := strings.Cut(remote, ":")
	if strings.Contains(remote, "://") {
		address, err := url.Parse(remote)
		if err != nil {
			return gitops.Repo{}, false
		}
		host, path = address.Hostname(), address.Path
	}
	host = host[strings.LastIndexByte(host, '@')+1:]
	path = strings.TrimSuffix(strings.Trim(path, "/"), ".git")
	if !found || host == "" || path == "" || strings.Contains(host+path, `\`) || strings.Contains(host, "/") {
		return gitops.Repo{}, false
	}
	switch host = strings.ToLower(host); host {
	case "github.com":
		host = "github"
	case "gitlab.com":
		host = "gitlab"
	}
	return gitops.Repo{Forge: host, Path: path}, true
}

// keyFile is where the key is kept with which this user's digests are made: never in a
// place that others can write, who would then know it.
func keyFile(t terminal) (string, error) {
	state := t.env("XDG_STATE_HOME")
	if !filepath.IsAbs(state) { // the specification has relative ones ignored
		home, err := os.UserHomeDir()
		if err != nil {
			return "", usage("find a place for the key of digests: %w; set HOME, or XDG_STATE_HOME", err)
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "davit", "key"), nil
}

// openRepository opens the repository that a directory is in.
func openRepository(ctx context.Context, directory string) (*git.Repository, error) {
	repository, err := git.Open(ctx, directory)
	if errors.Is(err, git.ErrNoRepository) {
		return nil, exit{code: report.ExitUsage, err: err}
	}
	return repository, err
}
