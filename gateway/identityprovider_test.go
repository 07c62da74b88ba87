package gateway_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/secrets"
	"isthmus/store"
	"isthmus/store/storetest"
)

func TestClaimsGiveHubsRolesAndPlans(t *testing.T) {
	const admin, editor, member = gateway.RoleAdmin, gateway.RoleContentAdmin, gateway.RoleParticipant
	deep := gateway.ClaimMapping{
		Hubs: "/realm_access/spaces", HubID: "space/id", HubName: "/labels/0", Role: "roles", Plan: "tier",
		Roles: map[string]gateway.Role{"owner": admin, "editor": editor}, Plans: map[string]gateway.Plan{"gold": gateway.PlanEnterprise},
	}
	texts := gateway.DefaultClaims()
	texts.Hubs, texts.RoleClaim, texts.PlanClaim = "https://spaces.example/hubs", "app_role", "app_plan"
	for name, c := range map[string]struct {
		mapping gateway.ClaimMapping
		claims  string
		want    []gateway.Membership
		partial bool
		reason  string
	}{
		"our own language": {
			claims: `{"isthmus_hubs":[{"id":"h1","name":"One","plan":"university","role":"admin"},{"id":"h2","role":"content_admin"}]}`,
			want:   []gateway.Membership{{"h1", "One", gateway.PlanUniversity, admin}, {"h2", "", "", editor}},
		},
		"unknown role and plan are the least, no role the default": {
			claims: `{"isthmus_hubs":[{"id":"h1","role":"superuser","plan":"platinum"},{"id":"h2"},{"name":"without id"}]}`,
			want:   []gateway.Membership{{"h1", "", gateway.PlanFree, member}, {"h2", "", "", member}},
		},
		"deep, with their own names": {
			mapping: deep,
			claims:  `{"realm_access":{"spaces":[{"space/id":7,"labels":["Lab"],"roles":["viewer","owner"],"tier":"gold"},{"space/id":"b","roles":["editor"],"tier":"silver"},{"space/id":"c","roles":["admin"]}]}}`,
			want:    []gateway.Membership{{"7", "Lab", gateway.PlanEnterprise, admin}, {"b", "", gateway.PlanFree, editor}, {"c", "", "", member}},
		},
		"texts, roles and plan of the person": {
			mapping: texts, claims: `{"https://spaces.example/hubs":["a"," b ",""],"app_role":["x","content_admin"],"app_plan":"enterprise"}`,
			want: []gateway.Membership{{"a", "", gateway.PlanEnterprise, editor}, {"b", "", gateway.PlanEnterprise, editor}},
		},
		"a single text":               {claims: `{"isthmus_hubs":"h1"}`, want: []gateway.Membership{{"h1", "", "", member}}},
		"a single object":             {claims: `{"isthmus_hubs":{"id":"h1","role":"admin"}}`, want: []gateway.Membership{{"h1", "", "", admin}}},
		"in no hub":                   {claims: `{"isthmus_hubs":[]}`},
		"null":                        {claims: `{"isthmus_hubs":null}`},
		"not said":                    {claims: `{}`, partial: true},
		"a list of some only":         {mapping: gateway.ClaimMapping{Hubs: "isthmus_hubs", HubID: "id", Partial: true}, claims: `{"isthmus_hubs":[{"id":"h1"}]}`, want: []gateway.Membership{{"h1", "", "", member}}, partial: true},
		"control characters in names": {claims: `{"isthmus_hubs":[{"id":"h1","name":"A\u0000\u202eB\n"}]}`, want: []gateway.Membership{{"h1", "AB", "", member}}},
		"a hub's id with a NUL":       {claims: `{"isthmus_hubs":["h\u0000"]}`, reason: "bad_hub_claim"},
		"a hub's id of two lines":     {claims: `{"isthmus_hubs":[{"id":"h\n1"}]}`, reason: "bad_hub_claim"},
		"a number beyond exactness":   {claims: `{"isthmus_hubs":[{"id":9007199254740993}]}`},
		"an object of objects":        {claims: `{"isthmus_hubs":{"id":{"id":"h1"},"role":{"admin":true}}}`},
		"roles of wrong types":        {claims: `{"isthmus_hubs":[{"id":"h1","role":{"admin":1}},{"id":"h2","role":[true,["admin"]]},{"id":"h3","role":"Admin"}]}`, want: []gateway.Membership{{"h1", "", "", member}, {"h2", "", "", member}, {"h3", "", "", member}}},
		"numbers":                     {claims: `{"isthmus_hubs":[7]}`, reason: "bad_hub_claim"},
		"lists in the list":           {claims: `{"isthmus_hubs":[["h1"]]}`, reason: "bad_hub_claim"},
		"truth":                       {claims: `{"isthmus_hubs":true}`, reason: "bad_hub_claim"},
		"too many":                    {claims: `{"isthmus_hubs":["x"` + strings.Repeat(`,"x"`, 500) + `]}`, reason: "bad_hub_claim"},
		"a hub's id without end":      {claims: `{"isthmus_hubs":["` + strings.Repeat("x", 300) + `"]}`, reason: "bad_hub_claim"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.mapping.Hubs == "" {
				c.mapping = gateway.DefaultClaims()
			}
			claims := map[string]any{}
			if err := json.Unmarshal([]byte(c.claims), &claims); err != nil {
				t.Fatal(err)
			}
			maps.Copy(claims, map[string]any{"sub": "s1", "email": "ada@example.org", "email_verified": true})
			id, err := gateway.IdentityProvider{Issuer: "https://id", Claims: c.mapping}.Identity(claims)
			if c.reason != "" {
				gatewaytest.Want(t, err, gateway.Unauthenticated, c.reason)
				return
			}
			if err != nil || id.Partial != c.partial || len(id.Memberships) != len(c.want) || len(c.want) > 0 && !reflect.DeepEqual(id.Memberships, c.want) {
				t.Fatalf("%+v %v", id, err)
			}
		})
	}
}

