package gateway

import (
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"sync"
	"time"
)

// Uploads takes files in, from any path, at one offset truth. Use by pointer; safe for concurrent use.
type Uploads struct {
	Store        Store
	Clock        Clock
	Staging      Staging
	Pipeline     Pipeline
	Integrations *Integrations
	Mappings     *Mappings
	Events       *Events
	Relay        *Relay
	Blobs        Blobs        // where own items lie that are sent to Kaltura
	Lanes        *Lanes       // one for all services; nil = no limits
	Folders      *DropFolders // what is sent to drop folders; nil = nothing is
	Replica      string
	Life         time.Duration                 // 30 days
	MaxSize      int64                         // bytes of one file
	Accept       func(hubID string) Acceptance // which files a hub takes; nil = all that can be played

	// Meter counts a write over HTTPS in; nil = nobody does. end must follow.
	Meter func(ctx context.Context, u Upload, r io.Reader) (_ io.Reader, end func(), _ error)

	mu      sync.Mutex
	flows   map[string]*flow // receiving uploads of this process, by id
	ingests map[string]bool  // runs of RunIngest in this process, by id

	ending   []*finishing // uploads that wait to be accepted
	finishes bool         // somebody accepts them
}

// How many uploads may be under way at once, a transfer counting as one. A person who sends more by hand
// has lost the overview; a client works through a queue.
const (
	openPerPerson = 20
	openPerClient = 200
)

// NewUpload is what a client says before the first byte.
type NewUpload struct {
	Name, Title, Description string
	Tags                     []string
	ContentType              string
	Size                     int64
	Fingerprint              string
	Target                   string
	FolderID                 string // drop folder that it is for; Name is then a path within it
}

// Create checks name, type, size, plan, mapping and quota, reserves the bytes and makes the upload.
func (s *Uploads) Create(ctx context.Context, a Actor, n NewUpload) (Upload, error) {
	rows, err := s.prepare(ctx, a, []NewUpload{n}, func(_ int, err error) error { return err })
	if err != nil {
		return Upload{}, err
	}
	u := rows[0]
	// The place on disk comes before the row: a row without a place could never be written to, a
	// place without a row is swept.
	if err = s.Staging.Create(ctx, u.ID, u.Size); err != nil {
		return Upload{}, err
	}
	err = s.Store.Tx(ctx, func(tx Tx) error {
		if err := s.reserve(ctx, tx, u); err != nil {
			return err
		}
		all := []Upload{u} // Tx may run this again
		if err := s.Folders.announce(ctx, tx, a, all, func(_ int, err error) error { return err }); err != nil {
			return err
		}
		row := all[0]
		if err := tx.Uploads().Insert(ctx, &row); err != nil {
			return err
		}
		if err := s.tell(ctx, tx, row, "upload.created"); err != nil {
			return err
		}
		u = row
		return answered(ctx, tx, row)
	})
	if err != nil {
		_ = s.Staging.Remove(context.WithoutCancel(ctx), u.ID) // else the sweep does it
		return Upload{}, err
	}
	return u, nil
}

// prepare makes the rows of files that the actor may send; their ids sort in the order of the files. at
// says which of the files an error is about; the first says it all, with others in More.
func (s *Uploads) prepare(ctx context.Context, a Actor, files []NewUpload, at func(i int, err error) error) ([]Upload, error) {
	if err := needScope(a, ScopeUploadsWrite); err != nil {
		return nil, err
	}
	ids := make([]string, len(files))
	for i := range ids {
		ids[i] = NewID("upl")
	}
	slices.Sort(ids)
	rows := make([]Upload, len(files))
	kaltura := false
	var bad *Error
	places, err := s.Folders.targets(ctx, a, files, at)
	if err != nil {
		return nil, err
	}
	for i, n := range files {
		place := places[n.FolderID]
		tags, err := s.check(a, n, place)
		if err == nil && n.Target == TargetLibrary {
			err = registrar(a)
		}
		if err != nil {
			bad = bad.and(*AsError(at(i, err)))
			continue
		}
		kaltura = kaltura || n.Target == TargetKaltura && place == nil
		rows[i] = Upload{
			Row: Row{ID: ids[i], HubID: a.HubID}, ParticipantID: a.ParticipantID,
			Target: n.Target, Name: n.Name, Title: titleOf(n.Title, n.Name), Description: n.Description, Tags: tags,
			ContentType: n.ContentType, Size: n.Size, Fingerprint: n.Fingerprint,
			State: UploadReceiving, Replica: s.Replica, ExpiresAt: s.Clock().Add(s.Life),
		}
		if a.Machine() {
			rows[i].ClientID = a.ClientID
		}
		if place != nil {
			rows[i].FolderID, rows[i].IntegrationID, rows[i].Title = n.FolderID, place.integration, titleOf(n.Title, path.Base(n.Name))
		}
	}
	if bad != nil {
		return nil, bad
	}
	if !kaltura {
		return rows, nil
	}
	o, err := s.admit(ctx, a)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		if rows[i].Target == TargetKaltura && rows[i].FolderID == "" { // stays empty for a file that does not go there
			rows[i].IntegrationID = o.Integration.ID
		}
	}
	return rows, nil
}

