package kaltura

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"isthmus/gateway"
)

// TestRemoteDropFolders: folders and files as recorded, with every state that Kaltura has.
func TestRemoteDropFolders(t *testing.T) {
	w := newWire(t)
	w.on("dropfolder_dropfolder.list", "dropfolder/list-filter-status")
	w.on("dropfolder_dropfolderfile.list", "dropfolderfile/list-after-xml-ingest")
	p := w.platform()
	folders, next, err := p.DropFolders(t.Context(), "")
	if err != nil || len(folders) == 0 || next != "" {
		t.Fatalf("%+v, %q, %v", folders, next, err)
	}
	if f := folders[0]; f.ID == "" || f.Name == "" || f.Path == "" || f.Kind != "local" || !f.Enabled || f.Error != "" {
		t.Errorf("%+v", f)
	}
	rows := recorded(t, "dropfolderfile/list-after-xml-ingest").Response.Body
	folder := "1"
	if !strings.Contains(rows, `"dropFolderId":1,`) {
		t.Fatalf("the recording is of another folder: %.300s", rows)
	}
	files, _, err := p.DropFiles(t.Context(), folder, false, "")
	if err != nil || len(files) == 0 {
		t.Fatalf("%+v, %v", files, err)
	}
	ready := 0
	for _, f := range files {
		if f.FolderID != folder || f.Name == "" || f.CreatedAt.IsZero() || f.State == "" {
			t.Errorf("%+v", f)
		}
		if f.State == gateway.DropReady && f.EntryID != "" {
			ready++
		}
	}
	if ready == 0 {
		t.Errorf("%+v", files)
	}
	if f := w.last("dropfolder_dropfolderfile.list").params["filter"].(map[string]any); f["dropFolderIdEqual"] != 1.0 || f["orderBy"] != "-id" {
		t.Errorf("%v", f)
	}
	for _, id := range []string{"", "0", "-1", "one", "1 OR 1"} {
		if _, _, err := p.DropFiles(t.Context(), id, false, ""); gateway.CodeOf(err) != gateway.NotFound {
			t.Errorf("folder %q: %v", id, err)
		}
	}
}

// Those that failed are asked for by their states; a cursor of the others does not go on there.
func TestRemoteFilesThatFailed(t *testing.T) {
	w := newWire(t)
	w.on("dropfolder_dropfolderfile.list", "dropfolderfile/list-after-xml-ingest")
	p := w.platform()
	if _, _, err := p.DropFiles(t.Context(), "1", true, ""); err != nil {
		t.Fatal(err)
	}
	if f := w.last("dropfolder_dropfolderfile.list").params["filter"].(map[string]any); f["statusIn"] != "8,9,12" {
		t.Errorf("%v", f)
	}
	if _, _, err := p.DropFiles(t.Context(), "1", true, remoteCursor{Folder: "1", Page: 2}.String()); !gateway.IsReason(err, "cursor_invalid") {
		t.Error(err)
	}
}

// TestRemoteManifests: what Kaltura says of XML that it could not take, as recorded.
func TestRemoteManifests(t *testing.T) {
	w := newWire(t)
	w.on("bulkupload_bulk.list", "ingest/bulk-list-after-bad-xml")
	p := w.platform()
	found, next, err := p.DropManifests(t.Context(), "")
	if err != nil || len(found) != 3 || next != "" {
		t.Fatalf("%+v, %q, %v", found, next, err)
	}
	bad, none, done := found[0], found[1], found[2]
	if bad.ID != "34" || bad.Name != "not-xml.xml" || bad.State != gateway.DropQuarantined || bad.Status != 6 || bad.CreatedAt.Unix() != 1795287045 ||
		strings.Join(strings.Fields(bad.Text), " ") != "Error: Could not load xml [34], Start tag expected, '<' not found at line 1" {
		t.Errorf("%+v", bad)
	}
	if none.State != gateway.DropQuarantined || none.Text != "Error: None of the uploaded items were processed succsessfuly" {
		t.Errorf("%+v", none)
	}
	if done.Name != "lecture3.xml" || done.State != gateway.DropReady || done.Text != "" {
		t.Errorf("%+v", done)
	}
	if _, _, err := p.DropManifests(t.Context(), remoteCursor{Folder: "1", Page: 2}.String()); !gateway.IsReason(err, "cursor_invalid") {
		t.Error(err)
	}
}

