package media

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"isthmus/gateway"
)

// The two generations below an asset's folder.
const (
	playGeneration   = "play"
	ladderGeneration = "ladder"
	packageFile      = "package.json" // what the generation holds; makes a second run harmless
	maxOutputFiles   = 100_000
)

// Package makes the quickest playable form. Keys come out below dir/play.
func (p *Pipeline) Package(ctx context.Context, src gateway.Source, in gateway.Inspection, dir string, progress gateway.Progress) (gateway.Package, error) {
	return p.generation(ctx, src, strings.TrimSuffix(dir, "/")+"/"+playGeneration, func(w *workspace, l look) (gateway.Package, error) {
		c := p.slow
		if l.Type != gateway.Video || l.CopyVideo {
			c = p.quick
		}
		release, err := slot(ctx, c)
		if err != nil {
			return gateway.Package{}, err
		}
		defer release()
		switch l.Type {
		case gateway.Image:
			return p.packageImage(ctx, w, l)
		case gateway.Audio:
			return p.packageAudio(ctx, w, l, src, progress)
		}
		return p.packageVideo(ctx, w, l, src, progress)
	})
}

// generation runs make in a workspace and publishes its output folder under key, whole or not at
// all. What is already there was made by the same code from the same bytes, and is given back.
func (p *Pipeline) generation(ctx context.Context, src gateway.Source, key string, make func(*workspace, look) (gateway.Package, error)) (gateway.Package, error) {
	to, err := blobPath(key)
	if err != nil {
		return gateway.Package{}, err
	}
	if have, err := p.published(to); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return have, ioError(err)
	}
	w, err := p.workspace(src)
	if err != nil {
		return gateway.Package{}, err
	}
	defer w.Close()
	if err := p.disk.room(w.size); err != nil {
		return gateway.Package{}, ioError(err)
	}
	l, err := p.look(ctx, w)
	if err != nil {
		return gateway.Package{}, err
	}
	pkg, err := make(w, l)
	if err != nil {
		return gateway.Package{}, err
	}
	pkg = keyed(pkg, key)
	b, err := json.Marshal(pkg)
	if err != nil {
		return gateway.Package{}, err
	}
	if err := errors.Join(w.write(packageFile, b), w.accept()); err != nil {
		return gateway.Package{}, ioError(err)
	}
	err = p.disk.publish(w.path(outName), to)
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
		return p.published(to) // somebody else was first
	}
	return pkg, ioError(err)
}

func (p *Pipeline) published(to string) (gateway.Package, error) {
	b, err := p.disk.root.ReadFile(to + "/" + packageFile)
	if err != nil {
		return gateway.Package{}, err
	}
	var pkg gateway.Package
	return pkg, json.Unmarshal(b, &pkg)
}

