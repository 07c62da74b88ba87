package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"isthmus/api"
	"isthmus/gateway"
	"isthmus/integrations"
	"isthmus/integrations/dropfolder"
	"isthmus/integrations/kaltura/platform"
	"isthmus/integrations/spaces"
	"isthmus/integrations/spaces/demo"
	"isthmus/media"
	"isthmus/openapi"
	"isthmus/outbound"
	"isthmus/secrets"
	"isthmus/store"
	"isthmus/store/storetest"
)

// rig is a whole server on a real socket: real database, real staging, embedded Kaltura, demo
// identity provider. No workers run: what jobs do is not the API's business.
type rig struct {
	t         testing.TB
	base      string
	db        *store.DB
	api       *api.Server
	access    *gateway.Access
	operators *gateway.Operators
	hubs      *gateway.Hubs
	people    *gateway.People
	providers *gateway.IdentityProviders
	verifier  *spaces.Verifier
	events    *gateway.Events
	blobs     *media.Blobs
	staging   *media.Staging
	tickets   gateway.Tickets
	library   *gateway.Library
	mappings  *gateway.Mappings
	tokens    *api.Tokens
	keyring   *secrets.Keyring
	kaltura   http.Handler
	sphere    *gateway.Spherical
	hooks     *gateway.Webhooks
	drops     *gateway.DropFolders
	log       *lockedBuffer
	hub       map[string]string // our ids by the demo's: "bio" (university), "free", "other"
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const partner = 4711

var people = []demo.Person{
	{Email: "ada@example.org", Password: "ada-pass", Name: "Ada Admin", Roles: map[string]gateway.Role{"bio": gateway.RoleAdmin, "free": gateway.RoleAdmin}},
	{Email: "con@example.org", Password: "con-pass", Name: "Con Content", Roles: map[string]gateway.Role{"bio": gateway.RoleContentAdmin}},
	{Email: "pat@example.org", Password: "pat-pass", Name: "Pat Participant", Roles: map[string]gateway.Role{"bio": gateway.RoleParticipant}},
	{Email: "eve@example.org", Password: "eve-pass", Name: "Eve Elsewhere", Roles: map[string]gateway.Role{"other": gateway.RoleAdmin}},
	{Email: "otto@example.org", Password: "otto-pass", Name: "Otto Other", Roles: map[string]gateway.Role{"other": gateway.RoleParticipant}},
	{Email: "uma@example.org", Password: "uma-pass", Name: "Uma Unverified", Unverified: true, Roles: map[string]gateway.Role{"bio": gateway.RoleParticipant}},
}

func newRig(t testing.TB) *rig { return newRigOn(t, storetest.SQLite(t)) }

func newRigOn(t testing.TB, db *store.DB) *rig { return newRigLimited(t, db, api.RateLimits{}) }

// newRigLimited is a rig with its own limits.
func newRigLimited(t testing.TB, db *store.DB, limits api.RateLimits) *rig {
	t.Helper()
	r := &rig{t: t, db: db, log: &lockedBuffer{}, hub: map[string]string{}}
	log := slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	var handler http.Handler
	ts := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { handler.ServeHTTP(w, q) }))
	r.base = "http://" + ts.Listener.Addr().String()

	keyring, err := secrets.OpenKeyring(dir, true)
	must(err)
	r.keyring = keyring
	must(db.SealAudits(t.Context(), keyring))
	disk, err := media.OpenDisk(dir, 0)
	must(err)
	r.staging = media.NewStaging(disk)
	r.blobs = media.NewBlobs(disk, r.staging)
	pipeline, err := media.New(t.Context(), media.Options{Disk: disk})
	must(err)
	clock := gateway.SystemClock
	r.tickets, err = secrets.NewTickets(keyring, r.base, clock)
	must(err)
	r.events = &gateway.Events{Store: db, Clock: clock}
	assets := &gateway.Assets{Store: db, Clock: clock, Staging: r.staging, Blobs: r.blobs, Pipeline: pipeline, Events: r.events}
	r.providers = &gateway.IdentityProviders{Store: db, Clock: clock, Sealer: keyring, Events: r.events}
	r.hubs = &gateway.Hubs{Store: db, Clock: clock, Events: r.events, Providers: r.providers}
	r.verifier = &spaces.Verifier{Providers: r.providers, HTTP: http.DefaultClient, Local: map[string]*http.Client{}, Clock: clock}
	r.people = &gateway.People{Store: db, Clock: clock, Events: r.events}
	r.access = &gateway.Access{Store: db, Clock: clock, Providers: r.providers}
	r.operators = &gateway.Operators{Store: db, Clock: clock}
	kaltura := platform.New(platform.Config{
		BaseURL: r.base + "/kaltura", Records: db, Staging: r.staging, Blobs: r.blobs, Assets: assets, Sealer: keyring, Clock: clock, Log: log,
	})
	r.kaltura = kaltura
	connections := &gateway.Integrations{
		Store: db, Clock: clock, Sealer: keyring, Events: r.events, Grace: time.Hour,
		Platforms: integrations.New(integrations.Options{
			Outbound: http.DefaultClient, Local: map[string]http.Handler{r.base + "/kaltura": kaltura}, Log: log, Clock: clock,
		}),
	}
	mappings := &gateway.Mappings{Store: db, Clock: clock, Integrations: connections, Events: r.events}
	r.mappings = mappings
	catalog := &gateway.Catalog{Integrations: connections, Mappings: mappings, Clock: clock, StaleAfter: time.Hour}
	r.sphere = &gateway.Spherical{Catalog: catalog}
	relay := &gateway.Relay{Store: db, Staging: r.staging, Integrations: connections, Mappings: mappings, Events: r.events}
	r.hooks = &gateway.Webhooks{
		Store: db, Clock: clock, Sealer: keyring, Events: r.events,
		Poster: outbound.NewPoster(outbound.Options{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}),
	}
	r.tokens, err = api.NewTokens(t.Context(), db, keyring, r.base, clock)
	must(err)
	r.library = &gateway.Library{
		Store: db, Clock: clock, Catalog: catalog, Tickets: r.tickets, Assets: assets, Events: r.events,
		Fetcher: outbound.NewSource(outbound.Options{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}), Sealer: keyring, BaseURL: r.base,
	}
	uploads := &gateway.Uploads{
		Store: db, Clock: clock, Staging: r.staging, Pipeline: pipeline, Integrations: connections, Mappings: mappings,
		Events: r.events, Relay: relay, Replica: db.Replica(), Life: time.Hour, MaxSize: 1 << 30, Blobs: r.blobs,
	}
	transfers := &gateway.Transfers{
		Store: db, Clock: clock, Uploads: uploads, Hubs: r.hubs, Events: r.events, Tickets: r.tickets, Replica: db.Replica(), Alone: true,
		Patience: 100 * time.Millisecond,
	}
	uploads.Meter = transfers.Meter
	t.Cleanup(transfers.Close)
	r.library.Uploads = uploads
	r.drops = &gateway.DropFolders{
		Store: db, Clock: clock, Manifests: dropfolder.Manifests{}, Uploads: uploads, Integrations: connections, Mappings: mappings, Events: r.events,
		Sealer: keyring, Replica: db.Replica(), Directories: true,
		Sources: dropfolder.New(dropfolder.Options{Root: t.TempDir(), Client: http.DefaultClient, CheckURL: func(s string) (string, error) { return s, nil }, Log: log}),
	}
	uploads.Folders = r.drops
	r.people.Uploads, r.people.Library = uploads, r.library
	r.api, err = api.New(api.Config{
		BaseURL: r.base, Tokens: r.tokens, Identities: r.verifier, Protocol: r.verifier, Tickets: r.tickets, Blobs: r.blobs, Log: log, Limits: limits, DropSchema: dropfolder.Schema,
		Web: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the page") }),
		Services: api.Services{
			Hubs: r.hubs, Providers: r.providers, People: r.people, Operators: r.operators, Clients: &gateway.Clients{Store: db, Clock: clock}, Access: r.access, OAuth: &gateway.OAuth{Store: db, Clock: clock, Hubs: r.hubs, Attempts: &gateway.Attempts{Clock: clock}}, Integrations: connections, Mappings: mappings, Audits: &gateway.Audits{Store: db, Clock: clock}, Catalog: catalog,
			Library: r.library, Uploads: uploads,
			Transfers: transfers,
			Jobs:      &gateway.Jobs{Store: db, Clock: clock, Events: r.events}, Events: r.events,
			Spherical: r.sphere, Webhooks: r.hooks, DropFolders: r.drops,
			Idempotency: &gateway.Idempotency{Store: db, Clock: clock, Sealer: keyring, Replica: db.Replica()}, Limits: &gateway.Limits{Store: db, Clock: clock},
		},
	})
	must(err)
	idp, err := demo.New(demo.Config{
		Issuer: r.base + "/demo-idp", ClientID: "isthmus", ClientSecret: "demo-secret", RedirectURI: r.base + spaces.CallbackPath, People: people, Log: log,
		Hubs: []demo.Hub{{ID: "bio", Name: "Biology", Plan: gateway.PlanUniversity}, {ID: "free", Name: "Free", Plan: gateway.PlanFree}, {ID: "other", Name: "Other", Plan: gateway.PlanEnterprise}},
	})
	must(err)
	r.api.Mount("/demo-idp/", idp)
	mux := http.NewServeMux()
	mux.Handle("/demo-idp/", idp)
	must(r.providers.Fix(gateway.OpenedProvider{Secret: "demo-secret", IdentityProvider: gateway.IdentityProvider{
		Row: gateway.Row{ID: gateway.ProviderIDDemo}, Issuer: r.base + "/demo-idp", ClientID: "isthmus", Name: "Demo", Source: gateway.ProviderDemo,
	}}))
	r.verifier.Local[r.base+"/demo-idp"] = &http.Client{Transport: integrations.NewLocal(mux)}
	signIn, err := spaces.New(spaces.Config{BaseURL: r.base, Verifier: r.verifier, People: r.people, SignIn: r.api.SignIn, SignOut: r.api.SignOut, Log: log})
	must(err)
	r.api.Mount("/auth/", signIn)
	handler = r.api
	ts.Config.RegisterOnShutdown(r.api.Close)
	ts.Start()
	t.Cleanup(func() { r.api.Close(); ts.Close() })

	must(kaltura.CreateAccount(context.WithoutCancel(t.Context()), platform.Account{
		PartnerID: partner, Name: "Test", AdminEmail: "kadmin@example.org", AdminSecret: "admin-secret-of-the-account-01", UserSecret: "user-secret-of-the-account-0001", DropFolder: "/in",
	}))
	return r
}

