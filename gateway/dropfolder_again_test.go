package gateway_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

// sourceOnly is a conversion profile that every account of the embedded platform has beside its default.
const sourceOnly = 16

// look asks the platform for an entry.
func (s *shed) look(id string) (e struct {
	UserID, Categories  string
	Status              any
	ConversionProfileID int64 `json:"conversionProfileId"`
},
) {
	s.t.Helper()
	s.world.ask("media", "get", map[string]any{"entryId": id}, &e)
	return e
}

// entry makes one without content on the platform.
func (s *shed) entry(referenceID string) string {
	s.t.Helper()
	var e struct{ ID string }
	s.world.ask("media", "add", map[string]any{"entry": map[string]any{
		"objectType": "KalturaMediaEntry", "mediaType": 1, "name": "There before", "referenceId": referenceID,
	}}, &e)
	return e.ID
}

func (s *shed) upload(f gateway.DropFile) gateway.Upload {
	s.t.Helper()
	u, err := s.db.Uploads().Get(s.t.Context(), gateway.AnyHub, f.UploadID)
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

// What is imported again is handed over again, to the entry that it became, and converted by the profile that was chosen.
func TestReprocessHandsTheBytesOver(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), func(f *gateway.DropFolder) { f.Origin.ConversionProfileID = sourceOnly })
	ctx, admin := t.Context(), s.house.Admin
	s.put("tour.mp4", noise(70_000))
	s.settle()
	s.drive()
	first := s.is("tour.mp4", gateway.DropReady, "")
	if e := s.look(first.EntryID); e.ConversionProfileID != sourceOnly {
		t.Errorf("the folder's profile was not asked for: %+v", e)
	}
	if _, err := s.folders.Reprocess(ctx, admin, first.ID, 15); err != nil {
		t.Fatal(err)
	}
	s.drive()
	again := s.is("tour.mp4", gateway.DropReady, "")
	u := s.upload(again)
	if again.EntryID != first.EntryID || again.UploadID == first.UploadID || u.Replaces != first.EntryID || u.State != gateway.UploadReady || len(s.all()) != 1 {
		t.Errorf("%+v %+v", again, u)
	}
	if e := s.look(first.EntryID); e.ConversionProfileID != 15 {
		t.Errorf("the new profile was not asked for: %+v", e)
	}
	_, err := s.folders.Reprocess(ctx, admin, first.ID, 999_999)
	gatewaytest.Want(t, err, gateway.Invalid, "conversion_profile_unknown")

	// Its entry is gone: the file becomes a new one.
	var out any
	s.world.ask("media", "delete", map[string]any{"entryId": first.EntryID}, &out)
	if _, err := s.folders.Reprocess(ctx, admin, first.ID, 0); err != nil {
		t.Fatal(err)
	}
	s.drive()
	if f := s.is("tour.mp4", gateway.DropReady, ""); f.EntryID == first.EntryID || len(s.all()) != 1 {
		t.Errorf("%+v", f)
	}
}

// The same bytes under the same name are the same entry, as long as there is one.
func TestSameBytesOfAnEntryThatIsGone(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t))
	body := noise(5000)
	s.put("a.mp4", body)
	s.settle()
	s.drive()
	first := s.is("a.mp4", gateway.DropReady, "")
	var out any
	s.world.ask("media", "delete", map[string]any{"entryId": first.EntryID}, &out)
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(s.dir, "a.mp4"), later, later); err != nil {
		t.Fatal(err)
	}
	s.settle()
	s.drive()
	if f := s.is("a.mp4", gateway.DropReady, ""); f.EntryID == first.EntryID || len(s.all()) != 1 {
		t.Errorf("%+v, %d entries", f, len(s.all()))
	}
}

