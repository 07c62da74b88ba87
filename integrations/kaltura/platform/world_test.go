package platform_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/integrations/kaltura/platform"
	"isthmus/jobs"
	"isthmus/media"
	"isthmus/media/mediatest"
	"isthmus/secrets"
	"isthmus/store"
	"isthmus/store/storetest"
)

const (
	partnerID   = 102
	adminSecret = "b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2"
	userSecret  = "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
	adminUser   = "admin@partner.example"
	operator    = "c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3" // the recordings do not show theirs
	password    = "Aa1!aaaa"
)

// target is a server with one account, as a client sees it.
type target struct {
	url                    string
	secret, user, operator string // of the administrator, for users, of the operator
	password               string // the administrator's
	drop                   string // the folder below which the paths of drop folders lie
}

// recorded is an account with the secrets of the recordings.
func recorded() target {
	return target{secret: adminSecret, user: userSecret, operator: operator, password: password}
}

// world is a platform over a real database, real files and, when started, the real pipeline.
type world struct {
	target
	t      *testing.T
	db     *store.DB // nil when all that is known of the server is its address
	p      *platform.Platform
	cfg    platform.Config
	server *httptest.Server
	assets *gateway.Assets
}

func newWorld(t *testing.T, db *store.DB) *world {
	t.Helper()
	return worldWith(t, db, recorded(), platform.Account{})
}

// worldWith makes a platform whose account has the secrets of to.
func worldWith(t *testing.T, db *store.DB, to target, account platform.Account) *world {
	t.Helper()
	ctx := t.Context()
	dir := t.TempDir()
	disk, err := media.OpenDisk(filepath.Join(dir, "files"), 0)
	must(t, err)
	t.Cleanup(func() { must(t, disk.Close()) })
	keys, err := secrets.OpenKeyring(dir, true)
	must(t, err)
	staging := media.NewStaging(disk)
	blobs := media.NewBlobs(disk, staging)
	pipeline, err := media.New(ctx, media.Options{Disk: disk, Unsafe: true})
	must(t, err)
	events := &gateway.Events{Store: db, Clock: gateway.SystemClock}
	assets := &gateway.Assets{Store: db, Clock: gateway.SystemClock, Staging: staging, Blobs: blobs, Pipeline: pipeline, Events: events}
	w := &world{target: to, t: t, db: db, assets: assets}
	w.drop = filepath.Join(dir, "drop")
	must(t, os.Mkdir(w.drop, 0o755))
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		http.StripPrefix("/kaltura", w.p).ServeHTTP(rw, r)
	}))
	t.Cleanup(w.server.Close)
	w.url = w.server.URL + "/kaltura"
	w.cfg = platform.Config{
		BaseURL: w.url, Records: db, Staging: staging, Blobs: blobs, Assets: assets, Sealer: keys, Clock: gateway.SystemClock,
		Log: slog.New(slog.NewTextHandler(testWriter{t}, nil)), FinalWait: 100 * time.Millisecond, DropRoot: w.drop,
	}
	w.restart()
	account.PartnerID, account.Name, account.AdminName, account.AdminEmail = partnerID, "Reference Partner", "Ref Admin", adminUser
	account.AdminSecret, account.UserSecret, account.AdminPassword = gateway.Secret(to.secret), gateway.Secret(to.user), gateway.Secret(to.password)
	must(t, w.p.CreateAccount(ctx, account))
	must(t, w.p.CreateOperator(ctx, gateway.Secret(to.operator)))
	return w
}

// restart makes a new handler over the same data, as after a restart of the server.
func (w *world) restart() {
	w.p = platform.New(w.cfg)
	w.assets.Settled = map[string]func(context.Context, gateway.Asset) error{gateway.OwnerKalturaEntry: w.p.AssetChanged}
}

// work starts the media pipeline on the queue.
func (w *world) work() {
	w.t.Helper()
	runner, err := w.db.Runner(jobs.New(jobs.Services{Assets: w.assets}), store.JobsOptions{})
	must(w.t, err)
	must(w.t, runner.Start(w.t.Context()))
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := runner.Stop(ctx); err != nil {
			w.t.Log(err)
		}
	})
}

