package platform

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"isthmus/gateway"
)

// defaultLife is the lifetime of a session that asks for none, in seconds.
const defaultLife = 86400

// version is the release whose answers this server gives.
const version = "Venus-22.19.0"

// open decodes the session of a call and finds its account.
func (c *call) open(text string) error {
	partner, err := ksPartner(text)
	if err != nil {
		return invalidKS(text)
	}
	acc, _, err := c.Platform.account(c, partner)
	if missing(err) {
		return invalidKS(text)
	}
	if err != nil {
		return err
	}
	k, err := parseKS(text, acc.adminSecret)
	if err != nil {
		return invalidKS(text)
	}
	if partner < 0 { // an operator acts for the account that it names
		c.operator = partner
		if asked := c.args.num("partnerId"); asked > 0 {
			if acc, _, err = c.Platform.account(c, asked); missing(err) {
				return refuse("SERVICE_FORBIDDEN_CONTENT_BLOCKED")
			} else if err != nil {
				return err
			}
		}
	}
	c.account, c.ks = acc, &k
	return nil
}

// check looks at the state of the session and counts the call when the session has a limit.
func (c *call) check() error {
	word, err := c.Platform.state(c, c.ks, c.uri, c.address, c.now)
	if err != nil {
		return err
	}
	if word != "" {
		return invalidKS(word)
	}
	return nil
}

// state gives the word for what is wrong with a session, empty when it may be used.
func (p *Platform) state(ctx context.Context, k *ks, uri, address string, now time.Time) (string, error) {
	if k.expired(now) {
		return "EXPIRED", nil
	}
	ids := []string{k.hash}
	if group, ok := k.value("sessionid"); ok {
		ids = append(ids, "sessionid:"+group)
	}
	rows, err := p.Records.Kaltura().Sessions().Find(ctx, Find{Partner: k.partner, Where: in("id", ids...)})
	if err != nil {
		return "", err
	}
	for _, row := range rows {
		if row.EndedAt != nil {
			return "LOGOUT", nil
		}
	}
	if ips, ok := k.value("iprestrict"); ok && !matches(strings.Split(ips, "/"), address) {
		return "EXCEEDED_RESTRICTED_IP", nil
	}
	if uris, ok := k.value("urirestrict"); ok {
		if path, err := url.PathUnescape(uri); err == nil {
			uri = path
		}
		if !matches(strings.Split(uris, "|"), uri) {
			return "EXCEEDED_RESTRICTED_URI", nil
		}
	}
	if limit, ok := k.value("actionslimit"); ok {
		over, err := p.countUse(ctx, k, number(limit))
		if err != nil || over {
			return "EXCEEDED_ACTIONS_LIMIT", err
		}
	}
	return "", nil
}

// matches compares with patterns that may end in a star.
func matches(patterns []string, s string) bool {
	for _, p := range patterns {
		if head, ok := strings.CutSuffix(p, "*"); ok && strings.HasPrefix(s, head) || p == s {
			return true
		}
	}
	return false
}

// lostRace tells whether somebody else changed the same row first, so that a repeat is worth while.
func lostRace(err error) bool {
	return gateway.IsReason(err, "changed_meanwhile") || gateway.IsReason(err, "already_exists")
}

// countUse counts a call of a session that may be used limit times and tells whether it was one too many.
func (p *Platform) countUse(ctx context.Context, k *ks, limit int64) (over bool, err error) {
	for {
		err = p.Records.KalturaTx(ctx, func(tx Tx) error {
			t := tx.Kaltura().Sessions()
			row, err := t.Get(ctx, k.partner, k.hash)
			if missing(err) {
				row = Session{Row: Row{Partner: k.partner, ID: k.hash}, ExpiresAt: time.Unix(k.expiry, 0).UTC(), Uses: 1}
				over = limit < 1
				return t.Insert(ctx, &row)
			}
			if err != nil {
				return err
			}
			if over = row.Uses >= limit; over {
				return nil
			}
			row.Uses++
			return t.Update(ctx, &row)
		})
		if !lostRace(err) {
			return over, err
		}
	}
}

