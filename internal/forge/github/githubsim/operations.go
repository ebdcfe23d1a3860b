package githubsim

import (
	"errors"
	"net/http"
)

// repoPath begins the path of everything in a repository.
const repoPath = "/repos/{owner}/{repo}"

var (
	metadata    = []string{"metadata:read"}
	readCode    = []string{"contents:read"}
	writeCode   = []string{"contents:write"}
	readPulls   = []string{"pull_requests:read"}
	writePulls  = []string{"pull_requests:write"}
	readTalk    = []string{"pull_requests:read", "issues:read"}
	writeTalk   = []string{"pull_requests:write", "issues:write"}
	readIssues  = []string{"issues:read"}
	writeIssues = []string{"issues:write"}
	writeChecks = []string{"checks:write"}
)

// operations is everything the simulator has.
var operations = []operation{
	{"GET", "/app", theApp, nil, "", (*call).getApp},
	{"GET", "/app/installations", theApp, nil, "", (*call).listInstallations},
	{"GET", repoPath + "/installation", theApp, nil, "", (*call).getInstallation},
	{"POST", "/app/installations/{installation_id}/access_tokens", theApp, nil, "", (*call).createToken},
	{"GET", "/app/hook/deliveries", theApp, nil, "", (*call).listDeliveries},
	{"POST", "/app/hook/deliveries/{delivery_id}/attempts", theApp, nil, "", (*call).redeliver},
	{"GET", "/installation/repositories", aToken, nil, "", (*call).listReachable},
	{"GET", "/users/{username}", anyone, nil, "", (*call).getUser},
	{"GET", repoPath, anyone, metadata, "read", (*call).getRepository},
	{"GET", repoPath + "/branches/{branch}", anyone, readCode, "read", (*call).getBranch},
	{"GET", repoPath + "/collaborators/{username}/permission", anyone, metadata, "write", (*call).getPermission},

	{"GET", repoPath + "/pulls", anyone, readPulls, "read", (*call).listPulls},
	{"POST", repoPath + "/pulls", anyone, writePulls, "read", (*call).createPull},
	{"GET", repoPath + "/pulls/{pull_number}", anyone, readPulls, "read", (*call).getPull},
	{"PATCH", repoPath + "/pulls/{pull_number}", anyone, writePulls, "read", (*call).editPull},
	{"PUT", repoPath + "/pulls/{pull_number}/merge", anyone, writeCode, "write", (*call).mergePull},
	{"GET", repoPath + "/pulls/{pull_number}/reviews", anyone, readPulls, "read", (*call).listReviews},
	{"POST", repoPath + "/pulls/{pull_number}/reviews", anyone, writePulls, "read", (*call).createReview},

	{"GET", repoPath + "/issues", anyone, readIssues, "read", (*call).listIssues},
	{"POST", repoPath + "/issues", anyone, writeIssues, "read", (*call).createIssue},
	{"PATCH", repoPath + "/issues/{issue_number}", anyone, writeTalk, "read", (*call).editIssue},
	{"GET", repoPath + "/issues/{issue_number}/comments", anyone, readTalk, "read", (*call).listComments},
	{"POST", repoPath + "/issues/{issue_number}/comments", anyone, writeTalk, "read", (*call).createComment},
	{"PATCH", repoPath + "/issues/comments/{comment_id}", anyone, writeTalk, "read", (*call).editComment},
	{"DELETE", repoPath + "/issues/comments/{comment_id}", anyone, writeTalk, "read", (*call).deleteComment},
	{"POST", repoPath + "/issues/comments/{comment_id}/reactions", anyone, writeTalk, "read", (*call).react},
	{"POST", repoPath + "/issues/{issue_number}/labels", anyone, writeTalk, "triage", (*call).addLabels},

	{"GET", repoPath + "/commits/{commit_sha}/pulls", anyone, readPulls, "read", (*call).listPullsOfCommit},
	{"GET", repoPath + "/commits/{commit_sha}/comments", anyone, metadata, "read", (*call).listRemarks},
	{"POST", repoPath + "/commits/{commit_sha}/comments", anyone, readCode, "read", (*call).createRemark},
	{"PATCH", repoPath + "/comments/{comment_id}", anyone, writeCode, "read", (*call).editRemark},
	{"GET", repoPath + "/commits/{ref}/check-runs", anyone, []string{"checks:read"}, "read", (*call).listChecks},
	{"POST", repoPath + "/check-runs", anyone, writeChecks, "", (*call).createCheck},
	{"PATCH", repoPath + "/check-runs/{check_run_id}", anyone, writeChecks, "", (*call).editCheck},
	{"POST", repoPath + "/statuses/{sha}", anyone, []string{"statuses:write"}, "write", (*call).createStatus},
	{"GET", repoPath + "/commits/{ref}/status", anyone, []string{"statuses:read"}, "read", (*call).combinedStatus},
	{"GET", repoPath + "/deployments", anyone, []string{"deployments:read"}, "read", (*call).listDeployments},
	{"POST", repoPath + "/deployments", anyone, []string{"deployments:write"}, "write", (*call).createDeployment},
	{"GET", repoPath + "/deployments/{deployment_id}/statuses", anyone, []string{"deployments:read"}, "read", (*call).listDeploymentStatuses},
	{"POST", repoPath + "/deployments/{deployment_id}/statuses", anyone, []string{"deployments:write"}, "write", (*call).createDeploymentStatus},
}

func asRefusal(err error) *refusal {
	var said *refusal
	if errors.As(err, &said) {
		return said
	}
	return nil
}

func (c *call) getUser() (answer, error) {
	found := c.account(c.params["username"])
	if found == nil {
		return answer{}, notFound()
	}
	return ok(c.publicUser(found))
}

func (c *call) getRepository() (answer, error) { return ok(c.fullRepo(c.repo, c.actor)) }

func (c *call) getBranch() (answer, error) {
	name := c.params["branch"]
	sha := c.repo.refs["refs/heads/"+name]
	if sha == "" {
		return answer{}, problem(http.StatusNotFound, "Branch not found")
	}
	commits, err := c.repo.git.log("--max-count=1", sha)
	if err != nil || len(commits) == 0 {
		return answer{}, errors.Join(errors.New("read the commit of a branch"), err)
	}
	url := c.apiURL("/repos/%s/branches/%s", c.repo.fullName(), name)
	return ok(object{
		"name": name, "commit": c.commitView(c.repo, commits[0]), "protected": false, "protection_url": url + "/protection",
		"_links":     object{"self": url, "html": c.htmlURL("/%s/tree/%s", c.repo.fullName(), name)},
		"protection": object{"enabled": false, "required_status_checks": object{"enforcement_level": "off", "contexts": []string{}, "checks": []object{}}},
	})
}

// getPermission says admin, write, read or none, and the role in full beside it
// (forges.md A.10).
func (c *call) getPermission() (answer, error) {
	found := c.account(c.params["username"])
	if found == nil {
		return answer{}, problem(http.StatusNotFound, c.params["username"]+" is not a user")
	}
	role := c.role(found, c.repo)
	short := map[string]string{"maintain": "write", "triage": "read"}[role]
	if short == "" {
		short = role
	}
	user := c.userView(found)
	user["permissions"], user["role_name"] = permissions(role), role
	return ok(object{"permission": short, "role_name": role, "user": user})
}
