package gateway

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"
)

// goesOn is the next step of an import that was interrupted.
const goesOn = "Nothing is lost; the import goes on by itself."

var errImportCancelled = errors.New("import cancelled")

// RunImport copies the bytes of an item, resuming where it was, or waits for a link's entry to
// become ready (task ImportItem).
func (s *Library) RunImport(ctx context.Context, itemID string) error {
	if !s.enter(itemID) { // one writer of the staged bytes
		return &Snooze{time.Second}
	}
	defer s.leave(itemID)
	it, err := s.Store.Library().Get(ctx, AnyHub, itemID)
	if CodeOf(err) == NotFound {
		return nil // removed
	}
	if err != nil {
		return err
	}
	leave, err := s.Lanes.enter(QueuePlatform, it.HubID)
	if err != nil {
		return err
	}
	defer leave()
	typ := ""
	if it.State == ItemPending { // later attempts are no news
		typ = "import.started"
	}
	it, job, err := s.move(ctx, it, typ, func(it *LibraryItem, j *Job) error {
		if j.over() || (it.State != ItemPending && it.State != ItemImporting) {
			return errUnchanged
		}
		it.State, j.State, j.NextTryAt = ItemImporting, JobRunning, nil
		j.Attempt++
		return nil
	})
	switch {
	case err != nil:
		return err
	case job.over():
		return s.Assets.Staging.Remove(ctx, job.ID)
	case it.State != ItemImporting:
		return nil // done by an earlier run
	case job.CancelRequested:
		return s.stopped(ctx, it)
	}
	runCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	total := &sizeBox{}
	stop := s.follow(runCtx, cancel, it, job, total)
	err = s.run(runCtx, it, job, total)
	stop()
	if errors.Is(context.Cause(runCtx), errImportCancelled) {
		return s.stopped(context.WithoutCancel(ctx), it)
	}
	return s.settle(ctx, it, err)
}

func (s *Library) enter(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		s.running = map[string]bool{}
	}
	if s.running[id] {
		return false
	}
	s.running[id] = true
	return true
}

func (s *Library) leave(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, id)
}

// follow watches the flags that people set while bytes are copied, and tells how far they are.
func (s *Library) follow(ctx context.Context, cancel context.CancelCauseFunc, it LibraryItem, job Job, total *sizeBox) func() {
	var look int
	var told int64
	return every(ctx, lookEvery, func(ctx context.Context) bool {
		now, err := s.Store.Jobs().Get(ctx, AnyHub, job.ID)
		if CodeOf(err) == NotFound || err == nil && (now.CancelRequested || now.over()) {
			cancel(errImportCancelled)
			return false
		}
		size := total.get()
		if look++; look%2 != 0 || size <= 0 { // progress twice a second
			return true
		}
		d, err := s.Assets.Staging.Durable(ctx, job.ID)
		if err != nil || d.Prefix() == told {
			return true
		}
		told = d.Prefix()
		job.Progress = float64(told) / float64(size)
		if err := s.Store.Jobs().SetProgress(ctx, job.ID, job.Attempt, job.Progress); err != nil && ctx.Err() == nil {
			slog.DebugContext(ctx, "progress of an import not noted", "job", job.ID, "error", err)
		}
		s.Events.Progress(it.HubID, it.audience(), "import.progress", it.ID, it.News(job))
		return true
	})
}

