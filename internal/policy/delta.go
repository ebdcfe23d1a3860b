package policy

import "slices"

// Delta compares the findings of two revisions as multisets and returns them
// with their states, ordered by Compare. What both have is told as head tells
// it, once. A finding that is more severe in head than in base is new, and its
// milder self is not fixed. The states of the arguments are ignored.
func Delta(base, head []Finding) []Finding {
	pairs := pair(base, head)
	delta := make([]Finding, 0, len(head))
	gone := make([]bool, len(base))
	for i := range gone {
		gone[i] = true
	}
	for i, f := range head {
		f.State = New
		if at := pairs[i]; at >= 0 {
			gone[at] = false
			if f.Severity.rank() >= base[at].Severity.rank() {
				f.State = Existing
			}
		}
		delta = append(delta, f)
	}
	for i, f := range base {
		if gone[i] {
			f.State = Fixed
			delta = append(delta, f)
		}
	}
	slices.SortFunc(delta, Finding.Compare)
	return delta
}

// likeness is what two findings of one fingerprint have in common: both fields
// are compared first, then the severity, then nothing, so that of several
// findings at one place those that did not change are paired.
type likeness struct {
	Fingerprint
	severity Severity
	message  string
}

var likenesses = []func(Finding) likeness{
	func(f Finding) likeness { return likeness{f.Fingerprint(), f.Severity, f.Message} },
	func(f Finding) likeness { return likeness{f.Fingerprint(), f.Severity, ""} },
	func(f Finding) likeness { return likeness{f.Fingerprint(), "", ""} },
}

// pair returns for each finding of head the index of the finding of base that it
// continues, or -1. Arguments in another order give the same findings the same
// states: within a likeness the worst findings are paired first.
func pair(base, head []Finding) []int {
	pairs := make([]int, len(head))
	for i := range pairs {
		pairs[i] = -1
	}
	paired := make([]bool, len(base))
	baseOrder, headOrder := order(base), order(head)
	for _, like := range likenesses {
		open := make(map[likeness][]int)
		for _, b := range baseOrder {
			if !paired[b] {
				open[like(base[b])] = append(open[like(base[b])], b)
			}
		}
		for _, h := range headOrder {
			candidates := open[like(head[h])]
			if pairs[h] >= 0 || len(candidates) == 0 {
				continue
			}
			pairs[h], paired[candidates[0]] = candidates[0], true
			open[like(head[h])] = candidates[1:]
		}
	}
	return pairs
}

// order returns the indices of the findings as Compare orders them.
func order(findings []Finding) []int {
	indices := make([]int, len(findings))
	for i := range indices {
		indices[i] = i
	}
	slices.SortFunc(indices, func(i, j int) int { return findings[i].Compare(findings[j]) })
	return indices
}
