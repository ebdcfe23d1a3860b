package main_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// Where a Davit that can be killed writes its steps, before and after it was.
const (
	stepsBefore = "steps"
	stepsAfter  = "steps-after"
)

// watched is a Davit, and somebody who starts it again once it was killed.
type watched struct {
	program, dir, admin string
	log                 lines
	ended               chan struct{} // closed when it has ended otherwise
	err                 error         // that it ended with then

	mu      sync.Mutex
	running *os.Process
	deaths  int
	over    bool // nobody starts it again
}

// watch starts a Davit in a directory with its davit.yaml. It is killed at a number; 0
// means never.
func watch(program, dir, admin string, number int) *watched {
	w := &watched{program: program, dir: dir, admin: admin, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		died, err := w.live(stepsBefore, number)
		if died && number > 0 {
			_, _ = w.log.Write([]byte("--- killed ---\n"))
			_, err = w.live(stepsAfter, 0)
		}
		w.err = err
	}()
	return w
}

// live is one life of it. It reports whether it was killed.
func (w *watched) live(steps string, number int) (died bool, err error) {
	cmd := exec.Command(w.program, "serve", "--log-format", "text", "-v")
	cmd.Dir, cmd.Stderr = w.dir, &w.log
	cmd.Env = append(cmd.Environ(), "DAVIT_STEPS="+steps, fmt.Sprintf("DAVIT_KILLED_AT=%d", number))
	if begun, err := w.begin(cmd); !begun {
		return false, err
	}
	err = cmd.Wait()
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	died = status.Signaled() && status.Signal() == syscall.SIGKILL
	w.mu.Lock()
	defer w.mu.Unlock()
	if died {
		w.deaths++
	}
	return died && !w.over, err
}

func (w *watched) begin(cmd *exec.Cmd) (begun bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return false, nil
	}
	err = cmd.Start()
	w.running = cmd.Process
	return err == nil, err
}

func (w *watched) killed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.deaths > 0
}

func (w *watched) signal(signal syscall.Signal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running != nil {
		_ = w.running.Signal(signal) // one that has ended is heard of by that
	}
}

// end ends it for good, if it has not.
func (w *watched) end() {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	w.signal(syscall.SIGKILL)
	<-w.ended
}

// waiting says what Davit has left to do, or why it does not say so.
func (w *watched) waiting(ctx context.Context) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.admin+"/metrics", nil)
	if err != nil {
		return err.Error()
	}
	request.Header.Set("Accept-Encoding", "identity")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return string(waitingSteps.Find(data))
}
