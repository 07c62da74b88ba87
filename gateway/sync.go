package gateway

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"
)

// LibraryChange is the last change of one item. Seq counts the changes of a hub: numbers are handed
// out in the order of the commits, so who has seen one has seen all lower ones. An item has one row,
// which moves to the end when the item changes, so that the whole library is what lies after 0.
type LibraryChange struct {
	ItemID        string    `bun:"item_id,pk"`
	HubID         string    `bun:"hub_id"`
	Seq           int64     `bun:"seq"`
	Removed       bool      `bun:"removed"`
	WasShared     bool      `bun:"was_shared"` // now or once: the whole hub knows of it
	ParticipantID string    `bun:"participant_id"`
	ClientID      string    `bun:"client_id"`
	ExternalID    string    `bun:"external_id"`
	Former        string    `bun:"former"` // former owners, each between bars
	At            time.Time `bun:"at"`
}

// SyncTable is the order of all changes to library items. The store keeps it by itself, in the
// transaction of each change.
type SyncTable interface {
	// Since gives changes after seq of items that the actor may see or once could, oldest first.
	Since(ctx context.Context, a Actor, seq int64, limit int) ([]LibraryChange, error)
	// Clock gives the number of the hub's last change, and up to which number removals are forgotten.
	Clock(ctx context.Context, hubID string) (seq, horizon int64, err error)
	// Items gives those of a hub's items that are still there.
	Items(ctx context.Context, hubID string, ids []string) ([]LibraryItem, error)
	// Trim forgets removals from before a time.
	Trim(ctx context.Context, before time.Time) error
}

// removalLife is how long a removal is told to who comes late.
const removalLife = 90 * 24 * time.Hour

// Change is one step that brings another side up to date.
type Change struct {
	ItemID     string
	ExternalID string       // of the client's own media
	Item       *LibraryItem // nil = it was removed, or may no longer be seen
	Acked      *time.Time   // when the asking client acknowledged it
}

// ChangePage is a run of changes. Cursor is where to go on, also when there are none.
type ChangePage struct {
	Changes []Change
	Cursor  string
	More    bool // ask again at once
}

// Of waiting for changes.
const (
	maxChangeWait  = 30 * time.Second
	changeLookTime = 400 * time.Millisecond
)

// cursor is where somebody stands in the changes.
type cursor struct {
	viewer string // short digest: what one may see is no continuation of what another saw
	seq    int64
	start  int64 // number of the last change when they began with nothing
}

func viewerMark(a Actor) string {
	h := sha256.Sum256([]byte(a.HubID + "\n" + a.Subject()))
	return hex.EncodeToString(h[:6])
}

func (c cursor) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "1 %s %d %d", c.viewer, c.seq, c.start))
}

func readCursor(a Actor, text string) (c cursor, _ error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		_, err = fmt.Sscanf(string(raw), "1 %s %d %d", &c.viewer, &c.seq, &c.start)
	}
	if err != nil || c.seq < 0 || c.start < 0 || c.viewer != viewerMark(a) || c.String() != text {
		return cursor{}, E(Invalid, "bad_cursor", "This cursor is not one that you were given here.").
			Next("Use the cursor of the last answer to the same client or person, or start anew without one.").At("cursor")
	}
	return c, nil
}

// Changes gives what changed in the library after a cursor, as the actor may see it; an empty cursor
// begins with all that is there. With nothing to tell it waits up to wait. Gone when the cursor is so
// old that removals after it are forgotten.
func (s *Library) Changes(ctx context.Context, a Actor, after string, limit int, wait time.Duration) (ChangePage, error) {
	if err := needScope(a, ScopeLibraryRead); err != nil {
		return ChangePage{}, err
	}
	now, horizon, err := s.Store.Sync().Clock(ctx, a.HubID)
	if err != nil {
		return ChangePage{}, err
	}
	c := cursor{viewerMark(a), 0, now}
	if after != "" {
		if c, err = readCursor(a, after); err != nil {
			return ChangePage{}, err
		}
		// Ahead of the clock: the database was put back to an earlier day.
		if max(c.seq, c.start) < horizon || c.seq > now {
			return ChangePage{}, E(Gone, "cursor_too_old", "What happened since this cursor is no longer known.").
				Next("Start anew without a cursor, and forget the items that are then not listed.")
		}
	}
	if limit <= 0 || limit > 500 {
		limit = 100
	}
	deadline := time.Now().Add(min(wait, maxChangeWait))
	for {
		page, err := s.changesSince(ctx, a, c, limit)
		if err != nil || len(page.Changes) > 0 || page.More {
			return page, err
		}
		if c, err = readCursor(a, page.Cursor); err != nil {
			return page, err
		}
		// Asking for the clock costs one row; the feed is read only when it has moved.
		for before := now; now == before; {
			left := time.Until(deadline)
			if left <= 0 || !sleep(ctx, min(left, changeLookTime)) {
				return page, nil
			}
			if now, _, err = s.Store.Sync().Clock(ctx, a.HubID); err != nil {
				return page, err
			}
		}
	}
}

