package platform

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// maxMetadata is the size up to which custom metadata and their schemas are kept.
const maxMetadata = 1 << 20

func metadataActions() []*action {
	const service, profiles = "metadata_metadata", "metadata_metadataprofile"
	return []*action{
		{service: profiles, name: "add", who: adminOnly, needs: []string{"metadataProfile{}", "xsdData"}, run: (*call).metadataProfileAdd},
		{service: profiles, name: "get", who: userSession, needs: []string{"id"}, run: (*call).metadataProfileGet},
		{service: profiles, name: "list", who: userSession, run: (*call).metadataProfileList},
		{service: service, name: "add", who: userSession, needs: []string{"metadataProfileId", "objectType", "objectId", "xmlData"}, run: (*call).metadataAdd},
		{service: service, name: "update", who: userSession, needs: []string{"id"}, run: (*call).metadataUpdate},
		{service: service, name: "get", who: anySession, needs: []string{"id"}, run: (*call).metadataGet},
		{service: service, name: "list", who: anySession, run: (*call).metadataList},
		{service: service, name: "delete", who: userSession, needs: []string{"id"}, run: (*call).metadataDelete},
	}
}

func viewMetadataProfile(p MetadataProfile) *object {
	return newObject("KalturaMetadataProfile").
		set("id", p.Number).set("partnerId", p.Partner).set("metadataObjectType", p.ObjectType).set("version", p.Version).
		set("name", p.Name).set("systemName", orNil(p.SystemName)).set("description", orNil(p.Description)).
		set("createdAt", p.CreatedAt.Unix()).set("updatedAt", p.UpdatedAt.Unix()).set("status", 1).set("xsd", p.XSD).
		null("views", "xslt").set("createMode", 1).set("disableReIndexing", false)
}

func (c *call) metadataProfileAdd() (any, error) {
	a := c.args.tree("metadataProfile")
	xsd := c.args.str("xsdData")
	if a.str("name") == "" {
		return nil, refuse("PROPERTY_VALIDATION_CANNOT_BE_NULL", "PROP_NAME", "KalturaMetadataProfile::name")
	}
	if names, err := schemaNames(xsd); err != nil || !slices.Contains(names, "metadata") || len(xsd) > maxMetadata {
		return nil, refuse("INVALID_METADATA_PROFILE_SCHEMA", "ERR_MSG", "an element named metadata is expected")
	}
	p := MetadataProfile{
		Row: Row{Partner: c.partner()}, ObjectType: a.str("metadataObjectType"), Name: a.str("name"), SystemName: a.str("systemName"),
		Description: a.str("description"), XSD: xsd,
	}
	if p.ObjectType == "" {
		p.ObjectType = metadataOfEntry
	}
	err := c.commit(func(tx Tx) (err error) {
		t := tx.Kaltura().MetadataProfiles()
		if p.SystemName != "" {
			if n, err := t.Count(c, Find{Partner: p.Partner, Where: in("system_name", p.SystemName)}); err != nil || n > 0 {
				if err == nil {
					err = refuse("SYSTEM_NAME_ALREADY_EXISTS", "SYSTEM_NAME", p.SystemName)
				}
				return err
			}
		}
		if p.Number, err = nextNumber(c, t, p.Partner); err != nil {
			return err
		}
		p.ID = fmt.Sprint(p.Number)
		return t.Insert(c, &p)
	})
	if err != nil {
		return nil, err
	}
	return viewMetadataProfile(p), nil
}

func (c *call) metadataProfile(t Tables, id string) (MetadataProfile, error) {
	p, err := t.MetadataProfiles().Get(c, c.partner(), id)
	if missing(err) {
		return p, refuse("METADATA_PROFILE_NOT_FOUND", "ID", id)
	}
	return p, err
}

func (c *call) metadataProfileGet() (any, error) {
	p, err := c.metadataProfile(c.tables(), c.args.str("id"))
	if err != nil {
		return nil, err
	}
	return viewMetadataProfile(p), nil
}

