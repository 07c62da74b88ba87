package kaltura

import (
	"context"
	"crypto/md5"  //nolint:gosec // one of the hash types that Kaltura's App Tokens have
	"crypto/sha1" //nolint:gosec // the same
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"hash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"isthmus/gateway"
)

const (
	typeUser  = 0
	typeAdmin = 2

	sessionLife = time.Hour // asked for; the token may shorten it
	renewAt     = 0.8       // of the life
	refusedLife = 10 * time.Second
	leastLife   = 10 * time.Second // by a server whose clock is odd; a session that ends earlier is renewed when it is refused
)

// who says for whom a session is.
type who struct {
	user  string // platform user id, "" = nobody in particular
	admin bool
}

// session is a minted KS. It never leaves memory.
type session struct {
	ks         gateway.Secret
	admin      bool
	user       string // as the server says: a token can be bound to a fixed user
	privileges string
	until      time.Time // renewed from here on
	ends       time.Time
}

// may tells whether the session's privileges hold name:value or name:*. Whole names are compared:
// Kaltura itself looks for substrings, which also finds list:* in editplaylist:*.
func (s session) may(name, value string) bool {
	for p := range strings.SplitSeq(s.privileges, ",") {
		p = strings.TrimSpace(p)
		if p == "*" || p == "all:*" || p == name+":*" || value != "" && p == name+":"+value {
			return true
		}
	}
	return false
}

// seesAll tells whether lists show the whole account.
func (s session) seesAll() bool { return s.admin || s.may("list", "") }

// hashes are the hash types of App Tokens.
var hashes = map[string]func() hash.Hash{
	"SHA1": sha1.New, "MD5": md5.New, "SHA256": sha256.New, "SHA512": sha512.New,
}

// tokenHash proves knowledge of the token's value for one KS: lower-case hex of H(ks + token).
func tokenHash(hashType, ks string, token gateway.Secret) string {
	h := hashes[hashType]()
	h.Write([]byte(ks + token.Reveal()))
	return hex.EncodeToString(h.Sum(nil))
}

// sessions keeps one account's sessions in memory: one start per key however many ask, renewed
// after 80 % of their life. Safe for concurrent use.
type sessions struct {
	p     *Platform
	token credential
	sf    singleflight.Group
	heir  atomic.Pointer[sessions] // of the token that replaced ours; nil = ours is the newest

	mu      sync.Mutex
	widget  session
	held    map[who]session
	plays   map[play]session // handed out again for the first half of their life
	noAdmin time.Time        // until when we remember that the token gives no ADMIN sessions
	refused error            // the token was refused
	refuseT time.Time        // until when we believe it without asking again
}

// credential is an App Token and what its sessions must hold.
type credential struct {
	id       string
	value    gateway.Secret
	hashType string
	demands  []string // privileges
}

var errNoAdmin = gateway.E(gateway.Forbidden, "admin_session_missing", "The App Token gives user sessions only.").
	Next("Use an App Token without sessionType or with sessionType ADMIN, or match people by user id.")

// get gives a session, from memory or fresh. An admin session from a USER-type token is errNoAdmin.
func (s *sessions) get(ctx context.Context, w who) (session, error) {
	s = s.latest()
	now := s.p.clock()
	s.mu.Lock()
	if got, ok := s.held[w]; ok && now.Before(got.until) {
		s.mu.Unlock()
		return got, nil
	}
	refused, noAdmin := s.refused, w.admin && now.Before(s.noAdmin)
	if !now.Before(s.refuseT) {
		refused = nil
	}
	s.mu.Unlock()
	if refused != nil {
		return session{}, refused
	}
	if noAdmin {
		return session{}, errNoAdmin
	}
	key := "u" + w.user
	if w.admin {
		key = "a" + w.user
	}
	return s.single(ctx, key, func(ctx context.Context) (session, error) {
		s.mu.Lock()
		got, ok := s.held[w]
		s.mu.Unlock()
		if ok && now.Before(got.until) { // an earlier flight landed between our look and this one
			return got, nil
		}
		return s.start(ctx, w)
	})
}

