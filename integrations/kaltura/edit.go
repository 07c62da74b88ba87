package kaltura

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"isthmus/gateway"
)

// editor is the session that changes entries for the actor: an administrator's with the actor's user, whom
// entitlement knows; where the token gives none, the user's own.
func (p *Platform) editor(ctx context.Context, a gateway.Actor) (who, error) {
	if a.OwnRight {
		return p.person(ctx, a)
	}
	if a.Machine() && a.PlatformUserID == "" {
		a.PlatformUserID = machineUser
	}
	return p.admin(ctx, a.PlatformUserID)
}

func (p *Platform) admin(ctx context.Context, user string) (who, error) {
	w := who{user: user, admin: true}
	_, err := p.sessions.get(ctx, w)
	if gateway.IsReason(err, errNoAdmin.Reason) {
		return who{user: user}, nil
	}
	return w, err
}

// Make implements gateway.Editor. An add whose answer was lost is looked for before anything is made again, for
// as long as a call may take: the index of a Kaltura lags behind.
func (p *Platform) Make(ctx context.Context, a gateway.Actor, referenceID string, t gateway.MediaType, c gateway.EntryChange) (gateway.Media, error) {
	kind, ok := mediaTypes[t]
	switch {
	case len(referenceID) < 2:
		return gateway.Media{}, gateway.E(gateway.Invalid, "reference_missing", "An entry needs a reference id.")
	case !ok:
		return gateway.Media{}, gateway.E(gateway.Invalid, "type_not_supported", "Kaltura takes video, images and audio.").
			Next("Name video, image or audio.").At("/type")
	}
	w, err := p.editor(ctx, a)
	if err != nil {
		return gateway.Media{}, public(err)
	}
	plan, err := p.plan(ctx, w, c)
	if err != nil {
		return gateway.Media{}, public(err)
	}
	delete(plan.fields, "referenceId")
	r := <-p.finishing.DoChan("make "+referenceID, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 4*p.patience)
		defer cancel()
		return p.make(ctx, w, referenceID, kind, plan)
	})
	if r.Err != nil {
		return gateway.Media{}, public(r.Err)
	}
	return r.Val.(gateway.Media), nil
}

func (p *Platform) make(ctx context.Context, w who, ref string, kind int, plan plan) (gateway.Media, error) {
	e, _, err := p.byReference(ctx, w, ref)
	if err != nil {
		return gateway.Media{}, err
	}
	if e.ID == "" {
		if e, err = p.add(ctx, w, ref, kind, plan); err != nil {
			return gateway.Media{}, err
		}
	}
	if err := p.categorise(ctx, w, string(e.ID)); err != nil {
		return gateway.Media{}, swept(err)
	}
	e, err = p.apply(ctx, w, e, plan)
	return p.handed(e), swept(err)
}

// add makes the entry. It is not repeated blindly.
func (p *Platform) add(ctx context.Context, w who, ref string, kind int, plan plan) (entry, error) {
	const op = "media.add"
	fields := params{"objectType": "KalturaMediaEntry", "mediaType": kind, "referenceId": ref}
	for k, v := range plan.fields {
		fields[k] = v
	}
	if plan.template != "" {
		fields["templateEntryId"] = plan.template
	}
	if id := cmp.Or(plan.profile, p.account.ConversionProfileID); id != 0 {
		fields["conversionProfileId"] = id
	}
	if _, named := fields["userId"]; !named && w.user != "" {
		fields["userId"] = w.user
	}
	var e entry
	err := p.with(ctx, w, func(s session) error {
		got, err := p.guard.once(ctx, op, func(ctx context.Context) (answer, error) {
			return p.call(ctx, op, params{"entry": fields}, s.ks.Reveal())
		})
		if err == nil {
			err = got.decode(op, &e)
		}
		return err
	})
	if err == nil && e.ID == "" {
		err = &fault{Op: op, Kind: faultGarbled, Status: 200}
	}
	if !sick(err) {
		if code(err) != codeProfileMissing || plan.profile != 0 { // else it is the hub's own
			err = refusal(err)
		}
		return e, err
	}
	for try := range lookAgain {
		if serr := sleep(ctx, delay(try+1, nil)); serr != nil {
			return entry{}, err
		}
		if had, _, lerr := p.byReference(ctx, w, ref); lerr == nil && had.ID != "" {
			return had, nil
		}
	}
	return entry{}, err
}

