package gateway

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Catalog browses "From Kaltura". It is the one place that asks Decide about media. Safe for
// concurrent use.
type Catalog struct {
	Integrations *Integrations
	Mappings     *Mappings
	Clock        Clock
	StaleAfter   time.Duration  // how old a cached page may be when the platform does not answer
	Refused      func(Decision) // hears of each entry that a platform gave and Decide refused; may be nil

	once  sync.Once
	pages lru[Page]  // last good answers, by viewer and question
	seen  lru[shown] // entries just listed, so that a page of thumbnails does not ask for each again
}

// shown is an entry as the platform told it a moment ago. Decide is asked about it each time.
type shown struct {
	media Media
	at    time.Time
}

const (
	cachedPages = 256
	cachedMedia = 8192
	seenLife    = time.Minute
	// stalePatience is how long somebody waits for a platform that is known not to answer while there
	// is an older page to show.
	stalePatience = 3 * time.Second
	maxPage       = 100
	defaultPage   = 50
)

func (s *Catalog) caches() {
	s.once.Do(func() { s.pages.max, s.seen.max = cachedPages, cachedMedia })
}

// view is who asks which account, after all gates but Decide.
type view struct {
	Opened
	actor Actor
}

// enter passes the gates: plan, connection, machine clients, mapping.
func (s *Catalog) enter(ctx context.Context, a Actor, write bool) (view, error) {
	s.caches()
	o, err := s.Integrations.OpenFor(ctx, a.HubID, write)
	if err != nil {
		return view{}, err
	}
	if a.Machine() && o.Integration.Visibility == VisibilityOwn {
		d := Decide(a, o.Integration, Media{})
		return view{}, E(Forbidden, d.Reason, d.Text).
			Next("Act for a person: exchange that person's token for one of yours (token exchange), or ask the hub's administrator to share the whole account.")
	}
	mapped, err := s.Mappings.Resolve(ctx, a, o)
	if IsReason(err, "mapping_off") && o.Integration.Visibility == VisibilityShared && !write {
		return view{o, mapped}, nil // reading a shared account needs no user of one's own
	}
	if err != nil {
		s.Integrations.Heard(ctx, o.Integration, err)
		err = s.Integrations.keepTrying(ctx, o.Integration, err)
	}
	return view{o, mapped}, err
}

// Browse gives a page of what the actor may see. When the platform is unavailable the last good
// answer to the same question by the same viewer is served with Stale set.
func (s *Catalog) Browse(ctx context.Context, a Actor, q Query) (Page, error) {
	if err := q.check(); err != nil {
		return Page{}, err
	}
	v, err := s.enter(ctx, a, false)
	if err != nil {
		return Page{}, err
	}
	me, own := v.actor.PlatformUserID, v.Integration.Visibility == VisibilityOwn
	if own || q.Mine {
		if me == "" || (q.OwnerID != "" && q.OwnerID != me) {
			return Page{Items: []Media{}, Decisions: []Decision{}, AsOf: s.Clock()}, nil // nobody's, or somebody else's
		}
		q.OwnerID = me
	}
	key := s.key(v, q)
	old, have := s.pages.get(key)
	have = have && s.Clock().Sub(old.AsOf) <= s.StaleAfter
	ask, cancel := ctx, context.CancelFunc(func() {})
	if have && v.Integration.Health != HealthOK {
		ask, cancel = context.WithTimeout(ctx, stalePatience)
	}
	page, err := v.Platform.Browse(ask, v.actor, q)
	hurried := ask.Err() != nil
	cancel()
	if !hurried { // else it was our own haste, which says nothing
		s.Integrations.Heard(ctx, v.Integration, err)
	}
	if err != nil {
		if c := CodeOf(err); have && (c == Unavailable || c == RateLimited) {
			old.Stale = true
			return s.filter(v, q, old), nil
		}
		return Page{}, s.Integrations.keepTrying(ctx, v.Integration, err)
	}
	if page.AsOf.IsZero() {
		page.AsOf = s.Clock()
	}
	page = s.filter(v, q, page)
	s.pages.put(key, page)
	for _, m := range page.Items {
		s.show(v, m)
	}
	return page, nil
}

// filter decides about every item on the way back, whatever was asked for and wherever it was kept.
func (s *Catalog) filter(v view, q Query, p Page) Page {
	items, why := make([]Media, 0, len(p.Items)), make([]Decision, 0, len(p.Items))
	for _, m := range p.Items {
		d := Decide(v.actor, v.Integration, m)
		if !d.Allowed {
			s.refused(d)
			p.Total = -1 // a number would tell of what is not shown
			continue
		}
		if q.Only360 != nil && m.Is360() != *q.Only360 {
			p.Total = -1 // the platform's filter also finds tags that only contain "360"
			continue
		}
		items, why = append(items, m), append(why, d)
	}
	p.Items, p.Decisions = items, why
	return p
}

