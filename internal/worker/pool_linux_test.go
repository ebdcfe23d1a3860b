package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const mib = 1 << 20

// run does one job in a pool of its own and returns how it ended.
func run(t *testing.T, o Options, j Job) (Result, error) {
	t.Helper()
	return newPool(t, o).Run(context.Background(), j)
}

func wantDeath(t *testing.T, err error, want Class) *Death {
	t.Helper()
	var d *Death
	if !errors.As(err, &d) || d.Class != want {
		if d != nil {
			t.Fatalf("got %v (%s), want a death of class %s", err, d.Detail, want)
		}
		t.Fatalf("got %v, want a death of class %s", err, want)
	}
	return d
}

func TestBreachesOfTheProtocol(t *testing.T) {
	files := contents{"big/file": strings.Repeat("x", mib)}
	classes := map[string]Class{
		"flood": Timeout, "stall": Timeout, "ask for ever": Limit, "huge result": Limit,
		"half a frame": Crash, "no filter": Sandbox,
	}
	names := []string{"stall", "no filter"}
	for name := range misbehaviour {
		names = append(names, name)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, ok := classes[name]
			if !ok {
				want = Protocol
			}
			o := Options{Command: []string{"/proc/self/exe", name},
				Limits: Limits{Wall: 500 * time.Millisecond, Requests: 1000}}
			if want != Timeout {
				o.Limits.Wall = 0 // nothing but the breach itself may end it
			}
			_, err := run(t, o, Job{Kind: "echo", Files: files, Payload: make([]byte, 4*mib)})
			wantDeath(t, err, want)
		})
	}
}

func TestCancelEndsAWorkerThatNeverStands(t *testing.T) {
	p := newPool(t, Options{Command: []string{"/proc/self/exe", "no hello"}})
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := p.Run(ctx, Job{Kind: "echo"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
}

func TestLimits(t *testing.T) {
	big := contents{"file": strings.Repeat("x", 2*mib)}
	const off = 1 << 40 // bytes: a limit that no test reaches
	for _, c := range []struct {
		name string
		lim  Limits
		job  Job
		want Class
		end  string // how the process ended, where only one way is right
	}{
		{"wall", Limits{Wall: 200 * time.Millisecond}, Job{Kind: "busy"}, Timeout, "it took more than"},
		{"cpu", Limits{CPU: time.Second}, Job{Kind: "busy"}, Timeout, "signal: killed"},
		{"heap", Limits{Heap: 64 * mib}, Job{Kind: "grow", Payload: []byte("objects")}, Memory, "exit status 74"},
		{"data", Limits{Heap: off, Resident: off, Data: 300 * mib}, Job{Kind: "grow", Payload: []byte("doubling")}, Memory, "exit status 2"},
		{"resident", Limits{Data: off, Resident: 200 * mib}, Job{Kind: "grow", Payload: []byte("mapped")}, Memory, "bytes resident"},
		{"output", Limits{Output: mib}, Job{Kind: "size", Payload: []byte("2000000")}, Limit, "its result is over"},
		{"requests", Limits{Requests: 10}, Job{Kind: "script", Payload: []byte(looks(11))}, Limit, "it asked more than"},
		{"served", Limits{Served: mib}, Job{Kind: "script", Files: big, Payload: []byte("read file")}, Limit, "it was sent more than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if raceDetector && c.name == "data" {
				c.want, c.end = Crash, "exit status 66" // the detector's own end
			}
			_, err := run(t, Options{Limits: c.lim}, c.job)
			if d := wantDeath(t, err, c.want); !strings.Contains(d.Detail, c.end) {
				t.Fatalf("it ended with %q, want %q", d.Detail, c.end)
			}
		})
	}
}

// looks is a script that asks for n different paths.
func looks(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "look p%d/q\n", i)
	}
	return b.String()
}

func TestKernelRefusesMoreData(t *testing.T) {
	// The refusal reaches the job as an error here, since it maps memory itself.
	res, err := run(t, Options{Limits: Limits{Data: 100 * mib}}, Job{Kind: "grow", Payload: []byte("mapped")})
	must(t, err)
	if string(res.Payload) != syscall.ENOMEM.Error() {
		t.Fatalf("got %q", res.Payload)
	}
}

