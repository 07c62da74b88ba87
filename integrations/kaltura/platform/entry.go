package platform

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"isthmus/gateway"
)

// entryActions are the actions of media and of baseEntry, which differ in a few names only.
func entryActions(service string) []*action {
	subject := "mediaEntry"
	if service == "baseEntry" {
		subject = "baseEntry"
	}
	out := []*action{
		{service: service, name: "add", who: userSession, needs: []string{"entry{}"}, run: (*call).entryAdd},
		{service: service, name: "addContent", who: userSession, needs: []string{"entryId"}, run: (*call).entryAddContent},
		{service: service, name: "updateContent", who: userSession, needs: []string{"entryId", "resource{}"}, run: (*call).entryUpdateContent},
		{service: service, name: "get", needs: []string{"entryId"}, run: (*call).entryGet},
		{service: service, name: "update", who: userSession, needs: []string{"entryId", subject + "{}"}, run: (*call).entryUpdate},
		{service: service, name: "delete", who: userSession, needs: []string{"entryId"}, run: (*call).entryDelete},
		{service: service, name: "list", who: anySession, run: (*call).entryList},
		{service: service, name: "count", who: anySession, run: (*call).entryCount},
		{service: service, name: "addFromUrl", who: userSession, needs: []string{subject + "{}", "url"}, run: (*call).entryAddFromURL},
	}
	if service == "baseEntry" {
		out = append(out,
			&action{service: service, name: "getByIds", who: anySession, needs: []string{"entryIds"}, run: (*call).entryByIDs},
			&action{service: service, name: "listByReferenceId", who: anySession, needs: []string{"refId"}, run: (*call).entryByReference},
			&action{service: service, name: "getPlaybackContext", needs: []string{"entryId", "contextDataParams{}"}, run: (*call).playbackContext},
			&action{service: service, name: "getContextData", who: anySession, needs: []string{"entryId", "contextDataParams{}"}, run: (*call).contextData},
		)
	}
	return out
}

// subject gives the entry sent with an update.
func (c *call) subject() (string, args) {
	for _, name := range []string{"mediaEntry", "baseEntry"} {
		if a := c.args.tree(name); a != nil {
			return name, a
		}
	}
	return "", nil
}

func (p *Platform) viewEntry(e Entry) *object {
	base := fmt.Sprintf("%s/p/%d/sp/%d00", p.BaseURL, e.Partner, e.Partner)
	scheme, _, _ := strings.Cut(p.BaseURL, "://")
	play := base + "/playManifest/entryId/" + e.ID
	download, data := play+"/format/download/protocol/"+scheme+"/flavorParamIds/0", any(play+"/format/url/protocol/"+scheme)
	thumb := fmt.Sprintf("%s/thumbnail/entry_id/%s/version/%d", base, e.ID, e.ThumbVersion)
	var profile, quality, width, height, duration, ms any
	if e.ConversionProfile != 0 {
		profile, quality = e.ConversionProfile, e.ConversionProfile
	}
	if e.Width != 0 {
		width, height = e.Width, e.Height
	}
	if e.MediaType == mediaImage {
		download = fmt.Sprintf("%s/raw/entry_id/%s/version/%d", base, e.ID, e.ThumbVersion)
		data = fmt.Sprintf("%s/thumbnail/entry_id/%s/def_height/480/def_width/640/version/%d/type/1", base, e.ID, e.ThumbVersion)
	} else {
		duration, ms = e.DurationMS/1000, e.DurationMS
	}
	return newObject("KalturaMediaEntry").
		set("id", e.ID).set("name", e.Name).set("description", e.Description).set("partnerId", e.Partner).
		set("userId", e.UserID).set("creatorId", e.CreatorID).set("tags", e.Tags).set("adminTags", orNil(e.AdminTags)).
		set("categories", e.Categories).set("categoriesIds", e.categoryIDs()).set("status", e.Status).set("moderationStatus", 6).
		set("moderationCount", 0).set("type", e.Type).set("createdAt", e.CreatedAt.Unix()).set("updatedAt", e.UpdatedAt.Unix()).
		set("rank", 0.0).set("totalRank", 0).set("votes", 0).null("groupId").set("partnerData", orNil(e.PartnerData)).
		set("downloadUrl", download).set("searchText", searchText(e)).set("licenseType", -1).set("version", 0).
		set("thumbnailUrl", thumb).set("accessControlId", e.AccessControl).set("startDate", orZero(e.StartAt)).set("endDate", orZero(e.EndAt)).
		set("referenceId", orNil(e.ReferenceID)).null("replacingEntryId", "replacedEntryId").set("replacementStatus", 0).
		set("partnerSortValue", e.SortValue).set("conversionProfileId", profile).null("redirectEntryId").set("rootEntryId", e.ID).
		set("parentEntryId", orNil(e.ParentID)).set("operationAttributes", []any{}).set("entitledUsersEdit", userList(e.CanEdit)).
		set("entitledUsersPublish", userList(e.CanPublish)).set("entitledUsersView", userList(e.CanView)).set("capabilities", "").
		set("templateEntryId", orNil(e.TemplateID)).set("displayInSearch", 1).
		null("application", "applicationVersion").set("blockAutoTranscript", false).null("defaultLanguage", "responseLanguage").
		set("plays", 0).set("views", 0).null("lastPlayedAt").set("width", width).set("height", height).
		set("duration", duration).set("msDuration", ms).null("durationType").set("mediaType", e.MediaType).
		set("conversionQuality", quality).set("sourceType", e.SourceType).
		null("sourceVersion", "searchProviderType", "searchProviderId", "creditUserName", "creditUrl", "mediaDate").
		set("dataUrl", data).set("flavorParamsIds", orNil(e.FlavorParams)).null("isTrimDisabled", "streams")
}

