package api_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"

	"isthmus/gateway"
	"isthmus/openapi"
	"isthmus/store"
	"isthmus/store/storetest"
)

func sha256Hex(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }

// Kaltura's notification, sent by a real HTTP client: it makes us look and nothing else.
func TestKalturaNotifications(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		db := storetest.Open(t, o)
		raw := storetest.SQL(t, o)
		looks := func(kind, has string) (n int) { // tasks that wait
			t.Helper()
			q := "SELECT count(*) FROM river_job WHERE kind = '" + kind + "' AND CAST(args AS text) LIKE '%" + has + "%'"
			if err := raw.QueryRowContext(t.Context(), q).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		r := newRigOn(t, db)
		admin, hub := connected(t, r, "shared")
		path := hub + "/integrations/kaltura/notifications"
		kaltura := r.anonymous()

		var hook openapi.NotificationHook
		admin.want(200, "GET", path, nil).into(t, &hook)
		address := strings.TrimPrefix(hook.URL, r.base)
		if hook.Active || hook.Secret != nil || !strings.HasPrefix(address, "/v1/hooks/kaltura/") {
			t.Fatalf("%+v", hook)
		}
		integration := strings.TrimPrefix(address, "/v1/hooks/kaltura/")
		const entry, other, waiting = "0_abcd1234", "1_zyxw9876", "0_upld0001"
		items := map[string]string{}
		for _, id := range []string{entry, other} {
			it := gateway.LibraryItem{
				Row: gateway.Row{ID: gateway.NewID("lib"), HubID: r.hub["bio"]}, IntegrationID: integration, EntryID: id,
				Kind: gateway.ItemLink, Name: "clip", Type: gateway.Video, State: gateway.ItemReady,
			}
			if err := db.Library().Insert(t.Context(), &it); err != nil {
				t.Fatal(err)
			}
			items[id] = it.ID
		}
		up := gateway.Upload{
			Row: gateway.Row{ID: gateway.NewID("upl"), HubID: r.hub["bio"]}, IntegrationID: integration, EntryID: waiting, State: gateway.UploadProcessing,
		}
		if err := db.Uploads().Insert(t.Context(), &up); err != nil {
			t.Fatal(err)
		}
		body := `{"objectType":"KalturaHttpNotification","eventObjectType":1,"eventNotificationJobId":42,"object":{"objectType":"KalturaMediaEntry","id":"` + entry + `","status":2,"name":"lies"}}`

		// Without a secret nothing is taken, whoever signs with whatever, and all refusals look the same.
		refused := kaltura.want(403, "POST", address, body, "Content-Type", "application/json", "X-KALTURA-SIGNATURE", sha256Hex(body)).problem(t)
		strangers := kaltura.want(403, "POST", "/v1/hooks/kaltura/int_nobody", body, "Content-Type", "application/json", "X-KALTURA-SIGNATURE", sha256Hex(body)).problem(t)
		var made openapi.NotificationHook
		answered := admin.want(201, "POST", path, nil)
		answered.into(t, &made)
		if made.Secret == nil || len(*made.Secret) < 40 || !made.Active || !strings.Contains(answered.Header.Get("Cache-Control"), "no-store") {
			t.Fatalf("%+v", made)
		}
		secret := *made.Secret
		wrong := kaltura.want(403, "POST", address, body, "Content-Type", "application/json", "X-KALTURA-SIGNATURE", sha256Hex("guess"+body)).problem(t)
		if refused.Code != wrong.Code || refused.Code != strangers.Code || *refused.Detail != *wrong.Detail || *refused.Detail != *strangers.Detail {
			t.Error("the answers tell what was wrong")
		}
		for name, header := range map[string][]string{
			"none": nil, "empty": {"X-KALTURA-SIGNATURE", ""}, "no hex": {"X-KALTURA-SIGNATURE", "zz"}, "of another body": {"X-KALTURA-SIGNATURE", sha256Hex(secret + body + " ")},
			"hmac order": {"X-KALTURA-SIGNATURE", sha256Hex(body + secret)}, "weak": {"X-KALTURA-HASH-ALGO", "sha1", "X-KALTURA-SIGNATURE", sha256Hex(secret + body)},
		} {
			if a := kaltura.do("POST", address, body, append([]string{"Content-Type", "application/json"}, header...)...); a.StatusCode != 403 {
				t.Errorf("%s: %d", name, a.StatusCode)
			}
		}
		if n := looks("look_at_entry", ""); n != 0 {
			t.Fatalf("%d looks because of what was refused", n)
		}

		// As Kaltura sends it, whatever the format; repeated, it is the same look.
		send := func(kind, body string) {
			t.Helper()
			kaltura.want(204, "POST", address, body, "Content-Type", kind, "X-KALTURA-SIGNATURE", sha256Hex(secret+body), "X-KALTURA-HASH-ALGO", "sha256")
		}
		for range 3 {
			send("application/json", body)
		}
		if n := looks("look_at_entry", entry); n != 1 {
			t.Errorf("%d looks", n)
		}
		form := "data=" + url.QueryEscape(`<?xml version="1.0"?><xml><object><objectType>KalturaMediaEntry</objectType><id>`+other+`</id></object></xml>`)
		send("application/x-www-form-urlencoded", form)
		if n := looks("look_at_entry", other); n != 1 {
			t.Errorf("%d looks", n)
		}
		php := "data=" + url.QueryEscape(`O:23:"KalturaHttpNotification":1:{s:6:"object";O:17:"KalturaMediaEntry":1:{s:2:"id";s:10:"`+waiting+`";}}`)
		send("application/x-www-form-urlencoded", php)
		if n := looks("watch_upload", up.ID); n != 1 {
			t.Errorf("%d looks at the upload", n)
		}
		// What we do not know is taken and forgotten; so is what is no notification at all.
		for _, unknown := range []string{`{"object":{"id":"0_unknown1"}}`, "", "\x00\xff not JSON", strings.Repeat("[", 5000)} {
			send("application/json", unknown)
		}
		if n := looks("look_at_entry", ""); n != 2 {
			t.Errorf("%d looks", n)
		}
		if it, err := db.Library().Get(t.Context(), gateway.AnyHub, items[entry]); err != nil || it.Name != "clip" || it.Version != 1 {
			t.Errorf("what a notification says was believed: %+v, %v", it, err)
		}
		h := sha512.Sum512([]byte(secret + body))
		kaltura.want(204, "POST", address, body, "X-KALTURA-SIGNATURE", strings.ToUpper(hex.EncodeToString(h[:])), "X-KALTURA-HASH-ALGO", "SHA512")

		// Too long, signed or not.
		for _, n := range []int{gateway.MaxNotification + 1, 2 << 20} {
			huge := strings.Repeat("x", n)
			kaltura.want(413, "POST", address, huge, "X-KALTURA-SIGNATURE", sha256Hex(secret+huge))
		}

		// Another hub's address takes nothing with this secret.
		eve := r.signIn("eve@example.org")
		theirs := "/v1/hubs/" + r.hub["other"] + "/integrations/kaltura"
		eve.want(200, "PUT", theirs, r.appToken("shared"))
		var evil openapi.NotificationHook
		eve.want(201, "POST", theirs+"/notifications", nil).into(t, &evil)
		kaltura.want(403, "POST", strings.TrimPrefix(evil.URL, r.base), body, "X-KALTURA-SIGNATURE", sha256Hex(secret+body))
		before := looks("look_at_entry", "")
		kaltura.want(204, "POST", strings.TrimPrefix(evil.URL, r.base), body, "X-KALTURA-SIGNATURE", sha256Hex(*evil.Secret+body))
		if looks("look_at_entry", "") != before {
			t.Error("a hub's notification made us look at another hub's entry")
		}
		r.signIn("pat@example.org").want(403, "POST", path, nil)
		eve.want(404, "POST", path, nil)

		// Rotated: the former secret is worth nothing. Removed: none is.
		var again openapi.NotificationHook
		admin.want(201, "POST", path, nil).into(t, &again)
		kaltura.want(403, "POST", address, body, "X-KALTURA-SIGNATURE", sha256Hex(secret+body))
		kaltura.want(204, "POST", address, body, "X-KALTURA-SIGNATURE", sha256Hex(*again.Secret+body))
		shown := admin.want(200, "GET", path, nil)
		shown.into(t, &hook)
		if !hook.Active || hook.LastAt == nil || hook.MadeAt == nil || strings.Contains(string(shown.body), *again.Secret) {
			t.Errorf("%+v", hook)
		}
		// A storm is slowed down, and the sender told when to come back.
		limited := false
		for range 1500 { // 300 and what a slow machine regains meanwhile
			a := kaltura.do("POST", address, body, "X-KALTURA-SIGNATURE", sha256Hex(*again.Secret+body))
			if limited = a.StatusCode == 429; limited {
				if a.Header.Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
				break
			}
		}
		if !limited {
			t.Error("a storm goes through")
		}
		tag := admin.want(200, "GET", path, nil).Header.Get("ETag")
		admin.want(428, "DELETE", path, nil)
		admin.want(412, "DELETE", path, nil, "If-Match", made.Etag) // of the first secret
		admin.want(204, "DELETE", path, nil, "If-Match", tag)
		admin.want(412, "DELETE", path, nil, "If-Match", tag)
		kaltura.want(403, "POST", address, body, "X-KALTURA-SIGNATURE", sha256Hex(*again.Secret+body))
		for _, s := range []string{secret, *again.Secret, *evil.Secret} {
			if strings.Contains(r.log.String(), s) {
				t.Error("a secret is in the log")
			}
		}
	})
}

