package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/store"
	"isthmus/store/storetest"
)

// offered makes an entry and offers it, as a search would.
func (l *live) offered(name string) (entry, candidate string) {
	l.t.Helper()
	entry = l.readyEntry("admin@example.org", name, "beach", 0, 0)
	c := gateway.SphericalCandidate{
		Row: gateway.Row{ID: gateway.NewID("sph"), HubID: l.house.Hub.ID}, IntegrationID: l.in.ID, EntryID: entry, Name: name,
		OwnerID: "admin@example.org", State: gateway.CandidateOffered, Evidence: []string{"x"},
	}
	if err := l.db.Spherical().Insert(l.t.Context(), &c); err != nil {
		l.t.Fatal(err)
	}
	return entry, c.ID
}

// A run waits while the App Token is refused, without asking, and goes on by itself with a new one.
func TestARunWaitsForANewAppToken(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		l := newLive(t, db)
		ctx := t.Context()
		sp := &gateway.Spherical{Catalog: l.library.Catalog}
		entry, candidate := l.offered("Tour 360 beach")
		tok := l.world.token(nil)
		job, _, err := sp.Mark(ctx, l.house.Admin, []string{candidate})
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		l.meet(func(w http.ResponseWriter, r *http.Request) {
			asked++
			if strings.Contains(strings.ToLower(r.URL.Path), "startsession") {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{"objectType":"KalturaAPIException","code":"APP_TOKEN_NOT_ACTIVE","message":"no","args":{}}`))
				return
			}
			l.platform.ServeHTTP(w, r)
		})
		var z *gateway.Snooze
		if err := sp.RunMark(ctx, job.ID); !asSnooze(err, &z) || z.After < time.Minute {
			t.Fatal(err)
		}
		had := asked
		if err := sp.RunMark(ctx, job.ID); !asSnooze(err, &z) || asked != had {
			t.Errorf("%v; asked %d times", err, asked-had)
		}
		c, err := db.Spherical().Get(ctx, gateway.AnyHub, candidate)
		if err != nil || c.State != gateway.CandidateMarking || c.ErrorCode != "" {
			t.Errorf("%v %+v", err, c)
		}
		if j := l.job(job.ID); j.State != gateway.JobWaiting || j.NextTryAt == nil {
			t.Errorf("%+v", j)
		}

		l.meet(nil)
		l.work()
		in, err := l.ins.Get(ctx, l.house.Admin)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = l.ins.Save(ctx, l.house.Admin, in.Version, gateway.Connection{AppTokenID: tok.ID, AppToken: gateway.Secret(tok.Token)}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the run is done", func() bool { return l.job(job.ID).State == gateway.JobDone })
		if e, err := db.Kaltura().Entries().Get(ctx, partner, entry); err != nil || e.Tags != "beach, 360" {
			t.Errorf("%q %v", e.Tags, err)
		}
	})
}
