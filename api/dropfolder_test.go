package api_test

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"isthmus/gateway"
	"isthmus/openapi"
)

// From a folder to a whole file in it, and everything that can be asked and done on the way.
func TestDropFolders(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ada, hub := connected(t, r, "shared")
	con := r.signIn("con@example.org")
	at := hub + "/drop-folders"

	// A name is enough. The same name again is refused, and a key gives the same folder.
	var f, same openapi.DropFolder
	made := con.want(201, "POST", at, map[string]any{"name": "Newsroom"}, "Idempotency-Key", "one")
	made.into(t, &f)
	con.want(201, "POST", at, map[string]any{"name": "Newsroom"}, "Idempotency-Key", "one").into(t, &same)
	if f.ID == "" || f.ID != same.ID || f.Source != openapi.DropSourceKindUploads || made.Header.Get("Location") != at+"/"+f.ID || f.Paused || len(f.States) != 0 {
		t.Errorf("%+v", f)
	}
	con.want(409, "POST", at, map[string]any{"name": "newsroom"})
	if p := con.want(400, "POST", at, map[string]any{"name": "B", "slug": "(?P<referenceId>"}).problem(t); p.Errors == nil || (*p.Errors)[0].Pointer != "/slug" {
		t.Errorf("%+v", p)
	}

	// Changes are made from a version.
	tag := con.want(200, "GET", at+"/"+f.ID, nil).Header.Get("ETag")
	con.want(428, "PATCH", at+"/"+f.ID, map[string]any{"match": "match_or_add"})
	changed := con.want(200, "PATCH", at+"/"+f.ID, map[string]any{"match": "match_or_add", "origin": map[string]any{"tags": []string{"news"}}}, "If-Match", tag)
	changed.into(t, &f)
	if f.Match != openapi.DropMatchMatchOrAdd || f.Name != "Newsroom" || f.Origin.Tags == nil || (*f.Origin.Tags)[0] != "news" || f.Etag == tag {
		t.Errorf("%+v", f)
	}
	con.want(412, "PATCH", at+"/"+f.ID, map[string]any{"match": "add"}, "If-Match", tag)

	// Others: a participant, another hub, and a token without the scope.
	pat, eve := r.signIn("pat@example.org"), r.signIn("eve@example.org")
	if p := pat.want(403, "GET", at, nil).problem(t); p.Code != "not_content_admin" {
		t.Errorf("%+v", p)
	}
	eve.want(404, "GET", at+"/"+f.ID, nil)
	eve.want(404, "GET", "/v1/hubs/"+r.hub["other"]+"/drop-folders/"+f.ID, nil)
	r.client(r.hub["bio"], gateway.ScopeDropFoldersRead).want(403, "POST", at, map[string]any{"name": "C"})
	if p := con.want(403, "POST", at, map[string]any{"name": "D", "source": "directory", "path": "in"}).problem(t); p.Code != "not_admin" {
		t.Errorf("%+v", p)
	}
	ada.want(201, "POST", at, map[string]any{"name": "D", "source": "directory", "path": "in", "complete": map[string]any{"rename": "*.part"}})

	// An upload into the folder keeps its path, and is the folder's when it is finished.
	var u openapi.Upload
	con.want(201, "POST", hub+"/uploads", map[string]any{"name": "2026/may/clip.mp4", "size": 8, "drop_folder_id": f.ID}).into(t, &u)
	if u.DropFolderID == nil || *u.DropFolderID != f.ID {
		t.Errorf("%+v", u)
	}
	con.want(404, "POST", hub+"/uploads", map[string]any{"name": "a.mp4", "size": 8, "drop_folder_id": "dfo_nowhere"})
	var page openapi.DropFilePage
	con.want(200, "GET", at+"/files?folder="+f.ID, nil).into(t, &page)
	if len(page.Items) != 1 || page.Items[0].Name != "2026/may/clip.mp4" || page.Items[0].State != openapi.DropStateUploading || page.Items[0].FolderName != "Newsroom" {
		t.Fatalf("%+v", page)
	}
	tus := []string{"Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream", "Upload-Offset"}
	con.want(204, "PATCH", u.TusURL, "\x00\x00\x00", append(tus, "0")...)
	var file openapi.DropFile
	con.want(200, "GET", at+"/files/"+page.Items[0].ID, nil).into(t, &file)
	if file.State != openapi.DropStateUploading || file.Received == nil || *file.Received != 3 {
		t.Errorf("%+v", file)
	}
	con.want(204, "PATCH", u.TusURL, "\x08ftyp", append(tus, "3")...)
	con.want(202, "POST", hub+"/uploads/"+u.ID+"/finish", map[string]any{"size": 8})
	file = openapi.DropFile{}
	con.want(200, "GET", at+"/files/"+page.Items[0].ID, nil).into(t, &file)
	if file.State != openapi.DropStatePending || file.Received != nil || file.WholeAt == nil || file.UploadID == nil || *file.UploadID != u.ID || *file.KalturaStatus != 2 {
		t.Errorf("%+v", file)
	}
	var times openapi.DropChangePage
	con.want(200, "GET", at+"/files/"+file.ID+"/timeline", nil).into(t, &times)
	if len(times.Items) < 2 || times.Items[0].State != openapi.DropStateUploading || times.Items[0].ByName == nil || *times.Items[0].ByName != "Con Content" || times.Items[len(times.Items)-1].State != openapi.DropStatePending {
		t.Errorf("%+v", times)
	}

	// What is listed can be narrowed, counted and exported; a name is no formula there.
	var counts openapi.DropCounts
	con.want(200, "GET", at+"/counts", nil).into(t, &counts)
	if counts.States["pending"].Files != 1 {
		t.Errorf("%+v", counts)
	}
	// What is not done is the folder's lag.
	con.want(200, "GET", at+"/"+f.ID, nil).into(t, &f)
	if f.Health.BehindSince == nil || !f.Health.BehindSince.Equal(file.CreatedAt) {
		t.Errorf("%+v of %+v", f.Health, file)
	}
	con.want(200, "GET", at+"/files?state=quarantined,ready&type=media&order=name", nil).into(t, &page)
	if len(page.Items) != 0 {
		t.Errorf("%+v", page)
	}
	con.want(400, "GET", at+"/files?state=nothing", nil)
	con.want(400, "GET", at+"/files?cursor=abc", nil)
	con.want(201, "POST", hub+"/uploads", map[string]any{"name": "=cmd().mp4", "size": 8, "drop_folder_id": f.ID})
	con.want(200, "GET", at+"/files?limit=1", nil).into(t, &page)
	if len(page.Items) != 1 || page.Next == nil {
		t.Fatalf("%+v", page)
	}
	first := page.Items[0].ID
	var last openapi.DropFilePage
	con.want(200, "GET", at+"/files?limit=1&cursor="+*page.Next, nil).into(t, &last)
	if len(last.Items) != 1 || last.Items[0].ID == first || last.Next != nil {
		t.Errorf("%+v", last)
	}
	lines, err := csv.NewReader(strings.NewReader(string(con.want(200, "GET", at+"/files/export?order=name", nil).body))).ReadAll()
	if err != nil || len(lines) != 3 || lines[0][1] != "name" || lines[1][1] != "2026/may/clip.mp4" || lines[2][1] != "'=cmd().mp4" {
		t.Errorf("%v %v", lines, err)
	}

	// One by one and many at once; what cannot be says why.
	if p := con.want(409, "POST", at+"/files/"+file.ID+"/retry", nil).problem(t); p.Code != "not_now" || p.NextStep == nil {
		t.Errorf("%+v", p)
	}
	con.want(200, "POST", at+"/files/"+file.ID+"/keep", map[string]any{}).into(t, &file)
	if !file.Kept {
		t.Errorf("%+v", file)
	}
	con.want(200, "POST", at+"/files/"+file.ID+"/ignore", nil).into(t, &file)
	if file.State != openapi.DropStateIgnored || len(file.Actions) == 0 {
		t.Errorf("%+v", file)
	}
	var done openapi.DropBulkResult
	con.want(200, "POST", at+"/files/bulk", map[string]any{"action": "retry", "ids": []string{file.ID, "dfi_nowhere"}}).into(t, &done)
	if done.Done != 1 || done.Failed != 1 || done.Results[1].Error == nil || done.Results[1].Error.Code != "drop_file_not_found" {
		t.Errorf("%+v", done)
	}
	con.want(400, "POST", at+"/files/bulk", map[string]any{"action": "retry"})
	if p := con.want(404, "POST", at+"/files/"+file.ID+"/match", map[string]any{"entry_id": "0_nothere1"}).problem(t); p.Code != "entry_not_found" || p.Errors == nil || (*p.Errors)[0].Pointer != "/entry_id" {
		t.Errorf("%+v", p)
	}
	con.want(400, "POST", at+"/files/"+file.ID+"/match", map[string]any{})
	entry := r.entry("Walk")
	con.want(200, "POST", at+"/files/"+file.ID+"/match", map[string]any{"entry_id": entry}).into(t, &file)
	if file.State != openapi.DropStatePending || deref(file.EntryID) != entry {
		t.Errorf("%+v", file)
	}
	var plan openapi.DropDeletion
	con.want(200, "GET", at+"/files/"+file.ID+"/deletion", nil).into(t, &plan)
	if plan.Blocked != nil || plan.UndoUntil == nil || plan.InSource {
		t.Errorf("%+v", plan)
	}
	con.want(200, "POST", at+"/files/"+file.ID+"/delete", map[string]any{}).into(t, &file)
	if file.State != openapi.DropStateDeletionDue || file.UndoUntil == nil {
		t.Errorf("%+v", file)
	}
	var back openapi.DropFile
	con.want(200, "POST", at+"/files/"+file.ID+"/undo", nil).into(t, &back)
	if back.State != openapi.DropStatePending || back.UndoUntil != nil {
		t.Errorf("%+v", back)
	}
	pat.want(403, "POST", at+"/files/"+file.ID+"/delete", map[string]any{})

	// Paused, resumed, tried, removed.
	con.want(200, "POST", at+"/"+f.ID+"/pause", nil).into(t, &f)
	if !f.Paused || f.Stopped == nil {
		t.Errorf("%+v", f)
	}
	resumed := con.want(200, "POST", at+"/"+f.ID+"/resume", nil)
	var tried openapi.DropFolderTest
	con.want(200, "POST", at+"/"+f.ID+"/test", map[string]any{}).into(t, &tried)
	if len(tried.Checks) == 0 {
		t.Errorf("%+v", tried)
	}
	var offered openapi.DropFolderOptions
	con.want(200, "GET", at+"/options", nil).into(t, &offered)
	if len(offered.Sources) != 1 || len(offered.States) != len(gateway.DropStates) || len(offered.Reasons) < 20 || offered.UndoSeconds != 600 {
		t.Errorf("%+v", offered)
	}
	if a := r.anonymous().want(200, "GET", deref(offered.XsdURL), nil); !strings.Contains(string(a.body), "schema") {
		t.Errorf("%s", a.body)
	}
	con.want(204, "DELETE", at+"/"+f.ID, nil, "If-Match", resumed.Header.Get("ETag"))
	con.want(404, "GET", at+"/"+f.ID, nil)
}

