package gateway_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

func session(name string) gateway.Session {
	return gateway.Session{Issuer: gatewaytest.Issuer, Subject: "sub-" + name, Name: name}
}

func TestFirstOperator(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		ctx, clock := t.Context(), gatewaytest.NewClock()
		s := &gateway.Operators{Store: db, Clock: clock.Now}
		_, err := s.Begin(ctx, session("ada"), "")
		gatewaytest.Want(t, err, gateway.Invalid, "setup_code_wrong")
		first, _, err := s.NewSetupCode(ctx)
		if err != nil {
			t.Fatal(err)
		}
		code, until, err := s.NewSetupCode(ctx)
		if err != nil || !until.Equal(clock.Now().Add(gateway.SetupCodeLife)) {
			t.Fatal(until, err)
		}
		for _, wrong := range []string{first, "", "00000-00000-00000-00000", code[:22]} {
			_, err := s.Begin(ctx, session("ada"), wrong)
			gatewaytest.Want(t, err, gateway.Invalid, "setup_code_wrong")
		}
		row, err := db.Setups().Get(ctx, gateway.AnyHub, "setup")
		if err != nil || strings.Contains(fmt.Sprint(row), code) {
			t.Error("the code itself is kept", err)
		}
		clock.Add(gateway.SetupCodeLife)
		_, err = s.Begin(ctx, session("ada"), code)
		gatewaytest.Want(t, err, gateway.Conflict, "setup_code_expired")

		if code, _, err = s.NewSetupCode(ctx); err != nil {
			t.Fatal(err)
		}
		clock.Add(gateway.SetupCodeLife - time.Microsecond)
		_, err = s.Of(ctx, session("ada"))
		gatewaytest.Want(t, err, gateway.Forbidden, "not_operator")
		op, err := s.Begin(ctx, session("ada"), strings.ToLower(code))
		if err != nil || op.AddedBy != "setup" {
			t.Fatal(op, err)
		}
		if got, err := s.Of(ctx, session("ada")); err != nil || got.ID != op.ID {
			t.Fatal(got, err)
		}
		for _, name := range []string{"ada", "bob"} {
			_, err = s.Begin(ctx, session(name), code)
			gatewaytest.Want(t, err, gateway.Conflict, "setup_done")
		}
		_, _, err = s.NewSetupCode(ctx)
		gatewaytest.Want(t, err, gateway.Conflict, "setup_done")
		if err := s.Ensure(ctx, gatewaytest.Issuer, "sub-eve", "Eve"); err != nil {
			t.Fatal(err)
		}
		_, err = s.Of(ctx, session("eve"))
		gatewaytest.Want(t, err, gateway.Forbidden, "not_operator")
	})
}

// Many people with the code at once, and many processes that make one: there is one operator.
func TestFirstOperatorsRace(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		s := &gateway.Operators{Store: db, Clock: gateway.SystemClock}
		code, _, err := s.NewSetupCode(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				if i%4 == 3 {
					_, _, _ = s.NewSetupCode(ctx) // may void the code that the others hold
					return
				}
				if _, err := s.Begin(ctx, session(fmt.Sprint("p", i)), code); err == nil {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() == 0 { // it was voided before anybody came
			if code, _, err = s.NewSetupCode(ctx); err != nil {
				t.Fatal(err)
			}
			for i := range 8 {
				wg.Go(func() {
					if _, err := s.Begin(ctx, session(fmt.Sprint("q", i)), code); err == nil {
						won.Add(1)
					}
				})
			}
			wg.Wait()
		}
		all, err := db.Operators().All(ctx)
		if err != nil || len(all) != 1 || won.Load() != 1 {
			t.Fatal(all, won.Load(), err)
		}
	})
}