// run does the work of one attempt.
func (s *Library) run(ctx context.Context, it LibraryItem, job Job, total *sizeBox) error {
	// The asset's id follows from the job's, so that a run after a crash finds what it published.
	assetID := assetIDOf(job.ID)
	if it.Kind == ItemCopy {
		if info, err := s.Assets.Blobs.Stat(ctx, originalKey(assetID)); err == nil {
			return s.adopted(ctx, it, assetID, info.Size, it.Name)
		} else if CodeOf(err) != NotFound {
			return err
		}
	}
	if it.Source == SourceSpaces {
		return s.acquire(ctx, it, job, assetID, total)
	}
	a, err := actorOf(ctx, s.Store, it.HubID, it.ParticipantID, it.ClientID)
	if err == nil {
		err = s.sameAccount(ctx, it)
	}
	if err != nil {
		return err
	}
	in, err := s.Catalog.Integrations.saved(ctx, it.HubID)
	if err == nil {
		err = in.paused()
	}
	if err != nil {
		return err
	}
	m, _, err := s.Catalog.Get(ctx, a, it.EntryID) // visibility may have changed since it was asked for
	if CodeOf(err) == NotFound {
		return E(NotFound, "entry_gone", "The entry was deleted in the media platform, or may no longer be seen.").
			Next("Choose another entry.")
	}
	if err != nil {
		return err
	}
	if m.Status == MediaFailed {
		return E(Invalid, "entry_failed", "The media platform could not convert this entry.").
			Next("Upload the file again in another format.")
	}
	rendition, ready := wanted(m, it)
	if !ready {
		return &Snooze{grown(s.Clock().Sub(job.CreatedAt), 250*time.Millisecond, 30*time.Second)}
	}
	if it.Kind == ItemLink {
		return s.linked(ctx, it, m)
	}
	o, err := s.Catalog.Integrations.OpenFor(ctx, it.HubID, true)
	if err != nil {
		return err
	}
	if a, err = s.Catalog.Mappings.Resolve(ctx, a, o); err != nil {
		return err
	}
	open := func(start int64) (io.ReadCloser, error) {
		return o.Platform.Open(ctx, a, it.EntryID, it.RenditionID, Range{start, -1})
	}
	size, err := s.download(ctx, job.ID, open, total)
	if err != nil {
		return err
	}
	if _, err = s.Assets.Adopt(ctx, job.ID, assetID); err != nil {
		return err
	}
	name := it.Name
	if rendition.Container != "" && typeOf(name, "") == Other {
		name += "." + rendition.Container // titles have no ending; the pipeline likes a hint
	}
	return s.adopted(ctx, it, assetID, size, name)
}

// wanted finds the rendition of an item and tells whether it is there yet.
func wanted(m Media, it LibraryItem) (Rendition, bool) {
	for _, r := range m.Renditions {
		if it.RenditionID == r.ID || it.RenditionID == RenditionOriginal && r.Original {
			return r, r.Ready || m.Status == MediaReady
		}
	}
	return Rendition{}, m.Status == MediaReady
}

// download stages a rendition, going on after the durable bytes of earlier attempts, and gives its size.
func (s *Library) download(ctx context.Context, staged string, open func(start int64) (io.ReadCloser, error), total *sizeBox) (int64, error) {
	const tries = 5 // without any new byte
	for failed := 0; ; {
		before, err := s.durable(ctx, staged)
		if err != nil {
			return 0, err
		}
		size, err := s.fetch(ctx, staged, before, open, total)
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if err == nil {
			return size, nil
		}
		if c := CodeOf(err); c != Unavailable && c != Internal {
			return 0, err
		}
		if after, derr := s.durable(ctx, staged); derr == nil && after > before {
			failed = 0
		} else if failed++; failed >= tries {
			return 0, err
		}
		slog.InfoContext(ctx, "import goes on after a break", "job", staged, "error", err)
		pause := 100 * time.Millisecond << failed
		if !sleep(ctx, pause/2+rand.N(pause)) {
			return 0, ctx.Err()
		}
	}
}

// durable gives the staged prefix, 0 when nothing is staged.
func (s *Library) durable(ctx context.Context, staged string) (int64, error) {
	d, err := s.Assets.Staging.Durable(ctx, staged)
	if CodeOf(err) == NotFound {
		return 0, nil
	}
	return d.Prefix(), err
}

// fetch reads once from start to the end.
func (s *Library) fetch(ctx context.Context, staged string, start int64, open func(int64) (io.ReadCloser, error), total *sizeBox) (int64, error) {
	// From one byte earlier: an earlier run may have died with all bytes staged, and a range that
	// begins at the end of a file is refused.
	r, err := open(max(start-1, 0))
	if err != nil {
		return 0, err
	}
	defer r.Close()
	if start > 0 {
		if _, err := io.CopyN(io.Discard, r, 1); err != nil {
			return 0, E(Unavailable, "short_body", "The media platform broke off.").Next(goesOn).Because(err)
		}
	}
	size := int64(-1)
	if sized, ok := r.(Sized); ok {
		size = sized.Size()
	}
	if size == 0 {
		return 0, E(Invalid, "empty_file", "The rendition is empty.").Next("Choose another rendition.")
	}
	total.set(size)
	err = s.Assets.Staging.Create(ctx, staged, size)
	if err == nil {
		_, err = s.Assets.Staging.WriteAt(ctx, staged, start, &stoppable{ctx, r})
	}
	if IsReason(err, "source_too_large") {
		return 0, err
	}
	if CodeOf(err) == Conflict || CodeOf(err) == TooLarge {
		// It is not the file that an earlier attempt began with: what is staged is worthless.
		if err := s.Assets.Staging.Remove(ctx, staged); err != nil {
			return 0, err
		}
		return 0, E(Unavailable, "rendition_changed", "The rendition changed while it was copied.").Next("It is copied anew by itself.").Because(err)
	}
	if err != nil {
		return 0, err
	}
	have, err := s.durable(ctx, staged)
	if err != nil {
		return 0, err
	}
	if size > 0 && have != size {
		return 0, E(Unavailable, "short_body", fmt.Sprintf("The media platform sent %d of %d bytes.", have, size)).Next(goesOn)
	}
	if have == 0 {
		return 0, E(Invalid, "empty_file", "The rendition is empty.").Next("Choose another rendition.")
	}
	return have, nil
}

