package gateway

import (
	"context"
	"log/slog"
	"time"
)

// ReconcileReport is what a reconciliation found. Counts are of entries, except Items and Uploads.
type ReconcileReport struct {
	AskedAt   time.Time `json:"asked_at"` // an admin asked for it; zero = by schedule
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"` // zero = under way, or never begun
	Entries   int       `json:"entries"`  // asked for
	Items     int       `json:"items"`    // that hang on them
	Uploads   int       `json:"uploads"`
	Lost      int       `json:"lost"`    // items and uploads that lost their entry
	Found     int       `json:"found"`   // whose entry is back
	Changed   int       `json:"changed"` // items that follow a change
	Unknown   int       `json:"unknown"` // entries about which no certain answer came
	Problem   *Problem  `json:"problem,omitempty"`
}

const (
	lookBatch    = 100           // Kaltura cuts lists of ids in silence near 150
	missingTwice = 6 * time.Hour // between two looks that did not list an entry, before it is believed to be gone
)

// verdict is what is known of an entry.
type verdict int

const (
	unknown verdict = iota // no certain answer: nothing may change
	missing                // not listed, and nobody could say whether it exists
	gone                   // the platform says that there is no such entry
	there
)

// RunReconcile asks for the entries of all ready items and uploads of a connection (task
// ReconcileLibrary): what is gone is said so, what changed is followed, what is back works again.
// Only certain answers count; when the platform does not answer, it is tried again later.
func (s *Library) RunReconcile(ctx context.Context, integrationID string) error {
	key := "reconcile " + integrationID
	if !s.enter(key) {
		return &Snooze{10 * time.Second}
	}
	defer s.leave(key)
	ins := s.Catalog.Integrations
	in, err := s.Store.Integrations().Get(ctx, AnyHub, integrationID)
	if CodeOf(err) == NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err = ins.gate(ctx, in.HubID, false); err != nil {
		return nil //nolint:nilerr // not in use
	}
	leave, err := s.Lanes.enter(QueuePlatform, in.HubID)
	if err != nil {
		return err
	}
	defer leave()
	before, err := ins.upkeep(ctx, in)
	if err != nil {
		return err
	}
	r := ReconcileReport{StartedAt: s.Clock()}
	if before.Report.EndedAt.IsZero() {
		r.AskedAt = before.Report.AskedAt
	}
	if err = s.report(ctx, in.ID, r); err != nil {
		return err
	}
	err = s.reconcile(ctx, in, &r)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.EndedAt = s.Clock()
	var again error
	if e := AsError(err); e != nil {
		r.Problem = &Problem{reasonOf(e), e.Message, e.NextStep}
		if e.Code == Internal {
			again = err
		} else {
			again = &Snooze{max(e.Retry, outageRetry)}
		}
		slog.InfoContext(ctx, "reconciliation broken off", "integration", in.ID, "error", err)
	}
	if err = s.report(context.WithoutCancel(ctx), in.ID, r); err != nil && CodeOf(err) != NotFound {
		return err
	}
	return again
}

func (s *Library) report(ctx context.Context, id string, r ReconcileReport) error {
	_, err := s.Catalog.Integrations.changeUpkeep(ctx, id, func(_ Tx, u *Upkeep) error {
		u.Report = r
		return nil
	})
	return err
}

// reconcile walks all sources. An answer that fails ends the walk: the entries not asked for stay as they are.
func (s *Library) reconcile(ctx context.Context, in Integration, r *ReconcileReport) error {
	o, err := s.Catalog.Integrations.open(in)
	if err != nil {
		return err
	}
	for _, sources := range []func(context.Context, string, string, int) ([]string, error){s.Store.Library().Sources, s.Store.Uploads().Sources} {
		for after := ""; ; {
			ids, err := sources(ctx, in.ID, after, lookBatch)
			if err != nil {
				return err
			}
			if len(ids) == 0 {
				break
			}
			if err = s.look(ctx, o, ids, r); err != nil {
				return err
			}
			after = ids[len(ids)-1]
		}
	}
	return nil
}

// RunLook looks at one entry (task LookAtEntry), because a notification or a player hinted at it.
func (s *Library) RunLook(ctx context.Context, integrationID, entryID string) error {
	in, err := s.Store.Integrations().Get(ctx, AnyHub, integrationID)
	if CodeOf(err) == NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err = s.Catalog.Integrations.gate(ctx, in.HubID, false); err != nil {
		return nil //nolint:nilerr // not in use
	}
	leave, err := s.Lanes.enter(QueuePlatform, in.HubID)
	if err != nil {
		return err
	}
	defer leave()
	o, err := s.Catalog.Integrations.open(in)
	if err != nil {
		return err
	}
	return s.look(ctx, o, []string{entryID}, &ReconcileReport{})
}

