package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// entryTags are the person's own tags, and 360 when metadata in the file says that it is spherical.
func entryTags(u Upload) []string {
	tags := slices.Clone(u.Tags)
	if u.Inspection.Is360() && !slices.Contains(tags, Tag360) {
		tags = append(tags, Tag360)
	}
	return tags
}

// RunIngest hands a finished upload to the platform (task IngestUpload). It may be killed anywhere
// and run again: the staged bytes stay until the entry is ready, what the platform acknowledged is
// written down, and Ingest.Finish finds an entry that was made by its reference id.
func (s *Uploads) RunIngest(ctx context.Context, id string) error {
	u, err := s.Store.Uploads().Get(ctx, AnyHub, id)
	if CodeOf(err) == NotFound {
		return nil
	}
	if err == nil && (u.State == UploadCancelled || u.State == UploadExpired) {
		return s.RunAbandon(ctx, id) // killed in the middle, then cancelled: an entry may have been made
	}
	if err != nil || u.State != UploadIngesting {
		return err
	}
	if u.Replica != s.Replica { // the bytes lie with another process, which will draw this task too
		if err := s.Folders.strand(ctx, u); err != nil { // unless it is gone
			return err
		}
		return &Snooze{time.Second}
	}
	leave, err := s.Lanes.enter(QueuePlatform, u.HubID)
	if err != nil {
		return err
	}
	defer leave()
	// One run at a time: a queue that takes this process for dead may hand the task out again, and two
	// runs that both look for the entry before either has made it would make two.
	if !s.enter(id) {
		return &Snooze{time.Second}
	}
	defer s.leave(id)
	return s.settle(ctx, u, s.ingest(ctx, u))
}

func (s *Uploads) enter(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ingests == nil {
		s.ingests = map[string]bool{}
	}
	if s.ingests[id] {
		return false
	}
	s.ingests[id] = true
	return true
}

func (s *Uploads) leave(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ingests, id)
}

