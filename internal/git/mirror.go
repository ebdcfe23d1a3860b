package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// mirrored are the refs that a mirror holds: branches, tags, and the heads of
// pull and merge requests. Replaced objects (refs/replace) are not among them:
// they would change what an id means.
var mirrored = []string{
	"+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*",
	"+refs/pull/*/head:refs/pull/*/head", "+refs/merge-requests/*/head:refs/merge-requests/*/head",
}

// Mirror opens the bare mirror in dir, making it if there is none. It holds
// every commit of what it mirrors, so that no later question needs the network.
func Mirror(ctx context.Context, dir string) (*Repository, error) {
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("find the git program: %w", err)
	}
	r := &Repository{program: program, env: mirrorEnvironment()}
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); errors.Is(err, os.ErrNotExist) {
		if _, err := r.run(ctx, "/", "init", "--quiet", "--bare", "--template=", "--", dir); err != nil {
			return nil, fmt.Errorf("make the mirror %s: %w", dir, err)
		}
	}
	if r.dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("open the mirror %s: %w", dir, err)
	}
	return r, r.useScratch(filepath.Join(r.dir, "objects"))
}

// mirrorEnvironment is for repositories of other people: nobody's configuration
// on this machine holds, and only protocols that fetch are spoken.
func mirrorEnvironment() []string {
	return append(baseEnvironment(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ALLOW_PROTOCOL=https:http:file", "HOME=/nonexistent")
}

// Fetch brings a mirror up to date with the repository at url. Refs that are
// gone there go here.
func (r *Repository) Fetch(ctx context.Context, url string) error {
	// What is fetched belongs to the mirror, not to the scratch directory.
	keeping := *r
	keeping.env = append(mirrorEnvironment(), "GIT_DIR="+r.dir)
	args := append([]string{"fetch", "--quiet", "--prune", "--no-auto-gc", "--no-write-fetch-head", "--end-of-options", url}, mirrored...)
	if _, err := keeping.run(ctx, r.dir, args...); err != nil {
		return fmt.Errorf("fetch into the mirror %s: %w", r.dir, err)
	}
	return nil
}