// look asks for a batch of entries and settles what hangs on them.
func (s *Library) look(ctx context.Context, o Opened, ids []string, r *ReconcileReport) error {
	looker, ok := o.Platform.(Looker)
	if !ok {
		return notOffered()
	}
	r.Entries += len(ids)
	found, err := looker.Look(ctx, ids)
	s.Catalog.Integrations.Heard(ctx, o.Integration, err)
	if err != nil {
		r.Unknown += len(ids)
		return err
	}
	known := make(map[string]Media, len(found))
	for _, m := range found {
		known[m.ID] = m
	}
	si := &sight{lib: s, o: o, known: known, asked: map[string]seen{}, unsure: map[string]bool{}}
	err = s.settleSources(ctx, si, ids, r)
	r.Unknown += len(si.unsure)
	if err != nil {
		return err
	}
	return si.trouble
}

// settleSources brings the rows that hang on entries in line with what is known of the entries.
func (s *Library) settleSources(ctx context.Context, si *sight, ids []string, r *ReconcileReport) error {
	in := si.o.Integration
	for w := (Slice{Limit: 500}); ; {
		items, err := s.Store.Library().OfEntries(ctx, in.ID, ids, w)
		if err != nil {
			return err
		}
		for _, it := range items {
			w.After = it.ID
			r.Items++
			v, err := si.of(ctx, it.ParticipantID, it.ClientID, it.EntryID)
			if err != nil {
				return err
			}
			if err = s.settleItem(ctx, it, v.verdict, v.media, r); err != nil && CodeOf(err) != NotFound {
				return err
			}
		}
		if len(items) < w.Limit {
			break
		}
	}
	for w := (Slice{Limit: 500}); ; {
		uploads, err := s.Store.Uploads().OfEntries(ctx, in.ID, ids, w)
		if err != nil {
			return err
		}
		for _, u := range uploads {
			w.After = u.ID
			if u.State != UploadReady {
				continue
			}
			r.Uploads++
			v, err := si.of(ctx, u.ParticipantID, u.ClientID, u.EntryID)
			if err != nil {
				return err
			}
			if err = s.settleUpload(ctx, u, v.verdict, r); err != nil && CodeOf(err) != NotFound {
				return err
			}
		}
		if len(uploads) < w.Limit {
			return nil
		}
	}
}

// since moves the two marks of a row whose entry is looked at; the event's suffix is "lost", "found" or "".
func since(v verdict, lost, missed **time.Time, now time.Time) (news string, changed bool) {
	if v == missing && *missed != nil && now.Sub(**missed) >= missingTwice {
		v = gone
	}
	switch {
	case v == gone && *lost == nil:
		*lost, *missed = &now, nil
		return "lost", true
	case v == there && *lost != nil:
		*lost, *missed = nil, nil
		return "found", true
	case v == there && *missed != nil:
		*missed = nil
		return "", true
	case v == missing && *lost == nil && *missed == nil:
		*missed = &now
		return "", true
	}
	return "", false
}

func (s *Library) settleItem(ctx context.Context, it LibraryItem, v verdict, m Media, r *ReconcileReport) error {
	var own bool // a copy's own bytes say that they are spherical, whatever the entry's tags
	if it.Kind == ItemCopy && v == there && it.Is360 != m.Is360() {
		as, err := s.Assets.Get(ctx, it.AssetID)
		if err != nil && CodeOf(err) != NotFound {
			return err
		}
		own = as.Inspection.Is360()
	}
	news, followed := "", false
	_, err := s.change(ctx, it.ID, func(tx Tx, it *LibraryItem) error {
		news, followed = "", false
		if it.State != ItemReady {
			return errUnchanged
		}
		var marks, silent bool
		news, marks = since(v, &it.SourceLostAt, &it.SourceMissingAt, s.Clock())
		if v == there {
			followed, silent = it.follow(m, own)
		}
		if !marks && !followed && !silent {
			return errUnchanged
		}
		if news != "" {
			if err := s.tell(ctx, tx, *it, Job{Row: Row{ID: it.JobID}, State: JobDone, Progress: 1}, "library.source_"+news); err != nil {
				return err
			}
		}
		if followed {
			return s.tell(ctx, tx, *it, Job{Row: Row{ID: it.JobID}, State: JobDone, Progress: 1}, "library.changed")
		}
		return nil
	})
	count(r, err, news, followed)
	return err
}

func count(r *ReconcileReport, err error, news string, followed bool) {
	if err != nil {
		return
	}
	switch news {
	case "lost":
		r.Lost++
	case "found":
		r.Found++
	}
	if followed {
		r.Changed++
	}
}

// follow takes over what changed of the entry. A copy's bytes stay as they are, and with them its
// length and kind. silent is what nobody needs to hear of.
func (it *LibraryItem) follow(m Media, spherical bool) (changed, silent bool) {
	before := *it
	it.Name, it.Is360 = m.Name, m.Is360() || spherical
	if it.Kind == ItemLink && m.Status == MediaReady { // of one that is being replaced little is known
		it.Type, it.DurationMS = m.Type, m.DurationMS
	}
	if it.Kind == ItemLink {
		it.ThumbVersion = m.ThumbVersion
	}
	picture := it.ThumbVersion != before.ThumbVersion
	changed = it.Name != before.Name || it.Is360 != before.Is360 || it.Type != before.Type || it.DurationMS != before.DurationMS ||
		picture && before.ThumbVersion != ""
	return changed, picture
}