func TestOperatorsNameAndRemove(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		ctx, clock := t.Context(), gatewaytest.NewClock()
		s := &gateway.Operators{Store: db, Clock: clock.Now}
		if err := s.Ensure(ctx, gatewaytest.Issuer, "sub-ada", "Ada"); err != nil {
			t.Fatal(err)
		}
		ada, err := s.Of(ctx, session("ada"))
		if err != nil {
			t.Fatal(err)
		}
		gatewaytest.Want(t, s.Remove(ctx, ada, ada.ID), gateway.Conflict, "last_operator")
		gatewaytest.Want(t, s.Remove(ctx, ada, "opr_unknown"), gateway.NotFound, "operator_not_found")
		for _, bad := range [][2]string{{"", "x"}, {"id.example.org", "x"}, {"http://id.example.org", "x"}, {"https://u@id.example.org", "x"}, {gatewaytest.Issuer, ""}, {gatewaytest.Issuer, "a\u202eb"}} {
			_, err := s.Add(ctx, ada, bad[0], bad[1], "")
			gatewaytest.Want(t, err, gateway.Invalid, "")
			gatewaytest.Explained(t, err)
		}
		bob, err := s.Add(ctx, ada, gatewaytest.Issuer, "sub-bob", "Bob")
		if err != nil || bob.AddedBy != "operator:"+ada.ID {
			t.Fatal(bob, err)
		}
		_, err = s.Add(ctx, ada, gatewaytest.Issuer, "sub-bob", "Bob again")
		gatewaytest.Want(t, err, gateway.Conflict, "operator_exists")
		// Nobody is operator by the same subject at another provider.
		_, err = s.Of(ctx, gateway.Session{Issuer: "https://other.example.org", Subject: "sub-bob"})
		gatewaytest.Want(t, err, gateway.Forbidden, "not_operator")
		_, err = s.Add(ctx, gateway.Operator{}, gatewaytest.Issuer, "sub-eve", "Eve")
		gatewaytest.Want(t, err, gateway.Forbidden, "not_operator")

		// Both remove each other at once, again and again: one stays.
		for range 25 {
			var wg sync.WaitGroup
			wg.Go(func() { _ = s.Remove(ctx, ada, bob.ID) })
			wg.Go(func() { _ = s.Remove(ctx, bob, ada.ID) })
			wg.Wait()
			all, err := db.Operators().All(ctx)
			if err != nil || len(all) != 1 {
				t.Fatal(all, err)
			}
			ada = all[0]
			if bob, err = s.Add(ctx, ada, gatewaytest.Issuer, gateway.NewID("sub"), "Bob"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestOperatorsDecidePlans(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		ctx, clock := t.Context(), gatewaytest.NewClock()
		ops := &gateway.Operators{Store: db, Clock: clock.Now}
		hubs := &gateway.Hubs{Store: db, Clock: clock.Now}
		if err := ops.Ensure(ctx, gatewaytest.Issuer, "sub-olga", "Olga"); err != nil {
			t.Fatal(err)
		}
		olga, err := ops.Of(ctx, session("olga"))
		if err != nil {
			t.Fatal(err)
		}
		signIn := func(plan gateway.Plan) gateway.Hub {
			t.Helper()
			clock.Add(time.Second)
			b, err := hubs.SignIn(ctx, gatewaytest.Identity("ada", "north", plan, gateway.RoleAdmin))
			if err != nil {
				t.Fatal(err)
			}
			return b[0].Hub
		}
		set := func(h gateway.Hub, plan gateway.Plan) gateway.Hub {
			t.Helper()
			h, err := hubs.SetTerms(ctx, olga, h.ID, h.Version, gateway.HubTerms{Plan: &plan})
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		// Made before anybody comes: the operator's plan stays, whatever the provider says.
		h, err := hubs.Create(ctx, olga, gateway.NewHub{Issuer: gatewaytest.Issuer, ExternalID: "north", Name: " North ", Plan: gateway.PlanUniversity, QuotaBytes: 5})
		if err != nil || h.Plan != gateway.PlanUniversity || h.Name != "North" {
			t.Fatal(h, err)
		}
		_, err = hubs.Create(ctx, olga, gateway.NewHub{Issuer: gatewaytest.Issuer, ExternalID: "north", Name: "Twice"})
		gatewaytest.Want(t, err, gateway.Conflict, "hub_exists")
		if got := signIn(gateway.PlanFree); got.ID != h.ID || got.Plan != gateway.PlanUniversity || got.ProviderPlan != gateway.PlanFree || got.QuotaBytes != 5 {
			t.Fatal(got)
		}
		// Given back: what the provider said last counts at once, and begins the grace time.
		h = signIn(gateway.PlanFree)
		if h = set(h, ""); h.Plan != gateway.PlanFree || h.DowngradedAt == nil || !h.DowngradedAt.Equal(clock.Now()) {
			t.Fatal(h)
		}
		if h = signIn(gateway.PlanEnterprise); h.Plan != gateway.PlanEnterprise || h.DowngradedAt != nil {
			t.Fatal(h)
		}
		// Down by the operator, although the provider says otherwise.
		h = set(h, gateway.PlanFree)
		began := *h.DowngradedAt
		if h = signIn(gateway.PlanUniversity); h.Plan != gateway.PlanFree || !h.DowngradedAt.Equal(began) {
			t.Fatal(h)
		}
		_, err = hubs.SetTerms(ctx, olga, h.ID, h.Version-1, gateway.HubTerms{QuotaBytes: ref(int64(1))})
		gatewaytest.Want(t, err, gateway.Conflict, "changed_meanwhile")
		_, err = hubs.SetTerms(ctx, olga, h.ID, h.Version, gateway.HubTerms{Plan: ref(gateway.Plan("gold"))})
		gatewaytest.Want(t, err, gateway.Invalid, "plan")
		_, err = hubs.SetTerms(ctx, olga, h.ID, h.Version, gateway.HubTerms{QuotaBytes: ref(int64(-1))})
		gatewaytest.Want(t, err, gateway.Invalid, "quota")
		_, err = hubs.SetTerms(ctx, olga, "hub_unknown", 1, gateway.HubTerms{})
		gatewaytest.Want(t, err, gateway.NotFound, "hub_not_found")
		nobody := gateway.Operator{}
		for _, f := range []func() error{
			func() error { _, err := hubs.All(ctx, nobody, "", gateway.Slice{}); return err },
			func() error { _, err := hubs.Terms(ctx, nobody, h.ID); return err },
			func() error { _, err := hubs.Create(ctx, nobody, gateway.NewHub{}); return err },
			func() error { _, err := hubs.SetTerms(ctx, nobody, h.ID, h.Version, gateway.HubTerms{}); return err },
			func() error { _, err := ops.ActorIn(ctx, nobody, h.ID); return err },
		} {
			gatewaytest.Want(t, f(), gateway.Forbidden, "not_operator")
		}
		if _, err := hubs.Create(ctx, olga, gateway.NewHub{Issuer: gatewaytest.Issuer, ExternalID: "50%_off", Name: "Äußerste Ecke"}); err != nil {
			t.Fatal(err)
		}
		for text, want := range map[string]int{"": 2, "NORTH": 1, "äußer": 1, "50%_": 1, "%": 1, "nowhere": 0} {
			if got, err := hubs.All(ctx, olga, text, gateway.Slice{}); err != nil || len(got) != want {
				t.Errorf("%q: %d hubs, want %d, %v", text, len(got), want, err)
			}
		}
		// An operator is nobody in the hub.
		a, err := ops.ActorIn(ctx, olga, h.ID)
		if err != nil || a.Admin() || a.Subject() != "operator:"+olga.ID {
			t.Fatal(a, err)
		}
		_, err = hubs.Members(ctx, a, gateway.Slice{})
		gatewaytest.Want(t, err, gateway.Forbidden, "")
	})
}