// maxRSS runs a job in a worker of its own and returns the kernel's upper bound
// for the memory it used, in bytes, and how it ended.
func maxRSS(t *testing.T, p *Pool, j Job) (int64, error) {
	t.Helper()
	ctx := context.Background()
	w, err := p.take(ctx, "", true)
	must(t, err)
	stop := p.watch(ctx, w, p.opts.Limits.Wall)
	_, _, err = w.converse(j, p.opts.Limits)
	stop()
	if err != nil {
		err = w.death(err, p.opts.Limits)
	}
	p.put(w, true)
	return w.cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10, err
}

func TestMemoryStaysUnderItsLimits(t *testing.T) {
	var lim Limits
	if raceDetector {
		lim.Data, lim.Resident = 8<<30, 3<<30
	}
	p := newPool(t, Options{Limits: lim})
	used, err := maxRSS(t, p, Job{Kind: "hold", Payload: []byte("200")})
	must(t, err)
	if used < 200*mib {
		t.Fatalf("a job that holds 200 MiB shows %d bytes: the measure is of no use", used)
	}
	for _, how := range []string{"objects", "doubling"} {
		used, err := maxRSS(t, p, Job{Kind: "grow", Payload: []byte(how)})
		wantDeath(t, err, Memory)
		if used > p.opts.Limits.Resident+p.opts.Limits.Resident/2 {
			t.Errorf("%s: %d MiB at most before the end", how, used/mib)
		}
		t.Logf("%s: %d MiB at most before the end", how, used/mib)
	}
	res, err := p.Run(context.Background(), Job{Kind: "hold", Payload: []byte("200")})
	must(t, err)
	if res.Peak < 200*mib {
		t.Errorf("the peak of a job that holds 200 MiB is %d", res.Peak)
	}
}

func TestEndsOfAWorker(t *testing.T) {
	p := newPool(t, Options{Workers: 1})
	for how, end := range map[string]string{
		"panic": "exit status 75", "panic elsewhere": "exit status 2", "nil": "exit status 75",
		"stack": "exit status 2", "fatal": "exit status 1", "exit": "exit status 0",
	} {
		_, err := p.Run(context.Background(), Job{Kind: "die", Payload: []byte(how)})
		if d := wantDeath(t, err, Crash); !strings.HasPrefix(d.Detail, end) {
			t.Errorf("%s: it ended with %q, want %q", how, d.Detail, end)
		} else if how == "panic" && (!strings.Contains(d.Detail, "manifest content") || strings.Contains(d.Error(), "content")) {
			t.Errorf("the detail must hold what was printed and the error must not: %q, %q", d.Detail, d)
		}
	}
	_, err := p.Run(context.Background(), Job{Kind: "die", Payload: []byte("abort")})
	wantDeath(t, err, Crash)
	if otherABI != 0 {
		_, err := p.Run(context.Background(), Job{Kind: "die", Payload: []byte("x32")})
		wantDeath(t, err, Sandbox)
	}
	res, err := p.Run(context.Background(), Job{Kind: "echo", Payload: []byte("still here")})
	must(t, err)
	if string(res.Payload) != "still here" {
		t.Fatalf("got %q", res.Payload)
	}
}

func TestOnlyACrashIsTriedAgain(t *testing.T) {
	for kind, want := range map[string]int32{"look and crash": 2, "busy": 1} {
		var tries atomic.Int32
		files := startedFiles(func() { tries.Add(1) })
		j := Job{Kind: "busy", Files: files}
		if kind != "busy" {
			j = Job{Kind: "lookdie", Files: files}
		}
		_, err := run(t, Options{Limits: Limits{Wall: 300 * time.Millisecond}}, j)
		if !isDeath(err) || tries.Load() != want {
			t.Errorf("%s: %d tries, %v", kind, tries.Load(), err)
		}
	}
}

