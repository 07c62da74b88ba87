package api_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"isthmus/gateway"
	"isthmus/openapi"
	"isthmus/store"
	"isthmus/store/storetest"
)

// An admin adds a receiver, sees its secret once, tests it, looks at the log and sends again; nobody
// else may, and to another hub it does not exist. Workers are played by hand.
func TestWebhooks(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		r := newRigOn(t, db)
		type message struct {
			header http.Header
			uri    string
			body   []byte
		}
		got := make(chan message, 8)
		receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
			body, _ := io.ReadAll(q.Body)
			got <- message{q.Header.Clone(), q.RequestURI, body}
		}))
		defer receiver.Close()
		ada, pat, eve := r.signIn("ada@example.org"), r.signIn("pat@example.org"), r.signIn("eve@example.org")
		hooks, theirs := "/v1/hubs/"+r.hub["bio"]+"/webhooks", "/v1/hubs/"+r.hub["other"]+"/webhooks"
		const tail = "/in/?token=canary"

		body := map[string]any{"url": receiver.URL + tail, "events": []string{"upload.*"}}
		var made openapi.WebhookCreated
		ada.want(201, "POST", hooks, body).into(t, &made)
		w := made.Webhook
		if !strings.HasPrefix(made.Secret, "whsec_") || w.URL != receiver.URL+tail || w.State != openapi.WebhookStateEnabled {
			t.Fatalf("%+v", made)
		}
		one := hooks + "/" + w.ID
		for _, path := range []string{hooks, one} {
			if a := ada.want(200, "GET", path, nil); strings.Contains(string(a.body), "whsec_") || !strings.Contains(string(a.body), w.ID) {
				t.Errorf("%s: %s", path, a.body)
			}
		}
		for url, code := range map[string]string{
			"https://example.org/x#y": "webhook_url_fragment", "http://8.8.8.8/x": "webhook_url_not_https", "https://10.0.0.1/x": "webhook_url_internal",
		} {
			if p := ada.want(400, "POST", hooks, map[string]any{"url": url, "events": []string{"*"}}).problem(t); p.Code != code {
				t.Errorf("%s: %+v", url, p)
			}
		}
		if p := ada.want(400, "POST", hooks, map[string]any{"url": receiver.URL, "events": []string{"upload.redy"}}).problem(t); p.Code != "event_unknown" {
			t.Errorf("%+v", p)
		}

		// Changes, as a merge patch or as plain JSON, want the newest version.
		ada.want(428, "PATCH", one, map[string]any{"description": "x"})
		for i, kind := range []string{"application/merge-patch+json", "application/json"} {
			before := w
			a := ada.want(200, "PATCH", one, fmt.Sprintf(`{"description":"number %d"}`, i), "Content-Type", kind, "If-Match", w.Etag)
			if a.into(t, &w); w.Description != fmt.Sprintf("number %d", i) || w.URL != before.URL || len(w.Events) != 1 {
				t.Errorf("%s: %s", kind, a.body)
			}
			ada.want(412, "PATCH", one, `{"description":"late"}`, "Content-Type", kind, "If-Match", before.Etag)
		}
		ada.want(415, "PATCH", one, `description=x`, "Content-Type", "text/plain", "If-Match", w.Etag)

		// The test event arrives, signed; sent again it has the same id.
		var d openapi.WebhookDelivery
		ada.want(202, "POST", one+"/test", nil).into(t, &d)
		check, err := standardwebhooks.NewWebhook(made.Secret)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := r.hooks.RunDelivery(t.Context(), d.ID); err != nil {
				t.Fatal(err)
			}
			m := <-got
			if err := check.Verify(m.body, m.header); err != nil || m.header.Get("Webhook-Id") != d.ID || m.uri != tail || !strings.Contains(string(m.body), `"webhook.test"`) {
				t.Errorf("%v %s %s", err, m.uri, m.body)
			}
			var log openapi.WebhookDeliveryPage
			ada.want(200, "GET", one+"/deliveries", nil).into(t, &log)
			if len(log.Items) != 1 || log.Items[0].ID != d.ID || log.Items[0].State != openapi.WebhookDeliveryStateDelivered || log.Items[0].Attempts != 1 {
				t.Errorf("%+v", log)
			}
			ada.want(202, "POST", one+"/deliveries/"+d.ID+"/redeliver", nil)
		}

		// Nobody else.
		calls := []struct {
			method, path string
			body         any
			header       []string
		}{
			{"GET", "", nil, nil},
			{"PATCH", "", map[string]any{"enabled": false}, []string{"If-Match", w.Etag}},
			{"POST", "/test", nil, nil},
			{"GET", "/deliveries", nil, nil},
			{"POST", "/deliveries/" + d.ID + "/redeliver", nil, nil},
			{"POST", "/rotate-secret", map[string]any{}, []string{"If-Match", w.Etag}},
			{"POST", "/replay", map[string]any{"from": "2026-01-01T00:00:00Z", "to": "2126-01-01T00:00:00Z"}, nil},
			{"DELETE", "", nil, []string{"If-Match", w.Etag}},
		}
		var other openapi.WebhookCreated
		eve.want(201, "POST", theirs, body).into(t, &other)
		for _, c := range calls {
			if p := eve.want(404, c.method, theirs+"/"+w.ID+c.path, c.body, c.header...).problem(t); p.Code != "webhook_not_found" {
				t.Errorf("another hub, %s %s: %+v", c.method, c.path, p)
			}
			pat.want(403, c.method, one+c.path, c.body, c.header...)
		}
		if p := eve.want(404, "POST", theirs+"/"+other.Webhook.ID+"/deliveries/"+d.ID+"/redeliver", nil).problem(t); p.Code != "delivery_not_found" {
			t.Errorf("%+v", p)
		}
		pat.want(403, "GET", hooks, nil)
		pat.want(403, "POST", hooks, body)
		r.client(r.hub["bio"], gateway.ScopeMediaRead).want(403, "GET", hooks, nil)

		// Another secret: for the overlap both sign, afterwards the new one alone.
		ada.want(200, "GET", one, nil).into(t, &w)
		ada.want(428, "POST", one+"/rotate-secret", map[string]any{})
		var turned openapi.WebhookCreated
		a := ada.want(200, "POST", one+"/rotate-secret", map[string]any{"overlap_hours": 1}, "If-Match", w.Etag, "Idempotency-Key", "turn")
		if a.into(t, &turned); turned.Secret == made.Secret || turned.Webhook.OldSecretUntil == nil {
			t.Errorf("%+v", turned.Webhook)
		}
		if b := ada.want(200, "POST", one+"/rotate-secret", map[string]any{"overlap_hours": 1}, "If-Match", w.Etag, "Idempotency-Key", "turn"); string(b.body) != string(a.body) {
			t.Error("a repeated request turned it again")
		}
		newer, err := standardwebhooks.NewWebhook(turned.Secret)
		if err != nil {
			t.Fatal(err)
		}
		send := func() message {
			t.Helper()
			ada.want(202, "POST", one+"/test", nil).into(t, &d)
			if err := r.hooks.RunDelivery(t.Context(), d.ID); err != nil {
				t.Fatal(err)
			}
			return <-got
		}
		if m := send(); check.Verify(m.body, m.header) != nil || newer.Verify(m.body, m.header) != nil {
			t.Error("one of the secrets does not verify", m.header)
		}
		ada.want(200, "POST", one+"/rotate-secret", map[string]any{"overlap_hours": 0}, "If-Match", turned.Webhook.Etag).into(t, &turned)
		newest, err := standardwebhooks.NewWebhook(turned.Secret)
		if err != nil {
			t.Fatal(err)
		}
		if m := send(); newest.Verify(m.body, m.header) != nil || newer.Verify(m.body, m.header) == nil || check.Verify(m.body, m.header) == nil {
			t.Error("the wrong secrets verify", m.header)
		}

		ada.want(428, "DELETE", one, nil)
		ada.want(412, "DELETE", one, nil, "If-Match", w.Etag)
		ada.want(200, "GET", one, nil).into(t, &w)
		ada.want(204, "DELETE", one, nil, "If-Match", w.Etag)
		ada.want(404, "DELETE", one, nil, "If-Match", w.Etag)
		ada.want(404, "GET", one, nil)
		if log := r.log.String(); strings.Contains(log, made.Secret) || strings.Contains(log, turned.Secret) || strings.Contains(log, "canary") {
			t.Error("a secret is in the log")
		}
	})
}
