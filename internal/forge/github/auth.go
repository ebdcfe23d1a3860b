package github

import (
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-github/v62/github"
)

// refusal is why there is no token for an installation.
type refusal struct {
	status int
	why    string
}

func (r *refusal) Error() string { return r.why }

// client returns one that speaks as an installation, or as the App if that is 0. From
// the outside in: governor, cache, retries, signature, network.
func (g *GitHub) client(installation int64) *github.Client {
	var signed http.RoundTripper = appTransport{g.apps()}
	spacing := g.spacing
	if installation == 0 {
		spacing = 0 // what the App creates by itself is no content
	} else {
		signed = &installationTransport{mint: func() *ghinstallation.Transport {
			// An App's transport for each, because they write to the one they are made from;
			// and no options would be a body that is null, which GitHub's description has not.
			t := ghinstallation.NewFromAppsTransport(g.apps(), installation)
			t.InstallationTokenOptions = &github.InstallationTokenOptions{}
			return t
		}}
	}
	cached := cachingTransport{cache: g.cache, next: newRetrier(signed), owner: fmt.Sprint(installation)}
	c := github.NewClient(&http.Client{Transport: newGovernor(cached, spacing, g.now)})
	c.BaseURL = g.network.api.JoinPath("/")
	c.UserAgent = "davit"
	return c
}

func (g *GitHub) apps() *ghinstallation.AppsTransport {
	apps := ghinstallation.NewAppsTransportFromPrivateKey(g.network, g.appID, g.key)
	apps.BaseURL = g.network.api.String()
	return apps
}

// appTransport signs as the App. The library writes to the request that it is given.
type appTransport struct{ apps *ghinstallation.AppsTransport }

func (t appTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.apps.RoundTrip(req.Clone(req.Context()))
}

// installationTransport signs with an installation's token. If GitHub does not take a
// token any more, it gets a new one, once.
type installationTransport struct {
	mint    func() *ghinstallation.Transport
	mu      sync.Mutex
	current *ghinstallation.Transport
}

func (t *installationTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	used := t.other(nil)
	resp, err := send(used, req)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	again := req.Clone(req.Context())
	if req.Body != nil {
		if req.GetBody == nil {
			return resp, nil
		}
		if again.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
	}
	return send(t.other(used), again)
}

// other returns the transport in use, which is another one than the given.
func (t *installationTransport) other(than *ghinstallation.Transport) *ghinstallation.Transport {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current == than {
		t.current = t.mint()
	}
	return t.current
}

// send hides what the library says about a token that it did not get, apart from the
// status.
func send(t *ghinstallation.Transport, req *http.Request) (*http.Response, error) {
	resp, err := t.RoundTrip(req)
	var e *ghinstallation.HTTPError
	switch {
	case !errors.As(err, &e):
		return resp, err
	case e.RootCause != nil:
		return nil, e.RootCause
	default:
		return nil, &refusal{e.Response.StatusCode, fmt.Sprintf("no token for the installation: status %d", e.Response.StatusCode)}
	}
}
