package gateway

import (
	"context"
	"io"
	"log/slog"
	"slices"
)

// Spherical finds entries that look spherical and lack the tag, and tags those that a person chose.
// It never tags by itself. Safe for concurrent use.
type Spherical struct {
	Catalog *Catalog
}

func (s *Spherical) ins() *Integrations { return s.Catalog.Integrations }

// Allow switches the search on or off. Admins only. Switched on, it begins at once.
func (s *Spherical) Allow(ctx context.Context, a Actor, on bool) (Upkeep, error) {
	in, err := s.admin(ctx, a)
	if err != nil {
		return Upkeep{}, err
	}
	return s.ins().changeUpkeep(ctx, in.ID, func(tx Tx, u *Upkeep) error {
		if u.Spherical == on {
			return errUnchanged
		}
		u.Spherical = on
		if on {
			u.Scan = SphericalScan{}
			if err := tx.Enqueue(ctx, ScanSpherical{in.ID}); err != nil {
				return err
			}
		}
		return audit(ctx, tx, a, "integration.spherical", in.ID, map[string]any{"allowed": on})
	})
}

func (s *Spherical) admin(ctx context.Context, a Actor) (Integration, error) {
	if _, err := s.ins().adminGate(ctx, a); err != nil {
		return Integration{}, err
	}
	in, err := s.ins().saved(ctx, a.HubID)
	if err != nil {
		return in, err
	}
	_, err = s.ins().upkeep(ctx, in)
	return in, err
}

// RunScan looks at the entries that changed since the last look, or at all (task ScanSpherical). It
// notes after each page where it goes on.
func (s *Spherical) RunScan(ctx context.Context, integrationID string) error {
	in, err := s.ins().Store.Integrations().Get(ctx, AnyHub, integrationID)
	if CodeOf(err) == NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err = s.ins().gate(ctx, in.HubID, true); err != nil {
		return nil //nolint:nilerr // not in use
	}
	u, err := s.ins().upkeep(ctx, in)
	if err != nil || !u.Spherical {
		return err
	}
	o, err := s.ins().open(in)
	if err != nil {
		return err
	}
	scan := u.Scan
	if scan.StartedAt.IsZero() || !scan.EndedAt.IsZero() {
		scan = SphericalScan{StartedAt: s.ins().Clock(), Since: u.Scan.StartedAt}
	}
	flat := false
	for {
		page, err := o.Platform.Browse(ctx, Actor{HubID: in.HubID}, Query{
			Types: []MediaType{Video, Image}, Only360: &flat, Statuses: []MediaStatus{MediaReady}, Sort: SortUpdated, Limit: maxPage, Cursor: scan.Cursor,
		})
		s.ins().Heard(ctx, in, err)
		if err != nil {
			return err
		}
		over := page.Next == ""
		for _, m := range page.Items {
			if m.UpdatedAt.Before(scan.Since) {
				over = true
				break
			}
			scan.Looked++
			found, err := s.offer(ctx, o, m)
			if err != nil {
				return err
			}
			if found {
				scan.Found++
			}
		}
		if scan.Cursor = page.Next; over {
			scan.EndedAt, scan.Cursor = s.ins().Clock(), ""
		}
		if _, err = s.ins().changeUpkeep(ctx, in.ID, func(_ Tx, u *Upkeep) error {
			u.Scan = scan
			return nil
		}); err != nil || over {
			return err
		}
	}
}

// offer writes an entry down when it looks spherical and was not offered before.
func (s *Spherical) offer(ctx context.Context, o Opened, m Media) (bool, error) {
	evidence, likely := signs(m, nil)
	if len(evidence) == 0 {
		return false, nil
	}
	if !likely { // one sign only: the file itself may say more
		evidence, likely = signs(m, s.head(ctx, o, m))
	}
	in := o.Integration
	err := s.ins().Store.Spherical().Insert(ctx, &SphericalCandidate{
		Row: Row{ID: NewID("sph"), HubID: in.HubID}, IntegrationID: in.ID, EntryID: m.ID, Name: m.Name, Type: m.Type,
		OwnerID: m.OwnerID, Width: m.Width, Height: m.Height, Likely: likely, Evidence: evidence, State: CandidateOffered,
	})
	if CodeOf(err) == Conflict { // offered, marked or dismissed before
		return false, nil
	}
	return err == nil, err
}

