package gateway_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/integrations/dropfolder"
	"isthmus/store"
	"isthmus/store/storetest"
)

// desk is the service over a real database and a real directory, for what people do with folders. The account does not answer.
type desk struct {
	*site
	folders *gateway.DropFolders
	root    string
}

func newDesk(t *testing.T, db *store.DB, o siteOptions) *desk {
	t.Helper()
	d := &desk{site: newSite(t, db, o), root: t.TempDir()}
	d.folders = &gateway.DropFolders{
		Store: db, Clock: d.uploads.Clock, Sources: dropfolder.New(dropfolder.Options{Root: d.root}), Manifests: dropfolder.Manifests{},
		Uploads: d.uploads, Integrations: d.ins, Mappings: d.uploads.Mappings, Events: d.events, Sealer: d.keys, Replica: db.Replica(),
	}
	d.uploads.Folders = d.folders
	if !o.Later {
		m := gateway.Mapping{
			Row: gateway.Row{ID: gateway.NewID("map"), HubID: d.house.Hub.ID}, IntegrationID: d.in.ID, ParticipantID: d.house.Teacher.ParticipantID,
			PlatformUserID: d.house.Teacher.Email, How: gateway.MappedMatched, State: gateway.MappingActive, LastUsedAt: gateway.SystemClock(),
		}
		if err := db.Mappings().Insert(t.Context(), &m); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func draft(name string) gateway.DropFolderDraft { return gateway.DropFolderDraft{Name: &name} }

func inDirectory(name, path string) gateway.DropFolderDraft {
	source := gateway.DropDirectory
	return gateway.DropFolderDraft{Name: &name, Source: &source, Path: &path}
}

func (d *desk) folder(a gateway.Actor, x gateway.DropFolderDraft) gateway.DropFolder {
	d.t.Helper()
	f, err := d.folders.Create(d.t.Context(), a, x)
	if err != nil {
		d.t.Fatal(err)
	}
	return f
}

// file puts a row as a scan would have.
func (d *desk) file(f gateway.DropFolder, name string, state gateway.DropState, change ...func(*gateway.DropFile)) gateway.DropFile {
	d.t.Helper()
	now := d.folders.Clock()
	x := gateway.DropFile{Row: gateway.Row{ID: gateway.NewID("dfi"), HubID: f.HubID}, FolderID: f.ID, Name: name, NameKey: name, State: state, Identity: "1:2/3", WholeAt: &now}
	for _, c := range change {
		c(&x)
	}
	if err := d.db.DropFiles().Insert(d.t.Context(), &x); err != nil {
		d.t.Fatal(err)
	}
	return x
}

func TestWhoMayUseDropFolders(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t)
	d := newDesk(t, db, siteOptions{})
	ctx, h := t.Context(), d.house
	f := d.folder(h.Teacher, draft("News"))
	x := d.file(f, "a.mp4", gateway.DropQuarantined)
	other := gatewaytest.NewHouse(t, db, d.folders.Clock, "south", gateway.PlanUniversity)
	narrow := h.Teacher
	narrow.Scopes = []string{gateway.ScopeDropFoldersRead}
	app := gateway.Client{Row: gateway.Row{ID: gatewaytest.Machine(h.Hub).ClientID, HubID: h.Hub.ID}, Type: gateway.ClientMachine, AuthMethod: gateway.AuthSecret, Name: "App"}
	if err := db.Clients().Insert(ctx, &app); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who    string
		a      gateway.Actor
		read   gateway.Code
		write  gateway.Code
		reason string
	}{
		{"content admin", h.Teacher, "", "", ""},
		{"admin", h.Admin, "", "", ""},
		{"participant", h.Ada, gateway.Forbidden, gateway.Forbidden, "not_content_admin"},
		{"token that may read", narrow, "", gateway.Forbidden, "insufficient_scope"},
		{"client that may", gatewaytest.Machine(h.Hub, gateway.ScopeDropFoldersRead, gateway.ScopeDropFoldersWrite), "", "", ""},
		{"client that may not", gatewaytest.Machine(h.Hub, gateway.ScopeUploadsWrite), gateway.Forbidden, gateway.Forbidden, "insufficient_scope"},
		{"admin of another hub", other.Admin, gateway.NotFound, gateway.NotFound, ""},
	} {
		_, folder := d.folders.Get(ctx, c.a, f.ID)
		_, file := d.folders.File(ctx, c.a, x.ID)
		_, lines := d.folders.Timeline(ctx, c.a, x.ID, gateway.Slice{})
		_, items := d.folders.Items(ctx, c.a, x.ID, nil, 0, 10)
		_, plan := d.folders.DeletePlan(ctx, c.a, x.ID)
		for what, err := range map[string]error{"folder": folder, "file": file, "timeline": lines, "items": items, "plan": plan} {
			if gateway.CodeOf(err) != c.read {
				t.Errorf("%s reads the %s: %v", c.who, what, err)
			}
		}
		_, pause := d.folders.Pause(ctx, c.a, f.ID)
		_, resume := d.folders.Resume(ctx, c.a, f.ID)
		_, keep := d.folders.Keep(ctx, c.a, x.ID, true)
		_, keepNot := d.folders.Keep(ctx, c.a, x.ID, false)
		for what, err := range map[string]error{"pause": pause, "resume": resume, "keep": keep, "keep not": keepNot} {
			if gateway.CodeOf(err) != c.write || c.write == gateway.Forbidden && !gateway.IsReason(err, c.reason) {
				t.Errorf("%s, %s: %v", c.who, what, err)
			}
		}
	}
	for _, err := range []error{
		func() error {
			_, err := d.folders.Update(ctx, other.Admin, f.ID, f.Version, draft("Stolen"))
			return err
		}(),
		d.folders.Delete(ctx, other.Admin, f.ID, 0),
		func() error { _, err := d.folders.Retry(ctx, other.Admin, x.ID); return err }(),
		func() error { _, err := d.folders.DeleteFile(ctx, other.Admin, x.ID, false); return err }(),
		func() error { _, err := d.folders.Test(ctx, other.Admin, f.ID, gateway.DropFolderDraft{}); return err }(),
	} {
		gatewaytest.Want(t, err, gateway.NotFound, "")
	}
	for _, list := range []func() (int, error){
		func() (int, error) {
			l, err := d.folders.List(ctx, other.Admin, "", gateway.Slice{})
			return len(l), err
		},
		func() (int, error) {
			l, err := d.folders.Files(ctx, other.Admin, gateway.DropFileFilter{FolderID: f.ID}, gateway.Slice{})
			return len(l.Files), err
		},
		func() (int, error) {
			l, err := d.folders.Bulk(ctx, other.Admin, gateway.DropBulk{Action: gateway.ActRetry, Filter: &gateway.DropFileFilter{}})
			return len(l.Results), err
		},
	} {
		if n, err := list(); n != 0 || err != nil {
			t.Error("another hub sees", n, err)
		}
	}
	// Where this server looks is for admins to say.
	_, err := d.folders.Create(ctx, h.Teacher, inDirectory("Dir", "in"))
	gatewaytest.Want(t, err, gateway.Forbidden, "not_admin")
	_, err = d.folders.Create(ctx, gatewaytest.Machine(h.Hub, gateway.ScopeDropFoldersWrite), inDirectory("Dir", "in"))
	gatewaytest.Want(t, err, gateway.Forbidden, "not_admin")
	dir := d.folder(h.Admin, inDirectory("Dir", "in"))
	_, err = d.folders.Update(ctx, h.Teacher, dir.ID, dir.Version, gateway.DropFolderDraft{Path: new("elsewhere")})
	gatewaytest.Want(t, err, gateway.Forbidden, "not_admin")
	if _, err = d.folders.Update(ctx, h.Teacher, dir.ID, dir.Version, gateway.DropFolderDraft{Description: new("x")}); err != nil {
		t.Error(err)
	}
	// One that is there may be sent to anew: no place is chosen.
	if v, err := d.folders.Activate(ctx, h.Teacher, draft("Dir")); err != nil || v.Folder.ID != dir.ID || v.Secret == "" {
		t.Error(v, err)
	}
	_, err = d.folders.Activate(ctx, h.Teacher, inDirectory("Dir 2", "in2"))
	gatewaytest.Want(t, err, gateway.Forbidden, "not_admin")
	// Nor does anybody but admins see by a test what lies elsewhere.
	bucket := gateway.DropFolder{
		Row: gateway.Row{ID: gateway.NewID("dfo"), HubID: h.Hub.ID}, ParticipantID: h.Admin.ParticipantID, IntegrationID: d.in.ID, Name: "B", NameKey: "b",
		Source: gateway.DropBucket, Path: "in/", Bucket: gateway.DropBucketAddress{Region: "eu-central-1", Name: "media"}, Handler: gateway.HandleBoth, Match: gateway.MatchAdd,
		Delete: gateway.DeleteManually, WaitHours: 72,
	}
	if err := db.DropFolders().Insert(ctx, &bucket); err != nil {
		t.Fatal(err)
	}
	for id, path := range map[string]string{bucket.ID: "", dir.ID: "in3"} {
		_, err = d.folders.Test(ctx, h.Teacher, id, gateway.DropFolderDraft{Path: &path})
		gatewaytest.Want(t, err, gateway.Forbidden, "not_admin")
	}
	if _, err = d.folders.Test(ctx, h.Teacher, dir.ID, gateway.DropFolderDraft{Path: new("in")}); err != nil {
		t.Error(err)
	}
}

