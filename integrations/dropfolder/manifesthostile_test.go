package dropfolder

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
)

// repeated gives head, then n times body, then tail, without holding them.
type repeated struct {
	head, body, tail string
	n                int
	left             string
}

func (r *repeated) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if r.left == "" {
			switch {
			case r.head != "":
				r.left, r.head = r.head, ""
			case r.n > 0:
				// In pieces of some KiB, so that the test is about the reading and not about this.
				some := min(r.n, 1+4096/len(r.body))
				r.left, r.n = strings.Repeat(r.body, some), r.n-some
			case r.tail != "":
				r.left, r.tail = r.tail, ""
			case n > 0:
				return n, nil
			default:
				return 0, io.EOF
			}
		}
		c := copy(p[n:], r.left)
		r.left, n = r.left[c:], n+c
	}
	return n, nil
}

// counter counts what is said and keeps only the last fault. taken tells how many bytes were read.
type counter struct {
	r             io.Reader
	items, faults int
	taken         int64
	last          gateway.ManifestFault
}

func (c *counter) Item(gateway.ManifestItem) error {
	c.items++
	return nil
}

func (c *counter) Fault(f gateway.ManifestFault) error {
	c.faults++
	c.last = f
	return nil
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.taken += int64(n)
	return n, err
}

// distinct gives n pieces with numbers in them.
func distinct(piece string, n int) string {
	var all strings.Builder
	for i := range n {
		fmt.Fprintf(&all, piece, i)
	}
	return all.String()
}

// hostile is a document that costs a reader much that believes it.
type hostile struct {
	name, rule string
	format     gateway.ManifestFormat
	doc        repeated
	read       int64 // most bytes taken before the refusal
}