// count is how many "count" jobs the worker of a domain has done, this included.
func count(t *testing.T, p *Pool, domain string) string {
	t.Helper()
	res, err := p.Run(context.Background(), Job{Kind: "count", Domain: domain})
	must(t, err)
	return string(res.Payload)
}

func TestWorkersAreKeptAndRetired(t *testing.T) {
	p := newPool(t, Options{Workers: 1, Limits: Limits{Jobs: 3}})
	for i, step := range []struct{ domain, want string }{
		{"a", "1"}, {"a", "2"}, {"a", "3"}, {"a", "1"}, // its number of jobs
		{"b", "1"}, {"b", "2"}, {"a", "1"}, // another domain
	} {
		if got := count(t, p, step.domain); got != step.want {
			t.Fatalf("step %d: job %s of its worker, want %s", i, got, step.want)
		}
	}
	for _, kind := range []string{"dirty", "soiled", "error"} {
		before := count(t, p, kind)
		res, err := p.Run(context.Background(), Job{Kind: kind, Domain: kind, Payload: []byte("said")})
		var je *JobError
		if kind == "dirty" && (err != nil || string(res.Payload) != "said") {
			t.Errorf("dirty: %q, %v", res.Payload, err)
		} else if kind != "dirty" && (!errors.As(err, &je) || !strings.HasPrefix(je.Message, "said")) {
			t.Errorf("%s: %v", kind, err)
		}
		want := "1"
		if kind == "error" {
			want = "2"
		}
		if after := count(t, p, kind); before != "1" || after != want {
			t.Errorf("%s: job %s, then job %s of its worker, want %s", kind, before, after, want)
		}
	}
}

func TestAgeAndCPURetire(t *testing.T) {
	lim := DefaultLimits()
	for name, w := range map[string]*process{
		"age": {born: time.Now().Add(-2 * lim.Age)},
		"cpu": {born: time.Now(), jobs: 1, busy: lim.CPU - lim.Wall + 1},
	} {
		if !w.spent(lim) {
			t.Errorf("%s does not retire a worker", name)
		}
	}
	if (&process{born: time.Now(), jobs: 1}).spent(lim) {
		t.Error("a young worker is retired")
	}
}

func TestLayersLeavesAWarmWorker(t *testing.T) {
	p := newPool(t, Options{Workers: 2})
	if _, err := p.Layers(context.Background()); err != nil {
		t.Fatal(err)
	}
	warm := p.idle[0]
	count(t, p, "a")
	if p.live != 1 || p.idle[0] != warm {
		t.Fatalf("%d workers: the first job did not take the warm one", p.live)
	}
}

