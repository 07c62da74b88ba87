package spaces

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/client"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"isthmus/gateway"
)

// Diagnose asks a provider step by step whether people can sign in there. redirect is the address that
// the provider has to know of us. It changes nothing, and ends at the first step without which the
// next ones say nothing.
func (v *Verifier) Diagnose(ctx context.Context, p gateway.OpenedProvider, redirect string) []gateway.ProviderCheck {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	d := diagnosis{}
	c := v.client(p.Issuer)
	found, err := client.Discover(ctx, p.Issuer, c)
	switch {
	case err != nil && strings.Contains(err.Error(), oidc.ErrIssuerInvalid.Error()):
		d.add("discovery", gateway.CheckFailed, "The discovery document names another issuer.",
			"Enter the issuer exactly as the document says it, also with or without the slash at its end.")
		return d
	case err != nil:
		d.add("discovery", gateway.CheckFailed, "The discovery document cannot be read.",
			"Open "+strings.TrimSuffix(p.Issuer, "/")+oidc.DiscoveryEndpoint+" in a browser. A provider inside your network has to be allowed with --allow-networks.")
		return d
	}
	d.add("discovery", gateway.CheckPassed, "The discovery document is there and names this issuer.", "")
	if err := sound(found, p.Source); err != nil {
		d.add("endpoints", gateway.CheckFailed, "The endpoints of the provider cannot be used: "+err.Error()+".", "Correct the provider's configuration.")
		return d
	}
	d.add("endpoints", gateway.CheckPassed, "It names its authorization endpoint, token endpoint and keys.", "")
	d.keys(ctx, c, found)
	d.abilities(found, p.IdentityProvider)
	d.client(ctx, c, found, p, redirect)
	return d
}

type diagnosis []gateway.ProviderCheck

func (d *diagnosis) add(step string, state gateway.CheckState, text, fix string) {
	*d = append(*d, gateway.ProviderCheck{Step: step, State: state, Text: text, Fix: fix})
}

func (d *diagnosis) keys(ctx context.Context, c *http.Client, found *oidc.DiscoveryConfiguration) {
	keys, err := fetchKeys(ctx, c, found.JwksURI)
	if err != nil {
		d.add("keys", gateway.CheckFailed, "The provider's signing keys cannot be used.", "It must publish RSA keys of 2048 bits or more, EC P-256 or P-384, or Ed25519.")
		return
	}
	d.add("keys", gateway.CheckPassed, fmt.Sprintf("%d of its signing keys can be used.", len(keys)), "")
	if algs := found.IDTokenSigningAlgValuesSupported; len(algs) > 0 && !slices.ContainsFunc(algs, func(a string) bool { return slices.Contains(algorithmNames(), a) }) {
		d.add("algorithms", gateway.CheckFailed, "It signs with none of the algorithms that are safe.", "Let it sign ID tokens with "+strings.Join(algorithmNames(), ", ")+".")
		return
	}
	d.add("algorithms", gateway.CheckPassed, "It can sign with an algorithm that is safe.", "")
}

func (d *diagnosis) abilities(found *oidc.DiscoveryConfiguration, p gateway.IdentityProvider) {
	if !slices.Contains(found.CodeChallengeMethodsSupported, oidc.CodeChallengeMethodS256) {
		d.add("pkce", gateway.CheckWarned, "It does not say that it takes PKCE with S256.", "We send it all the same; prefer a provider that checks it.")
	} else {
		d.add("pkce", gateway.CheckPassed, "It takes PKCE with S256.", "")
	}
	for _, scope := range p.Scopes {
		if len(found.ScopesSupported) > 0 && !slices.Contains(found.ScopesSupported, scope) {
			d.add("scopes", gateway.CheckWarned, "It does not name the scope "+scope+".", "Leave it out, or let the provider offer it.")
		}
	}
	claim, _, _ := strings.Cut(strings.TrimPrefix(p.Claims.Hubs, "/"), "/")
	switch named := slices.Contains(found.ClaimsSupported, claim) || slices.Contains(found.ClaimsSupported, p.Claims.Hubs); {
	case named:
		d.add("hubs", gateway.CheckPassed, "It names the claim "+p.Claims.Hubs+".", "")
	default:
		d.add("hubs", gateway.CheckWarned, "It does not say that it sends the claim "+p.Claims.Hubs+", from which hubs come.", "Sign in once, or try the mapping with the claims of a real token.")
	}
}

// client asks with a code that cannot be right: how it is refused tells whether we are known.
func (d *diagnosis) client(ctx context.Context, c *http.Client, found *oidc.DiscoveryConfiguration, p gateway.OpenedProvider, redirect string) {
	answer, err := probe(ctx, c, found, p, redirect)
	switch {
	case err != nil:
		d.add("client", gateway.CheckFailed, "The token endpoint does not answer as it should.", "Check that the provider is up.")
	case answer == "invalid_grant":
		d.add("client", gateway.CheckPassed, "It knows our client id and takes our secret.", "")
	case answer == "invalid_client", answer == "unauthorized_client":
		d.add("client", gateway.CheckFailed, "It does not take our client id and secret.", "Enter both as the provider shows them; a secret may have ended.")
	default:
		d.add("client", gateway.CheckWarned, "It did not say whether it knows our client id.", "Sign in once to be sure.")
	}
	d.add("redirect", gateway.CheckInfo, "Register "+redirect+" as redirect address at the provider.", "")
	d.add("log_out", gateway.CheckInfo, "Register "+strings.TrimSuffix(redirect, CallbackPath)+BackLogoutPath+" for back-channel log-out, if the provider has it.", "")
}

func probe(ctx context.Context, c *http.Client, found *oidc.DiscoveryConfiguration, p gateway.OpenedProvider, redirect string) (string, error) {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {"isthmus-diagnosis"}, "redirect_uri": {redirect},
		"code_verifier": {gateway.NewToken()}, "client_id": {p.ClientID},
	}
	methods := found.TokenEndpointAuthMethodsSupported
	basic := p.Secret != "" && (len(methods) == 0 || slices.Contains(methods, oidc.AuthMethodBasic))
	if p.Secret != "" && !basic {
		form.Set("client_secret", p.Secret.Reveal())
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, found.TokenEndpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if basic {
		req.SetBasicAuth(url.QueryEscape(p.ClientID), url.QueryEscape(p.Secret.Reveal()))
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return "", err
	}
	var said struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(body, &said); err != nil || said.Error == "" {
		return "", fmt.Errorf("answered %d", resp.StatusCode)
	}
	return said.Error, nil
}

// safeEndpoint takes https, and plain http on this machine or where it is trusted.
func safeEndpoint(address string, plain bool) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	host := u.Hostname()
	plain = plain || host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "127.0.0.1" || host == "::1"
	return u.Scheme == "https" || u.Scheme == "http" && plain
}
