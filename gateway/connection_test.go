package gateway

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

func good() Connection {
	return Connection{
		ServiceURL: "https://www.kaltura.com", PartnerID: 102, AppTokenID: "0_ab12cd34",
		AppToken: "0123456789abcdef0123456789abcdef", HashType: "SHA256", Visibility: VisibilityShared,
	}
}

func TestConnectionChecked(t *testing.T) {
	with := func(f func(*Connection)) Connection { c := good(); f(&c); return c }
	for _, c := range []struct {
		name  string
		c     Connection
		field string
	}{
		{"good", good(), ""},
		{"pasted with blanks", with(func(c *Connection) { c.AppToken += " \r\n"; c.AppTokenID = " " + c.AppTokenID }), ""},
		{"hash type as people write it", with(func(c *Connection) { c.HashType = "sha-256" }), ""},
		{"no address", with(func(c *Connection) { c.ServiceURL = "" }), "/service_url"},
		{"not an address", with(func(c *Connection) { c.ServiceURL = "kaltura" }), "/service_url"},
		{"a file", with(func(c *Connection) { c.ServiceURL = "file:///etc/passwd" }), "/service_url"},
		{"a password in it", with(func(c *Connection) { c.ServiceURL = "https://a:b@kaltura.com" }), "/service_url"},
		{"a query in it", with(func(c *Connection) { c.ServiceURL = "https://kaltura.com/?ks=1" }), "/service_url"},
		{"only a port", with(func(c *Connection) { c.ServiceURL = "https://:443" }), "/service_url"},
		{"no partner", with(func(c *Connection) { c.PartnerID = 0 }), "/partner_id"},
		{"negative partner", with(func(c *Connection) { c.PartnerID = -5 }), "/partner_id"},
		{"no token id", with(func(c *Connection) { c.AppTokenID = "" }), "/app_token_id"},
		{"odd token id", with(func(c *Connection) { c.AppTokenID = "0_ab'--" }), "/app_token_id"},
		{"no token", with(func(c *Connection) { c.AppToken = "" }), "/app_token"},
		{"a sentence as token", with(func(c *Connection) { c.AppToken = "see my mail" }), "/app_token"},
		{"odd hash", with(func(c *Connection) { c.HashType = "CRC32" }), "/hash_type"},
		{"no visibility", with(func(c *Connection) { c.Visibility = "" }), "/visibility"},
		{"odd mapping", with(func(c *Connection) { c.MappingMode = "maybe" }), "/mapping_mode"},
		{"odd match", with(func(c *Connection) { c.MatchBy = "guess" }), "/match_by"},
	} {
		got, err := c.c.checked()
		if c.field == "" {
			if err != nil || got.HashType != "SHA256" || got.MappingMode != MappingOnFirstUse || got.MatchBy != MatchEmail || got.AppToken != good().AppToken || got.AppTokenID != good().AppTokenID {
				t.Errorf("%s: %+v, %v", c.name, got, err)
			}
			continue
		}
		if e := AsError(err); e == nil || e.Code != Invalid || e.Field != c.field || e.NextStep == "" {
			t.Errorf("%s: %v, want a problem at %s", c.name, err, c.field)
		}
		if err != nil && c.c.AppToken != "" && strings.Contains(err.Error(), c.c.AppToken.Reveal()) {
			t.Errorf("%s: the token is in the message", c.name)
		}
	}
}

