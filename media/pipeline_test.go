package media_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"

	"isthmus/gateway"
	"isthmus/media/mediatest"
)

func TestFlatVideoIsRepackagedThenGetsALadder(t *testing.T) {
	t.Parallel()
	h := pipe(t)
	file := filepath.Join(t.TempDir(), "clip.mp4")
	if err := (mediatest.Clip{Seconds: 10, Rate: 10}).Make(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	src := h.storeFile("assets/ast_1/original", file)
	in, err := h.pipeline.Inspect(t.Context(), src, "clip.mp4")
	if err != nil {
		t.Fatal(err)
	}
	if in.Type != gateway.Video || !in.CopyVideo || !in.CopyAudio || in.Width != 1280 || in.Height != 720 || in.Is360() || in.Suggest360 ||
		in.Container != "mp4" || in.FrameRate != 10 || in.DurationMS < 9900 || in.DurationMS > 10100 {
		t.Fatalf("%+v", in)
	}
	var seen []float64
	first, err := h.pipeline.Package(t.Context(), src, in, "assets/ast_1/a1/", func(v float64) { seen = append(seen, v) })
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Renditions) != 1 || first.Renditions[0].Key != src.Blob || first.Renditions[0].Codecs != "avc1.64001f,mp4a.40.2" {
		t.Fatalf("%+v", first)
	}
	h.plays(first.DASH, 1, 100)
	h.plays(first.HLS, 1, 100)
	h.pictureOf(first.Thumbnails[0].Key, 1280, 720)
	full, err := h.pipeline.Ladder(t.Context(), src, in, first, "assets/ast_1/a1", func(v float64) { seen = append(seen, v) })
	if err != nil {
		t.Fatal(err)
	}
	if len(full.Renditions) != 3 || full.Renditions[1].Name != "480p" || full.Renditions[2].Name != "360p" || full.Dir == first.Dir {
		t.Fatalf("%+v", full)
	}
	h.plays(full.DASH, 3, 100)
	h.plays(full.HLS, 3, 100)
	for _, r := range full.Renditions {
		h.plays(r.Key, 1, 100)
	}
	h.aligned(full.DASH)
	for _, key := range []string{full.Thumbnails[0].Key, full.Thumbnails[1].Key} {
		if !strings.HasPrefix(key, full.Dir+"/") {
			t.Errorf("thumbnail %s would go with the old generation", key)
		}
	}
	for _, v := range seen {
		if v < 0 || v > 1 {
			t.Errorf("progress %v", v)
		}
	}
	if len(seen) == 0 {
		t.Error("no progress was told")
	}
	h.nothingLeft()

	again, err := h.pipeline.Ladder(t.Context(), src, in, first, "assets/ast_1/a1", nil)
	if err != nil || again.DASH != full.DASH || len(again.Renditions) != 3 {
		t.Fatal("the second run", again, err)
	}
}

// plays decodes what is at key with plain ffmpeg, which is not in the sandbox, and counts. One stream
// at a time: ffprobe's DASH reader stops all of them with the first that ends. The last look, for a stream
// too many, decodes nothing; where only one is due, it is the first.
func (h *house) plays(key string, videos, frames int) {
	h.t.Helper()
	for i := range videos + 1 {
		which := "v:" + strconv.Itoa(i)
		if videos == 1 {
			which = "v"
		}
		out, err := exec.Command("ffprobe", "-v", "error", "-count_frames", "-select_streams", which, "-show_entries",
			"stream=nb_read_frames,codec_name,pix_fmt", "-print_format", "json", h.path(key)).CombinedOutput()
		var pr struct {
			Streams []struct {
				Codec  string `json:"codec_name"`
				PixFmt string `json:"pix_fmt"`
				Frames string `json:"nb_read_frames"`
			} `json:"streams"`
		}
		if err != nil || json.Unmarshal(out, &pr) != nil {
			h.t.Fatalf("%s: %v: %s", key, err, out)
		}
		if i == videos {
			if len(pr.Streams) > 0 {
				h.t.Errorf("%s: more than %d video streams", key, videos)
			}
			return
		}
		if len(pr.Streams) != 1 {
			h.t.Fatalf("%s: not just one video stream %s: %s", key, which, out)
		}
		s := pr.Streams[0]
		if read, err := strconv.Atoi(s.Frames); err != nil || read < frames-1 || read > frames+1 || s.Codec != "h264" || s.PixFmt != "yuv420p" {
			h.t.Errorf("%s: stream %d: %+v, want %d frames", key, i, s, frames)
		}
		if videos == 1 {
			return
		}
	}
}

