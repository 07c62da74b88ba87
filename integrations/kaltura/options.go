package kaltura

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"isthmus/gateway"
)

// scope narrows a listing to the hub's category and those below it.
func (p *Platform) scope(filter params) {
	if p.account.CategoryID != 0 {
		filter["categoryAncestorIdIn"] = strconv.FormatInt(p.account.CategoryID, 10)
	}
}

// categoryOf gives the hub's category when the entry lies in it or below, else 0. Reading an entry by
// its id never looks at categories, so Kaltura's list is asked, which also knows the tree and lets an
// entry be found by id whatever its status and owner. A fresh entry is not in the list for seconds:
// for those the entry's own categories are enough.
func (p *Platform) categoryOf(ctx context.Context, w who, id string) (int64, error) {
	if p.account.CategoryID == 0 || !entryIDs.MatchString(id) {
		return 0, nil
	}
	f := params{"objectType": "KalturaMediaEntryFilter", "idEqual": id, "statusIn": statusIn(nil)}
	p.scope(f)
	var l list[entry]
	err := p.as(ctx, w, "media.list", params{"filter": f, "pager": params{"pageSize": 1, "pageIndex": 1}}, &l)
	if err == nil && len(l.Objects) == 1 && string(l.Objects[0].ID) == id {
		return p.account.CategoryID, nil
	}
	return 0, err
}

// names tells whether the entry itself is in the category, not below it.
func (e entry) names(category int64) bool {
	return category != 0 && slices.Contains(strings.FieldsFunc(string(e.CategoriesIDs), func(r rune) bool { return r == ',' || r == ' ' }),
		strconv.FormatInt(category, 10))
}

// categoryEntry is the call that puts an entry into the hub's category.
func (p *Platform) categoryEntry(id string) sub {
	return sub{"categoryentry.add", params{"categoryEntry": params{
		"objectType": "KalturaCategoryEntry", "categoryId": p.account.CategoryID, "entryId": id,
	}}}
}

// categorise puts an entry into the hub's category. Repeating is harmless. Not by the entry's own
// field: that is closed where entitlement is in force.
func (p *Platform) categorise(ctx context.Context, w who, id string) error {
	if p.account.CategoryID == 0 {
		return nil
	}
	call := p.categoryEntry(id)
	add := func(w who) error { return p.as(ctx, w, call.op, call.params, nil) }
	err := add(w)
	if categoryClosed(err) && !w.admin {
		if _, aerr := p.sessions.get(ctx, who{admin: true}); aerr == nil {
			err = add(who{admin: true})
		}
	}
	switch {
	case code(err) == codeInCategory:
		return nil
	case code(err) == codeCategoryMissing:
		return gateway.E(gateway.Precondition, "category_missing", "The category that the hub is limited to no longer exists in Kaltura.").
			Next("A hub admin chooses another category in the hub settings; the upload then goes on.").Because(err)
	case categoryClosed(err):
		return gateway.E(gateway.Precondition, "category_forbidden", "The App Token may not put media into the hub's category.").
			Next("A hub admin can see in the hub settings which right is missing; the upload then goes on.").Because(err)
	}
	return err
}

func categoryClosed(err error) bool {
	return notAllowed(err) || code(err) == "CANNOT_ASSIGN_ENTRY_TO_CATEGORY"
}

// demand lists the privileges that every session of a token must hold.
func demand(a gateway.Account) []string { return a.Entitlement.Privileges(a.PrivacyContext) }

// holds tells whether the session was granted a privilege, word for word.
func (s session) holds(privilege string) bool {
	for p := range strings.SplitSeq(s.privileges, ",") {
		if strings.TrimSuffix(strings.TrimSpace(p), ":") == privilege {
			return true
		}
	}
	return false
}

// unlocks names the privilege that makes a session see entries whatever entitlement says, "" = none.
func (s session) unlocks() string {
	for p := range strings.SplitSeq(s.privileges, ",") {
		p = strings.TrimSpace(p)
		if name, value, _ := strings.Cut(p, ":"); name == "*" || p == "all:*" || name == "disableentitlementforentry" && value != nothing {
			return p
		}
	}
	return ""
}

// unentitled is the error of a session that would show more than the hub asked for. Kaltura drops
// privileges in silence that the token does not hold itself.
func (s *sessions) unentitled(got session) error {
	for _, d := range s.token.demands {
		if !got.holds(d) {
			return gateway.E(gateway.Precondition, "entitlement_missing", "The App Token does not start sessions with "+d+", which this hub asks for.").
				Next("A hub admin makes an App Token that holds it, or changes the entitlement in the hub settings.")
		}
	}
	if voids := got.unlocks(); voids != "" && slices.Contains(s.token.demands, "enableentitlement") {
		return gateway.E(gateway.Precondition, "entitlement_voided", "The App Token starts sessions with "+voids+", which opens media whatever entitlement says.").
			Next("A hub admin removes it from sessionPrivileges of the App Token, or makes a new App Token as the hub settings show.")
	}
	return nil
}

// Profiles implements gateway.Profiler.
func (p *Platform) Profiles(ctx context.Context) ([]gateway.ConversionProfile, error) {
	var l list[conversionProfile]
	err := p.as(ctx, who{admin: true}, "conversionprofile.list", profileQuery, &l)
	if err != nil {
		return nil, public(err)
	}
	return mediaProfiles(l.Objects), nil
}

var profileQuery = params{
	"filter": params{"objectType": "KalturaConversionProfileFilter", "typeEqual": profileMedia},
	"pager":  params{"pageSize": pageMax, "pageIndex": 1},
}

func mediaProfiles(list []conversionProfile) []gateway.ConversionProfile {
	out := make([]gateway.ConversionProfile, 0, len(list))
	for _, c := range list {
		if c.ID > 0 && (c.Type == profileMedia || c.Type == 0) {
			out = append(out, gateway.ConversionProfile{ID: int64(c.ID), Name: string(c.Name), Default: bool(c.IsDefault || c.IsPartnerDefault)})
		}
	}
	slices.SortStableFunc(out, func(a, b gateway.ConversionProfile) int {
		if a.Default != b.Default {
			if a.Default {
				return -1
			}
			return 1
		}
		return cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	return out
}
