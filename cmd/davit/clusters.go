package main

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"sync"

	"github.com/davitops/davit/internal/bot"
	"github.com/davitops/davit/internal/config"
	"github.com/davitops/davit/internal/fleet"
	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/survey"
)

// clusters are the operator's, as each repository may use them.
type clusters struct {
	config config.Config
	key    []byte

	mu     sync.Mutex
	fleets map[gitops.Repo]*fleet.Fleet
}

// Planner implements bot.Clusters.
func (c *clusters) Planner(pr gitops.PullRequest, branch string) (survey.Planner, string) {
	may, why := c.config.Rules.Shows(pr, branch)
	if !may {
		return nil, why
	}
	return c.fleet(pr.Repo), ""
}

// Deployer implements bot.Clusters.
func (c *clusters) Deployer(repo gitops.Repo) bot.Deployer { return c.fleet(repo) }

// Shows implements bot.Clusters.
func (c *clusters) Shows(repo gitops.Repo, private bool) bool {
	return c.config.Rules.Reveals(repo, private)
}

func (c *clusters) fleet(repo gitops.Repo) *fleet.Fleet {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, known := c.fleets[repo]
	if !known {
		f = fleet.Of(c.config, repo, c.key)
		f.Holder = installation(c.key)
		f.Wrap = func(base http.RoundTripper) http.RoundTripper { return passes{base, "cluster"} }
		c.fleets[repo] = f
	}
	return f
}

// installation is the name by which this Davit holds leases: the same after a restart, and
// another one on every other installation.
func installation(key []byte) string {
	sum := sha256.Sum256(append([]byte("installation "), key...))
	return "davit-" + hex.EncodeToString(sum[:6])
}