func TestFoldersAreMadeChangedAndRemoved(t *testing.T) {
	t.Parallel()
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		d := newDesk(t, db, siteOptions{})
		ctx, admin := t.Context(), d.house.Admin
		f := d.folder(admin, inDirectory("In", "in/video"))
		if st, err := os.Stat(filepath.Join(d.root, admin.HubID, "in", "video")); err != nil || !st.IsDir() {
			t.Error("the directory is not made:", err)
		}
		for _, path := range []string{"in", "in/video", "IN/Video/x"} {
			_, err := d.folders.Create(ctx, admin, inDirectory("Second", path))
			gatewaytest.Want(t, err, gateway.Conflict, "place_taken")
		}
		_, err := d.folders.Create(ctx, admin, draft("iN"))
		gatewaytest.Want(t, err, gateway.Conflict, "name_taken")
		gatewaytest.Explained(t, err)
		second := d.folder(admin, inDirectory("Second", "in/audio"))
		_, err = d.folders.Update(ctx, admin, second.ID, second.Version, gateway.DropFolderDraft{Path: new("in/video/x")})
		gatewaytest.Want(t, err, gateway.Conflict, "place_taken")
		_, err = d.folders.Update(ctx, admin, second.ID, second.Version+1, draft("Third"))
		gatewaytest.Want(t, err, gateway.Precondition, "stale")
		moved, err := d.folders.Update(ctx, admin, second.ID, second.Version, gateway.DropFolderDraft{Path: new("in/music"), Name: new("Music")})
		if err != nil || moved.Path != "in/music" || moved.NameKey != "music" {
			t.Fatal(moved, err)
		}
		for range 2 { // harmless when repeated
			if p, err := d.folders.Pause(ctx, admin, f.ID); err != nil || p.PausedAt == nil {
				t.Fatal(p, err)
			}
		}
		if v, err := d.folders.Get(ctx, admin, f.ID); err != nil || v.Stop == nil || v.Stop.Code != "paused" {
			t.Error(v.Stop, err)
		}
		_, err = d.folders.Scan(ctx, admin, f.ID)
		gatewaytest.Want(t, err, gateway.Conflict, "paused")
		if _, err := d.folders.Resume(ctx, admin, f.ID); err != nil {
			t.Fatal(err)
		}
		if v, err := d.folders.Get(ctx, admin, f.ID); err != nil || v.Stop != nil {
			t.Error(v.Stop, err)
		}
		if err := d.folders.Delete(ctx, admin, f.ID, 0); err != nil {
			t.Fatal(err)
		}
		_, err = d.folders.Get(ctx, admin, f.ID)
		gatewaytest.Want(t, err, gateway.NotFound, "folder_not_found")
		d.folder(admin, inDirectory("In", "in/video")) // name and place are free again
		want := []string{"drop_folder.created", "drop_folder.paused", "drop_folder.resumed", "drop_folder.deleted"}
		if got := d.types(f.ID); !slices.Equal(got, want) {
			t.Error(got)
		}
		teacher, err := db.Events().Since(ctx, d.house.Teacher, 0, 500)
		if err != nil || len(teacher) < 4 {
			t.Error("content admins hear nothing:", len(teacher), err)
		}
		if ada, err := db.Events().Since(ctx, d.house.Ada, 0, 500); err != nil || len(ada) != 0 {
			t.Error("participants hear of folders:", ada, err)
		}
	})
}

