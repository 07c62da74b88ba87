package kaltura

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"isthmus/gateway"
)

// nowhere is a category, a conversion profile and so on that no account has.
const nowhere = 1<<31 - 1

// options are the checks of what only some hubs ask for.
func (b *prober) options() []step {
	var out []step
	a := b.account
	if a.Entitlement != gateway.EntitlementAccount {
		out = append(out, step{gateway.CheckEntitlement, true, b.entitlement})
	}
	if a.CategoryID != 0 {
		out = append(out, step{gateway.CheckCategory, true, b.category})
	}
	if a.ConversionProfileID != 0 {
		out = append(out, step{gateway.CheckProfile, true, b.conversionProfile})
	}
	if a.PlayerTokenID != "" {
		out = append(out, step{gateway.CheckPlayer, true, b.player})
	}
	return out
}

func (b *prober) entitlement(context.Context) gateway.Check {
	want := demand(b.account)
	var missing []string
	for _, w := range []who{b.person, b.nobody} {
		for _, p := range want {
			if !b.held[w].holds(p) && !slices.Contains(missing, p) {
				missing = append(missing, p)
			}
		}
	}
	if len(missing) > 0 {
		return failed("entitlement_missing", "Sessions of this App Token do not hold "+strings.Join(missing, " and ")+".",
			"Add "+strings.Join(missing, ",")+" to sessionPrivileges of the App Token (appToken.update), or make a new one with it.")
	}
	if b.account.Entitlement == gateway.EntitlementEnforce && b.held[b.person].holds("disableentitlement") {
		return failed("entitlement_contradicts", "The App Token enforces entitlement and disables it at the same time.",
			"Remove disableentitlement from sessionPrivileges of the App Token.")
	}
	if b.account.Entitlement == gateway.EntitlementEnforce {
		for _, w := range []who{b.person, b.nobody} {
			if voids := b.held[w].unlocks(); voids != "" {
				return failed("entitlement_voided", "Sessions of this App Token hold "+voids+", which opens media whatever entitlement says.",
					"Remove "+voids+" from sessionPrivileges of the App Token (appToken.update). What members alone may see is played with the player App Token, the only one that holds disableentitlementforentry:*.")
			}
		}
		if b.want == gateway.VisibilityShared && !b.held[b.person].seesAll() {
			return failed("entitlement_lacks_list", "Sessions of this App Token list each person's own media only, and entitlement has to be asked as the person.",
				"Add list:* to sessionPrivileges of the App Token (appToken.update), or make a new one with it.")
		}
		if b.account.PlayerTokenID == "" {
			b.d.Warnings = append(b.d.Warnings, "Without a player App Token, media that entitlement keeps for members is listed to them but does not play.")
		}
	}
	return passed("Sessions hold %s.", strings.Join(want, " and "))
}

func (b *prober) category(ctx context.Context) gateway.Check {
	s := b.wideSession()
	id := strconv.FormatInt(b.account.CategoryID, 10)
	// A server that does not know the filter would ignore it, and the hub would see everything.
	n, err := b.count(ctx, s, params{"categoryAncestorIdIn": strconv.Itoa(nowhere)})
	if err == nil && n > 0 {
		return failed("category_filter_ignored", "This Kaltura server ignores the category in lists, so that the hub would see the whole account.",
			"Leave the category empty, or ask the Kaltura administrator for a newer server.")
	}
	if err != nil {
		return failure(err)
	}
	const get = "category.get"
	name := "The category"
	a, err := b.again(ctx, get, params{"id": b.account.CategoryID}, s.ks)
	switch {
	case code(err) == codeCategoryMissing:
		return failed("category_missing", "The account has no category "+id+", or its sessions may not see it.",
			"Check the number in the KMC under Content → Categories.")
	case err == nil:
		var c struct {
			Name text `json:"name"`
		}
		if a.decode(get, &c) == nil && c.Name != "" {
			name = "The category “" + string(c.Name) + "”"
		}
	case !notAllowed(err): // a role that may not look at categories may still list by them
		return failure(err)
	}
	if n, err = b.count(ctx, s, params{"categoryAncestorIdIn": id}); err != nil {
		return failure(err)
	}
	if b.want == gateway.VisibilityShared {
		b.d.EntryCount = n
	}
	// Asked about an entry that does not exist, Kaltura first says whether one may be put there at all.
	const add = "categoryentry.add"
	_, err = b.again(ctx, add, params{"categoryEntry": params{
		"objectType": "KalturaCategoryEntry", "categoryId": b.account.CategoryID, "entryId": nothing,
	}}, s.ks)
	if admin, ok := b.held[b.admin]; ok && categoryClosed(err) {
		_, err = b.again(ctx, add, params{"categoryEntry": params{
			"objectType": "KalturaCategoryEntry", "categoryId": b.account.CategoryID, "entryId": nothing,
		}}, admin.ks)
	}
	switch {
	case categoryClosed(err):
		return failed("category_forbidden", "Sessions of this App Token may not put uploads into the category.",
			"Let everybody contribute to the category, or make an App Token without sessionType.")
	case err != nil && code(err) == "":
		return failure(err)
	}
	return passed("%s can be listed with %d media, and uploads are put into it.", name, n)
}

