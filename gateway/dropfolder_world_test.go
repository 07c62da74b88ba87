package gateway_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/integrations"
	"isthmus/integrations/dropfolder"
	"isthmus/integrations/kaltura/platform"
	"isthmus/store"
	"isthmus/store/storetest"
)

// shed is a drop folder that is a real directory, on a real database, with the embedded platform behind the real
// client. Tasks are run by hand, so that a test says when what happens; conversions are over at once.
type shed struct {
	*live
	folders *gateway.DropFolders
	folder  gateway.DropFolder
	dir     string
	ahead   *atomic.Int64 // of the folders' and the uploads' clock
}

// byName believes names: these tests are not about what is inside of files.
type byName struct{ gateway.Pipeline }

func (byName) Inspect(_ context.Context, _ gateway.Source, name string) (gateway.Inspection, error) {
	if strings.HasSuffix(name, ".jpg") {
		return gateway.Inspection{Type: gateway.Image}, nil
	}
	if strings.HasPrefix(name, "sphere") {
		return gateway.Inspection{Type: gateway.Video, Projection: gateway.Equirectangular}, nil
	}
	return gateway.Inspection{Type: gateway.Video}, nil
}

func newShed(t testing.TB, db *store.DB, change ...func(*gateway.DropFolder)) *shed {
	t.Helper()
	s := &shed{live: &live{}, ahead: &atomic.Int64{}}
	front := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r) })
	s.world = &world{t: t, transport: integrations.NewLocal(http.StripPrefix("/kaltura", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.platform.ServeHTTP(w, r) })))}
	s.site = newSite(t, db, siteOptions{Local: map[string]http.Handler{serviceURL: front}, Later: true})
	s.platform = platform.New(platform.Config{
		BaseURL: serviceURL, Records: db, Staging: s.staging, Blobs: s.blobs, Assets: s.assets, Sealer: s.keys,
		Log: slog.New(slog.DiscardHandler), FinalWait: time.Millisecond,
	})
	if err := s.platform.CreateAccount(t.Context(), platform.Account{
		PartnerID: partner, Name: "School", AdminName: "Kim Admin", AdminEmail: "kim@media.test", AdminSecret: adminSecret, UserSecret: userSecret,
	}); err != nil {
		t.Fatal(err)
	}
	tok := s.world.token(map[string]any{"sessionPrivileges": "list:*,sview:*,disableentitlement", "sessionType": 2})
	s.connect(siteOptions{
		Account: gateway.Integration{ServiceURL: serviceURL, PartnerID: partner, AppTokenID: tok.ID, HashType: "SHA256"}, Token: gateway.Secret(tok.Token),
	})
	root := t.TempDir()
	f := gateway.DropFolder{
		Row: gateway.Row{ID: gateway.NewID("dfo"), HubID: s.house.Hub.ID}, ParticipantID: s.house.Admin.ParticipantID, IntegrationID: s.in.ID,
		Name: "News", NameKey: "news", Source: gateway.DropDirectory, Path: "news", Handler: gateway.HandleContent, Match: gateway.MatchAdd, WaitHours: 2,
		Delete: gateway.DeleteManually, Complete: gateway.DropComplete{Marker: ".done", Rename: "*.part", StableS: 60},
	}
	for _, c := range change {
		c(&f)
	}
	s.folders = &gateway.DropFolders{
		Store: db, Clock: s.now, Manifests: dropfolder.Manifests{}, Uploads: s.uploads, Integrations: s.ins, Mappings: s.relay.Mappings,
		Events: s.events, Sealer: s.keys, Replica: db.Replica(),
		Sources: dropfolder.New(dropfolder.Options{Root: root, Log: slog.New(slog.DiscardHandler)}),
	}
	s.uploads.Clock, s.uploads.Pipeline, s.uploads.Folders = s.now, byName{}, s.folders
	if err := s.folders.Sources.Make(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if err := db.DropFolders().Insert(t.Context(), &f); err != nil {
		t.Fatal(err)
	}
	s.folder, s.dir = f, s.folders.Sources.Place(f)
	return s
}

func (s *shed) now() time.Time { return gateway.SystemClock().Add(time.Duration(s.ahead.Load())) }

func (s *shed) later(d time.Duration) { s.ahead.Add(int64(d)) }

// replica gives a second server on the same database, with staged bytes of its own.
func (s *shed) replica(name string) *shed {
	s.t.Helper()
	other, at, f := *s, s.site.replica(name), s.folders
	other.live = &live{site: at, platform: s.platform, world: s.world}
	other.folders = &gateway.DropFolders{
		Store: f.Store, Clock: f.Clock, Manifests: f.Manifests, Uploads: at.uploads, Integrations: f.Integrations, Mappings: f.Mappings, Events: f.Events,
		Sealer: f.Sealer, Sources: f.Sources, Replica: name,
	}
	at.uploads.Folders = other.folders
	return &other
}

