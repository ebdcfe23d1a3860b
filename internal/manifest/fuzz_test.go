package manifest

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
)

// Memory that reading may take: the parser takes some hundred bytes for each
// byte of the densest YAML, and parses at most three levels of YAML in YAML. A
// bomb that goes off takes a million times its size.
const (
	memoryBase    = 16 << 20
	memoryPerByte = 3 * 800
)

func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"", object, lolly(3, ""), lolly(8, ""), "p: |\n" + lolly(7, "  "), chain(20), mappings(20), "&a [*a]", "a: &a\n  b: *a\n",
		"\ufeff%YAML 1.1\n%TAG ! tag:x,2000:\n--- !!map\n? a\n: |-\n  b\n...\n", "a: 'x\n", "- - - ? - [{a: [", "<<: &x {<<: *x}", "a: \"\\x26a\"\r\n---\r\n", "#c\n#d\na: #e\n  - b #f\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		guarded, taken := guardAndScan(data)
		if limit := uint64(memoryBase + memoryPerByte*len(data)); taken > limit {
			t.Errorf("reading %d bytes took %d, more than %d", len(data), taken, limit)
		}
		checked := CheckYAML("f", data)
		if guarded != nil && (checked == nil || *checked != *guarded) {
			t.Errorf("Guard says %v, CheckYAML %v", guarded, checked)
		}
		lines := 1 + bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) + strings.Count(string(data), "\u0085") +
			strings.Count(string(data), "\u2028") + strings.Count(string(data), "\u2029")
		if checked != nil && (checked.File != "f" || checked.Message == "" || checked.Line < 1 || checked.Line > lines) {
			t.Errorf("a file of %d lines has the problem %+v", lines, checked)
		}
	})
}

func guardAndScan(data []byte) (*Problem, uint64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	problem := Guard("f", data)
	if problem == nil {
		_, _ = Headers("f", data)
	}
	runtime.ReadMemStats(&after)
	return problem, after.TotalAlloc - before.TotalAlloc
}
