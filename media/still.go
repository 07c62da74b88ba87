package media

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"isthmus/gateway"
)

// picture is one JPEG to be made.
type picture struct {
	name          string
	width, height int
	ahead         bool // a view out of the sphere instead of all of it
}

// The views of a sphere that serve as poster and thumbnail.
var views = []picture{{"thumb-1280.jpg", 1280, 720, true}, {"thumb-320.jpg", 320, 180, true}}

// pictures makes JPEGs of one frame, decoding once.
func (p *Pipeline) pictures(ctx context.Context, w *workspace, l look, at time.Duration, list []picture) error {
	args := slices.Clone(common)
	if at > 0 {
		args = append(args, "-ss", strconv.FormatFloat(at.Seconds(), 'f', 3, 64))
	}
	args = append(append(args, l.format.inputArgs()...), "-i", inName)

	// The chain before the split gives upright frames with square pixels and no transparency.
	source := fmt.Sprintf("[0:%d]", l.video.Index)
	chain := append(l.pictureFilters(), "trim=end_frame=1", "setpts=0")
	if l.alpha {
		big := list[0]
		for _, pic := range list {
			if pic.width*pic.height > big.width*big.height {
				big = pic
			}
		}
		// Transparent parts become white, as on the page they come from.
		width, height := big.width, big.height
		if big.ahead {
			width, height = shrink(l.Width, l.Height, maxLongSide)
		}
		chain = append(chain, fmt.Sprintf("scale=%d:%d", width, height), "format=rgba")
		source = fmt.Sprintf("%s%s[fg];color=white:s=%dx%d:r=1:d=1[bg];[bg][fg]overlay=shortest=1:format=auto", source, strings.Join(chain, ","), width, height)
		chain = nil
	}
	if len(chain) > 0 {
		source += strings.Join(chain, ",")
	}
	graph := fmt.Sprintf("%s,split=%d", source, len(list))
	for i := range list {
		graph += fmt.Sprintf("[p%d]", i)
	}
	for i, pic := range list {
		f := fmt.Sprintf("scale=%d:%d:flags=lanczos", pic.width, pic.height)
		if pic.ahead && l.Is360() {
			f = v360(l.Projection, l.Stereo, pic.width, pic.height)
		}
		colour := "format=yuvj420p"
		if l.hdr {
			colour = l.colourFilters() + ",format=yuvj420p"
		}
		graph += fmt.Sprintf(";[p%d]%s,%s,setsar=1[o%d]", i, f, colour, i)
	}
	args = append(args, "-filter_complex", graph)
	for i, pic := range list {
		args = append(args, "-map", fmt.Sprintf("[o%d]", i), "-map_metadata", "-1", "-frames:v", "1", "-c:v", "mjpeg", "-q:v", "3",
			"-f", "image2", "-update", "1", outName+"/"+pic.name)
	}
	return p.run(ctx, w, job{args: args, nice: 2, timeout: 2*time.Minute + copyTime(w.size)/4, quiet: time.Minute, memory: l.memory() + 1<<30, output: 256 << 20})
}

// videoThumbnails take a frame some way in, where titles and black are mostly over. That it can be
// decoded at all is the test that a repackaged stream is worth publishing.
func (p *Pipeline) videoThumbnails(ctx context.Context, w *workspace, l look) ([]gateway.Thumbnail, error) {
	list := views
	if !l.Is360() {
		list = nil
		for _, long := range []int{1280, 320} {
			width, height := shrink(l.Width, l.Height, long)
			list = append(list, picture{name: fmt.Sprintf("thumb-%d.jpg", long), width: width, height: height})
		}
	}
	at := min(l.duration()/10, 30*time.Second)
	err := p.pictures(ctx, w, l, at, list)
	if err == nil {
		var out []gateway.Thumbnail
		if out, err = w.thumbnails(list); err == nil {
			return out, nil
		}
	} else if gateway.CodeOf(err) != gateway.Invalid {
		return nil, err
	}
	if err := p.pictures(ctx, w, l, 0, list); err != nil { // some files have nothing there but their first frames
		return nil, err
	}
	return w.thumbnails(list)
}

// thumbnails checks that the pictures exist: with no frame to write, ffmpeg ends well and writes none.
func (w *workspace) thumbnails(list []picture) ([]gateway.Thumbnail, error) {
	var out []gateway.Thumbnail
	for _, pic := range list {
		if st, err := w.disk.root.Stat(w.path(outName) + "/" + pic.name); err != nil || st.Size() == 0 {
			return nil, gateway.E(gateway.Invalid, "undecodable", "No picture in the file could be decoded.").
				Next("Play it on your computer; if it does not play there either, export it again.").Because(err)
		}
		out = append(out, gateway.Thumbnail{Key: pic.name, Width: pic.width, Height: pic.height})
	}
	return out, nil
}

// packageImage scales: a flat picture to what pages need, a sphere to what phones and desktops can hold.
func (p *Pipeline) packageImage(ctx context.Context, w *workspace, l look) (gateway.Package, error) {
	longs := []int{2048, 1024, 320}
	if l.Is360() {
		longs = []int{8192, 4096}
	}
	var list []picture
	for i, long := range longs {
		if i+1 < len(longs) && max(l.Width, l.Height) <= longs[i+1] {
			continue // the next size already holds all of it
		}
		width, height := shrink(l.Width, l.Height, long)
		list = append(list, picture{name: fmt.Sprintf("image-%d.jpg", long), width: width, height: height})
	}
	full := len(list)
	if l.Is360() {
		list = append(list, views...)
	}
	if err := p.pictures(ctx, w, l, 0, list); err != nil {
		return gateway.Package{}, err
	}
	made, err := w.thumbnails(list)
	if err != nil {
		return gateway.Package{}, err
	}
	var pkg gateway.Package
	pkg.Image = made[0].Key
	pkg.Thumbnails = made[full:]
	if !l.Is360() {
		pkg.Thumbnails = made[max(0, full-2):]
	} else {
		pkg.Image = made[full-1].Key // 4096: more blurs or fails on phones, who wants it takes the rendition
	}
	for _, t := range made[:full] {
		r := gateway.PackagedRendition{Name: strconv.Itoa(max(t.Width, t.Height)), Key: t.Key, Width: t.Width, Height: t.Height, Codecs: "jpeg"}
		st, err := w.disk.root.Stat(w.path(outName) + "/" + t.Key)
		if err != nil {
			return gateway.Package{}, err
		}
		r.Size = st.Size()
		pkg.Renditions = append(pkg.Renditions, r)
	}
	return pkg, nil
}
