package kaltura

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"isthmus/gateway"
)

func TestOneSessionHoweverManyAsk(t *testing.T) {
	w := newWire(t)
	w.on("media.get", "media/get-ready")
	w.on("flavorasset.getByEntryId", "flavorasset/getByEntryId-ready")
	p := w.platform()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := p.Get(t.Context(), alice, "0_ibxqqyzw"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := w.count("apptoken.startSession"); n != 1 {
		t.Errorf("%d sessions were started", n)
	}
	c := w.last("apptoken.startSession")
	widget := "djJ8MTAyfKZ4YYjsD3j53zPjcC1L0M7w9qcKto1EvLu8qaq5pEjunaqlrfczGyF0kIgm-ACsiTSZN_tt5xcehw20MJjUOIqRT4f3lDRt1TLw71ipYA61"
	if c.params["tokenHash"] != tokenHash("SHA256", widget, testToken) || c.params["ks"] != widget || c.params["userId"] != "alice" || c.params["type"] != float64(0) {
		t.Errorf("startSession got %v", c.params)
	}
	for _, c := range w.all() {
		for k, v := range c.params {
			if v == testToken {
				t.Errorf("the token itself was sent to %s as %s", c.op, k)
			}
		}
	}
}

func TestSessionIsRenewedAt80Percent(t *testing.T) {
	w := newWire(t)
	w.on("media.get", "media/get-ready")
	w.raw("flavorasset.getByEntryId", "[]")
	now := time.Now()
	p := w.platform(func(_ *gateway.Account, o *Options) { o.Clock = func() time.Time { return now } })
	get := func() {
		if _, err := p.Get(t.Context(), alice, "0_ibxqqyzw"); err != nil {
			t.Fatal(err)
		}
	}
	get()
	now = now.Add(47 * time.Minute) // of an hour
	get()
	if n := w.count("apptoken.startSession"); n != 1 {
		t.Errorf("renewed too early: %d", n)
	}
	now = now.Add(2 * time.Minute)
	get()
	if n := w.count("apptoken.startSession"); n != 2 {
		t.Errorf("not renewed at 80 %%: %d", n)
	}
}

func TestExpiredSessionIsRenewedOnceAndSilently(t *testing.T) {
	w := newWire(t)
	w.on("media.get", "errors/expired-ks-json", "media/get-ready")
	w.raw("flavorasset.getByEntryId", "[]")
	if _, err := w.platform().Get(t.Context(), alice, "0_ibxqqyzw"); err != nil {
		t.Fatal(err)
	}
	if n := w.count("apptoken.startSession"); n != 2 {
		t.Errorf("%d sessions", n)
	}

	w = newWire(t)
	w.on("media.get", "errors/expired-ks-json")
	w.raw("flavorasset.getByEntryId", "[]")
	_, err := w.platform().Get(t.Context(), alice, "0_ibxqqyzw")
	if !gateway.IsReason(err, reasonCredentials) || w.count("media.get") != 2 {
		t.Errorf("%v after %d calls", err, w.count("media.get"))
	}
}

func TestMissingRightIsNoReasonToRenew(t *testing.T) {
	w := newWire(t)
	w.onFunc("apptoken.startSession", func(rw http.ResponseWriter, c call) { w.session(rw, c, "list:*", typeUser) })
	w.on("media.delete", "media/delete-user-not-owner")
	err := w.platform().Remove(t.Context(), alice, "0_ibxqqyzw")
	if gateway.CodeOf(err) != gateway.Forbidden || w.count("media.delete") != 1 {
		t.Errorf("%v after %d calls", err, w.count("media.delete"))
	}
}

func TestRefusedTokenIsNotStormed(t *testing.T) {
	for name, reason := range map[string]string{
		"apptoken/startSession-unknown-id":     "app_token_not_found",
		"apptoken/startSession-expired-token":  "app_token_expired",
		"apptoken/startSession-disabled-token": "app_token_disabled",
		"apptoken/startSession-uppercase-hash": "app_token_hash_mismatch",
	} {
		w := newWire(t)
		w.on("apptoken.startSession", name)
		p := w.platform()
		for range 5 {
			_, err := p.Browse(t.Context(), alice, gateway.Query{})
			if gateway.CodeOf(err) != gateway.Precondition || !gateway.IsReason(err, reasonCredentials) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := w.count("apptoken.startSession"); n != 1 {
			t.Errorf("%s: asked %d times", name, n)
		}
		if r, _, fix := sessionFailure(code(check("x.y", []byte(recorded(t, name).Response.Body)))); r != reason || fix == "" {
			t.Errorf("%s: reason %q, fix %q", name, r, fix)
		}
	}
}

// TestBadAnswers: whatever stands behind the address, a typed error comes out and no secret with it.
func TestBadAnswers(t *testing.T) {
	say := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	var stolen atomic.Int64
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
	defer thief.Close()
	for name, c := range map[string]struct {
		h      http.HandlerFunc
		reason string
		calls  int64 // how often an idempotent call is tried
	}{
		"html page":      {say(200, "text/html", "<!doctype html><h1>Welcome</h1>"), "not_kaltura", 3},
		"xml":            {say(200, "text/xml", recorded(t, "errors/missing-service-xml").Response.Body), "not_kaltura", 3},
		"half an object": {say(200, "application/json", `{"totalCount":5,"objects":[{"id":"0_`), "kaltura_garbled", 3},
		"nothing":        {say(200, "application/json", ""), "kaltura_garbled", 3},
		"wrong shape":    {say(200, "application/json", `"surprise"`), "kaltura_garbled", 1},
		"404":            {say(404, "text/html", "nope"), "not_kaltura", 1},
		"500":            {say(500, "text/html", "oops"), "kaltura_down", 3},
		"503 for long": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(503)
		}, "kaltura_down", 1},
		"429 for long": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(429)
		}, "kaltura_busy", 1},
		"redirect to a thief": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
		}, "not_kaltura", 1},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"x":"`)
			for line := bytes.Repeat([]byte("a"), 1<<20); ; {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
		}, "answer_too_large", 1},
		"hangs up":     {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "kaltura_down", 3},
		"internal":     {say(200, "application/json", `{"code":"INTERNAL_SERVERL_ERROR","message":"x","objectType":"KalturaAPIException","args":[]}`), "kaltura_failing", 3},
		"blocked":      {say(200, "application/json", `{"code":"ACTION_BLOCKED","message":"x","objectType":"KalturaAPIException","args":[]}`), "kaltura_busy", 3},
		"hostile code": {say(200, "application/json", `{"code":"<img onerror=alert(1)>","message":"x","objectType":"KalturaAPIException","args":{}}`), "kaltura_refused", 1},
		"wrapped":      {say(200, "application/json", `{"result":{"error":{"code":"SERVICE_FORBIDDEN","message":"x"}}}`), "kaltura_forbidden", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			var calls atomic.Int64
			w.onFunc("media.list", func(rw http.ResponseWriter, cl call) {
				calls.Add(1)
				c.h(rw, httptest.NewRequest("POST", "/", nil))
			})
			_, err := w.platform().Browse(t.Context(), alice, gateway.Query{})
			var ge *gateway.Error
			if !errors.As(err, &ge) || ge.Reason != c.reason || ge.Message == "" || ge.NextStep == "" {
				t.Fatalf("%#v", err)
			}
			if n := calls.Load(); n != c.calls {
				t.Errorf("called %d times, want %d", n, c.calls)
			}
			if s := err.Error() + w.log.String(); strings.Contains(s, "canary") || strings.Contains(s, testToken) || strings.Contains(s, "djJ8") || strings.Contains(ge.Message, "<") {
				t.Errorf("a secret or markup in %q", s)
			}
		})
	}
	t.Cleanup(func() {
		if stolen.Load() != 0 {
			t.Error("the redirect was followed")
		}
	})
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + l.Addr().String()
	_ = l.Close()
	w := newWire(t)
	p := w.platform(func(a *gateway.Account, _ *Options) { a.ServiceURL = address })
	for range 4 { // five failures in a row open the breaker
		_, err = p.Browse(t.Context(), alice, gateway.Query{})
		if gateway.CodeOf(err) != gateway.Unavailable || !gateway.IsReason(err, "kaltura_down") {
			t.Fatal(err)
		}
	}
	if !p.guard.breaker.IsOpen() {
		t.Error("the breaker is still closed")
	}
	if e := gateway.AsError(err); e.Retry <= 0 || strings.Contains(e.Error(), "djJ8") {
		t.Errorf("%#v", e)
	}
}

func TestSilenceInTheMiddleEndsARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // so that a busy machine is no silence
		pr, pw := io.Pipe()
		r := idle(pr, 20*time.Millisecond)
		go func() { _, _ = pw.Write([]byte("half")) }()
		b, err := io.ReadAll(r)
		var f *fault
		if string(b) != "half" || !errors.As(err, &f) || f.Kind != faultTimeout {
			t.Errorf("%q, %v", b, err)
		}
	})
}

func TestCancelIsNotTheServersFault(t *testing.T) {
	w := newWire(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.onFunc("media.list", func(rw http.ResponseWriter, _ call) { cancel(); panic(http.ErrAbortHandler) })
	p := w.platform()
	if _, err := p.Browse(ctx, alice, gateway.Query{}); err == nil {
		t.Fatal("no error")
	}
	if n := p.guard.breaker.Metrics().Failures(); n > 1 {
		t.Errorf("%d failures counted", n)
	}
}

func TestAccountsThatCannotBeRight(t *testing.T) {
	good := gateway.Account{ServiceURL: "https://www.kaltura.com", PartnerID: 102, AppTokenID: "0_l3j6rvza", AppToken: testToken, HashType: "SHA-256"}
	if _, err := New(good, Options{}); err != nil {
		t.Fatal(err)
	}
	for reason, change := range map[string]func(*gateway.Account){
		"partner_id_invalid":    func(a *gateway.Account) { a.PartnerID = 0 },
		"app_token_id_invalid":  func(a *gateway.Account) { a.AppTokenID = "0_x/../y" },
		"app_token_missing":     func(a *gateway.Account) { a.AppToken = "" },
		"hash_type_unknown":     func(a *gateway.Account) { a.HashType = "CRC32" },
		"service_url_malformed": func(a *gateway.Account) { a.ServiceURL = "" },
	} {
		a := good
		change(&a)
		if _, err := New(a, Options{}); !gateway.IsReason(err, reason) {
			t.Errorf("%s: %v", reason, err)
		}
	}
}

// A session may go to hosts of the account's own domain only.
func TestDomain(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"www.kaltura.com", "upload.kaltura.com", true},
		{"www.kaltura.com", "www.kaltura.org", false},
		{"media.oxford.ac.uk", "media.evil.ac.uk", false},
		{"media.oxford.ac.uk", "up.oxford.ac.uk", true},
		{"10.1.2.3", "10.1.2.3", true},
		{"10.1.2.3", "198.51.2.3", false},
		{"::1", "::2", false},
	} {
		if got := domain(c.a) == domain(c.b); got != c.same {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}
