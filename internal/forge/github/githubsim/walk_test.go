package githubsim

import (
	"fmt"
	"net/http"
	"testing"
)

// The whole way of a pull request, from the App's first look to the merge.
func TestWalk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, usualSeed)
	w.must(http.StatusOK, "app", "GET", "/app", nil)
	w.must(http.StatusOK, "app", "GET", "/app/installations", nil)
	w.must(http.StatusOK, "app", "GET", gitops+"/installation", nil)
	w.must(http.StatusOK, "bot", "GET", "/installation/repositories", nil)
	w.must(http.StatusOK, "bot", "GET", "/users/davit%5Bbot%5D", nil)
	w.must(http.StatusOK, "bot", "GET", gitops, nil)
	w.must(http.StatusOK, "bot", "GET", gitops+"/branches/main", nil)
	w.must(http.StatusOK, "bot", "GET", gitops+"/collaborators/alice/permission", nil)

	c := w.clone("alice", "acme/gitops")
	first := c.commit("more", "apps/shop/values.yaml", "replicas: 3\nimage: shop:1\n")
	c.push("more")
	made := w.must(http.StatusCreated, "alice", "POST", gitops+"/pulls", object{"title": "More shops", "head": "more", "base": "main"})
	if made.text("head.sha") != first {
		t.Errorf("head is %s, want %s", made.text("head.sha"), first)
	}
	pull := fmt.Sprintf("%s/pulls/%v", gitops, made.at("number"))
	issue := fmt.Sprintf("%s/issues/%v", gitops, made.at("number"))
	wantStrings(t, "events", w.events(), "push", "pull_request opened")

	said := w.must(http.StatusCreated, "bot", "POST", "/api/v3"+issue+"/comments", object{"body": "Looking."})
	comment := fmt.Sprintf("%s/issues/comments/%d", gitops, said.id())
	w.must(http.StatusOK, "bot", "PATCH", comment, object{"body": "Looked."})
	w.must(http.StatusCreated, "alice", "POST", comment+"/reactions", object{"content": "eyes"})
	w.must(http.StatusOK, "alice", "POST", comment+"/reactions", object{"content": "eyes"})
	w.must(http.StatusOK, "bot", "GET", issue+"/comments", nil)
	check := w.must(http.StatusCreated, "bot", "POST", gitops+"/check-runs", object{
		"name": "davit", "head_sha": first, "status": "in_progress", "external_id": "1", "details_url": "https://davit.localhost/1",
	})
	w.must(http.StatusOK, "bot", "PATCH", fmt.Sprintf("%s/check-runs/%d", gitops, check.id()), object{
		"conclusion": "success", "output": object{"title": "One change", "summary": "Good.", "annotations": []object{
			{"path": "apps/shop/values.yaml", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "more"},
		}},
	})
	w.must(http.StatusOK, "bot", "GET", gitops+"/commits/"+first+"/check-runs?check_name=davit&filter=latest", nil)
	w.must(http.StatusCreated, "bot", "POST", gitops+"/statuses/"+first, object{"state": "success", "context": "davit"})
	w.must(http.StatusOK, "bot", "GET", gitops+"/commits/more/status", nil)
	w.must(http.StatusOK, "carol", "POST", pull+"/reviews", object{"event": "APPROVE"})
	w.must(http.StatusOK, "bot", "GET", pull+"/reviews", nil)
	w.must(http.StatusOK, "alice", "POST", issue+"/labels", object{"labels": []string{"big"}})
	deployed := w.must(http.StatusCreated, "bot", "POST", gitops+"/deployments", object{"ref": "more", "auto_merge": false, "required_contexts": []string{}})
	deployment := fmt.Sprintf("%s/deployments/%d", gitops, deployed.id())
	w.must(http.StatusCreated, "bot", "POST", deployment+"/statuses", object{"state": "success"})
	w.must(http.StatusOK, "bot", "GET", deployment+"/statuses", nil)
	w.must(http.StatusOK, "bot", "GET", gitops+"/deployments", nil)
	w.must(http.StatusOK, "alice", "PATCH", pull, object{"title": "More and more"})
	wantStrings(t, "events", w.events(),
		"issue_comment created", "issue_comment edited", "check_run created", "check_run completed",
		"pull_request_review submitted", "pull_request labeled", "pull_request edited")

	second := c.commit("more", "apps/shop/values.yaml", "replicas: 4\nimage: shop:1\n")
	c.push("more")
	wantStrings(t, "events", w.events(), "push", "pull_request synchronize")
	w.must(http.StatusOK, "bot", "GET", gitops+"/pulls?state=open", nil)
	if seen := w.must(http.StatusOK, "bot", "GET", pull, nil); seen.text("head.sha") != second || seen.at("mergeable") != nil {
		t.Errorf("head is %s and mergeable %v, want %s and nothing yet (forges.md A.10)", seen.text("head.sha"), seen.at("mergeable"), second)
	}
	if seen := w.must(http.StatusOK, "bot", "GET", pull, nil); seen.at("mergeable") != true {
		t.Errorf("mergeable is %v at the second read", seen.at("mergeable"))
	}
	w.must(http.StatusOK, "alice", "PUT", pull+"/merge", object{"sha": second})
	wantStrings(t, "events", w.events(), "pull_request closed", "push")
	w.must(http.StatusNoContent, "bot", "DELETE", comment, nil)
	wantStrings(t, "events", w.events(), "issue_comment deleted")
	listed := w.must(http.StatusOK, "app", "GET", "/app/hook/deliveries?per_page=5", nil)
	w.must(http.StatusAccepted, "app", "POST", fmt.Sprintf("/app/hook/deliveries/%.0f/attempts", listed.list[0]["id"]), nil)
	wantStrings(t, "events", w.events(), "issue_comment deleted")
}
