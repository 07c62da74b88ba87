package gateway_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/media"
	"isthmus/store/storetest"
)

func TestSweepFindsCopiesWithoutAnItem(t *testing.T) {
	clock := gatewaytest.NewClock()
	s := newSite(t, clocked(t, clock), siteOptions{Clock: clock})
	ctx := t.Context()
	orphan := func(id string) {
		t.Helper()
		if err := s.staging.Create(ctx, "st_"+id, 3); err != nil {
			t.Fatal(err)
		}
		if _, err := s.staging.WriteAt(ctx, "st_"+id, 0, strings.NewReader("abc")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.assets.Adopt(ctx, "st_"+id, id); err != nil {
			t.Fatal(err)
		}
		if err := s.db.Tx(ctx, func(tx gateway.Tx) error {
			_, err := s.assets.New(ctx, tx, gateway.Asset{
				Row: gateway.Row{ID: id, HubID: s.house.Hub.ID}, OwnerKind: gateway.OwnerLibraryItem, OwnerID: "lib_gone", Size: 3,
			})
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	orphan("ast_old")
	clock.Add(2 * time.Hour)
	orphan("ast_new") // perhaps its item is about to be written
	if err := s.library.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.assets.Get(ctx, "ast_old"); gateway.CodeOf(err) != gateway.NotFound {
		t.Error(err)
	}
	if _, err := s.blobs.Stat(ctx, "assets/ast_old/original"); gateway.CodeOf(err) != gateway.NotFound {
		t.Error(err)
	}
	if _, err := s.assets.Get(ctx, "ast_new"); err != nil {
		t.Error(err)
	}
}

func TestSweepFindsBytesWithoutAnAsset(t *testing.T) {
	clock := gatewaytest.NewClock()
	s := newSite(t, clocked(t, clock), siteOptions{Clock: clock})
	ctx := t.Context()
	publish := func(id string, row bool) {
		t.Helper()
		if err := s.staging.Create(ctx, "st_"+id, 3); err != nil {
			t.Fatal(err)
		}
		if _, err := s.staging.WriteAt(ctx, "st_"+id, 0, strings.NewReader("abc")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.assets.Adopt(ctx, "st_"+id, id); err != nil {
			t.Fatal(err)
		}
		if !row {
			return
		}
		if err := s.db.Tx(ctx, func(tx gateway.Tx) error {
			_, err := s.assets.New(ctx, tx, gateway.Asset{Row: gateway.Row{ID: id}, OwnerKind: gateway.OwnerKalturaEntry, OwnerID: "0_a", Size: 3})
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	there := func(id string) bool {
		t.Helper()
		if err := s.assets.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		_, err := s.blobs.Stat(ctx, "assets/"+id+"/original")
		return err == nil
	}
	publish("ast_lost", false)
	publish("ast_kept", true)
	clock.Add(time.Since(clock.Now())) // files carry the real time
	if !there("ast_lost") {
		t.Error("its row may be about to be written")
	}
	clock.Add(8 * 24 * time.Hour)
	if there("ast_lost") || !there("ast_kept") {
		t.Error("lost:", there("ast_lost"), "kept:", there("ast_kept"))
	}
}

// Entry ids mean something in one account only. What was linked in another must not turn into
// whatever has the same id in the one that is connected now.
func TestItemsStayWithTheirAccount(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	ctx := t.Context()
	in := w.connect(gateway.VisibilityShared)
	entry := w.entry("bob@example.org", "one", "")
	disk, err := media.OpenDisk(t.TempDir(), -1)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	staging := media.NewStaging(disk)
	library := &gateway.Library{
		Store: w.db, Clock: w.clock.Now, Catalog: w.catalog, Events: w.integrations.Events,
		Assets: &gateway.Assets{Store: w.db, Clock: w.clock.Now, Staging: staging, Blobs: media.NewBlobs(disk, staging)},
	}
	item := func(kind gateway.ItemKind, integration string, state gateway.ItemState) gateway.LibraryItem {
		t.Helper()
		it := gateway.LibraryItem{
			Row: gateway.Row{ID: gateway.NewID("lib"), HubID: w.hub.Hub.ID}, ParticipantID: w.hub.Ada.ParticipantID, IntegrationID: integration,
			EntryID: entry, Kind: kind, Name: "one", State: state, JobID: gateway.NewID("job"),
		}
		job := gateway.Job{Row: gateway.Row{ID: it.JobID, HubID: it.HubID}, ParticipantID: it.ParticipantID, Kind: "import", Subject: it.ID, State: gateway.JobQueued}
		if err := errors.Join(w.db.Library().Insert(ctx, &it), w.db.Jobs().Insert(ctx, &job)); err != nil {
			t.Fatal(err)
		}
		return it
	}
	former := item(gateway.ItemLink, "int_former", gateway.ItemReady)
	_, _, err = library.Playback(ctx, w.hub.Ada, former.ID)
	gatewaytest.Want(t, err, gateway.Forbidden, "integration_changed")
	gatewaytest.Explained(t, err)
	_, _, err = library.Thumbnail(ctx, w.hub.Ada, former.ID, 100)
	gatewaytest.Want(t, err, gateway.Forbidden, "integration_changed")
	now := item(gateway.ItemLink, in.ID, gateway.ItemReady)
	if _, _, err := library.Playback(ctx, w.hub.Ada, now.ID); gateway.IsReason(err, "integration_changed") {
		t.Error(err)
	}
	waiting := item(gateway.ItemCopy, "int_former", gateway.ItemPending)
	gatewaytest.Want(t, library.RunImport(ctx, waiting.ID), gateway.Forbidden, "integration_changed")
	if it, err := w.db.Library().Get(ctx, gateway.AnyHub, waiting.ID); err != nil || it.State != gateway.ItemFailed {
		t.Error(it.State, err)
	}
}