// mapped refuses who has no user on the platform and gets none. While the platform does not answer
// the file comes in all the same: who its owner is, is found out when it is handed over.
func (s *Uploads) mapped(ctx context.Context, a Actor, o Opened) error {
	patience := 5 * time.Second
	if o.Integration.Health != HealthOK {
		patience = time.Second
	}
	ask, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := s.Mappings.Resolve(ask, a, o)
	if ctx.Err() != nil || !passes(err) {
		return err
	}
	s.Integrations.Heard(ctx, o.Integration, err)
	return nil
}

func (s *Uploads) check(a Actor, n NewUpload, place *dropTarget) (tags []string, err error) {
	if err := checkName(n.Name); err != nil {
		return nil, err
	}
	manifest := false
	if place != nil {
		if manifest, err = place.check(n); err != nil {
			return nil, err
		}
		n.Name = path.Base(n.Name)
	}
	var accept Acceptance
	if s.Accept != nil {
		accept = s.Accept(a.HubID)
	}
	if _, err := accept.check(n.Name, n.ContentType); err != nil && !manifest {
		return nil, err
	}
	switch {
	case n.Target != TargetKaltura && n.Target != TargetLibrary:
		return nil, E(Invalid, "target_invalid", "The target of an upload is kaltura or library.").Next("Choose one of them.").At("/target")
	case n.Size == 0:
		return nil, E(Invalid, "empty_file", "The file is empty.").Next("Choose a file that has content.").At("/size")
	case n.Size < 0:
		return nil, E(Invalid, "size_missing", "The file's size is not known.").Next("Say the size in bytes.").At("/size")
	case s.MaxSize > 0 && n.Size > s.MaxSize:
		return nil, E(TooLarge, "file_too_large", fmt.Sprintf("The file has %d bytes; at most %d are taken.", n.Size, s.MaxSize)).
			Next("Send a smaller file.").At("/size")
	case len(n.Title) > 4*maxName || len(n.Description) > 64<<10 || len(n.Fingerprint) > maxName:
		return nil, E(Invalid, "text_too_long", "The title, description or fingerprint is too long.").Next("Shorten it.")
	}
	return cleanTags(n.Tags)
}

// owned gives an upload that is the actor's to handle.
func (s *Uploads) owned(ctx context.Context, a Actor, id string) (Upload, error) {
	u, err := s.Store.Uploads().Get(ctx, Scope(a.HubID), id)
	if CodeOf(err) == NotFound || err == nil && !owns(a, u.ParticipantID, u.ClientID) { // one answer for both
		return Upload{}, noSuchUpload()
	}
	return u, err
}

// Get gives an upload of the actor's (an admin sees all of the hub), NotFound otherwise.
func (s *Uploads) Get(ctx context.Context, a Actor, id string) (Upload, error) {
	u, err := s.owned(ctx, a, id)
	if err != nil {
		return Upload{}, err
	}
	s.freshen(ctx, &u)
	return u, s.nameDevices(ctx, []*Upload{&u})
}

// nameDevices says where uploads are sent from.
func (s *Uploads) nameDevices(ctx context.Context, uploads []*Upload) error {
	var ids []string
	for _, u := range uploads {
		if u.TransferID != "" && !slices.Contains(ids, u.TransferID) {
			ids = append(ids, u.TransferID)
		}
	}
	rows, err := s.Store.Transfers().Named(ctx, ids)
	for _, t := range rows {
		for _, u := range uploads {
			if u.TransferID == t.ID {
				u.Device = t.Device
			}
		}
	}
	return err
}

// List gives the actor's uploads, newest first.
func (s *Uploads) List(ctx context.Context, a Actor, states []UploadState, w Slice) ([]Upload, error) {
	clientID := a.ClientID
	switch {
	case !a.Machine():
		clientID = ""
	case clientID == "": // nobody at all; to the table it would mean everybody
		return []Upload{}, nil
	}
	list, err := s.Store.Uploads().List(ctx, Scope(a.HubID), a.ParticipantID, clientID, states, w)
	if err != nil {
		return nil, err
	}
	all := make([]*Upload, len(list))
	for i := range list {
		all[i] = &list[i]
		s.freshen(ctx, all[i])
	}
	return list, s.nameDevices(ctx, all)
}

