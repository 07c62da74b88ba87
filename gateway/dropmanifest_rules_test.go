package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/outbound"
	"isthmus/store"
	"isthmus/store/storetest"
)

// rich has all that makes steps: two items, content, a picture, an edit.
func (d *drops) rich() gateway.DropFile {
	d.t.Helper()
	d.put("a.mp4", noise(500))
	d.put("a.png", picture(d.t))
	d.put("b.mp4", noise(600))
	id := d.world.entry("", "Old", "")
	thumbed := strings.Replace(addItem("ref-a", "A", "a.mp4"), "</item>", `<thumbnails><thumbnail isDefault="true"><dropFolderFileContentResource filePath="a.png"/></thumbnail></thumbnails></item>`, 1)
	return d.put("news.xml", xml(thumbed, fmt.Sprintf(
		`<item><action>update</action><entryId>%s</entryId><name>New</name><contentAssets><content><dropFolderFileContentResource filePath="b.mp4"/></content></contentAssets></item>`, id)))
}

func picture(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 64, 36))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A process is killed after each step there is, a written row or a call of the platform; the next one goes on. Whatever
// the step, there is one entry and nothing is lost.
func TestManifestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	count := newDrops(t, storetest.SQLite(t))
	count.rich()
	count.kills.steps.Store(0)
	count.start(count.kills)
	count.work()
	count.expect("news.xml", gateway.DropReady, "")
	steps := count.kills.steps.Load()
	if steps < 15 {
		t.Fatal("only", steps, "steps")
	}
	every := int64(4) // by default some of the steps, other ones each time
	if os.Getenv("ISTHMUS_KILLS") != "" {
		every = 1
	}
	for k := 1 + rand.Int64N(every); k <= steps; k += every {
		t.Run(fmt.Sprint(k), func(t *testing.T) {
			d := newDrops(t, storetest.SQLite(t))
			f := d.rich()
			d.kills.steps.Store(0)
			d.kills.after.Store(k)
			d.start(d.kills)
			for range 100 { // until it was killed, and what is in memory is lost
				if d.kills.dead() || !d.round(t.Context()) {
					break
				}
				d.convert()
			}
			d.kills.after.Store(0)
			d.restart()
			for range 5 { // leases end, and the platform's index would show what was made
				d.work()
				d.later(2 * time.Minute)
			}
			d.expect("news.xml", gateway.DropReady, "")
			if got := d.told(f); got != "1 add done \n2 update done \n" {
				t.Error(got)
			}
			if l := d.entries("ref-a"); len(l) != 1 {
				t.Error(l)
			}
			if l := d.all(); len(l) != 2 {
				t.Errorf("%d entries: %v", len(l), l)
			}
		})
	}
}

func TestManyItemsSomeOfWhichFail(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	var items []string
	for i := range 200 {
		switch i % 10 {
		case 9:
			items = append(items, `<item><action>update</action><referenceId>nobody</referenceId><name>X</name></item>`)
		default:
			items = append(items, fmt.Sprintf(`<item><action>add</action><type>1</type><referenceId>r%d</referenceId><name>N%d</name><media><mediaType>1</mediaType></media></item>`, i, i))
		}
	}
	f := d.put("many.xml", xml(items...))
	d.work()
	done := d.expect("many.xml", gateway.DropQuarantined, "items_failed")
	if done.Items != 200 || done.ItemsDone != 180 || done.ItemsFailed != 20 {
		t.Error(done.Items, done.ItemsDone, done.ItemsFailed)
	}
	if len(d.all()) != 180 {
		t.Error(len(d.all()))
	}
	if n := strings.Count(d.told(f), "failed reference_not_found"); n != 20 {
		t.Error(n)
	}
}

