package worker

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
)

// refusals is what the running job tried to reach. It is of the process, like
// http.DefaultTransport, which is the only way in.
var refusals struct {
	sync.Mutex
	urls []string
}

// maxRefusals and maxRefusedURL bound what is kept of one job.
const (
	maxRefusals   = 100
	maxRefusedURL = 2 << 10
)

// Refusals returns what the running job tried to reach through
// http.DefaultTransport, in order. Libraries flatten the error they got to text;
// this is how a handler can tell all the same that it was the network. Outside a
// worker it is always empty.
func Refusals() []string {
	refusals.Lock()
	defer refusals.Unlock()
	return slices.Clone(refusals.urls)
}

func resetRefusals() {
	refusals.Lock()
	defer refusals.Unlock()
	refusals.urls = nil
}

func refuse(url string) error {
	if len(url) > maxRefusedURL {
		url = url[:maxRefusedURL]
	}
	refusals.Lock()
	defer refusals.Unlock()
	if len(refusals.urls) < maxRefusals {
		refusals.urls = append(refusals.urls, url)
	}
	return fmt.Errorf("get %s: %w", url, ErrNoNetwork)
}

// refuser is a transport that goes nowhere.
type refuser struct{}

// RoundTrip notes the URL and refuses.
func (refuser) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, refuse(r.URL.Redacted())
}

// refuseHTTP closes the default transport. It stays an *http.Transport, because
// libraries assert that type; a copy of it cannot dial either.
func refuseHTTP() {
	t := &http.Transport{DialContext: func(_ context.Context, _, addr string) (net.Conn, error) {
		return nil, refuse(addr)
	}}
	t.RegisterProtocol("http", refuser{})
	t.RegisterProtocol("https", refuser{})
	http.DefaultTransport = t
}
