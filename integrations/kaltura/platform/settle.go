package platform

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"isthmus/gateway"
)

// AssetChanged brings an entry up to its asset: status, dimensions, flavors. cmd registers it in
// gateway.Assets.Settled for OwnerKalturaEntry. It may run any number of times, in any order with
// other changes of the entry. Harmless when the entry is gone.
func (p *Platform) AssetChanged(ctx context.Context, as gateway.Asset) error {
	for {
		err := p.Records.KalturaTx(ctx, func(tx Tx) error { return settle(ctx, tx.Kaltura(), as) })
		if !lostRace(err) {
			return err
		}
	}
}

func settle(ctx context.Context, t Tables, as gateway.Asset) error {
	found, err := t.Entries().Find(ctx, Find{Where: in("id", as.OwnerID), Limit: 1})
	if err != nil || len(found) == 0 {
		return err
	}
	e := found[0]
	if e.AssetID != as.ID {
		return nil // replaced meanwhile
	}
	flavors, err := t.Flavors().Find(ctx, Find{Partner: e.Partner, Where: in("entry_id", e.ID), Order: []Order{{Column: "params"}}})
	if err != nil {
		return err
	}
	look := as.Inspection
	switch {
	case as.State == gateway.AssetFailed:
		e.Status = entryErrorConverting
	case as.State.Plays():
		e.Status = entryReady
	default:
		e.Status = entryPreconvert
	}
	if look.Type != "" {
		e.MediaType = map[gateway.MediaType]int64{gateway.Video: mediaVideo, gateway.Image: mediaImage, gateway.Audio: mediaAudio}[look.Type]
		e.DurationMS, e.Width, e.Height = look.DurationMS, int64(look.Width), int64(look.Height)
	}
	pack := as.Package
	if e.ConversionProfile == sourceOnlyProfile { // keeps the source and nothing else
		pack.Renditions, pack.DASH, pack.HLS = nil, "", ""
	}
	if e.Status == entryReady && pack.Dir != "" {
		gen := Generation{DASH: pack.DASH, HLS: pack.HLS}
		if n := len(e.Generations); n == 0 || e.Generations[n-1] != gen {
			e.Generations = append(e.Generations, gen)
		}
		if len(as.Package.Thumbnails) > 0 || as.Package.Image != "" {
			e.ThumbVersion = max(e.ThumbVersion, 100000+int64(len(e.Generations))+1)
		}
	}
	if flavors, err = settleFlavors(ctx, t, e, as, pack, flavors); err != nil {
		return err
	}
	e.FlavorParams = ""
	if e.Status == entryReady || e.Status == entryErrorConverting {
		var ids []string
		for _, f := range flavors {
			if f.Status == flavorReady {
				ids = append(ids, fmt.Sprint(f.Params))
			}
		}
		e.FlavorParams = strings.Join(ids, ",")
	}
	return t.Entries().Update(ctx, &e)
}

// settleFlavors makes the flavors of an entry what its asset has: the source, and a rung for each
// rendition. Rungs keep their ids from one package to the next.
func settleFlavors(ctx context.Context, t Tables, e Entry, as gateway.Asset, pack gateway.Package, have []Flavor) ([]Flavor, error) {
	if e.MediaType == mediaImage {
		for _, f := range have {
			if err := t.Flavors().Delete(ctx, e.Partner, f.ID); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
	byParams, given := map[int64]Flavor{}, map[int64]bool{}
	for _, f := range have {
		if f.Given {
			given[f.Params] = true
			continue
		}
		byParams[f.Params] = f
	}
	look := as.Inspection
	source, known := byParams[0]
	if !known {
		source = Flavor{Row: Row{Partner: e.Partner, ID: newID()}, EntryID: e.ID, FileExt: extension(as.FileName), Tags: "source"}
	}
	source.Blob, source.Size = as.Original, as.Size
	if look.Type != "" {
		source.Width, source.Height, source.FrameRate = int64(look.Width), int64(look.Height), look.FrameRate
		source.Bitrate, source.Container, source.Codec = look.Bitrate/1000, container(look.Container), codecID(look.VideoCodec)
		source.Status = flavorReady
		if source.Codec == "avc1" && source.Container == "isom" || look.Type == gateway.Audio && look.CopyAudio {
			source.Tags = "source,web"
		}
	} else if as.State == gateway.AssetFailed {
		source.Status = flavorError
	}
	want := []Flavor{source}
	if e.Status == entryReady {
		for _, g := range standing(e.ConversionProfile, int64(look.Height), look.Type, pack.Renditions) {
			if given[g.params.id] {
				continue
			}
			r := g.rendition
			f, ok := byParams[g.params.id]
			if !ok {
				f = Flavor{Row: Row{Partner: e.Partner, ID: newID()}, EntryID: e.ID}
			}
			f.Params, f.Status, f.Blob, f.Size = g.params.id, flavorReady, r.Key, r.Size
			f.Width, f.Height, f.Bitrate, f.FrameRate = int64(r.Width), int64(r.Height), r.Bitrate/1000, look.FrameRate
			f.FileExt, f.Container, f.Codecs, f.Tags = extension(r.Key), "isom", r.Codecs, g.params.tags
			if r.Key == as.Original { // the top rung may be the very file that was uploaded
				f.FileExt = extension(as.FileName)
			}
			f.Codec, _, _ = strings.Cut(r.Codecs, ".")
			want = append(want, f)
		}
	}
	keep := map[string]bool{}
	for i := range want {
		f := &want[i]
		keep[f.ID] = true
		old, existed := byParams[f.Params]
		switch {
		case !existed:
			if err := t.Flavors().Insert(ctx, f); err != nil {
				return nil, err
			}
		case old != *f:
			if err := t.Flavors().Update(ctx, f); err != nil {
				return nil, err
			}
		}
	}
	for _, f := range have {
		if !keep[f.ID] && !f.Given {
			if err := t.Flavors().Delete(ctx, e.Partner, f.ID); err != nil {
				return nil, err
			}
		}
	}
	return want, nil
}

// rungGiven is a stock encoding with the rendition that stands for it.
type rungGiven struct {
	params    flavorParams
	rendition gateway.PackagedRendition
}

// standing gives each encoding of a profile the rendition that comes nearest to it from below; one that
// has none, because the ladder is not there yet, waits. The
// original encodes every one of them, also several of one height; our ladder has fewer rungs, so
// that neighbours may be the same file, and each says truly what is in it.
func standing(profileID, height int64, kind gateway.MediaType, renditions []gateway.PackagedRendition) []rungGiven {
	var out []rungGiven
	if len(renditions) == 0 {
		return nil
	}
	wanted := rungsFor(profileID, height)
	if kind != gateway.Video {
		wanted = wanted[:1]
	}
	for i, p := range wanted {
		best := renditions[0]
		if i < len(wanted)-1 {
			at := slices.IndexFunc(renditions, func(r gateway.PackagedRendition) bool { return int64(r.Height) <= p.height })
			if at < 0 {
				continue
			}
			best = renditions[at]
		}
		out = append(out, rungGiven{p, best})
	}
	return out
}

// container gives Kaltura's word for a container.
func container(s string) string {
	if s == "mp4" || s == "mov" {
		return "isom"
	}
	return s
}

// codecID gives Kaltura's word for a codec.
func codecID(s string) string {
	switch s {
	case "h264":
		return "avc1"
	case "hevc":
		return "hvc1"
	}
	return s
}
