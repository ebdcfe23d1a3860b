package github

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxAnswer bounds an answer: a page of 100 comments of 65,536 characters in four
// bytes each, twice over.
const maxAnswer = 64 << 20

var (
	errElsewhere = errors.New("the forge pointed to another host, which is not followed")
	errTooLong   = fmt.Errorf("the answer is longer than %d MiB", maxAnswer>>20)
	errEndless   = fmt.Errorf("the list has more than %d pages", maxPages)
)

// network is the innermost transport, below whatever signs: every request leaves
// through it, and the API's origin is all that it reaches, so that no redirect takes a
// token along. It reads answers whole, which bounds them in length and time and leaves
// no body for anybody to close; and it makes errors of the answers that are limits,
// which the libraries above know by status 403 alone.
type network struct {
	api     *url.URL
	next    http.RoundTripper
	timeout time.Duration
	now     func() time.Time
}

func (n *network) RoundTrip(req *http.Request) (*http.Response, error) {
	if origin(req.URL) != origin(n.api) {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, errElsewhere
	}
	ctx, cancel := context.WithTimeout(req.Context(), n.timeout)
	defer cancel()
	resp, err := n.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, errTooLong
	}
	if limit, is := limitOf(resp, body, n.now()); is {
		return nil, limit
	}
	hold(resp, body)
	return resp, nil
}

// hold makes an answer one that is in memory.
func hold(resp *http.Response, body []byte) {
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
}

// origin is an URL's scheme, host and port.
func origin(u *url.URL) string {
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[scheme]
	}
	return scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}
