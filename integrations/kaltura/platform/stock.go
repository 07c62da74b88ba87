package platform

import (
	"bytes"
	_ "embed" // the stock encodings
	"encoding/json"
	"fmt"
	"strings"
)

// stockFile holds the encodings that come with every installation, as flavorParams.list and
// getFlavorAssetsWithParams show them, without the command lines of its encoders. Members of base are
// those of each encoding, unless it has its own.
//
//go:embed stock/flavorparams.json
var stockFile []byte

// flavorParams is one stock encoding.
type flavorParams struct {
	id         int64
	name, tags string
	height     int64 // of the picture; 0 = the source's
	view       *object
}

var stockParams = readStock(stockFile)

func readStock(data []byte) []flavorParams {
	var file struct {
		Base   json.RawMessage
		Params []json.RawMessage
	}
	if err := json.Unmarshal(data, &file); err != nil {
		panic("platform: stock/flavorparams.json: " + err.Error()) // a broken build
	}
	base := ordered(file.Base)
	var out []flavorParams
	for _, raw := range file.Params {
		own := ordered(raw)
		o := newObject("")
		for _, m := range base.members {
			if v, ok := own.lookup(m.name); ok {
				m.value = v
			}
			if m.name == "objectType" {
				o.class = m.value.(string)
				continue
			}
			o.members = append(o.members, m)
		}
		p := flavorParams{id: o.get("id").(int64), name: o.get("name").(string), height: o.get("height").(int64), view: o}
		p.tags, _ = o.get("tags").(string)
		out = append(out, p)
	}
	return out
}

// lookup gives a member and whether it is there, null or not.
func (o *object) lookup(name string) (any, bool) {
	for _, m := range o.members {
		if m.name == name {
			return m.value, true
		}
	}
	return nil, false
}

// ordered reads a JSON object with the order of its members.
func ordered(raw []byte) *object {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	o := newObject("")
	if _, err := d.Token(); err != nil {
		panic("platform: stock/flavorparams.json: " + err.Error())
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			panic("platform: stock/flavorparams.json: " + err.Error())
		}
		var v any
		if err := d.Decode(&v); err != nil {
			panic("platform: stock/flavorparams.json: " + err.Error())
		}
		o.set(name.(string), native(v))
	}
	return o
}

// native gives a decoded JSON value the types that answers are made of.
func native(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = native(e)
		}
		return out
	case map[string]any: // {value, objectType}
		return newObject(fmt.Sprint(v["objectType"])).set("value", native(v["value"]))
	}
	return v
}

func paramsOf(id int64) flavorParams {
	for _, p := range stockParams {
		if p.id == id {
			return p
		}
	}
	return flavorParams{id: id, name: fmt.Sprintf("WEB %d", id), tags: "web,mbr,dash"}
}

func (c *call) viewParams(p flavorParams) *object {
	out := newObject(p.view.class)
	for _, m := range p.view.members {
		if m.name == "createdAt" {
			m.value = c.account.CreatedAt.Unix()
		}
		out.members = append(out.members, m)
	}
	return out
}

// rungsFor gives the encodings that a video gets: those of its conversion profile up to the first
// that is as high as the source.
func rungsFor(profileID, height int64) []flavorParams {
	p := findProfile(profileID)
	if p == nil {
		p = findProfile(defaultProfile)
	}
	var out []flavorParams
	for id := range strings.SplitSeq(p.params, ",") {
		params := paramsOf(number(id))
		if params.id == 0 {
			continue
		}
		if n := len(out); n > 0 && out[n-1].height > height {
			break
		}
		out = append(out, params)
	}
	return out
}
