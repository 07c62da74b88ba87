package platform_test

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"isthmus/integrations/kaltura/platform"
	"isthmus/media/mediatest"
	"isthmus/store"
	"isthmus/store/storetest"
)

const wire = "../testdata/wire/"

// transcript is one recorded request with its answer.
type transcript struct {
	Name    string
	Request struct {
		Method, URL string
		Headers     map[string]string
		Params      params
		Body        *string
		Files       []struct {
			Field, Filename, ContentType, Text string
			Size                               int
		}
	}
	Response struct {
		Status  int
		Headers map[string]string
		Body    *string
	}
}

// params keeps the order of form fields.
type params [][2]string

// UnmarshalJSON reads an object of texts.
func (p *params) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return err
		}
		var v any
		if err := d.Decode(&v); err != nil {
			return err
		}
		*p = append(*p, [2]string{k.(string), fmt.Sprint(v)})
	}
	return nil
}

func (p params) get(name string) string {
	for _, kv := range p {
		if kv[0] == name {
			return kv[1]
		}
	}
	return ""
}

func load(t *testing.T, name string) transcript {
	t.Helper()
	raw, err := os.ReadFile(wire + name + ".json")
	must(t, err)
	var tr transcript
	must(t, json.Unmarshal(raw, &tr))
	return tr
}

// folderRows gives the transcripts of a folder in the order of their recording.
func folderRows(t *testing.T) map[string][]string {
	t.Helper()
	f, err := os.Open(wire + "scenarios.md")
	must(t, err)
	defer f.Close() //nolint:errcheck // only read
	heading := regexp.MustCompile("^## `([a-z0-9-]+)`")
	row := regexp.MustCompile(`^\| \d+ \| ([^ |]+) \|`)
	out := map[string][]string{}
	folder := ""
	for s := bufio.NewScanner(f); s.Scan(); {
		if m := heading.FindStringSubmatch(s.Text()); m != nil {
			folder = m[1]
		} else if m := row.FindStringSubmatch(s.Text()); m != nil && folder != "" {
			out[folder] = append(out[folder], folder+"/"+m[1])
		}
	}
	return out
}

// sequence is the order in which one account can replay everything: that of the folders, except for
// the rows which were recorded later than their neighbours.
func sequence(t *testing.T) []string {
	rows := folderRows(t)
	var out []string
	moved := []string{
		"uploadtoken/get-after-addContent", "flavorasset/getByEntryId-after-addContent",
		"session/ks-v1-client-made-user-admin-secret", "session/urirestrict-matching-uri",
	}
	add := func(names ...string) {
		for _, n := range names {
			if !slices.Contains(moved, n) {
				out = append(out, n)
			}
		}
	}
	cut := func(folder, first string) (before, after []string) {
		i := slices.Index(rows[folder], folder+"/"+first)
		return rows[folder][:i], rows[folder][i:]
	}
	mediaFirst, _ := cut("media", "delete")
	mediaBefore, mediaLast := cut("media", "get-ready")
	listFirst, listLast := cut("medialist", "admin-default-status-ready-entries")
	for _, f := range []string{"session", "apptoken", "user", "uploadtoken"} {
		add(rows[f]...)
	}
	add(mediaFirst...)
	out = append(out, moved[0], moved[1])
	add(listFirst...)
	add(mediaBefore[len(mediaFirst):]...)
	add(rows["errors"]...)
	add(rows["multirequest"]...)
	add(rows["dropfolder"]...)
	byHand, watched := cut("dropfolderfile", "list-after-xml-ingest")
	good, bad := cut("ingest", "bulk-list-after-bad-xml")
	add(byHand...)
	out = append(out, "READY")
	add(listLast...)
	add(rows["flavorasset"]...)
	add(rows["playbackcontext"]...)
	out = append(out, moved[2], moved[3])
	add(rows["client-node"]...)
	add(mediaLast...)
	add(rows["playmanifest"]...)
	add(watched[0])
	add(good...)
	add(watched[1:]...)
	add(bad...)
	for _, f := range []string{"partner", "baseentry", "player", "accesscontrol", "client-php5", "client-python"} {
		add(rows[f]...)
	}
	return out
}

// replayer sends recorded requests with the values of our own answers put in.
type replayer struct {
	*world
	alias   map[string]string // recorded value → ours
	tokens  map[string]string // our app token id → secret
	hashes  map[string]string // our app token id → hash type
	numbers map[string]string // class and recorded number → our number
	unseen  map[string]bool   // recorded numbers of rows that no answer shows
	sample  []byte
	read    tally // fields that clients read
	all     tally // every recorded field
}

const (
	recordedL = "0_ibxqqyzw"
	recordedS = "0_n84y8n2p"
)