// single runs fn once however many ask for key at the same time. It is detached: the first caller's
// cancel must not fail the others who wait for the same session.
func (s *sessions) single(ctx context.Context, key string, fn func(context.Context) (session, error)) (session, error) {
	ch := s.sf.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.p.mint())
		defer cancel()
		return fn(ctx)
	})
	select {
	case <-ctx.Done():
		return session{}, ctx.Err()
	case r := <-ch:
		if r.Err != nil {
			return session{}, r.Err
		}
		return r.Val.(session), nil
	}
}

func (s *sessions) start(ctx context.Context, w who) (session, error) {
	got, err := s.mint(ctx, w, sessionLife, "")
	now := s.p.clock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if gateway.IsReason(public(err), reasonCredentials) {
			s.refused, s.refuseT = err, now.Add(refusedLife)
		}
		return session{}, err
	}
	s.refused = nil
	if err := s.unentitled(got); err != nil {
		return session{}, err
	}
	if w.admin && !got.admin {
		s.noAdmin = now.Add(sessionLife)
		return session{}, errNoAdmin
	}
	if len(s.held) >= 4096 { // many people: forget what is over
		for k, v := range s.held {
			if !now.Before(v.until) {
				delete(s.held, k)
			}
		}
	}
	if len(s.held) < 16384 {
		s.held[w] = got
	}
	return got, nil
}

// drop forgets a session that the server refused, unless it has been renewed meanwhile.
func (s *sessions) drop(w who, ks gateway.Secret) {
	s = s.latest()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[w].ks == ks {
		delete(s.held, w)
	}
}

// dropWidget is drop for the widget session, which everybody shares.
func (s *sessions) dropWidget(ks gateway.Secret) {
	s = s.latest()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.widget.ks == ks {
		s.widget = session{}
	}
}

// mint starts a session from the App Token. It caches the widget session only.
func (s *sessions) mint(ctx context.Context, w who, life time.Duration, privileges string) (session, error) {
	s = s.latest()
	for again := false; ; again = true {
		widget, err := s.widgetSession(ctx)
		if err != nil {
			return session{}, err
		}
		got, err := s.startSession(ctx, widget, s.token.hashType, w, life, privileges)
		if err != nil && !again && renewable(err) { // the widget session was the one refused
			s.dropWidget(widget.ks)
			continue
		}
		return got, err
	}
}

func (s *sessions) startSession(ctx context.Context, widget session, hashType string, w who, life time.Duration, privileges string) (session, error) {
	p := params{
		"id":        s.token.id,
		"tokenHash": tokenHash(hashType, widget.ks.Reveal(), s.token.value),
		"type":      typeUser,
		"expiry":    int64(life.Seconds()),
	}
	if w.admin {
		p["type"] = typeAdmin
	}
	if w.user != "" {
		p["userId"] = w.user
	}
	// A token that holds privacycontext:* is narrowed by this; of others Kaltura drops it in silence.
	if all := join(append([]string{privileges}, s.token.demands...)); all != "" {
		p["sessionPrivileges"] = all
	}
	const op = "apptoken.startSession"
	now := s.p.clock()
	a, err := s.p.again(ctx, op, p, widget.ks)
	if err != nil {
		return session{}, err
	}
	var in sessionInfo
	if err := a.decode(op, &in); err != nil {
		return session{}, err
	}
	if in.KS == "" {
		return session{}, &fault{Op: op, Kind: faultGarbled, Status: 200, Err: errors.New("no session in the answer")}
	}
	// The token may shorten the life in silence. Expiry is by the server's clock, so it is measured
	// against the server's clock when that is known.
	served := now
	if !a.date.IsZero() {
		served = a.date
	}
	if left := unix(in.Expiry).Sub(served); in.Expiry > 0 && left < life {
		life = max(left, leastLife)
	}
	return session{
		ks: gateway.Secret(in.KS), admin: in.SessionType >= 1, user: string(in.UserID),
		privileges: string(in.Privileges), until: now.Add(time.Duration(renewAt * float64(life))), ends: now.Add(life),
	}, nil
}

// widgetSession gives the session of anybody, with which other sessions are started.
func (s *sessions) widgetSession(ctx context.Context) (session, error) {
	s = s.latest()
	if got, ok := s.heldWidget(); ok {
		return got, nil
	}
	return s.single(ctx, "w", func(ctx context.Context) (session, error) {
		if got, ok := s.heldWidget(); ok {
			return got, nil
		}
		return s.startWidget(ctx)
	})
}

