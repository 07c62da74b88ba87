package gateway

import (
	"bytes"
	"fmt"
	"regexp"
)

// What makes an entry look spherical. Kaltura knows the tag only, so that is all there is to go by.
var (
	// hint360 finds 360 as a word of its own: not 360p, 1360 or 3600.
	hint360 = regexp.MustCompile(`(?i)(^|[^0-9a-z])(360(°| ?deg(ree)?s?| ?grad)?|vr ?(180|360)?|equirect(angular)?|spherical|photo ?sphere|insta ?360|theta|gopro ?max)([^0-9a-z]|$)`)
	markers = []struct{ mark, text string }{
		{"GPano:ProjectionType", "The picture's metadata name a panorama projection."},
		{"GSpherical:Spherical", "The video's metadata say that it is spherical."},
		{"Spherical-Video", "The video's metadata say that it is spherical."},
		{"sv3d", "The video holds a box that describes a spherical projection."},
		{"equirectangular", "The file's metadata name the equirectangular projection."},
	}
)

// sphericalHead is how much of a file's beginning is read for its metadata, in bytes.
const sphericalHead = 128 << 10

// signs gives the evidence that an entry is spherical, the strongest first, and whether there is
// enough of it to be likely. head is the beginning of the original, or nil when it was not read.
func signs(m Media, head []byte) (evidence []string, likely bool) {
	for _, s := range markers {
		if bytes.Contains(head, []byte(s.mark)) {
			evidence, likely = append(evidence, s.text), true
			break
		}
	}
	shape := m.Width >= 1024 && m.Width == 2*m.Height
	if shape {
		evidence = append(evidence, fmt.Sprintf("The picture is exactly twice as wide as high (%d × %d).", m.Width, m.Height))
	}
	hint := ""
	for _, t := range append([]string{m.Name}, m.Tags...) {
		if f := hint360.FindStringSubmatch(t); f != nil {
			hint = f[2]
			break
		}
	}
	if hint != "" {
		evidence = append(evidence, "Its name or tags say “"+hint+"”.")
	}
	return evidence, likely || shape && hint != ""
}
