package kaltura

import (
	"context"

	"isthmus/gateway"
)

// OwnedBy implements gateway.Reowner. Only what the hub may handle is listed: with a category, what
// lies in it.
func (p *Platform) OwnedBy(ctx context.Context, userID, cursor string) ([]string, string, int, error) {
	page, err := p.Browse(ctx, gateway.Actor{}, gateway.Query{OwnerID: userID, Sort: gateway.SortOldest, Limit: 100, Cursor: cursor})
	if err != nil {
		return nil, "", 0, err
	}
	ids := make([]string, len(page.Items))
	for i, m := range page.Items {
		ids[i] = m.ID
	}
	return ids, page.Next, max(0, page.Total), nil
}

// Reown implements gateway.Reowner. Kaltura makes an owner that it does not know, so the caller
// has asked for the user before; who created the entry is fixed for ever.
func (p *Platform) Reown(ctx context.Context, id, from, to string) error {
	admin := who{admin: true}
	e, err := p.entry(ctx, admin, id)
	if err != nil {
		return public(err)
	}
	switch string(e.UserID) {
	case to:
		return nil
	case from:
	default:
		return gateway.E(gateway.Conflict, "owner_changed", "The entry belongs to somebody else by now.").Next("Look at it in the KMC.")
	}
	if err := p.as(ctx, admin, "media.update", params{
		"entryId": id, "mediaEntry": params{"objectType": "KalturaMediaEntry", "userId": to},
	}, &e); err != nil {
		return public(err)
	}
	if string(e.UserID) != to { // Kaltura ignores in silence what it does not want to change
		return gateway.E(gateway.Forbidden, "owner_not_changed", "Kaltura did not change the owner of the entry.").Next("Change it in the KMC.")
	}
	return nil
}
