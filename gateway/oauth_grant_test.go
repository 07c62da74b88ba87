package gateway_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

// TestGrants: what a person allows and takes back, on pages and by the hub's platform.
func TestGrants(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		ctx, clock := t.Context(), gatewaytest.NewClock()
		h := gatewaytest.NewHouse(t, db, clock.Now, "one", gateway.PlanUniversity)
		oauth := &gateway.OAuth{Store: db, Clock: clock.Now, Hubs: &gateway.Hubs{Store: db, Clock: clock.Now}, Attempts: &gateway.Attempts{Clock: clock.Now}}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		const read, write = gateway.ScopeLibraryRead, gateway.ScopeLibraryWrite
		app := func(kind gateway.ClientType, redirects ...string) gateway.Client {
			t.Helper()
			c := gateway.Client{
				Row: gateway.Row{ID: gateway.NewID("cli"), HubID: h.Hub.ID}, Name: "App", Type: kind, AuthMethod: gateway.AuthSecret,
				RedirectURIs: redirects, Scopes: []string{read, write},
			}
			must(db.Clients().Insert(ctx, &c))
			return c
		}
		session := func(a gateway.Actor) gateway.Session {
			t.Helper()
			p, err := db.Participants().Get(ctx, gateway.Scope(h.Hub.ID), a.ParticipantID)
			must(err)
			return gateway.Session{Issuer: p.Issuer, Subject: p.Subject}
		}
		begin := func(c gateway.Client, scopes ...string) string {
			t.Helper()
			r, err := oauth.Begin(ctx, gateway.AuthorizationRequest{ClientID: c.ID, RedirectURI: "https://app.example/", Scopes: scopes, Challenge: "x"})
			must(err)
			return r.ID
		}
		consent := func(c gateway.Client, ses gateway.Session, scopes ...string) {
			t.Helper()
			a, err := oauth.Decide(ctx, ses, begin(c, scopes...), h.Hub.ID, true)
			if err != nil || a.Code == "" {
				t.Fatalf("consent: %+v, %v", a, err)
			}
		}
		identity := func(name string) gateway.Identity {
			id := gatewaytest.Identity(name, "one", gateway.PlanUniversity, gateway.RoleParticipant)
			id.Subject += "-one"
			return id
		}

		// Several questions of one app are answered at once: each gets what it asked for.
		web, native := app(gateway.ClientWeb, "https://app.example/"), app(gateway.ClientNative)
		ada, bob := session(h.Ada), session(h.Bob)
		var wg sync.WaitGroup
		gate := make(chan struct{})
		for range 6 {
			asked := begin(web, read)
			_, user, err := oauth.BeginDevice(ctx, native, nil)
			must(err)
			wg.Go(func() {
				<-gate
				if a, err := oauth.Decide(ctx, ada, asked, h.Hub.ID, true); err != nil || a.Code == "" {
					t.Errorf("one of several consents: %+v, %v", a, err)
				}
			})
			wg.Go(func() {
				<-gate
				if err := oauth.DecideDevice(ctx, ada, user, "127.0.0.1", h.Hub.ID, true); err != nil {
					t.Errorf("one of several devices: %v", err)
				}
			})
		}
		close(gate)
		wg.Wait()

		// An exchange widens what the app may do, never what the person consented to.
		remembered := func(c gateway.Client, ses gateway.Session, scopes ...string) bool {
			t.Helper()
			hub, err := oauth.Remembered(ctx, ses, c, scopes)
			must(err)
			return hub != ""
		}
		got, err := oauth.Exchange(ctx, web, identity("ada"), []string{read, write})
		must(err)
		if !slices.Equal(got.Scopes, []string{read, write}) || !remembered(web, ada, read) || remembered(web, ada, read, write) {
			t.Errorf("after an exchange of %v: %v, %v", got.Scopes, remembered(web, ada, read), remembered(web, ada, read, write))
		}
		_, err = oauth.Exchange(ctx, web, identity("bob"), nil)
		must(err)
		if remembered(web, bob, read) {
			t.Error("an exchange is remembered as a consent")
		}
		consent(web, bob, read)
		if !remembered(web, bob, read) || remembered(web, bob, write) {
			t.Error("a consent beside an exchange is not remembered")
		}

		// What was taken back stays so until the person gives it back: where the app asks them, by a new
		// consent, else in their list.
		machine, pages := app(gateway.ClientMachine), app(gateway.ClientWeb)
		mine := func(ses gateway.Session, c gateway.Client) *gateway.Grant {
			t.Helper()
			all, err := oauth.Grants(ctx, ses)
			must(err)
			for _, m := range all {
				if m.Client.ID == c.ID {
					return &m.Grant
				}
			}
			return nil
		}
		for _, way := range []struct {
			name   string
			c      gateway.Client
			ses    gateway.Session
			id     gateway.Identity
			listed bool
		}{
			{"consent", web, ada, identity("ada"), false},
			{"exchange, then consent", web, bob, identity("bob"), true},
			{"exchange", machine, ada, identity("ada"), true},
			{"consent of an app that cannot ask any more", pages, ada, identity("ada"), true},
		} {
			switch way.c.ID {
			case machine.ID:
				_, err := oauth.Exchange(ctx, way.c, way.id, nil)
				must(err)
			case pages.ID:
				consent(way.c, way.ses, read)
			}
			old := mine(way.ses, way.c)
			must(oauth.RevokeGrant(ctx, way.ses, old.ID))
			for range 2 {
				_, err := oauth.Exchange(ctx, way.c, way.id, []string{read})
				gatewaytest.Want(t, err, gateway.Invalid, gateway.OAuthBadRequest)
				gatewaytest.Explained(t, err)
			}
			again := mine(way.ses, way.c)
			if (again != nil) != way.listed {
				t.Errorf("%s: listed after the revocation: %v", way.name, again)
			}
			must(oauth.AllowAgain(ctx, way.ses, old.ID))
			if !way.listed {
				if mine(way.ses, way.c) != nil {
					t.Errorf("%s: allowed without the app asking", way.name)
				}
				consent(way.c, way.ses, read)
			}
			if now := mine(way.ses, way.c); now == nil || now.ID == old.ID || now.RevokedAt != nil {
				t.Errorf("%s: there is no new grant: %+v", way.name, now)
			}
			_, err := oauth.Exchange(ctx, way.c, way.id, []string{read})
			must(err)
		}

		// A refused exchange makes nobody a member of a hub, nor lets anybody in again, but keeps who left out.
		stranger := gatewaytest.Identity("stranger", "two", gateway.PlanUniversity, gateway.RoleAdmin)
		_, err = oauth.Exchange(ctx, machine, stranger, nil)
		gatewaytest.Want(t, err, gateway.Invalid, gateway.OAuthBadRequest)
		stranger.Memberships[0].HubExternalID = h.Hub.ExternalID
		_, err = oauth.Exchange(ctx, machine, stranger, []string{gateway.ScopeHubAdmin})
		gatewaytest.Want(t, err, gateway.Invalid, gateway.OAuthInvalidScope)
		if people, err := db.Participants().BySubject(ctx, gateway.AnyHub, stranger.Issuer, stranger.Subject); err != nil || len(people) != 0 {
			t.Errorf("a refused exchange made a member: %+v, %v", people, err)
		}
		if _, err := db.Hubs().ByExternal(ctx, stranger.Issuer, "two"); gateway.CodeOf(err) != gateway.NotFound {
			t.Errorf("a refused exchange made a hub: %v", err)
		}
		left := identity("ada")
		left.Memberships = []gateway.Membership{{HubExternalID: "two", Plan: gateway.PlanUniversity, Role: gateway.RoleAdmin}}
		_, err = oauth.Exchange(ctx, machine, left, nil)
		gatewaytest.Want(t, err, gateway.Invalid, gateway.OAuthBadRequest)
		people, err := db.Participants().BySubject(ctx, gateway.AnyHub, left.Issuer, left.Subject)
		if err != nil || len(people) != 1 || people[0].SuspendedAt == nil {
			t.Errorf("who left, after a refused exchange: %+v, %v", people, err)
		}
	})
}