// wideSession is the session that lists the account.
func (b *prober) wideSession() session {
	s := b.held[b.nobody]
	if admin, ok := b.held[b.admin]; ok && !s.seesAll() {
		return admin
	}
	return s
}

func (b *prober) conversionProfile(ctx context.Context) gateway.Check {
	id := b.account.ConversionProfileID
	admin, ok := b.held[b.admin]
	if !ok { // only administrators may read profiles; a wrong one would refuse each upload
		return gateway.Check{
			State: stateSkipped, Reason: "profiles_unreadable",
			Text: "The App Token gives user sessions only, which may not read conversion profiles. A wrong one shows at the first upload.",
		}
	}
	const op = "conversionprofile.list"
	a, err := b.again(ctx, op, profileQuery, admin.ks)
	var l list[conversionProfile]
	if err == nil {
		err = a.decode(op, &l)
	}
	if err != nil {
		return failure(err)
	}
	for _, c := range mediaProfiles(l.Objects) {
		if c.ID == id {
			return passed("Uploads are converted with the profile “%s”.", c.Name)
		}
	}
	return failed("conversion_profile_missing", "The account has no conversion profile "+strconv.FormatInt(id, 10)+" for media.",
		"Choose one of the profiles that are listed.")
}

// player checks the second App Token: that it is there and that what it starts can be narrowed to
// one entry.
func (b *prober) player(ctx context.Context) gateway.Check {
	p := b.players
	widget, err := p.startWidget(ctx)
	var token session
	if err == nil {
		token, err = p.startSession(ctx, widget, p.token.hashType, b.nobody, probeLife, "")
	}
	if err != nil {
		if c := code(err); c != "" {
			reason, text, fix := sessionFailure(c)
			return failed(reason, "The player App Token: "+text, fix)
		}
		return failure(err)
	}
	fix := "Make the player App Token with sessionPrivileges sview:*,disableentitlementforentry:* and nothing else (the request is shown on this page)."
	switch got, ok, err := p.narrowed(ctx, token, nothing, probeLife); {
	case err != nil:
		return failure(err)
	case token.admin:
		return failed("player_is_admin", "The player App Token starts administrator sessions, which are never handed out.", fix)
	case !token.may("sview", ""):
		return failed("player_lacks_sview", "The player App Token lacks sview:*, so it plays nothing that is restricted.", fix)
	case !ok:
		return failed("player_too_wide", "Sessions of the player App Token can do more than play one entry: "+wider(got.privileges, nothing)+".", fix)
	}
	if b.account.Entitlement == gateway.EntitlementEnforce && !token.may("disableentitlementforentry", "") {
		b.d.Warnings = append(b.d.Warnings, "The player App Token lacks disableentitlementforentry:*, so media that entitlement keeps for members does not play.")
	}
	if token.seesAll() {
		b.d.Warnings = append(b.d.Warnings, "The player App Token holds list:*, which it does not need.")
	}
	return passed("The player App Token starts sessions that can play one entry and nothing else.")
}

// wider names what a playback session holds beyond its entry.
func wider(privileges, entry string) string {
	var out []string
	for p := range strings.SplitSeq(privileges, ",") {
		if p = strings.TrimSpace(p); !narrow(p, entry) {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return "they act as a fixed user"
	}
	return strings.Join(out, ", ")
}
