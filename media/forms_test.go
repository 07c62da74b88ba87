package media_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/media"
	"isthmus/media/mediatest"
)

// full runs the whole pipeline over a file.
func (h *house) full(file, dir string) (gateway.Inspection, gateway.Package, gateway.Package) {
	h.t.Helper()
	src := h.storeFile(dir+"/original", file)
	in, err := h.pipeline.Inspect(context.Background(), src, file)
	must(h.t, err)
	first, err := h.pipeline.Package(context.Background(), src, in, dir+"/a1", nil)
	must(h.t, err)
	all, err := h.pipeline.Ladder(context.Background(), src, in, first, dir+"/a1", nil)
	must(h.t, err)
	return in, first, all
}

func names(p gateway.Package) string {
	var s []string
	for _, r := range p.Renditions {
		s = append(s, fmt.Sprintf("%s %dx%d", r.Name, r.Width, r.Height))
	}
	return strings.Join(s, ", ")
}

func TestSphereKeepsItsShape(t *testing.T) {
	t.Parallel()
	h := pipe(t)
	file := filepath.Join(t.TempDir(), "sphere.mp4")
	must(t, mediatest.Sphere(t.Context(), file, 2, 1280))
	in, first, all := h.full(file, "a")
	if !in.Is360() || !in.CopyVideo || names(all) != "source 1280x640, 480p 960x480, 360p 720x360" {
		t.Fatalf("%+v\n%s", in, names(all))
	}
	h.plays(all.DASH, 3, 60)
	// A downloaded rendition is still a sphere.
	for _, r := range all.Renditions[1:] {
		again, err := h.pipeline.Inspect(t.Context(), gateway.Source{Blob: r.Key}, "x")
		if err != nil || again.Projection != gateway.Equirectangular || again.Stereo != "mono" {
			t.Errorf("%s: %+v %v", r.Name, again, err)
		}
	}
	h.pictureOf(first.Thumbnails[0].Key, 1280, 720)
	// The poster looks ahead out of the sphere: the pattern's front face fills it, in straight lines. That
	// face is the middle of the sphere's front, so the poster must resemble it and not the whole stretched sphere.
	ahead := h.reference(file, "v360=input=e:output=rectilinear:h_fov=100:v_fov=67.7:w=1280:h=720", 0.2)
	squeezed := h.reference(file, "scale=1280:720", 0.2)
	poster := decodePicture(t, h.path(first.Thumbnails[0].Key))
	if a, s := difference(poster, ahead), difference(poster, squeezed); a > 8 || s < 3*a {
		t.Errorf("differs by %.1f from the view ahead, by %.1f from the squeezed sphere", a, s)
	}
}

func (h *house) reference(file, filter string, at float64) image.Image {
	h.t.Helper()
	out := filepath.Join(h.t.TempDir(), "ref.jpg")
	must(h.t, mediatest.FFmpeg(context.Background(), "-ss", fmt.Sprint(at), "-i", file, "-vf", filter, "-frames:v", "1", "-q:v", "2", "-update", "1", out))
	return decodePicture(h.t, out)
}

func decodePicture(t testing.TB, file string) image.Image {
	t.Helper()
	f, err := os.Open(file)
	must(t, err)
	defer f.Close() //nolint:errcheck // read only
	img, _, err := image.Decode(f)
	must(t, err)
	return img
}

// difference is the mean difference of brightness, 0 to 255.
func difference(a, b image.Image) float64 {
	sum, n := 0.0, 0
	for y := 0; y < a.Bounds().Dy(); y += 4 {
		for x := 0; x < a.Bounds().Dx(); x += 4 {
			sum += abs(bright(a, x, y) - bright(b, x, y))
			n++
		}
	}
	return sum / float64(n)
}

func bright(i image.Image, x, y int) float64 {
	r, g, b, _ := i.At(x, y).RGBA()
	return float64(r+g+b) / 3 / 257
}