func TestNormalURL(t *testing.T) {
	for in, want := range map[string]string{
		"https://www.kaltura.com":                   "https://www.kaltura.com",
		"HTTPS://WWW.Kaltura.COM/":                  "https://www.kaltura.com",
		"https://www.kaltura.com/api_v3/":           "https://www.kaltura.com",
		"https://www.kaltura.com/api_v3/index.php":  "https://www.kaltura.com",
		"http://127.0.0.1:8080/kaltura/":            "http://127.0.0.1:8080/kaltura",
		"https://media.example.org/Kaltura/api_v3/": "https://media.example.org/Kaltura",
	} {
		if got, err := normalURL(in); err != nil || got != want {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
}

func TestConnectionRefuse(t *testing.T) {
	ok := func(id CheckID) Check { return Check{ID: id, State: "ok", Needed: true} }
	failed := func(id CheckID, reason string) Check {
		return Check{ID: id, State: "failed", Needed: true, Reason: reason, Text: "It does not.", Fix: "Do this."}
	}
	working := []Check{ok(CheckReach), ok(CheckSession), ok(CheckListOwn), ok(CheckListAll), ok(CheckCreateUser), ok(CheckUpload), ok(CheckSetTags)}
	userOnly := []Check{ok(CheckReach), ok(CheckSession), ok(CheckListOwn), failed(CheckCreateUser, ReasonUserToken), ok(CheckUpload)}
	for _, c := range []struct {
		name   string
		vis    Visibility
		match  MatchBy
		mode   MappingMode
		d      Diagnosis
		reason string
		field  string
	}{
		{"shared, all well", VisibilityShared, MatchEmail, MappingOnFirstUse, Diagnosis{SessionType: "user", Checks: working}, "", ""},
		{"own, all well", VisibilityOwn, MatchEmail, MappingOnFirstUse, Diagnosis{SessionType: "user", Checks: working}, "", ""},
		{"own, bound to a user", VisibilityOwn, MatchEmail, MappingOnFirstUse, Diagnosis{SessionType: "user", FixedUser: "pat", Checks: working}, "fixed_user_in_own_mode", "/app_token_id"},
		{"shared, bound to a user", VisibilityShared, MatchEmail, MappingOnFirstUse, Diagnosis{SessionType: "user", FixedUser: "pat", Checks: working}, "", ""},
		{"own, admin sessions", VisibilityOwn, MatchEmail, MappingOnFirstUse, Diagnosis{SessionType: "admin", Checks: working}, "admin_session_in_own_mode", "/app_token_id"},
		{"shared, admin sessions", VisibilityShared, MatchEmail, MappingOnFirstUse, Diagnosis{SessionType: "admin", Checks: working}, "", ""},
		{"own, bound and admin: the first to repair", VisibilityOwn, MatchEmail, MappingOnFirstUse, Diagnosis{SessionType: "admin", FixedUser: "pat", Checks: working}, "fixed_user_in_own_mode", "/app_token_id"},
		{"user sessions only, by e-mail", VisibilityOwn, MatchEmail, MappingOnFirstUse, Diagnosis{SessionType: "user", Checks: userOnly}, "match_by_user_id_only", "/match_by"},
		{"user sessions only, by e-mail, shared", VisibilityShared, MatchEmail, MappingApproval, Diagnosis{SessionType: "user", Checks: userOnly}, "match_by_user_id_only", "/match_by"},
		{"user sessions only, by user id", VisibilityOwn, MatchUserID, MappingOnFirstUse, Diagnosis{SessionType: "user", Checks: userOnly}, "", ""},
		{"user sessions only, no mapping", VisibilityShared, MatchEmail, MappingOff, Diagnosis{SessionType: "user", Checks: userOnly}, "", ""},
		{"may not manage users, by e-mail", VisibilityOwn, MatchEmail, MappingOnFirstUse, Diagnosis{SessionType: "user", Checks: []Check{ok(CheckSession), failed(CheckCreateUser, "forbidden")}}, "forbidden", "/app_token_id"},
		{"no answer", VisibilityOwn, MatchEmail, MappingOnFirstUse, Diagnosis{FixedUser: "", Checks: []Check{failed(CheckReach, "not_json")}}, "not_json", "/service_url"},
		{"wrong token", VisibilityOwn, MatchEmail, MappingOnFirstUse, Diagnosis{Checks: []Check{ok(CheckReach), failed(CheckSession, "wrong_token")}}, "wrong_token", "/app_token"},
		{"cannot list all", VisibilityShared, MatchEmail, MappingOnFirstUse, Diagnosis{SessionType: "user", Checks: []Check{ok(CheckReach), ok(CheckSession), failed(CheckListAll, "no_list")}}, "no_list", "/app_token_id"},
		{"a check without a slug", VisibilityShared, MatchEmail, MappingOnFirstUse, Diagnosis{SessionType: "user", Checks: []Check{failed(CheckUpload, "")}}, "check_upload", "/app_token_id"},
		{"what is not needed may fail", VisibilityShared, MatchEmail, MappingOnFirstUse, Diagnosis{SessionType: "user", Checks: []Check{{ID: CheckSetTags, State: "failed"}}}, "", ""},
	} {
		conn := good()
		conn.Visibility, conn.MatchBy, conn.MappingMode = c.vis, c.match, c.mode
		err := conn.refuse(c.d)
		if c.reason == "" {
			if err != nil {
				t.Errorf("%s: refused with %v", c.name, err)
			}
			continue
		}
		if e := AsError(err); e == nil || e.Code != Invalid || e.Reason != c.reason || e.Field != c.field || e.Message == "" || e.NextStep == "" {
			t.Errorf("%s: got %v, want %s at %s", c.name, err, c.reason, c.field)
		}
	}
}

func TestConnectionOver(t *testing.T) {
	saved := Integration{
		ServiceURL: "https://www.kaltura.com", PartnerID: 102, AppTokenID: "0_ab12cd34", HashType: "SHA512",
		Visibility: VisibilityOwn, MappingMode: MappingApproval, MatchBy: MatchUserID,
	}
	opened := 0
	token := func() (Secret, error) { opened++; return "saved-token", nil }
	got, err := Connection{}.over(saved, token, token)
	if err != nil || got.AppToken != "saved-token" || got.HashType != "SHA512" || got.Visibility != VisibilityOwn || got.MappingMode != MappingApproval || got.MatchBy != MatchUserID {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := (Connection{ServiceURL: "https://www.kaltura.com/"}).over(saved, token, token); err != nil {
		t.Fatalf("the same address written otherwise: %v", err)
	}
	opened = 0
	for name, c := range map[string]Connection{
		"another server":   {ServiceURL: "https://evil.example.org"},
		"another account":  {PartnerID: 103},
		"another token id": {AppTokenID: "0_zzzzzzzz"},
	} {
		_, err := c.over(saved, token, token)
		if !IsReason(err, "token_required") || opened != 0 {
			t.Errorf("%s: the saved token was used (%v)", name, err)
		}
	}
	got, err = Connection{AppTokenID: "0_new00000", AppToken: "new"}.over(saved, token, token)
	if err != nil || opened != 0 || got.AppToken != "new" || got.HashType != "" {
		t.Fatalf("rotation: %+v, %v", got, err)
	}
}

func TestConnectionAdvise(t *testing.T) {
	for hash, want := range map[string]string{"MD5": "MD5", "SHA1": "SHA1", "SHA256": "", "SHA512": ""} {
		c := good()
		c.HashType = hash
		d := c.advise(Diagnosis{})
		if (want == "") != (len(d.Warnings) == 0) || (want != "" && !strings.Contains(d.Warnings[0], want)) {
			t.Errorf("%s: %v", hash, d.Warnings)
		}
		if again := c.advise(d); len(again.Warnings) != len(d.Warnings) {
			t.Errorf("%s: said twice", hash)
		}
		if c.refuse(d) != nil {
			t.Errorf("%s: a weak hash is not refused", hash)
		}
	}
}

func TestTokenRequest(t *testing.T) {
	for v, privileges := range map[Visibility]string{VisibilityShared: "list:*,sview:*", VisibilityOwn: "sview:*"} {
		req, err := tokenRequest("L'École <b>", "https://media.example.org/api_v3/", TokenWish{Visibility: v})
		if err != nil {
			t.Fatal(err)
		}
		if req.URL != "https://media.example.org/api_v3/service/apptoken/action/add" {
			t.Error(req.URL)
		}
		var body struct {
			KS       string         `json:"ks"`
			AppToken map[string]any `json:"appToken"`
		}
		if err := json.Unmarshal([]byte(req.Body), &body); err != nil {
			t.Fatal(err)
		}
		if body.AppToken["hashType"] != "SHA256" || body.AppToken["sessionPrivileges"] != privileges || body.KS != adminKS {
			t.Errorf("%s: %s", v, req.Body)
		}
		for _, absent := range []string{"sessionUserId", "sessionType", "expiry"} {
			if _, there := body.AppToken[absent]; there {
				t.Errorf("%s: %s is set", v, absent)
			}
		}
		all := strings.Join(req.Explain, "\n")
		for _, field := range []string{"ks:", "hashType:", "sessionPrivileges:", "sessionDuration:", "description:", "sessionUserId ", "sessionType ", "expiry "} {
			if !strings.Contains(all, field) {
				t.Errorf("%s is not explained", field)
			}
		}
		// What a shell makes of the line is what we meant, apostrophe and all.
		out, err := exec.Command("sh", "-c", "curl() { printf '%s\\n' \"$@\"; }; "+req.Curl).Output()
		if err != nil {
			t.Fatal(err)
		}
		args := strings.Split(strings.TrimSpace(string(out)), "\n")
		if args[len(args)-1] != req.URL {
			t.Errorf("curl would ask %s", args[len(args)-1])
		}
		var sent struct {
			AppToken map[string]any `json:"appToken"`
		}
		if err := json.Unmarshal([]byte(args[len(args)-2]), &sent); err != nil || sent.AppToken["description"] != body.AppToken["description"] {
			t.Errorf("curl would send %s (%v)", args[len(args)-2], err)
		}
	}
	if req, err := tokenRequest("Hub", "", TokenWish{Visibility: VisibilityShared}); err != nil || !strings.HasPrefix(req.URL, "https://www.kaltura.com/") {
		t.Error(req.URL, err)
	}
	if _, err := tokenRequest("Hub", "", TokenWish{Visibility: "both"}); AsError(err) == nil || AsError(err).Field != "/visibility" {
		t.Error(err)
	}
}

func TestUserIDFor(t *testing.T) {
	long := strings.Repeat("a", 60) + "@example.org"
	for _, c := range []struct{ email, want string }{
		{"Ada@Example.org", "ada@example.org"},
		{" ada+x@example.org ", "ada+x@example.org"},
	} {
		if got := userIDFor(c.email); got != c.want {
			t.Errorf("%q: %q", c.email, got)
		}
	}
	for _, email := range []string{long, "jürgen@example.org", "a/b@example.org", `"a b"@example.org`} {
		got := userIDFor(email)
		if !validUserID(got) || !strings.HasPrefix(got, "isthmus-") || got != userIDFor(strings.ToUpper(email)) || got == userIDFor("x"+email) {
			t.Errorf("%q: %q", email, got)
		}
	}
}

func TestSplitName(t *testing.T) {
	for _, c := range []struct{ name, first, last string }{
		{"Ada Lovelace", "Ada", "Lovelace"},
		{"Ada  King Lovelace", "Ada King", "Lovelace"},
		{"Lovelace, Ada", "Ada", "Lovelace"},
		{"Plato", "Plato", ""},
		{"", "ada", ""},
		{"see http://spam.example", "see http", "spam.example"},
	} {
		if f, l := splitName(c.name, "ada@example.org"); f != c.first || l != c.last {
			t.Errorf("%q: %q, %q", c.name, f, l)
		}
	}
}

func TestHealthOf(t *testing.T) {
	for _, c := range []struct {
		name string
		d    Diagnosis
		err  error
		want Health
	}{
		{"well", Diagnosis{Checks: []Check{{ID: CheckReach, State: "ok"}}}, nil, HealthOK},
		{"a privilege is missing", Diagnosis{Checks: []Check{{ID: CheckUpload, State: "failed"}}}, nil, HealthOK},
		{"no answer", Diagnosis{Checks: []Check{{ID: CheckReach, State: "failed"}, {ID: CheckSession, State: "skipped"}}}, nil, HealthDegraded},
		{"revoked", Diagnosis{Checks: []Check{{ID: CheckReach, State: "ok"}, {ID: CheckSession, State: "failed", Reason: "app_token_not_found"}}}, nil, HealthCredentialsInvalid},
		{"slow in the middle", Diagnosis{Checks: []Check{{ID: CheckReach, State: "ok"}, {ID: CheckSession, State: "failed", Reason: "timeout"}}}, nil, HealthDegraded},
		{"an error", Diagnosis{}, E(Unavailable, "", "It does not answer."), HealthDegraded},
		{"revoked, as an error", Diagnosis{}, E(Precondition, "credentials_invalid", "Revoked."), HealthCredentialsInvalid},
	} {
		if h, _ := healthOf(c.d, c.err); h != c.want {
			t.Errorf("%s: %s", c.name, h)
		}
	}
}
