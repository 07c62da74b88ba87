package gateway_test

import (
	"net/http"
	"testing"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

// A tag that was there before is not ours to take back; a run that waits for Kaltura can be stopped
// and leaves nothing busy, and so does one that is given up.
func TestRunsOfUntagged360(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		l := newLive(t, db)
		sp := &gateway.Spherical{Catalog: l.library.Catalog}
		tagged := l.readyEntry("admin@example.org", "Tour 360", "", 0, 0)
		other := l.readyEntry("admin@example.org", "Walk 360", "", 0, 0)
		found := l.found(sp)
		if len(found) != 2 {
			t.Fatalf("%+v", found)
		}
		now := func(id string) gateway.SphericalCandidate {
			t.Helper()
			c, err := db.Spherical().ByEntry(t.Context(), l.in.ID, id)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		mark := func(entry string) gateway.Job {
			t.Helper()
			job, _, err := sp.Mark(t.Context(), l.house.Admin, []string{found[entry].ID})
			if err != nil {
				t.Fatal(err)
			}
			return job
		}
		run := func(job gateway.Job) {
			t.Helper()
			if err := sp.RunMark(t.Context(), job.ID); err != nil {
				t.Fatal(err)
			}
		}

		l.world.ask("media", "update", map[string]any{"entryId": tagged, "mediaEntry": map[string]any{"objectType": "KalturaMediaEntry", "tags": "360"}}, new(any))
		run(mark(tagged))
		if now(tagged).State != gateway.CandidateMarked {
			t.Errorf("%+v", now(tagged))
		}
		undo, _, err := sp.Undo(t.Context(), l.house.Admin, []string{found[tagged].ID}, "")
		if err != nil {
			t.Fatal(err)
		}
		if run(undo); l.tags(tagged) != "360" || now(tagged).State != gateway.CandidateOffered {
			t.Errorf("%q %+v", l.tags(tagged), now(tagged))
		}

		job := mark(other)
		for range 2 {
			if err := sp.GiveUp(t.Context(), job.ID, gateway.E(gateway.Forbidden, "gone", "The person is gone.")); err != nil {
				t.Fatal(err)
			}
		}
		if c := now(other); c.State != gateway.CandidateOffered || c.ErrorCode != "gone" {
			t.Errorf("%+v", c)
		}
		if j, err := l.jobs.Get(t.Context(), l.house.Admin, job.ID); err != nil || j.State != gateway.JobFailed {
			t.Errorf("%+v, %v", j, err)
		}
		if run(job); l.tags(other) != "" {
			t.Error("a run that was given up went on")
		}
		if run(mark(other)); l.tags(other) != "360" || now(other).ErrorCode != "" {
			t.Errorf("%q %+v", l.tags(other), now(other))
		}
		if undo, _, err = sp.Undo(t.Context(), l.house.Admin, []string{found[other].ID}, ""); err != nil {
			t.Fatal(err)
		}
		run(undo)

		job = mark(other)
		_, _, err = sp.Mark(t.Context(), l.house.Admin, []string{found[other].ID})
		gatewaytest.Want(t, err, gateway.Conflict, "nothing_to_do")
		l.meet(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		var wait *gateway.Snooze
		if err := sp.RunMark(t.Context(), job.ID); !asSnooze(err, &wait) || now(other).State != gateway.CandidateMarking {
			t.Fatalf("%v, %+v", err, now(other))
		}
		j, err := l.jobs.Get(t.Context(), l.house.Admin, job.ID)
		if err != nil || j.State != gateway.JobWaiting || j.NextTryAt == nil {
			t.Errorf("%+v, %v", j, err)
		}
		if _, err = l.jobs.Cancel(t.Context(), l.house.Admin, job.ID); err != nil {
			t.Fatal(err)
		}
		l.meet(nil)
		if run(job); now(other).State != gateway.CandidateOffered || l.tags(other) != "" {
			t.Errorf("%+v, %q", now(other), l.tags(other))
		}
	})
}

// A search that Kaltura interrupts says so and goes on where it was; one that is switched off ends;
// one limited to a category offers nothing from outside, also of what was found before.
func TestSearchForUntagged360(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		l := newLive(t, db)
		sp := &gateway.Spherical{Catalog: l.library.Catalog}
		inside := l.readyEntry("admin@example.org", "Inside 360", "", 0, 0)
		l.readyEntry("admin@example.org", "Outside 360", "", 0, 0)
		category := l.world.categories("a", "b", "c")[0]
		l.world.categorise(inside, category)

		_, err := sp.Scan(t.Context(), l.house.Admin)
		gatewaytest.Want(t, err, gateway.Conflict, "search_not_allowed")
		if _, err := sp.Allow(t.Context(), l.house.Admin, 1, true); err != nil {
			t.Fatal(err)
		}
		l.meet(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		var wait *gateway.Snooze
		if err := sp.RunScan(t.Context(), l.in.ID); !asSnooze(err, &wait) {
			t.Fatal(err)
		}
		u, err := sp.State(t.Context(), l.house.Admin)
		if err != nil || u.Scan.Problem == nil || u.Scan.StartedAt.IsZero() || !u.Scan.EndedAt.IsZero() {
			t.Errorf("%+v, %v", u, err)
		}
		l.meet(nil)
		if n := len(l.found(sp)); n != 2 {
			t.Errorf("%d found", n)
		}
		if u, err = sp.State(t.Context(), l.house.Admin); err != nil || u.Scan.Problem != nil || u.Scan.EndedAt.IsZero() || u.Scan.Found != 2 {
			t.Errorf("%+v, %v", u, err)
		}

		in, err := db.Integrations().Get(t.Context(), gateway.AnyHub, l.in.ID)
		if err != nil {
			t.Fatal(err)
		}
		in.CategoryID = category
		if err := db.Integrations().Update(t.Context(), &in); err != nil {
			t.Fatal(err)
		}
		rows, err := sp.Candidates(t.Context(), l.house.Admin, nil, "", gateway.Slice{})
		if err != nil || len(rows) != 0 {
			t.Errorf("before the category was looked at: %+v, %v", rows, err)
		}
		if found := l.found(sp); len(found) != 1 || found[inside].ID == "" {
			t.Errorf("%+v", found)
		}

		if _, err = sp.Allow(t.Context(), l.house.Admin, 2, false); err != nil {
			t.Fatal(err)
		}
		before, _ := sp.State(t.Context(), l.house.Admin)
		if err := sp.RunScan(t.Context(), l.in.ID); err != nil {
			t.Fatal(err)
		}
		if after, _ := sp.State(t.Context(), l.house.Admin); !after.Scan.StartedAt.Equal(before.Scan.StartedAt) {
			t.Error("a search ran although it is switched off")
		}
	})
}
