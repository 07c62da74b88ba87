package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/store"
	"isthmus/store/storetest"
)

func dropFolder(t *testing.T, db *store.DB, hubID, name string, change ...func(*gateway.DropFolder)) gateway.DropFolder {
	t.Helper()
	f := gateway.DropFolder{Row: row("dfo", hubID), Name: name, NameKey: strings.ToLower(name), Source: gateway.DropUploads}
	for _, c := range change {
		c(&f)
	}
	must(t, db.DropFolders().Insert(t.Context(), &f))
	return f
}

func TestDropRowsRoundTrip(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		h := hub(t, db)
		at := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
		f := gateway.DropFolder{
			Row: row("dfo", h.ID), ParticipantID: "p", IntegrationID: "i", Name: "News", NameKey: "news", PausedAt: &at, Source: gateway.DropBucket, Path: "in",
			Bucket: gateway.DropBucketAddress{Name: "b", Region: "eu", PathStyle: true}, Secret: gateway.Sealed("sealed"),
			Complete: gateway.DropComplete{Rename: "*.part", StableS: 5}, Handler: gateway.HandleBoth, Patterns: []string{"*.mp4"}, Ignore: []string{"x"},
			Match: gateway.MatchOrWait, Slug: "s", Origin: gateway.DropOrigin{Tags: []string{"a"}, CategoryFromPath: true, ConversionProfileID: 7}, WaitHours: 3,
			Delete: gateway.DeleteAfterDays, DeleteDays: 4, MaxFiles: 5, MaxBytes: 1 << 40, Policy: gateway.PolicyLow, RateBPS: 9000, AppID: "cli",
			Health: gateway.DropHealth{LastAt: &at, Files: 3, Code: "x"}, ScanAt: &at, ScanBy: "r", Wake: true,
		}
		check(t, db.DropFolders(), f, f.ID)
		g := gateway.DropFile{
			Row: row("dfi", h.ID), FolderID: f.ID, Name: "e\u0301/a.mp4", NameKey: "é/a.mp4", Size: 1 << 40, ModifiedAt: &at, Identity: "1:2", Manifest: true, State: gateway.DropWaiting,
			FormerState: gateway.DropReady, ByHand: true, SizeSetAt: &at, WholeAt: &at, WaitingFor: []string{"b.mp4", "entry:x"}, LeadID: "l", ItemID: "it", ReferenceID: "r",
			Flavor: "hd", UserID: "u", ProfileID: 3, UploadID: "up", EntryID: "0_x", SHA256: "s", Attempt: 2, Reason: "why", Text: "t", NextStep: "n", Kept: true,
			DeleteEntry: true, ReadyAt: &at, DeleteAt: &at, TryAt: &at, Items: 3, ItemsDone: 2, ItemsFailed: 1,
		}
		check(t, db.DropFiles(), g, g.ID)
		line := row("dch", h.ID)
		check(t, db.DropChanges(), gateway.DropChange{Row: line, FolderID: f.ID, FileID: g.ID, State: gateway.DropReady, Cause: "scan", Text: "t", By: "system", At: at}, line.ID)
		it := row("dit", h.ID)
		check(t, db.DropItems(), gateway.DropItem{
			Row: it, FolderID: f.ID, FileID: g.ID, Number: 1, Line: 2, State: gateway.ItemQueued, Action: gateway.ManifestAdd, Title: "t",
			ReferenceID: "r", EntryID: "e", Step: "made", Data: []byte(`{"a":1}`), Reason: "x", Text: "y", NextStep: "z", Attempt: 4, TryAt: &at,
		}, it.ID)
	})
}

