package gateway

import (
	"encoding/json"
	"time"
)

// Event is one line of the event log: what SSE and webhooks deliver. It is written in the
// transaction of its cause.
type Event struct {
	Seq      int64           `bun:"seq,pk,autoincrement" json:"seq"` // Last-Event-ID
	ID       string          `bun:"id" json:"id"`                    // the same wherever it is told; empty of those before there were ids
	HubID    string          `bun:"hub_id" json:"hub_id"`
	Audience string          `bun:"participant_id" json:"audience,omitempty"` // participant or machine client; empty = everybody in the hub
	Type     string          `bun:"type" json:"type"`                         // "upload.ready", "import.failed", …
	Subject  string          `bun:"subject" json:"subject"`                   // id of the noun
	Data     json.RawMessage `bun:"data" json:"data"`
	At       time.Time       `bun:"at" json:"at"`
}
