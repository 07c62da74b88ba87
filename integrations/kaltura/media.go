package kaltura

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"isthmus/gateway"
)

// Entry statuses in Kaltura's numbers; plugins add strings such as virusScan.Infected.
const (
	statusNoContent = "7"
	statusReady     = "2"
)

var statusWords = map[gateway.MediaStatus][]string{
	gateway.MediaUploading:  {statusNoContent},
	gateway.MediaProcessing: {"0", "1", "4", "5"},
	gateway.MediaReady:      {statusReady},
	gateway.MediaFailed:     {"-2", "-1", "6", "virusScan.Infected", "virusScan.ScanFailure"},
}

func mediaStatus(kaltura string) gateway.MediaStatus {
	for ours, theirs := range statusWords {
		if slices.Contains(theirs, kaltura) {
			return ours
		}
	}
	return gateway.MediaProcessing
}

// statusIn is the filter for the given statuses, or for all: without one Kaltura lists ready entries only.
func statusIn(want []gateway.MediaStatus) string {
	if len(want) == 0 {
		want = []gateway.MediaStatus{gateway.MediaUploading, gateway.MediaProcessing, gateway.MediaReady, gateway.MediaFailed}
	}
	var out []string
	for _, s := range want {
		out = append(out, statusWords[s]...)
	}
	return strings.Join(out, ",")
}

var mediaTypes = map[gateway.MediaType]int{gateway.Video: 1, gateway.Image: 2, gateway.Audio: 5}

func mediaType(n number) gateway.MediaType {
	for t, v := range mediaTypes {
		if int(n) == v {
			return t
		}
	}
	return gateway.Other
}

var thumbVersion = regexp.MustCompile(`/version/([0-9A-Za-z]+)`)

// Pages are kept for when Kaltura does not answer, so a server must not choose how large they are.
const (
	nameLimit = 1 << 10
	textLimit = 16 << 10
)

// brief cuts what is longer than limit bytes, and lets go of the rest.
func brief(t text, limit int) string {
	if len(t) <= limit {
		return string(t)
	}
	return strings.Clone(cutBytes(string(t), limit))
}

func (e entry) media() gateway.Media {
	m := gateway.Media{
		ID: string(e.ID), Name: brief(e.Name, nameLimit), Description: brief(e.Description, textLimit),
		Type: mediaType(e.MediaType), Status: mediaStatus(string(e.Status)), OwnerID: brief(e.UserID, nameLimit),
		Tags: splitTags(brief(e.Tags, textLimit)), DurationMS: max(0, int64(e.MSDuration)),
		Width: max(0, int(e.Width)), Height: max(0, int(e.Height)), ReferenceID: brief(e.ReferenceID, nameLimit),
		CreatedAt: unix(e.CreatedAt), UpdatedAt: unix(e.UpdatedAt), Replacing: e.replacing(),
	}
	if m.DurationMS == 0 {
		m.DurationMS = max(0, int64(e.Duration)) * 1000
	}
	if v := thumbVersion.FindStringSubmatch(string(e.ThumbnailURL)); v != nil {
		m.ThumbVersion = v[1]
	}
	return m
}

func splitTags(s string) []string {
	var out []string
	for t := range strings.SplitSeq(s, ",") {
		if t = strings.TrimSpace(t); t != "" {
			out = append(out, t)
		}
	}
	return out
}

// hasTag compares as Kaltura stores tags: ASCII letters in lower case.
func hasTag(tags []string, tag string) bool {
	tag = strings.TrimSpace(tag)
	return slices.ContainsFunc(tags, func(t string) bool { return strings.EqualFold(t, tag) })
}

func renditions(e entry, flavors []flavorAsset) []gateway.Rendition {
	m := e.media()
	if m.Type == gateway.Image { // images have no flavours: the file itself is all there is
		return []gateway.Rendition{{
			ID: gateway.RenditionOriginal, Label: "Original", Original: true,
			Width: m.Width, Height: m.Height, Ready: m.Status == gateway.MediaReady,
		}}
	}
	out := make([]gateway.Rendition, 0, len(flavors))
	for _, f := range flavors {
		r := gateway.Rendition{
			ID: string(f.ID), Label: string(f.Label), Original: bool(f.IsOriginal), Container: string(f.FileExt),
			Width: max(0, int(f.Width)), Height: max(0, int(f.Height)), Bitrate: max(0, int(f.Bitrate)) * 1000, Size: max(0, int64(f.SizeInBytes)),
			Ready: f.Status == flavorReady, FlavorID: int64(f.ParamsID),
		}
		if r.Label == "" {
			r.Label = label(r)
		}
		out = append(out, r)
	}
	return out
}

func label(r gateway.Rendition) string {
	switch {
	case r.Original:
		return "Original"
	case r.Height > 0:
		return strconv.Itoa(r.Height) + "p"
	case r.Bitrate > 0:
		return strconv.Itoa(r.Bitrate/1000) + " kbit/s"
	}
	return r.ID
}