func (s *Library) settleUpload(ctx context.Context, u Upload, v verdict, r *ReconcileReport) error {
	news := ""
	_, err := changeRow(ctx, s.Store, func(t Tables) Rows[Upload] { return t.Uploads() }, AnyHub, u.ID, func(tx Tx, u *Upload) error {
		news = ""
		if u.State != UploadReady {
			return errUnchanged
		}
		var changed bool
		if news, changed = since(v, &u.EntryLostAt, &u.EntryMissingAt, s.Clock()); !changed {
			return errUnchanged
		}
		if news == "" {
			return nil
		}
		if err := s.Uploads.noteExport(ctx, tx, *u); err != nil {
			return err
		}
		return s.Events.Append(ctx, tx, u.HubID, u.audience(), "upload.entry_"+news, u.ID, u.News())
	})
	count(r, err, news, false)
	return err
}

// Lost says what it means for an item that its entry is gone, nil when it is there.
func (it LibraryItem) Lost() *Problem {
	switch {
	case it.SourceLostAt == nil:
		return nil
	case it.Kind == ItemCopy:
		return &Problem{"source_lost", "The original was deleted in Kaltura. This copy keeps its files and plays as before.", "Nothing needs to be done."}
	}
	return &Problem{
		"source_lost", "This media was deleted in Kaltura, or the hub's App Token may no longer see it, so the link does not play.",
		"Remove the link, or have the media restored in Kaltura: it then plays again by itself.",
	}
}

// Lost says what it means for an upload that its entry is gone, nil when it is there.
func (u Upload) Lost() *Problem {
	if u.EntryLostAt == nil {
		return nil
	}
	return &Problem{"entry_lost", "What became of this upload was deleted in Kaltura.", "Upload the file again if it is still wanted."}
}

// back takes the marks off an item whose entry was just shown to somebody.
func (s *Library) back(ctx context.Context, it LibraryItem) (LibraryItem, error) {
	return s.change(ctx, it.ID, func(tx Tx, it *LibraryItem) error {
		if it.SourceLostAt == nil {
			return errUnchanged
		}
		it.SourceLostAt, it.SourceMissingAt = nil, nil
		return s.tell(ctx, tx, *it, Job{Row: Row{ID: it.JobID}, State: JobDone, Progress: 1}, "library.source_found")
	})
}

// lookSoon has an entry looked at because playing it did not go as expected.
func (s *Library) lookSoon(ctx context.Context, it LibraryItem) {
	ctx = context.WithoutCancel(ctx)
	if err := s.Store.Tx(ctx, func(tx Tx) error {
		return tx.Enqueue(ctx, LookAtEntry{it.IntegrationID, it.EntryID}, IfIdle())
	}); err != nil {
		slog.WarnContext(ctx, "a lost source is looked at by the next reconciliation only", "item", it.ID, "error", err)
	}
}

// Reconcile asks for a reconciliation now. Admins only; asking again while one waits is harmless.
func (s *Library) Reconcile(ctx context.Context, a Actor) (ReconcileReport, error) {
	ins := s.Catalog.Integrations
	if _, err := ins.adminGate(ctx, a); err != nil {
		return ReconcileReport{}, err
	}
	in, err := ins.saved(ctx, a.HubID)
	if err != nil {
		return ReconcileReport{}, err
	}
	if _, err = ins.upkeep(ctx, in); err != nil {
		return ReconcileReport{}, err
	}
	u, err := ins.changeUpkeep(ctx, in.ID, func(tx Tx, u *Upkeep) error {
		if u.Report.StartedAt.IsZero() == u.Report.EndedAt.IsZero() { // none is under way
			u.Report = ReconcileReport{AskedAt: s.Clock()}
			if err := audit(ctx, tx, a, "integration.reconcile", in.ID, map[string]any{}); err != nil {
				return err
			}
		}
		return tx.Enqueue(ctx, ReconcileLibrary{in.ID}, Sooner(s.Clock()))
	})
	return u.Report, err
}

// ReconcileReport gives the last reconciliation's report. Admins only.
func (s *Library) ReconcileReport(ctx context.Context, a Actor) (ReconcileReport, error) {
	ins := s.Catalog.Integrations
	if err := adminOnly(a, ScopeConnectionsAdmin); err != nil {
		return ReconcileReport{}, err
	}
	in, err := ins.Get(ctx, a)
	if err != nil {
		return ReconcileReport{}, err
	}
	u, err := ins.upkeep(ctx, in)
	return u.Report, err
}