func (s *Catalog) refused(d Decision) {
	if s.Refused != nil {
		s.Refused(d)
	}
}

// key is one question by one viewer on one account with its present rules.
func (s *Catalog) key(v view, q Query) string {
	raw, _ := json.Marshal(q) // plain values only: cannot fail
	scope := string(v.Integration.Visibility) + strconv.FormatInt(v.Integration.CategoryID, 10)
	return strings.Join([]string{v.rules(), scope, v.viewer(), string(raw)}, "\n")
}

// rules names what decides at the platform who sees what: what was told before it changed says
// nothing of what may be shown now.
func (v view) rules() string {
	in := v.Integration
	return strings.Join([]string{in.ID, in.AppTokenID, string(in.Entitlement), in.PrivacyContext}, "\n")
}

func (v view) viewer() string { return v.actor.Subject() + "\n" + v.actor.PlatformUserID }

// Get gives one entry the actor may see, with the reason. NotFound otherwise, whatever the cause.
func (s *Catalog) Get(ctx context.Context, a Actor, id string) (Media, Decision, error) {
	v, err := s.enter(ctx, a, false)
	if err != nil {
		return Media{}, Decision{}, err
	}
	return s.get(ctx, v, id)
}

func (s *Catalog) get(ctx context.Context, v view, id string) (Media, Decision, error) {
	if id == "" || len(id) > 64 || strings.ContainsFunc(id, notIDRune) {
		return Media{}, Decision{}, mediaNotFound()
	}
	m, err := v.Platform.Get(ctx, v.actor, id)
	s.Integrations.Heard(ctx, v.Integration, err)
	switch CodeOf(err) {
	case "":
	case NotFound, Forbidden: // told apart they would say that the entry exists
		return Media{}, Decision{}, mediaNotFound()
	default:
		return Media{}, Decision{}, s.Integrations.keepTrying(ctx, v.Integration, err)
	}
	d := Decide(v.actor, v.Integration, m)
	if !d.Allowed {
		s.refused(d)
		return Media{}, d, mediaNotFound()
	}
	s.show(v, m)
	return m, d, nil
}

// Playback gives addresses to play an entry.
func (s *Catalog) Playback(ctx context.Context, a Actor, id string) (Media, Playback, error) {
	v, err := s.enter(ctx, a, false)
	if err != nil {
		return Media{}, Playback{}, err
	}
	m, _, err := s.get(ctx, v, id)
	if err != nil {
		return Media{}, Playback{}, err
	}
	player, ok := v.Platform.(Player)
	if !ok {
		return Media{}, Playback{}, notOffered()
	}
	pb, err := player.Playback(ctx, v.actor, m)
	if err != nil {
		err = s.Integrations.keepTrying(ctx, v.Integration, err)
	}
	return m, pb, err
}

// Thumbnail streams an entry's picture with its content type.
func (s *Catalog) Thumbnail(ctx context.Context, a Actor, id string, width int) (io.ReadCloser, string, error) {
	v, err := s.enter(ctx, a, false)
	if err != nil {
		return nil, "", err
	}
	player, ok := v.Platform.(Player)
	if !ok {
		return nil, "", notOffered()
	}
	m, known := s.recall(v, id, seenLife)
	if !known {
		if m, _, err = s.get(ctx, v, id); err != nil {
			// The pictures of a stale page: they may lie on another server than the one that is down.
			if c := CodeOf(err); c != Unavailable && c != RateLimited {
				return nil, "", err
			}
			if m, known = s.recall(v, id, s.StaleAfter); !known {
				return nil, "", err
			}
		}
	}
	return player.Thumbnail(ctx, v.actor, m, width)
}

// Caption gives a text track of an entry as WebVTT.
func (s *Catalog) Caption(ctx context.Context, a Actor, id, caption string) ([]byte, error) {
	v, err := s.enter(ctx, a, false)
	if err != nil {
		return nil, err
	}
	m, _, err := s.get(ctx, v, id)
	if err != nil {
		return nil, err
	}
	captioner, ok := v.Platform.(Captioner)
	// Only one of the entry's own: a platform reads any by its id.
	i := slices.IndexFunc(m.Captions, func(c Caption) bool { return c.ID == caption })
	if !ok || i < 0 {
		return nil, E(NotFound, "caption_not_found", "There are no such captions.").Next("Load the media again for what there is.")
	}
	return captioner.Caption(ctx, v.actor, m.Captions[i])
}

