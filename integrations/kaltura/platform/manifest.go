package platform

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// denied is an error of a playback address: HTTP 404 and a number in the headers.
type denied struct {
	number int
	text   string
}

func (d *denied) Error() string { return fmt.Sprintf("error %d: %s", d.number, d.text) }

// Numbers of playback errors.
var (
	noEntry        = &denied{1, "requested entry not found"}
	notNow         = &denied{2, "the entry is not scheduled for now"}
	noAccess       = &denied{3, "entry restricted due to access-control"}
	noFile         = &denied{5, "requested file was not found"}
	noFlavor       = &denied{6, "requested flavor was not found"}
	badKS          = &denied{7, "ks is not valid"}
	wrongType      = &denied{12, "wrong entry type"}
	badFormat      = &denied{25, "wrong query attributes, This format is unsupported"}
	badMaxBitrate  = &denied{19, "maximum bitrate is not valid"}
	expiredKS      = &denied{31, "The given KS has expired, This URL is expired"}
	badRestriction = &denied{34, "The KS may not be used here"}
)

// refuseDelivery answers an error of a playback address.
func (p *Platform) refuseDelivery(w http.ResponseWriter, r *http.Request, err error) {
	h := w.Header()
	d, ok := err.(*denied)
	if !ok {
		if missing(err) {
			d = noFile
		} else {
			p.failed(r.Context(), "delivery", err)
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
	}
	h.Set("X-Kaltura", fmt.Sprintf("error-%d", d.number))
	h.Set("X-Kaltura-App", fmt.Sprintf("exiting on error %d - %s", d.number, d.text))
	h.Set("Content-Type", "text/html; charset=UTF-8")
	w.WriteHeader(http.StatusNotFound)
}

// short are the abbreviations of playManifest's parameters.
var short = map[string]string{
	"e": "entryId", "f": "format", "pt": "protocol", "fs": "flavorIds", "fi": "flavorId", "fps": "flavorParamIds",
	"fp": "flavorParamId", "mb": "maxBitrate", "mib": "minBitrate", "t": "tags",
}

// serveDelivery answers addresses of the form /p/PARTNER/sp/…/KIND/key/value/….
func (p *Platform) serveDelivery(w http.ResponseWriter, r *http.Request) {
	seg := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")
	kinds := []string{"playManifest", "thumbnail", "raw", "serveFlavor", "download"}
	at := slices.IndexFunc(seg, func(s string) bool { return slices.Contains(kinds, s) })
	if at < 0 {
		http.NotFound(w, r)
		return
	}
	q := pairs(strings.Join(seg[at+1:], "/"))
	query, _ := url.ParseQuery(r.URL.RawQuery) // what cannot be parsed is left out
	for k, v := range query {
		if _, have := q[k]; !have {
			q[k] = v[0]
		}
	}
	for abbreviation, name := range short {
		if v, ok := q[abbreviation]; ok && q[name] == "" {
			q[name] = v
		}
	}
	if q["entryId"] == "" {
		q["entryId"] = q["entry_id"]
	}
	var err error
	switch seg[at] {
	case "playManifest":
		keep(w.Header(), "private", time.Minute, p.Clock())
		w.Header().Set("Pragma", "no-cache")
		w.Header().Set("Access-Control-Expose-Headers", "Server,range,Content-Length,Content-Range")
		err = p.playManifest(w, r, q)
	case "thumbnail":
		err = p.thumbnail(w, r, q)
	case "serveFlavor":
		err = p.serveFlavor(w, r, q)
	default:
		err = p.raw(w, r, q)
	}
	if err != nil {
		p.refuseDelivery(w, r, err)
	}
}

// forever is how long a file that never changes is kept.
const forever = 100 * 24 * time.Hour

// keep says for how long an answer stays true.
func keep(h http.Header, who string, life time.Duration, now time.Time) {
	h.Set("Cache-Control", fmt.Sprintf("%s, max-age=%d, max-stale=0", who, int(life.Seconds())))
	h.Set("Expires", now.Add(life).UTC().Format(http.TimeFormat))
	h.Set("Last-Modified", now.UTC().Format(http.TimeFormat))
}

// forget says that an answer must not be kept.
func forget(h http.Header) {
	h.Set("Cache-Control", noStore)
	h.Set("Expires", "Sun, 19 Nov 2000 08:52:00 GMT")
	h.Set("Pragma", "no-cache")
	h.Del("Last-Modified")
}

// entryAt gives the entry of an address. The partner in the address is not looked at, as in the original.
func (p *Platform) entryAt(ctx context.Context, id string) (Entry, error) {
	found, err := p.Records.Kaltura().Entries().Find(ctx, Find{Where: in("id", id), Limit: 1})
	if err == nil && len(found) == 0 || id == "" {
		err = noEntry
	}
	if err != nil {
		return Entry{}, err
	}
	return found[0], nil
}

// admit checks the session of an address against the entry's access control.
func (p *Platform) admit(w http.ResponseWriter, r *http.Request, q map[string]string, e Entry) error {
	ctx := r.Context()
	text := q["ks"]
	if text == "" {
		text = r.Header.Get("X-Kaltura-Ks")
	}
	var k *ks
	if text != "" {
		partner, err := ksPartner(text)
		if err != nil {
			return badKS
		}
		acc, _, err := p.account(ctx, partner)
		if missing(err) {
			return badKS
		}
		if err != nil {
			return err
		}
		parsed, err := parseKS(text, acc.adminSecret)
		if err != nil {
			return badKS
		}
		word, err := p.state(ctx, &parsed, r.URL.Path, remote(r), p.Clock())
		switch {
		case err != nil:
			return err
		case word == "EXPIRED":
			return expiredKS
		case word == "LOGOUT":
			return badKS
		case word != "":
			return badRestriction
		}
		if partner == e.Partner {
			k = &parsed
		}
	}
	if !e.scheduled(p.Clock()) {
		forget(w.Header())
		if k == nil || !k.admin() {
			return notNow
		}
	}
	needed, err := p.sessionNeeded(ctx, e)
	if err != nil || !needed {
		return err
	}
	forget(w.Header()) // what depends on the session must not be kept
	if !mayView(k, e) {
		return noAccess
	}
	return nil
}

// generation is the number of the newest package of an entry.
func generation(e Entry) int { return max(len(e.Generations), 1) }

// choose narrows the flavors as an address asks. An unknown flavor id is ignored.
func choose(all []Flavor, q map[string]string) ([]Flavor, error) {
	out := delivered(all)
	named := func(keep func(Flavor) bool) bool {
		var cut []Flavor
		for _, f := range all {
			if f.Status == flavorReady && keep(f) {
				cut = append(cut, f)
			}
		}
		if len(cut) > 0 {
			out = cut
		}
		return len(cut) > 0
	}
	if list := words(q["flavorIds"] + "," + q["flavorId"]); len(list) > 0 {
		named(func(f Flavor) bool { return slices.Contains(list, f.ID) })
	}
	if list := words(q["flavorParamIds"] + "," + q["flavorParamId"]); len(list) > 0 {
		if !named(func(f Flavor) bool { return slices.Contains(list, fmt.Sprint(f.Params)) }) {
			return nil, noFlavor
		}
	}
	if tags := words(q["tags"]); len(tags) > 0 && !slices.Contains(tags, "all") {
		if !named(func(f Flavor) bool {
			return slices.ContainsFunc(words(f.Tags), func(t string) bool { return slices.Contains(tags, t) })
		}) {
			return nil, noFlavor
		}
	}
	if limit, ok := q["maxBitrate"]; ok {
		n, err := strconv.ParseInt(limit, 10, 64)
		if err != nil || n <= 0 {
			return nil, badMaxBitrate
		}
		out = slices.DeleteFunc(slices.Clone(out), func(f Flavor) bool { return f.Bitrate > n })
	}
	if len(out) == 0 {
		return nil, noFlavor
	}
	return out, nil
}

// playManifest says where the media is, in the form that the player asked for.
func (p *Platform) playManifest(w http.ResponseWriter, r *http.Request, q map[string]string) error {
	ctx := r.Context()
	e, err := p.entryAt(ctx, q["entryId"])
	if err != nil {
		return err
	}
	if err := p.admit(w, r, q, e); err != nil {
		return err
	}
	if e.MediaType == mediaImage {
		return wrongType
	}
	if e.Status != entryReady {
		return noFlavor
	}
	all, err := p.flavors(ctx, e)
	if err != nil {
		return err
	}
	chosen, err := choose(all, q)
	if err != nil {
		return err
	}
	hasRungs := slices.ContainsFunc(chosen, func(f Flavor) bool { return f.Params != 0 }) && len(e.Generations) > 0
	format := q["format"]
	switch {
	case format == "mpegdash":
		if !hasRungs {
			return noFlavor
		}
		return redirect(w, p.packageURL("dash", e, chosen)+"/manifest.mpd")
	case format == "url", format == "download":
		return redirect(w, p.serveURL(e, chosen[0], format == "download"))
	case format == "applehttp", format == "hls", format == "applehttp_to_mc":
		if !hasRungs {
			return noFlavor
		}
		if strings.HasPrefix(q["responseFormat"], "json") {
			return p.jsonManifest(w, q, e, chosen)
		}
		return p.master(w, r, e, chosen)
	case format == "http" || format == "" || format == "hdnetworkmanifest" || format == "hds":
		return f4m(w, e, chosen[0], p.serveURL(e, chosen[0], false))
	}
	return badFormat
}

func redirect(w http.ResponseWriter, to string) error {
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusFound)
	_, _ = w.Write([]byte("\n")) // the client may be gone
	return nil
}

