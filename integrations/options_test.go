package integrations_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/store/storetest"
)

// category makes a category, below another one when parent is not 0.
func (e *embedded) category(name string, parent int64) int64 {
	e.t.Helper()
	got := e.api(e.adminKS(), "category.add", map[string]any{"category": map[string]any{"objectType": "KalturaCategory", "name": name, "parentId": parent}})
	return int64(got["id"].(float64))
}

// caption adds captions to an entry.
func (e *embedded) caption(entry, language, srt string) {
	e.t.Helper()
	ks := e.adminKS()
	added := e.api(ks, "caption_captionasset.add", map[string]any{"entryId": entry, "captionAsset": map[string]any{
		"objectType": "KalturaCaptionAsset", "language": language, "format": "1", "label": language,
	}})
	e.api(ks, "caption_captionasset.setContent", map[string]any{"id": added["id"], "contentResource": map[string]any{
		"objectType": "KalturaStringResource", "content": srt,
	}})
}

// upload sends a picture as alice and gives its entry.
func upload(t *testing.T, p gateway.Platform, reference string) gateway.Media {
	t.Helper()
	_, picture := clips(t)
	data, err := os.ReadFile(picture)
	must(t, err)
	m := gateway.NewMedia{ReferenceID: reference, Name: reference, FileName: "p.jpg", Size: int64(len(data)), Type: gateway.Image}
	return send(t, p, m, data)
}

func uploadFile(t *testing.T, p gateway.Platform, reference string, kind gateway.MediaType, data []byte) string {
	t.Helper()
	return send(t, p, gateway.NewMedia{ReferenceID: reference, Name: reference, FileName: "v.mp4", Size: int64(len(data)), Type: kind}, data).ID
}

func send(t *testing.T, p gateway.Platform, m gateway.NewMedia, data []byte) gateway.Media {
	t.Helper()
	in, err := p.Create(t.Context(), alice, m)
	must(t, err)
	must(t, in.WriteAt(t.Context(), 0, m.Size, bytes.NewReader(data)))
	got, err := in.Finish(t.Context(), m)
	must(t, err)
	again, err := in.Finish(t.Context(), m)
	if err != nil || again.ID != got.ID {
		t.Errorf("finished again: %s, %v", again.ID, err)
	}
	return got
}

// wait waits until an entry plays.
func wait(t *testing.T, p gateway.Platform, id string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		m, err := p.Get(t.Context(), alice, id)
		must(t, err)
		if m.Status == gateway.MediaReady {
			return
		}
		if m.Status == gateway.MediaFailed || time.Now().After(deadline) {
			t.Fatalf("%s is %s", id, m.Status)
		}
	}
}

func TestCategoryScope(t *testing.T) {
	e := newEmbedded(t, storetest.SQLite(t))
	top := e.category("courses", 0)
	below := e.category("physics", top)
	other := e.category("arts", 0)
	a := e.token(map[string]any{"sessionPrivileges": "list:*,sview:*"})
	at := func(category int64) gateway.Platform {
		b := a
		b.CategoryID = category
		return e.open(b)
	}
	ids := map[int64]string{
		0: upload(t, at(0), "ref-none").ID, top: upload(t, at(top), "ref-top").ID,
		below: upload(t, at(below), "ref-below").ID, other: upload(t, at(other), "ref-other").ID,
	}
	for scope, want := range map[int64][]int64{0: {0, top, below, other}, top: {top, below}, below: {below}, other: {other}, 4711: nil} {
		p := at(scope)
		page, err := p.Browse(t.Context(), alice, gateway.Query{Limit: 50})
		must(t, err)
		var got []string
		for _, m := range page.Items {
			got = append(got, m.ID)
			if m.CategoryID != scope {
				t.Errorf("%d: %s was listed with category %d", scope, m.Name, m.CategoryID)
			}
		}
		for category, id := range ids {
			inside := slices.Contains(want, category)
			if slices.Contains(got, id) != inside {
				t.Errorf("category %d lists the entry of %d: %v, want %v", scope, category, !inside, inside)
			}
			// By id everything is found; what Decide is told of it differs.
			m, err := p.Get(t.Context(), alice, id)
			must(t, err)
			if scope != 0 && (m.CategoryID == scope) != inside {
				t.Errorf("category %d: the entry of %d has %d", scope, category, m.CategoryID)
			}
		}
	}
	d, by := probeAll(t, at(top))
	if c := by[gateway.CheckCategory]; c.State != "ok" || !c.Needed || d.EntryCount != 2 || !strings.Contains(c.Text, "courses") {
		t.Errorf("%+v, %d entries", c, d.EntryCount)
	}
	if _, by = probeAll(t, at(4711)); by[gateway.CheckCategory].Reason != "category_missing" {
		t.Errorf("%+v", by[gateway.CheckCategory])
	}
	// A category that goes away stops uploads without losing them.
	_, picture := clips(t)
	data, err := os.ReadFile(picture)
	must(t, err)
	m := gateway.NewMedia{ReferenceID: "ref-late", Name: "late", FileName: "p.jpg", Size: int64(len(data)), Type: gateway.Image}
	in, err := at(4711).Create(t.Context(), alice, m)
	must(t, err)
	must(t, in.WriteAt(t.Context(), 0, m.Size, bytes.NewReader(data)))
	if _, err = in.Finish(t.Context(), m); !gateway.IsReason(err, "category_missing") || gateway.CodeOf(err) != gateway.Precondition {
		t.Fatalf("%v", err)
	}
	m.Handle = in.Handle()
	in, err = at(top).Create(t.Context(), alice, m)
	must(t, err)
	if _, err = in.Finish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if page, err := at(top).Browse(t.Context(), alice, gateway.Query{Limit: 50}); err != nil || len(page.Items) != 3 {
		t.Errorf("%d entries after the repair, %v", len(page.Items), err)
	}
}

