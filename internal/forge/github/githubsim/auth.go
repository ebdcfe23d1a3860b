package githubsim

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// actor is who asks: a person, the App itself (a JWT), or an installation.
type actor struct {
	user  *account // of an installation: the bot
	isApp bool
	token *token
}

// key names whose budget of requests is spent.
func (a actor) key() string {
	switch {
	case a.isApp:
		return "app"
	case a.token != nil:
		return "installation " + strconv.FormatInt(a.token.installation.id, 10)
	}
	return "user " + a.user.login
}

// credential takes the secret out of a header: "Bearer X", "token X" or Basic.
func credential(r *http.Request) string {
	if _, password, is := r.BasicAuth(); is {
		return password
	}
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "bearer") || strings.EqualFold(scheme, "token") {
		return strings.TrimSpace(value)
	}
	return ""
}

// authenticate says who asks. It is called with the state locked.
func (s *Sim) authenticate(r *http.Request) (actor, error) {
	secret := credential(r)
	switch {
	case secret == "":
		return actor{}, problem(http.StatusUnauthorized, "Requires authentication")
	case strings.HasPrefix(secret, "user-"):
		user := s.account(strings.TrimPrefix(secret, "user-"))
		if user == nil || user.kind == "Organization" || user == s.app.bot {
			return actor{}, problem(http.StatusUnauthorized, "Bad credentials")
		}
		return actor{user: user}, nil
	case strings.HasPrefix(secret, "ghs_"):
		issued := s.tokens[secret]
		if issued == nil || !s.now().Before(issued.expires) {
			return actor{}, problem(http.StatusUnauthorized, "Bad credentials")
		}
		if issued.installation.suspended != nil {
			return actor{}, problem(http.StatusForbidden, "This installation has been suspended")
		}
		return actor{user: s.app.bot, token: issued}, nil
	}
	if err := s.checkJWT(secret); err != nil {
		return actor{}, err
	}
	return actor{user: s.app.bot, isApp: true}, nil
}

// checkJWT holds a JWT to what GitHub wants of one: RS256, the App's id, not from
// the future, and at most ten minutes of life.
func (s *Sim) checkJWT(secret string) error {
	parts := strings.Split(secret, ".")
	if len(parts) != 3 {
		return problem(http.StatusUnauthorized, "A JSON web token could not be decoded")
	}
	var header struct{ Alg string }
	var claims struct {
		Iss json.RawMessage
		Iat json.Number
		Exp json.Number
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || decodePart(parts[0], &header) != nil || decodePart(parts[1], &claims) != nil || header.Alg != "RS256" {
		return problem(http.StatusUnauthorized, "A JSON web token could not be decoded")
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if rsa.VerifyPKCS1v15(s.key, crypto.SHA256, digest[:], signature) != nil {
		return problem(http.StatusUnauthorized, "A JSON web token could not be decoded")
	}
	issued, errIat := claims.Iat.Float64()
	expires, errExp := claims.Exp.Float64()
	now := float64(s.options.Now().Unix())
	switch {
	case strings.Trim(string(claims.Iss), `"`) != strconv.FormatInt(s.app.id, 10):
		return problem(http.StatusUnauthorized, "'Issuer' claim ('iss') must be an Integer")
	case errIat != nil || issued > now:
		return problem(http.StatusUnauthorized, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
	case errExp != nil || expires <= now:
		return problem(http.StatusUnauthorized, "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires")
	case expires > now+600:
		return problem(http.StatusUnauthorized, "'Expiration time' claim ('exp') is too far in the future")
	}
	return nil
}

func decodePart(part string, into any) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// newToken makes a token in the long form: ghs_<appid>_<three parts with dots>,
// some 520 characters.
func (s *Sim) newToken() string {
	part := func(bytes int) string {
		raw := make([]byte, bytes)
		_, _ = rand.Read(raw) // never fails
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	return fmt.Sprintf("ghs_%d_%s.%s.%s", s.app.id, part(27), part(90), part(256))
}

const tokenLife = time.Hour

// may says what stands in the way of an actor doing something in a repository, as
// GitHub would put it. An installation needs one of permissions ("checks:write"),
// a person a role; an empty role means that only an App may.
func (s *Sim) may(a actor, r *repository, op *operation) error {
	if a.isApp {
		if op.who == theApp {
			return nil
		}
		return problem(http.StatusUnauthorized, "A JSON web token could not be decoded")
	}
	if a.token != nil {
		return s.tokenMay(a.token, r, op)
	}
	role := s.role(a.user, r)
	switch {
	case role == "none":
		return notFound()
	case op.role == "":
		return problem(http.StatusForbidden, "You must authenticate via a GitHub App.")
	case !atLeast(role, op.role):
		return problem(http.StatusForbidden, "Must have "+op.role+" access to the repository.")
	}
	return nil
}

func (s *Sim) tokenMay(t *token, r *repository, op *operation) error {
	inside := s.tokenReaches(t, r)
	if !inside && r.private {
		return notFound()
	}
	if !inside && op.method == http.MethodGet {
		return nil // what is public is public
	}
	if inside && slices.ContainsFunc(op.needs, func(need string) bool { return granted(t.permissions, need) }) {
		return nil
	}
	return problem(http.StatusForbidden, "Resource not accessible by integration")
}

func (s *Sim) tokenReaches(t *token, r *repository) bool {
	return s.installation(r) == t.installation && (t.repos == nil || slices.Contains(t.repos, r))
}

// granted reports whether permissions include one like "checks:write".
func granted(permissions map[string]string, need string) bool {
	name, level, _ := strings.Cut(need, ":")
	levels := []string{"", "read", "write", "admin"}
	return slices.Index(levels, permissions[name]) >= slices.Index(levels, level)
}