// A file is given to an entry by hand: its bytes become the content, whatever it was before, and only of an entry that
// the actor and the folder may handle, also when its turn comes.
func TestMatchByHand(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), func(f *gateway.DropFolder) { f.Match = gateway.MatchOrWait })
	ctx, admin := t.Context(), s.house.Admin
	for _, name := range []string{"one.mp4", "two.mp4"} {
		s.put(name, noise(5000))
	}
	s.settle()
	s.drive()
	one, two := s.is("one.mp4", gateway.DropNoMatch, ""), s.is("two.mp4", gateway.DropNoMatch, "")
	_, err := s.folders.MatchTo(ctx, admin, one.ID, "0_none")
	gatewaytest.Want(t, err, gateway.NotFound, "entry_not_found")
	if f := gateway.AsError(err).Field; f != "/entry_id" {
		t.Error(f)
	}
	id, gone := s.entry("harbour"), s.entry("gone")
	for f, to := range map[string]string{one.ID: id, two.ID: gone} {
		if _, err := s.folders.MatchTo(ctx, admin, f, to); err != nil {
			t.Fatal(err)
		}
	}
	var out any
	s.world.ask("media", "delete", map[string]any{"entryId": gone}, &out)
	s.drive()
	one = s.is("one.mp4", gateway.DropReady, "")
	if u := s.upload(one); one.EntryID != id || u.Replaces != id || len(s.all()) != 1 {
		t.Errorf("%+v %+v", one, u)
	}
	two = s.is("two.mp4", gateway.DropQuarantined, "entry_not_found")

	s.put("three.mp4", noise(5000)) // before its turn came
	s.settle()
	third := s.entry("third")
	if _, err := s.folders.MatchTo(ctx, admin, s.is("three.mp4", gateway.DropPending, "").ID, third); err != nil {
		t.Fatal(err)
	}
	s.drive()
	if f := s.is("three.mp4", gateway.DropReady, ""); f.EntryID != third {
		t.Errorf("%+v", f)
	}

	// One that has become an entry already, and could not be described: the other entry gets its bytes, too.
	one.State, one.Reason = gateway.DropQuarantined, "user_unknown"
	if err := s.db.DropFiles().Update(ctx, &one); err != nil {
		t.Fatal(err)
	}
	other := s.entry("other")
	if _, err := s.folders.MatchTo(ctx, admin, one.ID, other); err != nil {
		t.Fatal(err)
	}
	s.drive()
	again := s.is("one.mp4", gateway.DropReady, "")
	if u := s.upload(again); again.EntryID != other || u.Replaces != other || u.ID == one.UploadID {
		t.Errorf("%+v %+v", again, u)
	}

	// Who the folder acts for may not any more.
	folder, err := s.db.DropFolders().Get(ctx, gateway.AnyHub, s.folder.ID)
	if err != nil {
		t.Fatal(err)
	}
	folder.ParticipantID = s.house.Ada.ParticipantID
	if err := s.db.DropFolders().Update(ctx, &folder); err != nil {
		t.Fatal(err)
	}
	_, err = s.folders.MatchTo(ctx, admin, two.ID, id)
	gatewaytest.Want(t, err, gateway.Forbidden, "maker_demoted")
}

// The path says whose an entry is and where, the name which rendition of which entry a file is.
func TestWhatPathAndNameSayReachesTheEntry(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), func(f *gateway.DropFolder) {
		f.Slug = `^(?P<referenceId>[a-z]+)(_(?P<flavorName>.+))?\.mp4$`
		f.Origin = gateway.DropOrigin{UserFromPath: true, Category: "Drops", CategoryFromPath: true}
	})
	s.put("kim/2026/tour.mp4", noise(5000))
	s.settle()
	s.drive()
	f := s.is("kim/2026/tour.mp4", gateway.DropReady, "")
	if e := s.look(f.EntryID); e.UserID != "kim" || !strings.HasPrefix(e.Categories, "Drops>") || !strings.Contains(e.Categories, "2026") {
		t.Errorf("%+v", e)
	}
	s.put("kim/2026/tour_WebM.mp4", noise(3000))
	s.put("kim/2026/tour_Nothing.mp4", noise(3000))
	s.put("kim/2026/ship_WebM.mp4", noise(3000))
	s.settle()
	s.drive()
	r := s.is("kim/2026/tour_WebM.mp4", gateway.DropReady, "")
	var list struct {
		Objects []struct {
			FlavorParamsID int64 `json:"flavorParamsId"`
			Size           any
		}
	}
	s.world.ask("flavorasset", "list", map[string]any{"filter": map[string]any{
		"objectType": "KalturaFlavorAssetFilter", "entryIdEqual": f.EntryID,
	}}, &list)
	has := false
	for _, o := range list.Objects {
		has = has || o.FlavorParamsID == 8
	}
	if r.EntryID != f.EntryID || !has || len(s.all()) != 1 {
		t.Errorf("%+v, %+v", r, list)
	}
	s.is("kim/2026/tour_Nothing.mp4", gateway.DropQuarantined, "flavor_unknown")
	s.is("kim/2026/ship_WebM.mp4", gateway.DropNoMatch, "")
}

