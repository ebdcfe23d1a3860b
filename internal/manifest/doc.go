// Package manifest is what Davit knows about the text and the identity of
// Kubernetes objects: what makes a file unsafe to read, what a document is,
// what an object is called, and what of it must never be shown.
//
// It is pure. It renders nothing and reads nothing; files arrive as bytes. It
// stands above target in the core, because discovery asks it what a document is.
package manifest
