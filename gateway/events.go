package gateway

import (
	"context"
	"encoding/json"
)

// Events is the event log with live listeners. Safe for concurrent use.
type Events struct {
	Store Store
	Clock Clock
}

// Append writes an event in the caller's transaction; listeners hear of it after the commit
// (they look again at least every second, so that another replica's events arrive too).
func (s *Events) Append(ctx context.Context, tx Tx, hubID, participantID, typ, subject string, data any) error {
	panic("todo")
}

// Progress tells listeners of this process about progress; it is not logged and may be lost.
func (s *Events) Progress(hubID, participantID, typ, subject string, data any) { panic("todo") }

// MaySee tells whether an actor may hear of something that happened in a hub to a participant (empty = to
// everybody): their own and the hub's, an admin all of the hub.
func MaySee(a Actor, hubID, participantID string) bool {
	return a.HubID == hubID && (participantID == "" || participantID == a.ParticipantID || (a.Admin() && !a.Machine()))
}

// Live is one message to a listener. Seq is 0 for progress.
type Live struct {
	Seq           int64
	Type, Subject string
	Data          json.RawMessage
}

// Listen streams what the actor may see after seq until ctx ends, then closes the channel.
func (s *Events) Listen(ctx context.Context, a Actor, seq int64) (<-chan Live, error) { panic("todo") }
