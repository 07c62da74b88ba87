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

// waveform is the JSON of BBC audiowaveform, version 2, which peaks.js and wavesurfer read: pairs of
// lowest and highest sample, 8 bits each.
type waveform struct {
	Version         int    `json:"version"`
	Channels        int    `json:"channels"`
	SampleRate      int    `json:"sample_rate"`
	SamplesPerPixel int    `json:"samples_per_pixel"`
	Bits            int    `json:"bits"`
	Length          int    `json:"length"`
	Data            []int8 `json:"data"`
}

const (
	waveRate   = 8000
	wavePoints = 1000
)

func (p *Pipeline) waveform(ctx context.Context, w *workspace, l look) (waveform, error) {
	wave := waveform{
		Version: 2, Channels: 1, SampleRate: waveRate, Bits: 8,
		SamplesPerPixel: max(int(math.Ceil(l.duration().Seconds()*waveRate/wavePoints)), 1),
	}
	args := append([]string{"-nostdin", "-hide_banner", "-v", "error"}, l.format.inputArgs()...)
	args = append(args, "-i", inName, "-map", "0:"+strconv.Itoa(l.audio.Index), "-vn", "-sn", "-dn", "-ac", "1", "-ar", strconv.Itoa(waveRate), "-f", "s16le", "pipe:1")
	err := p.run(ctx, w, job{args: args, nice: encodeFast.nice, timeout: copyTime(w.size) + l.duration(), stdout: wave.read})
	return wave, err
}

// read takes 16-bit samples. A header may understate the length: then points are added, within reason.
func (wv *waveform) read(r io.Reader) error {
	br := bufio.NewReaderSize(r, 64<<10)
	var b [2]byte
	low, high, n := int16(math.MaxInt16), int16(math.MinInt16), 0
	flush := func() {
		if n > 0 && wv.Length < 4*wavePoints {
			wv.Data = append(wv.Data, int8(low>>8), int8(high>>8))
			wv.Length++
		}
		low, high, n = math.MaxInt16, math.MinInt16, 0
	}
	for {
		if _, err := io.ReadFull(br, b[:]); err != nil {
			flush()
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil
			}
			return err
		}
		v := int16(binary.LittleEndian.Uint16(b[:]))
		low, high = min(low, v), max(high, v)
		if n++; n == wv.SamplesPerPixel {
			flush()
		}
	}
}
