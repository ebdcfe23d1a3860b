//go:build e2e

package main_test

// long says that the long tests run too.
const long = true