// Whether an address counts decides who becomes which Kaltura user.
func TestAddressesCountOnlyWhenVerified(t *testing.T) {
	open := gateway.IdentityProvider{Issuer: "https://id", Claims: gateway.DefaultClaims()}
	closed := open
	closed.EmailDomains = []string{"example.org"}
	for _, c := range []struct {
		email, verified any
		maps, comesIn   bool // with a list of domains
	}{
		{"ada@example.org", true, true, true},
		{"Ada@EXAMPLE.org", "true", true, true},
		{" ada@example.org ", true, true, true},
		{"ada@example.org", false, false, false},
		{"ada@example.org", "false", false, false},
		{"ada@example.org", 1.0, false, false},
		{"ada@example.org", "yes", false, false},
		{"ada@example.org", nil, false, false},
		{"ada@other.org", true, true, false},
		{"ada@sub.example.org", true, true, false},
		{"ada@example.org.evil.net", true, true, false},
		{"ada@evil.net@example.org", true, false, false},
		{"@example.org", true, false, false},
		{"ada", true, false, false},
		{"a da@example.org", true, false, false},
		{"ada@example.org\u0000", true, false, false},
		{"ada@example.org.", true, true, false}, // another name in the list's eyes
		{"ada@.example.org", true, true, false},
		{"ada@exаmple.org", true, true, false}, // a Cyrillic letter
		{"ada@xn--exmple-4nf.org", true, true, false},
		{"boſs@example.org", true, false, false}, // is boss@ to who folds the case
		{"ada@example.org,eve@example.org", true, false, false},
		{"ada@example.org", "TRUE", false, false},
		{"ada@example.org", []any{true}, false, false},
		{"", true, false, false},
		{nil, true, false, false},
		{[]any{"ada@example.org"}, true, false, false},
	} {
		claims := map[string]any{"sub": "s1", "email": c.email, "email_verified": c.verified}
		id, err := open.Identity(claims)
		if err != nil || id.EmailVerified != c.maps {
			t.Errorf("%v, %v: counts %v, %v", c.email, c.verified, id.EmailVerified, err)
		}
		if _, err := closed.Identity(claims); (err == nil) != c.comesIn || err != nil && !gateway.IsReason(err, "email_domain_refused") {
			t.Errorf("%v, %v: %v", c.email, c.verified, err)
		}
	}
}

