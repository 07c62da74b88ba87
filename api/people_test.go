package api_test

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"isthmus/gateway"
	"isthmus/integrations/spaces/demo"
	"isthmus/openapi"
	"isthmus/store"
	"isthmus/store/storetest"
)

// member finds somebody in the list of a hub.
func (c *caller) member(hub, email string) openapi.Member {
	c.r.t.Helper()
	var page openapi.MemberPage
	c.want(200, "GET", hub+"/members", nil).into(c.r.t, &page)
	for _, m := range page.Items {
		if m.Email == email {
			return m
		}
	}
	c.r.t.Fatalf("%s is no member", email)
	return openapi.Member{}
}

func TestSuspensionOverHTTP(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		r := newRigOn(t, db)
		ada, pat := r.signIn("ada@example.org"), r.signIn("pat@example.org")
		hub := "/v1/hubs/" + r.hub["bio"]
		m := ada.member(hub, "pat@example.org")
		pat.want(200, "GET", hub, nil)

		// A stream is open when it happens, and ends of itself.
		req, err := http.NewRequestWithContext(t.Context(), "GET", r.base+"/v1/events?hub="+r.hub["bio"], nil)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := pat.http.Do(req)
		if err != nil || stream.StatusCode != 200 {
			t.Fatal(stream, err)
		}
		lines := make(chan string, 100)
		go func() {
			defer close(lines)
			for s := bufio.NewScanner(stream.Body); s.Scan(); {
				lines <- s.Text()
			}
		}()
		<-lines

		pat.want(403, "PATCH", hub+"/members/"+m.ID, map[string]any{"suspended": true})
		ada.want(200, "PATCH", hub+"/members/"+m.ID, map[string]any{"suspended": true})
		told := false
		for line := range lines { // until the stream ends
			told = told || strings.Contains(line, "member.suspended")
		}
		_ = stream.Body.Close()
		if !told {
			t.Error("the listener was not told why")
		}
		pat.want(401, "GET", "/v1/me", nil) // no other hub is left to Pat
		if got := ada.member(hub, "pat@example.org"); !got.Suspended || got.Held == nil {
			t.Errorf("%+v", got)
		}
		again := r.signIn("pat@example.org")
		again.want(404, "GET", hub, nil)
		ada.want(200, "PATCH", hub+"/members/"+m.ID, map[string]any{"suspended": false})
		again.want(200, "GET", hub, nil)

		// The platform's way: a machine client, by issuer and subject.
		bot := r.client(r.hub["bio"], gateway.ScopeMembersAdmin)
		subject := map[string]any{"subject": demo.Subject("pat@example.org"), "reason": "left"}
		bot.want(200, "POST", hub+"/members/suspend", subject)
		again.want(401, "GET", "/v1/me", nil)
		bot.want(404, "POST", hub+"/members/suspend", map[string]any{"subject": "nobody"})
		bot.want(404, "POST", "/v1/hubs/"+r.hub["free"]+"/members/suspend", subject)
		bot.want(200, "POST", hub+"/members/reinstate", map[string]any{"subject": subject["subject"]})
		bot.want(204, "DELETE", hub+"/members/"+m.ID, nil)
		bot.want(204, "DELETE", hub+"/members/"+m.ID, nil)
		r.client(r.hub["bio"], gateway.ScopeMappingsAdmin).want(403, "DELETE", hub+"/members/"+m.ID, nil)
		if p := ada.want(409, "PATCH", hub+"/members/"+ada.member(hub, "ada@example.org").ID, map[string]any{"suspended": true}).problem(t); p.Code != "not_yourself" {
			t.Error(p.Code)
		}
	})
}