func abs(v float64) float64 { return max(v, -v) }

func TestOddForms(t *testing.T) {
	t.Parallel()
	h := pipe(t)
	dir := t.TempDir()
	ctx := t.Context()
	name := func(s string) string { return filepath.Join(dir, s) }
	clip := name("clip.mp4")
	must(t, mediatest.Clip{Seconds: 4, Width: 640, Height: 480, Rate: 15}.Make(ctx, clip))
	variable := "select='not(mod(n\\,7))+not(mod(n\\,3))'" // an uneven third of the frames
	for i, c := range []struct {
		name    string
		args    []string
		size    string // as shown
		ladder  string
		frames  int
		encoded bool
	}{
		{"copied", []string{"-i", clip, "-c", "copy"}, "640x480", "source 640x480, 360p 480x360", 60, false},
		{"silent", []string{"-i", clip, "-an", "-c:v", "copy"}, "640x480", "source 640x480, 360p 480x360", 60, false},
		{"rotated", []string{"-i", clip, "-c", "copy", "-metadata:s:v", "rotate=90"}, "480x640", "480p 480x640, 360p 360x480", 60, true},
		{"odd", []string{"-i", clip, "-vf", "format=yuv444p,crop=501:375", "-c:v", "libx264", "-c:a", "copy"}, "501x375", "375p 502x374, 360p 484x360", 60, true},
		{"odd, copied", []string{"-i", clip, "-vf", "scale=502:402,setsar=1", "-pix_fmt", "yuv420p", "-c:a", "copy"}, "502x402", "source 502x402, 360p 450x360", 60, false},
		{"uneven frames", []string{"-i", clip, "-vf", variable, "-vsync", "vfr", "-c:a", "copy"}, "640x480", "source 640x480, 360p 480x360", 26, false},
		{"uneven frames, encoded", []string{"-i", clip, "-vf", variable, "-vsync", "vfr", "-c:v", "libx265", "-preset", "ultrafast", "-c:a", "copy"}, "640x480", "480p 640x480, 360p 480x360", 26, true},
		{"wide pixels", []string{"-i", clip, "-vf", "setsar=4/3", "-c:a", "copy"}, "853x480", "source 853x480, 360p 640x360", 60, false},
		{"interlaced", []string{"-i", clip, "-vf", "interlace", "-flags", "+ilme+ildct", "-c:a", "copy"}, "640x480", "480p 640x480, 360p 480x360", 30, true},
		{"ten bits", []string{"-i", clip, "-pix_fmt", "yuv420p10le", "-c:a", "copy"}, "640x480", "480p 640x480, 360p 480x360", 60, true},
		{"late sound", []string{"-i", clip, "-itsoffset", "1.5", "-i", clip, "-map", "0:v", "-map", "1:a", "-c", "copy"}, "640x480", "source 640x480, 360p 480x360", 60, false},
		{"one keyframe", []string{"-i", clip, "-c:v", "libx264", "-g", "9999", "-sc_threshold", "0", "-c:a", "copy"}, "640x480", "source 640x480, 360p 480x360", 60, false},
		{"small", []string{"-i", clip, "-vf", "scale=160:120", "-c:a", "copy"}, "160x120", "source 160x120", 60, false},
		{"sound of another kind", []string{"-i", clip, "-c:v", "copy", "-c:a", "libmp3lame"}, "640x480", "source 640x480, 360p 480x360", 60, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := name(fmt.Sprintf("%d.mp4", i))
			must(t, mediatest.FFmpeg(ctx, append(c.args, file)...))
			in, first, all := h.full(file, fmt.Sprintf("f/%d", i))
			if got := fmt.Sprintf("%dx%d", in.Width, in.Height); got != c.size || in.CopyVideo == c.encoded || names(all) != c.ladder {
				t.Errorf("%s %s, copy %v", got, names(all), in.CopyVideo)
			}
			h.plays(first.DASH, 1, c.frames)
			h.plays(all.DASH, len(all.Renditions), c.frames)
			h.plays(all.HLS, len(all.Renditions), c.frames)
			for _, r := range all.Renditions {
				h.plays(r.Key, 1, c.frames)
				if r.Size == 0 || r.Bitrate == 0 || !strings.HasPrefix(r.Codecs, "avc1.") || strings.Contains(r.Codecs, "mp4a.40.2") != (in.AudioCodec != "") {
					t.Errorf("%+v", r)
				}
			}
			drift(t, h.path(all.DASH), file)
		})
	}
	h.nothingLeft()
}

