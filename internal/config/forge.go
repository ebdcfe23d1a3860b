package config

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/settings"
)

// Forge is one forge that Davit is installed on.
type Forge struct {
	Name   string // what repositories are named by: "github" in github:acme/gitops
	Kind   string // "github"
	URL    string // of its pages and of git
	APIURL string // empty for the usual one of its kind
	AppID  int64

	PrivateKeyFile, WebhookSecretFile string
}

// Secret is a value that does not print itself.
type Secret []byte

// String says that it is one.
func (Secret) String() string { return "secret" }

// GoString says that it is one.
func (Secret) GoString() string { return "secret" }

// PrivateKey reads the App's key.
func (f Forge) PrivateKey() (Secret, error) {
	data, err := os.ReadFile(f.PrivateKeyFile)
	if err != nil {
		return nil, fmt.Errorf("read the private key of the forge %s: %w", f.Name, err)
	}
	return data, nil
}

// WebhookSecrets reads the secrets that deliveries may be signed with, one on each line:
// two while one replaces the other.
func (f Forge) WebhookSecrets() ([][]byte, error) {
	data, err := os.ReadFile(f.WebhookSecretFile)
	if err != nil {
		return nil, fmt.Errorf("read the webhook secret of the forge %s: %w", f.Name, err)
	}
	var secrets [][]byte
	for line := range bytes.Lines(data) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			secrets = append(secrets, line)
		}
	}
	if len(secrets) == 0 {
		return nil, fmt.Errorf("read the webhook secret of the forge %s: %s is empty, and an empty secret would let anybody deliver", f.Name, f.WebhookSecretFile)
	}
	return secrets, nil
}

// kinds are the kinds of forges.
var kinds = []string{"github"}

func readForges(r *settings.Reader, n *yaml.Node, directory string) []Forge {
	const example = "{name: github, kind: github, app_id: 123, private_key_file: app.pem, webhook_secret_file: webhook.secret}"
	var forges []Forge
	for _, item := range r.Items(n, maxInARule, "forges must be a list, for example \"- "+example+"\"", "forges are limited to %d; remove some") {
		f := readForge(r, item, directory)
		if f.Name != "" && slices.ContainsFunc(forges, func(o Forge) bool { return o.Name == f.Name }) {
			r.Fault(item, "there are two forges %s; rename one", manifest.Quote(f.Name))
		}
		forges = append(forges, f)
	}
	return forges
}

func readForge(r *settings.Reader, n *yaml.Node, directory string) Forge {
	f := Forge{URL: "https://github.com"}
	needed := []string{"name", "kind", "app_id", "private_key_file", "webhook_secret_file"}
	has := func(key string) {
		needed = slices.DeleteFunc(needed, func(n string) bool { return n == key })
	}
	r.Fields(n, "a forge", "name: github", settings.Fields{
		"name":    func(n *yaml.Node) { has("name"); f.Name = r.Label(n, "a forge's name") },
		"kind":    func(n *yaml.Node) { has("kind"); f.Kind = readKind(r, n) },
		"url":     func(n *yaml.Node) { readSite(r, n, "url", &f.URL) },
		"api_url": func(n *yaml.Node) { readSite(r, n, "api_url", &f.APIURL) },
		"app_id":  func(n *yaml.Node) { has("app_id"); f.AppID = readID(r, n) },
		"private_key_file": func(n *yaml.Node) {
			has("private_key_file")
			f.PrivateKeyFile = readPath(r, n, "private_key_file", "app.pem", directory)
		},
		"webhook_secret_file": func(n *yaml.Node) {
			has("webhook_secret_file")
			f.WebhookSecretFile = readPath(r, n, "webhook_secret_file", "webhook.secret", directory)
		},
	})
	for _, key := range needed {
		if n.Kind == yaml.MappingNode {
			r.Fault(n, "a forge needs %s", key)
		}
	}
	return f
}

func readKind(r *settings.Reader, n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || !slices.Contains(kinds, n.Value) {
		r.Fault(n, "kind must be github")
		return ""
	}
	return n.Value
}

// readSite takes an empty address for the usual one.
func readSite(r *settings.Reader, n *yaml.Node, key string, into *string) {
	if n.ShortTag() == "!!str" && n.Value == "" {
		return
	}
	if must := site(into, n.Value); n.Kind != yaml.ScalarNode || must != "" {
		r.Fault(n, "%s must be %s", key, must)
	}
}

func readID(r *settings.Reader, n *yaml.Node) int64 {
	id, err := strconv.ParseInt(n.Value, 10, 64)
	if n.Kind != yaml.ScalarNode || err != nil || id < 1 {
		r.Fault(n, "app_id must be the App's number, for example 123")
	}
	return id
}
