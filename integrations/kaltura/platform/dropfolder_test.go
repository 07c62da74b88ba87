package platform_test

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isthmus/integrations/kaltura/platform"
	"isthmus/store"
	"isthmus/store/storetest"
)

// TestDropFolders drops files that no recording has: content by name, XML with good and bad items, a
// wrong checksum, a file that comes late.
func TestDropFolders(t *testing.T) { storetest.EachDB(t, dropFolders) }

func dropFolders(t *testing.T, db *store.DB) {
	w := worldWith(t, db, recorded(), platform.Account{DropFolder: "/in/xml"})
	admin := w.session(adminUser, 2, "")
	console := platform.NewSession(operator, -2, "", 2, "", time.Now().Unix()+60)
	w.object(console, "dropfolder_dropfolder.update", map[string]any{"partnerId": partnerID, "dropFolderId": 1, "dropFolder": map[string]any{"fileSizeCheckInterval": 0}})
	w.object(console, "dropfolder_dropfolder.add", map[string]any{"partnerId": partnerID, "dropFolder": map[string]any{
		"name": "Content", "type": 1, "status": 1, "dc": 0, "path": "/in/content/", "fileSizeCheckInterval": 0, "fileHandlerType": "1",
		"fileHandlerConfig": map[string]any{"contentMatchPolicy": 2, "slugRegex": `/^(?P<userId>[a-z]+)-(?P<referenceId>.+)[.]\w{3}$/`},
	}})
	put := func(name, text string) {
		t.Helper()
		must(t, os.MkdirAll(filepath.Join(w.drop, filepath.Dir(name)), 0o755))
		must(t, os.WriteFile(filepath.Join(w.drop, name), []byte(text), 0o644))
	}
	look := func() {
		t.Helper()
		for range 4 {
			must(t, w.p.Watch(t.Context()))
		}
	}
	file := func(name string) map[string]any {
		t.Helper()
		found := w.object(admin, "dropfolder_dropfolderfile.list", map[string]any{"filter": map[string]any{"fileNameEqual": name}})["objects"].([]any)
		if len(found) != 1 {
			t.Fatal(name, found)
		}
		return found[0].(map[string]any)
	}
	const mediaText = "not really a film"
	put("in/content/alice-lecture.mp4", mediaText)
	put("in/content/NOPE.mp4", mediaText)
	put("in/content/skipped.cache", mediaText)
	look()
	if f := file("NOPE.mp4"); f["status"] != 9.0 || f["errorCode"] != 5.0 {
		t.Error(f)
	}
	made := w.object(admin, "baseEntry.listByReferenceId", map[string]any{"refId": "lecture"})["objects"].([]any)
	if len(made) != 1 || made[0].(map[string]any)["userId"] != "alice" {
		t.Fatal(made, file("alice-lecture.mp4"))
	}
	if left, err := os.ReadDir(filepath.Join(w.drop, "in/content")); err != nil || len(left) != 2 {
		t.Error("a file that was taken stays where the folder deletes them:", left, err)
	}

	sum := sha1.Sum([]byte(mediaText))
	item := func(body string) string { return "<item>" + body + "</item>" }
	content := func(name, inside string) string {
		return `<contentAssets><content><dropFolderFileContentResource filePath="` + name + `">` + inside + `</dropFolderFileContentResource></content></contentAssets>`
	}
	put("in/xml/mixed.xml", "<mrss><channel>"+
		item(`<type>1</type><referenceId>good-1</referenceId><userId>bob</userId><name>Good</name><tags><tag>360</tag></tags><media><mediaType>1</mediaType></media>`+
			content("good.mp4", `<fileChecksum type="sha1">`+hex.EncodeToString(sum[:])+`</fileChecksum>`))+
		item(`<type>1</type><referenceId>bad-sum</referenceId><name>Bad sum</name><media><mediaType>1</mediaType></media>`+
			content("bad.mp4", `<fileChecksum>00</fileChecksum>`))+
		item(`<action>update</action><entryId>`+made[0].(map[string]any)["id"].(string)+`</entryId><name>Renamed</name>`)+
		item(`<action>delete</action><entryId>0_nothing1</entryId>`)+
		"</channel></mrss>")
	put("in/xml/bad.mp4", mediaText)
	look()
	if f := file("mixed.xml"); f["status"] != 3.0 {
		t.Error("an XML file does not wait for its media:", f)
	}
	put("in/xml/good.mp4", mediaText)
	look()
	entry := w.object(admin, "baseEntry.listByReferenceId", map[string]any{"refId": "good-1"})["objects"].([]any)
	if len(entry) != 1 || entry[0].(map[string]any)["tags"] != "360" || entry[0].(map[string]any)["userId"] != "bob" {
		t.Fatal(entry, w.object(admin, "bulkupload_bulk.list", nil))
	}
	if e := w.object(admin, "media.get", map[string]any{"entryId": made[0].(map[string]any)["id"]}); e["name"] != "Renamed" {
		t.Error(e)
	}
	w.work() // the pipeline refuses the text, which settles the entries
	var job map[string]any
	for range 3000 {
		look()
		if job = w.object(admin, "bulkupload_bulk.list", nil)["objects"].([]any)[0].(map[string]any); job["status"] == 12.0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	_, log := w.get(job["logFileUrl"].(string))
	for _, want := range []string{"LOCAL_FILE_WRONG_CHECKSUM", "Entry id [0_nothing1] not found", "<referenceID>good-1</referenceID>"} {
		if job["status"] != 12.0 || !strings.Contains(string(log), want) {
			t.Errorf("%s is missing: %v %s", want, job, log)
		}
	}

	for name, c := range map[string]struct{ xml, want string }{
		"order.xml": {"<mrss><channel><item><name>x</name><type>1</type></item></channel></mrss>", "Validate files failed on job [%d], Element &#039;type&#039;: This element is not expected."},
		"type.xml":  {"<mrss><channel><item><type>1</type><media><mediaType>9</mediaType></media></item></channel></mrss>", "The value &#039;9&#039; is not an element of the set"},
		"rss.xml":   {"<rss/>", "No matching global declaration available for the validation root."},
		"open.xml":  {"<mrss><channel>", "Could not load xml [%d]"},
		"bomb.xml":  {`<!DOCTYPE mrss [<!ENTITY a "aaaa">]><mrss><channel><item><type>1</type><name>&a;</name></item></channel></mrss>`, "Could not load xml [%d]"},
	} {
		put("in/xml/"+name, c.xml)
		look()
		job := w.object(admin, "bulkupload_bulk.list", nil)["objects"].([]any)[0].(map[string]any)
		want := strings.ReplaceAll(c.want, "%d", fmt.Sprint(job["id"]))
		if job["fileName"] != name || job["status"] != 6.0 || !strings.Contains(job["error"].(string), want) {
			t.Errorf("%s: %v, want %q", name, job, want)
		}
	}
}

// TestOperator keeps the operator to drop folders, and everybody else from what is the operator's.
func TestOperator(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	soon := time.Now().Unix() + 60
	folder := map[string]any{"partnerId": partnerID, "dropFolder": map[string]any{
		"name": "Out", "type": 1, "status": 1, "dc": 0, "path": "/../../etc", "fileHandlerType": "1",
	}}
	code := func(ks, action string, params map[string]any) any {
		out, _ := w.api(ks, action, params).(map[string]any)
		return out["code"]
	}
	console := platform.NewSession(operator, -2, "", 2, "", soon)
	for what, ks := range map[string]string{
		"a user's session of the console": platform.NewSession(operator, -2, "", 0, "", soon),
		"the batch":                       platform.NewSession(operator, -1, "", 2, "", soon),
		"the account's administrator":     w.session(adminUser, 2, "*"),
		"nobody":                          "",
	} {
		if got := code(ks, "dropfolder_dropfolder.add", folder); got != "SERVICE_FORBIDDEN" {
			t.Errorf("%s may add a folder: %v", what, got)
		}
	}
	if got := code(platform.NewSession(adminSecret, -2, "", 2, "", soon), "dropfolder_dropfolder.add", folder); got != "INVALID_KS" {
		t.Error("the account's secret opens the console:", got)
	}
	for _, action := range []string{"media.list", "partner.getInfo", "session.get", "appToken.list"} {
		if got := code(console, action, map[string]any{"partnerId": partnerID}); got != "SERVICE_FORBIDDEN" {
			t.Errorf("the console may call %s: %v", action, got)
		}
	}
	if got := code("", "session.startWidgetSession", map[string]any{"widgetId": "_-2"}); got != "INVALID_WIDGET_ID" {
		t.Error(got)
	}
	// A path never leaves the root of drop folders.
	if made := w.object(console, "dropfolder_dropfolder.add", folder); made["path"] != "/etc" {
		t.Error(made)
	}
	must(t, w.p.Watch(t.Context()))
	if _, err := os.Stat(filepath.Join(w.drop, "etc")); err != nil {
		t.Error(err)
	}
}