// write puts a file of ours beside ffmpeg's. ffmpeg is over by now, and exclusive creation follows no link it may have left.
func (w *workspace) write(name string, b []byte) error {
	f, err := w.disk.root.OpenFile(w.path(outName)+"/"+name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// accept makes ffmpeg's output ours: plain files only, with no other name, not endless many.
func (w *workspace) accept() error {
	root, out, n := w.disk.root, w.path(outName), 0
	return fs.WalkDir(root.FS(), out, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if n++; n > maxOutputFiles {
			return errors.New("too many output files")
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !e.IsDir() && (!info.Mode().IsRegular() || !ok || st.Nlink != 1) {
			return fmt.Errorf("%s is not a plain file", name)
		}
		if e.IsDir() && name != out {
			return fmt.Errorf("%s is a folder", name)
		}
		if ok && int(st.Uid) != os.Geteuid() {
			return root.Lchown(name, os.Geteuid(), os.Getegid())
		}
		return nil
	})
}

// packageVideo repackages without encoding when the codecs allow, else encodes one quick rung.
func (p *Pipeline) packageVideo(ctx context.Context, w *workspace, l look, src gateway.Source, progress gateway.Progress) (gateway.Package, error) {
	var pkg gateway.Package
	g, gctx := errgroup.WithContext(ctx)
	var thumbs []gateway.Thumbnail
	g.Go(func() (err error) {
		thumbs, err = p.videoThumbnails(gctx, w, l)
		return err
	})
	var rends []gateway.PackagedRendition
	g.Go(func() (err error) {
		rends, err = p.firstRenditions(gctx, w, l, src, progress)
		return err
	})
	if err := g.Wait(); err != nil {
		return pkg, err
	}
	pkg = gateway.Package{DASH: manifestName, HLS: hlsName, Thumbnails: thumbs}
	var err error
	pkg.Renditions, err = w.measure(rends, l)
	return pkg, err
}

func (p *Pipeline) firstRenditions(ctx context.Context, w *workspace, l look, src gateway.Source, progress gateway.Progress) ([]gateway.PackagedRendition, error) {
	if l.CopyVideo {
		source := gateway.PackagedRendition{Name: "source", Key: "source.mp4", Width: l.Width, Height: l.Height}
		plain := l.progressive(src)
		if plain {
			source.Key = "/" + src.Blob
		}
		d := dash{video: []dashInput{{file: inName, stream: l.video.Index}}, progressive: !plain, progress: progress}
		return []gateway.PackagedRendition{source}, p.muxDASH(ctx, w, l, d)
	}
	r := firstRung(l.Width, l.Height, l.Is360())
	if err := p.encode(ctx, w, l, []rung{r}, encodeFast, part(progress, 0, 0.95)); err != nil {
		return nil, err
	}
	file := outName + "/" + r.name + ".mp4"
	d := dash{video: []dashInput{{file: file}}, audio: file, progress: part(progress, 0.95, 1)}
	return []gateway.PackagedRendition{{Name: r.name, Key: r.name + ".mp4", Width: r.width, Height: r.height}}, p.muxDASH(ctx, w, l, d)
}

// progressive tells whether the original itself is a plain MP4 that every player takes.
func (l look) progressive(src gateway.Source) bool {
	return src.Blob != "" && l.format.demuxer == "mov" && l.CopyVideo && (l.audio == nil || l.CopyAudio)
}

// measure fills in size, bit rate and codecs from what was written. A key that begins with a
// slash is a blob outside of the generation.
func (w *workspace) measure(rends []gateway.PackagedRendition, l look) ([]gateway.PackagedRendition, error) {
	reps, err := w.representations()
	if err != nil {
		return nil, err
	}
	audio := ""
	for _, r := range reps {
		if r.Width == 0 {
			audio = r.Codecs
		}
	}
	video := 0
	for i := range rends {
		name := w.path(outName) + "/" + rends[i].Key
		if strings.HasPrefix(rends[i].Key, "/") {
			name = w.path(inName)
		}
		st, err := w.disk.root.Stat(name)
		if err != nil {
			return nil, err
		}
		rends[i].Size = st.Size()
		if l.DurationMS > 0 {
			rends[i].Bitrate = int64(math.Round(float64(st.Size()) * 8000 / float64(l.DurationMS)))
		}
		for ; video < len(reps); video++ {
			if reps[video].Width > 0 {
				rends[i].Codecs = reps[video].Codecs
				video++
				break
			}
		}
		if audio != "" {
			rends[i].Codecs = strings.TrimPrefix(rends[i].Codecs+","+audio, ",")
		}
	}
	return rends, nil
}

// keyed turns the names inside a generation into blob keys.
func keyed(pkg gateway.Package, key string) gateway.Package {
	abs := func(name *string) {
		if outside, ok := strings.CutPrefix(*name, "/"); ok {
			*name = outside
		} else if *name != "" {
			*name = key + "/" + *name
		}
	}
	pkg.Dir = key
	for _, name := range []*string{&pkg.DASH, &pkg.HLS, &pkg.Image, &pkg.Waveform} {
		abs(name)
	}
	for i := range pkg.Thumbnails {
		abs(&pkg.Thumbnails[i].Key)
	}
	for i := range pkg.Renditions {
		abs(&pkg.Renditions[i].Key)
	}
	return pkg
}

// part maps a step's progress into its share of the whole.
func part(p gateway.Progress, from, to float64) gateway.Progress {
	if p == nil {
		return nil
	}
	return func(v float64) { p(from + v*(to-from)) }
}

func (l look) duration() time.Duration { return time.Duration(l.DurationMS) * time.Millisecond }

// copyTime bounds a run that only moves bytes: it must do 10 MB a second.
func copyTime(size int64) time.Duration {
	return 2*time.Minute + time.Duration(size/10_000_000)*time.Second
}

// encodeTime bounds a run that encodes: at least a thirtieth of real time for a full HD picture.
func (l look) encodeTime() time.Duration {
	pixels := max(float64(l.Width*l.Height)/(1920*1080), 0.5) * max(l.FrameRate, 30) / 30
	return min(5*time.Minute+time.Duration(float64(l.duration())*30*pixels), 72*time.Hour)
}

// memory grows with the picture: a decoder keeps up to 17 of them, and as many again in threads.
func (l look) memory() uint64 {
	return 3<<30 + uint64(l.Width)*uint64(l.Height)*48
}
