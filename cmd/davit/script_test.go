package main_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/tools/txtar"
)

// TestScript plays the stories of testdata/script: what a person types, and what
// davit answers.
func TestScript(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join(root, "testdata", "script"),
		UpdateScripts: os.Getenv("UPDATE") != "",
		Setup:         setupScript,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"sample": scriptSample,
			"status": scriptStatus,
		},
	})
}

// setupScript gives a story the program, the samples and a git of its own.
func setupScript(env *testscript.Env) error {
	env.Setenv("PATH", filepath.Dir(program)+string(os.PathListSeparator)+env.Getenv("PATH"))
	env.Setenv("SAMPLES", absolute(filepath.Join(root, "testdata", "samples")))
	env.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(env.WorkDir, ".gitconfig"))
	return os.WriteFile(filepath.Join(env.WorkDir, ".gitconfig"),
		[]byte("[user]\n\tname = t\n\temail = t@localhost\n[init]\n\tdefaultBranch = main\n[commit]\n\tgpgsign = false\n[advice]\n\tdetachedHead = false\n"), 0o644)
}

func absolute(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return abs
}

// scriptSample is the command "sample NAME": it makes a repository of a sample in
// a directory of that name, with the branch change checked out.
func scriptSample(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: sample NAME")
	}
	archive, err := txtar.ParseFile(filepath.Join(ts.Getenv("SAMPLES"), args[0]+".txtar"))
	ts.Check(err)
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	ts.Check(ts.Exec("git", "-C", dir, "init", "--quiet", "--initial-branch=main"))
	for _, side := range []string{"base", "head"} {
		for _, f := range archive.Files {
			if name, is := cutSide(f.Name, side); is {
				ts.Check(writeOrDelete(filepath.Join(dir, name), f.Data))
			}
		}
		ts.Check(ts.Exec("git", "-C", dir, "add", "--all"))
		ts.Check(ts.Exec("git", "-C", dir, "commit", "--quiet", "-m", side))
		if side == "base" {
			ts.Check(ts.Exec("git", "-C", dir, "checkout", "--quiet", "-b", "change"))
		}
	}
}

// scriptStatus is the command "status CODE PROGRAM ARGS…": it runs the program,
// which must end with that code.
func scriptStatus(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: status CODE PROGRAM ARGS…")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}
