package kaltura

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"isthmus/gateway"
)

const (
	testToken = "80b6909ea89eaa04cfe41c2d9e830d65"
	userKS    = "djJ8-canary-user-session"
	adminKS   = "djJ8-canary-admin-session"
)

// call is what arrived at the test server.
type call struct {
	op     string
	params map[string]any
	file   []byte
	http.Header
}

// wire is an HTTP server that answers with recorded bodies. It refuses what a real Kaltura would
// misunderstand: another content type, a KS in the address.
type wire struct {
	*httptest.Server
	t   *testing.T
	log bytes.Buffer

	mu     sync.Mutex
	calls  []call
	answer map[string]func(http.ResponseWriter, call)
	web    http.Handler // everything beside the API
}

func newWire(t *testing.T) *wire {
	w := &wire{t: t, answer: map[string]func(http.ResponseWriter, call){}, web: http.NotFoundHandler()}
	w.Server = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(w.Close)
	w.on("session.startwidgetsession", "session/startWidgetSession")
	w.raw("caption_captionasset.list", `{"totalCount":0,"objects":[],"objectType":"KalturaCaptionAssetListResponse"}`)
	w.onFunc("apptoken.startsession", func(rw http.ResponseWriter, c call) { w.session(rw, c, "list:*", -1) })
	return w
}

// session answers startSession; kind -1 grants what was asked for.
func (w *wire) session(rw http.ResponseWriter, c call, privileges string, kind int) {
	if kind < 0 {
		kind = int(c.params["type"].(float64))
	}
	ks := userKS
	if kind == typeAdmin {
		ks = adminKS
	}
	u, _ := c.params["userId"].(string)
	expiry := w.now().Unix() + int64(c.params["expiry"].(float64))
	writeJSON(rw, map[string]any{
		"ks": ks, "sessionType": kind, "partnerId": "102", "userId": u, "expiry": expiry,
		"privileges": "sessionid:0_l3j6rvza,apptoken:0_l3j6rvza," + privileges, "objectType": "KalturaSessionInfo",
	})
}

func (w *wire) now() time.Time { return time.Now() }

func writeJSON(rw http.ResponseWriter, v any) {
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(v)
}

// on answers an action with recordings, one after the other; the last one stays.
func (w *wire) on(op string, names ...string) {
	bodies := make([]string, len(names))
	for i, n := range names {
		bodies[i] = recorded(w.t, n).Response.Body
	}
	w.raw(op, bodies...)
}

func (w *wire) raw(op string, bodies ...string) {
	var i atomic.Int64
	w.onFunc(op, func(rw http.ResponseWriter, _ call) {
		rw.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(rw, bodies[min(int(i.Add(1))-1, len(bodies)-1)])
	})
}

func (w *wire) onFunc(op string, fn func(http.ResponseWriter, call)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer[strings.ToLower(op)] = fn
}

func (w *wire) count(op string) (n int) {
	for _, c := range w.all() {
		if c.op == strings.ToLower(op) {
			n++
		}
	}
	return n
}

func (w *wire) all() []call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]call(nil), w.calls...)
}

func (w *wire) last(op string) call {
	w.t.Helper()
	all := w.all()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].op == strings.ToLower(op) {
			return all[i]
		}
	}
	w.t.Fatalf("%s was not called", op)
	return call{}
}

func (w *wire) serve(rw http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.String(), "djJ8") {
		w.t.Errorf("a KS in the address: %s", r.URL)
	}
	rest, ok := strings.CutPrefix(r.URL.Path, "/api_v3/service/")
	if !ok {
		w.web.ServeHTTP(rw, r)
		return
	}
	service, action, _ := strings.Cut(rest, "/action/")
	c := call{op: strings.ToLower(service + "." + action), Header: r.Header}
	if kind, p, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "multipart/form-data" {
		form, err := multipart.NewReader(r.Body, p["boundary"]).ReadForm(1 << 20)
		if err != nil {
			w.t.Errorf("%s: %v", c.op, err)
			return
		}
		_ = json.Unmarshal([]byte(form.Value["json"][0]), &c.params)
		f, err := form.File["fileData"][0].Open()
		if err != nil {
			w.t.Error(err)
			return
		}
		c.file, _ = io.ReadAll(f)
	} else {
		if r.Header.Get("Content-Type") != "application/json" {
			w.t.Errorf("%s: content type %q, of which Kaltura ignores the body", c.op, r.Header.Get("Content-Type"))
		}
		if err := json.NewDecoder(r.Body).Decode(&c.params); err != nil {
			w.t.Errorf("%s: %v", c.op, err)
		}
	}
	if c.params["format"] != float64(1) {
		w.t.Errorf("%s: no format, Kaltura would answer XML", c.op)
	}
	w.mu.Lock()
	w.calls = append(w.calls, c)
	fn := w.answer[c.op]
	w.mu.Unlock()
	if fn == nil {
		w.t.Errorf("unexpected call of %s", c.op)
		http.Error(rw, "", http.StatusNotImplemented)
		return
	}
	fn(rw, c)
}

// platform opens the test server as an account.
func (w *wire) platform(change ...func(*gateway.Account, *Options)) *Platform {
	w.t.Helper()
	a := gateway.Account{
		IntegrationID: "int_1", HubID: "hub_1", Platform: gateway.PlatformKaltura, ServiceURL: w.URL,
		PartnerID: 102, AppTokenID: "0_l3j6rvza", AppToken: testToken, HashType: "SHA256", MatchBy: gateway.MatchEmail,
	}
	o := Options{
		Transport: http.DefaultTransport, Clock: gateway.SystemClock,
		Log: slog.New(slog.NewJSONHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&a, &o)
	}
	p, err := New(a, o)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

var alice = gateway.Actor{HubID: "hub_1", ParticipantID: "par_1", PlatformUserID: "alice"}
