package dropfolder

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"isthmus/gateway"
)

// Whatever the bytes are: no panic, faults are complete, places lie within the document, and items with the contract's
// promises.
func fuzz(f *testing.F, format gateway.ManifestFormat) {
	for _, name := range corpus(f) {
		if (Manifests{}).Format(name) == format {
			f.Add(read(f, name))
		}
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		h := hear(t, format, bytes.NewReader(doc))
		lines := int64(1 + bytes.Count(doc, []byte("\n")) + bytes.Count(doc, []byte("\r")))
		last := int64(0)
		for n, f := range h.Faults {
			if f.Line < 1 || f.Line > lines || f.Column < 1 || f.Column > int64(len(doc))+1 || f.Rule == "" || f.Text == "" || f.Fix == "" {
				t.Errorf("fault %+v", f)
			}
			if f.Fatal && n != len(h.Faults)-1 {
				t.Errorf("after a fatal fault %+v", h.Faults[n+1])
			}
		}
		for _, i := range h.Items {
			if i.Number <= last || i.Line < 1 || i.Line > lines {
				t.Errorf("item %+v after %d", i, last)
			}
			last = i.Number
			for _, c := range i.Contents {
				if err := oneResource(c.ManifestResource); err != nil {
					t.Error(err)
				}
			}
			for _, c := range i.Thumbnails {
				if err := oneResource(c.ManifestResource); err != nil {
					t.Error(err)
				}
			}
			for _, c := range i.CustomData {
				if again, broken := fragment(context.Background(), c.XML); c.XML != "" && (broken != nil || again != c.XML) {
					t.Errorf("metadata %q, again %q, %+v", c.XML, again, broken)
				}
			}
		}
		if len(h.Items) == 0 && len(h.Faults) == 0 {
			t.Error("it said nothing at all")
		}
		if len(h.Items) > 0 {
			sameInJSON(t, "fuzz", h.Items)
		}
		if n := len(h.Faults); n == 0 || !h.Faults[n-1].Fatal {
			agrees(t, format, doc)
		}
	})
}

// agrees checks that the standard library takes what was taken.
func agrees(t *testing.T, format gateway.ManifestFormat, doc []byte) {
	t.Helper()
	doc = bytes.TrimPrefix(doc, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(doc) || bytes.IndexByte(doc, 0) >= 0 {
		return // another encoding
	}
	switch format {
	case gateway.ManifestJSON:
		if !json.Valid(doc) {
			t.Error("this is no JSON")
		}
	case gateway.ManifestXML:
		if bytes.Contains(doc, []byte("encoding")) {
			return
		}
		for dec := xml.NewDecoder(bytes.NewReader(doc)); ; {
			if _, err := dec.Token(); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				if !strings.Contains(err.Error(), "invalid XML name") { // it keeps to older rules of names
					t.Errorf("this is no XML: %v", err)
				}
				return
			}
		}
	}
}

func oneResource(r gateway.ManifestResource) error {
	n := 0
	for _, v := range []string{r.File, r.URL, r.Token, r.EntryID, r.AssetID} {
		if v != "" {
			n++
		}
	}
	if n != 1 || r.File != "" && (strings.Contains("/"+r.File+"/", "/../") || strings.HasPrefix(r.File, "/")) {
		return fmt.Errorf("resource %+v", r)
	}
	return nil
}

func FuzzManifestXML(f *testing.F)  { fuzz(f, gateway.ManifestXML) }
func FuzzManifestJSON(f *testing.F) { fuzz(f, gateway.ManifestJSON) }
func FuzzManifestCSV(f *testing.F)  { fuzz(f, gateway.ManifestCSV) }