func hostiles() []hostile {
	const mib = 1 << 20
	outside := distinct(` xmlns:a%d='`+strings.Repeat("&amp;", 390)+`'`, 10)
	in := `<mrss><channel><item><type>1</type>`
	return []hostile{
		{"tiny elements", "item_too_many_parts", gateway.ManifestXML, repeated{head: in + `<tags>`, body: `<a/>`, n: mib}, mib},
		{"tiny elements in metadata", "item_too_many_parts", gateway.ManifestXML, repeated{head: in + `<customDataItems><customData><xmlData><a>`, body: `<a/>`, n: mib}, mib},
		{"tiny texts in metadata", "item_too_many_parts", gateway.ManifestXML, repeated{head: in + `<customDataItems><customData><xmlData><a>`, body: `<a/> `, n: mib}, mib},
		{"tiny bad items", "faults_too_many", gateway.ManifestXML, repeated{head: `<mrss><channel>`, body: `<item/>`, n: 9 * mib}, mib},
		{"tiny elements beside the items", "item_too_many_parts", gateway.ManifestXML, repeated{head: `<mrss><ks>`, body: `<a/>`, n: mib}, mib},
		{"a million attributes", "attributes_too_many", gateway.ManifestXML, repeated{head: `<mrss ` + distinct(`a%d="1" `, 70), body: `a="1" `, n: mib}, mib / 8},
		{"a million namespaces", "namespaces_too_many", gateway.ManifestXML, repeated{head: in + `<customDataItems>`, body: `<a xmlns:a="u" xmlns:b="v" xmlns:c="w">`, n: mib}, mib / 8},
		{"a huge attribute", "item_too_large", gateway.ManifestXML, repeated{head: `<mrss version="`, body: `1`, n: 60 * mib}, 2 * mib},
		{"a huge text", "item_too_large", gateway.ManifestXML, repeated{head: in + `<name>`, body: `aaaaaaaa`, n: 8 * mib}, 2 * mib},
		{"a huge CDATA", "item_too_large", gateway.ManifestXML, repeated{head: in + `<name><![CDATA[`, body: `]]`, n: 30 * mib}, 2 * mib},
		{"a huge comment", "item_too_large", gateway.ManifestXML, repeated{head: `<!--`, body: ` -`, n: 30 * mib}, 2 * mib},
		{"a huge instruction", "item_too_large", gateway.ManifestXML, repeated{head: `<mrss><?a `, body: `??`, n: 30 * mib}, 2 * mib},
		{"a huge tag", "name_too_long", gateway.ManifestXML, repeated{head: `<`, body: `a`, n: 60 * mib}, mib / 8},
		{"a huge closing tag", "name_too_long", gateway.ManifestXML, repeated{head: `<mrss></`, body: `a`, n: 60 * mib}, mib / 8},
		{"many names", "item_too_many_parts", gateway.ManifestXML, repeated{head: in, body: `<` + strings.Repeat("n", 30) + `/>`, n: mib}, 2 * mib},
		{"blanks", "item_too_large", gateway.ManifestXML, repeated{head: `<mrss>`, body: "\n", n: 60 * mib}, 2 * mib},
		{"blanks in a tag", "item_too_large", gateway.ManifestXML, repeated{head: `<mrss`, body: " ", n: 60 * mib}, 2 * mib},
		{"depth", "depth_exceeded", gateway.ManifestXML, repeated{head: in, body: "<a>", n: mib}, mib / 8},
		{"references", "item_too_large", gateway.ManifestXML, repeated{head: in + `<name>`, body: "&amp;", n: 12 * mib}, 2 * mib},
		{"a long reference", "not_well_formed", gateway.ManifestXML, repeated{head: in + `<name>&#`, body: "0", n: 60 * mib}, mib / 8},
		{"billion laughs", "doctype_refused", gateway.ManifestXML, repeated{head: `<!DOCTYPE m [`, body: `<!ENTITY a "&b;&b;&b;&b;">`, n: mib}, mib / 8},
		{"a huge internal subset", "doctype_refused", gateway.ManifestXML, repeated{head: `<!DOCTYPE m [`, body: ` `, n: 30 * mib}, mib / 8},
		{"a huge declaration", "not_well_formed", gateway.ManifestXML, repeated{head: `<!`, body: `A`, n: 30 * mib}, mib / 8},
		{"a huge namespace", "name_too_long", gateway.ManifestXML, repeated{head: in + `<customDataItems><customData><xmlData><m xmlns:a='` + strings.Repeat(`"`, 64<<10) + `'>`, body: `<a:x/>`, n: 19_000, tail: `</m>`}, mib},
		{"namespaces from outside of metadata", "item_too_large", gateway.ManifestXML, repeated{head: `<mrss` + outside + `><channel><item><type>1</type><customDataItems><customData><xmlData><m>`, body: distinct(`<a%d:x/>`, 10), n: 1900, tail: `</m></xmlData></customData></customDataItems></item></channel></mrss>`}, mib},
		{"UTF-16 blanks", "item_too_large", gateway.ManifestXML, repeated{head: "\xff\xfe<\x00m\x00r\x00s\x00s\x00>\x00", body: " \x00", n: 30 * mib}, 2 * mib},

		{"tiny values", "item_too_many_parts", gateway.ManifestJSON, repeated{head: `[{"tags":[`, body: `1,`, n: mib}, mib},
		{"tiny objects", "item_too_many_parts", gateway.ManifestJSON, repeated{head: `[{"tags":[`, body: `{},`, n: mib}, mib},
		{"tiny bad items", "faults_too_many", gateway.ManifestJSON, repeated{head: `[`, body: `{},`, n: 9 * mib}, mib},
		{"depth", "depth_exceeded", gateway.ManifestJSON, repeated{head: `[{"a":`, body: `[`, n: mib}, mib / 8},
		{"depth of objects", "depth_exceeded", gateway.ManifestJSON, repeated{head: `[`, body: `{"a":`, n: mib}, mib / 8},
		{"a huge string", "item_too_large", gateway.ManifestJSON, repeated{head: `[{"name":"`, body: `aaaa`, n: 15 * mib}, 2 * mib},
		{"a huge key", "item_too_large", gateway.ManifestJSON, repeated{head: `[{"`, body: `aaaa`, n: 15 * mib}, 2 * mib},
		{"a huge number", "not_well_formed", gateway.ManifestJSON, repeated{head: `[{"size":`, body: `1`, n: 15 * mib}, mib / 8},
		{"many keys", "item_too_many_parts", gateway.ManifestJSON, repeated{head: `[{"a":1`, body: `,"` + strings.Repeat("k", 40) + `":1`, n: mib}, 2 * mib},
		{"a huge namespace", "custom_xml_invalid", gateway.ManifestJSON, repeated{head: `[{"custom_data":[{"profile":1,"xml":"<m xmlns:a='` + strings.Repeat(`\"`, 30_000) + `'>`, body: `<a:x/>`, n: 5000, tail: `</m>"}]}]`}, mib},
		{"blanks", "item_too_large", gateway.ManifestJSON, repeated{body: "\t", n: 60 * mib}, 2 * mib},

		{"a huge cell", "item_too_large", gateway.ManifestCSV, repeated{head: "name\n", body: `aaaa`, n: 15 * mib}, 2 * mib},
		{"a huge cell in quotes", "item_too_large", gateway.ManifestCSV, repeated{head: "name\n\"", body: `""`, n: 15 * mib}, 2 * mib},
		{"a huge name", "item_too_large", gateway.ManifestCSV, repeated{body: `aaaa`, n: 15 * mib}, 2 * mib},
		{"a huge namespace", "custom_xml_invalid", gateway.ManifestCSV, repeated{head: "name,custom_profile_id,custom_xml\nA,1,<m xmlns:a='" + strings.Repeat(`&quot;`, 5000) + `'>`, body: `<a:x/>`, n: 5000, tail: "</m>\n"}, mib},
		{"many columns", "column_unexpected", gateway.ManifestCSV, repeated{head: "name", body: `,`, n: 15 * mib}, mib / 8},
		{"many cells", "item_too_many_parts", gateway.ManifestCSV, repeated{head: "name\na", body: `,b`, n: 15 * mib}, mib},
		{"empty cells", "item_too_large", gateway.ManifestCSV, repeated{head: "name\n", body: `,`, n: 15 * mib}, 2 * mib},
		{"empty rows", "item_too_large", gateway.ManifestCSV, repeated{head: "name\n", body: "\n", n: 60 * mib}, 2 * mib},
		{"blank rows", "item_too_large", gateway.ManifestCSV, repeated{head: "name,file\n", body: ",\n", n: 30 * mib}, 2 * mib},
		{"tiny bad rows", "faults_too_many", gateway.ManifestCSV, repeated{head: "name,type\n", body: ",a\n", n: 15 * mib}, mib},
	}
}

