package gateway_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

// The request that the settings page prints is run as printed; what comes back connects.
func TestConnectWithThePrintedRequest(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		for _, v := range []gateway.Visibility{gateway.VisibilityShared, gateway.VisibilityOwn} {
			req, err := w.integrations.TokenRequest(t.Context(), w.hub.Admin, serviceURL, gateway.TokenWish{Visibility: v})
			if err != nil {
				t.Fatal(err)
			}
			var tok token
			decode(t, w.post(req.URL, strings.Replace(req.Body, "PASTE-AN-ADMIN-KS-HERE", w.adminKS(), 1)), &tok)
			d, err := w.integrations.Verify(t.Context(), w.hub.Admin, tok.connection(v))
			if err != nil || len(d.Failed()) > 0 || d.SessionType != "user" || d.FixedUser != "" {
				t.Fatalf("%s: %+v, %v", v, d, err)
			}
			in, err := w.integrations.Save(t.Context(), w.hub.Admin, 0, tok.connection(v))
			if err != nil {
				t.Fatalf("%s: %v", v, err)
			}
			if in.TokenLast4 != tok.Token[len(tok.Token)-4:] || bytes.Contains(in.AppToken, []byte(tok.Token)) || in.Health != gateway.HealthOK || len(in.Diagnosis.Checks) == 0 {
				t.Errorf("%s: %+v", v, in)
			}
			got, err := w.integrations.Get(t.Context(), w.hub.Ada)
			if err != nil || got.ID != in.ID || got.Visibility != v {
				t.Fatal(got, err)
			}
			if err := w.integrations.Disconnect(t.Context(), w.hub.Admin, in.Version); err != nil {
				t.Fatal(err)
			}
		}
		if ev := w.happened(); ev["integration.connected"] != 2 || ev["integration.disconnected"] != 2 {
			t.Error(ev)
		}
		for _, action := range []string{"integration.connect", "integration.disconnect"} {
			if n := len(w.audit(action)); n != 2 {
				t.Errorf("%s: %d lines", action, n)
			}
		}
	})
}

