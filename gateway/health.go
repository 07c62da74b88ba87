package gateway

import (
	"context"
	"math/rand/v2"
	"slices"
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
		SavedAt: in.UpdatedAt, IntegrationID: in.ID, HubID: in.HubID, Platform: in.Platform, ServiceURL: in.ServiceURL, PartnerID: in.PartnerID,
		AppTokenID: in.AppTokenID, AppToken: token, HashType: in.HashType, MatchBy: in.MatchBy,
		CategoryID: in.CategoryID, Entitlement: in.Entitlement, PrivacyContext: in.PrivacyContext, ConversionProfileID: in.ConversionProfileID,
		PlayerTokenID: in.PlayerTokenID, PlayerToken: player, PlayerHashType: in.PlayerHashType,
	})
	if err != nil {
		return Opened{}, err
	}
	return Opened{Integration: in, Platform: p}, nil
}

// HealthChange is one stretch of a connection's history: how it was, from when to when.
type HealthChange struct {
	Row
	IntegrationID string     `bun:"integration_id"`
	State         Health     `bun:"state"`
	Text          string     `bun:"text"` // one sentence, no secrets; empty when ok
	Since         time.Time  `bun:"since"`
	Until         *time.Time `bun:"until"` // nil = still so
}

// Waiting counts what waits for a connection to work again.
type Waiting struct{ Uploads, Imports int }

const (
	healthLife = 90 * 24 * time.Hour // how long the history goes back

	// flapping changes within flapTime are more than an outage: something answers in between, so
	// that the state is no longer changed by each answer but by probes alone, less and less often.
	flapping = 6
	flapTime = 15 * time.Minute

	// tryEvery is how often a failed request of somebody is noted as a try of ours.
	tryEvery = 5 * time.Second
)

// notAsked are the reasons of answers that were not the platform's own: the adapter was full or
// stopped or could not read what it was to send, or our own database was in trouble.
var notAsked = []string{"kaltura_crowded", "source_failed", "cancelled", "mapping_slow", "database_busy", "database_unreachable", "disk_full"}

// Heard tells how a platform answered somebody's request, so that a revoked App Token or an outage
// shows in the settings at once and not only at the next probe. Costs nothing while nothing changes.
func (s *Integrations) Heard(ctx context.Context, in Integration, answer error) {
	if ctx.Err() != nil {
		return // whoever asked went away, which is no fault of the platform
	}
	h, text := HealthOK, ""
	switch {
	case IsReason(answer, "credentials_invalid"):
		h, text = HealthCredentialsInvalid, AsError(answer).Message
	case answer != nil && slices.Contains(notAsked, AsError(answer).Reason):
		return
	case CodeOf(answer) == Unavailable:
		h, text = HealthDegraded, AsError(answer).Message
	case answer != nil && CodeOf(answer) != NotFound:
		return // says nothing about the connection
	}
	switch {
	case h == in.Health && (h == HealthOK || s.Clock().Sub(in.HealthAt) < tryEvery):
		return
	case in.Health == HealthCredentialsInvalid && h != in.Health:
		return // a session from before still works; only a probe starts a new one and knows
	}
	// The request is answered whether or not this is noted.
	_ = s.note(aside(ctx), in.ID, h, text, func(ctx context.Context, tx Tx, now *Integration, changes bool) error {
		if now.AppTokenID != in.AppTokenID {
			return errUnchanged // of the token that was replaced meanwhile
		}
		return s.heard(ctx, tx, now, changes)
	})
}

// Probe looks after all integrations (task ProbeIntegrations): it asks those that work, so that an
// outage is known before somebody runs into it, and sees to it that the others have their own probe.
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
			if _, err := s.gate(ctx, in.HubID, false); err != nil {
				continue // not in use
			}
			if in.Health != HealthOK {
				if err := s.requeue(ctx, in); err != nil {
					return err
				}
				continue
			}
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			wg.Go(func() {
				defer func() { <-slots }()
				if h, text, asked := s.ask(ctx, in); asked {
					_ = s.setHealth(context.WithoutCancel(ctx), in.ID, h, text) // the next round tries again
				}
			})
		}
		if len(page) < w.Limit {
			return nil
		}
		w.After = page[len(page)-1].ID
	}
}

// requeue queues the probe of a sick connection if it was lost.
func (s *Integrations) requeue(ctx context.Context, in Integration) error {
	return s.Store.Tx(ctx, func(tx Tx) error {
		open, err := tx.Health().Open(ctx, in.ID)
		if CodeOf(err) == NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		return tx.Enqueue(ctx, ProbeIntegration{IntegrationID: in.ID, ChangeID: open.ID}, IfIdle())
	})
}

// RunProbe asks one sick connection whether it works again (task ProbeIntegration). Each change has
// its own chain of probes, which ends with it: a new outage does not wait out the pause of an old one.
func (s *Integrations) RunProbe(ctx context.Context, t ProbeIntegration) error {
	c, err := s.Store.Health().Get(ctx, AnyHub, t.ChangeID)
	if CodeOf(err) == NotFound || err == nil && c.Until != nil {
		return nil
	}
	if err != nil {
		return err
	}
	in, err := s.Store.Integrations().Get(ctx, AnyHub, t.IntegrationID)
	if CodeOf(err) == NotFound {
		return nil // disconnected
	}
	if err != nil {
		return err
	}
	if _, err = s.gate(ctx, in.HubID, false); err != nil {
		return nil // not in use; when it is again, Probe queues this anew
	}
	h, text, asked := s.ask(ctx, in)
	if !asked {
		return ctx.Err()
	}
	pause := probePause(h, s.Clock().Sub(c.Since))
	if err = s.note(context.WithoutCancel(ctx), in.ID, h, text, func(_ context.Context, _ Tx, in *Integration, changes bool) error {
		if !changes {
			next := s.Clock().Add(pause)
			in.NextTryAt = &next
		}
		return nil
	}); err != nil || h != in.Health {
		return err
	}
	return &Snooze{pause}
}

