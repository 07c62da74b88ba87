package dropfolder

import (
	"encoding/hex"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"isthmus/gateway"
)

// scalar is a field with one value, the same in every format. One of text, num, flag and when says of which kind.
type scalar[T any] struct {
	most      int   // characters of a text
	blank     blank // what an empty value means
	lines     bool  // a text may have several lines
	low, high int64 // of a number
	text      func(d *itemDraft, t *T, at spot, v string)
	num       func(t *T, v int64)
	flag      func(t *T, v bool)
	when      func(t *T, v time.Time)
}

// blank is what an empty value means.
type blank int

const (
	blankNothing blank = iota // as if the field were not there
	blankClears               // the value is removed
	blankRefused
)

var itemFields = map[string]scalar[itemDraft]{
	"action": {blank: blankRefused, text: func(d *itemDraft, t *itemDraft, at spot, v string) {
		switch a := gateway.ManifestAction(v); a {
		case gateway.ManifestAdd, gateway.ManifestUpdate, gateway.ManifestDelete:
			t.item.Action = a
		default:
			d.notAllowed(at, v, "add, update or delete")
		}
	}},
	"entry_id":            {most: 20, blank: blankRefused, text: plain(func(t *itemDraft) *string { return &t.item.EntryID })},
	"reference_id":        {most: 2000, blank: blankRefused, text: plain(func(t *itemDraft) *string { return &t.item.ReferenceID })},
	"parent_reference_id": {most: 100, text: plain(func(t *itemDraft) *string { return &t.item.ParentReferenceID })},
	"type": {blank: blankRefused, text: func(d *itemDraft, t *itemDraft, at spot, v string) {
		switch m := gateway.MediaType(v); m {
		case gateway.Video, gateway.Image, gateway.Audio:
			t.item.Type = m
		default:
			d.notAllowed(at, v, "video, image or audio")
		}
	}},
	"user_id":                {most: 100, text: plain(func(t *itemDraft) *string { return &t.item.UserID })},
	"name":                   {most: 256, blank: blankRefused, text: pointer(func(t *itemDraft) **string { return &t.item.Name })},
	"description":            {blank: blankClears, lines: true, text: pointer(func(t *itemDraft) **string { return &t.item.Description })},
	"partner_data":           {most: 4000, blank: blankClears, lines: true, text: pointer(func(t *itemDraft) **string { return &t.item.PartnerData })},
	"partner_sort_data":      {low: math.MinInt32, high: math.MaxInt32, num: func(t *itemDraft, v int64) { t.item.PartnerSortData = &v }},
	"access_control_id":      {low: 1, high: math.MaxInt32, num: func(t *itemDraft, v int64) { t.item.AccessControl.ID = v }},
	"access_control":         {most: 120, blank: blankRefused, text: plain(func(t *itemDraft) *string { return &t.item.AccessControl.Name })},
	"conversion_profile_id":  {low: -1, high: math.MaxInt32, num: func(t *itemDraft, v int64) { t.item.ConversionProfile.ID = v }},
	"conversion_profile":     {most: 120, blank: blankRefused, text: plain(func(t *itemDraft) *string { return &t.item.ConversionProfile.Name })},
	"template_entry_id":      {most: 20, blank: blankRefused, text: plain(func(t *itemDraft) *string { return &t.item.TemplateEntryID })},
	"start_at":               {when: func(t *itemDraft, v time.Time) { t.item.StartAt = &v }},
	"end_at":                 {when: func(t *itemDraft, v time.Time) { t.item.EndAt = &v }},
	"duration_ms":            {high: math.MaxInt32, num: func(t *itemDraft, v int64) { t.item.DurationMS = &v }},
	"keep_manual_thumbnails": {flag: func(t *itemDraft, v bool) { t.item.KeepManualThumbnails = v }},
	"replace":                {flag: func(t *itemDraft, v bool) { t.replace = &v }},
}

