package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/integrations"
	"isthmus/integrations/kaltura/platform"
	"isthmus/secrets"
	"isthmus/store"
)

// world is the services on a real database, with the embedded platform behind the real Kaltura client.
type world struct {
	t            testing.TB
	db           *store.DB
	clock        *gatewaytest.Clock
	integrations *gateway.Integrations
	mappings     *gateway.Mappings
	catalog      *gateway.Catalog
	hub          gatewaytest.House

	weather   atomic.Int32 // what lies between us and the platform: see trouble
	calls     atomic.Int64
	transport http.RoundTripper
}

const (
	partner     = 4711
	serviceURL  = "http://media.test/kaltura"
	adminSecret = "0123456789abcdef0123456789abcdef"
	userSecret  = "fedcba9876543210fedcba9876543210"
)

const (
	fine int32 = iota
	down
	html
)

func newWorld(t testing.TB, db *store.DB) *world {
	t.Helper()
	w := &world{t: t, db: db, clock: gatewaytest.NewClock()}
	keys, err := secrets.OpenKeyring(t.TempDir(), true)
	if err != nil {
		t.Fatal(err)
	}
	p := platform.New(platform.Config{BaseURL: serviceURL, Records: db, Sealer: keys, Clock: w.clock.Now})
	if err := p.CreateAccount(t.Context(), platform.Account{
		PartnerID: partner, Name: "School", AdminName: "Kim Admin", AdminEmail: "kim@media.test", AdminSecret: adminSecret, UserSecret: userSecret,
	}); err != nil {
		t.Fatal(err)
	}
	handler := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.calls.Add(1)
		switch w.weather.Load() {
		case down:
			http.Error(rw, "no", http.StatusBadGateway)
		case html:
			rw.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(rw, "<html>Maintenance</html>")
		default:
			p.ServeHTTP(rw, r)
		}
	})
	w.transport = integrations.NewLocal(http.StripPrefix("/kaltura", p)) // the administrator's own line, whatever the weather
	events := &gateway.Events{Store: db, Clock: w.clock.Now}
	w.integrations = &gateway.Integrations{
		Store: db, Clock: w.clock.Now, Sealer: keys, Events: events, Grace: 30 * 24 * time.Hour,
		Platforms: integrations.New(integrations.Options{Local: map[string]http.Handler{serviceURL: handler}, Clock: w.clock.Now}),
	}
	w.mappings = &gateway.Mappings{Store: db, Clock: w.clock.Now, Integrations: w.integrations, Events: events}
	w.catalog = &gateway.Catalog{Integrations: w.integrations, Mappings: w.mappings, Clock: w.clock.Now, StaleAfter: time.Hour}
	w.hub = gatewaytest.NewHouse(t, db, w.clock.Now, "north", gateway.PlanEnterprise)
	return w
}

// post sends one request as any Kaltura client would and gives the answer.
func (w *world) post(url, body string) json.RawMessage {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, url, bytes.NewReader([]byte(body)))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := w.transport.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	var fault struct{ Code, Message string }
	if json.Unmarshal(out, &fault) == nil && fault.Code != "" {
		w.t.Fatalf("%s: %s", url, out)
	}
	return out
}

// ask calls an action of the platform as its administrator.
func (w *world) ask(service, action string, params map[string]any, out any) {
	w.t.Helper()
	params["format"] = 1
	if service != "session" {
		params["ks"] = w.adminKS()
	}
	body, err := json.Marshal(params)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := json.Unmarshal(w.post(serviceURL+"/api_v3/service/"+service+"/action/"+action, string(body)), out); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) adminKS() string {
	w.t.Helper()
	var ks string
	w.ask("session", "start", map[string]any{"secret": adminSecret, "type": 2, "partnerId": partner, "userId": "kim@media.test", "expiry": 86400}, &ks)
	return ks
}

type token struct {
	ID    string `json:"id"`
	Token string `json:"token"`
}