// packageURL is the folder in which the segments of a package appear. Several flavors are written
// with their common beginning first and a list of the rest, as the original does.
func (p *Platform) packageURL(kind string, e Entry, flavors []Flavor) string {
	ids, suffix := flavors[0].ID, "a.mp4"
	if len(flavors) > 1 {
		ids, suffix = "0_,", "a.mp4.urlset"
		for _, f := range flavors {
			ids += strings.TrimPrefix(f.ID, "0_") + ","
		}
	}
	proxy := "/forceproxy/true"
	if kind == "hls" {
		proxy = ""
	}
	return fmt.Sprintf("%s/%s/p/%d/sp/%d00/serveFlavor/entryId/%s/v/2/ev/%d/flavorId/%s%s/name/%s",
		p.BaseURL, kind, e.Partner, e.Partner, e.ID, generation(e), ids, proxy, suffix)
}

// servePackage serves what lies beside a manifest: manifests, initialisation and media segments.
// The number after ev names the package, so that a player keeps its package while a better one appears.
func (p *Platform) servePackage(w http.ResponseWriter, r *http.Request) {
	head, rest, ok := strings.Cut(r.URL.EscapedPath(), "/name/")
	_, params, hasParams := strings.Cut(head, "/serveFlavor/")
	_, file, hasFile := strings.Cut(rest, "/")
	file, err := url.PathUnescape(file)
	if !ok || !hasParams || !hasFile || err != nil {
		http.NotFound(w, r)
		return
	}
	if err := p.packaged(w, r, pairs(params), file); err != nil {
		p.refuseDelivery(w, r, err)
	}
}

