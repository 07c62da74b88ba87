package gateway

import "context"

// endTransfer ends a transfer when none of its uploads takes bytes any more. u is one that is just being changed, if any.
func (s *Uploads) endTransfer(ctx context.Context, tx Tx, id string, u *Upload) error {
	t, err := tx.Transfers().Lock(ctx, id)
	if CodeOf(err) == NotFound || err == nil && t.State != TransferOpen {
		return nil
	}
	but := ""
	if u != nil {
		but = u.ID
	}
	open, finished := false, false
	if err == nil {
		open, finished, err = tx.Transfers().Rest(ctx, id, but)
	}
	if err != nil || open {
		return err
	}
	typ := "transfer.cancelled"
	if t.State = TransferCancelled; finished || u != nil && u.FinishedAt != nil {
		t.State, typ = TransferDone, "transfer.done"
	}
	now := s.Clock()
	t.EndedAt = &now
	if err := tx.Transfers().Update(ctx, &t); err != nil {
		return err
	}
	totals, err := tx.Transfers().Totals(ctx, []string{id})
	if err != nil {
		return err
	}
	n := totals[id]
	if n.Ended < n.Files && u != nil { // it is not written yet
		n.Ended++
	}
	return s.Events.Append(ctx, tx, t.HubID, t.audience(), typ, id, TransferView{Transfer: t, TransferTotals: n}.news())
}

func (t Transfer) audience() string { return audienceOf(t.ParticipantID, t.ClientID) }

// totalsOf sums up what is at hand.
func totalsOf(uploads []Upload) (n TransferTotals) {
	for _, u := range uploads {
		n.Files++
		n.Size += u.Size
		n.Received += u.Received
	}
	return n
}

// TransferNews is what events say about a transfer.
type TransferNews struct {
	ID        string         `json:"id"`
	State     TransferState  `json:"state"`
	Policy    TransferPolicy `json:"policy"`
	RateBPS   int64          `json:"rate_bps,omitempty"`
	First     bool           `json:"first"`
	Device    string         `json:"device,omitempty"`
	Files     int64          `json:"files"`
	FilesDone int64          `json:"files_done"`
	Size      int64          `json:"size"`
	Received  int64          `json:"received"`
	Live      *LiveNews      `json:"live,omitempty"` // of progress only
}

// LiveNews is how a transfer goes, as progress says it.
type LiveNews struct {
	Path      TransferPath `json:"path"`
	RateBPS   int64        `json:"rate_bps"`
	ShareBPS  int64        `json:"share_bps,omitempty"`
	RTTMS     float64      `json:"rtt_ms,omitempty"`
	Loss      float64      `json:"loss,omitempty"`
	Paused    bool         `json:"paused"`
	LimitedBy string       `json:"limited_by"`
}

func (v TransferView) news() TransferNews {
	return TransferNews{
		v.ID, v.State, v.Policy, v.RateBPS, v.First != FirstNone, v.Device, v.Files, v.Ended, v.Size, v.Received, nil,
	}
}

func (l TransferLive) news() *LiveNews {
	return &LiveNews{l.Path, l.RateBPS, l.ShareBPS, float64(l.RTT.Microseconds()) / 1000, l.Loss, l.Paused, l.LimitedBy}
}
