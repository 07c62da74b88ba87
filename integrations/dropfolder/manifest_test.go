package dropfolder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"isthmus/gateway"
)

var update = flag.Bool("update", false, "write the golden results anew")

// heard is what a manifest said.
type heard struct {
	Items  []gateway.ManifestItem  `json:"items,omitempty"`
	Faults []gateway.ManifestFault `json:"faults,omitempty"`
}

func (h *heard) Item(i gateway.ManifestItem) error {
	h.Items = append(h.Items, i)
	return nil
}

func (h *heard) Fault(f gateway.ManifestFault) error {
	h.Faults = append(h.Faults, f)
	return nil
}

func hear(t testing.TB, format gateway.ManifestFormat, r io.Reader) heard {
	t.Helper()
	var h heard
	if err := (Manifests{}).Read(context.Background(), format, r, &h); err != nil {
		t.Fatal(err)
	}
	return h
}

// corpus gives the manifests of the corpus.
func corpus(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob("testdata/manifests/*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, n := range names {
		if (Manifests{}).Format(n) != "" {
			found = append(found, n)
		}
	}
	return found
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Each manifest of the corpus says what its golden file holds, however its bytes arrive.
func TestManifestCorpus(t *testing.T) {
	t.Parallel()
	names := corpus(t)
	if len(names) < 120 {
		t.Fatalf("only %d manifests", len(names))
	}
	rules := map[string]bool{}
	for _, name := range names {
		text := read(t, name)
		format := (Manifests{}).Format(name)
		h := hear(t, format, bytes.NewReader(text))
		slow := hear(t, format, iotest.OneByteReader(bytes.NewReader(text)))
		got, err := json.MarshalIndent(h, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
		if again, _ := json.MarshalIndent(slow, "", " "); !bytes.Equal(append(again, '\n'), got) {
			t.Errorf("%s: byte by byte it says something else:\n%s\nand not\n%s", name, again, got)
		}
		golden := name + ".golden"
		if *update {
			if err := os.WriteFile(golden, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Errorf("%s: %v (run the test with -update)", name, err)
			continue
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
		base := filepath.Base(name)
		if good := strings.HasPrefix(base, "good-"); good != (len(h.Faults) == 0) || good && len(h.Items) == 0 {
			t.Errorf("%s: %d items, %d faults", name, len(h.Items), len(h.Faults))
		}
		for _, f := range h.Faults {
			rules[f.Rule] = true
			if f.Line < 1 || f.Column < 1 || f.Text == "" || f.Fix == "" {
				t.Errorf("%s: a fault is not complete: %+v", name, f)
			}
			// bad-RULE[~variant].ext must break that rule.
			if rule, _, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(base, "bad-"), filepath.Ext(base)), "~"); len(h.Faults) == 1 && f.Rule != rule {
				t.Errorf("%s broke the rule %s", name, f.Rule)
			}
		}
	}
	docs := read(t, docsPage)
	for rule := range rules {
		if !bytes.Contains(docs, []byte("`"+rule+"`")) {
			t.Errorf("%s lacks the rule %s", docsPage, rule)
		}
	}
}

const docsPage = "../../docs/manifests.md"

// The page about manifests names each field, and its examples have no fault.
func TestManifestDocs(t *testing.T) {
	t.Parallel()
	docs := string(read(t, docsPage))
	names := []string{"content_tags", "thumbnail_tags", "contents", "thumbnails", "custom_data"}
	names = append(names, slices.Collect(maps.Keys(itemFields))...)
	names = append(names, slices.Collect(maps.Keys(jsonLists))...)
	for _, columns := range []map[string]string{csvContent, csvThumbnail, csvCustom} {
		for column, field := range columns {
			if !strings.HasSuffix(column, "_id") || strings.HasSuffix(column, "entry_id") || strings.HasSuffix(column, "asset_id") {
				names = append(names, field)
			}
			names = append(names, column)
		}
	}
	for name, place := range xmlPlaces {
		if place.rank != rankExtensions && place.rank != 19 && place.field != "" {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if !strings.Contains(docs, "`"+name+"`") && !strings.Contains(docs, "`"+name+"/") && !strings.Contains(docs, "@"+name+"`") {
			t.Errorf("%s lacks %s", docsPage, name)
		}
	}
	examples := regexp.MustCompile("(?s)```(xml|json|csv)\n(.*?)```").FindAllStringSubmatch(docs, -1)
	if len(examples) < 4 {
		t.Errorf("%d examples", len(examples))
	}
	for _, e := range examples {
		if h := hear(t, gateway.ManifestFormat(e[1]), strings.NewReader(e[2])); len(h.Faults) > 0 || len(h.Items) == 0 {
			t.Errorf("an example says %+v:\n%s", h, e[2])
		}
	}
}

// What XML says can be said in JSON: the items as the contract writes them, read again, are the same.
func TestItemsAreTheSameInJSON(t *testing.T) {
	t.Parallel()
	for _, name := range corpus(t) {
		text := read(t, name)
		h := hear(t, (Manifests{}).Format(name), bytes.NewReader(text))
		if len(h.Items) > 0 {
			sameInJSON(t, name, h.Items)
		}
	}
}

func sameInJSON(t *testing.T, name string, items []gateway.ManifestItem) {
	t.Helper()
	// Where an item stands is not part of what it says. Rewritten: what JSON takes for granted otherwise.
	bare := func(items []gateway.ManifestItem) []byte {
		var all []map[string]any
		text, err := json.Marshal(items)
		if err != nil {
			t.Fatal(err)
		}
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		if err := dec.Decode(&all); err != nil {
			t.Fatal(err)
		}
		for _, i := range all {
			delete(i, "number")
			delete(i, "line")
			delete(i, "column")
			if i["replace"] == nil {
				i["replace"] = false
			}
			if i["name"] == nil && i["reference_id"] == nil && i["entry_id"] == nil {
				i["name"] = "as JSON wants it"
			}
		}
		text, err = json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	want := bare(items)
	h := hear(t, gateway.ManifestJSON, bytes.NewReader(want))
	if len(h.Faults) > 0 {
		t.Errorf("%s as JSON has faults: %+v\n%s", name, h.Faults, want)
		return
	}
	if got := bare(h.Items); !bytes.Equal(got, want) {
		t.Errorf("%s as JSON says\n%s\nand not\n%s", name, got, want)
	}
}

// Errors of the reader and of the visitor come back as they are, and nothing is said after them.
func TestManifestErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("line is cut")
	whole := `{"items":[{"name":"a"},{"name":"b"},{"nme":"c"},{"name":"d"}]}`
	var h heard
	err := (Manifests{}).Read(context.Background(), gateway.ManifestJSON, io.MultiReader(strings.NewReader(whole[:24]), iotest.ErrReader(broken)), &h)
	if !errors.Is(err, broken) || len(h.Items) != 1 || len(h.Faults) != 0 {
		t.Errorf("reader: %v, %+v", err, h)
	}
	for _, at := range []int{1, 2, 3} {
		s := &stopper{at: at, err: broken}
		if err := (Manifests{}).Read(context.Background(), gateway.ManifestJSON, strings.NewReader(whole), s); !errors.Is(err, broken) || s.calls != at {
			t.Errorf("visitor %d: %v after %d calls", at, err, s.calls)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := (Manifests{}).Read(ctx, gateway.ManifestXML, strings.NewReader(whole), &h); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := (Manifests{}).Read(context.Background(), "yaml", strings.NewReader(whole), &h); gateway.CodeOf(err) != gateway.Invalid {
		t.Errorf("format: %v", err)
	}
}

// stopper gives an error at its nth call.
type stopper struct {
	at, calls int
	err       error
}

func (s *stopper) call() error {
	if s.calls++; s.calls == s.at {
		return s.err
	}
	return nil
}
func (s *stopper) Item(gateway.ManifestItem) error   { return s.call() }
func (s *stopper) Fault(gateway.ManifestFault) error { return s.call() }

// An address may hold a secret: no fault repeats it, nor a key session.
func TestFaultsKeepSecrets(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t"
	for _, doc := range []struct {
		format gateway.ManifestFormat
		text   string
	}{
		{gateway.ManifestXML, `<mrss><ks>` + secret + `</ks><channel><item><type>1</type><contentAssets><content><urlContentResource url="ftp://a:` + secret + `@b/c"/></content><content><urlContentResource url="https://%zz` + secret + `"/></content></contentAssets></item></channel></mrss>`},
		{gateway.ManifestJSON, `[{"name":"a","contents":[{"url":"nothing:` + secret + `"},{"url":"https://:80/` + secret + `","size":-1}]}]`},
		{gateway.ManifestCSV, "name,url\na,ht tp://" + secret + "\nb,sftp://" + secret + "/\n"},
	} {
		h := hear(t, doc.format, strings.NewReader(doc.text))
		if len(h.Faults) == 0 {
			t.Errorf("%s has no fault", doc.format)
		}
		for _, f := range h.Faults {
			if strings.Contains(f.Text+f.Fix, secret) {
				t.Errorf("%s: %s", doc.format, f.Text)
			}
		}
	}
}

func TestManifestFormat(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]gateway.ManifestFormat{
		"a.xml": gateway.ManifestXML, "b/c.XML": gateway.ManifestXML, "a.json": gateway.ManifestJSON, "a.Csv": gateway.ManifestCSV,
		"a.mp4": "", "xml": "", "a.xml.part": "", "a.xml/b": "",
	} {
		if got := (Manifests{}).Format(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
}
