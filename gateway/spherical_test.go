package gateway_test

import (
	"testing"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

// readyEntry makes an entry that is ready and has a size, as Kaltura's administrator.
func (l *live) readyEntry(owner, name, tags string, width, height int64) string {
	l.t.Helper()
	id := l.world.entry(owner, name, tags)
	e, err := l.db.Kaltura().Entries().Get(l.t.Context(), partner, id)
	if err != nil {
		l.t.Fatal(err)
	}
	e.Status, e.Width, e.Height = 2, width, height
	if err := l.db.Kaltura().Entries().Update(l.t.Context(), &e); err != nil {
		l.t.Fatal(err)
	}
	return id
}

func (l *live) tags(id string) string {
	l.t.Helper()
	e, err := l.db.Kaltura().Entries().Get(l.t.Context(), partner, id)
	if err != nil {
		l.t.Fatal(err)
	}
	return e.Tags
}

// found searches and gives what is offered, by entry.
func (l *live) found(sp *gateway.Spherical) map[string]gateway.SphericalCandidate {
	l.t.Helper()
	u, err := sp.State(l.t.Context(), l.house.Admin)
	if err == nil {
		_, err = sp.Allow(l.t.Context(), l.house.Admin, u.Version(), true)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	if err := sp.RunScan(l.t.Context(), l.in.ID); err != nil {
		l.t.Fatal(err)
	}
	rows, err := sp.Candidates(l.t.Context(), l.house.Admin, []gateway.CandidateState{gateway.CandidateOffered}, "", gateway.Slice{})
	if err != nil {
		l.t.Fatal(err)
	}
	out := map[string]gateway.SphericalCandidate{}
	for _, c := range rows {
		out[c.EntryID] = c
	}
	return out
}

// What looks spherical is offered, never tagged by itself; a person's run tags what Kaltura lets
// them tag, and undo takes back only that.
func TestUntagged360(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		l := newLive(t, db)
		sp := &gateway.Spherical{Catalog: l.library.Catalog}
		make360 := func(owner, name, tags string) string { return l.readyEntry(owner, name, tags, 0, 0) }
		mine := make360("admin@example.org", "Tour 360 beach", "beach")
		theirs := make360("bob@example.org", "Insta360 ride", "")
		make360("bob@example.org", "lecture 360p", "")
		make360("bob@example.org", "already", "360")
		tags := l.tags
		if err := sp.RunScan(t.Context(), l.in.ID); err != nil {
			t.Fatal(err)
		}
		_, err := sp.Allow(t.Context(), l.house.Bob, 1, true)
		gatewaytest.Want(t, err, gateway.Forbidden, "not_admin")
		if _, err := sp.Allow(t.Context(), l.house.Admin, 1, true); err != nil {
			t.Fatal(err)
		}
		list := func(state gateway.CandidateState) (out []gateway.SphericalCandidate) {
			out, err := sp.Candidates(t.Context(), l.house.Admin, []gateway.CandidateState{state}, "", gateway.Slice{})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		if n := len(list(gateway.CandidateOffered)); n != 0 {
			t.Fatalf("%d found although the hub did not allow it", n)
		}
		for range 2 {
			if err := sp.RunScan(t.Context(), l.in.ID); err != nil {
				t.Fatal(err)
			}
		}
		found := list(gateway.CandidateOffered)
		if len(found) != 2 || len(found[0].Evidence) == 0 || tags(mine) != "beach" {
			t.Fatalf("%+v", found)
		}
		job, _, err := sp.Mark(t.Context(), l.house.Admin, []string{found[0].ID, found[1].ID})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := sp.RunMark(t.Context(), job.ID); err != nil {
				t.Fatal(err)
			}
		}
		if tags(mine) != "beach, 360" || tags(theirs) != "" {
			t.Errorf("%q, %q", tags(mine), tags(theirs))
		}
		refused := list(gateway.CandidateOffered)
		if len(refused) != 1 || refused[0].EntryID != theirs || refused[0].ErrorCode != "kaltura_forbidden" || refused[0].NextStep == "" {
			t.Errorf("%+v", refused)
		}
		undo, _, err := sp.Undo(t.Context(), l.house.Admin, nil, job.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := sp.RunMark(t.Context(), undo.ID); err != nil || tags(mine) != "beach" {
			t.Errorf("%v, %q", err, tags(mine))
		}
		gone, err := sp.Dismiss(t.Context(), l.house.Admin, []string{found[0].ID, found[1].ID, found[0].ID, "sph_unknown"}, true)
		if err != nil || len(gone) != 2 {
			t.Fatal(gone, err)
		}
		if err := sp.RunScan(t.Context(), l.in.ID); err != nil || len(list(gateway.CandidateOffered)) != 0 || len(list(gateway.CandidateDismissed)) != 2 {
			t.Error("a dismissed entry is offered again", err)
		}
	})
}
