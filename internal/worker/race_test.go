//go:build race

package worker

// raceDetector says that memory costs several times as much, and that the
// detector's own allocator meets the limits first.
const raceDetector = true
