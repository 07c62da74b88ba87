package gateway

import (
	"context"
	"time"
)

// maxReplay is how many messages one call of Replay queues; the rest is for the next.
const maxReplay = 1000

// Replayed is what Replay did.
type Replayed struct {
	Queued int
	Next   *time.Time // there is more: call again from then on; nil = that was all
}

// Replay sends what happened from one time until before another and an endpoint asks for, out of the
// event log (thirty days back), which also holds what happened while the endpoint was switched off or
// not there yet. What is on its way or was taken already is left alone unless all is asked for; what was
// sent before keeps its webhook-id.
func (s *Webhooks) Replay(ctx context.Context, a Actor, endpointID string, from, to time.Time, all bool) (Replayed, error) {
	w, err := s.Get(ctx, a, endpointID)
	if err != nil {
		return Replayed{}, err
	}
	switch {
	case w.State == WebhookDisabled:
		return Replayed{}, endpointDisabled()
	case !from.Before(to):
		return Replayed{}, E(Invalid, "bad_range", "The time range is empty.").Next("Name a beginning that is before the end.").At("/from")
	}
	var out Replayed
	replay := func(tx Tx) error {
		out = Replayed{}
		seq := int64(0)
		for {
			events, err := tx.Events().Between(ctx, w.HubID, from, to, seq, eventBatch)
			if err != nil {
				return err
			}
			var wanted []Event
			for _, e := range events {
				seq = e.Seq
				e.ID = e.message().ID
				if w.wants(e.Type) {
					wanted = append(wanted, e)
				}
			}
			n, err := s.resend(ctx, tx, w, wanted, all)
			if err != nil {
				return err
			}
			out.Queued += n
			if len(events) < eventBatch {
				break
			}
			if out.Queued >= maxReplay {
				next := events[len(events)-1].At
				out.Next = &next
				break
			}
		}
		return audit(ctx, tx, a, "webhook.replay", w.ID, map[string]any{"from": from, "to": to, "all": all, "queued": out.Queued})
	}
	// A delivery that is tried right now changes under our hands; the second look finds it settled.
	err = retryConflict(func() error { return s.Store.Tx(ctx, replay) })
	return out, err
}

func (s *Webhooks) resend(ctx context.Context, tx Tx, w WebhookEndpoint, events []Event, all bool) (queued int, _ error) {
	if len(events) == 0 {
		return 0, nil
	}
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	sent, err := tx.Deliveries().OfEvents(ctx, w.ID, ids)
	if err != nil {
		return 0, err
	}
	had := map[string]WebhookDelivery{}
	for _, d := range sent {
		had[d.EventID] = d
	}
	now := s.Clock()
	for _, e := range events {
		d, known := had[e.ID]
		switch {
		case !known:
			_, err = deliver(ctx, tx, w, e)
		case d.State == DeliveryFailed || all && d.State == DeliveryDelivered:
			if err = again(ctx, tx, &d, now); err == nil {
				err = tx.Deliveries().Update(ctx, &d)
			}
		default:
			continue
		}
		if err != nil {
			return 0, err
		}
		queued++
	}
	return queued, nil
}
