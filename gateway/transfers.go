package gateway

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Transfers lets people send batches of files by the fast path and divides a hub's cap among those
// that are being sent. Use by pointer; safe for concurrent use.
type Transfers struct {
	Store   Store
	Clock   Clock
	Uploads *Uploads
	Hubs    *Hubs
	Events  *Events
	Tickets Tickets
	Replica string
	Alone   bool // no other process uses the database: there is nobody to share a cap with

	TicketLife time.Duration // 0: 15 minutes

	// Patience is how long an upload over HTTPS that may not come is held before it is told to come back; 0 = 10 s.
	Patience time.Duration

	// Endpoint tells where the fast path is reached and the hash of its key (see TransferTicket); nil: there is none.
	Endpoint func() (addresses []string, keyHash string)

	mu     sync.Mutex
	hubs   map[string]*hubLine // with sessions, by hub
	loop   *loop               // nil = none runs
	closed bool
}

const (
	ticketLife       = 15 * time.Minute // unless configured
	maxTransferFiles = 10_000
	maxTransferSize  = 1 << 48 // bytes, of the protocol
)

// Create announces files and takes unfinished uploads of the actor's own, all or none, as one batch.
// The field of an error names the first that cannot be taken. TooLarge when they do not fit the hub's quota,
// Unavailable when they do not fit on the disk.
func (s *Transfers) Create(ctx context.Context, a Actor, n NewTransfer) (StartedTransfer, error) {
	acc, err := accountOf(ctx, s.Store, a.HubID)
	if err != nil {
		return StartedTransfer{}, err
	}
	policy, rate, err := s.asFolders(ctx, acc, n)
	if err != nil {
		return StartedTransfer{}, err
	}
	if err := acc.allow(policy, rate); err != nil {
		return StartedTransfer{}, err
	}
	if err := n.check(); err != nil {
		return StartedTransfer{}, err
	}
	files, err := s.Uploads.prepare(ctx, a, n.Files, func(i int, err error) error { return below(err, "/files/%d", i) })
	if err != nil {
		return StartedTransfer{}, err
	}
	t := Transfer{
		Row: Row{ID: NewID("trf"), HubID: a.HubID}, ParticipantID: a.ParticipantID, State: TransferOpen,
		Policy: policy, RateBPS: rate, Device: deviceName(n.Device),
	}
	if a.Machine() {
		t.ClientID = a.ClientID
	}
	size := int64(0)
	for i := range files {
		files[i].TransferID = t.ID
		if size += files[i].Size; files[i].Size > maxTransferSize || size > maxTransferSize {
			return StartedTransfer{}, E(TooLarge, "transfer_too_large", "The files are too large for one transfer.").
				Next("Send them as several.").At(fmt.Sprintf("/files/%d/size", i))
		}
	}
	if err := s.Uploads.Staging.Room(ctx, size); err != nil {
		return StartedTransfer{}, err
	}
	var out StartedTransfer
	err = s.Store.Tx(ctx, func(tx Tx) error {
		row, fresh := t, slices.Clone(files) // Tx may run this again
		if err := s.Uploads.quota(ctx, tx, a.HubID, size, "/files"); err != nil {
			return err
		}
		moved, err := s.movable(ctx, tx, a, n.UploadIDs)
		if err != nil {
			return err
		}
		if err := s.room(ctx, tx, row, int64(len(fresh)), moved); err != nil {
			return err
		}
		if err := tx.Transfers().Insert(ctx, &row); err != nil {
			return err
		}
		if err := s.Uploads.Folders.announce(ctx, tx, a, fresh, func(i int, err error) error { return below(err, "/files/%d", i) }); err != nil {
			return err
		}
		if err := tx.Uploads().InsertAll(ctx, fresh); err != nil {
			return err
		}
		if err := s.move(ctx, tx, moved, row.ID); err != nil {
			return err
		}
		out.Uploads = append(fresh, moved...)
		out.View = TransferView{Transfer: row, TransferTotals: totalsOf(out.Uploads), Now: noLive()}
		if out.Ticket, err = s.ticket(row.ID); err != nil {
			return err
		}
		if err := s.Events.Append(ctx, tx, row.HubID, row.audience(), "transfer.created", row.ID, out.View.news()); err != nil {
			return err
		}
		return answered(ctx, tx, out)
	})
	if err != nil {
		return StartedTransfer{}, err
	}
	return out, nil
}