// TestReplay replays every recorded scenario on one account and compares the answers. What is not
// met is listed in testdata/not-met.txt with a reason; a listed scenario that passes fails the test.
func TestReplay(t *testing.T) {
	storetest.EachDB(t, replay)
}

func replay(t *testing.T, db *store.DB) { newReplayer(newWorld(t, db)).run(readNotMet(t)) }

// run replays everything and judges the answers.
func (r *replayer) run(notMet map[string]string) {
	t := r.t
	t.Helper()
	seen := map[string]bool{}
	met := 0
	for _, name := range sequence(t) {
		if name == "READY" {
			r.ready()
			continue
		}
		if r.remote() && notOverHTTP[name] != "" {
			t.Logf("%s left out: %s", name, notOverHTTP[name])
			continue
		}
		seen[name] = true
		r.before(name)
		problems := r.step(load(t, name))
		r.after(name)
		reason, listed := notMet[name]
		switch {
		case listed && len(problems) == 0:
			t.Errorf("%s passes now: remove it from not-met.txt (%s)", name, reason)
		case !listed && len(problems) > 0:
			t.Errorf("%s:\n\t%s", name, strings.Join(problems, "\n\t"))
		case !listed:
			met++
		}
	}
	for name := range notMet {
		if !seen[name] {
			t.Errorf("not-met.txt names %s, which is no scenario", name)
		}
	}
	said := fmt.Sprintf("%s\n  fields that clients read: %d of %d scenarios met, %s fields\n  every recorded field: %s\n", t.Name(), met, len(seen), &r.read, &r.all)
	t.Log(said)
	if dir := os.Getenv("ISTHMUS_REPORTS"); dir != "" { // shown at the end of `make test`
		must(t, os.WriteFile(filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "-")+".txt"), []byte(said), 0o600))
	}
	if r.all.share() < wantedShare {
		t.Errorf("every recorded field: less than %v", wantedShare)
	}
	if name := os.Getenv("ISTHMUS_REPLAY_MISSED"); name != "" {
		must(t, os.WriteFile(name, []byte(strings.Join(r.all.missed, "\n")), 0o644))
	}
}

func newReplayer(w *world) *replayer {
	r := &replayer{world: w, alias: map[string]string{}, tokens: map[string]string{}, hashes: map[string]string{}, numbers: map[string]string{}}
	r.sample = sample(w.t)
	for theirs, ours := range map[string]string{adminSecret: w.secret, userSecret: w.user, password: w.password} {
		if theirs != ours {
			r.alias[theirs] = ours
		}
	}
	return r
}

func readNotMet(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile("testdata/not-met.txt")
	must(t, err)
	out := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, reason, ok := strings.Cut(line, " ")
		if !ok || strings.TrimSpace(reason) == "" {
			t.Errorf("not-met.txt: %q has no reason", line)
		}
		out[name] = strings.TrimSpace(reason)
	}
	return out
}

// sample is a file of the recorded size whose packaging fails, as the recorded one's conversion did.
func sample(t *testing.T) []byte {
	t.Helper()
	const size = 41155
	file := filepath.Join(t.TempDir(), "sample.mp4")
	must(t, mediatest.Clip{Seconds: 3, Width: 320, Height: 180, Rate: 25, Extra: []string{
		"-movflags", "+faststart", "-crf", "51", "-b:a", "16k",
	}}.Make(t.Context(), file))
	data, err := os.ReadFile(file)
	must(t, err)
	clear(data[bytes.Index(data, []byte("mdat"))+4:]) // frames that no decoder takes
	return pad(t, data, size)
}

// pad makes an MP4 file as large as a recorded one.
func pad(t *testing.T, data []byte, size int) []byte {
	t.Helper()
	rest := size - len(data)
	if rest < 8 {
		t.Fatal("the sample is too large:", len(data))
	}
	data = append(data, byte(rest>>24), byte(rest>>16), byte(rest>>8), byte(rest), 'f', 'r', 'e', 'e')
	return append(data, make([]byte, rest-8)...)
}

// admin is a session of the recordings' administrator.
func (r *replayer) admin() string { return r.session(adminUser, 2, "") }

