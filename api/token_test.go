package api_test

import (
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
			token, err := by.Sign(secrets.Access{ID: "tok_1", ClientID: "cli_1", HubID: "hub_1", Scopes: []string{"media:read"}, ExpiresAt: clock.Now().Add(10 * time.Minute)})
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
