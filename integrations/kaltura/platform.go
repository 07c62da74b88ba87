package kaltura

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"isthmus/gateway"
)

// Options are what an account needs besides itself.
type Options struct {
	// Transport performs the requests: guarded against internal addresses, or in-process.
	Transport http.RoundTripper
	Log       *slog.Logger
	Clock     gateway.Clock
	// Patience is how long a call may take with all its repeats; 0 = DefaultPatience. Silence of half
	// that time ends it, and a server that fails again and again is left alone for as long.
	Patience time.Duration
}

// Platform is one Kaltura account. It implements gateway.Platform, Player, Tagger, Provisioner,
// Prober, Remover, Finder, Profiler, Captioner, Reowner, Editor and RemoteDropFolders. Safe for concurrent use; keep one per account, it holds sessions and breakers.
type Platform struct {
	*client
	guard *resilience

	account  gateway.Account
	hashType string
	sessions *sessions // of the App Token
	players  *sessions // of the one that plays: a second App Token, or the same
	log      *slog.Logger

	finishing singleflight.Group // by reference id
	known     known              // what names mean
	pictures  chan struct{}      // places for thumbnails in memory
	tagging   [64]sync.Mutex     // striped by entry id: reading, merging and writing tags is not atomic in Kaltura
}

var (
	_ gateway.Platform    = (*Platform)(nil)
	_ gateway.Player      = (*Platform)(nil)
	_ gateway.Tagger      = (*Platform)(nil)
	_ gateway.Provisioner = (*Platform)(nil)
	_ gateway.Prober      = (*Platform)(nil)
	_ gateway.Remover     = (*Platform)(nil)
	_ gateway.Finder      = (*Platform)(nil)
	_ gateway.Looker      = (*Platform)(nil)
	_ gateway.Profiler    = (*Platform)(nil)
	_ gateway.Captioner   = (*Platform)(nil)
	_ gateway.Reowner     = (*Platform)(nil)
	_ gateway.Editor      = (*Platform)(nil)
	_ gateway.Replacer    = (*ingest)(nil)

	_ gateway.RemoteDropFolders = (*Platform)(nil)
)