// adopted makes the asset and hands over to the pipeline.
func (s *Library) adopted(ctx context.Context, it LibraryItem, assetID string, size int64, name string) error {
	sum, err := s.digest(ctx, originalKey(assetID))
	if err != nil {
		return err
	}
	job := Job{}
	_, err = s.change(ctx, it.ID, func(tx Tx, row *LibraryItem) error {
		if row.State != ItemImporting || row.JobID != it.JobID {
			return errUnchanged
		}
		var err error
		if job, err = tx.Jobs().Get(ctx, AnyHub, row.JobID); err != nil {
			return err
		}
		if job.over() || job.CancelRequested {
			return errImportCancelled
		}
		if _, err = s.Assets.New(ctx, tx, Asset{
			Row: Row{ID: assetID, HubID: row.HubID}, OwnerKind: OwnerLibraryItem, OwnerID: row.ID,
			FileName: name, Size: size, SHA256: sum,
		}); err != nil {
			return err
		}
		row.State, row.AssetID = ItemProcessing, assetID
		if row.Source == SourceSpaces { // the address has done its work, and the content is known for certain
			row.SourceURL, row.ContentKey = nil, contentMarks{readMarks(row.ContentKey).url, sum}.String()
		}
		row.ErrorCode, row.ErrorText, row.NextStep = "", "", ""
		job.Progress, job.ErrorCode, job.ErrorText = 1, "", ""
		if err = tx.Jobs().Update(ctx, &job); err != nil {
			return err
		}
		return s.tell(ctx, tx, *row, job, "import.copied")
	})
	if errors.Is(err, errImportCancelled) {
		return s.stopped(ctx, it)
	}
	return err
}

