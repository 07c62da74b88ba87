package gateway_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

func TestSignInFollowsTheIdentityProvider(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		ctx, clock := t.Context(), gatewaytest.NewClock()
		hubs := &gateway.Hubs{Store: db, Clock: clock.Now}
		id := gatewaytest.Identity("ada", "north", gateway.PlanEnterprise, gateway.RoleAdmin)
		id.Memberships = append(id.Memberships, gateway.Membership{HubExternalID: "south", HubName: "South", Plan: gateway.PlanFree, Role: "owner"})
		got, err := hubs.SignIn(ctx, id)
		if err != nil || len(got) != 2 {
			t.Fatal(got, err)
		}
		north, south := got[0], got[1]
		if north.Participant.Role != gateway.RoleAdmin || south.Participant.Role != gateway.RoleParticipant {
			t.Error("an unknown role must be the least one")
		}
		ses := gateway.Session{Issuer: id.Issuer, Subject: id.Subject}
		a, err := hubs.ActorIn(ctx, ses, north.Hub.ID)
		if err != nil || a.ParticipantID != north.Participant.ID || !a.Admin() || !a.EmailVerified || a.Machine() {
			t.Fatal(a, err)
		}

		// Roles, names, plans and the e-mail's state are those of the latest sign-in; ids stay.
		clock.Add(time.Hour)
		id.EmailVerified, id.Email = false, "ada@new.example.org"
		id.Memberships = []gateway.Membership{{HubExternalID: "north", HubName: "North Pole", Plan: gateway.PlanFree, Role: gateway.RoleParticipant}}
		got, err = hubs.SignIn(ctx, id)
		if err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		n := got[0]
		if n.Hub.ID != north.Hub.ID || n.Participant.ID != north.Participant.ID || n.Hub.Name != "North Pole" || n.Participant.Role != gateway.RoleParticipant ||
			n.Participant.EmailVerified || n.Participant.Email != "ada@new.example.org" {
			t.Errorf("%+v", n)
		}
		if n.Hub.DowngradedAt == nil || !n.Hub.DowngradedAt.Equal(clock.Now()) {
			t.Errorf("downgraded at %v", n.Hub.DowngradedAt)
		}

		// South is not named any more: suspended there, and told the same as for a hub that does not exist.
		_, gone := hubs.ActorIn(ctx, ses, south.Hub.ID)
		_, unknown := hubs.ActorIn(ctx, ses, "hub_unknown")
		_, any := hubs.ActorIn(ctx, ses, string(gateway.AnyHub))
		for _, err := range []error{gone, unknown, any} {
			gatewaytest.Want(t, err, gateway.NotFound, "hub_not_found")
			if gateway.AsError(err).Message != gateway.AsError(unknown).Message {
				t.Error("two answers tell the hubs apart")
			}
		}
		if b, err := hubs.Belongings(ctx, id.Issuer, id.Subject); err != nil || len(b) != 1 || b[0].Hub.ID != north.Hub.ID {
			t.Error(b, err)
		}

		// Named again, with a plan that allows integrations: back with the same participant, no grace time running.
		id.Memberships = []gateway.Membership{
			{HubExternalID: "north", Plan: gateway.PlanUniversity, Role: gateway.RoleAdmin},
			{HubExternalID: "south", Plan: gateway.PlanFree},
		}
		if got, err = hubs.SignIn(ctx, id); err != nil {
			t.Fatal(err)
		}
		if got[0].Hub.DowngradedAt != nil || got[0].Hub.Name != "North Pole" {
			t.Errorf("%+v", got[0].Hub)
		}
		if got[1].Participant.ID != south.Participant.ID || got[1].Participant.SuspendedAt != nil || got[1].Hub.DowngradedAt != nil {
			t.Errorf("%+v", got[1])
		}

		// Another provider's hub of the same name is another hub.
		other := id
		other.Issuer = "https://other.example.org"
		o, err := hubs.SignIn(ctx, other)
		if err != nil || o[0].Hub.ID == north.Hub.ID {
			t.Fatal(o, err)
		}
		// What the provider's words changed stands in the audit log of the hub.
		records, err := db.Audit().List(ctx, gateway.Scope(north.Hub.ID), gateway.AuditFilter{Oldest: true}, gateway.Slice{})
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, r := range records {
			told = append(told, r.Action+" "+string(r.Data))
		}
		if want := []string{
			`hub.create {"external_id":"north","issuer":"https://id.example.org","name":"Hub north","plan":"enterprise"}`,
			`member.joined {"role":"admin"}`,
			`hub.provider_plan {"from":"enterprise","plan":"free","plan_before":"enterprise","to":"free"}`,
			`member.role {"from":"admin","to":"participant"}`,
			`hub.provider_plan {"from":"free","plan":"university","plan_before":"free","to":"university"}`,
			`member.role {"from":"participant","to":"admin"}`,
		}; !slices.Equal(told, want) {
			t.Errorf("audited:\n%s", strings.Join(told, "\n"))
		}
		if _, err := hubs.SignIn(ctx, gateway.Identity{Issuer: id.Issuer}); gateway.CodeOf(err) != gateway.Unauthenticated {
			t.Error(err)
		}
	})
}