// asFolders gives the policy and rate of a transfer. The drop folders that its files go to say the policy if the sender
// does not, and the highest rate whatever the sender says.
func (s *Transfers) asFolders(ctx context.Context, acc TransferAccount, n NewTransfer) (policy TransferPolicy, rate int64, _ error) {
	policy, rate = n.Policy, n.RateBPS
	seen := map[string]bool{"": true}
	for _, file := range n.Files {
		if seen[file.FolderID] {
			continue
		}
		seen[file.FolderID] = true
		f, err := s.Store.DropFolders().Get(ctx, AnyHub, file.FolderID)
		if err != nil {
			if CodeOf(err) == NotFound { // which its file is refused for
				continue
			}
			return "", 0, err
		}
		if f.HubID == acc.HubID {
			policy, rate = cmp.Or(policy, acc.ofFolder(f)), slower(rate, f.RateBPS)
		}
	}
	return cmp.Or(policy, acc.DefaultPolicy), rate, nil
}

// ofFolder is the policy that a folder asks for, if the hub allows it.
func (t TransferAccount) ofFolder(f DropFolder) TransferPolicy {
	if !slices.Contains(t.Policies, f.Policy) {
		return ""
	}
	return f.Policy
}

// slower is the lower of two rates of which 0 says nothing.
func slower(a, b int64) int64 {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

func (n NewTransfer) check() error {
	switch total := len(n.Files) + len(n.UploadIDs); {
	case total == 0:
		return E(Invalid, "nothing_to_send", "There is no file in the transfer.").Next("Name files, or uploads to be sent on.").At("/files")
	case total > maxTransferFiles:
		return tooManyFiles()
	}
	seen := map[string]bool{}
	for i, id := range n.UploadIDs {
		if seen[id] {
			return E(Invalid, "upload_twice", "An upload is named twice.").Next("Name each upload once.").At(fmt.Sprintf("/upload_ids/%d", i))
		}
		seen[id] = true
	}
	return nil
}

func tooManyFiles() *Error {
	return E(TooLarge, "too_many_files", fmt.Sprintf("Unfinished transfers have at most %d files together.", maxTransferFiles)).
		Next("Wait until others are finished, or send fewer files.").At("/files")
}

// below puts the place of an error's field in front of it.
func below(err error, place string, i int) error {
	e := *AsError(err)
	e.Field = fmt.Sprintf(place, i) + e.Field
	return &e
}

// deviceName is what a client calls itself, fit for a page.
func deviceName(name string) string {
	name = cleanText(name)
	if r := []rune(name); len(r) > 200 {
		name = strings.TrimSpace(string(r[:200]))
	}
	return name
}

// movable gives uploads of the actor's own that are named to be sent on.
func (s *Transfers) movable(ctx context.Context, tx Tx, a Actor, ids []string) ([]Upload, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := tx.Uploads().Named(ctx, Scope(a.HubID), ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]Upload, len(rows))
	for _, u := range rows {
		byID[u.ID] = u
	}
	out := make([]Upload, len(ids))
	for i, id := range ids {
		u, there := byID[id]
		if !there || !own(a, u.ParticipantID, u.ClientID) {
			return nil, below(E(NotFound, "", "There is no such upload.").Next("Check the id, or announce the file anew."), "/upload_ids/%d", i)
		}
		if err := s.Uploads.writable(u); err != nil {
			return nil, below(err, "/upload_ids/%d", i)
		}
		out[i] = u
	}
	return out, nil
}

// own tells whether something is the actor's themself, admin or not.
func own(a Actor, participantID, clientID string) bool {
	a.Role = RoleParticipant
	return owns(a, participantID, clientID)
}

// room refuses one transfer too many, and one file too many in all of them.
func (s *Transfers) room(ctx context.Context, tx Tx, t Transfer, fresh int64, moved []Upload) error {
	have, err := tx.Transfers().Unfinished(ctx, Scope(t.HubID), t.ParticipantID, t.ClientID)
	if err != nil {
		return err
	}
	for _, u := range moved {
		if u.TransferID == "" {
			have.Uploads--
			fresh++
		}
	}
	if have.Files+fresh > maxTransferFiles {
		return tooManyFiles()
	}
	return have.room(t.ParticipantID)
}