func TestSaveRefusals(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	free := gatewaytest.NewHouse(t, w.db, w.clock.Now, "free", gateway.PlanFree)
	plain := w.token(nil)
	bound := w.token(map[string]any{"sessionUserId": "kim@media.test"})
	boundOwn := w.token(map[string]any{"sessionUserId": "kim@media.test", "sessionPrivileges": "sview:*"})
	admin := w.token(map[string]any{"sessionType": 2, "sessionPrivileges": "sview:*"})
	userType := w.token(map[string]any{"sessionType": 0})
	noList := w.token(map[string]any{"sessionType": 0, "sessionPrivileges": "sview:*"})
	sha1 := w.token(map[string]any{"hashType": "SHA1"})
	expired := w.token(map[string]any{"expiry": 1000000000})
	shared, own := gateway.VisibilityShared, gateway.VisibilityOwn
	with := func(c gateway.Connection, f func(*gateway.Connection)) gateway.Connection { f(&c); return c }
	byID := func(c *gateway.Connection) { c.MatchBy = gateway.MatchUserID }
	for _, c := range []struct {
		name   string
		who    gateway.Actor
		c      gateway.Connection
		code   gateway.Code
		reason string
		field  string
	}{
		{"not an admin", w.hub.Teacher, plain.connection(shared), gateway.Forbidden, "not_admin", ""},
		{"machine without the scope", gatewaytest.Machine(w.hub.Hub, gateway.ScopeMediaRead), plain.connection(shared), gateway.Forbidden, "insufficient_scope", ""},
		{"plan too low", free.Admin, plain.connection(shared), gateway.Forbidden, "plan_too_low", ""},
		{"own, bound to a user", w.hub.Admin, boundOwn.connection(own), gateway.Invalid, "fixed_user_in_own_mode", "/app_token_id"},
		{"own, bound to a user with list:*", w.hub.Admin, bound.connection(own), gateway.Invalid, "fixed_user_in_own_mode", "/app_token_id"},
		{"own, admin sessions", w.hub.Admin, admin.connection(own), gateway.Invalid, "admin_session_in_own_mode", "/app_token_id"},
		{"user sessions only, by e-mail", w.hub.Admin, userType.connection(shared), gateway.Invalid, "match_by_user_id_only", "/match_by"},
		{"user sessions that list nothing", w.hub.Admin, with(noList.connection(shared), byID), gateway.Invalid, "", "/app_token_id"},
		{"wrong hash type", w.hub.Admin, sha1.connection(shared), gateway.Invalid, "app_token_hash_mismatch", "/app_token"},
		{"expired", w.hub.Admin, expired.connection(shared), gateway.Invalid, "app_token_expired", "/app_token_id"},
		{"wrong value", w.hub.Admin, with(plain.connection(shared), func(c *gateway.Connection) { c.AppToken = "00000000000000000000000000000000" }), gateway.Invalid, "app_token_hash_mismatch", "/app_token"},
		{"unknown id", w.hub.Admin, with(plain.connection(shared), func(c *gateway.Connection) { c.AppTokenID = "0_zzzzzzzz" }), gateway.Invalid, "app_token_not_found", "/app_token_id"},
		{"wrong partner", w.hub.Admin, with(plain.connection(shared), func(c *gateway.Connection) { c.PartnerID = 9 }), gateway.Invalid, "partner_unknown", "/partner_id"},
		{"not https", w.hub.Admin, with(plain.connection(shared), func(c *gateway.Connection) { c.ServiceURL = "http://media.example.org" }), gateway.Invalid, "", "/service_url"},
		{"nothing there yet to change", w.hub.Admin, plain.connection(shared), gateway.NotFound, "not_connected", ""},
	} {
		version := int64(0)
		if c.reason == "not_connected" {
			version = 3
		}
		_, err := w.integrations.Save(t.Context(), c.who, version, c.c)
		e := gateway.AsError(err)
		if e == nil || e.Code != c.code || (c.reason != "" && e.Reason != c.reason) || e.Field != c.field || e.NextStep == "" {
			t.Errorf("%s: got %+v, want %s (%s) at %q", c.name, e, c.code, c.reason, c.field)
			continue
		}
		if strings.Contains(err.Error(), c.c.AppToken.Reveal()) {
			t.Errorf("%s: the token is in the error", c.name)
		}
	}
	if _, err := w.db.Integrations().ByHub(t.Context(), w.hub.Hub.ID, gateway.PlatformKaltura); gateway.CodeOf(err) != gateway.NotFound {
		t.Fatal("a refused connection was saved")
	}

	// What is allowed although it looks alike.
	for name, c := range map[string]gateway.Connection{
		"user sessions only, by user id": with(userType.connection(shared), byID),
		"user sessions only, own":        with(noList.connection(own), byID),
		"shared, bound to a user":        bound.connection(shared),
		"shared, admin sessions":         w.token(map[string]any{"sessionType": 2}).connection(shared),
		"SHA-1, with a warning":          with(sha1.connection(shared), func(c *gateway.Connection) { c.HashType = "SHA1" }),
	} {
		in, err := w.integrations.Save(t.Context(), w.hub.Admin, 0, c)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(in.Diagnosis.Warnings) == 0 {
			t.Errorf("%s: no warning", name)
		}
		if err := w.integrations.Disconnect(t.Context(), w.hub.Admin, 0); err != nil {
			t.Fatal(err)
		}
	}
}

func TestVerifyWarnsOfWhatSaveRefuses(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	d, err := w.integrations.Verify(t.Context(), w.hub.Admin, w.token(map[string]any{"sessionUserId": "kim@media.test"}).connection(gateway.VisibilityOwn))
	if err != nil || len(d.Warnings) == 0 || !strings.Contains(d.Warnings[0], "kim@media.test") {
		t.Fatal(d.Warnings, err)
	}
	_, err = w.integrations.Verify(t.Context(), w.hub.Ada, w.token(nil).connection(gateway.VisibilityShared))
	gatewaytest.Want(t, err, gateway.Forbidden, "not_admin")
}