func TestFirstSignInsRace(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		hubs := &gateway.Hubs{Store: db, Clock: gateway.SystemClock}
		var wg sync.WaitGroup
		ids := make([]string, 8)
		for i := range ids {
			wg.Go(func() {
				b, err := hubs.SignIn(t.Context(), gatewaytest.Identity("ada", "north", gateway.PlanEnterprise, gateway.RoleAdmin))
				if err != nil || len(b) != 1 {
					t.Error(b, err)
					return
				}
				ids[i] = b[0].Hub.ID + b[0].Participant.ID
			})
		}
		wg.Wait()
		for _, id := range ids {
			if id == "" || id != ids[0] {
				t.Fatalf("not one person in one hub: %v", ids)
			}
		}
	})
}

func TestMembersAreForAdmins(t *testing.T) {
	db := storetest.SQLite(t)
	hubs := &gateway.Hubs{Store: db, Clock: gateway.SystemClock}
	h := gatewaytest.NewHouse(t, db, gateway.SystemClock, "north", gateway.PlanEnterprise)
	gatewaytest.NewHouse(t, db, gateway.SystemClock, "south", gateway.PlanEnterprise)
	all, err := hubs.Members(t.Context(), h.Admin, gateway.Slice{Limit: 100})
	if err != nil || len(all) != 4 {
		t.Fatal(all, err)
	}
	_, err = hubs.Members(t.Context(), h.Ada, gateway.Slice{Limit: 100})
	gatewaytest.Want(t, err, gateway.Forbidden, "not_admin")
	gatewaytest.Explained(t, err)
	if hub, err := hubs.Get(t.Context(), h.Ada); err != nil || hub.ID != h.Hub.ID {
		t.Error(hub, err)
	}
}

func TestSessionsAndClients(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		ctx, clock := t.Context(), gatewaytest.NewClock()
		access := &gateway.Access{Store: db, Clock: clock.Now}
		token, ses, err := access.StartSession(ctx, gatewaytest.Identity("ada", "north", gateway.PlanFree, gateway.RoleAdmin))
		if err != nil || len(token) < 50 || ses.ID == token {
			t.Fatal(len(token), err)
		}
		if got, err := access.Session(ctx, token); err != nil || got.Subject != "sub-ada" {
			t.Fatal(got, err)
		}
		// What lies in the table opens nothing.
		_, err = access.Session(ctx, ses.ID)
		gatewaytest.Want(t, err, gateway.Unauthenticated, "session_expired")
		clock.Add(gateway.SessionLife - time.Second)
		if _, err := access.Session(ctx, token); err != nil {
			t.Fatal(err)
		}
		clock.Add(time.Second)
		_, err = access.Session(ctx, token)
		gatewaytest.Want(t, err, gateway.Unauthenticated, "session_expired")

		token, _, _ = access.StartSession(ctx, gatewaytest.Identity("bob", "north", gateway.PlanFree, gateway.RoleAdmin))
		for range 2 { // signing out twice is harmless
			if err := access.EndSession(ctx, token); err != nil {
				t.Fatal(err)
			}
		}
		_, err = access.Session(ctx, token)
		gatewaytest.Want(t, err, gateway.Unauthenticated, "session_expired")

		h := gatewaytest.NewHouse(t, db, clock.Now, "north", gateway.PlanEnterprise)
		c, secret, err := access.NewClient(ctx, h.Hub.ID, "LMS", []string{gateway.ScopeMediaRead})
		if err != nil {
			t.Fatal(err)
		}
		got, err := access.Client(ctx, c.ID, secret)
		if err != nil || got.HubID != h.Hub.ID || len(got.Scopes) != 1 {
			t.Fatal(got, err)
		}
		_, wrong := access.Client(ctx, c.ID, secret+"x")
		_, empty := access.Client(ctx, c.ID, "")
		_, unknown := access.Client(ctx, "cli_unknown", secret)
		for _, err := range []error{wrong, empty, unknown} {
			gatewaytest.Want(t, err, gateway.Unauthenticated, "invalid_client")
			if gateway.AsError(err).Message != gateway.AsError(unknown).Message {
				t.Error("the answers tell an unknown client from a wrong secret")
			}
		}
	})
}