// aligned checks that all video segments of the same number begin at the same time.
func (h *house) aligned(manifest string) {
	h.t.Helper()
	dir := filepath.Dir(h.path(manifest))
	starts := map[int][]float64{}
	for rep := range 3 {
		init, err := mp4.ReadMP4File(filepath.Join(dir, "init-"+string(rune('0'+rep))+".mp4"))
		if err != nil {
			h.t.Fatal(err)
		}
		scale := float64(init.Moov.Trak.Mdia.Mdhd.Timescale)
		for seg := 1; ; seg++ {
			name := filepath.Join(dir, "seg-"+string(rune('0'+rep))+"-"+string(rune('0'+seg))+".m4s")
			if _, err := os.Stat(name); err != nil {
				break
			}
			f, err := mp4.ReadMP4File(name)
			if err != nil {
				h.t.Fatal(err)
			}
			moof := f.Segments[0].Fragments[0].Moof
			starts[seg] = append(starts[seg], float64(moof.Traf.Tfdt.BaseMediaDecodeTime())/scale)
		}
	}
	if len(starts) < 2 {
		h.t.Fatalf("segments: %v", starts)
	}
	for seg, at := range starts {
		if len(at) != 3 || at[0]-at[1] > 0.04 || at[1]-at[0] > 0.04 || at[1] != at[2] {
			h.t.Errorf("segment %d begins at %v", seg, at)
		}
	}
}

func (h *house) pictureOf(key string, width, height int) {
	h.t.Helper()
	out, err := exec.Command("ffprobe", "-v", "error", "-show_entries", "stream=width,height,codec_name", "-of", "csv=p=0", h.path(key)).CombinedOutput()
	if want := "mjpeg," + strconv.Itoa(width) + "," + strconv.Itoa(height); err != nil || strings.TrimSpace(string(out)) != want {
		h.t.Errorf("%s: %v %s, want %s", key, err, out, want)
	}
}

// nothingLeft checks that no workspace outlived its run.
func (h *house) nothingLeft() {
	h.t.Helper()
	left, err := os.ReadDir(filepath.Join(h.dir, "work"))
	if err != nil || len(left) > 0 {
		h.t.Errorf("left behind: %v %v", left, err)
	}
}

// sounds decodes a packaged sound in all its forms.
func (h *house) sounds(pkg gateway.Package) {
	h.t.Helper()
	for _, key := range []string{pkg.DASH, pkg.HLS, pkg.Renditions[0].Key} {
		out, err := exec.Command("ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=codec_name,nb_read_frames", "-of", "csv=p=0", h.path(key)).CombinedOutput()
		codec, n, _ := strings.Cut(strings.TrimSpace(strings.SplitN(string(out), "\n", 2)[0]), ",")
		if frames, cerr := strconv.Atoi(strings.TrimSuffix(n, ",")); err != nil || cerr != nil || codec != "aac" || frames < 80 {
			h.t.Errorf("%s: %s %v", key, out, err)
		}
	}
	var wave struct {
		DurationMS int64     `json:"duration_ms"`
		Peaks      []float64 `json:"peaks"`
	}
	if err := json.Unmarshal(h.read(pkg.Waveform), &wave); err != nil || len(wave.Peaks) < 900 || len(wave.Peaks) > 1100 || wave.DurationMS < 1900 {
		h.t.Errorf("waveform of %d points: %v", len(wave.Peaks), err)
	}
	if high := slices.Max(wave.Peaks); high < 0.05 || high > 1 || slices.Min(wave.Peaks) < 0 {
		h.t.Errorf("waveform up to %v", high)
	}
}
