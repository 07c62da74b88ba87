package gateway

import (
	"crypto/sha256"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Connection is what an admin pastes. On a change, an empty field keeps the saved one.
type Connection struct {
	ServiceURL  string
	PartnerID   int64
	AppTokenID  string
	AppToken    Secret
	HashType    string
	Visibility  Visibility
	MappingMode MappingMode
	MatchBy     MatchBy
	Options     ConnectionOptions
}

// over fills the empty fields from a saved integration, whose token is given in clear. The saved
// token is only ever used for what it was saved for: with another server, account or token id it
// has to be pasted again, so that nobody can send it elsewhere by changing the address.
func (c Connection) over(in Integration, token, player func() (Secret, error)) (Connection, error) {
	c = c.trimmed()
	if c.ServiceURL == "" {
		c.ServiceURL = in.ServiceURL
	}
	if c.PartnerID == 0 {
		c.PartnerID = in.PartnerID
	}
	if c.AppTokenID == "" {
		c.AppTokenID = in.AppTokenID
	}
	normal, err := normalURL(c.ServiceURL)
	if err != nil {
		return c, err
	}
	sameAccount := normal == in.ServiceURL && c.PartnerID == in.PartnerID
	if c.AppToken == "" {
		if !sameAccount || c.AppTokenID != in.AppTokenID {
			return c, E(Invalid, "token_required", "The saved App Token is only used with the server, account and token id it was saved for.").
				At("/app_token").Next("Paste the App Token's value again.")
		}
		if c.AppToken, err = token(); err != nil {
			return c, err
		}
		if c.HashType == "" {
			c.HashType = in.HashType
		}
	}
	if c.Visibility == "" {
		c.Visibility = in.Visibility
	}
	if c.MappingMode == "" {
		c.MappingMode = in.MappingMode
	}
	if c.MatchBy == "" {
		c.MatchBy = in.MatchBy
	}
	c.Options, err = c.Options.over(in, sameAccount, player)
	return c, err
}

// trimmed drops the blanks and line ends that come along when a value is pasted.
func (c Connection) trimmed() Connection {
	c.ServiceURL = strings.TrimSpace(c.ServiceURL)
	c.AppTokenID = strings.TrimSpace(c.AppTokenID)
	c.AppToken = Secret(strings.TrimSpace(c.AppToken.Reveal()))
	c.HashType = hashTypeOf(c.HashType)
	return c
}

func hashTypeOf(s string) string {
	return strings.ReplaceAll(strings.ToUpper(strings.TrimSpace(s)), "-", "")
}

func validTokenID(id string) bool {
	return id != "" && len(id) <= 64 && !strings.ContainsFunc(id, notIDRune)
}

func validToken(t Secret) bool {
	return t != "" && len(t) <= 500 && !strings.ContainsFunc(t.Reveal(), notTokenRune)
}

func validHashType(s string) bool { return slices.Contains(hashTypes, s) }

var hashTypes = []string{"SHA256", "SHA512", "SHA1", "MD5"}

// checked gives the connection in normal form or says which field cannot be right. Whether the
// address may be called at all is decided where addresses are dialled.
func (c Connection) checked() (Connection, error) {
	c = c.trimmed()
	var err error
	if c.ServiceURL, err = normalURL(c.ServiceURL); err != nil {
		return c, err
	}
	if c.PartnerID <= 0 {
		return c, E(Invalid, "partner_id", "The partner id is the account's number in Kaltura, above zero.").
			At("/partner_id").Next("Find it in the KMC under Settings → Integration settings.")
	}
	if !validTokenID(c.AppTokenID) {
		return c, E(Invalid, "app_token_id", "The App Token id looks like 0_ab12cd34.").
			At("/app_token_id").Next("Copy the field \"id\" from the answer of appToken.add.")
	}
	if !validToken(c.AppToken) {
		return c, E(Invalid, "app_token", "The App Token's value is 32 characters without blanks.").
			At("/app_token").Next("Copy the field \"token\" from the answer of appToken.add.")
	}
	if c.HashType == "" {
		c.HashType = "SHA256"
	}
	if !validHashType(c.HashType) {
		return c, E(Invalid, "hash_type", "The hash type is one of SHA256, SHA512, SHA1 and MD5.").
			At("/hash_type").Next("Copy the field \"hashType\" from the answer of appToken.add.")
	}
	if c.Visibility != VisibilityShared && c.Visibility != VisibilityOwn {
		return c, E(Invalid, "visibility", "The visibility is \"shared\" or \"own\".").At("/visibility").
			Next("Choose whether everybody sees the whole account or each person only their own media.")
	}
	if c.MappingMode == "" {
		c.MappingMode = MappingOnFirstUse
	}
	if c.MappingMode != MappingOnFirstUse && c.MappingMode != MappingApproval && c.MappingMode != MappingOff {
		return c, E(Invalid, "mapping_mode", "The mapping mode is \"on_first_use\", \"needs_approval\" or \"off\".").At("/mapping_mode").
			Next("Choose one of them.")
	}
	if c.MatchBy == "" {
		c.MatchBy = MatchEmail
	}
	if c.MatchBy != MatchEmail && c.MatchBy != MatchUserID {
		return c, E(Invalid, "match_by", "People are matched by \"email\" or by \"user_id\".").At("/match_by").
			Next("Choose one of them.")
	}
	c.Options, err = c.Options.checked(c.AppTokenID)
	return c, err
}

func notIDRune(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '_' && r != '-'
}

func notTokenRune(r rune) bool { return r > unicode.MaxASCII || !unicode.IsGraphic(r) || r == ' ' }

// normalURL gives a service URL without trailing slash and without the /api_v3 that people copy along.
func normalURL(raw string) (string, error) {
	bad := func(reason, msg string) error {
		return E(Invalid, reason, msg).At("/service_url").Next("Use the address of the Kaltura server, for example https://www.kaltura.com.")
	}
	if raw == "" || len(raw) > 2048 {
		return "", bad("service_url", "The service URL is missing or too long.")
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return "", bad("service_url", "The service URL is not a complete web address.")
	case !strings.EqualFold(u.Scheme, "https") && !strings.EqualFold(u.Scheme, "http"):
		return "", bad("service_url", "The service URL must begin with https://.")
	case u.User != nil:
		return "", bad("service_url", "The service URL must not hold a user name or password.")
	case u.RawQuery != "" || u.Fragment != "":
		return "", bad("service_url", "The service URL must end with the path, without ? or #.")
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	path = strings.TrimSuffix(strings.TrimSuffix(path, "/index.php"), "/api_v3")
	return strings.ToLower(u.Scheme) + "://" + strings.ToLower(u.Host) + strings.TrimRight(path, "/"), nil
}

// refuse says why a diagnosed connection cannot be saved: the first reason in the order in which a
// person would repair it.
func (c Connection) refuse(d Diagnosis) error {
	failed := d.Failed()
	if d.SessionType == "" && len(failed) > 0 {
		return refusal(failed[0])
	}
	if c.Visibility == VisibilityOwn {
		if d.FixedUser != "" {
			return E(Invalid, "fixed_user_in_own_mode", "This App Token always acts as the Kaltura user \""+d.FixedUser+"\", so everybody would see that user's media as their own.").
				At("/app_token_id").Next("Make an App Token without sessionUserId (the request is shown on this page), or let everybody see the whole account.")
		}
		if d.SessionType == "admin" {
			return E(Invalid, "admin_session_in_own_mode", "This App Token gives administrator sessions even when a person's session is asked for, so nobody would be limited to their own media.").
				At("/app_token_id").Next("Make an App Token without sessionType (the request is shown on this page), or let everybody see the whole account.")
		}
	}
	// Whether users must be looked up depends on how people are matched, not on the visibility.
	lookUp := c.MatchBy == MatchEmail && c.MappingMode != MappingOff && d.FixedUser == ""
	for _, ch := range failed {
		if ch.ID != CheckCreateUser {
			return refusal(ch)
		}
		if lookUp && ch.Reason == ReasonUserToken {
			return E(Invalid, "match_by_user_id_only", "This App Token only gives user sessions, and those can neither look up nor create Kaltura users. It works when each person's Kaltura user id is their e-mail address.").
				At("/match_by").Next("Choose \"user id = e-mail\", or make an App Token without sessionType.")
		}
		if lookUp {
			return refusal(ch)
		}
	}
	return nil
}

func refusal(ch Check) error {
	field := "/app_token_id"
	switch ch.ID {
	case CheckReach:
		field = "/service_url"
	case CheckSession:
		field = "/app_token"
	case CheckCategory:
		field = "/category_id"
	case CheckEntitlement:
		field = "/entitlement"
	case CheckProfile:
		field = "/conversion_profile_id"
	case CheckPlayer:
		field = "/player_token_id"
	}
	switch ch.Reason {
	case "app_token_not_found", "app_token_disabled", "app_token_expired":
		field = "/app_token_id"
	case "partner_unknown", "partner_blocked":
		field = "/partner_id"
	}
	reason := ch.Reason
	if reason == "" {
		reason = "check_" + string(ch.ID)
	}
	e := E(Invalid, reason, ch.Text).At(field)
	e.NextStep = ch.Fix
	return e
}

// advise adds what works but is not good, unless the platform said so already.
func (c Connection) advise(d Diagnosis) Diagnosis {
	warn := func(about, text string) {
		if !slices.ContainsFunc(d.Warnings, func(w string) bool { return strings.Contains(w, about) }) {
			d.Warnings = append(d.Warnings, text)
		}
	}
	if c.HashType == "MD5" || c.HashType == "SHA1" {
		warn(c.HashType, "The App Token uses "+c.HashType+", which is weak. Make a new one with hash type SHA256 and paste it here; nothing is interrupted.")
	}
	if c.MatchBy == MatchUserID {
		warn("user id is", "People are not looked up: each person's Kaltura user id is taken to be their e-mail address. Somebody whose Kaltura user id is another one must be linked by hand.")
	}
	if d.SessionType == "admin" {
		warn("always gives administrator", "This App Token always gives administrator sessions. It works, but one without sessionType lets people act with their own, smaller rights.")
	}
	if d.FixedUser != "" {
		warn(d.FixedUser, "This App Token always acts as the Kaltura user \""+d.FixedUser+"\": everything that is uploaded belongs to that user.")
	}
	return d
}

// integrationID follows from the hub and the account: who disconnects and connects the same account
// again finds the links made before playing again.
func integrationID(hubID, platform, serviceURL string, partnerID int64) string {
	h := sha256.Sum256([]byte(strings.Join([]string{hubID, platform, serviceURL, strconv.FormatInt(partnerID, 10)}, "\n")))
	return "int_" + idEncoding.EncodeToString(h[:16])
}
