package integrations_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"isthmus/gateway"
	"isthmus/integrations"
	"isthmus/store/storetest"
)

func probe(t *testing.T, p gateway.Platform, v gateway.Visibility) (gateway.Diagnosis, map[gateway.CheckID]gateway.Check) {
	t.Helper()
	d, err := p.(gateway.Prober).Probe(t.Context(), v)
	must(t, err)
	by := map[gateway.CheckID]gateway.Check{}
	for _, c := range d.Checks {
		by[c.ID] = c
		if c.State == "failed" && (c.Reason == "" || c.Text == "" || c.Fix == "") {
			t.Errorf("%+v does not say what to do", c)
		}
	}
	if len(by) != 7 {
		t.Errorf("%d checks", len(by))
	}
	return d, by
}

func TestDiagnosisOfTokens(t *testing.T) {
	e := newEmbedded(t, storetest.SQLite(t))
	for name, c := range map[string]struct {
		token       map[string]any
		visibility  gateway.Visibility
		sessionType string
		fixed       string
		failed      []gateway.CheckID // whether needed or not
		needed      []gateway.CheckID
		warning     string
	}{
		"as the wizard asks, shared":    {token: map[string]any{"sessionPrivileges": "list:*,sview:*,edit:*"}, visibility: "shared", sessionType: "user", warning: "no sessionType"},
		"no list:*, but admin sessions": {token: map[string]any{"sessionPrivileges": "sview:*"}, visibility: "shared", sessionType: "user", warning: "no sessionType"},
		"user type without list:*": {
			token: map[string]any{"sessionType": 0, "sessionPrivileges": "sview:*"}, visibility: "shared", sessionType: "user",
			failed: []gateway.CheckID{"list_all", "create_user", "set_tags"}, needed: []gateway.CheckID{"list_all", "create_user"},
		},
		"user type, own": {
			token: map[string]any{"sessionType": 0}, visibility: "own", sessionType: "user",
			failed: []gateway.CheckID{"list_all", "create_user", "set_tags"}, needed: []gateway.CheckID{"create_user"}, warning: "sview",
		},
		"own with more than it needs": {token: map[string]any{"sessionPrivileges": "list:*,sview:*"}, visibility: "own", sessionType: "user", warning: "does not need"},
		"admin type":                  {token: map[string]any{"sessionType": 2}, visibility: "shared", sessionType: "admin"},
		"bound to a user":             {token: map[string]any{"sessionUserId": "service-user", "sessionPrivileges": "list:*,sview:*"}, visibility: "own", sessionType: "user", fixed: "service-user"},
		"weak hash":                   {token: map[string]any{"hashType": "MD5", "sessionPrivileges": "list:*,sview:*"}, visibility: "shared", sessionType: "user", warning: "MD5"},
	} {
		t.Run(name, func(t *testing.T) {
			d, by := probe(t, e.open(e.token(c.token)), c.visibility)
			if d.SessionType != c.sessionType || d.FixedUser != c.fixed {
				t.Errorf("session type %q, fixed user %q", d.SessionType, d.FixedUser)
			}
			for id, check := range by {
				if got := check.State == "failed"; got != slices.Contains(c.failed, id) {
					t.Errorf("%+v", check)
				}
			}
			var needed []gateway.CheckID
			for _, f := range d.Failed() {
				needed = append(needed, f.ID)
			}
			if !slices.Equal(needed, c.needed) {
				t.Errorf("needed and failed: %v, want %v", needed, c.needed)
			}
			if all := strings.Join(d.Warnings, "\n"); c.warning != "" && !strings.Contains(all, c.warning) {
				t.Errorf("warnings %q lack %q", all, c.warning)
			}
			if by["create_user"].State == "failed" && by["create_user"].Reason != gateway.ReasonUserToken {
				t.Errorf("%+v", by["create_user"])
			}
		})
	}
	for what, filter := range map[string]string{"media.list": "statusIn", "uploadToken.list": "statusIn"} {
		if n := e.api(e.adminKS(), what, map[string]any{"filter": map[string]any{filter: "-2,-1,0,1,2,4,5,6,7"}})["totalCount"]; n != 0.0 {
			t.Errorf("the checks left %v rows in %s", n, what)
		}
	}
	if n := e.api(e.adminKS(), "user.list", map[string]any{"filter": map[string]any{"idIn": "isthmus-check"}})["totalCount"]; n != 0.0 {
		t.Error("the checks made a user")
	}
	if s := e.log.String(); strings.Contains(s, "djJ8") {
		t.Error("a KS in the log")
	}
}

func TestDiagnosisOfWhatCannotWork(t *testing.T) {
	e := newEmbedded(t, storetest.SQLite(t))
	good := e.token(map[string]any{"sessionPrivileges": "list:*,sview:*"})
	for reason, change := range map[string]func(*gateway.Account){
		"app_token_not_found":     func(a *gateway.Account) { a.AppTokenID = "0_zzzzzzzz" },
		"app_token_hash_mismatch": func(a *gateway.Account) { a.AppToken = "00000000000000000000000000000000" },
		"partner_unknown":         func(a *gateway.Account) { a.PartnerID = 999999 },
	} {
		a := good
		change(&a)
		d, by := probe(t, e.open(a), gateway.VisibilityShared)
		if c := by["session"]; c.Reason != reason || !c.Needed || d.SessionType != "" {
			t.Errorf("%s: %+v", reason, c)
		}
		if by["reach"].State != "ok" || by["upload"].State != "skipped" {
			t.Errorf("%s: %+v", reason, by)
		}
	}
	wrongType := good
	wrongType.HashType = "SHA512"
	_, by := probe(t, e.open(wrongType), gateway.VisibilityShared)
	if c := by["session"]; c.Reason != "app_token_hash_mismatch" || !strings.Contains(c.Fix, "SHA256") {
		t.Errorf("a wrong hash type: %+v", c)
	}
	expired := e.token(map[string]any{"expiry": 1700000000})
	if _, by := probe(t, e.open(expired), gateway.VisibilityShared); by["session"].Reason != "app_token_expired" {
		t.Errorf("expired: %+v", by["session"])
	}
}