// freshen takes the received bytes from the disk, which knows better than the row.
func (s *Uploads) freshen(ctx context.Context, u *Upload) {
	if u.State != UploadReceiving || u.Replica != s.Replica {
		return
	}
	if d, err := s.durable(ctx, *u); err == nil {
		u.Received = d.Prefix()
	}
}

// durable gives what is on disk of an upload that is received here. One of a transfer has no place before its
// bytes begin (see place): nothing is there yet.
func (s *Uploads) durable(ctx context.Context, u Upload) (Ranges, error) {
	d, err := s.Staging.Durable(ctx, u.ID)
	if CodeOf(err) == NotFound && u.TransferID != "" && u.State == UploadReceiving {
		return nil, nil
	}
	return d, err
}

// place makes the place on disk of an upload of a transfer, before the first byte is written: ten thousand places
// cost the disk too much to be made in one call. Harmless when it is there.
func (s *Uploads) place(ctx context.Context, u Upload) error {
	if u.TransferID == "" {
		return nil
	}
	return s.Staging.Prepare(ctx, u.ID, u.Size)
}

// Offset gives the contiguous durable prefix.
func (s *Uploads) Offset(ctx context.Context, a Actor, id string) (Upload, int64, error) {
	u, err := s.owned(ctx, a, id)
	if err != nil {
		return Upload{}, 0, err
	}
	if u.State != UploadReceiving { // finished here: nothing more is wanted
		if u.State == UploadCancelled || u.State == UploadExpired {
			return u, 0, s.writable(u)
		}
		return u, u.Size, nil
	}
	if err = s.writable(u); err != nil {
		return u, 0, err
	}
	d, err := s.durable(ctx, u)
	if err != nil {
		return u, 0, err
	}
	u.Received = d.Prefix()
	return u, u.Received, nil
}

// Cancel stops an upload before its entry exists and frees its bytes.
func (s *Uploads) Cancel(ctx context.Context, a Actor, id string) (Upload, error) {
	if _, err := s.owned(ctx, a, id); err != nil {
		return Upload{}, err
	}
	u, err := s.change(ctx, id, func(tx Tx, u *Upload) error {
		if err := u.cancel(); err != nil {
			return err
		}
		if err := tx.Enqueue(ctx, AbandonIngest{UploadID: id}); err != nil {
			return err
		}
		if err := audit(ctx, tx, a, "upload.cancel", id, map[string]any{"size": u.Size}); err != nil {
			return err
		}
		return s.tell(ctx, tx, *u, "upload.cancelled")
	})
	if err != nil {
		return u, err
	}
	s.drop(ctx, u)
	return u, nil
}

// cancel makes it cancelled, or says why that cannot be.
func (u *Upload) cancel() error {
	switch {
	case u.State == UploadCancelled:
		return errUnchanged
	case u.Target == TargetLibrary && u.ItemID != "":
		return E(Conflict, "upload_used", "This upload has become an item of the library.").Next("Remove the item if you do not want it.")
	case u.Target != TargetLibrary && (u.EntryID != "" || u.State == UploadReady):
		return E(Conflict, "already_sent", "The file is in the media platform already.").
			Next("Delete the entry there if you do not want it.")
	case u.State == UploadExpired:
		return E(Conflict, "upload_expired", "The upload has expired; its bytes are gone.").Next("Start the upload again if you still want it.")
	}
	u.State = UploadCancelled
	u.clear()
	return nil
}

// drop stops a write under way and frees the bytes at once; AbandonIngest does it again after a crash.
func (s *Uploads) drop(ctx context.Context, u Upload) {
	s.forget(u.ID).stop(AsError(s.writable(u)))
	if u.Replica == s.Replica {
		_ = s.Staging.Remove(context.WithoutCancel(ctx), u.ID)
	}
}

// Extend moves the expiry to Life from now.
func (s *Uploads) Extend(ctx context.Context, a Actor, id string) (Upload, error) {
	if _, err := s.owned(ctx, a, id); err != nil {
		return Upload{}, err
	}
	u, err := s.change(ctx, id, func(_ Tx, u *Upload) error {
		if u.State != UploadReceiving && u.State != UploadFailed {
			return E(Conflict, "upload_"+string(u.State), "Only an unfinished upload can be extended.").
				Next("Look at its state; start the upload again if its bytes are gone.")
		}
		u.ExpiresAt = s.Clock().Add(s.Life)
		return nil
	})
	s.freshen(ctx, &u)
	return u, err
}