// New makes the account ready without calling it. Invalid with a reason when its values cannot be
// right: partner_id_invalid, app_token_id_invalid, app_token_missing, hash_type_unknown.
func New(a gateway.Account, o Options) (*Platform, error) {
	bad := func(field, reason, message string) error {
		return gateway.E(gateway.Invalid, reason, message).At("/" + field)
	}
	hashType := strings.ToUpper(strings.ReplaceAll(a.HashType, "-", ""))
	switch {
	case a.ServiceURL == "":
		return nil, bad("service_url", "service_url_malformed", "The service URL is missing.")
	case a.PartnerID <= 0:
		return nil, bad("partner_id", "partner_id_invalid", "The partner id is a positive number.")
	case !tokenIDs.MatchString(a.AppTokenID):
		return nil, bad("app_token_id", "app_token_id_invalid", "The App Token id looks like 0_a1b2c3d4.")
	case a.AppToken == "":
		return nil, bad("app_token", "app_token_missing", "The App Token value is missing.")
	case hashes[hashType] == nil:
		return nil, bad("hash_type", "hash_type_unknown", "The hash type is one of SHA256, SHA512, SHA1 and MD5.")
	}
	if o.Clock == nil {
		o.Clock = gateway.SystemClock
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	t := timing{cmp.Or(o.Patience, DefaultPatience)}
	p := &Platform{
		client:   newClient(strings.TrimRight(a.ServiceURL, "/"), o.Transport, o.Clock, t),
		guard:    newResilience(t),
		account:  a,
		hashType: hashType,
		pictures: make(chan struct{}, picturesAtOnce),
		log:      o.Log.With("integration", a.IntegrationID, "partner", a.PartnerID),
	}
	p.sessions = &sessions{p: p, held: map[who]session{}, token: credential{a.AppTokenID, a.AppToken, hashType, demand(a)}}
	p.players = p.sessions
	if a.PlayerTokenID != "" {
		hashType = strings.ToUpper(strings.ReplaceAll(a.PlayerHashType, "-", ""))
		switch {
		case !tokenIDs.MatchString(a.PlayerTokenID):
			return nil, bad("player_token_id", "player_token_id_invalid", "The App Token id looks like 0_a1b2c3d4.")
		case a.PlayerToken == "":
			return nil, bad("player_token", "player_token_missing", "The player App Token value is missing.")
		case hashes[hashType] == nil:
			return nil, bad("player_hash_type", "hash_type_unknown", "The hash type is one of SHA256, SHA512, SHA1 and MD5.")
		}
		p.players = &sessions{p: p, held: map[who]session{}, token: credential{a.PlayerTokenID, a.PlayerToken, hashType, nil}}
	}
	return p, nil
}

var (
	tokenIDs = regexp.MustCompile(`^[0-9]{1,3}_[0-9a-z]{4,32}$`)
	entryIDs = regexp.MustCompile(`^[0-9A-Za-z_.-]{1,64}$`)
)

func (p *Platform) partner() string { return strconv.FormatInt(p.account.PartnerID, 10) }

// again calls an idempotent action: repeated with jitter while the server is in trouble.
func (p *Platform) again(ctx context.Context, op string, q params, ks gateway.Secret) (answer, error) {
	return p.guard.again(ctx, op, func(ctx context.Context) (answer, error) { return p.call(ctx, op, q, ks.Reveal()) })
}

// as calls an idempotent action in w's session and decodes the answer into out (which may be nil).
// A session that the server no longer takes is renewed once, silently.
func (p *Platform) as(ctx context.Context, w who, op string, q params, out any) error {
	return p.with(ctx, w, func(s session) error {
		a, err := p.again(ctx, op, q, s.ks)
		if err != nil {
			return err
		}
		return a.decode(op, out)
	})
}

func (p *Platform) with(ctx context.Context, w who, fn func(session) error) error {
	s, err := p.sessions.get(ctx, w)
	if err != nil {
		return err
	}
	if err = fn(s); !renewable(err) {
		return err
	}
	p.sessions.drop(w, s.ks)
	if s, err = p.sessions.get(ctx, w); err != nil {
		return err
	}
	return fn(s)
}

// person is the session of the actor's own Kaltura user; a machine client has none and takes part
// as nobody in particular.
func (p *Platform) person(ctx context.Context, a gateway.Actor) (who, error) {
	if a.PlatformUserID != "" {
		return who{user: a.PlatformUserID}, nil
	}
	return p.wide(ctx)
}

// machineUser owns what a machine client uploads. Kaltura makes the user on the first upload; an
// entry without an owner could not be given its content afterwards.
const machineUser = "isthmus"

// sender is the session that uploads for the actor.
func (p *Platform) sender(ctx context.Context, a gateway.Actor) (who, error) {
	if a.Machine() && a.PlatformUserID == "" {
		a.PlatformUserID = machineUser
	}
	return p.person(ctx, a)
}

// wide is the session that sees the whole account, as far as the token allows: a user session with
// list:*, else an admin session, else what there is.
func (p *Platform) wide(ctx context.Context) (who, error) {
	s, err := p.sessions.get(ctx, who{})
	if err != nil || s.seesAll() {
		return who{}, err
	}
	switch _, err := p.sessions.get(ctx, who{admin: true}); {
	case err == nil:
		return who{admin: true}, nil
	case gateway.IsReason(err, errNoAdmin.Reason):
		return who{}, nil
	default:
		return who{}, err
	}
}

// Get implements gateway.Platform.
func (p *Platform) Get(ctx context.Context, a gateway.Actor, id string) (gateway.Media, error) {
	w, err := p.person(ctx, a)
	if err != nil {
		return gateway.Media{}, public(err)
	}
	var e entry
	var flavors []flavorAsset
	var captions []gateway.Caption
	var category int64
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { e, err = p.entry(gctx, w, id); return err })
	g.Go(func() error { return p.flavors(gctx, w, id, &flavors) })
	g.Go(func() (err error) { captions, err = p.captions(gctx, w, id); return err })
	g.Go(func() (err error) { category, err = p.categoryOf(gctx, w, id); return err })
	if err := g.Wait(); err != nil {
		return gateway.Media{}, public(err)
	}
	m := e.media()
	m.Renditions, m.Captions, m.CategoryID = renditions(e, flavors), captions, category
	if e.names(p.account.CategoryID) {
		m.CategoryID = p.account.CategoryID
	}
	return m, nil
}

