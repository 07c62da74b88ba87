package kaltura

import (
	"context"
	"strings"
	"time"

	"isthmus/gateway"
)

// Look implements gateway.Looker. Lists of ids are cut in silence near 150, and without statuses
// they show ready entries only (recorded).
func (p *Platform) Look(ctx context.Context, ids []string) ([]gateway.Media, error) {
	var ask []string
	for _, id := range ids {
		if entryIDs.MatchString(id) {
			ask = append(ask, id)
		}
	}
	if len(ask) == 0 {
		return nil, nil
	}
	w, err := p.wide(ctx)
	if err != nil {
		return nil, public(err)
	}
	var l list[entry]
	if err := p.as(ctx, w, "media.list", params{
		"filter": params{"objectType": "KalturaMediaEntryFilter", "idIn": strings.Join(ask, ","), "statusIn": statusIn(nil)},
		"pager":  params{"pageSize": pageMax, "pageIndex": 1},
	}, &l); err != nil {
		return nil, public(err)
	}
	out := make([]gateway.Media, 0, len(l.Objects))
	for _, e := range l.Objects {
		out = append(out, e.media())
	}
	return out, nil
}

// longestLife asks for a session that is longer than any token's warning time and gives the life
// that was granted, for a token that may not tell its own expiry: Kaltura cuts a session's life to
// that of its token in silence. The session is only measured and then forgotten; ending it would end
// every session of the token, which all carry the token's id as their session id.
func (b *prober) longestLife(ctx context.Context, widget session) time.Duration {
	const want = 31 * 24 * time.Hour
	now := b.clock()
	s, err := b.sessions.startSession(ctx, widget, b.hashType, b.nobody, want, "")
	if err != nil {
		return 0
	}
	return time.Duration(float64(s.until.Sub(now)) / renewAt).Round(time.Second)
}