// drift compares how far sound and picture are apart in a manifest and in its source.
func drift(t *testing.T, made, source string) {
	t.Helper()
	gap := func(file string) (float64, bool) {
		out, err := exec.Command("ffprobe", "-v", "error", "-show_entries", "stream=codec_type,start_time", "-of", "csv=p=0", file).Output()
		must(t, err)
		at := map[string]float64{} // of the first stream of each kind
		for line := range strings.Lines(string(out)) {
			kind, start, ok := strings.Cut(strings.TrimSpace(line), ",")
			if _, known := at[kind]; known || !ok {
				continue
			}
			if at[kind], err = strconv.ParseFloat(strings.TrimSuffix(start, ","), 64); err != nil {
				t.Fatal(line, err)
			}
		}
		v, picture := at["video"]
		a, sound := at["audio"]
		return v - a, picture && sound
	}
	want, sound := gap(source)
	if got, _ := gap(made); sound && abs(got-want) > 0.04 {
		t.Errorf("sound and picture drifted apart: %.3f s, in the source %.3f s", got, want)
	}
}

func TestPictures(t *testing.T) {
	t.Parallel()
	h := pipe(t)
	dir := t.TempDir()
	ctx := t.Context()
	photo, turned, pano := filepath.Join(dir, "p.jpg"), filepath.Join(dir, "t.jpg"), filepath.Join(dir, "s.jpg")
	must(t, mediatest.Photo(ctx, photo, 3000, 2000))
	b, err := os.ReadFile(photo)
	must(t, err)
	must(t, os.WriteFile(turned, withOrientation(b, 6), 0o600))
	must(t, mediatest.Photo360(ctx, pano, 5000))
	clear := filepath.Join(dir, "clear.png")
	must(t, mediatest.FFmpeg(ctx, "-f", "lavfi", "-i", "color=black@0.0:size=400x300,format=rgba", "-frames:v", "1", "-update", "1", clear))

	pack := func(file string) (gateway.Inspection, gateway.Package) {
		key := "i/" + gateway.NewID("x")
		src := h.storeFile(key+"/o", file)
		in, err := h.pipeline.Inspect(ctx, src, file)
		must(t, err)
		pkg, err := h.pipeline.Package(ctx, src, in, key, nil)
		must(t, err)
		return in, pkg
	}
	in, pkg := pack(photo)
	if in.Type != gateway.Image || in.Width != 3000 || names(pkg) != "2048 2048x1365, 1024 1024x683, 320 320x213" {
		t.Errorf("%+v %s", in, names(pkg))
	}
	h.pictureOf(pkg.Image, 2048, 1365)
	h.pictureOf(pkg.Thumbnails[len(pkg.Thumbnails)-1].Key, 320, 213)

	in, pkg = pack(turned)
	if in.Width != 2000 || in.Height != 3000 {
		t.Errorf("a turned photo is %dx%d", in.Width, in.Height)
	}
	h.pictureOf(pkg.Image, 1365, 2048)

	in, pkg = pack(pano)
	if !in.Is360() || names(pkg) != "5000 5000x2500, 4096 4096x2048" {
		t.Errorf("%+v %s", in, names(pkg))
	}
	h.pictureOf(pkg.Image, 4096, 2048)
	h.pictureOf(pkg.Thumbnails[0].Key, 1280, 720)

	_, pkg = pack(clear)
	if v := bright(decodePicture(t, h.path(pkg.Image)), 50, 50); v < 250 {
		t.Errorf("transparency became %.0f, not white", v)
	}
	h.nothingLeft()
}

