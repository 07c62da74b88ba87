package gateway

import (
	"context"
	"slices"
)

// OAuth is the authorization server's rules: what people allow apps, and what apps get for it. Safe
// for concurrent use.
type OAuth struct {
	Store    Store
	Clock    Clock
	Hubs     *Hubs
	Attempts *Attempts // slows down guessing the codes of devices
}

// Client gives a client that is not disabled, NotFound otherwise.
func (s *OAuth) Client(ctx context.Context, id string) (Client, error) {
	c, err := s.Store.Clients().Get(ctx, AnyHub, id)
	if CodeOf(err) == NotFound || (err == nil && c.DisabledAt != nil) {
		return Client{}, E(NotFound, "client_not_found", "There is no such app, or it was disabled.").Next("Tell the makers of the app.")
	}
	return c, err
}

// KnownOrigin tells whether pages of an origin belong to a client.
func (s *OAuth) KnownOrigin(ctx context.Context, origin string) (bool, error) {
	if len(origin) > 300 {
		return false, nil
	}
	return s.Store.Clients().HasOrigin(ctx, origin)
}

// Begin keeps an authorization request until a person decides. Its redirect URI must be verified.
func (s *OAuth) Begin(ctx context.Context, r AuthorizationRequest) (AuthorizationRequest, error) {
	r.Row = Row{ID: NewID("arq")}
	r.ExpiresAt = s.Clock().Add(RequestLife)
	return r, s.Store.AuthorizationRequests().Insert(ctx, &r)
}

// Ask is a question to a person: may this client do this, in which of these hubs?
type Ask struct {
	Client      Client
	Scopes      []string
	Hubs        []AskHub // in which the person can allow it; none: they are not in the client's hub
	RedirectURI string   // where the answer goes; empty for a device
}

// AskHub is a hub of a question.
type AskHub struct {
	Hub     Hub
	Person  Participant
	Allowed bool // all that is asked for was allowed there before
}

// ask makes the question for a person.
func (s *OAuth) ask(ctx context.Context, ses Session, clientID string, scopes []string) (Ask, error) {
	c, err := s.Client(ctx, clientID)
	if err != nil {
		return Ask{}, err
	}
	in, err := s.Hubs.Belongings(ctx, ses.Issuer, ses.Subject)
	if err != nil {
		return Ask{}, err
	}
	out := Ask{Client: c, Scopes: scopes}
	for _, b := range in {
		if c.HubID != "" && c.HubID != b.Hub.ID {
			continue
		}
		g, err := s.Store.Grants().Latest(ctx, c.ID, b.Participant.ID)
		if err != nil && CodeOf(err) != NotFound {
			return Ask{}, err
		}
		out.Hubs = append(out.Hubs, AskHub{Hub: b.Hub, Person: b.Participant, Allowed: err == nil && g.RevokedAt == nil && covers(g.Consented, scopes)})
	}
	return out, nil
}

// Asked gives the question of an authorization request. NotFound when it is unknown, expired or decided.
func (s *OAuth) Asked(ctx context.Context, ses Session, requestID string) (Ask, error) {
	r, err := s.request(ctx, s.Store, requestID)
	if err != nil {
		return Ask{}, err
	}
	a, err := s.ask(ctx, ses, r.ClientID, r.Scopes)
	a.RedirectURI = r.RedirectURI
	return a, err
}

// Remembered tells in which hub a person allowed all that is asked for already, when there is no
// other to choose. A program on a device could be any, so its people are asked always.
func (s *OAuth) Remembered(ctx context.Context, ses Session, c Client, scopes []string) (hubID string, _ error) {
	if c.Type == ClientNative {
		return "", nil
	}
	a, err := s.ask(ctx, ses, c.ID, scopes)
	if err != nil || len(a.Hubs) != 1 || !a.Hubs[0].Allowed {
		return "", err
	}
	return a.Hubs[0].Hub.ID, nil
}

