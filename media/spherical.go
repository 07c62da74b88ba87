package media

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"isthmus/gateway"
)

// sphere is what metadata says about how a picture wraps around the viewer.
type sphere struct {
	projection gateway.Projection
	stereo     string
	evidence   string
}

// sphereOfMP4 reads sv3d/st3d (version 2) and the XML in a uuid box (version 1).
func sphereOfMP4(f trackFacts) sphere {
	var s sphere
	switch f.projection {
	case "equi":
		s.projection, s.evidence = gateway.Equirectangular, "The video track has a spherical box (sv3d) with equirectangular projection."
		// The bounds are what is cut off, as fractions of 2³²: 180° video lacks a quarter on either side.
		if f.bounds[2] > 1<<29 && f.bounds[3] > 1<<29 {
			s.projection = gateway.HalfEquirectangular
			s.evidence = "The video track has a spherical box (sv3d) with equirectangular projection over half the sphere (180°)."
		}
	case "cbmp":
		s.projection, s.evidence = gateway.Cubemap, "The video track has a spherical box (sv3d) with cube map projection."
	case "mshp":
		s.projection, s.evidence = gateway.HalfEquirectangular, "The video track has a spherical box (sv3d) with a mesh, as 180° cameras write it."
	}
	switch f.stereo {
	case 0:
		s.stereo = "mono"
	case 1:
		s.stereo = "top_bottom"
	case 2:
		s.stereo = "left_right"
	}
	if s.projection != gateway.Flat || f.sphereXML == nil {
		return s
	}
	spherical, projection, stereo := xmlField(f.sphereXML, "Spherical"), xmlField(f.sphereXML, "ProjectionType"), xmlField(f.sphereXML, "StereoMode")
	if !strings.EqualFold(spherical, "true") {
		return s
	}
	s.projection = gateway.Equirectangular
	s.evidence = "The video track has the spherical metadata box of version 1 (Spherical=true, " + oneOf(projection, "equirectangular") + ")."
	if strings.EqualFold(projection, "cubemap") {
		s.projection = gateway.Cubemap
	}
	switch strings.ToLower(stereo) {
	case "top-bottom":
		s.stereo = "top_bottom"
	case "left-right":
		s.stereo = "left_right"
	}
	return s
}

// oneOf keeps text from a file out of our words unless it is what we expect.
func oneOf(s, known string) string {
	if strings.EqualFold(s, known) {
		return known
	}
	return "another projection"
}

// xmlField gives the text of an element or the value of an attribute by its local name. It reads
// tokens, expands nothing, and stops after enough of them.
func xmlField(doc []byte, name string) string {
	d := xml.NewDecoder(bytes.NewReader(doc))
	d.Strict = false
	inside := false
	for range 5000 {
		tok, err := d.RawToken()
		if err != nil {
			return ""
		}
		switch t := tok.(type) {
		case xml.StartElement:
			for _, a := range t.Attr {
				if a.Name.Local == name {
					return strings.TrimSpace(a.Value)
				}
			}
			inside = t.Name.Local == name
		case xml.CharData:
			if inside {
				return strings.TrimSpace(string(t))
			}
		case xml.EndElement:
			inside = false
		}
	}
	return ""
}

// sphereOfSideData takes what ffprobe says, for containers whose boxes we do not read ourselves.
func sphereOfSideData(side []probedSide) sphere {
	var s sphere
	for _, d := range side {
		switch d.Kind {
		case "Spherical Mapping":
			switch {
			case strings.Contains(d.Projection, "tiled equirectangular"):
				s.projection = gateway.HalfEquirectangular
				if d.Left < 1<<29 || d.Right < 1<<29 {
					s.projection = gateway.Equirectangular
				}
			case strings.Contains(d.Projection, "equirectangular"):
				s.projection = gateway.Equirectangular
			case strings.Contains(d.Projection, "cubemap"):
				s.projection = gateway.Cubemap
			default:
				continue
			}
			s.evidence = "The video track carries a projection element that says it is spherical."
		case "Stereo 3D":
			switch {
			case strings.Contains(d.Type, "top and bottom"):
				s.stereo = "top_bottom"
			case strings.Contains(d.Type, "side by side"):
				s.stereo = "left_right"
			case strings.Contains(d.Type, "2D"):
				s.stereo = "mono"
			}
		}
	}
	return s
}