func TestFolderNamesAreUniqueWhileTheyLive(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		h, other := hub(t, db), hub(t, db)
		f := dropFolder(t, db, h.ID, "News")
		twin := gateway.DropFolder{Row: row("dfo", h.ID), Name: "NEWS", NameKey: "news"}
		wantCode(t, db.DropFolders().Insert(t.Context(), &twin), gateway.Conflict)
		dropFolder(t, db, other.ID, "News")
		second := dropFolder(t, db, h.ID, "Second")
		second.NameKey = "news"
		wantCode(t, db.DropFolders().Update(t.Context(), &second), gateway.Conflict)
		if got, err := db.DropFolders().ByName(t.Context(), h.ID, "news"); err != nil || got.ID != f.ID {
			t.Error(got, err)
		}
		now := time.Now()
		f.DeletedAt = &now
		must(t, db.DropFolders().Update(t.Context(), &f))
		must(t, db.DropFolders().Insert(t.Context(), &twin))
		if _, err := db.DropFolders().ByApp(t.Context(), ""); gateway.CodeOf(err) != gateway.NotFound {
			t.Error("folders without an app are everybody's:", err)
		}
		list, err := db.DropFolders().List(t.Context(), gateway.Scope(h.ID), "new", gateway.Slice{})
		if err != nil || len(list) != 1 || list[0].ID != twin.ID {
			t.Error(list, err)
		}
	})
}

// One replica at a time looks at a folder; what happens meanwhile has it looked at again.
func TestLooksAtFoldersAreExclusive(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		ctx, h := t.Context(), hub(t, db)
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		f := dropFolder(t, db, h.ID, "in", func(f *gateway.DropFolder) { f.Source, f.ScanAt = gateway.DropDirectory, &now })
		dropFolder(t, db, h.ID, "uploads")
		due := func(at time.Time) int {
			t.Helper()
			list, err := db.DropFolders().DueScans(ctx, at, 10)
			must(t, err)
			return len(list)
		}
		claim := func(replica string, at time.Time) bool {
			t.Helper()
			ok, err := db.DropFolders().Claim(ctx, f.ID, replica, at, at.Add(time.Minute))
			must(t, err)
			return ok
		}
		if due(now.Add(-time.Second)) != 0 || due(now) != 1 {
			t.Error("due at the wrong time")
		}
		if claim("a", now.Add(-time.Second)) || !claim("a", now) || claim("b", now) || claim("a", now) {
			t.Error("the claim is not exclusive")
		}
		must(t, db.DropFolders().SetWake(ctx, f.ID, now))
		if claim("b", now.Add(time.Second)) {
			t.Error("a wake breaks the claim")
		}
		done := func(replica string, at time.Time) bool {
			t.Helper()
			ok, err := db.DropFolders().Scanned(ctx, f.ID, replica, gateway.DropHealth{Files: 3}, at.Add(time.Hour), at)
			must(t, err)
			return ok
		}
		if done("b", now) || !done("a", now) || due(now) != 1 {
			t.Error("woken meanwhile, it is not looked at again")
		}
		if !claim("b", now) || !done("b", now) || due(now) != 0 {
			t.Error("nothing happened, and it is looked at again")
		}
		must(t, db.DropFolders().SetWake(ctx, f.ID, now.Add(time.Minute)))
		must(t, db.DropFolders().SetWake(ctx, f.ID, now.Add(2*time.Minute)))
		if due(now.Add(time.Minute)) != 1 {
			t.Error("a wake did not bring the look forward")
		}
		if !claim("dead", now.Add(time.Minute)) || claim("b", now.Add(time.Minute)) || !claim("b", now.Add(3*time.Minute)) || done("dead", now) {
			t.Error("a dead replica's look is not taken over")
		}
		got, err := db.DropFolders().Get(ctx, gateway.AnyHub, f.ID)
		must(t, err)
		got.Description = "changed"
		must(t, db.DropFolders().Update(ctx, &got))
		if got, _ = db.DropFolders().Get(ctx, gateway.AnyHub, f.ID); got.Health.Files != 3 || got.ScanBy != "b" {
			t.Error("an update undid what a look wrote:", got)
		}
	})
}