func TestIdentityProvidersAreTheOperators(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		keys, err := secrets.OpenKeyring(t.TempDir(), true)
		if err != nil {
			t.Fatal(err)
		}
		s := &gateway.IdentityProviders{Store: db, Clock: gateway.SystemClock, Sealer: keys}
		if err := s.Fix(gateway.OpenedProvider{IdentityProvider: gateway.IdentityProvider{
			Row: gateway.Row{ID: gateway.ProviderIDFlags}, Issuer: "http://plain.internal", ClientID: "x", Source: gateway.ProviderFlags,
		}}); err != nil {
			t.Fatal(err)
		}
		op := gateway.Operator{Row: gateway.Row{ID: "opr_1"}}
		secret := gateway.Secret("client-secret-of-the-platform")
		change := func(issuer string) gateway.ProviderChange {
			id := " isthmus "
			return gateway.ProviderChange{Issuer: &issuer, ClientID: &id, Secret: &secret, EmailDomains: &[]string{"Example.ORG", " example.org"}}
		}
		if _, err := s.Create(ctx, gateway.Operator{}, change("https://id.example")); gateway.CodeOf(err) != gateway.Forbidden {
			t.Error("somebody else", err)
		}
		for _, bad := range []string{"", "id.example", "http://id.example", "https://u:p@id.example", "https://id.example?x=1", "https://id.example#x", "javascript:alert(1)"} {
			if _, err := s.Create(ctx, op, change(bad)); gateway.CodeOf(err) != gateway.Invalid {
				t.Errorf("%q: %v", bad, err)
			} else {
				gatewaytest.Explained(t, err)
			}
		}
		p, err := s.Create(ctx, op, change("https://id.example"))
		if err != nil || p.ClientID != "isthmus" || len(p.EmailDomains) != 1 || p.Claims.Hubs != "isthmus_hubs" || p.MaxTokenAge != gateway.DefaultMaxTokenAge || p.Name != "id.example" {
			t.Fatalf("%+v %v", p, err)
		}
		if strings.Contains(string(p.ClientSecret), "platform") {
			t.Error("the secret is kept in clear")
		}
		for _, issuer := range []string{"https://id.example", "http://plain.internal"} {
			if _, err := s.Create(ctx, op, change(issuer)); gateway.CodeOf(err) == "" {
				t.Errorf("a second one of %s", issuer)
			}
		}
		o, err := s.ByIssuer(ctx, "https://id.example")
		if err != nil || o.Secret != secret || o.ID != p.ID || o.Webhook != "" {
			t.Fatal(o, err)
		}
		if all, err := s.Enabled(ctx); err != nil || len(all) != 2 || all[0].Name != "id.example" || all[1].Name != "plain.internal" {
			t.Error(all, err)
		}

		// What is fixed stays; stale changes are refused; the issuer stays.
		_, err = s.Update(ctx, op, gateway.ProviderIDFlags, 0, gateway.ProviderChange{})
		gatewaytest.Want(t, err, gateway.Conflict, "provider_fixed")
		gatewaytest.Want(t, s.Delete(ctx, op, gateway.ProviderIDFlags), gateway.Conflict, "provider_fixed")
		_, err = s.Update(ctx, op, p.ID, p.Version+1, gateway.ProviderChange{})
		if gateway.CodeOf(err) == "" {
			t.Error("a stale change was taken")
		}
		other := "https://other.example"
		_, err = s.Update(ctx, op, p.ID, p.Version, gateway.ProviderChange{Issuer: &other})
		gatewaytest.Want(t, err, gateway.Invalid, "issuer_fixed")
		_, err = s.Update(ctx, op, p.ID, p.Version, gateway.ProviderChange{Claims: &gateway.ClaimMapping{Roles: map[string]gateway.Role{"boss": "root"}}})
		gatewaytest.Want(t, err, gateway.Invalid, "role_unknown")

		p, hook, err := s.MakeWebhookSecret(ctx, op, p.ID)
		if err != nil || !strings.HasPrefix(hook.Reveal(), "whsec_") {
			t.Fatal(err)
		}
		if o, err = s.Open(ctx, p.ID); err != nil || o.Webhook != hook {
			t.Fatal(err)
		}
		off := false
		if p, err = s.Update(ctx, op, p.ID, p.Version, gateway.ProviderChange{Enabled: &off}); err != nil || p.DisabledAt == nil {
			t.Fatal(err)
		}
		if _, err := s.ByIssuer(ctx, p.Issuer); gateway.CodeOf(err) != gateway.NotFound {
			t.Error("one that is switched off was given", err)
		}
		if d, err := s.Draft(ctx, op, p.ID); err != nil || d.Secret != secret {
			t.Error("it can be diagnosed all the same", err)
		}

		got, err := s.Try(ctx, op, p.ID, nil, map[string]any{"sub": "s1", "email": "ada@example.org", "email_verified": true, "isthmus_hubs": []any{"h1"}})
		if err != nil || len(got.Memberships) != 1 {
			t.Error(got, err)
		}
		_, err = s.Try(ctx, op, p.ID, &gateway.ClaimMapping{Hubs: "x"}, map[string]any{"sub": "s1", "email": "eve@evil.org", "email_verified": true})
		gatewaytest.Want(t, err, gateway.Invalid, "email_domain_refused")

		if err := s.Delete(ctx, op, p.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(ctx, op, p.ID); gateway.CodeOf(err) != gateway.NotFound {
			t.Error(err)
		}
		if has, err := db.HasSealed(ctx); err != nil || has {
			t.Error(has, err)
		}
		records, err := db.Audit().List(ctx, gateway.Scope(""), gateway.AuditFilter{Action: "identity_provider."}, gateway.Slice{})
		if err != nil || len(records) != 4 {
			t.Error(len(records), err)
		}
		for _, r := range records {
			if strings.Contains(string(r.Data), "client-secret") || strings.Contains(string(r.Data), hook.Reveal()) {
				t.Error("a secret in the audit log")
			}
		}
	})
}