// Wrong signatures, of whomever and however many, keep nobody's right notification out and nobody
// from signing in: all hubs' notifications may come from one address.
func TestWrongNotificationsLockNobodyOut(t *testing.T) {
	r := newRigOn(t, storetest.SQLite(t))
	admin, hub := connected(t, r, "shared")
	kaltura := r.anonymous()
	var hook openapi.NotificationHook
	admin.want(201, "POST", hub+"/integrations/kaltura/notifications", nil).into(t, &hook)
	address := strings.TrimPrefix(hook.URL, r.base)
	const body = `{"object":{"id":"0_abcd1234"}}`
	for range 150 { // more than an address has wrong attempts
		kaltura.want(403, "POST", address, body, "X-KALTURA-SIGNATURE", sha256Hex("guess"+body))
		kaltura.want(403, "POST", "/v1/hooks/kaltura/int_nobody", body, "X-KALTURA-SIGNATURE", sha256Hex("guess"+body))
	}
	kaltura.want(204, "POST", address, body, "X-KALTURA-SIGNATURE", sha256Hex(*hook.Secret+body))
	a := kaltura.do("POST", "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"cli_nobody"}, "client_secret": {"x"}})
	if a.StatusCode != 401 {
		t.Errorf("a client that signs in from there gets %d %s", a.StatusCode, a.body)
	}
}
