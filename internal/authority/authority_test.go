package authority

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/plan"
)

// rules are those of an operator with the clusters staging, prod-eu, prod-us and
// qa.
var (
	rules = Rules{
		{Match: []string{"github:acme/frozen"}},
		{Match: []string{"github:acme/Shop", "gitlab:acme/shop"}, Clusters: []string{"staging", "prod-eu"}, Namespaces: []string{"shop", "shop-*"}, As: "system:serviceaccount:davit:shop"},
		{Match: []string{"github:acme/platform-*"}, Clusters: []string{"prod-eu"}, Namespaces: []string{"*"}, ClusterScoped: true},
		{Match: []string{"github:acme/*"}, Clusters: []string{"staging"}},
		{Match: []string{"github:acme/old"}, Clusters: []string{"gone"}},
		{Match: []string{"gitea:old/shop"}, Clusters: []string{"gone"}},
	}
	clusters = []string{"staging", "prod-eu", "prod-us", "qa"}
)

func repo(t *testing.T, text string) gitops.Repo {
	t.Helper()
	r, ok := gitops.ParseRepo(text)
	if !ok {
		t.Fatalf("%s is no repository", text)
	}
	return r
}

func TestGrant(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		why, repo, cluster string
		want               Grant
		refusal            string
	}{
		{"what the rule says", "github:acme/shop", "prod-eu",
			Grant{plan.Scope{Namespaces: []string{"shop", "shop-*"}}, "system:serviceaccount:davit:shop"}, ""},
		{"without a user, as Davit connects", "github:acme/platform-net", "prod-eu",
			Grant{plan.Scope{Namespaces: []string{"*"}, ClusterScoped: true}, ""}, ""},
		{"a cluster and nothing in it", "github:acme/web", "staging", Grant{}, ""},
		{"another cluster", "github:acme/shop", "prod-us", Grant{},
			"this repository may not use the cluster prod-us (it may: staging, prod-eu); the operator can add it to clusters in the rule for github:acme/Shop in davit.yaml"},
		{"a rule without clusters", "github:acme/frozen", "staging", Grant{},
			"the operator's rule for this repository names no cluster, so it is previewed and never applied; the operator can add clusters to the rule for github:acme/frozen in davit.yaml"},
		{"unlisted = previews only", "github:other/shop", "staging", Grant{},
			`the operator has no rule for this repository, so it is previewed and never applied; the operator can add one with "match: github:other/shop" under repositories in davit.yaml`},
	} {
		got, refusal := rules.Grant(repo(t, test.repo), test.cluster)
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.why, d)
		}
		if d := cmp.Diff(test.refusal, refusal); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.why, d)
		}
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ why, repo, environment, cluster, want, refusal string }{
		{"the one its path or environment names", "github:acme/shop", "", "prod-eu", "prod-eu", ""},
		{"which counts for more than the environment's name", "github:acme/shop", "staging", "prod-eu", "prod-eu", ""},
		{"else the operator's cluster of that environment's name", "github:acme/shop", "staging", "", "staging", ""},
		{"else the only one the repository may use", "github:acme/platform-net", "production", "", "prod-eu", ""},
		{"also without an environment", "github:acme/platform-net", "", "", "prod-eu", ""},
		{"else it is not applied, and the line is one of an environment", "github:acme/shop", "production", "", "",
			`nothing says which cluster the environment production is in (this repository may use: staging, prod-eu); name it under environments in .davit.yaml, for example "production: {cluster: staging}"`},
		{"or one of a target", "github:acme/shop", "", "", "",
			"nothing says which cluster this target is in (this repository may use: staging, prod-eu); move it into a directory such as clusters/staging, or capture {cluster} or {environment} in its path under targets in .davit.yaml"},

		{"a named cluster that the operator does not have", "github:acme/shop", "staging", "prod", "",
			"the operator has no cluster prod (this repository may use: staging, prod-eu); name one of these, or the operator can add it under clusters, and to the rule for github:acme/Shop, in davit.yaml"},
		{"or that the repository may not use", "github:acme/shop", "staging", "prod-us", "",
			"this repository may not use the cluster prod-us (it may: staging, prod-eu); the operator can add it to clusters in the rule for github:acme/Shop in davit.yaml"},
		{"the only one is none instead of a named one", "github:acme/platform-net", "", "staging", "",
			"this repository may not use the cluster staging (it may: prod-eu); the operator can add it to clusters in the rule for github:acme/platform-* in davit.yaml"},
		{"nor instead of the environment's", "github:acme/platform-net", "qa", "", "",
			"this repository may not use the cluster qa (it may: prod-eu); the operator can add it to clusters in the rule for github:acme/platform-* in davit.yaml"},
		{"a rule for a cluster that is gone", "gitea:old/shop", "", "", "",
			"the operator has no cluster gone (this repository may use: gone); name one of these, or the operator can add it under clusters, and to the rule for gitea:old/shop, in davit.yaml"},
		{"a rule without clusters", "github:acme/frozen", "staging", "", "",
			"the operator's rule for this repository names no cluster, so it is previewed and never applied; the operator can add clusters to the rule for github:acme/frozen in davit.yaml"},
		{"unlisted, whatever it names", "github:other/shop", "staging", "prod-us", "",
			`the operator has no rule for this repository, so it is previewed and never applied; the operator can add one with "match: github:other/shop" under repositories in davit.yaml`},
	} {
		target := gitops.Target{Path: "apps/web", Environment: test.environment, Cluster: test.cluster}
		cluster, refusal := rules.Place(repo(t, test.repo), target, clusters)
		if d := cmp.Diff([]string{test.want, test.refusal}, []string{cluster, refusal}); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.why, d)
		}
		if cluster == "" {
			continue
		}
		if _, refusal := rules.Grant(repo(t, test.repo), cluster); refusal != "" {
			t.Errorf("%s: placed in %s, where it may do nothing: %s", test.why, cluster, refusal)
		}
	}
}

