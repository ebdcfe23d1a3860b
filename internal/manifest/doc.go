// Package manifest is what Davit knows about the text and the identity of
// Kubernetes objects.
package manifest