func (p *Platform) packaged(w http.ResponseWriter, r *http.Request, q map[string]string, file string) error {
	e, err := p.entryAt(r.Context(), q["entryId"])
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(q["ev"])
	if err != nil || n < 1 || n > len(e.Generations) {
		return noFlavor
	}
	gen := e.Generations[n-1]
	main, name := gen.DASH, "manifest.mpd"
	if strings.HasPrefix(r.URL.Path, "/hls/") {
		main, name = gen.HLS, "index.m3u8"
	}
	if main == "" {
		return noFlavor
	}
	key := path.Join(path.Dir(main), file)
	if file == name {
		key = main
	}
	if file != path.Clean(file) || !strings.HasPrefix(key, path.Dir(main)+"/") {
		return noFile // the file may not lie outside of its package
	}
	w.Header().Set("Cache-Control", "public, max-age=8640000, max-stale=0")
	if path.Ext(key) == ".mpd" {
		return p.dashManifest(w, r, key)
	}
	return p.serveBlob(w, r, key, "")
}

// dashManifest serves a manifest with the address of its own folder in it, as Kaltura's packager
// does: ffmpeg looks for segments beside the address it began with, not the one it was sent on to.
func (p *Platform) dashManifest(w http.ResponseWriter, r *http.Request, key string) error {
	info, err := p.Blobs.Stat(r.Context(), key)
	if err != nil {
		return err
	}
	raw, err := p.readBlob(r.Context(), key, 16<<20)
	if err != nil {
		return err
	}
	text := string(raw)
	at := strings.Index(text, "<ServiceDescription")
	if at < 0 {
		at = strings.Index(text, "<Period")
	}
	if at >= 0 {
		var base strings.Builder
		xmlElement(&base, "BaseURL", p.BaseURL+path.Dir(r.URL.EscapedPath())+"/")
		text = text[:at] + base.String() + "\n\t" + text[at:]
	}
	h := w.Header()
	h.Set("Content-Type", contentType(key))
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", info.ModTime, strings.NewReader(text))
	return nil
}

