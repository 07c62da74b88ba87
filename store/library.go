package store

import (
	"context"

	"github.com/uptrace/bun"

	"isthmus/gateway"
)

type library struct{ rows[gateway.LibraryItem] }

// Library gives the library items.
func (t tables) Library() gateway.LibraryTable {
	return library{newRows(t, func(x *gateway.LibraryItem) *gateway.Row { return &x.Row })}
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
			q = q.Where("(shared OR (client_id = ? AND client_id <> '' AND participant_id = ''))", a.ClientID)
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