func TestItemsStayWithinWhatTheFolderMayTouch(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t), func(in *gateway.Integration, f *gateway.DropFolder) { in.Visibility = gateway.VisibilityOwn })
	mine := d.world.entry(d.house.Admin.Email, "Mine", "")
	theirs := d.world.entry("somebody@else.example", "Theirs", "")
	f := d.put("u.xml", xml(
		fmt.Sprintf(`<item><action>update</action><entryId>%s</entryId><name>Mine again</name></item>`, mine),
		fmt.Sprintf(`<item><action>update</action><entryId>%s</entryId><name>Stolen</name></item>`, theirs),
		fmt.Sprintf(`<item><action>delete</action><entryId>%s</entryId></item>`, theirs),
		`<item><action>add</action><type>1</type><userId>somebody@else.example</userId><name>For them</name><media><mediaType>1</mediaType></media></item>`,
		fmt.Sprintf(`<item><action>add</action><type>1</type><name>Copy</name><media><mediaType>1</mediaType></media><contentAssets><content><entryContentResource entryId="%s"/></content></contentAssets></item>`, theirs),
	))
	d.work()
	if got := d.told(f); got != "1 update done \n2 update failed entry_not_found\n3 delete failed entry_not_found\n4 add failed user_not_own\n5 add failed entry_not_found\n" {
		t.Error(got)
	}
	d.world.ask("media", "update", map[string]any{"entryId": theirs, "mediaEntry": map[string]any{"objectType": "KalturaMediaEntry", "referenceId": "ref-theirs"}}, &struct{}{})
	g := d.put("r.json", fmt.Appendf(nil, `[{"action":"add","type":"video","name":"Copy","template_entry_id":%q},
		{"action":"add","type":"video","name":"Copy","parent_reference_id":"ref-theirs"},
		{"action":"add","type":"video","name":"Mine too","template_entry_id":%q}]`, theirs, mine))
	d.work()
	if got := d.told(g); got != "1 add failed template_unknown\n2 add failed parent_unknown\n3 add done \n" {
		t.Error(d.explain(g))
	}
	d.folder.Origin.UserID = "somebody@else.example" // saved while the hub was shared
	if err := d.db.DropFolders().Update(t.Context(), &d.folder); err != nil {
		t.Fatal(err)
	}
	i := d.put("o.json", fmt.Appendf(nil, `[{"action":"add","type":"video","name":"For them"},{"action":"add","type":"video","name":"Mine as well","user_id":%q}]`, d.house.Admin.Email))
	d.work()
	if got := d.told(i); got != "1 add failed user_not_own\n2 add done \n" {
		t.Error(d.explain(i))
	}
	for _, e := range d.all() {
		if e.ID == theirs && e.Name != "Theirs" || e.Name == "For them" || e.Name == "Copy" {
			t.Error(e)
		}
	}
}

func TestItemsStayWithinTheHubsCategory(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	cats := d.world.categories("hub", "below", "other")
	in := d.in
	in.CategoryID = cats[0]
	if err := d.db.Integrations().Update(t.Context(), &in); err != nil {
		t.Fatal(err)
	}
	inside, outside := d.world.entry("", "In", ""), d.world.entry("", "Out", "")
	d.world.categorise(inside, cats[1])
	d.world.categorise(outside, cats[2])
	f := d.put("u.xml", xml(
		fmt.Sprintf(`<item><action>update</action><entryId>%s</entryId><name>In again</name></item>`, inside),
		fmt.Sprintf(`<item><action>update</action><entryId>%s</entryId><name>Out again</name></item>`, outside),
		fmt.Sprintf(`<item><action>add</action><type>1</type><name>New</name><categories><categoryId>%d</categoryId></categories><media><mediaType>1</mediaType></media></item>`, cats[2]),
	))
	d.work()
	got := strings.Split(d.told(f), "\n")
	if got[0] != "1 update done " || got[1] != "2 update failed entry_not_found" || !strings.HasPrefix(got[2], "3 add failed ") {
		t.Error(got)
	}
}

func TestFolderThatStandsStillRunsNothing(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	f := d.put("n.xml", xml(addItem("ref-a", "A", "a.mp4")))
	d.put("a.mp4", noise(500))
	if err := d.folders.RunManifest(t.Context(), d.file("n.xml")); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	folder, err := d.db.DropFolders().Get(t.Context(), gateway.AnyHub, d.folder.ID)
	if err != nil {
		t.Fatal(err)
	}
	folder.PausedAt = &now
	if err := d.db.DropFolders().Update(t.Context(), &folder); err != nil {
		t.Fatal(err)
	}
	d.put("a.mp4", noise(500))
	var z *gateway.Snooze
	d.work()
	if err := d.folders.RunItems(t.Context(), f.ID); !asSnooze(err, &z) {
		t.Error(err)
	}
	folder.PausedAt = nil
	if err := d.db.DropFolders().Update(t.Context(), &folder); err != nil {
		t.Fatal(err)
	}
	p, err := d.db.Participants().Get(t.Context(), gateway.AnyHub, d.folder.ParticipantID)
	if err != nil {
		t.Fatal(err)
	}
	p.ErasedAt, p.SuspendedAt = &now, &now
	if err := d.db.Participants().Update(t.Context(), &p); err != nil {
		t.Fatal(err)
	}
	if err := d.folders.RunItems(t.Context(), f.ID); !asSnooze(err, &z) {
		t.Error(err)
	}
	if len(d.all()) != 0 {
		t.Error("made in the name of nobody:", d.all())
	}
	folder.ParticipantID = d.house.Teacher.ParticipantID // takes it over
	if err := d.db.DropFolders().Update(t.Context(), &folder); err != nil {
		t.Fatal(err)
	}
	d.work()
	d.expect("n.xml", gateway.DropReady, "")
}