// caller is one browser (with a jar) or one bearer token.
type caller struct {
	r      *rig
	http   *http.Client
	bearer string
	header http.Header // sent with every request
}

func (r *rig) anonymous() *caller {
	jar, _ := cookiejar.New(nil)
	return &caller{r: r, http: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, header: http.Header{}}
}

// on gives the caller for a subtest.
func (c *caller) on(t testing.TB) *caller {
	r := *c.r
	r.t = t
	sub := *c
	sub.r = &r
	return &sub
}

type answer struct {
	*http.Response
	body []byte
}

func (a answer) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
}

func (a answer) problem(t testing.TB) openapi.Problem {
	t.Helper()
	if ct := a.Header.Get("Content-Type"); ct != "application/problem+json" {
		t.Fatalf("%d %s is no problem: %s", a.StatusCode, ct, a.body)
	}
	var p openapi.Problem
	a.into(t, &p)
	if p.Status != a.StatusCode || p.Code == "" || p.TraceID == "" || p.Title == "" || p.Type == "" || p.Detail == nil || p.NextStep == nil {
		t.Fatalf("incomplete problem: %s", a.body)
	}
	return p
}

// do sends a request. body: nil, a string, or anything that JSON can hold.
func (c *caller) do(method, path string, body any, header ...string) answer {
	c.r.t.Helper()
	var in io.Reader
	kind := ""
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	case url.Values:
		in, kind = strings.NewReader(b.Encode()), "application/x-www-form-urlencoded"
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			c.r.t.Fatal(err)
		}
		in, kind = bytes.NewReader(raw), "application/json"
	}
	if strings.HasPrefix(path, "/") {
		path = c.r.base + path
	}
	req, err := http.NewRequestWithContext(c.r.t.Context(), method, path, in)
	if err != nil {
		c.r.t.Fatal(err)
	}
	for k, v := range c.header {
		req.Header[k] = v
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if c.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		c.r.t.Fatal(err)
	}
	kept(c.r.t, req, resp, raw)
	return answer{resp, raw}
}