// Kaltura quotes the XML in which it found a mistake; addresses there and elsewhere may hold secrets.
func TestRemoteTextsAreDiscreet(t *testing.T) {
	for said, want := range map[string]string{
		"Error: Could not load xml [7], EntityRef: expecting &#039;;&#039;\n at line 3 [<urlContentResource url=\"https://u:p@h.example/a?sig=s3cret&x\"/>\n] [more]": "Error: Could not load xml [7], EntityRef: expecting ';' at line 3",
		"cannot fetch https://files.example/a.mp4?X-Amz-Signature=s3cret now":                                                                                         "cannot fetch https://files.example/a.mp4 now",
		"cannot fetch ftp://u:p@ss/w@host/a.mp4":                                              "cannot fetch ftp://host/a.mp4",
		"see http://k.example/api_v3/service/bulkUpload/action/serveLog/id/1/ks/djJ8c2VjcmV0": "see http://k.example/api_v3/service/bulkUpload/action/serveLog/id/1/ks/…",
	} {
		got := bulkUpload{Status: 6, Error: text(said)}.remote().Text
		if strings.Join(strings.Fields(got), " ") != want {
			t.Errorf("%q\nbecame %q\nwant   %q", said, got, want)
		}
	}
}

// Other bulk uploads of the account are passed over, and what was uploaded since moves no page.
func TestRemoteManifestsGoOn(t *testing.T) {
	w := newWire(t)
	w.raw("bulkupload_bulk.list", `{"totalCount":201,"objects":[{"id":9,"bulkUploadType":"bulkUploadCsv.CSV","fileName":"a.csv","status":5,"uploadedOn":1795287045}]}`)
	p := w.platform()
	found, next, err := p.DropManifests(t.Context(), "")
	if err != nil || len(found) != 0 || next == "" {
		t.Fatalf("%+v, %q, %v", found, next, err)
	}
	if _, _, err := p.DropManifests(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	q := w.last("bulkupload_bulk.list").params
	if f := q["bulkUploadFilter"].(map[string]any); f["uploadedOnLessThanOrEqual"] != 1795287045.0 {
		t.Errorf("%v", f)
	}
	if pager := q["pager"].(map[string]any); pager["pageIndex"] != 2.0 {
		t.Errorf("%v", pager)
	}
}

func TestRemoteBatchStates(t *testing.T) {
	want := map[int64]gateway.DropState{
		0: gateway.DropParsed, 1: gateway.DropParsed, 2: gateway.DropProcessing, 3: gateway.DropProcessing, 5: gateway.DropReady, 6: gateway.DropQuarantined,
		7: gateway.DropQuarantined, 4: gateway.DropProcessing, 8: gateway.DropProcessing, 9: gateway.DropProcessing, 10: gateway.DropQuarantined, 11: gateway.DropIgnored,
		12: gateway.DropQuarantined, 99: gateway.DropProcessing,
	}
	for status, state := range want {
		if got := gateway.FromKalturaBatch(status); got != state {
			t.Errorf("%d: %s, want %s", status, got, state)
		}
	}
}

func TestRemoteFileStates(t *testing.T) {
	want := map[int]gateway.DropState{
		1: gateway.DropUploading, 2: gateway.DropPending, 3: gateway.DropWaiting, 4: gateway.DropReady, 5: gateway.DropIgnored, 6: gateway.DropDeleted,
		7: gateway.DropGone, 8: gateway.DropNoMatch, 9: gateway.DropQuarantined, 10: gateway.DropDue, 11: gateway.DropImporting,
		12: gateway.DropQuarantined, 13: gateway.DropProcessing, 14: gateway.DropParsed, 15: gateway.DropDetected, 99: gateway.DropDetected,
	}
	for status, state := range want {
		got := dropFile{ID: 1, Status: number(status), ErrorCode: "dropFolderXmlBulkUpload.MALFORMED_XML_FILE<script>", EntryID: "../x"}.remote()
		if got.State != state || got.Status != int64(status) || got.ErrorCode != "dropFolderXmlBulkUpload.MALFORMED_XML_FILEscript" || got.EntryID != "" {
			t.Errorf("%d: %+v", status, got)
		}
	}
}

// TestRemoteSecrets: folders come with passwords and keys, and an error may quote an address with one.
func TestRemoteSecrets(t *testing.T) {
	w := newWire(t)
	w.raw("dropfolder_dropfolder.list", `{"totalCount":1,"objects":[{"id":3,"name":"SFTP","type":4,"status":3,"path":"/in","host":"h","username":"u",
		"password":"canary-1","privateKey":"canary-2","passPhrase":"canary-3","s3Password":"canary-4","errorCode":1,
		"errorDescription":"cannot connect to sftp://u:canary-5@h/in","lastAccessedAt":1795286821,"objectType":"KalturaSftpDropFolder"}]}`)
	folders, _, err := w.platform().DropFolders(t.Context(), "")
	if err != nil || len(folders) != 1 {
		t.Fatalf("%+v, %v", folders, err)
	}
	f := folders[0]
	if s := fmt.Sprintf("%+v", f) + w.log.String(); strings.Contains(s, "canary") {
		t.Error(s)
	}
	if f.Kind != "sftp" || f.Enabled || f.CheckedAt == nil || f.Error != "ERROR_CONNECT: cannot connect to sftp://h/in" {
		t.Errorf("%+v", f)
	}
}

func TestRemoteDropFoldersClosed(t *testing.T) {
	w := newWire(t)
	w.raw("dropfolder_dropfolder.list", `{"code":"PLUGIN_NOT_AVAILABLE_FOR_PARTNER","message":"x","objectType":"KalturaAPIException","args":[]}`)
	w.on("dropfolder_dropfolderfile.list", "dropfolderfile/list-user-ks")
	p := w.platform()
	for range 2 {
		_, _, err := p.DropFolders(t.Context(), "")
		_, _, err2 := p.DropFiles(t.Context(), "1", false, "")
		if gateway.CodeOf(err) != gateway.Forbidden || gateway.CodeOf(err2) != gateway.Forbidden || gateway.AsError(err).NextStep == "" {
			t.Errorf("%v, %v", err, err2)
		}
		w.onFunc("apptoken.startsession", func(rw http.ResponseWriter, c call) { w.session(rw, c, "list:*", typeUser) })
		p = w.platform()
	}
}

// TestRemoteFilesPage: pages go on where they were, whatever comes meanwhile.
func TestRemoteFilesPage(t *testing.T) {
	w := newWire(t)
	count, first := 250, 0
	w.onFunc("dropfolder_dropfolderfile.list", func(rw http.ResponseWriter, c call) {
		f, pager := c.params["filter"].(map[string]any), c.params["pager"].(map[string]any)
		until := 1 << 60
		if v, ok := f["createdAtLessThanOrEqual"].(float64); ok {
			until = int(v)
		}
		var rows []any
		for id := count; id > 0; id-- {
			if at := tokenMade + id; at <= until {
				rows = append(rows, map[string]any{"id": id, "dropFolderId": 2, "fileName": fmt.Sprint(id), "status": 4, "createdAt": at})
			}
		}
		size, page := int(pager["pageSize"].(float64)), int(pager["pageIndex"].(float64))
		from := min((page-1)*size, len(rows))
		writeJSON(rw, map[string]any{"totalCount": len(rows), "objects": rows[from:min(from+size, len(rows))], "objectType": "KalturaDropFolderFileListResponse"})
		count += 7 // more come
	})
	first = count
	p := w.platform()
	seen, cursor := 0, ""
	for {
		files, next, err := p.DropFiles(t.Context(), "2", false, cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if want := fmt.Sprint(first - seen); f.ID != want {
				t.Fatalf("%s, want %s", f.ID, want)
			}
			seen++
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	if seen != first {
		t.Errorf("%d of %d files", seen, first)
	}
	files, cursor, err := p.DropFiles(t.Context(), "2", false, "")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, bad := range []string{"rubbish", cursor + "x"} {
		if _, _, err := p.DropFiles(t.Context(), "2", false, bad); !gateway.IsReason(err, "cursor_invalid") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, _, err := p.DropFiles(t.Context(), "3", false, cursor); !gateway.IsReason(err, "cursor_invalid") {
		t.Errorf("another folder's cursor: %v", err)
	}
}

// A credential that may see the account's folders may not be one that changes their files.
func TestRemoteFilesReadOnly(t *testing.T) {
	w := newWire(t)
	w.raw("dropfolder_dropfolderfile.ignore", `{"code":"SERVICE_FORBIDDEN","message":"The access to service is forbidden","objectType":"KalturaAPIException","args":{}}`)
	_, err := w.platform().ChangeDropFile(t.Context(), "5", gateway.ActIgnore)
	if gateway.CodeOf(err) != gateway.Forbidden || !gateway.IsReason(err, "remote_read_only") {
		t.Error(err)
	}
}
