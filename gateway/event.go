package gateway

import (
	"context"
	"encoding/json"
	"time"
)

// Event is one line of the event log: what SSE and webhooks deliver. It is written in the
// transaction of its cause.
type Event struct {
	Seq      int64           `bun:"seq,pk,autoincrement" json:"seq"` // Last-Event-ID
	HubID    string          `bun:"hub_id" json:"hub_id"`
	Audience string          `bun:"participant_id" json:"audience,omitempty"` // participant or machine client; empty = everybody in the hub
	Type     string          `bun:"type" json:"type"`                         // "upload.ready", "import.failed", …
	Subject  string          `bun:"subject" json:"subject"`                   // id of the noun
	Data     json.RawMessage `bun:"data" json:"data"`
	At       time.Time       `bun:"at" json:"at"`
}

// AuditRecord is one line of the audit log.
type AuditRecord struct {
	Row
	Actor   string          `bun:"actor"`  // Actor.Subject()
	Action  string          `bun:"action"` // "integration.connect", "library.share", …
	Subject string          `bun:"subject"`
	Data    json.RawMessage `bun:"data"` // no secrets
}

// audit writes a line of the audit log in the transaction of its cause.
func audit(ctx context.Context, tx Tx, a Actor, action, subject string, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return AsError(err)
	}
	return tx.Audit().Insert(ctx, &AuditRecord{Row: Row{ID: NewID("aud"), HubID: a.HubID}, Actor: a.Subject(), Action: action, Subject: subject, Data: raw})
}