const xmpMark = "http://ns.adobe.com/xap/1.0/\x00"

// sphereOfJPEG looks for GPano in the XMP segments before the picture's data.
func sphereOfJPEG(r io.ReaderAt, size int64) (sphere, error) {
	at := int64(2)
	for range 200 {
		var h [4]byte
		if at+4 > size {
			return sphere{}, nil
		}
		if _, err := r.ReadAt(h[:], at); err != nil {
			return sphere{}, err
		}
		length := int64(binary.BigEndian.Uint16(h[2:]))
		if h[0] != 0xff || h[1] == 0xda || h[1] == 0xd9 || length < 2 || at+2+length > size {
			return sphere{}, nil
		}
		if h[1] == 0xe1 {
			b := make([]byte, length-2)
			if _, err := r.ReadAt(b, at+4); err != nil {
				return sphere{}, err
			}
			if xmp, ok := bytes.CutPrefix(b, []byte(xmpMark)); ok {
				if s := sphereOfXMP(xmp); s.projection != gateway.Flat {
					return s, nil
				}
			}
		}
		at += 2 + length
	}
	return sphere{}, nil
}

// sphereOfPNG looks for the same XMP in an iTXt chunk.
func sphereOfPNG(r io.ReaderAt, size int64) (sphere, error) {
	at := int64(8)
	for range 200 {
		var h [8]byte
		if at+12 > size {
			return sphere{}, nil
		}
		if _, err := r.ReadAt(h[:], at); err != nil {
			return sphere{}, err
		}
		length := int64(binary.BigEndian.Uint32(h[:]))
		if at+12+length > size || string(h[4:]) == "IDAT" {
			return sphere{}, nil
		}
		if string(h[4:]) == "iTXt" && length < 256<<10 {
			b := make([]byte, length)
			if _, err := r.ReadAt(b, at+8); err != nil {
				return sphere{}, err
			}
			if xmp, ok := bytes.CutPrefix(b, []byte("XML:com.adobe.xmp\x00")); ok {
				return sphereOfXMP(xmp), nil
			}
		}
		at += 12 + length
	}
	return sphere{}, nil
}

func sphereOfXMP(xmp []byte) sphere {
	if !bytes.Contains(xmp, []byte("http://ns.google.com/photos/1.0/panorama/")) {
		return sphere{}
	}
	if i := bytes.IndexByte(xmp, '<'); i > 0 { // PNG has a few fixed bytes before the text
		xmp = xmp[i:]
	}
	switch strings.ToLower(xmlField(xmp, "ProjectionType")) {
	case "equirectangular":
		return sphere{projection: gateway.Equirectangular, evidence: "The picture's XMP metadata says GPano:ProjectionType=equirectangular."}
	case "cubemap":
		return sphere{projection: gateway.Cubemap, evidence: "The picture's XMP metadata says GPano:ProjectionType=cubemap."}
	}
	return sphere{}
}

// findSphere looks for spherical metadata in the ways of the format.
func findSphere(f format, r io.ReaderAt, size int64, facts trackFacts, side []probedSide) (sphere, error) {
	switch f.name {
	case "jpeg":
		return sphereOfJPEG(r, size)
	case "png":
		return sphereOfPNG(r, size)
	case "mp4", "mov":
		return sphereOfMP4(facts), nil
	case "mkv", "webm":
		return sphereOfSideData(side), nil
	}
	return sphere{}, nil
}

// suggests360 is the hint of a 2:1 picture large enough to be a sphere. Only a hint: banners exist.
func suggests360(width, height int) bool {
	return height > 0 && width == 2*height && width >= 1920
}

func unreadable(cause error) error {
	return gateway.E(gateway.Invalid, "unreadable", "The file is damaged: its structure cannot be read.").
		Next("Play it on your computer; if it does not play there either, export it again.").Because(errors.Join(cause))
}
