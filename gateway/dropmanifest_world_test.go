package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/integrations"
	"isthmus/integrations/dropfolder"
	"isthmus/integrations/kaltura/platform"
	"isthmus/store"
)

// drops is a folder on real parts: a database, staged bytes, the embedded platform and the real parser. Conversions
// are over as soon as the test says so, without ffmpeg.
type drops struct {
	*live
	folders *gateway.DropFolders
	folder  gateway.DropFolder
	front   http.Handler // the platform, as the gateway reaches it
	ahead   atomic.Int64 // of the folders' clock
	kills   *kills
}

func newDrops(t testing.TB, db *store.DB, change ...func(*gateway.Integration, *gateway.DropFolder)) *drops {
	t.Helper()
	d := &drops{live: &live{}, kills: &kills{Store: db}}
	d.front = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.kills.call(func() { d.serve(w, r) }, func() { http.Error(w, "killed", http.StatusBadGateway) })
	})
	d.world = &world{t: t, transport: integrations.NewLocal(http.StripPrefix("/kaltura", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.platform.ServeHTTP(w, r)
	})))}
	d.site = newSite(t, db, siteOptions{Local: map[string]http.Handler{serviceURL: d.front}, Later: true})
	d.platform = platform.New(platform.Config{
		BaseURL: serviceURL, Records: db, Staging: d.staging, Blobs: d.blobs, Assets: d.assets, Sealer: d.keys,
		Log: slog.New(slog.DiscardHandler), FinalWait: 100 * time.Millisecond,
	})
	if err := d.platform.CreateAccount(t.Context(), platform.Account{
		PartnerID: partner, Name: "School", AdminName: "Kim Admin", AdminEmail: "kim@media.test", AdminSecret: adminSecret, UserSecret: userSecret,
	}); err != nil {
		t.Fatal(err)
	}
	tok := d.world.token(map[string]any{"sessionPrivileges": "list:*,sview:*,disableentitlement", "sessionType": 2})
	in := gateway.Integration{ServiceURL: serviceURL, PartnerID: partner, AppTokenID: tok.ID, HashType: "SHA256"}
	f := gateway.DropFolder{
		Row: gateway.Row{ID: gateway.NewID("dfo")}, Name: "News", NameKey: "news",
		Source: gateway.DropUploads, Handler: gateway.HandleXML, Match: gateway.MatchAdd, WaitHours: 2, Delete: gateway.DeleteManually,
	}
	for _, c := range change {
		c(&in, &f)
	}
	d.connect(siteOptions{Account: in, Token: gateway.Secret(tok.Token)})
	f.HubID, f.IntegrationID = d.house.Hub.ID, d.in.ID
	if f.ParticipantID == "" && f.ClientID == "" {
		f.ParticipantID = d.house.Admin.ParticipantID
	}
	if err := db.DropFolders().Insert(t.Context(), &f); err != nil {
		t.Fatal(err)
	}
	d.folder = f
	d.start(db)
	return d
}

// start makes the service anew over the same data, as a start of the server would.
func (d *drops) start(st gateway.Store) {
	old := d.folders
	d.folders = &gateway.DropFolders{
		Store: st, Clock: func() time.Time { return gateway.SystemClock().Add(time.Duration(d.ahead.Load())) },
		Manifests: dropfolder.Manifests{}, Uploads: d.uploads, Integrations: d.ins, Mappings: d.relay.Mappings,
		Events: d.events, Sealer: d.keys, Replica: d.uploads.Replica,
	}
	if old != nil {
		d.folders.Fetcher = old.Fetcher
	}
}

// restart loses all that is in memory, what was learnt of the platform's health included.
func (d *drops) restart() {
	d.ins.Platforms = integrations.New(integrations.Options{Local: map[string]http.Handler{serviceURL: d.front}, Clock: gateway.SystemClock})
	d.forgetMemory()
	d.start(d.db)
}

// replica gives a second server on the same database, with staged bytes of its own.
func (d *drops) replica(name string) *drops {
	d.t.Helper()
	other := &drops{live: &live{site: d.site.replica(name), platform: d.platform, world: d.world}, folder: d.folder, front: d.front, kills: d.kills}
	other.start(d.db)
	other.folders.Clock, other.folders.Fetcher = d.folders.Clock, d.folders.Fetcher
	return other
}

