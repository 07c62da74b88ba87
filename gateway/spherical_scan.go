package gateway

import (
	"context"
	"io"
	"log/slog"
	"time"
)

// Spherical finds entries that look spherical and lack the tag, and tags those that a person chose.
// It never tags by itself. Safe for concurrent use.
type Spherical struct {
	Catalog *Catalog
}

// SphericalState is whether a hub has its account searched, and how far the last search is.
type SphericalState struct {
	Allowed bool
	Scan    SphericalScan
}

// Version is that of the switch, which the searches leave alone.
func (s SphericalState) Version() int64 {
	if s.Allowed {
		return 2
	}
	return 1
}

// scanOverlap is how far a search goes back behind the start of the one before: the platform's index
// lags behind what was saved.
const scanOverlap = time.Hour

func (s *Spherical) ins() *Integrations { return s.Catalog.Integrations }

// State gives the switch and the last search. Admins only.
func (s *Spherical) State(ctx context.Context, a Actor) (SphericalState, error) {
	if err := adminOnly(a, ScopeConnectionsAdmin); err != nil {
		return SphericalState{}, err
	}
	in, err := s.ins().Get(ctx, a)
	if err != nil {
		return SphericalState{}, err
	}
	u, err := s.ins().upkeep(ctx, in)
	return u.sphericalState(), err
}

func (u Upkeep) sphericalState() SphericalState { return SphericalState{u.Spherical, u.Scan} }

// Allow switches the search on or off; version as in Integrations.Save. Admins only. Switched on, it
// begins at once.
func (s *Spherical) Allow(ctx context.Context, a Actor, version int64, on bool) (SphericalState, error) {
	in, err := s.admin(ctx, a)
	if err != nil {
		return SphericalState{}, err
	}
	u, err := s.ins().changeUpkeep(ctx, in.ID, func(tx Tx, u *Upkeep) error {
		switch {
		case u.sphericalState().Version() != version:
			return stale()
		case u.Spherical == on:
			return errUnchanged
		}
		u.Spherical = on
		if on {
			u.Scan = SphericalScan{AskedAt: s.ins().Clock()}
			if err := tx.Enqueue(ctx, ScanSpherical{in.ID}, Sooner(s.ins().Clock())); err != nil {
				return err
			}
		}
		return audit(ctx, tx, a, "integration.spherical", in.ID, map[string]any{"allowed": on})
	})
	return u.sphericalState(), err
}

// Scan asks for a search of the whole account now. Admins only; Conflict with reason
// "search_not_allowed" when it is switched off. Harmless while one is under way.
func (s *Spherical) Scan(ctx context.Context, a Actor) (SphericalState, error) {
	in, err := s.admin(ctx, a)
	if err != nil {
		return SphericalState{}, err
	}
	u, err := s.ins().changeUpkeep(ctx, in.ID, func(tx Tx, u *Upkeep) error {
		if !u.Spherical {
			return E(Conflict, "search_not_allowed", "The hub does not have its account searched for 360° media.").
				Next("Switch the search on first.")
		}
		if u.Scan.underWay() && u.Scan.Problem == nil {
			return tx.Enqueue(ctx, ScanSpherical{in.ID}, IfIdle())
		}
		if !u.Scan.underWay() { // else it waits for the platform: asked for, it goes on at once
			u.Scan = SphericalScan{AskedAt: s.ins().Clock()}
			if err := audit(ctx, tx, a, "spherical.scan", in.ID, map[string]any{}); err != nil {
				return err
			}
		}
		return tx.Enqueue(ctx, ScanSpherical{in.ID}, Sooner(s.ins().Clock()))
	})
	return u.sphericalState(), err
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

// RunScan looks at the entries that changed since the last search, or at all (task ScanSpherical). It
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
	leave, err := s.ins().Lanes.enter(QueuePlatform, in.HubID)
	if err != nil {
		return err
	}
	defer leave()
	u, err := s.ins().upkeep(ctx, in)
	if err != nil || !u.Spherical {
		return err
	}
	scan := u.Scan
	if !scan.underWay() {
		scan = SphericalScan{AskedAt: scan.AskedAt, StartedAt: s.ins().Clock(), CategoryID: in.CategoryID}
		if over := u.Scan; !over.EndedAt.IsZero() {
			scan.AskedAt = time.Time{}
			if over.Problem == nil && over.CategoryID == in.CategoryID {
				scan.Since = over.StartedAt.Add(-scanOverlap)
			}
		}
		if u, err = s.ins().changeUpkeep(ctx, in.ID, func(_ Tx, u *Upkeep) error {
			u.Scan = scan
			return nil
		}); err != nil {
			return err
		}
		scan = u.Scan
	}
	for {
		err := s.scanPage(ctx, in, &scan)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		scan.Problem = nil
		e := AsError(err)
		outage := e != nil && (e.Code == Unavailable || e.Code == RateLimited)
		if e != nil {
			scan.Problem = &Problem{reasonOf(e), e.Message, e.NextStep}
			if !outage {
				scan.EndedAt, scan.Cursor = s.ins().Clock(), ""
			}
			slog.InfoContext(ctx, "search for untagged 360° media broken off", "integration", in.ID, "error", err)
		}
		going, serr := s.note(ctx, in.ID, scan)
		switch {
		case serr != nil:
			return serr
		case outage && going:
			return &Snooze{max(e.Retry, outageRetry)}
		case !going || !scan.EndedAt.IsZero():
			return nil
		}
	}
}