// lookAgain is how often an entry whose answer was lost is looked for.
const lookAgain = 3

// handed marks what was made or found within the hub's category.
func (p *Platform) handed(e entry) gateway.Media {
	m := e.media()
	m.CategoryID = p.account.CategoryID
	return m
}

// Edit implements gateway.Editor.
func (p *Platform) Edit(ctx context.Context, a gateway.Actor, id string, c gateway.EntryChange) (gateway.Media, error) {
	w, err := p.editor(ctx, a)
	if err != nil {
		return gateway.Media{}, public(err)
	}
	e, err := p.inside(ctx, w, id)
	if err != nil {
		return gateway.Media{}, public(err)
	}
	plan, err := p.plan(ctx, w, c)
	if err != nil {
		return gateway.Media{}, public(err)
	}
	if e, err = p.apply(ctx, w, e, plan); err != nil {
		return gateway.Media{}, public(err)
	}
	return p.handed(e), nil
}

// Check implements gateway.Editor.
func (p *Platform) Check(ctx context.Context, a gateway.Actor, c gateway.EntryChange) error {
	w, err := p.editor(ctx, a)
	if err == nil {
		_, err = p.plan(ctx, w, c)
	}
	return public(err)
}

// FindAll implements gateway.Editor. With a category only what lies in it is given.
func (p *Platform) FindAll(ctx context.Context, a gateway.Actor, referenceID string) ([]gateway.Media, error) {
	w, err := p.editor(ctx, a)
	if err != nil {
		return nil, public(err)
	}
	found, err := p.referring(ctx, w, referenceID)
	if err != nil {
		return nil, public(err)
	}
	out := make([]gateway.Media, 0, len(found))
	for _, e := range found {
		out = append(out, p.handed(e))
	}
	return out, nil
}

const foundMax = 10

