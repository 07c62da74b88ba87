package platform_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"testing"
	"time"

	"isthmus/integrations/kaltura/platform"
	"isthmus/store"
	"isthmus/store/storetest"
)

// TestEditing: schedule, rights, custom metadata, pictures and flavors of an entry.
func TestEditing(t *testing.T) { storetest.EachDB(t, editing) }

// plain is a picture of one colour.
func plain(t *testing.T, c color.Color, asPNG bool) []byte {
	t.Helper()
	p := image.NewRGBA(image.Rect(0, 0, 64, 36))
	for i := range p.Pix {
		r, g, b, _ := c.RGBA()
		p.Pix[i] = []byte{byte(r >> 8), byte(g >> 8), byte(b >> 8), 255}[i%4]
	}
	var out bytes.Buffer
	if asPNG {
		must(t, png.Encode(&out, p))
	} else {
		must(t, jpeg.Encode(&out, p, nil))
	}
	return out.Bytes()
}

func editing(t *testing.T, db *store.DB) {
	w := newWorld(t, db)
	admin, alice, bob := w.session(adminUser, 2, ""), w.session("alice", 0, ""), w.session("bob", 0, "")
	id := w.object(alice, "media.add", map[string]any{"entry": map[string]any{"objectType": "KalturaMediaEntry", "mediaType": 1, "name": "Edited"}})["id"].(string)
	refused := func(code, ks, action string, params map[string]any) {
		t.Helper()
		got, _ := w.api(ks, action, params).(map[string]any)
		if got["code"] != code {
			t.Errorf("%s: %v, want %s", action, got, code)
		}
	}
	update := func(fields map[string]any) map[string]any {
		fields["objectType"] = "KalturaMediaEntry"
		return map[string]any{"entryId": id, "mediaEntry": fields}
	}
	full := func(bytes []byte, name string) map[string]any {
		token := w.object(admin, "uploadToken.add", map[string]any{"uploadToken": map[string]any{"fileName": name}})["id"].(string)
		w.chunk(admin, token, bytes, nil)
		return map[string]any{"objectType": "KalturaUploadedFileTokenResource", "token": token}
	}

	// Rights: who is named may write, dates and rights of others are for administrators.
	refused("INVALID_KS", bob, "media.update", update(map[string]any{"name": "Bob's"}))
	refused("PROPERTY_VALIDATION_ADMIN_PROPERTY", alice, "media.update", update(map[string]any{"startDate": 1800000000}))
	w.object(admin, "media.update", update(map[string]any{"entitledUsersEdit": "bob, bob,carol", "startDate": 4000000000, "endDate": 4000000001}))
	e := w.object(bob, "media.update", update(map[string]any{"name": "Bob's"}))
	if e["entitledUsersEdit"] != "bob,carol" || e["startDate"] != 4000000000.0 || e["name"] != "Bob's" {
		t.Errorf("%v", e)
	}
	played := w.object(alice, "baseEntry.getPlaybackContext", map[string]any{"entryId": id, "contextDataParams": map[string]any{}})
	if fmt.Sprint(played["messages"]) == "[]" || played["sources"] != nil {
		t.Errorf("before its time: %v", played)
	}
	if res, _ := w.get(fmt.Sprintf("%s/p/102/playManifest/entryId/%s/format/url", w.url, id)); res.StatusCode != 404 || res.Header.Get("X-Kaltura") != "error-2" {
		t.Errorf("before its time: %d %s", res.StatusCode, res.Header.Get("X-Kaltura"))
	}
	w.object(admin, "media.update", update(map[string]any{"startDate": -1, "endDate": "-1", "entitledUsersEdit": ""}))
	refused("INVALID_KS", bob, "media.update", update(map[string]any{"name": "Bob's again"}))
	refused("ENTRY_ID_NOT_FOUND", admin, "media.update", update(map[string]any{"parentEntryId": "0_nothing1"}))
	refused("INVALID_ENTRY_ID", admin, "media.update", update(map[string]any{"parentEntryId": id}))

	// Custom metadata: a profile, one object by it, well formed, with the schema's names.
	profile := w.object(admin, "metadata_metadataprofile.add", map[string]any{
		"metadataProfile": map[string]any{"name": "Topics", "systemName": "topics"},
		"xsdData":         `<x:schema xmlns:x="http://www.w3.org/2001/XMLSchema"><x:element name="metadata"><x:element name="Topic"/></x:element></x:schema>`,
	})["id"]
	add := func(xml string) map[string]any {
		return map[string]any{"metadataProfileId": profile, "objectType": "1", "objectId": id, "xmlData": xml}
	}
	for _, bad := range []string{"", "text", "<metadata>", "<other/>", "<metadata><Else/></metadata>", "<metadata/><metadata/>", `<!DOCTYPE m [<!ENTITY a "b">]><metadata/>`} {
		refused("INVALID_METADATA_DATA", alice, "metadata_metadata.add", add(bad))
	}
	refused("INVALID_KS", bob, "metadata_metadata.add", add("<metadata/>"))
	one := w.object(alice, "metadata_metadata.add", add("<metadata><Topic>a</Topic></metadata>"))["id"]
	refused("METADATA_ALREADY_EXISTS", alice, "metadata_metadata.add", add("<metadata/>"))
	refused("INVALID_METADATA_DATA", alice, "metadata_metadata.update", map[string]any{"id": one, "xmlData": "<metadata><Else/></metadata>"})
	if m := w.object(alice, "metadata_metadata.update", map[string]any{"id": one, "xmlData": "<metadata><Topic>b</Topic></metadata>"}); m["xml"] != "<metadata><Topic>b</Topic></metadata>" {
		t.Errorf("%v", m)
	}
	w.api(alice, "metadata_metadata.delete", map[string]any{"id": one})
	refused("METADATA_NOT_FOUND", alice, "metadata_metadata.get", map[string]any{"id": one})
	w.object(alice, "metadata_metadata.add", add("<metadata/>"))
	refused("METADATA_PROFILE_NOT_FOUND", alice, "metadata_metadata.add", map[string]any{"metadataProfileId": 99, "objectType": "1", "objectId": id, "xmlData": "<metadata/>"})

	// Pictures: nothing else is taken, the default is served, and what is used cannot be used again.
	thumb := w.object(alice, "thumbAsset.add", map[string]any{"entryId": id, "thumbAsset": map[string]any{"tags": "mine"}})["id"]
	refused("THUMB_ASSET_IS_NOT_READY", alice, "thumbAsset.setAsDefault", map[string]any{"thumbAssetId": thumb})
	refused("FILE_CONTENT_NOT_SECURE", admin, "thumbAsset.setContent", map[string]any{"id": thumb, "contentResource": full([]byte("no picture"), "a.jpg")})
	red, blue := full(plain(t, color.RGBA{255, 0, 0, 255}, false), "red.jpg"), full(plain(t, color.RGBA{0, 0, 255, 255}, true), "blue.png")
	if got := w.object(admin, "thumbAsset.setContent", map[string]any{"id": thumb, "contentResource": red}); got["status"] != 2.0 || got["width"] != 64.0 || got["fileExt"] != "jpg" {
		t.Errorf("%v", got)
	}
	refused("UPLOAD_TOKEN_INVALID_STATUS_FOR_ADD_ENTRY", admin, "thumbAsset.setContent", map[string]any{"id": thumb, "contentResource": red})
	refused("INVALID_KS", bob, "thumbAsset.setAsDefault", map[string]any{"thumbAssetId": thumb})
	shown := func() color.Color {
		t.Helper()
		res, body := w.get(fmt.Sprintf("%s/p/102/thumbnail/entry_id/%s/width/32", w.url, id))
		p, _, err := image.Decode(bytes.NewReader(body))
		if err != nil {
			t.Fatal(res.StatusCode, err)
		}
		return p.At(5, 5)
	}
	w.api(alice, "thumbAsset.setAsDefault", map[string]any{"thumbAssetId": thumb})
	if r, _, b, _ := shown().RGBA(); r < 0xe000 || b > 0x2000 {
		t.Errorf("the default picture is not red: %v", shown())
	}
	before := w.object(alice, "media.get", map[string]any{"entryId": id})["thumbnailUrl"]
	w.object(admin, "thumbAsset.setContent", map[string]any{"id": thumb, "contentResource": blue})
	if r, _, b, _ := shown().RGBA(); b < 0xe000 || r > 0x2000 {
		t.Errorf("the new content is not blue: %v", shown())
	}
	if now := w.object(alice, "media.get", map[string]any{"entryId": id})["thumbnailUrl"]; now == before {
		t.Errorf("the address of another picture is the same: %v", now)
	}
	refused("THUMB_ASSET_ID_NOT_FOUND", alice, "thumbAsset.get", map[string]any{"thumbAssetId": "thumb_" + id})

	// Flavors: one of known encodings, once, with its file as it is.
	refused("FLAVOR_PARAMS_ID_NOT_FOUND", admin, "flavorAsset.add", map[string]any{"entryId": id, "flavorAsset": map[string]any{"flavorParamsId": 4711}})
	flavor := w.object(admin, "flavorAsset.add", map[string]any{"entryId": id, "flavorAsset": map[string]any{"flavorParamsId": 4}})["id"]
	refused("FLAVOR_ASSET_ALREADY_EXISTS", admin, "flavorAsset.add", map[string]any{"entryId": id, "flavorAsset": map[string]any{"flavorParamsId": 4}})
	set := map[string]any{"id": flavor, "contentResource": full([]byte("a film of sorts"), "low.webm")}
	if f := w.object(admin, "flavorAsset.setContent", set); f["status"] != 2.0 || f["sizeInBytes"] != "15" || f["fileExt"] != "webm" {
		t.Errorf("%v", f)
	}
	refused("UPLOAD_TOKEN_INVALID_STATUS_FOR_ADD_ENTRY", admin, "flavorAsset.setContent", set)
	refused("SERVICE_FORBIDDEN", alice, "flavorAsset.setContent", set)

	// A used file costs an entry nothing of what it has.
	used := full([]byte("content"), "a.mp4")
	w.object(admin, "media.addContent", map[string]any{"entryId": id, "resource": used})
	had := w.object(admin, "media.get", map[string]any{"entryId": id})["status"]
	refused("UPLOAD_TOKEN_INVALID_STATUS_FOR_ADD_ENTRY", admin, "media.updateContent", map[string]any{"entryId": id, "resource": used})
	if now := w.object(admin, "media.get", map[string]any{"entryId": id})["status"]; now != had || now == 7.0 {
		t.Errorf("status %v, before %v", now, had)
	}

	// What an entry had goes with it.
	w.api(alice, "media.delete", map[string]any{"entryId": id})
	refused("THUMB_ASSET_ID_NOT_FOUND", admin, "thumbAsset.get", map[string]any{"thumbAssetId": thumb})
	refused("FLAVOR_ASSET_ID_NOT_FOUND", admin, "flavorAsset.get", map[string]any{"id": flavor})
	if m := w.object(admin, "metadata_metadata.list", map[string]any{"filter": map[string]any{"objectIdEqual": id}}); m["totalCount"] != 0.0 {
		t.Errorf("%v", m)
	}
}

