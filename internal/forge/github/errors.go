package github

import (
	"errors"
	"net/http"

	"github.com/google/go-github/v62/github"

	"github.com/davitops/davit/internal/forge"
)

// errNoID is an answer that says yes and not to what. An id of 0 would be anything's.
var errNoID = errors.New("the answer has no id")

// failed gives an error its class. What was being done is for everybody to read; the
// cause is for the log.
func failed(doing string, err error) error {
	if err == nil {
		return nil
	}
	var known *forge.Error
	if errors.As(err, &known) {
		return err
	}
	e := &forge.Error{Class: forge.Unavailable, Doing: doing, Err: err}
	var l *limit
	switch {
	case errors.As(err, &l):
		e.Class, e.Until = forge.Limited, l.until
	case errors.Is(err, errElsewhere):
		e.Class = forge.Refused
	default:
		e.Class = class(status(err))
	}
	return e
}

// refused is an error about what was given to us.
func refused(doing, why string) error {
	return &forge.Error{Class: forge.Refused, Doing: doing, Err: errors.New(why)}
}

func class(status int) forge.Class {
	switch {
	case status == http.StatusNotFound, status == http.StatusGone:
		return forge.Gone
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return forge.Forbidden
	case status == http.StatusRequestTimeout:
		return forge.Unavailable
	case status >= 400 && status < 500:
		return forge.Refused
	default:
		return forge.Unavailable
	}
}

// status is that of the answer that an error is about, or 0 if there was none.
func status(err error) int {
	var answer *github.ErrorResponse
	var token *refusal
	switch {
	case errors.As(err, &answer) && answer.Response != nil:
		return answer.Response.StatusCode
	case errors.As(err, &token):
		return token.status
	default:
		return 0
	}
}
