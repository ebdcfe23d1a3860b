package main

import (
	"net/http"
)

// passing is told of every commit and of every call to the world outside, before it is
// made. Davit itself listens to nobody: tests build one that dies there.
var passing = func(what string) {}

// passes are the calls of a client.
type passes struct {
	base http.RoundTripper
	to   string
}

func (p passes) RoundTrip(r *http.Request) (*http.Response, error) {
	passing(p.to + " " + r.Method + " " + r.URL.Path)
	return p.base.RoundTrip(r)
}
