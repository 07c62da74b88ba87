package gateway_test

import (
	"net/http"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

// probe runs the probe of the connection now, as its task would.
func (l *live) probe() {
	l.t.Helper()
	c, err := l.db.Health().List(l.t.Context(), l.in.ID, gateway.Slice{Limit: 1})
	if err != nil || len(c) != 1 {
		l.t.Fatal(err, c)
	}
	var z *gateway.Snooze
	if err = l.ins.RunProbe(l.t.Context(), gateway.ProbeIntegration{IntegrationID: l.in.ID, ChangeID: c[0].ID}); err != nil && !asSnooze(err, &z) {
		l.t.Fatal(err)
	}
}

func badGateway(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadGateway) }

// Somebody's very first use of the library, while the platform does not answer: the file comes in,
// waits, says so, and ends as one entry of the right person.
func TestAFirstUploadWaitsForThePlatform(t *testing.T) {
	t.Parallel()
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		l := newLive(t, db)
		ctx := t.Context()
		l.meet(badGateway)
		u := l.upload(l.house.Ada, "a.mp4", flatClip(t)) // created, sent and finished
		_, err := l.db.Mappings().ByParticipant(ctx, l.in.ID, l.house.Ada.ParticipantID)
		gatewaytest.Want(t, err, gateway.NotFound, "")
		var z *gateway.Snooze
		if err := l.uploads.RunIngest(ctx, u.ID); !asSnooze(err, &z) {
			t.Fatal(err)
		}
		u = l.state(u.ID)
		if u.State != gateway.UploadIngesting || u.ErrorCode == "" || u.WaitingSince == nil || u.LastTryAt == nil || u.NextTryAt == nil || !u.NextTryAt.After(*u.LastTryAt) {
			t.Fatalf("%+v", u)
		}
		first := *u.LastTryAt
		if err := l.uploads.RunIngest(ctx, u.ID); !asSnooze(err, &z) {
			t.Fatal(err)
		}
		if again := l.state(u.ID); !again.LastTryAt.After(first) || !again.WaitingSince.Equal(*u.WaitingSince) {
			t.Errorf("%+v", again)
		}
		r, err := l.ins.Health(ctx, l.house.Admin, gateway.Slice{})
		if err != nil || r.Integration.Health != gateway.HealthDegraded || r.Waiting != (gateway.Waiting{Uploads: 1}) {
			t.Fatal(err, r.Integration.Health, r.Waiting)
		}

		// Another one is cancelled meanwhile.
		other := l.upload(l.house.Bob, "b.mp4", flatClip(t))
		_ = l.uploads.RunIngest(ctx, other.ID)
		if _, err := l.uploads.Cancel(ctx, l.house.Bob, other.ID); err != nil {
			t.Error(err)
		}

		l.meet(nil)
		l.probe()
		l.work() // the queued tasks do the rest: nobody waits for a pause to end
		eventually(t, "ready", func() bool { return l.state(u.ID).State == gateway.UploadReady })
		if u = l.state(u.ID); u.WaitingSince != nil || u.ErrorCode != "" {
			t.Errorf("%+v", u)
		}
		m, err := l.db.Mappings().ByParticipant(ctx, l.in.ID, l.house.Ada.ParticipantID)
		if err != nil || m.State != gateway.MappingActive {
			t.Error(err, m)
		}
		eventually(t, "abandoned", func() bool { return len(l.entries(other.ID)) == 0 })
		if n := len(l.entries(u.ID)); n != 1 {
			t.Error(n, "entries")
		}
	})
}

// An entry of the last good page can be asked for; the import waits and says so.
func TestAnImportOfAStalePageWaits(t *testing.T) {
	t.Parallel()
	l := newLive(t, storetest.SQLite(t))
	l.library.Catalog.StaleAfter = time.Hour
	ctx := t.Context()
	u := l.upload(l.house.Ada, "a.mp4", flatClip(t))
	stop := l.work()
	eventually(t, "ready", func() bool { return l.state(u.ID).State == gateway.UploadReady })
	stop()
	id := l.state(u.ID).EntryID
	page, err := l.library.Catalog.Browse(ctx, l.house.Ada, gateway.Query{})
	if err != nil || len(page.Items) != 1 {
		t.Fatal(err, page)
	}
	l.meet(badGateway)
	page, err = l.library.Catalog.Browse(ctx, l.house.Ada, gateway.Query{})
	if err != nil || !page.Stale || len(page.Items) != 1 {
		t.Fatal(err, page)
	}
	// Nobody else gets what was shown to Ada, and nobody anything without a page.
	_, err = l.library.Catalog.Browse(ctx, l.house.Bob, gateway.Query{})
	gatewaytest.Want(t, err, gateway.Unavailable, "kaltura_down")
	if e := gateway.AsError(err); e.Retry <= 0 || e.NextStep == "" {
		t.Errorf("%+v", e)
	}
	_, _, _, err = l.library.Import(ctx, l.house.Bob, id, gateway.ItemLink, "")
	gatewaytest.Want(t, err, gateway.Unavailable, "kaltura_down")

	it, job, created, err := l.library.Import(ctx, l.house.Ada, id, gateway.ItemLink, "")
	if err != nil || !created || it.State != gateway.ItemPending || job.State != gateway.JobQueued {
		t.Fatal(err, it, job)
	}
	var z *gateway.Snooze
	if err := l.library.RunImport(ctx, it.ID); !asSnooze(err, &z) {
		t.Fatal(err)
	}
	r, err := l.ins.Health(ctx, l.house.Admin, gateway.Slice{})
	if err != nil || r.Waiting != (gateway.Waiting{Imports: 1}) {
		t.Error(err, r.Waiting)
	}
	l.meet(nil)
	l.probe()
	l.work()
	eventually(t, "imported", func() bool {
		got, err := l.db.Library().Get(ctx, gateway.AnyHub, it.ID)
		return err == nil && got.State == gateway.ItemReady
	})
}

// While the token is refused nothing but the probe asks Kaltura, however much waits.
func TestNothingKnocksWithARefusedToken(t *testing.T) {
	l := newLive(t, storetest.SQLite(t))
	ctx := t.Context()
	u := l.upload(l.house.Ada, "a.mp4", flatClip(t))
	tok := l.world.token(nil)
	l.ins.Heard(ctx, l.in, gateway.E(gateway.Precondition, "credentials_invalid", "Kaltura refused the App Token."))
	asked := 0
	l.meet(func(w http.ResponseWriter, r *http.Request) { asked++; badGateway(w, r) })
	for range 20 {
		var z *gateway.Snooze
		if err := l.uploads.RunIngest(ctx, u.ID); !asSnooze(err, &z) || z.After < 20*time.Second {
			t.Fatal(err)
		}
	}
	if asked != 0 || l.state(u.ID).ErrorCode != "credentials_invalid" {
		t.Error(asked, l.state(u.ID))
	}
	// A new token, and it goes on by itself.
	l.meet(nil)
	in, err := l.ins.Get(ctx, l.house.Admin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = l.ins.Save(ctx, l.house.Admin, in.Version, gateway.Connection{AppTokenID: tok.ID, AppToken: gateway.Secret(tok.Token)}); err != nil {
		t.Fatal(err)
	}
	l.work()
	eventually(t, "ready", func() bool { return l.state(u.ID).State == gateway.UploadReady })
	if n := len(l.entries(u.ID)); n != 1 {
		t.Error(n, "entries")
	}
}
