package media

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"isthmus/gateway"
)

// packageAudio makes AAC in DASH and HLS, one plain file, and the waveform.
func (p *Pipeline) packageAudio(ctx context.Context, w *workspace, l look, src gateway.Source, progress gateway.Progress) (gateway.Package, error) {
	pkg := gateway.Package{DASH: manifestName, HLS: hlsName, Waveform: "waveform.json"}
	r := gateway.PackagedRendition{Name: "source", Key: "audio.m4a"}
	g, gctx := errgroup.WithContext(ctx)
	var wave waveform
	g.Go(func() (err error) {
		wave, err = p.waveform(gctx, w, l)
		return err
	})
	g.Go(func() error {
		if l.CopyAudio && l.format.demuxer == "mov" && src.Blob != "" {
			r.Key = "/" + src.Blob
			return p.muxDASH(gctx, w, l, dash{progress: progress})
		}
		if !l.CopyAudio {
			r.Name = "aac"
		}
		if err := p.plainAudio(gctx, w, l, part(progress, 0, 0.9)); err != nil {
			return err
		}
		return p.muxDASH(gctx, w, l, dash{audio: outName + "/audio.m4a", progress: part(progress, 0.9, 1)})
	})
	if err := g.Wait(); err != nil {
		return pkg, err
	}
	b, err := json.Marshal(wave)
	if err != nil {
		return pkg, err
	}
	if err := w.write(pkg.Waveform, b); err != nil {
		return pkg, err
	}
	pkg.Renditions, err = w.measure([]gateway.PackagedRendition{r}, l)
	return pkg, err
}

func (p *Pipeline) plainAudio(ctx context.Context, w *workspace, l look, progress gateway.Progress) error {
	args := append(slices.Clone(common), l.format.inputArgs()...)
	args = append(args, "-i", inName, "-map", "0:"+strconv.Itoa(l.audio.Index), "-vn")
	args = append(append(args, l.audioArgs()...), noExtras...)
	args = append(args, "-movflags", "+faststart", "-f", "mp4", outName+"/audio.m4a")
	return p.run(ctx, w, job{
		args: args, nice: encodeFast.nice, timeout: copyTime(w.size) + l.duration(),
		output: w.size + int64(l.duration().Seconds()*40_000) + 64<<20, total: l.duration(), progress: progress,
	})
}

// waveform is the loudest sample, 0 to 1, in each of about a thousand parts of a sound.
type waveform struct {
	DurationMS int64     `json:"duration_ms"`
	Peaks      []float64 `json:"peaks"`

	each int // samples in a part
}

const (
	waveRate   = 8000
	wavePoints = 1000
)

func (p *Pipeline) waveform(ctx context.Context, w *workspace, l look) (waveform, error) {
	wave := waveform{DurationMS: l.DurationMS, Peaks: []float64{}, each: max(int(math.Ceil(l.duration().Seconds()*waveRate/wavePoints)), 1)}
	args := append([]string{"-nostdin", "-hide_banner", "-v", "error"}, l.format.inputArgs()...)
	args = append(args, "-i", inName, "-map", "0:"+strconv.Itoa(l.audio.Index), "-vn", "-sn", "-dn", "-ac", "1", "-ar", strconv.Itoa(waveRate), "-f", "s16le", "pipe:1")
	err := p.run(ctx, w, job{args: args, nice: encodeFast.nice, timeout: copyTime(w.size) + l.duration(), stdout: wave.read})
	return wave, err
}

// read takes 16-bit samples. A header may understate the length: then points are added, within reason.
func (wv *waveform) read(r io.Reader) error {
	br := bufio.NewReaderSize(r, 64<<10)
	var b [2]byte
	loudest, n := 0.0, 0
	flush := func() {
		if n > 0 && len(wv.Peaks) < 4*wavePoints {
			wv.Peaks = append(wv.Peaks, math.Round(loudest/32768*1000)/1000)
		}
		loudest, n = 0, 0
	}
	for {
		if _, err := io.ReadFull(br, b[:]); err != nil {
			flush()
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil
			}
			return err
		}
		loudest = max(loudest, math.Abs(float64(int16(binary.LittleEndian.Uint16(b[:])))))
		if n++; n == wv.each {
			flush()
		}
	}
}