func TestRefusedThumbnailMakesNothing(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	d.put("a.mp4", noise(500))
	d.put("a.png", []byte("no picture at all"))
	f := d.put("n.xml", xml(strings.Replace(addItem("ref-a", "A", "a.mp4"), "</item>",
		`<thumbnails><thumbnail><dropFolderFileContentResource filePath="a.png"/></thumbnail></thumbnails></item>`, 1)))
	d.work()
	if got := d.told(f); got != "1 add failed thumbnail_no_picture\n" {
		t.Error(got)
	}
	d.expect("n.xml", gateway.DropQuarantined, "items_failed")
	if len(d.all()) != 0 {
		t.Error(d.all())
	}
}

// web answers addresses from memory.
type web map[string]func() (gateway.Fetched, error)

func (w web) Check(url string) (string, error) { return url, nil }

func (w web) Fetch(_ context.Context, url string, _ int64, _ string) (gateway.Fetched, error) {
	if f := w[url]; f != nil {
		return f()
	}
	return gateway.Fetched{}, gateway.E(gateway.NotFound, "source_gone", "There is nothing at the address.").Next("Check the address.")
}

func body(b []byte, size int64) func() (gateway.Fetched, error) {
	return func() (gateway.Fetched, error) {
		return gateway.Fetched{Body: io.NopCloser(bytes.NewReader(b)), Size: size}, nil
	}
}

// TestAddressesThatMayNotBeCalled are refused by a dry run as by the run itself, without naming them.
func TestAddressesThatMayNotBeCalled(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	d.folders.Fetcher = outbound.NewSource(outbound.Options{})
	bad := []string{"http://files.example/s3cr3t", "https://s3cr3t:p@files.example/a.mp4", "https://10.0.0.1/s3cr3t", "https://files.example/s3cr3t" + strings.Repeat("a", 2048)}
	reasons := []string{"source_url_not_https", "source_url_userinfo", "source_url_internal", "source_url_malformed"}
	var all []string
	for i, u := range bad {
		all = append(all, strings.Replace(addItem(fmt.Sprint("ref-", i), "A", "x"), `<dropFolderFileContentResource filePath="x"/>`, `<urlContentResource url="`+u+`"/>`, 1))
	}
	p, err := d.folders.Validate(t.Context(), d.house.Admin, "", gateway.ManifestXML, bytes.NewReader(xml(all...)))
	if err != nil || len(p.Faults) != len(bad) || p.Total != 0 {
		t.Fatalf("%+v %v", p, err)
	}
	f := d.put("n.xml", xml(all...))
	d.work()
	told := d.told(f)
	for i, w := range p.Faults {
		if w.Rule != reasons[i] || strings.Contains(w.Text+w.Fix, "s3cr3t") {
			t.Errorf("%+v", w)
		}
		if !strings.Contains(told, fmt.Sprintf("%d add failed %s\n", i+1, reasons[i])) {
			t.Error(told)
		}
	}
}