func (s *Library) changesSince(ctx context.Context, a Actor, c cursor, limit int) (ChangePage, error) {
	rows, err := s.Store.Sync().Since(ctx, a, c.seq, limit)
	if err != nil {
		return ChangePage{}, err
	}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ItemID
	}
	items, err := s.Store.Sync().Items(ctx, a.HubID, ids)
	if err != nil {
		return ChangePage{}, err
	}
	acked, err := s.Store.Spaces().Acknowledged(ctx, a.ClientID, ids)
	if err != nil {
		return ChangePage{}, err
	}
	byID := make(map[string]*LibraryItem, len(items))
	for i := range items {
		byID[items[i].ID] = &items[i]
	}
	page := ChangePage{More: len(rows) == limit}
	for _, r := range rows {
		c.seq = r.Seq
		ch := Change{ItemID: r.ItemID}
		if r.ClientID == a.ClientID && a.Machine() {
			ch.ExternalID = r.ExternalID
		}
		// Of a row that has moved on since, the newest state is told now and once more later.
		if it := byID[r.ItemID]; it != nil && DecideItem(a, *it).Allowed {
			ch.Item = it
			if at, ok := acked[it.ID]; ok {
				ch.Acked = &at
			}
		} else if r.Seq <= c.start && ch.ExternalID == "" {
			continue // who began with nothing has nothing to forget, but for what they brought themselves
		}
		page.Changes = append(page.Changes, ch)
	}
	page.Cursor = c.String()
	return page, nil
}

// Outcomes of one step of a Push.
const (
	PushCreated   = "created"
	PushUpdated   = "updated"
	PushUnchanged = "unchanged"
	PushRemoved   = "removed"
	PushFailed    = "failed"
)

// Push is one thing that the spaces platform says about its media: how it is now, or that it is gone.
type Push struct {
	Registration
	Remove bool
}

// Pushed is what became of it.
type Pushed struct {
	Outcome string
	Item    *LibraryItem // as it is now, if there is one
	Err     error        // of PushFailed
}

// MaxPush is how much may be said at once.
const MaxPush = 500

// Push takes over what the spaces platform says about its own media, one after the other and each by
// itself. Saying the same again changes nothing.
func (s *Library) Push(ctx context.Context, a Actor, list []Push) ([]Pushed, error) {
	if err := registrar(a); err != nil {
		return nil, err
	}
	if len(list) > MaxPush {
		return nil, E(TooLarge, "too_many_changes", fmt.Sprintf("There are %d changes; at most %d are taken at once.", len(list), MaxPush)).
			Next("Send them in several requests.").At("/changes")
	}
	out := make([]Pushed, len(list))
	for i, p := range list {
		var it LibraryItem
		var err error
		if p.Remove {
			out[i].Outcome = PushRemoved
			it, err = s.removeExternal(ctx, a, p.ExternalID, p.Version)
		} else {
			it, _, out[i].Outcome, err = s.Register(ctx, a, p.Registration)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			if CodeOf(err) == Internal {
				slog.WarnContext(ctx, "a pushed change failed", "error", err)
			}
			out[i] = Pushed{Outcome: PushFailed, Err: err}
			if it, err = s.Store.Spaces().ByExternal(ctx, a.HubID, a.ClientID, p.ExternalID); err != nil {
				continue
			}
		}
		if it.ID != "" && !p.Remove || out[i].Err != nil {
			out[i].Item = &it
		}
	}
	return out, nil
}

// removeExternal removes the client's item with an external id. Harmless when there is none.
func (s *Library) removeExternal(ctx context.Context, a Actor, externalID string, version int64) (LibraryItem, error) {
	it, err := s.Store.Spaces().ByExternal(ctx, a.HubID, a.ClientID, externalID)
	if CodeOf(err) == NotFound {
		return LibraryItem{}, nil
	}
	if err == nil && version > 0 && it.Version != version {
		err = staleItem()
	}
	if err != nil {
		return it, err
	}
	err = s.Remove(ctx, a, it.ID)
	if CodeOf(err) == NotFound {
		err = nil
	}
	return it, err
}

func staleItem() error {
	return E(Precondition, "stale", "The item was changed in the meantime.").Next("Look at it again and repeat.")
}

// registrar refuses whoever may not bring in media as the spaces platform does.
func registrar(a Actor) error {
	if !a.Machine() || a.ClientID == "" {
		return E(Forbidden, "machine_only", "Only a client acting for itself registers the spaces platform's media.").
			Next("Use a token that the client got with its own credentials.")
	}
	return needScope(a, ScopeLibraryWrite)
}

// SweepChanges forgets old removals (task Sweep).
func (s *Library) SweepChanges(ctx context.Context) error {
	return s.Store.Sync().Trim(ctx, s.Clock().Add(-cmp.Or(s.RemovalLife, removalLife)))
}
