package gateway_test

import (
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/store/storetest"
)

// source is what is shown of a manifest, or why nothing is.
func (d *drops) source(f gateway.DropFile) string {
	d.t.Helper()
	s, err := d.folders.Source(d.t.Context(), d.house.Admin, f.ID)
	if err != nil {
		return gateway.AsError(err).Reason
	}
	return s.Text
}

func TestQuarantinedManifestStaysToBeLookedAt(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	update := func(ref string) string {
		return `<item><action>update</action><referenceId>` + ref + `</referenceId><name>B</name></item>`
	}
	for name, c := range map[string]struct{ body, reason string }{
		"cut.xml":     {`<mrss><channel><item>`, "manifest_malformed"},
		"wrong.xml":   {string(xml(`<item><action>update</action><referenceId>ref-r</referenceId><nmae>B</nmae></item>`)), "items_failed"},
		"unknown.xml": {string(xml(update("ref-r"))), "items_failed"},
		"orphan.xml":  {string(xml(addItem("ref-a", "A", "a.mp4"))), "orphan_manifest"},
	} {
		f := d.put(name, []byte(c.body))
		d.work()
		if c.reason == "orphan_manifest" {
			d.later(3 * time.Hour)
			d.work()
		}
		d.expect(name, gateway.DropQuarantined, c.reason)
		if got := d.source(f); got != c.body {
			t.Errorf("%s is shown as %q", name, got)
		}
	}

	// What failed because of the world, not the document, succeeds when it is tried again.
	d.put("first.xml", xml(`<item><action>add</action><type>1</type><referenceId>ref-r</referenceId><name>A</name><media><mediaType>1</mediaType></media></item>`))
	d.work()
	d.expect("first.xml", gateway.DropReady, "")
	f := d.file("unknown.xml")
	if _, err := d.folders.Retry(t.Context(), d.house.Admin, f.ID); err != nil {
		t.Fatal(err)
	}
	d.work()
	d.expect("unknown.xml", gateway.DropReady, "")
	if got := d.source(f); got != "manifest_gone" {
		t.Errorf("the bytes of a manifest that is done stay: %q", got)
	}

	// A newer one of the name makes room: of the older nothing stays.
	old := d.file("wrong.xml")
	d.uploads.Folders = d.folders
	up, err := d.uploads.Create(t.Context(), d.house.Admin, gateway.NewUpload{FolderID: d.folder.ID, Name: "wrong.xml", Size: 10})
	if err != nil {
		t.Fatal(err)
	}
	if f := d.file("wrong.xml"); f.ID == old.ID || f.UploadID != up.ID {
		t.Errorf("%+v", f)
	}
	if u, err := d.db.Uploads().Get(t.Context(), gateway.AnyHub, old.UploadID); err != nil || u.State != gateway.UploadCancelled {
		t.Error(u.State, err)
	}
	if got := d.source(old); !strings.Contains(got, "gone") {
		t.Error(got)
	}
}