// move makes uploads part of a transfer. Those from which the last one is taken end.
func (s *Transfers) move(ctx context.Context, tx Tx, moved []Upload, id string) error {
	if len(moved) == 0 {
		return nil
	}
	ids, left := make([]string, len(moved)), map[string]bool{}
	for i, u := range moved {
		ids[i] = u.ID
		if u.TransferID != "" {
			left[u.TransferID] = true
		}
		moved[i].TransferID = id
	}
	for _, old := range slices.Sorted(maps.Keys(left)) { // before the uploads, as everybody does
		if _, err := tx.Transfers().Lock(ctx, old); err != nil && CodeOf(err) != NotFound {
			return err
		}
	}
	n, err := tx.Uploads().SetTransfer(ctx, ids, id)
	if err != nil {
		return err
	}
	if n != int64(len(ids)) {
		return E(Conflict, "changed_meanwhile", "One of the uploads was finished or cancelled just now.").Next("Look at them again, then repeat.").At("/upload_ids")
	}
	for _, old := range slices.Sorted(maps.Keys(left)) {
		if err := s.Uploads.endTransfer(ctx, tx, old, nil); err != nil {
			return err
		}
	}
	return nil
}

func (s *Transfers) ticket(id string) (TransferTicket, error) {
	life := cmp.Or(s.TicketLife, ticketLife)
	expires := s.Clock().Add(life)
	token, err := s.Tickets.Issue(TicketTransfer, id, life)
	t := TransferTicket{Token: Secret(token), ExpiresAt: expires}
	if s.Endpoint != nil {
		t.Addresses, t.KeyHash = s.Endpoint()
	}
	return t, err
}

// owned gives a transfer that is the actor's to see.
func (s *Transfers) owned(ctx context.Context, a Actor, id string) (Transfer, error) {
	t, err := s.Store.Transfers().Get(ctx, Scope(a.HubID), id)
	if CodeOf(err) == NotFound || err == nil && !owns(a, t.ParticipantID, t.ClientID) { // one answer for both
		return Transfer{}, E(NotFound, "", "There is no such transfer.").Next("Check the id, or look at the list of transfers.")
	}
	return t, err
}

// Get gives a transfer of the actor's (an admin sees all of the hub), NotFound otherwise.
func (s *Transfers) Get(ctx context.Context, a Actor, id string) (TransferView, error) {
	t, err := s.owned(ctx, a, id)
	if err != nil {
		return TransferView{}, err
	}
	return s.view(ctx, a, t)
}

// List gives the actor's transfers in a state (empty: any), newest first; with all set those of the whole hub, for
// its admins.
func (s *Transfers) List(ctx context.Context, a Actor, state TransferState, all bool, w Slice) ([]TransferView, error) {
	if err := needScope(a, ScopeTransfersRead); err != nil {
		return nil, err
	}
	participant, client := a.ParticipantID, ""
	if a.Machine() {
		client = a.ClientID
	}
	if all {
		if a.Machine() || !a.Admin() {
			if err := adminOnly(a, ScopeTransfersAdmin); err != nil {
				return nil, err
			}
		}
		participant, client = "", ""
	} else if participant == "" && client == "" { // nobody at all; to the table it would mean everybody
		return []TransferView{}, nil
	}
	rows, err := s.Store.Transfers().List(ctx, Scope(a.HubID), participant, client, state, w)
	if err != nil {
		return nil, err
	}
	return s.views(ctx, a, rows)
}

func (s *Transfers) view(ctx context.Context, a Actor, t Transfer) (TransferView, error) {
	all, err := s.views(ctx, a, []Transfer{t})
	if err != nil {
		return TransferView{}, err
	}
	return all[0], nil
}

// views adds to transfers how far they are and how they go; for an admin also whose they are.
func (s *Transfers) views(ctx context.Context, a Actor, rows []Transfer) ([]TransferView, error) {
	ids, people := make([]string, len(rows)), []string{}
	for i, t := range rows {
		ids[i] = t.ID
		if t.ParticipantID != "" && a.Admin() {
			people = append(people, t.ParticipantID)
		}
	}
	totals, err := s.Store.Transfers().Totals(ctx, ids)
	if err != nil {
		return nil, err
	}
	names, err := s.Store.Mappings().People(ctx, Scope(a.HubID), people)
	if err != nil {
		return nil, err
	}
	out := make([]TransferView, len(rows))
	for i, t := range rows {
		p := names[t.ParticipantID]
		out[i] = TransferView{t, totals[t.ID], s.live(t), cmp.Or(p.Name, p.Email)}
	}
	return out, nil
}

