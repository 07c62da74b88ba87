package gateway

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// AuditMark is a place in a chain. Kept elsewhere, it proves later that the chain still holds it.
type AuditMark struct {
	Seq  int64
	Hash string
}

func (m AuditMark) String() string { return strconv.FormatInt(m.Seq, 10) + ":" + m.Hash }

// ParseAuditMark reads "seq:hash".
func ParseAuditMark(text string) (AuditMark, error) {
	n, hash, ok := strings.Cut(text, ":")
	seq, err := strconv.ParseInt(n, 10, 64)
	if !ok || err != nil || seq < 0 || (len(hash) != 64 && seq != 0) {
		return AuditMark{}, E(Invalid, "checkpoint", "A checkpoint is a number, a colon and 64 hexadecimal digits.").At("checkpoint").
			Next("Take it from an earlier verification or from the end of an export.")
	}
	return AuditMark{seq, strings.ToLower(hash)}, nil
}

func (h AuditHead) mark() AuditMark { return AuditMark{h.Seq, h.Hash} }

// AuditBreak is the first place at which a chain does not hold.
type AuditBreak struct {
	Seq  int64  // of the record, or of the one that should be there
	ID   string // of the record; "" = it is missing
	Kind string // changed, replaced, missing, inserted, cut, head_changed, head_unsealed, head_missing, checkpoint
	Text string
}

// AuditCheck is what a verification found. What it cannot find: that somebody put the whole
// database back to an earlier state, head included. For that a mark must be kept outside: the
// process's log has them, and exports end with one.
type AuditCheck struct {
	At        time.Time
	Records   int64     // looked at
	From      AuditMark // where it began: the start, a trim or the checkpoint
	To        AuditMark // the last record that holds
	Complete  bool      // whether the end was reached; else go on with To as checkpoint
	TrimmedTo int64     // seq of the last record that retention deleted; 0 = none
	Sealing   AuditSealing
	Broken    *AuditBreak
}

// verifyAtOnce is how many records one verification looks at.
const verifyAtOnce = 200_000

// Verify checks the hub's chain from its beginning, or from a checkpoint that it must still hold.
func (s *Audits) Verify(ctx context.Context, a Actor, checkpoint *AuditMark) (AuditCheck, error) {
	if err := adminOnly(a, ScopeAuditRead); err != nil {
		return AuditCheck{}, err
	}
	return s.VerifyHub(ctx, a.HubID, checkpoint)
}

// VerifyHub does so for an operator.
func (s *Audits) VerifyHub(ctx context.Context, hubID string, checkpoint *AuditMark) (AuditCheck, error) {
	for {
		head, err := s.Store.Audit().Head(ctx, hubID)
		if CodeOf(err) == NotFound {
			return AuditCheck{At: s.Clock(), Complete: true, Sealing: SealMissing, Broken: &AuditBreak{
				Kind: "head_missing", Text: "The head of the chain was deleted. Every hub has one from the day on which it was made.",
			}}, nil
		}
		if err != nil {
			return AuditCheck{}, err
		}
		c, err := s.verify(ctx, head, checkpoint)
		if err != nil || c.Broken == nil {
			return c, err
		}
		// Retention may have trimmed the chain while it was read.
		now, err := s.Store.Audit().Head(ctx, hubID)
		if err != nil && CodeOf(err) != NotFound {
			return AuditCheck{}, err
		}
		if err != nil || now.FromSeq == head.FromSeq {
			return c, nil
		}
	}
}

func (s *Audits) verify(ctx context.Context, head AuditHead, checkpoint *AuditMark) (AuditCheck, error) {
	at := AuditMark{head.FromSeq, head.FromHash}
	c := AuditCheck{At: s.Clock(), From: at, To: at, TrimmedTo: head.FromSeq, Sealing: head.Sealing}
	stray, err := s.Store.Audit().Walk(ctx, head.HubID, math.MinInt64, head.FromSeq, 1)
	if err != nil {
		return c, err
	}
	if len(stray) > 0 {
		c.Broken = &AuditBreak{stray[0].Seq, stray[0].ID, "inserted", "A record stands before the beginning of the chain: it was put there past the server."}
		return c, nil
	}
	if checkpoint != nil && *checkpoint != at {
		if c.Broken, err = s.holds(ctx, head, *checkpoint); c.Broken != nil || err != nil {
			return c, err
		}
		at = *checkpoint
		c.From, c.To = at, at
	}
	for c.Records < verifyAtOnce {
		page, err := s.Store.Audit().Walk(ctx, head.HubID, at.Seq, head.Seq, 500)
		if err != nil {
			return c, err
		}
		var broken *AuditBreak
		if at, broken = follow(at, page); broken != nil {
			c.Records += at.Seq - c.To.Seq
			c.To, c.Broken = at, broken
			return c, nil
		}
		c.Records, c.To = c.Records+int64(len(page)), at
		if len(page) < 500 {
			c.Complete, c.Broken = true, ends(head, at)
			return c, nil
		}
	}
	return c, nil
}

