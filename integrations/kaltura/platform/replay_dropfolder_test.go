package platform_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"isthmus/integrations/kaltura/platform"
	"isthmus/media/mediatest"
)

// numberParams are parameters that hold the number of something made during the replay.
var numberParams = map[string]string{
	"dropFolderId": "KalturaDropFolder", "dropFolderFile:dropFolderId": "KalturaDropFolder", "filter:dropFolderIdEqual": "KalturaDropFolder",
	"dropFolderFileId": "KalturaDropFolderFile",
}

// numberOf are members that hold such a number.
var numberOf = map[string]string{"dropFolderId": "KalturaDropFolder", "leadDropFolderFileId": "KalturaDropFolderFile"}

// number gives our number for a recorded one, the same when it was never seen.
func (r *replayer) number(class string, theirs any) any {
	ours, ok := r.numbers[class+"/"+fmt.Sprint(theirs)]
	if !ok {
		return theirs
	}
	if _, isText := theirs.(string); isText {
		return ours
	}
	n, _ := strconv.ParseFloat(ours, 64)
	return n
}

// learnNumber remembers which of our rows stands for a recorded one.
func (r *replayer) learnNumber(want, got map[string]any) {
	class, _ := want["objectType"].(string)
	theirs, ok := want["id"].(float64)
	ours, ok2 := got["id"].(float64)
	if ok && ok2 && (class == "KalturaDropFolder" || class == "KalturaDropFolderFile" || class == "KalturaBulkUpload") {
		r.numbers[class+"/"+fmt.Sprint(theirs)] = fmt.Sprint(ours)
	}
	// The row of an XML file that was taken is seen only where its media name it.
	theirs, ok = want["leadDropFolderFileId"].(float64)
	ours, ok2 = got["leadDropFolderFileId"].(float64)
	if _, have := r.numbers["KalturaDropFolderFile/"+fmt.Sprint(theirs)]; ok && ok2 && !have {
		r.numbers["KalturaDropFolderFile/"+fmt.Sprint(theirs)] = fmt.Sprint(ours)
	}
}

var (
	jobNumber  = regexp.MustCompile(`(xml \[|/id/)(\d+)(\]|/ks/)`)
	fileNumber = regexp.MustCompile(`^(Invalid object id \[)?(\d+)(\])?$`)
)

// numbered puts our numbers into a recorded text.
func (r *replayer) numbered(s string) string {
	s = jobNumber.ReplaceAllStringFunc(s, func(m string) string {
		part := jobNumber.FindStringSubmatch(m)
		return part[1] + fmt.Sprint(r.number("KalturaBulkUpload", part[2])) + part[3]
	})
	if m := fileNumber.FindStringSubmatch(s); m != nil && r.unseen[m[2]] {
		s = m[1] + fmt.Sprint(r.number("KalturaDropFolderFile", m[2])) + m[3]
	}
	return s
}

// operatorSession makes a session of the operator's for a recorded one, whose secret nobody knows.
func (r *replayer) operatorSession(text string) string {
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return text
	}
	for _, partner := range []int64{-1, -2} {
		if strings.Contains(string(raw), fmt.Sprintf("|%d;%d;", partner, partner)) {
			r.alias[text] = r.operatorKS(partner)
			return r.alias[text]
		}
	}
	return text
}

func (r *replayer) operatorKS(partner int64) string {
	return platform.NewSession(r.operator, partner, "", 2, "", time.Now().Unix()+86400)
}

// removeFolders takes away the folders that the account came with: the recorded one had none.
func (r *replayer) removeFolders() {
	r.t.Helper()
	found := r.object(r.admin(), "dropfolder_dropfolder.list", nil)
	for _, f := range found["objects"].([]any) {
		r.object(r.operatorKS(-2), "dropfolder_dropfolder.delete", map[string]any{"partnerId": partnerID, "dropFolderId": f.(map[string]any)["id"]})
	}
}

// put writes a file into the recorded drop folder.
func (r *replayer) put(name string, data []byte) {
	r.t.Helper()
	dir := filepath.Join(r.drop, "opt/kaltura/web/dropfolders/ref")
	must(r.t, os.MkdirAll(dir, 0o755))
	must(r.t, os.WriteFile(filepath.Join(dir, name), data, 0o644))
}

// jobs waits until that many XML jobs are over.
func (r *replayer) jobs(n int) {
	r.t.Helper()
	var last any
	for range 3000 {
		found := r.object(r.admin(), "bulkupload_bulk.list", nil)
		over := 0
		for _, j := range found["objects"].([]any) {
			if s := j.(map[string]any)["status"]; s == 5.0 || s == 6.0 {
				over++
			}
		}
		if over == n {
			return
		}
		last = found
		time.Sleep(100 * time.Millisecond)
	}
	r.t.Fatal("jobs not over:", last, r.object(r.admin(), "dropfolder_dropfolderfile.list", nil))
}

// dropLecture puts the recorded XML and a video of the recorded size and shape into the folder.
func (r *replayer) dropLecture() {
	r.t.Helper()
	if !r.remote() {
		r.watch()
	}
	const size = 6599494
	clip := filepath.Join(r.t.TempDir(), "lecture3.mp4")
	must(r.t, mediatest.Clip{Seconds: 12, Width: 1280, Height: 720, Rate: 25, Source: "color", Extra: []string{"-an", "-movflags", "+faststart"}}.Make(r.t.Context(), clip))
	data, err := os.ReadFile(clip)
	must(r.t, err)
	r.put("lecture3.mp4", pad(r.t, data, size))
	xml, err := os.ReadFile(wire + "ingest/drop-folder-xml-input.xml")
	must(r.t, err)
	r.put("lecture3.xml", xml)
	r.jobs(1)
}

// dropBadXML puts the three faulty files of the recordings into the folder.
func (r *replayer) dropBadXML() {
	r.t.Helper()
	missing := `<mrss version="1"><channel><item><action>add</action><type>1</type><name>Missing file</name><media><mediaType>1</mediaType></media>` +
		`<contentAssets><content><dropFolderFileContentResource filePath="never-arrives.mp4"/></content></contentAssets></item></channel></mrss>`
	r.put("bad-schema.xml", []byte(`<mrss version="1"><channel><item><action>add</action><name>No type element</name></item></channel></mrss>`))
	r.put("missing-file.xml", []byte(missing+strings.Repeat(" ", 823-len(missing))))
	r.put("not-xml.xml", []byte("not xml at all\n"))
	r.jobs(3)
	for range 3000 { // the rows of files that were taken go at the next look
		found := r.object(r.admin(), "dropfolder_dropfolderfile.list", map[string]any{"filter": map[string]any{
			"dropFolderIdEqual": r.number("KalturaDropFolder", 1.0), "statusNotIn": "3,4",
		}})
		if found["totalCount"] == 1.0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	r.t.Fatal("the faulty files are still there")
}

// nameUnseen finds the rows that the recordings ask for after they are gone: the neighbours of missing-file.xml.
func (r *replayer) nameUnseen() {
	n, err := strconv.Atoi(r.numbers["KalturaDropFolderFile/11"])
	must(r.t, err)
	r.numbers["KalturaDropFolderFile/10"], r.numbers["KalturaDropFolderFile/12"] = strconv.Itoa(n-1), strconv.Itoa(n+1)
	r.unseen = map[string]bool{"10": true, "12": true}
}
