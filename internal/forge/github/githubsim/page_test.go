package githubsim

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func (w *world) page(path string) (int, string) {
	w.t.Helper()
	answered, err := http.Get(w.url + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answered.Body.Close()
	text, err := io.ReadAll(answered.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answered.StatusCode, string(text)
}

const richComment = `<!-- davit -->
### Davit: 1 change in ` + "`prod`" + `

| Target | Changes | Risk |
|---|---:|---|
| shop | 1 | low |

<details open><summary>Deployment <code>shop/web</code></summary>

` + "```diff\n@@ spec @@\n-replicas: 2\n+replicas: 3\n image: shop:1\n```" + `

</details>

- [x] checked
- [ ] applied <kbd>/apply</kbd> H<sub>2</sub>O
<script>alert(1)</script><img src="https://elsewhere.invalid/x.png" onerror="alert(1)"><a href="javascript:alert(1)">no</a>
`

// Pages show what happened, and nobody's HTML does anything in them.
func TestPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	c, n := w.pull("more")
	head := c.git("rev-parse", "HEAD")
	issue, pull := fmt.Sprintf("%s/issues/%d", gitops, n), fmt.Sprintf("%s/pulls/%d", gitops, n)
	said := w.must(http.StatusCreated, "bot", "POST", issue+"/comments", object{"body": richComment})
	w.must(http.StatusCreated, "alice", "POST", fmt.Sprintf("%s/issues/comments/%d/reactions", gitops, said.id()), object{"content": "rocket"})
	w.must(http.StatusCreated, "alice", "POST", issue+"/comments", object{"body": "Looks good to me. **Apply** it, please."})
	w.must(http.StatusOK, "bot", "PATCH", fmt.Sprintf("%s/issues/comments/%d", gitops, said.id()), object{"body": richComment + "\nMore."})
	w.must(http.StatusCreated, "bot", "POST", gitops+"/check-runs", object{
		"name": "davit/prod", "head_sha": head, "conclusion": "action_required", "details_url": "https://davit.localhost/1",
		"actions": []object{{"label": "Apply", "description": "Apply this plan", "identifier": "apply"}},
		"output": object{"title": "1 change, 1 risk", "summary": "The change of `replicas` is **safe**.", "text": "Nothing else.", "annotations": []object{
			{"path": "apps/shop/values.yaml", "start_line": 1, "end_line": 1, "annotation_level": "warning", "message": "More replicas than nodes", "title": "Scale"},
		}},
	})
	w.must(http.StatusCreated, "bot", "POST", gitops+"/check-runs", object{"name": "davit/stage", "head_sha": head, "conclusion": "success"})
	w.must(http.StatusCreated, "alice", "POST", gitops+"/statuses/"+head, object{"state": "pending", "context": "ci/test", "description": "Waiting for a runner"})
	w.must(http.StatusOK, "carol", "POST", pull+"/reviews", object{"event": "APPROVE", "body": "Ship it."})
	w.must(http.StatusOK, "alice", "POST", issue+"/labels", object{"labels": []string{"scale"}})
	made := w.must(http.StatusCreated, "bot", "POST", gitops+"/deployments", object{"ref": head, "auto_merge": false, "required_contexts": []string{}, "environment": "prod"})
	w.must(http.StatusCreated, "bot", "POST", fmt.Sprintf("%s/deployments/%d/statuses", gitops, made.id()), object{
		"state": "in_progress", "description": "Applying", "log_url": "https://davit.localhost/rollout",
	})
	w.must(http.StatusCreated, "bot", "POST", gitops+"/commits/"+head+"/comments", object{"body": "Nobody **reviewed** it. <script>alert(1)</script>"})
	w.must(http.StatusCreated, "bot", "POST", gitops+"/issues", object{"title": "Drift in prod", "body": "It *drifts*. <script>alert(1)</script>"})

	status, text := w.page(fmt.Sprintf("/acme/gitops/pull/%d", n))
	if status != http.StatusOK {
		t.Fatalf("the page: %d %s", status, text)
	}
	for _, want := range []string{
		"More shops", "· edited", `class="pill open"`, "davit[bot]", `<span class="add">&#43;replicas: 3`, `<details open="">`, "🚀 1", "davit/prod",
		"action_required", "More replicas than nodes", "ci/test", "approved", "Ship it.", "in_progress", "<kbd>/apply</kbd>", `<span class="del">-replicas: 2`,
		"apps/shop/values.yaml", `<td align="right">1</td>`, `<a href="https://davit.localhost/rollout" rel="nofollow">log</a>`, "/acme/gitops/commit/" + head,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, never := range []string{"<script", "onerror", "javascript:", "elsewhere.invalid", "<!-- davit"} {
		if strings.Contains(text, never) {
			t.Errorf("the page has %q", never)
		}
	}
	for _, line := range []string{"Three.", "davit[bot]", "Looks good to me", "Ship it."} {
		at := strings.Index(text, line)
		if at < 0 {
			t.Errorf("%q does not come after what was said before it", line)
			break
		}
		text = text[at:]
	}
	for path, wants := range map[string][]string{
		"/": {"acme/gitops"}, "/acme/gitops/pulls": {"More shops"}, "/acme/public": {"There are none yet"},
		"/acme/gitops/commit/" + head: {"Nobody <strong>reviewed</strong> it", "in_progress: Applying", "davit/prod", `<span class="add">&#43;replicas: 3`},
		"/acme/gitops/issues":         {"Drift in prod", "davit[bot]"}, fmt.Sprintf("/acme/gitops/issues/%d", n+1): {"It <em>drifts</em>", `class="pill open"`},
		"/acme/public/issues": {"There are none yet"},
	} {
		status, text := w.page(path)
		for _, want := range wants {
			if status != http.StatusOK || !strings.Contains(text, want) || strings.Contains(text, "<script") {
				t.Errorf("%s: %d, without %q: %s", path, status, want, text[strings.Index(text, "<body>"):])
			}
		}
	}
	w.expected = []string{"githubsim has no operation GET /acme/gitops/issues/1", "githubsim has no operation GET /acme/gitops/commit/"}
	for _, path := range []string{fmt.Sprintf("/acme/gitops/issues/%d", n), "/acme/gitops/commit/" + zero, "/acme/gitops/commit/none"} {
		if status, _ := w.page(path); status == http.StatusOK {
			t.Errorf("%s is a page", path)
		}
	}
}
