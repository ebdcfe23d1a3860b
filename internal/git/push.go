package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// ErrRefused is what a push answers if the server is there and will not have it: a hook
// or a rule declines it, or a permission is missing. Asking again is of no use until
// somebody changes that. After any other error it is, with a new password if the old
// one may have run out.
var ErrRefused = errors.New("the server refuses it")

// Push makes a branch at the commit where to leads, unless there is one of that name,
// which stays where it is. It returns the commit that the branch is at in the end: an
// earlier push, even one that was killed, may have been first.
func (r *Repository) Push(ctx context.Context, to Source, branch, commit string) (there string, err error) {
	there, err = r.push(ctx, to, branch, commit)
	if err != nil {
		return "", fmt.Errorf("push the branch %q: %w", branch, err)
	}
	return there, nil
}

func (r *Repository) push(ctx context.Context, to Source, branch, commit string) (string, error) {
	if !isPlain(branch) {
		return "", errors.New("its name is not a plain one")
	}
	id, err := r.Resolve(ctx, commit)
	if err != nil {
		return "", err
	}
	knowing, err := r.knowing(to)
	if err != nil {
		return "", err
	}
	ref := "refs/heads/" + branch
	failed := knowing.create(ctx, to.URL, ref, id)
	if failed == nil {
		return id, nil
	}
	// That it was there before, that somebody else was faster, and that the answer
	// was lost on its way are failures too.
	there, err := knowing.refAt(ctx, to.URL, ref)
	switch {
	case err != nil:
		return "", fmt.Errorf("%w; look whether it is there: %w", failed, err)
	case there == "":
		return "", failed
	}
	return there, nil
}

var plain = regexp.MustCompile(`^[0-9A-Za-z_][0-9A-Za-z._-]*(/[0-9A-Za-z_][0-9A-Za-z._-]*)*$`)

// maxBranch is the length in bytes that every server's file system has room for.
const maxBranch = 200

// isPlain reports whether a branch can have the name and nobody can read it as
// anything else. It is stricter than git.
func isPlain(branch string) bool {
	if len(branch) > maxBranch || branch == "HEAD" || isID(branch) || !plain.MatchString(branch) || strings.Contains(branch, "..") {
		return false
	}
	for part := range strings.SplitSeq(branch, "/") {
		if strings.HasSuffix(part, ".") || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return true
}

// create makes a ref at a commit, or fails if there is one. The server compares and
// writes as one: of two who make it, one is refused.
func (r *Repository) create(ctx context.Context, url, ref, commit string) error {
	var out string
	status, err := answered(func(pipe *os.File) (err error) {
		out, err = r.runWith(ctx, r.dir, func(cmd *exec.Cmd) { traceTo(cmd, pipe) },
			"push", "--quiet", "--porcelain", "--no-verify", "--no-follow-tags", "--no-signed", "--recurse-submodules=no",
			"--force-with-lease="+ref+":", "--end-of-options", url, commit+":"+ref)
		return err
	})
	if err == nil {
		return nil
	}
	if answer, is := rejection(out); is {
		return fmt.Errorf("%w: %s: %w", ErrRefused, r.hidden(answer), err)
	}
	if refuses(status) {
		return fmt.Errorf("%w with HTTP status %d: %w", ErrRefused, status, err)
	}
	return err
}

// rejection finds a server's no in what git push prints of a ref: a flag, from where to
// where, and what became of it in one of a few words. Of these "rejected" is git's own
// no, and "remote failure" is no answer.
func rejection(printed string) (answer string, is bool) {
	for line := range strings.Lines(printed) {
		fields := strings.SplitN(strings.TrimSpace(line), "\t", 3)
		if len(fields) == 3 && fields[0] == "!" && strings.HasPrefix(fields[2], "[remote rejected]") {
			return fields[2], true
		}
	}
	return "", false
}

// refAt is the commit that a ref is at at the server, or empty if there is no such ref.
func (r *Repository) refAt(ctx context.Context, url, ref string) (string, error) {
	out, err := r.run(ctx, r.dir, "ls-remote", "--quiet", "--end-of-options", url, ref)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) { // of refs that end so
		if id, name, _ := strings.Cut(strings.TrimSpace(line), "\t"); name == ref && isID(id) {
			return id, nil
		}
	}
	return "", nil
}

// refuses reports whether an HTTP status is a server's no to what was asked, as
// opposed to: who are you (401, a password that ran out), not now (408, 425, 429), and
// what says nothing of the question.
func refuses(status int) bool {
	switch status {
	case 401, 408, 425, 429:
		return false
	}
	return status >= 400 && status < 500
}

// answered calls a function with a pipe that a git can be traced to, and returns the
// HTTP status of the last answer that it got; 0 is none.
func answered(call func(pipe *os.File) error) (status int, err error) {
	read, write, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer func() { _, _ = read.Close(), write.Close() }()
	last := make(chan int, 1)
	go func() { last <- lastStatus(bufio.NewReader(read)) }()
	err = call(write)
	_, _ = io.WriteString(write, "\n"+endOfTrace+"\n")
	return <-last, err
}

// endOfTrace is a line that no trace has. The end of the file could be long in coming:
// a hook that is left running holds the pipe open.
const endOfTrace = "end of the trace"

// traceTo makes git report its HTTP to a pipe. Its exit code does not tell a server
// that says no from one that is down, and its words are for people.
func traceTo(cmd *exec.Cmd, pipe *os.File) {
	cmd.ExtraFiles = []*os.File{pipe} // which begin at 3
	cmd.Env = append(cmd.Env[:len(cmd.Env):len(cmd.Env)], "GIT_TRACE_CURL=3", "GIT_TRACE_CURL_NO_DATA=1")
}

// lastStatus reads a trace to its end. Nothing of it is kept: it holds every header.
func lastStatus(trace *bufio.Reader) int {
	last := 0
	for {
		line, _, err := trace.ReadLine()
		if err != nil || string(line) == endOfTrace {
			return last
		}
		_, header, _ := bytes.Cut(line, []byte("<= Recv header: HTTP/"))
		if fields := bytes.Fields(header); len(fields) > 1 { // the version, the status
			if status, err := strconv.Atoi(string(fields[1])); err == nil {
				last = status
			}
		}
	}
}
