package kaltura

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"isthmus/gateway"
)

// Open implements gateway.Platform. rendition is a flavour's id or RenditionOriginal: the file as
// uploaded, or the best ready flavour when the account keeps no originals.
func (p *Platform) Open(ctx context.Context, a gateway.Actor, id, rendition string, rng gateway.Range) (io.ReadCloser, error) {
	if rng.Start < 0 || rng.End >= 0 && rng.End < rng.Start {
		return nil, gateway.E(gateway.Invalid, "range_invalid", "This byte range is not possible.")
	}
	w, err := p.person(ctx, a)
	if err != nil {
		return nil, public(err)
	}
	address, err := p.address(ctx, w, id, rendition)
	if err != nil {
		return nil, public(err)
	}
	if rng.End == rng.Start {
		return http.NoBody, nil
	}
	body, err := p.download(ctx, address, rng)
	if c := gateway.CodeOf(public(err)); (c == gateway.NotFound || c == gateway.Forbidden) && p.own(address) {
		// An access control profile may keep anonymous readers out; a playback session gets in.
		if s, ok, serr := p.players.playback(ctx, id, ourselves); serr == nil && ok {
			if again, aerr := p.download(ctx, p.playable(address, s.ks.Reveal()), rng); aerr == nil {
				return again, nil
			}
		}
	}
	return body, public(err)
}

// own tells whether an address is of the account's own domain: no other host gets a session.
func (p *Platform) own(address string) bool {
	base, err1 := url.Parse(p.base)
	u, err2 := url.Parse(address)
	return err1 == nil && err2 == nil && domain(u.Hostname()) == domain(base.Hostname())
}

// address finds where a rendition's bytes are.
func (p *Platform) address(ctx context.Context, w who, id, rendition string) (string, error) {
	if rendition == "" {
		rendition = gateway.RenditionOriginal
	}
	e, err := p.entry(ctx, w, id)
	if err != nil {
		return "", err
	}
	if mediaType(e.MediaType) == gateway.Image {
		return p.path("raw/entry_id/" + id), nil
	}
	var flavors []flavorAsset
	if err := p.flavors(ctx, w, id, &flavors); err != nil {
		return "", err
	}
	f, err := choose(flavors, rendition)
	if err != nil {
		return "", err
	}
	const op = "flavorasset.getUrl"
	var address string
	err = p.as(ctx, w, op, params{"id": string(f.ID)}, &address)
	if notAllowed(err) && !w.admin { // non-web flavours need download:* or an admin session
		if _, aerr := p.sessions.get(ctx, who{admin: true}); aerr == nil {
			err = p.as(ctx, who{admin: true}, op, params{"id": string(f.ID)}, &address)
		}
	}
	if err == nil && address == "" {
		err = &fault{Op: op, Kind: faultGarbled, Status: 200}
	}
	return address, err
}

// choose finds a flavour by id. It must belong to the entry: Kaltura reads any flavour by id.
func choose(flavors []flavorAsset, rendition string) (flavorAsset, error) {
	missing := &apiError{Op: "flavorasset.getUrl", Code: "FLAVOR_ASSET_ID_NOT_FOUND"}
	unready := &apiError{Op: "flavorasset.getUrl", Code: "FLAVOR_ASSET_IS_NOT_READY"}
	if rendition != gateway.RenditionOriginal {
		for _, f := range flavors {
			if string(f.ID) == rendition {
				if f.Status != flavorReady {
					return f, unready
				}
				return f, nil
			}
		}
		return flavorAsset{}, missing
	}
	ready := slices.DeleteFunc(slices.Clone(flavors), func(f flavorAsset) bool { return f.Status != flavorReady })
	if len(ready) == 0 {
		if len(flavors) > 0 {
			return flavorAsset{}, unready
		}
		return flavorAsset{}, missing
	}
	if i := slices.IndexFunc(ready, func(f flavorAsset) bool { return bool(f.IsOriginal) }); i >= 0 {
		return ready[i], nil
	}
	return slices.MaxFunc(ready, func(x, y flavorAsset) int { return cmp.Compare(x.Bitrate, y.Bitrate) }), nil
}

