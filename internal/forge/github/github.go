// Package github is the forge contract on GitHub's REST interface, spoken as a GitHub
// App. It finds what Davit wrote by the key that the artefact itself carries, edits it
// or creates it, and turns answers into facts and into the contract's classes of
// error. It never decides, never retries a request that could be done twice, never
// waits out a limit, and never shows a token, a JWT or the App's key to anybody but
// the API's own host.
package github

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v4"
	"github.com/google/go-github/v62/github"

	"github.com/davitops/davit/internal/forge"
)

var _ forge.Forge = (*GitHub)(nil)

// Options are what an operator says about one GitHub, and where its network is.
type Options struct {
	Name    string   // what the operator calls this forge
	URL     string   // of its pages and of git: "https://github.com"
	APIURL  string   // "" is https://api.github.com for github.com, and else URL + "/api/v3"
	AppID   int64    // of the App
	Key     []byte   // the App's, PEM
	Secrets [][]byte // of the webhook; a delivery may be signed with any of them

	Transport http.RoundTripper // the network
	Log       *slog.Logger      // nil is silence

	Timeout time.Duration    // of one request with its answer; 0 is 15 seconds
	Spacing time.Duration    // for each creation in one installation, after a few; 0 is the second that GitHub asks for, less is none
	Now     func() time.Time // nil is time.Now
}

// GitHub is one GitHub, with all installations of the App on it.
type GitHub struct {
	name    string
	web     *url.URL
	appID   int64
	key     *rsa.PrivateKey
	secrets [][]byte
	log     *slog.Logger
	now     func() time.Time

	spacing time.Duration
	network *network
	cache   *cache
	app     *github.Client // speaks as the App itself

	mu            sync.Mutex
	bot           account                              // the App's user, who writes its comments; without an ID it is unknown
	installations map[int64]*github.Client             // speaks as the installation
	homes         map[string]int64                     // a repository's path -> the installation that has it
	tokens        map[string]*github.InstallationToken // a repository's path -> its token for git
	written       map[artefact]int64                   // what this process saved -> its id
}

// New prepares a provider. It asks nothing of the network.
func New(o Options) (*GitHub, error) {
	web, err := address(o.URL)
	if err != nil {
		return nil, fmt.Errorf("read the forge's url: %w", err)
	}
	api, err := address(apiURL(o, web))
	if err != nil {
		return nil, fmt.Errorf("read the forge's api_url: %w", err)
	}
	key, err := jwt.ParseRSAPrivateKeyFromPEM(o.Key)
	if err != nil { // which is not repeated: it speaks of the key
		return nil, errors.New("read the app's private key: it is no RSA key in PEM form")
	}
	if err := complete(&o); err != nil {
		return nil, err
	}
	g := &GitHub{
		name: o.Name, web: web, appID: o.AppID, key: key, secrets: o.Secrets, log: o.Log, now: o.Now, spacing: o.Spacing,
		network:       &network{api: api, next: o.Transport, timeout: o.Timeout, now: o.Now},
		cache:         &cache{},
		installations: map[int64]*github.Client{},
		homes:         map[string]int64{},
		tokens:        map[string]*github.InstallationToken{},
		written:       map[artefact]int64{},
	}
	g.app = g.client(0)
	return g, nil
}

// complete checks the options that need no reading, and fills in what may be left out.
func complete(o *Options) error {
	if o.Name == "" || o.AppID <= 0 || o.Transport == nil {
		return errors.New("prepare the provider github: it needs a name, an app_id and a transport")
	}
	if len(o.Secrets) == 0 {
		return errors.New("prepare the provider github: it needs a webhook secret")
	}
	for _, secret := range o.Secrets {
		if len(secret) == 0 {
			return errors.New("prepare the provider github: a webhook secret is empty, so anybody could sign with it")
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Timeout <= 0 {
		o.Timeout = 15 * time.Second
	}
	if o.Spacing == 0 {
		o.Spacing = time.Second
	}
	return nil
}

func apiURL(o Options, web *url.URL) string {
	switch {
	case o.APIURL != "":
		return o.APIURL
	case strings.EqualFold(web.Host, "github.com"):
		return "https://api.github.com"
	default:
		return web.String() + "/api/v3"
	}
}

// address reads an URL that paths are appended to. It ends without a slash.
func address(text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(text, "/"))
	if err != nil {
		return nil, errors.New("it is no URL")
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return nil, errors.New("it is not written like https://github.com")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("it has more than a host and a path")
	}
	return u, nil
}