func TestManyJobsAtOnce(t *testing.T) {
	const workers, jobs = 3, 60
	p := newPool(t, Options{Workers: workers})
	var wg sync.WaitGroup
	for i := range jobs {
		wg.Go(func() {
			want := fmt.Sprint(i)
			files := contents{"dir/kustomization.yaml": want}
			res, err := p.Run(context.Background(), Job{Kind: "script", Domain: fmt.Sprint(i % 4), Files: files,
				Payload: []byte("read dir/kustomization.yaml")})
			if err != nil || !strings.Contains(string(res.Payload), fmt.Sprintf("%q", want)) {
				t.Errorf("job %d: %q, %v", i, res.Payload, err)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.live > workers {
				t.Errorf("%d workers live, %d allowed", p.live, workers)
			}
		})
	}
	wg.Wait()
}

func TestCancelAndClose(t *testing.T) {
	p := newPool(t, Options{Workers: 1})
	ctx, cancel := context.WithCancel(context.Background())
	cause := startedFiles(cancel)
	if _, err := p.Run(ctx, Job{Kind: "busy", Files: cause}); !errors.Is(err, context.Canceled) || isDeath(err) {
		t.Fatalf("cancelled: %v", err)
	}
	if got := count(t, p, ""); got != "1" {
		t.Fatalf("the cancelled job's worker was used again: job %s", got)
	}
	started, result := make(chan struct{}), make(chan error)
	go func() {
		_, err := p.Run(context.Background(), Job{Kind: "busy", Files: startedFiles(func() { close(started) })})
		result <- err
	}()
	<-started
	go func() {
		_, err := p.Run(context.Background(), Job{Kind: "echo"}) // waits for the only slot
		result <- err
	}()
	must(t, p.Close())
	for range 2 {
		if err := <-result; !errors.Is(err, ErrClosed) {
			t.Errorf("a job of a closed pool: %v", err)
		}
	}
	if _, err := p.Run(context.Background(), Job{Kind: "echo"}); !errors.Is(err, ErrClosed) || p.live != 0 {
		t.Errorf("after the end: %v, %d workers", err, p.live)
	}
}

var errTree = errors.New("the mirror is gone")

// brokenTree cannot be read.
type brokenTree struct{ contents }

func (brokenTree) Look(string, bool) (Fact, error) { return Fact{}, errTree }

func TestTreeErrorIsNotTheWorkersDeath(t *testing.T) {
	p := newPool(t, Options{})
	_, err := p.Run(context.Background(), Job{Kind: "script", Files: brokenTree{}, Payload: []byte("look a")})
	if !errors.Is(err, errTree) || isDeath(err) {
		t.Fatalf("got %v", err)
	}
	if p.live != 0 {
		t.Fatal("a worker in the middle of a question was kept")
	}
}

func TestOrdinaryWorkNeedsNoForbiddenCall(t *testing.T) {
	p := newPool(t, Options{KillOnDenied: true, Workers: 1})
	files := contents{"a/kustomization.yaml": "resources: [b.yaml]", "a/b.yaml": "kind: B"}
	for range 20 {
		res, err := p.Run(context.Background(), Job{Kind: "normal", Files: files, Payload: []byte("read a/kustomization.yaml\nread a/b.yaml")})
		if err != nil {
			var d *Death
			errors.As(err, &d)
			t.Fatalf("%v: %+v", err, d)
		}
		if res.Warnings != "a line\n" {
			t.Fatalf("warnings %q", res.Warnings)
		}
	}
}

func TestWarningsAreBounded(t *testing.T) {
	p := newPool(t, Options{Workers: 1})
	res, err := p.Run(context.Background(), Job{Kind: "print", Payload: []byte(strings.Repeat("x", mib))})
	must(t, err)
	if len(res.Warnings) != maxStderr {
		t.Errorf("%d bytes kept", len(res.Warnings))
	}
	res, err = p.Run(context.Background(), Job{Kind: "print", Payload: []byte("y")})
	must(t, err)
	if res.Warnings != "y" {
		t.Errorf("the second job's warnings are %q", res.Warnings)
	}
}

func TestRefusalsAreOfOneJob(t *testing.T) {
	p := newPool(t, Options{Workers: 1})
	for _, url := range []string{"https://user:secret@example.com/a?b=c", "http://10.0.0.1/"} {
		res, err := p.Run(context.Background(), Job{Kind: "http", Payload: []byte(url)})
		must(t, err)
		lines := strings.Split(string(res.Payload), "\n")
		if want := strings.Replace(url, "secret", "xxxxx", 1); len(lines) != 2 || lines[0] != want {
			t.Errorf("refused %q, want %q first", lines, want)
		}
	}
	if len(Refusals()) > 0 {
		t.Error("refusals outside a worker")
	}
}

func BenchmarkStart(b *testing.B) {
	p := newPool(b, Options{Workers: 1, Limits: Limits{Jobs: 1}})
	for b.Loop() {
		if _, err := p.Run(context.Background(), Job{Kind: "echo"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJob(b *testing.B) {
	files := contents{}
	for i := range 10 {
		files[fmt.Sprintf("a/%d.yaml", i)] = strings.Repeat("x", 1000)
	}
	for name, script := range map[string]string{"empty": "", "directory": "list a\nread a/1.yaml\n", "look": looks(100)} {
		b.Run(name, func(b *testing.B) {
			p := newPool(b, Options{Workers: 1, Limits: Limits{Jobs: 1 << 30}})
			for b.Loop() {
				if _, err := p.Run(context.Background(), Job{Kind: "script", Files: files, Payload: []byte(script)}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
