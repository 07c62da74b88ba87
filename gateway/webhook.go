package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// WebhookState says whether an endpoint is called.
type WebhookState string

// The states of an endpoint.
const (
	WebhookEnabled  WebhookState = "enabled"
	WebhookDisabled WebhookState = "disabled" // by an admin, or because it failed for days
)

// WebhookEndpoint is an address that a hub wants its events sent to (Standard Webhooks).
type WebhookEndpoint struct {
	Row
	URL          string       `bun:"url"` // normalised; may hold a secret: for admins of the hub and for the call only
	Description  string       `bun:"description"`
	Events       []string     `bun:"events"`           // "*", "upload.*" or a type; stored as JSON
	Secret       Sealed       `bun:"secret"`           // "whsec_…"
	OldSecret    Sealed       `bun:"old_secret"`       // signs as well …
	OldUntil     *time.Time   `bun:"old_secret_until"` // … until then
	State        WebhookState `bun:"state"`
	Reason       string       `bun:"reason"` // why it is disabled, one sentence
	FailingSince *time.Time   `bun:"failing_since"`
	LastAt       *time.Time   `bun:"last_at"`     // of the last attempt …
	LastStatus   int64        `bun:"last_status"` // … its HTTP status, 0 when nobody answered …
	LastText     string       `bun:"last_text"`   // … and what went wrong
}

// Place is where the endpoint's secret is sealed.
func (w WebhookEndpoint) Place() string { return "webhook_endpoints.secret/" + w.ID }

// OldPlace is where the secret before is.
func (w WebhookEndpoint) OldPlace() string { return "webhook_endpoints.old_secret/" + w.ID }