func TestChangeAndRotate(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ctx := t.Context()
		in := w.connect(gateway.VisibilityOwn)
		old := in.AppTokenID

		_, err := w.integrations.Save(ctx, w.hub.Admin, 0, w.token(nil).connection(gateway.VisibilityShared))
		gatewaytest.Want(t, err, gateway.Conflict, "already_connected")
		_, err = w.integrations.Save(ctx, w.hub.Admin, in.Version+1, gateway.Connection{})
		gatewaytest.Want(t, err, gateway.Precondition, "stale")
		gatewaytest.Explained(t, err)

		// A bad new token changes nothing: the old one works on.
		bad := w.token(nil).connection("")
		bad.AppToken = "11111111111111111111111111111111"
		if _, err := w.integrations.Save(ctx, w.hub.Admin, in.Version, bad); gateway.CodeOf(err) != gateway.Invalid {
			t.Fatal(err)
		}
		if _, err := w.catalog.Browse(ctx, w.hub.Ada, gateway.Query{}); err != nil {
			t.Fatal(err)
		}

		// A good one replaces it; then the old one may go.
		fresh := w.token(map[string]any{"sessionPrivileges": "sview:*"})
		rotated, err := w.integrations.Save(ctx, w.hub.Admin, in.Version, gateway.Connection{AppTokenID: fresh.ID, AppToken: gateway.Secret(fresh.Token)})
		if err != nil || rotated.ID != in.ID || rotated.Version <= in.Version || rotated.Visibility != gateway.VisibilityOwn || rotated.AppTokenID != fresh.ID {
			t.Fatal(rotated, err)
		}
		var gone any
		w.ask("appToken", "delete", map[string]any{"id": old}, &gone)
		if _, err := w.catalog.Browse(ctx, w.hub.Ada, gateway.Query{}); err != nil {
			t.Fatal(err)
		}
		_, err = w.integrations.Save(ctx, w.hub.Admin, in.Version, gateway.Connection{Visibility: gateway.VisibilityShared})
		gatewaytest.Want(t, err, gateway.Precondition, "stale")

		// Opening the account to everybody leaves a line of its own.
		opened, err := w.integrations.Save(ctx, w.hub.Admin, rotated.Version, gateway.Connection{Visibility: gateway.VisibilityShared})
		if err != nil || opened.Visibility != gateway.VisibilityShared || opened.AppTokenID != fresh.ID {
			t.Fatal(opened, err)
		}
		lines := w.audit("integration.visibility")
		if len(lines) != 1 || lines[0].Actor != w.hub.Admin.Subject() {
			t.Fatalf("%+v", lines)
		}
		var change struct{ From, To gateway.Visibility }
		if decode(t, lines[0].Data, &change); change.From != gateway.VisibilityOwn || change.To != gateway.VisibilityShared {
			t.Errorf("%+v", change)
		}
		if ev := w.happened(); ev["integration.connected"] != 1 || ev["integration.changed"] != 2 {
			t.Error(ev)
		}
		for _, r := range w.audit("integration.change") {
			if bytes.Contains(r.Data, []byte(fresh.Token)) {
				t.Error("a token is in the audit log")
			}
		}

		// The saved token is not sent elsewhere, and another account wants a disconnect first.
		_, err = w.integrations.Save(ctx, w.hub.Admin, opened.Version, gateway.Connection{ServiceURL: "https://evil.example.org"})
		gatewaytest.Want(t, err, gateway.Invalid, "token_required")
	})
}

func TestOtherHubsAreUnknown(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	in := w.connect(gateway.VisibilityShared)
	south := gatewaytest.NewHouse(t, w.db, w.clock.Now, "south", gateway.PlanEnterprise)
	_, err := w.integrations.Get(t.Context(), south.Admin)
	gatewaytest.Want(t, err, gateway.NotFound, "not_connected")
	gatewaytest.Want(t, w.integrations.Disconnect(t.Context(), south.Admin, in.Version), gateway.NotFound, "not_connected")
	_, err = w.integrations.Impact(t.Context(), south.Admin)
	gatewaytest.Want(t, err, gateway.NotFound, "not_connected")
	if _, err := w.integrations.Get(t.Context(), w.hub.Admin); err != nil {
		t.Fatal(err)
	}
}