func (s *OAuth) request(ctx context.Context, t Tables, id string) (AuthorizationRequest, error) {
	r, err := t.AuthorizationRequests().Get(ctx, AnyHub, id)
	if CodeOf(err) == NotFound || (err == nil && (r.DecidedAt != nil || !s.Clock().Before(r.ExpiresAt))) {
		return AuthorizationRequest{}, E(NotFound, "request_expired", "This request was answered already, or it took too long.").
			Next("Go back to the app and begin again.")
	}
	return r, err
}

// Answer is what goes back to the client by way of its redirect URI: a code, or none when denied.
type Answer struct {
	RedirectURI string
	State       string
	Code        string
}

// Decide answers an authorization request in the name of a signed-in person.
func (s *OAuth) Decide(ctx context.Context, ses Session, requestID, hubID string, allow bool) (Answer, error) {
	code := NewToken()
	var out Answer
	decide := func(tx Tx) error {
		r, err := s.request(ctx, tx, requestID)
		if err != nil {
			return err
		}
		now := s.Clock()
		r.DecidedAt = &now
		if err := tx.AuthorizationRequests().Update(ctx, &r); err != nil {
			return err
		}
		out = Answer{RedirectURI: r.RedirectURI, State: r.State}
		if !allow {
			return nil
		}
		g, err := s.allow(ctx, tx, ses, r.ClientID, hubID, r.Scopes, ViaConsent)
		if err != nil {
			return err
		}
		out.Code = code
		return tx.AuthorizationCodes().Insert(ctx, &AuthorizationCode{
			Row: Row{ID: hashToken(code), HubID: g.HubID}, GrantID: g.ID, ClientID: r.ClientID, ParticipantID: g.ParticipantID,
			Scopes: r.Scopes, RedirectURI: r.RedirectURI, Challenge: r.Challenge, ExpiresAt: now.Add(CodeLife),
		})
	}
	// Another tab may decide this or another question of the app at the same moment.
	err := retryConflict(func() error { return s.Store.Tx(ctx, decide) })
	if err != nil {
		return Answer{}, err
	}
	return out, nil
}

// allow writes down what a signed-in person allows a client in a hub.
func (s *OAuth) allow(ctx context.Context, tx Tx, ses Session, clientID, hubID string, scopes []string, via GrantVia) (Grant, error) {
	c, err := tx.Clients().Get(ctx, AnyHub, clientID)
	if err != nil {
		return Grant{}, err
	}
	if hubID == "" || hubID == string(AnyHub) || (c.HubID != "" && c.HubID != hubID) || c.DisabledAt != nil {
		return Grant{}, hubNotFound()
	}
	people, err := tx.Participants().BySubject(ctx, Scope(hubID), ses.Issuer, ses.Subject)
	if err != nil {
		return Grant{}, err
	}
	i := slices.IndexFunc(people, func(p Participant) bool { return p.SuspendedAt == nil })
	if i < 0 {
		return Grant{}, hubNotFound()
	}
	return s.grant(ctx, tx, c, people[i], scopes, via)
}

// grant gives the grant of a person to a client with at least the scopes. What was not decided by the
// person on a page of ours is not remembered as their consent.
func (s *OAuth) grant(ctx context.Context, tx Tx, c Client, p Participant, scopes []string, via GrantVia) (Grant, error) {
	g, err := tx.Grants().Latest(ctx, c.ID, p.ID)
	if ignoreNotFound(err) != nil {
		return Grant{}, err
	}
	live := err == nil && g.RevokedAt == nil
	if !live {
		g = Grant{Row: Row{ID: NewID("gnt"), HubID: p.HubID}, ClientID: c.ID, ParticipantID: p.ID, Via: via}
	}
	if live && covers(g.Scopes, scopes) && (via == ViaExchange || covers(g.Consented, scopes)) {
		return g, nil
	}
	g.Scopes = inOrder(slices.Concat(g.Scopes, scopes))
	if via != ViaExchange {
		g.Consented = inOrder(slices.Concat(g.Consented, scopes))
	}
	if live {
		err = tx.Grants().Update(ctx, &g)
	} else {
		err = tx.Grants().Insert(ctx, &g)
	}
	if err != nil {
		return Grant{}, err
	}
	return g, audit(ctx, tx, p.actor(), "grant.allow", g.ID, map[string]any{"client": c.ID, "client_name": c.Name, "scopes": g.Scopes, "via": via})
}