// Hostile documents are refused after a small part of them, with little memory: that is what makes the refusal quick,
// on whatever machine. Not parallel: it counts what is allocated.
func TestHostileManifests(t *testing.T) {
	const mib = 1 << 20
	for _, h := range hostiles() {
		t.Run(string(h.format)+" "+h.name, func(t *testing.T) {
			c := &counter{r: &h.doc}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := Manifests{}.Read(context.Background(), h.format, c, c)
			runtime.ReadMemStats(&after)
			if err != nil {
				t.Fatal(err)
			}
			ofItem := h.rule == "custom_xml_invalid" // which leaves the others
			if c.last.Fatal == ofItem || c.last.Rule != h.rule || ofItem && c.items > 0 {
				t.Errorf("it was not refused as it should: %+v after %d items", c.last, c.items)
			}
			if c.taken > h.read {
				t.Errorf("%d bytes of it were read", c.taken)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 32*mib {
				t.Errorf("%.1f MiB were allocated", float64(got)/mib)
			}
		})
	}
}

// Honest metadata of a namespace are written as they were, with the namespace once.
func TestMetadataKeepsItsNamespaces(t *testing.T) {
	xml := `<m xmlns:a="http://school.example/` + strings.Repeat("rooms", 20) + `">` + strings.Repeat(`<a:x/>`, 5000) + `</m>`
	got, broken := fragment(t.Context(), xml)
	if broken != nil || got != xml {
		t.Errorf("%d bytes became %d: %+v", len(xml), len(got), broken)
	}
}

// manyItems is an honest document of n items.
func manyItems(format gateway.ManifestFormat, n int, description string) io.Reader {
	switch format {
	case gateway.ManifestXML:
		return &repeated{head: `<?xml version="1.0" encoding="UTF-8"?>` + "\n<mrss><channel>\n", n: n, tail: "</channel></mrss>\n", body: `<item>
 <action>add</action><type>1</type><referenceId>spaces-tour-0042</referenceId><userId>lena@school.example</userId>
 <name>Hafenrundfahrt, ganze Kugel</name><description>` + description + `</description>
 <tags><tag>360</tag><tag>harbour</tag><tag>course-101</tag></tags><categories><category>Spaces&gt;Course 101</category></categories>
 <conversionProfile>spaces_default</conversionProfile><startDate>2026-05-01T08:00:00</startDate><endDate>2027-05-01T08:00:00</endDate>
 <media><mediaType>1</mediaType></media>
 <contentAssets><content><dropFolderFileContentResource filePath="harbour-source.mp4"><fileChecksum type="sha1">2fd4e1c67a2d28fced849ee1bb76e7391b93eb12</fileChecksum></dropFolderFileContentResource></content></contentAssets>
 <customDataItems><customData metadataProfileId="3"><xmlData><metadata><Room>12</Room></metadata></xmlData></customData></customDataItems>
</item>
`}
	case gateway.ManifestJSON:
		body := `{"action":"add","type":"video","reference_id":"spaces-tour-0042","user_id":"lena@school.example","name":"Hafenrundfahrt, ganze Kugel","description":"` + description + `","tags":["360","harbour"],"categories":["Spaces>Course 101"],"start_at":"2026-05-01T08:00:00Z","contents":[{"file":"harbour-source.mp4","sha1":"2fd4e1c67a2d28fced849ee1bb76e7391b93eb12"}]}`
		return &repeated{head: `{"items":[` + body, body: "\n," + body, n: n - 1, tail: "]}"}
	default:
		return &repeated{
			head: "action,type,reference_id,user_id,name,description,tags,categories,start_at,file,sha1\n", n: n,
			body: `add,video,spaces-tour-0042,lena@school.example,"Hafenrundfahrt, ganze Kugel",` + description + `,360|harbour,Spaces>Course 101,2026-05-01T08:00:00Z,harbour-source.mp4,2fd4e1c67a2d28fced849ee1bb76e7391b93eb12` + "\n",
		}
	}
}

var formats = []gateway.ManifestFormat{gateway.ManifestXML, gateway.ManifestJSON, gateway.ManifestCSV}

// An honest document is read whole, up to the largest size, and refused beyond it. The heap does not grow with it.
func TestLargeManifests(t *testing.T) {
	const n = 11_000
	for _, format := range formats {
		c := &counter{r: manyItems(format, n, "Am Kai.")}
		p := &peak{counter: c}
		if err := (Manifests{}).Read(context.Background(), format, c, p); err != nil {
			t.Fatal(err)
		}
		if c.items != n || c.faults != 0 {
			t.Errorf("%s: %d items, %d faults; %+v", format, c.items, c.faults, c.last)
		}
		if p.most > 32<<20 {
			t.Errorf("%s: the heap grew to %d MiB", format, p.most>>20)
		}
	}
	c := &counter{r: manyItems(gateway.ManifestCSV, 20_000, strings.Repeat("a", 4700))}
	p := &peak{counter: c}
	err := (Manifests{}).Read(context.Background(), gateway.ManifestCSV, c, p)
	if err != nil || c.last.Rule != "document_too_large" || !c.last.Fatal || c.items < 13_500 || p.most > 32<<20 {
		t.Errorf("too large: %v, %+v, %d items, %d MiB", err, c.last, c.items, p.most>>20)
	}
	c = &counter{r: &repeated{head: "file\n", body: "a\n", n: MaxManifestItems + 1}}
	if err := (Manifests{}).Read(context.Background(), gateway.ManifestCSV, c, c); err != nil || c.last.Rule != "items_too_many" || c.items != MaxManifestItems {
		t.Errorf("too many: %v, %+v, %d items", err, c.last, c.items)
	}
}

// peak watches how large the heap is in between.
type peak struct {
	*counter
	first, most uint64
}

func (p *peak) Item(i gateway.ManifestItem) error {
	if p.items%500 == 0 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if p.first == 0 {
			p.first = m.HeapInuse
		}
		p.most = max(p.most, m.HeapInuse-min(p.first, m.HeapInuse))
	}
	return p.counter.Item(i)
}

