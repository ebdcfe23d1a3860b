package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"

	"github.com/davitops/davit/internal/ledger"
)

// Work does a step: it gathers, decides, and returns the decision, which is committed
// together with the end of the step. Nothing is committed if it returns an error; it
// is asked again later then, at once after a conflict, and never after
// *ledger.Hopeless. last says that it will not be asked again whatever it returns.
type Work func(ctx context.Context, step ledger.Step, last bool) (ledger.Batch, error)

// job is a step in River's queue.
type job struct {
	Step  ledger.Kind `json:"step" river:"unique"`
	Key   string      `json:"key" river:"unique"`
	Turn  int64       `json:"turn" river:"unique"`
	Cause string      `json:"cause"`
}

// Kind is one for all steps: what differs is said by habits.
func (job) Kind() string { return "step" }

// habit is how steps of a kind are worked.
type habit struct {
	queue    string
	timeout  time.Duration
	attempts int // the first one, and those after an error
}

// Queues besides River's own, so that hearing waits for nothing: heavy is of what takes
// a processor for seconds, writes of what waits for a forge's pace, deploys of what waits
// for clusters.
const (
	heavy   = "heavy"
	writes  = "writes"
	deploys = "deploys"
)

// queues are how many steps are worked at the same time.
var queues = map[string]river.QueueConfig{
	river.QueueDefault: {MaxWorkers: 16},
	heavy:              {MaxWorkers: max(2, runtime.NumCPU())},
	writes:             {MaxWorkers: 16},
	deploys:            {MaxWorkers: 16},
}

// What writes to a forge or a cluster is tried for a day: nothing that was decided may
// be lost to an outage.
var habits = map[ledger.Kind]habit{
	ledger.Hear:      {river.QueueDefault, time.Minute, 50},
	ledger.Look:      {river.QueueDefault, time.Minute, 50},
	ledger.Review:    {heavy, time.Hour, 10},
	ledger.Deliver:   {writes, 2 * time.Minute, 1500},
	ledger.Redeliver: {river.QueueDefault, 5 * time.Minute, 3},
	ledger.Inspect:   {river.QueueDefault, 5 * time.Minute, 20},
	ledger.List:      {river.QueueDefault, 5 * time.Minute, 20},
	ledger.Roll:      {heavy, 15 * time.Minute, 50},
	ledger.Advance:   {river.QueueDefault, time.Minute, 50},
	ledger.Deploy:    {deploys, 30 * time.Minute, 1500},
	ledger.Revert:    {heavy, 15 * time.Minute, 1500},
	ledger.Tidy:      {river.QueueDefault, 5 * time.Minute, 3},
}

// unfinished are the states of a step that will still be worked. A running one is among
// them: what it commits says by itself if an effect has to be written again, and other
// steps that must not be swallowed have turns.
var unfinished = []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
	rivertype.JobStateRunning, rivertype.JobStateScheduled,
}

// River's priorities, of which the lowest number comes first.
const (
	awaited = 1
	idle    = 4
)

func (s *Store) options(step ledger.Step) *river.InsertOpts {
	priority := awaited
	if step.Idle {
		priority = idle
	}
	return &river.InsertOpts{
		Queue: habits[step.Kind].queue, MaxAttempts: habits[step.Kind].attempts, ScheduledAt: step.At, Priority: priority,
		UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: unfinished},
	}
}

// add adds steps in a transaction, and returns the queues that they are in. The
// steps' own cause holds, or that of the step that is being worked.
func (s *Store) add(ctx context.Context, tx *sql.Tx, steps []ledger.Step) (changed []string, err error) {
	if len(steps) == 0 {
		return nil, nil
	}
	var jobs []river.InsertManyParams
	for _, step := range slices.SortedStableFunc(slices.Values(steps), compare) {
		if step.Cause == "" {
			step.Cause = cause(ctx)
		}
		if queue := habits[step.Kind].queue; !slices.Contains(changed, queue) {
			changed = append(changed, queue)
		}
		jobs = append(jobs, river.InsertManyParams{
			Args: job{Step: step.Kind, Key: step.Key, Turn: step.Turn, Cause: step.Cause}, InsertOpts: s.options(step),
		})
	}
	if _, err := s.insert.InsertManyTx(ctx, tx, jobs); err != nil {
		return nil, fmt.Errorf("add steps: %w", err)
	}
	return changed, nil
}

// compare orders steps by what tells them apart.
func compare(a, b ledger.Step) int {
	return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Key, b.Key), cmp.Compare(a.Turn, b.Turn))
}

// causeKey is the context's key of the delivery that a step goes back to.
type causeKey struct{}

func cause(ctx context.Context) string {
	text, _ := ctx.Value(causeKey{}).(string)
	return text
}

// Periodic is a step that is done again and again, and first when Run begins.
type Periodic struct {
	Step  ledger.Step
	Every time.Duration
}

