package gateway

import (
	"context"
	"crypto/subtle"
	"slices"
	"time"
	"unicode/utf8"
)

// Clients registers OAuth clients, for the admins of a hub and for operators.
type Clients struct {
	Store Store
	Clock Clock
}

// MaxSecretOverlap is how long a replaced secret can go on working.
const MaxSecretOverlap = 7 * 24 * time.Hour

const maxClients = 200 // of a hub

// ClientDraft is what is said of a client. Nil stays as it is; of a new one it is empty.
type ClientDraft struct {
	Name         *string
	RedirectURIs *[]string
	Origins      *[]string
	Scopes       *[]string
	JWKS         *string // of a client that authenticates with a key: a JWK set of public keys
	Enabled      *bool
}

// accepts tells whether a secret is the client's, or the one before it while both work. Constant time.
func (c Client) accepts(secret Secret, now time.Time) bool {
	hash := sum(secret.Reveal())
	right := subtle.ConstantTimeCompare(hash, c.SecretHash) // no hash is never equal
	old := subtle.ConstantTimeCompare(hash, c.OldSecretHash)
	if c.OldSecretUntil == nil || !now.Before(*c.OldSecretUntil) {
		old = 0
	}
	return right|old == 1
}

// List gives a hub's clients, newest first; to an operator who names no hub, all of the installation.
func (s *Clients) List(ctx context.Context, a Actor, w Slice) ([]Client, error) {
	if err := clientsAdmin(a); err != nil {
		return nil, err
	}
	return s.Store.Clients().List(ctx, clientScope(a), w)
}

// Get gives one client.
func (s *Clients) Get(ctx context.Context, a Actor, id string) (Client, error) {
	if err := clientsAdmin(a); err != nil {
		return Client{}, err
	}
	return findClient(ctx, s.Store, a, id)
}

// Create registers a client and gives its secret, which is not kept, if it has one: a machine or web
// client without keys does. Type and way to authenticate stay what they are.
func (s *Clients) Create(ctx context.Context, a Actor, kind ClientType, d ClientDraft) (Client, Secret, error) {
	if err := clientsAdmin(a); err != nil {
		return Client{}, "", err
	}
	c := Client{Row: Row{ID: NewID("cli"), HubID: a.HubID}, Type: kind, CreatedBy: a.Subject()}
	var secret Secret
	switch kind {
	case ClientMachine, ClientWeb:
		if c.AuthMethod = AuthKey; d.JWKS == nil {
			c.AuthMethod, secret = AuthSecret, Secret(NewToken())
			c.SecretHash = sum(secret.Reveal())
		}
	case ClientBrowser, ClientNative:
		c.AuthMethod = AuthNone
	default:
		return Client{}, "", E(Invalid, "client_type", "There is no such type of client.").Next("Use machine, web, browser or native.").At("/type")
	}
	if err := s.apply(&c, a, d); err != nil {
		return Client{}, "", err
	}
	err := s.Store.Tx(ctx, func(tx Tx) error {
		have, err := tx.Clients().List(ctx, Scope(a.HubID), Slice{Limit: maxClients})
		if err != nil {
			return err
		}
		if len(have) >= maxClients {
			return E(Conflict, "too_many_clients", "There are 200 clients already.").Next("Delete one that is no longer used.")
		}
		if err := tx.Clients().Insert(ctx, &c); err != nil {
			return err
		}
		if err := audit(ctx, tx, a, "client.create", c.ID, clientData(c)); err != nil {
			return err
		}
		return answered(ctx, tx, ClientWithSecret{c, secret})
	})
	return c, secret, err
}

// ClientWithSecret is a client together with its new secret, for the one answer that shows it.
type ClientWithSecret struct {
	Client
	New Secret
}

// Update changes a client; version is the one it was read with. A disabled client gets no tokens, and
// those it has stop working at once.
func (s *Clients) Update(ctx context.Context, a Actor, id string, version int64, d ClientDraft) (Client, error) {
	var c Client
	err := s.change(ctx, a, id, "client.change", "", func(saved *Client) error {
		if saved.Version != version {
			return stale()
		}
		return s.apply(saved, a, d)
	}, &c)
	return c, err
}

// RotateSecret gives a client another secret, which is not kept. The one before goes on working for the
// overlap, so that all of the client's servers can be told in time; one older than that ends.
func (s *Clients) RotateSecret(ctx context.Context, a Actor, id string, overlap time.Duration) (Client, Secret, error) {
	if overlap < 0 || overlap > MaxSecretOverlap {
		return Client{}, "", E(Invalid, "overlap", "Both secrets can work together for seven days at most.").
			Next("Give 0 to 604800 seconds.").At("/overlap_seconds")
	}
	secret := Secret(NewToken())
	var c Client
	err := s.change(ctx, a, id, "client.rotate_secret", secret, func(c *Client) error {
		if c.AuthMethod != AuthSecret {
			return E(Conflict, "no_secret", "This client has no secret.").
				Next("Change its keys instead; a browser or native client proves itself by PKCE alone.")
		}
		c.OldSecretHash, c.OldSecretUntil = nil, nil
		if overlap > 0 {
			until := s.Clock().Add(overlap)
			c.OldSecretHash, c.OldSecretUntil = c.SecretHash, &until
		}
		c.SecretHash = sum(secret.Reveal())
		return nil
	}, &c)
	return c, secret, err
}

// Delete removes a client with all that people allowed it. Its tokens stop working at once.
func (s *Clients) Delete(ctx context.Context, a Actor, id string) error {
	if err := clientsAdmin(a); err != nil {
		return err
	}
	return s.Store.Tx(ctx, func(tx Tx) error {
		c, err := findClient(ctx, tx, a, id)
		if err != nil {
			return err
		}
		if c.ID == ClientCommandLine {
			return E(Conflict, "client_built_in", "This client belongs to the installation.").Next("Disable it instead.")
		}
		a.HubID = c.HubID
		if err := tx.Clients().Delete(ctx, Scope(c.HubID), id); err != nil {
			return err
		}
		return audit(ctx, tx, a, "client.delete", id, map[string]any{"name": c.Name})
	})
}