// ask puts the light question to a platform; asked is false when nothing was learned.
func (s *Integrations) ask(ctx context.Context, in Integration) (h Health, text string, asked bool) {
	ask, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	o, err := s.open(in)
	if err == nil {
		p, can := o.Platform.(Pinger)
		if !can {
			return in.Health, in.HealthText, false
		}
		err = p.Ping(ask)
	}
	if ctx.Err() != nil {
		return in.Health, in.HealthText, false // we are stopped, which says nothing about the platform
	}
	h, text = healthOf(Diagnosis{}, err)
	return h, text, true
}

// probePause is how long to wait for the next probe of a connection that has been sick for age:
// soon at first, then less often, with jitter. A refused credential seldom heals by itself.
func probePause(h Health, age time.Duration) time.Duration {
	least, most := 5*time.Second, 5*time.Minute
	if h == HealthCredentialsInvalid {
		least, most = 2*time.Minute, time.Hour
	}
	return jitter(grown(age, least, most))
}

// jitter spreads a pause by a fifth either way, so that what failed together does not come back together.
func jitter(d time.Duration) time.Duration { return d - d/5 + rand.N(2*d/5+1) }

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

// setHealth writes down how a connection answered just now.
func (s *Integrations) setHealth(ctx context.Context, id string, h Health, text string) error {
	return s.note(ctx, id, h, text, nil)
}

// note is setHealth where adjust may change the row before it is written, or return errUnchanged to
// leave all as it is; changes tells it whether the state is another than before.
func (s *Integrations) note(ctx context.Context, id string, h Health, text string, adjust func(_ context.Context, _ Tx, in *Integration, changes bool) error) error {
	err := s.Store.Tx(ctx, func(tx Tx) error {
		in, err := tx.Integrations().Lock(ctx, id)
		if CodeOf(err) == NotFound {
			return nil // disconnected meanwhile
		}
		if err != nil {
			return err
		}
		if adjust != nil {
			was := in.Health
			if err := adjust(ctx, tx, &in, h != was); err != nil {
				return err
			}
		}
		return s.turn(ctx, tx, in, h, text)
	})
	if IsReason(err, errUnchanged.Reason) {
		return nil
	}
	return err
}

// heard keeps a connection that answers some and refuses others from changing with each answer.
func (s *Integrations) heard(ctx context.Context, tx Tx, in *Integration, changes bool) error {
	if !changes || in.Health == HealthOK {
		return nil
	}
	many, err := s.flaps(ctx, tx, in.ID)
	if err == nil && many {
		err = errUnchanged
	}
	return err
}

// flaps tells whether a connection has changed too often of late.
func (s *Integrations) flaps(ctx context.Context, tx Tx, id string) (bool, error) {
	last, err := tx.Health().List(ctx, id, Slice{Limit: flapping})
	if err != nil || len(last) < flapping {
		return false, err
	}
	return s.Clock().Sub(last[flapping-1].Since) < flapTime, nil
}

// turn notes how a connection is, in the transaction of whoever found out; in is locked or new. A
// change is a row of the history, one event however many noticed, and the task that follows from it.
func (s *Integrations) turn(ctx context.Context, tx Tx, in Integration, h Health, text string) error {
	now := s.Clock()
	was := in.Health
	in.Health, in.HealthText, in.HealthAt = h, text, now
	if h == HealthOK {
		in.LastOKAt, in.NextTryAt = &now, nil
	}
	if h == was {
		return tx.Integrations().SetHealth(ctx, &in)
	}
	in.HealthSince = now
	c := HealthChange{Row: Row{ID: NewID("hch"), HubID: in.HubID}, IntegrationID: in.ID, State: h, Text: text, Since: now}
	if err := tx.Health().Close(ctx, in.ID, now); err != nil {
		return err
	}
	if err := tx.Health().Insert(ctx, &c); err != nil {
		return err
	}
	typ := "integration.recovered"
	if h == HealthOK {
		if err := s.resume(ctx, tx, in.ID); err != nil {
			return err
		}
	} else {
		typ = "integration.degraded"
		pause := probePause(h, 0)
		many, err := s.flaps(ctx, tx, in.ID)
		if err != nil {
			return err
		}
		if many {
			pause = jitter(flapTime / flapping)
		}
		next := now.Add(pause)
		in.NextTryAt = &next
		if err := tx.Enqueue(ctx, ProbeIntegration{IntegrationID: in.ID, ChangeID: c.ID}, NotBefore(next)); err != nil {
			return err
		}
	}
	if err := tx.Integrations().SetHealth(ctx, &in); err != nil {
		return err
	}
	if was == "" {
		return nil // connected just now, which is an event of its own
	}
	return s.Events.Append(ctx, tx, in.HubID, "", typ, in.ID, healthData(in))
}

func healthData(in Integration) map[string]any {
	return map[string]any{"health": in.Health, "text": in.HealthText, "since": in.HealthSince}
}