// Who somebody is, is taken as it stands or not at all; what cannot be kept is not.
func TestOddIdentities(t *testing.T) {
	p := gateway.IdentityProvider{Issuer: "https://id", Claims: gateway.DefaultClaims()}
	for _, sub := range []any{nil, "", 7.0, []any{"s1"}, " s1", "s1\n", "s\u0000", strings.Repeat("s", 300), "\u202es1"} {
		if id, err := p.Identity(map[string]any{"sub": sub}); !gateway.IsReason(err, "identity_incomplete") {
			t.Errorf("%q: %+v %v", sub, id, err)
		}
	}
	id, err := p.Identity(map[string]any{"sub": "s1", "email": "ada@example.org\u0000", "email_verified": true, "name": "\u0000", "sid": "a\u0000b"})
	if err != nil || id.Email != "ada@example.org" || id.EmailVerified || id.Name != "ada@example.org" || id.SessionID != "" {
		t.Errorf("%+v %v", id, err)
	}
}

// A provider that is switched off leaves nobody inside, whatever they came with, and lets nobody in.
func TestProviderSwitchedOff(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		ctx, clock := t.Context(), gatewaytest.NewClock()
		keys, err := secrets.OpenKeyring(t.TempDir(), true)
		if err != nil {
			t.Fatal(err)
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		s := &gateway.IdentityProviders{Store: db, Clock: clock.Now, Sealer: keys}
		must(s.Fix(gateway.OpenedProvider{IdentityProvider: gateway.IdentityProvider{
			Row: gateway.Row{ID: gateway.ProviderIDFlags}, Issuer: "https://other.example", ClientID: "x", Source: gateway.ProviderFlags,
		}}))
		issuer, client, on, off := gatewaytest.Issuer, "isthmus", true, false
		op := gateway.Operator{Row: gateway.Row{ID: "opr_1"}, Issuer: "https://other.example"}
		p, err := s.Create(ctx, op, gateway.ProviderChange{Issuer: &issuer, ClientID: &client})
		must(err)
		hubs, access := &gateway.Hubs{Store: db, Clock: clock.Now, Providers: s}, &gateway.Access{Store: db, Clock: clock.Now, Providers: s}
		enter := func(id gateway.Identity) (gateway.Belonging, gateway.Session) {
			t.Helper()
			b, err := hubs.SignIn(ctx, id)
			must(err)
			_, ses, err := access.StartSession(ctx, id)
			must(err)
			return b[0], ses
		}
		id := gatewaytest.Identity("ada", "north", gateway.PlanFree, gateway.RoleParticipant)
		elsewhere := id
		elsewhere.Issuer = "https://other.example"
		ada, ses := enter(id)
		bob, bobs := enter(elsewhere)
		app := gateway.Client{Row: gateway.Row{ID: gateway.NewID("cli"), HubID: ada.Hub.ID}, Name: "App", Type: gateway.ClientNative, AuthMethod: gateway.AuthNone}
		must(db.Clients().Insert(ctx, &app))
		grant := gateway.Grant{Row: gateway.Row{ID: gateway.NewID("gnt"), HubID: ada.Hub.ID}, ClientID: app.ID, ParticipantID: ada.Participant.ID, Via: gateway.ViaConsent}
		must(db.Grants().Insert(ctx, &grant))
		family := gateway.TokenFamily{Row: gateway.Row{ID: gateway.NewID("fam"), HubID: ada.Hub.ID}, GrantID: grant.ID, ClientID: app.ID, ParticipantID: ada.Participant.ID, ExpiresAt: clock.Now().Add(time.Hour)}
		must(db.TokenFamilies().Insert(ctx, &family))
		revoked := func() bool {
			t.Helper()
			f, err := db.TokenFamilies().Get(ctx, gateway.AnyHub, family.ID)
			must(err)
			return f.RevokedAt != nil
		}
		out := func() {
			t.Helper()
			gatewaytest.Want(t, access.Still(ctx, ses), gateway.Unauthenticated, "")
			_, err := hubs.ActorFor(ctx, ada.Hub.ID, ada.Participant.ID) // as a token of an exchange would
			gatewaytest.Want(t, err, gateway.NotFound, "hub_not_found")
			if !revoked() {
				t.Error("the refresh tokens live on")
			}
			_, err = hubs.SignIn(ctx, id)
			gatewaytest.Want(t, err, gateway.Unauthenticated, "identity_provider_off")
			gatewaytest.Explained(t, err)
			_, _, err = access.StartSession(ctx, id)
			gatewaytest.Want(t, err, gateway.Unauthenticated, "identity_provider_off")
			must(access.Still(ctx, bobs))
			if _, err := hubs.ActorFor(ctx, bob.Hub.ID, bob.Participant.ID); err != nil {
				t.Error("another provider's person", err)
			}
		}
		own := op
		own.Issuer = issuer
		_, err = s.Update(ctx, own, p.ID, p.Version, gateway.ProviderChange{Enabled: &off})
		gatewaytest.Want(t, err, gateway.Conflict, "own_provider")
		gatewaytest.Want(t, s.Delete(ctx, own, p.ID), gateway.Conflict, "own_provider")
		must(access.Still(ctx, ses))
		if revoked() {
			t.Fatal("too early")
		}

		p, err = s.Update(ctx, op, p.ID, p.Version, gateway.ProviderChange{Enabled: &off})
		must(err)
		out()
		// Switched on again, people come back as they were; what their apps had does not.
		p, err = s.Update(ctx, op, p.ID, p.Version, gateway.ProviderChange{Enabled: &on})
		must(err)
		clock.Add(time.Minute)
		var back gateway.Belonging
		if back, ses = enter(id); back.Participant.ID != ada.Participant.ID || !revoked() {
			t.Fatal(back, revoked())
		}

		// Whoever signs in at the very moment is out afterwards, too.
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for err := error(nil); err == nil; {
					if _, err = hubs.SignIn(ctx, id); err == nil {
						_, _, err = access.StartSession(ctx, id)
					}
					if err != nil && !gateway.IsReason(err, "identity_provider_off") {
						t.Error(err)
					}
				}
			})
		}
		must(s.Delete(ctx, op, p.ID))
		wg.Wait()
		out()
		if left, err := db.Sessions().OfPerson(ctx, id.Issuer, id.Subject); err != nil || len(left) != 0 {
			t.Errorf("%d sessions are left, %v", len(left), err)
		}
	})
}