// path is an address below the account's own service URL.
func (p *Platform) path(rest string) string {
	return p.base + "/p/" + p.partner() + "/sp/" + p.partner() + "00/" + rest
}

func (p *Platform) download(ctx context.Context, address string, rng gateway.Range) (io.ReadCloser, error) {
	const op = "download"
	h := http.Header{"Accept-Encoding": {"identity"}} // offsets are of the file itself
	if rng.Start > 0 || rng.End >= 0 {
		h.Set("Range", fmt.Sprintf("bytes=%d-", rng.Start))
		if rng.End >= 0 {
			h.Set("Range", fmt.Sprintf("bytes=%d-%d", rng.Start, rng.End-1))
		}
	}
	res, err := p.get(ctx, op, address, h)
	if err != nil {
		return nil, err
	}
	body := idle(res.Body, p.silence())
	skip := int64(0)
	if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); res.StatusCode < 300 && notMedia[kind] {
		_ = body.Close()
		return nil, &fault{Op: op, Kind: faultNotAPI, Status: res.StatusCode}
	}
	switch res.StatusCode {
	case http.StatusPartialContent:
		var start int64
		if _, err := fmt.Sscanf(res.Header.Get("Content-Range"), "bytes %d-", &start); err != nil || start != rng.Start {
			_ = body.Close()
			return nil, &fault{Op: op, Kind: faultGarbled, Status: res.StatusCode}
		}
	case http.StatusOK: // a server that knows no ranges sends everything
		skip = rng.Start
	case http.StatusRequestedRangeNotSatisfiable:
		_ = body.Close()
		return nil, gateway.E(gateway.Invalid, "range_invalid", "The file is shorter than this byte range.")
	case http.StatusNotFound, http.StatusGone:
		_ = body.Close()
		return nil, gateway.E(gateway.NotFound, "rendition_not_found", "Kaltura does not deliver this file.").
			Next("Choose another rendition.")
	case http.StatusForbidden, http.StatusUnauthorized:
		_ = body.Close()
		return nil, gateway.E(gateway.Forbidden, "kaltura_forbidden", "Kaltura does not let us download this file.").
			Next("Ask the Kaltura administrator about the access control profile of the media.")
	default:
		_ = body.Close()
		if f := statusFault(op, res); f != nil {
			return nil, f
		}
		return nil, &fault{Op: op, Kind: faultNotAPI, Status: res.StatusCode}
	}
	if skip > 0 {
		if _, err := io.CopyN(io.Discard, body, skip); err != nil {
			_ = body.Close()
			return nil, netFault(op, err)
		}
	}
	var r io.Reader = body
	if rng.End >= 0 {
		r = io.LimitReader(body, rng.End-rng.Start)
	}
	return delivery{limited{r, body}, totalSize(res)}, nil
}

// notMedia are the types of pages that something between us and Kaltura answers in the place of a
// file: a login, an error, a notice. Kept as the file they would be a copy that never plays.
var notMedia = map[string]bool{"text/html": true, "application/xhtml+xml": true, "text/xml": true, "application/xml": true, "application/json": true}

type limited struct {
	io.Reader
	io.Closer
}

// delivery is a gateway.Sized reader of a rendition or a part of it.
type delivery struct {
	limited
	total int64
}

// Size implements gateway.Sized.
func (d delivery) Size() int64 { return d.total }

// totalSize is the length of the whole file of which an answer holds a part, -1 when it does not say.
func totalSize(res *http.Response) int64 {
	if res.StatusCode == http.StatusOK {
		return res.ContentLength
	}
	_, total, _ := strings.Cut(res.Header.Get("Content-Range"), "/")
	if n, err := strconv.ParseInt(total, 10, 64); err == nil {
		return n
	}
	return -1
}
