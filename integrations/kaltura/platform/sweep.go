package platform

import (
	"context"
	"time"
)

// Sweep takes up what a crash left between an upload and its entry, and forgets what nobody will ask
// for again: sessions that are over and upload tokens that were left lying for a week. To be called
// at start and now and then. Safe to run in several processes.
func (p *Platform) Sweep(ctx context.Context) error {
	now := p.Clock()
	t := p.Records.Kaltura()
	over := Cond{Op: OpAtMost, Column: "expires_at", Values: []any{now}}
	sessions, err := t.Sessions().Find(ctx, Find{Where: over, Limit: 1000})
	if err != nil {
		return err
	}
	stuck, err := t.UploadTokens().Find(ctx, Find{Where: all(in("status", int64(tokenFull)), not(in("entry_id", ""))), Limit: 1000})
	if err != nil {
		return err
	}
	for _, token := range stuck {
		if err := p.ingest(ctx, token); err != nil && !missing(err) {
			p.failed(ctx, "ingest", err) // the others have a right to be tried
		}
	}
	for _, s := range sessions {
		if err := t.Sessions().Delete(ctx, s.Partner, s.ID); err != nil {
			return err
		}
	}
	old := Cond{Op: OpAtMost, Column: "updated_at", Values: []any{now.Add(-7 * 24 * time.Hour)}}
	tokens, err := t.UploadTokens().Find(ctx, Find{Where: all(old, not(in("status", int64(tokenClosed))), in("entry_id", "")), Limit: 1000})
	if err != nil {
		return err
	}
	for _, token := range tokens {
		if err := p.Staging.Remove(ctx, token.staged()); err != nil {
			return err
		}
		if err := t.UploadTokens().Delete(ctx, token.Partner, token.ID); err != nil {
			return err
		}
	}
	return nil
}