func TestDisconnectAndComeBack(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	ctx := t.Context()
	in := w.connect(gateway.VisibilityShared)
	if _, err := w.catalog.Browse(ctx, w.hub.Ada, gateway.Query{}); err != nil {
		t.Fatal(err)
	}
	impact, err := w.integrations.Impact(ctx, w.hub.Admin)
	if err != nil || impact.Mappings != 1 {
		t.Fatal(impact, err)
	}
	gatewaytest.Want(t, w.integrations.Disconnect(ctx, w.hub.Ada, in.Version), gateway.Forbidden, "not_admin")
	gatewaytest.Want(t, w.integrations.Disconnect(ctx, w.hub.Admin, in.Version+1), gateway.Precondition, "stale")
	if err := w.integrations.Disconnect(ctx, w.hub.Admin, in.Version); err != nil {
		t.Fatal(err)
	}
	_, err = w.catalog.Browse(ctx, w.hub.Ada, gateway.Query{})
	gatewaytest.Want(t, err, gateway.NotFound, "not_connected")
	gatewaytest.Explained(t, err)
	if _, err := w.mappings.Mine(ctx, w.hub.Ada, in.ID); gateway.CodeOf(err) != gateway.NotFound {
		t.Error("a mapping outlived its integration")
	}
	if again := w.connect(gateway.VisibilityShared); again.ID != in.ID {
		t.Error("links made before would not find the same account again")
	}
}

func TestDowngradeKeepsReadingForAWhile(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	ctx := t.Context()
	in := w.connect(gateway.VisibilityShared)
	id := gatewaytest.Identity("admin", "north", gateway.PlanFree, gateway.RoleAdmin)
	id.Subject += "-north"
	hubs := &gateway.Hubs{Store: w.db, Clock: w.clock.Now}
	if _, err := hubs.SignIn(ctx, id); err != nil {
		t.Fatal(err)
	}
	if _, err := w.catalog.Browse(ctx, w.hub.Ada, gateway.Query{}); err != nil {
		t.Fatal("reading must go on:", err)
	}
	if _, err := w.integrations.OpenFor(ctx, w.hub.Hub.ID, false); err != nil {
		t.Fatal(err)
	}
	_, err := w.integrations.OpenFor(ctx, w.hub.Hub.ID, true)
	gatewaytest.Want(t, err, gateway.Forbidden, "plan_too_low")
	gatewaytest.Explained(t, err)
	_, err = w.integrations.Save(ctx, w.hub.Admin, in.Version, gateway.Connection{Visibility: gateway.VisibilityOwn})
	gatewaytest.Want(t, err, gateway.Forbidden, "plan_too_low")

	w.clock.Add(30 * 24 * time.Hour)
	_, err = w.catalog.Browse(ctx, w.hub.Ada, gateway.Query{})
	gatewaytest.Want(t, err, gateway.Forbidden, "plan_too_low")
	// An admin can still take the secret away.
	if err := w.integrations.Disconnect(ctx, w.hub.Admin, 0); err != nil {
		t.Fatal(err)
	}
}

