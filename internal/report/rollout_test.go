package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/verdict"
)

var (
	crash = verdict.Trouble{
		Ref: gitops.ObjectRef{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: "web"}, Pod: "web-5d4f-x2x", Container: "web",
		Reason: "CrashLoopBackOff", Message: "it ended with exit code 1, and was restarted 3 times", Final: true,
		Events: []string{"BackOff: Back-off restarting failed container (4 times)"}, Log: []string{"starting", "```", "panic: @everyone"},
	}
	failedWeb = Sick{
		Deployment: Deployment{Target: "apps/web", Place: "staging", State: "degraded"}, From: "0123456789abcdef", Troubles: []verdict.Trouble{crash},
	}
)

// with is a failed target with something changed.
func with(change func(*Sick)) Sick {
	s := failedWeb
	change(&s)
	return s
}

// TestRolloutPages holds what is said of rollouts to testdata/rollouts, one file a case.
func TestRolloutPages(t *testing.T) {
	t.Parallel()
	hostile := "x` @acme/all | <img src=x> #1 \u202e"
	for name, page := range map[string]interface{ Markdown(int) string }{
		"rolling": Rollout{Commit: "c0ffee0123", Targets: []Deployment{
			{Target: "apps/web", Place: "staging", State: "applying"}, {Target: "apps/web", Place: "production", State: "queued", Why: "waits for staging: apps/web is applying"},
		}},
		"held":     Rollout{Commit: "c0ffee0123", Targets: []Deployment{{Target: "apps/web", Place: "production", State: "held", Why: "waits for /apply"}}},
		"healthy":  Rollout{Commit: "c0ffee0123", Reverts: true, Targets: []Deployment{{Target: "apps/web", Place: "production", State: "healthy", Approver: "alice"}}},
		"hostile":  Rollout{Commit: "c0ffee0123", Targets: []Deployment{{Target: hostile, Place: hostile, State: "degraded", Why: hostile, Approver: hostile, Revert: 7}}},
		"failure":  Failure{Commit: "c0ffee0123", Targets: []Sick{failedWeb}},
		"proposed": Failure{Commit: "c0ffee0123", Targets: []Sick{with(func(s *Sick) { s.State, s.Revert = "reverting", 7 })}},
		"reverted": Failure{Commit: "c0ffee0123", Targets: []Sick{with(func(s *Sick) { s.State, s.Revert = "reverted", 7 })}},
		"refused":  Failure{Commit: "c0ffee0123", Targets: []Sick{{Deployment: Deployment{Target: "apps/web", State: "failed", Why: "spec.selector: field is immutable"}, Unapplied: true}}},
		"resumable": Failure{Commit: "c0ffee0123", Targets: []Sick{
			{Deployment: Deployment{Target: "apps/web", Place: "staging", State: "timed-out", Why: "web is not ready"}, Resumable: true},
			{Deployment: Deployment{Target: "apps/api", Place: "staging", State: "inconclusive", Why: "3 of 4 workloads that this change does not touch fail too"}},
		}},
		"manual": Failure{Commit: "c0ffee0123", Manual: true, Targets: []Sick{failedWeb}},
		"public": Failure{Commit: "c0ffee0123", Hidden: true, Targets: []Sick{with(func(s *Sick) {
			s.Troubles = []verdict.Trouble{{Ref: crash.Ref, Container: "web", Reason: "CrashLoopBackOff"}}
		})}},
		"reversal": Reversal{Sick: failedWeb, Ours: true, Commit: "c0ffee0123", To: "0123456789", Pulls: []int{7, 8}, Files: []string{"apps/web/web.yaml", "odd`| name"}, Shared: []string{"apps/api"}},
		"conflict": Reversal{Sick: failedWeb, Commit: "c0ffee0123", To: "0123456789", Conflicts: []string{"apps/web/web.yaml"}},
		"approval": Approval{Commit: "c0ffee0123", Command: "/apply apps/web", Target: Target{
			Name: "apps/web", Status: Changed, Live: &Live{Digest: "0123456789abcdef", Classes: map[string]int{"delete": 1}},
			Changes: []Change{{Action: "delete", Object: "ConfigMap shop/web", Planned: &Planned{Class: "delete", Risks: []string{"data-loss"}, Alone: true, Live: "@@ -1 +0,0 @@\n-kind: ConfigMap\n"}}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := page.Markdown(MaxComment)
			file := filepath.Join("testdata", "rollouts", name+".md")
			if os.Getenv("UPDATE") != "" {
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestRolloutPagesFit: however much there is to say, it fits, and says what is left out.
func TestRolloutPagesFit(t *testing.T) {
	t.Parallel()
	long := crash
	long.Log = strings.Split(strings.Repeat(strings.Repeat("é", 400)+"\n", 20), "\n")
	var targets []Deployment
	var sick []Sick
	for i := range 300 {
		d := Deployment{Target: fmt.Sprintf("apps/web-%d", i), Place: "staging", State: "degraded", Why: strings.Repeat("why ", 100)}
		targets = append(targets, d)
		sick = append(sick, Sick{Deployment: d, Troubles: []verdict.Trouble{long, long, long}})
	}
	for name, page := range map[string]interface{ Markdown(int) string }{
		"rollout": Rollout{Commit: "c0ffee0", Targets: targets}, "failure": Failure{Commit: "c0ffee0", Targets: sick},
		"reversal": Reversal{Sick: sick[0], Files: make([]string, 5000), Shared: make([]string, 5000)},
	} {
		for _, limit := range []int{1000, 10_000, MaxComment} {
			got := page.Markdown(limit)
			if len(got) > limit || !utf8.ValidString(got) || strings.Count(got, "```")%2 != 0 || strings.Count(got, "<details") != strings.Count(got, "</details>") {
				t.Errorf("%s in %d bytes is %d long, or broken", name, limit, len(got))
			}
			if !strings.Contains(got, "left out") && !strings.Contains(got, "more") {
				t.Errorf("%s in %d bytes does not say that something is left out", name, limit)
			}
		}
	}
}
