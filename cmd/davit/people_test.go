package main_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite"

	"github.com/davitops/davit/internal/forge/github/githubsim"
)

// name is the repository that a story is about: $REPOSITORY, or acme/gitops.
func (s *scene) name(ts *testscript.TestScript) string {
	if name := ts.Getenv("REPOSITORY"); name != "" {
		return name
	}
	return "acme/gitops"
}

// repository is where its API is.
func (s *scene) repository(ts *testscript.TestScript) string { return "/repos/" + s.name(ts) }

// as is the command "as LOGIN VERB …": what people do on the forge.
//
//	as bob push BRANCH DIRECTORY [FROM]   files of a directory, "(deleted)" deletes one
//	as bob open BRANCH [BASE]             a pull request, whose number is $PR from then on
//	as bob say TEXT                       on $PR; the comment's id is $COMMENT from then on
//	as bob remark COMMIT TEXT             a comment on a commit
//	as bob edit COMMENT TEXT
//	as bob delete COMMENT
//	as bob close | reopen
//	as bob merge [merge|squash|rebase]
func (s *scene) as(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: as LOGIN VERB …")
	}
	login, verb, rest := args[0], args[1], append(args[2:], "", "", "")
	repository := s.repository(ts)
	pull := repository + "/pulls/" + ts.Getenv("PR")
	switch verb {
	case "push":
		s.push(ts, login, rest)
	case "open":
		base := rest[1]
		if base == "" {
			base = "main"
		}
		opened := s.api(ts, login, "POST", repository+"/pulls", map[string]any{"title": "Change " + rest[0], "head": rest[0], "base": base, "body": "As discussed."})
		ts.Setenv("PR", fmt.Sprint(opened["number"]))
	case "say":
		said := s.api(ts, login, "POST", repository+"/issues/"+ts.Getenv("PR")+"/comments", map[string]any{"body": strings.ReplaceAll(rest[0], `\n`, "\n")})
		ts.Setenv("COMMENT", strconv.FormatFloat(said["id"].(float64), 'f', 0, 64))
	case "remark":
		s.ask(ts, login, "POST", repository+"/commits/"+rest[0]+"/comments", map[string]any{"body": rest[1]})
	case "edit":
		s.ask(ts, login, "PATCH", repository+"/issues/comments/"+rest[0], map[string]any{"body": rest[1]})
	case "delete":
		s.ask(ts, login, "DELETE", repository+"/issues/comments/"+rest[0], nil)
	case "close":
		s.ask(ts, login, "PATCH", pull, map[string]any{"state": "closed"})
	case "reopen":
		s.ask(ts, login, "PATCH", pull, map[string]any{"state": "open"})
	case "merge":
		s.ask(ts, login, "PUT", pull+"/merge", map[string]any{"merge_method": cmp.Or(rest[0], "merge")})
	default:
		ts.Fatalf("nobody knows how to %s", verb)
	}
}

func (s *scene) push(ts *testscript.TestScript, login string, args []string) {
	branch, directory, from := args[0], ts.MkAbs(args[1]), args[2]
	if from == "" {
		from = "main"
	}
	name := s.name(ts)
	if owner, rest, found := strings.Cut(branch, ":"); found { // a fork's
		name, branch = owner+"/gitops", rest
	}
	clone := filepath.Join(s.work, ".clones", login)
	ts.Check(os.RemoveAll(clone))
	ts.Check(os.MkdirAll(filepath.Dir(clone), 0o755))
	address := strings.Replace(s.url, "://", "://"+login+":user-"+login+"@", 1) + "/" + name + ".git"
	ts.Check(ts.Exec("git", "clone", "--quiet", address, clone))
	if ts.Exec("git", "-C", clone, "checkout", "--quiet", branch) != nil {
		ts.Check(ts.Exec("git", "-C", clone, "checkout", "--quiet", "-b", branch, "origin/"+from))
	}
	ts.Check(filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, _ := filepath.Rel(directory, path)
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return writeOrDelete(filepath.Join(clone, relative), data)
	}))
	ts.Check(ts.Exec("git", "-C", clone, "add", "--all"))
	ts.Check(ts.Exec("git", "-C", clone, "commit", "--quiet", "-m", "Change of "+args[1]))
	ts.Check(ts.Exec("git", "-C", clone, "push", "--quiet", "origin", "HEAD:"+branch))
	head, err := exec.Command("git", "-C", clone, "rev-parse", "HEAD").Output()
	ts.Check(err)
	ts.Setenv("HEAD", strings.TrimSpace(string(head)))
}

// comments are what Davit says on $PR.
func (s *scene) comments(ts *testscript.TestScript) []string {
	var bodies []string
	for _, c := range s.list(ts, s.repository(ts)+"/issues/"+ts.Getenv("PR")+"/comments?per_page=100") {
		if user := c["user"].(map[string]any); user["login"] == "davit[bot]" {
			bodies = append(bodies, c["body"].(string))
		}
	}
	return bodies
}

