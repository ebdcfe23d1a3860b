package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Pool starts workers when jobs need them and keeps them for the next job of the
// same domain. It is safe for concurrent use.
type Pool struct {
	opts   Options
	ctx    context.Context // ends with the pool
	cancel context.CancelFunc
	starts chan func()   // to the one thread that starts workers
	slots  chan struct{} // one token for each running job

	running sync.WaitGroup // jobs
	starter sync.WaitGroup
	closing sync.Once

	mu     sync.Mutex
	closed bool
	idle   []*process
	live   int       // idle and busy
	level  isolation // lowered once when the system forbids more
}

// closeInherited keeps descriptors that this program itself was started with from
// reaching a worker; what Go opens is marked from the beginning.
var closeInherited = sync.OnceValue(func() error {
	const first = 3
	return unix.CloseRange(first, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
})

// NewPool makes a pool without starting anything.
func NewPool(o Options) (*Pool, error) {
	// A kernel without the call has older ways that do not cover all descriptors;
	// the filter, which a worker always has, leaves it nothing to do with one.
	if err := closeInherited(); err != nil && !errors.Is(err, unix.ENOSYS) {
		return nil, fmt.Errorf("close inherited descriptors to workers: %w", err)
	}
	if len(o.Command) == 0 {
		// The same file even after the binary was replaced by an upgrade.
		o.Command = []string{"/proc/self/exe", "render-worker"}
	}
	if o.Workers <= 0 {
		o.Workers = runtime.NumCPU()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Limits = o.Limits.withDefaults()
	p := &Pool{opts: o, starts: make(chan func()), slots: make(chan struct{}, o.Workers)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if o.skip&noNamespaces != 0 {
		p.level = plain
	}
	p.starter.Go(func() {
		// The death signal a worker asks for comes when the thread that forked it
		// ends, so that thread lives as long as the pool.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for f := range p.starts {
			f()
		}
	})
	return p, nil
}

// Close ends running jobs, waits for them and for every worker.
func (p *Pool) Close() error {
	p.closing.Do(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		p.cancel()
		p.running.Wait()
		for _, w := range p.idle {
			w.close()
		}
		p.idle, p.live = nil, 0
		close(p.starts)
		p.starter.Wait()
	})
	return nil
}

// enter waits for a slot and returns a context that ends with the pool too.
func (p *Pool) enter(ctx context.Context) (context.Context, func(), error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, nil, ErrClosed
	}
	p.running.Add(1)
	p.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(p.ctx, func() { cancel(ErrClosed) })
	leave := func() {
		unhook()
		cancel(nil)
		p.running.Done()
	}
	select {
	case p.slots <- struct{}{}:
		return ctx, func() { <-p.slots; leave() }, nil
	case <-ctx.Done():
		err := context.Cause(ctx)
		leave()
		return nil, nil, fmt.Errorf("wait for a worker: %w", err)
	}
}

// Run does one job. A job whose worker died returns a *Death; one whose handler
// returned an error a *JobError, and then the Result still says what was used.
// Ending ctx kills the worker, and so does the wall limit; a call of j.Files that
// is under way at that moment is waited for. A crash is tried once more in a
// fresh worker; nothing else is, since it would take as long or as much again.
// No detail of a death is logged here, since it may quote the repository.
func (p *Pool) Run(ctx context.Context, j Job) (Result, error) {
	ctx, leave, err := p.enter(ctx)
	if err != nil {
		return Result{}, err
	}
	defer leave()
	res, answered, err := p.once(ctx, j, false)
	var d *Death
	if errors.As(err, &d) && d.Class == Crash && !answered && ctx.Err() == nil {
		p.opts.Log.Warn("worker crashed, trying again", "job", j.Kind, "domain", j.Domain)
		res, _, err = p.once(ctx, j, true)
	}
	if errors.As(err, &d) {
		p.opts.Log.Warn("worker died", "job", j.Kind, "domain", j.Domain, "class", string(d.Class))
	}
	if err != nil && ctx.Err() != nil {
		return Result{}, fmt.Errorf("run a %s job: %w", j.Kind, context.Cause(ctx))
	}
	return res, err
}

// Layers says which walls a new worker has. The worker stays for the first job
// that comes, so this also warms the pool.
func (p *Pool) Layers(ctx context.Context) (Layers, error) {
	ctx, leave, err := p.enter(ctx)
	if err != nil {
		return Layers{}, err
	}
	defer leave()
	w, err := p.take(ctx, "", true)
	if err != nil {
		return Layers{}, err
	}
	p.put(w, false)
	return w.layers, nil
}

