package media

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	_ "image/gif"  // header readers for pictureSize
	_ "image/jpeg" // …
	_ "image/png"  // …
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	_ "golang.org/x/image/webp" // …

	"isthmus/gateway"
)

// Bounds on what is decoded at all.
const (
	maxVideoSide = 8192
	maxImageSide = 16384
	maxDuration  = 12 * time.Hour
	maxFrameRate = 240
	maxStreams   = 16
	maxProbeJSON = 4 << 20
)

// What of ffprobe's answer we ask for; tags and chapters, which can be endless, are not.
const probeEntries = "stream=index,codec_type,codec_name,codec_tag_string,profile,pix_fmt,level,width,height,sample_aspect_ratio," +
	"field_order,avg_frame_rate,r_frame_rate,duration,bit_rate,channels,sample_rate,color_transfer,nb_frames" +
	":stream_disposition=attached_pic:stream_side_data=side_data_type,rotation,projection,type,bound_left,bound_right" +
	":format=duration,bit_rate,nb_streams"

type probedSide struct {
	Kind       string  `json:"side_data_type"`
	Rotation   float64 `json:"rotation"`
	Projection string  `json:"projection"`
	Type       string  `json:"type"`
	Left       int64   `json:"bound_left"`
	Right      int64   `json:"bound_right"`
}

type probedStream struct {
	Index       int          `json:"index"`
	Kind        string       `json:"codec_type"`
	Codec       string       `json:"codec_name"`
	Tag         string       `json:"codec_tag_string"`
	Profile     string       `json:"profile"`
	PixFmt      string       `json:"pix_fmt"`
	Width       int          `json:"width"`
	Height      int          `json:"height"`
	SAR         string       `json:"sample_aspect_ratio"`
	FieldOrder  string       `json:"field_order"`
	AvgRate     string       `json:"avg_frame_rate"`
	RealRate    string       `json:"r_frame_rate"`
	Duration    string       `json:"duration"`
	BitRate     string       `json:"bit_rate"`
	Channels    int          `json:"channels"`
	Transfer    string       `json:"color_transfer"`
	SideData    []probedSide `json:"side_data_list"`
	Disposition struct {
		AttachedPic int `json:"attached_pic"`
	} `json:"disposition"`
}

type probed struct {
	Streams []probedStream `json:"streams"`
	Frames  []struct {
		SideData []probedSide `json:"side_data_list"`
	} `json:"frames"`
	Format struct {
		Duration string `json:"duration"`
		BitRate  string `json:"bit_rate"`
		Streams  int    `json:"nb_streams"`
	} `json:"format"`
}

// Inspect sniffs, probes and looks for spherical metadata.
func (p *Pipeline) Inspect(ctx context.Context, src gateway.Source, _ string) (gateway.Inspection, error) {
	release, err := slot(ctx, p.quick)
	if err != nil {
		return gateway.Inspection{}, err
	}
	defer release()
	w, err := p.workspace(src)
	if err != nil {
		return gateway.Inspection{}, err
	}
	defer w.Close()
	look, err := p.look(ctx, w)
	return look.Inspection, err
}

// look is an Inspection with what only the next steps need to know.
type look struct {
	gateway.Inspection
	format     format
	video      *probedStream
	audio      *probedStream
	rotated    bool
	interlaced bool
	hdr        bool
	alpha      bool
}

func (p *Pipeline) look(ctx context.Context, w *workspace) (look, error) {
	in, err := w.input()
	if err != nil {
		return look{}, ioError(err)
	}
	defer in.Close()
	f, err := sniff(in, w.size)
	if err != nil {
		return look{}, err
	}
	if err := f.whole(in, w.size); err != nil {
		return look{}, err
	}
	if f.kind == gateway.Image {
		if err := pictureSize(in, w.size); err != nil {
			return look{}, err
		}
	}
	var facts trackFacts
	if f.demuxer == "mov" {
		if facts, err = readTrackFacts(in, w.size); err != nil {
			return look{}, err
		}
		if facts.encrypted {
			return look{}, gateway.E(gateway.Invalid, "encrypted", "The file is protected by DRM or encryption.").
				Next("Upload a version without protection.")
		}
	}
	pr, err := p.probe(ctx, w, f)
	if err != nil {
		return look{}, err
	}
	l, err := judge(f, pr, w.size)
	if err != nil {
		return look{}, err
	}
	var side []probedSide
	if l.video != nil {
		side = l.video.SideData
	}
	s, err := findSphere(f, in, w.size, facts, side)
	if err != nil {
		return look{}, err
	}
	if l.Type != gateway.Audio {
		l.Projection, l.Stereo, l.Evidence = s.projection, s.stereo, s.evidence
		l.Suggest360 = !l.Is360() && suggests360(l.Width, l.Height)
	}
	return l, nil
}