func TestIdentityProvidersOverHTTP(t *testing.T) {
	r := newRig(t)
	ada, pat := r.signIn("ada@example.org"), r.signIn("pat@example.org")
	if err := r.operators.Ensure(t.Context(), r.base+"/demo-idp", demo.Subject("ada@example.org"), "Ada"); err != nil {
		t.Fatal(err)
	}
	const all = "/v1/operator/identity-providers"
	pat.want(403, "GET", all, nil)
	r.client(r.hub["bio"], gateway.ScopeHubAdmin).want(403, "GET", all, nil)
	var ways openapi.SignIns
	r.anonymous().want(200, "GET", "/v1/sign-in", nil).into(t, &ways)
	if len(ways.Items) != 1 || ways.Items[0].LoginURL != "/auth/login?provider=idp_demo" {
		t.Fatalf("%+v", ways)
	}

	// The demo's own, as another client of it.
	body := map[string]any{"issuer": "http://127.0.0.1:1", "client_id": "isthmus", "client_secret": "not-to-be-shown", "name": "Other"}
	a := ada.want(201, "POST", all, body)
	var p openapi.IdentityProvider
	a.into(t, &p)
	one := a.Header.Get("Location")
	if a.Header.Get("ETag") != p.Etag || one != all+"/"+p.ID || strings.Contains(string(a.body), "not-to-be-shown") || !p.HasSecret {
		t.Fatalf("%s", a.body)
	}
	ada.want(409, "POST", all, body)
	ada.want(400, "POST", all, map[string]any{"issuer": "not an issuer", "client_id": "x"})
	ada.want(428, "PATCH", one, map[string]any{"name": "New"})
	ada.want(412, "PATCH", one, map[string]any{"name": "New"}, "If-Match", `"v99"`)
	ada.want(200, "PATCH", one, map[string]any{"name": "New"}, "If-Match", p.Etag)
	if problem := ada.want(409, "PATCH", all+"/idp_demo", map[string]any{"name": "New"}, "If-Match", `"v1"`).problem(t); problem.Code != "provider_fixed" {
		t.Error(problem.Code)
	}
	var d openapi.IdentityProviderDiagnosis
	ada.want(200, "POST", one+"/verify", nil).into(t, &d)
	if d.Ok || len(d.Checks) != 1 || d.Checks[0].Step != "discovery" || d.Checks[0].Fix == nil {
		t.Errorf("nobody listens there: %+v", d)
	}
	ada.want(200, "POST", all+"/idp_demo/verify", nil).into(t, &d)
	if !d.Ok {
		t.Errorf("the demo: %+v", d)
	}
	var got openapi.ClaimsResult
	ada.want(200, "POST", one+"/try-claims", map[string]any{
		"claims":  map[string]any{"sub": "s1", "groups": []string{"lab"}, "level": "boss"},
		"mapping": map[string]any{"hubs": "groups", "role_claim": "level", "roles": map[string]string{"boss": "admin"}},
	}).into(t, &got)
	if len(got.Hubs) != 1 || got.Hubs[0].Role != openapi.RoleAdmin || got.MapsByEmail {
		t.Errorf("%+v", got)
	}

	// Webhooks: signed with a secret that is shown once.
	var hook openapi.IdentityWebhookSecret
	ada.want(201, "POST", one+"/webhook-secret", nil).into(t, &hook)
	signer, err := standardwebhooks.NewWebhook(hook.Secret)
	if err != nil {
		t.Fatal(err)
	}
	text, now := `{"type":"member.left","data":{"subject":"nobody"}}`, time.Now()
	signature, err := signer.Sign("msg_1", now, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	headers := []string{"Content-Type", "application/json", "webhook-id", "msg_1", "webhook-timestamp", strconv.FormatInt(now.Unix(), 10), "webhook-signature", signature}
	r.anonymous().want(204, "POST", hook.URL, text, headers...)
	r.anonymous().want(403, "POST", hook.URL, text+" ", headers...)
	r.anonymous().want(403, "POST", r.base+"/v1/hooks/identity/idp_demo", text, headers...)
	r.anonymous().want(403, "POST", r.base+"/v1/hooks/identity/idp_unknown", text, headers...)

	r.anonymous().want(200, "GET", "/v1/sign-in", nil).into(t, &ways)
	if len(ways.Items) != 2 {
		t.Errorf("%+v", ways)
	}
	if a := r.anonymous().want(302, "GET", "/auth/login?next=/account/data", nil); a.Header.Get("Location") != "/sign-in?next=%2Faccount%2Fdata" {
		t.Error("several: to choose, not", a.Header.Get("Location"))
	}
	ada.want(204, "DELETE", one, nil)
	ada.want(404, "GET", one, nil)
	if strings.Contains(r.log.String(), "not-to-be-shown") || strings.Contains(r.log.String(), hook.Secret) {
		t.Error("a secret is in the log")
	}
}

func TestPersonalDataOverHTTP(t *testing.T) {
	r := newRig(t)
	ada, pat := r.signIn("ada@example.org"), r.signIn("pat@example.org")
	hub := "/v1/hubs/" + r.hub["bio"]
	m := ada.member(hub, "pat@example.org")
	for who, path := range map[*caller]string{pat: "/v1/me/export", ada: hub + "/members/" + m.ID + "/export"} {
		a := who.want(200, "GET", path, nil)
		if !strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment") || !strings.Contains(string(a.body), "pat@example.org") {
			t.Errorf("%s: %s %s", path, a.Header.Get("Content-Disposition"), a.body)
		}
	}
	r.client(r.hub["bio"], gateway.ScopeMembersAdmin).want(403, "GET", "/v1/me/export", nil)
	pat.want(403, "GET", hub+"/members/"+m.ID+"/export", nil)

	var preview openapi.ErasurePreview
	pat.want(200, "GET", "/v1/me/erasure", nil).into(t, &preview)
	if preview.Confirm != "pat@example.org" || len(preview.Items) < 10 {
		t.Errorf("%+v", preview)
	}
	pat.want(400, "POST", "/v1/me/erasure", map[string]any{"confirm": "yes"})
	var begun openapi.Erasures
	pat.want(202, "POST", "/v1/me/erasure", map[string]any{"confirm": "pat@example.org"}).into(t, &begun)
	pat.want(401, "GET", "/v1/me", nil)
	if len(begun.Items) != 1 || begun.Items[0].State != openapi.ErasureStateRunning {
		t.Fatalf("%+v", begun)
	}
	ada.want(404, "GET", hub+"/members/"+m.ID, nil)
	if err := r.people.RunErasure(t.Context(), begun.Items[0].ID); err != nil {
		t.Fatal(err)
	}
	var e openapi.Erasure
	ada.want(200, "GET", hub+"/erasures/"+begun.Items[0].ID, nil).into(t, &e)
	if e.State != openapi.ErasureStateDone || e.FinishedAt == nil {
		t.Errorf("%+v", e)
	}
	if again := ada.member(hub, "ada@example.org"); again.Suspended {
		t.Error("somebody else was touched")
	}
	r.signIn("pat@example.org")
	if now := ada.member(hub, "pat@example.org"); now.ID == m.ID {
		t.Error("a later sign-in must begin anew")
	}
}