// One step makes all that a sender needs, once; its credential can do that and nothing else.
func TestActivateDropFolder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ada, hub := connected(t, r, "shared")
	at := hub + "/drop-folders"
	var v, again openapi.DropActivation
	ada.want(200, "POST", at+"/activate", map[string]any{"name": "Newsroom"}).into(t, &v)
	ada.want(200, "POST", at+"/activate", map[string]any{"name": "Newsroom"}).into(t, &again)
	if !v.Created || v.Secret == nil || v.ClientID == nil || again.Created || again.Secret != nil || again.Folder.ID != v.Folder.ID || deref(again.ClientID) != *v.ClientID {
		t.Fatalf("%+v\n%+v", v.Folder, again.Folder)
	}
	if page := deref(v.PageURL); !strings.HasSuffix(page, "/drop-folders?to="+v.Folder.ID) {
		t.Error("no page is at", page)
	}
	var other openapi.DropFolder
	ada.want(201, "POST", at, map[string]any{"name": "Other"}).into(t, &other)
	machine := r.anonymous()
	var tok struct {
		AccessToken string `json:"access_token"`
	}
	machine.want(200, "POST", "/oauth2/token", url.Values{"grant_type": {"client_credentials"}}, "Authorization", basic(*v.ClientID, *v.Secret)).into(t, &tok)
	machine.bearer = tok.AccessToken
	machine.want(201, "POST", hub+"/uploads", map[string]any{"name": "a.mp4", "size": 8, "drop_folder_id": v.Folder.ID})
	machine.want(200, "GET", at+"/files", nil)
	machine.want(404, "GET", at+"/"+other.ID, nil)
	if a := machine.do("POST", hub+"/uploads", map[string]any{"name": "a.mp4", "size": 8, "drop_folder_id": other.ID}); a.StatusCode < 400 {
		t.Error("it sends into another folder")
	}
	if a := machine.do("POST", hub+"/uploads", map[string]any{"name": "a.mp4", "size": 8}); a.StatusCode < 400 {
		t.Error("it makes entries past its folder")
	}
	machine.want(403, "POST", at, map[string]any{"name": "Mine"})
	machine.want(403, "GET", hub+"/library", nil)

	ada.want(200, "POST", at+"/"+v.Folder.ID+"/deactivate", nil)
	if a := machine.do("GET", at+"/files", nil); a.StatusCode < 400 {
		t.Error("its tokens go on working")
	}
	var fresh openapi.DropActivation
	ada.want(200, "POST", at+"/activate", map[string]any{"name": "Newsroom"}).into(t, &fresh)
	if fresh.Secret == nil || *fresh.Secret == *v.Secret || fresh.Folder.ID != v.Folder.ID {
		t.Errorf("%+v", fresh.Folder)
	}

	// A bucket's key is never answered nor logged.
	const key = "bucket-key-4711-secret"
	bucket := map[string]any{
		"name": "Bucket", "source": "bucket", "path": "in/", "bucket_secret": key,
		"bucket": map[string]any{"endpoint": "https://s3.example.org", "region": "eu-central-1", "name": "media", "key_id": "AKID", "path_style": true},
	}
	var b openapi.DropFolder
	answers := []answer{ada.want(201, "POST", at, bucket, "Idempotency-Key", "b"), ada.want(201, "POST", at, bucket, "Idempotency-Key", "b")}
	answers[0].into(t, &b)
	if !b.HasBucketSecret || b.Bucket == nil || deref(b.Bucket.KeyID) != "AKID" {
		t.Errorf("%+v", b)
	}
	answers = append(answers, ada.want(200, "GET", at+"/"+b.ID, nil), ada.want(200, "GET", at, nil), ada.want(200, "GET", hub+"/events", nil), ada.want(200, "GET", hub+"/audit", nil))
	for i, a := range answers {
		if strings.Contains(string(a.body), key) {
			t.Errorf("answer %d shows the key", i)
		}
	}
	if strings.Contains(r.log.String(), key) || strings.Contains(r.log.String(), *fresh.Secret) {
		t.Error("the log holds a secret")
	}
}

