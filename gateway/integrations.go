package gateway

import (
	"context"
	"time"
)

// PlatformKaltura is the one platform so far.
const PlatformKaltura = "kaltura"

// Integrations connects hubs to accounts.
type Integrations struct {
	Recovered func() // called when a connection works again or has a new credential; may be nil, must not block
	Store     Store
	Clock     Clock
	Sealer    Sealer
	Platforms Platforms
	Events    *Events
	Grace     time.Duration // how long links stay readable after a downgrade
	Lanes     *Lanes        // one for all services; nil = no limits

	hooks hookLimits
}

// Get gives the hub's integration. NotFound with reason "not_connected", Forbidden with reason "plan_too_low".
func (s *Integrations) Get(ctx context.Context, a Actor) (Integration, error) {
	if _, err := s.gate(ctx, a.HubID, false); err != nil {
		return Integration{}, err
	}
	return s.saved(ctx, a.HubID)
}

// gate gives the hub if its plan lets it use integrations.
func (s *Integrations) gate(ctx context.Context, hubID string, write bool) (Hub, error) {
	hub, err := s.Store.Hubs().Get(ctx, Scope(hubID), hubID)
	if CodeOf(err) == NotFound {
		return Hub{}, hubNotFound()
	}
	if err != nil {
		return Hub{}, err
	}
	return hub, planGate(hub, write, s.Grace, s.Clock())
}

func (s *Integrations) saved(ctx context.Context, hubID string) (Integration, error) {
	in, err := s.Store.Integrations().ByHub(ctx, hubID, PlatformKaltura)
	if CodeOf(err) == NotFound {
		return Integration{}, E(NotFound, "not_connected", "This hub is not connected to Kaltura.").
			Next("An administrator connects it under Hub settings → Integrations → Kaltura.")
	}
	return in, err
}

// adminGate is what every change of settings passes: an administrator, a plan that allows it.
func (s *Integrations) adminGate(ctx context.Context, a Actor) (Hub, error) {
	if err := adminOnly(a, ScopeConnectionsAdmin); err != nil {
		return Hub{}, err
	}
	return s.gate(ctx, a.HubID, true)
}

// Verify diagnoses a connection without saving it (empty fields are taken from the saved one, if any).
func (s *Integrations) Verify(ctx context.Context, a Actor, c Connection) (Diagnosis, error) {
	if _, err := s.adminGate(ctx, a); err != nil {
		return Diagnosis{}, err
	}
	saved, err := s.saved(ctx, a.HubID)
	if err != nil && CodeOf(err) != NotFound {
		return Diagnosis{}, err
	}
	if err == nil {
		if c, err = s.over(c, saved); err != nil {
			return Diagnosis{}, err
		}
	}
	c, d, err := s.diagnose(ctx, a.HubID, c)
	if err != nil {
		return Diagnosis{}, err
	}
	// What Save would refuse although every check passed is told here already.
	if r := AsError(c.refuse(d)); r != nil && (r.Reason == "fixed_user_in_own_mode" || r.Reason == "admin_session_in_own_mode" || r.Reason == "match_by_user_id_only") {
		d.Warnings = append([]string{r.Message + " " + r.NextStep}, d.Warnings...)
	}
	return d, nil
}

func (s *Integrations) over(c Connection, in Integration) (Connection, error) {
	return c.over(in, func() (Secret, error) { return s.unseal(in) }, func() (Secret, error) { return s.unsealPlayer(in) })
}

// unsealPlayer gives the second App Token, "" when there is none.
func (s *Integrations) unsealPlayer(in Integration) (Secret, error) {
	if in.PlayerTokenID == "" {
		return "", nil
	}
	token, err := s.Sealer.Open(in.PlayerToken, in.PlayerPlace())
	if err != nil {
		return "", E(Internal, "app_token_unreadable", "The saved player App Token cannot be opened with this server's key.").
			Next("An administrator of the hub pastes the player App Token again.").Because(err)
	}
	return token, nil
}

func (s *Integrations) unseal(in Integration) (Secret, error) {
	token, err := s.Sealer.Open(in.AppToken, in.Place())
	if err != nil {
		return "", E(Internal, "app_token_unreadable", "The saved App Token cannot be opened with this server's key.").
			Next("An administrator of the hub pastes the App Token again.").Because(err)
	}
	return token, nil
}

