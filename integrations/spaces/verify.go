package spaces

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	strict "github.com/go-jose/go-jose/v4/json"
	"github.com/zitadel/oidc/v3/pkg/client"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/sync/singleflight"

	"isthmus/gateway"
)

// Verifier checks tokens of the configured identity providers. Safe for concurrent use.
type Verifier struct {
	Providers *gateway.IdentityProviders
	HTTP      *http.Client            // the guarded client
	Local     map[string]*http.Client // by issuer: what reaches a provider in this process
	Clock     gateway.Clock

	learning singleflight.Group
	mu       sync.Mutex
	known    map[string]*known // by provider id
	failed   map[string]failed // likewise, of the last discovery
}

// failed is a discovery that came to nothing.
type failed struct {
	version int64
	until   time.Time // it is not tried again before
	err     error
}

// known is what was learned of a provider by discovery.
type known struct {
	version int64 // of the row that it was learned for
	at      time.Time
	issuer  string
	found   *oidc.DiscoveryConfiguration
	keys    *keySet
}

const (
	leeway        = 30 * time.Second // between the provider's clock and ours
	maxToken      = 16 << 10
	discoverAgain = time.Hour
	failurePause  = 30 * time.Second // in which a provider that did not answer is not asked again
)

// Kinds of tokens by their header "typ", in lower case without "application/".
const (
	typeAccess = "at+jwt"
	typeLogout = "logout+jwt"
)

func (v *Verifier) client(issuer string) *http.Client {
	c := v.HTTP
	if local, ok := v.Local[issuer]; ok {
		c = local
	}
	bounded := *c
	transport := c.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	bounded.Transport = limited{transport}
	return &bounded
}

// learn discovers a provider, or gives what is known from within the last hour. When the provider
// does not answer, what was known before is still good. However many ask, the provider is asked once at a
// time, and not again for a while after a failure: a dead provider must not cost everybody a timeout.
func (v *Verifier) learn(ctx context.Context, p gateway.IdentityProvider) (*known, error) {
	if have, fresh, err := v.remembered(p); fresh {
		return have, err
	}
	k, err, _ := v.learning.Do(p.ID+" "+strconv.FormatInt(p.Version, 10), func() (any, error) {
		have, fresh, err := v.remembered(p)
		if fresh { // an earlier flight landed meanwhile
			return have, err
		}
		return v.discover(context.WithoutCancel(ctx), p, have)
	})
	return k.(*known), err
}

// remembered gives what is known of a provider, perhaps that it does not answer; fresh: it need not be asked.
func (v *Verifier) remembered(p gateway.IdentityProvider) (have *known, fresh bool, _ error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.Clock()
	if have = v.known[p.ID]; have != nil && (have.version != p.Version || have.issuer != p.Issuer) {
		have = nil
	}
	f, paused := v.failed[p.ID]
	paused = paused && f.version == p.Version && now.Before(f.until)
	switch {
	case have != nil:
		return have, paused || now.Sub(have.at) < discoverAgain, nil
	case paused:
		return nil, true, f.err
	}
	return nil, false, nil
}