// Run works on steps until ctx is done, and then waits for those that are being
// worked. It forgets what is old by itself. It answers ErrTaken if another process
// works already, and ErrLost if another one may by now.
func (s *Store) Run(ctx context.Context, work Work, periodic ...Periodic) error {
	periodic = append(periodic, Periodic{Step: ledger.Step{Kind: ledger.Tidy}, Every: time.Hour})
	held, err := s.take(ctx)
	if err != nil {
		return fmt.Errorf("work on %s: %w", s.dialect, s.dialect.explain(err))
	}
	defer held.free()
	client, err := s.worker(work, periodic)
	if err != nil {
		return fmt.Errorf("start the queue: %w", err)
	}
	// Steps end in their own time, not when ctx does.
	lasting := context.WithoutCancel(ctx)
	if err := client.Start(lasting); err != nil {
		return fmt.Errorf("start the queue: %w", err)
	}
	select {
	case <-ctx.Done():
		return stop(lasting, client)
	case err := <-held.lost:
		return errors.Join(fmt.Errorf("work on %s: %w: %w", s.dialect, ErrLost, err), abandon(lasting, client))
	}
}

// How long steps have to end when Davit stops: first by themselves, then when they are
// told to. What is killed after that is done again.
const (
	grace   = 5 * time.Second
	orderly = 5 * time.Second
)

func stop(ctx context.Context, client *river.Client[*sql.Tx]) error {
	patient, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if client.Stop(patient) == nil {
		return nil
	}
	return abandon(ctx, client)
}

// abandon tells steps to end.
func abandon(ctx context.Context, client *river.Client[*sql.Tx]) error {
	impatient, cancel := context.WithTimeout(ctx, orderly)
	defer cancel()
	if err := client.StopAndCancel(impatient); err != nil {
		return fmt.Errorf("end the steps that are being worked: %w", err)
	}
	return nil
}

// take makes this the one process that works, and gives back what a killed one left
// half done: its steps, and the lead over the queue, for which River would wait.
func (s *Store) take(ctx context.Context) (hold, error) {
	held, err := s.dialect.hold(ctx)
	if errors.Is(err, errHeld) {
		err = ErrTaken
	}
	if err != nil {
		return hold{}, err
	}
	for _, statement := range []string{"UPDATE river_job SET state = 'available' WHERE state = 'running'", "DELETE FROM river_leader"} {
		if _, err := s.write.ExecContext(ctx, statement); err != nil {
			held.free()
			return hold{}, fmt.Errorf("give back steps: %w", err)
		}
	}
	return held, nil
}

func (s *Store) worker(work Work, periodic []Periodic) (*river.Client[*sql.Tx], error) {
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &stepper{store: s, work: work}); err != nil {
		return nil, err
	}
	var again []*river.PeriodicJob
	for _, p := range periodic {
		again = append(again, river.NewPeriodicJob(river.PeriodicInterval(p.Every), func() (river.JobArgs, *river.InsertOpts) {
			return job{Step: p.Step.Kind, Key: p.Step.Key, Turn: p.Step.Turn}, s.options(p.Step)
		}, &river.PeriodicJobOpts{RunOnStart: true}))
	}
	return river.NewClient[*sql.Tx](s.driver, &river.Config{
		FetchCooldown: 2 * time.Millisecond, FetchPollInterval: time.Second,
		CompletedJobRetentionPeriod: time.Hour, ReindexerSchedule: never{},
		Logger: s.quiet(), Workers: workers, PeriodicJobs: again,
		Queues: queues,
	})
}

// never is when River rebuilds its indexes: by default at midnight, in words that SQLite does
// not understand. The queue is small, and needs none of it.
type never struct{}

// Next returns a time that nobody waits for.
func (never) Next(now time.Time) time.Time { return now.AddDate(100, 0, 0) }

// stepper works on steps.
type stepper struct {
	river.WorkerDefaults[job]
	store *Store
	work  Work
}

// Timeout is the step's own.
func (w *stepper) Timeout(j *river.Job[job]) time.Duration { return habits[j.Args.Step].timeout }

// NextRetry waits twice as long each time, up to a minute.
func (w *stepper) NextRetry(j *river.Job[job]) time.Time {
	return w.store.Now().Add(min(time.Minute, time.Second<<min(j.Attempt-1, 6)))
}

func (w *stepper) Work(ctx context.Context, j *river.Job[job]) error {
	ctx = context.WithValue(ctx, causeKey{}, j.Args.Cause)
	step := ledger.Step{Kind: j.Args.Step, Key: j.Args.Key, Turn: j.Args.Turn, Cause: j.Args.Cause}
	var err error
	for range conflicts {
		if err = w.once(ctx, j, step); !errors.Is(err, ledger.ErrConflict) {
			break
		}
	}
	var later *ledger.Later
	var hopeless *ledger.Hopeless
	switch {
	case errors.As(err, &later):
		return river.JobSnooze(max(0, later.Until.Sub(w.store.Now())))
	case errors.As(err, &hopeless):
		return river.JobCancel(plain(err))
	}
	return plain(err)
}

// plain is an error that a database can keep.
func plain(err error) error {
	if err == nil || !strings.Contains(err.Error(), "\x00") {
		return err
	}
	return errors.New(legible(err.Error()))
}

// legible is a text of somebody else's without what PostgreSQL takes in no text.
func legible(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

func (w *stepper) once(ctx context.Context, j *river.Job[job], step ledger.Step) error {
	var batch ledger.Batch
	var err error
	if step.Kind == ledger.Tidy {
		err = w.store.Tidy(ctx)
	} else {
		batch, err = w.work(ctx, step, j.Attempt >= j.MaxAttempts)
	}
	if err != nil {
		return err
	}
	return w.store.commit(ctx, batch, func(tx *sql.Tx) error {
		_, err := river.JobCompleteTx[riverdriver.Driver[*sql.Tx]](ctx, tx, j)
		return err
	})
}
