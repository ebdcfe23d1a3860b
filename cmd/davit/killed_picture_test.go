package main_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/plan"
)

// picture is what is there in the end, by where it is, without what differs between any
// two runs.
type picture map[string]string

// picture looks everywhere.
func (s *scenery) picture() picture {
	s.t.Helper()
	raw, p := picture{}, picture{}
	s.seeGit(raw)
	s.seeForge(raw)
	s.seeCluster(raw)
	s.seeLedger(raw)
	same := s.alike()
	for place, text := range raw {
		place = same(place)
		if _, twice := p[place]; twice {
			s.t.Errorf("there are two of %s:\n%s", place, text)
		}
		p[place] = same(text)
	}
	return p
}

// varying is what differs between any two runs: what is drawn by lot, or hashed with it,
// the time, and how far a pod has come in not getting its image.
var varying = []struct {
	what *regexp.Regexp
	is   string
}{
	{regexp.MustCompile(`\bweb-[0-9a-f]{8,10}-[a-z0-9]{5}\b`), "web-POD"},
	{regexp.MustCompile(`(davit/revert-.*)-[0-9a-f]{12}\b`), "$1-HASH"},
	{regexp.MustCompile("Plan `[0-9a-f]{12}`"), "Plan `DIGEST`"},
	{regexp.MustCompile(`As of \d{4}-\d\d-\d\d \d\d:\d\d UTC`), "As of NOW"},
	{regexp.MustCompile(`ErrImagePull|ImagePullBackOff`), "ImagePull"},
	{regexp.MustCompile(`\*\*ImagePull\*\*:.*(\n  - .*)*`), "**ImagePull**"},
}

// alike returns what makes texts of all runs the same that mean the same. Commits have the
// names that people gave them.
func (s *scenery) alike() func(string) string {
	var names []string
	for line := range strings.Lines(git(s.t, s.clone, "log", "--all", "--format=%H %s")) {
		commit, subject, _ := strings.Cut(strings.TrimSpace(line), " ")
		names = append(names, commit, "<"+subject+">", commit[:7], "<"+subject+">")
	}
	replaced := strings.NewReplacer(append(names, s.name, "kill-N", s.forge, "FORGE", s.owner().Key(), "OWNER")...)
	return func(text string) string {
		text = replaced.Replace(text)
		for _, v := range varying {
			text = v.what.ReplaceAllString(text, v.is)
		}
		return text
	}
}

func (s *scenery) owner() plan.Owner {
	return plan.OwnerOf(gitops.Repo{Forge: "github", Path: "acme/" + s.name}, gitops.Target{Path: "apps/web"})
}

// seeGit looks at the branches, how they came to be, and what is in their files.
func (s *scenery) seeGit(p picture) {
	s.t.Helper()
	git(s.t, s.clone, "fetch", "--quiet", "origin", "+refs/heads/*:refs/seen/*")
	for ref := range strings.Lines(git(s.t, s.clone, "for-each-ref", "--format=%(refname)", "refs/seen")) {
		ref = strings.TrimSpace(ref)
		p["git "+strings.TrimPrefix(ref, "refs/seen/")] = git(s.t, s.clone, "log", "--graph", "--format=%an: %s", ref) + "\n" + git(s.t, s.clone, "grep", "", ref)
	}
}

// text is a value as lines, which compare well.
func (s *scenery) text(value any) string {
	s.t.Helper()
	data, err := json.MarshalIndent(value, "", "  ")
	s.check(err)
	return strings.NewReplacer(`\n`, "\n", `\u003c`, "<", `\u003e`, ">").Replace(string(data))
}

// said is a comment.
type said struct {
	Body string
	User struct{ Login string }
	// Reactions are counted by the forge.
	Reactions struct {
		Total int `json:"total_count"`
		Eyes  int
	}
}

func (s *scenery) comments(number int) (all []said) {
	s.t.Helper()
	s.api("GET", fmt.Sprintf("/issues/%d/comments?per_page=100", number), nil, &all)
	return all
}

// hidden is the line by which Davit finds its own comments again.
var hidden = regexp.MustCompile(`<!-- davit:.* -->`)

// seeForge looks at everything on the forge that Davit writes.
func (s *scenery) seeForge(p picture) {
	s.t.Helper()
	var issues []struct {
		Number      int
		Title, Body string
		State       string
		Pull        *struct{} `json:"pull_request"`
	}
	s.api("GET", "/issues?state=all&per_page=100", nil, &issues)
	for _, issue := range issues {
		if issue.Pull == nil {
			p[fmt.Sprintf("issue %d", issue.Number)] = s.text(issue)
		}
	}
	type side struct{ Ref, SHA string }
	var pulls []struct {
		Number      int
		Title, Body string
		State       string
		Merged      string `json:"merge_commit_sha"`
		Draft       bool
		Head, Base  side
		User        struct{ Login string }
	}
	s.api("GET", "/pulls?state=all&per_page=100", nil, &pulls)
	for _, pull := range pulls {
		p[fmt.Sprintf("pull request %d", pull.Number)] = s.text(pull)
		s.seeCommit(p, pull.Head.SHA)
		s.seeCommit(p, pull.Merged)
		for _, c := range s.comments(pull.Number) {
			place := fmt.Sprintf("comment %d %s", pull.Number, hidden.FindString(c.Body))
			if _, twice := p[place]; twice {
				s.t.Errorf("there are two comments of one key: %s", place)
			}
			p[place] = fmt.Sprintf("%s, %d reactions, %d eyes\n%s", c.User.Login, c.Reactions.Total, c.Reactions.Eyes, c.Body)
		}
	}
	s.seeDeployments(p)
}