// A manifest's dry run, in its three forms.
func TestValidateDropManifest(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ada, hub := connected(t, r, "shared")
	at := hub + "/drop-folders/validate"
	var f openapi.DropFolder
	ada.want(201, "POST", hub+"/drop-folders", map[string]any{"name": "XML", "handler": "both"}).into(t, &f)
	const mrss = `<mrss><channel><item><action>add</action><type>1</type><name>Beach walk</name><media><mediaType>1</mediaType></media>` +
		`<contentAssets><content><dropFolderFileContentResource filePath="beach walk.mp4"/></content></contentAssets></item></channel></mrss>`
	good := map[string]string{
		"application/xml":  mrss,
		"application/json": `{"items": [{"action": "add", "type": "video", "name": "Beach walk", "contents": [{"file": "beach walk.mp4"}]}]}`,
		"text/csv":         "action,type,name,file\nadd,video,Beach walk,beach walk.mp4\n",
	}
	bad := map[string]string{
		"application/xml":  strings.Replace(mrss, "<name>Beach walk</name>", "\n<nmae>Beach walk</nmae>", 1),
		"application/json": "{\"items\": [\n{\"nmae\": \"Beach walk\"}]}",
		"text/csv":         "action,type,name,file\nadd,movie,Beach walk,beach walk.mp4\n",
	}
	for kind, body := range good {
		var p openapi.DropPreview
		ada.want(200, "POST", at+"?folder="+f.ID, body, "Content-Type", kind+"; charset=utf-8").into(t, &p)
		if p.Total != 1 || len(p.Items) != 1 || deref(p.Items[0].Name) != "Beach walk" || p.Items[0].Does == nil || len(deref(p.Missing)) != 1 || len(deref(p.Warnings)) == 0 {
			t.Errorf("%s: %+v", kind, p)
		}
		if (*p.Actions)["add"] != 1 {
			t.Errorf("%s: %+v", kind, p.Actions)
		}
	}
	for kind, body := range bad {
		a := ada.want(http.StatusUnprocessableEntity, "POST", at, body, "Content-Type", kind)
		var p openapi.ManifestProblem
		if err := json.Unmarshal(a.body, &p); err != nil {
			t.Fatal(err)
		}
		if p.Code != "manifest_faults" || len(p.Faults) == 0 || p.Faults[0].Line != 2 || p.Faults[0].Column < 1 || p.Faults[0].Rule == "" || p.Faults[0].Fix == "" || p.Preview == nil || a.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s", kind, a.body)
		}
	}
	// Nothing was made.
	var page openapi.DropFilePage
	ada.want(200, "GET", hub+"/drop-folders/files", nil).into(t, &page)
	if len(page.Items) != 0 {
		t.Errorf("%+v", page)
	}
	ada.want(415, "POST", at, "a: b", "Content-Type", "application/yaml")
	ada.want(415, "POST", at, "<mrss/>", "Content-Type", "")
	ada.want(404, "POST", at+"?folder=dfo_nowhere", mrss, "Content-Type", "application/xml")
	r.signIn("pat@example.org").want(403, "POST", at, mrss, "Content-Type", "application/xml")
	// No key keeps a body of any size.
	ada.want(200, "POST", at, mrss, "Content-Type", "application/xml", "Idempotency-Key", "k")
	if p := ada.want(422, "POST", at, bad["application/xml"], "Content-Type", "application/xml", "Idempotency-Key", "k").problem(t); p.Code != "manifest_faults" {
		t.Errorf("%+v", p)
	}
}