// before makes what the recordings had made beforehand without a transcript.
func (r *replayer) before(name string) {
	r.t.Helper()
	ctx := r.t.Context()
	entry := func(ks string, fields map[string]any) string {
		fields["objectType"], fields["mediaType"] = "KalturaMediaEntry", 1
		return r.object(ks, "media.add", map[string]any{"entry": fields})["id"].(string)
	}
	token := func(recorded, file string, size int) {
		r.alias[recorded] = r.object(r.admin(), "uploadToken.add", map[string]any{"uploadToken": map[string]any{"fileName": file, "fileSize": size}})["id"].(string)
	}
	switch name {
	case "session/start-admin", "session/start-xml-slow-path":
		if !r.remote() {
			r.restart() // the first call after a start is answered in full
		}
	case "apptoken/add-without-sessionUserId-fresh-partner":
		must(r.t, r.db.Kaltura().Users().Delete(ctx, partnerID, ""))
	case "apptoken/add-sha256":
		nobody := r.session("", 2, "")
		r.api(nobody, "media.delete", map[string]any{"entryId": entry(nobody, map[string]any{})})
	case "apptoken/list-filter-sessionUserIdEqual":
		r.object(r.admin(), "appToken.add", map[string]any{"appToken": map[string]any{
			"hashType": "SHA256", "sessionUserId": "service-user", "sessionType": 0, "sessionPrivileges": "list:*", "description": "reference token",
		}})
	case "apptoken/startSession-disabled-token":
		id := r.alias["0_jpk5yjlt"]
		row, err := r.db.Kaltura().AppTokens().Get(ctx, partnerID, id)
		must(r.t, err)
		row.Status = 1
		must(r.t, r.db.Kaltura().AppTokens().Update(ctx, &row))
	case "apptoken/session-after-token-delete":
		r.api(r.admin(), "appToken.delete", map[string]any{"id": r.alias["0_gyfmmsdu"]})
	case "media/add":
		token("0_cd1e4712f5d3feb20a073984ff4a5574", "sample.mp4", 41155)
	case "media/addContent-pending-token":
		token("0_d9656012bf5a727c67a02adec26b32ac", "pending.mp4", 1000)
	case "medialist/admin-default-status":
		for i := range 5 {
			owner := "alice"
			if i > 2 {
				owner = "bob"
			}
			entry(r.admin(), map[string]any{"name": fmt.Sprintf("Set %d", i), "userId": owner, "tags": fmt.Sprintf("set-1795286326,course-10%d,common", i)})
		}
	case "errors/invalid-ks-json":
		if !r.remote() {
			r.work()
		}
		r.wait(r.admin(), r.alias["0_gu3r9o5x"], -1, nil)
	case "dropfolder/add-partner-admin-ks":
		r.removeFolders()
	case "dropfolderfile/list-after-xml-ingest":
		r.dropLecture()
	case "dropfolderfile/list-after-bad-xml":
		r.dropBadXML()
	case "dropfolderfile/get-after-bad-schema-xml":
		r.nameUnseen()
	case "flavorasset/getByEntryId-no-content":
		r.alias["0_97wdkz62"] = r.alias["0_5mfrx2pj"] // any entry without content
	}
}

// after undoes what the recordings undid.
func (r *replayer) after(name string) {
	switch name {
	case "dropfolderfile/get-after-not-xml-xml":
		r.unseen = nil
	case "accesscontrol/media-get-widget":
		r.object(r.admin(), "media.update", map[string]any{"entryId": r.alias[recordedL], "mediaEntry": map[string]any{"accessControlId": 2}})
	}
}

// ready makes the two READY videos.
func (r *replayer) ready() {
	r.t.Helper()
	clip := filepath.Join(r.t.TempDir(), "a.mp4")
	must(r.t, mediatest.Clip{Seconds: 12, Width: 1280, Height: 720, Rate: 25, Source: "color", Extra: []string{"-movflags", "+faststart"}}.Make(r.t.Context(), clip))
	data, err := os.ReadFile(clip)
	must(r.t, err)
	must(r.t, os.WriteFile(clip, pad(r.t, data, 6599494), 0o600))
	admin := r.admin()
	r.alias[recordedL] = r.upload(admin, clip, map[string]any{
		"mediaType": 1, "name": "Lecture 2", "description": "ready entry", "userId": "alice", "tags": "course-201,week-1", "referenceId": "lec-2",
	})
	r.alias[recordedS] = r.upload(admin, clip, map[string]any{
		"mediaType": 1, "name": "Source only", "tags": "course-201", "conversionProfileId": 16,
	})
	r.wait(admin, r.alias[recordedS], 2, nil)
	r.wait(admin, r.alias[recordedL], 2, func(e map[string]any) bool { return strings.Contains(e["flavorParamsIds"].(string), "0,2") })
}

var (
	ksShape = regexp.MustCompile(`[A-Za-z0-9+_-]{60,}={0,2}`)
	hashOf  = map[string]func() hash.Hash{"SHA1": sha1.New, "MD5": md5.New, "SHA256": sha256.New, "SHA512": sha512.New}
)

// translate puts our values where a recorded text has recorded ones. Sessions that we have not seen
// an answer for are made anew: same user, type and privileges, expired when they were.
func (r *replayer) translate(s string, at int64) string {
	s = ksShape.ReplaceAllStringFunc(s, func(text string) string {
		if ours, ok := r.alias[text]; ok {
			return ours
		}
		user, kind, privileges, expiry, ok := platform.SessionOf(text, adminSecret)
		if !ok {
			return r.operatorSession(text)
		}
		privileges = r.plain(privileges)
		until := time.Now().Unix() + 86400
		if expiry <= at {
			until = time.Now().Unix() - 10
		}
		ours := platform.NewSession(r.secret, partnerID, user, kind, privileges, until)
		if !strings.HasPrefix(text, "djJ8") {
			ours = platform.NewSessionV1(r.secret, partnerID, user, kind, privileges, until)
		}
		r.alias[text] = ours
		return ours
	})
	return r.plain(s)
}