// token makes an App Token with the given fields.
func (w *world) token(fields map[string]any) token {
	w.t.Helper()
	body := map[string]any{"objectType": "KalturaAppToken", "hashType": "SHA256", "sessionPrivileges": "list:*,sview:*"}
	for k, v := range fields {
		body[k] = v
	}
	var tok token
	w.ask("appToken", "add", map[string]any{"appToken": body}, &tok)
	return tok
}

func (t token) connection(v gateway.Visibility) gateway.Connection {
	return gateway.Connection{ServiceURL: serviceURL, PartnerID: partner, AppTokenID: t.ID, AppToken: gateway.Secret(t.Token), HashType: "SHA256", Visibility: v}
}

// connect saves a good connection.
func (w *world) connect(v gateway.Visibility, change ...func(*gateway.Connection)) gateway.Integration {
	w.t.Helper()
	privileges := "sview:*"
	if v == gateway.VisibilityShared {
		privileges = "list:*,sview:*"
	}
	c := w.token(map[string]any{"sessionPrivileges": privileges}).connection(v)
	for _, f := range change {
		f(&c)
	}
	in, err := w.integrations.Save(w.t.Context(), w.hub.Admin, 0, c)
	if err != nil {
		w.t.Fatal(err)
	}
	return in
}

func (w *world) user(id, email string) {
	w.t.Helper()
	var out any
	w.ask("user", "add", map[string]any{"user": map[string]any{"objectType": "KalturaUser", "id": id, "email": email, "firstName": id}}, &out)
}

// users counts the account's users whose id or e-mail is one of ours.
func (w *world) users() (ids []string) {
	w.t.Helper()
	var l struct {
		Objects []struct {
			ID, Email    string
			LoginEnabled bool
		}
	}
	w.ask("user", "list", map[string]any{"filter": map[string]any{}, "pager": map[string]any{"pageSize": 500}}, &l)
	for _, u := range l.Objects {
		if u.LoginEnabled && u.ID != "kim@media.test" {
			w.t.Errorf("%s can log in", u.ID)
		}
		ids = append(ids, u.ID)
	}
	return ids
}

// entry makes a ready entry.
func (w *world) entry(owner, name, tags string) string {
	w.t.Helper()
	var e struct{ ID string }
	w.ask("media", "add", map[string]any{"entry": map[string]any{
		"objectType": "KalturaMediaEntry", "mediaType": 1, "name": name, "tags": tags, "userId": owner,
	}}, &e)
	return e.ID
}

// categories makes three: the second lies below the first.
func (w *world) categories(first, below, other string) []int64 {
	w.t.Helper()
	add := func(name string, parent int64) int64 {
		var c struct{ ID int64 }
		w.ask("category", "add", map[string]any{"category": map[string]any{"objectType": "KalturaCategory", "name": name, "parentId": parent}}, &c)
		return c.ID
	}
	a := add(first, 0)
	return []int64{a, add(below, a), add(other, 0)}
}

func (w *world) categorise(entry string, category int64) {
	w.t.Helper()
	var out any
	w.ask("categoryEntry", "add", map[string]any{"categoryEntry": map[string]any{
		"objectType": "KalturaCategoryEntry", "categoryId": category, "entryId": entry,
	}}, &out)
}

func (w *world) audit(action string) (out []gateway.AuditRecord) {
	w.t.Helper()
	all, err := w.db.Audit().List(w.t.Context(), gateway.Scope(w.hub.Hub.ID), gateway.AuditFilter{}, gateway.Slice{Limit: 500})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range all {
		if r.Action == action {
			out = append(out, r)
		}
	}
	return out
}

// happened counts the hub's events by type.
func (w *world) happened() map[string]int {
	w.t.Helper()
	all, err := w.db.Events().Since(w.t.Context(), w.hub.Admin, 0, 500)
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]int{}
	for _, e := range all {
		out[e.Type]++
	}
	return out
}

func ids(page gateway.Page) string {
	s := ""
	for _, m := range page.Items {
		s += fmt.Sprintf("%s(%s) ", m.Name, m.OwnerID)
	}
	return s
}