func TestContentsFromAddressesAndEntries(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	d.uploads.MaxSize = 10_000
	tries := 0
	d.folders.Fetcher = web{
		"https://files.example/a.mp4?secret=s3cr3t": body(noise(900), 900),
		"https://files.example/unknown.mp4":         body(noise(800), -1),
		"https://files.example/short.mp4": func() (gateway.Fetched, error) {
			if tries++; tries == 1 {
				return gateway.Fetched{Body: io.NopCloser(bytes.NewReader(noise(100))), Size: 900}, nil
			}
			return gateway.Fetched{Body: io.NopCloser(bytes.NewReader(noise(900))), Size: 900}, nil
		},
		"https://files.example/large.mp4":      body(nil, 1<<40),
		"https://files.example/larger.mp4?k=1": body(noise(20_000), -1),
		"https://files.example/down.mp4": func() (gateway.Fetched, error) {
			return gateway.Fetched{}, gateway.E(gateway.Unavailable, "", "no").Because(errors.New("https://files.example/down.mp4"))
		},
	}
	url := func(ref, u string) string {
		return strings.Replace(addItem(ref, ref, "x"), `<dropFolderFileContentResource filePath="x"/>`, `<urlContentResource url="`+u+`"/>`, 1)
	}
	f := d.put("n.xml", xml(
		url("ref-a", "https://files.example/a.mp4?secret=s3cr3t"), url("ref-b", "https://files.example/unknown.mp4"), url("ref-c", "https://files.example/short.mp4"),
		url("ref-d", "https://files.example/large.mp4"), url("ref-e", "https://files.example/larger.mp4?k=1"), url("ref-f", "https://files.example/none.mp4"),
		url("ref-g", "https://files.example/down.mp4"),
	))
	for range 30 {
		d.work()
		d.later(time.Minute)
	}
	if got := d.told(f); got != "1 add done \n2 add done \n3 add done \n4 add failed source_too_large\n5 add failed source_too_large\n6 add failed source_gone\n7 add queued fetch_failed\n" {
		t.Error(got)
	}
	d.later(25 * time.Hour)
	d.work()
	if got := d.told(f); !strings.HasSuffix(got, "7 add failed fetch_failed\n") {
		t.Error(got)
	}
	for _, it := range d.items(f) {
		if strings.Contains(it.Text+it.NextStep+it.Title+string(it.Data), "s3cr3t") || strings.Contains(it.Text, "https://") {
			t.Error("an address is told:", it)
		}
	}
	list, err := d.db.Events().Since(t.Context(), d.house.Admin, 0, 500)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if bytes.Contains(e.Data, []byte("files.example")) {
			t.Errorf("%s tells an address: %s", e.Type, e.Data)
		}
	}
	src := d.entries("ref-a")[0].ID
	g := d.put("copy.xml", xml(strings.Replace(addItem("ref-copy", "Copy", "x"), `<dropFolderFileContentResource filePath="x"/>`, `<entryContentResource entryId="`+src+`"/>`, 1)))
	d.work()
	if got := d.told(g); got != "1 add done \n" {
		t.Error(got, d.items(g)[0].Text)
	}
}

func TestContentFromAnUploadToken(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	o, err := d.ins.OpenFor(t.Context(), d.house.Hub.ID, true)
	if err != nil {
		t.Fatal(err)
	}
	a, err := d.folders.Mappings.Resolve(t.Context(), d.house.Admin, o)
	if err != nil {
		t.Fatal(err)
	}
	ing, err := o.Platform.Create(t.Context(), a, gateway.NewMedia{ReferenceID: "own", FileName: "t.mp4", Size: 500, Type: gateway.Video})
	if err != nil {
		t.Fatal(err)
	}
	if err := ing.WriteAt(t.Context(), 0, 500, bytes.NewReader(noise(500))); err != nil {
		t.Fatal(err)
	}
	old := d.world.entry("", "Old", "")
	f := d.put("t.json", fmt.Appendf(nil, `{"items":[
		{"action":"add","type":"video","name":"T","reference_id":"ref-t","contents":[{"token":%q}]},
		{"action":"add","type":"video","name":"U","contents":[{"token":"1_0123456789abcdef0123456789abcdef"}]},
		{"action":"add","type":"video","name":"V","thumbnails":[{"token":%q}]},
		{"action":"update","entry_id":%q,"contents":[{"token":%q,"asset":"1_nothere1"}]},
		{"action":"add","type":"video","name":"W","contents":[{"token":%q,"sha1":"2fd4e1c67a2d28fced849ee1bb76e7391b93eb12"}]},
		{"action":"add","type":"video","name":"X","contents":[{"token":%q,"size":499}]},
		{"action":"add","type":"video","name":"Y","contents":[{"asset_id":"1_nothere1"}]}
	]}`, ing.Handle(), ing.Handle(), old, ing.Handle(), ing.Handle(), ing.Handle()))
	d.work()
	if got := strings.Replace(d.told(f), "4  ", "4 update ", 1); got != "1 add done \n2 add failed token_gone\n3 add failed thumbnail_token\n4 update failed asset_not_found\n"+
		"5 add failed checksum_unverifiable\n6 add failed checksum_unverifiable\n7 add failed asset_source\n" {
		t.Error(d.explain(f))
	}
	if l := d.entries("ref-t"); len(l) != 1 || len(d.all()) != 2 {
		t.Error(l, d.all())
	}
}

