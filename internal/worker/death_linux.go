package worker

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// death says how the worker of a job died, after the conversation ended with
// err. It goes by what the parent did, by the exit code and by the signal.
func (p *process) death(err error, lim Limits) *Death {
	var d *Death
	switch {
	case errors.As(err, &d):
		p.kill(d)
	case streamEnded(err):
		// It is ending by itself, or was killed; only one that closed its socket
		// and runs on must be ended, and that is a breach of the protocol.
		t := time.NewTimer(exitGrace)
		select {
		case <-p.gone:
		case <-t.C:
			p.kill(&Death{Class: Protocol, Detail: "it closed its socket and went on"})
		}
		t.Stop()
	default:
		p.kill(&Death{Class: Protocol, Detail: err.Error()})
	}
	<-p.gone
	return p.verdict(lim)
}

// streamEnded reports whether the other end is gone, as against out of step.
func streamEnded(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op)
}

// verdict classifies a process that was reaped.
func (p *process) verdict(lim Limits) *Death {
	state := p.cmd.ProcessState
	if state == nil {
		return &Death{Class: Crash, Detail: "its end could not be read"}
	}
	status, _ := state.Sys().(syscall.WaitStatus)
	p.mu.Lock()
	killed := p.killed
	p.mu.Unlock()
	if status.Signaled() && status.Signal() == syscall.SIGKILL && killed != nil {
		return &Death{Class: killed.Class, Detail: killed.Detail + p.printed()}
	}
	return &Death{Class: p.classify(status, state, lim), Detail: state.String() + p.printed()}
}

// classify judges an end that the parent did not cause.
func (p *process) classify(status syscall.WaitStatus, state *os.ProcessState, lim Limits) Class {
	const runtimeError = 2
	if status.Signaled() {
		switch {
		case status.Signal() == syscall.SIGSYS:
			return Sandbox
		case status.Signal() != syscall.SIGKILL:
			return Crash
		case state.UserTime()+state.SystemTime() >= lim.CPU*9/10:
			return Timeout // the limit counts ticks, which are not exactly what this sums
		case state.UserTime()+state.SystemTime() >= lim.CPU/2 && p.peak < uint64(lim.Resident)/2:
			return Timeout // on a busy machine ticks run ahead, and it was not large
		}
		return Memory // who else kills a worker is the kernel, short of memory
	}
	switch status.ExitStatus() {
	case exitMemory:
		return Memory
	case exitSandbox:
		return Sandbox
	case exitProtocol, exitUsage:
		return Protocol
	case runtimeError:
		// The runtime ends like this both when the kernel grants no more memory
		// and on errors of its own; how much was in use tells them apart, except
		// when a single allocation asked for everything.
		if p.peak >= uint64(lim.Data)/2 {
			return Memory
		}
	}
	return Crash
}

// printed is the worker's last words, for the log.
func (p *process) printed() string {
	if s := p.stderr.text(); s != "" {
		return fmt.Sprintf("; it printed %q", s)
	}
	return ""
}
