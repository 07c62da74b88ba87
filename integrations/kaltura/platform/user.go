package platform

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"regexp"
	"strings"

	"isthmus/gateway"
)

var userID = regexp.MustCompile("^[A-Za-z0-9,!#$%&'*+?^_`{|}~.@-]{1,320}$")

const publisherRole = 2 // of console administrators

// profileFields are plain texts of a user, in the order of the answer.
var profileFields = []string{
	"country", "state", "city", "zip", "thumbnailUrl", "description", "tags", "adminTags", "partnerData",
	"language", "title", "company",
}

func userActions() []*action {
	return []*action{
		{service: "user", name: "add", who: adminOnly, needs: []string{"user{}"}, run: (*call).userAdd},
		{service: "user", name: "get", who: userSession, run: (*call).userGet},
		{service: "user", name: "getByLoginId", who: adminOnly, needs: []string{"loginId"}, run: (*call).userByLogin},
		{service: "user", name: "update", who: adminOnly, needs: []string{"userId", "user{}"}, run: (*call).userUpdate},
		{service: "user", name: "delete", who: adminOnly, needs: []string{"userId"}, run: (*call).userDelete},
		{service: "user", name: "list", who: adminOnly, run: (*call).userList},
		{service: "user", name: "loginByLoginId", needs: []string{"loginId", "password"}, run: (*call).userLogin},
	}
}

// viewUser shows a user. Right after add two members differ: no type, and roleIds is a number.
func viewUser(u User, fresh bool) *object {
	o := newObject("KalturaUser")
	plain := func(name string) any {
		if name == "country" || name == "description" {
			return u.Profile[name]
		}
		return orNil(u.Profile[name])
	}
	var storage, kind, roles, deleted any
	roles, roleNames := "", ""
	if !fresh {
		storage, kind = 0, 0
	}
	if u.IsAdmin {
		roleNames = "Publisher Administrator"
		if fresh {
			roles = publisherRole
		} else {
			roles = fmt.Sprint(publisherRole)
		}
	}
	if u.DeletedAt != nil {
		deleted = u.DeletedAt.Unix()
	}
	o.set("id", u.ID).set("partnerId", u.Partner).set("screenName", u.ScreenName).
		set("fullName", strings.TrimSpace(u.FirstName+" "+u.LastName)).set("email", orNil(u.Email))
	for _, f := range profileFields[:8] {
		o.set(f, plain(f))
	}
	o.set("status", u.Status).set("createdAt", u.CreatedAt.Unix()).set("updatedAt", u.UpdatedAt.Unix()).
		set("partnerData", plain("partnerData")).null("indexedPartnerDataInt", "indexedPartnerDataString").
		set("storageSize", storage).set("language", plain("language")).null("lastLoginTime").
		set("statusUpdatedAt", u.StatusUpdatedAt.Unix()).set("deletedAt", deleted).
		null("allowedPartnerIds", "allowedPartnerPackages").set("userMode", 0).set("capabilities", []any{}).
		set("type", kind).null("dateOfBirth", "gender").set("isAdmin", u.IsAdmin).set("isGuest", u.IsGuest).
		set("roleIds", roles).set("roleNames", roleNames).set("isAccountOwner", u.IsOwner).null("password").
		set("firstName", u.FirstName).set("lastName", u.LastName).set("loginEnabled", u.LoginEnabled).
		null("registrationInfo", "attendanceInfo").set("title", plain("title")).set("company", plain("company")).
		null("ksPrivileges", "encryptedSeed").set("isSsoExcluded", false).null("externalId")
	return o
}

// user gives a user who is not deleted.
func (c *call) userRow(t Tables, id string) (User, error) {
	u, err := t.Users().Get(c, c.partner(), id)
	if missing(err) || err == nil && u.Status == userDeleted {
		return u, refuse("INVALID_USER_ID")
	}
	return u, err
}

// ensureUser makes a user who is named as owner and does not exist yet: without e-mail, the first
// name equal to the id. The nameless user is made too.
func (c *call) ensureUser(t Tables, id, field string) error {
	u, err := t.Users().Get(c, c.partner(), id)
	switch {
	case err == nil && id != "" && u.Status != userActive:
		return refuse("INVALID_USER_ID")
	case err == nil:
		return nil
	case !missing(err):
		return err
	case id != "" && !userID.MatchString(id):
		return refuse("INVALID_FIELD_VALUE", "FIELD_NAME", field)
	}
	u = User{Row: Row{Partner: c.partner(), ID: id}, ScreenName: id, FirstName: id, Status: userActive, StatusUpdatedAt: c.now}
	err = t.Users().Insert(c, &u)
	if gateway.CodeOf(err) == gateway.Conflict {
		return nil // somebody else was first
	}
	return err
}