// want is do that fails unless the status is right.
func (c *caller) want(status int, method, path string, body any, header ...string) answer {
	c.r.t.Helper()
	a := c.do(method, path, body, header...)
	if a.StatusCode != status {
		c.r.t.Fatalf("%s %s: %d, want %d: %s\nlog: %s", method, path, a.StatusCode, status, a.body, tail(c.r.log.String()))
	}
	return a
}

func tail(s string) string {
	if len(s) > 900 {
		return s[len(s)-900:]
	}
	return s
}

var hiddenID = regexp.MustCompile(`name="id" value="([^"]+)"`)

// signIn goes through the identity provider's page as a browser does.
func (r *rig) signIn(email string) *caller {
	r.t.Helper()
	c := r.anonymous()
	a := c.want(http.StatusFound, "GET", "/auth/login?next=/library%3Ftab%3Dkaltura", nil)
	a = c.want(http.StatusFound, "GET", a.Header.Get("Location"), nil)
	a = c.want(http.StatusOK, "GET", a.Header.Get("Location"), nil)
	id := hiddenID.FindSubmatch(a.body)
	if id == nil {
		r.t.Fatalf("no login form: %s", a.body)
	}
	password, _, _ := strings.Cut(email, "@")
	a = c.want(http.StatusSeeOther, "POST", "/demo-idp/login", url.Values{"id": {string(id[1])}, "email": {email}, "password": {password + "-pass"}})
	a = c.want(http.StatusSeeOther, "GET", a.Header.Get("Location"), nil)
	if to := a.Header.Get("Location"); to != "/library?tab=kaltura" {
		r.t.Fatalf("signed in to %q", to)
	}
	var me openapi.Me
	c.want(http.StatusOK, "GET", "/v1/me", nil).into(r.t, &me)
	for _, h := range me.Hubs {
		switch h.Name {
		case "Biology":
			r.hub["bio"] = h.ID
		case "Free":
			r.hub["free"] = h.ID
		case "Other":
			r.hub["other"] = h.ID
		}
	}
	return c
}