// show remembers an entry that the platform has just given to a viewer.
func (s *Catalog) show(v view, m Media) {
	now, key := s.Clock(), v.rules()+"\n"+m.ID
	if v.Integration.Entitlement == EntitlementDisable {
		s.seen.put(key, shown{m, now})
	}
	s.seen.put(key+"\n"+v.viewer(), shown{m, now})
}

// recall gives an entry as the platform showed it a while ago, if the viewer may see it. Only what was
// shown to this very viewer, because the platform may have rules of its own; for a moment also what
// others saw where its entitlement is switched off.
func (s *Catalog) recall(v view, id string, life time.Duration) (Media, bool) {
	key := v.rules() + "\n" + id
	if life > seenLife || v.Integration.Entitlement != EntitlementDisable {
		key += "\n" + v.viewer()
	}
	recent, known := s.seen.get(key)
	if !known || s.Clock().Sub(recent.at) > life || !Decide(v.actor, v.Integration, recent.media).Allowed {
		return Media{}, false
	}
	return recent.media, true
}

// Recall gives an entry as it was shown before, for a time when the platform does not answer. It
// asks Decide as always.
func (s *Catalog) Recall(ctx context.Context, a Actor, id string) (Media, bool) {
	v, err := s.enter(ctx, a, false)
	if err != nil {
		return Media{}, false
	}
	return s.recall(v, id, s.StaleAfter)
}

// Mark360 adds the tag 360 to an entry the actor may see.
func (s *Catalog) Mark360(ctx context.Context, a Actor, id string) (Media, error) {
	v, err := s.enter(ctx, a, true)
	if err != nil {
		return Media{}, err
	}
	m, _, err := s.get(ctx, v, id)
	if err != nil || m.Is360() {
		return m, err
	}
	tagger, ok := v.Platform.(Tagger)
	if !ok {
		return Media{}, notOffered()
	}
	tagged, err := tagger.AddTag(ctx, v.actor, m.ID, Tag360)
	if err != nil {
		return Media{}, err
	}
	m.Tags, m.UpdatedAt = tagged.Tags, tagged.UpdatedAt // renditions stay as Get gave them
	s.show(v, m)
	to := a.ParticipantID // in own mode nobody else may learn of the entry
	if v.Integration.Visibility == VisibilityShared {
		to = ""
	}
	return m, s.Integrations.Store.Tx(ctx, func(tx Tx) error {
		if err := audit(ctx, tx, a, "media.tagged", m.ID, map[string]any{"tag": Tag360}); err != nil {
			return err
		}
		return s.Integrations.Events.Append(ctx, tx, a.HubID, to, "media.tagged", m.ID, map[string]any{"tag": Tag360})
	})
}

// check brings a query into its limits.
func (q *Query) check() error {
	if q.Limit <= 0 {
		q.Limit = defaultPage
	}
	q.Limit = min(q.Limit, maxPage)
	switch q.Sort {
	case "":
		q.Sort = SortNewest
	case SortNewest, SortOldest, SortName, SortLongest, SortUpdated:
	default:
		return E(Invalid, "sort", "There is no such order.").At("/sort").Next("Use created, -created, name, -duration or -updated.")
	}
	for _, t := range q.Types {
		if !slices.Contains([]MediaType{Video, Image, Audio, Other}, t) {
			return E(Invalid, "type", "There is no such media type.").At("/type").Next("Use video, image, audio or other.")
		}
	}
	for _, t := range q.Statuses {
		if !slices.Contains([]MediaStatus{MediaUploading, MediaProcessing, MediaReady, MediaFailed}, t) {
			return E(Invalid, "status", "There is no such status.").At("/status").Next("Use uploading, processing, ready or failed.")
		}
	}
	if !q.CreatedAfter.IsZero() && !q.CreatedBefore.IsZero() && q.CreatedBefore.Before(q.CreatedAfter) {
		return E(Invalid, "created", "The time span ends before it begins.").At("/created_before").Next("Swap the two dates.")
	}
	return nil
}

func mediaNotFound() *Error {
	return E(NotFound, "media_not_found", "There is no such media, or you may not see it.").
		Next("Search for it in the media library; what your hub shows you is explained under Account → Integrations.")
}

func notOffered() *Error {
	return E(Invalid, "not_offered", "The connected platform cannot do this.").Next("Open the media on the platform itself.")
}