// view shows an entry to a session. In a privacy context the old way of naming categories is gone.
func (c *call) view(e Entry) *object {
	o := c.viewEntry(e)
	if c.ks == nil {
		return o
	}
	if _, ok := c.ks.value("privacycontext"); ok {
		for i := range o.members {
			if m := &o.members[i]; m.name == "categories" || m.name == "categoriesIds" {
				m.value = nil
			}
		}
	}
	return o
}

var plainText = strings.NewReplacer(`"`, "", "\n", "", "\r", "", "'", "")

func searchText(e Entry) string {
	s := fmt.Sprintf("_PAR_ONLY_ _%d_ _MEDIA_TYPE_%d|  %s", e.Partner, e.MediaType, e.Name)
	for _, part := range []string{e.Tags, e.Description} {
		if part != "" {
			s += " " + part
		}
	}
	return plainText.Replace(s) + " "
}

// index fills the columns that are searched.
func (e *Entry) index() {
	e.TermsName, e.TermsDescription = indexed(e.Name), indexed(e.Description)
	e.TermsTags = indexed(strings.Split(e.Tags, ",")...)
	e.TermsAll = e.TermsName + e.TermsTags[1:] + e.TermsDescription[1:] + indexed(e.ID, e.ReferenceID, e.UserID)[1:]
}