// seeCommit looks at what is said of a commit.
func (s *scenery) seeCommit(p picture, commit string) {
	s.t.Helper()
	var checks struct {
		Runs []struct {
			Name, Status, Conclusion string
			ExternalID               string `json:"external_id"`
			Output                   struct {
				Title, Summary, Text string
				Annotations          int `json:"annotations_count"`
			}
		} `json:"check_runs"`
	}
	s.api("GET", "/commits/"+commit+"/check-runs?filter=all&per_page=100", nil, &checks)
	var remarks []said
	s.api("GET", "/commits/"+commit+"/comments?per_page=100", nil, &remarks)
	p["checks "+commit], p["remarks "+commit] = s.text(checks), s.text(remarks)
}

func (s *scenery) seeDeployments(p picture) {
	s.t.Helper()
	var deployments []struct {
		ID                    int64
		Ref, SHA, Environment string
		Payload               any
	}
	s.api("GET", "/deployments?per_page=100", nil, &deployments)
	for _, d := range deployments {
		var states []struct {
			State, Description string
			LogURL             string `json:"log_url"`
		}
		s.api("GET", fmt.Sprintf("/deployments/%d/statuses?per_page=100", d.ID), nil, &states)
		d.ID = 0
		p[fmt.Sprintf("deployment %s %s", d.Environment, d.SHA)] += s.text(d) + "\n" + s.text(states[:min(1, len(states))]) + "\n"
	}
}

// seeCluster looks at the objects, without what the cluster draws by lot, and at what Davit
// keeps of them there.
func (s *scenery) seeCluster(p picture) {
	s.t.Helper()
	for _, ref := range []gitops.ObjectRef{
		{Group: "apps", Kind: "Deployment"}, {Group: "apps", Kind: "ReplicaSet"}, {Kind: "ConfigMap"}, {Kind: "Secret"}, {Kind: "Service"},
	} {
		ref.Version, ref.Namespace = "v1", s.name
		list, err := s.objects(ref).List(s.ctx, metav1.ListOptions{})
		s.check(err)
		for _, o := range list.Items {
			managers := map[string]bool{}
			for _, f := range o.GetManagedFields() {
				managers[f.Manager] = true
			}
			p["cluster "+ref.Kind+" "+o.GetName()] = s.text(map[string]any{
				"labels": o.GetLabels(), "annotations": o.GetAnnotations(), "managers": managers, "generation": o.GetGeneration(),
				"spec": o.Object["spec"], "data": o.Object["data"], "deleted": o.GetDeletionTimestamp(),
			})
		}
	}
	delete(p, "cluster ConfigMap kube-root-ca.crt") // every namespace has it, a moment later
	record, err := s.cluster.Inventory(s.ctx, s.owner())
	s.check(err)
	var refs []string
	for _, e := range record.Entries() {
		refs = append(refs, e.Ref.String())
	}
	p["cluster inventory"] = s.text(map[string]any{
		"objects": refs, "revision": record.Revision, "settled": record.Settled, "removed": record.Removed, "holder": record.Holder,
	})
	background := metav1.DeletePropagationBackground // so that no pods are left
	web := s.objects(gitops.ObjectRef{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: s.name})
	s.check(web.Delete(s.ctx, "web", metav1.DeleteOptions{PropagationPolicy: &background}))
}

// seeLedger looks at what Davit remembers, and at what it has given up.
func (s *scenery) seeLedger(p picture) {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.dir, "data", "davit.db")+"?_pragma=query_only(ON)")
	s.check(err)
	defer func() { _ = db.Close() }()
	same := s.alike() // rows are sorted by what they mean
	for what, query := range map[string]string{
		"steps":      "SELECT DISTINCT args->>'step' || ' ' || state FROM river_job WHERE state <> 'completed' AND args->>'step' <> 'redeliver' ORDER BY 1",
		"deliveries": "SELECT event || ' ' || state || ' ' || error FROM deliveries WHERE state <> 'done' ORDER BY 1",
		"effects":    "SELECT key || ' ' || (written = version) || ' ' || refused FROM effects ORDER BY 1",
		"rollouts":   "SELECT r.id || ' ' || r.live || ' ' || json_group_array(t.value->>'State') FROM rollouts AS r, json_each(r.data, '$.Targets') AS t GROUP BY r.id",
		"deployed":   "SELECT target || ' ' || (data->>'Commit') || ' ' || (data->>'Healthy') FROM deployed ORDER BY 1",
	} {
		rows, err := db.QueryContext(s.ctx, query)
		s.check(err)
		var all []string
		for rows.Next() {
			var row string
			s.check(rows.Scan(&row))
			all = append(all, row)
		}
		s.check(rows.Err())
		for i := range all {
			all[i] = same(all[i])
		}
		slices.Sort(all)
		p["ledger "+what] = strings.Join(all, "\n")
	}
}