// note writes down how far a search is and tells whether it is still wanted: it was not switched off
// and no other was begun in its place.
func (s *Spherical) note(ctx context.Context, integrationID string, scan SphericalScan) (bool, error) {
	going := false
	_, err := s.ins().changeUpkeep(ctx, integrationID, func(_ Tx, u *Upkeep) error {
		if going = u.Spherical && u.Scan.StartedAt.Equal(scan.StartedAt); !going {
			return errUnchanged
		}
		u.Scan = scan
		return nil
	})
	if CodeOf(err) == NotFound { // disconnected meanwhile
		return false, nil
	}
	return going, err
}

// scanPage looks at the next page of entries, those changed last first.
func (s *Spherical) scanPage(ctx context.Context, in Integration, scan *SphericalScan) error {
	o, err := s.ins().open(in)
	if err != nil {
		return err
	}
	flat := false
	page, err := o.Platform.Browse(ctx, Actor{HubID: in.HubID}, Query{
		Types: []MediaType{Video, Image}, Only360: &flat, Statuses: []MediaStatus{MediaReady}, Sort: SortUpdated, Limit: maxPage, Cursor: scan.Cursor,
	})
	s.ins().Heard(ctx, in, err)
	if err != nil {
		return err
	}
	looked, found, over := 0, 0, page.Next == ""
	for _, m := range page.Items {
		if m.UpdatedAt.Before(scan.Since) {
			over = true
			break
		}
		looked++
		offered, err := s.offer(ctx, o, m)
		if err != nil {
			return err
		}
		if offered {
			found++
		}
	}
	scan.Looked, scan.Found, scan.Cursor = scan.Looked+looked, scan.Found+found, page.Next
	if over {
		scan.EndedAt, scan.Cursor = s.ins().Clock(), ""
	}
	return nil
}

// offer writes an entry down when it looks spherical and was not offered before.
func (s *Spherical) offer(ctx context.Context, o Opened, m Media) (bool, error) {
	evidence, likely := signs(m, nil)
	if len(evidence) == 0 || m.Is360() {
		return false, nil
	}
	if !likely { // one sign only: the file itself may say more
		evidence, likely = signs(m, s.head(ctx, o, m))
	}
	in, table := o.Integration, s.ins().Store.Spherical()
	err := table.Insert(ctx, &SphericalCandidate{
		Row: Row{ID: NewID("sph"), HubID: in.HubID}, IntegrationID: in.ID, EntryID: m.ID, Name: m.Name, Type: m.Type,
		OwnerID: m.OwnerID, CategoryID: m.CategoryID, Width: m.Width, Height: m.Height, Likely: likely, Evidence: evidence, State: CandidateOffered,
	})
	if CodeOf(err) != Conflict {
		return err == nil, err
	}
	// Offered, marked or dismissed before: it stays so, but who may see it follows the entry.
	old, err := table.ByEntry(ctx, in.ID, m.ID)
	if err != nil || old.Name == m.Name && old.OwnerID == m.OwnerID && old.CategoryID == m.CategoryID {
		return false, err
	}
	_, err = changeRow(ctx, s.ins().Store, func(t Tables) Rows[SphericalCandidate] { return t.Spherical() }, AnyHub, old.ID, func(_ Tx, c *SphericalCandidate) error {
		c.Name, c.OwnerID, c.CategoryID = m.Name, m.OwnerID, m.CategoryID
		return nil
	})
	return false, err
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
