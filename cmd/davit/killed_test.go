package main_test

import (
	"flag"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/davitops/davit/internal/cluster"
)

// killable is a Davit that dies where it is told to. It is the real one otherwise.
var killable = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(program), "killable")
	build := exec.Command("go", "build", "-tags", "killed", "-trimpath", "-o", path, ".")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build a Davit that can be killed: %w\n%s", err, out)
	}
	return path, nil
})

// How much is killed: in the short tests some numbers that are spread evenly, in the long
// ones each. Scenes wait most of the time, so that there are more than processors.
const (
	someKills = 12
	together  = 6
)

// TestKilled plays from a pull request to its revert, and kills Davit on the way: each
// commit and each call to the forge, a cluster or git has a number, and for each number
// there is a run that is killed right before it. Davit is started again, and nothing else
// is done for it; what it leaves in the cluster, on the forge, in git and in its own
// ledger must be what a run leaves that was never killed.
//
// The number of a kill is the name of its test: -run 'TestKilled/^17$' does it alone. What
// the number stands for differs a little from run to run, because steps are worked side by
// side; the last of the steps that are logged says what it was.
func TestKilled(t *testing.T) {
	t.Parallel()
	p := startClusters(t)
	connection, err := cluster.Connect(cluster.Options{Name: "cluster-1", Kubeconfig: p.Kubeconfig, Context: "cluster-1"})
	if err != nil {
		t.Fatal(err)
	}
	undisturbed := newScenery(t, connection, p.Kubeconfig, 0)
	want := undisturbed.play()
	steps := undisturbed.steps()
	t.Logf("the loop has %d steps to be killed at: %s", len(steps), kinds(steps))

	var mu sync.Mutex
	var died []string // the steps that were not made
	missed := 0
	var scenes sync.WaitGroup
	numbers := make(chan int)
	for range together {
		scenes.Go(func() {
			for n := range numbers {
				t.Run(fmt.Sprint(n), func(t *testing.T) {
					s := newScenery(t, connection, p.Kubeconfig, n)
					if diff := cmp.Diff(want, s.play()); diff != "" {
						t.Errorf("killed at %d, the end is another one (- undisturbed, + killed):\n%s", n, diff)
					}
					mu.Lock()
					defer mu.Unlock()
					if s.davit.killed() {
						died = append(died, s.steps()[n-1])
					} else {
						missed++
					}
				})
			}
		})
	}
	for _, n := range chosen(len(steps)) {
		numbers <- n
	}
	close(numbers)
	scenes.Wait()
	t.Logf("killed at %d steps: %s; %d runs ended before their number", len(died), kinds(died), missed)
	if all := len(died) + missed; missed > max(1, all/20) {
		t.Errorf("%d of %d runs ended before they were killed", missed, all)
	}
}

// chosen are the numbers to kill at, up to a last one.
func chosen(last int) (numbers []int) {
	count := someKills
	if long || strings.Contains(flag.Lookup("test.run").Value.String(), "/") { // or one is asked for by its name
		count = last
	}
	for i := range count {
		numbers = append(numbers, 1+(2*i+1)*last/(2*count))
	}
	return numbers
}

// kinds counts steps by what they are.
func kinds(steps []string) string {
	counts := map[string]int{}
	for _, step := range steps {
		words := strings.Fields(step)
		counts[strings.Join(words[:min(2, len(words))], " ")]++
	}
	var all []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, fmt.Sprintf("%d %s", counts[kind], kind))
	}
	return strings.Join(all, ", ")
}