func (p *Pipeline) probe(ctx context.Context, w *workspace, f format) (probed, error) {
	entries := probeEntries
	args := append([]string{"-v", "error", "-hide_banner"}, f.inputArgs()...)
	args = append(args, "-codec_whitelist:s", textDecoders)
	if f.kind == gateway.Image { // how a photo is to be turned is told with its first frame only
		entries += ":frame_side_data=side_data_type,rotation"
		args = append(args, "-read_intervals", "%+#1")
	}
	args = append(args, "-print_format", "json", "-show_entries", entries, "-i", inName)
	var out bytes.Buffer
	err := p.run(ctx, w, job{probe: true, args: args, timeout: time.Minute, stdout: collect(&out, maxProbeJSON)})
	if err != nil {
		if gateway.IsReason(err, "undecodable") {
			if m := notAllowed.FindStringSubmatch(err.Error()); m != nil {
				return probed{}, unsupported(m[1])
			}
			return probed{}, unreadable(err)
		}
		return probed{}, err
	}
	var pr probed
	if err := json.Unmarshal(out.Bytes(), &pr); err != nil {
		return probed{}, unreadable(err)
	}
	return pr, nil
}

var notAllowed = regexp.MustCompile(`Codec \((\w{1,32})\) not on whitelist`)

// pictureSize reads a picture's size from its header, in Go, before any decoder of ffmpeg sees it.
func pictureSize(r io.ReaderAt, size int64) error {
	c, _, err := image.DecodeConfig(io.NewSectionReader(r, 0, size))
	if err == nil && (c.Width > maxImageSide || c.Height > maxImageSide) {
		return tooLarge(c.Width, c.Height, maxImageSide)
	}
	return nil // a kind that Go does not know is ffprobe's to judge
}

func tooLarge(width, height, bound int) error {
	return gateway.E(gateway.Invalid, "too_large_picture", fmt.Sprintf("The picture is %d×%d; the most is %d×%d.", width, height, bound, bound)).
		Next("Export it in a smaller size.")
}

// judge applies our rules to what ffprobe found.
func judge(f format, pr probed, size int64) (look, error) {
	l := look{format: f}
	l.Container, l.MIME, l.Type = f.name, f.mime, f.kind
	if pr.Format.Streams > maxStreams || len(pr.Streams) > maxStreams {
		return l, gateway.E(gateway.Invalid, "too_many_streams", fmt.Sprintf("The file holds more than %d tracks.", maxStreams)).
			Next("Export it again with one video and one sound track.")
	}
	for i := range pr.Streams {
		s := &pr.Streams[i]
		switch {
		case s.Tag == "encv" || s.Tag == "enca":
			return l, gateway.E(gateway.Invalid, "encrypted", "The file is protected by DRM or encryption.").Next("Upload a version without protection.")
		case s.Kind == "video" && s.Disposition.AttachedPic == 0 && l.video == nil:
			l.video = s
		case s.Kind == "audio" && l.audio == nil:
			l.audio = s
		}
	}
	if f.kind == gateway.Audio && f.name != "m4a" {
		l.video = nil // cover art does not make a sound a video
	}
	if l.video == nil && l.audio == nil {
		return l, gateway.E(gateway.Invalid, "no_streams", "There is neither picture nor sound in the file.").
			Next("Play it on your computer; if it does not play there either, export it again.")
	}
	for _, s := range []*probedStream{l.video, l.audio} {
		if s != nil && !decodable(f, s.Codec) {
			return l, unsupported(s.Codec)
		}
	}
	if l.Type == gateway.Video && l.video == nil {
		l.Type = gateway.Audio
		if f.name == "mp4" {
			l.MIME = "audio/mp4"
		}
	} else if l.Type == gateway.Audio && l.video != nil {
		l.Type = gateway.Video
	}
	if l.Type != gateway.Image {
		seconds := max(number(pr.Format.Duration), streamSeconds(l.video), streamSeconds(l.audio))
		if seconds > maxDuration.Seconds() {
			return l, gateway.E(gateway.Invalid, "too_long", "The file is longer than 12 hours.").Next("Split it into shorter parts.")
		}
		l.DurationMS = int64(math.Round(seconds * 1000))
		l.Bitrate = int64(number(pr.Format.BitRate))
		if l.Bitrate == 0 && seconds > 0 {
			l.Bitrate = int64(float64(size) * 8 / seconds)
		}
	}
	if l.audio != nil && l.Type != gateway.Image {
		l.AudioCodec = l.audio.Codec
		l.CopyAudio = l.audio.Codec == "aac" && slices.Contains([]string{"LC", "HE-AAC", "HE-AACv2"}, l.audio.Profile) && l.audio.Channels <= 6
	}
	if l.video != nil {
		return l, l.judgePicture(pr)
	}
	return l, nil
}

