package gateway

import (
	"context"
	"fmt"
)

// reserve checks quota and number under the lock of the hub's row, so that of many creators none
// takes what another has taken.
func (s *Uploads) reserve(ctx context.Context, tx Tx, u Upload) error {
	if err := s.quota(ctx, tx, u.HubID, u.Size, "/size"); err != nil {
		return err
	}
	have, err := tx.Transfers().Unfinished(ctx, Scope(u.HubID), u.ParticipantID, u.ClientID)
	if err != nil {
		return err
	}
	return have.room(u.ParticipantID)
}

// quota locks the hub's row and refuses what does not fit into its quota.
func (s *Uploads) quota(ctx context.Context, tx Tx, hubID string, size int64, at string) error {
	reserved, err := tx.Hubs().ReserveUpload(ctx, hubID)
	if err != nil {
		return err
	}
	hub, err := tx.Hubs().Get(ctx, Scope(hubID), hubID)
	if err != nil {
		return err
	}
	if q := quotaOf(hub, reserved); q.Total > 0 && size > q.Free {
		return E(TooLarge, "quota_exceeded", fmt.Sprintf(
			"%d bytes were announced, but only %d of the hub's %d bytes for unfinished uploads are free.", size, q.Free, q.Total)).
			Next("Wait until other uploads are finished, cancel some, or ask a hub admin for more room.").At(at)
	}
	return nil
}

// Quota is what unfinished uploads of a hub may have together, in bytes.
type Quota struct {
	Total int64 // 0 = no limit
	Free  int64 // of it, not reserved
}

func quotaOf(h Hub, reserved int64) Quota { return Quota{h.QuotaBytes, max(0, h.QuotaBytes-reserved)} }

// Quota tells everybody in the hub how much of it is left.
func (s *Uploads) Quota(ctx context.Context, a Actor) (Quota, error) {
	hub, err := s.Store.Hubs().Get(ctx, Scope(a.HubID), a.HubID)
	if err != nil || hub.QuotaBytes == 0 {
		return Quota{}, err
	}
	reserved, err := s.Store.Hubs().Reserved(ctx, a.HubID)
	return quotaOf(hub, reserved), err
}

// room refuses one more upload or transfer.
func (n Unfinished) room(participantID string) error {
	limit := int64(openPerPerson)
	if participantID == "" {
		limit = openPerClient
	}
	if open := n.Uploads + n.Transfers; open >= limit {
		return E(Conflict, "too_many_uploads", fmt.Sprintf("There are already %d unfinished uploads.", open)).
			Next("Finish or cancel one of them first.")
	}
	return nil
}