// entry makes one in the media platform.
func (r *rig) entry(name string) string {
	r.t.Helper()
	var ks string
	r.kalturaCall("session", "start", map[string]any{"secret": "admin-secret-of-the-account-01", "userId": "kadmin@example.org", "type": 2, "partnerId": partner}, &ks)
	var made struct {
		ID string `json:"id"`
	}
	r.kalturaCall("media", "add", map[string]any{"ks": ks, "entry": map[string]any{"objectType": "KalturaMediaEntry", "mediaType": 1, "name": name}}, &made)
	return made.ID
}

// Kaltura's own folders and their files are shown as they are there, to those who see the whole account.
func TestKalturasOwnDropFolders(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ada, hub := connected(t, r, "shared")
	con := r.signIn("con@example.org")
	var folders openapi.RemoteDropFolderPage
	con.want(200, "GET", hub+"/drop-folders/remote", nil).into(t, &folders)
	if len(folders.Items) != 1 || folders.Items[0].Name == "" || folders.Items[0].Kind == nil || *folders.Items[0].Kind != "local" || !folders.Items[0].Enabled {
		t.Fatalf("%+v", folders)
	}
	at := hub + "/drop-folders/remote/" + folders.Items[0].ID + "/files"
	var files openapi.RemoteDropFilePage
	con.want(200, "GET", at, nil).into(t, &files)
	if len(files.Items) != 0 {
		t.Errorf("%+v", files)
	}
	var ks string
	r.kalturaCall("session", "start", map[string]any{"secret": "admin-secret-of-the-account-01", "userId": "kadmin@example.org", "type": 2, "partnerId": partner}, &ks)
	r.kalturaCall("dropfolder_dropfolderfile", "add", map[string]any{"ks": ks, "dropFolderFile": map[string]any{
		"dropFolderId": folders.Items[0].ID, "fileName": "clip.mp4", "fileSize": 7,
	}}, nil)
	con.want(200, "GET", at, nil).into(t, &files)
	if f := files.Items; len(f) != 1 || f[0].Name != "clip.mp4" || f[0].Size != 7 || f[0].State != openapi.DropStateUploading || f[0].KalturaStatus != 1 {
		t.Errorf("%+v", files)
	}
	con.want(400, "GET", at+"?cursor=abc", nil)
	con.want(404, "GET", hub+"/drop-folders/remote/one/files", nil)

	var failed openapi.RemoteDropFilePage
	if con.want(200, "GET", at+"?failed=true", nil).into(t, &failed); len(failed.Items) != 0 {
		t.Errorf("%+v", failed)
	}
	// A file is tried again, left alone or deleted there, when its state there lets it be.
	file := files.Items[0].ID
	if p := con.want(409, "POST", at+"/"+file+"/retry", nil).problem(t); p.Code != "not_now" || len(files.Items[0].Actions) != 0 {
		t.Errorf("%+v", p)
	}
	fail := func() {
		r.kalturaCall("dropfolder_dropfolderfile", "updateStatus", map[string]any{"ks": ks, "dropFolderFileId": file, "status": 9}, nil)
	}
	var now openapi.RemoteDropFile
	for _, act := range []string{"ignore", "retry", "delete"} {
		fail()
		con.want(200, "POST", at+"/"+file+"/"+act, nil).into(t, &now)
		if now.ID != file || now.State == openapi.DropStateQuarantined || (act == "ignore") != (now.State == openapi.DropStateIgnored) || (act == "delete") != (now.State == openapi.DropStateDeleted) {
			t.Errorf("%s: %+v", act, now)
		}
	}
	fail()
	for failed, n := range map[string]int{"true": 1, "false": 1} {
		if con.want(200, "GET", at+"?failed="+failed, nil).into(t, &files); len(files.Items) != n {
			t.Errorf("failed=%s: %+v", failed, files)
		}
	}
	var read openapi.RemoteDropManifestPage
	if con.want(200, "GET", hub+"/drop-folders/remote/manifests", nil).into(t, &read); len(read.Items) != 0 {
		t.Errorf("%+v", read)
	}
	con.want(404, "POST", hub+"/drop-folders/remote/99/files/"+file+"/retry", nil)
	con.want(404, "POST", at+"/99999/retry", nil)
	con.want(404, "POST", at+"/one/retry", nil)
	con.want(400, "POST", at+"/"+file+"/keep", nil)
	r.signIn("pat@example.org").want(403, "POST", at+"/"+file+"/retry", nil)
	r.signIn("pat@example.org").want(403, "GET", hub+"/drop-folders/remote", nil)

	// People who see their own media only do not see the whole account's folders.
	tag := ada.want(200, "GET", hub+"/integrations/kaltura", nil).Header.Get("ETag")
	ada.want(200, "PUT", hub+"/integrations/kaltura", r.appToken("own"), "If-Match", tag)
	for _, path := range []string{hub + "/drop-folders/remote", hub + "/drop-folders/remote/manifests", at} {
		if p := ada.want(404, "GET", path, nil).problem(t); p.Code != "no_remote_drop_folders" {
			t.Errorf("%+v", p)
		}
	}
}

// The words of states and reasons are complete.
func TestDropFolderWords(t *testing.T) {
	c, err := loadContract()
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for _, v := range c.doc.Components.Schemas["DropState"].Value.Enum {
		described[v.(string)] = true
	}
	for i, w := range gateway.DropStateTexts {
		if !described[string(w.State)] || w.State != gateway.DropStates[i] || w.Title == "" || w.Text == "" || w.Kaltura == "" {
			t.Errorf("%+v", w)
		}
	}
	if len(described) != len(gateway.DropStates) || len(gateway.DropStateTexts) != len(gateway.DropStates) {
		t.Errorf("%d states described, %d with words, %d there are", len(described), len(gateway.DropStateTexts), len(gateway.DropStates))
	}
	seen := map[string]bool{}
	for _, w := range gateway.DropReasonTexts {
		if seen[w.Reason] || w.Title == "" || w.Fix == "" {
			t.Errorf("%+v", w)
		}
		seen[w.Reason] = true
	}
}
