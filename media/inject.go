package media

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"isthmus/gateway"
)

// Spherical is what InjectSpherical writes.
type Spherical struct {
	Projection gateway.Projection
	Stereo     string // "", "mono", "top_bottom", "left_right"
	Version1   bool   // the XML in a uuid box instead of sv3d
}

// InjectSpherical copies the MP4 at in to out with spherical metadata in its video track.
func InjectSpherical(in, out string, s Spherical) error {
	r, err := os.Open(in)
	if err != nil {
		return err
	}
	defer r.Close()
	st, err := r.Stat()
	if err != nil {
		return err
	}
	w, err := os.Create(out)
	if err != nil {
		return err
	}
	return errors.Join(injectSpherical(r, st.Size(), w, s), w.Close())
}

// markSpherical does the same to a rendition in the output folder, so that a downloaded one is still a sphere.
func (w *workspace) markSpherical(name string, l look) error {
	from, to := w.path(outName)+"/"+name, w.path(outName)+"/marked.mp4"
	r, err := w.disk.root.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	st, err := r.Stat()
	if err != nil {
		return err
	}
	o, err := w.disk.root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = errors.Join(injectSpherical(r, st.Size(), o, Spherical{Projection: l.Projection, Stereo: l.Stereo}), o.Close())
	if err != nil {
		return err
	}
	return w.disk.root.Rename(to, from)
}

const maxMoov = 256 << 20

func injectSpherical(r io.ReaderAt, size int64, w io.Writer, s Spherical) error {
	budget := boxesAtMost
	var moov, data box
	if err := walkBoxes(r, 0, size, true, &budget, func(b box) error {
		switch {
		case b.kind == "moov":
			moov = b
		case b.kind == "mdat" && data.kind == "":
			data = b
		}
		return nil
	}); err != nil {
		return err
	}
	if moov.kind == "" || moov.size > maxMoov {
		return errors.New("no index in the file")
	}
	content := make([]byte, moov.size)
	if _, err := r.ReadAt(content, moov.at); err != nil {
		return err
	}
	p := patch{s: s}
	if p.boxes(content, true) == nil {
		return errors.New("no video track in the file")
	}
	if moov.at < data.at {
		p.shift = int64(p.added) // the media moves back by what the index grows
	}
	patched := p.boxes(content, true)
	start := moov.at - 8
	for _, part := range []io.Reader{
		io.NewSectionReader(r, 0, start), bytes.NewReader(appendBox(nil, "moov", patched)),
		io.NewSectionReader(r, moov.at+moov.size, size-moov.at-moov.size),
	} {
		if _, err := io.Copy(w, part); err != nil {
			return err
		}
	}
	return nil
}

// patch rebuilds an index with something added to its first video track.
type patch struct {
	s     Spherical
	shift int64
	added int
	done  bool
}

// boxes rebuilds a row of boxes; nil when nothing was found to add to (at the top only).
func (p *patch) boxes(b []byte, top bool) []byte {
	if top {
		p.added, p.done = 0, false
	}
	var out []byte
	for len(b) >= 8 {
		n := int(binary.BigEndian.Uint32(b))
		if n < 8 || n > len(b) {
			break
		}
		kind, content := string(b[4:8]), b[8:n]
		b = b[n:]
		skip := -1
		switch {
		case slices.Contains([]string{"trak", "mdia", "minf", "stbl"}, kind):
			skip = 0
		case kind == "stsd":
			skip = 8
		}
		switch {
		case skip >= 0 && len(content) >= skip:
			var extra []byte
			before := p.done
			inner := p.boxes(content[skip:], false)
			if kind == "trak" && p.done && !before && p.s.Version1 {
				extra = p.s.uuid()
				p.added += len(extra)
			}
			content = slices.Concat(content[:skip], inner, extra)
		case slices.Contains(videoSampleEntries, kind) && !p.done:
			p.done = true
			if !p.s.Version1 {
				extra := p.s.boxes()
				p.added += len(extra)
				content = slices.Concat(content, extra)
			}
		case kind == "stco" && len(content) >= 8:
			content = slices.Clone(content)
			for at := 8; at+4 <= len(content); at += 4 {
				binary.BigEndian.PutUint32(content[at:], uint32(int64(binary.BigEndian.Uint32(content[at:]))+p.shift))
			}
		case kind == "co64" && len(content) >= 8:
			content = slices.Clone(content)
			for at := 8; at+8 <= len(content); at += 8 {
				binary.BigEndian.PutUint64(content[at:], uint64(int64(binary.BigEndian.Uint64(content[at:]))+p.shift))
			}
		}
		out = appendBox(out, kind, content)
	}
	if top && !p.done {
		return nil
	}
	return append(out, b...)
}