func (c *call) metadataProfileList() (any, error) {
	f := c.args.tree("filter")
	where := c.equals(nil, f, "systemName", "system_name", "name", "name", "metadataObjectType", "object_type")
	where = c.numbers(where, f, "id", "number")
	rows, total, err := find(c, c.tables().MetadataProfiles(), where, map[string]string{"createdAt": "created_at"}, Order{Column: "number"})
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(rows))
	for _, p := range rows {
		out = append(out, viewMetadataProfile(p))
	}
	return list("KalturaMetadataProfileListResponse", total, out), nil
}

// schemaNames gives the names of the elements that a schema declares.
func schemaNames(xsd string) ([]string, error) {
	var out []string
	err := walkXML(xsd, func(e xml.StartElement, _ int) error {
		for _, a := range e.Attr {
			if e.Name.Local == "element" && a.Name.Local == "name" {
				out = append(out, a.Value)
			}
		}
		return nil
	})
	return out, err
}

// walkXML reads a document whole and gives each element with its depth.
func walkXML(doc string, each func(xml.StartElement, int) error) error {
	d := xml.NewDecoder(strings.NewReader(doc))
	for depth, n := 0, 0; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.StartElement:
			if n++; depth == 0 && n > 1 {
				return errors.New("more than one root")
			}
			if err := each(token, depth); err != nil {
				return err
			}
			depth++
		case xml.EndElement:
			depth--
		case xml.Directive:
			return errors.New("no document type is taken")
		}
	}
}

// libxmlError is an error in the words of libxml, which Kaltura passes on.
type libxmlError string

func (e libxmlError) Error() string { return string(e) }

// fits tells what is wrong with custom metadata. Of the schema only the names count.
func (p MetadataProfile) fits(doc string) error {
	bad := func(message string) error { return refuse("INVALID_METADATA_DATA", "ERR_MSG", message) }
	if len(doc) > maxMetadata {
		return bad("too long")
	}
	names, err := schemaNames(p.XSD)
	if err != nil {
		return err
	}
	err = walkXML(doc, func(e xml.StartElement, depth int) error {
		switch {
		case depth == 0 && e.Name.Local != "metadata":
			return libxmlError("Element '" + e.Name.Local + "': No matching global declaration available for the validation root")
		case !slices.Contains(names, e.Name.Local):
			return libxmlError("Element '" + e.Name.Local + "': This element is not expected")
		}
		return nil
	})
	if err != nil {
		return bad(err.Error())
	}
	return nil
}

func (c *call) viewMetadata(t Tables, m Metadata) (*object, error) {
	p, err := c.metadataProfile(t, fmt.Sprint(m.Profile))
	if err != nil {
		return nil, err
	}
	return newObject("KalturaMetadata").
		set("id", m.Number).set("partnerId", m.Partner).set("metadataProfileId", m.Profile).set("metadataProfileVersion", p.Version).
		set("metadataObjectType", m.ObjectType).set("objectId", m.ObjectID).set("version", m.Version).
		set("createdAt", m.CreatedAt.Unix()).set("updatedAt", m.UpdatedAt.Unix()).set("status", 1).set("xml", m.XML), nil
}

// metadata gives custom metadata of an entry; with change of one that the session may change.
func (c *call) metadata(t Tables, id string, change bool) (Metadata, error) {
	m, err := t.Metadata().Get(c, c.partner(), id)
	if missing(err) || err == nil && m.Deleted != 0 {
		return m, refuse("METADATA_NOT_FOUND", "ID", id)
	}
	if err != nil {
		return m, err
	}
	if change {
		_, err = c.owned(t, m.ObjectID)
	} else {
		_, err = c.entry(t, m.ObjectID)
	}
	return m, err
}