// referring gives the entries with a reference id that the hub may handle, oldest first. The owner restriction
// of lists is lifted for this filter.
func (p *Platform) referring(ctx context.Context, w who, ref string) ([]entry, error) {
	if len(ref) < 2 {
		return nil, nil
	}
	var l list[entry]
	err := p.as(ctx, w, "media.list", params{
		"filter": params{"objectType": "KalturaMediaEntryFilter", "referenceIdEqual": ref, "statusIn": statusIn(nil), "orderBy": "+createdAt"},
		"pager":  params{"pageSize": pageMax, "pageIndex": 1},
	}, &l)
	if err != nil {
		return nil, err
	}
	var out []entry
	for _, e := range sane(l.Objects) {
		if string(e.ReferenceID) != ref || len(out) == foundMax { // a filter that was not understood
			continue
		}
		in, err := p.memberships(ctx, w, e)
		if err != nil {
			return nil, err
		}
		if in.inside {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(x, y entry) int { return cmp.Compare(x.CreatedAt, y.CreatedAt) })
	return out, nil
}

// inside gives an entry that the hub may handle; others are as if they were not there.
func (p *Platform) inside(ctx context.Context, w who, id string) (entry, error) {
	e, err := p.entry(ctx, w, id)
	if err != nil || p.account.CategoryID == 0 {
		return e, err
	}
	in, err := p.memberships(ctx, w, e)
	if err == nil && !in.inside {
		err = &apiError{Op: "media.get", Code: codeEntryMissing}
	}
	return e, err
}

// apply makes an entry what a plan says: its fields, its categories, its custom metadata. Done again it changes
// nothing.
func (p *Platform) apply(ctx context.Context, w who, e entry, plan plan) (entry, error) {
	e, err := p.write(ctx, w, e, plan)
	if err != nil {
		return e, err
	}
	if plan.categorise {
		if err := p.recategorise(ctx, w, e, plan); err != nil {
			return e, err
		}
	}
	for _, m := range plan.custom {
		if err := p.writeCustom(ctx, w, string(e.ID), m); err != nil {
			return e, err
		}
	}
	return e, nil
}

// write sends the fields that differ and looks whether Kaltura took them: it ignores in silence what a session
// may not change.
func (p *Platform) write(ctx context.Context, w who, e entry, plan plan) (entry, error) {
	if _, ok := plan.fields["tags"]; ok {
		mu := &p.tagging[stripe(string(e.ID))]
		mu.Lock()
		defer mu.Unlock()
	}
	send := params{"objectType": "KalturaMediaEntry"}
	for name, want := range plan.fields {
		if !e.has(name, want) {
			send[name] = want
		}
	}
	if plan.profile != 0 && e.Status == statusNoContent && int64(e.ProfileID) != plan.profile {
		send["conversionProfileId"] = plan.profile
	}
	if len(send) == 1 {
		return e, nil
	}
	var now entry // fresh: what has no value any more is missing from the answer
	if err := p.as(ctx, w, "media.update", params{"entryId": string(e.ID), "mediaEntry": send}, &now); err != nil {
		return e, refusal(err)
	}
	if now.ID != e.ID {
		return e, &fault{Op: "media.update", Kind: faultGarbled, Status: 200}
	}
	e = now
	for name, want := range send {
		if pointer := silent[name]; pointer != "" && !e.has(name, want) {
			return e, gateway.E(gateway.Forbidden, "field_not_changed", "Kaltura did not change "+name+" of the entry.").
				Next("Use an App Token that starts ADMIN sessions, or change it in the KMC.").At(pointer)
		}
	}
	return e, nil
}

// silent are the fields that Kaltura may leave alone without a word, with their names here.
var silent = map[string]string{
	"userId": "/user_id", "referenceId": "/reference_id", "partnerSortValue": "/partner_sort_data", "accessControlId": "/access_control",
	"startDate": "/start_at", "endDate": "/end_at", "entitledUsersEdit": "/can_edit", "entitledUsersPublish": "/can_publish",
	"entitledUsersView": "/can_view", "parentEntryId": "/parent_reference_id", "tags": "/tags", "conversionProfileId": "/conversion_profile",
}

// has tells whether a field of the entry is what it should be. Texts that Kaltura writes in its own way count
// when they mean the same.
func (e entry) has(name string, want any) bool {
	said, _ := want.(string)
	switch name {
	case "name":
		return string(e.Name) == said
	case "description":
		return string(e.Description) == said
	case "partnerData":
		return string(e.PartnerData) == said
	case "userId":
		return string(e.UserID) == said
	case "referenceId":
		return string(e.ReferenceID) == said
	case "parentEntryId":
		return string(e.ParentID) == said
	case "entitledUsersEdit":
		return sameWords(string(e.CanEdit), said)
	case "entitledUsersPublish":
		return sameWords(string(e.CanPublish), said)
	case "entitledUsersView":
		return sameWords(string(e.CanView), said)
	case "tags":
		return sameTags(splitTags(string(e.Tags)), splitTags(said))
	case "partnerSortValue":
		return int64(e.SortValue) == want
	case "accessControlId":
		return int64(e.AccessControlID) == want
	case "conversionProfileId":
		return int64(e.ProfileID) == want
	case "startDate":
		return sameDate(e.StartDate, want)
	case "endDate":
		return sameDate(e.EndDate, want)
	}
	return name == "objectType"
}

func sameDate(have number, want any) bool {
	return int64(have) == want || have <= 0 && want == noDate
}

func sameWords(a, b string) bool {
	x, y := splitTags(a), splitTags(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(slices.Compact(x), slices.Compact(y))
}

// sameTags compares as Kaltura stores tags: ASCII letters in lower case, those of one byte left out, long ones cut.
func sameTags(have, want []string) bool {
	kept := map[string]bool{}
	for _, t := range want {
		if t = cutBytes(lowerASCII(t), tagMax); len(t) >= 2 {
			kept[t] = true
		}
	}
	for _, t := range have {
		if !kept[lowerASCII(t)] {
			return false
		}
	}
	return len(have) == len(kept)
}

const tagMax = 100

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// noDate clears a date.
const noDate = int64(-1)

// date is a moment as Kaltura wants it, the zero time clears. Small numbers would count from now.
func date(t time.Time, pointer string) (int64, error) {
	if t.IsZero() {
		return noDate, nil
	}
	if t.Unix() <= minTime || t.Year() > 9999 {
		return 0, gateway.E(gateway.Invalid, "date_not_possible", "Kaltura keeps no date of the year "+strconv.Itoa(t.UTC().Year())+".").
			Next("Name a date from 1980 on.").At(pointer)
	}
	return t.Unix(), nil
}
