package worker

import (
	"errors"
	"strings"
	"testing"
)

// TestWorkerThatDoesNotStart is no fault of the job, and says what is.
func TestWorkerThatDoesNotStart(t *testing.T) {
	t.Parallel()
	pool, err := NewPool(Options{Command: []string{"/bin/false"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pool.Close() }()
	_, err = pool.Run(t.Context(), Job{Kind: "any"})
	var death *Death
	if !errors.As(err, &death) || !death.Idle {
		t.Fatalf("got %v, want a death before the job", err)
	}
	if !strings.Contains(err.Error(), "start worker: crash before the first job: exit status 1") {
		t.Errorf("the error is %q", err)
	}
}