// TestXMLDetails: what ingestion files say of an entry beside its texts.
func TestXMLDetails(t *testing.T) {
	w := worldWith(t, storetest.SQLite(t), recorded(), platform.Account{DropFolder: "/in"})
	admin := w.session(adminUser, 2, "")
	console := platform.NewSession(operator, -2, "", 2, "", time.Now().Unix()+60)
	w.object(console, "dropfolder_dropfolder.update", map[string]any{"partnerId": partnerID, "dropFolderId": 1, "dropFolder": map[string]any{"fileSizeCheckInterval": 0}})
	add := func(fields map[string]any) string {
		fields["objectType"], fields["mediaType"] = "KalturaMediaEntry", 1
		return w.object(admin, "media.add", map[string]any{"entry": fields})["id"].(string)
	}
	parent := add(map[string]any{"name": "Parent", "referenceId": "parent-1"})
	template := add(map[string]any{"name": "Template", "tags": "360", "description": "of all", "entitledUsersEdit": "tom"})
	must(t, os.MkdirAll(filepath.Join(w.drop, "in"), 0o755))
	must(t, os.WriteFile(filepath.Join(w.drop, "in", "details.xml"), []byte(`<mrss><channel>
		<item><type>1</type><referenceId>child-1</referenceId><parentReferenceId>parent-1</parentReferenceId><userId>lena</userId>
			<entitledUsersView><user>kim</user><user>ann</user></entitledUsersView><name>Child</name><partnerSortData>9</partnerSortData>
			<startDate>2026-05-01T08:00:00+02:00</startDate><endDate>2127-05-01T08:00:00</endDate>
			<templateEntryId>`+template+`</templateEntryId><media><mediaType>1</mediaType></media></item>
		<item><action>update</action><entryId>`+parent+`</entryId><entitledUsersEdit><user>{existing_value}</user></entitledUsersEdit><partnerSortData>3</partnerSortData></item>
		<item><type>1</type><referenceId>lost-1</referenceId><parentReferenceId>nobody</parentReferenceId><name>Lost</name><media><mediaType>1</mediaType></media></item>
		</channel></mrss>`), 0o644))
	for range 6 {
		must(t, w.p.Watch(t.Context()))
	}
	found := w.object(admin, "baseEntry.listByReferenceId", map[string]any{"refId": "child-1"})["objects"].([]any)
	if len(found) != 1 {
		t.Fatal(found)
	}
	got := found[0].(map[string]any)
	for name, want := range map[string]any{
		"parentEntryId": parent, "templateEntryId": template, "userId": "lena", "entitledUsersView": "ann,kim", "entitledUsersEdit": "tom", "tags": "360",
		"description": "of all", "partnerSortValue": 9.0, "startDate": 1777622400.0, "name": "Child",
	} {
		if got[name] != want {
			t.Errorf("%s: %v, want %v", name, got[name], want)
		}
	}
	if p := w.object(admin, "media.get", map[string]any{"entryId": parent}); p["partnerSortValue"] != 3.0 {
		t.Errorf("%v", p)
	}
	if lost := w.object(admin, "baseEntry.listByReferenceId", map[string]any{"refId": "lost-1"}); lost["totalCount"] != 0.0 {
		t.Errorf("%v", lost)
	}
}
