package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/store"
)

// faultWorld is a whole server with many hubs and one Kaltura server, both processes of their own;
// each hub reaches that Kaltura through a fault proxy of its own.
type faultWorld struct {
	*process
	kaltura kalturaFile
	hubs    chan *faultHub
	crowded *faultHub // with 100 people who are signed in
	seed    *rand.ChaCha8
	mu      sync.Mutex
}

type faultHub struct {
	w              *faultWorld
	id             string
	client, secret string
	bearer         string
	people         []string // the cookies of those who are signed in
	proxy          *faultProxy
}

// Many faults end only when patience does; where calls must hang for as long as a test wants, it never does.
const (
	faultPatience = "4s"
	noEnd         = "10m"
)

func newFaultWorld(t testing.TB, hubs int, patience string, env ...string) *faultWorld {
	t.Helper()
	cmd := sandboxCmd("--json", "--addr", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "sandbox"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	w := &faultWorld{hubs: make(chan *faultHub, hubs), seed: rand.NewChaCha8([32]byte{})}
	if err := json.NewDecoder(out).Decode(&w.kaltura); err != nil {
		t.Fatal(err)
	}
	w.process = newServer(t, "", func(s *process) {
		s.args, s.env = []string{"--allow-networks", "127.0.0.1/32", "--kaltura-patience", patience}, env
		w.makeHubs(t, filepath.Join(s.dir, "data"), hubs)
	})
	return w
}

// makeHubs writes hubs and their API clients before the server starts, and keeps the demo's media out.
func (w *faultWorld) makeHubs(t testing.TB, data string, n int) {
	t.Helper()
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "demo-media.done"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	db, _, err := openData(ctx, dataFlags{Data: data}, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	access := &gateway.Access{Store: db, Clock: gateway.SystemClock}
	for i := range n + 1 {
		hub := gateway.Hub{Row: gateway.Row{ID: gateway.NewID("hub")}, Issuer: "faults", ExternalID: strconv.Itoa(i), Name: "Hub", Plan: gateway.PlanUniversity}
		if err := db.Hubs().Insert(ctx, &hub); err != nil {
			t.Fatal(err)
		}
		c, secret, err := access.NewClient(ctx, hub.ID, "faults", gateway.AllScopes)
		if err != nil {
			t.Fatal(err)
		}
		h := &faultHub{w: w, id: hub.ID, client: c.ID, secret: secret.Reveal()}
		if i == n {
			h.people = signedIn(t, db, hub, 100)
			w.crowded = h
			break
		}
		w.hubs <- h
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// signedIn gives the cookies of n new people of a hub.
func signedIn(t testing.TB, db *store.DB, hub gateway.Hub, n int) []string {
	t.Helper()
	hubs := &gateway.Hubs{Store: db, Clock: gateway.SystemClock}
	access := &gateway.Access{Store: db, Clock: gateway.SystemClock}
	cookies := make([]string, n)
	for i := range cookies {
		id := gateway.Identity{
			Issuer: hub.Issuer, Subject: strconv.Itoa(i), Email: fmt.Sprintf("p%d@example.edu", i), EmailVerified: true, Name: "Person",
			Memberships: []gateway.Membership{{HubExternalID: hub.ExternalID, HubName: hub.Name, Plan: hub.Plan, Role: gateway.RoleParticipant}},
		}
		if _, err := hubs.SignIn(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		cookie, _, err := access.StartSession(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		cookies[i] = cookie
	}
	return cookies
}

// hub takes an unused hub and connects it through a proxy of its own.
func (w *faultWorld) hub(t testing.TB) *faultHub {
	t.Helper()
	h := w.take(t)
	h.proxy = newFaultProxy(t, w.kaltura.ServiceURL, nil)
	h.connect(t, h.proxy.url(), w.kaltura.AppTokens[0])
	return h
}

func (w *faultWorld) take(t testing.TB) *faultHub {
	t.Helper()
	var h *faultHub
	select {
	case h = <-w.hubs:
	default:
		t.Fatal("no hub is left: make more")
	}
	h.signIn(t)
	return h
}

// signIn gets the hub's client a bearer token.
func (h *faultHub) signIn(t testing.TB) {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}}
	req, _ := http.NewRequest(http.MethodPost, h.w.demo.BaseURL+"/oauth2/token", strings.NewReader(form.Encode()))
	req.SetBasicAuth(h.client, h.secret)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&token); err != nil || token.AccessToken == "" {
		t.Fatalf("token endpoint answered %s (%v)", resp.Status, err)
	}
	h.bearer = token.AccessToken
}

// do makes a request as the hub's client.
func (h *faultHub) do(t testing.TB, method, path string, in, out any, header ...string) (int, []byte) {
	t.Helper()
	if strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "/v1") {
		path = "/v1/hubs/" + h.id + path
	}
	c := &caller{s: h.w.process, http: http.DefaultClient, bearer: h.bearer}
	status, body, err := c.try(method, path, in, out, header...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if status == http.StatusInternalServerError {
		t.Errorf("%s %s answered 500: %s", method, path, body)
	}
	return status, body
}

func (h *faultHub) connect(t testing.TB, serviceURL string, token tokenFile, header ...string) {
	t.Helper()
	status, body := h.do(t, http.MethodPut, "/integrations/kaltura", map[string]any{
		"service_url": serviceURL, "partner_id": h.w.kaltura.PartnerID, "app_token_id": token.ID,
		"app_token": token.Token, "hash_type": token.HashType, "visibility": token.Visibility,
	}, nil, header...)
	if status != http.StatusOK {
		t.Fatalf("connecting answered %d %s", status, body)
	}
}

type faultPage struct {
	Items []struct {
		ID         string `json:"id"`
		DurationMS int64  `json:"duration_ms"`
	} `json:"items"`
	Stale bool `json:"stale"`
}

type faultProblem struct {
	Code     string `json:"code"`
	Title    string `json:"title"`
	Detail   string `json:"detail"`
	NextStep string `json:"next_step"`
}

func (h *faultHub) page(t testing.TB, query string) (p faultPage, why faultProblem) {
	t.Helper()
	status, body := h.do(t, http.MethodGet, "/media?source=kaltura&limit=30"+query, nil, &p)
	if status != http.StatusOK {
		if err := json.Unmarshal(body, &why); err != nil || why.Code == "" || why.NextStep == "" {
			t.Errorf("a refusal that does not say what to do: %d %s", status, body)
		}
	}
	return p, why
}

// picture is a PNG of noise that nobody has uploaded before.
func (w *faultWorld) picture(width, height int) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	_, _ = w.seed.Read(m.Pix)
	for i := 3; i < len(m.Pix); i += 4 {
		m.Pix[i] = 255
	}
	var b bytes.Buffer
	enc := png.Encoder{CompressionLevel: png.NoCompression}
	_ = enc.Encode(&b, m)
	return b.Bytes()
}

// begin makes an upload and sends a part of it.
func (h *faultHub) begin(t testing.TB, content []byte, part int) upload {
	t.Helper()
	var up upload
	if status, body := h.do(t, http.MethodPost, "/uploads", map[string]any{"name": "picture.png", "size": len(content)}, &up); status != http.StatusCreated {
		t.Fatalf("creating an upload answered %d %s", status, body)
	}
	h.send(t, up, 0, content[:part])
	return up
}

func (h *faultHub) send(t testing.TB, up upload, offset int64, b []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	address := up.TusURL
	if strings.HasPrefix(address, "/") {
		address = h.w.demo.BaseURL + address
	}
	req, _ := http.NewRequestWithContext(ctx, http.MethodPatch, address, bytes.NewReader(b))
	req.Header.Set("Authorization", "Bearer "+h.bearer)
	req.Header.Set("Tus-Resumable", "1.0.0")
	req.Header.Set("Upload-Offset", strconv.FormatInt(offset, 10))
	req.Header.Set("Content-Type", "application/offset+octet-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("PATCH answered %s", resp.Status)
	}
}

// finish ends the sending; it must be accepted whatever Kaltura does.
func (h *faultHub) finish(t testing.TB, up upload, content []byte) {
	t.Helper()
	sum := sha256.Sum256(content)
	if status, body := h.do(t, http.MethodPost, "/uploads/"+up.ID+"/finish", map[string]any{"size": len(content), "sha256": hex.EncodeToString(sum[:])}, nil); status >= 300 {
		t.Fatalf("finish answered %d %s", status, body)
	}
}

func (h *faultHub) upload(t testing.TB, id string) upload {
	t.Helper()
	var up upload
	if status, body := h.do(t, http.MethodGet, "/uploads/"+id, nil, &up); status != http.StatusOK {
		t.Fatalf("the upload answered %d %s", status, body)
	}
	if up.State == "failed" || up.State == "cancelled" || up.State == "expired" {
		t.Fatalf("the upload is lost: %s %+v", up.State, up.Error)
	}
	return up
}

// await waits for a condition that nothing but a defect can keep from coming.
func await(t testing.TB, what string, ok func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if err = ok(); err == nil {
			return
		}
	}
	t.Fatalf("waited in vain for %s: %v", what, err)
}

// arrived waits until Kaltura has the whole file as one entry, and compares every byte.
func (h *faultHub) arrived(t testing.TB, id string, content []byte) {
	t.Helper()
	var up upload
	await(t, "the entry", func() error {
		if up = h.upload(t, id); up.EntryID == "" {
			return fmt.Errorf("it is %s %+v", up.State, up.Error)
		}
		return nil
	})
	k := h.w.kaltura
	var got []byte
	await(t, "the original", func() error {
		resp, err := http.Get(fmt.Sprintf("%s/p/%d/sp/%d00/raw/entry_id/%s", k.ServiceURL, k.PartnerID, k.PartnerID, up.EntryID))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if got, err = io.ReadAll(resp.Body); err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s", resp.Status)
		}
		return err
	})
	if !bytes.Equal(got, content) {
		t.Errorf("Kaltura holds other bytes: %d of %d", len(got), len(content))
	}
	if n := h.w.entries(t, id); n != 1 {
		t.Errorf("%d entries with the reference of one upload", n)
	}
}

// entries counts the entries that were made of an upload.
func (w *faultWorld) entries(t testing.TB, reference string) int {
	t.Helper()
	var list struct{ TotalCount int }
	w.admin(t, "media", "list", map[string]any{"filter": map[string]any{
		"objectType": "KalturaMediaEntryFilter", "referenceIdEqual": reference, "statusIn": "-2,-1,0,1,2,4,5,6,7",
	}}, &list)
	return list.TotalCount
}

// admin calls Kaltura as its administrator, past all proxies.
func (w *faultWorld) admin(t testing.TB, service, action string, params map[string]any, out any) {
	t.Helper()
	call, err := adminCalls(t.Context(), http.DefaultClient, w.kaltura, sandboxAdmin)
	if err == nil {
		err = call(service, action, params, out)
	}
	if err != nil {
		t.Fatal(err)
	}
}