// cleanTags normalises a list of tags as Kaltura does.
func cleanTags(s string) string {
	var out []string
	seen := map[string]bool{}
	for tag := range strings.SplitSeq(s, ",") {
		tag = cut(lowerASCII(strings.TrimSpace(tag)), 100)
		if len(tag) >= 2 && !seen[tag] {
			seen[tag] = true
			out = append(out, tag)
		}
	}
	return strings.Join(out, ", ")
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// entry gives an entry of the account; anonymous callers find none.
func (c *call) entry(t Tables, id string) (Entry, error) {
	var e Entry
	err := error(gateway.E(gateway.NotFound, "", ""))
	if c.partner() != 0 {
		e, err = t.Entries().Get(c, c.partner(), id)
	}
	if err == nil {
		if seen, err := c.sees(t, e); err != nil || seen {
			return e, err
		}
	}
	if err == nil || missing(err) {
		return e, refuse("ENTRY_ID_NOT_FOUND", "ENTRY_ID", id)
	}
	return e, err
}

// owned gives an entry that the session may change: the owner's, an administrator's, or one that a
// privilege names.
func (c *call) owned(t Tables, id string) (Entry, error) {
	e, err := c.entry(t, id)
	if err == nil && !c.admin() && (e.UserID != c.user() || e.UserID == "") && !listed(e.CanEdit, c.user()) && !c.ks.has("edit", e.ID) {
		return e, notOwner()
	}
	return e, err
}

// readOnly are fields that a client may send back unchanged only.
var readOnly = []string{
	"id", "partnerId", "status", "moderationStatus", "moderationCount", "createdAt", "updatedAt", "rank", "totalRank",
	"votes", "downloadUrl", "searchText", "version", "thumbnailUrl", "replacementStatus", "rootEntryId", "capabilities",
	"plays", "views", "lastPlayedAt", "width", "height", "duration", "msDuration", "durationType", "dataUrl", "flavorParamsIds", "mediaDate",
}

// insertOnly are fields that are fixed when the entry is made.
var insertOnly = []string{"type", "mediaType", "creatorId", "sourceType", "conversionQuality", "templateEntryId"}

// fixed refuses changes of fields that are not the client's to change.
func fixed(have *object, a args, names []string) error {
	for _, name := range names {
		if !a.has(name) {
			continue
		}
		var was any
		if have != nil {
			was = have.get(name)
		}
		if a.str(name) != fmt.Sprint(was) {
			return refuse("PROPERTY_VALIDATION_NOT_UPDATABLE", "PROP_NAME", "KalturaMediaEntry::"+name)
		}
	}
	return nil
}

// fill takes over what a client may write.
func (c *call) fillEntry(t Tables, e *Entry, a args) error {
	if v, sent := a.change("name"); sent && v != "" {
		e.Name = cut(v, 256)
	}
	for name, field := range map[string]*string{"description": &e.Description, "partnerData": &e.PartnerData} {
		if v, sent := a.change(name); sent {
			*field = v
		}
	}
	if v, sent := a.change("tags"); sent {
		e.Tags = cleanTags(v)
	}
	if v, sent := a.change("referenceId"); sent {
		if v != "" && utf8.RuneCountInString(v) < 2 {
			return refuse("PROPERTY_VALIDATION_MIN_LENGTH", "PROP_NAME", "KalturaMediaEntry::referenceId", "MIN_LEN", "2")
		}
		e.ReferenceID = v
	}
	if v, sent := a.change("adminTags"); sent && v != e.AdminTags {
		if !c.admin() && !c.ks.has("editadmintags", "*") {
			return refuse("PROPERTY_VALIDATION_ADMIN_PROPERTY", "PROP_NAME", "KalturaMediaEntry::adminTags")
		}
		e.AdminTags = strings.ReplaceAll(cleanTags(v), ", ", ",")
	}
	if err := c.fillDetails(t, e, a); err != nil {
		return err
	}
	if a.has("accessControlId") && c.admin() { // dropped in silence for others
		id := a.str("accessControlId")
		if _, err := t.AccessControls().Get(c, e.Partner, id); missing(err) {
			return refuse("ACCESS_CONTROL_ID_NOT_FOUND", "ID", id)
		} else if err != nil {
			return err
		}
		e.AccessControl = a.num("accessControlId")
	}
	if a.has("conversionProfileId") {
		id := a.num("conversionProfileId")
		if id != e.ConversionProfile && e.Status != entryNoContent {
			return refuse("PROPERTY_VALIDATION_ENTRY_STATUS", "PROP_NAME", "KalturaMediaEntry::conversionProfileId", "STATUS", fmt.Sprint(e.Status))
		}
		if findProfile(id) == nil && id != -1 {
			return refuse("CONVERSION_PROFILE_ID_NOT_FOUND", "ID", a.str("conversionProfileId"))
		}
		e.ConversionProfile = id
	}
	if a.has("userId") && a.str("userId") != e.UserID {
		user := a.str("userId")
		if !c.admin() && user != c.user() && !c.ks.has("edituser", user) {
			return notOwner()
		}
		if err := c.ensureUser(t, user, "userId"); err != nil {
			return err
		}
		e.UserID = user
	}
	if err := c.fillCategories(t, e, a); err != nil {
		return err
	}
	e.index()
	return nil
}

func (c *call) newEntry(a args) (Entry, error) {
	e := Entry{
		Row: Row{Partner: c.partner(), ID: newID()}, UserID: c.user(), Status: entryNoContent, Type: 1, SourceType: "6",
		AccessControl: defaultAccessControl, Name: fmt.Sprintf("%d_%d", c.partner(), c.now.Unix()),
	}
	base := c.act.service == "baseEntry" && !strings.EqualFold(a.str("objectType"), "KalturaMediaEntry")
	if !base && !a.has("mediaType") {
		return e, refuse("PROPERTY_VALIDATION_CANNOT_BE_NULL", "PROP_NAME", "KalturaMediaEntry::mediaType")
	}
	if e.MediaType = a.numOr("mediaType", mediaVideo); e.MediaType != mediaVideo && e.MediaType != mediaImage && e.MediaType != mediaAudio {
		return e, refuse("INVALID_ENUM_VALUE", "ENUM_VAL", a.str("mediaType"), "PARAM_NAME", "mediaType", "ENUM_TYPE", "KalturaMediaType")
	}
	if s := a.str("sourceType"); s != "" {
		e.SourceType = s
	}
	return e, fixed(nil, a, readOnly)
}

// insert stores a new entry with its owner.
func (c *call) insert(e *Entry, a args) error {
	err := c.Records.KalturaTx(c, func(tx Tx) error {
		t := tx.Kaltura()
		if err := c.ensureUser(t, c.user(), "userId"); err != nil {
			return err
		}
		if err := c.fillTemplate(t, e, a); err != nil {
			return err
		}
		if err := c.fillEntry(t, e, a); err != nil {
			return err
		}
		if e.CreatorID = e.UserID; a.str("creatorId") != "" && c.admin() {
			e.CreatorID = a.str("creatorId")
		}
		return t.Entries().Insert(c, e)
	})
	return err
}

func (c *call) entryAdd() (any, error) {
	a := c.args.tree("entry")
	e, err := c.newEntry(a)
	if err != nil {
		return nil, err
	}
	if err := c.insert(&e, a); err != nil {
		return nil, err
	}
	return c.view(e), nil
}

// entryAddFromURL makes the entry and says, by its status, that the file could not be fetched: this
// server never calls out.
func (c *call) entryAddFromURL() (any, error) {
	_, a := c.subject()
	e, err := c.newEntry(a)
	if err != nil {
		return nil, err
	}
	e.Status, e.SourceType = entryErrorImporting, "5"
	if err := c.insert(&e, a); err != nil {
		return nil, err
	}
	e.Status = entryImport // what the original says while it tries
	return c.view(e), nil
}

func (c *call) entryGet() (any, error) {
	e, err := c.entry(c.tables(), c.args.str("entryId"))
	if err != nil {
		return nil, err
	}
	return c.view(e), nil
}

func (c *call) entryUpdate() (any, error) {
	_, a := c.subject()
	var e Entry
	for {
		err := c.Records.KalturaTx(c, func(tx Tx) (err error) {
			if e, err = c.owned(tx.Kaltura(), c.args.str("entryId")); err != nil {
				return err
			}
			have := c.view(e)
			if err := fixed(have, a, readOnly); err != nil {
				return err
			}
			if err := fixed(have, a, insertOnly); err != nil {
				return err
			}
			if err := c.fillEntry(tx.Kaltura(), &e, a); err != nil {
				return err
			}
			return tx.Kaltura().Entries().Update(c, &e)
		})
		if err == nil {
			return c.view(e), nil
		}
		if !lostRace(err) {
			return nil, err
		}
	}
}

// uncategorise takes an entry out of all categories.
func uncategorise(ctx context.Context, t Tables, e Entry) error {
	rows, err := t.CategoryEntries().Find(ctx, Find{Partner: e.Partner, Where: in("entry_id", e.ID)})
	for _, r := range rows {
		if err := t.CategoryEntries().Delete(ctx, r.Partner, r.ID); err != nil {
			return err
		}
	}
	return err
}

// dropFlavors deletes the flavors of an entry and names the files that belong to them alone.
func dropFlavors(ctx context.Context, t Tables, e Entry) (blobs []string, err error) {
	flavors, err := t.Flavors().Find(ctx, Find{Partner: e.Partner, Where: in("entry_id", e.ID)})
	for _, f := range flavors {
		if err := t.Flavors().Delete(ctx, f.Partner, f.ID); err != nil {
			return nil, err
		}
		if f.Given && f.Blob != "" {
			blobs = append(blobs, f.Blob)
		}
	}
	return blobs, err
}

// entryDelete removes an entry, its flavors and its bytes.
func (c *call) entryDelete() (any, error) {
	var e Entry
	var blobs []string
	err := c.Records.KalturaTx(c, func(tx Tx) (err error) {
		t := tx.Kaltura()
		if e, err = c.owned(t, c.args.str("entryId")); err != nil {
			return err
		}
		if blobs, err = dropFlavors(c, t, e); err != nil {
			return err
		}
		more, err := dropExtras(c, t, e)
		if err != nil {
			return err
		}
		blobs = append(blobs, more...)
		if err := uncategorise(c, t, e); err != nil {
			return err
		}
		captions, err := t.Captions().Find(c, Find{Partner: e.Partner, Where: in("entry_id", e.ID)})
		if err != nil {
			return err
		}
		for _, a := range captions {
			if err := t.Captions().Delete(c, a.Partner, a.ID); err != nil {
				return err
			}
		}
		return t.Entries().Delete(c, e.Partner, e.ID)
	})
	if err != nil {
		return nil, err
	}
	if err := c.removeBlobs(blobs); err != nil || e.AssetID == "" {
		return nil, err
	}
	if err := c.Assets.Remove(c, e.AssetID); err != nil && !missing(err) {
		return nil, err
	}
	return nil, nil
}