// A folder acts in the name of its maker; when they are gone it stops until somebody saves it.
func TestFolderStopsWithoutItsMaker(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t)
	d := newDesk(t, db, siteOptions{})
	ctx := t.Context()
	f := d.folder(d.house.Teacher, draft("News"))
	p, err := db.Participants().Get(ctx, gateway.AnyHub, d.house.Teacher.ParticipantID)
	if err != nil {
		t.Fatal(err)
	}
	now := d.folders.Clock()
	p.SuspendedAt = &now
	if err := db.Participants().Update(ctx, &p); err != nil {
		t.Fatal(err)
	}
	v, err := d.folders.Get(ctx, d.house.Admin, f.ID)
	if err != nil || v.Stop == nil || v.Stop.Code != "maker_gone" || v.Stop.NextStep == "" {
		t.Fatal(v.Stop, err)
	}
	got, err := d.folders.Update(ctx, d.house.Admin, f.ID, v.Version, gateway.DropFolderDraft{})
	if err != nil || got.ParticipantID != d.house.Admin.ParticipantID {
		t.Fatal(got, err)
	}
	if v, err := d.folders.Get(ctx, d.house.Admin, f.ID); err != nil || v.Stop != nil {
		t.Error(v.Stop, err)
	}
}

// Where each may handle only their own media, nobody has another's folder do it for them.
func TestFoldersOfOthersWhereEachHasTheirOwn(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.SQLite(t), siteOptions{Account: gateway.Integration{Visibility: gateway.VisibilityOwn}})
	ctx, h := t.Context(), d.house
	bob := h.Bob
	bob.Role = gateway.RoleContentAdmin
	theirs := func(origin string) gateway.DropFolderDraft {
		return gateway.DropFolderDraft{Origin: &gateway.DropOrigin{UserID: origin}}
	}
	x := theirs("somebody@else.example")
	x.Name = new("News")
	_, err := d.folders.Create(ctx, h.Teacher, x)
	gatewaytest.Want(t, err, gateway.Forbidden, "user_not_own")
	x.Origin.UserID = h.Teacher.Email
	f := d.folder(h.Teacher, x)
	into := func(a gateway.Actor, name string) error {
		_, err := d.uploads.Create(ctx, a, gateway.NewUpload{Name: name, Size: 1, FolderID: f.ID})
		return err
	}
	for _, a := range []gateway.Actor{bob, h.Admin} {
		gatewaytest.Want(t, into(a, "a.xml"), gateway.Forbidden, "folder_not_own")
		_, err = d.folders.Activate(ctx, a, draft("News"))
		gatewaytest.Want(t, err, gateway.Forbidden, "folder_not_own")
		gatewaytest.Explained(t, err)
		_, err = d.folders.Update(ctx, a, f.ID, f.Version, theirs("somebody@else.example"))
		gatewaytest.Want(t, err, gateway.Forbidden, map[bool]string{true: "user_not_own", false: "folder_not_own"}[a.Admin()])
	}
	if f, err = d.folders.Update(ctx, h.Admin, f.ID, f.Version, gateway.DropFolderDraft{Description: new("x")}); err != nil || f.ParticipantID != h.Teacher.ParticipantID {
		t.Error(f, err)
	}
	v, err := d.folders.Activate(ctx, h.Teacher, draft("News"))
	if err != nil || v.Secret == "" {
		t.Fatal(v, err)
	}
	app := gateway.Actor{HubID: f.HubID, ClientID: v.Client.ID, Role: gateway.RoleParticipant, Scopes: v.Client.Scopes}
	for name, a := range map[string]gateway.Actor{"b.mp4": h.Teacher, "c.mp4": app} {
		if err := into(a, name); err != nil {
			t.Error(name, err)
		}
	}

	x1, manifest := d.file(f, "x.mp4", gateway.DropQuarantined), d.file(f, "x.xml", gateway.DropQuarantined, func(f *gateway.DropFile) { f.Manifest = true })
	acts := map[string]func(a gateway.Actor) error{
		"pause":  func(a gateway.Actor) error { _, err := d.folders.Pause(ctx, a, f.ID); return err },
		"resume": func(a gateway.Actor) error { _, err := d.folders.Resume(ctx, a, f.ID); return err },
		"keep":   func(a gateway.Actor) error { _, err := d.folders.Keep(ctx, a, x1.ID, true); return err },
		"source": func(a gateway.Actor) error {
			_, err := d.folders.Source(ctx, a, manifest.ID)
			if gateway.IsReason(err, "manifest_gone") {
				return nil
			}
			return err
		},
		"deactivate": func(a gateway.Actor) error { _, err := d.folders.Deactivate(ctx, a, f.ID); return err },
		"ignore":     func(a gateway.Actor) error { _, err := d.folders.Ignore(ctx, a, x1.ID); return err },
		"retry":      func(a gateway.Actor) error { _, err := d.folders.Retry(ctx, a, x1.ID); return err },
		"take": func(a gateway.Actor) error {
			_, err := d.folders.Take(ctx, a, d.file(f, gateway.NewID("name"), gateway.DropDetected).ID)
			return err
		},
		"delete": func(a gateway.Actor) error {
			_, err := d.folders.DeleteFile(ctx, a, d.file(f, gateway.NewID("name"), gateway.DropDetected).ID, false)
			return err
		},
		"remove": func(a gateway.Actor) error { return d.folders.Delete(ctx, a, f.ID, 0) },
	}
	for name, act := range acts {
		gatewaytest.Want(t, act(bob), gateway.Forbidden, "folder_not_own")
		if t.Failed() {
			t.Fatal(name)
		}
	}
	_, err = d.folders.Reprocess(ctx, bob, x1.ID, 0)
	gatewaytest.Want(t, err, gateway.Forbidden, "folder_not_own")
	_, err = d.folders.MatchTo(ctx, bob, x1.ID, "0_abc")
	gatewaytest.Want(t, err, gateway.Forbidden, "folder_not_own")
	for _, name := range []string{"pause", "resume", "keep", "source", "ignore", "retry", "take", "delete", "deactivate", "remove"} {
		if err := acts[name](map[bool]gateway.Actor{true: h.Admin, false: h.Teacher}[name == "resume"]); err != nil {
			t.Error(name, err)
		}
	}
}