// client registers an OAuth client of a hub and gets a token.
func (r *rig) client(hub string, scopes ...string) *caller {
	r.t.Helper()
	cl, secret, err := r.access.NewClient(r.t.Context(), hub, "test", scopes)
	if err != nil {
		r.t.Fatal(err)
	}
	c := r.anonymous()
	var tok struct {
		AccessToken string `json:"access_token"`
	}
	a := c.want(http.StatusOK, "POST", "/oauth2/token", url.Values{"grant_type": {"client_credentials"}}, "Authorization", basic(cl.ID, secret.Reveal()))
	a.into(r.t, &tok)
	c.bearer = tok.AccessToken
	return c
}

func basic(id, secret string) string {
	req := &http.Request{Header: http.Header{}}
	req.SetBasicAuth(id, secret)
	return req.Header.Get("Authorization")
}

// kalturaCall speaks to the embedded Kaltura as its administrator would.
func (r *rig) kalturaCall(service, action string, params map[string]any, out any) {
	r.t.Helper()
	params["format"] = 1
	raw, _ := json.Marshal(params)
	req := httptest.NewRequest("POST", fmt.Sprintf("/api_v3/service/%s/action/%s", service, action), bytes.NewReader(raw))
	req.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	r.kaltura.ServeHTTP(w, req)
	if strings.Contains(w.Body.String(), "KalturaAPIException") {
		r.t.Fatalf("%s.%s: %s", service, action, w.Body)
	}
	if out != nil {
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			r.t.Fatalf("%s.%s: %v in %s", service, action, err, w.Body)
		}
	}
}

// appToken makes an App Token and gives the body that connects a hub with it.
func (r *rig) appToken(visibility string) map[string]any {
	r.t.Helper()
	privileges := map[string]string{"shared": "list:*,sview:*", "own": "sview:*"}[visibility]
	var ks string
	r.kalturaCall("session", "start", map[string]any{"secret": "admin-secret-of-the-account-01", "userId": "kadmin@example.org", "type": 2, "partnerId": partner, "expiry": 3600}, &ks)
	var made struct{ ID, Token string }
	r.kalturaCall("appToken", "add", map[string]any{"ks": ks, "appToken": map[string]any{
		"objectType": "KalturaAppToken", "hashType": "SHA256", "sessionPrivileges": privileges,
	}}, &made)
	return map[string]any{
		"service_url": r.base + "/kaltura", "partner_id": partner, "app_token_id": made.ID, "app_token": made.Token,
		"hash_type": "SHA256", "visibility": visibility,
	}
}