// Retry takes up a failed upload whose bytes we still have.
func (s *Uploads) Retry(ctx context.Context, a Actor, id string) (Upload, error) {
	u, err := s.owned(ctx, a, id)
	if err != nil {
		return Upload{}, err
	}
	o, err := s.Integrations.OpenFor(ctx, u.HubID, true)
	if err != nil {
		return Upload{}, err
	}
	d, err := s.Staging.Durable(ctx, id)
	if err != nil && CodeOf(err) != NotFound {
		return Upload{}, err
	}
	moved := false
	u, err = s.change(ctx, id, func(tx Tx, u *Upload) error {
		if u.State == UploadIngesting || u.State == UploadProcessing || u.State == UploadReady {
			return errUnchanged
		}
		if u.State != UploadFailed {
			return E(Conflict, "upload_"+string(u.State), "Only a failed upload can be tried again.").
				Next("Send the missing bytes of an unfinished one; start one that was cancelled or has expired again.")
		}
		moved = u.IntegrationID != o.Integration.ID && u.EntryID == ""
		u.clear()
		if err := audit(ctx, tx, a, "upload.retry", id, map[string]any{"size": u.Size}); err != nil {
			return err
		}
		if u.EntryID != "" {
			u.State = UploadProcessing
			if err := tx.Enqueue(ctx, WatchUpload{UploadID: id}); err != nil {
				return err
			}
			return s.tell(ctx, tx, *u, "upload.retried")
		}
		if !d.Covers(0, u.Size) && !u.fromItem() {
			return E(Conflict, "bytes_gone", "The bytes of this upload are no longer here.").Next("Upload the file again.")
		}
		u.State, u.IntegrationID = UploadIngesting, o.Integration.ID
		if err := tx.Enqueue(ctx, IngestUpload{UploadID: id}); err != nil {
			return err
		}
		return s.tell(ctx, tx, *u, "upload.retried")
	})
	if err == nil && moved { // what was sent lies in an account that is no longer ours
		err = s.Store.Uploads().SetRelay(ctx, id, "", nil)
	}
	return u, err
}

// change reads, changes and writes an upload in one transaction.
func (s *Uploads) change(ctx context.Context, id string, f func(Tx, *Upload) error) (Upload, error) {
	return changeRow(ctx, s.Store, func(t Tables) Rows[Upload] { return t.Uploads() }, AnyHub, id, f)
}

// UploadNews is what events say about an upload.
type UploadNews struct {
	ID       string      `json:"id"`
	Name     string      `json:"name"`
	State    UploadState `json:"state"`
	Size     int64       `json:"size"`
	Received int64       `json:"received"`
	Progress float64     `json:"progress"` // 0..1 of the current state
	EntryID  string      `json:"entry_id,omitempty"`
	Is360    bool        `json:"is_360"`
	Problem  *Problem    `json:"error,omitempty"`
}

// Problem is what went wrong, as events say it.
type Problem struct {
	Code     string `json:"code"`
	Message  string `json:"message"`
	NextStep string `json:"next_step,omitempty"`
}

// News gives what events say.
func (u Upload) News() UploadNews {
	n := UploadNews{
		ID: u.ID, Name: u.Name, State: u.State, Size: u.Size, Received: u.Received, Progress: u.Progress,
		EntryID: u.EntryID, Is360: u.Inspection.Is360(),
	}
	if u.State != UploadReceiving {
		n.Received = u.Size
	}
	if u.ErrorCode != "" {
		n.Problem = &Problem{u.ErrorCode, u.ErrorText, u.NextStep}
	}
	return n
}

// tell says what became of an upload, and ends its transfer when it was the last.
func (s *Uploads) tell(ctx context.Context, tx Tx, u Upload, typ string) error {
	if u.TransferID != "" && u.State != UploadReceiving {
		if err := s.endTransfer(ctx, tx, u.TransferID, &u); err != nil {
			return err
		}
	}
	return s.say(ctx, tx, u, typ)
}

func (s *Uploads) say(ctx context.Context, tx Tx, u Upload, typ string) error {
	if err := s.noteExport(ctx, tx, u); err != nil {
		return err
	}
	if err := s.Folders.noteUpload(ctx, tx, u); err != nil {
		return err
	}
	return s.Events.Append(ctx, tx, u.HubID, u.audience(), typ, u.ID, u.News())
}

// needScope refuses a token that does not carry the scope.
func needScope(a Actor, scope string) error {
	if a.Has(scope) {
		return nil
	}
	return E(Forbidden, "scope_missing", "The token does not allow this.").Next("Ask for a token with the scope %s.", scope)
}
