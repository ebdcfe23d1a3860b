// Package plan says what applying a target would do to a cluster: for every object
// a class, the effects and what could go wrong, and one digest over all of it. What
// was shown may be applied; what nobody saw waits, and Uncovered finds it.
//
// It is pure: what a cluster holds, and what it answers to a dry run, are values
// that others gather. It never reads a cluster, and it never shows a value: effects
// hold keyed hashes, and texts are for package diff to mask.
package plan
