package media_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"isthmus/gateway"
	"isthmus/media"
	"isthmus/media/mediatest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSphericalMetadata(t *testing.T) {
	t.Parallel()
	h := pipe(t)
	dir := t.TempDir()
	flat := filepath.Join(dir, "flat.mp4")
	must(t, mediatest.Clip{Seconds: 1, Width: 640, Height: 320}.Make(t.Context(), flat))
	fast := filepath.Join(dir, "fast.mp4")
	must(t, mediatest.FFmpeg(t.Context(), "-i", flat, "-c", "copy", "-movflags", "+faststart", fast))
	wide := filepath.Join(dir, "wide.mp4")
	must(t, mediatest.Clip{Seconds: 1, Width: 1920, Height: 960, Silent: true}.Make(t.Context(), wide))
	photo := filepath.Join(dir, "photo.jpg")
	must(t, mediatest.Photo(t.Context(), photo, 2048, 1024))
	matroska := filepath.Join(dir, "sphere.mkv")

	inject := func(in string, s media.Spherical) string {
		out := filepath.Join(dir, gateway.NewID("x")+".mp4")
		must(t, media.InjectSpherical(in, out, s))
		return out
	}
	must(t, mediatest.FFmpeg(t.Context(), "-i", inject(flat, media.Spherical{Projection: gateway.Equirectangular}), "-c", "copy", "-strict", "-2", matroska))
	pano := filepath.Join(dir, "pano.jpg")
	must(t, media.InjectGPano(photo, pano, 2048, 1024))

	for _, c := range []struct {
		name, file string
		want       gateway.Projection
		stereo     string
		evidence   string
		suggest    bool
	}{
		{"no metadata", flat, gateway.Flat, "", "", false},
		{"2:1 only suggests", wide, gateway.Flat, "", "", true},
		{"sv3d", inject(flat, media.Spherical{Projection: gateway.Equirectangular}), gateway.Equirectangular, "mono", "sv3d", false},
		{"sv3d, index in front", inject(fast, media.Spherical{Projection: gateway.Equirectangular}), gateway.Equirectangular, "mono", "sv3d", false},
		{"sv3d, top and bottom", inject(flat, media.Spherical{Projection: gateway.Equirectangular, Stereo: "top_bottom"}), gateway.Equirectangular, "top_bottom", "sv3d", false},
		{"180°", inject(flat, media.Spherical{Projection: gateway.HalfEquirectangular, Stereo: "left_right"}), gateway.HalfEquirectangular, "left_right", "180°", false},
		{"cube map", inject(flat, media.Spherical{Projection: gateway.Cubemap}), gateway.Cubemap, "mono", "cube", false},
		{"uuid box", inject(flat, media.Spherical{Version1: true}), gateway.Equirectangular, "", "version 1", false},
		{"uuid box, stereo", inject(fast, media.Spherical{Version1: true, Stereo: "top_bottom"}), gateway.Equirectangular, "top_bottom", "version 1", false},
		{"matroska projection", matroska, gateway.Equirectangular, "mono", "projection element", false},
		{"photo", photo, gateway.Flat, "", "", true},
		{"photo with GPano", pano, gateway.Equirectangular, "", "GPano", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := h.storeFile("in/"+gateway.NewID("x"), c.file)
			in, err := h.pipeline.Inspect(t.Context(), src, "whatever")
			must(t, err)
			if in.Projection != c.want || in.Stereo != c.stereo || in.Suggest360 != c.suggest || in.Is360() != (c.want != gateway.Flat) ||
				!strings.Contains(in.Evidence, c.evidence) || (c.evidence == "") != (in.Evidence == "") {
				t.Errorf("%+v", in)
			}
			// What was injected must not have harmed the media.
			if strings.HasSuffix(c.file, ".mp4") {
				must(t, mediatest.FFmpeg(t.Context(), "-xerror", "-i", c.file, "-f", "null", "-"))
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	h := pipe(t)
	dir := t.TempDir()
	name := func(s string) string { return filepath.Join(dir, s) }
	made := func(file string, err error) []byte {
		t.Helper()
		must(t, err)
		b, err := os.ReadFile(file)
		must(t, err)
		return b
	}
	ctx := t.Context()
	clip := made(name("c.mp4"), mediatest.Clip{Seconds: 2, Width: 320, Height: 180}.Make(ctx, name("c.mp4")))
	fast := made(name("f.mp4"), mediatest.FFmpeg(ctx, "-i", name("c.mp4"), "-c", "copy", "-movflags", "+faststart", name("f.mp4")))
	webm := made(name("c.webm"), mediatest.FFmpeg(ctx, "-i", name("c.mp4"), "-c:v", "libvpx", "-deadline", "realtime", "-an", name("c.webm")))
	jpeg := made(name("p.jpg"), mediatest.Photo(ctx, name("p.jpg"), 640, 480))
	png := made(name("p.png"), mediatest.Photo(ctx, name("p.png"), 640, 480))
	webp := made(name("p.webp"), mediatest.Photo(ctx, name("p.webp"), 640, 480))
	wav := made(name("s.wav"), mediatest.Sound(ctx, name("s.wav"), 1))
	theora := made(name("t.mkv"), mediatest.FFmpeg(ctx, "-i", name("c.mp4"), "-c:v", "ffv1", "-an", name("t.mkv")))
	var subs []byte
	must(t, os.WriteFile(name("s.srt"), []byte("1\n00:00:00,000 --> 00:00:01,000\nhello\n"), 0o600))
	subs = made(name("sub.mkv"), mediatest.FFmpeg(ctx, "-i", name("s.srt"), "-c", "srt", name("sub.mkv")))
	cenc := made(name("enc.mp4"), mediatest.FFmpeg(ctx, "-i", name("c.mp4"), "-c", "copy", "-encryption_scheme", "cenc-aes-ctr",
		"-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb", "-encryption_kid", "a7e61c373e219033c21091fa607bf3b8", name("enc.mp4")))
	many := []string{"-i", name("c.mp4")}
	for range 20 {
		many = append(many, "-map", "0:a")
	}
	streams := made(name("many.mkv"), mediatest.FFmpeg(ctx, append(many, "-map", "0:v", "-c", "copy", name("many.mkv"))...))
	frames := made(name("fps.mp4"), mediatest.FFmpeg(ctx, "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=500:duration=1", name("fps.mp4")))
	long := made(name("long.mp4"), mediatest.FFmpeg(ctx, "-f", "lavfi", "-i", "color=size=64x64:rate=1/60:duration=50000", "-c:v", "libx264", name("long.mp4")))

	huge := slices.Clone(png) // a PNG that claims 32767×32767
	binary.BigEndian.PutUint32(huge[16:], 32767)
	binary.BigEndian.PutUint32(huge[20:], 32767)
	binary.BigEndian.PutUint32(huge[29:], crc32.ChecksumIEEE(huge[12:29]))
	noise := make([]byte, 100_000)
	for i := range noise {
		noise[i] = byte(rand.IntN(256))
	}
	noise[0] = 'x'
	canary := name("canary.mp4")
	must(t, os.WriteFile(canary, clip, 0o600))

	for _, c := range []struct {
		name, reason string
		data         []byte
	}{
		{"empty", "empty_file", nil},
		{"one byte", "unknown_type", []byte("x")},
		{"noise", "unknown_type", noise},
		{"text", "unknown_type", []byte("hello world, this is a text that calls itself a video")},
		{"html", "unknown_type", []byte("<html><script>alert(1)</script>")},
		{"svg", "unknown_type", []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`)},
		{"pdf", "unknown_type", []byte("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")},
		{"zip", "unknown_type", []byte("PK\x03\x04aaaaaaaaaaaaaa")},
		{"avi", "unknown_type", []byte("RIFF\x00\x10\x00\x00AVI LIST")},
		{"heic", "unknown_type", []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic")},
		{"hls", "playlist_refused", []byte("#EXTM3U\n#EXTINF:2,\nfile://" + canary + "\n#EXT-X-ENDLIST\n")},
		{"hls after a mark", "playlist_refused", []byte("\xef\xbb\xbf#EXTM3U\n#EXTINF:2,\n" + canary)},
		{"ffconcat", "playlist_refused", []byte("ffconcat version 1.0\nfile '" + canary + "'\n")},
		{"concat", "playlist_refused", []byte("file '" + canary + "'\n")},
		{"dash", "playlist_refused", []byte(`<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>file://` + canary + `</BaseURL></MPD>`)},
		{"smil", "playlist_refused", []byte(`<smil><body><video src="` + canary + `"/></body></smil>`)},
		{"asx", "playlist_refused", []byte(`<asx version="3.0"><entry><ref href="http://127.0.0.1/"/></entry></asx>`)},
		{"pls", "playlist_refused", []byte("[playlist]\nFile1=http://127.0.0.1/\n")},
		{"sdp", "playlist_refused", []byte("v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n")},
		{"imf", "playlist_refused", []byte(`<?xml version="1.0"?><CompositionPlaylist xmlns="x"/>`)},
		{"mp4 without its end", "truncated", clip[:len(clip)*2/3]},
		{"mp4 with index in front, half", "truncated", fast[:len(fast)/2]},
		{"mp4 cut in its index", "truncated", fast[:600]},
		{"mp4 header only", "truncated", clip[:32]},
		{"webm half", "truncated", webm[:len(webm)/2]},
		{"jpeg half", "truncated", jpeg[:len(jpeg)/2]},
		{"png half", "truncated", png[:len(png)/2]},
		{"webp half", "truncated", webp[:len(webp)/2]},
		{"wav half", "truncated", wav[:len(wav)/2]},
		{"gigantic png", "too_large_picture", huge},
		{"codec we do not take", "unsupported_codec", theora},
		{"nothing but subtitles", "no_streams", subs},
		{"encrypted", "encrypted", cenc},
		{"too many tracks", "too_many_streams", streams},
		{"too many frames", "too_many_frames", frames},
		{"too long", "too_long", long},
		{"boxes of rubbish", "no_streams", slices.Concat(clip[:32], boxOf("moov", noise[:4000]), boxOf("mdat", noise))},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := h.store("in/"+gateway.NewID("x"), c.data)
			_, err := h.pipeline.Inspect(ctx, src, "holiday.mp4")
			e := gateway.AsError(err)
			if err == nil || e.Code != gateway.Invalid || e.Reason != c.reason || e.NextStep == "" || e.Message == "" {
				t.Errorf("%v, want %s", err, c.reason)
			}
			if _, err := h.pipeline.Package(ctx, src, gateway.Inspection{Type: gateway.Video, Container: "mp4", CopyVideo: true}, "out/"+gateway.NewID("x"), nil); gateway.CodeOf(err) != gateway.Invalid {
				t.Error("packaged in spite of that:", err)
			}
		})
	}
	h.nothingLeft()
}

func boxOf(kind string, content []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(content)+8))
	return slices.Concat(b, []byte(kind), content)
}

