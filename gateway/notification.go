package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Notification is Kaltura's HTTP notification as it came in. Nothing in it is believed: it says
// where to look, and what is there is asked of Kaltura itself.
type Notification struct {
	Signature string // hex of H(secret + body), as Kaltura sends it in X-KALTURA-SIGNATURE
	Algorithm string // "sha256" and the like, from X-KALTURA-HASH-ALGO; empty = sha256
	Body      []byte // the raw body: JSON, or a form whose field data holds JSON, XML or serialised PHP
}

// MaxNotification is how long a notification's body may be, in bytes.
const MaxNotification = 256 << 10

// Hook says how a connection takes notifications.
type Hook struct {
	ID     string     // of the address: the integration's
	Active bool       // a secret is set
	MadeAt *time.Time // the secret
	LastAt *time.Time // when the last notification was taken
}

const (
	hookBurst  = 300                    // notifications taken at once, as of a bulk upload …
	hookRefill = 200 * time.Millisecond // … and then one in this time
	maxHinted  = 50                     // entries looked at because of one notification
)

// notificationHashes are what Kaltura may sign with that can still be trusted. SHA-1 and MD5 are not taken.
var notificationHashes = map[string]func() hash.Hash{"": sha256.New, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}

// entryIDs finds what looks like an entry's id, whatever the format around it.
var entryIDs = regexp.MustCompile(`\b[0-9]{1,3}_[0-9a-z]{4,32}\b`)

// Hook shows how the hub's connection takes notifications. Admins only.
func (s *Integrations) Hook(ctx context.Context, a Actor) (Hook, error) {
	if err := adminOnly(a, ScopeConnectionsAdmin); err != nil {
		return Hook{}, err
	}
	in, err := s.Get(ctx, a)
	if err != nil {
		return Hook{}, err
	}
	u, err := s.upkeep(ctx, in)
	return u.hook(), err
}

// Version changes whenever the secret does; notifications leave it alone.
func (h Hook) Version() int64 {
	if h.MadeAt == nil {
		return 1
	}
	return h.MadeAt.UnixMicro()
}

func (u Upkeep) hook() Hook {
	return Hook{ID: u.ID, Active: len(u.HookSecret) > 0, MadeAt: u.HookMadeAt, LastAt: u.HookAt}
}

// MakeHook makes a secret for notifications, in place of the former one if there is one, and gives it this once.
func (s *Integrations) MakeHook(ctx context.Context, a Actor) (Hook, Secret, error) {
	secret := Secret(NewToken())
	h, err := s.setHook(ctx, a, secret, func(u *Upkeep) (action string, err error) {
		action = "integration.notifications_on"
		if len(u.HookSecret) > 0 {
			action = "integration.notifications_rotate"
		}
		now := s.Clock().UTC().Truncate(time.Microsecond) // as it is stored and answered again
		u.HookMadeAt = &now
		u.HookSecret, err = s.Sealer.Seal(secret, u.hookPlace())
		return action, err
	})
	return h, secret, err
}

// RemoveHook takes no more notifications; polling goes on. Version as in Save; harmless when there was
// no secret.
func (s *Integrations) RemoveHook(ctx context.Context, a Actor, version int64) error {
	_, err := s.setHook(ctx, a, "", func(u *Upkeep) (string, error) {
		switch {
		case u.hook().Version() != version:
			return "", stale()
		case len(u.HookSecret) == 0:
			return "", errUnchanged
		}
		u.HookSecret, u.HookMadeAt = nil, nil
		return "integration.notifications_off", nil
	})
	return err
}

// HookWithSecret is a hook together with its new secret, for the one answer that shows it.
type HookWithSecret struct {
	Hook
	New Secret
}

func (s *Integrations) setHook(ctx context.Context, a Actor, secret Secret, f func(*Upkeep) (action string, _ error)) (Hook, error) {
	if _, err := s.adminGate(ctx, a); err != nil {
		return Hook{}, err
	}
	in, err := s.saved(ctx, a.HubID)
	if err != nil {
		return Hook{}, err
	}
	if _, err = s.upkeep(ctx, in); err != nil {
		return Hook{}, err
	}
	u, err := s.changeUpkeep(ctx, in.ID, func(tx Tx, u *Upkeep) error {
		action, err := f(u)
		if err != nil {
			return err
		}
		if err := audit(ctx, tx, a, action, in.ID, map[string]any{}); err != nil {
			return err
		}
		return answered(ctx, tx, HookWithSecret{u.hook(), secret})
	})
	return u.hook(), err
}

// errNotTaken is the one answer to whatever was wrong, so that nobody learns what was.
func errNotTaken() *Error {
	return E(Forbidden, "notification_refused", "This notification is not taken.").
		Next("Check the address and the signing secret of the notification template in Kaltura; an admin of the hub makes a secret in the hub settings.")
}

