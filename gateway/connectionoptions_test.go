package gateway

import (
	"strings"
	"testing"
)

func p[T any](v T) *T { return &v }

func TestConnectionOptionsChecked(t *testing.T) {
	const main = "0_ab12cd34"
	token := Secret("0123456789abcdef0123456789abcdef")
	for name, c := range map[string]struct {
		o     ConnectionOptions
		field string // "" = accepted
	}{
		"none":                          {ConnectionOptions{}, ""},
		"all":                           {ConnectionOptions{CategoryID: p(int64(7)), Entitlement: p(EntitlementEnforce), PrivacyContext: p(" school "), ConversionProfileID: p(int64(3)), PlayerTokenID: p("0_zz12cd34"), PlayerToken: token}, ""},
		"category below zero":           {ConnectionOptions{CategoryID: p(int64(-1))}, "/category_id"},
		"category too large":            {ConnectionOptions{CategoryID: p(int64(1 << 40))}, "/category_id"},
		"profile below zero":            {ConnectionOptions{ConversionProfileID: p(int64(-1))}, "/conversion_profile_id"},
		"unknown entitlement":           {ConnectionOptions{Entitlement: p(Entitlement("maybe"))}, "/entitlement"},
		"enforce without context":       {ConnectionOptions{Entitlement: p(EntitlementEnforce)}, "/privacy_context"},
		"context that ends a privilege": {ConnectionOptions{Entitlement: p(EntitlementEnforce), PrivacyContext: p("a,list:*")}, "/privacy_context"},
		"context without enforce":       {ConnectionOptions{PrivacyContext: p("a")}, "/privacy_context"},
		"player id missing":             {ConnectionOptions{PlayerToken: token}, "/player_token_id"},
		"player value missing":          {ConnectionOptions{PlayerTokenID: p("0_zz12cd34")}, "/player_token"},
		"player is the first token":     {ConnectionOptions{PlayerTokenID: p(main), PlayerToken: token}, "/player_token_id"},
		"player id with a blank":        {ConnectionOptions{PlayerTokenID: p("0 zz"), PlayerToken: token}, "/player_token_id"},
		"player hash":                   {ConnectionOptions{PlayerTokenID: p("0_zz12cd34"), PlayerToken: token, PlayerHashType: "CRC"}, "/player_hash_type"},
	} {
		got, err := c.o.checked(main)
		e := AsError(err)
		if (c.field == "") != (err == nil) || err != nil && (e.Field != c.field || e.NextStep == "" || e.Code != Invalid) {
			t.Errorf("%s: %+v", name, err)
		}
		if err == nil && (got.CategoryID == nil || got.Entitlement == nil || got.PlayerTokenID == nil) {
			t.Errorf("%s: left undecided", name)
		}
	}
}

func TestConnectionOptionsOver(t *testing.T) {
	saved := Integration{
		CategoryID: 7, Entitlement: EntitlementEnforce, PrivacyContext: "school", ConversionProfileID: 3,
		PlayerTokenID: "0_zz12cd34", PlayerHashType: "SHA512",
	}
	opened := 0
	token := func() (Secret, error) { opened++; return "saved-player-token", nil }
	got, err := ConnectionOptions{}.over(saved, true, token)
	if err != nil || *got.CategoryID != 7 || *got.Entitlement != EntitlementEnforce || *got.PrivacyContext != "school" ||
		*got.ConversionProfileID != 3 || got.PlayerToken != "saved-player-token" || got.PlayerHashType != "SHA512" {
		t.Errorf("%+v, %v", got, err)
	}
	opened = 0
	got, err = ConnectionOptions{CategoryID: p(int64(0)), Entitlement: p(EntitlementAccount), PlayerTokenID: p("")}.over(saved, true, token)
	if err != nil || *got.CategoryID != 0 || *got.Entitlement != "" || *got.PrivacyContext != "" || got.PlayerToken != "" || opened != 0 {
		t.Errorf("turned off: %+v, %v", got, err)
	}
	// The saved player token goes to no other account and stands for no other id.
	if got, err = (ConnectionOptions{}).over(saved, false, token); err != nil || *got.PlayerTokenID != "" || opened != 0 {
		t.Errorf("another account: %+v, %v", got, err)
	}
	for _, o := range []ConnectionOptions{{PlayerTokenID: p("0_yy12cd34")}} {
		if _, err := o.over(saved, true, token); !IsReason(err, "player_token_required") || opened != 0 {
			t.Errorf("%v, opened %d times", err, opened)
		}
	}
	if _, err := (ConnectionOptions{PlayerTokenID: p("0_zz12cd34")}).over(saved, false, token); !IsReason(err, "player_token_required") || opened != 0 {
		t.Errorf("%v, opened %d times", err, opened)
	}
	got, err = ConnectionOptions{PlayerTokenID: p("0_yy12cd34"), PlayerToken: "new"}.over(saved, true, token)
	if err != nil || opened != 0 || got.PlayerToken != "new" || got.PlayerHashType != "" {
		t.Errorf("rotation: %+v, %v", got, err)
	}
}

func TestTokenRequestOfOptions(t *testing.T) {
	for want, w := range map[string]TokenWish{
		`"sessionPrivileges": "list:*,sview:*,enableentitlement,privacycontext:school"`: {Visibility: VisibilityShared, Entitlement: EntitlementEnforce, PrivacyContext: "school"},
		`"sessionPrivileges": "sview:*,disableentitlement"`:                             {Visibility: VisibilityOwn, Entitlement: EntitlementDisable},
		`"sessionPrivileges": "sview:*,disableentitlementforentry:*"`:                   {Visibility: VisibilityShared, Entitlement: EntitlementDisable, Player: true},
	} {
		if req, err := tokenRequest("Hub", "", w); err != nil || !strings.Contains(req.Body, want) {
			t.Errorf("%+v: %v\n%s", w, err, req.Body)
		}
	}
}