// Twice the document takes twice the work, wherever its size lies: one item in one line has its columns counted, too.
// Work is counted in allocated bytes.
func TestReadingIsLinear(t *testing.T) {
	work := func(n int) uint64 {
		var before, after runtime.MemStats
		doc := []byte(`<mrss><channel>` + strings.Repeat(`<item><type>1</type><x/></item>`, n) + `</channel></mrss>`)
		c := &counter{}
		runtime.ReadMemStats(&before)
		if err := (Manifests{}).Read(context.Background(), gateway.ManifestXML, bytes.NewReader(doc), c); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		want := int64(len(`<mrss><channel>`) + (n-1)*len(`<item><type>1</type><x/></item>`) + len(`<item><type>1</type>`) + 1)
		if c.faults != n || c.last.Column != want || c.last.Item != int64(n) {
			t.Errorf("%d faults, the last of item %d at %d, not %d", c.faults, c.last.Item, c.last.Column, want)
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	work(10)
	if small, large := work(1000), work(8000); large > 10*small {
		t.Errorf("8 times as much took %.1f times the work", float64(large)/float64(small))
	}
}

// BenchmarkManifest reads 10 000 items and says how much memory was in use at most.
func BenchmarkManifest(b *testing.B) {
	for _, format := range formats {
		b.Run(string(format), func(b *testing.B) {
			var most uint64
			for b.Loop() {
				runtime.GC()
				c := &counter{r: manyItems(format, 10_000, "Recorded on the quay in spring.")}
				p := &peak{counter: c}
				if err := (Manifests{}).Read(context.Background(), format, c, p); err != nil || c.items != 10_000 {
					b.Fatal(err, c.last)
				}
				b.SetBytes(c.taken)
				most = max(most, p.most)
			}
			b.ReportMetric(float64(most)/(1<<20), "MiB-peak")
			b.ReportMetric(float64(10_000*b.N)/b.Elapsed().Seconds(), "items/s")
		})
	}
}

// BenchmarkHostileManifests says how long the slowest of the hostile documents is read until it is refused, and how much
// the greediest of them allocates.
func BenchmarkHostileManifests(b *testing.B) {
	var slowest time.Duration
	var greediest uint64
	for b.Loop() {
		for _, h := range hostiles() {
			var before, after runtime.MemStats
			c := &counter{r: &h.doc}
			runtime.GC()
			runtime.ReadMemStats(&before)
			began := time.Now()
			if err := (Manifests{}).Read(b.Context(), h.format, c, c); err != nil || c.last.Rule != h.rule {
				b.Fatal(h.name, err)
			}
			slowest = max(slowest, time.Since(began))
			runtime.ReadMemStats(&after)
			greediest = max(greediest, after.TotalAlloc-before.TotalAlloc)
		}
	}
	b.ReportMetric(slowest.Seconds()*1000, "ms/slowest")
	b.ReportMetric(float64(greediest)/(1<<20), "MiB/greediest")
}
