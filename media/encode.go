package media

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"isthmus/gateway"
)

const (
	manifestName = "manifest.mpd"
	hlsName      = "master.m3u8"
	segmentTime  = 4 // seconds; a copied source cuts at its own next keyframe
)

// pace says how an encoding shares the machine.
type pace struct {
	nice   int
	preset string
}

var (
	encodeFast = pace{nice: 5, preset: "veryfast"}
	encodeIdle = pace{nice: 15, preset: "veryfast"}
)

// common begins every ffmpeg command line.
var common = []string{"-nostdin", "-hide_banner", "-v", "error", "-progress", "pipe:1", "-stats_period", "0.5", "-y"}

// noExtras keeps everything but picture and sound out of an output.
var noExtras = []string{"-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1"}

// encode makes out/NAME.mp4 (H.264/AAC, index in front) for each rung, largest first, from one
// decoding. Keyframes lie where the source's are when the source is the top rung, else every two
// seconds, and nowhere else: that is what makes the segments of all rungs match.
func (p *Pipeline) encode(ctx context.Context, w *workspace, l look, rungs []rung, how pace, progress gateway.Progress) error {
	args := append(slices.Clone(common), l.format.inputArgs()...)
	args = append(args, "-i", inName, "-filter_complex", l.graph(rungs))
	keys := "expr:gte(t,n_forced*2)"
	if l.CopyVideo {
		keys = "source"
	}
	for i, r := range rungs {
		args = append(args, "-map", fmt.Sprintf("[v%d]", i))
		if l.audio != nil {
			args = append(args, "-map", fmt.Sprintf("0:%d", l.audio.Index))
			args = append(args, l.audioArgs()...)
		}
		args = append(args, noExtras...)
		args = append(args, "-c:v", "libx264", "-preset", how.preset, "-crf", strconv.Itoa(r.crf), "-profile:v", "high",
			"-maxrate", fmt.Sprintf("%dk", r.maxKbps), "-bufsize", fmt.Sprintf("%dk", 2*r.maxKbps),
			"-force_key_frames", keys, "-g", "100000", "-sc_threshold", "0", "-fps_mode", "vfr", "-enc_time_base", "1:90000",
			"-video_track_timescale", "90000", "-movflags", "+faststart", "-f", "mp4", outName+"/"+r.name+".mp4")
	}
	largest := int64(float64(rungs[0].maxKbps+512) * 125 * l.duration().Seconds() * 1.5)
	return p.run(ctx, w, job{
		args: args, nice: how.nice, timeout: l.encodeTime(), cpu: 4 * l.encodeTime(),
		memory: l.memory() + 2<<30, output: largest + 64<<20, total: l.duration(), progress: progress,
	})
}

// audioArgs copy the sound when it can stay, else make AAC of it.
func (l look) audioArgs() []string {
	if l.CopyAudio {
		return []string{"-c:a", "copy", "-tag:a", "mp4a"}
	}
	return []string{"-c:a", "aac", "-b:a", "160k", "-ac", "2", "-ar", "48000"}
}

// dashInput is a video stream to be packaged.
type dashInput struct {
	file   string
	stream int
}

// dash says what goes into a manifest. Nothing is encoded here but the sound of a source that cannot keep its own.
type dash struct {
	video       []dashInput
	audio       string // file to take the sound from; empty = the source
	progressive bool   // also write the source as source.mp4
	nice        int
	progress    gateway.Progress
}

// muxDASH writes segments with a DASH and an HLS manifest over them into out.
func (p *Pipeline) muxDASH(ctx context.Context, w *workspace, l look, d dash) error {
	args := slices.Clone(common)
	var files []string
	input := func(file string) int {
		if i := slices.Index(files, file); i >= 0 {
			return i
		}
		files = append(files, file)
		from := formatMP4 // what encode wrote
		if file == inName {
			from = l.format
		}
		args = append(append(args, from.inputArgs()...), "-i", file)
		return len(files) - 1
	}
	var maps []string
	for _, v := range d.video {
		maps = append(maps, "-map", fmt.Sprintf("%d:%d", input(v.file), v.stream))
	}
	sets := "id=0,streams=v"
	var sound []string
	if l.audio != nil {
		if d.audio == "" {
			sound = append([]string{"-map", fmt.Sprintf("%d:%d", input(inName), l.audio.Index)}, l.audioArgs()...)
		} else {
			sound = []string{"-map", fmt.Sprintf("%d:a:0", input(d.audio)), "-c:a", "copy"}
		}
		sets += " id=1,streams=a"
		if len(d.video) == 0 {
			sets = "id=0,streams=a"
		}
	}
	args = append(append(append(args, maps...), sound...), noExtras...)
	if len(d.video) > 0 {
		// The muxer wants one aspect ratio to the last digit; even numbers of pixels cannot give that.
		args = append(args, "-c:v", "copy", "-tag:v", "avc1", "-aspect:v", fmt.Sprintf("%d:%d", l.Width, l.Height))
	}
	args = append(args, "-f", "dash", "-seg_duration", strconv.Itoa(segmentTime), "-hls_playlist", "1", "-hls_master_name", hlsName,
		"-adaptation_sets", sets, "-init_seg_name", "init-$RepresentationID$.mp4", "-media_seg_name", "seg-$RepresentationID$-$Number$.m4s",
		outName+"/"+manifestName)
	if d.progressive {
		args = append(append(append(args, maps[:2]...), sound...), noExtras...)
		args = append(args, "-c:v", "copy", "-tag:v", "avc1", "-movflags", "+faststart", "-f", "mp4", outName+"/source.mp4")
	}
	return p.run(ctx, w, job{
		args: args, nice: d.nice, timeout: copyTime(3*w.size) + l.duration()/4, quiet: copyTime(w.size) / 4,
		output: 2*w.size + 64<<20, total: l.duration(), progress: d.progress,
	})
}

// representation is what we read back from a manifest.
type representation struct {
	ID        string `xml:"id,attr"`
	Codecs    string `xml:"codecs,attr"`
	Bandwidth int64  `xml:"bandwidth,attr"`
	Width     int    `xml:"width,attr"`
	Height    int    `xml:"height,attr"`
}

// representations reads the manifest that was just written; its names are checked before they go further.
func (w *workspace) representations() ([]representation, error) {
	f, err := w.disk.root.Open(w.path(outName) + "/" + manifestName)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var mpd struct {
		Sets []struct {
			Representations []representation `xml:"Representation"`
		} `xml:"Period>AdaptationSet"`
	}
	if err := xml.NewDecoder(io.LimitReader(f, 32<<20)).Decode(&mpd); err != nil {
		return nil, err
	}
	var out []representation
	for _, s := range mpd.Sets {
		out = append(out, s.Representations...)
	}
	for i := range out {
		if checkName("codec", strings.ReplaceAll(out[i].Codecs, ",", ".")) != nil {
			out[i].Codecs = ""
		}
	}
	return out, nil
}