// comment is the command "comment REGEXP", which waits until a comment of Davit's
// matches, or "comment count N", which counts them, or "comment deleted", by which
// somebody deletes them.
func (s *scene) comment(ts *testscript.TestScript, neg bool, args []string) {
	if args[0] == "count" {
		if got := s.comments(ts); fmt.Sprint(len(got)) != args[1] {
			ts.Fatalf("there are %d comments of Davit's, not %s:\n%s", len(got), args[1], strings.Join(got, "\n----\n"))
		}
		return
	}
	if args[0] == "deleted" {
		for _, c := range s.list(ts, s.repository(ts)+"/issues/"+ts.Getenv("PR")+"/comments?per_page=100") {
			s.ask(ts, "alice", "DELETE", fmt.Sprintf("%s/issues/comments/%.0f", s.repository(ts), c["id"]), nil)
		}
		return
	}
	pattern := regexp.MustCompile("(?m)" + args[0])
	if neg {
		if all := strings.Join(s.comments(ts), "\n"); pattern.MatchString(all) {
			ts.Fatalf("a comment matches %s:\n%s", pattern, all)
		}
		return
	}
	until(ts, func() (bool, string) {
		all := strings.Join(s.comments(ts), "\n----\n")
		return pattern.MatchString(all), fmt.Sprintf("no comment matches %s:\n%s", pattern, all)
	})
}

// remark is the command "remark COMMIT REGEXP", which waits until a comment of Davit's on a
// commit matches.
func (s *scene) remark(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile("(?m)" + args[1])
	until(ts, func() (bool, string) {
		var bodies []string
		for _, c := range s.list(ts, s.repository(ts)+"/commits/"+args[0]+"/comments") {
			if user := c["user"].(map[string]any); user["login"] == "davit[bot]" {
				bodies = append(bodies, c["body"].(string))
			}
		}
		all := strings.Join(bodies, "\n----\n")
		return pattern.MatchString(all), fmt.Sprintf("no comment on %s matches %s:\n%s", args[0], pattern, all)
	})
}

// pull is the command "pull REGEXP": it waits for an open pull request with such a title,
// which is $PR from then on.
func (s *scene) pull(ts *testscript.TestScript, neg bool, args []string) {
	pattern := regexp.MustCompile(args[0])
	find := func() (bool, string) {
		var titles []string
		for _, pr := range s.list(ts, s.repository(ts)+"/pulls?state=open") {
			title, _ := pr["title"].(string)
			if titles = append(titles, title); pattern.MatchString(title) {
				ts.Setenv("PR", fmt.Sprint(pr["number"]))
				return true, ""
			}
		}
		return false, fmt.Sprintf("no title matches %s: %q", pattern, titles)
	}
	if neg {
		if found, _ := find(); found {
			ts.Fatalf("there is a pull request whose title matches %s", pattern)
		}
		return
	}
	until(ts, find)
}

// deployment is the command "deployment ENVIRONMENT STATE [REGEXP]": it waits until the
// newest deployment of an environment is in a state, whose description matches.
func (s *scene) deployment(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(strings.Join(args[2:], " "))
	until(ts, func() (bool, string) {
		all := s.list(ts, s.repository(ts)+"/deployments?environment="+args[0])
		if len(all) == 0 {
			return false, "there is no deployment to " + args[0]
		}
		statuses := s.list(ts, fmt.Sprintf("%s/deployments/%.0f/statuses", s.repository(ts), all[0]["id"]))
		if len(statuses) == 0 {
			return false, "the deployment has no status"
		}
		said := fmt.Sprint(statuses[0]["description"])
		return statuses[0]["state"] == args[1] && pattern.MatchString(said), fmt.Sprintf("the deployment to %s is %v: %s", args[0], statuses[0]["state"], said)
	})
}

// said is the command "said": it prints all that Davit says on $PR.
func (s *scene) said(ts *testscript.TestScript, _ bool, _ []string) {
	fmt.Fprint(ts.Stdout(), strings.Join(s.comments(ts), "\n----\n"))
}

// check is the command "check CONCLUSION [REGEXP]": it waits until the last check of
// $PR's head has ended so, with a title or an annotation that matches.
func (s *scene) check(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(strings.Join(args[1:], " "))
	until(ts, func() (bool, string) {
		pr := s.api(ts, "alice", "GET", s.repository(ts)+"/pulls/"+ts.Getenv("PR"), nil)
		head := pr["head"].(map[string]any)["sha"].(string)
		runs, _ := s.api(ts, "alice", "GET", s.repository(ts)+"/commits/"+head+"/check-runs?check_name=davit&filter=latest", nil)["check_runs"].([]any)
		for _, run := range runs {
			text, _ := json.Marshal(run)
			if run.(map[string]any)["conclusion"] == args[0] && pattern.Match(text) {
				return true, ""
			}
		}
		text, _ := json.Marshal(runs)
		return false, fmt.Sprintf("the checks of %.7s: %s", head, text)
	})
}