// endSessions makes sessions with these ids unusable until the given time.
func endSessions(ctx context.Context, t Tables, partner int64, now, until time.Time, ids ...string) error {
	for _, id := range ids {
		row, err := t.Sessions().Get(ctx, partner, id)
		switch {
		case missing(err):
			row = Session{Row: Row{Partner: partner, ID: id}, EndedAt: &now, ExpiresAt: until}
			err = t.Sessions().Insert(ctx, &row)
		case err == nil && row.EndedAt == nil:
			row.EndedAt, row.ExpiresAt = &now, until
			err = t.Sessions().Update(ctx, &row)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func systemActions() []*action {
	return []*action{
		{service: "system", name: "ping", run: func(*call) (any, error) { return true, nil }},
		{service: "system", name: "getTime", run: func(c *call) (any, error) { return c.now.Unix(), nil }},
		{service: "system", name: "getVersion", run: func(*call) (any, error) { return version, nil }},
	}
}

func sessionActions() []*action {
	return []*action{
		{service: "session", name: "start", needs: []string{"secret"}, run: (*call).sessionStart},
		{service: "session", name: "startWidgetSession", needs: []string{"widgetId"}, run: (*call).sessionWidget},
		{service: "session", name: "impersonate", needs: []string{"secret", "impersonatedPartnerId"}, run: (*call).sessionImpersonate},
		{service: "session", name: "get", who: adminOnly, run: (*call).sessionGet},
		{service: "session", name: "end", run: (*call).sessionEnd},
	}
}

// sessionType reads the type parameter: 0 or 2.
func (c *call) sessionType() (int64, error) {
	kind := c.args.numOr("type", sessionUser)
	if kind != sessionUser && kind != sessionAdmin {
		return 0, refuse("INVALID_ENUM_VALUE", "ENUM_VAL", c.args.str("type"), "PARAM_NAME", "type", "ENUM_TYPE", "KalturaSessionType")
	}
	return kind, nil
}

// accountAsked gives the account that a call without session names.
func (c *call) accountAsked(name string) (*account, error) {
	partner := c.args.num(name)
	if partner == 0 && name == "partnerId" {
		partner = c.args.num("p")
	}
	if partner == 0 {
		return nil, refuse("START_SESSION_ERROR", "PID", "0")
	}
	acc, cold, err := c.Platform.account(c, partner)
	if missing(err) {
		return nil, refuse("SERVICE_FORBIDDEN_CONTENT_BLOCKED")
	}
	// The original answers from a cache once it knows an account, and then without XML declaration.
	c.marks.bare = !cold
	return acc, err
}

func startError(partner int64) *fault {
	return refuse("START_SESSION_ERROR", "PID", strconv.FormatInt(partner, 10))
}

// life gives the requested lifetime. Like the original's short cut it has no cap; 0 and less give a
// session that is over already.
func (c *call) life() int64 { return c.args.numOr("expiry", defaultLife) }

func (c *call) sessionStart() (any, error) {
	kind, err := c.sessionType()
	if err != nil {
		return nil, err
	}
	acc, err := c.accountAsked("partnerId")
	if err != nil {
		c.marks.bare = false
		return nil, err
	}
	secret := gateway.Secret(c.args.str("secret"))
	if !same(secret, acc.adminSecret) && (kind != sessionUser || !same(secret, acc.userSecret)) {
		c.marks.bare = false
		return nil, startError(acc.Partner)
	}
	privileges := c.args.str("privileges")
	if err := validPrivileges(privileges); err != nil {
		return nil, err
	}
	k := issueKS(ks{partner: acc.Partner, user: c.args.str("userId"), kind: kind, expiry: c.now.Unix() + c.life(), privileges: privileges}, acc.adminSecret)
	return k.text, nil
}

// validPrivileges refuses a limit of actions that is no positive number.
func validPrivileges(s string) error {
	for _, p := range parsePrivileges(s) {
		if p.name == "actionslimit" {
			if n, err := strconv.Atoi(p.value); err != nil || n <= 0 {
				return refuse("INVALID_ACTIONS_LIMIT")
			}
		}
	}
	return nil
}

func (c *call) sessionWidget() (any, error) {
	id := c.args.str("widgetId")
	partner, err := strconv.ParseInt(strings.TrimPrefix(id, "_"), 10, 64)
	if err != nil || !strings.HasPrefix(id, "_") || partner <= 0 {
		return nil, refuse("INVALID_WIDGET_ID", "WIDGET_ID", id)
	}
	acc, _, err := c.Platform.account(c, partner)
	if missing(err) {
		return nil, refuse("INVALID_WIDGET_ID", "WIDGET_ID", id)
	}
	if err != nil {
		return nil, err
	}
	k := issueKS(ks{partner: partner, user: "0", kind: sessionUser, expiry: c.now.Unix() + c.life(), privileges: "view:*,widget:1"}, acc.adminSecret)
	return newObject("KalturaStartWidgetSessionResponse").set("partnerId", partner).set("ks", k.text).set("userId", 0), nil
}

func (c *call) sessionImpersonate() (any, error) {
	kind, err := c.sessionType()
	if err != nil {
		return nil, err
	}
	master, err := c.accountAsked("partnerId")
	if err != nil {
		return nil, err
	}
	c.marks.bare = false
	if !same(gateway.Secret(c.args.str("secret")), master.adminSecret) {
		return nil, startError(master.Partner)
	}
	// Accounts have no children here, so an account can impersonate itself only.
	if c.args.num("impersonatedPartnerId") != master.Partner {
		return nil, startError(c.args.num("impersonatedPartnerId"))
	}
	k := issueKS(ks{
		partner: master.Partner, master: master.ID, user: c.args.str("userId"), kind: kind,
		expiry: c.now.Unix() + c.life(), privileges: c.args.str("privileges"),
	}, master.adminSecret)
	return k.text, nil
}

func (c *call) sessionGet() (any, error) {
	k := *c.ks
	if other := c.args.str("session"); other != "" {
		partner, err := ksPartner(other)
		if err != nil {
			return nil, invalidKS(other)
		}
		if partner != c.partner() {
			return nil, refuse("PARTNER_ACCESS_FORBIDDEN", "ACCESSING_PID", c.account.ID, "ACCESSED_PID", strconv.FormatInt(partner, 10))
		}
		if k, err = parseKS(other, c.account.adminSecret); err != nil {
			return nil, invalidKS(other)
		}
	}
	return newObject("KalturaSessionInfo").
		null("ks").
		set("sessionType", strconv.FormatInt(k.kind, 10)).
		set("partnerId", strconv.FormatInt(k.partner, 10)).
		set("userId", k.user).
		set("expiry", strconv.FormatInt(k.expiry, 10)).
		set("privileges", k.privileges), nil
}

func (c *call) sessionEnd() (any, error) {
	if c.ks == nil || c.ks.widget() {
		return nil, nil
	}
	ids, until := []string{c.ks.hash}, time.Unix(c.ks.expiry, 0).UTC()
	if group, ok := c.ks.value("sessionid"); ok {
		ids = append(ids, "sessionid:"+group)
		until = later(until, c.now.Add(24*time.Hour))
	}
	return nil, c.Records.KalturaTx(c, func(tx Tx) error {
		return endSessions(c, tx.Kaltura(), c.partner(), c.now, until, ids...)
	})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