func TestDryRunSaysWhatWouldHappen(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	d.put("a.mp4", noise(500))
	old := d.world.entry("", "Old", "")
	doc := xml(
		addItem("ref-a", "A", "a.mp4"), addItem("ref-b", "B", "b.mp4"),
		fmt.Sprintf(`<item><entryId>%s</entryId><name>New</name></item>`, old),
		fmt.Sprintf(`<item><action>delete</action><entryId>%s</entryId></item>`, old),
		strings.Replace(addItem("ref-c", "C", "a.mp4"), "<media>", "<conversionProfile>nowhere</conversionProfile><media>", 1),
	)
	before := d.all()
	p, err := d.folders.Validate(t.Context(), d.house.Admin, d.folder.ID, gateway.ManifestXML, bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Faults) != 0 || p.Total != 5 || p.Truncated || !slices.Equal(p.Missing, []string{"b.mp4"}) {
		t.Errorf("%+v", p)
	}
	if p.Actions[gateway.ManifestAdd] != 3 || p.Actions[gateway.ManifestUpdate] != 1 || p.Actions[gateway.ManifestDelete] != 1 {
		t.Error(p.Actions)
	}
	if p.Items[2].Does != "Changes Old." || p.Items[3].Does != "Deletes Old." || p.Items[0].Does != "Makes A." {
		t.Error(p.Items[0].Does, p.Items[2].Does, p.Items[3].Does)
	}
	profile := false
	for _, w := range p.Warnings {
		if w.Item == 5 && w.Line > 1 && w.Text != "" && w.Fix != "" {
			profile = true
		}
	}
	if !profile {
		t.Errorf("nothing of the missing profile: %+v", p.Warnings)
	}
	if after := d.all(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Error("the dry run changed", after)
	}
	if n, err := d.db.DropItems().OfFile(t.Context(), "", nil, 0, 10); err != nil || len(n) != 0 {
		t.Error(n, err)
	}

	p, err = d.folders.Validate(t.Context(), d.house.Teacher, "", gateway.ManifestXML, strings.NewReader("<mrss><channel>\n<item><nmae>x</nmae></item></channel></mrss>"))
	if err != nil || len(p.Faults) == 0 || p.Faults[0].Line != 2 || p.Faults[0].Rule == "" || p.Faults[0].Fix == "" {
		t.Errorf("%+v %v", p.Faults, err)
	}
	var many []string
	for range 1500 {
		many = append(many, "<item><nmae>x</nmae></item>")
	}
	p, err = d.folders.Validate(t.Context(), d.house.Admin, "", gateway.ManifestXML, bytes.NewReader(xml(many...)))
	if err != nil || len(p.Faults) != 1000 || !p.More {
		t.Error(len(p.Faults), p.More, err)
	}
	d.folders.Fetcher = web{}
	p, err = d.folders.Validate(t.Context(), d.house.Admin, "", gateway.ManifestJSON, strings.NewReader(
		`{"items":[{"entry_id":"`+old+`","duration_ms":5,"contents":[{"url":"https://a.test/b.mp4","tags":["x"]}]},{"entry_id":"`+old+`","name":"Plain"},
			{"entry_id":"`+old+`","template_entry_id":"`+old+`","conversion_profile":"x"}]}`))
	if err != nil || len(p.Faults) != 0 || !slices.ContainsFunc(p.Warnings, func(w gateway.ManifestFault) bool {
		return w.Rule == "without_effect" && w.Item == 1 && strings.Contains(w.Text, "the duration, tags of assets.")
	}) || slices.ContainsFunc(p.Warnings, func(w gateway.ManifestFault) bool { return w.Rule == "without_effect" && w.Item == 2 }) ||
		!slices.ContainsFunc(p.Warnings, func(w gateway.ManifestFault) bool {
			return w.Item == 3 && strings.Contains(w.Text, "the template") && strings.Contains(w.Text, "the conversion profile")
		}) {
		t.Errorf("%+v %v", p, err)
	}
	_, err = d.folders.Validate(t.Context(), d.house.Ada, "", gateway.ManifestXML, bytes.NewReader(doc))
	gatewaytest.Want(t, err, gateway.Forbidden, "not_content_admin")
	south := gatewaytest.NewHouse(t, d.db, gateway.SystemClock, "south", gateway.PlanUniversity)
	_, err = d.folders.Validate(t.Context(), south.Admin, d.folder.ID, gateway.ManifestXML, bytes.NewReader(doc))
	gatewaytest.Want(t, err, gateway.NotFound, "folder_not_found")
}