// diagnose asks the platform what a connection can do, outside of any transaction.
func (s *Integrations) diagnose(ctx context.Context, hubID string, c Connection) (Connection, Diagnosis, error) {
	c, err := c.checked()
	if err != nil {
		return c, Diagnosis{}, err
	}
	account := Account{
		IntegrationID: integrationID(hubID, PlatformKaltura, c.ServiceURL, c.PartnerID), HubID: hubID, Platform: PlatformKaltura,
		ServiceURL: c.ServiceURL, PartnerID: c.PartnerID, AppTokenID: c.AppTokenID, AppToken: c.AppToken, HashType: c.HashType, MatchBy: c.MatchBy,
	}
	c.Options.onto(&account)
	p, err := s.Platforms.Open(account)
	if err != nil {
		e := *AsError(err)
		if e.Code == Invalid && e.Field == "" {
			e.Field = "/service_url"
		}
		if e.NextStep == "" {
			e.NextStep = "Use the public address of the Kaltura server, for example https://www.kaltura.com."
		}
		return c, Diagnosis{}, &e
	}
	prober, ok := p.(Prober)
	if !ok {
		return c, Diagnosis{At: s.Clock(), SessionType: "user", EntryCount: -1}, nil
	}
	d, err := prober.Probe(ctx, c.Visibility)
	if err != nil {
		return c, Diagnosis{}, err
	}
	if d.At.IsZero() {
		d.At = s.Clock()
	}
	return c, c.advise(d), nil
}

// Save connects, changes or rotates: validates, diagnoses, refuses what cannot work, seals and
// saves. The old token stays in use until the new one has passed. version 0 means "there is none
// yet" (Conflict with reason "already_connected" otherwise); another one must be the saved version
// (Precondition with reason "stale" otherwise). Another account needs a disconnect first (Conflict
// with reason "other_account"): mappings and links belong to the account they were made on.
func (s *Integrations) Save(ctx context.Context, a Actor, version int64, c Connection) (Integration, error) {
	return s.save(ctx, a, version, c, func(Tx) error { return nil })
}

func (s *Integrations) save(ctx context.Context, a Actor, version int64, c Connection, also func(Tx) error) (Integration, error) {
	if _, err := s.adminGate(ctx, a); err != nil {
		return Integration{}, err
	}
	saved, err := s.saved(ctx, a.HubID)
	connected := err == nil
	switch {
	case err != nil && (CodeOf(err) != NotFound || version != 0):
		return Integration{}, err
	case connected && version == 0:
		return Integration{}, alreadyConnected()
	case connected && version != saved.Version:
		return Integration{}, stale()
	}
	if connected {
		if c, err = s.over(c, saved); err != nil {
			return Integration{}, err
		}
	}
	c, d, err := s.diagnose(ctx, a.HubID, c)
	if err != nil {
		return Integration{}, err
	}
	if connected && (c.ServiceURL != saved.ServiceURL || c.PartnerID != saved.PartnerID) {
		return Integration{}, E(Conflict, "other_account", "This hub is connected to another Kaltura account, to which its people and links belong.").
			Next("Disconnect that account first, then connect this one.")
	}
	if err := c.refuse(d); err != nil {
		return Integration{}, err
	}
	next := saved
	if !connected {
		next = Integration{
			Row:      Row{ID: integrationID(a.HubID, PlatformKaltura, c.ServiceURL, c.PartnerID), HubID: a.HubID},
			Platform: PlatformKaltura, ServiceURL: c.ServiceURL, PartnerID: c.PartnerID,
		}
	}
	if next.AppToken, err = s.Sealer.Seal(c.AppToken, next.Place()); err != nil {
		return Integration{}, AsError(err)
	}
	next.AppTokenID, next.TokenLast4, next.HashType = c.AppTokenID, c.AppToken.Last4(), c.HashType
	next.Visibility, next.MappingMode, next.MatchBy = c.Visibility, c.MappingMode, c.MatchBy
	c.Options.apply(&next)
	next.PlayerToken = nil
	if next.PlayerTokenID != "" {
		if next.PlayerToken, err = s.Sealer.Seal(c.Options.PlayerToken, next.PlayerPlace()); err != nil {
			return Integration{}, AsError(err)
		}
	}
	next.Diagnosis = d
	before := next
	err = s.Store.Tx(ctx, func(tx Tx) error {
		next = before // Tx may run this again
		if err := also(tx); err != nil {
			return err
		}
		if connected {
			if err := tx.Integrations().Update(ctx, &next); err != nil {
				if CodeOf(err) == Conflict {
					return stale()
				}
				return err
			}
			if err := s.resume(ctx, tx, next.ID); err != nil {
				return err
			}
		} else if err := tx.Integrations().Insert(ctx, &next); err != nil {
			if CodeOf(err) == Conflict {
				return alreadyConnected()
			}
			return err
		}
		locked, err := tx.Integrations().Lock(ctx, next.ID)
		if err != nil {
			return err
		}
		if err := s.turn(ctx, tx, locked, HealthOK, ""); err != nil {
			return err
		}
		if next, err = tx.Integrations().Get(ctx, AnyHub, next.ID); err != nil {
			return err
		}
		return s.recordSave(ctx, tx, a, saved, next, connected)
	})
	if err != nil {
		return Integration{}, err
	}
	// Work under way moves over to the new token now: the old one may be deleted any time.
	if _, err := s.open(next); err != nil {
		return Integration{}, err
	}
	return next, nil
}

