package gateway_test

import (
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

func ref[T any](v T) *T { return &v }

func TestClientsAreRegistered(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		ctx, clock := t.Context(), gatewaytest.NewClock()
		h := gatewaytest.NewHouse(t, db, clock.Now, "north", gateway.PlanEnterprise)
		other := gatewaytest.NewHouse(t, db, clock.Now, "south", gateway.PlanEnterprise)
		clients := &gateway.Clients{Store: db, Clock: clock.Now}
		access := &gateway.Access{Store: db, Clock: clock.Now}
		read := []string{gateway.ScopeMediaRead}
		draft := gateway.ClientDraft{Name: ref("  LMS\u202e "), Scopes: &read}

		c, secret, err := clients.Create(ctx, h.Admin, gateway.ClientMachine, draft)
		if err != nil || secret == "" || c.Name != "LMS" || c.AuthMethod != gateway.AuthSecret || c.CreatedBy != h.Admin.Subject() || c.HubID != h.Hub.ID {
			t.Fatal(c, err)
		}
		if got, err := access.Client(ctx, c.ID, secret); err != nil || got.ID != c.ID {
			t.Fatal(err)
		}

		// Each type has what it needs and nothing else.
		back, origin := []string{"https://app.example.org/cb"}, []string{"https://app.example.org"}
		for _, bad := range []struct {
			kind  gateway.ClientType
			d     gateway.ClientDraft
			field string
		}{
			{"robot", draft, "/type"},
			{gateway.ClientMachine, gateway.ClientDraft{Scopes: &read}, "/name"},
			{gateway.ClientMachine, gateway.ClientDraft{Name: ref(strings.Repeat("ä", 201)), Scopes: &read}, "/name"},
			{gateway.ClientMachine, gateway.ClientDraft{Name: ref("x")}, "/scopes"},
			{gateway.ClientMachine, gateway.ClientDraft{Name: ref("x"), Scopes: &read, RedirectURIs: &back}, "/redirect_uris"},
			{gateway.ClientMachine, gateway.ClientDraft{Name: ref("x"), Scopes: &read, JWKS: ref(`{"keys":[]}`)}, "/jwks"},
			{gateway.ClientWeb, draft, "/redirect_uris"},
			{gateway.ClientBrowser, draft, "/origins"},
			{gateway.ClientBrowser, gateway.ClientDraft{Name: ref("x"), Scopes: &read, RedirectURIs: &back}, "/origins"},
			{gateway.ClientBrowser, gateway.ClientDraft{Name: ref("x"), Scopes: &read, RedirectURIs: &back, Origins: &origin, JWKS: ref("{}")}, "/jwks"},
		} {
			_, _, err := clients.Create(ctx, h.Admin, bad.kind, bad.d)
			gatewaytest.Want(t, err, gateway.Invalid, "")
			gatewaytest.Explained(t, err)
			if f := gateway.AsError(err).Field; !strings.HasPrefix(f, bad.field) {
				t.Errorf("%s: %s, want %s", bad.kind, f, bad.field)
			}
		}
		b, none, err := clients.Create(ctx, h.Admin, gateway.ClientBrowser, gateway.ClientDraft{Name: ref("Page"), Scopes: &read, RedirectURIs: &back, Origins: &origin})
		if err != nil || none != "" || !b.Public() {
			t.Fatal(b, err)
		}
		_, _, err = clients.RotateSecret(ctx, h.Admin, b.ID, 0)
		gatewaytest.Want(t, err, gateway.Conflict, "no_secret")

		// Changes are made from a version.
		c2, err := clients.Update(ctx, h.Admin, c.ID, c.Version, gateway.ClientDraft{Name: ref("Catalogue")})
		if err != nil || c2.Name != "Catalogue" || len(c2.Scopes) != 1 {
			t.Fatal(c2, err)
		}
		_, err = clients.Update(ctx, h.Admin, c.ID, c.Version, gateway.ClientDraft{Name: ref("Late")})
		gatewaytest.Want(t, err, gateway.Precondition, "stale")

		// Another hub's admin, and everybody else, gets nowhere.
		for name, f := range map[string]func(a gateway.Actor) error{
			"get":    func(a gateway.Actor) error { _, err := clients.Get(ctx, a, c.ID); return err },
			"update": func(a gateway.Actor) error { _, err := clients.Update(ctx, a, c.ID, 2, draft); return err },
			"rotate": func(a gateway.Actor) error { _, _, err := clients.RotateSecret(ctx, a, c.ID, 0); return err },
			"delete": func(a gateway.Actor) error { return clients.Delete(ctx, a, c.ID) },
		} {
			t.Run(name, func(t *testing.T) {
				gatewaytest.Want(t, f(other.Admin), gateway.NotFound, "client_not_found")
				gatewaytest.Want(t, f(h.Ada), gateway.Forbidden, "not_admin")
				gatewaytest.Want(t, f(h.Teacher), gateway.Forbidden, "not_admin")
				gatewaytest.Want(t, f(gatewaytest.Machine(h.Hub, gateway.ScopeMediaRead)), gateway.Forbidden, "insufficient_scope")
				gatewaytest.Want(t, f(gateway.Actor{HubID: h.Hub.ID}), gateway.Forbidden, "")
			})
		}
		if all, err := clients.List(ctx, other.Admin, gateway.Slice{}); err != nil || len(all) != 0 {
			t.Error(all, err)
		}

		// Off and on again.
		off, err := clients.Update(ctx, h.Admin, c.ID, c2.Version, gateway.ClientDraft{Enabled: ref(false)})
		if err != nil || off.DisabledAt == nil {
			t.Fatal(off, err)
		}
		_, err = access.Client(ctx, c.ID, secret)
		gatewaytest.Want(t, err, gateway.Unauthenticated, "invalid_client")
		on, err := clients.Update(ctx, h.Admin, c.ID, off.Version, gateway.ClientDraft{Enabled: ref(true)})
		if err != nil || on.DisabledAt != nil {
			t.Fatal(on, err)
		}
		if _, err := access.Client(ctx, c.ID, secret); err != nil {
			t.Fatal(err)
		}

		// Using a client does not make an admin's change stale.
		if err := db.Clients().SetLastUsed(ctx, c.ID, clock.Now()); err != nil {
			t.Fatal(err)
		}
		if on, err = clients.Update(ctx, h.Admin, c.ID, on.Version, gateway.ClientDraft{Name: ref("Used")}); err != nil {
			t.Fatal(err)
		}
		if got, _ := clients.Get(ctx, h.Admin, c.ID); got.LastUsedAt == nil || !got.LastUsedAt.Equal(clock.Now()) {
			t.Error(got.LastUsedAt)
		}
		if err := clients.Delete(ctx, h.Admin, c.ID); err != nil {
			t.Fatal(err)
		}
		_, err = access.Client(ctx, c.ID, secret)
		gatewaytest.Want(t, err, gateway.Unauthenticated, "invalid_client")
	})
}

