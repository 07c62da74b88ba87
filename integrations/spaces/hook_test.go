package spaces

import (
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// told sends a webhook as the platform would.
func (s *site) told(t *testing.T, id string, at time.Time, body string, change func(http.Header)) error {
	t.Helper()
	hook, err := standardwebhooks.NewWebhook(hookSecret)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := hook.Sign(id, at, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", unix(at))
	h.Set("webhook-signature", signature)
	if change != nil {
		change(h)
	}
	return s.verifier.Heard(t.Context(), s.people, "idp_a", h, []byte(body))
}

func unix(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

func TestPlatformTellsWhoLeft(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s, i := newSiteOn(t, db), newIssuer(t)
		p := s.fix(i.url, "idp_a", func(p *gateway.OpenedProvider) { p.Webhook = hookSecret })
		s.fix("https://other.example", "idp_b", nil) // has no secret
		id := gateway.Identity{Issuer: p.Issuer, Subject: "s1", Email: "ada@example.org", EmailVerified: true, Name: "Ada", Memberships: []gateway.Membership{
			{HubExternalID: "north", Role: gateway.RoleAdmin}, {HubExternalID: "south", Role: gateway.RoleParticipant},
		}}
		in, err := s.hubs.SignIn(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		ses := gateway.Session{Issuer: id.Issuer, Subject: id.Subject}
		hubs := func() int {
			t.Helper()
			b, err := s.hubs.Belongings(t.Context(), id.Issuer, id.Subject)
			if err != nil {
				t.Fatal(err)
			}
			return len(b)
		}
		now := time.Now()
		left := `{"type":"member.left","timestamp":"` + now.UTC().Format(time.RFC3339Nano) + `","data":{"subject":"s1","hub":"north"}}`

		// Nothing but a right signature, of now, from this provider.
		for name, change := range map[string]func(http.Header){
			"no signature":      func(h http.Header) { h.Del("webhook-signature") },
			"wrong signature":   func(h http.Header) { h.Set("webhook-signature", "v1,AAAA") },
			"another id":        func(h http.Header) { h.Set("webhook-id", "msg_other") },
			"another time":      func(h http.Header) { h.Set("webhook-timestamp", unix(now.Add(-time.Minute))) },
			"no time":           func(h http.Header) { h.Del("webhook-timestamp") },
			"unknown version":   func(h http.Header) { h.Set("webhook-signature", "v9"+h.Get("webhook-signature")[2:]) },
			"empty everything":  func(h http.Header) { clear(h) },
			"signature of none": func(h http.Header) { h.Set("webhook-signature", "v1,") },
		} {
			if err := s.told(t, "msg_0", now, left, change); gateway.CodeOf(err) != gateway.Forbidden || !gateway.IsReason(err, "webhook_refused") {
				t.Errorf("%s: %v", name, err)
			}
		}
		gatewaytest.Want(t, s.told(t, "msg_0", now.Add(-6*time.Minute), left, nil), gateway.Forbidden, "webhook_refused")
		gatewaytest.Want(t, s.told(t, "msg_0", now.Add(6*time.Minute), left, nil), gateway.Forbidden, "webhook_refused")
		for _, provider := range []string{"idp_b", "idp_unknown"} {
			h := http.Header{}
			gatewaytest.Want(t, s.verifier.Heard(t.Context(), s.people, provider, h, []byte(left)), gateway.Forbidden, "webhook_refused")
		}
		if hubs() != 2 {
			t.Fatal("somebody was suspended by a wrong message")
		}

		if err := s.told(t, "msg_1", now, left, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := s.hubs.ActorIn(t.Context(), ses, in[0].Hub.ID); gateway.CodeOf(err) != gateway.NotFound || hubs() != 1 {
			t.Fatal(err, hubs())
		}

		// A token from before does not bring them back; a newer one does; then the same message, replayed, does nothing.
		id.IssuedAt = now.Add(-time.Minute)
		if b, err := s.hubs.SignIn(t.Context(), id); err != nil || len(b) != 1 {
			t.Fatal("an old token reinstated", b, err)
		}
		s.clock.add(5 * time.Second)
		id.IssuedAt = now.Add(3 * time.Second)
		if b, err := s.hubs.SignIn(t.Context(), id); err != nil || len(b) != 2 {
			t.Fatal(b, err)
		}
		if err := s.told(t, "msg_1", now, left, nil); err != nil || hubs() != 2 {
			t.Fatal("a replayed message counted", err, hubs())
		}
		// So does a late one: a new message about something older than what is known.
		if err := s.told(t, "msg_2", now, left, nil); err != nil || hubs() != 2 {
			t.Fatal("a late message counted", err, hubs())
		}

		// Without a hub all are meant; suspended stays suspended whatever tokens say, until it is lifted.
		s.clock.add(5 * time.Second)
		all := func(typ string, at time.Duration) string {
			return `{"type":"` + typ + `","timestamp":"` + now.Add(at).UTC().Format(time.RFC3339Nano) + `","data":{"subject":"s1"}}`
		}
		if err := s.told(t, "msg_3", now, all("member.suspended", 5*time.Second), nil); err != nil || hubs() != 0 {
			t.Fatal(err, hubs())
		}
		s.clock.add(5 * time.Second)
		id.IssuedAt = now.Add(12 * time.Second)
		if b, err := s.hubs.SignIn(t.Context(), id); err != nil || len(b) != 0 {
			t.Fatal("a token lifted a suspension", b, err)
		}
		if err := s.told(t, "msg_4", now, all("member.reinstated", 13*time.Second), nil); err != nil || hubs() != 2 {
			t.Fatal(err, hubs())
		}

		// Strangers and other words.
		if err := s.told(t, "msg_5", now, `{"type":"member.left","data":{"subject":"nobody"}}`, nil); err != nil {
			t.Error(err)
		}
		if err := s.told(t, "msg_6", now, `{"type":"member.left","data":{"subject":"s1","hub":"unknown"}}`, nil); err != nil || hubs() != 2 {
			t.Error(err, hubs())
		}
		gatewaytest.Want(t, s.told(t, "msg_7", now, `{"type":"member.promoted","data":{"subject":"s1"}}`, nil), gateway.Invalid, "word_unknown")
		gatewaytest.Want(t, s.told(t, "msg_8", now, `{"type":"member.left","data":{}}`, nil), gateway.Invalid, "word_incomplete")
		gatewaytest.Want(t, s.told(t, "msg_9", now, `not JSON`, nil), gateway.Invalid, "webhook_malformed")
	})
}

func TestBackChannelLogout(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s, i := newSiteOn(t, db), newIssuer(t)
		s.fix(i.url, "idp_a", nil)
		access := &gateway.Access{Store: db, Clock: s.clock.now}
		start := func(subject, sid string) gateway.Session {
			t.Helper()
			_, ses, err := access.StartSession(t.Context(), gateway.Identity{Issuer: i.url, Subject: subject, SessionID: sid})
			if err != nil {
				t.Fatal(err)
			}
			return ses
		}
		events := map[string]any{backLogoutEvent: map[string]any{}}
		token := func(change map[string]any) string {
			c := map[string]any{"iss": i.url, "aud": "isthmus", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(), "jti": gateway.NewToken(), "sub": "s1", "events": events}
			for k, v := range change {
				if v == nil {
					delete(c, k)
				} else {
					c[k] = v
				}
			}
			return sign(t, jose.ES256, i.keys[0], "logout+jwt", c)
		}
		post := func(token string) int {
			t.Helper()
			resp, err := http.PostForm(s.base+BackLogoutPath, url.Values{"logout_token": {token}})
			status, _ := drain(t, resp, err)
			return status
		}
		on := func(ses gateway.Session) bool { return access.Still(t.Context(), ses) == nil }

		laptop, phone, bob := start("s1", "sid-1"), start("s1", "sid-2"), start("s2", "sid-3")
		for name, bad := range map[string]string{
			"nothing":           "",
			"an ID token":       i.token(nil),
			"without the event": token(map[string]any{"events": nil}),
			"another event":     token(map[string]any{"events": map[string]any{"http://schemas.openid.net/event/other": map[string]any{}}}),
			"with a nonce":      token(map[string]any{"nonce": "n"}),
			"without an id":     token(map[string]any{"jti": nil}),
			"about nobody":      token(map[string]any{"sub": nil}),
			"for somebody else": token(map[string]any{"aud": "other"}),
			"expired":           token(map[string]any{"iat": time.Now().Add(-time.Hour).Unix(), "exp": time.Now().Add(-time.Hour).Unix()}),
			"foreign key":       sign(t, jose.ES256, newKey(t, "k1"), "logout+jwt", map[string]any{"iss": i.url, "aud": "isthmus", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(), "jti": "x", "sub": "s1", "events": events}),
		} {
			if status := post(bad); status != http.StatusBadRequest {
				t.Errorf("%s: %d", name, status)
			}
		}
		if !on(laptop) || !on(phone) || !on(bob) {
			t.Fatal("a wrong token signed somebody out")
		}
		if status := post(token(map[string]any{"sid": "sid-1"})); status != http.StatusOK || on(laptop) || !on(phone) || !on(bob) {
			t.Fatal("one session", status)
		}
		all := token(nil)
		if status := post(all); status != http.StatusOK || on(phone) || !on(bob) {
			t.Fatal("all sessions of the person", status)
		}
		again := start("s1", "sid-4")
		if status := post(all); status != http.StatusOK || !on(again) {
			t.Fatal("a replayed log-out ended a new session", status)
		}
		if status := post(token(map[string]any{"sub": nil, "sid": "sid-4"})); status != http.StatusOK || on(again) || !on(bob) {
			t.Fatal("by session alone", status)
		}
	})
}
