package gateway_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

// own makes a ready item of the spaces platform.
func (l *live) own(external string, owner *gateway.OwnerName) gateway.LibraryItem {
	l.t.Helper()
	o := newOrigin(l.t, sphereClip(l.t))
	it := l.register(l.spacesClient("cli_spaces"), gateway.Registration{ExternalID: external, Name: "Scene " + external, Tags: []string{"sea"}, URL: o.URL + "/scene.mp4", Owner: owner})
	return l.itemReady(it.ID)
}

// Sending an item to Kaltura goes the way of uploads: one entry whoever asks at the same time, the
// tags, the person's own, through an outage.
func TestExport(t *testing.T) {
	t.Parallel()
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		l := newLive(t, db)
		stop := l.work()
		ctx := t.Context()
		it := l.own("one", nil)
		stop()
		l.meet(badGateway)

		var news atomic.Int64
		ids := make([]string, 6)
		together(6, func(i int) {
			a := l.house.Ada
			if i%2 == 1 {
				a = l.house.Bob
			}
			_, u, created, err := l.library.Export(ctx, a, it.ID)
			if err != nil {
				t.Error(err)
			}
			if created {
				news.Add(1)
			}
			ids[i] = u.ID
		})
		if slices.Sort(ids); news.Load() != 1 || ids[0] != ids[5] {
			t.Fatal(news.Load(), ids)
		}
		u := l.state(ids[0])

		// Kaltura is down: it waits and says so, also on the item.
		var z *gateway.Snooze
		if err := l.uploads.RunIngest(ctx, u.ID); !asSnooze(err, &z) {
			t.Fatal(err)
		}
		if e := l.item(it.ID).Export; e.State != gateway.UploadIngesting || e.Problem == nil || e.Problem.NextStep == "" {
			t.Errorf("%+v", e)
		}
		// Killed in the middle of copying: it goes on.
		if err := l.staging.Remove(ctx, u.ID); err != nil {
			t.Fatal(err)
		}
		if err := l.staging.Create(ctx, u.ID, u.Size); err != nil {
			t.Fatal(err)
		}
		l.forgetMemory()
		l.meet(nil)
		l.probe()
		l.work()
		eventually(t, "in Kaltura", func() bool { return l.item(it.ID).Export.State == gateway.UploadReady })
		e := l.item(it.ID).Export
		entries := l.entries(u.ID)
		if len(entries) != 1 || entries[0].ID != e.EntryID || entries[0].Name != it.Name || e.Problem != nil {
			t.Fatalf("%+v %+v", entries, e)
		}
		owner, err := l.db.Mappings().ByParticipant(ctx, l.in.ID, u.ParticipantID)
		if err != nil || entries[0].UserID != owner.PlatformUserID {
			t.Error(entries[0].UserID, owner.PlatformUserID, err)
		}
		if tags := entries[0].Tags; !hasTags(tags, "sea", gateway.Tag360) {
			t.Error(tags)
		}
		if !slices.Contains(l.types(it.ID), "library.item_exported") || count(auditActions(l), "library.export") != 1 {
			t.Error(l.types(it.ID), auditActions(l))
		}
		// Asked again: the same. A new one only when the entry is gone.
		if _, again, created, err := l.library.Export(ctx, l.house.Ada, it.ID); err != nil || created || again.ID != u.ID {
			t.Error(again.ID, created, err)
		}

		// Removing the item leaves the entry, unless its maker or an admin asks for it.
		err = l.library.RemoveWithEntry(ctx, l.spacesClient("cli_spaces"), it.ID)
		gatewaytest.Want(t, err, gateway.Forbidden, "not_exporter")
		if err := l.library.Remove(ctx, l.spacesClient("cli_spaces"), it.ID); err != nil {
			t.Fatal(err)
		}
		if len(l.entries(u.ID)) != 1 {
			t.Error("the entry was deleted")
		}
	})
}

func hasTags(text string, want ...string) bool {
	have := map[string]bool{}
	for _, t := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		have[t] = true
	}
	for _, w := range want {
		if !have[w] {
			return false
		}
	}
	return true
}

func auditActions(l *live) (out []string) {
	l.t.Helper()
	log, err := l.db.Audit().List(l.t.Context(), gateway.Scope(l.house.Hub.ID), gateway.AuditFilter{}, gateway.Slice{})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, r := range log {
		out = append(out, r.Action)
	}
	return out
}

func TestExportCancelRetryAndRemoval(t *testing.T) {
	t.Parallel()
	l := newLive(t, storetest.SQLite(t))
	stop := l.work()
	ctx := t.Context()
	spaces := l.spacesClient("cli_spaces")
	it, second := l.own("one", nil), l.own("two", nil)
	stop()

	_, u, _, err := l.library.Export(ctx, spaces, it.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = l.uploads.Cancel(ctx, spaces, u.ID); err != nil || l.item(it.ID).Export.State != gateway.UploadCancelled {
		t.Fatal(err, l.item(it.ID).Export)
	}
	_, other, created, err := l.library.Export(ctx, spaces, it.ID) // sent again after all
	if err != nil || !created || other.ID == u.ID || l.item(it.ID).Export.UploadID != other.ID {
		t.Fatal(created, err)
	}
	// Given up, then tried again: the same upload, so that there is never a second entry.
	if err := l.uploads.GiveUp(ctx, other.ID, gateway.E(gateway.Internal, "odd", "Odd.")); err != nil || l.item(it.ID).Export.Problem == nil {
		t.Fatal(err, l.item(it.ID).Export)
	}
	_, retried, created, err := l.library.Export(ctx, spaces, it.ID)
	if err != nil || !created || retried.ID != other.ID || retried.State != gateway.UploadIngesting {
		t.Fatal(retried.ID, retried.State, err)
	}
	l.work()
	eventually(t, "in Kaltura", func() bool { return l.item(it.ID).Export.State == gateway.UploadReady })
	if e := l.entries(other.ID); len(e) != 1 || e[0].UserID != "isthmus" { // as of all that a machine sends
		t.Errorf("an entry of the hub's belongs to no person: %+v", e)
	}

	// The platform removes it and wants the entry gone, too.
	if err := l.library.RemoveWithEntry(ctx, spaces, it.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "entry deleted", func() bool { return len(l.entries(other.ID)) == 0 })

	// What came from Kaltura is not sent there.
	entry := l.ready("flat.mp4", flatClip(t))
	link, _, _, err := l.library.Import(ctx, l.house.Ada, entry, gateway.ItemLink, "")
	if err != nil {
		t.Fatal(err)
	}
	_, _, _, err = l.library.Export(ctx, l.house.Ada, link.ID)
	gatewaytest.Want(t, err, gateway.Conflict, "from_kaltura")
	name := "x"
	_, err = l.library.Change(ctx, l.house.Ada, link.ID, link.Version, gateway.ItemChange{Name: &name})
	gatewaytest.Want(t, err, gateway.Conflict, "follows_kaltura")

	// Where everybody sees only their own, a machine sends nothing.
	in, err := l.db.Integrations().Get(ctx, gateway.AnyHub, l.in.ID)
	if err != nil {
		t.Fatal(err)
	}
	in.Visibility = gateway.VisibilityOwn
	if err := l.db.Integrations().Update(ctx, &in); err != nil {
		t.Fatal(err)
	}
	_, _, _, err = l.library.Export(ctx, spaces, second.ID)
	gatewaytest.Want(t, err, gateway.Forbidden, "machine_own")
}
