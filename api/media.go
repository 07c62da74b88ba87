package api

import (
	"context"
	"strings"

	"isthmus/gateway"
	"isthmus/openapi"
)

func (s *Server) mediaOf(a gateway.Actor, m gateway.Media, d gateway.Decision) (openapi.Media, error) {
	thumb, err := s.thumbURL(a, "media:"+m.ID)
	if err != nil {
		return openapi.Media{}, err
	}
	out := openapi.Media{
		ID: m.ID, Source: openapi.MediaSourceKaltura, Name: m.Name, Description: text(m.Description), Type: openapi.MediaType(m.Type),
		Status: openapi.MediaStatus(m.Status), OwnerID: m.OwnerID, Tags: list(m.Tags), Is360: m.Is360(), DurationMs: m.DurationMS,
		Width: m.Width, Height: m.Height, CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt, ThumbnailURL: thumb,
		Decision: openapi.Decision{Reason: d.Reason, Text: d.Text},
	}
	if m.Renditions != nil {
		out.Renditions = ptr(each(m.Renditions, func(r gateway.Rendition) openapi.Rendition {
			return openapi.Rendition{
				ID: r.ID, Label: r.Label, Original: r.Original, Container: text(r.Container), Width: r.Width, Height: r.Height,
				Bitrate: r.Bitrate, Size: r.Size, Ready: r.Ready,
			}
		}))
	}
	if m.Captions != nil {
		captions, err := s.captionsOf(a, "media:"+m.ID, m.Captions)
		if err != nil {
			return openapi.Media{}, err
		}
		out.Captions = &captions
	}
	return out, nil
}

// ListMedia browses.
func (s *Server) ListMedia(ctx context.Context, r ListMediaRequestObject) (ListMediaResponseObject, error) {
	a, p := actorOf(ctx), r.Params
	q := gateway.Query{
		Text: strings.TrimSpace(deref(p.Q)), Types: strs[openapi.MediaType, gateway.MediaType](p.Type), Only360: p.Is360,
		Mine: p.Owner != nil, Tags: deref(p.Tag), Statuses: strs[openapi.MediaStatus, gateway.MediaStatus](p.Status),
		CreatedAfter: deref(p.CreatedAfter), CreatedBefore: deref(p.CreatedBefore), Sort: gateway.Sort(deref(p.Sort)),
		Limit: deref(p.Limit), Cursor: deref(p.Cursor),
	}
	if q.Sort == "" {
		q.Sort = gateway.SortNewest
	}
	if q.Limit == 0 {
		q.Limit = 30
	}
	page, err := s.catalog.Browse(ctx, a, q)
	if err != nil {
		return nil, err
	}
	out := openapi.MediaPage{Items: make([]openapi.Media, 0, len(page.Items)), Next: text(page.Next), AsOf: page.AsOf, Stale: page.Stale}
	if page.Total >= 0 {
		out.Total = &page.Total
	}
	for i, m := range page.Items {
		var d gateway.Decision
		if i < len(page.Decisions) {
			d = page.Decisions[i]
		}
		item, err := s.mediaOf(a, m, d)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, item)
	}
	return ListMedia200JSONResponse{Body: out, Headers: ListMedia200ResponseHeaders{Link: nextLink(ctx, out.Next)}}, nil
}

// GetMedia shows one entry.
func (s *Server) GetMedia(ctx context.Context, r GetMediaRequestObject) (GetMediaResponseObject, error) {
	a := actorOf(ctx)
	m, d, err := s.catalog.Get(ctx, a, r.ID)
	if err != nil {
		return nil, err
	}
	out, err := s.mediaOf(a, m, d)
	if err != nil {
		return nil, err
	}
	return GetMedia200JSONResponse(out), nil
}

// GetMediaPlayback gives addresses to play an entry.
func (s *Server) GetMediaPlayback(ctx context.Context, r GetMediaPlaybackRequestObject) (GetMediaPlaybackResponseObject, error) {
	a := actorOf(ctx)
	m, p, err := s.catalog.Playback(ctx, a, r.ID)
	if err != nil {
		return nil, err
	}
	thumb, err := s.thumbURL(a, "media:"+m.ID)
	if err != nil {
		return nil, err
	}
	out := playbackOf(p)
	if out.Captions, err = s.captionsOf(a, "media:"+m.ID, p.Captions); err != nil {
		return nil, err
	}
	out.ID, out.Name, out.Type, out.DurationMs, out.Thumbnail = m.ID, m.Name, openapi.MediaType(m.Type), m.DurationMS, &thumb
	setProjection(&out, m.Is360())
	return GetMediaPlayback200JSONResponse{PlaybackJSONResponse(out)}, nil
}

// playbackOf gives the addresses but those of captions. The platform's own thumbnail is not handed
// out: ours asks for visibility again and holds no session.
func playbackOf(p gateway.Playback) openapi.Playback {
	return openapi.Playback{
		Dash: text(p.DASH), Hls: text(p.HLS), Progressive: text(p.Progressive), Image: text(p.Image), Waveform: text(p.Waveform),
		ExpiresAt: p.ExpiresAt,
	}
}

// setProjection says how to show it. Kaltura knows the tag only; equirectangular is what it means in practice.
func setProjection(p *openapi.Playback, is360 bool) {
	p.Is360, p.Projection = is360, openapi.ProjectionFlat
	if is360 {
		p.Projection = openapi.ProjectionEquirectangular
	}
}

// MarkMedia360 adds the tag 360.
func (s *Server) MarkMedia360(ctx context.Context, r MarkMedia360RequestObject) (MarkMedia360ResponseObject, error) {
	a := actorOf(ctx)
	if _, err := s.catalog.Mark360(ctx, a, r.ID); err != nil {
		return nil, err
	}
	m, d, err := s.catalog.Get(ctx, a, r.ID)
	if err != nil {
		return nil, err
	}
	out, err := s.mediaOf(a, m, d)
	if err != nil {
		return nil, err
	}
	return MarkMedia360200JSONResponse(out), nil
}