// Each listing of each filter and order, page by page, is what a plain comparison of all rows gives.
func TestDropFileListings(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		ctx, h, other := t.Context(), hub(t, db), hub(t, db)
		folders := []gateway.DropFolder{dropFolder(t, db, h.ID, "a"), dropFolder(t, db, h.ID, "b"), dropFolder(t, db, other.ID, "c")}
		var rows []gateway.DropFile
		for i := range 60 {
			f := folders[i%3]
			name := fmt.Sprintf("%s %02d%%_.%s", []string{"Sea", "sky", "ÄÖ"}[i%3], i, []string{"mp4", "MOV", "xml"}[i/3%3])
			rows = append(rows, gateway.DropFile{
				Row: row("dfi", f.HubID), FolderID: f.ID, Name: name, NameKey: name, Size: int64(i % 7), State: []gateway.DropState{gateway.DropReady, gateway.DropQuarantined, gateway.DropPending}[i%4%3],
				Reason: []string{"", "name_twin"}[i%2], Manifest: i/3%3 == 2, Superseded: i%10 == 9, EntryID: []string{"", "0_e"}[i%2], LeadID: []string{"", "dfi_lead"}[i%5/4],
			})
		}
		in, err := db.DropFiles().InsertAll(ctx, rows)
		if err != nil || len(in) != len(rows) {
			t.Fatal(len(in), err)
		}
		if again, err := db.DropFiles().InsertAll(ctx, rows[:5]); err != nil || len(again) != 0 {
			t.Error("rows went in twice:", len(again), err)
		}
		for i := range rows { // each changed at a time of its own
			if i%4 == 0 {
				must(t, db.DropFiles().Update(ctx, &in[i]))
			}
		}
		yes := true
		for _, x := range []struct {
			f    gateway.DropFileFilter
			want func(gateway.DropFile) bool
		}{
			{gateway.DropFileFilter{}, func(gateway.DropFile) bool { return true }},
			{gateway.DropFileFilter{Superseded: true}, func(gateway.DropFile) bool { return true }},
			{gateway.DropFileFilter{FolderID: folders[1].ID}, func(f gateway.DropFile) bool { return f.FolderID == folders[1].ID }},
			{gateway.DropFileFilter{FolderID: folders[2].ID}, func(gateway.DropFile) bool { return false }}, // another hub's
			{gateway.DropFileFilter{Text: "SEA"}, func(f gateway.DropFile) bool { return strings.Contains(f.Name, "Sea") }},
			{gateway.DropFileFilter{Text: "äö"}, func(f gateway.DropFile) bool { return strings.Contains(f.Name, "ÄÖ") }},
			{gateway.DropFileFilter{Text: "1%_"}, func(f gateway.DropFile) bool { return strings.Contains(f.Name, "1%_") }},
			{gateway.DropFileFilter{Text: "0_E"}, func(f gateway.DropFile) bool { return f.EntryID != "" }},
			{gateway.DropFileFilter{States: []gateway.DropState{gateway.DropReady, gateway.DropPending}}, func(f gateway.DropFile) bool { return f.State != gateway.DropQuarantined }},
			{gateway.DropFileFilter{Reason: "name_twin"}, func(f gateway.DropFile) bool { return f.Reason == "name_twin" }},
			{gateway.DropFileFilter{Ending: "mov"}, func(f gateway.DropFile) bool { return strings.HasSuffix(f.Name, ".MOV") }},
			{gateway.DropFileFilter{Manifests: &yes}, func(f gateway.DropFile) bool { return f.Manifest }},
			{gateway.DropFileFilter{LeadID: "dfi_lead"}, func(f gateway.DropFile) bool { return f.LeadID != "" }},
			{gateway.DropFileFilter{EntryID: "0_e"}, func(f gateway.DropFile) bool { return f.EntryID != "" }},
			{gateway.DropFileFilter{From: in[0].CreatedAt.Add(time.Hour)}, func(gateway.DropFile) bool { return false }},
			{gateway.DropFileFilter{To: in[0].CreatedAt.Add(time.Hour)}, func(gateway.DropFile) bool { return true }},
		} {
			var want []gateway.DropFile
			for _, f := range in {
				if f.HubID == h.ID && (x.f.Superseded || !f.Superseded) && x.want(f) {
					want = append(want, f)
				}
			}
			counts, err := db.DropFiles().Counts(ctx, gateway.Scope(h.ID), x.f)
			must(t, err)
			var files, bytes, wantBytes int64
			for _, c := range counts {
				files, bytes = files+c.Files, bytes+c.Bytes
			}
			for _, f := range want {
				wantBytes += f.Size
			}
			if files != int64(len(want)) || bytes != wantBytes {
				t.Errorf("%+v: %d files of %d bytes counted, want %d of %d", x.f, files, bytes, len(want), wantBytes)
			}
			for order, less := range map[gateway.DropOrder]func(a, b gateway.DropFile) int{
				gateway.DropNewest: func(a, b gateway.DropFile) int { return -strings.Compare(a.ID, b.ID) },
				gateway.DropOldest: func(a, b gateway.DropFile) int { return strings.Compare(a.ID, b.ID) },
				gateway.DropByName: func(a, b gateway.DropFile) int {
					return 2*strings.Compare(a.Name, b.Name) + strings.Compare(a.ID, b.ID)
				},
				gateway.DropLargest:  func(a, b gateway.DropFile) int { return 2*int(b.Size-a.Size) - strings.Compare(a.ID, b.ID) },
				gateway.DropSmallest: func(a, b gateway.DropFile) int { return 2*int(a.Size-b.Size) + strings.Compare(a.ID, b.ID) },
				gateway.DropLatest: func(a, b gateway.DropFile) int {
					return 2*b.UpdatedAt.Compare(a.UpdatedAt) - strings.Compare(a.ID, b.ID)
				},
			} {
				x.f.Order = order
				slices.SortFunc(want, less)
				var got []gateway.DropFile
				after := ""
				for {
					page, err := db.DropFiles().List(ctx, gateway.Scope(h.ID), x.f, gateway.Slice{After: after, Limit: 7})
					must(t, err)
					got = append(got, page...)
					if len(page) < 7 {
						break
					}
					after = page[6].Cursor(order)
				}
				if !slices.EqualFunc(got, want, func(a, b gateway.DropFile) bool { return a.ID == b.ID }) {
					t.Errorf("%+v: %d files in another order than %d", x.f, len(got), len(want))
				}
			}
		}
		for _, bad := range []gateway.DropFileFilter{{Order: "x"}, {Order: gateway.DropLargest}, {Order: gateway.DropLatest}} {
			_, err := db.DropFiles().List(ctx, gateway.Scope(h.ID), bad, gateway.Slice{After: "dfi_x~y"})
			wantCode(t, err, gateway.Invalid)
		}
		reasons, err := db.DropFiles().Reasons(ctx, gateway.Scope(h.ID), gateway.DropFileFilter{Superseded: true})
		if err != nil || len(reasons) != 1 || reasons["name_twin"] != 20 {
			t.Error(reasons, err)
		}
		byFolder, err := db.DropFiles().FolderCounts(ctx, []string{folders[0].ID, folders[1].ID})
		if err != nil || len(byFolder) != 2 || byFolder[folders[0].ID][gateway.DropReady].Files == 0 {
			t.Error(byFolder, err)
		}
	})
}