// TestPlaylistsAreNotFollowed goes past our own sniffing: a file that starts as media does and holds a playlist.
func TestPlaylistsInsideMediaAreNotFollowed(t *testing.T) {
	h := pipe(t)
	for i, b := range [][]byte{
		[]byte("ID3\x03\x00\x00\x00\x00\x00\x00#EXTM3U\n#EXTINF:2,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"),
		[]byte("\x00\x00\x00\x10ftypisom\x00\x00\x00\x00#EXTM3U\n/etc/passwd\n"),
		[]byte("OggS#EXTM3U\nfile:///etc/passwd\n"),
	} {
		src := h.store(fmt.Sprintf("in/%d", i), b)
		if in, err := h.pipeline.Inspect(t.Context(), src, "a.mp4"); gateway.CodeOf(err) != gateway.Invalid {
			t.Errorf("%d: %+v %v", i, in, err)
		}
	}
}

func TestKindsOfMedia(t *testing.T) {
	t.Parallel()
	h := pipe(t)
	dir := t.TempDir()
	ctx := t.Context()
	clip := filepath.Join(dir, "clip.mp4")
	must(t, mediatest.Clip{Seconds: 2, Width: 320, Height: 180}.Make(ctx, clip))
	cover, srt := filepath.Join(dir, "cover.jpg"), filepath.Join(dir, "s.srt")
	must(t, mediatest.Photo(ctx, cover, 200, 200))
	must(t, os.WriteFile(srt, []byte("1\n00:00:00,000 --> 00:00:01,000\nhello\n"), 0o600))
	for _, c := range []struct {
		file string
		args []string
		want gateway.Inspection
	}{
		{"a.mov", []string{"-i", clip, "-c", "copy"}, gateway.Inspection{Type: gateway.Video, Container: "mov", VideoCodec: "h264", AudioCodec: "aac", CopyVideo: true, CopyAudio: true}},
		{"a.mkv", []string{"-i", clip, "-c", "copy"}, gateway.Inspection{Type: gateway.Video, Container: "mkv", VideoCodec: "h264", AudioCodec: "aac", CopyVideo: true, CopyAudio: true}},
		{"a.ts", []string{"-i", clip, "-c", "copy"}, gateway.Inspection{Type: gateway.Video, Container: "mpegts", VideoCodec: "h264", AudioCodec: "aac", CopyVideo: true, CopyAudio: true}},
		{"a.webm", []string{"-i", clip, "-c:v", "libvpx-vp9", "-deadline", "realtime", "-c:a", "libopus"}, gateway.Inspection{Type: gateway.Video, Container: "webm", VideoCodec: "vp9", AudioCodec: "opus"}},
		{"hevc.mp4", []string{"-i", clip, "-c:v", "libx265", "-preset", "ultrafast", "-c:a", "copy"}, gateway.Inspection{Type: gateway.Video, Container: "mp4", VideoCodec: "hevc", AudioCodec: "aac", CopyAudio: true}},
		{"yuv444.mp4", []string{"-i", clip, "-c:v", "libx264", "-pix_fmt", "yuv444p", "-c:a", "copy"}, gateway.Inspection{Type: gateway.Video, Container: "mp4", VideoCodec: "h264", AudioCodec: "aac", CopyAudio: true}},
		{"ac3.mp4", []string{"-i", clip, "-c:v", "copy", "-c:a", "ac3"}, gateway.Inspection{Type: gateway.Video, Container: "mp4", VideoCodec: "h264", AudioCodec: "ac3", CopyVideo: true}},
		{"sound.mp4", []string{"-i", clip, "-vn", "-c:a", "copy"}, gateway.Inspection{Type: gateway.Audio, Container: "mp4", AudioCodec: "aac", CopyAudio: true}},
		{"titles.mp4", []string{"-i", clip, "-i", srt, "-c", "copy", "-c:s", "mov_text"}, gateway.Inspection{Type: gateway.Video, Container: "mp4", VideoCodec: "h264", AudioCodec: "aac", CopyVideo: true, CopyAudio: true}},
		{"cover.m4a", []string{"-i", clip, "-i", cover, "-map", "0:a", "-map", "1:v", "-c", "copy", "-disposition:v", "attached_pic"}, gateway.Inspection{Type: gateway.Audio, Container: "m4a", AudioCodec: "aac", CopyAudio: true}},
		{"cover.mp3", []string{"-i", clip, "-i", cover, "-map", "0:a", "-map", "1:v", "-c:v", "copy", "-disposition:v", "attached_pic"}, gateway.Inspection{Type: gateway.Audio, Container: "mp3", AudioCodec: "mp3"}},
		{"a.m4a", []string{"-i", clip, "-vn", "-c:a", "copy"}, gateway.Inspection{Type: gateway.Audio, Container: "m4a", AudioCodec: "aac", CopyAudio: true}},
		{"a.aac", []string{"-i", clip, "-vn", "-c:a", "copy"}, gateway.Inspection{Type: gateway.Audio, Container: "aac", AudioCodec: "aac", CopyAudio: true}},
		{"a.mp3", []string{"-i", clip, "-vn"}, gateway.Inspection{Type: gateway.Audio, Container: "mp3", AudioCodec: "mp3"}},
		{"plain.mp3", []string{"-i", clip, "-vn", "-id3v2_version", "0", "-write_xing", "0"}, gateway.Inspection{Type: gateway.Audio, Container: "mp3", AudioCodec: "mp3"}},
		{"a.flac", []string{"-i", clip, "-vn"}, gateway.Inspection{Type: gateway.Audio, Container: "flac", AudioCodec: "flac"}},
		{"a.ogg", []string{"-i", clip, "-vn", "-c:a", "libvorbis"}, gateway.Inspection{Type: gateway.Audio, Container: "ogg", AudioCodec: "vorbis"}},
		{"a.wav", []string{"-i", clip, "-vn"}, gateway.Inspection{Type: gateway.Audio, Container: "wav", AudioCodec: "pcm_s16le"}},
		{"a.png", []string{"-i", clip, "-frames:v", "1"}, gateway.Inspection{Type: gateway.Image, Container: "png", VideoCodec: "png"}},
		{"a.webp", []string{"-i", clip, "-frames:v", "1"}, gateway.Inspection{Type: gateway.Image, Container: "webp", VideoCodec: "webp"}},
		{"a.gif", []string{"-i", clip}, gateway.Inspection{Type: gateway.Image, Container: "gif", VideoCodec: "gif"}},
	} {
		t.Run(c.file, func(t *testing.T) {
			file := filepath.Join(dir, c.file)
			must(t, mediatest.FFmpeg(ctx, append(c.args, file)...))
			src := h.storeFile("in/"+gateway.NewID("x"), file)
			in, err := h.pipeline.Inspect(ctx, src, c.file)
			must(t, err)
			got := gateway.Inspection{Type: in.Type, Container: in.Container, VideoCodec: in.VideoCodec, AudioCodec: in.AudioCodec, CopyVideo: in.CopyVideo, CopyAudio: in.CopyAudio}
			if got != c.want {
				t.Errorf("%+v\nwant %+v", got, c.want)
			}
			if in.Type != gateway.Audio && (in.Width != 320 || in.Height != 180) || in.Type != gateway.Image && (in.DurationMS < 1900 || in.DurationMS > 2200) {
				t.Errorf("%+v", in)
			}
			pkg, err := h.pipeline.Package(ctx, src, in, "out/"+strings.ReplaceAll(c.file, ".", "-"), nil)
			must(t, err)
			switch in.Type {
			case gateway.Video:
				h.plays(pkg.DASH, 1, 60)
				h.plays(pkg.HLS, 1, 60)
				h.plays(pkg.Renditions[0].Key, 1, 60)
				h.pictureOf(pkg.Thumbnails[0].Key, 320, 180)
			case gateway.Audio:
				h.sounds(pkg)
			case gateway.Image:
				h.pictureOf(pkg.Image, 320, 180)
			}
		})
	}
	h.nothingLeft()
}