// change runs f on a client and saves what it made of it; secret is one that it gets, if any.
func (s *Clients) change(ctx context.Context, a Actor, id, action string, secret Secret, f func(*Client) error, out *Client) error {
	if err := clientsAdmin(a); err != nil {
		return err
	}
	return s.Store.Tx(ctx, func(tx Tx) error {
		c, err := findClient(ctx, tx, a, id)
		if err != nil {
			return err
		}
		// Who controls a client has its scopes: a token must not reach for more than it has.
		if err := within(a, c.Scopes); err != nil {
			return err
		}
		by := a
		by.HubID = c.HubID
		if err := f(&c); err != nil {
			return err
		}
		if err := tx.Clients().Update(ctx, &c); CodeOf(err) == Conflict {
			return stale()
		} else if err != nil {
			return err
		}
		*out = c
		if err := audit(ctx, tx, by, action, id, clientData(c)); err != nil {
			return err
		}
		return answered(ctx, tx, ClientWithSecret{c, secret})
	})
}

// apply checks what is said of a client and puts it into the row.
func (s *Clients) apply(c *Client, a Actor, d ClientDraft) error {
	var err error
	if d.Name != nil {
		c.Name = cleanText(*d.Name)
	}
	if c.Name == "" {
		return E(Invalid, "name_empty", "The client has no name.").Next("Name it so that people recognise it when they are asked to allow it.").At("/name")
	}
	if utf8.RuneCountInString(c.Name) > maxLabel {
		return labelTooLong("/name")
	}
	if d.RedirectURIs != nil {
		if err := checkRedirects(*d.RedirectURIs); err != nil {
			return err
		}
		c.RedirectURIs = *d.RedirectURIs
	}
	if d.Origins != nil {
		if c.Origins, err = checkOrigins(*d.Origins); err != nil {
			return err
		}
	}
	if d.Scopes != nil {
		if c.Scopes, err = checkScopes(*d.Scopes); err != nil {
			return err
		}
		if err := within(a, c.Scopes); err != nil {
			return err
		}
	}
	if d.JWKS != nil {
		if c.AuthMethod != AuthKey {
			return E(Invalid, "jwks", "This client does not authenticate with a key.").
				Next("Leave the keys out, or register another machine or web client with keys.").At("/jwks")
		}
		if c.JWKS, err = checkJWKS(*d.JWKS); err != nil {
			return err
		}
	}
	if d.Enabled != nil && *d.Enabled != (c.DisabledAt == nil) {
		if c.DisabledAt = nil; !*d.Enabled {
			now := s.Clock()
			c.DisabledAt = &now
		}
	}
	return complete(*c)
}

// complete says what a client of its type lacks.
func complete(c Client) error {
	switch {
	case len(c.Scopes) == 0:
		_, err := checkScopes(nil)
		return err
	case c.Type == ClientMachine && c.HubID == "":
		return E(Invalid, "hub_missing", "A machine client acts in one hub.").Next("Name the hub.").At("/hub")
	case c.Type == ClientMachine && len(c.RedirectURIs) > 0:
		return E(Invalid, "redirect_uri", "Nobody signs in through a machine client, so it has no redirect URIs.").
			Next("Leave them out, or choose another type.").At("/redirect_uris")
	case c.Type == ClientWeb && len(c.RedirectURIs) == 0 && len(c.Origins) == 0:
		return E(Invalid, "redirect_uri", "People reach this client neither by a redirect nor by a page of it.").
			Next("Name the address that takes them back after they allowed it, or the origin of its pages.").At("/redirect_uris")
	case c.Type == ClientBrowser && len(c.Origins) == 0:
		return E(Invalid, "origin", "The pages of a browser client need their origin.").
			Next("Name it in the form https://app.example.org.").At("/origins")
	}
	return nil
}

func findClient(ctx context.Context, t Tables, a Actor, id string) (Client, error) {
	c, err := t.Clients().Get(ctx, clientScope(a), id)
	if CodeOf(err) == NotFound {
		err = E(NotFound, "client_not_found", "There is no such client.").Next("Load the list again.")
	}
	return c, err
}

// clientsAdmin lets pass who may register clients: admins of the hub, machines that may, and operators.
func clientsAdmin(a Actor) error {
	if a.OperatorID != "" {
		return nil
	}
	return adminOnly(a, ScopeClientsAdmin)
}

// clientScope is where an actor sees clients: an operator who is in no hub sees all.
func clientScope(a Actor) Scope {
	if a.OperatorID != "" && a.HubID == "" {
		return AnyHub
	}
	return Scope(a.HubID)
}

// within refuses scopes that the actor's own token lacks: a client with clients:admin could else give
// itself everything.
func within(a Actor, scopes []string) error {
	if a.OperatorID != "" || (a.Scopes == nil && !a.Machine()) {
		return nil
	}
	for _, s := range scopes {
		if !slices.Contains(a.Scopes, s) {
			return E(Forbidden, "scope_beyond", "Your token cannot give a client the scope "+s+", which it lacks itself.").
				Next("Leave it out, ask for a token with the scope %s, or sign in on the page.", s).At("/scopes")
		}
	}
	return nil
}

func clientData(c Client) map[string]any {
	return map[string]any{
		"name": c.Name, "type": c.Type, "scopes": c.Scopes, "redirect_uris": c.RedirectURIs, "origins": c.Origins, "enabled": c.DisabledAt == nil,
	}
}
