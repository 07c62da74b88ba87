package gateway

import (
	"context"
	"sync"
	"time"
)

// Opened is an integration ready to be used.
type Opened struct {
	Integration Integration
	Platform    Platform
}

// OpenFor gives the hub's platform after the plan gate; with write false a downgraded hub within
// its grace time passes. Used by Catalog, Library, Uploads and the workers.
func (s *Integrations) OpenFor(ctx context.Context, hubID string, write bool) (Opened, error) {
	if _, err := s.gate(ctx, hubID, write); err != nil {
		return Opened{}, err
	}
	in, err := s.saved(ctx, hubID)
	if err != nil {
		return Opened{}, err
	}
	return s.open(in)
}

func (s *Integrations) open(in Integration) (Opened, error) {
	token, err := s.unseal(in)
	if err != nil {
		return Opened{}, err
	}
	player, err := s.unsealPlayer(in)
	if err != nil {
		return Opened{}, err
	}
	p, err := s.Platforms.Open(Account{
		IntegrationID: in.ID, HubID: in.HubID, Platform: in.Platform, ServiceURL: in.ServiceURL, PartnerID: in.PartnerID,
		AppTokenID: in.AppTokenID, AppToken: token, HashType: in.HashType, MatchBy: in.MatchBy,
		CategoryID: in.CategoryID, Entitlement: in.Entitlement, PrivacyContext: in.PrivacyContext, ConversionProfileID: in.ConversionProfileID,
		PlayerTokenID: in.PlayerTokenID, PlayerToken: player, PlayerHashType: in.PlayerHashType,
	})
	if err != nil {
		return Opened{}, err
	}
	return Opened{Integration: in, Platform: p}, nil
}

// Heard tells how a platform answered somebody's request, so that a revoked App Token or an outage
// shows in the settings at once and not only at the next Probe. Costs nothing while nothing changes.
func (s *Integrations) Heard(ctx context.Context, in Integration, answer error) {
	if ctx.Err() != nil {
		return // whoever asked went away, which is no fault of the platform
	}
	h, text := HealthOK, ""
	switch {
	case IsReason(answer, "credentials_invalid"):
		h, text = HealthCredentialsInvalid, AsError(answer).Message
	case CodeOf(answer) == Unavailable:
		h, text = HealthDegraded, AsError(answer).Message
	case answer != nil && CodeOf(answer) != NotFound:
		return // says nothing about the connection
	}
	if h != in.Health {
		_ = s.setHealth(context.WithoutCancel(ctx), in.ID, h, text) // the request is answered whether or not this is noted
	}
}

// Probe asks every integration for its health and records changes as events (task ProbeIntegrations).
func (s *Integrations) Probe(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, 8) // one dead server must not hold up the others
	for w := (Slice{Limit: 100}); ; {
		page, err := s.Store.Integrations().All(ctx, w)
		if err != nil {
			return err
		}
		for _, in := range page {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			wg.Go(func() {
				defer func() { <-slots }()
				s.probe(ctx, in)
			})
		}
		if len(page) < w.Limit {
			return nil
		}
		w.After = page[len(page)-1].ID
	}
}

func (s *Integrations) probe(ctx context.Context, in Integration) {
	if _, err := s.gate(ctx, in.HubID, false); err != nil {
		return // not in use
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var d Diagnosis
	o, err := s.open(in)
	if err == nil {
		prober, ok := o.Platform.(Prober)
		if !ok {
			return
		}
		d, err = prober.Probe(ctx, in.Visibility)
	}
	if ctx.Err() != nil && err == nil {
		return
	}
	h, text := healthOf(d, err)
	_ = s.setHealth(context.WithoutCancel(ctx), in.ID, h, text) // the next probe tries again
}

// healthOf reads a diagnosis as a state of the connection.
func healthOf(d Diagnosis, err error) (Health, string) {
	if err != nil {
		if IsReason(err, "credentials_invalid") || IsReason(err, "app_token_unreadable") {
			return HealthCredentialsInvalid, AsError(err).Message
		}
		return HealthDegraded, AsError(err).Message
	}
	for _, c := range d.Checks {
		if c.State == "failed" && (c.ID == CheckReach || c.ID == CheckSession) {
			if c.refusesCredential() {
				return HealthCredentialsInvalid, c.Text
			}
			return HealthDegraded, c.Text
		}
		if c.State == "failed" && c.ID == CheckPlayer { // everything but restricted media goes on
			return HealthDegraded, c.Text
		}
	}
	return HealthOK, ""
}

// setHealth writes the health and, when it changed, an event; one event however many noticed.
func (s *Integrations) setHealth(ctx context.Context, id string, h Health, text string) error {
	return s.Store.Tx(ctx, func(tx Tx) error {
		in, err := tx.Integrations().Get(ctx, AnyHub, id)
		if CodeOf(err) == NotFound {
			return nil // disconnected meanwhile
		}
		if err != nil {
			return err
		}
		if err := tx.Integrations().SetHealth(ctx, id, h, text, s.Clock()); err != nil {
			return err
		}
		if in.Health == h {
			return nil
		}
		typ := "integration.degraded"
		if h == HealthOK {
			typ = "integration.recovered"
			if err := s.resume(ctx, tx, in.HubID, id); err != nil {
				return err
			}
		}
		in.Health, in.HealthText = h, text
		return s.Events.Append(ctx, tx, in.HubID, "", typ, id, healthData(in))
	})
}

func healthData(in Integration) map[string]any {
	return map[string]any{"health": in.Health, "text": in.HealthText}
}
