package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"isthmus/gateway"
	"isthmus/store"
)

// clientsCommand is `isthmus clients …`: what the page and the API do as well, for who has the machine.
type clientsCommand struct {
	List    clientsList    `cmd:"" help:"List the clients of a hub, or all."`
	Create  clientsCreate  `cmd:"" help:"Register a client and print its secret once."`
	Rotate  clientsRotate  `cmd:"" help:"Give a client another secret; the one before goes on working for a while."`
	Disable clientsDisable `cmd:"" help:"Switch a client off; its tokens stop working at once."`
	Enable  clientsEnable  `cmd:"" help:"Switch a client on again."`
	Delete  clientsDelete  `cmd:"" help:"Remove a client with all that people allowed it."`
}

// console is who acts on the command line, in the audit log as operator:console.
func console(hub string) gateway.Actor { return gateway.Actor{HubID: hub, OperatorID: "console"} }

// openClients opens the database, also beside a running server.
func openClients(ctx context.Context, f dataFlags) (*store.DB, *gateway.Clients, error) {
	db, err := openBeside(ctx, f)
	if err != nil {
		return nil, nil, err
	}
	return db, &gateway.Clients{Store: db, Clock: gateway.SystemClock}, nil
}

type clientsList struct {
	dataFlags
	Hub string `arg:"" optional:"" help:"Id of the hub, such as hub_…; all hubs without."`
}

// Run prints one line per client.
func (c *clientsList) Run(ctx context.Context) error {
	db, clients, err := openClients(ctx, c.dataFlags)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	out := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(out, "CLIENT\tHUB\tTYPE\tSTATE\tLAST USED\tNAME")
	for w := (gateway.Slice{Limit: 500}); ; {
		page, err := clients.List(ctx, console(c.Hub), w)
		if err != nil {
			return err
		}
		for _, cl := range page {
			w.After = cl.ID
			hub, state, used := cl.HubID, "enabled", "never"
			if hub == "" {
				hub = "(all)"
			}
			if cl.DisabledAt != nil {
				state = "disabled"
			}
			if cl.LastUsedAt != nil {
				used = cl.LastUsedAt.Format(time.RFC3339)
			}
			fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\n", cl.ID, hub, cl.Type, state, used, cl.Name)
		}
		if len(page) < w.Limit {
			return out.Flush()
		}
	}
}

type clientsCreate struct {
	dataFlags
	Name         string   `required:"" help:"What the client is called, also to people who are asked to allow it."`
	Hub          string   `help:"Id of the hub, such as hub_…. Without: all hubs, for every type but machine."`
	Type         string   `help:"machine, web, browser or native." enum:"machine,web,browser,native" default:"machine"`
	RedirectURIs []string `help:"Where people come back to after they allowed it." name:"redirect-uri"`
	Origins      []string `help:"Origins of pages that may call and embed us, such as https://app.example.org." name:"origin"`
	Scopes       []string `help:"Scopes it may ask for at most. Default: all." name:"scope"`
	JWKSFile     string   `help:"File with its public keys (JWK set), for a machine or web client without a secret." name:"jwks-file" type:"existingfile"`
}

// Run registers the client and prints its secret, which is not kept.
func (c *clientsCreate) Run(ctx context.Context) error {
	db, clients, err := openClients(ctx, c.dataFlags)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if c.Hub != "" {
		if _, err := db.Hubs().Get(ctx, gateway.AnyHub, c.Hub); err != nil {
			return err
		}
	}
	if len(c.Scopes) == 0 {
		c.Scopes = gateway.AllScopes
	}
	draft := gateway.ClientDraft{Name: &c.Name, RedirectURIs: &c.RedirectURIs, Origins: &c.Origins, Scopes: &c.Scopes}
	if c.JWKSFile != "" {
		keys, err := os.ReadFile(c.JWKSFile)
		if err != nil {
			return err
		}
		text := string(keys)
		draft.JWKS = &text
	}
	client, secret, err := clients.Create(ctx, console(c.Hub), gateway.ClientType(c.Type), draft)
	if err != nil {
		return err
	}
	return printSecret(os.Stdout, client, secret)
}

type oneClient struct {
	dataFlags
	Client string `arg:"" help:"Id of the client, such as cli_…"`
}

type clientsRotate struct {
	oneClient
	Overlap time.Duration `help:"How long the secret before goes on working." default:"24h"`
}

// Run makes another secret and prints it.
func (c *clientsRotate) Run(ctx context.Context) error {
	db, clients, err := openClients(ctx, c.dataFlags)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	client, secret, err := clients.RotateSecret(ctx, console(""), c.Client, c.Overlap)
	if err != nil {
		return err
	}
	return printSecret(os.Stdout, client, secret)
}

func printSecret(w io.Writer, c gateway.Client, secret gateway.Secret) error {
	out := map[string]any{"client_id": c.ID}
	if secret != "" {
		out["client_secret"] = secret.Reveal()
		fmt.Fprintln(os.Stderr, "The secret is shown only now.")
	}
	if c.OldSecretUntil != nil {
		out["old_secret_until"] = c.OldSecretUntil
	}
	text, err := json.MarshalIndent(out, "", "  ")
	if err == nil {
		_, err = fmt.Fprintln(w, string(text))
	}
	return err
}

type clientsDisable struct{ oneClient }

// Run switches the client off.
func (c *clientsDisable) Run(ctx context.Context) error { return c.turn(ctx, false) }

type clientsEnable struct{ oneClient }

// Run switches the client on.
func (c *clientsEnable) Run(ctx context.Context) error { return c.turn(ctx, true) }

func (c *oneClient) turn(ctx context.Context, on bool) error {
	db, clients, err := openClients(ctx, c.dataFlags)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	have, err := clients.Get(ctx, console(""), c.Client)
	if err != nil {
		return err
	}
	if _, err = clients.Update(ctx, console(""), c.Client, have.Version, gateway.ClientDraft{Enabled: &on}); err != nil {
		return err
	}
	fmt.Printf("%s is %s.\n", have.Name, map[bool]string{true: "enabled", false: "disabled"}[on])
	return nil
}

type clientsDelete struct{ oneClient }

// Run removes the client.
func (c *clientsDelete) Run(ctx context.Context) error {
	db, clients, err := openClients(ctx, c.dataFlags)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := clients.Delete(ctx, console(""), c.Client); err != nil {
		return err
	}
	fmt.Println("Removed.")
	return nil
}