// once does a job in one worker. answered says that a result had begun to come.
func (p *Pool) once(ctx context.Context, j Job, fresh bool) (res Result, answered bool, err error) {
	w, err := p.take(ctx, j.Domain, fresh)
	if err != nil {
		return Result{}, false, err
	}
	w.domain, w.bound = j.Domain, true
	w.jobs++
	begin := time.Now()
	stop := p.watch(ctx, w, p.opts.Limits.Wall)
	res, c, err := w.converse(j, p.opts.Limits)
	stop()
	w.busy += time.Since(begin)
	var job *JobError
	if err != nil && !errors.As(err, &job) {
		if !c.ours {
			err = w.death(err, p.opts.Limits)
		}
		p.put(w, true)
		return Result{}, c.answered, err
	}
	p.put(w, c.dirty)
	return res, true, err
}

// take returns a worker of the domain, or one that had no domain yet, or a new
// one, for which an idle worker of another domain makes room.
func (p *Pool) take(ctx context.Context, domain string, fresh bool) (*process, error) {
	p.mu.Lock()
	drop := p.dropSpent()
	var found *process
	if !fresh {
		found = p.pick(domain)
	}
	if found == nil {
		if p.live >= p.opts.Workers {
			// Each running job holds a slot, so with a slot in hand one is idle.
			drop = append(drop, p.idle[0])
			p.idle = slices.Delete(p.idle, 0, 1)
			p.live--
		}
		p.live++
	}
	p.mu.Unlock()
	for _, w := range drop {
		w.close()
	}
	if found != nil {
		return found, nil
	}
	w, err := p.start(ctx)
	if err != nil {
		p.mu.Lock()
		p.live--
		p.mu.Unlock()
	}
	return w, err
}

// dropSpent takes the idle workers out that must not be used again. The caller
// holds the lock and ends them after it.
func (p *Pool) dropSpent() []*process {
	var drop []*process
	p.idle = slices.DeleteFunc(p.idle, func(w *process) bool {
		spent := w.doomed() || w.spent(p.opts.Limits)
		if spent {
			drop = append(drop, w)
		}
		return spent
	})
	p.live -= len(drop)
	return drop
}

// pick takes the domain's latest idle worker, or else one that has no domain yet.
// The caller holds the lock.
func (p *Pool) pick(domain string) *process {
	best := -1
	for i, w := range p.idle {
		if w.bound && w.domain == domain || !w.bound && (best < 0 || !p.idle[best].bound) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	w := p.idle[best]
	p.idle = slices.Delete(p.idle, best, best+1)
	return w
}

// put gives a worker back, or ends it.
func (p *Pool) put(w *process, spent bool) {
	if spent || w.spent(p.opts.Limits) || w.doomed() {
		w.close()
		p.mu.Lock()
		p.live--
		p.mu.Unlock()
		return
	}
	p.mu.Lock()
	p.idle = append(p.idle, w)
	p.mu.Unlock()
}

// spent reports whether a worker has had its jobs, its time, or so much of its
// CPU budget that the next job could hit the limit through no fault of its own.
func (w *process) spent(lim Limits) bool {
	return w.jobs >= lim.Jobs || time.Since(w.born) >= lim.Age || w.jobs > 0 && w.busy+lim.Wall > lim.CPU
}

// start makes a worker and waits until its sandbox stands.
func (p *Pool) start(ctx context.Context) (*process, error) {
	lim := p.opts.Limits
	m := setup{version: protocolVersion, heap: uint64(lim.Heap), data: uint64(lim.Data), output: uint64(lim.Output),
		cpu: uint64(max(time.Second, lim.CPU.Round(time.Second)) / time.Second), kill: p.opts.KillOnDenied, skip: p.opts.skip}
	w, err := p.spawn(m)
	if err != nil {
		return nil, fmt.Errorf("start worker: %w", err)
	}
	stop := p.watch(ctx, w, startTime)
	err = w.hello()
	stop()
	if err != nil {
		err = w.death(err, lim)
	} else if !w.layers.Seccomp && m.skip&noSeccomp == 0 {
		err = &Death{Class: Sandbox, Detail: "the system call filter is missing"}
	}
	if err != nil {
		w.close()
		var d *Death
		if errors.As(err, &d) {
			d.Idle = true
		}
		return nil, fmt.Errorf("start worker: %w", err)
	}
	return w, nil
}

// spawn starts a process with as much isolation as the system permits.
func (p *Pool) spawn(m setup) (*process, error) {
	p.mu.Lock()
	first := p.level
	p.mu.Unlock()
	var refused error
	for level := first; level < isolations; level++ {
		w, err := newProcess(p.opts.Command, level, m, p.onStarter)
		if err == nil {
			if level > first {
				p.opts.Log.Warn("workers start with less isolation", "level", level.String(), "refused", refused)
				p.lower(level)
			}
			return w, nil
		}
		if !notPermitted(err) {
			return nil, err
		}
		refused = errors.Join(refused, fmt.Errorf("%s: %w", level, err))
	}
	return nil, refused
}

// lower remembers that the system forbids more.
func (p *Pool) lower(level isolation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.level = max(p.level, level)
}

// onStarter runs f on the thread that starts workers.
func (p *Pool) onStarter(f func()) {
	ran := make(chan struct{})
	p.starts <- func() {
		defer close(ran)
		f()
	}
	<-ran
}