func (v *Verifier) discover(ctx context.Context, p gateway.IdentityProvider, have *known) (*known, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	c := v.client(p.Issuer)
	found, err := client.Discover(ctx, p.Issuer, c)
	if err == nil {
		err = sound(found, p.Source)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known == nil {
		v.known, v.failed = map[string]*known{}, map[string]failed{}
	}
	now := v.Clock() // the pause begins when the failure is known, however long that took
	if err != nil {
		v.failed[p.ID] = failed{p.Version, now.Add(failurePause), down(err)}
		if have != nil {
			return have, nil
		}
		return nil, down(err)
	}
	next := &known{version: p.Version, at: now, issuer: p.Issuer, found: found, keys: &keySet{http: c, url: found.JwksURI, clock: v.Clock}}
	if have != nil && have.found.JwksURI == found.JwksURI {
		next.keys = have.keys
	}
	v.known[p.ID] = next
	delete(v.failed, p.ID)
	return next, nil
}

// sound refuses endpoints that no browser should be sent to and no secret should go to. Who starts the
// server may have a provider without TLS, in a network of their own.
func sound(d *oidc.DiscoveryConfiguration, source gateway.ProviderSource) error {
	for _, e := range []string{d.AuthorizationEndpoint, d.TokenEndpoint, d.JwksURI, d.UserinfoEndpoint} {
		if e != "" && !safeEndpoint(e, source != gateway.ProviderSaved) {
			return errors.New("an endpoint of the provider is not an https address")
		}
	}
	if d.AuthorizationEndpoint == "" || d.TokenEndpoint == "" || d.JwksURI == "" {
		return errors.New("the provider does not name its authorization endpoint, token endpoint and keys")
	}
	return nil
}

// Verify checks an ID token or JWT access token of a provider and gives who it is about. The token
// must be signed by the provider, meant for us (our client id or an audience that the operator
// trusts), valid now and young enough. Unauthenticated with reason "token_expired" or "token_invalid";
// Forbidden for an e-mail domain that may not come in; Unavailable when the provider's keys are not to
// be had. A token that does not name the hubs makes a partial identity.
func (v *Verifier) Verify(ctx context.Context, token string, kind gateway.TokenKind) (gateway.Identity, error) {
	p, claims, err := v.verify(ctx, token, func(typ string, claims map[string]any) bool {
		if has(claims, "events") { // says that something happened, perhaps a log-out, not who somebody is (RFC 8417)
			return false
		}
		switch kind {
		case gateway.TokenID:
			return typ == "" || typ == "jwt"
		case gateway.TokenAccess:
			// Not every provider follows RFC 9068; an ID token must not pass for an access token all the same.
			return typ == typeAccess || (typ == "" || typ == "jwt") && !has(claims, "nonce", "at_hash", "c_hash", "s_hash")
		}
		return false
	})
	if err != nil {
		return gateway.Identity{}, err
	}
	return p.Identity(claims)
}

// verify does what is common to all kinds of tokens; fits says whether it is one of the right kind.
func (v *Verifier) verify(ctx context.Context, token string, fits func(typ string, claims map[string]any) bool) (gateway.IdentityProvider, map[string]any, error) {
	none := gateway.IdentityProvider{}
	if len(token) > maxToken || strings.Count(token, ".") != 2 || strings.ContainsAny(token, " \r\n\t=") {
		return none, nil, invalid(errors.New("not of the form of a token"))
	}
	jws, err := jose.ParseSigned(token, algorithms)
	if err != nil {
		return none, nil, invalid(err)
	}
	header := jws.Signatures[0].Protected
	// The issuer is read before anything is proven: it only says whose keys are asked for.
	claims := map[string]any{}
	if err := strict.Unmarshal(jws.UnsafePayloadWithoutVerification(), &claims); err != nil { // refuses a name that occurs twice
		return none, nil, invalid(err)
	}
	issuer, _ := claims["iss"].(string)
	opened, err := v.Providers.ByIssuer(ctx, issuer)
	if gateway.CodeOf(err) == gateway.NotFound {
		return none, nil, invalid(errors.New("unknown issuer"))
	}
	if err != nil {
		return none, nil, err
	}
	p := opened.IdentityProvider
	typ, _ := header.ExtraHeaders[jose.HeaderType].(string)
	if !fits(strings.TrimPrefix(strings.ToLower(typ), "application/"), claims) {
		return none, nil, invalid(errors.New("a token of another kind"))
	}
	k, err := v.learn(ctx, p)
	if err != nil {
		return none, nil, err
	}
	if _, err := k.keys.VerifySignature(ctx, jws); gateway.CodeOf(err) == gateway.Unavailable {
		return none, nil, err
	} else if err != nil {
		return none, nil, invalid(err)
	}
	return p, claims, v.timely(p, claims)
}

// timely checks for whom and when a token is good.
func (v *Verifier) timely(p gateway.IdentityProvider, claims map[string]any) error {
	audience := list(claims["aud"])
	party, isText := claims["azp"].(string)
	switch {
	case !p.Accepts(audience):
		return invalid(oidc.ErrAudience)
	case has(claims, "azp") && !isText, !p.AcceptsParty(party):
		return invalid(oidc.ErrAzpInvalid)
	case !has(claims, "azp") && len(audience) > 1 && !allOwn(p, audience):
		return invalid(oidc.ErrAzpMissing)
	}
	now := v.Clock()
	exp, iat := gateway.NumericDate(claims["exp"]), gateway.NumericDate(claims["iat"])
	switch {
	case exp.IsZero():
		return invalid(errors.New("no expiry"))
	case !now.Before(exp.Add(leeway)):
		return expired(oidc.ErrExpired)
	case has(claims, "nbf") && (gateway.NumericDate(claims["nbf"]).IsZero() || now.Add(leeway).Before(gateway.NumericDate(claims["nbf"]))):
		return invalid(errors.New("not valid yet"))
	case iat.IsZero():
		return invalid(oidc.ErrIatMissing)
	case now.Add(leeway).Before(iat):
		return invalid(oidc.ErrIatInFuture)
	case now.Sub(iat) > p.MaxAge()+leeway:
		return expired(oidc.ErrIatToOld)
	}
	return nil
}

func allOwn(p gateway.IdentityProvider, audience []string) bool {
	return !slices.ContainsFunc(audience, func(a string) bool { return !p.Accepts([]string{a}) })
}

func has(claims map[string]any, names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { _, ok := claims[n]; return ok })
}

// list gives a text or a list of texts; nothing when there is something else in it.
func list(v any) (out []string) {
	many, ok := v.([]any)
	if !ok {
		many = []any{v}
	}
	for _, one := range many {
		s, ok := one.(string)
		if !ok {
			return nil
		}
		out = append(out, s)
	}
	return out
}

func invalid(err error) *gateway.Error {
	return gateway.E(gateway.Unauthenticated, "token_invalid", "The identity provider's token is not valid here.").
		Next("Get a new one from the identity provider, meant for this application.").Because(err)
}

func expired(err error) *gateway.Error {
	return gateway.E(gateway.Unauthenticated, "token_expired", "The identity provider's token has expired or is too old.").
		Next("Get a new one from the identity provider.").Because(err)
}
