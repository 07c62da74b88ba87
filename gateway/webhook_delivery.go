package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// DeliveryState is how far a delivery is.
type DeliveryState string

// The states of a delivery.
const (
	DeliveryPending   DeliveryState = "pending" // to be tried, perhaps again
	DeliveryDelivered DeliveryState = "delivered"
	DeliveryFailed    DeliveryState = "failed"
)

// WebhookDelivery is one event on its way to one endpoint; its id is the webhook-id of all attempts.
type WebhookDelivery struct {
	Row
	EndpointID string        `bun:"endpoint_id"`
	EventID    string        `bun:"event_id"` // empty of a test
	EventType  string        `bun:"event_type"`
	Body       string        `bun:"body"` // what is sent, byte by byte
	State      DeliveryState `bun:"state"`
	Attempts   int64         `bun:"attempts"`
	Status     int64         `bun:"status"`      // HTTP status of the last attempt, 0 when nobody answered
	Text       string        `bun:"text"`        // what went wrong last
	Excerpt    string        `bun:"excerpt"`     // how the last answer began, without what may be a secret
	DurationMS int64         `bun:"duration_ms"` // how long the last attempt took
	NextTryAt  *time.Time    `bun:"next_try_at"`
	LastTryAt  *time.Time    `bun:"last_try_at"`
	BusyBy     string        `bun:"busy_by"`    // the process that calls the receiver just now …
	BusyUntil  *time.Time    `bun:"busy_until"` // … and until when that counts
}

// deliveryPauses lie between the attempts: over three days together, each with jitter.
var deliveryPauses = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// maxRetryAfter is how long a receiver may ask to be left alone.
const maxRetryAfter = 24 * time.Hour

// deliveryTime is how long a receiver may take to answer.
const deliveryTime = 15 * time.Second

// busyTime is how long nobody else makes an attempt while one is under way.
const busyTime = deliveryTime + 5*time.Second

// maxMessage is the size of a body: data that would make it larger are left out, the receiver can ask for them.
const maxMessage = 64 << 10

// message is what a receiver gets. There is no order among messages: they are sent at the same time and
// again when one fails; their timestamps tell what was first.
type message struct {
	ID        string          `json:"id,omitempty"` // of the event, the same for every endpoint and in the event log
	Type      string          `json:"type"`
	Timestamp time.Time       `json:"timestamp"`
	HubID     string          `json:"hub_id"`
	Subject   string          `json:"subject"`
	Data      json.RawMessage `json:"data"`
	Truncated bool            `json:"data_truncated,omitempty"`
}

// fanOut queues an event for the endpoints that want it, in the event's transaction.
func fanOut(ctx context.Context, tx Tx, e Event) error {
	all, err := tx.Webhooks().Enabled(ctx, e.HubID)
	if err != nil {
		return err
	}
	for _, w := range all {
		if w.wants(e.Type) {
			if _, err := deliver(ctx, tx, w, e); err != nil {
				return err
			}
		}
	}
	return nil
}

func deliver(ctx context.Context, tx Tx, w WebhookEndpoint, e Event) (WebhookDelivery, error) {
	m := message{e.ID, e.Type, e.At, e.HubID, e.Subject, e.Data, false}
	body, err := json.Marshal(m)
	if err == nil && len(body) > maxMessage {
		m.Data, m.Truncated = json.RawMessage("{}"), true
		body, err = json.Marshal(m)
	}
	if err != nil {
		return WebhookDelivery{}, AsError(err)
	}
	d := WebhookDelivery{
		Row: Row{ID: NewID("whd"), HubID: w.HubID}, EndpointID: w.ID, EventID: e.ID, EventType: e.Type, Body: string(body), State: DeliveryPending, NextTryAt: &e.At,
	}
	if err := tx.Deliveries().Insert(ctx, &d); err != nil {
		return d, err
	}
	return d, tx.Enqueue(ctx, DeliverWebhook{DeliveryID: d.ID})
}