// TestRevokedTokens: a revoked token stays so as long as anybody would take it; what a client may not
// have any more is gone from its tokens.
func TestRevokedTokens(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		ctx, clock := t.Context(), gatewaytest.NewClock()
		h := gatewaytest.NewHouse(t, db, clock.Now, "one", gateway.PlanUniversity)
		oauth := &gateway.OAuth{Store: db, Clock: clock.Now}
		access := &gateway.Access{Store: db, Clock: clock.Now}
		c, _, err := access.NewClient(ctx, h.Hub.ID, "App", []string{gateway.ScopeLibraryRead, gateway.ScopeMediaRead})
		if err != nil {
			t.Fatal(err)
		}
		token, err := oauth.ClientToken(ctx, c, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Scopes = []string{gateway.ScopeMediaRead, gateway.ScopeHubAdmin}
		if err := db.Clients().Update(ctx, &c); err != nil {
			t.Fatal(err)
		}
		if left, err := access.Stands(ctx, token.Bearer, token.Scopes); err != nil || !slices.Equal(left, []string{gateway.ScopeMediaRead}) {
			t.Errorf("of a client whose scopes changed: %v, %v", left, err)
		}
		until := clock.Now().Add(gateway.AccessLife)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := oauth.RevokeAccess(context.WithoutCancel(ctx), c, token.Bearer, until); err != nil {
					t.Errorf("revoked at once with others: %v", err)
				}
			})
		}
		wg.Wait()
		clock.Add(gateway.AccessLife + gateway.TokenLeeway + time.Second) // a server whose clock is behind takes it
		if err := oauth.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		_, err = access.Stands(ctx, token.Bearer, token.Scopes)
		gatewaytest.Want(t, err, gateway.Unauthenticated, "invalid_token")
		lines, err := db.Audit().List(ctx, gateway.Scope(h.Hub.ID), gateway.AuditFilter{Action: "token.revoke"}, gateway.Slice{})
		if err != nil || len(lines) != 1 {
			t.Errorf("audited: %s, %v", fmt.Sprint(lines), err)
		}
	})
}