func TestFoldersNeedThePlanAndAConnection(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.SQLite(t), siteOptions{Later: true})
	_, err := d.folders.Create(t.Context(), d.house.Admin, draft("News"))
	gatewaytest.Want(t, err, gateway.NotFound, "not_connected")
	free := newDesk(t, storetest.SQLite(t), siteOptions{Plan: gateway.PlanFree})
	_, err = free.folders.Create(t.Context(), free.house.Admin, draft("News"))
	gatewaytest.Want(t, err, gateway.Forbidden, "plan_too_low")
}

// Activating again, and by many at once, gives one folder and one credential, whose secret is shown once.
func TestActivateIsDoneOnce(t *testing.T) {
	t.Parallel()
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		d := newDesk(t, db, siteOptions{})
		ctx, admin := t.Context(), d.house.Admin
		var mu sync.Mutex
		folders, clients, secrets, created := map[string]bool{}, map[string]bool{}, []gateway.Secret{}, 0
		together(8, func(int) {
			x, err := d.folders.Activate(ctx, admin, draft("News"))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			folders[x.Folder.ID], clients[x.Client.ID] = true, true
			if x.Secret != "" {
				secrets = append(secrets, x.Secret)
			}
			if x.Created {
				created++
			}
		})
		if len(folders) != 1 || len(clients) != 1 || len(secrets) != 1 || created != 1 {
			t.Fatalf("%d folders (%d new), %d clients, %d secrets", len(folders), created, len(clients), len(secrets))
		}
		x, err := d.folders.Activate(ctx, admin, draft("News"))
		if err != nil || x.Secret != "" || x.Created || x.Client.ID == "" {
			t.Fatal(x, err)
		}
		access := &gateway.Access{Store: db, Clock: d.folders.Clock}
		if c, err := access.Client(ctx, x.Client.ID, secrets[0]); err != nil || !slices.Equal(c.Scopes, []string{gateway.ScopeUploadsWrite, gateway.ScopeDropFoldersRead}) {
			t.Fatal(c, err)
		}
		// The credential sends into its folder and sees that one, and nothing else.
		app := gateway.Actor{HubID: admin.HubID, ClientID: x.Client.ID, Role: gateway.RoleParticipant, Scopes: x.Client.Scopes}
		other := d.folder(admin, draft("Other"))
		theirs := d.file(other, "secret.mp4", gateway.DropReady)
		if list, err := d.folders.List(ctx, app, "", gateway.Slice{}); err != nil || len(list) != 1 || list[0].ID != x.Folder.ID {
			t.Error(list, err)
		}
		_, err = d.folders.Get(ctx, app, other.ID)
		gatewaytest.Want(t, err, gateway.NotFound, "")
		_, err = d.folders.File(ctx, app, theirs.ID)
		gatewaytest.Want(t, err, gateway.NotFound, "")
		for _, filter := range []gateway.DropFileFilter{{}, {FolderID: other.ID}} {
			if page, err := d.folders.Files(ctx, app, filter, gateway.Slice{}); err != nil || len(page.Files) != 0 {
				t.Error(page, err)
			}
		}
		_, err = d.folders.Validate(ctx, app, "", gateway.ManifestXML, strings.NewReader("<mrss/>"))
		gatewaytest.Want(t, err, gateway.Forbidden, "folder_only")
		_, err = d.folders.Pause(ctx, app, x.Folder.ID)
		gatewaytest.Want(t, err, gateway.Forbidden, "insufficient_scope")
		for _, n := range []gateway.NewUpload{{Name: "a.mp4", Size: 1}, {Name: "a.mp4", Size: 1, FolderID: other.ID}, {Name: "a.mp4", Size: 1, Target: gateway.TargetLibrary}} {
			_, err = d.uploads.Create(ctx, app, n)
			gatewaytest.Want(t, err, gateway.Forbidden, "folder_only")
		}
		if u, err := d.uploads.Create(ctx, app, gateway.NewUpload{Name: "2026/a.mp4", Size: 1, FolderID: x.Folder.ID}); err != nil || u.FolderID != x.Folder.ID || u.DropFileID == "" {
			t.Error(u, err)
		}
		_, err = d.uploads.Create(ctx, app, gateway.NewUpload{Name: "../a.mp4", Size: 1, FolderID: x.Folder.ID})
		gatewaytest.Want(t, err, gateway.Invalid, "")

		for range 2 {
			if f, err := d.folders.Deactivate(ctx, admin, x.Folder.ID); err != nil || f.AppID != "" {
				t.Fatal(f, err)
			}
		}
		_, err = access.Client(ctx, x.Client.ID, secrets[0])
		gatewaytest.Want(t, err, gateway.Unauthenticated, "")
		// What was under way with it, as a long export, does not become all of the hub's.
		if page, err := d.folders.Files(ctx, app, gateway.DropFileFilter{}, gateway.Slice{}); gateway.CodeOf(err) != gateway.Unauthenticated {
			t.Error(page, err)
		}
		again, err := d.folders.Activate(ctx, admin, draft("News"))
		if err != nil || again.Secret == "" || again.Folder.ID != x.Folder.ID || again.Client.ID == x.Client.ID {
			t.Fatal(again, err)
		}
		if err := d.folders.Delete(ctx, admin, x.Folder.ID, 0); err != nil {
			t.Fatal(err)
		}
		_, err = access.Client(ctx, again.Client.ID, again.Secret)
		gatewaytest.Want(t, err, gateway.Unauthenticated, "")
		narrow := d.house.Teacher
		narrow.Scopes = []string{gateway.ScopeDropFoldersWrite}
		_, err = d.folders.Activate(ctx, narrow, draft("Mine"))
		gatewaytest.Want(t, err, gateway.Forbidden, "scope_beyond")
	})
}

