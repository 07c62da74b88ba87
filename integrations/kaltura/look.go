package kaltura

import (
	"context"
	"slices"
	"strings"
	"time"

	"isthmus/gateway"
)

// Look implements gateway.Looker. Lists of ids are cut in silence near 150, and without statuses
// they show ready entries only (recorded). With a category it is asked for a second time, within it.
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
	filter := params{"objectType": "KalturaMediaEntryFilter", "idIn": strings.Join(ask, ","), "statusIn": statusIn(nil)}
	read := func() ([]entry, error) {
		var l list[entry]
		err := p.as(ctx, w, "media.list", params{"filter": filter, "pager": params{"pageSize": pageMax, "pageIndex": 1}}, &l)
		return l.Objects, public(err)
	}
	found, err := read()
	if err != nil {
		return nil, err
	}
	out := make([]gateway.Media, 0, len(found))
	for _, e := range found {
		out = append(out, e.media())
	}
	if p.account.CategoryID == 0 || len(out) == 0 {
		return out, nil
	}
	p.scope(filter) // Kaltura knows the tree; an entry names only the category that it is in itself
	inside, err := read()
	if err != nil {
		return nil, err
	}
	for i := range out {
		if slices.ContainsFunc(inside, func(e entry) bool { return string(e.ID) == out[i].ID }) {
			out[i].CategoryID = p.account.CategoryID
		}
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