// Host is where the endpoint is, for others than the hub's admins: path and query are often its secret.
func (w WebhookEndpoint) Host() string {
	u, err := url.Parse(w.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// wants tells whether an event is sent there.
func (w WebhookEndpoint) wants(typ string) bool { return asksFor(w.Events, typ) }

// Poster calls the receivers of webhooks. Safe for concurrent use.
type Poster interface {
	// Check gives an address's normal form, or Invalid when it may not be called.
	Check(url string) (string, error)
	// Post sends a body. An error means that nobody answered; its text holds no address.
	Post(ctx context.Context, url string, header map[string]string, body []byte) (Posted, error)
}

// Posted is what a receiver answered.
type Posted struct {
	Status int
	Retry  time.Duration // how long it wants to be left alone; never negative
	Body   []byte        // its beginning
}

// Webhooks sends a hub's events to the addresses that its admins name. Use by pointer; safe for
// concurrent use.
type Webhooks struct {
	Store  Store
	Clock  Clock
	Sealer Sealer
	Events *Events
	Poster Poster
	// Replica is this process among those that share the database, the same after a restart.
	Replica string

	boot                                  boot
	once                                  sync.Once
	endpoints, hubs, failing, begun, dead *Lanes
}

const (
	maxEndpoints   = 20
	webhookFailing = 72 * time.Hour     // of failures alone, after which an endpoint is disabled
	deliveryLife   = 7 * 24 * time.Hour // how long the log goes back
)

// NewWebhook is what an admin says of an endpoint. A nil field of a change stays as it is.
type NewWebhook struct {
	URL, Description *string
	Events           []string
	Enabled          *bool
}

// Create adds an endpoint and gives its secret, which is shown this once.
func (s *Webhooks) Create(ctx context.Context, a Actor, n NewWebhook) (WebhookEndpoint, Secret, error) {
	if err := adminOnly(a, ScopeWebhooksAdmin); err != nil {
		return WebhookEndpoint{}, "", err
	}
	secret := newWebhookSecret()
	w := WebhookEndpoint{Row: Row{ID: NewID("whe"), HubID: a.HubID}, State: WebhookEnabled}
	if err := s.apply(&w, n); err != nil {
		return WebhookEndpoint{}, "", err
	}
	var err error
	if w.Secret, err = s.Sealer.Seal(secret, w.Place()); err != nil {
		return WebhookEndpoint{}, "", AsError(err)
	}
	row := w
	err = s.Store.Tx(ctx, func(tx Tx) error {
		row = w
		have, err := tx.Webhooks().List(ctx, Scope(a.HubID), Slice{Limit: maxEndpoints})
		if err != nil {
			return err
		}
		if len(have) >= maxEndpoints {
			return E(Conflict, "too_many_webhooks", "The hub has "+strconv.Itoa(len(have))+" webhook endpoints already.").Next("Delete one that is no longer needed.")
		}
		if err := tx.Webhooks().Insert(ctx, &row); err != nil {
			return err
		}
		if err := audit(ctx, tx, a, "webhook.create", row.ID, map[string]any{"host": row.Host(), "events": row.Events}); err != nil {
			return err
		}
		return answered(ctx, tx, WebhookWithSecret{row, secret})
	})
	return row, secret, err
}

// WebhookWithSecret is an endpoint together with its new secret, for the one answer that shows it.
type WebhookWithSecret struct {
	WebhookEndpoint
	New Secret
}

func newWebhookSecret() Secret {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	return Secret(whsec + base64.StdEncoding.EncodeToString(key[:]))
}

// maxOverlap is how long the secret before may go on signing: long enough for the slowest roll-out,
// not for ever.
const maxOverlap = 7 * 24 * time.Hour

// Rotate gives an endpoint another secret. For the overlap messages are signed with both, so that the
// receiver can change over without losing one. A secret from before that is dropped; version as in Update.
func (s *Webhooks) Rotate(ctx context.Context, a Actor, id string, version int64, overlap time.Duration) (WebhookEndpoint, Secret, error) {
	w, err := s.Get(ctx, a, id)
	if err != nil {
		return WebhookEndpoint{}, "", err
	}
	if w.Version != version {
		return WebhookEndpoint{}, "", stale()
	}
	if overlap < 0 || overlap > maxOverlap {
		return WebhookEndpoint{}, "", E(Invalid, "overlap", "The old secret may go on for at most seven days.").Next("Name 0 to 168 hours.").At("/overlap_hours")
	}
	secret := newWebhookSecret()
	old, err := s.Sealer.Open(w.Secret, w.Place())
	if err != nil {
		return WebhookEndpoint{}, "", err
	}
	w.OldSecret, w.OldUntil = nil, nil
	if overlap > 0 {
		until := s.Clock().Add(overlap)
		w.OldUntil = &until
		if w.OldSecret, err = s.Sealer.Seal(old, w.OldPlace()); err != nil {
			return WebhookEndpoint{}, "", AsError(err)
		}
	}
	if w.Secret, err = s.Sealer.Seal(secret, w.Place()); err != nil {
		return WebhookEndpoint{}, "", AsError(err)
	}
	row := w
	err = s.Store.Tx(ctx, func(tx Tx) error {
		row = w
		if err := tx.Webhooks().Update(ctx, &row); err != nil {
			if CodeOf(err) == Conflict {
				return stale()
			}
			return err
		}
		if err := audit(ctx, tx, a, "webhook.rotate", row.ID, map[string]any{"host": row.Host(), "old_until": row.OldUntil}); err != nil {
			return err
		}
		return answered(ctx, tx, WebhookWithSecret{row, secret})
	})
	return row, secret, err
}

// apply checks what an admin says and puts it into the row.
func (s *Webhooks) apply(w *WebhookEndpoint, n NewWebhook) error {
	if n.URL != nil {
		normal, err := s.Poster.Check(*n.URL)
		if err != nil {
			return AsError(err).At("/url")
		}
		w.URL = normal
	}
	if n.Description != nil {
		if w.Description = strings.TrimSpace(*n.Description); len(w.Description) > 500 {
			return E(Invalid, "text_too_long", "The description is too long.").Next("Use at most 500 characters.").At("/description")
		}
	}
	if n.Events != nil {
		for _, e := range n.Events {
			if !knownFilter(e) {
				return E(Invalid, "event_unknown", "There is no such event.").Next("Use one of %s, a group such as upload.*, or *.", eventTypeNames()).At("/events")
			}
		}
		w.Events = slices.Compact(slices.Sorted(slices.Values(n.Events)))
	}
	if len(w.Events) == 0 {
		return E(Invalid, "events_missing", "No event is asked for.").Next("Name the events to be sent, or *.").At("/events")
	}
	return nil
}

// List gives an admin the hub's endpoints, newest first.
func (s *Webhooks) List(ctx context.Context, a Actor) ([]WebhookEndpoint, error) {
	if err := adminOnly(a, ScopeWebhooksAdmin); err != nil {
		return nil, err
	}
	return s.Store.Webhooks().List(ctx, Scope(a.HubID), Slice{Limit: maxEndpoints})
}

// Get gives one endpoint.
func (s *Webhooks) Get(ctx context.Context, a Actor, id string) (WebhookEndpoint, error) {
	if err := adminOnly(a, ScopeWebhooksAdmin); err != nil {
		return WebhookEndpoint{}, err
	}
	w, err := s.Store.Webhooks().Get(ctx, Scope(a.HubID), id)
	if CodeOf(err) == NotFound {
		err = E(NotFound, "webhook_not_found", "There is no such webhook endpoint.").Next("Load the list again.")
	}
	return w, err
}

// Update changes an endpoint; version as in Integrations.Save. Enabling one forgets its failures and
// sends what waited meanwhile.
func (s *Webhooks) Update(ctx context.Context, a Actor, id string, version int64, n NewWebhook) (WebhookEndpoint, error) {
	before, err := s.Get(ctx, a, id)
	if err != nil {
		return WebhookEndpoint{}, err
	}
	if before.Version != version {
		return WebhookEndpoint{}, stale()
	}
	if err := s.apply(&before, n); err != nil {
		return WebhookEndpoint{}, err
	}
	w := before
	err = s.Store.Tx(ctx, func(tx Tx) error {
		w = before
		if err := tx.Webhooks().Update(ctx, &w); err != nil {
			if CodeOf(err) == Conflict {
				return stale()
			}
			return err
		}
		if n.Enabled != nil {
			w.State, w.Reason, w.FailingSince = WebhookEnabled, "", nil
			if !*n.Enabled {
				w.State, w.Reason = WebhookDisabled, "An admin switched it off."
			}
			if err := tx.Webhooks().SetResult(ctx, &w); err != nil {
				return err
			}
			if *n.Enabled {
				if err := s.wake(ctx, tx, w); err != nil {
					return err
				}
			}
		}
		return audit(ctx, tx, a, "webhook.change", w.ID, map[string]any{"host": w.Host(), "events": w.Events, "state": w.State})
	})
	return w, err
}

// Delete removes an endpoint with its log; version as in Update. NotFound with reason "webhook_not_found".
func (s *Webhooks) Delete(ctx context.Context, a Actor, id string, version int64) error {
	w, err := s.Get(ctx, a, id)
	if err != nil {
		return err
	}
	if w.Version != version {
		return stale()
	}
	return s.Store.Tx(ctx, func(tx Tx) error {
		if err := tx.Webhooks().Delete(ctx, Scope(a.HubID), id); err != nil {
			return err
		}
		return audit(ctx, tx, a, "webhook.delete", id, map[string]any{})
	})
}

const whsec = "whsec_"

// signatures makes the header webhook-signature of a message (Standard Webhooks, v1), with all secrets
// that are good at the time.
func (s *Webhooks) signatures(w WebhookEndpoint, id string, at time.Time, body string) (header string, secrets []string, _ error) {
	secret, err := s.Sealer.Open(w.Secret, w.Place())
	if err != nil {
		return "", nil, err
	}
	secrets = []string{secret.Reveal()}
	if w.OldUntil != nil && at.Before(*w.OldUntil) {
		old, err := s.Sealer.Open(w.OldSecret, w.OldPlace())
		if err != nil {
			return "", nil, err
		}
		secrets = append(secrets, old.Reveal())
	}
	signed := make([]string, 0, len(secrets))
	for _, text := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, whsec))
		if err != nil {
			return "", nil, AsError(err)
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "." + body))
		signed = append(signed, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(signed, " "), secrets, nil
}
