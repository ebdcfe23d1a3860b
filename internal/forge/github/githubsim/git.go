package githubsim

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// zero is the name of no object.
const zero = "0000000000000000000000000000000000000000"

// gitProgram is where git is, and its own directory of programs.
type gitProgram struct{ path, backend string }

func findGit() (gitProgram, error) {
	path, err := exec.LookPath("git")
	if err != nil {
		return gitProgram{}, fmt.Errorf("find git, which keeps the repositories; install it: %w", err)
	}
	out, err := exec.Command(path, "--exec-path").Output()
	if err != nil {
		return gitProgram{}, fmt.Errorf("ask git for its programs: %w", err)
	}
	backend := filepath.Join(strings.TrimSpace(string(out)), "git-http-backend")
	if _, err := os.Stat(backend); err != nil {
		return gitProgram{}, fmt.Errorf("find git-http-backend, which serves the repositories: %w", err)
	}
	return gitProgram{path: path, backend: backend}, nil
}

// gitEnv keeps the settings of whoever runs the simulator out of it.
func gitEnv() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C.UTF-8", "TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0", "GIT_ATTR_NOSYSTEM=1",
	}
}

// bare is a bare repository on disk.
type bare struct {
	program gitProgram
	dir     string
}

// gitError is a git command that ended with a code.
type gitError struct {
	args   string
	code   int
	stderr string
}

func (e *gitError) Error() string {
	return fmt.Sprintf("git %s: exit %d: %s", e.args, e.code, e.stderr)
}

func exitCode(err error) int {
	var failed *gitError
	if errors.As(err, &failed) {
		return failed.code
	}
	return -1
}

// command is one git command with what it reads and who it says to be.
type command struct {
	stdin string
	env   []string
}

func (b bare) run(args ...string) (string, error) { return b.runWith(command{}, args...) }

func (b bare) runWith(with command, args ...string) (string, error) {
	cmd := exec.Command(b.program.path, append([]string{"--git-dir=" + b.dir, "-c", "core.hooksPath=/dev/null"}, args...)...)
	cmd.Env = append(gitEnv(), with.env...)
	cmd.Stdin = strings.NewReader(with.stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return stdout.String(), &gitError{args: strings.Join(args, " "), code: exit.ExitCode(), stderr: strings.TrimSpace(stderr.String())}
	}
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return stdout.String(), nil
}

// line is the output of a command that says one line.
func (b bare) line(args ...string) (string, error) {
	out, err := b.run(args...)
	return strings.TrimSpace(out), err
}

// bareConfig lets people push branches and tags but nothing of a pull request, and
// fetch any commit, whole or without its files (forges.md A.13).
const bareConfig = `[core]
	repositoryformatversion = 0
	bare = true
[gc]
	auto = 0
[http]
	receivepack = true
[receive]
	hideRefs = refs/pull
[uploadpack]
	allowFilter = true
	allowAnySHA1InWant = true
`

func (b bare) init(branch string) error {
	if err := os.MkdirAll(filepath.Dir(b.dir), 0o755); err != nil {
		return fmt.Errorf("make a repository: %w", err)
	}
	if _, err := b.run("init", "--quiet", "--bare", "--template=", "--initial-branch="+branch, b.dir); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.dir, "config"), []byte(bareConfig), 0o644); err != nil {
		return fmt.Errorf("make a repository: %w", err)
	}
	return nil
}

// refs are the branches and tags with what they point to.
func (b bare) refs() (map[string]string, error) {
	out, err := b.run("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags")
	if err != nil {
		return nil, err
	}
	refs := map[string]string{}
	for line := range strings.Lines(out) {
		sha, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		refs[name] = sha
	}
	return refs, nil
}

// commit is the full name of a commit, or empty when there is none: the name of a
// branch or a tag, or a commit's own. GitHub lets no branch be called like a commit.
func (b bare) commit(ref string) string {
	prefixes, digits := []string{"refs/heads/", "refs/tags/", "refs/", ""}, strings.Trim(ref, "0123456789abcdef") == ""
	if digits && len(ref) == len(zero) {
		prefixes = []string{""}
	}
	for _, prefix := range prefixes {
		if prefix == "" && !digits || strings.HasPrefix(ref, "-") {
			break
		}
		if sha, err := b.line("rev-parse", "--verify", "--quiet", "--end-of-options", prefix+ref+"^{commit}"); err == nil {
			return sha
		}
	}
	return ""
}

func (b bare) contains(commit, ancestor string) bool {
	_, err := b.run("merge-base", "--is-ancestor", ancestor, commit)
	return err == nil
}

func (b bare) count(from, to string) int {
	out, err := b.line("rev-list", "--count", from+".."+to)
	if err != nil {
		return 0
	}
	count, _ := strconv.Atoi(out)
	return count
}

// commitInfo is one commit as payloads and pages tell it.
type commitInfo struct {
	sha, tree                        string
	parents                          []string
	author, authorMail, authored     string
	committer, committerMail, commit string
	message                          string
}

const commitFormat = "%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B%x1e"

// log are commits, newest first, at most 250.
func (b bare) log(revisions ...string) ([]commitInfo, error) {
	out, err := b.run(append([]string{"log", "--max-count=250", "--format=" + commitFormat}, revisions...)...)
	if err != nil {
		return nil, err
	}
	var commits []commitInfo
	for _, record := range strings.Split(out, "\x1e") {
		f := strings.Split(strings.TrimLeft(record, "\n"), "\x00")
		if len(f) != 10 {
			continue
		}
		commits = append(commits, commitInfo{
			sha: f[0], tree: f[1], parents: strings.Fields(f[2]), author: f[3], authorMail: f[4], authored: f[5],
			committer: f[6], committerMail: f[7], commit: f[8], message: strings.TrimSpace(f[9]),
		})
	}
	return commits, nil
}

// signature is who made a commit and when, as git's environment.
func signature(role, name, mail string, at time.Time) []string {
	return []string{
		"GIT_" + role + "_NAME=" + name, "GIT_" + role + "_EMAIL=" + mail,
		"GIT_" + role + "_DATE=" + strconv.FormatInt(at.Unix(), 10) + " +0000",
	}
}

// commitTree makes a commit of a tree.
func (b bare) commitTree(tree, message string, who []string, parents ...string) (string, error) {
	args := []string{"commit-tree", tree, "-F", "-"}
	for _, parent := range parents {
		args = append(args, "-p", parent)
	}
	out, err := b.runWith(command{stdin: message + "\n", env: who}, args...)
	return strings.TrimSpace(out), err
}

// mergeTree merges two commits; clean is false when they conflict.
func (b bare) mergeTree(base, head string) (tree string, clean bool, err error) {
	out, err := b.run("merge-tree", "--write-tree", "--name-only", base, head)
	if exitCode(err) == 1 {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	tree, _, _ = strings.Cut(out, "\n")
	return tree, true, nil
}

// fileTree writes files into a tree.
func (b bare) fileTree(files map[string]string) (string, error) {
	index := filepath.Join(b.dir, "seed.index")
	defer os.Remove(index)
	var lines strings.Builder
	for name, content := range files {
		out, err := b.runWith(command{stdin: content}, "hash-object", "-w", "--stdin")
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&lines, "100644 %s\t%s\x00", strings.TrimSpace(out), name)
	}
	with := command{stdin: lines.String(), env: []string{"GIT_INDEX_FILE=" + index}}
	if _, err := b.runWith(with, "update-index", "-z", "--add", "--index-info"); err != nil {
		return "", err
	}
	out, err := b.runWith(command{env: with.env}, "write-tree")
	return strings.TrimSpace(out), err
}