// plain replaces ids only.
func (r *replayer) plain(s string) string {
	var pairs []string
	for theirs, ours := range r.alias {
		pairs = append(pairs, theirs, ours)
	}
	return strings.NewReplacer(pairs...).Replace(s)
}

// step replays one transcript and reports differences.
func (r *replayer) step(tr transcript) []string {
	r.t.Helper()
	at := recordedAt(tr)
	q := tr.Request
	address := strings.Replace(r.translate(q.URL, at), "http://kaltura.example", r.url, 1)
	form := make(params, 0, len(q.Params))
	for _, kv := range q.Params {
		v := kv[1]
		if strings.HasSuffix(kv[0], ":expiry") {
			if n, err := strconv.ParseInt(v, 10, 64); err == nil && n > 1e9 {
				v = strconv.FormatInt(n-at+time.Now().Unix(), 10)
			}
		}
		class := numberParams[kv[0]]
		if kv[0] == "id" && strings.Contains(strings.ToLower(q.URL), "bulkupload") {
			class = "KalturaBulkUpload"
		}
		if class != "" {
			v = fmt.Sprint(r.number(class, v))
		}
		form = append(form, [2]string{kv[0], r.translate(v, at)})
	}
	body := ""
	if q.Body != nil {
		body = r.translate(*q.Body, at)
	}
	r.rehash(form, &body)
	var reader io.Reader = strings.NewReader(body)
	kind := header(q.Headers, "Content-Type")
	switch {
	case q.Body != nil || q.Method == http.MethodGet:
	case len(q.Files) > 0 || strings.HasPrefix(kind, "multipart/"):
		var b bytes.Buffer
		m := multipart.NewWriter(&b)
		for _, kv := range form {
			must(r.t, m.WriteField(kv[0], kv[1]))
		}
		for _, f := range q.Files {
			part, err := m.CreateFormFile(f.Field, f.Filename)
			must(r.t, err)
			data := []byte(f.Text)
			if f.Text == "" && f.Size > 0 {
				from, err := strconv.Atoi(form.get("resumeAt"))
				must(r.t, err)
				data = r.sample[from : from+f.Size]
			}
			_, err = part.Write(data)
			must(r.t, err)
		}
		must(r.t, m.Close())
		reader, kind = &b, m.FormDataContentType()
	default:
		v := url.Values{}
		for _, kv := range form {
			v.Add(kv[0], kv[1])
		}
		reader = strings.NewReader(v.Encode())
	}
	req, err := http.NewRequestWithContext(r.t.Context(), q.Method, address, reader)
	must(r.t, err)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if rng := header(q.Headers, "Range"); rng != "" {
		req.Header.Set("Range", rng)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	must(r.t, err)
	defer res.Body.Close() //nolint:errcheck // only read
	got, err := io.ReadAll(res.Body)
	must(r.t, err)
	problems := r.compare(tr, res, string(got))
	r.every(&r.all, tr, res, string(got)) // with what the comparison has learned of ids
	return problems
}

// rehash computes the proof for an app token anew: it binds to our session and our token.
func (r *replayer) rehash(form params, body *string) {
	proof := func(id, ks, recorded string) string {
		make := hashOf[r.hashes[id]]
		if make == nil {
			return recorded
		}
		h := make()
		h.Write([]byte(ks + r.tokens[id]))
		out := hex.EncodeToString(h.Sum(nil))
		if recorded == strings.ToUpper(recorded) && recorded != strings.ToLower(recorded) {
			out = strings.ToUpper(out)
		}
		return out
	}
	for i, kv := range form {
		if kv[0] == "tokenHash" {
			form[i][1] = proof(form.get("id"), form.get("ks"), kv[1])
		}
	}
	var tree map[string]any
	if json.Unmarshal([]byte(*body), &tree) == nil && tree["tokenHash"] != nil {
		recorded := tree["tokenHash"].(string)
		*body = strings.ReplaceAll(*body, recorded, proof(tree["id"].(string), tree["ks"].(string), recorded))
	}
}

// recordedAt reads the clock of the recording.
func recordedAt(tr transcript) int64 {
	_, at, _ := strings.Cut(header(tr.Response.Headers, "X-Kaltura-Session"), ", ")
	n, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return 1795286000
	}
	return n
}

func header(h map[string]string, name string) string {
	for k, v := range h {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return ""
}
