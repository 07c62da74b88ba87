package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type library struct{ rows[gateway.LibraryItem] }

// Library gives the library items.
func (t tables) Library() gateway.LibraryTable {
	return library{newRows(t, func(x *gateway.LibraryItem) *gateway.Row { return &x.Row }, "source_mark")}
}

// Insert, Update and Delete note the change for those who keep a copy of the library.
func (l library) Insert(ctx context.Context, it *gateway.LibraryItem) error {
	if it.Source == "" {
		it.Source = gateway.SourceKaltura
	}
	return l.noted(ctx, it, library.insert)
}

func (l library) insert(ctx context.Context, it *gateway.LibraryItem) error {
	err := l.rows.Insert(ctx, it)
	if err == nil {
		l.tx.note(*it, false)
	}
	return err
}

func (l library) Update(ctx context.Context, it *gateway.LibraryItem) error {
	return l.noted(ctx, it, library.update)
}

func (l library) update(ctx context.Context, it *gateway.LibraryItem) error {
	err := l.rows.Update(ctx, it)
	if err == nil {
		l.tx.note(*it, false)
	}
	return err
}

func (l library) Delete(ctx context.Context, s gateway.Scope, id string) error {
	it, err := l.Get(ctx, s, id)
	if gateway.CodeOf(err) == gateway.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return l.noted(ctx, &it, library.delete)
}

func (l library) delete(ctx context.Context, it *gateway.LibraryItem) error {
	err := l.rows.Delete(ctx, gateway.Scope(it.HubID), it.ID)
	if err == nil {
		l.tx.note(*it, true)
	}
	return err
}

// noted runs a change in a transaction, in which it is noted.
func (l library) noted(ctx context.Context, it *gateway.LibraryItem, f func(library, context.Context, *gateway.LibraryItem) error) error {
	if l.tx != nil {
		return f(l, ctx, it)
	}
	return l.db.Tx(ctx, func(tx gateway.Tx) error {
		row := *it // Tx may run this again
		if err := f(tx.Library().(library), ctx, &row); err != nil {
			return err
		}
		*it = row
		return nil
	})
}

func (l library) Find(ctx context.Context, like gateway.LibraryItem) (gateway.LibraryItem, error) {
	return l.one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("hub_id = ?", like.HubID).Where("participant_id = ?", like.ParticipantID).Where("client_id = ?", like.ClientID).
			Where("integration_id = ?", like.IntegrationID).Where("entry_id = ?", like.EntryID).Where("kind = ?", like.Kind)
	})
}

func (l library) InStates(ctx context.Context, states []gateway.ItemState, w gateway.Slice) ([]gateway.LibraryItem, error) {
	return l.page(ctx, w, func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("state IN (?)", bun.List(states)) })
}

// List asks in SQL what gateway.DecideItem decides, so that a page is full; a test holds the two together.
func (l library) List(ctx context.Context, a gateway.Actor, text string, types []gateway.MediaType, w gateway.Slice) ([]gateway.LibraryItem, error) {
	return l.page(ctx, w, func(q *bun.SelectQuery) *bun.SelectQuery {
		q = q.Where("hub_id = ?", a.HubID)
		if a.Machine() {
			q = q.Where("(shared OR (client_id = ? AND client_id <> '' AND (participant_id = '' OR source = ?)))", a.ClientID, gateway.SourceSpaces)
		} else {
			q = q.Where("(shared OR participant_id = ?)", a.ParticipantID)
		}
		if text != "" {
			q = l.db.dialect.contains(q, "name", text)
		}
		if len(types) > 0 {
			q = q.Where("type IN (?)", bun.List(types))
		}
		return q
	})
}

func (l library) Sources(ctx context.Context, integrationID, after string, n int) ([]string, error) {
	return l.sources(ctx, integrationID, after, string(gateway.ItemReady), n)
}

func (l library) OfEntries(ctx context.Context, integrationID string, entryIDs []string, w gateway.Slice) ([]gateway.LibraryItem, error) {
	if len(entryIDs) == 0 {
		return nil, nil
	}
	return l.page(ctx, w, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("integration_id = ?", integrationID).Where("entry_id IN (?)", bun.List(entryIDs)).Where("state = ?", gateway.ItemReady)
	})
}

type spacesMedia struct{ handles }

// Spaces gives what there is of the spaces platform's own media beside the items.
func (t tables) Spaces() gateway.SpacesTable { return spacesMedia(t) }

func (s spacesMedia) ByExternal(ctx context.Context, hubID, clientID, externalID string) (gateway.LibraryItem, error) {
	return tables(s).Library().(library).one(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("hub_id = ?", hubID).Where("client_id = ?", clientID).Where("external_id = ?", externalID).Where("external_id <> ''")
	})
}

func (s spacesMedia) SetMark(ctx context.Context, id, mark string) error {
	_, err := s.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return s.w.NewUpdate().Model((*gateway.LibraryItem)(nil)).Set("source_mark = ?", mark).Where("id = ?", id).Exec(ctx)
	})
	return err
}

type ack struct {
	bun.BaseModel `bun:"library_acks"`
	ItemID        string    `bun:"item_id,pk"`
	ClientID      string    `bun:"client_id,pk"`
	HubID         string    `bun:"hub_id"`
	At            time.Time `bun:"at"`
}

func (s spacesMedia) Acknowledge(ctx context.Context, it gateway.LibraryItem, clientID string, at time.Time) error {
	row := ack{ItemID: it.ID, ClientID: clientID, HubID: it.HubID, At: at}
	s.cutTimes(&row)
	_, err := s.change(ctx, func(ctx context.Context) (sql.Result, error) {
		return s.w.NewInsert().Model(&row).On("CONFLICT (item_id, client_id) DO NOTHING").Returning("NULL").Exec(ctx)
	})
	return err
}

func (s spacesMedia) Acknowledged(ctx context.Context, clientID string, itemIDs []string) (map[string]time.Time, error) {
	out := map[string]time.Time{}
	if clientID == "" || len(itemIDs) == 0 {
		return out, nil
	}
	var rows []ack
	if err := s.r.NewSelect().Model(&rows).Where("client_id = ?", clientID).Where("item_id IN (?)", bun.List(itemIDs)).Scan(ctx); err != nil {
		return nil, translate(err)
	}
	for _, r := range rows {
		out[r.ItemID] = r.At
	}
	return out, nil
}