func (s *Integrations) recordSave(ctx context.Context, tx Tx, a Actor, old, now Integration, change bool) error {
	action, event := "integration.connect", "integration.connected"
	data := map[string]any{
		"service_url": now.ServiceURL, "partner_id": now.PartnerID, "visibility": now.Visibility,
		"app_token_id": now.AppTokenID, "mapping_mode": now.MappingMode, "match_by": now.MatchBy,
		"category_id": now.CategoryID, "entitlement": now.Entitlement, "privacy_context": now.PrivacyContext,
		"conversion_profile_id": now.ConversionProfileID, "player_token_id": now.PlayerTokenID,
	}
	if change {
		action, event = "integration.change", "integration.changed"
		data["app_token_replaced"] = old.AppTokenID != now.AppTokenID
		if old.Visibility != now.Visibility {
			// Who let everybody see everything, and when, must be found at a glance.
			if err := audit(ctx, tx, a, "integration.visibility", now.ID, map[string]any{"from": old.Visibility, "to": now.Visibility}); err != nil {
				return err
			}
		}
		if old.CategoryID != now.CategoryID { // as above
			if err := audit(ctx, tx, a, "integration.category", now.ID, map[string]any{"from": old.CategoryID, "to": now.CategoryID}); err != nil {
				return err
			}
		}
	}
	if err := audit(ctx, tx, a, action, now.ID, data); err != nil {
		return err
	}
	return s.Events.Append(ctx, tx, now.HubID, "", event, now.ID, map[string]any{"visibility": now.Visibility, "health": now.Health})
}

// Impact is what a disconnect would break.
type Impact struct{ Links, Uploads, Mappings int }

// Impact counts it.
func (s *Integrations) Impact(ctx context.Context, a Actor) (Impact, error) {
	if err := adminOnly(a, ScopeConnectionsAdmin); err != nil {
		return Impact{}, err
	}
	in, err := s.saved(ctx, a.HubID)
	if err != nil {
		return Impact{}, err
	}
	return s.Store.Integrations().Uses(ctx, in.ID)
}

// Disconnect removes the integration, its secret and its mappings. Links stay listed and say why
// they do not play. A hub whose plan no longer allows integrations may still disconnect; version 0
// takes whatever version is saved, for an admin who can no longer read it.
func (s *Integrations) Disconnect(ctx context.Context, a Actor, version int64) error {
	if err := adminOnly(a, ScopeConnectionsAdmin); err != nil {
		return err
	}
	return s.Store.Tx(ctx, func(tx Tx) error {
		in, err := tx.Integrations().ByHub(ctx, a.HubID, PlatformKaltura)
		if CodeOf(err) == NotFound {
			_, err = s.saved(ctx, a.HubID)
			return err
		}
		if err != nil {
			return err
		}
		if version != 0 && version != in.Version {
			return stale()
		}
		uses, err := tx.Integrations().Uses(ctx, in.ID)
		if err != nil {
			return err
		}
		if err := tx.Integrations().Delete(ctx, Scope(a.HubID), in.ID); err != nil {
			return err
		}
		if err := audit(ctx, tx, a, "integration.disconnect", in.ID, map[string]any{
			"service_url": in.ServiceURL, "partner_id": in.PartnerID,
			"links": uses.Links, "uploads": uses.Uploads, "mappings": uses.Mappings,
		}); err != nil {
			return err
		}
		return s.Events.Append(ctx, tx, in.HubID, "", "integration.disconnected", in.ID, map[string]any{})
	})
}

func alreadyConnected() *Error {
	return E(Conflict, "already_connected", "This hub is connected to Kaltura already.").
		Next("Open the settings again and change the connection, or disconnect it first.")
}

func stale() *Error {
	return E(Precondition, "stale", "Somebody else changed this in the meantime.").
		Next("Load it again, look at the change and save again.")
}
