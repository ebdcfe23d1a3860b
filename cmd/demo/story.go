package main

import (
	"context"
	"fmt"
	"strings"
)

// The repository of the story: one application, deployed to staging first and then to
// production.
const seed = `app: {slug: davit, name: Davit, permissions: %s, events: %s}
users: [{login: alice}, {login: bob}]
organisations: [{login: acme, members: {alice: owner}}]
repositories:
- name: acme/shop
  private: true
  collaborators: {bob: write}
  files:
    .davit.yaml: |
      version: 1
      environments:
        staging:    {cluster: staging}
        production: {cluster: production, after: [staging]}
      health: {window: 5s}
    apps/web/base/kustomization.yaml: |
      resources: [deployment.yaml]
    apps/web/base/deployment.yaml: |
%s
    apps/web/overlays/staging/kustomization.yaml: |
      namespace: shop
      resources: [../../base]
    apps/web/overlays/production/kustomization.yaml: |
      namespace: shop
      resources: [../../base]
      replicas: [{name: web, count: 3}]
installations: [{account: acme, repositories: all}]
`

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      securityContext: {runAsNonRoot: true}
      containers:
      - name: web
        image: registry.example/web:%s
        resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {memory: 128Mi}}
`

// operators is the operator's file.
const operators = `listen: {webhook: "%[3]s", admin: "127.0.0.1:0"}
data_dir: data
sweep: 2s
forges:
- {name: github, kind: github, url: "%[1]s", app_id: 7, private_key_file: app.pem, webhook_secret_file: webhook.secret}
clusters:
- {name: staging, kubeconfig: %[2]s, context: cluster-1}
- {name: production, kubeconfig: %[2]s, context: cluster-2}
repositories:
- {match: "github:acme/shop", clusters: [staging, production], namespaces: [shop]}
`

func indented(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+by)
}

// play tells the story.
func (s *stage) play(ctx context.Context) error {
	for _, act := range []struct {
		title string
		play  func(context.Context) error
	}{
		{"bob releases web 1.0", s.release},
		{"It is merged, and goes out: to staging, then to production", s.merged},
		{"The next release does not start", s.broken},
		{"The revert is merged, and all is well again", s.reverted},
	} {
		s.say("\n%s", act.title)
		if err := act.play(ctx); err != nil {
			return err
		}
	}
	s.say("\nThe end.")
	return nil
}

func (s *stage) release(ctx context.Context) error {
	n, err := s.open(ctx, "release-1.0", "Release web 1.0", fmt.Sprintf(deployment, "1.0.0"))
	if err != nil {
		return err
	}
	s.say("  pull request #%d: %s", n, s.page(n))
	body, err := s.comment(ctx, n, "review", "")
	if err != nil {
		return err
	}
	s.say("  Davit comments:\n\n%s\n", indented(body, "    │ "))
	return s.write("review.md", body)
}

func (s *stage) merged(ctx context.Context) error {
	if err := s.merge(ctx, 1); err != nil {
		return err
	}
	for _, environment := range []string{"staging", "production"} {
		if err := s.deployed(ctx, environment, "success"); err != nil {
			return err
		}
	}
	return s.runs(ctx)
}

func (s *stage) broken(ctx context.Context) error {
	n, err := s.open(ctx, "release-1.1", "Release web 1.1", fmt.Sprintf(deployment, "fail-crash"))
	if err != nil {
		return err
	}
	s.say("  pull request #%d: %s", n, s.page(n))
	if _, err := s.comment(ctx, n, "review", ""); err != nil {
		return err
	}
	s.say("  nothing is wrong with it that could be seen; it is merged")
	if err := s.merge(ctx, n); err != nil {
		return err
	}
	if err := s.deployed(ctx, "staging", "failure"); err != nil {
		return err
	}
	body, err := s.comment(ctx, n, "failure", "** reverts it")
	if err != nil {
		return err
	}
	s.say("  production is not touched; Davit shows the evidence, and opens a revert:\n\n%s\n", indented(body, "    │ "))
	if err := s.write("failure.md", body); err != nil {
		return err
	}
	s.revert, err = s.opened(ctx, "Revert ")
	s.say("  pull request #%d: %s", s.revert, s.page(s.revert))
	return err
}

func (s *stage) reverted(ctx context.Context) error {
	if _, err := s.comment(ctx, s.revert, "review", ""); err != nil {
		return err
	}
	if err := s.merge(ctx, s.revert); err != nil {
		return err
	}
	for _, environment := range []string{"staging", "production"} {
		if err := s.deployed(ctx, environment, "success"); err != nil {
			return err
		}
	}
	return s.runs(ctx)
}

// stay says where everything is.
func (s *stage) stay() {
	s.say(`
Everything stays up until you press Ctrl-C:
  pull requests   %s/acme/shop/pulls
  metrics         %s/metrics
  clusters        export KUBECONFIG=%s   # cluster-1 is staging, cluster-2 production
  Davit's log     %s
  to act          git clone %s, and the REST API with "Authorization: token user-bob"`,
		s.url, s.admin, s.kubeconfig(), s.path("davit.log"), strings.Replace(s.url, "://", "://bob:user-bob@", 1)+"/acme/shop.git")
}
