package integrations_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/integrations"
	"isthmus/integrations/kaltura/platform"
	"isthmus/integrations/platformtest"
	"isthmus/jobs"
	"isthmus/media"
	"isthmus/media/mediatest"
	"isthmus/secrets"
	"isthmus/store"
	"isthmus/store/storetest"
)

const (
	serviceURL  = "http://isthmus.test/kaltura"
	partnerID   = 102
	adminSecret = "b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2"
)

func TestMain(m *testing.M) {
	media.SandboxMain() // the pipeline runs ffmpeg through this very binary
	os.Exit(m.Run())
}

// embedded is the embedded platform with everything real behind it, reached in-process.
type embedded struct {
	t       testing.TB
	handler *platform.Platform
	log     bytes.Buffer
}

func newEmbedded(t testing.TB, db *store.DB) *embedded {
	t.Helper()
	dir := t.TempDir()
	disk, err := media.OpenDisk(filepath.Join(dir, "files"), 0)
	must(t, err)
	t.Cleanup(func() { must(t, disk.Close()) })
	keys, err := secrets.OpenKeyring(dir, true)
	must(t, err)
	staging := media.NewStaging(disk)
	blobs := media.NewBlobs(disk, staging)
	pipeline, err := media.New(t.Context(), media.Options{Disk: disk, Unsafe: true})
	must(t, err)
	assets := &gateway.Assets{
		Store: db, Clock: gateway.SystemClock, Staging: staging, Blobs: blobs, Pipeline: pipeline,
		Events: &gateway.Events{Store: db, Clock: gateway.SystemClock},
	}
	e := &embedded{t: t, handler: platform.New(platform.Config{
		BaseURL: serviceURL, Records: db, Staging: staging, Blobs: blobs, Assets: assets, Sealer: keys,
		Clock: gateway.SystemClock, FinalWait: 200 * time.Millisecond,
	})}
	assets.Settled = map[string]func(context.Context, gateway.Asset) error{gateway.OwnerKalturaEntry: e.handler.AssetChanged}
	must(t, e.handler.CreateAccount(t.Context(), platform.Account{
		PartnerID: partnerID, Name: "School", AdminName: "Ref Admin", AdminEmail: "admin@school.example",
		AdminSecret: adminSecret, UserSecret: "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1",
	}))
	runner, err := db.Runner(jobs.New(jobs.Services{Assets: assets}), store.JobsOptions{})
	must(t, err)
	must(t, runner.Start(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		_ = runner.Stop(ctx)
	})
	return e
}

// registry is a fresh process: it shares nothing with the last.
func (e *embedded) registry() *integrations.Registry {
	return integrations.New(integrations.Options{Local: map[string]http.Handler{serviceURL: e.handler}, Log: slog.New(slog.NewTextHandler(&e.log, nil))})
}

// api calls the platform as a Kaltura administrator's own tools do.
func (e *embedded) api(ks, op string, params map[string]any) map[string]any {
	e.t.Helper()
	m := e.try(ks, op, params)
	if m["code"] != nil {
		e.t.Fatalf("%s: %v", op, m)
	}
	return m
}

// try is api for calls that may be refused.
func (e *embedded) try(ks, op string, params map[string]any) map[string]any {
	e.t.Helper()
	params["format"], params["ks"] = 1, ks
	b, err := json.Marshal(params)
	must(e.t, err)
	service, action, _ := strings.Cut(op, ".")
	req, err := http.NewRequestWithContext(e.t.Context(), http.MethodPost, serviceURL+"/api_v3/service/"+service+"/action/"+action, bytes.NewReader(b))
	must(e.t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := integrations.NewLocal(http.StripPrefix("/kaltura", e.handler)).RoundTrip(req)
	must(e.t, err)
	defer func() { _ = res.Body.Close() }()
	var out any
	must(e.t, json.NewDecoder(res.Body).Decode(&out))
	if s, ok := out.(string); ok {
		return map[string]any{"": s}
	}
	m, _ := out.(map[string]any)
	return m
}

func (e *embedded) adminKS() string {
	return e.api("", "session.start", map[string]any{"secret": adminSecret, "type": 2, "partnerId": partnerID, "userId": "admin@school.example"})[""].(string)
}

// token makes an App Token and the account that uses it.
func (e *embedded) token(fields map[string]any) gateway.Account {
	e.t.Helper()
	fields["objectType"] = "KalturaAppToken"
	if fields["hashType"] == nil {
		fields["hashType"] = "SHA256"
	}
	got := e.api(e.adminKS(), "appToken.add", map[string]any{"appToken": fields})
	return gateway.Account{
		IntegrationID: "int_1", HubID: "hub_1", Platform: gateway.PlatformKaltura, ServiceURL: serviceURL, PartnerID: partnerID,
		AppTokenID: got["id"].(string), AppToken: gateway.Secret(got["token"].(string)), HashType: fields["hashType"].(string), MatchBy: gateway.MatchEmail,
	}
}

func (e *embedded) open(a gateway.Account) gateway.Platform {
	e.t.Helper()
	p, err := e.registry().Open(a)
	must(e.t, err)
	return p
}

var (
	alice = gateway.Actor{HubID: "hub_1", ParticipantID: "par_a", PlatformUserID: "alice@school.example"}
	bob   = gateway.Actor{HubID: "hub_1", ParticipantID: "par_b", PlatformUserID: "bob@school.example"}
)

func clips(t *testing.T) (video, picture string) {
	t.Helper()
	dir := t.TempDir()
	video, picture = filepath.Join(dir, "clip.mp4"), filepath.Join(dir, "picture.jpg")
	must(t, mediatest.Clip{Seconds: 2, Width: 320, Height: 180}.Make(t.Context(), video))
	must(t, mediatest.Photo(t.Context(), picture, 320, 240))
	return video, picture
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEmbeddedPlatformConforms(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		platformtest.Run(t, func(t *testing.T) platformtest.Subject {
			e := newEmbedded(t, db)
			a := e.token(map[string]any{"sessionPrivileges": "list:*,sview:*"})
			video, picture := clips(t)
			scoped := a
			scoped.CategoryID = e.category("hub", 0)
			return platformtest.Subject{
				Open: func() gateway.Platform { return e.open(a) }, Scoped: func() gateway.Platform { return e.open(scoped) },
				Restrict:   func(_ *testing.T, id string) { e.restrict(id) },
				ScopedName: "hub", Custom: func(_ *testing.T, name string) func(string) string { return e.topics(name) },
				Flavor:  gateway.ManifestRef{Name: "SD/Small - WEB/MBL (H264/900)"},
				Caption: func(_ *testing.T, id, language, srt string) { e.caption(id, language, srt) },
				Alice:   alice, Bob: bob, Video: video, Picture: picture,
			}
		})
	})
}