func TestDiagnosisOfOtherServers(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, closed.Close())
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	say := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	for name, c := range map[string]struct{ url, reason string }{
		"nobody":      {"http://" + closed.Addr().String(), "unreachable"},
		"a web site":  {say(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<!doctype html>")) }), "not_kaltura"},
		"404":         {say(http.NotFound), "not_kaltura"},
		"another API": {say(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"ok":true}`)) }), "not_kaltura"},
		"a redirect": {say(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://www.kaltura.com", http.StatusFound)
		}), "not_kaltura"},
		"bad TLS":      {secure.URL, "tls_invalid"},
		"falling down": {say(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }), "kaltura_down"},
	} {
		r := integrations.New(integrations.Options{Outbound: &http.Client{Transport: http.DefaultTransport}, CheckURL: func(s string) (string, error) { return s, nil }})
		a := account
		a.ServiceURL = c.url
		p, err := r.Open(a)
		must(t, err)
		if _, by := probe(t, p, gateway.VisibilityShared); by["reach"].Reason != c.reason || by["session"].State != "skipped" {
			t.Errorf("%s: %+v", name, by["reach"])
		}
	}
}

// TestRestrictedPlayback: media whose access control profile wants a session gets one that can play
// this entry and do nothing else, and only then.
func TestRestrictedPlayback(t *testing.T) {
	e := newEmbedded(t, storetest.SQLite(t))
	video, picture := clips(t)
	admin := e.adminKS()
	profile := e.api(admin, "accessControl.add", map[string]any{"accessControl": map[string]any{
		"objectType": "KalturaAccessControl", "name": "locked",
		"restrictions": []any{map[string]any{"objectType": "KalturaSessionRestriction"}},
	}})["id"]
	a := e.token(map[string]any{"sessionPrivileges": "list:*,edit:*,sview:*"})
	for kind, file := range map[gateway.MediaType]string{gateway.Video: video, gateway.Image: picture} {
		data, err := os.ReadFile(file)
		must(t, err)
		m := gateway.NewMedia{ReferenceID: gateway.NewID("upl"), Name: "locked", FileName: file, Size: int64(len(data)), Type: kind}
		made := relay(t, func() gateway.Platform { return e.open(a) }, m, data)
		p := e.open(a)
		for made.Status != gateway.MediaReady {
			made, err = p.Get(t.Context(), alice, made.ID)
			must(t, err)
		}
		address := func(pb gateway.Playback) string { return pb.DASH + pb.Image }
		free, err := p.(gateway.Player).Playback(t.Context(), alice, made)
		must(t, err)
		if address(free) == "" || strings.Contains(address(free), "ks=") {
			t.Errorf("%s: a session without need in %s", kind, address(free))
		}
		e.api(admin, "media.update", map[string]any{"entryId": made.ID, "mediaEntry": map[string]any{"accessControlId": profile}})
		pb, err := p.(gateway.Player).Playback(t.Context(), alice, made)
		must(t, err)
		u, err := url.Parse(address(pb))
		must(t, err)
		ks := u.Query().Get("ks")
		if ks == "" {
			t.Fatalf("%s: no session in %s", kind, u.Path)
		}
		for _, op := range []string{"media.list", "uploadToken.list"} {
			if n := e.api(ks, op, map[string]any{})["totalCount"]; n != 0.0 {
				t.Errorf("%s: the viewer's session lists %v through %s", kind, n, op)
			}
		}
		if out := e.try(ks, "media.update", map[string]any{"entryId": made.ID, "mediaEntry": map[string]any{"name": "mine"}}); out["code"] != "INVALID_KS" {
			t.Errorf("%s: the viewer's session edits: %v", kind, out["code"])
		}
		body, err := p.Open(t.Context(), alice, made.ID, gateway.RenditionOriginal, gateway.Range{End: 10})
		must(t, err)
		_ = body.Close()
		// A token that cannot narrow its sessions hands none out.
		for what, token := range map[string]map[string]any{
			"admin type":      {"sessionType": 2},
			"everything":      {"sessionPrivileges": "*"},
			"edits one entry": {"sessionPrivileges": "list:*,sview:*,edit:" + made.ID},
			"bound to a user": {"sessionPrivileges": "list:*,sview:*", "sessionUserId": "service-user"},
			"no sview":        {"sessionPrivileges": "list:*"},
		} {
			wide := e.open(e.token(token))
			if _, err := wide.(gateway.Player).Playback(t.Context(), alice, made); !gateway.IsReason(err, "playback_restricted") {
				t.Errorf("%s, %s: %v", kind, what, err)
			}
		}
	}
}