// digest reads a published file once; the bytes on disk are what counts.
func (s *Library) digest(ctx context.Context, key string) (string, error) {
	r, _, err := s.Assets.Blobs.Open(ctx, key, Range{0, -1})
	if err != nil {
		return "", err
	}
	defer r.Close()
	h := sha256.New()
	if _, err = io.Copy(h, &stoppable{ctx, r}); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (s *Library) linked(ctx context.Context, it LibraryItem, m Media) error {
	_, _, err := s.move(ctx, it, "import.ready", func(it *LibraryItem, j *Job) error {
		if j.over() {
			return errUnchanged
		}
		it.State, it.Name, it.Type, it.Is360, it.DurationMS = ItemReady, m.Name, m.Type, m.Is360(), m.DurationMS
		it.ThumbVersion = m.ThumbVersion
		it.ErrorCode, it.ErrorText, it.NextStep = "", "", ""
		j.State, j.Progress, j.ErrorCode, j.ErrorText = JobDone, 1, "", ""
		return nil
	})
	return err
}

// stopped ends a cancelled import and frees its bytes.
func (s *Library) stopped(ctx context.Context, it LibraryItem) error {
	_, job, err := s.move(ctx, it, "import.cancelled", func(it *LibraryItem, j *Job) error {
		if j.over() {
			return errUnchanged
		}
		it.State, j.State = ItemCancelled, JobCancelled
		return nil
	})
	if err != nil && CodeOf(err) != NotFound {
		return err
	}
	if err = s.Assets.Staging.Remove(ctx, cmp.Or(job.ID, it.JobID)); err != nil {
		return err
	}
	return s.Assets.Blobs.Remove(ctx, assetDir(assetIDOf(it.JobID)))
}

// assetIDOf gives the id of the asset that a job's copy becomes.
func assetIDOf(jobID string) string { return "ast" + strings.TrimPrefix(jobID, "job") }

// settle turns the outcome of an attempt into the item's and the job's state.
func (s *Library) settle(ctx context.Context, it LibraryItem, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var z *Snooze
	if errors.As(err, &z) {
		return s.wait(ctx, it, z.After, nil)
	}
	e := AsError(err)
	switch e.Code {
	case Invalid, Forbidden, NotFound, TooLarge:
		return errors.Join(err, s.fail(ctx, it, e))
	case Unavailable, RateLimited, Precondition:
		slog.InfoContext(ctx, "import waits", "item", it.ID, "error", err)
		job, jerr := s.Store.Jobs().Get(ctx, AnyHub, it.JobID)
		if jerr != nil {
			return jerr
		}
		least := time.Second
		if e.Code == Precondition {
			least = 30 * time.Second
		}
		return s.wait(ctx, it, max(e.Retry, grown(s.Clock().Sub(job.CreatedAt), least, 5*time.Minute)), e)
	}
	return err
}

func (s *Library) wait(ctx context.Context, it LibraryItem, d time.Duration, e *Error) error {
	typ := ""
	if e != nil && it.ErrorCode != reasonOf(e) { // said once
		typ = "import.waiting"
	}
	_, _, err := s.move(ctx, it, typ, func(it *LibraryItem, j *Job) error {
		if j.over() {
			return errUnchanged
		}
		at := s.Clock().Add(d)
		j.State, j.NextTryAt = JobWaiting, &at
		if e != nil {
			it.ErrorCode, it.ErrorText, it.NextStep = reasonOf(e), e.Message, e.NextStep
			j.ErrorCode, j.ErrorText = it.ErrorCode, it.ErrorText
		}
		return nil
	})
	if err != nil {
		return err
	}
	return &Snooze{d}
}

func (s *Library) fail(ctx context.Context, it LibraryItem, e *Error) error {
	_, _, err := s.move(ctx, it, "import.failed", func(it *LibraryItem, j *Job) error {
		if j.over() {
			return errUnchanged
		}
		it.State, j.State = ItemFailed, JobFailed
		it.ErrorCode, it.ErrorText, it.NextStep = reasonOf(e), e.Message, e.NextStep
		j.ErrorCode, j.ErrorText = it.ErrorCode, it.ErrorText
		return nil
	})
	if CodeOf(err) == NotFound { // removed meanwhile
		err = nil
	}
	return errors.Join(err, s.Assets.Staging.Remove(ctx, it.JobID))
}

// GiveUp marks an import failed after its task was tried too often.
func (s *Library) GiveUp(ctx context.Context, itemID string, cause error) error {
	it, err := s.Store.Library().Get(ctx, AnyHub, itemID)
	if CodeOf(err) == NotFound {
		return nil
	}
	if err != nil || (it.State != ItemPending && it.State != ItemImporting) {
		return err
	}
	e := AsError(cause)
	return s.fail(ctx, it, E(e.Code, reasonOf(e), e.Message).Next("Import it again; if it fails again, report the item's id."))
}

// AssetChanged follows the state of a copy's asset.
func (s *Library) AssetChanged(ctx context.Context, as Asset) error {
	if !as.State.Plays() && as.State != AssetFailed {
		return nil
	}
	typ := "import.ready"
	if as.State == AssetFailed {
		typ = "import.failed"
	}
	_, _, err := s.move(ctx, LibraryItem{Row: Row{ID: as.OwnerID}}, typ, func(it *LibraryItem, j *Job) error {
		if it.AssetID != as.ID || it.State != ItemProcessing {
			return errUnchanged
		}
		if as.State == AssetFailed {
			it.State, it.ErrorCode, it.ErrorText = ItemFailed, as.ErrorCode, as.ErrorText
			it.NextStep = "Import another rendition, or import it as a link."
			if it.Source == SourceSpaces {
				it.NextStep = "Register it again with a file that plays."
			}
			j.State, j.ErrorCode, j.ErrorText = JobFailed, as.ErrorCode, as.ErrorText
			return nil
		}
		it.State = ItemReady
		it.Type, it.DurationMS = as.Inspection.Type, as.Inspection.DurationMS
		it.Detected360 = as.Inspection.Is360()
		it.Is360 = it.Is360 || it.Detected360
		j.State, j.Progress = JobDone, 1
		return nil
	})
	if CodeOf(err) == NotFound { // the item was removed: so is what was made for it
		return s.Assets.Remove(ctx, as.ID)
	}
	return err
}

// move changes an item and the job that carries it together, with one event unless typ is empty.
func (s *Library) move(ctx context.Context, it LibraryItem, typ string, f func(*LibraryItem, *Job) error) (LibraryItem, Job, error) {
	var job Job
	row, err := s.change(ctx, it.ID, func(tx Tx, it *LibraryItem) error {
		var err error
		if job, err = tx.Jobs().Get(ctx, AnyHub, it.JobID); err != nil {
			return err
		}
		if err = f(it, &job); err != nil {
			return err
		}
		if err = tx.Jobs().Update(ctx, &job); err != nil {
			return err
		}
		if typ == "" {
			return nil
		}
		return s.tell(ctx, tx, *it, job, typ)
	})
	return row, job, err
}