// Notified takes a notification for an integration: Forbidden with reason "notification_refused"
// when there is no such integration, it has no secret or the signature is not right; RateLimited when
// there are too many. A repeated one does no harm: it makes us look once more.
func (s *Integrations) Notified(ctx context.Context, id string, n Notification) error {
	u, err := s.Store.Upkeeps().Get(ctx, AnyHub, id)
	if err != nil && CodeOf(err) != NotFound {
		return err
	}
	secret := Secret(NewToken()) // nobody's: the same work is done for an address that does not exist
	known := len(u.HookSecret) > 0
	if known {
		opened, err := s.Sealer.Open(u.HookSecret, u.hookPlace())
		if err != nil {
			return E(Internal, "hook_secret_unreadable", "The saved secret cannot be opened with this server's key.").
				Next("An administrator of the hub makes a new one.").Because(err)
		}
		secret = opened
	}
	if !n.signed(secret) || !known {
		return errNotTaken()
	}
	if _, err = s.gate(ctx, u.HubID, false); err != nil {
		return errNotTaken().Because(err)
	}
	now := s.Clock()
	if wait := s.hooks.take(id, now); wait > 0 {
		return E(RateLimited, "too_many_notifications", "Too many notifications at once.").
			Next("Nothing is lost: what changed is found by polling, too.").After(wait)
	}
	if u.HookAt == nil || now.Sub(*u.HookAt) >= time.Second { // a storm of them is one write a second
		if err := s.Store.Upkeeps().SetHookAt(ctx, id, now); err != nil {
			return err
		}
	}
	return s.hinted(ctx, id, n.entries())
}

// signed compares in constant time.
func (n Notification) signed(secret Secret) bool {
	newHash := notificationHashes[strings.ReplaceAll(strings.ToLower(strings.TrimSpace(n.Algorithm)), "-", "")]
	if newHash == nil {
		return false
	}
	h := newHash()
	h.Write([]byte(secret.Reveal()))
	h.Write(n.Body)
	got, err := hex.DecodeString(strings.TrimSpace(n.Signature))
	return err == nil && subtle.ConstantTimeCompare(got, h.Sum(nil)) == 1
}

// entries gives the ids in the body. It may be JSON, XML or serialised PHP, in a form or bare; ids
// look the same in all of them, and one too many does no harm.
func (n Notification) entries() (ids []string) {
	body := n.Body
	if bytes.Contains(body, []byte("%")) {
		if plain, err := url.QueryUnescape(string(body)); err == nil {
			body = []byte(plain)
		}
	}
	seen := map[string]bool{}
	for _, id := range entryIDs.FindAllString(string(body), 20*maxHinted) {
		if !seen[id] && len(ids) < maxHinted {
			ids, seen[id] = append(ids, id), true
		}
	}
	return ids
}

// hinted queues looks at those of the entries that something of ours hangs on.
func (s *Integrations) hinted(ctx context.Context, integrationID string, ids []string) error {
	items, err := s.Store.Library().OfEntries(ctx, integrationID, ids, Slice{Limit: 500})
	if err != nil {
		return err
	}
	uploads, err := s.Store.Uploads().OfEntries(ctx, integrationID, ids, Slice{Limit: 500})
	if err != nil {
		return err
	}
	look := map[string]bool{}
	for _, it := range items {
		look[it.EntryID] = true
	}
	if len(items) == 0 && len(uploads) == 0 {
		return nil
	}
	now := s.Clock()
	return s.Store.Tx(ctx, func(tx Tx) error {
		for _, u := range uploads {
			switch u.State {
			case UploadProcessing: // its watch is brought forward; one that runs just now looks again by itself
				if err := tx.Enqueue(ctx, WatchUpload{UploadID: u.ID}, Sooner(now), IfIdle()); err != nil {
					return err
				}
			case UploadReady:
				look[u.EntryID] = true
			}
		}
		for id := range look {
			if err := tx.Enqueue(ctx, LookAtEntry{integrationID, id}, Sooner(now)); err != nil {
				return err
			}
		}
		return nil
	})
}

// hookLimits bounds notifications per integration, in this process. The zero value is ready; safe
// for concurrent use.
type hookLimits struct {
	mu    sync.Mutex
	taken map[string]tries
}

// take counts one more, or says how long to wait.
func (l *hookLimits) take(id string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.taken == nil || len(l.taken) > 10_000 { // only integrations with a right signature get here
		l.taken = map[string]tries{}
	}
	had := l.taken[id]
	n := max(0, had.n-float64(now.Sub(had.at))/float64(hookRefill))
	if over := n + 1 - hookBurst; over > 0 {
		return time.Duration(over * float64(hookRefill))
	}
	l.taken[id] = tries{n + 1, now}
	return 0
}