// TestShows says whose pull requests show what clusters hold.
func TestShows(t *testing.T) {
	t.Parallel()
	repo := gitops.Repo{Forge: "github", Path: "acme/gitops"}
	rules := func(live LiveDiff) Rules {
		return Rules{{Match: []string{"github:acme/*"}, Clusters: []string{"staging"}, LiveDiff: live}}
	}
	pr := func(change func(*gitops.PullRequest)) gitops.PullRequest {
		p := gitops.PullRequest{Repo: repo, Number: 1, Private: true,
			Head: gitops.Revision{Repo: repo, Branch: "change"}, Base: gitops.Revision{Repo: repo, Branch: "main"}}
		change(&p)
		return p
	}
	private := func(*gitops.PullRequest) {}
	public := func(p *gitops.PullRequest) { p.Private = false }
	fork := func(p *gitops.PullRequest) { p.Head.Repo.Path = "mallory/gitops" }
	lost := func(p *gitops.PullRequest) { p.Head.Repo = gitops.Repo{} }
	topic := func(p *gitops.PullRequest) { p.Base.Branch = "topic" }
	for _, test := range []struct {
		name   string
		rules  Rules
		change func(*gitops.PullRequest)
		may    bool
		why    string
	}{
		{"private", rules(Auto), private, true, ""},
		{"private, and nothing said", rules(""), private, true, ""},
		{"private, but never", rules(Never), private, false, ""},
		{"public", rules(Auto), public, false, `Everybody may read this repository, so no cluster was asked; the operator can set "live_diff: always" in the rule for github:acme/* in davit.yaml.`},
		{"public, and nothing said", rules(""), public, false, `Everybody may read this repository, so no cluster was asked; the operator can set "live_diff: always" in the rule for github:acme/* in davit.yaml.`},
		{"public, but always", rules(Always), public, true, ""},
		{"public, but never", rules(Never), public, false, ""},
		{"from a fork", rules(Always), fork, false, "This pull request comes from a fork, so no cluster was asked."},
		{"from a fork that is gone", rules(Always), lost, false, "This pull request comes from a fork, so no cluster was asked."},
		{"into another branch", rules(Always), topic, false, "Only main is deployed, so no cluster was asked."},
		{"of a repository without a rule", nil, public, true, ""},
	} {
		may, why := test.rules.Shows(pr(test.change), "main")
		if may != test.may || why != test.why {
			t.Errorf("%s: %t, %q", test.name, may, why)
		}
	}
}
