package gateway_test

import (
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/secrets"
	"isthmus/store"
	"isthmus/store/storetest"
)

// TestOAuthEnds: what has expired is swept, in an order that the database takes; a hub's clients go with it.
func TestOAuthEnds(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		ctx, clock := t.Context(), gatewaytest.NewClock()
		h := gatewaytest.NewHouse(t, db, clock.Now, "one", gateway.PlanUniversity)
		oauth := &gateway.OAuth{Store: db, Clock: clock.Now, Hubs: &gateway.Hubs{Store: db, Clock: clock.Now}, Attempts: &gateway.Attempts{Clock: clock.Now}}
		c := gateway.Client{
			Row: gateway.Row{ID: gateway.NewID("cli"), HubID: h.Hub.ID}, Name: "App", Type: gateway.ClientNative, AuthMethod: gateway.AuthNone,
			RedirectURIs: []string{"http://127.0.0.1/"}, Scopes: []string{gateway.ScopeLibraryRead},
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(db.Clients().Insert(ctx, &c))
		admin, err := db.Participants().Get(ctx, gateway.Scope(h.Hub.ID), h.Admin.ParticipantID)
		must(err)
		ses := gateway.Session{Issuer: admin.Issuer, Subject: admin.Subject}
		device, user, err := oauth.BeginDevice(ctx, c, nil)
		must(err)
		must(oauth.DecideDevice(ctx, ses, user, "127.0.0.1", h.Hub.ID, true))
		first, err := oauth.RedeemDevice(ctx, c, device.Reveal())
		must(err)
		asked, err := oauth.Begin(ctx, gateway.AuthorizationRequest{ClientID: c.ID, RedirectURI: c.RedirectURIs[0], Scopes: c.Scopes, Challenge: "x"})
		must(err)
		must(oauth.SpendAssertion(ctx, c.ID, "jti", clock.Now().Add(time.Minute)))
		gatewaytest.Want(t, oauth.SpendAssertion(ctx, c.ID, "jti", clock.Now().Add(time.Minute)), gateway.Unauthenticated, "assertion_replayed")
		must(oauth.SpendAssertion(ctx, "cli_other", "jti", clock.Now().Add(time.Minute))) // ids are each client's own

		must(oauth.Sweep(ctx)) // nothing has ended yet
		next, err := oauth.Refresh(ctx, c, first.Refresh.Reveal(), nil)
		must(err)
		clock.Add(15 * 24 * time.Hour) // longer than a token lies unused
		_, err = oauth.Refresh(ctx, c, next.Refresh.Reveal(), nil)
		gatewaytest.Want(t, err, gateway.Invalid, gateway.OAuthInvalidGrant)
		must(oauth.Sweep(ctx))
		_, err = oauth.Asked(ctx, ses, asked.ID)
		gatewaytest.Want(t, err, gateway.NotFound, "request_expired")
		if _, err := db.DeviceCodes().ByUserCode(ctx, "x"); gateway.CodeOf(err) != gateway.NotFound {
			t.Error(err)
		}
		must(oauth.SpendAssertion(ctx, c.ID, "jti", clock.Now().Add(time.Minute))) // forgotten with its assertion
		clock.Add(20 * 24 * time.Hour)
		must(oauth.Sweep(ctx))
		_, err = db.TokenFamilies().Get(ctx, gateway.AnyHub, first.FamilyID)
		gatewaytest.Want(t, err, gateway.NotFound, "")

		// An app goes on without the person for as long as their provider vouches for them: for a day after its
		// last word or, when it can tell by webhook who left, until it does.
		keyring, err := secrets.OpenKeyring(t.TempDir(), true)
		must(err)
		providers := &gateway.IdentityProviders{Store: db, Clock: clock.Now, Sealer: keyring}
		oauth.Hubs.Providers = providers
		issuer, name, op := gatewaytest.Issuer, "isthmus", gateway.Operator{Row: gateway.Row{ID: "opr_1"}}
		p, err := providers.Create(ctx, op, gateway.ProviderChange{Issuer: &issuer, ClientID: &name})
		must(err)
		id := gateway.Identity{Issuer: issuer, Subject: admin.Subject, Memberships: []gateway.Membership{{HubExternalID: "one", Role: gateway.RoleAdmin}}}
		_, err = oauth.Hubs.SignIn(ctx, id)
		must(err)
		device, user, err = oauth.BeginDevice(ctx, c, nil)
		must(err)
		must(oauth.DecideDevice(ctx, ses, user, "127.0.0.1", h.Hub.ID, true))
		first, err = oauth.RedeemDevice(ctx, c, device.Reveal())
		must(err)
		clock.Add(gateway.WordLife - time.Second)
		next, err = oauth.Refresh(ctx, c, first.Refresh.Reveal(), nil)
		must(err)
		clock.Add(time.Second)
		silent := next.Refresh.Reveal()
		_, err = oauth.Refresh(ctx, c, silent, nil)
		gatewaytest.Want(t, err, gateway.Invalid, gateway.OAuthInvalidGrant)
		_, err = oauth.RefreshFamily(ctx, silent)
		gatewaytest.Want(t, err, gateway.NotFound, "token_not_found")
		_, err = oauth.Hubs.SignIn(ctx, id) // the person passed by: the same token goes on
		must(err)
		next, err = oauth.Refresh(ctx, c, silent, nil)
		must(err)
		clock.Add(3 * gateway.WordLife)
		_, _, err = providers.MakeWebhookSecret(ctx, op, p.ID)
		must(err)
		next, err = oauth.Refresh(ctx, c, next.Refresh.Reveal(), nil)
		must(err)
		must(providers.Delete(ctx, op, p.ID))
		_, err = oauth.Refresh(ctx, c, next.Refresh.Reveal(), nil)
		gatewaytest.Want(t, err, gateway.Invalid, gateway.OAuthInvalidGrant)

		all := gateway.Client{Row: gateway.Row{ID: gateway.NewID("cli")}, Name: "For all hubs", Type: gateway.ClientNative, AuthMethod: gateway.AuthNone}
		must(db.Clients().Insert(ctx, &all))
		must(db.Hubs().Delete(ctx, gateway.AnyHub, h.Hub.ID))
		_, err = db.Clients().Get(ctx, gateway.AnyHub, c.ID)
		gatewaytest.Want(t, err, gateway.NotFound, "")
		if _, err := db.Clients().Get(ctx, gateway.AnyHub, all.ID); err != nil {
			t.Error("a client of all hubs went with one:", err)
		}
	})
}
