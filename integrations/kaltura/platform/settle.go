package platform

import (
	"context"
	"fmt"
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
			e.ThumbVersion = 100000 + int64(len(e.Generations)) + 1
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
	byParams := map[int64]Flavor{}
	for _, f := range have {
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
		used := map[int64]bool{0: true}
		for i := len(pack.Renditions) - 1; i >= 0; i-- { // lowest rung first
			r := pack.Renditions[i]
			params := rungParams(int64(r.Height), used)
			f, ok := byParams[params]
			if !ok {
				f = Flavor{Row: Row{Partner: e.Partner, ID: newID()}, EntryID: e.ID}
			}
			f.Params, f.Status, f.Blob, f.Size = params, flavorReady, r.Key, r.Size
			f.Width, f.Height, f.Bitrate, f.FrameRate = int64(r.Width), int64(r.Height), r.Bitrate/1000, look.FrameRate
			f.FileExt, f.Container, f.Codecs, f.Tags = extension(r.Key), "isom", r.Codecs, paramsOf(params).tags
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
		if !keep[f.ID] {
			if err := t.Flavors().Delete(ctx, e.Partner, f.ID); err != nil {
				return nil, err
			}
		}
	}
	return want, nil
}

// rungParams chooses the stock flavor params for a picture height; used ones are passed over.
func rungParams(height int64, used map[int64]bool) int64 {
	params := int64(7)
	for _, step := range []struct{ height, params int64 }{{360, 2}, {480, 3}, {540, 4}, {720, 5}} {
		if height <= step.height {
			params = step.params
			break
		}
	}
	for used[params] {
		params++
	}
	used[params] = true
	return params
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
