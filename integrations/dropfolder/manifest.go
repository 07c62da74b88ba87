package dropfolder

import (
	"context"
	"fmt"
	"io"
	"path"
	"strings"

	"isthmus/gateway"
)

// Limits of a manifest. What is larger is refused as soon as it is seen, before it is held. The budget of bytes and
// parts is one item's, or what stands between two items.
const (
	MaxManifestBytes = 64 << 20 // of a document
	MaxManifestItems = 200_000  // of a document
	MaxManifestDepth = 32       // of elements, or of JSON values

	maxItemBytes  = 1 << 20
	maxItemParts  = 20_000 // elements, JSON values or cells
	maxAttributes = 64     // of an element
	maxNamespaces = 64     // declared at once
	maxSpaceChars = 2000   // of a namespace
	maxTagGrowth  = 8      // of the tags of metadata, to an item's bytes
	maxNameBytes  = 128    // of an element, attribute, key or column
	maxTextChars  = 64 << 10
	maxItemFaults = 20     // told of one item
	maxFaults     = 10_000 // told of a document
)

// Manifests reads Kaltura's ingestion XML, and JSON and CSV with the same fields. The zero value is ready.
type Manifests struct{}

var _ gateway.Manifests = Manifests{}

// Format tells by a name's ending which manifest it means; "" = none.
func (Manifests) Format(name string) gateway.ManifestFormat {
	switch strings.ToLower(path.Ext(name)) {
	case ".xml":
		return gateway.ManifestXML
	case ".json":
		return gateway.ManifestJSON
	case ".csv":
		return gateway.ManifestCSV
	}
	return ""
}

// Read reads one manifest. It holds one item at a time. Nothing that a manifest names is looked up: no schema, no
// entity, no address. Faults never repeat an address or a key session.
func (Manifests) Read(ctx context.Context, format gateway.ManifestFormat, r io.Reader, v gateway.ManifestVisitor) (err error) {
	in := newCharReader(ctx, r)
	doc := &manifestReading{in: in, visitor: v, format: format}
	defer func() {
		switch h := recover().(type) {
		case nil:
		case *manifestHalt:
			err = h.err
			if h.fault != nil {
				if doc.inItem {
					h.fault.Item = doc.items
				}
				err = v.Fault(*h.fault)
			}
		default:
			panic(h)
		}
	}()
	switch format {
	case gateway.ManifestXML:
		readXML(doc)
	case gateway.ManifestJSON:
		readJSON(doc)
	case gateway.ManifestCSV:
		readCSV(doc)
	default:
		return gateway.E(gateway.Invalid, "manifest_format", "There is no such format of a manifest.").
			Next("Send a manifest as XML, JSON or CSV.")
	}
	return nil
}

// manifestHalt ends a reading from wherever it is. It is raised and caught within this package only.
type manifestHalt struct {
	fault *gateway.ManifestFault
	err   error
}

// spot is a place in a document and what stands there, as faults call it.
type spot struct {
	line, col int64
	label     string
}

// manifestReading is one document that is being read.
type manifestReading struct {
	in      *charReader
	visitor gateway.ManifestVisitor
	format  gateway.ManifestFormat
	items   int64 // begun so far
	inItem  bool
	faults  int // told so far
}

// fatal refuses the document.
func (m *manifestReading) fatal(at spot, rule, text, fix string) {
	panic(&manifestHalt{fault: &gateway.ManifestFault{Line: at.line, Column: at.col, Rule: rule, Text: text, Fix: fix, Fatal: true}})
}

// begin starts an item. Its budget begins anew.
func (m *manifestReading) begin(at spot) *itemDraft {
	if m.items == MaxManifestItems {
		m.fatal(at, "items_too_many", fmt.Sprintf("There are more than %d items.", MaxManifestItems), "Split the manifest into several files.")
	}
	m.items++
	m.inItem = true
	m.in.refill(at)
	return &itemDraft{doc: m, item: gateway.ManifestItem{Number: m.items, Line: at.line, Column: at.col}, at: at}
}

// end gives an item to the visitor unless it has faults.
func (m *manifestReading) end(d *itemDraft) {
	d.finish()
	m.inItem = false
	m.in.refill(m.in.here(""))
	if d.faults > 0 {
		return
	}
	if err := m.visitor.Item(d.item); err != nil {
		panic(&manifestHalt{err: err})
	}
}

// fault tells what is wrong with an item, which is read on, but not given.
func (d *itemDraft) fault(at spot, rule, text, fix string) {
	d.faults++
	if d.faults > maxItemFaults {
		return
	}
	m := d.doc
	m.faults++
	if m.faults > maxFaults {
		m.fatal(at, "faults_too_many", fmt.Sprintf("There are more than %d faults.", maxFaults), "Correct the faults above, which may have one cause, and try again.")
	}
	f := gateway.ManifestFault{Line: at.line, Column: at.col, Item: d.item.Number, Rule: rule, Text: text, Fix: fix}
	if err := m.visitor.Fault(f); err != nil {
		panic(&manifestHalt{err: err})
	}
}

// shown is a value for a fault's text: short, on one line.
func shown(v string) string {
	const most = 60
	cut := 0
	for i := range v {
		if cut++; cut > most {
			return fmt.Sprintf("%q…", v[:i])
		}
	}
	return fmt.Sprintf("%q", v)
}