// Deliveries gives the log of an endpoint, newest first.
func (s *Webhooks) Deliveries(ctx context.Context, a Actor, endpointID string, w Slice) ([]WebhookDelivery, error) {
	if _, err := s.Get(ctx, a, endpointID); err != nil {
		return nil, err
	}
	return s.Store.Deliveries().List(ctx, endpointID, w)
}

// Test sends an event of the type webhook.test to one endpoint, whatever it asks for.
func (s *Webhooks) Test(ctx context.Context, a Actor, endpointID string) (WebhookDelivery, error) {
	w, err := s.Get(ctx, a, endpointID)
	if err != nil {
		return WebhookDelivery{}, err
	}
	if w.State == WebhookDisabled {
		return WebhookDelivery{}, endpointDisabled()
	}
	var d WebhookDelivery
	err = s.Store.Tx(ctx, func(tx Tx) error {
		var err error
		d, err = deliver(ctx, tx, w, Event{HubID: w.HubID, Type: EventTest, Subject: w.ID, At: s.Clock(), Data: json.RawMessage(`{"message":"This is a test."}`)})
		if err != nil {
			return err
		}
		if err = audit(ctx, tx, a, "webhook.test", w.ID, map[string]any{"host": w.Host()}); err != nil {
			return err
		}
		return answered(ctx, tx, d)
	})
	return d, err
}

// Redeliver sends a delivery of the log again, with the same webhook-id.
func (s *Webhooks) Redeliver(ctx context.Context, a Actor, endpointID, id string) (WebhookDelivery, error) {
	w, err := s.Get(ctx, a, endpointID)
	if err != nil {
		return WebhookDelivery{}, err
	}
	if w.State == WebhookDisabled {
		return WebhookDelivery{}, endpointDisabled()
	}
	d, err := changeRow(ctx, s.Store, func(t Tables) Rows[WebhookDelivery] { return t.Deliveries() }, Scope(a.HubID), id, func(tx Tx, d *WebhookDelivery) error {
		if d.EndpointID != w.ID {
			return E(NotFound, "", "There is no such delivery.")
		}
		if err := audit(ctx, tx, a, "webhook.redeliver", w.ID, map[string]any{"host": w.Host(), "delivery": d.ID}); err != nil {
			return err
		}
		now := s.Clock()
		return again(ctx, tx, d, now)
	})
	if CodeOf(err) == NotFound {
		err = E(NotFound, "delivery_not_found", "There is no such delivery.").Next("The log goes back seven days; load it again.")
	}
	return d, err
}

// again has a delivery sent from the beginning, with the same webhook-id.
func again(ctx context.Context, tx Tx, d *WebhookDelivery, now time.Time) error {
	d.State, d.Attempts, d.NextTryAt = DeliveryPending, 0, &now
	return tx.Enqueue(ctx, DeliverWebhook{DeliveryID: d.ID}, Sooner(now))
}

func endpointDisabled() *Error {
	return E(Conflict, "webhook_disabled", "This endpoint is switched off.").Next("Switch it on first.")
}

// Sweep forgets what is too old (task Sweep).
func (s *Webhooks) Sweep(ctx context.Context) error {
	_, err := s.Store.Deliveries().Trim(ctx, s.Clock().Add(-deliveryLife))
	return err
}