func (s *Uploads) ingest(ctx context.Context, u Upload) error {
	if u.fromItem() {
		if err := s.stageItem(ctx, u); err != nil {
			return err
		}
	}
	if u.Inspection.Type == "" {
		in, err := s.Pipeline.Inspect(ctx, Source{Staged: u.ID}, u.Name)
		if err != nil {
			return err
		}
		if u, err = s.change(ctx, u.ID, func(_ Tx, u *Upload) error {
			if u.State != UploadIngesting {
				return errUnchanged
			}
			u.Inspection = in
			return nil
		}); err != nil || u.State != UploadIngesting {
			return err
		}
	}
	sum, err := s.Staging.Sum(ctx, u.ID, u.Size)
	if err != nil {
		return err
	}
	if sum != u.SHA256 {
		return E(Invalid, "bytes_damaged", "The stored file no longer has the digest it was finished with.").
			Next("Upload the file again.")
	}
	for try := 0; ; try++ {
		ing, err := s.Relay.Complete(ctx, u)
		if err != nil {
			return err
		}
		m, err := finishIngest(ctx, ing, u)
		if IsReason(err, "ingest_gone") && try < 3 {
			if err = s.Relay.Forget(ctx, u.ID); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		return s.handedOver(ctx, u.ID, m)
	}
}

// handedOver writes down that the entry exists.
func (s *Uploads) handedOver(ctx context.Context, id string, m Media) error {
	// The entry is there: a stop of the process now would only mean to find it again.
	ctx = context.WithoutCancel(ctx)
	cancelled := false
	u, err := s.change(ctx, id, func(tx Tx, u *Upload) error {
		cancelled = u.State == UploadCancelled
		if u.State != UploadIngesting {
			return errUnchanged
		}
		u.EntryID, u.State, u.Progress = m.ID, UploadProcessing, 0
		u.clear()
		if err := tx.Enqueue(ctx, WatchUpload{UploadID: id}); err != nil {
			return err
		}
		return s.tell(ctx, tx, *u, "upload.entry_created")
	})
	if err != nil || !cancelled {
		return err
	}
	_, err = s.removeEntry(ctx, u, m.ID) // cancelled while the platform was making the entry: nobody wants it
	return err
}

// removeEntry removes the entry that was made of an upload and tells whether there was one. With an
// empty id it is looked for.
func (s *Uploads) removeEntry(ctx context.Context, u Upload, id string) (bool, error) {
	if u.Replaces != "" { // it was there before
		return false, nil
	}
	actor, o, err := s.Relay.account(ctx, u, true)
	if err != nil {
		return false, err
	}
	remover, may := o.Platform.(Remover)
	finder, can := o.Platform.(Finder)
	if !may || id == "" && !can {
		return false, nil
	}
	if id == "" {
		m, err := finder.Find(ctx, actor, newMedia(u).ReferenceID)
		if CodeOf(err) == NotFound {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		id = m.ID
	}
	return true, remover.Remove(ctx, actor, id)
}

// settle turns the outcome of background work on an upload into its state: final refusals fail it,
// everything else is tried again, later and later, and the row says what it waits for.
func (s *Uploads) settle(ctx context.Context, u Upload, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil { // stopped from outside; says nothing about the upload
		return ctx.Err()
	}
	var z *Snooze
	if errors.As(err, &z) {
		return err
	}
	e := AsError(err)
	switch e.Code {
	case Invalid, Forbidden, NotFound, TooLarge, Conflict:
		if e.Code == Conflict && (e.Reason == "changed_meanwhile" || e.Reason == "") {
			return err
		}
		return errors.Join(err, s.fail(ctx, u.ID, e))
	case Unavailable, RateLimited, Precondition:
		return s.wait(ctx, u, e)
	}
	return err
}

// fail ends an upload with a reason; its bytes stay until it expires, is cancelled or tried again.
func (s *Uploads) fail(ctx context.Context, id string, e *Error) error {
	_, err := s.change(ctx, id, func(tx Tx, u *Upload) error {
		if u.State.Done() {
			return errUnchanged
		}
		u.State, u.ErrorText, u.NextStep, u.WaitingSince = UploadFailed, e.Message, e.NextStep, nil
		u.ErrorCode = reasonOf(e)
		return s.tell(ctx, tx, *u, "upload.failed")
	})
	return err
}

// reasonOf gives the finest slug there is.
func reasonOf(e *Error) string {
	if e.Reason != "" {
		return e.Reason
	}
	return string(e.Code)
}

// wait puts the work off and says so: what for once, when it was and will be tried each time.
func (s *Uploads) wait(ctx context.Context, u Upload, e *Error) error {
	now := s.Clock()
	if u.ErrorCode != reasonOf(e) || u.WaitingSince == nil {
		var err error
		if u, err = s.change(ctx, u.ID, func(tx Tx, u *Upload) error {
			if u.State.Done() {
				return errUnchanged
			}
			u.ErrorCode, u.ErrorText, u.NextStep = reasonOf(e), e.Message, e.NextStep
			if u.WaitingSince == nil {
				u.WaitingSince = &now
			}
			return s.tell(ctx, tx, *u, "upload.waiting")
		}); err != nil {
			return err
		}
	}
	slog.InfoContext(ctx, "upload waits", "upload", u.ID, "error", e)
	least := time.Second
	if e.Code == Precondition {
		least = 30 * time.Second
	}
	var waited time.Duration
	if u.WaitingSince != nil {
		waited = now.Sub(*u.WaitingSince)
	}
	pause := max(e.Retry, jitter(grown(waited, least, 5*time.Minute)))
	last, next := now, now.Add(pause)
	if in, err := s.Integrations.saved(ctx, u.HubID); err == nil && in.ID == u.IntegrationID && in.Health != HealthOK {
		// The probe asks for all that waits, and takes it up when the answer is good.
		if e.Reason == "credentials_invalid" {
			last = in.HealthAt
		}
		if in.NextTryAt != nil && in.NextTryAt.Before(next) {
			if next = *in.NextTryAt; !next.After(now) { // overdue: any moment now
				next = now.Add(time.Second)
			}
		}
	}
	if err := s.Store.Uploads().SetTries(ctx, u.ID, last, next); err != nil && CodeOf(err) != NotFound {
		return err
	}
	return &Snooze{pause}
}

// GiveUp marks an upload failed after its task was tried too often.
func (s *Uploads) GiveUp(ctx context.Context, id string, err error) error {
	e := AsError(err)
	return s.fail(ctx, id, E(e.Code, reasonOf(e), e.Message).Next("Try it again; if it fails again, report the upload's id."))
}

// RunWatch waits for the entry to become ready (task WatchUpload); returns *Snooze until then.
func (s *Uploads) RunWatch(ctx context.Context, id string) error {
	u, err := s.Store.Uploads().Get(ctx, AnyHub, id)
	if CodeOf(err) == NotFound {
		return nil
	}
	if err != nil || u.State != UploadProcessing {
		return err
	}
	leave, err := s.Lanes.enter(QueueWatch, u.HubID)
	if err != nil {
		return err
	}
	defer leave()
	return s.settle(ctx, u, s.watch(ctx, u))
}

func (s *Uploads) watch(ctx context.Context, u Upload) error {
	actor, o, err := s.Relay.account(ctx, u, false) // a downgraded plan does not strand what is on its way
	if err != nil {
		return err
	}
	m, err := o.Platform.Get(ctx, actor, u.EntryID)
	s.Integrations.Heard(ctx, o.Integration, err)
	switch {
	case CodeOf(err) == NotFound:
		return E(NotFound, "entry_gone", "The entry was deleted in the media platform before it was ready.").
			Next("Upload the file again if you still want it.")
	case err != nil:
		return err
	case m.Status == MediaFailed || m.Replacing == MediaFailed:
		return E(Invalid, "conversion_failed", "The media platform could not convert the file.").
			Next("Check that the file plays on your computer; then upload it again, perhaps in another format.")
	case m.Status != MediaReady || m.Replacing != "": // what plays may still be what was there before
		// Often at first (the embedded platform is done in a moment), seldom later.
		return &Snooze{grown(s.Clock().Sub(u.UpdatedAt), 250*time.Millisecond, 30*time.Second)}
	}
	if err = verify(u, m); err != nil && u.Flavor == "" { // of a rendition the platform tells no size
		return err
	}
	if u, err = s.change(ctx, u.ID, func(tx Tx, u *Upload) error {
		if u.State != UploadProcessing {
			return errUnchanged
		}
		u.State, u.Progress = UploadReady, 1
		u.clear()
		return s.tell(ctx, tx, *u, "upload.ready")
	}); err != nil {
		return err
	}
	if u.Replica != s.Replica || u.State != UploadReady {
		return nil // its own replica sweeps
	}
	return s.Staging.Remove(ctx, u.ID)
}

// verify compares the size of the original on the platform with ours before we let go of the bytes.
// Kaltura tells sizes in KiB; accounts that keep no originals tell none.
func verify(u Upload, m Media) error {
	const rounding = 2 << 10
	for _, r := range m.Renditions {
		if d := r.Size - u.Size; r.Original && r.Size > 0 && (d > rounding || d < -rounding) {
			return E(Invalid, "size_differs", fmt.Sprintf("The media platform holds %d bytes of a file of %d.", r.Size, u.Size)).
				Next("Upload the file again; the bytes are kept until this upload expires.")
		}
	}
	return nil
}

// RunAbandon deletes what was sent of a cancelled or expired upload, and the entry if one was made
// before a crash kept us from writing that down (task AbandonIngest).
func (s *Uploads) RunAbandon(ctx context.Context, id string) error {
	if !s.enter(id) { // RunIngest has not noticed yet, or the bytes are fetched anew
		return &Snooze{time.Second}
	}
	defer s.leave(id)
	u, err := s.Store.Uploads().Get(ctx, AnyHub, id)
	if CodeOf(err) == NotFound {
		return nil
	}
	if err != nil || (u.State != UploadCancelled && u.State != UploadExpired) {
		return err
	}
	leave, err := s.Lanes.enter(QueuePlatform, u.HubID)
	if err != nil {
		return err
	}
	defer leave()
	if u.Replica == s.Replica {
		if err = s.Staging.Remove(ctx, id); err != nil {
			return err
		}
	}
	age := s.Clock().Sub(u.UpdatedAt)
	found := false
	if u.SHA256 != "" && u.Target == TargetKaltura { // finished: the entry was or is being made
		found, err = s.removeEntry(ctx, u, u.EntryID)
	}
	if err == nil {
		err = s.Relay.Abandon(ctx, u)
	}
	code := CodeOf(err)
	if passes(err) {
		code = Unavailable
	}
	switch code {
	case Unavailable:
		if age < 24*time.Hour { // after that Kaltura forgets by itself
			return &Snooze{grown(age, 5*time.Second, time.Hour)}
		}
		return nil
	case Precondition, Forbidden, NotFound: // disconnected: we can delete nothing there any more
		slog.InfoContext(ctx, "upload left behind on the platform", "upload", id, "error", err)
		return nil
	}
	if err == nil && u.SHA256 != "" && u.Target == TargetKaltura && !found && age < indexLag {
		return &Snooze{grown(age, 5*time.Second, indexLag)}
	}
	return err
}

// indexLag is how long an entry may exist before a platform's search finds it.
const indexLag = time.Minute

// Sweep expires what is over (task Sweep).
func (s *Uploads) Sweep(ctx context.Context) error {
	for {
		over, err := s.Store.Uploads().Expired(ctx, s.Clock(), 100)
		if err != nil {
			return err
		}
		for _, u := range over {
			if err = s.expire(ctx, u.ID); err != nil {
				return err
			}
		}
		if len(over) < 100 {
			break
		}
	}
	if _, err := s.Store.Invites().DeleteExpired(ctx, s.Clock()); err != nil {
		return err
	}
	if _, err := s.Store.Sessions().DeleteExpired(ctx, s.Clock()); err != nil {
		return err
	}
	if err := s.Events.Sweep(ctx); err != nil {
		return err
	}
	return s.sweepStaged(ctx)
}

func (s *Uploads) expire(ctx context.Context, id string) error {
	u, err := s.change(ctx, id, func(tx Tx, u *Upload) error {
		if u.State != UploadReceiving && u.State != UploadHeld || s.Clock().Before(u.ExpiresAt) { // extended or finished since
			return errUnchanged
		}
		if u.State == UploadHeld {
			wanted, err := s.Folders.wanted(ctx, tx, *u)
			if err != nil {
				return err
			}
			if wanted {
				u.ExpiresAt = s.Clock().Add(s.Life)
				return nil
			}
		}
		u.State = UploadExpired
		if err := tx.Enqueue(ctx, AbandonIngest{UploadID: id}); err != nil {
			return err
		}
		return s.tell(ctx, tx, *u, "upload.expired")
	})
	if err == nil && u.State == UploadExpired {
		s.drop(ctx, u)
	}
	return err
}

// sweepStaged removes staged bytes that no upload will ask for: made before a crash that lost the
// row, left by a crash after the entry was ready, or of a failed upload whose time is over.
func (s *Uploads) sweepStaged(ctx context.Context) error {
	now := s.Clock()
	ids, err := s.Staging.Stale(ctx, "upl_", now.Add(-24*time.Hour))
	if err != nil {
		return err
	}
	for _, id := range ids {
		u, err := s.Store.Uploads().Get(ctx, AnyHub, id)
		if err != nil && CodeOf(err) != NotFound {
			return err
		}
		if err == nil && (!u.State.Done() || (u.State == UploadFailed || u.Target == TargetLibrary && u.State == UploadReady) && now.Before(u.ExpiresAt)) {
			continue
		}
		if err = s.Staging.Remove(ctx, id); err != nil {
			return err
		}
	}
	return nil
}