func appendBox(b []byte, kind string, content ...[]byte) []byte {
	all := slices.Concat(content...)
	b = binary.BigEndian.AppendUint32(b, uint32(8+len(all)))
	return append(append(b, kind...), all...)
}

// boxes are st3d and sv3d as Google's spherical video RFC version 2 lays them out.
func (s Spherical) boxes() []byte {
	mode := map[string]byte{"top_bottom": 1, "left_right": 2}[s.Stereo]
	out := appendBox(nil, "st3d", []byte{0, 0, 0, 0, mode})
	head := appendBox(nil, "prhd", make([]byte, 16)) // version and flags, yaw, pitch, roll
	var proj []byte
	switch s.Projection {
	case gateway.Cubemap:
		proj = appendBox(nil, "cbmp", make([]byte, 12))
	case gateway.HalfEquirectangular:
		b := make([]byte, 12) // version and flags, top, bottom
		b = binary.BigEndian.AppendUint32(b, 1<<30)
		proj = appendBox(nil, "equi", binary.BigEndian.AppendUint32(b, 1<<30))
	default:
		proj = appendBox(nil, "equi", make([]byte, 20))
	}
	return appendBox(out, "sv3d", appendBox(nil, "svhd", []byte{0, 0, 0, 0}, []byte("isthmus\x00")), appendBox(nil, "proj", head, proj))
}

func (s Spherical) uuid() []byte {
	stereo := map[string]string{"top_bottom": "top-bottom", "left_right": "left-right"}[s.Stereo]
	if stereo == "" {
		stereo = "mono"
	}
	text := fmt.Sprintf(`<?xml version="1.0"?><rdf:SphericalVideo xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" `+
		`xmlns:GSpherical="http://ns.google.com/videos/1.0/spherical/"><GSpherical:Spherical>true</GSpherical:Spherical>`+
		`<GSpherical:Stitched>true</GSpherical:Stitched><GSpherical:StitchingSoftware>isthmus</GSpherical:StitchingSoftware>`+
		`<GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType><GSpherical:StereoMode>%s</GSpherical:StereoMode></rdf:SphericalVideo>`, stereo)
	return appendBox(nil, "uuid", sphericalUUID[:], []byte(text))
}

// InjectGPano copies the JPEG at in to out with XMP that says it is a full equirectangular panorama.
func InjectGPano(in, out string, width, height int) error {
	b, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(b, []byte("\xff\xd8")) {
		return errors.New("not a JPEG")
	}
	xmp := fmt.Sprintf(xmpMark+`<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">`+
		`<rdf:Description rdf:about="" xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" GPano:ProjectionType="equirectangular" `+
		`GPano:UsePanoramaViewer="True" GPano:FullPanoWidthPixels="%d" GPano:FullPanoHeightPixels="%d" GPano:CroppedAreaImageWidthPixels="%d" `+
		`GPano:CroppedAreaImageHeightPixels="%d" GPano:CroppedAreaLeftPixels="0" GPano:CroppedAreaTopPixels="0"/></rdf:RDF></x:xmpmeta>`,
		width, height, width, height)
	seg := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(xmp)+2))
	return os.WriteFile(out, slices.Concat(b[:2], seg, []byte(xmp), b[2:]), 0o644)
}
