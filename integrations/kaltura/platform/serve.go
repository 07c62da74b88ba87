package platform

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	_ "image/png" // packages of images may hold PNG
	"io"
	"math"
	"mime"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	xdraw "golang.org/x/image/draw"
	_ "golang.org/x/image/webp" // and WebP

	"isthmus/gateway"
)

// remote gives the caller's address without port.
func remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// contentTypes of what packages hold; the machine's own table may not know them.
var contentTypes = map[string]string{
	".mpd": "application/dash+xml", ".m3u8": "application/x-mpegurl", ".m4s": "video/iso.segment", ".cmfv": "video/mp4",
	".cmfa": "audio/mp4", ".mp4": "video/mp4", ".m4a": "audio/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime",
	".webm": "video/webm", ".mkv": "video/x-matroska", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png",
	".webp": "image/webp", ".mp3": "audio/mpeg", ".wav": "audio/wav", ".ts": "video/mp2t", ".vtt": "text/vtt",
}

func contentType(name string) string {
	ext := strings.ToLower(path.Ext(name))
	if t := contentTypes[ext]; t != "" {
		return t
	}
	if t := mime.TypeByExtension(ext); strings.HasPrefix(t, "video/") || strings.HasPrefix(t, "audio/") || strings.HasPrefix(t, "image/") {
		return t
	}
	return "application/octet-stream" // never text that a browser would run
}

// serveBlob serves a file with ranges. name chooses the type; empty = the key's.
func (p *Platform) serveBlob(w http.ResponseWriter, r *http.Request, key, name string) error {
	info, err := p.Blobs.Stat(r.Context(), key)
	if err != nil {
		return err
	}
	if name == "" {
		name = key
	}
	h := w.Header()
	h.Set("Content-Type", contentType(name))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("ETag", `"`+strconv.FormatInt(info.Size, 16)+"-"+strconv.FormatInt(info.ModTime.UnixMicro(), 16)+`"`)
	s := gateway.SeekBlob(r.Context(), p.Blobs, key, info.Size)
	defer func() { _ = s.Close() }() // only read
	http.ServeContent(w, r, "", info.ModTime, s)
	return nil
}

// readBlob reads a small blob.
func (p *Platform) readBlob(ctx context.Context, key string, limit int64) ([]byte, error) {
	r, _, err := p.Blobs.Open(ctx, key, gateway.Range{End: -1})
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // only read
	return io.ReadAll(io.LimitReader(r, limit))
}

// serveFlavor serves the file of a flavor.
func (p *Platform) serveFlavor(w http.ResponseWriter, r *http.Request, q map[string]string) error {
	e, err := p.entryAt(r.Context(), q["entryId"])
	if err != nil {
		return err
	}
	f, err := p.Records.Kaltura().Flavors().Get(r.Context(), e.Partner, q["flavorId"])
	if missing(err) || err == nil && (f.EntryID != e.ID || f.Status != flavorReady) {
		return noFlavor
	}
	if err != nil {
		return err
	}
	keep(w.Header(), "public", forever, p.Clock())
	if name := q["fileName"]; name != "" {
		w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	}
	return p.serveBlob(w, r, f.Blob, "a."+orMP4(f.FileExt))
}

// raw serves the file as it was uploaded.
func (p *Platform) raw(w http.ResponseWriter, r *http.Request, q map[string]string) error {
	e, err := p.entryAt(r.Context(), q["entryId"])
	if err != nil {
		return err
	}
	if err := p.admit(w, r, q, e); err != nil {
		return err
	}
	if e.AssetID == "" {
		return noFile
	}
	as, err := p.Assets.Get(r.Context(), e.AssetID)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": as.FileName}))
	return p.serveBlob(w, r, as.Original, as.FileName)
}

// Limits of a picture: each side as in the original, and pixels altogether.
const (
	maxPicture = 10000
	maxArea    = 8 << 20
)

// Ways to fit a picture.
const (
	fitKeep    = 1 // inside the box
	fitBars    = 2 // inside the box, filled with background
	fitCrop    = 3 // box filled, centre kept
	fitCropTop = 4
	fitStretch = 5
)

