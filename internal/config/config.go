// Package config is what the operator decides: how the server runs, the forges and
// clusters there are, and what each repository may do in them, as davit.yaml says.
//
// It reads that one file and opens nothing that the file names, secrets aside, when it
// is asked for them: whether a kubeconfig is there, and a cluster behind it, is
// found out by whoever connects. It never lets half a file count: a fault anywhere
// leaves no configuration at all.
package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/davitops/davit/internal/authority"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/settings"
)

// File is what the operator's file is called; a repository's has a dot before it.
const File = "davit.yaml"

// Config is a valid davit.yaml.
type Config struct {
	Server
	Forges   []Forge
	Clusters []Cluster
	Rules    authority.Rules
}

// Cluster is how to connect to a cluster.
type Cluster struct {
	Name       string
	Kubeconfig string // path of a file; empty for the cluster that Davit itself runs in
	Context    string // in that file; empty for its current one
	Kubernetes string // version, "1.36"; empty to ask the cluster
	Exec       bool   // the kubeconfig may run programs to get credentials
}

// Cluster returns the cluster of a name.
func (c Config) Cluster(name string) (Cluster, bool) {
	at := slices.IndexFunc(c.Clusters, func(k Cluster) bool { return k.Name == name })
	if at < 0 {
		return Cluster{}, false
	}
	return c.Clusters[at], true
}

// ClusterNames are the names of all clusters, in the file's order.
func (c Config) ClusterNames() []string {
	var names []string
	for _, k := range c.Clusters {
		names = append(names, k.Name)
	}
	return names
}

// Load reads a davit.yaml. The error is all that is wrong with it, a
// *manifest.Problem on each line.
func Load(file string) (Config, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Config{}, fmt.Errorf("read the operator's configuration: %w", err)
	}
	c, problems := Parse(file, data)
	var faults []error
	for i := range problems {
		faults = append(faults, &problems[i])
	}
	return c, errors.Join(faults...)
}

// Limits on a davit.yaml. Every question about a repository asks rule after rule.
const (
	maxListed  = 1000 // clusters, and rules
	maxInARule = 100  // patterns, clusters and namespaces
)

// Parse reads a davit.yaml strictly and reports everything that is wrong with it at
// once. Paths in it are relative to its directory.
func Parse(file string, data []byte) (Config, []manifest.Problem) {
	const begin = "clusters: [{name: staging, kubeconfig: staging.kubeconfig}]"
	c := Config{Server: defaults()}
	directory := filepath.Dir(file)
	problems := settings.Read(file, data, begin, func(r *settings.Reader, root *yaml.Node) {
		var clusters, rules *yaml.Node
		r.Fields(root, "the file", begin, settings.Fields{
			"listen":       c.listen(r, directory),
			"database":     c.field(r, "database", directory),
			"data_dir":     c.field(r, "data_dir", directory),
			"sweep":        c.field(r, "sweep", directory),
			"forges":       func(n *yaml.Node) { c.Forges = readForges(r, n, directory) },
			"clusters":     func(n *yaml.Node) { clusters = n },
			"repositories": func(n *yaml.Node) { rules = n },
		})
		if clusters != nil {
			c.Clusters = readClusters(r, clusters, directory)
		}
		if rules != nil { // they name clusters, wherever these stand in the file
			c.Rules = readRules(r, rules, c.ClusterNames())
		}
	})
	if len(problems) > 0 {
		return Config{}, problems
	}
	return c, nil
}
