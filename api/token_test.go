package api_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"isthmus/api"
	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/secrets"
	"isthmus/store"
	"isthmus/store/storetest"
)

// TestTokensOfReplicas signs on one server and checks on another that shares the database.
func TestTokensOfReplicas(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		keyring, err := secrets.OpenKeyring(t.TempDir(), true)
		if err != nil {
			t.Fatal(err)
		}
		clock := gatewaytest.NewClock()
		open := func(base string) *api.Tokens {
			t.Helper()
			tokens, err := api.NewTokens(t.Context(), db, keyring, base, clock.Now)
			if err != nil {
				t.Fatal(err)
			}
			return tokens
		}
		const base = "https://isthmus.example"
		one, two := open(base), open(base)
		give := func(by *api.Tokens) string {
			t.Helper()
			token, err := by.Sign(t.Context(), secrets.Access{ID: "tok_1", ClientID: "cli_1", HubID: "hub_1", Scopes: []string{"media:read"}, ExpiresAt: clock.Now().Add(10 * time.Minute)})
			if err != nil {
				t.Fatal(err)
			}
			return token
		}
		first := give(one)
		a, err := two.Verify(t.Context(), first)
		if err != nil || a.ClientID != "cli_1" || a.HubID != "hub_1" || len(a.Scopes) != 1 {
			t.Fatalf("%+v %v", a, err)
		}
		_, err = open("https://other.example").Verify(t.Context(), first)
		gatewaytest.Want(t, err, gateway.Unauthenticated, "token_invalid")

		// A key that is made later signs on a server that starts then; the others look for it.
		clock.Add(time.Minute)
		key := gateway.SigningKey{Row: gateway.Row{ID: gateway.NewID("key")}, Alg: secrets.ES256}
		_, private, err := secrets.NewKey(key.ID, key.Alg)
		if err != nil {
			t.Fatal(err)
		}
		if key.Private, err = keyring.Seal(private, key.Place()); err != nil {
			t.Fatal(err)
		}
		if err := db.Keys().Insert(t.Context(), &key); err != nil {
			t.Fatal(err)
		}
		if _, err = one.Verify(t.Context(), give(open(base))); err != nil {
			t.Errorf("a new key's token: %v", err)
		}
		if _, err = one.Verify(t.Context(), first); err != nil {
			t.Errorf("the old key's token: %v", err)
		}
		clock.Add(20 * time.Minute)
		_, err = one.Verify(t.Context(), first)
		gatewaytest.Want(t, err, gateway.Unauthenticated, "token_expired")
	})
}

// TestKeysRotate: a new key is published before it signs, the old one kept until its tokens have ended.
func TestKeysRotate(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		keyring, err := secrets.OpenKeyring(t.TempDir(), true)
		if err != nil {
			t.Fatal(err)
		}
		clock := gatewaytest.NewClock()
		open := func() *api.Tokens {
			t.Helper()
			tokens, err := api.NewTokens(t.Context(), db, keyring, "https://isthmus.example", clock.Now)
			if err != nil {
				t.Fatal(err)
			}
			return tokens
		}
		one, two := open(), open()
		sign := func(by *api.Tokens) (token, kid string) {
			t.Helper()
			token, err := by.Sign(t.Context(), secrets.Access{ID: "tok_1", ClientID: "cli_1", HubID: "hub_1", ExpiresAt: clock.Now().Add(10 * time.Minute)})
			if err != nil {
				t.Fatal(err)
			}
			var head struct{ Kid string }
			raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
			if err == nil {
				err = json.Unmarshal(raw, &head)
			}
			if err != nil {
				t.Fatal(err)
			}
			return token, head.Kid
		}
		published := func(by *api.Tokens) []string {
			t.Helper()
			raw, err := by.PublicKeys(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var set struct{ Keys []struct{ Kid, D string } }
			if err := json.Unmarshal(raw, &set); err != nil {
				t.Fatal(err)
			}
			var kids []string
			for _, k := range set.Keys {
				if k.D != "" {
					t.Fatal("a private key is published")
				}
				kids = append(kids, k.Kid)
			}
			return kids
		}
		_, old := sign(one)
		if err := api.RotateKeys(t.Context(), db, keyring, clock.Now, false); err != nil {
			t.Fatal(err)
		}
		clock.Add(2 * time.Minute)
		for _, by := range []*api.Tokens{one, two} {
			if kids := published(by); len(kids) != 2 {
				t.Fatalf("published: %v", kids)
			}
			if _, kid := sign(by); kid != old {
				t.Fatal("the new key signs before others can know it")
			}
		}
		clock.Add(7 * time.Minute)
		last, kid := sign(one)
		if kid != old {
			t.Fatal("the new key signs too early")
		}
		clock.Add(3 * time.Minute)
		_, fresh := sign(one)
		if _, kid := sign(two); fresh == old || kid != fresh {
			t.Fatalf("signs with %s and %s", fresh, kid)
		}
		if _, err := two.Verify(t.Context(), last); err != nil {
			t.Errorf("the old key's last token: %v", err)
		}
		clock.Add(12 * time.Minute)
		if kids := published(two); len(kids) != 1 || kids[0] != fresh {
			t.Errorf("published after all: %v", kids)
		}

		if err := one.RotateIfDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		clock.Add(2 * time.Minute)
		if kids := published(one); len(kids) != 1 {
			t.Errorf("rotated too early: %v", kids)
		}
		clock.Add(91 * 24 * time.Hour)
		for range 2 { // two replicas, or a second look: one new key
			if err := one.RotateIfDue(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		clock.Add(2 * time.Minute)
		if kids := published(one); len(kids) != 2 {
			t.Errorf("not rotated in time: %v", kids)
		}

		stolen, _ := sign(one)
		if err := api.RotateKeys(t.Context(), db, keyring, clock.Now, true); err != nil {
			t.Fatal(err)
		}
		_, err = open().Verify(t.Context(), stolen)
		gatewaytest.Want(t, err, gateway.Unauthenticated, "token_invalid")
		clock.Add(2 * time.Minute)
		_, err = two.Verify(t.Context(), stolen)
		gatewaytest.Want(t, err, gateway.Unauthenticated, "token_invalid")
		if kids := published(two); len(kids) != 1 {
			t.Errorf("published after a compromise: %v", kids)
		}
		lines, err := db.Audit().List(t.Context(), "", gateway.AuditFilter{Action: "signing_key."}, gateway.Slice{})
		if err != nil || len(lines) != 3 || lines[0].Action != "signing_key.replace" || lines[1].Action != "signing_key.rotate" || lines[0].Actor != "system" {
			t.Errorf("audited: %+v, %v", lines, err)
		}
	})
}