func TestInvites(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ctx := t.Context()
		_, _, err := w.integrations.NewInvite(ctx, w.hub.Ada, gateway.VisibilityOwn)
		gatewaytest.Want(t, err, gateway.Forbidden, "not_admin")
		secret, inv, err := w.integrations.NewInvite(ctx, w.hub.Admin, gateway.VisibilityOwn)
		if err != nil || inv.ID == secret {
			t.Fatal(err)
		}
		got, hub, req, err := w.integrations.InviteInfo(ctx, secret)
		if err != nil || got.Visibility != gateway.VisibilityOwn || hub.Name != "Hub north" || !strings.Contains(req.Body, `"sessionPrivileges": "sview:*"`) {
			t.Fatal(got, hub, req, err)
		}
		for _, wrong := range []string{"", inv.ID, secret + "0"} {
			_, _, _, err := w.integrations.InviteInfo(ctx, wrong)
			gatewaytest.Want(t, err, gateway.NotFound, "invite_not_found")
		}
		// A wrong token does not use the link up.
		good := w.token(map[string]any{"sessionPrivileges": "sview:*"}).connection(gateway.VisibilityShared)
		bad := good
		bad.AppToken = "11111111111111111111111111111111"
		if _, err := w.integrations.AcceptInvite(ctx, secret, bad); gateway.CodeOf(err) != gateway.Invalid {
			t.Fatal(err)
		}
		// Of many who accept at once one succeeds.
		var wg sync.WaitGroup
		errs := make([]error, 6)
		for i := range errs {
			wg.Go(func() { _, errs[i] = w.integrations.AcceptInvite(ctx, secret, good) })
		}
		wg.Wait()
		accepted := 0
		for _, err := range errs {
			switch gateway.CodeOf(err) {
			case "":
				accepted++
			case gateway.NotFound, gateway.Conflict, gateway.Precondition:
			default:
				t.Error(err)
			}
		}
		if accepted != 1 || len(w.audit("integration.invite_accepted")) != 1 {
			t.Fatalf("accepted %d times: %v", accepted, errs)
		}
		in, err := w.integrations.Get(ctx, w.hub.Admin)
		if err != nil || in.Visibility != gateway.VisibilityOwn {
			t.Fatal("the admin's choice of visibility holds, not the guest's:", in.Visibility, err)
		}
		_, _, _, err = w.integrations.InviteInfo(ctx, secret)
		gatewaytest.Want(t, err, gateway.NotFound, "invite_not_found")

		// A guest cannot use the saved token.
		second, _, err := w.integrations.NewInvite(ctx, w.hub.Admin, gateway.VisibilityOwn)
		if err != nil {
			t.Fatal(err)
		}
		empty := good
		empty.AppToken = ""
		if _, err := w.integrations.AcceptInvite(ctx, second, empty); gateway.CodeOf(err) != gateway.Invalid {
			t.Fatal(err)
		}
		// The link is worth no more than the admin who made it.
		admin, err := db.Participants().Get(ctx, gateway.Scope(w.hub.Hub.ID), w.hub.Admin.ParticipantID)
		if err != nil {
			t.Fatal(err)
		}
		admin.Role = gateway.RoleParticipant
		if err := db.Participants().Update(ctx, &admin); err != nil {
			t.Fatal(err)
		}
		_, err = w.integrations.AcceptInvite(ctx, second, good)
		gatewaytest.Want(t, err, gateway.NotFound, "invite_not_found")
		admin.Role = gateway.RoleAdmin
		if err := db.Participants().Update(ctx, &admin); err != nil {
			t.Fatal(err)
		}
		w.clock.Add(gateway.InviteLife)
		_, err = w.integrations.AcceptInvite(ctx, second, good)
		gatewaytest.Want(t, err, gateway.NotFound, "invite_not_found")
	})
}

func TestHealthIsNoticedAndToldOnce(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	ctx := t.Context()
	in := w.connect(gateway.VisibilityShared)
	probe := func(want gateway.Health) {
		t.Helper()
		if err := w.integrations.Probe(ctx); err != nil {
			t.Fatal(err)
		}
		w.probe()
		got, err := w.integrations.Get(ctx, w.hub.Ada)
		if err != nil || got.Health != want {
			t.Fatalf("health %s (%s), want %s", got.Health, got.HealthText, want)
		}
		if got.Version != in.Version {
			t.Fatal("a probe must not make an admin's open page stale")
		}
	}
	probe(gateway.HealthOK)
	w.weather.Store(html)
	probe(gateway.HealthDegraded)
	probe(gateway.HealthDegraded)
	w.weather.Store(fine)
	probe(gateway.HealthOK)
	var gone any
	w.ask("appToken", "delete", map[string]any{"id": in.AppTokenID}, &gone)
	probe(gateway.HealthCredentialsInvalid)
	if ev := w.happened(); ev["integration.degraded"] != 2 || ev["integration.recovered"] != 1 {
		t.Error(ev)
	}
	_, err := w.catalog.Browse(ctx, w.hub.Ada, gateway.Query{})
	gatewaytest.Want(t, err, gateway.Precondition, "credentials_invalid")
	gatewaytest.Explained(t, err)

	// A new token heals it at once.
	fresh := w.token(nil)
	in, err = w.integrations.Save(ctx, w.hub.Admin, in.Version, gateway.Connection{AppTokenID: fresh.ID, AppToken: gateway.Secret(fresh.Token)})
	if err != nil || in.Health != gateway.HealthOK {
		t.Fatal(in.Health, err)
	}
	if ev := w.happened(); ev["integration.recovered"] != 2 {
		t.Error(ev)
	}
	// Somebody's request notices before the next probe does.
	w.ask("appToken", "delete", map[string]any{"id": fresh.ID}, &gone)
	_, err = w.catalog.Browse(ctx, w.hub.Ada, gateway.Query{})
	gatewaytest.Want(t, err, gateway.Precondition, "credentials_invalid")
	got, err := w.db.Integrations().ByHub(context.WithoutCancel(ctx), w.hub.Hub.ID, gateway.PlatformKaltura)
	if err != nil || got.Health != gateway.HealthCredentialsInvalid {
		t.Error(got.Health, err)
	}
}