// The folder's owner is that of new entries; one that gets new content stays its owner's, unless the path says another. Where
// that may not be, it is said.
func TestOwnerOfAnEntryThatWasThere(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), func(f *gateway.DropFolder) {
		f.Match, f.Origin = gateway.MatchOrAdd, gateway.DropOrigin{UserID: "newsroom", UserFromPath: true}
	})
	owner := s.look(s.entry("tour")).UserID
	s.put("tour.mp4", noise(500))
	s.put("fresh.mp4", noise(500))
	s.settle()
	s.drive()
	if e := s.look(s.is("tour.mp4", gateway.DropReady, "").EntryID); e.UserID != owner || len(s.all()) != 2 {
		t.Errorf("%+v, not %s's", e, owner)
	}
	if e := s.look(s.is("fresh.mp4", gateway.DropReady, "").EntryID); e.UserID != "newsroom" {
		t.Errorf("%+v", e)
	}
	s.put("kim/tour.mp4", noise(600))
	s.settle()
	s.drive()
	if e := s.look(s.is("kim/tour.mp4", gateway.DropReady, "").EntryID); e.UserID != "kim" || len(s.all()) != 2 {
		t.Errorf("%+v", e)
	}
	in := s.in
	in.Visibility = gateway.VisibilityOwn
	if err := s.db.Integrations().Update(t.Context(), &in); err != nil {
		t.Fatal(err)
	}
	s.put("kim/alone.mp4", noise(700))
	s.settle()
	s.drive()
	f := s.is("kim/alone.mp4", gateway.DropReady, "")
	lines, err := s.db.DropChanges().OfFile(t.Context(), f.ID, gateway.Slice{})
	if err != nil || !strings.Contains(fmt.Sprint(lines), "not given to the user kim") || s.look(f.EntryID).UserID == "kim" {
		t.Error(lines, err)
	}
}

