package gateway

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"
)

// Audits shows, checks and trims the audit log.
type Audits struct {
	Store Store
	Clock Clock
	Keep  time.Duration // how long records are kept; 0 = for ever
	Log   *slog.Logger  // hears of the heads, so that a copy of them lies outside the database; nil = nobody

	mu   sync.Mutex
	told map[string]int64 // seq of the head that the log was told last, by hub
}

// trimAtOnce is how many records one transaction may delete.
const trimAtOnce = 5000

// check passes who may read the log of a hub, and brings the filter into its limits.
func (s *Audits) check(a Actor, f AuditFilter) error {
	if err := adminOnly(a, ScopeAuditRead); err != nil {
		return err
	}
	if !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To) {
		return E(Invalid, "time_span", "The time span ends before it begins.").At("to").Next("Swap the two times.")
	}
	return nil
}

// List gives an admin the hub's records, newest first. Slice.After is the seq of the last one seen.
func (s *Audits) List(ctx context.Context, a Actor, f AuditFilter, w Slice) ([]AuditRecord, error) {
	if err := s.check(a, f); err != nil {
		return nil, err
	}
	return s.Store.Audit().List(ctx, Scope(a.HubID), f, w)
}

// Export gives the records of a filter to each, oldest first, up to and with the one that says that
// they were exported. format is only noted.
func (s *Audits) Export(ctx context.Context, a Actor, f AuditFilter, format string) (each func(ctx context.Context, give func(AuditRecord) error) (AuditMark, error), _ error) {
	if err := s.check(a, f); err != nil {
		return nil, err
	}
	if err := s.Store.Tx(ctx, func(tx Tx) error {
		return audit(ctx, tx, a, "audit.export", a.HubID, map[string]any{"format": format})
	}); err != nil {
		return nil, err
	}
	head, err := s.Store.Audit().Head(ctx, a.HubID)
	if err != nil {
		return nil, err
	}
	f.Oldest = true
	return func(ctx context.Context, give func(AuditRecord) error) (AuditMark, error) {
		for w := (Slice{Limit: 500}); ; {
			page, err := s.Store.Audit().List(ctx, Scope(a.HubID), f, w)
			if err != nil {
				return AuditMark{}, err
			}
			for _, r := range page {
				if r.Seq > head.Seq {
					return head.mark(), nil
				}
				if err = give(r); err != nil {
					return AuditMark{}, err
				}
				w.After = strconv.FormatInt(r.Seq, 10)
			}
			if len(page) < w.Limit {
				return head.mark(), nil
			}
		}
	}, nil
}

// Sweep trims what is too old and tells the process's log where the chains end (task Sweep): a copy
// of the heads outside the database shows when the database was put back to an earlier state.
func (s *Audits) Sweep(ctx context.Context) error {
	for after := ""; ; {
		heads, err := s.Store.Audit().Heads(ctx, after, 500)
		if err != nil {
			return err
		}
		for _, h := range heads {
			after = h.HubID
			s.tell(ctx, h)
			if s.Keep > 0 {
				if err = s.trim(ctx, h, s.Clock().Add(-s.Keep)); err != nil {
					return err
				}
			}
		}
		if len(heads) < 500 {
			return nil
		}
	}
}

func (s *Audits) tell(ctx context.Context, h AuditHead) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told == nil {
		s.told = map[string]int64{}
	}
	if s.Log == nil || h.Seq == 0 || s.told[h.HubID] == h.Seq {
		return
	}
	s.told[h.HubID] = h.Seq
	s.Log.InfoContext(ctx, "audit head", "hub", h.HubID, "seq", h.Seq, "hash", h.Hash, "seal", h.Sealing)
}

// trim deletes the oldest records of a hub from before a time. What does not verify is evidence and stays.
func (s *Audits) trim(ctx context.Context, h AuditHead, before time.Time) error {
	if h.Sealing == SealBroken || h.Sealing == SealMissing {
		return nil
	}
	to := AuditMark{h.FromSeq, h.FromHash}
	rows := 0
	for rows < trimAtOnce {
		page, err := s.Store.Audit().Walk(ctx, h.HubID, to.Seq, h.Seq, 500)
		if err != nil {
			return err
		}
		next, broken := follow(to, page)
		if broken != nil {
			return nil
		}
		old := 0
		for old < len(page) && page[old].CreatedAt.Before(before) {
			next = AuditMark{page[old].Seq, page[old].Hash}
			old++
		}
		if old > 0 {
			to, rows = next, rows+old
		}
		if old < len(page) || len(page) < 500 {
			break
		}
	}
	if rows == 0 {
		return nil
	}
	err := s.Store.Tx(ctx, func(tx Tx) error {
		if err := tx.Audit().Trim(ctx, h.HubID, to); err != nil {
			return err
		}
		return audit(ctx, tx, SystemActor(h.HubID), "audit.trim", h.HubID, map[string]any{"records": rows, "to_seq": to.Seq, "to_hash": to.Hash})
	})
	if CodeOf(err) == Conflict {
		return nil // another replica was first
	}
	return err
}
