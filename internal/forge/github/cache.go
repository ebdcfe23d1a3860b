package github

import (
	"container/list"
	"context"
	"io"
	"net/http"
	"sync"
)

// maxCached bounds what is remembered, in bytes over all installations: some hundred
// lists of open pull requests.
const maxCached = 64 << 20

// cache holds answers that GitHub has named, and gives one again when it says that
// nothing changed, which costs an installation nothing of its budget. Every request
// still goes to GitHub: what is shown is never older than the answer.
type cache struct {
	mu      sync.Mutex
	entries map[string]*list.Element
	recent  list.List // of *cached, the last used first
	size    int
}

type cached struct {
	key, etag string
	header    http.Header
	body      []byte
}

// cacheable marks a request whose answer is worth remembering.
func cacheable(ctx context.Context) context.Context {
	return context.WithValue(ctx, cacheableKey{}, true)
}

type cacheableKey struct{}

// cachingTransport is one installation's view of the cache: no other sees its answers.
type cachingTransport struct {
	*cache
	next  http.RoundTripper
	owner string
}

func (c cachingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet || req.Context().Value(cacheableKey{}) == nil {
		return c.next.RoundTrip(req)
	}
	key := c.owner + " " + req.Header.Get("Accept") + " " + req.URL.String()
	known := c.get(key)
	if known != nil {
		req = req.Clone(req.Context())
		req.Header.Set("If-None-Match", known.etag)
	}
	resp, err := c.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	switch etag := resp.Header.Get("Etag"); {
	case resp.StatusCode == http.StatusNotModified && known != nil:
		resp.StatusCode, resp.Status = http.StatusOK, "200 OK"
		resp.Header = known.header.Clone()
		hold(resp, known.body)
	case resp.StatusCode == http.StatusOK && etag != "":
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return nil, err
		}
		c.put(&cached{key: key, etag: etag, header: resp.Header.Clone(), body: body})
		hold(resp, body)
	}
	return resp, nil
}

func (c *cache) get(key string) *cached {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, known := c.entries[key]
	if !known {
		return nil
	}
	c.recent.MoveToFront(element)
	return element.Value.(*cached)
}

// put remembers an answer, and forgets what was not used for longest. One that is a
// large part of the whole is not worth the others.
func (c *cache) put(e *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = map[string]*list.Element{}
	}
	if old, known := c.entries[e.key]; known {
		c.drop(old)
	}
	if len(e.body) > maxCached/8 {
		return
	}
	c.entries[e.key] = c.recent.PushFront(e)
	for c.size += len(e.body); c.size > maxCached; {
		c.drop(c.recent.Back())
	}
}

func (c *cache) drop(element *list.Element) {
	e := c.recent.Remove(element).(*cached)
	delete(c.entries, e.key)
	c.size -= len(e.body)
}
