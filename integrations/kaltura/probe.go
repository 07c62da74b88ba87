package kaltura

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"isthmus/gateway"
)

const (
	stateOK      = "ok"
	stateFailed  = "failed"
	stateSkipped = "skipped"

	// probeUser is asked for to see whether the token lets us act for a person. Nothing is written
	// in its name, so Kaltura makes no such user.
	probeUser = "isthmus-check"
)

// prober is one diagnosis under way.
type prober struct {
	*Platform
	want gateway.Visibility
	d    gateway.Diagnosis

	person, nobody, admin who
	held                  map[who]session
}

// step is one check.
type step struct {
	id     gateway.CheckID
	needed bool
	run    func(context.Context) gateway.Check
}

// probeLife is how long the sessions of a check last.
const probeLife = 10 * time.Minute

// Probe implements gateway.Prober: the cheapest check first, fresh sessions, nothing left behind
// (the upload check makes an upload token and deletes it).
func (p *Platform) Probe(ctx context.Context, want gateway.Visibility) (gateway.Diagnosis, error) {
	b := &prober{
		Platform: p, want: want, held: map[who]session{},
		person: who{user: probeUser}, admin: who{admin: true},
		d: gateway.Diagnosis{At: p.clock(), EntryCount: -1, Warnings: []string{}},
	}
	steps := []step{
		{gateway.CheckReach, true, b.reach},
		{gateway.CheckSession, true, b.session},
		{gateway.CheckListOwn, want == gateway.VisibilityOwn, b.listOwn},
		{gateway.CheckListAll, want == gateway.VisibilityShared, b.listAll},
		{gateway.CheckCreateUser, p.account.MatchBy == gateway.MatchEmail, b.createUser},
		{gateway.CheckUpload, true, b.upload},
		{gateway.CheckSetTags, false, b.setTags},
	}
	steps = append(steps, b.options()...)
	stopped := false
	for i, s := range steps {
		if err := ctx.Err(); err != nil {
			return b.d, public(err)
		}
		c := gateway.Check{State: stateSkipped, Text: "Not tried, because an earlier step failed."}
		if !stopped {
			c = s.run(ctx)
		}
		c.ID, c.Needed = s.id, s.needed
		b.d.Checks = append(b.d.Checks, c)
		stopped = stopped || c.State == stateFailed && i < 2
	}
	b.warn()
	return b.d, nil
}

func passed(format string, args ...any) gateway.Check {
	return gateway.Check{State: stateOK, Text: fmt.Sprintf(format, args...)}
}

func failed(reason, text, fix string) gateway.Check {
	return gateway.Check{State: stateFailed, Reason: reason, Text: text, Fix: fix}
}

// failure words an error that no check expects.
func failure(err error) gateway.Check {
	e := gateway.AsError(public(err))
	reason, fix := e.Reason, e.NextStep
	var f *fault
	if errors.As(err, &f) {
		switch f.Kind {
		case faultUnreachable, faultOpen:
			reason, fix = "unreachable", "Check the service URL; if it is right, ask whether the server is running."
		case faultTimeout:
			reason, fix = "timeout", "Try again; if it stays slow, ask the Kaltura administrator."
		case faultTLS:
			reason, fix = "tls_invalid", "Ask the operator of the Kaltura server to renew its certificate."
		case faultNotAPI, faultRedirect:
			reason, fix = "not_kaltura", "Check the service URL, for example https://www.kaltura.com."
		}
	}
	if reason == "" {
		reason = string(e.Code)
	}
	return failed(reason, e.Message, fix)
}

func (b *prober) reach(ctx context.Context) gateway.Check {
	const op = "system.ping"
	began := b.clock()
	a, err := b.call(ctx, op, nil, "") // with no KS: a stale one makes even a ping fail
	var pong flag
	if err == nil {
		err = a.decode(op, &pong)
	}
	switch {
	case code(err) != "", err == nil && !bool(pong):
		return failed("not_kaltura", "Something other than a Kaltura server answered at the service URL.",
			"Check the service URL, for example https://www.kaltura.com.")
	case err != nil:
		return failure(err)
	}
	b.guard.back()
	return passed("Kaltura answered in %d ms.", b.clock().Sub(began).Milliseconds())
}