// resourceFields say where bytes are, of content and of thumbnails.
func resourceFields[T any](of func(*T) *gateway.ManifestResource) map[string]scalar[T] {
	sum := func(size int, set func(*gateway.ManifestResource, string)) scalar[T] {
		return scalar[T]{blank: blankRefused, text: func(d *itemDraft, t *T, at spot, v string) {
			if b, err := hex.DecodeString(v); err != nil || len(b) != size {
				d.fault(at, "checksum_invalid", fmt.Sprintf("%s is no checksum of its kind: that has %d hexadecimal digits.", at.label, 2*size), "Write the checksum in hexadecimal digits, and say its type: md5, sha1 or sha256.")
				return
			}
			set(of(t), strings.ToLower(v))
		}}
	}
	name := func(get func(*gateway.ManifestResource) *string) scalar[T] {
		return scalar[T]{most: 250, blank: blankRefused, text: plain(func(t *T) *string { return get(of(t)) })}
	}
	return map[string]scalar[T]{
		"file": {most: 500, blank: blankRefused, text: func(d *itemDraft, t *T, at spot, v string) {
			if !fileName(v) {
				d.fault(at, "file_name_invalid", fmt.Sprintf("%s names no file of the folder: %s.", at.label, shown(v)), "Write the file's name, or its path within the folder with “/” between, without “..”.")
				return
			}
			of(t).File = v
		}},
		"url": {most: 4096, blank: blankRefused, text: func(d *itemDraft, t *T, at spot, v string) {
			u, err := url.Parse(v)
			if err == nil && slices.Contains([]string{"ftp", "sftp", "scp"}, strings.ToLower(u.Scheme)) {
				d.fault(at, "url_scheme_not_supported", at.label+" is no http or https address.", "Offer the file by https, or put it into the folder.")
				return
			}
			if err != nil || !slices.Contains([]string{"http", "https"}, strings.ToLower(u.Scheme)) || u.Hostname() == "" {
				d.fault(at, "url_invalid", at.label+" is no http or https address.", "Write the whole address, beginning with https://.")
				return
			}
			of(t).URL = v
		}},
		"token":    name(func(r *gateway.ManifestResource) *string { return &r.Token }),
		"entry_id": name(func(r *gateway.ManifestResource) *string { return &r.EntryID }),
		"asset_id": name(func(r *gateway.ManifestResource) *string { return &r.AssetID }),
		"size":     {low: 1, high: math.MaxInt64, num: func(t *T, v int64) { of(t).Size = v }},
		"md5":      sum(16, func(r *gateway.ManifestResource, v string) { r.MD5 = v }),
		"sha1":     sum(20, func(r *gateway.ManifestResource, v string) { r.SHA1 = v }),
		"sha256":   sum(32, func(r *gateway.ManifestResource, v string) { r.SHA256 = v }),
	}
}

var contentFields = func() map[string]scalar[gateway.ManifestContent] {
	type content = gateway.ManifestContent
	f := resourceFields(func(c *content) *gateway.ManifestResource { return &c.ManifestResource })
	f["flavor_id"] = scalar[content]{high: math.MaxInt32, num: func(t *content, v int64) { t.Flavor.ID = v }}
	f["flavor"] = scalar[content]{most: 120, blank: blankRefused, text: plain(func(t *content) *string { return &t.Flavor.Name })}
	f["asset"] = scalar[content]{most: 250, blank: blankRefused, text: plain(func(t *content) *string { return &t.Asset })}
	return f
}()

var thumbnailFields = func() map[string]scalar[gateway.ManifestThumbnail] {
	type thumbnail = gateway.ManifestThumbnail
	f := resourceFields(func(c *thumbnail) *gateway.ManifestResource { return &c.ManifestResource })
	f["params_id"] = scalar[thumbnail]{high: math.MaxInt32, num: func(t *thumbnail, v int64) { t.Params.ID = v }}
	f["params"] = scalar[thumbnail]{most: 120, blank: blankRefused, text: plain(func(t *thumbnail) *string { return &t.Params.Name })}
	f["asset"] = scalar[thumbnail]{most: 250, blank: blankRefused, text: plain(func(t *thumbnail) *string { return &t.Asset })}
	f["default"] = scalar[thumbnail]{flag: func(t *thumbnail, v bool) { t.Default = v }}
	return f
}()

var customFields = map[string]scalar[gateway.ManifestCustom]{
	"profile_id": {low: 1, high: math.MaxInt32, num: func(t *gateway.ManifestCustom, v int64) { t.Profile.ID = v }},
	"profile":    {most: 120, blank: blankRefused, text: plain(func(t *gateway.ManifestCustom) *string { return &t.Profile.Name })},
	"action": {blank: blankRefused, text: func(d *itemDraft, t *gateway.ManifestCustom, at spot, v string) {
		switch v {
		case "replace", "delete":
			t.Action = v
		case "transformXslt":
			d.fault(at, "element_not_supported", "Custom metadata is not transformed by XSLT here.", "Write the metadata as it shall be, with the action replace.")
		default:
			d.notAllowed(at, v, "replace or delete")
		}
	}},
	"xml": {lines: true, text: func(d *itemDraft, t *gateway.ManifestCustom, at spot, v string) {
		xml, broken := fragment(d.doc.in.ctx, v)
		if broken != nil {
			d.fault(at, "custom_xml_invalid", at.label+" is no XML that custom metadata may be: "+broken.Text, broken.Fix)
			return
		}
		t.XML = xml
	}},
}

