package apply

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/davitops/davit/internal/cluster"
	"github.com/davitops/davit/internal/plan"
)

// DefaultLease is how long a lease is good after it was last renewed, by the clock of
// its holder. It is renewed after each quarter of that, and nothing more is written in
// the last one: what was sent then may take its time to arrive.
const DefaultLease = time.Minute

// ErrExpired ends a job that could not say in time that it is at work. Somebody else may
// take over by now, though nobody need have.
var ErrExpired = errors.New("the lease on this target could not be renewed in time; run it again")

// Held is the error of a job whose target somebody else is at work on.
type Held struct {
	Holder string
	Until  time.Time
}

func (e *Held) Error() string {
	return fmt.Sprintf("%s is at work on this target, at least until %s", e.Holder, e.Until.UTC().Format(time.RFC3339))
}

// lease is the right to change one target. It owns the target's record while it is
// held: every write of the record renews it, and each is refused once somebody else
// has taken over.
type lease struct {
	cluster *cluster.Connection
	fence   int64
	time    time.Duration
	lose    context.CancelCauseFunc // ends the job
	expiry  *time.Timer             // loses the lease, unless it is renewed in time
	renewed sync.WaitGroup
	stop    context.CancelFunc // ends the renewal

	saving sync.Mutex // held while the record is written
	mu     sync.Mutex // never held while anything is asked of the cluster
	record cluster.Record
	made   bool // this job made the record
}

// acquire takes the lease of a target. The context it returns ends when the lease is
// lost.
func (a Applier) acquire(ctx context.Context, owner plan.Owner) (*lease, context.Context, error) {
	record, err := a.Cluster.Inventory(ctx, owner)
	if err != nil {
		return nil, nil, err
	}
	if record, err = a.vacant(ctx, record); err != nil {
		return nil, nil, err
	}
	made := !record.Exists()
	record.Holder = a.Holder
	record.Fence++
	record.Renewed = time.Now()
	if record, err = a.Cluster.Save(ctx, record); err != nil {
		return nil, nil, fmt.Errorf("take up the work on %s: %w", owner, err)
	}
	ctx, lose := context.WithCancelCause(ctx)
	renewal, stop := context.WithCancel(ctx)
	l := &lease{cluster: a.Cluster, fence: record.Fence, time: a.leaseTime(), lose: lose, stop: stop, record: record, made: made}
	l.expiry = time.AfterFunc(l.left(), func() { lose(ErrExpired) })
	l.renewed.Go(func() { l.renew(renewal) })
	return l, ctx, nil
}

// vacant returns a record as it is once nobody else is at work, or Held. The clocks of
// two machines may differ by hours. By one that is ahead, a lease seems to be over that
// is not, and by one that is behind it is good for much too long: so a record that does
// not look recent is watched for as long as a lease is good, by our clock alone. Whoever
// is at work renews it several times in that.
func (a Applier) vacant(ctx context.Context, record cluster.Record) (cluster.Record, error) {
	taken := func(r cluster.Record) bool { return r.Holder != "" && r.Holder != a.Holder }
	if !taken(record) {
		return record, nil
	}
	if age := time.Since(record.Renewed); 0 <= age && age < a.leaseTime() {
		return record, &Held{Holder: record.Holder, Until: record.Renewed.Add(a.leaseTime())}
	}
	tick := time.NewTicker(min(time.Second, a.leaseTime()/16))
	defer tick.Stop()
	for begun := time.Now(); time.Since(begun) < a.leaseTime(); {
		select {
		case <-ctx.Done():
			return record, ctx.Err()
		case <-tick.C:
		}
		now, err := a.Cluster.Inventory(ctx, record.Owner)
		switch {
		case err != nil:
			return record, err
		case !taken(now):
			return now, nil
		case !now.Unchanged(record):
			return record, &Held{Holder: now.Holder, Until: time.Now().Add(a.leaseTime())}
		}
	}
	return record, nil
}

func (a Applier) leaseTime() time.Duration {
	if a.Lease == 0 {
		return DefaultLease
	}
	return a.Lease
}

// renew keeps the lease until ctx ends, and ends the job if it is lost.
func (l *lease) renew(ctx context.Context) {
	tick := time.NewTicker(l.time / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := l.save(ctx, func(*cluster.Record) {}); errors.Is(err, cluster.ErrLost) || errors.Is(err, cluster.ErrDeleted) {
			l.lose(err)
			return
		}
	}
}

// confirm asks the cluster whether the lease is ours still.
func (l *lease) confirm(ctx context.Context) error {
	return l.cluster.Confirm(ctx, l.current())
}

// save changes the record.
func (l *lease) save(ctx context.Context, change func(*cluster.Record)) error {
	l.saving.Lock()
	defer l.saving.Unlock()
	record := l.current()
	record.Renewed = time.Now()
	change(&record)
	saved, err := l.cluster.Save(ctx, record)
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.record = saved
		l.expiry.Reset(l.time*3/4 - time.Since(saved.Renewed))
	}
	return err
}

func (l *lease) current() cluster.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.record
}

// left is for how long anything may still be written.
func (l *lease) left() time.Duration { return time.Until(l.current().Renewed.Add(l.time * 3 / 4)) }

// check reports ErrExpired once the lease is too old for anything more to be written. The
// timer says so too, but not to a process that was stopped, and goes on.
func (l *lease) check() error {
	if l.left() <= 0 {
		return ErrExpired
	}
	return nil
}

// release gives the lease back. Lost, it is somebody else's already. A record that says
// nothing, because the job did not come to write anything, goes as it came.
func (l *lease) release(ctx context.Context) error {
	l.stop()
	l.renewed.Wait()
	defer l.lose(nil)
	defer l.expiry.Stop()
	record := l.current()
	if record.Deployed == nil && l.made || record.Deployed != nil && len(record.Deployed.Objects) == 0 && record.Removed {
		return l.ended(l.cluster.Drop(ctx, record))
	}
	return l.ended(l.save(ctx, func(r *cluster.Record) { r.Holder = "" }))
}

func (l *lease) ended(err error) error {
	if errors.Is(err, cluster.ErrLost) {
		return nil
	}
	return err
}