// watch looks into the drop folders again and again.
func (w *world) watch() {
	ctx, stop := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if err := w.p.Watch(ctx); err != nil && ctx.Err() == nil {
				w.t.Error(err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	w.t.Cleanup(func() { stop(); <-done })
}

// testWriter sends the log to the test.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) session(user string, kind int64, privileges string) string {
	return platform.NewSession(w.secret, partnerID, user, kind, privileges, time.Now().Unix()+86400)
}

// api calls an action with a JSON body and gives the decoded answer.
func (w *world) api(ks, action string, params map[string]any) any {
	w.t.Helper()
	service, name, _ := strings.Cut(action, ".")
	body := map[string]any{"format": 1, "ks": ks}
	for k, v := range params {
		body[k] = v
	}
	raw, err := json.Marshal(body)
	must(w.t, err)
	res, err := http.Post(w.url+"/api_v3/service/"+service+"/action/"+name, "application/json", bytes.NewReader(raw))
	must(w.t, err)
	defer res.Body.Close() //nolint:errcheck // only read
	var out any
	must(w.t, json.NewDecoder(res.Body).Decode(&out))
	return out
}

// object is api for answers that must be an object and no error.
func (w *world) object(ks, action string, params map[string]any) map[string]any {
	w.t.Helper()
	out, ok := w.api(ks, action, params).(map[string]any)
	if !ok || out["code"] != nil {
		w.t.Fatalf("%s: %v", action, out)
	}
	return out
}

// chunk sends one chunk of an upload.
func (w *world) chunk(ks, token string, data []byte, fields map[string]string) map[string]any {
	w.t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	must(w.t, m.WriteField("uploadTokenId", token))
	must(w.t, m.WriteField("ks", ks))
	must(w.t, m.WriteField("format", "1"))
	for k, v := range fields {
		must(w.t, m.WriteField(k, v))
	}
	part, err := m.CreateFormFile("fileData", "chunk")
	must(w.t, err)
	_, err = part.Write(data)
	must(w.t, err)
	must(w.t, m.Close())
	res, err := http.Post(w.url+"/api_v3/service/uploadToken/action/upload", m.FormDataContentType(), &b)
	must(w.t, err)
	defer res.Body.Close() //nolint:errcheck // only read
	var out map[string]any
	must(w.t, json.NewDecoder(res.Body).Decode(&out))
	return out
}

// get fetches an address without following redirects.
func (w *world) get(address string, header ...string) (*http.Response, []byte) {
	w.t.Helper()
	if !strings.Contains(address, "://") {
		address = w.url + address
	}
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, address, nil)
	must(w.t, err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	must(w.t, err)
	defer res.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(res.Body)
	must(w.t, err)
	return res, body
}

// upload makes an entry and gives it a file.
func (w *world) upload(ks string, file string, entry map[string]any) string {
	w.t.Helper()
	data, err := os.ReadFile(file)
	must(w.t, err)
	entry["objectType"] = "KalturaMediaEntry"
	id := w.object(ks, "media.add", map[string]any{"entry": entry})["id"].(string)
	token := w.object(ks, "uploadToken.add", map[string]any{"uploadToken": map[string]any{"fileName": filepath.Base(file)}})["id"].(string)
	if out := w.chunk(ks, token, data, nil); out["status"] != 2.0 {
		w.t.Fatal(out)
	}
	w.object(ks, "media.addContent", map[string]any{"entryId": id, "resource": map[string]any{"objectType": "KalturaUploadedFileTokenResource", "token": token}})
	return id
}

// wait polls an entry until its status is the wanted one.
func (w *world) wait(ks, id string, status float64, more func(map[string]any) bool) map[string]any {
	w.t.Helper()
	var e map[string]any
	for range 3000 { // five minutes: a slow machine encodes several rungs of several clips
		e = w.object(ks, "media.get", map[string]any{"entryId": id})
		if e["status"] == status && (more == nil || more(e)) {
			return e
		}
		if s := e["status"]; s != status && (s == -1.0 || s == -2.0) && w.db != nil {
			all, err := w.db.Assets().All(w.t.Context(), gateway.Slice{})
			w.t.Fatalf("entry failed: %v %+v", err, all)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if w.db == nil {
		w.t.Fatalf("entry did not get there: %v", e)
	}
	all, _ := w.db.Assets().All(w.t.Context(), gateway.Slice{})
	for _, as := range all {
		w.t.Log(as.State, as.ErrorText, w.assets.RunInspect(w.t.Context(), as.ID)) // says what holds it up
	}
	w.t.Fatalf("entry did not get there: %v", e)
	return nil
}

// TestEndToEnd takes a clip from upload tokens to playback, as the gateway's client and a player do.
func TestEndToEnd(t *testing.T) { storetest.EachDB(t, endToEnd) }

func endToEnd(t *testing.T, db *store.DB) {
	w := newWorld(t, db)
	w.work()
	clip := filepath.Join(t.TempDir(), "clip.mp4")
	must(t, mediatest.Clip{Seconds: 4, Width: 640, Height: 360}.Make(t.Context(), clip))
	original, err := os.ReadFile(clip)
	must(t, err)
	alice := w.session("alice", 0, "")
	id := w.upload(alice, clip, map[string]any{"mediaType": 1, "name": "Lecture", "tags": "one,Two", "referenceId": "upl_1"})
	e := w.wait(alice, id, 2, nil)
	if e["duration"] != 4.0 || e["width"] != 640.0 || e["tags"] != "one, two" {
		t.Error(e)
	}
	found := w.object(alice, "baseEntry.listByReferenceId", map[string]any{"refId": "upl_1"})
	if found["totalCount"] != 1.0 {
		t.Error("not found by reference id:", found)
	}
	w.wait(alice, id, 2, func(e map[string]any) bool { return strings.Count(e["flavorParamsIds"].(string), ",") >= 1 })
	flavors := w.api(alice, "flavorAsset.getByEntryId", map[string]any{"entryId": id}).([]any)
	source := flavors[0].(map[string]any)
	if source["isOriginal"] != true || source["status"] != 2.0 {
		t.Fatal(source)
	}
	address := w.api(alice, "flavorAsset.getUrl", map[string]any{"id": source["id"]}).(string)
	if res, body := w.get(address); res.StatusCode != 200 || !bytes.Equal(body, original) {
		t.Error("the original came back different:", res.Status, len(body))
	}
	if res, body := w.get(address, "Range", "bytes=1000-1999"); res.StatusCode != 206 || !bytes.Equal(body, original[1000:2000]) {
		t.Error("a range came back different:", res.Status, len(body))
	}
	w.plays(alice, id)
	for _, size := range []string{"/width/160", "/width/100/height/100/type/3", "/height/90/type/5/width/90", ""} {
		res, body := w.get("/p/102/sp/10200/thumbnail/entry_id/" + id + "/version/100002" + size)
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != "image/jpeg" || len(body) < 500 {
			t.Error("thumbnail", size, res.Status, len(body))
		}
	}
	if out := w.api(w.session("bob", 0, ""), "media.delete", map[string]any{"entryId": id}); out.(map[string]any)["code"] != "INVALID_KS" {
		t.Error("somebody else deleted the entry:", out)
	}
	if out := w.api(alice, "media.delete", map[string]any{"entryId": id}); out != nil {
		t.Error(out)
	}
	if res, _ := w.get("/p/102/sp/10200/playManifest/entryId/" + id + "/format/mpegdash"); res.StatusCode != 404 || res.Header.Get("X-Kaltura") != "error-1" {
		t.Error(res.Status, res.Header)
	}
}

// plays follows the addresses that a player gets down to the media segments.
func (w *world) plays(ks, id string) {
	w.t.Helper()
	t := w.t
	context := w.object(ks, "baseEntry.getPlaybackContext", map[string]any{"entryId": id, "contextDataParams": map[string]any{"streamerType": "mpegdash"}})
	sources := context["sources"].([]any)
	if len(sources) != 1 {
		t.Fatal(context)
	}
	res, _ := w.get(sources[0].(map[string]any)["url"].(string))
	if res.StatusCode != 302 {
		t.Fatal(res.Status, res.Header)
	}
	manifest := res.Header.Get("Location")
	res, body := w.get(manifest)
	base := "<BaseURL>" + strings.TrimSuffix(manifest, "manifest.mpd") + "</BaseURL>"
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/dash+xml" || !bytes.Contains(body, []byte(base)) {
		t.Fatal(res.Status, string(body))
	}
	res, body = w.get("/p/102/sp/10200/playManifest/entryId/" + id + "/format/applehttp/protocol/http/a.m3u8")
	if res.StatusCode != 200 {
		t.Fatal(res.Status)
	}
	segments := 0
	for _, line := range strings.Split(string(body), "\n") {
		if !strings.HasPrefix(line, "http") {
			continue
		}
		res, playlist := w.get(line)
		if res.StatusCode != 200 {
			t.Fatal(line, res.Status)
		}
		for _, s := range strings.Split(string(playlist), "\n") {
			if s == "" || strings.HasPrefix(s, "#") {
				continue
			}
			base, err := url.Parse(line)
			must(t, err)
			segment, err := base.Parse(s)
			must(t, err)
			if res, b := w.get(segment.String()); res.StatusCode != 200 && res.StatusCode != 206 || len(b) == 0 {
				t.Fatal(segment, res.Status)
			}
			segments++
			break
		}
	}
	if segments == 0 {
		t.Error("no variant in the master playlist:", string(body))
	}
	if res, _ := w.get(strings.TrimSuffix(manifest, "manifest.mpd") + "%2e%2e/%2e%2e/original"); res.StatusCode == 200 {
		t.Error("a file outside of the package was served")
	}
}

func TestMain(m *testing.M) {
	media.SandboxMain() // the pipeline runs ffmpeg through this very binary
	os.Exit(m.Run())
}
