package media

import (
	"context"
	"path"
	"strings"

	"isthmus/gateway"
)

// Ladder adds the lower rungs and publishes source and rungs together under dir/ladder. The
// generation is complete in itself: the earlier one can go once nobody plays from it.
func (p *Pipeline) Ladder(ctx context.Context, src gateway.Source, _ gateway.Inspection, have gateway.Package, dir string, progress gateway.Progress) (gateway.Package, error) {
	key := strings.TrimSuffix(dir, "/") + "/" + ladderGeneration
	if have.Dir == key || have.DASH == "" {
		return have, nil
	}
	return p.generation(ctx, src, key, func(w *workspace, l look) (gateway.Package, error) {
		if l.Type != gateway.Video {
			return gateway.Package{}, gateway.E(gateway.Invalid, "no_ladder", "Only a video gets smaller renditions.").Next("Nothing needs to be done.")
		}
		release, err := slot(ctx, p.slow)
		if err != nil {
			return gateway.Package{}, err
		}
		defer release()
		return p.climb(ctx, w, l, src, have, progress)
	})
}

func (p *Pipeline) climb(ctx context.Context, w *workspace, l look, src gateway.Source, have gateway.Package, progress gateway.Progress) (gateway.Package, error) {
	rungs := lowerRungs(l.Width, l.Height, l.Is360())
	if !l.CopyVideo {
		top := topRung(l.Width, l.Height, l.Is360())
		rungs = append([]rung{top}, lowerRungs(top.width, top.height, l.Is360())...)
	}
	d := dash{nice: encodeIdle.nice, progress: part(progress, 0.95, 1)}
	var rends []gateway.PackagedRendition
	if l.CopyVideo {
		source := gateway.PackagedRendition{Name: "source", Key: "source.mp4", Width: l.Width, Height: l.Height}
		if d.progressive = !l.progressive(src); !d.progressive {
			source.Key = "/" + src.Blob
		}
		rends = append(rends, source)
		d.video = append(d.video, dashInput{file: inName, stream: l.video.Index})
	}
	if len(rungs) > 0 {
		if err := p.encode(ctx, w, l, rungs, encodeIdle, part(progress, 0, 0.95)); err != nil {
			return gateway.Package{}, err
		}
	}
	for _, r := range rungs {
		rends = append(rends, gateway.PackagedRendition{Name: r.name, Key: r.name + ".mp4", Width: r.width, Height: r.height})
		d.video = append(d.video, dashInput{file: outName + "/" + r.name + ".mp4"})
	}
	if !l.CopyVideo {
		d.audio = outName + "/" + rungs[0].name + ".mp4"
	}
	if err := p.muxDASH(ctx, w, l, d); err != nil {
		return gateway.Package{}, err
	}
	pkg := gateway.Package{DASH: manifestName, HLS: hlsName}
	var err error
	if pkg.Renditions, err = w.measure(rends, l); err != nil {
		return gateway.Package{}, err
	}
	if l.Is360() {
		for _, r := range rungs {
			if err := w.markSpherical(r.name+".mp4", l); err != nil {
				return gateway.Package{}, err
			}
		}
	}
	pkg.Thumbnails, err = w.takeThumbnails(have)
	return pkg, err
}

// takeThumbnails gives the earlier generation's pictures a second life in this one.
func (w *workspace) takeThumbnails(have gateway.Package) ([]gateway.Thumbnail, error) {
	var out []gateway.Thumbnail
	for _, t := range have.Thumbnails {
		from, err := blobPath(t.Key)
		if err != nil {
			return nil, err
		}
		b, err := w.disk.root.ReadFile(from)
		if err != nil {
			return nil, noSuchBlob(err)
		}
		t.Key = path.Base(t.Key)
		if err := w.write(t.Key, b); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}
