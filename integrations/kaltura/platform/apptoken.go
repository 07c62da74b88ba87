package platform

import (
	"crypto/md5" //nolint:gosec // a hash type that clients may choose
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // a hash type that clients may choose
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"hash"
	"math/big"
	"strconv"
	"strings"
	"time"

	"isthmus/gateway"
)

// hashTypes are the ways to prove knowledge of an app token.
var hashTypes = map[string]func() hash.Hash{"SHA1": sha1.New, "MD5": md5.New, "SHA256": sha256.New, "SHA512": sha512.New}

// reservedPrivileges have a meaning of their own and cannot be added by who starts a session.
var reservedPrivileges = map[string]bool{}

func init() {
	for _, name := range strings.Fields(`* all list edit sview view download downloadasset editplaylist sviewplaylist edituser
		editadmintags setrole restrictingrole actionslimit iprestrict urirestrict enableentitlement disableentitlement
		disableentitlementforentry disableentitlementforplaylist privacycontext enablecategorymoderation enablecaptionmoderation
		limitentry sessionid apptoken reftime sessionkey preview jobtype enablechangeaccount virtualeventid searchcontext
		restrictexplicitliveview disablesessiontypecheck widget`) {
		reservedPrivileges[name] = true
	}
}

func appTokenActions() []*action {
	return []*action{
		{service: "appToken", name: "add", who: adminOnly, needs: []string{"appToken{}"}, run: (*call).appTokenAdd},
		{service: "appToken", name: "get", who: adminOnly, needs: []string{"id"}, run: (*call).appTokenGet},
		{service: "appToken", name: "update", who: adminOnly, needs: []string{"id", "appToken{}"}, run: (*call).appTokenUpdate},
		{service: "appToken", name: "delete", who: adminOnly, needs: []string{"id"}, run: (*call).appTokenDelete},
		{service: "appToken", name: "list", who: adminOnly, run: (*call).appTokenList},
		{service: "appToken", name: "startSession", who: anySession, needs: []string{"id", "tokenHash"}, run: (*call).appTokenStart},
	}
}

// same compares secrets in constant time.
func same(a gateway.Secret, b string) bool {
	return b != "" && subtle.ConstantTimeCompare([]byte(a.Reveal()), []byte(b)) == 1
}

// newID makes an id of Kaltura's form: data centre and eight letters or digits.
func newID() string {
	const letters = "0123456789abcdefghijklmnopqrstuvwxyz"
	out := []byte("0_")
	for range 8 {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
		if err != nil {
			panic(err) // the system has no randomness
		}
		out = append(out, letters[n.Int64()])
	}
	return string(out)
}

// randomHex gives 32 hex digits.
func randomHex() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}

func (t AppToken) place() string { return "kaltura_app_tokens.token/" + t.ID }

func (c *call) viewAppToken(t AppToken) (*object, error) {
	secret, err := c.Sealer.Open(t.Token, t.place())
	if err != nil {
		return nil, err
	}
	return newObject("KalturaAppToken").
		set("id", t.ID).set("token", secret.Reveal()).set("partnerId", t.Partner).
		set("createdAt", t.CreatedAt.Unix()).set("updatedAt", t.UpdatedAt.Unix()).
		set("status", t.Status).set("expiry", orNull(t.Expiry)).set("sessionType", orNull(t.SessionType)).
		set("sessionUserId", orNull(t.SessionUserID)).set("sessionDuration", t.SessionDuration).
		set("sessionPrivileges", orNull(t.SessionPrivileges)).set("hashType", t.HashType).set("description", orNull(t.Description)), nil
}

// appToken gives a token of the account.
func (c *call) appToken(id string) (AppToken, error) {
	t, err := c.tables().AppTokens().Get(c, c.partner(), id)
	if missing(err) {
		return t, refuse("APP_TOKEN_ID_NOT_FOUND", "ID", id)
	}
	return t, err
}