// RunDelivery makes one attempt (task DeliverWebhook); *Snooze until the next one. A receiver that is
// dead or slow takes few of the workers, so that others are served meanwhile.
func (s *Webhooks) RunDelivery(ctx context.Context, id string) error {
	d, err := s.Store.Deliveries().Get(ctx, AnyHub, id)
	if CodeOf(err) == NotFound || err == nil && d.State != DeliveryPending {
		return nil
	}
	if err != nil {
		return err
	}
	w, err := s.Store.Webhooks().Get(ctx, AnyHub, d.EndpointID)
	if err != nil {
		return err
	}
	if w.State == WebhookDisabled {
		return s.wait(ctx, d.ID)
	}
	leave, err := s.enter(w)
	if err != nil {
		return err
	}
	defer leave()
	now := s.Clock()
	signature, secrets, err := s.signatures(w, d.ID, now, d.Body)
	if err != nil {
		return err
	}
	if err := s.claim(ctx, &d); err != nil {
		return err
	}
	ask, cancel := context.WithTimeout(ctx, deliveryTime)
	defer cancel()
	begun := time.Now()
	got, err := s.Poster.Post(ask, w.URL, map[string]string{
		"Content-Type": "application/json", "Webhook-Id": d.ID, "Webhook-Timestamp": strconv.FormatInt(now.Unix(), 10), "Webhook-Signature": signature,
	}, []byte(d.Body))
	if ctx.Err() != nil { // stopped; the receiver knows the message by its id if it got it
		d.BusyBy, d.BusyUntil = "", nil
		_ = s.Store.Deliveries().Update(context.WithoutCancel(ctx), &d) // else the others wait a little
		return ctx.Err()
	}
	return s.outcome(context.WithoutCancel(ctx), d.ID, attempted{got, time.Since(begun), excerpt(got.Body, w.URL, append(secrets, signature)), err})
}

// claim keeps others from calling the receiver with the same message at the same time: an admin may have
// it sent again, or switch its endpoint on, while an attempt is under way, here or on another replica.
func (s *Webhooks) claim(ctx context.Context, d *WebhookDelivery) error {
	now := s.Clock()
	if d.BusyUntil != nil && now.Before(*d.BusyUntil) && !s.boot.died(s.Replica, d.BusyBy) {
		return &Snooze{min(d.BusyUntil.Sub(now), 2*time.Second)}
	}
	until := now.Add(busyTime)
	d.BusyBy, d.BusyUntil = s.boot.of(s.Replica), &until
	err := s.Store.Deliveries().Update(ctx, d)
	if CodeOf(err) == Conflict { // somebody was faster
		return &Snooze{time.Second}
	}
	return err
}

// attempted is what became of one attempt.
type attempted struct {
	Posted
	took    time.Duration
	excerpt string
	cause   error
}

// begunFailing is how long an endpoint counts as one that has only begun to fail.
const begunFailing = time.Hour

// enter takes a place for a call. An endpoint has two, a hub four. Those that fail have few of the
// workers: two of a hub, and of all hubs together two that have failed for long and four that have
// only begun to, so that who failed once does not wait behind the dead.
func (s *Webhooks) enter(w WebhookEndpoint) (leave func(), _ error) {
	s.once.Do(func() {
		s.endpoints, s.hubs, s.failing = &Lanes{PerHub: 2}, &Lanes{PerHub: 4}, &Lanes{PerHub: 2}
		s.begun, s.dead = &Lanes{PerHub: 4}, &Lanes{PerHub: 2}
	})
	type place struct {
		of  *Lanes
		key string
	}
	places := []place{{s.endpoints, w.ID}, {s.hubs, w.HubID}}
	if w.FailingSince != nil {
		all := s.begun
		if s.Clock().Sub(*w.FailingSince) >= begunFailing {
			all = s.dead
		}
		places = append(places, place{s.failing, w.HubID}, place{all, ""})
	}
	var held []func()
	leave = func() {
		for _, f := range held {
			f()
		}
	}
	for _, p := range places {
		f, err := p.of.enter(QueueWebhook, p.key)
		if err != nil {
			leave()
			return nil, err
		}
		held = append(held, f)
	}
	return leave, nil
}

