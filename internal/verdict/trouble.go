package verdict

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// pulling are the reasons for which an image does not come, and configuring those for
// which a container can't even be made. A kubelet goes on trying; what it needs is another
// manifest, nearly always.
var (
	pulling     = []string{"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
	stumbling   = []string{"ErrImagePull", "RegistryUnavailable"} // it may come at the next try
	configuring = []string{"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)

const (
	// patience is how often a container may end before that is no accident.
	patience = 2
	// placing is how long a node may take to be found: clusters grow when they need to.
	placing = 3 * time.Minute
	// filling is how long what a container is made of may be missing: others make Secrets.
	filling = time.Minute
)

// Troubles are what is wrong with the pods of a workload's newest revision, the worst
// first, each kind once: a hundred pods of one template fail alike.
func (w Workload) Troubles(now time.Time) []Trouble {
	var found []Trouble
	add := func(t Trouble) {
		t.Ref = w.Ref
		same := func(known Trouble) bool { return known.Container == t.Container && known.Reason == t.Reason }
		switch at := slices.IndexFunc(found, same); {
		case at < 0:
			found = append(found, t)
		case t.Final && !found[at].Final:
			found[at] = t
		}
	}
	for _, pod := range w.Pods {
		if pod.Unschedulable != "" {
			add(Trouble{Pod: pod.Name, Reason: "Unschedulable", Message: pod.Unschedulable, Final: now.Sub(pod.Created) > placing})
		}
		for _, c := range pod.Containers {
			if t := c.trouble(w.patience(), now.Sub(pod.Created)); t.Reason != "" {
				t.Pod, t.Container = pod.Name, c.Name
				add(t)
			}
		}
	}
	if w.State == Failing {
		add(Trouble{Reason: "Failed", Message: w.Message, Final: true})
	}
	slices.SortStableFunc(found, func(a, b Trouble) int { return cmp.Compare(rank(a), rank(b)) })
	return found
}

// rank puts what is final, and of a container, first: it says most.
func rank(t Trouble) int {
	switch {
	case t.Final && t.Container != "":
		return 0
	case t.Final:
		return 1
	}
	return 2
}

// patience is how often a container may end. A Job counts that itself, and says so when it
// has had enough.
func (w Workload) patience() int {
	if w.Ref.Group == "batch" && w.Ref.Kind == "Job" {
		return math.MaxInt
	}
	return patience
}

func (c Container) trouble(patience int, age time.Duration) Trouble {
	switch {
	case slices.Contains(pulling, c.Waiting):
		return Trouble{Reason: c.Waiting, Message: cmp.Or(c.Message, "the image "+c.Image+" can't be pulled"), Final: true}
	case slices.Contains(stumbling, c.Waiting):
		return Trouble{Reason: c.Waiting, Message: c.Message}
	case slices.Contains(configuring, c.Waiting):
		return Trouble{Reason: c.Waiting, Message: c.Message, Final: age > filling}
	case c.Ended == "OOMKilled" && !c.Ready:
		return Trouble{Reason: c.Ended, Message: "it used more memory than its limit allows" + c.again(), Final: c.Restarts >= patience}
	case c.Waiting == "CrashLoopBackOff":
		return Trouble{Reason: c.Waiting, Message: fmt.Sprintf("it ended with exit code %d", c.ExitCode) + c.again(), Final: c.Restarts >= patience}
	}
	return Trouble{}
}

func (c Container) again() string {
	if c.Restarts == 0 {
		return ""
	}
	return fmt.Sprintf(", and was restarted %d times", c.Restarts)
}