func (s *Spherical) head(ctx context.Context, o Opened, m Media) []byte {
	r, err := o.Platform.Open(ctx, Actor{HubID: o.Integration.HubID}, m.ID, RenditionOriginal, Range{0, sphericalHead})
	if err != nil {
		slog.DebugContext(ctx, "the beginning of a file could not be read", "entry", m.ID, "error", err)
		return nil
	}
	defer func() { _ = r.Close() }()
	b, _ := io.ReadAll(io.LimitReader(r, sphericalHead))
	return b
}

// Candidates lists what was found, newest first. Admins only.
func (s *Spherical) Candidates(ctx context.Context, a Actor, states []CandidateState, w Slice) ([]SphericalCandidate, error) {
	in, err := s.admin(ctx, a)
	if err != nil {
		return nil, err
	}
	v, err := s.Catalog.enter(ctx, a, false)
	if err != nil {
		return nil, err
	}
	rows, err := s.ins().Store.Spherical().List(ctx, in.ID, "", states, w)
	return slices.DeleteFunc(rows, func(c SphericalCandidate) bool { // the search saw the whole account, an admin may not
		return !Decide(v.actor, in, Media{ID: c.EntryID, OwnerID: c.OwnerID, CategoryID: in.CategoryID}).Allowed
	}), err
}

// Dismiss says that entries are flat: they are not offered again. Harmless when repeated.
func (s *Spherical) Dismiss(ctx context.Context, a Actor, ids []string) error {
	if _, err := s.admin(ctx, a); err != nil {
		return err
	}
	return s.ins().Store.Tx(ctx, func(tx Tx) error {
		_, err := s.move(ctx, tx, a, ids, "", CandidateOffered, CandidateDismissed)
		return err
	})
}

// Mark tags entries in Kaltura with the caller's own right, as one job that can be watched; Undo
// takes back the tags that we set, of single entries or of a whole job. Both are admins' doings.
func (s *Spherical) Mark(ctx context.Context, a Actor, ids []string) (Job, error) {
	return s.begin(ctx, a, ids, "", "mark_360", CandidateOffered, CandidateMarking)
}

// Undo is described at Mark.
func (s *Spherical) Undo(ctx context.Context, a Actor, ids []string, jobID string) (Job, error) {
	return s.begin(ctx, a, ids, jobID, "unmark_360", CandidateMarked, CandidateUndoing)
}

func (s *Spherical) begin(ctx context.Context, a Actor, ids []string, of, kind string, from, to CandidateState) (job Job, err error) {
	in, err := s.admin(ctx, a)
	if err != nil {
		return Job{}, err
	}
	if a.Machine() {
		return Job{}, E(Forbidden, "needs_person", "Tags are set with a person's own right in Kaltura, and this client acts for nobody.").
			Next("Act for a person: exchange that person's token for one of yours (token exchange).")
	}
	if of != "" {
		rows, err := s.ins().Store.Spherical().List(ctx, in.ID, of, []CandidateState{from}, Slice{Limit: 500})
		if err != nil {
			return Job{}, err
		}
		for _, c := range rows {
			ids = append(ids, c.ID)
		}
	}
	err = s.ins().Store.Tx(ctx, func(tx Tx) error {
		job = Job{Row: Row{ID: NewID("job"), HubID: a.HubID}, ParticipantID: a.ParticipantID, Kind: kind, Subject: in.ID, State: JobQueued}
		n, err := s.move(ctx, tx, a, ids, job.ID, from, to)
		if err != nil {
			return err
		}
		if n == 0 {
			return E(Conflict, "nothing_to_do", "None of these entries waits for that.").Next("Load the list again.")
		}
		if err = tx.Jobs().Insert(ctx, &job); err != nil {
			return err
		}
		if err = audit(ctx, tx, a, "spherical."+kind, in.ID, map[string]any{"entries": n, "job": job.ID}); err != nil {
			return err
		}
		return tx.Enqueue(ctx, MarkSpherical{job.ID})
	})
	return job, err
}

