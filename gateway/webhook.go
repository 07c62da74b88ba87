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
	Events       []string     `bun:"events"` // "*", "upload.*" or a type; stored as JSON
	Secret       Sealed       `bun:"secret"` // "whsec_…"
	State        WebhookState `bun:"state"`
	Reason       string       `bun:"reason"` // why it is disabled, one sentence
	FailingSince *time.Time   `bun:"failing_since"`
	LastAt       *time.Time   `bun:"last_at"`     // of the last attempt …
	LastStatus   int64        `bun:"last_status"` // … its HTTP status, 0 when nobody answered …
	LastText     string       `bun:"last_text"`   // … and what went wrong
}

// Place is where the endpoint's secret is sealed.
func (w WebhookEndpoint) Place() string { return "webhook_endpoints.secret/" + w.ID }

// Host is where the endpoint is, for others than the hub's admins: path and query are often its secret.
func (w WebhookEndpoint) Host() string {
	u, err := url.Parse(w.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// wants tells whether an event is sent there.
func (w WebhookEndpoint) wants(typ string) bool {
	noun, _, _ := strings.Cut(typ, ".")
	return slices.Contains(w.Events, "*") || slices.Contains(w.Events, typ) || slices.Contains(w.Events, noun+".*")
}

// EventTypes are the events that can be asked for.
var EventTypes = []string{
	"import.cancelled", "import.copied", "import.failed", "import.ready", "import.requested", "import.started", "import.waiting",
	"integration.changed", "integration.connected", "integration.degraded", "integration.disconnected", "integration.expiring",
	"integration.privilege_lost", "integration.privilege_regained", "integration.recovered",
	"job.cancelled", "job.cancelling", "job.done", "job.failed",
	"library.changed", "library.remove", "library.share", "library.source_found", "library.source_lost", "library.unshare",
	"mapping.conflict", "mapping.created", "mapping.linked", "mapping.pending", "mapping.unlinked", "media.tagged",
	"upload.cancelled", "upload.created", "upload.entry_created", "upload.entry_found", "upload.entry_lost", "upload.expired",
	"upload.failed", "upload.finished", "upload.ready", "upload.retried", "upload.waiting", "webhook.disabled",
}

// Poster calls the receivers of webhooks. Safe for concurrent use.
type Poster interface {
	// Check gives an address's normal form, or Invalid when it may not be called.
	Check(url string) (string, error)
	// Post sends a body and gives the answer's status, and how long the receiver wants to be left
	// alone. An error means that nobody answered; its text holds no address.
	Post(ctx context.Context, url string, header map[string]string, body []byte) (status int, retry time.Duration, _ error)
}

// Webhooks sends a hub's events to the addresses that its admins name. Use by pointer; safe for
// concurrent use.
type Webhooks struct {
	Store  Store
	Clock  Clock
	Sealer Sealer
	Events *Events
	Poster Poster

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
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	secret := Secret(whsec + base64.StdEncoding.EncodeToString(key[:]))
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
		return audit(ctx, tx, a, "webhook.create", row.ID, map[string]any{"host": row.Host(), "events": row.Events})
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
			noun, star := strings.CutSuffix(e, ".*")
			if e != "*" && !slices.Contains(EventTypes, e) && !(star && slices.ContainsFunc(EventTypes, func(t string) bool { return strings.HasPrefix(t, noun+".") })) {
				return E(Invalid, "event_unknown", "There is no such event.").Next("Use one of %s, a group such as upload.*, or *.", strings.Join(EventTypes, ", ")).At("/events")
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

// Delete removes an endpoint with its log; NotFound with reason "webhook_not_found".
func (s *Webhooks) Delete(ctx context.Context, a Actor, id string) error {
	if _, err := s.Get(ctx, a, id); err != nil {
		return err
	}
	return s.Store.Tx(ctx, func(tx Tx) error {
		if err := tx.Webhooks().Delete(ctx, Scope(a.HubID), id); err != nil {
			return err
		}
		return audit(ctx, tx, a, "webhook.delete", id, map[string]any{})
	})
}

const whsec = "whsec_"

// sign makes the header webhook-signature of a message (Standard Webhooks, v1).
func sign(secret Secret, id string, at time.Time, body string) (string, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret.Reveal(), whsec))
	if err != nil {
		return "", AsError(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "." + body))
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}