// fill takes over what a client may write.
func (c *call) fillAppToken(t *AppToken, a args) error {
	if a.has("hashType") {
		h := a.str("hashType")
		if hashTypes[h] == nil {
			return refuse("INVALID_ENUM_VALUE", "ENUM_VAL", h, "PARAM_NAME", "hashType", "ENUM_TYPE", "KalturaAppTokenHashType")
		}
		t.HashType = h
	}
	if a.has("sessionType") {
		kind := a.num("sessionType")
		if kind != sessionUser && kind != sessionAdmin {
			return refuse("INVALID_ENUM_VALUE", "ENUM_VAL", a.str("sessionType"), "PARAM_NAME", "sessionType", "ENUM_TYPE", "KalturaSessionType")
		}
		t.SessionType = &kind
	}
	if a.has("expiry") && a.str("expiry") != "" {
		at := a.when("expiry", c.now)
		t.Expiry = &at
	}
	if a.has("sessionDuration") {
		t.SessionDuration = a.num("sessionDuration")
	}
	for name, field := range map[string]**string{"sessionPrivileges": &t.SessionPrivileges, "description": &t.Description, "sessionUserId": &t.SessionUserID} {
		if v, sent := a.change(name); sent {
			*field = &v
			if v == "" {
				*field = nil
			}
		}
	}
	return nil
}

func (c *call) appTokenAdd() (any, error) {
	a := c.args.tree("appToken")
	t := AppToken{Row: Row{Partner: c.partner(), ID: newID()}, Status: appTokenActive, HashType: "SHA1", SessionDuration: defaultLife}
	if err := c.fillAppToken(&t, a); err != nil {
		return nil, err
	}
	var err error
	if t.Token, err = c.Sealer.Seal(gateway.Secret(randomHex()), t.place()); err != nil {
		return nil, err
	}
	err = c.Records.KalturaTx(c, func(tx Tx) error {
		user := ""
		if t.SessionUserID != nil {
			user = *t.SessionUserID
		}
		if user == "" {
			// Without a user the original needs the account's nameless user, made by its first write.
			if _, err := tx.Kaltura().Users().Get(c, t.Partner, ""); missing(err) {
				return refuse("INVALID_FIELD_VALUE", "FIELD_NAME", "sessionUserId")
			} else if err != nil {
				return err
			}
		} else if err := c.ensureUser(tx.Kaltura(), user, "sessionUserId"); err != nil {
			return err
		}
		return tx.Kaltura().AppTokens().Insert(c, &t)
	})
	if err != nil {
		return nil, err
	}
	return c.viewAppToken(t)
}

func (c *call) appTokenGet() (any, error) {
	t, err := c.appToken(c.args.str("id"))
	if err != nil {
		return nil, err
	}
	return c.viewAppToken(t)
}

func (c *call) appTokenUpdate() (any, error) {
	t, err := c.appToken(c.args.str("id"))
	if err != nil {
		return nil, err
	}
	a := c.args.tree("appToken")
	for name, have := range map[string]string{
		"id": t.ID, "token": "", "partnerId": fmt.Sprint(t.Partner), "status": fmt.Sprint(t.Status),
		"createdAt": fmt.Sprint(t.CreatedAt.Unix()), "updatedAt": fmt.Sprint(t.UpdatedAt.Unix()),
	} {
		if a.has(name) && a.str(name) != have {
			return nil, refuse("PROPERTY_VALIDATION_NOT_UPDATABLE", "PROP_NAME", "KalturaAppToken::"+name)
		}
	}
	if err := c.fillAppToken(&t, a); err != nil {
		return nil, err
	}
	err = c.Records.KalturaTx(c, func(tx Tx) error {
		if t.SessionUserID != nil {
			if err := c.ensureUser(tx.Kaltura(), *t.SessionUserID, "sessionUserId"); err != nil {
				return err
			}
		}
		return tx.Kaltura().AppTokens().Update(c, &t)
	})
	if err != nil {
		return nil, err
	}
	return c.viewAppToken(t)
}

