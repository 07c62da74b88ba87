package api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/openapi"
)

// tokenOf asks for a token as a client does.
func (r *rig) tokenOf(id, secret string) answer {
	r.t.Helper()
	return r.anonymous().do("POST", "/oauth2/token", url.Values{"grant_type": {"client_credentials"}}, "Authorization", basic(id, secret))
}

func (r *rig) bearerOf(id, secret string) *caller {
	r.t.Helper()
	var tok struct {
		AccessToken string `json:"access_token"`
	}
	a := r.tokenOf(id, secret)
	a.into(r.t, &tok)
	if a.StatusCode != http.StatusOK || tok.AccessToken == "" {
		r.t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	c := r.anonymous()
	c.bearer = tok.AccessToken
	return c
}

func TestClientsOverTheAPI(t *testing.T) {
	r := newRig(t)
	ada, eve := r.signIn("ada@example.org"), r.signIn("eve@example.org")
	base := "/v1/hubs/" + r.hub["bio"] + "/clients"
	input := map[string]any{"name": "Catalogue", "type": "machine", "scopes": []string{"media:read", "clients:admin"}}
	var made openapi.OAuthClientSecret
	a := ada.want(http.StatusCreated, "POST", base, input)
	a.into(t, &made)
	if made.Secret == nil || len(*made.Secret) < 40 || a.Header.Get("ETag") != made.Client.Etag || *made.Client.HubID != r.hub["bio"] {
		t.Fatalf("%s", a.body)
	}
	id, secret := made.Client.ID, *made.Secret
	one := base + "/" + id

	// It works with its secret, which is shown never again.
	c := r.bearerOf(id, secret)
	c.want(http.StatusOK, "GET", "/v1/hubs/"+r.hub["bio"], nil)
	for _, path := range []string{base, one} {
		if got := ada.want(http.StatusOK, "GET", path, nil); strings.Contains(string(got.body), secret) {
			t.Errorf("the secret at %s", path)
		}
	}
	if strings.Contains(r.log.String(), secret) {
		t.Error("the secret in the log")
	}
	var page openapi.OAuthClientPage
	ada.want(http.StatusOK, "GET", base, nil).into(t, &page)
	if len(page.Items) != 1 || page.Items[0].LastUsedAt == nil || len(page.Scopes) != len(gateway.AllScopes) {
		t.Errorf("%+v", page)
	}

	// Another secret, both valid for a while.
	var rotated openapi.OAuthClientSecret
	ada.want(http.StatusOK, "POST", one+"/secret", map[string]any{"overlap_seconds": 3600}).into(t, &rotated)
	if rotated.Client.OldSecretUntil == nil || time.Until(*rotated.Client.OldSecretUntil) > time.Hour {
		t.Errorf("%+v", rotated.Client)
	}
	r.bearerOf(id, secret)
	r.bearerOf(id, *rotated.Secret)
	ada.want(http.StatusBadRequest, "POST", one+"/secret", map[string]any{"overlap_seconds": 604801})

	// Changes want the version; switching off stops tokens at once.
	tag := ada.want(http.StatusOK, "GET", one, nil).Header.Get("ETag")
	ada.want(http.StatusPreconditionRequired, "PATCH", one, map[string]any{"enabled": false})
	ada.want(http.StatusPreconditionFailed, "PATCH", one, map[string]any{"enabled": false}, "If-Match", `"v1"`)
	tag = ada.want(http.StatusOK, "PATCH", one, map[string]any{"enabled": false}, "If-Match", tag).Header.Get("ETag")
	c.want(http.StatusUnauthorized, "GET", "/v1/hubs/"+r.hub["bio"], nil)
	if got := r.tokenOf(id, secret); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	tag = ada.want(http.StatusOK, "PATCH", one, map[string]any{"enabled": true}, "If-Match", tag).Header.Get("ETag")
	c.want(http.StatusOK, "GET", "/v1/hubs/"+r.hub["bio"], nil)
	if p := ada.want(http.StatusBadRequest, "PATCH", one, map[string]any{"redirect_uris": []string{"javascript:alert(1)"}}, "If-Match", tag).problem(t); (*p.Errors)[0].Pointer != "/redirect_uris/0" {
		t.Errorf("%+v", p)
	}

	// A machine with clients:admin manages clients no stronger than itself; without, it does not.
	c.want(http.StatusCreated, "POST", base, map[string]any{"name": "Weak", "type": "machine", "scopes": []string{"media:read"}})
	c.want(http.StatusForbidden, "POST", base, map[string]any{"name": "Strong", "type": "machine", "scopes": []string{"connections:admin"}})
	r.client(r.hub["bio"], gateway.ScopeMediaRead).want(http.StatusForbidden, "GET", base, nil)

	// Elsewhere it does not exist.
	for _, path := range []string{one, "/v1/hubs/" + r.hub["other"] + "/clients/" + id, "/v1/hubs/" + r.hub["other"] + "/clients/cli_unknown"} {
		eve.want(http.StatusNotFound, "GET", path, nil)
		eve.want(http.StatusNotFound, "DELETE", path, nil)
		eve.want(http.StatusNotFound, "POST", path+"/secret", map[string]any{"overlap_seconds": 0})
	}
	r.signIn("pat@example.org").want(http.StatusForbidden, "GET", base, nil)

	// Private keys are refused and not repeated, public ones kept; such a client has no secret.
	key := map[string]any{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "one"}
	input = map[string]any{"name": "With a key", "type": "web", "scopes": []string{"media:read"}, "redirect_uris": []string{"https://app.example.org/cb"}, "jwks": map[string]any{"keys": []any{key}}}
	var keyed openapi.OAuthClientSecret
	ada.want(http.StatusCreated, "POST", base, input).into(t, &keyed)
	if keyed.Secret != nil || keyed.Client.AuthMethod != "private_key_jwt" || keyed.Client.Jwks == nil {
		t.Errorf("%+v", keyed)
	}
	key["d"] = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
	if got := ada.want(http.StatusBadRequest, "POST", base, input); got.problem(t).Code != "private_key" || strings.Contains(string(got.body), "nWGxne") || strings.Contains(r.log.String(), "nWGxne") {
		t.Errorf("%s", got.body)
	}

	ada.want(http.StatusNoContent, "DELETE", one, nil)
	ada.want(http.StatusNotFound, "GET", one, nil)
	c.want(http.StatusUnauthorized, "GET", "/v1/hubs/"+r.hub["bio"], nil)
}