// Each action in each state either does what it says or says why not.
func TestActionsOnFiles(t *testing.T) {
	t.Parallel()
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		d := newDesk(t, db, siteOptions{})
		ctx, a := t.Context(), d.house.Teacher
		folder := d.folder(d.house.Admin, inDirectory("In", "in"))
		do := func(act func(id string) (gateway.DropFile, error), state, want gateway.DropState, reason string, change ...func(*gateway.DropFile)) gateway.DropFile {
			t.Helper()
			x := d.file(folder, gateway.NewID("name"), state, change...)
			got, err := act(x.ID)
			if reason != "" {
				if !gateway.IsReason(err, reason) {
					t.Errorf("%s: %v, want %s", state, err, reason)
				}
				gatewaytest.Explained(t, err)
				if still, err := d.folders.File(ctx, a, x.ID); err != nil || still.State != state || still.Version != x.Version {
					t.Errorf("%s: a refused action changed the file: %+v %v", state, still, err)
				}
				return got
			}
			if err != nil || got.State != want {
				t.Errorf("%s became %s, want %s: %v", state, got.State, want, err)
			}
			if got.State != state {
				if lines, err := d.folders.Timeline(ctx, a, x.ID, gateway.Slice{}); err != nil || len(lines) == 0 || lines[len(lines)-1].By != a.Subject() {
					t.Errorf("%s: the timeline does not say who: %v %v", state, lines, err)
				}
			}
			return got
		}
		unknown := func(f *gateway.DropFile) { f.WholeAt = nil }
		retry := func(id string) (gateway.DropFile, error) { return d.folders.Retry(ctx, a, id) }
		do(retry, gateway.DropQuarantined, gateway.DropPending, "", func(f *gateway.DropFile) { f.Reason, f.Text = "fetch_failed", "x" })
		do(retry, gateway.DropIgnored, gateway.DropDetected, "", unknown)
		do(retry, gateway.DropNoMatch, gateway.DropPending, "")
		do(retry, gateway.DropReady, "", "not_now")
		do(retry, gateway.DropImporting, "", "not_now")
		do(retry, gateway.DropQuarantined, "", "superseded", func(f *gateway.DropFile) { f.Superseded = true })
		take := func(id string) (gateway.DropFile, error) { return d.folders.Take(ctx, a, id) }
		if got := do(take, gateway.DropDetected, gateway.DropPending, "", unknown); got.WholeAt == nil || !got.ByHand {
			t.Error("what was taken is not whole:", got)
		}
		do(take, gateway.DropWaiting, gateway.DropPending, "")
		do(take, gateway.DropUploading, "", "not_now", func(f *gateway.DropFile) { f.UploadID, f.Identity = "upl_x", "upload:upl_x" }) // only its finish says so
		do(take, gateway.DropReady, "", "not_now")
		ignore := func(id string) (gateway.DropFile, error) { return d.folders.Ignore(ctx, a, id) }
		do(ignore, gateway.DropQuarantined, gateway.DropIgnored, "")
		do(ignore, gateway.DropPending, gateway.DropIgnored, "")
		do(ignore, gateway.DropProcessing, "", "not_now")
		do(ignore, gateway.DropReady, "", "not_now")
		keep := func(id string) (gateway.DropFile, error) { return d.folders.Keep(ctx, a, id, true) }
		due := func(f *gateway.DropFile) { at := d.folders.Clock(); f.DeleteAt = &at }
		if got := do(keep, gateway.DropDue, gateway.DropReady, "", due); !got.Kept || got.DeleteAt != nil {
			t.Error("a kept file is deleted:", got)
		}
		do(keep, gateway.DropGone, "", "not_now")
		leave := func(id string) (gateway.DropFile, error) { return d.folders.Keep(ctx, a, id, false) }
		kept := func(f *gateway.DropFile) { at := d.folders.Clock(); f.Kept, f.ReadyAt = true, &at }
		do(leave, gateway.DropReady, gateway.DropReady, "", kept) // this folder deletes nothing
		remove := func(id string) (gateway.DropFile, error) { return d.folders.DeleteFile(ctx, a, id, false) }
		undo := func(id string) (gateway.DropFile, error) { return d.folders.Undo(ctx, a, id) }
		for state, back := range map[gateway.DropState]gateway.DropState{
			gateway.DropReady: gateway.DropReady, gateway.DropQuarantined: gateway.DropQuarantined, gateway.DropIgnored: gateway.DropIgnored,
			gateway.DropWaiting: gateway.DropPending, gateway.DropNoMatch: gateway.DropPending, gateway.DropPending: gateway.DropPending,
			gateway.DropDetected: gateway.DropDetected, gateway.DropDue: gateway.DropReady,
		} {
			got := do(remove, state, gateway.DropDue, "", func(f *gateway.DropFile) {
				if state == gateway.DropQuarantined {
					f.Reason, f.Text = "fetch_failed", "x"
				}
			})
			if got.DeleteAt == nil || got.DeleteAt.Sub(d.folders.Clock()) > gateway.DropUndoTime || !slices.Contains(got.Actions(), gateway.ActUndo) || slices.Contains(got.Actions(), gateway.ActRetry) {
				t.Error(state, got.DeleteAt, got.Actions())
			}
			if _, err := remove(got.ID); !gateway.IsReason(err, "being_deleted") {
				t.Error("deleted twice:", err)
			}
			if got, err := undo(got.ID); err != nil || got.State != back || got.DeleteAt != nil || got.FormerState != "" || state == gateway.DropQuarantined && got.Reason != "fetch_failed" {
				t.Errorf("%s came back as %+v, %v", state, got, err)
			}
		}
		for _, busy := range []gateway.DropState{gateway.DropImporting, gateway.DropProcessing} {
			do(remove, busy, "", "file_busy")
		}
		do(remove, gateway.DropUploading, "", "not_now", func(f *gateway.DropFile) { f.UploadID, f.Identity = "upl_x", "upload:upl_x" })
		do(undo, gateway.DropDue, "", "not_now", due) // the folder's own policy is kept by keep
		withEntry := func(id string) (gateway.DropFile, error) { return d.folders.DeleteFile(ctx, a, id, true) }
		do(withEntry, gateway.DropQuarantined, "", "no_entry")
		again := func(id string) (gateway.DropFile, error) { return d.folders.Reprocess(ctx, a, id, 0) }
		do(again, gateway.DropReady, "", "bytes_gone")
		if err := os.WriteFile(filepath.Join(d.root, a.HubID, "in", "there.mp4"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		x := d.file(folder, "there.mp4", gateway.DropReady, func(f *gateway.DropFile) { f.EntryID = "0_e" })
		if got, err := again(x.ID); err != nil || got.State != gateway.DropPending || got.EntryID != "0_e" {
			t.Error(got, err)
		}
		p, err := d.folders.DeletePlan(ctx, a, x.ID)
		if err != nil || !p.Source || p.Blocked != nil || p.Entry != "0_e" {
			t.Error(p, err)
		}
	})
}