// move changes the state of those of the candidates that are in a state, and tells how many.
func (s *Spherical) move(ctx context.Context, tx Tx, a Actor, ids []string, jobID string, from, to CandidateState) (n int, _ error) {
	for _, id := range ids {
		c, err := tx.Spherical().Get(ctx, Scope(a.HubID), id)
		if CodeOf(err) == NotFound || err == nil && c.State != from {
			continue
		}
		if err != nil {
			return n, err
		}
		c.State, c.JobID, c.ErrorCode, c.ErrorText, c.NextStep = to, jobID, "", "", ""
		if err = tx.Spherical().Update(ctx, &c); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// RunMark does what a job was begun for (task MarkSpherical). A refusal by Kaltura is written to the
// entry it is about; the others go on.
func (s *Spherical) RunMark(ctx context.Context, jobID string) error {
	store := s.ins().Store
	job, err := store.Jobs().Get(ctx, AnyHub, jobID)
	if CodeOf(err) == NotFound || err == nil && job.over() {
		return nil
	}
	if err != nil {
		return err
	}
	a, err := actorOf(ctx, store, job.HubID, job.ParticipantID, "")
	if err != nil {
		return err
	}
	rows, err := store.Spherical().List(ctx, job.Subject, jobID, nil, Slice{Limit: 500})
	if err != nil {
		return err
	}
	refused := 0
	for i, c := range rows {
		if c.State == CandidateMarking || c.State == CandidateUndoing {
			err := s.tag(ctx, a, c)
			switch CodeOf(err) {
			case Unavailable, RateLimited, Internal:
				return err // all that is left is tried again
			}
			if err = s.settle(ctx, c, err); err != nil {
				return err
			}
		}
		if now, err := store.Spherical().Get(ctx, AnyHub, c.ID); err == nil && now.ErrorCode != "" {
			refused++
		}
		s.ins().Events.Progress(job.HubID, audienceOf(job.ParticipantID, ""), "job.progress", jobID,
			JobNews{jobID, job.Kind, job.Subject, JobRunning, float64(i+1) / float64(len(rows))})
	}
	_, err = changeRow(ctx, store, func(t Tables) Rows[Job] { return t.Jobs() }, AnyHub, jobID, func(tx Tx, j *Job) error {
		j.State, j.Progress = JobDone, 1
		if refused > 0 {
			j.ErrorCode, j.ErrorText = "refused", "Kaltura refused some of the entries; each says why."
		}
		return s.ins().Events.Append(ctx, tx, j.HubID, audienceOf(j.ParticipantID, ""), "job.done", j.ID, JobNews{j.ID, j.Kind, j.Subject, j.State, 1})
	})
	return err
}

// tag changes the tag of one entry with the person's own right.
func (s *Spherical) tag(ctx context.Context, a Actor, c SphericalCandidate) error {
	v, err := s.Catalog.enter(ctx, a, true)
	if err != nil {
		return err
	}
	tagger, ok := v.Platform.(Tagger)
	if !ok {
		return notOffered()
	}
	if v.Integration.ID != c.IntegrationID {
		return E(Conflict, "integration_changed", "The hub is connected to another account now.").Next("Let it be searched again.")
	}
	v.actor.OwnRight = true
	if c.State == CandidateMarking {
		_, err = tagger.AddTag(ctx, v.actor, c.EntryID, Tag360)
	} else if c.Tagged {
		_, err = tagger.RemoveTag(ctx, v.actor, c.EntryID, Tag360)
	}
	return err
}

func (s *Spherical) settle(ctx context.Context, c SphericalCandidate, outcome error) error {
	_, err := changeRow(ctx, s.ins().Store, func(t Tables) Rows[SphericalCandidate] { return t.Spherical() }, AnyHub, c.ID, func(_ Tx, now *SphericalCandidate) error {
		marking := now.State == CandidateMarking
		switch {
		case outcome != nil && marking, outcome == nil && !marking:
			now.State, now.Tagged = CandidateOffered, false
		default:
			now.State, now.Tagged = CandidateMarked, true
		}
		if e := AsError(outcome); e != nil {
			now.ErrorCode, now.ErrorText, now.NextStep = reasonOf(e), e.Message, e.NextStep
		}
		return nil
	})
	return err
}