// MyGrant is a grant as its person sees it.
type MyGrant struct {
	Grant  Grant
	Client Client
	Hub    Hub
}

// asks tells whether a person whose grant was revoked is asked again by the app itself. Where they are
// not, they allow it again in their list: what the hub's platform brought along never asked them, and
// an app without redirect URIs cannot.
func (g Grant) asks(c Client) bool {
	return g.Via != ViaExchange && (c.Type == ClientNative || len(c.RedirectURIs) > 0)
}

// Grants lists what a person allows apps, in all their hubs. It names revoked ones of apps that do not
// ask the person for access again, so that the person can allow it (AllowAgain).
func (s *OAuth) Grants(ctx context.Context, ses Session) ([]MyGrant, error) {
	in, err := s.Hubs.Belongings(ctx, ses.Issuer, ses.Subject)
	if err != nil {
		return nil, err
	}
	out := []MyGrant{}
	for _, b := range in {
		grants, err := s.Store.Grants().OfParticipant(ctx, b.Participant.ID, Slice{})
		if err != nil {
			return nil, err
		}
		seen := map[string]bool{}
		for _, g := range grants {
			older := seen[g.ClientID]
			seen[g.ClientID] = true
			if older {
				continue
			}
			c, err := s.Store.Clients().Get(ctx, AnyHub, g.ClientID)
			if ignoreNotFound(err) != nil {
				return nil, err
			}
			if err != nil || (g.RevokedAt != nil && g.asks(c)) {
				continue
			}
			out = append(out, MyGrant{g, c, b.Hub})
		}
	}
	return out, nil
}

// RevokeGrant takes back what a person allowed an app. Its tokens stop working at once, because every
// request looks here. Repeating it is harmless; another person's grant is NotFound.
func (s *OAuth) RevokeGrant(ctx context.Context, ses Session, id string) error {
	return s.mine(ctx, ses, id, func(tx Tx, g Grant, p Participant) error {
		if g.RevokedAt != nil {
			return nil
		}
		now := s.Clock()
		g.RevokedAt = &now
		if err := tx.Grants().Update(ctx, &g); err != nil {
			return err
		}
		return audit(ctx, tx, p.actor(), "grant.revoke", g.ID, map[string]any{"client": g.ClientID})
	})
}

// AllowAgain gives back what a person took from an app that does not ask for it itself.
func (s *OAuth) AllowAgain(ctx context.Context, ses Session, id string) error {
	return s.mine(ctx, ses, id, func(tx Tx, g Grant, p Participant) error {
		c, err := tx.Clients().Get(ctx, AnyHub, g.ClientID)
		if err != nil || g.RevokedAt == nil || g.asks(c) {
			return err
		}
		last, err := tx.Grants().Latest(ctx, c.ID, p.ID)
		if err != nil || last.ID != g.ID { // allowed again already
			return err
		}
		_, err = s.grant(ctx, tx, c, p, both(g.Scopes, c.Scopes), g.Via)
		return err
	})
}

// mine runs a change of a person's own grant.
func (s *OAuth) mine(ctx context.Context, ses Session, id string, f func(Tx, Grant, Participant) error) error {
	return retryConflict(func() error {
		return s.Store.Tx(ctx, func(tx Tx) error {
			g, err := tx.Grants().Get(ctx, AnyHub, id)
			if ignoreNotFound(err) != nil {
				return err
			}
			p, perr := tx.Participants().Get(ctx, Scope(g.HubID), g.ParticipantID)
			if ignoreNotFound(perr) != nil {
				return perr
			}
			if err != nil || perr != nil || p.Issuer != ses.Issuer || p.Subject != ses.Subject || p.SuspendedAt != nil {
				return E(NotFound, "grant_not_found", "You have given no such access.").Next("Load the list again.")
			}
			return f(tx, g, p)
		})
	})
}
