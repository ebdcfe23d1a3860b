package worker

import (
	"context"
	"fmt"
	"time"
)

// samplePeriod is how often the parent measures a busy worker. It is the wall
// that holds when the worker's own watch does not run any more.
const samplePeriod = 10 * time.Millisecond

// watch kills w when ctx ends, when the time is up, or when it is too large. The
// returned function ends the watch and waits for it.
func (p *Pool) watch(ctx context.Context, w *process, wall time.Duration) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		timer, ticker := time.NewTimer(wall), time.NewTicker(samplePeriod)
		defer timer.Stop()
		defer ticker.Stop()
		for {
			select {
			case <-end:
				return
			case <-w.gone:
				return
			case <-ctx.Done():
				w.kill(&Death{Class: Crash, Detail: "the job was cancelled"})
				return
			case <-timer.C:
				w.kill(&Death{Class: Timeout, Detail: fmt.Sprintf("it took more than %v", wall)})
				return
			case <-ticker.C:
				size := w.memory()
				w.peak = max(w.peak, size)
				if most := uint64(p.opts.Limits.Resident); size > most {
					w.kill(&Death{Class: Memory, Detail: fmt.Sprintf("%d bytes resident, %d allowed", size, most)})
					return
				}
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// course is what is known about a conversation besides its result.
type course struct {
	answered bool // a result had begun to come
	dirty    bool // the worker asked to be retired
	ours     bool // the error is the tree's, not the worker's
}

// converse gives the worker a job and answers its questions until the result.
func (p *process) converse(j Job, lim Limits) (Result, course, error) {
	var c course
	p.stderr.begin()
	s := newServer(j.Files, lim)
	frame, err := s.job(j)
	if err != nil {
		c.ours = !isDeath(err)
		return Result{}, c, err
	}
	if err := p.send(frame, nil); err != nil {
		return Result{}, c, err
	}
	limit := func(op byte) int64 {
		switch op {
		case opLook, opList:
			return maxRequest
		case opDone:
			c.answered = true
			return lim.Output + maxDoneExtra
		}
		return -1
	}
	for {
		op, body, err := readFrame(p.r, limit)
		if err != nil {
			return Result{}, c, overOutput(op, err)
		}
		if op == opDone {
			return p.conclude(s, body, &c)
		}
		reply, err := s.answer(op, body)
		if err != nil {
			c.ours = !isDeath(err)
			return Result{}, c, err
		}
		if err := p.send(reply, nil); err != nil {
			return Result{}, c, err
		}
	}
}

// conclude checks and takes a result.
func (p *process) conclude(s *server, body []byte, c *course) (Result, course, error) {
	d, err := parseDone(body)
	if err != nil {
		return Result{}, *c, err
	}
	if err := s.verify(d.used); err != nil {
		return Result{}, *c, err
	}
	if d.tooBig || int64(len(d.payload)) > s.lim.Output {
		return Result{}, *c, &Death{Class: Limit, Detail: fmt.Sprintf("its result is over %d bytes", s.lim.Output)}
	}
	c.dirty = d.dirty
	res := Result{Payload: d.payload, Used: d.used, Warnings: p.stderr.whole(), Peak: p.highWater()}
	if d.failed {
		return res, *c, &JobError{Message: d.message}
	}
	return res, *c, nil
}