func probeAll(t *testing.T, p gateway.Platform) (gateway.Diagnosis, map[gateway.CheckID]gateway.Check) {
	t.Helper()
	d, err := p.(gateway.Prober).Probe(t.Context(), gateway.VisibilityShared)
	must(t, err)
	by := map[gateway.CheckID]gateway.Check{}
	for _, c := range d.Checks {
		by[c.ID] = c
		if c.State == "failed" && (c.Reason == "" || c.Text == "" || c.Fix == "") {
			t.Errorf("%+v does not say what to do", c)
		}
	}
	return d, by
}

func TestConversionProfileChoice(t *testing.T) {
	e := newEmbedded(t, storetest.SQLite(t))
	a := e.token(map[string]any{"sessionPrivileges": "list:*,sview:*"})
	list, err := e.open(a).(gateway.Profiler).Profiles(t.Context())
	must(t, err)
	if len(list) < 2 || !list[0].Default || list[1].Default || list[0].Name == "" || list[0].ID == list[1].ID {
		t.Fatalf("%+v", list)
	}
	a.ConversionProfileID = list[1].ID
	if _, by := probeAll(t, e.open(a)); by[gateway.CheckProfile].State != "ok" {
		t.Errorf("%+v", by[gateway.CheckProfile])
	}
	id := upload(t, e.open(a), "ref-profile").ID
	if got := fmt.Sprint(e.api(e.adminKS(), "media.get", map[string]any{"entryId": id})["conversionProfileId"]); got != fmt.Sprint(list[1].ID) {
		t.Errorf("the entry has profile %s", got)
	}
	a.ConversionProfileID = 999999
	if _, by := probeAll(t, e.open(a)); by[gateway.CheckProfile].Reason != "conversion_profile_missing" {
		t.Errorf("%+v", by[gateway.CheckProfile])
	}
	users := e.token(map[string]any{"sessionPrivileges": "list:*,sview:*", "sessionType": 0})
	users.ConversionProfileID = list[1].ID
	if _, by := probeAll(t, e.open(users)); by[gateway.CheckProfile].State != "skipped" {
		t.Errorf("%+v", by[gateway.CheckProfile])
	}
	if _, err := e.open(users).(gateway.Profiler).Profiles(t.Context()); gateway.CodeOf(err) != gateway.Forbidden {
		t.Errorf("%v", err)
	}
}