// By hand a file goes with its entry when that was said and the time to take it back is over.
func TestDeletedWithItsEntry(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t))
	ctx, admin := t.Context(), s.house.Admin
	s.put("a.mp4", noise(5000))
	s.put("b.mp4", noise(5000))
	s.settle()
	s.drive()
	a, b := s.is("a.mp4", gateway.DropReady, ""), s.is("b.mp4", gateway.DropReady, "")
	if p, err := s.folders.DeletePlan(ctx, admin, a.ID); err != nil || !p.Source || p.Entry != a.EntryID || p.EntryTitle != "a" || p.Blocked != nil {
		t.Errorf("%+v %v", p, err)
	}
	if _, err := s.folders.DeleteFile(ctx, admin, a.ID, true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.folders.DeleteFile(ctx, admin, b.ID, false); err != nil {
		t.Fatal(err)
	}
	run := func() {
		t.Helper()
		for _, f := range s.files(gateway.DropDue) {
			if err := s.folders.RunFile(ctx, f.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	run()
	if len(s.all()) != 2 {
		t.Fatal("deleted before its time")
	}
	s.later(gateway.DropUndoTime + time.Second)
	run()
	s.is("a.mp4", gateway.DropDeleted, "")
	s.is("b.mp4", gateway.DropDeleted, "")
	if list := s.all(); len(list) != 1 || list[0].ID != b.EntryID {
		t.Errorf("%+v", list)
	}
	for _, name := range []string{"a.mp4", "b.mp4"} {
		if _, err := os.Stat(filepath.Join(s.dir, name)); !os.IsNotExist(err) {
			t.Error(name, err)
		}
	}
}

// A server that does not come back takes nothing with it that lies in the folder still.
func TestReplicaThatStaysAway(t *testing.T) {
	t.Parallel()
	o := store.Options{DataDir: t.TempDir()}
	s := newShed(t, storetest.Open(t, o))
	lives(t, o, s.uploads.Replica, true)
	ctx := t.Context()
	s.put("held.mp4", noise(5000))
	s.put("begun.mp4", noise(5000))
	s.settle()
	for _, f := range s.files(gateway.DropPending) {
		if err := s.folders.RunFile(ctx, f.ID); err != nil {
			t.Fatal(err)
		}
	}
	held := s.is("held.mp4", gateway.DropImporting, "")
	u := s.upload(held) // as if it had been killed before it was let go
	u.State = gateway.UploadHeld
	if err := s.db.Uploads().Update(ctx, &u); err != nil {
		t.Fatal(err)
	}
	other := s.replica("other")
	for range 20 {
		other.turn()
		other.later(time.Hour) // it has much to do
	}
	lives(t, o, s.uploads.Replica, false)
	other.turn()
	other.later(time.Minute) // it starts again
	other.turn()
	if len(s.all()) != 0 {
		t.Fatal("a server went on with bytes that it does not have")
	}
	other.later(3 * time.Minute)
	other.drive()
	for _, name := range []string{"held.mp4", "begun.mp4"} {
		if f := other.is(name, gateway.DropReady, ""); other.upload(f).Replica != "other" {
			t.Errorf("%+v", f)
		}
	}
	s.drive() // it is back
	if n := len(s.all()); n != 2 {
		t.Errorf("%d entries", n)
	}
}

// What waits for its folder counts in the hub's quota; the bytes of what was put aside are let go, or end with their time.
func TestHeldUploadsCountAndEnd(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), func(f *gateway.DropFolder) { f.Match = gateway.MatchOrWait })
	ctx, admin := t.Context(), s.house.Admin
	body := noise(5000)
	send := func(name string) gateway.DropFile {
		t.Helper()
		u, err := s.uploads.Create(ctx, admin, gateway.NewUpload{Name: name, Size: int64(len(body)), FolderID: s.folder.ID})
		if err == nil {
			_, err = s.uploads.Write(ctx, admin, u.ID, 0, bytes.NewReader(body))
		}
		if err == nil {
			_, err = s.uploads.Finish(ctx, admin, u.ID, u.Size, digest(body))
		}
		if err != nil {
			t.Fatal(err)
		}
		s.drive()
		return s.is(name, gateway.DropNoMatch, "")
	}
	waits, left := send("waits.mp4"), send("left.mp4")
	if n, err := s.db.Hubs().Reserved(ctx, admin.HubID); err != nil || n != 2*int64(len(body)) {
		t.Errorf("%d bytes are reserved: %v", n, err)
	}
	if _, err := s.folders.Ignore(ctx, admin, left.ID); err != nil {
		t.Fatal(err)
	}
	s.later(s.uploads.Life + time.Hour)
	if err := s.uploads.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	s.is("left.mp4", gateway.DropGone, "")
	if a, b := s.upload(waits).State, s.upload(left).State; a != gateway.UploadHeld || b != gateway.UploadExpired {
		t.Error(a, b)
	}

	// Of a file that lies in the directory the bytes here are a copy.
	s.put("copy.mp4", body)
	s.settle()
	s.drive()
	f := s.is("copy.mp4", gateway.DropNoMatch, "")
	u := gateway.Upload{
		Row: gateway.Row{ID: gateway.NewID("upl"), HubID: f.HubID}, Name: f.Name, Size: f.Size, State: gateway.UploadHeld, FolderID: f.FolderID, DropFileID: f.ID,
		Replica: s.uploads.Replica, Fingerprint: f.Identity, ExpiresAt: s.now().Add(time.Hour),
	}
	if err := s.db.Uploads().Insert(ctx, &u); err != nil {
		t.Fatal(err)
	}
	f.UploadID = u.ID
	if err := s.db.DropFiles().Update(ctx, &f); err != nil {
		t.Fatal(err)
	}
	if _, err := s.folders.Ignore(ctx, admin, f.ID); err != nil {
		t.Fatal(err)
	}
	if st := s.upload(f).State; st != gateway.UploadCancelled {
		t.Error(st)
	}
	id := s.entry("copy")
	if _, err := s.folders.Retry(ctx, admin, f.ID); err != nil {
		t.Fatal(err)
	}
	s.drive()
	if f := s.is("copy.mp4", gateway.DropReady, ""); f.EntryID != id || f.UploadID == u.ID {
		t.Errorf("%+v", f)
	}
}

// What was taken in for another account goes to the folder's when it is tried again.
func TestUploadOfAnotherAccount(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t))
	ctx := t.Context()
	s.put("a.mp4", noise(5000))
	s.settle()
	for _, f := range s.files(gateway.DropPending) {
		if err := s.folders.RunFile(ctx, f.ID); err != nil {
			t.Fatal(err)
		}
	}
	f := s.is("a.mp4", gateway.DropImporting, "")
	u := s.upload(f)
	u.IntegrationID = "int_before"
	if err := s.db.Uploads().Update(ctx, &u); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Uploads().SetRelay(ctx, u.ID, "0_unknown", gateway.Ranges{{Start: 0, End: 5000}}); err != nil {
		t.Fatal(err)
	}
	s.drive()
	f = s.is("a.mp4", gateway.DropQuarantined, "integration_changed")
	if _, err := s.folders.Retry(ctx, s.house.Admin, f.ID); err != nil {
		t.Fatal(err)
	}
	s.drive()
	s.is("a.mp4", gateway.DropReady, "")
	if len(s.all()) != 1 {
		t.Errorf("%d entries", len(s.all()))
	}
}