// holds tells whether the chain still has a record that somebody remembers.
func (s *Audits) holds(ctx context.Context, head AuditHead, m AuditMark) (*AuditBreak, error) {
	if m.Seq < head.FromSeq {
		return nil, E(Precondition, "checkpoint_trimmed", "The record of the checkpoint was deleted by retention.").
			Next("Verify without a checkpoint; the chain now begins after record %d.", head.FromSeq)
	}
	have := ""
	if m.Seq == head.FromSeq {
		have = head.FromHash
	} else {
		rows, err := s.Store.Audit().Walk(ctx, head.HubID, m.Seq-1, m.Seq, 1)
		if err != nil {
			return nil, err
		}
		if len(rows) > 0 {
			have = rows[0].Hash
		}
	}
	if have == m.Hash {
		return nil, nil
	}
	return &AuditBreak{Seq: m.Seq, Kind: "checkpoint", Text: fmt.Sprintf("Record %d is not the one that the checkpoint remembers: "+
		"the chain was rewritten, or the database was put back to an earlier state.", m.Seq)}, nil
}

// follow goes along records from a mark and gives the last that holds.
func follow(at AuditMark, rows []AuditRecord) (AuditMark, *AuditBreak) {
	for _, r := range rows {
		switch {
		case r.Seq == at.Seq:
			return at, &AuditBreak{r.Seq, r.ID, "inserted", fmt.Sprintf("There are two records %d.", r.Seq)}
		case r.Seq == at.Seq+2:
			return at, &AuditBreak{at.Seq + 1, "", "missing", fmt.Sprintf("Record %d is missing: it was deleted past the server.", at.Seq+1)}
		case r.Seq != at.Seq+1:
			return at, &AuditBreak{at.Seq + 1, "", "missing", fmt.Sprintf("Records %d to %d are missing: they were deleted past the server.", at.Seq+1, r.Seq-1)}
		case r.Digest() != r.Hash:
			return at, &AuditBreak{r.Seq, r.ID, "changed", fmt.Sprintf("Record %d was changed after it was written: its content does not give its hash.", r.Seq)}
		case r.Prev != at.Hash:
			return at, &AuditBreak{r.Seq, r.ID, "replaced", fmt.Sprintf("Record %d does not follow the one before it: one of the two was replaced.", r.Seq)}
		}
		at = AuditMark{r.Seq, r.Hash}
	}
	return at, nil
}

// ends compares the last record with the head.
func ends(head AuditHead, at AuditMark) *AuditBreak {
	switch {
	case head.Sealing == SealBroken:
		return &AuditBreak{Seq: head.Seq, Kind: "head_changed", Text: "The head of the chain is not the one that the server sealed: the chain was rewritten, or its end was cut off."}
	case head.Sealing == SealMissing:
		return &AuditBreak{Seq: head.Seq, Kind: "head_unsealed", Text: "The head of the chain carries no seal of the server: it was made by somebody else."}
	case at.Seq < head.Seq:
		return &AuditBreak{Seq: at.Seq + 1, Kind: "cut", Text: fmt.Sprintf("The end of the chain was cut off: records %d to %d are missing.", at.Seq+1, head.Seq)}
	case at.Hash != head.Hash:
		return &AuditBreak{Seq: at.Seq, Kind: "replaced", Text: fmt.Sprintf("The last record, %d, is not the one that the head names: it was replaced.", at.Seq)}
	case head.Last > head.Seq:
		return &AuditBreak{Seq: head.Seq + 1, Kind: "inserted", Text: fmt.Sprintf("Records stand behind the end of the chain, from %d on: they were put there past the server.", head.Seq+1)}
	}
	return nil
}