// outcome writes an attempt down and says when the next one is.
func (s *Webhooks) outcome(ctx context.Context, id string, got attempted) error {
	status := got.Status
	good := got.cause == nil && status >= 200 && status < 300
	text := ""
	switch {
	case got.cause != nil:
		text = AsError(got.cause).Message
	case !good:
		text = fmt.Sprintf("The receiver answered %d.", status)
	}
	var pause time.Duration
	_, err := changeRow(ctx, s.Store, func(t Tables) Rows[WebhookDelivery] { return t.Deliveries() }, AnyHub, id, func(tx Tx, d *WebhookDelivery) error {
		now := s.Clock()
		w, err := tx.Webhooks().Lock(ctx, d.EndpointID)
		if err != nil {
			return err
		}
		d.Attempts, d.Status, d.Text, d.LastTryAt, d.NextTryAt = d.Attempts+1, int64(status), text, &now, nil
		d.Excerpt, d.DurationMS, d.BusyBy, d.BusyUntil = got.excerpt, got.took.Milliseconds(), "", nil
		pause = 0
		switch {
		case good:
			d.State = DeliveryDelivered
		case status == 410 || int(d.Attempts) > len(deliveryPauses):
			d.State = DeliveryFailed
		default:
			pause = max(jitter(deliveryPauses[d.Attempts-1]), min(got.Retry, maxRetryAfter))
			next := now.Add(pause)
			d.NextTryAt = &next
		}
		if w.State == WebhookDisabled {
			return nil
		}
		return s.result(ctx, tx, w, *d, good)
	})
	if CodeOf(err) == NotFound { // the endpoint was deleted meanwhile
		return nil
	}
	if err == nil && pause > 0 {
		err = &Snooze{pause}
	}
	return err
}

// wait keeps a delivery to a switched-off endpoint until that is switched on again, which wakes it,
// or gives it up when it is three days old. Nothing is sent, so no attempt is counted.
func (s *Webhooks) wait(ctx context.Context, id string) error {
	var pause time.Duration
	_, err := changeRow(ctx, s.Store, func(t Tables) Rows[WebhookDelivery] { return t.Deliveries() }, AnyHub, id, func(tx Tx, d *WebhookDelivery) error {
		now := s.Clock()
		pause = 0
		w, err := tx.Webhooks().Lock(ctx, d.EndpointID)
		if err != nil {
			return err
		}
		if w.State == WebhookEnabled { // meanwhile
			pause = time.Second
			return errUnchanged
		}
		d.Text, d.NextTryAt = endpointDisabled().Message, nil
		if left := webhookFailing - now.Sub(d.CreatedAt); left > 0 {
			pause = min(left, offPause)
			return nil
		}
		d.State = DeliveryFailed
		return nil
	})
	if CodeOf(err) == NotFound { // deleted meanwhile
		return nil
	}
	if err == nil && pause > 0 {
		err = &Snooze{pause}
	}
	return err
}

// offPause is after how long a waiting delivery looks by itself whether its endpoint is on again.
const offPause = time.Hour

// wake has the pending deliveries of an endpoint tried now; any beyond the newest 500 look by themselves.
func (s *Webhooks) wake(ctx context.Context, tx Tx, w WebhookEndpoint) error {
	now := s.Clock()
	waiting, err := tx.Deliveries().Waiting(ctx, w.ID)
	if err != nil {
		return err
	}
	for _, d := range waiting {
		if err := tx.Enqueue(ctx, DeliverWebhook{DeliveryID: d.ID}, Sooner(now)); err != nil {
			return err
		}
	}
	return nil
}

// result notes how an endpoint answered, and gives it up when nothing else helps.
func (s *Webhooks) result(ctx context.Context, tx Tx, w WebhookEndpoint, d WebhookDelivery, good bool) error {
	now := s.Clock()
	w.LastAt, w.LastStatus, w.LastText = &now, d.Status, d.Text
	switch {
	case good:
		w.FailingSince = nil
	case w.FailingSince == nil:
		w.FailingSince = &now
	}
	switch {
	case good:
	case d.Status == 410:
		w.State, w.Reason = WebhookDisabled, "The receiver said that it is gone (410)."
	case now.Sub(*w.FailingSince) >= webhookFailing:
		w.State, w.Reason = WebhookDisabled, "It has failed for three days."
	}
	if err := tx.Webhooks().SetResult(ctx, &w); err != nil || w.State == WebhookEnabled {
		return err
	}
	return s.Events.Append(ctx, tx, w.HubID, AudienceAdmins, "webhook.disabled", w.ID, map[string]any{"id": w.ID, "host": w.Host(), "description": w.Description, "reason": w.Reason})
}