func TestDropFilesByNameAndTime(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		ctx, h := t.Context(), hub(t, db)
		f := dropFolder(t, db, h.ID, "a")
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		past, future := now.Add(-time.Minute), now.Add(time.Minute)
		file := func(name string, change func(*gateway.DropFile)) gateway.DropFile {
			x := gateway.DropFile{Row: row("dfi", h.ID), FolderID: f.ID, Name: name, NameKey: name, State: gateway.DropPending}
			change(&x)
			must(t, db.DropFiles().Insert(ctx, &x))
			return x
		}
		old := file("a", func(x *gateway.DropFile) { x.Superseded, x.State = true, gateway.DropReady })
		live := file("a", func(x *gateway.DropFile) { x.UploadID, x.EntryID = "upl_1", "0_e" })
		twin := gateway.DropFile{Row: row("dfi", h.ID), FolderID: f.ID, Name: "a", NameKey: "a"}
		wantCode(t, db.DropFiles().Insert(ctx, &twin), gateway.Conflict)
		b := file("b", func(x *gateway.DropFile) { x.TryAt, x.DeleteAt, x.State = &past, &past, gateway.DropDue })
		c := file("c", func(x *gateway.DropFile) { x.TryAt, x.State, x.EntryID = &past, gateway.DropWaiting, "0_e" })
		file("d", func(x *gateway.DropFile) { x.TryAt, x.State = &future, gateway.DropImporting })
		if got, err := db.DropFiles().ByKey(ctx, f.ID, "a"); err != nil || got.ID != live.ID || got.ID == old.ID {
			t.Error(got, err)
		}
		if got, err := db.DropFiles().ByUpload(ctx, "upl_1"); err != nil || got.ID != live.ID {
			t.Error(got, err)
		}
		_, err := db.DropFiles().ByUpload(ctx, "")
		wantCode(t, err, gateway.NotFound)
		due, err := db.DropFiles().Due(ctx, now, 10)
		if err != nil || len(due) != 2 || due[0].ID != b.ID || due[1].ID != c.ID {
			t.Error(due, err)
		}
		work, err := db.DropFiles().Pending(ctx)
		if err != nil || len(work) != 1 || work[0] != f.ID {
			t.Error(work, err)
		}
		if n, err := db.DropFiles().OthersWithEntry(ctx, gateway.Scope(h.ID), "0_e", live.ID); err != nil || n != 1 {
			t.Error(n, err)
		}
		if known, err := db.DropFiles().Known(ctx, f.ID); err != nil || len(known) != 4 {
			t.Error(known, err)
		}
		names, err := db.DropFiles().OfNames(ctx, f.ID, []string{"a", "c", "x"})
		if err != nil || len(names) != 2 {
			t.Error(names, err)
		}
		var items []gateway.DropItem
		for i := range 1200 {
			items = append(items, gateway.DropItem{Row: row("dit", h.ID), FolderID: f.ID, FileID: live.ID, Number: int64(i + 1), State: gateway.ItemQueued, Data: []byte("{}")})
		}
		must(t, db.DropItems().InsertAll(ctx, items))
		for i := range items {
			items[i].ID = gateway.NewID("dit")
		}
		must(t, db.DropItems().InsertAll(ctx, items)) // numbers that are there already
		if n, err := db.DropItems().Counts(ctx, live.ID); err != nil || n[gateway.ItemQueued] != 1200 {
			t.Error(n, err)
		}
		page, err := db.DropItems().OfFile(ctx, live.ID, []gateway.DropItemState{gateway.ItemQueued}, 1190, 100)
		if err != nil || len(page) != 10 || page[0].Number != 1191 {
			t.Error(len(page), err)
		}
		must(t, db.DropChanges().InsertAll(ctx, []gateway.DropChange{
			{Row: row("dch", h.ID), FolderID: f.ID, FileID: old.ID, At: past}, {Row: row("dch", h.ID), FolderID: f.ID, FileID: live.ID, At: past},
		}))
		if n, err := db.DropChanges().Trim(ctx, now, 100); err != nil || n != 1 {
			t.Error("only what is over is forgotten:", n, err)
		}
		must(t, db.DropFolders().Delete(ctx, gateway.AnyHub, f.ID))
		if n, err := db.DropItems().Counts(ctx, live.ID); err != nil || len(n) != 0 {
			t.Error("items outlive their folder:", n, err)
		}
	})
}