// A twin in quarantine is tried again only when the other file is gone.
func TestTwinsAreRetriedOneAfterTheOther(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.SQLite(t), siteOptions{})
	ctx, a := t.Context(), d.house.Admin
	f := d.folder(a, draft("News"))
	first := d.file(f, "café.mp4", gateway.DropReady)
	twin := d.file(f, "cafe\u0301.mp4", gateway.DropQuarantined, func(x *gateway.DropFile) {
		x.NameKey, x.Reason = "café.mp4//cafe\u0301.mp4", "name_twin"
	})
	_, err := d.folders.Retry(ctx, a, twin.ID)
	gatewaytest.Want(t, err, gateway.Conflict, "name_twin")
	first.State = gateway.DropGone
	if err := d.db.DropFiles().Update(ctx, &first); err != nil {
		t.Fatal(err)
	}
	got, err := d.folders.Retry(ctx, a, twin.ID)
	if err != nil || got.State != gateway.DropPending || got.NameKey != "café.mp4" {
		t.Fatal(got, err)
	}
}

func TestBulkSaysWhatBecameOfEach(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.SQLite(t), siteOptions{})
	ctx, a := t.Context(), d.house.Teacher
	f := d.folder(a, draft("News"))
	bad, good := d.file(f, "a", gateway.DropReady), d.file(f, "b", gateway.DropQuarantined)
	out, err := d.folders.Bulk(ctx, a, gateway.DropBulk{Action: gateway.ActRetry, IDs: []string{bad.ID, good.ID, "dfi_none"}})
	if err != nil || len(out.Results) != 3 {
		t.Fatal(out, err)
	}
	if r := out.Results; r[0].Error == nil || r[0].Error.Reason != "not_now" || r[1].Error != nil || r[1].File.State != gateway.DropPending || r[2].Error == nil || r[2].Error.Code != gateway.NotFound {
		t.Errorf("%+v", r)
	}
	for range 3 {
		d.file(f, gateway.NewID("x"), gateway.DropQuarantined, func(x *gateway.DropFile) { x.Reason = "fetch_failed" })
	}
	out, err = d.folders.Bulk(ctx, a, gateway.DropBulk{Action: gateway.ActIgnore, Filter: &gateway.DropFileFilter{Reason: "fetch_failed"}})
	if err != nil || len(out.Results) != 3 || out.Next != "" {
		t.Fatal(out, err)
	}
	counts, err := d.folders.Counts(ctx, a, gateway.DropFileFilter{FolderID: f.ID})
	if err != nil || counts[gateway.DropIgnored].Files != 3 || counts[gateway.DropPending].Files != 1 {
		t.Error(counts, err)
	}
	for _, b := range []gateway.DropBulk{
		{Action: gateway.ActRetry},
		{Action: gateway.ActRetry, IDs: []string{"x"}, Filter: &gateway.DropFileFilter{}},
		{Action: "explode", IDs: []string{"x"}},
		{Action: gateway.ActMatch, IDs: []string{"x", "y"}},
		{Action: gateway.ActRetry, IDs: make([]string, 501)},
		{Action: gateway.ActRetry, Filter: &gateway.DropFileFilter{States: []gateway.DropState{"odd"}}},
	} {
		if _, err := d.folders.Bulk(ctx, a, b); gateway.CodeOf(err) != gateway.Invalid && gateway.CodeOf(err) != gateway.TooLarge {
			t.Errorf("%+v: %v", b.Action, err)
		}
	}
}