func (b *prober) session(ctx context.Context) gateway.Check {
	widget, err := b.sessions.startWidget(ctx)
	if err == nil {
		err = b.start(ctx, widget, b.hashType, b.person)
	}
	if err != nil {
		return b.refused(ctx, widget, err)
	}
	s := b.held[b.person]
	b.d.SessionType, b.d.Privileges = "user", s.privileges
	if s.admin {
		b.d.SessionType = "admin"
	}
	if s.user != probeUser {
		b.d.FixedUser = s.user
	}
	// Writing in the name of probeUser would make such a user, so the upload is tried as nobody.
	if err := b.start(ctx, widget, b.hashType, b.nobody); err != nil {
		return failure(err)
	}
	if err := b.start(ctx, widget, b.hashType, b.admin); err != nil {
		return failure(err)
	}
	if !b.held[b.admin].admin {
		delete(b.held, b.admin)
	}
	if _, ok := b.held[b.admin]; !ok || !b.expiry(ctx) {
		b.d.SessionLife = int64(b.longestLife(ctx, widget).Seconds())
	}
	if b.d.FixedUser != "" {
		return passed("The App Token starts %s sessions, all of them for its own user “%s”.", b.d.SessionType, b.d.FixedUser)
	}
	return passed("The App Token starts %s sessions for any user.", b.d.SessionType)
}

func (b *prober) start(ctx context.Context, widget session, hashType string, w who) error {
	s, err := b.sessions.startSession(ctx, widget, hashType, w, probeLife, "")
	if err == nil {
		b.held[w] = s
	}
	return err
}

// refused says why no session could be started. A wrong hash type is found out by trying the others.
func (b *prober) refused(ctx context.Context, widget session, err error) gateway.Check {
	c := code(err)
	if c == "" {
		return failure(err)
	}
	reason, text, fix := sessionFailure(c)
	if c == codeBadHash {
		for _, other := range []string{"SHA256", "SHA1", "SHA512", "MD5"} {
			if other != b.hashType && b.start(ctx, widget, other, b.person) == nil {
				text = "The App Token value is right, but its hash type is " + other + ", not " + b.hashType + "."
				fix = "Choose " + other + " as the hash type."
				break
			}
		}
	}
	return failed(reason, text, fix)
}

// expiry reads when the token ends and tells whether that could be read.
func (b *prober) expiry(ctx context.Context) bool {
	const op = "apptoken.get"
	var t appToken
	a, err := b.call(ctx, op, params{"id": b.account.AppTokenID}, b.held[b.admin].ks.Reveal())
	if err != nil || a.decode(op, &t) != nil {
		return false
	}
	b.d.TokenExpiry = unix(t.Expiry)
	return true
}

func (b *prober) count(ctx context.Context, s session, filter params) (int, error) {
	const op = "media.list"
	f := params{"objectType": "KalturaMediaEntryFilter", "mediaTypeIn": "1,2,5", "statusIn": statusIn(nil)}
	for k, v := range filter {
		f[k] = v
	}
	a, err := b.again(ctx, op, params{"filter": f, "pager": params{"pageSize": 1, "pageIndex": 1}}, s.ks)
	if err != nil {
		return 0, err
	}
	var l list[entry]
	err = a.decode(op, &l)
	return int(l.TotalCount), err
}

func (b *prober) listOwn(ctx context.Context) gateway.Check {
	s := b.held[b.person]
	if _, err := b.count(ctx, s, params{"userIdEqual": first(b.d.FixedUser, probeUser)}); err != nil {
		if notAllowed(err) {
			return failed("list_forbidden", "Sessions of this App Token may not list media.",
				"Give the sessions a role that may list media (remove setrole from sessionPrivileges).")
		}
		return failure(err)
	}
	return passed("Each person's own media can be listed.")
}