// What is hostile is refused by the dry run as well, and no more of it is read than that takes.
func TestDryRunRefusesHostileManifests(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	const mib = 1 << 20
	for _, h := range []struct {
		name   string
		format gateway.ManifestFormat
		head   string
		body   string
		rule   string // "" = refused as too large
		read   int64
	}{
		{"more than 64 MiB", gateway.ManifestXML, "<mrss><channel>", "<item><action>update</action><entryId>0_ab12cd34</entryId><description>" + strings.Repeat("x", 20_000) + "</description></item>", "document_too_large", 65 * mib},
		{"entities", gateway.ManifestXML, `<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><mrss><channel><item><name>`, "&b;", "doctype_refused", mib},
		{"an external entity", gateway.ManifestXML, `<?xml version="1.0"?><!DOCTYPE r SYSTEM "file:///etc/passwd"><mrss>`, " ", "doctype_refused", mib},
		{"depth", gateway.ManifestXML, "<mrss><channel><item>", "<a>", "depth_exceeded", mib},
		{"depth of JSON", gateway.ManifestJSON, `[{"name":`, "[", "depth_exceeded", mib},
		{"one huge text", gateway.ManifestJSON, `[{"name":"`, "aaaaaaaaaaaaaaaa", "item_too_large", 3 * mib},
		{"tiny parts", gateway.ManifestXML, "<mrss><channel><item><tags>", "<a/>", "item_too_many_parts", mib},
	} {
		r := &unending{head: h.head, body: h.body}
		p, err := d.folders.Validate(t.Context(), d.house.Admin, "", h.format, r)
		rules := map[string]bool{}
		for _, f := range p.Faults {
			rules[f.Rule] = true
			if f.Line < 1 || f.Column < 1 || f.Text == "" || f.Fix == "" {
				t.Errorf("%s: %+v", h.name, f)
			}
		}
		if refused := gateway.CodeOf(err) == gateway.TooLarge && h.rule == "document_too_large" || err == nil && rules[h.rule]; !refused {
			t.Errorf("%s: %v %v", h.name, rules, err)
		}
		if r.n > h.read {
			t.Errorf("%s: %d bytes were read", h.name, r.n)
		}
	}
}

// unending is a document that never ends.
type unending struct {
	head, body string
	n          int64
}

func (e *unending) Read(p []byte) (int, error) {
	n := copy(p, e.head)
	e.head = e.head[n:]
	for n < len(p) && e.head == "" {
		m := copy(p[n:], e.body)
		n, e.head = n+m, e.body[m:]
	}
	e.n += int64(n)
	return n, nil
}

// Hubs whose senders are slow keep no other waiting.
func TestSlowSendersKeepOtherHubsValidating(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	admins := []gateway.Actor{d.house.Admin, gatewaytest.NewHouse(t, d.db, gateway.SystemClock, "south", gateway.PlanUniversity).Admin}
	var ends []*io.PipeWriter
	var done sync.WaitGroup
	for i := range 4 {
		r, w := io.Pipe()
		ends = append(ends, w)
		done.Go(func() {
			if _, err := d.folders.Validate(t.Context(), admins[i%2], "", gateway.ManifestXML, r); err != nil && gateway.CodeOf(err) == gateway.Internal {
				t.Error(err)
			}
		})
		if _, err := w.Write([]byte("<mrss>")); err != nil { // it is being read
			t.Fatal(err)
		}
	}
	east := gatewaytest.NewHouse(t, d.db, gateway.SystemClock, "east", gateway.PlanUniversity)
	if _, err := d.folders.Validate(t.Context(), east.Admin, "", gateway.ManifestXML, bytes.NewReader(xml(addItem("ref-a", "A", "a.mp4")))); err != nil {
		t.Error(err)
	}
	for _, w := range ends {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	done.Wait()
}

// Who asks what a manifest would do in another's folder learns nothing of entries that only that one may see.
func TestDryRunTellsNoNamesOfOthers(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t), func(in *gateway.Integration, _ *gateway.DropFolder) { in.Visibility = gateway.VisibilityOwn })
	id := d.world.entry(d.house.Admin.Email, "Confidential", "")
	doc := xml(fmt.Sprintf(`<item><entryId>%s</entryId><tags><tag>x</tag></tags></item>`, id), fmt.Sprintf(`<item><action>delete</action><entryId>%s</entryId></item>`, id))
	for who, knows := range map[gateway.Role]bool{gateway.RoleAdmin: true, gateway.RoleContentAdmin: false} {
		a := d.house.Admin
		if who == gateway.RoleContentAdmin {
			a = d.house.Teacher
		}
		p, err := d.folders.Validate(t.Context(), a, d.folder.ID, gateway.ManifestXML, bytes.NewReader(doc))
		if err != nil || len(p.Items) != 2 {
			t.Fatal(p, err)
		}
		if got := fmt.Sprint(p.Items[0].Does, p.Items[1].Does, p.Warnings); strings.Contains(got, "Confidential") != knows {
			t.Errorf("%s: %s", who, got)
		}
	}
}

