package platform_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"isthmus/store"
	"isthmus/store/storetest"
)

// TestCategories makes categories, finds entries by them and hides entries by entitlement.
func TestCategories(t *testing.T) { storetest.EachDB(t, categories) }

func categories(t *testing.T, db *store.DB) {
	w := newWorld(t, db)
	admin := w.session(adminUser, 2, "")
	category := func(name string, more map[string]any) float64 {
		t.Helper()
		fields := map[string]any{"objectType": "KalturaCategory", "name": name}
		for k, v := range more {
			fields[k] = v
		}
		return w.object(admin, "category.add", map[string]any{"category": fields})["id"].(float64)
	}
	root := category("Spaces", nil)
	open := category("Open", map[string]any{"parentId": root, "privacyContext": "hub", "privacy": 1})
	closed := category("Closed", map[string]any{"parentId": root, "privacyContext": "hub", "privacy": 3})
	w.object(admin, "categoryUser.add", map[string]any{"categoryUser": map[string]any{"categoryId": closed, "userId": "bob"}})
	entry := func(name string, into ...float64) string {
		t.Helper()
		id := w.object(admin, "media.add", map[string]any{"entry": map[string]any{
			"objectType": "KalturaMediaEntry", "mediaType": 1, "name": name, "userId": "alice",
		}})["id"].(string)
		for _, c := range into {
			w.object(admin, "categoryEntry.add", map[string]any{"categoryEntry": map[string]any{"entryId": id, "categoryId": c}})
		}
		return id
	}
	entry("loose")
	seen := entry("in open", open)
	hidden := entry("in closed", closed)
	entry("in root", root)
	names := func(ks string, filter map[string]any) string {
		t.Helper()
		filter["statusIn"] = "7"
		var out []string
		for _, o := range w.object(ks, "media.list", map[string]any{"filter": filter})["objects"].([]any) {
			out = append(out, o.(map[string]any)["name"].(string))
		}
		slices.Sort(out)
		return strings.Join(out, ", ")
	}
	all := "in closed, in open, in root, loose"
	for _, c := range []struct {
		what, user, privileges string
		filter                 map[string]any
		want                   string
	}{
		{"ids mean a category alone", "carol", "list:*", map[string]any{"categoriesIdsMatchOr": fmt.Sprint(root, ",", open)}, "in open, in root"},
		{"an ancestor means what lies below", "carol", "list:*", map[string]any{"categoryAncestorIdIn": fmt.Sprint(root)}, "in closed, in open, in root"},
		{"so do full names", "carol", "list:*", map[string]any{"categoriesFullNameIn": "Spaces"}, "in closed, in open, in root"},
		{"a full name below", "carol", "list:*", map[string]any{"categoriesFullNameIn": "Spaces>Open"}, "in open"},
		{"both", "carol", "list:*", map[string]any{"categoriesIdsMatchAnd": fmt.Sprint(root, ",", open)}, ""},
		{"a category that is none", "carol", "list:*", map[string]any{"categoriesIdsMatchOr": "999"}, ""},
		{"none", "carol", "list:*", map[string]any{"categoriesIdsEmpty": true}, "loose"},
		{"not one", "carol", "list:*", map[string]any{"categoriesIdsNotContains": fmt.Sprint(open)}, "in closed, in root, loose"},
		{"access control", "carol", "list:*", map[string]any{"accessControlIdEqual": 2}, all},
		{"another access control", "carol", "list:*", map[string]any{"accessControlIdEqual": 77}, ""},
		{"entitlement off", "carol", "list:*", map[string]any{}, all},
		{"entitlement on: open to all", "carol", "list:*,enableentitlement", map[string]any{}, "in open"},
		{"members", "bob", "list:*,enableentitlement", map[string]any{}, "in closed, in open"},
		{"owners", "alice", "list:*,enableentitlement", map[string]any{}, all},
		{"in its context", "bob", "list:*,enableentitlement,privacycontext:hub", map[string]any{}, "in closed, in open"},
		{"in another context", "bob", "list:*,enableentitlement,privacycontext:other", map[string]any{}, ""},
		{"both: off wins", "carol", "list:*,enableentitlement,disableentitlement", map[string]any{}, all},
	} {
		if got := names(w.session(c.user, 0, c.privileges), c.filter); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
	carol := w.session("carol", 0, "enableentitlement")
	w.object(carol, "media.get", map[string]any{"entryId": seen})
	if out := w.api(carol, "media.get", map[string]any{"entryId": hidden}).(map[string]any); out["code"] != "ENTRY_ID_NOT_FOUND" {
		t.Error("a hidden entry was shown:", out)
	}
	w.object(w.session("carol", 0, "enableentitlement,disableentitlementforentry:"+hidden), "media.get", map[string]any{"entryId": hidden})
	if out := w.object(admin, "category.get", map[string]any{"id": root}); out["entriesCount"] != 3.0 || out["directEntriesCount"] != 1.0 || out["directSubCategoriesCount"] != 2.0 {
		t.Error(out)
	}
	if out := w.object(admin, "media.get", map[string]any{"entryId": seen}); out["categories"] != "Spaces>Open" || out["categoriesIds"] != fmt.Sprint(open) {
		t.Error(out)
	}
	again := w.api(admin, "category.add", map[string]any{"category": map[string]any{"name": "Open", "parentId": root}}).(map[string]any)
	if again["code"] != "DUPLICATE_CATEGORY" {
		t.Error(again)
	}
}

// TestCaptions adds captions, serves them in both forms and tells a player of them.
func TestCaptions(t *testing.T) { storetest.EachDB(t, captions) }

func captions(t *testing.T, db *store.DB) {
	const srt = "1\r\n00:00:01,000 --> 00:00:02,500\r\nHello, world\r\n"
	w := newWorld(t, db)
	alice := w.session("alice", 0, "")
	id := w.object(alice, "media.add", map[string]any{"entry": map[string]any{"objectType": "KalturaMediaEntry", "mediaType": 1}})["id"].(string)
	service := "caption_captionasset."
	add := func(ks, language string, isDefault bool) map[string]any {
		return w.api(ks, service+"add", map[string]any{"entryId": id, "captionAsset": map[string]any{
			"objectType": "KalturaCaptionAsset", "language": language, "label": language, "isDefault": isDefault, "format": "1",
		}}).(map[string]any)
	}
	english, german := add(alice, "English", true), add(alice, "German", true)
	if english["languageCode"] != "en" || english["status"] != 0.0 || german["isDefault"] != true {
		t.Fatal(english, german)
	}
	if out := add(w.session("bob", 0, ""), "French", false); out["code"] != "INVALID_KS" {
		t.Error("captions of another user's entry:", out)
	}
	if out := w.api(alice, service+"getUrl", map[string]any{"id": english["id"]}).(map[string]any); out["code"] != "CAPTION_ASSET_IS_NOT_READY" {
		t.Error(out)
	}
	token := w.object(alice, "uploadToken.add", nil)["id"].(string)
	w.chunk(alice, token, []byte(srt), nil)
	w.object(alice, service+"setContent", map[string]any{"id": english["id"], "contentResource": map[string]any{
		"objectType": "KalturaUploadedFileTokenResource", "token": token,
	}})
	w.object(alice, service+"setContent", map[string]any{"id": german["id"], "contentResource": map[string]any{
		"objectType": "KalturaStringResource", "content": srt,
	}})
	found := w.object(alice, service+"list", map[string]any{"filter": map[string]any{"entryIdEqual": id}})
	first := found["objects"].([]any)[0].(map[string]any)
	if found["totalCount"] != 2.0 || first["isDefault"] != false || first["status"] != 2.0 || first["sizeInBytes"] != fmt.Sprint(len(srt)) {
		t.Error(found)
	}
	if _, body := w.get(w.api(alice, service+"getUrl", map[string]any{"id": english["id"]}).(string)); string(body) != srt {
		t.Errorf("%q", body)
	}
	context := w.object(alice, "baseEntry.getPlaybackContext", map[string]any{"entryId": id, "contextDataParams": map[string]any{}})
	shown := context["playbackCaptions"].([]any)
	if len(shown) != 2 {
		t.Fatal(context)
	}
	res, body := w.get(shown[0].(map[string]any)["webVttUrl"].(string))
	if !strings.HasPrefix(string(body), "WEBVTT\n\n") || !strings.Contains(string(body), "00:00:01.000 --> 00:00:02.500\nHello, world") || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/vtt") {
		t.Errorf("%s %q", res.Header.Get("Content-Type"), body)
	}
	// An entry that asks for a session does so for its captions too.
	admin := w.session(adminUser, 2, "")
	profile := w.object(admin, "accessControl.add", map[string]any{"accessControl": map[string]any{
		"name": "Session", "restrictions": []any{map[string]any{"objectType": "KalturaSessionRestriction"}},
	}})
	w.object(admin, "media.update", map[string]any{"entryId": id, "mediaEntry": map[string]any{"accessControlId": profile["id"]}})
	address := "/api_v3/service/caption_captionasset/action/serve/captionAssetId/" + english["id"].(string)
	if _, body := w.get(address); strings.Contains(string(body), "Hello") {
		t.Error("served without a session")
	}
	if _, body := w.get(address + "/ks/" + w.session("bob", 0, "sview:"+id)); string(body) != srt {
		t.Errorf("%q", body)
	}
}