func (b *prober) listAll(ctx context.Context) gateway.Check {
	s, through := b.held[b.nobody], "the privilege list:*"
	if !s.seesAll() || s.admin {
		admin, ok := b.held[b.admin]
		if !ok {
			return failed("list_privilege_missing", "Sessions of this App Token list each user's own media only.",
				"Add list:* to sessionPrivileges of the App Token (appToken.update), or make a new one with it.")
		}
		s, through = admin, "administrator sessions"
	}
	n, err := b.count(ctx, s, nil)
	if err != nil {
		if notAllowed(err) {
			return failed("list_forbidden", "Sessions of this App Token may not list media.",
				"Give the sessions a role that may list media (remove setrole from sessionPrivileges).")
		}
		return failure(err)
	}
	b.d.EntryCount = n
	return passed("The whole account can be listed through %s: %d media.", through, n)
}

func (b *prober) createUser(ctx context.Context) gateway.Check {
	const op = "user.list"
	admin, ok := b.held[b.admin]
	fix := "Make an App Token without sessionType (it then starts administrator sessions for user management), or match people by “user id = e-mail”."
	if !ok {
		return failed("token_is_user_type", "The App Token gives user sessions only, which may neither search nor create users.", fix)
	}
	_, err := b.again(ctx, op, params{
		"filter": params{"objectType": "KalturaUserFilter", "idEqual": probeUser},
		"pager":  params{"pageSize": 1, "pageIndex": 1},
	}, admin.ks)
	if notAllowed(err) {
		return failed("user_management_forbidden", "The App Token's sessions may not manage users.",
			"Remove setrole from sessionPrivileges, or use a role with user management.")
	}
	if err != nil {
		return failure(err)
	}
	return passed("People can be found by e-mail, and created without a login when they are missing.")
}

func (b *prober) upload(ctx context.Context) gateway.Check {
	s := b.held[b.nobody]
	const add, del = "uploadtoken.add", "uploadtoken.delete"
	a, err := b.call(ctx, add, params{"uploadToken": params{"objectType": "KalturaUploadToken", "fileName": probeUser, "fileSize": 0}}, s.ks.Reveal())
	var t uploadToken
	if err == nil {
		err = a.decode(add, &t)
	}
	if err != nil {
		if notAllowed(err) {
			return failed("upload_forbidden", "Sessions of this App Token may not upload.",
				"Give the sessions a role that may upload (remove setrole from sessionPrivileges).")
		}
		return failure(err)
	}
	if _, err := b.again(context.WithoutCancel(ctx), del, params{"uploadTokenId": string(t.ID)}, s.ks); err != nil {
		b.log.Warn("the upload token of a check could not be deleted", "token", string(t.ID), "error", err)
	}
	return passed("Uploads are accepted.")
}

func (b *prober) setTags(context.Context) gateway.Check {
	_, admin := b.held[b.admin]
	if admin || b.held[b.nobody].may("edit", "") {
		return passed("Tags of all media can be set.")
	}
	return failed("edit_privilege_missing", "People can tag media that they own, but not other people's.",
		"Add edit:* to sessionPrivileges of the App Token if everybody may mark any media as 360°.")
}

// warn adds what works but should be known.
func (b *prober) warn() {
	add := func(format string, args ...any) { b.d.Warnings = append(b.d.Warnings, fmt.Sprintf(format, args...)) }
	if b.hashType == "MD5" || b.hashType == "SHA1" {
		add("The App Token uses %s, which is outdated. Prefer a token with SHA256.", b.hashType)
	}
	if b.d.SessionType == "" {
		return
	}
	_, admin := b.held[b.admin]
	s := b.held[b.person]
	if admin && b.d.SessionType == "user" {
		add("The App Token has no sessionType: whoever holds its value can start administrator sessions. Keep it safe, and rotate it when somebody leaves.")
	}
	if b.want == gateway.VisibilityOwn && slices.ContainsFunc(strings.Split(b.d.Privileges, ","), func(p string) bool {
		return strings.TrimSpace(p) == "list:*"
	}) {
		add("The App Token holds list:*, which visibility “own” does not need.")
	}
	if b.account.PlayerTokenID == "" && !s.admin && !s.may("sview", "") {
		add("The App Token lacks sview:*: media with a restrictive access control profile or schedule will not play.")
	}
	if !b.d.TokenExpiry.IsZero() {
		add("The App Token expires on %s.", b.d.TokenExpiry.Format("2 January 2006"))
	}
}
