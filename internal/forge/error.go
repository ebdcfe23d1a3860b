package forge

import (
	"errors"
	"fmt"
	"time"
)

// Class is what can be done about an error.
type Class string

// The classes.
const (
	// Unavailable is the forge's or the network's trouble: later it may work.
	Unavailable Class = "unavailable"
	// Limited is too much asked too fast: it works after Error.Until.
	Limited Class = "limited"
	// Gone is what is not there, or not for us to see.
	Gone Class = "gone"
	// Forbidden is what Davit was not given permission for, or no longer has.
	Forbidden Class = "forbidden"
	// Refused is a request that the forge finds wrong, now and later.
	Refused Class = "refused"
)

// Error is an error of a provider.
type Error struct {
	Class Class
	Doing string    // what was being done: "read the pull request github:acme/gitops#12"
	Until time.Time // of Limited
	Err   error     // for the log, never for a pull request
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %v", e.Doing, e.Class, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ClassOf is the class of an error. What is no *Error may work later.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return Unavailable
}