// fault is the command "fault JSON", "fault release" or "fault clear".
func (s *scene) fault(ts *testscript.TestScript, _ bool, args []string) {
	switch args[0] {
	case "release":
		s.sim.Release()
		return
	case "clear":
		s.sim.ClearFaults()
		return
	}
	var f githubsim.Fault
	ts.Check(json.Unmarshal([]byte(args[0]), &f))
	ts.Check(s.sim.AddFault(f))
}

// post is the command "post EVENT ID BODY [SIGNATURE]": it delivers by hand, and prints
// the status. BODY is a file, or a number of bytes; without a signature the right one
// is given.
func (s *scene) post(ts *testscript.TestScript, _ bool, args []string) {
	body := []byte(nil)
	if n, err := strconv.Atoi(args[2]); err == nil {
		body = bytes.Repeat([]byte("x"), n)
	} else {
		body = []byte(ts.ReadFile(args[2]))
	}
	request, err := http.NewRequest("POST", s.hooks, bytes.NewReader(body))
	ts.Check(err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-GitHub-Event", args[0])
	request.Header.Set("X-GitHub-Delivery", args[1])
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write(body)
	signature := "sha256=" + hex.EncodeToString(mac.Sum(nil))
	if len(args) > 3 {
		signature = args[3]
	}
	if signature != "none" {
		request.Header.Set("X-Hub-Signature-256", signature)
	}
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	_ = response.Body.Close()
	fmt.Fprintln(ts.Stdout(), response.StatusCode)
}

// delivery is the command "delivery EVENT": $DELIVERY is the id of the last one that the
// forge sent.
func (s *scene) delivery(ts *testscript.TestScript, _ bool, args []string) {
	for _, d := range s.sim.Deliveries() {
		if d.Event == args[0] {
			ts.Setenv("DELIVERY", d.GUID)
		}
	}
}

func (s *scene) query(ts *testscript.TestScript, query string) [][]string {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.work, "data", "davit.db")+"?_pragma=query_only(ON)&_pragma=busy_timeout(5000)")
	ts.Check(err)
	defer func() { _ = db.Close() }()
	rows, err := db.Query(query)
	ts.Check(err)
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	ts.Check(err)
	var all [][]string
	for rows.Next() {
		row := make([]string, len(names))
		into := make([]any, len(names))
		values := make([]sql.NullString, len(names))
		for i := range into {
			into[i] = &values[i]
		}
		ts.Check(rows.Scan(into...))
		for i := range row {
			row[i] = unzipped(values[i].String)
		}
		all = append(all, row)
	}
	ts.Check(rows.Err())
	return all
}

// unzipped is a value as it was before it was compressed, if it was.
func unzipped(value string) string {
	z, err := gzip.NewReader(strings.NewReader(value))
	if err != nil {
		return value
	}
	data, err := io.ReadAll(z)
	if err != nil {
		return value
	}
	return string(data)
}

// rows is the command "rows SQL": it prints what the bot's database answers.
func (s *scene) rows(ts *testscript.TestScript, _ bool, args []string) {
	for _, row := range s.query(ts, args[0]) {
		fmt.Fprintln(ts.Stdout(), strings.Join(row, " | "))
	}
}

// nowhere is the command "nowhere TEXT…", or "! nowhere TEXT", of a text that is
// somewhere: none of the texts, in any form in which a
// secret could be seen, is in a comment, a check, the page, a row, a metric or the log.
func (s *scene) nowhere(ts *testscript.TestScript, neg bool, texts []string) {
	places := map[string]string{"log": s.log.String(), "comments": strings.Join(s.comments(ts), "\n")}
	_, page := s.fetch(ts, s.url+"/"+s.name(ts)+"/pull/"+ts.Getenv("PR"))
	places["page"], _, _ = strings.Cut(page, `id="files"`) // below it is the forge's own view of the files
	pr := s.api(ts, "alice", "GET", s.repository(ts)+"/pulls/"+ts.Getenv("PR"), nil)
	head := pr["head"].(map[string]any)["sha"].(string)
	places["checks"] = string(s.ask(ts, "alice", "GET", s.repository(ts)+"/commits/"+head+"/check-runs?filter=all", nil))
	for _, table := range s.query(ts, "SELECT name FROM sqlite_master WHERE type = 'table'") {
		for _, row := range s.query(ts, `SELECT * FROM "`+table[0]+`"`) {
			places["rows"] += strings.Join(row, "\n") + "\n"
		}
	}
	_, places["metrics"] = s.fetch(ts, s.admin+"/metrics")
	for place, content := range places {
		if len(content) < 100 {
			ts.Fatalf("%s: there is next to nothing in it: %q", place, content)
		}
		for _, text := range texts {
			for _, form := range leaks(text) {
				switch at := strings.Index(content, form); {
				case at >= 0 && neg:
					return
				case at >= 0:
					ts.Fatalf("%s: the secret is in it: …%s…", place, content[max(0, at-100):min(len(content), at+100)])
				}
			}
		}
	}
	if neg {
		ts.Fatalf("%q is nowhere", texts)
	}
}
