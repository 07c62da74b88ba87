package media

import (
	"fmt"
	"strings"

	"isthmus/gateway"
)

// rung is one rendition to be encoded.
type rung struct {
	name          string
	width, height int
	crf, maxKbps  int
}

// maxLongSide is what hardware decoders of H.264 commonly take.
const maxLongSide = 4096

// The rungs by their short side, so that a portrait video and a sphere get sensible ones too.
var ladderSides = []struct{ side, kbps int }{{2160, 16000}, {1080, 5000}, {720, 2800}, {480, 1400}, {360, 800}}

// lowerRungs are those strictly below the source: 1080, 720, 360 for a large one, 480 only where
// 720 is no step down. Each is about half the pixels of the one above or less: more rungs would
// cost encoding time and change nothing that a viewer sees.
func lowerRungs(width, height int, sphere bool) []rung {
	var out []rung
	for _, s := range ladderSides {
		if s.side == 2160 || s.side >= min(width, height) || (s.side == 480 && len(out) > 0) {
			continue
		}
		out = append(out, rungOf(width, height, s.side, s.kbps, sphere))
	}
	return out
}

// topRung is the best encoded form of a source that cannot be repackaged: never above the source, at
// most 1080 for a flat one, 2160 for a sphere, of which a viewer sees only a part.
func topRung(width, height int, sphere bool) rung {
	side := 1080
	if sphere {
		side = 2160
	}
	side = min(side, min(width, height))
	kbps := ladderSides[0].kbps
	for _, s := range ladderSides {
		if s.side >= side {
			kbps = s.kbps
		}
	}
	return rungOf(width, height, side, kbps, sphere)
}

// firstRung is what makes such a source playable soonest.
func firstRung(width, height int, sphere bool) rung {
	top := topRung(width, height, sphere)
	if side := min(top.width, top.height); side > 720 {
		return rungOf(width, height, 720, 2800, sphere)
	}
	return top
}

func rungOf(width, height, side, kbps int, sphere bool) rung {
	w, h := fit(width, height, side)
	if long := max(w, h); long > maxLongSide {
		w, h = even(w*maxLongSide/long), even(h*maxLongSide/long)
	}
	if sphere {
		kbps = kbps * 3 / 2
	}
	return rung{name: fmt.Sprintf("%dp", side), width: w, height: h, crf: 23, maxKbps: kbps}
}

// fit scales to a short side, in even numbers, keeping the aspect.
func fit(width, height, side int) (int, int) {
	if width <= height {
		return even(side), nearestEven(height*side, width)
	}
	return nearestEven(width*side, height), even(side)
}

func even(n int) int { return max(n&^1, 2) }

func nearestEven(a, b int) int { return max(2*((a+b)/(2*b)), 2) }

// shrink scales to a long side without enlarging.
func shrink(width, height, long int) (int, int) {
	if m := max(width, height); m > long {
		return max((width*long+m/2)/m, 1), max((height*long+m/2)/m, 1)
	}
	return width, height
}

// pictureFilters come before scaling: what turns the source into plain frames.
func (l look) pictureFilters() []string {
	var f []string
	if l.interlaced {
		f = append(f, "yadif=deint=interlaced")
	}
	return f
}

// colourFilters come after scaling, where there is less to do: HDR is toned down to what every screen shows.
func (l look) colourFilters() string {
	if l.hdr {
		return "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=tv,format=yuv420p"
	}
	return "format=yuv420p"
}

// graph decodes once and scales in a chain: each rung from the one above it, which costs less than
// each from the source and shows no difference.
func (l look) graph(rungs []rung) string {
	chain := append(l.pictureFilters(), "null")
	s := fmt.Sprintf("[0:%d]%s[s0]", l.video.Index, strings.Join(chain, ","))
	for i, r := range rungs {
		s += fmt.Sprintf(";[s%d]scale=w=%d:h=%d:flags=bicubic,setsar=1", i, r.width, r.height)
		if i == 0 {
			s += "," + l.colourFilters()
		}
		if i < len(rungs)-1 {
			s += fmt.Sprintf(",split=2[v%d][s%d]", i, i+1)
		} else {
			s += fmt.Sprintf("[v%d]", i)
		}
	}
	return s
}

// v360 is the filter that looks out of a sphere straight ahead, as a person would.
func v360(p gateway.Projection, stereo string, width, height int) string {
	in := map[gateway.Projection]string{gateway.Equirectangular: "e", gateway.HalfEquirectangular: "hequirect", gateway.Cubemap: "c3x2"}[p]
	s := fmt.Sprintf("v360=input=%s:output=rectilinear:h_fov=100:v_fov=67.7:w=%d:h=%d", in, width, height)
	switch stereo {
	case "top_bottom":
		s += ":in_stereo=tb:out_stereo=2d"
	case "left_right":
		s += ":in_stereo=sbs:out_stereo=2d"
	}
	return s
}
