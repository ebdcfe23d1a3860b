package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// tailLines is how much of a log an error shows.
const tailLines = 15

// process is a component that runs as a child of this program.
type process struct {
	name string // for errors
	log  string // the file that its output goes to
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // what Wait said; read it after done
}

// startProcess runs this program as another applet, in a directory where it
// also logs. The child ends when alive, the reading end of a pipe, does; see
// endWithParent.
func startProcess(name, dir string, alive *os.File, applet string, flags ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("%s: finding this program: %w", name, err)
	}
	log := filepath.Join(dir, applet+".log")
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: opening its log: %w", name, err)
	}
	defer out.Close()
	p := &process{name: name, log: log, cmd: exec.Command(self, append([]string{applet}, flags...)...), done: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), "KWOK_WORKDIR="+dir) // else kwok reads the user's own stages
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = alive, out, out
	// A Ctrl-C is for this program alone, which then stops its children.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: starting: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop kills the process: nothing it could tidy up outlives this program.
func (p *process) stop() {
	_ = p.cmd.Process.Kill() // fails only when it has ended already
	<-p.done
}

// tail is the end of the process's log, indented, to follow an error.
func (p *process) tail() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return "\n  (its log can't be read: " + err.Error() + ")"
	}
	if len(data) == 0 {
		return "\n  (" + p.log + " is empty)"
	}
	lines := strings.Split(string(bytes.TrimSpace(data)), "\n")
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	return "\n  the end of " + p.log + ":\n  " + strings.Join(lines, "\n  ")
}
