package config

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/settings"
)

func readClusters(r *settings.Reader, n *yaml.Node, directory string) []Cluster {
	var clusters []Cluster
	inside := "" // the name of the cluster that Davit runs in
	for _, item := range r.Items(n, maxListed,
		"clusters must be a list, for example \"- {name: staging, kubeconfig: staging.kubeconfig}\"",
		"clusters are limited to %d; remove some") {
		c, remote := readCluster(r, item, directory)
		if c.Name == "" {
			continue // which is a fault already
		}
		same := slices.IndexFunc(clusters, func(o Cluster) bool { return o.Kubeconfig == c.Kubeconfig && o.Context == c.Context })
		switch {
		case slices.ContainsFunc(clusters, func(o Cluster) bool { return o.Name == c.Name }):
			r.Fault(item, "there are two clusters %s; rename one", manifest.Quote(c.Name))
		case !remote && inside != "":
			r.Fault(item, "the clusters %s and %s have no kubeconfig, so both are the one that Davit runs in; give one of them a kubeconfig, or remove it",
				manifest.Quote(inside), manifest.Quote(c.Name))
		case c.Kubeconfig != "" && same >= 0:
			r.Fault(item, "the clusters %s and %s have the same kubeconfig and context, so they are one; correct one of them, or remove it",
				manifest.Quote(clusters[same].Name), manifest.Quote(c.Name))
		}
		if !remote {
			inside = c.Name
		}
		clusters = append(clusters, c)
	}
	return clusters
}

// readCluster reads one cluster, and reports whether it has a kubeconfig.
func readCluster(r *settings.Reader, n *yaml.Node, directory string) (c Cluster, remote bool) {
	named := n.Kind != yaml.MappingNode // of another kind, that is the fault
	var needy *yaml.Node                // a field that is about a kubeconfig
	r.Fields(n, "a cluster", "name: staging", settings.Fields{
		"name": func(n *yaml.Node) { named, c.Name = true, r.Label(n, "a cluster's name") },
		"kubeconfig": func(n *yaml.Node) {
			remote, c.Kubeconfig = true, readPath(r, n, "kubeconfig", "staging.kubeconfig", directory)
		},
		"context":    func(n *yaml.Node) { needy, c.Context = n, r.Text(n, "context", "staging") },
		"kubernetes": func(n *yaml.Node) { c.Kubernetes = readVersion(r, n) },
		"exec":       func(n *yaml.Node) { needy, c.Exec = n, r.Flag(n, "exec") },
	})
	if !named {
		r.Fault(n, "a cluster needs a name, for example \"name: staging\"")
	}
	if needy != nil && !remote {
		r.Fault(needy, "context and exec are about a kubeconfig; give the cluster one, or remove them if it is the one that Davit runs in")
	}
	return c, remote
}

// readPath returns the path of a file as Davit opens it.
func readPath(r *settings.Reader, n *yaml.Node, key, example, directory string) string {
	path := r.Text(n, key, example)
	switch {
	case path == "":
		return ""
	case strings.HasPrefix(path, "~") || strings.Contains(path, "$"):
		r.Fault(n, "%s must be a path without ~ and $, which only a shell replaces; write it out", key)
	}
	return within(directory, path)
}

var kubernetesVersion = regexp.MustCompile(`^v?(1\.\d{1,3})(\.\d+)?$`)

// KubernetesVersion returns the minor version, "1.36", of a version such as
// "v1.36.2", and false for what is no version of Kubernetes.
func KubernetesVersion(text string) (string, bool) {
	found := kubernetesVersion.FindStringSubmatch(text)
	if found == nil {
		return "", false
	}
	return found[1], true
}

// readVersion takes a number too, as it is written: 1.30 is not 1.3.
func readVersion(r *settings.Reader, n *yaml.Node) string {
	isText := n.Kind == yaml.ScalarNode && slices.Contains([]string{"!!str", "!!float"}, n.ShortTag())
	version, known := KubernetesVersion(n.Value)
	if !isText || !known {
		r.Fault(n, "kubernetes must be a version of Kubernetes, for example \"1.36\"")
	}
	return version
}