// Nor does an app that may only send into the folder, though the hub's people see all.
func TestDryRunTellsAFoldersAppNoNames(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	id := d.world.entry(d.house.Admin.Email, "Confidential", "")
	v, err := d.folders.Activate(t.Context(), d.house.Admin, gateway.DropFolderDraft{Name: &d.folder.Name})
	if err != nil {
		t.Fatal(err)
	}
	app := gateway.Actor{HubID: d.folder.HubID, ClientID: v.Client.ID, Role: gateway.RoleParticipant, Scopes: v.Client.Scopes}
	for a, knows := range map[*gateway.Actor]bool{&d.house.Admin: true, &app: false} {
		p, err := d.folders.Validate(t.Context(), *a, d.folder.ID, gateway.ManifestXML, bytes.NewReader(xml(fmt.Sprintf(`<item><action>delete</action><entryId>%s</entryId></item>`, id))))
		if err != nil || len(p.Items) != 1 || strings.Contains(p.Items[0].Does, "Confidential") != knows {
			t.Error(knows, p, err)
		}
	}
}

// While a folder cannot act, or its account is another one, nothing of it is done and nothing is refused: whoever saves
// it takes it over.
func TestFolderThatCannotActWaits(t *testing.T) {
	t.Parallel()
	for reason, change := range map[string]func(*drops, *gateway.DropFolder){
		"machine_own": func(d *drops, f *gateway.DropFolder) {
			c := gateway.Client{Row: gateway.Row{ID: gateway.NewID("cli"), HubID: f.HubID}, Name: "Sender"}
			if err := d.db.Clients().Insert(d.t.Context(), &c); err != nil {
				d.t.Fatal(err)
			}
			f.ParticipantID, f.ClientID = "", c.ID
		},
		"account_changed": func(_ *drops, f *gateway.DropFolder) { f.IntegrationID = gateway.NewID("int") },
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			d := newDrops(t, storetest.SQLite(t), func(in *gateway.Integration, _ *gateway.DropFolder) { in.Visibility = gateway.VisibilityOwn })
			change(d, &d.folder)
			if err := d.db.DropFolders().Update(t.Context(), &d.folder); err != nil {
				t.Fatal(err)
			}
			d.put("a.mp4", noise(500))
			f := d.put("n.xml", xml(addItem("ref-a", "A", "a.mp4")))
			d.work()
			d.expect("n.xml", gateway.DropProcessing, "")
			if len(d.all()) != 0 || strings.Contains(d.told(f), "failed") {
				t.Error(d.all(), d.told(f))
			}
			v, err := d.folders.Get(t.Context(), d.house.Admin, d.folder.ID)
			if err != nil || v.Stop == nil || v.Stop.Code != reason || v.Stop.NextStep == "" {
				t.Fatal(v.Stop, err)
			}
			saved, err := d.folders.Update(t.Context(), d.house.Admin, d.folder.ID, v.Version, gateway.DropFolderDraft{})
			if err != nil || saved.ParticipantID != d.house.Admin.ParticipantID || saved.IntegrationID != d.in.ID {
				t.Fatal(saved, err)
			}
			d.work()
			d.expect("n.xml", gateway.DropReady, "")
		})
	}
}

// The platform's index shows nothing yet of what items made a moment ago: it is remembered, and items of one reference id
// go one after the other.
func TestItemsOfOneReference(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		d := newDrops(t, db)
		d.lag()
		item := func(action, ref, name string) string {
			return fmt.Sprintf(`<item>%s<type>1</type><referenceId>%s</referenceId><name>%s</name><media><mediaType>1</mediaType></media></item>`, action, ref, name)
		}
		f := d.put("one.xml", xml(
			item("", "ref-a", "A1"), item("", "ref-a", "A2"), item("", "ref-a", "A3"),
			item("<action>add</action>", "ref-b", "B1"), `<item><action>update</action><referenceId>ref-b</referenceId><name>B2</name></item>`,
			`<item><action>delete</action><referenceId>ref-b</referenceId></item>`, item("", "ref-b", "B3"),
		))
		g := d.put("two.xml", xml(item("", "ref-a", "A4")))
		d.work()
		d.later(11 * time.Minute)
		d.work()
		if got := d.told(f); got != "1 add done \n2 update done \n3 update done \n4 add done \n5 update done \n6 delete done \n7 add done \n" {
			t.Error(d.explain(f))
		}
		d.expect("two.xml", gateway.DropReady, "")
		if l := d.entries("ref-a"); len(l) != 1 {
			t.Error(l, d.explain(g))
		}
		names := map[string]int{}
		for _, e := range d.all() {
			if fmt.Sprint(e.Status) != "3" {
				names[e.Name]++
			}
		}
		if names["B3"] != 1 || names["B2"] != 0 || len(names) != 2 {
			t.Error(names)
		}
	})
}