// appTokenDelete deletes a token and ends every session started from it.
func (c *call) appTokenDelete() (any, error) {
	t, err := c.appToken(c.args.str("id"))
	if err != nil {
		return nil, err
	}
	return nil, c.Records.KalturaTx(c, func(tx Tx) error {
		if err := tx.Kaltura().AppTokens().Delete(c, t.Partner, t.ID); err != nil {
			return err
		}
		until := c.now.Add(time.Duration(t.SessionDuration) * time.Second)
		return endSessions(c, tx.Kaltura(), t.Partner, c.now, until, "sessionid:"+t.ID)
	})
}

func (c *call) appTokenList() (any, error) {
	f := c.args.tree("filter")
	where := []Cond{}
	where = c.equals(where, f, "id", "id", "sessionUserId", "session_user_id")
	where = c.numbers(where, f, "status", "status")
	where = c.times(where, f, "createdAt", "created_at", "updatedAt", "updated_at")
	rows, total, err := find(c, c.tables().AppTokens(), where, map[string]string{"createdAt": "created_at", "updatedAt": "updated_at"}, Order{Column: "created_at"})
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(rows))
	for _, t := range rows {
		v, err := c.viewAppToken(t)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return list("KalturaAppTokenListResponse", total, out), nil
}

// appTokenStart starts a session for who knows the token: the hash is of the KS of this very call
// and the token, so that it is of no use with any other KS.
func (c *call) appTokenStart() (any, error) {
	t, err := c.appToken(c.args.str("id"))
	if err != nil {
		return nil, err
	}
	if t.Status != appTokenActive {
		return nil, refuse("APP_TOKEN_NOT_ACTIVE", "ID", t.ID)
	}
	secret, err := c.Sealer.Open(t.Token, t.place())
	if err != nil {
		return nil, err
	}
	h := hashTypes[t.HashType]()
	_, _ = h.Write([]byte(c.args.str("ks") + secret.Reveal())) // a hash never fails
	if !same(gateway.Secret(c.args.str("tokenHash")), hex.EncodeToString(h.Sum(nil))) {
		return nil, refuse("INVALID_APP_TOKEN_HASH")
	}
	if t.Expiry != nil && *t.Expiry <= c.now.Unix() {
		return nil, refuse("APP_TOKEN_EXPIRED", "ID", t.ID)
	}
	life := t.SessionDuration
	if asked := c.args.num("expiry"); asked > 0 {
		life = min(life, asked)
	}
	if t.Expiry != nil {
		life = min(life, *t.Expiry-c.now.Unix())
	}
	kind, err := c.sessionType()
	if err != nil {
		return nil, err
	}
	if t.SessionType != nil {
		kind = *t.SessionType
	}
	user := c.args.str("userId")
	if t.SessionUserID != nil {
		user = *t.SessionUserID
	}
	own := ""
	if t.SessionPrivileges != nil {
		own = *t.SessionPrivileges
	}
	k := issueKS(ks{
		partner: t.Partner, user: user, kind: kind, expiry: c.now.Unix() + life,
		privileges: grant(t.ID, own, c.args.str("sessionPrivileges")),
	}, c.account.adminSecret)
	return newObject("KalturaSessionInfo").
		set("ks", k.text).set("sessionType", k.kind).set("partnerId", strconv.FormatInt(k.partner, 10)).
		set("userId", k.user).set("expiry", k.expiry).set("privileges", k.privileges), nil
}

// grant joins the privileges of a token with those that a caller asks for. Reserved names are the
// token's to give; where it gives all (*), the caller may narrow. What is not granted vanishes silently.
func grant(tokenID, own, asked string) string {
	ps := []privilege{{"sessionid", tokenID}, {"apptoken", tokenID}}
	for _, p := range parsePrivileges(own) {
		if p.name != "sessionid" && p.name != "apptoken" {
			ps = append(ps, p)
		}
	}
	for _, p := range parsePrivileges(asked) {
		at := -1
		for i := range ps {
			if ps[i].name == p.name {
				at = i
			}
		}
		switch {
		case at >= 0 && ps[at].value == "*":
			ps[at].value = p.value
		case at < 0 && !reservedPrivileges[p.name]:
			ps = append(ps, p)
		}
	}
	return joinPrivileges(ps)
}