// later moves the folders' clock.
func (d *drops) later(by time.Duration) { d.ahead.Add(int64(by)) }

// put has a file come into the folder, whole, and gives its row.
func (d *drops) put(name string, body []byte) gateway.DropFile {
	d.t.Helper()
	ctx := d.t.Context()
	now := d.folders.Clock()
	u := gateway.Upload{
		Row:           gateway.Row{ID: gateway.NewID("upl"), HubID: d.house.Hub.ID},
		IntegrationID: d.in.ID, FolderID: d.folder.ID, Name: name, Title: name, Size: int64(len(body)), SHA256: digest(body),
		State: gateway.UploadHeld, Replica: d.uploads.Replica, FinishedAt: &now, ExpiresAt: now.Add(time.Hour),
	}
	if err := d.staging.Create(ctx, u.ID, u.Size); err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.staging.WriteAt(ctx, u.ID, 0, bytes.NewReader(body)); err != nil {
		d.t.Fatal(err)
	}
	manifest := dropfolder.Manifests{}.Format(name) != ""
	var out gateway.DropFile
	err := d.db.Tx(ctx, func(tx gateway.Tx) error {
		f, err := tx.DropFiles().ByKey(ctx, d.folder.ID, name)
		fresh := gateway.CodeOf(err) == gateway.NotFound
		if err != nil && !fresh {
			return err
		}
		if !fresh && f.State.Over() && f.State != gateway.DropGone {
			f.Superseded = true
			if err := tx.DropFiles().Update(ctx, &f); err != nil {
				return err
			}
			fresh = true
		}
		if fresh {
			f = gateway.DropFile{Row: gateway.Row{ID: gateway.NewID("dfi"), HubID: u.HubID}, FolderID: d.folder.ID, Name: name, NameKey: name, Manifest: manifest}
		}
		f.State, f.UploadID, f.Identity, f.WholeAt, f.Size, f.SHA256 = gateway.DropPending, u.ID, "upload:"+u.ID, &now, u.Size, u.SHA256
		if !manifest {
			f.State = gateway.DropWaiting
			until := now.Add(2 * time.Hour)
			f.TryAt = &until
		}
		row := u
		row.DropFileID = f.ID
		if err := tx.Uploads().Insert(ctx, &row); err != nil {
			return err
		}
		if fresh {
			err = tx.DropFiles().Insert(ctx, &f)
		} else {
			err = tx.DropFiles().Update(ctx, &f)
		}
		if err != nil {
			return err
		}
		out = f
		return d.folders.Arrived(ctx, tx, f)
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

// file reads a live row.
func (d *drops) file(name string) gateway.DropFile {
	d.t.Helper()
	f, err := d.db.DropFiles().ByKey(d.t.Context(), d.folder.ID, name)
	if err != nil {
		d.t.Fatal(name, err)
	}
	return f
}

// convert lets the platform be done with converting.
func (d *drops) convert() {
	d.t.Helper()
	ctx := context.WithoutCancel(d.t.Context())
	list, err := d.db.Assets().InStates(ctx, []gateway.AssetState{gateway.AssetInspecting, gateway.AssetPackaging}, gateway.Slice{})
	if err != nil {
		d.t.Fatal(err)
	}
	for _, as := range list {
		as.State, as.Inspection = gateway.AssetReady, gateway.Inspection{Type: gateway.Video}
		if err := d.db.Assets().Update(ctx, &as); err != nil {
			d.t.Fatal(err)
		}
		if err := d.platform.AssetChanged(ctx, as); err != nil {
			d.t.Fatal(err)
		}
	}
}

// work takes all manifests as far as they get by themselves within a minute or so.
func (d *drops) work() {
	d.t.Helper()
	for until := d.ahead.Load() + int64(time.Minute); d.ahead.Load() < until; {
		if !d.round(d.t.Context()) {
			return
		}
		d.convert()
	}
}

// round takes each manifest one step further and tells whether there was one.
func (d *drops) round(ctx context.Context) (busy bool) {
	d.t.Helper()
	yes := true
	list, err := d.db.DropFiles().List(d.t.Context(), gateway.AnyHub, gateway.DropFileFilter{
		FolderID: d.folder.ID, Manifests: &yes, Superseded: true, Order: gateway.DropOldest,
	}, gateway.Slice{Limit: 500})
	if err != nil {
		d.t.Fatal(err)
	}
	for _, f := range list {
		switch {
		case f.State == gateway.DropReady:
			continue
		case f.Superseded || f.State.Over(): // its files hear of it
			if err := d.folders.RunFile(ctx, f.ID); err != nil && !d.kills.dead() {
				d.t.Fatal(f.Name, err)
			}
			continue
		}
		var z *gateway.Snooze
		var err error
		if f.State == gateway.DropProcessing {
			err = d.folders.RunItems(ctx, f.ID)
			switch {
			case errors.As(err, &z):
				d.later(z.After)
				busy = true
			default:
				busy = true
			}
		} else {
			before := f.Version
			err = d.folders.RunManifest(ctx, f)
			now, gerr := d.db.DropFiles().Get(d.t.Context(), gateway.AnyHub, f.ID)
			if gerr != nil {
				d.t.Fatal(gerr)
			}
			busy = busy || now.Version != before
		}
		if err != nil && !errors.As(err, &z) && ctx.Err() == nil && !d.kills.dead() {
			d.t.Fatal(f.Name, err)
		}
	}
	return busy
}

// items gives a manifest's items.
func (d *drops) items(f gateway.DropFile) []gateway.DropItem {
	d.t.Helper()
	list, err := d.db.DropItems().OfFile(d.t.Context(), f.ID, nil, 0, 500)
	if err != nil {
		d.t.Fatal(err)
	}
	return list
}

// told is what became of items: "number action state reason".
func (d *drops) told(f gateway.DropFile) string {
	var b strings.Builder
	for _, it := range d.items(f) {
		fmt.Fprintf(&b, "%d %s %s %s\n", it.Number, it.Action, it.State, it.Reason)
	}
	return b.String()
}

// explain is all there is to know of items, for a test that fails.
func (d *drops) explain(f gateway.DropFile) string {
	var b strings.Builder
	for _, it := range d.items(f) {
		fmt.Fprintf(&b, "%d %s %s step %q attempt %d try %v: %s %s\n", it.Number, it.Action, it.State, it.Step, it.Attempt, it.TryAt, it.Reason, it.Text)
	}
	return b.String()
}

func (d *drops) expect(name string, state gateway.DropState, reason string) gateway.DropFile {
	d.t.Helper()
	f := d.file(name)
	if f.State != state || f.Reason != reason {
		d.t.Fatalf("%s is %s (%s: %s), not %s (%s)\n%s", name, f.State, f.Reason, f.Text, state, reason, d.explain(f))
	}
	if reason != "" && (f.Text == "" || f.NextStep == "") {
		d.t.Errorf("%s: %s is not explained: %q %q", name, reason, f.Text, f.NextStep)
	}
	return f
}

// all lists the account's entries, whatever their state.
func (d *drops) all() (out []platformEntry) {
	d.t.Helper()
	var list struct{ Objects []platformEntry }
	d.world.ask("media", "list", map[string]any{
		"filter": map[string]any{"objectType": "KalturaMediaEntryFilter", "statusIn": "-2,-1,0,1,2,4,5,6,7"}, "pager": map[string]any{"pageSize": 500},
	}, &list)
	return list.Objects
}

// kills is a store that ends a process at a step: from then on nothing is written and nobody is asked.
type kills struct {
	gateway.Store
	after atomic.Int64 // steps until the end; 0 = none
	steps atomic.Int64
}

var errDead = errors.New("killed")

func (k *kills) dead() bool {
	after := k.after.Load()
	return after > 0 && k.steps.Load() >= after
}

// call is a call of the platform: a step as well.
func (k *kills) call(serve, refuse func()) {
	if k.dead() {
		refuse()
		return
	}
	serve()
	k.steps.Add(1)
}

// Tx implements gateway.Store.
func (k *kills) Tx(ctx context.Context, f func(gateway.Tx) error) error {
	if k.dead() {
		return errDead
	}
	err := k.Store.Tx(ctx, f)
	k.steps.Add(1)
	return err
}