// withOrientation puts an EXIF block with nothing but an orientation into a JPEG.
func withOrientation(jpeg []byte, o uint16) []byte {
	exif := []byte("Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00")
	exif = binary.LittleEndian.AppendUint16(exif, o)
	exif = append(exif, 0, 0, 0, 0, 0, 0)
	seg := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(exif)+2))
	return slices.Concat(jpeg[:2], seg, exif, jpeg[2:])
}

func TestTheSameAtOnce(t *testing.T) {
	t.Parallel()
	h := pipe(t)
	file := filepath.Join(t.TempDir(), "c.mp4")
	must(t, mediatest.Clip{Seconds: 2, Width: 320, Height: 180}.Make(t.Context(), file))
	src := h.storeFile("a/original", file)
	in, err := h.pipeline.Inspect(t.Context(), src, "c.mp4")
	must(t, err)
	var wg sync.WaitGroup
	made := make([]gateway.Package, 4)
	for i := range made {
		wg.Go(func() {
			pkg, err := h.pipeline.Package(t.Context(), src, in, "a/same", nil)
			if err != nil {
				t.Error(err)
			}
			made[i] = pkg
		})
	}
	wg.Wait()
	for _, m := range made {
		if fmt.Sprint(m) != fmt.Sprint(made[0]) {
			t.Errorf("%+v\n%+v", m, made[0])
		}
	}
	h.plays(made[0].DASH, 1, 60)
	h.nothingLeft()
}

func TestCancelAndTroubleLeaveNothing(t *testing.T) {
	t.Parallel()
	h := pipe(t)
	file := filepath.Join(t.TempDir(), "c.mp4")
	must(t, mediatest.Clip{Seconds: 20, Width: 1280, Height: 720}.Make(t.Context(), file))
	src := h.storeFile("a/original", file)
	in, err := h.pipeline.Inspect(t.Context(), src, "c.mp4")
	must(t, err)
	first, err := h.pipeline.Package(t.Context(), src, in, "a/1", nil)
	must(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	_, err = h.pipeline.Ladder(ctx, src, in, first, "a/1", func(v float64) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Error("cancelled:", err)
	}
	if _, err := h.blobs.Stat(t.Context(), "a/1/ladder/manifest.mpd"); gateway.CodeOf(err) != gateway.NotFound {
		t.Error("something was published:", err)
	}
	h.nothingLeft()

	for _, c := range []struct {
		script, reason string
		code           gateway.Code
	}{
		{"sleep", "processing_stalled", gateway.Unavailable},
		{"crash", "undecodable", gateway.Invalid},
		{"fail", "undecodable", gateway.Invalid},
		{"full", "disk_full", gateway.Unavailable},
		{"link", "", gateway.Internal},
	} {
		t.Run(c.script, func(t *testing.T) {
			exe := hostile(t)
			if c.script == "sleep" {
				media.SetStall(h.pipeline, 5*time.Second) // long enough for the probe before it
			} else {
				media.SetStall(h.pipeline, time.Minute)
			}
			h.pipeline.SetTools(filepath.Join(filepath.Dir(exe), "as-"+c.script))
			must(t, os.Rename(exe, filepath.Join(filepath.Dir(exe), "as-"+c.script)))
			_, err := h.pipeline.Package(t.Context(), src, in, "a/"+c.script, nil)
			if e := gateway.AsError(err); err == nil || e.Code != c.code || c.reason != "" && e.Reason != c.reason {
				t.Error(err)
			}
			if _, err := os.Stat(h.path("a/" + c.script)); !errors.Is(err, os.ErrNotExist) {
				t.Error("something was published")
			}
			h.nothingLeft()
		})
	}
}