func TestFolderIsTriedBeforeItIsMade(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.SQLite(t), siteOptions{})
	ctx, a := t.Context(), d.house.Admin
	at := filepath.Join(d.root, a.HubID, "in", "sub")
	if err := os.MkdirAll(at, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"clip.mp4", "draft.mp4"} {
		if err := os.WriteFile(filepath.Join(at, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	x := inDirectory("In", "in")
	x.Ignore, x.Origin = &[]string{"draft*"}, &gateway.DropOrigin{TagsFromPath: true}
	out, err := d.folders.Test(ctx, a, "", x)
	if err != nil || len(out.Checks) != 4 || !out.Checks[1].OK || !out.Checks[2].OK || len(out.Examples) != 2 {
		t.Fatalf("%+v %v", out, err)
	}
	if out.OK || out.Checks[3].OK || out.Checks[3].Fix == "" { // nothing says when a file is whole
		t.Errorf("%+v", out.Checks)
	}
	whole := x
	whole.Complete = &gateway.DropComplete{Rename: "*.part"}
	if out, err := d.folders.Test(ctx, a, "", whole); err != nil || !out.OK {
		t.Errorf("%+v %v", out, err)
	}
	slices.SortFunc(out.Examples, func(a, b gateway.DropExample) int { return len(a.Name) - len(b.Name) })
	if e := out.Examples; !e[0].Taken || e[0].Reading.ReferenceID != "clip" || !slices.Equal(e[0].Reading.Tags, []string{"sub"}) || e[1].Taken || e[1].Why != "ignored" {
		t.Errorf("%+v", e)
	}
	if list, err := d.folders.List(ctx, a, "", gateway.Slice{}); err != nil || len(list) != 0 {
		t.Error("a test made a folder:", list, err)
	}
	missing, err := d.folders.Test(ctx, a, "", inDirectory("In", "not/there"))
	if err != nil || missing.OK || missing.Checks[2].OK || missing.Checks[2].Fix == "" {
		t.Errorf("%+v %v", missing, err)
	}
	if _, err := os.Stat(filepath.Join(d.root, a.HubID, "not")); err == nil {
		t.Error("a test made a directory")
	}
	d.folder(a, x)
	taken, err := d.folders.Test(ctx, a, "", inDirectory("Second", "in/sub"))
	if err != nil || taken.OK || len(taken.Examples) != 0 {
		t.Errorf("one looks into another folder's place by testing: %+v %v", taken, err)
	}
	_, err = d.folders.Test(ctx, d.house.Teacher, "", inDirectory("In", "other"))
	gatewaytest.Want(t, err, gateway.Forbidden, "not_admin")
}

func TestFileFiltersAreChecked(t *testing.T) {
	t.Parallel()
	d := newDesk(t, storetest.SQLite(t), siteOptions{})
	now := d.folders.Clock()
	for _, c := range []struct {
		x     gateway.DropFileFilter
		field string
	}{
		{gateway.DropFileFilter{Order: "x"}, "/order"},
		{gateway.DropFileFilter{States: []gateway.DropState{"x"}}, "/states"},
		{gateway.DropFileFilter{Text: string(make([]byte, 201))}, "/q"},
		{gateway.DropFileFilter{From: now, To: now}, "/to"},
	} {
		_, err := d.folders.Files(t.Context(), d.house.Admin, c.x, gateway.Slice{})
		if gateway.CodeOf(err) != gateway.Invalid || gateway.AsError(err).Field != c.field {
			t.Errorf("%+v: %v", c.x, err)
		}
	}
	f := d.folder(d.house.Admin, draft("News"))
	for i := range 5 {
		d.file(f, string(rune('a'+i)), gateway.DropReady)
	}
	var names string
	after := ""
	for {
		p, err := d.folders.Files(t.Context(), d.house.Admin, gateway.DropFileFilter{Order: gateway.DropByName}, gateway.Slice{After: after, Limit: 2})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range p.Files {
			names += f.Name
		}
		if after = p.Next; after == "" {
			break
		}
	}
	if names != "abcde" {
		t.Error(names)
	}
}
