package spaces

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"isthmus/gateway"
)

// backLogoutEvent is the member of "events" that makes a token a log-out (OpenID Connect Back-Channel
// Logout 1.0, §2.4).
const backLogoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// backLogout ends the browser sessions that the provider's log-out token names.
func (s *SignIn) backLogout(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 2*maxToken)
	err := s.cfg.Verifier.loggedOut(r.Context(), s.cfg.People, r.PostFormValue("logout_token"))
	switch c := gateway.CodeOf(err); c {
	case "":
		w.WriteHeader(http.StatusOK)
	case gateway.Unauthenticated, gateway.Invalid:
		s.cfg.Log.WarnContext(r.Context(), "log-out not taken", "error", err)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_request"}`)) // the provider hung up
	default:
		s.cfg.Log.ErrorContext(r.Context(), "log-out not done", "error", err)
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func (v *Verifier) loggedOut(ctx context.Context, people *gateway.People, token string) error {
	p, claims, err := v.verify(ctx, token, func(typ string, claims map[string]any) bool {
		events, _ := claims["events"].(map[string]any)
		_, says := events[backLogoutEvent].(map[string]any)
		return (typ == typeLogout || typ == "jwt" || typ == "") && says && !has(claims, "nonce")
	})
	if err != nil {
		return err
	}
	text := func(name string) string { t, _ := claims[name].(string); return t }
	if text("jti") == "" || text("sub") == "" && text("sid") == "" {
		return invalid(errors.New("the log-out names nobody, or has no id"))
	}
	return people.Told(ctx, p, gateway.ProviderWord{
		ID: "log-out " + text("jti"), Type: gateway.WordSignedOut, At: gateway.NumericDate(claims["iat"]), Subject: text("sub"), SessionID: text("sid"),
	})
}

// Heard takes a webhook of a provider, signed as Standard Webhooks wants it:
//
//	{"type": "member.left", "timestamp": "2026-11-22T10:00:00Z", "data": {"subject": "s1", "hub": "h1"}}
//
// Types are those of gateway.ProviderWord; without a hub all of the person's hubs are meant. Forbidden
// with reason "webhook_refused" when it is not signed right, whatever else is wrong; Invalid when it
// says something that we do not understand. A repeated one does nothing.
func (v *Verifier) Heard(ctx context.Context, people *gateway.People, providerID string, header http.Header, body []byte) error {
	refused := gateway.E(gateway.Forbidden, "webhook_refused", "This webhook is not taken.").
		Next("Check the address, the time and the signing secret; an operator makes a secret for the identity provider.")
	p, err := v.Providers.Open(ctx, providerID)
	if err != nil && gateway.CodeOf(err) != gateway.NotFound {
		return err
	}
	secret := p.Webhook
	known := err == nil && secret != ""
	if !known {
		secret = gateway.Secret(gateway.NewToken()[:48]) // nobody's: the same work is done
	}
	hook, err := standardwebhooks.NewWebhook(secret.Reveal())
	if err != nil {
		return refused.Because(err)
	}
	if err := hook.Verify(body, header); err != nil || !known {
		return refused.Because(err)
	}
	var said struct {
		Type      string    `json:"type"`
		Timestamp time.Time `json:"timestamp"`
		Data      struct {
			Subject string `json:"subject"`
			Hub     string `json:"hub"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return gateway.E(gateway.Invalid, "webhook_malformed", "The webhook's body is not understood.").
			Next("Send {\"type\", \"timestamp\", \"data\": {\"subject\", \"hub\"}}.").Because(err)
	}
	return people.Told(ctx, p.IdentityProvider, gateway.ProviderWord{
		ID: header.Get(standardwebhooks.HeaderWebhookID), Type: said.Type, At: said.Timestamp, Subject: said.Data.Subject, HubID: said.Data.Hub,
	})
}
