package github

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

const (
	attempts   = 3
	retryFor   = 5 * time.Second // no attempt begins later than this after the first
	retryFirst = 200 * time.Millisecond
	retryMost  = time.Second
)

// whole marks a write that says all that the artefact shall be, so that doing it twice
// is doing it once: the edit of a comment is one, a check's annotations are none,
// because GitHub appends them.
func whole(ctx context.Context) context.Context { return context.WithValue(ctx, wholeKey{}, true) }

type wholeKey struct{}

// retrier repeats requests that can be repeated, for as long as a caller can be kept
// waiting. Anything else goes out once.
type retrier struct {
	once  http.RoundTripper
	again retryablehttp.RoundTripper
}

func newRetrier(next http.RoundTripper) *retrier {
	return &retrier{once: next, again: retryablehttp.RoundTripper{Client: &retryablehttp.Client{
		HTTPClient:   &http.Client{Transport: next, CheckRedirect: leaveRedirects},
		RetryMax:     attempts - 1,
		RetryWaitMin: retryFirst, RetryWaitMax: retryMost,
		Backoff:      backoff,
		CheckRetry:   worthAnother,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}}}
}

func (r *retrier) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	switch {
	case req.Method == http.MethodGet, req.Method == http.MethodHead:
	case req.Method == http.MethodPatch && ctx.Value(wholeKey{}) != nil:
	default:
		return r.once.RoundTrip(req)
	}
	return r.again.RoundTrip(req.WithContext(context.WithValue(ctx, startKey{}, time.Now())))
}

type startKey struct{}

// worthAnother judges one attempt. What is known to stay as it is, and what used up
// its time, is left to the caller.
func worthAnother(ctx context.Context, resp *http.Response, err error) (bool, error) {
	start, _ := ctx.Value(startKey{}).(time.Time)
	if ctx.Err() != nil || time.Since(start) > retryFor {
		return false, nil
	}
	if err != nil {
		var l *limit
		var r *refusal
		if errors.As(err, &l) || errors.As(err, &r) || errors.Is(err, errElsewhere) || errors.Is(err, errTooLong) || errors.Is(err, context.DeadlineExceeded) {
			return false, nil
		}
		return retryablehttp.DefaultRetryPolicy(ctx, nil, err)
	}
	return resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented && resp.Header.Get("Retry-After") == "", nil
}

// backoff is the library's, without the answer, whose Retry-After could be an hour.
func backoff(least, most time.Duration, attempt int, _ *http.Response) time.Duration {
	return retryablehttp.DefaultBackoff(least, most, attempt, nil)
}

// leaveRedirects leaves them to the client above, which passes them through the whole
// chain again.
func leaveRedirects(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
