package kaltura

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"isthmus/gateway"
)

// plan is a change with everything looked up that it names. To make one changes nothing in Kaltura.
type plan struct {
	fields     params // of media.update
	profile    int64  // conversion profile; 0 = not said
	template   string // entry
	categorise bool
	names      []string // full names of categories, some perhaps still to be made
	categories []category
	custom     []custom
}

type custom struct {
	profile int64
	delete  bool
	xml     string
}

func invalid(pointer, reason, message, next string) error {
	return gateway.E(gateway.Invalid, reason, message).Next("%s", next).At(pointer)
}

// plan looks up what a change names. Invalid with a reason for what does not resolve.
func (p *Platform) plan(ctx context.Context, w who, c gateway.EntryChange) (plan, error) {
	out := plan{fields: params{}}
	if err := out.texts(c); err != nil {
		return out, err
	}
	if err := out.people(c); err != nil {
		return out, err
	}
	if err := out.dates(c); err != nil {
		return out, err
	}
	if !c.AccessControl.Zero() {
		id, err := p.lookUp(ctx, w, accessControls, c.AccessControl)
		if err != nil {
			return out, err
		}
		out.fields["accessControlId"] = id
	}
	if !c.ConversionProfile.Zero() {
		id, err := p.lookUp(ctx, w, conversionProfiles, c.ConversionProfile)
		if err != nil {
			return out, err
		}
		out.profile = id
	}
	if err := p.planEntries(ctx, w, c, &out); err != nil {
		return out, err
	}
	if err := p.planCategories(ctx, w, c, &out); err != nil {
		return out, err
	}
	return out, p.planCustom(ctx, w, c, &out)
}

// texts are the fields that are taken as they are.
func (pl *plan) texts(c gateway.EntryChange) error {
	if c.Name != nil {
		if strings.TrimSpace(*c.Name) == "" {
			return invalid("/name", "name_missing", "An entry needs a name.", "Leave the name out to keep the old one.")
		}
		pl.fields["name"] = cutBytes(*c.Name, 256)
	}
	if c.Description != nil {
		pl.fields["description"] = *c.Description
	}
	if c.PartnerData != nil {
		pl.fields["partnerData"] = *c.PartnerData
	}
	if c.PartnerSortData != nil {
		pl.fields["partnerSortValue"] = *c.PartnerSortData
	}
	if c.ReferenceID != nil {
		if n := utf8.RuneCountInString(*c.ReferenceID); n == 1 || n > referenceMax {
			return invalid("/reference_id", "reference_not_possible", "Kaltura takes reference ids of 2 to 512 characters.", "Choose another one.")
		}
		pl.fields["referenceId"] = *c.ReferenceID
	}
	if c.Tags != nil {
		for _, t := range *c.Tags {
			if strings.Contains(t, ",") {
				return invalid("/tags", "tag_not_possible", "A tag cannot contain a comma.", "Name the parts as tags of their own.")
			}
		}
		pl.fields["tags"] = strings.Join(*c.Tags, ",")
	}
	return nil
}

const referenceMax = 512

// people are the fields that name users. Kaltura makes those that it does not know.
func (pl *plan) people(c gateway.EntryChange) error {
	bad := func(pointer, id string) error {
		return gateway.E(gateway.Invalid, "user_id_not_allowed", "Kaltura does not accept this as a user id: "+strconv.QuoteToASCII(cutBytes(id, 100))+".").
			Next("Name users by their ids in Kaltura, of at most 64 characters.").At(pointer)
	}
	if c.UserID != nil {
		if !userIDs.MatchString(*c.UserID) {
			return bad("/user_id", *c.UserID)
		}
		pl.fields["userId"] = *c.UserID
	}
	for _, l := range []struct {
		name, pointer string
		users         *[]string
	}{
		{"entitledUsersEdit", "/can_edit", c.CanEdit},
		{"entitledUsersPublish", "/can_publish", c.CanPublish},
		{"entitledUsersView", "/can_view", c.CanView},
	} {
		if l.users == nil {
			continue
		}
		for _, u := range *l.users {
			if !userIDs.MatchString(u) || strings.Contains(u, ",") {
				return bad(l.pointer, u)
			}
		}
		pl.fields[l.name] = strings.Join(*l.users, ",")
	}
	return nil
}

func (pl *plan) dates(c gateway.EntryChange) error {
	if c.StartAt != nil && c.EndAt != nil && !c.EndAt.IsZero() && !c.StartAt.Before(*c.EndAt) {
		return invalid("/end_at", "schedule_reversed", "The end comes before the beginning.", "Exchange the dates.")
	}
	for _, d := range []struct {
		name, pointer string
		at            *time.Time
	}{{"startDate", "/start_at", c.StartAt}, {"endDate", "/end_at", c.EndAt}} {
		if d.at == nil {
			continue
		}
		at, err := date(*d.at, d.pointer)
		if err != nil {
			return err
		}
		pl.fields[d.name] = at
	}
	return nil
}

