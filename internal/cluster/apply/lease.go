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

// A lease is good for leaseTime after it was last renewed, by the clock of its
// holder; it is renewed each renewTime.
const (
	leaseTime = 60 * time.Second
	renewTime = 15 * time.Second
)

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
	lose    context.CancelCauseFunc // ends the job
	renewed sync.WaitGroup
	stop    context.CancelFunc // ends the renewal

	mu     sync.Mutex
	record cluster.Record
}

// acquire takes the lease of a target. The context it returns ends when the lease is
// lost.
func (a Applier) acquire(ctx context.Context, owner plan.Owner) (*lease, context.Context, error) {
	record, err := a.Cluster.Inventory(ctx, owner)
	if err != nil {
		return nil, nil, err
	}
	until := record.Renewed.Add(leaseTime)
	if record.Holder != "" && record.Holder != a.Holder && time.Now().Before(until) {
		return nil, nil, &Held{Holder: record.Holder, Until: until}
	}
	record.Holder = a.Holder
	record.Fence++
	record.Renewed = time.Now()
	if record, err = a.Cluster.Save(ctx, record); err != nil {
		return nil, nil, fmt.Errorf("take up the work on %s: %w", owner, err)
	}
	ctx, lose := context.WithCancelCause(ctx)
	renewal, stop := context.WithCancel(ctx)
	l := &lease{cluster: a.Cluster, fence: record.Fence, lose: lose, stop: stop, record: record}
	l.renewed.Go(func() { l.renew(renewal) })
	return l, ctx, nil
}

// renew keeps the lease until ctx ends, and ends the job if it is lost.
func (l *lease) renew(ctx context.Context) {
	tick := time.NewTicker(renewTime)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := l.save(ctx, func(*cluster.Record) {})
		if errors.Is(err, cluster.ErrLost) || l.check() != nil {
			l.lose(cluster.ErrLost)
			return
		}
	}
}

// save changes the record.
func (l *lease) save(ctx context.Context, change func(*cluster.Record)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	record := l.record
	record.Renewed = time.Now()
	change(&record)
	saved, err := l.cluster.Save(ctx, record)
	if err == nil {
		l.record = saved
	}
	return err
}

// check reports ErrLost once the lease is too old for anything more to be written.
func (l *lease) check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.record.Renewed) > leaseTime-renewTime {
		return cluster.ErrLost
	}
	return nil
}

// release gives the lease back. Lost, it is somebody else's already.
func (l *lease) release(ctx context.Context) error {
	l.stop()
	l.renewed.Wait()
	defer l.lose(nil)
	if l.record.Deployed != nil && len(l.record.Deployed.Objects) == 0 && l.record.Removed {
		return l.ended(l.cluster.Drop(ctx, l.record))
	}
	return l.ended(l.save(ctx, func(r *cluster.Record) { r.Holder = "" }))
}

func (l *lease) ended(err error) error {
	if errors.Is(err, cluster.ErrLost) {
		return nil
	}
	return err
}