// thumbnail serves an entry's picture in the asked size.
func (p *Platform) thumbnail(w http.ResponseWriter, r *http.Request, q map[string]string) error {
	ctx := r.Context()
	id := q["entryId"]
	for _, ext := range []string{".jpg", ".png", ".gif"} {
		id = strings.TrimSuffix(id, ext)
	}
	e, err := p.entryAt(ctx, id)
	if err != nil {
		return err
	}
	key, err := p.picture(ctx, e)
	if err != nil {
		return err
	}
	if key == "" && (e.AssetID == "" || e.ThumbVersion == 0) {
		return noFile
	}
	width, height := dimension(q["width"]), dimension(q["height"])
	if width == 0 && height == 0 {
		width, height = dimension(q["def_width"]), dimension(q["def_height"])
	}
	if width == 0 && height == 0 {
		width, height = 120, 90
	}
	changed := e.UpdatedAt
	if key == "" {
		as, err := p.Assets.Get(ctx, e.AssetID)
		if err != nil {
			return err
		}
		key, changed = source(as.Package, width, height), as.UpdatedAt
	}
	if key == "" {
		return noFile
	}
	select { // decoding takes memory and time: a few at once
	case p.scaling <- struct{}{}:
		defer func() { <-p.scaling }()
	case <-ctx.Done():
		return ctx.Err()
	}
	data, err := p.readBlob(ctx, key, 64<<20)
	if err != nil {
		return err
	}
	picture, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return err
	}
	fit, err := strconv.Atoi(q["type"])
	if err != nil {
		fit = fitKeep
	}
	quality, err := strconv.Atoi(q["quality"])
	if err != nil || quality <= 0 || quality > 100 {
		quality = 85
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, scale(picture, width, height, fit, background(q["bgcolor"])), &jpeg.Options{Quality: quality}); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "image/jpeg")
	keep(h, "public", time.Hour, p.Clock())
	http.ServeContent(w, r, "", changed, bytes.NewReader(out.Bytes()))
	return nil
}

// source chooses the smallest picture of a package that need not be enlarged, else the largest.
func source(pack gateway.Package, width, height int) string {
	best, largest := gateway.Thumbnail{}, gateway.Thumbnail{Key: pack.Image}
	for _, t := range pack.Thumbnails {
		if t.Width >= width && t.Height >= height && (best.Key == "" || t.Width < best.Width) {
			best = t
		}
		if t.Width > largest.Width && pack.Image == "" {
			largest = t
		}
	}
	if best.Key != "" {
		return best.Key
	}
	return largest.Key
}

func dimension(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0
	}
	return min(n, maxPicture)
}

func background(hex string) color.Color {
	n, err := strconv.ParseUint(hex, 16, 24)
	if err != nil {
		return color.White
	}
	return color.RGBA{uint8(n >> 16), uint8(n >> 8), uint8(n), 255} //nolint:gosec // cut on purpose
}

// scale fits a picture into a box. One side alone keeps the ratio.
func scale(src image.Image, width, height, fit int, bg color.Color) image.Image {
	b := src.Bounds()
	w, h := b.Dx(), b.Dy()
	if w == 0 || h == 0 {
		return src
	}
	switch {
	case width == 0:
		width, fit = max(1, w*height/h), fitStretch
	case height == 0:
		height, fit = max(1, h*width/w), fitStretch
	}
	from, to := b, image.Rect(0, 0, width, height)
	inside := image.Rect(0, 0, width, max(1, h*width/w))
	if inside.Dy() > height {
		inside = image.Rect(0, 0, max(1, w*height/h), height)
	}
	if area := width * height; area > maxArea { // strangers may ask: memory has a limit
		shrink := math.Sqrt(float64(maxArea) / float64(area))
		return scale(src, max(1, int(float64(width)*shrink)), max(1, int(float64(height)*shrink)), fit, bg)
	}
	canvas := to
	switch fit {
	case fitCrop, fitCropTop:
		if w*height > h*width { // too wide
			cutW := h * width / height
			from = image.Rect(b.Min.X+(w-cutW)/2, b.Min.Y, b.Min.X+(w-cutW)/2+cutW, b.Max.Y)
		} else {
			cutH := w * height / width
			top := b.Min.Y
			if fit == fitCrop {
				top += (h - cutH) / 2
			}
			from = image.Rect(b.Min.X, top, b.Max.X, top+cutH)
		}
	case fitStretch:
	case fitBars:
		to = inside.Add(image.Pt((width-inside.Dx())/2, (height-inside.Dy())/2))
	default:
		to, canvas = inside, inside
	}
	out := image.NewRGBA(canvas)
	if fit == fitBars {
		draw.Draw(out, canvas, image.NewUniform(bg), image.Point{}, draw.Src)
	}
	xdraw.ApproxBiLinear.Scale(out, to, src, from, draw.Src, nil)
	return out
}