// planEntries looks up the entries that a change names.
func (p *Platform) planEntries(ctx context.Context, w who, c gateway.EntryChange, out *plan) error {
	if c.TemplateEntryID != "" {
		_, err := p.inside(ctx, w, c.TemplateEntryID)
		if code(err) == codeEntryMissing {
			return invalid("/template_entry_id", "template_unknown", "There is no entry with the id of the template.", "Name an entry of this account.")
		}
		if err != nil {
			return err
		}
		out.template = c.TemplateEntryID
	}
	if c.ParentReferenceID != "" {
		found, err := p.referring(ctx, w, c.ParentReferenceID)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return invalid("/parent_reference_id", "parent_unknown", "There is no entry with the reference id of the parent.",
				"Make the parent first, or correct its reference id.")
		}
		out.fields["parentEntryId"] = string(found[0].ID)
	}
	return nil
}

// nouns are what can be named by a number or a system name.
type noun struct {
	op, filter      string // listing and class of its filter
	pointer, reason string
	words           string
	zero            bool // 0 is an id
}

var (
	accessControls = noun{"accesscontrol.list", "KalturaAccessControlFilter", "/access_control", "access_control_unknown", "access control profile", false}
	// The reason differs from that of the hub's own profile, which is for a hub admin to mend.
	conversionProfiles = noun{"conversionprofile.list", "KalturaConversionProfileFilter", "/conversion_profile", "conversion_profile_unknown", "conversion profile", false}
	metadataProfiles   = noun{"metadata_metadataprofile.list", "KalturaMetadataProfileFilter", "/custom_data", "metadata_profile_unknown", "metadata profile", false}
	flavorParams       = noun{"flavorparams.list", "KalturaFlavorParamsFilter", "/contents", "flavor_unknown", "flavour", true}
)

// noProfile asks Kaltura to keep the file and to convert nothing.
const noProfile = -1

// lookUp gives the number of what is named. Answers are compared: a filter that is not known is ignored in
// silence and everything is listed.
func (p *Platform) lookUp(ctx context.Context, w who, n noun, ref gateway.ManifestRef) (int64, error) {
	if n.reason == conversionProfiles.reason && ref.ID == noProfile {
		return noProfile, nil
	}
	key := n.op + "\x00" + strconv.FormatInt(ref.ID, 10) + "\x00" + ref.Name
	if id, ok := p.known.get(key, p.clock()); ok {
		return id, nil
	}
	filter := params{"objectType": n.filter}
	said := strconv.FormatInt(ref.ID, 10)
	if ref.Name != "" {
		filter["systemNameEqual"], said = ref.Name, ref.Name
	} else {
		filter["idEqual"] = ref.ID
	}
	for page := 1; page <= lookPages; page++ {
		var l list[named]
		err := p.as(ctx, w, n.op, params{"filter": filter, "pager": params{"pageSize": pageMax, "pageIndex": page}}, &l)
		if err != nil {
			return 0, err
		}
		for _, o := range l.Objects {
			if ref.Name != "" && string(o.SystemName) == ref.Name && (ref.ID == 0 || int64(o.ID) == ref.ID) ||
				ref.Name == "" && int64(o.ID) == ref.ID && (o.ID != 0 || n.zero) {
				p.known.put(key, int64(o.ID), p.clock())
				return int64(o.ID), nil
			}
		}
		if len(l.Objects) < pageMax {
			break
		}
	}
	return 0, gateway.E(gateway.Invalid, n.reason, "The Kaltura account has no "+n.words+" "+strconv.Quote(cutBytes(said, 200))+".").
		Next("Name one by its number or its system name; the KMC lists them.").At(n.pointer)
}

const lookPages = 4

// known remembers for a short while what names mean, so that thousands of items that name the same things do not
// ask for each. Only what was found is kept. The zero value is ready.
type known struct {
	mu   sync.Mutex
	held map[string]meaning
}

type meaning struct {
	id    int64
	until time.Time
}

const (
	knownLife = time.Minute
	knownMax  = 1000
)

func (k *known) get(key string, now time.Time) (int64, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m, ok := k.held[key]
	return m.id, ok && now.Before(m.until)
}

func (k *known) put(key string, id int64, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held == nil || len(k.held) >= knownMax {
		k.held = map[string]meaning{}
	}
	k.held[key] = meaning{id, now.Add(knownLife)}
}

func (k *known) forgetAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held = nil
}

// refusal gives what Kaltura refuses of a change a reason of its own; elsewhere the same codes mean other things.
func refusal(err error) error {
	because := func(e *gateway.Error) error { return e.Because(err) }
	switch code(err) {
	case codeUserMissing:
		return because(gateway.E(gateway.Invalid, "user_unknown", "Kaltura has blocked a user who is named here, or does not know them.").
			Next("Name another user, or ask the Kaltura administrator to unblock this one."))
	case codeProfileMissing:
		return because(gateway.E(gateway.Invalid, conversionProfiles.reason, "The conversion profile no longer exists in Kaltura.").
			Next("Name another one.").At(conversionProfiles.pointer))
	case "ACCESS_CONTROL_ID_NOT_FOUND":
		return because(gateway.E(gateway.Invalid, accessControls.reason, "The access control profile no longer exists in Kaltura.").
			Next("Name another one.").At(accessControls.pointer))
	case "PROPERTY_VALIDATION_ENTRY_STATUS":
		return because(gateway.E(gateway.Conflict, "entry_has_content", "The entry got its content meanwhile; its conversion profile stays.").
			Next("Try again."))
	}
	return err
}