func (c *call) metadataAdd() (any, error) {
	m := Metadata{
		Row: Row{Partner: c.partner()}, Profile: c.args.num("metadataProfileId"), ObjectType: c.args.str("objectType"),
		ObjectID: c.args.str("objectId"), XML: c.args.str("xmlData"),
	}
	if m.ObjectType != metadataOfEntry {
		return nil, refuse("INVALID_ENUM_VALUE", "ENUM_VAL", m.ObjectType, "PARAM_NAME", "objectType", "ENUM_TYPE", "KalturaMetadataObjectType")
	}
	err := c.commit(func(tx Tx) error {
		t := tx.Kaltura()
		p, err := c.metadataProfile(t, strconv.FormatInt(m.Profile, 10))
		if err != nil {
			return err
		}
		if _, err := c.owned(t, m.ObjectID); err != nil {
			return err
		}
		if err := p.fits(m.XML); err != nil {
			return err
		}
		have, err := t.Metadata().Find(c, Find{Partner: m.Partner, Limit: 1, Where: all(
			in("profile", m.Profile), in("object_type", m.ObjectType), in("object_id", m.ObjectID), in("deleted", int64(0)),
		)})
		if err != nil {
			return err
		}
		if len(have) > 0 {
			return refuse("METADATA_ALREADY_EXISTS", "ID", have[0].ID)
		}
		if m.Number, err = nextNumber(c, t.Metadata(), m.Partner); err != nil {
			return err
		}
		m.ID = fmt.Sprint(m.Number)
		return t.Metadata().Insert(c, &m)
	})
	if err != nil {
		return nil, err
	}
	return c.viewMetadata(c.tables(), m)
}

func (c *call) metadataUpdate() (any, error) {
	var m Metadata
	err := c.commit(func(tx Tx) (err error) {
		t := tx.Kaltura()
		if m, err = c.metadata(t, c.args.str("id"), true); err != nil || !c.args.has("xmlData") {
			return err
		}
		p, err := c.metadataProfile(t, fmt.Sprint(m.Profile))
		if err != nil {
			return err
		}
		m.XML = c.args.str("xmlData")
		if err := p.fits(m.XML); err != nil {
			return err
		}
		return t.Metadata().Update(c, &m)
	})
	if err != nil {
		return nil, err
	}
	return c.viewMetadata(c.tables(), m)
}

func (c *call) metadataGet() (any, error) {
	m, err := c.metadata(c.tables(), c.args.str("id"), false)
	if err != nil {
		return nil, err
	}
	return c.viewMetadata(c.tables(), m)
}

func (c *call) metadataDelete() (any, error) {
	return nil, c.commit(func(tx Tx) error {
		m, err := c.metadata(tx.Kaltura(), c.args.str("id"), true)
		if err != nil {
			return err
		}
		m.Deleted, m.XML = m.Number, ""
		return tx.Kaltura().Metadata().Update(c, &m)
	})
}

func (c *call) metadataList() (any, error) {
	f := c.args.tree("filter")
	ids := words(f.str("objectIdEqual") + "," + f.str("objectIdIn"))
	if len(ids) == 0 {
		return nil, refuse("MUST_FILTER_ON_OBJECT_ID")
	}
	visible, err := c.visible(c.tables())
	if err != nil {
		return nil, err
	}
	seen, err := c.tables().Entries().Find(c, Find{Partner: c.partner(), Where: all(visible, in("id", ids...))})
	if err != nil {
		return nil, err
	}
	ids = nil
	for _, e := range seen {
		ids = append(ids, e.ID)
	}
	where := []Cond{in("deleted", int64(0)), in("object_id", ids...)}
	where = c.equals(where, f, "metadataObjectType", "object_type")
	where = c.numbers(where, f, "metadataProfileId", "profile", "id", "number")
	rows, total, err := find(c, c.tables().Metadata(), where, map[string]string{"createdAt": "created_at", "updatedAt": "updated_at"}, Order{Column: "number"})
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(rows))
	for _, m := range rows {
		o, err := c.viewMetadata(c.tables(), m)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return list("KalturaMetadataListResponse", total, out), nil
}