// master answers with the master playlist, all addresses in it made absolute.
func (p *Platform) master(w http.ResponseWriter, r *http.Request, e Entry, flavors []Flavor) error {
	gen := e.Generations[len(e.Generations)-1]
	if gen.HLS == "" {
		return noFlavor
	}
	text, err := p.readBlob(r.Context(), gen.HLS, 1<<20)
	if err != nil {
		return err
	}
	base := p.packageURL("hls", e, flavors) + "/"
	w.Header().Set("Content-Type", "application/x-mpegurl")
	_, _ = w.Write([]byte(absolute(string(text), base))) // the client may be gone
	return nil
}

// absolute puts base before every relative address of a playlist.
func absolute(playlist, base string) string {
	lines := strings.Split(playlist, "\n")
	for i, line := range lines {
		switch before, rest, ok := strings.Cut(line, `URI="`); {
		case strings.HasPrefix(line, "#") && ok && !strings.Contains(rest, "://"):
			lines[i] = before + `URI="` + base + rest
		case line != "" && !strings.HasPrefix(line, "#") && !strings.Contains(line, "://"):
			lines[i] = base + line
		}
	}
	return strings.Join(lines, "\n")
}

// jsonManifest is the list of flavors for players that make their own manifest.
func (p *Platform) jsonManifest(w http.ResponseWriter, q map[string]string, e Entry, flavors []Flavor) error {
	var b strings.Builder
	list := []any{}
	for _, f := range flavors {
		var codecs any = f.Codecs
		list = append(list, dict{
			{"url", p.packageURL("hls", e, []Flavor{f}) + "/index.m3u8"},
			{"ext", orMP4(f.FileExt)},
			{"bitrate", f.Bitrate},
			{"width", f.Width},
			{"height", f.Height},
			{"audioLanguage", nil},
			{"audioLanguageName", nil},
			{"audioLabel", nil},
			{"audioCodec", nil},
			{"defaultAudio", false},
			{"frameRate", f.FrameRate},
			{"codecs", codecs},
		})
	}
	writeJSON(&b, dict{{"entryId", e.ID}, {"duration", e.DurationMS / 1000}, {"baseUrl", ""}, {"flavors", list}})
	out := b.String()
	if q["responseFormat"] == "jsonp" {
		if !callbackName.MatchString(q["callback"]) {
			return badFormat
		}
		out = q["callback"] + "(" + out + ")\n"
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(out)) // the client may be gone
	return nil
}

// f4m is the old default manifest: one address of one file.
func f4m(w http.ResponseWriter, e Entry, f Flavor, address string) error {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<manifest xmlns="http://ns.adobe.com/f4m/1.0">` + "\n")
	for _, m := range []member{{"id", e.ID}, {"mimeType", "video/x-flv"}, {"streamType", "recorded"}, {"duration", e.DurationMS / 1000}} {
		xmlElement(&b, m.name, m.value)
		b.WriteString("\n")
	}
	b.WriteString(`<media url="`)
	writeXML(&b, address, false)
	fmt.Fprintf(&b, "\" bitrate=\"%d\" width=\"%d\" height=\"%d\" />\n</manifest>", f.Bitrate, f.Width, f.Height)
	w.Header().Set("Content-Disposition", "inline; filename=manifest.xml")
	w.Header().Set("Content-Type", "text/xml; charset=UTF-8")
	_, _ = w.Write([]byte(b.String())) // the client may be gone
	return nil
}