// A session that would show more than the hub asked for is not used.
func TestEntitlementIsDemanded(t *testing.T) {
	e := newEmbedded(t, storetest.SQLite(t))
	for privileges, c := range map[string]struct {
		rule    gateway.Entitlement
		context string
		reason  string
	}{
		"list:*":                   {gateway.EntitlementEnforce, "school", "entitlement_missing"},
		"list:*,enableentitlement": {gateway.EntitlementEnforce, "school", "entitlement_missing"},
		"list:*,enableentitlement,privacycontext:staff":                                        {gateway.EntitlementEnforce, "school", "entitlement_missing"},
		"list:*,enableentitlement,privacycontext:school":                                       {gateway.EntitlementEnforce, "school", ""},
		"list:*,enableentitlement,privacycontext:*":                                            {gateway.EntitlementEnforce, "school", ""},
		"list:*,enableentitlement,privacycontext:school,disableentitlementforentry:*":          {gateway.EntitlementEnforce, "school", "entitlement_voided"},
		"list:*,enableentitlement,privacycontext:school,disableentitlementforentry:0_abcdefgh": {gateway.EntitlementEnforce, "school", "entitlement_voided"},
		"list:*,sview:*":                                  {gateway.EntitlementDisable, "", "entitlement_missing"},
		"list:*,disableentitlement":                       {gateway.EntitlementDisable, "", ""},
		"list:*,disableentitlement,privacycontext:school": {gateway.EntitlementAccount, "", ""},
	} {
		a := e.token(map[string]any{"sessionPrivileges": privileges})
		a.Entitlement, a.PrivacyContext = c.rule, c.context
		p := e.open(a)
		_, err := p.Browse(t.Context(), alice, gateway.Query{})
		if (c.reason == "") != (err == nil) || err != nil && !gateway.IsReason(err, c.reason) {
			t.Errorf("%s with %q: %v", privileges, c.rule, err)
		}
		check, asked := func() (gateway.Check, bool) {
			_, by := probeAll(t, p)
			c, ok := by[gateway.CheckEntitlement]
			return c, ok
		}()
		if asked != (c.rule != "") || check.Reason != c.reason {
			t.Errorf("%s with %q: %+v", privileges, c.rule, check)
		}
	}
}

// Entitlement is asked as the person, so the person's own session has to list the account.
func TestEntitlementListsAsThePerson(t *testing.T) {
	e := newEmbedded(t, storetest.SQLite(t))
	a := e.token(map[string]any{"sessionPrivileges": "sview:*,enableentitlement,privacycontext:school"})
	a.Entitlement, a.PrivacyContext = gateway.EntitlementEnforce, "school"
	if _, by := probeAll(t, e.open(a)); by[gateway.CheckEntitlement].Reason != "entitlement_lacks_list" {
		t.Errorf("%+v", by[gateway.CheckEntitlement])
	}
}

func TestPlayerTokenIsChecked(t *testing.T) {
	e := newEmbedded(t, storetest.SQLite(t))
	for name, c := range map[string]struct {
		token  map[string]any
		reason string
	}{
		"as the wizard asks":  {map[string]any{"sessionPrivileges": "sview:*,disableentitlementforentry:*"}, ""},
		"sview alone":         {map[string]any{"sessionPrivileges": "sview:*"}, ""},
		"no sview":            {map[string]any{"sessionPrivileges": "list:*"}, "player_lacks_sview"},
		"admin":               {map[string]any{"sessionType": 2, "sessionPrivileges": "sview:*"}, "player_is_admin"},
		"everything":          {map[string]any{"sessionPrivileges": "*"}, "player_too_wide"},
		"no entitlement":      {map[string]any{"sessionPrivileges": "sview:*,disableentitlement"}, "player_too_wide"},
		"bound to a user":     {map[string]any{"sessionPrivileges": "sview:*", "sessionUserId": "somebody"}, "player_too_wide"},
		"a right on an entry": {map[string]any{"sessionPrivileges": "sview:*,edit:0_abcdefgh"}, "player_too_wide"},
	} {
		a, player := e.token(map[string]any{"sessionPrivileges": "list:*"}), e.token(c.token)
		a.PlayerTokenID, a.PlayerToken, a.PlayerHashType = player.AppTokenID, player.AppToken, "SHA256"
		if _, by := probeAll(t, e.open(a)); by[gateway.CheckPlayer].Reason != c.reason {
			t.Errorf("%s: %+v", name, by[gateway.CheckPlayer])
		}
		a.PlayerToken += "x"
		if _, by := probeAll(t, e.open(a)); by[gateway.CheckPlayer].Reason != "app_token_hash_mismatch" {
			t.Errorf("%s, wrong value: %+v", name, by[gateway.CheckPlayer])
		}
	}
	if strings.Contains(e.log.String(), "djJ8") {
		t.Error("a KS in the log")
	}
}
