package platform

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"
)

// TestKSVectors reads every session that a Kaltura server made, and refuses what it refused.
func TestKSVectors(t *testing.T) {
	raw, err := os.ReadFile("../testdata/wire/ks-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Version      int
			Secret, KS   string
			PartnerID    int64
			UserID       string
			Type, Expiry int64
			Parsed       struct {
				Privileges, Hash         string
				IsAdmin, IsWidgetSession bool
				ParsedPrivileges         json.RawMessage // an object, or an empty array
			}
		}
		ParseCases []struct {
			Case, Secret, KS string
			ParseResult      *bool
			UserID, Type     *string
			Expiry           *string
			Privileges       *string
		}
		PrivilegeCases []struct {
			Privileges, Rebuilt string
			Parsed              map[string][]string
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) != 36 || len(file.ParseCases) != 14 || len(file.PrivilegeCases) != 7 {
		t.Fatalf("%d vectors, %d cases, %d of privileges", len(file.Vectors), len(file.ParseCases), len(file.PrivilegeCases))
	}
	holds := func(k ks, privileges map[string][]string) {
		t.Helper()
		for name, values := range privileges {
			// "all" is written * in our text, and no privilege is one without a name in PHP.
			if _, ok := k.value(name); !ok && name != "all" && name != "" {
				t.Errorf("%q: no %q", k.privileges, name)
			}
			for _, v := range values {
				if !k.has(name, v) {
					t.Errorf("%q: no %q with %q", k.privileges, name, v)
				}
			}
		}
	}
	for _, v := range file.Vectors {
		k, err := parseKS(v.KS, v.Secret)
		if err != nil {
			t.Errorf("v%d %q %q: %v", v.Version, v.UserID, v.Parsed.Privileges, err)
			continue
		}
		if k.partner != v.PartnerID || k.user != v.UserID || k.kind != v.Type || k.expiry != v.Expiry ||
			k.privileges != v.Parsed.Privileges || k.hash != v.Parsed.Hash || k.admin() != v.Parsed.IsAdmin || k.widget() != v.Parsed.IsWidgetSession {
			t.Errorf("v%d: got %+v, want %+v", v.Version, k, v)
		}
		parsed := map[string][]string{}
		if string(v.Parsed.ParsedPrivileges) != "[]" {
			if err := json.Unmarshal(v.Parsed.ParsedPrivileges, &parsed); err != nil {
				t.Fatal(err)
			}
		}
		holds(k, parsed)
		if p, err := ksPartner(v.KS); err != nil || p != v.PartnerID {
			t.Errorf("partner %d, %v", p, err)
		}
		if v.Version == 2 {
			again := issueKS(ks{partner: v.PartnerID, user: v.UserID, kind: v.Type, expiry: v.Expiry, privileges: v.Parsed.Privileges}, v.Secret)
			if again.privileges != v.Parsed.Privileges || again.user != v.UserID || again.text == v.KS {
				t.Errorf("reissued: %+v", again)
			}
		}
	}
	for _, c := range file.ParseCases {
		k, err := parseKS(c.KS, c.Secret)
		if want := c.ParseResult != nil && *c.ParseResult; want != (err == nil) {
			t.Errorf("%s: %v, want %v", c.Case, err, want)
			continue
		}
		if err == nil && c.UserID != nil && k.user != *c.UserID {
			t.Errorf("%s: user %q", c.Case, k.user)
		}
		if err == nil && c.Type != nil && fmt.Sprint(k.kind) != *c.Type {
			t.Errorf("%s: type %d", c.Case, k.kind)
		}
		if err == nil && c.Expiry != nil && fmt.Sprint(k.expiry) != *c.Expiry {
			t.Errorf("%s: expiry %d", c.Case, k.expiry)
		}
		if err == nil && c.Privileges != nil && k.privileges != *c.Privileges {
			t.Errorf("%s: privileges %q", c.Case, k.privileges)
		}
	}
	for _, c := range file.PrivilegeCases {
		holds(ks{privileges: c.Privileges}, c.Parsed)
		if got := joinPrivileges(parsePrivileges(c.Privileges)); got != c.Rebuilt {
			t.Errorf("%q becomes %q, not %q", c.Privileges, got, c.Rebuilt)
		}
	}
}

// TestPrivileges compares whole names and values, which the original does not.
func TestPrivileges(t *testing.T) {
	for _, c := range []struct {
		privileges, name, value string
		want                    bool
	}{
		{"list:*", "list", "x", true},
		{"editplaylist:*", "list", "x", false},
		{"edit:a/b", "edit", "b", true},
		{"edit:a/b", "edit", "ab", false},
		{"*", "edit", "b", true},
		{"all:*", "sview", "b", true},
		{"*", "widget", "1", false},
		{"list", "list", "x", false},
		{"", "list", "", false},
	} {
		k := ks{privileges: c.privileges}
		if got := k.has(c.name, c.value); got != c.want {
			t.Errorf("%q has %s:%s = %v", c.privileges, c.name, c.value, got)
		}
	}
	now := time.Unix(1000, 0)
	if k := (ks{expiry: 1000}); !k.expired(now) {
		t.Error("a session ends at its expiry, not after it")
	}
}