func (p *Platform) entry(ctx context.Context, w who, id string) (entry, error) {
	var e entry
	if !entryIDs.MatchString(id) {
		return e, &apiError{Op: "media.get", Code: codeEntryMissing}
	}
	if err := p.as(ctx, w, "media.get", params{"entryId": id}, &e); err != nil {
		return e, err
	}
	if e.ID == "" {
		return e, &fault{Op: "media.get", Kind: faultGarbled, Status: 200}
	}
	return e, nil
}

func (p *Platform) flavors(ctx context.Context, w who, id string, out *[]flavorAsset) error {
	if !entryIDs.MatchString(id) {
		return &apiError{Op: "flavorasset.getByEntryId", Code: codeEntryMissing}
	}
	return p.as(ctx, w, "flavorasset.getByEntryId", params{"entryId": id}, out)
}

// Remove implements gateway.Remover.
func (p *Platform) Remove(ctx context.Context, a gateway.Actor, id string) error {
	if !entryIDs.MatchString(id) {
		return nil
	}
	err := p.asEditor(ctx, a, func(w who) error {
		return p.as(ctx, w, "media.delete", params{"entryId": id}, nil)
	})
	if code(err) == codeEntryMissing {
		return nil
	}
	return public(err)
}

// AddTag implements gateway.Tagger.
func (p *Platform) AddTag(ctx context.Context, a gateway.Actor, id, tag string) (gateway.Media, error) {
	return p.retag(ctx, a, id, func(tags []string) ([]string, bool) { return append(tags, tag), !hasTag(tags, tag) })
}

// RemoveTag implements gateway.Tagger.
func (p *Platform) RemoveTag(ctx context.Context, a gateway.Actor, id, tag string) (gateway.Media, error) {
	return p.retag(ctx, a, id, func(tags []string) ([]string, bool) {
		left := slices.DeleteFunc(slices.Clone(tags), func(t string) bool { return hasTag([]string{t}, tag) })
		return left, len(left) != len(tags)
	})
}

// retag reads an entry's tags, changes them and, when that made a difference, writes them.
func (p *Platform) retag(ctx context.Context, a gateway.Actor, id string, change func([]string) ([]string, bool)) (gateway.Media, error) {
	mu := &p.tagging[stripe(id)]
	mu.Lock()
	defer mu.Unlock()
	var e entry
	err := p.asEditor(ctx, a, func(w who) error {
		var err error
		if e, err = p.entry(ctx, w, id); err != nil {
			return err
		}
		tags, differ := change(splitTags(string(e.Tags)))
		if !differ {
			return nil
		}
		return p.as(ctx, w, "media.update", params{
			"entryId":    id,
			"mediaEntry": params{"objectType": "KalturaMediaEntry", "tags": strings.Join(tags, ", ")},
		}, &e)
	})
	if err != nil {
		return gateway.Media{}, public(err)
	}
	return e.media(), nil
}

// asEditor tries the actor's own session first and an admin session when its rights are too small.
func (p *Platform) asEditor(ctx context.Context, a gateway.Actor, fn func(who) error) error {
	w, err := p.person(ctx, a)
	if err != nil {
		return err
	}
	err = fn(w)
	if !notAllowed(err) || w.admin || a.OwnRight {
		return err
	}
	if _, aerr := p.sessions.get(ctx, who{admin: true}); aerr != nil {
		return err // the refusal says more than the lack of another way
	}
	return fn(who{admin: true})
}

func stripe(id string) int {
	h := 0
	for _, b := range []byte(id) {
		h = h*31 + int(b)
	}
	return h & 63
}