func TestSecretsOverlap(t *testing.T) {
	ctx, clock, db := t.Context(), gatewaytest.NewClock(), storetest.SQLite(t)
	h := gatewaytest.NewHouse(t, db, clock.Now, "north", gateway.PlanEnterprise)
	clients := &gateway.Clients{Store: db, Clock: clock.Now}
	access := &gateway.Access{Store: db, Clock: clock.Now}
	c, first, err := clients.Create(ctx, h.Admin, gateway.ClientMachine, gateway.ClientDraft{Name: ref("LMS"), Scopes: &gateway.AllScopes})
	if err != nil {
		t.Fatal(err)
	}
	works := func(when string, secrets map[gateway.Secret]bool) {
		t.Helper()
		for s, want := range secrets {
			if _, err := access.Client(ctx, c.ID, s); (err == nil) != want {
				t.Errorf("%s: %v, want %v", when, err, want)
			}
		}
	}
	rotate := func(overlap time.Duration) gateway.Secret {
		t.Helper()
		_, s, err := clients.RotateSecret(ctx, h.Admin, c.ID, overlap)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	second := rotate(time.Hour)
	works("both", map[gateway.Secret]bool{first: true, second: true, "": false})
	clock.Add(time.Hour - time.Microsecond)
	works("still both", map[gateway.Secret]bool{first: true, second: true})
	clock.Add(time.Microsecond)
	works("the first ended", map[gateway.Secret]bool{first: false, second: true})
	third := rotate(gateway.MaxSecretOverlap)
	fourth := rotate(time.Hour)
	works("two at most", map[gateway.Secret]bool{second: false, third: true, fourth: true})
	fifth := rotate(0)
	works("at once", map[gateway.Secret]bool{third: false, fourth: false, fifth: true})
	for _, d := range []time.Duration{-time.Second, gateway.MaxSecretOverlap + 1} {
		_, _, err := clients.RotateSecret(ctx, h.Admin, c.ID, d)
		gatewaytest.Want(t, err, gateway.Invalid, "overlap")
	}
	works("refused rotations change nothing", map[gateway.Secret]bool{fifth: true})
}

// A token with clients:admin gives nobody more than it has.
func TestClientsGiveNoMoreThanTheyHave(t *testing.T) {
	ctx, clock, db := t.Context(), gatewaytest.NewClock(), storetest.SQLite(t)
	h := gatewaytest.NewHouse(t, db, clock.Now, "north", gateway.PlanEnterprise)
	clients := &gateway.Clients{Store: db, Clock: clock.Now}
	strong, _, err := clients.Create(ctx, h.Admin, gateway.ClientMachine, gateway.ClientDraft{Name: ref("Strong"), Scopes: &gateway.AllScopes})
	if err != nil {
		t.Fatal(err)
	}
	weak := gatewaytest.Machine(h.Hub, gateway.ScopeClientsAdmin, gateway.ScopeMediaRead)
	token := h.Admin // an admin through an app, whose token is narrower than their role
	token.ClientID, token.Scopes = "cli_app", weak.Scopes
	for _, a := range []gateway.Actor{weak, token} {
		_, _, err := clients.Create(ctx, a, gateway.ClientMachine, gateway.ClientDraft{Name: ref("More"), Scopes: &[]string{gateway.ScopeMediaRead, gateway.ScopeConnectionsAdmin}})
		gatewaytest.Want(t, err, gateway.Forbidden, "scope_beyond")
		made, _, err := clients.Create(ctx, a, gateway.ClientMachine, gateway.ClientDraft{Name: ref("As much"), Scopes: &weak.Scopes})
		if err != nil {
			t.Fatal(err)
		}
		_, err = clients.Update(ctx, a, made.ID, made.Version, gateway.ClientDraft{Scopes: &gateway.AllScopes})
		gatewaytest.Want(t, err, gateway.Forbidden, "scope_beyond")
		_, _, err = clients.RotateSecret(ctx, a, strong.ID, 0)
		gatewaytest.Want(t, err, gateway.Forbidden, "scope_beyond")
		_, err = clients.Update(ctx, a, strong.ID, strong.Version, gateway.ClientDraft{Name: ref("Mine")})
		gatewaytest.Want(t, err, gateway.Forbidden, "scope_beyond")
	}
}
