package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/integrations/spaces/demo"
	"isthmus/secrets"
	"isthmus/store"
	"isthmus/store/storetest"
)

var printing sync.Mutex // there is one standard output

// printed runs a command line and gives what it writes to standard output.
func printed(t *testing.T, o store.Options, args ...string) (string, error) {
	t.Helper()
	printing.Lock()
	defer printing.Unlock()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out := os.Stdout
	os.Stdout = w
	err = run(t.Context(), append(args, "--data", o.DataDir, "--db", o.DSN))
	os.Stdout = out
	_ = w.Close()
	text, rerr := io.ReadAll(r)
	if rerr != nil {
		t.Fatal(rerr)
	}
	return strings.TrimSpace(string(text)), err
}

// The commands work on a data folder that another process holds, which here is this test.
func TestCommandsBesideAServer(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		ctx := t.Context()
		db := storetest.Open(t, o)
		keys, err := secrets.OpenKeyring(o.DataDir, true)
		if err == nil {
			err = db.SealAudits(ctx, keys)
		}
		if err != nil {
			t.Fatal(err)
		}
		house := gatewaytest.NewHouse(t, db, gateway.SystemClock, "north", gateway.PlanEnterprise)
		access := &gateway.Access{Store: db, Clock: gateway.SystemClock}
		must := func(args ...string) string {
			t.Helper()
			text, err := printed(t, o, args...)
			if err != nil {
				t.Fatal(args, forPeople(err))
			}
			return text
		}
		var made struct {
			ClientID     string `json:"client_id"`
			ClientSecret string `json:"client_secret"`
			Until        string `json:"old_secret_until"`
		}
		read := func(text string) {
			t.Helper()
			if err := json.Unmarshal([]byte(text), &made); err != nil {
				t.Fatal(err, text)
			}
		}
		read(must("clients", "create", "--hub", house.Hub.ID, "--name", "Nightly sync", "--scope", "media:read", "--scope", "library:read"))
		first := made.ClientSecret
		c, err := access.Client(ctx, made.ClientID, gateway.Secret(first))
		if err != nil || len(c.Scopes) != 2 || c.CreatedBy != "operator:console" {
			t.Fatal(c, err)
		}
		read(must("clients", "rotate", made.ClientID, "--overlap", "1h"))
		for _, s := range []string{first, made.ClientSecret} {
			if _, err := access.Client(ctx, made.ClientID, gateway.Secret(s)); err != nil || made.Until == "" {
				t.Error(err)
			}
		}
		must("clients", "disable", made.ClientID)
		if _, err := access.Client(ctx, made.ClientID, gateway.Secret(first)); gateway.CodeOf(err) != gateway.Unauthenticated {
			t.Error(err)
		}
		if list := must("clients", "list", house.Hub.ID); !strings.Contains(list, "Nightly sync") || !strings.Contains(list, "disabled") || strings.Contains(list, first) {
			t.Error(list)
		}
		must("clients", "enable", made.ClientID)
		must("clients", "delete", made.ClientID)
		if list := must("clients", "list"); strings.Contains(list, made.ClientID) {
			t.Error(list)
		}
		jwks := filepath.Join(o.DataDir, "jwks.json")
		if err := os.WriteFile(jwks, []byte(`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		read(must("clients", "create", "--name", "Spaces", "--type", "web", "--origin", "https://spaces.example.org", "--jwks-file", jwks))
		if c, err := db.Clients().Get(ctx, "", made.ClientID); err != nil || c.AuthMethod != gateway.AuthKey || c.HubID != "" {
			t.Error(c, err)
		}
		for _, bad := range [][]string{
			{"clients", "create", "--name", "x", "--hub", "hub_unknown"},
			{"clients", "create", "--name", "x"}, // a machine of no hub
			{"clients", "create", "--name", "x", "--type", "native", "--redirect-uri", "javascript:alert(1)"},
			{"clients", "rotate", "cli_unknown"},
			{"clients", "delete", "cli_unknown"},
		} {
			if _, err := printed(t, o, bad...); err == nil || gateway.AsError(err).NextStep == "" {
				t.Error(bad, err)
			}
		}

		ops := &gateway.Operators{Store: db, Clock: gateway.SystemClock}
		code := must("setup")
		if _, err := ops.Begin(ctx, gateway.Session{Issuer: gatewaytest.Issuer, Subject: "ada"}, code); err != nil {
			t.Fatal(err)
		}
		_, err = printed(t, o, "setup")
		gatewaytest.Want(t, err, gateway.Conflict, "setup_done")

		// The log of what these commands did is whole, until somebody changes it past the server.
		if text := must("audit", "verify", house.Hub.ID); !strings.Contains(text, house.Hub.ID+"  intact") {
			t.Error(text)
		}
		log, err := db.Audit().Walk(ctx, house.Hub.ID, 1, 100, 1)
		if err != nil || len(log) != 1 {
			t.Fatal(err, log)
		}
		if _, err := storetest.SQL(t, o).ExecContext(ctx, "UPDATE audit_records SET subject = 'cli_other' WHERE id = '"+log[0].ID+"'"); err != nil {
			t.Fatal(err)
		}
		text, err := printed(t, o, "audit", "verify", house.Hub.ID) // an error is exit code 1
		gatewaytest.Want(t, err, gateway.Internal, "audit_broken")
		if !strings.Contains(text, "BROKEN") || !strings.Contains(text, log[0].ID) || !strings.Contains(text, "Record 2 was changed") {
			t.Error(text)
		}

		// Not beside a server of another version.
		if _, err := storetest.SQL(t, o).ExecContext(ctx, "DELETE FROM schema_versions WHERE version = (SELECT max(version) FROM schema_versions)"); err != nil {
			t.Fatal(err)
		}
		_, err = printed(t, o, "setup")
		gatewaytest.Want(t, err, gateway.Precondition, "schema_other")
	})
}

// An older data folder's client gets every scope; its admin is the operator, unless somebody is.
func TestDemoRights(t *testing.T) {
	ctx, db := t.Context(), storetest.SQLite(t)
	house := gatewaytest.NewHouse(t, db, gateway.SystemClock, "north", gateway.PlanEnterprise)
	s := &server{ground: ground{db: db}, operators: &gateway.Operators{Store: db, Clock: gateway.SystemClock}}
	c, _, err := (&gateway.Access{Store: db, Clock: gateway.SystemClock}).NewClient(ctx, house.Hub.ID, "Demo client", []string{gateway.ScopeMediaRead})
	if err != nil {
		t.Fatal(err)
	}
	d := newDemo("http://localhost:8080")
	d.ClientID = c.ID
	rights := func(operators int) {
		t.Helper()
		if err := s.demoRights(ctx, d); err != nil {
			t.Fatal(err)
		}
		if c, err := db.Clients().Get(ctx, gateway.AnyHub, d.ClientID); err == nil && len(c.Scopes) != len(gateway.AllScopes) {
			t.Error(c.Scopes)
		}
		if all, err := db.Operators().All(ctx); err != nil || len(all) != operators {
			t.Error(all, err)
		}
	}
	rights(0)
	s.cfg.DemoOperator = true
	rights(1)
	rights(1)
	ada := gateway.Session{Issuer: s.demoIssuer(), Subject: demo.Subject(d.People[0].Email)}
	if _, err := s.operators.Of(ctx, ada); err != nil {
		t.Error(err)
	}
	if err := db.Clients().Delete(ctx, gateway.AnyHub, c.ID); err != nil { // by a person, who is left alone with that
		t.Fatal(err)
	}
	rights(1)
}