// Items of one entry go one after the other, also those that name it by its id, or one by its id and one by its reference id.
func TestItemsOfOneEntry(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		d := newDrops(t, db)
		var slow atomic.Bool
		d.meet(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "service/media/action/update") && slow.CompareAndSwap(true, false) {
				time.Sleep(200 * time.Millisecond) // the first is the slowest
			}
			d.platform.ServeHTTP(w, r)
		})
		id := d.world.entry("", "Old", "")
		item := func(name, more string) string {
			return fmt.Sprintf(`<item><action>update</action><entryId>%s</entryId>%s<name>%s</name></item>`, id, more, name)
		}
		f := d.put("one.xml", xml(item("A1", ""), item("A2", "<referenceId>ref-a</referenceId>"), item("A3", "")))
		slow.Store(true)
		d.work()
		if l := d.all(); len(l) != 1 || l[0].Name != "A3" {
			t.Error(l, d.explain(f))
		}
		g := d.put("two.xml", xml(item("B1", ""), `<item><action>update</action><referenceId>ref-a</referenceId><name>B2</name></item>`))
		slow.Store(true)
		d.work()
		if l := d.all(); len(l) != 1 || l[0].Name != "B2" {
			t.Error(l, d.explain(g))
		}
	})
}

// What comes while a manifest is about to delete an entry is done after that, as it would be in Kaltura; nothing that was
// done goes with the entry. When the deletion is undone, it goes to the entry.
func TestUpdateOfAnEntryAboutToGo(t *testing.T) {
	for _, undo := range []bool{false, true} {
		t.Run(fmt.Sprint("undone ", undo), func(t *testing.T) {
			t.Parallel()
			d := newDrops(t, storetest.SQLite(t))
			d.put("one.xml", xml(`<item><action>add</action><type>1</type><referenceId>ref-a</referenceId><name>Old</name><media><mediaType>1</mediaType></media></item>`))
			d.work()
			old := d.entries("ref-a")[0].ID
			del := d.put("two.xml", xml(fmt.Sprintf(`<item><action>delete</action><entryId>%s</entryId></item>`, old)))
			d.work()
			d.put("a.mp4", noise(500))
			f := d.put("three.xml", xml(strings.Replace(addItem("ref-a", "New", "a.mp4"), "<action>add</action>", "", 1)))
			d.work()
			if got := d.told(f); got != "1  queued entry_busy\n" {
				t.Fatal(got)
			}
			if undo {
				if _, err := d.folders.UndoItem(t.Context(), d.house.Admin, d.items(del)[0].ID); err != nil {
					t.Fatal(err)
				}
			}
			d.later(20 * time.Minute)
			d.work()
			d.work()
			done := d.expect("three.xml", gateway.DropReady, "")
			if l := d.all(); len(l) != 1 || l[0].Name != "New" || (l[0].ID == old) != undo || d.items(done)[0].EntryID != l[0].ID {
				t.Error(l, d.explain(done))
			}
		})
	}
}

// What the platform refuses without a word that is known here has the reason of what was being done.
func TestRefusalsSayWhatWasBeingDone(t *testing.T) {
	t.Parallel()
	d := newDrops(t, storetest.SQLite(t))
	refuse := ""
	d.meet(func(w http.ResponseWriter, r *http.Request) {
		if refuse != "" && strings.Contains(r.URL.Path, refuse) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"objectType":"KalturaAPIException","code":"NOT_TODAY","message":"no"}`) // the gateway finds out
			return
		}
		d.platform.ServeHTTP(w, r)
	})
	old := d.world.entry("", "Old", "")
	for i, c := range []struct{ refuse, item, reason, code string }{
		{"service/media/action/add", addItem("ref-a", "A", "a0.mp4"), "entry_add_failed", "2"},
		{"service/media/action/update", fmt.Sprintf(`<item><action>update</action><entryId>%s</entryId><name>N</name><contentAssets><content><dropFolderFileContentResource filePath="a1.mp4"/></content></contentAssets></item>`, old), "entry_update_failed", "1"},
		{"service/media/action/addContent", addItem("ref-b", "B", "a2.mp4"), "content_failed", "dropFolderXmlBulkUpload.ERROR_ADD_CONTENT_RESOURCE"},
	} {
		refuse = c.refuse
		d.put(fmt.Sprintf("a%d.mp4", i), noise(500))
		f := d.put(fmt.Sprintf("n%d.xml", i), xml(c.item))
		d.work()
		it := d.items(f)[0]
		if it.State != gateway.ItemRefused || it.Reason != c.reason || it.Text == "" || it.NextStep == "" {
			t.Error(d.explain(f))
		}
		m := d.expect(fmt.Sprintf("a%d.mp4", i), gateway.DropQuarantined, c.reason)
		if _, code := gateway.KalturaFile(m.State, m.Reason); code != c.code {
			t.Error(c.reason, code)
		}
	}
}