func (l *look) judgePicture(pr probed) error {
	v := l.video
	bound := maxVideoSide
	if l.Type == gateway.Image {
		bound = maxImageSide
	}
	if v.Width <= 0 || v.Height <= 0 {
		return unreadable(fmt.Errorf("picture of %d×%d", v.Width, v.Height))
	}
	if v.Width > bound || v.Height > bound {
		return tooLarge(v.Width, v.Height, bound)
	}
	l.VideoCodec = v.Codec
	l.Width, l.Height = v.Width, v.Height
	if n, d, ok := strings.Cut(v.SAR, ":"); ok && l.Type == gateway.Video {
		if num, den := number(n), number(d); num > 0 && den > 0 && num != den {
			w := float64(v.Width) * num / den
			if w > 4*maxVideoSide || w < 2 {
				return unreadable(fmt.Errorf("pixel shape %s", v.SAR))
			}
			l.Width = int(math.Round(w))
		}
	}
	side := v.SideData
	for _, fr := range pr.Frames {
		side = append(side, fr.SideData...)
	}
	for _, d := range side {
		if (d.Kind == "Display Matrix" || d.Kind == "3x3 displaymatrix") && math.Mod(math.Abs(d.Rotation), 360) != 0 {
			l.rotated = true
			if math.Mod(math.Abs(d.Rotation), 180) == 90 {
				l.Width, l.Height = l.Height, l.Width
			}
			break
		}
	}
	l.alpha = strings.Contains(v.PixFmt, "a") && (strings.HasPrefix(v.PixFmt, "rgba") || strings.HasPrefix(v.PixFmt, "bgra") ||
		strings.HasPrefix(v.PixFmt, "argb") || strings.HasPrefix(v.PixFmt, "yuva") || strings.HasPrefix(v.PixFmt, "ya") || v.PixFmt == "pal8")
	if l.Type == gateway.Image {
		return nil
	}
	l.FrameRate = rate(v.AvgRate)
	if l.FrameRate == 0 {
		l.FrameRate = rate(v.RealRate)
	}
	if l.FrameRate > maxFrameRate {
		return gateway.E(gateway.Invalid, "too_many_frames", fmt.Sprintf("The video has %.0f frames a second; the most is %d.", l.FrameRate, maxFrameRate)).
			Next("Export it with at most %d frames a second.", maxFrameRate)
	}
	l.interlaced = v.FieldOrder != "" && v.FieldOrder != "progressive" && v.FieldOrder != "unknown"
	l.hdr = v.Transfer == "smpte2084" || v.Transfer == "arib-std-b67"
	// A rotated picture is encoded upright: players differ in whether they turn a segment.
	l.CopyVideo = v.Codec == "h264" && (v.PixFmt == "yuv420p" || v.PixFmt == "yuvj420p") && !l.rotated && !l.interlaced &&
		slices.Contains([]string{"Constrained Baseline", "Baseline", "Main", "High", "Progressive High"}, v.Profile)
	return nil
}

func decodable(f format, codec string) bool {
	if codec == "av1" {
		codec = "libdav1d"
	}
	return slices.Contains(f.decoders, codec)
}

func unsupported(codec string) error {
	what := "an unknown codec"
	if checkID(codec) == nil && codec != "" {
		what = "the codec " + codec
	}
	return gateway.E(gateway.Invalid, "unsupported_codec", "The file uses "+what+", which cannot be processed here.").
		Next("Convert it to H.264 video with AAC sound (a picture: to JPEG or PNG) and upload that.")
}

func streamSeconds(s *probedStream) float64 {
	if s == nil {
		return 0
	}
	return number(s.Duration)
}

// number reads a decimal of ffprobe's; anything else, also "N/A", is 0.
func number(s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return 0
	}
	return v
}

func rate(s string) float64 {
	n, d, _ := strings.Cut(s, "/")
	if den := number(d); den > 0 {
		return number(n) / den
	}
	return 0
}
