package api_test

import (
	"net/http"
	"strings"
	"testing"

	"isthmus/gateway"
	"isthmus/integrations/spaces/demo"
	"isthmus/openapi"
)

func TestOperatorOverTheAPI(t *testing.T) {
	r := newRig(t)
	ada, pat := r.signIn("ada@example.org"), r.signIn("pat@example.org")
	machine := r.client(r.hub["bio"], gateway.AllScopes...)
	hub := "/v1/operator/hubs/" + r.hub["bio"]

	// Nobody is an operator yet, and what exists looks like what does not.
	for _, c := range []*caller{ada, pat} {
		a := c.want(http.StatusForbidden, "GET", hub, nil)
		b := c.want(http.StatusForbidden, "GET", "/v1/operator/hubs/hub_unknown", nil)
		if a.problem(t).Code != "not_operator" || b.problem(t).Code != "not_operator" {
			t.Errorf("%s %s", a.body, b.body)
		}
	}
	machine.want(http.StatusForbidden, "GET", hub, nil)
	r.anonymous().want(http.StatusUnauthorized, "GET", hub, nil)

	code, _, err := r.operators.NewSetupCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	setup := map[string]any{"code": strings.ToLower(code)}
	machine.want(http.StatusForbidden, "POST", "/v1/operator/setup", setup)
	r.anonymous().want(http.StatusUnauthorized, "POST", "/v1/operator/setup", setup)
	if p := ada.want(http.StatusBadRequest, "POST", "/v1/operator/setup", map[string]any{"code": "wrong"}).problem(t); p.Code != "setup_code_wrong" {
		t.Errorf("%+v", p)
	}
	var op openapi.Operator
	ada.want(http.StatusCreated, "POST", "/v1/operator/setup", setup).into(t, &op)
	if op.You == nil || op.AddedBy != "setup" {
		t.Errorf("%+v", op)
	}
	for _, c := range []*caller{ada, pat} {
		if p := c.want(http.StatusGone, "POST", "/v1/operator/setup", setup).problem(t); p.Code != "setup_done" {
			t.Errorf("%+v", p)
		}
	}
	if strings.Contains(r.log.String(), code) {
		t.Error("the code in the log")
	}
	var me openapi.Me
	ada.want(http.StatusOK, "GET", "/v1/me", nil).into(t, &me)
	if me.Operator == nil || !*me.Operator {
		t.Error("not told in /v1/me")
	}
	machine.want(http.StatusForbidden, "GET", hub, nil)

	// Hubs and plans.
	var page openapi.OperatorHubPage
	ada.want(http.StatusOK, "GET", "/v1/operator/hubs?q=BIOL", nil).into(t, &page)
	if len(page.Items) != 1 || page.Items[0].ID != r.hub["bio"] || page.Items[0].OperatorPlan != "provider" {
		t.Fatalf("%+v", page)
	}
	got := ada.want(http.StatusOK, "GET", hub, nil)
	ada.want(http.StatusPreconditionRequired, "PATCH", hub, map[string]any{"operator_plan": "free"})
	patched := ada.want(http.StatusOK, "PATCH", hub, map[string]any{"operator_plan": "free", "quota_bytes": 1000}, "If-Match", got.Header.Get("ETag"))
	ada.want(http.StatusPreconditionFailed, "PATCH", hub, map[string]any{"operator_plan": "free"}, "If-Match", got.Header.Get("ETag"))
	var h openapi.OperatorHub
	patched.into(t, &h)
	if h.Plan != "free" || h.DowngradedAt == nil || h.QuotaBytes != 1000 || *h.ProviderPlan != "university" {
		t.Errorf("%+v", h)
	}
	r.signIn("ada@example.org") // the provider still says university
	ada.want(http.StatusForbidden, "PUT", "/v1/hubs/"+r.hub["bio"]+"/integrations/kaltura", r.appToken("shared"))
	back := ada.want(http.StatusOK, "GET", hub, nil)
	h = openapi.OperatorHub{}
	ada.want(http.StatusOK, "PATCH", hub, map[string]any{"operator_plan": "provider"}, "If-Match", back.Header.Get("ETag")).into(t, &h)
	if h.Plan != "university" || h.OperatorPlan != "provider" || h.DowngradedAt != nil {
		t.Errorf("%+v", h)
	}
	newHub := map[string]any{"issuer": r.base + "/demo-idp", "external_id": "chem", "name": "Chemistry", "operator_plan": "enterprise"}
	made := ada.want(http.StatusCreated, "POST", "/v1/operator/hubs", newHub)
	ada.want(http.StatusOK, "GET", made.Header.Get("Location"), nil)
	ada.want(http.StatusConflict, "POST", "/v1/operator/hubs", newHub)

	// The operator is nobody in a hub that they are not in.
	ada.want(http.StatusNotFound, "GET", "/v1/hubs/"+r.hub["other"]+"/media?source=kaltura", nil)
	made.into(t, &h)
	ada.want(http.StatusNotFound, "GET", "/v1/hubs/"+h.ID, nil)

	// Apps of all hubs.
	var c openapi.OAuthClientSecret
	ada.want(http.StatusBadRequest, "POST", "/v1/operator/clients", map[string]any{"name": "CLI", "type": "machine", "scopes": []string{"media:read"}})
	ada.want(http.StatusNotFound, "POST", "/v1/operator/clients", map[string]any{"name": "CLI", "type": "native", "scopes": []string{"media:read"}, "hub": "hub_unknown"})
	ada.want(http.StatusCreated, "POST", "/v1/operator/clients", map[string]any{"name": "CLI", "type": "native", "scopes": []string{"media:read"}}).into(t, &c)
	if c.Client.HubID != nil || c.Secret != nil {
		t.Errorf("%+v", c)
	}
	ada.want(http.StatusNotFound, "GET", "/v1/hubs/"+r.hub["bio"]+"/clients/"+c.Client.ID, nil)
	ada.want(http.StatusOK, "PATCH", "/v1/operator/clients/"+c.Client.ID, map[string]any{"name": "Command line"}, "If-Match", c.Client.Etag)
	ada.want(http.StatusCreated, "POST", "/v1/operator/clients", map[string]any{"name": "Sync", "type": "machine", "scopes": []string{"media:read"}, "hub": h.ID}).into(t, &c)
	c = openapi.OAuthClientSecret{Client: c.Client}
	ada.want(http.StatusOK, "POST", "/v1/operator/clients/"+c.Client.ID+"/secret", map[string]any{"overlap_seconds": 0}).into(t, &c)
	r.bearerOf(c.Client.ID, *c.Secret).want(http.StatusOK, "GET", "/v1/hubs/"+h.ID, nil)
	var clients openapi.OAuthClientPage
	ada.want(http.StatusOK, "GET", "/v1/operator/clients", nil).into(t, &clients)
	if len(clients.Items) != 3 { // with the one of this test's machine
		t.Errorf("%d clients", len(clients.Items))
	}
	ada.want(http.StatusOK, "GET", "/v1/operator/clients?hub="+h.ID, nil).into(t, &clients)
	if len(clients.Items) != 1 {
		t.Errorf("%d clients", len(clients.Items))
	}
	ada.want(http.StatusNoContent, "DELETE", "/v1/operator/clients/"+c.Client.ID, nil)
	ada.want(http.StatusNotFound, "DELETE", "/v1/operator/clients/"+c.Client.ID, nil)

	// Further operators.
	ada.want(http.StatusConflict, "DELETE", "/v1/operator/operators/"+op.ID, nil)
	person := map[string]any{"issuer": r.base + "/demo-idp", "subject": demo.Subject("pat@example.org"), "name": "Pat"}
	ada.want(http.StatusCreated, "POST", "/v1/operator/operators", person)
	ada.want(http.StatusConflict, "POST", "/v1/operator/operators", person)
	pat.want(http.StatusOK, "GET", hub, nil)
	pat.want(http.StatusNoContent, "DELETE", "/v1/operator/operators/"+op.ID, nil)
	ada.want(http.StatusForbidden, "GET", hub, nil)
}

func TestSetupCodesCannotBeGuessed(t *testing.T) {
	r := newRig(t)
	ada := r.signIn("ada@example.org")
	if _, _, err := r.operators.NewSetupCode(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if a := ada.do("POST", "/v1/operator/setup", map[string]any{"code": "00000-00000-00000-00000"}); a.StatusCode == http.StatusTooManyRequests {
			if a.Header.Get("Retry-After") == "" {
				t.Error("not told when to come back")
			}
			return
		}
	}
	t.Error("200 guesses were let through")
}