// Update changes how a transfer is sent, also while it is.
func (s *Transfers) Update(ctx context.Context, a Actor, id string, c TransferChange) (TransferView, error) {
	if err := needScope(a, ScopeUploadsWrite); err != nil {
		return TransferView{}, err
	}
	if _, err := s.owned(ctx, a, id); err != nil {
		return TransferView{}, err
	}
	acc, err := accountOf(ctx, s.Store, a.HubID)
	if err != nil {
		return TransferView{}, err
	}
	t, err := changeRow(ctx, s.Store, func(t Tables) Rows[Transfer] { return t.Transfers() }, Scope(a.HubID), id, func(tx Tx, t *Transfer) error {
		before := *t
		put(&t.Policy, c.Policy)
		put(&t.RateBPS, c.RateBPS)
		if c.First != nil {
			t.First = t.First.set(*c.First, a)
		}
		switch {
		case *t == before:
			return errUnchanged
		case t.State != TransferOpen:
			return transferEnded()
		}
		if t.Policy != before.Policy || t.RateBPS != before.RateBPS {
			if err := acc.allow(t.Policy, t.RateBPS); err != nil {
				return err
			}
		}
		totals, err := tx.Transfers().Totals(ctx, []string{id})
		if err != nil {
			return err
		}
		tx.AfterCommit(s.look)
		return s.Events.Append(ctx, tx, t.HubID, t.audience(), "transfer.changed", id, TransferView{Transfer: *t, TransferTotals: totals[id]}.news())
	})
	if err != nil {
		return TransferView{}, err
	}
	return s.view(ctx, a, t)
}

// set is who a transfer comes before when the actor wants it first, or not.
func (f TransferFirst) set(first bool, a Actor) TransferFirst {
	switch {
	case !first:
		return FirstNone
	case a.Admin() && !a.Machine():
		return FirstHub
	case f == FirstNone:
		return FirstOwn
	}
	return f
}

func transferEnded() *Error {
	return E(Conflict, "transfer_ended", "The transfer has ended.").Next("Look at its uploads; send what is missing as a new transfer.")
}

// Cancel cancels all uploads of a transfer that have not become entries. Repeating it is harmless.
func (s *Transfers) Cancel(ctx context.Context, a Actor, id string) (TransferView, error) {
	if err := needScope(a, ScopeUploadsWrite); err != nil {
		return TransferView{}, err
	}
	t, err := s.owned(ctx, a, id)
	if err != nil {
		return TransferView{}, err
	}
	// Those of which nothing has come go together, and nobody heard of them one by one but the files of drop folders.
	var unbegun []string
	if t.State == TransferOpen {
		err = s.Store.Tx(ctx, func(tx Tx) error {
			t, err := tx.Transfers().Lock(ctx, id)
			if err != nil || t.State != TransferOpen {
				return err
			}
			if unbegun, err = tx.Uploads().CancelUnbegun(ctx, id); err != nil {
				return err
			}
			if err := audit(ctx, tx, a, "transfer.cancel", id, map[string]any{"files": len(unbegun)}); err != nil {
				return err
			}
			return s.Uploads.endTransfer(ctx, tx, id, nil)
		})
		if err != nil {
			return TransferView{}, err
		}
	}
	for _, u := range unbegun {
		s.Uploads.drop(ctx, Upload{Row: Row{ID: u}, State: UploadCancelled, Replica: s.Replica})
	}
	for after := ""; ; {
		rest, err := s.Store.Uploads().OfTransfer(ctx, id, []UploadState{UploadReceiving, UploadHeld, UploadIngesting, UploadFailed}, after, 500)
		if err != nil {
			return TransferView{}, err
		}
		for _, u := range rest {
			after = u.ID
			if _, err := s.Uploads.Cancel(ctx, a, u.ID); err != nil && CodeOf(err) != Conflict && CodeOf(err) != NotFound {
				return TransferView{}, err
			}
		}
		if len(rest) < 500 {
			break
		}
	}
	return s.Get(ctx, a, id)
}

// UploadsOf gives a transfer's uploads in the order in which they were announced.
func (s *Transfers) UploadsOf(ctx context.Context, a Actor, id string, w Slice) ([]Upload, error) {
	if _, err := s.owned(ctx, a, id); err != nil {
		return nil, err
	}
	rows, err := s.Store.Uploads().OfTransfer(ctx, id, nil, w.After, w.Limit)
	for i := range rows {
		s.Uploads.freshen(ctx, &rows[i])
	}
	return rows, err
}

// Renew gives another ticket for what is unfinished, to who made the transfer.
func (s *Transfers) Renew(ctx context.Context, a Actor, id string) (TransferTicket, error) {
	if err := needScope(a, ScopeUploadsWrite); err != nil {
		return TransferTicket{}, err
	}
	t, err := s.owned(ctx, a, id)
	switch {
	case err != nil:
		return TransferTicket{}, err
	case !own(a, t.ParticipantID, t.ClientID):
		return TransferTicket{}, E(Forbidden, "not_sender", "Only who made the transfer can send it.").Next("Ask them to go on with it.")
	case t.State != TransferOpen:
		return TransferTicket{}, transferEnded()
	}
	return s.ticket(id)
}