// plain sets a text as it is.
func plain[T any](of func(*T) *string) func(*itemDraft, *T, spot, string) {
	return func(_ *itemDraft, t *T, _ spot, v string) { *of(t) = v }
}

// pointer sets a text whose emptiness means something.
func pointer[T any](of func(*T) **string) func(*itemDraft, *T, spot, string) {
	return func(_ *itemDraft, t *T, _ spot, v string) { *of(t) = &v }
}

// setText gives a field the value that is written. Faults name the place.
func setText[T any](d *itemDraft, t *T, s scalar[T], at spot, v string) {
	v = strings.TrimFunc(v, unicode.IsSpace)
	if v == "" && s.blank != blankClears {
		if s.blank == blankRefused {
			d.fault(at, "value_empty", at.label+" is empty.", "Give it a value, or leave it out.")
		}
		return
	}
	switch {
	case s.num != nil:
		n, err := strconv.ParseInt(strings.TrimPrefix(v, "+"), 10, 64)
		if err != nil {
			d.fault(at, "number_invalid", fmt.Sprintf("%s is no whole number: %s.", at.label, shown(v)), "Write a whole number in digits.")
			return
		}
		setNumber(d, t, s, at, n)
	case s.flag != nil:
		switch v {
		case "true", "1":
			s.flag(t, true)
		case "false", "0":
			s.flag(t, false)
		default:
			d.notAllowed(at, v, "true or false")
		}
	case s.when != nil:
		when, ok := moment(v, d.doc.format != gateway.ManifestXML)
		if !ok {
			d.fault(at, "date_invalid", fmt.Sprintf("%s is no date and time: %s.", at.label, shown(v)), "Write it as 2026-05-01T08:00:00, in GMT.")
			return
		}
		s.when(t, when)
	default:
		if s.most == 0 {
			s.most = maxTextChars
		}
		if n := utf8.RuneCountInString(v); n > s.most {
			d.fault(at, "value_too_long", fmt.Sprintf("%s has %d characters; %d is the most.", at.label, n, s.most), "Shorten it.")
			return
		}
		if !s.lines && strings.ContainsFunc(v, unicode.IsControl) {
			d.fault(at, "value_not_allowed", at.label+" must be on one line.", "Remove line ends and tabs from it.")
			return
		}
		s.text(d, t, at, v)
	}
}

func setNumber[T any](d *itemDraft, t *T, s scalar[T], at spot, n int64) {
	if n < s.low || n > s.high {
		d.fault(at, "number_out_of_range", fmt.Sprintf("%s is %d, but must be from %d to %d.", at.label, n, s.low, s.high), "Correct the number.")
		return
	}
	s.num(t, n)
}

func (d *itemDraft) notAllowed(at spot, v, allowed string) {
	d.fault(at, "value_not_allowed", fmt.Sprintf("%s must be %s, not %s.", at.label, allowed, shown(v)), "Write one of these, in this spelling.")
}

// moment reads a date and time. Kaltura reads it as GMT whatever zone it names; elsewhere a zone counts.
func moment(v string, zones bool) (time.Time, bool) {
	const form = "2006-01-02T15:04:05"
	if len(v) < len(form) || len(v) > 40 {
		return time.Time{}, false
	}
	t, err := time.Parse(form, v[:len(form)])
	if err != nil || t.Year() < 1970 {
		return time.Time{}, false
	}
	rest := v[len(form):]
	if strings.HasPrefix(rest, ".") {
		digits := strings.TrimLeft(rest[1:], "0123456789")
		if len(digits) == len(rest)-1 {
			return time.Time{}, false
		}
		rest = digits
	}
	if rest == "" || rest == "Z" {
		return t, true
	}
	zone, err := time.Parse("-07:00", rest)
	if err != nil {
		return time.Time{}, false
	}
	if zones {
		_, offset := zone.Zone()
		t = t.Add(-time.Duration(offset) * time.Second)
	}
	return t, true
}

// fileName tells whether a name can be that of a file within the folder.
func fileName(v string) bool {
	if strings.ContainsFunc(v, unicode.IsControl) || strings.Contains(v, "\\") {
		return false
	}
	for part := range strings.SplitSeq(v, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return true
}