func (c *call) fillUser(u *User, a args) error {
	for name, field := range map[string]*string{"email": &u.Email, "firstName": &u.FirstName, "lastName": &u.LastName, "screenName": &u.ScreenName} {
		if v, sent := a.change(name); sent {
			if strings.Contains(v, "://") {
				return refuse("INVALID_FIELD_VALUE", "FIELD_NAME", name)
			}
			*field = cut(v, 127)
		}
	}
	if v, sent := a.change("fullName"); sent && !a.has("firstName") && !a.has("lastName") {
		u.FirstName, u.LastName, _ = strings.Cut(v, " ")
	}
	for _, name := range profileFields {
		if v, sent := a.change(name); sent {
			if u.Profile == nil {
				u.Profile = map[string]string{}
			}
			u.Profile[name] = v
		}
	}
	return nil
}

// cut shortens text to at most n bytes on a character border.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}

func (c *call) userAdd() (any, error) {
	a := c.args.tree("user")
	id := a.str("id")
	if !userID.MatchString(id) {
		return nil, refuse("INVALID_FIELD_VALUE", "FIELD_NAME", "id")
	}
	u := User{Row: Row{Partner: c.partner(), ID: id}, ScreenName: id, Status: userActive, StatusUpdatedAt: c.now}
	if err := c.fillUser(&u, a); err != nil {
		return nil, err
	}
	u.IsAdmin, u.IsGuest = a.flag("isAdmin", false), a.flag("isGuest", false)
	u.LoginEnabled = u.IsAdmin || a.str("password") != ""
	if u.LoginEnabled {
		u.Password = hashPassword(a.str("password"))
	}
	err := c.Records.KalturaTx(c, func(tx Tx) error {
		t := tx.Kaltura()
		if u.LoginEnabled {
			n, err := t.Users().Count(c, Find{Where: all(in("email", u.Email), in("login_enabled", true), in("status", int64(userActive)))})
			if err != nil {
				return err
			}
			if n > 0 {
				return refuse("DUPLICATE_USER_BY_LOGIN_ID", "EMAIL", u.Email)
			}
		}
		have, err := t.Users().Get(c, c.partner(), id)
		switch {
		case missing(err):
		case err != nil:
			return err
		case have.Status != userDeleted:
			return refuse("DUPLICATE_USER_BY_ID", "UID", id)
		default: // the id of a deleted user may be taken again
			if err := t.Users().Delete(c, have.Partner, have.ID); err != nil {
				return err
			}
		}
		if err = t.Users().Insert(c, &u); gateway.CodeOf(err) == gateway.Conflict {
			return refuse("DUPLICATE_USER_BY_ID", "UID", id)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return viewUser(u, true), nil
}

func (c *call) userGet() (any, error) {
	id := c.user()
	if asked := c.args.str("userId"); asked != "" {
		if asked != id && !c.admin() {
			return nil, refuse("CANNOT_RETRIEVE_ANOTHER_USER_USING_NON_ADMIN_SESSION", "USER_ID", asked)
		}
		id = asked
	}
	u, err := c.userRow(c.tables(), id)
	if err != nil {
		return nil, err
	}
	return viewUser(u, false), nil
}

// login finds the one user who signs in with an address.
func (c *call) login(ctx context.Context, partner int64, address string) (User, error) {
	rows, err := c.tables().Users().Find(ctx, Find{
		Partner: partner, Limit: 1,
		Where: all(in("email", address), in("login_enabled", true), in("status", int64(userActive))),
	})
	if err == nil && len(rows) == 0 {
		err = refuse("LOGIN_DATA_NOT_FOUND")
	}
	if err != nil {
		return User{}, err
	}
	return rows[0], nil
}

func (c *call) userByLogin() (any, error) {
	u, err := c.login(c, c.partner(), c.args.str("loginId"))
	if err != nil {
		return nil, err
	}
	return viewUser(u, false), nil
}

func (c *call) userUpdate() (any, error) {
	a := c.args.tree("user")
	var u User
	err := c.Records.KalturaTx(c, func(tx Tx) (err error) {
		if u, err = c.userRow(tx.Kaltura(), c.args.str("userId")); err != nil {
			return err
		}
		if err := c.fillUser(&u, a); err != nil {
			return err
		}
		if a.has("status") && a.num("status") != u.Status {
			u.Status, u.StatusUpdatedAt = a.num("status"), c.now
			if u.Status != userBlocked && u.Status != userActive {
				return refuse("INVALID_ENUM_VALUE", "ENUM_VAL", a.str("status"), "PARAM_NAME", "status", "ENUM_TYPE", "KalturaUserStatus")
			}
		}
		if a.has("id") && a.str("id") != u.ID {
			return refuse("PROPERTY_VALIDATION_NOT_UPDATABLE", "PROP_NAME", "KalturaUser::id")
		}
		return tx.Kaltura().Users().Update(c, &u)
	})
	if err != nil {
		return nil, err
	}
	return viewUser(u, false), nil
}

// userDelete marks a user as deleted and deletes the app tokens bound to the user.
func (c *call) userDelete() (any, error) {
	var u User
	err := c.Records.KalturaTx(c, func(tx Tx) (err error) {
		t := tx.Kaltura()
		if u, err = c.userRow(t, c.args.str("userId")); err != nil {
			return err
		}
		now := c.now
		u.Status, u.StatusUpdatedAt, u.DeletedAt = userDeleted, now, &now
		tokens, err := t.AppTokens().Find(c, Find{Partner: u.Partner, Where: in("session_user_id", u.ID)})
		if err != nil {
			return err
		}
		for _, token := range tokens {
			if err := t.AppTokens().Delete(c, u.Partner, token.ID); err != nil {
				return err
			}
		}
		return t.Users().Update(c, &u)
	})
	if err != nil {
		return nil, err
	}
	return viewUser(u, false), nil
}

func (c *call) userList() (any, error) {
	f := c.args.tree("filter")
	where := []Cond{not(in("status", int64(userDeleted))), not(in("id", ""))}
	where = c.equals(where, f, "id", "id")
	where = c.numbers(where, f, "status", "status")
	where = c.times(where, f, "createdAt", "created_at", "updatedAt", "updated_at")
	starts := func(field string, columns ...string) {
		if s := f.str(field); s != "" {
			var any []Cond
			for _, col := range columns {
				any = append(any, prefix(col, s))
			}
			where = append(where, anyOf(any...))
		}
	}
	starts("idOrScreenNameStartsWith", "id", "screen_name")
	starts("firstNameOrLastNameStartsWith", "first_name", "last_name")
	starts("firstNameStartsWith", "first_name")
	starts("lastNameStartsWith", "last_name")
	starts("screenNameStartsWith", "screen_name")
	starts("emailStartsWith", "email")
	starts("emailLike", "email")
	starts("screenNameLike", "screen_name")
	if f.has("loginEnabledEqual") && f.num("loginEnabledEqual") >= 0 {
		where = append(where, in("login_enabled", f.flag("loginEnabledEqual", false)))
	}
	if f.has("isAdminEqual") && f.num("isAdminEqual") >= 0 {
		where = append(where, in("is_admin", f.flag("isAdminEqual", false)))
	}
	if f.has("typeEqual") && f.num("typeEqual") != 0 {
		where = append(where, anyOf()) // there are no groups
	}
	rows, total, err := find(c, c.tables().Users(), where,
		map[string]string{"id": "id", "createdAt": "created_at", "updatedAt": "updated_at"}, Order{Column: "created_at"})
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(rows))
	for _, u := range rows {
		out = append(out, viewUser(u, false))
	}
	return list("KalturaUserListResponse", total, out), nil
}

// userLogin gives an administrator's session for a password. Every failure looks the same.
func (c *call) userLogin() (any, error) {
	u, err := c.login(c, c.args.num("partnerId"), c.args.str("loginId"))
	if _, unknown := err.(*fault); err != nil && !unknown {
		return nil, err
	}
	if !checkPassword(u.Password, c.args.str("password")) || err != nil {
		return nil, refuse("USER_WRONG_PASSWORD")
	}
	acc, _, err := c.Platform.account(c, u.Partner)
	if err != nil {
		return nil, err
	}
	privileges := c.args.str("privileges")
	if !c.args.has("privileges") {
		privileges = "*"
	}
	k := issueKS(ks{partner: u.Partner, user: u.ID, kind: sessionAdmin, expiry: c.now.Unix() + c.life(), privileges: privileges}, acc.adminSecret)
	return k.text, nil
}

const stretch = 100_000

// hashPassword gives salt and stretched password.
func hashPassword(password string) []byte {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails since Go 1.24
	key, err := pbkdf2.Key(sha256.New, password, salt, stretch, 32)
	if err != nil {
		panic(err) // the parameters are constant
	}
	return append(salt, key...)
}

// checkPassword takes as long for somebody unknown as for a wrong password.
func checkPassword(have []byte, password string) bool {
	known := len(have) == 48
	if !known {
		have = make([]byte, 48)
	}
	key, err := pbkdf2.Key(sha256.New, password, have[:16], stretch, 32)
	return err == nil && subtle.ConstantTimeCompare(key, have[16:]) == 1 && known
}