// An old token may be shown again within its life; it brings nothing back.
func TestOldTokensChangeNothing(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		ctx, clock := t.Context(), gatewaytest.NewClock()
		hubs := &gateway.Hubs{Store: db, Clock: clock.Now}
		id := gatewaytest.Identity("ada", "north", gateway.PlanEnterprise, gateway.RoleAdmin)
		id.IssuedAt = clock.Now()
		old := id
		if _, err := hubs.SignIn(ctx, id); err != nil {
			t.Fatal(err)
		}
		clock.Add(time.Minute)
		id.IssuedAt = clock.Now()
		id.Memberships = []gateway.Membership{{HubExternalID: "north", Plan: gateway.PlanFree, Role: gateway.RoleParticipant}}
		if _, err := hubs.SignIn(ctx, id); err != nil {
			t.Fatal(err)
		}
		clock.Add(time.Second)
		b, err := hubs.SignIn(ctx, old)
		if err != nil || len(b) != 1 || b[0].Participant.Role != gateway.RoleParticipant || b[0].Hub.Plan != gateway.PlanFree {
			t.Fatalf("an old token raised a role or a plan: %+v %v", b, err)
		}
		// Nor does it suspend: the newer word counts.
		old.Memberships = nil
		if b, err = hubs.SignIn(ctx, old); err != nil || len(b) != 1 {
			t.Fatal(b, err)
		}
		// A token that names no hubs at all says nothing of them; one that names none of them says that all were left.
		clock.Add(time.Minute)
		id.IssuedAt, id.Partial, id.Memberships = clock.Now(), true, nil
		if b, err = hubs.SignIn(ctx, id); err != nil || len(b) != 1 {
			t.Fatal(b, err)
		}
		id.Partial = false
		if b, err = hubs.SignIn(ctx, id); err != nil || len(b) != 0 {
			t.Fatal(b, err)
		}
		// A token without e-mail and name takes nothing away.
		clock.Add(time.Minute)
		id.IssuedAt, id.NoEmail, id.NoName, id.Email, id.EmailVerified, id.Name = clock.Now(), true, true, "", false, "sub-ada"
		id.Memberships = []gateway.Membership{{HubExternalID: "north", Role: gateway.RoleContentAdmin}}
		if b, err = hubs.SignIn(ctx, id); err != nil || len(b) != 1 || b[0].Participant.Email != "ada@example.org" || !b[0].Participant.EmailVerified || b[0].Participant.Role != gateway.RoleContentAdmin {
			t.Fatalf("%+v %v", b, err)
		}
		if b[0].Hub.Plan != gateway.PlanFree {
			t.Error("a hub without a word about its plan must keep it")
		}
		// Nor does one with a name alone; one that says that there is no address does.
		clock.Add(time.Minute)
		named, err := gateway.IdentityProvider{Issuer: id.Issuer, Claims: gateway.DefaultClaims()}.Identity(map[string]any{
			"sub": id.Subject, "given_name": "Ada", "family_name": "Lovelace", "isthmus_hubs": []any{"north"},
		})
		if err != nil {
			t.Fatal(err)
		}
		named.IssuedAt = clock.Now()
		if b, err = hubs.SignIn(ctx, named); err != nil || len(b) != 1 || b[0].Participant.Email != "ada@example.org" || !b[0].Participant.EmailVerified || b[0].Participant.Name != "Ada Lovelace" {
			t.Fatalf("%+v %v", b, err)
		}
		clock.Add(time.Minute)
		named.IssuedAt, named.NoEmail, named.NoName, named.Name = clock.Now(), false, true, named.Subject
		if b, err = hubs.SignIn(ctx, named); err != nil || len(b) != 1 || b[0].Participant.Email != "" || b[0].Participant.EmailVerified || b[0].Participant.Name != "Ada Lovelace" {
			t.Fatalf("%+v %v", b, err)
		}
	})
}
