package dropfolder

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"testing"

	"isthmus/gateway"
)

// The schema for download has the elements of an item, in the order in which they are taken.
func TestSchema(t *testing.T) {
	t.Parallel()
	dec := xml.NewDecoder(bytes.NewReader(Schema))
	seen := map[string]bool{}
	rank, before, within := 0, "", ""
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		name := ""
		for _, a := range start.Attr {
			if a.Name.Local == "name" {
				name = a.Value
			}
		}
		if start.Name.Local == "complexType" && name != "" {
			within = name
		}
		place, ours := xmlPlaces[name]
		if start.Name.Local != "element" || within != "item" || !ours || seen[name] {
			continue
		}
		seen[name] = true
		if place.rank < rank {
			t.Errorf("<%s> stands after <%s>", name, before)
		}
		rank, before = place.rank, name
	}
	for name, place := range xmlPlaces {
		if carried := place.field != "" || place.rank < rankExtensions && name != "templateEntry" && (place.rank != 19 || name == "media"); carried && !seen[name] {
			t.Errorf("the schema lacks <%s>", name)
		}
	}
}

// The samples have no fault.
func TestSamples(t *testing.T) {
	t.Parallel()
	for _, format := range formats {
		if h := hear(t, format, bytes.NewReader(Sample(format))); len(h.Items) == 0 || len(h.Faults) > 0 {
			t.Errorf("%s: %+v", format, h)
		}
	}
	if Sample(gateway.ManifestFormat("yaml")) != nil {
		t.Error("a sample of nothing")
	}
}
