package github

import (
	"context"
	"errors"
	"time"

	"github.com/google/go-github/v62/github"

	"github.com/davitops/davit/internal/forge"
)

// underWay is how long a delivery may take to show what became of it: GitHub waits ten
// seconds for an answer.
const underWay = 15 * time.Second

// Redeliver reads what became of the App's deliveries since a time, the newest first,
// and asks for each that never arrived once more. GitHub itself tries once, and
// forgets after three days.
func (g *GitHub) Redeliver(ctx context.Context, since time.Time) (int, error) {
	const doing = "redeliver what did not arrive"
	lost, err := g.lost(ctx, since)
	if err != nil {
		return 0, failed(doing, err)
	}
	count := 0
	for _, id := range lost {
		_, _, err := g.app.Apps.RedeliverHookDelivery(ctx, id)
		var accepted *github.AcceptedError
		if err == nil || errors.As(err, &accepted) {
			count++
			continue
		}
		err = failed(doing, err)
		if class := forge.ClassOf(err); class != forge.Refused && class != forge.Gone {
			return count, err
		}
		g.log.WarnContext(ctx, "GitHub does not deliver again", "delivery", id, "error", err)
	}
	return count, nil
}

// lost are the newest attempts at what never arrived, the oldest first.
func (g *GitHub) lost(ctx context.Context, since time.Time) ([]int64, error) {
	arrived := map[string]bool{}
	newest, oldest := map[string]*github.HookDelivery{}, map[string]*github.HookDelivery{}
	var order []string
	options := github.ListCursorOptions{PerPage: perPage}
	for range maxPages {
		some, resp, err := g.app.Apps.ListHookDeliveries(ctx, &options)
		if err != nil {
			return nil, err
		}
		reached := false
		for _, d := range some {
			if reached = d.GetDeliveredAt().Before(since); reached {
				break
			}
			guid := d.GetGUID()
			if newest[guid] == nil {
				newest[guid] = d
				order = append(order, guid)
			}
			oldest[guid] = d
			arrived[guid] = arrived[guid] || d.GetStatusCode()/100 == 2
		}
		if options.Cursor = resp.Cursor; reached || options.Cursor == "" {
			break
		}
	}
	var ids []int64
	for i := len(order) - 1; i >= 0; i-- {
		last := newest[order[i]]
		// What does not arrive time after time is tried less and less often.
		pause := max(underWay, last.GetDeliveredAt().Sub(oldest[order[i]].GetDeliveredAt().Time))
		if !arrived[order[i]] && g.now().Sub(last.GetDeliveredAt().Time) >= pause {
			ids = append(ids, last.GetID())
		}
	}
	return ids, nil
}
