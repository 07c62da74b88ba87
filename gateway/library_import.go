package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"time"
)

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