// lives lets a replica give a sign of life, or takes the last one away.
func lives(t testing.TB, o store.Options, replica string, yes bool) {
	t.Helper()
	query := "DELETE FROM replicas WHERE id = '" + replica + "/1'"
	if yes {
		query = "INSERT INTO replicas (id, seen_at) VALUES ('" + replica + "/1', CURRENT_TIMESTAMP)"
	}
	if _, err := storetest.SQL(t, o).ExecContext(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}

// put writes a file at once.
func (s *shed) put(name string, body []byte) {
	s.t.Helper()
	file := filepath.Join(s.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(file, body, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// scan looks at the folder, as if its time had come.
func (s *shed) scan() {
	s.t.Helper()
	if err := s.db.DropFolders().SetWake(s.t.Context(), s.folder.ID, s.now().Add(-time.Second)); err != nil {
		s.t.Fatal(err)
	}
	if err := s.folders.RunScan(s.t.Context(), s.folder.ID); err != nil {
		s.t.Fatal(err)
	}
}

// settle lets what lies in the folder become stable, as far as it does not change.
func (s *shed) settle() {
	s.t.Helper()
	s.scan()
	s.later(61 * time.Second)
	s.scan()
}

// drive runs what is to be done until nothing goes on by itself.
func (s *shed) drive() {
	s.t.Helper()
	for range 400 {
		if !s.turn() {
			return
		}
	}
	s.t.Fatal("it never comes to rest")
}

// turn runs each thing that is to be done once and tells whether anything went on or will.
func (s *shed) turn() (busy bool) {
	s.t.Helper()
	ctx := s.t.Context()
	wait := func(err error) bool {
		var z *gateway.Snooze
		switch {
		case errors.As(err, &z):
			s.later(min(z.After, time.Second))
			return true
		case gateway.CodeOf(err) == gateway.Internal || gateway.CodeOf(err) == gateway.Unavailable:
			s.t.Fatal(err)
		}
		return gateway.IsReason(err, "changed_meanwhile")
	}
	yes := true
	over, err := s.db.DropFiles().List(ctx, gateway.AnyHub, gateway.DropFileFilter{
		FolderID: s.folder.ID, Manifests: &yes, Superseded: true, States: []gateway.DropState{gateway.DropQuarantined, gateway.DropIgnored, gateway.DropGone, gateway.DropDeleted},
	}, gateway.Slice{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range over { // their files hear of it
		wait(s.folders.RunFile(ctx, f.ID))
	}
	for _, f := range s.files(gateway.DropPending, gateway.DropImporting, gateway.DropProcessing, gateway.DropWaiting) {
		if f.State == gateway.DropWaiting && !f.Manifest { // until its time comes
			continue
		}
		before := f.Version
		again := wait(s.folders.RunFile(ctx, f.ID))
		if f.Manifest && f.State == gateway.DropProcessing {
			again = wait(s.folders.RunItems(ctx, f.ID)) || again
			s.convert()
		}
		now, err := s.db.DropFiles().Get(ctx, gateway.AnyHub, f.ID)
		if err != nil {
			s.t.Fatal(err)
		}
		busy = busy || again || now.Version != before
	}
	list, err := s.db.Uploads().List(ctx, gateway.AnyHub, "", "", []gateway.UploadState{gateway.UploadIngesting, gateway.UploadProcessing}, gateway.Slice{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, u := range list {
		if u.State == gateway.UploadIngesting {
			busy = wait(s.uploads.RunIngest(ctx, u.ID)) || u.Replica == s.uploads.Replica || busy
			continue
		}
		s.convert()
		busy = wait(s.uploads.RunWatch(ctx, u.ID)) || busy
	}
	return busy
}

// convert lets the platform be done with converting.
func (s *shed) convert() {
	s.t.Helper()
	ctx := s.t.Context()
	list, err := s.db.Assets().InStates(ctx, []gateway.AssetState{gateway.AssetInspecting, gateway.AssetPackaging}, gateway.Slice{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, as := range list {
		as.State, as.Inspection = gateway.AssetReady, gateway.Inspection{Type: gateway.Video}
		if err := s.db.Assets().Update(ctx, &as); err != nil {
			if gateway.IsReason(err, "changed_meanwhile") { // by another replica of the test
				continue
			}
			s.t.Fatal(err)
		}
		if err := s.platform.AssetChanged(ctx, as); err != nil {
			s.t.Fatal(err)
		}
	}
}

// files gives the live rows in the states, all when none is given.
func (s *shed) files(states ...gateway.DropState) (out []gateway.DropFile) {
	s.t.Helper()
	for after := ""; ; {
		page, err := s.db.DropFiles().OfFolder(s.t.Context(), s.folder.ID, states, after, 500)
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, page...)
		if len(page) < 500 {
			return out
		}
		after = page[len(page)-1].ID
	}
}

// is fails unless a file has a state and reason.
func (s *shed) is(name string, state gateway.DropState, reason string) gateway.DropFile {
	s.t.Helper()
	for _, f := range s.files() {
		if f.Name != name {
			continue
		}
		if f.State != state || f.Reason != reason {
			s.t.Fatalf("%s is %s (%s: %s), not %s (%s)", name, f.State, f.Reason, f.Text, state, reason)
		}
		return f
	}
	s.t.Fatalf("%s is not known", name)
	return gateway.DropFile{}
}

// all lists the account's entries.
func (s *shed) all() (out []platformEntry) {
	s.t.Helper()
	for page := 1; ; page++ {
		var list struct{ Objects []platformEntry }
		s.world.ask("media", "list", map[string]any{
			"filter": map[string]any{"objectType": "KalturaMediaEntryFilter", "statusIn": "-2,-1,0,1,2,4,5,6,7"},
			"pager":  map[string]any{"pageSize": 500, "pageIndex": page},
		}, &list)
		out = append(out, list.Objects...)
		if len(list.Objects) < 500 {
			return out
		}
	}
}

// states is a file's timeline.
func (s *shed) states(id string) string {
	s.t.Helper()
	lines, err := s.db.DropChanges().OfFile(s.t.Context(), id, gateway.Slice{})
	if err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for _, l := range lines {
		out = append(out, string(l.State))
	}
	return strings.Join(out, " ")
}

// raised is a count that an environment variable raises.
func raised(name string, n int) int {
	if v, err := strconv.Atoi(os.Getenv(name)); err == nil && v > 0 {
		return v
	}
	return n
}