func (s *sessions) heldWidget() (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.widget, s.p.clock().Before(s.widget.until)
}

// startWidget starts a fresh one.
func (s *sessions) startWidget(ctx context.Context) (session, error) {
	now := s.p.clock()
	const op = "session.startWidgetSession"
	a, err := s.p.again(ctx, op, params{"widgetId": "_" + s.p.partner(), "expiry": int64(sessionLife.Seconds())}, "")
	if err != nil {
		return session{}, err
	}
	var in sessionInfo
	if err := a.decode(op, &in); err != nil {
		return session{}, err
	}
	if in.KS == "" {
		return session{}, &fault{Op: op, Kind: faultGarbled, Status: 200, Err: errors.New("no session in the answer")}
	}
	got := session{ks: gateway.Secret(in.KS), until: now.Add(time.Duration(renewAt * float64(sessionLife)))}
	s.mu.Lock()
	s.widget = got
	s.mu.Unlock()
	return got, nil
}

// nothing is a privilege value that no entry, role or user has.
const nothing = "0_nothing"

func join(privileges []string) string {
	return strings.Join(slices.DeleteFunc(privileges, func(p string) bool { return p == "" }), ",")
}

// harmless privileges may stay in a playback session: they identify or restrict, and grant nothing.
var harmless = []string{
	"sessionid", "apptoken", "appid", "privacycontext", "enableentitlement",
	"iprestrict", "urirestrict", "actionslimit", "reftime",
}

// playback mints a session that can play one entry and nothing else, for a viewer's address.
// Callers of startSession cannot take a privilege away, but where the token holds name:* their own
// name:value replaces it; so every other wildcard is narrowed to a value that means nothing. When
// anything wider is left (an ADMIN token, a fixed user, all:*, edit:<id>), there is no playback session: ok is false.
//
// A viewer who asks again soon gets the same session, so that looking through restricted media does
// not start one at every look.
func (s *sessions) playback(ctx context.Context, entry, viewer string) (session, bool, error) {
	s = s.latest()
	key, now := play{entry, viewer}, s.p.clock()
	s.mu.Lock()
	had, ok := s.plays[key]
	s.mu.Unlock()
	if ok && had.ends.Sub(now) > playbackLife/2 {
		return had, true, nil
	}
	token, err := s.get(ctx, who{})
	if err != nil {
		return session{}, false, err
	}
	got, ok, err := s.narrowed(ctx, token, entry, playbackLife)
	if err == nil && ok {
		s.mu.Lock()
		if len(s.plays) >= maxPlays || s.plays == nil {
			s.plays = map[play]session{}
		}
		s.plays[key] = got
		s.mu.Unlock()
	}
	return got, ok, err
}

func (s *sessions) dropPlay(entry, viewer string) {
	s = s.latest()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.plays, play{entry, viewer})
}

// play is who plays what.
type play struct{ entry, viewer string }

const maxPlays = 4096

// forEntry are the privileges that a playback session keeps, for its one entry: to play it whatever
// its access control, and whatever category entitlement says.
var forEntry = []string{"sview", "disableentitlementforentry"}

// narrowed starts a session like token, which is of the same App Token, but for one entry.
func (s *sessions) narrowed(ctx context.Context, token session, entry string, life time.Duration) (session, bool, error) {
	if token.admin || !token.may("sview", entry) {
		return session{}, false, nil
	}
	want := []string{"sview:" + entry}
	for p := range strings.SplitSeq(token.privileges, ",") {
		switch name, ok := strings.CutSuffix(strings.TrimSpace(p), ":*"); {
		case !ok || name == "sview":
		case slices.Contains(forEntry, name):
			want = append(want, name+":"+entry)
		default:
			want = append(want, name+":"+nothing)
		}
	}
	got, err := s.mint(ctx, who{}, life, strings.Join(want, ","))
	if err != nil {
		return session{}, false, err
	}
	// A token bound to a user would let the viewer act as that user.
	return got, !got.admin && got.user == "" && narrow(got.privileges, entry), nil
}

func narrow(privileges, entry string) bool {
	for p := range strings.SplitSeq(privileges, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), ":")
		switch {
		case name == "", value == nothing, slices.Contains(forEntry, name) && value == entry, slices.Contains(harmless, name):
		default:
			return false
		}
	}
	return true
}
